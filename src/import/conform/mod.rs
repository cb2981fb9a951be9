//! Rows against the schema that their layer names (`[schema]`). Of a Table Schema: columns that
//! should be there, cells by type and constraint, rows that come twice, references to other rows;
//! a JSON Schema is in [`json`]. What does not follow it is refused, or told of, by the layer's
//! choice; either way a producer reads which rule, how often, and on which lines.

mod cell;
mod json;
mod refer;
mod rule;
#[cfg(test)]
mod tests;

use super::{check::Checked, read::Rows};
use crate::{
    error::{Error, Result},
    model::{
        Refusal, RefusalReason, Report, RowRules, RowSchema, Schema, TableSchema, Text, Value,
    },
    store::spool::{Spill, Spooling},
    text,
};
use cell::Column;
use rayon::prelude::*;
use refer::Reference;
use rule::Fault;
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Lines named for each rule in the summary.
const LINES: usize = 5;
/// Characters of a value in a message.
const SHOWN: usize = 200;

/// Judges all rows and gives them on; those to be refused leave them for the report.
///
/// # Errors
/// [`Error::Refused`] when a column that must be there is not, and rows that do not follow the schema
/// are refused; [`Error::Invalid`] when the schema cannot be followed; what the files of rows fail
/// with.
pub(super) fn check(
    schema: &RowSchema,
    rows: Rows,
    spill: &Spill,
    report: &mut Report,
) -> Result<Rows> {
    match &schema.rules {
        RowRules::Table(table) => check_table(table, schema.refuses, rows, spill, report),
        RowRules::Json(json) => json::check(json, schema.refuses, rows, spill, report),
    }
}

fn check_table(
    table: &TableSchema,
    refuses: bool,
    mut rows: Rows,
    spill: &Spill,
    report: &mut Report,
) -> Result<Rows> {
    let columns = columns(table, refuses, &rows.schema, report)?;
    let mut references = refer::references(table, &columns);
    if !references.is_empty() {
        // What rows may refer to is known once all have been seen.
        rows = learn(table, &columns, &mut references, rows, spill)?;
    }
    let mut unique = unique(table, &columns);
    let mut summary = Summary::default();
    let judge = |batch: &mut [Checked]| {
        batch.par_iter_mut().for_each(|row| missing(table, &columns, row));
        let faults = batch.par_iter().map(|row| cells(&columns, row));
        let mut faults: Vec<Vec<Fault>> = faults.collect();
        for key in &mut unique {
            for (row, faults) in batch.iter().zip(&mut faults) {
                faults.extend(key.fault(&columns, row));
            }
        }
        for reference in &references {
            for (row, faults) in batch.iter().zip(&mut faults) {
                faults.extend(reference.fault(&columns, row));
            }
        }
        for (row, faults) in batch.iter().zip(&faults) {
            for fault in faults.iter().filter(|f| f.column < columns.len()) {
                summary.add((fault.column, fault.rule.kind()), row.line);
            }
        }
        faults
    };
    let refusal = |row: &Checked, faults: &[Fault]| refusal(&columns, row, faults);
    let rows = judged(rows, spill, refuses, report, judge, refusal)?;
    report.notes.extend(summary.tell(table.called(), |(column, kind)| {
        Some((columns.get(*column)?.name.clone(), kind.words()))
    }));
    Ok(rows)
}

/// Shows all rows to what refers to them, and gives them on.
fn learn(
    table: &TableSchema,
    columns: &[Column],
    references: &mut [Reference],
    rows: Rows,
    spill: &Spill,
) -> Result<Rows> {
    let (fields, mut kept) = (rows.schema.clone(), Spooling::new(&rows.spill(spill)));
    rows.drain(|mut batch| {
        for row in &mut batch {
            missing(table, columns, row);
            references.iter_mut().for_each(|reference| reference.learn(columns, row));
        }
        kept.extend(batch)
    })?;
    Ok(Rows::new(kept.finish()?, fields))
}

/// Has rows judged, a batch at a time, and gives on those that stay; with `refuses`, those with
/// faults leave them for the report.
fn judged<F>(
    rows: Rows,
    spill: &Spill,
    refuses: bool,
    report: &mut Report,
    mut judge: impl FnMut(&mut [Checked]) -> Vec<Vec<F>>,
    refusal: impl Fn(&Checked, &[F]) -> Refusal,
) -> Result<Rows> {
    let (fields, mut kept) = (rows.schema.clone(), Spooling::new(&rows.spill(spill)));
    rows.drain(|mut batch| {
        let mut faults = judge(&mut batch).into_iter();
        if refuses {
            batch.retain(|row| {
                let faults = faults.next().unwrap_or_default();
                if !faults.is_empty() {
                    report.refuse(refusal(row, &faults));
                }
                faults.is_empty()
            });
        }
        kept.extend(batch)
    })?;
    Ok(Rows::new(kept.finish()?, fields))
}

/// The columns that the schema speaks of and the rows have; the report is told of the others.
fn columns(
    table: &TableSchema,
    refuses: bool,
    rows: &Schema,
    report: &mut Report,
) -> Result<Vec<Column>> {
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
        if refuses {
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
    if table.foreign_keys.iter().flatten().any(|key| !refer::is_own(key)) {
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

/// The columns that must not hold a value twice, and the primary key.
fn unique(table: &TableSchema, columns: &[Column]) -> Vec<Unique> {
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
    keys.into_iter().map(|columns| Unique { columns, seen: FxHashMap::default() }).collect()
}

/// Columns whose values together must not come twice.
struct Unique {
    columns: Vec<usize>,
    /// The line on which values first came, by 128 bits of their SHA-256.
    seen: FxHashMap<Words, u64>,
}

impl Unique {
    fn fault(&mut self, columns: &[Column], row: &Checked) -> Option<Fault> {
        let values = self.columns.iter().filter_map(|c| columns.get(*c));
        let values = values.filter_map(|c| row.values.get(c.at)).filter(|v| !v.is_null());
        let words: Vec<String> = values.map(cell::written).collect();
        if words.is_empty() {
            return None;
        }
        let first = *self.seen.entry(digest(&words)).or_insert(row.line);
        let column = self.columns.first().copied().unwrap_or_default();
        (first != row.line).then_some(Fault { column, rule: rule::Rule::Twice { first } })
    }
}

/// 128 bits of the SHA-256 of some values: enough to tell them apart, and few enough to hold those
/// of every row.
type Words = [u64; 2];

fn digest(words: &[String]) -> Words {
    let digest = Sha256::digest(words.join("\u{1f}"));
    let (halves, _) = digest.as_chunks::<8>();
    [0, 1].map(|i| halves.get(i).copied().map_or(0, u64::from_le_bytes))
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

/// How often each rule was broken, and where first, by the column and the rule.
struct Summary<K>(BTreeMap<K, Count>);

#[derive(Default)]
struct Count {
    all: u64,
    /// The first lines.
    lines: Vec<u64>,
}

impl<K> Default for Summary<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Summary<K> {
    fn add(&mut self, rule: K, line: u64) {
        let count = self.0.entry(rule).or_default();
        count.all += 1;
        if count.lines.len() < LINES {
            count.lines.push(line);
        }
    }

    /// It in words; `named` gives the column and the words of a rule.
    fn tell(self, called: &str, named: impl Fn(&K) -> Option<(String, Text)>) -> Vec<Text> {
        let one = |(rule, Count { all, lines }): (K, Count)| {
            let (name, Text { fr, en }) = named(&rule)?;
            let more = if all > lines.len() as u64 { "…" } else { "" };
            let lines = lines.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            let (of_fr, of_en) = match name.as_str() {
                "" => (String::new(), String::new()),
                name => (format!("« {name} » : "), format!("\"{name}\": ")),
            };
            Some(text!(
                "Schéma {called} : {of_fr}{fr} : {all} (lignes {lines}{more}).",
                "Schema {called}: {of_en}{en}: {all} (lines {lines}{more})."
            ))
        };
        self.0.into_iter().filter_map(one).collect()
    }
}
