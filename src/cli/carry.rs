//! `socle carry`: a table of old commune codes on today's territories.

use super::out;
use crate::{
    error::{Error, Result},
    model::Level,
    territory::{Ask, CarriedSheet, Carrier, Reference, Sheet},
    text,
};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Most bytes of a table: what fits in memory a few times over.
const MOST: u64 = 256 << 20;

/// Arguments of `socle carry`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  socle carry zrr_2022.csv -o zrr_2026.csv --parents epci,dep\n  socle carry list.csv --name Commune --department Dept\n\nThe table is written with columns added: socle_com, socle_com_nom, the parents asked for,\nsocle_verdict (unchanged, carried, redefined, undecidable, unknown) and socle_note."
)]
pub(super) struct Args {
    /// A CSV file, UTF-8 or Windows-1252.
    file: PathBuf,
    /// The column of commune codes; recognised by its usual names when not given.
    #[arg(long)]
    column: Option<String>,
    /// The column of commune names, when there are no codes.
    #[arg(long)]
    name: Option<String>,
    /// The column of départements that goes with the names.
    #[arg(long)]
    department: Option<String>,
    /// The vintage of the codes, when it is known; it is checked against the codes.
    #[arg(long)]
    vintage: Option<u16>,
    /// Levels to add: epci, ept, arr, dep, reg.
    #[arg(long, value_delimiter = ',')]
    parents: Vec<String>,
    /// Where to write; standard output when not given.
    #[arg(short, long)]
    output: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> Result<ExitCode> {
    let (sheet, separator) = Sheet::from_csv(&read(&args.file)?)?;
    let ask = Ask {
        code: args.column,
        name: args.name,
        department: args.department,
        vintage: args.vintage,
        parents: args.parents.iter().map(|level| parent(level)).collect::<Result<_>>()?,
    };
    let done = Carrier::new(Reference::builtin()).carry(sheet, &ask)?;
    let bytes = done.sheet.to_csv(separator)?;
    match &args.output {
        Some(path) => std::fs::write(path, bytes).map_err(|e| Error::io(path, e))?,
        // A reader that went away is no failure.
        None => drop(std::io::stdout().write_all(&bytes)),
    }
    tell(&done);
    Ok(ExitCode::SUCCESS)
}

fn parent(level: &str) -> Result<Level> {
    let known = [Level::Epci, Level::Ept, Level::Arr, Level::Dep, Level::Reg];
    known.into_iter().find(|known| known.id() == level).ok_or_else(|| {
        Error::Invalid(text!(
            "Niveau « {level} » : epci, ept, arr, dep ou reg.",
            "Level \"{level}\": epci, ept, arr, dep or reg."
        ))
    })
}

fn read(path: &Path) -> Result<String> {
    let size = std::fs::metadata(path).map_err(|e| missing(path, &e))?.len();
    if size > MOST {
        let most = MOST >> 20;
        return Err(Error::Invalid(text!(
            "Table trop grosse : {most} Mio au plus.",
            "Table too large: at most {most} MiB."
        )));
    }
    let bytes = std::fs::read(path).map_err(|e| missing(path, &e))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => encoding_rs::WINDOWS_1252.decode(e.as_bytes()).0.into_owned(),
    })
}

fn missing(path: &Path, cause: &std::io::Error) -> Error {
    let path = path.display();
    Error::Invalid(text!(
        "« {path} » ne se lit pas : {cause}",
        "\"{path}\" cannot be read: {cause}"
    ))
}

/// The account of what was done, on standard error: the table may be on standard output.
fn tell(done: &CarriedSheet) {
    let lang = out::lang();
    let mut lines: Vec<String> = done.notes.iter().map(|n| n.get(lang).to_owned()).collect();
    if let (Some(vintage), Some(found)) = (done.vintage, done.detected) {
        let (first, last) = (found.first, found.last);
        let words = text!(
            "Millésime des codes : {vintage} (possibles : {first} à {last}).",
            "Vintage of the codes: {vintage} (possible: {first} to {last})."
        );
        lines.push(words.get(lang).to_owned());
    }
    let counts = done.counts.iter().map(|(verdict, n)| format!("{} {n}", verdict.id()));
    lines.push(counts.collect::<Vec<_>>().join(" · "));
    lines.extend(done.conflicts.iter().map(|c| {
        let (commune, codes) = (&c.commune, c.codes.join(", "));
        let words = text!(
            "Conflit sur {commune} : {codes} ont des valeurs différentes.",
            "Conflict on {commune}: {codes} have different values."
        );
        words.get(lang).to_owned()
    }));
    for line in lines {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}
