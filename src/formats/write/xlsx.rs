//! XLSX: a sheet per layer, codes as text, and a last sheet that says where it comes from. Rows go
//! to the scratch folder as they come.

use super::{Head, Options, Place, Row, Target, Writer, io, names::cut, no_layer, place};
use crate::{
    error::{Error, Result},
    model::{FieldKind, ValueRef},
};
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

/// Rows of a sheet, the first of which names the columns.
const ROWS: u32 = 1_048_576;
/// Columns of a sheet.
const COLUMNS: usize = 16_384;
/// Characters of a cell.
const CELL: usize = 32_767;
/// Largest integer that a cell holds exactly.
const EXACT: u64 = 1 << 53;
/// Name of the last sheet.
const ABOUT: &str = "LISEZMOI";

pub(super) fn open(target: Target, options: Options) -> Result<Box<dyn Writer>> {
    let mut book = Workbook::new();
    book.set_tempdir(&target.scratch).map_err(fault)?;
    let form = |pattern: &str| Format::new().set_num_format(pattern);
    Ok(Box::new(Xlsx {
        target,
        options,
        book,
        titles: Format::new().set_bold(),
        date: form("yyyy-mm-dd"),
        instant: form("yyyy-mm-dd hh:mm:ss"),
        sheets: 0,
        names: super::Names::default(),
        layer: None,
        about: Vec::new(),
    }))
}

struct Xlsx {
    target: Target,
    options: Options,
    book: Workbook,
    titles: Format,
    date: Format,
    instant: Format,
    sheets: usize,
    names: super::Names,
    layer: Option<Layer>,
    /// Lines of the last sheet.
    about: Vec<(String, String)>,
}

struct Layer {
    head: Head,
    place: Place,
    columns: Vec<String>,
    /// The next row of the sheet at hand.
    next: u32,
    /// Cells cut to what a cell holds.
    cut: u64,
    /// Sheets the layer takes.
    sheets: u32,
}

impl Xlsx {
    fn sheet(&mut self) -> Result<&mut Worksheet> {
        let last = self.sheets.saturating_sub(1);
        self.book.worksheet_from_index(last).map_err(fault)
    }

    /// Begins the layer's next sheet, with the names of its columns.
    fn add_sheet(&mut self) -> Result<()> {
        let layer = self.layer.as_mut().ok_or_else(no_layer)?;
        // A sheet's name has 31 characters, and layer ids none that it may not have.
        let name = self.names.within(&layer.head.name, 31);
        layer.next = 1;
        layer.sheets += 1;
        let sheet = self.book.add_worksheet_with_constant_memory().map_err(fault)?;
        sheet.set_name(name).map_err(fault)?;
        sheet.set_freeze_panes(1, 0).map_err(fault)?;
        for (i, column) in (0u16..).zip(&layer.columns) {
            sheet.write_string_with_format(0, i, column, &self.titles).map_err(fault)?;
        }
        self.sheets += 1;
        Ok(())
    }
}

impl Writer for Xlsx {
    fn begin(&mut self, head: &Head) -> Result<()> {
        let extra = self.options.place.columns(head);
        let names = head.schema.fields.iter().map(|f| f.name.as_str()).chain(extra.iter().copied());
        let columns: Vec<String> = names.map(str::to_owned).collect();
        if columns.len() > COLUMNS {
            let n = columns.len();
            return Err(super::too_large(crate::text!(
                "{n} colonnes : une feuille Excel en tient {COLUMNS}.",
                "{n} columns: an Excel sheet holds {COLUMNS}."
            )));
        }
        let place = if extra.is_empty() { Place::None } else { self.options.place };
        self.layer = Some(Layer { head: head.clone(), place, columns, next: 1, cut: 0, sheets: 0 });
        self.add_sheet()
    }

    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        if self.layer.as_ref().is_some_and(|layer| layer.next >= ROWS) {
            self.add_sheet()?;
        }
        let last = self.sheets.saturating_sub(1);
        let layer = self.layer.as_mut().ok_or_else(no_layer)?;
        let sheet = self.book.worksheet_from_index(last).map_err(fault)?;
        let mut cells = Cells { sheet, row: layer.next, column: 0, cut: &mut layer.cut };
        for (value, field) in row.values.iter().zip(&layer.head.schema.fields) {
            let format = match field.kind {
                FieldKind::Date => Some(&self.date),
                FieldKind::DateTime => Some(&self.instant),
                _ => None,
            };
            cells.value(*value, format)?;
        }
        match (layer.place, row.wkb) {
            (Place::None, _) | (_, None) => {}
            (Place::Wkt, Some(wkb)) => {
                let mut words = String::new();
                place::wkt(wkb, layer.head.system.geographic, &mut words)?;
                cells.text(&words)?;
            }
            (Place::Point, Some(wkb)) => {
                if let Some(p) = place::point(wkb)? {
                    cells.value(ValueRef::Float(p.x), None)?;
                    cells.value(ValueRef::Float(p.y), None)?;
                }
            }
        }
        layer.next += 1;
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let layer = self.layer.take().ok_or_else(no_layer)?;
        self.about.push((layer.head.title.clone(), String::new()));
        let facts = layer.head.facts.iter();
        self.about.extend(facts.map(|f| (f.label.to_owned(), f.value.clone())));
        if layer.cut > 0 {
            let note = format!("{} cellules coupées à {CELL} caractères", layer.cut);
            self.about.push(("Limite d'Excel".to_owned(), note));
        }
        if layer.sheets > 1 {
            let note = format!("la couche occupe {} feuilles", layer.sheets);
            self.about.push(("Limite d'Excel".to_owned(), note));
        }
        self.about.push(Default::default());
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let name = self.names.within(ABOUT, 31);
        let sheet = self.book.add_worksheet_with_constant_memory().map_err(fault)?;
        sheet.set_name(name).map_err(fault)?;
        self.sheets += 1;
        let (about, titles) = (std::mem::take(&mut self.about), self.titles.clone());
        let sheet = self.sheet()?;
        for (row, (label, value)) in (0u32..).zip(&about) {
            if value.is_empty() {
                sheet.write_string_with_format(row, 0, label, &titles).map_err(fault)?;
            } else {
                sheet.write_string(row, 0, label).map_err(fault)?;
                sheet.write_string(row, 1, clipped(value)).map_err(fault)?;
            }
        }
        self.book.save_to_writer(&mut self.target.out).map_err(fault)?;
        self.target.out.flush().map_err(io)
    }
}

/// The cells of one row, left to right.
struct Cells<'a> {
    sheet: &'a mut Worksheet,
    row: u32,
    column: u16,
    cut: &'a mut u64,
}

impl Cells<'_> {
    fn value(&mut self, value: ValueRef<'_>, moment: Option<&Format>) -> Result<()> {
        let (row, column) = (self.row, self.column);
        let done = match value {
            ValueRef::Null => Ok(()),
            ValueRef::Bool(b) => self.sheet.write_boolean(row, column, b).map(drop),
            ValueRef::Int(i) if i.unsigned_abs() <= EXACT => {
                self.sheet.write_number(row, column, i as f64).map(drop)
            }
            ValueRef::Int(i) => self.sheet.write_string(row, column, i.to_string()).map(drop),
            ValueRef::Float(f) if !f.is_finite() => Ok(()),
            ValueRef::Float(f) => self.sheet.write_number(row, column, f).map(drop),
            ValueRef::Text(text) => {
                // Excel's calendar begins in 1900: earlier dates stay text.
                let date = moment.and_then(|format| Some((self::moment(text)?, format)));
                match date {
                    Some((date, format)) => {
                        self.sheet.write_datetime_with_format(row, column, date, format).map(drop)
                    }
                    None => return self.text(text),
                }
            }
            ValueRef::Json(json) => return self.text(json),
        };
        self.column += 1;
        done.map_err(fault)
    }

    fn text(&mut self, text: &str) -> Result<()> {
        let fits = clipped(text);
        *self.cut += u64::from(fits.len() < text.len());
        let done = self.sheet.write_string(self.row, self.column, fits).map(drop);
        self.column += 1;
        done.map_err(fault)
    }
}

/// The start of a text that fits into a cell. Excel counts UTF-16 units.
fn clipped(text: &str) -> &str {
    if text.len() <= CELL {
        return text;
    }
    let mut units = 0;
    let end = text.char_indices().find(|(_, c)| {
        units += c.len_utf16();
        units > CELL
    });
    end.map_or(text, |(at, _)| cut(text, at))
}

/// A date or an instant, if Excel has it.
fn moment(text: &str) -> Option<ExcelDateTime> {
    let instant = match text.parse::<jiff::Timestamp>() {
        Ok(at) => jiff::tz::Offset::UTC.to_datetime(at),
        Err(_) => {
            text.parse::<jiff::civil::Date>().ok()?.to_datetime(jiff::civil::Time::midnight())
        }
    };
    let year = u16::try_from(instant.year()).ok().filter(|y| *y >= 1901)?;
    let [month, day] = [instant.month(), instant.day()].map(|n| u8::try_from(n).unwrap_or(1));
    let [minute, second] =
        [instant.minute(), instant.second()].map(|n| u8::try_from(n).unwrap_or(0));
    let hour = u16::try_from(instant.hour()).unwrap_or(0);
    ExcelDateTime::from_ymd(year, month, day).ok()?.and_hms(hour, minute, second).ok()
}

fn fault(e: XlsxError) -> Error {
    match e {
        XlsxError::IoError(e) => io(e),
        other => Error::fault("writing XLSX", other),
    }
}
