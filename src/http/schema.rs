//! What features are made of (`…/schema`), what they may be filtered by (`…/queryables`) and sorted
//! by (`…/sortables`), as JSON Schema (OGC API Features part 5).

use super::{Answer, links::media, negotiate, params::name, visit::Visit};
use crate::{
    catalog::Layer,
    error::Result,
    items::Items,
    model::{Field, FieldKind, GeometryKind, LayerDef, UnitLang, Version},
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
    // What a cut adds is shown, and neither filtered nor sorted by.
    let cut = of == Of::Features && visit.outline(None)?.is_some();
    let schema = Items::schema(layer, cut)?;
    let own = layer.at()?.version.schema.fields.len();
    let mut properties = Map::new();
    for (position, field) in schema.fields.iter().enumerate() {
        if of == Of::Sortables && !is_sortable(field) {
            continue;
        }
        let mut property = if position < own {
            described_field(visit, layer, field)?
        } else {
            share(visit, field)
        };
        property["x-ogc-propertySeq"] = (position + 1).into();
        properties.insert(field.name.clone(), property);
    }
    let format = geometry(schema.geometry).filter(|_| of != Of::Sortables);
    if let Some(format) = format {
        let mut geometry = match by_reference(visit, of) {
            true => json!({ "$ref": "https://geojson.org/schema/Geometry.json" }),
            false => json!({ "format": format }),
        };
        geometry["title"] = visit.words("Géométrie", "Geometry").into();
        geometry["x-ogc-role"] = "primary-geometry".into();
        geometry["x-ogc-propertySeq"] = 0.into();
        properties.insert(schema.geometry_name(), geometry);
    }
    let mut document = json!({
        "$schema": DRAFT,
        "$id": visit.url(visit.path()),
        "type": "object",
        "title": visit.say(&layer.def.title),
        "properties": properties,
        "additionalProperties": of == Of::Features,
    });
    let description = visit.say(&layer.def.description);
    if !description.is_empty() {
        document["description"] = description.into();
    }
    Ok(document)
}

/// A field with its title, description, unit and role.
fn described_field(visit: &Visit, layer: &Layer, field: &Field) -> Result<Value> {
    let (def, version) = (&layer.def, &layer.at()?.version);
    let said = def.field(version, &field.name, visit.lang());
    let mut property = kind(field.kind);
    property["title"] = said.title.into();
    if let Some(description) = said.description {
        property["description"] = description.into();
    }
    if let Some(unit) = said.unit {
        property["x-ogc-unit"] = unit.code.as_str().into();
        property["x-ogc-unitLang"] = unit.lang.id().into();
    }
    if let Some(definition) = said.definition {
        property["x-ogc-definition"] = definition.into();
    }
    if let Some(role) = role(def, version, field) {
        property["x-ogc-role"] = role.into();
    }
    Ok(property)
}

/// The share of a feature that a cut leaves.
fn share(visit: &Visit, field: &Field) -> Value {
    let mut property = kind(field.kind);
    property["title"] = visit.words("Part qui reste", "Share that is left").into();
    property["description"] = visit
        .words(
            "Part de la surface ou de la longueur de l'entité que la découpe laisse, de 0 à 1.",
            "Share of the feature's area or length that the cut leaves, from 0 to 1.",
        )
        .into();
    property["readOnly"] = true.into();
    property["x-ogc-unit"] = "1".into();
    property["x-ogc-unitLang"] = UnitLang::Ucum.id().into();
    property
}

/// The role of a field (part 5, "Schemas" and "Advanced property roles").
fn role(def: &LayerDef, version: &Version, field: &Field) -> Option<&'static str> {
    // An id is a text or a whole number.
    if version.key.as_deref() == Some(field.name.as_str()) {
        return matches!(field.kind, FieldKind::Text | FieldKind::Int).then_some("id");
    }
    let time = def.time.as_ref()?;
    let Some(end) = &time.end else {
        return (time.start == field.name).then_some("primary-instant");
    };
    let kind = |name: &str| version.schema.fields.iter().find(|f| f.name == name).map(|f| f.kind);
    // Both ends of an interval are days, or both are instants.
    let alike = kind(&time.start) == kind(end);
    match field.name.as_str() {
        name if alike && name == time.start => Some("primary-interval-start"),
        name if alike && name == end => Some("primary-interval-end"),
        _ => None,
    }
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
