use super::*;
use crate::geometry::real;
use geo_types::{GeometryCollection, MultiLineString, MultiPoint, MultiPolygon, Point};
use proptest::prelude::*;
use std::{
    io::Write as _,
    process::{Command, Stdio},
};

type Ring<'a> = &'a [(f64, f64)];

fn polygon(rings: &[Ring<'_>]) -> Polygon<f64> {
    let mut rings = rings.iter().map(|r| LineString::from(r.to_vec()));
    let shell = rings.next().unwrap();
    Polygon::new(shell, rings.collect())
}

fn fault(g: impl Into<Geometry<f64>>) -> Option<Fault> {
    check(&g.into()).err().map(|p| p.fault)
}

const SQUARE: Ring<'_> = &[(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0), (0.0, 0.0)];
const BOW_TIE: Ring<'_> = &[(0.0, 0.0), (10.0, 10.0), (10.0, 0.0), (0.0, 10.0), (0.0, 0.0)];
const HOLE: Ring<'_> = &[(2.0, 2.0), (2.0, 4.0), (4.0, 4.0), (4.0, 2.0), (2.0, 2.0)];

fn moved(ring: Ring<'_>, dx: f64, dy: f64) -> Vec<(f64, f64)> {
    ring.iter().map(|(x, y)| (x + dx, y + dy)).collect()
}

#[test]
fn what_is_valid() {
    assert_eq!(fault(polygon(&[SQUARE])), None);
    assert_eq!(fault(polygon(&[SQUARE, HOLE])), None);
    // Repeated points, either orientation.
    let repeated: Ring<'_> =
        &[(0.0, 0.0), (0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 1.0), (0.0, 0.0)];
    assert_eq!(fault(polygon(&[repeated])), None);
    // A hole that touches its outer ring at one point, and two that touch each other.
    let touching: Ring<'_> = &[(0.0, 5.0), (2.0, 4.5), (2.0, 5.5), (0.0, 5.0)];
    assert_eq!(fault(polygon(&[SQUARE, touching])), None);
    assert_eq!(fault(polygon(&[SQUARE, HOLE, &moved(HOLE, 2.0, 2.0)])), None);
    // Two squares that touch at a corner, and an island in a hole.
    let corner = polygon(&[&moved(SQUARE, 10.0, 10.0)]);
    assert_eq!(fault(MultiPolygon(vec![polygon(&[SQUARE]), corner])), None);
    let island = polygon(&[&[(2.5, 2.5), (3.5, 2.5), (3.5, 3.5), (2.5, 2.5)]]);
    assert_eq!(fault(MultiPolygon(vec![island, polygon(&[SQUARE, HOLE])])), None);
    // Empty things.
    assert_eq!(fault(Polygon::new(LineString(vec![]), vec![])), None);
    assert_eq!(fault(MultiPolygon::<f64>(vec![])), None);
    assert_eq!(fault(LineString::<f64>(vec![])), None);
    // A line may cross itself.
    assert_eq!(fault(LineString::from(BOW_TIE.to_vec())), None);
    assert_eq!(fault(Point::new(-180.0, 90.0)), None);
}

#[test]
fn what_is_not() {
    use Fault as F;
    assert_eq!(fault(Point::new(f64::NAN, 0.0)), Some(F::NotFinite));
    assert_eq!(fault(Point::new(0.0, f64::INFINITY)), Some(F::NotFinite));
    assert_eq!(fault(Point::new(180.1, 0.0)), Some(F::OutOfRange));
    assert_eq!(fault(MultiPoint::from(vec![(0.0, 0.0), (0.0, 90.5)])), Some(F::OutOfRange));
    assert_eq!(fault(LineString::from(vec![(1.0, 1.0), (1.0, 1.0)])), Some(F::TooFewPoints));
    assert_eq!(fault(polygon(&[&[(0.0, 0.0), (1.0, 1.0), (0.0, 0.0)]])), Some(F::TooFewPoints));
    assert_eq!(fault(polygon(&[BOW_TIE])), Some(F::SelfIntersection));
    // A spike, and a ring that comes back to a point of its own.
    let spike: Ring<'_> =
        &[(0.0, 0.0), (10.0, 0.0), (15.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 0.0)];
    assert_eq!(fault(polygon(&[spike])), Some(F::SelfIntersection));
    let eight: Ring<'_> =
        &[(0.0, 0.0), (5.0, 5.0), (10.0, 0.0), (10.0, 10.0), (5.0, 5.0), (0.0, 10.0), (0.0, 0.0)];
    assert_eq!(fault(polygon(&[eight])), Some(F::SelfIntersection));
    assert_eq!(fault(polygon(&[SQUARE, &moved(HOLE, 7.0, 0.0)])), Some(F::RingsCross));
    assert_eq!(fault(polygon(&[SQUARE, &moved(HOLE, 6.0, 0.0)])), Some(F::RingsCross));
    assert_eq!(fault(polygon(&[SQUARE, SQUARE])), Some(F::RingsCross));
    assert_eq!(fault(polygon(&[SQUARE, &moved(HOLE, 20.0, 0.0)])), Some(F::HoleOutside));
    let inner: Ring<'_> = &[(2.5, 2.5), (3.5, 2.5), (3.5, 3.5), (2.5, 2.5)];
    assert_eq!(fault(polygon(&[SQUARE, HOLE, inner])), Some(F::NestedHoles));
    assert_eq!(fault(polygon(&[SQUARE, inner, HOLE])), Some(F::NestedHoles));
    // A hole that touches the outer ring twice cuts the interior.
    let band: Ring<'_> = &[(0.0, 5.0), (5.0, 4.0), (10.0, 5.0), (5.0, 6.0), (0.0, 5.0)];
    assert_eq!(fault(polygon(&[SQUARE, band])), Some(F::Disconnected));
    // A hole that leaves through a vertex of the outer ring, without any proper crossing.
    let leaves: Ring<'_> = &[(5.0, 5.0), (15.0, 5.0), (5.0, 15.0), (5.0, 5.0)];
    assert_eq!(fault(polygon(&[SQUARE, leaves])), Some(F::RingsCross));
    let two = |a: Ring<'_>, b: Ring<'_>| MultiPolygon(vec![polygon(&[a]), polygon(&[b])]);
    assert_eq!(fault(two(SQUARE, &moved(SQUARE, 5.0, 5.0))), Some(F::PolygonsOverlap));
    assert_eq!(fault(two(SQUARE, &moved(SQUARE, 10.0, 0.0))), Some(F::PolygonsOverlap));
    assert_eq!(fault(two(SQUARE, HOLE)), Some(F::PolygonsOverlap));
    assert_eq!(fault(two(HOLE, SQUARE)), Some(F::PolygonsOverlap));
}

#[test]
fn the_place_is_told() {
    let problem = check(&polygon(&[BOW_TIE]).into()).unwrap_err();
    assert_eq!(problem.at, Coord { x: 5.0, y: 5.0 });
    assert!(problem.text().fr.contains("(5, 5)"));
    let far = polygon(&[&[(0.0, 0.0), (1.0, 0.0), (1.0, 99.0), (0.0, 0.0)]]);
    assert_eq!(check(&far.into()).unwrap_err().at, Coord { x: 1.0, y: 99.0 });
}

#[test]
fn long_parallel_lines_do_not_take_for_ever() {
    // Two combs, one along each axis, for which a sweep is quadratic in either direction.
    let n = 40_000;
    let comb = |i: i32| {
        let y = f64::from(i / 2) * 1e-3;
        if i % 4 == 1 || i % 4 == 2 { (50.0, y) } else { (0.0, y) }
    };
    let mut ring: Vec<(f64, f64)> = (0..n).map(comb).collect();
    ring.extend([(-1.0, f64::from(n / 2) * 1e-3), (-1.0, 0.0)]);
    assert_eq!(fault(polygon(&[&ring])), None);
    let turned: Vec<(f64, f64)> = ring.iter().map(|(x, y)| (*y, *x)).collect();
    assert_eq!(fault(polygon(&[&turned])), None);
    // The tree finds what the sweep would have found.
    ring[30_001].1 = 0.0005;
    assert_eq!(fault(polygon(&[&ring])), Some(Fault::SelfIntersection));
}

#[test]
fn repairs_that_change_next_to_nothing() {
    // A small fold on a border: 0.005 % of the area.
    let folded: Ring<'_> = &[
        (0.0, 0.0),
        (10.0, 0.0),
        (10.0, 5.0),
        (9.95, 5.1),
        (10.05, 5.1),
        (10.0, 5.0),
        (10.0, 10.0),
        (0.0, 10.0),
        (0.0, 0.0),
    ];
    assert_eq!(fault(polygon(&[folded])), Some(Fault::SelfIntersection));
    let repaired = repair(polygon(&[folded]).into()).unwrap();
    assert_eq!(check(&repaired), Ok(()));
    // A spike goes, the polygon stays one.
    let spike: Ring<'_> =
        &[(0.0, 0.0), (10.0, 0.0), (15.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 0.0)];
    let repaired = repair(polygon(&[spike]).into()).unwrap();
    assert!(matches!(&repaired, Geometry::Polygon(p) if p.exterior().0.len() == 4), "{repaired:?}");
    // Two neighbours in one multipolygon are united.
    let two = MultiPolygon(vec![polygon(&[SQUARE]), polygon(&[&moved(SQUARE, 10.0, 0.0)])]);
    let Some(Geometry::MultiPolygon(m)) = repair(two.into()) else { panic!("united") };
    assert_eq!(m.0.len(), 1);
    // Two halves that meet at a point become two polygons.
    let eight: Ring<'_> =
        &[(0.0, 0.0), (5.0, 5.0), (10.0, 0.0), (10.0, 10.0), (5.0, 5.0), (0.0, 10.0), (0.0, 0.0)];
    let repaired = repair(polygon(&[eight]).into());
    assert!(repaired.is_none_or(|g| check(&g).is_ok()));
    // A hole that leaves its outer ring by a hair: what is beyond is not made ground.
    let leaving: Ring<'_> = &[(9.0, 4.0), (9.0, 5.0), (10.01, 5.0), (10.01, 4.0), (9.0, 4.0)];
    let repaired = repair(polygon(&[SQUARE, leaving]).into()).unwrap();
    assert!((geo::Area::unsigned_area(&repaired) - 99.0).abs() < 1e-6);
    // Collapsed parts go.
    let mut lines = MultiLineString(vec![
        LineString::from(vec![(0.0, 0.0), (0.0, 0.0)]),
        LineString::from(vec![(0.0, 0.0), (1.0, 0.0), (1.0, 0.0)]),
    ]);
    let repaired = repair(lines.clone().into()).unwrap();
    lines.0.remove(0);
    lines.0[0].0.pop();
    assert_eq!(repaired, lines.into());
    let collapsed: Ring<'_> = &[(3.0, 3.0), (3.0, 3.0), (3.0, 3.0)];
    assert_eq!(repair(polygon(&[SQUARE, collapsed]).into()), Some(polygon(&[SQUARE]).into()));
}

#[test]
fn repairs_that_are_refused() {
    assert_eq!(repair(polygon(&[BOW_TIE]).into()), None);
    assert_eq!(repair(Point::new(f64::NAN, 1.0).into()), None);
    assert_eq!(repair(Point::new(652_469.0, 6_862_035.0).into()), None);
    assert_eq!(repair(LineString::from(vec![(1.0, 1.0), (1.0, 1.0)]).into()), None);
    let flat: Ring<'_> = &[(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (0.0, 0.0)];
    assert_eq!(repair(polygon(&[flat]).into()), None);
    // So small that nothing can be counted in fractions of it; as a hole it takes nothing away.
    let small = BOW_TIE.iter().map(|(x, y)| (x * 1e-320, y * 1e-320)).collect::<Vec<_>>();
    assert_eq!(repair(polygon(&[&small]).into()), None);
    // The same ring; where it begins is nobody's matter.
    let Some(Geometry::Polygon(mended)) = repair(polygon(&[SQUARE, &small]).into()) else {
        panic!()
    };
    let corners = |ring: &[(f64, f64)]| {
        let bits = ring.iter().map(|(x, y)| (x.to_bits(), y.to_bits()));
        bits.collect::<std::collections::BTreeSet<_>>()
    };
    let ring: Vec<(f64, f64)> = mended.exterior().coords().map(|c| (c.x, c.y)).collect();
    assert_eq!((corners(&ring), ring.len()), (corners(SQUARE), SQUARE.len()));
    assert!(mended.interiors().is_empty());
    // Half of one square under another: a third of the area would go.
    let two = MultiPolygon(vec![polygon(&[SQUARE]), polygon(&[&moved(SQUARE, 5.0, 0.0)])]);
    assert_eq!(repair(two.into()), None);
    let part = Geometry::from(polygon(&[BOW_TIE]));
    let all = GeometryCollection(vec![Point::new(0.0, 0.0).into(), part]);
    assert_eq!(repair(Geometry::GeometryCollection(all)), None);
}

#[test]
fn normal_form() {
    let mut reversed: Vec<(f64, f64)> = SQUARE.to_vec();
    reversed.reverse();
    let mut hole = HOLE.to_vec();
    hole.reverse();
    let empty = LineString(vec![]);
    let odd = Polygon::new(reversed.into(), vec![hole.into(), empty.clone()]);
    let mut g: Geometry<f64> = MultiPolygon(vec![Polygon::new(empty.clone(), vec![]), odd]).into();
    normalise(&mut g);
    assert_eq!(g, MultiPolygon(vec![polygon(&[SQUARE, HOLE])]).into());
    let mut g = Geometry::GeometryCollection(GeometryCollection(vec![
        empty.into(),
        Point::new(1.0, 2.0).into(),
    ]));
    normalise(&mut g);
    assert_eq!(
        g,
        Geometry::GeometryCollection(GeometryCollection(vec![Point::new(1.0, 2.0).into()]))
    );
}

/// What GEOS says, through GDAL's Python; `None` when it is not installed.
fn geos(all: &[Geometry<f64>]) -> Option<Vec<bool>> {
    let script = "import sys\nfrom osgeo import ogr, gdal\ngdal.PushErrorHandler('CPLQuietErrorHandler')\n\
        for line in sys.stdin:\n print(int(ogr.CreateGeometryFromWkt(line).IsValid()))";
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut lines = String::new();
    for g in all {
        lines.push_str("MULTIPOLYGON(");
        let polygons = match g {
            Geometry::Polygon(p) => std::slice::from_ref(p),
            Geometry::MultiPolygon(m) => &m.0,
            _ => panic!("only polygons are compared"),
        };
        for (i, p) in polygons.iter().enumerate() {
            lines.push_str(if i == 0 { "(" } else { ",(" });
            for (j, ring) in rings_of(p).enumerate() {
                lines.push_str(if j == 0 { "(" } else { ",(" });
                let points: Vec<String> =
                    ring.0.iter().map(|c| format!("{} {}", c.x, c.y)).collect();
                lines.push_str(&points.join(","));
                lines.push(')');
            }
            lines.push(')');
        }
        lines.push_str(")\n");
    }
    let mut stdin = child.stdin.take().unwrap();
    let feed = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).unwrap().lines().map(|l| l == "1").collect())
}

/// Rings on a small grid: touches, overlaps and crossings of every kind are frequent.
fn small_ring(size: std::ops::Range<usize>) -> impl Strategy<Value = LineString<f64>> {
    prop::collection::vec((0..7i32, 0..7i32), size)
        .prop_map(|v| v.into_iter().map(|(x, y)| (f64::from(x), f64::from(y))).collect())
        .prop_map(|l: LineString<f64>| {
            let mut l = l;
            l.close();
            l
        })
}

fn small_polygon() -> impl Strategy<Value = Polygon<f64>> {
    (small_ring(3..7), prop::collection::vec(small_ring(3..5), 0..3))
        .prop_map(|(shell, holes)| Polygon::new(shell, holes))
}

fn small_geometry() -> impl Strategy<Value = Geometry<f64>> {
    prop_oneof![
        small_polygon().prop_map(Geometry::Polygon),
        prop::collection::vec(small_polygon(), 1..4).prop_map(|v| MultiPolygon(v).into()),
    ]
}

/// Generates the same geometries at every run.
fn sample(strategy: &impl Strategy<Value = Geometry<f64>>, n: usize) -> Vec<Geometry<f64>> {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    (0..n).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn geos_agrees_on_small_grids() {
    // Few random polygons with holes are valid: more simple ones are added.
    let simple = (small_ring(3..5), small_ring(3..4)).prop_map(|(a, b)| {
        let close = |l: LineString<f64>| Polygon::new(l, vec![]);
        Geometry::from(MultiPolygon(vec![close(a), close(b)]))
    });
    let square = LineString::from(moved(SQUARE, -2.0, -2.0));
    let holed = prop::collection::vec(small_ring(3..4), 1..4)
        .prop_map(move |holes| Geometry::from(Polygon::new(square.clone(), holes)));
    let mut all = sample(&small_geometry(), 3000);
    all.extend(sample(&simple, 3000));
    all.extend(sample(&holed, 3000));
    let Some(expected) = geos(&all) else {
        println!("geos_agrees_on_small_grids: skipped, GDAL's Python is not installed");
        return;
    };
    assert_eq!(expected.len(), all.len());
    let valid = expected.iter().filter(|v| **v).count();
    for (g, expected) in all.iter().zip(expected) {
        assert_eq!(check(g).is_ok(), expected, "{:?}\n{g:?}", check(g));
    }
    println!("geos_agrees_on_small_grids: {} geometries, {valid} valid", all.len());
    assert!(valid > 500);
}

#[test]
fn real_layers_as_geos_judges_them() {
    for name in
        ["communes-2018.geojson.gz", "qpv-2024/qpv2024.geojson.gz", "iris-idf/iris_idf.geojson.gz"]
    {
        layer_as_geos_judges_it(name);
    }
}

fn layer_as_geos_judges_it(name: &str) {
    const TEST: &str = "real_layers_as_geos_judges_them";
    let Some(features) = real::features(TEST, name) else { return };
    let all: Vec<Geometry<f64>> = features.iter().map(real::Feature::geometry).collect();
    let start = real::cpu();
    let mine: Vec<bool> = all.iter().map(|g| check(g).is_ok()).collect();
    let time = real::cpu() - start;
    let invalid = mine.iter().filter(|ok| !**ok).count();
    println!("{TEST}: {name}, {} checked in {time:.3} s, {invalid} invalid", all.len());
    let bad: Vec<Geometry<f64>> =
        all.iter().zip(&mine).filter(|(_, ok)| !**ok).map(|(g, _)| g.clone()).collect();
    let repaired = bad.iter().filter(|g| repair((*g).clone()).is_some()).count();
    println!("{TEST}: {repaired} of {invalid} repaired");
    assert_eq!(repaired, invalid);
    // GEOS takes its time: the invalid ones and one in ten of the others.
    let chosen: Vec<usize> = (0..all.len()).filter(|i| !mine[*i] || i % 10 == 0).collect();
    let some: Vec<Geometry<f64>> = chosen.iter().map(|&i| all[i].clone()).collect();
    let Some(expected) = geos(&some) else {
        println!("{TEST}: comparison skipped, GDAL's Python is not installed");
        return;
    };
    for (&i, expected) in chosen.iter().zip(expected) {
        assert_eq!(mine[i], expected, "{name} {i} {:?}", check(&all[i]));
    }
}

proptest! {
    #[test]
    fn repair_gives_valid_or_nothing(g in small_geometry()) {
        let before = check(&g);
        match repair(g.clone()) {
            Some(r) => {
                prop_assert_eq!(check(&r), Ok(()));
                prop_assert!(matches!(r, Geometry::Polygon(_) | Geometry::MultiPolygon(_)));
            }
            None => prop_assert!(before.is_err(), "a valid geometry was refused: {:?}", g),
        }
    }

    #[test]
    fn check_never_panics(rings in prop::collection::vec(prop::collection::vec((any::<f64>(), -90.0..90.0f64), 0..8), 1..4), wild: bool) {
        let ring = |r: Vec<(f64, f64)>| -> LineString<f64> {
            r.into_iter().map(|(x, y)| if wild { (x, y) } else { (x % 180.0, y) }).collect()
        };
        let mut rings = rings.into_iter().map(ring);
        let shell = rings.next().unwrap();
        let g: Geometry<f64> = Polygon::new(shell, rings.collect()).into();
        let _ = check(&g);
        let _ = repair(g);
    }

    #[test]
    fn the_tree_gives_what_the_sweep_gives(points in prop::collection::vec((0..20i32, 0..20i32), 4..60)) {
        let pairs = |by_tree: bool| {
            let mut segments = contacts::Segments::with_capacity(points.len());
            for (i, w) in points.windows(2).enumerate() {
                let c = |(x, y): (i32, i32)| Coord { x: f64::from(x), y: f64::from(y) };
                segments.add(c(w[0]), c(w[1]), i as u32, 0);
            }
            let mut pairs = Vec::new();
            let mut gather = |a: contacts::Name, b: contacts::Name| {
                pairs.push((a.0.min(b.0), a.0.max(b.0)));
                Ok(())
            };
            let done = if by_tree {
                segments.each_pair_by_tree(&mut gather)
            } else {
                segments.each_pair(&mut gather)
            };
            done.unwrap();
            pairs.sort_unstable();
            pairs
        };
        prop_assert_eq!(pairs(false), pairs(true));
    }
}
