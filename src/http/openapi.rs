//! The API definition, OpenAPI 3.0, built from the router's own addresses and parameter names.
//! Written once per state of the layers, root and language, then served as bytes: QGIS reads it
//! at each connection and refuses the service when it cannot.

mod components;
mod examples;
mod kept;
mod operations;
mod resolving;

pub use kept::Definitions;

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
use examples::Sample;
use operations::{FEATURES, OPERATIONS, PAGE, TAGS};
use serde_json::{Map, Value, json};

/// `GET /api`
pub async fn api(visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    let format = visit.format()?;
    let snapshot = visit.snapshot();
    let definitions = &visit.site.definitions;
    let state = definitions.state(&snapshot);
    let tag = visit.tag(&["api", &state]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let key = [&*state, &visit.root(), visit.lang().tag(), format.id()].join("\n");
    let write = async {
        let sample = Sample::of(&visit, &snapshot).await;
        match format {
            Format::Json => {
                let key = [&*state, visit.lang().tag()].join("\n");
                let layers = definitions.layers(key, || of_layers(&visit, &snapshot));
                written(&visit, &sample, &layers)
            }
            Format::Html => pages::api::page(&visit, &general(&visit, &sample), &snapshot),
        }
    };
    let kept = definitions.get(key, write).await?;
    let media = match format {
        Format::Json => media::OPENAPI,
        Format::Html => media::HTML,
    };
    visit.send(&tag, Document::kept(media, kept)).await
}

/// The definition without the literal paths of layers.
fn general(visit: &Visit, sample: &Sample) -> Value {
    let server = &visit.site.app.settings.server;
    let mut paths = Map::new();
    for o in &OPERATIONS {
        let operation = operation(o.id, visit.words(o.fr, o.en), o.path, o.refs, o.types, sample);
        paths.insert(standard(o.path), json!({ "get": operation }));
    }
    match &visit.scope {
        None => paths[path::RESOLVE]["post"] = resolving::operation(visit, sample),
        Some(_) => drop(paths.remove(path::RESOLVE)),
    }
    let tags: Vec<Value> = TAGS
        .iter()
        .map(|t| {
            json!({
                "name": t.name,
                "x-displayName": visit.words(t.titre, t.name),
                "description": visit.words(t.fr, t.en),
            })
        })
        .collect();
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": visit.titled(&server.title),
            "description": visit.say(&server.description),
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{ "url": visit.root().trim_end_matches('/') }],
        "tags": tags,
        "paths": paths,
        "components": {
            "headers": headers(visit),
            "parameters": all_parameters(visit, sample),
            "responses": { "problem": problem_response(visit) },
            "schemas": schemas(),
        },
    })
}

/// The whole definition as text: the literal paths of layers, which are the same below every
/// root, stand behind the others.
fn written(visit: &Visit, sample: &Sample, layers: &str) -> String {
    let mut definition = general(visit, sample);
    let paths = definition["paths"].take().to_string();
    if let Value::Object(members) = &mut definition {
        members.remove("paths");
    }
    let mut text = definition.to_string();
    // Neither object is empty: what is added goes before the brace that closes it.
    text.pop();
    text.push_str(",\"paths\":");
    text.push_str(&paths);
    if !layers.is_empty() {
        text.pop();
        text.push(',');
        text.push_str(layers);
        text.push('}');
    }
    text.push('}');
    text
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

fn operation(
    id: &str,
    summary: &str,
    template: &str,
    refs: &[&[&str]],
    types: &[&str],
    sample: &Sample,
) -> Value {
    let variables = standard(template);
    let variables = variables.split(['{', '}']).skip(1).step_by(2);
    let mut parameters: Vec<Value> =
        variables.map(|name| path_parameter(name, sample.variable(name))).collect();
    parameters.extend(
        refs.concat().iter().map(|r| json!({ "$ref": format!("#/components/parameters/{r}") })),
    );
    let ok = answer(id, summary, template, types, sample);
    json!({
        "operationId": id,
        "summary": summary,
        "tags": [tag(template)],
        "parameters": parameters,
        "responses": all_answers(summary, template, types, ok),
    })
}

/// What an operation answers when all is well.
fn answer(id: &str, summary: &str, template: &str, types: &[&str], sample: &Sample) -> Value {
    let mut content = content(id, types);
    let example = match template {
        path::ITEMS => sample.features(),
        path::ITEM => sample.feature().cloned(),
        _ => None,
    };
    if let Some(example) = example {
        content[media::GEOJSON]["example"] = example;
    }
    let features = types.contains(&media::GEOJSON) && template.contains("/items");
    json!({ "description": summary, "headers": header_refs(features), "content": content })
}

/// The headers of an answer.
fn header_refs(features: bool) -> Value {
    let named = HEADERS.iter().filter(|h| features || !h.features);
    let reference = |name: &str| json!({ "$ref": format!("#/components/headers/{name}") });
    Value::Object(named.map(|h| (h.name.to_owned(), reference(h.name))).collect())
}

/// The media types of an answer, each with its schema.
fn content(id: &str, types: &[&str]) -> Value {
    let schema = |media: &str| match media {
        media::GEOJSON if id.ends_with("getFeature") || id == "getTerritory" => "featureGeoJSON",
        media::GEOJSON => "featureCollectionGeoJSON",
        media::HTML => "text",
        media::MVT | media::ZIP | media::FGB | media::XLSX | media::PNG => "binary",
        "application/geopackage+sqlite3" | "application/vnd.apache.parquet" => "binary",
        media::QLR | media::CSV => "text",
        other if is_text(other) => "text",
        _ => "document",
    };
    let of = |media: &str| json!({ "schema": { "$ref": format!("#/components/schemas/{}", schema(media)) } });
    Value::Object(types.iter().map(|media| ((*media).to_owned(), of(media))).collect())
}

/// Whether a media type is text of no single JSON document.
fn is_text(media: &str) -> bool {
    media.ends_with("+xml") || matches!(media, "application/geo+json-seq" | "application/x-ndjson")
}

/// What an operation answers besides its document: nothing where a tile is empty, an order in place
/// of a large file, nothing but the status where an address is beyond what HTTP servers read.
fn all_answers(summary: &str, template: &str, types: &[&str], ok: Value) -> Value {
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
    } else if template.starts_with("/styles") || template.starts_with("/sprites") {
        "Styles"
    } else if template.starts_with("/collections/") {
        "Features"
    } else {
        "Service"
    }
}

fn path_parameter(name: &str, example: Option<Value>) -> Value {
    let whole = matches!(name, "x" | "y" | "z" | "tileRow" | "tileCol");
    let schema = match name {
        "tileMatrixSetId" => {
            json!({ "type": "string", "enum": super::tilesets::ids().collect::<Vec<_>>() })
        }
        _ if whole => json!({ "type": "integer", "minimum": 0 }),
        _ => json!({ "type": "string" }),
    };
    let mut parameter = json!({ "name": name, "in": "path", "required": true, "schema": schema });
    if let Some(example) = example {
        parameter["example"] = example;
    }
    parameter
}

/// The literal paths of all layers, as members of an object.
fn of_layers(visit: &Visit, snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for layer in snapshot.served() {
        let Some((path, operation)) = of_layer(visit, layer) else { continue };
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&format!("{}:{}", Value::from(path), json!({ "get": operation })));
    }
    text
}

/// The literal path of a layer: where clients look for its properties and its page size.
fn of_layer(visit: &Visit, layer: &Layer) -> Option<(String, Value)> {
    let version = &layer.current.as_ref()?.version;
    let id = layer.def.id.as_str();
    let title = visit.say(&layer.def.title);
    let literal = path::ITEMS.replace("{id}", id);
    let (id, sample) = (format!("{id}.getFeatures"), Sample::default());
    let mut features = operation(&id, title, &literal, PAGE, FEATURES, &sample);
    if let Some(parameters) = features.get_mut("parameters").and_then(Value::as_array_mut) {
        let fields = version.schema.fields.iter();
        let free = |name: &str| !items::KNOWN.contains(&name) && !SECRETS.contains(&name);
        for field in fields.filter(|f| free(&f.name)) {
            let schema = match field.kind {
                crate::model::FieldKind::Json => json!({ "type": "string" }),
                kind => schema::kind(kind),
            };
            let said = layer.def.field(version, &field.name, visit.lang()).title;
            parameters.push(query_parameter(&field.name, said, schema));
        }
    }
    Some((literal, features))
}
