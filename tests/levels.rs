//! Levels drawn from communes, as layers: what they hold, how they follow the communes, and what
//! PostGIS makes of the same file.

use crate::support::{
    Server, Site, command, demo_levels_server, has, postgres, root, said, socle, tool,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, process::Stdio};

over_both!(
    every_level_is_a_layer_like_any_other,
    levels_follow_the_communes_and_come_back_with_them,
    a_server_makes_what_a_publication_before_it_left_to_do,
    two_harvests_at_once_make_one_version,
    a_territory_shows_its_shape_and_what_is_out_of_the_common,
);

/// Properties by code, all features.
fn territories(server: &Server, path: &str) -> BTreeMap<String, Value> {
    let page = server.json(&format!("{path}?limit=10000"));
    let features = page["features"].as_array().unwrap().iter();
    features.map(|f| (f["id"].as_str().unwrap().to_owned(), f["properties"].clone())).collect()
}

/// What people are told of columns is of those that the level has.
fn no_level_is_told_of_columns_it_lacks(server: &Server, levels: &[&str]) {
    for id in levels {
        let versions = server.json(&format!("/collections/{id}/versions"));
        let version = versions["versions"][0]["id"].as_str().unwrap();
        let report = server.json(&format!("/collections/{id}/versions/{version}/report"));
        assert!(!report["report"]["notes"].to_string().contains("[fields]"), "{id}: {report}");
    }
}

fn every_level_is_a_layer_like_any_other() {
    let server = demo_levels_server();
    let list = server.json("/collections");
    let ids: Vec<&str> =
        list["collections"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap()).collect();
    // No commune of the region is in an EPT: that layer is not there.
    let derived = ["territoires-arr", "territoires-dep", "territoires-epci", "territoires-reg"];
    assert_eq!(ids, [&["cantons", "communes", "mairies"][..], &derived].concat());

    let departements = territories(&server, "/collections/territoires-dep/items");
    assert_eq!(departements.keys().collect::<Vec<_>>(), ["02", "59", "60", "62", "80"]);
    let nord = &departements["59"];
    assert_eq!((&nord["nom"], &nord["nature"]), (&json!("Nord"), &json!("département")));
    assert_eq!((&nord["communes"], &nord["communes_absentes"]), (&json!(647), &json!(0)));
    assert_eq!(
        (&nord["reg"], &nord["membres"]),
        (&json!("32"), &json!("591, 592, 593, 594, 595, 596"))
    );
    assert!((nord["superficie_km2"].as_f64().unwrap() - 5_759.0).abs() < 40.0, "{nord}");
    let region = &territories(&server, "/collections/territoires-reg/items")["32"];
    assert_eq!(region["membres"], "02, 59, 60, 62, 80");
    let sum: f64 = departements.values().map(|d| d["superficie_km2"].as_f64().unwrap()).sum();
    assert!((region["superficie_km2"].as_f64().unwrap() - sum).abs() < 1.0);

    no_level_is_told_of_columns_it_lacks(&server, &derived);
    // Those of which a part lies beyond the layer say so.
    let epci = territories(&server, "/collections/territoires-epci/items");
    let across = &epci["245900758"];
    assert_eq!((&across["dep"], &across["communes"]), (&json!("59, 62"), &json!(8)));
    assert!(epci.values().any(|e| e["communes_absentes"].as_u64().unwrap() > 0));
    let rows = server.json("/collections/communes/stats?by=epci")["rows"].clone();
    let with = rows.as_array().unwrap().iter().filter(|r| r["count"] != 0);
    assert_eq!(with.count(), epci.len());

    // Filters, figures, tiles, files, styles: as of any layer.
    let hits = |path: &str| server.json(path)["numberMatched"].as_u64().unwrap();
    for scope in ["dep-59", "dep-62"] {
        let found = territories(&server, &format!("/t/{scope}/collections/territoires-epci/items"));
        assert!(found.contains_key("245900758"), "{scope}");
        let within = format!("/t/{scope}-within/collections/territoires-epci/items");
        assert!(!territories(&server, &within).contains_key("245900758"), "{scope}");
        let clip = format!("/t/{scope}-clip/collections/territoires-epci/items");
        let part = territories(&server, &clip)["245900758"]["socle_part"].as_f64().unwrap();
        assert!(part > 0.1 && part < 0.9, "{scope}: {part}");
    }
    let both = server.json("/t/dep-59+dep-62/collections/territoires-epci/stats?by=dep");
    let rows: u64 =
        both["rows"].as_array().unwrap().iter().map(|r| r["count"].as_u64().unwrap()).sum();
    let distinct = both["total_distinct"].as_u64().unwrap();
    assert_eq!(
        distinct,
        hits("/t/dep-59+dep-62/collections/territoires-epci/items?resultType=hits")
    );
    assert!(rows > distinct, "{rows} rows count once what is across");
    let map = server.json("/collections/communes/stats?by=dep&f=geojson");
    let drawn = map["features"].as_array().unwrap().iter().filter(|f| !f["geometry"].is_null());
    assert_eq!(drawn.count(), 5);
    let tile = server.get("/t/dep-59/collections/territoires-arr/tiles/8/130/86.mvt");
    assert_eq!(tile.status, 200);
    let style = server.json("/styles/territoires-arr");
    assert_eq!(style["version"], 8);
    let file = server.get("/t/dep-59/collections/territoires-epci/export?f=geojson").json();
    assert_eq!(
        file["features"].as_array().unwrap().len() as u64,
        hits("/t/dep-59/collections/territoires-epci/items?resultType=hits")
    );
    assert!(
        file["metadata"]["attribution"].as_str().unwrap().contains("Code officiel"),
        "{}",
        file["metadata"]
    );
    let about = server.json("/collections/territoires-epci");
    let communes = server.json("/collections/communes");
    for date in ["described_at", "published_at", "fetched_at", "checked_at"] {
        assert_eq!(about[date], communes[date], "{date}");
    }
    assert_eq!(about["title"], "Intercommunalités (EPCI)");
}

/// The union of the same communes by PostGIS, area for area and point for point.
#[test]
fn levels_are_what_postgis_unites() {
    let Some(postgis) = postgres::shared() else { return };
    if !has("ogr2ogr") {
        return;
    }
    let (server, database) = (demo_levels_server(), postgis.database());
    let to = format!(
        "PG:host=127.0.0.1 port={} user={} dbname={database}",
        postgis.port,
        postgres::USER
    );
    let load = |file: &str, table: &str| {
        tool(
            "ogr2ogr",
            &[
                "-f",
                "PostgreSQL",
                &to,
                file,
                "-nln",
                table,
                "-nlt",
                "PROMOTE_TO_MULTI",
                "-lco",
                "GEOMETRY_NAME=g",
            ],
        );
    };
    load(root().join("config/demo/data/communes.geojson").to_str().unwrap(), "communes");
    let folder = tempfile::tempdir().unwrap();
    for (level, column) in [("dep", "dep"), ("epci", "epci")] {
        let file = folder.path().join(format!("{level}.geojson"));
        let made = server.get(&format!("/collections/territoires-{level}/export?f=geojson"));
        fs::write(&file, &made.body).unwrap();
        load(file.to_str().unwrap(), level);
        // 10 m² is what rounding 7 decimals of a degree makes of a long border. Holes that the
        // borders of neighbours leave are the same in both.
        let wrong = postgis.sql(
            &database,
            &format!(
                "WITH theirs AS (SELECT {column} AS code, ST_Union(g) AS u FROM communes
                   WHERE {column} IS NOT NULL GROUP BY 1), judged AS (
                   SELECT code, ST_Area(ST_SymDifference(g, u)::geography) AS apart,
                     ST_Perimeter(u::geography) AS around, ST_Area(u::geography) / 1e6 AS km2,
                     superficie_km2, ST_IsValid(g) AS ok,
                     ST_Distance(ST_Centroid(u), ST_SetSRID(ST_Point(centre_lon, centre_lat), 4326)) AS off
                   FROM {level} FULL JOIN theirs USING (code))
                 SELECT count(*), count(*) FILTER (WHERE apart IS NULL OR NOT ok
                   OR apart > 0.02 * around OR abs(km2 - superficie_km2) > 1e-4 * km2 OR off > 2e-6)
                 FROM judged"
            ),
        );
        let (seen, wrong) = wrong.split_once('|').unwrap();
        assert_eq!(wrong, "0", "{level}: of {seen}");
        assert!(seen.parse::<u32>().unwrap() >= 5);
    }
}

/// Two communes of one EPCI side by side, and an island in none.
fn communes(width: f64) -> String {
    let square = |code: &str, west: f64, width: f64| {
        let ring =
            [[west, 50.6], [west + width, 50.6], [west + width, 50.7], [west, 50.7], [west, 50.6]];
        json!({ "type": "Feature", "properties": { "code": code },
            "geometry": { "type": "Polygon", "coordinates": [ring] } })
    };
    let features =
        [square("59350", 3.0, 0.1), square("59328", 3.1, width), square("29155", -5.1, 0.1)];
    json!({ "type": "FeatureCollection", "features": features }).to_string()
}

const BOUND: &str = "key = \"code\"\n[source]\npath = \"../communes.geojson\"\n\
    [territory]\nlevel = \"com\"\ncolumn = \"code\"\nborders = \"com\"";

fn site() -> (Site, String) {
    let site = Site::new();
    fs::write(site.path("communes.geojson"), communes(0.1)).unwrap();
    site.layer("communes", BOUND);
    let config = site.with_levels();
    (site, config)
}

fn version(server: &Server) -> (String, f64) {
    let collection = server.json("/collections/territoires-epci");
    let epci = territories(server, "/collections/territoires-epci/items");
    let area = epci["200093201"]["superficie_km2"].as_f64().unwrap();
    (collection["version"].as_str().unwrap_or_else(|| panic!("{collection}")).to_owned(), area)
}

fn a_server_makes_what_a_publication_before_it_left_to_do() {
    let (site, config) = site();
    // Published by a program that died before it made the levels: as one that makes none leaves it.
    site.harvest();
    site.layer("communes", &format!("{BOUND}\n[schedule]\ncron = \"@yearly\""));
    let server = Server::start(&config);
    let limit = std::time::Duration::from_secs(60);
    assert!(server.until(limit, |s| s.get("/collections/territoires-epci/items").status == 200));
}

fn levels_follow_the_communes_and_come_back_with_them() {
    let (site, config) = site();
    let run = |args: &[&str]| {
        let output = socle(&[args, &["--config", &config]].concat());
        (output.status.code(), said(&output))
    };
    let (code, text) = run(&["harvest"]);
    assert_eq!(code, Some(0), "{text}");
    for words in ["✓ territoires-dep", "✓ territoires-reg", "Île-de-Sein (29083)"] {
        let island = words.starts_with('Î');
        assert_eq!(text.contains(words), !island, "« {words} »: {text}");
    }
    assert!(text.contains("aucun territoire de ce niveau : Ouessant (29155)"), "{text}");
    assert!(!text.contains("territoires-ept"), "{text}");
    let server = Server::start(&config);
    let first = version(&server);
    let (code, text) = run(&["harvest"]);
    assert!(code == Some(0) && !text.contains("territoires"), "nothing moved: {text}");
    assert_eq!(version(&server), first);

    // Wider communes, a larger EPCI; and back again.
    fs::write(site.path("communes.geojson"), communes(0.2)).unwrap();
    let (code, text) = run(&["harvest"]);
    assert!(code == Some(0) && text.contains("✓ territoires-epci"), "{text}");
    let limit = std::time::Duration::from_secs(10);
    assert!(server.until(limit, |s| version(s).0 != first.0));
    let second = version(&server);
    assert!((second.1 / first.1 - 1.5).abs() < 1e-4, "{second:?} after {first:?}");
    let history = server.json("/collections/territoires-epci/versions");
    assert!(history["versions"].as_array().unwrap().len() == 2, "{history}");
    let (code, text) = run(&["rollback", "communes"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(server.until(limit, |s| version(s).0 != second.0));
    assert_eq!(version(&server).1, first.1);
    drop(server);
    assert_eq!(version(&Server::start(&config)).1, first.1, "after a restart");

    // Without a commune in any of its territories a level is no layer; with one it is again.
    let all: Value = serde_json::from_str(&communes(0.1)).unwrap();
    let mut island = all.clone();
    island["features"].as_array_mut().unwrap().drain(..2);
    fs::write(site.path("communes.geojson"), island.to_string()).unwrap();
    let (code, text) = run(&["harvest", "--force"]);
    assert_eq!(code, Some(0), "{text}");
    let server = Server::start(&config);
    let epci = |server: &Server| server.get("/collections/territoires-epci").status;
    let listed = server.json("/collections").to_string();
    assert!(epci(&server) == 404 && !listed.contains("territoires-epci"), "{listed}");
    let departements = territories(&server, "/collections/territoires-dep/items");
    assert_eq!(departements.keys().collect::<Vec<_>>(), ["29"]);
    let (code, text) = run(&["harvest"]);
    assert!(code == Some(0) && !text.contains("territoires-epci"), "nothing moved: {text}");
    fs::write(site.path("communes.geojson"), all.to_string()).unwrap();
    assert_eq!(run(&["harvest", "--force"]).0, Some(0));
    assert!(server.until(limit, |s| epci(s) == 200));
    assert_eq!(version(&server).1, first.1);
    drop(server);

    // It is the communes that are harvested.
    let (code, text) = run(&["harvest", "territoires-epci"]);
    assert!(code == Some(2) && text.contains("« communes »"), "{text}");
    let (_, text) = run(&["layers"]);
    assert!(text.contains("pas encore dérivée"), "{text}");
    assert_eq!(run(&["check"]).0, Some(0));
}

fn two_harvests_at_once_make_one_version() {
    let (_site, config) = site();
    let start = || {
        let mut harvest = command(&["harvest", "--config", &config]);
        harvest.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let both = [start(), start()];
    // One of them may find the communes claimed, and fails saying so; never both.
    let ended = both.map(|mut child| child.wait().unwrap().success());
    assert!(ended.contains(&true));
    let again = socle(&["harvest", "--config", &config]);
    assert!(again.status.success(), "{}", said(&again));
    let server = Server::start(&config);
    let history = server.json("/collections/territoires-dep/versions");
    assert_eq!(history["versions"].as_array().unwrap().len(), 1, "{history}");
}

#[test]
fn a_layer_that_draws_a_level_takes_its_place() {
    let (site, config) = site();
    fs::copy(site.path("communes.geojson"), site.path("departements.geojson")).unwrap();
    site.layer(
        "departements",
        "[source]\npath = \"../departements.geojson\"\n[territory]\nborders = \"dep\"",
    );
    let output = socle(&["layers", "--config", &config]);
    let text = said(&output);
    assert!(text.contains("territoires-reg") && !text.contains("territoires-dep"), "{text}");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}\n[territories]\nderived = [\"dep\", \"depp\"]\n")).unwrap();
    let output = socle(&["layers", "--config", &config]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2));
    let line = text.lines().count() + 3;
    assert!(said.contains(&format!("levels.toml:{line} :")) && said.contains("« dep »"), "{said}");
}

/// All numbers of nested arrays.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(list) => list.iter().flat_map(numbers).collect(),
        other => other.as_f64().into_iter().collect(),
    }
}

fn a_territory_shows_its_shape_and_what_is_out_of_the_common() {
    let server = demo_levels_server();
    let layer = &territories(&server, "/collections/territoires-dep/items")["59"];
    let nord = server.json("/territories/dep-59");
    assert_eq!((&nord["name"], &nord["nature"]), (&json!("Nord"), &json!("département")));
    let near =
        |a: &Value, b: &Value, by: f64| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() <= by;
    assert!(near(&nord["areaKm2"], &layer["superficie_km2"], 1e-4), "{nord}");
    assert!(near(&nord["centroid"][0], &layer["centre_lon"], 1e-6));
    assert!(near(&nord["centroid"][1], &layer["centre_lat"], 1e-6));
    assert_eq!(nord["communesMissing"], 0);
    // The very shape of the layer, and of the GeoJSON feature.
    let same = server.json("/collections/territoires-dep/items/59");
    assert!(nord["geometry"] == same["geometry"]);
    let answer = server.get("/territories/dep-59?f=geojson");
    assert!(answer.header("content-type").unwrap().starts_with("application/geo+json"));
    let feature = answer.json();
    assert_eq!((&feature["type"], &feature["id"]), (&json!("Feature"), &json!("dep:59")));
    assert!(feature["geometry"] == nord["geometry"]);
    assert_eq!(feature["bbox"], nord["bbox"]);
    assert_eq!(feature["properties"]["name"], "Nord");
    assert!(feature["properties"].get("geometry").is_none());
    let tag = answer.header("etag").unwrap().to_owned();
    let again = server.send("GET", "/territories/dep-59?f=geojson", &[("If-None-Match", &tag)]);
    assert_eq!(again.status, 304);
    // A commune and a canton by the layers of their own.
    let lille = server.json("/territories/com-59350");
    let items = server.json("/collections/communes/items/59350");
    let place = lille["bbox"][0].as_f64().unwrap()..lille["bbox"][2].as_f64().unwrap();
    let corner = items["geometry"]["coordinates"].as_array().unwrap().iter().flat_map(numbers);
    assert!(corner.step_by(2).all(|lon| lon >= place.start && lon <= place.end));
    assert!(server.json("/territories/canton-5901")["areaKm2"].as_f64().unwrap() > 1.0);

    let across = server.json("/territories/epci-245900758");
    let text = across["remarks"].to_string();
    assert!(text.contains("59, 62"), "{text}");
    let parents: Vec<&str> =
        across["parents"].as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap()).collect();
    assert_eq!(parents, ["dep:59", "dep:62", "reg:32"]);
    // No polygon of an island or of Corse here: it is said, not guessed.
    for code in ["com-29155", "dep-2A", "fr", "com-98818", "qpv-QN05901M"] {
        let away = server.json(&format!("/territories/{code}"));
        assert!(away["geometry"].is_null() && away["areaKm2"].is_null(), "{code}: {away}");
    }
    let island = server.json("/territories/com-29155")["remarks"].to_string();
    assert!(island.contains("EPCI"), "{island}");
    // An EPCI of which the layer has some communes only is drawn, and says how many it lacks.
    let epci = territories(&server, "/collections/territoires-epci/items");
    let (code, part) = epci.iter().find(|(_, e)| e["communes_absentes"] != 0).unwrap();
    let shown = server.json(&format!("/territories/epci-{code}"));
    assert!(shown["geometry"].is_object(), "{shown}");
    assert_eq!(shown["communesMissing"], part["communes_absentes"]);
    assert!(server.json("/territories/reg-28")["geometry"].is_null());
    let page = server.page("/territories/dep-59");
    assert!(page.text().contains("km²") && page.text().contains("f=geojson"), "{}", page.text());
}
