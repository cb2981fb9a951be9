//! What became of a commune code: the COG's old codes, carried to the communes of today.
//!
//! Whatever its year: a code that is a commune's today is that commune. What it was in one given
//! year, and whether its territory changed since, is for `vintages` to say.

use super::{Reference, table::pack};
use crate::model::Level;

/// What became of a commune code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carry {
    /// Current: its rank.
    Current(u32),
    /// An old code: the rank of the commune it belongs to now.
    Carried(u32),
    /// An old code whose commune was shared out: the ranks of those that have a part of it
    /// (08227, 45117, 51385, 51606, 60606, 77362).
    Shared(Vec<u32>),
    /// Never a commune, as far as the reference knows.
    Unknown,
}

impl Reference {
    /// What became of a 5-character commune code (any vintage, also coma/comd codes that are no
    /// commune today). Chains are followed to their end: carrying what was carried changes nothing.
    pub fn carry(&self, code: &str) -> Carry {
        if let Some(rank) = self.table.unit(Level::Com, code) {
            return Carry::Current(rank);
        }
        let Some(packed) = pack(code) else { return Carry::Unknown };
        if let Some(ranks) = self.table.shared.get(&packed) {
            return Carry::Shared(ranks.clone());
        }
        let found = self.table.old_at(&packed).and_then(|at| self.table.old.get(at));
        found.map_or(Carry::Unknown, |(_, rank)| Carry::Carried(*rank))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::BTreeSet, fs::File, io::Read, path::Path};

    fn carried(code: &str) -> String {
        let reference = Reference::builtin();
        match reference.carry(code) {
            Carry::Carried(rank) => reference.commune(rank).unwrap().code.to_string(),
            other => panic!("{code}: {other:?}"),
        }
    }

    #[test]
    fn where_the_source_contradicts_itself_the_parent_wins() {
        assert_eq!(carried("55273"), "55386");
        assert_eq!(carried("60455"), "60694");
        let reference = Reference::builtin();
        let settled: Vec<_> = reference
            .settled()
            .iter()
            .map(|s| format!("{} {} {}", s.code.code, s.claimed_by.code, s.parent.code))
            .collect();
        assert_eq!(settled, ["55273 55245 55386", "60455 60054 60694"]);
    }

    #[test]
    fn associated_and_delegated_communes_are_carried_to_their_commune() {
        let reference = Reference::builtin();
        assert_eq!(carried("59355"), "59350");
        let mut chief = 0;
        for level in [Level::Comd, Level::Coma] {
            for unit in reference.table.level(level) {
                let parent = reference.table.parent(unit).unwrap();
                match reference.carry(reference.table.code_text(unit)) {
                    // A chef-lieu bears the code of its commune nouvelle.
                    Carry::Current(rank) => {
                        chief += 1;
                        assert_eq!(rank, parent);
                    }
                    carry => assert_eq!(carry, Carry::Carried(parent)),
                }
            }
        }
        assert_eq!(chief, 584);
    }

    #[test]
    fn carrying_what_was_carried_changes_nothing() {
        let reference = Reference::builtin();
        assert!(reference.table.old.len() >= 4_240);
        assert_eq!(reference.table.shared.len(), 6);
        for (_, rank) in &reference.table.old {
            let code = reference.commune(*rank).unwrap();
            assert_eq!(reference.carry(code.code.as_str()), Carry::Current(*rank));
        }
    }

    #[test]
    fn what_is_no_commune_is_unknown() {
        let reference = Reference::builtin();
        for code in ["", "59", "75101", "99999", "59350 ", "5935", "200093201", "2a004", "é"] {
            assert_eq!(reference.carry(code), Carry::Unknown, "{code}");
        }
    }

    #[test]
    fn every_commune_of_2018_is_current_or_carried() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/communes-2018.geojson.gz");
        let Ok(file) = File::open(&path) else {
            println!(
                "skipped every_commune_of_2018_is_current_or_carried: no communes-2018.geojson.gz"
            );
            return;
        };
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
        let codes: BTreeSet<&str> = text
            .split("\"code\":")
            .skip(1)
            .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
            .collect();
        assert_eq!(codes.len(), 35_357);
        let reference = Reference::builtin();
        let count = |kind: fn(&Carry) -> bool| {
            codes.iter().filter(|code| kind(&reference.carry(code))).count()
        };
        assert_eq!(count(|carry| *carry == Carry::Unknown), 0);
        assert_eq!(count(|carry| matches!(carry, Carry::Carried(_))), 493);
    }

    proptest! {
        #[test]
        fn any_text_has_an_answer(code in r"\PC{0,12}|[0-9AB]{5}") {
            let reference = Reference::builtin();
            if let Carry::Current(rank) | Carry::Carried(rank) = reference.carry(&code) {
                prop_assert!(rank < reference.commune_count());
            }
        }
    }
}
