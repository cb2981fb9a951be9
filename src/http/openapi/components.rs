//! What operations share: parameters, headers, schemas, the problem.

use super::{
    super::{
        changes, collections::CRS84, items::form, links::media, params::name, problem::KINDS,
        router::path, scope, territories, tiles, visit::Visit,
    },
    examples::Sample,
};
use crate::{
    exports::FORMATS,
    items::System,
    model::tile_id::MAX_ZOOM,
    query::{DEFAULT_LIMIT, MAX_LIMIT, cql2},
    text,
};
use serde_json::{Value, json};

/// A header of answers.
pub(super) struct Header {
    pub(super) name: &'static str,
    fr: &'static str,
    en: &'static str,
    kind: &'static str,
    /// Whether only features have it.
    pub(super) features: bool,
}

#[rustfmt::skip] // a table: one line per header
pub(super) const HEADERS: [Header; 9] = [
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

pub(super) fn headers(visit: &Visit) -> Value {
    let described = HEADERS.iter().map(|h| {
        let about = json!({ "description": visit.words(h.fr, h.en), "schema": { "type": h.kind } });
        (h.name.to_owned(), about)
    });
    Value::Object(described.collect())
}

pub(super) fn query_parameter(name: &str, description: &str, schema: Value) -> Value {
    json!({
        "name": name, "in": "query", "description": description, "required": false,
        "style": "form", "explode": false, "schema": schema,
    })
}

/// The same of one without which there is no answer.
fn required(mut parameter: Value) -> Value {
    parameter["required"] = json!(true);
    parameter
}

fn parameters(visit: &Visit) -> Value {
    let p = |name: &str, fr: &'static str, en: &'static str, schema: Value| {
        query_parameter(name, visit.words(fr, en), schema)
    };
    let territory = json!({ "type": "array", "minItems": 1, "maxItems": scope::MAX_TERRITORIES, "items": { "type": "string" } });
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
        "by": required(p("by", "Niveau de territoire des lignes", "Territory level of the rows", json!({ "type": "string", "enum": levels }))),
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

/// What is shown of features, in which order and format.
fn of_views(visit: &Visit) -> Value {
    let p = |name: &str, fr: &'static str, en: &'static str, schema: Value| {
        query_parameter(name, visit.words(fr, en), schema)
    };
    json!({
        "since": required(p(changes::SINCE, "Où en est la copie : version, jour ou instant", "Where the copy stands: a version, a day or a moment", json!({ "type": "string" }))),
        "until": p(changes::UNTIL, "Version à laquelle mènent les pages, donnée par le lien « next »", "Version that pages lead to, from the \"next\" link", json!({ "type": "string" })),
        "items-f": p(name::F, "Format de la page ; GeoJSON sans lui, ou celui que « Accept » préfère", "Format of the page; GeoJSON without it, or the one that \"Accept\" prefers", json!({ "type": "string", "enum": form::names() })),
        "properties": p(name::PROPERTIES, "Champs montrés, séparés par des virgules ; tous sans ce paramètre", "Properties shown, separated by commas; all without it", json!({ "type": "array", "items": { "type": "string" } })),
        "zoom-level": p(name::ZOOM_LEVEL, "Géométrie généralisée pour ce zoom (WebMercatorQuad)", "Geometry generalised for this zoom (WebMercatorQuad)", json!({ "type": "integer", "minimum": 0, "maximum": MAX_ZOOM })),
        "tile-f": p(name::F, "Format de la tuile ; GeoJSON : pour regarder dedans", "Format of the tile; GeoJSON: to look into it", json!({ "type": "string", "enum": tiles::Form::NAMES, "default": "mvt" })),
        "skipGeometry": p(name::SKIP_GEOMETRY, "Sans géométrie", "Without geometry", json!({ "type": "boolean", "default": false })),
        "labels": p(name::LABELS, "Avec les noms des entités", "With the names of features", json!({ "type": "boolean", "default": true })),
        "sortby": p(name::SORTBY, "Champs de tri, chacun précédé de « - » pour l'ordre décroissant", "Properties to sort by, each after \"-\" for descending order", json!({ "type": "array", "minItems": 1, "maxItems": 4, "items": { "type": "string" } })),
    })
}

/// The shared parameters.
pub(super) fn all_parameters(visit: &Visit, sample: &Sample) -> Value {
    let mut all = parameters(visit);
    if let (Value::Object(all), Value::Object(more)) = (&mut all, of_views(visit)) {
        all.extend(more);
        for (key, parameter) in all {
            if let Some(example) = sample.parameter(key) {
                parameter["example"] = example;
            }
        }
    }
    all
}

pub(super) fn problem_response(visit: &Visit) -> Value {
    let kinds: Vec<String> = KINDS
        .iter()
        .map(|k| format!("{} ({})", k.title(visit.lang()), k.status.as_u16()))
        .collect();
    let intro = text!("Problème :", "Problem:");
    json!({
        "description": format!("{} {}", visit.say(&intro), kinds.join(", ")),
        "content": {
            media::PROBLEM: {
                "schema": { "$ref": "#/components/schemas/problem" },
                "example": problem(visit),
            },
            media::HTML: { "schema": { "$ref": "#/components/schemas/text" } },
        },
    })
}

/// An example of a problem.
fn problem(visit: &Visit) -> Value {
    let kind = &KINDS[0];
    json!({
        "type": visit.url(&path::PROBLEM.trim_start_matches('/').replace("{kind}", kind.id)),
        "title": kind.title(visit.lang()),
        "status": kind.status.as_u16(),
        "detail": visit.words(
            "Paramètre « limit » : « tous » n'est pas un entier positif ou nul.",
            "Parameter \"limit\": \"tous\" is not a non-negative whole number.",
        ),
    })
}

pub(super) fn schemas() -> Value {
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
