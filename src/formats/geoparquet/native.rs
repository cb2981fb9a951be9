//! The native encodings of GeoParquet 1.1: positions as structures of `x` and `y`, in lists.

use super::metadata::Shape;
use crate::{model::Text, text};
use geo_types::{
    Coord, Geometry, LineString, MultiLineString, MultiPoint, MultiPolygon, Point, Polygon,
};
use parquet::record::Field as Cell;

type Read<T> = Result<T, Text>;

/// Reads a geometry; none when it is empty.
pub(super) fn read(cell: &Cell, shape: Shape) -> Read<Option<Geometry<f64>>> {
    Ok(match shape {
        Shape::Point => {
            let c = position(cell)?;
            (!c.x.is_nan() || !c.y.is_nan()).then(|| Point(c).into())
        }
        Shape::Line => Some(LineString(line(cell)?).into()),
        Shape::Points => Some(MultiPoint(line(cell)?.into_iter().map(Point).collect()).into()),
        Shape::Lines => Some(MultiLineString(lines(cell)?).into()),
        Shape::Polygon => polygon(cell)?.map(Geometry::from),
        Shape::Polygons => {
            let parts: Vec<Option<Polygon<f64>>> =
                list(cell)?.iter().map(polygon).collect::<Read<_>>()?;
            Some(MultiPolygon(parts.into_iter().flatten().collect()).into())
        }
    })
}

fn bad() -> Text {
    text!("géométrie GeoParquet mal formée", "malformed GeoParquet geometry")
}

fn position(cell: &Cell) -> Read<Coord<f64>> {
    let Cell::Group(row) = cell else { return Err(bad()) };
    let axis = |wanted: &str| {
        row.get_column_iter().find(|(name, _)| name.as_str() == wanted).and_then(|(_, v)| match v {
            Cell::Double(d) => Some(*d),
            Cell::Float(f) => Some(f64::from(*f)),
            _ => None,
        })
    };
    match (axis("x"), axis("y")) {
        (Some(x), Some(y)) => Ok(Coord { x, y }),
        _ => Err(bad()),
    }
}

fn list(cell: &Cell) -> Read<&[Cell]> {
    match cell {
        Cell::ListInternal(list) => Ok(list.elements()),
        _ => Err(bad()),
    }
}

fn line(cell: &Cell) -> Read<Vec<Coord<f64>>> {
    list(cell)?.iter().map(position).collect()
}

fn lines(cell: &Cell) -> Read<Vec<LineString<f64>>> {
    list(cell)?.iter().map(|part| line(part).map(LineString)).collect()
}

fn polygon(cell: &Cell) -> Read<Option<Polygon<f64>>> {
    let mut rings = lines(cell)?.into_iter();
    Ok(rings.next().map(|outer| Polygon::new(outer, rings.collect())))
}
