//! What kind of geometry a layer holds.

use serde::{Deserialize, Serialize};

/// The geometry type of a layer, as GeoPackage and OGC API name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GeometryKind {
    /// A table without geometry.
    #[default]
    None,
    /// Single points.
    Point,
    /// Points or multipoints.
    MultiPoint,
    /// Single lines.
    LineString,
    /// Lines or multilines.
    MultiLineString,
    /// Single polygons.
    Polygon,
    /// Polygons or multipolygons.
    MultiPolygon,
    /// Mixed dimensions.
    Geometry,
}

impl GeometryKind {
    /// The smallest kind that holds both.
    pub fn widen(self, other: Self) -> Self {
        use GeometryKind as K;
        match (self, other) {
            (K::None, k) | (k, K::None) => k,
            (a, b) if a == b => a,
            (K::Point | K::MultiPoint, K::Point | K::MultiPoint) => K::MultiPoint,
            (K::LineString | K::MultiLineString, K::LineString | K::MultiLineString) => {
                K::MultiLineString
            }
            (K::Polygon | K::MultiPolygon, K::Polygon | K::MultiPolygon) => K::MultiPolygon,
            _ => K::Geometry,
        }
    }

    /// Topological dimension: 0 points, 1 lines, 2 polygons; `None` when mixed or absent.
    pub fn dimension(self) -> Option<u8> {
        use GeometryKind as K;
        match self {
            K::Point | K::MultiPoint => Some(0),
            K::LineString | K::MultiLineString => Some(1),
            K::Polygon | K::MultiPolygon => Some(2),
            K::None | K::Geometry => None,
        }
    }

    /// The kind of one geometry.
    pub fn of(geometry: &geo_types::Geometry<f64>) -> Self {
        use geo_types::Geometry as G;
        match geometry {
            G::Point(_) => Self::Point,
            G::MultiPoint(_) => Self::MultiPoint,
            G::Line(_) | G::LineString(_) => Self::LineString,
            G::MultiLineString(_) => Self::MultiLineString,
            G::Polygon(_) | G::Rect(_) | G::Triangle(_) => Self::Polygon,
            G::MultiPolygon(_) => Self::MultiPolygon,
            G::GeometryCollection(_) => Self::Geometry,
        }
    }

    /// The OGC simple features name, upper case (`MULTIPOLYGON`), as in GeoPackage.
    pub fn ogc_name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Point => "POINT",
            Self::MultiPoint => "MULTIPOINT",
            Self::LineString => "LINESTRING",
            Self::MultiLineString => "MULTILINESTRING",
            Self::Polygon => "POLYGON",
            Self::MultiPolygon => "MULTIPOLYGON",
            Self::Geometry => "GEOMETRY",
        }
    }
}
