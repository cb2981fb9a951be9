//! What the rows of a layer must be like, said by a JSON Schema (drafts 4 to 2020-12): of the
//! properties of a row, or of a whole GeoJSON feature.

use super::Text;
use crate::text;
use jsonschema::{PatternOptions, Validator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most steps back that one pattern may take on one value.
const STEPS: usize = 100_000;
/// Most bytes that a pattern may take when it is compiled.
const PATTERN: usize = 1 << 20;
/// References that are followed one after the other to find a type.
const LINKS: usize = 8;
/// Most characters of what is wrong with a schema.
const SAID: usize = 300;

/// A JSON Schema, as its file says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonSchema(pub Value);

/// What of a row the schema speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance {
    /// Its properties.
    Properties,
    /// Its properties, and its geometry as the member `geometry`.
    WithGeometry,
    /// A feature: `type`, `properties`, `geometry`.
    Feature,
}

impl JsonSchema {
    /// What judges by it. Formats count (`date`, `email`, `uri`…), in every draft.
    ///
    /// # Errors
    /// What is wrong with the schema, or what it refers to that is not in it: nothing is fetched.
    pub fn validator(&self) -> Result<Validator, Text> {
        let patterns = PatternOptions::fancy_regex().backtrack_limit(STEPS).size_limit(PATTERN);
        let options = jsonschema::options().offline().should_validate_formats(true);
        options.with_pattern_options(patterns).build(&self.0).map_err(|e| {
            let (place, why) = (e.instance_path().to_string(), e.to_string());
            let why: String = why.chars().take(SAID).collect();
            text!(
                "JSON Schema impossible à suivre : {place} {why}",
                "a JSON Schema that cannot be followed: {place} {why}"
            )
        })
    }

    /// Its title; may be empty.
    pub fn title(&self) -> &str {
        self.0.get("title").and_then(Value::as_str).unwrap_or_default()
    }

    /// What of a row it speaks of: a feature where it names `properties` beside `geometry` or `type`.
    pub fn instance(&self) -> Instance {
        let named = |name: &str| self.0.get("properties").is_some_and(|p| p.get(name).is_some());
        match (named("properties") && (named("type") || named("geometry")), named("geometry")) {
            (true, _) => Instance::Feature,
            (false, true) => Instance::WithGeometry,
            (false, false) => Instance::Properties,
        }
    }

    /// What it says of each property of a row, by name.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &Value)> {
        let root = match self.instance() {
            Instance::Feature => self.0.get("properties").and_then(|p| p.get("properties")),
            _ => Some(&self.0),
        };
        let named = root.and_then(|root| root.get("properties")).and_then(Value::as_object);
        named.into_iter().flatten().map(|(name, schema)| (name.as_str(), schema))
    }

    /// A part of the schema, or what it refers to within the schema (`#/…`).
    pub fn resolved<'a>(&'a self, part: &'a Value) -> &'a Value {
        let mut found = part;
        for _ in 0..LINKS {
            let place = found.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
            match place.and_then(|place| self.0.pointer(place)) {
                Some(next) => found = next,
                None => break,
            }
        }
        found
    }

    /// The properties that are text whatever they look like: codes keep their zeros.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let text = |schema: &Value| types(self.resolved(schema)).any(|t| t == "string");
        self.properties().filter(move |(_, schema)| text(schema)).map(|(name, _)| name)
    }
}

/// The types that a schema names.
pub fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let (one, more) = match schema.get("type") {
        Some(Value::String(one)) => (Some(one.as_str()), None),
        Some(Value::Array(more)) => (None, Some(more)),
        _ => (None, None),
    };
    one.into_iter().chain(more.into_iter().flatten().filter_map(Value::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_schema_speaks_of_is_seen_from_what_it_names() {
        let of = |schema: Value| JsonSchema(schema).instance();
        assert_eq!(of(json!({"properties": {"type": {}, "nom": {}}})), Instance::Properties);
        assert_eq!(of(json!({"properties": {"geometry": {}, "nom": {}}})), Instance::WithGeometry);
        let feature = json!({"properties": {"geometry": {}, "properties": {"properties": {
            "code": {"type": ["string", "null"]}, "n": {"type": "integer"},
            "nom": {"$ref": "#/$defs/a"}, "x": {"$ref": "#/$defs/b"}}}},
            "$defs": {"a": {"type": "string"}, "b": {"$ref": "#/$defs/b"}}});
        assert_eq!(of(feature.clone()), Instance::Feature);
        assert_eq!(JsonSchema(feature).texts().collect::<Vec<_>>(), ["code", "nom"]);
        assert_eq!(of(json!(true)), Instance::Properties);
    }
}
