//! JSON tables: an array of objects, or an object with such an array in `rows`. Members keep their
//! order and their text: `1.10` stays `1.10`, and a number of twenty digits all of them.

use super::{COLUMNS, Form, Kind, Table, too_wide};
use crate::{
    error::{Error, Result},
    model::{Budget, Cell, Sheet},
    text,
};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;
use std::fmt;

/// Rows as they are read. Each is taken from the budget before the next one is looked at.
struct Rows<'a> {
    sheet: Sheet,
    columns: FxHashMap<String, usize>,
    budget: &'a Budget,
    /// What ended the reading, when it is more than bad JSON.
    fault: Option<Error>,
}

impl Rows<'_> {
    fn add(&mut self, cells: &mut Vec<Cell>, name: String, raw: &str) -> Result<()> {
        let Self { sheet, columns, budget, .. } = self;
        let value = cell(raw).ok_or_else(|| unreadable(sheet.rows.len() + 1, &name))?;
        budget.cells(0, value.held())?;
        let at = *columns.entry(name).or_insert_with_key(|name| {
            sheet.header.push(name.clone());
            sheet.header.len() - 1
        });
        if at >= COLUMNS {
            return Err(too_wide());
        }
        if cells.len() <= at {
            if cells.is_empty() {
                cells.reserve_exact(sheet.header.len());
            }
            budget.cells(at + 1 - cells.len(), 0)?;
            cells.resize(at + 1, Cell::Empty);
        }
        if let Some(held) = cells.get_mut(at) {
            *held = value;
        }
        Ok(())
    }

    fn end_row(&mut self, cells: Vec<Cell>) -> Result<()> {
        self.budget.row(0, 0)?;
        self.sheet.rows.push(cells);
        self.sheet.lines.push(self.sheet.rows.len() as u64);
        Ok(())
    }

    /// Keeps what ended the reading.
    fn keep<E: serde::de::Error>(&mut self, done: Result<()>) -> Result<(), E> {
        done.map_err(|fault| {
            self.fault = Some(fault);
            E::custom("ended")
        })
    }

    /// The table, with all rows as wide as its header.
    fn whole(mut self) -> Result<Sheet> {
        let width = self.sheet.header.len();
        for row in &mut self.sheet.rows {
            let lacking = width.saturating_sub(row.len());
            self.budget.cells(lacking, 0)?;
            row.reserve_exact(lacking);
            row.resize(width, Cell::Empty);
        }
        Ok(self.sheet)
    }
}

/// The document: the rows, or an object that has them in `rows`.
struct Document<'a, 'b>(&'a mut Rows<'b>);
/// The rows.
struct List<'a, 'b>(&'a mut Rows<'b>);
/// One of them, its members in the order they were written.
struct One<'a, 'b>(&'a mut Rows<'b>);

impl<'de> DeserializeSeed<'de> for Document<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        List(self.0).visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut found = false;
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "rows" if found => return Err(A::Error::duplicate_field("rows")),
                "rows" => {
                    map.next_value_seed(List(&mut *self.0))?;
                    found = true;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if found { Ok(()) } else { Err(A::Error::missing_field("rows")) }
    }
}

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(One(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for One<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for One<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut cells = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            let added = self.0.add(&mut cells, name, value.get());
            self.0.keep(added)?;
        }
        let ended = self.0.end_row(cells);
        self.0.keep(ended)
    }
}

/// The cell of a value's text; none for a text that is no text: half of a surrogate pair.
fn cell(raw: &str) -> Option<Cell> {
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(raw).ok().map(Cell::from),
        Some(b'n') => Some(Cell::Empty),
        _ => Some(Cell::Json(raw.to_owned())),
    }
}

fn unreadable(row: usize, name: &str) -> Error {
    let name: String = name.chars().take(60).collect();
    Error::Invalid(text!(
        "Objet {row} : le texte de « {name} » est illisible (un échappement \\uD800 à \\uDFFF va par deux).",
        "Object {row}: the text of \"{name}\" is unreadable (an escape \\uD800 to \\uDFFF goes in pairs)."
    ))
}

pub(super) fn read(bytes: &[u8], budget: &Budget) -> Result<Table> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let (sheet, columns) = (Sheet::default(), FxHashMap::default());
    let mut rows = Rows { sheet, columns, budget, fault: None };
    let mut document = serde_json::Deserializer::from_slice(bytes);
    let read = Document(&mut rows).deserialize(&mut document).and_then(|()| document.end());
    if let Some(fault) = rows.fault {
        return Err(fault);
    }
    read.map_err(|cause| {
        let (line, column) = (cause.line(), cause.column());
        Error::Invalid(text!(
            "JSON illisible à la ligne {line}, colonne {column} : attendu un tableau d'objets, ou un objet dont « rows » en est un.",
            "Unreadable JSON at line {line}, column {column}: an array of objects is expected, or an object whose \"rows\" is one."
        ))
    })?;
    Ok(Table { sheet: rows.whole()?, form: Form::usual(Kind::Json), notes: Vec::new() })
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
pub(super) fn rows(sheet: &Sheet, budget: &Budget) -> Result<Vec<u8>> {
    let fault = |e| Error::fault("writing JSON", e);
    let names: Result<Vec<Vec<u8>>, _> =
        members(&sheet.header).iter().map(serde_json::to_vec).collect();
    let names = names.map_err(fault)?;
    let members: usize = names.iter().map(|name| name.len() + 6).sum();
    let mut out = vec![b'['];
    for (i, row) in sheet.rows.iter().enumerate() {
        // Each row spells out the names of all columns.
        budget.cells(0, members + row.iter().map(Cell::held).sum::<usize>())?;
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
