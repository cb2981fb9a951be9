//! One TOML file while it is being checked: its text and everything found wrong in it, each with
//! its line. A typo does not hide the next one: reading goes on after a problem, and the caller
//! refuses the file at the end.

use super::table::Table;
use crate::{model::Text, text};
use std::{cell::RefCell, fmt::Write};
use toml::de::DeTable;

/// Syntax errors listed for one file: the first ones matter, the others often follow from them.
const MAX_SYNTAX: usize = 5;

/// A file under check.
pub(super) struct Document {
    /// Its path as the operator named it: the only path that messages show.
    shown: String,
    text: String,
    problems: RefCell<Vec<(usize, Text)>>,
}

impl Document {
    /// A file's text, under the name shown to people.
    pub(super) fn new(shown: impl Into<String>, text: String) -> Self {
        Self { shown: shown.into(), text, problems: RefCell::default() }
    }

    /// The name shown to people.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Parses the file and reads its root table; `None` when the syntax is wrong, which is then
    /// among the problems.
    pub(super) fn read<T>(
        &self,
        known: &[&str],
        read: impl FnOnce(&Table<'_>) -> Option<T>,
    ) -> Option<T> {
        let (root, errors) = DeTable::parse_recoverable(&self.text);
        if errors.is_empty() {
            return read(&Table::new(self, String::new(), root.get_ref(), 1, known));
        }
        for error in errors.iter().take(MAX_SYNTAX) {
            let line = error.span().map_or(1, |s| self.line(s.start));
            let detail = error.message();
            self.report(line, text!("TOML mal formé : {detail}", "malformed TOML: {detail}"));
        }
        None
    }

    /// Notes something wrong at a line.
    pub(super) fn report(&self, line: usize, what: Text) {
        self.problems.borrow_mut().push((line, what));
    }

    /// Everything found wrong, by line, as `file:line: what`.
    pub(super) fn into_problems(self) -> Vec<Text> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|(line, _)| *line);
        let shown = &self.shown;
        problems
            .into_iter()
            .map(|(line, Text { fr, en })| text!("{shown}:{line} : {fr}", "{shown}:{line}: {en}"))
            .collect()
    }

    /// 1-based line of a byte offset.
    pub(super) fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        1 + before.filter(|b| **b == b'\n').count()
    }
}

/// "did you mean", or the whole list when nothing is near.
pub(super) fn hint(word: &str, known: &[&str]) -> Text {
    let lower = word.to_lowercase();
    let nearest = known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(&lower, k), k))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, k)| *distance <= (k.chars().count() / 3).max(1));
    if let Some((_, near)) = nearest {
        return text!("vouliez-vous dire « {near} » ?", "did you mean \"{near}\"?");
    }
    let mut list = String::new();
    for (i, k) in known.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(list, "{}{k}", if i == 0 { "" } else { ", " });
    }
    text!("possibles : {list}", "possible: {list}")
}

/// A text of the file as messages show it: short, without control characters.
pub(super) fn clip(word: &str) -> String {
    let mut short: String = word.chars().filter(|c| !c.is_control()).take(80).collect();
    if word.chars().count() > 80 {
        short.push('…');
    }
    short
}
