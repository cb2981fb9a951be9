//! What concerns a territory: every layer, with how many features it has there; and why, where it
//! has none.

use super::{News, Stats};
use crate::{
    catalog::{Layer, Snapshot},
    error::{Error, Result},
    model::{RankSet, Selection, Text},
    query::Filter,
    territory::Reference,
};
use jiff::{Timestamp, ToSpan};
use std::sync::Arc;

/// A source that was not looked at for longer than this, in hours, is said to be behind: 45 days.
const OVERDUE: i64 = 45 * 24;

/// How a layer stands to a territory.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It has features there.
    Present,
    /// It reaches there and has none: there is nothing to have.
    None,
    /// It has nothing in the whole région: it does not reach there.
    NotCovered,
    /// It cannot be asked, and why.
    Unavailable(Text),
}

impl Standing {
    /// Its name in JSON.
    pub fn id(&self) -> &'static str {
        match self {
            Standing::Present => "present",
            Standing::None => "none",
            Standing::NotCovered => "not-covered",
            Standing::Unavailable(_) => "unavailable",
        }
    }
}

/// A layer and a territory.
#[derive(Debug, Clone)]
pub struct Concern {
    /// The layer.
    pub layer: Arc<Layer>,
    /// Features that concern the territory; `None` where that takes too long to know.
    pub count: Option<u64>,
    /// Whether it has any, and else why not.
    pub standing: Standing,
    /// Whether its source was not checked for long: what it says may be old.
    pub overdue: bool,
    /// What last changed there.
    pub last: Option<Arc<News>>,
}

impl Stats {
    /// All declared layers as they stand to a territory, by id.
    pub async fn concerns(
        &self,
        snapshot: &Snapshot,
        reference: &Arc<Reference>,
        selection: &Arc<Selection>,
    ) -> Result<Vec<Concern>> {
        let mut all = Vec::with_capacity(snapshot.layers.len());
        for layer in snapshot.layers.values() {
            let concern = match self.concern(layer, reference, selection).await {
                Err(Error::Unavailable(why)) => Concern {
                    layer: layer.clone(),
                    count: None,
                    standing: Standing::Unavailable(why),
                    overdue: false,
                    last: None,
                },
                other => other?,
            };
            all.push(concern);
        }
        Ok(all)
    }

    async fn concern(
        &self,
        layer: &Arc<Layer>,
        reference: &Arc<Reference>,
        selection: &Arc<Selection>,
    ) -> Result<Concern> {
        let at = layer.at()?;
        let filter = Filter { selection: Some(selection.clone()), ..Filter::default() };
        let count = self.store.count(at, &filter).await?;
        let standing = match count {
            Some(0) if !self.reaches(layer, reference, selection).await? => Standing::NotCovered,
            Some(0) => Standing::None,
            _ => Standing::Present,
        };
        let checked = at.version.source.checked_at;
        let overdue = at.version.live.is_none()
            && checked.checked_add(OVERDUE.hours()).is_ok_and(|due| due < Timestamp::now());
        let last = self.last_change(layer, reference, Some(selection)).await?;
        Ok(Concern { layer: layer.clone(), count, standing, overdue, last })
    }

    /// Whether a layer has anything in the régions of a territory: a layer of neighbourhoods reaches
    /// a département that has none, a layer of another région does not.
    pub async fn reaches(
        &self,
        layer: &Layer,
        reference: &Arc<Reference>,
        selection: &Selection,
    ) -> Result<bool> {
        let covered = self.coverage(layer, reference).await?;
        Ok(selection.any.iter().any(|clause| {
            let asked = [&clause.meets, &clause.within].into_iter().flatten();
            let mut asked = asked.peekable();
            // Of levels that are not made of communes the reference cannot say where they are.
            asked.peek().is_none() || asked.any(|set| !set.intersection(&covered).is_empty())
        }))
    }

    /// The communes of the régions in which a layer has anything.
    pub(super) async fn coverage(
        &self,
        layer: &Layer,
        reference: &Arc<Reference>,
    ) -> Result<RankSet> {
        let reach = self.reach(layer.at()?).await?;
        let reference = reference.clone();
        super::aside(move || {
            let with = (0u32..).zip(&reach.communes).filter(|(_, f)| !f.is_empty());
            Ok(reference.regions_around(&RankSet::from_ranks(with.map(|(rank, _)| rank))))
        })
        .await
    }
}
