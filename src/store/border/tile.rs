//! A tile's features, cut at the border as it is generalised for that tile.
//!
//! The border is the outline of its polygons as the tile's own band shows them: of communes
//! generalised with their neighbours, shared borders once. Two territories next to each other
//! get the same line, and what is cut at it on both sides meets there.

use super::{
    outline::{Outline, Source},
    read::Border,
    shares::Shares,
};
use crate::{
    error::{Error, Result},
    formats::mvt::push_tag,
    geometry::{
        clip::{Clipper, Cut, Space},
        dissolve,
        overview::{Corrupt, Encoded, Kind, encode},
    },
    model::{Clause, Selection, TileId, ValueRef},
    store::{Store, TileFeature, TileFeatures},
};
use geo_types::{
    Coord, Geometry, LineString, MultiLineString, MultiPoint, MultiPolygon, Point, Polygon,
};
use std::sync::Arc;

/// The border around a tile, on the grid of a band.
#[derive(Debug)]
pub(super) struct TileBorder {
    /// Zoom of the band.
    band: u8,
    /// By perimeter; a feature is cut by one after the other.
    shapes: Vec<MultiPolygon<f64>>,
}

impl TileBorder {
    /// Bytes it takes, about.
    pub(super) fn weight(&self) -> usize {
        let vertices = |m: &MultiPolygon<f64>| -> usize {
            let rings = m.0.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()));
            rings.map(|r| r.0.len()).sum()
        };
        self.shapes.iter().map(|m| 16 * vertices(m)).sum::<usize>() + 256
    }
}

/// The border of an outline around a tile.
pub(super) async fn border(
    store: &Arc<dyn Store>,
    tile: TileId,
    buffer: u16,
    outline: &Outline,
    border: Arc<Border>,
) -> Result<TileBorder> {
    let mut members = border.members.iter();
    let mut found: Vec<Vec<TileFeatures>> = Vec::new();
    for sources in &outline.perimeters {
        let mut list = Vec::new();
        for source in sources {
            let wanted =
                members.next().ok_or_else(|| Error::broken("a border of other sources"))?;
            let selection = around(source);
            let tile = store.tile(&source.at, tile, buffer, selection.as_deref()).await?;
            if let Some(mut tile) = tile {
                tile.features.retain(|f| wanted.contains(&f.id));
                list.push(tile);
            }
        }
        found.push(list);
    }
    super::blocking(move || {
        let band = found.iter().flatten().map(|f| f.band).max().unwrap_or_default();
        let shapes: Result<Vec<_>> = found.iter().map(|list| union(list, band)).collect();
        Ok(TileBorder { band, shapes: shapes? })
    })
    .await?
}

/// What of a source to ask for: the features that may be the border's.
fn around(source: &Source) -> Option<Arc<Selection>> {
    source.selection().or_else(|| {
        // A level's own polygons are attached to themselves; a layer that is not so attached
        // would be asked in vain.
        let other = source.territories.iter().all(|t| !t.level.is_communal());
        let clause = |t: &crate::model::TerritoryCode| Clause {
            others: vec![t.clone()],
            ..Clause::default()
        };
        let names: Vec<String> = source.territories.iter().map(ToString::to_string).collect();
        other.then(|| {
            Arc::new(Selection {
                key: names.join("+"),
                any: source.territories.iter().map(clause).collect(),
            })
        })
    })
}

/// The union of what a tile shows of the border's polygons.
fn union(list: &[TileFeatures], band: u8) -> Result<MultiPolygon<f64>> {
    let mut polygons = Vec::new();
    for features in list {
        let scale = f64::from(band - features.band.min(band)).exp2();
        for feature in &features.features {
            let geometry = decode(features, feature, scale)?;
            polygons.push(geometry);
        }
    }
    Ok(dissolve::roughly(&polygons))
}

fn bytes<'a>(features: &'a TileFeatures, range: &std::ops::Range<usize>) -> Result<&'a [u8]> {
    features
        .bytes
        .get(range.clone())
        .ok_or_else(|| Error::broken("a range outside a tile's features"))
}

fn decode(features: &TileFeatures, feature: &TileFeature, scale: f64) -> Result<Geometry<f64>> {
    let corrupt = |e: Corrupt| Error::fault("a tile's geometry", e);
    let encoded = Encoded::read(bytes(features, &feature.geometry)?).map_err(corrupt)?;
    let (mut paths, mut stored) = (encoded.paths(), Vec::new());
    let mut all: Vec<Vec<Coord<f64>>> = Vec::new();
    while paths.next_into(&mut stored).map_err(corrupt)? {
        let place =
            |[x, y]: &[i32; 2]| Coord { x: f64::from(*x) * scale, y: f64::from(*y) * scale };
        all.push(stored.iter().map(place).collect());
    }
    Ok(match encoded.kind {
        Kind::Points => MultiPoint(all.into_iter().flatten().map(Point).collect()).into(),
        Kind::Lines => MultiLineString(all.into_iter().map(LineString).collect()).into(),
        Kind::Polygons => polygons(all).into(),
    })
}

/// Rings as an overview winds them: an exterior has a positive area, its holes follow.
fn polygons(rings: Vec<Vec<Coord<f64>>>) -> MultiPolygon<f64> {
    let mut polygons: Vec<(LineString<f64>, Vec<LineString<f64>>)> = Vec::new();
    for mut ring in rings {
        let area: f64 = (0..ring.len())
            .map(|i| (ring[i], ring[(i + 1) % ring.len()]))
            .map(|(a, b)| a.x * b.y - a.y * b.x)
            .sum();
        ring.extend(ring.first().copied());
        match polygons.last_mut() {
            Some(last) if area < 0.0 => last.1.push(LineString(ring)),
            _ => polygons.push((LineString(ring), Vec::new())),
        }
    }
    MultiPolygon(polygons.into_iter().map(|(shell, holes)| Polygon::new(shell, holes)).collect())
}

/// The features of a tile as the border leaves them, `field` saying which share that is.
pub(super) fn cut(
    features: TileFeatures,
    shares: &Shares,
    border: Option<&TileBorder>,
    field: &str,
) -> Result<TileFeatures> {
    let clippers: Option<Vec<Clipper>> = border.map(|b| {
        let scale = (f64::from(features.band) - f64::from(b.band)).exp2();
        b.shapes.iter().map(|shape| Clipper::new(scaled(shape, scale), Space::Plane)).collect()
    });
    let mut out = TileFeatures {
        band: features.band,
        keys: features.keys.iter().cloned().chain([field.to_owned()]).collect(),
        features: Vec::with_capacity(features.features.len()),
        bytes: Vec::with_capacity(features.bytes.len() + 16 * features.features.len()),
    };
    let key = u32::try_from(features.keys.len()).unwrap_or(u32::MAX);
    for feature in &features.features {
        let Some(share) = shares.of_mvt_id(feature.id) else { continue };
        let start = out.bytes.len();
        match &clippers {
            Some(clippers) if shares.crosses(feature.id) => {
                let geometry = decode(&features, feature, 1.0)?;
                if let Some(left) = clip(geometry, clippers) {
                    write(&left, &mut out.bytes);
                }
            }
            _ => out.bytes.extend_from_slice(bytes(&features, &feature.geometry)?),
        }
        let end = out.bytes.len();
        if start == end {
            continue;
        }
        out.bytes.extend_from_slice(bytes(&features, &feature.tags)?);
        push_tag(key, ValueRef::Float(share), &mut out.bytes);
        let tags = end..out.bytes.len();
        out.features.push(TileFeature { id: feature.id, geometry: start..end, tags });
    }
    Ok(out)
}

fn scaled(shape: &MultiPolygon<f64>, scale: f64) -> MultiPolygon<f64> {
    use geo::MapCoords;
    if scale == 1.0 {
        return shape.clone();
    }
    shape.map_coords(|c| Coord { x: c.x * scale, y: c.y * scale })
}

/// What is left of a generalised geometry. It need not be valid, as generalised ones are not all.
fn clip(mut geometry: Geometry<f64>, clippers: &[Clipper]) -> Option<Geometry<f64>> {
    for clipper in clippers {
        match clipper.cut_roughly(&geometry) {
            Cut::Inside => {}
            Cut::Outside => return None,
            Cut::Part(part) => geometry = part.geometry,
        }
    }
    Some(geometry)
}

/// Rounds a cut geometry to the grid again and encodes it; writes nothing when nothing is left.
#[expect(clippy::cast_possible_truncation, reason = "cut out of a geometry on the grid")]
fn write(geometry: &Geometry<f64>, out: &mut Vec<u8>) {
    let round = |c: &Coord<f64>| [c.x.round() as i32, c.y.round() as i32];
    let path = |line: &[Coord<f64>]| {
        let mut path: Vec<[i32; 2]> = line.iter().map(round).collect();
        path.dedup();
        path
    };
    let mut paths: Vec<Vec<[i32; 2]>> = Vec::new();
    let mut lines = |lines: &[LineString<f64>]| {
        paths.extend(lines.iter().map(|l| path(&l.0)).filter(|p| p.len() > 1));
    };
    let kind = match geometry {
        Geometry::LineString(l) => {
            lines(std::slice::from_ref(l));
            Kind::Lines
        }
        Geometry::MultiLineString(m) => {
            lines(&m.0);
            Kind::Lines
        }
        Geometry::Point(p) => {
            paths.push(vec![round(&p.0)]);
            Kind::Points
        }
        Geometry::MultiPoint(m) if !m.0.is_empty() => {
            paths.push(m.0.iter().map(|p| round(&p.0)).collect());
            Kind::Points
        }
        Geometry::Polygon(p) => {
            rings(p, &mut paths);
            Kind::Polygons
        }
        Geometry::MultiPolygon(m) => {
            m.0.iter().for_each(|p| rings(p, &mut paths));
            Kind::Polygons
        }
        _ => return,
    };
    encode(kind, paths.iter().map(Vec::as_slice), out);
}

/// Adds the rings of a polygon that have an area on the grid, wound as overviews wind them.
fn rings(polygon: &Polygon<f64>, paths: &mut Vec<Vec<[i32; 2]>>) {
    for (i, ring) in std::iter::once(polygon.exterior()).chain(polygon.interiors()).enumerate() {
        let mut path: Vec<[i32; 2]> = Vec::with_capacity(ring.0.len());
        #[expect(clippy::cast_possible_truncation, reason = "cut out of a geometry on the grid")]
        for c in &ring.0 {
            let v = [c.x.round() as i32, c.y.round() as i32];
            match path.as_slice() {
                [.., last] if *last == v => {}
                // There and back: no area.
                [.., before, _] if *before == v => _ = path.pop(),
                _ => path.push(v),
            }
        }
        if path.len() > 1 && path.first() == path.last() {
            path.pop();
        }
        let area: i64 = (0..path.len())
            .map(|i| (path[i], path[(i + 1) % path.len()]))
            .map(|(a, b)| i64::from(a[0]) * i64::from(b[1]) - i64::from(a[1]) * i64::from(b[0]))
            .sum();
        if path.len() < 3 || area == 0 {
            if i == 0 {
                return;
            }
            continue;
        }
        if (area > 0) != (i == 0) {
            path.reverse();
        }
        paths.push(path);
    }
}
