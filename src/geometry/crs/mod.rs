//! Coordinate reference systems: those in which French data arrives and is asked for.
//!
//! Coordinates here are always *x then y*: easting or longitude first, whatever the authority's
//! axis order ([`Crs::authority_is_lat_lon`] is for those who must write the other one). All
//! projections are closed forms, accurate to a few micrometres against PROJ.
//!
//! The datums RGF93, RGAF09, RGFG95, RGR92, RGM04, RGSPM06, RRAF91, ETRS89… are taken as equal
//! to WGS 84, as PROJ does (the EPSG's null transformations, good to a metre at worst); NTF is
//! shifted by the three parameters of the IGN (−168, −60, +320 m), good to a few metres: the
//! grid file of the IGN is not used.

mod datum;
mod definition;
mod envelope;
mod guess;
mod known;
mod projection;
mod wkt;

#[cfg(test)]
mod tests;

use crate::{
    model::{BBox, Text},
    text,
};
pub use definition::Definition;
use geo_types::{Coord, Geometry};
pub use guess::{candidates, in_france};
use known::{Entry, Params};
use projection::Projection;
use std::fmt;

/// A coordinate reference system, ready to transform.
#[derive(Debug, Clone)]
pub struct Crs {
    /// `None`: CRS84, or a system known by its parameters only.
    epsg: Option<u32>,
    name: String,
    params: Params,
    projection: Projection,
    /// `[west, south, east, north]` in degrees: outside, a coordinate is surely not in this CRS.
    area: [f64; 4],
}

/// Two systems are equal when they give the same coordinates in the same (x, y) order.
impl PartialEq for Crs {
    fn eq(&self, other: &Self) -> bool {
        self.params.same(&other.params)
    }
}

/// The text names no system that is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCrs {
    /// What was asked for, cut to 80 characters.
    pub asked: String,
}

impl UnknownCrs {
    fn new(asked: &str) -> Self {
        Self { asked: asked.trim().chars().take(80).collect() }
    }

    /// The sentence for people, with what is known.
    pub fn text(&self) -> Text {
        let asked = &self.asked;
        let known = known::main_codes();
        text!(
            "système de coordonnées inconnu : « {asked} » ; connus : CRS84, EPSG {known}",
            "unknown coordinate reference system: \"{asked}\"; known: CRS84, EPSG {known}"
        )
    }
}

impl fmt::Display for UnknownCrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text().en)
    }
}

impl std::error::Error for UnknownCrs {}

/// A coordinate cannot be transformed: not finite, or outside what the CRS can mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outside {
    /// The coordinate as it was given.
    pub at: Coord<f64>,
}

impl Outside {
    /// The sentence for people.
    pub fn text(&self, crs: &Crs) -> Text {
        let (x, y, name) = (self.at.x, self.at.y, crs.name());
        text!(
            "la coordonnée ({x}, {y}) est hors du domaine de {name}",
            "coordinate ({x}, {y}) lies outside the domain of {name}"
        )
    }
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "coordinate ({}, {}) lies outside the domain", self.at.x, self.at.y)
    }
}

impl std::error::Error for Outside {}

/// What passes the edge of the world by a rounding error (under 0.1 mm) is on it: files that cross
/// the antimeridian hold 180.00000000000006.
fn onto_edge(degrees: f64, edge: f64) -> f64 {
    let past = degrees.abs() - edge;
    if past > 0.0 && past < 1e-9 { edge.copysign(degrees) } else { degrees }
}

impl Crs {
    /// WGS 84 longitude and latitude (OGC CRS84): what the store holds.
    pub fn crs84() -> Self {
        Self::from_params(None, "WGS 84 longitude-latitude (CRS84)".to_owned(), Params::WGS84, None)
    }

    /// The system with this EPSG code.
    pub fn from_epsg(code: u32) -> Option<Self> {
        known::by_code(code).map(|entry| Self::from_entry(&entry))
    }

    /// Reads any spelling: `EPSG:2154`, `2154`, `urn:ogc:def:crs:EPSG::2154`,
    /// `http://www.opengis.net/def/crs/EPSG/0/2154`, the CRS84 ones, any of them as a safe CURIE
    /// (`[EPSG:2154]`; OGC API Features part 2, recommendation 1), a known name such as
    /// `RGF93 v1 / CC49`, or a WKT 1, WKT 2 or ESRI definition. A WKT without a known code or
    /// name is taken by its parameters when its projection and ellipsoid are known.
    pub fn parse(text: &str) -> Result<Self, UnknownCrs> {
        let plain = text.trim().trim_start_matches('\u{feff}').trim();
        let plain = plain.strip_prefix('[').and_then(|p| p.strip_suffix(']')).unwrap_or(plain);
        if let Some(crs) = Self::parse_code(plain) {
            return crs.ok_or_else(|| UnknownCrs::new(plain));
        }
        if plain.contains(['[', '(']) {
            return wkt::parse(plain).ok_or_else(|| UnknownCrs::new(plain));
        }
        match known::by_name(plain) {
            Some(entry) => Ok(Self::from_entry(&entry)),
            None => Err(UnknownCrs::new(plain)),
        }
    }

    /// A code in one of its spellings; the inner option tells whether the code is known.
    fn parse_code(text: &str) -> Option<Option<Self>> {
        let lower = text.to_ascii_lowercase();
        let rest = lower
            .strip_prefix("urn:ogc:def:crs:")
            .or_else(|| lower.strip_prefix("urn:x-ogc:def:crs:"))
            .or_else(|| lower.strip_prefix("http://www.opengis.net/def/crs/"))
            .or_else(|| lower.strip_prefix("https://www.opengis.net/def/crs/"))
            .or_else(|| lower.strip_prefix("http://www.opengis.net/gml/srs/epsg.xml#"))
            .unwrap_or(&lower);
        let last = rest.rsplit([':', '/', '#']).next().unwrap_or(rest);
        if last == "crs84" || last == "crs84h" {
            return Some(Some(Self::crs84()));
        }
        let digits =
            !last.is_empty() && last.len() <= 9 && last.bytes().all(|b| b.is_ascii_digit());
        let head = &rest[..rest.len() - last.len()];
        let epsg = head.is_empty() || head.split([':', '/']).next() == Some("epsg");
        if !digits || !epsg {
            return None;
        }
        Some(last.parse().ok().and_then(Self::from_epsg))
    }

    fn from_entry(entry: &Entry) -> Self {
        Self::from_params(Some(entry.code), entry.name.clone(), entry.params, Some(entry.area))
    }

    fn from_params(
        epsg: Option<u32>,
        name: String,
        params: Params,
        area: Option<[f64; 4]>,
    ) -> Self {
        let area = area.unwrap_or([-180.0, -90.0, 180.0, 90.0]);
        Self { epsg, name, params, projection: Projection::new(&params), area }
    }

    /// Its EPSG code; `None` for CRS84 and for systems known by parameters only.
    pub fn epsg(&self) -> Option<u32> {
        self.epsg
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its OGC identifier, as in `Content-Crs` and `crs=`.
    pub fn uri(&self) -> Option<String> {
        match self.epsg {
            Some(code) => Some(format!("http://www.opengis.net/def/crs/EPSG/0/{code}")),
            None if self.is_crs84() => {
                Some("http://www.opengis.net/def/crs/OGC/1.3/CRS84".to_owned())
            }
            None => None,
        }
    }

    /// Whether its (x, y) coordinates are those of CRS84 as they stand.
    pub fn is_crs84(&self) -> bool {
        matches!(self.projection, Projection::Identity)
    }

    /// Whether coordinates are degrees.
    pub fn is_geographic(&self) -> bool {
        self.params.is_geographic()
    }

    /// Whether the authority orders the axes latitude (or northing) first: true for EPSG's
    /// geographic systems, false for CRS84 and the projected ones here.
    pub fn authority_is_lat_lon(&self) -> bool {
        self.epsg.is_some() && self.is_geographic()
    }

    /// Where it may be used, degrees: its area of use in the EPSG registry and a good margin.
    pub fn area_of_use(&self) -> BBox {
        let [west, south, east, north] = self.area;
        BBox { west, south, east, north }
    }

    /// The EPSG codes that are known.
    pub fn known() -> impl Iterator<Item = u32> {
        known::codes()
    }

    /// One coordinate to CRS84; fails outside the area in which this CRS makes sense (its area
    /// of use and a good margin), so that a wrongly declared CRS does not pass unseen.
    #[inline]
    pub fn point_to_crs84(&self, c: Coord<f64>) -> Result<Coord<f64>, Outside> {
        let p = self.projection.inverse(c);
        let p = Coord { x: onto_edge(p.x, 180.0), y: onto_edge(p.y, 90.0) };
        let [west, south, east, north] = self.area;
        // Not a number fails these tests.
        if p.x >= west && p.x <= east && p.y >= south && p.y <= north {
            Ok(p)
        } else {
            Err(Outside { at: c })
        }
    }

    /// One coordinate from CRS84; fails only where the projection has no finite answer.
    #[inline]
    pub fn point_from_crs84(&self, c: Coord<f64>) -> Result<Coord<f64>, Outside> {
        let p = self.projection.forward(c);
        if p.x.is_finite() && p.y.is_finite() { Ok(p) } else { Err(Outside { at: c }) }
    }

    /// Brings a geometry to CRS84 in place. On failure the geometry is left half transformed and
    /// must be dropped.
    pub fn to_crs84(&self, geometry: &mut Geometry<f64>) -> Result<(), Outside> {
        each(geometry, &mut |c| self.point_to_crs84(c))
    }

    /// Brings a geometry from CRS84 into this CRS in place; on failure as [`Crs::to_crs84`].
    pub fn from_crs84(&self, geometry: &mut Geometry<f64>) -> Result<(), Outside> {
        each(geometry, &mut |c| self.point_from_crs84(c))
    }
}

/// Maps every coordinate in place; stops at the first that fails.
fn each<F>(geometry: &mut Geometry<f64>, f: &mut F) -> Result<(), Outside>
where
    F: FnMut(Coord<f64>) -> Result<Coord<f64>, Outside>,
{
    // A box or triangle does not stay one.
    if let Geometry::Rect(r) = geometry {
        *geometry = r.to_polygon().into();
    }
    match geometry {
        Geometry::Point(p) => all(std::slice::from_mut(&mut p.0), f),
        Geometry::MultiPoint(m) => {
            m.0.iter_mut().try_for_each(|p| all(std::slice::from_mut(&mut p.0), f))
        }
        Geometry::Line(l) => {
            (l.start, l.end) = (f(l.start)?, f(l.end)?);
            Ok(())
        }
        Geometry::LineString(l) => all(&mut l.0, f),
        Geometry::MultiLineString(m) => m.0.iter_mut().try_for_each(|l| all(&mut l.0, f)),
        Geometry::Polygon(p) => polygon(p, f),
        Geometry::MultiPolygon(m) => m.0.iter_mut().try_for_each(|p| polygon(p, f)),
        Geometry::Rect(_) => Ok(()),
        Geometry::Triangle(t) => {
            *t = geo_types::Triangle::new(f(t.v1())?, f(t.v2())?, f(t.v3())?);
            Ok(())
        }
        Geometry::GeometryCollection(c) => c.0.iter_mut().try_for_each(|g| each(g, f)),
    }
}

fn all<F>(coords: &mut [Coord<f64>], f: &mut F) -> Result<(), Outside>
where
    F: FnMut(Coord<f64>) -> Result<Coord<f64>, Outside>,
{
    for c in coords {
        *c = f(*c)?;
    }
    Ok(())
}

fn polygon<F>(p: &mut geo_types::Polygon<f64>, f: &mut F) -> Result<(), Outside>
where
    F: FnMut(Coord<f64>) -> Result<Coord<f64>, Outside>,
{
    p.try_exterior_mut(|ring| all(&mut ring.0, f))?;
    p.try_interiors_mut(|rings| rings.iter_mut().try_for_each(|ring| all(&mut ring.0, f)))
}
