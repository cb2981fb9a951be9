//! Rows against schemas: what each rule takes and refuses, and what is told.

use super::*;
use crate::model::{Field, FieldKind};

fn schema(json: &str, refuses: bool) -> RowSchema {
    RowSchema { refuses, rules: RowRules::Table(serde_json::from_str(json).unwrap()) }
}

/// Rows of texts, an empty one being none.
fn rows(names: &[&str], cells: &[&[&str]]) -> Rows {
    let fields = names.iter().map(|n| Field { name: (*n).into(), kind: FieldKind::Text }).collect();
    let row = |(i, cells): (usize, &&[&str])| Checked {
        line: i as u64 + 2,
        values: cells.iter().map(|c| Value::Text((*c).into())).collect(),
        geometry: None,
        repaired: false,
    };
    let checked: Vec<Checked> = cells.iter().enumerate().map(row).collect();
    Rows::new(checked.into(), Schema { fields, ..Schema::default() })
}

/// The rows that a schema leaves.
fn checked(schema: &RowSchema, rows: Rows, report: &mut Report) -> Result<Vec<Checked>> {
    let spill = Spill::into(std::path::Path::new(""));
    let mut kept = Vec::new();
    check(schema, rows, &spill, report)?.drain(|batch| {
        kept.extend(batch);
        Ok(())
    })?;
    Ok(kept)
}

fn notes(report: &Report) -> String {
    report.notes.iter().map(|n| n.fr.as_str()).collect::<Vec<_>>().join("\n")
}

/// Whether one cell follows a field, given as the JSON of its keys but the name.
fn holds(field: &str, cell: &str) -> bool {
    let json = format!(r#"{{"fields": [{{"name": "a", {field}}}]}}"#);
    let (rows, mut report) = (rows(&["a"], &[&[cell]]), Report::default());
    let kept = checked(&schema(&json, true), rows, &mut report).unwrap().len();
    assert_eq!(kept as u64 + report.refused, 1);
    kept == 1
}

#[test]
fn types_and_formats() {
    for (field, good, bad) in [
        (r#""type": "integer""#, &["12", "-3", "+4"][..], &["1.0", "1e3", "x", "1 000"][..]),
        (r#""type": "integer", "groupChar": " ""#, &["1 000"], &["1,000"]),
        (r#""type": "integer", "bareNumber": false"#, &["95%", "€ 12"], &["x"]),
        (r#""type": "number""#, &["1.5", "1e3", "-2"], &["1,5", "inf", "nan"]),
        (r#""type": "number", "decimalChar": ",""#, &["1,5", "2"], &["1.5"]),
        (r#""type": "boolean""#, &["true", "FALSE", "1", "0"], &["oui", "vrai"]),
        (
            r#""type": "boolean", "trueValues": ["oui"], "falseValues": ["non"]"#,
            &["oui", "non"],
            &["true", "1"],
        ),
        (r#""type": "date""#, &["2024-02-29"], &["2023-02-29", "29/02/2024", "2024"]),
        (r#""type": "date", "format": "%d/%m/%Y""#, &["29/02/2024"], &["2024-02-29"]),
        (r#""type": "date", "format": "%Y""#, &["2024"], &["24-01", "-1", "24"]),
        (
            r#""type": "datetime""#,
            &["2024-02-29T10:00:00Z", "2024-02-29T10:00:00"],
            &["2024-02-29", "x"],
        ),
        (r#""type": "time""#, &["10:30:00"], &["25:00:00", "10h30"]),
        (r#""type": "year""#, &["2024"], &["MMXXIV", "20245678"]),
        (r#""type": "yearmonth""#, &["2024-02"], &["2024-13", "2024"]),
        (r#""type": "duration""#, &["P1Y2M", "PT3H"], &["3 h"]),
        (r#""type": "geopoint""#, &["3.06, 50.63"], &["3.06", "50,95"]),
        (r#""type": "geopoint", "format": "array""#, &["[3.06, 50.63]"], &["3.06, 50.63", "[1]"]),
        (r#""type": "array""#, &["[1, 2]"], &["1, 2", "{}"]),
        (r#""type": "object""#, &["{}"], &["[]", "x"]),
        (
            r#""type": "string", "format": "email""#,
            &["sig@ville.fr"],
            &["sig", "a@b@c", "a b@c.fr", "a@"],
        ),
        (
            r#""type": "string", "format": "uri""#,
            &["https://ville.fr/a", "urn:x:y"],
            &["ville.fr", "https://", "a b:c"],
        ),
        (
            r#""type": "string", "format": "uuid""#,
            &["123e4567-e89b-12d3-a456-426614174000"],
            &["123e4567"],
        ),
        (r#""type": "any""#, &["x", "1"], &[]),
    ] {
        good.iter().for_each(|cell| assert!(holds(field, cell), "{field}: {cell}"));
        bad.iter().for_each(|cell| assert!(!holds(field, cell), "{field}: {cell}"));
    }
}

#[test]
fn constraints() {
    for (field, good, bad) in [
        (r#""constraints": {"required": true}"#, &["x"][..], &[""][..]),
        (
            r#""constraints": {"required": false, "minLength": 2, "maxLength": 3}"#,
            &["", "éé", "abc"],
            &["a", "abcd"],
        ),
        (
            r#""type": "number", "constraints": {"minimum": -180, "maximum": "180"}"#,
            &["-180", "180"],
            &["-180.1", "181"],
        ),
        (
            r#""type": "date", "constraints": {"minimum": "2024-01-01"}"#,
            &["2024-01-01"],
            &["2023-12-31"],
        ),
        (r#""constraints": {"pattern": "[0-9]{2}|x"}"#, &["59", "x"], &["590", "ax"]),
        (
            r#""constraints": {"pattern": "^([013-9]\\d|2[AB1-9])\\d{3}$"}"#,
            &["59350", "2A004"],
            &["5935", "20004"],
        ),
        (r#""constraints": {"pattern": "^[a-z\\-\\–\\«\\s]+$"}"#, &["a-–« b"], &["é", "\\"]),
        (r#""constraints": {"enum": ["Parking", "Gare"]}"#, &["Gare"], &["gare"]),
        (r#""type": "number", "constraints": {"enum": [1, 2.5]}"#, &["1.0", "2.50"], &["3"]),
    ] {
        good.iter().for_each(|cell| assert!(holds(field, cell), "{field}: {cell}"));
        bad.iter().for_each(|cell| assert!(!holds(field, cell), "{field}: {cell}"));
    }
}

#[test]
fn values_that_readers_typed_are_judged_alike() {
    let json = r#"{"fields": [{"name": "a", "type": "integer", "constraints": {"maximum": 9}},
        {"name": "b", "type": "date", "format": "%d/%m/%Y"}, {"name": "c", "type": "boolean"},
        {"name": "d", "constraints": {"pattern": "\\d"}}]}"#;
    let names = ["a", "b", "c", "d"];
    let date = || Value::Date(jiff::civil::date(2024, 2, 29));
    let typed = [
        vec![Value::Int(9), date(), Value::Bool(true), Value::Int(1)],
        vec![Value::Float(9.5), date(), Value::Int(2), Value::Int(12)],
    ];
    let row = |(line, values)| Checked { line, values, geometry: None, repaired: false };
    let typed: Vec<Checked> = (2..).zip(typed).map(row).collect();
    let rows = Rows::new(typed.into(), rows(&names, &[]).schema);
    let mut report = Report::default();
    let kept = checked(&schema(json, false), rows, &mut report).unwrap();
    let told = notes(&report);
    for column in ["« a » : valeurs d'un autre type : 1 (lignes 3)", "« c »", "« d »"] {
        assert!(told.contains(column), "{told}");
    }
    assert!(!told.contains("« b »"), "{told}");
    assert_eq!((report.refused, kept.len()), (0, 2), "only told");
}

#[test]
fn rows_refer_to_rows_of_their_table() {
    let json = r#"{"fields": [{"name": "dep"}, {"name": "id"}, {"name": "parent"}],
        "foreignKeys": [{"fields": ["dep", "parent"],
                         "reference": {"resource": "", "fields": ["dep", "id"]}}]}"#;
    let cells: &[&[&str]] =
        &[&["59", "1", ""], &["59", "2", "1"], &["62", "3", "1"], &["62", "4", "4"]];
    let (taken, mut report) = (rows(&["dep", "id", "parent"], cells), Report::default());
    let kept = checked(&schema(json, true), taken, &mut report).unwrap();
    let kept: Vec<u64> = kept.iter().map(|r| r.line).collect();
    assert_eq!(kept, [2, 3, 5], "{:?}", report.refusals);
    assert_eq!(report.refusals[0].text.fr, "« dep » : aucune ligne n'a cette valeur dans dep, id.");
    assert!(!notes(&report).contains("foreignKeys"), "{}", notes(&report));
}

/// Rows of texts judged by a JSON Schema; the lines kept, and the report.
fn judged(json: &str, names: &[&str], cells: &[&[&str]]) -> (Vec<u64>, Report) {
    let taken = rows(names, cells);
    let (fields, mut blank) = (taken.schema.clone(), Vec::new());
    taken
        .drain(|batch| {
            blank.extend(batch);
            Ok(())
        })
        .unwrap();
    for value in blank.iter_mut().flat_map(|row| &mut row.values) {
        if matches!(value, Value::Text(words) if words.is_empty()) {
            *value = Value::Null;
        }
    }
    let taken = Rows::new(blank.into(), fields);
    let json = crate::model::JsonSchema(serde_json::from_str(json).unwrap());
    let schema = RowSchema { refuses: true, rules: RowRules::Json(json) };
    let mut report = Report::default();
    let kept = checked(&schema, taken, &mut report).unwrap();
    (kept.iter().map(|r| r.line).collect(), report)
}

#[test]
fn a_json_schema_refuses_with_line_column_value_and_reason() {
    let json = r##"{"title": "Lieux", "required": ["nom"], "properties": {
        "nom": {"type": "string", "maxLength": 4},
        "n": {"type": "integer", "minimum": 0},
        "note": {"$ref": "#/$defs/note"}},
        "$defs": {"note": {"type": ["number", "null"], "maximum": 5}}}"##;
    let cells: &[&[&str]] = &[
        &["Un", "1", "2.5"],
        &["", "1", ""],
        &["Longue", "-1", ""],
        &["Deux", "un", "6"],
        &["12", "", ""],
    ];
    let (kept, report) = judged(json, &["nom", "n", "note"], cells);
    assert_eq!(kept, [2, 6], "a text whatever it looks like: {:?}", report.refusals);
    let [missing, long, other] = &report.refusals[..] else { panic!("{:?}", report.refusals) };
    assert_eq!((missing.line, missing.column.as_deref(), &missing.value), (3, Some("nom"), &None));
    assert_eq!(missing.text.fr, "« nom » : valeur obligatoire absente.");
    assert!(long.text.fr.contains("au plus 4 caractères") && long.text.fr.contains("sous 0"));
    assert!(long.text.en.contains("at most 4 characters"), "{}", long.text.en);
    assert!(other.text.fr.contains("type attendu : integer"), "{}", other.text.fr);
    let told = notes(&report);
    assert!(told.contains("Schéma Lieux : « n » : la valeur est sous 0 : 1 (lignes 4)"), "{told}");
}

#[test]
fn a_json_schema_of_features_sees_geometry() {
    let json = r#"{"properties": {"type": {"const": "Feature"},
        "properties": {"properties": {"nom": {"type": "string"}}, "additionalProperties": false},
        "geometry": {"type": "object"}}}"#;
    let (kept, report) = judged(json, &["nom", "plus"], &[&["a", ""], &["b", "x"]]);
    assert!(kept.is_empty());
    let said: Vec<&str> = report.refusals.iter().map(|r| r.text.fr.as_str()).collect();
    assert!(
        said.iter().all(|words| words.contains("« geometry » : type attendu : object")),
        "{said:?}"
    );
    assert!(said[1].contains("propriétés non admises : plus"), "{said:?}");
}

#[test]
fn columns_rows_and_keys() {
    let json = r#"{"name": "essai", "missingValues": ["", "NA"], "primaryKey": ["id"],
        "fields": [{"name": "id"}, {"name": "nom", "constraints": {"unique": true, "required": true}},
                   {"name": "siret"}, {"name": "absente"}],
        "foreignKeys": [{"fields": "id", "reference": {"resource": "autre", "fields": "id"}}],
        "custom_checks": [{"name": "french-siret-value", "params": {"column": "siret"}},
                          {"name": "opening-hours-value", "params": {"column": "nom"}}]}"#;
    let cells: &[&[&str]] = &[
        &["1", "A", "21590350100017", "x"],
        &["1", "B", "NA", "x"],
        &["2", "A", "", "x"],
        &["3", "NA", "", "x"],
        &["4", "C", "21590350100018", "x"],
        &["5", "D", "35600000049837", "x"],
    ];
    let (taken, mut report) = (rows(&["id", "nom", "siret", "plus"], cells), Report::default());
    let kept = checked(&schema(json, true), taken, &mut report).unwrap();
    let kept: Vec<u64> = kept.iter().map(|r| r.line).collect();
    assert_eq!(kept, [2, 7], "{:?}", report.refusals);
    assert!(report.refusals.iter().all(|r| r.reason == RefusalReason::Schema));
    let said: Vec<&str> = report.refusals.iter().map(|r| r.text.fr.as_str()).collect();
    assert!(said[0].contains("« id » : déjà à la ligne 2"), "{said:?}");
    assert!(said[1].contains("« nom » : déjà à la ligne 2"), "{said:?}");
    assert!(said[2].contains("obligatoire"), "{said:?}");
    assert!(said[3].contains("SIRET"), "{said:?}");
    assert_eq!(report.refusals[3].value.as_deref(), Some("21590350100018"));
    let told = notes(&report);
    for words in [
        "colonnes absentes : absente",
        "qu'il ne connaît pas : plus",
        "non vérifié : foreignKeys, opening-hours-value",
        "« nom » : valeurs en double : 1 (lignes 4)",
    ] {
        assert!(told.contains(words), "{words} not in {told}");
    }
    // Without a column that must be there nothing is published, or all is told.
    let only = || rows(&["id"], &[&["1"]]);
    let mut report = Report::default();
    let refused = checked(&schema(json, true), only(), &mut report);
    assert!(
        matches!(refused, Err(Error::Refused(t)) if t.fr.contains("obligatoires absentes : nom"))
    );
    checked(&schema(json, false), only(), &mut report).unwrap();
    assert!(notes(&report).contains("obligatoires absentes : nom"));
}
