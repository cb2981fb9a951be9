//! Areas and lengths of geometries in degrees, in metres on the ellipsoid of WGS 84.
//!
//! **Area**: vertices are carried to the cylindrical equal-area projection of the ellipsoid, on
//! which the shoelace formula is exact; only the sides, straight in degrees, are not quite
//! straight there. That costs under 0.01 % for features of one degree. **Length**: each segment
//! by the two radii of curvature at its middle latitude, under 0.01 % for segments of one degree.
//! Both are far below what the decisions made with them need (border noise, 1 %).

use geo_types::{Coord, Geometry, LineString, Polygon};

const A: f64 = 6_378_137.0;
const E2: f64 = {
    let f = 1.0 / 298.257_223_563;
    f * (2.0 - f)
};

/// Area in m² of the polygons of a geometry, holes taken off; 0 for points and lines.
pub fn area_m2(geometry: &Geometry<f64>) -> f64 {
    match geometry {
        Geometry::Polygon(p) => polygon_m2(p),
        Geometry::MultiPolygon(m) => m.0.iter().map(polygon_m2).sum(),
        Geometry::Rect(r) => polygon_m2(&r.to_polygon()),
        Geometry::Triangle(t) => polygon_m2(&t.to_polygon()),
        Geometry::GeometryCollection(c) => c.0.iter().map(area_m2).sum(),
        _ => 0.0,
    }
}

/// Length in m of the lines of a geometry; 0 for points and polygons.
pub fn length_m(geometry: &Geometry<f64>) -> f64 {
    match geometry {
        Geometry::Line(l) => segment_m(l.start, l.end),
        Geometry::LineString(l) => line_m(l),
        Geometry::MultiLineString(m) => m.0.iter().map(line_m).sum(),
        Geometry::GeometryCollection(c) => c.0.iter().map(length_m).sum(),
        _ => 0.0,
    }
}

/// Area of a polygon in m², holes taken off.
pub fn polygon_m2(polygon: &Polygon<f64>) -> f64 {
    let holes: f64 = polygon.interiors().iter().map(ring_m2).sum();
    (ring_m2(polygon.exterior()) - holes).max(0.0)
}

/// The same to about 1e-12 of it: sides that are straight in degrees are followed, so that the
/// areas of parts add up to that of the whole however it was cut. Twice the work.
pub fn polygon_m2_fine(polygon: &Polygon<f64>) -> f64 {
    let holes: f64 = polygon.interiors().iter().map(ring_m2_fine).sum();
    (ring_m2_fine(polygon.exterior()) - holes).max(0.0)
}

/// The area under each side, by Simpson's rule.
fn ring_m2_fine(ring: &LineString<f64>) -> f64 {
    let Some(&first) = ring.0.first() else { return 0.0 };
    let q_0 = authalic(first.y);
    let (mut sum, mut before) = (0.0, 0.0);
    for w in ring.0.windows(2) {
        let middle = authalic((w[0].y + w[1].y) / 2.0) - q_0;
        let here = authalic(w[1].y) - q_0;
        sum += (before + 4.0 * middle + here) / 6.0 * (w[1].x - w[0].x);
        before = here;
    }
    sum.abs().to_radians() * A * A / 2.0
}

fn ring_m2(ring: &LineString<f64>) -> f64 {
    let Some(&first) = ring.0.first() else { return 0.0 };
    let q_0 = authalic(first.y);
    // Relative to the first point, so that nothing cancels.
    let (mut sum, mut before) = (0.0, (0.0, 0.0));
    for c in &ring.0[1..] {
        let here = (c.x - first.x, authalic(c.y) - q_0);
        sum += before.0 * here.1 - here.0 * before.1;
        before = here;
    }
    (sum / 2.0).abs().to_radians() * A * A / 2.0
}

/// Twice the area, over a², between the equator and a latitude per radian of longitude.
fn authalic(lat: f64) -> f64 {
    let e = E2.sqrt();
    let sin = lat.to_radians().sin();
    (1.0 - E2) * (sin / (1.0 - E2 * sin * sin) + (e * sin).atanh() / e)
}

fn line_m(line: &LineString<f64>) -> f64 {
    line.0.windows(2).map(|w| segment_m(w[0], w[1])).sum()
}

/// Length of one segment in m.
pub fn segment_m(a: Coord<f64>, b: Coord<f64>) -> f64 {
    let (sin, cos) = ((a.y + b.y) / 2.0).to_radians().sin_cos();
    let w2 = 1.0 - E2 * sin * sin;
    let normal = A / w2.sqrt();
    let meridian = normal * (1.0 - E2) / w2;
    let (dx, dy) = ((b.x - a.x).to_radians() * normal * cos, (b.y - a.y).to_radians() * meridian);
    (dx * dx + dy * dy).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{crs::Crs, real};
    use geo::Area as _;

    fn close(a: f64, b: f64, share: f64) {
        assert!((a - b).abs() <= share * b, "{a} for {b}");
    }

    #[test]
    fn the_whole_ellipsoid() {
        // Half the world, in strips that follow the parallels.
        let ring = [(0.0, -90.0), (180.0, -90.0), (180.0, 90.0), (0.0, 90.0), (0.0, -90.0)];
        let half = Polygon::new(LineString::from(ring.to_vec()), vec![]);
        close(polygon_m2(&half), 510_065_621_724_089.0 / 2.0, 1e-9);
    }

    #[test]
    fn fine_areas_add_up_however_they_are_cut() {
        let ring = |points: &[(f64, f64)]| Polygon::new(LineString::from(points.to_vec()), vec![]);
        let (a, b, c, d) = ((2.0, 45.0), (3.0, 45.2), (3.1, 46.0), (2.1, 45.9));
        let mid = ((a.0 + c.0) / 2.0, (a.1 + c.1) / 2.0);
        let whole = polygon_m2_fine(&ring(&[a, b, c, d, a]));
        let halves =
            polygon_m2_fine(&ring(&[a, b, c, mid, a])) + polygon_m2_fine(&ring(&[a, mid, c, d, a]));
        close(halves, whole, 1e-12);
        close(polygon_m2(&ring(&[a, b, c, d, a])), whole, 1e-4);
    }

    #[test]
    fn lengths_known_by_their_definition() {
        let line = |a: (f64, f64), b: (f64, f64)| length_m(&LineString::from(vec![a, b]).into());
        close(line((2.0, 0.0), (3.0, 0.0)), 111_319.490_8, 1e-9);
        // Length of a degree of the meridian, from the series of the meridian arc.
        close(line((2.0, 45.0), (2.0, 46.0)), 111_141.548, 1e-5);
        close(line((2.0, 0.0), (2.0, 1.0)), 110_574.389, 1e-5);
        assert_eq!(length_m(&geo_types::Point::new(1.0, 2.0).into()), 0.0);
    }

    #[test]
    fn holes_are_taken_off_and_kinds_kept_apart() {
        let square = |x: f64, s: f64| {
            LineString::from(vec![
                (x, 45.0),
                (x + s, 45.0),
                (x + s, 45.0 + s),
                (x, 45.0 + s),
                (x, 45.0),
            ])
        };
        let full = polygon_m2(&Polygon::new(square(2.0, 0.1), vec![]));
        let holed = polygon_m2(&Polygon::new(square(2.0, 0.1), vec![square(2.01, 0.02)]));
        close(full - holed, full * 0.04, 0.01);
        assert_eq!(area_m2(&square(2.0, 0.1).into()), 0.0);
        assert_eq!(length_m(&Polygon::new(square(2.0, 0.1), vec![]).into()), 0.0);
        assert_eq!(area_m2(&Polygon::<f64>::new(LineString(vec![]), vec![]).into()), 0.0);
    }

    #[test]
    fn communes_against_a_projection_of_known_scale() {
        const TEST: &str = "communes_against_a_projection_of_known_scale";
        let Some(features) = real::features(TEST, "communes-2018.geojson.gz") else { return };
        let crs = Crs::from_epsg(3946).unwrap();
        let mut seen = 0;
        for feature in features.iter().filter(|f| f.text("dep") == "38") {
            let mut g = feature.geometry();
            let area = area_m2(&g);
            // Scale of the conic at the commune, from a short step along the meridian.
            let at = geo::Centroid::centroid(&g).unwrap().0;
            let north = Coord { x: at.x, y: at.y + 0.001 };
            let (p, q) = (crs.point_from_crs84(at).unwrap(), crs.point_from_crs84(north).unwrap());
            let scale = (p.x - q.x).hypot(p.y - q.y) / segment_m(at, north);
            crs.from_crs84(&mut g).unwrap();
            close(area, g.unsigned_area() / (scale * scale), 1e-4);
            seen += 1;
        }
        assert!(seen > 500);
    }
}
