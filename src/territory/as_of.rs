//! Territories as they were in a year: the communes of today that hold what they were made of.
//!
//! What is known of the past is the communes of each year, and the last perimeter of the EPCI that
//! are dissolved; an EPCI that exists has the perimeter of today and no other.

use super::{
    MOST_TERRITORIES, Passage, Reference,
    table::pack,
    vintages::{FIRST_VINTAGE, new_year},
};
use crate::{
    error::{Error, Result},
    model::{Clause, Level, Mode, Perimeter, PerimeterUnit, RankSet, Selection, TerritoryCode},
    text,
};
use std::sync::Arc;

/// The last year in which the neighbourhoods of 2015 (`QP…`) were those in force.
pub(super) const LAST_OF_QPV_2015: u16 = 2023;

/// A territory of a year.
#[derive(Debug, Clone)]
pub struct AsOf {
    /// Its level and code then.
    pub code: TerritoryCode,
    /// The year whose perimeter is taken: that asked for, or the last in which an EPCI was listed.
    pub vintage: u16,
    /// The communes of today that hold it; `None` for levels that are not made of communes.
    pub communes: Option<RankSet>,
}

/// The last year in which what a QPV code names was in force; `None`: it is.
pub(super) fn last_of(code: &TerritoryCode) -> Option<u16> {
    let old = code.level == Level::Qpv && code.code.as_str().starts_with("QP");
    old.then_some(LAST_OF_QPV_2015)
}

impl Reference {
    /// Understands a territory as it was in a year: `com:59350`, `epci:200012060`, a bare code.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the year is not known of, when it was no territory then, or when its
    /// perimeter of then is not known; [`Error::Gone`] for a territory that was dissolved before.
    pub fn as_of(self: &Arc<Self>, text: &str, vintage: u16) -> Result<AsOf> {
        let (text, last) = (text.trim(), self.vintage());
        if !(FIRST_VINTAGE..=last).contains(&vintage) {
            return Err(Error::Invalid(text!(
                "Paramètre « vintage » : de {FIRST_VINTAGE} à {last}.",
                "Parameter \"vintage\": {FIRST_VINTAGE} to {last}."
            )));
        }
        let bare = |level| TerritoryCode::new(level, text).ok();
        let code = match text.parse::<TerritoryCode>().ok() {
            Some(code) => code,
            None => match text.len() {
                5 => bare(Level::Arm).or_else(|| bare(Level::Com)),
                9 => bare(Level::Epci),
                _ => None,
            }
            .map_or_else(|| self.resolve(text).map(|found| found.code), Ok)?,
        };
        let today = |communes| AsOf { code: code.clone(), vintage, communes };
        match code.level {
            Level::Com => self.commune_of(&code, vintage),
            Level::Epci | Level::Ept if vintage == last => {
                Ok(today(Some(self.communes(&code).ok_or_else(|| self.unknown(&code))?)))
            }
            Level::Epci | Level::Ept => self.group_of(&code, vintage),
            Level::Qpv => match last_of(&code) {
                Some(last) if vintage > last => Err(self.unknown(&code)),
                _ => Ok(today(None)),
            },
            level => {
                self.check_listed(&code)?;
                Ok(today(if level.is_communal() { self.communes(&code) } else { None }))
            }
        }
    }

    fn commune_of(self: &Arc<Self>, code: &TerritoryCode, vintage: u16) -> Result<AsOf> {
        let text = code.code.as_str();
        let then =
            pack(text).is_some_and(|code| self.lives().on(&self.table, &code, new_year(vintage)));
        if !then {
            return Err(Error::Invalid(text!(
                "« {code} » n'était pas une commune au 1er janvier {vintage}.",
                "\"{code}\" was no commune on 1 January {vintage}."
            )));
        }
        let to = Passage::new(self, vintage).fate(text).to;
        Ok(AsOf { code: code.clone(), vintage, communes: Some(RankSet::from_ranks(to)) })
    }

    fn group_of(&self, code: &TerritoryCode, vintage: u16) -> Result<AsOf> {
        match self.dissolved(code) {
            Some(gone) if vintage <= gone.last => {
                Ok(AsOf { code: code.clone(), vintage: gone.last, communes: Some(gone.today) })
            }
            Some(_) => Err(self.unknown(code)),
            None => {
                self.check_listed(code)?;
                let last = self.vintage();
                Err(Error::Invalid(text!(
                    "Le périmètre de « {code} » en {vintage} n'est pas connu : seul l'est celui de {last} (sans « vintage »), et le dernier des EPCI dissous.",
                    "The perimeter of \"{code}\" in {vintage} is not known: only that of {last} is (without \"vintage\"), and the last one of dissolved EPCI."
                )))
            }
        }
    }

    /// The selection of a union of territories of the past, in one mode.
    ///
    /// # Errors
    /// As [`Reference::select`].
    pub fn select_as_of(&self, units: &[AsOf], mode: Mode) -> Result<Selection> {
        let count = units.len();
        if count == 0 || count > MOST_TERRITORIES {
            return Err(Error::Invalid(text!(
                "{count} territoires demandés : de 1 à {MOST_TERRITORIES}.",
                "{count} territories asked for: 1 to {MOST_TERRITORIES}."
            )));
        }
        // Configured levels are taken as they are: their state is part of the key here too.
        let named = |unit: &AsOf| match self.level_key(unit.code.level) {
            Some(state) => format!("{}@{state}@{}", unit.code, unit.vintage),
            None => format!("{}@{}", unit.code, unit.vintage),
        };
        let mut keys: Vec<String> = units.iter().map(named).collect();
        keys.sort();
        keys.dedup();
        let ranges: Vec<_> = units
            .iter()
            .filter_map(|unit| unit.communes.as_ref())
            .flat_map(|set| set.ranges().iter().cloned())
            .collect();
        let mut any = Vec::new();
        if units.iter().any(|unit| unit.communes.is_some()) {
            let set = Some(RankSet::from_ranges(ranges));
            any.push(match mode {
                Mode::Concerns => Clause { meets: set, ..Clause::default() },
                Mode::Within => Clause { within: set, ..Clause::default() },
            });
        }
        let mut others: Vec<TerritoryCode> =
            units.iter().filter(|u| u.communes.is_none()).map(|u| u.code.clone()).collect();
        others.sort();
        others.dedup();
        if !others.is_empty() {
            // The mode `within` is refused there.
            any.extend(self.select(&others, mode)?.any);
        }
        let mut key = keys.join("+");
        if mode == Mode::Within {
            key.push_str("|within");
        }
        Ok(Selection { key, any })
    }

    /// The perimeter of a union of territories of the past: that of the communes of today which hold
    /// them.
    ///
    /// # Errors
    /// As [`Reference::select_as_of`].
    pub fn perimeter_as_of(&self, units: &[AsOf]) -> Result<Perimeter> {
        let key = self.select_as_of(units, Mode::Concerns)?.key;
        let mut codes: Vec<TerritoryCode> = units
            .iter()
            .flat_map(|unit| match &unit.communes {
                None => vec![unit.code.clone()],
                Some(set) => set.iter().filter_map(|rank| self.commune(rank)).collect(),
            })
            .collect();
        codes.sort();
        codes.dedup();
        let unit = |code: TerritoryCode| PerimeterUnit { communes: self.communes(&code), code };
        Ok(Perimeter { key, units: codes.into_iter().map(unit).collect() })
    }

    /// How a territory of the past was understood, ASCII: `com:93059@2018 -> com:93066`.
    pub fn told(&self, unit: &AsOf) -> String {
        const LISTED: usize = 8;
        let (code, vintage) = (&unit.code, unit.vintage);
        let today = match &unit.communes {
            Some(set) if set.len() <= LISTED => {
                let codes = set.iter().filter_map(|rank| self.commune(rank));
                codes.map(|code| code.to_string()).collect::<Vec<_>>().join("+")
            }
            Some(set) => format!("{} communes", set.len()),
            None => code.to_string(),
        };
        format!("{code}@{vintage} -> {today}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(text: &str, vintage: u16) -> String {
        let reference = Reference::builtin();
        let unit =
            reference.as_of(text, vintage).unwrap_or_else(|e| panic!("{text}@{vintage}: {e}"));
        reference.told(&unit)
    }

    #[test]
    fn communes_of_a_year_are_where_their_territory_is() {
        assert_eq!(told("com:59350", 2018), "com:59350@2018 -> com:59350");
        assert_eq!(told("93059", 2018), "com:93059@2018 -> com:93066");
        assert_eq!(told("com-85084", 2018), "com:85084@2018 -> com:85084+com:85165+com:85212");
        // One code, two communes: 27058 was another one's in 2022.
        assert_eq!(told("27058", 2022), "com:27058@2022 -> com:27676");
        assert_eq!(told("08227", 1960), "com:08227@1960 -> com:08203+com:08454");
        assert_eq!(told("dep:59", 1980).split(" -> ").next(), Some("dep:59@1980"));
        assert_eq!(told("75101", 2018), "arm:75101@2018 -> arm:75101");
    }

    #[test]
    fn dissolved_epci_have_their_last_perimeter() {
        assert_eq!(told("epci:200012060", 2019), "epci:200012060@2019 -> 23 communes");
        assert_eq!(told("200012060", 2010), told("200012060", 2019));
        let reference = Reference::builtin();
        let unit = reference.as_of("200012060", 2019).unwrap();
        assert_eq!(unit.communes, Some(reference.dissolved(&unit.code).unwrap().today));
        assert!(matches!(reference.as_of("epci:200012060", 2021), Err(Error::Gone { .. })));
        assert!(matches!(reference.as_of("epci:200093201", 2020), Err(Error::Invalid(_))));
        assert!(reference.as_of("epci:200093201", reference.vintage()).is_ok());
    }

    #[test]
    fn neighbourhoods_of_2015_are_gone_unless_their_years_are_asked_for() {
        let reference = Reference::builtin();
        let Err(Error::Gone { text, .. }) = reference.resolve("qpv:QP031001") else { panic!() };
        assert!(text.fr.contains("2024") && text.en.contains("vintage=2023"), "{text}");
        assert_eq!(told("qpv:QP031001", 2020), "qpv:QP031001@2020 -> qpv:QP031001");
        assert!(matches!(reference.as_of("qpv:QP031001", 2024), Err(Error::Gone { .. })));
    }

    #[test]
    fn what_was_not_then_is_refused() {
        let reference = Reference::builtin();
        for (text, vintage) in [
            ("com:59355", 2018),
            ("com:59350", 1942),
            ("com:59350", 2100),
            ("dep:00", 2018),
            ("lille", 2018),
            ("", 2018),
        ] {
            assert!(
                matches!(reference.as_of(text, vintage), Err(Error::Invalid(_))),
                "{text}@{vintage}"
            );
        }
    }

    /// The communes of a year are a partition: put together they give today's whole, but for what
    /// was cut out of communes without a word of which.
    #[test]
    fn the_parts_of_a_year_give_the_whole() {
        let reference = Reference::builtin();
        for year in [1943, 1966, 1973, 1990, 2018, 2023] {
            let passage = Passage::new(&reference, year);
            let mut held = vec![0u32; reference.commune_count() as usize];
            let all = crate::territory::vintages::communes(year);
            for code in &all {
                let fate = passage.fate(code);
                assert!(!fate.to.is_empty(), "{code}@{year} is nowhere");
                fate.to.into_iter().for_each(|rank| held[rank as usize] += 1);
            }
            assert_eq!(Some(all.len() as u64), reference.communes_in_year(year));
            let missing = (0u32..).zip(&held).filter(|(_, n)| **n == 0);
            for code in missing.filter_map(|(rank, _)| reference.commune(rank)) {
                let created = created_since(&reference, code.code.as_str(), year);
                assert!(created, "{code} comes from nowhere in {year}");
            }
        }
    }

    /// Whether a code was created since, or given to what was (78120, then 95120).
    fn created_since(reference: &Reference, code: &str, year: u16) -> bool {
        reference.history(code).iter().filter(|step| step.date.0 >= year).any(|step| {
            let mut before = step.before.iter().filter(|b| b.code.as_str() != code);
            step.kind == 20
                || (step.kind == 41
                    && before.any(|b| created_since(reference, b.code.as_str(), year)))
        })
    }

    proptest! {
        #[test]
        fn a_union_of_the_past_has_no_order(
            codes in proptest::sample::subsequence(vec!["59350", "93059", "85084", "60455", "dep:59", "epci:200012060"], 1..6).prop_shuffle(),
            within: bool,
        ) {
            let reference = Reference::builtin();
            let mode = if within { Mode::Within } else { Mode::Concerns };
            let units = |codes: &[&str]| codes.iter().map(|c| reference.as_of(c, 2018).unwrap()).collect::<Vec<_>>();
            let mut sorted = codes.clone();
            sorted.sort_unstable();
            let (one, other) = (units(&codes), units(&sorted));
            prop_assert_eq!(reference.select_as_of(&one, mode).unwrap(), reference.select_as_of(&other, mode).unwrap());
            prop_assert_eq!(reference.perimeter_as_of(&one).unwrap(), reference.perimeter_as_of(&other).unwrap());
        }
    }
}
