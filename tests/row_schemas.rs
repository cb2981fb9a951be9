//! Rows against Table Schemas, from outside: what is refused or told, with which words, and that a
//! delivery without a column it must have changes nothing.

use crate::support::{Site, python, said, shared, tool};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path};

over_both!(
    rows_that_do_not_follow_their_schema_are_refused_or_told_of,
    rows_that_do_not_follow_a_json_schema_are_refused_as_another_validator_would,
);

const SCHEMA: &str = r#"{"name": "lieux", "fields": [
    {"name": "id", "type": "string", "constraints": {"required": true, "pattern": "\\d{3}"}},
    {"name": "insee", "type": "string", "constraints": {"pattern": "^([013-9]\\d|2[AB1-9])\\d{3}$"}},
    {"name": "places", "type": "integer", "constraints": {"minimum": 0}},
    {"name": "maj", "type": "date"}]}"#;

const ROWS: &str = "id;insee;places;maj;lon;lat
001;59350;10;2024-02-29;3.06;50.63
002;5935;-1;2024-02-29;3.07;50.63
003;59350;10;29 février;3.08;50.63
";

fn rows_that_do_not_follow_their_schema_are_refused_or_told_of() {
    let site = Site::new();
    fs::write(site.path("lieux.csv"), ROWS).unwrap();
    fs::write(site.path("layers/lieux.json"), SCHEMA).unwrap();
    let declare = |rows: &str| {
        let schema = format!("[schema]\nfile = \"lieux.json\"\nrows = \"{rows}\"");
        let rest = format!("key = \"id\"\n{schema}\n[source]\npath = \"../lieux.csv\"");
        site.layer("lieux", &rest);
    };
    declare("refuse");
    let text = site.harvest();
    assert!(text.contains("lues 3 · gardées 1 · refusées 2"), "{text}");
    let server = site.serve();
    let page = server.json("/collections/lieux/items");
    assert_eq!(page["features"][0]["id"], "001", "a text whatever it looks like");
    assert_eq!(page["numberMatched"], 1);
    let versions = server.json("/collections/lieux/versions");
    let id = versions["versions"][0]["id"].as_str().unwrap().to_owned();
    let report = server.json(&format!("/collections/lieux/versions/{id}/report"));
    let refusals = report["report"]["refusals"].as_array().unwrap();
    let told: Vec<(u64, &str)> = refusals
        .iter()
        .map(|r| (r["line"].as_u64().unwrap(), r["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [(3, "schema"), (4, "schema")], "{report}");
    let words = refusals[0]["text"].to_string();
    assert!(words.contains("« insee » : la forme attendue") && words.contains("sous 0"), "{words}");
    // Other rules are another way of reading the same source.
    declare("tell");
    let text = site.harvest();
    assert!(text.contains("lues 3 · gardées 3"), "{text}");
    assert!(
        text.contains("Schéma lieux : « maj » : valeurs d'un autre type : 1 (lignes 4)"),
        "{text}"
    );
    // Without a column that must be there, what is published stays.
    declare("refuse");
    assert!(site.run(&["harvest", "--force"]).status.success());
    fs::write(site.path("lieux.csv"), ROWS.replace("id;", "identifiant;")).unwrap();
    let output = site.run(&["harvest"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("colonnes obligatoires absentes : id"), "{text}");
    assert_eq!(server.json("/collections/lieux/items")["numberMatched"], 1);
    // A schema that is none is refused at start, by its line.
    fs::write(
        site.path("layers/lieux.json"),
        "{\"fields\": [{\"name\": \"a\", \"type\": \"texte\"}]}",
    )
    .unwrap();
    let text = said(&site.run(&["check"]));
    assert!(text.contains("lieux.toml:") && text.contains("texte"), "{text}");
}

const JSON_SCHEMA: &str = r##"{
    "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Lieux",
    "required": ["nom", "code"],
    "properties": {
        "code": {"type": "string", "pattern": "^(?!00)\\d{5}$"},
        "n": {"type": "integer", "minimum": 0, "exclusiveMaximum": 90, "multipleOf": 3},
        "taux": {"type": "number", "maximum": 1},
        "statut": {"type": ["string", "null"], "enum": ["ouvert", "fermé", null]},
        "nom": {"type": "string", "minLength": 2, "maxLength": 8},
        "jour": {"type": "string", "format": "date"},
        "tags": {"type": "array", "minItems": 1, "uniqueItems": true, "items": {"enum": ["a", "b", "c"]}},
        "contact": {"$ref": "#/$defs/contact"},
        "geometry": {"properties": {"type": {"const": "Point"}}}},
    "if": {"properties": {"statut": {"const": "fermé"}}, "required": ["statut"]},
    "then": {"required": ["jour"]},
    "$defs": {"contact": {"type": "object", "required": ["mail"], "additionalProperties": false,
        "properties": {"mail": {"type": "string"}, "tel": {"type": "string", "pattern": "^0"}}}}
}"##;

/// Features whose values follow that schema or not, always the same.
fn by_chance(count: u64) -> Vec<Value> {
    let mut state = 42_u64;
    let mut below = move |n: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let one = |id: u64| {
        let mut pick = |of: &[Value]| of[below(of.len())].clone();
        let properties = json!({
            "id": id,
            "code": pick(&[json!("59350"), json!("62041"), json!("02691"), json!("2691"), json!("00123"), json!("59a50")]),
            "n": pick(&[json!(0), json!(3), json!(87), json!(-3), json!(90), json!(4), json!(null)]),
            "taux": pick(&[json!(0.5), json!(1.0), json!(1.5), json!(null)]),
            "statut": pick(&[json!("ouvert"), json!("fermé"), json!(null), json!("ailleurs")]),
            "nom": pick(&[json!("Été"), json!("Lieu"), json!("x"), json!("beaucoup trop long"), json!(null)]),
            "jour": pick(&[json!("2024-02-29"), json!("2023-02-29"), json!(null), json!("2024-06-01")]),
            "tags": pick(&[json!(["a"]), json!(["a", "b"]), json!(["a", "a"]), json!([]), json!(["z"]), json!(null)]),
            "contact": pick(&[json!({"mail": "x"}), json!({"mail": "x", "tel": "06"}), json!({"tel": "+33"}), json!({"mail": "x", "fax": "1"}), json!(null)]),
        });
        let at = 3.0 + id as f64 / 1000.0;
        let geometry = pick(&[
            json!({"type": "Point", "coordinates": [at, 50.5]}),
            json!({"type": "Point", "coordinates": [at, 50.6]}),
            json!({"type": "LineString", "coordinates": [[at, 50.5], [at, 50.7]]}),
        ]);
        json!({ "type": "Feature", "properties": properties, "geometry": geometry })
    };
    (1..=count).map(one).collect()
}

/// How often each property is at fault, and which rows follow the schema, by Python's jsonschema.
fn by_python(site: &Site) -> Option<(BTreeMap<String, u64>, Vec<u64>)> {
    let python = python("jsonschema")?;
    let script = r#"
import json, sys
from collections import Counter
from jsonschema import Draft202012Validator, FormatChecker
schema = json.load(open(sys.argv[1], encoding="utf-8"))
judge = Draft202012Validator(schema, format_checker=FormatChecker(formats=["date"]))
faults, good = Counter(), []
for feature in json.load(open(sys.argv[2], encoding="utf-8"))["features"]:
    row = {k: v for k, v in feature["properties"].items() if v is not None or k == "statut"}
    row["geometry"] = feature["geometry"]
    errors = list(judge.iter_errors(row))
    for e in errors:
        place = e.absolute_path[0] if e.absolute_path else e.message.split("'")[1]
        faults[place] += 1
    if not errors:
        good.append(feature["properties"]["id"])
print(json.dumps([faults, good]))
"#;
    let at = |name: &str| site.path(name).to_str().unwrap().to_owned();
    let out = tool(&python, &["-c", script, &at("layers/lieux.json"), &at("lieux.geojson")]);
    Some(serde_json::from_str(&out).unwrap())
}

fn rows_that_do_not_follow_a_json_schema_are_refused_as_another_validator_would() {
    let site = Site::new();
    let all = json!({ "type": "FeatureCollection", "features": by_chance(400) });
    fs::write(site.path("lieux.geojson"), all.to_string()).unwrap();
    fs::write(site.path("layers/lieux.json"), JSON_SCHEMA).unwrap();
    site.layer(
        "lieux",
        "key = \"id\"\n[schema]\nfile = \"lieux.json\"\n[source]\npath = \"../lieux.geojson\"",
    );
    site.harvest();
    let server = site.serve();
    let page = server.json("/collections/lieux/items?limit=1000");
    let kept: Vec<u64> = page["features"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["properties"]["id"].as_u64().unwrap())
        .collect();
    let versions = server.json("/collections/lieux/versions");
    let id = versions["versions"][0]["id"].as_str().unwrap().to_owned();
    let report = server.json(&format!("/collections/lieux/versions/{id}/report"));
    // « nom » : … : 12 (lignes …
    let mut faults: BTreeMap<String, u64> = BTreeMap::new();
    for note in report["report"]["notes"].as_array().unwrap() {
        let words = note.as_str().or(note["fr"].as_str()).unwrap_or_default();
        let Some(rest) = words.strip_prefix("Schéma Lieux : « ") else { continue };
        let (name, rest) = rest.split_once(" » : ").unwrap();
        let count = rest.rsplit_once(" (lignes").unwrap().0.rsplit_once(" : ").unwrap().1;
        *faults.entry(name.to_owned()).or_default() += count.parse::<u64>().unwrap();
    }
    assert!(faults.len() == 9 && !kept.is_empty(), "{faults:?} {kept:?}\n{report}");
    if let Some((theirs, good)) = by_python(&site) {
        assert_eq!((faults, kept), (theirs, good));
    }
    // What needs anything from elsewhere is refused at start: nothing is fetched.
    fs::write(
        site.path("layers/lieux.json"),
        r#"{"properties": {"a": {"$ref": "https://example.fr/a.json"}}}"#,
    )
    .unwrap();
    let text = said(&site.run(&["check"]));
    assert!(text.contains("lieux.toml:") && text.contains("example.fr/a.json"), "{text}");
}

/// Each JSON file below a folder.
fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false if path.extension().is_some_and(|e| e == "json") => found.push(path),
            false => {}
        }
    }
}

#[test]
fn schemas_of_data_gouv_fr_are_read_and_take_their_own_examples() {
    let Some(folder) = shared("schemas-datagouv") else { return };
    let mut found = Vec::new();
    files(&folder, &mut found);
    let mut seen = 0;
    for path in found {
        let json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let Some(fields) = json["fields"].as_array() else { continue };
        seen += 1;
        // One row, of the examples that the schema gives of each column.
        let example = |f: &serde_json::Value| match &f["example"] {
            serde_json::Value::String(words) => words.clone(),
            serde_json::Value::Null => String::new(),
            other => other.to_string(),
        };
        let cell = |words: &str| format!("\"{}\"", words.replace('"', "\"\""));
        let line = |of: &dyn Fn(&serde_json::Value) -> String| {
            fields.iter().map(|f| cell(&of(f))).collect::<Vec<_>>().join(",")
        };
        let head = line(&|f| f["name"].as_str().unwrap().to_owned());
        let site = Site::new();
        fs::write(site.path("a.csv"), format!("{head}\n{}\n", line(&example))).unwrap();
        let schema = format!("[schema]\nfile = {path:?}\nrows = \"tell\"");
        site.layer("a", &format!("{schema}\n[source]\npath = \"../a.csv\""));
        let text = said(&site.run(&["harvest"]));
        assert!(text.contains("lues 1"), "{}: {text}", path.display());
        println!(
            "{}: {}",
            path.display(),
            text.lines().filter(|l| l.contains("Schéma")).collect::<Vec<_>>().join("\n  ")
        );
    }
    assert!(seen > 5, "{seen}");
}
