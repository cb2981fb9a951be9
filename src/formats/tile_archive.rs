//! Archives of tiles: what their writers and readers share. In what is written a tile comes gzipped, once, in the order of its
//! number; what an archive says of itself is known before the first of them, but for its extent.

use crate::{
    error::{Error, Result},
    model::{BBox, TileId},
    text,
};
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::{io::Read, path::Path};

/// Most bytes of a tile that is read, as it is stored.
pub const MAX_PACKED: usize = 32 << 20;
/// Most bytes of a tile that is read, unpacked.
pub const MAX_PLAIN: usize = 64 << 20;
/// Most bytes that an archive may say of itself.
pub const MAX_METADATA: usize = 16 << 20;

/// Tiles beyond this are not looked for again: what repeats is the inside of large polygons and the
/// lone point, some hundred bytes. So the memory of a writer does not grow with what tiles hold.
const MAY_REPEAT: usize = 4096;

/// What an archive says of itself.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// First zoom.
    pub min_zoom: u8,
    /// Deepest zoom.
    pub max_zoom: u8,
    /// Where a map may open: longitude, latitude, zoom.
    pub center: (f64, f64, u8),
    /// Texts and JSON by the names of the MBTiles specification: `name`, `attribution`,
    /// `description`, `version`, `vector_layers`, `tilestats`…
    pub members: Map<String, Value>,
}

/// What an archive that is read says of itself.
#[derive(Debug, Clone)]
pub struct Described {
    /// Zooms, centre, members.
    pub about: About,
    /// Extent.
    pub bounds: BBox,
}

/// Unpacks gzip into at most `most` bytes.
///
/// # Errors
/// [`Error::Refused`] when it is none, or would be larger.
pub fn unpack(packed: &[u8], most: usize) -> Result<Vec<u8>> {
    // What strangers announce is not believed: room grows with what comes.
    let mut plain = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX);
    let read = MultiGzDecoder::new(packed).take(limit.saturating_add(1)).read_to_end(&mut plain);
    match read {
        Ok(_) if plain.len() <= most => Ok(plain),
        Ok(_) => Err(super::pmtiles_reader::damaged("size")),
        Err(_) => Err(super::pmtiles_reader::damaged("gzip")),
    }
}

/// A kind of archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveKind {
    /// PMTiles v3.
    Pmtiles,
    /// MBTiles 1.3.
    Mbtiles,
}

impl ArchiveKind {
    /// By the end of a file's name.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is another.
    pub fn of(path: &Path) -> Result<Self> {
        let end = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        match end.as_deref() {
            Some("pmtiles") => Ok(Self::Pmtiles),
            Some("mbtiles") => Ok(Self::Mbtiles),
            _ => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                Err(Error::Invalid(text!(
                    "Fichier de tuiles : « {name} ». Le nom doit finir par .pmtiles ou .mbtiles.",
                    "Archive of tiles: \"{name}\". Its name must end in .pmtiles or .mbtiles."
                )))
            }
        }
    }

    /// Begins an archive in a file that is not there yet, or is replaced.
    ///
    /// # Errors
    /// [`Error::Full`] on a full disk, [`Error::Fault`] when it cannot be written.
    pub fn create(self, path: &Path, about: &About) -> Result<Box<dyn ArchiveWriter>> {
        match self {
            Self::Pmtiles => super::pmtiles::create(path, about),
            Self::Mbtiles => super::mbtiles::create(path, about),
        }
    }
}

/// An archive being written.
pub trait ArchiveWriter: Send {
    /// Adds a gzipped tile that is not empty; tiles come by ascending
    /// [`number`](super::pmtiles::number).
    ///
    /// # Errors
    /// [`Error::Full`] on a full disk, [`Error::Fault`] when it cannot be written.
    fn add(&mut self, tile: TileId, gzip: &[u8]) -> Result<()>;

    /// Writes what is left, with the extent of all tiles. The file is then whole, not yet synced.
    ///
    /// # Errors
    /// As [`ArchiveWriter::add`].
    fn finish(self: Box<Self>, bounds: BBox) -> Result<()>;
}

/// Names the bytes of a tile that may come again: 128 bits, no two tiles the same by chance.
pub(super) fn repeats(gzip: &[u8]) -> Option<u128> {
    if gzip.len() > MAY_REPEAT {
        return None;
    }
    let hash = Sha256::digest(gzip);
    hash.first_chunk().map(|half| u128::from_le_bytes(*half))
}
