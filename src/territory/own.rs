//! Levels that the configuration adds, as tables of member communes: which territories they have,
//! and of which communes each is made today.
//!
//! Old commune codes are carried to the reference as those of any table. A commune is in one
//! territory of a level: a table that says otherwise is refused, with the lines. Where two old
//! communes of different territories are one today, the row that bears the code of today decides;
//! without such a row the commune is in neither. Both are reported.

use super::{Department, Passage, Reference, Territory, Verdict, sheet::usual_codes, table::NONE};
use crate::{
    error::{Error, Result},
    model::{Code, Level, LevelDef, LevelSource, LevelTable, RankSet, TerritoryCode, Text},
    text,
};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Codes that a report names; the others are counted.
const NAMED: usize = 20;

/// A level of the configuration.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) level: Level,
    /// 8 hexadecimal digits over the territories and their communes.
    pub(super) fingerprint: String,
    /// In the order of their codes.
    pub(super) list: Vec<OwnUnit>,
}

/// A territory of such a level.
#[derive(Debug)]
pub(super) struct OwnUnit {
    pub(super) code: TerritoryCode,
    pub(super) name: String,
    pub(super) communes: RankSet,
}

/// What was found in a table of member communes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelReport {
    /// The level.
    pub level: Level,
    /// The file, as the configuration names it.
    pub file: String,
    /// Territories read.
    pub territories: usize,
    /// Communes of today that are in one.
    pub communes: usize,
    /// The year that the commune codes are of.
    pub vintage: Option<u16>,
    /// Old codes and the communes they were carried to.
    pub carried: Vec<(String, String)>,
    /// Communes of today claimed by several territories through old codes, with these codes.
    pub conflicts: Vec<(String, Vec<String>)>,
    /// Codes of communes shared out since: they say nothing of the heirs.
    pub undecidable: Vec<String>,
    /// Codes that are no commune's, with their lines.
    pub unknown: Vec<(u64, String)>,
}

impl LevelReport {
    /// Whether a person should look at it.
    pub fn is_clean(&self) -> bool {
        self.conflicts.is_empty() && self.undecidable.is_empty() && self.unknown.is_empty()
    }

    /// What was found, in lines.
    pub fn lines(&self) -> Vec<Text> {
        let Self { level, file, territories, communes, .. } = self;
        let mut lines = vec![match self.vintage {
            Some(year) => text!(
                "{level} : {territories} territoires, {communes} communes ({file}, codes de {year})",
                "{level}: {territories} territories, {communes} communes ({file}, codes of {year})"
            ),
            None => text!(
                "{level} : {territories} territoires, {communes} communes ({file})",
                "{level}: {territories} territories, {communes} communes ({file})"
            ),
        }];
        let mut add = |list: Vec<String>, fr: &str, en: &str| {
            let (count, more) = (list.len(), if list.len() > NAMED { "…" } else { "" });
            if count > 0 {
                let shown = list.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
                lines.push(text!("{count} {fr} : {shown}{more}", "{count} {en}: {shown}{more}"));
            }
        };
        let pair = |(from, to): &(String, String)| format!("{from} → {to}");
        add(self.carried.iter().map(pair).collect(), "anciens codes reportés", "old codes carried");
        let claims =
            |(commune, codes): &(String, Vec<String>)| format!("{commune} ← {}", codes.join(", "));
        add(
            self.conflicts.iter().map(claims).collect(),
            "communes que d'anciens codes mettent dans plusieurs territoires",
            "communes that old codes put into several territories",
        );
        add(
            self.undecidable.clone(),
            "codes de communes partagées depuis, sans effet",
            "codes of communes shared out since, without effect",
        );
        let at = |(line, code): &(u64, String)| format!("{code} (l. {line})");
        add(self.unknown.iter().map(at).collect(), "codes inconnus", "unknown codes");
        lines
    }
}

/// A row's claim on a commune of today.
struct Claim {
    territory: Code,
    /// The code as written.
    from: String,
    line: u64,
    /// Whether that is the commune's code of today.
    direct: bool,
}

impl Reference {
    /// The same reference with the levels that tables of member communes add, and what was found in
    /// these.
    ///
    /// # Errors
    /// [`Error::Invalid`], naming file and line, when a table cannot be taken.
    pub fn with_levels(
        self: &Arc<Self>,
        levels: &[LevelDef],
    ) -> Result<(Arc<Self>, Vec<LevelReport>)> {
        let (mut own, mut reports) = (Vec::new(), Vec::new());
        for def in levels {
            if let LevelSource::Table(table) = &def.source {
                let (level, report) = self.read_level(def.level, table)?;
                own.push(level);
                reports.push(report);
            }
        }
        if own.is_empty() {
            return Ok((self.clone(), reports));
        }
        let with = Self { table: self.table.clone(), own, ..Self::default() };
        Ok((Arc::new(with), reports))
    }

    /// Names the territories of a level of the configuration and their communes, in keys of what
    /// is made from them; `None` for other levels.
    pub fn level_key(&self, level: Level) -> Option<&str> {
        self.own(level).map(|own| own.fingerprint.as_str())
    }

    /// The same of all of them.
    pub fn levels_key(&self) -> String {
        let each = self.own.iter().map(|own| format!("{}@{}", own.level, own.fingerprint));
        each.collect::<Vec<_>>().join("+")
    }

    pub(super) fn own(&self, level: Level) -> Option<&Own> {
        self.own.iter().find(|own| own.level == level)
    }

    pub(super) fn own_unit(&self, code: &TerritoryCode) -> Option<&OwnUnit> {
        let list = &self.own(code.level)?.list;
        list.binary_search_by(|unit| unit.code.cmp(code)).ok().and_then(|at| list.get(at))
    }

    /// The territories of configured levels that a commune is in.
    pub(super) fn own_of(&self, rank: u32) -> impl Iterator<Item = TerritoryCode> + '_ {
        let of = move |own: &Own| {
            let unit = own.list.iter().find(|unit| unit.communes.contains(rank));
            unit.map(|unit| unit.code.clone())
        };
        self.own.iter().filter_map(of)
    }

    /// Everything known of a territory of a configured level.
    pub(super) fn own_territory(&self, unit: &OwnUnit) -> Territory {
        let table = &self.table;
        let mut above: [BTreeSet<u32>; 2] = Default::default();
        for place in unit.communes.iter().filter_map(|rank| table.place(rank)) {
            above[0].insert(place.dep);
            above[1].extend(table.parent(place.dep));
        }
        let parents = self.codes(above.iter().flatten().copied().filter(|unit| *unit != NONE));
        let mut departments = parents.iter().filter(|parent| parent.level == Level::Dep);
        let department = match (departments.next(), departments.next()) {
            (Some(only), None) => Some(Department { code: only.clone(), name: self.name(only) }),
            _ => None,
        };
        let population = unit.communes.iter().filter_map(|rank| table.population(rank));
        Territory {
            code: unit.code.clone(),
            name: unit.name.clone(),
            population: Some(population.sum()).filter(|sum| *sum > 0),
            postal_codes: Vec::new(),
            parents,
            department,
            epci_kind: None,
        }
    }

    fn read_level(
        self: &Arc<Self>,
        level: Level,
        table: &LevelTable,
    ) -> Result<(Own, LevelReport)> {
        let rows = Rows::read(level, table)?;
        let mut report = LevelReport {
            level,
            file: table.file.clone(),
            territories: rows.names.len(),
            communes: 0,
            vintage: None,
            carried: Vec::new(),
            conflicts: Vec::new(),
            undecidable: Vec::new(),
            unknown: Vec::new(),
        };
        let claims = self.claims(&rows, &mut report);
        let mut communes: BTreeMap<Code, Vec<u32>> = BTreeMap::new();
        for (rank, claims) in &claims {
            if let Some(territory) = self.settle(*rank, claims, table, &mut report)? {
                communes.entry(territory).or_default().push(*rank);
                report.communes += 1;
            }
        }
        let mut hash = Sha256::new();
        let mut list = Vec::with_capacity(rows.names.len());
        for (code, name) in rows.names {
            let ranks = communes.remove(&code).unwrap_or_default();
            hash.update(format!("{code}={name:?}:{ranks:?}\n"));
            let communes = RankSet::from_ranks(ranks);
            let name = name.unwrap_or_else(|| code.to_string());
            list.push(OwnUnit { code: TerritoryCode { level, code }, name, communes });
        }
        let fingerprint = hash.finalize().iter().take(4).map(|b| format!("{b:02x}")).collect();
        Ok((Own { level, fingerprint, list }, report))
    }

    /// Which rows claim which communes of today.
    fn claims(
        self: &Arc<Self>,
        rows: &Rows,
        report: &mut LevelReport,
    ) -> BTreeMap<u32, Vec<Claim>> {
        let whole = |code: &str| match code.len() {
            4 if code.bytes().all(|b| b.is_ascii_digit()) => format!("0{code}"),
            _ => code.to_owned(),
        };
        let codes: Vec<String> = rows.members.iter().map(|m| whole(&m.commune)).collect();
        let detected = self.detect(codes.iter().map(String::as_str));
        report.vintage = detected.map(|d| d.vintage);
        let passage = Passage::new(self, report.vintage.unwrap_or(self.vintage()));
        let mut claims: BTreeMap<u32, Vec<Claim>> = BTreeMap::new();
        for (member, code) in rows.members.iter().zip(codes) {
            let fate = passage.fate(&code);
            let arm = self.table.unit(Level::Arm, &code).and_then(|arm| self.table.parent(arm));
            let name = |rank: u32| self.commune(rank).map(|c| c.code.to_string());
            let rank = match (fate.verdict, fate.main, arm) {
                (Verdict::Unknown, _, Some(commune)) => commune,
                (Verdict::Unknown, _, None) => {
                    report.unknown.push((member.line, member.commune.clone()));
                    continue;
                }
                (_, Some(rank), _) => rank,
                (_, None, _) => {
                    report.undecidable.push(code);
                    continue;
                }
            };
            let direct = self.table.code_text(rank) == code;
            if !direct {
                report.carried.push((code.clone(), name(rank).unwrap_or_default()));
            }
            let territory = member.territory.clone();
            claims.entry(rank).or_default().push(Claim {
                territory,
                from: code,
                line: member.line,
                direct,
            });
        }
        claims
    }

    /// The territory that a commune of today is in, of those that claim it.
    fn settle(
        &self,
        rank: u32,
        claims: &[Claim],
        table: &LevelTable,
        report: &mut LevelReport,
    ) -> Result<Option<Code>> {
        let agreed = |list: &[&Claim]| {
            let first = list.first()?;
            let same = list.iter().all(|claim| claim.territory == first.territory);
            same.then(|| first.territory.clone())
        };
        let all: Vec<&Claim> = claims.iter().collect();
        if let Some(territory) = agreed(&all) {
            return Ok(Some(territory));
        }
        let direct: Vec<&Claim> = all.iter().copied().filter(|claim| claim.direct).collect();
        let decided = agreed(&direct);
        if let (None, Some(first), Some(other)) = (&decided, direct.first(), direct.last()) {
            let (file, line, before) = (&table.file, other.line, first.line);
            let (commune, a, b) = (&first.from, &first.territory, &other.territory);
            return Err(Error::Invalid(text!(
                "{file}:{line} : la commune {commune} est déjà dans {a} (ligne {before}) et serait aussi dans {b} : un niveau fait de communes n'en met aucune dans deux territoires",
                "{file}:{line}: commune {commune} is in {a} already (line {before}) and would be in {b} as well: a level made of communes puts none into two territories"
            )));
        }
        let commune = self.commune(rank).map(|c| c.code.to_string()).unwrap_or_default();
        let codes = all.iter().map(|claim| format!("{} ({})", claim.from, claim.territory));
        report.conflicts.push((commune, codes.collect()));
        Ok(decided)
    }
}

/// A commune and the territory it is in, as a row says.
struct Member {
    line: u64,
    commune: String,
    territory: Code,
}

/// What a table says.
struct Rows {
    members: Vec<Member>,
    /// Names by code; the first one given.
    names: BTreeMap<Code, Option<String>>,
}

impl Rows {
    fn read(level: Level, table: &LevelTable) -> Result<Self> {
        let file = &table.file;
        let invalid = |line: u64, what: Text| {
            let Text { fr, en } = what;
            Error::Invalid(text!("{file}:{line} : {fr}", "{file}:{line}: {en}"))
        };
        let cells = Cells::read(&table.text).map_err(|line| {
            invalid(line, text!("ligne de CSV illisible", "unreadable line of CSV"))
        })?;
        let known = cells.header.join(", ");
        let column = |name: &str| {
            cells.header.iter().position(|other| other == name).ok_or_else(|| {
                invalid(
                    1,
                    text!(
                        "la colonne « {name} » n'est pas dans la table. Colonnes : {known}.",
                        "column \"{name}\" is not in the table. Columns: {known}."
                    ),
                )
            })
        };
        let commune = match table.commune.as_deref() {
            Some(name) => Some(column(name)?),
            None => usual_codes(&cells.header),
        };
        let commune = commune.ok_or_else(|| {
            invalid(1, text!(
                "aucune colonne de codes de commune reconnue : nommez-la par « commune ». Colonnes : {known}.",
                "no column of commune codes recognised: name it with \"commune\". Columns: {known}."
            ))
        })?;
        let code = column(&table.code)?;
        let name = table.name.as_deref().map(column).transpose()?;
        let mut rows = Self { members: Vec::new(), names: BTreeMap::new() };
        for (line, row) in &cells.rows {
            let line = *line;
            let cell = |at: usize| row.get(at).map(|cell| cell.trim()).unwrap_or_default();
            let (member, written) = (cell(commune), cell(code));
            // A commune in no territory of the level.
            if member.is_empty() || written.is_empty() {
                continue;
            }
            let territory = Code::new(level, written).map_err(|e| invalid(line, e.text()))?;
            let known = rows.names.entry(territory.clone()).or_default();
            if known.is_none() {
                *known = name.map(cell).filter(|n| !n.is_empty()).map(str::to_owned);
            }
            rows.members.push(Member { line, commune: member.to_owned(), territory });
        }
        if rows.members.is_empty() {
            return Err(invalid(
                1,
                text!(
                    "aucune ligne ne met une commune dans un territoire",
                    "no row puts a commune into a territory"
                ),
            ));
        }
        Ok(rows)
    }
}

/// The cells of delimited text, with the line of each row.
struct Cells {
    header: Vec<String>,
    rows: Vec<(u64, csv::StringRecord)>,
}

impl Cells {
    /// The separator is the one of `;`, `,`, tab and `|` that the header holds most of.
    ///
    /// # Errors
    /// The line that cannot be read.
    fn read(text: &str) -> std::result::Result<Self, u64> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let head = text.lines().next().unwrap_or_default();
        let count = |separator: &u8| head.bytes().filter(|b| b == separator).count();
        let separator = [b'|', b'\t', b',', b';'].into_iter().max_by_key(count).unwrap_or(b';');
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .flexible(true)
            .from_reader(text.as_bytes());
        let line = |position: Option<&csv::Position>| position.map_or(1, csv::Position::line);
        let unreadable = |e: csv::Error| line(e.position());
        let header = reader.headers().map_err(unreadable)?.iter().map(|n| n.trim().to_owned());
        let header = header.collect();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(unreadable)?;
            rows.push((line(record.position()), record));
        }
        Ok(Self { header, rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LevelWords;

    fn level(id: &str) -> Level {
        let title = Text::new("essai", "trial");
        let words =
            LevelWords { id: id.into(), title: title.clone(), plural: title, communal: true };
        Level::add(words).unwrap()
    }

    fn read(id: &str, table: &str) -> Result<(Arc<Reference>, LevelReport)> {
        let table = LevelTable {
            file: "m.csv".into(),
            text: table.into(),
            commune: None,
            code: "bv".into(),
            name: Some("nom".into()),
        };
        let def = LevelDef { level: level(id), source: LevelSource::Table(table) };
        let (reference, mut reports) = Reference::builtin().with_levels(&[def])?;
        Ok((reference, reports.remove(0)))
    }

    fn members(reference: &Reference, code: &str) -> Vec<String> {
        let code: TerritoryCode = code.parse().unwrap_or_else(|e| panic!("{code}: {e}"));
        reference.members(&code).iter().map(|m| m.code.to_string()).collect()
    }

    #[test]
    fn old_codes_are_carried_and_told() {
        // 60455 is 60694 today; 59355 is a part of Lille; 08227 was shared out; 1001 lost its zero.
        let table =
            "insee;bv;nom\n60455;A;Premier\n59355;A;\n1001;B;Second\n08227;B;\n00000;B;\n59009;;\n";
        let (reference, report) = read("trya", table).unwrap();
        assert_eq!(members(&reference, "trya:A"), ["59350", "60694"]);
        assert_eq!(members(&reference, "trya:B"), ["01001"]);
        assert_eq!(reference.name(&"trya:A".parse().unwrap()), "Premier");
        let carried = [("60455", "60694"), ("59355", "59350")];
        let carried = carried.map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(report.carried, carried);
        assert_eq!(report.unknown, [(6, "00000".to_owned())]);
        assert_eq!((report.territories, report.communes), (2, 3));
        assert!(!report.is_clean() && report.lines()[0].fr.contains("2 territoires"));
        let found = reference.resolve("trya:B").unwrap();
        assert_eq!(found.code.to_string(), "trya:B");
        let unknown = reference.resolve("trya:C").unwrap_err();
        assert!(matches!(unknown, Error::Invalid(t) if t.fr.contains("la table de ce niveau")));
        let here = reference.get(&"com:59350".parse().unwrap()).unwrap().parents;
        assert!(here.iter().any(|p| p.to_string() == "trya:A"));
    }

    #[test]
    fn where_old_communes_of_two_territories_meet_todays_code_decides() {
        // Hellemmes (59298) and Lomme (59355) are both parts of Lille, which no row names.
        let table = "insee;bv;nom\n60455;A;\n60694;B;\n59355;A;\n59298;B;\n";
        let (reference, report) = read("tryb", table).unwrap();
        assert!(members(&reference, "tryb:A").is_empty());
        assert_eq!(members(&reference, "tryb:B"), ["60694"]);
        let conflicts: Vec<&str> = report.conflicts.iter().map(|c| c.0.as_str()).collect();
        assert_eq!(conflicts.len(), 2, "{conflicts:?}");
        assert!(conflicts.contains(&"59350") && conflicts.contains(&"60694"));
        let twice = read("tryb", "insee;bv;nom\n59350;A;\n59350;B;\n").unwrap_err();
        assert!(matches!(twice, Error::Invalid(t) if t.en.starts_with("m.csv:3: ")));
    }

    #[test]
    fn a_table_is_part_of_keys() {
        let key = |table: &str| {
            let (reference, _) = read("tryc", table).unwrap();
            let code: TerritoryCode = "tryc:A".parse().unwrap();
            let selection = reference.select(&[code], crate::model::Mode::Concerns).unwrap();
            assert_eq!(selection.shown(), "tryc:A");
            selection.key
        };
        let one = key("insee;bv;nom\n59350;A;\n");
        assert_eq!(one, key("insee;bv;nom\r\n59350;A;\r\n"));
        assert_ne!(one, key("insee;bv;nom\n59350;A;\n59009;A;\n"));
    }
}
