//! From degrees to the integer grid, and the flat list of paths all later steps work on.

use super::points::Place;
use geo_types::{Coord, Geometry, LineString, Polygon};
use rayon::prelude::*;
use std::f64::consts::PI;

/// The finest grid whose coordinates and areas stay exact in the integers used here.
pub const MAX_GRID_ZOOM: u8 = 16;

/// The parallel at which the web-mercator square ends (EPSG:3857 with its usual bounds).
const MAX_LATITUDE: f64 = 85.051_128_779_806_59;

/// A vertex on the finest grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Vertex {
    pub(super) x: i32,
    pub(super) y: i32,
}

impl Vertex {
    /// Beyond an end of a line.
    pub(super) const NOWHERE: Self = Self { x: i32::MIN, y: i32::MIN };

    /// Both coordinates in one word, to compare and hash.
    pub(super) fn key(self) -> u64 {
        (u64::from(self.x.cast_unsigned()) << 32) | u64::from(self.y.cast_unsigned())
    }
}

/// The position of a point on the world grid of `4096·2^zoom` units: x east from 180° W, y south
/// from 85.05° N (web mercator, EPSG:3857). Latitudes beyond are put on the edge.
pub fn project(lon: f64, lat: f64, zoom: u8) -> (i32, i32) {
    let zoom = zoom.min(MAX_GRID_ZOOM);
    let v = Projection::to(zoom).apply(Coord { x: lon, y: lat });
    (v.x, v.y)
}

/// Web mercator onto one grid.
#[derive(Clone, Copy)]
struct Projection {
    /// Units of the world's side.
    side: f64,
}

impl Projection {
    fn to(zoom: u8) -> Self {
        Self { side: f64::from(super::EXTENT) * f64::from(zoom).exp2() }
    }

    #[expect(clippy::cast_possible_truncation, reason = "clamped; NaN gives 0")]
    fn apply(self, c: Coord<f64>) -> Vertex {
        let sine = c.y.clamp(-MAX_LATITUDE, MAX_LATITUDE).to_radians().sin();
        let x = (c.x + 180.0) / 360.0;
        let y = 0.5 - ((1.0 + sine) / (1.0 - sine)).ln() / (4.0 * PI);
        let to_grid = |v: f64| (v * self.side).round().clamp(0.0, self.side) as i32;
        Vertex { x: to_grid(x), y: to_grid(y) }
    }
}

/// What a path is to its feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// All the points of a feature.
    Points,
    /// A line.
    Line,
    /// The outer ring of a polygon; its holes follow it.
    Exterior,
    /// A hole of the exterior before it.
    Interior,
}

impl Role {
    /// Whether the last vertex is joined to the first.
    pub(super) fn closed(self) -> bool {
        matches!(self, Role::Exterior | Role::Interior)
    }
}

/// A run of vertices. The vertex before `start` and the one at `end` are paddings: for rings
/// the neighbours across the seam, for lines [`Vertex::NOWHERE`]; so every vertex finds its two
/// neighbours beside it. Rings do not repeat their first vertex.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path {
    pub(super) role: Role,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Path {
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }
}

/// A feature's geometry: a range of paths.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) ordinal: u32,
    pub(super) paths: std::ops::Range<usize>,
    pub(super) bounds: [i32; 4],
}

/// All geometry of a layer on the finest grid.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    pub(super) vertices: Vec<Vertex>,
    pub(super) paths: Vec<Path>,
    pub(super) shapes: Vec<Shape>,
}

impl Shapes {
    /// Projects and flattens; what has no extent left on the finest grid (and is not a point) is
    /// left out.
    pub(super) fn of(geometries: &[Option<&Geometry<f64>>], zoom: u8) -> Self {
        let mut all = Shapes::default();
        all.extend(0, geometries, zoom);
        all
    }

    /// Adds the geometries of features that follow each other; `first` is the first's ordinal.
    pub(super) fn extend(&mut self, first: usize, geometries: &[Option<&Geometry<f64>>], zoom: u8) {
        const CHUNK: usize = 512;
        let projection = Projection::to(zoom);
        let parts: Vec<Shapes> = geometries
            .par_chunks(CHUNK)
            .enumerate()
            .map(|(chunk, geometries)| {
                let mut part = Shapes::default();
                for (i, geometry) in (first + chunk * CHUNK..).zip(geometries) {
                    if let (Some(g), Ok(ordinal)) = (geometry, u32::try_from(i)) {
                        part.add(ordinal, g, projection);
                    }
                }
                part
            })
            .collect();
        self.vertices.reserve(parts.iter().map(|p| p.vertices.len()).sum());
        self.paths.reserve(parts.iter().map(|p| p.paths.len()).sum());
        self.shapes.reserve(parts.iter().map(|p| p.shapes.len()).sum());
        parts.into_iter().for_each(|part| self.append(part));
    }

    /// Points that were projected already.
    pub(super) fn of_points(places: Vec<Place>) -> Self {
        let mut all = Shapes::default();
        for Place { ordinal, at: [x, y], .. } in places {
            let (first, start) = (all.paths.len(), all.open());
            all.vertices.push(Vertex { x, y });
            all.close(start, Role::Points);
            all.shapes.push(Shape { ordinal, paths: first..first + 1, bounds: [x, y, x, y] });
        }
        all
    }

    fn append(&mut self, part: Shapes) {
        let (v, p) = (self.vertices.len(), self.paths.len());
        self.vertices.extend_from_slice(&part.vertices);
        let moved = |path: Path| Path { start: path.start + v, end: path.end + v, ..path };
        self.paths.extend(part.paths.into_iter().map(moved));
        self.shapes.extend(part.shapes.into_iter().map(|mut s| {
            s.paths = s.paths.start + p..s.paths.end + p;
            s
        }));
    }

    fn add(&mut self, ordinal: u32, geometry: &Geometry<f64>, projection: Projection) {
        let first = self.paths.len();
        let Some(dimension) = dimension(geometry) else { return };
        if dimension == 0 {
            let start = self.open();
            self.add_points(geometry, projection);
            self.close(start, Role::Points);
        } else {
            self.add_parts(geometry, dimension, projection);
        }
        let paths = first..self.paths.len();
        if paths.is_empty() {
            return;
        }
        let mut bounds = [i32::MAX, i32::MAX, i32::MIN, i32::MIN];
        for path in &self.paths[paths.clone()] {
            for v in &self.vertices[path.start..path.end] {
                bounds[0] = bounds[0].min(v.x);
                bounds[1] = bounds[1].min(v.y);
                bounds[2] = bounds[2].max(v.x);
                bounds[3] = bounds[3].max(v.y);
            }
        }
        self.shapes.push(Shape { ordinal, paths, bounds });
    }

    fn add_points(&mut self, geometry: &Geometry<f64>, projection: Projection) {
        match geometry {
            Geometry::Point(p) => self.vertices.push(projection.apply(p.0)),
            Geometry::MultiPoint(m) => {
                self.vertices.extend(m.0.iter().map(|p| projection.apply(p.0)));
            }
            Geometry::GeometryCollection(c) => {
                c.0.iter().for_each(|g| self.add_points(g, projection));
            }
            _ => {}
        }
    }

    /// Adds the lines (`dimension` 1) or the polygons (2) of a geometry.
    fn add_parts(&mut self, geometry: &Geometry<f64>, dimension: u8, projection: Projection) {
        match (geometry, dimension) {
            (Geometry::Line(l), 1) => self.add_line(&[l.start, l.end], projection),
            (Geometry::LineString(l), 1) => self.add_line(&l.0, projection),
            (Geometry::MultiLineString(m), 1) => {
                m.0.iter().for_each(|l| self.add_line(&l.0, projection));
            }
            (Geometry::Polygon(p), 2) => self.add_polygon(p, projection),
            (Geometry::MultiPolygon(m), 2) => {
                m.0.iter().for_each(|p| self.add_polygon(p, projection));
            }
            (Geometry::Rect(r), 2) => self.add_polygon(&r.to_polygon(), projection),
            (Geometry::Triangle(t), 2) => self.add_polygon(&t.to_polygon(), projection),
            (Geometry::GeometryCollection(c), _) => {
                c.0.iter().for_each(|g| self.add_parts(g, dimension, projection));
            }
            _ => {}
        }
    }

    fn add_polygon(&mut self, polygon: &Polygon<f64>, projection: Projection) {
        if self.add_ring(polygon.exterior(), Role::Exterior, projection) {
            for hole in polygon.interiors() {
                self.add_ring(hole, Role::Interior, projection);
            }
        }
    }

    fn add_line(&mut self, coords: &[Coord<f64>], projection: Projection) {
        let start = self.open();
        self.push_distinct(coords, projection);
        self.close(start, Role::Line);
    }

    /// Adds a ring wound as MVT wants it; `false` when it has no area.
    fn add_ring(&mut self, ring: &LineString<f64>, role: Role, projection: Projection) -> bool {
        let start = self.open();
        self.push_distinct(&ring.0, projection);
        while self.vertices.len() > start + 1 && self.vertices.last() == self.vertices.get(start) {
            self.vertices.pop();
        }
        let vertices = &mut self.vertices[start..];
        let area = twice_area(vertices.iter().map(|v| (v.x.into(), v.y.into())));
        if area == 0 {
            self.vertices.truncate(start - 1);
            return false;
        }
        if (area > 0) != (role == Role::Exterior) {
            vertices.reverse();
        }
        self.close(start, role);
        true
    }

    fn push_distinct(&mut self, coords: &[Coord<f64>], projection: Projection) {
        let start = self.vertices.len();
        self.vertices.reserve(coords.len() + 1);
        for c in coords {
            let v = projection.apply(*c);
            if self.vertices.len() == start || self.vertices.last() != Some(&v) {
                self.vertices.push(v);
            }
        }
    }

    /// Begins a path; gives the index of its first vertex.
    fn open(&mut self) -> usize {
        self.vertices.push(Vertex::NOWHERE);
        self.vertices.len()
    }

    /// Ends the path begun at `start`, which is dropped when it has too few vertices.
    fn close(&mut self, start: usize, role: Role) {
        let (before, end) = (start - 1, self.vertices.len());
        let least = match role {
            Role::Points => 1,
            Role::Line => 2,
            Role::Exterior | Role::Interior => 3,
        };
        if end - start < least {
            self.vertices.truncate(before);
            return;
        }
        if role.closed() {
            self.vertices[before] = self.vertices[end - 1];
            self.vertices.push(self.vertices[start]);
        } else {
            self.vertices.push(Vertex::NOWHERE);
        }
        self.paths.push(Path { role, start, end });
    }
}

/// The highest dimension of a geometry's parts; `None` when it is empty.
fn dimension(geometry: &Geometry<f64>) -> Option<u8> {
    match geometry {
        Geometry::Point(_) => Some(0),
        Geometry::MultiPoint(m) => (!m.0.is_empty()).then_some(0),
        Geometry::Line(_) | Geometry::LineString(_) | Geometry::MultiLineString(_) => Some(1),
        Geometry::Polygon(_)
        | Geometry::MultiPolygon(_)
        | Geometry::Rect(_)
        | Geometry::Triangle(_) => Some(2),
        Geometry::GeometryCollection(c) => c.0.iter().filter_map(dimension).max(),
    }
}

/// Twice the area by the surveyor's formula, positive when clockwise on a grid whose y points
/// south: the sign that MVT wants of exteriors. Wraps, rather than fail, on rings that wind
/// dozens of times around the world.
pub(super) fn twice_area(vertices: impl Iterator<Item = (i64, i64)> + Clone) -> i64 {
    let Some((x0, y0)) = vertices.clone().next() else { return 0 };
    let mut sum = 0i64;
    let (mut px, mut py) = (0, 0);
    for (x, y) in vertices.skip(1) {
        let (x, y) = (x - x0, y - y0);
        sum = sum.wrapping_add(px * y - x * py);
        (px, py) = (x, y);
    }
    sum
}
