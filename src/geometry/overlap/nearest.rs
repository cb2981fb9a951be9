//! The polygon nearest to what lies outside all of them.

use super::{BorderIndex, Parts};
use geo_types::{Coord, Geometry, LineString, Polygon};

/// Metres in a degree of latitude, to a thousandth: what a distance configured by hand needs.
const METRES_PER_DEGREE: f64 = 111_195.0;

impl BorderIndex {
    /// The payload of the polygon nearest to a feature, if one is within `most` metres (the
    /// lowest of equals). Distances run between the feature's vertices and the borders, on a
    /// sphere flattened around each vertex.
    pub fn nearest(&self, geometry: &Geometry<f64>, most: f64) -> Option<u32> {
        let mut parts = Parts::default();
        parts.add(geometry);
        let lines = parts.lines.iter().flat_map(|line| line.0.iter());
        let rings = parts.polygons.iter().flat_map(|p| p.exterior().0.iter());
        let vertices = parts.points.iter().chain(lines).chain(rings);
        let mut best: Option<(f64, u32)> = None;
        for at in vertices.filter(|c| c.x.is_finite() && c.y.is_finite()) {
            let reach = best.map_or(most, |(distance, _)| distance);
            let closer = self.nearest_to(*at, reach);
            best = match (best, closer) {
                (Some(b), Some(c)) if (b.0, b.1) <= (c.0, c.1) => Some(b),
                (b, c) => c.or(b),
            };
        }
        best.map(|(_, payload)| payload)
    }

    fn nearest_to(&self, at: Coord<f64>, most: f64) -> Option<(f64, u32)> {
        let tall = most / METRES_PER_DEGREE;
        // Near the poles a degree of longitude vanishes: the box is then the whole circle.
        let shrink = at.y.to_radians().cos().max(1e-6);
        let wide = (tall / shrink).min(360.0);
        let near = self.near([at.x - wide, at.y - tall, at.x + wide, at.y + tall]);
        let mut best: Option<(f64, u32)> = None;
        for (payload, polygon) in near.into_iter().filter_map(|i| self.polygons.get(i as usize)) {
            let distance = match polygon.contains_point(at) {
                true => 0.0,
                false => distance(at, shrink, &polygon.shape().0),
            };
            let found = (distance, *payload);
            if distance <= most && best.is_none_or(|best| found < best) {
                best = Some(found);
            }
        }
        best
    }
}

/// From a place to the nearest border of polygons, m.
fn distance(at: Coord<f64>, shrink: f64, polygons: &[Polygon<f64>]) -> f64 {
    let flat = |c: &Coord<f64>| Coord {
        x: (c.x - at.x) * shrink * METRES_PER_DEGREE,
        y: (c.y - at.y) * METRES_PER_DEGREE,
    };
    let rings = polygons.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()));
    let along = |ring: &LineString<f64>| {
        let steps = ring.0.windows(2);
        let to = |pair: &[Coord<f64>]| match pair {
            [a, b] => from_origin(flat(a), flat(b)),
            _ => f64::INFINITY,
        };
        steps.map(to).fold(f64::INFINITY, f64::min)
    };
    rings.map(along).fold(f64::INFINITY, f64::min)
}

/// From the origin to a segment.
fn from_origin(a: Coord<f64>, b: Coord<f64>) -> f64 {
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let squared = dx * dx + dy * dy;
    let along = if squared > 0.0 { -(a.x * dx + a.y * dy) / squared } else { 0.0 };
    let along = along.clamp(0.0, 1.0);
    (a.x + along * dx).hypot(a.y + along * dy)
}

impl BorderIndex {
    /// Whether a place is within `most` metres of the polygons with this payload.
    pub fn is_near(&self, payload: u32, at: Coord<f64>, most: f64) -> bool {
        if !(at.x.is_finite() && at.y.is_finite()) {
            return false;
        }
        let shrink = at.y.to_radians().cos().max(1e-6);
        let tall = most / METRES_PER_DEGREE;
        let wide = (tall / shrink).min(360.0);
        let near = self.near([at.x - wide, at.y - tall, at.x + wide, at.y + tall]);
        let own = near.into_iter().filter_map(|i| self.polygons.get(i as usize));
        own.filter(|(p, _)| *p == payload).any(|(_, polygon)| {
            polygon.contains_point(at) || distance(at, shrink, &polygon.shape().0) <= most
        })
    }

    /// Whether a geometry is the outline of the polygons with this payload, but for how finely the
    /// two are drawn: area and box differ by no more than `slack` (a share).
    pub fn is_outline(&self, payload: u32, geometry: &Geometry<f64>, slack: f64) -> bool {
        let area = super::area::area_m2(geometry);
        let mut parts = Parts::default();
        parts.add(geometry);
        let mut own = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
        for ring in parts.polygons.iter().map(|p| p.exterior()) {
            let [w, s, e, n] = super::bounds(&ring.0);
            own = [own[0].min(w), own[1].min(s), own[2].max(e), own[3].max(n)];
        }
        let side = (own[2] - own[0]).max(own[3] - own[1]);
        let near = self.near(own).into_iter().filter_map(|i| self.polygons.get(i as usize));
        near.filter(|(p, _)| *p == payload).any(|(_, polygon)| {
            let (theirs, bounds) = (polygon.area_m2(), polygon.bounds());
            let alike = own.iter().zip(bounds).all(|(a, b)| (a - b).abs() <= slack * side);
            alike && (area - theirs).abs() <= slack * area.max(theirs)
        })
    }
}
