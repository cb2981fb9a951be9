//! The vintage of a table, from the commune codes in it.

use super::{FIRST_VINTAGE, new_year};
use crate::territory::{
    Reference,
    table::{Packed, pack},
};
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

/// What a set of codes says of its vintage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detected {
    /// The year taken: of those that explain most codes, the one whose communes are most nearly
    /// the table's when the table lists a whole country, else the latest.
    pub vintage: u16,
    /// The first of the years in a row that explain as many codes.
    pub first: u16,
    /// The last of them.
    pub last: u16,
    /// Distinct codes that were communes in that year.
    pub matched: u64,
    /// Distinct codes that were communes in some year.
    pub communes: u64,
}

/// A table with this share of a year's communes is taken for a list of all of them.
const WHOLE: f64 = 0.95;

impl Reference {
    /// The vintage that explains most of these commune codes; `None` when none is a commune's.
    pub fn detect<'a>(&self, codes: impl IntoIterator<Item = &'a str>) -> Option<Detected> {
        let distinct: FxHashSet<Packed> = codes.into_iter().filter_map(pack).collect();
        let years = usize::from(self.vintage().checked_sub(FIRST_VINTAGE)?) + 1;
        let mut matched = vec![0_u64; years];
        let mut communes = 0;
        for code in &distinct {
            if !self.lives().moved.contains_key(code) {
                let always = u64::from(self.table.is_commune(code));
                communes += always;
                matched.iter_mut().for_each(|count| *count += always);
                continue;
            }
            let alive = self.years_of(code, years);
            communes += u64::from(alive.iter().any(|alive| *alive));
            for (count, alive) in matched.iter_mut().zip(alive) {
                *count += u64::from(alive);
            }
        }
        let most = *matched.iter().max()?;
        if most == 0 {
            return None;
        }
        // Of the years that explain as many, those that follow one another up to the latest.
        let year = |at: usize| FIRST_VINTAGE + at as u16;
        let last = matched.iter().rposition(|count| *count == most)?;
        let run = matched.get(..=last)?.iter().rev().take_while(|count| **count == most).count();
        let first = last + 1 - run;
        let sizes = self.sizes(years);
        let lacking = |at: usize| sizes.get(at).copied().unwrap_or_default().saturating_sub(most);
        let whole = sizes.get(last).is_some_and(|size| most as f64 >= WHOLE * *size as f64);
        let taken = match whole {
            true => (first..=last).rev().min_by_key(|at| lacking(*at)).unwrap_or(last),
            false => last,
        };
        Some(Detected {
            vintage: year(taken),
            first: year(first),
            last: year(last),
            matched: most,
            communes,
        })
    }

    /// In which years a code was a commune.
    fn years_of(&self, code: &Packed, years: usize) -> Vec<bool> {
        let lives = self.lives().of(&self.table, code);
        let day = |at: usize| new_year(FIRST_VINTAGE + at as u16);
        let on = |at: usize| lives.iter().any(|(from, until)| (*from..*until).contains(&day(at)));
        (0..years).map(on).collect()
    }

    /// How many communes each year had.
    fn sizes(&self, years: usize) -> Vec<u64> {
        let mut sizes = vec![0_u64; years];
        let moved = &self.lives().moved;
        for code in moved.keys() {
            for (size, alive) in sizes.iter_mut().zip(self.years_of(code, years)) {
                *size += u64::from(alive);
            }
        }
        let still = self.table.codes.iter().take(self.commune_count() as usize);
        let unmoved = still.filter(|code| !moved.contains_key(*code)).count() as u64;
        sizes.iter_mut().for_each(|size| *size += unmoved);
        sizes
    }

    /// Number of communes on the first of January of a year.
    pub fn communes_in_year(&self, year: u16) -> Option<u64> {
        let at = usize::from(year.checked_sub(FIRST_VINTAGE)?);
        (year <= self.vintage()).then(|| self.sizes(at + 1).pop()).flatten()
    }
}
