//! Exact answers about points and segments.

use geo::{Kernel, Orientation, algorithm::kernels::RobustKernel};
use geo_types::Coord;

/// On which side of the line from `a` to `b` the point lies: positive to the left, 0 on it.
#[inline]
pub(super) fn side(a: Coord<f64>, b: Coord<f64>, point: Coord<f64>) -> i8 {
    match RobustKernel::orient2d(a, b, point) {
        Orientation::CounterClockwise => 1,
        Orientation::Clockwise => -1,
        Orientation::Collinear => 0,
    }
}

/// How two segments meet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Contact {
    None,
    /// They cross at a point that is an end of neither.
    Cross,
    /// They share one point, an end of one or both.
    Touch(Coord<f64>),
    /// They share a stretch.
    Overlap,
}

/// How the segments `a b` and `c d`, both of some length, meet. Exact.
#[inline]
pub(super) fn contact(a: Coord<f64>, b: Coord<f64>, c: Coord<f64>, d: Coord<f64>) -> Contact {
    let (sc, sd) = (side(a, b, c), side(a, b, d));
    if sc * sd > 0 {
        return Contact::None;
    }
    if sc == 0 && sd == 0 {
        return collinear(a, b, c, d);
    }
    let (sa, sb) = (side(c, d, a), side(c, d, b));
    if sa * sb > 0 {
        return Contact::None;
    }
    match (sa, sb, sc, sd) {
        (0, _, _, _) => Contact::Touch(a),
        (_, 0, _, _) => Contact::Touch(b),
        (_, _, 0, _) => Contact::Touch(c),
        (_, _, _, 0) => Contact::Touch(d),
        _ => Contact::Cross,
    }
}

/// Segments on one line, compared along the axis on which they are longer.
fn collinear(a: Coord<f64>, b: Coord<f64>, c: Coord<f64>, d: Coord<f64>) -> Contact {
    let along_x = (a.x - b.x).abs() >= (a.y - b.y).abs();
    let key = |p: Coord<f64>| if along_x { p.x } else { p.y };
    let sort = |p: Coord<f64>, q: Coord<f64>| if key(p) <= key(q) { (p, q) } else { (q, p) };
    let ((a, b), (c, d)) = (sort(a, b), sort(c, d));
    let (start, end) = (if key(a) >= key(c) { a } else { c }, if key(b) <= key(d) { b } else { d });
    match key(start).total_cmp(&key(end)) {
        std::cmp::Ordering::Less => Contact::Overlap,
        std::cmp::Ordering::Equal => Contact::Touch(start),
        std::cmp::Ordering::Greater => Contact::None,
    }
}

/// Where a point lies with regard to a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Inside,
    Border,
    Outside,
}

/// Whether a point that is collinear or not lies on a segment.
pub(super) fn on_segment(a: Coord<f64>, b: Coord<f64>, p: Coord<f64>) -> bool {
    let between = |a: f64, b: f64, p: f64| p >= a.min(b) && p <= a.max(b);
    between(a.x, b.x, p.x) && between(a.y, b.y, p.y) && side(a, b, p) == 0
}

/// Where a point lies with regard to a closed ring (crossing number, exact).
pub(super) fn place(p: Coord<f64>, ring: &[Coord<f64>]) -> Place {
    place_among(p, ring.windows(2).map(|w| (w[0], w[1])))
}

/// Where a point lies with regard to rings of which at least the edges that reach the point's
/// height are given.
#[inline]
pub(super) fn place_among(
    p: Coord<f64>,
    edges: impl Iterator<Item = (Coord<f64>, Coord<f64>)>,
) -> Place {
    let mut inside = false;
    for (a, b) in edges {
        if (a.y > p.y) == (b.y > p.y) {
            // Only a level segment, or one that ends at the point's height, can hold the point.
            if (a.y == p.y || b.y == p.y) && on_segment(a, b, p) {
                return Place::Border;
            }
            continue;
        }
        if a.x.max(b.x) < p.x {
            continue;
        }
        match side(a, b, p) {
            0 => return Place::Border,
            s if (s > 0) == (b.y > a.y) => inside = !inside,
            _ => {}
        }
    }
    if inside { Place::Inside } else { Place::Outside }
}
