//! Tile addresses in the grids of [`super::tile_grid`].

use super::{
    BBox,
    tile_grid::{Grid, MERCATOR_EDGE, mercator},
};

/// One tile of a grid: `z` zoom, `x` column from the west, `y` row from the north.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TileId {
    /// The grid.
    pub grid: Grid,
    /// Zoom (tile matrix).
    pub z: u8,
    /// Column.
    pub x: u32,
    /// Row.
    pub y: u32,
}

/// The deepest zoom of `WebMercatorQuad` that Socle answers.
pub const MAX_ZOOM: u8 = Grid::WEB_MERCATOR.definition().deepest;

impl TileId {
    /// The tile of `WebMercatorQuad`, or `None` when it lies outside.
    pub fn new(z: u8, x: u32, y: u32) -> Option<Self> {
        Self::within(Grid::WEB_MERCATOR, z, x, y)
    }

    /// The tile of a grid, or `None` when it lies outside.
    pub fn within(grid: Grid, z: u8, x: u32, y: u32) -> Option<Self> {
        let inside = z <= grid.definition().deepest && x < grid.columns(z) && y < grid.rows(z);
        inside.then_some(Self { grid, z, x, y })
    }

    /// The tile of `WebMercatorQuad` at an address known to be inside.
    pub const fn mercator(z: u8, x: u32, y: u32) -> Self {
        Self { grid: Grid::WEB_MERCATOR, z, x, y }
    }

    /// The zoom of `WebMercatorQuad` whose tiles are as wide: what geometry is prepared for.
    pub fn level(&self) -> u8 {
        self.z + self.grid.ahead()
    }

    /// Its extent in degrees.
    pub fn bounds(&self) -> BBox {
        self.around(0.0, 0.0)
    }

    /// Its extent and so many of its widths and heights around, in degrees; up to the pole where
    /// that shows the edge of the web-mercator square, on which all beyond is drawn.
    pub fn looks(&self, dx: f64, dy: f64) -> BBox {
        let mut b = self.around(dx, dy);
        // Within rounding.
        let edge = MERCATOR_EDGE - 1e-9;
        if b.north >= edge {
            b.north = 90.0;
        }
        if b.south <= -edge {
            b.south = -90.0;
        }
        b
    }

    fn around(&self, dx: f64, dy: f64) -> BBox {
        let (columns, rows) =
            (f64::from(self.grid.columns(self.z)), f64::from(self.grid.rows(self.z)));
        let (x, y) = (f64::from(self.x), f64::from(self.y));
        let [west, north] = self.grid.position([x / columns, y / rows]);
        let [east, south] = self.grid.position([(x + 1.0) / columns, (y + 1.0) / rows]);
        let (width, height) = (dx * (east - west), dy * (north - south));
        BBox {
            west: west - width,
            south: south - height,
            east: east + width,
            north: north + height,
        }
    }

    /// Its extent and so many of its sides around, on the web-mercator square: west, north, east,
    /// south, in shares of the square's side.
    pub fn on_mercator(&self, buffer: f64) -> [f64; 4] {
        let columns = f64::from(self.grid.columns(self.z));
        let (x, y) = (f64::from(self.x), f64::from(self.y));
        let row = |row: f64| match self.grid {
            Grid::WEB_MERCATOR => row / columns,
            grid => {
                let share = row / f64::from(grid.rows(self.z));
                mercator(grid.position([0.0, share])[1])
            }
        };
        let column = |column: f64| column / columns;
        [column(x - buffer), row(y - buffer), column(x + 1.0 + buffer), row(y + 1.0 + buffer)]
    }

    /// The ancestor at zoom `z` (itself when not deeper).
    pub fn ancestor(&self, z: u8) -> TileId {
        if z >= self.z {
            return *self;
        }
        let shift = self.z - z;
        TileId { z, x: self.x >> shift, y: self.y >> shift, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_of_two_grids_lie_where_they_say() {
        let crs84 = Grid::of("WorldCRS84Quad").unwrap();
        let tile = TileId::within(crs84, 0, 1, 0).unwrap();
        let b = tile.bounds();
        assert_eq!([b.west, b.south, b.east, b.north], [0.0, -90.0, 180.0, 90.0]);
        assert_eq!(TileId::within(crs84, 0, 2, 0), None);
        assert_eq!(TileId::within(crs84, 0, 0, 1), None);
        assert_eq!(TileId::within(crs84, 24, 0, 0), None);
        assert_eq!(TileId::new(1, 2, 0), None);
        // 48.85° N, 2.35° E at zoom 8: 256 rows of 0.703125°, 512 columns as wide.
        let paris = TileId::within(crs84, 8, 259, 58).unwrap();
        let b = paris.bounds();
        assert!(b.west < 2.35 && 2.35 < b.east && b.south < 48.85 && 48.85 < b.north, "{b:?}");
        assert_eq!(paris.level(), 9);
        let [west, north, east, south] = paris.on_mercator(0.0);
        let same = TileId::mercator(9, 259, 176).on_mercator(0.0);
        assert_eq!([west, east], [same[0], same[2]]);
        assert!((mercator(48.85) - north) * (south - mercator(48.85)) > 0.0);
    }

    #[test]
    fn rows_at_the_edge_of_the_square_see_what_lies_beyond() {
        let crs84 = Grid::of("WorldCRS84Quad").unwrap();
        assert_eq!(TileId::mercator(3, 0, 0).looks(0.1, 0.1).north, 90.0);
        assert_eq!(TileId::mercator(3, 0, 7).looks(0.0, 0.0).south, -90.0);
        assert!(TileId::mercator(3, 0, 1).looks(0.0, 0.0).north < 80.0);
        assert_eq!(TileId::within(crs84, 6, 0, 1).unwrap().looks(0.0, 0.0).north, 90.0);
        assert!(TileId::within(crs84, 6, 0, 2).unwrap().looks(0.0, 0.0).north < 85.0);
    }
}
