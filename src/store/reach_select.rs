//! From a territory filter to the features it lets through: the one algorithm of all stores. A
//! store only says how it looks into its reach index ([`ReachIndex`]).

use super::Reach;
use crate::{
    error::Result,
    model::{BBox, Clause, RankSet, Selection},
};
use roaring::RoaringBitmap;
use std::sync::OnceLock;

/// How a store looks into a reach index.
pub(super) trait ReachIndex {
    /// Ordinals attached to any commune of the set, once per attachment, in any order.
    fn attached(&self, communes: &RankSet) -> Result<Vec<u32>>;

    /// To how many communes each of some features (ascending, each once) is attached.
    fn degrees(&self, ordinals: &[u32]) -> Result<Vec<u32>>;

    /// The features of a territory of another level (`level:code`).
    fn other(&self, territory: &str) -> Result<RoaringBitmap>;
}

/// A whole index in memory, for whoever groups features by many territories at once.
impl ReachIndex for Reach {
    fn attached(&self, communes: &RankSet) -> Result<Vec<u32>> {
        let ranks = communes.iter().take_while(|rank| (*rank as usize) < self.communes.len());
        Ok(ranks.filter_map(|rank| self.communes.get(rank as usize)).flatten().copied().collect())
    }

    fn degrees(&self, ordinals: &[u32]) -> Result<Vec<u32>> {
        let degree = |o: &u32| self.degree.get(*o as usize).copied().unwrap_or_default();
        Ok(ordinals.iter().map(degree).collect())
    }

    fn other(&self, territory: &str) -> Result<RoaringBitmap> {
        Ok(self.others.get(territory).cloned().unwrap_or_default())
    }
}

impl Reach {
    /// The ordinals that a selection lets through: what a scan with it shows.
    pub fn select(&self, selection: &Selection) -> Result<RoaringBitmap> {
        Ok(Selected::new(self, selection)?.ordinals)
    }
}

/// The features a selection lets through.
#[derive(Debug)]
pub(super) struct Selected {
    /// Ordinals.
    pub(super) ordinals: RoaringBitmap,
    /// Their extent, once someone asked.
    pub(super) extent: OnceLock<Option<BBox>>,
}

impl Selected {
    /// What `selection` lets through of `index`.
    pub(super) fn new(index: &impl ReachIndex, selection: &Selection) -> Result<Self> {
        let mut all = RoaringBitmap::new();
        for one in &selection.any {
            all |= clause(index, one)?;
        }
        Ok(Self { ordinals: all, extent: OnceLock::new() })
    }

    /// These features.
    pub(super) fn of(ordinals: RoaringBitmap) -> Self {
        Self { ordinals, extent: OnceLock::new() }
    }

    /// Whether it holds the feature.
    pub(super) fn holds(&self, ordinal: u32) -> bool {
        self.ordinals.contains(ordinal)
    }

    /// Bytes it takes in memory, about.
    pub(super) fn weight(&self) -> usize {
        self.ordinals.serialized_size() + 128
    }
}

fn clause(index: &impl ReachIndex, clause: &Clause) -> Result<RoaringBitmap> {
    let mut found: Option<RoaringBitmap> = None;
    let mut narrow = |b: RoaringBitmap| {
        found = Some(match found.take() {
            Some(f) => f & b,
            None => b,
        });
    };
    if let Some(set) = &clause.meets {
        narrow(index.attached(set)?.into_iter().collect());
    }
    if let Some(set) = &clause.within {
        narrow(inside(index, set)?);
    }
    for other in &clause.others {
        narrow(index.other(&other.to_string())?);
    }
    Ok(found.unwrap_or_default())
}

/// Ordinals all of whose communes are in the set.
fn inside(index: &impl ReachIndex, set: &RankSet) -> Result<RoaringBitmap> {
    let mut items = index.attached(set)?;
    items.sort_unstable();
    let runs: Vec<(u32, usize)> =
        items.chunk_by(|a, b| a == b).filter_map(|run| Some((*run.first()?, run.len()))).collect();
    let ordinals: Vec<u32> = runs.iter().map(|run| run.0).collect();
    let degrees = index.degrees(&ordinals)?;
    let whole = runs.iter().zip(degrees).filter(|((_, n), degree)| *degree as usize == *n);
    Ok(whole.map(|((ordinal, _), _)| *ordinal).collect())
}
