//! The Hilbert curve: places near each other on the plane are near each other along it.

/// Bits per axis.
pub const ORDER: u32 = 16;

/// Distance along the curve of a cell; both coordinates below `2^ORDER`.
pub fn distance(mut x: u32, mut y: u32) -> u32 {
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
