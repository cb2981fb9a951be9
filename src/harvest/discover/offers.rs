//! The layers of services as offers, and the `[source]` of each kind.

use super::{Discovery, Offer, Way, found};
use crate::error::Result;
use reqwest::Url;
use serde_json::Value;

/// A text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// Words that name a format which is read.
const FILES: &[&str] = &[
    "geojson",
    "geojsonl",
    "geojsonseq",
    "ndjson",
    "json",
    "gpkg",
    "geopackage",
    "fgb",
    "flatgeobuf",
    "shp",
    "shapefile",
    "parquet",
    "geoparquet",
    "gml",
    "kml",
    "kmz",
    "csv",
    "tsv",
    "xlsx",
    "ods",
];

/// A file, or the service that its format or protocol names, else its own name or address.
pub(super) fn way(name: &str, format: &str, url: &str, layer: Option<&str>) -> Way {
    way_of([name, format, ""], url, layer)
}

/// The same by name and format, and at last by what more is told.
pub(super) fn way_of([name, format, more]: [&str; 3], url: &str, layer: Option<&str>) -> Way {
    let layer = layer.filter(|l| !l.is_empty() && !l.contains(['/', '?', '#', '\\', ' ']));
    let source = [format, name, path(url), more].iter().find_map(|told| source(told, url, layer));
    let (name, format) = if name.is_empty() { (format, "") } else { (name, format) };
    Way { name: name.to_owned(), format: format.to_owned(), url: url.to_owned(), source }
}

fn path(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default()
}

/// The `[source]` of an address, by what is told of it.
fn source(told: &str, url: &str, layer: Option<&str>) -> Option<String> {
    let told = told.to_ascii_lowercase();
    let is = |wanted: &[&str]| {
        let mut words = told.split(|c: char| !c.is_alphanumeric());
        words.any(|word| wanted.contains(&word))
    };
    let service = |table: &str, key: &str, layer: Option<&str>| {
        let place = Url::parse(url).map(|url| bare(&url).to_string()).ok()?;
        let layer = layer.map(|l| format!("{key} = {}\n", quoted(l))).unwrap_or_default();
        Some(format!("[source.{table}]\nurl = {}\n{layer}", quoted(&place)))
    };
    let arcgis = url.contains("/rest/services/")
        && (url.contains("/FeatureServer") || url.contains("/MapServer"));
    if is(&["wfs"]) {
        service("wfs", "type", layer)
    } else if told.contains("ogcapi-features") || told.contains("ogc api features") {
        let there = url.contains("/collections/");
        service("ogc_features", "collection", layer.filter(|_| !there))
    } else if arcgis {
        service("arcgis", "layer", None)
    } else if is(FILES) {
        Some(format!("[source]\nurl = {}\n", quoted(url)))
    } else {
        None
    }
}

/// The address of a service without the parameters of a request.
fn bare(url: &Url) -> Url {
    let request = ["service", "request", "version", "typenames", "typename"];
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .into_owned()
        .filter(|(name, _)| !request.contains(&name.to_ascii_lowercase().as_str()))
        .collect();
    let mut place = url.clone();
    place.set_query(None);
    place.set_fragment(None);
    if !kept.is_empty() {
        place.query_pairs_mut().extend_pairs(kept);
    }
    place
}

/// A layer of a service, by its name there.
fn layer(name: &str, title: &str, format: &str, url: String, source: Option<String>) -> Offer {
    let way = Way { name: name.to_owned(), format: format.to_owned(), url, source };
    Offer { title: title.to_owned(), ways: vec![way], ..Offer::default() }
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
            producer: collection["providers"][0]["name"].as_str().map(str::to_owned),
            licence: collection["license"].as_str().map(str::to_owned),
            ..layer(id, title, "OGC API Features", place, Some(source))
        })
    });
    Some(found("OGC API Features", offers.collect()))
}

/// The feature types of a WFS: name and title.
pub(super) fn wfs(url: &Url, types: &[(String, String)]) -> Result<Discovery> {
    let place = bare(url);
    let offers = types.iter().map(|(name, title)| {
        let source =
            format!("[source.wfs]\nurl = {}\ntype = {}\n", quoted(place.as_str()), quoted(name));
        let title = if title.is_empty() { name } else { title };
        layer(name, title, "WFS", place.to_string(), Some(source))
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
        offers.push(self::layer(&id.to_string(), name, "ArcGIS", address, Some(source)));
    }
    let root = place.split("/rest/services").next().unwrap_or(&place);
    for service in rows("services") {
        let (Some(name), Some(kind)) = (service["name"].as_str(), service["type"].as_str()) else {
            continue;
        };
        let address = format!("{root}/rest/services/{name}/{kind}");
        offers.push(self::layer(kind, name, "ArcGIS", address, None));
    }
    Ok(found("ArcGIS", offers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_an_address_says_how_to_read_it() {
        let table = |name: &str, format: &str, url: &str| {
            let source = way(name, format, url, Some("a:b")).source;
            source.and_then(|s| s.lines().next().map(str::to_owned))
        };
        for (name, format, url, wanted) in [
            (
                "Communes",
                "OGC:WFS-1.0.0-http-get-capabilities",
                "https://x.fr/ows",
                Some("[source.wfs]"),
            ),
            ("Communes (WFS)", "", "https://x.fr/ows", Some("[source.wfs]")),
            (
                "",
                "http://www.opengis.net/spec/ogcapi-features-1/1.0",
                "https://x.fr/api",
                Some("[source.ogc_features]"),
            ),
            ("", "", "https://x.fr/rest/services/a/MapServer/3", Some("[source.arcgis]")),
            ("a", "application/geo+json", "https://x.fr/a", Some("[source]")),
            ("a", "application/geopackage+sqlite3", "https://x.fr/a", Some("[source]")),
            ("a", "", "https://x.fr/a.gpkg?v=1", Some("[source]")),
            ("a", "WMS", "https://x.fr/ows", None),
            ("a", "PDF", "https://x.fr/a.pdf", None),
        ] {
            assert_eq!(table(name, format, url).as_deref(), wanted, "{name} {format} {url}");
        }
    }

    #[test]
    fn addresses_of_services_keep_what_is_no_request() {
        let at = |url: &str| bare(&url.parse().unwrap()).to_string();
        assert_eq!(at("https://x.fr/wfs?SERVICE=WFS&request=GetCapabilities"), "https://x.fr/wfs");
        assert_eq!(at("https://x.fr/m?map=a&VERSION=2.0.0#x"), "https://x.fr/m?map=a");
        let inner = "[source.ogc_features]\nurl = \"https://x.fr/collections/a\"\n";
        let there = way("", "OGC API Features", "https://x.fr/collections/a", Some("a"));
        assert_eq!(there.source.as_deref(), Some(inner));
    }
}
