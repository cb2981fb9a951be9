//! All rings of a polygon or multipolygon, laid out for the checks that relate them.

use super::{Fault, Problem, contacts::Segments, rings_of};
use crate::geometry::predicates::{Contact, Place, contact, on_segment, place, side};
use geo_types::{Coord, Polygon};
use std::ops::Range;

/// Where a ring lies in [`Rings::points`], and what it is.
#[derive(Debug, Clone)]
struct Ring {
    /// Positions, the first repeated at the end; segment `i` goes from point `i` to `i + 1`.
    points: Range<usize>,
    polygon: usize,
    hole: bool,
    /// `[min x, min y, max x, max y]`.
    bounds: [f64; 4],
}

/// A place where two rings touch without a stretch in common.
#[derive(Debug, Clone, Copy)]
struct Touch {
    rings: [usize; 2],
    at: Coord<f64>,
}

/// The rings, repeated points left out.
#[derive(Debug)]
pub(super) struct Rings {
    points: Vec<Coord<f64>>,
    rings: Vec<Ring>,
}

impl Rings {
    /// Lays out the rings; a ring of fewer than three distinct points is an error. Coordinates
    /// must be finite.
    pub(super) fn new(polygons: &[Polygon<f64>]) -> Result<Self, Problem> {
        let total = polygons.iter().flat_map(rings_of).map(|r| r.0.len()).sum();
        let mut all = Self { points: Vec::with_capacity(total), rings: Vec::new() };
        for (polygon, p) in polygons.iter().enumerate() {
            for (i, ring) in rings_of(p).enumerate() {
                all.add(&ring.0, polygon, i > 0)?;
            }
        }
        Ok(all)
    }

    fn add(&mut self, ring: &[Coord<f64>], polygon: usize, hole: bool) -> Result<(), Problem> {
        let Some(&first) = ring.first() else { return Ok(()) };
        let start = self.points.len();
        let mut bounds = [first.x, first.y, first.x, first.y];
        for &c in ring {
            if self.points[start..].last() != Some(&c) {
                self.points.push(c);
                bounds[0] = bounds[0].min(c.x);
                bounds[1] = bounds[1].min(c.y);
                bounds[2] = bounds[2].max(c.x);
                bounds[3] = bounds[3].max(c.y);
            }
        }
        if self.points.last() != Some(&first) {
            self.points.push(first);
        }
        if self.points.len() - start < 4 {
            return Err(Problem::new(Fault::TooFewPoints, first));
        }
        self.rings.push(Ring { points: start..self.points.len(), polygon, hole, bounds });
        Ok(())
    }

    /// The checks, cheapest and most usual first.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let touches = self.contacts()?;
        self.crossings_at_touches(&touches)?;
        self.holes()?;
        self.connected(&touches)?;
        self.nested_polygons()
    }

    /// Looks at every pair of segments that come near each other.
    fn contacts(&self) -> Result<Vec<Touch>, Problem> {
        let mut segments = Segments::with_capacity(self.points.len());
        for (ring, r) in self.rings.iter().enumerate() {
            for i in r.points.start..r.points.end - 1 {
                segments.add(self.points[i], self.points[i + 1], i as u32, ring as u32);
            }
        }
        let mut touches = Vec::new();
        segments.each_pair(&mut |(i, ring_i), (j, ring_j)| {
            self.pair([i as usize, j as usize], [ring_i as usize, ring_j as usize], &mut touches)
        })?;
        Ok(touches)
    }

    fn pair(
        &self,
        at: [usize; 2],
        rings: [usize; 2],
        touches: &mut Vec<Touch>,
    ) -> Result<(), Problem> {
        let [(a, b), (c, d)] = at.map(|i| (self.points[i], self.points[i + 1]));
        if rings[0] == rings[1] {
            return self.pair_of_one_ring(at, rings[0], [a, b, c, d]);
        }
        let one_polygon = self.rings[rings[0]].polygon == self.rings[rings[1]].polygon;
        let fault = if one_polygon { Fault::RingsCross } else { Fault::PolygonsOverlap };
        match contact(a, b, c, d) {
            Contact::None => Ok(()),
            Contact::Cross | Contact::Overlap => Err(Problem::new(fault, meeting(a, b, c, d))),
            // A segment owns its start, not its end: each touch is seen once.
            Contact::Touch(p) if p == b || p == d => Ok(()),
            Contact::Touch(at) => {
                touches.push(Touch { rings, at });
                Ok(())
            }
        }
    }

    fn pair_of_one_ring(
        &self,
        [i, j]: [usize; 2],
        ring: usize,
        [a, b, c, d]: [Coord<f64>; 4],
    ) -> Result<(), Problem> {
        let Range { start, end } = self.rings[ring].points;
        let (i, j) = (i.min(j), i.max(j));
        let next = j == i + 1;
        let around = i == start && j == end - 2;
        if next || around {
            // Neighbours share a point; they must not run back over each other.
            let (before, joint, after) = if b == c { (a, b, d) } else { (c, d, b) };
            let back = (before.x - joint.x) * (after.x - joint.x)
                + (before.y - joint.y) * (after.y - joint.y)
                > 0.0;
            if back && side(before, joint, after) == 0 {
                return Err(Problem::new(Fault::SelfIntersection, joint));
            }
            return Ok(());
        }
        match contact(a, b, c, d) {
            Contact::None => Ok(()),
            _ => Err(Problem::new(Fault::SelfIntersection, meeting(a, b, c, d))),
        }
    }

    /// Rings that touch at a point may also cross there.
    fn crossings_at_touches(&self, touches: &[Touch]) -> Result<(), Problem> {
        for touch in touches {
            let [first, second] = touch.rings;
            let (Some((before, after)), Some((from, to))) =
                (self.around(first, touch.at), self.around(second, touch.at))
            else {
                continue;
            };
            if left(before, touch.at, after, from) != left(before, touch.at, after, to) {
                let one = self.rings[first].polygon == self.rings[second].polygon;
                let fault = if one { Fault::RingsCross } else { Fault::PolygonsOverlap };
                return Err(Problem::new(fault, touch.at));
            }
        }
        Ok(())
    }

    /// The points of a ring before and after a position on it.
    fn around(&self, ring: usize, at: Coord<f64>) -> Option<(Coord<f64>, Coord<f64>)> {
        let points = &self.points[self.rings[ring].points.clone()];
        let last = points.len() - 1;
        if let Some(i) = points[..last].iter().position(|p| *p == at) {
            return Some((points[if i == 0 { last - 1 } else { i - 1 }], points[i + 1]));
        }
        points.windows(2).find(|w| on_segment(w[0], w[1], at)).map(|w| (w[0], w[1]))
    }

    /// Every hole inside its outer ring and outside the other holes.
    fn holes(&self) -> Result<(), Problem> {
        let mut shell = 0;
        for (i, ring) in self.rings.iter().enumerate() {
            if !ring.hole {
                shell = i;
                continue;
            }
            if self.place_of(i, shell) == Place::Outside {
                return Err(Problem::new(Fault::HoleOutside, self.points[ring.points.start]));
            }
            for other in shell + 1..i {
                let nested = self.inside(i, other) || self.inside(other, i);
                if nested {
                    return Err(Problem::new(Fault::NestedHoles, self.points[ring.points.start]));
                }
            }
        }
        Ok(())
    }

    /// Whether a ring that does not cross another lies inside it.
    fn inside(&self, ring: usize, other: usize) -> bool {
        let (a, b) = (&self.rings[ring].bounds, &self.rings[other].bounds);
        let within = a[0] >= b[0] && a[1] >= b[1] && a[2] <= b[2] && a[3] <= b[3];
        within && self.place_of(ring, other) == Place::Inside
    }

    /// Where a ring lies with regard to another that it does not cross: told by its first point
    /// that is not on the other's line, else by the middles of its segments.
    fn place_of(&self, ring: usize, other: usize) -> Place {
        let points = &self.points[self.rings[ring].points.clone()];
        let middles = points.windows(2).map(|w| (w[0] + w[1]) / 2.0);
        points
            .iter()
            .copied()
            .chain(middles)
            .map(|p| self.place(p, other))
            .find(|place| *place != Place::Border)
            .unwrap_or(Place::Border)
    }

    fn place(&self, p: Coord<f64>, ring: usize) -> Place {
        place(p, &self.points[self.rings[ring].points.clone()])
    }

    /// The interior of a polygon falls apart when its rings and the points at which they touch
    /// make a cycle.
    fn connected(&self, touches: &[Touch]) -> Result<(), Problem> {
        if touches.is_empty() {
            return Ok(());
        }
        // Nodes: the rings, then the distinct touching points; links: a ring and a point on it.
        let mut places: Vec<Coord<f64>> = Vec::new();
        let mut links: Vec<(usize, usize)> = Vec::new();
        for t in touches {
            if self.rings[t.rings[0]].polygon != self.rings[t.rings[1]].polygon {
                continue;
            }
            let place = places.iter().position(|p| *p == t.at).unwrap_or_else(|| {
                places.push(t.at);
                places.len() - 1
            });
            links.extend(t.rings.map(|ring| (ring, place)));
        }
        links.sort_unstable();
        links.dedup();
        let mut leader: Vec<usize> = (0..self.rings.len() + places.len()).collect();
        let find = |leader: &mut Vec<usize>, mut i: usize| {
            while leader[i] != i {
                leader[i] = leader[leader[i]];
                i = leader[i];
            }
            i
        };
        for (ring, place) in links {
            let a = find(&mut leader, ring);
            let b = find(&mut leader, self.rings.len() + place);
            if a == b {
                return Err(Problem::new(Fault::Disconnected, places[place]));
            }
            leader[a] = b;
        }
        Ok(())
    }

    /// No polygon of a multipolygon inside another, except in its holes.
    fn nested_polygons(&self) -> Result<(), Problem> {
        let shells: Vec<usize> = (0..self.rings.len()).filter(|&i| !self.rings[i].hole).collect();
        for &inner in &shells {
            for &outer in &shells {
                if inner == outer || !self.inside(inner, outer) {
                    continue;
                }
                let mut holes = (outer + 1..self.rings.len()).take_while(|&i| self.rings[i].hole);
                if !holes.any(|hole| self.inside(inner, hole)) {
                    let at = self.points[self.rings[inner].points.start];
                    return Err(Problem::new(Fault::PolygonsOverlap, at));
                }
            }
        }
        Ok(())
    }
}

/// Whether the direction from `at` to `q` points to the left of the path `before → at → after`.
fn left(before: Coord<f64>, at: Coord<f64>, after: Coord<f64>, q: Coord<f64>) -> bool {
    let (first, second) = (side(before, at, q) > 0, side(at, after, q) > 0);
    if side(before, at, after) >= 0 { first && second } else { first || second }
}

/// About where two segments meet, for the message.
fn meeting(a: Coord<f64>, b: Coord<f64>, c: Coord<f64>, d: Coord<f64>) -> Coord<f64> {
    if let Contact::Touch(p) = contact(a, b, c, d) {
        return p;
    }
    let (r, s) = (b - a, d - c);
    let cross = r.x * s.y - r.y * s.x;
    let t = ((c.x - a.x) * s.y - (c.y - a.y) * s.x) / cross;
    if t.is_finite() {
        return a + r * t.clamp(0.0, 1.0);
    }
    // A stretch in common: one of the four ends lies in it.
    [c, d].into_iter().find(|p| on_segment(a, b, *p)).unwrap_or(a)
}
