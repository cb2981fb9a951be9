//! Links of documents: relation, type and absolute address.

use serde::Serialize;

/// Media types.
pub mod media {
    /// QGIS layer definition.
    pub const QLR: &str = "application/x-qgis-layer-definition";
    /// An archive.
    pub const ZIP: &str = "application/zip";
    /// JSON.
    pub const JSON: &str = "application/json";
    /// GeoJSON.
    pub const GEOJSON: &str = "application/geo+json";
    /// Comma- (or semicolon-) separated values; the charset is said, for spreadsheets.
    pub const CSV: &str = "text/csv; charset=utf-8";
    /// Health of the service.
    pub const HEALTH: &str = "application/health+json";
    /// FlatGeobuf.
    pub const FGB: &str = "application/flatgeobuf";
    /// Workbooks.
    pub const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    /// Atom feeds, as answers carry it.
    pub const ATOM: &str = "application/atom+xml; charset=utf-8";
    /// The same in links.
    pub const ATOM_TYPE: &str = "application/atom+xml";
    /// Pictures.
    pub const PNG: &str = "image/png";
    /// Pages.
    pub const HTML: &str = "text/html";
    /// OpenAPI 3.0 as OGC API Features spells it, to the letter: clients compare it.
    pub const OPENAPI: &str = "application/vnd.oai.openapi+json;version=3.0";
    /// JSON Schema.
    pub const SCHEMA: &str = "application/schema+json";
    /// Problem documents (RFC 9457).
    pub const PROBLEM: &str = "application/problem+json";
    /// Vector tiles.
    pub const MVT: &str = "application/vnd.mapbox-vector-tile";
    /// MapLibre styles.
    pub const STYLE: &str = "application/vnd.mapbox.style+json";
}

/// Relations of the OGC that have no short registered name.
pub mod rel {
    /// Declaration of conformance; QGIS wants the short `conformance` beside it.
    pub const CONFORMANCE: &str = "http://www.opengis.net/def/rel/ogc/1.0/conformance";
    /// The collections; likewise beside `data`.
    pub const DATA: &str = "http://www.opengis.net/def/rel/ogc/1.0/data";
    /// Properties that may be filtered by.
    pub const QUERYABLES: &str = "http://www.opengis.net/def/rel/ogc/1.0/queryables";
    /// Properties that may be sorted by.
    pub const SORTABLES: &str = "http://www.opengis.net/def/rel/ogc/1.0/sortables";
    /// Functions that filters may use.
    pub const FUNCTIONS: &str = "http://www.opengis.net/def/rel/ogc/1.0/functions";
    /// The schema of features.
    pub const SCHEMA: &str = "http://www.opengis.net/def/rel/ogc/1.0/schema";
    /// Vector tilesets.
    pub const TILESETS: &str = "http://www.opengis.net/def/rel/ogc/1.0/tilesets-vector";
    /// The data that tiles are made of.
    pub const GEODATA: &str = "http://www.opengis.net/def/rel/ogc/1.0/geodata";
    /// A tile matrix set.
    pub const TILING_SCHEME: &str = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme";
    /// All tile matrix sets.
    pub const TILING_SCHEMES: &str = "http://www.opengis.net/def/rel/ogc/1.0/tiling-schemes";
    /// Styles.
    pub const STYLES: &str = "http://www.opengis.net/def/rel/ogc/1.0/styles";
}

/// A link.
#[derive(Debug, Clone, Serialize)]
pub struct Link {
    /// Absolute address (a template when `templated`).
    pub href: String,
    /// Relation.
    pub rel: &'static str,
    /// Media type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub media: Option<&'static str>,
    /// Words for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whether `href` holds `{variables}`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub templated: bool,
}

impl Link {
    /// A link of one type.
    pub fn new(rel: &'static str, media: &'static str, href: impl Into<String>) -> Self {
        Self { href: href.into(), rel, media: Some(media), title: None, templated: false }
    }

    /// With words for people.
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// As a template.
    pub fn template(mut self) -> Self {
        self.templated = true;
        self
    }

    /// As a member of the `Link` header (RFC 8288). Addresses are percent-encoded already.
    pub fn header(&self) -> String {
        let mut line = format!("<{}>; rel=\"{}\"", self.href, self.rel);
        if let Some(media) = self.media {
            line.push_str(&format!("; type=\"{media}\""));
        }
        line
    }
}
