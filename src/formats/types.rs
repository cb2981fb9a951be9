//! The kinds of values that readers find, how kinds widen over a column, and how a value is cast
//! to the kind its column ends with. No parsing of files here.

use super::refused;
use crate::{
    error::Result,
    model::{Field, FieldKind, SourceLimits, Text, Value},
    text,
};
use rustc_hash::FxHashMap;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Integers beyond this cannot all be told apart as doubles.
const EXACT_IN_DOUBLE: u64 = 1 << 53;

/// Gives a value the kind of its column, losing nothing: what the kind cannot hold exactly
/// becomes text, as the reader spelt it.
///
/// A reader's column kind always holds all of the reader's values, so that the only casts import
/// meets are integer to double and anything to text.
pub fn cast(value: Value, kind: FieldKind) -> Value {
    match (value, kind) {
        (Value::Null, _) => Value::Null,
        (Value::Int(i), FieldKind::Float) if i.unsigned_abs() <= EXACT_IN_DOUBLE => {
            Value::Float(i as f64)
        }
        (value, kind) if kind_of(&value) == Some(kind) => value,
        (Value::Text(s), _) => Value::Text(s),
        (value, _) => Value::Text(spell(&value)),
    }
}

/// The text of a value, as exact as the value.
fn spell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        // Debug keeps the shortest digits that read back the same and a dot that says "double".
        Value::Float(f) => format!("{f:?}"),
        Value::Text(s) | Value::Json(s) => s.clone(),
        Value::Date(d) => d.to_string(),
        Value::DateTime(t) => t.to_string(),
    }
}

/// The kind of one value; `None` for null.
pub fn kind_of(value: &Value) -> Option<FieldKind> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(_) => FieldKind::Bool,
        Value::Int(_) => FieldKind::Int,
        Value::Float(_) => FieldKind::Float,
        Value::Text(_) => FieldKind::Text,
        Value::Date(_) => FieldKind::Date,
        Value::DateTime(_) => FieldKind::DateTime,
        Value::Json(_) => FieldKind::Json,
    })
}

/// The fields a reader has met, each with the kind that holds all its values so far.
#[derive(Debug, Default)]
pub(crate) struct FieldSet {
    fields: Vec<Field>,
    states: Vec<FieldState>,
    index: FxHashMap<String, usize>,
}

#[derive(Debug, Default, Clone, Copy)]
struct FieldState {
    /// Whether `kind` comes from a declaration or a value, rather than being the default.
    settled: bool,
    /// Whether an integer beyond 2^53 was seen: the column must not become a double.
    long_int: bool,
}

impl FieldSet {
    /// The fields.
    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    /// Adds a field of a declared kind.
    pub(crate) fn declare(&mut self, name: String, kind: FieldKind) -> usize {
        let at = self.add(name);
        if let (Some(field), Some(state)) = (self.fields.get_mut(at), self.states.get_mut(at)) {
            field.kind = kind;
            state.settled = true;
        }
        at
    }

    /// The position of a field, added when new. `hint`: where it probably is (rows mostly repeat
    /// the order of the row before).
    pub(crate) fn slot(&mut self, name: &str, hint: usize) -> usize {
        if self.fields.get(hint).is_some_and(|f| f.name == name) {
            return hint;
        }
        if let Some(at) = self.index.get(name) {
            return *at;
        }
        match is_nfc_quick(name.chars()) {
            IsNormalized::Yes => self.add(name.to_owned()),
            _ => {
                let name: String = name.nfc().collect();
                self.index.get(&name).copied().unwrap_or_else(|| self.add(name))
            }
        }
    }

    fn add(&mut self, name: String) -> usize {
        let at = self.fields.len();
        self.index.insert(name.clone(), at);
        // A field that never has a value is text: the kind that promises least.
        self.fields.push(Field { name, kind: FieldKind::Text });
        self.states.push(FieldState::default());
        at
    }

    /// Widens a field's kind so that it holds this value too.
    pub(crate) fn observe(&mut self, at: usize, value: &Value) {
        let Some(kind) = kind_of(value) else { return };
        let (Some(field), Some(state)) = (self.fields.get_mut(at), self.states.get_mut(at)) else {
            return;
        };
        if matches!(value, Value::Int(i) if i.unsigned_abs() > EXACT_IN_DOUBLE) {
            state.long_int = true;
        }
        if !state.settled {
            field.kind = kind;
            state.settled = true;
        } else if field.kind != kind {
            field.kind = field.kind.widen(kind);
        }
        if state.long_int && field.kind == FieldKind::Float {
            field.kind = FieldKind::Text;
        }
    }
}

/// Refuses what has more columns than a source may: a separator was mistaken, or the file is
/// hostile.
pub fn few_columns(columns: usize, limits: &SourceLimits) -> Result<()> {
    let most = limits.max_columns;
    if columns <= most {
        return Ok(());
    }
    Err(refused(text!(
        "{columns} colonnes, {most} au plus (max_columns)",
        "{columns} columns, at most {most} (max_columns)"
    )))
}

/// A JSON array or object, compact; scalars and broken JSON stay text.
pub(super) fn json(text: &str) -> Option<Value> {
    match serde_json::from_str::<&serde_json::value::RawValue>(text) {
        Ok(raw) if raw.get().starts_with(['{', '[']) => {
            super::geojson_reader::compact(raw.get()).map(Value::Json)
        }
        _ => None,
    }
}

/// Text in NFC, untouched when it already is.
pub(crate) fn nfc(s: String) -> String {
    if s.is_ascii() || is_nfc_quick(s.chars()) == IsNormalized::Yes { s } else { s.nfc().collect() }
}

/// A name reduced to what people compare: lower case, no accents, letters and digits in words
/// separated by single spaces.
pub(crate) fn fold(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut gap = false;
    for c in name.nfd().filter(|c| !unicode_normalization::char::is_combining_mark(*c)) {
        if c.is_alphanumeric() {
            if gap && !out.is_empty() {
                out.push(' ');
            }
            gap = false;
            out.extend(c.to_lowercase());
        } else {
            gap = true;
        }
    }
    out
}

/// Column names fit to be field names: NFC, trimmed, blank ones named after their position,
/// repeated ones numbered; with a note for each change.
pub(crate) fn column_names<'a>(raw: impl Iterator<Item = &'a str>) -> (Vec<String>, Vec<Text>) {
    let mut names: Vec<String> = Vec::new();
    // For each name taken, the number to try next when it comes again: linear even when a
    // hostile header repeats one name a hundred thousand times.
    let mut taken: FxHashMap<String, usize> = FxHashMap::default();
    let mut notes = Vec::new();
    for (i, name) in raw.enumerate() {
        let number = i + 1;
        let trimmed = name.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        let wanted = if trimmed.is_empty() {
            notes.push(text!(
                "colonne {number} sans nom : nommée « col_{number} »",
                "column {number} has no name: named \"col_{number}\""
            ));
            format!("col_{number}")
        } else {
            nfc(trimmed.to_owned())
        };
        let mut unique = wanted.clone();
        if let Some(first) = taken.get(&wanted).copied() {
            let mut n = first;
            while taken.contains_key(&unique) {
                unique = format!("{wanted}_{n}");
                n += 1;
            }
            notes.push(text!(
                "colonne {number} : « {wanted} » existe déjà, renommée « {unique} »",
                "column {number}: \"{wanted}\" already exists, renamed \"{unique}\""
            ));
            taken.insert(wanted, n);
        }
        taken.insert(unique.clone(), 2);
        names.push(unique);
    }
    (names, notes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn columns_widen_without_losing_anything() {
        let mut set = FieldSet::default();
        let at = set.slot("n", 0);
        set.observe(at, &Value::Null);
        assert_eq!(set.fields()[at].kind, FieldKind::Text);
        set.observe(at, &Value::Int(3));
        assert_eq!(set.fields()[at].kind, FieldKind::Int);
        set.observe(at, &Value::Float(0.5));
        assert_eq!(set.fields()[at].kind, FieldKind::Float);
        // 2^53 + 1 is no double: the column must not become one.
        set.observe(at, &Value::Int((1 << 53) + 1));
        assert_eq!(set.fields()[at].kind, FieldKind::Text);
        assert_eq!(
            cast(Value::Int((1 << 53) + 1), FieldKind::Text),
            Value::Text("9007199254740993".into())
        );
        let b = set.slot("b", 1);
        set.observe(b, &Value::Bool(true));
        set.observe(b, &Value::Int(1));
        assert_eq!(set.fields()[b].kind, FieldKind::Text);
    }

    #[test]
    fn casts() {
        assert_eq!(cast(Value::Int(2), FieldKind::Float), Value::Float(2.0));
        assert_eq!(cast(Value::Float(2.0), FieldKind::Text), Value::Text("2.0".into()));
        assert_eq!(cast(Value::Null, FieldKind::Text), Value::Null);
        assert_eq!(
            cast(Value::Date(jiff::civil::date(2026, 1, 2)), FieldKind::Text),
            Value::Text("2026-01-02".into())
        );
        assert_eq!(
            cast(Value::Json("{\"a\":1}".into()), FieldKind::Text),
            Value::Text("{\"a\":1}".into())
        );
        // Not exact: stays readable rather than becoming another number.
        assert_eq!(
            cast(Value::Int(i64::MAX), FieldKind::Float),
            Value::Text("9223372036854775807".into())
        );
    }

    #[test]
    fn names_are_cleaned_and_made_unique() {
        let raw = ["\u{feff}code", " nom ", "", "code", "code_2", "code", "e\u{301}tat"];
        let (names, notes) = column_names(raw.into_iter());
        assert_eq!(names, ["code", "nom", "col_3", "code_2", "code_2_2", "code_3", "état"]);
        assert_eq!(notes.len(), 4);
    }

    #[test]
    fn folding_compares_as_people_do() {
        assert_eq!(fold("Coordonnée_X (L93)"), "coordonnee x l93");
        assert_eq!(fold("  Longitude "), "longitude");
    }

    proptest! {
        #[test]
        fn unique_names_whatever_the_header(raw in prop::collection::vec("(a|b|a_2|a_3|_| )?", 0..30)) {
            let (names, _) = column_names(raw.iter().map(String::as_str));
            let distinct: std::collections::HashSet<_> = names.iter().collect();
            prop_assert_eq!(distinct.len(), names.len());
            prop_assert_eq!(names.len(), raw.len());
        }

        #[test]
        fn floats_survive_as_text(f in any::<f64>().prop_filter("finite", |f| f.is_finite())) {
            let Value::Text(s) = cast(Value::Float(f), FieldKind::Text) else { unreachable!() };
            prop_assert_eq!(s.parse::<f64>().unwrap().to_bits(), f.to_bits());
        }
    }
}
