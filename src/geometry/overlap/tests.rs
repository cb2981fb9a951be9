use super::*;
use crate::geometry::{real, validity};
use geo_types::{GeometryCollection, MultiLineString, MultiPoint, Point};
use proptest::prelude::*;
use std::{collections::HashMap, process::Command};

/// A box of `w` by `h` degrees.
fn rect(x: f64, y: f64, w: f64, h: f64) -> Polygon<f64> {
    let ring = vec![(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y)];
    Polygon::new(LineString::from(ring), vec![])
}

fn line(points: &[(f64, f64)]) -> LineString<f64> {
    LineString::from(points.to_vec())
}

/// Three boxes of 0.1° side by side from (2, 48), numbered from the west 30, 20, 10.
fn three() -> BorderIndex {
    let boxes = [(30, 2.0), (20, 2.1), (10, 2.2)];
    BorderIndex::new(boxes.map(|(n, x)| (n, rect(x, 48.0, 0.1, 0.1).into())))
}

fn attach(index: &BorderIndex, g: impl Into<Geometry<f64>>) -> Attached {
    index.attach(&g.into(), &NoiseRule::default())
}

#[test]
fn points_go_to_the_polygon_that_holds_them() {
    let index = three();
    assert_eq!(index.locate_point(2.05, 48.05), Some(30));
    assert_eq!(index.locate_point(2.25, 48.05), Some(10));
    // On a border the lowest payload, whichever comes first.
    assert_eq!(index.locate_point(2.1, 48.05), Some(20));
    assert_eq!(index.locate_point(2.0, 48.0), Some(30));
    assert_eq!(index.locate_point(2.3, 48.1), Some(10));
    assert_eq!(index.locate_point(1.99, 48.05), None);
    assert_eq!(index.locate_point(f64::NAN, 48.05), None);
    assert_eq!(attach(&index, Point::new(2.15, 48.05)).payloads, [20]);
    let several = MultiPoint::from(vec![(2.25, 48.05), (2.05, 48.05), (2.06, 48.05), (9.0, 9.0)]);
    assert_eq!(attach(&index, several).payloads, [10, 30]);
    assert_eq!(attach(&index, Point::new(9.0, 9.0)), Attached::default());
}

#[test]
fn polygons_attach_by_area() {
    let index = three();
    // Wholly inside one.
    assert_eq!(attach(&index, rect(2.02, 48.02, 0.01, 0.01)).payloads, [30]);
    // Half and half.
    assert_eq!(attach(&index, rect(2.05, 48.02, 0.1, 0.05)).payloads, [20, 30]);
    // One polygon holds them all.
    assert_eq!(attach(&index, rect(1.0, 47.0, 3.0, 3.0)).payloads, [10, 20, 30]);
    // A sliver of 0.5 % of the smaller is noise, and told.
    let attached = attach(&index, rect(2.0, 48.0, 0.1005, 0.1));
    assert_eq!(attached.payloads, [30]);
    let [Share { payload: 20, overlap: Overlap::AreaM2(sliver) }] = attached.discarded[..] else {
        panic!("{:?}", attached.discarded)
    };
    assert!((sliver / (0.0005 * 0.1 * 111_200.0 * 74_500.0) - 1.0).abs() < 0.01, "{sliver}");
    // Above 1 % but under a hectare: noise; and the largest attaches even under a hectare.
    let shop = rect(2.0999, 48.05, 0.0004, 0.0002);
    let attached = attach(&index, shop);
    assert_eq!((attached.payloads, attached.discarded.len()), (vec![20], 1));
    let strict = NoiseRule { min_area_share: 0.0, min_area_m2: 0.0, min_length_m: 0.0 };
    let shop = rect(2.0999, 48.05, 0.0004, 0.0002).into();
    assert_eq!(index.attach(&shop, &strict).payloads, [20, 30]);
    // Outside, and side by side with a border in common.
    assert_eq!(attach(&index, rect(3.0, 48.0, 0.1, 0.1)), Attached::default());
    let beside = attach(&index, rect(1.9, 48.0, 0.1, 0.1));
    assert!(index.overlaps(&rect(1.9, 48.0, 0.1, 0.1).into()).is_empty());
    // Nothing overlaps, but it touches: it is not lost.
    assert!(beside.discarded.is_empty());
}

#[test]
fn equals_are_decided_by_payload() {
    let index = three();
    // A building exactly across a border: both halves under a hectare and equal.
    let attached = attach(&index, rect(2.0998, 48.05, 0.0004, 0.0002));
    assert_eq!(attached.payloads.len(), 1);
    let twice = attach(&index, rect(2.0998, 48.05, 0.0004, 0.0002));
    assert_eq!(attached, twice);
}

#[test]
fn lines_attach_by_length() {
    let index = three();
    let across = line(&[(1.9, 48.05), (2.15, 48.05)]);
    assert_eq!(attach(&index, across).payloads, [20, 30]);
    // 30 m into the neighbour.
    let road = line(&[(2.05, 48.05), (2.1004, 48.05)]);
    let attached = attach(&index, road);
    assert_eq!(attached.payloads, [30]);
    let [Share { payload: 20, overlap: Overlap::LengthM(m) }] = attached.discarded[..] else {
        panic!("{:?}", attached.discarded)
    };
    assert!((m - 29.8).abs() < 0.2, "{m}");
    // Along a border: on both.
    let border = line(&[(2.1, 48.02), (2.1, 48.08)]);
    assert_eq!(attach(&index, border).payloads, [20, 30]);
    // A short line still has its place.
    assert_eq!(attach(&index, line(&[(2.05, 48.05), (2.0501, 48.05)])).payloads, [30]);
    let two = MultiLineString(vec![
        line(&[(2.01, 48.01), (2.02, 48.01)]),
        line(&[(2.21, 48.01), (2.22, 48.01)]),
    ]);
    assert_eq!(attach(&index, two).payloads, [10, 30]);
}

#[test]
fn holes_enclaves_and_islands() {
    let hole = line(&[(2.04, 48.04), (2.04, 48.06), (2.06, 48.06), (2.06, 48.04), (2.04, 48.04)]);
    let around = Polygon::new(rect(2.0, 48.0, 0.1, 0.1).exterior().clone(), vec![hole]);
    let enclave = rect(2.04, 48.04, 0.02, 0.02);
    let far = rect(55.0, -21.0, 0.1, 0.1);
    let index = BorderIndex::new([
        (1, MultiPolygon(vec![around, far]).into()),
        (2, enclave.into()),
        (3, Geometry::from(Point::new(2.0, 48.0))),
    ]);
    assert_eq!(index.len(), 2);
    assert_eq!(index.locate_point(2.05, 48.05), Some(2));
    assert_eq!(index.locate_point(2.02, 48.05), Some(1));
    assert_eq!(index.locate_point(55.05, -20.95), Some(1));
    assert_eq!(attach(&index, rect(2.045, 48.045, 0.01, 0.01)).payloads, [2]);
    assert_eq!(attach(&index, rect(2.03, 48.03, 0.04, 0.04)).payloads, [1, 2]);
    // Only the ring around, exactly: the feature has a hole too.
    let hole = line(&[
        (2.039, 48.039),
        (2.039, 48.061),
        (2.061, 48.061),
        (2.061, 48.039),
        (2.039, 48.039),
    ]);
    let ring = Polygon::new(rect(2.03, 48.03, 0.04, 0.04).exterior().clone(), vec![hole]);
    assert_eq!(attach(&index, ring).payloads, [1]);
    assert_eq!(
        attach(
            &index,
            MultiPolygon(vec![rect(2.045, 48.045, 0.01, 0.01), rect(55.02, -20.98, 0.01, 0.01)])
        )
        .payloads,
        [1, 2]
    );
}

#[test]
fn mixed_collections_are_judged_by_dimension() {
    let index = three();
    let all = GeometryCollection(vec![
        Point::new(2.25, 48.05).into(),
        rect(2.02, 48.02, 0.02, 0.02).into(),
        line(&[(2.11, 48.05), (2.12, 48.05)]).into(),
    ]);
    let g = Geometry::GeometryCollection(all);
    assert_eq!(index.attach(&g, &NoiseRule::default()).payloads, [10, 20, 30]);
    let kinds: Vec<u32> = index.overlaps(&g).iter().map(|s| s.payload).collect();
    assert_eq!(kinds, [10, 20, 30]);
    let nothing = Geometry::GeometryCollection(GeometryCollection(vec![]));
    assert_eq!(index.attach(&nothing, &NoiseRule::default()), Attached::default());
}

#[test]
fn the_index_is_shared_by_threads() {
    fn sync<T: Sync + Send>(_: &T) {}
    let index = three();
    sync(&index);
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| assert_eq!(attach(&index, rect(2.05, 48.02, 0.1, 0.05)).payloads, [20, 30]));
        }
    });
}

/// A star-shaped polygon around a centre: always valid.
fn star() -> impl Strategy<Value = Polygon<f64>> {
    (prop::collection::vec(0.01..0.2f64, 3..40), 1.9..2.2f64, 47.9..48.2f64).prop_map(
        |(radii, x, y)| {
            let n = radii.len() as f64;
            let point = |(i, r): (usize, &f64)| {
                let (sin, cos) = (i as f64 / n * std::f64::consts::TAU).sin_cos();
                (x + r * cos, y + r * sin)
            };
            Polygon::new(radii.iter().enumerate().map(point).collect(), vec![])
        },
    )
}

proptest! {
    #[test]
    fn areas_as_an_overlay_of_the_whole_gives_them(a in star(), b in star()) {
        let shared = geo::BooleanOps::intersection(&a, &b);
        let expected: f64 = shared.0.iter().map(area::polygon_m2).sum();
        let prepared = PreparedPolygon::new(MultiPolygon(vec![a.clone()]));
        let off = (prepared.area_shared(&b) - expected).abs();
        prop_assert!(off < 10.0, "{} for {}", prepared.area_shared(&b), expected);
        let turned = PreparedPolygon::new(MultiPolygon(vec![b]));
        prop_assert!((turned.area_shared(&a) - expected).abs() < 10.0);
    }

    #[test]
    fn lengths_as_clipping_gives_them(a in star(), points in prop::collection::vec((1.8..2.3f64, 47.8..48.3f64), 2..6)) {
        let path = LineString::from(points);
        let clipped = geo::BooleanOps::clip(&a, &MultiLineString(vec![path.clone()]), false);
        let expected = area::length_m(&clipped.into());
        let prepared = PreparedPolygon::new(MultiPolygon(vec![a]));
        let inside = prepared.length_inside(&path);
        prop_assert!((inside - expected).abs() < 2.0 + expected * 1e-3, "{} for {}", inside, expected);
    }

    #[test]
    fn points_as_the_plain_test_places_them(a in star(), x in 1.7..2.4f64, y in 47.7..48.4f64) {
        let c = Coord { x, y };
        let expected = geo::Intersects::intersects(&a, &c);
        let corner = a.exterior().0[0];
        let prepared = PreparedPolygon::new(MultiPolygon(vec![a]));
        prop_assert_eq!(prepared.contains_point(c), expected);
        prop_assert!(prepared.contains_point(corner));
    }
}

#[test]
fn impossible_borders_do_no_harm() {
    let odd = |x: f64, y: f64| {
        Polygon::new(line(&[(2.0, 48.0), (x, y), (2.1, 48.1), (2.0, 48.0)]), vec![]).into()
    };
    let index = BorderIndex::new([
        (1, odd(f64::NAN, f64::NAN)),
        (2, odd(f64::INFINITY, f64::NEG_INFINITY)),
        (3, Polygon::new(line(&[]), vec![]).into()),
        (4, rect(2.0, 48.0, 0.1, 0.1).into()),
    ]);
    assert_eq!(index.locate_point(2.05, 48.06), Some(4));
    for at in [f64::NAN, f64::INFINITY, 1e300] {
        attach(&index, Point::new(at, 48.0));
        attach(&index, line(&[(2.05, 48.05), (at, at)]));
    }
}

#[test]
fn tall_edges_keep_the_index_small() {
    // Every edge reaches from the bottom to the top.
    let n = 20_000;
    let point = |i: i32| (2.0 + f64::from(i) * 1e-5, if i % 2 == 0 { 48.0 } else { 49.0 });
    let mut ring: Vec<(f64, f64)> = (0..n).map(point).collect();
    ring.extend([(2.2, 47.9), (2.0, 47.9)]);
    let comb =
        PreparedPolygon::new(MultiPolygon(vec![Polygon::new(LineString::from(ring), vec![])]));
    assert!(comb.contains_point(Coord { x: 2.1, y: 47.95 }));
    assert!(comb.contains_point(Coord { x: 2.100_01, y: 48.5 }));
    assert!(!comb.contains_point(Coord { x: 2.1, y: 49.01 }));
}

#[test]
fn communes_lie_on_themselves() {
    const TEST: &str = "communes_lie_on_themselves";
    let Some(features) = real::features(TEST, "communes-2018.geojson.gz") else { return };
    let all: Vec<Geometry<f64>> = features.iter().map(real::Feature::geometry).collect();
    let numbered = all.iter().cloned().enumerate().map(|(i, g)| (i as u32, g));
    let start = real::cpu();
    let index = BorderIndex::new(numbered);
    println!("{TEST}: {} polygons indexed in {:.3} s", index.len(), real::cpu() - start);
    let insides: Vec<Coord<f64>> =
        all.iter().map(|g| geo::InteriorPoint::interior_point(g).unwrap().0).collect();
    for pass in ["first", "second"] {
        let start = real::cpu();
        let right = insides
            .iter()
            .enumerate()
            .filter(|(i, c)| index.locate_point(c.x, c.y) == Some(*i as u32))
            .count();
        println!("{TEST}: {pass} pass, {} points in {:.3} s", insides.len(), real::cpu() - start);
        assert!(right >= insides.len() - 5, "{right} of {}", insides.len());
    }
    // Identical borders: each attaches to itself alone.
    let start = real::cpu();
    let sample = all.iter().enumerate().step_by(7);
    let mut seen = 0;
    for (i, g) in sample {
        // Overlaps in the source itself would be its own fault: they are rare.
        let attached = index.attach(g, &NoiseRule::default());
        assert!(attached.payloads.contains(&(i as u32)), "{}", features[i].text("code"));
        seen += usize::from(attached.payloads.len() == 1);
    }
    println!("{TEST}: {seen} of {} alone, in {:.3} s", all.len().div_ceil(7), real::cpu() - start);
    assert!(seen * 1000 >= all.len() / 7 * 995);
}

/// The communes of 2025, through `ogr2ogr`.
fn communes_2025(test: &str) -> Option<Vec<real::Feature>> {
    let path = real::path(test, "communes-2025.fgb.gz")?;
    let source = format!("/vsigzip/{}", path.canonicalize().unwrap().display());
    let run = Command::new("ogr2ogr")
        .args([
            "-f",
            "GeoJSON",
            "-where",
            "type='COM'",
            "-select",
            "code",
            "-lco",
            "COORDINATE_PRECISION=9",
        ])
        .args(["/vsistdout/", &source])
        .output();
    match run {
        Ok(output) if output.status.success() => Some(real::parse(&output.stdout)),
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => {
            println!("{test}: skipped, ogr2ogr is not installed");
            None
        }
    }
}

#[test]
fn qpv_agree_with_their_own_lists() {
    const TEST: &str = "qpv_agree_with_their_own_lists";
    let Some(qpv) = real::features(TEST, "qpv-2024/qpv2024.geojson.gz") else { return };
    let Some(communes) = communes_2025(TEST) else { return };
    let ranks: HashMap<&str, u32> =
        communes.iter().enumerate().map(|(i, f)| (f.text("code"), i as u32)).collect();
    let index =
        BorderIndex::new(communes.iter().enumerate().map(|(i, f)| (i as u32, f.geometry())));
    let (mut agree, mut compared, mut discarded, mut slowest) = (0, 0, 0, 0.0f64);
    let start = real::cpu();
    for feature in &qpv {
        let listed: Option<Vec<u32>> =
            feature.text("insee_com").split(',').map(|c| ranks.get(c.trim()).copied()).collect();
        // Communes of other vintages, and arrondissements of Paris, Lyon and Marseille.
        let Some(mut listed) = listed else { continue };
        listed.sort_unstable();
        let g = feature.geometry();
        let g = if validity::check(&g).is_ok() { Some(g) } else { validity::repair(g) };
        let Some(g) = g else {
            println!("{TEST}: {} cannot be repaired", feature.text("code_qp"));
            continue;
        };
        let one = real::cpu();
        let attached = index.attach(&g, &NoiseRule::default());
        slowest = slowest.max(real::cpu() - one);
        compared += 1;
        agree += usize::from(attached.payloads == listed);
        discarded += attached.discarded.len();
    }
    println!(
        "{TEST}: {agree} of {compared} agree, {discarded} overlaps discarded, {:.3} s, slowest {slowest} s",
        real::cpu() - start
    );
    assert!(agree * 100 >= compared * 95);
}

/// A neighbour that shares a border is not on the polygon, wherever its outline begins; what is too
/// small to be measured is where it is.
#[test]
fn touching_is_no_overlap() {
    let index = BorderIndex::new([(7, rect(2.0, 48.0, 0.1, 0.1).into())]);
    let on = |g: Geometry<f64>| attach(&index, g).payloads;
    assert!(on(rect(2.1, 48.0, 0.1, 0.1).into()).is_empty());
    assert!(on(rect(2.1, 48.02, 0.1, 0.01).into()).is_empty());
    assert!(on(line(&[(2.1, 48.05), (2.2, 48.05)]).into()).is_empty());
    assert_eq!(on(rect(2.05, 48.05, 1e-9, 1e-9).into()), [7]);
    assert_eq!(on(line(&[(2.05, 48.05), (2.05, 48.05)]).into()), [7]);
}
