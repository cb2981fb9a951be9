//! All the territories of a level at once, for figures by territory.

use super::{Reference, table::NONE};
use crate::model::{Level, RankSet, TerritoryCode};

/// A territory with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Level and code.
    pub code: TerritoryCode,
    /// Its name; its code where no name is known.
    pub name: String,
}

/// The territories of a level, in the order of their codes, and which of them each commune lies
/// in. A communal level cuts France into parts that do not overlap, though not all of it: four
/// islands are in no EPCI.
#[derive(Debug, Clone, Default)]
pub struct Units {
    /// The territories.
    pub list: Vec<Unit>,
    /// By commune rank: the position in `list`, or [`u32::MAX`]. Empty for levels that are not
    /// made of communes.
    of_commune: Vec<u32>,
}

impl Units {
    /// The position of the territory that a commune lies in.
    pub fn of(&self, rank: u32) -> Option<u32> {
        self.of_commune.get(rank as usize).copied().filter(|unit| *unit != NONE)
    }

    /// Number of communes known.
    pub fn communes(&self) -> u32 {
        self.of_commune.len() as u32
    }
}

impl Reference {
    /// The territories of a level; of `fr` its three parts. Levels whose members the COG does not
    /// list (canton, qpv) have none.
    pub fn units(&self, level: Level) -> Units {
        let codes: Vec<TerritoryCode> = match level {
            Level::Fr => ["com", "drom", "metro"]
                .into_iter()
                .filter_map(|part| TerritoryCode::new(Level::Fr, part).ok())
                .collect(),
            Level::Own(_) => {
                let list = self.own(level).map(|own| own.list.as_slice()).unwrap_or_default();
                list.iter().map(|unit| unit.code.clone()).collect()
            }
            _ => {
                let mut codes = self.codes(self.table.level(level));
                codes.sort();
                codes
            }
        };
        let mut units = Units::default();
        if level.is_communal() {
            units.of_commune = vec![NONE; self.commune_count() as usize];
        }
        for code in codes {
            let position = units.list.len() as u32;
            let ranks = if level.is_communal() { self.communes(&code) } else { None };
            for rank in ranks.unwrap_or_default().iter() {
                if let Some(unit) = units.of_commune.get_mut(rank as usize) {
                    *unit = position;
                }
            }
            let name = self.name(&code);
            units.list.push(Unit { code, name });
        }
        units
    }

    /// The name of a territory; its code where none is known.
    pub fn name(&self, code: &TerritoryCode) -> String {
        if code.level == Level::Fr {
            return self.france(code).name;
        }
        if let Some(unit) = self.own_unit(code) {
            return unit.name.clone();
        }
        match self.table.unit(code.level, code.code.as_str()) {
            Some(unit) => self.table.names.get(unit).to_owned(),
            None => code.code.to_string(),
        }
    }

    /// The communes of the régions that hold any of these communes: how far a layer reaches that
    /// covers whole régions.
    pub fn regions_around(&self, communes: &RankSet) -> RankSet {
        let mut around = Vec::new();
        for region in self.table.level(Level::Reg) {
            let set = RankSet::from_ranges(self.table.communes_of(region).iter().cloned());
            if !set.intersection(communes).is_empty() {
                around.extend(set.ranges().iter().cloned());
            }
        }
        RankSet::from_ranges(around)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_cuts_the_communes_without_overlap() {
        let reference = Reference::builtin();
        for level in Level::ALL.into_iter().filter(|l| l.is_communal()) {
            let units = reference.units(level);
            let mut counts = vec![0u32; units.list.len()];
            for rank in 0..units.communes() {
                if let Some(unit) = units.of(rank) {
                    counts[unit as usize] += 1;
                }
            }
            for (unit, count) in units.list.iter().zip(counts) {
                let members = reference.communes(&unit.code).unwrap().len();
                assert_eq!(count as usize, members, "{}", unit.code);
                assert!(!unit.name.is_empty());
            }
        }
        assert_eq!(reference.units(Level::Fr).list.len(), 3);
        assert!(reference.units(Level::Qpv).list.is_empty());
        let all =
            |level| (0..reference.commune_count()).all(|r| reference.units(level).of(r).is_some());
        assert!(all(Level::Reg) && all(Level::Fr));
    }

    #[test]
    fn islands_are_in_no_epci() {
        let reference = Reference::builtin();
        let units = reference.units(Level::Epci);
        let island: TerritoryCode = "com:85113".parse().unwrap();
        let rank = reference.communes(&island).unwrap().iter().next().unwrap();
        assert_eq!(units.of(rank), None);
    }
}
