//! `datetime` on layers that have times: the same features on every road, over both stores.

use crate::support::{Server, Site, gunzip, said};
use socle::formats::mvt;
use std::collections::BTreeSet;

over_both!(
    instants_and_intervals_select_what_holds_then,
    every_road_selects_the_same,
    a_layer_says_from_when_to_when,
    a_field_that_holds_no_dates_is_refused,
);

/// id, day, start, end, instant; an end that is missing is open, a day that is missing unknown.
const ROWS: &str = "id,jour,debut,fin,instant,lon,lat
a,2024-01-15,2024-01-01,2024-06-30,2024-01-15T08:00:00Z,3.06,50.63
b,2024-03-01,2024-05-01,,2024-03-01T23:59:59Z,3.06,50.63
c,2025-02-10,2023-01-01,2023-12-31,2025-02-10T00:00:00Z,3.07,50.63
d,,2025-01-01,2025-01-01,,3.08,50.63
";

pub fn site() -> (Site, Server) {
    let site = Site::new();
    std::fs::write(site.path("rows.csv"), ROWS).unwrap();
    let source = "key = \"id\"\n[source]\npath = \"../rows.csv\"\n[time]\n";
    site.layer("jours", &format!("{source}column = \"jour\""));
    site.layer("periodes", &format!("{source}start = \"debut\"\nend = \"fin\""));
    site.layer("instants", &format!("{source}column = \"instant\""));
    site.layer("sans", "key = \"id\"\n[source]\npath = \"../rows.csv\"");
    site.harvest();
    let server = site.serve();
    (site, server)
}

fn found(server: &Server, path: &str) -> String {
    let page = server.json(path);
    let ids = page["features"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap());
    let ids: String = ids.collect();
    assert_eq!(page["numberMatched"], ids.len(), "{path}");
    ids
}

fn instants_and_intervals_select_what_holds_then() {
    let (_site, server) = site();
    for (layer, datetime, expected) in [
        // A feature without a time always matches (`/req/core/fc-time-response`).
        ("jours", "2024-01-15", "ad"),
        ("jours", "2024-01-15T10:00:00Z", "ad"),
        ("jours", "2024-01-14T23:00:00-02:00", "ad"),
        ("jours", "2024-01-16", "d"),
        ("jours", "2024-01-15/2024-03-01", "abd"),
        ("jours", "2024-01-16/2024-02-28T23:59:59Z", "d"),
        ("jours", "2024-02-01/..", "bcd"),
        ("jours", "../2024-02-01", "ad"),
        ("jours", "2024-02-01T/..", "bcd"),
        ("jours", "0000-01-01T00:00:00Z/2024-02-01T00:00:00Z", "ad"),
        ("jours", "2024-02-01T00:00:00Z/9999-12-31T00:00:00Z", "bcd"),
        ("periodes", "2024-06-15", "ab"),
        ("periodes", "2024-06-30", "ab"),
        ("periodes", "2024-07-01", "b"),
        ("periodes", "2025-01-01", "bd"),
        ("periodes", "2023-06-01/2024-02-01", "ac"),
        ("periodes", "../2023-12-31", "c"),
        ("periodes", "2025-06-01/..", "b"),
        ("instants", "2024-03-01", "bd"),
        ("instants", "2024-03-01T23:59:59Z", "bd"),
        ("instants", "2024-03-02T00:59:59+01:00", "bd"),
        ("instants", "2024-03-01T23:59:58Z", "d"),
        ("instants", "2024-01-15/2024-03-01", "abd"),
        ("instants", "2025-02-10/2025-02-10", "cd"),
        ("instants", "../2024-01-15T08:00:00Z", "ad"),
        ("sans", "1999-01-01", "abcd"),
    ] {
        let datetime = datetime.replace('+', "%2B");
        let path = format!("/collections/{layer}/items?datetime={datetime}");
        assert_eq!(found(&server, &path), expected, "{layer} {datetime}");
    }
    // With a filter, a box and a territory.
    let path = "/collections/jours/items?datetime=2024-01-01/2024-12-31";
    assert_eq!(found(&server, &format!("{path}&filter=id%20%3C%3E%20'a'")), "bd");
    assert_eq!(found(&server, &format!("{path}&bbox=3.05,50.6,3.065,50.7")), "ab");
    assert_eq!(found(&server, &format!("{path}&id=b")), "b");
    for bad in ["hier", "2024-02-02/2024-02-01", "../.."] {
        let answer = server.get(&format!("/collections/jours/items?datetime={bad}"));
        assert_eq!(answer.status, 400, "{bad}");
        let tile = format!("/collections/jours/tiles/8/130/86.mvt?datetime={bad}");
        assert_eq!(server.get(&tile).status, 400, "{bad}");
    }
}

fn every_road_selects_the_same() {
    let (_site, server) = site();
    let when = "datetime=2024-02-01/2024-12-31";
    let expected = found(&server, &format!("/collections/jours/items?{when}"));
    assert_eq!(expected, "bd");
    let ids = |path: &str| {
        let answer = server.send("GET", path, &[("Accept-Encoding", "gzip")]);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let layers = mvt::read(&gunzip(&answer.body)).unwrap();
        let layer = layers.iter().find(|l| l.name == "jours").unwrap();
        let id =
            |feature| match layer.properties(feature).find(|(name, _)| *name == "id").unwrap().1 {
                mvt::DecodedValue::Text(id) => id.clone(),
                other => panic!("{other:?}"),
            };
        layer.features.iter().map(id).collect::<BTreeSet<String>>().into_iter().collect::<String>()
    };
    let tile = server.json("/collections/jours/tilejson.json")["tiles"][0].clone();
    let tile = tile.as_str().unwrap().strip_prefix(&server.base).unwrap().to_owned();
    let at = tile.replace("{z}", "10").replace("{x}", "520").replace("{y}", "344");
    assert_eq!(ids(&format!("/{at}?{when}")), expected);
    assert_eq!(ids(&format!("/tiles/10/520/344.mvt?collections=jours,sans&{when}")), expected);
    // TileJSON repeats what it was asked for.
    let told = server.json(&format!("/collections/jours/tilejson.json?{when}"));
    assert!(told["tiles"][0].as_str().unwrap().contains("datetime=2024-02-01"), "{told}");
    // Two times are two tiles.
    let tag = |when: &str| {
        server.get(&format!("/{at}?datetime={when}")).header("etag").unwrap().to_owned()
    };
    assert_ne!(tag("2024-01-15"), tag("2024-03-01"));
    let csv = server.get(&format!("/collections/jours/export?f=csv&{when}")).text();
    let rows: String = csv.lines().skip(1).map(|r| r.split(';').next().unwrap()).collect();
    assert_eq!(rows.replace('"', ""), expected);
    let figures = server.json(&format!("/collections/jours/stats?by=dep&{when}"));
    assert_eq!(
        figures["total_distinct"]["count"].as_u64().or(figures["total_distinct"].as_u64()),
        Some(2),
        "{figures}"
    );
}

fn a_layer_says_from_when_to_when() {
    let (_site, server) = site();
    let interval = |layer: &str| {
        server.json(&format!("/collections/{layer}"))["extent"]["temporal"]["interval"][0]
            .to_string()
    };
    assert_eq!(interval("jours"), r#"["2024-01-15T00:00:00Z","2025-02-10T00:00:00Z"]"#);
    assert_eq!(interval("periodes"), r#"["2023-01-01T00:00:00Z",null]"#);
    assert_eq!(interval("instants"), r#"["2024-01-15T08:00:00Z","2025-02-10T00:00:00Z"]"#);
    assert_eq!(interval("sans"), "null");
}

fn a_field_that_holds_no_dates_is_refused() {
    let site = Site::new();
    std::fs::write(site.path("rows.csv"), ROWS).unwrap();
    site.layer(
        "jours",
        "key = \"id\"\n[source]\npath = \"../rows.csv\"\n[time]\ncolumn = \"lieu\"",
    );
    let output = site.run(&["harvest"]);
    assert!(!output.status.success());
    let text = said(&output);
    assert!(text.contains("« lieu »") && text.contains("jour, debut, fin, instant"), "{text}");
}
