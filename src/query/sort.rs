//! In which order features are shown, where it is not that of their source.

use crate::{
    error::{Error, Result},
    model::{Field, FieldKind, Schema},
    text,
};

/// Most properties that features are sorted by.
const MOST: usize = 4;

/// Properties to sort by, the first before the others; features that are the same in all of them
/// stand in source order. Features without a value come last. Texts are ordered by code point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort(Vec<SortKey>);

/// A property to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKey {
    /// Position of the field.
    pub field: usize,
    /// Its kind.
    pub kind: FieldKind,
    /// From the largest.
    pub descending: bool,
}

/// Whether features can be sorted by a field: lists and objects have no order.
pub fn is_sortable(field: &Field) -> bool {
    field.kind != FieldKind::Json
}

impl Sort {
    /// Reads `sortby`: names separated by commas, each behind `-` for descending order, or `+`
    /// (which a query string turns into a space).
    ///
    /// # Errors
    /// [`Error::Invalid`] naming what is no property to sort by, and those that are.
    pub fn parse(value: &str, schema: &Schema) -> Result<Self> {
        let mut keys: Vec<SortKey> = Vec::new();
        for part in value.split(',') {
            let part = part.trim_start();
            let (descending, name) = match part.strip_prefix('-') {
                Some(name) => (true, name),
                None => (false, part.strip_prefix('+').unwrap_or(part)),
            };
            let found = schema.fields.iter().zip(0..).find(|(f, _)| f.name == name);
            let Some((field, position)) = found.filter(|(f, _)| is_sortable(f)) else {
                return Err(unknown(name, schema));
            };
            // A second time it changes nothing.
            if keys.iter().all(|k| k.field != position) {
                keys.push(SortKey { field: position, kind: field.kind, descending });
            }
        }
        if keys.len() > MOST {
            let count = keys.len();
            return Err(Error::Invalid(text!(
                "Paramètre « sortby » : {count} champs, {MOST} au plus.",
                "Parameter \"sortby\": {count} properties, at most {MOST}."
            )));
        }
        Ok(Self(keys))
    }

    /// The properties, the first before the others; at least one.
    pub fn keys(&self) -> &[SortKey] {
        &self.0
    }

    /// Its name: the same for two that give the same order. Letters, digits and `-`.
    pub fn key(&self) -> String {
        let one = |k: &SortKey| format!("{}{}", if k.descending { "d" } else { "a" }, k.field);
        self.0.iter().map(one).collect::<Vec<_>>().join("-")
    }
}

fn unknown(name: &str, schema: &Schema) -> Error {
    let shown: String = name.chars().take(80).collect();
    let known: Vec<&str> =
        schema.fields.iter().filter(|f| is_sortable(f)).map(|f| f.name.as_str()).collect();
    let known = known.join(", ");
    Error::Invalid(text!(
        "Paramètre « sortby » : « {shown} » n'est pas un champ de tri. Champs : {known} (précédé de « - » : du plus grand au plus petit).",
        "Parameter \"sortby\": \"{shown}\" is no property to sort by. Properties: {known} (after \"-\": from the largest)."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::GeometryKind;

    #[test]
    fn names_signs_and_refusals() {
        let field = |name: &str, kind| Field { name: name.into(), kind };
        let fields = vec![
            field("nom", FieldKind::Text),
            field("a b", FieldKind::Int),
            field("j", FieldKind::Json),
        ];
        let schema = Schema { fields, geometry: GeometryKind::None };
        let key = |text: &str| Sort::parse(text, &schema).map(|s| s.key());
        assert_eq!(key("nom").unwrap(), "a0");
        assert_eq!(key("-a b, nom").unwrap(), "d1-a0");
        assert_eq!(key("+nom,-nom").unwrap(), "a0");
        for bad in ["", "x", "j", "nom;", "--nom", "nom,,a b"] {
            assert!(matches!(key(bad), Err(Error::Invalid(_))), "{bad}");
        }
    }
}
