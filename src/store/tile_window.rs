//! What the stores share of tiles: the window a tile looks through, the property fields it shows.

use crate::model::{Schema, TileId};
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
    let side = 4096i64;
    let (x, y, buffer) = (i64::from(tile.x) * side, i64::from(tile.y) * side, i64::from(buffer));
    let low = |v: i64| v - buffer;
    let high = |v: i64| v + side + buffer;
    let scale = |v: i64, up: bool| {
        let scaled = if finest >= tile.z {
            v << (finest - tile.z)
        } else {
            let shift = tile.z - finest;
            if up { (v >> shift) + 1 } else { v >> shift }
        };
        scaled.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
    };
    [scale(low(x), false), scale(low(y), false), scale(high(x), true), scale(high(y), true)]
}
