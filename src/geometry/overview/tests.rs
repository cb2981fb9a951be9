use super::*;
use crate::geometry::{real, validity};
use geo_types::{Coord, LineString, MultiPolygon, Point, Polygon, polygon};
use rayon::prelude::*;
use std::collections::HashMap;

/// A decoded geometry: its kind and paths.
type Decoded = (Kind, Vec<Vec<[i32; 2]>>);

fn decode(bytes: &[u8]) -> Option<Decoded> {
    if bytes.is_empty() {
        return None;
    }
    let encoded = Encoded::read(bytes).unwrap();
    let (mut paths, mut found, mut path) = (encoded.paths(), Vec::new(), Vec::new());
    while paths.next_into(&mut path).unwrap() {
        found.push(path.clone());
    }
    let [west, north, east, south] = encoded.bounds;
    for [x, y] in found.iter().flatten().copied() {
        assert!(west <= x && x <= east && north <= y && y <= south, "outside its own box");
    }
    Some((encoded.kind, found))
}

fn area(ring: &[[i32; 2]]) -> i64 {
    grid::twice_area(ring.iter().map(|[x, y]| (i64::from(*x), i64::from(*y))))
}

/// By ordinal, what a band shows of each feature.
fn shown(overviews: &Overviews, band: &Band, count: usize) -> Vec<Option<Decoded>> {
    let mut by_ordinal = vec![None; count];
    for (position, ordinal) in overviews.order.iter().enumerate() {
        by_ordinal[*ordinal as usize] = decode(band.geometry(position));
    }
    by_ordinal
}

fn build_all(geometries: &[Geometry<f64>], min: u8, max: u8) -> Overviews {
    let refs: Vec<Option<&Geometry<f64>>> = geometries.iter().map(Some).collect();
    build(&refs, min, max)
}

/// How often each undirected edge is used by the rings of a band.
fn edges<'a>(
    shown: impl Iterator<Item = &'a Option<Decoded>>,
) -> HashMap<([i32; 2], [i32; 2]), u32> {
    let mut edges = HashMap::new();
    for ring in shown.flatten().flat_map(|(_, rings)| rings) {
        for (a, b) in ring.iter().zip(ring.iter().cycle().skip(1)) {
            *edges.entry((*a.min(b), *a.max(b))).or_default() += 1;
        }
    }
    edges
}

/// A wiggly line from `a` to `b`, both included.
fn wiggle(a: (f64, f64), b: (f64, f64), steps: u32, size: f64) -> Vec<Coord<f64>> {
    (0..=steps)
        .map(|i| {
            let t = f64::from(i) / f64::from(steps);
            let off =
                if i == 0 || i == steps { 0.0 } else { size * f64::from(i * i * 7919 % 97) / 97.0 };
            Coord { x: a.0 + t * (b.0 - a.0) + off, y: a.1 + t * (b.1 - a.1) - off / 2.0 }
        })
        .collect()
}

fn ring(parts: &[&[Coord<f64>]]) -> LineString<f64> {
    LineString(parts.iter().flat_map(|p| p.iter().copied()).collect())
}

fn reversed(line: &[Coord<f64>]) -> Vec<Coord<f64>> {
    line.iter().rev().copied().collect()
}

/// Three areas: west and east share a wiggly border from south to north; a third lies to the
/// north of both, so that there is a T-junction.
fn three_neighbours() -> Vec<Geometry<f64>> {
    // Straight for a while before they meet, so that they do not cross there.
    let junction = [Coord { x: 3.0, y: 50.5 }];
    let border = [&wiggle((3.0, 50.0), (3.0, 50.45), 400, 0.01), &junction[..]].concat();
    let north_west = [&wiggle((2.5, 50.5), (2.98, 50.5), 300, 0.01), &junction[..]].concat();
    let north_east = wiggle((3.0, 50.5), (3.5, 50.5), 300, 0.01);
    let c = |x, y| Coord { x, y };
    let west = ring(&[&border, &reversed(&north_west), &[c(2.5, 49.99), c(3.0, 49.99)]]);
    let east = ring(&[&[c(3.0, 49.99), c(3.5, 49.99)], &reversed(&north_east), &reversed(&border)]);
    let north = ring(&[&north_west, &north_east, &[c(3.5, 50.9), c(2.5, 50.9), c(2.5, 50.5)]]);
    [west, east, north].map(|r| Geometry::Polygon(Polygon::new(r, vec![]))).to_vec()
}

#[test]
fn bands_reach_the_first_zoom_and_those_of_points_are_two_apart() {
    assert_eq!(sparse_zooms(2, 14), [2, 4, 6, 8, 10, 12, 14]);
    assert_eq!(sparse_zooms(5, 13), [5, 7, 9, 11, 13]);
    assert_eq!(sparse_zooms(4, 13), [5, 7, 9, 11, 13]);
    assert_eq!(sparse_zooms(0, 2), [0, 2]);
    assert_eq!(sparse_zooms(0, 1), [1]);
    assert_eq!(sparse_zooms(9, 9), [9]);
    assert_eq!(sparse_zooms(0, 30).last(), Some(&MAX_GRID_ZOOM));
    assert_eq!(band_zooms(4, 8), [4, 5, 6, 7, 8]);
    assert_eq!((band_zooms(9, 9), band_zooms(20, 24)), (vec![9], vec![MAX_GRID_ZOOM]));
    assert_eq!(band_zooms(0, 30).last(), Some(&MAX_GRID_ZOOM));
    let shape: Geometry<f64> =
        Geometry::LineString(LineString(wiggle((3.0, 50.0), (3.1, 50.0), 9, 0.001)));
    let overviews = build(&[Some(&shape)], 2, 14);
    assert_eq!(overviews.band(6).map(|b| b.zoom), Some(6));
    assert_eq!(overviews.band(7).map(|b| b.zoom), Some(7));
    assert_eq!(overviews.band(0).map(|b| b.zoom), Some(2));
    assert_eq!(overviews.band(19).map(|b| b.zoom), Some(14));
}

#[test]
fn projection_is_web_mercator() {
    let side = 4096 << 14;
    assert_eq!(project(0.0, 0.0, 14), (side / 2, side / 2));
    assert_eq!(project(-180.0, 89.0, 14), (0, 0));
    assert_eq!(project(180.0, -89.0, 14), (side, side));
    // Lille: EPSG:4326 50.6292 3.0573 → EPSG:3857, by cs2cs.
    let metres = |m: f64| m / (2.0 * 20_037_508.342_789_244) * f64::from(side);
    let (x, y) = project(3.0573, 50.6292, 14);
    assert!((f64::from(x - side / 2) - metres(340_337.08)).abs() <= 1.0);
    assert!((f64::from(side / 2 - y) - metres(6_555_963.75)).abs() <= 1.0);
    assert_eq!(project(f64::NAN, f64::NAN, 14).0, 0);
}

#[test]
fn neighbours_keep_the_same_border_in_every_band() {
    let geometries = three_neighbours();
    let overviews = build_all(&geometries, 2, 14);
    let mut before = 0;
    for band in &overviews.bands {
        let shown = shown(&overviews, band, 3);
        let rings: Vec<&Vec<[i32; 2]>> = shown.iter().flatten().map(|(_, r)| &r[0]).collect();
        assert_eq!(rings.len(), 3, "z{}", band.zoom);
        let edges = edges(shown.iter());
        assert!(edges.values().all(|n| *n <= 2), "z{}", band.zoom);
        let sum: i64 = rings.iter().map(|r| area(r)).sum();
        let unit = 1 << (14 - band.zoom);
        let (west, north) = project(2.5, 50.9, 14);
        let (east, south) = project(3.5, 49.99, 14);
        let whole = 2 * i64::from((east - west) / unit) * i64::from((south - north) / unit);
        #[expect(clippy::cast_precision_loss)]
        let ratio = sum as f64 / whole as f64;
        assert!((ratio - 1.0).abs() < 0.02, "z{} covers {ratio}", band.zoom);
        // What is used once is the outline of the whole: no sliver inside.
        let corner = |x, y| grid::project(x, y, 14);
        let shift = 14 - band.zoom;
        let round = |(x, y): (i32, i32)| [x, y].map(|v| (v + ((1 << shift) >> 1)) >> shift);
        let ([west, north], [east, south]) = (round(corner(2.5, 50.9)), round(corner(3.5, 49.99)));
        let on = |[x, y]: [i32; 2]| x == west || x == east || y == north || y == south;
        let outline: Vec<_> = edges.iter().filter(|(_, n)| **n == 1).collect();
        let inside = outline.iter().find(|((a, b), _)| !(on(*a) && on(*b)));
        assert_eq!(inside, None, "z{}", band.zoom);
        assert!(rings[0].len() >= before, "finer bands keep more");
        before = rings[0].len();
    }
    assert!(before > 300);
}

#[test]
fn an_enclave_and_its_hole_are_one_ring() {
    let hole = wiggle((3.1, 50.1), (3.2, 50.2), 50, 0.02);
    let back = wiggle((3.2, 50.2), (3.05, 50.25), 50, 0.01);
    let inner = ring(&[&hole, &back]);
    // The enclave's own ring starts elsewhere and goes the other way.
    let mut enclave = inner.0.clone();
    enclave.rotate_left(17);
    enclave.reverse();
    let square = polygon![(x: 3., y: 50.), (x: 3.5, y: 50.), (x: 3.5, y: 50.5), (x: 3., y: 50.5)];
    let around = Geometry::Polygon(Polygon::new(square.exterior().clone(), vec![inner]));
    let enclave = Geometry::Polygon(Polygon::new(LineString(enclave), vec![]));
    // Whichever of them comes first is the one that is weighed.
    for (geometries, first) in [([&around, &enclave], 0), ([&enclave, &around], 1)] {
        let overviews = build(&geometries.map(Some), 2, 14);
        for band in &overviews.bands {
            let shown = shown(&overviews, band, 2);
            let rings = |i: usize| shown[i].as_ref().map(|(_, r)| r.clone()).unwrap_or_default();
            let sorted = |ring: &Vec<[i32; 2]>| {
                let mut vertices = ring.clone();
                vertices.sort_unstable();
                vertices
            };
            let (around, enclave) = (rings(first), rings(1 - first));
            assert_eq!(around.get(1).map(sorted), enclave.first().map(sorted), "z{}", band.zoom);
            assert!(around.get(1).is_none_or(|hole| area(hole) < 0));
            assert!(enclave.first().is_none_or(|ring| area(ring) > 0));
            assert!(band.zoom < 8 || !enclave.is_empty(), "z{}", band.zoom);
        }
    }
}

#[test]
fn islets_go_and_the_feature_stays() {
    let islet = |x: f64, y: f64, r: f64| {
        Polygon::new(
            LineString(
                (0..16)
                    .map(|i| {
                        let a = f64::from(i) / 8.0 * std::f64::consts::PI;
                        Coord { x: x + r * a.cos(), y: y + r * a.sin() }
                    })
                    .collect(),
            ),
            vec![],
        )
    };
    // A feature of one tiny island keeps it where it is at least a triangle of the grid; one
    // with a main land loses it.
    let alone = Geometry::Polygon(islet(-4.8, 48.03, 0.004));
    let with_land = Geometry::MultiPolygon(MultiPolygon(vec![
        islet(-2.0, 48.0, 0.004),
        islet(-2.3, 48.0, 0.1),
    ]));
    let overviews = build_all(&[alone, with_land], 2, 14);
    let rings = |zoom: u8| -> Vec<usize> {
        let band = overviews.bands.iter().find(|b| b.zoom == zoom).unwrap();
        shown(&overviews, band, 2).iter().map(|s| s.as_ref().map_or(0, |(_, r)| r.len())).collect()
    };
    assert_eq!(rings(14), [1, 2]);
    assert_eq!(rings(10), [1, 2]);
    assert_eq!(rings(8), [1, 2]);
    assert_eq!(rings(6), [1, 1]);
    assert_eq!(rings(2), [0, 1]);
}

#[test]
fn lines_share_and_end_where_they_did() {
    let trunk = wiggle((3.0, 50.0), (3.1, 50.0), 100, 0.001);
    let mut branch = trunk[..60].to_vec();
    branch.extend(wiggle((trunk[59].x, trunk[59].y), (3.0, 50.3), 90, 0.001).into_iter().skip(1));
    let geometries = [
        Geometry::LineString(LineString(trunk.clone())),
        Geometry::LineString(LineString(branch)),
        Geometry::LineString(LineString(vec![trunk[0]; 5])),
    ];
    let overviews = build_all(&geometries, 6, 14);
    assert_eq!(overviews.order.len(), 2, "a line without length has no geometry");
    for band in &overviews.bands {
        let shown = shown(&overviews, band, 3);
        let (Some((Kind::Lines, a)), Some((Kind::Lines, b))) = (&shown[0], &shown[1]) else {
            panic!("z{}: {shown:?}", band.zoom)
        };
        let (a, b) = (&a[0], &b[0]);
        let common = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let (x, y) = project(trunk[59].x, trunk[59].y, 14);
        let shift = 14 - band.zoom;
        let half = (1 << shift) >> 1;
        assert_eq!(a[common - 1], [(x + half) >> shift, (y + half) >> shift], "z{}", band.zoom);
    }
}

#[test]
fn points_stay_and_collections_count_with_their_highest_dimension() {
    let point = Geometry::Point(Point::new(3.0, 50.0));
    let square = Geometry::Polygon(
        polygon![(x: 3., y: 50.), (x: 3.5, y: 50.), (x: 3.5, y: 50.5), (x: 3., y: 50.5)],
    );
    let mixed = Geometry::GeometryCollection(vec![point.clone(), square].into());
    let empty = Geometry::GeometryCollection(Vec::<Geometry<f64>>::new().into());
    let many = Geometry::MultiPoint(vec![(3.0, 50.0), (3.2, 50.0)].into());
    let geometries = [Some(&point), None, Some(&mixed), Some(&empty), Some(&many)];
    let overviews = build(&geometries, 0, 12);
    let mut order = overviews.order.clone();
    order.sort_unstable();
    assert_eq!(order, [0, 2, 4]);
    for band in &overviews.bands {
        assert_eq!(band.offsets.len(), 4);
        let shown = shown(&overviews, band, 5);
        assert!(matches!(&shown[0], Some((Kind::Points, p)) if p[0].len() == 1));
        assert!(matches!(&shown[4], Some((Kind::Points, _))));
        assert!(matches!(&shown[2], None | Some((Kind::Polygons, _))));
    }
}

#[test]
fn a_ring_that_touches_itself_or_turns_back_survives() {
    let eight = polygon![(x: 0., y: 0.), (x: 1., y: 1.), (x: 2., y: 0.), (x: 2., y: 2.), (x: 1., y: 1.), (x: 0., y: 2.)];
    let spiked = polygon![(x: 4., y: 0.), (x: 5., y: 0.), (x: 7., y: 0.), (x: 5., y: 0.), (x: 5., y: 1.), (x: 4., y: 1.)];
    let overviews = build_all(&[eight, spiked].map(Geometry::Polygon), 0, 14);
    for band in &overviews.bands {
        for shown in shown(&overviews, band, 2).into_iter().flatten() {
            assert!(shown.1.iter().all(|r| r.len() >= 3 && area(r) != 0));
        }
    }
    assert!(shown(&overviews, overviews.bands.last().unwrap(), 2).iter().all(Option::is_some));
}

#[test]
fn damaged_bytes_are_told() {
    let mut bytes = Vec::new();
    let ring = [[10, 10], [500, 10], [500, 700]];
    encode(Kind::Polygons, std::iter::once(&ring[..]), &mut bytes);
    for cut in 0..bytes.len() {
        let whole = Encoded::read(&bytes[..cut]).and_then(|e| {
            let mut path = Vec::new();
            e.paths().next_into(&mut path)
        });
        // Nothing but the head is a geometry without paths.
        assert!(whole != Ok(true), "{cut}");
    }
    assert_eq!(Encoded::read(&[9, 0, 0, 0, 0]).err(), Some(Corrupt));
    assert_eq!(Encoded::read(&[1, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0]).err(), Some(Corrupt));
}

proptest::proptest! {
    #[test]
    fn what_is_written_is_read(
        kind in 1..=3u8,
        paths in proptest::collection::vec(
            proptest::collection::vec(proptest::array::uniform2(0..1 << 28), 3..40), 1..6),
    ) {
        let kind = [Kind::Points, Kind::Lines, Kind::Polygons][usize::from(kind) - 1];
        let mut bytes = Vec::new();
        encode(kind, paths.iter().map(|p| &p[..]), &mut bytes);
        proptest::prop_assert_eq!(decode(&bytes), Some((kind, paths)));
    }

    #[test]
    fn hostile_bytes_are_read_or_refused(bytes in proptest::collection::vec(0..=255u8, 0..200)) {
        if let Ok(encoded) = Encoded::read(&bytes) {
            let (mut paths, mut path) = (encoded.paths(), Vec::new());
            while let Ok(true) = paths.next_into(&mut path) {}
        }
    }

    #[test]
    fn points_are_written_as_among_other_shapes(
        points in proptest::collection::vec(
            proptest::option::of((-181.0..181.0f64, -91.0..91.0f64)), 0..60),
        repeated in 0..4usize,
        (min, max) in (0..17u8, 0..17u8),
    ) {
        let mut geometries: Vec<Option<Geometry<f64>>> = points
            .into_iter()
            .map(|p| p.map(|(x, y)| geo_types::Point::new(x, y).into()))
            .collect();
        for i in 0..repeated.min(geometries.len()) {
            geometries.push(geometries[i].clone());
        }
        let all: Vec<_> = geometries.iter().map(Option::as_ref).collect();
        let (quick, general) = (build(&all, min, max), Weighed::new(&all, max).overviews(&sparse_zooms(min, max), &BTreeMap::new()));
        proptest::prop_assert_eq!(quick.order, general.order);
        proptest::prop_assert_eq!(quick.bounds, general.bounds);
        for (a, b) in quick.bands.iter().zip(&general.bands) {
            proptest::prop_assert_eq!((a.zoom, &a.offsets, &a.bytes), (b.zoom, &b.offsets, &b.bytes));
        }
        proptest::prop_assert_eq!(quick.bands.len(), general.bands.len());
    }

    #[test]
    fn any_geometry_is_taken(
        rings in proptest::collection::vec(
            proptest::collection::vec((-200.0..200.0f64, -100.0..100.0f64), 0..12), 1..4),
        far in proptest::sample::select(vec![0.0, f64::NAN, f64::INFINITY, 1e300]),
    ) {
        let mut rings: Vec<LineString<f64>> = rings.into_iter().map(LineString::from).collect();
        if let Some(c) = rings[0].0.first_mut() {
            c.x += far;
        }
        let line = Geometry::LineString(rings[0].clone());
        let points = Geometry::MultiPoint(rings[0].clone().into_points().into());
        let polygon = Geometry::Polygon(Polygon::new(rings.remove(0), rings));
        let overviews = build_all(&[polygon.clone(), line, points, polygon], 0, 16);
        for band in &overviews.bands {
            for (kind, paths) in shown(&overviews, band, 4).into_iter().flatten() {
                let valid = |p: &Vec<[i32; 2]>| match kind {
                    Kind::Points => !p.is_empty(),
                    Kind::Lines => p.len() > 1,
                    Kind::Polygons => p.len() > 2 && area(p) != 0,
                };
                proptest::prop_assert!(paths.iter().all(valid));
            }
        }
    }

    /// A grid of cells whose corners were moved at random covers the same ground in all bands.
    #[test]
    fn a_coverage_has_no_holes(offsets in proptest::collection::vec((-0.4..0.4, -0.4..0.4), 36)) {
        let corner = |i: usize, j: usize| {
            let inner = (1..5).contains(&i) && (1..5).contains(&j);
            let (dx, dy) = if inner { offsets[i * 6 + j] } else { (0.0, 0.0) };
            #[expect(clippy::cast_precision_loss)]
            let c = Coord { x: 2.0 + (i as f64 + dx) * 0.01, y: 48.0 + (j as f64 + dy) * 0.01 };
            c
        };
        let cell = |i, j| {
            let ring = vec![corner(i, j), corner(i + 1, j), corner(i + 1, j + 1), corner(i, j + 1)];
            Geometry::Polygon(Polygon::new(LineString(ring), vec![]))
        };
        let cells: Vec<_> = (0..25).map(|n| cell(n / 5, n % 5)).collect();
        let overviews = build_all(&cells, 6, 14);
        for band in &overviews.bands {
            let shown = shown(&overviews, band, 25);
            let once: Vec<_> = edges(shown.iter()).into_iter().filter(|(_, n)| *n != 2).collect();
            // The outline is one box: whatever is used once lies on it.
            let shift = 14 - band.zoom;
            let round = |(x, y): (i32, i32)| [(x + ((1 << shift) >> 1)) >> shift, (y + ((1 << shift) >> 1)) >> shift];
            let [w, n] = round(project(2.0, 48.05, 14));
            let [e, s] = round(project(2.05, 48.0, 14));
            for ((a, b), times) in once {
                let on = |[x, y]: [i32; 2]| x == w || x == e || y == n || y == s;
                proptest::prop_assert!(times == 1 && on(a) && on(b), "z{}: {:?} {:?}", band.zoom, a, b);
            }
        }
    }
}

/// A commune of 2018: its code, name and département.
#[derive(serde::Deserialize)]
pub(crate) struct Commune {
    pub(crate) code: String,
    pub(crate) nom: String,
    pub(crate) dep: String,
}

/// The communes of 2018, from the shared data beside the project; `None` where they are not at
/// hand, said with the test's name.
pub(crate) fn communes(test: &str) -> Option<(Vec<Geometry<f64>>, Vec<Commune>)> {
    use std::io::Read;
    type Rings = Vec<Vec<[f64; 2]>>;
    #[derive(serde::Deserialize)]
    struct Collection {
        features: Vec<Feature>,
    }
    #[derive(serde::Deserialize)]
    struct Feature {
        geometry: Shape,
        properties: Commune,
    }
    #[derive(serde::Deserialize)]
    #[serde(tag = "type", content = "coordinates")]
    enum Shape {
        Polygon(Rings),
        MultiPolygon(Vec<Rings>),
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut places =
        root.ancestors().skip(1).map(|p| p.join("shared/data/communes-2018.geojson.gz"));
    let Some(file) = places.find_map(|p| std::fs::File::open(p).ok()) else {
        println!("skipped: {test} (shared data not at hand)");
        return None;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let polygon = |rings: Rings| {
        let mut rings = rings.into_iter().map(LineString::from);
        Polygon::new(rings.next().unwrap(), rings.collect())
    };
    let collection: Collection = serde_json::from_str(&text).unwrap();
    let split = |f: Feature| match f.geometry {
        Shape::Polygon(rings) => (Geometry::Polygon(polygon(rings)), f.properties),
        Shape::MultiPolygon(m) => {
            (Geometry::MultiPolygon(m.into_iter().map(polygon).collect()), f.properties)
        }
    };
    Some(collection.features.into_iter().map(split).unzip())
}

#[test]
fn communes_of_france_share_their_borders_in_every_band() {
    let test = "communes_of_france_share_their_borders_in_every_band";
    let Some((geometries, _)) = communes(test) else { return };
    let started = std::time::Instant::now();
    let overviews = build_all(&geometries, 2, 14);
    println!("built in {:?}", started.elapsed());
    let n = geometries.len();
    let mut finest_share = None;
    for band in overviews.bands.iter().rev() {
        let shown = shown(&overviews, band, n);
        let edges = edges(shown.iter());
        let shared = edges.values().filter(|n| **n == 2).count();
        let rings: Vec<&Vec<[i32; 2]>> = shown.iter().flatten().flat_map(|(_, r)| r).collect();
        let present = shown.iter().flatten().count();
        println!(
            "z{}: {} bytes, {present} features, {} vertices, {} edges, {shared} shared",
            band.zoom,
            band.bytes.len(),
            rings.iter().map(|r| r.len()).sum::<usize>(),
            edges.len()
        );
        assert!(edges.values().all(|n| *n <= 2), "z{}", band.zoom);
        // Only coasts and land borders are used once.
        assert!(shared * 100 > edges.len() * 95, "z{}", band.zoom);
        assert!(present * 100 >= n * 97, "z{}", band.zoom);
        // Together they cover what France covers, whatever the band.
        let covered: i64 = rings.iter().map(|r| area(r)).sum();
        #[expect(clippy::cast_precision_loss)]
        let share = covered as f64 / 4f64.powi(i32::from(band.zoom) + 12) / 2.0;
        let finest = *finest_share.get_or_insert(share);
        assert!((share / finest - 1.0).abs() < 0.02, "z{}: {share} of {finest}", band.zoom);
    }
}

/// What a band draws, as polygons in units of its grid: a ring wound as exteriors are begins one.
fn polygons(rings: &[Vec<[i32; 2]>]) -> MultiPolygon<f64> {
    let mut found: Vec<Polygon<f64>> = Vec::new();
    for ring in rings {
        let closed = ring.iter().chain(ring.first());
        let line: LineString<f64> = closed.map(|[x, y]| (f64::from(*x), f64::from(*y))).collect();
        match found.last_mut() {
            Some(polygon) if area(ring) < 0 => polygon.interiors_push(line),
            _ => found.push(Polygon::new(line, Vec::new())),
        }
    }
    MultiPolygon(found)
}

#[test]
fn polygons_stay_valid_in_every_band() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/demo/data/communes.geojson");
    let demo = real::parse(&std::fs::read(path).unwrap());
    let mut layers: Vec<Vec<Geometry<f64>>> =
        vec![demo.iter().map(real::Feature::geometry).collect()];
    layers.extend(communes("polygons_stay_valid_in_every_band").map(|(geometries, _)| geometries));
    for mut geometries in layers {
        geometries.retain(|geometry| validity::check(geometry).is_ok());
        let overviews = build_all(&geometries, 0, 14);
        for band in &overviews.bands {
            let shown = shown(&overviews, band, geometries.len()).into_par_iter().flatten();
            let drawn = shown.map(|(_, rings)| polygons(&rings));
            let wrong = drawn.filter(|shape| validity::check_planar(shape).is_err());
            let wrong: Vec<MultiPolygon<f64>> = wrong.collect();
            // One has a vertex a few centimetres from another edge: the finest grid itself moves it over
            // that.
            let finest = usize::from(band.zoom == 14);
            assert!(wrong.len() <= finest, "z{}: {wrong:?}", band.zoom);
        }
    }
}
