//! What the stores share of tiles: the window a tile looks through, the property fields it shows.

use crate::model::{Grid, Schema, TileId};
use std::sync::Arc;

/// Name of the property that carries a feature's id in tiles when no key field is declared.
pub const ID_PROPERTY: &str = "socle_id";

/// What of a version's schema goes into tiles.
pub(super) fn tile_keys(schema: &Schema, key: Option<&str>) -> Arc<[String]> {
    let names = schema.fields.iter().map(|f| f.name.clone());
    names.chain(key.is_none().then(|| ID_PROPERTY.to_owned())).collect()
}

/// The tile with its buffer on the grid of the finest band.
pub(super) fn window(tile: TileId, buffer: u16, finest: u8) -> [i32; 4] {
    // One more in grids of another projection: their vertices are rounded once more.
    let more = u16::from(tile.grid != Grid::WEB_MERCATOR);
    let buffer = f64::from(buffer.saturating_add(more)) / 4096.0;
    let side = 4096.0 * f64::from(finest).exp2();
    let [west, north, east, south] = tile.on_mercator(buffer).map(|share| share * side);
    // Saturating casts.
    [west.floor() as i32, north.floor() as i32, east.ceil() as i32, south.ceil() as i32]
}
