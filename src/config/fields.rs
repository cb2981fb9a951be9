//! `[fields.<name>]` of a layer file or of `[[tables]]`: what people are told of a field.

use super::{
    document::hint,
    server::{bilingual, web_address},
    table::Table,
};
use crate::{
    model::{FieldDef, Text, Unit, UnitLang},
    text,
};
use std::collections::BTreeMap;

const KEYS: &[&str] =
    &["title", "title_en", "description", "description_en", "unit", "unit_lang", "definition"];

/// Reads `[fields]`, by the names of the fields; what is wrong is reported to its document.
pub(super) fn read(table: &Table<'_>) -> BTreeMap<String, FieldDef> {
    let fields = table.named_tables("fields", KEYS);
    fields.into_iter().map(|(name, inner)| (name, field(&inner))).collect()
}

fn field(table: &Table<'_>) -> FieldDef {
    FieldDef {
        title: bilingual(table, "title", "title_en", Text::default()),
        description: bilingual(table, "description", "description_en", Text::default()),
        unit: unit(table),
        definition: table.parsed("definition", |u| web_address(u).map(String::from)),
    }
}

fn unit(table: &Table<'_>) -> Option<Unit> {
    let lang = table.parsed("unit_lang", language);
    if table.has("unit_lang") && !table.has("unit") {
        table.missing("unit");
    }
    let lang = lang.unwrap_or_default();
    let code = match lang {
        UnitLang::Ucum => table.parsed("unit", ucum),
        UnitLang::Qudt => table.parsed("unit", |u| web_address(u).map(String::from)),
    };
    code.map(|code| Unit { code, lang })
}

fn language(words: &str) -> Result<UnitLang, Text> {
    let ids = UnitLang::ALL.map(UnitLang::id);
    UnitLang::ALL.into_iter().find(|lang| lang.id() == words).ok_or_else(|| hint(words, &ids))
}

/// A code of UCUM has no spaces and no other letters than ASCII's, and closes what it opens.
fn ucum(words: &str) -> Result<String, Text> {
    let mut open = Vec::new();
    let nested = words.chars().all(|c| match c {
        '(' | '[' | '{' => {
            open.push(c);
            true
        }
        ')' => open.pop() == Some('('),
        ']' => open.pop() == Some('['),
        '}' => open.pop() == Some('{'),
        other => other.is_ascii_graphic(),
    });
    if nested && open.is_empty() {
        return Ok(words.to_owned());
    }
    Err(text!(
        "attendu un code UCUM, comme km2, % ou {{hab}}/km2, sans espace ni accent ; une unité de QUDT : unit_lang = \"QUDT\" et son adresse",
        "expected a UCUM code such as km2, % or {{hab}}/km2, without spaces or accents; a unit of QUDT: unit_lang = \"QUDT\" and its address"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_codes_of_ucum() {
        for good in ["km2", "%", "{hab}/km2", "10*3.{EUR}", "m/(s.s)", "[ft_i]", "1"] {
            assert_eq!(ucum(good).as_deref(), Ok(good));
        }
        for bad in ["km²", "par an", "{hab", "m)", "(m]", "€"] {
            assert!(ucum(bad).is_err(), "{bad}");
        }
    }
}
