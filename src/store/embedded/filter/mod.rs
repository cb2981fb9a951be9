//! Filters judged by SQLite over a version's GeoPackage: the text of the condition depends on the
//! filter's form and on the version's own names, quoted; every value is bound.

mod functions;
mod lower;

pub(super) use functions::register;

use super::{gpkg::quoted, layout::Description};
use crate::{
    error::{Error, Result},
    model::Selection,
    query::cql2::{self, Expression},
    store::filter_cost,
};
use lower::{Lowering, Table};
use roaring::RoaringBitmap;
use rusqlite::{Connection, params_from_iter};
use std::time::Instant;

/// Steps of SQLite's machine between two looks at the clock.
const STEPS: i32 = 2_000;

/// The ordinals of which a filter is true. `select` gives what a territory lets through.
pub(super) fn matching(
    db: &mut Connection,
    d: &Description,
    expression: &Expression,
    select: impl Fn(&Selection) -> Result<RoaringBitmap>,
) -> Result<RoaringBitmap> {
    filter_cost::admit(expression, d.version.count)?;
    let table = Table { table: &d.table, fid: &d.fid, geom: &d.geom, columns: &d.columns };
    let mut lowering = Lowering::new(table, &select);
    let condition = lowering.condition(&expression.root)?;
    let (fid, table) = (quoted(&d.fid), quoted(&d.table));
    let text = format!("SELECT {fid} FROM {table} WHERE {condition}");
    let _turn = filter_cost::turn()?;
    let begun = Instant::now();
    db.progress_handler(STEPS, Some(move || begun.elapsed() > filter_cost::TIME)).map_err(fault)?;
    let found = run(db, &text, &lowering.params);
    db.progress_handler(0, None::<fn() -> bool>).map_err(fault)?;
    found
}

fn run(db: &Connection, text: &str, params: &[rusqlite::types::Value]) -> Result<RoaringBitmap> {
    let mut found = RoaringBitmap::new();
    let mut statement = db.prepare(text).map_err(fault)?;
    let mut rows = statement.query(params_from_iter(params)).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let fid: i64 = row.get(0).map_err(fault)?;
        if let Ok(ordinal) = u32::try_from(fid - 1) {
            found.insert(ordinal);
        }
    }
    Ok(found)
}

fn fault(e: rusqlite::Error) -> Error {
    if e.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) {
        return filter_cost::too_slow();
    }
    // What a function of ours fails with reaches here as the text of SQLite's error.
    let overflow = cql2::Overflow.to_string();
    match &e {
        rusqlite::Error::SqliteFailure(_, Some(said)) if said.contains(&overflow) => {
            cql2::overflow()
        }
        _ => Error::fault("judging a filter", e),
    }
}
