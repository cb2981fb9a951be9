//! Which edges cross or touch: they are sorted into square cells, so that only those near each other are
//! compared.

use super::{Edge, Place};
use rayon::prelude::*;
use rustc_hash::FxHashSet;
use std::ops::RangeInclusive;

/// Edges that a cell may have at most; others are left as they are. It keeps what is odd from taking
/// for ever: a heap of tiny edges among some that span the world.
const CROWD: usize = 512;
/// Cells that edges may pass in the mean.
const PASSED: u64 = 4;
/// Edges of one task.
const CHUNK: usize = 4096;

/// Square cells that edges are sorted into, so that only those near each other are compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cells {
    /// A cell's side is two to this power, in units.
    shift: u32,
}

impl Cells {
    /// Cells that hold a few edges each, and of which no edge passes too many.
    pub(super) fn for_edges(edges: &[Edge]) -> Self {
        let sides = |e: &Edge| [0, 1].map(|i| u64::from(e.a[i].abs_diff(e.b[i])));
        let all: u64 = edges.par_iter().map(|e| sides(e).into_iter().max().unwrap_or(0)).sum();
        let mean = all / (edges.len() as u64).max(1);
        let mut shift = (2 * mean).next_power_of_two().trailing_zeros().max(1);
        let passed = |shift: u32| -> u64 {
            edges.par_iter().map(|e| sides(e).iter().map(|side| side >> shift).sum::<u64>()).sum()
        };
        while shift < 28 && passed(shift) > PASSED * (edges.len() as u64 + CHUNK as u64) {
            shift += 1;
        }
        Self { shift }
    }

    /// A cell's number. That two have the same, now and then, costs a comparison.
    fn key(x: i32, y: i32) -> u32 {
        let place = (u64::from(x.cast_unsigned()) << 32) | u64::from(y.cast_unsigned());
        let mixed = place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed ^ (mixed >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
    }

    /// The cells that an edge passes, and perhaps their neighbours.
    pub(super) fn along(self, e: &Edge, mut cell: impl FnMut(u32)) {
        let side = |v: i32| v >> self.shift;
        let [west, east] = [side(e.a[0].min(e.b[0])), side(e.a[0].max(e.b[0]))];
        let [north, south] = [side(e.a[1].min(e.b[1])), side(e.a[1].max(e.b[1]))];
        let narrow = west == east || north == south;
        for x in west..=east {
            let rows = if narrow { north..=south } else { self.rows(e, x, north, south) };
            rows.for_each(|y| cell(Self::key(x, y)));
        }
    }

    /// The rows that an edge passes in a column of cells.
    fn rows(self, e: &Edge, x: i32, north: i32, south: i32) -> RangeInclusive<i32> {
        let (a, b) = if e.a[0] < e.b[0] { (e.a, e.b) } else { (e.b, e.a) };
        let (run, rise) = (i64::from(b[0] - a[0]), i64::from(b[1] - a[1]));
        let at = |column: i64| {
            let along = ((column << self.shift) - i64::from(a[0])).clamp(0, run);
            i64::from(a[1]) + (along * rise).div_euclid(run)
        };
        let (from, to) = (at(x.into()), at(i64::from(x) + 1));
        // One unit more on both sides, for what division leaves.
        let row = |y: i64| i32::try_from(y >> self.shift).unwrap_or(north).clamp(north, south);
        row(from.min(to) - 1)..=row(from.max(to) + 1)
    }

    /// Pairs of edges that meet other than at the ends of both, each once; only in some cells, when
    /// `near` names them.
    #[expect(clippy::cast_possible_truncation, reason = "build() promises at most 2^32 vertices")]
    pub(super) fn meetings(
        self,
        edges: &[Edge],
        near: Option<&FxHashSet<u32>>,
    ) -> Vec<([u32; 2], Meeting)> {
        let chunk = |(at, edges): (usize, &[Edge])| {
            let mut met = Vec::new();
            for (i, edge) in edges.iter().enumerate() {
                self.along(edge, |cell| {
                    if near.is_none_or(|near| near.contains(&cell)) {
                        met.push((u64::from(cell) << 32) | (at * CHUNK + i) as u64);
                    }
                });
            }
            met
        };
        let parts: Vec<_> = edges.par_chunks(CHUNK).enumerate().map(chunk).collect();
        let mut met = parts.concat();
        met.par_sort_unstable();
        let edge = |met: u64| &edges[met as u32 as usize];
        let meetings = |group: &[u64]| {
            let mut found = Vec::new();
            if group.len() > CROWD {
                return found;
            }
            for (n, i) in group.iter().enumerate() {
                let e = edge(*i);
                for j in &group[n + 1..] {
                    let f = edge(*j);
                    if let Some(meeting) = meeting([e.a, e.b], [f.a, f.b]) {
                        found.push(([*i as u32, *j as u32], meeting));
                    }
                }
            }
            found
        };
        let groups = met.par_chunk_by(|a, b| a >> 32 == b >> 32);
        let mut found: Vec<_> = groups.flat_map_iter(meetings).collect();
        found.par_sort_unstable();
        found.dedup();
        found
    }
}

/// The box of an edge.
pub(super) fn bounds(e: &Edge) -> [i32; 4] {
    let [(west, east), (north, south)] = [0, 1].map(|i| (e.a[i].min(e.b[i]), e.a[i].max(e.b[i])));
    [west, north, east, south]
}

/// Whether two boxes have a place in common.
pub(super) fn meet(a: [i32; 4], b: [i32; 4]) -> bool {
    a[0] <= b[2] && b[0] <= a[2] && a[1] <= b[3] && b[1] <= a[3]
}

/// How two edges meet other than at the ends of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meeting {
    /// They cross within both.
    Cross,
    /// An end of one lies within the other.
    Touch,
}

/// How two edges meet, if they do.
pub(super) fn meeting([a, b]: [Place; 2], [c, d]: [Place; 2]) -> Option<Meeting> {
    let apart = |i: usize| a[i].max(b[i]) < c[i].min(d[i]) || c[i].max(d[i]) < a[i].min(b[i]);
    if apart(0) || apart(1) {
        return None;
    }
    let (c_side, d_side) = (side(a, b, c), side(a, b, d));
    if c_side * d_side > 0 {
        return None;
    }
    let (a_side, b_side) = (side(c, d, a), side(c, d, b));
    if c_side * d_side < 0 && a_side * b_side < 0 {
        return Some(Meeting::Cross);
    }
    let touch = c_side == 0 && between(c, [a, b])
        || d_side == 0 && between(d, [a, b])
        || a_side == 0 && between(a, [c, d])
        || b_side == 0 && between(b, [c, d]);
    touch.then_some(Meeting::Touch)
}

/// Whether a place lies on an edge, and is none of its ends.
pub(in super::super) fn within(p: Place, edge: [Place; 2]) -> bool {
    side(edge[0], edge[1], p) == 0 && between(p, edge)
}

/// Whether a place in line with an edge lies on it, and is none of its ends.
fn between(p: Place, [a, b]: [Place; 2]) -> bool {
    let inside = |i: usize| p[i] >= a[i].min(b[i]) && p[i] <= a[i].max(b[i]);
    inside(0) && inside(1) && p != a && p != b
}

/// On which side of the line from `p` to `q` a place lies.
fn side(p: Place, q: Place, r: Place) -> i64 {
    let d = |p: Place, q: Place, i: usize| i64::from(q[i]) - i64::from(p[i]);
    (d(p, q, 0) * d(p, r, 1) - d(p, r, 0) * d(p, q, 1)).signum()
}
