//! How a table shows where a feature lies: not at all, as WKT, or as the coordinates of a point.

use super::{Head, broken};
use crate::{
    error::Result,
    formats::wkb::{self, Broken, Cursor, Header, Kind},
    model::GeometryKind,
};
use geo::InteriorPoint;
use geo_types::{Coord, Geometry};
use std::fmt::Write;

/// How tables show geometry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Place {
    /// Not at all.
    #[default]
    None,
    /// As well-known text, in one column.
    Wkt,
    /// As two columns: the point itself, or one inside the line or area.
    Point,
}

impl Place {
    /// The columns it adds to a layer's.
    pub fn columns(self, head: &Head) -> &'static [&'static str] {
        match (self, head.schema.geometry, head.system.geographic) {
            (Self::None, ..) | (_, GeometryKind::None, _) => &[],
            (Self::Wkt, ..) => &["geometrie_wkt"],
            (Self::Point, _, true) => &["longitude", "latitude"],
            (Self::Point, _, false) => &["x", "y"],
        }
    }
}

/// The point of a geometry: itself, or one inside it; `None` when it is empty.
pub(super) fn point(bytes: &[u8]) -> Result<Option<Coord<f64>>> {
    Ok(match wkb::read(bytes).map_err(broken)? {
        Geometry::Point(p) => Some(p.0),
        Geometry::MultiPoint(m) if m.0.len() == 1 => m.0.first().map(|p| p.0),
        other => other.interior_point().map(|p| p.0),
    })
}

/// A coordinate as text: 9 decimals of a degree or 4 of a metre, trailing zeros trimmed.
pub(super) fn number(value: f64, geographic: bool, out: &mut String) {
    let start = out.len();
    let _ = if geographic { write!(out, "{value:.9}") } else { write!(out, "{value:.4}") };
    let kept = out.trim_end_matches('0').trim_end_matches('.').len().max(start);
    out.truncate(kept);
    if out.get(start..) == Some("-0") {
        out.truncate(start);
        out.push('0');
    }
}

/// Appends well-known text (OGC 06-103r4 §7).
pub(super) fn wkt(bytes: &[u8], geographic: bool, out: &mut String) -> Result<()> {
    let mut cursor = Cursor::new(bytes);
    let header = cursor.header().map_err(broken)?;
    tagged(&mut cursor, &header, 0, geographic, out).map_err(broken)
}

fn tagged(
    c: &mut Cursor<'_>,
    h: &Header,
    depth: u8,
    deg: bool,
    out: &mut String,
) -> Result<(), Broken> {
    out.push_str(match h.kind {
        Kind::Point => "POINT ",
        Kind::LineString => "LINESTRING ",
        Kind::Polygon => "POLYGON ",
        Kind::MultiPoint => "MULTIPOINT ",
        Kind::MultiLineString => "MULTILINESTRING ",
        Kind::MultiPolygon => "MULTIPOLYGON ",
        Kind::GeometryCollection => "GEOMETRYCOLLECTION ",
    });
    match h.kind {
        Kind::Point | Kind::LineString | Kind::Polygon => body(c, h, deg, out),
        Kind::GeometryCollection if depth >= 32 => Err(Broken::TooDeep),
        kind => {
            let n = c.parts(h)?;
            list(n, out, |out| {
                let part = c.part(h)?;
                match kind {
                    Kind::GeometryCollection => tagged(c, &part, depth + 1, deg, out),
                    _ => body(c, &part, deg, out),
                }
            })
        }
    }
}

fn body(c: &mut Cursor<'_>, h: &Header, deg: bool, out: &mut String) -> Result<(), Broken> {
    match h.kind {
        Kind::Point => {
            let point = c.point(h)?;
            positions(point.into_iter(), deg, out);
        }
        Kind::LineString => positions(c.line(h)?, deg, out),
        _ => {
            let n = c.rings(h)?;
            list(n, out, |out| {
                positions(c.line(h)?, deg, out);
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn positions(all: impl Iterator<Item = Coord<f64>>, deg: bool, out: &mut String) {
    let start = out.len();
    for (i, p) in all.enumerate() {
        out.push(if i == 0 { '(' } else { ',' });
        number(p.x, deg, out);
        out.push(' ');
        number(p.y, deg, out);
    }
    out.push_str(if out.len() == start { "EMPTY" } else { ")" });
}

fn list(
    n: usize,
    out: &mut String,
    mut one: impl FnMut(&mut String) -> Result<(), Broken>,
) -> Result<(), Broken> {
    for i in 0..n {
        out.push(if i == 0 { '(' } else { ',' });
        one(out)?;
    }
    out.push_str(if n == 0 { "EMPTY" } else { ")" });
    Ok(())
}
