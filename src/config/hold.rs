//! `[hold]` of a layer file: which deliveries wait for a person.

use super::table::Table;
use crate::model::HoldRules;

pub(super) const KEYS: &[&str] =
    &["fewer_rows", "moved_extent", "refused", "removed", "changed", "lost_columns"];

/// Reads the table; what is not given, or is wrong and reported, is at its default.
pub(super) fn read(table: &Table<'_>) -> HoldRules {
    let d = HoldRules::default();
    let percent = |key, default| {
        let given = table.integer(key, 0..=100).and_then(|n| u8::try_from(n).ok());
        given.unwrap_or(default)
    };
    HoldRules {
        fewer_rows: percent("fewer_rows", d.fewer_rows),
        moved_extent: percent("moved_extent", d.moved_extent),
        refused: percent("refused", d.refused),
        removed: percent("removed", d.removed),
        changed: percent("changed", d.changed),
        lost_columns: table.boolean("lost_columns").unwrap_or(d.lost_columns),
    }
}
