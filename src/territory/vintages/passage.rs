//! The codes of one vintage, carried to the communes of today.

use super::{Move, new_year};
use crate::{
    model::Level,
    territory::{
        Carry, Reference,
        table::{Packed, pack, text},
    },
};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use std::sync::Arc;

/// What became of a code (DESIGN §4), judged by its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The same commune today.
    Unchanged,
    /// No commune today: all of it lies in one.
    Carried,
    /// A commune then and now, but its territory grew, shrank, or the code went to another.
    Redefined,
    /// Its territory lies in several communes: only a location can tell.
    Undecidable,
    /// Never a commune, as far as the reference knows.
    Unknown,
    /// No code told it: it is where a place lies today. Of rows of tables only.
    Located,
}

impl Verdict {
    /// Its name in tables and documents.
    pub fn id(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Carried => "carried",
            Self::Redefined => "redefined",
            Self::Undecidable => "undecidable",
            Self::Unknown => "unknown",
            Self::Located => "located",
        }
    }
}

/// What became of a code of a vintage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// The judgement.
    pub verdict: Verdict,
    /// Where its territory is today: ranks, ascending. One when it is known, none when the code
    /// is unknown; of a commune that shrank, its own rank first among equals stays in the list.
    pub to: Vec<u32>,
    /// The commune that rows bearing the code belong to now; `None` when several may be meant.
    pub main: Option<u32>,
}

impl Fate {
    /// Of a code that names no commune.
    pub fn unknown() -> Self {
        Self { verdict: Verdict::Unknown, to: Vec::new(), main: None }
    }

    fn one(verdict: Verdict, rank: u32) -> Self {
        Self { verdict, to: vec![rank], main: Some(rank) }
    }
}

/// Carries the codes of one vintage.
#[derive(Debug)]
pub struct Passage {
    reference: Arc<Reference>,
    vintage: u16,
    /// The codes that movements since then touched.
    touched: FxHashMap<Packed, Fate>,
}

impl Passage {
    /// The passage from the communes of the first of January of `vintage` to those of the
    /// reference.
    pub fn new(reference: &Arc<Reference>, vintage: u16) -> Self {
        let walk = Walk::run(reference, new_year(vintage));
        let touched = walk.judge(reference);
        Self { reference: reference.clone(), vintage, touched }
    }

    /// The year it starts from.
    pub fn vintage(&self) -> u16 {
        self.vintage
    }

    /// The reference it leads to.
    pub fn reference(&self) -> &Arc<Reference> {
        &self.reference
    }

    /// What became of a code. A code that was no commune in this vintage is judged as the
    /// reference knows it, of whatever year.
    pub fn fate(&self, code: &str) -> Fate {
        if let Some(fate) = pack(code).and_then(|packed| self.touched.get(&packed)) {
            return fate.clone();
        }
        match self.reference.carry(code) {
            Carry::Current(rank) => Fate::one(Verdict::Unchanged, rank),
            Carry::Carried(rank) => Fate::one(Verdict::Carried, rank),
            Carry::Shared(to) => Fate { verdict: Verdict::Undecidable, to, main: None },
            Carry::Unknown => Fate::unknown(),
        }
    }
}

/// The communes of a vintage on their way.
struct Walk {
    /// Where each commune of the vintage that moved is now.
    places: FxHashMap<Packed, Vec<Packed>>,
    /// Whose territory each commune holds; one that is not in it holds its own.
    held: FxHashMap<Packed, Vec<Packed>>,
    /// The communes of the vintage among the codes that moved since.
    alive: FxHashSet<Packed>,
}

impl Walk {
    fn run(reference: &Reference, start: u32) -> Self {
        let (table, lives) = (&reference.table, reference.lives());
        let later = table.moves.partition_point(|m| m.date <= start);
        let later = table.moves.get(later..).unwrap_or_default();
        let alive: FxHashSet<Packed> = later
            .iter()
            .flat_map(|m| [m.from, Some(m.to)])
            .flatten()
            .filter(|code| lives.on(table, code, start))
            .collect();
        let held = alive.iter().map(|code| (*code, vec![*code])).collect();
        let places = alive.iter().map(|code| (*code, vec![*code])).collect();
        let mut walk = Self { places, held, alive };
        for day in later.chunk_by(|a, b| a.date == b.date) {
            walk.day(day);
        }
        walk
    }

    /// One day's movements, all at once.
    fn day(&mut self, day: &[Move]) {
        let mut targets: FxHashMap<Packed, Vec<Packed>> = FxHashMap::default();
        for m in day {
            if let Some(from) = m.from {
                targets.entry(from).or_default().push(m.to);
            }
        }
        let mut gone = Vec::new();
        for (from, to) in &targets {
            if *to != [*from] {
                gone.extend(self.held.remove(from).map(|origins| (*from, origins, to)));
            }
        }
        for (from, origins, to) in gone {
            for origin in origins {
                let next = self.next(origin, from, to);
                let places = self.places.entry(origin).or_default();
                places.retain(|place| *place != from);
                for place in next {
                    if !places.contains(&place) {
                        places.push(place);
                    }
                    let held = self.held.entry(place).or_default();
                    if !held.contains(&origin) {
                        held.push(origin);
                    }
                }
            }
        }
    }

    /// Where the territory of `origin`, held by `from`, goes among `to`.
    fn next(&self, origin: Packed, from: Packed, to: &[Packed]) -> Vec<Packed> {
        if origin != from && to.contains(&origin) {
            return vec![origin];
        }
        // A commune of the vintage that is restored takes its own territory only.
        let open = |code: &&Packed| **code == from || !self.alive.contains(*code);
        let open: Vec<Packed> = to.iter().filter(open).copied().collect();
        if open.is_empty() { to.to_vec() } else { open }
    }

    fn judge(mut self, reference: &Reference) -> FxHashMap<Packed, Fate> {
        let mut ends: FxHashMap<Packed, Vec<u32>> = FxHashMap::default();
        for (origin, places) in self.places.drain() {
            ends.insert(origin, destinations(reference, &origin, &places));
        }
        let mut sources: FxHashMap<u32, u32> = FxHashMap::default();
        for rank in ends.values().flatten() {
            *sources.entry(*rank).or_default() += 1;
        }
        let fate = |origin: &Packed, to: Vec<u32>| {
            let own = reference.table.unit(Level::Com, text(origin));
            let grew = |rank: u32| sources.get(&rank).is_some_and(|count| *count > 1);
            let verdict = match (own, to.as_slice()) {
                (_, []) => Verdict::Unknown,
                (Some(own), [one]) if own == *one && !grew(own) => Verdict::Unchanged,
                (Some(own), to) if to.contains(&own) || to.len() == 1 => Verdict::Redefined,
                (None, [_]) => Verdict::Carried,
                _ => Verdict::Undecidable,
            };
            let main = match to.as_slice() {
                [one] => Some(*one),
                to => own.filter(|own| to.contains(own)),
            };
            Fate { verdict, to, main }
        };
        ends.into_iter().map(|(origin, to)| (origin, fate(&origin, to))).collect()
    }
}

/// The ranks of the communes where an origin ended. The commune that its code is a part of today
/// wins over the one where movements lead (55273, 60455); over several it does not, but is one of
/// them: a commune that gave another back and then became a part (50160) is in both.
fn destinations(reference: &Reference, origin: &Packed, places: &[Packed]) -> Vec<u32> {
    let (table, code) = (&reference.table, text(origin));
    let mut to: Vec<u32> = places
        .iter()
        .flat_map(|place| match reference.carry(text(place)) {
            Carry::Current(rank) | Carry::Carried(rank) => vec![rank],
            Carry::Shared(ranks) => ranks,
            Carry::Unknown => Vec::new(),
        })
        .collect();
    to.sort_unstable();
    to.dedup();
    if !table.is_commune(origin) {
        let parts = [Level::Comd, Level::Coma];
        let parent = parts.iter().find_map(|level| table.parent(table.unit(*level, code)?));
        match (parent, to.len()) {
            (Some(parent), 0 | 1) => return vec![parent],
            (Some(parent), _) if !to.contains(&parent) => {
                to.push(parent);
                to.sort_unstable();
            }
            _ => {}
        }
    }
    to
}
