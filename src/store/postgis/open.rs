//! A version open for reading: what of it is worth keeping at hand — the selections asked for,
//! the boxes asked for, where its features lie among the tiles.

use super::{
    column::Storage,
    filtered,
    link::{Link, Param, Ran, cell},
    names::Names,
    reach,
};
use crate::{
    geometry::overview::Prepared,
    model::{BBox, Selection, Version},
    query::{Filter, cql2::Expression},
    store::{
        orders::{Orders, orders},
        reach_select::Selected,
        tile_window::tile_keys,
    },
};
use moka::sync::Cache;
use roaring::RoaringBitmap;
use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio_postgres::types::Type;

/// Bytes of selections kept ready per open version.
const SELECTIONS: u64 = 4 << 20;
/// Bytes of boxes' matches kept ready per open version: a page asks for its box twice, and the
/// next page again.
const BOXES: u64 = 1 << 20;
/// Bytes of what filters let through kept ready per open version.
const FILTERED: u64 = 4 << 20;
/// How long an order that took too long is not looked for again.
const SLOW: Duration = Duration::from_secs(60);
/// Features per block of `places`.
const PLACES: u32 = 4096;
/// The place of a feature without geometry.
const NOWHERE: u32 = u32::MAX;

/// A version open for reading.
pub(super) struct OpenVersion {
    pub(super) serial: i64,
    pub(super) reach: i64,
    communes: u32,
    pub(super) version: Arc<Version>,
    pub(super) storage: Storage,
    pub(super) keys: Arc<[String]>,
    ready: Cache<String, Arc<Chosen>>,
    boxes: Cache<[u64; 4], Arc<RoaringBitmap>>,
    without_geometry: OnceLock<RoaringBitmap>,
    /// What filters let through, by their normal form.
    pub(super) filtered: Cache<String, Arc<RoaringBitmap>>,
    /// Held by whoever judges a filter: one at a time.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Filters that tiles were asked for, with where their features lie.
    combined: Cache<String, Arc<Chosen>>,
    /// Orders that were asked for.
    pub(super) orders: Orders,
    /// Held by whoever looks for an order: one at a time.
    pub(super) sorting: tokio::sync::Mutex<()>,
    /// Orders that took too long a moment ago: who asks again is told at once.
    pub(super) slow: Cache<String, ()>,
}

/// A selection, and what reading it has taught.
pub(super) struct Chosen {
    pub(super) selected: Selected,
    /// The chunks of tile geometry that hold it, ascending; `None` inside when they are most.
    chunks: OnceLock<Option<Vec<i32>>>,
}

impl OpenVersion {
    pub(super) fn new(
        serial: i64,
        reach: i64,
        communes: u32,
        version: Arc<Version>,
        storage: Storage,
    ) -> Self {
        let size = |n: usize| n.try_into().unwrap_or(u32::MAX);
        let ready = Cache::builder()
            .max_capacity(SELECTIONS)
            .weigher(move |key: &String, c: &Arc<Chosen>| size(key.len() + c.selected.weight()))
            .build();
        let boxes = Cache::builder()
            .max_capacity(BOXES)
            .weigher(move |_: &[u64; 4], b: &Arc<RoaringBitmap>| size(b.serialized_size() + 64))
            .build();
        let keys = tile_keys(&version.schema, version.key.as_deref());
        let filtered = Cache::builder()
            .max_capacity(FILTERED)
            .weigher(move |key: &String, b: &Arc<RoaringBitmap>| {
                size(key.len() + b.serialized_size() + 128)
            })
            .build();
        let combined = Cache::builder()
            .max_capacity(FILTERED)
            .weigher(move |key: &String, c: &Arc<Chosen>| size(key.len() + c.selected.weight()))
            .build();
        let orders = orders(version.count);
        Self {
            serial,
            reach,
            communes,
            version,
            storage,
            keys,
            ready,
            boxes,
            without_geometry: OnceLock::new(),
            filtered,
            turn: tokio::sync::Mutex::default(),
            combined,
            orders,
            sorting: tokio::sync::Mutex::default(),
            slow: Cache::builder().max_capacity(256).time_to_live(SLOW).build(),
        }
    }

    /// A selection that was asked for before.
    pub(super) fn chosen(&self, selection: &Selection) -> Option<Arc<Chosen>> {
        self.ready.get(&selection.key)
    }

    /// What a selection lets through.
    pub(super) async fn select(
        &self,
        link: &mut Link,
        names: &Names,
        selection: &Selection,
    ) -> Ran<Arc<Chosen>> {
        if let Some(ready) = self.chosen(selection) {
            return Ok(ready);
        }
        let selected = reach::select(link, names, self.reach, self.communes, selection).await?;
        let chosen = Arc::new(Chosen { selected, chunks: OnceLock::new() });
        self.ready.insert(selection.key.clone(), chosen.clone());
        Ok(chosen)
    }

    /// The chunks that hold a selection, when they are few enough to name.
    pub(super) async fn chunks<'c>(
        &self,
        link: &mut Link,
        names: &Names,
        chosen: &'c Chosen,
    ) -> Ran<Option<&'c [i32]>> {
        if let Some(known) = chosen.chunks.get() {
            return Ok(known.as_deref());
        }
        let found = self.find_chunks(link, names, &chosen.selected.ordinals).await?;
        Ok(chosen.chunks.get_or_init(|| found).as_deref())
    }

    async fn find_chunks(
        &self,
        link: &mut Link,
        names: &Names,
        ordinals: &RoaringBitmap,
    ) -> Ran<Option<Vec<i32>>> {
        let half = self.version.count / 2;
        if ordinals.len() > half {
            return Ok(None);
        }
        let blocks: BTreeSet<i32> = ordinals.iter().map(|o| (o / PLACES).cast_signed()).collect();
        let blocks: Vec<i32> = blocks.into_iter().collect();
        let sql =
            names.sql("SELECT block, bytes FROM {s}places WHERE version = $1 AND block = ANY($2)");
        let params: [Param<'_>; 2] = [(&self.serial, Type::INT8), (&blocks, Type::INT4_ARRAY)];
        let mut chunks = BTreeSet::new();
        for row in &link.hot(&sql, &params).await? {
            let first = cell::<i32>(row, 0)?.cast_unsigned() * PLACES;
            let bytes: &[u8] = cell(row, 1)?;
            for ordinal in ordinals.range(first..first.saturating_add(PLACES)) {
                let at = (ordinal - first) as usize * 4;
                if let Some([a, b, c, d]) = bytes.get(at..at + 4)
                    && let place = u32::from_le_bytes([*a, *b, *c, *d])
                    && place != NOWHERE
                {
                    chunks.insert(place.cast_signed());
                }
            }
        }
        let few = (chunks.len() as u64) * (super::tiles::CHUNK as u64) <= half;
        Ok(few.then(|| chunks.into_iter().collect()))
    }

    /// The ordinals that territory and box let through; `None`: all.
    pub(super) async fn candidates(
        &self,
        link: &mut Link,
        names: &Names,
        filter: &Filter,
    ) -> Ran<Option<RoaringBitmap>> {
        let mut found = match &filter.selection {
            Some(selection) => {
                Some(self.select(link, names, selection).await?.selected.ordinals.clone())
            }
            None => None,
        };
        if let (Some(bbox), true) = (&filter.bbox, self.storage.spatial) {
            let inside = self.in_box(link, names, bbox).await?;
            found = Some(match found {
                Some(f) => f & &*inside,
                None => (*inside).clone(),
            });
        }
        if let Some(expression) = &filter.expression {
            let matching = self.matching(link, names, expression).await?;
            found = Some(match found {
                Some(f) => f & &*matching,
                None => (*matching).clone(),
            });
        }
        Ok(found)
    }

    /// The ordinals of which a CQL2 filter is true.
    pub(super) async fn matching(
        &self,
        link: &mut Link,
        names: &Names,
        expression: &Expression,
    ) -> Ran<Arc<RoaringBitmap>> {
        if let Some(known) = self.filtered.get(expression.key()) {
            return Ok(known);
        }
        let found = Arc::new(filtered::matching(link, names, self, expression).await?);
        self.filtered.insert(expression.key().to_owned(), found.clone());
        Ok(found)
    }

    /// What a tile shows of a filter; `None`: all.
    pub(super) async fn choose(
        &self,
        link: &mut Link,
        names: &Names,
        filter: &Filter,
    ) -> Ran<Option<Arc<Chosen>>> {
        // A territory alone is kept ready as it is.
        if let Filter { bbox: None, selection, expression: None, .. } = filter {
            return match selection {
                Some(selection) => Ok(Some(self.select(link, names, selection).await?)),
                None => Ok(None),
            };
        }
        let key = filter.key();
        if let Some(known) = self.combined.get(&key) {
            return Ok(Some(known));
        }
        let Some(found) = self.candidates(link, names, filter).await? else { return Ok(None) };
        let chosen = Arc::new(Chosen { selected: Selected::of(found), chunks: OnceLock::new() });
        self.combined.insert(key, chosen.clone());
        Ok(Some(chosen))
    }

    /// The ordinals whose geometry meets the box, and those without geometry (OGC API Features
    /// `/req/core/fc-bbox-response`).
    async fn in_box(&self, link: &mut Link, names: &Names, bbox: &BBox) -> Ran<Arc<RoaringBitmap>> {
        let key = bbox.to_array().map(f64::to_bits);
        if let Some(ready) = self.boxes.get(&key) {
            return Ok(ready);
        }
        let mut found = self.without_geometry(link, names).await?;
        // A feature whose box is inside is settled; the others are looked at. The envelope of
        // two corners is a point or a line where the box has no width.
        let (g, table) = (&names.gis, names.features(self.serial));
        let envelope = format!(
            "{g}ST_Envelope({g}ST_SetSRID({g}ST_MakeLine({g}ST_MakePoint($1, $2), {g}ST_MakePoint($3, $4)), 4326))"
        );
        let sql = format!(
            "SELECT fid FROM {table} WHERE geom OPERATOR({g}&&) {envelope} AND
             (west >= $1 AND south >= $2 AND east <= $3 AND north <= $4
              OR {g}ST_Intersects(geom, {envelope}))"
        );
        for part in bbox.parts() {
            let params: [Param<'_>; 4] = [
                (&part.west, Type::FLOAT8),
                (&part.south, Type::FLOAT8),
                (&part.east, Type::FLOAT8),
                (&part.north, Type::FLOAT8),
            ];
            for row in &link.hot(&sql, &params).await? {
                found.insert(ordinal(cell(row, 0)?));
            }
        }
        let found = Arc::new(found);
        self.boxes.insert(key, found.clone());
        Ok(found)
    }

    async fn without_geometry(&self, link: &mut Link, names: &Names) -> Ran<RoaringBitmap> {
        if self.storage.without_geometry == 0 {
            return Ok(RoaringBitmap::new());
        }
        if let Some(known) = self.without_geometry.get() {
            return Ok(known.clone());
        }
        let table = names.features(self.serial);
        let mut found = RoaringBitmap::new();
        for row in &link.rows(&format!("SELECT fid FROM {table} WHERE geom IS NULL"), &[]).await? {
            found.insert(ordinal(cell(row, 0)?));
        }
        Ok(self.without_geometry.get_or_init(|| found).clone())
    }

    /// The extent of some features; `None` when none of them has a geometry.
    pub(super) async fn extent(
        &self,
        link: &mut Link,
        names: &Names,
        ordinals: &RoaringBitmap,
    ) -> Ran<Option<BBox>> {
        let sql = format!(
            "SELECT min(west), min(south), max(east), max(north) FROM {} WHERE fid = ANY($1)",
            names.features(self.serial)
        );
        let mut extent = BBox::EMPTY;
        let all: Vec<i64> = ordinals.iter().map(|o| i64::from(o) + 1).collect();
        for some in all.chunks(16_384) {
            let row = link.row(&sql, &[(&some, Type::INT8_ARRAY)]).await?;
            let Some(row) = row else { continue };
            let side = |i| cell::<Option<f64>>(&row, i);
            if let (Some(w), Some(s), Some(e), Some(n)) = (side(0)?, side(1)?, side(2)?, side(3)?) {
                extent.add(w, s);
                extent.add(e, n);
            }
        }
        Ok((!extent.is_empty()).then_some(extent))
    }
}

/// The ordinal of a row.
pub(super) fn ordinal(fid: i64) -> u32 {
    u32::try_from(fid - 1).unwrap_or(u32::MAX)
}

/// The blocks of `places`: for each feature the chunk it lies in.
pub(super) fn place_blocks(overviews: &Prepared, features: usize) -> Vec<Vec<u8>> {
    let mut places = vec![NOWHERE; features];
    for positions in super::tiles::runs(overviews.len()) {
        for (position, ordinal) in positions.clone().zip(overviews.order(positions)) {
            if let Some(place) = places.get_mut(ordinal as usize) {
                *place = (position / super::tiles::CHUNK) as u32;
            }
        }
    }
    let block = |p: &[u32]| p.iter().copied().flat_map(u32::to_le_bytes).collect();
    places.chunks(PLACES as usize).map(block).collect()
}
