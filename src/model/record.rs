//! Features on their way in.

use super::Value;
use geo_types::Geometry;

/// One row as a format reader gives it: raw values by field position, geometry in the source's
/// CRS (x = easting or longitude, y = northing or latitude), and where it came from.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// 1-based line (CSV) or feature number (other formats) in the source.
    pub line: u64,
    /// Values by the reader's field positions; may be shorter than the final field list, the
    /// missing ones are null.
    pub values: Vec<Value>,
    /// Geometry, if the row has one.
    pub geometry: Option<Geometry<f64>>,
}

/// One checked feature, ready to load: values aligned with the schema, geometry in CRS84.
#[derive(Debug, Clone)]
pub struct Feature {
    /// Its identity: the declared key's value, or a stable hash of its content (DESIGN §4).
    pub id: String,
    /// 53-bit hash of `id` for MVT, unique within the version.
    pub mvt_id: u64,
    /// One value per schema field.
    pub values: Vec<Value>,
    /// Valid geometry in CRS84 degrees.
    pub geometry: Option<Geometry<f64>>,
}
