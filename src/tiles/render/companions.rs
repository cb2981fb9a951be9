//! What tiles of polygons carry beside them where the layer asks for it: points to put labels on,
//! and borders, each once.
//!
//! Both come from the very geometry that the tile shows, whole before it is cut: a polygon's label
//! is at the same place in whichever tile it falls, and a border between two polygons is the line
//! that both have.

use super::{Frame, Pen, Trouble, Vertex, bytes, stored_area};
use crate::{
    formats::mvt::{LayerWriter, decode_tags, feature_id, push_tag},
    geometry::overview::{Encoded, Kind},
    model::{Drawing, TileId, ValueRef},
    store::{TileFeature, TileFeatures},
};
use rustc_hash::FxHashMap;

/// Where a polygon is looked through for its widest place, in shares of its height.
const LOOKS: [f64; 7] = [0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8];

/// The layer of label points: one for each polygon whose label falls into the tile, with its id and
/// properties. `None` when none does.
pub(super) fn labels(
    features: &TileFeatures,
    tile: TileId,
    name: &str,
    shown: impl Fn(&str) -> bool,
) -> Result<Option<Vec<u8>>, Trouble> {
    let mut layer = LayerWriter::new(name, &features.keys).showing(shown);
    let mut pen = Pen::new(Frame::new(features.band, tile, 0));
    let side = 0..super::EXTENT;
    for feature in &features.features {
        let geometry = Encoded::read(bytes(features, &feature.geometry)?)?;
        if geometry.kind != Kind::Polygons {
            continue;
        }
        let Some(at) = label(&geometry)? else { continue };
        let at = pen.frame.place(at);
        if at.iter().all(|c| side.contains(c)) {
            pen.draw_point(at);
            layer.feature(feature.id, 1, &pen.commands, bytes(features, &feature.tags)?)?;
        }
    }
    Ok(layer.finish())
}

/// A place well inside the largest part of a polygon.
fn label(geometry: &Encoded<'_>) -> Result<Option<[i32; 2]>, Trouble> {
    let (mut paths, mut ring) = (geometry.paths(), Vec::new());
    // Exterior, then its holes.
    let (mut largest, mut part): ((i64, Vec<Vec<[i32; 2]>>), _) = ((0, Vec::new()), Vec::new());
    let mut area = 0;
    loop {
        let more = paths.next_into(&mut ring)?;
        let turned = if more { stored_area(&ring) } else { 0 };
        if !more || turned > 0 {
            if area > largest.0 {
                largest = (area, std::mem::take(&mut part));
            }
            part.clear();
            area = turned;
        }
        if !more {
            break;
        }
        part.push(std::mem::take(&mut ring));
    }
    Ok(widest(&largest.1))
}

/// The middle of the widest place of a polygon's rings, of those looked at; high up and low down
/// count for less.
#[expect(clippy::cast_possible_truncation, reason = "within the rings' own box")]
fn widest(rings: &[Vec<[i32; 2]>]) -> Option<[i32; 2]> {
    let rows = rings.first()?.iter().map(|v| v[1]);
    let (low, high) = (f64::from(rows.clone().min()?), f64::from(rows.max()?));
    let (mut best, mut at) = (0.0, None);
    let mut crossings = Vec::new();
    for share in LOOKS {
        // Between two rows, so that no vertex lies on it.
        let y = (low + share * (high - low)).floor() + 0.5;
        crossings.clear();
        for ring in rings {
            let next = ring.iter().cycle().skip(1);
            crossings.extend(ring.iter().zip(next).filter_map(|(a, b)| crossing(*a, *b, y)));
        }
        crossings.sort_unstable_by(f64::total_cmp);
        for inside in crossings.chunks_exact(2) {
            let width = (inside[1] - inside[0]) * (1.0 - (share - 0.5).abs());
            if width > best {
                (best, at) = (width, Some([f64::midpoint(inside[0], inside[1]) as i32, y as i32]));
            }
        }
    }
    at
}

/// Where an edge crosses a row.
fn crossing(a: [i32; 2], b: [i32; 2], y: f64) -> Option<f64> {
    let [(ax, ay), (bx, by)] = [a, b].map(|[x, y]| (f64::from(x), f64::from(y)));
    ((ay < y) != (by < y)).then(|| ax + (y - ay) / (by - ay) * (bx - ax))
}

/// An edge, its ends in order.
type Edge = (Vertex, Vertex);

/// The polygons on the two sides of an edge, by their place among the tile's: the first that has
/// it, and the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Sides {
    first: u32,
    other: Option<u32>,
}

/// The layer of borders: for each two neighbours the line between them, and for each polygon what
/// it shares with none, named by the keys of their sides (`key` is the name of that property).
/// `None` when there is none in the tile.
pub(super) fn borders(
    features: &TileFeatures,
    tile: TileId,
    buffer: u16,
    name: &str,
    key: &str,
) -> Result<Option<Vec<u8>>, Trouble> {
    let mut pen = Pen::new(Frame::new(features.band, tile, buffer));
    let rings = rings(features, &pen)?;
    let mut edges: FxHashMap<Edge, Sides> = FxHashMap::default();
    for (feature, ring) in &rings {
        for edge in around(ring) {
            let new = Sides { first: *feature, other: None };
            let sides = edges.entry(ordered(edge)).or_insert(new);
            if sides.first != *feature {
                sides.other.get_or_insert(*feature);
            }
        }
    }
    let mut lines = Lines::default();
    for (feature, ring) in &rings {
        lines.walk(*feature, ring, &edges);
    }
    let keys = Drawing::SIDES.map(str::to_owned);
    let place = features.keys.iter().position(|k| k == key);
    let value = |feature: u32| -> Result<String, Trouble> {
        let feature = features.features.get(feature as usize).ok_or("a side that is not there")?;
        key_of(features, feature, place)
    };
    let mut tagged = Vec::with_capacity(lines.order.len());
    for sides in &lines.order {
        let right = value(sides.first)?;
        let left = sides.other.map(value).transpose()?;
        let id = feature_id(&format!("{right}\u{0}{}", left.as_deref().unwrap_or_default()));
        let mut tags = Vec::new();
        push_tag(0, ValueRef::Text(&right), &mut tags);
        push_tag(1, left.as_deref().map_or(ValueRef::Null, ValueRef::Text), &mut tags);
        tagged.push((id, tags, lines.of.get(sides).map(Vec::as_slice).unwrap_or_default()));
    }
    let mut layer = LayerWriter::new(name, &keys);
    for (id, tags, runs) in &tagged {
        if pen.draw_lines(runs) {
            layer.feature(*id, 2, &pen.commands, tags)?;
        }
    }
    Ok(layer.finish())
}

/// The value of a feature's key as text; its number where it has none.
fn key_of(
    features: &TileFeatures,
    feature: &TileFeature,
    place: Option<usize>,
) -> Result<String, Trouble> {
    let values = decode_tags(bytes(features, &feature.tags)?, features.keys.len())?;
    Ok(match place.and_then(|place| values.get(place)) {
        Some(ValueRef::Text(text) | ValueRef::Json(text)) => (*text).to_owned(),
        Some(ValueRef::Int(number)) => number.to_string(),
        Some(ValueRef::Float(number)) => number.to_string(),
        Some(ValueRef::Bool(yes)) => yes.to_string(),
        Some(ValueRef::Null) | None => feature.id.to_string(),
    })
}

/// The rings of all polygons in the tile's units, with their feature's place among the tile's.
fn rings(features: &TileFeatures, pen: &Pen) -> Result<Vec<(u32, Vec<Vertex>)>, Trouble> {
    let (mut rings, mut stored) = (Vec::new(), Vec::new());
    for (at, feature) in (0u32..).zip(&features.features) {
        let geometry = Encoded::read(bytes(features, &feature.geometry)?)?;
        if geometry.kind != Kind::Polygons {
            continue;
        }
        let mut paths = geometry.paths();
        while paths.next_into(&mut stored)? {
            let mut ring: Vec<Vertex> = stored.iter().map(|v| pen.frame.place(*v)).collect();
            ring.dedup();
            while ring.len() > 1 && ring.first() == ring.last() {
                ring.pop();
            }
            if ring.len() > 1 {
                rings.push((at, ring));
            }
        }
    }
    Ok(rings)
}

/// The edges of a ring.
fn around(ring: &[Vertex]) -> impl Iterator<Item = Edge> + '_ {
    ring.iter().copied().zip(ring.iter().copied().cycle().skip(1))
}

fn ordered((a, b): Edge) -> Edge {
    (a.min(b), a.max(b))
}

/// Borders as they are put together, in the order they are met.
#[derive(Default)]
struct Lines {
    of: FxHashMap<Sides, Vec<Vec<Vertex>>>,
    order: Vec<Sides>,
}

impl Lines {
    /// Takes the runs of a ring's edges that this feature is the first to have.
    fn walk(&mut self, feature: u32, ring: &[Vertex], edges: &FxHashMap<Edge, Sides>) {
        let sides: Vec<Option<Sides>> = around(ring)
            .map(|edge| edges.get(&ordered(edge)).copied().filter(|s| s.first == feature))
            .collect();
        // From where the sides change, so that no run is cut by the seam.
        let n = ring.len();
        let start = (0..n).find(|i| sides[*i] != sides[(*i + n - 1) % n]).unwrap_or(0);
        let mut run: Option<(Sides, Vec<Vertex>)> = None;
        for i in (0..n).map(|step| (start + step) % n) {
            let end = ring[(i + 1) % n];
            match (&mut run, sides[i]) {
                (Some((same, path)), Some(of)) if *same == of => path.push(end),
                (_, of) => {
                    self.keep(run.take());
                    run = of.map(|of| (of, vec![ring[i], end]));
                }
            }
        }
        self.keep(run);
    }

    fn keep(&mut self, run: Option<(Sides, Vec<Vertex>)>) {
        let Some((sides, path)) = run else { return };
        let order = &mut self.order;
        let runs = self.of.entry(sides).or_insert_with(|| {
            order.push(sides);
            Vec::new()
        });
        runs.push(path);
    }
}
