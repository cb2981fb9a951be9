//! Rings that rounding has pinched: where a neck is left without width, the ring runs along one
//! line there and back, which is no area and no valid ring. It is cut there, so that only the
//! neighbours on both sides of the neck share that line.

use super::grid::twice_area;
use std::ops::Range;

/// Finds and cuts necks.
#[derive(Debug, Default)]
pub(super) struct Necks {
    /// Edges by their middle: those of a neck have the same.
    middles: Vec<(u64, u32)>,
}

impl Necks {
    /// Lists a ring (the end of `rounded`) in `drawn`, or the rings that it becomes: exteriors from
    /// the smallest, so that holes that follow are behind the largest, then holes.
    pub(super) fn list(
        &mut self,
        rounded: &mut Vec<[i32; 2]>,
        ring: Range<usize>,
        drawn: &mut Vec<Range<usize>>,
    ) {
        let whole = rounded.get(ring.clone()).unwrap_or_default();
        if self.find(whole).is_none() {
            drawn.push(ring);
            return;
        }
        let exterior = area(whole) > 0;
        let mut pieces = self.cut(whole.to_vec());
        if !exterior && pieces.iter().any(|(area, _)| *area > 0) {
            // Land within a hole would need a place among the exteriors: left as it is.
            drawn.push(ring);
            return;
        }
        pieces.sort_unstable_by_key(|(area, _)| (*area < 0, *area));
        rounded.truncate(ring.start);
        for (_, piece) in pieces {
            let start = rounded.len();
            rounded.extend(piece);
            drawn.push(start..rounded.len());
        }
    }

    /// The rings with an area that a ring becomes, and twice their areas.
    fn cut(&mut self, ring: Vec<[i32; 2]>) -> Vec<(i64, Vec<[i32; 2]>)> {
        let (mut pieces, mut open) = (Vec::new(), vec![ring]);
        while let Some(mut piece) = open.pop() {
            if let Some((there, back)) = self.find(&piece) {
                piece.rotate_left(there + 1);
                let mut other = piece.split_off(back - there);
                // Both end where they begin.
                piece.pop();
                other.pop();
                open.extend([piece, other]);
            } else if area(&piece) != 0 {
                pieces.push((area(&piece), piece));
            }
        }
        pieces
    }

    /// The first vertices of an edge and of a later one that runs back along it.
    fn find(&mut self, ring: &[[i32; 2]]) -> Option<(usize, usize)> {
        let next = |i: usize| ring.get(i + 1).or(ring.first()).copied();
        self.middles.clear();
        for (i, [x, y]) in (0u32..).zip(ring) {
            let [to_x, to_y] = next(i as usize)?;
            let sum = |a: i32, b: i32| u64::from(a.wrapping_add(b).cast_unsigned());
            self.middles.push(((sum(*x, to_x) << 32) | sum(*y, to_y), i));
        }
        self.middles.sort_unstable();
        self.middles.windows(2).find_map(|pair| {
            let [(a, there), (b, back)] = pair else { return None };
            let (there, back) = (*there as usize, *back as usize);
            let opposite =
                || ring.get(there).copied() == next(back) && ring.get(back).copied() == next(there);
            (a == b && opposite()).then_some((there, back))
        })
    }
}

fn area(ring: &[[i32; 2]]) -> i64 {
    twice_area(ring.iter().map(|[x, y]| (i64::from(*x), i64::from(*y))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(ring: &[[i32; 2]]) -> Vec<Vec<[i32; 2]>> {
        let (mut rounded, mut drawn) = (vec![[9, 9]], Vec::new());
        rounded.extend(ring);
        Necks::default().list(&mut rounded, 1..ring.len() + 1, &mut drawn);
        drawn.into_iter().map(|range| rounded[range].to_vec()).collect()
    }

    #[test]
    fn a_ring_is_cut_at_its_neck_wherever_it_begins() {
        // Two squares, of 16 and of 4, and the line between them.
        let ring = [
            [0, 0],
            [4, 0],
            [4, 2],
            [7, 2],
            [7, 1],
            [9, 1],
            [9, 3],
            [7, 3],
            [7, 2],
            [4, 2],
            [4, 4],
            [0, 4],
        ];
        for start in 0..ring.len() {
            let mut turned = ring;
            turned.rotate_left(start);
            let pieces = listed(&turned);
            let areas: Vec<i64> = pieces.iter().map(|p| area(p)).collect();
            assert_eq!(areas, [8, 32], "from {start}: {pieces:?}");
            turned.reverse();
            let areas: Vec<i64> = listed(&turned).iter().map(|p| area(p)).collect();
            assert_eq!(areas, [-32, -8], "from {start}");
        }
    }

    #[test]
    fn a_ring_that_closes_around_a_lake_gets_a_hole() {
        // Its two ends meet along the edge from (2, 0) to (2, 1).
        let ring = [
            [0, 0],
            [2, 0],
            [2, 1],
            [1, 1],
            [1, 2],
            [3, 2],
            [3, 1],
            [2, 1],
            [2, 0],
            [4, 0],
            [4, 3],
            [0, 3],
        ];
        let pieces = listed(&ring);
        let areas: Vec<i64> = pieces.iter().map(|p| area(p)).collect();
        assert_eq!(areas, [24, -4], "{pieces:?}");
        // The other way round it is a hole with land in it.
        let mut turned = ring;
        turned.reverse();
        assert_eq!(listed(&turned), [turned.to_vec()]);
    }

    #[test]
    fn other_rings_stay_as_they_are() {
        let square = [[0, 0], [4, 0], [4, 4], [0, 4]];
        assert_eq!(listed(&square), [square.to_vec()]);
        // Two that touch in one point, and edges that cross in their middles.
        let touching = [[0, 0], [2, 0], [2, 2], [4, 2], [4, 4], [2, 4], [2, 2], [0, 2]];
        assert_eq!(listed(&touching), [touching.to_vec()]);
        let crossing = [[0, 0], [2, 2], [3, 0], [2, 0], [0, 2], [-1, 3]];
        assert_eq!(listed(&crossing), [crossing.to_vec()]);
    }
}
