//! Spreadsheets as layers: one sheet of an XLSX or ODS workbook, its first row that is not blank the
//! header. Cells are written out as delimited text, one by one, and read from there as any CSV:
//! coordinates, WKT and codes are found the same way. What a cell shows as text stays text, also
//! where it looks like a number; formulas count for the value they last had.

mod guard;
mod ods;
pub(super) mod spool;
mod xlsx;

use super::{Next, Reader, csv::CsvReader, refused};
use crate::{
    error::Result,
    model::{CsvOptions, Field, SourceDef, SourceLimits, Text},
    text,
};
use spool::Spooled;
use std::path::Path;

/// The kinds of workbooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Office Open XML (ECMA-376).
    Xlsx,
    /// OpenDocument (ISO/IEC 26300).
    Ods,
}

/// What kind of workbook a zip archive is, if it is one.
pub(super) fn kind(path: &Path) -> Option<Kind> {
    guard::kind(path)
}

/// Reads one sheet of a workbook.
pub struct WorkbookReader {
    rows: CsvReader,
    /// Where lines of the text stop being so many rows of the sheet.
    shifts: Vec<spool::Shift>,
    notes: Vec<Text>,
}

impl WorkbookReader {
    /// Opens a file. `member`: the sheet, when there are several. Uses the source's `csv` options
    /// but for what separates cells and decimals.
    pub(super) fn open(
        path: &Path,
        kind: Kind,
        member: Option<&str>,
        source: &SourceDef,
        workdir: &Path,
        limits: &SourceLimits,
    ) -> Result<Self> {
        guard::weigh(path, limits)?;
        let to = workdir.join("sheet.csv");
        let found = match kind {
            Kind::Xlsx => xlsx::spool(path, member, &to, limits)?,
            Kind::Ods => ods::spool(path, member, &to, workdir, limits)?,
        };
        let Spooled { sheet, text, shifts, others } = found;
        let mut options = CsvOptions { separator: Some(','), decimal: None, ..source.csv.clone() };
        options.text.extend(text);
        let csv = SourceDef { encoding: Some("utf-8".into()), csv: options, ..source.clone() };
        let rows = CsvReader::open(&to, &csv, limits)?;
        let mut notes = vec![text!("feuille « {sheet} »", "sheet \"{sheet}\"")];
        if !others.is_empty() {
            let names = others.join(", ");
            notes.push(text!(
                "autres feuilles non lues : {names}",
                "other sheets not read: {names}"
            ));
        }
        Ok(Self { rows, shifts, notes })
    }

    /// The row of the sheet that a line of the text is.
    fn row_of(&self, line: u64) -> u64 {
        let at = self.shifts.partition_point(|shift| shift.line <= line);
        match at.checked_sub(1).and_then(|i| self.shifts.get(i)) {
            Some(shift) => shift.row + (line - shift.line),
            None => line,
        }
    }
}

/// The sheet to read among those that are not empty: the one named, else the only one.
fn choose(sheets: &[String], member: Option<&str>) -> Result<String> {
    let list = sheets.iter().take(20).cloned().collect::<Vec<_>>().join(", ");
    match (member, sheets) {
        (Some(wanted), _) => {
            let same = |name: &&String| name.to_lowercase() == wanted.to_lowercase();
            sheets.iter().find(same).cloned().ok_or_else(|| {
                refused(text!(
                    "le classeur n'a pas de feuille « {wanted} » qui contienne quelque chose ; il contient : {list}",
                    "the workbook has no sheet \"{wanted}\" that holds anything; it holds: {list}"
                ))
            })
        }
        (None, []) => Err(refused(text!("le classeur est vide", "the workbook is empty"))),
        (None, [one]) => Ok(one.clone()),
        (None, _) => Err(refused(text!(
            "le classeur contient plusieurs feuilles : choisir avec « member » parmi {list}",
            "the workbook holds several sheets: choose one with \"member\" among {list}"
        ))),
    }
}

impl Reader for WorkbookReader {
    fn next(&mut self) -> Result<Next> {
        Ok(match self.rows.next()? {
            Next::Record(mut record) => {
                record.line = self.row_of(record.line);
                Next::Record(record)
            }
            Next::Refused(mut refusal) => {
                refusal.line = self.row_of(refusal.line);
                Next::Refused(refusal)
            }
            Next::End => Next::End,
        })
    }

    fn fields(&self) -> &[Field] {
        self.rows.fields()
    }

    fn crs(&self) -> Option<&str> {
        self.rows.crs()
    }

    fn notes(&self) -> Vec<Text> {
        // How the text between is written is no matter of the sheet's.
        let own = |note: &Text| !note.en.starts_with("encoding ");
        self.notes.iter().cloned().chain(self.rows.notes().into_iter().filter(own)).collect()
    }

    fn expected(&self) -> Option<u64> {
        self.rows.expected()
    }

    fn position(&self) -> u64 {
        self.rows.position()
    }
}
