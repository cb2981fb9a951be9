//! The layers of services as offers, and the `[source]` of each kind.

use super::{Discovery, Offer, Way, found};
use crate::error::Result;
use reqwest::Url;
use serde_json::Value;

/// A text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// A file, or the service that its format or protocol names.
pub(super) fn way(name: &str, format: &str, url: &str, layer: Option<&str>) -> Way {
    let told = format!("{format} {name}").to_ascii_lowercase();
    let layer = layer.filter(|l| !l.is_empty());
    let service = |table: &str, key: &str| {
        let bare = url.split('?').next().unwrap_or(url);
        let layer = layer.map(|l| format!("{key} = {}\n", quoted(l))).unwrap_or_default();
        format!("[source.{table}]\nurl = {}\n{layer}", quoted(bare))
    };
    let words = |wanted: &[&str]| {
        let mut words = told.split(|c: char| !c.is_alphanumeric());
        words.any(|word| wanted.contains(&word))
    };
    let source = if words(&["wfs"]) {
        Some(service("wfs", "type"))
    } else if told.contains("ogcapi-features") || told.contains("ogc api features") {
        Some(service("ogc_features", "collection"))
    } else if url.contains("/FeatureServer") {
        Some(service("arcgis", "layer"))
    } else if words(&["geojson", "gpkg", "geopackage", "shp", "shapefile", "csv", "json"]) {
        Some(format!("[source]\nurl = {}\n", quoted(url)))
    } else {
        None
    };
    let name = if name.is_empty() { format } else { name };
    Way { name: name.to_owned(), url: url.to_owned(), source }
}

/// Where a link leads, by its relation.
pub(super) fn link(value: &Value, rel: &str) -> Option<String> {
    let named = |link: &&Value| {
        let told = link["rel"].as_str().unwrap_or_default();
        told == rel || told.ends_with(&format!("/{rel}"))
    };
    let links = value["links"].as_array()?;
    links.iter().find(named)?["href"].as_str().map(str::to_owned)
}

/// The collections of an OGC API; `None` when it is no list of collections.
pub(super) fn collections(url: &Url, value: &Value) -> Option<Discovery> {
    let list = value["collections"].as_array()?;
    let mut root = url.clone();
    root.set_query(None);
    root.set_fragment(None);
    let root = root.as_str().trim_end_matches('/');
    let root = root.strip_suffix("/collections").unwrap_or(root);
    let offers = list.iter().filter_map(|collection| {
        let id = collection["id"].as_str()?;
        let place = format!("{root}/collections/{id}");
        let title = collection["title"].as_str().unwrap_or(id);
        let source = format!("[source.ogc_features]\nurl = {}\n", quoted(&place));
        Some(Offer {
            title: title.to_owned(),
            producer: collection["providers"][0]["name"].as_str().map(str::to_owned),
            licence: collection["license"].as_str().map(str::to_owned),
            page: None,
            ways: vec![Way { name: id.to_owned(), url: place, source: Some(source) }],
        })
    });
    Some(found("OGC API Features", offers.collect()))
}

/// The feature types of a WFS: name and title.
pub(super) fn wfs(url: &Url, types: &[(String, String)]) -> Result<Discovery> {
    let mut place = url.clone();
    let service = ["service", "request", "version", "typenames", "typename"];
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .into_owned()
        .filter(|(name, _)| !service.contains(&name.to_ascii_lowercase().as_str()))
        .collect();
    place.set_query(None);
    if !kept.is_empty() {
        place.query_pairs_mut().extend_pairs(kept);
    }
    let offers = types.iter().map(|(name, title)| {
        let source =
            format!("[source.wfs]\nurl = {}\ntype = {}\n", quoted(place.as_str()), quoted(name));
        let title = if title.is_empty() { name } else { title };
        let way = Way { name: name.clone(), url: place.to_string(), source: Some(source) };
        Offer { title: title.clone(), ways: vec![way], ..Offer::default() }
    });
    Ok(found("WFS", offers.collect()))
}

/// The layers of an ArcGIS service, or the services of a server.
pub(super) fn arcgis(url: &Url, value: &Value) -> Result<Discovery> {
    let mut place = url.clone();
    place.set_query(None);
    let place = place.as_str().trim_end_matches('/').to_owned();
    let rows = |key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut offers = Vec::new();
    for layer in rows("layers").iter().chain(&rows("tables")) {
        let (Some(id), Some(name)) = (layer["id"].as_u64(), layer["name"].as_str()) else {
            continue;
        };
        let address = format!("{place}/{id}");
        let source = format!("[source.arcgis]\nurl = {}\n", quoted(&address));
        let way = Way { name: id.to_string(), url: address, source: Some(source) };
        offers.push(Offer { title: name.to_owned(), ways: vec![way], ..Offer::default() });
    }
    let root = place.split("/rest/services").next().unwrap_or(&place);
    for service in rows("services") {
        let (Some(name), Some(kind)) = (service["name"].as_str(), service["type"].as_str()) else {
            continue;
        };
        let address = format!("{root}/rest/services/{name}/{kind}");
        let way = Way { name: kind.to_owned(), url: address, source: None };
        offers.push(Offer { title: name.to_owned(), ways: vec![way], ..Offer::default() });
    }
    Ok(found("ArcGIS", offers))
}
