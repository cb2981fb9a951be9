//! From weighed vertices to the bands' bytes: what each band keeps of a shape, rounded to its
//! grid and tidied.

use super::{
    Band,
    encode::{Kind, encode},
    grid::{Role, Shapes, Vertex, twice_area},
    pinched::Pinched,
    untangle::{Bends, bent, rounded},
};
use rayon::prelude::*;

/// The least triangle a vertex must span to be kept, in square units of the band's grid: one
/// pixel's area where a tile is drawn on 512 pixels.
pub const DETAIL: u32 = 64;

/// The same for the finest band. Deeper tiles magnify it, so that it only loses what rounding
/// would lose anyway.
const FINEST_DETAIL: u32 = 1;

/// What a band keeps of the finest grid.
#[derive(Debug, Clone, Copy)]
pub(super) struct Threshold {
    /// Bits that the band's coordinates have less than the finest ones.
    pub(super) shift: u32,
    /// The least weight, in twice-areas of the finest grid.
    pub(super) weight: f32,
}

impl Threshold {
    /// Of a zoom, where `finest` is the finest; `detail` is the least triangle, more than usual.
    pub(super) fn of(zoom: u8, finest: u8, detail: Option<u32>) -> Self {
        let shift = u32::from(finest - zoom);
        let usual = if shift == 0 { FINEST_DETAIL } else { DETAIL };
        let detail = f64::from(detail.unwrap_or(usual));
        #[expect(clippy::cast_possible_truncation, reason = "a threshold needs no more precision")]
        let weight = (2.0 * detail * f64::from(shift).exp2().powi(2)) as f32;
        Self { shift, weight }
    }
}

/// What a band is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) shapes: &'a Shapes,
    /// By vertex.
    pub(super) weights: &'a [f32],
    pub(super) bends: &'a Bends,
    pub(super) threshold: Threshold,
}

impl Source<'_> {
    /// The whole band of a zoom, its shapes in that order.
    pub(super) fn band(self, zoom: u8, ranked: &[u32]) -> Band {
        let chunk = |chunk: &[u32]| {
            let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(chunk.len()));
            self.write(chunk, &mut bytes, &mut ends);
            (bytes, ends)
        };
        let chunks: Vec<(Vec<u8>, Vec<u64>)> = ranked.par_chunks(512).map(chunk).collect();
        let mut bytes = Vec::with_capacity(chunks.iter().map(|(bytes, _)| bytes.len()).sum());
        let mut offsets = vec![0];
        for (share, ends) in chunks {
            let base = bytes.len() as u64;
            offsets.extend(ends.into_iter().map(|end| base + end));
            bytes.extend_from_slice(&share);
        }
        Band { zoom, offsets, bytes }
    }

    /// Appends some shapes as the band has them, and where each ends among them.
    pub(super) fn write(self, ranked: &[u32], bytes: &mut Vec<u8>, ends: &mut Vec<u64>) {
        let from = bytes.len();
        let mut encoder = Encoder::new(self);
        for shape in ranked {
            encoder.push(*shape, bytes);
            ends.push((bytes.len() - from) as u64);
        }
    }
}

/// Writes shapes as a band has them.
struct Encoder<'a> {
    of: Source<'a>,
    /// Vertices that weigh enough.
    kept: Vec<Vertex>,
    /// Paths: role and where they end in `kept`.
    paths: Vec<(Role, usize)>,
    /// Vertices on the band's grid.
    rounded: Vec<[i32; 2]>,
    /// Ranges of `rounded` to write.
    drawn: Vec<std::ops::Range<usize>>,
    pinched: Pinched,
}

impl<'a> Encoder<'a> {
    fn new(of: Source<'a>) -> Self {
        Self {
            of,
            kept: Vec::new(),
            paths: Vec::new(),
            rounded: Vec::new(),
            drawn: Vec::new(),
            pinched: Pinched::default(),
        }
    }

    /// Writes one shape.
    fn push(&mut self, shape: u32, out: &mut Vec<u8>) {
        let Source { shapes, weights, threshold, .. } = self.of;
        let paths = &shapes.paths[shapes.shapes[shape as usize].paths.clone()];
        self.kept.clear();
        self.paths.clear();
        for path in paths {
            let vertices = shapes.vertices[path.start..path.end].iter();
            let weighed = vertices.zip(&weights[path.start..path.end]);
            let enough = weighed.filter(|(_, weight)| **weight >= threshold.weight);
            self.kept.extend(enough.map(|(vertex, _)| *vertex));
            self.paths.push((path.role, self.kept.len()));
        }
        let kind = match paths.first().map(|p| p.role) {
            Some(Role::Exterior | Role::Interior) => Kind::Polygons,
            Some(Role::Line) => Kind::Lines,
            _ => Kind::Points,
        };
        self.round();
        let drawn = self.drawn.iter().map(|range| &self.rounded[range.clone()]);
        encode(kind, drawn, out);
    }

    /// Rounds to the band's grid what is left, and lists what is still to be seen of it.
    fn round(&mut self) {
        let (shift, bends) = (self.of.threshold.shift, self.of.bends);
        self.rounded.clear();
        self.drawn.clear();
        let (mut from, mut in_polygon) = (0, false);
        for (role, end) in &self.paths {
            let start = self.rounded.len();
            let kept = &self.kept[from..*end];
            // Of a ring the last edge leads back to its first vertex, which is not repeated.
            let before = kept.last().filter(|_| role.closed()).map(|v| rounded(*v, shift));
            let mut before = before.filter(|_| !bends.is_empty());
            for v in kept {
                let v = rounded(*v, shift);
                let through = before.into_iter().flat_map(|before| bent(before, v, bends));
                through.for_each(|bend| push(&mut self.rounded, start, bend, *role));
                push(&mut self.rounded, start, v, *role);
                before = before.map(|_| v);
            }
            from = *end;
            let range = match role {
                Role::Points => start..self.rounded.len(),
                Role::Line if self.rounded.len() - start > 1 => start..self.rounded.len(),
                Role::Exterior => {
                    let ring = close_ring(&mut self.rounded, start, true);
                    in_polygon = !ring.is_empty();
                    ring
                }
                Role::Interior if in_polygon => close_ring(&mut self.rounded, start, false),
                _ => 0..0,
            };
            if !range.is_empty() {
                self.drawn.push(range);
            }
        }
        if self.paths.first().is_some_and(|(role, _)| role.closed()) {
            self.pinched.part(&mut self.rounded, &mut self.drawn);
        }
    }
}

/// Adds a place to the path that starts at `start` of `rounded`.
fn push(rounded: &mut Vec<[i32; 2]>, start: usize, v: [i32; 2], role: Role) {
    match &rounded[start..] {
        [.., last] if *last == v => {}
        // There and back: no area.
        [.., before, _] if *before == v && role.closed() => {
            rounded.pop();
        }
        _ => rounded.push(v),
    }
}

/// The ring that starts at `start` of `rounded`, tidied at its seam; empty without area.
fn close_ring(
    rounded: &mut Vec<[i32; 2]>,
    mut start: usize,
    exterior: bool,
) -> std::ops::Range<usize> {
    loop {
        match &rounded[start..] {
            [first, .., last] if first == last => _ = rounded.pop(),
            [first, .., before, _] if first == before => _ = rounded.pop(),
            [_, second, .., last] if second == last => start += 1,
            _ => break,
        }
    }
    let ring = &mut rounded[start..];
    let area = twice_area(ring.iter().map(|[x, y]| (i64::from(*x), i64::from(*y))));
    if area == 0 {
        return 0..0;
    }
    if (area > 0) != exterior {
        // Generalised inside out, so a few units at most: the feature stays, a hole does not.
        if !exterior {
            return 0..0;
        }
        ring.reverse();
    }
    start..rounded.len()
}
