//! The fields of a layer.

use super::GeometryKind;
use serde::{Deserialize, Serialize};

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldKind {
    /// `true` or `false`.
    Bool,
    /// 64-bit integer.
    Int,
    /// Double.
    Float,
    /// Text.
    Text,
    /// Calendar date.
    Date,
    /// Instant (UTC).
    DateTime,
    /// Nested JSON (object or array).
    Json,
}

impl FieldKind {
    /// The narrowest kind that holds both without losing anything: an integer column that meets
    /// a float becomes float; anything else that differs becomes text.
    pub fn widen(self, other: Self) -> Self {
        use FieldKind as K;
        match (self, other) {
            (a, b) if a == b => a,
            (K::Int, K::Float) | (K::Float, K::Int) => K::Float,
            _ => K::Text,
        }
    }
}

/// One field. Its name is data: it may hold accents, spaces, quotes and reserved words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The name as the source spells it (NFC).
    pub name: String,
    /// Its type.
    pub kind: FieldKind,
}

/// What a version's features look like.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Schema {
    /// Fields in source order.
    pub fields: Vec<Field>,
    /// The geometry type.
    pub geometry: GeometryKind,
}

impl Schema {
    /// The position of a field by its exact name.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name == name)
    }

    /// The name by which the geometry is asked for: a free one where a field bears it.
    pub fn geometry_name(&self) -> String {
        self.free_name("geometry")
    }

    /// A name, or one like it where a field bears it.
    pub fn free_name(&self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        while self.index(&name).is_some() {
            name.push('_');
        }
        name
    }
}
