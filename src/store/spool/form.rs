//! The bytes of a row in a file of rows: never kept, never shown, so that nothing is promised of them.

use crate::{
    formats::wkb,
    model::{Feature, Value},
};
use geo::CoordsIter;
use geo_types::Geometry;
use jiff::{Timestamp, civil::Date};

/// What can be kept aside.
pub trait Kept: Sized + Send + Sync {
    /// Bytes of memory it takes, about.
    fn weight(&self) -> usize;

    /// Appends its bytes.
    fn write(&self, out: &mut Vec<u8>);

    /// What [`Kept::write`] wrote; `None` when it is something else.
    fn read(bytes: &[u8]) -> Option<Self>;
}

impl Kept for Feature {
    fn weight(&self) -> usize {
        48 + self.id.len() + weight(&self.values, self.geometry.as_ref())
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.mvt_id.to_le_bytes());
        text(&self.id, out);
        write_values(&self.values, out);
        write_geometry(self.geometry.as_ref(), out);
    }

    fn read(mut bytes: &[u8]) -> Option<Self> {
        let mvt_id = u64::from_le_bytes(take(&mut bytes)?);
        let id = read_text(&mut bytes)?;
        let values = read_values(&mut bytes)?;
        Some(Self { id, mvt_id, values, geometry: read_geometry(bytes)? })
    }
}

/// Bytes of memory that the values and the geometry of a row take, about.
pub fn weight(values: &[Value], geometry: Option<&Geometry<f64>>) -> usize {
    let text = |value: &Value| match value {
        Value::Text(text) | Value::Json(text) => text.len() + 16,
        _ => 0,
    };
    let shape = match geometry {
        Some(Geometry::Point(_)) | None => 0,
        Some(shape) => 64 + size_of::<[f64; 2]>() * shape.coords_count(),
    };
    let own = size_of::<Option<Geometry<f64>>>() + size_of_val(values) + 48;
    own + shape + values.iter().map(text).sum::<usize>()
}

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT: u8 = 3;
const FLOAT: u8 = 4;
const TEXT: u8 = 5;
const DATE: u8 = 6;
const TIME: u8 = 7;
const JSON: u8 = 8;

/// Appends the values of a row.
pub fn write_values(values: &[Value], out: &mut Vec<u8>) {
    out.extend_from_slice(&(values.len() as u32).to_le_bytes());
    for value in values {
        match value {
            Value::Null => out.push(NULL),
            Value::Bool(b) => out.push(if *b { TRUE } else { FALSE }),
            Value::Int(i) => {
                out.push(INT);
                out.extend_from_slice(&i.to_le_bytes());
            }
            Value::Float(f) => {
                out.push(FLOAT);
                out.extend_from_slice(&f.to_bits().to_le_bytes());
            }
            Value::Text(s) => {
                out.push(TEXT);
                text(s, out);
            }
            Value::Json(s) => {
                out.push(JSON);
                text(s, out);
            }
            Value::Date(d) => {
                out.push(DATE);
                out.extend_from_slice(&d.year().to_le_bytes());
                out.extend_from_slice(&[d.month(), d.day()].map(i8::cast_unsigned));
            }
            Value::DateTime(t) => {
                out.push(TIME);
                out.extend_from_slice(&t.as_second().to_le_bytes());
                out.extend_from_slice(&t.subsec_nanosecond().to_le_bytes());
            }
        }
    }
}

/// The values that [`write_values`] wrote at the start of some bytes, which then begin behind them.
pub fn read_values(bytes: &mut &[u8]) -> Option<Vec<Value>> {
    let count = u32::from_le_bytes(take(bytes)?) as usize;
    let mut values = Vec::with_capacity(count.min(bytes.len()));
    for _ in 0..count {
        let [kind] = take(bytes)?;
        values.push(match kind {
            NULL => Value::Null,
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            INT => Value::Int(i64::from_le_bytes(take(bytes)?)),
            FLOAT => Value::Float(f64::from_bits(u64::from_le_bytes(take(bytes)?))),
            TEXT => Value::Text(read_text(bytes)?),
            JSON => Value::Json(read_text(bytes)?),
            DATE => {
                let year = i16::from_le_bytes(take(bytes)?);
                let [month, day] = take::<2>(bytes)?.map(u8::cast_signed);
                Value::Date(Date::new(year, month, day).ok()?)
            }
            TIME => {
                let second = i64::from_le_bytes(take(bytes)?);
                let nanosecond = i32::from_le_bytes(take(bytes)?);
                Value::DateTime(Timestamp::new(second, nanosecond).ok()?)
            }
            _ => return None,
        });
    }
    Some(values)
}

/// Appends the geometry of a row, which comes last.
pub fn write_geometry(geometry: Option<&Geometry<f64>>, out: &mut Vec<u8>) {
    if let Some(geometry) = geometry {
        wkb::write(geometry, out);
    }
}

/// The geometry that [`write_geometry`] wrote.
pub fn read_geometry(bytes: &[u8]) -> Option<Option<Geometry<f64>>> {
    if bytes.is_empty() { Some(None) } else { wkb::read(bytes).ok().map(Some) }
}

fn text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn read_text(bytes: &mut &[u8]) -> Option<String> {
    let length = u32::from_le_bytes(take(bytes)?) as usize;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    std::str::from_utf8(text).ok().map(str::to_owned)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}
