//! Harvests beside servers that read: seen at once, and nothing in use is removed. Harvests that are
//! killed are in `kills`.

use crate::support::{Server, Site, StoreKind, store_kind};
use std::{fs, path::Path, time::Duration};

/// A delivery of `n` points whose attribute names the delivery.
pub fn delivery(site: &Site, number: u32) {
    let mut text = String::from("id;livraison;lon;lat\n");
    for i in 0..6_000u32 {
        let (lon, lat) = (f64::from(i % 100) * 0.01 + 2.0, f64::from(i / 100) * 0.01 + 48.0);
        text.push_str(&format!("{i};{number};{lon:.3};{lat:.3}\n"));
    }
    fs::write(site.path("points.csv"), text).unwrap();
}

/// The names of all files below a folder, but for the differences between versions, which outlive
/// them.
fn files(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|n| n != "changes") {
                folders.push(path);
            } else if path.is_dir() {
                continue;
            } else {
                names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    names.sort();
    names
}

/// The delivery that a server shows, the same on every feature of a page.
pub fn shown(server: &Server) -> u64 {
    let page = server.json("/collections/points/items?limit=10000");
    let features = page["features"].as_array().unwrap();
    assert_eq!(features.len(), 6_000);
    let first = features[0]["properties"]["livraison"].as_u64().unwrap();
    assert!(features.iter().all(|f| f["properties"]["livraison"] == first), "a mixture");
    first
}

#[test]
pub fn a_harvest_beside_a_running_server_is_seen_within_a_second() {
    let site = Site::new();
    site.layer("points", "key = \"id\"\n[source]\npath = \"../points.csv\"");
    delivery(&site, 1);
    site.harvest();
    let server = site.serve();
    assert_eq!(shown(&server), 1);
    let tile = "/collections/points/tiles/8/129/88.mvt";
    let before = server.send("GET", tile, &[]);
    assert_eq!(before.status, 200);
    delivery(&site, 2);
    site.harvest();
    assert!(server.until(Duration::from_secs(1), |s| shown(s) == 2));
    let after = server.send("GET", tile, &[]);
    assert_ne!(before.header("etag"), after.header("etag"));
    assert_ne!(before.body, after.body);
}

#[test]
pub fn one_writer_per_layer_and_readers_keep_what_they_read() {
    let site = Site::new();
    site.layer("points", "key = \"id\"\nkeep_versions = 1\n[source]\npath = \"../points.csv\"");
    delivery(&site, 1);
    site.harvest();
    let server = site.serve();
    let page = server.json("/collections/points/items?limit=10");
    let next = page["links"].as_array().unwrap().iter().find(|l| l["rel"] == "next").unwrap();
    let next = next["href"]
        .as_str()
        .unwrap()
        .trim_start_matches(server.base.trim_end_matches('/'))
        .to_owned();
    delivery(&site, 2);
    site.harvest();
    assert!(server.until(Duration::from_secs(2), |s| shown(s) == 2));
    // Paging goes on in the version it began in…
    let page = server.json(&next);
    assert_eq!(page["features"][0]["properties"]["livraison"], 1);
    // …as long as that is kept; then it says so, and where to start again.
    for round in 3..=5 {
        delivery(&site, round);
        site.harvest();
        assert!(server.until(Duration::from_secs(2), |s| shown(s) == u64::from(round)));
    }
    let gone = server.get(&next);
    assert_eq!(gone.status, 410, "{}", gone.text());
    assert!(gone.text().contains("/collections/points/items"));
    if store_kind() == StoreKind::Embedded {
        let names = files(&site.path("store"));
        assert!(names.iter().filter(|n| n.ends_with(".gpkg")).count() <= 3, "{names:?}");
    }
}
