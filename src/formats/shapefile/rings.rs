//! Rings of a Shapefile polygon record (unordered, holes among outlines) put together into
//! polygons.

use geo_types::{Coord, LineString, MultiPolygon, Polygon};

/// Vertices that may be looked at while looking for the outline around each hole: what keeps a
/// hostile record of a million rings from taking hours.
const MAX_WORK: usize = 200_000_000;

/// A ring with what deciding needs.
struct Ring {
    line: Vec<Coord<f64>>,
    /// Twice the signed area: negative for clockwise.
    area: f64,
    low: Coord<f64>,
    high: Coord<f64>,
}

impl Ring {
    fn new(line: Vec<Coord<f64>>) -> Option<Self> {
        let first = *line.first()?;
        let (mut low, mut high, mut area) = (first, first, 0.0);
        for pair in line.windows(2) {
            let [a, b] = pair else { continue };
            // Relative to the first vertex: Lambert coordinates squared would eat the digits.
            area += (a.x - first.x) * (b.y - first.y) - (b.x - first.x) * (a.y - first.y);
            low = Coord { x: low.x.min(b.x), y: low.y.min(b.y) };
            high = Coord { x: high.x.max(b.x), y: high.y.max(b.y) };
        }
        Some(Self { line, area, low, high })
    }

    fn may_hold(&self, other: &Self) -> bool {
        self.low.x <= other.low.x
            && self.low.y <= other.low.y
            && self.high.x >= other.high.x
            && self.high.y >= other.high.y
            && self.area.abs() >= other.area.abs()
    }

    /// Whether `other` lies within. Rings of one record do not cross, so the first vertex that
    /// is not on the border decides.
    fn holds(&self, other: &Self, work: &mut usize) -> bool {
        for vertex in &other.line {
            *work += self.line.len();
            match side(&self.line, *vertex) {
                Side::In => return true,
                Side::Out => return false,
                Side::On => {}
            }
        }
        true
    }
}

#[derive(PartialEq, Eq)]
enum Side {
    In,
    Out,
    On,
}

/// Where a point lies, by counting crossings to its right.
fn side(ring: &[Coord<f64>], p: Coord<f64>) -> Side {
    let mut inside = false;
    for pair in ring.windows(2) {
        let [a, b] = pair else { continue };
        let cross = (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x);
        let between = |a: f64, b: f64, v: f64| a.min(b) <= v && v <= a.max(b);
        if cross == 0.0 && between(a.x, b.x, p.x) && between(a.y, b.y, p.y) {
            return Side::On;
        }
        if (a.y > p.y) != (b.y > p.y) && (cross > 0.0) == (b.y > a.y) {
            inside = !inside;
        }
    }
    if inside { Side::In } else { Side::Out }
}

/// Puts rings together. Outlines run clockwise and holes the other way (ESRI's rule); a hole
/// that no outline holds shows that the rule was not kept, and then nesting alone decides.
/// `None`: the record would take too long.
pub(super) fn polygons(lines: Vec<Vec<Coord<f64>>>) -> Option<MultiPolygon<f64>> {
    let mut rings: Vec<Ring> = lines.into_iter().filter_map(Ring::new).collect();
    if rings.len() == 1 {
        return Some(MultiPolygon(
            rings.into_iter().map(|r| polygon(r.line, Vec::new())).collect(),
        ));
    }
    let mut work = 0;
    let clockwise: Vec<bool> = rings.iter().map(|r| r.area <= 0.0).collect();
    let by_rule = owners(&rings, &clockwise, &mut work)?;
    let owner = if by_rule.iter().zip(&clockwise).all(|(o, outline)| *outline || o.is_some()) {
        by_rule
    } else {
        let outline = by_nesting(&rings, &mut work)?;
        owners(&rings, &outline, &mut work)?
    };
    let mut holes: Vec<Vec<LineString<f64>>> = rings.iter().map(|_| Vec::new()).collect();
    for (i, owner) in owner.iter().enumerate() {
        if let Some(list) = owner.and_then(|o| holes.get_mut(o))
            && let Some(ring) = rings.get_mut(i)
        {
            list.push(LineString(std::mem::take(&mut ring.line)));
        }
    }
    let parts = rings.into_iter().zip(holes).zip(owner).filter(|(_, owner)| owner.is_none());
    Some(MultiPolygon(parts.map(|((r, holes), _)| polygon(r.line, holes)).collect()))
}

fn polygon(outline: Vec<Coord<f64>>, holes: Vec<LineString<f64>>) -> Polygon<f64> {
    Polygon::new(LineString(outline), holes)
}

/// For each ring that is no outline, the smallest outline that holds it.
fn owners(rings: &[Ring], outline: &[bool], work: &mut usize) -> Option<Vec<Option<usize>>> {
    let mut outlines: Vec<(usize, &Ring)> =
        rings.iter().enumerate().filter(|(i, _)| outline.get(*i) == Some(&true)).collect();
    outlines.sort_by(|a, b| a.1.area.abs().total_cmp(&b.1.area.abs()));
    let mut owners = Vec::with_capacity(rings.len());
    for (i, ring) in rings.iter().enumerate() {
        let mut owner = None;
        if outline.get(i) != Some(&true) {
            for (o, candidate) in &outlines {
                *work += 1;
                if candidate.may_hold(ring) && candidate.holds(ring, work) {
                    owner = Some(*o);
                    break;
                }
            }
        }
        if *work > MAX_WORK {
            return None;
        }
        owners.push(owner);
    }
    Some(owners)
}

/// Outlines are the rings held by an even number of others.
fn by_nesting(rings: &[Ring], work: &mut usize) -> Option<Vec<bool>> {
    let mut outline = Vec::with_capacity(rings.len());
    for (i, ring) in rings.iter().enumerate() {
        let mut depth = 0;
        for (j, other) in rings.iter().enumerate() {
            *work += 1;
            if i != j && other.may_hold(ring) && other.holds(ring, work) {
                depth += 1;
            }
        }
        if *work > MAX_WORK {
            return None;
        }
        outline.push(depth % 2 == 0);
    }
    Some(outline)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(x: f64, y: f64, side: f64, clockwise: bool) -> Vec<Coord<f64>> {
        let mut ring = vec![(x, y), (x, y + side), (x + side, y + side), (x + side, y), (x, y)];
        if !clockwise {
            ring.reverse();
        }
        ring.into_iter().map(Into::into).collect()
    }

    fn shape(m: &MultiPolygon<f64>) -> Vec<usize> {
        m.0.iter().map(|p| p.interiors().len()).collect()
    }

    #[test]
    fn holes_find_their_outline() {
        let m = polygons(vec![
            square(2.0, 2.0, 1.0, false),
            square(0.0, 0.0, 10.0, true),
            square(20.0, 0.0, 10.0, true),
            square(21.0, 1.0, 2.0, false),
            square(24.0, 1.0, 2.0, false),
        ]);
        assert_eq!(shape(&m.unwrap()), [1, 2]);
    }

    #[test]
    fn an_island_in_a_lake_is_its_own_polygon() {
        let m = polygons(vec![
            square(0.0, 0.0, 10.0, true),
            square(2.0, 2.0, 6.0, false),
            square(4.0, 4.0, 2.0, true),
            square(4.5, 4.5, 1.0, false),
        ]);
        assert_eq!(shape(&m.unwrap()), [1, 1]);
    }

    #[test]
    fn wrong_orientation_is_settled_by_nesting() {
        // All counter-clockwise: by the rule, three holes of nothing.
        let m = polygons(vec![
            square(0.0, 0.0, 10.0, false),
            square(2.0, 2.0, 2.0, false),
            square(20.0, 0.0, 1.0, false),
        ]);
        assert_eq!(shape(&m.unwrap()), [1, 0]);
        let single = polygons(vec![square(0.0, 0.0, 1.0, false)]);
        assert_eq!(shape(&single.unwrap()), [0]);
    }

    #[test]
    fn a_hole_may_touch_its_outline() {
        let m = polygons(vec![square(0.0, 0.0, 10.0, true), square(0.0, 0.0, 5.0, false)]);
        assert_eq!(shape(&m.unwrap()), [1]);
    }
}
