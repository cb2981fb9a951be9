//! The formats of features.

use super::{
    fail::{Fail, Result},
    version::Version,
};
use crate::{exports::Kind, text};

/// What features are asked as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Output {
    /// GML of the version.
    Gml,
    /// GeoJSON.
    Json,
    /// A page of features as a file.
    Page(&'static Kind),
    /// All features as a file of tables or an archive.
    File(&'static Kind),
}

/// Names of `outputFormat`, as capabilities list them: those of a version's GML come first.
pub fn names(version: Version) -> Vec<&'static str> {
    let gml: &[&str] = match version {
        Version::V20 => &["application/gml+xml; version=3.2", "text/xml; subtype=gml/3.2", "gml32"],
        Version::V11 => &["text/xml; subtype=gml/3.1.1", "GML3"],
        Version::V10 => &["GML2", "text/xml; subtype=gml/2.1.2"],
    };
    let rest = [
        "application/json",
        "application/geo+json",
        "text/csv",
        "SHAPE-ZIP",
        "application/geopackage+sqlite3",
        "application/flatgeobuf",
    ];
    gml.iter().copied().chain(rest).collect()
}

impl Output {
    /// Reads `outputFormat`.
    pub fn read(asked: Option<&str>, version: Version) -> Result<Self> {
        let Some(asked) = asked else { return Ok(Self::Gml) };
        // A plus sign in an address is a space; space around `;` means nothing.
        let plain: String =
            asked.to_ascii_lowercase().split_whitespace().collect::<Vec<_>>().join("");
        let kind = |id| Kind::of(id);
        let found = match plain.as_str() {
            "application/gml+xml;version=3.2"
            | "applicationgml+xml;version=3.2"
            | "applicationgmlxml;version=3.2"
            | "application/gmlxml;version=3.2"
            | "application/gml+xml"
            | "text/xml;subtype=gml/3.2"
            | "text/xml;subtype=gml/3.2.1"
            | "gml32"
            | "gml3.2"
                if version == Version::V20 =>
            {
                Some(Self::Gml)
            }
            "text/xml;subtype=gml/3.1.1" | "gml3" | "gml31" if version == Version::V11 => {
                Some(Self::Gml)
            }
            "gml2" | "xmlschema" | "text/xml;subtype=gml/2.1.2" if version == Version::V10 => {
                Some(Self::Gml)
            }
            "text/xml" | "application/xml" | "gml" => Some(Self::Gml),
            "application/json"
            | "application/geo+json"
            | "application/geojson"
            | "application/vnd.geo+json"
            | "application/geojson;subtype=geojson"
            | "json"
            | "geojson" => Some(Self::Json),
            "csv" | "text/csv" => kind("csv").map(Self::Page),
            "application/flatgeobuf" | "flatgeobuf" | "fgb" => kind("fgb").map(Self::Page),
            "shape-zip" | "shapezip" | "shp" | "shapefile" | "application/zip" => {
                kind("shp").map(Self::File)
            }
            "application/geopackage+sqlite3"
            | "application/geopackagesqlite3"
            | "geopackage"
            | "geopkg"
            | "gpkg" => kind("gpkg").map(Self::File),
            _ => None,
        };
        found.ok_or_else(|| {
            let (shown, list): (String, _) =
                (asked.chars().take(80).collect(), names(version).join(", "));
            Fail::invalid(
                "outputFormat",
                text!(
                    "Format « {shown} » inconnu. Formats : {list}.",
                    "Unknown format \"{shown}\". Formats: {list}."
                ),
            )
        })
    }
}
