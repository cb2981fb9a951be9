//! Whether a geometry read from a table has a place on the map: PostGIS brings many that have none
//! to degrees without a word, as infinities or as longitudes of 999.

use crate::formats::wkb::{Broken, Cursor, Header, Kind};
use geo_types::Coord;

/// Rounding of a projection beyond ±180° and ±90°, degrees.
const SLACK: f64 = 1e-6;
/// Collections within collections, at most.
const DEPTH: u8 = 32;

/// Whether all its coordinates are degrees.
pub(super) fn is_placed(wkb: &[u8]) -> bool {
    let mut cursor = Cursor::new(wkb);
    let all = |cursor: &mut Cursor<'_>| {
        let header = cursor.header()?;
        walk(cursor, &header, DEPTH)
    };
    all(&mut cursor).unwrap_or(false)
}

fn walk(cursor: &mut Cursor<'_>, header: &Header, depth: u8) -> Result<bool, Broken> {
    match header.kind {
        Kind::Point => Ok(cursor.point(header)?.is_none_or(inside)),
        Kind::LineString => Ok(cursor.line(header)?.all(inside)),
        Kind::Polygon => {
            for _ in 0..cursor.rings(header)? {
                if !cursor.line(header)?.all(inside) {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => {
            for _ in 0..cursor.parts(header)? {
                let part = cursor.part(header)?;
                if depth == 0 || !walk(cursor, &part, depth - 1)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
    }
}

/// Not so of NaN: it compares with nothing.
fn inside(c: Coord<f64>) -> bool {
    c.x.abs() <= 180.0 + SLACK && c.y.abs() <= 90.0 + SLACK
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::wkb;
    use geo_types::{Geometry, GeometryCollection, LineString, Point, polygon};
    use proptest::prelude::*;

    fn placed(geometry: Geometry<f64>) -> bool {
        let mut bytes = Vec::new();
        wkb::write(&geometry, &mut bytes);
        is_placed(&bytes)
    }

    #[test]
    fn only_degrees_are_places() {
        assert!(placed(Point::new(180.0, -90.0).into()));
        assert!(placed(Point::new(180.0 + 1e-9, 0.0).into()));
        for (x, y) in [(999.0, 0.0), (0.0, 91.0), (f64::INFINITY, 0.0), (0.0, f64::NAN)] {
            assert!(!placed(Point::new(x, y).into()), "{x} {y}");
            assert!(!placed(LineString::from(vec![(0.0, 0.0), (x, y)]).into()));
            let triangle = polygon![(x: 0.0, y: 0.0), (x: 1.0, y: 0.0), (x: x, y: y)];
            assert!(!placed(triangle.clone().into()));
            let parts: Vec<Geometry<f64>> = vec![Point::new(1.0, 1.0).into(), triangle.into()];
            assert!(!placed(Geometry::GeometryCollection(GeometryCollection::from(parts))));
        }
        assert!(placed(polygon![(x: 0.0, y: 0.0), (x: 1.0, y: 0.0), (x: 0.0, y: 1.0)].into()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            is_placed(&bytes);
        }
    }
}
