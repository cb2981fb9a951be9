//! The COG: codes, hierarchy, carrying of old codes, search, and selections built from them.
//!
//! Plain look-ups in a table compiled into the program (`cog/`) or loaded from such a file; no
//! store and no network. What belongs here is what the COG says. The geometry of territories is
//! a layer like any other, and whether a canton or a neighbourhood exists is for the store to say:
//! the COG's table does not list them.
//!
//! | file | question |
//! |---|---|
//! | `table` | what is known, in columns |
//! | `decode` | is this file such a table? |
//! | `carry` | what became of this commune code? |
//! | `vintages` | which communes had this year, and what became of each? |
//! | `as_of` | which communes of today was this territory made of, that year? |
//! | `gone` | what followed this dissolved EPCI? |
//! | `own` | which territories does a level of the configuration have? |
//! | `resolve` | which territory does this text mean? |
//! | `select` | which features does this set of territories select? |
//! | `perimeter` | what is the border of these territories made of? |
//! | `remarks` | what is out of the common with this territory? |
//! | `sheet` | where are the rows of this table of old codes today? |
//! | `book` | what do newer files of the COG make of this table? |
//! | `search` | which territories bear this name or postal code? |

mod as_of;
mod book;
mod carry;
mod decode;
mod gone;
mod own;
mod perimeter;
mod remarks;
mod resolve;
mod search;
mod select;
mod sheet;
mod table;
mod units;
mod vintages;

pub use as_of::AsOf;
pub use book::{CogFile, Differences, Update, update};
pub use carry::Carry;
pub use gone::Dissolved;
pub use own::LevelReport;
pub use resolve::Resolved;
pub use select::MOST_TERRITORIES;
pub use sheet::{Add, Ask, By, CarriedSheet, Carrier, Located, Meeting, Plan, Row};
pub use units::{Unit, Units};
pub use vintages::{Detected, FIRST_VINTAGE, Fate, Passage, Step, Verdict};

use crate::{
    error::Result,
    model::{Level, RankSet, TerritoryCode},
};
use own::Own;
use search::Names;
use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};
use table::{NONE, Table};
use vintages::Lives;

/// The table compiled into the program; made by `cog/generate.mjs`.
const BUILTIN: &[u8] = include_bytes!("cog/cog.bin");

/// The territory reference in force: one vintage of the COG. The default one knows nothing.
#[derive(Debug, Default)]
pub struct Reference {
    table: Arc<Table>,
    /// The levels of the configuration that are tables of communes.
    own: Vec<Own>,
    /// Made at the first search.
    names: OnceLock<Names>,
    /// When each code was a commune; made when first asked.
    lives: OnceLock<Lives>,
}

/// What the reference knows of one territory.
#[derive(Debug, Clone)]
pub struct Territory {
    /// Level and code.
    pub code: TerritoryCode,
    /// Name, as the COG writes it.
    pub name: String,
    /// Municipal population, where known. Of territories made of communes, the sum of theirs.
    pub population: Option<u64>,
    /// Postal codes (communes and arrondissements municipaux).
    pub postal_codes: Vec<String>,
    /// The territories it belongs to, nearest first (a commune: epci, ept, arr, dep, reg, then
    /// those of configured levels; a commune déléguée or associée, an arrondissement municipal: its
    /// commune first). An EPCI across départements lists each.
    pub parents: Vec<TerritoryCode>,
    /// The one département it lies in, which tells homonyms apart; `None` when there is none or
    /// are several, and for a département itself.
    pub department: Option<Department>,
    /// Kind of EPCI.
    pub epci_kind: Option<EpciKind>,
}

/// A département, as shown beside the name of what lies in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Department {
    /// Its code.
    pub code: TerritoryCode,
    /// Its name.
    pub name: String,
}

impl Territory {
    /// One of which no more than code and name is known.
    pub fn named(unit: &Unit) -> Self {
        Self {
            code: unit.code.clone(),
            name: unit.name.clone(),
            population: None,
            postal_codes: Vec::new(),
            parents: Vec::new(),
            department: None,
            epci_kind: None,
        }
    }

    /// Its name with its département's code, where it lies in one: `Saint-Denis (93)`.
    pub fn label(&self) -> String {
        match &self.department {
            Some(department) => format!("{} ({})", self.name, department.code.code),
            None => self.name.clone(),
        }
    }
}

/// Legal form of an EPCI à fiscalité propre.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EpciKind {
    /// Communauté de communes.
    Cc,
    /// Communauté d'agglomération.
    Ca,
    /// Communauté urbaine.
    Cu,
    /// Métropole.
    Metropole,
    /// Métropole de Lyon, which also has the powers of a département.
    MetropoleDeLyon,
}

impl EpciKind {
    fn from_id(id: &str) -> Option<Self> {
        Some(match id {
            "CC" => Self::Cc,
            "CA" => Self::Ca,
            "CU" => Self::Cu,
            "METRO" => Self::Metropole,
            "MET69" => Self::MetropoleDeLyon,
            _ => return None,
        })
    }

    /// The law's words, which are French.
    pub fn label(self) -> &'static str {
        match self {
            Self::Cc => "communauté de communes",
            Self::Ca => "communauté d'agglomération",
            Self::Cu => "communauté urbaine",
            Self::Metropole => "métropole",
            Self::MetropoleDeLyon => "métropole de Lyon",
        }
    }
}

/// An old code on which the source of the table contradicted itself: a commune claimed it, but
/// the code's own parent is another one. The parent won.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The old code.
    pub code: TerritoryCode,
    /// The commune that listed it.
    pub claimed_by: TerritoryCode,
    /// Its parent.
    pub parent: TerritoryCode,
}

impl Reference {
    /// The table compiled into the program. It is decoded once, at the first call.
    pub fn builtin() -> Arc<Self> {
        static BUILT: OnceLock<Arc<Reference>> = OnceLock::new();
        #[expect(clippy::expect_used, reason = "part of the program, like its code; tests read it")]
        let decode = || Arc::new(Self::from_bytes(BUILTIN).expect("the compiled table is sound"));
        BUILT.get_or_init(decode).clone()
    }

    /// The bytes of that table, as [`Reference::from_bytes`] takes them.
    pub fn builtin_bytes() -> &'static [u8] {
        BUILTIN
    }

    /// The table in a file made by the generator.
    ///
    /// # Errors
    /// [`crate::error::Error::Refused`], naming the line, when it is no such table.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Ok(Self { table: Arc::new(decode::decode(bytes)?), ..Self::default() })
    }

    /// Its version: the vintage and a checksum of its content, e.g. `cog-2026-1f09c3aa`. Part of
    /// reach indexes' names: two tables of one vintage that differ have two ids.
    pub fn id(&self) -> &str {
        &self.table.id
    }

    /// The vintage.
    pub fn vintage(&self) -> u16 {
        self.table.vintage
    }

    /// The package the table was made from.
    pub fn source(&self) -> &str {
        &self.table.source
    }

    /// The contradictions of the source, and how each was settled.
    pub fn settled(&self) -> &[Settled] {
        &self.table.settled
    }

    /// Number of communes; ranks are `0..commune_count()`, in hierarchical order
    /// (région, département, EPCI, arrondissement, code), so that a région and a département are
    /// ranges.
    pub fn commune_count(&self) -> u32 {
        self.table.level(Level::Com).end
    }

    /// The commune of a rank.
    pub fn commune(&self, rank: u32) -> Option<TerritoryCode> {
        (rank < self.commune_count()).then(|| self.table.code(rank)).flatten()
    }

    /// The communes that are not among `there`, in the départements where some are.
    pub fn missing(&self, there: &BTreeSet<u32>) -> Vec<TerritoryCode> {
        let dep = |rank: u32| self.table.place(rank).map(|place| place.dep);
        let covered: BTreeSet<Option<u32>> = there.iter().map(|rank| dep(*rank)).collect();
        let lacks = |rank: &u32| !there.contains(rank) && covered.contains(&dep(*rank));
        (0..self.commune_count()).filter(lacks).filter_map(|rank| self.commune(rank)).collect()
    }

    /// A territory, if the reference knows it. Levels whose members the COG does not list
    /// (canton, qpv) give `None`.
    pub fn get(&self, code: &TerritoryCode) -> Option<Territory> {
        match code.level {
            Level::Fr => Some(self.france(code)),
            Level::Own(_) => self.own_unit(code).map(|unit| self.own_territory(unit)),
            level => self.territory(self.table.unit(level, code.code.as_str())?),
        }
    }

    /// The communes of a communal territory; `None` for other levels and unknown codes.
    pub fn communes(&self, code: &TerritoryCode) -> Option<RankSet> {
        match code.level {
            Level::Own(_) => self.own_unit(code).map(|unit| unit.communes.clone()),
            _ => self.table.communes_in(code),
        }
    }

    /// Direct members one level down (a part of France: its régions; a région: its départements;
    /// a département: its arrondissements, then communes; an arrondissement, an EPCI, an EPT, a
    /// territory of a level of the configuration: its communes; a commune: its arm/comd/coma), each level in the order of codes.
    pub fn members(&self, code: &TerritoryCode) -> Vec<TerritoryCode> {
        let table = &self.table;
        if code.level == Level::Fr {
            return self.codes(table.regions_of(code.code.as_str()));
        }
        if let Some(unit) = self.own_unit(code) {
            let mut codes = self.codes(unit.communes.iter());
            codes.sort();
            return codes;
        }
        let Some(unit) = table.unit(code.level, code.code.as_str()) else { return Vec::new() };
        let children = |level: Level| {
            self.codes(table.level(level).filter(|child| table.parent(*child) == Some(unit)))
        };
        let communes = || {
            let mut codes = self.codes(table.communes_of(unit).iter().flat_map(Clone::clone));
            codes.sort();
            codes
        };
        match code.level {
            Level::Reg => children(Level::Dep),
            Level::Dep => [children(Level::Arr), communes()].concat(),
            Level::Arr | Level::Epci | Level::Ept => communes(),
            Level::Com => [Level::Arm, Level::Comd, Level::Coma].map(children).concat(),
            _ => Vec::new(),
        }
    }

    fn codes(&self, units: impl IntoIterator<Item = u32>) -> Vec<TerritoryCode> {
        units.into_iter().filter_map(|unit| self.table.code(unit)).collect()
    }

    fn france(&self, code: &TerritoryCode) -> Territory {
        let (part, table) = (code.code.as_str(), &self.table);
        let name = match part {
            "metro" => "France métropolitaine",
            "drom" => "Départements et régions d'outre-mer",
            "com" => "Collectivités d'outre-mer",
            _ => "France",
        };
        Territory {
            code: code.clone(),
            name: name.to_owned(),
            population: Some(table.regions_of(part).filter_map(|reg| table.population(reg)).sum()),
            postal_codes: Vec::new(),
            parents: if part.is_empty() { Vec::new() } else { vec![TerritoryCode::france()] },
            department: None,
            epci_kind: None,
        }
    }

    /// Everything known of a unit of the table.
    fn territory(&self, unit: u32) -> Option<Territory> {
        let table = &self.table;
        let code = table.code(unit)?;
        let mut parents = self.parents(unit, code.level);
        if code.level == Level::Com {
            parents.extend(self.own_of(unit));
        }
        let mut departments = parents.iter().filter(|parent| parent.level == Level::Dep);
        let department = match (departments.next(), departments.next()) {
            (Some(only), None) => table.unit(Level::Dep, only.code.as_str()).map(|dep| {
                Department { code: only.clone(), name: table.names.get(dep).to_owned() }
            }),
            _ => None,
        };
        let epci = unit.checked_sub(table.level(Level::Epci).start);
        Some(Territory {
            name: table.names.get(unit).to_owned(),
            population: table.population(unit),
            postal_codes: table.postal.get(unit).iter().map(|p| format!("{p:05}")).collect(),
            epci_kind: epci.and_then(|at| table.epci_kinds.get(at as usize)).copied(),
            code,
            parents,
            department,
        })
    }

    fn parents(&self, unit: u32, level: Level) -> Vec<TerritoryCode> {
        let table = &self.table;
        let mut above: Vec<u32> = Vec::new();
        match level {
            Level::Com => self.above_commune(unit, &mut above),
            Level::Arm | Level::Comd | Level::Coma => {
                if let Some(commune) = table.parent(unit) {
                    above.push(commune);
                    self.above_commune(commune, &mut above);
                }
            }
            Level::Epci | Level::Ept => {
                let ranks = table.communes_of(unit).iter().flat_map(Clone::clone);
                let places: Vec<_> = ranks.filter_map(|rank| table.place(rank)).collect();
                if level == Level::Ept {
                    above.extend(places.first().map(|place| place.epci));
                }
                let mut departments: Vec<u32> = places.iter().map(|place| place.dep).collect();
                departments.sort_unstable();
                departments.dedup();
                let mut regions: Vec<u32> =
                    departments.iter().filter_map(|dep| table.parent(*dep)).collect();
                regions.sort_unstable();
                regions.dedup();
                above.extend(departments);
                above.extend(regions);
            }
            _ => {
                let up = |unit: &u32| table.parent(*unit);
                above.extend(std::iter::successors(up(&unit), up));
            }
        }
        self.codes(above.into_iter().filter(|unit| *unit != NONE))
    }

    fn above_commune(&self, rank: u32, above: &mut Vec<u32>) {
        if let Some(place) = self.table.place(rank) {
            above.extend([place.epci, place.ept, place.arr, place.dep]);
            above.extend(self.table.parent(place.dep));
        }
    }
}

#[cfg(test)]
mod tests;
