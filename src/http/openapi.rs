//! The API definition, OpenAPI 3.0, built from the router's own addresses and parameter names.
//! Written once per state of the layers, root and language, then served as bytes: QGIS reads it
//! at each connection and refuses the service when it cannot.

mod components;
mod operations;
mod resolving;

use super::{
    Answer, items,
    links::media,
    negotiate::Format,
    pages,
    params::{SECRETS, name},
    reply::Document,
    router::path,
    schema,
    visit::Visit,
};
use crate::catalog::{Layer, Snapshot};
use components::{HEADERS, all_parameters, headers, problem_response, query_parameter, schemas};
use operations::{FEATURES, OPERATIONS, PAGE};
use rustc_hash::FxHashMap;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex, PoisonError};

/// Definitions kept; scopes and hosts make new ones.
const KEPT: usize = 64;

/// Definitions already written, by state, root and language.
#[derive(Default)]
pub struct Definitions(Mutex<FxHashMap<String, Arc<Value>>>);

/// `GET /api`
pub async fn api(visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    let format = visit.format()?;
    let snapshot = visit.snapshot();
    let state = visit.site.state(&snapshot);
    let tag = visit.tag(&["api", &state]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let key = format!("{state}\n{}\n{}", visit.root(), visit.lang().tag());
    let kept =
        visit.site.definitions.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
    let definition = match kept {
        Some(kept) => kept,
        None => {
            let made = Arc::new(definition(&visit, &snapshot));
            let mut kept = visit.site.definitions.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= KEPT {
                kept.clear();
            }
            kept.insert(key, made.clone());
            made
        }
    };
    let document = match format {
        Format::Json => Document::json(media::OPENAPI, &definition),
        Format::Html => Document::html(pages::api::page(&visit, &definition)),
    };
    visit.send(&tag, document).await
}

fn definition(visit: &Visit, snapshot: &Snapshot) -> Value {
    let server = &visit.site.app.settings.server;
    let mut paths = Map::new();
    for o in &OPERATIONS {
        let operation = operation(o.id, visit.words(o.fr, o.en), o.path, o.refs, o.types);
        paths.insert(standard(o.path), json!({ "get": operation }));
    }
    for layer in snapshot.served() {
        of_layer(visit, layer, &mut paths);
    }
    match &visit.scope {
        None => paths[path::RESOLVE]["post"] = resolving::operation(visit),
        Some(_) => drop(paths.remove(path::RESOLVE)),
    }
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": visit.titled(&server.title),
            "description": visit.say(&server.description),
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{ "url": visit.root().trim_end_matches('/') }],
        "paths": paths,
        "components": {
            "headers": headers(visit),
            "parameters": all_parameters(visit),
            "responses": { "problem": problem_response(visit) },
            "schemas": schemas(),
        },
    })
}

/// The names of path variables that clients of OGC API look for.
fn standard(template: &str) -> String {
    let of_tiles = template.starts_with(path::DATASET_TILESETS);
    if template.starts_with(path::COLLECTION) || of_tiles {
        template
            .replace("{id}", "{collectionId}")
            .replace("{fid}", "{featureId}")
            .replace("{tms}", "{tileMatrixSetId}")
            .replace("{z}/{row}/{col}", "{tileMatrix}/{tileRow}/{tileCol}")
            .replace("{y}", "{y}.mvt")
            .replace("{v}", "{version}")
    } else {
        template
            .replace("{id}", "{styleId}")
            .replace("{tms}", "{tileMatrixSetId}")
            .replace("{code}", "{territory}")
    }
}

fn operation(id: &str, summary: &str, template: &str, refs: &[&[&str]], types: &[&str]) -> Value {
    let mut parameters: Vec<Value> =
        standard(template).split(['{', '}']).skip(1).step_by(2).map(path_parameter).collect();
    parameters.extend(
        refs.concat().iter().map(|r| json!({ "$ref": format!("#/components/parameters/{r}") })),
    );
    let content: Map<String, Value> = types
        .iter()
        .map(|media| {
            let schema = match *media {
                media::GEOJSON if id.ends_with("getFeature") || id == "getTerritory" => {
                    "featureGeoJSON"
                }
                media::GEOJSON => "featureCollectionGeoJSON",
                media::HTML => "text",
                media::MVT | media::ZIP | media::FGB | media::XLSX => "binary",
                "application/geopackage+sqlite3" | "application/vnd.apache.parquet" => "binary",
                media::QLR | media::CSV => "text",
                other if is_text(other) => "text",
                _ => "document",
            };
            (
                (*media).to_owned(),
                json!({ "schema": { "$ref": format!("#/components/schemas/{schema}") } }),
            )
        })
        .collect();
    let features = types.contains(&media::GEOJSON) && template.contains("/items");
    let named = HEADERS.iter().filter(|h| features || !h.features);
    let headers: Map<String, Value> = named
        .map(|h| (h.name.to_owned(), json!({ "$ref": format!("#/components/headers/{}", h.name) })))
        .collect();
    json!({
        "operationId": id,
        "summary": summary,
        "tags": [tag(template)],
        "parameters": parameters,
        "responses": responses(
            summary,
            template,
            types,
            json!({ "description": summary, "headers": headers, "content": content }),
        ),
    })
}

/// Whether a media type is text of no single JSON document.
fn is_text(media: &str) -> bool {
    media.ends_with("+xml") || matches!(media, "application/geo+json-seq" | "application/x-ndjson")
}

/// What an operation answers besides its document: nothing where a tile is empty, an order in place
/// of a large file, nothing but the status where an address is beyond what HTTP servers read.
fn responses(summary: &str, template: &str, types: &[&str], ok: Value) -> Value {
    let mut all = json!({
        "200": ok,
        "414": { "description": "URI Too Long" },
        "431": { "description": "Request Header Fields Too Large" },
        "default": { "$ref": "#/components/responses/problem" },
    });
    if types.contains(&media::MVT) {
        all["204"] = json!({ "description": format!("{summary} ({})", "∅") });
    }
    if template.ends_with("/export") || template == path::KIT {
        let order = json!({ "schema": { "$ref": "#/components/schemas/document" } });
        let page = json!({ "schema": { "$ref": "#/components/schemas/text" } });
        let content = json!({ media::JSON: order, media::HTML: page });
        all["202"] = json!({ "description": summary, "content": content });
    }
    all
}

fn tag(template: &str) -> &'static str {
    if template.contains("/export") {
        "Exports"
    } else if template.contains("/tiles")
        || template.contains("tileMatrixSets")
        || template.contains("tilejson")
    {
        "Tiles"
    } else if template.starts_with("/territories") {
        "Territories"
    } else if template.starts_with("/styles") {
        "Styles"
    } else if template.starts_with(path::COLLECTION) {
        "Features"
    } else {
        "Service"
    }
}

fn path_parameter(name: &str) -> Value {
    let whole = matches!(name, "x" | "y" | "z" | "tileRow" | "tileCol");
    let schema = match name {
        "tileMatrixSetId" => json!({ "type": "string", "enum": [super::tilesets::GRID_ID] }),
        _ if whole => json!({ "type": "integer", "minimum": 0 }),
        _ => json!({ "type": "string" }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

/// Literal paths of a layer: where clients look for its properties and its page size.
fn of_layer(visit: &Visit, layer: &Layer, paths: &mut Map<String, Value>) {
    let Some(at) = &layer.current else { return };
    let id = layer.def.id.as_str();
    let title = visit.say(&layer.def.title);
    let literal = path::ITEMS.replace("{id}", id);
    let mut features = operation(&format!("{id}.getFeatures"), title, &literal, PAGE, FEATURES);
    if let Some(parameters) = features.get_mut("parameters").and_then(Value::as_array_mut) {
        let fields = at.version.schema.fields.iter();
        let free = |name: &str| !items::KNOWN.contains(&name) && !SECRETS.contains(&name);
        for field in fields.filter(|f| free(&f.name)) {
            let schema = match field.kind {
                crate::model::FieldKind::Json => json!({ "type": "string" }),
                kind => schema::kind(kind),
            };
            parameters.push(query_parameter(&field.name, &field.name, schema));
        }
    }
    paths.insert(literal, json!({ "get": features }));
}
