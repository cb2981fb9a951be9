//! Which features concern which territories of a level, from the reach index alone.

use crate::{
    error::Result,
    model::{Level, RankSet, Selection, TerritoryCode},
    store::Reach,
    territory::{Unit, Units},
};
use roaring::RoaringBitmap;

/// Features grouped by the territories of a level.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// The territories, in the order of their codes: of a communal level all that the selection
    /// touches, of others those that have a feature.
    pub(super) units: Vec<Unit>,
    /// Position in `units`, ordinal; sorted, each once.
    pub(super) pairs: Vec<(u32, u32)>,
}

/// Groups the features of `matched`, which the selection (when there is one) let through. A
/// territory and the selection meet as sets of communes, as a `territory=` does inside a scope:
/// each row has what the same layer shows for that territory there.
pub(super) fn group(
    reach: &Reach,
    level: Level,
    units: &Units,
    selection: Option<&Selection>,
    matched: &RoaringBitmap,
) -> Result<Groups> {
    let mut raw: Vec<(u32, u32)> = Vec::new();
    let mut names: Vec<Unit> = if level.is_communal() { units.list.clone() } else { Vec::new() };
    let mut touched = vec![false; names.len()];
    let everything = RankSet::from_ranges(std::iter::once(0..units.communes()));
    let all = Selection { key: String::new(), any: Vec::new() };
    let clauses = selection.unwrap_or(&all).any.iter().map(Some);
    let clauses: Vec<_> = if selection.is_some() { clauses.collect() } else { vec![None] };
    for clause in clauses {
        let narrowed = match clause {
            Some(clause) => {
                let alone = Selection { key: String::new(), any: vec![clause.clone()] };
                reach.select(&alone)? & matched
            }
            None => matched.clone(),
        };
        let base = Flags::of(&narrowed);
        if !level.is_communal() {
            others(reach, level, &narrowed, &mut names, &mut raw);
            continue;
        }
        let within = clause.and_then(|c| c.within.as_ref());
        let near = clause.and_then(|c| c.meets.as_ref()).or(within).unwrap_or(&everything);
        for rank in near.iter() {
            let Some(unit) = units.of(rank) else { continue };
            if let Some(touched) = touched.get_mut(unit as usize) {
                *touched = true;
            }
            for ordinal in reach.communes.get(rank as usize).into_iter().flatten() {
                if base.has(*ordinal) {
                    raw.push((unit, *ordinal));
                }
            }
        }
    }
    raw.sort_unstable();
    raw.dedup();
    Ok(match level.is_communal() {
        true => keep(names, &touched, raw),
        false => ordered(names, raw),
    })
}

/// The territories of a level that is not made of communes, as features are attached to them.
fn others(
    reach: &Reach,
    level: Level,
    base: &RoaringBitmap,
    names: &mut Vec<Unit>,
    raw: &mut Vec<(u32, u32)>,
) {
    for (written, attached) in &reach.others {
        let Ok(code) = written.parse::<TerritoryCode>() else { continue };
        if code.level != level {
            continue;
        }
        let found = attached & base;
        if found.is_empty() {
            continue;
        }
        let position = match names.iter().position(|u| u.code == code) {
            Some(position) => position,
            None => {
                let name = code.code.to_string();
                names.push(Unit { code, name });
                names.len() - 1
            }
        };
        raw.extend(found.iter().map(|ordinal| (position as u32, ordinal)));
    }
}

/// Leaves out the territories that the selection does not touch.
fn keep(names: Vec<Unit>, touched: &[bool], mut raw: Vec<(u32, u32)>) -> Groups {
    let mut place = Vec::with_capacity(names.len());
    let mut next = 0u32;
    for touched in touched {
        place.push(next);
        next += u32::from(*touched);
    }
    for pair in &mut raw {
        pair.0 = place.get(pair.0 as usize).copied().unwrap_or_default();
    }
    let units = names.into_iter().zip(touched).filter(|(_, t)| **t).map(|(unit, _)| unit);
    Groups { units: units.collect(), pairs: raw }
}

/// Puts territories that were found one by one into the order of their codes.
fn ordered(names: Vec<Unit>, mut raw: Vec<(u32, u32)>) -> Groups {
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|a, b| names.get(*a).map(|u| &u.code).cmp(&names.get(*b).map(|u| &u.code)));
    let mut place = vec![0u32; names.len()];
    for (new, old) in (0u32..).zip(&order) {
        if let Some(place) = place.get_mut(*old) {
            *place = new;
        }
    }
    for pair in &mut raw {
        pair.0 = place.get(pair.0 as usize).copied().unwrap_or_default();
    }
    raw.sort_unstable();
    let units = order.into_iter().filter_map(|old| names.get(old).cloned()).collect();
    Groups { units, pairs: raw }
}

/// A set of ordinals that is asked for each attachment.
pub(super) struct Flags(Vec<u64>);

impl Flags {
    pub(super) fn of(set: &RoaringBitmap) -> Self {
        let mut words = vec![0u64; set.max().map_or(0, |max| max as usize / 64 + 1)];
        for ordinal in set {
            if let Some(word) = words.get_mut(ordinal as usize / 64) {
                *word |= 1 << (ordinal % 64);
            }
        }
        Self(words)
    }

    pub(super) fn has(&self, ordinal: u32) -> bool {
        self.0.get(ordinal as usize / 64).is_some_and(|word| word >> (ordinal % 64) & 1 == 1)
    }
}

/// What several territories of a level have in common: each feature of `matched` whose whole
/// attachment, inside the selection or not, names more than one (communes in none count as one).
/// Ordinals, ascending.
pub(super) fn several(
    reach: &Reach,
    level: Level,
    units: &Units,
    matched: &RoaringBitmap,
) -> RoaringBitmap {
    let mut several = RoaringBitmap::new();
    if !level.is_communal() {
        let mut once = RoaringBitmap::new();
        for (written, attached) in &reach.others {
            if written.parse::<TerritoryCode>().is_ok_and(|code| code.level == level) {
                let attached = attached & matched;
                several |= &once & &attached;
                once |= attached;
            }
        }
        return several;
    }
    /// No commune seen yet.
    const UNSEEN: u32 = u32::MAX - 1;
    let mut first = vec![UNSEEN; reach.degree.len()];
    let wanted = Flags::of(matched);
    for (rank, features) in (0u32..).zip(&reach.communes) {
        let unit = units.of(rank).unwrap_or(u32::MAX);
        for ordinal in features {
            match first.get_mut(*ordinal as usize) {
                Some(seen) if *seen == UNSEEN => *seen = unit,
                Some(seen) if *seen != unit && wanted.has(*ordinal) => {
                    several.insert(*ordinal);
                }
                _ => {}
            }
        }
    }
    several
}

/// Features of `matched` that are attached to nothing at all.
pub(super) fn unattached(reach: &Reach, matched: &RoaringBitmap) -> u64 {
    let elsewhere: RoaringBitmap = reach.others.values().fold(RoaringBitmap::new(), |a, b| a | b);
    let bare = |o: &u32| reach.degree.get(*o as usize).copied().unwrap_or_default() == 0;
    matched.iter().filter(bare).filter(|o| !elsewhere.contains(*o)).count() as u64
}
