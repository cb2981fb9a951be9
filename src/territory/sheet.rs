//! A table of old codes put on today's territories: the same rows with their commune of today,
//! the parents asked for, and what became of each code. Nothing is merged, summed or picked: rows
//! that meet on one commune with different values are listed.
//!
//! The commune of a row is told by a code, or by a name and its département. Columns are named by
//! the caller or recognised by their usual names.

use super::{Carry, Detected, Fate, Passage, Reference, Verdict};
use crate::{
    error::{Error, Result},
    model::{Level, TerritoryCode, Text},
    text,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A table of texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sheet {
    /// Column names.
    pub header: Vec<String>,
    /// Rows, each as long as the header.
    pub rows: Vec<Vec<String>>,
}

/// What to do with a table.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// The column of commune codes; recognised when not given.
    pub code: Option<String>,
    /// The column of commune names, used when there is none of codes.
    pub name: Option<String>,
    /// The column of départements (code or name) that goes with the names.
    pub department: Option<String>,
    /// The vintage of the codes as declared; else the one they show.
    pub vintage: Option<u16>,
    /// The levels to add, besides the commune.
    pub parents: Vec<Level>,
}

/// Rows of different codes that meet on one commune with different values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meeting {
    /// The commune.
    pub commune: TerritoryCode,
    /// The codes as written.
    pub codes: Vec<String>,
}

/// A table put on today's territories.
#[derive(Debug, Clone)]
pub struct CarriedSheet {
    /// The table, with columns added at its end.
    pub sheet: Sheet,
    /// Rows by verdict.
    pub counts: BTreeMap<Verdict, u64>,
    /// The vintage the codes show.
    pub detected: Option<Detected>,
    /// The vintage they were carried from.
    pub vintage: Option<u16>,
    /// Where rows meet with different values.
    pub conflicts: Vec<Meeting>,
    /// What was recognised and done.
    pub notes: Vec<Text>,
}

/// Usual names of columns, in lower case without accents or separators; the likelier first.
const CODES: &[&str] = &[
    "codeinsee",
    "codecommune",
    "inseecom",
    "codgeo",
    "insee",
    "depcom",
    "codecom",
    "codeinseecommune",
    "communecode",
    "comminsee",
    "cominsee",
    "com",
    "code",
];
const NAMES: &[&str] =
    &["nomcommune", "commune", "nomcom", "libgeo", "libelle", "libcom", "ville", "nom"];
const DEPARTMENTS: &[&str] = &["codedepartement", "departement", "dep", "coddep", "codedep", "dpt"];

impl Sheet {
    /// Reads delimited text: the separator is the one of `;`, `,`, tab and `|` that the header
    /// holds most of. Also gives that separator back.
    ///
    /// # Errors
    /// [`Error::Refused`] naming the line when a row has more cells than the header, or there is
    /// no header.
    pub fn from_csv(text: &str) -> Result<(Self, u8)> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let head = text.lines().next().unwrap_or_default();
        let count = |separator: &u8| head.bytes().filter(|b| b == separator).count();
        let separator = [b'|', b'\t', b',', b';'].into_iter().max_by_key(count).unwrap_or(b';');
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .flexible(true)
            .from_reader(text.as_bytes());
        let unreadable = |e: csv::Error| {
            let line = e.position().map_or(1, csv::Position::line);
            Error::Refused(text!(
                "Table illisible à la ligne {line}.",
                "Unreadable table at line {line}."
            ))
        };
        let header: Vec<String> =
            reader.headers().map_err(unreadable)?.iter().map(str::to_owned).collect();
        if header.iter().all(|name| name.trim().is_empty()) {
            return Err(Error::Refused(text!("La table est vide.", "The table is empty.")));
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(unreadable)?;
            let mut row: Vec<String> = record.iter().map(str::to_owned).collect();
            if row.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            let (found, expected) = (row.len(), header.len());
            if row.iter().skip(expected).any(|cell| !cell.is_empty()) {
                let line = record.position().map_or(0, csv::Position::line);
                return Err(Error::Refused(text!(
                    "Ligne {line} : {found} cellules au lieu de {expected}.",
                    "Line {line}: {found} cells instead of {expected}."
                )));
            }
            row.resize(expected, String::new());
            rows.push(row);
        }
        Ok((Self { header, rows }, separator))
    }

    /// Writes delimited text, LF line ends.
    pub fn to_csv(&self, separator: u8) -> Result<Vec<u8>> {
        let mut writer = csv::WriterBuilder::new().delimiter(separator).from_writer(Vec::new());
        let fault = |e| Error::fault("writing a table", e);
        writer.write_record(&self.header).map_err(fault)?;
        for row in &self.rows {
            writer.write_record(row).map_err(fault)?;
        }
        writer.into_inner().map_err(|e| Error::fault("writing a table", e.to_string()))
    }

    fn column(&self, asked: Option<&str>, usual: &[&str]) -> Result<Option<usize>> {
        if let Some(asked) = asked {
            let found = self.header.iter().position(|name| name == asked);
            return found.map(Some).ok_or_else(|| {
                let known = self.header.join(", ");
                Error::Invalid(text!(
                    "La colonne « {asked} » n'est pas dans la table. Colonnes : {known}.",
                    "Column \"{asked}\" is not in the table. Columns: {known}."
                ))
            });
        }
        let plain: Vec<String> = self.header.iter().map(|name| plain(name)).collect();
        Ok(usual.iter().find_map(|usual| plain.iter().position(|name| name == usual)))
    }
}

/// A name in lower case, without accents or separators.
fn plain(name: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    name.nfd().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect()
}

/// Which columns tell the commune.
enum By {
    Code(usize),
    Name { name: usize, department: Option<usize> },
}

/// One row, judged.
struct Judged {
    fate: Fate,
    note: Option<Text>,
}

/// Puts tables on the territories of a reference.
pub struct Carrier {
    reference: Arc<Reference>,
}

impl Carrier {
    /// A carrier to the communes of `reference`.
    pub fn new(reference: Arc<Reference>) -> Self {
        Self { reference }
    }

    /// Puts a table on today's territories.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a named column is not there or none can be recognised.
    pub fn carry(&self, sheet: Sheet, ask: &Ask) -> Result<CarriedSheet> {
        let by = self.columns(&sheet, ask)?;
        let mut notes = vec![said(&sheet, &by)];
        let detected = match &by {
            By::Code(column) => {
                let cells = sheet.rows.iter().filter_map(|row| row.get(*column));
                let codes: Vec<String> = cells.map(|cell| whole(cell).0).collect();
                self.reference.detect(codes.iter().map(String::as_str))
            }
            By::Name { .. } => None,
        };
        let agreed = |year: &u16| detected.is_some_and(|d| (d.first..=d.last).contains(year));
        let vintage = ask.vintage.filter(agreed).or(detected.map(|d| d.vintage));
        if let (Some(declared), Some(found)) = (ask.vintage.filter(|y| !agreed(y)), detected) {
            let (first, last) = (found.first, found.last);
            notes.push(text!(
                "Millésime déclaré {declared}, mais les codes sont ceux de {first} à {last}.",
                "Vintage declared {declared}, but the codes are those of {first} to {last}."
            ));
        }
        let passage = Passage::new(&self.reference, vintage.unwrap_or(self.reference.vintage()));
        let judged: Vec<Judged> =
            sheet.rows.iter().map(|row| self.judge(row, &by, &passage)).collect();
        let mut counts = BTreeMap::new();
        for one in &judged {
            *counts.entry(one.fate.verdict).or_default() += 1;
        }
        let conflicts = match &by {
            By::Code(column) => self.conflicts(&sheet, *column, &judged),
            By::Name { .. } => Vec::new(),
        };
        let sheet = self.widen(sheet, &judged, &ask.parents);
        Ok(CarriedSheet { sheet, counts, detected, vintage, conflicts, notes })
    }

    fn columns(&self, sheet: &Sheet, ask: &Ask) -> Result<By> {
        if ask.name.is_none()
            && let Some(code) = sheet.column(ask.code.as_deref(), CODES)?
        {
            return Ok(By::Code(code));
        }
        let department = sheet.column(ask.department.as_deref(), DEPARTMENTS)?;
        match sheet.column(ask.name.as_deref(), NAMES)? {
            Some(name) => Ok(By::Name { name, department }),
            None => {
                let known = sheet.header.join(", ");
                Err(Error::Invalid(text!(
                    "Aucune colonne de codes de commune (ni de noms) reconnue : nommez-la. Colonnes : {known}.",
                    "No column of commune codes (or names) is recognised: name it. Columns: {known}."
                )))
            }
        }
    }

    fn judge(&self, row: &[String], by: &By, passage: &Passage) -> Judged {
        let cell = |column: usize| row.get(column).map_or("", |cell| cell.trim());
        match by {
            By::Code(column) => self.by_code(cell(*column), passage),
            By::Name { name, department } => self.by_name(cell(*name), department.map(cell)),
        }
    }

    fn by_code(&self, cell: &str, passage: &Passage) -> Judged {
        let (code, padded) = whole(cell);
        let fate = passage.fate(&code);
        let part = |level| TerritoryCode::new(level, &code).ok();
        if fate.verdict == Verdict::Unknown {
            // An arrondissement municipal where a commune is expected.
            let arm = part(Level::Arm).and_then(|arm| self.reference.get(&arm));
            let commune = arm.as_ref().and_then(|a| a.parents.first());
            if let Some(Carry::Current(rank)) =
                commune.map(|c| self.reference.carry(c.code.as_str()))
            {
                let name = arm.map(|a| a.name).unwrap_or_default();
                let fate = Fate { verdict: Verdict::Carried, to: vec![rank], main: Some(rank) };
                let note = text!(
                    "{code} est l'arrondissement municipal {name} : sa commune a été prise.",
                    "{code} is the municipal arrondissement {name}: its commune was taken."
                );
                return Judged { fate, note: Some(note) };
            }
        }
        let names = |ranks: &[u32]| {
            let codes = ranks.iter().filter_map(|rank| self.reference.commune(*rank));
            codes.map(|c| c.code.to_string()).collect::<Vec<_>>().join(", ")
        };
        let deleguee = [Level::Comd, Level::Coma].into_iter().filter_map(part);
        let deleguee = deleguee.filter_map(|c| self.reference.get(&c)).next();
        let note = match (fate.verdict, deleguee) {
            (Verdict::Undecidable, _) => {
                let to = names(&fate.to);
                Some(text!("partagée entre {to}", "shared out between {to}"))
            }
            (Verdict::Redefined, _) if fate.to.len() > 1 => {
                let to = names(&fate.to);
                Some(text!(
                    "son territoire est aujourd'hui dans {to}",
                    "its territory is today in {to}"
                ))
            }
            (Verdict::Unchanged | Verdict::Redefined, Some(part)) => {
                let (name, level) = (part.name, part.code.level);
                Some(text!(
                    "{code} est aussi le code de {name} ({level}:{code}) : la commune a été prise ; vérifiez laquelle est voulue.",
                    "{code} is also the code of {name} ({level}:{code}): the commune was taken; check which one is meant."
                ))
            }
            _ if padded && fate.verdict != Verdict::Unknown => {
                Some(text!("zéro initial rétabli : {code}", "leading zero restored: {code}"))
            }
            _ => None,
        };
        Judged { fate, note }
    }

    fn by_name(&self, name: &str, department: Option<&str>) -> Judged {
        let unknown = |note| Judged { fate: Fate::unknown(), note: Some(note) };
        let wanted = plain(name);
        let mut found: Vec<TerritoryCode> = Vec::new();
        for territory in self.reference.search(name, Some(Level::Com), 50) {
            let dep = territory.department.as_ref();
            let there = department.is_none_or(|asked| {
                dep.is_some_and(|d| {
                    let code = d.code.code.as_str();
                    code == asked || code == format!("0{asked}") || plain(&d.name) == plain(asked)
                })
            });
            if there && plain(&territory.name) == wanted {
                found.push(territory.code);
            }
        }
        match found.as_slice() {
            [one] => match self.reference.carry(one.code.as_str()) {
                Carry::Current(rank) => {
                    let fate =
                        Fate { verdict: Verdict::Unchanged, to: vec![rank], main: Some(rank) };
                    Judged { fate, note: None }
                }
                _ => unknown(text!("inconnue", "unknown")),
            },
            [] => unknown(text!("aucune commune de ce nom", "no commune of this name")),
            several => {
                let list = several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let ranks =
                    several.iter().filter_map(|c| match self.reference.carry(c.code.as_str()) {
                        Carry::Current(rank) => Some(rank),
                        _ => None,
                    });
                let fate = Fate { verdict: Verdict::Undecidable, to: ranks.collect(), main: None };
                Judged {
                    fate,
                    note: Some(text!(
                        "plusieurs communes de ce nom : {list}",
                        "several communes of this name: {list}"
                    )),
                }
            }
        }
    }

    /// Where rows of several codes, one row each, meet with different values.
    fn conflicts(&self, sheet: &Sheet, column: usize, judged: &[Judged]) -> Vec<Meeting> {
        let code = |row: &[String]| row.get(column).map(|c| whole(c).0).unwrap_or_default();
        let mut met: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for (i, (row, one)) in sheet.rows.iter().zip(judged).enumerate() {
            let Some(rank) = one.fate.main else { continue };
            if !seen.insert(code(row)) {
                return Vec::new();
            }
            met.entry(rank).or_default().push(i);
        }
        // A column of which nearly each row has its own value names the place.
        let naming = |at: &usize| {
            let distinct: BTreeSet<&str> =
                sheet.rows.iter().filter_map(|r| r.get(*at)).map(String::as_str).collect();
            *at == column || distinct.len() * 10 >= sheet.rows.len() * 8
        };
        let values: Vec<usize> = (0..sheet.header.len()).filter(|at| !naming(at)).collect();
        let row = |i: usize| sheet.rows.get(i).map_or(&[][..], Vec::as_slice);
        let differ = |rows: &[usize]| {
            let first = rows.first().map_or(&[][..], |i| row(*i));
            rows.iter().any(|i| values.iter().any(|at| row(*i).get(*at) != first.get(*at)))
        };
        met.into_iter()
            .filter(|(_, rows)| rows.len() > 1 && differ(rows))
            .filter_map(|(rank, rows)| {
                let codes = rows.into_iter().map(|i| code(row(i))).collect();
                Some(Meeting { commune: self.reference.commune(rank)?, codes })
            })
            .collect()
    }

    /// Adds the columns: commune, name, parents, verdict, note.
    fn widen(&self, mut sheet: Sheet, judged: &[Judged], parents: &[Level]) -> Sheet {
        let mut added: Vec<String> = vec!["socle_com".into(), "socle_com_nom".into()];
        added.extend(parents.iter().map(|level| format!("socle_{level}")));
        added.extend(["socle_verdict".into(), "socle_note".into()]);
        sheet.header.extend(added);
        for (row, one) in sheet.rows.iter_mut().zip(judged) {
            let commune = one.fate.main.and_then(|rank| self.reference.commune(rank));
            let territory = commune.as_ref().and_then(|code| self.reference.get(code));
            row.push(commune.map(|c| c.code.to_string()).unwrap_or_default());
            row.push(territory.as_ref().map(|t| t.name.clone()).unwrap_or_default());
            for level in parents {
                let of =
                    territory.as_ref().and_then(|t| t.parents.iter().find(|p| p.level == *level));
                row.push(of.map(|p| p.code.to_string()).unwrap_or_default());
            }
            row.push(one.fate.verdict.id().to_owned());
            row.push(one.note.as_ref().map(|note| note.fr.clone()).unwrap_or_default());
        }
        sheet
    }
}

/// A code with the leading zero that a spreadsheet took from it, and whether it had.
fn whole(cell: &str) -> (String, bool) {
    let cell = cell.trim();
    let padded = cell.len() == 4 && cell.bytes().all(|b| b.is_ascii_digit());
    if padded { (format!("0{cell}"), true) } else { (cell.to_owned(), false) }
}

fn said(sheet: &Sheet, by: &By) -> Text {
    let name = |column: &usize| sheet.header.get(*column).cloned().unwrap_or_default();
    match by {
        By::Code(column) => {
            let column = name(column);
            text!("Codes de commune : colonne « {column} ».", "Commune codes: column \"{column}\".")
        }
        By::Name { name: column, .. } => {
            let column = name(column);
            text!("Noms de commune : colonne « {column} ».", "Commune names: column \"{column}\".")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn carried(csv: &str, ask: &Ask) -> CarriedSheet {
        let (sheet, _) = Sheet::from_csv(csv).unwrap();
        Carrier::new(Reference::builtin()).carry(sheet, ask).unwrap()
    }

    fn cell<'a>(out: &'a CarriedSheet, row: usize, column: &str) -> &'a str {
        let at = out.sheet.header.iter().position(|name| name == column).unwrap();
        &out.sheet.rows[row][at]
    }

    #[test]
    fn rows_get_their_commune_parents_and_verdict() {
        let ask = Ask { parents: vec![Level::Epci, Level::Dep], ..Ask::default() };
        let out = carried("Code INSEE;n\n60455;1\n1001;2\n01015;3\n99999;4\n75101;5\n", &ask);
        assert_eq!(
            (cell(&out, 0, "socle_com"), cell(&out, 0, "socle_verdict")),
            ("60694", "carried")
        );
        assert_eq!(cell(&out, 0, "socle_dep"), "60");
        assert_eq!(cell(&out, 1, "socle_com"), "01001");
        assert!(cell(&out, 1, "socle_note").contains("01001"));
        assert_eq!(cell(&out, 1, "Code INSEE"), "1001");
        assert!(cell(&out, 2, "socle_note").contains("comd:01015"), "{:?}", out.sheet.rows[2]);
        assert_eq!((cell(&out, 3, "socle_com"), cell(&out, 3, "socle_verdict")), ("", "unknown"));
        assert_eq!(cell(&out, 4, "socle_com"), "75056");
        assert!(out.detected.is_some_and(|d| d.last == 2018));
        assert_eq!(out.counts[&Verdict::Carried], 2);
    }

    #[test]
    fn names_need_their_departement_when_several_bear_them() {
        let out = carried(
            "Commune,Département\nSaint-Denis,93\nSaint-Denis,\nLille,Nord\nNulle part,59\n",
            &Ask::default(),
        );
        assert_eq!(cell(&out, 0, "socle_com"), "93066");
        assert_eq!(cell(&out, 2, "socle_com"), "59350");
        assert_eq!(cell(&out, 3, "socle_verdict"), "unknown");
    }

    #[test]
    fn rows_that_meet_with_different_values_are_listed() {
        let table = "insee_com,statut\n93059,C\n93066,NC\n59350,C\n60455,C\n60694,C\n";
        let out = carried(table, &Ask { vintage: Some(2018), ..Ask::default() });
        assert_eq!(out.vintage, Some(2018));
        let [only] = out.conflicts.as_slice() else { panic!("{:?}", out.conflicts) };
        assert_eq!((only.commune.to_string().as_str(), only.codes.len()), ("com:93066", 2));
        // A table with several rows of one code is of things in communes, not of communes.
        let out = carried("insee_com,statut\n93059,C\n93059,D\n93066,NC\n", &Ask::default());
        assert!(out.conflicts.is_empty());
    }

    #[test]
    fn columns_that_are_not_there_are_named() {
        let (sheet, _) = Sheet::from_csv("a;b\n1;2\n").unwrap();
        let carrier = Carrier::new(Reference::builtin());
        let refused = carrier.carry(sheet.clone(), &Ask::default()).unwrap_err();
        assert!(refused.to_string().contains("a, b"), "{refused}");
        let ask = Ask { code: Some("c".into()), ..Ask::default() };
        assert!(carrier.carry(sheet, &ask).unwrap_err().to_string().contains("« c »"));
        assert!(Sheet::from_csv("").is_err());
        assert!(
            Sheet::from_csv("a,b\n1,2,3\n").unwrap_err().to_string().contains("ligne 2")
                || Sheet::from_csv("a,b\n1,2,3\n").unwrap_err().to_string().contains("Ligne 2")
        );
    }

    proptest! {
        #[test]
        fn any_text_is_a_table_or_refused(text in r"\PC{0,60}(\n\PC{0,60}){0,5}") {
            if let Ok((sheet, separator)) = Sheet::from_csv(&text) {
                prop_assert!(sheet.rows.iter().all(|row| row.len() == sheet.header.len()));
                let rows = sheet.rows.len();
                if let Ok(out) = Carrier::new(Reference::builtin()).carry(sheet, &Ask::default()) {
                    prop_assert_eq!(out.sheet.rows.len(), rows);
                    prop_assert!(out.sheet.to_csv(separator).is_ok());
                }
            }
        }

        #[test]
        fn carrying_twice_changes_nothing(codes in proptest::collection::vec("[0-9]{5}", 1..30)) {
            let once = carried(&format!("code\n{}\n", codes.join("\n")), &Ask::default());
            let now: Vec<String> = (0..once.sheet.rows.len())
                .map(|i| cell(&once, i, "socle_com").to_owned()).filter(|c| !c.is_empty()).collect();
            prop_assume!(!now.is_empty());
            let twice = carried(&format!("code\n{}\n", now.join("\n")), &Ask::default());
            for (i, code) in now.iter().enumerate() {
                prop_assert_eq!(cell(&twice, i, "socle_com"), code.as_str());
            }
        }
    }
}
