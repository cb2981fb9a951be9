//! Pairs of segments whose boxes meet, found in one sweep.

use super::Problem;
use geo_types::Coord;

/// `[min x, min y, max x, max y]`.
type Bounds = [f64; 4];

fn meet(a: &Bounds, b: &Bounds) -> bool {
    a[0] <= b[2] && b[0] <= a[2] && a[1] <= b[3] && b[1] <= a[3]
}

/// What names a segment: its own number and its ring's.
pub(super) type Name = (u32, u32);

/// Segments to be paired.
#[derive(Debug)]
pub(super) struct Segments {
    all: Vec<(Bounds, Name)>,
}

impl Segments {
    pub(super) fn with_capacity(n: usize) -> Self {
        Self { all: Vec::with_capacity(n) }
    }

    pub(super) fn add(&mut self, a: Coord<f64>, b: Coord<f64>, number: u32, ring: u32) {
        let bounds = [a.x.min(b.x), a.y.min(b.y), a.x.max(b.x), a.y.max(b.y)];
        self.all.push((bounds, (number, ring)));
    }

    /// Gives every pair whose boxes meet, each once, until one is a problem.
    ///
    /// A sweep from west to east is fastest on the outlines of this world. Where it degenerates
    /// (long parallel lines), the rest is done by descending a tree of boxes.
    pub(super) fn each_pair(
        self,
        f: &mut dyn FnMut(Name, Name) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let mut order: Vec<u32> = (0..self.all.len() as u32).collect();
        order.sort_unstable_by(|&i, &j| {
            self.all[i as usize].0[0].total_cmp(&self.all[j as usize].0[0])
        });
        let sorted: Vec<(Bounds, Name)> = order.iter().map(|&i| self.all[i as usize]).collect();
        // Looked at without a meeting, before the sweep is given up.
        let mut patience = 100 * sorted.len() + 10_000;
        let mut found = Vec::new();
        for (i, (bounds, name)) in sorted.iter().enumerate() {
            let [_, south, east, north] = *bounds;
            let rest = &sorted[i + 1..];
            let before = found.len();
            let mut seen = rest.len();
            for (k, (other, other_name)) in rest.iter().enumerate() {
                if other[0] > east {
                    seen = k;
                    break;
                }
                if other[1] <= north && other[3] >= south {
                    found.push((*name, *other_name));
                }
            }
            for (a, b) in found.drain(before..) {
                f(a, b)?;
            }
            patience = match patience.checked_sub(seen) {
                Some(left) => left,
                None => return Tree::new(self.all).pairs(f),
            };
        }
        Ok(())
    }
}

#[cfg(test)]
impl Segments {
    /// [`Segments::each_pair`] by the tree alone.
    pub(super) fn each_pair_by_tree(
        self,
        f: &mut dyn FnMut(Name, Name) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        Tree::new(self.all).pairs(f)
    }
}

/// A binary tree of boxes over segments in the order of their rings.
struct Tree {
    leaves: Vec<(Bounds, Name)>,
    /// Boxes of pairs of the level below, from the leaves up; the last holds one box.
    levels: Vec<Vec<Bounds>>,
}

impl Tree {
    fn new(leaves: Vec<(Bounds, Name)>) -> Self {
        let mut levels: Vec<Vec<Bounds>> = vec![leaves.iter().map(|l| l.0).collect()];
        while let Some(below) = levels.last().filter(|l| l.len() > 1) {
            let join = |pair: &[Bounds]| match pair {
                [a, b] => [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])],
                _ => pair[0],
            };
            let above = below.chunks(2).map(join).collect();
            levels.push(above);
        }
        Self { leaves, levels }
    }

    /// Pairs may be given again that a sweep already gave: judging them twice changes nothing
    /// but the touches, which are gathered as a set.
    fn pairs(&self, f: &mut dyn FnMut(Name, Name) -> Result<(), Problem>) -> Result<(), Problem> {
        let top = self.levels.len() - 1;
        let mut stack = vec![(top, 0, 0)];
        while let Some((level, i, j)) = stack.pop() {
            let boxes = &self.levels[level];
            if i >= boxes.len() || j >= boxes.len() || i != j && !meet(&boxes[i], &boxes[j]) {
                continue;
            }
            if level == 0 {
                if i != j {
                    f(self.leaves[i].1, self.leaves[j].1)?;
                }
                continue;
            }
            let below = level - 1;
            stack.push((below, 2 * i, 2 * j));
            stack.push((below, 2 * i, 2 * j + 1));
            stack.push((below, 2 * i + 1, 2 * j + 1));
            if i != j {
                stack.push((below, 2 * i + 1, 2 * j));
            }
        }
        Ok(())
    }
}
