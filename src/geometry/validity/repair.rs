//! Repairs that change next to nothing, and the normal form.

use super::{check, rings_of};
use geo::{
    Area, BooleanOps, BoundingRect,
    algorithm::bool_ops::{FillRule, OpType, unary_union},
};
use geo_types::{
    Coord, Geometry, GeometryCollection, LineString, MultiLineString, MultiPolygon, Polygon,
};

/// How much of its area a polygon may gain or lose by a repair.
const TOLERATED: f64 = 0.01;

/// Degrees below which a ring encloses nothing: a ten-thousandth of a millimetre. Those who rebuild
/// it count in fractions of its extent, which must be numbers.
const LEAST: f64 = 1e-12;

/// Makes a valid geometry, in normal form, of one that is not; gives back a valid one in normal
/// form unchanged otherwise.
///
/// - Repeated points, empty parts, lines without length and holes without area are dropped.
/// - A polygon whose rings cross is rebuilt: each ring by the even-odd rule, holes taken off;
///   polygons that overlap are united. The result is taken when its area is within 1 % of the area that the rings enclose
///   by their own orientation (outer ring less holes).
///
/// `None`: it cannot be done honestly. That is so for a coordinate that is not a number or is
/// out of range, for a geometry that loses its dimension, for a part of a collection that cannot
/// be repaired, and for a bow-tie or another figure whose loops cancel out: the area that such a
/// ring encloses has no one meaning, so a rebuilt one cannot be compared with it.
pub fn repair(mut geometry: Geometry<f64>) -> Option<Geometry<f64>> {
    clean(&mut geometry)?;
    normalise(&mut geometry);
    if check(&geometry).is_ok() {
        return Some(geometry);
    }
    let mut rebuilt = match geometry {
        Geometry::Polygon(p) => rebuild(vec![p])?,
        Geometry::MultiPolygon(m) => rebuild(m.0)?,
        Geometry::GeometryCollection(c) => {
            let parts: Option<Vec<_>> = c.0.into_iter().map(repair).collect();
            Geometry::GeometryCollection(GeometryCollection(parts?))
        }
        _ => return None,
    };
    normalise(&mut rebuilt);
    check(&rebuilt).is_ok().then_some(rebuilt)
}

/// Drops what carries nothing; `None` when nothing is left, or when a coordinate is impossible.
fn clean(geometry: &mut Geometry<f64>) -> Option<()> {
    if let Geometry::Rect(r) = geometry {
        *geometry = r.to_polygon().into();
    } else if let Geometry::Triangle(t) = geometry {
        *geometry = t.to_polygon().into();
    }
    match geometry {
        Geometry::Point(p) => possible(&[p.0]),
        Geometry::MultiPoint(m) => m.0.iter().try_for_each(|p| possible(&[p.0])),
        Geometry::Line(l) => possible(&[l.start, l.end]),
        Geometry::LineString(l) => {
            possible(&l.0)?;
            l.0.dedup();
            (l.0.len() >= 2).then_some(())
        }
        Geometry::MultiLineString(m) => {
            m.0.iter().try_for_each(|l| possible(&l.0))?;
            m.0.iter_mut().for_each(|l| l.0.dedup());
            m.0.retain(|l| l.0.len() >= 2);
            (!m.0.is_empty()).then_some(())
        }
        Geometry::Polygon(p) => {
            *p = clean_polygon(p)?;
            (!p.exterior().0.is_empty()).then_some(())
        }
        Geometry::MultiPolygon(m) => {
            let cleaned: Option<Vec<_>> = m.0.iter().map(clean_polygon).collect();
            m.0 = cleaned?;
            m.0.retain(|p| !p.exterior().0.is_empty());
            (!m.0.is_empty()).then_some(())
        }
        Geometry::GeometryCollection(c) => c.0.iter_mut().try_for_each(clean),
        Geometry::Rect(_) | Geometry::Triangle(_) => Some(()),
    }
}

fn possible(coords: &[Coord<f64>]) -> Option<()> {
    super::range(coords).ok()
}

/// A polygon without repeated points and rings of fewer than three of them; empty when the
/// outer ring goes.
fn clean_polygon(p: &Polygon<f64>) -> Option<Polygon<f64>> {
    rings_of(p).try_for_each(|r| possible(&r.0))?;
    let clean = |ring: &LineString<f64>| {
        let mut points = ring.0.clone();
        points.dedup();
        if points.first() != points.last() {
            points.extend(points.first().copied());
        }
        if points.len() < 4 { LineString(Vec::new()) } else { LineString(points) }
    };
    let shell = clean(p.exterior());
    if shell.0.is_empty() {
        return Some(Polygon::new(shell, Vec::new()));
    }
    let holes = p.interiors().iter().map(clean).filter(|r| !r.0.is_empty()).collect();
    Some(Polygon::new(shell, holes))
}

fn rebuild(polygons: Vec<Polygon<f64>>) -> Option<Geometry<f64>> {
    let single = polygons.len() == 1;
    // By their orientation: loops that turn the other way count against, as they should when
    // the question is whether the ring means what the even-odd rule makes of it.
    let meant: f64 = polygons
        .iter()
        .map(|p| ring_area(p.exterior()) - p.interiors().iter().map(ring_area).sum::<f64>())
        .sum();
    let mut parts: Vec<MultiPolygon<f64>> = polygons.iter().map(rebuild_one).collect();
    let united = match parts.len() {
        1 => parts.pop()?,
        _ => unary_union(&parts),
    };
    let area = united.unsigned_area();
    if !(meant > 0.0 && (area - meant).abs() <= TOLERATED * meant) {
        return None;
    }
    let mut united = united.0;
    if single && united.len() == 1 {
        return united.pop().map(Geometry::Polygon);
    }
    Some(Geometry::MultiPolygon(MultiPolygon(united)))
}

/// The outer ring and each hole by the even-odd rule, then what the holes leave: the part of a
/// hole beyond the outer ring does not count as ground.
fn rebuild_one(polygon: &Polygon<f64>) -> MultiPolygon<f64> {
    let nothing = MultiPolygon::<f64>(Vec::new());
    let even_odd = |ring: &LineString<f64>| {
        if !encloses(ring) {
            return nothing.clone();
        }
        Polygon::new(ring.clone(), Vec::new()).boolean_op_with_fill_rule(
            &nothing,
            OpType::Union,
            FillRule::EvenOdd,
        )
    };
    let shell = even_odd(polygon.exterior());
    if polygon.interiors().is_empty() {
        return shell;
    }
    let holes: Vec<MultiPolygon<f64>> = polygon.interiors().iter().map(even_odd).collect();
    shell.difference(&unary_union(&holes))
}

/// Whether a ring is large enough to enclose anything.
fn encloses(ring: &LineString<f64>) -> bool {
    ring.bounding_rect().is_some_and(|r| r.width().max(r.height()) >= LEAST)
}

/// Area by the shoelace formula, unsigned, relative to the first point (no cancellation).
fn ring_area(ring: &LineString<f64>) -> f64 {
    signed_area(&ring.0).abs()
}

fn signed_area(points: &[Coord<f64>]) -> f64 {
    let Some(&o) = points.first() else { return 0.0 };
    let cross = |w: &[Coord<f64>]| {
        let (a, b) = (w[0] - o, w[1] - o);
        a.x * b.y - a.y * b.x
    };
    points.windows(2).map(cross).sum::<f64>() / 2.0
}

/// Turns outer rings counter-clockwise and holes clockwise (RFC 7946 §3.1.6), and drops empty
/// lines, polygons and rings from multi-geometries and collections.
pub fn normalise(geometry: &mut Geometry<f64>) {
    match geometry {
        Geometry::Polygon(p) => orient(p),
        Geometry::MultiPolygon(m) => {
            m.0.retain(|p| !p.exterior().0.is_empty());
            m.0.iter_mut().for_each(orient);
        }
        Geometry::MultiLineString(MultiLineString(lines)) => lines.retain(|l| !l.0.is_empty()),
        Geometry::GeometryCollection(c) => {
            c.0.iter_mut().for_each(normalise);
            c.0.retain(|g| !is_empty(g));
        }
        _ => {}
    }
}

/// Whether a geometry has no coordinate.
pub fn is_empty(geometry: &Geometry<f64>) -> bool {
    match geometry {
        Geometry::LineString(l) => l.0.is_empty(),
        Geometry::Polygon(p) => p.exterior().0.is_empty(),
        Geometry::MultiPoint(m) => m.0.is_empty(),
        Geometry::MultiLineString(m) => m.0.iter().all(|l| l.0.is_empty()),
        Geometry::MultiPolygon(m) => m.0.iter().all(|p| p.exterior().0.is_empty()),
        Geometry::GeometryCollection(c) => c.0.iter().all(is_empty),
        _ => false,
    }
}

fn orient(p: &mut Polygon<f64>) {
    let turned = |ring: &LineString<f64>, sign: f64| signed_area(&ring.0) * sign < 0.0;
    if turned(p.exterior(), 1.0) {
        p.exterior_mut(|r| r.0.reverse());
    }
    let empty = p.interiors().iter().any(|r| r.0.is_empty());
    if empty || p.interiors().iter().any(|r| turned(r, -1.0)) {
        p.interiors_mut(|holes| {
            holes.iter_mut().filter(|r| turned(r, -1.0)).for_each(|r| r.0.reverse());
        });
    }
    if empty {
        let none = LineString(Vec::new());
        let (shell, mut holes) = std::mem::replace(p, Polygon::new(none, Vec::new())).into_inner();
        holes.retain(|r| !r.0.is_empty());
        *p = Polygon::new(shell, holes);
    }
}
