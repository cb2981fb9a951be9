//! Rows of different codes that meet on one commune with different values. They are listed, never
//! merged. A table with several rows of one code is of things in communes, not of communes: its
//! rows meet nowhere.

use super::{
    Ask,
    columns::names_places,
    judge::{Row, whole},
};
use crate::{
    error::Result,
    model::{Cell, Sheet, TerritoryCode},
    territory::Reference,
};
use rustc_hash::FxHashSet;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// Rows that meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meeting {
    /// The commune.
    pub commune: TerritoryCode,
    /// The codes as written, in the order of the rows.
    pub codes: Vec<String>,
    /// The rows' positions, from 0.
    pub rows: Vec<usize>,
    /// The columns in which they differ.
    pub columns: Vec<String>,
}

/// The meetings of a table whose column `column` holds the codes; the rows concerned are told.
///
/// # Errors
/// [`Error::Unavailable`](crate::error::Error::Unavailable) when there was not time enough.
pub(super) fn find(
    reference: &Reference,
    sheet: &Sheet,
    column: usize,
    ask: &Ask,
    rows: &mut [Row],
) -> Result<Vec<Meeting>> {
    let codes: Vec<Cow<'_, str>> = sheet.column(column).collect();
    let mut met: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    let mut seen: FxHashSet<Cow<'_, str>> = FxHashSet::default();
    for (at, (row, code)) in rows.iter().zip(&codes).enumerate() {
        let Some(rank) = row.fate.main else { continue };
        if !seen.insert(whole(code).0) {
            return Ok(Vec::new());
        }
        met.entry(rank).or_default().push(at);
    }
    met.retain(|_, at| at.len() > 1);
    if met.is_empty() {
        return Ok(Vec::new());
    }
    let of_place = |at: usize| ask.place.is_some_and(|(x, y)| at == x || at == y);
    let mut values: Vec<usize> = Vec::new();
    for at in 0..sheet.header.len() {
        ask.budget.look()?;
        if at != column && !of_place(at) && !names(sheet, at) {
            values.push(at);
        }
    }
    let mut meetings = Vec::new();
    for (rank, at) in met {
        ask.budget.step()?;
        let Some(commune) = reference.commune(rank) else { continue };
        let [first, others @ ..] = at.as_slice() else { continue };
        let differ = |column: &&usize| {
            others.iter().any(|row| !same(sheet.cell(*row, **column), sheet.cell(*first, **column)))
        };
        let columns: Vec<String> = values
            .iter()
            .filter(differ)
            .filter_map(|column| sheet.header.get(*column).cloned())
            .collect();
        if columns.is_empty() {
            continue;
        }
        let written = |row: &usize| codes.get(*row).map(|c| c.to_string()).unwrap_or_default();
        let list: Vec<String> = at.iter().map(written).collect();
        for row in &at {
            if let Some(held) = rows.get_mut(*row) {
                let own = written(row);
                let others: Vec<&str> =
                    list.iter().map(String::as_str).filter(|code| *code != own).collect();
                held.conflict = Some(others.join(" "));
            }
        }
        meetings.push(Meeting { commune, codes: list, rows: at, columns });
    }
    Ok(meetings)
}

fn same(a: &Cell, b: &Cell) -> bool {
    a.text().trim() == b.text().trim()
}

/// Rows from which on a column without repetitions is one of names.
const ENOUGH: usize = 20;

/// Whether a column names the place rather than telling something of it: by its name, or because
/// it is text that nearly no two rows share.
fn names(sheet: &Sheet, column: usize) -> bool {
    if sheet.header.get(column).is_some_and(|name| names_places(name)) {
        return true;
    }
    if sheet.rows.len() < ENOUGH {
        return false;
    }
    let mut distinct: BTreeSet<Cow<'_, str>> = BTreeSet::new();
    for cell in sheet.column(column) {
        if cell.replace(',', ".").replace([' ', '\u{a0}', '\u{202f}'], "").parse::<f64>().is_ok() {
            // A figure of something: it differs because there is something to differ.
            return false;
        }
        distinct.insert(cell);
    }
    distinct.len() * 10 >= sheet.rows.len() * 8
}
