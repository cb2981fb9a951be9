//! `[time]` of a layer file: which fields say when a feature holds.

use super::table::Table;
use crate::{model::TimeBinding, text};

pub(super) const KEYS: &[&str] = &["column", "start", "end"];

/// Reads the table; what is wrong is reported to its document.
pub(super) fn read(table: &Table<'_>) -> Option<TimeBinding> {
    let (column, start, end) = (table.string("column"), table.string("start"), table.string("end"));
    match (column, start) {
        (Some(_), Some(_)) => {
            let what = text!(
                "« column » (un instant) ou « start » et « end » (une période), pas les deux",
                "\"column\" (an instant) or \"start\" and \"end\" (a period), not both"
            );
            table.report("start", what);
            None
        }
        (Some(_), None) if end.is_some() => {
            let what = text!(
                "« end » va avec « start », pas avec « column »",
                "\"end\" goes with \"start\", not with \"column\""
            );
            table.report("end", what);
            None
        }
        (Some(start), None) => Some(TimeBinding { start, end: None }),
        (None, Some(start)) => match end {
            Some(end) => Some(TimeBinding { start, end: Some(end) }),
            None => {
                table.missing("end");
                None
            }
        },
        (None, None) => {
            table.missing("column");
            None
        }
    }
}
