//! Columns that hold whole geometries: WKT, GeoJSON, or the two numbers of a point.

use super::survey::coordinate;
use crate::{
    formats::{geojson_reader, types::fold, wkt},
    model::Text,
    text,
};
use geo_types::{Geometry, Point};

/// How a column holds geometries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Wkt,
    GeoJson,
    /// Two numbers; `true`: latitude first.
    Pair(bool),
}

/// What the cells of a column look like so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// No cell held anything.
    Nothing,
    Form(Form),
    /// Something else.
    Other,
}

impl Seen {
    /// Looks at one more cell; `pair`: how the column's name says that two numbers are meant.
    pub(super) fn see(&mut self, cell: &str, pair: Option<bool>) {
        let cell = cell.trim();
        if cell.is_empty() || *self == Self::Other {
            return;
        }
        let looks = match pair {
            Some(first) if numbers(cell).is_some() => Some(Form::Pair(first)),
            _ if cell.starts_with('{') => {
                let geometry = cell.contains("\"coordinates\"") || cell.contains("\"geometries\"");
                geometry.then_some(Form::GeoJson)
            }
            _ => wkt::plausible(cell).then_some(Form::Wkt),
        };
        *self = match (*self, looks) {
            (Self::Nothing, Some(form)) => Self::Form(form),
            (Self::Form(form), Some(looks)) if form == looks => Self::Form(form),
            _ => Self::Other,
        };
    }
}

/// Whether a column's name says that it holds points as two numbers, latitude first (`geo_point_2d`)
/// or last (`coordonneesXY`).
pub(super) fn pair(name: &str) -> Option<bool> {
    let folded = fold(name);
    let any = |words: &[&str]| words.iter().any(|word| folded.contains(word));
    if any(&["geo point", "geopoint", "lat lon", "latlon", "latlng", "lat lng", "gps", "geoloc"]) {
        return Some(true);
    }
    any(&["coordonneesxy", "coordonnees xy", "lon lat", "lonlat", "lnglat"]).then_some(false)
}

/// The two numbers of a cell, in the order of a pair or by their names.
fn numbers(cell: &str) -> Option<(f64, f64, bool)> {
    if cell.starts_with('{') {
        let value: serde_json::Value = serde_json::from_str(cell).ok()?;
        let axis = |names: [&str; 3]| names.iter().find_map(|n| value.get(n)?.as_f64());
        return Some((axis(["lat", "latitude", "y"])?, axis(["lon", "longitude", "lng"])?, true));
    }
    let bare = cell.trim_start_matches(['[', '(']).trim_end_matches([']', ')']);
    let mut parts = bare.split([',', ';']).map(str::trim).filter(|p| !p.is_empty());
    let mut spaced = bare.split_whitespace();
    let (a, b) = match (parts.next(), parts.next(), parts.next()) {
        (Some(a), Some(b), None) => (a, b),
        (Some(_), None, None) => (spaced.next()?, spaced.next()?),
        _ => return None,
    };
    Some((coordinate(a, Some('.'))?, coordinate(b, Some('.'))?, false))
}

/// The geometry of a cell that holds something, with the EPSG code that stands before it.
pub(super) fn read(cell: &str, form: Form) -> wkt::Read {
    match form {
        Form::Wkt => wkt::read(cell),
        Form::GeoJson => geojson_reader::geometry_of(cell).map(|geometry| (geometry, None)),
        Form::Pair(first) => {
            let (a, b, named) = numbers(cell)
                .ok_or_else(|| text!("deux nombres attendus", "two numbers expected"))?;
            let (lon, lat) = if first || named { (b, a) } else { (a, b) };
            Ok((Some(Geometry::Point(Point::new(lon, lat))), None))
        }
    }
}

/// What a column of geometries is called in notes.
pub(super) fn named(form: Form) -> Text {
    match form {
        Form::Wkt => Text::new("WKT", "WKT"),
        Form::GeoJson => Text::new("GeoJSON", "GeoJSON"),
        Form::Pair(true) => Text::new("latitude, longitude", "latitude, longitude"),
        Form::Pair(false) => Text::new("longitude, latitude", "longitude, latitude"),
    }
}
