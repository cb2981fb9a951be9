//! Rows against a JSON Schema: each row becomes the document that the schema speaks of, and what
//! the schema's validator says of it becomes words a producer understands.
//!
//! A table knows no difference between a member that is `null` and one that is not there: empty
//! values are left out of the document, but for properties whose schema admits `null`.

use super::{LINES, SHOWN, Summary, judged};
use crate::{
    error::{Error, Result},
    formats::{geojson::write_geometry, wkb},
    import::{check::Checked, read::Rows},
    model::{
        Instance, JsonSchema, Refusal, RefusalReason, Report, Schema, Text, Value,
        json_schema::types,
    },
    store::spool::Spill,
    text,
};
use jsonschema::{
    ValidationError, Validator,
    error::{TypeKind, ValidationErrorKind},
};
use rayon::prelude::*;
use serde_json::{Map, Value as Json, json};

/// Decimals of the degrees of a geometry: about a centimetre.
const DECIMALS: u8 = 7;

/// Judges all rows and gives them on; those to be refused leave them for the report.
///
/// # Errors
/// [`Error::Invalid`] when the schema cannot be followed; what the files of rows fail with.
pub(super) fn check(
    schema: &JsonSchema,
    refuses: bool,
    rows: Rows,
    spill: &Spill,
    report: &mut Report,
) -> Result<Rows> {
    let judge = Judge::new(schema, &rows.schema)?;
    let mut summary = Summary::default();
    let faults = |batch: &mut [Checked]| {
        let faults: Vec<Vec<Fault>> = batch.par_iter().map(|row| judge.faults(row)).collect();
        for fault in faults.iter().flatten() {
            let rule = (fault.column.clone(), fault.rule.fr.clone(), fault.rule.en.clone());
            summary.add(rule, fault.line);
        }
        faults
    };
    let rows = judged(rows, spill, refuses, report, faults, |_, faults| refusal(faults))?;
    let called = match schema.title() {
        "" => "JSON Schema",
        title => title,
    };
    let rule = |(column, fr, en): &(String, String, String)| {
        Some((column.clone(), Text::new(fr.as_str(), en.as_str())))
    };
    report.notes.extend(summary.tell(called, rule));
    Ok(rows)
}

/// What a row breaks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    line: u64,
    /// The property, or the whole where it is none.
    column: String,
    value: Option<String>,
    /// What was broken, without its place.
    rule: Text,
    /// All of it in a sentence.
    text: Text,
}

/// A schema ready to judge the rows of a table.
struct Judge {
    validator: Validator,
    instance: Instance,
    columns: Vec<Column>,
}

struct Column {
    name: String,
    /// Whether its schema takes `null`.
    nullable: bool,
    /// Whether text that spells a number or a truth is one.
    read: bool,
}

impl Judge {
    fn new(schema: &JsonSchema, rows: &Schema) -> Result<Self> {
        let validator = schema.validator().map_err(Error::Invalid)?;
        let column = |name: &String| {
            let said = schema.properties().find(|(n, _)| n == name).map(|(_, said)| said);
            let meant = said.map(|said| schema.resolved(said));
            let named = |t: &str| meant.is_some_and(|meant| types(meant).any(|one| one == t));
            let number = named("number") || named("integer") || named("boolean");
            Column {
                name: name.clone(),
                nullable: said.is_some_and(|said| takes_null(&schema.0, said)),
                read: number && !named("string"),
            }
        };
        let columns = rows.fields.iter().map(|field| column(&field.name)).collect();
        Ok(Self { validator, instance: schema.instance(), columns })
    }

    fn faults(&self, row: &Checked) -> Vec<Fault> {
        let document = self.document(row);
        let errors = self.validator.iter_errors(&document);
        errors.map(|error| self.fault(row.line, &error)).collect()
    }

    /// The row as the schema speaks of it.
    fn document(&self, row: &Checked) -> Json {
        let mut members = Map::new();
        for (column, value) in self.columns.iter().zip(&row.values) {
            if !value.is_null() || column.nullable {
                members.insert(column.name.clone(), column.json(value));
            }
        }
        if self.instance == Instance::Properties {
            return Json::Object(members);
        }
        let geometry = row.geometry.as_ref().map_or(Json::Null, |geometry| {
            let (mut bytes, mut text) = (Vec::new(), Vec::new());
            wkb::write(geometry, &mut bytes);
            let written = write_geometry(&bytes, DECIMALS, &mut text).ok();
            written.and_then(|()| serde_json::from_slice(&text).ok()).unwrap_or(Json::Null)
        });
        if self.instance == Instance::Feature {
            return json!({ "type": "Feature", "properties": members, "geometry": geometry });
        }
        if !geometry.is_null() {
            members.entry("geometry").or_insert(geometry);
        }
        Json::Object(members)
    }

    fn fault(&self, line: u64, error: &ValidationError<'_>) -> Fault {
        let pointer = error.instance_path().to_string();
        let inside = match self.instance {
            Instance::Feature => pointer.strip_prefix("/properties").unwrap_or(&pointer),
            _ => &pointer,
        };
        let mut steps = inside.split('/').skip(1).map(|s| s.replace("~1", "/").replace("~0", "~"));
        let column = match (steps.next(), error.kind()) {
            (Some(first), _) => first,
            (None, ValidationErrorKind::Required { property }) => word(property),
            (None, _) => String::new(),
        };
        let deeper = if steps.next().is_some() { inside } else { "" };
        let rule = match error.kind() {
            // The property itself, as a cell that is empty.
            ValidationErrorKind::Required { .. } if inside.is_empty() => {
                text!("valeur obligatoire absente", "a required value is missing")
            }
            _ => words(error),
        };
        let (fr, en) = (&rule.fr, &rule.en);
        let text = match (column.is_empty(), deeper) {
            (true, _) => text!("{fr}.", "{en}."),
            (false, "") => text!("« {column} » : {fr}.", "\"{column}\": {en}."),
            (false, path) => text!("« {column} » ({path}) : {fr}.", "\"{column}\" ({path}): {en}."),
        };
        let whole =
            column.is_empty() || matches!(error.kind(), ValidationErrorKind::Required { .. });
        let value = (!whole).then(|| word(error.instance()).chars().take(SHOWN).collect());
        Fault { line, column, value, rule, text }
    }
}

impl Column {
    fn json(&self, value: &Value) -> Json {
        match value {
            Value::Null => Json::Null,
            Value::Bool(truth) => json!(truth),
            Value::Int(n) => json!(n),
            Value::Float(n) => json!(n),
            Value::Text(words) if self.read => match serde_json::from_str::<Json>(words.trim()) {
                Ok(read @ (Json::Number(_) | Json::Bool(_))) => read,
                _ => json!(words),
            },
            Value::Text(words) => json!(words),
            Value::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
            Value::Date(date) => json!(date.to_string()),
            Value::DateTime(instant) => json!(instant.to_string()),
        }
    }
}

/// Whether what the schema says of a property takes `null`.
fn takes_null(root: &Json, said: &Json) -> bool {
    let mut alone = Map::new();
    for shared in ["$schema", "$id", "id", "$defs", "definitions"] {
        if let Some(value) = root.get(shared) {
            alone.insert(shared.to_owned(), value.clone());
        }
    }
    alone.insert("allOf".to_owned(), json!([said]));
    let alone = JsonSchema(Json::Object(alone)).validator();
    alone.is_ok_and(|validator| validator.is_valid(&Json::Null))
}

fn refusal(faults: &[Fault]) -> Refusal {
    let join =
        |of: fn(&Fault) -> &str| faults.iter().take(LINES).map(of).collect::<Vec<_>>().join(" ");
    let first = faults.first();
    Refusal {
        line: first.map_or(0, |fault| fault.line),
        column: first.map(|fault| fault.column.clone()).filter(|column| !column.is_empty()),
        value: first.and_then(|fault| fault.value.clone()),
        reason: RefusalReason::Schema,
        text: Text { fr: join(|f| &f.text.fr), en: join(|f| &f.text.en) },
    }
}

/// A value as a cell has it.
fn word(value: &Json) -> String {
    match value {
        Json::String(words) => words.clone(),
        other => other.to_string(),
    }
}

/// A bound that was passed, in words; `None` when it is another rule.
fn bound(kind: &ValidationErrorKind) -> Option<Text> {
    use ValidationErrorKind as K;
    Some(match kind {
        K::Minimum { limit } => text!("la valeur est sous {limit}", "the value is below {limit}"),
        K::Maximum { limit } => text!("la valeur dépasse {limit}", "the value is above {limit}"),
        K::ExclusiveMinimum { limit } => {
            text!("la valeur doit être au-dessus de {limit}", "the value must be above {limit}")
        }
        K::ExclusiveMaximum { limit } => {
            text!("la valeur doit être sous {limit}", "the value must be below {limit}")
        }
        K::MultipleOf { multiple_of } => {
            text!("multiple de {multiple_of} attendu", "multiple of {multiple_of} expected")
        }
        K::MinLength { limit } => {
            text!("au moins {limit} caractères attendus", "at least {limit} characters expected")
        }
        K::MaxLength { limit } => {
            text!("au plus {limit} caractères attendus", "at most {limit} characters expected")
        }
        K::MinItems { limit } => {
            text!("au moins {limit} éléments attendus", "at least {limit} elements expected")
        }
        K::MaxItems { limit } => {
            text!("au plus {limit} éléments attendus", "at most {limit} elements expected")
        }
        _ => return None,
    })
}

/// What was broken; of keywords that have no words here, what the validator says.
fn words(error: &ValidationError<'_>) -> Text {
    use ValidationErrorKind as K;
    if let Some(words) = bound(error.kind()) {
        return words;
    }
    match error.kind() {
        K::Required { property } => {
            let name = word(property);
            text!("« {name} » est obligatoire et absent", "\"{name}\" is required and missing")
        }
        K::Type { kind } => {
            let types = match kind {
                TypeKind::Single(one) => one.to_string(),
                TypeKind::Multiple(more) => {
                    more.iter().map(|one| one.to_string()).collect::<Vec<_>>().join(" | ")
                }
            };
            text!("type attendu : {types}", "type expected: {types}")
        }
        K::Enum { options } => {
            let all = options.as_array().into_iter().flatten().map(word);
            let all: String = all.collect::<Vec<_>>().join(" | ").chars().take(SHOWN).collect();
            text!("valeurs admises : {all}", "values allowed: {all}")
        }
        K::Constant { expected_value } => {
            let one = word(expected_value);
            text!("seule valeur admise : {one}", "only value allowed: {one}")
        }
        K::Pattern { pattern } => {
            text!("la forme attendue est {pattern}", "the form expected is {pattern}")
        }
        K::Format { format } => text!("format attendu : {format}", "format expected: {format}"),
        K::UniqueItems => text!("un élément vient deux fois", "an element comes twice"),
        K::AdditionalProperties { unexpected } | K::UnevaluatedProperties { unexpected } => {
            let names = unexpected.join(", ");
            text!("propriétés non admises : {names}", "properties not allowed: {names}")
        }
        K::AnyOf { .. } | K::OneOfNotValid { .. } => text!(
            "aucune des formes admises (anyOf, oneOf) ne convient",
            "none of the forms allowed (anyOf, oneOf) fits"
        ),
        K::OneOfMultipleValid { .. } => text!(
            "plusieurs formes (oneOf) conviennent, une seule est admise",
            "several forms (oneOf) fit, only one may"
        ),
        K::Not { .. } | K::FalseSchema => {
            text!("cette valeur est exclue", "this value is ruled out")
        }
        other => {
            let keyword = other.keyword();
            let said: String = error.to_string().chars().take(SHOWN).collect();
            text!("règle « {keyword} » : {said}", "rule \"{keyword}\": {said}")
        }
    }
}
