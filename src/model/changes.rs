//! What a publication changed in a layer: which features came, changed and went, and where. Kept
//! by the store for longer than the versions it was made from; feeds and lists of changes are read
//! from it.

use super::{RankSet, Selection, TerritoryCode, VersionId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Most features that one difference lists; beyond, only counts are kept.
pub const MAX_CHANGES: usize = 100_000;

/// What happened to a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// Its values or its geometry are others.
    Changed,
    /// It is no longer there.
    Removed,
}

/// What a difference says of itself, without its list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangesHead {
    /// When the version was about to be published. Names the difference within its layer.
    pub at: Timestamp,
    /// The version that was published.
    pub version: VersionId,
    /// The one it took the place of; `None` for the first of a layer, whose features are counted
    /// as added and not listed.
    pub base: Option<VersionId>,
    /// Features added.
    pub added: u64,
    /// Features changed.
    pub changed: u64,
    /// Features removed.
    pub removed: u64,
    /// Features listed: all that are counted, or the first [`MAX_CHANGES`].
    pub listed: u64,
}

impl ChangesHead {
    /// Whether nothing is different but where the data came from.
    pub fn is_empty(&self) -> bool {
        self.added == 0 && self.changed == 0 && self.removed == 0
    }

    /// Whether every feature counted is listed.
    pub fn is_complete(&self) -> bool {
        self.listed == self.added + self.changed + self.removed
    }
}

/// Where a feature is: positions in [`Changes::communes`] as ranges, and in [`Changes::others`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// `[from, to)` pairs, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub communes: Vec<[u32; 2]>,
    /// Positions, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<u32>,
}

/// One feature's difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// Its key: the id under which it is, or was, served.
    pub id: String,
    /// Its name for people (of what was removed: its last one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether its geometry changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub geometry: bool,
    /// Whether its values changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub values: bool,
    /// Where it is (of what was removed: was).
    pub place: Place,
    /// Where it was, when that is elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Place>,
}

/// A difference. Communes are kept by their codes, so that it outlives the reference it was made
/// under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Its name and counts.
    pub head: ChangesHead,
    /// Codes of the communes named, in the reference's hierarchical order.
    pub communes: Vec<String>,
    /// Territories of other levels named.
    pub others: Vec<TerritoryCode>,
    /// The features: added and changed ones in the order of the new version, then the removed ones
    /// in that of the old.
    pub list: Vec<Change>,
}

/// The differences that came to be published, newest first, of all that are kept. A writer that died
/// between writing a difference and publishing its version left one that never was: the next one
/// (or what is current) starts from the same base as it does.
pub fn published(mut heads: Vec<ChangesHead>, current: &VersionId) -> Vec<ChangesHead> {
    heads.sort_by_key(|head| std::cmp::Reverse(head.at));
    let mut kept: Vec<ChangesHead> = Vec::with_capacity(heads.len());
    for head in heads {
        let followed_by = match kept.last() {
            None => Some(current),
            Some(next) => next.base.as_ref(),
        };
        if head.version == *current && kept.is_empty() || followed_by != head.base.as_ref() {
            kept.push(head);
        }
    }
    kept
}

impl Changes {
    /// What a change is to a territory: what moved into it was added there, what left it was
    /// removed. `None` when it does not concern it. `sets` turns a place into today's communes.
    pub fn seen_from(
        &self,
        change: &Change,
        selection: &Selection,
        communes: impl Fn(&Place) -> RankSet,
    ) -> Option<ChangeKind> {
        let admits = |place: &Place| {
            let others = place.others.iter().filter_map(|i| self.others.get(*i as usize));
            let others: Vec<TerritoryCode> = others.cloned().collect();
            selection.admits(&communes(place), &others)
        };
        let now = admits(&change.place);
        match (change.kind, &change.before) {
            (ChangeKind::Changed, Some(before)) => match (admits(before), now) {
                (true, true) => Some(ChangeKind::Changed),
                (true, false) => Some(ChangeKind::Removed),
                (false, true) => Some(ChangeKind::Added),
                (false, false) => None,
            },
            (kind, _) => now.then_some(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(at: &str, base: Option<&str>, version: &str) -> ChangesHead {
        ChangesHead {
            at: format!("2026-01-01T00:00:{at}Z").parse().unwrap(),
            version: version.parse().unwrap(),
            base: base.map(|b| b.parse().unwrap()),
            added: 1,
            changed: 0,
            removed: 0,
            listed: 1,
        }
    }

    fn versions(heads: Vec<ChangesHead>, current: &str) -> Vec<String> {
        let kept = published(heads, &current.parse().unwrap());
        kept.into_iter()
            .map(|h| format!("{}>{}", h.base.map_or("".into(), |b| b.to_string()), h.version))
            .collect()
    }

    #[test]
    fn what_was_never_published_is_left_out() {
        let all =
            || vec![head("01", None, "a"), head("02", Some("a"), "b"), head("03", Some("b"), "c")];
        assert_eq!(versions(all(), "c"), ["b>c", "a>b", ">a"]);
        // Written, and died before publishing.
        assert_eq!(versions(all(), "b"), ["a>b", ">a"]);
        let mut retried = all();
        retried.push(head("04", Some("b"), "d"));
        assert_eq!(versions(retried, "d"), ["b>d", "a>b", ">a"]);
        // A version that another program published without a word.
        assert_eq!(versions(all(), "x"), ["b>c", "a>b", ">a"]);
    }

    #[test]
    fn going_back_is_a_change_too() {
        let heads =
            vec![head("01", None, "a"), head("02", Some("a"), "b"), head("03", Some("b"), "a")];
        assert_eq!(versions(heads, "a"), ["b>a", "a>b", ">a"]);
    }
}
