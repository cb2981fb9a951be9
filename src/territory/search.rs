//! Search by name or postal code over everything the COG lists.
//!
//! Names are folded once (accents, ligatures, case, punctuation, "St" for "Saint") into one
//! string, which a query scans from end to end: some 600 kB, so that no index is needed. What is
//! kept of a scan is a heap of as many results as were asked for.

use super::{
    Reference, Territory, Unit,
    table::{LISTED, Table},
};
use crate::model::Level;
use std::{cmp::Reverse, collections::BinaryHeap, ops::Range};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Longer queries than any name find nothing and are not even folded (bytes).
const LONGEST_QUERY: usize = 200;

/// How well a territory answers a query, best first. The order of the fields is the rule: the
/// kind of match; levels that people name in daily life before those that share their names (the
/// arrondissement of Saint-Denis is not what "saint-denis" means first); population; the order of
/// the table.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hit {
    fit: Fit,
    lesser_level: bool,
    population: Reverse<u64>,
    unit: u32,
}

/// Kinds of match, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// The whole name, or the whole postal code.
    Exact,
    /// The whole code of the COG.
    Code,
    /// The start of the name or postal code.
    Start,
    /// The start of one of its words.
    Word,
    /// Anywhere.
    Inside,
}

/// All folded names, each followed by a line end, in the order of the table's units.
#[derive(Debug)]
pub(super) struct Names {
    text: String,
    starts: Vec<u32>,
}

impl Names {
    fn new(table: &Table) -> Self {
        let units = table.level(Level::Reg).end;
        let mut names = Self { text: String::new(), starts: Vec::with_capacity(units as usize) };
        for unit in 0..units {
            names.starts.push(names.text.len() as u32);
            fold_into(table.names.get(unit), &mut names.text);
            names.text.push('\n');
        }
        names.text.shrink_to_fit();
        names
    }

    fn start(&self, unit: u32) -> usize {
        self.starts.get(unit as usize).map_or(self.text.len(), |start| *start as usize)
    }

    /// Calls `each` with the units among `units` whose name holds `wanted`.
    fn scan(&self, units: Range<u32>, wanted: &str, mut each: impl FnMut(u32, Fit)) {
        let (mut at, end) = (self.start(units.start), self.start(units.end));
        while let Some(found) = self.text.get(at..end).and_then(|rest| rest.find(wanted)) {
            let next = self.starts.partition_point(|start| *start as usize <= at + found);
            let Some(unit) = next.checked_sub(1) else { return };
            at = self.start(next as u32);
            let name = self.text.get(self.start(unit as u32)..at).unwrap_or_default();
            each(unit as u32, fit(name.trim_end_matches('\n'), wanted));
        }
    }
}

/// How `wanted`, which `name` holds, lies in it.
fn fit(name: &str, wanted: &str) -> Fit {
    match name.strip_prefix(wanted) {
        Some("") => Fit::Exact,
        Some(_) => Fit::Start,
        None => {
            let before = |at: usize| at.checked_sub(1).and_then(|at| name.as_bytes().get(at));
            let word = name.match_indices(wanted).any(|(at, _)| before(at) == Some(&b' '));
            if word { Fit::Word } else { Fit::Inside }
        }
    }
}

/// Folds a name or a query: "L'Haÿ-les-Roses" is `l hay les roses`, "St-Œn" is `saint oen`.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_into(text, &mut folded);
    folded
}

fn fold_into(text: &str, folded: &mut String) {
    let first = folded.len();
    let mut word = folded.len();
    let mut push = |c: char| match c {
        'œ' => folded.push_str("oe"),
        'æ' => folded.push_str("ae"),
        c if c.is_alphanumeric() => folded.push(c),
        _ => {
            end_word(folded, word);
            if folded.len() > first && !folded.ends_with(' ') {
                folded.push(' ');
            }
            word = folded.len();
        }
    };
    for c in text.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase) {
        push(c);
    }
    end_word(folded, word);
    if folded.len() > first && folded.ends_with(' ') {
        folded.pop();
    }
}

/// Spells out the word that starts at `word`, if it is an abbreviation.
fn end_word(folded: &mut String, word: usize) {
    let whole = match folded.get(word..) {
        Some("st") => "saint",
        Some("ste") => "sainte",
        _ => return,
    };
    folded.truncate(word);
    folded.push_str(whole);
}

/// The best hits so far, at most `most`.
struct Best {
    most: usize,
    heap: BinaryHeap<Hit>,
}

impl Best {
    fn offer(&mut self, hit: Hit) {
        if self.heap.len() < self.most {
            self.heap.push(hit);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && hit < *worst
        {
            *worst = hit;
        }
    }
}

impl Reference {
    /// Search by name or postal code, best first: the whole name, then its start, then the start
    /// of one of its words, then anywhere in it; population breaks ties. A query of digits is a
    /// postal code or the start of one; a whole code of the COG finds its territories too.
    pub fn search(&self, q: &str, level: Option<Level>, limit: usize) -> Vec<Territory> {
        self.search_also(q, level, limit, &[])
    }

    /// The same among the territories that the reference lists and those that a layer does.
    pub fn search_also(
        &self,
        q: &str,
        level: Option<Level>,
        limit: usize,
        listed: &[Unit],
    ) -> Vec<Territory> {
        let q = q.trim();
        if q.is_empty() || q.len() > LONGEST_QUERY || limit == 0 {
            return Vec::new();
        }
        let table = &self.table;
        let mut best = Best { most: limit, heap: BinaryHeap::new() };
        let mut offer = |unit: u32, level: Level, fit: Fit| {
            best.offer(Hit {
                fit,
                lesser_level: matches!(level, Level::Arm | Level::Comd | Level::Coma | Level::Arr),
                population: Reverse(table.population(unit).unwrap_or(0)),
                unit,
            });
        };
        let levels = LISTED.into_iter().filter(|its| level.is_none_or(|level| level == *its));
        let postal = PostalCodes::starting_with(q);
        let code = q.bytes().any(|b| b.is_ascii_digit()).then(|| q.to_ascii_uppercase());
        let folded = if postal.is_some() { String::new() } else { fold(q) };
        for level in levels {
            let by_code = code.as_deref().and_then(|code| table.unit(level, code));
            let mut offer = |unit: u32, fit: Fit| {
                let fit = if by_code == Some(unit) { fit.min(Fit::Code) } else { fit };
                offer(unit, level, fit);
            };
            let mut seen = false;
            if let Some(postal) = &postal {
                for unit in table.level(level) {
                    if let Some(fit) = postal.fit(table.postal.get(unit)) {
                        seen |= by_code == Some(unit);
                        offer(unit, fit);
                    }
                }
            } else if !folded.is_empty() {
                let names = self.names.get_or_init(|| Names::new(table));
                names.scan(table.level(level), &folded, |unit, fit| {
                    seen |= by_code == Some(unit);
                    offer(unit, fit);
                });
            }
            if let Some(unit) = by_code.filter(|_| !seen) {
                offer(unit, Fit::Code);
            }
        }
        let hits = best.heap.into_sorted_vec().into_iter();
        let mut found: Vec<Found> = hits
            .filter_map(|hit| {
                let rank = (hit.fit, hit.lesser_level, hit.population);
                Some(Found { rank, territory: self.territory(hit.unit)? })
            })
            .collect();
        found.extend(self.search_own(q, &folded, level));
        found.extend(listed.iter().filter_map(|unit| {
            let fit = fit_of(&unit.name, unit.code.code.as_str(), &folded, q)?;
            Some(Found { rank: (fit, true, Reverse(0)), territory: Territory::named(unit) })
        }));
        found.sort_by_key(|found| found.rank);
        found.truncate(limit);
        found.into_iter().map(|found| found.territory).collect()
    }

    /// Among the territories of configured levels: some thousands at most, so that their names are
    /// folded each time.
    fn search_own<'a>(
        &'a self,
        q: &'a str,
        folded: &'a str,
        level: Option<Level>,
    ) -> impl Iterator<Item = Found> + 'a {
        let wanted = move |its: Level| level.is_none_or(|level| level == its);
        let own = self.own.iter().filter(move |own| wanted(own.level)).flat_map(|own| &own.list);
        own.filter_map(move |unit| {
            let fit = fit_of(&unit.name, unit.code.code.as_str(), folded, q)?;
            let territory = self.own_territory(unit);
            let population = Reverse(territory.population.unwrap_or(0));
            Some(Found { rank: (fit, true, population), territory })
        })
    }
}

/// A territory found, with how well it answers, in the order of [`Hit`].
struct Found {
    rank: (Fit, bool, Reverse<u64>),
    territory: Territory,
}

/// How a territory of this name and code answers a query; `None` when it does not.
fn fit_of(name: &str, code: &str, folded: &str, q: &str) -> Option<Fit> {
    if code.eq_ignore_ascii_case(q) {
        return Some(Fit::Code);
    }
    let name = fold(name);
    (!folded.is_empty() && name.contains(folded)).then(|| fit(&name, folded))
}

/// The postal codes that start with given digits.
struct PostalCodes {
    codes: Range<u32>,
}

impl PostalCodes {
    fn starting_with(digits: &str) -> Option<Self> {
        let plain = digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit());
        let start: u32 = digits.parse().ok().filter(|_| plain)?;
        let each = 10_u32.pow(5_u32.saturating_sub(digits.len() as u32));
        Some(Self { codes: start * each..(start + 1) * each })
    }

    fn fit(&self, codes: &[u32]) -> Option<Fit> {
        let whole = self.codes.len() == 1;
        let found = codes.iter().any(|code| self.codes.contains(code));
        found.then_some(if whole { Fit::Exact } else { Fit::Start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(q: &str, level: Option<Level>, limit: usize) -> Vec<String> {
        let hits = Reference::builtin().search(q, level, limit);
        hits.iter().map(|hit| hit.code.to_string()).collect()
    }

    fn first(q: &str) -> String {
        found(q, None, 1).pop().unwrap_or_default()
    }

    #[test]
    fn homonyms_come_by_population_with_their_departement() {
        let hits = Reference::builtin().search("saint-denis", None, 4);
        let labels: Vec<_> = hits.iter().map(Territory::label).collect();
        assert_eq!(
            labels,
            ["Saint-Denis (974)", "Saint-Denis (93)", "Saint-Denis (11)", "Saint-Denis (30)"]
        );
        assert_eq!(hits.first().unwrap().code.to_string(), "com:97411");
    }

    #[test]
    fn spelling_does_not_matter() {
        for (q, code) in [
            ("LILLE", "com:59350"),
            ("st denis", "com:97411"),
            ("St-Étienne", "com:42218"),
            ("ste marie aux mines", "com:68298"),
            ("hay les roses", "com:94038"),
            ("L’Haÿ les roses", "com:94038"),
            ("oeuilly", "com:51410"),
            ("Œuilly", "com:51410"),
            ("villeneuve d ascq", "com:59009"),
            ("mont st michel", "epci:200069425"),
            ("le mont saint-michel", "com:50353"),
            ("reunion", "dep:974"),
            ("  Nord ", "dep:59"),
            ("faucigny glieres", "epci:200000172"),
            ("paris 1er", "arm:75101"),
            // A decomposed accent, as some systems type it.
            ("Ne\u{301}rac", "com:47195"),
        ] {
            assert_eq!(first(q), code, "{q}");
        }
    }

    #[test]
    fn the_whole_name_then_its_start_then_a_word_then_anywhere() {
        assert_eq!(first("lomme"), "coma:59355");
        let fits = |name: &str| fit(&fold(name), "ars");
        assert_eq!(fits("Ars"), Fit::Exact);
        assert_eq!(fits("Ars-en-Ré"), Fit::Start);
        assert_eq!(fits("Mars-lès-Ars"), Fit::Word);
        assert_eq!(fits("Mars"), Fit::Inside);
        let paris = found("paris", None, 3);
        assert_eq!(paris, ["com:75056", "dep:75", "arr:751"]);
    }

    #[test]
    fn digits_are_a_postal_code_or_a_code() {
        assert_eq!(found("59000", None, 9), ["com:59350"]);
        assert_eq!(found("75001", None, 9), ["com:75056", "arm:75101"]);
        // Saint-André has it as its postal code, Lille as its code.
        assert_eq!(found("59350", None, 9), ["com:59527", "com:59350"]);
        assert_eq!(found("59", None, 2), ["dep:59", "com:59350"]);
        assert_eq!(first("01400"), "com:01093");
        assert_eq!(first("2a004"), "com:2A004");
        assert_eq!(first("200093201"), "epci:200093201");
        assert!(found("00000", None, 9).is_empty());
        assert!(found("999999", None, 9).is_empty());
    }

    #[test]
    fn levels_and_limits_are_kept() {
        assert_eq!(found("lille", Some(Level::Epci), 1), ["epci:200093201"]);
        assert_eq!(found("reunion", Some(Level::Reg), 9), ["reg:04"]);
        assert_eq!(found("saint", Some(Level::Com), 25).len(), 25);
        assert!(found("saint", Some(Level::Com), 0).is_empty());
        assert!(found("saint", Some(Level::Canton), 9).is_empty());
    }

    #[test]
    fn every_territory_is_found_by_its_name() {
        let reference = Reference::builtin();
        for unit in (0..reference.table.level(Level::Reg).end).step_by(997) {
            let code = reference.table.code(unit).unwrap();
            let name = reference.table.names.get(unit);
            let hits = reference.search(name, Some(code.level), 200);
            assert!(hits.iter().any(|hit| hit.code == code), "{name}");
        }
    }

    #[test]
    fn hostile_queries_find_nothing() {
        let long = "a".repeat(100_000);
        for q in
            ["", " ", "-", "'", "\n", "\0", "e\nb", "%", long.as_str(), "\u{301}", "saint\ndenis!"]
        {
            let hits = found(q, None, 3);
            assert!(hits.is_empty() || q.len() > 2, "{q:?}: {hits:?}");
        }
    }

    proptest! {
        #[test]
        fn results_hold_the_query(q in r"[a-zéèœ' -]{1,8}|\PC{0,12}") {
            let wanted = fold(&q);
            for hit in Reference::builtin().search(&q, Some(Level::Com), 20) {
                let by_name = fold(&hit.name).contains(&wanted);
                prop_assert!(by_name || q.bytes().any(|b| b.is_ascii_digit()));
            }
        }

        #[test]
        fn folding_is_idempotent(q in r"[a-zA-Zéèœ'st -]{0,12}|\PC{0,12}") {
            let once = fold(&q);
            prop_assert_eq!(&fold(&once), &once);
            prop_assert!(!once.contains('\n') && !once.contains("  ") && once.trim() == once);
        }
    }
}
