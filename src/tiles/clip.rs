//! Cutting rings and lines at the box of a tile, on integers.
//!
//! Two neighbours share the very segments of their border, in opposite directions: where a
//! segment meets the box is computed from its ends in one fixed order, so that both get the very
//! same vertex. A polygon that leaves the box and comes back falls into pieces, as OGC validity
//! wants, and is not bridged along the edge.

/// A vertex in tile units; overzoomed geometry reaches far beyond 32 bits.
pub(super) type Vertex = [i64; 2];

/// A box, its edges included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Box2 {
    pub(super) min: i64,
    pub(super) max: i64,
}

/// One side of the box: the axis across it, where it is, and whether inside is below.
#[derive(Clone, Copy)]
struct Side {
    axis: usize,
    at: i64,
    below: bool,
}

impl Side {
    fn inside(self, v: Vertex) -> bool {
        if self.below { v[self.axis] <= self.at } else { v[self.axis] >= self.at }
    }

    /// As [`Side::inside`], without the side itself.
    fn beyond(self, v: Vertex) -> bool {
        if self.below { v[self.axis] < self.at } else { v[self.axis] > self.at }
    }

    /// Where a segment with one end inside and one not meets the side.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "rounded")]
    fn meet(self, a: Vertex, b: Vertex) -> Vertex {
        let (a, b) = if a <= b { (a, b) } else { (b, a) };
        let (axis, other) = (self.axis, 1 - self.axis);
        let part = (self.at - a[axis]) as f64 / (b[axis] - a[axis]) as f64;
        let mut met = [self.at; 2];
        met[other] = a[other] + (part * (b[other] - a[other]) as f64).round() as i64;
        met
    }
}

impl Box2 {
    pub(super) fn contains(self, v: Vertex) -> bool {
        v.iter().all(|c| (self.min..=self.max).contains(c))
    }

    fn sides(self) -> [Side; 4] {
        let side = |axis, at, below| Side { axis, at, below };
        [
            side(0, self.min, false),
            side(0, self.max, true),
            side(1, self.min, false),
            side(1, self.max, true),
        ]
    }

    /// The part of a segment that is inside, in its direction; `None` when there is none.
    pub(super) fn clip_segment(self, mut a: Vertex, mut b: Vertex) -> Option<(Vertex, Vertex)> {
        for side in self.sides() {
            match (side.inside(a), side.inside(b)) {
                (true, true) => {}
                (false, false) => return None,
                (true, false) => b = side.meet(a, b),
                (false, true) => a = side.meet(a, b),
            }
        }
        Some((a, b))
    }
}

/// The rings of a polygon, end to end, first vertices not repeated.
#[derive(Debug, Default)]
pub(super) struct Rings {
    vertices: Vec<Vertex>,
    ends: Vec<usize>,
}

impl Rings {
    pub(super) fn clear(&mut self) {
        self.vertices.clear();
        self.ends.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn push(&mut self, ring: &[Vertex]) {
        self.vertices.extend_from_slice(ring);
        self.ends.push(self.vertices.len());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[Vertex]> + Clone {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.vertices[start..*end])
    }

    fn open(&mut self) -> &mut Vec<Vertex> {
        &mut self.vertices
    }

    fn end(&mut self) {
        self.ends.push(self.vertices.len());
    }

    fn get(&self, i: usize) -> &[Vertex] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.vertices[start..self.ends[i]]
    }
}

/// Cuts polygons; its buffers serve one after the other.
#[derive(Debug, Default)]
pub(super) struct Clipper {
    cut: Rings,
    /// Parts of rings between coming in and going out.
    chains: Rings,
    entries: Vec<usize>,
    exits: Vec<usize>,
    /// For each chain, the one that follows along the side.
    next: Vec<usize>,
}

impl Clipper {
    /// Cuts a polygon (all its rings) at a box. Rings wound clockwise are then exteriors, the
    /// others holes, in no order; cut holes have become part of the outline.
    pub(super) fn clip(&mut self, polygon: &mut Rings, bounds: Box2) {
        for side in bounds.sides() {
            if polygon.vertices.iter().all(|v| side.inside(*v)) {
                continue;
            }
            self.cut.clear();
            self.chains.clear();
            for ring in polygon.iter() {
                let outside = ring.iter().position(|v| !side.inside(*v));
                match outside {
                    None => self.cut.push(ring),
                    Some(start) => self.chain(ring, start, side),
                }
            }
            self.link(1 - side.axis);
            std::mem::swap(polygon, &mut self.cut);
        }
    }

    /// Takes the parts of a ring that are inside; `start` is a vertex outside. Vertices on the
    /// side end a part: a ring that comes back to touch it falls in two, which is valid, rather
    /// than touch itself.
    fn chain(&mut self, ring: &[Vertex], start: usize, side: Side) {
        let around = ring[start + 1..].iter().chain(&ring[..=start]).copied();
        let (mut before, mut before_in) = (ring[start], false);
        for v in around {
            let v_in = side.beyond(v);
            if v_in != before_in {
                self.chains.open().push(side.meet(before, v));
            }
            if v_in {
                self.chains.open().push(v);
            } else if before_in {
                self.chains.end();
            }
            (before, before_in) = (v, v_in);
        }
    }

    /// Joins the chains along the side. Places where the outline goes out and comes in follow
    /// each other in turn: the first exit leads to the first entry, and so on.
    fn link(&mut self, along: usize) {
        let count = self.chains.ends.len();
        let chains = &self.chains;
        let place = |v: Option<&Vertex>| v.map_or(0, |v| v[along]);
        self.entries.clear();
        self.entries.extend(0..count);
        self.entries.sort_by_key(|c| place(chains.get(*c).first()));
        self.exits.clear();
        self.exits.extend(0..count);
        self.exits.sort_by_key(|c| place(chains.get(*c).last()));
        self.next.clear();
        self.next.resize(count, usize::MAX);
        for (exit, entry) in self.exits.iter().zip(&self.entries) {
            self.next[*exit] = *entry;
        }
        for first in 0..count {
            let mut chain = first;
            while self.next[chain] != usize::MAX {
                self.cut.open().extend_from_slice(self.chains.get(chain));
                chain = std::mem::replace(&mut self.next[chain], usize::MAX);
            }
            if self.cut.vertices.len() > self.cut.ends.last().copied().unwrap_or_default() {
                self.cut.end();
            }
        }
    }
}

/// Whether a ring holds a point (even-odd; on its edge either).
pub(super) fn holds(ring: &[Vertex], [x, y]: Vertex) -> bool {
    let crosses = |(a, b): (&Vertex, &Vertex)| {
        let (low, high) = if a[1] <= b[1] { (a, b) } else { (b, a) };
        low[1] <= y
            && y < high[1]
            && (x - low[0]) * (high[1] - low[1]) < (high[0] - low[0]) * (y - low[1])
    };
    ring.iter().zip(ring.iter().cycle().skip(1)).filter(|edge| crosses(*edge)).count() % 2 == 1
}

/// Removes what has no area: vertices repeated, and vertices from which the ring turns back on
/// itself.
pub(super) fn tidy_ring(ring: &mut Vec<Vertex>) {
    let mut kept = 0;
    for i in 0..ring.len() {
        let v = ring[i];
        while kept >= 2 && turns_back(ring[kept - 2], ring[kept - 1], v) {
            kept -= 1;
        }
        if kept == 0 || ring[kept - 1] != v {
            ring[kept] = v;
            kept += 1;
        }
    }
    ring.truncate(kept);
    // The same across the seam.
    let mut start = 0;
    while let [first, second, .., before, last] = ring[start..] {
        if last == first || turns_back(before, last, first) {
            ring.pop();
        } else if turns_back(last, first, second) {
            start += 1;
        } else {
            break;
        }
    }
    ring.drain(..start);
}

/// Whether a path from `a` by `b` to `c` comes back over itself.
fn turns_back(a: Vertex, b: Vertex, c: Vertex) -> bool {
    let (ux, uy) = (b[0] - a[0], b[1] - a[1]);
    let (vx, vy) = (c[0] - b[0], c[1] - b[1]);
    ux * vy == uy * vx && ux * vx + uy * vy < 0
}

/// Twice the area of a ring inside the box, positive when clockwise (y south).
pub(super) fn twice_area(ring: &[Vertex]) -> i64 {
    let Some([x0, y0]) = ring.first().copied() else { return 0 };
    let cross = |pair: &[Vertex]| match pair {
        [a, b] => (a[0] - x0) * (b[1] - y0) - (b[0] - x0) * (a[1] - y0),
        _ => 0,
    };
    ring.windows(2).map(cross).fold(0, i64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOX: Box2 = Box2 { min: -64, max: 4160 };

    /// The rings left of a polygon, tidied, without those that have no area.
    fn pieces(rings: &[&[Vertex]]) -> Vec<Vec<Vertex>> {
        let mut polygon = Rings::default();
        rings.iter().for_each(|r| polygon.push(r));
        Clipper::default().clip(&mut polygon, BOX);
        let mut pieces: Vec<Vec<Vertex>> = polygon.iter().map(<[_]>::to_vec).collect();
        pieces.iter_mut().for_each(tidy_ring);
        pieces.retain(|r| twice_area(r) != 0);
        pieces
    }

    fn clipped(ring: &[Vertex]) -> Vec<Vertex> {
        pieces(&[ring]).into_iter().next().unwrap_or_default()
    }

    #[test]
    fn a_comb_falls_into_its_teeth() {
        // Three teeth hang into the box from above; the back of the comb is outside.
        let comb = [
            [0, -500],
            [1000, -500],
            [1000, 500],
            [900, 500],
            [900, -100],
            [500, -100],
            [500, 300],
            [400, 300],
            [400, -100],
            [100, -100],
            [100, 200],
            [0, 200],
        ];
        let mut teeth = pieces(&[&comb]);
        teeth.sort();
        let areas: Vec<i64> = teeth.iter().map(|t| twice_area(t) / 200).collect();
        assert_eq!(areas, [264, 364, 564]);
        assert!(teeth.iter().all(|t| t.len() == 4));
    }

    #[test]
    fn a_ring_that_touches_the_edge_from_inside_falls_in_two() {
        let ring = [[-200, 0], [0, 0], [-64, 100], [0, 200], [-200, 200]];
        let areas: Vec<i64> = pieces(&[&ring]).iter().map(|r| twice_area(r)).collect();
        assert_eq!(areas, [6400, 6400]);
        // One that only touches it stays as it is.
        let ring = [[-64, 0], [0, 0], [-64, 100], [0, 200], [-20, 200]];
        assert_eq!(pieces(&[&ring]), [ring]);
    }

    #[test]
    fn a_hole_across_the_edge_opens_the_outline() {
        let outer = [[-500, 0], [1000, 0], [1000, 1000], [-500, 1000]];
        let across = [[-200, 400], [-200, 600], [100, 600], [100, 400]];
        let inside = [[500, 400], [500, 600], [600, 600], [600, 400]];
        let rings = pieces(&[&outer, &across, &inside]);
        let mut areas: Vec<i64> = rings.iter().map(|r| twice_area(r)).collect();
        areas.sort_unstable();
        assert_eq!(areas, [-2 * 100 * 200, 2 * (1064 * 1000 - 164 * 200)]);
        let outline = rings.iter().find(|r| twice_area(r) > 0).unwrap();
        assert_eq!(outline.len(), 8);
        assert!(holds(outline, [500, 400]) && !holds(outline, [50, 500]));
    }

    #[test]
    fn a_ring_around_the_box_becomes_the_box() {
        let far = 1 << 36;
        let ring = clipped(&[[-far, -far], [far, -far], [far, far], [-far, far]]);
        assert_eq!(twice_area(&ring), 2 * 4224 * 4224);
        assert_eq!(ring.len(), 4);
    }

    #[test]
    fn a_ring_beside_the_box_is_nothing() {
        assert!(clipped(&[[5000, 0], [6000, 0], [6000, 100]]).is_empty());
        // Its box meets the tile's, it does not.
        let ring = clipped(&[[4000, -900], [6000, -900], [6000, 1000]]);
        assert_eq!(twice_area(&ring), 0);
    }

    #[test]
    fn spikes_and_repeats_go() {
        let mut ring = vec![[0, 0], [0, 0], [10, 0], [30, 0], [20, 0], [20, 10], [0, 10], [0, -5]];
        tidy_ring(&mut ring);
        assert_eq!(ring, [[0, 0], [10, 0], [20, 0], [20, 10], [0, 10]]);
        let mut flat = vec![[0, 0], [10, 10], [5, 5], [20, 20]];
        tidy_ring(&mut flat);
        assert_eq!(twice_area(&flat), 0);
    }

    proptest! {
        #[test]
        fn neighbours_meet_the_box_at_the_same_vertex(
            a in prop::array::uniform2(-100_000i64..100_000),
            b in prop::array::uniform2(-100_000i64..100_000),
        ) {
            let there = BOX.clip_segment(a, b);
            let back = BOX.clip_segment(b, a).map(|(b, a)| (a, b));
            prop_assert_eq!(there, back);
            if let Some((a, b)) = there {
                prop_assert!(BOX.contains(a) && BOX.contains(b));
            }
        }

        #[test]
        fn clipped_rings_lie_in_the_box_and_keep_their_winding(
            corners in prop::collection::vec(prop::array::uniform2(-9000i64..12_000), 3..3usize.pow(2)),
        ) {
            let ring = clipped(&corners);
            prop_assert!(ring.iter().all(|v| BOX.contains(*v)));
            prop_assert!(ring.windows(2).all(|p| p[0] != p[1]));
            if corners.len() == 3 {
                let (before, after) = (twice_area(&corners), twice_area(&ring));
                prop_assert!(after == 0 || (after > 0) == (before > 0) || after.abs() < 20_000);
                prop_assert!(after.abs() <= before.abs() + 20_000);
            }
        }
    }
}
