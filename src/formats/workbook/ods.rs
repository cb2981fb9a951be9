//! One sheet of an OpenDocument spreadsheet (ISO/IEC 26300), row by row. Rows and cells say how often
//! they are repeated: what is empty is repeated to the end of the sheet and stands for nothing, and
//! nothing else is repeated further than a source may go.

use super::{
    choose,
    guard::unreadable,
    spool::{Spool, Spooled},
};
use crate::{
    error::{Error, Result},
    formats::{
        refused,
        types::few_columns,
        xml_stream::{Piece, XmlStream},
    },
    model::{Cell, Element, SourceLimits},
    text,
};
use std::{
    fs::File,
    io::{BufReader, BufWriter, copy},
    ops::Range,
    path::Path,
};
use zip::ZipArchive;

pub(super) fn spool(
    path: &Path,
    member: Option<&str>,
    to: &Path,
    workdir: &Path,
    limits: &SourceLimits,
) -> Result<Spooled> {
    let content = workdir.join("content.xml");
    unpack(path, &content)?;
    let mut filled = Vec::new();
    walk(&content, |sheet, row| {
        if filled.last() != Some(sheet) && cells(row).any(|(cell, _)| !value(cell).is_blank()) {
            filled.push(sheet.clone());
        }
        Ok(())
    })?;
    let sheet = choose(&filled, member)?;
    let mut spool = Spool::create(to, limits)?;
    let mut at = 0u64;
    walk(&content, |name, row| {
        if *name != sheet {
            return Ok(());
        }
        let times = repeated(row, "number-rows-repeated");
        let filled = placed(row, limits)?;
        if !filled.is_empty() {
            if times > limits.max_rows {
                return Err(too_long(limits.max_rows));
            }
            for again in 0..times {
                for (columns, value) in &filled {
                    for column in columns.clone() {
                        spool.cell(at + again, column, value.clone())?;
                    }
                }
            }
        }
        at = at.saturating_add(times);
        Ok(())
    })?;
    let others = filled.into_iter().filter(|name| *name != sheet).collect();
    spool.finish(sheet, others)
}

fn too_long(most: u64) -> Error {
    refused(text!(
        "la feuille a plus de {most} lignes (max_rows)",
        "the sheet has more than {most} rows (max_rows)"
    ))
}

fn unpack(path: &Path, to: &Path) -> Result<()> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|_| unreadable())?;
    let mut entry = zip.by_name("content.xml").map_err(|_| unreadable())?;
    let mut out = BufWriter::new(File::create(to).map_err(|e| Error::io(to, e))?);
    copy(&mut entry, &mut out).map(drop).map_err(|_| unreadable())
}

/// Shows the rows of every sheet, with the sheet's name.
fn walk(path: &Path, mut see: impl FnMut(&String, &Element) -> Result<()>) -> Result<()> {
    let mut xml = XmlStream::open(path, None)?.flattening("p");
    let mut sheet = String::new();
    loop {
        match xml.next(|element, _| element.name == "table-row")? {
            Piece::Open(element) if element.name == "table" => {
                sheet = element.attribute("name").unwrap_or_default().to_owned();
            }
            Piece::Whole(row) => see(&sheet, &row)?,
            Piece::End => return Ok(()),
            Piece::Open(_) | Piece::Close => {}
        }
    }
}

/// The cells of a row, and how often each is repeated.
fn cells(row: &Element) -> impl Iterator<Item = (&Element, u64)> {
    let cell = |e: &&Element| matches!(e.name.as_str(), "table-cell" | "covered-table-cell");
    row.children.iter().filter(cell).map(|c| (c, repeated(c, "number-columns-repeated")))
}

fn repeated(element: &Element, attribute: &str) -> u64 {
    element.attribute(attribute).and_then(|n| n.parse().ok()).filter(|n| *n > 0).unwrap_or(1)
}

/// The cells of a row that hold something, with their columns.
fn placed(row: &Element, limits: &SourceLimits) -> Result<Vec<(Range<usize>, Cell)>> {
    let mut column = 0u64;
    let mut placed = Vec::new();
    for (cell, times) in cells(row) {
        let value = value(cell);
        if !value.is_blank() {
            let end = usize::try_from(column.saturating_add(times)).unwrap_or(usize::MAX);
            few_columns(end, limits)?;
            let start = usize::try_from(column).unwrap_or(usize::MAX);
            placed.push((start..end, value));
        }
        column = column.saturating_add(times);
    }
    Ok(placed)
}

fn value(cell: &Element) -> Cell {
    let said = |name: &str| cell.attribute(name).unwrap_or_default();
    match said("value-type") {
        "float" | "percentage" | "currency" => match said("value").parse::<f64>() {
            Ok(n) if n.is_finite() => Cell::Number(n),
            _ => Cell::Empty,
        },
        "boolean" => Cell::Bool(said("boolean-value") == "true"),
        "date" => {
            // Midnight is how a date without time is written by some.
            let text = said("date-value");
            Cell::Moment { serial: 0.0, text: text.trim_end_matches("T00:00:00").to_owned() }
        }
        "" | "string" | "time" => {
            let words = match cell.attribute("string-value") {
                Some(words) => words.to_owned(),
                None => cell.all("p").map(|p| p.text.as_str()).collect::<Vec<_>>().join("\n"),
            };
            Cell::from(words)
        }
        _ => Cell::Empty,
    }
}
