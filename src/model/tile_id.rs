//! Tile addresses in the WebMercatorQuad grid (OGC 17-083r4, Annex D).

use super::BBox;

/// One tile in XYZ order: `z` zoom, `x` column from the west, `y` row from the north.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TileId {
    /// Zoom (tile matrix), 0 to 30.
    pub z: u8,
    /// Column, `0..2^z`.
    pub x: u32,
    /// Row, `0..2^z`.
    pub y: u32,
}

/// The deepest zoom of the grid that Socle answers.
pub const MAX_ZOOM: u8 = 24;

impl TileId {
    /// The tile, or `None` when it lies outside the grid.
    pub fn new(z: u8, x: u32, y: u32) -> Option<Self> {
        (z <= MAX_ZOOM && x < 1 << z && y < 1 << z).then_some(Self { z, x, y })
    }

    /// Its extent in degrees.
    pub fn bounds(&self) -> BBox {
        let n = f64::from(1u32 << self.z);
        let lon = |x: f64| x / n * 360.0 - 180.0;
        let lat = |y: f64| {
            let t = std::f64::consts::PI * (1.0 - 2.0 * y / n);
            t.sinh().atan().to_degrees()
        };
        BBox {
            west: lon(f64::from(self.x)),
            south: lat(f64::from(self.y) + 1.0),
            east: lon(f64::from(self.x) + 1.0),
            north: lat(f64::from(self.y)),
        }
    }

    /// The ancestor at zoom `z` (itself when not deeper).
    pub fn ancestor(&self, z: u8) -> TileId {
        if z >= self.z {
            return *self;
        }
        let shift = self.z - z;
        TileId { z, x: self.x >> shift, y: self.y >> shift }
    }
}
