//! Excel workbooks: the first sheet is the table, its first row that is not blank the header.
//! Values are read, formulas by the value they last had; colours and widths are not kept.
//!
//! A workbook is a compressed archive, and may say that its one cell is the last one of a sheet:
//! what it unpacks to is counted before it is read, and cells are taken one by one, never as the
//! rectangle they span.

use super::{COLUMNS, Form, Kind, Table, too_wide};
use crate::{
    error::{Error, Result},
    model::{Budget, Cell, Sheet},
    text,
};
use calamine::{DataRef, Reader, Xlsx, XlsxError};
use quick_xml::events::Event;
use rust_xlsxwriter::{Format, Workbook, Worksheet, XlsxError as WriteError};
use std::io::{BufReader, Cursor, Read};

/// Most bytes that a workbook unpacks to.
const UNPACKED: u64 = 512 << 20;
/// Bytes unpacked between two looks at what is left.
const PIECE: u64 = 1 << 20;
/// Most bytes of memory that a byte of the texts that cells share takes once they are read.
const HELD: usize = 8;
/// Bytes of the shortest text that cells share, `<si/>`.
const SHORTEST: u64 = 5;
/// Characters of a cell.
const CELL: usize = 32_767;
/// Rows of a sheet.
const ROWS: usize = 1_048_576;

pub(super) fn read(bytes: Vec<u8>, budget: &Budget) -> Result<Table> {
    weigh(&bytes, budget)?;
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|e| unreadable(&e))?;
    let first = book.sheet_names().first().cloned();
    let first = first.ok_or_else(|| unreadable(&"no sheet"))?;
    let others = book.sheet_names().len() - 1;
    let from_1904 = book.has_1904_epoch();
    let mut cells = book.worksheet_cells_reader(&first).map_err(|e| unreadable(&e))?;
    let mut rows = Rows { sheet: Sheet::default(), at: 0, cells: Vec::new(), budget };
    while let Some(cell) = cells.next_cell().map_err(|e: XlsxError| unreadable(&e))? {
        let (row, column) = cell.get_position();
        // A text that many cells share is theirs each.
        budget.cells(0, shared(cell.get_value()))?;
        rows.add(row, column, value(cell.get_value(), from_1904))?;
    }
    rows.end_row()?;
    let mut notes = Vec::new();
    if others > 0 {
        notes.push(text!(
            "Feuille lue : « {first} » (la première ; {others} autres laissées).",
            "Sheet read: \"{first}\" (the first; {others} others left out)."
        ));
    }
    Ok(Table { sheet: rows.sheet, form: Form::usual(Kind::Xlsx), notes })
}

/// What the text of a cell will take.
fn shared(value: &DataRef<'_>) -> usize {
    match value {
        DataRef::SharedString(text) => Budget::text(text.len()),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            Budget::text(text.len())
        }
        _ => 0,
    }
}

/// Refuses an archive that unpacks to too much, whatever it declares. Sheets are read piece by
/// piece; other parts (the texts that cells share) are held, and taken from the budget.
fn weigh(bytes: &[u8], budget: &Budget) -> Result<()> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| unreadable(&e))?;
    let mut left = UNPACKED;
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).map_err(|e| unreadable(&e))?;
        let name = entry.name().map_err(|e| unreadable(&e))?.to_ascii_lowercase();
        let held = !name.contains("worksheets/") && !name.contains("media/");
        let mut size = 0;
        loop {
            budget.look()?;
            let piece = std::io::copy(&mut entry.by_ref().take(PIECE), &mut std::io::sink());
            let piece = piece.map_err(|e| unreadable(&e))?;
            if piece == 0 {
                break;
            }
            left = left.checked_sub(piece).ok_or_else(too_much)?;
            if held {
                budget.take((piece as usize).saturating_mul(HELD))?;
            }
            size += piece;
        }
        drop(entry);
        if name.ends_with("sharedstrings.xml") {
            let entry = archive.by_index(at).map_err(|e| unreadable(&e))?;
            few_texts(entry, size)?;
        }
    }
    Ok(())
}

/// Refuses the part of the texts that cells share, of so many bytes, when it says that it holds more
/// of them than it can.
pub(in crate::formats) fn few_texts(part: impl Read, size: u64) -> Result<()> {
    if announced(part)? > size / SHORTEST {
        return Err(unreadable(&"sharedStrings"));
    }
    Ok(())
}

/// How many texts the part of those that cells share says it holds: room is made for them before
/// one is looked for.
fn announced(part: impl Read) -> Result<u64> {
    let mut xml = quick_xml::Reader::from_reader(BufReader::new(part));
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match xml.read_event_into(&mut buffer).map_err(|e| unreadable(&e))? {
            // As its reader looks for it: the first of that name, wherever it stands.
            Event::Start(tag) | Event::Empty(tag) if tag.local_name().as_ref() == "sst" => {
                let count = tag.try_get_attribute("uniqueCount").map_err(|e| unreadable(&e))?;
                let Some(count) = count else { return Ok(0) };
                // What is no number is not counted on.
                return Ok(count.value.trim().trim_start_matches('+').parse().unwrap_or(0));
            }
            Event::Eof => return Ok(0),
            _ => {}
        }
    }
}

fn too_much() -> Error {
    let most = UNPACKED >> 20;
    Error::Invalid(text!(
        "Classeur trop gros une fois décompressé : {most} Mio au plus.",
        "Workbook too large once unpacked: at most {most} MiB."
    ))
}

fn unreadable(cause: &dyn std::fmt::Display) -> Error {
    let cause: String = cause.to_string().chars().take(120).collect();
    Error::Invalid(text!(
        "Classeur Excel illisible : {cause}.",
        "Unreadable Excel workbook: {cause}."
    ))
}

/// What a cell holds.
pub(in crate::formats) fn value(cell: &DataRef<'_>, from_1904: bool) -> Cell {
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
struct Rows<'a> {
    sheet: Sheet,
    /// The row at hand, from 0.
    at: u32,
    cells: Vec<Cell>,
    budget: &'a Budget,
}

impl Rows<'_> {
    fn add(&mut self, row: u32, column: u32, value: Cell) -> Result<()> {
        if row != self.at {
            self.end_row()?;
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
            if self.cells.is_empty() {
                self.cells.reserve_exact(width.max(column + 1));
            }
            self.cells.resize(column + 1, Cell::Empty);
        }
        if let Some(held) = self.cells.get_mut(column) {
            *held = value;
        }
        Ok(())
    }

    fn end_row(&mut self) -> Result<()> {
        let mut cells = std::mem::take(&mut self.cells);
        if cells.is_empty() {
            return Ok(());
        }
        if self.sheet.header.is_empty() {
            self.sheet.header = cells.iter().map(|c| c.text().trim().to_owned()).collect();
            return Ok(());
        }
        let width = self.sheet.header.len();
        self.budget.row(width, 0)?;
        cells.resize(width, Cell::Empty);
        self.sheet.rows.push(cells);
        self.sheet.lines.push(u64::from(self.at) + 1);
        Ok(())
    }
}

pub(super) fn write(sheet: &Sheet, extra: &[(&str, Sheet)], budget: &Budget) -> Result<Vec<u8>> {
    let mut book = Workbook::new();
    add(&mut book, "Table", sheet, budget)?;
    for (name, sheet) in extra {
        add(&mut book, name, sheet, budget)?;
    }
    budget.look()?;
    book.save_to_buffer().map_err(fault)
}

fn fault(cause: WriteError) -> Error {
    Error::fault("writing a workbook", cause)
}

fn add(book: &mut Workbook, name: &str, sheet: &Sheet, budget: &Budget) -> Result<()> {
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
        fits(sheet, None, column, title)?;
        page.write_string_with_format(0, column, title, &titles).map_err(fault)?;
    }
    for (row, cells) in (1u32..).zip(&sheet.rows) {
        let filled = cells.iter().filter(|cell| !cell.is_blank()).count();
        budget.cells(filled, cells.iter().map(Cell::held).sum())?;
        for (column, cell) in (0u16..).zip(cells) {
            if let Cell::Text(text) | Cell::Json(text) = cell {
                fits(sheet, Some(row), column, text)?;
            }
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
            _ => drop(page.write_string(row, column, raw)?),
        },
        Cell::Text(text) => drop(page.write_string(row, column, text)?),
    }
    Ok(())
}

/// Refuses a text that no cell holds: cut, it would say something else.
fn fits(sheet: &Sheet, row: Option<u32>, column: u16, text: &str) -> Result<()> {
    // In UTF-16, as Excel counts.
    if text.len() <= CELL || text.encode_utf16().count() <= CELL {
        return Ok(());
    }
    let title = sheet.header.get(usize::from(column)).map(String::as_str).unwrap_or_default();
    let title: String = title.chars().take(60).collect();
    let line = row.and_then(|row| sheet.lines.get(row as usize - 1)).copied().unwrap_or(1);
    let long = text.chars().count();
    Err(Error::Invalid(text!(
        "Ligne {line}, colonne « {title} » : un texte de {long} caractères, où une cellule d'Excel en tient {CELL}. Demandez du CSV ou du JSON (f=csv, f=json).",
        "Line {line}, column \"{title}\": a text of {long} characters, where a cell of Excel holds {CELL}. Ask for CSV or JSON (f=csv, f=json)."
    )))
}
