//! A territory filter in the one form that every store lowers from.

use super::TerritoryCode;
use std::ops::Range;

/// `concerns` or `within` (DESIGN §4). `clip` is geometric and not a selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// The attachment meets the territory (default).
    #[default]
    Concerns,
    /// The attachment is a subset of the territory's communes.
    Within,
}

/// A set of communes by their rank in the reference's hierarchical order, as sorted, disjoint,
/// non-adjacent ranges: a département or a région is a few of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RankSet(Vec<Range<u32>>);

impl RankSet {
    /// The set of the given ranks, in any order, repeated or not.
    pub fn from_ranks(ranks: impl IntoIterator<Item = u32>) -> Self {
        Self::from_ranges(ranks.into_iter().map(|r| r..r.saturating_add(1)))
    }

    /// The set of the ranks in the given ranges, in any order, overlapping or not.
    pub fn from_ranges(ranges: impl IntoIterator<Item = Range<u32>>) -> Self {
        let mut given: Vec<Range<u32>> = ranges.into_iter().filter(|r| !r.is_empty()).collect();
        given.sort_unstable_by_key(|r| r.start);
        let mut ranges: Vec<Range<u32>> = Vec::with_capacity(given.len().min(64));
        for range in given {
            match ranges.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => ranges.push(range),
            }
        }
        Self(ranges)
    }

    /// The ranges, sorted.
    pub fn ranges(&self) -> &[Range<u32>] {
        &self.0
    }

    /// Whether it holds no commune.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of communes.
    pub fn len(&self) -> usize {
        self.0.iter().map(|r| (r.end - r.start) as usize).sum()
    }

    /// Whether it holds `rank`.
    pub fn contains(&self, rank: u32) -> bool {
        let i = self.0.partition_point(|r| r.end <= rank);
        self.0.get(i).is_some_and(|r| r.start <= rank)
    }

    /// All ranks, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flat_map(Clone::clone)
    }

    /// Union.
    pub fn union(&self, other: &Self) -> Self {
        Self::from_ranges(self.0.iter().chain(&other.0).cloned())
    }

    /// Intersection.
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut mine, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut ranges = Vec::new();
        while let (Some(a), Some(b)) = (mine.peek(), theirs.peek()) {
            let (start, end) = (a.start.max(b.start), a.end.min(b.end));
            if start < end {
                ranges.push(start..end);
            }
            // The one that ends first can meet nothing more.
            if a.end < b.end {
                mine.next();
            } else {
                theirs.next();
            }
        }
        Self(ranges)
    }
}

/// One alternative of a [`Selection`]: all that is stated must hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Clause {
    /// The feature's communes meet this set.
    pub meets: Option<RankSet>,
    /// The feature has communes, and all of them are in this set.
    pub within: Option<RankSet>,
    /// The feature is attached to each of these territories of other levels, sorted.
    pub others: Vec<TerritoryCode>,
}

/// Digits of a year; the state of a level has more.
const YEAR: usize = 4;

/// A territory filter: a feature passes when any clause holds. No clause: nothing passes.
/// `key` is its normal form, the same for two spellings of one filter, and part of cache keys,
/// ETags and cursors.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selection {
    /// Normal form, e.g. `dep:59` or `dep:59+dep:62|within`; [`Selection::shown`] for people.
    pub key: String,
    /// The alternatives.
    pub any: Vec<Clause>,
}

impl Selection {
    /// The key as people read it: without the states of configured levels (`bv:59350@1f09c3aa`), with
    /// the years of past territories (`com:93059@2018`).
    pub fn shown(&self) -> String {
        let mut shown = String::with_capacity(self.key.len());
        let mut parts = self.key.split('@');
        shown.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
            if part.len() - rest.len() == YEAR {
                shown.push('@');
                shown.push_str(part);
            } else {
                shown.push_str(rest);
            }
        }
        shown
    }

    /// Whether it lets through a feature of these communes and territories of other levels.
    pub fn admits(&self, communes: &RankSet, others: &[TerritoryCode]) -> bool {
        self.any.iter().any(|clause| {
            let meets = |set: &RankSet| !set.intersection(communes).is_empty();
            let holds = |set: &RankSet| {
                !communes.is_empty() && set.intersection(communes).len() == communes.len()
            };
            let stated = clause.meets.is_some() || clause.within.is_some();
            (stated || !clause.others.is_empty())
                && clause.meets.as_ref().is_none_or(meets)
                && clause.within.as_ref().is_none_or(holds)
                && clause.others.iter().all(|other| others.contains(other))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_years_and_no_states() {
        let shown = |key: &str| Selection { key: key.into(), any: Vec::new() }.shown();
        assert_eq!(
            shown("bv:59350@1f09c3aa+dep:59|within&reg:32"),
            "bv:59350+dep:59|within&reg:32"
        );
        assert_eq!(
            shown("com:93059@2018+epci:200012060@2019|within"),
            "com:93059@2018+epci:200012060@2019|within"
        );
        assert_eq!(shown("bv:59350@1f09c3aa@2018&dep:59"), "bv:59350@2018&dep:59");
    }
}
