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
use std::time::{Duration, Instant};

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
    let found = within(db, filter_cost::TIME, |db| run(db, &text, &lowering.params));
    found.map_err(fault)?.ok_or_else(filter_cost::too_slow)
}

/// Work of SQLite that is stopped once it takes longer than it may; `None` then.
pub(super) fn within<T>(
    db: &mut Connection,
    most: Duration,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    let begun = Instant::now();
    db.progress_handler(STEPS, Some(move || begun.elapsed() > most))?;
    let done = work(db);
    db.progress_handler(0, None::<fn() -> bool>)?;
    match done {
        Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => {
            Ok(None)
        }
        done => done.map(Some),
    }
}

fn run(
    db: &Connection,
    text: &str,
    params: &[rusqlite::types::Value],
) -> rusqlite::Result<RoaringBitmap> {
    let mut found = RoaringBitmap::new();
    let mut statement = db.prepare(text)?;
    let mut rows = statement.query(params_from_iter(params))?;
    while let Some(row) = rows.next()? {
        let fid: i64 = row.get(0)?;
        if let Ok(ordinal) = u32::try_from(fid - 1) {
            found.insert(ordinal);
        }
    }
    Ok(found)
}

fn fault(e: rusqlite::Error) -> Error {
    // What a function of ours fails with reaches here as the text of SQLite's error.
    let overflow = cql2::Overflow.to_string();
    match &e {
        rusqlite::Error::SqliteFailure(_, Some(said)) if said.contains(&overflow) => {
            cql2::overflow()
        }
        _ => Error::fault("judging a filter", e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_stopped_and_the_connection_goes_on() {
        let mut db = Connection::open_in_memory().unwrap();
        let text = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000)
                    SELECT count(*) FROM (SELECT i FROM n ORDER BY -i)";
        let count = |db: &Connection| db.query_row(text, (), |row| row.get::<_, i64>(0));
        assert_eq!(within(&mut db, Duration::ZERO, count).unwrap(), None);
        assert_eq!(within(&mut db, Duration::MAX, count).unwrap(), Some(100_000));
        assert!(within(&mut db, Duration::MAX, |db| db.execute("no SQL", ())).is_err());
    }
}
