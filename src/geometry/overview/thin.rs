//! Which points the coarser bands leave out, so that no tile weighs more than it may. Decided once
//! for the whole layer, from the most important point down: a point is shown as long as every tile
//! that would show it has room, and only where the next finer band shows it.

use super::{EXTENT, MAX_GRID_ZOOM, project, sparse_zooms};
use crate::model::{
    Grid, TileId,
    tile_grid::{TABLE, latitude},
};
use rustc_hash::FxHashMap;

/// What a tile may weigh, and how far it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Most bytes of the features of a tile.
    pub bytes: u32,
    /// How far tiles look beyond their sides, in 1/4096 of a tile.
    pub buffer: u16,
}

/// The band from which each feature is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thinned {
    /// By ordinal, the zoom of the coarsest band that shows it.
    pub from: Vec<u8>,
    /// First and last zoom that each band is drawn at, and how many points it shows.
    pub shown: Vec<(u8, u8, u64)>,
}

/// Thins a layer of single points. `places` and `weights` (the bytes of each feature in a tile) are
/// by ordinal, `order` are the ordinals from the most important one. `None` when all have room. The
/// finest band shows every point, whatever its tiles weigh.
pub fn thin(
    places: &[Place],
    weights: &[u32],
    order: Vec<u32>,
    zooms: (u8, u8),
    room: Room,
) -> Option<Thinned> {
    let bands = sparse_zooms(zooms.0, zooms.1);
    let finest = bands.last().copied()?;
    let mut from = vec![finest; places.len()];
    let mut kept = order;
    kept.retain(|i| places.get(*i as usize).is_some_and(|place| place.is_somewhere()));
    let all = kept.len();
    let mut shown = Vec::with_capacity(bands.len());
    for (i, band) in bands.iter().enumerate().rev() {
        // The largest tiles drawn from a band are those of its first zoom.
        let first = i.checked_sub(1).map_or(zooms.0, |coarser| bands[coarser] + 1).max(zooms.0);
        if *band < finest {
            let mut tiles = Tiles::new(first..=*band, room);
            kept.retain(|ordinal| {
                let at = *ordinal as usize;
                let (Some(place), Some(weight)) = (places.get(at), weights.get(at)) else {
                    return false;
                };
                tiles.take(&place.shares(), *weight)
            });
        }
        kept.iter().for_each(|ordinal| from[*ordinal as usize] = *band);
        let last = if *band == finest { zooms.1 } else { *band };
        shown.push((first, last, kept.len() as u64));
    }
    shown.reverse();
    (kept.len() < all).then_some(Thinned { from, shown })
}

/// Where a point lies on the finest grid of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    x: i32,
    y: i32,
}

impl Place {
    /// Of a feature without geometry.
    pub const NOWHERE: Self = Self { x: i32::MIN, y: i32::MIN };

    /// Of a point in degrees.
    pub fn of(lon: f64, lat: f64) -> Self {
        let (x, y) = project(lon, lat, MAX_GRID_ZOOM);
        Self { x, y }
    }

    fn is_somewhere(self) -> bool {
        self != Self::NOWHERE
    }

    fn shares(self) -> Shares {
        let side = f64::from(EXTENT) * f64::from(MAX_GRID_ZOOM).exp2();
        let (column, y) = (f64::from(self.x) / side, f64::from(self.y) / side);
        let mut rows = [y; TABLE.len()];
        for (row, grid) in rows.iter_mut().zip(Grid::all()).skip(1) {
            // Heights of a grid do not depend on the longitude.
            *row = grid.share(0.0, latitude(y))[1];
        }
        Shares { column, rows }
    }
}

/// Where a point is drawn.
#[derive(Debug, Clone, Copy)]
struct Shares {
    /// In shares of a grid's width, from the west.
    column: f64,
    /// By grid, in shares of its height, from the north.
    rows: [f64; TABLE.len()],
}

/// The tiles of one zoom of each grid as they fill.
struct Tiles {
    /// Bytes taken.
    taken: FxHashMap<TileId, u32>,
    most: u32,
    /// By grid, the first zoom drawn from the band: that of the largest tiles.
    zooms: Vec<Option<(Grid, u8)>>,
    /// How far a tile looks, in tiles.
    buffer: f64,
    /// The tiles that show a point, used again for the next.
    seen: Vec<TileId>,
}

impl Tiles {
    /// The tiles drawn from a band, which serves those levels.
    fn new(levels: std::ops::RangeInclusive<u8>, room: Room) -> Self {
        let zoom = |grid: Grid| {
            let z = levels.start().saturating_sub(grid.ahead());
            levels.contains(&(z + grid.ahead())).then_some((grid, z))
        };
        Self {
            taken: FxHashMap::default(),
            most: room.bytes,
            zooms: Grid::all().map(zoom).collect(),
            // More: coordinates are rounded to the band's grid, then perhaps to the tile's.
            buffer: (f64::from(room.buffer) + 1.5) / f64::from(EXTENT),
            seen: Vec::new(),
        }
    }

    /// Takes a point when all tiles that would show it have room.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    fn take(&mut self, place: &Shares, weight: u32) -> bool {
        self.seen.clear();
        for (zoom, share) in self.zooms.iter().zip(place.rows) {
            let Some((grid, z)) = zoom else { continue };
            let range = |share: f64, side: u32| {
                let tile = |v: f64| v.floor().clamp(0.0, f64::from(side) - 1.0) as u32;
                let at = share * f64::from(side);
                tile(at - self.buffer)..=tile(at + self.buffer)
            };
            for y in range(share, grid.rows(*z)) {
                let columns = range(place.column, grid.columns(*z));
                self.seen.extend(columns.map(|x| TileId { grid: *grid, z: *z, x, y }));
            }
        }
        let full = |at: &TileId| {
            let taken = self.taken.get(at).copied().unwrap_or_default();
            taken.saturating_add(weight) > self.most
        };
        if self.seen.iter().any(full) {
            return false;
        }
        for at in &self.seen {
            *self.taken.entry(*at).or_default() += weight;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// No tile shows more than it may, the important come first, and deeper bands show more.
        #[test]
        fn every_tile_has_room_and_importance_is_kept(
            places in proptest::collection::vec((1.0..3.0f64, 48.0..49.0f64), 1..400),
            bytes in 100..3_000u32, buffer in 0..300u16,
        ) {
            let given: Vec<Place> = places.iter().map(|(x, y)| Place::of(*x, *y)).collect();
            let weights: Vec<u32> = (0..given.len() as u32).map(|i| 20 + i % 60).collect();
            let order: Vec<u32> = (0..given.len() as u32).collect();
            let room = Room { bytes, buffer };
            let bands = sparse_zooms(3, 12);
            // What tiles of a zoom weigh when the points of `shown` are in them.
            let tiles = |level: u8, shown: &dyn Fn(usize) -> bool| {
                let mut tiles: FxHashMap<(Grid, i64, i64), u32> = FxHashMap::default();
                for (i, (lon, lat)) in places.iter().enumerate().filter(|(i, _)| shown(*i)) {
                    for grid in Grid::all() {
                        let z = level - grid.ahead();
                        let [x, y] = grid.share(*lon, *lat);
                        let buffer = i64::from(buffer);
                        let range = |share: f64, side: u32| {
                            let v = (share * f64::from(side) * 4096.0).round() as i64;
                            (v - buffer).div_euclid(4096)..=(v + buffer).div_euclid(4096)
                        };
                        for row in range(y, grid.rows(z)) {
                            for column in range(x, grid.columns(z)) {
                                *tiles.entry((grid, column, row)).or_default() += weights[i];
                            }
                        }
                    }
                }
                tiles
            };
            let Some(thinned) = thin(&given, &weights, order, (3, 12), room) else {
                // Nothing had to be left out.
                for zoom in bands.iter().take(bands.len() - 1) {
                    let tiles = tiles(*zoom, &|_| true);
                    prop_assert!(tiles.values().all(|w| *w <= bytes), "{zoom}: {tiles:?}");
                }
                return Ok(());
            };
            prop_assert_eq!(thinned.shown.first().map(|s| s.0), Some(3));
            prop_assert_eq!(thinned.shown.last().map(|s| s.2), Some(given.len() as u64));
            prop_assert!(thinned.shown.is_sorted_by_key(|s| s.2));
            for zoom in 3..=10u8 {
                let band = *bands.iter().find(|b| **b >= zoom).unwrap();
                let tiles = tiles(zoom, &|i| thinned.from[i] <= band);
                prop_assert!(tiles.values().all(|w| *w <= bytes), "{zoom}: {tiles:?}");
            }
            // Nobody is left out before the first that finds no room.
            if weights[0] <= bytes {
                prop_assert_eq!(thinned.from[0], bands[0]);
            }
        }
    }

    #[test]
    fn what_has_room_or_no_place_is_left_alone() {
        let mut given: Vec<Place> = (0..50).map(|i| Place::of(f64::from(i), 45.0)).collect();
        let order: Vec<u32> = (0..50).collect();
        let room = Room { bytes: 5_000, buffer: 64 };
        assert_eq!(thin(&given, &[100; 50], order.clone(), (0, 14), room), None);
        assert!(thin(&given, &[101; 50], order.clone(), (0, 14), room).is_some());
        given[7] = Place::NOWHERE;
        assert_eq!(thin(&given, &[101; 50], order, (0, 14), room), None);
    }
}
