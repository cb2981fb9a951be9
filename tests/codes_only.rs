//! Tables without geometry whose rows take that of the territory their code names, from outside.

use crate::support::{Server, Site, said};
use serde_json::{Value, json};
use std::fs;

/// A square of 0.1° whose corner lies at these degrees.
fn square(x: f64, y: f64) -> Value {
    let ring = [[x, y], [x + 0.1, y], [x + 0.1, y + 0.1], [x, y + 0.1], [x, y]];
    json!({ "type": "Polygon", "coordinates": [ring] })
}

fn communes(site: &Site, list: &[(&str, f64)]) {
    let feature = |(code, x): &(&str, f64)| {
        json!({
            "type": "Feature", "properties": { "code": code, "nom": code },
            "geometry": square(*x, 50.0),
        })
    };
    let features: Vec<Value> = list.iter().map(feature).collect();
    let text = json!({ "type": "FeatureCollection", "features": features }).to_string();
    fs::write(site.path("communes.geojson"), text).unwrap();
}

const COMMUNES: &str = r#"key = "code"
[source]
path = "../communes.geojson"
[territory]
level = "com"
column = "code"
borders = "com""#;

fn table(site: &Site, id: &str, level: &str, geometry: &str, rows: &str) {
    fs::write(site.path(&format!("{id}.csv")), rows).unwrap();
    site.layer(
        id,
        &format!(
            "[source]\npath = \"../{id}.csv\"\n[territory]\nlevel = \"{level}\"\ncolumn = \"code\"\ngeometry = \"{geometry}\""
        ),
    );
}

/// Geometries of a layer by code.
fn shapes(server: &Server, id: &str) -> Vec<(String, Value)> {
    let page = server.json(&format!("/collections/{id}/items?limit=100"));
    let features = page["features"].as_array().unwrap_or_else(|| panic!("{page}")).iter();
    features
        .map(|f| (f["properties"]["code"].as_str().unwrap().to_owned(), f["geometry"].clone()))
        .collect()
}

fn all_x(shape: &Value) -> Vec<i64> {
    fn go(value: &Value, out: &mut Vec<i64>) {
        let list = value.as_array().unwrap();
        match list[0].as_f64() {
            Some(x) => out.push((x * 100.0).round() as i64),
            None => list.iter().for_each(|v| go(v, out)),
        }
    }
    let mut out = Vec::new();
    go(&shape["coordinates"], &mut out);
    out.sort_unstable();
    out.dedup();
    out
}

over_both!(rows_take_the_geometry_of_their_territory_once_it_is_drawn);

fn rows_take_the_geometry_of_their_territory_once_it_is_drawn() {
    let site = Site::new();
    site.layer("communes", COMMUNES);
    // A commune of today, one that is no more (Lomme, now Lille), one whose zero is lost, several
    // in a cell, one that no layer draws, and none.
    let rows = "code;n\n59350;1\n59355;2\n1001;3\n\"59350,59009\";4\n75056;5\n99999;6\n";
    table(&site, "actions", "com", "territory", rows);
    table(&site, "points", "com", "centroid", rows);
    table(&site, "groupements", "epci", "territory", "code;n\n200093201;1\n");
    let config = site.with_levels();
    let run = |args: &[&str]| crate::support::socle(&[args, &["--config", &config]].concat());
    let first = said(&run(&["harvest", "actions", "points", "groupements"]));
    assert!(first.contains("5 lignes restent sans géométrie : aucune couche"), "{first}");
    assert!(first.contains("niveau « com »") && first.contains("niveau « epci »"), "{first}");
    communes(&site, &[("59350", 3.0), ("59009", 3.1), ("01001", 5.0)]);
    let second = run(&["harvest", "communes"]);
    assert!(second.status.success(), "{}", said(&second));
    let second = said(&second);
    assert!(second.contains("4 lignes sans géométrie ont pris le contour"), "{second}");
    assert!(second.contains("leur territoire n'a pas de contour") && second.contains("75056"));
    assert!(second.contains("aucun de leurs codes ne désigne"), "{second}");
    {
        let server = Server::start(&config);
        let of = shapes(&server, "actions");
        let by = |code: &str| of.iter().find(|(c, _)| c == code).map(|(_, s)| s).unwrap();
        assert_eq!(all_x(by("59350")), [300, 310]);
        assert_eq!(all_x(by("59355")), [300, 310]);
        assert_eq!(all_x(by("1001")), [500, 510]);
        assert_eq!(all_x(by("59350,59009")), [300, 310, 320]);
        assert!(by("75056").is_null() && by("99999").is_null());
        for (code, shape) in shapes(&server, "points") {
            let x = match code.as_str() {
                "59350" | "59355" => 305,
                "1001" => 505,
                "59350,59009" => 310,
                _ => continue,
            };
            assert_eq!((shape["type"].as_str(), all_x(&shape)), (Some("Point"), vec![x]), "{code}");
        }
        assert_eq!(all_x(&shapes(&server, "groupements")[0].1), [300, 310, 320]);
    }
    // What draws them moves: they follow, and nothing else does.
    communes(&site, &[("59350", 3.0), ("59009", 3.1), ("01001", 5.2)]);
    let third = said(&run(&["harvest", "communes"]));
    assert!(third.contains("actions : version"), "{third}");
    let fourth = said(&run(&["harvest"]));
    assert!(fourth.contains("= actions : source inchangée"), "{fourth}");
    let server = Server::start(&config);
    let of = shapes(&server, "actions");
    assert!(of.iter().any(|(code, shape)| code == "1001" && all_x(shape) == [520, 530]), "{of:?}");
}

#[test]
fn geometry_of_territories_needs_a_column_of_codes() {
    let site = Site::new();
    fs::write(site.path("a.csv"), "code\n59350\n").unwrap();
    let layer = |territory: &str| {
        site.layer("a", &format!("[source]\npath = \"../a.csv\"\n[territory]\n{territory}"));
        said(&site.run(&["check"]))
    };
    let bare = layer("geometry = \"territory\"");
    assert!(bare.contains("il faut une colonne de codes"), "{bare}");
    let odd = layer("level = \"com\"\ncolumn = \"code\"\ngeometry = \"centre\"");
    assert!(odd.contains("géométrie inconnue « centre »"), "{odd}");
}
