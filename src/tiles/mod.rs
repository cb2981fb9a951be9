//! Answers a tile id with a tile: cache, single flight, rendering, TileJSON; tiles of archives that
//! others made. Knows no HTTP.
//!
//! A request goes through `min_zoom` (below: empty), the cache, the version's extent (outside:
//! empty), then the one computation that all requests for the same tile join: a place among the
//! renderers, the store's features, drawing, compressing. The result is kept, an error never.

pub mod archives;
pub mod bake;
mod clip;
mod gate;
mod geojson;
mod kept;
mod key;
mod render;
mod tilejson;
mod together;

/// The styles that maps of tiles are drawn in.
pub use crate::formats::maplibre;
pub use geojson::nothing;
pub use kept::{Filled, KeptSettings};
pub use render::{render, render_as};
use tilejson::MAX_LATITUDE;
pub use tilejson::{tilejson, tilejson_together};
pub use together::Part;

use crate::{
    blobs::Blobs,
    catalog::Layer,
    error::{Error, Result},
    model::{Selection, TileId, thinning::POINT_BUFFER},
    query::Filter,
    store::{
        At, Store, TileFeatures,
        border::{Borders, Outline},
    },
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use gate::Gate;
use key::{Key, Lookup};
use moka::future::Cache;
use std::{io::Write, sync::Arc, time::Duration};

/// Buffer around tiles, in 1/4096 of a tile, where the layer does not say.
const BUFFER: u16 = 64;

/// The part of the cache, one in so many, that tiles of several layers may fill.
const TOGETHER: u64 = 8;
/// The same for tiles of CQL2 filters.
const FILTERED: u64 = 8;
/// What the cache itself keeps beside an entry, and the tile's own handles.
const OVERHEAD: usize = 256;

/// How hard gzip works: on tiles of communes, 6 takes a sixth longer for one byte in a hundred.
const GZIP_LEVEL: u32 = 4;

/// An encoded tile: the plain MVT and one gzip of it, made once.
#[derive(Debug, Clone)]
pub struct Tile {
    /// MVT bytes.
    pub plain: Bytes,
    /// The same, gzipped.
    pub gzip: Bytes,
}

impl Tile {
    /// Compresses a rendered tile.
    ///
    /// # Errors
    /// [`Error::Fault`] when the compressor fails.
    pub fn new(plain: Vec<u8>) -> Result<Self> {
        let room = Vec::with_capacity(plain.len() / 2 + 64);
        let mut encoder = GzEncoder::new(room, Compression::new(GZIP_LEVEL));
        let gzip = encoder.write_all(&plain).and_then(|()| encoder.finish());
        let gzip = gzip.map_err(|source| Error::fault("compressing a tile", source))?;
        Ok(Self { plain: plain.into(), gzip: gzip.into() })
    }
}

/// What the cache holds for a key.
#[derive(Clone)]
struct Entry {
    /// The tile; `None` when it is empty.
    tile: Option<Arc<Tile>>,
    /// Where its hits are counted: looked up by name once, not at every hit.
    hits: metrics::Counter,
}

/// How much the service may use.
#[derive(Debug, Clone)]
pub struct TileSettings {
    /// Bytes the cache may hold (plain and gzip together).
    pub cache_bytes: u64,
    /// Renderings at once.
    pub renderers: usize,
    /// Renderings that may wait for their turn; beyond, `Busy`.
    pub waiting: usize,
    /// How long one waits at most.
    pub wait: Duration,
}

/// The service.
pub struct Tiles {
    store: Arc<dyn Store>,
    borders: Arc<Borders>,
    /// Tiles of the small zooms, beside the versions.
    kept: Option<kept::Kept>,
    cache: Cache<Key, Entry>,
    together: together::Together,
    /// The same where a CQL2 filter is among them.
    together_filtered: together::Together,
    /// Tiles of CQL2 filters, apart: any number of filters drives out none of the others.
    filtered: Cache<Key, Entry>,
    gate: Gate,
}

impl Tiles {
    /// Over a store.
    pub fn new(store: Arc<dyn Store>, settings: TileSettings) -> Self {
        let bytes = settings.cache_bytes;
        let (together, filtered) = (bytes / TOGETHER, bytes / FILTERED);
        let gate = Gate::new(settings.renderers, settings.waiting, settings.wait);
        Self {
            borders: Arc::new(Borders::new(store.clone())),
            store,
            kept: None,
            cache: cache("tiles", bytes - together - filtered),
            together: together::cache(together / 2),
            together_filtered: together::cache(together / 2),
            filtered: cache("filtered tiles", filtered),
            gate,
        }
    }

    /// The same with borders that others use as well.
    #[must_use]
    pub fn sharing(self, borders: Arc<Borders>) -> Self {
        Self { borders, ..self }
    }

    /// The same with the small zooms kept in the shared files.
    #[must_use]
    pub fn keeping(self, blobs: Blobs, settings: KeptSettings) -> Self {
        Self { kept: Some(kept::Kept::new(blobs, settings)), ..self }
    }

    /// The entity tag of a tile without its quotes and encoding suffix: known before any work.
    pub fn etag(at: &At, tile: TileId, selection: Option<&Arc<Selection>>) -> String {
        Self::etag_where(at, tile, &by_territory(selection), None)
    }

    /// The same for any filter and, where it is cut, for its border.
    pub fn etag_where(at: &At, tile: TileId, filter: &Filter, outline: Option<&Outline>) -> String {
        Lookup::new(at, tile, filter, outline).tag()
    }

    /// The tile; `None` when it is empty (204). Also above the layer's deepest prepared zoom
    /// (overzoomed) and below its first (empty).
    ///
    /// # Errors
    /// [`Error::Unavailable`] before the layer's first harvest, [`Error::Busy`] when there is too
    /// much to draw, and whatever the store fails with. None of them is kept.
    pub async fn tile(
        &self,
        layer: &Layer,
        tile: TileId,
        selection: Option<&Arc<Selection>>,
    ) -> Result<Option<Arc<Tile>>> {
        self.tile_where(layer, tile, &by_territory(selection), None).await
    }

    /// The same for any filter (its `bbox` and `equals` are left aside), cut at a border where one
    /// is given: see [`Borders::tile`].
    ///
    /// # Errors
    /// As [`Tiles::tile`]; [`Error::Invalid`] for a filter that costs too much; of a border,
    /// [`Error::Conflict`] when it is not in its layer or a geometry cannot be cut.
    pub async fn tile_where(
        &self,
        layer: &Layer,
        tile: TileId,
        filter: &Filter,
        outline: Option<&Outline>,
    ) -> Result<Option<Arc<Tile>>> {
        let at = layer.at()?;
        if tile.level() < at.version.min_zoom {
            return Ok(None);
        }
        let lookup = Lookup::new(at, tile, filter, outline);
        let cache = if filter.expression.is_some() { &self.filtered } else { &self.cache };
        if let Some(kept) = cache.get(&lookup).await {
            kept.hits.increment(1);
            return Ok(kept.tile);
        }
        let buffer = buffer(layer, at);
        if !meets(at, tile, buffer) {
            return Ok(None);
        }
        metrics::counter!("socle_tile_cache_misses_total", labels(at, tile)).increment(1);
        // Boxed: the computation is large, and most requests never come here.
        let compute = Box::pin(async {
            // What is selected or cut is drawn: only whole layers are kept.
            let whole = filter.selection.is_none() && filter.expression.is_none();
            if let (Some(kept), true, None) = (&self.kept, whole, outline)
                && let Some(found) = kept.tile(layer, at, tile).await
            {
                let hits = metrics::counter!("socle_tile_cache_hits_total", labels(at, tile));
                metrics::counter!("socle_tile_kept_total", labels(at, tile)).increment(1);
                return Ok(Entry { tile: found.map(Arc::new), hits });
            }
            self.compute(at, tile, buffer, filter, outline).await
        });
        let result = cache.try_get_with(lookup.to_key(), compute).await;
        result.map(|entry| entry.tile).map_err(Error::shared)
    }

    /// Bytes the cache holds (kept up to date with a short delay).
    pub fn cached_bytes(&self) -> u64 {
        [&self.cache, &self.filtered].iter().map(|c| c.weighted_size()).sum::<u64>()
            + self.together.weighted_size()
            + self.together_filtered.weighted_size()
    }

    async fn compute(
        &self,
        at: &At,
        tile: TileId,
        buffer: u16,
        filter: &Filter,
        outline: Option<&Outline>,
    ) -> Result<Entry> {
        let hits = metrics::counter!("socle_tile_cache_hits_total", labels(at, tile));
        let permit = self.gate.enter().await?;
        let started = std::time::Instant::now();
        let features = self.features(at, tile, buffer, filter, outline);
        let Some(features) = features.await? else {
            return Ok(Entry { tile: None, hits });
        };
        let (name, version) = (at.layer.as_str().to_owned(), at.version.clone());
        let drawing = tokio::task::spawn_blocking(move || {
            // Held by the work itself: a request that is given up does not free its place early.
            let _permit = permit;
            let drawing = version.drawing.as_deref();
            let key = version.key.as_deref();
            let plain = render_as(&features, tile, &name, buffer, drawing, key)?;
            plain.map(|plain| Tile::new(plain).map(Arc::new)).transpose()
        });
        let drawn = drawing.await.map_err(|source| Error::fault("drawing a tile", source))??;
        metrics::histogram!("socle_tile_render_seconds", labels(at, tile))
            .record(started.elapsed());
        metrics::gauge!("socle_tile_cache_bytes").set(bytes_as_float(self.cached_bytes()));
        Ok(Entry { tile: drawn, hits })
    }
}

impl Tiles {
    async fn features(
        &self,
        at: &At,
        tile: TileId,
        buffer: u16,
        filter: &Filter,
        outline: Option<&Outline>,
    ) -> Result<Option<TileFeatures>> {
        match outline {
            None => self.store.tile_where(at, tile, buffer, filter).await,
            Some(outline) => Box::pin(self.borders.tile(at, tile, buffer, filter, outline)).await,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge")]
fn bytes_as_float(bytes: u64) -> f64 {
    bytes as f64
}

fn by_territory(selection: Option<&Arc<Selection>>) -> Filter {
    Filter { selection: selection.cloned(), ..Filter::default() }
}

fn cache(name: &str, bytes: u64) -> Cache<Key, Entry> {
    Cache::builder()
        .name(name)
        .max_capacity(bytes)
        .weigher(|key: &Key, entry: &Entry| weight(key, entry.tile.as_deref()))
        .build()
}

/// What an entry takes in memory.
fn weight(key: &Key, tile: Option<&Tile>) -> u32 {
    cache_weight(key.weight(), tile)
}

/// The same of a key of so many bytes.
fn cache_weight(key: usize, tile: Option<&Tile>) -> u32 {
    let bytes = tile.map_or(0, |t| t.plain.len() + t.gzip.len());
    u32::try_from(OVERHEAD + key + bytes).unwrap_or(u32::MAX)
}

fn buffer(layer: &Layer, at: &At) -> u16 {
    let points = at.version.schema.geometry.dimension() == Some(0);
    layer.def.tiles.buffer.unwrap_or(if points { POINT_BUFFER } else { BUFFER })
}

/// Whether a tile with its buffer, generously taken, meets the version's extent.
fn meets(at: &At, tile: TileId, buffer: u16) -> bool {
    let Some(extent) = at.version.bbox else { return false };
    // Degrees of latitude shrink towards the poles: twice the buffer is surely enough.
    let reach = (2.0 * f64::from(buffer) + 2.0) / 4096.0;
    let bounds = tile.looks(reach, reach);
    extent.parts().iter().any(|part| part.meets(&bounds))
}

fn labels(at: &At, tile: TileId) -> Vec<metrics::Label> {
    vec![
        metrics::Label::new("layer", at.layer.as_str().to_owned()),
        metrics::Label::from_static_parts("zooms", zooms(tile.level())),
    ]
}

/// The zooms a tile is counted with: those of about the same weight.
fn zooms(z: u8) -> &'static str {
    match z {
        0..=4 => "0-4",
        5..=6 => "5-6",
        7..=8 => "7-8",
        9..=10 => "9-10",
        11..=12 => "11-12",
        13..=14 => "13-14",
        _ => "15-24",
    }
}

#[cfg(test)]
mod tests;
