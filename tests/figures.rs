//! Figures by territory over HTTP, on both stores, against sums made by other means from the
//! very files that were harvested.

use crate::support::{Server, Site, demo_layers, demo_server, has, over_postgis, root, tool};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The same tests over a database.
macro_rules! same_over_postgis {
    ($($test:ident),* $(,)?) => {
        mod over_postgis {
            $(#[test] fn $test() { super::over_postgis(super::$test); })*
        }
    };
}

same_over_postgis!(
    counts_are_those_of_features,
    sums_are_those_of_the_file,
    several_territories_need_a_rule_and_totals_close,
    a_territory_narrows_rows_and_figures,
    maps_are_small_and_valid,
    the_table_sets_layers_side_by_side,
);

/// The rows of an answer by code.
fn rows(answer: &Value) -> BTreeMap<String, Value> {
    let rows = answer["rows"].as_array().unwrap().iter();
    rows.map(|row| (row["code"].as_str().unwrap().to_owned(), row.clone())).collect()
}

fn communes() -> Vec<Value> {
    let text = std::fs::read(root().join("config/demo/data/communes.geojson")).unwrap();
    let all: Value = serde_json::from_slice(&text).unwrap();
    all["features"].as_array().unwrap().iter().map(|f| f["properties"].clone()).collect()
}

/// Every number of features is what `items` counts for the territory, over several levels.
#[test]
fn counts_are_those_of_features() {
    let server = demo_server();
    for (layer, by, every) in [
        ("mairies", "epci", 9),
        ("cantons", "com", 211),
        ("cantons", "arr", 1),
        ("communes", "dep", 1),
        ("mairies", "canton", 17),
    ] {
        let answer = server.json(&format!("/collections/{layer}/stats?by={by}"));
        let found = rows(&answer);
        assert!(found.len() > 4, "{layer} by {by}");
        let sum: u64 = found.values().map(|r| r["count"].as_u64().unwrap()).sum();
        let outside = answer["outside"]["features"].as_u64().unwrap();
        let total = answer["total_distinct"].as_u64().unwrap();
        assert!(sum + outside >= total, "{layer} by {by}: {sum} + {outside} < {total}");
        for (code, row) in found.iter().step_by(every) {
            let path = format!("/collections/{layer}/items?territory={by}:{code}&resultType=hits");
            assert_eq!(server.json(&path)["numberMatched"], row["count"], "{path}");
        }
    }
}

/// Sums, means and extremes by département and EPCI are those of the file itself.
#[test]
fn sums_are_those_of_the_file() {
    let server = demo_server();
    let path = "/collections/communes/stats?metric=count,sum:population,avg:population,min:population,max:population,distinct:epci";
    for (by, property) in [("dep", "dep"), ("epci", "epci")] {
        let answer = server.json(&format!("{path}&by={by}"));
        let mut expected: BTreeMap<String, Vec<Option<i64>>> = BTreeMap::new();
        let mut total = 0;
        for commune in communes() {
            let population = commune["population"].as_i64();
            total += population.unwrap_or(0);
            if let Some(code) = commune[property].as_str() {
                expected.entry(code.to_owned()).or_default().push(population);
            }
        }
        let found = rows(&answer);
        let mut compared = 0;
        for (code, values) in &expected {
            // The file's EPCI are those of its year; rows are of the reference's.
            let Some(row) = found.get(code).filter(|r| r["count"] == json!(values.len())) else {
                continue;
            };
            let known: Vec<i64> = values.iter().flatten().copied().collect();
            assert_eq!(row["sum:population"], json!(known.iter().sum::<i64>()), "{code}");
            assert_eq!(row["min:population"], json!(known.iter().min()), "{code}");
            assert_eq!(row["max:population"], json!(known.iter().max()), "{code}");
            let mean = known.iter().sum::<i64>() as f64 / known.len() as f64;
            assert!((row["avg:population"].as_f64().unwrap() - mean).abs() < 1e-9, "{code}");
            compared += 1;
        }
        assert!(compared * 10 >= expected.len() * 9, "{by}: {compared} of {}", expected.len());
        assert_eq!(answer["total"]["sum:population"], total);
        let rows: i64 = found.values().filter_map(|r| r["sum:population"].as_i64()).sum();
        let outside = answer["outside"]["sum:population"].as_i64().unwrap_or(0);
        assert_eq!(rows + outside, total, "{by}");
    }
}

/// A layer of polygons with a number, some of which lie on two départements.
fn zones() -> Site {
    let site = Site::new();
    demo_layers(&site);
    let square = |name: &str, x: f64, y: f64, side: f64, value: f64| {
        let (e, n) = (x + side, y + side);
        json!({
            "type": "Feature", "properties": { "nom": name, "valeur": value },
            "geometry": { "type": "Polygon", "coordinates": [[[x, y], [e, y], [e, n], [x, n], [x, y]]] },
        })
    };
    // Two across the border of the Nord with the Pas-de-Calais, one inside, one in the sea.
    let features = [
        square("frontière", 2.75, 50.5, 0.3, 100.0),
        square("autre", 2.9, 50.3, 0.4, 7.5),
        square("dedans", 3.3, 50.1, 0.05, 3.0),
        square("mer", 0.5, 51.2, 0.05, 11.0),
    ];
    let all = json!({ "type": "FeatureCollection", "features": features });
    std::fs::write(site.path("zones.geojson"), all.to_string()).unwrap();
    site.layer(
        "zones",
        "key = \"nom\"\n[source]\npath = \"../zones.geojson\"\nformat = \"geojson\"\n[territory]\nby_location = true",
    );
    site.harvest();
    site
}

/// A sum over features of several territories says how many they are and what to ask for; every
/// way of sharing closes.
#[test]
fn several_territories_need_a_rule_and_totals_close() {
    let site = zones();
    let server = site.serve();
    let refused = server.get("/collections/zones/stats?by=dep&metric=sum:valeur");
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains("2 entités") && refused.text().contains("main"));
    // Without a sum there is nothing to share; features count in each.
    let plain = server.json("/collections/zones/stats?by=dep&metric=count,avg:valeur");
    let counts = rows(&plain);
    assert_eq!(counts["59"]["count"], 3);
    assert_eq!(counts["62"]["count"], 2);
    assert_eq!((&plain["several"], &plain["total_distinct"]), (&json!(2), &json!(4)));
    assert_eq!(plain["outside"]["count"], 1);
    assert_eq!(plain["outside"]["unattached"], 1);
    let ask = |share: &str, scope: &str| {
        server.json(&format!(
            "{scope}/collections/zones/stats?by=dep&metric=sum:valeur&share={share}"
        ))
    };
    let sum = |v: &Value| v["sum:valeur"].as_f64().unwrap_or(0.0);
    for share in ["main", "area"] {
        for (scope, total) in [("", 121.5), ("/t/dep-59", 110.5), ("/t/dep-62", 107.5)] {
            let answer = ask(share, scope);
            let parts: f64 = rows(&answer).values().map(sum).sum();
            assert!((sum(&answer["total"]) - total).abs() < 1e-9, "{answer}");
            assert!((parts + sum(&answer["outside"]) - total).abs() < 1e-9, "{share} {scope}");
        }
    }
    let main = rows(&ask("main", ""));
    assert!(
        main.values().all(|r| [0.0, 3.0, 7.5, 10.5, 100.0, 107.5, 110.5, 103.0].contains(&sum(r)))
    );
    let none = rows(&ask("none", ""));
    assert_eq!((sum(&none["59"]), sum(&none["62"])), (110.5, 107.5));
    areas_agree_with_gdal(&site, &ask("area", ""));
}

/// The shares by area, computed by GEOS from the communes of the demo.
fn areas_agree_with_gdal(site: &Site, answer: &Value) {
    if !has("python3")
        || std::process::Command::new("/usr/bin/python3")
            .args(["-c", "from osgeo import ogr"])
            .status()
            .is_ok_and(|s| !s.success())
    {
        println!("skipped: python3-gdal is not installed");
        return;
    }
    let script = r#"
import json, sys, math
from osgeo import ogr
ogr.UseExceptions()
zones = json.load(open(sys.argv[1]))["features"]
communes = json.load(open(sys.argv[2]))["features"]
sums = {}
def flat(g):
    # Equal-area enough over half a degree: longitudes shrunk by the latitude of the middle.
    g = g.Clone()
    y = (g.GetEnvelope()[2] + g.GetEnvelope()[3]) / 2
    return g.GetArea() * math.cos(math.radians(y))
polygons = [(c["properties"]["dep"], ogr.CreateGeometryFromJson(json.dumps(c["geometry"]))) for c in communes]
for zone in zones:
    shape = ogr.CreateGeometryFromJson(json.dumps(zone["geometry"]))
    parts = {}
    for dep, polygon in polygons:
        if polygon.Intersects(shape):
            area = flat(polygon.Intersection(shape))
            parts[dep] = parts.get(dep, 0) + area
    whole = sum(parts.values())
    for dep, area in parts.items():
        sums[dep] = sums.get(dep, 0) + zone["properties"]["valeur"] * area / whole
print(json.dumps(sums))
"#;
    let (zones, communes) =
        (site.path("zones.geojson"), root().join("config/demo/data/communes.geojson"));
    let said = tool(
        "/usr/bin/python3",
        &["-c", script, zones.to_str().unwrap(), communes.to_str().unwrap()],
    );
    let sums: BTreeMap<String, f64> = serde_json::from_str(&said).unwrap();
    let found = rows(answer);
    for (dep, sum) in sums.iter().filter(|(dep, _)| ["59", "62"].contains(&dep.as_str())) {
        let ours = found[dep]["sum:valeur"].as_f64().unwrap();
        // Noise at borders is not attached here, and is in the other sum.
        assert!((ours - sum).abs() < 0.02 * sum, "{dep}: {ours} against {sum}");
    }
}

/// In a scope, rows are the territories that it touches, and count what the scope shows.
#[test]
fn a_territory_narrows_rows_and_figures() {
    let server = demo_server();
    let nord = server.json("/t/dep-59/collections/cantons/stats?by=arr");
    assert!(rows(&nord).keys().all(|code| code.starts_with("59")), "{nord}");
    for (code, row) in rows(&nord) {
        let path =
            format!("/t/dep-59/collections/cantons/items?territory=arr:{code}&resultType=hits");
        assert_eq!(server.json(&path)["numberMatched"], row["count"], "{path}");
    }
    let same = server.json("/collections/cantons/stats?by=arr&territory=dep:59");
    assert_eq!(same["rows"], nord["rows"]);
    let within = server
        .json("/t/dep-59-within/collections/communes/stats?by=arr&metric=count,sum:population");
    let concerns =
        server.json("/t/dep-59/collections/communes/stats?by=arr&metric=count,sum:population");
    assert_eq!(within["rows"], concerns["rows"]);
    // A box narrows what is counted, not which rows there are.
    let boxed = server.json("/t/dep-59/collections/mairies/stats?by=arr&bbox=3,50.5,3.2,50.8");
    assert_eq!(rows(&boxed).len(), rows(&nord).len());
    let items =
        server.json("/t/dep-59/collections/mairies/items?bbox=3,50.5,3.2,50.8&resultType=hits");
    assert_eq!(boxed["total_distinct"], items["numberMatched"]);
    let unions = ["/t/dep-59+dep-62", "/t/dep-62+dep-59"].map(|scope| {
        server.json(&format!("{scope}/collections/mairies/stats?by=dep"))["rows"].clone()
    });
    assert_eq!(unions[0], unions[1]);
}

/// The map of a scope draws every row, in a size a page can load, for any GIS.
#[test]
fn maps_are_small_and_valid() {
    let server = demo_server();
    let answer =
        server.get("/t/dep-59/collections/communes/stats?by=com&metric=sum:population&f=geojson");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/geo+json"));
    assert!(answer.body.len() < 250_000, "{}", answer.body.len());
    let map = answer.json();
    let features = map["features"].as_array().unwrap();
    let drawn = features.iter().filter(|f| f["geometry"].is_object()).count();
    assert!(drawn * 100 >= features.len() * 98, "{drawn} of {}", features.len());
    assert!(features.iter().all(|f| f["id"] == f["properties"]["code"]));
    let breaks = map["classes"]["breaks"].as_array().unwrap();
    assert_eq!(breaks.len(), 4);
    let classes: Vec<u64> =
        features.iter().filter_map(|f| f["properties"]["class"].as_u64()).collect();
    assert!((0..5).all(|class| classes.contains(&class)));
    // Lille is where it is.
    let lille = features.iter().find(|f| f["id"] == "59350").unwrap();
    let ring = lille["geometry"]["coordinates"].to_string();
    assert!(ring.contains("[3.0") && ring.contains(",50.6"), "{ring}");
    if has("ogrinfo") {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("carte.geojson");
        std::fs::write(&file, &answer.body).unwrap();
        let said = tool("ogrinfo", &["-so", "-al", file.to_str().unwrap()]);
        assert!(said.contains(&format!("Feature Count: {}", features.len())), "{said}");
        assert!(said.contains("sum:population"), "{said}");
    }
    // No layer draws EPCI here: the refusal says which is missing.
    let missing = server.get("/collections/communes/stats?by=epci&f=geojson");
    assert_eq!(missing.status, 409, "{}", missing.text());
    assert!(missing.text().contains("epci"));
}

#[test]
fn wrong_figures_are_refused_with_what_is_allowed() {
    let server = demo_server();
    for (query, words) in [
        ("", &["by", "epci"][..]),
        ("?by=pays", &["pays", "epci", "qpv"]),
        ("?by=dep&metric=sum:habitants", &["habitants", "population"]),
        ("?by=dep&metric=median:population", &["median", "count"]),
        ("?by=dep&metric=sum:nom", &["nom", "population"]),
        ("?by=dep&share=half", &["half", "main"]),
        ("?by=dep&sort=surface", &["surface", "count"]),
        ("?by=dep&f=shp", &["shp", "geojson"]),
        ("?by=dep&separator=x", &["separator", "comma"]),
        ("?by=dep&territory=dep:99", &["99"]),
        ("?by=dep&colour=red", &["colour", "metric"]),
    ] {
        let answer = server.get(&format!("/collections/communes/stats{query}"));
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        for word in words {
            assert!(answer.text().contains(word), "{query}: {word} not in {}", answer.text());
        }
    }
}

#[test]
fn figures_are_not_made_again_and_files_are_files() {
    let server = demo_server();
    let path = "/collections/communes/stats?by=dep&metric=count,sum:population";
    let first = server.get(path);
    let tag = first.header("etag").unwrap();
    let again = server.send("GET", path, &[("Accept", "application/json"), ("If-None-Match", tag)]);
    assert_eq!(again.status, 304);
    let turned = "/collections/communes/stats?metric=count,sum:population&by=dep";
    assert_eq!(server.get(turned).header("etag"), Some(tag));
    let csv = server.get(&format!("{path}&f=csv&decimal=comma"));
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(csv.header("content-disposition").unwrap().contains("socle_communes_dep.csv"));
    let text = csv.text();
    assert!(
        text.starts_with("\u{feff}code;nom;count;sum:population\r\n01;Ain;0;\r\n02;Aisne;"),
        "{text}"
    );
    assert!(text.contains("Hors territoire"));
    let page = server.page(&format!("{path}&sort=-sum:population"));
    assert!(page.text().contains("aria-sort=\"descending\""));
    assert!(page.text().find(">Nord<").unwrap() < page.text().find(">Oise<").unwrap());
    let english = server.send("GET", path, &[("Accept", "text/html"), ("Accept-Language", "en")]);
    assert!(english.text().contains("figures by territory"));
}

/// The analyst's table: presence, counts, properties, what conflicts and what is not covered.
fn the_table_sets_layers_side_by_side() {
    let site = Site::new();
    demo_layers(&site);
    // Two programmes with a code of a commune; one commune has two rows that disagree.
    std::fs::write(
        site.path("programme.csv"),
        "code;annee;nom\n59350;2019;=1+1\n59350;2021;Lille\n62041;2020;Arras\n62041;2020;Arras\n",
    )
    .unwrap();
    site.layer(
        "programme",
        "[source]\npath = \"../programme.csv\"\nformat = \"csv\"\n[source.csv]\nseparator = \";\"\ntext = [\"code\"]\n[territory]\nlevel = \"com\"\ncolumn = \"code\"",
    );
    site.harvest();
    let server = site.serve();
    let path = "/t/reg-32/table?level=com&collections=programme,programme:annee,mairies";
    let table = server.json(path);
    let found = rows(&table);
    // The file is of the year before the reference: a few communes merged since.
    assert!(found.len().abs_diff(communes().len()) < 20, "{}", found.len());
    assert_eq!(found["59350"]["programme"], true);
    assert_eq!(found["59350"]["programme:annee"], json!({ "divergent": ["2019", "2021"] }));
    assert_eq!(found["62041"]["programme:annee"], "2020");
    assert_eq!(found["60694"]["programme"], false);
    assert_eq!(found["59350"]["dep"], json!(["59"]));
    assert_eq!(found["59350"]["epci"], json!(["200093201"]));
    let conflict = &table["divergent"][0];
    assert_eq!(
        (&conflict["code"], &conflict["column"]),
        (&json!("59350"), &json!("programme:annee"))
    );
    assert_eq!(table["sources"].as_array().unwrap().len(), 3);
    assert!(table["sources"][0]["dates"]["fetched"].is_string());
    // Another région: nothing is said of it.
    let far = rows(
        &server.json("/table?level=dep&collections=programme&territory=dep:13,dep:60&show=count"),
    );
    assert_eq!((&far["13"]["programme"], &far["60"]["programme"]), (&Value::Null, &json!(0)));
    // Counts are those of the same filter on features.
    let counts =
        rows(&server.json("/t/reg-32/table?level=epci&collections=mairies,cantons&show=count"));
    for (code, row) in counts.iter().step_by(11) {
        for layer in ["mairies", "cantons"] {
            let path = format!(
                "/t/reg-32/collections/{layer}/items?territory=epci:{code}&resultType=hits"
            );
            assert_eq!(server.json(&path)["numberMatched"], row[layer], "{path}");
        }
    }
    table_as_files_and_pages(&server);
}

/// The workbook, as GDAL reads it: codes are text, numbers are numbers.
fn workbook(server: &Server) {
    let path = "/t/com-59350/table?level=com&collections=programme:annee,mairies&show=count&f=xlsx";
    let answer = server.get(path);
    assert_eq!(answer.status, 200, "{}", answer.text());
    if !has("ogrinfo") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("table.xlsx");
    std::fs::write(&file, &answer.body).unwrap();
    let said =
        tool("ogrinfo", &["--config", "OGR_XLSX_HEADERS", "FORCE", "-al", file.to_str().unwrap()]);
    for words in [
        "Layer name: tableau",
        "code (String) = 59350",
        "dep (String) = 59",
        "mairies (Integer) = 1",
        "programme:annee (String) = valeurs divergentes",
        "Layer name: divergences",
        "valeur (String) = 2021",
        "Layer name: sources",
        "licence (String) = Licence Ouverte",
        "Millésime du COG",
    ] {
        assert!(said.contains(words), "{words} not in {said}");
    }
}

fn table_as_files_and_pages(server: &Server) {
    let csv = server
        .get("/t/com-59350/table?level=com&collections=programme:nom,programme:annee&f=csv")
        .text();
    let mut lines = csv.lines();
    assert_eq!(
        lines.next().unwrap(),
        "\u{feff}code;nom;epci;epci_nom;arr;arr_nom;dep;dep_nom;reg;reg_nom;programme:nom;programme:annee;valeurs divergentes"
    );
    let line = lines.next().unwrap();
    assert!(line.starts_with("59350;Lille;200093201;"), "{line}");
    assert!(line.contains("valeurs divergentes;valeurs divergentes;"), "{line}");
    assert!(line.contains("programme:annee : 2019 | 2021"), "{line}");
    workbook(server);
    let page = server.page("/t/dep-59/table").text();
    assert!(page.contains("<select id=\"level\"") && page.contains("value=\"mairies\""), "{page}");
    let page = server.page(
        "/t/dep-59/table?level=com&show=count&collections=mairies&collections=programme&f=html",
    );
    assert!(page.text().contains("<th scope=\"col\">programme</th>"), "{}", page.text());
    for (query, word) in [
        ("", "level"),
        ("?level=com", "collections"),
        ("?level=pays&collections=mairies", "pays"),
        ("?level=com&collections=mairies:surface", "surface"),
        ("?level=com&collections=mairies&show=sum", "presence"),
        ("?level=com&level=dep&collections=mairies", "level"),
        ("?level=com&collections=mairies&f=ods", "csv"),
    ] {
        let answer = server.get(&format!("/table{query}"));
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        assert!(answer.text().contains(word), "{query}: {}", answer.text());
    }
    assert_eq!(server.get("/table?level=com&collections=routes").status, 404);
}

#[test]
fn the_table_over_files() {
    the_table_sets_layers_side_by_side();
}
