//! Where the paths of a layer meet and part: the junctions that cut them into arcs.
//!
//! A vertex is a *junction* when paths pass it with different pairs of neighbours, when a path
//! ends or turns back there. Between two junctions all paths that pass are one and the same arc,
//! whatever their direction (the idea of TopoJSON). Arcs are not built: to know for each
//! vertex where its place was *first* visited is enough to treat each arc once.

use super::grid::{Role, Shapes, Vertex};
use rayon::prelude::*;

/// Vertices of one bucket: their table stays in the processor's near cache.
const BUCKET: usize = 4096;

/// How the vertices of [`Shapes`] hang together; both lists by vertex index.
pub(super) struct Topology {
    /// Index of the first vertex, in order of paths, at the same place.
    pub(super) first: Vec<u32>,
    /// Whether the place is a junction.
    pub(super) junction: Vec<bool>,
}

/// Finds repeated places and junctions.
#[expect(clippy::cast_possible_truncation, reason = "build() promises at most 2^32 vertices")]
pub(super) fn find(shapes: &Shapes) -> Topology {
    let total = shapes.vertices.len();
    let bits = (total / BUCKET).next_power_of_two().trailing_zeros().clamp(1, 16);
    let lists: Vec<Sorted> = chunks_of_paths(shapes, 1 << 16)
        .into_par_iter()
        .map(|paths| Sorted::of(shapes, paths, bits))
        .collect();
    let found: Vec<Found> =
        (0..1usize << bits).into_par_iter().map(|b| look(shapes, &lists, b)).collect();

    let mut first: Vec<u32> = (0..total as u32).collect();
    let mut at_first = vec![false; total];
    for bucket in found {
        for (vertex, place) in bucket.repeats {
            first[vertex as usize] = place;
        }
        for place in bucket.junctions {
            at_first[place as usize] = true;
        }
    }
    let junction = first.par_iter().map(|f| at_first[*f as usize]).collect();
    Topology { first, junction }
}

/// Ranges of paths that hold about `vertices` vertices each.
pub(super) fn chunks_of_paths(shapes: &Shapes, vertices: usize) -> Vec<std::ops::Range<usize>> {
    let mut chunks = Vec::new();
    let (mut start, mut from) = (0, 0);
    for (i, path) in shapes.paths.iter().enumerate() {
        if path.end - from >= vertices {
            chunks.push(start..i + 1);
            (start, from) = (i + 1, path.end);
        }
    }
    if start < shapes.paths.len() {
        chunks.push(start..shapes.paths.len());
    }
    chunks
}

/// The vertices of some paths, sorted by bucket.
struct Sorted {
    /// Where each bucket starts in `vertices`; one more at the end.
    starts: Vec<u32>,
    vertices: Vec<u32>,
}

impl Sorted {
    #[expect(clippy::cast_possible_truncation, reason = "build() promises at most 2^32 vertices")]
    fn of(shapes: &Shapes, paths: std::ops::Range<usize>, bits: u32) -> Self {
        // Points meet nothing.
        let indices = || {
            let paths = shapes.paths[paths.clone()].iter();
            paths.filter(|p| p.role != Role::Points).flat_map(|p| p.start..p.end)
        };
        let bucket = |i: usize| (hash(shapes.vertices[i]) >> (64 - bits)) as usize;
        let mut starts = vec![0u32; (1 << bits) + 1];
        for i in indices() {
            starts[bucket(i) + 1] += 1;
        }
        for b in 1..starts.len() {
            starts[b] += starts[b - 1];
        }
        let mut next = starts.clone();
        let mut vertices = vec![0; starts.last().copied().unwrap_or_default() as usize];
        for i in indices() {
            let slot = &mut next[bucket(i)];
            vertices[*slot as usize] = i as u32;
            *slot += 1;
        }
        Self { starts, vertices }
    }

    fn bucket(&self, b: usize) -> &[u32] {
        &self.vertices[self.starts[b] as usize..self.starts[b + 1] as usize]
    }
}

fn hash(v: Vertex) -> u64 {
    let h = v.key().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (h ^ (h >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What one bucket found.
#[derive(Default)]
struct Found {
    /// Vertices whose place was visited before, with the index of the first visit.
    repeats: Vec<(u32, u32)>,
    /// First visits of the places that are junctions.
    junctions: Vec<u32>,
}

/// A place in a bucket's table.
#[derive(Clone, Copy)]
struct Place {
    /// Index of the first vertex here; [`Place::FREE`] when the slot holds nothing.
    first: u32,
    junction: bool,
    /// Keys of its two neighbours, sorted.
    neighbours: (u64, u64),
}

impl Place {
    const FREE: u32 = u32::MAX;
    const EMPTY: Self = Self { first: Self::FREE, junction: false, neighbours: (0, 0) };
}

fn look(shapes: &Shapes, lists: &[Sorted], b: usize) -> Found {
    let mut found = Found::default();
    let count: usize = lists.iter().map(|l| l.bucket(b).len()).sum();
    let size = (2 * count).next_power_of_two();
    let mut table = vec![Place::EMPTY; size];
    for index in lists.iter().flat_map(|l| l.bucket(b)).copied() {
        let i = index as usize;
        let vertex = shapes.vertices[i];
        let (before, after) = (shapes.vertices[i - 1].key(), shapes.vertices[i + 1].key());
        let neighbours = (before.min(after), before.max(after));
        let mut slot = hash(vertex) as usize & (size - 1);
        loop {
            let place = &mut table[slot];
            if place.first == Place::FREE {
                let nowhere = Vertex::NOWHERE.key();
                let end = before == after || before == nowhere || after == nowhere;
                *place = Place { first: index, junction: end, neighbours };
                if end {
                    found.junctions.push(index);
                }
                break;
            }
            if shapes.vertices[place.first as usize] == vertex {
                found.repeats.push((index, place.first));
                if !place.junction && place.neighbours != neighbours {
                    place.junction = true;
                    found.junctions.push(place.first);
                }
                break;
            }
            slot = (slot + 1) & (size - 1);
        }
    }
    found
}
