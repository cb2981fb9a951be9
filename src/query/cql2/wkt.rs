//! Geometries inside CQL2 text: WKT, and `BBOX(…)`.

use super::{ast::Kind, text::Parser};
use crate::{error::Result, text};
use geo_types::{
    Coord, Geometry, GeometryCollection, LineString, MultiLineString, MultiPoint, MultiPolygon,
    Point, Polygon,
};

const SHAPES: [&str; 7] = [
    "POINT",
    "LINESTRING",
    "POLYGON",
    "MULTIPOINT",
    "MULTILINESTRING",
    "MULTIPOLYGON",
    "GEOMETRYCOLLECTION",
];

/// Whether a word begins a geometry.
pub(super) fn is_shape(word: &str) -> bool {
    SHAPES.iter().any(|s| s.eq_ignore_ascii_case(word))
}

impl Parser {
    /// A geometry whose name was taken.
    pub(super) fn shape(&mut self, name: &str) -> Result<Geometry<f64>> {
        self.word("Z");
        Ok(match name {
            "POINT" => {
                self.expect("(")?;
                let point = Point(self.position()?);
                self.expect(")")?;
                point.into()
            }
            "LINESTRING" => self.line(2)?.into(),
            "POLYGON" => self.polygon()?.into(),
            "MULTIPOINT" => MultiPoint(self.several(Self::one_point)?).into(),
            "MULTILINESTRING" => MultiLineString(self.several(|p| p.line(2))?).into(),
            "MULTIPOLYGON" => MultiPolygon(self.several(Self::polygon)?).into(),
            _ => Geometry::GeometryCollection(GeometryCollection(self.several(Self::any_shape)?)),
        })
    }

    /// `(…, …)`.
    fn several<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect("(")?;
        let mut all = vec![one(self)?];
        while self.sign(",") {
            all.push(one(self)?);
        }
        self.expect(")")?;
        Ok(all)
    }

    /// `x y`, a height being left out.
    fn position(&mut self) -> Result<Coord<f64>> {
        let (x, y) = (self.coordinate()?, self.coordinate()?);
        if !(self.is_sign(0, ",") || self.is_sign(0, ")")) {
            self.coordinate()?;
        }
        Ok(Coord { x, y })
    }

    /// A point of several, between parentheses or not.
    fn one_point(&mut self) -> Result<Point<f64>> {
        let closed = self.sign("(");
        let point = Point(self.position()?);
        if closed {
            self.expect(")")?;
        }
        Ok(point)
    }

    fn line(&mut self, least: usize) -> Result<LineString<f64>> {
        let place = self.here();
        let line = self.several(Self::position)?;
        let n = line.len();
        if n < least {
            return Err(super::error::at(
                place,
                text!(
                    "{n} position(s), il en faut au moins {least}.",
                    "{n} position(s), at least {least} are needed."
                ),
            ));
        }
        Ok(LineString(line))
    }

    fn polygon(&mut self) -> Result<Polygon<f64>> {
        let mut rings = self.several(|p| {
            let place = p.here();
            let ring = p.line(4)?;
            match ring.is_closed() {
                true => Ok(ring),
                false => Err(super::error::at(
                    place,
                    text!(
                        "l'anneau n'est pas fermé : sa dernière position doit être la première.",
                        "the ring is not closed: its last position must be its first."
                    ),
                )),
            }
        })?;
        let outer = rings.remove(0);
        Ok(Polygon::new(outer, rings))
    }

    fn any_shape(&mut self) -> Result<Geometry<f64>> {
        let found = SHAPES.iter().find(|s| self.word(s));
        match found {
            Some(name) => self.shape(name),
            None => Err(self.unexpected("une géométrie", "a geometry")),
        }
    }

    /// `BBOX` was taken.
    pub(super) fn bbox(&mut self) -> Result<Kind> {
        let place = self.here();
        let sides = self.several(Self::coordinate)?;
        super::sides(Some(place), &sides)
    }
}
