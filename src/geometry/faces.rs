//! From directed edges, each with the inside on its left, to valid polygons.
//!
//! Edges meet at their ends only. Around each end they are sorted by exact predicates; a ring
//! goes on with the edge that encloses the least inside, and one that comes back to a place is
//! cut there: outlines that touch at a point become rings that touch at a point, as OGC simple
//! features want. The result does not depend on the order of the edges.

use super::predicates::{Place, place, side};
use geo_types::{Coord, LineString, MultiPolygon, Polygon};
use rustc_hash::FxHashMap;
use std::cmp::Ordering;

/// An edge with the inside on its left.
pub(super) type Edge = [Coord<f64>; 2];

/// The edges do not close: some place is reached and not left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open;

/// A place as a key: equal for equal coordinates.
pub(super) fn key(c: Coord<f64>) -> [u64; 2] {
    // Minus zero is zero.
    [(c.x + 0.0).to_bits(), (c.y + 0.0).to_bits()]
}

/// The order of two directions around a place, counter-clockwise from the east. Exact.
pub(super) fn around(o: Coord<f64>, p: Coord<f64>, q: Coord<f64>) -> Ordering {
    let half = |t: Coord<f64>| !(t.y > o.y || t.y == o.y && t.x > o.x);
    half(p).cmp(&half(q)).then_with(|| 0.cmp(&side(o, p, q)))
}

/// Numbers for places.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    ids: FxHashMap<[u64; 2], u32>,
    pub(super) places: Vec<Coord<f64>>,
}

impl Nodes {
    pub(super) fn with_capacity(n: usize) -> Self {
        let mut ids = FxHashMap::default();
        ids.reserve(n);
        Self { ids, places: Vec::with_capacity(n) }
    }

    #[expect(clippy::cast_possible_truncation, reason = "fewer vertices than 2^32 fit in memory")]
    pub(super) fn id(&mut self, c: Coord<f64>) -> u32 {
        *self.ids.entry(key(c)).or_insert_with(|| {
            self.places.push(c);
            self.places.len() as u32 - 1
        })
    }
}

/// The polygons whose border the edges are. No two edges may be opposite; an edge may be there
/// several times where outlines overlap, for [`united`] to sort out.
///
/// # Errors
/// [`Open`] when the edges do not close.
pub(super) fn polygons(edges: &[Edge]) -> Result<MultiPolygon<f64>, Open> {
    Ok(nest(rings(edges)?.into_iter().map(Ring::new).collect()))
}

/// The polygons of what at least one of several outlines holds: an outline inside of another adds
/// nothing.
///
/// # Errors
/// As [`polygons`].
pub(super) fn united(edges: &[Edge]) -> Result<MultiPolygon<f64>, Open> {
    let mut all: Vec<Ring> = rings(edges)?.into_iter().map(Ring::new).collect();
    all.retain(|r| r.area != 0.0);
    all.sort_by(|a, b| b.area.abs().total_cmp(&a.area.abs()));
    // How often the outside of each ring is covered; larger rings come first.
    let covered = |i: usize| -> i32 {
        let around = all[..i].iter().filter(|outer| outer.holds(&all[i]));
        around.map(|outer| if outer.area > 0.0 { 1 } else { -1 }).sum()
    };
    let bounds: Vec<bool> = (0..all.len())
        .map(|i| {
            let outside = covered(i);
            let inside = outside + if all[i].area > 0.0 { 1 } else { -1 };
            (outside >= 1) != (inside >= 1)
        })
        .collect();
    let mut kept = bounds.into_iter();
    all.retain(|_| kept.next().unwrap_or_default());
    Ok(nest(all))
}

/// The simple rings that edges make, open; none crosses another.
fn rings(edges: &[Edge]) -> Result<Vec<Vec<Coord<f64>>>, Open> {
    let fan = Fan::new(edges);
    let mut rings = Vec::new();
    let mut used = vec![false; edges.len()];
    let mut visited = vec![u32::MAX; fan.nodes.places.len()];
    for start in 0..edges.len() {
        if !used[start] {
            let path = fan.trace(start, &mut used)?;
            split(&path, &mut visited, &fan.nodes.places, &mut rings);
        }
    }
    Ok(rings)
}

/// Edges by the place they leave.
struct Fan {
    nodes: Nodes,
    /// Ends of each edge.
    ends: Vec<[u32; 2]>,
    /// `starts[n]..starts[n + 1]` are the positions in `leaving` of node `n`.
    starts: Vec<u32>,
    /// Edges by the node they leave, counter-clockwise.
    leaving: Vec<u32>,
}

impl Fan {
    #[expect(clippy::cast_possible_truncation, reason = "fewer edges than 2^32 fit in memory")]
    fn new(edges: &[Edge]) -> Self {
        let mut nodes = Nodes::with_capacity(edges.len());
        let ends: Vec<[u32; 2]> = edges.iter().map(|e| e.map(|c| nodes.id(c))).collect();
        let mut starts = vec![0u32; nodes.places.len() + 1];
        ends.iter().for_each(|e| starts[e[0] as usize + 1] += 1);
        for n in 1..starts.len() {
            starts[n] += starts[n - 1];
        }
        let mut next = starts.clone();
        let mut leaving = vec![0u32; edges.len()];
        for (i, e) in ends.iter().enumerate() {
            let slot = &mut next[e[0] as usize];
            leaving[*slot as usize] = i as u32;
            *slot += 1;
        }
        for n in 0..nodes.places.len() {
            let fan = &mut leaving[starts[n] as usize..starts[n + 1] as usize];
            if fan.len() > 1 {
                let place = |e: u32| nodes.places[ends[e as usize][1] as usize];
                fan.sort_unstable_by(|a, b| around(nodes.places[n], place(*a), place(*b)));
            }
        }
        Self { nodes, ends, starts, leaving }
    }

    /// The edge after one that arrives: the first clockwise from where it came that is still free.
    fn after(&self, edge: usize, start: usize, used: &[bool]) -> Result<usize, Open> {
        let [from, at] = self.ends[edge];
        let at = at as usize;
        let fan = &self.leaving[self.starts[at] as usize..self.starts[at + 1] as usize];
        let free = |e: usize| e == start || !used[e];
        if let [only] = fan {
            return Some(*only as usize).filter(|e| free(*e)).ok_or(Open);
        }
        let place = |n: u32| self.nodes.places[n as usize];
        let (here, back) = (place(at as u32), place(from));
        let before =
            fan.partition_point(|e| around(here, place(self.ends[*e as usize][1]), back).is_lt());
        let (nearer, farther) = fan.split_at(before);
        let clockwise = nearer.iter().rev().chain(farther.iter().rev()).map(|e| *e as usize);
        clockwise.into_iter().find(|e| free(*e)).ok_or(Open)
    }

    /// The nodes from one edge around to it again.
    fn trace(&self, start: usize, used: &mut [bool]) -> Result<Vec<u32>, Open> {
        let mut path = Vec::new();
        let mut edge = start;
        loop {
            used[edge] = true;
            path.push(self.ends[edge][0]);
            edge = self.after(edge, start, used)?;
            if edge == start {
                return Ok(path);
            }
        }
    }
}

/// Cuts a closed path where it comes back to a place. `visited` is all `u32::MAX`, before and
/// after.
#[expect(clippy::cast_possible_truncation, reason = "fewer vertices than 2^32 fit in memory")]
fn split(
    path: &[u32],
    visited: &mut [u32],
    places: &[Coord<f64>],
    rings: &mut Vec<Vec<Coord<f64>>>,
) {
    let mut stack: Vec<u32> = Vec::with_capacity(path.len());
    let mut emit = |nodes: &[u32]| {
        if nodes.len() > 2 {
            rings.push(nodes.iter().map(|n| places[*n as usize]).collect());
        }
    };
    for node in path {
        let at = visited[*node as usize];
        if at != u32::MAX {
            let from = at as usize;
            emit(&stack[from..]);
            stack.drain(from + 1..).for_each(|n| visited[n as usize] = u32::MAX);
        } else {
            visited[*node as usize] = stack.len() as u32;
            stack.push(*node);
        }
    }
    emit(&stack);
    stack.iter().for_each(|n| visited[*n as usize] = u32::MAX);
}

/// A ring, open, from its least vertex on.
struct Ring {
    points: Vec<Coord<f64>>,
    area: f64,
    bounds: [f64; 4],
}

impl Ring {
    fn new(mut points: Vec<Coord<f64>>) -> Self {
        let least =
            (0..points.len()).min_by(|a, b| order(points[*a], points[*b])).unwrap_or_default();
        points.rotate_left(least);
        let area = area(&points);
        let mut b = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
        for c in &points {
            b = [b[0].min(c.x), b[1].min(c.y), b[2].max(c.x), b[3].max(c.y)];
        }
        Self { points, area, bounds: b }
    }

    fn closed(mut self) -> LineString<f64> {
        self.points.extend(self.points.first().copied());
        LineString(self.points)
    }

    /// Whether a hole lies in it; they may touch.
    fn holds(&self, hole: &Ring) -> bool {
        let (o, i) = (&self.bounds, &hole.bounds);
        if i[0] < o[0] || i[1] < o[1] || i[2] > o[2] || i[3] > o[3] {
            return false;
        }
        let edges = || {
            let next = self.points.iter().skip(1).chain(self.points.first());
            self.points.iter().copied().zip(next.copied())
        };
        let at = |p: Coord<f64>| super::predicates::place_among(p, edges());
        let told = hole.points.iter().map(|p| at(*p)).find(|p| *p != Place::Border);
        match told {
            Some(place) => place == Place::Inside,
            // All its vertices on the outline: a point inside the hole tells.
            None => inner_point(&hole.points).is_none_or(|p| at(p) == Place::Inside),
        }
    }
}

/// A point inside a ring: the middle of a side, moved in by less and less.
fn inner_point(points: &[Coord<f64>]) -> Option<Coord<f64>> {
    let closed: Vec<_> = points.iter().chain(points.first()).copied().collect();
    let sides = closed.windows(2).map(|w| (w[0], w[1]));
    for (a, b) in sides {
        let (mid, d) = ((a + b) / 2.0, b - a);
        for share in [0.1, 1e-3, 1e-6] {
            for sign in [share, -share] {
                let p = Coord { x: mid.x - d.y * sign, y: mid.y + d.x * sign };
                if place(p, &closed) == Place::Inside {
                    return Some(p);
                }
            }
        }
    }
    None
}

fn order(a: Coord<f64>, b: Coord<f64>) -> Ordering {
    a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y))
}

/// Signed area of an open ring, positive counter-clockwise.
fn area(points: &[Coord<f64>]) -> f64 {
    let Some(o) = points.first().copied() else { return 0.0 };
    let cross = |w: &[Coord<f64>]| {
        let (a, b) = (w[0] - o, w[1] - o);
        a.x * b.y - a.y * b.x
    };
    points.windows(2).map(cross).sum::<f64>() / 2.0
}

/// Gives each hole to the smallest outline that holds it.
fn nest(rings: Vec<Ring>) -> MultiPolygon<f64> {
    let rings = rings.into_iter().filter(|r| r.area != 0.0);
    let (mut shells, mut holes): (Vec<Ring>, Vec<Ring>) = rings.partition(|r| r.area > 0.0);
    let least = |r: &Ring| r.points.first().copied().unwrap_or_default();
    shells.sort_by(|a, b| order(least(a), least(b)).then(a.area.total_cmp(&b.area)));
    holes.sort_by(|a, b| order(least(a), least(b)).then(a.area.total_cmp(&b.area)));
    let mut inside: Vec<Vec<LineString<f64>>> = shells.iter().map(|_| Vec::new()).collect();
    for hole in holes {
        let held = match shells.len() {
            1 => Some(0),
            _ => (0..shells.len())
                .filter(|s| shells[*s].area > -hole.area && shells[*s].holds(&hole))
                .min_by(|a, b| shells[*a].area.total_cmp(&shells[*b].area)),
        };
        // A hole in nothing is none.
        if let Some(list) = held.and_then(|s| inside.get_mut(s)) {
            list.push(hole.closed());
        }
    }
    MultiPolygon(
        shells.into_iter().zip(inside).map(|(s, holes)| Polygon::new(s.closed(), holes)).collect(),
    )
}

/// Every edge of a polygon's rings, turned so that the inside is on the left; edges without
/// length are left out.
pub(super) fn edges_of(polygon: &Polygon<f64>, mut each: impl FnMut(Edge)) {
    let rings = std::iter::once(polygon.exterior()).chain(polygon.interiors());
    for (i, ring) in rings.enumerate() {
        let open = ring.0.split_last().map_or(&[][..], |(_, rest)| rest);
        let inward = (area(open) > 0.0) == (i == 0);
        for w in ring.0.windows(2).filter(|w| w[0] != w[1]) {
            each(if inward { [w[0], w[1]] } else { [w[1], w[0]] });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(points: &[(f64, f64)]) -> Vec<Edge> {
        let c: Vec<Coord<f64>> = points.iter().map(|p| Coord::from(*p)).collect();
        (0..c.len()).map(|i| [c[i], c[(i + 1) % c.len()]]).collect()
    }

    #[test]
    fn outlines_that_touch_at_a_point_are_two() {
        let a = ring(&[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]);
        let b = ring(&[(1.0, 1.0), (2.0, 1.0), (2.0, 2.0), (1.0, 2.0)]);
        let found = polygons(&[a, b].concat()).unwrap();
        assert_eq!(found.0.len(), 2);
    }

    #[test]
    fn a_hole_that_touches_its_outline_stays_a_hole() {
        let outer = ring(&[(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0)]);
        let hole = ring(&[(0.0, 0.0), (1.0, 2.0), (2.0, 1.0)]);
        let found = polygons(&[outer, hole].concat()).unwrap();
        assert_eq!((found.0.len(), found.0[0].interiors().len()), (1, 1));
        assert_eq!(found.0[0].exterior().0.len(), 5);
    }

    #[test]
    fn holes_find_the_smallest_outline_around_them() {
        let square =
            |x: f64, y: f64, s: f64| ring(&[(x, y), (x + s, y), (x + s, y + s), (x, y + s)]);
        let turned = |mut r: Vec<Edge>| {
            r.iter_mut().for_each(|e| e.swap(0, 1));
            r
        };
        // An island in a lake on an island, with a lake of its own.
        let all = [
            square(0.0, 0.0, 10.0),
            turned(square(1.0, 1.0, 8.0)),
            square(2.0, 2.0, 6.0),
            turned(square(3.0, 3.0, 4.0)),
        ];
        let forth = polygons(&all.concat()).unwrap();
        let back: Vec<Edge> = all.concat().into_iter().rev().collect();
        assert_eq!(forth, polygons(&back).unwrap());
        assert_eq!(forth.0.iter().map(|p| p.interiors().len()).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(forth.0[1].interiors()[0].0[0], Coord { x: 3.0, y: 3.0 });
    }

    #[test]
    fn what_does_not_close_is_no_polygon() {
        let mut edges = ring(&[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]);
        edges.pop();
        assert_eq!(polygons(&edges), Err(Open));
    }
}
