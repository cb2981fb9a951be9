//! The union of polygons that share their borders: communes into an EPCI, a département, a
//! région.
//!
//! In a coverage two neighbours have the very vertices of their border in common, in opposite
//! directions: those edges cancel, and what is left is the outline, without a coordinate moved.
//! Where borders were drawn apart, they are cut where they cross and what is covered twice counts
//! once; should that fail, an overlay of another make has the last word. The result says so.

use super::{
    area,
    clip::nodes::node_all,
    faces::{self, Edge},
    validity,
};
use geo::algorithm::bool_ops::unary_union;
use geo_types::{Geometry, LineString, MultiPolygon, Polygon};
use rustc_hash::FxHashMap;

/// Below this share of a circle's area for its length, a hole is a gap between two borders and
/// no enclave.
const THIN: f64 = 0.01;

/// A union, and what was found on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Dissolved {
    /// The union: valid, in an order that does not depend on that of the input.
    pub shape: MultiPolygon<f64>,
    /// Thin holes left between borders that should run together.
    pub gaps: usize,
    /// Whether borders that should run together were drawn apart, and had to be cut.
    pub apart: bool,
}

/// The union of valid polygons; other geometries count for their polygons, `None` when there are
/// none.
///
/// # Errors
/// A [`validity::Problem`] when neither way gives a valid union, which valid input does not cause.
pub fn dissolve<'a>(
    members: impl IntoIterator<Item = &'a Geometry<f64>>,
) -> Result<Option<Dissolved>, validity::Problem> {
    let mut polygons = Vec::new();
    members.into_iter().for_each(|g| gather(g, &mut polygons));
    if polygons.is_empty() {
        return Ok(None);
    }
    let mut edges: Vec<Edge> = Vec::new();
    polygons.iter().for_each(|p| faces::edges_of(p, |e| edges.push(e)));
    let left = outline(&edges);
    let valid = |shape: &MultiPolygon<f64>| validity::check_planar(shape).is_ok();
    let exact = faces::polygons(&left).ok().filter(valid);
    let (shape, drawn_apart) = match exact.map(|shape| (shape, false)) {
        Some(exact) => exact,
        None => match apart(&left).filter(valid) {
            Some(shape) => (shape, true),
            None => (overlay(&polygons)?, true),
        },
    };
    let gaps = shape.0.iter().flat_map(Polygon::interiors).filter(|ring| is_thin(ring)).count();
    Ok(Some(Dissolved { shape, gaps, apart: drawn_apart }))
}

/// The union of polygons that are valid but for what generalising them did: no more valid than
/// they were.
pub fn roughly<'a>(members: impl IntoIterator<Item = &'a Geometry<f64>>) -> MultiPolygon<f64> {
    let mut polygons = Vec::new();
    members.into_iter().for_each(|g| gather(g, &mut polygons));
    let mut edges: Vec<Edge> = Vec::new();
    polygons.iter().for_each(|p| faces::edges_of(p, |e| edges.push(e)));
    let shape = faces::united(&outline(&edges)).ok();
    shape.unwrap_or_else(|| unary_union(polygons.iter().copied()))
}

fn gather<'a>(geometry: &'a Geometry<f64>, polygons: &mut Vec<&'a Polygon<f64>>) {
    match geometry {
        Geometry::Polygon(p) if !p.exterior().0.is_empty() => polygons.push(p),
        Geometry::MultiPolygon(m) => {
            polygons.extend(m.0.iter().filter(|p| !p.exterior().0.is_empty()));
        }
        Geometry::GeometryCollection(c) => c.0.iter().for_each(|g| gather(g, polygons)),
        _ => {}
    }
}

/// The union where borders that should run together were drawn apart: what is left of the edges
/// is cut where they cross, and what is covered twice is taken once. No vertex moves.
fn apart(left: &[Edge]) -> Option<MultiPolygon<f64>> {
    let size = left.iter().flatten().fold(0.0f64, |m, c| m.max(c.x.abs()).max(c.y.abs()));
    let cut = outline(&node_all(left, size * 1e-13));
    faces::united(&cut).ok()
}

/// The edges that no other cancels, as often as that is so.
pub(super) fn outline(edges: &[Edge]) -> Vec<Edge> {
    let name = |e: &Edge| {
        let (a, b) = (faces::key(e[0]), faces::key(e[1]));
        if a <= b { ((a, b), 1) } else { ((b, a), -1) }
    };
    let mut net: FxHashMap<([u64; 2], [u64; 2]), i32> = FxHashMap::default();
    net.reserve(edges.len());
    for e in edges {
        let (name, way) = name(e);
        *net.entry(name).or_default() += way;
    }
    let mut left = Vec::new();
    for e in edges {
        let (name, way) = name(e);
        // Of an edge there both ways and once more, the first of the right way is kept.
        if let Some(n) = net.get_mut(&name).filter(|n| **n * way > 0) {
            *n -= way;
            left.push(*e);
        }
    }
    left
}

/// The union by a true overlay.
fn overlay(polygons: &[&Polygon<f64>]) -> Result<MultiPolygon<f64>, validity::Problem> {
    settle(unary_union(polygons.iter().copied()))
}

/// The result of an overlay with its rings as cancelling gives them: valid, and in an order of
/// their own.
pub(super) fn settle(shape: MultiPolygon<f64>) -> Result<MultiPolygon<f64>, validity::Problem> {
    let mut edges = Vec::new();
    shape.0.iter().for_each(|p| faces::edges_of(p, |e| edges.push(e)));
    let again = faces::polygons(&outline(&edges)).ok();
    match again.filter(|shape| validity::check_planar(shape).is_ok()) {
        Some(shape) => Ok(shape),
        None => validity::check_planar(&shape).map(|()| shape),
    }
}

fn is_thin(ring: &LineString<f64>) -> bool {
    let size = area::polygon_m2(&Polygon::new(ring.clone(), Vec::new()));
    let length = area::length_m(&ring.clone().into());
    4.0 * std::f64::consts::PI * size < THIN * length * length
}

#[cfg(test)]
mod tests {
    use super::*;
    use geo::Area;

    fn polygon(points: &[(f64, f64)]) -> Geometry<f64> {
        Polygon::new(LineString::from(points.to_vec()), vec![]).into()
    }

    #[test]
    fn a_coverage_keeps_its_enclaves_and_islands() {
        // A ring of four squares around a fifth that is not of it, and an island.
        let square = |x: f64, y: f64| {
            polygon(&[(x, y), (x + 1.0, y), (x + 1.0, y + 1.0), (x, y + 1.0), (x, y)])
        };
        let mut around: Vec<_> =
            (0..9).map(|i| square(f64::from(i % 3), f64::from(i / 3))).collect();
        around.remove(4);
        around.push(square(7.0, 7.0));
        let union = dissolve(&around).unwrap().unwrap();
        assert!(!union.apart && union.gaps == 0);
        assert_eq!(union.shape.0.len(), 2);
        assert_eq!(union.shape.0[0].interiors().len(), 1);
        assert_eq!(union.shape.unsigned_area(), 9.0);
        around.reverse();
        assert_eq!(dissolve(&around).unwrap().unwrap(), union);
        assert_eq!(dissolve(&[Geometry::Point((1.0, 1.0).into())]).unwrap(), None);
    }

    /// The demo's communes were generalised so that some borders no longer run together.
    #[test]
    fn every_commune_of_the_demo_is_inside_of_its_departement_as_it_is() {
        use crate::geometry::{
            clip::{Clipper, Cut, Space},
            real,
        };
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/demo/data/communes.geojson");
        let features = real::parse(&std::fs::read(path).unwrap());
        for dep in ["02", "59", "60", "62", "80"] {
            let own = features.iter().filter(|f| f.text("code").starts_with(dep));
            let own: Vec<Geometry<f64>> = own.map(|f| f.geometry()).collect();
            let union = dissolve(&own).unwrap().unwrap();
            let mut edges = Vec::new();
            let mut polygons = Vec::new();
            own.iter().for_each(|g| gather(g, &mut polygons));
            polygons.iter().for_each(|p| faces::edges_of(p, |e| edges.push(e)));
            let way = apart(&outline(&edges)).map(|shape| validity::check_planar(&shape));
            assert_eq!(way, Some(Ok(())), "{dep}: no overlay is needed");
            let clipper = Clipper::new(union.shape, Space::Degrees);
            assert!(own.len() > 500);
            for g in &own {
                assert_eq!(clipper.cut(g), Ok(Cut::Inside), "{dep}");
            }
        }
    }

    #[test]
    fn borders_drawn_apart_are_united_without_moving_a_vertex() {
        let left = polygon(&[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0)]);
        // The neighbour has three vertices more on the border, one of them a little to a side.
        for (x, gaps) in [(0.999, 0), (1.001, 1)] {
            let right = polygon(&[
                (1.0, 0.0),
                (2.0, 0.0),
                (2.0, 1.0),
                (1.0, 1.0),
                (1.0, 0.75),
                (x, 0.5),
                (1.0, 0.25),
                (1.0, 0.0),
            ]);
            let union = dissolve(&[left.clone(), right]).unwrap().unwrap();
            assert_eq!((union.apart, union.gaps, union.shape.0.len()), (true, gaps, 1), "{x}");
            let gap = if gaps == 1 { 0.000_25 } else { 0.0 };
            assert!((union.shape.unsigned_area() - 2.0 + gap).abs() < 1e-12);
            let outline = [(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (2.0, 1.0), (1.0, 1.0), (0.0, 1.0)];
            let outline: Vec<_> = outline.into_iter().map(geo_types::Coord::from).collect();
            assert_eq!(union.shape.0[0].exterior().0[..6], outline);
        }
        // Two that cross each other like a plus sign.
        let across = polygon(&[(-1.0, 0.25), (3.0, 0.25), (3.0, 0.75), (-1.0, 0.75), (-1.0, 0.25)]);
        let union = dissolve(&[left, across]).unwrap().unwrap();
        assert!((union.shape.unsigned_area() - 2.5).abs() < 1e-12 && union.apart);
    }
}
