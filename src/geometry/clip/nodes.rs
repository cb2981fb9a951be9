//! Where the edges of a polygon meet those of a border: both are cut there.

use crate::geometry::{
    faces::Edge,
    predicates::{Contact, contact, on_segment},
};
use geo_types::Coord;

/// The pieces of a polygon's edges and of the border's, each cut where it meets the other's, in
/// the direction they had.
pub(super) fn node(subject: &[Edge], border: &[Edge], tolerance: f64) -> (Vec<Edge>, Vec<Edge>) {
    let (mut on_subject, mut on_border) = (Vec::new(), Vec::new());
    each_pair(subject, border, tolerance, &mut |i, j| {
        let (s, b) = (subject[i as usize], border[j as usize]);
        meet(s, b, tolerance, &mut |p| on_subject.push((i, p)), &mut |p| on_border.push((j, p)));
    });
    (cut(subject, on_subject), cut(border, on_border))
}

/// The pieces of edges, each cut where it meets others of them.
pub(in crate::geometry) fn node_all(edges: &[Edge], tolerance: f64) -> Vec<Edge> {
    let mut on = Vec::new();
    each_pair(edges, edges, tolerance, &mut |i, j| {
        if i < j {
            let (mut on_i, mut on_j) = (Vec::new(), Vec::new());
            let (a, b) = (edges[i as usize], edges[j as usize]);
            meet(a, b, tolerance, &mut |p| on_i.push((i, p)), &mut |p| on_j.push((j, p)));
            on.extend(on_i.into_iter().chain(on_j));
        }
    });
    cut(edges, on)
}

/// The pieces of one segment between the places where it meets the border.
pub(super) fn pieces(segment: Edge, border: &[Edge], tolerance: f64) -> Vec<Edge> {
    let mut on = Vec::new();
    if segment[0] != segment[1] {
        for b in border {
            meet(segment, *b, tolerance, &mut |p| on.push((0, p)), &mut |_| ());
        }
    }
    cut(&[segment], on)
}

/// Tells where two edges are to be cut: where they cross, and at each end of one that lies on the
/// other, or as near as rounding puts what was on it. Both then go through that end.
fn meet(
    s: Edge,
    b: Edge,
    tolerance: f64,
    on_s: &mut dyn FnMut(Coord<f64>),
    on_b: &mut dyn FnMut(Coord<f64>),
) {
    b.iter().filter(|p| passes(s, **p, tolerance)).for_each(|p| on_s(*p));
    // Where an end of each is at the same place, that of the border is the place.
    let taken = |p: &Coord<f64>| b.iter().any(|q| close(*p, *q, tolerance));
    s.iter().filter(|p| !taken(p) && passes(b, **p, tolerance)).for_each(|p| on_b(*p));
    if contact(s[0], s[1], b[0], b[1]) == Contact::Cross {
        let inner = |e: Edge, p: Coord<f64>| p != e[0] && p != e[1];
        let p = crossing(s, b, tolerance);
        if inner(s, p) {
            on_s(p);
        }
        if inner(b, p) {
            on_b(p);
        }
    }
}

fn close(p: Coord<f64>, q: Coord<f64>, tolerance: f64) -> bool {
    (p.x - q.x).abs() <= tolerance && (p.y - q.y).abs() <= tolerance
}

/// Whether an edge passes through a place that is none of its ends.
fn passes(e: Edge, p: Coord<f64>, tolerance: f64) -> bool {
    let between = |a: f64, b: f64, p: f64| p >= a.min(b) - tolerance && p <= a.max(b) + tolerance;
    if !between(e[0].x, e[1].x, p.x) || !between(e[0].y, e[1].y, p.y) || p == e[0] || p == e[1] {
        return false;
    }
    let (d, o) = (e[1] - e[0], p - e[0]);
    let along = d.x * o.x + d.y * o.y;
    let square = d.x * d.x + d.y * d.y;
    let apart = (d.x * o.y - d.y * o.x).abs();
    along > 0.0
        && along < square
        && (apart <= tolerance * square.sqrt() || on_segment(e[0], e[1], p))
}

/// Where two edges cross: the same for either direction of either. Near an end, it is the end:
/// the border's first, so that all that meets it there meets at one vertex.
fn crossing(s: Edge, b: Edge, tolerance: f64) -> Coord<f64> {
    let sorted = |e: Edge| if (e[0].x, e[0].y) <= (e[1].x, e[1].y) { e } else { [e[1], e[0]] };
    let ([p, q], [c, d]) = (sorted(s), sorted(b));
    let (r, t, o) = (q - p, d - c, c - p);
    let share = (o.x * t.y - o.y * t.x) / (r.x * t.y - r.y * t.x);
    let raw = p + r * share;
    // Both edges hold the crossing, hence so do their boxes.
    let clamp = |v: f64, a: [f64; 4]| {
        let low = a[0].min(a[1]).max(a[2].min(a[3]));
        let high = a[0].max(a[1]).min(a[2].max(a[3]));
        if v.is_finite() { v.max(low).min(high) } else { low }
    };
    let at = Coord { x: clamp(raw.x, [p.x, q.x, c.x, d.x]), y: clamp(raw.y, [p.y, q.y, c.y, d.y]) };
    [c, d, p, q].into_iter().find(|e| close(*e, at, tolerance)).unwrap_or(at)
}

/// Cuts edges at the places given for each.
fn cut(edges: &[Edge], mut at: Vec<(u32, Coord<f64>)>) -> Vec<Edge> {
    if at.is_empty() {
        return edges.to_vec();
    }
    let along = |e: &Edge, p: Coord<f64>| {
        let d = e[1] - e[0];
        if d.x.abs() >= d.y.abs() {
            (p.x - e[0].x) * d.x.signum()
        } else {
            (p.y - e[0].y) * d.y.signum()
        }
    };
    at.sort_by(|a, b| {
        let by_place =
            || along(&edges[a.0 as usize], a.1).total_cmp(&along(&edges[b.0 as usize], b.1));
        a.0.cmp(&b.0).then_with(by_place)
    });
    let mut pieces = Vec::with_capacity(edges.len() + at.len());
    let mut rest = at.as_slice();
    for (i, edge) in (0u32..).zip(edges) {
        let count = rest.iter().take_while(|(of, _)| *of == i).count();
        let (mine, others) = rest.split_at(count);
        rest = others;
        let mut from = edge[0];
        for to in mine.iter().map(|(_, p)| *p).chain([edge[1]]) {
            if to != from {
                pieces.push([from, to]);
                from = to;
            }
        }
    }
    pieces
}

/// An edge's number and its box: `[min x, min y, max x, max y]`.
type Boxed = (u32, [f64; 4]);

/// Every pair of one edge of each list whose boxes come near each other, by a sweep from west to
/// east.
fn each_pair(left: &[Edge], right: &[Edge], near: f64, f: &mut dyn FnMut(u32, u32)) {
    let boxed = |all: &[Edge]| -> Vec<Boxed> {
        let one = |(i, [a, b]): (u32, &Edge)| {
            (
                i,
                [
                    a.x.min(b.x) - near,
                    a.y.min(b.y) - near,
                    a.x.max(b.x) + near,
                    a.y.max(b.y) + near,
                ],
            )
        };
        let mut boxed: Vec<Boxed> = (0u32..).zip(all).map(one).collect();
        boxed.sort_unstable_by(|a, b| a.1[0].total_cmp(&b.1[0]));
        boxed
    };
    let (left, right) = (boxed(left), boxed(right));
    let (mut l, mut r) = (0, 0);
    let (mut open_l, mut open_r): (Vec<Boxed>, Vec<Boxed>) = (Vec::new(), Vec::new());
    // Keeps the open edges that reach the new one, and gives those that meet it.
    let enter = |new: &Boxed, open: &mut Vec<Boxed>, f: &mut dyn FnMut(u32)| {
        open.retain(|o| o.1[2] >= new.1[0]);
        for o in open.iter().filter(|o| o.1[1] <= new.1[3] && o.1[3] >= new.1[1]) {
            f(o.0);
        }
    };
    while l < left.len() || r < right.len() {
        let left_first = match (left.get(l), right.get(r)) {
            (Some(a), Some(b)) => a.1[0] <= b.1[0],
            (a, _) => a.is_some(),
        };
        if left_first {
            let new = left[l];
            enter(&new, &mut open_r, &mut |other| f(new.0, other));
            open_l.push(new);
            l += 1;
        } else {
            let new = right[r];
            enter(&new, &mut open_l, &mut |other| f(other, new.0));
            open_r.push(new);
            r += 1;
        }
    }
}
