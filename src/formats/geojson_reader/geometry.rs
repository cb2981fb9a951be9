//! GeoJSON geometries (RFC 7946 §3.1), read straight into coordinates.

use super::scan::{Fail, Scan, Scanner};
use crate::{
    model::{RefusalReason, Text},
    text,
};
use geo_types::{
    Coord, Geometry, GeometryCollection, LineString, MultiLineString, MultiPoint, MultiPolygon,
    Point, Polygon,
};
use std::borrow::Cow;

/// Deepest nesting of collections within collections.
const MAX_COLLECTIONS: usize = 16;

/// A geometry object or `null`. An empty geometry is no geometry (RFC 7946 §3.1 allows it).
pub(super) fn geometry(scan: &mut Scanner<'_>, depth: usize) -> Scan<Read> {
    match scan.peek() {
        Some(b'{') => {}
        Some(b'n') => {
            scan.value()?;
            return Ok(Read::Null);
        }
        _ => return Err(scan.odd(RefusalReason::InvalidGeometry, not_a_geometry())),
    }
    if depth > MAX_COLLECTIONS {
        return Err(scan.odd(
            RefusalReason::InvalidGeometry,
            text!("collections de géométries trop imbriquées", "collections nested too deeply"),
        ));
    }
    let mut kind: Option<Cow<'_, str>> = None;
    let mut later: Option<usize> = None;
    let mut parts: Option<Vec<Geometry<f64>>> = None;
    let mut found: Option<Read> = None;
    scan.object(|scan, key| {
        match key.as_ref() {
            "type" => kind = Some(scan.string_value(&not_a_geometry())?),
            "coordinates" => match &kind {
                Some(kind) => found = Some(coordinates(scan, kind)?),
                // Members come in any order: come back when the type is known.
                None => {
                    later = Some(scan.pos);
                    scan.skip()?;
                }
            },
            "geometries" => parts = Some(members(scan, depth)?),
            _ => {
                scan.skip()?;
            }
        }
        Ok(())
    })?;
    let Some(kind) = kind else {
        return Err(scan.odd(RefusalReason::InvalidGeometry, not_a_geometry()));
    };
    if kind == "GeometryCollection" {
        return Ok(match parts {
            Some(parts) if !parts.is_empty() => {
                Read::Some(Geometry::GeometryCollection(GeometryCollection::new_from(parts)))
            }
            _ => Read::Empty,
        });
    }
    if let Some(read) = found {
        return Ok(read);
    }
    let end = scan.pos;
    scan.pos = later.ok_or_else(|| {
        scan.odd(
            RefusalReason::BadCoordinate,
            text!("géométrie sans coordonnées", "geometry without coordinates"),
        )
    })?;
    let read = coordinates(scan, &kind)?;
    scan.pos = end;
    Ok(read)
}

/// What stood in place of a geometry.
#[derive(Debug)]
pub(super) enum Read {
    /// `null`.
    Null,
    /// A geometry without a single position.
    Empty,
    /// A geometry.
    Some(Geometry<f64>),
}

fn not_a_geometry() -> Text {
    text!("ce n'est pas une géométrie GeoJSON", "not a GeoJSON geometry")
}

fn members(scan: &mut Scanner<'_>, depth: usize) -> Scan<Vec<Geometry<f64>>> {
    if scan.peek() != Some(b'[') {
        return Err(scan.odd(RefusalReason::InvalidGeometry, not_a_geometry()));
    }
    let mut parts = Vec::new();
    scan.array(|scan| {
        if let Read::Some(g) = geometry(scan, depth + 1)? {
            parts.push(g);
        }
        Ok(())
    })?;
    Ok(parts)
}

/// The coordinates of a geometry of this type.
fn coordinates(scan: &mut Scanner<'_>, kind: &str) -> Scan<Read> {
    let read: Option<Geometry<f64>> = match kind {
        "Point" => point(scan)?.map(|c| Point(c).into()),
        "MultiPoint" => filled(positions(scan)?)
            .map(|cs| MultiPoint(cs.into_iter().map(Point).collect()).into()),
        "LineString" => filled(positions(scan)?).map(|cs| LineString(cs).into()),
        "MultiLineString" => {
            let lines = list(scan, positions)?.into_iter().filter_map(filled).map(LineString);
            filled(lines.collect()).map(|lines| MultiLineString(lines).into())
        }
        "Polygon" => polygon(scan)?.map(Into::into),
        "MultiPolygon" => {
            let polygons = list(scan, polygon)?.into_iter().flatten().collect();
            filled(polygons).map(|polygons| MultiPolygon(polygons).into())
        }
        other => {
            let shown: String = other.chars().take(60).collect();
            let text = text!(
                "type de géométrie inconnu : « {shown} »",
                "unknown geometry type: \"{shown}\""
            );
            return Err(scan.odd(RefusalReason::InvalidGeometry, text));
        }
    };
    Ok(read.map_or(Read::Empty, Read::Some))
}

fn filled<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}

fn polygon(scan: &mut Scanner<'_>) -> Scan<Option<Polygon<f64>>> {
    let mut rings = list(scan, positions)?.into_iter().map(LineString);
    let Some(outer) = rings.next() else { return Ok(None) };
    if outer.0.is_empty() {
        return Ok(None);
    }
    let holes = rings.filter(|r| !r.0.is_empty()).collect();
    Ok(Some(Polygon::new(outer, holes)))
}

/// An array of whatever `item` reads.
fn list<'a, T>(scan: &mut Scanner<'a>, item: impl Fn(&mut Scanner<'a>) -> Scan<T>) -> Scan<Vec<T>> {
    wants_array(scan)?;
    let mut items = Vec::new();
    scan.array(|scan| {
        items.push(item(scan)?);
        Ok(())
    })?;
    Ok(items)
}

/// An array of positions.
fn positions(scan: &mut Scanner<'_>) -> Scan<Vec<Coord<f64>>> {
    wants_array(scan)?;
    let mut items = Vec::new();
    scan.array(|scan| {
        items.push(position(scan)?);
        Ok(())
    })?;
    Ok(items)
}

fn wants_array(scan: &Scanner<'_>) -> Scan<()> {
    if scan.peek() == Some(b'[') {
        return Ok(());
    }
    Err(scan.odd(
        RefusalReason::BadCoordinate,
        text!("coordonnées mal imbriquées", "coordinates wrongly nested"),
    ))
}

/// A point's coordinates, which may be the empty array.
fn point(scan: &mut Scanner<'_>) -> Scan<Option<Coord<f64>>> {
    wants_array(scan)?;
    let start = scan.pos;
    scan.pos += 1;
    if scan.eat(b']') {
        return Ok(None);
    }
    scan.pos = start;
    position(scan).map(Some)
}

/// `[x, y]` or `[x, y, z…]`.
#[inline]
fn position(scan: &mut Scanner<'_>) -> Scan<Coord<f64>> {
    wants_array(scan)?;
    scan.pos += 1;
    scan.ws();
    let x = scan.coordinate()?;
    if !scan.eat(b',') {
        return Err(short(scan));
    }
    scan.ws();
    let y = scan.coordinate()?;
    while scan.eat(b',') {
        scan.ws();
        scan.saw_z = true;
        // A null height occurs and matters no more than a height.
        if scan.peek() == Some(b'n') {
            scan.value()?;
        } else {
            scan.coordinate()?;
        }
    }
    if scan.eat(b']') {
        return Ok(Coord { x, y });
    }
    Err(scan.odd(
        RefusalReason::BadCoordinate,
        text!("une coordonnée n'est pas un nombre fini", "a coordinate is not a finite number"),
    ))
}

#[cold]
fn short(scan: &Scanner<'_>) -> Fail {
    scan.odd(
        RefusalReason::BadCoordinate,
        text!("position à moins de deux nombres", "position with fewer than two numbers"),
    )
}
