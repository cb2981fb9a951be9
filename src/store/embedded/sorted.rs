//! Scans in another order than that of the source: the order of a version's features is worked
//! out once and kept, as their ordinals; a page goes on from a place in it.

use super::{
    asked::Asked,
    filter,
    gpkg::quoted,
    rows::{OpenVersion, Progress, sql},
};
use crate::{
    error::{Error, Result},
    model::FieldKind,
    query::{Scan, Sort, Start},
    store::{RowSink, ScanEnd, filter_cost},
};
use std::sync::Arc;

impl OpenVersion {
    /// As [`OpenVersion::scan`], in an order: see [`crate::store::Store::scan_sorted`].
    pub(super) fn scan_sorted(
        &self,
        scan: &Scan,
        sort: &Sort,
        shapes: bool,
        sink: &mut RowSink,
        asked: &Asked,
    ) -> Result<ScanEnd> {
        let order = self.order(sort)?;
        let candidates = self.candidates(&scan.filter)?;
        let (from, skip) = match scan.start {
            Start::Ordinal(place) => (place, 0),
            Start::Offset(skip) => (0, skip),
        };
        let mut progress = Progress::new(&scan.filter.equals, skip, scan.limit, shapes, asked);
        let unread = scan.filter.equals.is_empty();
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        self.with_connection(|db| {
            for (place, ordinal) in (0u64..).zip(order.iter().copied()).skip(from) {
                if candidates.as_ref().is_some_and(|c| !c.contains(ordinal)) {
                    continue;
                }
                // Offsets are jumped over where rows need not be looked at.
                if unread && progress.skip > 0 {
                    progress.skip -= 1;
                    continue;
                }
                progress.place = Some(place);
                let only = u64::from(ordinal)..u64::from(ordinal) + 1;
                if self.range(db, only, &mut progress, sink)?.is_break() {
                    break;
                }
            }
            Ok(progress.end)
        })
    }

    /// The order: found once for all that ask at the same time.
    fn order(&self, sort: &Sort) -> Result<Arc<[u32]>> {
        let key = sort.key();
        if let Some(known) = self.orders.get(&key) {
            return Ok(known);
        }
        let _waiting = filter_cost::wait()?;
        let find = || {
            let d = &self.description;
            let mut keys = Vec::new();
            for key in sort.keys() {
                let column = d.columns.get(key.field);
                let column = quoted(column.ok_or_else(|| Error::broken("no field to sort by"))?);
                let value = match key.kind {
                    FieldKind::Date => format!("socle_day({column})"),
                    FieldKind::DateTime => format!("socle_micros({column})"),
                    _ => column,
                };
                let direction = if key.descending { "DESC" } else { "ASC" };
                keys.push(format!("{value} {direction} NULLS LAST"));
            }
            let (fid, table, keys) = (quoted(&d.fid), quoted(&d.table), keys.join(", "));
            let text = format!("SELECT {fid} - 1 FROM {table} ORDER BY {keys}, {fid}");
            let _turn = filter_cost::turn()?;
            self.with_connection(|db| {
                let found = filter::within(db, filter_cost::SORTING, |db| {
                    let mut statement = db.prepare(&text)?;
                    let ordinals = statement.query_map((), |row| row.get(0))?;
                    ordinals.collect::<rusqlite::Result<Arc<[u32]>>>()
                });
                found.map_err(sql)?.ok_or_else(filter_cost::too_slow_to_sort)
            })
        };
        self.orders.try_get_with(key, find).map_err(Error::shared)
    }
}
