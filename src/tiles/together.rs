//! Several layers in one tile. A vector tile is a list of layers, so that the tiles of layers, one
//! after the other, are the tile of all of them (MVT 2.1, 4.1): each is drawn and kept as if it
//! had been asked for alone.

use super::{Tile, Tiles, key::Lookup};
use crate::{
    catalog::Layer,
    error::{Error, Result},
    model::{TileId, stable_hash},
    query::Filter,
    store::border::Outline,
};
use moka::future::Cache;
use std::sync::Arc;

/// Tiles of several layers already put together, by their tag.
pub(super) type Together = Cache<String, Arc<Tile>>;

/// A layer of such a tile, and what is shown of it.
pub struct Part {
    /// The layer.
    pub layer: Arc<Layer>,
    /// Its `bbox` and `equals` are left aside.
    pub filter: Filter,
}

/// A cache of so many bytes.
pub(super) fn cache(bytes: u64) -> Together {
    let weigh = |tag: &String, tile: &Arc<Tile>| {
        let bytes = tag.len() + tile.plain.len() + tile.gzip.len() + super::OVERHEAD;
        u32::try_from(bytes).unwrap_or(u32::MAX)
    };
    Cache::builder().name("tiles together").max_capacity(bytes).weigher(weigh).build()
}

impl Tiles {
    /// The entity tag of a tile of several layers, without quotes and encoding suffix. `parts`
    /// are in the order of their ids, none twice: two orders of the same layers are one tile;
    /// `outline` is the border they are cut at.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when one of them has no version yet.
    pub fn etag_together(
        parts: &[Part],
        tile: TileId,
        outline: Option<&Outline>,
    ) -> Result<String> {
        let mut tags = String::with_capacity(parts.len() * 33);
        for part in parts {
            tags.push_str(&Lookup::new(part.layer.at()?, tile, &part.filter, outline).tag());
            tags.push(' ');
        }
        let turned: String = tags.chars().rev().collect();
        Ok(format!("{:016x}{:016x}", stable_hash(&tags), stable_hash(&turned)))
    }

    /// The tile that holds all of `parts`, each as an MVT layer of its own; `None` when all are
    /// empty there.
    ///
    /// # Errors
    /// As [`Tiles::tile`]: one layer that cannot be drawn fails the whole, rather than give a map
    /// that lacks it unseen.
    pub async fn together(
        &self,
        parts: &[Part],
        tile: TileId,
        outline: Option<&Outline>,
    ) -> Result<Option<Arc<Tile>>> {
        let tag = Self::etag_together(parts, tile, outline)?;
        let filtered = parts.iter().any(|part| part.filter.expression.is_some());
        let cache = if filtered { &self.together_filtered } else { &self.together };
        if let Some(kept) = cache.get(&tag).await {
            return Ok(Some(kept));
        }
        let mut drawn = Vec::with_capacity(parts.len());
        for Part { layer, filter } in parts {
            drawn.extend(self.tile_where(layer, tile, filter, outline).await?);
        }
        match drawn.as_slice() {
            [] => Ok(None),
            [only] => Ok(Some(only.clone())),
            several => {
                let all: Vec<u8> = several.iter().flat_map(|p| p.plain.iter().copied()).collect();
                let packing = tokio::task::spawn_blocking(move || Tile::new(all).map(Arc::new));
                let packed = packing.await.map_err(|e| Error::fault("packing a tile", e))??;
                cache.insert(tag, packed.clone()).await;
                Ok(Some(packed))
            }
        }
    }
}
