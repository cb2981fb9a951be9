//! Which points the coarser bands leave out, so that no tile weighs more than it may. Decided once
//! for the whole layer, from the most important point down: a point is shown as long as every tile
//! that would show it has room, and only where the next finer band shows it.

use super::{EXTENT, MAX_GRID_ZOOM, band_zooms, project};
use geo_types::Geometry;
use rayon::prelude::*;
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

/// Thins a layer of single points. `weights` are the bytes of each feature in a tile, `order` the
/// ordinals from the most important one. `None` when it holds other geometry or all have room. The
/// finest band shows every point, whatever its tiles weigh.
pub fn thin(
    geometries: &[Option<&Geometry<f64>>],
    weights: &[u32],
    order: &[u32],
    zooms: (u8, u8),
    room: Room,
) -> Option<Thinned> {
    let place = |g: &Option<&Geometry<f64>>| match g {
        Some(Geometry::Point(p)) => Ok(Some(project(p.x(), p.y(), MAX_GRID_ZOOM))),
        None => Ok(None),
        Some(_) => Err(()),
    };
    let places: Vec<_> = geometries.par_iter().map(place).collect::<Result<_, ()>>().ok()?;
    let bands = band_zooms(zooms.0, zooms.1);
    let finest = bands.last().copied()?;
    let mut from = vec![finest; places.len()];
    let mut kept: Vec<u32> = order.to_vec();
    kept.retain(|i| places.get(*i as usize).is_some_and(Option::is_some));
    let all = kept.len();
    let mut shown = Vec::with_capacity(bands.len());
    for (i, band) in bands.iter().enumerate().rev() {
        // The largest tiles drawn from a band are those of its first zoom.
        let first = i.checked_sub(1).map_or(zooms.0, |coarser| bands[coarser] + 1).max(zooms.0);
        if *band < finest {
            let mut tiles = Tiles::new(first, room);
            kept.retain(|ordinal| {
                let at = *ordinal as usize;
                let (Some(Some(place)), Some(weight)) = (places.get(at), weights.get(at)) else {
                    return false;
                };
                tiles.take(*place, *weight)
            });
        }
        kept.iter().for_each(|ordinal| from[*ordinal as usize] = *band);
        let last = if *band == finest { zooms.1 } else { *band };
        shown.push((first, last, kept.len() as u64));
    }
    shown.reverse();
    (kept.len() < all).then_some(Thinned { from, shown })
}

/// The tiles of a zoom as they fill.
struct Tiles {
    /// Bytes taken, by column and row.
    taken: FxHashMap<(i64, i64), u32>,
    most: u32,
    /// Side of a tile and its buffer, on the finest grid.
    side: i64,
    buffer: i64,
}

impl Tiles {
    fn new(zoom: u8, room: Room) -> Self {
        let unit = 1i64 << (MAX_GRID_ZOOM - zoom.min(MAX_GRID_ZOOM));
        Self {
            taken: FxHashMap::default(),
            most: room.bytes,
            side: i64::from(EXTENT) * unit,
            // One more: coordinates are rounded to the band's grid.
            buffer: (i64::from(room.buffer) + 1) * unit,
        }
    }

    /// Takes a point when all tiles that would show it have room.
    fn take(&mut self, (x, y): (i32, i32), weight: u32) -> bool {
        let tile = |v: i64| v.div_euclid(self.side);
        let range = |v: i32| tile(i64::from(v) - self.buffer)..=tile(i64::from(v) + self.buffer);
        let seen: Vec<(i64, i64)> =
            range(y).flat_map(|row| range(x).map(move |column| (column, row))).collect();
        let full = |at: &(i64, i64)| {
            let taken = self.taken.get(at).copied().unwrap_or_default();
            taken.saturating_add(weight) > self.most
        };
        if seen.iter().any(full) {
            return false;
        }
        for at in seen {
            *self.taken.entry(at).or_default() += weight;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use geo_types::point;
    use proptest::prelude::*;

    proptest! {
        /// No tile shows more than it may, the important come first, and deeper bands show more.
        #[test]
        fn every_tile_has_room_and_importance_is_kept(
            places in proptest::collection::vec((1.0..3.0f64, 48.0..49.0f64), 1..400),
            bytes in 100..3_000u32, buffer in 0..300u16,
        ) {
            let points: Vec<Geometry<f64>> =
                places.iter().map(|(x, y)| point!(x: *x, y: *y).into()).collect();
            let given: Vec<_> = points.iter().map(Some).collect();
            let weights: Vec<u32> = (0..points.len() as u32).map(|i| 20 + i % 60).collect();
            let order: Vec<u32> = (0..points.len() as u32).collect();
            let room = Room { bytes, buffer };
            let bands = band_zooms(3, 12);
            // What tiles of a zoom weigh when the points of `shown` are in them.
            let tiles = |zoom: u8, shown: &dyn Fn(usize) -> bool| {
                let mut tiles: FxHashMap<(i64, i64), u32> = FxHashMap::default();
                for (i, (lon, lat)) in places.iter().enumerate().filter(|(i, _)| shown(*i)) {
                    let (x, y) = project(*lon, *lat, zoom);
                    let buffer = i64::from(buffer);
                    let range = |v: i32| (i64::from(v) - buffer).div_euclid(4096)
                        ..=(i64::from(v) + buffer).div_euclid(4096);
                    for row in range(y) {
                        for column in range(x) {
                            *tiles.entry((column, row)).or_default() += weights[i];
                        }
                    }
                }
                tiles
            };
            let Some(thinned) = thin(&given, &weights, &order, (3, 12), room) else {
                // Nothing had to be left out.
                for zoom in bands.iter().take(bands.len() - 1) {
                    let tiles = tiles(*zoom, &|_| true);
                    prop_assert!(tiles.values().all(|w| *w <= bytes), "{zoom}: {tiles:?}");
                }
                return Ok(());
            };
            prop_assert_eq!(thinned.shown.first().map(|s| s.0), Some(3));
            prop_assert_eq!(thinned.shown.last().map(|s| s.2), Some(points.len() as u64));
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
    fn what_has_room_or_is_no_point_is_left_alone() {
        let points: Vec<Geometry<f64>> =
            (0..50).map(|i| point!(x: f64::from(i), y: 45.0).into()).collect();
        let given: Vec<_> = points.iter().map(Some).collect();
        let order: Vec<u32> = (0..50).collect();
        let room = Room { bytes: 5_000, buffer: 64 };
        assert_eq!(thin(&given, &[100; 50], &order, (0, 14), room), None);
        assert!(thin(&given, &[101; 50], &order, (0, 14), room).is_some());
        let line: Geometry<f64> = geo_types::LineString::from(vec![(0.0, 0.0), (1.0, 1.0)]).into();
        assert_eq!(thin(&[Some(&line)], &[9_000], &[0], (0, 14), room), None);
    }
}
