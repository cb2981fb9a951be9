//! Archives of tiles that others made, served as they are: from a file, from another server by
//! ranges, from object storage.

use crate::{
    blobs::{Moto, credentials},
    styles,
    support::{
        Answer, Server, Site, command, demo, demo_server, finish, gunzip, installed, node_package,
        python,
        ranges::{Manner, Ranges},
        root, said, tool,
    },
};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

over_both!(a_baked_archive_is_served_as_the_layers_it_holds, an_archive_is_no_collection);

/// Bakes layers of the demo.
fn bake(layers: &[&str], deepest: u8, file: &Path) {
    let (config, deepest) = (demo().join("socle.toml"), deepest.to_string());
    let ends = ["--max-zoom", &deepest, "-o", file.to_str().unwrap(), "--config"];
    let args = [&["bake"], layers, &ends[..], &[config.to_str().unwrap()]].concat();
    let output = finish(&mut command(&args));
    assert!(output.status.success(), "{}", said(&output));
}

/// Makes an archive of the demo's communes with tippecanoe; says so without it.
fn tippecanoe(file: &Path) -> bool {
    let Some(program) = installed("tippecanoe") else { return false };
    let source = root().join("config/demo/data/communes.geojson");
    let (to, from) = (file.to_str().unwrap(), source.to_str().unwrap());
    let attribution = "--attribution=<a href=\"https://ign.fr\">IGN</a>";
    let args = ["-q", "-f", "-o", to, "-l", "communes", "-z8", "--no-tile-size-limit", attribution];
    tool(&program, &[&args[..], &[from]].concat());
    true
}

fn gzipped(server: &Server, path: &str) -> Answer {
    server.send("GET", path, &[("Accept-Encoding", "gzip")])
}

/// Some tiles over Hauts-de-France.
const TILES: [(u8, u32, u32); 6] =
    [(0, 0, 0), (4, 8, 5), (6, 32, 21), (7, 64, 43), (8, 129, 86), (8, 130, 87)];

fn a_baked_archive_is_served_as_the_layers_it_holds() {
    let layers = demo_server();
    let site = Site::new();
    for end in ["pmtiles", "mbtiles"] {
        bake(&["communes", "mairies"], 8, &site.path(&format!("hdf.{end}")));
        site.layer(end, &format!("archive.path = \"../hdf.{end}\""));
    }
    let server = site.serve();
    for end in ["pmtiles", "mbtiles"] {
        for (z, x, y) in TILES {
            let theirs =
                layers.get(&format!("/tiles/{z}/{x}/{y}.mvt?collections=communes,mairies"));
            for path in [
                format!("/collections/{end}/tiles/{z}/{x}/{y}.mvt"),
                format!("/collections/{end}/tiles/WebMercatorQuad/{z}/{y}/{x}"),
            ] {
                let (plain, packed) = (server.get(&path), gzipped(&server, &path));
                assert_eq!((plain.status, packed.status), (200, 200), "{path}: {}", plain.text());
                assert_eq!(
                    plain.header("content-type"),
                    Some("application/vnd.mapbox-vector-tile")
                );
                assert!(plain.body == theirs.body, "{path}: another tile than the one baked");
                assert_eq!(packed.header("content-encoding"), Some("gzip"));
                assert!(gunzip(&packed.body) == plain.body, "{path}");
                assert_ne!(plain.header("etag"), packed.header("etag"));
                let tag = packed.header("etag").unwrap();
                let headers = [("Accept-Encoding", "gzip"), ("If-None-Match", tag)];
                let again = server.send("GET", &path, &headers);
                assert_eq!((again.status, again.header("etag")), (304, Some(tag)));
            }
        }
        let tile = |address: &str| server.get(&format!("/collections/{end}/tiles/{address}.mvt"));
        let empty = tile("8/10/10");
        assert_eq!((empty.status, empty.body.len()), (204, 0));
        assert_eq!(tile("3/8/0").status, 404, "outside the grid");
        assert_eq!(tile("9/259/173").status, 200, "magnified");
        let geojson = server.json(&format!("/collections/{end}/tiles/8/129/86.mvt?f=geojson"));
        assert_eq!(geojson["features"][0]["layer"], "communes");

        let tilejson = server.json(&format!("/collections/{end}/tilejson.json"));
        let of_layers = layers.json("/tilejson.json?collections=communes,mairies");
        assert_eq!((&tilejson["minzoom"], &tilejson["maxzoom"]), (&0.into(), &8.into()));
        for (ours, theirs) in tilejson["bounds"]
            .as_array()
            .unwrap()
            .iter()
            .zip(of_layers["bounds"].as_array().unwrap())
        {
            assert!((ours.as_f64().unwrap() - theirs.as_f64().unwrap()).abs() < 1e-6);
        }
        let names = |json: &Value| -> Vec<Value> {
            json["vector_layers"].as_array().unwrap().iter().map(|l| l["fields"].clone()).collect()
        };
        assert_eq!(names(&tilejson), names(&of_layers));
        // Versioned addresses never change; those of another state lead to the stable one.
        let state = tilejson["socle"]["version"].as_str().unwrap();
        let versioned = tile_with(&server, end, &format!("?v={state}"));
        assert!(versioned.header("cache-control").unwrap().contains("immutable"));
        assert_eq!(tile_with(&server, end, "?v=other").status, 302);
    }
}

fn tile_with(server: &Server, id: &str, query: &str) -> Answer {
    server.get(&format!("/collections/{id}/tiles/8/129/86.mvt{query}"))
}

fn an_archive_is_no_collection() {
    let site = Site::new();
    bake(&["communes"], 6, &site.path("hdf.pmtiles"));
    site.layer("fond", "attribution = \"© Essai\"\narchive.path = \"../hdf.pmtiles\"");
    let server = site.serve();
    let ids = server.json("/collections");
    assert!(ids["collections"].as_array().unwrap().is_empty(), "{ids}");
    // What there is of it, and what it is.
    let about = server.json("/collections/fond");
    assert_eq!((&about["id"], &about["attribution"]), (&"fond".into(), &"© Essai".into()));
    let rels: Vec<&str> =
        about["links"].as_array().unwrap().iter().map(|l| l["rel"].as_str().unwrap()).collect();
    assert!(
        rels.iter().any(|rel| rel.contains("tilesets")) && !rels.contains(&"items"),
        "{rels:?}"
    );
    let tilesets = server.json("/collections/fond/tiles");
    assert_eq!(tilesets["tilesets"][0]["tileMatrixSetLimits"].as_array().unwrap().len(), 7);
    let tileset = server.json("/collections/fond/tiles/WebMercatorQuad");
    assert_eq!(tileset["layers"][0]["id"], "communes");
    assert_eq!(
        tileset["layers"][0]["propertiesSchema"]["properties"]["population"]["type"],
        "number"
    );
    // Those of all layers, in both grids, then the archive's.
    let all = server.json("/tiles");
    let all = all["tilesets"].as_array().unwrap();
    let limits = |t: &Value| t["tileMatrixSetLimits"].as_array().map_or(0, Vec::len);
    assert!(all.len() == 3 && limits(&all[2]) > 6 && all[2]["title"] == "fond", "{all:?}");
    for other in ["WorldCRS84Quad", "WorldCRS84Quad/5/10/32"] {
        let refused = server.get(&format!("/collections/fond/tiles/{other}"));
        assert_eq!(refused.status, 404, "{other}");
        assert!(refused.text().contains("WebMercatorQuad"), "{}", refused.text());
    }
    let styles = server.json("/styles");
    assert!(styles["styles"].as_array().unwrap().iter().any(|s| s["id"] == "fond"));
    let style = server.json("/styles/fond");
    assert_eq!(style["sources"]["fond"]["maxzoom"], 6);
    assert!(style["layers"].as_array().unwrap().iter().all(|l| l["source-layer"] == "communes"));
    let page = server.page("/collections/fond").text();
    assert!(page.contains("fond/tilejson.json") && page.contains("© Essai"), "{page}");
    assert!(server.page("/").text().contains("collections/fond?f=html"));
    // What it is not, in clear words, in both languages.
    for path in
        ["items", "items/1", "queryables", "schema", "stats?by=dep", "versions", "export?f=csv"]
    {
        let answer = server.get(&format!("/collections/fond/{path}"));
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        assert!(answer.text().contains("archive de tuiles"), "{path}: {}", answer.text());
    }
    let english = [("Accept", "application/json"), ("Accept-Language", "en")];
    let english = server.send("GET", "/collections/fond/items", &english).text();
    assert!(english.contains("archive of tiles"), "{english}");
    // Never unfiltered tiles where a territory was asked for.
    for path in ["", "/tiles", "/tilejson.json", "/tiles/6/32/21.mvt"] {
        let scoped = server.get(&format!("/t/dep-59/collections/fond{path}"));
        assert_eq!(scoped.status, 404, "{path}");
        assert!(scoped.text().contains("territoire"), "{}", scoped.text());
    }
    let style = server.get("/t/dep-59/styles/fond");
    assert_eq!(style.status, 404);
    for query in ["territory=dep:59", "filter=code%3D1", "datetime=2025-01-01"] {
        let refused = server.get(&format!("/collections/fond/tiles/6/32/21.mvt?{query}"));
        assert_eq!(refused.status, 400, "{query}");
        assert!(refused.text().contains("archive de tuiles"), "{}", refused.text());
    }
    assert_eq!(server.get("/tiles/6/32/21.mvt?collections=fond").status, 400);
    assert_eq!(server.get("/t/dep-59/tiles").json()["tilesets"].as_array().unwrap().len(), 2);
}

#[test]
fn an_archive_elsewhere_is_read_by_ranges_and_seen_again_when_it_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hdf.pmtiles");
    bake(&["communes"], 7, &file);
    let far = Ranges::start(dir.path());
    let site = Site::new();
    site.layer("fond", &format!("[archive]\nurl = \"{}hdf.pmtiles\"\nrefresh_s = 0.2", far.base));
    let server = site.serve();
    let tile =
        |z: u8, x: u32, y: u32| server.get(&format!("/collections/fond/tiles/{z}/{x}/{y}.mvt"));
    let layers = demo_server();
    let of_layer =
        |z: u8, x: u32, y: u32| layers.get(&format!("/collections/communes/tiles/{z}/{x}/{y}.mvt"));
    let first = tile(6, 32, 21);
    assert_eq!(first.status, 200, "{}", first.text());
    assert!(first.body == of_layer(6, 32, 21).body);
    // Once read, a tile is at hand: nothing but looks whether the file is the same.
    std::thread::sleep(Duration::from_millis(300));
    let (before, begun) = (far.requests(), Instant::now());
    for _ in 0..50 {
        assert_eq!(tile(6, 32, 21).status, 200);
    }
    let looks = begun.elapsed().as_millis() / 200 + 2;
    assert!((far.requests() - before) as u128 <= looks, "{}", far.requests() - before);
    // Redirects are followed.
    far.behave(Manner::Elsewhere);
    assert_eq!(tile(7, 64, 43).body, of_layer(7, 64, 43).body);
    // Replaced: everything is of the new one, the first answer included.
    far.behave(Manner::Well);
    let next = dir.path().join("next.pmtiles");
    bake(&["mairies"], 7, &next);
    fs::rename(&next, &file).unwrap();
    let replaced = server
        .until(Duration::from_secs(5), |_| tile(6, 32, 21).header("etag") != first.header("etag"));
    assert!(replaced, "the new file is not seen");
    let mairies = layers.get("/collections/mairies/tiles/6/32/21.mvt");
    assert_eq!(tile(6, 32, 21).body, mairies.body);
    assert_eq!(server.json("/collections/fond/tilejson.json")["vector_layers"][0]["id"], "mairies");
    // Out of reach: what is at hand is given, the rest is 503, and a page says so.
    for manner in [Manner::Broken, Manner::Whole, Manner::Shifted] {
        far.behave(manner);
        assert_eq!(tile(6, 32, 21).status, 200, "{manner:?}");
        let (z, x, y) = (7, 65, 43);
        let refused = tile(z, x, y);
        assert_eq!(refused.status, 503, "{manner:?}: {}", refused.text());
        assert!(refused.header("retry-after").is_some());
        assert!(!refused.text().contains("hdf.pmtiles"), "{}", refused.text());
    }
    far.behave(Manner::Well);
    let back = server.until(Duration::from_secs(5), |_| tile(7, 65, 43).status == 200);
    assert!(back, "it does not come back without a restart");
    assert_eq!(server.get("/health/ready").status, 200);
}

#[test]
fn an_archive_that_was_never_there_is_unavailable_and_the_rest_is_served() {
    let site = Site::new();
    site.layer("fond", "archive.path = \"../absent.pmtiles\"");
    site.layer("loin", "archive.url = \"http://127.0.0.1:9/secret/a.pmtiles?key=s3cret\"");
    fs::write(site.path("abime.pmtiles"), b"PMTiles\x03 et rien d'autre").unwrap();
    site.layer("abime", "archive.path = \"../abime.pmtiles\"");
    let server = site.serve();
    for id in ["fond", "loin", "abime"] {
        for path in ["", "/tiles", "/tilejson.json", "/tiles/0/0/0.mvt"] {
            let answer = server.get(&format!("/collections/{id}{path}"));
            assert_eq!(answer.status, 503, "{id}{path}: {}", answer.text());
            let text = answer.text();
            assert!(!text.contains("s3cret") && !text.contains("/secret"), "{text}");
        }
        assert_eq!(server.page(&format!("/collections/{id}")).status, 503);
        assert_eq!(server.get(&format!("/styles/{id}")).status, 503);
    }
    for path in ["/", "/collections", "/tiles", "/styles", "/health/ready", "/api"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    let checked = site.run(&["check"]);
    assert!(!checked.status.success());
    assert!(
        said(&checked).contains("✗ fond") && said(&checked).contains("✗ abime"),
        "{}",
        said(&checked)
    );
    // Put in its place, it is served without a restart.
    bake(&["communes"], 5, &site.path("absent.pmtiles"));
    let there = server.until(Duration::from_secs(8), |server| {
        server.get("/collections/fond/tiles/5/16/10.mvt").status == 200
    });
    assert!(there);
}

#[test]
fn archives_that_cannot_be_served_are_refused_with_their_line() {
    for (rest, words) in [
        ("archive.path = \"a.zip\"", ".pmtiles"),
        ("archive.url = \"https://x.fr/a.mbtiles\"", "pmtiles convert"),
        ("archive.url = \"s3://x/a.pmtiles\"", "s3://"),
        ("[archive]\npath = \"a.pmtiles\"\nurl = \"https://x.fr/a.pmtiles\"", "path"),
        ("[archive]\npath = \"a.pmtiles\"\nregion = \"fr\"", "s3://"),
        ("key = \"code\"\narchive.path = \"a.pmtiles\"", "[archive]"),
        ("source.path = \"a.csv\"\narchive.path = \"a.pmtiles\"", "[archive]"),
        ("archive.chemin = \"a.pmtiles\"", "path"),
    ] {
        let site = Site::new();
        site.layer("fond", rest);
        let output = site.run(&["check"]);
        assert_eq!(output.status.code(), Some(2), "{rest}: {}", said(&output));
        let text = said(&output);
        assert!(text.contains("fond.toml:") && text.contains(words), "{rest}: {text}");
    }
}

#[test]
fn archives_of_tippecanoe_are_served_and_read_by_their_own_readers() {
    let dir = tempfile::tempdir().unwrap();
    let theirs = dir.path().join("tippecanoe.pmtiles");
    if !tippecanoe(&theirs) {
        return;
    }
    let ours = dir.path().join("socle.pmtiles");
    bake(&["communes"], 8, &ours);
    let far = Ranges::start(dir.path());
    let site = Site::new();
    for name in ["tippecanoe", "socle"] {
        let path = dir.path().join(format!("{name}.pmtiles"));
        site.layer(&format!("{name}-ici"), &format!("archive.path = {path:?}"));
        site.layer(
            &format!("{name}-loin"),
            &format!("archive.url = \"{}{name}.pmtiles\"", far.base),
        );
    }
    let server = site.serve();
    for name in ["tippecanoe", "socle"] {
        for (z, x, y) in TILES {
            let at = |place: &str| {
                gzipped(&server, &format!("/collections/{name}-{place}/tiles/{z}/{x}/{y}.mvt"))
            };
            let (here, there) = (at("ici"), at("loin"));
            assert_eq!((here.status, there.status), (200, 200), "{name} {z}/{x}/{y}");
            assert!(here.body == there.body, "{name} {z}/{x}/{y}");
        }
    }
    let tilejson = server.json("/collections/tippecanoe-loin/tilejson.json");
    assert_eq!((&tilejson["attribution"], &tilejson["maxzoom"]), (&"IGN".into(), &8.into()));

    if let Some(package) = node_package("pmtiles") {
        by_node(&package, dir.path(), &far.base, &server);
    }
    by_browser(&far.base, &server, dir.path());
    // The newest GDAL, over the same ranges, and from Socle's own tiles.
    if let Some(python) = python("pyogrio") {
        let code = "import sys, pyogrio\n\
            for source in sys.argv[1:]:\n\
            \x20 read = pyogrio.raw.read(source, layer='communes', columns=['code'], read_geometry=False)\n\
            \x20 print(len(set(read[3][0])))\n";
        for name in ["tippecanoe", "socle"] {
            let file = format!("/vsicurl/{}{name}.pmtiles", far.base);
            let tile = format!("MVT:{}collections/{name}-loin/tiles/6/32/21.mvt", server.base);
            let said = tool(&python, &["-c", code, &file, &tile]);
            let counts: Vec<usize> = said.lines().map(|l| l.parse().unwrap()).collect();
            assert!(counts[0] > 3_700 && counts[1] > 1_000, "{name}: {counts:?}");
        }
    }
}

/// MapLibre in a browser: the archives read by their makers' own reader over ranges show the same
/// features as the tiles that Socle serves from them.
fn by_browser(far: &str, server: &Server, dir: &Path) {
    let bounds = [2.0, 49.6, 3.6, 50.6];
    let mut jobs = Vec::new();
    for name in ["tippecanoe", "socle"] {
        let served = server.json(&format!("/styles/{name}-loin"));
        let mut direct = served.clone();
        let source = format!("{name}-loin");
        direct["sources"][source.as_str()] =
            json!({ "type": "vector", "url": format!("pmtiles://{far}{name}.pmtiles") });
        jobs.extend([served, direct].map(|style| json!({ "style": style, "bounds": bounds })));
    }
    let Some(drawn) = styles::in_browser(&json!(jobs), dir) else { return };
    for (pair, name) in drawn.chunks(2).zip(["tippecanoe", "socle"]) {
        let [served, direct] = pair else { unreachable!() };
        assert_eq!((&served["errors"], &direct["errors"]), (&json!([]), &json!([])), "{name}");
        let count: u64 =
            served["rendered"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert!(count > 1_000, "{name}: {}", served["rendered"]);
        assert_eq!(served["rendered"], direct["rendered"], "{name}");
        assert_eq!(served["colours"], direct["colours"], "{name}");
    }
}

/// What the makers' own reader finds over the same ranges is what Socle gives.
fn by_node(package: &Path, folder: &Path, far: &str, server: &Server) {
    let script = folder.join("read.mjs");
    let code = "import { createHash } from 'node:crypto';\n\
        const [, , module, url, ...tiles] = process.argv;\n\
        const { PMTiles } = await import(module);\n\
        const archive = new PMTiles(url);\n\
        const header = await archive.getHeader();\n\
        console.log(header.maxZoom, header.tileType);\n\
        for (const tile of tiles) {\n\
          const [z, x, y] = tile.split('/').map(Number);\n\
          const found = await archive.getZxy(z, x, y);\n\
          console.log(createHash('sha256').update(Buffer.from(found.data)).digest('hex'));\n\
        }\n";
    fs::write(&script, code).unwrap();
    let module = package.join("dist/esm/index.js");
    for name in ["tippecanoe", "socle"] {
        let url = format!("{far}{name}.pmtiles");
        let tiles: Vec<String> = TILES.iter().map(|(z, x, y)| format!("{z}/{x}/{y}")).collect();
        let mut args = vec![script.to_str().unwrap(), module.to_str().unwrap(), &url];
        args.extend(tiles.iter().map(String::as_str));
        let said = tool("node", &args);
        let mut lines = said.lines();
        assert_eq!(lines.next(), Some("8 1"), "{said}");
        for tile in &tiles {
            let given = server.get(&format!("/collections/{name}-loin/tiles/{tile}.mvt")).body;
            assert_eq!(lines.next(), Some(sha256(&given).as_str()), "{name} {tile}");
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tile");
    fs::write(&path, bytes).unwrap();
    let said = tool("sha256sum", &[path.to_str().unwrap()]);
    said.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn an_archive_in_object_storage_is_served_and_seen_again_when_it_is_replaced() {
    let Some(moto) = Moto::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let upload = |layer: &str| {
        let file = dir.path().join(format!("{layer}.pmtiles"));
        bake(&[layer], 7, &file);
        moto.put("tuiles/hdf.pmtiles", &fs::read(&file).unwrap());
    };
    upload("communes");
    let (site, endpoint) = (Site::new(), &moto.endpoint);
    let place = "[archive]\nurl = \"s3://socle/tuiles/hdf.pmtiles\"\nrefresh_s = 0.2";
    site.layer("fond", &format!("{place}\nendpoint = \"{endpoint}\""));
    let mut serve = site.serve_command(&[]);
    credentials(&mut serve);
    let server = Server::of(serve);
    let layers = demo_server();
    for layer in ["communes", "mairies"] {
        if layer == "mairies" {
            upload(layer);
        }
        for (z, x, y) in TILES.into_iter().filter(|(z, ..)| *z <= 7) {
            let ours = format!("/collections/fond/tiles/{z}/{x}/{y}.mvt");
            let theirs = layers.get(&format!("/collections/{layer}/tiles/{z}/{x}/{y}.mvt"));
            let same = server.until(Duration::from_secs(5), |server| {
                let answer = server.get(&ours);
                assert!([200, 204].contains(&answer.status), "{}", answer.text());
                answer.body == theirs.body
            });
            assert!(same, "{layer} {ours}");
        }
    }
}
