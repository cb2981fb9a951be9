//! Tables as JSON: an array of objects, or an object of objects whose names are the keys of the rows
//! (`{"59350": {…}}`), at the top or as a member of the document. Rows are written out as delimited
//! text, one by one, and read from there as any CSV: coordinates, WKT, GeoJSON and codes are found
//! the same way. What is text stays text.

use super::{
    Next, Reader,
    csv::CsvReader,
    encoding, geojson_reader, refused,
    workbook::spool::{Spool, Spooled},
};
use crate::{
    error::{Error, Result},
    model::{Cell, CsvOptions, Field, SourceDef, SourceLimits, Text},
    text,
};
use rustc_hash::FxHashMap;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::{
    fmt,
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

/// Name of the column that holds the keys of rows.
const KEY: &str = "key";

/// Members by which GeoJSON is told (RFC 7946 §3).
const GEOJSON: [&str; 6] =
    ["type", "features", "geometry", "properties", "coordinates", "geometries"];

/// Where the rows are: a member of the document, or the document itself.
type Place = Option<String>;

/// Reads one JSON table.
pub struct JsonTableReader {
    rows: CsvReader,
    notes: Vec<Text>,
}

impl JsonTableReader {
    /// Opens a file. `member`: which member of the document is the table, when several could be.
    pub(super) fn open(
        path: &Path,
        member: Option<&str>,
        source: &SourceDef,
        workdir: &Path,
        limits: &SourceLimits,
    ) -> Result<Self> {
        let tables = discover(path)?;
        let (place, keyed) = choose(tables, member)?;
        let mut columns: Vec<String> = if keyed { vec![KEY.to_owned()] } else { Vec::new() };
        let mut index: FxHashMap<String, usize> = FxHashMap::default();
        let mut names = |row: Row| {
            for (name, _) in row.cells {
                if !index.contains_key(&name) {
                    index.insert(name.clone(), columns.len());
                    columns.push(name);
                    super::types::few_columns(columns.len(), limits)?;
                }
            }
            Ok(())
        };
        walk(path, &place, &mut names)?;
        let to = workdir.join("table.csv");
        let mut spool = Spool::create(&to, limits)?;
        for (i, name) in columns.iter().enumerate() {
            spool.cell(0, i, Cell::Text(name.clone()))?;
        }
        let mut at = 0;
        let mut write = |row: Row| {
            at += 1;
            if let Some(key) = row.key {
                spool.cell(at, 0, Cell::Text(key))?;
            }
            let mut cells: Vec<(usize, Cell)> = Vec::with_capacity(row.cells.len());
            for (name, value) in row.cells {
                if let Some(column) = index.get(&name) {
                    cells.push((*column, cell(value)));
                }
            }
            cells.into_iter().try_for_each(|(column, cell)| spool.cell(at, column, cell))
        };
        walk(path, &place, &mut write)?;
        let Spooled { text, .. } = spool.finish(String::new(), Vec::new())?;
        let mut options = CsvOptions {
            separator: Some(','),
            decimal: None,
            header: Some(true),
            ..source.csv.clone()
        };
        options.text.extend(text);
        let csv = SourceDef { encoding: Some("utf-8".into()), csv: options, ..source.clone() };
        let rows = CsvReader::open(&to, &csv, limits)?;
        let notes = match &place {
            Some(name) => {
                let name: String = name.chars().take(60).collect();
                vec![text!("table JSON « {name} »", "JSON table \"{name}\"")]
            }
            None => vec![text!("table JSON", "JSON table")],
        };
        Ok(Self { rows, notes })
    }
}

/// Whether the start of a JSON text is that of a table: an array, or an object none of whose members
/// is one of GeoJSON's. What is cut before its first member ends is nothing yet.
pub(super) fn plausible(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches(['\u{feff}', ' ', '\n', '\r', '\t']);
    match text.chars().next() {
        Some('[') => true,
        Some('{') => {
            let members = geojson_reader::members(text);
            !members.is_empty() && !members.iter().any(|name| GEOJSON.contains(&name.as_str()))
        }
        _ => false,
    }
}

fn choose(tables: Vec<(Place, bool)>, member: Option<&str>) -> Result<(Place, bool)> {
    let name = |(place, _): &(Place, bool)| place.clone().unwrap_or_default();
    let list = tables.iter().map(name).take(20).collect::<Vec<_>>().join(", ");
    if let Some(wanted) = member {
        let found = tables.into_iter().find(|(place, _)| place.as_deref() == Some(wanted));
        return found.ok_or_else(|| {
            refused(text!(
                "le document JSON n'a pas de table « {wanted} » ; il contient : {list}",
                "the JSON document has no table \"{wanted}\"; it holds: {list}"
            ))
        });
    }
    let mut tables = tables.into_iter();
    match (tables.next(), tables.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(refused(text!(
            "ce JSON n'est ni du GeoJSON (FeatureCollection) ni une table (tableau d'objets)",
            "this JSON is neither GeoJSON (FeatureCollection) nor a table (array of objects)"
        ))),
        _ => Err(refused(text!(
            "le document JSON contient plusieurs tables : choisir avec « member » parmi {list}",
            "the JSON document holds several tables: choose one with \"member\" among {list}"
        ))),
    }
}

/// A row on its way.
struct Row {
    key: Option<String>,
    cells: Vec<(String, Value)>,
}

fn cell(value: Value) -> Cell {
    match value {
        Value::Null => Cell::Empty,
        Value::Bool(b) => Cell::Bool(b),
        // As it is written: no digit is lost.
        Value::Number(n) => Cell::Json(n.to_string()),
        Value::String(s) => Cell::from(s),
        nested => Cell::Json(nested.to_string()),
    }
}

/// Bytes of JSON as UTF-8; other encodings are told by a byte order mark alone.
fn text_of(path: &Path) -> Result<impl Read> {
    let mut file = BufReader::new(File::open(path).map_err(|e| Error::io(path, e))?);
    let mut head = Vec::new();
    file.by_ref().take(3).read_to_end(&mut head).map_err(|e| Error::io(path, e))?;
    match encoding_rs::Encoding::for_bom(&head) {
        Some((found, _)) if found != encoding_rs::UTF_8 => {
            let name = encoding::Charset::Whatwg(found).name();
            Err(refused(text!("JSON en {name} : UTF-8 attendu", "JSON in {name}: UTF-8 expected")))
        }
        Some(_) => Ok(std::io::Cursor::new(Vec::new()).chain(file)),
        None => Ok(std::io::Cursor::new(head).chain(file)),
    }
}

fn deserialize<S: for<'de> DeserializeSeed<'de>>(path: &Path, seed: S) -> Result<()> {
    let mut json = serde_json::Deserializer::from_reader(text_of(path)?);
    let read = seed.deserialize(&mut json).map(drop).and_then(|()| json.end());
    read.map_err(|e| {
        let (line, column) = (e.line(), e.column());
        let what: String = e.to_string().chars().take(120).collect();
        match e.is_eof() {
            true => refused(text!(
                "JSON tronqué (ligne {line}, colonne {column})",
                "truncated JSON (line {line}, column {column})"
            )),
            false => refused(text!("JSON illisible : {what}", "unreadable JSON: {what}")),
        }
    })
}

/// The tables of a document, each with whether its rows have keys.
fn discover(path: &Path) -> Result<Vec<(Place, bool)>> {
    let mut found = Vec::new();
    deserialize(path, Discover(&mut found))?;
    Ok(found)
}

/// What a value is, as far as tables go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Scalar,
    /// An object; whether all its members are objects, and there are any.
    Object(bool),
    /// An array; whether all its elements are objects, and there are any.
    Array(bool),
}

/// Tells the shape of a value; what is inside counts as an object or as none.
struct Look;

impl<'de> DeserializeSeed<'de> for Look {
    type Value = Shape;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Shape, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }
    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }
    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let (mut any, mut all) = (false, true);
        while map.next_key::<IgnoredAny>()?.is_some() {
            any = true;
            all &= matches!(map.next_value_seed(Look)?, Shape::Object(_));
        }
        Ok(Shape::Object(any && all))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        let (mut any, mut all) = (false, true);
        while let Some(element) = seq.next_element_seed(Look)? {
            any = true;
            all &= matches!(element, Shape::Object(_));
        }
        Ok(Shape::Array(any && all))
    }
}

/// Finds the tables of a document.
struct Discover<'a>(&'a mut Vec<(Place, bool)>);

impl<'de> DeserializeSeed<'de> for Discover<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Discover<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects, or an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // Only members that are all objects make the document itself a table.
        let (mut any, mut all) = (false, true);
        while let Some(name) = map.next_key::<String>()? {
            any = true;
            match map.next_value_seed(Look)? {
                Shape::Array(true) => {
                    all = false;
                    self.0.push((Some(name), false));
                }
                Shape::Object(true) => self.0.push((Some(name), true)),
                Shape::Object(false) => {}
                Shape::Scalar | Shape::Array(false) => all = false,
            }
        }
        if self.0.is_empty() && any && all {
            self.0.push((None, true));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let (mut any, mut all) = (false, true);
        while let Some(element) = seq.next_element_seed(Look)? {
            any = true;
            all &= matches!(element, Shape::Object(_));
        }
        if any && all {
            self.0.push((None, false));
        }
        Ok(())
    }
}

/// Shows every row of the table at a place. An error of the caller's ends the walk and is given
/// back.
fn walk(path: &Path, place: &Place, see: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
    let mut failed = None;
    let read = deserialize(path, Walk { place, see, failed: &mut failed, top: true });
    match failed {
        Some(error) => Err(error),
        None => read,
    }
}

struct Walk<'a> {
    place: &'a Place,
    see: &'a mut dyn FnMut(Row) -> Result<()>,
    failed: &'a mut Option<Error>,
    top: bool,
}

impl Walk<'_> {
    fn row<E: serde::de::Error>(&mut self, key: Option<String>, cells: Object) -> Result<(), E> {
        (self.see)(Row { key, cells: cells.0 }).map_err(|e| {
            *self.failed = Some(e);
            E::custom("stopped")
        })
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            match (self.top, self.place) {
                (true, Some(wanted)) if *wanted == name => {
                    let (place, failed) = (self.place, &mut *self.failed);
                    map.next_value_seed(Walk { place, see: &mut *self.see, failed, top: false })?;
                }
                (true, Some(_)) => drop(map.next_value::<IgnoredAny>()?),
                _ => {
                    let cells = map.next_value::<Object>()?;
                    self.row(Some(name), cells)?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(cells) = seq.next_element::<Object>()? {
            self.row(None, cells)?;
        }
        Ok(())
    }
}

/// An object in the order it is written in.
struct Object(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }
        d.deserialize_map(Members)
    }
}

impl Reader for JsonTableReader {
    fn next(&mut self) -> Result<Next> {
        // Rows are told by their number: the header is no row of the document.
        Ok(match self.rows.next()? {
            Next::Record(mut record) => {
                record.line = record.line.saturating_sub(1);
                Next::Record(record)
            }
            other => other,
        })
    }

    fn fields(&self) -> &[Field] {
        self.rows.fields()
    }

    fn crs(&self) -> Option<&str> {
        self.rows.crs()
    }

    fn notes(&self) -> Vec<Text> {
        let own = |note: &Text| !note.en.starts_with("encoding ");
        self.notes.iter().cloned().chain(self.rows.notes().into_iter().filter(own)).collect()
    }

    fn expected(&self) -> Option<u64> {
        self.rows.expected()
    }

    fn position(&self) -> u64 {
        self.rows.position()
    }
}
