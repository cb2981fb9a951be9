//! Scans in another order than that of the source: the order of a version's features is worked
//! out once and kept, as their ordinals; a page goes on from a place in it.

use super::{
    column::Column,
    link::{Failed, Link, Ran, cell},
    names::Names,
    open::{OpenVersion, ordinal},
    rows::{self, Progress, Rows},
};
use crate::{
    query::{Scan, Sort, SortKey, Start},
    store::{RowSink, ScanEnd, filter_cost},
};
use rustc_hash::FxHashMap;
use std::{ops::ControlFlow, sync::Arc};
use tokio_postgres::error::SqlState;

/// As [`rows::scan`], in an order: see [`crate::store::Store::scan_sorted`].
pub(super) async fn scan(
    link: &mut Link,
    names: &Names,
    open: &OpenVersion,
    (scan, sort): (&Scan, &Sort),
    shapes: bool,
    sink: &mut RowSink,
    shown: &mut bool,
) -> Ran<ScanEnd> {
    let order = order(link, names, open, sort).await?;
    let candidates = open.candidates(link, names, &scan.filter).await?;
    let Some(equals) = rows::bound(open, &scan.filter.equals) else {
        return Ok(ScanEnd::default());
    };
    let (from, mut skip) = match scan.start {
        Start::Ordinal(place) => (place, 0),
        Start::Offset(skip) => (0, skip),
    };
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let held = |o: u32| candidates.as_ref().is_none_or(|c| c.contains(o));
    let mut rest = (0u64..).zip(order.iter().copied()).skip(from).filter(|(_, o)| held(*o));
    // Offsets are jumped over where rows need not be looked at.
    while equals.is_empty() && skip > 0 && rest.next().is_some() {
        skip -= 1;
    }
    let limit = scan.limit.unwrap_or(u64::MAX);
    let window = if equals.is_empty() { rows::window(limit) } else { rows::WINDOW };
    let mut progress = Progress::new(sink, skip, limit, shapes && open.storage.spatial);
    while !progress.over {
        let (places, keys): (Vec<u64>, Vec<i64>) =
            rest.by_ref().take(window).map(|(place, o)| (place, i64::from(o) + 1)).unzip();
        if keys.is_empty() {
            break;
        }
        let places: FxHashMap<i64, u64> = keys.iter().copied().zip(places).collect();
        progress.places = Some(places);
        rows::part(link, names, open, &Rows::InOrder(&keys), &equals, &mut progress, shown).await?;
    }
    Ok(progress.end)
}

/// The order, found where it is not known: see [`super::read`] for who looks for it.
pub(super) async fn order(
    link: &mut Link,
    names: &Names,
    open: &OpenVersion,
    sort: &Sort,
) -> Ran<Arc<[u32]>> {
    if let Some(known) = open.orders.get(&sort.key()) {
        return Ok(known);
    }
    if open.slow.contains_key(&sort.key()) {
        return Err(filter_cost::too_slow_to_sort().into());
    }
    let one = |key: &SortKey| {
        let field = key.field;
        let collation = match open.storage.columns.get(field) {
            Some(Column::Text) => " COLLATE \"C\"",
            _ => "",
        };
        let direction = if key.descending { "DESC" } else { "ASC" };
        format!("c{field}{collation} {direction} NULLS LAST")
    };
    let keys = sort.keys().iter().map(one).collect::<Vec<_>>().join(", ");
    let table = names.features(open.serial);
    let sql = format!("SELECT fid FROM {table} ORDER BY {keys}, fid");
    let mut found = Vec::new();
    let read = link.each(&sql, &[], |row| {
        found.push(ordinal(cell(row, 0)?));
        Ok(ControlFlow::Continue(()))
    });
    let late = match tokio::time::timeout(filter_cost::SORTING, read).await {
        Err(_) | Ok(Err(Failed::Late)) => true,
        Ok(Err(e)) if e.is(&SqlState::QUERY_CANCELED) => true,
        Ok(done) => done.map(|()| false)?,
    };
    if late {
        open.slow.insert(sort.key(), ());
        return Err(filter_cost::too_slow_to_sort().into());
    }
    let found: Arc<[u32]> = found.into();
    open.orders.insert(sort.key(), found.clone());
    Ok(found)
}
