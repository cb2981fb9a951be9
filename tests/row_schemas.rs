//! Rows against Table Schemas, from outside: what is refused or told, with which words, and that a
//! delivery without a column it must have changes nothing.

use crate::support::{Site, said, shared};
use std::{fs, path::Path};

over_both!(rows_that_do_not_follow_their_schema_are_refused_or_told_of);

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
