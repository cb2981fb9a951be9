//! Validity in the sense of OGC simple features (06-103r4 §6.1), and what can be done about its
//! lack. Decisions are exact: they rest on robust orientation predicates.
//!
//! - [`check`] says whether a geometry is valid, and what is wrong where.
//! - [`repair`] makes a valid one of it when that changes next to nothing.
//! - [`normalise`] orients rings as RFC 7946 asks and drops empty parts.

mod contacts;
mod repair;
mod rings;

#[cfg(test)]
mod tests;

pub use repair::{is_empty, normalise, repair};

use crate::{model::Text, text};
use geo_types::{Coord, Geometry, LineString, MultiPolygon, Polygon};
use std::fmt;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A coordinate is infinite or not a number.
    NotFinite,
    /// A coordinate is outside ±180° or ±90°.
    OutOfRange,
    /// A line without two distinct points, or a ring without three.
    TooFewPoints,
    /// A ring meets itself.
    SelfIntersection,
    /// Two rings of a polygon cross or share a stretch.
    RingsCross,
    /// A hole lies outside its outer ring.
    HoleOutside,
    /// A hole lies in another.
    NestedHoles,
    /// Rings touch so that the interior falls apart.
    Disconnected,
    /// Two polygons of a multipolygon overlap or share a stretch of border.
    PolygonsOverlap,
}

/// What is wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// What.
    pub fault: Fault,
    /// A position at which it shows.
    pub at: Coord<f64>,
}

impl Problem {
    fn new(fault: Fault, at: Coord<f64>) -> Self {
        Self { fault, at }
    }

    /// The sentence for people.
    pub fn text(&self) -> Text {
        let (fr, en) = match self.fault {
            Fault::NotFinite => ("coordonnée non numérique", "coordinate that is not a number"),
            Fault::OutOfRange => {
                ("coordonnée hors de ±180° ou ±90°", "coordinate outside ±180° or ±90°")
            }
            Fault::TooFewPoints => ("trop peu de points distincts", "too few distinct points"),
            Fault::SelfIntersection => ("contour qui se recoupe", "ring that meets itself"),
            Fault::RingsCross => ("contours qui se croisent", "rings that cross"),
            Fault::HoleOutside => ("trou hors de son contour", "hole outside its outer ring"),
            Fault::NestedHoles => ("trou dans un trou", "hole inside a hole"),
            Fault::Disconnected => ("intérieur coupé en morceaux", "disconnected interior"),
            Fault::PolygonsOverlap => ("polygones qui se chevauchent", "polygons that overlap"),
        };
        let (x, y) = (self.at.x, self.at.y);
        text!("{fr} en ({x}, {y})", "{en} at ({x}, {y})")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text().en)
    }
}

impl std::error::Error for Problem {}

/// Checks a geometry in degrees. Empty geometries and empty parts are valid; repeated points are
/// (as with GEOS) of no importance; lines may cross themselves.
pub fn check(geometry: &Geometry<f64>) -> Result<(), Problem> {
    match geometry {
        Geometry::Point(p) => range(&[p.0]),
        Geometry::MultiPoint(m) => m.0.iter().try_for_each(|p| range(&[p.0])),
        Geometry::Line(l) => line(&[l.start, l.end]),
        Geometry::LineString(l) => line(&l.0),
        Geometry::MultiLineString(m) => m.0.iter().try_for_each(|l| line(&l.0)),
        Geometry::Polygon(p) => polygons(std::slice::from_ref(p)),
        Geometry::MultiPolygon(m) => polygons(&m.0),
        Geometry::Rect(r) => polygons(&[r.to_polygon()]),
        Geometry::Triangle(t) => polygons(&[t.to_polygon()]),
        Geometry::GeometryCollection(c) => c.0.iter().try_for_each(check),
    }
}

/// Checks polygons in any plane: as [`check`], but coordinates need only be finite.
pub fn check_planar(shape: &MultiPolygon<f64>) -> Result<(), Problem> {
    let mut coords = shape.0.iter().flat_map(rings_of).flat_map(|r| &r.0);
    match coords.find(|c| !(c.x.is_finite() && c.y.is_finite())) {
        Some(c) => Err(Problem::new(Fault::NotFinite, *c)),
        None => rings::Rings::new(&shape.0)?.check(),
    }
}

fn range(coords: &[Coord<f64>]) -> Result<(), Problem> {
    let inside = |c: &Coord<f64>| c.x.abs() <= 180.0 && c.y.abs() <= 90.0;
    match coords.iter().find(|c| !inside(c)) {
        None => Ok(()),
        Some(c) if c.x.is_finite() && c.y.is_finite() => Err(Problem::new(Fault::OutOfRange, *c)),
        Some(c) => Err(Problem::new(Fault::NotFinite, *c)),
    }
}

fn line(coords: &[Coord<f64>]) -> Result<(), Problem> {
    range(coords)?;
    match coords.first() {
        Some(first) if coords.iter().all(|c| c == first) => {
            Err(Problem::new(Fault::TooFewPoints, *first))
        }
        _ => Ok(()),
    }
}

fn polygons(polygons: &[Polygon<f64>]) -> Result<(), Problem> {
    for ring in polygons.iter().flat_map(rings_of) {
        range(&ring.0)?;
    }
    rings::Rings::new(polygons)?.check()
}

/// The outer ring, then the holes.
fn rings_of(polygon: &Polygon<f64>) -> impl Iterator<Item = &LineString<f64>> {
    std::iter::once(polygon.exterior()).chain(polygon.interiors())
}
