//! The versions of WFS, and how they differ in names.

use crate::items::gml::Gml;

/// A version of WFS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 1.0.0.
    V10,
    /// 1.1.0.
    V11,
    /// 2.0.0.
    V20,
}

impl Version {
    /// All of them, the newest first.
    pub const ALL: [Self; 3] = [Self::V20, Self::V11, Self::V10];

    /// Its number.
    pub fn number(self) -> &'static str {
        match self {
            Self::V10 => "1.0.0",
            Self::V11 => "1.1.0",
            Self::V20 => "2.0.0",
        }
    }

    /// The version with this number; one that differs in its last digit alone is the same.
    pub fn of(number: &str) -> Option<Self> {
        let mut parts = number.trim().split('.');
        match (parts.next()?, parts.next()?) {
            ("1", "0") => Some(Self::V10),
            ("1", "1") => Some(Self::V11),
            ("2", "0") => Some(Self::V20),
            _ => None,
        }
    }

    /// Its GML.
    pub fn gml(self) -> Gml {
        match self {
            Self::V10 => Gml::V2,
            Self::V11 => Gml::V31,
            Self::V20 => Gml::V32,
        }
    }

    /// The namespace of its own elements.
    pub fn space(self) -> &'static str {
        match self {
            Self::V20 => "http://www.opengis.net/wfs/2.0",
            _ => "http://www.opengis.net/wfs",
        }
    }

    /// Where its schema is.
    pub fn schema(self) -> &'static str {
        match self {
            Self::V20 => "http://schemas.opengis.net/wfs/2.0/wfs.xsd",
            Self::V11 => "http://schemas.opengis.net/wfs/1.1.0/wfs.xsd",
            Self::V10 => "http://schemas.opengis.net/wfs/1.0.0/WFS-basic.xsd",
        }
    }

    /// The namespace of its GML.
    pub fn gml_space(self) -> &'static str {
        match self {
            Self::V20 => "http://www.opengis.net/gml/3.2",
            _ => "http://www.opengis.net/gml",
        }
    }

    /// Where the schema of its GML is.
    pub fn gml_schema(self) -> &'static str {
        match self {
            Self::V20 => "http://schemas.opengis.net/gml/3.2.1/gml.xsd",
            Self::V11 => "http://schemas.opengis.net/gml/3.1.1/base/gml.xsd",
            Self::V10 => "http://schemas.opengis.net/gml/2.1.2/feature.xsd",
        }
    }

    /// The media type of its features.
    pub fn media(self) -> &'static str {
        match self {
            Self::V20 => "application/gml+xml; version=3.2",
            Self::V11 => "text/xml; subtype=gml/3.1.1",
            Self::V10 => "text/xml; subtype=gml/2.1.2",
        }
    }

    /// The system of coordinates that goes without saying.
    pub fn usual_srs(self) -> &'static str {
        match self {
            Self::V10 => "EPSG:4326",
            _ => "urn:ogc:def:crs:EPSG::4326",
        }
    }
}

/// Whether a spelling of a system means x before y whatever its authority says: the short ones do,
/// as desktop clients of all ages expect; URNs and URIs are to the letter.
pub fn is_x_first(spelling: &str) -> bool {
    let spelling = spelling.trim().to_ascii_lowercase();
    !(spelling.starts_with("urn:") || spelling.contains("/def/crs/"))
}
