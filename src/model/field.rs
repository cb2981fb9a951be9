//! What people are told of a field besides its name: title, description, unit. Declared in the layer
//! file, or said by the comment of a table's column.

use super::{Lang, LayerDef, Schema, Text, Version};
use serde::{Deserialize, Serialize};

/// What the operator declares about a field.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FieldDef {
    /// Title; empty: what the column's comment says, else the field's name.
    pub title: Text,
    /// Description; may be empty.
    pub description: Text,
    /// What its numbers are measured in.
    pub unit: Option<Unit>,
    /// The URI of what it means (`x-ogc-definition`).
    pub definition: Option<String>,
}

/// A unit of measure (OGC API Features part 5, `x-ogc-unit`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its code in UCUM, case sensitive (`km2`, `{hab}/km2`), or its URI in QUDT.
    pub code: String,
    /// The language of the code.
    pub lang: UnitLang,
}

/// A language of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitLang {
    /// The Unified Code for Units of Measure.
    #[default]
    Ucum,
    /// The QUDT units vocabulary.
    Qudt,
}

impl UnitLang {
    /// All, by their names in `x-ogc-unitLang`.
    pub const ALL: [UnitLang; 2] = [UnitLang::Ucum, UnitLang::Qudt];

    /// Its name in `x-ogc-unitLang`.
    pub fn id(self) -> &'static str {
        match self {
            UnitLang::Ucum => "UCUM",
            UnitLang::Qudt => "QUDT",
        }
    }
}

impl Unit {
    /// The unit as people write it: `{hab}/km2` is "hab/km²".
    pub fn words(&self) -> String {
        match self.lang {
            UnitLang::Ucum => written(&self.code),
            UnitLang::Qudt => self.code.rsplit(['/', '#']).next().unwrap_or(&self.code).to_owned(),
        }
    }
}

/// A code of UCUM without its brackets, exponents raised.
fn written(code: &str) -> String {
    const RAISED: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let mut out = String::with_capacity(code.len());
    // Whether a number here is an exponent: it stands behind a unit, and not within brackets.
    let (mut depth, mut raised) = (0usize, false);
    for c in code.chars() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => (depth, raised) = (depth.saturating_sub(1), true),
            _ if depth > 0 => out.push(c),
            '*' => raised = true,
            '-' if raised => out.push('⁻'),
            '+' if raised => {}
            _ => match c.to_digit(10).and_then(|d| RAISED.get(d as usize)) {
                Some(digit) if raised => out.push(*digit),
                Some(_) => out.push(c),
                None => {
                    raised = !matches!(c, '.' | '/' | '(');
                    out.push(if c == '.' { '·' } else { c });
                }
            },
        }
    }
    match out.as_str() {
        "Cel" => "°C".to_owned(),
        "deg" => "°".to_owned(),
        _ => out,
    }
}

/// What is said of a field, in one language.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldWords<'a> {
    /// Its title: its name where nothing is said.
    pub title: &'a str,
    /// Its description.
    pub description: Option<&'a str>,
    /// The unit.
    pub unit: Option<&'a Unit>,
    /// The URI of what it means.
    pub definition: Option<&'a str>,
}

impl LayerDef {
    /// The fields it speaks of that a schema does not have.
    pub fn strangers<'a>(&'a self, schema: &Schema) -> impl Iterator<Item = &'a str> {
        self.fields.keys().map(String::as_str).filter(|name| schema.index(name).is_none())
    }

    /// What is said of a field of a version: by the layer file, else by the column's comment.
    pub fn field<'a>(&'a self, version: &'a Version, name: &'a str, lang: Lang) -> FieldWords<'a> {
        let declared = self.fields.get(name);
        let comment = version.live.as_ref().and_then(|live| live.field(name));
        let said = |text: fn(&FieldDef) -> &Text| {
            declared.map(|field| text(field).get(lang)).filter(|words| !words.is_empty())
        };
        FieldWords {
            title: said(|f| &f.title).or(comment.map(|(title, _)| title)).unwrap_or(name),
            description: said(|f| &f.description).or(comment.and_then(|(_, more)| more)),
            unit: declared.and_then(|f| f.unit.as_ref()),
            definition: declared.and_then(|f| f.definition.as_deref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_read_as_people_write_them() {
        let words = |code: &str| Unit { code: code.into(), lang: UnitLang::Ucum }.words();
        for (code, expected) in [
            ("km2", "km²"),
            ("{hab}/km2", "hab/km²"),
            ("m.s-1", "m·s⁻¹"),
            ("10*3.{EUR}", "10³·EUR"),
            ("100.m", "100·m"),
            ("%", "%"),
            ("Cel", "°C"),
            ("[ft_i]", "ft_i"),
            ("m/(s2)", "m/(s²)"),
        ] {
            assert_eq!(words(code), expected, "{code}");
        }
        let code = "https://qudt.org/vocab/unit/HectoPA".to_owned();
        assert_eq!(Unit { code, lang: UnitLang::Qudt }.words(), "HectoPA");
    }
}
