//! The geometry file of a Shapefile (`.shp`, with its index `.shx`), after ESRI's Technical
//! Description of July 1998. Lengths are checked before anything is allocated.

use super::rings;
use crate::{
    error::{Error, Result},
    formats::refused,
    model::{RefusalReason, Text},
    text,
};
use geo_types::{Coord, Geometry, LineString, MultiLineString, MultiPoint, Point};
use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// Bytes of the header of `.shp` and `.shx`.
const HEADER: u64 = 100;

/// A `.shp` file being read.
pub(super) struct Shp {
    path: PathBuf,
    input: BufReader<File>,
    index: Option<BufReader<File>>,
    length: u64,
    /// Where the next record starts when there is no index.
    at: u64,
    /// Bytes read so far: an index that sends back to the same record again and again would
    /// make a small file endless.
    pub(super) spent: u64,
    kind: u32,
    content: Vec<u8>,
}

/// What a record holds.
#[derive(Debug)]
pub(super) enum Shape {
    /// A null or empty shape.
    None,
    /// A geometry; `z`: it had Z or M values, dropped.
    Some { geometry: Geometry<f64>, z: bool },
    /// A record that makes no sense; others may.
    Bad(RefusalReason, Text),
}

impl Shp {
    /// Opens the file; `shx` is its index, if there is one.
    pub(super) fn open(path: &Path, shx: Option<&Path>) -> Result<Self> {
        let (input, length, kind) = open(path)?;
        if !matches!(kind, 0 | 1 | 3 | 5 | 8 | 11 | 13 | 15 | 18 | 21 | 23 | 25 | 28) {
            let detail = if kind == 31 { " (MultiPatch)" } else { "" };
            return Err(refused(text!(
                "type de Shapefile non pris en charge : {kind}{detail}",
                "unsupported Shapefile type: {kind}{detail}"
            )));
        }
        let index = match shx {
            Some(shx) => Some(open(shx)?.0),
            None => None,
        };
        let content = Vec::new();
        Ok(Self {
            path: path.to_owned(),
            input,
            index,
            length,
            at: HEADER,
            spent: HEADER,
            kind,
            content,
        })
    }

    /// The next record; `None` at the end of the file or of its index.
    pub(super) fn next(&mut self) -> Result<Option<Shape>> {
        if let Some(index) = &mut self.index {
            let mut entry = [0u8; 8];
            match index.read_exact(&mut entry) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(None),
                Err(e) => return Err(Error::io(&self.path, e)),
            }
            let [a, b, c, d, ..] = entry;
            let at = u64::from(u32::from_be_bytes([a, b, c, d])) * 2;
            // Mostly the next byte: moving within the buffer keeps it.
            let step = at as i64 - self.at as i64;
            self.input.seek_relative(step).map_err(|e| Error::io(&self.path, e))?;
            self.at = at;
        } else if self.at >= self.length {
            return Ok(None);
        }
        let mut head = [0u8; 8];
        if self.at < HEADER || self.at + 8 > self.length {
            return Err(self.truncated());
        }
        self.input.read_exact(&mut head).map_err(|e| self.broken(e))?;
        let [.., a, b, c, d] = head;
        let bytes = u64::from(u32::from_be_bytes([a, b, c, d])) * 2;
        self.spent += 8 + bytes;
        if self.at + 8 + bytes > self.length || self.spent > self.length {
            return Err(self.truncated());
        }
        self.content.resize(bytes as usize, 0);
        let mut content = std::mem::take(&mut self.content);
        self.input.read_exact(&mut content).map_err(|e| self.broken(e))?;
        self.content = content;
        self.at += 8 + bytes;
        Ok(Some(shape(&self.content, self.kind)))
    }

    fn broken(&self, e: std::io::Error) -> Error {
        if e.kind() == ErrorKind::UnexpectedEof {
            return self.truncated();
        }
        Error::io(&self.path, e)
    }

    fn truncated(&self) -> Error {
        let at = self.at;
        refused(text!(
            "fichier .shp tronqué ou corrompu (octet {at})",
            "truncated or corrupt .shp file (byte {at})"
        ))
    }
}

/// Opens a `.shp` or `.shx` behind its header: the file, its length and its shape type.
fn open(path: &Path) -> Result<(BufReader<File>, u64, u32)> {
    let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
    let actual = file.metadata().map_err(|e| Error::io(path, e))?.len();
    let mut head = [0u8; HEADER as usize];
    let whole = file.read_exact(&mut head).is_ok();
    let be =
        |at: usize| head.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    let le =
        |at: usize| head.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    if !whole || be(0) != Some(9994) || le(28) != Some(1000) {
        return Err(refused(text!(
            "ce n'est pas un fichier .shp ou .shx : en-tête incorrect",
            "not a .shp or .shx file: wrong header"
        )));
    }
    let declared = u64::from(be(24).unwrap_or(0)) * 2;
    if declared > actual {
        return Err(refused(text!(
            "fichier .shp tronqué : {actual} octets au lieu de {declared}",
            "truncated .shp file: {actual} bytes instead of {declared}"
        )));
    }
    file.seek(SeekFrom::Start(HEADER)).map_err(|e| Error::io(path, e))?;
    Ok((BufReader::with_capacity(1 << 17, file), declared, le(32).unwrap_or(u32::MAX)))
}

/// A cursor over one record.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn u32(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*head))
    }

    fn f64(&mut self) -> Option<f64> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(f64::from_le_bytes(*head))
    }

    fn skip(&mut self, n: usize) -> Option<()> {
        self.0 = self.0.get(n..)?;
        Some(())
    }

    /// `n` positions; nothing is allocated for more than the record holds.
    fn coords(&mut self, n: u32) -> Option<Vec<Coord<f64>>> {
        let n = n as usize;
        if n > self.0.len() / 16 {
            return None;
        }
        let mut coords = Vec::with_capacity(n);
        for _ in 0..n {
            coords.push(Coord { x: self.f64()?, y: self.f64()? });
        }
        Some(coords)
    }
}

fn shape(content: &[u8], expected: u32) -> Shape {
    let mut bytes = Bytes(content);
    let kind = bytes.u32();
    match kind {
        Some(0) => return Shape::None,
        Some(kind) if kind == expected => {}
        _ => {
            let kind = kind.map_or("?".to_owned(), |k| k.to_string());
            return Shape::Bad(
                RefusalReason::BrokenRow,
                text!(
                    "enregistrement de type {kind} dans un Shapefile de type {expected}",
                    "record of type {kind} in a Shapefile of type {expected}"
                ),
            );
        }
    }
    let read = match expected % 10 {
        1 => point(&mut bytes),
        8 => multipoint(&mut bytes),
        3 => parts(&mut bytes).map(lines),
        _ => parts(&mut bytes).map(polygons),
    };
    match read {
        None => Shape::Bad(
            RefusalReason::BrokenRow,
            text!(
                "enregistrement géométrique incohérent avec sa longueur",
                "geometry record inconsistent with its length"
            ),
        ),
        Some(Built::Empty) => Shape::None,
        Some(Built::TooComplex) => Shape::Bad(
            RefusalReason::InvalidGeometry,
            text!("polygone aux anneaux trop nombreux", "polygon with too many rings"),
        ),
        Some(Built::NotFinite) => Shape::Bad(
            RefusalReason::BadCoordinate,
            text!("une coordonnée n'est pas un nombre fini", "a coordinate is not a finite number"),
        ),
        Some(Built::Some(geometry)) => Shape::Some { geometry, z: expected > 10 },
    }
}

/// What a record's numbers make.
enum Built {
    Empty,
    NotFinite,
    TooComplex,
    Some(Geometry<f64>),
}

fn finite(coords: &[Coord<f64>]) -> bool {
    coords.iter().all(|c| c.x.is_finite() && c.y.is_finite())
}

fn point(bytes: &mut Bytes<'_>) -> Option<Built> {
    let at = Coord { x: bytes.f64()?, y: bytes.f64()? };
    Some(if finite(&[at]) { Built::Some(Point(at).into()) } else { Built::NotFinite })
}

fn multipoint(bytes: &mut Bytes<'_>) -> Option<Built> {
    bytes.skip(32)?;
    let n = bytes.u32()?;
    let coords = bytes.coords(n)?;
    Some(if coords.is_empty() {
        Built::Empty
    } else if finite(&coords) {
        Built::Some(MultiPoint(coords.into_iter().map(Point).collect()).into())
    } else {
        Built::NotFinite
    })
}

/// The parts of a polyline or polygon: box, counts, starts, positions.
fn parts(bytes: &mut Bytes<'_>) -> Option<Vec<Vec<Coord<f64>>>> {
    bytes.skip(32)?;
    let (count, total) = (bytes.u32()?, bytes.u32()?);
    if count as usize > bytes.0.len() / 4 {
        return None;
    }
    let mut starts = Vec::with_capacity(count as usize + 1);
    for _ in 0..count {
        starts.push(bytes.u32()? as usize);
    }
    starts.push(total as usize);
    let coords = bytes.coords(total)?;
    if starts.first() != Some(&0) && total > 0 {
        return None;
    }
    starts.windows(2).map(|w| coords.get(*w.first()?..*w.last()?).map(<[_]>::to_vec)).collect()
}

fn lines(parts: Vec<Vec<Coord<f64>>>) -> Built {
    if !parts.iter().all(|p| finite(p)) {
        return Built::NotFinite;
    }
    let mut lines: Vec<_> = parts.into_iter().filter(|p| !p.is_empty()).map(LineString).collect();
    match lines.len() {
        0 => Built::Empty,
        1 => lines.pop().map_or(Built::Empty, |l| Built::Some(l.into())),
        _ => Built::Some(MultiLineString(lines).into()),
    }
}

fn polygons(parts: Vec<Vec<Coord<f64>>>) -> Built {
    if !parts.iter().all(|p| finite(p)) {
        return Built::NotFinite;
    }
    let Some(mut polygons) = rings::polygons(parts) else { return Built::TooComplex };
    match polygons.0.len() {
        0 => Built::Empty,
        1 => polygons.0.pop().map_or(Built::Empty, |p| Built::Some(p.into())),
        _ => Built::Some(polygons.into()),
    }
}
