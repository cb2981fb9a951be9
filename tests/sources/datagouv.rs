//! data.gouv.fr, played by a server of our own making: the right file, no needless download, the
//! portal's words on the layer.

use super::{demo, harvested, refused, same};
use crate::support::{
    Site, said,
    upstream::{Asked, Reply, Upstream},
};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// The portal: one dataset with four files; its GeoJSON is the demo's communes.
fn portal(lies: bool) -> (Upstream, Arc<AtomicBool>) {
    let (file, _) = demo();
    let data = std::fs::read(file).unwrap();
    let moved = Arc::new(AtomicBool::new(false));
    let (now, sums) = (moved.clone(), [sha1(&data), sha1(&shorter(&data))]);
    let upstream = Upstream::start(move |asked: &Asked| {
        let base = format!(
            "http://{}",
            asked
                .head
                .lines()
                .find_map(|l| l.to_lowercase().strip_prefix("host: ").map(str::to_owned))
                .unwrap()
        );
        let newer = now.load(Ordering::SeqCst);
        let sum = if lies { "0".repeat(40) } else { sums[usize::from(newer)].clone() };
        let dataset = dataset(&base, &sum, newer);
        match asked.path.as_str() {
            "/api/1/datasets/communes-demo/" | "/api/1/datasets/5f0000000000000000000001/" => {
                Reply::json(&dataset)
            }
            "/api/2/datasets/resources/r-geojson/" => Reply::json(
                &json!({ "resource": dataset["resources"][1], "dataset_id": "5f0000000000000000000001" }),
            ),
            "/api/1/organizations/ign/" => {
                Reply::json(&json!({ "id": "534fff80a3a7292c64a77e41", "name": "IGN" }))
            }
            "/api/1/datasets/" => {
                assert_eq!(asked.get("organization"), "534fff80a3a7292c64a77e41");
                let mut other = dataset.clone();
                other["slug"] = "autre".into();
                let data = if asked.get("tag") == "communes" {
                    vec![dataset]
                } else {
                    vec![dataset, other]
                };
                Reply::json(&json!({ "total": data.len(), "data": data }))
            }
            "/files/1/communes.geojson" => Reply::Ok("application/geo+json", data.clone()),
            "/files/2/communes.geojson" => Reply::Ok("application/geo+json", shorter(&data)),
            _ => Reply::Status(404, String::new(), b"{}".to_vec()),
        }
    });
    (upstream, moved)
}

/// The same without its last commune.
fn shorter(data: &[u8]) -> Vec<u8> {
    let mut collection: Value = serde_json::from_slice(data).unwrap();
    collection["features"].as_array_mut().unwrap().pop();
    collection.to_string().into_bytes()
}

fn sha1(data: &[u8]) -> String {
    use sha1::Digest;
    sha1::Sha1::digest(data).iter().map(|b| format!("{b:02x}")).collect()
}

fn dataset(base: &str, sum: &str, newer: bool) -> Value {
    let n = if newer { 2 } else { 1 };
    json!({
        "id": "5f0000000000000000000001", "slug": "communes-demo", "title": "Communes de démonstration",
        "page": "https://www.data.gouv.fr/datasets/communes-demo/", "license": "lov2",
        "organization": { "id": "534fff80a3a7292c64a77e41", "name": "Institut de démonstration" },
        "temporal_coverage": { "start": "2025-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z" },
        "resources": [
            { "id": "r-pdf", "title": "Notice", "format": "pdf", "url": format!("{base}/notice.pdf"), "type": "documentation" },
            { "id": "r-geojson", "title": "Communes 2025", "format": "geojson", "type": "main", "filetype": "file",
              "url": format!("{base}/files/{n}/communes.geojson"), "latest": format!("{base}/api/1/datasets/r/r-geojson"),
              "checksum": { "type": "sha1", "value": sum }, "last_modified": format!("2025-0{n}-15T10:00:00.123000+00:00") },
            { "id": "r-csv", "title": "Liste", "format": "csv", "url": format!("{base}/liste.csv"), "type": "main" },
            { "id": "r-old", "title": "Communes 2020", "format": "geojson", "url": format!("{base}/2020.geojson"), "type": "main",
              "last_modified": "2020-01-01T00:00:00" },
        ],
    })
}

/// A layer that says of itself only what the portal does not.
fn layer(site: &Site, upstream: &Upstream, wanted: &str) {
    let text = format!(
        "id = \"communes\"\ntitle = \"Communes\"\nkey = \"code\"\n[tiles]\nmax_zoom = 5\n[territory]\nlevel = \"com\"\ncolumn = \"code\"\n[source.datagouv]\nportal = \"{}\"\n{wanted}\n",
        upstream.base
    );
    std::fs::write(site.path("layers/communes.toml"), text).unwrap();
}

fn downloads(upstream: &Upstream) -> usize {
    upstream.asked().iter().filter(|a| a.path.starts_with("/files/")).count()
}

#[test]
fn a_dataset_is_followed_and_fetched_only_when_it_moved() {
    let (upstream, moved) = portal(false);
    let site = Site::new();
    layer(&site, &upstream, "dataset = \"communes-demo\"");
    site.harvest();
    let server = site.serve();
    same(&harvested(&server), &demo().1);
    // The portal speaks where the layer file does not.
    let told = server.json("/collections/communes");
    assert_eq!(told["license"], "lov2");
    assert_eq!(told["providers"][0]["name"], "Institut de démonstration");
    assert!(told["links"].to_string().contains("data.gouv.fr/datasets/communes-demo"), "{told}");
    let text = told.to_string();
    assert!(text.contains("2025-01-01") && text.contains("2025-01-15"), "{text}");
    let versions = server.json("/collections/communes/versions").to_string();
    assert!(
        versions.contains("/api/1/datasets/r/r-geojson") && versions.contains("Communes 2025"),
        "{versions}"
    );
    let again = said(&site.run(&["harvest", "communes"]));
    assert!(again.contains("source inchangée"), "{again}");
    assert_eq!(downloads(&upstream), 1, "the checksum says that nothing moved");
    moved.store(true, Ordering::SeqCst);
    let next = said(&site.run(&["harvest", "communes"]));
    assert!(next.contains("3781 entités"), "{next}");
    assert_eq!(downloads(&upstream), 2);
}

#[test]
fn a_resource_and_a_search_lead_to_the_same_file() {
    let (upstream, _) = portal(false);
    for wanted in [
        "resource = \"r-geojson\"",
        "organization = \"ign\"\ntags = [\"communes\"]",
        "organization = \"ign\"\nlatest = true\ntitle = \"2025\"",
    ] {
        let site = Site::new();
        layer(&site, &upstream, wanted);
        assert!(site.harvest().contains("3782 entités"), "{wanted}");
    }
    let site = Site::new();
    layer(&site, &upstream, "organization = \"ign\"");
    refused(&site, "communes-demo, autre");
    layer(&site, &upstream, "dataset = \"communes-demo\"\ntitle = \"1789\"");
    refused(&site, "« Communes 2025 » (geojson)");
    layer(&site, &upstream, "dataset = \"gone\"");
    refused(&site, "a répondu 404");
}

#[test]
fn a_file_that_is_not_the_portals_is_refused() {
    let (upstream, _) = portal(true);
    let site = Site::new();
    layer(&site, &upstream, "dataset = \"communes-demo\"");
    refused(&site, "somme de contrôle");
}
