//! Layers of many points: no tile of a small zoom weighs more than it may, the important stay, and
//! nothing is lost elsewhere.

use crate::support::{Server, Site, gunzip, said};
use serde_json::Value;
use socle::formats::mvt::{self, DecodedValue};
use std::{collections::BTreeSet, fmt::Write, fs};

over_both!(tiles_of_many_points_keep_their_budget);

/// Points around Lyon; the larger `effectif`, the fewer there are.
const POINTS: usize = 24_000;

fn site(tiles: &str) -> Site {
    let site = Site::new();
    let mut csv = String::from("siret,nom,effectif,lon,lat\n");
    let mut random = 7u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as f64 / f64::from(1u32 << 31)
    };
    for i in 0..POINTS {
        // Dense in the middle, as towns are.
        let (a, b, c, d) = (next(), next(), next(), next());
        let (lon, lat) = (4.8 + (a - 0.5) * b * 4.0, 45.7 + (c - 0.5) * d * 3.0);
        let staff = (i * 7_919) % POINTS;
        writeln!(csv, "{i:014},Établissement numéro {i},{staff},{lon:.6},{lat:.6}").unwrap();
    }
    fs::write(site.path("points.csv"), csv).unwrap();
    site.layer(
        "points",
        &format!(
            "key = \"siret\"\n[source]\npath = \"../points.csv\"\nformat = \"csv\"\ncrs = \"EPSG:4326\"\n[source.csv]\nx = \"lon\"\ny = \"lat\"\ntext = [\"siret\"]\n[tiles]\nmax_zoom = 12\n{tiles}"
        ),
    );
    site
}

/// The staff of the points that lie in a tile itself, and the tile's size.
fn tile(server: &Server, z: u8, x: u32, y: u32) -> (Vec<i64>, usize) {
    let path = format!("/collections/points/tiles/{z}/{x}/{y}.mvt");
    let answer = server.send("GET", &path, &[("accept-encoding", "gzip")]);
    if answer.status == 204 {
        return (Vec::new(), 0);
    }
    let bytes = gunzip(&answer.body);
    let layers = mvt::read(&bytes).unwrap();
    let layer = &layers[0];
    let staff = layer.features.iter().filter_map(|f| {
        let [px, py] = f.paths[0][0];
        let inside = (0..4096).contains(&px) && (0..4096).contains(&py);
        let value = layer.properties(f).find(|(k, _)| *k == "effectif").unwrap().1;
        match value {
            DecodedValue::Uint(n) => inside.then_some(i64::try_from(*n).unwrap()),
            DecodedValue::Int(n) => inside.then_some(*n),
            other => panic!("{other:?}"),
        }
    });
    (staff.collect(), bytes.len())
}

/// All points of a zoom, and its largest tile.
fn zoom(server: &Server, z: u8) -> (BTreeSet<i64>, usize) {
    let side = f64::from(1u32 << z);
    let column = |lon: f64| ((lon + 180.0) / 360.0 * side) as u32;
    let row = |lat: f64| {
        ((1.0 - lat.to_radians().tan().asinh() / std::f64::consts::PI) / 2.0 * side) as u32
    };
    let (mut all, mut largest) = (BTreeSet::new(), 0);
    for y in row(47.3)..=row(44.1) {
        for x in column(2.7)..=column(6.9) {
            let (staff, bytes) = tile(server, z, x, y);
            all.extend(staff);
            largest = largest.max(bytes);
        }
    }
    (all, largest)
}

fn tiles_of_many_points_keep_their_budget() {
    let site = site("budget_kb = 200\nimportance = \"effectif\"");
    let report = site.harvest();
    assert!(report.contains("éclaircis"), "{report}");
    let server = site.serve();
    let json = server.json("/collections/points/tilejson.json");
    let thinned = &json["socle"]["thinned"];
    assert_eq!(
        (&thinned["budget"], &thinned["importance"]),
        (&(200 * 1024).into(), &"effectif".into())
    );
    let mut before = BTreeSet::new();
    for range in thinned["shown"].as_array().unwrap() {
        let number = |name: &str| u8::try_from(range[name].as_u64().unwrap()).unwrap();
        let (first, last) = (number("min_zoom"), number("max_zoom"));
        // Every zoom of the range shows the same points; the first one has the largest tiles.
        for z in [first, last] {
            let (points, largest) = zoom(&server, z);
            assert_eq!(range["features"], points.len(), "z{z}");
            assert!(largest <= 200 * 1024 || last == 12, "z{z}: {largest}");
            assert!(points.is_superset(&before), "z{z}: a point vanished");
            if z == first && points.len() < POINTS && z <= 4 {
                // One tile sees them all: it holds the most important ones, and is well filled.
                let least = i64::try_from(POINTS - points.len()).unwrap();
                assert!(*points.first().unwrap() >= least - 100, "z{z}: {:?}", points.first());
                assert!(largest > 150 * 1024, "z{z}: {largest}");
            }
            before = points;
        }
    }
    assert_eq!(before.len(), POINTS);
    let hits = server.json("/collections/points/items?resultType=hits");
    assert_eq!(hits["numberMatched"], POINTS);
}

#[test]
fn what_has_room_is_not_thinned_and_a_wrong_column_is_refused() {
    let all = site("budget_kb = 0");
    let report = all.harvest();
    assert!(!report.contains("éclaircis"), "{report}");
    let server = all.serve();
    let json = server.json("/collections/points/tilejson.json");
    assert_eq!(json["socle"]["thinned"], Value::Null);
    assert_eq!(tile(&server, 4, 8, 5).0.len(), POINTS);

    for column in ["employés", "nom"] {
        let wrong = site(&format!("importance = \"{column}\""));
        let output = wrong.run(&["harvest"]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("effectif"), "{}", said(&output));
    }
}
