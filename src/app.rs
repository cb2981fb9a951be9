//! The long-lived parts, wired once by `main` and by tests.

use crate::{
    alerts::Alerts,
    blobs::{Blobs, Manners},
    catalog::{Catalog, Layer, Snapshot},
    config::{HarvestSettings, Settings},
    error::Result,
    exports::Exports,
    import,
    items::Items,
    jobs::Inbox,
    model::{LayerId, Silent, Text, VersionId},
    resolve::Resolver,
    stats::Stats,
    store::{Store, border::Borders},
    territory::Reference,
    tiles::{Filled, KeptSettings, TileSettings, Tiles, archives::Archives},
};
use arc_swap::ArcSwap;
use std::{collections::BTreeSet, sync::Arc};

/// The part of the tile cache, one in so many, that tiles of archives may fill.
const ARCHIVED: u64 = 4;

/// Everything a request may need.
pub struct App {
    /// The checked configuration.
    pub settings: Settings,
    /// Layers and their current versions.
    pub catalog: Catalog,
    /// Pages of features.
    pub items: Items,
    /// Figures by territory.
    pub stats: Stats,
    /// Borders of territories, and what they leave of layers.
    pub borders: Arc<Borders>,
    /// Tiles.
    pub tiles: Tiles,
    /// Tiles that others made.
    pub archives: Archives,
    /// Layers as files.
    pub exports: Exports,
    /// Tables put on today's territories.
    pub resolver: Arc<Resolver>,
    /// Layers that this server is asked to harvest now.
    pub harvests: Arc<Inbox>,
    /// What operators are told of sources.
    pub alerts: Arc<Alerts>,
    /// The layers and the territory reference of this moment.
    world: ArcSwap<World>,
    /// Files shared by replicas.
    pub blobs: Blobs,
    /// The store, for readiness and versions.
    pub store: Arc<dyn Store>,
}

impl App {
    /// Wires the parts over a store.
    pub async fn new(settings: Settings, store: Arc<dyn Store>) -> Result<Self> {
        let reference = reference(&settings)?;
        let catalog = Catalog::open(settings.layers.clone(), store.clone()).await?;
        let borders = Arc::new(Borders::new(store.clone()));
        // One cache in the configuration, shared where there are archives.
        let archived = match settings.archives.is_empty() {
            true => 0,
            false => settings.tiles.cache_bytes / ARCHIVED,
        };
        let HarvestSettings { user_agent, allow, .. } = &settings.harvest;
        let manners = Manners { user_agent, allow };
        let archives = Archives::new(&settings.archives, archived, manners)?;
        let tiles = Tiles::new(
            store.clone(),
            TileSettings {
                cache_bytes: settings.tiles.cache_bytes - archived,
                renderers: settings.tiles.renderers,
                waiting: settings.tiles.waiting,
                wait: settings.tiles.wait,
            },
        )
        .sharing(borders.clone());
        let world = World::at(catalog.snapshot(), &reference, &settings, &*store).await?;
        let blobs = Blobs::open(&settings.blobs)?;
        let kept =
            KeptSettings { zoom: settings.tiles.kept_zoom, bytes: settings.tiles.kept_bytes };
        let tiles = tiles.keeping(blobs.clone(), kept);
        let exports = Exports::new(
            store.clone(),
            borders.clone(),
            blobs.clone(),
            settings.exports.clone(),
            settings.styles.clone(),
        );
        Ok(Self {
            catalog,
            archives,
            blobs,
            exports,
            items: Items::new(store.clone())
                .sharing(borders.clone())
                .spooling(settings.exports.path.clone()),
            stats: Stats::new(store.clone()).sharing(borders.clone()),
            borders,
            tiles,
            resolver: Arc::new(Resolver::new(Some(store.clone()))),
            harvests: Arc::default(),
            alerts: Arc::new(Alerts::new(&settings, store.clone())),
            world: ArcSwap::from_pointee(world),
            store,
            settings,
        })
    }

    /// The layers and the territory reference of this moment.
    pub fn world(&self) -> Arc<World> {
        self.world.load_full()
    }

    /// Sees what was published since, also by other processes, and a reference that came into
    /// force: both at once. `true` when there was something.
    ///
    /// # Errors
    /// What the store fails with, or a table of the COG that is damaged; what was served stays
    /// served.
    pub async fn refresh(&self) -> Result<bool> {
        let swapped = self.catalog.refresh().await?;
        let (snapshot, seen) = (self.catalog.snapshot(), self.world());
        if !Arc::ptr_eq(&snapshot, &seen.snapshot) {
            let world = World::at(snapshot, &seen.reference, &self.settings, &*self.store).await?;
            self.world.store(Arc::new(world));
        }
        Ok(swapped)
    }

    /// Draws and keeps the small zooms of every layer that has none kept yet, and removes those of
    /// versions that are no longer current. One layer that fails does not keep the others.
    pub async fn keep_small_zooms(&self) {
        let snapshot = self.catalog.snapshot();
        for layer in snapshot.served() {
            match self.tiles.keep(layer, None, &Silent).await {
                Ok(Filled { zoom: Some(zoom), known: false, tiles, bytes }) => {
                    tracing::info!(layer = %layer.def.id, zoom, tiles, bytes, "small zooms are kept");
                }
                Ok(_) => {}
                Err(e) => {
                    tracing::warn!(layer = %layer.def.id, cause = e.chain(), "small zooms are not kept");
                }
            }
        }
        let layers = snapshot.served().map(|layer| &**layer);
        if let Err(e) = self.tiles.sweep_kept(layers).await {
            tracing::warn!(cause = e.chain(), "kept tiles were not swept");
        }
    }

    /// Looks again at what the store does not own (published tables), and says what became of
    /// each of them.
    ///
    /// # Errors
    /// What the store fails with; what was served stays served.
    pub async fn reload(&self) -> Result<Vec<Looked>> {
        let before = self.catalog.snapshot();
        self.store.reload().await?;
        self.refresh().await?;
        let after = self.catalog.snapshot();
        let tables = after.layers.values().filter(|layer| layer.def.is_live());
        Ok(tables.map(|now| Looked::of(before.layers.get(&now.def.id), now)).collect())
    }
}

/// The territory reference compiled in, with the levels of the configuration. What is odd
/// in their tables goes to the log.
///
/// # Errors
/// [`crate::error::Error::Invalid`] when a table of a level cannot be taken, naming file and line.
pub fn reference(settings: &Settings) -> Result<Arc<Reference>> {
    let (reference, reports) = Reference::builtin().with_levels(&settings.levels)?;
    for report in reports.iter().filter(|report| !report.is_clean()) {
        for line in report.lines() {
            tracing::warn!(level = %report.level, "{}", line.en);
        }
    }
    Ok(reference)
}

/// The layers and the territory reference of one moment: a request sees one of each, which belong
/// together, whatever is published meanwhile. Ranks of communes mean something within one only.
pub struct World {
    /// The territory reference in force.
    pub reference: Arc<Reference>,
    /// The layers, attached under it.
    pub snapshot: Arc<Snapshot>,
}

impl World {
    async fn at(
        snapshot: Arc<Snapshot>,
        known: &Arc<Reference>,
        settings: &Settings,
        store: &dyn Store,
    ) -> Result<Self> {
        let (state, levels) = (&snapshot.reference, &settings.levels);
        let reference = import::in_force(store, state, known, levels).await?;
        Ok(Self { reference, snapshot })
    }
}

/// A published table that was looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The layer.
    pub layer: LayerId,
    /// Its state, when it is served.
    pub version: Option<VersionId>,
    /// Whether that, or the reason why there is none, is another than before.
    pub changed: bool,
    /// Columns that are new.
    pub added: Vec<String>,
    /// Columns that are no longer there.
    pub removed: Vec<String>,
    /// Why it is not served.
    pub refused: Option<Text>,
}

impl Looked {
    fn of(before: Option<&Arc<Layer>>, now: &Layer) -> Self {
        let version = |layer: &Layer| layer.current.as_ref().map(|at| at.version.id.clone());
        let columns = |layer: &Layer| -> BTreeSet<String> {
            let fields = layer.current.iter().flat_map(|at| &at.version.schema.fields);
            fields.map(|field| field.name.clone()).collect()
        };
        let (old, new) = (before.map(|l| columns(l)).unwrap_or_default(), columns(now));
        let (was, is) = (before.and_then(|l| version(l)), version(now));
        // A table that left or came back says so; its columns are no news.
        let both = was.is_some() && is.is_some();
        let only = |some: &BTreeSet<String>, other: &BTreeSet<String>| match both {
            true => some.difference(other).cloned().collect(),
            false => Vec::new(),
        };
        let refused = now.refused.clone();
        Self {
            layer: now.def.id.clone(),
            changed: was != is || before.and_then(|l| l.refused.clone()) != refused,
            added: only(&new, &old),
            removed: only(&old, &new),
            version: is,
            refused,
        }
    }
}
