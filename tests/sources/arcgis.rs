//! ArcGIS: a FeatureServer of our own making that pages and writes GeoJSON, and an old one that does
//! neither.

use super::{demo, gdal, harvested, layer, refused, same};
use crate::support::{
    Site, has,
    upstream::{Asked, Reply, Upstream},
};
use serde_json::{Value, json};

/// A FeatureServer over the demo: `modern` ones page and write GeoJSON.
fn service(modern: bool) -> Upstream {
    let features = super::features(&demo().1);
    Upstream::start(move |asked: &Asked| {
        if !asked.path.ends_with("/query") {
            return Reply::json(&json!({
                "name": "communes", "maxRecordCount": 500, "objectIdField": "OBJECTID",
                "geometryType": "esriGeometryPolygon",
                "supportedQueryFormats": if modern { "JSON, geoJSON, PBF" } else { "JSON, AMF" },
                "advancedQueryCapabilities": { "supportsPagination": modern },
            }));
        }
        if asked.get("where") == "bad" {
            return Reply::json(
                &json!({ "error": { "code": 400, "message": "Unable to parse where", "details": [] } }),
            );
        }
        if asked.get("returncountonly") == "true" {
            return Reply::json(&json!({ "count": features.len() }));
        }
        if asked.get("returnidsonly") == "true" {
            let ids: Vec<usize> = (1..=features.len()).rev().collect();
            return Reply::json(&json!({ "objectIdFieldName": "OBJECTID", "objectIds": ids }));
        }
        let (low, high) = match asked.get("where").split_once("OBJECTID >= ") {
            Some((_, range)) => {
                let (low, high) = range.split_once(" AND OBJECTID <= ").unwrap();
                (low.parse().unwrap(), high.parse().unwrap())
            }
            None => {
                let first = asked.number("resultoffset").unwrap_or(0) + 1;
                (first, first + asked.number("resultrecordcount").unwrap_or(features.len()) - 1)
            }
        };
        assert!(high - low < 500 || asked.get("resultrecordcount").is_empty());
        let some = features.iter().enumerate().skip(low - 1).take(high + 1 - low);
        if asked.get("f") == "geojson" {
            let some: Vec<Value> = some
                .map(|(at, f)| json!({ "type": "Feature", "id": at + 1, "geometry": f["geometry"], "properties": f["properties"] }))
                .collect();
            return Reply::json(&json!({ "type": "FeatureCollection", "features": some }));
        }
        let some: Vec<Value> = some.map(|(at, f)| esri(at + 1, f)).collect();
        Reply::json(&json!({
            "objectIdFieldName": "OBJECTID", "geometryType": "esriGeometryPolygon",
            "spatialReference": { "wkid": 4326 }, "features": some,
            "fields": [ { "name": "OBJECTID", "type": "esriFieldTypeOID" }, { "name": "code", "type": "esriFieldTypeString" },
                        { "name": "nom", "type": "esriFieldTypeString" }, { "name": "dep", "type": "esriFieldTypeString" },
                        { "name": "epci", "type": "esriFieldTypeString" }, { "name": "epci_nom", "type": "esriFieldTypeString" },
                        { "name": "population", "type": "esriFieldTypeInteger" } ],
        }))
    })
}

/// A feature as ArcGIS writes it: rings in one list, outer ones clockwise.
fn esri(id: usize, feature: &Value) -> Value {
    let coordinates = &feature["geometry"]["coordinates"];
    let polygons = match feature["geometry"]["type"].as_str() {
        Some("Polygon") => vec![coordinates.clone()],
        _ => coordinates.as_array().unwrap().clone(),
    };
    let mut rings = Vec::new();
    for polygon in &polygons {
        for (at, ring) in polygon.as_array().unwrap().iter().enumerate() {
            let mut ring = ring.as_array().unwrap().clone();
            if (area(&ring) < 0.0) != (at == 0) {
                ring.reverse();
            }
            rings.push(ring);
        }
    }
    let mut attributes = feature["properties"].clone();
    attributes["OBJECTID"] = id.into();
    json!({ "attributes": attributes, "geometry": { "rings": rings } })
}

/// How many polygons a feature has.
fn parts(feature: &Value) -> usize {
    let geometry = &feature["geometry"];
    let several = geometry["type"] == "MultiPolygon";
    if several { geometry["coordinates"].as_array().unwrap().len() } else { 1 }
}

fn area(ring: &[Value]) -> f64 {
    let at = |p: &Value, i: usize| p[i].as_f64().unwrap();
    ring.windows(2).map(|w| at(&w[0], 0) * at(&w[1], 1) - at(&w[1], 0) * at(&w[0], 1)).sum()
}

fn source(upstream: &Upstream, more: &str) -> String {
    format!(
        "[source.arcgis]\nurl = \"{}/rest/services/communes/FeatureServer/0\"\n{more}",
        upstream.base
    )
}

#[test]
fn a_feature_server_comes_whole_by_pages_or_by_ids() {
    for modern in [true, false] {
        let upstream = service(modern);
        let site = Site::new();
        layer(&site, &source(&upstream, ""));
        site.harvest();
        let server = site.serve();
        let ours = harvested(&server);
        same(&ours, &demo().1);
        let polygons = |v: &Value| -> usize { super::features(v).iter().map(parts).sum() };
        assert_eq!(polygons(&ours), polygons(&demo().1), "rings are back in their polygons");
        if has("ogr2ogr") {
            let query = format!(
                "{}/rest/services/communes/FeatureServer/0/query?where=1%3D1&outFields=*&f=json",
                upstream.base
            );
            same(&ours, &gdal(&query, "", &[]));
        }
    }
}

#[test]
fn what_arcgis_says_went_wrong_is_quoted() {
    let site = Site::new();
    layer(&site, &source(&service(true), "filter = \"bad\""));
    refused(&site, "l'erreur 400 : Unable to parse where");
}
