//! Finds out what a file is and gives a reader for it. Bytes count more than names: portals
//! serve CSV as `.json`, GeoJSON as `.csv`, and HTML error pages as anything.

mod sniff;

use super::{
    Next, Reader,
    archive::{self, Unpacked},
    csv, encoding,
    flatgeobuf::FlatGeobufReader,
    geojson_reader::{self, GeoJsonReader},
    geopackage::GeoPackageReader,
    geoparquet::ParquetReader,
    gml_reader,
    json_table::{self, JsonTableReader},
    kml, refused,
    shapefile::{self, ShapefileReader},
    workbook::{self, WorkbookReader},
};
use crate::{
    error::{Error, Result},
    model::{Field, Format, SourceDef, SourceLimits, SourceLocation, Text},
    text,
};
use sniff::{Kind, sniff};
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// Bytes looked at to know a format.
const HEAD: u64 = 1 << 16;

/// Opens a source's local file with the default limits ([`SourceLimits::of`]).
///
/// `name`: what the source calls the file. `workdir`: an existing folder for unpacked files; they
/// stay until the caller removes it, which must be after the reader is dropped.
///
/// # Errors
/// [`Error::Refused`] when the file is not of a readable format, is truncated or hostile, or when
/// a choice is needed (several members, several tables); [`Error::Invalid`] when the source's
/// options make no sense; [`Error::Fault`] when the machine fails.
pub fn open(
    path: &Path,
    name: &str,
    source: &SourceDef,
    workdir: &Path,
) -> Result<Box<dyn Reader>> {
    open_within(path, name, source, workdir, &SourceLimits::of(source))
}

/// [`open`] with limits of the caller's.
pub fn open_within(
    path: &Path,
    name: &str,
    source: &SourceDef,
    workdir: &Path,
    limits: &SourceLimits,
) -> Result<Box<dyn Reader>> {
    let mut opening = Opening {
        path: path.to_owned(),
        name: name.to_owned(),
        member: source.member.clone(),
        source,
        limits,
        workdir,
        notes: Vec::new(),
    };
    let mut kind = opening.look()?;
    match kind {
        Kind::Gzip => {
            let to = workdir.join("unpacked");
            archive::gunzip(path, &to, limits)?;
            opening.path = to;
            let bare = opening.name.len().saturating_sub(3);
            if opening.name.to_ascii_lowercase().ends_with(".gz") {
                opening.name.truncate(bare);
            }
            kind = opening.look()?;
        }
        Kind::Zip => {
            let member = opening.member.take();
            match archive::unzip(path, workdir, member.as_deref(), limits)? {
                Unpacked::Shapefile { files, name } => {
                    opening.note_member(&name);
                    opening.note_declared(Format::Shapefile)?;
                    let reader = ShapefileReader::open(&files, source)?;
                    return Ok(opening.noted(Box::new(reader)));
                }
                Unpacked::File { path, name, table } => {
                    opening.note_member(&name);
                    (opening.path, opening.name, opening.member) = (path, name, table);
                }
            }
            kind = opening.look()?;
        }
        _ => {}
    }
    opening.reader(kind)
}

/// A file on its way to a reader.
struct Opening<'a> {
    path: PathBuf,
    name: String,
    member: Option<String>,
    source: &'a SourceDef,
    limits: &'a SourceLimits,
    /// Where it may unpack.
    workdir: &'a Path,
    notes: Vec<Text>,
}

impl Opening<'_> {
    fn look(&self) -> Result<Kind> {
        let file = File::open(&self.path).map_err(|e| Error::io(&self.path, e))?;
        let mut head = Vec::new();
        file.take(HEAD).read_to_end(&mut head).map_err(|e| Error::io(&self.path, e))?;
        Ok(match sniff(&head, self.charset(&head)) {
            Kind::Zip => match workbook::kind(&self.path) {
                Some(workbook::Kind::Xlsx) => Kind::Data(Format::Xlsx),
                Some(workbook::Kind::Ods) => Kind::Data(Format::Ods),
                None => Kind::Zip,
            },
            Kind::Data(Format::Geojson) if self.is_table(&head) => Kind::Data(Format::Json),
            Kind::Data(Format::Geojson) if self.is_sequence(&head) => {
                Kind::Data(Format::Geojsonseq)
            }
            kind => kind,
        })
    }

    /// Whether JSON is a table rather than GeoJSON.
    fn is_table(&self, head: &[u8]) -> bool {
        self.source.format == Some(Format::Json)
            || self.source.format.is_none() && json_table::plausible(head)
    }

    /// Whether JSON is features one behind the other rather than one document.
    fn is_sequence(&self, head: &[u8]) -> bool {
        let named = ["geojsonl", "geojsons", "geojsonseq", "ndjson", "jsonl", "ldjson"];
        self.source.format == Some(Format::Geojsonseq)
            || named.contains(&self.extension().as_str())
            || geojson_reader::is_sequence(head)
    }

    /// The encoding of text, as far as its first bytes or the configuration tell.
    fn charset(&self, head: &[u8]) -> Option<encoding::Charset> {
        let whatwg = encoding::Charset::Whatwg;
        let marked = encoding_rs::Encoding::for_bom(head).map(|(found, _)| whatwg(found));
        let declared = || encoding::Charset::from_label(self.source.encoding.as_deref()?);
        marked.or_else(declared).or_else(|| encoding::utf16(head).map(whatwg))
    }

    fn extension(&self) -> String {
        let last = self.name.rsplit(['/', '\\']).next().unwrap_or_default();
        last.rsplit_once('.').map_or(String::new(), |(_, e)| e.to_ascii_lowercase())
    }

    fn note_member(&mut self, name: &str) {
        self.notes.push(text!("archive zip : « {name} » lu", "zip archive: \"{name}\" read"));
    }

    /// Checks what the configuration declares against what the bytes are.
    fn note_declared(&mut self, found: Format) -> Result<()> {
        match self.source.format {
            Some(declared) if declared != found => {
                let (declared, found) = (name_of(declared), name_of(found));
                Err(refused(text!(
                    "la source est déclarée en {declared}, mais le fichier est du {found}",
                    "the source is declared as {declared}, but the file is {found}"
                )))
            }
            Some(_) => Ok(()),
            None => {
                self.note_lie(found);
                Ok(())
            }
        }
    }

    /// A note when the name promises something else.
    fn note_lie(&mut self, found: Format) {
        let promised = match self.extension().as_str() {
            "geojson" => Format::Geojson,
            "csv" | "tsv" => Format::Csv,
            "gpkg" => Format::Geopackage,
            "fgb" => Format::Flatgeobuf,
            "parquet" | "geoparquet" => Format::Parquet,
            "kml" | "kmz" => Format::Kml,
            "gml" => Format::Gml,
            "xlsx" => Format::Xlsx,
            "ods" => Format::Ods,
            _ => return,
        };
        let same = promised == Format::Geojson && found == Format::Geojsonseq;
        if promised != found && !same {
            let (name, found) = (self.name.clone(), name_of(found));
            self.notes.push(text!(
                "le fichier se nomme « {name} », mais c'est du {found}",
                "the file is named \"{name}\", but it is {found}"
            ));
        }
    }

    fn reader(mut self, kind: Kind) -> Result<Box<dyn Reader>> {
        let format = match kind {
            Kind::Data(format) => format,
            Kind::Text => self.text_format()?,
            other => return Err(unreadable(other)),
        };
        self.note_declared(format)?;
        let reader = self.reader_of(format)?;
        Ok(self.noted(reader))
    }

    fn reader_of(&self, format: Format) -> Result<Box<dyn Reader>> {
        let Self { path, source, limits, workdir, .. } = self;
        let member = self.member.as_deref();
        let workbook = |kind| WorkbookReader::open(path, kind, member, source, workdir, limits);
        Ok(match format {
            Format::Geojson => Box::new(GeoJsonReader::open(path, source)?),
            Format::Geojsonseq => Box::new(geojson_reader::SequenceReader::open(path, source)?),
            Format::Csv => Box::new(csv::CsvReader::open(path, source, limits)?),
            Format::Shapefile => Box::new(ShapefileReader::open(&self.shapefile_files(), source)?),
            Format::Geopackage => Box::new(GeoPackageReader::open(path, member, source)?),
            Format::Flatgeobuf => Box::new(FlatGeobufReader::open(path, source, limits)?),
            Format::Parquet => Box::new(ParquetReader::open(path, source, limits)?),
            Format::Kml => Box::new(kml::open(path, source, limits)?),
            Format::Gml => Box::new(gml_reader::open(path, member, source, limits)?),
            Format::Json => Box::new(JsonTableReader::open(path, member, source, workdir, limits)?),
            Format::Xlsx => Box::new(workbook(workbook::Kind::Xlsx)?),
            Format::Ods => Box::new(workbook(workbook::Kind::Ods)?),
        })
    }

    /// Text that is no other format: CSV when something says so.
    fn text_format(&self) -> Result<Format> {
        let named = matches!(self.extension().as_str(), "csv" | "tsv" | "txt" | "tab");
        if named || self.source.format == Some(Format::Csv) || self.plausible_csv()? {
            return Ok(Format::Csv);
        }
        Err(unreadable(Kind::Text))
    }

    fn plausible_csv(&self) -> Result<bool> {
        let file = File::open(&self.path).map_err(|e| Error::io(&self.path, e))?;
        let mut head = Vec::new();
        file.take(HEAD).read_to_end(&mut head).map_err(|e| Error::io(&self.path, e))?;
        let whole = (head.len() as u64) < HEAD;
        let charset = self.charset(&head).unwrap_or(encoding::WINDOWS_1252);
        Ok(csv::plausible(&charset.decode(&head).0, whole))
    }

    /// The companions of a `.shp`: beside the copy, else beside the local file it was taken from.
    fn shapefile_files(&self) -> shapefile::Files {
        let mut files = shapefile::Files::beside(&self.path);
        if files.dbf.is_none()
            && let SourceLocation::File(original) = &self.source.location
        {
            files = shapefile::Files::beside(original);
        }
        files.shp = Some(self.path.clone());
        files
    }

    fn noted(self, inner: Box<dyn Reader>) -> Box<dyn Reader> {
        if self.notes.is_empty() {
            return inner;
        }
        Box::new(Noted { notes: self.notes, inner })
    }
}

fn name_of(format: Format) -> &'static str {
    match format {
        Format::Geojson => "GeoJSON",
        Format::Csv => "CSV",
        Format::Shapefile => "Shapefile",
        Format::Geopackage => "GeoPackage",
        Format::Geojsonseq => "GeoJSON (une entité par ligne)",
        Format::Flatgeobuf => "FlatGeobuf",
        Format::Parquet => "Parquet",
        Format::Kml => "KML",
        Format::Gml => "GML",
        Format::Json => "JSON (table)",
        Format::Xlsx => "XLSX",
        Format::Ods => "ODS",
    }
}

/// The refusal of what is no readable data.
fn unreadable(kind: Kind) -> Error {
    refused(match kind {
        Kind::Html => text!(
            "la source a répondu une page HTML au lieu de données",
            "the source answered an HTML page instead of data"
        ),
        Kind::Xml => {
            text!("le fichier est du XML sans élément", "the file is XML without an element")
        }
        Kind::Gzip | Kind::Zip => {
            text!("archive dans l'archive refusée", "archive within the archive refused")
        }
        Kind::Dbf => text!(
            "c'est le .dbf d'un Shapefile, sans son .shp : fournir un zip avec .shp, .shx, .dbf et .prj",
            "this is a Shapefile's .dbf without its .shp: provide a zip with .shp, .shx, .dbf and .prj"
        ),
        Kind::Foreign("MapInfo") => text!(
            "format MapInfo (MIF, TAB) non lu : le convertir, par exemple par « ogr2ogr -f GPKG couche.gpkg couche.mif »",
            "format MapInfo (MIF, TAB) not read: convert it, for instance by \"ogr2ogr -f GPKG layer.gpkg layer.mif\""
        ),
        Kind::Foreign(name) => text!(
            "format {name} non lu : fournir du GeoJSON, du CSV, un Shapefile, un GeoPackage, du GML, du KML ou un classeur",
            "format {name} not read: provide GeoJSON, CSV, a Shapefile, a GeoPackage, GML, KML or a spreadsheet"
        ),
        Kind::Empty => text!("le fichier est vide", "the file is empty"),
        Kind::Data(_) | Kind::Text | Kind::Binary => text!(
            "format non reconnu : fournir du GeoJSON, du CSV, un Shapefile, un GeoPackage, du GML, du KML ou un classeur",
            "unknown format: provide GeoJSON, CSV, a Shapefile, a GeoPackage, GML, KML or a spreadsheet"
        ),
    })
}

/// A reader with the notes of its opening before its own.
struct Noted {
    notes: Vec<Text>,
    inner: Box<dyn Reader>,
}

impl Reader for Noted {
    fn next(&mut self) -> Result<Next> {
        self.inner.next()
    }

    fn fields(&self) -> &[Field] {
        self.inner.fields()
    }

    fn crs(&self) -> Option<&str> {
        self.inner.crs()
    }

    fn authority_axes(&self) -> bool {
        self.inner.authority_axes()
    }

    fn notes(&self) -> Vec<Text> {
        let mut notes = self.notes.clone();
        notes.extend(self.inner.notes());
        notes
    }

    fn expected(&self) -> Option<u64> {
        self.inner.expected()
    }

    fn position(&self) -> u64 {
        self.inner.position()
    }
}
