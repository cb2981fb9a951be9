//! The demo over HTTP: pages of features, tiles, scopes, and wrong input with its clear refusal.

use crate::support::{Site, command, demo_server, finish, gunzip, said, send};
use socle::formats::mvt;
use std::{collections::BTreeSet, net::TcpListener};

/// A problem document of the given status, in French, that says these words.
fn problem(path: &str, status: u16, words: &[&str]) {
    let server = demo_server();
    let answer = server.get(path);
    let text = answer.text();
    assert_eq!(answer.status, status, "{path}: {text}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    assert!(answer.header("cache-control").is_some_and(|c| c.contains("no-store")), "{path}");
    let json = answer.json();
    assert_eq!(json["status"], status);
    let id = answer.header("x-request-id").unwrap();
    assert_eq!(json["request_id"], id, "{path}");
    for word in words {
        assert!(text.contains(word), "{path}: « {word} » not in {text}");
    }
    for hidden in ["SELECT", "sqlite", "/store/", "src/", "panicked"] {
        assert!(!text.contains(hidden), "{path} shows {hidden}: {text}");
    }
}

#[test]
fn an_unknown_layer_is_404_and_lists_the_layers() {
    problem("/collections/routes/items", 404, &["routes", "communes", "cantons", "mairies"]);
}

#[test]
fn malformed_and_unknown_territories_are_400_and_named() {
    problem("/collections/communes/items?territory=dep:5x9", 400, &["5x9"]);
    problem("/collections/communes/items?territory=dep:99", 400, &["99"]);
    problem("/collections/communes/items?territory=pays:fr", 400, &["pays"]);
    problem("/collections/communes/items?territory=1234", 400, &["1234"]);
    problem("/t/dep-5x9/collections", 400, &["5x9"]);
    let many: Vec<String> = (1..=21).map(|i| format!("dep:{i:02}")).collect();
    problem(&format!("/collections/communes/items?territory={}", many.join(",")), 400, &["20"]);
    problem("/t/qpv-QN05901M-clip/collections/communes/items", 409, &["qpv", "borders"]);
}

#[test]
fn wrong_boxes_limits_and_parameters_are_400() {
    for (query, word) in [
        ("bbox=1,2,3", "bbox"),
        ("bbox=NaN,49,3,50", "bbox"),
        ("bbox=2,51,3,50", "bbox"),
        ("limit=unlimited", "limit"),
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("offset=abc", "offset"),
        ("cursor=nimporte", "cursor"),
        ("population=beaucoup", "population"),
        ("f=gml", "gml"),
        ("crs=http://www.opengis.net/def/crs/0/unsupported", "crs"),
        ("datetime=hier", "datetime"),
    ] {
        problem(&format!("/collections/communes/items?{query}"), 400, &[word]);
    }
    problem(
        "/collections/communes/items?unknownQueryParameter7=1",
        400,
        &["unknownQueryParameter7", "bbox", "territory", "nom"],
    );
    problem("/?toto=1", 400, &["toto"]);
    problem("/collections?toto=1", 400, &["toto"]);
}

#[test]
fn tiles_outside_the_grid_are_404_and_unreadable_addresses_400() {
    problem("/collections/communes/tiles/3/8/0.mvt", 404, &[]);
    problem("/collections/communes/tiles/WebMercatorQuad/3/8/0", 404, &[]);
    problem("/collections/communes/tiles/WebMercatorQuad/1/2147483647/0", 404, &[]);
    problem("/collections/communes/tiles/Lambert/3/1/0", 404, &["WebMercatorQuad"]);
    problem("/collections/communes/tiles/a/b/c.mvt", 400, &["a"]);
}

#[test]
fn errors_speak_english_when_asked_and_html_to_browsers() {
    let server = demo_server();
    let path = "/collections/communes/items?bbox=1,2,3";
    let english = server.send("GET", path, &[("Accept-Language", "en-GB,en;q=0.9")]);
    assert!(english.text().contains("numbers are needed"), "{}", english.text());
    let page = server.page(path);
    assert_eq!(page.status, 400);
    assert!(page.header("content-type").is_some_and(|c| c.starts_with("text/html")));
    assert!(page.text().contains("lang=\"fr\""));
    let wrong = server.send("POST", "/collections/communes/items", &[]);
    assert_eq!(wrong.status, 405);
    assert!(wrong.header("allow").is_some_and(|a| a.contains("GET")));
}

#[test]
fn an_associated_commune_gives_its_commune_with_a_notice() {
    let server = demo_server();
    let answer = server.get("/collections/communes/items?territory=com:59355");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    assert_eq!(json["numberMatched"], 1);
    assert_eq!(json["features"][0]["properties"]["nom"], "Lille");
    let notice = answer.header("socle-territory-notice").expect("a notice");
    assert!(notice.contains("59355") && notice.contains("59350"), "{notice}");
    let territory = server.json("/territories/com-59350");
    assert_eq!(territory["name"], "Lille");
}

#[test]
fn an_old_code_is_carried_and_said() {
    let server = demo_server();
    let carried = server.get("/collections/communes/items?territory=com:59020");
    assert_eq!(carried.status, 200, "{}", carried.text());
    assert_eq!(carried.json()["features"][0]["id"], "59009");
    assert!(carried.header("socle-territory-notice").is_some_and(|n| n.contains("59020")));
    let page = server.page("/t/com-59020/");
    assert!(matches!(page.status, 301 | 302 | 303 | 307 | 308), "{}", page.status);
    assert!(page.header("location").is_some_and(|l| l.contains("com-59009")));
}

#[test]
fn search_folds_and_puts_the_populous_first() {
    let server = demo_server();
    let found = server.json("/territories?q=saint-denis&level=com");
    let codes: Vec<&str> = found["territories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["code"].as_str().unwrap())
        .take(2)
        .collect();
    assert_eq!(codes.iter().copied().collect::<BTreeSet<_>>(), BTreeSet::from(["93066", "97411"]));
}

#[test]
fn pages_follow_each_other_whatever_the_way() {
    let server = demo_server();
    let path = "/t/dep-59/collections/communes/items?limit=100";
    let mut by_cursor = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let page = server.json(&path);
        assert_eq!(page["numberMatched"], 647);
        let ids = page["features"].as_array().unwrap().iter();
        by_cursor.extend(ids.map(|f| f["id"].as_str().unwrap().to_owned()));
        next =
            page["links"].as_array().unwrap().iter().find(|l| l["rel"] == "next").map(|l| {
                l["href"].as_str().unwrap().replace(server.base.trim_end_matches('/'), "")
            });
    }
    let by_offset: Vec<String> = (0..7)
        .flat_map(|i| {
            let page = server.json(&format!("{path}&offset={}", i * 100));
            let ids = page["features"].as_array().unwrap().iter();
            ids.map(|f| f["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(by_cursor.len(), 647);
    assert_eq!(by_cursor, by_offset);
    let unique: BTreeSet<&String> = by_cursor.iter().collect();
    assert_eq!(unique.len(), 647);
}

#[test]
fn filters_meet_as_the_design_says() {
    let server = demo_server();
    let count = |path: &str| server.json(path)["numberMatched"].as_u64();
    // A scope and a territory inside it meet as sets of communes.
    assert_eq!(count("/t/dep-59/collections/communes/items?territory=com:59350"), Some(1));
    assert_eq!(count("/t/dep-59/collections/communes/items?territory=dep:62"), Some(0));
    assert_eq!(
        count("/collections/communes/items?territory=dep:59,dep:62"),
        count("/t/dep-62+dep-59/collections/communes/items")
    );
    // The French alias, and a bare code.
    assert_eq!(count("/collections/communes/items?territoire=59350"), Some(1));
    // Within is a part of concerns, here a smaller one: cantons overflow an EPCI.
    let concerns = count("/t/epci-200093201/collections/cantons/items").unwrap();
    let within = count("/t/epci-200093201-within/collections/cantons/items").unwrap();
    assert!(within > 0 && within < concerns, "{within} of {concerns}");
    // All properties are there, null explicit; a property test finds its feature.
    let lille = server.json("/collections/communes/items?nom=Lille");
    assert_eq!(lille["numberReturned"], 1);
    let keys: BTreeSet<&str> = lille["features"][0]["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert!(keys.is_superset(&BTreeSet::from(["code", "nom", "dep", "epci", "population"])));
    let bare = server.json("/collections/communes/items/60694");
    assert!(bare["properties"]["population"].is_null());
    // The extent of a scope is that of its features.
    let nord = server.json("/t/dep-59/collections/communes");
    let west = nord["extent"]["spatial"]["bbox"][0][0].as_f64().unwrap();
    assert!((2.0..2.2).contains(&west), "{west}");
}

#[test]
fn a_tile_of_a_scope_holds_that_scope_only_and_changes_no_other() {
    let server = demo_server();
    // z8 over the border of the Nord with the Pas-de-Calais.
    let (plain, scoped) = (
        "/collections/communes/tiles/8/129/86.mvt",
        "/t/dep-59/collections/communes/tiles/8/129/86.mvt",
    );
    let departments = |path: &str| -> BTreeSet<String> {
        let tile = server.send("GET", path, &[]);
        assert_eq!(tile.status, 200, "{path}");
        let layers = mvt::read(&tile.body).unwrap();
        assert_eq!(layers.len(), 1);
        let layer = &layers[0];
        let dep = |f: &mvt::DecodedFeature| {
            layer.properties(f).find(|(k, _)| *k == "dep").map(|(_, v)| format!("{v:?}")).unwrap()
        };
        layer.features.iter().map(dep).collect()
    };
    let before = server.send("GET", plain, &[]);
    let all = departments(plain);
    assert!(all.len() > 1, "{all:?}");
    let only = departments(scoped);
    assert_eq!(only.len(), 1, "{only:?}");
    assert!(only.iter().next().unwrap().contains("59"));
    let other = departments("/t/dep-62/collections/communes/tiles/8/129/86.mvt");
    assert!(other.iter().next().unwrap().contains("62"));
    let after = server.send("GET", plain, &[]);
    assert_eq!(before.body, after.body);
    assert_eq!(before.header("etag"), after.header("etag"));
    let tags: BTreeSet<String> =
        [plain, scoped, "/t/dep-62/collections/communes/tiles/8/129/86.mvt"]
            .iter()
            .map(|p| server.send("GET", p, &[]).header("etag").unwrap().to_owned())
            .collect();
    assert_eq!(tags.len(), 3);
    // Two spellings of one union are one tile.
    let one = server.send("GET", "/t/dep-59+dep-62/collections/communes/tiles/8/129/86.mvt", &[]);
    let two = server.send("GET", "/t/dep-62+dep-59/collections/communes/tiles/8/129/86.mvt", &[]);
    assert_eq!(one.header("etag"), two.header("etag"));
}

#[test]
fn tiles_negotiate_gzip_and_answer_304_by_their_own_tag() {
    let server = demo_server();
    let path = "/collections/communes/tiles/WebMercatorQuad/10/344/520";
    let plain = server.send("GET", path, &[("Accept-Encoding", "identity")]);
    let gzip = server.send("GET", path, &[("Accept-Encoding", "gzip, deflate")]);
    assert_eq!(plain.status, 200);
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    assert_eq!(gunzip(&gzip.body), plain.body);
    assert_ne!(plain.header("etag"), gzip.header("etag"));
    assert_eq!(gzip.header("vary"), Some("Accept-Encoding"));
    let xyz = server.send("GET", "/collections/communes/tiles/10/520/344.mvt", &[]);
    assert_eq!(xyz.body, plain.body, "both orders name one tile");
    let tag = gzip.header("etag").unwrap().to_owned();
    let same = server.send("GET", path, &[("Accept-Encoding", "gzip"), ("If-None-Match", &tag)]);
    assert_eq!((same.status, same.body.len()), (304, 0));
    let other =
        server.send("GET", path, &[("Accept-Encoding", "identity"), ("If-None-Match", &tag)]);
    assert_eq!(other.status, 200, "the tag of one encoding is not that of the other");
    let empty = server.send("GET", "/collections/communes/tiles/10/0/0.mvt", &[]);
    assert_eq!(empty.status, 204);
    // A versioned URL of the state in force is immutable, another one leads back.
    let state = server.json("/collections/communes/tilejson.json")["socle"]["version"]
        .as_str()
        .map(str::to_owned);
    assert!(state.is_some());
    let old = server.send("GET", &format!("{path}?v=20200101T000000Z-00000000.0"), &[]);
    assert!(matches!(old.status, 302 | 307 | 410), "{}", old.status);
    assert!(!old.header("cache-control").unwrap_or_default().contains("immutable"));
}

#[test]
fn a_port_in_use_is_said_and_nothing_is_served() {
    let site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let args = ["serve", "--config", &site.config(), "--listen", &address];
    let output = finish(&mut command(&args));
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains(&address) && text.contains("--listen"), "{text}");
}

#[test]
fn hostile_requests_get_an_answer() {
    let server = demo_server();
    for path in [
        "/collections/..%2f..%2fetc/items",
        "/collections/communes/items/..%2f..",
        "/%00",
        "/t/",
        "/t/dep-59",
        "/assets/../Cargo.toml",
        "/styles/..%2f..%2fCargo.toml",
    ] {
        let answer = server.get(path);
        assert!(answer.status < 500, "{path}: {}", answer.status);
        assert!(!answer.text().contains("[package]"), "{path}");
    }
    let long = format!("/collections/communes/items?nom={}", "x".repeat(15_000));
    assert_eq!(server.get(&long).status, 200, "16 kB URLs are QGIS's filters");
    let longer = format!("/collections/communes/items?nom={}", "x".repeat(120_000));
    assert!(matches!(server.get(&longer).status, 414 | 431));
    let host = send(&server.address, "GET", "/", &[("Host", "evil.example\"><script>")]);
    assert!(!host.text().contains("<script>") || host.status == 400);
}

#[test]
fn health_and_stop() {
    let server = demo_server();
    assert_eq!(server.get("/health/live").status, 200);
    assert_eq!(server.get("/health/ready").status, 200);
}
