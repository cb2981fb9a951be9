//! A table of cells as people keep them: what a spreadsheet, a CSV file or a list of JSON objects
//! holds, before anybody says what its columns mean. Cells keep what their file said.

use super::Budget;
use std::borrow::Cow;

/// A cell.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Cell {
    /// Nothing: an empty cell, JSON's `null`, a member that an object lacks.
    #[default]
    Empty,
    /// Text.
    Text(String),
    /// A spreadsheet's boolean.
    Bool(bool),
    /// A spreadsheet's number.
    Number(f64),
    /// A spreadsheet's date, time or both: its serial number (days), and its text in RFC 3339 as
    /// far as it goes.
    Moment {
        /// The serial number, in the calendar that starts in 1900.
        serial: f64,
        /// `2024-01-31`, `2024-01-31T08:00:00`.
        text: String,
    },
    /// A JSON value that is neither text nor `null`, as it was written.
    Json(String),
}

impl Cell {
    /// What it says, as text; empty for an empty cell.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Empty => "".into(),
            Self::Text(text) | Self::Json(text) | Self::Moment { text, .. } => text.into(),
            Self::Bool(yes) => if *yes { "true" } else { "false" }.into(),
            Self::Number(number) => number.to_string().into(),
        }
    }

    /// What it takes in memory beside itself, bytes.
    pub fn held(&self) -> usize {
        match self {
            Self::Text(text) | Self::Json(text) | Self::Moment { text, .. } => {
                Budget::text(text.len())
            }
            Self::Empty | Self::Bool(_) | Self::Number(_) => 0,
        }
    }

    /// Whether it says nothing.
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(text) => text.trim().is_empty(),
            _ => false,
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        if text.is_empty() { Self::Empty } else { Self::Text(text) }
    }
}

/// A table: names of columns, and rows, each as long as the header.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sheet {
    /// Column names, as written: they may repeat or be empty.
    pub header: Vec<String>,
    /// Rows.
    pub rows: Vec<Vec<Cell>>,
    /// Where each row was: the line of a CSV or of a spreadsheet, the position of a JSON object
    /// from 1. As long as the rows.
    pub lines: Vec<u64>,
}

impl Sheet {
    /// A cell; the empty one where there is none.
    pub fn cell(&self, row: usize, column: usize) -> &Cell {
        const NOTHING: &Cell = &Cell::Empty;
        self.rows.get(row).and_then(|cells| cells.get(column)).unwrap_or(NOTHING)
    }

    /// The texts of a column, trimmed, row by row.
    pub fn column(&self, column: usize) -> impl Iterator<Item = Cow<'_, str>> {
        self.rows.iter().map(move |row| match row.get(column).map(Cell::text) {
            Some(Cow::Borrowed(text)) => text.trim().into(),
            Some(Cow::Owned(text)) => text.into(),
            None => "".into(),
        })
    }

    /// The columns' names in one line, for messages.
    pub fn names(&self) -> String {
        const SHOWN: usize = 60;
        let cut = |name: &String| name.chars().take(60).collect::<String>();
        let shown: Vec<String> = self.header.iter().take(SHOWN).map(cut).collect();
        let more = if self.header.len() > SHOWN { "…" } else { "" };
        format!("{}{more}", shown.join(", "))
    }
}
