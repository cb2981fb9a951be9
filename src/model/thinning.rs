//! Points left out of the tiles of small zooms, so that none weighs too much.

use serde::{Deserialize, Serialize};

/// How far tiles of points look beyond their sides where the layer does not say, in 1/4096 of a
/// tile: symbols and labels reach farther than lines.
pub const POINT_BUFFER: u16 = 256;

/// How a layer of points is thinned: the rule that decides, the same in every store, and what it
/// came to. A point that a zoom shows is shown by all deeper ones; the deepest shows all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thinning {
    /// Most bytes of a tile before compression.
    pub budget: u32,
    /// How far tiles look beyond their sides, in 1/4096 of a tile.
    pub buffer: u16,
    /// The field whose larger values are shown first; without it, and between equals, features
    /// are taken in an order drawn from their ids.
    pub importance: Option<String>,
    /// How many points each range of zooms shows, from the first zoom to the last.
    pub shown: Vec<Shown>,
}

/// What a range of zooms shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its first zoom.
    pub min_zoom: u8,
    /// Its last zoom.
    pub max_zoom: u8,
    /// Points that are shown there.
    pub features: u64,
}
