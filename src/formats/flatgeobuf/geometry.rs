//! A geometry of a FlatGeobuf: positions in one list, where parts end in another.

use super::table::Table;
use crate::{model::Text, text};
use geo_types::{
    Coord, Geometry, GeometryCollection, LineString, MultiLineString, MultiPoint, MultiPolygon,
    Point, Polygon,
};

/// How deep collections may nest.
const MAX_DEPTH: u8 = 16;

/// Reads a geometry; none when it is empty. `given`: its type where it has none of its own.
pub(super) fn read(table: &Table<'_>, given: u8) -> Result<Option<Geometry<f64>>, Text> {
    let mut left = Left(table.size());
    at_depth(table, given, 0, &mut left)
}

/// Bytes that a feature has left to give. Several parts may point to the same bytes, and theirs to
/// others: without this a small file would spell out a geometry without end.
struct Left(usize);

impl Left {
    fn take(&mut self, bytes: usize) -> Result<(), Text> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(bad)?;
        Ok(())
    }
}

fn at_depth(
    table: &Table<'_>,
    given: u8,
    depth: u8,
    left: &mut Left,
) -> Result<Option<Geometry<f64>>, Text> {
    if depth > MAX_DEPTH {
        return Err(text!("géométries trop imbriquées", "geometries nest too deep"));
    }
    let kind = table.u8(6).filter(|kind| *kind != 0).unwrap_or(given);
    Ok(match kind {
        1 => positions(table, left)?.first().map(|c| Point(*c).into()),
        2 => some(positions(table, left)?).map(|line| LineString(line).into()),
        3 => polygon(table, left)?.map(Geometry::from),
        4 => some(positions(table, left)?)
            .map(|all| MultiPoint(all.into_iter().map(Point).collect()).into()),
        5 => some(lines(table, left)?).map(|lines| MultiLineString(lines).into()),
        6 => {
            let mut all = Vec::new();
            for part in parts(table, left)? {
                all.extend(polygon(&part, left)?);
            }
            // One polygon may stand without parts.
            if all.is_empty() {
                all.extend(polygon(table, left)?);
            }
            some(all).map(|all| MultiPolygon(all).into())
        }
        7 => {
            let mut all = Vec::new();
            for part in parts(table, left)? {
                all.extend(at_depth(&part, 0, depth + 1, left)?);
            }
            some(all).map(|all| Geometry::GeometryCollection(GeometryCollection(all)))
        }
        other => {
            return Err(text!(
                "type de géométrie {other} non lu (courbes et surfaces courbes)",
                "geometry type {other} is not read (curves and curved surfaces)"
            ));
        }
    })
}

fn some<T>(all: Vec<T>) -> Option<Vec<T>> {
    (!all.is_empty()).then_some(all)
}

fn bad() -> Text {
    text!("géométrie FlatGeobuf mal formée", "malformed FlatGeobuf geometry")
}

fn parts<'a>(table: &Table<'a>, left: &mut Left) -> Result<Vec<Table<'a>>, Text> {
    let Some(list) = table.vector(7) else { return Ok(Vec::new()) };
    left.take(4 * list.len())?;
    list.tables().collect::<Option<_>>().ok_or_else(bad)
}

fn positions(table: &Table<'_>, left: &mut Left) -> Result<Vec<Coord<f64>>, Text> {
    let Some(list) = table.vector(1) else { return Ok(Vec::new()) };
    let mut numbers = list.doubles().ok_or_else(bad)?;
    left.take(8 * numbers.len())?;
    let mut all = Vec::with_capacity(numbers.len() / 2);
    while let (Some(x), Some(y)) = (numbers.next(), numbers.next()) {
        all.push(Coord { x, y });
    }
    Ok(all)
}

/// Lines or rings, cut where they end; one without ends is all of it.
fn lines(table: &Table<'_>, left: &mut Left) -> Result<Vec<LineString<f64>>, Text> {
    let all = positions(table, left)?;
    let Some(ends) = table.vector(0).filter(|ends| !ends.is_empty()) else {
        return Ok(some(all).map(LineString).into_iter().collect());
    };
    let (mut from, mut lines) = (0usize, Vec::new());
    for end in ends.numbers().ok_or_else(bad)? {
        let end = usize::try_from(end).map_err(|_| bad())?;
        lines.push(LineString(all.get(from..end).ok_or_else(bad)?.to_vec()));
        from = end;
    }
    Ok(lines)
}

fn polygon(table: &Table<'_>, left: &mut Left) -> Result<Option<Polygon<f64>>, Text> {
    let mut rings = lines(table, left)?.into_iter();
    Ok(rings.next().map(|outer| Polygon::new(outer, rings.collect())))
}
