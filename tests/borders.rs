//! Cutting at borders, from outside: items, one item, tiles and counts of the scopes `-clip`.

use crate::support::{Server, Site, demo_server, gunzip, has, postgres, tool};
use serde_json::{Value, json};
use socle::formats::mvt::{self, DecodedFeature, DecodedLayer, DecodedValue};
use std::collections::BTreeMap;

/// Features of an address, by id, all pages.
pub fn features(server: &Server, path: &str) -> (u64, BTreeMap<String, Value>) {
    let joint = if path.contains('?') { '&' } else { '?' };
    let first = server.json(&format!("{path}{joint}limit=10000"));
    let matched = first["numberMatched"].as_u64().unwrap_or_else(|| panic!("{path}: {first}"));
    let list = first["features"].as_array().unwrap();
    let by_id = |f: &Value| (f["id"].as_str().unwrap().to_owned(), f.clone());
    (matched, list.iter().map(by_id).collect())
}

fn share(feature: &Value) -> f64 {
    feature["properties"]["socle_part"].as_f64().unwrap_or_else(|| panic!("{feature}"))
}

#[test]
pub fn communes_cut_at_the_border_made_of_them_are_whole() {
    let server = demo_server();
    let (plain, _) = features(&server, "/t/dep-59/collections/communes/items");
    let (cut, list) = features(&server, "/t/dep-59-clip/collections/communes/items");
    assert_eq!((plain, cut, list.len()), (647, 647, 647));
    assert!(list.values().all(|f| share(f) == 1.0));
    let one = server.json("/t/dep-59-clip/collections/communes/items/59350");
    let same = server.json("/collections/communes/items/59350");
    assert_eq!(one["geometry"], same["geometry"]);
    assert_eq!(share(&one), 1.0);
}

#[test]
pub fn cantons_across_a_border_are_cut_on_both_sides_of_it() {
    let server = demo_server();
    let scope = |code: &str| features(&server, &format!("/t/{code}/collections/cantons/items")).1;
    let parts: Vec<_> = ["dep-02", "dep-59", "dep-60", "dep-62", "dep-80"]
        .map(|d| scope(&format!("{d}-clip")))
        .into();
    let (mut whole, mut total) = (0, BTreeMap::<&str, f64>::new());
    for part in parts.iter().flatten() {
        whole += usize::from(share(part.1) == 1.0);
        *total.entry(part.0).or_default() += share(part.1);
    }
    // The cantons of the region lie in it, but for what two sources make of one coast.
    assert!(whole > 50 && total.values().all(|t| *t > 0.95 && *t < 1.0 + 1e-8), "{total:?}");
    // A commune cuts its canton down to itself.
    let lille = scope("com-59350-clip");
    assert!(lille.values().all(|f| share(f) > 0.0));
    let union = scope("dep-62+dep-59-clip");
    assert_eq!(union, scope("dep-59+dep-62-clip"));
    let asked =
        server.json("/collections/cantons/items?limit=1000&territory=dep:59&territory-mode=clip");
    assert_eq!(asked["numberMatched"].as_u64(), Some(parts[1].len() as u64));
    // One feature alone is cut the same, and is not there where nothing is left of it.
    let (id, feature) = parts[1].iter().find(|(_, f)| share(f) < 1.0).unwrap();
    let one = server.json(&format!("/t/dep-59-clip/collections/cantons/items/{id}"));
    assert_eq!(one["geometry"], feature["geometry"]);
    let elsewhere = server.get(&format!("/t/dep-02-clip/collections/cantons/items/{id}"));
    assert_eq!(elsewhere.status, if parts[0].contains_key(id) { 200 } else { 404 });
}

#[test]
pub fn pages_of_cut_features_neither_repeat_nor_lose_any() {
    let server = demo_server();
    let scope = "/t/epci-200093201-clip/collections/mairies/items";
    let (matched, all) = features(&server, scope);
    let mut seen = Vec::new();
    let mut path = format!("{scope}?limit=7");
    loop {
        let page = server.json(&path);
        assert_eq!(page["numberMatched"].as_u64(), Some(matched));
        let ids = page["features"].as_array().unwrap().iter();
        seen.extend(ids.map(|f| f["id"].as_str().unwrap().to_owned()));
        let links = page["links"].as_array().unwrap();
        let Some(next) = links.iter().find(|l| l["rel"] == "next") else { break };
        path = next["href"].as_str().unwrap().replace(server.base.trim_end_matches('/'), "");
    }
    assert_eq!(seen.len(), all.len());
    seen.sort();
    assert!(seen.iter().eq(all.keys()));
    let third = server.json(&format!("{scope}?limit=5&offset=5"));
    assert_eq!(third["numberReturned"], 5);
}

/// Code and share of each feature of a tile.
fn codes_and_shares(tile: &[u8]) -> Vec<(String, f64)> {
    let layers = mvt::read(tile).unwrap();
    let features = layers.iter().flat_map(|l| l.features.iter().map(move |f| (l, f)));
    let one = |(layer, feature): (&DecodedLayer, &DecodedFeature)| {
        let all: BTreeMap<&str, &DecodedValue> = layer.properties(feature).collect();
        match (all.get("code"), all.get("socle_part")) {
            (Some(DecodedValue::Text(code)), Some(DecodedValue::Double(share))) => {
                (code.clone(), *share)
            }
            _ => panic!("{all:?}"),
        }
    };
    features.map(one).collect()
}

#[test]
pub fn tiles_of_a_cut_scope_hold_what_its_items_do() {
    let server = demo_server();
    for (scope, layer) in [("dep-59", "cantons"), ("com-59350", "cantons"), ("dep-62", "communes")]
    {
        let items = features(&server, &format!("/t/{scope}-clip/collections/{layer}/items")).1;
        let mut seen: BTreeMap<String, f64> = BTreeMap::new();
        for x in 1025..1055 {
            for y in 680..705 {
                let path = format!("/t/{scope}-clip/collections/{layer}/tiles/11/{x}/{y}.mvt");
                let tile = server.send("GET", &path, &[("accept-encoding", "gzip")]);
                if tile.status == 204 {
                    continue;
                }
                assert_eq!(tile.status, 200, "{path}");
                seen.extend(codes_and_shares(&gunzip(&tile.body)));
            }
        }
        for (id, part) in &seen {
            let same = items.get(id).is_some_and(|f| (share(f) - part).abs() < 1e-12);
            assert!(same, "{scope} {layer} {id}");
        }
        // What the items hold and no tile shows is a sliver.
        for (id, feature) in items.iter().filter(|(id, _)| !seen.contains_key(*id)) {
            assert!(share(feature) < 1e-3, "{scope} {layer} {id}");
        }
    }
}

/// The same features in a file, in another system, with their shares.
#[test]
pub fn files_of_a_cut_scope_hold_what_its_items_do() {
    if !has("ogrinfo") {
        return;
    }
    let server = demo_server();
    let items = features(&server, "/t/dep-59-clip/collections/cantons/items").1;
    let file = tempfile::Builder::new().suffix(".gpkg").tempfile().unwrap();
    let answer = server.get("/t/dep-59-clip/collections/cantons/export?f=gpkg");
    assert_eq!(answer.status, 200, "{}", answer.text());
    std::fs::write(file.path(), &answer.body).unwrap();
    let sql = "SELECT code, socle_part, ST_IsValid(geom) AS ok, ST_GeometryType(geom) AS kind \
               FROM cantons";
    let name = file.path().to_str().unwrap();
    let csv = tempfile::tempdir().unwrap();
    let out = csv.path().join("out.csv");
    tool("ogr2ogr", &["-f", "CSV", out.to_str().unwrap(), name, "-dialect", "SQLite", "-sql", sql]);
    let text = std::fs::read_to_string(out).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|l| l.split(',').collect()).collect();
    assert_eq!(rows.len(), items.len());
    for row in rows {
        let id = row[0].trim_matches('"');
        let part: f64 = row[1].parse().unwrap();
        assert!((share(&items[id]) - part).abs() < 1e-9, "{row:?}");
        let plain = |i: usize| row[i].trim_matches('"');
        assert_eq!((plain(2), plain(3)), ("1", "MULTIPOLYGON"), "{row:?}");
    }
    let about = tool("ogrinfo", &["-ro", "-so", name, "cantons"]);
    assert!(about.contains("MULTIPOLYGON") || about.contains("Multi Polygon"), "{about}");
    let without = server.get("/collections/cantons/items?territory-mode=clip");
    assert_eq!(without.status, 400);
}

/// Each part against `ST_Intersection` with the `ST_Union` of the communes, in the same CRS.
#[test]
fn parts_are_those_that_postgis_cuts() {
    let Some(postgis) = postgres::shared() else { return };
    let (server, database) = (demo_server(), postgis.database());
    let load = |table: &str, path: &str| {
        let list = features(&server, path).1;
        let row = |(id, f): (&String, &Value)| {
            let part = f["properties"]["socle_part"].as_f64().unwrap_or(1.0);
            format!("('{id}', ST_GeomFromGeoJSON('{}'), {part:e})", f["geometry"])
        };
        let rows: Vec<String> = list.iter().map(row).collect();
        postgis.sql(&database, &format!("CREATE TABLE {table} (id text, g geometry, part float)"));
        // A command line holds 128 KiB.
        for row in rows {
            postgis.sql(&database, &format!("INSERT INTO {table} VALUES {row}"));
        }
    };
    load("cantons", "/collections/cantons/items");
    for (i, scope) in
        ["dep-59", "epci-200093201", "com-59350", "dep-80+epci-200093201"].into_iter().enumerate()
    {
        load(&format!("members{i}"), &format!("/t/{scope}/collections/communes/items"));
        load(&format!("cut{i}"), &format!("/t/{scope}-clip/collections/cantons/items"));
        // Degrees to metres: 111,320 along the meridian, and more than enough along a parallel.
        let wrong = postgis.sql(
            &database,
            &format!(
                "WITH border AS (SELECT ST_Union(g) AS b FROM members{i}), judged AS (
                   SELECT m.id, m.g, m.part, c.g AS whole, ST_Intersection(c.g, b) AS theirs
                   FROM cut{i} m JOIN cantons c USING (id), border)
                 SELECT count(*), count(*) FILTER (WHERE NOT ST_IsValid(g)
                   OR ST_Dimension(g) <> 2 OR part < 0 OR part > 1
                   OR abs(ST_Area(g) - ST_Area(theirs)) > 1e-3 / 111320 * ST_Perimeter(whole)
                   OR abs(part - ST_Area(theirs::geography) / ST_Area(whole::geography)) > 1e-5)
                 FROM judged"
            ),
        );
        let (seen, wrong) = wrong.split_once('|').unwrap();
        assert_eq!(wrong, "0", "{scope}: of {seen}");
        assert_ne!(seen, "0", "{scope}");
    }
}

over_both!(
    figures_and_tables_of_a_cut_scope_count_what_is_left,
    a_border_with_holes_says_how_many_communes_it_lacks,
);

fn a_border_with_holes_says_how_many_communes_it_lacks() {
    let site = Site::new();
    let square = |code: &str, west: f64| {
        let ring =
            [[west, 50.6], [west + 0.1, 50.6], [west + 0.1, 50.7], [west, 50.7], [west, 50.6]];
        json!({ "type": "Feature", "properties": { "code": code },
            "geometry": { "type": "Polygon", "coordinates": [ring] } })
    };
    // Lille and Lambersart: two of the communes of their EPCI.
    let all = json!({ "type": "FeatureCollection",
        "features": [square("59350", 3.0), square("59328", 3.1)] });
    std::fs::write(site.path("communes.geojson"), all.to_string()).unwrap();
    site.layer(
        "communes",
        "key = \"code\"\n[source]\npath = \"../communes.geojson\"\n\
         [territory]\nlevel = \"com\"\ncolumn = \"code\"\nborders = \"com\"",
    );
    site.harvest();
    let server = site.serve();
    let members = server.json("/territories/epci-200093201")["members"].clone();
    let communes = members.as_array().unwrap().iter();
    let communes = communes.filter(|m| m["id"].as_str().unwrap().starts_with("com:")).count();
    let missing = (communes - 2).to_string();
    let path = "/t/epci-200093201-clip/collections/communes";
    let page = server.get(&format!("{path}/items"));
    assert_eq!(page.json()["numberMatched"], 2);
    assert_eq!(page.header("socle-border-missing"), Some(missing.as_str()));
    let file = server.get(&format!("{path}/export?f=geojson")).json();
    assert_eq!(file["metadata"]["border_missing"], missing.as_str(), "{}", file["metadata"]);
    let whole = server.get("/t/com-59350-clip/collections/communes/items");
    assert_eq!(whole.header("socle-border-missing"), None);
}

/// Cantons along the border of an EPCI: what the border leaves nothing of counts nowhere.
fn figures_and_tables_of_a_cut_scope_count_what_is_left() {
    let site = Site::new();
    let square = |name: &str, west: f64, east: f64| {
        let ring = [[west, 50.6], [east, 50.6], [east, 50.7], [west, 50.7], [west, 50.6]];
        json!({ "type": "Feature", "properties": { "nom": name, "code": name, "habitants": 100 },
            "geometry": { "type": "Polygon", "coordinates": [ring] } })
    };
    let write = |file: &str, all: &[Value]| {
        let all = json!({ "type": "FeatureCollection", "features": all });
        std::fs::write(site.path(file), all.to_string()).unwrap();
    };
    // Lille, and Lambersart to its east.
    write("communes.geojson", &[square("59350", 3.0, 3.1), square("59328", 3.1, 3.2)]);
    site.layer(
        "communes",
        "key = \"code\"\n[source]\npath = \"../communes.geojson\"\n\
         [territory]\nlevel = \"com\"\ncolumn = \"code\"\nborders = \"com\"",
    );
    // Inside Lille; over both; and one whose code says Lille while it lies in Lambersart.
    let mut strayed = square("ailleurs", 3.15, 3.16);
    strayed["properties"]["insee"] = "59350".into();
    let mut zones = vec![square("dedans", 3.02, 3.04), square("partout", 3.05, 3.15), strayed];
    for zone in &mut zones[..2] {
        zone["properties"]["insee"] = "59350".into();
    }
    write("zones.geojson", &zones);
    site.layer(
        "zones",
        "key = \"nom\"\n[source]\npath = \"../zones.geojson\"\n\
         [territory]\nlevel = \"com\"\ncolumn = \"insee\"",
    );
    site.harvest();
    let server = site.serve();
    let figures = |scope: &str| {
        let path = format!(
            "/t/{scope}/collections/zones/stats?by=com&metric=count,sum:habitants&share=none"
        );
        let figures = server.json(&path);
        (figures["total_distinct"].clone(), figures["rows"][0].clone())
    };
    let items = |scope: &str| {
        server.json(&format!("/t/{scope}/collections/zones/items"))["numberMatched"].clone()
    };
    assert_eq!((items("com-59350"), items("com-59350-clip")), (json!(3), json!(2)));
    let (whole, _) = figures("com-59350");
    let (cut, row) = figures("com-59350-clip");
    assert_eq!((whole, cut), (json!(3), json!(2)));
    // A value is that of the whole feature: a cut does not divide people.
    assert_eq!((&row["count"], &row["sum:habitants"]), (&json!(2), &json!(200)), "{row}");
    let parameter =
        server.json("/collections/zones/stats?by=com&territory=com:59350&territory-mode=clip");
    assert_eq!(parameter["total_distinct"], 2);
    let count = |scope: &str| {
        let table =
            server.json(&format!("/t/{scope}/table?level=com&collections=zones&show=count"));
        table["rows"][0]["zones"].clone()
    };
    assert_eq!((count("com-59350"), count("com-59350-clip")), (json!(3), json!(2)));
    let box_too = server.get("/t/com-59350-clip/collections/zones/stats?by=com&bbox=3,50,4,51");
    assert_eq!(box_too.status, 400, "{}", box_too.text());
}
