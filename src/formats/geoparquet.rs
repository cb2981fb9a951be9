//! GeoParquet 1.1 (<https://geoparquet.org>), read row by row: WKB or the native encodings, and the
//! geometry type of Parquet itself. A Parquet file without geometry is a table like another.
//!
//! The crate decodes pages as they come; what it makes of a broken file is a refusal here, even
//! where it panics.

mod metadata;
mod native;
mod values;

use super::{
    Next, Reader,
    geopackage::blob::{self, Blob},
    not_kept, refused,
    types::{self, FieldSet},
};
use crate::{
    error::{Error, Result},
    model::{Field, Record, Refusal, RefusalReason, SourceDef, SourceLimits, Text, Value},
    text,
};
use geo_types::Geometry;
use metadata::{Encoding, Geo};
use parquet::{
    errors::ParquetError,
    file::{reader::FileReader, serialized_reader::SerializedFileReader},
    record::{Field as Cell, Row, reader::RowIter},
};
use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};
use values::Column;

/// Most bytes of a column in a row group once unpacked: pages are held whole.
const MAX_CHUNK: i64 = 1 << 30;

/// Reads one Parquet file.
pub struct ParquetReader {
    rows: RowIter<'static>,
    fields: FieldSet,
    /// What each column of the file becomes; `None` for the geometry and its boxes.
    columns: Vec<Option<Column>>,
    geometry: Option<(usize, Encoding)>,
    crs: Option<String>,
    number: u64,
    expected: u64,
    size: u64,
    empty: u64,
    with_z: u64,
    undecoded: u64,
    notes: Vec<Text>,
}

impl ParquetReader {
    /// Opens a file.
    pub fn open(path: &Path, source: &SourceDef, limits: &SourceLimits) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let size = file.metadata().map_err(|e| Error::io(path, e))?.len();
        let reader = guarded(|| SerializedFileReader::new(file))?;
        let metadata = reader.metadata();
        for group in metadata.row_groups() {
            if group.columns().iter().any(|c| c.uncompressed_size() > MAX_CHUNK) {
                let most = MAX_CHUNK >> 20;
                return Err(refused(text!(
                    "Parquet : une colonne de plus de {most} Mio dans un groupe de lignes",
                    "Parquet: a column of more than {most} MiB in a row group"
                )));
            }
        }
        let about = metadata.file_metadata();
        let geo = Geo::of(about)?;
        let root = about.schema_descr().root_schema().get_fields().to_vec();
        types::few_columns(root.len(), limits)?;
        let (mut fields, mut notes) = (FieldSet::default(), Vec::new());
        let (mut columns, mut geometry) = (Vec::new(), None);
        let (names, said) = types::column_names(root.iter().map(|column| column.name()));
        notes.extend(said);
        let primary = geo.as_ref().map(|geo| geo.column.as_str());
        for (i, (column, name)) in root.iter().zip(names).enumerate() {
            if let Some(geo) = geo.as_ref().filter(|_| primary == Some(column.name())) {
                geometry = Some((i, geo.encoding));
                columns.push(None);
            } else if geo.as_ref().is_some_and(|geo| geo.aside.iter().any(|a| a == column.name())) {
                columns.push(None);
            } else {
                let found = Column::of(column);
                let field = match found.kind {
                    Some(kind) => fields.declare(name, kind),
                    None => fields.slot(&name, usize::MAX),
                };
                columns.push(Some(Column { field, ..found }));
            }
        }
        let crs = geo.as_ref().and_then(|geo| geo.crs.clone());
        notes.extend(geo.iter().flat_map(|geo| geo.notes(source.crs.is_some())));
        let expected = u64::try_from(about.num_rows()).unwrap_or(0);
        let rows = guarded(|| Ok(RowIter::from_file_into(Box::new(reader))))?;
        Ok(Self {
            rows,
            fields,
            columns,
            geometry,
            crs,
            number: 0,
            expected,
            size,
            empty: 0,
            with_z: 0,
            undecoded: 0,
            notes,
        })
    }

    fn row(&mut self, row: Row) -> Next {
        let line = self.number;
        let mut values = vec![Value::Null; self.fields.len()];
        let mut geometry = None;
        for (i, (_, cell)) in row.into_columns().into_iter().enumerate() {
            if let Some((_, encoding)) = self.geometry.filter(|(at, _)| *at == i) {
                match self.shape(&cell, encoding) {
                    Ok(found) => geometry = found,
                    Err(text) => {
                        return Next::Refused(Refusal {
                            line,
                            column: None,
                            value: None,
                            reason: RefusalReason::InvalidGeometry,
                            text,
                        });
                    }
                }
            } else if let Some(Some(column)) = self.columns.get(i)
                && let Some(place) = values.get_mut(column.field)
            {
                match column.value(cell) {
                    Some(value) => *place = value,
                    None => self.undecoded += 1,
                }
            }
        }
        for (at, value) in values.iter().enumerate() {
            self.fields.observe(at, value);
        }
        Next::Record(Record { line, values, geometry })
    }

    fn shape(
        &mut self,
        cell: &Cell,
        encoding: Encoding,
    ) -> std::result::Result<Option<Geometry<f64>>, Text> {
        let geometry = match (cell, encoding) {
            (Cell::Null, _) => return Ok(None),
            (Cell::Bytes(bytes), Encoding::Wkb) => {
                match blob::wkb(bytes.data()).map_err(|bad| bad.text)? {
                    Blob::Empty => None,
                    Blob::Some { geometry, z } => {
                        self.with_z += u64::from(z);
                        Some(geometry)
                    }
                }
            }
            (Cell::Bytes(_) | Cell::Str(_), _) | (_, Encoding::Wkb) => {
                return Err(text!("la géométrie n'est pas du WKB", "the geometry is not WKB"));
            }
            (cell, Encoding::Native(depth)) => native::read(cell, depth)?,
        };
        let geometry = geometry.filter(|g| geo::CoordsIter::coords_count(g) > 0);
        self.empty += u64::from(geometry.is_none());
        Ok(geometry)
    }
}

/// Calls the crate: what it refuses, and where it panics, is a file that cannot be taken.
fn guarded<T>(call: impl FnOnce() -> Result<T, ParquetError>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(ParquetError::NYI(what))) => {
            let what: String = what.chars().take(120).collect();
            Err(refused(text!("Parquet non lu : {what}", "Parquet not read: {what}")))
        }
        Ok(Err(e)) => {
            let what: String = e.to_string().chars().take(120).collect();
            Err(refused(text!(
                "Parquet tronqué ou mal formé ({what})",
                "truncated or malformed Parquet ({what})"
            )))
        }
        Err(_) => Err(refused(text!("Parquet mal formé", "malformed Parquet"))),
    }
}

impl Reader for ParquetReader {
    fn next(&mut self) -> Result<Next> {
        if self.number == self.expected {
            return Ok(Next::End);
        }
        match guarded(|| self.rows.next().transpose())? {
            Some(row) => {
                self.number += 1;
                Ok(self.row(row))
            }
            None => Err(refused(text!("Parquet tronqué", "truncated Parquet"))),
        }
    }

    fn fields(&self) -> &[Field] {
        self.fields.fields()
    }

    fn crs(&self) -> Option<&str> {
        self.crs.as_deref()
    }

    fn notes(&self) -> Vec<Text> {
        let mut notes = self.notes.clone();
        let (empty, undecoded, with_z) = (self.empty, self.undecoded, self.with_z);
        notes.extend(not_kept(with_z, empty));
        if undecoded > 0 {
            notes.push(text!(
                "valeurs binaires non gardées : {undecoded}",
                "binary values not kept: {undecoded}"
            ));
        }
        notes
    }

    fn expected(&self) -> Option<u64> {
        Some(self.expected)
    }

    fn position(&self) -> u64 {
        match self.expected {
            0 => 0,
            n => u64::try_from(u128::from(self.size) * u128::from(self.number) / u128::from(n))
                .unwrap_or(self.size),
        }
    }
}
