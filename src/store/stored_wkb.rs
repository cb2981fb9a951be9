//! The geometry of a feature as all stores keep it.

use crate::{formats::wkb, model::GeometryKind};
use geo_types::Geometry;

/// Appends the WKB. Where the layer holds multi-geometries a single one is written as a multi of
/// one, as its declared type demands.
pub(super) fn write(geometry: &Geometry<f64>, kind: GeometryKind, out: &mut Vec<u8>) {
    match (geometry, kind) {
        (Geometry::Polygon(p), GeometryKind::MultiPolygon) => {
            wkb::write(&Geometry::MultiPolygon(vec![p.clone()].into()), out);
        }
        (Geometry::LineString(l), GeometryKind::MultiLineString) => {
            let multi = geo_types::MultiLineString(vec![l.clone()]);
            wkb::write(&Geometry::MultiLineString(multi), out);
        }
        (Geometry::Point(p), GeometryKind::MultiPoint) => {
            wkb::write(&Geometry::MultiPoint(vec![*p].into()), out);
        }
        _ => wkb::write(geometry, out),
    }
}
