//! What pages show of features, and in which order: `sortby`, `properties`, `skipGeometry`.

use crate::support::{Server, demo_server, root};
use serde_json::Value;
use std::fs;

over_both!(pages_follow_the_order_asked_for);

/// The demo's communes, as its file has them.
fn communes() -> Vec<Value> {
    let text = fs::read_to_string(root().join("config/demo/data/communes.geojson")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let features = file["features"].as_array().unwrap();
    features.iter().map(|f| f["properties"].clone()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Codes of all pages, by their links.
fn codes(server: &Server, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let page = server.json(&path);
        let features = page["features"].as_array().unwrap();
        found.extend(features.iter().map(|f| text(&f["properties"]["code"])));
        let links = page["links"].as_array().unwrap();
        let link = links.iter().find(|l| l["rel"] == "next");
        next = link
            .map(|l| text(&l["href"]))
            .map(|url| url.strip_prefix(server.base.trim_end_matches('/')).unwrap().to_owned());
    }
    found
}

fn pages_follow_the_order_asked_for() {
    let server = demo_server();
    let all = communes();
    let sorted = |keep: &dyn Fn(&Value) -> bool| {
        let mut kept: Vec<&Value> = all.iter().filter(|p| keep(p)).collect();
        // A stable sort: communes of one département stand in the file's order.
        kept.sort_by_key(|p| std::cmp::Reverse(text(&p["dep"])));
        kept.iter().map(|p| text(&p["code"])).collect::<Vec<_>>()
    };
    let items = "/collections/communes/items";
    assert_eq!(codes(&server, &format!("{items}?sortby=-dep&limit=301")), sorted(&|_| true));
    let large = |p: &Value| p["population"].as_i64().is_some_and(|n| n > 10_000);
    let filter = "filter=population%20%3E%2010000";
    let path = format!("{items}?sortby=-dep&limit=7&{filter}");
    assert_eq!(codes(&server, &path), sorted(&large));
    // An offset counts in the same order; a property narrows it.
    let page = server.json(&format!("{items}?sortby=-dep&limit=2&offset=3&{filter}"));
    let ids = page["features"].as_array().unwrap().iter();
    let ids: Vec<String> = ids.map(|f| text(&f["properties"]["code"])).collect();
    assert_eq!(ids, sorted(&large)[3..5]);
    assert_eq!(page["numberMatched"].as_u64(), Some(sorted(&large).len() as u64));
    let nord = |p: &Value| p["dep"] == "59";
    assert_eq!(codes(&server, &format!("{items}?sortby=-dep&dep=59&limit=100")), sorted(&nord));
    // By number, then by name; in a scope, whole and cut.
    let mut by_people: Vec<&Value> = all.iter().filter(|p| nord(p)).collect();
    by_people.sort_by_key(|p| (std::cmp::Reverse(p["population"].as_i64()), text(&p["nom"])));
    let by_people: Vec<String> = by_people.iter().map(|p| text(&p["code"])).collect();
    let scoped = "t/dep-59-within/collections/communes/items?sortby=-population,nom&limit=200";
    assert_eq!(codes(&server, &format!("/{scoped}")), by_people);
    let cut = codes(&server, &format!("/{}", scoped.replace("-within", "-clip")));
    let own: Vec<String> = cut.into_iter().filter(|code| by_people.contains(code)).collect();
    assert_eq!(own, by_people);
    // A cursor goes on in its own order only.
    let page = server.json(&format!("{items}?sortby=nom&limit=2"));
    let next = text(
        &page["links"].as_array().unwrap().iter().find(|l| l["rel"] == "next").unwrap()["href"],
    );
    let path = next.strip_prefix(server.base.trim_end_matches('/')).unwrap();
    assert_eq!(server.get(path).status, 200);
    assert_eq!(server.get(&path.replace("sortby=nom", "sortby=-nom")).status, 400);
    assert_eq!(server.get(&path.replace("sortby=nom&", "")).status, 400);
    parts_of(&server);
}

/// Some properties, no geometry.
fn parts_of(server: &Server) {
    let items = "/collections/communes/items";
    let page = server.json(&format!("{items}?properties=nom,code&skipGeometry=true&limit=3"));
    for feature in page["features"].as_array().unwrap() {
        let names: Vec<&String> = feature["properties"].as_object().unwrap().keys().collect();
        assert_eq!(names.len(), 2, "{feature}");
        assert!(names.iter().all(|n| ["code", "nom"].contains(&n.as_str())), "{feature}");
        assert!(feature["geometry"].is_null() && feature["id"].is_string(), "{feature}");
    }
    let page = server.json(&format!("{items}?properties=&limit=1&sortby=nom"));
    assert_eq!(page["features"][0]["properties"].as_object().unwrap().len(), 0);
    assert!(page["features"][0]["geometry"].is_object());
    let bare = format!("{items}?sortby=nom&skipGeometry=true&limit=1");
    assert!(server.json(&bare)["features"][0]["geometry"].is_null());
    // What is cut says what is left of it, whatever is shown.
    let cut = "/t/dep-59-clip/collections/communes/items?properties=code&skipGeometry=true&limit=1";
    let feature = server.json(cut)["features"][0].clone();
    let names: Vec<&String> = feature["properties"].as_object().unwrap().keys().collect();
    assert_eq!((names.len(), feature["geometry"].is_null()), (2, true), "{feature}");
    assert!(feature["properties"]["socle_part"].is_number(), "{feature}");
    let sortables = server.json("/collections/communes/sortables");
    assert!(sortables["properties"]["population"].is_object());
    assert!(sortables["properties"]["geometry"].is_null());
    for (query, says) in [
        ("sortby=pop", "population"),
        ("sortby=geometry", "population"),
        ("properties=pop", "population"),
        ("skipGeometry=oui", "true"),
    ] {
        let refused = server.get(&format!("{items}?{query}"));
        assert_eq!(refused.status, 400, "{query}");
        assert!(refused.text().contains(says), "{}", refused.text());
    }
}
