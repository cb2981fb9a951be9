//! Borders of territories, from the layers that hold them, and what they leave of other layers:
//! the one place where features are cut, whatever they are served as.
//!
//! | file | question |
//! |---|---|
//! | `outline` | which layers give the border of these territories? |
//! | `read` | the border itself, and a feature cut at it |
//! | `shares` | what does it leave of each feature of a layer? |
//! | `tile` | a tile's features, cut at the border as generalised for that tile |
//!
//! An [`Outline`] is cheap: names of layers and versions, enough for entity tags and cache keys.
//! What is read and worked out is kept by those names, so that publishing needs no invalidation.

mod outline;
mod read;
mod shares;
mod tile;

pub use outline::{Outline, Source};
pub use read::{Border, Cut};
pub use shares::{Shares, cut_schema};

use shares::part_field;

use super::{At, Store, TileFeatures};
use crate::{
    error::{Error, Result},
    geometry::crs::Crs,
    model::{Selection, TileId},
    query::Filter,
};
use moka::future::Cache;
use std::sync::Arc;

/// Bytes that each of the three tables may hold, about.
const KEPT: u64 = 96 << 20;

/// Reads borders and keeps them. One for the whole program.
pub struct Borders {
    store: Arc<dyn Store>,
    borders: Cache<String, Arc<Border>>,
    shares: Cache<String, Arc<Shares>>,
    tiles: Cache<(String, TileId, u16), Arc<tile::TileBorder>>,
}

impl Borders {
    /// Over a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        fn weight(bytes: usize) -> u32 {
            u32::try_from(bytes).unwrap_or(u32::MAX)
        }
        Self {
            store,
            borders: Cache::builder()
                .max_capacity(KEPT)
                .weigher(|_: &String, b: &Arc<Border>| weight(b.weight()))
                .build(),
            shares: Cache::builder()
                .max_capacity(KEPT)
                .weigher(|_: &String, s: &Arc<Shares>| weight(s.weight()))
                .build(),
            tiles: Cache::builder()
                .max_capacity(KEPT)
                .weigher(|_: &(String, TileId, u16), t: &Arc<tile::TileBorder>| weight(t.weight()))
                .build(),
        }
    }

    /// The border of an outline, in CRS84 or (`crs`) in another system, in which the features to
    /// be cut must then be. Read once.
    ///
    /// # Errors
    /// [`Error::Conflict`] when a layer has no polygon of a territory; what the store fails with.
    pub async fn border(&self, outline: &Outline, crs: Option<&Crs>) -> Result<Arc<Border>> {
        let crs = crs.filter(|crs| !crs.is_crs84());
        let key = match crs {
            None => outline.key.clone(),
            Some(crs) => format!("{}@{:?}{}", outline.key, crs.epsg(), crs.name()),
        };
        let read = Box::pin(async { read::read(&self.store, outline, crs).await.map(Arc::new) });
        self.borders.try_get_with(key, read).await.map_err(Error::shared)
    }

    /// What a border leaves of each feature of a layer that a selection lets through. Worked out
    /// once for each state of the layer and of the border.
    ///
    /// # Errors
    /// As [`Borders::border`]; [`Error::Conflict`] when a feature's geometry cannot be cut.
    pub async fn shares(
        &self,
        at: &At,
        selection: Option<&Arc<Selection>>,
        outline: &Outline,
    ) -> Result<Arc<Shares>> {
        let selected = selection.map_or("", |s| s.key.as_str());
        let key = format!("{}/{}|{selected}|{}", at.layer, at.key(), outline.key);
        let work = Box::pin(async {
            let border = self.border(outline, None).await?;
            shares::work(&self.store, at, selection, border).await.map(Arc::new)
        });
        self.shares.try_get_with(key, work).await.map_err(Error::shared)
    }

    /// As [`Store::tile_where`], cut: features of which nothing is left are not there, those that cross
    /// the border are cut at the border as it is generalised for this tile, and each says what
    /// share of it is left.
    ///
    /// # Errors
    /// As [`Borders::shares`].
    pub async fn tile(
        &self,
        at: &At,
        tile: TileId,
        buffer: u16,
        filter: &Filter,
        outline: &Outline,
    ) -> Result<Option<TileFeatures>> {
        let shares = self.shares(at, filter.selection.as_ref(), outline).await?;
        let Some(features) = self.store.tile_where(at, tile, buffer, filter).await? else {
            return Ok(None);
        };
        let crossing = features.features.iter().any(|f| shares.crosses(f.id));
        let border = match crossing {
            false => None,
            true => Some(self.tile_border(tile, buffer, outline).await?),
        };
        let field = part_field(&at.version.schema);
        let cut = move || tile::cut(features, &shares, border.as_deref(), &field);
        blocking(cut).await?.map(|cut| (!cut.features.is_empty()).then_some(cut))
    }

    async fn tile_border(
        &self,
        tile: TileId,
        buffer: u16,
        outline: &Outline,
    ) -> Result<Arc<tile::TileBorder>> {
        let key = (outline.key.clone(), tile, buffer);
        let work = Box::pin(async {
            let border = self.border(outline, None).await?;
            tile::border(&self.store, tile, buffer, outline, border).await.map(Arc::new)
        });
        self.tiles.try_get_with(key, work).await.map_err(Error::shared)
    }
}

/// Runs what takes a processor on a thread for such work.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::fault("cutting at a border", e))
}
