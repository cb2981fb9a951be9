//! `socle bake`, from outside: the archives hold the tiles that are served, and programs of other
//! makers read them.

use crate::support::{
    Server, Site, command, demo, demo_server, finish, gunzip, has, installed, python, said, tool,
};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path, process::Output};

over_both!(archives_hold_the_served_tiles_and_nothing_else, an_archive_of_a_territory_is_its_scope);

/// Bakes from the demo into a folder.
fn bake(args: &[&str], file: &Path) -> Output {
    let config = demo().join("socle.toml");
    let ends = ["-o", file.to_str().unwrap(), "--config", config.to_str().unwrap()];
    finish(&mut command(&[&["bake"], args, &ends[..]].concat()))
}

pub fn baked(args: &[&str], file: &Path) -> String {
    let output = bake(args, file);
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

pub type Tiles = BTreeMap<(u8, u32, u32), Vec<u8>>;

/// The tiles of an MBTiles file, unpacked, by z, x, y.
pub fn tiles(file: &Path) -> Tiles {
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut all = db.prepare("SELECT zoom_level, tile_column, tile_row, tile_data FROM tiles");
    let rows = all.as_mut().unwrap().query_map([], |row| {
        let (z, x, y): (u8, u32, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(((z, x, (1 << z) - 1 - y), gunzip(&row.get::<_, Vec<u8>>(3)?)))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn metadata(file: &Path) -> BTreeMap<String, String> {
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut all = db.prepare("SELECT name, value FROM metadata").unwrap();
    let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// Every tile around Hauts-de-France to a zoom, as a server gives them below a path.
fn served(server: &Server, path: &str, query: &str, deepest: u8) -> Tiles {
    let mut tiles = Tiles::new();
    for z in 0..=deepest {
        // 1.2° E to 4.4° E, 48.7° N to 51.2° N, and a tile more on each side.
        let side = f64::from(1u32 << z);
        let x = |lon: f64| ((lon + 180.0) / 360.0 * side) as u32;
        let row = |lat: f64| {
            let y = lat.to_radians().tan().asinh() / std::f64::consts::PI;
            ((1.0 - y) / 2.0 * side) as u32
        };
        let last = (1u32 << z) - 1;
        for y in row(51.2).saturating_sub(1)..=(row(48.7) + 1).min(last) {
            for x in x(1.2).saturating_sub(1)..=(x(4.4) + 1).min(last) {
                let answer = server.get(&format!("{path}/tiles/{z}/{x}/{y}.mvt{query}"));
                match answer.status {
                    200 => drop(tiles.insert((z, x, y), answer.body)),
                    status => assert_eq!(status, 204, "{z}/{x}/{y}"),
                }
            }
        }
    }
    tiles
}

fn archives_hold_the_served_tiles_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("all.mbtiles");
    let said = baked(&["mairies", "communes", "cantons", "communes", "--max-zoom", "9"], &file);
    let server = demo_server();
    let (ours, theirs) = (tiles(&file), served(&server, "", "", 9));
    let places = |tiles: &Tiles| tiles.keys().copied().collect::<Vec<_>>();
    assert_eq!(places(&ours), places(&theirs));
    assert!(ours == theirs, "another tile than the one served");
    assert!(said.contains(&format!("{} tuiles", ours.len())), "{said}");

    let about = metadata(&file);
    let json: Value = serde_json::from_str(&about["json"]).unwrap();
    let of_server = server.json("/tilejson.json");
    assert_eq!((&*about["format"], &*about["minzoom"], &*about["maxzoom"]), ("pbf", "0", "9"));
    assert_eq!(about["attribution"], of_server["attribution"].as_str().unwrap());
    let bounds: Vec<f64> = about["bounds"].split(',').map(|v| v.parse().unwrap()).collect();
    for (a, b) in bounds.iter().zip(of_server["bounds"].as_array().unwrap()) {
        assert!((a - b.as_f64().unwrap()).abs() < 1e-9, "{bounds:?}");
    }
    let fields = |v: &Value| -> Vec<Value> {
        v["vector_layers"].as_array().unwrap().iter().map(|l| l["fields"].clone()).collect()
    };
    assert_eq!(fields(&json), fields(&of_server));
    let stats = &json["tilestats"]["layers"][1];
    assert_eq!((&stats["layer"], &stats["count"]), (&"communes".into(), &3_782.into()));
    let of = |name: &str| {
        let all = stats["attributes"].as_array().unwrap();
        all.iter().find(|a| a["attribute"] == name).unwrap().clone()
    };
    assert_eq!(of("population")["type"], "number");
    let items = server.json("/collections/communes/items?sortby=-population&limit=1");
    assert_eq!(of("population")["max"], items["features"][0]["properties"]["population"]);
    assert_eq!(json["socle"]["layers"]["communes"]["key"], "code");
}

fn an_archive_of_a_territory_is_its_scope() {
    let dir = tempfile::tempdir().unwrap();
    let server = demo_server();
    for (mode, scope, deepest) in
        [("concerns", "epci-200093201", 11), ("clip", "epci-200093201-clip", 10)]
    {
        let file = dir.path().join(format!("{mode}.mbtiles"));
        let deep = deepest.to_string();
        let territory = ["--territory", "epci:200093201", "--territory-mode", mode];
        baked(
            &[&["communes", "--max-zoom", &deep, "--min-zoom", "7"], &territory[..]].concat(),
            &file,
        );
        let mut theirs = served(&server, &format!("/t/{scope}/collections/communes"), "", deepest);
        theirs.retain(|(z, ..), _| *z >= 7);
        assert!(tiles(&file) == theirs, "{mode}");
        let about = metadata(&file);
        let word = if mode == "clip" { "découpé" } else { "sélectionné" };
        assert!(about["name"].contains(word), "{}", about["name"]);
        let json: Value = serde_json::from_str(&about["json"]).unwrap();
        assert!(json["socle"]["territory"].as_str().unwrap().starts_with("epci-200093201"));
    }
}

/// What tippecanoe makes of an archive, without the lines that say what the archive is.
fn decoded(program: &str, file: &Path) -> Vec<Value> {
    let text = tool(program, &["-c", file.to_str().unwrap()]);
    text.lines()
        .filter(|l| !l.trim().is_empty())
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

#[test]
fn tippecanoe_reads_the_same_from_both_kinds() {
    let Some(program) = installed("tippecanoe-decode") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (pm, mb) = (dir.path().join("a.pmtiles"), dir.path().join("a.mbtiles"));
    for file in [&pm, &mb] {
        baked(&["communes", "mairies", "--max-zoom", "8"], file);
    }
    let (from_pm, from_mb) = (decoded(&program, &pm), decoded(&program, &mb));
    let features = from_pm.iter().filter(|line| line["type"] == "Feature").count();
    assert!(features > 2 * 3_782, "{features}");
    assert_eq!(features, from_mb.iter().filter(|line| line["type"] == "Feature").count());
    // The specification's word for archives a reader may stream: in order, every tile once.
    let header = fs::read(&pm).unwrap();
    assert_eq!(
        (&header[..8], header[96], header[97], header[98], header[99]),
        (
            &b"PMTiles\x03"[..],
            1, // clustered
            2, // directories gzipped
            2, // tiles gzipped
            1, // vector tiles
        )
    );
    let count = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap());
    let (addressed, contents) = (count(72), count(88));
    assert_eq!(addressed, tiles(&mb).len() as u64);
    let db = Connection::open(&mb).unwrap();
    let images: i64 = db.query_row("SELECT count(*) FROM images", [], |r| r.get(0)).unwrap();
    assert_eq!(i64::try_from(contents), Ok(images));
}

#[test]
fn gdal_finds_every_feature_of_an_archive_with_its_area() {
    if !has("ogrinfo") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (pm, mb) = (dir.path().join("a.pmtiles"), dir.path().join("a.mbtiles"));
    for file in [&pm, &mb] {
        baked(&["communes", "--territory", "dep:59", "--max-zoom", "12"], file);
    }
    // Square kilometres of mercator, by the original and by what is left of it in tiles.
    let area = "SELECT COUNT(DISTINCT code) n, SUM(ST_Area(geometry)) / 1e6 a FROM ";
    let figures = |text: &str| -> (u64, f64) {
        let value = |name: &str| {
            let line = text.lines().find(|l| l.trim().starts_with(&format!("{name} (")));
            line.unwrap_or_else(|| panic!("{text}")).split('=').nth(1).unwrap().trim().to_owned()
        };
        (value("n").parse().unwrap(), value("a").parse().unwrap())
    };
    let gpkg = dir.path().join("a.gpkg");
    let config = demo().join("socle.toml");
    let cut =
        ["cut", "communes", "--territory", "dep:59", "--format", "gpkg", "--crs", "EPSG:3857"];
    let ends = ["-o", gpkg.to_str().unwrap(), "--config", config.to_str().unwrap()];
    assert!(command(&[&cut[..], &ends].concat()).status().unwrap().success());
    let sql = |from: &str| ["-q", "-dialect", "SQLite", "-sql", from].map(str::to_owned);
    let run = |file: &Path, query: String| {
        let sql = sql(&query);
        let args: Vec<&str> = sql.iter().map(String::as_str).collect();
        figures(&tool("ogrinfo", &[&args[..], &["-ro", file.to_str().unwrap()]].concat()))
    };
    let original = run(&gpkg, format!("{} communes", area.replace("geometry", "geom")));
    let (n, a) = run(&mb, format!("{area} communes"));
    assert_eq!((n, original.0), (647, 647));
    assert!((a / original.1 - 1.0).abs() < 0.02, "{a} {}", original.1);

    // The newest GDAL, and PMTiles, which Debian's does not read.
    let Some(python) = python("pyogrio") else { return };
    let script = "import sys, pyogrio\nfor f in sys.argv[1:]:\n  i = pyogrio.read_info(f, layer='communes', force_feature_count=True)\n  t = pyogrio.raw.read(f, layer='communes', columns=['code'], read_geometry=False)\n  print(len(set(t[3][0])), sorted(i['fields']))\n";
    let said = tool(&python, &["-c", script, pm.to_str().unwrap(), mb.to_str().unwrap()]);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("647 ") && lines[0].contains("population"), "{said}");
    assert_eq!(lines[0], lines[1]);
}

#[test]
fn a_bake_that_cannot_be_whole_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.pmtiles");
    fs::write(&file, "older").unwrap();
    for (args, code, word) in [
        (&["rues"][..], 1, "communes"),
        (&["communes", "--max-zoom", "20"], 2, "zoom"),
        (&["communes", "--min-zoom", "9", "--max-zoom", "3"], 2, "zoom"),
        (&["communes", "--territory-mode", "clip"], 2, "--territory"),
        (&["communes", "--territory", "dep:13"], 1, "Rien à montrer"),
    ] {
        let output = bake(args, &file);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", said(&output));
        assert!(said(&output).contains(word), "{args:?}: {}", said(&output));
    }
    let output = bake(&["communes"], &dir.path().join("a.zip"));
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains(".mbtiles"), "{}", said(&output));
    assert_eq!(fs::read_to_string(&file).unwrap(), "older");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something was left behind");

    // A layer without a version yet.
    let site = Site::new();
    site.layer("vide", "source.path = \"vide.geojson\"");
    let output = site.run(&["bake", "vide", "-o", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(fs::read_to_string(&file).unwrap(), "older");
}
