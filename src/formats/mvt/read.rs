//! A strict decoder: whatever departs from MVT 2.1 is refused, and no input makes it fail
//! otherwise or ask for more memory than a few times its own size.

use super::wire::{Payload, take_field, take_varint};
use crate::{
    error::{Error, Result},
    text,
};

/// A layer as decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedLayer {
    /// Its name.
    pub name: String,
    /// Units along each axis of the tile.
    pub extent: u32,
    /// Names of the properties.
    pub keys: Vec<String>,
    /// Their values.
    pub values: Vec<DecodedValue>,
    /// Its features.
    pub features: Vec<DecodedFeature>,
}

impl DecodedLayer {
    /// A feature's properties, in their order in the tile.
    pub fn properties<'a>(
        &'a self,
        feature: &'a DecodedFeature,
    ) -> impl Iterator<Item = (&'a str, &'a DecodedValue)> + 'a {
        let pair = |(k, v): &(u32, u32)| {
            Some((self.keys.get(*k as usize)?.as_str(), self.values.get(*v as usize)?))
        };
        feature.tags.iter().filter_map(pair)
    }
}

/// A property's value.
#[derive(Debug, Clone, PartialEq)]
pub enum DecodedValue {
    /// Text.
    Text(String),
    /// `float` or `double`.
    Double(f64),
    /// `int` or `sint`.
    Int(i64),
    /// `uint`.
    Uint(u64),
    /// A boolean.
    Bool(bool),
}

/// What a feature is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GeometryType {
    /// Points.
    Point,
    /// Lines.
    Line,
    /// Polygons.
    Polygon,
}

/// A feature as decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedFeature {
    /// Its id.
    pub id: Option<u64>,
    /// What it is made of.
    pub kind: GeometryType,
    /// Indices of keys and values.
    pub tags: Vec<(u32, u32)>,
    /// Points (one path), lines or rings (without their first vertex at the end), in tile
    /// coordinates.
    pub paths: Vec<Vec<[i32; 2]>>,
}

/// Decodes a tile (not compressed).
///
/// # Errors
/// [`Error::Refused`], saying what is wrong, when the bytes are not a valid MVT 2.1 tile: broken
/// encoding, missing or repeated names, another version, indices or coordinates out of range, geometry whose
/// commands are not those of its type, rings without area or whose first is not an exterior.
pub fn read(mut bytes: &[u8]) -> Result<Vec<DecodedLayer>> {
    let mut layers: Vec<DecodedLayer> = Vec::new();
    while !bytes.is_empty() {
        let layer = match take_field(&mut bytes) {
            Some((3, Payload::Bytes(body))) => layer(body),
            Some((number, _)) if number != 3 => continue,
            _ => Err("layer"),
        };
        let layer = layer.map_err(refused)?;
        if layers.iter().any(|l| l.name == layer.name) {
            return Err(refused("repeated layer name"));
        }
        layers.push(layer);
    }
    Ok(layers)
}

fn refused(what: &str) -> Error {
    Error::Refused(text!(
        "Ce n'est pas une tuile MVT 2.1 valide ({what}).",
        "Not a valid MVT 2.1 tile ({what})."
    ))
}

/// A part, or what is wrong with it.
type Part<T> = std::result::Result<T, &'static str>;

fn layer(mut bytes: &[u8]) -> Part<DecodedLayer> {
    let (mut name, mut version, mut extent) = (None, None, 4096);
    let (mut keys, mut values, mut features) = (Vec::new(), Vec::new(), Vec::new());
    while !bytes.is_empty() {
        match take_field(&mut bytes).ok_or("layer")? {
            (1, Payload::Bytes(b)) => name = Some(utf8(b)?),
            (2, Payload::Bytes(b)) => features.extend(feature(b)?),
            (3, Payload::Bytes(b)) => keys.push(utf8(b)?),
            (4, Payload::Bytes(b)) => values.push(value(b)?),
            (5, Payload::Varint(v)) => extent = u32::try_from(v).map_err(|_| "extent")?,
            (15, Payload::Varint(v)) => version = Some(v),
            (1..=5 | 15, _) => return Err("layer field"),
            _ => {}
        }
    }
    if version != Some(2) {
        return Err("version");
    }
    if extent == 0 {
        return Err("extent");
    }
    let known = |(k, v): &(u32, u32)| (*k as usize) < keys.len() && (*v as usize) < values.len();
    if !features.iter().flat_map(|f: &DecodedFeature| &f.tags).all(known) {
        return Err("tag index");
    }
    let name: String = name.filter(|n: &String| !n.is_empty()).ok_or("layer name")?;
    Ok(DecodedLayer { name, extent, keys, values, features })
}

fn utf8(bytes: &[u8]) -> Part<String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "text encoding")
}

fn value(mut bytes: &[u8]) -> Part<DecodedValue> {
    use DecodedValue as V;
    let field = take_field(&mut bytes).ok_or("value")?;
    if !bytes.is_empty() {
        return Err("value with several fields");
    }
    Ok(match field {
        (1, Payload::Bytes(b)) => V::Text(utf8(b)?),
        (2, Payload::Fixed32(b)) => V::Double(f32::from_le_bytes(b).into()),
        (3, Payload::Fixed64(b)) => V::Double(f64::from_le_bytes(b)),
        (4, Payload::Varint(v)) => V::Int(v.cast_signed()),
        (5, Payload::Varint(v)) => V::Uint(v),
        (6, Payload::Varint(v)) => V::Int((v >> 1).cast_signed() ^ -(v & 1).cast_signed()),
        (7, Payload::Varint(v)) => V::Bool(v != 0),
        _ => return Err("value"),
    })
}

/// A feature; `None` when it is of the type `UNKNOWN`, which a decoder may leave aside (4.3.4).
fn feature(mut bytes: &[u8]) -> Part<Option<DecodedFeature>> {
    let (mut id, mut kind, mut geometry, mut tags) = (None, None, None, Vec::new());
    while !bytes.is_empty() {
        match take_field(&mut bytes).ok_or("feature")? {
            (1, Payload::Varint(v)) => id = Some(v),
            (2, Payload::Bytes(b)) => tags = pairs(b)?,
            (3, Payload::Varint(v)) => {
                kind = Some(match v {
                    0 => return Ok(None),
                    1 => GeometryType::Point,
                    2 => GeometryType::Line,
                    3 => GeometryType::Polygon,
                    _ => return Err("geometry type"),
                });
            }
            (4, Payload::Bytes(b)) => geometry = Some(b),
            (1..=4, _) => return Err("feature field"),
            _ => {}
        }
    }
    // Unknown unless it is written, and what is unknown is left out (clause 4.3.4).
    let Some(kind) = kind else { return Ok(None) };
    let paths = Geometry { rest: geometry.ok_or("geometry")?, cursor: [0, 0] }.paths(kind)?;
    Ok(Some(DecodedFeature { id, kind, tags, paths }))
}

fn pairs(mut bytes: &[u8]) -> Part<Vec<(u32, u32)>> {
    let mut pairs = Vec::new();
    let word =
        |bytes: &mut &[u8]| take_varint(bytes).and_then(|v| u32::try_from(v).ok()).ok_or("tags");
    while !bytes.is_empty() {
        pairs.push((word(&mut bytes)?, word(&mut bytes)?));
    }
    Ok(pairs)
}

struct Geometry<'a> {
    rest: &'a [u8],
    cursor: [i32; 2],
}

impl Geometry<'_> {
    fn paths(mut self, kind: GeometryType) -> Part<Vec<Vec<[i32; 2]>>> {
        let mut paths = Vec::new();
        while !self.rest.is_empty() {
            let mut path = Vec::new();
            let moves = self.command(1)?;
            self.points(moves, &mut path)?;
            if kind != GeometryType::Point {
                if moves != 1 {
                    return Err("MoveTo count");
                }
                let lines = self.command(2)?;
                self.points(lines, &mut path)?;
                if path.windows(2).any(|p| p[0] == p[1]) {
                    return Err("segment without length");
                }
            } else if !self.rest.is_empty() {
                return Err("points");
            }
            if kind == GeometryType::Polygon {
                if self.command(7)? != 1 || path.len() < 3 || path.first() == path.last() {
                    return Err("ring");
                }
                match area(&path) {
                    0 => return Err("ring without area"),
                    a if a < 0 && paths.is_empty() => return Err("hole before its exterior"),
                    _ => {}
                }
            }
            paths.push(path);
        }
        if paths.is_empty() { Err("empty geometry") } else { Ok(paths) }
    }

    fn command(&mut self, id: u64) -> Part<usize> {
        let word = take_varint(&mut self.rest).ok_or("command")?;
        let count = usize::try_from(word >> 3).map_err(|_| "command")?;
        if word & 7 == id && count > 0 { Ok(count) } else { Err("command") }
    }

    fn points(&mut self, count: usize, path: &mut Vec<[i32; 2]>) -> Part<()> {
        // Two bytes at least for each: a false count cannot ask for memory.
        if count > self.rest.len() / 2 {
            return Err("command count");
        }
        let mut param = || {
            let v = take_varint(&mut self.rest).and_then(|v| u32::try_from(v).ok());
            v.map(|v| (v >> 1).cast_signed() ^ -(v & 1).cast_signed()).ok_or("parameter")
        };
        for _ in 0..count {
            let [x, y] = self.cursor;
            let far = "coordinate out of range";
            self.cursor =
                [x.checked_add(param()?).ok_or(far)?, y.checked_add(param()?).ok_or(far)?];
            path.push(self.cursor);
        }
        Ok(())
    }
}

/// Twice the area by the surveyor's formula.
fn area(ring: &[[i32; 2]]) -> i128 {
    let next = ring.iter().cycle().skip(1);
    let cross = |([a, b], [c, d]): (&[i32; 2], &[i32; 2])| {
        i128::from(*a) * i128::from(*d) - i128::from(*c) * i128::from(*b)
    };
    ring.iter().zip(next).map(cross).sum()
}
