//! Foreign keys of a Table Schema that refer to the table itself: a row names another row.

use super::{
    Checked, Words,
    cell::{self, Column},
    digest,
    rule::{Fault, Rule},
};
use crate::model::{ForeignKey, OneOrMore, TableSchema};
use rustc_hash::FxHashSet;

/// Whether a key refers to the rows of its own table. Tables that only a data package knows are not
/// there to look into.
pub(super) fn is_own(key: &ForeignKey) -> bool {
    key.reference.resource.is_empty()
}

/// Columns that name a row by others of its columns.
pub(super) struct Reference {
    own: Vec<usize>,
    others: Vec<usize>,
    /// The names of the others.
    names: String,
    /// What rows hold in the others.
    known: FxHashSet<Words>,
}

/// The keys of a table that refer to itself. One whose columns are not there is left out: these are
/// told of as such.
pub(super) fn references(table: &TableSchema, columns: &[Column]) -> Vec<Reference> {
    let reference = |key: &ForeignKey| {
        let own = places(columns, &key.fields)?;
        let others = places(columns, &key.reference.fields)?;
        let names = key.reference.fields.all().join(", ");
        let known = FxHashSet::default();
        (own.len() == others.len()).then_some(Reference { own, others, names, known })
    };
    let keys = table.foreign_keys.iter().flatten().filter(|key| is_own(key));
    keys.filter_map(reference).collect()
}

impl Reference {
    /// Learns what a row may be named by.
    pub(super) fn learn(&mut self, columns: &[Column], row: &Checked) {
        self.known.extend(words(columns, &self.others, row));
    }

    /// What is wrong with a row that refers to none of those learnt. A key with an empty part refers to
    /// nothing, and is no fault.
    pub(super) fn fault(&self, columns: &[Column], row: &Checked) -> Option<Fault> {
        let column = self.own.first().copied()?;
        let words = words(columns, &self.own, row)?;
        let unknown = !self.known.contains(&words);
        unknown.then(|| Fault { column, rule: Rule::Unknown(self.names.clone()) })
    }
}

fn places(columns: &[Column], names: &OneOrMore) -> Option<Vec<usize>> {
    let place = |name: &String| columns.iter().position(|column| column.name == *name);
    names.all().iter().map(place).collect()
}

/// The values of a key in a row; `None` when one is empty.
fn words(columns: &[Column], key: &[usize], row: &Checked) -> Option<Words> {
    let value = |place: &usize| {
        let value = row.values.get(columns.get(*place)?.at)?;
        (!value.is_null()).then(|| cell::written(value))
    };
    let words: Option<Vec<String>> = key.iter().map(value).collect();
    Some(digest(&words?))
}
