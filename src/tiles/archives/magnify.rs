//! Tiles above the deepest zoom of an archive: what its deepest tile shows there, drawn larger, as
//! tiles of layers are.

use super::super::{BUFFER, render};
use crate::{
    error::{Error, Result},
    formats::mvt::{
        DecodedFeature, DecodedLayer, DecodedValue, EXTENT, GeometryType, push_tag, push_varint,
        read, zigzag,
    },
    model::{TileId, ValueRef},
    store::{TileFeature, TileFeatures},
    text,
};

/// Deepest zoom of an archive whose tiles are magnified: beyond, the units of its grid do not fit
/// into 32 bits.
const DEEPEST: u8 = 18;
const MOVE_TO: u32 = 1;
const LINE_TO: u32 = 2;
const CLOSE_PATH: u8 = 15;

/// Draws tile `to` from the bytes of its ancestor `from`; `None` when nothing is to be seen in it.
///
/// # Errors
/// [`Error::Refused`] when those bytes are no tile; [`Error::NotFound`] beyond what can be drawn.
pub(super) fn magnify(plain: &[u8], from: TileId, to: TileId) -> Result<Option<Vec<u8>>> {
    if from.z > DEEPEST {
        let z = from.z;
        return Err(Error::NotFound(text!(
            "Cette archive de tuiles s'arrête au zoom {z}.",
            "This archive of tiles ends at zoom {z}."
        )));
    }
    let mut drawn = Vec::new();
    for layer in read(plain)? {
        let features = on_grid(&layer, from);
        drawn.extend(render(&features, to, &layer.name, BUFFER)?.into_iter().flatten());
    }
    Ok((!drawn.is_empty()).then_some(drawn))
}

/// A layer of a tile as the features of an overview, on the grid of the tile's zoom.
fn on_grid(layer: &DecodedLayer, tile: TileId) -> TileFeatures {
    let (mut bytes, mut features) = (Vec::new(), Vec::with_capacity(layer.features.len()));
    let grid = Grid { tile, extent: i64::from(layer.extent.max(1)) };
    for feature in &layer.features {
        let start = bytes.len();
        grid.encode(feature, &mut bytes);
        let geometry = start..bytes.len();
        for (key, value) in &feature.tags {
            let value = layer.values.get(*value as usize).map_or(ValueRef::Null, plain_value);
            push_tag(*key, value, &mut bytes);
        }
        let tags = geometry.end..bytes.len();
        features.push(TileFeature { id: feature.id.unwrap_or(0), geometry, tags });
    }
    TileFeatures { band: tile.z, keys: layer.keys.clone().into(), features, bytes }
}

fn plain_value(value: &DecodedValue) -> ValueRef<'_> {
    match value {
        DecodedValue::Text(text) => ValueRef::Text(text),
        DecodedValue::Double(number) => ValueRef::Float(*number),
        DecodedValue::Int(number) => ValueRef::Int(*number),
        DecodedValue::Uint(number) => match i64::try_from(*number) {
            Ok(number) => ValueRef::Int(number),
            Err(_) => ValueRef::Float(*number as f64),
        },
        DecodedValue::Bool(yes) => ValueRef::Bool(*yes),
    }
}

/// From a tile's units to those of all tiles of its zoom.
struct Grid {
    tile: TileId,
    extent: i64,
}

impl Grid {
    fn place(&self, [x, y]: [i32; 2]) -> [i64; 2] {
        let unit = i64::from(EXTENT);
        let side = unit << self.tile.z;
        let scale = |v: i32| (i64::from(v) * unit + self.extent / 2).div_euclid(self.extent);
        // The world's edge is the grid's: what a buffer holds beyond is drawn on it.
        let of = |tile: u32, v: i32| (i64::from(tile) * unit + scale(v)).clamp(0, side);
        [of(self.tile.x, x), of(self.tile.y, y)]
    }

    /// Writes a geometry as overviews hold them (`geometry::overview::Encoded`).
    fn encode(&self, feature: &DecodedFeature, out: &mut Vec<u8>) {
        let paths: Vec<Vec<[i64; 2]>> =
            feature.paths.iter().map(|p| p.iter().map(|v| self.place(*v)).collect()).collect();
        let all = || paths.iter().flatten();
        let least = |axis: usize| all().map(|v| v[axis]).min().unwrap_or(0);
        let size = |axis: usize| all().map(|v| v[axis]).max().unwrap_or(0) - least(axis);
        let corner = [least(0), least(1)];
        out.push(match feature.kind {
            GeometryType::Point => 1,
            GeometryType::Line => 2,
            GeometryType::Polygon => 3,
        });
        for value in [corner[0], corner[1], size(0), size(1)] {
            // All are on the grid, within 31 bits.
            push_varint(out, value as u32);
        }
        let mut cursor = corner;
        let mut go = |to: [i64; 2], out: &mut Vec<u8>| {
            for axis in [0, 1] {
                push_varint(out, zigzag((to[axis] - cursor[axis]) as i32));
            }
            cursor = to;
        };
        // No path has more vertices than its tile has bytes.
        let command = |id: u32, count: usize, out: &mut Vec<u8>| {
            push_varint(out, id | (count as u32) << 3);
        };
        for path in &paths {
            if feature.kind == GeometryType::Point {
                command(MOVE_TO, path.len(), out);
                path.iter().for_each(|v| go(*v, out));
                continue;
            }
            let Some((first, rest)) = path.split_first() else { continue };
            command(MOVE_TO, 1, out);
            go(*first, out);
            command(LINE_TO, rest.len(), out);
            rest.iter().for_each(|v| go(*v, out));
            if feature.kind == GeometryType::Polygon {
                out.push(CLOSE_PATH);
            }
        }
    }
}
