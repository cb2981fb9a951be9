//! Whether a geometry of a filter is valid (OGC 06-103r4, 6.1.11 and 6.1.14), by the rules of
//! `geo`, which holds every side against every other one. Here those alone are compared whose
//! boxes meet, and only so many: what asks is a thread that answers others.

use crate::{
    error::{Error, Result},
    query::cql2::MOST_PAIRS,
    text,
};
use geo::{
    BoundingRect, Intersects, PreparedGeometry, Relate, Validation, coordinate_position::CoordPos,
    dimensions::Dimensions,
};
use geo_types::{Geometry, LineString, Polygon, Rect};

/// Most pairs of sides of a ring that are compared; a border of ten thousand sides has some
/// thirty thousand.
const MOST_SIDES: usize = 200_000;

/// Most boxes of sides or parts that are held against each other to find those pairs, in a whole
/// geometry.
const MOST_LOOKS: usize = 10_000_000;

/// Whether a geometry is valid.
///
/// # Errors
/// [`Error::Invalid`] when too much of it would have to be compared with each other.
pub(super) fn is_valid(geometry: &Geometry<f64>) -> Result<bool> {
    all_valid(geometry, &mut Looks(0))
}

/// How many boxes were held against each other.
struct Looks(usize);

fn all_valid(geometry: &Geometry<f64>, looks: &mut Looks) -> Result<bool> {
    let parts = match geometry {
        Geometry::GeometryCollection(several) => {
            for one in several {
                if !all_valid(one, looks)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        Geometry::Polygon(polygon) => std::slice::from_ref(polygon),
        Geometry::MultiPolygon(several) => several.0.as_slice(),
        other => return Ok(other.is_valid()),
    };
    for part in parts {
        if !is_polygon(part, looks)? {
            return Ok(false);
        }
    }
    apart(parts, looks)
}

fn is_polygon(polygon: &Polygon<f64>, looks: &mut Looks) -> Result<bool> {
    if polygon.exterior().0.is_empty() {
        return Ok(true);
    }
    let alone = |ring: &LineString<f64>| Polygon::new(ring.clone(), Vec::new());
    let outside = alone(polygon.exterior());
    let holes = polygon.interiors().iter().filter(|hole| !hole.0.is_empty());
    let holes: Vec<_> = holes.map(alone).collect();
    for ring in holes.iter().chain([&outside]) {
        if !is_ring(ring.exterior(), looks)? {
            return Ok(false);
        }
    }
    let outside = PreparedGeometry::from(&outside);
    let inside = |hole: &Polygon<f64>| {
        let matrix = outside.relate(hole);
        matrix.is_contains()
            && matrix.get(CoordPos::OnBoundary, CoordPos::OnBoundary) != Dimensions::OneDimensional
    };
    Ok(holes.iter().all(inside) && apart(&holes, looks)?)
}

/// Whether a ring has at least three corners and does not cross itself.
fn is_ring(ring: &LineString<f64>, looks: &mut Looks) -> Result<bool> {
    let mut corners = ring.0.clone();
    corners.dedup();
    if corners.len() < 4 || ring.0.iter().any(|c| !(c.x.is_finite() && c.y.is_finite())) {
        return Ok(false);
    }
    let sides: Vec<_> = ring.lines().collect();
    let boxes = sides.iter().map(|side| Some(side.bounding_rect())).collect();
    let crossed = |(i, j): &(usize, usize)| {
        let (Some(one), Some(other)) = (sides.get(*i), sides.get(*j)) else { return false };
        one.start != other.end && one.end != other.start && one.intersects(other)
    };
    Ok(!meeting(boxes, MOST_SIDES, looks)?.iter().any(crossed))
}

/// Whether polygons share nothing but points.
fn apart(polygons: &[Polygon<f64>], looks: &mut Looks) -> Result<bool> {
    let boxes = polygons.iter().map(BoundingRect::bounding_rect).collect();
    let apart = |(i, j): &(usize, usize)| {
        let (Some(one), Some(other)) = (polygons.get(*i), polygons.get(*j)) else { return true };
        let matrix = one.relate(other);
        let shared = |place| matrix.get(place, place);
        shared(CoordPos::Inside) != Dimensions::TwoDimensional
            && shared(CoordPos::OnBoundary) != Dimensions::OneDimensional
    };
    Ok(meeting(boxes, MOST_PAIRS, looks)?.iter().all(apart))
}

/// The pairs of which the boxes meet, `most` of them at most.
fn meeting(
    boxes: Vec<Option<Rect<f64>>>,
    most: usize,
    looks: &mut Looks,
) -> Result<Vec<(usize, usize)>> {
    let mut order: Vec<(usize, Rect<f64>)> =
        boxes.into_iter().enumerate().filter_map(|(i, b)| Some((i, b?))).collect();
    order.sort_by(|(_, a), (_, b)| a.min().x.total_cmp(&b.min().x));
    let mut pairs = Vec::new();
    for (place, (i, one)) in order.iter().enumerate() {
        let later = order.iter().skip(place + 1);
        for (j, other) in later.take_while(|(_, other)| other.min().x <= one.max().x) {
            looks.0 += 1;
            if one.min().y <= other.max().y && other.min().y <= one.max().y {
                pairs.push((*i, *j));
            }
        }
        if pairs.len() > most {
            return Err(Error::Invalid(text!(
                "la géométrie est trop enchevêtrée (plus de {most} paires de parties ou de côtés à comparer) ; donnez-la plus simple.",
                "the geometry is too tangled (over {most} pairs of parts or sides to compare); give a simpler one."
            )));
        }
        if looks.0 > MOST_LOOKS {
            return Err(Error::Invalid(text!(
                "la géométrie est trop enchevêtrée (plus de {MOST_LOOKS} boîtes de parties ou de côtés à comparer) ; donnez-la plus simple.",
                "the geometry is too tangled (over {MOST_LOOKS} boxes of parts or sides to compare); give a simpler one."
            )));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use geo_types::MultiPolygon;
    use proptest::prelude::*;

    fn square(x: f64, y: f64, side: f64) -> LineString<f64> {
        LineString::from(vec![(x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)])
    }

    fn several(squares: &[(f64, f64, f64)]) -> Geometry<f64> {
        let one = |(x, y, side): &(f64, f64, f64)| Polygon::new(square(*x, *y, *side), vec![]);
        MultiPolygon(squares.iter().map(one).collect()).into()
    }

    fn ring() -> impl Strategy<Value = LineString<f64>> {
        let corner = (0..7, 0..7).prop_map(|(x, y)| (f64::from(x), f64::from(y)));
        let any = prop::collection::vec(corner, 3..6).prop_map(LineString::from);
        let small = (0..6, 0..6, 1..4)
            .prop_map(|(x, y, side)| square(f64::from(x), f64::from(y), f64::from(side)));
        prop_oneof![any, small.clone(), small]
    }

    fn polygon() -> impl Strategy<Value = Polygon<f64>> {
        let large = Just(square(0., 0., 9.));
        let outside = prop_oneof![ring(), large.clone(), large];
        (outside, prop::collection::vec(ring(), 0..3)).prop_map(|(o, holes)| Polygon::new(o, holes))
    }

    proptest! {
        #[test]
        fn what_is_valid_is_what_the_whole_comparison_finds(
            one in polygon(),
            several in prop::collection::vec(polygon(), 1..4),
        ) {
            prop_assert_eq!(is_valid(&one.clone().into()).unwrap(), one.is_valid());
            let several = MultiPolygon(several);
            prop_assert_eq!(is_valid(&several.clone().into()).unwrap(), several.is_valid());
        }
    }

    #[test]
    fn polygons_may_touch_in_points_and_no_more() {
        let valid = |squares: &[(f64, f64, f64)]| is_valid(&several(squares)).unwrap();
        assert!(valid(&[(0., 0., 1.), (5., 5., 1.)]));
        assert!(valid(&[(0., 0., 1.), (1., 1., 1.)]));
        assert!(!valid(&[(0., 0., 1.), (1., 0., 1.)]));
        assert!(!valid(&[(0., 0., 2.), (1., 1., 2.)]));
        assert!(!valid(&[(0., 0., 4.), (1., 1., 1.)]));
    }

    #[test]
    fn what_is_too_tangled_to_compare_is_refused() {
        let said = |geometry| match is_valid(&geometry) {
            Err(Error::Invalid(said)) => said.en,
            other => panic!("{other:?}"),
        };
        // Slivers that share a point.
        let sliver = |i: u32| {
            let (a, b) = (f64::from(2 * i) / 90.0, f64::from(2 * i + 1) / 90.0);
            Polygon::new(vec![(0., 0.), (10., a), (10., b), (0., 0.)].into(), vec![])
        };
        let fan = |n| Geometry::from(MultiPolygon((0..n).map(sliver).collect()));
        assert!(is_valid(&fan(60)).unwrap());
        assert!(said(fan(650)).contains("2000 pairs"));
        // A saw whose teeth all cover each other's boxes.
        let saw = |n: u32| {
            let tooth = |i: u32| {
                let x = f64::from(i) / 1e6;
                if i.is_multiple_of(2) { (x, x) } else { (80.0 + x, 80.0 + x / 2.0) }
            };
            let corners: Vec<_> = (0..n).map(tooth).chain([(90.0, 0.0)]).collect();
            Geometry::from(Polygon::new(corners.into(), vec![]))
        };
        assert!(said(saw(2_000)).contains("200000 pairs"));
        // Strokes above each other, whose boxes share their longitudes and nothing else.
        let comb = |n: u32| {
            let stroke = |i: u32| {
                let y = f64::from(i / 2) / 1e3;
                (if matches!(i % 4, 1 | 2) { 10.0 } else { 0.0 }, y)
            };
            let corners: Vec<_> = (0..n).map(stroke).chain([(-1.0, 20.0), (-1.0, 0.0)]).collect();
            Geometry::from(Polygon::new(corners.into(), vec![]))
        };
        assert!(is_valid(&comb(2_000)).unwrap());
        assert!(said(comb(20_000)).contains("10000000 boxes"));
        // Inside of a collection all the same.
        let collection = |one| Geometry::GeometryCollection(vec![one].into());
        assert!(is_valid(&collection(fan(60))).unwrap());
        assert!(said(collection(fan(650))).contains("2000 pairs"));
        let bow = LineString::from(vec![(0., 0.), (1., 1.), (1., 0.), (0., 1.), (0., 0.)]);
        assert!(!is_valid(&collection(Polygon::new(bow, vec![]).into())).unwrap());
        // As many that lie apart are no work.
        let apart: Vec<_> = (0..650).map(|i| (f64::from(i) / 10.0, 0.0, 0.05)).collect();
        assert!(is_valid(&several(&apart)).unwrap());
        let holes = (0..650).map(|i| square(1.0 + f64::from(i) / 10.0, 1.0, 0.05)).collect();
        let sieve = Polygon::new(square(0., 0., 80.), holes);
        assert!(is_valid(&sieve.into()).unwrap());
        let round = |i: u32| (f64::from(i) / 1e4 * std::f64::consts::TAU).sin_cos();
        let circle: Vec<_> = (0..10_000).map(round).collect();
        assert!(is_valid(&Polygon::new(circle.into(), vec![]).into()).unwrap());
    }
}
