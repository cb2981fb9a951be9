//! Cuts geometries at a border, exactly: what is left has the vertices it had, and new ones only
//! where an edge crosses the border.
//!
//! A [`Clipper`] is a border prepared once. A feature away from it is inside or outside after a
//! look at the edges nearby, and stays untouched; only those that cross are cut. The same edge
//! meets the same border at the same vertex whichever side is asked, so that the parts of two
//! neighbouring territories fit together.
//!
//! | file | question |
//! |---|---|
//! | `nodes` | where do the edges of a polygon meet the border's? |
//! | `label` | which pieces of edges lie inside of both? |
//!
//! Coordinates may be of any plane: degrees, metres, the grid of a tile.

mod label;
pub(super) mod nodes;

#[cfg(test)]
mod tests;

use super::{
    area, dissolve, faces,
    overlap::{PreparedPolygon, bounds, within_window},
    predicates::Place,
    validity::{self, Problem},
};
use geo::{Area, BooleanOps};
use geo_types::{
    Coord, Geometry, GeometryCollection, LineString, MultiLineString, MultiPoint, MultiPolygon,
    Polygon,
};

/// What the coordinates are: how shares are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// Longitude and latitude in degrees: areas on the ellipsoid.
    Degrees,
    /// A plane: areas as they are.
    Plane,
}

/// What a cut leaves of a geometry.
#[derive(Debug, Clone, PartialEq)]
pub enum Cut {
    /// All of it: the geometry stays as it is.
    Inside,
    /// Nothing of its own dimension.
    Outside,
    /// A part.
    Part(Part),
}

/// What is left of a geometry that crosses the border.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Valid, of the dimension it had; several parts make a multi-geometry.
    pub geometry: Geometry<f64>,
    /// The share of the area, of the length, or of the points that is left, 0 to 1.
    pub share: f64,
}

/// A border ready to cut. `Sync`, and meant to be shared.
#[derive(Debug)]
pub struct Clipper {
    border: PreparedPolygon,
    space: Space,
    /// Crossings this near to a vertex are at the vertex.
    tolerance: f64,
}

/// What is left of one polygon.
enum Left {
    Inside,
    Outside,
    Part(Vec<Polygon<f64>>),
}

impl Clipper {
    /// Prepares a border, a valid polygon or several.
    pub fn new(border: MultiPolygon<f64>, space: Space) -> Self {
        let mut border = Geometry::MultiPolygon(border);
        validity::normalise(&mut border);
        let border = match border {
            Geometry::MultiPolygon(m) => m,
            _ => MultiPolygon(Vec::new()),
        };
        let border = PreparedPolygon::new(border);
        let size = border.bounds().iter().fold(0.0f64, |m, v| m.max(v.abs()));
        // A micrometre on the ground, some hundred times what rounding makes.
        let tolerance = if size.is_finite() { size * 1e-13 } else { 0.0 };
        Self { border, space, tolerance }
    }

    /// The border.
    pub fn shape(&self) -> &MultiPolygon<f64> {
        self.border.shape()
    }

    /// `[west, south, east, north]` of the border; inverted when it is empty.
    pub fn bounds(&self) -> [f64; 4] {
        self.border.bounds()
    }

    /// Whether a point lies inside or on the border.
    pub fn holds(&self, c: Coord<f64>) -> bool {
        self.border.contains_point(c)
    }

    /// Cuts a valid geometry. Points and lines on the border are inside.
    ///
    /// # Errors
    /// A [`Problem`] when the geometry is not valid and cannot be cut for that reason.
    pub fn cut(&self, geometry: &Geometry<f64>) -> Result<Cut, Problem> {
        match geometry {
            Geometry::Point(p) if p.x().is_finite() && self.holds(p.0) => Ok(Cut::Inside),
            Geometry::Point(_) => Ok(Cut::Outside),
            Geometry::MultiPoint(m) => Ok(self.points(m)),
            Geometry::Line(l) => Ok(self.lines(&[LineString(vec![l.start, l.end])], false)),
            Geometry::LineString(l) => Ok(self.lines(std::slice::from_ref(l), false)),
            Geometry::MultiLineString(m) => Ok(self.lines(&m.0, true)),
            Geometry::Polygon(p) => self.polygons(std::slice::from_ref(p), false),
            Geometry::MultiPolygon(m) => self.polygons(&m.0, true),
            Geometry::Rect(r) => self.polygons(&[r.to_polygon()], false),
            Geometry::Triangle(t) => self.polygons(&[t.to_polygon()], false),
            Geometry::GeometryCollection(c) => self.collection(c),
        }
    }

    /// The same for a geometry that is valid but for what generalising it did: where that is in
    /// the way, what is left is no more valid than it was.
    pub fn cut_roughly(&self, geometry: &Geometry<f64>) -> Cut {
        if let Ok(cut) = self.cut(geometry) {
            return cut;
        }
        let shape = match geometry {
            Geometry::Polygon(p) => MultiPolygon(vec![p.clone()]),
            Geometry::MultiPolygon(m) => m.clone(),
            _ => return Cut::Outside,
        };
        let left = shape.intersection(&self.around(&shape));
        if left.0.is_empty() {
            return Cut::Outside;
        }
        let share = ratio(left.unsigned_area(), shape.unsigned_area());
        Cut::Part(Part { geometry: left.into(), share })
    }

    fn points(&self, points: &MultiPoint<f64>) -> Cut {
        let left: Vec<_> = points.0.iter().filter(|p| self.holds(p.0)).copied().collect();
        if left.is_empty() || left.len() == points.0.len() {
            return if left.is_empty() { Cut::Outside } else { Cut::Inside };
        }
        let share = ratio(left.len() as f64, points.0.len() as f64);
        Cut::Part(Part { geometry: MultiPoint(left).into(), share })
    }

    fn lines(&self, lines: &[LineString<f64>], multi: bool) -> Cut {
        let mut left = Vec::new();
        let mut whole = 0;
        for line in lines {
            whole += usize::from(self.line(line, &mut left));
        }
        if left.is_empty() || whole == lines.len() {
            return if left.is_empty() { Cut::Outside } else { Cut::Inside };
        }
        let length = |all: &[LineString<f64>]| -> f64 { all.iter().map(|l| self.length(l)).sum() };
        let share = ratio(length(&left), length(lines));
        let geometry = match <[LineString<f64>; 1]>::try_from(left) {
            Ok([one]) if !multi => one.into(),
            Ok([one]) => MultiLineString(vec![one]).into(),
            Err(many) => MultiLineString(many).into(),
        };
        Cut::Part(Part { geometry, share })
    }

    /// Adds what is left of a line; `true` when that is all of it.
    fn line(&self, line: &LineString<f64>, left: &mut Vec<LineString<f64>>) -> bool {
        let before = left.len();
        let (mut open, mut whole) = (Vec::new(), true);
        let mut close = |open: &mut Vec<Coord<f64>>| {
            if open.len() > 1 {
                left.push(LineString(std::mem::take(open)));
            }
            open.clear();
        };
        for w in line.0.windows(2) {
            let near = self.border.edges_near(w[0], w[1]);
            for [a, b] in nodes::pieces([w[0], w[1]], &near, self.tolerance) {
                if self.border.place((a + b) / 2.0) == Place::Outside {
                    whole = false;
                    close(&mut open);
                } else {
                    if open.is_empty() {
                        open.push(a);
                    }
                    open.push(b);
                }
            }
        }
        close(&mut open);
        if whole && left.len() > before {
            left.truncate(before);
            left.push(line.clone());
        }
        whole
    }

    fn length(&self, line: &LineString<f64>) -> f64 {
        let planar = |w: &[Coord<f64>]| (w[1].x - w[0].x).hypot(w[1].y - w[0].y);
        match self.space {
            Space::Degrees => line.0.windows(2).map(|w| area::segment_m(w[0], w[1])).sum(),
            Space::Plane => line.0.windows(2).map(planar).sum(),
        }
    }

    fn area(&self, polygon: &Polygon<f64>) -> f64 {
        match self.space {
            Space::Degrees => area::polygon_m2_fine(polygon),
            Space::Plane => polygon.unsigned_area(),
        }
    }

    fn polygons(&self, polygons: &[Polygon<f64>], multi: bool) -> Result<Cut, Problem> {
        let (mut left, mut whole, mut cut) = (Vec::new(), 0, false);
        for polygon in polygons.iter().filter(|p| !p.exterior().0.is_empty()) {
            match self.polygon(polygon)? {
                Left::Inside => {
                    whole += 1;
                    left.push(polygon.clone());
                }
                Left::Outside => cut = true,
                Left::Part(parts) => {
                    cut = true;
                    left.extend(parts);
                }
            }
        }
        if left.is_empty() {
            return Ok(Cut::Outside);
        }
        if !cut {
            return Ok(Cut::Inside);
        }
        // Parts of several polygons, of which one at least was cut, must still fit together.
        let mut left = MultiPolygon(left);
        if whole < left.0.len() && polygons.len() > 1 && validity::check_planar(&left).is_err() {
            left = self.overlay(&MultiPolygon(polygons.to_vec()))?;
        }
        let area = |all: &[Polygon<f64>]| -> f64 { all.iter().map(|p| self.area(p)).sum() };
        let share = ratio(area(&left.0), area(polygons));
        let geometry = match <[Polygon<f64>; 1]>::try_from(left.0) {
            Ok([one]) if !multi => one.into(),
            Ok([one]) => MultiPolygon(vec![one]).into(),
            Err(many) if many.is_empty() => return Ok(Cut::Outside),
            Err(many) => MultiPolygon(many).into(),
        };
        Ok(Cut::Part(Part { geometry, share }))
    }

    fn polygon(&self, polygon: &Polygon<f64>) -> Result<Left, Problem> {
        let [w, s, e, n] = bounds(&polygon.exterior().0);
        let t = self.tolerance;
        let (low, high) = (Coord { x: w - t, y: s - t }, Coord { x: e + t, y: n + t });
        let near = self.border.edges_near(low, high);
        if near.is_empty() {
            let first = polygon.exterior().0.first().copied().unwrap_or_default();
            let outside = self.border.place(first) == Place::Outside;
            return Ok(if outside { Left::Outside } else { Left::Inside });
        }
        let mut edges = Vec::with_capacity(polygon.exterior().0.len());
        faces::edges_of(polygon, |e| edges.push(e));
        let (subject, border) = nodes::node(&edges, &near, self.tolerance);
        let inside = |p| super::predicates::place_among(p, edges.iter().map(|e| (e[0], e[1])));
        let places = [&inside as &label::Where<'_>, &|p| self.border.place(p)];
        let kept = match label::both(&subject, &border, places) {
            Ok(label::Kept::All) => return Ok(Left::Inside),
            Ok(label::Kept::None) => return Ok(Left::Outside),
            Ok(label::Kept::Some(edges)) => faces::polygons(&edges).ok(),
            Err(label::Muddled) => None,
        };
        let kept = kept.filter(|shape| validity::check_planar(shape).is_ok());
        let shape = match kept {
            Some(shape) => shape,
            None => self.overlay(&MultiPolygon(vec![polygon.clone()]))?,
        };
        Ok(if shape.0.is_empty() { Left::Outside } else { Left::Part(shape.0) })
    }

    /// The way out where borders run so closely that rounding muddles them: an overlay on a grid
    /// of its own, which moves vertices by far less than a millimetre, since it is laid over the
    /// surroundings of the shape alone.
    fn overlay(&self, shape: &MultiPolygon<f64>) -> Result<MultiPolygon<f64>, Problem> {
        dissolve::settle(shape.intersection(&self.around(shape)))
    }

    /// The border as far as it has to do with a shape.
    fn around(&self, shape: &MultiPolygon<f64>) -> MultiPolygon<f64> {
        let [w, s, e, n] = bounds(shape.0.iter().flat_map(|p| &p.exterior().0));
        let margin = (e - w).max(n - s) * 0.01 + self.tolerance;
        within_window(self.shape(), &[w - margin, s - margin, e + margin, n + margin])
    }

    fn collection(&self, collection: &GeometryCollection<f64>) -> Result<Cut, Problem> {
        let (mut left, mut whole) = (Vec::new(), 0);
        // Measured by the parts of the highest dimension.
        let mut sizes: Vec<(u8, f64, f64)> = Vec::new();
        for member in &collection.0 {
            let (dimension, size) = self.size(member);
            match self.cut(member)? {
                Cut::Outside => sizes.push((dimension, size, 0.0)),
                Cut::Inside => {
                    whole += 1;
                    sizes.push((dimension, size, size));
                    left.push(member.clone());
                }
                Cut::Part(part) => {
                    sizes.push((dimension, size, size * part.share));
                    left.push(part.geometry);
                }
            }
        }
        if left.is_empty() || whole == collection.0.len() {
            return Ok(if left.is_empty() { Cut::Outside } else { Cut::Inside });
        }
        let highest = sizes.iter().map(|s| s.0).max().unwrap_or_default();
        let of = sizes.iter().filter(|s| s.0 == highest);
        let (all, kept) = of.fold((0.0, 0.0), |(a, k), s| (a + s.1, k + s.2));
        let geometry = Geometry::GeometryCollection(GeometryCollection(left));
        Ok(Cut::Part(Part { geometry, share: ratio(kept, all) }))
    }

    /// Dimension and size of a geometry.
    fn size(&self, geometry: &Geometry<f64>) -> (u8, f64) {
        let sum = |g: &[Geometry<f64>]| {
            let sizes: Vec<_> = g.iter().map(|g| self.size(g)).collect();
            let highest = sizes.iter().map(|s| s.0).max().unwrap_or_default();
            (highest, sizes.iter().filter(|s| s.0 == highest).map(|s| s.1).sum())
        };
        match geometry {
            Geometry::Point(_) => (0, 1.0),
            Geometry::MultiPoint(m) => (0, m.0.len() as f64),
            Geometry::Line(l) => (1, self.length(&LineString(vec![l.start, l.end]))),
            Geometry::LineString(l) => (1, self.length(l)),
            Geometry::MultiLineString(m) => (1, m.0.iter().map(|l| self.length(l)).sum()),
            Geometry::Polygon(p) => (2, self.area(p)),
            Geometry::MultiPolygon(m) => (2, m.0.iter().map(|p| self.area(p)).sum()),
            Geometry::Rect(r) => (2, self.area(&r.to_polygon())),
            Geometry::Triangle(t) => (2, self.area(&t.to_polygon())),
            Geometry::GeometryCollection(c) => sum(&c.0),
        }
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 1.0 }
}
