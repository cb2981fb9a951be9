//! FlatGeobuf 3 (<https://flatgeobuf.org>), read feature after feature; the index is stepped over.
//!
//! Own code, as the writer is: reading FlatBuffers by the field, every offset checked against the
//! bytes that are there, needs neither generated code nor `unsafe`, and no length of the file's
//! decides how much is allocated.

mod geometry;
mod table;

use super::{
    Next, Reader, not_kept, refused,
    types::{self, FieldSet},
};
use crate::{
    error::{Error, Result},
    model::{
        Field, FieldKind, Record, Refusal, RefusalReason, SourceDef, SourceLimits, Text, Value,
    },
    text,
};
use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
};
use table::Table;

/// Most bytes of the header, and of one feature.
const MAX_HEADER: u64 = 16 << 20;
const MAX_FEATURE: u64 = 256 << 20;

/// A column, by its code in the schema (`ColumnType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Column {
    /// The position of the field, as they are given here.
    field: usize,
    code: u8,
}

impl Column {
    /// The kind of its field; `None` for one of bytes, which nothing here can show.
    fn kind(code: u8) -> Option<FieldKind> {
        Some(match code {
            2 => FieldKind::Bool,
            0 | 1 | 3..=8 => FieldKind::Int,
            9 | 10 => FieldKind::Float,
            11 => FieldKind::Text,
            12 => FieldKind::Json,
            // An instant, or a date: what is written tells.
            13 => FieldKind::DateTime,
            _ => return None,
        })
    }
}

/// Reads one FlatGeobuf file.
pub struct FlatGeobufReader {
    input: BufReader<File>,
    fields: FieldSet,
    columns: Vec<Option<Column>>,
    crs: Option<String>,
    /// The geometry type that features without their own have.
    shape: u8,
    has_z: bool,
    number: u64,
    expected: u64,
    position: u64,
    size: u64,
    buffer: Vec<u8>,
    notes: Vec<Text>,
}

impl FlatGeobufReader {
    /// Opens a file.
    pub fn open(path: &Path, source: &SourceDef, limits: &SourceLimits) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let size = file.metadata().map_err(|e| Error::io(path, e))?.len();
        let mut input = BufReader::with_capacity(1 << 17, file);
        let mut magic = [0u8; 8];
        input.read_exact(&mut magic).map_err(|_| cut(0))?;
        let mut buffer = Vec::new();
        let length = sized(&mut input, MAX_HEADER, &mut buffer)?.ok_or_else(|| cut(0))?;
        let root = Table::root(&buffer).ok_or_else(|| broken(0))?;
        let shape = root.u8(2).unwrap_or(0);
        let z = root.u8(3).unwrap_or(0) != 0 || root.u8(4).unwrap_or(0) != 0;
        let expected = root.u64(8).unwrap_or(0);
        let mut fields = FieldSet::default();
        let mut notes = Vec::new();
        let columns = declared(&root, &mut fields, limits, &mut notes)?;
        let crs = root.table(10).and_then(|crs| system(&crs));
        if crs.is_none() && source.crs.is_none() {
            notes.push(text!("FlatGeobuf sans CRS", "FlatGeobuf without CRS"));
        }
        let index = index_size(expected, root.u16(9).unwrap_or(16)).ok_or_else(|| broken(0))?;
        let position = 8 + 4 + length + index;
        if position > size {
            return Err(cut(0));
        }
        input.seek(SeekFrom::Start(position)).map_err(|e| Error::io(path, e))?;
        Ok(Self {
            input,
            fields,
            columns,
            crs,
            shape,
            has_z: z,
            number: 0,
            expected,
            position,
            size,
            buffer,
            notes,
        })
    }

    fn feature(&mut self) -> Next {
        let line = self.number;
        let refuse =
            |reason, text| Next::Refused(Refusal { line, column: None, value: None, reason, text });
        let bad = || text!("entité FlatGeobuf mal formée", "malformed FlatGeobuf feature");
        let Some(feature) = Table::root(&self.buffer) else {
            return refuse(RefusalReason::BrokenRow, bad());
        };
        let geometry = match feature.table(0) {
            None => None,
            Some(table) => match geometry::read(&table, self.shape) {
                Ok(geometry) => geometry,
                Err(text) => return refuse(RefusalReason::InvalidGeometry, text),
            },
        };
        let own = feature.vector(2).is_some_and(|own| !own.is_empty());
        if own {
            return refuse(
                RefusalReason::BrokenRow,
                text!(
                    "l'entité a des colonnes à elle, ce qui n'est pas lu",
                    "the feature has columns of its own, which are not read"
                ),
            );
        }
        let mut values = vec![Value::Null; self.fields.len()];
        let properties = feature.bytes(1).unwrap_or_default();
        if properties_of(properties, &self.columns, &mut values).is_none() {
            return refuse(RefusalReason::BrokenRow, bad());
        }
        for (at, value) in values.iter().enumerate() {
            self.fields.observe(at, value);
        }
        Next::Record(Record { line, values, geometry })
    }
}

/// The fields of the header's columns.
fn declared(
    root: &Table<'_>,
    fields: &mut FieldSet,
    limits: &SourceLimits,
    notes: &mut Vec<Text>,
) -> Result<Vec<Option<Column>>> {
    let Some(list) = root.vector(7) else { return Ok(Vec::new()) };
    types::few_columns(list.len(), limits)?;
    let tables: Vec<Table<'_>> = list.tables().collect::<Option<_>>().ok_or_else(|| broken(0))?;
    let (names, said) = types::column_names(tables.iter().map(|c| c.string(0).unwrap_or_default()));
    notes.extend(said);
    let mut columns = Vec::with_capacity(tables.len());
    let mut dropped = Vec::new();
    for (table, name) in tables.iter().zip(names) {
        let code = table.u8(1).unwrap_or(0);
        match Column::kind(code) {
            // Kinds of instants follow from what is written.
            Some(FieldKind::DateTime) => {
                columns.push(Some(Column { field: fields.slot(&name, usize::MAX), code }));
            }
            Some(kind) => columns.push(Some(Column { field: fields.declare(name, kind), code })),
            None => {
                columns.push(None);
                dropped.push(name);
            }
        }
    }
    if !dropped.is_empty() {
        let names = dropped.join(", ");
        notes.push(text!(
            "colonnes d'octets non gardées : {names}",
            "columns of bytes not kept: {names}"
        ));
    }
    Ok(columns)
}

/// `EPSG:n` or WKT.
fn system(crs: &Table<'_>) -> Option<String> {
    let org = crs.string(0).filter(|org| !org.is_empty()).unwrap_or("EPSG");
    let code = crs.i32(1).filter(|code| *code > 0);
    if org.eq_ignore_ascii_case("EPSG")
        && let Some(code) = code
    {
        return Some(format!("EPSG:{code}"));
    }
    if org.eq_ignore_ascii_case("OGC") && crs.string(5).is_some_and(|c| c.contains("CRS84")) {
        return Some("OGC:CRS84".into());
    }
    let said = crs.string(4).or_else(|| crs.string(5)).or_else(|| crs.string(2));
    said.filter(|wkt| !wkt.trim().is_empty()).map(str::to_owned)
}

/// Bytes of the packed tree: 40 a node, of every level up to the root.
fn index_size(features: u64, node: u16) -> Option<u64> {
    if node == 0 || features == 0 {
        return Some(0);
    }
    let node = u64::from(node.max(2));
    let (mut level, mut nodes) = (features, features);
    while level > 1 {
        level = level.div_ceil(node);
        nodes = nodes.checked_add(level)?;
    }
    if features == 1 {
        nodes += 1;
    }
    nodes.checked_mul(40)
}

/// Reads what a length stands before; `None` at the end of the file.
fn sized(input: &mut impl Read, most: u64, out: &mut Vec<u8>) -> Result<Option<u64>> {
    let mut length = [0u8; 4];
    match input.read(&mut length) {
        Ok(0) => return Ok(None),
        Ok(4) => {}
        Ok(n) => {
            let rest = length.get_mut(n..).unwrap_or_default();
            input.read_exact(rest).map_err(|_| cut(0))?;
        }
        Err(e) => return Err(Error::fault("reading a FlatGeobuf", e)),
    }
    let length = u64::from(u32::from_le_bytes(length));
    if length > most {
        let most = most >> 20;
        return Err(refused(text!(
            "FlatGeobuf : une entité ou un en-tête de plus de {most} Mio",
            "FlatGeobuf: a feature or a header of more than {most} MiB"
        )));
    }
    out.clear();
    // Grows as bytes come: what the file says decides nothing.
    let got = input.take(length).read_to_end(out);
    let got = got.map_err(|e| Error::fault("reading a FlatGeobuf", e))?;
    if got as u64 == length { Ok(Some(length)) } else { Err(cut(0)) }
}

fn cut(feature: u64) -> Error {
    match feature {
        0 => refused(text!("FlatGeobuf tronqué", "truncated FlatGeobuf")),
        n => refused(text!(
            "FlatGeobuf tronqué : le fichier s'arrête dans l'entité {n}",
            "truncated FlatGeobuf: the file stops within feature {n}"
        )),
    }
}

fn broken(_: u64) -> Error {
    refused(text!("en-tête FlatGeobuf mal formé", "malformed FlatGeobuf header"))
}

/// The values of a feature: each a column and what it holds; `None` when they are cut.
fn properties_of(mut bytes: &[u8], columns: &[Option<Column>], values: &mut [Value]) -> Option<()> {
    while !bytes.is_empty() {
        let at = u16::from_le_bytes(take(&mut bytes)?);
        let column = columns.get(usize::from(at))?;
        let code = column.map_or(14, |column| column.code);
        let value = value(code, &mut bytes)?;
        if let Some(column) = column {
            *values.get_mut(column.field)? = value;
        }
    }
    Some(())
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

fn value(code: u8, bytes: &mut &[u8]) -> Option<Value> {
    let float = |f: f64| if f.is_finite() { Value::Float(f) } else { Value::Null };
    Some(match code {
        0 => Value::Int(i8::from_le_bytes(take(bytes)?).into()),
        1 => Value::Int(u8::from_le_bytes(take(bytes)?).into()),
        2 => Value::Bool(take::<1>(bytes)? != [0]),
        3 => Value::Int(i16::from_le_bytes(take(bytes)?).into()),
        4 => Value::Int(u16::from_le_bytes(take(bytes)?).into()),
        5 => Value::Int(i32::from_le_bytes(take(bytes)?).into()),
        6 => Value::Int(u32::from_le_bytes(take(bytes)?).into()),
        7 => Value::Int(i64::from_le_bytes(take(bytes)?)),
        8 => {
            let n = u64::from_le_bytes(take(bytes)?);
            i64::try_from(n).map_or_else(|_| Value::Text(n.to_string()), Value::Int)
        }
        // The shortest digits that read back the same, as GDAL shows a single.
        9 => float(f32::from_le_bytes(take(bytes)?).to_string().parse().ok()?),
        10 => float(f64::from_le_bytes(take(bytes)?)),
        _ => {
            let length = usize::try_from(u32::from_le_bytes(take(bytes)?)).ok()?;
            let (text, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            let text = types::nfc(String::from_utf8_lossy(text).into_owned());
            match code {
                12 => types::json(&text).unwrap_or(Value::Text(text)),
                13 => moment(text),
                _ => Value::Text(text),
            }
        }
    })
}

/// A date, or an instant where the offset is written.
fn moment(text: String) -> Value {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Value::DateTime(at);
    }
    // The schema has no dates: they are written as midnight, without a zone.
    let day = text.strip_suffix("T00:00:00").unwrap_or(&text);
    match day.parse::<jiff::civil::Date>() {
        Ok(date) if day.len() == 10 => Value::Date(date),
        _ => Value::Text(text),
    }
}

impl Reader for FlatGeobufReader {
    fn next(&mut self) -> Result<Next> {
        if self.expected > 0 && self.number == self.expected {
            return Ok(Next::End);
        }
        let cut_here = self.number + 1;
        let length =
            sized(&mut self.input, MAX_FEATURE, &mut self.buffer).map_err(|e| match e {
                Error::Refused(text) if text.en.contains("truncated") => cut(cut_here),
                other => other,
            })?;
        let Some(length) = length else {
            if self.expected > self.number {
                return Err(cut(cut_here));
            }
            return Ok(Next::End);
        };
        self.number += 1;
        self.position += 4 + length;
        Ok(self.feature())
    }

    fn fields(&self) -> &[Field] {
        self.fields.fields()
    }

    fn crs(&self) -> Option<&str> {
        self.crs.as_deref()
    }

    fn notes(&self) -> Vec<Text> {
        let mut notes = self.notes.clone();
        notes.extend(not_kept(if self.has_z { self.number } else { 0 }, 0));
        notes
    }

    fn expected(&self) -> Option<u64> {
        (self.expected > 0).then_some(self.expected)
    }

    fn position(&self) -> u64 {
        self.position.min(self.size)
    }
}
