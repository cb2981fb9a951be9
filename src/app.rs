//! The long-lived parts, wired once by `main` and by tests.

use crate::{
    blobs::Blobs,
    catalog::Catalog,
    config::Settings,
    error::Result,
    items::Items,
    store::Store,
    territory::Reference,
    tiles::{TileSettings, Tiles},
};
use std::sync::Arc;

/// Everything a request may need.
pub struct App {
    /// The checked configuration.
    pub settings: Settings,
    /// Layers and their current versions.
    pub catalog: Catalog,
    /// Pages of features.
    pub items: Items,
    /// Tiles.
    pub tiles: Tiles,
    /// The territory reference in force.
    pub reference: Arc<Reference>,
    /// Files shared by replicas.
    pub blobs: Blobs,
    /// The store, for readiness and versions.
    pub store: Arc<dyn Store>,
}

impl App {
    /// Wires the parts over a store.
    pub async fn new(settings: Settings, store: Arc<dyn Store>) -> Result<Self> {
        let catalog = Catalog::open(settings.layers.clone(), store.clone()).await?;
        let tiles = Tiles::new(
            store.clone(),
            TileSettings {
                cache_bytes: settings.tiles.cache_bytes,
                renderers: settings.tiles.renderers,
                waiting: settings.tiles.waiting,
                wait: settings.tiles.wait,
            },
        );
        Ok(Self {
            catalog,
            blobs: Blobs::open(&settings.blobs)?,
            items: Items::new(store.clone()),
            tiles,
            reference: Reference::builtin(),
            store,
            settings,
        })
    }
}
