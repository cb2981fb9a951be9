//! Collections around features, GML and GeoJSON: what is said of them comes before them, whatever
//! they are read from.

use super::{
    Asked,
    version::Version,
    window::{Found, Window, around, matched, now, numbers, returned},
};
use crate::{
    http::{feed::xml, links::media, parts::Parts, visit::Visit},
    items::gml::{PREFIX, SPACE},
};
use std::fmt::Write;

/// The declarations of a document's root.
pub fn spaces(visit: &Visit, version: Version) -> String {
    let describe = format!(
        "{}?SERVICE=WFS&VERSION={}&REQUEST=DescribeFeatureType",
        visit.url("wfs"),
        version.number()
    );
    format!(
        " xmlns:wfs=\"{wfs}\" xmlns:gml=\"{gml}\" xmlns:{PREFIX}=\"{SPACE}\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"{SPACE} {describe} {wfs} {schema} {gml} {gml_schema}\"",
        wfs = version.space(),
        gml = version.gml_space(),
        schema = version.schema(),
        gml_schema = version.gml_schema(),
        describe = xml(&describe),
    )
}

/// A collection of GML.
pub fn gml(
    visit: &Visit,
    asked: &Asked,
    version: Version,
    window: &Window,
    found: Vec<Found>,
) -> Parts {
    let links = around(visit, asked, window, &found);
    let mut before =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<wfs:FeatureCollection".to_owned();
    before.push_str(&spaces(visit, version));
    match version {
        Version::V20 => before.push_str(&numbers(matched(&found), returned(&found), links)),
        // Old clients read how many match where they asked for it.
        Version::V11 => {
            let number = if window.hits { matched(&found).unwrap_or(0) } else { returned(&found) };
            let _ = write!(before, " timeStamp=\"{}\" numberOfFeatures=\"{number}\"", now());
        }
        Version::V10 => {}
    }
    before.push_str(">\n");
    if version == Version::V10 {
        // Its schema asks for an extent.
        before.push_str("<gml:boundedBy><gml:null>unknown</gml:null></gml:boundedBy>\n");
    }
    let several = version == Version::V20 && found.len() > 1;
    let mut parts = Parts::from_iter([before]);
    for one in found {
        if several {
            let numbers = numbers(one.matched, one.returned, (None, None));
            parts.push(format!("<wfs:member><wfs:FeatureCollection{numbers}>\n"));
        }
        parts.push(one.body);
        if several {
            parts.push("</wfs:FeatureCollection></wfs:member>\n".to_owned());
        }
    }
    parts.push("</wfs:FeatureCollection>\n".to_owned());
    parts
}

/// A collection of GeoJSON.
pub fn json(visit: &Visit, asked: &Asked, window: &Window, found: Vec<Found>) -> Parts {
    let (next, previous) = around(visit, asked, window, &found);
    let mut head = serde_json::json!({
        "timeStamp": now(),
        "numberReturned": returned(&found),
    });
    if let Some(matched) = matched(&found) {
        head["numberMatched"] = matched.into();
        head["totalFeatures"] = matched.into();
    }
    // GeoJSON is in degrees; where another system was asked for, it says so as old clients read it.
    if let Some(srs) = asked.kvp.get("SRSNAME") {
        head["crs"] = serde_json::json!({ "type": "name", "properties": { "name": srs } });
    }
    let link = |rel: &str, href: Option<String>| {
        href.map(|href| serde_json::json!({ "rel": rel, "type": media::GEOJSON, "href": href }))
    };
    let links: Vec<_> =
        [link("next", next), link("previous", previous)].into_iter().flatten().collect();
    head["links"] = links.into();
    let head = head.to_string();
    let head = head.trim_start_matches('{').trim_end_matches('}');
    let before = format!("{{\"type\":\"FeatureCollection\",{head},\"features\":[\n");
    let mut parts = Parts::from_iter([before]);
    let mut any = false;
    for one in found.into_iter().filter(|f| f.returned > 0) {
        if std::mem::replace(&mut any, true) {
            parts.push(",\n".to_owned());
        }
        parts.push(one.body);
    }
    parts.push("\n]}\n".to_owned());
    parts
}
