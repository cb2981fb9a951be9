//! Tables of codes as people keep them — CSV, a spreadsheet, a list of JSON objects — read whole
//! into a [`Sheet`], and written back in the form they came in. Not the way into a layer: there a
//! column has one type and rows stream; here each cell stays what its file said.

mod csv;
mod json;
mod xlsx;

pub(super) use xlsx::{few_texts, value};

use super::encoding::Charset;
use crate::{
    error::{Error, Result},
    model::{Budget, Sheet, Text},
    text,
};

/// Most columns of a table.
const COLUMNS: usize = 4096;

/// A kind of table file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Delimited text.
    Csv,
    /// An Excel workbook; its first sheet counts.
    Xlsx,
    /// An array of objects, or an object with such an array in `rows`.
    Json,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Csv, Self::Xlsx, Self::Json];

    /// Its name, which is also the extension of its files.
    pub fn id(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Json => "json",
        }
    }

    /// Its media type.
    pub fn media(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Json => "application/json",
        }
    }

    /// The kind that a file's first bytes show.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an old Excel file, or one of LibreOffice.
    pub fn of(bytes: &[u8]) -> Result<Self> {
        if bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
            return Err(Error::Invalid(text!(
                "Ancien format Excel (.xls) : enregistrez la table en .xlsx ou en CSV.",
                "Old Excel format (.xls): save the table as .xlsx or CSV."
            )));
        }
        if bytes.starts_with(b"PK") {
            return Ok(Self::Xlsx);
        }
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let first = text.iter().find(|b| !b.is_ascii_whitespace());
        Ok(if matches!(first, Some(b'[' | b'{')) { Self::Json } else { Self::Csv })
    }
}

/// How a table was written, and is to be written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The kind of file.
    pub kind: Kind,
    /// What separates the cells of a CSV.
    pub separator: u8,
    /// Whether a CSV starts with a byte order mark, by which Excel knows UTF-8.
    pub bom: bool,
}

impl Form {
    /// The usual form of a kind: CSV as a French Excel reads it.
    pub fn usual(kind: Kind) -> Self {
        Self { kind, separator: b';', bom: kind == Kind::Csv }
    }
}

/// A table that was read.
#[derive(Debug)]
pub struct Table {
    /// Its cells.
    pub sheet: Sheet,
    /// How it was written.
    pub form: Form,
    /// What was found out about it.
    pub notes: Vec<Text>,
}

/// Reads a table. Without a kind its bytes tell; `charset` is what whoever sent a CSV says of it.
/// What it holds is taken from the budget: a small file may spell out a large table.
///
/// # Errors
/// [`Error::Invalid`], naming the line, when it is no such table, an empty one, or one that the
/// budget has no room for; [`Error::Unavailable`] when the time is up.
pub fn read(
    bytes: Vec<u8>,
    kind: Option<Kind>,
    charset: Option<Charset>,
    budget: &Budget,
) -> Result<Table> {
    let kind = match kind {
        Some(kind) => kind,
        None => Kind::of(&bytes)?,
    };
    let table = match kind {
        Kind::Csv => csv::read(bytes, charset, budget)?,
        Kind::Xlsx => xlsx::read(bytes, budget)?,
        Kind::Json => json::read(&bytes, budget)?,
    };
    if table.sheet.header.is_empty() || table.sheet.rows.is_empty() {
        return Err(Error::Invalid(text!(
            "La table est vide : il faut une ligne de noms de colonnes et au moins une ligne.",
            "The table is empty: it needs a row of column names and at least one row."
        )));
    }
    Ok(table)
}

/// Writes a table. `extra` are sheets that a workbook has besides; a CSV has none, and JSON only
/// the rows, as an array of objects.
///
/// # Errors
/// [`Error::Invalid`] when a sheet cannot hold it, or the budget has no room for what is written;
/// [`Error::Unavailable`] when the time is up.
pub fn write(
    sheet: &Sheet,
    form: Form,
    extra: &[(&str, Sheet)],
    budget: &Budget,
) -> Result<Vec<u8>> {
    match form.kind {
        Kind::Csv => csv::write(sheet, form, budget),
        Kind::Xlsx => xlsx::write(sheet, extra, budget),
        Kind::Json => json::rows(sheet, budget),
    }
}

/// The columns that make a point, by their usual names: easting or longitude, then northing or
/// latitude.
pub fn axes(header: &[String]) -> Option<(usize, usize)> {
    super::csv::find_xy(header).map(|(pair, _)| pair)
}

/// A coordinate as people write it, with a point or a comma.
pub fn coordinate(cell: &str) -> Option<f64> {
    super::csv::coordinate(cell.trim(), None)
}

fn too_wide() -> Error {
    Error::Invalid(text!(
        "Plus de {COLUMNS} colonnes : ce n'est pas une table de codes.",
        "More than {COLUMNS} columns: this is no table of codes."
    ))
}

#[cfg(test)]
mod tests;
