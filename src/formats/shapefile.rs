//! Shapefiles, read: `.shp` and `.dbf`, with `.shx`, `.prj` and `.cpg` where they are. Z and M
//! are dropped, and the notes say so; rings become polygons with holes.
//!
//! Own code rather than the `shapefile` crate: the encoding of the attributes has to be ours to
//! decide, and hostile lengths must not decide how much is allocated.

mod cells;
mod dbf;
mod rings;
mod shp;

use super::{Next, Reader, encoding, not_kept, refused, types::FieldSet};
use crate::{
    error::{Error, Result},
    model::{Field, FieldKind, Record, Refusal, SourceDef, Text, Value},
    text,
};
use dbf::{Dbf, Entry};
use shp::{Shape, Shp};
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// The files of one Shapefile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Geometries.
    pub shp: Option<PathBuf>,
    /// Index of the geometries.
    pub shx: Option<PathBuf>,
    /// Attributes.
    pub dbf: Option<PathBuf>,
    /// CRS.
    pub prj: Option<PathBuf>,
    /// Encoding of the attributes.
    pub cpg: Option<PathBuf>,
}

impl Files {
    /// The place for a file with this extension (`shp`, `SHX`…), if it belongs to a Shapefile.
    pub fn place(&mut self, extension: &str) -> Option<&mut Option<PathBuf>> {
        Some(match extension.to_ascii_lowercase().as_str() {
            "shp" => &mut self.shp,
            "shx" => &mut self.shx,
            "dbf" => &mut self.dbf,
            "prj" => &mut self.prj,
            "cpg" | "cst" => &mut self.cpg,
            _ => return None,
        })
    }

    /// The files beside one of them, with the same name whatever the case of the extensions.
    pub fn beside(path: &Path) -> Self {
        let mut files = Self::default();
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let Ok(entries) = std::fs::read_dir(folder) else { return files };
        for entry in
            entries.flatten().map(|e| e.path()).filter(|p| p.file_stem() == path.file_stem())
        {
            let extension =
                entry.extension().and_then(|e| e.to_str()).unwrap_or_default().to_owned();
            if let Some(place) = files.place(&extension) {
                *place = Some(entry);
            }
        }
        files
    }
}

/// Reads one Shapefile.
pub struct ShapefileReader {
    shp: Shp,
    dbf: Dbf,
    fields: FieldSet,
    crs: Option<String>,
    number: u64,
    deleted: u64,
    dropped: u64,
    notes: Vec<Text>,
}

impl ShapefileReader {
    /// Opens the files. Uses the source's `encoding`.
    pub fn open(files: &Files, source: &SourceDef) -> Result<Self> {
        let Some(shp) = &files.shp else {
            return Err(refused(text!(
                "Shapefile sans fichier .shp : les géométries manquent",
                "Shapefile without .shp file: the geometries are missing"
            )));
        };
        let Some(dbf) = &files.dbf else {
            return Err(refused(text!(
                "Shapefile sans fichier .dbf : les attributs manquent ; fournir un zip avec .shp, .shx, .dbf et .prj",
                "Shapefile without .dbf file: the attributes are missing; provide a zip with .shp, .shx, .dbf and .prj"
            )));
        };
        let mut notes = Vec::new();
        if files.shx.is_none() {
            notes.push(text!(
                "Shapefile sans .shx : géométries lues à la suite",
                "Shapefile without .shx: geometries read in sequence"
            ));
        }
        let cpg = files.cpg.as_deref().map(small_text).transpose()?;
        let mut dbf = Dbf::open(dbf, source.encoding.as_deref(), cpg.as_deref())?;
        let mut fields = FieldSet::default();
        for (name, kind) in dbf.columns() {
            fields.declare(name, kind);
        }
        let crs = match &files.prj {
            Some(prj) => Some(small_text(prj)?.trim().to_owned()).filter(|s| !s.is_empty()),
            None => None,
        };
        if crs.is_none() && source.crs.is_none() {
            notes.push(text!(
                "Shapefile sans .prj : CRS inconnu",
                "Shapefile without .prj: unknown CRS"
            ));
        }
        let shp = Shp::open(shp, files.shx.as_deref())?;
        Ok(Self { shp, dbf, fields, crs, number: 0, deleted: 0, dropped: 0, notes })
    }

    /// Values as their columns declare them: a whole number in a column with decimals is a
    /// double. What does not fit its column widens the field instead.
    fn settle(&mut self, values: &mut [Value]) {
        for (at, value) in values.iter_mut().enumerate() {
            if let Value::Int(_) = value
                && self.fields.fields().get(at).is_some_and(|f| f.kind == FieldKind::Float)
            {
                *value = super::cast(std::mem::take(value), FieldKind::Float);
            }
            self.fields.observe(at, value);
        }
    }

    fn uneven(&self) -> Error {
        let (shapes, rows) = (self.number, self.dbf.count);
        refused(text!(
            "le .shp et le .dbf n'ont pas le même nombre d'enregistrements ({shapes} lus, {rows} annoncés par le .dbf)",
            "the .shp and the .dbf do not have the same number of records ({shapes} read, {rows} in the .dbf)"
        ))
    }
}

/// The text of a `.prj` or `.cpg`, at most 64 KiB of it.
fn small_text(path: &Path) -> Result<String> {
    let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let mut bytes = Vec::new();
    file.take(1 << 16).read_to_end(&mut bytes).map_err(|e| Error::io(path, e))?;
    let utf8 = std::str::from_utf8(&bytes).is_ok();
    let charset = if utf8 { encoding::UTF_8 } else { encoding::WINDOWS_1252 };
    Ok(charset.decode(&bytes).0)
}

impl Reader for ShapefileReader {
    fn next(&mut self) -> Result<Next> {
        loop {
            let (shape, entry) = match (self.shp.next()?, self.dbf.next()?) {
                (Some(shape), Some(entry)) => (shape, entry),
                (None, None) => return Ok(Next::End),
                _ => return Err(self.uneven()),
            };
            self.number += 1;
            let Entry::Values(mut values) = entry else {
                self.deleted += 1;
                continue;
            };
            let geometry = match shape {
                Shape::None => None,
                Shape::Some { geometry, z } => {
                    self.dropped += u64::from(z);
                    Some(geometry)
                }
                Shape::Bad(reason, text) => {
                    let line = self.number;
                    let refusal = Refusal { line, column: None, value: None, reason, text };
                    return Ok(Next::Refused(refusal));
                }
            };
            self.settle(&mut values);
            return Ok(Next::Record(Record { line: self.number, values, geometry }));
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
        notes.extend(self.dbf.found());
        let (deleted, dropped) = (self.deleted, self.dropped);
        if deleted > 0 {
            notes.push(text!(
                "enregistrements marqués comme supprimés, ignorés : {deleted}",
                "records marked as deleted, ignored: {deleted}"
            ));
        }
        notes.extend(not_kept(dropped, 0));
        notes
    }

    fn expected(&self) -> Option<u64> {
        Some(self.dbf.count)
    }

    fn position(&self) -> u64 {
        self.shp.spent
    }
}
