//! CSV, read: encoding, separator, header, decimal mark, kinds and coordinate columns are
//! detected unless declared, and the notes say what was found.
//!
//! Two passes over the file, in constant memory: the first looks at every cell to settle the
//! kinds (a code column is one because of its one leading zero, wherever it stands), the second
//! gives rows. The coordinate columns stay as fields beside the geometry they make.

mod columns;
mod dialect;
mod rows;
mod shape;
mod survey;

use super::{Next, Reader, encoding, quoted};
use crate::{
    error::{Error, Result},
    model::{Field, Record, Refusal, RefusalReason, SourceDef, SourceLimits, Text},
    text,
};
use geo_types::Geometry;
use rows::{Cut, Row, Rows};
use shape::Form;
use std::path::{Path, PathBuf};
use survey::{Place, Survey};

pub(super) use columns::{Looks, Reading, find_xy, names_codes};
pub(super) use survey::coordinate;

/// Bytes of text looked at for the dialect.
const HEAD: usize = 1 << 18;

/// Reads one CSV file.
pub struct CsvReader {
    path: PathBuf,
    rows: Rows,
    header: bool,
    fields: Vec<Field>,
    names: Vec<String>,
    /// How each column is read; `None`: it is the geometry.
    readings: Vec<Option<Reading>>,
    place: Place,
    srid: Option<u32>,
    crs: Option<String>,
    rows_expected: u64,
    trailing: u64,
    blank: u64,
    notes: Vec<Text>,
}

impl CsvReader {
    /// Opens a file. Uses the source's `encoding` and `csv` options.
    pub fn open(path: &Path, source: &SourceDef, limits: &SourceLimits) -> Result<Self> {
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
        let survey = Survey::of(&mut open()?, path, dialect.header, source, limits)?;
        notes.extend(survey.notes);
        // Whole geometries are not attributes as well; two numbers are.
        let whole = match survey.place {
            Place::Shape(at, Form::Wkt | Form::GeoJson) => Some(at),
            _ => None,
        };
        let readings: Vec<Option<Reading>> = survey
            .readings
            .iter()
            .enumerate()
            .map(|(i, r)| (whole != Some(i)).then_some(*r))
            .collect();
        let fields = survey.names.iter().zip(&readings);
        let fields = fields
            .filter_map(|(name, r)| Some(Field { name: name.clone(), kind: (*r)?.kind() }))
            .collect();
        Ok(Self {
            path: path.to_owned(),
            rows: open()?,
            header: dialect.header,
            fields,
            names: survey.names,
            readings,
            place: survey.place,
            srid: survey.srid,
            crs: survey.srid.map(|code| format!("EPSG:{code}")),
            rows_expected: survey.count,
            trailing: 0,
            blank: 0,
            notes,
        })
    }

    fn read(&mut self, row: &Row) -> Next {
        let expected = self.readings.len();
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
        let geometry = match self.geometry(row) {
            Ok(geometry) => geometry,
            Err(refusal) => return Next::Refused(*refusal),
        };
        let values = self.readings.iter().enumerate();
        let values = values.filter_map(|(i, r)| Some(r.as_ref()?.value(row.cell(i)))).collect();
        Next::Record(Record { line: row.line, values, geometry })
    }

    fn geometry(&self, row: &Row) -> Result<Option<Geometry<f64>>, Box<Refusal>> {
        let refuse = |column: usize, reason, text| {
            Box::new(Refusal {
                line: row.line,
                column: self.names.get(column).cloned(),
                value: quoted(row.cell(column).trim()),
                reason,
                text,
            })
        };
        match self.place {
            Place::None => Ok(None),
            Place::Axes(axes) => match axes.point(row) {
                Ok(point) => Ok(point.map(Geometry::from)),
                Err(column) => {
                    let text = if row.cell(column).trim().is_empty() {
                        text!("une coordonnée manque", "one coordinate is missing")
                    } else {
                        text!("la coordonnée n'est pas un nombre", "the coordinate is not a number")
                    };
                    Err(refuse(column, RefusalReason::BadCoordinate, text))
                }
            },
            Place::Shape(column, _) if row.cell(column).trim().is_empty() => Ok(None),
            Place::Shape(column, form) => {
                let (geometry, code) = shape::read(row.cell(column).trim(), form)
                    .map_err(|text| refuse(column, RefusalReason::InvalidGeometry, text))?;
                if form == Form::Wkt && code != self.srid {
                    let text = text!(
                        "la géométrie est dans un autre système que les premières",
                        "the geometry is in another system than the first ones"
                    );
                    return Err(refuse(column, RefusalReason::BadCoordinate, text));
                }
                Ok(geometry)
            }
        }
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
        self.crs.as_deref()
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
