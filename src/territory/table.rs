//! The decoded table: columns over all listed territories ("units"), a few bytes each.
//!
//! Units of one level are neighbours. Communes come first and in hierarchical order, so that a
//! commune's unit number is its rank; the other levels are sorted by code. Names are one string.
//! Only this file knows the columns.

use super::{EpciKind, vintages::Move};
use crate::model::{Level, RankSet, TerritoryCode};
use std::{collections::BTreeMap, ops::Range};

/// "None" in a column of unit numbers.
pub(super) const NONE: u32 = u32::MAX;

/// A code, padded with zeros: sorts as its text.
pub(super) type Packed = [u8; 9];

/// Packs a code; `None` when it is longer than any in the table.
pub(super) fn pack(code: &str) -> Option<Packed> {
    let mut packed = Packed::default();
    packed.get_mut(..code.len())?.copy_from_slice(code.as_bytes());
    Some(packed)
}

/// A packed code as text.
pub(super) fn text(packed: &Packed) -> &str {
    let end = packed.iter().position(|b| *b == 0).unwrap_or(packed.len());
    packed.get(..end).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default()
}

/// Strings end to end, by number.
#[derive(Debug, Default)]
pub(super) struct Pool {
    text: String,
    ends: Vec<u32>,
}

impl Pool {
    pub(super) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len() as u32);
    }

    pub(super) fn get(&self, number: u32) -> &str {
        let end = self.ends.get(number as usize).copied().unwrap_or_default();
        let start = (number as usize).checked_sub(1).and_then(|n| self.ends.get(n));
        self.text.get(start.copied().unwrap_or_default() as usize..end as usize).unwrap_or_default()
    }
}

/// Lists of numbers end to end, by number.
#[derive(Debug)]
pub(super) struct Lists<T> {
    items: Vec<T>,
    ends: Vec<u32>,
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self { items: Vec::new(), ends: Vec::new() }
    }
}

impl<T> Lists<T> {
    fn shrink(&mut self) {
        self.items.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    pub(super) fn push(&mut self, list: impl IntoIterator<Item = T>) {
        self.items.extend(list);
        self.ends.push(self.items.len() as u32);
    }

    pub(super) fn get(&self, number: u32) -> &[T] {
        let end = self.ends.get(number as usize).copied().unwrap_or_default();
        let start = (number as usize).checked_sub(1).and_then(|n| self.ends.get(n));
        self.items.get(start.copied().unwrap_or_default() as usize..end as usize).unwrap_or(&[])
    }
}

/// A commune's place; unit numbers, or [`NONE`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) epci: u32,
    pub(super) ept: u32,
    pub(super) arr: u32,
    pub(super) dep: u32,
}

/// Metropolitan France, the overseas départements and régions, or the overseas collectivities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    Metro,
    Drom,
    Com,
}

/// An EPCI that is dissolved.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) code: String,
    pub(super) name: String,
    /// The last year it was listed.
    pub(super) last: u16,
    /// Its communes then, by the codes of that year.
    pub(super) members: Vec<Packed>,
}

/// The table of one vintage.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) id: String,
    pub(super) vintage: u16,
    pub(super) source: String,
    /// Where each level's units are, by the level's number.
    pub(super) levels: [Range<u32>; Level::ALL.len()],
    pub(super) codes: Vec<Packed>,
    pub(super) names: Pool,
    /// Municipal population, or [`NONE`].
    pub(super) population: Vec<u32>,
    /// By rank.
    pub(super) places: Vec<Place>,
    /// Ranks, sorted by code.
    pub(super) by_code: Vec<u32>,
    /// Of the units that are no commune: the commune of an `arm`, `comd` or `coma`; the
    /// département of an `arr`; the région of a `dep`; else [`NONE`].
    pub(super) parents: Vec<u32>,
    /// Of communes and arrondissements municipaux.
    pub(super) postal: Lists<u32>,
    /// Old commune codes and the commune of today, sorted by code.
    pub(super) old: Vec<(Packed, u32)>,
    /// The last names of the old codes, in their order.
    pub(super) old_names: Pool,
    /// Old codes whose commune was shared out, and its communes of today.
    pub(super) shared: BTreeMap<Packed, Vec<u32>>,
    /// Movements of communes, by date.
    pub(super) moves: Vec<Move>,
    /// EPCI that are dissolved, sorted by code.
    pub(super) gone: Vec<Gone>,
    /// By région.
    pub(super) zones: Vec<Zone>,
    /// By EPCI.
    pub(super) epci_kinds: Vec<EpciKind>,
    /// Communes of each unit of the levels made of several, by unit number less that of the first
    /// of them.
    pub(super) communes: Lists<Range<u32>>,
    pub(super) settled: Vec<super::Settled>,
}

/// The levels the table lists, in the order of its units; communes come first.
pub(super) const LISTED: [Level; 9] = [
    Level::Com,
    Level::Arm,
    Level::Comd,
    Level::Coma,
    Level::Epci,
    Level::Ept,
    Level::Arr,
    Level::Dep,
    Level::Reg,
];

impl Table {
    /// Where a level's units are.
    pub(super) fn level(&self, level: Level) -> Range<u32> {
        level.number().and_then(|at| self.levels.get(at)).cloned().unwrap_or_default()
    }

    /// Says where a level's units are.
    pub(super) fn set_level(&mut self, level: Level, units: Range<u32>) {
        if let Some(held) = level.number().and_then(|at| self.levels.get_mut(at)) {
            *held = units;
        }
    }

    /// Gives back the memory that growing columns took in advance.
    pub(super) fn shrink(&mut self) {
        self.names.shrink();
        self.codes.shrink_to_fit();
        self.population.shrink_to_fit();
        self.places.shrink_to_fit();
        self.parents.shrink_to_fit();
        self.postal.shrink();
        self.communes.shrink();
    }

    /// The level of a unit.
    pub(super) fn level_of(&self, unit: u32) -> Option<Level> {
        LISTED.into_iter().find(|level| self.level(*level).contains(&unit))
    }

    /// The unit of a code.
    pub(super) fn unit(&self, level: Level, code: &str) -> Option<u32> {
        let wanted = pack(code)?;
        let range = self.level(level);
        if level == Level::Com {
            let at = self.by_code.binary_search_by_key(&wanted, |rank| self.packed(*rank)).ok()?;
            return self.by_code.get(at).copied();
        }
        let codes = self.codes.get(range.start as usize..range.end as usize)?;
        codes.binary_search(&wanted).ok().map(|at| range.start + at as u32)
    }

    /// Whether a code is a commune's today.
    pub(super) fn is_commune(&self, code: &Packed) -> bool {
        self.by_code.binary_search_by_key(code, |rank| self.packed(*rank)).is_ok()
    }

    /// Where an old code stands in the list of them.
    pub(super) fn old_at(&self, code: &Packed) -> Option<usize> {
        self.old.binary_search_by_key(code, |(old, _)| *old).ok()
    }

    fn packed(&self, unit: u32) -> Packed {
        self.codes.get(unit as usize).copied().unwrap_or_default()
    }

    /// The code of a unit, as text.
    pub(super) fn code_text(&self, unit: u32) -> &str {
        self.codes.get(unit as usize).map_or("", text)
    }

    /// Level and code of a unit; `None` for [`NONE`].
    pub(super) fn code(&self, unit: u32) -> Option<TerritoryCode> {
        TerritoryCode::new(self.level_of(unit)?, self.code_text(unit)).ok()
    }

    /// The place of a commune.
    pub(super) fn place(&self, rank: u32) -> Option<Place> {
        self.places.get(rank as usize).copied()
    }

    /// What a unit that is no commune belongs to; see [`Table::parents`].
    pub(super) fn parent(&self, unit: u32) -> Option<u32> {
        let at = (unit as usize).checked_sub(self.places.len())?;
        self.parents.get(at).copied().filter(|parent| *parent != NONE)
    }

    /// The municipal population of a unit.
    pub(super) fn population(&self, unit: u32) -> Option<u64> {
        self.population.get(unit as usize).filter(|p| **p != NONE).map(|p| u64::from(*p))
    }

    /// The communes of a unit of the levels `com`, `epci`, `ept`, `arr`, `dep` and `reg`.
    pub(super) fn communes_of(&self, unit: u32) -> &[Range<u32>] {
        unit.checked_sub(self.level(Level::Epci).start).map_or(&[], |at| self.communes.get(at))
    }

    /// The régions of a part of France (`metro`, `drom`, `com`), or all of them (empty text).
    pub(super) fn regions_of(&self, part: &str) -> impl Iterator<Item = u32> + '_ {
        let zone = match part {
            "metro" => Some(Zone::Metro),
            "drom" => Some(Zone::Drom),
            "com" => Some(Zone::Com),
            _ => None,
        };
        self.level(Level::Reg)
            .zip(&self.zones)
            .filter(move |(_, its)| zone.is_none_or(|zone| zone == **its))
            .map(|(unit, _)| unit)
    }

    /// The communes of a communal territory.
    pub(super) fn communes_in(&self, code: &TerritoryCode) -> Option<RankSet> {
        let ranges: Vec<Range<u32>> = match code.level {
            Level::Fr => self
                .regions_of(code.code.as_str())
                .flat_map(|reg| self.communes_of(reg).iter().cloned())
                .collect(),
            level if level.is_communal() => {
                let unit = self.unit(level, code.code.as_str())?;
                match level {
                    Level::Com => std::iter::once(unit..unit + 1).collect(),
                    _ => self.communes_of(unit).to_vec(),
                }
            }
            _ => return None,
        };
        Some(RankSet::from_ranges(ranges))
    }
}
