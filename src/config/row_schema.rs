//! `[schema]` of a layer file: the Table Schema or JSON Schema that its rows are held against.

use super::{document::hint, files, relative, table::Table};
use crate::{
    model::{JsonSchema, RowRules, RowSchema, TableSchema, Text},
    text,
};
use std::path::Path;

pub(super) const KEYS: &[&str] = &["file", "rows"];

/// What becomes of rows that do not follow it.
const ROWS: [&str; 2] = ["refuse", "tell"];

/// Reads the table and the file that it names; `None` when they cannot be followed, which is reported.
pub(super) fn read(table: &Table<'_>, base: &Path) -> Option<RowSchema> {
    let rows = table.parsed("rows", |words| match words {
        "refuse" => Ok(true),
        "tell" => Ok(false),
        other => Err(hint(other, &ROWS)),
    });
    if !table.has("file") {
        table.missing("file");
    }
    let path = relative(table, "file", base)?;
    let read = files::read_any(&path).and_then(|json| parse(&json));
    let schema = read.map_err(|why| table.report("file", why)).ok()?;
    Some(RowSchema { refuses: rows.unwrap_or(true), rules: schema })
}

/// The one kind or the other, told apart by what it names: a Table Schema lists its `fields`.
fn parse(json: &str) -> Result<RowRules, Text> {
    let json = json.trim_start_matches('\u{feff}');
    let read: Result<serde_json::Value, _> = serde_json::from_str(json);
    let named = |key: &str| read.as_ref().is_ok_and(|schema| schema.get(key).is_some());
    let of_json = ["properties", "$ref", "allOf", "anyOf", "oneOf", "required"];
    if !named("fields") && of_json.into_iter().any(named) {
        let schema = JsonSchema(read.unwrap_or_default());
        return schema.validator().map(|_| RowRules::Json(schema));
    }
    table(json).map(RowRules::Table)
}

fn table(json: &str) -> Result<TableSchema, Text> {
    let schema: TableSchema = serde_json::from_str(json).map_err(|e| {
        text!(
            "ce n'est ni un schéma de table (Table Schema : {e}) ni un JSON Schema",
            "neither a Table Schema ({e}) nor a JSON Schema"
        )
    })?;
    if schema.fields.is_empty() || schema.fields.iter().any(|f| f.name.is_empty()) {
        return Err(text!(
            "ce n'est pas un schéma de table (Table Schema) : « fields » doit nommer les colonnes",
            "not a Table Schema: \"fields\" must name the columns"
        ));
    }
    Ok(schema)
}
