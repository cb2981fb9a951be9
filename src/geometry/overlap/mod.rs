//! Which territories a feature lies on: attachment by location, and the noise at borders.
//!
//! A [`BorderIndex`] holds the polygons of one level (the communes, most often), each with a
//! number of the caller's. It answers from many threads at once.

mod nearest;
mod prepared;

#[cfg(test)]
mod tests;

pub use prepared::PreparedPolygon;

use super::area;
use geo_types::{Coord, Geometry, LineString, MultiPolygon, Polygon};
pub(super) use prepared::{Bounds, bounds, within_window};
use rstar::{
    AABB, RTree,
    primitives::{GeomWithData, Rectangle},
};
use std::collections::BTreeMap;

/// How much of a feature lies on a polygon.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Overlap {
    /// A point of the feature lies on it.
    Hit,
    /// Length of the feature's lines on it, m.
    LengthM(f64),
    /// Area of the feature's polygons on it, m².
    AreaM2(f64),
}

/// How much of a feature lies on the polygon with this payload.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// The polygon's payload.
    pub payload: u32,
    /// How much.
    pub overlap: Overlap,
}

/// When an overlap is noise: borders of two sources never coincide (DESIGN §4). Whatever the
/// rule, the largest overlap attaches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoiseRule {
    /// Below this share of the smaller of both areas (0 to 1).
    pub min_area_share: f64,
    /// Below this area, m².
    pub min_area_m2: f64,
    /// Below this length for lines, m.
    pub min_length_m: f64,
}

impl Default for NoiseRule {
    /// 1 % of the smaller area, 1 ha, 50 m.
    fn default() -> Self {
        Self { min_area_share: 0.01, min_area_m2: 10_000.0, min_length_m: 50.0 }
    }
}

/// Below this area (m²) or length (m) a feature is as good as a point.
const UNMEASURED: f64 = 1.0;

/// What a feature is attached to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attached {
    /// Payloads, ascending, each once.
    pub payloads: Vec<u32>,
    /// The overlaps taken for noise, largest first (areas before lengths).
    pub discarded: Vec<Share>,
}

/// The parts of a geometry by dimension.
#[derive(Default)]
struct Parts<'a> {
    points: Vec<Coord<f64>>,
    lines: Vec<std::borrow::Cow<'a, LineString<f64>>>,
    polygons: Vec<std::borrow::Cow<'a, Polygon<f64>>>,
}

impl<'a> Parts<'a> {
    fn add(&mut self, geometry: &'a Geometry<f64>) {
        use std::borrow::Cow::{Borrowed, Owned};
        match geometry {
            Geometry::Point(p) => self.points.push(p.0),
            Geometry::MultiPoint(m) => self.points.extend(m.0.iter().map(|p| p.0)),
            Geometry::Line(l) => self.lines.push(Owned(LineString(vec![l.start, l.end]))),
            Geometry::LineString(l) => self.lines.push(Borrowed(l)),
            Geometry::MultiLineString(m) => self.lines.extend(m.0.iter().map(Borrowed)),
            Geometry::Polygon(p) => self.polygons.push(Borrowed(p)),
            Geometry::MultiPolygon(m) => self.polygons.extend(m.0.iter().map(Borrowed)),
            Geometry::Rect(r) => self.polygons.push(Owned(r.to_polygon())),
            Geometry::Triangle(t) => self.polygons.push(Owned(t.to_polygon())),
            Geometry::GeometryCollection(c) => c.0.iter().for_each(|g| self.add(g)),
        }
    }
}

/// A measure of one dimension by position in the index.
type Measures = BTreeMap<u32, f64>;

/// The polygons of a level, found by place. Polygons are prepared when they are first asked
/// about; the index is `Sync` and meant to be shared.
#[derive(Debug)]
pub struct BorderIndex {
    polygons: Vec<(u32, PreparedPolygon)>,
    tree: RTree<GeomWithData<Rectangle<[f64; 2]>, u32>>,
}

impl BorderIndex {
    /// Builds the index from payloads and valid polygons. Geometries without area, or with a
    /// coordinate that is not a finite number, are left out; several polygons may bear one payload.
    pub fn new(borders: impl IntoIterator<Item = (u32, Geometry<f64>)>) -> Self {
        let mut polygons = Vec::new();
        for (payload, geometry) in borders {
            let shape = match geometry {
                Geometry::Polygon(p) => MultiPolygon(vec![p]),
                Geometry::MultiPolygon(m) => m,
                other => {
                    let mut parts = Parts::default();
                    parts.add(&other);
                    MultiPolygon(parts.polygons.into_iter().map(|p| p.into_owned()).collect())
                }
            };
            let ring = |r: &LineString<f64>| r.0.iter().all(|c| c.x.is_finite() && c.y.is_finite());
            let sound = |p: &Polygon<f64>| ring(p.exterior()) && p.interiors().iter().all(ring);
            let empty = shape.0.iter().all(|p| p.exterior().0.is_empty());
            if !empty && shape.0.iter().all(sound) {
                polygons.push((payload, PreparedPolygon::new(shape)));
            }
        }
        // Far-flung parts are entered one by one: their common box would meet everything.
        let mut boxes = Vec::new();
        for (i, (_, prepared)) in polygons.iter().enumerate() {
            for part in &prepared.shape().0 {
                let [w, s, e, n] = bounds(&part.exterior().0);
                // An empty part has an inverted box.
                if w <= e {
                    boxes
                        .push(GeomWithData::new(Rectangle::from_corners([w, s], [e, n]), i as u32));
                }
            }
        }
        Self { polygons, tree: RTree::bulk_load(boxes) }
    }

    /// Number of polygons.
    pub fn len(&self) -> usize {
        self.polygons.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.polygons.is_empty()
    }

    /// The payload of the polygon that holds a point; of several (a point on a border), the
    /// lowest.
    pub fn locate_point(&self, lon: f64, lat: f64) -> Option<u32> {
        if !(lon.is_finite() && lat.is_finite()) {
            return None;
        }
        let at = Coord { x: lon, y: lat };
        let mut found: Option<u32> = None;
        for entry in self.tree.locate_all_at_point([lon, lat]) {
            let Some((payload, polygon)) = self.polygons.get(entry.data as usize) else { continue };
            if found.is_none_or(|f| *payload < f) && polygon.contains_point(at) {
                found = Some(*payload);
            }
        }
        found
    }

    /// The payloads of all polygons that hold a point, ascending, each once.
    pub fn locate_all(&self, lon: f64, lat: f64) -> Vec<u32> {
        if !(lon.is_finite() && lat.is_finite()) {
            return Vec::new();
        }
        let at = Coord { x: lon, y: lat };
        let entries = self.tree.locate_all_at_point([lon, lat]);
        let polygons = entries.filter_map(|entry| self.polygons.get(entry.data as usize));
        let holds = polygons.filter(|(_, polygon)| polygon.contains_point(at));
        let mut found: Vec<u32> = holds.map(|(payload, _)| *payload).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Positions of the polygons one of whose parts has a box that meets this one, each once.
    fn near(&self, [w, s, e, n]: Bounds) -> Vec<u32> {
        if !(w <= e && s <= n) {
            return Vec::new();
        }
        let envelope = AABB::from_corners([w, s], [e, n]);
        let mut near: Vec<u32> =
            self.tree.locate_in_envelope_intersecting(envelope).map(|entry| entry.data).collect();
        near.sort_unstable();
        near.dedup();
        near
    }

    /// Every overlap of a feature, ordered by payload; a mixed collection may give a polygon once
    /// by dimension. Shares of less than a millionth (or 1 m²) are what rounding leaves where
    /// borders run together, and are not given.
    pub fn overlaps(&self, geometry: &Geometry<f64>) -> Vec<Share> {
        let mut parts = Parts::default();
        parts.add(geometry);
        let areas = by_payload(&self.polygons, self.areas(&parts));
        let lengths = by_payload(&self.polygons, self.lengths(&parts));
        let share = |make: fn(f64) -> Overlap| {
            move |(payload, size): (u32, f64)| Share { payload, overlap: make(size) }
        };
        let mut all: Vec<Share> = self
            .hits(&parts)
            .into_iter()
            .map(|payload| Share { payload, overlap: Overlap::Hit })
            .chain(lengths.into_iter().map(share(Overlap::LengthM)))
            .chain(areas.into_iter().map(share(Overlap::AreaM2)))
            .collect();
        all.sort_by_key(|s| s.payload);
        all
    }

    /// Attaches a feature by location: points to the polygon that holds them (the lowest payload
    /// on a border), lines and polygons to those they overlap by more than noise, and in any
    /// case to the one they overlap most (the lowest payload of equals). Touching is no overlap. The
    /// dimensions of a mixed collection are judged apart.
    pub fn attach(&self, geometry: &Geometry<f64>, rule: &NoiseRule) -> Attached {
        let mut parts = Parts::default();
        parts.add(geometry);
        let mut payloads = self.hits(&parts);
        let mut discarded = Vec::new();
        let total: f64 = parts.polygons.iter().map(|p| area::polygon_m2(p)).sum();
        let sizes = payload_areas(&self.polygons, &self.areas(&parts));
        let noise = |size: &Sized| {
            size.overlap < rule.min_area_m2
                || size.overlap < rule.min_area_share * total.min(size.polygon)
        };
        judge(&sizes, &noise, Overlap::AreaM2, &mut payloads, &mut discarded);
        // What is too small to be measured is where it begins. Anything larger that only touches a
        // polygon is not on it.
        if sizes.is_empty() && total < UNMEASURED {
            payloads
                .extend(self.hits_of(parts.polygons.iter().filter_map(|p| first(p.exterior()))));
        }
        let lengths = by_payload(&self.polygons, self.lengths(&parts));
        let sizes: Vec<Sized> = lengths
            .into_iter()
            .map(|(payload, overlap)| Sized { payload, overlap, polygon: f64::INFINITY })
            .collect();
        let noise = |size: &Sized| size.overlap < rule.min_length_m;
        judge(&sizes, &noise, Overlap::LengthM, &mut payloads, &mut discarded);
        let segments = parts.lines.iter().flat_map(|l| l.0.windows(2));
        let total: f64 = segments.map(|w| area::segment_m(w[0], w[1])).sum();
        if sizes.is_empty() && total < UNMEASURED {
            payloads.extend(self.hits_of(parts.lines.iter().filter_map(|l| first(l))));
        }
        payloads.sort_unstable();
        payloads.dedup();
        discarded.retain(|s| payloads.binary_search(&s.payload).is_err());
        Attached { payloads, discarded }
    }

    fn hits(&self, parts: &Parts<'_>) -> Vec<u32> {
        self.hits_of(parts.points.iter().copied())
    }

    fn hits_of(&self, points: impl Iterator<Item = Coord<f64>>) -> Vec<u32> {
        let mut hits: Vec<u32> = points.filter_map(|c| self.locate_point(c.x, c.y)).collect();
        hits.sort_unstable();
        hits.dedup();
        hits
    }

    fn areas(&self, parts: &Parts<'_>) -> Measures {
        let mut areas = Measures::new();
        for part in &parts.polygons {
            let size = area::polygon_m2(part);
            for i in self.near(bounds(&part.exterior().0)) {
                let Some((_, polygon)) = self.polygons.get(i as usize) else { continue };
                let shared = polygon.area_shared(part);
                if shared > (1e-6 * size.min(polygon.area_m2())).min(1.0) {
                    *areas.entry(i).or_default() += shared;
                }
            }
        }
        areas
    }

    fn lengths(&self, parts: &Parts<'_>) -> Measures {
        let mut lengths = Measures::new();
        for line in &parts.lines {
            for i in self.near(bounds(&line.0)) {
                let Some((_, polygon)) = self.polygons.get(i as usize) else { continue };
                let inside = polygon.length_inside(line);
                if inside > 0.0 {
                    *lengths.entry(i).or_default() += inside;
                }
            }
        }
        lengths
    }
}

fn first(line: &LineString<f64>) -> Option<Coord<f64>> {
    line.0.first().copied()
}

/// Sums by payload, ascending.
fn by_payload(polygons: &[(u32, PreparedPolygon)], measures: Measures) -> BTreeMap<u32, f64> {
    let mut sums = BTreeMap::new();
    for (i, size) in measures {
        if let Some((payload, _)) = polygons.get(i as usize) {
            *sums.entry(*payload).or_default() += size;
        }
    }
    sums
}

/// An overlap, with the size of the polygon overlapped.
struct Sized {
    payload: u32,
    overlap: f64,
    polygon: f64,
}

/// Overlaps by payload, ascending, with the area of the payload's polygons that are met.
fn payload_areas(polygons: &[(u32, PreparedPolygon)], measures: &Measures) -> Vec<Sized> {
    let mut sums: BTreeMap<u32, Sized> = BTreeMap::new();
    for (i, overlap) in measures {
        let Some((payload, polygon)) = polygons.get(*i as usize) else { continue };
        let none = Sized { payload: *payload, overlap: 0.0, polygon: 0.0 };
        let sum = sums.entry(*payload).or_insert(none);
        sum.overlap += overlap;
        sum.polygon += polygon.area_m2();
    }
    sums.into_values().collect()
}

/// Sorts overlaps into attachments and noise.
fn judge(
    sizes: &[Sized],
    noise: &dyn Fn(&Sized) -> bool,
    overlap: fn(f64) -> Overlap,
    payloads: &mut Vec<u32>,
    discarded: &mut Vec<Share>,
) {
    let mut order: Vec<&Sized> = sizes.iter().collect();
    // Stable: equals stay in the order of their payloads.
    order.sort_by(|a, b| b.overlap.total_cmp(&a.overlap));
    for (rank, size) in order.into_iter().enumerate() {
        if rank == 0 || !noise(size) {
            payloads.push(size.payload);
        } else {
            discarded.push(Share { payload: size.payload, overlap: overlap(size.overlap) });
        }
    }
}
