//! Vintages: the movements of communes, which communes each year had, and what became of a code
//! of one year.
//!
//! A movement goes from a commune to a commune on a date; parts of communes are not in it. The
//! communes on the left of a day's movements are those that were there before, those on the right
//! the ones after: so the communes of any day follow from those of today, walked back.
//!
//! A [`Passage`] carries the codes of one vintage. Each commune of it is followed by date, never
//! by code alone, for codes are reused (27676 became 27058, then 27676 again). Where a commune
//! splits, one that gets its code back takes its own territory with it and no other's; what is
//! left may lie in each of the rest. Where the code is today that of a part of a commune, that
//! commune wins.

mod detect;
mod passage;

pub use detect::Detected;
pub use passage::{Fate, Passage, Verdict};

use super::{
    Reference,
    table::{Packed, Table},
};
use crate::model::{Level, TerritoryCode};
use rustc_hash::{FxHashMap, FxHashSet};

/// The first year that movements are known of.
pub const FIRST_VINTAGE: u16 = 1943;

/// A movement of communes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Move {
    /// Year, month and day as one number: 20190101.
    pub(super) date: u32,
    /// INSEE's MOD: 20 creation, 21 split, 30 suppression, 31 to 34 mergers, 41 and 50 changes of
    /// code.
    pub(super) kind: u8,
    /// The commune before; `None` when one is created out of what is not told.
    pub(super) from: Option<Packed>,
    /// The commune after.
    pub(super) to: Packed,
}

/// The first of January of a year, as a date of movements.
pub(super) fn new_year(year: u16) -> u32 {
    u32::from(year) * 10_000 + 101
}

/// From when until when codes were communes; `0` and `u32::MAX` are "always" and "still".
#[derive(Debug, Default)]
pub(super) struct Lives {
    /// Of the codes that moved; any other commune of today has always been one.
    moved: FxHashMap<Packed, Vec<(u32, u32)>>,
}

impl Lives {
    /// Walks the movements back from the communes of today.
    pub(super) fn new(table: &Table) -> Self {
        let mut until: FxHashMap<Packed, u32> = FxHashMap::default();
        let mut moved: FxHashMap<Packed, Vec<(u32, u32)>> = FxHashMap::default();
        for step in table.moves.iter().flat_map(|m| [m.from, Some(m.to)]).flatten() {
            if table.is_commune(&step) {
                until.insert(step, u32::MAX);
            }
        }
        for day in table.moves.chunk_by(|a, b| a.date == b.date).rev() {
            let before: FxHashSet<Packed> = day.iter().filter_map(|m| m.from).collect();
            let date = day.first().map_or(0, |m| m.date);
            for begins in day.iter().map(|m| m.to).filter(|to| !before.contains(to)) {
                if let Some(end) = until.remove(&begins) {
                    moved.entry(begins).or_default().push((date, end));
                }
            }
            for code in before {
                until.entry(code).or_insert(date);
            }
        }
        for (code, end) in until {
            moved.entry(code).or_default().push((0, end));
        }
        Self { moved }
    }

    /// When a code was a commune; empty when it never was one, as far as movements tell.
    fn of(&self, table: &Table, code: &Packed) -> &[(u32, u32)] {
        match self.moved.get(code) {
            Some(lives) => lives,
            None if table.is_commune(code) => &[(0, u32::MAX)],
            None => &[],
        }
    }

    /// Whether a code was a commune on a day.
    pub(super) fn on(&self, table: &Table, code: &Packed, date: u32) -> bool {
        self.of(table, code).iter().any(|(from, until)| *from <= date && date < *until)
    }
}

/// A step in the history of a commune code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Year, month, day.
    pub date: (u16, u8, u8),
    /// INSEE's MOD.
    pub kind: u8,
    /// The communes before.
    pub before: Vec<TerritoryCode>,
    /// The communes after.
    pub after: Vec<TerritoryCode>,
}

impl Reference {
    pub(super) fn lives(&self) -> &Lives {
        self.lives.get_or_init(|| Lives::new(&self.table))
    }

    /// The movements that a commune code took part in, oldest first.
    pub fn history(&self, code: &str) -> Vec<Step> {
        let Some(wanted) = super::table::pack(code) else { return Vec::new() };
        let mut steps: Vec<Step> = Vec::new();
        for day in self.table.moves.chunk_by(|a, b| a.date == b.date) {
            let joined: Vec<&Move> = day.iter().filter(|m| m.touches(&wanted)).collect();
            let real = |m: &&&Move| m.from != Some(m.to);
            let Some(kind) = joined.iter().find(real).map(|m| m.kind) else { continue };
            // All that the movement is made of, not only the lines that name the code.
            let ends: FxHashSet<Packed> = joined.iter().map(|m| m.to).collect();
            let starts: FxHashSet<Packed> = joined.iter().filter_map(|m| m.from).collect();
            let whole = day.iter().filter(|m| {
                ends.contains(&m.to) || m.from.is_some_and(|from| starts.contains(&from))
            });
            let (mut before, mut after) = (Vec::new(), Vec::new());
            for m in whole {
                before.extend(m.from.and_then(commune));
                after.extend(commune(m.to));
            }
            for side in [&mut before, &mut after] {
                side.sort();
                side.dedup();
            }
            let date = day.first().map_or(0, |m| m.date);
            let date = ((date / 10_000) as u16, (date / 100 % 100) as u8, (date % 100) as u8);
            steps.push(Step { date, kind, before, after });
        }
        steps
    }

    /// The name of a commune code of today or of the past.
    pub fn commune_name(&self, code: &str) -> Option<&str> {
        if let Some(rank) = self.table.unit(Level::Com, code) {
            return Some(self.table.names.get(rank));
        }
        let at = self.table.old_at(&super::table::pack(code)?)?;
        Some(self.table.old_names.get(at as u32)).filter(|name| !name.is_empty())
    }
}

impl Move {
    fn touches(&self, code: &Packed) -> bool {
        self.to == *code || self.from.as_ref() == Some(code)
    }
}

/// A packed commune code as a territory.
fn commune(packed: Packed) -> Option<TerritoryCode> {
    TerritoryCode::new(Level::Com, super::table::text(&packed)).ok()
}

#[cfg(test)]
pub(super) use tests::communes;

#[cfg(test)]
mod tests;
