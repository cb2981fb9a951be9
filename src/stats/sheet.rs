//! Rows and columns as people open them in a spreadsheet.

use super::metric::Figure;
use crate::error::{Error, Result};

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// Text; codes too, whatever they look like.
    Text(String),
    /// A number, or a date.
    Figure(Figure),
}

impl Cell {
    /// Text, nothing when it is empty.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() { Cell::Empty } else { Cell::Text(text) }
    }
}

/// A table: the names of its columns, then its rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sheet {
    /// Names of the columns.
    pub header: Vec<String>,
    /// Rows, as long as the header.
    pub rows: Vec<Vec<Cell>>,
}

/// How a CSV file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvForm {
    /// Between cells.
    pub separator: u8,
    /// Whether a byte order mark comes first: Excel then takes it for UTF-8.
    pub bom: bool,
    /// Whether numbers have a decimal comma.
    pub comma: bool,
}

impl Sheet {
    /// As CSV (RFC 4180), UTF-8. Text that a spreadsheet would run as a formula comes behind an
    /// apostrophe.
    pub fn csv(&self, form: CsvForm) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(64 * (self.rows.len() + 1));
        if form.bom {
            out.extend_from_slice("\u{feff}".as_bytes());
        }
        let mut writer = csv::WriterBuilder::new()
            .delimiter(form.separator)
            .terminator(csv::Terminator::CRLF)
            .from_writer(out);
        let failed = |e: csv::Error| Error::fault("writing CSV", e);
        writer.write_record(self.header.iter().map(|name| harmless(name))).map_err(failed)?;
        for row in &self.rows {
            writer.write_record(row.iter().map(|cell| plain(cell, form.comma))).map_err(failed)?;
        }
        writer.into_inner().map_err(|e| Error::broken(format!("writing CSV: {e}")))
    }
}

/// A cell as text.
fn plain(cell: &Cell, comma: bool) -> String {
    match cell {
        Cell::Empty | Cell::Figure(Figure::Null) => String::new(),
        Cell::Text(text) => harmless(text),
        Cell::Figure(Figure::Int(i)) => i.to_string(),
        Cell::Figure(Figure::Float(f)) if comma => f.to_string().replace('.', ","),
        Cell::Figure(Figure::Float(f)) => f.to_string(),
        Cell::Figure(Figure::Text(t)) => harmless(t),
    }
}

/// Text that no spreadsheet takes for a formula. Numbers, phone numbers with their `+` too, are
/// left alone: they run nothing.
fn harmless(text: &str) -> String {
    let number = |rest: &str| {
        let digit = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '.' | ',' | '\u{a0}');
        !rest.is_empty() && rest.chars().all(digit)
    };
    match text.chars().next() {
        Some('+' | '-') if text.get(1..).is_some_and(number) => text.to_owned(),
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{text}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sheet(cells: Vec<Cell>) -> Sheet {
        let header = (0..cells.len()).map(|i| format!("c{i}")).collect();
        Sheet { header, rows: vec![cells] }
    }

    #[test]
    fn formulas_are_defused_and_numbers_are_not() {
        let form = CsvForm { separator: b';', bom: true, comma: true };
        let cells = vec![
            Cell::text("=1+1"),
            Cell::text("+33 3 20"),
            Cell::text("@SUM(A1)"),
            Cell::text("-12,5"),
            Cell::Figure(Figure::Float(-1.5)),
            Cell::text("01001"),
        ];
        let text = String::from_utf8(sheet(cells).csv(form).unwrap()).unwrap();
        let line = text.lines().nth(1).unwrap();
        assert!(text.starts_with('\u{feff}'));
        assert_eq!(line, "'=1+1;+33 3 20;'@SUM(A1);-12,5;-1,5;01001");
    }

    proptest! {
        #[test]
        fn cells_survive_quoting(text in "[^=+\\-@\t\r][^\r]{0,20}", separator in prop::sample::select(vec![b',', b';', b'\t'])) {
            let form = CsvForm { separator, bom: false, comma: false };
            let bytes = sheet(vec![Cell::text(text.clone()), Cell::Empty]).csv(form).unwrap();
            let mut reader = csv::ReaderBuilder::new().delimiter(separator).from_reader(&bytes[..]);
            let record = reader.records().next().unwrap().unwrap();
            prop_assert_eq!(record.get(0), Some(text.as_str()));
        }
    }
}
