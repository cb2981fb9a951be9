//! TileJSON 3.0.0.

use crate::{
    catalog::Layer,
    error::Result,
    model::{BBox, Drawing, FieldKind, drawing::Part},
    store::{At, ID_PROPERTY},
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The parallel at which the web-mercator square ends.
pub(super) const MAX_LATITUDE: f64 = 85.051_129;

/// TileJSON 3.0.0 of a layer; `template` is the absolute tile URL with `{z}`, `{x}`, `{y}`.
///
/// Beyond the standard, the member `socle` names what clients need to join and to cite: the
/// `version` served, the `key` field (for MapLibre's `promoteId`) and the `label` field.
pub fn tilejson(layer: &Layer, at: &At, template: &str, title: &str) -> Value {
    let (def, version) = (&layer.def, &at.version);
    let mut fields: serde_json::Map<String, Value> =
        version.schema.fields.iter().map(|f| (f.name.clone(), kind(f.kind).into())).collect();
    if version.key.is_none() {
        fields.insert(ID_PROPERTY.to_owned(), "String".into());
    }
    let [west, south, east, north] = bounds(at);
    let mut json = json!({
        "tilejson": "3.0.0",
        "tiles": [template],
        "scheme": "xyz",
        "name": title,
        "description": def.description.fr,
        "version": semantic_version(version.id.as_str()),
        "attribution": attribution(layer, at),
        "bounds": [west, south, east, north],
        "center": [(west + east) / 2.0, (south + north) / 2.0, center_zoom(at, east - west)],
        "minzoom": version.min_zoom,
        "maxzoom": version.max_zoom,
        "vector_layers": vector_layers(at, title, &fields),
        "socle": {
            "version": version.id.as_str(),
            "key": version.key,
            "label": def.label,
        },
    });
    if let Some(thinning) = &version.thinning {
        json["socle"]["thinned"] = json!({
            "budget": thinning.budget,
            "importance": thinning.importance,
            "shown": thinning.shown,
        });
    }
    if let Some(drawing) = &version.drawing {
        json["socle"]["drawing"] = json!(drawing);
    }
    if def.description.fr.is_empty()
        && let Some(members) = json.as_object_mut()
    {
        members.remove("description");
    }
    json
}

/// The layer and those that its tiles carry beside it.
fn vector_layers(at: &At, title: &str, fields: &Map<String, Value>) -> Vec<Value> {
    let version = &at.version;
    let sides: Map<String, Value> =
        Drawing::SIDES.iter().map(|side| ((*side).to_owned(), "String".into())).collect();
    let layers = Drawing::layers(at.layer.as_str(), version.drawing.as_deref());
    let layer = |(id, part): (String, Part)| {
        let (of, fields) = match part {
            Part::Features => (String::new(), fields),
            Part::Labels => (" — étiquettes".to_owned(), fields),
            Part::Borders => (" — limites".to_owned(), &sides),
        };
        json!({
            "id": id,
            "description": format!("{title}{of}"),
            "fields": fields,
            "minzoom": version.min_zoom,
            "maxzoom": version.max_zoom,
        })
    };
    layers.into_iter().map(layer).collect()
}

/// TileJSON 3.0.0 of several layers in one tile: what [`tilejson`] says of each, with its title,
/// put together.
///
/// # Errors
/// [`crate::error::Error::Unavailable`] when one of them has no version yet.
pub fn tilejson_together(
    layers: &[(Arc<Layer>, String)],
    template: &str,
    title: &str,
) -> Result<Value> {
    let (mut vector_layers, mut mentions, mut described) = (Vec::new(), Vec::new(), Map::new());
    let (mut extent, mut zooms) = (None::<BBox>, None::<(u8, u8)>);
    for (layer, title) in layers {
        let at = layer.at()?;
        let mut of_one = tilejson(layer, at, template, title);
        if let Value::Array(own) = of_one["vector_layers"].take() {
            vector_layers.extend(own);
        }
        described.insert(layer.def.id.to_string(), of_one["socle"].take());
        let mention = attribution(layer, at);
        if !mentions.contains(&mention) {
            mentions.push(mention);
        }
        let [west, south, east, north] = bounds(at);
        let part = BBox { west, south, east, north };
        extent.get_or_insert(part).merge(&part);
        let (min, max) = (at.version.min_zoom, at.version.max_zoom);
        zooms = zooms.map_or(Some((min, max)), |(a, b)| Some((a.min(min), b.max(max))));
    }
    let (min, max) = zooms.unwrap_or((0, 0));
    let world = BBox { south: -MAX_LATITUDE, north: MAX_LATITUDE, ..BBox::WORLD };
    Ok(json!({
        "tilejson": "3.0.0",
        "tiles": [template],
        "scheme": "xyz",
        "name": title,
        "attribution": mentions.join(" ; "),
        "bounds": extent.unwrap_or(world).to_array(),
        "minzoom": min,
        "maxzoom": max,
        "vector_layers": vector_layers,
        "socle": { "layers": described },
    }))
}

/// The type of a field as tiles carry it, in TileJSON's customary words.
fn kind(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Bool => "Boolean",
        FieldKind::Int | FieldKind::Float => "Number",
        FieldKind::Text | FieldKind::Date | FieldKind::DateTime | FieldKind::Json => "String",
    }
}

/// The version's extent within the grid; from side to side when it crosses the antimeridian,
/// since TileJSON knows no other way.
fn bounds(at: &At) -> [f64; 4] {
    let Some(bbox) = at.version.bbox else {
        return [-180.0, -MAX_LATITUDE, 180.0, MAX_LATITUDE];
    };
    let (west, east) =
        if bbox.crosses_antimeridian() { (-180.0, 180.0) } else { (bbox.west, bbox.east) };
    let latitude = |v: f64| v.clamp(-MAX_LATITUDE, MAX_LATITUDE);
    [west.max(-180.0), latitude(bbox.south), east.min(180.0), latitude(bbox.north)]
}

/// A zoom at which the whole width is about two tiles.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn center_zoom(at: &At, width: f64) -> u8 {
    let zoom = (720.0 / width.max(0.001)).log2().floor().clamp(0.0, 24.0) as u8;
    zoom.clamp(at.version.min_zoom, at.version.max_zoom.max(at.version.min_zoom))
}

/// The mention with the day the data describes, or else the day it was published or fetched.
fn attribution(layer: &Layer, at: &At) -> String {
    let def = &layer.def;
    let (words, day) = match (def.described_at, def.published_at) {
        (Some(day), _) => ("état au", day.to_string()),
        (None, Some(day)) => ("publié le", day.to_string()),
        (None, None) => ("récupéré le", at.version.source.fetched_at.strftime("%F").to_string()),
    };
    format!("{} ({words} {day})", def.attribution)
}

/// TileJSON wants `major.minor.patch`: the day, the second of that day's clock, and 0, so that
/// later versions compare as later.
fn semantic_version(id: &str) -> String {
    let number = |text: Option<&str>| text.and_then(|t| t.parse::<u32>().ok());
    match (number(id.get(0..8)), number(id.get(9..15))) {
        (Some(day), Some(second)) => format!("{day}.{second}.0"),
        _ => "1.0.0".to_owned(),
    }
}
