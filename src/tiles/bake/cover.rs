//! Which tiles may show something of a layer: found from its geometry, once, so that an archive of
//! islands in three oceans draws no sea in between.

use crate::{
    formats::{
        pmtiles,
        wkb::{Broken, Cursor, Header, Kind},
    },
    geometry::overview::{MAX_GRID_ZOOM, project},
    model::TileId,
};
use roaring::RoaringTreemap;
use std::ops::RangeInclusive;

/// A part of so many tiles at most is taken by its box.
const FEW: u64 = 64;
/// How far a generalised border may lie from the true one, in 1/4096 of a tile, generously.
const STRAY: f64 = 256.0;
/// Collections within collections.
const DEEPEST: u8 = 8;
/// Units of the grid along the world's side.
const SIDE: f64 = (4096u64 << MAX_GRID_ZOOM) as f64;

/// Tiles, by their [`pmtiles::number`]: in memory a bit or less where they lie close.
#[derive(Debug, Default)]
pub(super) struct Cover {
    numbers: RoaringTreemap,
    /// Positions of the part being added, in shares of the world's side, ring after ring.
    path: Vec<[f64; 2]>,
    /// Where each ring ends in `path`.
    ends: Vec<usize>,
    /// Where rows of tiles are crossed: row, column.
    crossings: Vec<(u32, f64)>,
}

/// How a layer's tiles are drawn.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    /// The zooms that show it.
    pub(super) zooms: RangeInclusive<u8>,
    /// Its deepest prepared zoom.
    pub(super) finest: u8,
    /// Its buffer in 1/4096 of a tile.
    pub(super) buffer: u16,
}

impl Reach {
    /// How far a tile of a zoom looks beyond its sides, in tiles.
    fn margin(&self, z: u8) -> f64 {
        let magnified = f64::from(z.saturating_sub(self.finest)).exp2();
        (f64::from(self.buffer) + STRAY.max(2.0 * magnified)) / 4096.0
    }
}

/// A block of tiles of one zoom.
#[derive(Debug, Clone, Copy)]
struct Block {
    z: u8,
    low: [u32; 2],
    high: [u32; 2],
}

impl Block {
    /// The tiles that see a box (in shares of the world's side).
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    fn of(z: u8, low: [f64; 2], high: [f64; 2], margin: f64) -> Self {
        let side = f64::from(1u32 << z);
        let tile = |v: f64| v.floor().clamp(0.0, side - 1.0) as u32;
        Self {
            z,
            low: low.map(|v| tile(v * side - margin)),
            high: high.map(|v| tile(v * side + margin)),
        }
    }

    fn count(&self) -> u64 {
        let along = |i: usize| u64::from(self.high[i] - self.low[i]) + 1;
        along(0) * along(1)
    }
}

impl Cover {
    /// Adds the tiles of one geometry.
    ///
    /// # Errors
    /// When the bytes are not WKB.
    pub(super) fn add(&mut self, wkb: &[u8], reach: &Reach) -> Result<(), Broken> {
        let mut cursor = Cursor::new(wkb);
        let header = cursor.header()?;
        self.geometry(&mut cursor, &header, reach, 0)
    }

    /// Number of tiles.
    pub(super) fn len(&self) -> u64 {
        self.numbers.len()
    }

    /// The tiles in the order of archives.
    pub(super) fn tiles(&self) -> impl Iterator<Item = TileId> + '_ {
        self.numbers.iter().filter_map(pmtiles::tile)
    }

    fn geometry(
        &mut self,
        cursor: &mut Cursor<'_>,
        header: &Header,
        reach: &Reach,
        depth: u8,
    ) -> Result<(), Broken> {
        self.path.clear();
        self.ends.clear();
        match header.kind {
            Kind::Point => {
                if let Some(c) = cursor.point(header)? {
                    self.path.push(place(c.x, c.y));
                    self.part(false, reach);
                }
            }
            Kind::LineString => {
                self.path.extend(cursor.line(header)?.map(|c| place(c.x, c.y)));
                self.ends.push(self.path.len());
                self.part(false, reach);
            }
            Kind::Polygon => {
                for _ in 0..cursor.rings(header)? {
                    self.path.extend(cursor.line(header)?.map(|c| place(c.x, c.y)));
                    self.ends.push(self.path.len());
                }
                self.part(true, reach);
            }
            _ if depth >= DEEPEST => return Err(Broken::TooDeep),
            _ => {
                for _ in 0..cursor.parts(header)? {
                    let part = cursor.part(header)?;
                    self.geometry(cursor, &part, reach, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    /// Adds the part in `path` at every zoom.
    fn part(&mut self, area: bool, reach: &Reach) {
        let Some((low, high)) = extent(&self.path) else { return };
        for z in reach.zooms.clone() {
            let margin = reach.margin(z);
            let block = Block::of(z, low, high, margin);
            // A place has no segments to follow, however far its tile is magnified.
            if low == high || block.count() <= FEW {
                self.insert(block);
                continue;
            }
            let mut start = 0;
            for i in 0..self.ends.len() {
                for at in start + 1..self.ends[i] {
                    self.segment(z, self.path[at - 1], self.path[at], margin);
                }
                start = self.ends[i];
            }
            if area {
                self.fill(z);
            }
        }
    }

    fn insert(&mut self, block: Block) {
        for y in block.low[1]..=block.high[1] {
            for x in block.low[0]..=block.high[0] {
                self.numbers.insert(pmtiles::number(TileId::mercator(block.z, x, y)));
            }
        }
    }

    /// Adds the tiles along a segment: by its box, halved until that is no waste.
    fn segment(&mut self, z: u8, a: [f64; 2], b: [f64; 2], margin: f64) {
        let (low, high) = ([a[0].min(b[0]), a[1].min(b[1])], [a[0].max(b[0]), a[1].max(b[1])]);
        let block = Block::of(z, low, high, margin);
        let short = (high[0] - low[0]).max(high[1] - low[1]) * f64::from(1u32 << z) <= 1.0;
        if short || block.low[0] == block.high[0] || block.low[1] == block.high[1] {
            return self.insert(block);
        }
        let middle = [f64::midpoint(a[0], b[0]), f64::midpoint(a[1], b[1])];
        self.segment(z, a, middle, margin);
        self.segment(z, middle, b, margin);
    }

    /// Adds the tiles whose centre is inside the rings: with those along the border, all that a
    /// polygon touches.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    fn fill(&mut self, z: u8) {
        let side = f64::from(1u32 << z);
        // The tiles whose centre is at or after a place.
        let from = |v: f64| (v - 0.5).ceil().clamp(0.0, side) as u32;
        self.crossings.clear();
        let mut start = 0;
        for end in &self.ends {
            for pair in self.path[start..*end].windows(2) {
                let (a, b) = (pair[0].map(|v| v * side), pair[1].map(|v| v * side));
                let (top, bottom) = if a[1] <= b[1] { (a, b) } else { (b, a) };
                for row in from(top[1])..from(bottom[1]) {
                    let share = (f64::from(row) + 0.5 - top[1]) / (bottom[1] - top[1]);
                    self.crossings.push((row, top[0] + share * (bottom[0] - top[0])));
                }
            }
            start = *end;
        }
        self.crossings.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        for pair in self.crossings.as_chunks::<2>().0 {
            let [(y, enter), (_, leave)] = *pair;
            for x in from(enter)..from(leave) {
                self.numbers.insert(pmtiles::number(TileId::mercator(z, x, y)));
            }
        }
    }
}

/// A position in shares of the world's side, x east, y south.
fn place(lon: f64, lat: f64) -> [f64; 2] {
    let (x, y) = project(lon, lat, MAX_GRID_ZOOM);
    [f64::from(x) / SIDE, f64::from(y) / SIDE]
}

fn extent(path: &[[f64; 2]]) -> Option<([f64; 2], [f64; 2])> {
    let first = *path.first()?;
    Some(path.iter().fold((first, first), |(low, high), p| {
        ([low[0].min(p[0]), low[1].min(p[1])], [high[0].max(p[0]), high[1].max(p[1])])
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::wkb;
    use geo::{BoundingRect, Intersects, MapCoords, Validation};
    use geo_types::{Geometry, Rect, line_string, point};
    use proptest::prelude::*;

    fn cover(geometry: &Geometry<f64>, z: u8) -> Cover {
        let mut bytes = Vec::new();
        wkb::write(geometry, &mut bytes);
        let mut cover = Cover::default();
        cover.add(&bytes, &Reach { zooms: 0..=z, finest: z, buffer: 64 }).unwrap();
        cover
    }

    #[test]
    fn tiles_come_in_the_order_of_archives_and_islands_have_no_sea_between() {
        let two = geo_types::MultiPoint::from(vec![(2.3, 48.9), (55.4, -20.9)]);
        let tiles: Vec<TileId> = cover(&two.into(), 12).tiles().collect();
        assert!(tiles.is_sorted_by_key(|t| pmtiles::number(*t)));
        assert_eq!(tiles.first(), Some(&TileId::mercator(0, 0, 0)));
        assert!(tiles.len() < 2 * 13 * 4, "{}", tiles.len());
        let parts = cover(&point!(x: -180.0, y: 89.9).into(), 3);
        assert!(parts.tiles().any(|t| t == TileId::mercator(3, 0, 0)));
    }

    #[test]
    fn a_place_magnified_far_is_in_every_tile_it_may_be_rounded_to() {
        let mut bytes = Vec::new();
        wkb::write(&point!(x: 2.3, y: 48.9).into(), &mut bytes);
        let mut cover = Cover::default();
        cover.add(&bytes, &Reach { zooms: 14..=14, finest: 1, buffer: 64 }).unwrap();
        // Two steps of z1's grid, to which the place may be rounded, are four tiles of z14.
        let tiles = cover.tiles().count();
        assert!((8 * 8..=10 * 10).contains(&tiles), "{tiles}");
    }

    #[test]
    fn the_tiles_of_a_long_border_are_those_along_it() {
        let line = line_string![(x: -5.0, y: 42.0), (x: 8.0, y: 51.0)];
        let tiles = cover(&line.into(), 10).tiles().filter(|t| t.z == 10).count();
        // 37 columns, 39 rows: some three a step, not the box.
        assert!((70..250).contains(&tiles), "{tiles}");
    }

    proptest! {
        /// Whatever a tile would see is covered, judged by another way.
        #[test]
        fn nothing_visible_is_left_out(
            corners in proptest::collection::vec((-20.0..20.0f64, 30.0..60.0f64), 3..6),
            hole in any::<bool>(), z in 3..9u8,
        ) {
            let mut ring = geo_types::Polygon::new(corners.into(), vec![]);
            if hole {
                ring.interiors_push(line_string![(x: 0.0, y: 44.0), (x: 3.0, y: 44.0), (x: 3.0, y: 46.0)]);
            }
            let covered: std::collections::HashSet<TileId> =
                cover(&ring.clone().into(), z).tiles().collect();
            // Between two vertices tiles draw straight lines, which in degrees are curves.
            let ring = ring.map_coords(|c| {
                let (x, y) = project(c.x, c.y, z);
                geo_types::coord! { x: f64::from(x) / 4096.0, y: f64::from(y) / 4096.0 }
            });
            // Even-odd and overlap agree only where rings are simple.
            prop_assume!(ring.is_valid());
            let rect = ring.bounding_rect().unwrap();
            for y in rect.min().y as u32..=rect.max().y as u32 {
                for x in rect.min().x as u32..=rect.max().x as u32 {
                    let tile = TileId::mercator(z, x, y);
                    let (x, y) = (f64::from(x), f64::from(y));
                    let sides = Rect::new((x, y), (x + 1.0, y + 1.0));
                    if sides.to_polygon().intersects(&ring) {
                        prop_assert!(covered.contains(&tile), "{tile:?}");
                    }
                }
            }
        }
    }
}
