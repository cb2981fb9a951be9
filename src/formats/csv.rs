//! CSV, read: encoding, separator, header, decimal mark, kinds and coordinate columns are
//! detected unless declared, and the notes say what was found.
//!
//! Two passes over the file, in constant memory: the first looks at every cell to settle the
//! kinds (a code column is one because of its one leading zero, wherever it stands), the second
//! gives rows. The coordinate columns stay as fields beside the geometry they make.

mod columns;
mod dialect;
mod rows;
mod survey;

use super::{Next, Reader, encoding, quoted};
use crate::{
    error::{Error, Result},
    model::{Field, Record, Refusal, RefusalReason, SourceDef, Text},
    text,
};
use columns::Reading;
use geo_types::Point;
use rows::{Cut, Row, Rows};
use std::path::{Path, PathBuf};
use survey::{Axes, Survey};

pub(super) use columns::find_xy;
pub(super) use survey::coordinate;

/// Bytes of text looked at for the dialect.
const HEAD: usize = 1 << 18;

/// Reads one CSV file.
pub struct CsvReader {
    path: PathBuf,
    rows: Rows,
    header: bool,
    fields: Vec<Field>,
    readings: Vec<Reading>,
    axes: Option<Axes>,
    rows_expected: u64,
    trailing: u64,
    blank: u64,
    notes: Vec<Text>,
}

impl CsvReader {
    /// Opens a file. Uses the source's `encoding` and `csv` options.
    pub fn open(path: &Path, source: &SourceDef) -> Result<Self> {
        let detected = match &source.encoding {
            Some(label) => encoding::Detected {
                charset: encoding::Charset::from_option(label)?,
                why: encoding::Why::Declared,
            },
            None => encoding::detect(path)?,
        };
        let mut notes: Vec<Text> = detected.note().into_iter().collect();
        let (head, whole) = head(path, detected.charset)?;
        let (dialect, found) = dialect::detect(&head, whole, &source.csv)?;
        notes.extend(found);
        let open = || {
            let text = encoding::TextSource::open(path, detected.charset)?;
            Ok::<_, Error>(Rows::new(text, dialect.separator))
        };
        let survey = Survey::of(&mut open()?, path, dialect.header, source)?;
        notes.extend(survey.notes);
        let fields = survey.names.into_iter().zip(&survey.readings);
        let fields = fields.map(|(name, r)| Field { name, kind: r.kind() }).collect();
        Ok(Self {
            path: path.to_owned(),
            rows: open()?,
            header: dialect.header,
            fields,
            readings: survey.readings,
            axes: survey.axes,
            rows_expected: survey.count,
            trailing: 0,
            blank: 0,
            notes,
        })
    }

    fn read(&mut self, row: &Row) -> Next {
        let expected = self.fields.len();
        let extra_blank = (expected..row.len()).all(|i| row.cell(i).trim().is_empty());
        if row.len() < expected || !extra_blank {
            let found = row.len();
            return Next::Refused(Refusal {
                line: row.line,
                column: None,
                value: quoted(&row.cells().collect::<Vec<_>>().join(" | ")),
                reason: RefusalReason::BrokenRow,
                text: text!(
                    "{found} colonnes au lieu de {expected}",
                    "{found} columns instead of {expected}"
                ),
            });
        }
        self.trailing += u64::from(row.len() > expected);
        let geometry = match self.axes.map(|axes| self.point(row, axes)) {
            None | Some(Ok(None)) => None,
            Some(Ok(Some(point))) => Some(point.into()),
            Some(Err(refusal)) => return Next::Refused(*refusal),
        };
        let values = self.readings.iter().enumerate().map(|(i, r)| r.value(row.cell(i))).collect();
        Next::Record(Record { line: row.line, values, geometry })
    }

    fn point(&self, row: &Row, axes: Axes) -> Result<Option<Point<f64>>, Box<Refusal>> {
        axes.point(row).map_err(|column| {
            let cell = row.cell(column).trim();
            Box::new(Refusal {
                line: row.line,
                column: self.fields.get(column).map(|f| f.name.clone()),
                value: quoted(cell),
                reason: RefusalReason::BadCoordinate,
                text: if cell.is_empty() {
                    text!("une coordonnée manque", "one coordinate is missing")
                } else {
                    text!("la coordonnée n'est pas un nombre", "the coordinate is not a number")
                },
            })
        })
    }
}

/// The start of the text, for the dialect; and whether it is all of it.
fn head(path: &Path, charset: encoding::Charset) -> Result<(String, bool)> {
    let mut source = encoding::TextSource::open(path, charset)?;
    let mut bytes = Vec::new();
    let mut whole = false;
    while bytes.len() < HEAD && !whole {
        whole = !source.fill(&mut bytes).map_err(|e| Error::io(path, e))?;
    }
    Ok((encoding::into_text(bytes), whole))
}

impl Reader for CsvReader {
    fn next(&mut self) -> Result<Next> {
        loop {
            match self.rows.next().map_err(|e| Error::io(&self.path, e))? {
                // Spreadsheets leave rows of nothing but separators behind the last one.
                Cut::Row(row) if row.is_blank() => self.blank += 1,
                Cut::Row(_) if self.header => self.header = false,
                Cut::Row(row) => return Ok(self.read(&row)),
                Cut::Broken { line, value, text } => {
                    return Ok(Next::Refused(Refusal {
                        line,
                        column: None,
                        value: quoted(&value),
                        reason: RefusalReason::BrokenRow,
                        text,
                    }));
                }
                // The first pass refused a file that is lost.
                Cut::End | Cut::Lost { .. } => return Ok(Next::End),
            }
        }
    }

    fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn crs(&self) -> Option<&str> {
        None
    }

    fn notes(&self) -> Vec<Text> {
        let mut notes = self.notes.clone();
        let (trailing, blank) = (self.trailing, self.blank);
        if trailing > 0 {
            notes.push(text!(
                "cellules vides en trop en fin de ligne, ignorées : {trailing} lignes",
                "extra empty cells at the end of rows, ignored: {trailing} rows"
            ));
        }
        if blank > 0 {
            notes.push(text!(
                "lignes entièrement vides, ignorées : {blank}",
                "entirely empty rows, ignored: {blank}"
            ));
        }
        notes
    }

    fn expected(&self) -> Option<u64> {
        Some(self.rows_expected)
    }

    fn position(&self) -> u64 {
        self.rows.source().taken
    }
}

/// The separator of a text whose start is `head`, and whether its first row names the columns;
/// what had to be assumed goes to `notes`.
pub(super) fn dialect_of(head: &str, whole: bool, notes: &mut Vec<Text>) -> Result<(u8, bool)> {
    let (found, said) = dialect::detect(head, whole, &crate::model::CsvOptions::default())?;
    // The separator goes without saying: the table comes back with it.
    notes.extend(said.into_iter().skip(1));
    Ok((found.separator, found.header))
}

/// Whether a text looks like CSV with more than one column.
pub(super) fn plausible(head: &str, whole: bool) -> bool {
    dialect::separator(head, whole).1 > 1
}
