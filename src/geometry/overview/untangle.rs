//! Borders that crossed when they lost their details, put right.
//!
//! [`super::simplify`] weighs each arc by itself: without a vertex, an arc may jump over another, or
//! over itself, and then two polygons cover the same lobe. Here the edges that a band keeps are
//! held against each other on its own grid. Where two cross that do not cross in the layer, the
//! vertex that matters most among those left out between their ends is put back, for this band
//! and all finer ones, until they come apart (as mapshaper's repair of intersections does). Where
//! none is left to put back, it was rounding that moved a vertex over an edge: the edge is led through
//! that vertex (snap rounding, Hobby 1999), on both of its sides. So is an edge that a vertex came to lie
//! on: the rings that touch there can then be parted (`super::pinched`), and neighbours go on having
//! the same vertices.

mod cells;

use super::{
    bands::Threshold,
    grid::{Path, Shape, Shapes, Vertex},
};
pub(super) use cells::within;
use cells::{Cells, Meeting, bounds, meet, meeting};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

/// How often a band is looked at again.
const ROUNDS: usize = 12;
/// Vertices between the ends of two edges, multiplied, that are held against each other; beyond, they
/// are taken for edges that cross in the layer as well.
const MOST: usize = 1 << 20;

/// Edges that are looked at together, about: what is held of them does not grow with the layer. Few in
/// tests, so that small layers take several goes.
const STRIP: usize = if cfg!(test) { 1 << 14 } else { 1 << 20 };

/// Crossings of a strip that may be put right, beside one for so many edges.
const FEW: usize = 1000;
const SHARE: usize = 16;

/// A point on a band's grid.
pub(super) type Place = [i32; 2];

/// The vertices through which a band leads edges, by the edge's ends, the smaller first, in the
/// order from there.
pub(super) type Bends = FxHashMap<(Place, Place), Vec<Place>>;

/// Puts right the borders of polygons in bands, from the coarsest to the finest: raises the weights of
/// vertices that are put back, and gives the bends of each band. `first`: for each vertex the index of
/// the first one at its place.
pub(super) fn untangle(
    shapes: &Shapes,
    first: &[u32],
    weights: &mut [f32],
    bands: &[Threshold],
) -> Vec<Bends> {
    let mut bends = vec![Bends::default(); bands.len()];
    if !shapes.paths.iter().any(|path| path.role.closed()) {
        return bends;
    }
    let mut grown = Grown::of(shapes.vertices.len());
    for (band, bends) in bands.iter().zip(&mut bends) {
        let mut look = Look { shapes, first, band: *band, weights, grown };
        *bends = look.untangle();
        grown = look.grown;
    }
    if !grown.weights.is_empty() {
        weights.par_iter_mut().zip(first).for_each(|(weight, first)| {
            if grown.has(*first) {
                *weight = grown.weights.get(first).copied().unwrap_or(*weight);
            }
        });
    }
    bends
}

/// Vertices that were put back, by the first one at their place: what is kept of a band is kept of
/// all finer ones.
struct Grown {
    weights: FxHashMap<u32, f32>,
    /// Whether it is among them, a bit for each vertex.
    bits: Vec<u64>,
}

impl Grown {
    fn of(vertices: usize) -> Self {
        Self { weights: FxHashMap::default(), bits: vec![0; vertices.div_ceil(64)] }
    }

    fn has(&self, first: u32) -> bool {
        self.bits[first as usize / 64] >> (first % 64) & 1 == 1
    }

    fn put(&mut self, first: u32, weight: f32) {
        self.bits[first as usize / 64] |= 1 << (first % 64);
        self.weights.insert(first, weight);
    }
}

/// Where a vertex is on a band's grid.
pub(super) fn rounded(v: Vertex, shift: u32) -> Place {
    let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
    [(v.x + half) >> shift, (v.y + half) >> shift]
}

/// An edge that a band draws, or a part of it between two bends.
#[derive(Debug, Clone, Copy)]
struct Edge {
    a: Place,
    b: Place,
    /// Indices of the vertices at the ends of the whole edge; `to` follows `from` in its path.
    from: u32,
    to: u32,
}

impl Edge {
    fn key(&self, shapes: &Shapes, shift: u32) -> (Place, Place) {
        let end = |i: u32| rounded(shapes.vertices[i as usize], shift);
        let (from, to) = (end(self.from), end(self.to));
        (from.min(to), from.max(to))
    }
}

/// Where the rounds of a band look.
struct Look<'a> {
    shapes: &'a Shapes,
    first: &'a [u32],
    band: Threshold,
    weights: &'a [f32],
    grown: Grown,
}

impl Look<'_> {
    /// Puts the band right; gives the edges that are led through others' vertices.
    fn untangle(&mut self) -> Bends {
        let mut bends = Bends::default();
        self.strips().into_iter().for_each(|strip| self.untangle_in(strip, &mut bends));
        bends
    }

    /// Boxes of the finest grid, side by side, in which lie about as many edges as are looked at
    /// together.
    fn strips(&self) -> Vec<[i32; 4]> {
        let kept = |shape: &Shape| {
            let paths = &self.shapes.paths[shape.paths.clone()];
            let kept = paths.iter().flat_map(|path| path.start..path.end).filter(|i| self.kept(*i));
            (shape.bounds[3], kept.count())
        };
        let mut shapes: Vec<(i32, usize)> = self.shapes.shapes.par_iter().map(kept).collect();
        shapes.par_sort_unstable();
        let (mut strips, mut from, mut edges) = (Vec::new(), i32::MIN, 0);
        for (south, kept) in shapes {
            if edges >= STRIP && south > from {
                strips.push([i32::MIN, from, i32::MAX, south]);
                (from, edges) = (south, 0);
            }
            edges += kept;
        }
        strips.push([i32::MIN, from, i32::MAX, i32::MAX]);
        strips
    }

    /// Puts right what lies in a box of the finest grid.
    fn untangle_in(&mut self, strip: [i32; 4], bends: &mut Bends) {
        let mut edges = self.edges(&[strip], bends);
        let cells = Cells::for_edges(&edges);
        // On the finest grid nothing is rounded: only edges that stand for more can be in the way.
        let mut near = (self.band.shift == 0).then(FxHashSet::default);
        if let Some(near) = &mut near {
            let longer = edges.iter().filter(|edge| edge.from.abs_diff(edge.to) > 1);
            longer.for_each(|edge| cells.along(edge, |cell| _ = near.insert(cell)));
        }
        for _ in 0..ROUNDS {
            let meetings = cells.meetings(&edges, near.as_ref());
            let of = |kind: Meeting| {
                let pairs = meetings.iter().filter(move |(_, meeting)| *meeting == kind);
                pairs.map(|(pair, _)| pair.map(|i| edges[i as usize]))
            };
            // So many are no accident: polygons that lie over each other.
            if of(Meeting::Cross).count() > FEW + edges.len() / SHARE {
                break;
            }
            // It moves no border: nothing else comes to meet by it.
            of(Meeting::Touch).for_each(|pair| self.join(pair, bends));
            let changed = self.mend(of(Meeting::Cross).collect(), bends);
            if changed.is_empty() {
                break;
            }
            // Where something changed, and only there, something else may cross now.
            edges = self.edges(&changed, bends);
            near = None;
        }
    }

    /// A box of the finest grid on the band's own.
    fn on_grid(&self, bounds: [i32; 4]) -> [i32; 4] {
        let half = (1 << self.band.shift) >> 1;
        bounds.map(|v| v.saturating_add(half) >> self.band.shift)
    }

    fn kept(&self, vertex: usize) -> bool {
        self.weights[vertex] >= self.band.weight || self.grown.has(self.first[vertex])
    }

    /// The edges of rings in some boxes of the finest grid, shared ones once where that is cheaply
    /// known.
    fn edges(&self, boxes: &[[i32; 4]], bends: &Bends) -> Vec<Edge> {
        let meets = |shape: &&Shape| boxes.iter().any(|other| meet(shape.bounds, *other));
        let shapes: Vec<&Shape> = self.shapes.shapes.par_iter().filter(meets).collect();
        let boxes: Vec<[i32; 4]> = boxes.iter().map(|bounds| self.on_grid(*bounds)).collect();
        let meets = |edge: &Edge| boxes.iter().any(|other| meet(bounds(edge), *other));
        let chunk = |shapes: &[&Shape]| {
            let (mut edges, mut found) = (Vec::new(), Vec::new());
            for path in shapes.iter().flat_map(|shape| &self.shapes.paths[shape.paths.clone()]) {
                if path.role.closed() {
                    self.edges_of(path, bends, &mut found);
                    edges.extend(found.drain(..).filter(meets));
                }
            }
            edges
        };
        let parts: Vec<Vec<Edge>> = shapes.par_chunks(256).map(chunk).collect();
        parts.concat()
    }

    #[expect(clippy::cast_possible_truncation, reason = "build() promises at most 2^32 vertices")]
    fn edges_of(&self, path: &Path, bends: &Bends, out: &mut Vec<Edge>) {
        let mut kept = (path.start..path.end).filter(|i| self.kept(*i));
        let Some(start) = kept.next() else { return };
        let mut from = start;
        for to in kept.chain([start]) {
            let (a, b) = (self.shapes.vertices[from], self.shapes.vertices[to]);
            let (a, b) = (rounded(a, self.band.shift), rounded(b, self.band.shift));
            if a != b && !self.seen_before(path, from, to) {
                let whole = Edge { a, b, from: from as u32, to: to as u32 };
                push_parts(whole, bends, out);
            }
            from = to;
        }
    }

    /// Whether a path before this one has the same edge.
    fn seen_before(&self, path: &Path, from: usize, to: usize) -> bool {
        let (a, b) = (self.first[from] as usize, self.first[to] as usize);
        if a >= path.start || b >= path.start {
            return false;
        }
        // Between them, all or none of the vertices were there before; without any, they were
        // neighbours.
        match from + 1 {
            next if next == to => a.abs_diff(b) == 1,
            next if next < path.end => (self.first[next] as usize) < path.start,
            _ => false,
        }
    }

    /// Parts the edges that cross. Gives the boxes, on the finest grid, in which edges changed.
    fn mend(&mut self, crossings: Vec<[Edge; 2]>, bends: &mut Bends) -> Vec<[i32; 4]> {
        let mut changed = Vec::new();
        let in_the_layer = |[e, f]: &[Edge; 2]| self.cross_in_the_layer(*e, *f);
        let known: Vec<bool> = crossings.par_iter().map(in_the_layer).collect();
        for ([e, f], known) in crossings.into_iter().zip(known) {
            let mut back = false;
            // What crosses in the layer may do so by the rounding of its own grid, but not for what
            // was left out.
            for edge in [e, f].into_iter().filter(|_| !known) {
                if let Some(vertex) = self.heaviest_between(edge) {
                    self.grown.put(self.first[vertex], self.band.weight);
                    back = true;
                }
            }
            if back || self.bend(e, f, bends) {
                changed.extend([e, f].map(|edge| self.extent(edge)));
            }
        }
        changed
    }

    /// The box of all vertices from one end of an edge to the other.
    fn extent(&self, edge: Edge) -> [i32; 4] {
        let vertices = self.chain(edge).map(|i| self.shapes.vertices[i]);
        vertices.fold([i32::MAX, i32::MAX, i32::MIN, i32::MIN], |b, v| {
            [b[0].min(v.x), b[1].min(v.y), b[2].max(v.x), b[3].max(v.y)]
        })
    }

    /// The vertices of the layer from one end of an edge to the other.
    fn chain(&self, edge: Edge) -> impl Iterator<Item = usize> + Clone + use<> {
        let (from, to) = (edge.from as usize, edge.to as usize);
        let at = self.shapes.paths.partition_point(|path| path.end <= from);
        let path = self.shapes.paths[at];
        let (there, around) =
            if from < to { (from..to + 1, 0..0) } else { (from..path.end, path.start..to + 1) };
        there.chain(around)
    }

    /// The vertex that matters most of those left out between the ends of an edge.
    fn heaviest_between(&self, edge: Edge) -> Option<usize> {
        let left_out = self.chain(edge).filter(|i| !self.kept(*i));
        left_out.max_by(|i, j| self.weights[*i].total_cmp(&self.weights[*j]))
    }

    /// Whether two edges stand for stretches of the layer that cross themselves.
    fn cross_in_the_layer(&self, e: Edge, f: Edge) -> bool {
        let place = |i: usize| {
            let v = self.shapes.vertices[i];
            [v.x, v.y]
        };
        let cross = |s, t| meeting(s, t) == Some(Meeting::Cross);
        let (p, q): (Vec<Place>, Vec<Place>) =
            (self.chain(e).map(place).collect(), self.chain(f).map(place).collect());
        if p.len() * q.len() > MOST {
            return true;
        }
        p.windows(2).any(|s| q.windows(2).any(|t| cross([s[0], s[1]], [t[0], t[1]])))
    }

    /// Leads each of two edges that touch through the ends of the other that lie on it.
    fn join(&self, [e, f]: [Edge; 2], bends: &mut Bends) {
        for (place, edge) in [(e.a, f), (e.b, f), (f.a, e), (f.b, e)] {
            if within(place, [edge.a, edge.b]) {
                self.lead(edge, place, bends);
            }
        }
    }

    /// Leads one of two edges through the end of the other that rounding moved over it.
    fn bend(&self, e: Edge, f: Edge, bends: &mut Bends) -> bool {
        let ends = [(e.a, f), (e.b, f), (f.a, e), (f.b, e)];
        let near = ends.iter().min_by(|p, q| distance(p.0, p.1).total_cmp(&distance(q.0, q.1)));
        let near = near.copied().filter(|(p, edge)| distance(*p, *edge) <= 1.5);
        near.is_some_and(|(place, edge)| self.lead(edge, place, bends))
    }

    /// Leads an edge through a place near it; `false` when it goes there already.
    fn lead(&self, edge: Edge, place: Place, bends: &mut Bends) -> bool {
        let key = edge.key(self.shapes, self.band.shift);
        let bends = bends.entry(key).or_default();
        if bends.contains(&place) || place == key.0 || place == key.1 {
            return false;
        }
        // Behind the bends that come before it, from the smaller end.
        let order = |p: &Place| along(key, *p);
        let at = bends.partition_point(|p| order(p) <= order(&place));
        bends.insert(at, place);
        true
    }
}

/// How far along an edge a place near it lies.
fn along((a, b): (Place, Place), p: Place) -> i64 {
    let d = |i: usize, p: Place| i64::from(p[i]) - i64::from(a[i]);
    d(0, b) * d(0, p) + d(1, b) * d(1, p)
}

/// How far a place is from an edge, in units.
fn distance(p: Place, edge: Edge) -> f64 {
    let d = |p: Place, q: Place| [f64::from(q[0] - p[0]), f64::from(q[1] - p[1])];
    let ([x, y], [u, v]) = (d(edge.a, edge.b), d(edge.a, p));
    let share = ((x * u + y * v) / (x * x + y * y)).clamp(0.0, 1.0);
    (u - share * x).hypot(v - share * y)
}

/// The parts of an edge between its bends.
fn push_parts(whole: Edge, bends: &Bends, out: &mut Vec<Edge>) {
    let mut from = whole.a;
    for place in bent(whole.a, whole.b, bends) {
        out.push(Edge { a: from, b: place, ..whole });
        from = place;
    }
    out.push(Edge { a: from, ..whole });
}

/// The places that an edge is led through, in its own direction.
pub(super) fn bent(a: Place, b: Place, bends: &Bends) -> impl Iterator<Item = Place> + '_ {
    let found = if bends.is_empty() { None } else { bends.get(&(a.min(b), a.max(b))) };
    let places = found.map(Vec::as_slice).unwrap_or_default();
    let n = places.len();
    (0..n).map(move |i| if a < b { places[i] } else { places[n - 1 - i] })
}

#[cfg(test)]
mod tests;
