//! Which pieces of edges bound what lies inside of both the polygon and the border.
//!
//! Pieces meet at their ends only, so that what is known of one spreads to its neighbours: around
//! a place, the sides of the pieces follow one another; along a chain that meets nothing, they
//! stay the same. A point is asked where it lies only for chains that meet nothing of the other.

use crate::geometry::{
    faces::{Edge, Nodes, around},
    predicates::Place,
};
use geo_types::Coord;
use rustc_hash::FxHashMap;

/// Says where a point lies with regard to one of the two.
pub(super) type Where<'a> = dyn Fn(Coord<f64>) -> Place + 'a;

/// Pieces contradict each other: rounding put one on the wrong side of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Muddled;

/// What is inside of both.
pub(super) enum Kept {
    /// The whole polygon.
    All,
    /// Nothing.
    None,
    /// What these edges bound, the inside on their left.
    Some(Vec<Edge>),
}

/// A piece, from its lower node to its higher one.
struct Piece {
    ends: [u32; 2],
    /// For the polygon and for the border: 1 when the inside is on its left, −1 when it is on its
    /// right, 0 when it is no edge of it.
    way: [i8; 2],
    /// For the polygon and for the border: whether its left and its right side are inside.
    sides: [Option<[bool; 2]>; 2],
}

impl Piece {
    /// Whether the left side is inside, seen along the piece leaving the node.
    fn side(&self, of: usize, from: u32, left: bool) -> Option<bool> {
        let along = self.ends[0] == from;
        self.sides[of].map(|s| if along == left { s[0] } else { s[1] })
    }
}

/// What lies inside of both; `places` answer for the polygon and for the border.
pub(super) fn both(
    subject: &[Edge],
    border: &[Edge],
    places: [&Where<'_>; 2],
) -> Result<Kept, Muddled> {
    let mut graph = Graph::new(subject, border)?;
    for (of, place) in places.into_iter().enumerate() {
        graph.spread(of, place)?;
    }
    Ok(graph.kept())
}

struct Graph {
    places: Vec<Coord<f64>>,
    pieces: Vec<Piece>,
    /// `starts[n]..starts[n + 1]` are the positions in `around` of node `n`.
    starts: Vec<u32>,
    /// Pieces by node, counter-clockwise.
    around: Vec<u32>,
}

impl Graph {
    fn new(subject: &[Edge], border: &[Edge]) -> Result<Self, Muddled> {
        let total = subject.len() + border.len();
        let mut nodes = Nodes::with_capacity(total);
        let mut known: FxHashMap<[u32; 2], u32> = FxHashMap::default();
        known.reserve(total);
        let mut pieces: Vec<Piece> = Vec::with_capacity(total);
        for (of, edges) in [subject, border].into_iter().enumerate() {
            for [a, b] in edges {
                let (a, b) = (nodes.id(*a), nodes.id(*b));
                let (ends, way) = if a < b { ([a, b], 1) } else { ([b, a], -1) };
                let new = pieces.len();
                let at = *known.entry(ends).or_insert(new as u32) as usize;
                if at == new {
                    pieces.push(Piece { ends, way: [0; 2], sides: [None; 2] });
                }
                pieces[at].way[of] += way;
            }
        }
        if pieces.iter().any(|p| p.way.iter().any(|w| w.abs() > 1)) {
            return Err(Muddled);
        }
        pieces.retain(|p| p.way != [0; 2]);
        for piece in &mut pieces {
            for of in 0..2 {
                let left = piece.way[of] > 0;
                piece.sides[of] = (piece.way[of] != 0).then_some([left, !left]);
            }
        }
        Ok(Self::sorted(nodes.places, pieces))
    }

    fn sorted(places: Vec<Coord<f64>>, pieces: Vec<Piece>) -> Self {
        let mut starts = vec![0u32; places.len() + 1];
        pieces.iter().flat_map(|p| p.ends).for_each(|n| starts[n as usize + 1] += 1);
        for n in 1..starts.len() {
            starts[n] += starts[n - 1];
        }
        let mut next = starts.clone();
        let mut fans = vec![0u32; 2 * pieces.len()];
        for (i, piece) in (0u32..).zip(&pieces) {
            for n in piece.ends {
                let slot = &mut next[n as usize];
                fans[*slot as usize] = i;
                *slot += 1;
            }
        }
        for n in 0..places.len() {
            let fan = &mut fans[starts[n] as usize..starts[n + 1] as usize];
            // Two are in order whichever comes first.
            if fan.len() > 2 {
                let far = |i: u32| {
                    let ends = pieces[i as usize].ends;
                    places[ends[usize::from(ends[0] == n as u32)] as usize]
                };
                fan.sort_unstable_by(|a, b| around(places[n], far(*a), far(*b)));
            }
        }
        Self { places, pieces, starts, around: fans }
    }

    fn fan(&self, node: u32) -> std::ops::Range<usize> {
        self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize
    }

    /// Finds the sides of all pieces with regard to the polygon (0) or the border (1).
    fn spread(&mut self, of: usize, place: &Where<'_>) -> Result<(), Muddled> {
        let mut found: Vec<u32> = Vec::new();
        for node in 0..self.places.len() as u32 {
            self.turn(of, node, &mut found)?;
        }
        self.follow(of, &mut found)?;
        for i in 0..self.pieces.len() {
            if self.pieces[i].sides[of].is_some() {
                continue;
            }
            let [a, b] = self.pieces[i].ends.map(|n| self.places[n as usize]);
            let inside = match place(a) {
                Place::Border => place((a + b) / 2.0) != Place::Outside,
                told => told == Place::Inside,
            };
            self.pieces[i].sides[of] = Some([inside; 2]);
            found.push(i as u32);
            self.follow(of, &mut found)?;
        }
        Ok(())
    }

    /// Goes once around a node at which an edge is known, and tells the others.
    fn turn(&mut self, of: usize, node: u32, found: &mut Vec<u32>) -> Result<(), Muddled> {
        let fan = self.fan(node);
        let own = |i: usize| self.pieces[self.around[i] as usize].way[of] != 0;
        // Where nothing is to be told, pieces may be missing: the border is known nearby only.
        if fan.clone().all(own) {
            return Ok(());
        }
        let Some(first) = fan.clone().find(|i| own(*i)) else { return Ok(()) };
        let count = fan.len();
        let at = |step: usize| fan.start + (first - fan.start + step) % count;
        let first = &self.pieces[self.around[first] as usize];
        let Some(mut inside) = first.side(of, node, true) else { return Err(Muddled) };
        for step in 1..=count {
            let i = self.around[at(step)];
            let piece = &mut self.pieces[i as usize];
            match piece.side(of, node, false) {
                Some(right) if right != inside => return Err(Muddled),
                Some(_) => inside = piece.side(of, node, true).unwrap_or(inside),
                None => {
                    piece.sides[of] = Some([inside; 2]);
                    found.push(i);
                }
            }
        }
        Ok(())
    }

    /// Follows the pieces found to those that hang on them.
    fn follow(&mut self, of: usize, found: &mut Vec<u32>) -> Result<(), Muddled> {
        while let Some(i) = found.pop() {
            let (ends, sides) = (self.pieces[i as usize].ends, self.pieces[i as usize].sides);
            for node in ends {
                let fan = self.fan(node);
                if self.around[fan.clone()].iter().any(|i| self.pieces[*i as usize].way[of] != 0) {
                    continue;
                }
                for at in fan {
                    let other = self.around[at];
                    let piece = &mut self.pieces[other as usize];
                    match piece.sides[of] {
                        None => {
                            piece.sides[of] = sides[of];
                            found.push(other);
                        }
                        known if known != sides[of] => return Err(Muddled),
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    fn kept(&self) -> Kept {
        let mut edges = Vec::new();
        let (mut of_subject, mut own) = (0usize, 0usize);
        for piece in &self.pieces {
            own += usize::from(piece.way[0] != 0);
            let [Some(subject), Some(border)] = piece.sides else { continue };
            let [left, right] = [subject[0] && border[0], subject[1] && border[1]];
            if left == right {
                continue;
            }
            let [a, b] = piece.ends.map(|n| self.places[n as usize]);
            edges.push(if left { [a, b] } else { [b, a] });
            of_subject += usize::from(piece.way[0] != 0);
        }
        match edges.len() {
            0 => Kept::None,
            n if n == of_subject && n == own => Kept::All,
            _ => Kept::Some(edges),
        }
    }
}
