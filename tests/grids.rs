//! `WorldCRS84Quad` beside `WebMercatorQuad`: the same features in tiles of even degrees, wherever
//! tiles are served.

use crate::support::{Server, demo_server, gunzip, has, tool};
use serde_json::Value;
use socle::formats::mvt;
use std::collections::{BTreeMap, BTreeSet};

over_both!(
    tiles_hold_the_features_of_their_degrees,
    positions_are_those_of_the_features,
    every_kind_of_tile_is_served_in_both_grids,
    tilesets_and_grids_are_listed,
    gdal_reads_a_tile,
);

/// Around Lille: zoom, row, column; 0.3515625° wide, from 2.8125° E and 50.9765625° N.
const LILLE: (u8, u32, u32) = (9, 111, 520);

fn bounds((z, row, col): (u8, u32, u32), buffer: f64) -> [f64; 4] {
    let side = 180.0 / f64::from(1u32 << z);
    let (west, north) = (-180.0 + f64::from(col) * side, 90.0 - f64::from(row) * side);
    let more = buffer * side;
    [west - more, north - side - more, west + side + more, north + more]
}

fn path((z, row, col): (u8, u32, u32)) -> String {
    format!("tiles/WorldCRS84Quad/{z}/{row}/{col}")
}

fn codes(features: &Value) -> BTreeSet<String> {
    let features = features["features"].as_array().unwrap();
    features.iter().map(|f| f["properties"]["code"].as_str().unwrap().to_owned()).collect()
}

fn items(server: &Server, [w, s, e, n]: [f64; 4]) -> BTreeSet<String> {
    let path = format!("/collections/communes/items?limit=1000&bbox={w},{s},{e},{n}");
    codes(&server.json(&path))
}

fn tiles_hold_the_features_of_their_degrees() {
    let server = demo_server();
    for tile in [LILLE, (7, 27, 130), (11, 447, 2082), (15, 7167, 33_325)] {
        let path = format!("/collections/communes/{}?f=geojson", path(tile));
        let shown = codes(&server.json(&path));
        // Borders are generalised, and tiles have a buffer.
        let inside = items(&server, bounds(tile, -0.02));
        let around = items(&server, bounds(tile, 0.04));
        assert!(!inside.is_empty(), "{tile:?}");
        let missing: Vec<_> = inside.difference(&shown).collect();
        assert!(missing.is_empty(), "{tile:?}: {missing:?}");
        let more: Vec<_> = shown.difference(&around).collect();
        assert!(more.is_empty(), "{tile:?}: {more:?}");
    }
    // Out of the layer, and out of the grid.
    assert_eq!(server.get(&format!("/collections/communes/{}", path((9, 111, 0)))).status, 204);
    for outside in [(9, 512, 0), (9, 0, 1024), (24, 0, 0)] {
        let answer = server.get(&format!("/collections/communes/{}", path(outside)));
        assert_eq!(answer.status, 404, "{outside:?}");
        assert!(answer.text().contains("WorldCRS84Quad"), "{}", answer.text());
    }
}

fn positions_are_those_of_the_features() {
    let server = demo_server();
    let place = |f: &Value| {
        let at = |i: usize| f["geometry"]["coordinates"][i].as_f64().unwrap();
        [at(0), at(1)]
    };
    let by_code = |features: &Value| -> BTreeMap<String, [f64; 2]> {
        let features = features["features"].as_array().unwrap();
        let code = |f: &Value| f["properties"]["code_insee"].as_str().unwrap().to_owned();
        // `bbox` lets through what has no place.
        let placed = features.iter().filter(|f| !f["geometry"].is_null());
        placed.map(|f| (code(f), place(f))).collect()
    };
    for z in [7u8, 10, 12] {
        let side = 180.0 / f64::from(1u32 << z);
        let tile = (z, ((90.0 - 50.63) / side) as u32, ((180.0 + 3.06) / side) as u32);
        let shown = server.json(&format!("/collections/mairies/{}?f=geojson", path(tile)));
        let [w, s, e, n] = bounds(tile, 0.1);
        let items =
            server.json(&format!("/collections/mairies/items?limit=5000&bbox={w},{s},{e},{n}"));
        let (shown, items) = (by_code(&shown), by_code(&items));
        assert!(!shown.is_empty(), "z{z}");
        for (code, [x, y]) in &shown {
            // Rounded to the prepared grid, then to the tile's.
            let ([ix, iy], step) = (items[code], 1.01 * side / 4096.0);
            let near = (x - ix).abs() <= step && (y - iy).abs() <= step;
            assert!(near, "z{z} {code}: {x} {y} for {ix} {iy}");
        }
    }
}

fn every_kind_of_tile_is_served_in_both_grids() {
    let server = demo_server();
    let get = |path: &str| {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer
    };
    let tile = path(LILLE);
    let alone = |before: &str, id: &str| get(&format!("{before}/collections/{id}/{tile}")).body;
    let communes = get(&format!("/collections/communes/{tile}"));
    assert_eq!(communes.header("content-type"), Some("application/vnd.mapbox-vector-tile"));
    // Of several layers, of a scope, cut at its border, filtered.
    let both = get(&format!("/{tile}?collections=mairies,communes"));
    assert_eq!(both.body, [alone("", "communes"), alone("", "mairies")].concat());
    let scoped = alone("/t/epci-200093201", "communes");
    assert_eq!(scoped, get(&format!("/collections/communes/{tile}?territory=epci:200093201")).body);
    let cut = alone("/t/epci-200093201-clip", "communes");
    let filtered = get(&format!("/collections/communes/{tile}?filter=population%3E20000")).body;
    let count = |body: &[u8]| mvt::read(body).unwrap()[0].features.len();
    assert!(count(&filtered) < count(&scoped) && count(&scoped) < count(&communes.body));
    assert!(count(&cut) <= count(&scoped) && cut != scoped);
    // Its tags are its own; gzip, 304 and versioned addresses as everywhere.
    let mercator = get("/collections/communes/tiles/WebMercatorQuad/9/172/260");
    let etag = communes.header("etag").unwrap();
    assert_ne!(Some(etag), mercator.header("etag"));
    let path = format!("/collections/communes/{tile}");
    assert_eq!(server.send("GET", &path, &[("if-none-match", etag)]).status, 304);
    let gzip = server.send("GET", &path, &[("accept-encoding", "gzip")]);
    assert_eq!(gunzip(&gzip.body), communes.body);
    let version = server.json("/collections/communes/versions")["versions"][0]["id"].clone();
    let old = server.send("GET", &format!("{path}?v={}", version.as_str().unwrap_or("x")), &[]);
    assert!(old.status == 200 || (300..400).contains(&old.status), "{}", old.status);
}

fn tilesets_and_grids_are_listed() {
    let server = demo_server();
    let ids = |list: &Value, member: &str, id: &str| -> Vec<String> {
        let list = list[member].as_array().unwrap();
        list.iter().map(|t| t[id].as_str().unwrap().to_owned()).collect()
    };
    let both = ["WebMercatorQuad", "WorldCRS84Quad"];
    let grids = server.json("/tileMatrixSets");
    assert_eq!(ids(&grids, "tileMatrixSets", "id"), both);
    for list in ["/collections/communes/tiles", "/tiles", "/t/dep-59/collections/communes/tiles"] {
        assert_eq!(ids(&server.json(list), "tilesets", "tileMatrixSetId"), both, "{list}");
    }
    let grid = server.json("/tileMatrixSets/WorldCRS84Quad");
    assert_eq!(grid["crs"], "http://www.opengis.net/def/crs/OGC/1.3/CRS84");
    assert_eq!(grid["tileMatrices"][9]["matrixWidth"], 1024);
    let of = |grid: &str| server.json(&format!("/collections/communes/tiles/{grid}"));
    let (mercator, crs84) = (of("WebMercatorQuad"), of("WorldCRS84Quad"));
    assert_eq!(crs84["crs"], grid["crs"]);
    // Its tiles are as wide a zoom earlier: 0 to 12 for 0 to 13.
    let zooms = |t: &Value| {
        (t["layers"][0]["minTileMatrix"].clone(), t["layers"][0]["maxTileMatrix"].clone())
    };
    assert_eq!(zooms(&mercator), ("0".into(), "13".into()));
    assert_eq!(zooms(&crs84), ("0".into(), "12".into()));
    let limits = crs84["tileMatrixSetLimits"].as_array().unwrap();
    assert_eq!(limits.len(), 13);
    let limit = limits.iter().find(|l| l["tileMatrix"] == "9").unwrap();
    let between = |low: &str, high: &str, at: u32| {
        limit[low].as_u64().unwrap() <= at.into() && u64::from(at) <= limit[high].as_u64().unwrap()
    };
    assert!(between("minTileRow", "maxTileRow", 111) && between("minTileCol", "maxTileCol", 520));
    // TileJSON knows web mercator only.
    let describes =
        |t: &Value| t["links"].as_array().unwrap().iter().any(|l| l["rel"] == "describedby");
    assert!(describes(&mercator) && !describes(&crs84));
    let item = crs84["links"].as_array().unwrap().iter().find(|l| l["rel"] == "item").unwrap();
    let template = item["href"].as_str().unwrap();
    assert!(template.ends_with("WorldCRS84Quad/{tileMatrix}/{tileRow}/{tileCol}"), "{template}");
    let refused = server.get("/tileMatrixSets/Lambert93");
    assert!(refused.status == 404 && refused.text().contains("WorldCRS84Quad"));
}

/// GDAL reads a tile of it as of any other: what is in it, and where in the tile.
fn gdal_reads_a_tile() {
    if !has("ogrinfo") {
        return;
    }
    let server = demo_server();
    let dir = tempfile::tempdir().unwrap();
    let body = server.get(&format!("/collections/communes/{}", path(LILLE))).body;
    let file = dir.path().join("tile.pbf");
    std::fs::write(&file, &body).unwrap();
    let source = format!("MVT:{}", file.display());
    let said = tool("ogrinfo", &["-ro", "-so", "-al", "-oo", "CLIP=NO", &source]);
    let layer = mvt::read(&body).unwrap().remove(0);
    let expected = layer.features.len();
    assert!(said.contains(&format!("Feature Count: {expected}")), "{said}");
    let extent = said.lines().find_map(|l| l.strip_prefix("Extent: ")).unwrap();
    let found: Vec<f64> = extent
        .split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'))
        .filter_map(|n| n.parse().ok())
        .collect();
    let vertices = || layer.features.iter().flat_map(|f| &f.paths).flatten();
    let (x, y) = (|| vertices().map(|v| v[0]), || vertices().map(|v| 4096 - v[1]));
    let sides = [x().min(), y().min(), x().max(), y().max()];
    assert_eq!(found, sides.map(|side| f64::from(side.unwrap())), "{extent}");
}
