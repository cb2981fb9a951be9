//! Columns of a Parquet file and their values.

use crate::{
    formats::types,
    model::{FieldKind, Value},
};
use parquet::{
    basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical},
    record::Field as Cell,
    schema::types::Type,
};
use serde_json::Value as Json;

/// What a column becomes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) field: usize,
    /// The kind that the file declares; `None`: what its values show.
    pub(super) kind: Option<FieldKind>,
    pub(super) form: Form,
}

/// How values stand for what they mean, where the crate does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Json,
    /// Parts of a second since 1970: in UTC, or of a clock whose zone nobody knows.
    Moments {
        per_second: i64,
        utc: bool,
    },
    /// A decimal number.
    Decimal(FieldKind),
}

impl Column {
    pub(super) fn of(column: &Type) -> Self {
        let (kind, form) = form(column);
        Self { field: 0, kind, form }
    }

    /// A value; `None` when it is of bytes that mean nothing here.
    pub(super) fn value(&self, cell: Cell) -> Option<Value> {
        let float = |f: f64| if f.is_finite() { Value::Float(f) } else { Value::Null };
        Some(match (cell, self.form) {
            (Cell::Null, _) => Value::Null,
            (Cell::Long(n), Form::Moments { per_second, utc }) => moment(n, per_second, utc),
            (Cell::TimestampMillis(n), form) => moment(n, 1000, form.utc()),
            (Cell::TimestampMicros(n), form) => moment(n, 1_000_000, form.utc()),
            (Cell::Bool(b), _) => Value::Bool(b),
            (Cell::Byte(n), _) => Value::Int(n.into()),
            (Cell::Short(n), _) => Value::Int(n.into()),
            (Cell::Int(n), _) => Value::Int(n.into()),
            (Cell::Long(n), _) => Value::Int(n),
            (Cell::UByte(n), _) => Value::Int(n.into()),
            (Cell::UShort(n), _) => Value::Int(n.into()),
            (Cell::UInt(n), _) => Value::Int(n.into()),
            (Cell::ULong(n), _) => {
                i64::try_from(n).map_or_else(|_| Value::Text(n.to_string()), Value::Int)
            }
            (Cell::Float16(f), _) => float(f64::from(f32::from(f))),
            // The shortest digits that read back the same.
            (Cell::Float(f), _) => float(f.to_string().parse().ok()?),
            (Cell::Double(f), _) => float(f),
            (Cell::Date(days), _) => date(days)?,
            (Cell::Decimal(decimal), Form::Decimal(kind)) => {
                let text = Cell::Decimal(decimal).to_string();
                match kind {
                    FieldKind::Int => text.parse().map_or(Value::Text(text), Value::Int),
                    FieldKind::Float => text.parse().map_or(Value::Text(text), Value::Float),
                    _ => Value::Text(text),
                }
            }
            (Cell::Str(text), Form::Json) => {
                types::json(&text).unwrap_or_else(|| Value::Text(types::nfc(text)))
            }
            (Cell::Str(text), _) => Value::Text(types::nfc(text)),
            // Old writers leave out that bytes are text.
            (Cell::Bytes(bytes), _) => {
                Value::Text(types::nfc(std::str::from_utf8(bytes.data()).ok()?.to_owned()))
            }
            (cell @ (Cell::TimeMillis(_) | Cell::TimeMicros(_) | Cell::Decimal(_)), _) => {
                Value::Text(cell.to_string())
            }
            (cell @ (Cell::Group(_) | Cell::ListInternal(_) | Cell::MapInternal(_)), _) => {
                Value::Json(nested(&cell).to_string())
            }
        })
    }
}

impl Form {
    fn utc(self) -> bool {
        !matches!(self, Self::Moments { utc: false, .. })
    }
}

fn form(column: &Type) -> (Option<FieldKind>, Form) {
    use FieldKind as K;
    if !column.is_primitive() {
        return (Some(K::Json), Form::Plain);
    }
    let info = column.get_basic_info();
    match info.logical_type_ref() {
        Some(LogicalType::Timestamp(stamp)) => {
            let per_second = match stamp.unit {
                TimeUnit::MILLIS => 1000,
                TimeUnit::MICROS => 1_000_000,
                TimeUnit::NANOS => 1_000_000_000,
            };
            let utc = stamp.is_adjusted_to_u_t_c;
            let kind = if utc { K::DateTime } else { K::Text };
            return (Some(kind), Form::Moments { per_second, utc });
        }
        Some(LogicalType::Decimal(decimal)) => {
            let kind = match (decimal.scale, decimal.precision) {
                (0, ..=18) => K::Int,
                (_, ..=15) => K::Float,
                _ => K::Text,
            };
            return (Some(kind), Form::Decimal(kind));
        }
        Some(LogicalType::Json) => return (None, Form::Json),
        Some(LogicalType::Date) => return (Some(K::Date), Form::Plain),
        Some(LogicalType::Time(_) | LogicalType::String) => return (Some(K::Text), Form::Plain),
        _ => {}
    }
    match (info.converted_type(), column.get_physical_type()) {
        (ConvertedType::JSON, _) => (None, Form::Json),
        (ConvertedType::DATE, _) => (Some(K::Date), Form::Plain),
        (ConvertedType::TIMESTAMP_MILLIS | ConvertedType::TIMESTAMP_MICROS, _) => {
            (Some(K::DateTime), Form::Plain)
        }
        (ConvertedType::DECIMAL, _) => (Some(K::Text), Form::Decimal(K::Text)),
        (ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS, _) => {
            (Some(K::Text), Form::Plain)
        }
        (_, Physical::BOOLEAN) => (Some(K::Bool), Form::Plain),
        (_, Physical::INT32 | Physical::INT64) => (Some(K::Int), Form::Plain),
        (_, Physical::INT96) => (Some(K::DateTime), Form::Plain),
        (_, Physical::FLOAT | Physical::DOUBLE) => (Some(K::Float), Form::Plain),
        (_, Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY) => (Some(K::Text), Form::Plain),
    }
}

/// What is nested, as JSON; bytes that are no text are left out.
fn nested(cell: &Cell) -> Json {
    match cell {
        Cell::Group(row) => {
            let pairs = row.get_column_iter().map(|(name, value)| (name.clone(), nested(value)));
            Json::Object(pairs.collect())
        }
        Cell::ListInternal(list) => Json::Array(list.elements().iter().map(nested).collect()),
        Cell::MapInternal(map) => {
            let pairs = map.entries().iter().map(|(key, value)| {
                let key = nested(key);
                (key.as_str().map_or_else(|| key.to_string(), str::to_owned), nested(value))
            });
            Json::Object(pairs.collect())
        }
        leaf => {
            let plain = Column { field: 0, kind: None, form: Form::Plain };
            match plain.value(leaf.clone()) {
                None | Some(Value::Null) => Json::Null,
                Some(Value::Bool(b)) => b.into(),
                Some(Value::Int(n)) => n.into(),
                Some(Value::Float(f)) => f.into(),
                Some(Value::Date(date)) => date.to_string().into(),
                Some(Value::DateTime(at)) => at.to_string().into(),
                Some(Value::Text(text) | Value::Json(text)) => text.into(),
            }
        }
    }
}

fn moment(n: i64, per_second: i64, utc: bool) -> Value {
    let nanos = n.rem_euclid(per_second) * (1_000_000_000 / per_second);
    let at = i32::try_from(nanos)
        .ok()
        .and_then(|nanos| jiff::Timestamp::new(n.div_euclid(per_second), nanos).ok());
    match at {
        None => Value::Null,
        Some(at) if utc => Value::DateTime(at),
        Some(at) => Value::Text(jiff::tz::TimeZone::UTC.to_datetime(at).to_string()),
    }
}

fn date(days: i32) -> Option<Value> {
    let span = jiff::Span::new().try_days(days).ok()?;
    jiff::civil::date(1970, 1, 1).checked_add(span).ok().map(Value::Date)
}
