//! A table of the COG as something that can be changed: the one in force, brought to another
//! vintage by the files of INSEE or of the package, and written as a table again.
//!
//! What files do not say is taken from the table in force: INSEE's have neither EPCI, nor
//! populations, nor postal codes. What they contradict themselves in is refused, with its lines;
//! what results is read back like any table, so that nothing comes into force that could not be
//! read.
//!
//! | file | question |
//! |---|---|
//! | `given` | what do these files say? |
//! | `insee`, `package` | how do they write it? |
//! | `update` | what follows for the table in force? |
//! | `movements` | what became of each commune? |
//! | `compare` | what differs between two tables? |

mod compare;
mod given;
mod insee;
mod movements;
mod package;
mod update;

pub use compare::Differences;
pub use given::CogFile;
pub use update::{Update, update};

use super::{
    EpciKind, Reference,
    table::{LISTED, NONE, Zone, text},
};
use crate::{
    error::{Error, Result},
    model::Level,
};
use flate2::{Compression, write::DeflateEncoder};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};
use unicode_normalization::UnicodeNormalization;

/// A commune.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Com {
    name: String,
    population: Option<u64>,
    dep: String,
    arr: String,
    epci: String,
    ept: String,
    postal: Vec<String>,
}

/// A part of a commune.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Part {
    name: String,
    parent: String,
    /// Of municipal arrondissements.
    population: Option<u64>,
    postal: Vec<String>,
}

/// A territory with what it belongs to, its zone or its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Group {
    name: String,
    of: String,
}

/// A commune of the past.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Former {
    name: String,
    /// Where it is today; several when it was shared out.
    to: BTreeSet<String>,
}

/// A dissolved EPCI.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Dissolved {
    name: String,
    last: u16,
    members: BTreeSet<String>,
}

/// A movement: year, month and day as one number; INSEE's MOD; before (empty: out of what is not
/// told); after. The order of the fields is that of the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    date: u32,
    kind: u8,
    from: String,
    to: String,
}

/// By code.
type By<T> = BTreeMap<String, T>;

/// A table, laid open.
#[derive(Debug, Clone, Default)]
struct Book {
    vintage: u16,
    source: String,
    /// `of` is the zone.
    regs: By<Group>,
    deps: By<Group>,
    arrs: By<Group>,
    /// `of` is the kind.
    epcis: By<Group>,
    epts: By<Group>,
    coms: By<Com>,
    arms: By<Part>,
    comds: By<Part>,
    comas: By<Part>,
    old: By<Former>,
    /// Old code, the commune that claims it, its own parent.
    settled: Vec<[String; 3]>,
    moves: BTreeSet<Step>,
    gone: By<Dissolved>,
}

impl Book {
    /// A reference, laid open.
    fn of(reference: &Reference) -> Self {
        let table = &reference.table;
        let mut book =
            Self { vintage: table.vintage, source: table.source.clone(), ..Self::default() };
        for level in LISTED {
            for unit in table.level(level) {
                book.lay(reference, level, unit);
            }
        }
        for (at, (code, rank)) in (0u32..).zip(&table.old) {
            let ranks = table.shared.get(code).cloned().unwrap_or_else(|| vec![*rank]);
            let to = ranks.iter().map(|rank| table.code_text(*rank).to_owned()).collect();
            let name = table.old_names.get(at).to_owned();
            book.old.insert(text(code).to_owned(), Former { name, to });
        }
        let settled = table.settled.iter();
        book.settled = settled
            .map(|s| [&s.code, &s.claimed_by, &s.parent].map(|code| code.code.to_string()))
            .collect();
        for step in &table.moves {
            let from = step.from.as_ref().map_or("", text).to_owned();
            let to = text(&step.to).to_owned();
            book.moves.insert(Step { date: step.date, kind: step.kind, from, to });
        }
        for gone in &table.gone {
            let members = gone.members.iter().map(|m| text(m).to_owned()).collect();
            let gone_too = Dissolved { name: gone.name.clone(), last: gone.last, members };
            book.gone.insert(gone.code.clone(), gone_too);
        }
        book
    }

    fn lay(&mut self, reference: &Reference, level: Level, unit: u32) {
        let table = &reference.table;
        let code_of = |unit: u32| match unit {
            NONE => String::new(),
            unit => table.code_text(unit).to_owned(),
        };
        let (code, name) = (code_of(unit), table.names.get(unit).to_owned());
        let parent = table.parent(unit).map(code_of).unwrap_or_default();
        let postal = || table.postal.get(unit).iter().map(|p| format!("{p:05}")).collect();
        let nth = (unit - table.level(level).start) as usize;
        let group = |of: &str| Group { name: name.clone(), of: of.to_owned() };
        match level {
            Level::Com => {
                let Some(place) = table.place(unit) else { return };
                let com = Com {
                    name,
                    population: table.population(unit),
                    dep: code_of(place.dep),
                    arr: code_of(place.arr),
                    epci: code_of(place.epci),
                    ept: code_of(place.ept),
                    postal: postal(),
                };
                self.coms.insert(code, com);
            }
            Level::Arm => {
                let population = table.population(unit);
                self.arms.insert(code, Part { name, parent, population, postal: postal() });
            }
            Level::Comd | Level::Coma => {
                let parts = if level == Level::Comd { &mut self.comds } else { &mut self.comas };
                parts.insert(code, Part { name, parent, ..Part::default() });
            }
            Level::Epci => {
                let kind = table.epci_kinds.get(nth).map_or("CC", |kind| kind.id());
                self.epcis.insert(code, group(kind));
            }
            Level::Ept => drop(self.epts.insert(code, group(""))),
            Level::Arr => drop(self.arrs.insert(code, group(&parent))),
            Level::Dep => drop(self.deps.insert(code, group(&parent))),
            Level::Reg => {
                let zone = table.zones.get(nth).map_or("metro", |zone| zone.id());
                self.regs.insert(code, group(zone));
            }
            _ => {}
        }
    }

    /// The zone of a département: `metro`, `drom` or `com`.
    fn zone(&self, dep: &str) -> &str {
        let reg = self.deps.get(dep).and_then(|dep| self.regs.get(&dep.of));
        reg.map_or("", |reg| reg.of.as_str())
    }

    /// The table's bytes, in the form that [`Reference::from_bytes`] reads.
    fn bytes(&self) -> Result<Vec<u8>> {
        let mut out = Lines(String::new());
        out.line(&["socle-cog", "2", &self.vintage.to_string(), &self.source]);
        out.groups("reg", &self.regs, true);
        out.groups("dep", &self.deps, true);
        out.groups("arr", &self.arrs, true);
        out.groups("epci", &self.epcis, true);
        out.groups("ept", &self.epts, false);
        self.communes(&mut out);
        out.head("arm", self.arms.len());
        for (code, arm) in &self.arms {
            out.line(&[
                code,
                &arm.name,
                &people(arm.population),
                &arm.parent,
                &arm.postal.join(" "),
            ]);
        }
        for (name, parts) in [("comd", &self.comds), ("coma", &self.comas)] {
            out.head(name, parts.len());
            for (code, part) in parts {
                out.line(&[code, &part.name, &part.parent]);
            }
        }
        out.head("old", self.old.len());
        for (code, former) in &self.old {
            let to: Vec<&str> = former.to.iter().map(String::as_str).collect();
            out.line(&[code, &to.join(" "), &former.name]);
        }
        out.head("settled", self.settled.len());
        for [code, claimed, parent] in &self.settled {
            out.line(&[code, claimed, parent]);
        }
        out.head("moves", self.moves.len());
        for step in &self.moves {
            let (y, m, d) = (step.date / 10_000, step.date / 100 % 100, step.date % 100);
            out.line(&[
                &format!("{y:04}-{m:02}-{d:02}"),
                &step.kind.to_string(),
                &step.from,
                &step.to,
            ]);
        }
        out.head("gone", self.gone.len());
        for (code, gone) in &self.gone {
            let members: Vec<&str> = gone.members.iter().map(String::as_str).collect();
            out.line(&[code, &gone.name, &gone.last.to_string(), &members.join(" ")]);
        }
        let fault = |e| Error::fault("compressing a table", e);
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::best());
        deflate.write_all(out.0.as_bytes()).map_err(fault)?;
        deflate.finish().map_err(fault)
    }

    /// The communes in hierarchical order: a zone, a région and a département are one run each, and
    /// an EPCI is one run in each of its départements.
    fn communes(&self, out: &mut Lines) {
        const ZONES: [&str; 3] = ["metro", "drom", "com"];
        let last = |code: &str| if code.is_empty() { "~".to_owned() } else { code.to_owned() };
        let place = |(code, com): &(&String, &Com)| {
            let zone = ZONES.iter().position(|zone| *zone == self.zone(&com.dep));
            let reg = self.deps.get(&com.dep).map(|dep| dep.of.clone());
            let within = [&com.epci, &com.ept, &com.arr].map(|code| last(code));
            (zone, reg, com.dep.clone(), within, (*code).clone())
        };
        let mut all: Vec<(&String, &Com)> = self.coms.iter().collect();
        all.sort_by_cached_key(place);
        out.head("com", all.len());
        for (code, com) in all {
            let (people, postal) = (people(com.population), com.postal.join(" "));
            out.line(&[code, &com.name, &people, &com.dep, &com.arr, &com.epci, &com.ept, &postal]);
        }
    }
}

fn people(population: Option<u64>) -> String {
    population.map(|p| p.to_string()).unwrap_or_default()
}

/// The plain text of a table while it is written.
struct Lines(String);

impl Lines {
    fn line(&mut self, fields: &[&str]) {
        for (i, field) in fields.iter().enumerate() {
            if i > 0 {
                self.0.push('\t');
            }
            let plain = |c: char| if c.is_control() { ' ' } else { c };
            self.0.extend(field.nfc().map(plain));
        }
        self.0.push('\n');
    }

    fn head(&mut self, name: &str, count: usize) {
        self.line(&[&format!("@{name}"), &count.to_string()]);
    }

    fn groups(&mut self, name: &str, groups: &By<Group>, with: bool) {
        self.head(name, groups.len());
        for (code, group) in groups {
            match with {
                true => self.line(&[code, &group.name, &group.of]),
                false => self.line(&[code, &group.name]),
            }
        }
    }
}

impl EpciKind {
    /// Its id in tables.
    fn id(self) -> &'static str {
        match self {
            Self::Cc => "CC",
            Self::Ca => "CA",
            Self::Cu => "CU",
            Self::Metropole => "METRO",
            Self::MetropoleDeLyon => "MET69",
        }
    }
}

impl Zone {
    fn id(self) -> &'static str {
        match self {
            Self::Metro => "metro",
            Self::Drom => "drom",
            Self::Com => "com",
        }
    }
}

#[cfg(test)]
mod tests;
