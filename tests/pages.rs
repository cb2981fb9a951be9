//! Pages of features in the formats of files: what GDAL reads of each is what GeoJSON gives; their
//! links, numbers and tags are in the headers.

use crate::support::{Answer, Server, demo_server, gunzip, has, tool};
use serde_json::Value;
use std::collections::BTreeMap;

over_both!(
    gdal_reads_of_each_format_what_geojson_gives,
    pages_follow_each_other_by_their_header,
    formats_are_negotiated_and_tagged,
    csv_is_written_as_asked,
    pages_of_a_cut_scope_are_cut,
    tables_show_what_is_asked_for_and_what_a_cut_leaves,
    geometry_is_generalised_for_a_zoom,
    tiles_are_shown_as_geojson,
);

const FILES: [&str; 4] = ["geojsonseq", "ndjson", "fgb", "csv"];

/// Features by a property that is their key, as GDAL reads them of a file.
fn read(format: &str, body: &[u8], key: &str) -> BTreeMap<String, Value> {
    let dir = tempfile::tempdir().unwrap();
    let extension = if format == "fgb" || format == "csv" { format } else { "geojsonl" };
    let path = dir.path().join(format!("page.{extension}"));
    std::fs::write(&path, body).unwrap();
    let mut args = vec!["-f", "GeoJSON", "/vsistdout/", path.to_str().unwrap()];
    if format == "csv" {
        let options = ["GEOM_POSSIBLE_NAMES=geometrie_wkt", "KEEP_GEOM_COLUMNS=NO"];
        let typed = ["AUTODETECT_TYPE=YES", "QUOTED_FIELDS_AS_STRING=YES"];
        args.extend(options.iter().chain(&typed).flat_map(|o| ["-oo", *o]));
    }
    let read: Value = serde_json::from_str(&tool("ogr2ogr", &args)).unwrap();
    by_key(&read, key)
}

fn by_key(collection: &Value, key: &str) -> BTreeMap<String, Value> {
    let features = collection["features"].as_array().unwrap();
    let one = |f: &Value| (f["properties"][key].as_str().unwrap().to_owned(), f.clone());
    features.iter().map(one).collect()
}

/// All coordinates of a geometry, in order; a geometry alone in a multi one is the same.
fn positions(value: &Value, out: &mut Vec<f64>) {
    match value {
        Value::Array(list) => list.iter().for_each(|v| positions(v, out)),
        other => out.extend(other.as_f64()),
    }
}

/// Whether two features hold the same, coordinates within what either writes.
fn same(format: &str, a: &Value, b: &Value) {
    for (name, value) in a["properties"].as_object().unwrap() {
        let theirs = &b["properties"][name];
        // What CSV has nothing for is not there.
        assert!(value == theirs || value.as_f64() == theirs.as_f64(), "{format} {name}: {a} {b}");
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    positions(&a["geometry"]["coordinates"], &mut ours);
    positions(&b["geometry"]["coordinates"], &mut theirs);
    assert_eq!(ours.len(), theirs.len(), "{format}: {a} {b}");
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-7 * a.abs().max(1.0);
    assert!(ours.iter().zip(&theirs).all(near), "{format}: {a} {b}");
}

fn gdal_reads_of_each_format_what_geojson_gives() {
    if !has("ogr2ogr") {
        return;
    }
    let server = demo_server();
    let communes = "/collections/communes/items?limit=70&sortby=-population&crs=EPSG:2154";
    for (query, key) in [
        (format!("{communes}&properties=code,nom,population&filter=population%3C200000"), "code"),
        ("/t/dep-59/collections/mairies/items?limit=300&offset=20".to_owned(), "code_insee"),
        // Latitude first in JSON, as its authority has it; never so in files.
        ("/collections/communes/items?limit=20&crs=EPSG:4326&bbox=2,50,3,51".to_owned(), "code"),
    ] {
        let page = server.send("GET", &query, &[]);
        let expected = by_key(&page.json(), key);
        assert!(expected.len() >= 20, "{query}: {}", page.text());
        let swapped = query.contains("4326").then(|| {
            let plain = query.replace("&crs=EPSG:4326", "");
            by_key(&server.json(&plain), key)
        });
        for format in FILES {
            let answer = server.get(&format!("{query}&f={format}&geometry=wkt"));
            assert_eq!(answer.status, 200, "{format}: {}", answer.text());
            for name in ["OGC-NumberReturned", "OGC-NumberMatched", "Content-Crs"] {
                assert_eq!(answer.header(name), page.header(name), "{format} {name}");
            }
            let seen = read(format, &answer.body, key);
            let in_file = format == "fgb" || format == "csv";
            let expected = swapped.as_ref().filter(|_| in_file).unwrap_or(&expected);
            assert!(seen.keys().eq(expected.keys()), "{format} {query}");
            for (code, feature) in expected {
                same(format, feature, &seen[code]);
            }
        }
    }
}

/// The address of a relation in a `Link` header.
fn link<'a>(answer: &'a Answer, rel: &str) -> Option<&'a str> {
    let header = answer.header("link").unwrap();
    let wanted = format!("rel=\"{rel}\"");
    let member = header.split(", <").find(|member| member.contains(&wanted))?;
    member.trim_start_matches('<').split('>').next()
}

fn follow(server: &Server, url: &str) -> Answer {
    let path = url.strip_prefix(&server.base).unwrap_or_else(|| panic!("{url}"));
    server.get(&format!("/{path}"))
}

fn pages_follow_each_other_by_their_header() {
    let server = demo_server();
    for query in ["sortby=-population", "filter=population%3E300"] {
        let mut codes = Vec::new();
        let address = format!("/collections/communes/items?{query}&limit=1000");
        // Asked by `Accept` alone: the links say the format.
        let mut page = server.send("GET", &address, &[("Accept", "text/csv")]);
        let matched = page.header("ogc-numbermatched").unwrap().to_owned();
        loop {
            assert_eq!(page.header("content-type"), Some("text/csv; charset=utf-8"));
            let text = page.text();
            let rows = text.lines().skip(1);
            codes.extend(rows.map(|row| row.split(';').next().unwrap().to_owned()));
            match link(&page, "next") {
                Some(next) => page = follow(&server, next),
                None => break,
            }
        }
        assert_eq!(codes.len().to_string(), matched, "{query}");
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len().to_string(), matched, "{query}");
    }
    let hits = server.get("/collections/communes/items?f=ndjson&resultType=hits");
    assert_eq!((hits.status, hits.body.len()), (200, 0));
    assert_eq!(hits.header("ogc-numbermatched"), Some("3782"));
    let last = server.get("/collections/communes/items?f=fgb&limit=10&offset=3780");
    assert_eq!(last.header("ogc-numberreturned"), Some("2"));
    assert!(link(&last, "next").is_none());
    assert!(link(&last, "prev").unwrap().contains("f=fgb"));
}

fn formats_are_negotiated_and_tagged() {
    let server = demo_server();
    let items = "/collections/mairies/items?limit=5";
    let accepts = [
        ("geojsonseq", "application/geo+json-seq"),
        ("ndjson", "application/x-ndjson"),
        ("fgb", "application/flatgeobuf"),
        ("csv", "text/csv"),
    ];
    let mut tags = vec![server.get(items).header("etag").unwrap().to_owned()];
    for (format, media) in accepts {
        let asked = format!("{items}&f={format}");
        let answer = server.get(&asked);
        let negotiated = server.send("GET", items, &[("Accept", media)]);
        for answer in [&answer, &negotiated] {
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.header("content-type").unwrap().starts_with(media), "{media}");
            assert!(answer.header("vary").unwrap().contains("Accept"));
            let etag = answer.header("etag").unwrap();
            assert!(!tags.iter().any(|known| known == etag), "{format}: {etag}");
            tags.push(etag.to_owned());
        }
        // The extent of a FlatGeobuf and its dates are the same each time.
        assert_eq!(negotiated.body, answer.body, "{format}");
        assert!(link(&answer, "alternate").is_some());
        let etag = answer.header("etag").unwrap();
        let again = server.send("GET", &asked, &[("If-None-Match", etag)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{format}");
        let head = server.send("HEAD", &asked, &[]);
        assert_eq!((head.status, head.body.len()), (200, 0), "{format}");
        for name in ["content-type", "etag", "link", "ogc-numberreturned", "content-crs"] {
            assert_eq!(head.header(name), answer.header(name), "{format} {name}");
        }
        let packed = server.send("GET", &asked, &[("Accept-Encoding", "gzip")]);
        if packed.header("content-encoding") == Some("gzip") {
            assert_eq!(gunzip(&packed.body), answer.body, "{format}");
            assert_ne!(packed.header("etag"), answer.header("etag"), "{format}");
        }
    }
    let wrong = server.get(&format!("{items}&f=shp"));
    assert_eq!(wrong.status, 400);
    assert!(FILES.iter().all(|format| wrong.text().contains(format)), "{}", wrong.text());
    let collection = server.json("/t/dep-59/collections/mairies");
    let links = collection["links"].as_array().unwrap();
    let items: Vec<&Value> = links.iter().filter(|l| l["rel"] == "items").collect();
    assert_eq!(items.len(), 2 + FILES.len());
    for link in items {
        let answer = follow(&server, link["href"].as_str().unwrap());
        let (media, title) = (link["type"].as_str().unwrap(), &link["title"]);
        assert!(answer.header("content-type").unwrap().starts_with(media), "{title}");
    }
}

fn csv_is_written_as_asked() {
    let server = demo_server();
    let items = "/collections/communes/items?code=59350&f=csv&properties=code,nom";
    let plain = server.get(items);
    assert_eq!(plain.text(), "\u{feff}code;nom\r\n\"59350\";Lille\r\n");
    assert!(plain.header("content-disposition").unwrap().contains("socle_communes.csv"));
    let other = server.get(&format!("{items}&separator=comma&bom=false&geometry=point"));
    let text = other.text();
    assert!(text.starts_with("code,nom,longitude,latitude\r\n\"59350\",Lille,3.0"), "{text}");
    let comma = server.get(&format!("{items}&separator=comma&decimal=comma&geometry=point"));
    assert!(comma.text().contains("Lille,\"3,0"), "{}", comma.text());
    for wrong in ["separator=x", "bom=1", "decimal=x", "geometry=wkb"] {
        let answer = server.get(&format!("{items}&{wrong}"));
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text());
    }
}

fn pages_of_a_cut_scope_are_cut() {
    if !has("ogr2ogr") {
        return;
    }
    let server = demo_server();
    let items = "/t/epci-200093201-clip/collections/cantons/items?limit=50&geometry=wkt";
    let page = server.json(items);
    let key = "code";
    let expected = by_key(&page, key);
    let part = |f: &&Value| f["properties"]["socle_part"].as_f64().unwrap() < 1.0;
    assert!(expected.values().any(|f| part(&f)), "nothing is cut");
    for format in FILES {
        let seen = read(format, &server.get(&format!("{items}&f={format}")).body, key);
        assert!(seen.keys().eq(expected.keys()), "{format}");
        expected.iter().for_each(|(code, feature)| same(format, feature, &seen[code]));
    }
}

fn tables_show_what_is_asked_for_and_what_a_cut_leaves() {
    let server = demo_server();
    let columns = |path: &str| -> Vec<String> {
        let page = server.page(path);
        assert_eq!(page.status, 200, "{path}");
        let text = page.text();
        let heads = text.split("<th scope=\"col\">").skip(1);
        heads.map(|h| h.split('<').next().unwrap().to_owned()).collect()
    };
    let items = "/collections/communes/items?limit=2";
    let all = columns(items);
    assert!(all.len() > 4 && all[0] == "id", "{all:?}");
    assert_eq!(columns(&format!("{items}&properties=population,nom")), ["id", "nom", "population"]);
    assert_eq!(columns(&format!("{items}&properties=")), ["id"]);
    let cut = columns("/t/dep-59-clip/collections/communes/items?limit=2");
    assert_eq!(cut[..all.len()], all[..]);
    assert_eq!(cut[all.len()..], ["socle_part"]);
    // Of no feature, the fields that there are.
    assert_eq!(columns("/collections/communes/items?bbox=0,0,1,1"), all);
}

fn count(page: &Value) -> usize {
    let one = |f: &Value| {
        let mut all = Vec::new();
        positions(&f["geometry"]["coordinates"], &mut all);
        all.len() / 2
    };
    page["features"].as_array().unwrap().iter().map(one).sum()
}

fn geometry_is_generalised_for_a_zoom() {
    let server = demo_server();
    let items = "/collections/communes/items?limit=200&properties=code";
    let whole = server.json(items);
    let mut last = count(&whole);
    for zoom in [12, 9, 6, 0] {
        let page = server.json(&format!("{items}&zoom-level={zoom}"));
        let (full, coarse) = (by_key(&whole, "code"), by_key(&page, "code"));
        assert!(full.keys().eq(coarse.keys()));
        assert!(coarse.values().all(|f| f["geometry"]["type"].as_str().is_some()), "{zoom}");
        let now = count(&page);
        assert!(now <= last, "{zoom}: {now} of {last}");
        last = now;
        // Twice the size of a place, in degrees, is as far as any vertex may be.
        let near = 2.0 * 360.0 / 512.0 / f64::from(1 << zoom) + 1e-6;
        for (code, feature) in &coarse {
            let (mut a, mut b) = (Vec::new(), Vec::new());
            positions(&feature["geometry"]["coordinates"], &mut a);
            positions(&full[code]["geometry"]["coordinates"], &mut b);
            for v in a.chunks(2) {
                let close = |w: &[f64]| (v[0] - w[0]).abs() < near && (v[1] - w[1]).abs() < near;
                assert!(b.chunks(2).any(close), "{zoom} {code} {v:?}");
            }
        }
    }
    assert!(last * 3 < count(&whole), "{last} of {}", count(&whole));
    let lambert = server.json(&format!("{items}&zoom-level=9&crs=EPSG:2154&code=59350"));
    assert_eq!(lambert["numberReturned"], 1);
    for wrong in ["25", "-1", "x", "1.5"] {
        assert_eq!(server.get(&format!("{items}&zoom-level={wrong}")).status, 400, "{wrong}");
    }
}

fn tiles_are_shown_as_geojson() {
    if !has("ogr2ogr") {
        return;
    }
    let server = demo_server();
    let tile = "/collections/communes/tiles/WebMercatorQuad/10/344/520";
    let answer = server.get(&format!("{tile}?f=geojson"));
    assert_eq!(answer.header("content-type"), Some("application/geo+json"));
    let mvt = server.get(tile);
    assert_ne!(answer.header("etag"), mvt.header("etag"));
    let shown = by_key(&answer.json(), "code");
    // GDAL, which decodes the tile its own way, sees the same in degrees.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tile.mvt");
    std::fs::write(&path, &mvt.body).unwrap();
    let place = ["-oo", "Z=10", "-oo", "X=520", "-oo", "Y=344", "-oo", "CLIP=NO"];
    let to = ["-f", "GeoJSON", "-t_srs", "EPSG:4326", "/vsistdout/", path.to_str().unwrap()];
    let seen: Value = serde_json::from_str(&tool("ogr2ogr", &[&place[..], &to].concat())).unwrap();
    let seen = by_key(&seen, "code");
    assert_eq!(shown.keys().collect::<Vec<_>>(), seen.keys().collect::<Vec<_>>());
    assert!(shown.len() > 50);
    for (code, feature) in &shown {
        let edges = |f: &Value| {
            let mut all = Vec::new();
            positions(&f["geometry"]["coordinates"], &mut all);
            let of = |at: usize| all.iter().copied().skip(at).step_by(2);
            let ends = |at| (of(at).fold(f64::MAX, f64::min), of(at).fold(f64::MIN, f64::max));
            [ends(0).0, ends(0).1, ends(1).0, ends(1).1]
        };
        assert_eq!(feature["layer"], "communes");
        for (ours, theirs) in edges(feature).iter().zip(edges(&seen[code])) {
            assert!((ours - theirs).abs() < 1e-6, "{code}: {ours} {theirs}");
        }
    }
    let together =
        server.json("/tiles/WebMercatorQuad/10/344/520?f=geojson&collections=communes,mairies");
    let layers: std::collections::BTreeSet<&str> = together["features"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["layer"].as_str().unwrap())
        .collect();
    assert_eq!(layers.into_iter().collect::<Vec<_>>(), ["communes", "mairies"]);
    let empty = server.get("/collections/communes/tiles/WebMercatorQuad/10/0/0?f=geojson");
    assert_eq!((empty.status, empty.json()["features"].as_array().unwrap().len()), (200, 0));
    let etag = answer.header("etag").unwrap();
    let again = server.send("GET", &format!("{tile}?f=geojson"), &[("If-None-Match", etag)]);
    assert_eq!(again.status, 304);
    assert_eq!(server.get(&format!("{tile}?f=png")).status, 400);
}
