//! Reads PMTiles v3 (github.com/protomaps/PMTiles, spec/v3): header, directories and metadata, from
//! bytes that others fetched. Archives come from strangers: every size is bounded before anything
//! is unpacked, and what does not hold together is refused.
//!
//! The crate that writes archives reads them too, but unpacks directories without a bound and keeps
//! their entries to itself.

use super::tile_archive::{About, Described, MAX_METADATA, unpack};
use crate::{
    error::{Error, Result},
    model::BBox,
    text,
};
use std::ops::Range;

/// Bytes of the header.
pub const HEADER: u64 = 127;
/// Header and root directory are within these first bytes.
pub const HEAD: u64 = 16_384;
/// Most bytes of a directory, unpacked. The usual ones hold some thousand entries.
const MAX_DIRECTORY: usize = 8 << 20;
/// Most directories between the root and a tile.
pub const MAX_DEPTH: usize = 4;
/// Deepest zoom that tiles are numbered for.
const DEEPEST: u8 = 26;

/// How parts of an archive are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// They are not.
    Plain,
    /// With gzip.
    Gzip,
}

/// What the first bytes say.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Where the root directory is.
    pub root: Range<u64>,
    /// Where the metadata is; may be empty.
    pub metadata: Range<u64>,
    /// Where the other directories are; offsets in leaf entries count from its start.
    pub leaves: Range<u64>,
    /// Where the tiles are; offsets in entries count from its start.
    pub tiles: Range<u64>,
    /// How directories and metadata are packed.
    pub internal: Packing,
    /// How tiles are packed.
    pub packing: Packing,
    /// First zoom.
    pub min_zoom: u8,
    /// Deepest zoom.
    pub max_zoom: u8,
    /// Extent.
    pub bounds: BBox,
    /// Where a map may open: longitude, latitude, zoom.
    pub center: (f64, f64, u8),
}

impl Header {
    /// Reads the header of an archive of `size` bytes.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is none, holds something else than vector tiles, or is packed in
    /// a way that is not read.
    pub fn read(bytes: &[u8], size: u64) -> Result<Self> {
        if bytes.len() < HEADER as usize || !bytes.starts_with(b"PMTiles") {
            return Err(damaged("PMTiles"));
        }
        if bytes.get(7) != Some(&3) {
            return Err(Error::Refused(text!(
                "Archive PMTiles d'une autre version que la 3.",
                "A PMTiles archive of another version than 3."
            )));
        }
        let long = |at: usize| -> Result<u64> {
            let field = bytes.get(at..at + 8).and_then(|b| b.first_chunk());
            field.map(|b| u64::from_le_bytes(*b)).ok_or_else(|| damaged("header"))
        };
        let within = |at: usize, what| {
            let (start, length) = (long(at)?, long(at + 8)?);
            match start.checked_add(length) {
                Some(end) if end <= size => Ok(start..end),
                _ => Err(damaged(what)),
            }
        };
        let degrees = |at: usize| -> Result<f64> {
            let field = bytes.get(at..at + 4).and_then(|b| b.first_chunk());
            let units = field.map(|b| i32::from_le_bytes(*b)).ok_or_else(|| damaged("header"))?;
            Ok(f64::from(units) / 1e7)
        };
        let byte = |at: usize| bytes.get(at).copied().unwrap_or_default();
        if byte(99) != 1 {
            return Err(Error::Refused(text!(
                "Cette archive ne contient pas de tuiles vectorielles (MVT).",
                "This archive does not hold vector tiles (MVT)."
            )));
        }
        let root = within(8, "root directory")?;
        if root.start < HEADER || root.end > HEAD.min(size) {
            return Err(damaged("root directory"));
        }
        let (min_zoom, max_zoom) = (byte(100), byte(101));
        if min_zoom > max_zoom || max_zoom > DEEPEST {
            return Err(damaged("zooms"));
        }
        let bounds = BBox {
            west: degrees(102)?,
            south: degrees(106)?,
            east: degrees(110)?,
            north: degrees(114)?,
        };
        Ok(Self {
            root,
            metadata: within(24, "metadata")?,
            leaves: within(40, "directories")?,
            tiles: within(56, "tiles")?,
            internal: packing(byte(97))?,
            packing: packing(byte(98))?,
            min_zoom,
            max_zoom,
            bounds,
            center: (degrees(119)?, degrees(123)?, byte(118)),
        })
    }

    /// What the archive says of itself, from the bytes of its metadata.
    ///
    /// # Errors
    /// [`Error::Refused`] when that is too large or no JSON object.
    pub fn described(&self, metadata: &[u8]) -> Result<Described> {
        let members = match metadata {
            [] => serde_json::Map::new(),
            packed => {
                let plain = self.plain(packed, MAX_METADATA)?;
                serde_json::from_slice(&plain).map_err(|_| damaged("metadata"))?
            }
        };
        let (min_zoom, max_zoom, center) = (self.min_zoom, self.max_zoom, self.center);
        let about = About { min_zoom, max_zoom, center, members };
        Ok(Described { about, bounds: self.bounds })
    }

    /// Reads a directory.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is too large or does not hold together.
    pub fn directory(&self, packed: &[u8]) -> Result<Directory> {
        Directory::read(&self.plain(packed, MAX_DIRECTORY)?)
    }

    /// Where a part of a section is that an entry names.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is outside of the section.
    pub fn part(section: &Range<u64>, entry: &Entry) -> Result<Range<u64>> {
        let start = section.start.checked_add(entry.offset);
        let end = start.and_then(|start| start.checked_add(entry.length.into()));
        match (start, end) {
            (Some(start), Some(end)) if end <= section.end => Ok(start..end),
            _ => Err(damaged("entry")),
        }
    }

    fn plain(&self, packed: &[u8], most: usize) -> Result<Vec<u8>> {
        match self.internal {
            Packing::Plain if packed.len() <= most => Ok(packed.to_vec()),
            Packing::Plain => Err(damaged("size")),
            Packing::Gzip => unpack(packed, most),
        }
    }
}

fn packing(code: u8) -> Result<Packing> {
    match code {
        1 => Ok(Packing::Plain),
        2 => Ok(Packing::Gzip),
        _ => Err(Error::Refused(text!(
            "Archive comprimée autrement qu'avec gzip : refaites-la (pmtiles, tile-join).",
            "An archive packed otherwise than with gzip: make it again (pmtiles, tile-join)."
        ))),
    }
}

pub(super) fn damaged(what: &str) -> Error {
    Error::Refused(text!(
        "L'archive de tuiles est illisible ou endommagée ({what}).",
        "The archive of tiles is unreadable or damaged ({what})."
    ))
}

/// An entry of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The first tile it stands for.
    pub number: u64,
    /// Where it is in its section.
    pub offset: u64,
    /// Its bytes.
    pub length: u32,
    /// How many tiles it stands for; 0: it is another directory.
    pub run: u32,
}

/// A directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory(Vec<Entry>);

impl Directory {
    /// Reads an unpacked directory.
    ///
    /// # Errors
    /// [`Error::Refused`] when it does not hold together.
    pub fn read(mut bytes: &[u8]) -> Result<Self> {
        let bytes = &mut bytes;
        let count = varint(bytes)?;
        // Each entry takes four bytes at least.
        let count = usize::try_from(count).ok().filter(|n| *n <= bytes.len() / 4);
        let count = count.ok_or_else(|| damaged("directory"))?;
        let mut entries = vec![Entry { number: 0, offset: 0, length: 0, run: 0 }; count];
        let mut last = None;
        for entry in &mut entries {
            let step = varint(bytes)?;
            // Ascending, none twice: what is looked for is found by halving.
            let number = last.map_or(Some(step), |last: u64| match step {
                0 => None,
                step => last.checked_add(step),
            });
            entry.number = number.ok_or_else(|| damaged("directory"))?;
            last = number;
        }
        for entry in &mut entries {
            entry.run = short(bytes)?;
        }
        for entry in &mut entries {
            entry.length = short(bytes)?;
            if entry.length == 0 {
                return Err(damaged("directory"));
            }
        }
        let mut behind = None;
        for entry in &mut entries {
            // 0: right behind the one before.
            let offset = match varint(bytes)? {
                0 => behind,
                offset => Some(offset - 1),
            };
            entry.offset = offset.ok_or_else(|| damaged("directory"))?;
            behind = entry.offset.checked_add(entry.length.into());
        }
        Ok(Self(entries))
    }

    /// The entry for a tile: of the tile itself, or of the directory where it may be.
    pub fn find(&self, number: u64) -> Option<&Entry> {
        let behind = self.0.partition_point(|entry| entry.number <= number);
        let entry = self.0.get(behind.checked_sub(1)?)?;
        let covers = entry.run == 0 || number - entry.number < u64::from(entry.run);
        covers.then_some(entry)
    }

    /// Bytes it takes in memory.
    pub fn weight(&self) -> usize {
        self.0.capacity() * size_of::<Entry>()
    }
}

/// LEB128, at most 64 bits.
fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or_else(|| damaged("varint"))?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            break;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(damaged("varint"))
}

fn short(bytes: &mut &[u8]) -> Result<u32> {
    u32::try_from(varint(bytes)?).map_err(|_| damaged("varint"))
}

#[cfg(test)]
mod tests;
