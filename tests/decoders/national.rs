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

/// A layer of the whole country.
struct National {
    layer: &'static str,
    file: &'static str,
    /// The property that names a feature, and is its key.
    code: &'static str,
    /// More keys of its configuration.
    more: &'static str,
    /// From this zoom on all features are shown, and how many they are.
    whole: (u8, usize),
}

#[test]
fn tiles_of_france_and_overseas_are_what_others_expect() {
    // Places of 1,584 towns, on four oceans. A town's quarter is a speck on a map of the world.
    let quarters = National {
        layer: "qpv",
        file: "qpv-2024/qpv2024.geojson.gz",
        code: "code_qp",
        more: "[tiles]\nmax_zoom = 13",
        whole: (8, 1_584),
    };
    quarters.check();
    // From the zoom on at which tiles of them weigh what tiles may.
    let communes = National {
        layer: "communes",
        file: "communes-2018.geojson.gz",
        code: "code",
        more: "",
        whole: (8, 35_357),
    };
    communes.check();
}

impl National {
    fn check(&self) {
        let Self { layer, code, more, whole: (zoom, count), .. } = self;
        let Some(file) = shared(self.file) else { return };
        let site = Site::new();
        let packed = fs::read(file).unwrap();
        let geojson = site.path("source.geojson");
        fs::write(&geojson, gunzip(&packed)).unwrap();
        let config = format!("key = \"{code}\"\n[source]\npath = \"../source.geojson\"\n{more}");
        site.layer(layer, &config);
        site.harvest();
        let archive = site.path("all.mbtiles");
        let baked = site.run(&["bake", layer, "--max-zoom", "10", "-o", archive.to_str().unwrap()]);
        assert!(baked.status.success(), "{}", said(&baked));
        let counts = by_all(&archive, site.dir.path());
        // Small ones come with the zooms; those on a tile's edge are in two tiles.
        let seen = |z: u8| counts.get(&(z, (*layer).to_owned())).copied().unwrap_or(0);
        let all: Vec<usize> = (0..=10).map(seen).collect();
        assert!(all.is_sorted() && seen(*zoom) >= *count, "{all:?}");
        println!("{layer}: {all:?} features in the tiles of zooms 0 to 10");
        self.by_postgis(&geojson, &bake::tiles(&archive));
    }

    /// `ST_AsMVT` of the same features: none is missing that is as large as two pixels by two, none is
    /// there that is not, and areas differ by less than a pixel along the outline.
    fn by_postgis(&self, file: &Path, tiles: &Tiles) {
        let Self { layer, code, .. } = self;
        if !has("ogr2ogr") {
            return;
        }
        let Some(server) = postgres::shared() else { return };
        let database = server.database();
        let to = format!(
            "PG:host=127.0.0.1 port={} user={} dbname={database}",
            server.port,
            postgres::USER
        );
        let written = ["-f", "PostgreSQL", &to, file.to_str().unwrap(), "-nln", layer];
        let names = ["-nlt", "PROMOTE_TO_MULTI", "-t_srs", "EPSG:3857", "-lco", "GEOMETRY_NAME=g"];
        tool("ogr2ogr", &[written, names].concat());
        server.sql(
            &database,
            &format!("UPDATE {layer} SET g = ST_CollectionExtract(ST_MakeValid(g), 3) WHERE NOT ST_IsValid(g)"),
        );
        let every = tiles.len() / SAMPLES + 1;
        let mut compared = 0;
        for ((z, x, y), ours) in tiles.iter().skip(every / 2).step_by(every) {
            let sql = format!(
                "SELECT encode(ST_AsMVT(t, '{layer}', 4096, 'm'), 'hex') FROM (
                   SELECT {code}, ST_AsMVTGeom(g, ST_TileEnvelope({z}, {x}, {y}), 4096, 64, true) AS m
                   FROM {layer} WHERE g && ST_TileEnvelope({z}, {x}, {y}, margin => 64.0 / 4096)) t
                 WHERE m IS NOT NULL"
            );
            let hex = server.sql(&database, &sql);
            let theirs: Vec<u8> = hex
                .as_bytes()
                .chunks(2)
                .map(|h| u8::from_str_radix(std::str::from_utf8(h).unwrap(), 16).unwrap())
                .collect();
            let place = format!("{z}/{x}/{y}");
            let (ours, theirs) = (shapes(ours, code), shapes(&theirs, code));
            for (name, theirs) in &theirs {
                let found = ours.get(name).copied();
                if theirs.area >= 4.0 * PIXEL * PIXEL {
                    assert!(found.is_some(), "{place}: {name} is missing, {theirs:?}");
                }
                let Some(found) = found else { continue };
                let within = PIXEL * (theirs.length.max(found.length) + PIXEL);
                assert!(
                    (found.area - theirs.area).abs() <= within,
                    "{place} {name}: {found:?} {theirs:?}"
                );
                compared += 1;
            }
            for (name, ours) in &ours {
                // Theirs leaves out what its own rounding empties.
                let speck = ours.area <= 4.0 * PIXEL * PIXEL;
                assert!(
                    speck || theirs.contains_key(name),
                    "{place}: {name} is not there, {ours:?}"
                );
            }
        }
        assert!(compared > SAMPLES, "{compared}");
    }
}

/// What a tile shows of a feature, in its own units.
#[derive(Debug, Default, Clone, Copy)]
struct Shape {
    area: f64,
    length: f64,
}

/// The features of a tile by their code.
fn shapes(tile: &[u8], name: &str) -> BTreeMap<String, Shape> {
    let layers = mvt::read(tile).unwrap();
    let mut shapes: BTreeMap<String, Shape> = BTreeMap::new();
    for layer in &layers {
        for feature in &layer.features {
            let code = layer.properties(feature).find_map(|(key, value)| match value {
                DecodedValue::Text(text) if key == name => Some(text.clone()),
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
