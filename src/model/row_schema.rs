//! What the rows of a layer must be like: a Table Schema (Frictionless, version 1), as published on
//! schema.data.gouv.fr, or a JSON Schema.

use super::JsonSchema;
use serde::{Deserialize, Serialize};

/// A layer's schema, and what becomes of rows that do not follow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowSchema {
    /// Rows that do not follow it are refused; otherwise they are only told of.
    pub refuses: bool,
    /// The schema.
    #[serde(flatten)]
    pub rules: RowRules,
}

/// A schema of one kind or the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowRules {
    /// A Table Schema.
    Table(TableSchema),
    /// A JSON Schema.
    Json(JsonSchema),
}

impl RowSchema {
    /// The columns whose values are text whatever they look like: codes keep their zeros.
    pub fn texts(&self) -> Vec<&str> {
        match &self.rules {
            RowRules::Table(table) => table.texts().collect(),
            RowRules::Json(schema) => schema.texts().collect(),
        }
    }
}

/// A Table Schema, as its file says it. What this program does not know of it is left out, but for
/// what it would check ([`TableSchema::unchecked`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TableSchema {
    /// Its name, as `schema-lieux-covoiturage`; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its title; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Its version; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The columns.
    pub fields: Vec<SchemaField>,
    /// What stands for a missing value, as written; `None`: an empty cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_values: Option<Vec<String>>,
    /// The columns that together name a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_key: Option<OneOrMore>,
    /// References to rows of this table, which are checked, and of others, which are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foreign_keys: Option<Vec<ForeignKey>>,
    /// Validata's own checks.
    #[serde(rename = "custom_checks", skip_serializing_if = "Option::is_none")]
    pub custom_checks: Option<Vec<CustomCheck>>,
}

/// A name, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore {
    /// One.
    One(String),
    /// Several.
    More(Vec<String>),
}

impl OneOrMore {
    /// All of them.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::More(names) => names,
        }
    }
}

/// Columns whose values are those of other columns, in some row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// The columns.
    pub fields: OneOrMore,
    /// What they refer to.
    pub reference: ForeignReference,
}

/// What a foreign key refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignReference {
    /// The table, by its name in its data package; empty: this one.
    #[serde(default)]
    pub resource: String,
    /// Its columns, as many.
    pub fields: OneOrMore,
}

/// One of Validata's checks (`custom_checks`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomCheck {
    /// Which, as `french-siret-value`.
    pub name: String,
    /// What it is told.
    #[serde(default)]
    pub params: serde_json::Value,
}

impl CustomCheck {
    /// The column it is of, where it is of one.
    pub fn column(&self) -> Option<&str> {
        self.params.get("column")?.as_str()
    }
}

/// A column of a Table Schema.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SchemaField {
    /// Its name.
    pub name: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: SchemaKind,
    /// How they are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// What else holds of them.
    pub constraints: Constraints,
    /// What is true, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub true_values: Option<Vec<String>>,
    /// What is false, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_values: Option<Vec<String>>,
    /// What separates units from fractions; `None`: a point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimal_char: Option<String>,
    /// What separates thousands; `None`: nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_char: Option<String>,
    /// Whether numbers have nothing around them, as `€` or `%`; `None`: they have not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bare_number: Option<bool>,
}

/// The types of a Table Schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "they are the standard's own names")]
pub enum SchemaKind {
    #[default]
    String,
    Number,
    Integer,
    Boolean,
    Object,
    Array,
    Date,
    Time,
    Datetime,
    Year,
    Yearmonth,
    Duration,
    Geopoint,
    Geojson,
    Any,
}

/// What holds of a column's values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Constraints {
    /// None is missing.
    pub required: bool,
    /// None comes twice.
    pub unique: bool,
    /// Least characters (of arrays: elements).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u64>,
    /// Most of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u64>,
    /// Least value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<serde_json::Value>,
    /// Greatest value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<serde_json::Value>,
    /// A regular expression that whole values match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The only values.
    #[serde(rename = "enum", skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Vec<serde_json::Value>>,
}

impl TableSchema {
    /// The columns whose values are text whatever they look like: codes keep their zeros.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(|f| f.kind == SchemaKind::String).map(|f| f.name.as_str())
    }

    /// What it is called to people.
    pub fn called(&self) -> &str {
        match (self.name.is_empty(), self.title.is_empty()) {
            (false, _) => &self.name,
            (true, false) => &self.title,
            (true, true) => "Table Schema",
        }
    }
}
