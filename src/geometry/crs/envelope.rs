//! The box in degrees that holds a box of another system. Straight edges there are curves here, so
//! corners alone are not enough: the outline is followed.

use super::Crs;
use crate::model::BBox;
use geo_types::Coord;

/// Pieces an edge is cut into. Between two of them a curve rises above its chord by less than the
/// second difference of its points over eight, which is added.
const PIECES: u32 = 64;

impl Crs {
    /// The smallest box in degrees, but for a margin that rounding and curves ask for, that holds
    /// every point of `[min x, min y, max x, max y]` that lies in this system's area of use; `None`
    /// when none does.
    pub fn envelope_to_crs84(&self, bounds: [f64; 4]) -> Option<BBox> {
        let area @ BBox { west, south, east, north } = self.area_of_use();
        if self.is_geographic() && self.is_crs84() {
            let [west, south, east, north] = bounds;
            return Some(BBox { west, south, east, north });
        }
        let whole = self.bounds_from_crs84(&area);
        let [x0, y0, x1, y1] = bounds;
        let clipped = [x0.max(whole[0]), y0.max(whole[1]), x1.min(whole[2]), y1.min(whole[3])];
        if clipped[0] > clipped[2] || clipped[1] > clipped[3] {
            return None;
        }
        let Some(mut found) = self.follow(clipped) else {
            // Part of the outline has no answer: what is asked for reaches beyond the area of use.
            return Some(area);
        };
        found.west = found.west.max(west);
        found.south = found.south.max(south);
        found.east = found.east.min(east);
        found.north = found.north.min(north);
        (found.west <= found.east && found.south <= found.north).then_some(found)
    }

    /// The box in this system of a box in degrees, its outline followed; without bounds where the
    /// outline has none, as at the poles of Mercator.
    fn bounds_from_crs84(&self, area: &BBox) -> [f64; 4] {
        let mut bounds = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
        for at in outline([area.west, area.south, area.east, area.north]) {
            let Ok(at) = self.point_from_crs84(at) else {
                return [f64::NEG_INFINITY, f64::NEG_INFINITY, f64::INFINITY, f64::INFINITY];
            };
            bounds = [
                bounds[0].min(at.x),
                bounds[1].min(at.y),
                bounds[2].max(at.x),
                bounds[3].max(at.y),
            ];
        }
        bounds
    }

    /// The box in degrees of an outline, with the margin that curves ask for.
    fn follow(&self, bounds: [f64; 4]) -> Option<BBox> {
        let mut points = Vec::with_capacity(4 * PIECES as usize);
        for at in outline(bounds) {
            points.push(self.projection.inverse(at));
        }
        if !points.iter().all(|p| p.x.is_finite() && p.y.is_finite()) {
            return None;
        }
        // Corners bend without being curves: edges are looked at one by one.
        let bend = |of: fn(&Coord<f64>) -> f64| {
            points
                .chunks_exact(PIECES as usize)
                .flat_map(|edge| edge.windows(3))
                .map(|w| match w {
                    [a, b, c] => (of(a) - 2.0 * of(b) + of(c)).abs() / 8.0,
                    _ => 0.0,
                })
                .fold(0.0, f64::max)
        };
        let (across, along) = (bend(|p| p.x) + 1e-9, bend(|p| p.y) + 1e-9);
        let least =
            |of: fn(&Coord<f64>) -> f64| points.iter().map(of).fold(f64::INFINITY, f64::min);
        let most =
            |of: fn(&Coord<f64>) -> f64| points.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
        Some(BBox {
            west: least(|p| p.x) - across,
            south: least(|p| p.y) - along,
            east: most(|p| p.x) + across,
            north: most(|p| p.y) + along,
        })
    }
}

/// Points of a box's outline: each edge from its first corner up to the next one, left out.
fn outline([x0, y0, x1, y1]: [f64; 4]) -> impl Iterator<Item = Coord<f64>> {
    let corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)];
    let edges = corners.into_iter().zip(corners.into_iter().cycle().skip(1));
    edges.flat_map(|((ax, ay), (bx, by))| {
        (0..PIECES).map(move |i| {
            let t = f64::from(i) / f64::from(PIECES);
            Coord { x: ax + (bx - ax) * t, y: ay + (by - ay) * t }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_box_beyond_the_area_of_use_is_cut_to_it() {
        let lambert = Crs::from_epsg(2154).unwrap();
        let all = lambert.envelope_to_crs84([-1e9, -1e9, 1e9, 1e9]).unwrap();
        let [west, south, east, north] = lambert.area;
        assert_eq!(all.to_array(), [west, south, east, north]);
        assert_eq!(lambert.envelope_to_crs84([1e9, 1e9, 2e9, 2e9]), None);
        let mercator = Crs::from_epsg(3857).unwrap();
        let edge = 20_037_508.342_789_244;
        let world = mercator.envelope_to_crs84([-edge, -edge, edge, edge]).unwrap();
        assert!(world.west <= -179.999 && world.east >= 179.999, "{world:?}");
        assert!(world.south <= -85.05 && world.north >= 85.05, "{world:?}");
    }

    proptest! {
        #[test]
        fn every_point_of_a_box_is_in_its_envelope(
            code in prop::sample::select(Crs::written().collect::<Vec<_>>()),
            (lon, lat) in (0.0..1.0f64, 0.0..1.0f64),
            (width, height) in (1.0..800_000.0f64, 1.0..800_000.0f64),
            inside in prop::collection::vec((0.0..=1.0f64, 0.0..=1.0f64), 20),
        ) {
            let crs = Crs::from_epsg(code).unwrap();
            let [west, south, east, north] = crs.area;
            let (south, north) = (south.max(-80.0), north.min(80.0));
            let corner = Coord { x: west + lon * (east - west), y: south + lat * (north - south) };
            let at = crs.point_from_crs84(corner).unwrap();
            let unit = if crs.is_geographic() { 1e-5 } else { 1.0 };
            let bounds = [at.x, at.y, at.x + width * unit, at.y + height * unit];
            let Some(envelope) = crs.envelope_to_crs84(bounds) else {
                // The corner is in the area, so that something is.
                return Err(TestCaseError::fail(format!("{code} {bounds:?}")));
            };
            for (x, y) in inside {
                let point = Coord {
                    x: bounds[0] + x * (bounds[2] - bounds[0]),
                    y: bounds[1] + y * (bounds[3] - bounds[1]),
                };
                if let Ok(p) = crs.point_to_crs84(point) {
                    let held = p.x >= envelope.west && p.x <= envelope.east
                        && p.y >= envelope.south && p.y <= envelope.north;
                    prop_assert!(held, "{code}: {p:?} not in {envelope:?} of {bounds:?}");
                }
            }
        }
    }
}
