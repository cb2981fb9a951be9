//! Writers: rows become a file, one format a file here and one line in [`ALL`].
//!
//! A [`Writer`] is told of a layer ([`Head`]), then shown its rows one by one, then told that it
//! ends; formats that hold several layers take the next one. Bytes go out as they are made where
//! the format allows it. What must be known before it can be written (an index, a column's width)
//! waits in [`Spool`]s of the scratch folder, never in memory: a writer's memory does not grow
//! with the layer, but for the boxes of its spatial index (at most 48 bytes a feature).
//!
//! Geometry comes as 2D little-endian WKB in the system that the head names; values as the store
//! lends them. Writers judge nothing: what a format cannot hold (long names, mixed geometry) is
//! written as near as it can, and said in [`readme`] or in the format's own metadata.

mod archive;
mod csv;
mod facts;
mod flatgeobuf;
mod geojson;
mod kit;
mod kml;
mod names;
mod parquet;
mod place;
mod readme;
mod shapefile;
mod spool;
mod xlsx;

pub use kit::layer_definition;
pub use names::Names;
pub use place::Place;
pub use readme::text as readme_text;
pub use spool::Spool;

use crate::{
    error::{Error, Result},
    formats::{geopackage, qgis::Symbology},
    model::{Schema, Text, ValueRef},
};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A coordinate reference system as files spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct System {
    /// EPSG code.
    pub code: u32,
    /// Whether coordinates are degrees.
    pub geographic: bool,
    /// WKT 1.
    pub wkt: &'static str,
    /// ESRI's WKT.
    pub esri: &'static str,
    /// PROJJSON.
    pub projjson: &'static str,
}

/// One thing a file says of its layer: where it comes from, its licence, its dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Its name for programs.
    pub key: &'static str,
    /// Its name for people, in French.
    pub label: &'static str,
    /// What there is to say.
    pub value: String,
}

/// What a file says of a field besides its name, in French.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The field.
    pub name: String,
    /// Its title; its name where it has none.
    pub title: String,
    /// Its description, with the unit.
    pub description: Option<String>,
}

/// How QGIS draws a layer that comes in a GeoPackage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// Its name.
    pub name: String,
    /// QGIS's own form of it (QML).
    pub qml: String,
}

/// What is known of a layer before its first row.
#[derive(Debug, Clone)]
pub struct Head {
    /// Name of the table, sheet or file: `[a-z0-9_-]+`.
    pub name: String,
    /// Title for people.
    pub title: String,
    /// Description for people; may be empty.
    pub description: String,
    /// Fields and kind of geometry.
    pub schema: Schema,
    /// The system of the coordinates.
    pub system: System,
    /// The field that names a feature to people.
    pub label: Option<usize>,
    /// What is said of fields besides their names.
    pub said: Vec<Said>,
    /// What the file says of the layer.
    pub facts: Vec<Fact>,
    /// How to draw it.
    pub style: Option<Style>,
    /// Its place in a project, for formats that hold one.
    pub project: Option<InProject>,
}

/// A layer's place in a QGIS project.
#[derive(Debug, Clone, PartialEq)]
pub struct InProject {
    /// How it is drawn; empty: as QGIS likes.
    pub symbology: Symbology,
    /// What layers of its kind are called together.
    pub group: String,
    /// Whether its features are territories, which lie below the rest.
    pub is_border: bool,
    /// Landing page of the service it can be read from as a collection of the same name.
    pub service: Option<String>,
}

impl Head {
    /// The facts as a JSON object.
    pub fn metadata(&self) -> serde_json::Value {
        let fact = |f: &Fact| (f.key.to_owned(), serde_json::Value::from(f.value.as_str()));
        self.facts.iter().map(fact).collect::<serde_json::Map<_, _>>().into()
    }
}

/// One feature.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Its id.
    pub id: &'a str,
    /// One value per field of the head's schema.
    pub values: &'a [ValueRef<'a>],
    /// Its geometry, 2D little-endian WKB in the head's system.
    pub wkb: Option<&'a [u8]>,
}

/// Writes one file.
pub trait Writer: Send {
    /// A layer begins.
    fn begin(&mut self, head: &Head) -> Result<()>;
    /// Its next row.
    fn row(&mut self, row: &Row<'_>) -> Result<()>;
    /// It ends.
    fn end(&mut self) -> Result<()>;
    /// The file is complete: everything is handed to the target, and flushed.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// Where a file goes.
pub struct Target {
    /// Takes its bytes, in order.
    pub out: Box<dyn Write + Send>,
    /// A folder for what has to wait, which nobody else uses; whoever made it removes it.
    pub scratch: PathBuf,
}

/// What may be asked of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether tables (CSV) have a decimal comma.
    pub decimal_comma: bool,
    /// How tables (CSV, XLSX) show where a feature lies.
    pub place: Place,
    /// What stands between the fields of CSV.
    pub separator: u8,
    /// Whether CSV begins with a byte order mark.
    pub bom: bool,
}

impl Default for Options {
    /// As spreadsheets in French expect.
    fn default() -> Self {
        Self { decimal_comma: false, place: Place::default(), separator: b';', bom: true }
    }
}

/// A format that files are written in.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name in `f=` and `--format`.
    pub id: &'static str,
    /// Media type.
    pub media: &'static str,
    /// End of the file's name, without a dot.
    pub extension: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Whether its coordinates are always CRS84.
    pub crs84: bool,
    /// Whether one file holds several layers; others are put into an archive.
    pub several: bool,
    open: fn(Target, Options) -> Result<Box<dyn Writer>>,
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Kind {
    const fn new(
        id: &'static str,
        title: &'static str,
        extension: &'static str,
        media: &'static str,
        open: fn(Target, Options) -> Result<Box<dyn Writer>>,
    ) -> Self {
        Self { id, media, extension, title, crs84: false, several: false, open }
    }

    const fn in_crs84(self) -> Self {
        Self { crs84: true, ..self }
    }

    const fn of_several(self) -> Self {
        Self { several: true, ..self }
    }

    /// The format with this id.
    pub fn of(id: &str) -> Option<&'static Self> {
        ALL.iter().find(|kind| kind.id == id)
    }

    /// Begins a file of this format.
    pub fn open(&'static self, target: Target, options: Options) -> Result<Box<dyn Writer>> {
        (self.open)(target, options)
    }

    /// Begins an archive (zip) with one file of this format for each layer.
    pub fn archive(&'static self, target: Target, options: Options) -> Box<dyn Writer> {
        Box::new(archive::Archive::new(archive::Members::Files(self, options), target))
    }
}

/// Every format that is written.
#[rustfmt::skip] // a table: one line per format
pub static ALL: [Kind; 11] = [
    Kind::new("gpkg", "GeoPackage", "gpkg", "application/geopackage+sqlite3", geopackage::write::open).of_several(),
    Kind::new("shp", "Shapefile (zip)", "zip", "application/zip", archive::shapefiles).of_several(),
    Kind::new("geojson", "GeoJSON", "geojson", "application/geo+json", geojson::collection).in_crs84(),
    Kind::new("geojsonseq", "GeoJSON (GeoJSONSeq)", "geojsons", "application/geo+json-seq", geojson::sequence).in_crs84(),
    Kind::new("ndjson", "GeoJSON (NDJSON)", "ndjson", "application/x-ndjson", geojson::lines).in_crs84(),
    Kind::new("fgb", "FlatGeobuf", "fgb", "application/flatgeobuf", flatgeobuf::open),
    Kind::new("csv", "CSV", "csv", "text/csv; charset=utf-8", csv::open),
    Kind::new("xlsx", "Excel (XLSX)", "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", xlsx::open).of_several(),
    Kind::new("parquet", "GeoParquet", "parquet", "application/vnd.apache.parquet", parquet::open),
    Kind::new("kml", "KML", "kml", "application/vnd.google-earth.kml+xml", kml::open).in_crs84().of_several(),
    Kind::new("kit", "Kit QGIS (zip)", "zip", "application/zip", kit::open).of_several(),
];

/// The ids of all formats, for messages.
pub fn ids() -> String {
    ALL.iter().map(|kind| kind.id).collect::<Vec<_>>().join(", ")
}

/// A fault while writing; a full disk is said as what it is.
fn io(e: io::Error) -> Error {
    Error::io(Path::new("an export"), e)
}

/// A stored geometry that cannot be read.
fn broken(e: crate::formats::wkb::Broken) -> Error {
    Error::fault("a stored geometry cannot be read", e)
}

/// A writer was not told of a layer before its rows: a fault of ours.
fn no_layer() -> Error {
    Error::broken("a row before its layer")
}

/// A format that holds one layer was told of a second: a fault of ours.
fn one_layer_only() -> Error {
    Error::broken("a second layer in a format of one")
}

/// A limit of a format that the data passes.
fn too_large(text: Text) -> Error {
    Error::Refused(text)
}
