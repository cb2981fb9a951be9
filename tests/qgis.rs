//! QGIS, unmodified, as a client: layers added by address, vector tiles with their style, a
//! version's file opened from the store. The scripts are in `tests/qgis/`, run by the system's
//! Python, for which Debian builds QGIS.

use crate::support::{Server, Site, demo, demo_server, finish, finish_within, has, root};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::Command,
    time::Duration,
};

/// Debian's Python: another one first in `PATH` does not know QGIS.
const PYTHON: &str = "/usr/bin/python3";

/// The box of the features' test, west, south, east, north: around Lille.
const LILLE: [&str; 4] = ["3.0", "50.6", "3.1", "50.7"];

/// Whether QGIS is there; says so when it is not.
pub fn found() -> bool {
    let found = finish(Command::new(PYTHON).args(["-c", "import qgis.core"]));
    let found = found.status.success();
    if !found {
        println!("skipped: QGIS for Python (Debian's python3-qgis) is not installed");
    }
    found
}

/// Runs a script of `folder` and reads its last line.
fn script(mut command: Command, folder: &Path, name: &str, args: &[&str]) -> Value {
    // -B: no byte code is left beside the scripts.
    command.arg("-B").arg(folder.join(name)).args(args);
    // The threads of QGIS 3.22's providers may wait for each other for ever: who hangs is asked
    // once more.
    let output = finish_within(&mut command, Duration::from_secs(300))
        .or_else(|| finish_within(&mut command, Duration::from_secs(300)))
        .unwrap_or_else(|| panic!("QGIS hung twice in {name} {args:?}"));
    let out = String::from_utf8_lossy(&output.stdout);
    let line = out.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|e| {
        panic!("{name}: {e}: {out}\n{}", String::from_utf8_lossy(&output.stderr))
    })
}

/// Runs one of the scripts.
pub fn run(name: &str, args: &[&str]) -> Value {
    script(Command::new(PYTHON), &root().join("tests/qgis"), name, args)
}

fn features(url: &str) -> Value {
    run("features.py", &[&[url, "communes"], LILLE.as_slice()].concat())
}

#[test]
fn qgis_adds_the_layers_of_the_service_and_of_a_scope() {
    if !found() {
        return;
    }
    let server = demo_server();
    let all = features(&server.base);
    assert_eq!(all["count"], 3_782, "{all}");
    assert_eq!(all["features"], 3_782, "paging gives every feature");
    assert_eq!(all["distinct"], 3_782, "once");
    assert_eq!(all["empty"], 0, "each with its geometry");
    assert_eq!(all["departements"], json!(["02", "59", "60", "62", "80"]));
    assert_eq!(all["lille"], "Lille");
    assert_eq!(all["geometry"], 2, "polygons");
    // QGIS names CRS84 by its twin in longitude, latitude order.
    assert!(["EPSG:4326", "OGC:CRS84"].contains(&all["crs"].as_str().unwrap()), "{all}");
    for (field, kind) in
        [("code", "String"), ("nom", "String"), ("epci", "String"), ("population", "Integer")]
    {
        assert_eq!(all["fields"][field], kind, "{all}");
    }

    // Without the final `/`, as people paste it.
    let nord = features(&format!("{}t/dep-59", server.base));
    assert_eq!(nord["count"], 647, "{nord}");
    assert_eq!(nord["features"], 647);
    assert_eq!(nord["distinct"], 647);
    assert_eq!(nord["departements"], json!(["59"]));
    assert_eq!(nord["fields"], all["fields"]);

    // What QGIS shows in a box is what the server selects by it.
    let url = format!("/collections/communes/items?bbox={}&limit=100", LILLE.join(","));
    let asked = server.json(&url);
    let mut codes: Vec<&str> =
        asked["features"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap()).collect();
    codes.sort_unstable();
    assert!(codes.contains(&"59350") && codes.len() < 40, "{codes:?}");
    assert_eq!(all["inside"], json!(codes));
    assert_eq!(nord["inside"], json!(codes));
}

/// Draws a layer of the demo from the addresses its page gives.
pub fn draw(server: &Server, root: &str, layer: &str, png: &Path) -> Value {
    let base = format!("{}{root}", server.base);
    let template = format!("{base}collections/{layer}/tiles/{{z}}/{{x}}/{{y}}.mvt");
    let style = format!("{base}styles/{layer}");
    let tilejson = server.json(&format!("/{root}collections/{layer}/tilejson.json"));
    let max_zoom = tilejson["maxzoom"].to_string();
    let drawn = run("tiles.py", &[&template, &style, &max_zoom, png.to_str().unwrap()]);
    assert_eq!(drawn["converted"], true, "{layer}: {drawn}");
    // Which fonts there are is the machine's matter: QGIS takes another.
    let font = |w: &&Value| !w.as_str().unwrap().contains("Referenced font");
    let warnings: Vec<&Value> = drawn["warnings"].as_array().unwrap().iter().filter(font).collect();
    assert!(warnings.is_empty(), "{layer}: {warnings:?}");
    assert_eq!(drawn["sources"][layer], json!([template]), "the style names the same tiles");
    assert_eq!(drawn["crs"], "EPSG:3857");
    drawn
}

#[test]
fn qgis_draws_vector_tiles_with_their_style_whole_and_scoped() {
    if !found() {
        return;
    }
    let server = demo_server();
    let dir = tempfile::tempdir().unwrap();
    let (whole, scoped) = (dir.path().join("whole.png"), dir.path().join("nord.png"));
    let all = draw(&server, "", "communes", &whole);
    let nord = draw(&server, "t/dep-59/", "communes", &scoped);
    // Five classes, borders between them, and everything in between by antialiasing.
    assert!(all["colours"].as_u64().unwrap() > 100, "{all}");
    assert!(nord["colours"].as_u64().unwrap() > 100, "{nord}");
    let (all, nord) = (all["drawn"].as_f64().unwrap(), nord["drawn"].as_f64().unwrap());
    assert!(fs::read(&whole).unwrap() != fs::read(&scoped).unwrap(), "two pictures");
    // The Nord is 5,743 km² of the region's 31,806.
    let share = nord / all;
    assert!((0.16..0.21).contains(&share), "the Nord is {share} of the region");
    for layer in ["cantons", "mairies"] {
        let drawn = draw(&server, "", layer, &dir.path().join(format!("{layer}.png")));
        assert!(drawn["drawn"].as_u64().unwrap() > 10_000, "{layer}: {drawn}");
    }
}

#[test]
fn qgis_draws_layers_that_have_no_style_of_their_own() {
    if !found() {
        return;
    }
    let shapes = [
        json!({ "type": "Point", "coordinates": [2.5, 50.0] }),
        json!({ "type": "LineString", "coordinates": [[2.0, 49.5], [3.5, 50.5]] }),
        json!({ "type": "Polygon", "coordinates": [[[2, 49.2], [3, 49.2], [3, 50], [2, 49.2]]] }),
    ];
    let site = Site::new();
    let kinds = [("points", 0..1), ("lignes", 1..2), ("surfaces", 2..3), ("melange", 0..3)];
    for (name, of) in kinds.clone() {
        let features: Vec<Value> = shapes[of]
            .iter()
            .map(|g| json!({ "type": "Feature", "properties": { "a": 1 }, "geometry": g }))
            .collect();
        let text = json!({ "type": "FeatureCollection", "features": features }).to_string();
        fs::write(site.path(&format!("{name}.geojson")), text).unwrap();
        site.layer(name, &format!("[source]\npath = \"../{name}.geojson\""));
    }
    site.harvest();
    let server = site.serve();
    for (name, _) in kinds {
        let drawn = draw(&server, "", name, &site.path("picture.png"));
        assert!(drawn["drawn"].as_u64().unwrap() > 20, "{name}: {drawn}");
    }
}

/// The store's files are shown to whoever may read them; a copy keeps their mode, in a folder
/// where another user could write a journal beside them if the file asked for one.
/// QGIS turns conditions on times into `datetime`, from the year 0000 or to 9999 where one end is open.
/// That the server answered them is seen by what has no time: it matches there, not in QGIS.
#[test]
fn qgis_filters_by_times() {
    if !found() {
        return;
    }
    let (_site, server) = crate::times::site();
    for (layer, condition, expected) in [
        ("instants", "\"instant\" >= '2024-02-01T00:00:00Z'", ["b", "c", "d"].as_slice()),
        ("instants", "\"instant\" <= '2024-02-01T00:00:00Z'", &["a", "d"]),
        (
            "instants",
            "\"instant\" >= '2024-02-01T00:00:00Z' AND \"instant\" <= '2024-12-31T00:00:00Z'",
            &["b", "d"],
        ),
        ("jours", "\"jour\" >= '2024-02-01'", &["b", "c", "d"]),
    ] {
        let seen = run("times.py", &[&server.base, layer, condition]);
        assert_eq!(seen["ids"], json!(expected), "{condition}: {seen}");
        let types = (&seen["fields"]["jour"], &seen["fields"]["instant"]);
        assert_eq!(types, (&"Date".into(), &"DateTime".into()), "{seen}");
    }
}

#[test]
fn qgis_reads_a_version_as_another_user_and_changes_nothing() {
    if !found() || !has("runuser") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    if fs::metadata(dir.path()).unwrap().uid() != 0 {
        println!("skipped: only root becomes another user");
        return;
    }
    let versions = demo().join("store/layers/communes/versions");
    let stored = fs::read_dir(versions)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "gpkg"))
        .unwrap();
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    open(dir.path());
    let folder = dir.path().join("store");
    fs::create_dir(&folder).unwrap();
    open(&folder);
    let file = folder.join("communes.gpkg");
    fs::copy(&stored, &file).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&file), mode(&stored));
    for name in ["common.py", "geopackage.py"] {
        let copy = dir.path().join(name);
        fs::copy(root().join("tests/qgis").join(name), &copy).unwrap();
        open(&copy);
    }
    let before = (fs::read(&file).unwrap(), fs::metadata(&file).unwrap().modified().unwrap());

    let mut command = Command::new("runuser");
    command.current_dir(dir.path()).env("TMPDIR", dir.path());
    command.args(["-u", "nobody", "--", PYTHON]);
    let seen = script(command, dir.path(), "geopackage.py", &[file.to_str().unwrap()]);
    assert_ne!(seen["uid"], 0, "{seen}");
    assert_eq!(seen["sublayers"], 1, "one layer, no table of our own: {seen}");
    assert_eq!(seen["count"], 3_782);
    assert_eq!(seen["features"], 3_782);
    assert_eq!(seen["beside"], json!(["communes.gpkg"]), "while it is open");

    let after = (fs::read(&file).unwrap(), fs::metadata(&file).unwrap().modified().unwrap());
    assert!(before == after, "the file changed");
    let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["communes.gpkg"], "nothing is left beside it");
}
