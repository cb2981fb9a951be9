//! The embedded store: files in a folder, no server. One GeoPackage per version holds the
//! features; a sidecar holds what tiles and look-ups need; a third file the reach index, apart
//! because it is rebuilt when the territory reference or a border layer changes while the
//! version does not. All are built aside, synced, renamed, read-only.
//!
//! Any number of processes may read and write the same folder: writers hold an exclusive lock
//! per layer, readers a shared lock on what they have open, and nothing that is open is removed.

mod asked;
mod changes;
mod filter;
mod gpkg;
mod layout;
mod reach;
mod reference;
mod rows;
mod runs;
mod sections;
mod sidecar;
mod snapshot;
mod sorted;
mod told;
mod tree;
mod write;

use super::{At, Beside, Claim, NewVersion, Reach, RowSink, ScanEnd, Store, TileFeatures};
use super::{quota::Meter, reach_select::Selected};
use crate::{
    error::{Error, Result},
    model::{
        BBox, Changes, ChangesHead, Harvested, Held, Hold, LayerId, ReferenceState, RunRecord,
        Selection, TileId, Told, Version, VersionId,
    },
    query::{Filter, Scan, Sort},
    text,
};
use asked::Asked;
use async_trait::async_trait;
use jiff::Timestamp;
pub use layout::FORMAT;
use layout::{Description, LayerDir};
use reach::ReachFile;
use rows::OpenVersion;
use sidecar::Sidecar;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Names one open version: layer, version, reach index.
type Key = (LayerId, VersionId, String);

/// The store over a folder.
pub struct EmbeddedStore {
    inner: Arc<Inner>,
    meter: Arc<Meter>,
}

struct Inner {
    root: PathBuf,
    /// Versions open for reading; those that are no longer current leave with the next look at
    /// what is current, and close when their last reader is done.
    open: Mutex<HashMap<Key, Arc<OpenVersion>>>,
    /// Descriptions already read: they never change.
    described: Mutex<HashMap<(LayerId, VersionId), Arc<Version>>>,
}

impl EmbeddedStore {
    /// Opens the folder, making it when it is not there.
    pub fn open(root: &Path) -> Result<Self> {
        let layers = root.join("layers");
        fs::create_dir_all(&layers).map_err(|e| Error::io(&layers, e))?;
        let inner =
            Inner { root: root.to_owned(), open: Mutex::default(), described: Mutex::default() };
        Ok(Self { inner: Arc::new(inner), meter: Arc::default() })
    }

    /// The same store, held to a number of bytes.
    pub fn with_quota(self, bytes: Option<u64>) -> Self {
        Self { meter: Meter::new(bytes).into(), ..self }
    }

    /// Puts the store as it stands into an empty folder: every layer's current version and the
    /// older ones, whole, by hard links unless `copies` are wanted or the folder is on another
    /// disk. Readers and writers go on meanwhile.
    ///
    /// # Errors
    /// [`Error::Refused`] when the disk is full or a layer changes faster than it is copied.
    pub async fn snapshot(&self, to: &Path, copies: bool) -> Result<()> {
        let to = to.to_owned();
        self.run(move |inner| {
            reference::snapshot(&inner.root, &to)?;
            for layer in inner.layers()? {
                snapshot::layer(&inner.dir(&layer), &LayerDir::new(&to, &layer), copies)?;
            }
            told::snapshot(&inner.root, &to)
        })
        .await
    }

    /// Runs blocking work on the store's files.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .map_err(|e| Error::fault("a store task stopped", e))?
    }

    /// Shows rows; given up when the caller is.
    async fn scanned(
        &self,
        at: &At,
        work: impl FnOnce(&OpenVersion, &Asked) -> Result<ScanEnd> + Send + 'static,
    ) -> Result<ScanEnd> {
        let (at, asked) = (at.clone(), Asked::default());
        let _asking = asked.asking();
        self.run(move |inner| work(&*inner.open(&at)?, &asked)).await
    }
}

impl Inner {
    fn dir(&self, layer: &LayerId) -> LayerDir {
        LayerDir::new(&self.root, layer)
    }

    fn layers(&self) -> Result<Vec<LayerId>> {
        let names = layout::names(&self.root.join("layers"))?;
        Ok(names.iter().filter_map(|n| n.parse().ok()).collect())
    }

    /// Layer states by what their `current` files say, without opening anything.
    fn generation(&self) -> Result<u64> {
        use std::os::unix::fs::MetadataExt;
        let mut hasher = DefaultHasher::new();
        for layer in self.layers()? {
            if let Ok(m) = fs::metadata(self.dir(&layer).current()) {
                (&layer, m.ino(), m.mtime(), m.mtime_nsec(), m.len()).hash(&mut hasher);
            }
        }
        if let Ok(m) = fs::metadata(reference::state_file(&self.root)) {
            (m.ino(), m.mtime(), m.mtime_nsec(), m.len()).hash(&mut hasher);
        }
        Ok(hasher.finish())
    }

    fn current(&self) -> Result<BTreeMap<LayerId, At>> {
        let mut all = BTreeMap::new();
        for layer in self.layers()? {
            let dir = self.dir(&layer);
            let Some(current) = dir.read_current()? else { continue };
            let version = self.version(&layer, &current.version)?.ok_or_else(|| {
                Error::broken(format!("{layer}: the current version is not in the store"))
            })?;
            let mut version = Version::clone(&version);
            version.source = current.source;
            let at = At { layer: layer.clone(), version: version.into(), reach: current.reach };
            all.insert(layer, at);
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(layer, version, reach), _| {
            all.get(layer).is_some_and(|at| at.version.id == *version && at.reach == *reach)
        });
        Ok(all)
    }

    fn version(&self, layer: &LayerId, id: &VersionId) -> Result<Option<Arc<Version>>> {
        let key = (layer.clone(), id.clone());
        let known =
            self.described.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let Some(description) = self.dir(layer).describe(id)? else { return Ok(None) };
        let version = Arc::new(description.version);
        let mut described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        described.insert(key, version.clone());
        Ok(Some(version))
    }

    /// A version open for reading; the error says when it was removed meanwhile.
    fn open(&self, at: &At) -> Result<Arc<OpenVersion>> {
        let key = (at.layer.clone(), at.version.id.clone(), at.reach.clone());
        if let Some(open) = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(open.clone());
        }
        let dir = self.dir(&at.layer);
        let opened = open_files(&dir, at)?.ok_or_else(|| gone(at))?;
        let opened = Arc::new(opened);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(open.entry(key).or_insert(opened).clone())
    }
}

fn gone(at: &At) -> Error {
    let (layer, version) = (&at.layer, &at.version.id);
    Error::Gone {
        text: text!(
            "La version {version} de « {layer} » n'est plus conservée.",
            "Version {version} of \"{layer}\" is no longer kept."
        ),
        follow: Some(format!("collections/{layer}/items")),
    }
}

/// Opens the files of a version. The description is read last, behind the shared locks: if it is
/// there, a remover came too late, and what is open is whole.
fn open_files(dir: &LayerDir, at: &At) -> Result<Option<OpenVersion>> {
    let id = &at.version.id;
    let (schema, key) = (&at.version.schema, at.version.key.as_deref());
    let Some(sidecar) = Sidecar::open(&dir.file(id, "idx"), schema, key)? else {
        return Ok(None);
    };
    // Without a name: rows are read to make the index.
    let reach = match at.reach.as_str() {
        "" => None,
        name => match ReachFile::open(&dir.reach(id, name))? {
            Some(reach) => Some(reach),
            None => return Ok(None),
        },
    };
    let Some(description) = dir.describe(id)? else { return Ok(None) };
    if sidecar.count() != description.version.count {
        return Err(Error::broken(format!(
            "{}: describes {} features of {}",
            sidecar.path().display(),
            sidecar.count(),
            description.version.count
        )));
    }
    Ok(Some(OpenVersion::new(description, sidecar, reach, dir.file(id, "gpkg"))))
}

/// Whether every version of a layer can be opened and agrees with itself; for `socle check`.
pub fn check_layer(root: &Path, layer: &LayerId) -> Result<usize> {
    let dir = LayerDir::new(root, layer);
    let Some(current) = dir.read_current()? else { return Ok(0) };
    let ids = dir.version_ids()?;
    for id in &ids {
        let Some(Description { version, .. }) = dir.describe(id)? else { continue };
        write::quick_check(&dir.file(id, "gpkg"))?;
        if *id == current.version {
            let at =
                At { layer: layer.clone(), version: version.into(), reach: current.reach.clone() };
            open_files(&dir, &at)?.ok_or_else(|| gone(&at))?;
        }
    }
    Ok(ids.len())
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn current(&self) -> Result<BTreeMap<LayerId, At>> {
        let meter = self.meter.clone();
        self.run(move |inner| {
            let current = inner.current()?;
            meter.note(layout::bytes(&inner.root)?);
            Ok(current)
        })
        .await
    }

    async fn reference(&self) -> Result<ReferenceState> {
        self.run(|inner| reference::state(&inner.root)).await
    }

    async fn reference_table(&self, id: &str) -> Result<Option<Vec<u8>>> {
        let id = id.to_owned();
        self.run(move |inner| reference::table(&inner.root, &id)).await
    }

    async fn set_reference(
        &self,
        state: ReferenceState,
        table: Option<(String, Vec<u8>)>,
    ) -> Result<()> {
        self.run(move |inner| {
            let new = table.as_ref().map(|(id, bytes)| (id.as_str(), bytes.as_slice()));
            reference::set(&inner.root, &state, new)
        })
        .await
    }

    async fn generation(&self) -> Result<u64> {
        self.meter.show();
        self.run(Inner::generation).await
    }

    async fn state(&self, layer: &LayerId, key: &str) -> Result<Option<At>> {
        let Some((version, reach)) = key.split_once('.') else { return Ok(None) };
        let (Ok(version), false) = (version.parse(), reach.contains('/')) else { return Ok(None) };
        let (layer, reach) = (layer.clone(), reach.to_owned());
        self.run(move |inner| {
            if !inner.dir(&layer).reach(&version, &reach).exists() {
                return Ok(None);
            }
            let found = inner.version(&layer, &version)?;
            Ok(found.map(|version| At { layer, version, reach }))
        })
        .await
    }

    async fn versions(&self, layer: &LayerId) -> Result<Vec<Version>> {
        let layer = layer.clone();
        self.run(move |inner| {
            let dir = inner.dir(&layer);
            let mut ids = dir.version_ids()?;
            ids.retain(|id| !dir.is_held(id));
            let mut versions = Vec::with_capacity(ids.len());
            for id in ids {
                if let Some(version) = inner.version(&layer, &id)? {
                    versions.push(Version::clone(&version));
                }
            }
            Ok(versions)
        })
        .await
    }

    async fn scan(&self, at: &At, scan: Scan, mut sink: RowSink) -> Result<ScanEnd> {
        self.scanned(at, move |open, asked| open.scan(&scan, true, &mut sink, asked)).await
    }

    async fn scan_values(&self, at: &At, scan: Scan, mut sink: RowSink) -> Result<ScanEnd> {
        self.scanned(at, move |open, asked| open.scan(&scan, false, &mut sink, asked)).await
    }

    async fn scan_sorted(
        &self,
        at: &At,
        scan: Scan,
        sort: Arc<Sort>,
        shapes: bool,
        mut sink: RowSink,
    ) -> Result<ScanEnd> {
        let work = move |open: &OpenVersion, asked: &Asked| {
            open.scan_sorted(&scan, &sort, shapes, &mut sink, asked)
        };
        self.scanned(at, work).await
    }

    async fn reach(&self, at: &At) -> Result<Reach> {
        let at = at.clone();
        self.run(move |inner| inner.open(&at)?.reach(&at.reach)).await
    }

    async fn feature(&self, at: &At, id: &str, mut sink: RowSink) -> Result<bool> {
        let (at, id) = (at.clone(), id.to_owned());
        self.run(move |inner| inner.open(&at)?.feature(&id, &mut sink)).await
    }

    async fn count(&self, at: &At, filter: &Filter) -> Result<Option<u64>> {
        if filter.is_empty() {
            return Ok(Some(at.version.count));
        }
        if !filter.equals.is_empty() {
            return Ok(None);
        }
        let (at, filter) = (at.clone(), filter.clone());
        self.run(move |inner| {
            let found = inner.open(&at)?.candidates(&filter)?;
            Ok(Some(found.map_or(at.version.count, |f| f.len())))
        })
        .await
    }

    async fn extent(&self, at: &At, selection: &Selection) -> Result<Option<BBox>> {
        let (at, selection) = (at.clone(), selection.clone());
        self.run(move |inner| {
            let open = inner.open(&at)?;
            let selected = open.select(&selection)?;
            if let Some(ready) = selected.extent.get() {
                return Ok(*ready);
            }
            let extent = open.sidecar.extent(&selected.ordinals)?;
            Ok(*selected.extent.get_or_init(|| extent))
        })
        .await
    }

    async fn tile_where(
        &self,
        at: &At,
        tile: TileId,
        buffer: u16,
        filter: &Filter,
    ) -> Result<Option<TileFeatures>> {
        let (at, filter) = (at.clone(), filter.clone());
        self.run(move |inner| {
            let open = inner.open(&at)?;
            // A territory alone is kept ready as it is.
            if let Filter { bbox: None, selection, expression: None, .. } = &filter {
                let selected = selection.as_ref().map(|s| open.select(s)).transpose()?;
                return open.sidecar.tile(tile, buffer, selected.as_deref());
            }
            let selected = open.candidates(&filter)?.map(Selected::of);
            open.sidecar.tile(tile, buffer, selected.as_ref())
        })
        .await
    }

    async fn claim(&self, layer: &LayerId) -> Result<Option<Claim>> {
        let layer = layer.clone();
        self.run(move |inner| write::claim(&inner.dir(&layer), layer)).await
    }

    async fn load(&self, claim: &Claim, new: NewVersion) -> Result<()> {
        let (layer, meter) = (claim.layer.clone(), self.meter.clone());
        self.run(move |inner| {
            if meter.is_limited() {
                meter.admit(layout::bytes(&inner.root)?, &new)?;
            }
            write::load(&inner.dir(&layer), &layer, new)
        })
        .await
    }

    async fn load_reach(&self, claim: &Claim, version: &VersionId, reach: Reach) -> Result<()> {
        let (layer, version) = (claim.layer.clone(), version.clone());
        self.run(move |inner| write::load_reach(&inner.dir(&layer), &version, &reach)).await
    }

    async fn beside(&self, layer: &LayerId, version: &VersionId) -> Result<Option<Beside>> {
        let (layer, version) = (layer.clone(), version.clone());
        self.run(move |inner| snapshot::beside(&inner.dir(&layer), &version)).await
    }

    async fn keep(&self, claim: &Claim, version: &VersionId) -> Result<()> {
        let (layer, version) = (claim.layer.clone(), version.clone());
        self.run(move |inner| write::keep(&inner.dir(&layer), &version)).await
    }

    async fn hold(&self, claim: &Claim, version: &VersionId, hold: Hold) -> Result<()> {
        let (layer, version) = (claim.layer.clone(), version.clone());
        self.run(move |inner| write::hold(&inner.dir(&layer), &version, &hold)).await
    }

    async fn held(&self, layer: &LayerId) -> Result<Option<Held>> {
        let layer = layer.clone();
        self.run(move |inner| {
            let dir = inner.dir(&layer);
            // The newest: a writer that died may have left the one before.
            for id in dir.version_ids()?.iter().rev() {
                if let (Some(hold), Some(version)) = (dir.hold(id)?, inner.version(&layer, id)?) {
                    return Ok(Some(Held { version: Version::clone(&version), hold }));
                }
            }
            Ok(None)
        })
        .await
    }

    async fn release(&self, claim: &Claim) -> Result<()> {
        let layer = claim.layer.clone();
        self.run(move |inner| write::release(&inner.dir(&layer), None)).await
    }

    async fn note_runs(&self, claim: &Claim, runs: Vec<RunRecord>) -> Result<()> {
        let layer = claim.layer.clone();
        self.run(move |inner| runs::note(&inner.dir(&layer), runs)).await
    }

    async fn told(&self) -> Result<Told> {
        self.run(move |inner| told::read(&inner.root)).await
    }

    async fn set_told(&self, told: Told) -> Result<()> {
        self.run(move |inner| told::set(&inner.root, &told)).await
    }

    async fn runs(&self, most: usize) -> Result<BTreeMap<LayerId, Vec<RunRecord>>> {
        self.run(move |inner| {
            let mut all = BTreeMap::new();
            for layer in inner.layers()? {
                let mut runs = runs::told(&inner.dir(&layer));
                runs.truncate(most);
                if !runs.is_empty() {
                    all.insert(layer, runs);
                }
            }
            Ok(all)
        })
        .await
    }

    async fn publish(&self, claim: &Claim, version: &VersionId, reach: &str) -> Result<()> {
        let (layer, version, reach) = (claim.layer.clone(), version.clone(), reach.to_owned());
        self.run(move |inner| write::publish(&inner.dir(&layer), &version, &reach)).await
    }

    async fn load_changes(&self, claim: &Claim, changes: Changes) -> Result<()> {
        let layer = claim.layer.clone();
        self.run(move |inner| changes::load(&inner.dir(&layer), &changes)).await
    }

    async fn history(&self, layer: &LayerId) -> Result<Vec<ChangesHead>> {
        let layer = layer.clone();
        self.run(move |inner| changes::history(&inner.dir(&layer))).await
    }

    async fn changes(&self, layer: &LayerId, at: Timestamp) -> Result<Option<Changes>> {
        let layer = layer.clone();
        self.run(move |inner| changes::read(&inner.dir(&layer), at)).await
    }

    async fn prune(&self, claim: &Claim, keep: usize) -> Result<usize> {
        let layer = claim.layer.clone();
        self.run(move |inner| {
            inner.current()?; // closes what this process holds open of the past
            write::prune(&inner.dir(&layer), keep)
        })
        .await
    }

    async fn touch(&self, claim: &Claim, seen: &Harvested) -> Result<()> {
        let (layer, seen) = (claim.layer.clone(), seen.clone());
        self.run(move |inner| write::touch(&inner.dir(&layer), seen)).await
    }
}
