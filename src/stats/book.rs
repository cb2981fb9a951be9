//! Sheets as one XLSX file, by the writer that exports use: codes as text, numbers as numbers.

use super::{
    metric::Figure,
    sheet::{Cell, Sheet},
};
use crate::{
    error::{Error, Result},
    formats::write::{Fact, Head, Kind, Options, Row, System, Target},
    model::{Field, FieldKind, GeometryKind, Schema, ValueRef},
};
use std::{
    io::Write,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// A sheet with its name, of `[a-z0-9_-]`.
#[derive(Debug, Clone)]
pub struct NamedSheet {
    /// The name on its tab.
    pub name: &'static str,
    /// Its title in the file's last sheet.
    pub title: String,
    /// Its rows.
    pub sheet: Sheet,
}

/// Takes the bytes of the file.
#[derive(Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes a workbook; `facts` go to its last sheet, and what is too long for memory waits in
/// `scratch`.
///
/// # Errors
/// Those of the disk.
pub fn xlsx(sheets: &[NamedSheet], facts: &[Fact], scratch: &Path) -> Result<Vec<u8>> {
    std::fs::create_dir_all(scratch).map_err(|e| Error::fault("a folder for a workbook", e))?;
    let kind = Kind::of("xlsx").ok_or_else(|| Error::broken("no writer of XLSX"))?;
    let bytes = Bytes::default();
    // Rows wait in a nameless file of this folder, which goes with the writer.
    let target = Target { out: Box::new(bytes.clone()), scratch: scratch.to_owned() };
    let mut writer = kind.open(target, Options::default())?;
    for (position, named) in sheets.iter().enumerate() {
        let about = if position == 0 { facts.to_vec() } else { Vec::new() };
        writer.begin(&head(named, about))?;
        for row in &named.sheet.rows {
            let values: Vec<ValueRef<'_>> = row.iter().map(value).collect();
            writer.row(&Row { id: "", values: &values, wkb: None })?;
        }
        writer.end()?;
    }
    writer.finish()?;
    Ok(std::mem::take(&mut *bytes.0.lock().unwrap_or_else(PoisonError::into_inner)))
}

fn head(named: &NamedSheet, facts: Vec<Fact>) -> Head {
    let field = |name: &String| Field { name: name.clone(), kind: FieldKind::Text };
    let fields = named.sheet.header.iter().map(field).collect();
    Head {
        name: named.name.to_owned(),
        title: named.title.clone(),
        description: String::new(),
        schema: Schema { fields, geometry: GeometryKind::None },
        // Tables have no place.
        system: System { code: 4326, geographic: true, wkt: "", esri: "", projjson: "" },
        label: None,
        said: Vec::new(),
        facts,
        style: None,
        project: None,
    }
}

fn value(cell: &Cell) -> ValueRef<'_> {
    match cell {
        Cell::Empty | Cell::Figure(Figure::Null) => ValueRef::Null,
        Cell::Text(text) | Cell::Figure(Figure::Text(text)) => ValueRef::Text(text),
        Cell::Figure(Figure::Int(i)) => ValueRef::Int(*i),
        Cell::Figure(Figure::Float(f)) => ValueRef::Float(*f),
    }
}
