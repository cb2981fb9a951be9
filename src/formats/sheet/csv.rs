//! Delimited text: the encoding, the separator and whether there is a header are found as for the
//! layers' CSV.

use super::{COLUMNS, Form, Kind, Table, too_wide};
use crate::{
    error::{Error, Result},
    formats::{
        csv::dialect_of,
        encoding::{self, Charset, Decoded},
    },
    model::{Budget, Cell, Sheet},
    text,
};

/// Bytes looked at to find the dialect.
const HEAD: usize = 64 * 1024;

pub(super) fn read(bytes: Vec<u8>, charset: Option<Charset>, budget: &Budget) -> Result<Table> {
    let marked = bytes.starts_with(b"\xef\xbb\xbf");
    let Decoded { text, charset, mut notes } = encoding::decode(&bytes, charset);
    drop(bytes);
    let (told, text) = separator_line(&text);
    let head = head_of(text);
    let (found, header) = dialect_of(head, head.len() == text.len(), &mut notes)?;
    let separator = told.unwrap_or(found);
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .flexible(true)
        .has_headers(false)
        .from_reader(text.as_bytes());
    let skipped = u64::from(told.is_some());
    let mut sheet = Sheet::default();
    for record in reader.records() {
        let record = record.map_err(|e| unreadable(&e, skipped))?;
        let line = record.position().map_or(0, csv::Position::line) + skipped;
        if record.iter().all(|cell| cell.trim().is_empty()) {
            budget.step()?;
            continue;
        }
        if sheet.header.is_empty() {
            if record.len() > COLUMNS {
                return Err(too_wide());
            }
            if header {
                sheet.header = record.iter().map(|name| name.trim().to_owned()).collect();
                continue;
            }
            sheet.header = (1..=record.len()).map(|n| format!("col_{n}")).collect();
        }
        sheet.rows.push(row(&record, line, sheet.header.len(), budget)?);
        sheet.lines.push(line);
    }
    // A file that Excel wrote is for Excel to read: it knows UTF-8 by its mark only.
    let bom = marked || charset != encoding::UTF_8;
    let form = Form { kind: Kind::Csv, separator, bom };
    Ok(Table { sheet, form, notes })
}

/// Excel may say the separator in a line of its own: `sep=;`.
fn separator_line(text: &str) -> (Option<u8>, &str) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let told = text.split_once('\n').and_then(|(line, rest)| {
        let told = line.trim_end().strip_prefix("sep=")?;
        let [separator] = told.as_bytes() else { return None };
        matches!(separator, b';' | b',' | b'|' | b'\t').then_some((*separator, rest))
    });
    match told {
        Some((separator, rest)) => (Some(separator), rest),
        None => (None, text),
    }
}

fn head_of(text: &str) -> &str {
    let end = (0..=HEAD.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

fn row(
    record: &csv::StringRecord,
    line: u64,
    columns: usize,
    budget: &Budget,
) -> Result<Vec<Cell>> {
    if record.iter().skip(columns).any(|cell| !cell.trim().is_empty()) {
        let found = record.len();
        return Err(Error::Invalid(text!(
            "Ligne {line} : {found} cellules au lieu de {columns}.",
            "Line {line}: {found} cells instead of {columns}."
        )));
    }
    let texts = record.iter().take(columns);
    budget.row(columns, texts.clone().map(|text| Budget::text(text.len())).sum())?;
    let mut row = Vec::with_capacity(columns);
    row.extend(texts.map(|text| Cell::from(text.to_owned())));
    row.resize(columns, Cell::Empty);
    Ok(row)
}

fn unreadable(cause: &csv::Error, skipped: u64) -> Error {
    let line = cause.position().map_or(1, csv::Position::line) + skipped;
    Error::Invalid(text!("Table illisible à la ligne {line}.", "Unreadable table at line {line}."))
}

pub(super) fn write(sheet: &Sheet, form: Form, budget: &Budget) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    if form.bom {
        out.extend_from_slice("\u{feff}".as_bytes());
    }
    let mut writer = csv::WriterBuilder::new().delimiter(form.separator).from_writer(out);
    let fault = |e| Error::fault("writing a table", e);
    writer.write_record(&sheet.header).map_err(fault)?;
    for row in &sheet.rows {
        budget.cells(0, row.len() + row.iter().map(Cell::held).sum::<usize>())?;
        for cell in row {
            writer.write_field(cell.text().as_bytes()).map_err(fault)?;
        }
        writer.write_record(None::<&[u8]>).map_err(fault)?;
    }
    writer.into_inner().map_err(|e| Error::fault("writing a table", e.to_string()))
}
