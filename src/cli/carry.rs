//! `socle carry`: a table of old commune codes, of names or of places, on today's territories.

use super::out;
use crate::{
    catalog::Catalog,
    config::{Settings, StoreKind},
    error::{Error, Result},
    import,
    model::Level,
    resolve::{Ask, Kind, Resolved, Resolver, Sent},
    territory::Reference,
    text,
};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

/// Most bytes of a table: what fits in memory a few times over.
const MOST: u64 = 256 << 20;
/// Most memory that one takes while it is worked on, bytes.
const MEMORY: u64 = 8 << 30;

/// Arguments of `socle carry`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  socle carry zrr_2022.csv -o zrr_2026.csv --add epci,dep\n  socle carry list.xlsx --name Commune --department Dept -o today.xlsx\n  socle carry addresses.csv --lon lon --lat lat --add epci,qpv --config config/socle.toml\n\nThe table is written in the form it came in, with columns added: socle_com, socle_com_nom, what\nwas asked for, socle_verdict (unchanged, carried, redefined, undecidable, unknown, located),\nsocle_candidats, socle_conflit and socle_note. Codes and names need no configuration; where\nthere is one, they are put on the COG in force in its store. Places do need one, for its layers give\nthe borders."
)]
pub(super) struct Args {
    /// A CSV (UTF-8, UTF-16 or Windows-1252), XLSX (its first sheet) or JSON file (an array of
    /// objects, or an object with one in `rows`).
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
    /// The column of longitudes, or of x.
    #[arg(long, alias = "x", requires = "lat")]
    lon: Option<String>,
    /// The column of latitudes, or of y.
    #[arg(long, alias = "y", requires = "lon")]
    lat: Option<String>,
    /// The CRS of x and y, e.g. EPSG:2154; degrees when not given.
    #[arg(long)]
    crs: Option<String>,
    /// How far the nearest commune may be from a place outside all of them, m.
    #[arg(long, value_name = "METRES")]
    nearest: Option<u32>,
    /// The vintage of the codes, when it is known; it is checked against the codes.
    #[arg(long)]
    vintage: Option<u16>,
    /// What to add: epci, ept, arr, dep, reg; `epci:nom`; by place also qpv, canton… and
    /// `layer:property`.
    #[arg(long, alias = "parents", value_delimiter = ',')]
    add: Vec<String>,
    /// The form of the result: csv, xlsx or json; by default that of `--output`, else of the file.
    #[arg(long, short)]
    format: Option<String>,
    /// Where to write; standard output when not given.
    #[arg(short, long)]
    output: Option<PathBuf>,
}

pub(super) async fn run(config: &Path, args: Args) -> Result<ExitCode> {
    let places = args.lon.is_some() || args.add.iter().any(|wish| by_place(wish));
    let (resolver, reference, snapshot) = match places {
        false => (Resolver::new(None), reference(config).await?, None),
        true => {
            let settings = Settings::load(config)?;
            let reference = super::reference(&settings)?;
            let store = super::store(&settings)?;
            let snapshot = Catalog::open(settings.layers, store.clone()).await?.snapshot();
            let state = &snapshot.reference;
            let reference = import::in_force(&*store, state, &reference, &settings.levels).await?;
            (Resolver::new(Some(store)), reference, Some(snapshot))
        }
    };
    let ask = Ask {
        kind: kind(&args)?,
        code: args.column,
        name: args.name,
        department: args.department,
        x: args.lon,
        y: args.lat,
        crs: args.crs,
        nearest_m: args.nearest,
        vintage: args.vintage,
        add: args.add,
        original: false,
        lang: out::lang(),
        within: None,
        memory: usize::try_from(MEMORY).ok(),
    };
    let sent = Sent { bytes: read(&args.file)?, kind: None, charset: None, held: None };
    let done = Arc::new(resolver).resolve(sent, ask, &reference, snapshot).await?;
    match &args.output {
        Some(path) => std::fs::write(path, &done.bytes).map_err(|e| Error::io(path, e))?,
        // A reader that went away is no failure.
        None => drop(std::io::stdout().write_all(&done.bytes)),
    }
    tell(&done);
    Ok(ExitCode::SUCCESS)
}

/// The reference of codes and names: the one in force where there is a configuration with a store,
/// as its server has it; else the program's own.
async fn reference(config: &Path) -> Result<Arc<Reference>> {
    if !config.exists() {
        return Ok(Reference::builtin());
    }
    let settings = Settings::load(config)?;
    let known = super::reference(&settings)?;
    let filled = match &settings.store.kind {
        StoreKind::Embedded => settings.store.path.exists(),
        StoreKind::Postgis(_) => true,
    };
    if !filled {
        return Ok(known);
    }
    let store = super::store(&settings)?;
    let state = store.reference().await?;
    import::in_force(&*store, &state, &known, &settings.levels).await
}

/// Whether only a place can tell what is wished for.
fn by_place(wish: &str) -> bool {
    let (head, rest) = wish.trim().split_once(':').map_or((wish, None), |(h, r)| (h, Some(r)));
    match head.parse::<Level>() {
        Ok(level) => !level.is_communal(),
        Err(_) => rest.is_some(),
    }
}

fn kind(args: &Args) -> Result<Option<Kind>> {
    let of = |id: &str| Kind::ALL.into_iter().find(|kind| kind.id().eq_ignore_ascii_case(id));
    match &args.format {
        None => {
            let extension = args.output.as_deref().and_then(Path::extension);
            Ok(extension.and_then(|e| of(&e.to_string_lossy())))
        }
        Some(format) => of(format).map(Some).ok_or_else(|| {
            Error::Invalid(text!(
                "Format « {format} » : csv, xlsx ou json.",
                "Format \"{format}\": csv, xlsx or json."
            ))
        }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let size = std::fs::metadata(path).map_err(|e| missing(path, &e))?.len();
    if size > MOST {
        let most = MOST >> 20;
        return Err(Error::Invalid(text!(
            "Table trop grosse : {most} Mio au plus.",
            "Table too large: at most {most} MiB."
        )));
    }
    std::fs::read(path).map_err(|e| missing(path, &e))
}

fn missing(path: &Path, cause: &std::io::Error) -> Error {
    let path = path.display();
    Error::Invalid(text!(
        "« {path} » ne se lit pas : {cause}",
        "\"{path}\" cannot be read: {cause}"
    ))
}

/// The account of what was done, on standard error: the table may be on standard output.
fn tell(resolved: &Resolved) {
    let (lang, done) = (out::lang(), &resolved.done);
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
        let (commune, codes, columns) = (&c.commune, c.codes.join(", "), c.columns.join(", "));
        let words = text!(
            "Conflit sur {commune} : {codes} ont des valeurs différentes ({columns}).",
            "Conflict on {commune}: {codes} have different values ({columns})."
        );
        words.get(lang).to_owned()
    }));
    for line in lines {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}
