//! Geometry for a zoom, one feature at a time: vertices move to a grid as fine as that zoom can
//! tell apart, and those that fall together become one. Equal vertices move equally: neighbours
//! that shared a border go on sharing it, but where one of them would cross itself and is mended.
//!
//! The [`overview`](super::overview) of a version is better and is prepared; this is for whoever
//! asks for few features out of any selection.

use super::validity;
use geo_types::{Coord, Geometry, LineString, MultiLineString, MultiPolygon, Polygon};
use std::f64::consts::PI;

/// Places that a tile of a zoom tells apart, along each axis: two for each pixel of 256.
const PLACES: f64 = 512.0;
/// The parallel at which the web-mercator square ends.
const MAX_LATITUDE: f64 = 85.051_128_779_806_59;
/// The deepest zoom that takes anything away.
pub const MAX_ZOOM: u8 = 24;

/// A geometry (CRS84) as a zoom of the web-mercator grid needs it, valid if it was. Parts too small
/// to be seen are left out, but one of each feature stays; points stay as they are. `None`: nothing
/// can be taken away.
pub fn generalise(geometry: &Geometry<f64>, zoom: u8) -> Option<Geometry<f64>> {
    let grid = Grid { side: PLACES * f64::from(zoom.min(MAX_ZOOM)).exp2() };
    let coarse = match geometry {
        Geometry::LineString(line) => Geometry::LineString(grid.line(line)?),
        Geometry::MultiLineString(lines) => {
            let kept: Vec<_> = lines.0.iter().filter_map(|l| grid.line(l)).collect();
            (!kept.is_empty()).then_some(Geometry::MultiLineString(MultiLineString(kept)))?
        }
        Geometry::Polygon(polygon) => {
            Geometry::Polygon(grid.polygon(polygon).or_else(|| grid.cell(polygon))?)
        }
        Geometry::MultiPolygon(polygons) => {
            let mut kept: Vec<_> = polygons.0.iter().filter_map(|p| grid.polygon(p)).collect();
            if kept.is_empty() {
                kept.extend(polygons.0.first().and_then(|p| grid.cell(p)));
            }
            (!kept.is_empty()).then_some(Geometry::MultiPolygon(MultiPolygon(kept)))?
        }
        _ => return None,
    };
    // What falls together may cross itself. What cannot be mended stays as it was.
    if validity::check(&coarse).is_ok() {
        return Some(coarse);
    }
    let mended = validity::repair(coarse)?;
    let alike = matches!(
        (geometry, &mended),
        (
            Geometry::Polygon(_) | Geometry::MultiPolygon(_),
            Geometry::Polygon(_) | Geometry::MultiPolygon(_)
        ) | (
            Geometry::LineString(_) | Geometry::MultiLineString(_),
            Geometry::LineString(_) | Geometry::MultiLineString(_)
        )
    );
    (alike && validity::check(&mended).is_ok()).then_some(mended)
}

/// The places of a zoom over the web-mercator square.
struct Grid {
    /// Their number along each side.
    side: f64,
}

impl Grid {
    /// The place of a position, as whole numbers.
    fn place(&self, c: Coord<f64>) -> (f64, f64) {
        let sine = c.y.clamp(-MAX_LATITUDE, MAX_LATITUDE).to_radians().sin();
        let y = 0.5 - ((1.0 + sine) / (1.0 - sine)).ln() / (4.0 * PI);
        (((c.x + 180.0) / 360.0 * self.side).round(), (y * self.side).round())
    }

    /// Where a place lies.
    fn position(&self, (x, y): (f64, f64)) -> Coord<f64> {
        let n = PI * (1.0 - 2.0 * y / self.side);
        // Two digits more than tell places apart: the text of a coordinate is most of its weight.
        let digits = 10f64.powf((self.side / 360.0).log10().ceil().max(0.0) + 2.0);
        let short = |v: f64| (v * digits).round() / digits;
        Coord { x: short(x / self.side * 360.0 - 180.0), y: short(n.sinh().atan().to_degrees()) }
    }

    /// The places of a path, each once in a row; there and back again leaves nothing.
    fn places(&self, path: &LineString<f64>) -> Vec<(f64, f64)> {
        let mut kept: Vec<(f64, f64)> = Vec::new();
        for c in &path.0 {
            let place = self.place(*c);
            if kept.last() == Some(&place) {
                continue;
            }
            if kept.len() >= 2 && kept.get(kept.len() - 2) == Some(&place) {
                kept.pop();
                continue;
            }
            kept.push(place);
        }
        kept
    }

    fn line(&self, line: &LineString<f64>) -> Option<LineString<f64>> {
        let places = self.places(line);
        let all = places.into_iter().map(|p| self.position(p)).collect::<Vec<_>>();
        (all.len() >= 2).then_some(LineString(all))
    }

    fn ring(&self, ring: &LineString<f64>) -> Option<LineString<f64>> {
        let mut places = self.places(ring);
        if places.first() != places.last() {
            places.push(*places.first()?);
        }
        // Where a spike stood across the ring's own beginning.
        while places.len() > 3 && places.get(1) == places.get(places.len() - 2) {
            places.pop();
            places.remove(0);
        }
        let twice: f64 = places
            .iter()
            .zip(places.iter().skip(1))
            .map(|((ax, ay), (bx, by))| ax * by - bx * ay)
            .sum();
        let all = places.into_iter().map(|p| self.position(p)).collect::<Vec<_>>();
        (all.len() >= 4 && twice != 0.0).then_some(LineString(all))
    }

    fn polygon(&self, polygon: &Polygon<f64>) -> Option<Polygon<f64>> {
        let exterior = self.ring(polygon.exterior())?;
        let holes = polygon.interiors().iter().filter_map(|hole| self.ring(hole)).collect();
        Some(Polygon::new(exterior, holes))
    }

    /// The place that a polygon falls together into, as a square.
    fn cell(&self, polygon: &Polygon<f64>) -> Option<Polygon<f64>> {
        let (x, y) = self.place(*polygon.exterior().0.first()?);
        let (x, y) = (x.min(self.side - 1.0), y.min(self.side - 1.0));
        let corner = |dx: f64, dy: f64| self.position((x + dx, y + dy));
        let around = vec![corner(0.0, 0.0), corner(0.0, 1.0), corner(1.0, 1.0), corner(1.0, 0.0)];
        Some(Polygon::new(LineString(around), Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use geo::Area;
    use geo_types::{line_string, point, polygon};
    use proptest::prelude::*;

    /// A ring around (3, 50) with many vertices.
    fn blob(radii: &[f64]) -> Polygon<f64> {
        let at = |(i, r): (usize, &f64)| {
            let angle = i as f64 / radii.len() as f64 * 2.0 * PI;
            Coord { x: 3.0 + r * angle.cos(), y: 50.0 + r * angle.sin() }
        };
        Polygon::new(LineString(radii.iter().enumerate().map(at).collect()), Vec::new())
    }

    fn vertices(g: &Geometry<f64>) -> usize {
        geo::CoordsIter::coords_count(g)
    }

    #[test]
    fn a_border_stays_shared_and_gets_lighter() {
        // Two halves of a square, with a jagged border between them.
        let border: Vec<Coord<f64>> = (0..=500)
            .map(|i| Coord {
                x: 3.0 + 0.01 * (f64::from(i) / 40.0).sin(),
                y: 50.0 + f64::from(i) * 0.001,
            })
            .collect();
        let side = |x: f64, path: &mut dyn Iterator<Item = Coord<f64>>| {
            let mut ring: Vec<Coord<f64>> = path.collect();
            let (first, last) = (ring[0], ring[ring.len() - 1]);
            ring.extend([Coord { x, y: last.y }, Coord { x, y: first.y }]);
            Geometry::Polygon(Polygon::new(LineString(ring), Vec::new()))
        };
        let west = side(2.5, &mut border.iter().copied());
        let east = side(3.5, &mut border.iter().rev().copied());
        for zoom in [3, 6, 8] {
            let [a, b] = [&west, &east].map(|g| generalise(g, zoom).unwrap());
            assert!(vertices(&a) < vertices(&west), "{zoom}");
            let whole = a.unsigned_area() + b.unsigned_area();
            let (Geometry::Polygon(pa), Geometry::Polygon(pb)) = (&a, &b) else { panic!() };
            let on = |p: &Polygon<f64>| {
                let inner = |c: &&Coord<f64>| c.x > 2.9 && c.x < 3.1;
                let mut all: Vec<_> =
                    p.exterior().0.iter().filter(inner).map(|c| format!("{c:?}")).collect();
                all.sort();
                all.dedup();
                all
            };
            assert_eq!(on(pa), on(pb), "{zoom}");
            let box_of = geo::BoundingRect::bounding_rect(&geo_types::GeometryCollection(vec![
                a.clone(),
                b.clone(),
            ]))
            .unwrap();
            assert!((whole - box_of.width() * box_of.height()).abs() < 1e-9, "{zoom}: {whole}");
        }
    }

    #[test]
    fn what_is_too_small_to_be_seen_is_still_somewhere() {
        let small = polygon![(x: 3.0, y: 50.0), (x: 3.0001, y: 50.0), (x: 3.0001, y: 50.0001)];
        let seen = generalise(&Geometry::Polygon(small), 3).unwrap();
        assert!(seen.unsigned_area() > 0.0 && validity::check(&seen).is_ok());
        let thin = line_string![(x: 3.0, y: 50.0), (x: 3.00001, y: 50.0)];
        assert!(generalise(&thin.into(), 3).is_none());
        assert!(generalise(&point!(x: 3.0, y: 50.0).into(), 3).is_none());
    }

    proptest! {
        #[test]
        fn what_is_valid_stays_valid(
            radii in prop::collection::vec(0.001..0.2f64, 3..80), zoom in 0u8..16
        ) {
            let area = Geometry::Polygon(blob(&radii));
            prop_assume!(validity::check(&area).is_ok());
            let coarse = generalise(&area, zoom).unwrap_or_else(|| area.clone());
            prop_assert!(validity::check(&coarse).is_ok());
            prop_assert!(!validity::is_empty(&coarse));
        }
    }
}
