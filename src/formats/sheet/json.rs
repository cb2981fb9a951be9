//! JSON tables: an array of objects, or an object with such an array in `rows`. Members keep their
//! order and their text: `1.10` stays `1.10`, and a number of twenty digits all of them.

use super::{COLUMNS, Form, Kind, Table, too_wide};
use crate::{
    error::{Error, Result},
    model::{Cell, Sheet},
    text,
};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Members of an object in the order they were written.
struct Row(Vec<(String, Cell)>);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Row;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    members.push((name, cell(value.get())));
                }
                Ok(Row(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// The cell of a value's text.
fn cell(raw: &str) -> Cell {
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(raw).map(Cell::from).unwrap_or_default(),
        Some(b'n') => Cell::Empty,
        _ => Cell::Json(raw.to_owned()),
    }
}

#[derive(Deserialize)]
struct Wrapped {
    rows: Vec<Row>,
}

pub(super) fn read(bytes: &[u8]) -> Result<Table> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let wrapped = bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    let rows = match wrapped {
        true => serde_json::from_slice::<Wrapped>(bytes).map(|document| document.rows),
        false => serde_json::from_slice::<Vec<Row>>(bytes),
    };
    let rows = rows.map_err(|cause| {
        let (line, column) = (cause.line(), cause.column());
        Error::Invalid(text!(
            "JSON illisible à la ligne {line}, colonne {column} : attendu un tableau d'objets, ou un objet dont « rows » en est un.",
            "Unreadable JSON at line {line}, column {column}: an array of objects is expected, or an object whose \"rows\" is one."
        ))
    })?;
    let mut sheet = Sheet::default();
    let mut columns: FxHashMap<String, usize> = FxHashMap::default();
    for (number, Row(members)) in (1u64..).zip(rows) {
        let mut cells = vec![Cell::Empty; sheet.header.len()];
        for (name, value) in members {
            let at = *columns.entry(name).or_insert_with_key(|name| {
                sheet.header.push(name.clone());
                sheet.header.len() - 1
            });
            if at >= COLUMNS {
                return Err(too_wide());
            }
            if cells.len() <= at {
                cells.resize(at + 1, Cell::Empty);
            }
            if let Some(held) = cells.get_mut(at) {
                *held = value;
            }
        }
        sheet.rows.push(cells);
        sheet.lines.push(number);
    }
    let width = sheet.header.len();
    sheet.rows.iter_mut().for_each(|row| row.resize(width, Cell::Empty));
    Ok(Table { sheet, form: Form::usual(Kind::Json), notes: Vec::new() })
}

/// The names of members: those of the columns, with a number where one repeats.
fn members(header: &[String]) -> Vec<String> {
    let mut taken: FxHashSet<String> = FxHashSet::default();
    let unique = |name: &String| {
        let numbered = (2..).map(|n| format!("{name}_{n}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        names.find(|name| taken.insert(name.clone())).unwrap_or_default()
    };
    header.iter().map(unique).collect()
}

/// The rows as an array of objects.
pub(super) fn rows(sheet: &Sheet) -> Result<Vec<u8>> {
    let fault = |e| Error::fault("writing JSON", e);
    let names: Result<Vec<Vec<u8>>, _> =
        members(&sheet.header).iter().map(serde_json::to_vec).collect();
    let names = names.map_err(fault)?;
    let mut out = vec![b'['];
    for (i, row) in sheet.rows.iter().enumerate() {
        out.extend_from_slice(if i == 0 { b"{" } else { b",\n{" });
        for (at, (name, cell)) in names.iter().zip(row).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name);
            out.push(b':');
            match cell {
                Cell::Empty => out.extend_from_slice(b"null"),
                Cell::Text(text) | Cell::Moment { text, .. } => {
                    serde_json::to_writer(&mut out, text).map_err(fault)?;
                }
                Cell::Bool(yes) => serde_json::to_writer(&mut out, yes).map_err(fault)?,
                Cell::Number(n) if n.fract() == 0.0 && n.abs() < 9e15 => {
                    serde_json::to_writer(&mut out, &(*n as i64)).map_err(fault)?;
                }
                Cell::Number(n) => serde_json::to_writer(&mut out, n).map_err(fault)?,
                Cell::Json(raw) => out.extend_from_slice(raw.as_bytes()),
            }
        }
        out.push(b'}');
    }
    out.push(b']');
    Ok(out)
}
