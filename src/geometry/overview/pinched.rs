//! Rings that rounding has pinched: where one comes back to a place it has been at, or a vertex of
//! one lies on an edge of another, it is no valid ring, though it covers what it should. There the
//! rings of a feature are parted: a neck left without width goes, and what is left touches at points,
//! as OGC validity wants. No vertex moves, nothing that is covered changes.

use super::{
    grid::twice_area,
    untangle::{Place, within},
};
use crate::geometry::{
    dissolve::outline,
    faces::{self, Edge},
};
use geo_types::{Coord, LineString};
use std::ops::Range;

/// Comparisons for each vertex of a feature. Beyond, it stays as it is: only rings that zigzag over its
/// whole width ask for as many.
const MOST: usize = 256;

/// Rings times vertices that are put together anew at once.
const HEAVY: usize = 1 << 24;

/// Finds and parts pinched rings.
#[derive(Debug, Default)]
pub(super) struct Pinched {
    /// The vertices from west to east.
    places: Vec<Place>,
    /// The vertices that lie on an edge, by the index of the edge's first one.
    on_edges: Vec<(usize, Place)>,
}

impl Pinched {
    /// Parts the rings `drawn` (ranges of `rounded`, each exterior before its holes) of a feature
    /// where they are pinched.
    pub(super) fn part(&mut self, rounded: &mut Vec<Place>, drawn: &mut Vec<Range<usize>>) {
        let parted = if few(drawn) {
            self.parted(rounded, drawn)
        } else {
            // So many that holding all against all takes too long: polygon by polygon.
            let hole = |_: &Range<usize>, ring: &Range<usize>| area(&rounded[ring.clone()]) < 0;
            let polygons = drawn.chunk_by(hole).flat_map(|polygon| {
                let parted = if few(polygon) { self.parted(rounded, polygon) } else { None };
                let whole = || polygon.iter().map(|ring| rounded[ring.clone()].to_vec()).collect();
                parted.unwrap_or_else(whole)
            });
            Some(polygons.collect())
        };
        let Some(rings) = parted else { return };
        rounded.clear();
        drawn.clear();
        for ring in rings {
            let start = rounded.len();
            rounded.extend(ring);
            drawn.push(start..rounded.len());
        }
    }

    /// The rings that some become; `None` when they stay as they are.
    fn parted(&mut self, rounded: &[Place], drawn: &[Range<usize>]) -> Option<Vec<Vec<Place>>> {
        let mut budget = vertices(drawn).saturating_mul(MOST);
        if !self.find(rounded, drawn, &mut budget) && !hole_outside(rounded, drawn, &mut budget) {
            return None;
        }
        let rings = self.rings(rounded, drawn)?;
        // A lobe that was turned inside out covers nothing and goes: what is left is no less.
        let before =
            drawn.iter().map(|ring| area(&rounded[ring.clone()])).fold(0, i64::wrapping_add);
        let after = rings.iter().map(|ring| area(ring)).fold(0, i64::wrapping_add);
        (before > 0 && after >= before).then_some(rings)
    }

    /// Whether a place is there twice, or lies on an edge.
    fn find(&mut self, rounded: &[Place], drawn: &[Range<usize>], budget: &mut usize) -> bool {
        self.places.clear();
        self.on_edges.clear();
        drawn.iter().for_each(|ring| self.places.extend(&rounded[ring.clone()]));
        self.places.sort_unstable();
        let twice = self.places.windows(2).any(|pair| pair[0] == pair[1]);
        for (at, a, b) in edges(rounded, drawn) {
            let (west, east) = (a[0].min(b[0]), a[0].max(b[0]));
            let first = self.places.partition_point(|p| p[0] < west);
            let near = self.places[first..].iter().take_while(|p| p[0] <= east);
            for p in near {
                let Some(left) = budget.checked_sub(1) else { return false };
                *budget = left;
                if within(*p, [a, b]) {
                    self.on_edges.push((at, *p));
                }
            }
        }
        twice || !self.on_edges.is_empty()
    }

    /// The rings that what is left of the edges makes, each exterior before its holes.
    fn rings(&self, rounded: &[Place], drawn: &[Range<usize>]) -> Option<Vec<Vec<Place>>> {
        let mut cut: Vec<Edge> = Vec::new();
        let mut through: Vec<Place> = Vec::new();
        for (at, a, b) in edges(rounded, drawn) {
            through.clear();
            // Found edge by edge, in their order.
            let from = self.on_edges.partition_point(|(edge, _)| *edge < at);
            let on = self.on_edges[from..].iter().take_while(|(edge, _)| *edge == at);
            through.extend(on.map(|(_, place)| place));
            // They lie in one line: the order of their names is their order along it.
            through.sort_unstable();
            through.dedup();
            if a > b {
                through.reverse();
            }
            let mut before = a;
            for place in through.iter().copied().chain([b]) {
                cut.push([coord(before), coord(place)]);
                before = place;
            }
        }
        // South is up here, and exteriors are wound the other way: the inside is on the left all the same.
        let polygons = faces::united(&outline(&cut)).ok()?;
        let rings = polygons.0.iter().flat_map(|polygon| {
            let exterior = std::iter::once(polygon.exterior());
            exterior.chain(polygon.interiors()).map(open)
        });
        Some(rings.collect())
    }
}

/// Whether some rings are put together in little time.
fn few(drawn: &[Range<usize>]) -> bool {
    vertices(drawn).saturating_mul(drawn.len()) <= HEAVY
}

fn vertices(drawn: &[Range<usize>]) -> usize {
    drawn.iter().map(Range::len).sum()
}

/// The edges of rings, each with the index of its first vertex.
fn edges<'a>(
    rounded: &'a [Place],
    drawn: &'a [Range<usize>],
) -> impl Iterator<Item = (usize, Place, Place)> + 'a {
    drawn.iter().cloned().flat_map(move |ring| {
        let next = move |i: usize| if i + 1 == ring.end { ring.start } else { i + 1 };
        (ring.start..ring.end).map(move |i| (i, rounded[i], rounded[next(i)]))
    })
}

/// Whether a hole lies outside of its exterior, which was generalised away from it; if it touches
/// that, perhaps.
fn hole_outside(rounded: &[Place], drawn: &[Range<usize>], budget: &mut usize) -> bool {
    let mut exterior: &[Place] = &[];
    for ring in drawn {
        let ring = &rounded[ring.clone()];
        if area(ring) > 0 {
            exterior = ring;
            continue;
        }
        let Some(left) = budget.checked_sub(exterior.len()) else { return false };
        *budget = left;
        if ring.first().is_some_and(|place| !holds(exterior, *place)) {
            return true;
        }
    }
    false
}

/// Whether a ring holds a place, by the edges that are crossed on the way east.
fn holds(ring: &[Place], p: Place) -> bool {
    let next = ring.iter().cycle().skip(1);
    let crossed = ring.iter().zip(next).filter(|(a, b)| {
        let (north, south) = if a[1] <= b[1] { (a, b) } else { (b, a) };
        let d = |i: usize, q: &Place| i64::from(q[i]) - i64::from(north[i]);
        north[1] <= p[1] && p[1] < south[1] && d(0, &p) * d(1, south) < d(0, south) * d(1, &p)
    });
    crossed.count() % 2 == 1
}

fn coord([x, y]: Place) -> Coord<f64> {
    Coord { x: x.into(), y: y.into() }
}

/// The vertices of a closed ring, all of which are [`coord`]s.
#[expect(clippy::cast_possible_truncation, reason = "they were such integers before")]
fn open(ring: &LineString<f64>) -> Vec<Place> {
    let vertices = ring.0.split_last().map(|(_, vertices)| vertices).unwrap_or_default();
    vertices.iter().map(|c| [c.x as i32, c.y as i32]).collect()
}

fn area(ring: &[Place]) -> i64 {
    twice_area(ring.iter().map(|[x, y]| (i64::from(*x), i64::from(*y))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parted(rings: &[&[Place]]) -> Vec<Vec<Place>> {
        let (mut rounded, mut drawn) = (Vec::new(), Vec::new());
        for ring in rings {
            rounded.extend(*ring);
            drawn.push(rounded.len() - ring.len()..rounded.len());
        }
        Pinched::default().part(&mut rounded, &mut drawn);
        drawn.into_iter().map(|range| rounded[range].to_vec()).collect()
    }

    /// Twice the areas of what a ring becomes, whichever of its vertices comes first.
    fn areas(ring: &[Place]) -> Vec<i64> {
        let mut all: Vec<Vec<i64>> = Vec::new();
        for start in 0..ring.len() {
            let mut turned = ring.to_vec();
            turned.rotate_left(start);
            all.push(parted(&[&turned]).iter().map(|piece| area(piece)).collect());
        }
        assert!(all.iter().all(|areas| *areas == all[0]), "{all:?}");
        all.swap_remove(0)
    }

    #[test]
    fn a_ring_is_cut_at_its_neck() {
        // Two squares, of 16 and of 4, and the line between them.
        let square = [[4, 2], [4, 4], [0, 4], [0, 0], [4, 0], [4, 2]];
        let ring = [&square[..], &[[7, 2], [7, 1], [9, 1], [9, 3], [7, 3], [7, 2]]].concat();
        assert_eq!(areas(&ring), [32, 8]);
        // The way back along the neck has a vertex more.
        assert_eq!(areas(&[&ring[..], &[[5, 2]]].concat()), [32, 8]);
    }

    #[test]
    fn a_ring_that_touches_itself_falls_in_two() {
        let at_a_vertex = [[0, 0], [2, 0], [2, 2], [4, 2], [4, 4], [2, 4], [2, 2], [0, 2]];
        assert_eq!(areas(&at_a_vertex), [8, 8]);
        // A dent reaches the edge across.
        let on_an_edge = [[0, 0], [4, 0], [4, 4], [2, 0], [0, 4]];
        assert_eq!(areas(&on_an_edge), [8, 8]);
        // A spike runs along an edge: it covers nothing.
        let spike = [[0, 0], [4, 0], [4, 4], [1, 4], [3, 4], [3, 5], [0, 5]];
        assert_eq!(areas(&spike), [38]);
    }

    #[test]
    fn a_ring_that_closes_around_a_lake_gets_a_hole() {
        // Its two ends meet along the edge from (2, 0) to (2, 1).
        let lake = [[2, 1], [1, 1], [1, 2], [3, 2], [3, 1], [2, 1]];
        let ring = [&[[0, 0], [2, 0]], &lake[..], &[[2, 0], [4, 0], [4, 3], [0, 3]]].concat();
        assert_eq!(areas(&ring), [24, -4]);
    }

    #[test]
    fn a_hole_along_the_outline_opens_it() {
        let outer = [[0, 0], [4, 0], [4, 4], [0, 4]];
        let hole = [[1, 0], [1, 1], [3, 1], [3, 0]];
        let pieces = parted(&[&outer, &hole]);
        assert_eq!(pieces.iter().map(|p| area(p)).collect::<Vec<_>>(), [28]);
        // From side to side: nothing joins the two parts but a point.
        let hole = [[2, 0], [1, 2], [2, 4], [3, 2]];
        let pieces = parted(&[&outer, &hole]);
        assert_eq!(pieces.iter().map(|p| area(p)).collect::<Vec<_>>(), [12, 12]);
    }

    #[test]
    fn a_hole_that_its_exterior_left_behind_goes() {
        let square = [[0, 0], [4, 0], [4, 4], [0, 4]];
        let hole = [[6, 1], [6, 2], [7, 2]];
        assert_eq!(parted(&[&square, &hole]), [square.to_vec()]);
    }

    #[test]
    fn a_lobe_turned_inside_out_goes() {
        let eight = [[0, 0], [4, 0], [4, 4], [3, 4], [3, 6], [4, 6], [4, 5], [3, 4], [0, 4]];
        assert_eq!(area(&eight), 29);
        assert_eq!(areas(&eight), [32]);
    }

    #[test]
    fn other_rings_stay_as_they_are() {
        let square = [[0, 0], [4, 0], [4, 4], [0, 4]];
        assert_eq!(parted(&[&square]), [square.to_vec()]);
        let hole = [[1, 1], [1, 2], [2, 2], [2, 1]];
        assert_eq!(parted(&[&square, &hole]), [square.to_vec(), hole.to_vec()]);
        // Edges that cross in their middles are not of rounding.
        let crossing = [[0, 0], [2, 2], [3, 0], [2, 0], [0, 2], [-1, 3]];
        assert_eq!(parted(&[&crossing]), [crossing.to_vec()]);
    }

    #[test]
    fn of_very_many_polygons_each_is_parted_by_itself() {
        let eight = [[0, 0], [2, 0], [2, 2], [4, 2], [4, 4], [2, 4], [2, 2], [0, 2]];
        let hole = [[0, 0], [0, 1], [1, 1]];
        let rings = |i: i32| {
            let moved = move |[x, y]: Place| [x + 9 * i, y];
            [eight.map(moved).to_vec(), hole.map(moved).map(|[x, y]| [x - 5, y]).to_vec()]
        };
        let all: Vec<Vec<Place>> = (0..2_000).flat_map(rings).collect();
        let all: Vec<&[Place]> = all.iter().map(Vec::as_slice).collect();
        let pieces = parted(&all);
        assert_eq!(pieces.len(), 4_000);
        assert!(pieces.iter().all(|ring| area(ring) == 8));
        // One with as many holes stays as it is.
        let square = vec![[-9, -9], [30_000, -9], [30_000, 9], [-9, 9]];
        let holes = (0..3_000).map(|i| hole.map(|[x, y]| [x + 9 * i, y]).to_vec());
        let twice = hole.to_vec();
        let all: Vec<Vec<Place>> = [square].into_iter().chain(holes).chain([twice]).collect();
        let all: Vec<&[Place]> = all.iter().map(Vec::as_slice).collect();
        assert_eq!(parted(&all), all);
    }

    #[test]
    fn a_zigzag_takes_no_more_time_than_its_length() {
        let teeth = (0..40_000).map(|i| [if i % 2 == 0 { 0 } else { 1_000_000 }, i]);
        let ring: Vec<Place> = teeth.chain([[-5, 40_000], [-5, 0]]).collect();
        assert_eq!(parted(&[&ring]), [ring]);
    }
}
