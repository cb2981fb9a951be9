//! The places that the configuration for France names, played by one server: data.gouv.fr's API,
//! the Géoplateforme's WFS, and files at their addresses. Each address is asked for below the name
//! of its host: `http://127.0.0.1:port/data.geopf.fr/wfs/ows`.

use crate::support::upstream::{Asked, Reply, Upstream};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write};

/// What lies where the configuration looks.
#[derive(Default)]
pub struct Shelf {
    /// Datasets of the portal by their short name, each with its files.
    pub datasets: BTreeMap<String, Vec<Held>>,
    /// Types of features of the WFS, by their name there.
    pub types: BTreeMap<String, Vec<Value>>,
    /// Files by address, without `https://` and query.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// A file of a dataset.
#[derive(Clone)]
pub struct Held {
    pub id: String,
    /// The end of its address: portals that say `zip` of an archive leave the rest to it.
    pub name: String,
    pub format: &'static str,
    pub bytes: Vec<u8>,
}

/// Starts it; it answers 404 to all that is not on the shelf.
pub fn open(shelf: Shelf) -> Upstream {
    Upstream::start(move |asked| answer(&shelf, asked))
}

fn answer(shelf: &Shelf, asked: &Asked) -> Reply {
    let missing = Reply::Status(404, String::new(), b"{}".to_vec());
    let path = asked.path.trim_start_matches('/');
    let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    match parts.as_slice() {
        ["api", "1", "datasets", slug] => match shelf.datasets.get(*slug) {
            Some(files) => Reply::json(&dataset(slug, files, &base(asked))),
            None => missing,
        },
        ["api", "2", "datasets", "resources", id] => {
            let found = shelf.datasets.iter().find_map(|(slug, files)| {
                let file = files.iter().find(|file| file.id == *id)?;
                Some(json!({ "resource": resource(file, &base(asked)), "dataset_id": slug }))
            });
            found.map_or(missing, |found| Reply::json(&found))
        }
        ["static", id, _] => {
            let mut files = shelf.datasets.values().flatten();
            let file = files.find(|file| file.id == *id);
            file.map_or(missing, |file| Reply::Ok("application/octet-stream", file.bytes.clone()))
        }
        ["data.geopf.fr", "wfs", "ows"] => wfs(shelf, asked),
        _ => match shelf.files.get(path) {
            Some(bytes) => Reply::Ok("application/octet-stream", bytes.clone()),
            None => missing,
        },
    }
}

fn base(asked: &Asked) -> String {
    let host =
        asked.head.lines().find_map(|l| l.to_lowercase().strip_prefix("host: ").map(str::to_owned));
    format!("http://{}", host.expect("a host"))
}

fn dataset(slug: &str, files: &[Held], base: &str) -> Value {
    let resources: Vec<Value> = files.iter().map(|file| resource(file, base)).collect();
    json!({
        "id": slug, "slug": slug, "title": format!("Jeu {slug}"), "license": "lov2",
        "page": format!("https://www.data.gouv.fr/datasets/{slug}/"),
        "organization": { "id": "534fff80a3a7292c64a77e41", "name": "Producteur d'essai" },
        "resources": resources,
    })
}

fn resource(file: &Held, base: &str) -> Value {
    use sha1::Digest;
    let sum = sha1::Sha1::digest(&file.bytes).iter().fold(String::new(), |mut all, byte| {
        let _ = write!(all, "{byte:02x}");
        all
    });
    json!({
        "id": file.id, "title": file.name, "format": file.format, "type": "main", "filetype": "file",
        "url": format!("{base}/static/{}/{}", file.id, file.name),
        "checksum": { "type": "sha1", "value": sum }, "last_modified": "2026-01-15T20:43:23+00:00",
    })
}

/// As GeoServer answers.
fn wfs(shelf: &Shelf, asked: &Asked) -> Reply {
    if asked.get("request") == "GetCapabilities" {
        return Reply::Ok("application/xml", capabilities(shelf).into_bytes());
    }
    let Some(all) = shelf.types.get(asked.get("typenames")) else {
        return Reply::Status(400, String::new(), b"unknown type".to_vec());
    };
    if asked.get("resulttype") == "hits" {
        let n = all.len();
        let hits = format!(
            "<wfs:FeatureCollection xmlns:wfs=\"http://www.opengis.net/wfs/2.0\" numberMatched=\"{n}\" numberReturned=\"0\"/>"
        );
        return Reply::Ok("application/xml", hits.into_bytes());
    }
    let start = asked.number("startindex").unwrap_or(0);
    let page: Vec<&Value> =
        all.iter().skip(start).take(asked.number("count").unwrap_or(0)).collect();
    Reply::json(
        &json!({ "type": "FeatureCollection", "features": page, "numberMatched": all.len() }),
    )
}

fn capabilities(shelf: &Shelf) -> String {
    let types = shelf.types.keys().fold(String::new(), |mut all, name| {
        let _ = write!(
            all,
            "<wfs:FeatureType><wfs:Name>{name}</wfs:Name><wfs:DefaultCRS>urn:ogc:def:crs:EPSG::4326</wfs:DefaultCRS></wfs:FeatureType>"
        );
        all
    });
    format!(
        "<wfs:WFS_Capabilities version=\"2.0.0\" xmlns:wfs=\"http://www.opengis.net/wfs/2.0\" xmlns:ows=\"http://www.opengis.net/ows/1.1\"><ows:OperationsMetadata><ows:Operation name=\"GetFeature\"><ows:Parameter name=\"outputFormat\"><ows:AllowedValues><ows:Value>application/json</ows:Value></ows:AllowedValues></ows:Parameter></ows:Operation></ows:OperationsMetadata><wfs:FeatureTypeList>{types}</wfs:FeatureTypeList></wfs:WFS_Capabilities>"
    )
}
