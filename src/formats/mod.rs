//! Reads and writes file formats, one file per format. A reader turns bytes into records without
//! judging them; a writer turns rows into bytes. No store, no network.
//!
//! Everything here meets bytes that strangers wrote: a file may be truncated, hostile or not what
//! its name says. Readers never panic, allocate no more than the file's own size suggests, and
//! say in their notes whatever they had to detect, leave out or assume.
//!
//! Adding a format to read is one file here and one line in [`open`](mod@open); one to write is one
//! file in [`write`](mod@write) and one line in its table.

pub mod archive;
pub mod bundle;
pub mod csv;
pub mod encoding;
pub mod flatgeobuf;
pub mod geojson;
pub mod geojson_reader;
pub mod geopackage;
pub mod geoparquet;
pub mod gml;
mod gml_reader;
pub mod json_table;
mod kml;
pub mod maplibre;
mod markup;
pub mod mbtiles;
pub mod mbtiles_reader;
pub mod mvt;
pub mod open;
pub mod pmtiles;
pub mod pmtiles_reader;
pub mod qgis;
pub mod shapefile;
pub mod sheet;
pub mod tile_archive;
pub mod types;
pub mod wkb;
mod wkt;
pub mod workbook;
pub mod write;
pub mod xml;
pub mod xml_reader;
mod xml_stream;

#[cfg(test)]
mod tests;

pub use open::{open, open_within};
pub use types::cast;

use crate::{
    error::Error,
    model::{Field, Record, Refusal, Text},
    text,
};

/// What a reader gives next.
#[derive(Debug)]
pub enum Next {
    /// A row.
    Record(Record),
    /// A row that cannot be parsed; reading goes on behind it.
    Refused(Refusal),
    /// The end.
    End,
}

/// A source file being read, row by row.
///
/// Values come as the row spells them; the field's final kind is known at the end only (an
/// integer column may meet a float in its last row). Who needs values of the final kind passes
/// them through [`cast`] once [`Next::End`] came.
pub trait Reader: Send {
    /// The next row. An error means that the file as a whole cannot be taken (truncated, not of
    /// the format it claims): the delivery is refused.
    fn next(&mut self) -> crate::error::Result<Next>;
    /// The fields seen so far, in order of first appearance, each with the kind that holds all
    /// its values so far. Final once `next` gave [`Next::End`].
    fn fields(&self) -> &[Field];
    /// The CRS the file names, as `EPSG:n` or WKT; `None`: it names none.
    fn crs(&self) -> Option<&str>;
    /// Whether positions come in the order of axes of the system's authority: latitude first in
    /// most geographic ones. They are easting or longitude first otherwise.
    fn authority_axes(&self) -> bool {
        false
    }
    /// What was detected (encoding, separator, ignored Z…), for the report.
    fn notes(&self) -> Vec<Text>;
    /// Rows expected, when the file says; for progress.
    fn expected(&self) -> Option<u64> {
        None
    }
    /// Bytes of the (decompressed) source consumed so far; for progress.
    fn position(&self) -> u64;
}

/// A refusal of the whole delivery.
fn refused(text: Text) -> Error {
    Error::Refused(text)
}

/// What is said of geometry that is not kept as it is: features that lose coordinates beyond two
/// dimensions, and empty geometries, which are read as none.
fn not_kept(dropped: u64, empty: u64) -> impl Iterator<Item = Text> {
    let dropped = (dropped > 0).then(|| {
        text!("Z ou M non gardés : {dropped} entités", "Z or M not kept: {dropped} features")
    });
    let empty = (empty > 0).then(|| {
        text!(
            "géométries vides lues comme absentes : {empty}",
            "empty geometries read as none: {empty}"
        )
    });
    dropped.into_iter().chain(empty)
}

/// A value as a refusal quotes it: at most 200 characters.
fn quoted(value: &str) -> Option<String> {
    Some(value.chars().take(200).collect())
}
