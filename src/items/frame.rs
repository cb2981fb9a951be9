//! The CRS of the geometries inside a filter (`filter-crs`): their axes put right, brought to
//! CRS84, found valid.

use super::valid::is_valid;
use crate::{
    error::{Error, Result},
    geometry::crs::Crs,
    model::BBox,
    text,
};
use geo::MapCoordsInPlace;
use geo_types::{
    Coord, Geometry, LineString, MultiLineString, MultiPoint, MultiPolygon, Point, Polygon,
};

/// Pieces of each side of a box whose sides are bent in degrees.
const PIECES: u32 = 16;

/// A CRS that geometries of a filter are written in.
pub struct Frame {
    crs: Crs,
    /// Whether x comes before y whatever the authority says.
    x_first: bool,
}

impl Frame {
    /// Reads `filter-crs`; CRS84 where there is none.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming those that are known.
    pub fn parse(value: Option<&str>) -> Result<Self> {
        let Some(value) = value else { return Ok(Self { crs: Crs::crs84(), x_first: true }) };
        let crs = Crs::parse(value).map_err(|e| {
            let reason = e.text();
            Error::Invalid(text!(
                "Paramètre « filter-crs » : {fr}.",
                "Parameter \"filter-crs\": {en}.",
                fr = reason.fr,
                en = reason.en
            ))
        })?;
        Ok(Self { crs, x_first: false })
    }

    /// The same system with x before y, as old spellings (`EPSG:4326`) mean it.
    #[must_use]
    pub fn with_x_first(self) -> Self {
        Self { x_first: true, ..self }
    }

    fn is_lat_lon(&self) -> bool {
        !self.x_first && self.crs.authority_is_lat_lon()
    }

    /// Its name, where it is not CRS84.
    pub fn name(&self) -> Option<String> {
        (!self.crs.is_crs84()).then(|| match self.crs.epsg() {
            Some(code) => format!("EPSG:{code}"),
            None => self.crs.name().to_owned(),
        })
    }

    /// A geometry in CRS84.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it lies outside of the CRS, is not valid or has too many parts to
    /// find out.
    pub fn place(&self, mut geometry: Geometry<f64>) -> Result<Geometry<f64>> {
        if self.is_lat_lon() {
            geometry.map_coords_in_place(|c| Coord { x: c.y, y: c.x });
        }
        self.moved(&mut geometry)?;
        match is_valid(&geometry)? {
            true => Ok(geometry),
            false => Err(Error::Invalid(text!(
                "la géométrie n'est pas valide : un anneau se croise ou un trou sort de son polygone.",
                "the geometry is not valid: a ring crosses itself or a hole leaves its polygon."
            ))),
        }
    }

    /// A box, as `BBOX` gives it, in CRS84: two parts where it crosses the antimeridian, a point
    /// or a line where it has no width. One that reaches beyond the system's area of use, as that
    /// of a wide canvas, becomes the envelope of what is inside, as [`super::System::bbox`] does.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it lies wholly outside of the CRS or is upside down.
    pub fn place_box(&self, [a, b, c, d]: [f64; 4]) -> Result<Geometry<f64>> {
        let lat_lon = self.is_lat_lon();
        let [west, south, east, north] = if lat_lon { [b, a, d, c] } else { [a, b, c, d] };
        if south > north || (west > east && !self.crs.is_geographic()) {
            return Err(Error::Invalid(text!(
                "BBOX à l'envers : les plus petites coordonnées d'abord.",
                "BBOX upside down: the smaller coordinates come first."
            )));
        }
        let geographic = self.crs.is_geographic();
        let whole = BBox { west, south, east, north };
        let mut parts = if west > east { whole.parts() } else { vec![whole] };
        // A side that lies on the antimeridian leaves nothing but a line beyond it.
        if parts.iter().any(|part| part.west < part.east) {
            parts.retain(|part| part.west < part.east);
        }
        let mut shapes = Vec::with_capacity(parts.len());
        for part in parts {
            let mut shape = outline(&part, if geographic { 1 } else { PIECES });
            if let Err(beyond) = self.moved(&mut shape) {
                // The degrees of the store end where the world does.
                let inside = match self.crs.is_crs84() {
                    true => None,
                    false => self.crs.envelope_to_crs84(part.to_array()),
                };
                shape = outline(&inside.ok_or(beyond)?, 1);
            }
            shapes.push(shape);
        }
        Ok(together(shapes))
    }

    fn moved(&self, geometry: &mut Geometry<f64>) -> Result<()> {
        self.crs.to_crs84(geometry).map_err(|e| {
            let reason = e.text(&self.crs);
            Error::Invalid(text!("{fr}.", "{en}.", fr = reason.fr, en = reason.en))
        })
    }
}

/// The one or two parts of a box as one geometry: both are of the same kind.
fn together(mut shapes: Vec<Geometry<f64>>) -> Geometry<f64> {
    if shapes.len() == 1 {
        return shapes.remove(0);
    }
    let (mut points, mut lines, mut polygons) = (Vec::new(), Vec::new(), Vec::new());
    for shape in shapes {
        match shape {
            Geometry::Point(point) => points.push(point),
            Geometry::LineString(line) => lines.push(line),
            Geometry::Polygon(polygon) => polygons.push(polygon),
            // No outline is any of the others.
            _ => {}
        }
    }
    match (points.is_empty(), lines.is_empty()) {
        (false, _) => MultiPoint(points).into(),
        (_, false) => MultiLineString(lines).into(),
        _ => MultiPolygon(polygons).into(),
    }
}

/// A box as the geometry it is, each side in pieces.
fn outline(b: &BBox, pieces: u32) -> Geometry<f64> {
    let corners = [
        Coord { x: b.west, y: b.south },
        Coord { x: b.east, y: b.south },
        Coord { x: b.east, y: b.north },
        Coord { x: b.west, y: b.north },
    ];
    let [low, _, high, _] = corners;
    match (b.west < b.east, b.south < b.north) {
        (false, false) => return Point(low).into(),
        (true, true) => {}
        _ => return LineString(vec![low, high]).into(),
    }
    let mut ring = Vec::new();
    for (from, to) in corners.iter().zip(corners.iter().cycle().skip(1)) {
        for i in 0..pieces {
            let share = f64::from(i) / f64::from(pieces);
            ring.push(*from + (*to - *from) * share);
        }
    }
    // Closed by the polygon itself.
    Polygon::new(LineString(ring), Vec::new()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use geo::BoundingRect;

    #[test]
    fn boxes_follow_the_axes_of_their_crs() {
        let lille = |crs, sides| Frame::parse(crs).unwrap().place_box(sides).unwrap();
        let expected = lille(None, [3.0, 50.5, 3.2, 50.7]);
        let latlon = Some("http://www.opengis.net/def/crs/EPSG/0/4326");
        assert_eq!(lille(latlon, [50.5, 3.0, 50.7, 3.2]), expected);
        let lambert = lille(Some("EPSG:2154"), [700_000.0, 7_050_000.0, 710_000.0, 7_060_000.0]);
        let r = lambert.bounding_rect().unwrap();
        assert!((r.min().x - 3.0).abs() < 0.01 && r.max().x > 3.1, "{r:?}");
        assert!(matches!(lille(None, [150.0, -90.0, -150.0, 90.0]), Geometry::MultiPolygon(_)));
        assert!(matches!(lille(None, [1.0, 2.0, 1.0, 2.0]), Geometry::Point(_)));
    }

    #[test]
    fn a_box_across_the_antimeridian_keeps_both_of_its_sides() {
        let frame = Frame::parse(None).unwrap();
        let place = |sides| frame.place_box(sides).unwrap();
        // Where one side ends at 180°, the box is what lies on the other.
        let west = place([160.0, -25.0, -180.0, -10.0]);
        assert_eq!(west, place([160.0, -25.0, 180.0, -10.0]));
        let east = place([180.0, -20.0, -170.0, 0.0]);
        assert_eq!(east, place([-180.0, -20.0, -170.0, 0.0]));
        // Without height it is two lines, without width two.
        let lines = |sides| match place(sides) {
            Geometry::MultiLineString(lines) => lines.0,
            other => panic!("{other:?}"),
        };
        let flat = lines([170.0, 10.0, -170.0, 10.0]);
        assert_eq!(flat[0], LineString::from(vec![(170.0, 10.0), (180.0, 10.0)]));
        assert_eq!(flat[1], LineString::from(vec![(-180.0, 10.0), (-170.0, 10.0)]));
        let thin = lines([180.0, 0.0, -180.0, 10.0]);
        assert_eq!(thin[0], LineString::from(vec![(180.0, 0.0), (180.0, 10.0)]));
        assert_eq!(thin[1], LineString::from(vec![(-180.0, 0.0), (-180.0, 10.0)]));
        let points = place([180.0, 5.0, -180.0, 5.0]);
        assert_eq!(points, MultiPoint::from(vec![(180.0, 5.0), (-180.0, 5.0)]).into());
    }

    #[test]
    fn a_box_wider_than_the_area_of_use_is_what_is_inside() {
        let frame = Frame::parse(Some("EPSG:2154")).unwrap();
        let r = |sides| frame.place_box(sides).unwrap().bounding_rect().unwrap();
        let wide = r([-600_000.0, 6_000_000.0, 2_000_000.0, 7_200_000.0]);
        assert!(wide.min().x < -5.0 && wide.max().x > 9.5, "{wide:?}");
        assert!(wide.min().y < 42.0 && wide.max().y > 51.0, "{wide:?}");
        // Half of it alone is beyond: its inner edge holds.
        let north = r([-600_000.0, 7_000_000.0, 2_000_000.0, 9_200_000.0]);
        assert!(north.min().y > 47.0 && north.min().y < 50.1, "{north:?}");
        assert!(frame.place_box([1e9, 1e9, 2e9, 2e9]).is_err());
        assert!(Frame::parse(None).unwrap().place_box([0.0, 0.0, 10.0, 100.0]).is_err());
    }

    #[test]
    fn what_lies_nowhere_is_refused() {
        let frame = Frame::parse(None).unwrap();
        assert!(frame.place(Point::new(90.0, 180.0).into()).is_err());
        assert!(frame.place_box([0.0, 10.0, 1.0, 5.0]).is_err());
        assert!(Frame::parse(Some("EPSG:1")).is_err());
        let bow = vec![(0., 0.), (1., 1.), (1., 0.), (0., 1.), (0., 0.)];
        assert!(frame.place(Polygon::new(bow.into(), vec![]).into()).is_err());
    }
}
