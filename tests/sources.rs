//! Each kind of source, from a server of its kind: what is harvested is what lies there, feature by
//! feature, and what GDAL reads from the same server.

mod arcgis;
mod cgi;
mod chaos;
mod datagouv;
mod discover;
mod ogc;
mod peers;
mod wfs;
mod wfs_gml;

use crate::support::{Server, Site, said, tool};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::Output,
};

/// The communes of the demo, as their file has them.
fn demo() -> (PathBuf, Value) {
    let path = crate::support::root().join("config/demo/data/communes.geojson");
    let text = std::fs::read_to_string(&path).expect("the demo");
    (path, serde_json::from_str(&text).expect("GeoJSON"))
}

/// The features of a collection, in their order.
fn features(collection: &Value) -> Vec<Value> {
    collection["features"].as_array().expect("features").clone()
}

/// The demo's communes with ids, as services give them.
fn with_ids() -> Vec<Value> {
    let mut all = features(&demo().1);
    for feature in &mut all {
        feature["id"] = feature["properties"]["code"].clone();
    }
    all
}

/// A layer of communes from a source, given as TOML.
fn layer(site: &Site, source: &str) {
    let rest = format!(
        "key = \"code\"\n[tiles]\nmax_zoom = 5\n[territory]\nlevel = \"com\"\ncolumn = \"code\"\n{source}"
    );
    site.layer("communes", &rest);
}

/// Everything that a server holds of its layer `communes`.
fn harvested(server: &Server) -> Value {
    let page = server.json("/collections/communes/items?limit=10000");
    assert_eq!(page["numberMatched"], page["numberReturned"], "one page holds all");
    page
}

/// What GDAL reads of a data source.
fn gdal(source: &str, layer: &str, more: &[&str]) -> Value {
    let arguments = ["-f", "GeoJSON", "-lco", "RFC7946=NO", "/vsistdout/", source];
    let layer = if layer.is_empty() { vec![] } else { vec![layer] };
    let text = tool("ogr2ogr", &[&arguments[..], &layer, more].concat());
    serde_json::from_str(&text).expect("GeoJSON")
}

/// What identifies and tells a feature: its attributes and the places it goes through, to a
/// tenth of a metre.
fn told(collection: &Value, names: &[&str]) -> BTreeMap<String, (Vec<Value>, BTreeSet<[i64; 2]>)> {
    let one = |feature: &Value| {
        let properties = &feature["properties"];
        let mut places = BTreeSet::new();
        walk(&feature["geometry"]["coordinates"], &mut places);
        let values = names.iter().map(|name| properties[*name].clone()).collect();
        (properties["code"].as_str().expect("a code").to_owned(), (values, places))
    };
    features(collection).iter().map(one).collect()
}

fn walk(coordinates: &Value, places: &mut BTreeSet<[i64; 2]>) {
    let Some(all) = coordinates.as_array() else { return };
    match (all.first().and_then(Value::as_f64), all.get(1).and_then(Value::as_f64)) {
        (Some(x), Some(y)) => {
            places.insert([(x * 1e6).round() as i64, (y * 1e6).round() as i64]);
        }
        _ => all.iter().for_each(|inner| walk(inner, places)),
    }
}

const NAMES: &[&str] = &["code", "nom", "dep", "epci", "epci_nom", "population"];

/// Fails unless both hold the same features.
fn same(ours: &Value, theirs: &Value) {
    let (ours, theirs) = (told(ours, NAMES), told(theirs, NAMES));
    assert_eq!(ours.len(), theirs.len());
    for (code, feature) in &theirs {
        assert_eq!(ours.get(code), Some(feature), "{code}");
    }
}

/// Harvests, and expects to be refused with these words; what is published stays.
fn refused(site: &Site, words: &str) -> Output {
    let output = site.run(&["harvest", "communes"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(words), "« {words} » not in: {text}");
    output
}
