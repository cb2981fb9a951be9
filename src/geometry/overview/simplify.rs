//! How much each vertex matters: the effective areas of Visvalingam and Whyatt (1993), computed
//! once per arc for all bands. A band keeps the vertices above its threshold.

use super::{
    arcs::{Topology, chunks_of_paths},
    grid::{Path, Role, Shapes, Vertex},
};
use rayon::prelude::*;
use std::{cmp::Reverse, collections::BinaryHeap};

/// The weight of each vertex, by vertex index: twice the area of the smallest triangle whose
/// removal takes the vertex away, in units of the finest grid; infinite where it always stays
/// (junctions, ends, points, the last three of a feature's largest ring).
pub(super) fn weigh(shapes: &Shapes, topology: &Topology) -> Vec<f32> {
    let kept = largest_rings(shapes, topology);
    let mut weights = vec![f32::INFINITY; shapes.vertices.len()];
    let chunks = chunks_of_paths(shapes, 1 << 15);
    let mut rest = weights.as_mut_slice();
    let mut from = 0;
    let mut jobs = Vec::with_capacity(chunks.len());
    for paths in chunks {
        let end = shapes.paths[paths.end - 1].end;
        let (share, after) = rest.split_at_mut(end - from);
        jobs.push((paths, from, share));
        (rest, from) = (after, end);
    }
    jobs.into_par_iter().for_each(|(paths, from, share)| {
        let mut arc = Arc::default();
        for p in paths {
            arc.weigh_path(shapes, topology, &shapes.paths[p], kept[p], from, share);
        }
    });
    // Later visits take the weight of the first, in place: there may be very many.
    for (i, first) in topology.first.iter().enumerate() {
        weights[i] = weights[*first as usize];
    }
    weights
}

/// For each path, whether it is a ring without junction that some feature has as its largest:
/// such a ring may shrink to a triangle, but no further.
fn largest_rings(shapes: &Shapes, topology: &Topology) -> Vec<bool> {
    let mut kept = vec![false; shapes.paths.len()];
    for shape in &shapes.shapes {
        let size = |p: &usize| {
            let path = &shapes.paths[*p];
            let ring = &shapes.vertices[path.start..path.end];
            match path.role {
                Role::Exterior => {
                    super::grid::twice_area(ring.iter().map(|v| (v.x.into(), v.y.into())))
                }
                _ => -1,
            }
        };
        let largest = match shape.paths.len() {
            1 => Some(shape.paths.start),
            _ => shape.paths.clone().max_by_key(size),
        };
        let Some(largest) = largest else { continue };
        // The ring may be known first as the hole of another feature.
        let first = topology.first[shapes.paths[largest].start] as usize;
        let owner = shapes.paths.partition_point(|p| p.end <= first);
        if let Some(kept) = kept.get_mut(owner) {
            *kept = true;
        }
    }
    kept
}

/// One arc being weighed; the buffers are used again for the next.
#[derive(Default)]
struct Arc {
    /// Offsets of its vertices in their path.
    offsets: Vec<usize>,
    vertices: Vec<Vertex>,
    before: Vec<u32>,
    after: Vec<u32>,
    /// Twice-area of each vertex with its present neighbours.
    areas: Vec<u64>,
    heap: BinaryHeap<Reverse<(u64, u32)>>,
}

impl Arc {
    /// Weighs the arcs of a path that no path before it has visited. `share` holds the weights
    /// from vertex `from` on.
    fn weigh_path(
        &mut self,
        shapes: &Shapes,
        topology: &Topology,
        path: &Path,
        kept: bool,
        from: usize,
        share: &mut [f32],
    ) {
        if path.role == Role::Points {
            return;
        }
        let n = path.len();
        let junction = &topology.junction[path.start..path.end];
        let first_here = |offset: usize| {
            let i = path.start + offset;
            topology.first[i] as usize == i
        };
        let vertex = |offset: usize| shapes.vertices[path.start + offset];
        let share = &mut share[path.start - from..path.end - from];
        let Some(seam) = junction.iter().position(|j| *j) else {
            // A ring that meets nothing.
            if first_here(0) {
                self.take(0..n, vertex);
                self.weigh_ring(kept, share);
            }
            return;
        };
        // From junction to junction, once around for rings; lines begin and end with one.
        let steps = if path.role.closed() { n } else { n - 1 };
        let at = |step: usize| if seam + step < n { seam + step } else { seam + step - n };
        let mut start = 0;
        for end in 1..=steps {
            if !junction[at(end)] {
                continue;
            }
            if end - start > 1 && first_here(at(start + 1)) {
                self.take((start..=end).map(at), vertex);
                self.weigh_open(share);
            }
            start = end;
        }
    }

    fn take(&mut self, offsets: impl Iterator<Item = usize>, vertex: impl Fn(usize) -> Vertex) {
        self.offsets.clear();
        self.offsets.extend(offsets);
        self.vertices.clear();
        self.vertices.extend(self.offsets.iter().map(|o| vertex(*o)));
    }

    /// Weighs the vertices between the two ends, which stay.
    fn weigh_open(&mut self, share: &mut [f32]) {
        let n = self.vertices.len();
        if n == 3 {
            let area = triangle(self.vertices[0], self.vertices[1], self.vertices[2]);
            share[self.offsets[1]] = area as f32;
            return;
        }
        self.link();
        for i in 1..n - 1 {
            self.push(i);
        }
        self.remove_until(0, |offset, weight| share[offset] = weight);
    }

    /// Weighs all vertices of a ring. The last three go together, or never when `kept`.
    fn weigh_ring(&mut self, kept: bool, share: &mut [f32]) {
        let n = self.vertices.len();
        self.link();
        for i in 0..n {
            self.push(i);
        }
        let mut left = vec![true; if kept { 0 } else { n }];
        let mut highest = 0.0f32;
        self.remove_until(3, |offset, weight| {
            share[offset] = weight;
            highest = weight;
            if let Some(left) = left.get_mut(offset) {
                *left = false;
            }
        });
        let last: Vec<usize> = (0..left.len()).filter(|i| left[*i]).collect();
        if let [a, b, c] = last[..] {
            let area = triangle(self.vertices[a], self.vertices[b], self.vertices[c]);
            last.iter().for_each(|i| share[*i] = highest.max(area as f32));
        }
    }

    /// Makes every vertex the neighbour of the next, around.
    #[expect(clippy::cast_possible_truncation, reason = "build() promises at most 2^32 vertices")]
    fn link(&mut self) {
        let n = self.vertices.len() as u32;
        self.before.clear();
        self.before.extend((0..n).map(|i| if i == 0 { n - 1 } else { i - 1 }));
        self.after.clear();
        self.after.extend((0..n).map(|i| if i + 1 == n { 0 } else { i + 1 }));
        self.areas.clear();
        self.areas.resize(n as usize, u64::MAX);
        self.heap.clear();
    }

    /// Measures a vertex and puts it in the heap.
    #[expect(clippy::cast_possible_truncation, reason = "build() promises at most 2^32 vertices")]
    fn push(&mut self, i: usize) {
        let (b, a) = (self.before[i] as usize, self.after[i] as usize);
        let area = triangle(self.vertices[b], self.vertices[i], self.vertices[a]);
        self.areas[i] = area;
        self.heap.push(Reverse((area, i as u32)));
    }

    /// Takes vertices away, smallest triangle first, until `least` candidates are left.
    fn remove_until(&mut self, least: usize, mut removed: impl FnMut(usize, f32)) {
        let mut left = self.heap.len();
        let mut weight = 0;
        while left > least {
            let Some(Reverse((area, i))) = self.heap.pop() else { break };
            let i = i as usize;
            // An older measure of a vertex that was measured again or is gone.
            if self.areas[i] != area {
                continue;
            }
            weight = weight.max(area);
            removed(self.offsets[i], weight as f32);
            left -= 1;
            self.areas[i] = u64::MAX;
            let (b, a) = (self.before[i], self.after[i]);
            self.after[b as usize] = a;
            self.before[a as usize] = b;
            for neighbour in [b as usize, a as usize] {
                // Ends of arcs are never measured, and stay.
                if self.areas[neighbour] != u64::MAX {
                    self.push(neighbour);
                }
            }
        }
    }
}

/// Twice the area of a triangle.
fn triangle(a: Vertex, b: Vertex, c: Vertex) -> u64 {
    let d = |p: i32, q: i32| i64::from(p) - i64::from(q);
    (d(b.x, a.x) * d(c.y, a.y) - d(c.x, a.x) * d(b.y, a.y)).unsigned_abs()
}
