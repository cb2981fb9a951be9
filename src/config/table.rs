//! A table of a configuration file, read key by key as checked values. What is wrong with a value
//! is reported to the document with its line, and reads as absent.

use super::document::{Document, clip, hint};
use crate::{
    model::{CategoryValue, Text},
    text,
};
use std::{ops::RangeInclusive, str::FromStr, time::Duration};
use toml::{
    Spanned,
    de::{DeInteger, DeTable, DeValue},
};
use unicode_normalization::UnicodeNormalization;

/// A table of a [`Document`], read key by key.
pub(super) struct Table<'a> {
    doc: &'a Document,
    /// `[source.csv]`, or empty for the root.
    name: String,
    entries: &'a DeTable<'a>,
    line: usize,
}

impl<'a> Table<'a> {
    /// A table of which `known` are the only keys; others are reported with the nearest one.
    pub(super) fn new(
        doc: &'a Document,
        name: String,
        entries: &'a DeTable<'a>,
        line: usize,
        known: &[&str],
    ) -> Self {
        let table = Self { doc, name, entries, line };
        for key in entries.keys() {
            let word = key.get_ref().as_ref();
            if !known.contains(&word) {
                doc.report(doc.line(key.span().start), table.unknown(word, known));
            }
        }
        table
    }

    fn unknown(&self, word: &str, known: &[&str]) -> Text {
        let (word, place) = (clip(word), &self.name);
        let (in_fr, in_en) = match place.as_str() {
            "" => (String::new(), String::new()),
            _ => (format!(" dans {place}"), format!(" in {place}")),
        };
        let Text { fr, en } = hint(&word, known);
        text!("clé inconnue « {word} »{in_fr} ; {fr}", "unknown key \"{word}\"{in_en}; {en}")
    }

    /// Whether the key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Whether a table inside has a key.
    pub(super) fn tells(&self, key: &str, inner: &str) -> bool {
        let entries = self.entry(key).and_then(|v| v.get_ref().as_table());
        entries.is_some_and(|entries| entries.keys().any(|k| k.get_ref().as_ref() == inner))
    }

    /// Line of a key's value, or of the table when it is not there.
    pub(super) fn line_of(&self, key: &str) -> usize {
        self.entry(key).map_or(self.line, |v| self.doc.line(v.span().start))
    }

    /// Notes something wrong with a key's value.
    pub(super) fn report(&self, key: &str, what: Text) {
        let Text { fr, en } = what;
        self.doc.report(self.line_of(key), text!("« {key} » : {fr}", "\"{key}\": {en}"));
    }

    /// Notes that a key is missing.
    pub(super) fn missing(&self, key: &str) {
        let what = match self.name.as_str() {
            "" => text!("il manque « {key} »", "\"{key}\" is missing"),
            place => text!("il manque « {key} » dans {place}", "\"{key}\" is missing in {place}"),
        };
        self.doc.report(self.line, what);
    }

    /// A text, NFC, not blank.
    pub(super) fn string(&self, key: &str) -> Option<String> {
        let words = self.free_text(key)?;
        if words.trim().is_empty() {
            self.report(key, text!("est vide", "is empty"));
            return None;
        }
        Some(words)
    }

    /// A text, NFC, that may be empty.
    pub(super) fn free_text(&self, key: &str) -> Option<String> {
        self.raw(key).map(|s| s.nfc().collect())
    }

    /// A text as written (paths and addresses are bytes for others to interpret).
    pub(super) fn raw(&self, key: &str) -> Option<&'a str> {
        let value = self.entry(key)?.get_ref();
        value.as_str().or_else(|| self.wrong(key, &STRING, value))
    }

    /// A text, not blank, that `parse` understands.
    pub(super) fn parsed<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, Text>,
    ) -> Option<T> {
        let words = self.string(key)?;
        parse(words.trim()).map_err(|why| self.report(key, why)).ok()
    }

    /// An integer within `range`.
    pub(super) fn integer(&self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.entry(key)?.get_ref();
        let DeValue::Integer(digits) = value else {
            return self.wrong(key, &INTEGER, value);
        };
        let number = to_i128(digits).and_then(|n| u64::try_from(n).ok());
        let number = number.filter(|n| range.contains(n));
        if number.is_none() {
            let (low, high) = range.into_inner();
            self.report(
                key,
                text!("doit être compris entre {low} et {high}", "must be within {low} and {high}"),
            );
        }
        number
    }

    /// A number of seconds, whole or not, within `range`.
    pub(super) fn seconds(&self, key: &str, range: RangeInclusive<f64>) -> Option<Duration> {
        let value = self.entry(key)?.get_ref();
        let Some(seconds) = number(value) else { return self.wrong(key, &NUMBER, value) };
        if !range.contains(&seconds) {
            let (low, high) = range.into_inner();
            self.report(
                key,
                text!(
                    "doit être compris entre {low} et {high} secondes",
                    "must be within {low} and {high} seconds"
                ),
            );
            return None;
        }
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, key: &str) -> Option<bool> {
        let value = self.entry(key)?.get_ref();
        value.as_bool().or_else(|| self.wrong(key, &BOOLEAN, value))
    }

    /// A day, as a TOML date or as a text `2026-01-31`.
    pub(super) fn date(&self, key: &str) -> Option<jiff::civil::Date> {
        let value = self.entry(key)?.get_ref();
        let day = match value {
            DeValue::Datetime(at) => at.date.filter(|_| at.time.is_none()).and_then(|d| {
                let (year, month, day) = (d.year.try_into(), d.month.try_into(), d.day.try_into());
                jiff::civil::Date::new(year.ok()?, month.ok()?, day.ok()?).ok()
            }),
            DeValue::String(words) => words.trim().parse().ok(),
            other => return self.wrong(key, &DATE, other),
        };
        if day.is_none() {
            let what =
                text!("attendu un jour, comme 2026-01-31", "expected a day such as 2026-01-31");
            self.report(key, what);
        }
        day
    }

    /// A list of texts.
    pub(super) fn strings(&self, key: &str) -> Option<Vec<String>> {
        let value = self.entry(key)?.get_ref();
        let Some(items) = value.as_array() else {
            return self.wrong(key, &STRINGS, value);
        };
        let words: Vec<String> =
            items.iter().filter_map(|i| i.get_ref().as_str()).map(|s| s.nfc().collect()).collect();
        if words.len() != items.len() {
            return self.wrong(key, &STRINGS, value);
        }
        Some(words)
    }

    /// A list of numbers, whole or not.
    pub(super) fn numbers(&self, key: &str) -> Option<Vec<f64>> {
        let value = self.entry(key)?.get_ref();
        let Some(items) = value.as_array() else {
            return self.wrong(key, &NUMBERS, value);
        };
        let numbers: Option<Vec<f64>> = items.iter().map(|item| number(item.get_ref())).collect();
        numbers.or_else(|| self.wrong(key, &NUMBERS, value))
    }

    /// A value that a field may hold.
    pub(super) fn scalar(&self, key: &str) -> Option<CategoryValue> {
        let value = self.entry(key)?.get_ref();
        let read = match value {
            DeValue::String(words) => Some(CategoryValue::Text(words.nfc().collect())),
            DeValue::Boolean(b) => Some(CategoryValue::Bool(*b)),
            DeValue::Integer(digits) => {
                to_i128(digits).and_then(|n| i64::try_from(n).ok()).map(CategoryValue::Int)
            }
            _ => None,
        };
        read.or_else(|| self.wrong(key, &SCALAR, value))
    }

    /// A list of texts, each understood; those that are not are reported.
    pub(super) fn all_parsed<T: FromStr<Err = Text>>(&self, key: &str) -> Vec<T> {
        let words = self.strings(key).unwrap_or_default();
        words.iter().filter_map(|w| w.parse().map_err(|why| self.report(key, why)).ok()).collect()
    }

    /// Whether the key holds a table.
    pub(super) fn is_table(&self, key: &str) -> bool {
        self.entry(key).is_some_and(|v| v.get_ref().is_table())
    }

    /// A table, of which `known` are the only keys.
    pub(super) fn table(&self, key: &str, known: &[&str]) -> Option<Table<'a>> {
        let value = self.entry(key)?;
        match value.get_ref() {
            DeValue::Table(entries) => Some(self.inner(key, value, entries, known)),
            other => self.wrong(key, &TABLE, other),
        }
    }

    /// The tables of a `[[list]]`; empty when it is not there.
    pub(super) fn tables(&self, key: &str, known: &[&str]) -> Vec<Table<'a>> {
        let Some(value) = self.entry(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            return self.wrong(key, &TABLES, value.get_ref()).unwrap_or_default();
        };
        let tables: Vec<_> = items
            .iter()
            .filter_map(|i| Some(self.inner(key, i, i.get_ref().as_table()?, known)))
            .collect();
        if tables.len() != items.len() {
            return self.wrong(key, &TABLES, value.get_ref()).unwrap_or_default();
        }
        tables
    }

    /// The tables of a table of tables, `[key.<name>]`, by their names (NFC), which are free.
    pub(super) fn named_tables(&self, key: &str, known: &[&str]) -> Vec<(String, Table<'a>)> {
        let Some(value) = self.entry(key) else { return Vec::new() };
        let Some(entries) = value.get_ref().as_table() else {
            return self.wrong(key, &TABLE, value.get_ref()).unwrap_or_default();
        };
        let names: Vec<&str> = entries.keys().map(|name| name.get_ref().as_ref()).collect();
        let within = self.inner(key, value, entries, &names);
        let tables = names.iter().filter_map(|name| Some((*name, within.table(name, known)?)));
        tables.map(|(name, table)| (name.nfc().collect(), table)).collect()
    }

    fn inner(
        &self,
        key: &str,
        value: &'a Spanned<DeValue<'a>>,
        entries: &'a DeTable<'a>,
        known: &[&str],
    ) -> Table<'a> {
        let name = match self.name.trim_matches(['[', ']']) {
            "" => format!("[{key}]"),
            parent => format!("[{parent}.{key}]"),
        };
        Table::new(self.doc, name, entries, self.doc.line(value.span().start), known)
    }

    fn entry(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.entries.iter().find(|(k, _)| k.get_ref().as_ref() == key).map(|(_, v)| v)
    }

    /// Reports a value of the wrong type; always `None`.
    fn wrong<T>(&self, key: &str, expected: &Kind, found: &DeValue<'_>) -> Option<T> {
        let found = kind_of(found);
        let Kind(fr, en) = expected;
        let Kind(found_fr, found_en) = found;
        self.report(key, text!("attendu {fr}, pas {found_fr}", "expected {en}, not {found_en}"));
        None
    }
}

/// What a value is, for people: French, English.
struct Kind(&'static str, &'static str);

const STRING: Kind = Kind("un texte entre guillemets", "a quoted text");
const INTEGER: Kind = Kind("un nombre entier", "an integer");
const NUMBER: Kind = Kind("un nombre", "a number");
const BOOLEAN: Kind = Kind("true ou false", "true or false");
const DATE: Kind = Kind("une date", "a date");
const STRINGS: Kind = Kind("une liste de textes", "a list of texts");
const NUMBERS: Kind = Kind("une liste de nombres", "a list of numbers");
const SCALAR: Kind =
    Kind("un texte, un nombre entier, true ou false", "a text, a whole number, true or false");
const TABLE: Kind = Kind("une table", "a table");
const TABLES: Kind = Kind("une liste de tables", "a list of tables");

fn kind_of(value: &DeValue<'_>) -> &'static Kind {
    match value {
        DeValue::String(_) => &Kind("un texte", "a text"),
        DeValue::Integer(_) => &INTEGER,
        DeValue::Float(_) => &Kind("un nombre à virgule", "a decimal number"),
        DeValue::Boolean(_) => &BOOLEAN,
        DeValue::Datetime(_) => &DATE,
        DeValue::Array(_) => &Kind("une liste", "a list"),
        DeValue::Table(_) => &TABLE,
    }
}

/// A number, whole or not; `None`: it is none.
fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(digits) => Some(to_i128(digits).map_or(f64::INFINITY, |n| n as f64)),
        DeValue::Float(digits) => Some(digits.as_str().parse().unwrap_or(f64::NAN)),
        _ => None,
    }
}

fn to_i128(digits: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(digits.as_str(), digits.radix()).ok()
}
