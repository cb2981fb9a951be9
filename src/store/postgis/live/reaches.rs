//! Which attachments answers read. Rows are read as they are now, so that the attachments in force
//! are those of all states they were made alike for; others are kept by name for as long as
//! somebody reads, or waits to read, a state that names them.

use crate::{
    model::{LayerId, Version, live::reach_basis},
    store::At,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// The attachments that are known, by their serial.
#[derive(Default)]
pub(super) struct Reaches(Mutex<Known>);

#[derive(Default)]
struct Known {
    in_force: HashMap<LayerId, (String, i64)>,
    held: Vec<Held>,
}

/// Attachments, with a state that names them.
struct Held {
    layer: LayerId,
    name: String,
    serial: i64,
    by: Weak<Version>,
}

impl Reaches {
    /// The attachments of a state; `None` when it has none, or none that are kept.
    pub(super) fn of(&self, at: &At) -> Option<i64> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let alike = |name: &str| reach_basis(name) == reach_basis(&at.reach);
        if let Some((_, serial)) = known.in_force.get(&at.layer).filter(|(name, _)| alike(name)) {
            return Some(*serial);
        }
        let held = known.held.iter().rev().find(|h| h.layer == at.layer && h.name == at.reach);
        held.map(|h| h.serial)
    }

    /// Notes the attachments in force, with the states that readers see.
    pub(super) fn keep(&self, found: &[(At, i64)]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let in_force = |(at, serial): &(At, i64)| (at.layer.clone(), (at.reach.clone(), *serial));
        known.in_force = found.iter().map(in_force).collect();
        known.held.retain(|held| held.by.strong_count() > 0);
        known.held.extend(found.iter().map(|(at, serial)| Held {
            layer: at.layer.clone(),
            name: at.reach.clone(),
            serial: *serial,
            by: Arc::downgrade(&at.version),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::postgis::rows::tests::version;

    fn at(reach: &str) -> At {
        let version = version(&[]).into();
        At { layer: "mairies".parse().unwrap(), version, reach: reach.to_owned() }
    }

    #[test]
    fn attachments_are_found_however_often_the_table_was_edited_since() {
        let reaches = Reaches::default();
        let waiting = at("ab12r1");
        reaches.keep(&[(waiting.clone(), 1)]);
        // Rows are replaced in place, then all made anew: what is in force is of rows as they are.
        for (revision, serial) in [(2, 1), (3, 1), (4, 2), (5, 3)] {
            reaches.keep(&[(at(&format!("ab12r{revision}")), serial)]);
            assert_eq!(reaches.of(&waiting), Some(serial));
        }
        // Made under another reference: their communes have other numbers.
        for revision in 6..10 {
            reaches.keep(&[(at(&format!("cd34r{revision}")), 4)]);
            assert_eq!(reaches.of(&waiting), Some(1), "r{revision}");
            assert_eq!(reaches.of(&at("cd34r6")), Some(4));
        }
        assert_eq!(reaches.of(&at("")), None);
        // Nobody reads it any more.
        let name = waiting.reach.clone();
        drop(waiting);
        reaches.keep(&[(at("cd34r10"), 4)]);
        assert_eq!(reaches.of(&at(&name)), None);
    }
}
