//! Where the bytes of a band go: which tiles of its zoom show which features, and how much of each.

use super::{Band, Corrupt, EXTENT, Encoded};
use crate::model::{
    Grid, TileId,
    tile_grid::{Projection, latitude},
};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

/// A feature in a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its position in the band.
    pub position: u32,
    /// Bytes of its geometry there, about.
    pub bytes: u32,
}

/// What a path's commands take beside its vertices.
const COMMANDS: u32 = 4;
/// What the way to a path's first vertex takes, at most.
const MOVE: u32 = 4;
/// Features of one task.
const CHUNK: usize = 1024;

/// The features of each tile of a grid at the zoom whose tiles are as wide as the band's own, by
/// the vertices that are in it or within its buffer (in 1/4096 of a tile). A tile that a polygon
/// covers without a vertex is not told of it.
///
/// # Errors
/// When the band's bytes are damaged.
pub fn spread(
    band: &Band,
    grid: Grid,
    buffer: u16,
) -> Result<FxHashMap<TileId, Vec<Seen>>, Corrupt> {
    let Some(z) = band.zoom.checked_sub(grid.ahead()) else { return Ok(FxHashMap::default()) };
    let frame = Frame { grid, z, level: band.zoom, buffer: f64::from(buffer) / f64::from(EXTENT) };
    let count = band.offsets.len().saturating_sub(1);
    let starts: Vec<usize> = (0..count).step_by(CHUNK).collect();
    let parts: Vec<_> = starts
        .into_par_iter()
        .map(|start| {
            let mut part: Vec<(TileId, Seen)> = Vec::new();
            let (mut own, mut path) = (Vec::new(), Vec::new());
            for position in start..count.min(start + CHUNK) {
                frame.feature(band.geometry(position), &mut own, &mut path)?;
                let position = u32::try_from(position).unwrap_or(u32::MAX);
                let seen = |(tile, bytes): (TileId, u32)| (tile, Seen { position, bytes });
                part.extend(own.drain(..).map(seen));
            }
            Ok(part)
        })
        .collect::<Result<_, Corrupt>>()?;
    let mut tiles: FxHashMap<TileId, Vec<Seen>> = FxHashMap::default();
    for (tile, seen) in parts.into_iter().flatten() {
        tiles.entry(tile).or_default().push(seen);
    }
    Ok(tiles)
}

/// A zoom of a grid over a band.
struct Frame {
    grid: Grid,
    z: u8,
    /// The band's zoom.
    level: u8,
    /// In tiles.
    buffer: f64,
}

impl Frame {
    /// Where a vertex lies, in tiles.
    fn place(&self, [x, y]: [i32; 2]) -> [f64; 2] {
        let (column, row) = (f64::from(x) / f64::from(EXTENT), f64::from(y) / f64::from(EXTENT));
        match self.grid.definition().projection {
            Projection::Mercator => [column, row],
            Projection::Degrees => {
                let lat = latitude(row / f64::from(self.level).exp2());
                [column, self.grid.share(0.0, lat)[1] * f64::from(self.grid.rows(self.z))]
            }
        }
    }

    /// The tiles that show a place.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    fn tiles(&self, [x, y]: [f64; 2]) -> [std::ops::RangeInclusive<u32>; 2] {
        let range = |at: f64, side: u32| {
            let tile = |v: f64| v.floor().clamp(0.0, f64::from(side) - 1.0) as u32;
            tile(at - self.buffer)..=tile(at + self.buffer)
        };
        [range(x, self.grid.columns(self.z)), range(y, self.grid.rows(self.z))]
    }

    /// Adds up a feature's bytes by tile.
    fn feature(
        &self,
        bytes: &[u8],
        own: &mut Vec<(TileId, u32)>,
        path: &mut Vec<[i32; 2]>,
    ) -> Result<(), Corrupt> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut paths = Encoded::read(bytes)?.paths();
        while paths.next_into(path)? {
            let mut before: Option<[i32; 2]> = None;
            let first = own.len();
            for v in path.iter() {
                let weight = before.map_or(MOVE, |[x, y]| {
                    length(v[0].wrapping_sub(x)) + length(v[1].wrapping_sub(y))
                });
                before = Some(*v);
                let [columns, rows] = self.tiles(self.place(*v));
                for y in rows {
                    for x in columns.clone() {
                        self.add(TileId { grid: self.grid, z: self.z, x, y }, weight, own, first);
                    }
                }
            }
        }
        own.sort_unstable_by_key(|(tile, _)| *tile);
        own.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = kept.1.saturating_add(later.1);
            }
            same
        });
        Ok(())
    }

    /// Adds to the entry of a tile among those of the path, which are few.
    fn add(&self, tile: TileId, weight: u32, own: &mut Vec<(TileId, u32)>, first: usize) {
        let path = own.get_mut(first..).unwrap_or_default();
        // The latest first: vertices follow each other.
        match path.iter_mut().rev().take(4).find(|(at, _)| *at == tile) {
            Some((_, bytes)) => *bytes = bytes.saturating_add(weight),
            None => own.push((tile, weight + COMMANDS)),
        }
    }
}

/// Bytes of a coordinate's step.
fn length(step: i32) -> u32 {
    let zigzag = (step.cast_unsigned() << 1) ^ (step >> 31).cast_unsigned();
    (32 - (zigzag | 1).leading_zeros()).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::super::{Weighed, tests::communes};
    use super::*;
    use geo_types::{Geometry, polygon};

    #[test]
    fn bytes_are_told_to_the_tiles_that_show_them() {
        let bounds = TileId::mercator(7, 64, 45).bounds();
        let (w, s, e, n) = (bounds.west, bounds.south, bounds.east, bounds.north);
        // A square that fills a tile, so that its corners are in the buffers of the others around.
        let square: Geometry<f64> =
            polygon![(x: w, y: s), (x: e, y: s), (x: e, y: n), (x: w, y: n)].into();
        let weighed = Weighed::new(&[Some(&square)], 10);
        let tiles = spread(&weighed.band(7, 1), Grid::WEB_MERCATOR, 64).unwrap();
        assert_eq!(tiles.len(), 9);
        assert_eq!(tiles[&TileId::mercator(7, 64, 45)].len(), 1);
        let bytes = |x, y| tiles[&TileId::mercator(7, x, y)][0].bytes;
        assert!(bytes(64, 45) > bytes(63, 44) && bytes(63, 44) > COMMANDS);
        let none = spread(&Band::default(), Grid::WEB_MERCATOR, 64).unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn all_bytes_of_a_country_are_told() {
        let Some((geometries, _)) = communes("all_bytes_of_a_country_are_told") else { return };
        let all: Vec<_> = geometries.iter().map(Some).collect();
        let band = Weighed::new(&all, 12).band(8, 64);
        for grid in Grid::all() {
            let told: u64 = spread(&band, grid, 0)
                .unwrap()
                .values()
                .flatten()
                .map(|s| u64::from(s.bytes))
                .sum();
            // Boxes and kinds are no part of tiles; commands count anew in each.
            let written = band.bytes.len() as u64;
            assert!(told * 10 > written * 7 && told * 10 < written * 13, "{told} of {written}");
        }
    }
}
