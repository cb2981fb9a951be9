//! Excel workbooks: the first sheet is the table, its first row that is not blank the header.
//! Values are read, formulas by the value they last had; colours and widths are not kept.
//!
//! A workbook is a compressed archive, and may say that its one cell is the last one of a sheet:
//! what it unpacks to is counted before it is read, and cells are taken one by one, never as the
//! rectangle they span.

use super::{COLUMNS, Form, Kind, Table, too_wide};
use crate::{
    error::{Error, Result},
    model::{Cell, Sheet},
    text,
};
use calamine::{DataRef, Reader, Xlsx, XlsxError};
use rust_xlsxwriter::{Format, Workbook, Worksheet, XlsxError as WriteError};
use std::io::{Cursor, Read};

/// Most bytes that a workbook unpacks to.
const UNPACKED: u64 = 512 << 20;
/// Characters of a cell.
const CELL: usize = 32_767;
/// Rows of a sheet.
const ROWS: usize = 1_048_576;

pub(super) fn read(bytes: Vec<u8>) -> Result<Table> {
    weigh(&bytes)?;
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|e| unreadable(&e))?;
    let first = book.sheet_names().first().cloned();
    let first = first.ok_or_else(|| unreadable(&"no sheet"))?;
    let others = book.sheet_names().len() - 1;
    let from_1904 = book.has_1904_epoch();
    let mut cells = book.worksheet_cells_reader(&first).map_err(|e| unreadable(&e))?;
    let mut rows = Rows::default();
    while let Some(cell) = cells.next_cell().map_err(|e: XlsxError| unreadable(&e))? {
        let (row, column) = cell.get_position();
        rows.add(row, column, value(cell.get_value(), from_1904))?;
    }
    rows.end_row();
    let mut notes = Vec::new();
    if others > 0 {
        notes.push(text!(
            "Feuille lue : « {first} » (la première ; {others} autres laissées).",
            "Sheet read: \"{first}\" (the first; {others} others left out)."
        ));
    }
    Ok(Table { sheet: rows.sheet, form: Form::usual(Kind::Xlsx), notes })
}

/// Refuses an archive that unpacks to too much, whatever it declares.
fn weigh(bytes: &[u8]) -> Result<()> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| unreadable(&e))?;
    let mut left = UNPACKED;
    for at in 0..archive.len() {
        let entry = archive.by_index(at).map_err(|e| unreadable(&e))?;
        let read = std::io::copy(&mut entry.take(left + 1), &mut std::io::sink());
        let read = read.map_err(|e| unreadable(&e))?;
        left = left.checked_sub(read).ok_or_else(|| {
            let most = UNPACKED >> 20;
            Error::Invalid(text!(
                "Classeur trop gros une fois décompressé : {most} Mio au plus.",
                "Workbook too large once unpacked: at most {most} MiB."
            ))
        })?;
    }
    Ok(())
}

fn unreadable(cause: &dyn std::fmt::Display) -> Error {
    let cause: String = cause.to_string().chars().take(120).collect();
    Error::Invalid(text!(
        "Classeur Excel illisible : {cause}.",
        "Unreadable Excel workbook: {cause}."
    ))
}

fn value(cell: &DataRef<'_>, from_1904: bool) -> Cell {
    match cell {
        DataRef::Empty | DataRef::Error(_) => Cell::Empty,
        DataRef::Int(n) => Cell::Number(*n as f64),
        DataRef::Float(n) => Cell::Number(*n),
        DataRef::String(text) => Cell::from(text.clone()),
        DataRef::SharedString(text) => Cell::from((*text).to_owned()),
        DataRef::Bool(yes) => Cell::Bool(*yes),
        DataRef::DateTime(moment) if moment.is_duration() => Cell::Number(moment.as_f64()),
        DataRef::DateTime(moment) => {
            let serial = moment.as_f64() + if from_1904 { 1462.0 } else { 0.0 };
            Cell::Moment { serial, text: moment_text(serial) }
        }
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => Cell::from(text.clone()),
    }
}

/// A serial number as a date, with the time when there is one. Excel takes 1900 for a leap year.
fn moment_text(serial: f64) -> String {
    let seconds = (serial * 86_400.0).round();
    let days = (seconds / 86_400.0).floor();
    let origin = jiff::civil::date(1899, 12, if days < 60.0 { 31 } else { 30 });
    let span = jiff::Span::new().try_days(days as i64);
    let Some(date) = span.ok().and_then(|span| origin.checked_add(span).ok()) else {
        return serial.to_string();
    };
    let clock = (seconds - days * 86_400.0) as i64;
    match clock {
        0 => date.to_string(),
        s => format!("{date}T{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60),
    }
}

/// Rows while cells come in.
#[derive(Default)]
struct Rows {
    sheet: Sheet,
    /// The row at hand, from 0.
    at: u32,
    cells: Vec<Cell>,
}

impl Rows {
    fn add(&mut self, row: u32, column: u32, value: Cell) -> Result<()> {
        if row != self.at {
            self.end_row();
            self.at = row;
        }
        let column = column as usize;
        let width = self.sheet.header.len();
        if value.is_blank() {
            return Ok(());
        }
        if column >= COLUMNS {
            return Err(too_wide());
        }
        if width > 0 && column >= width {
            let (line, found) = (row + 1, column + 1);
            return Err(Error::Invalid(text!(
                "Ligne {line} : une cellule en colonne {found}, où l'en-tête n'en nomme que {width}.",
                "Line {line}: a cell in column {found}, where the header names only {width}."
            )));
        }
        if self.cells.len() <= column {
            self.cells.resize(column + 1, Cell::Empty);
        }
        if let Some(held) = self.cells.get_mut(column) {
            *held = value;
        }
        Ok(())
    }

    fn end_row(&mut self) {
        let mut cells = std::mem::take(&mut self.cells);
        if cells.is_empty() {
            return;
        }
        if self.sheet.header.is_empty() {
            self.sheet.header = cells.iter().map(|c| c.text().trim().to_owned()).collect();
            return;
        }
        cells.resize(self.sheet.header.len(), Cell::Empty);
        self.sheet.rows.push(cells);
        self.sheet.lines.push(u64::from(self.at) + 1);
    }
}

pub(super) fn write(sheet: &Sheet, extra: &[(&str, Sheet)]) -> Result<Vec<u8>> {
    let mut book = Workbook::new();
    add(&mut book, "Table", sheet)?;
    for (name, sheet) in extra {
        add(&mut book, name, sheet)?;
    }
    book.save_to_buffer().map_err(fault)
}

fn fault(cause: WriteError) -> Error {
    Error::fault("writing a workbook", cause)
}

fn add(book: &mut Workbook, name: &str, sheet: &Sheet) -> Result<()> {
    if sheet.rows.len() >= ROWS {
        let rows = sheet.rows.len();
        return Err(Error::Invalid(text!(
            "{rows} lignes : une feuille Excel en tient {ROWS}. Demandez du CSV (f=csv).",
            "{rows} rows: an Excel sheet holds {ROWS}. Ask for CSV (f=csv)."
        )));
    }
    let (titles, date) = (Format::new().set_bold(), Format::new().set_num_format("yyyy-mm-dd"));
    let instant = Format::new().set_num_format("yyyy-mm-dd hh:mm:ss");
    let page = book.add_worksheet();
    page.set_name(name).map_err(fault)?;
    page.set_freeze_panes(1, 0).map_err(fault)?;
    for (column, title) in (0u16..).zip(&sheet.header) {
        page.write_string_with_format(0, column, title, &titles).map_err(fault)?;
    }
    for (row, cells) in (1u32..).zip(&sheet.rows) {
        for (column, cell) in (0u16..).zip(cells) {
            put(page, row, column, cell, [&date, &instant]).map_err(fault)?;
        }
    }
    Ok(())
}

fn put(
    page: &mut Worksheet,
    row: u32,
    column: u16,
    cell: &Cell,
    [date, instant]: [&Format; 2],
) -> Result<(), WriteError> {
    match cell {
        Cell::Empty => {}
        Cell::Bool(yes) => drop(page.write_boolean(row, column, *yes)?),
        Cell::Number(n) => drop(page.write_number(row, column, *n)?),
        Cell::Moment { serial, .. } => {
            let format = if serial.fract() == 0.0 { date } else { instant };
            page.write_number_with_format(row, column, *serial, format)?;
        }
        Cell::Json(raw) => match raw.parse::<f64>() {
            Ok(n) if n.is_finite() && n.abs() < 9e15 => drop(page.write_number(row, column, n)?),
            _ => drop(page.write_string(row, column, cut(raw))?),
        },
        Cell::Text(text) => drop(page.write_string(row, column, cut(text))?),
    }
    Ok(())
}

/// A text that a cell holds.
fn cut(text: &str) -> String {
    if text.len() <= CELL { text.to_owned() } else { text.chars().take(CELL).collect() }
}
