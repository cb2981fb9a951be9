//! The contract every store keeps, in one trait, and the stores themselves. The only room (with
//! two of the formats) that may name SQL. A store knows features, versions and reach indexes; it
//! knows no service and no HTTP.
//!
//! A version is loaded aside, whole, then made current in one step ([`Store::publish`]); it is
//! never edited. Readers address features by [`At`], which pins the version and its reach
//! index, so that nothing changes under a page or a tile.

pub mod border;
mod changes;
pub mod copy;
pub mod embedded;
mod filter_chain;
mod filter_cost;
#[cfg(test)]
mod filter_hostile;
mod filter_list;
pub mod lightening;
mod orders;
pub mod postgis;
mod quota;
mod reach_select;
pub mod spool;
mod stored_wkb;
pub mod thinning;
mod tile_window;
mod touched;

pub use spool::Spool;
pub use tile_window::ID_PROPERTY;
pub use touched::Touched;

use crate::{
    error::{Error, Result},
    geometry::overview::Weighed,
    model::{
        BBox, Changes, ChangesHead, Feature, Harvested, Held, Hold, LayerId, ReferenceState,
        RunRecord, Selection, Text, TileId, Told, ValueRef, Version, VersionId,
    },
    query::{Filter, Scan, Sort, Start},
    text,
};
use async_trait::async_trait;
use jiff::Timestamp;
use roaring::RoaringBitmap;
use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

/// A current version with the reach index in force: what readers see of a layer.
#[derive(Debug, Clone)]
pub struct At {
    /// The layer.
    pub layer: LayerId,
    /// The version.
    pub version: Arc<Version>,
    /// Name of the reach index: hash of (version, reference version, border versions). Empty where
    /// rows are only read, to make the index itself.
    pub reach: String,
}

impl At {
    /// The name of this state, in ETags, cursors and cache keys: `version.reach`.
    pub fn key(&self) -> String {
        format!("{}.{}", self.version.id, self.reach)
    }
}

/// One row as a scan shows it; borrowed from the store's buffers.
pub struct Row<'a> {
    /// 0-based rank in source order; in a live layer, among the matches.
    pub ordinal: u64,
    /// Feature id.
    pub id: &'a str,
    /// Values aligned with the version's schema.
    pub values: &'a [ValueRef<'a>],
    /// ISO WKB, little endian, CRS84; `None` without geometry.
    pub wkb: Option<&'a [u8]>,
}

/// Receives rows; `Break` stops the scan.
pub type RowSink = Box<dyn FnMut(&Row<'_>) -> ControlFlow<()> + Send>;

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScanEnd {
    /// Rows given.
    pub returned: u64,
    /// Ordinal of the next match, when there is one more.
    pub next: Option<u64>,
}

/// A tile's features, as the overview stores them; see [`crate::geometry::overview`] for the
/// encoding of geometry and [`crate::formats::mvt`] for that of tags.
#[derive(Debug, Default)]
pub struct TileFeatures {
    /// Zoom of the overview band: coordinates are on the grid of `4096·2^band` units.
    pub band: u8,
    /// Names of the property fields, by key index.
    pub keys: Arc<[String]>,
    /// The features, in a stable order.
    pub features: Vec<TileFeature>,
    /// Encoded geometries and tags, addressed by the features' ranges.
    pub bytes: Vec<u8>,
}

/// One feature of a tile.
#[derive(Debug, Clone, Default)]
pub struct TileFeature {
    /// MVT id.
    pub id: u64,
    /// Its encoded geometry in [`TileFeatures::bytes`].
    pub geometry: std::ops::Range<usize>,
    /// Its encoded tags in [`TileFeatures::bytes`].
    pub tags: std::ops::Range<usize>,
}

/// The features of each territory (DESIGN §5), as `import::derive` computes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reach {
    /// Name of this index; see [`At::reach`].
    pub id: String,
    /// For each commune rank, the ordinals attached to it, ascending.
    pub communes: Vec<Vec<u32>>,
    /// For each feature, how many communes it is attached to.
    pub degree: Vec<u32>,
    /// For each territory of other levels (`level:code`), the ordinals attached.
    pub others: BTreeMap<String, RoaringBitmap>,
    /// Ids of the features by ordinal, where the rows are a live layer's and have no rank.
    pub ids: Vec<String>,
    /// The vintage that the commune codes were taken for, where there are any.
    pub vintage: Option<u16>,
}

/// A version ready to load. The store prepares the overviews itself (for the zooms the version
/// names), beside writing the rows, so that both cores work.
pub struct NewVersion {
    /// Its description; `count`, `bbox` and `schema` agree with `features`.
    pub version: Version,
    /// Features in source order.
    pub features: Spool<Feature>,
    /// Reach index.
    pub reach: Reach,
    /// Lines and polygons as they were weighed to plan the tiles, where they were.
    pub weighed: Option<Weighed>,
    /// Layer title, for the file's own metadata (French).
    pub title: String,
    /// Licence, attribution and source in words, for the file's own metadata.
    pub provenance: String,
}

/// What rows do not show of a version: with them, enough to load it elsewhere as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Beside {
    /// [`NewVersion::title`].
    pub title: String,
    /// [`NewVersion::provenance`].
    pub provenance: String,
    /// MVT ids by ordinal; 0 where no tile shows a feature, and so none needs its id.
    pub mvt_ids: Vec<u64>,
    /// Every reach index kept of it, by name.
    pub reaches: Vec<Reach>,
}

/// How many runs the journal keeps of a layer.
pub const KEPT_RUNS: usize = 50;

/// The store contract. `Ok(None)` means "is not there"; a fault is always an error, never an
/// absence.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The current version of every layer the store holds.
    async fn current(&self) -> Result<BTreeMap<LayerId, At>>;

    /// Which territory reference is in force, and what its coming into force changed: whoever shows
    /// [`Store::current`] holds it against this ([`ReferenceState::reach`]). A change moves
    /// [`Store::generation`].
    async fn reference(&self) -> Result<ReferenceState> {
        Ok(ReferenceState::default())
    }

    /// The bytes of a table of the COG that was loaded.
    async fn reference_table(&self, _id: &str) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Replaces the state in one step, keeping a new table (its id and bytes) first. The state's
    /// serial is one more than the one it replaces; [`Error::Conflict`] when someone else was
    /// quicker.
    async fn set_reference(
        &self,
        state: ReferenceState,
        _table: Option<(String, Vec<u8>)>,
    ) -> Result<()> {
        Err(Error::broken(format!("this store keeps no reference (serial {})", state.serial)))
    }

    /// A number that changes when [`Store::current`] may have changed. Cheap enough to poll
    /// twice a second.
    async fn generation(&self) -> Result<u64>;

    /// Ready when [`Store::generation`] may have moved, for stores that are told. Polling it
    /// stays necessary: a store that is not told never gets ready.
    async fn changed(&self) {
        std::future::pending().await
    }

    /// A state of a layer by its name ([`At::key`]), current or not, as long as it is kept.
    async fn state(&self, layer: &LayerId, key: &str) -> Result<Option<At>>;

    /// All versions kept of a layer, oldest first, but for the one that is held.
    async fn versions(&self, layer: &LayerId) -> Result<Vec<Version>>;

    /// Shows the matching rows to `sink` in source order.
    async fn scan(&self, at: &At, scan: Scan, sink: RowSink) -> Result<ScanEnd>;

    /// [`Store::scan`] for whoever reads values alone: rows may come without their geometry, which
    /// is most of what a national layer weighs.
    async fn scan_values(&self, at: &At, scan: Scan, sink: RowSink) -> Result<ScanEnd> {
        self.scan(at, scan, sink).await
    }

    /// [`Store::scan`] in another order. The `ordinal` of a row, where the scan starts and where it
    /// goes on are places in that order, over all features of the state; `shapes`: whether rows
    /// come with their geometry.
    async fn scan_sorted(
        &self,
        at: &At,
        _scan: Scan,
        _sort: Arc<Sort>,
        _shapes: bool,
        _sink: RowSink,
    ) -> Result<ScanEnd> {
        Err(Error::broken(format!("this store does not sort {}", at.layer)))
    }

    /// The whole reach index of a state, for whoever groups features by many territories at once.
    /// Of a live layer it names the features by [`Reach::ids`]; of others by their ordinals.
    async fn reach(&self, at: &At) -> Result<Reach> {
        Err(Error::broken(format!("this store gives no reach index of {}", at.layer)))
    }

    /// Shows one feature to `sink`; `false` when there is none with that id.
    async fn feature(&self, at: &At, id: &str, sink: RowSink) -> Result<bool>;

    /// The exact number of matches when it is cheap to know (no property test), else `None`.
    async fn count(&self, at: &At, filter: &Filter) -> Result<Option<u64>>;

    /// The extent of the matches of a territory, degrees; `None` when they have no geometry. Kept
    /// ready: collection documents of a scope ask for it each time.
    async fn extent(&self, at: &At, selection: &Selection) -> Result<Option<BBox>>;

    /// The features of a filter (its `equals` left aside) whose geometry, with `buffer` units of
    /// 1/4096 of a tile around, meets the tile; `None` when there is none.
    async fn tile_where(
        &self,
        at: &At,
        tile: TileId,
        buffer: u16,
        filter: &Filter,
    ) -> Result<Option<TileFeatures>>;

    /// The same for a territory alone.
    async fn tile(
        &self,
        at: &At,
        tile: TileId,
        buffer: u16,
        selection: Option<&Selection>,
    ) -> Result<Option<TileFeatures>> {
        let selection = selection.map(|s| Arc::new(s.clone()));
        self.tile_where(at, tile, buffer, &Filter { selection, ..Filter::default() }).await
    }

    /// Whether a territory selects the feature with that id; `false` when there is none.
    async fn selects(&self, at: &At, id: &str, selection: &Arc<Selection>) -> Result<bool> {
        selects(self, at, id, selection).await
    }

    /// Why a declared table is not among [`Store::current`], when it was looked at and refused.
    fn refused(&self, _layer: &LayerId) -> Option<Text> {
        None
    }

    /// Looks again at what the store does not own: the form of published tables.
    async fn reload(&self) -> Result<()> {
        Ok(())
    }

    /// Claims a layer for writing. One writer per layer, in any process; `None` when another
    /// holds it. Dropping the claim gives it back.
    async fn claim(&self, layer: &LayerId) -> Result<Option<Claim>>;

    /// Writes a version aside, whole, synced and checked. It is not yet visible.
    async fn load(&self, claim: &Claim, new: NewVersion) -> Result<()>;

    /// Writes another reach index for a loaded version. It is not yet visible.
    async fn load_reach(&self, claim: &Claim, version: &VersionId, reach: Reach) -> Result<()>;

    /// Notes what the rows of a live layer hold, before all their attachments are made: rows that
    /// differ from it later are [`Store::touched`].
    async fn mark(&self, _claim: &Claim, _at: &At) -> Result<()> {
        Ok(())
    }

    /// The rows of a live layer that may have changed since the attachments in force were made;
    /// `None` when that is not known, or so many that all are better made again.
    async fn touched(&self, _at: &At) -> Result<Option<Touched>> {
        Ok(None)
    }

    /// Shows those of the rows of a live layer that there are, in any order and without rank.
    async fn touched_rows(&self, at: &At, _touched: &Touched, _sink: RowSink) -> Result<()> {
        Err(Error::broken(format!("this store cannot tell the rows of {} apart", at.layer)))
    }

    /// Puts the attachments of these rows, made anew from [`Store::touched_rows`], in the place of
    /// those they had, in force with `at`.
    async fn amend_reach(
        &self,
        _claim: &Claim,
        at: &At,
        _touched: Touched,
        _reach: Reach,
    ) -> Result<()> {
        Err(Error::broken(format!("this store amends no attachments of {}", at.layer)))
    }

    /// The distinct codes that a field holds (text trimmed, whole numbers), in no order.
    async fn distinct(&self, at: &At, field: usize) -> Result<Vec<String>> {
        touched::distinct(self, at, field).await
    }

    /// What rows do not show of a version; `None` when the version is not there. Stores that serve
    /// what others keep have nothing to give.
    async fn beside(&self, _layer: &LayerId, _version: &VersionId) -> Result<Option<Beside>> {
        Ok(None)
    }

    /// Notes that a loaded version is one of the layer's history: it stays, though it never was
    /// current here.
    async fn keep(&self, _claim: &Claim, version: &VersionId) -> Result<()> {
        Err(Error::broken(format!("this store keeps no version {version}")))
    }

    /// Holds a loaded version for a person to look at: it stays until it is published, released or
    /// another takes its place, and is not one of [`Store::versions`].
    async fn hold(&self, _claim: &Claim, version: &VersionId, _hold: Hold) -> Result<()> {
        Err(Error::broken(format!("this store holds no version {version}")))
    }

    /// What is held of a layer.
    async fn held(&self, _layer: &LayerId) -> Result<Option<Held>> {
        Ok(None)
    }

    /// Removes what is held of a layer, if anything is.
    async fn release(&self, _claim: &Claim) -> Result<()> {
        Ok(())
    }

    /// Writes runs of the claimed layer into the journal, which keeps the newest [`KEPT_RUNS`]. One
    /// that began at the same moment as another takes its place.
    async fn note_runs(&self, _claim: &Claim, _runs: Vec<RunRecord>) -> Result<()> {
        Ok(())
    }

    /// The newest runs of every layer, `most` of each, newest first.
    async fn runs(&self, _most: usize) -> Result<BTreeMap<LayerId, Vec<RunRecord>>> {
        Ok(BTreeMap::new())
    }

    /// What was told of alerts so far; the default before anything was.
    async fn told(&self) -> Result<Told> {
        Ok(Told::default())
    }

    /// Replaces it in one step. The serial is one more than the one it replaces;
    /// [`Error::Conflict`] when someone else was quicker.
    async fn set_told(&self, told: Told) -> Result<()> {
        Err(Error::broken(format!("this store keeps no alerts (serial {})", told.serial)))
    }

    /// Makes a loaded version and reach index current, in one step.
    async fn publish(&self, claim: &Claim, version: &VersionId, reach: &str) -> Result<()>;

    /// Keeps what publishing a version is about to change, for longer than the versions compared:
    /// the newest hundred of a layer. Called before the publication; what never came to be
    /// published is in no history.
    async fn load_changes(&self, _claim: &Claim, changes: Changes) -> Result<()> {
        Err(Error::broken(format!("this store keeps no changes of {}", changes.head.version)))
    }

    /// What publications changed in a layer, newest first, without lists. Empty for live layers.
    async fn history(&self, _layer: &LayerId) -> Result<Vec<ChangesHead>> {
        Ok(Vec::new())
    }

    /// One of them whole, by its time ([`ChangesHead::at`]); `None` when it is no longer kept.
    async fn changes(&self, _layer: &LayerId, _at: Timestamp) -> Result<Option<Changes>> {
        Ok(None)
    }

    /// Removes versions beyond the `keep` newest besides the current one, and reach indexes no
    /// longer in force, where no reader in any process holds them. Gives the number removed.
    async fn prune(&self, claim: &Claim, keep: usize) -> Result<usize>;

    /// Notes that the source of the current version was seen unchanged (*vérifié le*), with what
    /// the source said of itself this time.
    async fn touch(&self, claim: &Claim, seen: &Harvested) -> Result<()>;
}

/// Someone else changed the reference between reading and writing it.
fn outdated() -> Error {
    Error::Conflict(text!(
        "Un autre programme vient de changer la référence territoriale : recommencez.",
        "Another program has just changed the territory reference: begin again."
    ))
}

/// Someone else told of alerts between reading and writing what was told.
fn told_meanwhile() -> Error {
    Error::Conflict(text!(
        "Un autre programme vient de transmettre des alertes.",
        "Another program has just told of alerts."
    ))
}

/// The right to write a layer.
pub struct Claim {
    /// The layer.
    pub layer: LayerId,
    /// What holds the lock; released on drop.
    pub guard: Box<dyn std::any::Any + Send + Sync>,
}

/// [`Store::selects`] by ranks: the first match at or after the feature's own rank is the feature,
/// or it is out.
async fn selects<S: Store + ?Sized>(
    store: &S,
    at: &At,
    id: &str,
    selection: &Arc<Selection>,
) -> Result<bool> {
    let remember = || {
        let rank = Arc::new(Mutex::new(None));
        let out = rank.clone();
        let sink: RowSink = Box::new(move |row| {
            *out.lock().unwrap_or_else(PoisonError::into_inner) = Some(row.ordinal);
            ControlFlow::Continue(())
        });
        (rank, sink)
    };
    let (own, sink) = remember();
    store.feature(at, id, sink).await?;
    let Some(own) = *own.lock().unwrap_or_else(PoisonError::into_inner) else {
        return Ok(false);
    };
    let filter = Filter { selection: Some(selection.clone()), ..Filter::default() };
    let scan = Scan { filter, start: Start::Ordinal(own), limit: Some(1) };
    let (first, sink) = remember();
    store.scan(at, scan, sink).await?;
    let first = *first.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(first == Some(own))
}
