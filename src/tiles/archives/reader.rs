//! From the place of a tile to its bytes, in one state of an archive.

use super::super::Tile;
use crate::{
    blobs::{Ranged, Sight},
    error::{Error, Result},
    formats::{
        mbtiles_reader::MbtilesReader,
        pmtiles::number,
        pmtiles_reader::{Directory, HEAD, Header, MAX_DEPTH, Packing},
        tile_archive::{ArchiveKind, Described, MAX_METADATA, MAX_PACKED, MAX_PLAIN, unpack},
    },
    model::{ArchivePlace, TileId},
    text,
};
use bytes::Bytes;
use moka::future::Cache;
use std::sync::{Arc, Mutex, PoisonError};

/// Most bytes of a directory as it is stored.
const MAX_LEAF: usize = 8 << 20;

/// Directories that were read, by archive state and position.
pub(in crate::tiles) type Directories = Cache<(Arc<str>, u64), Arc<Directory>>;

/// A cache of so many bytes.
pub(in crate::tiles) fn directories(bytes: u64) -> Directories {
    let weigh = |_: &(Arc<str>, u64), directory: &Arc<Directory>| {
        u32::try_from(directory.weight() + 128).unwrap_or(u32::MAX)
    };
    Cache::builder().name("archive directories").max_capacity(bytes).weigher(weigh).build()
}

/// What became of reading a tile.
pub(in crate::tiles) enum Read {
    /// The tile; `None` when there is none, or an empty one.
    Tile(Option<Tile>),
    /// The file is another by now.
    Replaced,
}

/// An open archive.
pub(in crate::tiles) enum Reader {
    Pmtiles(Box<Pmtiles>),
    Mbtiles(Arc<Mbtiles>),
}

pub(in crate::tiles) struct Pmtiles {
    place: Arc<Ranged>,
    sight: Sight,
    header: Header,
    root: Directory,
}

pub(in crate::tiles) struct Mbtiles {
    place: Arc<Ranged>,
    sight: Sight,
    file: Mutex<MbtilesReader>,
}

/// Where a tile's bytes are, or that there are none.
enum Found {
    Bytes(Bytes),
    Nothing,
    Replaced,
}

impl Reader {
    /// Opens an archive as it was seen; `None` when it is another by now.
    pub(in crate::tiles) async fn open(
        declared: &ArchivePlace,
        place: &Arc<Ranged>,
        sight: &Sight,
    ) -> Result<Option<(Self, Described)>> {
        match declared {
            ArchivePlace::File(path) if ArchiveKind::of(path)? == ArchiveKind::Mbtiles => {
                let path = path.clone();
                let open = move || {
                    let mut file = MbtilesReader::open(&path)?;
                    let described = file.described()?;
                    Ok((file, described))
                };
                let opened = blocking(open).await;
                if !place.same(sight).await {
                    return Ok(None);
                }
                let (file, described) = opened?;
                let (place, sight, file) = (place.clone(), sight.clone(), Mutex::new(file));
                Ok(Some((Self::Mbtiles(Arc::new(Mbtiles { place, sight, file })), described)))
            }
            _ => Ok(Pmtiles::open(place, sight)
                .await?
                .map(|(archive, described)| (Self::Pmtiles(Box::new(archive)), described))),
        }
    }

    /// A tile; `state` names the state of the archive.
    pub(in crate::tiles) async fn tile(
        &self,
        state: &Arc<str>,
        tile: TileId,
        directories: &Directories,
    ) -> Result<Read> {
        let (found, packing) = match self {
            Self::Pmtiles(archive) => {
                (archive.tile(state, tile, directories).await?, Some(archive.header.packing))
            }
            Self::Mbtiles(archive) => (archive.tile(tile).await?, None),
        };
        match found {
            Found::Bytes(bytes) => Ok(Read::Tile(blocking(move || tile_of(bytes, packing)).await?)),
            Found::Nothing => Ok(Read::Tile(None)),
            Found::Replaced => Ok(Read::Replaced),
        }
    }
}

impl Pmtiles {
    async fn open(place: &Arc<Ranged>, sight: &Sight) -> Result<Option<(Self, Described)>> {
        let Some(head) = place.read(sight, 0..HEAD.min(sight.bytes)).await? else {
            return Ok(None);
        };
        let header = Header::read(&head, sight.bytes)?;
        // Within the first bytes: the header was checked.
        let range = header.root.start as usize..header.root.end as usize;
        let root = header.directory(head.get(range).unwrap_or_default())?;
        let metadata = match header.metadata.clone() {
            range if range.is_empty() => Bytes::new(),
            range if range.end - range.start > MAX_METADATA as u64 => return Err(too_large()),
            range => match place.read(sight, range).await? {
                Some(bytes) => bytes,
                None => return Ok(None),
            },
        };
        let described = header.described(&metadata)?;
        let (place, sight) = (place.clone(), sight.clone());
        Ok(Some((Self { place, sight, header, root }, described)))
    }

    async fn tile(
        &self,
        state: &Arc<str>,
        tile: TileId,
        directories: &Directories,
    ) -> Result<Found> {
        let number = number(tile);
        let mut entry = self.root.find(number).copied();
        for _ in 0..=MAX_DEPTH {
            let Some(found) = entry else { return Ok(Found::Nothing) };
            if found.run > 0 {
                let range = Header::part(&self.header.tiles, &found)?;
                if found.length as usize > MAX_PACKED {
                    return Err(too_large());
                }
                let bytes = self.place.read(&self.sight, range).await?;
                return Ok(bytes.map_or(Found::Replaced, Found::Bytes));
            }
            let range = Header::part(&self.header.leaves, &found)?;
            let key = (state.clone(), range.start);
            let directory = match directories.get(&key).await {
                Some(kept) => kept,
                None => {
                    if found.length as usize > MAX_LEAF {
                        return Err(too_large());
                    }
                    let Some(packed) = self.place.read(&self.sight, range).await? else {
                        return Ok(Found::Replaced);
                    };
                    let directory = Arc::new(self.header.directory(&packed)?);
                    directories.insert(key, directory.clone()).await;
                    directory
                }
            };
            entry = directory.find(number).copied();
        }
        Err(Error::Refused(text!(
            "L'archive de tuiles est endommagée (répertoires sans fin).",
            "The archive of tiles is damaged (directories without end)."
        )))
    }
}

impl Mbtiles {
    async fn tile(self: &Arc<Self>, tile: TileId) -> Result<Found> {
        let archive = self.clone();
        let read = blocking(move || {
            archive.file.lock().unwrap_or_else(PoisonError::into_inner).tile(tile)
        })
        .await;
        // Whatever was read of a file that somebody writes to is worth nothing.
        if !self.place.same(&self.sight).await {
            return Ok(Found::Replaced);
        }
        Ok(read?.map_or(Found::Nothing, |bytes| Found::Bytes(bytes.into())))
    }
}

/// A tile as it is stored, with what it is unpacked; `None` when it is empty. In MBTiles some are
/// packed and some are not.
fn tile_of(bytes: Bytes, packing: Option<Packing>) -> Result<Option<Tile>> {
    let gzip = packing.map_or_else(|| bytes.starts_with(&[0x1f, 0x8b]), |p| p == Packing::Gzip);
    let tile = if gzip {
        Tile { plain: unpack(&bytes, MAX_PLAIN)?.into(), gzip: bytes }
    } else {
        Tile::new(bytes.to_vec())?
    };
    Ok((!tile.plain.is_empty()).then_some(tile))
}

fn too_large() -> Error {
    Error::Refused(text!(
        "L'archive de tuiles est endommagée, ou une de ses parties trop grande.",
        "The archive of tiles is damaged, or a part of it is too large."
    ))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::fault("reading an archive of tiles", e))?
}
