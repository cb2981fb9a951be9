//! The API definition, OpenAPI 3.0, built from the router's own addresses and parameter names.
//! Written once per state of the layers, root and language, then served as bytes: QGIS reads it
//! at each connection and refuses the service when it cannot.

mod resolving;

use super::{
    Answer,
    collections::CRS84,
    items,
    links::media,
    negotiate::Format,
    pages,
    params::{SECRETS, name},
    problem::KINDS,
    reply::Document,
    router::path,
    schema, territories,
    visit::Visit,
};
use crate::{
    catalog::{Layer, Snapshot},
    exports::FORMATS,
    items::System,
    query::{DEFAULT_LIMIT, MAX_LIMIT, cql2},
    text,
};
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

/// An operation that does not depend on the layers.
struct Operation {
    path: &'static str,
    id: &'static str,
    fr: &'static str,
    en: &'static str,
    /// Names of shared parameters.
    refs: &'static [&'static str],
    types: &'static [&'static str],
}

const JSON_HTML: &[&str] = &[media::JSON, media::HTML];
const SCHEMA_HTML: &[&str] = &[media::SCHEMA, media::HTML];
const GEO: &[&str] = &[media::GEOJSON, media::HTML];
const TILE: &[&str] = &[
    "territory",
    "territoire",
    "territory-mode",
    "vintage",
    "filter",
    "filter-lang",
    "filter-crs",
    "datetime",
];
/// Parameters of an export.
const EXPORT: &[&str] = &[
    "export-format",
    "territory",
    "territoire",
    "territory-mode",
    "vintage",
    "export-crs",
    "bbox",
    "filter",
    "filter-lang",
    "filter-crs",
    "datetime",
    "decimal",
    "geometry",
];
const EXPORT_ALL: &[&str] = &[
    "export-format",
    "collections",
    "territory",
    "territoire",
    "territory-mode",
    "vintage",
    "export-crs",
    "bbox",
    "filter",
    "filter-lang",
    "filter-crs",
    "datetime",
    "decimal",
    "geometry",
];
const KIT: &[&str] =
    &["collections", "territory", "territoire", "territory-mode", "vintage", "export-crs", "bbox"];
/// What an export may be; `application/octet-stream` stands for those without a common name.
const FILES: &[&str] = &["application/octet-stream", media::JSON];
const DATASET_TILE: &[&str] = &[
    "collections",
    "territory",
    "territoire",
    "territory-mode",
    "vintage",
    "filter",
    "filter-lang",
    "filter-crs",
    "datetime",
];
/// Parameters of a page of features, by their names among the shared ones.
const PAGE: &[&str] = &[
    "limit",
    "bbox",
    "datetime",
    "crs",
    "bbox-crs",
    "offset",
    "cursor",
    "territory",
    "territoire",
    "territory-mode",
    "vintage",
    "filter",
    "filter-lang",
    "filter-crs",
    "properties",
    "skipGeometry",
    "sortby",
    "resultType",
    "f",
];

#[rustfmt::skip] // a table: one line per operation
const OPERATIONS: [Operation; 44] = [
    Operation { path: path::LANDING, id: "getLandingPage", fr: "Page d'accueil", en: "Landing page", refs: &["f"], types: JSON_HTML },
    Operation { path: path::CONFORMANCE, id: "getConformance", fr: "Classes de conformité", en: "Conformance classes", refs: &["f"], types: JSON_HTML },
    Operation { path: path::API, id: "getApi", fr: "Cette définition", en: "This definition", refs: &["f"], types: &[media::OPENAPI, media::HTML] },
    Operation { path: path::COLLECTIONS, id: "getCollections", fr: "Les couches", en: "The layers", refs: &["f"], types: JSON_HTML },
    Operation { path: path::COLLECTION, id: "describeCollection", fr: "Une couche", en: "A layer", refs: &["f"], types: JSON_HTML },
    Operation { path: path::ITEMS, id: "getFeatures", fr: "Entités d'une couche", en: "Features of a layer", refs: PAGE, types: GEO },
    Operation { path: path::ITEM, id: "getFeature", fr: "Une entité", en: "A feature", refs: &["f", "crs"], types: GEO },
    Operation { path: path::FUNCTIONS, id: "getFunctions", fr: "Fonctions des filtres", en: "Functions of filters", refs: &["f"], types: JSON_HTML },
    Operation { path: path::QUERYABLES, id: "getQueryables", fr: "Champs interrogeables", en: "Queryables", refs: &["f"], types: SCHEMA_HTML },
    Operation { path: path::SORTABLES, id: "getSortables", fr: "Champs de tri", en: "Sortables", refs: &["f"], types: SCHEMA_HTML },
    Operation { path: path::SCHEMA, id: "getSchema", fr: "Champs", en: "Fields", refs: &["f"], types: SCHEMA_HTML },
    Operation { path: path::STATS, id: "getStats", fr: "Chiffres par territoire", en: "Figures by territory", refs: &["by", "metric", "share", "territory", "territoire", "territory-mode", "vintage", "bbox", "filter", "filter-lang", "filter-crs", "datetime", "sort", "separator", "bom", "decimal", "stats-f"], types: &[media::JSON, media::CSV, media::GEOJSON, media::HTML] },
    Operation { path: path::TILESETS, id: "collection.vector.getTileSetsList", fr: "Jeux de tuiles", en: "Tilesets", refs: &["f"], types: JSON_HTML },
    Operation { path: path::TILESET, id: "collection.vector.getTileSet", fr: "Un jeu de tuiles", en: "A tileset", refs: &["f"], types: JSON_HTML },
    Operation { path: path::TILE, id: "collection.vector.getTile", fr: "Une tuile (matrice, ligne, colonne)", en: "A tile (matrix, row, column)", refs: TILE, types: &[media::MVT] },
    Operation { path: path::TILE_XYZ, id: "xyz.collection.vector.getTile", fr: "Une tuile (z, x, y)", en: "A tile (z, x, y)", refs: TILE, types: &[media::MVT] },
    Operation { path: path::TILEJSON, id: "getTileJson", fr: "TileJSON", en: "TileJSON", refs: &["filter", "filter-lang", "filter-crs", "datetime"], types: &[media::JSON] },
    Operation { path: path::DATASET_TILESETS, id: "dataset.vector.getTileSetsList", fr: "Jeux de tuiles de toutes les couches", en: "Tilesets of all layers", refs: &["f"], types: JSON_HTML },
    Operation { path: path::DATASET_TILESET, id: "dataset.vector.getTileSet", fr: "Un jeu de tuiles de plusieurs couches", en: "A tileset of several layers", refs: &["collections", "f"], types: JSON_HTML },
    Operation { path: path::DATASET_TILE, id: "dataset.vector.getTile", fr: "Une tuile de plusieurs couches (matrice, ligne, colonne)", en: "A tile of several layers (matrix, row, column)", refs: DATASET_TILE, types: &[media::MVT] },
    Operation { path: path::DATASET_TILE_XYZ, id: "xyz.dataset.vector.getTile", fr: "Une tuile de plusieurs couches (z, x, y)", en: "A tile of several layers (z, x, y)", refs: DATASET_TILE, types: &[media::MVT] },
    Operation { path: path::DATASET_TILEJSON, id: "getDatasetTileJson", fr: "TileJSON de plusieurs couches", en: "TileJSON of several layers", refs: &["collections", "filter", "filter-lang", "filter-crs"], types: &[media::JSON] },
    Operation { path: path::VERSIONS, id: "getVersions", fr: "Versions d'une couche", en: "Versions of a layer", refs: &["f"], types: JSON_HTML },
    Operation { path: path::REPORT, id: "getReport", fr: "Rapport d'une version", en: "Report of a version", refs: &["f"], types: JSON_HTML },
    Operation { path: path::EXPORT, id: "getExport", fr: "Une couche en un fichier", en: "A layer as a file", refs: EXPORT, types: FILES },
    Operation { path: path::EXPORT_ESTIMATE, id: "estimateExport", fr: "Taille d'un export", en: "Size of an export", refs: EXPORT, types: &[media::JSON] },
    Operation { path: path::EXPORT_ALL, id: "getExportOfLayers", fr: "Plusieurs couches en un fichier", en: "Several layers as a file", refs: EXPORT_ALL, types: FILES },
    Operation { path: path::KIT, id: "getKit", fr: "Kit QGIS : toutes les couches, prêtes à ouvrir", en: "QGIS kit: all layers, ready to open", refs: KIT, types: &[media::ZIP] },
    Operation { path: path::LAYER_DEFINITION, id: "getLayerDefinition", fr: "Couche à glisser dans QGIS", en: "Layer to drop into QGIS", refs: &[], types: &[media::QLR] },
    Operation { path: path::EXPORT_ALL_ESTIMATE, id: "estimateExportOfLayers", fr: "Taille d'un export de plusieurs couches", en: "Size of an export of several layers", refs: EXPORT_ALL, types: &[media::JSON] },
    Operation { path: path::ORDER, id: "getExportOrder", fr: "Avancement d'un export (DELETE : l'annuler)", en: "Progress of an export (DELETE: cancel it)", refs: &["f"], types: JSON_HTML },
    Operation { path: path::ORDER_FILE, id: "getExportFile", fr: "Fichier d'un export", en: "File of an export", refs: &[], types: FILES },
    Operation { path: path::GRIDS, id: "getTileMatrixSets", fr: "Grilles de tuiles", en: "Tile matrix sets", refs: &["f"], types: JSON_HTML },
    Operation { path: path::GRID, id: "getTileMatrixSet", fr: "Une grille de tuiles", en: "A tile matrix set", refs: &["f"], types: JSON_HTML },
    Operation { path: path::STYLES, id: "getStyles", fr: "Styles", en: "Styles", refs: &["f"], types: JSON_HTML },
    Operation { path: path::STYLE, id: "getStyle", fr: "Un style MapLibre", en: "A MapLibre style", refs: &[], types: &[media::JSON] },
    Operation { path: path::TERRITORIES, id: "searchTerritories", fr: "Recherche de territoires", en: "Search for territories", refs: &["q", "level", "territories-limit", "f"], types: JSON_HTML },
    Operation { path: path::TABLE, id: "getTable", fr: "Un tableau : une ligne par territoire, une colonne par couche", en: "A table: one row per territory, one column per layer", refs: &["level", "columns", "show", "territory", "territoire", "territory-mode", "vintage", "filter", "filter-lang", "filter-crs", "datetime", "separator", "bom", "decimal", "table-f"], types: &[media::JSON, media::CSV, media::XLSX, media::HTML] },
    Operation { path: path::FEED, id: "getFeed", fr: "Ce qui a changé, publication après publication (Atom)", en: "What changed, publication after publication (Atom)", refs: &["page"], types: &[media::ATOM_TYPE] },
    Operation { path: path::RESOLVE, id: "describeResolve", fr: "Porter une table sur les territoires d'aujourd'hui : le formulaire", en: "Putting a table on today's territories: the form", refs: &["f"], types: JSON_HTML },
    Operation { path: path::TERRITORY, id: "getTerritory", fr: "Un territoire", en: "A territory", refs: &["vintage", "territory-f"], types: &[media::JSON, media::GEOJSON, media::HTML] },
    Operation { path: path::HISTORY, id: "getTerritoryHistory", fr: "Les mouvements d'un territoire", en: "The movements of a territory", refs: &["f"], types: JSON_HTML },
    Operation { path: path::LIVE, id: "getLive", fr: "Le programme répond", en: "The program answers", refs: &[], types: &[media::JSON] },
    Operation { path: path::READY, id: "getReady", fr: "Le service est prêt", en: "The service is ready", refs: &[], types: &[media::JSON] },
];

fn operation(id: &str, summary: &str, template: &str, refs: &[&str], types: &[&str]) -> Value {
    let mut parameters: Vec<Value> =
        standard(template).split(['{', '}']).skip(1).step_by(2).map(path_parameter).collect();
    parameters
        .extend(refs.iter().map(|r| json!({ "$ref": format!("#/components/parameters/{r}") })));
    let content: Map<String, Value> = types
        .iter()
        .map(|media| {
            let schema = match *media {
                media::GEOJSON if id.ends_with("getFeature") || id == "getTerritory" => {
                    "featureGeoJSON"
                }
                media::GEOJSON => "featureCollectionGeoJSON",
                media::HTML => "text",
                media::MVT | media::ZIP | "application/octet-stream" => "binary",
                media::QLR => "text",
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
        "responses": {
            "200": { "description": summary, "headers": headers, "content": content },
            "default": { "$ref": "#/components/responses/problem" },
        },
    })
}

/// A header of answers.
struct Header {
    name: &'static str,
    fr: &'static str,
    en: &'static str,
    kind: &'static str,
    /// Whether only features have it.
    features: bool,
}

#[rustfmt::skip] // a table: one line per header
const HEADERS: [Header; 9] = [
    Header { name: "ETag", fr: "Étiquette de la réponse, pour « If-None-Match »", en: "Tag of the answer, for \"If-None-Match\"", kind: "string", features: false },
    Header { name: "X-Request-Id", fr: "Identifiant de la requête, celui du journal", en: "Id of the request, as in the log", kind: "string", features: false },
    Header { name: "Socle-Stale", fr: "Secondes depuis que le magasin n'a plus confirmé que la réponse est la dernière ; absent quand il répond", en: "Seconds since the store last confirmed that the answer is the latest; absent while it answers", kind: "integer", features: false },
    Header { name: "Socle-Territory-Notice", fr: "Comment d'anciens codes ont été compris", en: "How old codes were understood", kind: "string", features: false },
    Header { name: "Link", fr: "Les liens du document (RFC 8288)", en: "The links of the document (RFC 8288)", kind: "string", features: true },
    Header { name: "Content-Crs", fr: "Système de coordonnées des géométries", en: "CRS of the geometries", kind: "string", features: true },
    Header { name: "OGC-NumberMatched", fr: "Entités qui répondent à la requête, si leur nombre est connu", en: "Features that match the request, where their number is known", kind: "integer", features: true },
    Header { name: "OGC-NumberReturned", fr: "Entités de cette page", en: "Features of this page", kind: "integer", features: true },
    Header { name: "Socle-Border-Missing", fr: "Communes que la limite de découpage n'a pas", en: "Communes that the border to cut at lacks", kind: "integer", features: true },
];

fn headers(visit: &Visit) -> Value {
    let described = HEADERS.iter().map(|h| {
        let about = json!({ "description": visit.words(h.fr, h.en), "schema": { "type": h.kind } });
        (h.name.to_owned(), about)
    });
    Value::Object(described.collect())
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
    let mut features = operation(&format!("{id}.getFeatures"), title, &literal, PAGE, GEO);
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

fn query_parameter(name: &str, description: &str, schema: Value) -> Value {
    json!({
        "name": name, "in": "query", "description": description, "required": false,
        "style": "form", "explode": false, "schema": schema,
    })
}

fn parameters(visit: &Visit) -> Value {
    let p = |name: &str, fr: &'static str, en: &'static str, schema: Value| {
        query_parameter(name, visit.words(fr, en), schema)
    };
    let territory = json!({ "type": "array", "minItems": 1, "maxItems": super::scope::MAX_TERRITORIES, "items": { "type": "string" } });
    let numbers =
        json!({ "type": "array", "minItems": 4, "maxItems": 6, "items": { "type": "number" } });
    let crs =
        json!({ "type": "string", "format": "uri", "enum": System::uris(None), "default": CRS84 });
    let levels: Vec<&str> =
        crate::model::Level::every().into_iter().map(crate::model::Level::id).collect();
    json!({
        "limit": p(name::LIMIT, "Nombre d'entités par page", "Features per page", json!({ "type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT })),
        "bbox": p(name::BBOX, "Emprise : ouest, sud, est, nord", "Box: west, south, east, north", numbers),
        "datetime": p(name::DATETIME, "Instant ou intervalle RFC 3339", "RFC 3339 instant or interval", json!({ "type": "string" })),
        "crs": p(name::CRS, "Système de coordonnées de la réponse", "CRS of the answer", crs.clone()),
        "bbox-crs": p(name::BBOX_CRS, "Système de coordonnées de l'emprise", "CRS of the box", crs),
        "offset": p(name::OFFSET, "Entités à sauter", "Features to skip", json!({ "type": "integer", "minimum": 0, "default": 0 })),
        "cursor": p(name::CURSOR, "Suite d'une page, donnée par son lien « next »", "Where a page goes on, from its \"next\" link", json!({ "type": "string" })),
        "territory": p(name::TERRITORY, "Territoires (dep:59, epci:200093201…), vingt au plus", "Territories (dep:59, epci:200093201…), twenty at most", territory.clone()),
        "territoire": p(name::TERRITOIRE, "Comme « territory »", "Same as \"territory\"", territory),
        "territory-mode": p(name::MODE, "Concerne le territoire, y est contenu, ou est découpé à sa limite", "Concerns the territory, is within it, or is cut at its border", json!({ "type": "string", "enum": ["concerns", "within", "clip"], "default": "concerns" })),
        "filter": p(name::FILTER, "Filtre CQL2, par exemple : population > 10000 AND nom LIKE 'Saint-%'", "CQL2 filter, for example: population > 10000 AND nom LIKE 'Saint-%'", json!({ "type": "string", "maxLength": cql2::MAX_BYTES })),
        "filter-lang": p(name::FILTER_LANG, "Écriture du filtre", "How the filter is written", json!({ "type": "string", "enum": cql2::Dialect::NAMES, "default": cql2::Dialect::NAMES[0] })),
        "filter-crs": p(name::FILTER_CRS, "Système de coordonnées des géométries du filtre", "CRS of the geometries in the filter", json!({ "type": "string", "format": "uri", "default": CRS84 })),
        "resultType": p("resultType", "« hits » : seulement le nombre", "\"hits\": only the number", json!({ "type": "string", "enum": ["results", "hits"], "default": "results" })),
        "f": p(name::F, "Format de la réponse", "Format of the answer", json!({ "type": "string", "enum": ["json", "html"] })),
        "export-format": p(name::F, "Format du fichier ; sans lui, la liste des formats", "Format of the file; without it, the list of formats", json!({ "type": "string", "enum": FORMATS.iter().map(|k| k.id).collect::<Vec<_>>() })),
        "export-crs": p(name::CRS, "Système de coordonnées du fichier (EPSG:2154…) ; sans lui, le système légal du territoire", "CRS of the file (EPSG:2154…); without it, the territory's legal one", json!({ "type": "string" })),
        "decimal": p("decimal", "Marque décimale du CSV", "Decimal mark of CSV", json!({ "type": "string", "enum": ["point", "comma"], "default": "point" })),
        "geometry": p("geometry", "Géométrie dans un tableau (CSV, XLSX)", "Geometry in a table (CSV, XLSX)", json!({ "type": "string", "enum": ["none", "wkt", "point"], "default": "none" })),
        "collections": p(name::COLLECTIONS, "Couches, séparées par des virgules ; toutes sans ce paramètre", "Layers, separated by commas; all without it", json!({ "type": "array", "minItems": 1, "items": { "type": "string" } })),
        "columns": p("collections", "Couches, ou couche:propriété", "Layers, or layer:property", json!({ "type": "array", "minItems": 1, "maxItems": crate::stats::MAX_COLUMNS, "items": { "type": "string" } })),
        "show": p("show", "Oui ou non, ou le nombre d'entités", "Yes or no, or the number of features", json!({ "type": "string", "enum": ["presence", "count"], "default": "presence" })),
        "table-f": p(name::F, "Format de la réponse", "Format of the answer", json!({ "type": "string", "enum": ["json", "csv", "xlsx", "html"] })),
        "page": p("page", "Page du flux", "Page of the feed", json!({ "type": "integer", "minimum": 1, "default": 1 })),
        "by": p("by", "Niveau de territoire des lignes", "Territory level of the rows", json!({ "type": "string", "enum": levels })),
        "metric": p("metric", "Mesures : count, sum:propriété, avg:, min:, max:, distinct:", "Measures: count, sum:property, avg:, min:, max:, distinct:", json!({ "type": "string", "default": "count" })),
        "share": p("share", "Valeurs des entités sur plusieurs territoires : au principal, au prorata de la surface, entières dans chacun", "Values of features on several territories: to the main one, by area, whole in each", json!({ "type": "string", "enum": ["main", "area", "none"] })),
        "sort": p("sort", "Colonne de tri, précédée de « - » pour l'ordre décroissant", "Column to sort by, after \"-\" from the largest", json!({ "type": "string", "default": "code" })),
        "separator": p("separator", "Séparateur du CSV", "Separator of CSV", json!({ "type": "string", "enum": ["semicolon", "comma", "tab"], "default": "semicolon" })),
        "bom": p("bom", "Marque d'ordre des octets en tête du CSV, pour Excel", "Byte order mark first in CSV, for Excel", json!({ "type": "boolean", "default": true })),
        "territory-f": p(name::F, "Format de la réponse", "Format of the answer", json!({ "type": "string", "enum": ["json", "geojson", "html"] })),
        "stats-f": p(name::F, "Format de la réponse", "Format of the answer", json!({ "type": "string", "enum": ["json", "csv", "geojson", "html"] })),
        "q": p(territories::KNOWN[0], "Nom ou code postal", "Name or postal code", json!({ "type": "string", "maxLength": 200 })),
        "vintage": p(territories::VINTAGE, "Année des codes de « territory » ; pour une fiche, celle du dernier périmètre d'un EPCI dissous", "Year of the codes in \"territory\"; of a territory's own page, that of the last perimeter of a dissolved EPCI", json!({ "type": "integer", "minimum": 1943 })),
        "level": p(territories::KNOWN[1], "Niveau de territoire", "Territory level", json!({ "type": "string", "enum": levels })),
        "territories-limit": p(name::LIMIT, "Nombre de résultats", "Number of results", json!({ "type": "integer", "minimum": 1, "maximum": 100, "default": 20 })),
    })
}

/// What is shown of features, and in which order.
fn of_views(visit: &Visit) -> Value {
    let p = |name: &str, fr: &'static str, en: &'static str, schema: Value| {
        query_parameter(name, visit.words(fr, en), schema)
    };
    json!({
        "properties": p(name::PROPERTIES, "Champs montrés, séparés par des virgules ; tous sans ce paramètre", "Properties shown, separated by commas; all without it", json!({ "type": "array", "items": { "type": "string" } })),
        "skipGeometry": p(name::SKIP_GEOMETRY, "Sans géométrie", "Without geometry", json!({ "type": "boolean", "default": false })),
        "sortby": p(name::SORTBY, "Champs de tri, chacun précédé de « - » pour l'ordre décroissant", "Properties to sort by, each after \"-\" for descending order", json!({ "type": "array", "minItems": 1, "maxItems": 4, "items": { "type": "string" } })),
    })
}

/// The shared parameters.
fn all_parameters(visit: &Visit) -> Value {
    let mut all = parameters(visit);
    if let (Value::Object(all), Value::Object(more)) = (&mut all, of_views(visit)) {
        all.extend(more);
    }
    all
}

fn problem_response(visit: &Visit) -> Value {
    let kinds: Vec<String> = KINDS
        .iter()
        .map(|k| format!("{} ({})", k.title(visit.lang()), k.status.as_u16()))
        .collect();
    let intro = text!("Problème", "Problem");
    json!({
        "description": format!("{} : {}", visit.say(&intro), kinds.join(", ")),
        "content": { media::PROBLEM: { "schema": { "$ref": "#/components/schemas/problem" } } },
    })
}

fn schemas() -> Value {
    json!({
        "document": { "type": "object" },
        "text": { "type": "string" },
        "binary": { "type": "string", "format": "binary" },
        "featureGeoJSON": {
            "type": "object",
            "required": ["type", "geometry", "properties"],
            "properties": {
                "type": { "type": "string", "enum": ["Feature"] },
                "id": { "oneOf": [{ "type": "string" }, { "type": "integer" }] },
                "geometry": { "type": "object", "nullable": true },
                "properties": { "type": "object", "nullable": true },
            },
        },
        "featureCollectionGeoJSON": {
            "type": "object",
            "required": ["type", "features"],
            "properties": {
                "type": { "type": "string", "enum": ["FeatureCollection"] },
                "features": { "type": "array", "items": { "$ref": "#/components/schemas/featureGeoJSON" } },
                "numberMatched": { "type": "integer", "minimum": 0 },
                "numberReturned": { "type": "integer", "minimum": 0 },
                "timeStamp": { "type": "string", "format": "date-time" },
            },
        },
        "problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": { "type": "string", "format": "uri" },
                "title": { "type": "string" },
                "status": { "type": "integer" },
                "detail": { "type": "string" },
                "instance": { "type": "string" },
                "request_id": { "type": "string" },
            },
        },
    })
}
