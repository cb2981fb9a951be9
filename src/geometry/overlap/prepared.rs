//! A polygon made ready for many questions.

use crate::geometry::{
    area,
    predicates::{Contact, Place, contact, place_among},
};
use geo::{BooleanOps, algorithm::bool_ops::OpType};
use geo_types::{Coord, LineString, MultiPolygon, Polygon};
use std::sync::OnceLock;

/// What polygons share is not measured in less, degrees (0.1 mm): whole numbers, in which overlays
/// are calculated, do not tell such points apart.
const SMALLEST: f64 = 1e-9;

/// `[min x, min y, max x, max y]`, degrees.
pub(in crate::geometry) type Bounds = [f64; 4];

pub(in crate::geometry) fn bounds<'a>(coords: impl IntoIterator<Item = &'a Coord<f64>>) -> Bounds {
    let mut b = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    for c in coords {
        b = [b[0].min(c.x), b[1].min(c.y), b[2].max(c.x), b[3].max(c.y)];
    }
    b
}

fn meet(a: &Bounds, b: &Bounds) -> bool {
    a[0] <= b[2] && b[0] <= a[2] && a[1] <= b[3] && b[1] <= a[3]
}

fn within(inner: &Bounds, outer: &Bounds) -> bool {
    inner[0] >= outer[0] && inner[1] >= outer[1] && inner[2] <= outer[2] && inner[3] <= outer[3]
}

fn rings(polygon: &Polygon<f64>) -> impl Iterator<Item = &LineString<f64>> {
    std::iter::once(polygon.exterior()).chain(polygon.interiors())
}

/// A valid polygon or multipolygon made ready for many questions. What a question needs is made
/// when the first one comes, so that preparing is free for what is never asked.
#[derive(Debug)]
pub struct PreparedPolygon {
    shape: MultiPolygon<f64>,
    bounds: Bounds,
    area_m2: OnceLock<f64>,
    index: OnceLock<EdgeIndex>,
}

impl PreparedPolygon {
    /// Takes a valid polygon.
    pub fn new(shape: MultiPolygon<f64>) -> Self {
        let bounds = bounds(shape.0.iter().flat_map(|p| &p.exterior().0));
        Self { shape, bounds, area_m2: OnceLock::new(), index: OnceLock::new() }
    }

    /// The polygon.
    pub fn shape(&self) -> &MultiPolygon<f64> {
        &self.shape
    }

    /// `[west, south, east, north]`; infinite and inverted when it is empty.
    pub fn bounds(&self) -> [f64; 4] {
        self.bounds
    }

    /// Its area in m².
    pub fn area_m2(&self) -> f64 {
        *self.area_m2.get_or_init(|| self.shape.0.iter().map(area::polygon_m2).sum())
    }

    fn index(&self) -> &EdgeIndex {
        self.index.get_or_init(|| EdgeIndex::new(&self.shape, &self.bounds))
    }

    /// Whether it holds a point; its border belongs to it.
    pub fn contains_point(&self, c: Coord<f64>) -> bool {
        self.place(c) != Place::Outside
    }

    /// Every edge of its border, as its rings go, whose box meets that of a segment.
    pub(in crate::geometry) fn edges_near(
        &self,
        a: Coord<f64>,
        b: Coord<f64>,
    ) -> Vec<[Coord<f64>; 2]> {
        let mut near = Vec::new();
        if meet(&bounds([&a, &b]), &self.bounds) {
            self.index().near(a, b, &mut |e| {
                near.push([e.a, e.b]);
                false
            });
        }
        near
    }

    /// Where a point lies. Exact.
    pub(in crate::geometry) fn place(&self, c: Coord<f64>) -> Place {
        let [w, s, e, n] = self.bounds;
        // Not a number fails this test.
        if !(c.x >= w && c.x <= e && c.y >= s && c.y <= n) {
            return Place::Outside;
        }
        let edges = self.index().at(c.y);
        place_among(c, edges.iter().map(|e| (e.a, e.b)))
    }

    /// Length in m of the part of a line inside it; running along the border is inside.
    pub fn length_inside(&self, line: &LineString<f64>) -> f64 {
        line.0.windows(2).map(|w| self.segment_inside(w[0], w[1])).sum()
    }

    fn segment_inside(&self, a: Coord<f64>, b: Coord<f64>) -> f64 {
        if a == b || !meet(&bounds([&a, &b]), &self.bounds) {
            return 0.0;
        }
        // Where the segment meets the border, as shares of its length, and which stretches run
        // along it.
        let share = |p: Coord<f64>| {
            let d = b - a;
            if d.x.abs() >= d.y.abs() { (p.x - a.x) / d.x } else { (p.y - a.y) / d.y }
        };
        let mut cuts = vec![0.0, 1.0];
        let mut along: Vec<[f64; 2]> = Vec::new();
        self.index().near(a, b, &mut |e| {
            match contact(a, b, e.a, e.b) {
                Contact::None => {}
                Contact::Touch(p) => cuts.push(share(p).clamp(0.0, 1.0)),
                Contact::Cross => {
                    let (r, s, o) = (b - a, e.b - e.a, e.a - a);
                    let t = (o.x * s.y - o.y * s.x) / (r.x * s.y - r.y * s.x);
                    cuts.push(t.clamp(0.0, 1.0));
                }
                Contact::Overlap => {
                    let (t, u) = (share(e.a).clamp(0.0, 1.0), share(e.b).clamp(0.0, 1.0));
                    along.push([t.min(u), t.max(u)]);
                    cuts.extend([t, u]);
                }
            }
            false
        });
        cuts.sort_unstable_by(f64::total_cmp);
        let inside = |w: &&[f64]| {
            let middle = (w[0] + w[1]) / 2.0;
            w[1] > w[0]
                && (along.iter().any(|[t, u]| *t <= middle && middle <= *u)
                    || self.contains_point(a + (b - a) * middle))
        };
        let inside: f64 = cuts.windows(2).filter(inside).map(|w| w[1] - w[0]).sum();
        inside * area::segment_m(a, b)
    }

    /// Area in m² that it shares with a valid polygon.
    pub fn area_shared(&self, other: &Polygon<f64>) -> f64 {
        let theirs = bounds(&other.exterior().0);
        if !meet(&theirs, &self.bounds) {
            return 0.0;
        }
        if !self.borders_meet(other) {
            // No border crosses another: one lies in the other, in a hole of it, or beside it.
            if !self.has_ring_within(&theirs) {
                let first = other.exterior().0.first();
                let inside = first.is_some_and(|c| self.contains_point(*c));
                return if inside { area::polygon_m2(other) } else { 0.0 };
            }
            let no_hole = |b: &Bounds| !other.interiors().iter().any(|r| within(&bounds(&r.0), b));
            if self.shape.0.len() == 1 && no_hole(&self.bounds) {
                let inside = self.shape.0[0].exterior().0.first().is_some_and(|c| {
                    let edges = rings(other).flat_map(|r| r.0.windows(2));
                    place_among(*c, edges.map(|w| (w[0], w[1]))) == Place::Inside
                });
                // What is not in the other may still hold it: left to the general way.
                if inside {
                    return self.area_m2();
                }
            }
        }
        self.area_by_overlay(other, &theirs)
    }

    /// Both cut to what is near the other first: overlaying costs far more than cutting.
    fn area_by_overlay(&self, other: &Polygon<f64>, theirs: &Bounds) -> f64 {
        let (a, b) = (&self.bounds, theirs);
        let common = [a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])];
        let (w, h) = (common[2] - common[0], common[3] - common[1]);
        if w.max(h) < SMALLEST {
            return 0.0;
        }
        let margin = (w.max(h) * 0.01).max(1e-6);
        let window =
            [common[0] - margin, common[1] - margin, common[2] + margin, common[3] + margin];
        let mine = within_window(&self.shape, &window);
        let Some(other) = cut(other, &window) else { return 0.0 };
        let shared = mine.boolean_op(&other, OpType::Intersection);
        shared.0.iter().map(area::polygon_m2).sum()
    }

    /// Whether any edge of the other touches or crosses an edge of this.
    fn borders_meet(&self, other: &Polygon<f64>) -> bool {
        rings(other).flat_map(|r| r.0.windows(2)).any(|w| {
            let mut found = false;
            if meet(&bounds(w), &self.bounds) {
                self.index().near(w[0], w[1], &mut |e| {
                    found = contact(w[0], w[1], e.a, e.b) != Contact::None;
                    found
                });
            }
            found
        })
    }

    fn has_ring_within(&self, b: &Bounds) -> bool {
        self.shape.0.iter().flat_map(rings).any(|r| within(&bounds(&r.0), b))
    }
}

/// What of a shape lies in a window or near it, to be overlaid with what lies well inside it.
/// An overlay works on a grid laid over all it is given: over the whole of France and its overseas
/// parts its cells are a centimetre wide, over a canton's surroundings a thousandth of that.
pub(in crate::geometry) fn within_window(
    shape: &MultiPolygon<f64>,
    window: &Bounds,
) -> MultiPolygon<f64> {
    let near = |p: &&Polygon<f64>| meet(&bounds(&p.exterior().0), window);
    MultiPolygon(shape.0.iter().filter(near).filter_map(|p| cut(p, window)).collect())
}

/// Cuts rings to a window (Sutherland–Hodgman). Parts outside leave seams on the window's border,
/// which cancel out by the even-odd rule; the window is wider than what is looked at.
fn cut(polygon: &Polygon<f64>, window: &Bounds) -> Option<Polygon<f64>> {
    let ring = |r: &LineString<f64>| {
        if within(&bounds(&r.0), window) {
            return r.clone();
        }
        let mut points = r.0.clone();
        for (side, at) in window.iter().enumerate() {
            points = half_plane(&points, *at, side);
        }
        LineString(points)
    };
    let shell = ring(polygon.exterior());
    if shell.0.len() < 3 {
        return None;
    }
    let holes = polygon.interiors().iter().map(ring).filter(|r| r.0.len() >= 3).collect();
    Some(Polygon::new(shell, holes))
}

/// Keeps the part of a closed ring on the inner side of one side of a window
/// (0 west, 1 south, 2 east, 3 north).
fn half_plane(points: &[Coord<f64>], at: f64, side: usize) -> Vec<Coord<f64>> {
    let upright = side == 0 || side == 2;
    let value = |c: &Coord<f64>| if upright { c.x } else { c.y };
    let inner = |c: &Coord<f64>| if side < 2 { value(c) >= at } else { value(c) <= at };
    let mut kept = Vec::with_capacity(points.len());
    for w in points.windows(2) {
        let (a, b) = (&w[0], &w[1]);
        if inner(a) {
            kept.push(*a);
        }
        if inner(a) != inner(b) {
            let t = (at - value(a)) / (value(b) - value(a));
            let mut p = *a + (*b - *a) * t;
            if upright {
                p.x = at;
            } else {
                p.y = at;
            }
            kept.push(p);
        }
    }
    kept.extend(kept.first().copied());
    kept
}

/// An edge of a ring.
#[derive(Debug, Clone, Copy)]
struct Edge {
    a: Coord<f64>,
    b: Coord<f64>,
}

/// Edges in slabs of equal height: a question looks only at the slabs of its heights.
#[derive(Debug)]
struct EdgeIndex {
    south: f64,
    per_degree: f64,
    /// `starts[s]..starts[s + 1]` are the edges that reach into slab `s`.
    starts: Vec<u32>,
    edges: Vec<Edge>,
}

impl EdgeIndex {
    fn new(shape: &MultiPolygon<f64>, b: &Bounds) -> Self {
        let edge = |w: &[Coord<f64>]| Edge { a: w[0], b: w[1] };
        let all: Vec<Edge> =
            shape.0.iter().flat_map(rings).flat_map(|r| r.0.windows(2)).map(edge).collect();
        let mut slabs = (all.len() / 4).clamp(1, 1 << 20);
        let height = b[3] - b[1];
        if !(height > 0.0 && height.is_finite()) {
            slabs = 1;
        }
        loop {
            let per_degree = if slabs == 1 { 0.0 } else { slabs as f64 / height };
            let empty = Self { south: b[1], per_degree, starts: vec![0; slabs + 1], edges: vec![] };
            // Tall edges stand in many slabs: fewer slabs then, so that memory stays bounded.
            let total: usize = all.iter().map(|e| empty.span(e, slabs).count()).sum();
            if slabs == 1 || total <= 4 * all.len() {
                return empty.fill(&all, slabs, total);
            }
            slabs = slabs.div_ceil(2);
        }
    }

    fn fill(mut self, all: &[Edge], slabs: usize, total: usize) -> Self {
        for edge in all {
            for slab in self.span(edge, slabs) {
                self.starts[slab + 1] += 1;
            }
        }
        for slab in 0..slabs {
            self.starts[slab + 1] += self.starts[slab];
        }
        let zero = Coord { x: 0.0, y: 0.0 };
        self.edges = vec![Edge { a: zero, b: zero }; total];
        let mut next = self.starts.clone();
        for edge in all {
            for slab in self.span(edge, slabs) {
                self.edges[next[slab] as usize] = *edge;
                next[slab] += 1;
            }
        }
        self
    }

    /// The slab of a height; heights beyond the ends are in the first or last.
    fn slab(&self, y: f64, slabs: usize) -> usize {
        // A negative or huge number saturates.
        (((y - self.south) * self.per_degree) as usize).min(slabs - 1)
    }

    fn span(&self, e: &Edge, slabs: usize) -> std::ops::RangeInclusive<usize> {
        self.slab(e.a.y.min(e.b.y), slabs)..=self.slab(e.a.y.max(e.b.y), slabs)
    }

    fn slabs(&self) -> usize {
        self.starts.len() - 1
    }

    fn of(&self, slab: usize) -> &[Edge] {
        &self.edges[self.starts[slab] as usize..self.starts[slab + 1] as usize]
    }

    /// The edges that may reach a height.
    #[inline]
    fn at(&self, y: f64) -> &[Edge] {
        self.of(self.slab(y, self.slabs()))
    }

    /// Gives each edge whose box meets the segment's, once, until told to stop by `true`.
    fn near(&self, a: Coord<f64>, b: Coord<f64>, f: &mut dyn FnMut(&Edge) -> bool) {
        let [w, s, e, n] = bounds([&a, &b]);
        let n_slabs = self.slabs();
        let (first, last) = (self.slab(s, n_slabs), self.slab(n, n_slabs));
        for slab in first..=last {
            for edge in self.of(slab) {
                let (low, high) = (edge.a.y.min(edge.b.y), edge.a.y.max(edge.b.y));
                let beside =
                    low > n || high < s || edge.a.x.min(edge.b.x) > e || edge.a.x.max(edge.b.x) < w;
                // Given by the first slab that both reach.
                if !beside && slab == self.slab(low, n_slabs).max(first) && f(edge) {
                    return;
                }
            }
        }
    }
}
