//! The tile grids that are served (OGC 17-083r4, annex D): one entry of a table each.
//!
//! Geometry is prepared once, on the web-mercator square; a grid says how that is drawn in its own
//! tiles. Its tiles must be a power of two of a world wide at zoom 0, and halve from zoom to zoom.

use std::f64::consts::PI;

/// The parallel at which the web-mercator square ends. What lies beyond is drawn on it.
pub const MERCATOR_EDGE: f64 = 85.051_128_779_806_59;

/// How positions become those of a grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projection {
    /// Spherical web mercator (EPSG:3857).
    Mercator,
    /// Degrees as they are: longitude, then latitude.
    Degrees,
}

/// What a grid is, as its definition tells clients.
#[derive(Debug, PartialEq)]
pub struct Definition {
    /// Its id in addresses.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Its registered name.
    pub uri: &'static str,
    /// Its CRS.
    pub crs: &'static str,
    /// Names of the CRS's axes, in its order.
    pub axes: [&'static str; 2],
    /// Its scales' registered name.
    pub scale_set: &'static str,
    /// North-west corner, in units of the CRS.
    pub origin: [f64; 2],
    /// Columns at zoom 0, a power of two.
    pub columns: u32,
    /// Rows at zoom 0.
    pub rows: u32,
    /// Scale denominator at zoom 0.
    pub scale: f64,
    /// Side of a pixel (256 to a tile) at zoom 0, in units of the CRS.
    pub cell: f64,
    /// The deepest zoom.
    pub deepest: u8,
    /// How positions become its own.
    pub projection: Projection,
}

/// Every grid; the first is what XYZ addresses, `TileJSON` and archives speak of.
pub const TABLE: [Definition; 2] = [
    Definition {
        id: "WebMercatorQuad",
        title: "Google Maps Compatible for the World",
        uri: "http://www.opengis.net/def/tilematrixset/OGC/1.0/WebMercatorQuad",
        crs: "http://www.opengis.net/def/crs/EPSG/0/3857",
        axes: ["X", "Y"],
        scale_set: "http://www.opengis.net/def/wkss/OGC/1.0/GoogleMapsCompatible",
        origin: [-20_037_508.342_789_244, 20_037_508.342_789_244],
        columns: 1,
        rows: 1,
        scale: 559_082_264.028_717_8,
        cell: 156_543.033_928_041,
        deepest: 24,
        projection: Projection::Mercator,
    },
    Definition {
        id: "WorldCRS84Quad",
        title: "CRS84 for the World",
        uri: "http://www.opengis.net/def/tilematrixset/OGC/1.0/WorldCRS84Quad",
        crs: "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
        axes: ["Lon", "Lat"],
        scale_set: "http://www.opengis.net/def/wkss/OGC/1.0/GoogleCRS84Quad",
        origin: [-180.0, 90.0],
        columns: 2,
        rows: 1,
        scale: 279_541_132.014_358_9,
        cell: 0.703_125,
        deepest: 23,
        projection: Projection::Degrees,
    },
];

/// One of the grids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Grid(u8);

impl Grid {
    /// `WebMercatorQuad`.
    pub const WEB_MERCATOR: Self = Self(0);

    /// All of them, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        (0u8..).zip(&TABLE).map(|(at, _)| Self(at))
    }

    /// The grid of an id.
    pub fn of(id: &str) -> Option<Self> {
        Self::all().find(|grid| grid.definition().id == id)
    }

    /// What it is.
    pub const fn definition(self) -> &'static Definition {
        &TABLE[self.0 as usize]
    }

    /// By how many zooms `WebMercatorQuad` is ahead: its tiles of zoom `z + ahead` are as wide as
    /// those of `z` here.
    pub const fn ahead(self) -> u8 {
        self.definition().columns.trailing_zeros() as u8
    }

    /// The zooms at which its tiles are as wide as those of `WebMercatorQuad` from `min` to `max`.
    pub fn zooms(self, min: u8, max: u8) -> std::ops::RangeInclusive<u8> {
        let own = |z: u8| z.saturating_sub(self.ahead()).min(self.definition().deepest);
        own(min)..=own(max)
    }

    /// Columns of a zoom.
    pub fn columns(self, z: u8) -> u32 {
        self.definition().columns << z.min(30)
    }

    /// Rows of a zoom.
    pub fn rows(self, z: u8) -> u32 {
        self.definition().rows << z.min(30)
    }

    /// Where a position (degrees) lies, in shares of the grid's width from the west and of its
    /// height from the north.
    pub fn share(self, lon: f64, lat: f64) -> [f64; 2] {
        let y = match self.definition().projection {
            Projection::Mercator => mercator(lat),
            Projection::Degrees => (90.0 - lat) / 180.0,
        };
        [(lon + 180.0) / 360.0, y]
    }

    /// The position of a place given as [`Grid::share`] gives it.
    pub fn position(self, [x, y]: [f64; 2]) -> [f64; 2] {
        let lat = match self.definition().projection {
            Projection::Mercator => latitude(y),
            Projection::Degrees => 90.0 - y * 180.0,
        };
        [x * 360.0 - 180.0, lat]
    }
}

/// Where a latitude lies on the web-mercator square, in shares of its side from the north. The
/// square ends at [`MERCATOR_EDGE`].
pub fn mercator(lat: f64) -> f64 {
    let sine = lat.clamp(-MERCATOR_EDGE, MERCATOR_EDGE).to_radians().sin();
    0.5 - ((1.0 + sine) / (1.0 - sine)).ln() / (4.0 * PI)
}

/// The latitude at a place of the web-mercator square.
pub fn latitude(y: f64) -> f64 {
    (PI * (1.0 - 2.0 * y)).sinh().atan().to_degrees()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_are_found_by_id_and_their_zooms_matched() {
        let crs84 = Grid::of("WorldCRS84Quad").unwrap();
        assert_eq!(Grid::of("WebMercatorQuad"), Some(Grid::WEB_MERCATOR));
        assert_eq!(Grid::of("worldcrs84quad"), None);
        assert_eq!((Grid::WEB_MERCATOR.ahead(), crs84.ahead()), (0, 1));
        assert_eq!((crs84.zooms(0, 14), crs84.zooms(5, 24)), (0..=13, 4..=23));
        assert_eq!(Grid::WEB_MERCATOR.zooms(5, 24), 5..=24);
    }

    #[test]
    fn places_are_found_again() {
        for grid in Grid::all() {
            for (lon, lat) in [(2.35, 48.85), (-61.5, 16.2), (55.5, -21.1), (-180.0, 85.0)] {
                let [x, y] = grid.position(grid.share(lon, lat));
                assert!((x - lon).abs() < 1e-9 && (y - lat).abs() < 1e-9, "{grid:?}");
            }
        }
    }

    #[test]
    fn scales_are_those_of_their_cells() {
        // A pixel of 0.28 mm (17-083r4, 6.1.1); a degree counted on the equator of WGS 84.
        for grid in Grid::all() {
            let Definition { scale, cell, origin, columns, projection, .. } = grid.definition();
            let metres = match projection {
                Projection::Mercator => 1.0,
                Projection::Degrees => 6_378_137.0 * PI / 180.0,
            };
            assert!((cell * metres / 0.00028 / scale - 1.0).abs() < 1e-12, "{grid:?}");
            let width = cell * 256.0 * f64::from(*columns);
            assert!((width / (-2.0 * origin[0]) - 1.0).abs() < 1e-12, "{grid:?}");
        }
    }
}
