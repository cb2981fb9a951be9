//! The bytes of a geometry in a band, written and read.
//!
//! ```text
//! kind        1 byte: 1 points, 2 lines, 3 polygons (the numbers of MVT's GeomType)
//! min x, min y, width, height    4 varints: the box, in units of the band's grid
//! commands    to the end: MVT 2.1 geometry commands, as packed in a feature
//! ```
//!
//! The cursor of the commands starts at the box's corner (`min x`, `min y`). Since they are MVT's
//! own, with exteriors wound clockwise (y south), holes the other way and behind their exterior,
//! a tile of the band's own zoom copies them as they are, but for the first move.
//! Varints are LEB128, parameters zigzag, as in Protocol Buffers.

const MOVE_TO: u32 = 1;
const LINE_TO: u32 = 2;
const CLOSE_PATH: u32 = 7;

/// What a geometry is made of; the numbers are MVT's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One or several points.
    Points = 1,
    /// One or several lines.
    Lines = 2,
    /// One or several polygons with their holes.
    Polygons = 3,
}

/// The bytes are not an encoded geometry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an overview's geometry cannot be decoded")]
pub struct Corrupt;

/// An encoded geometry, its head read.
#[derive(Debug, Clone, Copy)]
pub struct Encoded<'a> {
    /// What it is made of.
    pub kind: Kind,
    /// `[min x, min y, max x, max y]` on the band's grid.
    pub bounds: [i32; 4],
    /// MVT commands whose cursor starts at `(min x, min y)`.
    pub commands: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// Reads the head; the commands are checked when they are decoded.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let (kind, mut rest) = bytes.split_first().ok_or(Corrupt)?;
        let kind = match kind {
            1 => Kind::Points,
            2 => Kind::Lines,
            3 => Kind::Polygons,
            _ => return Err(Corrupt),
        };
        let mut next = || varint(&mut rest).and_then(|v| i32::try_from(v).map_err(|_| Corrupt));
        let (x, y, width, height) = (next()?, next()?, next()?, next()?);
        let far = |from: i32, size: i32| from.checked_add(size).ok_or(Corrupt);
        let bounds = [x, y, far(x, width)?, far(y, height)?];
        Ok(Self { kind, bounds, commands: rest })
    }

    /// Its points, lines or rings, one after the other.
    pub fn paths(&self) -> Paths<'a> {
        let [x, y, east, south] = self.bounds;
        let size = [x.abs_diff(east), y.abs_diff(south)];
        Paths { kind: self.kind, rest: self.commands, corner: [x, y], size, cursor: [x, y] }
    }

    /// Where the first move goes, with what is before and behind it: all that a tile of the
    /// band's own grid has to rewrite.
    pub fn first_move(&self) -> Result<FirstMove<'a>, Corrupt> {
        let mut rest = self.commands;
        let command = varint(&mut rest)?;
        let [x, y, ..] = self.bounds;
        let x = x.wrapping_add(unzigzag(varint(&mut rest)?));
        let y = y.wrapping_add(unzigzag(varint(&mut rest)?));
        Ok(FirstMove { command, to: [x, y], rest })
    }
}

/// The beginning of a geometry's commands; see [`Encoded::first_move`].
#[derive(Debug, Clone, Copy)]
pub struct FirstMove<'a> {
    /// The command with its count.
    pub command: u32,
    /// Where it goes, on the band's grid.
    pub to: [i32; 2],
    /// The commands and parameters behind it.
    pub rest: &'a [u8],
}

/// Decodes paths one by one into a buffer of the caller's.
#[derive(Debug, Clone)]
pub struct Paths<'a> {
    kind: Kind,
    rest: &'a [u8],
    /// The box's corner and size: no vertex may lie outside.
    corner: [i32; 2],
    size: [u32; 2],
    cursor: [i32; 2],
}

impl Paths<'_> {
    /// Puts the next path's vertices in `path` (rings without their first vertex at the end);
    /// `false` when there is none left.
    pub fn next_into(&mut self, path: &mut Vec<[i32; 2]>) -> Result<bool, Corrupt> {
        path.clear();
        if self.rest.is_empty() {
            return Ok(false);
        }
        if self.kind == Kind::Points {
            let count = self.command(MOVE_TO)?;
            self.params(count, path)?;
            return Ok(true);
        }
        if self.command(MOVE_TO)? != 1 {
            return Err(Corrupt);
        }
        self.params(1, path)?;
        let count = self.command(LINE_TO)?;
        self.params(count, path)?;
        if self.kind == Kind::Polygons && self.command(CLOSE_PATH)? != 1 {
            return Err(Corrupt);
        }
        Ok(true)
    }

    /// The count of the next command, which must be the one expected.
    fn command(&mut self, id: u32) -> Result<u32, Corrupt> {
        let word = varint(&mut self.rest)?;
        if word & 7 == id && word >> 3 > 0 { Ok(word >> 3) } else { Err(Corrupt) }
    }

    fn params(&mut self, count: u32, path: &mut Vec<[i32; 2]>) -> Result<(), Corrupt> {
        // Two bytes at least for each: a false count cannot ask for memory.
        if count as usize > self.rest.len() / 2 {
            return Err(Corrupt);
        }
        path.reserve(count as usize);
        let mut rest = self.rest;
        let [mut x, mut y] = self.cursor;
        let mut outside = false;
        for _ in 0..count {
            x = x.wrapping_add(unzigzag(varint(&mut rest)?));
            y = y.wrapping_add(unzigzag(varint(&mut rest)?));
            outside |= x.wrapping_sub(self.corner[0]).cast_unsigned() > self.size[0]
                || y.wrapping_sub(self.corner[1]).cast_unsigned() > self.size[1];
            path.push([x, y]);
        }
        if outside {
            return Err(Corrupt);
        }
        (self.rest, self.cursor) = (rest, [x, y]);
        Ok(())
    }
}

/// Appends a geometry. Paths hold vertices of the band's grid (not negative), rings without
/// their first vertex at the end; points are one path. Writes nothing when there is no path.
pub fn encode<'p>(
    kind: Kind,
    paths: impl Iterator<Item = &'p [[i32; 2]]> + Clone,
    out: &mut Vec<u8>,
) {
    let mut bounds = [i32::MAX, i32::MAX, i32::MIN, i32::MIN];
    for [x, y] in paths.clone().flatten().copied() {
        bounds = [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x), bounds[3].max(y)];
    }
    let [west, north, east, south] = bounds;
    if west > east {
        return;
    }
    out.push(kind as u8);
    for v in [west, north, east - west, south - north] {
        push_varint(out, v.cast_unsigned());
    }
    let mut cursor = [west, north];
    for path in paths {
        let Some((first, rest)) = path.split_first() else { continue };
        if kind == Kind::Points {
            push_command(out, MOVE_TO, path.len());
            push_params(out, path, &mut cursor);
            continue;
        }
        push_command(out, MOVE_TO, 1);
        push_params(out, std::slice::from_ref(first), &mut cursor);
        push_command(out, LINE_TO, rest.len());
        push_params(out, rest, &mut cursor);
        if kind == Kind::Polygons {
            push_command(out, CLOSE_PATH, 1);
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "build() promises at most 2^32 vertices")]
fn push_command(out: &mut Vec<u8>, id: u32, count: usize) {
    push_varint(out, ((count as u32) << 3) | id);
}

fn push_params(out: &mut Vec<u8>, path: &[[i32; 2]], cursor: &mut [i32; 2]) {
    for [x, y] in path.iter().copied() {
        push_varint(out, zigzag(x.wrapping_sub(cursor[0])));
        push_varint(out, zigzag(y.wrapping_sub(cursor[1])));
        *cursor = [x, y];
    }
}

fn zigzag(v: i32) -> u32 {
    (v.cast_unsigned() << 1) ^ (v >> 31).cast_unsigned()
}

fn unzigzag(v: u32) -> i32 {
    (v >> 1).cast_signed() ^ -(v & 1).cast_signed()
}

#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
fn push_varint(out: &mut Vec<u8>, mut v: u32) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn varint(bytes: &mut &[u8]) -> Result<u32, Corrupt> {
    let mut value = 0u32;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, rest) = bytes.split_first().ok_or(Corrupt)?;
        *bytes = rest;
        if shift == 28 && *byte > 0x0f {
            return Err(Corrupt);
        }
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Corrupt)
}
