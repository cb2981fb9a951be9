//! Tiles of all of France, overseas included: read by all decoders, and held against what PostGIS
//! draws of the same features.

use super::by_all;
use crate::{
    bake::{self, Tiles},
    support::{Site, gunzip, has, postgres, said, shared, tool},
};
use socle::formats::mvt::{self, DecodedFeature, DecodedValue};
use std::{collections::BTreeMap, fs, path::Path};

/// A pixel of a tile of 512, in 1/4096 of it.
const PIXEL: f64 = 8.0;
/// Tiles that PostGIS draws too.
const SAMPLES: usize = 60;

#[test]
fn tiles_of_france_and_overseas_are_what_others_expect() {
    // Places of 1,584 towns, on four oceans.
    let Some(file) = shared("qpv-2024/qpv2024.geojson.gz") else { return };
    let site = Site::new();
    let packed = fs::read(file).unwrap();
    fs::write(site.path("qpv.geojson"), gunzip(&packed)).unwrap();
    site.layer(
        "qpv",
        "key = \"code_qp\"\n[source]\npath = \"../qpv.geojson\"\n[tiles]\nmax_zoom = 13",
    );
    site.harvest();
    let archive = site.path("qpv.mbtiles");
    let baked = site.run(&["bake", "qpv", "--max-zoom", "10", "-o", archive.to_str().unwrap()]);
    assert!(baked.status.success(), "{}", said(&baked));
    let counts = by_all(&archive, site.dir.path());
    // A town's quarter is a speck on a map of the world, and there in whole from zoom 8 on.
    let seen: Vec<usize> = (0..=10).map(|z| counts[&(z, "qpv".to_owned())]).collect();
    assert!(seen.is_sorted() && seen[0] > 0 && seen[8] >= 1_584, "{seen:?}");
    by_postgis(&site.path("qpv.geojson"), &bake::tiles(&archive));
}

/// What a tile shows of a feature, in its own units.
#[derive(Debug, Default, Clone, Copy)]
struct Shape {
    area: f64,
    length: f64,
}

/// `ST_AsMVT` of the same features: none is missing that is as large as two pixels by two, none is
/// there that is not, and areas differ by less than a pixel along the outline.
fn by_postgis(file: &Path, tiles: &Tiles) {
    if !has("ogr2ogr") {
        return;
    }
    let Some(server) = postgres::shared() else { return };
    let database = server.database();
    let to =
        format!("PG:host=127.0.0.1 port={} user={} dbname={database}", server.port, postgres::USER);
    let names = [
        "-nln",
        "qpv",
        "-nlt",
        "PROMOTE_TO_MULTI",
        "-t_srs",
        "EPSG:3857",
        "-lco",
        "GEOMETRY_NAME=g",
    ];
    tool("ogr2ogr", &[&["-f", "PostgreSQL", &to, file.to_str().unwrap()], &names[..]].concat());
    server.sql(
        &database,
        "UPDATE qpv SET g = ST_CollectionExtract(ST_MakeValid(g), 3) WHERE NOT ST_IsValid(g)",
    );
    let every = tiles.len() / SAMPLES + 1;
    let mut compared = 0;
    for ((z, x, y), ours) in tiles.iter().skip(every / 2).step_by(every) {
        let sql = format!(
            "SELECT encode(ST_AsMVT(t, 'qpv', 4096, 'm'), 'hex') FROM (
               SELECT code_qp, ST_AsMVTGeom(g, ST_TileEnvelope({z}, {x}, {y}), 4096, 64, true) AS m
               FROM qpv WHERE g && ST_TileEnvelope({z}, {x}, {y}, margin => 64.0 / 4096)) t
             WHERE m IS NOT NULL"
        );
        let hex = server.sql(&database, &sql);
        let theirs: Vec<u8> = hex
            .as_bytes()
            .chunks(2)
            .map(|h| u8::from_str_radix(std::str::from_utf8(h).unwrap(), 16).unwrap())
            .collect();
        let place = format!("{z}/{x}/{y}");
        let (ours, theirs) = (shapes(ours), shapes(&theirs));
        for (code, theirs) in &theirs {
            let found = ours.get(code).copied();
            if theirs.area >= 4.0 * PIXEL * PIXEL {
                assert!(found.is_some(), "{place}: {code} is missing, {theirs:?}");
            }
            let Some(found) = found else { continue };
            let within = PIXEL * (theirs.length.max(found.length) + PIXEL);
            assert!(
                (found.area - theirs.area).abs() <= within,
                "{place} {code}: {found:?} {theirs:?}"
            );
            compared += 1;
        }
        for (code, ours) in &ours {
            // Theirs leaves out what its own rounding empties.
            let speck = ours.area <= 4.0 * PIXEL * PIXEL;
            assert!(speck || theirs.contains_key(code), "{place}: {code} is not there, {ours:?}");
        }
    }
    assert!(compared > SAMPLES, "{compared}");
}

/// The features of a tile by their code.
fn shapes(tile: &[u8]) -> BTreeMap<String, Shape> {
    let layers = mvt::read(tile).unwrap();
    let mut shapes: BTreeMap<String, Shape> = BTreeMap::new();
    for layer in &layers {
        for feature in &layer.features {
            let code = layer.properties(feature).find_map(|(key, value)| match value {
                DecodedValue::Text(text) if key == "code_qp" => Some(text.clone()),
                _ => None,
            });
            let shape = shapes.entry(code.unwrap()).or_default();
            add(shape, feature);
        }
    }
    shapes
}

/// Holes turn the other way and take off what they are.
fn add(shape: &mut Shape, feature: &DecodedFeature) {
    for path in &feature.paths {
        let next = path.iter().cycle().skip(1);
        for ([x0, y0], [x1, y1]) in path.iter().zip(next) {
            let [x0, y0, x1, y1] = [*x0, *y0, *x1, *y1].map(f64::from);
            shape.area += (x0 * y1 - x1 * y0) / 2.0;
            shape.length += (x1 - x0).hypot(y1 - y0);
        }
    }
}
