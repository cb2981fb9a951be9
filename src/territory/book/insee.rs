//! INSEE's CSV files of the COG, known by their columns: `v_commune`, `v_departement`, `v_region`,
//! `v_arrondissement`, `v_mvtcommune`.

use super::given::{CogFile, Commune, Given, Group, Movement, Spot, broken, year_of};
use crate::{
    error::Result,
    model::{Code, Level},
    text,
};

/// INSEE's kinds of movements that are of names only, and so none of communes.
const OF_NAMES: u8 = 10;

/// A file with its columns found.
struct Rows {
    file: String,
    header: Vec<String>,
    records: Vec<(u64, csv::StringRecord)>,
}

impl Rows {
    fn read(file: &CogFile) -> Result<Self> {
        let text = match std::str::from_utf8(&file.bytes) {
            Ok(text) => text.trim_start_matches('\u{feff}').to_owned(),
            Err(_) => encoding_rs::WINDOWS_1252.decode(&file.bytes).0.into_owned(),
        };
        let head = text.lines().next().unwrap_or_default();
        let count = |b: u8| head.bytes().filter(|c| *c == b).count();
        let separator = if count(b';') > count(b',') { b';' } else { b',' };
        let mut reader =
            csv::ReaderBuilder::new().delimiter(separator).from_reader(text.as_bytes());
        let unreadable = |e: csv::Error| {
            let line = e.position().map_or(1, csv::Position::line);
            broken(
                &file.name,
                &text!(
                    "ligne {line} illisible, ou de trop ou trop peu de cellules",
                    "line {line} is unreadable, or has too many or too few cells"
                ),
            )
        };
        let header = reader.headers().map_err(unreadable)?.iter().map(str::to_owned).collect();
        let mut records = Vec::new();
        for record in reader.records() {
            let record = record.map_err(unreadable)?;
            records.push((record.position().map_or(0, csv::Position::line), record));
        }
        Ok(Self { file: file.name.clone(), header, records })
    }

    fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.header.iter().any(|h| h == name))
    }

    fn each(&self, mut row: impl FnMut(Spot, &dyn Fn(&str) -> String)) {
        for (line, record) in &self.records {
            let spot = Spot { file: self.file.clone(), line: *line };
            let cell = |name: &str| {
                let at = self.header.iter().position(|h| h == name);
                at.and_then(|at| record.get(at)).unwrap_or_default().trim().to_owned()
            };
            row(spot, &cell);
        }
    }

    fn groups(&self, code: &str, of: &str) -> Vec<Group> {
        let mut groups = Vec::with_capacity(self.records.len());
        self.each(|spot, cell| {
            let of = if of.is_empty() { String::new() } else { cell(of) };
            groups.push(Group {
                spot,
                code: cell(code),
                name: cell("LIBELLE"),
                of,
                members: Vec::new(),
            });
        });
        groups
    }
}

/// Reads one file into what is given.
pub(super) fn read(file: &CogFile, given: &mut Given) -> Result<()> {
    let rows = Rows::read(file)?;
    if rows.has(&["MOD", "DATE_EFF", "TYPECOM_AV", "COM_AV", "TYPECOM_AP", "COM_AP"]) {
        given.list("mouvements", &file.name)?;
        given.moves = Some(movements(&rows, given));
        return Ok(());
    }
    if rows.has(&["TYPECOM", "COM", "LIBELLE", "COMPARENT"]) {
        given.list("communes", &file.name)?;
        given.communes = Some(communes(&rows, given));
    } else if rows.has(&["ARR", "DEP", "LIBELLE"]) {
        given.list("arrondissements", &file.name)?;
        given.arrs = Some(rows.groups("ARR", "DEP"));
    } else if rows.has(&["DEP", "REG", "LIBELLE"]) && !rows.has(&["CAN"]) && !rows.has(&["CTCD"]) {
        given.list("départements", &file.name)?;
        given.deps = Some(rows.groups("DEP", "REG"));
    } else if rows.has(&["REG", "CHEFLIEU", "LIBELLE"])
        && !rows.has(&["CTCD"])
        && !rows.has(&["CAN"])
    {
        given.list("régions", &file.name)?;
        given.regs = Some(rows.groups("REG", ""));
    } else if rows.has(&["LIBELLE"]) || rows.has(&["code_commune", "code_collectivite"]) {
        let name = &file.name;
        given.notes.push(text!(
            "{name} : laissé de côté (ni communes, ni départements, ni régions, ni arrondissements, ni mouvements).",
            "{name}: left out (neither communes, nor départements, régions, arrondissements or movements)."
        ));
        return Ok(());
    } else {
        let known: Vec<String> = rows.header.iter().take(12).cloned().collect();
        let known = known.join(", ");
        return Err(broken(
            &file.name,
            &text!(
                "ce n'est pas un fichier du COG. Colonnes : {known}. Attendus : v_commune, v_departement, v_region, v_arrondissement, v_mvtcommune de l'INSEE, ou les .json du paquet @etalab/decoupage-administratif",
                "this is no file of the COG. Columns: {known}. Expected: INSEE's v_commune, v_departement, v_region, v_arrondissement, v_mvtcommune, or the .json files of the package @etalab/decoupage-administratif"
            ),
        ));
    }
    given.dated(year_of(&file.name), &file.name)
}

fn communes(rows: &Rows, given: &mut Given) -> Vec<Commune> {
    let mut communes = Vec::with_capacity(rows.records.len());
    rows.each(|spot, cell| {
        let kind = cell("TYPECOM");
        let level = match kind.as_str() {
            "COM" => Level::Com,
            "ARM" => Level::Arm,
            "COMD" => Level::Comd,
            "COMA" => Level::Coma,
            _ => {
                return given.faults.add(
                    &spot,
                    text!(
                        "TYPECOM « {kind} » : COM, ARM, COMD ou COMA",
                        "TYPECOM \"{kind}\": COM, ARM, COMD or COMA"
                    ),
                );
            }
        };
        communes.push(Commune {
            spot,
            level: Some(level),
            code: cell("COM"),
            name: cell("LIBELLE"),
            dep: cell("DEP"),
            reg: cell("REG"),
            arr: cell("ARR"),
            parent: cell("COMPARENT"),
            ..Commune::default()
        });
    });
    communes
}

/// The movements of communes: those of parts of communes and of names are none.
fn movements(rows: &Rows, given: &mut Given) -> Vec<Movement> {
    let mut moves = Vec::new();
    rows.each(|spot, cell| {
        let (before, after) = (cell("TYPECOM_AV"), cell("TYPECOM_AP"));
        let created = before.is_empty() && cell("COM_AV").is_empty();
        if after != "COM" || !(before == "COM" || created) {
            return;
        }
        let (date, kind) = (cell("DATE_EFF"), cell("MOD"));
        let (from, to) = (cell("COM_AV"), cell("COM_AP"));
        let commune = |code: &str| Code::new(Level::Com, code).is_ok();
        let (Some(day), Ok(kind)) = (day(&date), kind.parse::<u8>()) else {
            return given.faults.add(
                &spot,
                text!(
                    "date « {date} » ou MOD « {kind} » illisible",
                    "unreadable date \"{date}\" or MOD \"{kind}\""
                ),
            );
        };
        if !commune(&to) || !(created || commune(&from)) {
            return given.faults.add(
                &spot,
                text!(
                    "« {from} » ou « {to} » n'a pas la forme d'un code de commune",
                    "\"{from}\" or \"{to}\" has not the form of a commune's code"
                ),
            );
        }
        if kind != OF_NAMES {
            moves.push(Movement { date: day, kind, from, from_name: cell("LIBELLE_AV"), to });
        }
    });
    moves
}

/// `2024-01-01`, or `01/01/2024` as older files write it.
fn day(text: &str) -> Option<u32> {
    let date = match text.split('/').collect::<Vec<_>>().as_slice() {
        [d, m, y] => format!("{y}-{m}-{d}").parse::<jiff::civil::Date>().ok()?,
        _ => text.parse::<jiff::civil::Date>().ok()?,
    };
    let number = |n: i8| u32::try_from(n).ok();
    Some(
        u32::try_from(date.year()).ok()? * 10_000
            + number(date.month())? * 100
            + number(date.day())?,
    )
}
