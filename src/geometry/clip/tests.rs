use super::*;
use crate::geometry::{dissolve::dissolve, real};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn polygon(points: &[(f64, f64)]) -> Polygon<f64> {
    Polygon::new(LineString::from(points.to_vec()), vec![])
}

fn square(x: f64, y: f64, side: f64) -> Polygon<f64> {
    polygon(&[(x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)])
}

fn clipper(border: Polygon<f64>) -> Clipper {
    Clipper::new(MultiPolygon(vec![border]), Space::Plane)
}

fn part(cut: Result<Cut, Problem>) -> Part {
    match cut {
        Ok(Cut::Part(part)) => part,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_away_from_the_border_stays_as_it_is() {
    let border = clipper(square(0.0, 0.0, 10.0));
    let cut = |p: Polygon<f64>| border.cut(&p.into()).unwrap();
    assert_eq!(cut(square(1.0, 1.0, 2.0)), Cut::Inside);
    assert_eq!(cut(square(11.0, 1.0, 2.0)), Cut::Outside);
    // Along the border, inside and outside; touching at a corner.
    assert_eq!(cut(square(0.0, 0.0, 2.0)), Cut::Inside);
    assert_eq!(cut(square(0.0, 0.0, 10.0)), Cut::Inside);
    assert_eq!(cut(square(10.0, 2.0, 2.0)), Cut::Outside);
    assert_eq!(cut(square(10.0, 10.0, 2.0)), Cut::Outside);
}

#[test]
fn what_crosses_is_cut_and_stays_one_feature() {
    let border = clipper(square(0.0, 0.0, 10.0));
    let half = part(border.cut(&square(8.0, 2.0, 4.0).into()));
    assert_eq!(
        (half.share, half.geometry),
        (0.5, polygon(&[(8.0, 2.0), (10.0, 2.0), (10.0, 6.0), (8.0, 6.0), (8.0, 2.0)]).into())
    );
    // A fork that leaves and comes back: two parts of one feature.
    let fork = polygon(&[
        (8.0, 1.0),
        (12.0, 1.0),
        (12.0, 6.0),
        (8.0, 6.0),
        (8.0, 5.0),
        (11.0, 5.0),
        (11.0, 2.0),
        (8.0, 2.0),
        (8.0, 1.0),
    ]);
    let Geometry::MultiPolygon(two) = part(border.cut(&fork.into())).geometry else { panic!() };
    assert_eq!(two.0.len(), 2);
    // The border inside of the feature.
    let around = part(border.cut(&square(-5.0, -5.0, 30.0).into()));
    assert_eq!(around.share, 100.0 / 900.0);
    // A single multi stays a multi.
    let multi = MultiPolygon(vec![square(8.0, 2.0, 4.0)]);
    assert!(matches!(part(border.cut(&multi.into())).geometry, Geometry::MultiPolygon(_)));
}

#[test]
fn holes_of_both_are_kept() {
    let lake = Polygon::new(
        square(0.0, 0.0, 10.0).exterior().clone(),
        vec![square(4.0, 4.0, 2.0).exterior().clone()],
    );
    let border = clipper(lake.clone());
    let shape = part(border.cut(&square(1.0, 1.0, 8.0).into()));
    assert_eq!(shape.share, 60.0 / 64.0);
    assert!(matches!(&shape.geometry, Geometry::Polygon(p) if p.interiors().len() == 1));
    assert_eq!(border.cut(&square(4.0, 4.0, 2.0).into()).unwrap(), Cut::Outside);
    assert_eq!(border.cut(&square(4.5, 4.5, 1.0).into()).unwrap(), Cut::Outside);
    let across = part(clipper(square(5.0, -1.0, 20.0)).cut(&lake.into()));
    assert!(matches!(across.geometry, Geometry::Polygon(p) if p.interiors().is_empty()));
}

#[test]
fn lines_and_points_keep_their_dimension() {
    let border = clipper(square(0.0, 0.0, 10.0));
    let line = |points: &[(f64, f64)]| Geometry::from(LineString::from(points.to_vec()));
    assert_eq!(border.cut(&line(&[(1.0, 1.0), (9.0, 9.0)])).unwrap(), Cut::Inside);
    assert_eq!(border.cut(&line(&[(0.0, 0.0), (10.0, 0.0)])).unwrap(), Cut::Inside);
    assert_eq!(border.cut(&line(&[(10.0, 5.0), (20.0, 5.0)])).unwrap(), Cut::Outside);
    let cut = part(border.cut(&line(&[(5.0, 5.0), (15.0, 5.0), (15.0, 6.0), (5.0, 6.0)])));
    assert_eq!(cut.share, 10.0 / 21.0);
    assert!(matches!(cut.geometry, Geometry::MultiLineString(m) if m.0.len() == 2));
    let points = MultiPoint::from(vec![(1.0, 1.0), (11.0, 1.0), (10.0, 5.0), (2.0, 2.0)]);
    assert_eq!(part(border.cut(&points.into())).share, 0.75);
    assert_eq!(border.cut(&Geometry::Point((10.0, 10.0).into())).unwrap(), Cut::Inside);
    assert_eq!(border.cut(&Geometry::Point((10.1, 10.0).into())).unwrap(), Cut::Outside);
    let both = Geometry::GeometryCollection(GeometryCollection(vec![
        square(8.0, 2.0, 4.0).into(),
        line(&[(11.0, 1.0), (12.0, 1.0)]),
    ]));
    let Part { geometry: Geometry::GeometryCollection(left), share } = part(border.cut(&both))
    else {
        panic!()
    };
    assert_eq!((left.0.len(), share), (1, 0.5));
}

type Features = Vec<(String, Geometry<f64>)>;

/// Communes with their département, and the clippers of the départements dissolved from them.
fn departments(test: &str) -> Option<(Features, BTreeMap<String, Clipper>)> {
    let features = real::features(test, "communes-2018.geojson.gz")?;
    let features: Features =
        features.iter().map(|f| (f.text("dep").to_owned(), f.geometry())).collect();
    let mut members: BTreeMap<&str, Vec<&Geometry<f64>>> = BTreeMap::new();
    for (dep, g) in &features {
        members.entry(dep).or_default().push(g);
    }
    let mut clippers = BTreeMap::new();
    for (dep, members) in members {
        let d = dissolve(members.iter().copied()).unwrap().unwrap();
        assert_eq!((d.apart, d.gaps), (false, 0), "{dep}");
        validity::check(&d.shape.clone().into()).unwrap();
        let sum: f64 = members.iter().map(|g| g.unsigned_area()).sum();
        assert!((d.shape.unsigned_area() / sum - 1.0).abs() < 1e-9, "{dep}");
        clippers.insert(dep.to_owned(), Clipper::new(d.shape, Space::Degrees));
    }
    Some((features, clippers))
}

#[test]
fn a_commune_is_inside_of_its_own_departement_and_of_no_other() {
    const TEST: &str = "a_commune_is_inside_of_its_own_departement_and_of_no_other";
    let Some((features, clippers)) = departments(TEST) else { return };
    for (own, g) in &features {
        for (dep, clipper) in &clippers {
            let expected = if dep == own { Cut::Inside } else { Cut::Outside };
            assert_eq!(clipper.cut(g), Ok(expected), "{own} by {dep}");
        }
    }
    assert!(features.len() > 35_000 && clippers.len() > 95);
}

/// Communes moved by some metres: the worst of noise at borders. Compared with an overlay of
/// another make.
#[test]
fn communes_moved_a_little_are_cut_as_another_overlay_cuts_them() {
    const TEST: &str = "communes_moved_a_little_are_cut_as_another_overlay_cuts_them";
    use geo::MapCoords;
    let Some((features, clippers)) = departments(TEST) else { return };
    let mut cut = 0;
    for (own, g) in features.iter().filter(|f| ["59", "62", "80", "29"].contains(&&*f.0)) {
        let g = g.map_coords(|c| Coord { x: c.x + 1.37e-4, y: c.y - 0.9e-4 });
        let shape = match &g {
            Geometry::Polygon(p) => MultiPolygon(vec![p.clone()]),
            Geometry::MultiPolygon(m) => m.clone(),
            other => panic!("{other:?}"),
        };
        let mut shares = 0.0;
        for clipper in clippers.values() {
            shares += match clipper.cut(&g).unwrap() {
                Cut::Outside => 0.0,
                Cut::Inside => 1.0,
                Cut::Part(part) => {
                    cut += 1;
                    validity::check(&part.geometry).unwrap();
                    let other = shape.intersection(clipper.shape());
                    let perimeter: f64 = shape.0.iter().map(|p| clipper.length(p.exterior())).sum();
                    let (mine, theirs) =
                        (area::area_m2(&part.geometry), area::area_m2(&other.into()));
                    assert!((mine - theirs).abs() < 1e-3 * perimeter, "{mine}, {theirs}");
                    part.share
                }
            };
        }
        // Along the coast and abroad something may be outside of all.
        assert!(shares < 1.0 + 1e-8, "{own}: {shares}");
    }
    assert!(cut > 500, "{cut}");
}

proptest! {
    #[test]
    fn the_parts_of_a_partition_make_the_whole(
        radii in prop::collection::vec(0.1f64..3.0, 3..40),
        centre in (-1.0f64..1.0, -1.0f64..1.0),
        corner in (-0.9f64..0.9, -0.9f64..0.9),
        snap in prop::bool::ANY,
    ) {
        // A star cut by the four quarters around a corner that may lie on its vertices.
        let n = radii.len() as f64;
        let round = |v: f64| if snap { (v * 4.0).round() / 4.0 } else { v };
        let mut star: Vec<(f64, f64)> = radii.iter().enumerate().map(|(i, r)| {
            let angle = std::f64::consts::TAU * i as f64 / n;
            (round(centre.0 + r * angle.cos()), round(centre.1 + r * angle.sin()))
        }).collect();
        star.dedup();
        star.push(star[0]);
        let star = Geometry::from(polygon(&star));
        prop_assume!(validity::check(&star).is_ok() && star.unsigned_area() > 0.01);
        let (x, y) = (round(corner.0), round(corner.1));
        let quarter = |dx: f64, dy: f64| polygon(&[(x, y), (x + 9.0 * dx, y), (x + 9.0 * dx, y + 9.0 * dy), (x, y + 9.0 * dy), (x, y)]);
        let mut total = 0.0;
        let mut cells = Vec::new();
        for (dx, dy) in [(1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)] {
            match clipper(quarter(dx, dy)).cut(&star).unwrap() {
                Cut::Inside => { total += 1.0; cells.push(star.clone()); }
                Cut::Outside => {}
                Cut::Part(p) => {
                    prop_assert_eq!(validity::check(&p.geometry), Ok(()));
                    let area = p.geometry.unsigned_area() / star.unsigned_area();
                    prop_assert!((area - p.share).abs() < 1e-12);
                    total += p.share;
                    cells.push(p.geometry);
                }
            }
        }
        prop_assert!((total - 1.0).abs() < 1e-8, "{total}");
        // Put together again they are the star.
        let whole = dissolve(&cells).unwrap().unwrap();
        prop_assert!((whole.shape.unsigned_area() / star.unsigned_area() - 1.0).abs() < 1e-8);
    }
}

/// An overlay's grid is as fine as what it is given is small: given the whole of a border that
/// reaches around half the world, it moved vertices by centimetres.
#[test]
fn the_way_out_is_as_fine_under_a_border_that_reaches_far() {
    // The square in question lies along a crack of the border, far from its other part.
    let holed = Polygon::new(
        square(2.0, 50.0, 1.0).into_inner().0,
        vec![LineString::from(vec![(2.3, 50.3), (2.4, 50.300_000_01), (2.5, 50.3), (2.3, 50.3)])],
    );
    let border = MultiPolygon(vec![holed, square(-61.0, 16.0, 0.3), square(55.2, -21.3, 0.5)]);
    let border = Clipper::new(border, Space::Degrees);
    let shape = polygon(&[
        (2.300_000_123_4, 50.2),
        (2.500_000_567_8, 50.2),
        (2.500_000_567_8, 50.400_000_432_1),
        (2.300_000_123_4, 50.4),
        (2.300_000_123_4, 50.2),
    ]);
    let left = border.overlay(&MultiPolygon(vec![shape.clone()])).unwrap();
    for corner in &shape.exterior().0 {
        let near = |c: &Coord<f64>| (c.x - corner.x).hypot(c.y - corner.y) < 1e-9;
        assert!(left.0.iter().any(|p| p.exterior().0.iter().any(near)), "{corner:?}: {left:?}");
    }
    let lost = shape.unsigned_area() - left.unsigned_area();
    assert!((lost - 1e-9).abs() < 1e-10, "{lost:e}");
}
