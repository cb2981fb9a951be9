//! Tiles of the small zooms, kept beside the versions: drawn once for each version, into one PMTiles
//! file of the shared files, and read from there by every replica and after every restart. They are
//! what most maps open with, and what costs most to draw.
//!
//! The name of a file holds all that its bytes depend on: the version, how the layer's tiles are
//! made, how this program draws. So no file is ever stale, and none has to be thrown away when a
//! version is published; what no current version needs is swept.

use super::{
    Tile, Tiles,
    archives::reader::{self, Directories, Read, Reader},
    buffer,
    key::DRAWING,
    meets,
};
use crate::{
    blobs::{Blobs, Key, Manners, Ranged, Stat, Sweep},
    catalog::Layer,
    error::{Error, Result},
    formats::{
        pmtiles::number,
        tile_archive::{About, ArchiveKind},
    },
    model::{ArchivePlace, BBox, Grid, Progress, TileId, push_hex, stable_hash},
    store::At,
    text,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use moka::future::Cache;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// Folder of the files, in the shared files.
const FOLDER: &str = "tiles";
/// Files younger than this stay: another replica may be about to read them.
const GRACE: Duration = Duration::from_secs(600);
/// How long a file that was not there is not looked for again.
const AGAIN: Duration = Duration::from_secs(30);
/// Files held open.
const OPEN: u64 = 500;
/// Bytes of directories held, of all files.
const DIRECTORIES: u64 = 2 << 20;
/// Tiles drawn at once: who waits for a map goes first.
const AT_ONCE: usize = 2;
/// What a file takes beside its tiles (header, root directory, metadata), and for each of them.
const FRAME: u64 = 20_000;
const ENTRY: u64 = 24;
/// Most bytes of the tiles of one file, which are in memory until they are written.
const MOST: u64 = 64 << 20;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct KeptSettings {
    /// Deepest zoom.
    pub zoom: u8,
    /// Most bytes of all files together; 0: nothing is kept.
    pub bytes: u64,
}

/// The files, as far as they were looked for.
pub(super) struct Kept {
    blobs: Blobs,
    settings: KeptSettings,
    open: Cache<String, Looked>,
    directories: Directories,
}

/// What was found of a version.
#[derive(Clone)]
struct Looked {
    at: Instant,
    file: Option<Arc<Open>>,
}

/// An open file.
struct Open {
    reader: Reader,
    name: Arc<str>,
    /// First and deepest zoom.
    zooms: (u8, u8),
}

/// What was kept of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filled {
    /// Deepest zoom that is kept, unless none is.
    pub zoom: Option<u8>,
    /// Tiles that show something.
    pub tiles: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Whether it was there already.
    pub known: bool,
}

impl Kept {
    pub(super) fn new(blobs: Blobs, settings: KeptSettings) -> Self {
        let open = Cache::builder().name("kept tiles").max_capacity(OPEN).build();
        Self { blobs, settings, open, directories: reader::directories(DIRECTORIES) }
    }

    /// The tile, when it is kept; `Some(None)` when it is kept that it is empty.
    pub(super) async fn tile(&self, layer: &Layer, at: &At, tile: TileId) -> Option<Option<Tile>> {
        let other = tile.grid != Grid::WEB_MERCATOR || tile.z > MAX_ZOOM;
        if self.settings.bytes == 0 || at.version.live.is_some() || other {
            return None;
        }
        let name = name(layer, at);
        let file = self.find(&name).await?;
        if !(file.zooms.0..=file.zooms.1).contains(&tile.z) {
            return None;
        }
        match file.reader.tile(&file.name, tile, &self.directories).await {
            Ok(Read::Tile(tile)) => Some(tile),
            Ok(Read::Replaced) => {
                self.open.invalidate(&name).await;
                None
            }
            Err(error) => {
                tracing::warn!(layer = %at.layer, cause = error.chain(), "a kept tile");
                None
            }
        }
    }

    /// The file of a name, opened; `None` when there is none, or nobody can tell.
    async fn find(&self, name: &str) -> Option<Arc<Open>> {
        if let Some(looked) = self.open.get(name).await
            && (looked.file.is_some() || looked.at.elapsed() < AGAIN)
        {
            return looked.file;
        }
        let file = match self.look(name).await {
            Ok(file) => file.map(Arc::new),
            Err(error) => {
                tracing::warn!(name, cause = error.chain(), "kept tiles");
                None
            }
        };
        let looked = Looked { at: Instant::now(), file: file.clone() };
        self.open.insert(name.to_owned(), looked).await;
        file
    }

    async fn look(&self, name: &str) -> Result<Option<Open>> {
        let all = self.blobs.list(name).await?;
        let deepest = all.into_iter().filter_map(|stat| Some((depth(&stat.key)?, stat.key))).max();
        let Some((_, key)) = deepest else { return Ok(None) };
        let Some(path) = self.blobs.local(&key).await? else { return Ok(None) };
        let place = ArchivePlace::File(path);
        let ranged = Arc::new(Ranged::open(&place, Manners::default())?);
        let sight = ranged.look().await?;
        let opened = Reader::open(&place, &ranged, &sight).await?;
        Ok(opened.map(|(reader, described)| Open {
            reader,
            name: key.as_str().into(),
            zooms: (described.about.min_zoom, described.about.max_zoom),
        }))
    }
}

/// Deepest zoom that may be kept: beyond, a country has more tiles than anybody opens a map with.
pub const MAX_ZOOM: u8 = 10;

/// What begins the names of a version's files.
fn name(layer: &Layer, at: &At) -> String {
    let mut hash = String::new();
    push_hex(stable_hash(&format!("{DRAWING} {:?}", layer.def.tiles)), 16, &mut hash);
    format!("{FOLDER}/{}/{}-{hash}", at.layer, at.version.id)
}

fn key(name: &str, zoom: u8) -> Result<Key> {
    format!("{name}/{zoom}.pmtiles").parse()
}

/// The zoom in a file's name.
fn depth(key: &Key) -> Option<u8> {
    key.name().strip_suffix(".pmtiles")?.parse().ok()
}

impl Tiles {
    /// Draws the small zooms of a layer into a file of the shared files, where there is none yet.
    /// `deepest` is the deepest zoom, that of the settings without; a zoom that would take more than
    /// the bytes that are left is not begun to be kept.
    ///
    /// # Errors
    /// As [`Tiles::tile`] and [`Blobs::put`]; [`Error::Unavailable`] without a version.
    pub async fn keep(
        &self,
        layer: &Layer,
        deepest: Option<u8>,
        progress: &dyn Progress,
    ) -> Result<Filled> {
        let (Some(kept), at) = (&self.kept, layer.at()?) else { return Ok(Filled::default()) };
        let zoom = deepest.unwrap_or(kept.settings.zoom).min(MAX_ZOOM).min(at.version.max_zoom);
        let nothing = kept.settings.bytes == 0 || zoom < at.version.min_zoom;
        if nothing || at.version.live.is_some() || at.version.bbox.is_none() {
            return Ok(Filled::default());
        }
        let name = name(layer, at);
        let before = kept.blobs.list(&name).await?;
        // Whatever is there was as deep as there was room for, or as somebody asked for.
        let enough = |stat: &&Stat| deepest.is_none() || depth(&stat.key) >= Some(zoom);
        if let Some(stat) = before.iter().filter(|stat| depth(&stat.key).is_some()).find(enough) {
            let zoom = depth(&stat.key);
            return Ok(Filled { zoom, bytes: stat.bytes, known: true, ..Filled::default() });
        }
        let others = kept.blobs.list(FOLDER).await?;
        let others = others.iter().filter(|stat| !stat.key.as_str().starts_with(&name));
        let room = kept.settings.bytes.saturating_sub(others.map(|stat| stat.bytes).sum());
        let most = room.saturating_sub(FRAME).min(MOST);
        let small = self.small(layer, at, zoom, most, progress).await?;
        let Some(deepest) = small.zoom else { return Ok(Filled::default()) };
        let draft = kept.blobs.begin(room)?;
        let path = draft.path().to_owned();
        let zooms = (at.version.min_zoom, deepest);
        let tiles = small.tiles.len() as u64;
        let writing = tokio::task::spawn_blocking(move || write(&path, zooms, &small.tiles));
        writing.await.map_err(|e| Error::fault("keeping tiles", e))??;
        let stat = draft.keep(&key(&name, deepest)?).await?;
        for shallower in before.iter().filter(|old| depth(&old.key) < Some(deepest)) {
            kept.blobs.delete(&shallower.key).await?;
        }
        kept.open.invalidate(&name).await;
        Ok(Filled { zoom: Some(deepest), tiles, bytes: stat.bytes, known: false })
    }

    /// Removes what no current version needs.
    ///
    /// # Errors
    /// As [`Blobs::sweep`].
    pub async fn sweep_kept<'a>(
        &self,
        layers: impl IntoIterator<Item = &'a Layer>,
    ) -> Result<usize> {
        let Some(kept) = &self.kept else { return Ok(0) };
        let current =
            |layer: &Layer| layer.current.as_ref().map(|at| format!("{}/", name(layer, at)));
        let names: Vec<String> = layers.into_iter().filter_map(current).collect();
        let keep = |stat: &Stat| names.iter().any(|n| stat.key.as_str().starts_with(n));
        kept.blobs.sweep(FOLDER, &Sweep { grace: GRACE, keep: &keep, max_bytes: 0 }).await
    }

    /// The tiles of the zooms down to `deepest` that show something, as far as they fit into so many
    /// bytes zoom by zoom, in the order of their numbers.
    async fn small(
        &self,
        layer: &Layer,
        at: &At,
        deepest: u8,
        most: u64,
        progress: &dyn Progress,
    ) -> Result<Small> {
        let mut small = Small::default();
        let (mut bytes, mut done) = (0u64, 0);
        let zooms: Vec<Vec<TileId>> =
            (at.version.min_zoom..=deepest).map(|z| touched(layer, at, z)).collect();
        let all = zooms.iter().map(|tiles| tiles.len() as u64).sum();
        let id = &at.layer;
        progress.stage(text!("Tuiles de « {id} »", "Tiles of \"{id}\""), Some(all));
        for tiles in zooms {
            let z = tiles.first().map_or(deepest, |tile| tile.z);
            let drawing = tiles.into_iter().map(|tile| self.when_free(layer, tile));
            let mut drawing = stream::iter(drawing).buffered(AT_ONCE);
            let before = small.tiles.len();
            while let Some(drawn) = drawing.next().await {
                done += 1;
                progress.advance(done);
                let Some((tile, drawn)) = drawn? else { continue };
                bytes += drawn.gzip.len() as u64 + ENTRY;
                if bytes > most {
                    small.tiles.truncate(before);
                    return Ok(small);
                }
                small.tiles.push((tile, drawn.gzip.clone()));
            }
            small.zoom = Some(z);
        }
        Ok(small)
    }

    /// A tile, drawn when nobody else needs the renderers.
    async fn when_free(&self, layer: &Layer, tile: TileId) -> Result<Option<(TileId, Arc<Tile>)>> {
        loop {
            match self.tile(layer, tile, None).await {
                Err(Error::Busy { retry_after }) => tokio::time::sleep(retry_after).await,
                drawn => return Ok(drawn?.map(|drawn| (tile, drawn))),
            }
        }
    }
}

/// Tiles to keep.
#[derive(Default)]
struct Small {
    tiles: Vec<(TileId, Bytes)>,
    /// The deepest zoom that is whole.
    zoom: Option<u8>,
}

/// The tiles of a zoom that a version may show something in, in the order of their numbers.
fn touched(layer: &Layer, at: &At, z: u8) -> Vec<TileId> {
    let side = 1u32 << z;
    let buffer = buffer(layer, at);
    let tiles = (0..side).flat_map(|x| (0..side).map(move |y| TileId::mercator(z, x, y)));
    let mut tiles: Vec<TileId> = tiles.filter(|tile| meets(at, *tile, buffer)).collect();
    tiles.sort_unstable_by_key(|tile| number(*tile));
    tiles
}

fn write(path: &Path, (min_zoom, max_zoom): (u8, u8), tiles: &[(TileId, Bytes)]) -> Result<()> {
    let about = About { min_zoom, max_zoom, ..About::default() };
    let mut archive = ArchiveKind::Pmtiles.create(path, &about)?;
    for (tile, gzip) in tiles {
        archive.add(*tile, gzip)?;
    }
    archive.finish(BBox::WORLD)
}
