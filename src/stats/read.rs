//! Reads of a layer what its figures need: which features match, the values that are measured, the
//! shapes that are shared out.

use super::{
    Stats,
    border::{Border, whole},
    figures::FiguresQuery,
    groups,
    measure::Columns,
    share::{self, Shape, Shares},
};
use crate::{
    error::Result,
    model::{Level, TerritoryCode},
    query::{Filter, Scan, Start},
    store::{At, Reach, Row as StoredRow, border},
    territory::{Carry, Reference},
};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;
use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

/// What was read of the features.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) matched: RoaringBitmap,
    pub(super) columns: Columns,
    /// Ordinals by id, where rows have none of their own.
    pub(super) ids: Option<FxHashMap<String, u32>>,
    /// For features that are not in the reach index at all.
    pub(super) next: u32,
    /// What a border leaves of them, where they are cut.
    pub(super) left: Option<Arc<border::Shares>>,
}

impl Gathered {
    fn take(&mut self, row: &StoredRow<'_>) {
        if self.left.as_ref().is_some_and(|left| left.of(row.id).is_none()) {
            return;
        }
        let ordinal = match &self.ids {
            None => u32::try_from(row.ordinal).unwrap_or(u32::MAX),
            Some(ids) => ids.get(row.id).copied().unwrap_or_else(|| {
                self.next += 1;
                self.next - 1
            }),
        };
        self.matched.insert(ordinal);
        self.columns.take(ordinal, row.values);
    }
}

impl Stats {
    /// Which features match, and the values that are measured; rows are read only when they are
    /// needed.
    pub(super) async fn gather(
        &self,
        at: &At,
        reach: &Reach,
        query: &FiguresQuery,
    ) -> Result<Gathered> {
        let columns = Columns::of(&query.metrics);
        let by_territory_alone =
            Filter { selection: query.filter.selection.clone(), ..Filter::default() };
        let plain = by_territory_alone.key() == query.filter.key();
        let left = match &query.outline {
            None => None,
            Some(outline) => {
                let selection = query.filter.selection.as_ref();
                Some(self.borders.shares(at, selection, outline).await?)
            }
        };
        let plain = plain && left.is_none();
        if plain && columns.is_empty() && at.version.live.is_none() {
            let matched = match &query.filter.selection {
                Some(selection) => reach.select(selection)?,
                None => {
                    let count = u32::try_from(at.version.count).unwrap_or(u32::MAX);
                    RoaringBitmap::from_sorted_iter(0..count).unwrap_or_default()
                }
            };
            return Ok(Gathered { matched, ..Gathered::default() });
        }
        let ids = at.version.live.as_ref().map(|_| {
            let ids = reach.ids.iter().cloned().zip(0u32..);
            ids.collect::<FxHashMap<String, u32>>()
        });
        let next = reach.ids.len() as u32;
        let gathered = Gathered { columns, ids, next, left, ..Gathered::default() };
        let gathered = Arc::new(Mutex::new(gathered));
        let out = gathered.clone();
        let sink = Box::new(move |row: &StoredRow<'_>| {
            out.lock().unwrap_or_else(PoisonError::into_inner).take(row);
            ControlFlow::Continue(())
        });
        let scan = Scan { filter: query.filter.clone(), start: Start::Ordinal(0), limit: None };
        self.store.scan_values(at, scan, sink).await?;
        Ok(std::mem::take(&mut *gathered.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// How much of each feature lies on each of its communes (of other levels: territories).
    pub(super) async fn shares(
        &self,
        at: &At,
        reference: &Arc<Reference>,
        reach: &Arc<Reach>,
        split: &RoaringBitmap,
        border: &Border,
    ) -> Result<Shares> {
        let places = places(reach, border.level, split);
        let wanted: Vec<u32> = places.values().flatten().copied().collect();
        let wanted: RoaringBitmap = wanted.into_iter().collect();
        let (reference, index, level) = (reference.clone(), reach.clone(), border.level);
        let codes = other_codes(&index, level);
        let polygons = border
            .polygons(&self.store, move |code| {
                let place = match level {
                    Level::Com => match reference.carry(code) {
                        Carry::Current(rank) | Carry::Carried(rank) => Some(rank),
                        Carry::Shared(_) | Carry::Unknown => None,
                    },
                    _ => codes.iter().position(|c| c == code).map(|i| i as u32),
                };
                place.filter(|place| wanted.contains(*place))
            })
            .await?;
        let shapes = self.shapes(at, reach, places).await?;
        let whole = level != Level::Com;
        super::aside(move || share::measure(&shapes, &polygons, whole)).await
    }

    /// The geometry of the features to share out.
    pub(super) async fn shapes(
        &self,
        at: &At,
        reach: &Reach,
        mut places: FxHashMap<u32, Vec<u32>>,
    ) -> Result<Vec<Shape>> {
        let ids: Option<FxHashMap<String, u32>> =
            at.version.live.as_ref().map(|_| reach.ids.iter().cloned().zip(0u32..).collect());
        let shapes: Arc<Mutex<Vec<Shape>>> = Arc::default();
        let out = shapes.clone();
        let sink = Box::new(move |row: &StoredRow<'_>| {
            let ordinal = match &ids {
                None => u32::try_from(row.ordinal).ok(),
                Some(ids) => ids.get(row.id).copied(),
            };
            if let Some((ordinal, places)) = ordinal.and_then(|o| Some((o, places.remove(&o)?))) {
                let shape = Shape { ordinal, wkb: row.wkb.map(<[u8]>::to_vec), places };
                out.lock().unwrap_or_else(PoisonError::into_inner).push(shape);
            }
            ControlFlow::Continue(())
        });
        self.store.scan(at, whole(), sink).await?;
        Ok(std::mem::take(&mut *shapes.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The codes of a level's territories in a reach index; their positions number their polygons.
pub(super) fn other_codes(reach: &Reach, level: Level) -> Vec<String> {
    let codes = reach.others.keys().filter_map(|k| k.parse::<TerritoryCode>().ok());
    codes.filter(|c| c.level == level).map(|c| c.code.to_string()).collect()
}

/// The places of some features, ascending: communes by rank, or territories of another level by
/// their positions.
fn places(reach: &Reach, level: Level, split: &RoaringBitmap) -> FxHashMap<u32, Vec<u32>> {
    let wanted = groups::Flags::of(split);
    let mut places: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
    if level == Level::Com {
        for (rank, features) in (0u32..).zip(&reach.communes) {
            for ordinal in features.iter().filter(|o| wanted.has(**o)) {
                places.entry(*ordinal).or_default().push(rank);
            }
        }
        return places;
    }
    for (position, code) in (0u32..).zip(other_codes(reach, level)) {
        let attached = reach.others.get(&format!("{level}:{code}"));
        for ordinal in attached.into_iter().flatten().filter(|o| wanted.has(*o)) {
            places.entry(ordinal).or_default().push(position);
        }
    }
    places
}
