//! The functions that SQLite lacks, on every connection of the store. Each gives null for null.

use super::super::gpkg::BLOB_HEADER;
use crate::{
    formats::wkb,
    geometry::relate::{self, Other},
    model::Relation,
    query::cql2::{self, Arithmetic, ArrayRelation, Fold, Pattern},
    store::filter_list,
};
use geo_types::Geometry;
use roaring::RoaringBitmap;
use rusqlite::{
    Connection, Error, Result,
    functions::{Context, FunctionFlags},
    types::{Value, ValueRef},
};

/// What a function may come to, besides SQLite's own errors.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Makes the functions known to a connection.
pub(in super::super) fn register(db: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    db.create_scalar_function("socle_like", 2, flags, like)?;
    db.create_scalar_function("socle_fold", 2, flags, fold)?;
    db.create_scalar_function("socle_day", 1, flags, |c| Ok(text(c, 0)?.and_then(day_of)))?;
    db.create_scalar_function("socle_micros", 1, flags, |c| {
        let time = text(c, 0)?.and_then(|t| t.parse::<jiff::Timestamp>().ok());
        Ok(time.map(jiff::Timestamp::as_microsecond))
    })?;
    db.create_scalar_function("socle_calculate", 3, flags, calculate)?;
    db.create_scalar_function("socle_relates", 3, flags, relates)?;
    db.create_scalar_function("socle_array", 3, flags, array)?;
    db.create_scalar_function("socle_has", 2, flags, has)
}

fn text<'c>(c: &'c Context<'_>, at: usize) -> Result<Option<&'c str>> {
    match c.get_raw(at) {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).map(Some).map_err(failed),
        _ => Ok(None),
    }
}

fn failed(e: impl Into<Failure>) -> Error {
    Error::UserFunctionError(e.into())
}

/// The function's first argument, written by us.
fn code(c: &Context<'_>) -> Result<u8> {
    c.get(0)
}

fn among<T: Copy>(all: &[T], code: u8) -> Result<T> {
    all.get(usize::from(code)).copied().ok_or_else(|| failed("no such operation"))
}

fn like(c: &mut Context<'_>) -> Result<Option<bool>> {
    let pattern = c.get_or_create_aux(1, |written| {
        Ok::<_, Failure>(Pattern::new(written.as_str()?, Fold::default()))
    })?;
    Ok(text(c, 0)?.map(|t| pattern.matches(t)))
}

fn fold(c: &mut Context<'_>) -> Result<Option<String>> {
    let flags = code(c)?;
    let fold = Fold { case: flags & 1 != 0, accents: flags & 2 != 0 };
    Ok(text(c, 1)?.map(|t| fold.apply(t).into_owned()))
}

/// Days since 1970.
pub(super) fn day(date: jiff::civil::Date) -> i64 {
    let since = date.since((jiff::Unit::Day, jiff::civil::date(1970, 1, 1)));
    since.map_or(0, |span| i64::from(span.get_days()))
}

fn day_of(text: &str) -> Option<i64> {
    text.parse().ok().map(day)
}

fn calculate(c: &mut Context<'_>) -> Result<Option<f64>> {
    use Arithmetic as A;
    let all = [A::Add, A::Sub, A::Mul, A::Div, A::IntDiv, A::Mod, A::Pow];
    let operation = among(&all, code(c)?)?;
    #[expect(clippy::cast_precision_loss, reason = "calculations are in doubles")]
    let number = |at| match c.get_raw(at) {
        ValueRef::Integer(i) => Some(i as f64),
        ValueRef::Real(f) => Some(f),
        _ => None,
    };
    let (Some(x), Some(y)) = (number(1), number(2)) else { return Ok(None) };
    cql2::calculate(operation, x, y).map_err(failed)
}

fn geometry(value: ValueRef<'_>) -> std::result::Result<Option<Geometry<f64>>, Failure> {
    match value {
        ValueRef::Blob(blob) => {
            let bytes = blob.get(BLOB_HEADER..).ok_or("a geometry without its header")?;
            Ok(Some(wkb::read(bytes)?))
        }
        _ => Ok(None),
    }
}

fn relates(c: &mut Context<'_>) -> Result<Option<bool>> {
    use Relation as R;
    let all =
        [R::Intersects, R::Equals, R::Touches, R::Crosses, R::Within, R::Contains, R::Overlaps];
    let relation = among(&all, code(c)?)?;
    let Some(shape) = geometry(c.get_raw(1)).map_err(failed)? else { return Ok(None) };
    // SQLite keeps what was made of an argument as long as it stays the same.
    let other =
        c.get_or_create_aux(2, |value| Ok::<_, Failure>(geometry(value)?.map(Other::new)))?;
    Ok(other.as_ref().as_ref().and_then(|other| relate::holds(relation, &shape, other)))
}

fn array(c: &mut Context<'_>) -> Result<Option<bool>> {
    use ArrayRelation as A;
    let relation = among(&[A::Equals, A::Contains, A::ContainedBy, A::Overlaps], code(c)?)?;
    let (Some(a), Some(b)) = (text(c, 1)?, text(c, 2)?) else { return Ok(None) };
    Ok(filter_list::holds(relation, a, b))
}

fn has(c: &mut Context<'_>) -> Result<Value> {
    let set = c.get_or_create_aux(0, |value| {
        Ok::<_, Failure>(RoaringBitmap::deserialize_from(value.as_blob()?)?)
    })?;
    let fid: i64 = c.get(1)?;
    let held = u32::try_from(fid - 1).is_ok_and(|ordinal| set.contains(ordinal));
    Ok(Value::Integer(i64::from(held)))
}
