//! A sheet written out as delimited text, cell by cell.

use crate::{
    error::{Error, Result},
    formats::{
        refused,
        types::{column_names, few_columns},
    },
    model::{Cell, SourceLimits},
    text,
};
use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

/// Most bytes of a row.
const MAX_ROW: usize = 64 << 20;

/// From this line of the text on, lines are rows of the sheet from `row` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) struct Shift {
    pub(in crate::formats) line: u64,
    pub(in crate::formats) row: u64,
}

/// A sheet that was written out.
pub(in crate::formats) struct Spooled {
    pub(in crate::formats) sheet: String,
    /// Columns that hold text which looks like something else.
    pub(in crate::formats) text: Vec<String>,
    pub(in crate::formats) shifts: Vec<Shift>,
    /// Names of the sheets that were not.
    pub(in crate::formats) others: Vec<String>,
}

/// The text on its way.
pub(in crate::formats) struct Spool<'a> {
    out: csv::Writer<BufWriter<File>>,
    path: PathBuf,
    limits: &'a SourceLimits,
    /// The row at hand, from 1, and its cells.
    row: u64,
    cells: Vec<Cell>,
    /// Bytes of the row, and of all rows: texts that cells share are written out for each.
    held: usize,
    written: u64,
    header: Option<Vec<String>>,
    /// The line that comes next.
    line: u64,
    shifts: Vec<Shift>,
    text: BTreeSet<usize>,
}

impl<'a> Spool<'a> {
    pub(in crate::formats) fn create(path: &Path, limits: &'a SourceLimits) -> Result<Self> {
        let file = File::create(path).map_err(|e| Error::io(path, e))?;
        let out = csv::WriterBuilder::new().flexible(true).from_writer(BufWriter::new(file));
        Ok(Self {
            out,
            path: path.to_owned(),
            limits,
            row: 0,
            cells: Vec::new(),
            held: 0,
            written: 0,
            header: None,
            line: 1,
            shifts: Vec::new(),
            text: BTreeSet::new(),
        })
    }

    /// Takes a cell; rows and columns count from 0, and come in order.
    pub(in crate::formats) fn cell(&mut self, row: u64, column: usize, value: Cell) -> Result<()> {
        if row + 1 != self.row {
            self.end_row()?;
            self.row = row + 1;
        }
        if value.is_blank() {
            return Ok(());
        }
        few_columns(column + 1, self.limits)?;
        self.held += value.held();
        if self.held > MAX_ROW {
            let (line, most) = (row + 1, MAX_ROW >> 20);
            return Err(refused(text!(
                "ligne {line} : plus de {most} Mio",
                "row {line}: more than {most} MiB"
            )));
        }
        if self.cells.len() <= column {
            self.cells.resize(column + 1, Cell::Empty);
        }
        if let Some(place) = self.cells.get_mut(column) {
            *place = value;
        }
        Ok(())
    }

    fn end_row(&mut self) -> Result<()> {
        let mut cells = std::mem::take(&mut self.cells);
        if cells.is_empty() {
            return Ok(());
        }
        let width = match &self.header {
            Some(header) => header.len().max(cells.len()),
            None => {
                self.header = Some(cells.iter().map(|c| c.text().into_owned()).collect());
                cells.len()
            }
        };
        cells.resize(width, Cell::Empty);
        self.written += (std::mem::take(&mut self.held) + width) as u64;
        let max = self.limits.max_unpacked;
        if self.written > max {
            return Err(refused(text!(
                "classeur refusé : il dépasse {max} octets une fois décompressé (max_unpacked_mb)",
                "workbook refused: it exceeds {max} bytes once unpacked (max_unpacked_mb)"
            )));
        }
        let expected = self.shifts.last().map_or(self.line, |s| s.row + (self.line - s.line));
        if expected != self.row {
            self.shifts.push(Shift { line: self.line, row: self.row });
        }
        let mut breaks = 0;
        for (i, cell) in cells.iter().enumerate() {
            let text = cell.text();
            if matches!(cell, Cell::Text(_)) && looks_like_more(&text) {
                self.text.insert(i);
            }
            breaks += text.matches('\n').count() as u64;
            // A lone carriage return would count as a line as well.
            breaks += text.matches('\r').count() as u64 - text.matches("\r\n").count() as u64;
            self.out.write_field(text.as_bytes()).map_err(|e| fault(&self.path, e))?;
        }
        self.out.write_record(None::<&[u8]>).map_err(|e| fault(&self.path, e))?;
        self.line += 1 + breaks;
        Ok(())
    }

    pub(in crate::formats) fn finish(
        mut self,
        sheet: String,
        others: Vec<String>,
    ) -> Result<Spooled> {
        self.end_row()?;
        let mut out = self.out.into_inner().map_err(|e| fault(&self.path, e.into_error()))?;
        out.flush().map_err(|e| Error::io(&self.path, e))?;
        let header = self.header.unwrap_or_default();
        let (names, _) = column_names(header.iter().map(String::as_str));
        // Without a header columns are named by their number.
        let text = self
            .text
            .iter()
            .flat_map(|i| names.get(*i).cloned().into_iter().chain([format!("col_{}", i + 1)]));
        Ok(Spooled { sheet, text: text.collect(), shifts: self.shifts, others })
    }
}

/// Whether a text would be taken for a number if it came without its cell: `75056`, `1,5`.
fn looks_like_more(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'.' | b',' | b'e' | b'E'))
}

fn fault(path: &Path, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::fault(format!("{}", path.display()), cause)
}
