//! The order in which features lie in the bands: along the Hilbert curve, so that what a tile
//! needs lies together.

use super::grid::Shapes;
use crate::model::hilbert::{ORDER, distance};
use rayon::prelude::*;

/// Indices of the shapes along the Hilbert curve of their boxes' centres; source order breaks
/// ties.
#[expect(clippy::cast_possible_truncation, reason = "ordinals are 32 bits: as many shapes at most")]
pub(super) fn order(shapes: &Shapes, zoom: u8) -> Vec<u32> {
    let mut ranked: Vec<(u32, u32)> = (shapes.shapes.iter().enumerate())
        .map(|(i, shape)| (rank(shape.bounds, zoom), i as u32))
        .collect();
    ranked.par_sort_unstable();
    ranked.into_iter().map(|(_, i)| i).collect()
}

/// Where the middle of a box lies along the curve; the box is on the grid of `zoom`.
pub(super) fn rank([west, north, east, south]: [i32; 4], zoom: u8) -> u32 {
    let shift = (12 + u32::from(zoom)).saturating_sub(ORDER);
    let middle = |a: i32, b: i32| {
        let middle = (i64::from(a) + i64::from(b)) >> (shift + 1);
        u32::try_from(middle).unwrap_or_default().min((1 << ORDER) - 1)
    };
    distance(middle(west, east), middle(north, south))
}
