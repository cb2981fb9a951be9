//! What features are made of (`…/schema`, OGC API Features part 5), what they may be filtered by
//! (`…/queryables`, part 3) and sorted by (`…/sortables`), as JSON Schema.

use super::{Answer, links::media, negotiate, params::name, visit::Visit};
use crate::{
    catalog::Layer,
    error::Result,
    model::{FieldKind, GeometryKind},
    query::is_sortable,
    text,
};
use axum::{
    extract::Path,
    http::{HeaderValue, header},
};
use serde_json::{Map, Value, json};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// `GET /collections/{id}/queryables`
pub async fn queryables(Path(id): Path<String>, visit: Visit) -> Answer {
    answer(&id, &visit, Of::Queryables).await
}

/// `GET /collections/{id}/sortables`
pub async fn sortables(Path(id): Path<String>, visit: Visit) -> Answer {
    answer(&id, &visit, Of::Sortables).await
}

/// `GET /collections/{id}/schema`
pub async fn schema(Path(id): Path<String>, visit: Visit) -> Answer {
    answer(&id, &visit, Of::Features).await
}

/// What a document is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Features,
    Queryables,
    Sortables,
}

async fn answer(id: &str, visit: &Visit, of: Of) -> Answer {
    let mut response = described(id, visit, of).await?;
    if of == Of::Queryables {
        response.headers_mut().append(header::VARY, HeaderValue::from_static("User-Agent"));
    }
    Ok(response)
}

/// Whether the geometry to be asked for has to be told by `$ref`: QGIS sees no other, while the
/// standard wants none.
fn by_reference(visit: &Visit, of: Of) -> bool {
    let agent = visit.header(header::USER_AGENT);
    of == Of::Queryables && agent.is_some_and(|agent| agent.contains("QGIS/"))
}

async fn described(id: &str, visit: &Visit, of: Of) -> Answer {
    visit.params.check(&[name::F], &[])?;
    visit.format()?;
    let layer = visit.layer(id)?;
    let media = match negotiate::schema_as_json(visit.header(header::ACCEPT)) {
        true => media::JSON,
        false => media::SCHEMA,
    };
    let form = if by_reference(visit, of) { "by reference" } else { "" };
    let tag = visit.tag(&["schema", &layer.at()?.key(), media, form]).of(&layer.def);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let value = document(visit, &layer, of)?;
    let title = match of {
        Of::Features => text!("Champs", "Fields"),
        Of::Queryables => text!("Champs interrogeables", "Queryables"),
        Of::Sortables => text!("Champs de tri", "Sortables"),
    };
    let title = format!("{} — {}", visit.say(&layer.def.title), visit.say(&title));
    visit.present(&tag, media, &title, &value).await
}

fn document(visit: &Visit, layer: &Layer, of: Of) -> Result<Value> {
    let roles = of == Of::Features;
    let version = &layer.at()?.version;
    let mut properties = Map::new();
    for (position, field) in version.schema.fields.iter().enumerate() {
        if of == Of::Sortables && !is_sortable(field) {
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
    let format = geometry(version.schema.geometry).filter(|_| of != Of::Sortables);
    if let Some(format) = format {
        let name = version.schema.geometry_name();
        let mut geometry = match by_reference(visit, of) {
            true => json!({ "$ref": "https://geojson.org/schema/Geometry.json" }),
            false => json!({ "format": format }),
        };
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
