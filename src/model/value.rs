//! Property values.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

/// One property value. Numbers keep their type; text is NFC UTF-8; dates are dates.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub enum Value {
    /// No value: explicit `null` in every answer.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A finite double.
    Float(f64),
    /// NFC UTF-8 text.
    Text(String),
    /// A calendar date without time zone.
    Date(Date),
    /// An instant, RFC 3339 UTC.
    DateTime(Timestamp),
    /// A nested JSON array or object, kept as its compact text.
    Json(String),
}

/// A value borrowed from a store's row: what a page is written from without allocating.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// No value.
    Null,
    /// A boolean.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A finite double.
    Float(f64),
    /// Text, also a date (`YYYY-MM-DD`) or an instant (RFC 3339) in its text form.
    Text(&'a str),
    /// A nested JSON array or object, compact.
    Json(&'a str),
}

impl<'a> ValueRef<'a> {
    /// As [`Value::as_code`].
    pub fn as_code(self) -> Option<std::borrow::Cow<'a, str>> {
        match self {
            Self::Text(s) if !s.trim().is_empty() => Some(s.trim().into()),
            Self::Int(i) => Some(i.to_string().into()),
            _ => None,
        }
    }
}

impl Value {
    /// Whether it is `Null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The text of a code-like value: text trimmed, integers in decimal; `None` otherwise.
    pub fn as_code(&self) -> Option<std::borrow::Cow<'_, str>> {
        match self {
            Value::Text(s) if !s.trim().is_empty() => Some(s.trim().into()),
            Value::Int(i) => Some(i.to_string().into()),
            _ => None,
        }
    }
}
