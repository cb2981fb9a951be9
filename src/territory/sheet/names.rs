//! Which communes bear a name: those of today, the municipal arrondissements, and the communes of
//! the past. Made once for a table of names.

use crate::{
    model::Level,
    territory::{Reference, search::fold, table::text},
};
use rustc_hash::FxHashMap;

/// The bearers of each name, by its folded form.
pub(super) struct Names {
    bearers: FxHashMap<String, Vec<Bearer>>,
}

/// A commune, of today or not, or a municipal arrondissement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bearer {
    /// Its code.
    pub(super) code: String,
    /// Whether it is a commune today.
    pub(super) today: bool,
}

impl Names {
    pub(super) fn new(reference: &Reference) -> Self {
        let table = &reference.table;
        let mut names = Self { bearers: FxHashMap::default() };
        for unit in table.level(Level::Com) {
            names.add(table.names.get(unit), table.code_text(unit), true);
        }
        for unit in table.level(Level::Arm) {
            names.add(table.names.get(unit), table.code_text(unit), false);
        }
        for (at, (code, _)) in (0u32..).zip(&table.old) {
            names.add(table.old_names.get(at), text(code), false);
        }
        names
    }

    fn add(&mut self, name: &str, code: &str, today: bool) {
        let bearer = Bearer { code: code.to_owned(), today };
        self.bearers.entry(fold(name)).or_default().push(bearer);
    }

    /// Those that bear a name, in a département when one is told (its code): the communes of today
    /// among them, else the others.
    pub(super) fn find(&self, name: &str, department: Option<&str>) -> Vec<&Bearer> {
        let all = self.bearers.get(&fold(&turned(name))).map_or(&[][..], Vec::as_slice);
        let there = |bearer: &&Bearer| department.is_none_or(|dep| bearer.code.starts_with(dep));
        let found: Vec<&Bearer> = all.iter().filter(there).collect();
        let today: Vec<&Bearer> = found.iter().filter(|bearer| bearer.today).copied().collect();
        if today.is_empty() { found } else { today }
    }
}

/// `HAVRE (LE)`, as old tables write it, is `LE HAVRE`.
fn turned(name: &str) -> String {
    let name = name.trim();
    let article = name.strip_suffix(')').and_then(|rest| rest.split_once('('));
    match article {
        Some((noun, article)) if article.chars().count() <= 3 => {
            format!("{article} {}", noun.trim())
        }
        _ => name.to_owned(),
    }
}

/// The code of a département, from its code or its name as a table gives it.
pub(super) fn department(reference: &Reference, cell: &str) -> Option<String> {
    let upper = cell.trim().to_ascii_uppercase();
    let known = |code: &str| reference.table.unit(Level::Dep, code).is_some();
    let padded = format!("0{upper}");
    if known(&upper) {
        return Some(upper);
    }
    if known(&padded) {
        return Some(padded);
    }
    let wanted = fold(cell);
    let mut units = reference.table.level(Level::Dep);
    let found = units.find(|unit| fold(reference.table.names.get(*unit)) == wanted)?;
    Some(reference.table.code_text(found).to_owned())
}
