//! The order in which features lie in the bands: along the Hilbert curve, so that what a tile
//! needs lies together.

use super::grid::Shapes;
use rayon::prelude::*;

/// Bits per axis of the curve.
const ORDER: u32 = 16;

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

/// Distance along the curve of a cell.
fn distance(mut x: u32, mut y: u32) -> u32 {
    let mut d = 0u32;
    let mut s = 1 << (ORDER - 1);
    while s > 0 {
        let (rx, ry) = (u32::from(x & s > 0), u32::from(y & s > 0));
        d = d.wrapping_add(s.wrapping_mul(s).wrapping_mul((3 * rx) ^ ry));
        if ry == 0 {
            if rx == 1 {
                x = !x & ((1 << ORDER) - 1);
                y = !y & ((1 << ORDER) - 1);
            }
            std::mem::swap(&mut x, &mut y);
        }
        s >>= 1;
    }
    d
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_on_the_curve_are_neighbours_on_the_plane() {
        // The first 4^4 cells of the curve fill a square of 16 by 16, one step at a time.
        let mut cells: Vec<(u32, u32, u32)> =
            (0..16).flat_map(|x| (0..16).map(move |y| (distance(x, y), x, y))).collect();
        cells.sort_unstable();
        for (i, pair) in cells.windows(2).enumerate() {
            let ((d, x, y), (_, u, v)) = (pair[0], pair[1]);
            assert_eq!(d as usize, i);
            assert_eq!(x.abs_diff(u) + y.abs_diff(v), 1, "between {d} and {}", d + 1);
        }
        assert_eq!(distance((1 << ORDER) - 1, 0), u32::MAX);
    }
}
