//! How the values of a field are stored. The types are the field's own, but where PostgreSQL
//! cannot hold what a file can: text with U+0000, dates before its calendar. What was decided at
//! load is kept in the version's `storage`.

use crate::{
    error::{Error, Result},
    model::{Feature, FieldKind, Value, ValueRef},
    text,
};
use serde::{Deserialize, Serialize};
use tokio_postgres::types::{FromSql, Type};

/// Days between 1970-01-01 and PostgreSQL's epoch, 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;
/// Microseconds between the two.
const EPOCH_MICROS: i64 = EPOCH_DAYS * 86_400_000_000;
/// First year that PostgreSQL's dates and times hold surely.
const FIRST_YEAR: i16 = -4_712;

/// The stored form of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Column {
    /// `boolean`.
    Bool,
    /// `bigint`.
    Int,
    /// `double precision`.
    Float,
    /// `text`; also JSON, whose text is kept as it came.
    Text,
    /// `bytea`: text that holds U+0000.
    Bytes,
    /// `date`.
    Date,
    /// `timestamptz`, whole milliseconds.
    Time,
}

/// What a version's tables look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Storage {
    /// Raised when the tables change.
    pub(super) format: u32,
    /// The id's column.
    pub(super) id: Column,
    /// The fields' columns, in the order of the schema.
    pub(super) columns: Vec<Column>,
    /// Whether there is a geometry column.
    pub(super) spatial: bool,
    /// Features without geometry in a layer that has some.
    pub(super) without_geometry: u64,
    /// Zooms of the bands, coarse to fine.
    pub(super) bands: Vec<u8>,
}

/// What this program writes; it reads this one and every older one.
pub(super) const FORMAT: u32 = 1;

/// Refuses tables that a newer program wrote.
pub(super) fn readable(format: u32) -> Result<()> {
    if format <= FORMAT {
        return Ok(());
    }
    Err(Error::Refused(text!(
        "Une version publiée est au format {format} ; ce programme lit jusqu'au {FORMAT}. Mettez Socle à jour, ou restaurez une sauvegarde d'avant.",
        "A published version has format {format}; this program reads up to {FORMAT}. Update Socle, or restore an older backup."
    )))
}

impl Column {
    /// The form for a field's values, as long as it holds them all ([`Column::holding`]).
    pub(super) fn of(kind: FieldKind) -> Self {
        match kind {
            FieldKind::Bool => Self::Bool,
            FieldKind::Int => Self::Int,
            FieldKind::Float => Self::Float,
            FieldKind::Text | FieldKind::Json => Self::Text,
            FieldKind::Date => Self::Date,
            FieldKind::DateTime => Self::Time,
        }
    }

    /// The form that also holds these values of a field.
    pub(super) fn holding<'a>(
        self,
        kind: FieldKind,
        mut values: impl Iterator<Item = &'a Value>,
    ) -> Self {
        let other = match kind {
            FieldKind::Text | FieldKind::Json => Self::Bytes,
            FieldKind::Date | FieldKind::DateTime => Self::Text,
            FieldKind::Bool | FieldKind::Int | FieldKind::Float => return self,
        };
        let odd = |value: &Value| match value {
            Value::Text(s) | Value::Json(s) => s.contains('\0'),
            Value::Date(d) => d.year() <= FIRST_YEAR,
            Value::DateTime(t) => jiff::tz::TimeZone::UTC.to_datetime(*t).year() <= FIRST_YEAR,
            _ => false,
        };
        if self != other && values.any(odd) { other } else { self }
    }

    /// The form that also holds the ids of these features.
    pub(super) fn holding_ids(self, features: &[Feature]) -> Self {
        if features.iter().any(|f| f.id.contains('\0')) { Self::Bytes } else { self }
    }

    pub(super) fn sql_type(self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Int => "bigint",
            Self::Float => "double precision",
            Self::Text => "text",
            Self::Bytes => "bytea",
            Self::Date => "date",
            Self::Time => "timestamptz",
        }
    }
}

/// The text of an instant as every store shows it: UTC, milliseconds.
fn time_text(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A column's bytes as the server sends them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a>(pub(super) &'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(
        _: &Type,
        raw: &'a [u8],
    ) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Raw(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn odd() -> Error {
    Error::broken("a stored value is not of its column's type")
}

fn eight(raw: Raw<'_>) -> Result<[u8; 8]> {
    raw.0.try_into().map_err(|_| odd())
}

/// Text for the dates and times of one row, which the row's values borrow.
pub(super) fn texts(
    columns: &[Column],
    raws: &[Option<Raw<'_>>],
    out: &mut Vec<Option<String>>,
) -> Result<()> {
    out.clear();
    for (column, raw) in columns.iter().zip(raws) {
        out.push(match (column, raw) {
            (Column::Date, Some(raw)) => {
                let days = i32::from_be_bytes(raw.0.try_into().map_err(|_| odd())?);
                let span =
                    jiff::Span::new().try_days(i64::from(days) + EPOCH_DAYS).map_err(|_| odd())?;
                let date = jiff::civil::date(1970, 1, 1).checked_add(span);
                Some(date.map_err(|_| odd())?.to_string())
            }
            (Column::Time, Some(raw)) => {
                let micros = i64::from_be_bytes(eight(*raw)?);
                let since = micros.checked_add(EPOCH_MICROS).ok_or_else(odd)?;
                Some(time_text(jiff::Timestamp::from_microsecond(since).map_err(|_| odd())?))
            }
            _ => None,
        });
    }
    Ok(())
}

/// A value as a row shows it.
pub(super) fn value<'a>(
    column: Column,
    kind: FieldKind,
    raw: Option<Raw<'a>>,
    text: Option<&'a str>,
) -> Result<ValueRef<'a>> {
    let Some(raw) = raw else { return Ok(ValueRef::Null) };
    Ok(match column {
        Column::Bool => ValueRef::Bool(raw.0 == [1]),
        Column::Int => ValueRef::Int(i64::from_be_bytes(eight(raw)?)),
        Column::Float => ValueRef::Float(f64::from_be_bytes(eight(raw)?)),
        Column::Text | Column::Bytes => {
            let text = std::str::from_utf8(raw.0).map_err(|e| Error::fault("stored text", e))?;
            if kind == FieldKind::Json { ValueRef::Json(text) } else { ValueRef::Text(text) }
        }
        Column::Date | Column::Time => ValueRef::Text(text.ok_or_else(odd)?),
    })
}

/// Appends a field of binary COPY: its length, then its bytes.
pub(super) fn copy(column: Column, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match (column, value) {
        (_, Value::Null) => out.extend_from_slice(&(-1i32).to_be_bytes()),
        (Column::Bool, Value::Bool(b)) => field(&[u8::from(*b)], out)?,
        (Column::Int, Value::Int(i)) => field(&i.to_be_bytes(), out)?,
        (Column::Float, Value::Float(f)) => field(&f.to_be_bytes(), out)?,
        #[expect(clippy::cast_precision_loss, reason = "an integer of a column of doubles")]
        (Column::Float, Value::Int(i)) => field(&(*i as f64).to_be_bytes(), out)?,
        (Column::Text | Column::Bytes, Value::Text(s) | Value::Json(s)) => {
            field(s.as_bytes(), out)?
        }
        (Column::Date, Value::Date(d)) => {
            let day = jiff::civil::date(2000, 1, 1).until(*d).map_err(|_| odd())?.get_days();
            field(&day.to_be_bytes(), out)?;
        }
        (Column::Time, Value::DateTime(t)) => {
            field(&(micros(*t) - EPOCH_MICROS).to_be_bytes(), out)?;
        }
        (Column::Text, Value::Date(d)) => field(d.to_string().as_bytes(), out)?,
        (Column::Text, Value::DateTime(t)) => field(time_text(*t).as_bytes(), out)?,
        _ => return Err(Error::broken("a value is not of its field's kind")),
    }
    Ok(())
}

/// Microseconds since 1970, cut to milliseconds as the text form is.
fn micros(time: jiff::Timestamp) -> i64 {
    // Towards the past, as `strftime` cuts the digits of a second that has begun.
    time.as_microsecond().div_euclid(1000) * 1000
}

/// Appends one field of binary COPY.
pub(super) fn field(bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let len = i32::try_from(bytes.len()).map_err(|_| Error::broken("a value above 2 GiB"))?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// What a property is compared with: a bound value of the column's type.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) value: Box<dyn tokio_postgres::types::ToSql + Sync + Send>,
    pub(super) kind: Type,
}

/// The bound form of a value that a column may equal; `None` when it never does.
pub(super) fn wanted(column: Column, value: &Value) -> Option<Wanted> {
    let bound = |value, kind| Some(Wanted { value, kind });
    match (column, value) {
        (Column::Bool, Value::Bool(b)) => bound(Box::new(*b), Type::BOOL),
        (Column::Int, Value::Int(i)) => bound(Box::new(*i), Type::INT8),
        (Column::Float, Value::Float(f)) => bound(Box::new(*f), Type::FLOAT8),
        (Column::Text, Value::Text(s) | Value::Json(s)) if !s.contains('\0') => {
            bound(Box::new(s.clone()), Type::TEXT)
        }
        (Column::Bytes, Value::Text(s) | Value::Json(s)) => {
            bound(Box::new(s.clone().into_bytes()), Type::BYTEA)
        }
        (Column::Text, Value::Date(d)) => bound(Box::new(d.to_string()), Type::TEXT),
        (Column::Date, Value::Date(d)) if d.year() > FIRST_YEAR => {
            bound(Box::new(Binary(day(*d)?.to_be_bytes().to_vec())), Type::DATE)
        }
        (Column::Date, Value::Text(s) | Value::Json(s)) => {
            let date: jiff::civil::Date =
                s.parse().ok().filter(|d: &jiff::civil::Date| d.to_string() == *s)?;
            wanted(column, &Value::Date(date))
        }
        // Stored times are whole milliseconds: others equal none.
        (Column::Time, Value::DateTime(t)) if t.as_nanosecond() % 1_000_000 == 0 => {
            let micros = micros(*t) - EPOCH_MICROS;
            bound(Box::new(Binary(micros.to_be_bytes().to_vec())), Type::TIMESTAMPTZ)
        }
        (Column::Time, Value::Text(s) | Value::Json(s)) => {
            let time: jiff::Timestamp = s.parse().ok().filter(|t| time_text(*t) == *s)?;
            wanted(column, &Value::DateTime(time))
        }
        (Column::Text, Value::DateTime(t)) if t.as_nanosecond() % 1_000_000 == 0 => {
            bound(Box::new(time_text(*t)), Type::TEXT)
        }
        _ => None,
    }
}

fn day(date: jiff::civil::Date) -> Option<i32> {
    Some(jiff::civil::date(2000, 1, 1).until(date).ok()?.get_days())
}

/// A date to compare with; what lies before the calendar is before all of it.
pub(super) fn date_bound(
    date: jiff::civil::Date,
) -> impl tokio_postgres::types::ToSql + Sync + Send {
    let days = if date.year() > FIRST_YEAR { day(date) } else { None };
    Binary(days.unwrap_or(i32::MIN).to_be_bytes().to_vec())
}

/// The same for an instant, to the microsecond.
pub(super) fn time_bound(time: jiff::Timestamp) -> impl tokio_postgres::types::ToSql + Sync + Send {
    let early = jiff::tz::TimeZone::UTC.to_datetime(time).year() <= FIRST_YEAR;
    let micros = if early { i64::MIN } else { time.as_microsecond() - EPOCH_MICROS };
    Binary(micros.to_be_bytes().to_vec())
}

/// A value in the wire's own form.
#[derive(Debug)]
struct Binary(Vec<u8>);

impl tokio_postgres::types::ToSql for Binary {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut bytes::BytesMut,
    ) -> std::result::Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>>
    {
        out.extend_from_slice(&self.0);
        Ok(tokio_postgres::types::IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}
