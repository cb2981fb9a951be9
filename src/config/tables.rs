//! `[[tables]]`: tables and views of the store's database, published as they are.

use super::{
    binding, fields,
    layer::{TABLE_TILE_KEYS, contact, document_of, layer_id, max_age},
    licence,
    server::{bilingual, web_address},
    symbols,
    table::Table,
    time,
};
use crate::{
    model::{
        CsvOptions, LayerDef, LayerId, Licence, SourceDef, SourceLocation, TableSource,
        TerritoryBinding, Text, live::id_of_table,
    },
    text,
};
use std::time::Duration;

pub(super) const KEYS: &[&str] = &[
    "table",
    "id",
    "title",
    "title_en",
    "description",
    "description_en",
    "producer",
    "contact",
    "licence",
    "attribution",
    "described_at",
    "published_at",
    "page",
    "key",
    "geometry",
    "srid",
    "properties",
    "allow_slow",
    "label",
    "fields",
    "style",
    "max_age_s",
    "territory",
    "time",
    "tiles",
];

/// A published table, with the lines other checks of it need.
pub(super) struct Read {
    pub(super) def: LayerDef,
    pub(super) id_line: usize,
    pub(super) style_line: usize,
}

/// Reads one `[[tables]]`; `None` when it cannot make a layer, which its problems explain.
pub(super) fn read(table: &Table<'_>) -> Option<Read> {
    if !table.has("table") {
        table.missing("table");
    }
    let name = table.parsed("table", parse_name);
    let id = match table.has("id") {
        true => table.parsed("id", layer_id),
        false => name.as_ref().and_then(|name| named_after(table, &name.table)),
    };
    let licence = match table.has("licence") {
        true => licence::read(table),
        false => Some(unspecified()),
    };
    let territory = table
        .table("territory", binding::TABLE_KEYS)
        .map_or_else(TerritoryBinding::default, |inner| binding::read(&inner));
    let producer = table.string("producer").unwrap_or_else(|| "Producteur non précisé".into());
    let attribution = table.string("attribution").unwrap_or_else(|| producer.clone());
    let srid = table.integer("srid", 1..=999_999).and_then(|n| u32::try_from(n).ok());
    let symbols = symbols::of_table(table);
    let name = name.map(|name| TableSource {
        geometry: table.string("geometry"),
        srid,
        key: table.string("key"),
        properties: table.has("properties").then(|| table.strings("properties")).flatten(),
        allow_slow: table.boolean("allow_slow").unwrap_or(false),
        ..name
    });
    let def = LayerDef {
        title: bilingual(table, "title", "title_en", Text::default()),
        description: bilingual(table, "description", "description_en", Text::default()),
        contact: table.parsed("contact", contact),
        licence: licence?,
        attribution,
        producer,
        described_at: table.date("described_at"),
        published_at: table.date("published_at"),
        page: table.parsed("page", |u| web_address(u).map(String::from)),
        key: table.string("key"),
        label: table.string("label"),
        fields: fields::read(table),
        source: source(name?),
        territory,
        time: table.table("time", time::KEYS).and_then(|inner| time::read(&inner)),
        tiles: symbols::tiles(table, &symbols, TABLE_TILE_KEYS),
        style: document_of(table),
        symbols,
        max_age: max_age(table),
        keep_versions: 0,
        hold: crate::model::HoldRules::default(),
        rows: None,
        schedule: None,
        id: id?,
    };
    Some(Read { def, id_line: table.line_of("table"), style_line: table.line_of("style") })
}

fn named_after(table: &Table<'_>, name: &str) -> Option<LayerId> {
    let id = id_of_table(name);
    if id.is_none() {
        table.report(
            "table",
            text!(
                "son nom ne donne pas d'identifiant : ajoutez « id »",
                "its name makes no id: add \"id\""
            ),
        );
    }
    id
}

fn unspecified() -> Licence {
    Licence { id: "notspecified".into(), title: "Licence non précisée".into(), url: None }
}

/// A table is fetched from nowhere: the other options of a source are their defaults.
fn source(table: TableSource) -> SourceDef {
    SourceDef {
        location: SourceLocation::Table(table),
        format: None,
        crs: None,
        encoding: None,
        member: None,
        csv: CsvOptions::default(),
        max_bytes: 0,
        timeout: Duration::ZERO,
    }
}

/// `schema.table` or `table` (of `public`), each part as the database spells it, or between
/// double quotes when it holds a dot.
fn parse_name(words: &str) -> Result<TableSource, Text> {
    let refused = || {
        text!(
            "attendu « schéma.table », un nom qui contient un point entre guillemets doubles",
            "expected \"schema.table\", a name that holds a dot between double quotes"
        )
    };
    let (first, rest) = part(words).ok_or_else(refused)?;
    let (schema, table) = match rest.strip_prefix('.') {
        None if rest.is_empty() => ("public".to_owned(), first),
        None => return Err(refused()),
        Some(rest) => {
            let (second, rest) = part(rest).ok_or_else(refused)?;
            if !rest.is_empty() {
                return Err(refused());
            }
            (first, second)
        }
    };
    Ok(TableSource {
        schema,
        table,
        geometry: None,
        srid: None,
        key: None,
        properties: None,
        allow_slow: false,
    })
}

/// A name at the beginning of a text, and what follows it.
fn part(words: &str) -> Option<(String, &str)> {
    let (name, rest) = match words.strip_prefix('"') {
        None => {
            let end = words.find('.').unwrap_or(words.len());
            (words[..end].to_owned(), &words[end..])
        }
        Some(inner) => {
            let mut name = String::new();
            let mut rest = inner;
            loop {
                let (before, after) = rest.split_once('"')?;
                name.push_str(before);
                match after.strip_prefix('"') {
                    Some(after) => {
                        name.push('"');
                        rest = after;
                    }
                    None => break (name, after),
                }
            }
        }
    };
    (!name.is_empty() && !name.contains('\0') && name.len() <= 63).then_some((name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_the_database_spells_them() {
        let read = |s: &str| parse_name(s).map(|t| (t.schema, t.table)).ok();
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(read("travaux"), pair("public", "travaux"));
        assert_eq!(read("gestion.Écoles d'été"), pair("gestion", "Écoles d'été"));
        assert_eq!(read(r#""a.b"."c""d""#), pair("a.b", "c\"d"));
        assert_eq!(read(r#"select."LINE_NUMB-SEG""#), pair("select", "LINE_NUMB-SEG"));
        for bad in ["", ".", "a.", "a.b.c", r#""a"#, r#""a"b"#, "a\0", &"x".repeat(64)] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
