//! Rows against the Table Schema that their layer names (`[schema]`): columns that should be there,
//! cells by type and constraint, rows that come twice. What does not follow it is refused, or told
//! of, by the layer's choice; either way a producer reads which rule, how often, and on which lines.

mod cell;
#[cfg(test)]
mod tests;

use super::{check::Checked, read::Rows};
use crate::{
    error::{Error, Result},
    model::{Refusal, RefusalReason, Report, RowSchema, Schema, TableSchema, Text, Value},
    text,
};
use cell::{Column, Fault};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// Lines named for each rule in the summary.
const LINES: usize = 5;
/// Characters of a value in a message.
const SHOWN: usize = 200;

/// Judges all rows; those to be refused leave them for the report.
///
/// # Errors
/// [`Error::Refused`] when a column that must be there is not, and rows that do not follow the schema
/// are refused.
pub(super) fn check(schema: &RowSchema, rows: &mut Rows, report: &mut Report) -> Result<()> {
    let columns = columns(schema, &rows.schema, report)?;
    for row in rows.checked.iter_mut().flatten() {
        missing(&schema.table, &columns, row);
    }
    let mut faults: Vec<Vec<Vec<Fault>>> = rows
        .checked
        .par_iter()
        .map(|batch| batch.iter().map(|r| cells(&columns, r)).collect())
        .collect();
    twice(&schema.table, &columns, &rows.checked, &mut faults);
    let mut summary = Summary::default();
    for (batch, faults) in rows.checked.iter_mut().zip(faults) {
        let mut faults = faults.into_iter();
        batch.retain(|row| {
            let faults = faults.next().unwrap_or_default();
            summary.add(&columns, row.line, &faults);
            if faults.is_empty() || !schema.refuses {
                return true;
            }
            report.refuse(refusal(&columns, row, &faults));
            false
        });
    }
    let called = schema.table.called();
    report.notes.extend(summary.tell(&columns, called));
    Ok(())
}

/// The columns that the schema speaks of and the rows have; the report is told of the others.
fn columns(schema: &RowSchema, rows: &Schema, report: &mut Report) -> Result<Vec<Column>> {
    let table = &schema.table;
    let called = table.called();
    let (mut found, mut required, mut optional) = (Vec::new(), Vec::new(), Vec::new());
    for field in &table.fields {
        let name = crate::formats::types::nfc(field.name.clone());
        match rows.index(&name) {
            Some(at) => found.push(Column::new(field, at, &mut report.notes)),
            None if field.constraints.required => required.push(name),
            None => optional.push(name),
        }
    }
    if !required.is_empty() {
        let names = required.join(", ");
        let missing = text!(
            "Schéma {called} : colonnes obligatoires absentes : {names}.",
            "Schema {called}: required columns are missing: {names}."
        );
        if schema.refuses {
            return Err(Error::Refused(missing));
        }
        report.notes.push(missing);
    }
    if !optional.is_empty() {
        let names = optional.join(", ");
        report.notes.push(text!(
            "Schéma {called} : colonnes absentes : {names}.",
            "Schema {called}: missing columns: {names}."
        ));
    }
    let known = |name: &str| found.iter().any(|c| c.name == name);
    let extra: Vec<String> =
        rows.fields.iter().filter(|f| !known(&f.name)).map(|f| f.name.clone()).collect();
    if !extra.is_empty() {
        let names = extra.join(", ");
        report.notes.push(text!(
            "Schéma {called} : colonnes qu'il ne connaît pas : {names}.",
            "Schema {called}: columns it does not know: {names}."
        ));
    }
    unchecked(table, &mut found, report);
    Ok(found)
}

/// Gives Validata's checks of a column to it, and tells which are not made.
fn unchecked(table: &TableSchema, found: &mut [Column], report: &mut Report) {
    let mut names: Vec<&str> = Vec::new();
    for check in table.custom_checks.iter().flatten() {
        let column = found.iter_mut().find(|c| check.column().is_some_and(|name| c.name == name));
        let known = cell::Digits::of(&check.name);
        match (column, known) {
            (Some(column), Some(digits)) => column.digits = Some(digits),
            (None, Some(_)) => {}
            (_, None) => names.push(&check.name),
        }
    }
    if table.foreign_keys.is_some() {
        names.push("foreignKeys");
    }
    if !names.is_empty() {
        names.sort_unstable();
        names.dedup();
        let (called, names) = (table.called(), names.join(", "));
        report.notes.push(text!(
            "Schéma {called} : non vérifié : {names}.",
            "Schema {called}: not checked: {names}."
        ));
    }
}

/// What stands for a missing value becomes none.
fn missing(table: &TableSchema, columns: &[Column], row: &mut Checked) {
    for column in columns {
        let Some(value) = row.values.get_mut(column.at) else { continue };
        let absent = match (&*value, &table.missing_values) {
            (Value::Text(text), None) => text.is_empty(),
            (Value::Text(text), Some(words)) => text.is_empty() || words.contains(text),
            _ => false,
        };
        if absent {
            *value = Value::Null;
        }
    }
}

fn cells(columns: &[Column], row: &Checked) -> Vec<Fault> {
    let cell = |(index, column): (usize, &Column)| {
        let value = row.values.get(column.at).unwrap_or(&Value::Null);
        column.fault(value).map(|rule| Fault { column: index, rule })
    };
    columns.iter().enumerate().filter_map(cell).collect()
}

/// Values of unique columns and primary keys that came before.
fn twice(
    table: &TableSchema,
    columns: &[Column],
    rows: &[Vec<Checked>],
    faults: &mut [Vec<Vec<Fault>>],
) {
    let place = |name: &String| columns.iter().position(|c| c.name == *name);
    let mut keys: Vec<Vec<usize>> = (0..columns.len())
        .filter(|i| columns.get(*i).is_some_and(|c| c.unique))
        .map(|i| vec![i])
        .collect();
    let key = table.primary_key.as_ref().map_or(&[][..], |key| key.all());
    let key: Vec<usize> = key.iter().filter_map(place).collect();
    if !key.is_empty() && !keys.contains(&key) {
        keys.push(key);
    }
    for key in keys {
        let mut seen: HashMap<String, u64> = HashMap::new();
        for (batch, faults) in rows.iter().zip(&mut *faults) {
            for (row, faults) in batch.iter().zip(faults) {
                let values =
                    key.iter().filter_map(|c| columns.get(*c)).filter_map(|c| row.values.get(c.at));
                let words: Vec<String> =
                    values.filter(|v| !v.is_null()).map(cell::written).collect();
                if words.is_empty() {
                    continue;
                }
                let first = *seen.entry(words.join("\u{1f}")).or_insert(row.line);
                if first != row.line {
                    let column = key.first().copied().unwrap_or_default();
                    faults.push(Fault { column, rule: cell::Rule::Twice { first } });
                }
            }
        }
    }
}

fn refusal(columns: &[Column], row: &Checked, faults: &[Fault]) -> Refusal {
    let words: Vec<Text> = faults.iter().take(LINES).map(|f| f.text(columns)).collect();
    let join = |of: fn(&Text) -> &str| words.iter().map(of).collect::<Vec<_>>().join(" ");
    let column = faults.first().and_then(|f| columns.get(f.column));
    let value = column.and_then(|c| row.values.get(c.at)).filter(|v| !v.is_null());
    Refusal {
        line: row.line,
        column: column.map(|c| c.name.clone()),
        value: value.map(|v| cell::written(v).chars().take(SHOWN).collect()),
        reason: RefusalReason::Schema,
        text: Text { fr: join(|t| &t.fr), en: join(|t| &t.en) },
    }
}

/// How often each rule was broken, and where first.
#[derive(Default)]
struct Summary(BTreeMap<(usize, cell::Kind), (u64, Vec<u64>)>);

impl Summary {
    fn add(&mut self, columns: &[Column], line: u64, faults: &[Fault]) {
        for fault in faults.iter().filter(|f| f.column < columns.len()) {
            let (count, lines) = self.0.entry((fault.column, fault.rule.kind())).or_default();
            *count += 1;
            if lines.len() < LINES {
                lines.push(line);
            }
        }
    }

    fn tell(self, columns: &[Column], called: &str) -> Vec<Text> {
        let one = |((column, kind), (count, lines)): ((usize, cell::Kind), (u64, Vec<u64>))| {
            let name = &columns.get(column)?.name;
            let Text { fr, en } = kind.words();
            let lines: Vec<String> = lines.iter().map(u64::to_string).collect();
            let more = if count > lines.len() as u64 { "…" } else { "" };
            let lines = lines.join(", ");
            Some(text!(
                "Schéma {called} : « {name} » : {fr} : {count} (lignes {lines}{more}).",
                "Schema {called}: \"{name}\": {en}: {count} (lines {lines}{more})."
            ))
        };
        self.0.into_iter().filter_map(one).collect()
    }
}
