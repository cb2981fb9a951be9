//! What features are made of (`…/schema`, OGC API Features part 5) and what they may be filtered
//! by (`…/queryables`, part 3), as JSON Schema.

use super::{Answer, links::media, params::name, visit::Visit};
use crate::{
    catalog::Layer,
    error::Result,
    model::{FieldKind, GeometryKind},
    text,
};
use axum::extract::Path;
use serde_json::{Map, Value, json};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// `GET /collections/{id}/queryables`
pub async fn queryables(Path(id): Path<String>, visit: Visit) -> Answer {
    answer(&id, &visit, false).await
}

/// `GET /collections/{id}/schema`
pub async fn schema(Path(id): Path<String>, visit: Visit) -> Answer {
    answer(&id, &visit, true).await
}

async fn answer(id: &str, visit: &Visit, roles: bool) -> Answer {
    visit.params.check(&[name::F], &[])?;
    visit.format()?;
    let layer = visit.layer(id)?;
    let tag = visit.tag(&["schema", &layer.at()?.key()]).of(&layer.def);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let value = document(visit, &layer, roles)?;
    let title = match roles {
        true => text!("Champs", "Fields"),
        false => text!("Champs interrogeables", "Queryables"),
    };
    let title = format!("{} — {}", visit.say(&layer.def.title), visit.say(&title));
    visit.present(&tag, media::SCHEMA, &title, &value).await
}

fn document(visit: &Visit, layer: &Layer, roles: bool) -> Result<Value> {
    let version = &layer.at()?.version;
    let mut properties = Map::new();
    for (position, field) in version.schema.fields.iter().enumerate() {
        // The standard's parameter of that name wins: such a field cannot be asked for.
        if !roles && super::items::KNOWN.contains(&field.name.as_str()) {
            continue;
        }
        let mut property = kind(field.kind);
        let commented = version.live.as_ref().and_then(|live| live.field(&field.name));
        let (title, description) = commented.unwrap_or((field.name.as_str(), None));
        property["title"] = title.into();
        if let Some(description) = description {
            property["description"] = description.into();
        }
        if roles {
            property["x-ogc-propertySeq"] = (position + 1).into();
            if version.key.as_deref() == Some(field.name.as_str()) {
                property["x-ogc-role"] = "id".into();
            }
        }
        properties.insert(field.name.clone(), property);
    }
    if let Some(format) = geometry(version.schema.geometry) {
        let name = version.schema.geometry_name();
        let mut geometry = json!({ "format": format });
        if roles {
            geometry["x-ogc-role"] = "primary-geometry".into();
            geometry["x-ogc-propertySeq"] = 0.into();
        }
        properties.insert(name, geometry);
    }
    Ok(json!({
        "$schema": DRAFT,
        "$id": visit.url(visit.path()),
        "type": "object",
        "title": visit.say(&layer.def.title),
        "properties": properties,
        "additionalProperties": roles,
    }))
}

/// The JSON type of a field; shared with the API definition.
pub fn kind(kind: FieldKind) -> Value {
    match kind {
        FieldKind::Bool => json!({ "type": "boolean" }),
        FieldKind::Int => json!({ "type": "integer" }),
        FieldKind::Float => json!({ "type": "number" }),
        FieldKind::Text => json!({ "type": "string" }),
        FieldKind::Date => json!({ "type": "string", "format": "date" }),
        FieldKind::DateTime => json!({ "type": "string", "format": "date-time" }),
        FieldKind::Json => json!({ "type": "object" }),
    }
}

fn geometry(kind: GeometryKind) -> Option<&'static str> {
    Some(match kind {
        GeometryKind::None => return None,
        GeometryKind::Point => "geometry-point",
        GeometryKind::MultiPoint => "geometry-point-or-multipoint",
        GeometryKind::LineString => "geometry-linestring",
        GeometryKind::MultiLineString => "geometry-linestring-or-multilinestring",
        GeometryKind::Polygon => "geometry-polygon",
        GeometryKind::MultiPolygon => "geometry-polygon-or-multipolygon",
        GeometryKind::Geometry => "geometry-any",
    })
}
