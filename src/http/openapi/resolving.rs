//! The one operation with a body: a table put on today's territories.

use super::examples::Sample;
use crate::{
    http::{links::media, params::name, router::path, visit::Visit},
    resolve::Kind,
    text,
};
use serde_json::{Value, json};

/// `POST /territories/resolve`
pub(super) fn operation(visit: &Visit, sample: &Sample) -> Value {
    let words = text!(
        "Une table, portée sur les territoires d'aujourd'hui",
        "A table, put on today's territories"
    );
    let types = [media::JSON, media::CSV, Kind::Xlsx.media(), media::HTML];
    let mut operation =
        super::operation("resolveTable", visit.say(&words), path::RESOLVE, &[], &types, sample);
    operation["parameters"] = parameters(visit);
    let binary = json!({ "type": "string", "format": "binary" });
    operation["requestBody"] = json!({
        "required": true,
        "content": {
            "text/csv": { "schema": { "type": "string" } },
            Kind::Xlsx.media(): { "schema": binary },
            media::JSON: { "schema": { "type": "array", "items": { "type": "object" } } },
            "multipart/form-data": { "schema": {
                "type": "object",
                "properties": { "file": binary, "table": { "type": "string" } },
            } },
        },
    });
    operation
}

#[rustfmt::skip] // a table: one line per parameter
fn parameters(visit: &Visit) -> Value {
    let p = |name: &str, fr: &'static str, en: &'static str, schema: Value| {
        json!({ "name": name, "in": "query", "description": visit.words(fr, en), "required": false, "schema": schema })
    };
    let text = || json!({ "type": "string" });
    Value::Array(vec![
        p("code", "Colonne des codes de commune ; reconnue sans ce paramètre", "Column of commune codes; recognised without it", text()),
        p("name", "Colonne des noms de commune", "Column of commune names", text()),
        p("department", "Colonne des départements, qui va avec les noms", "Column of départements, which goes with the names", text()),
        p("lon", "Colonne des longitudes", "Column of longitudes", text()),
        p("lat", "Colonne des latitudes", "Column of latitudes", text()),
        p("x", "Colonne des x, dans le CRS donné", "Column of x, in the CRS given", text()),
        p("y", "Colonne des y", "Column of y", text()),
        p(name::CRS, "CRS des coordonnées : EPSG:2154… ; degrés sans ce paramètre", "CRS of the coordinates: EPSG:2154…; degrees without it", text()),
        p("nearest", "Mètres jusqu'à la commune la plus proche, pour ce qui est hors de toutes", "Metres to the nearest commune, for what lies outside all", json!({ "type": "integer", "minimum": 0, "maximum": 100_000 })),
        p("vintage", "Millésime des codes, s'il est connu", "Vintage of the codes, when known", json!({ "type": "integer" })),
        p("add", "À ajouter : un niveau (epci, dep, qpv…), « niveau:nom », « couche:propriété »", "To add: a level (epci, dep, qpv…), \"level:name\", \"layer:property\"", json!({ "type": "array", "items": text() })),
        p(name::F, "Format de la réponse ; celui de la table sans ce paramètre", "Format of the answer; that of the table without it", json!({ "type": "string", "enum": ["csv", "xlsx", "json", "html", "same"] })),
    ])
}
