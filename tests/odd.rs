//! Data as odd as it comes: names that are reserved somewhere, numbers at the ends of their range,
//! identifiers full of signs, geometry at the edges of the world, codes of another level.

use crate::support::{Server, Site};
use serde_json::{Value, json};
use std::fs;

/// `%`-encodes everything but letters and digits.
fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric();
    text.bytes()
        .map(|b| if plain(b) { char::from(b).into() } else { format!("%{b:02X}") })
        .collect()
}

/// A property and the text by which a filter asks for its value.
const NAMES: [(&str, &str); 19] = [
    ("LINE_NUMB-SEG", "A-1"),
    ("é à", "œuf"),
    ("select", "from"),
    ("Nom", "Haut"),
    ("nom", "bas"),
    ("fid", "7"),
    ("FID", "x"),
    ("rowid", "r"),
    ("geom", "G"),
    ("geometry", "g"),
    ("quote'\"q", "d'or \"x\""),
    ("a,b", "c,d"),
    ("%2B+&=?", "100 %+&"),
    ("big", "9007199254740993"),
    ("min", "-9223372036854775808"),
    ("max", "9223372036854775807"),
    ("flt", "0.1"),
    ("vide", ""),
    ("bool", "true"),
];

fn properties(id: &str) -> Value {
    let mut all = json!({
        "id": id, "fid": 7, "big": 9_007_199_254_740_993_u64, "min": i64::MIN, "max": i64::MAX,
        "flt": 0.1, "bool": true, "nul": null, "json": { "a": [1, { "b": null }] },
        // Names of parameters: served, though no filter can ask for them.
        "bbox": "b", "limit": 5, "offset": "o", "f": "F", "territory": "t",
    });
    for (name, value) in NAMES {
        all.as_object_mut().unwrap().entry(name).or_insert_with(|| json!(value));
    }
    all
}

fn feature(id: &str, geometry: Value) -> Value {
    json!({ "type": "Feature", "properties": properties(id), "geometry": geometry })
}

fn point(x: f64, y: f64) -> Value {
    json!({ "type": "Point", "coordinates": [x, y] })
}

/// A site with one layer of these features, keyed by `id`.
fn site(features: &[Value]) -> (Site, Server) {
    let site = Site::new();
    let text = json!({ "type": "FeatureCollection", "features": features }).to_string();
    fs::write(site.path("odd.geojson"), text).unwrap();
    site.layer("odd", "key = \"id\"\nlabel = \"Nom\"\n[source]\npath = \"../odd.geojson\"");
    site.harvest();
    let server = site.serve();
    (site, server)
}

#[test]
fn any_name_and_any_value_come_through_and_can_be_filtered_by() {
    let (_site, server) = site(&[feature("1", point(3.0, 50.6)), feature("2", Value::Null)]);
    let all = server.json("/collections/odd/items");
    assert_eq!(all["features"][0]["properties"], properties("1"));
    assert_eq!(all["features"][1]["properties"], properties("2"));
    for (name, value) in NAMES {
        let path = format!("/collections/odd/items?{}={}", encode(name), encode(value));
        assert_eq!(server.json(&path)["numberMatched"], 2, "{name}");
        let none = format!("{path}&id=2&bbox=3,50,4,51&limit=1");
        assert_eq!(server.json(&none)["numberMatched"], 1, "{name}");
    }
    // The neighbour of 2^53 + 1 that a double cannot tell from it.
    assert_eq!(server.json("/collections/odd/items?big=9007199254740992")["numberMatched"], 0);
    assert_eq!(server.get("/collections/odd/items?max=9223372036854775808").status, 400);
}

#[test]
fn filtered_features_are_counted_whatever_the_page() {
    let features: Vec<Value> = (0..30).map(|i| feature(&i.to_string(), point(3.0, 50.6))).collect();
    let (_site, server) = site(&features);
    for query in ["Nom=Haut", "Nom=Haut&limit=1", "Nom=Haut&offset=29", "Nom=Haut&resultType=hits"]
    {
        let page = server.json(&format!("/collections/odd/items?{query}"));
        assert_eq!(page["numberMatched"], 30, "{query}");
    }
}

#[test]
fn beyond_the_end_there_is_nothing_and_no_next_page() {
    let (_site, server) = site(&[feature("1", point(3.0, 50.6)), feature("2", Value::Null)]);
    for offset in ["2", "3", "4294967296", "9223372036854775807", "18446744073709551615"] {
        for query in ["", "&Nom=Haut", "&territory=dep:59", "&bbox=3,50,4,51"] {
            let path = format!("/collections/odd/items?offset={offset}{query}");
            let page = server.json(&path);
            assert_eq!(page["numberReturned"], 0, "{path}");
            let links = page["links"].as_array().unwrap();
            assert!(links.iter().all(|l| l["rel"] != "next"), "{path}");
        }
    }
    assert_eq!(server.get("/collections/odd/items?offset=18446744073709551616").status, 400);
    // A cursor's number comes from outside too.
    let first = server.json("/collections/odd/items?limit=1");
    let links = first["links"].as_array().unwrap();
    let next = links.iter().find(|l| l["rel"] == "next").unwrap()["href"].as_str().unwrap();
    let next = next.strip_prefix(server.base.trim_end_matches('/')).unwrap();
    let far = format!("{}{}", next.rsplit_once('1').unwrap().0, u64::MAX);
    assert_eq!(server.json(&far)["numberReturned"], 0, "{far}");
}

#[test]
fn identifiers_full_of_signs_are_addresses_and_never_markup() {
    let ids = ["a/b c?d#e%é", "..", "%2F", "<script>alert(1)</script>", "'\"&", "x+y"];
    let features: Vec<Value> = ids.iter().map(|id| feature(id, point(3.0, 50.6))).collect();
    let (_site, server) = site(&features);
    let page = server.page("/collections/odd/items").text();
    assert!(!page.contains("<script>alert"), "escaped");
    for id in ids {
        let path = format!("/collections/odd/items/{}", encode(id));
        let one = server.json(&path);
        assert_eq!(one["id"], id);
        let links = one["links"].as_array().unwrap();
        let own = links.iter().find(|l| l["rel"] == "self").unwrap()["href"].as_str().unwrap();
        let again = own.strip_prefix(server.base.trim_end_matches('/')).unwrap();
        assert_eq!(server.json(again)["id"], id, "{own}");
        let html = server.page(&path);
        assert_eq!(html.status, 200);
        assert!(!html.text().contains("<script>alert"), "escaped");
    }
}

#[test]
fn the_edges_of_the_world_are_in_it() {
    let (_site, server) = site(&[
        // A rounding error past the antimeridian is on it.
        feature("past", point(180.000_000_000_000_06, 71.5)),
        feature("east", point(180.0, 0.0)),
        feature("west", point(-180.0, 0.0)),
        feature("north", point(0.0, 90.0)),
        feature("south", point(0.0, -90.0)),
    ]);
    let ids = |bbox: &str| {
        let page = server.json(&format!("/collections/odd/items?bbox={bbox}"));
        let features = page["features"].as_array().unwrap();
        features.iter().map(|f| f["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids("-180,-90,180,90").len(), 5);
    assert_eq!(ids("179,-1,-179,1"), ["east", "west"], "across the antimeridian");
    assert_eq!(ids("180,70,180,72"), ["past"]);
    assert_eq!(ids("-1,89,1,90"), ["north"]);
    for tile in ["0/0/0", "5/0/16", "5/31/16", "5/16/0", "5/16/31"] {
        let answer = server.get(&format!("/collections/odd/tiles/{tile}.mvt"));
        assert!(matches!(answer.status, 200 | 204), "{tile}: {}", answer.status);
    }
}

#[test]
fn municipal_arrondissements_in_a_column_of_communes_are_attached() {
    let site = Site::new();
    let rows = "insee;lon;lat\n75101;;\n69381;;\n13201;;\n75056;2.35;48.85\n99999;;\n";
    fs::write(site.path("points.csv"), rows).unwrap();
    site.layer(
        "points",
        "[source]\npath = \"../points.csv\"\n[territory]\nlevel = \"com\"\ncolumn = \"insee\"",
    );
    let said = site.harvest();
    assert!(said.contains("lues 5 · gardées 5 · refusées 0"), "{said}");
    assert!(said.contains("non rattachées 1"), "{said}");
    assert!(said.contains("3 lignes portent le code d'un arrondissement municipal"), "{said}");
    assert!(said.contains("code inconnu : 99999") && !said.contains("inconnu : 75101"), "{said}");
    let server = site.serve();
    let count = |territory: &str| {
        let path = format!("/collections/points/items?territory={territory}");
        server.json(&path)["numberMatched"].clone()
    };
    assert_eq!(count("com:75056"), 2);
    assert_eq!(count("dep:69"), 1);
    assert_eq!(count("arm:75101"), 1, "not the feature known by its commune only");
    assert_eq!(count("arm:75102"), 0);
}
