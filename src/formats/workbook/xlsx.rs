//! One sheet of an Excel workbook, cell by cell.

use super::{
    choose,
    spool::{Spool, Spooled},
};
use crate::{
    error::{Error, Result},
    formats::{refused, sheet::value},
    model::SourceLimits,
    text,
};
use calamine::{Reader, SheetType, Xlsx, XlsxError};
use std::{fs::File, io::BufReader, path::Path};

pub(super) fn spool(
    path: &Path,
    member: Option<&str>,
    to: &Path,
    limits: &SourceLimits,
) -> Result<Spooled> {
    let open = || File::open(path).map(BufReader::new).map_err(|e| Error::io(path, e));
    let mut book: Xlsx<_> = Xlsx::new(open()?).map_err(|e| broken(&e))?;
    let all: Vec<String> = book
        .sheets_metadata()
        .iter()
        .filter(|sheet| sheet.typ == SheetType::WorkSheet)
        .map(|sheet| sheet.name.clone())
        .collect();
    let mut filled = Vec::new();
    for name in all {
        let mut cells = book.worksheet_cells_reader(&name).map_err(|e| broken(&e))?;
        while let Some(cell) = cells.next_cell().map_err(|e| broken(&e))? {
            if !value(cell.get_value(), false).is_blank() {
                filled.push(name);
                break;
            }
        }
    }
    let sheet = choose(&filled, member)?;
    let from_1904 = book.has_1904_epoch();
    let mut cells = book.worksheet_cells_reader(&sheet).map_err(|e| broken(&e))?;
    let mut spool = Spool::create(to, limits)?;
    while let Some(cell) = cells.next_cell().map_err(|e| broken(&e))? {
        let (row, column) = cell.get_position();
        spool.cell(row.into(), column as usize, value(cell.get_value(), from_1904))?;
    }
    drop(cells);
    let others = filled.into_iter().filter(|name| *name != sheet).collect();
    spool.finish(sheet, others)
}

fn broken(cause: &XlsxError) -> Error {
    let cause: String = cause.to_string().chars().take(120).collect();
    refused(text!("classeur Excel illisible : {cause}", "unreadable Excel workbook: {cause}"))
}
