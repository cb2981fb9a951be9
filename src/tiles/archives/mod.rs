//! Archives of tiles that others made (PMTiles, MBTiles), served as they are: found where they
//! are ([`reader`]), seen again when they are replaced ([`archive`]), described ([`about`]), and
//! magnified above their deepest zoom ([`magnify`]).
//!
//! Every answer is of one state of the file. A state has a name, which is in cache keys and entity
//! tags: a file that is replaced gives other names, and nothing has to be thrown away.

mod about;
mod archive;
mod magnify;
pub(super) mod reader;
#[cfg(test)]
mod tests;

pub use about::VectorLayer;
pub use archive::{Archive, Opened};

use super::{Tile, cache_weight, gate::Gate};
use crate::{
    blobs::Manners,
    error::{Error, Result},
    model::{ArchiveDef, LayerId, TileId},
};
use moka::future::Cache;
use reader::{Directories, Read};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Bytes of directories kept, of all archives.
const DIRECTORIES: u64 = 16 << 20;
/// Tiles read at once, of all archives.
const READS: usize = 32;
/// Reads that may wait for their turn, and how long.
const WAITING: (usize, Duration) = (512, Duration::from_secs(5));

/// The archives that are served.
pub struct Archives {
    all: BTreeMap<LayerId, Archive>,
    tiles: Cache<Key, Option<Arc<Tile>>>,
    directories: Directories,
    gate: Gate,
}

/// The name of a tile: archive, state, place.
type Key = (LayerId, Arc<str>, TileId);

/// A tile of an archive, and of which state it is.
pub struct Answered {
    /// The state that the tile is of.
    pub opened: Arc<Opened>,
    /// The tile; `None` when it is empty.
    pub tile: Option<Arc<Tile>>,
}

/// Why a tile was not read.
enum Missed {
    /// The file is another by now.
    Replaced,
    Failed(Error),
}

impl Archives {
    /// Prepares to serve what is declared; nothing is opened yet. Tiles take at most `cache_bytes`
    /// of memory.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a place cannot be used as the configuration describes it.
    pub fn new(defs: &[ArchiveDef], cache_bytes: u64, web: Manners<'_>) -> Result<Self> {
        let open = |def: &ArchiveDef| Ok((def.id.clone(), Archive::new(def.clone(), web)?));
        let weigh = |(id, state, _): &Key, tile: &Option<Arc<Tile>>| {
            cache_weight(id.as_str().len() + state.len() + size_of::<Key>(), tile.as_deref())
        };
        let tiles = Cache::builder().name("archives").max_capacity(cache_bytes).weigher(weigh);
        Ok(Self {
            all: defs.iter().map(open).collect::<Result<_>>()?,
            tiles: tiles.build(),
            directories: reader::directories(DIRECTORIES),
            gate: Gate::new(READS, WAITING.0, WAITING.1),
        })
    }

    /// An archive by the text of its id.
    pub fn get(&self, id: &str) -> Option<&Archive> {
        self.all.get(id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Archive> {
        self.all.values()
    }

    /// A tile, of the state the archive is in now; above its deepest zoom, magnified.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the archive is not there, out of reach or damaged, and when it
    /// is being replaced all the time; [`Error::Busy`] when too much is read at once.
    pub async fn tile(&self, archive: &Archive, tile: TileId) -> Result<Answered> {
        for _ in 0..archive::ATTEMPTS {
            let opened = archive.opened().await?;
            match self.tile_of(archive, &opened, tile).await {
                Ok(tile) => return Ok(Answered { opened, tile }),
                Err(Missed::Replaced) => archive.outdated(&opened),
                Err(Missed::Failed(error)) => return Err(error),
            }
        }
        Err(archive::replaced())
    }

    async fn tile_of(
        &self,
        archive: &Archive,
        opened: &Arc<Opened>,
        tile: TileId,
    ) -> Result<Option<Arc<Tile>>, Missed> {
        let about = &opened.described.about;
        if tile.z < about.min_zoom {
            return Ok(None);
        }
        let key = (archive.def.id.clone(), opened.state.clone(), tile);
        if let Some(kept) = self.tiles.get(&key).await {
            count("socle_archive_cache_hits_total", archive);
            return Ok(kept);
        }
        count("socle_archive_cache_misses_total", archive);
        let deepest = about.max_zoom;
        let read = async {
            if tile.z <= deepest {
                return self.read(opened, tile).await;
            }
            let from = tile.ancestor(deepest);
            match Box::pin(self.tile_of(archive, opened, from)).await? {
                None => Ok(None),
                Some(whole) => magnified(whole, from, tile).await.map_err(Missed::Failed),
            }
        };
        let read = self.tiles.try_get_with(key, Box::pin(read)).await;
        read.map_err(|missed| match &*missed {
            Missed::Replaced => Missed::Replaced,
            Missed::Failed(error) => Missed::Failed(error.again()),
        })
    }

    async fn read(&self, opened: &Opened, tile: TileId) -> Result<Option<Arc<Tile>>, Missed> {
        let _permit = self.gate.enter().await.map_err(Missed::Failed)?;
        match opened.reader.tile(&opened.state, tile, &self.directories).await {
            Ok(Read::Tile(tile)) => Ok(tile.map(Arc::new)),
            Ok(Read::Replaced) => Err(Missed::Replaced),
            Err(error) => Err(Missed::Failed(archive::unavailable(error))),
        }
    }
}

/// The part of a tile that a deeper one shows.
async fn magnified(whole: Arc<Tile>, from: TileId, to: TileId) -> Result<Option<Arc<Tile>>> {
    let drawing = tokio::task::spawn_blocking(move || {
        let plain = magnify::magnify(&whole.plain, from, to)?;
        plain.map(|plain| Tile::new(plain).map(Arc::new)).transpose()
    });
    let drawn = drawing.await.map_err(|e| Error::fault("magnifying a tile", e))?;
    drawn.map_err(archive::unavailable)
}

fn count(name: &'static str, archive: &Archive) {
    metrics::counter!(name, "layer" => archive.def.id.as_str().to_owned()).increment(1);
}
