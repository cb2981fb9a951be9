//! Foreign keys of a Table Schema that refer to the table itself: a row names another row.

use super::{
    Checked,
    cell::{self, Column, Fault, Rule},
};
use crate::model::{ForeignKey, OneOrMore, TableSchema};
use std::collections::HashSet;

/// Whether a key refers to the rows of its own table. Tables that only a data package knows are not
/// there to look into.
pub(super) fn is_own(key: &ForeignKey) -> bool {
    key.reference.resource.is_empty()
}

/// Notes the rows whose keys refer to no row. A key with an empty part refers to nothing, and is no
/// fault.
pub(super) fn check(
    table: &TableSchema,
    columns: &[Column],
    rows: &[Vec<Checked>],
    faults: &mut [Vec<Vec<Fault>>],
) {
    for key in table.foreign_keys.iter().flatten().filter(|key| is_own(key)) {
        let names = key.reference.fields.all();
        let (Some(own), Some(others)) =
            (places(columns, &key.fields), places(columns, &key.reference.fields))
        else {
            continue; // columns that are not there are told of as such
        };
        let Some(first) = own.first().copied().filter(|_| own.len() == others.len()) else {
            continue;
        };
        let known: HashSet<String> =
            rows.iter().flatten().filter_map(|row| words(columns, &others, row)).collect();
        let seen = rows.iter().flatten().zip(faults.iter_mut().flatten());
        for (row, faults) in seen {
            if words(columns, &own, row).is_some_and(|words| !known.contains(&words)) {
                faults.push(Fault { column: first, rule: Rule::Unknown(names.join(", ")) });
            }
        }
    }
}

fn places(columns: &[Column], names: &OneOrMore) -> Option<Vec<usize>> {
    let place = |name: &String| columns.iter().position(|column| column.name == *name);
    names.all().iter().map(place).collect()
}

/// The values of a key in a row; `None` when one is empty.
fn words(columns: &[Column], key: &[usize], row: &Checked) -> Option<String> {
    let value = |place: &usize| {
        let value = row.values.get(columns.get(*place)?.at)?;
        (!value.is_null()).then(|| cell::written(value))
    };
    let words: Option<Vec<String>> = key.iter().map(value).collect();
    Some(words?.join("\u{1f}"))
}
