//! Well-known text (OGC 06-103r4 §7), as tables hold it in a column: with or without Z and M, with
//! the `SRID=n;` of PostGIS before it.

use crate::{model::Text, text};
use geo_types::{
    Coord, Geometry, GeometryCollection, LineString, MultiLineString, MultiPoint, MultiPolygon,
    Point, Polygon,
};

/// How deep collections may nest.
const MAX_DEPTH: u8 = 16;

/// What begins a geometry.
const KINDS: [&str; 7] = [
    "POINT",
    "LINESTRING",
    "POLYGON",
    "MULTIPOINT",
    "MULTILINESTRING",
    "MULTIPOLYGON",
    "GEOMETRYCOLLECTION",
];

/// A geometry with the EPSG code that stands before it; none when it is empty.
pub(super) type Read = Result<(Option<Geometry<f64>>, Option<u32>), Text>;

/// Whether a text looks like a geometry.
pub(super) fn plausible(text: &str) -> bool {
    let (_, rest) = srid(text.trim());
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (word, behind) = rest.split_at(end);
    let upper = word.to_ascii_uppercase();
    let bare = upper.trim_end_matches(['Z', 'M']);
    let behind = behind.trim_start();
    let open =
        behind.starts_with('(') || behind.get(..5).is_some_and(|w| w.eq_ignore_ascii_case("EMPTY"));
    let dimension = || behind.find('(').is_some_and(|at| at <= 3);
    KINDS.contains(&bare) && (open || dimension())
}

/// Reads a text.
pub(super) fn read(text: &str) -> Read {
    let (code, rest) = srid(text.trim());
    let mut words = Words { rest };
    let geometry = words.geometry(0)?;
    match words.rest.trim().is_empty() {
        true => Ok((geometry, code)),
        false => Err(bad()),
    }
}

/// The EPSG code that stands before a geometry.
pub(super) fn code(text: &str) -> Option<u32> {
    srid(text.trim()).0
}

fn srid(text: &str) -> (Option<u32>, &str) {
    let Some((head, rest)) = text.split_once(';') else { return (None, text) };
    let code = head.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("SRID"));
    match code {
        Some((_, code)) => (code.trim().parse().ok().filter(|c| *c > 0), rest.trim_start()),
        None => (None, text),
    }
}

fn bad() -> Text {
    text!("géométrie WKT illisible", "unreadable WKT geometry")
}

struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    fn eat(&mut self, c: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn need(&mut self, c: char) -> Result<(), Text> {
        if self.eat(c) { Ok(()) } else { Err(bad()) }
    }

    /// The next word, in capitals.
    fn word(&mut self) -> String {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_ascii_uppercase()
    }

    /// Whether `EMPTY` is next; it is stepped over.
    fn empty(&mut self) -> bool {
        self.rest = self.rest.trim_start();
        let empty = self.rest.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("EMPTY"));
        if empty {
            self.rest = self.rest.get(5..).unwrap_or_default();
        }
        empty
    }

    fn geometry(&mut self, depth: u8) -> Result<Option<Geometry<f64>>, Text> {
        if depth > MAX_DEPTH {
            return Err(text!("collections trop imbriquées", "collections nest too deep"));
        }
        let word = self.word();
        let kind = word.trim_end_matches(['Z', 'M']);
        // `POINT Z (…)`: which axes follow does not matter, positions show how many there are.
        self.rest = self.rest.trim_start();
        if self.rest.starts_with(['Z', 'z', 'M', 'm']) {
            self.word();
        }
        if self.empty() {
            return if KINDS.contains(&kind) { Ok(None) } else { Err(bad()) };
        }
        Ok(Some(match kind {
            "POINT" => {
                let line = self.line()?;
                match line.as_slice() {
                    [one] => Point(*one).into(),
                    _ => return Err(bad()),
                }
            }
            "LINESTRING" => LineString(self.line()?).into(),
            "POLYGON" => self.polygon()?.into(),
            "MULTIPOINT" => {
                MultiPoint(self.list(Self::member)?.into_iter().flatten().collect()).into()
            }
            "MULTILINESTRING" => MultiLineString(self.list(|w| w.line().map(LineString))?).into(),
            "MULTIPOLYGON" => MultiPolygon(self.list(Self::polygon)?).into(),
            "GEOMETRYCOLLECTION" => {
                let parts = self.list(|words| words.geometry(depth + 1))?;
                let parts = parts.into_iter().flatten().collect();
                Geometry::GeometryCollection(GeometryCollection(parts))
            }
            _ => return Err(bad()),
        }))
    }

    fn list<T>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<T, Text>,
    ) -> Result<Vec<T>, Text> {
        self.need('(')?;
        let mut all = vec![one(self)?];
        while self.eat(',') {
            all.push(one(self)?);
        }
        self.need(')')?;
        Ok(all)
    }

    /// A point of several: in parentheses or without.
    fn member(&mut self) -> Result<Option<Point<f64>>, Text> {
        if self.empty() {
            return Ok(None);
        }
        let inside = self.eat('(');
        let at = self.position()?;
        if inside {
            self.need(')')?;
        }
        Ok(Some(Point(at)))
    }

    fn line(&mut self) -> Result<Vec<Coord<f64>>, Text> {
        self.list(Self::position)
    }

    fn polygon(&mut self) -> Result<Polygon<f64>, Text> {
        let mut rings = self.list(|w| w.line().map(LineString))?.into_iter();
        let outer = rings.next().ok_or_else(bad)?;
        Ok(Polygon::new(outer, rings.collect()))
    }

    fn position(&mut self) -> Result<Coord<f64>, Text> {
        let (x, y) = (self.number()?.ok_or_else(bad)?, self.number()?.ok_or_else(bad)?);
        // Z and M.
        for _ in 0..2 {
            self.number()?;
        }
        Ok(Coord { x, y })
    }

    /// A number; `None` when something else is next.
    fn number(&mut self) -> Result<Option<f64>, Text> {
        self.rest = self.rest.trim_start();
        let part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        let end = self.rest.find(|c| !part(c)).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        if digits.is_empty() {
            return Ok(None);
        }
        self.rest = rest;
        let number = digits.parse().ok().filter(|n: &f64| n.is_finite());
        number.map(Some).ok_or_else(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Geometry<f64> {
        read(text).unwrap().0.unwrap()
    }

    #[test]
    fn geometries() {
        assert_eq!(of("POINT (1 2)"), Point::new(1.0, 2.0).into());
        assert_eq!(of(" point z(1 2 3) "), Point::new(1.0, 2.0).into());
        assert_eq!(of("PointZM(1 2 3 4)"), Point::new(1.0, 2.0).into());
        let two = MultiPoint(vec![Point::new(1.0, 2.0), Point::new(3.0, 4.5e1)]);
        assert_eq!(of("MULTIPOINT((1 2),(3 4.5e1))"), two.clone().into());
        assert_eq!(of("MULTIPOINT(1 2, 3 45)"), two.into());
        let Geometry::MultiPolygon(m) =
            of("MULTIPOLYGON(((0 0,4 0,4 4,0 0),(1 1,2 1,2 2,1 1)),((5 5,6 5,6 6,5 5)))")
        else {
            panic!()
        };
        assert_eq!((m.0.len(), m.0[0].interiors().len()), (2, 1));
        assert!(matches!(of("GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))"),
            Geometry::GeometryCollection(c) if c.0.len() == 2));
        let (_, code) = read("SRID=2154;POINT(700000 6600000)").unwrap();
        assert_eq!(code, Some(2154));
        assert_eq!(read("POLYGON EMPTY").unwrap().0, None);
    }

    #[test]
    fn what_is_none_is_refused() {
        for bad in [
            "",
            "POINT",
            "POINT(1)",
            "POINT(1 2",
            "POINT(1 2) x",
            "CIRCLE(1 2)",
            "POINT(a b)",
            "POINT(1e999 2)",
            "POLYGON(1 2)",
            "CURVEPOLYGON((0 0,1 1,1 0,0 0))",
            "POINT()",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let deep = format!("{}POINT(1 2){}", "GEOMETRYCOLLECTION(".repeat(40), ")".repeat(40));
        assert!(read(&deep).is_err());
        for (text, is) in [
            ("POINT(1 2)", true),
            ("srid=4326;LineString Z (", true),
            ("POLYGON EMPTY", true),
            ("Point d'eau", false),
            ("POINT", false),
            ("", false),
            ("POINTE (x)", false),
        ] {
            assert_eq!(plausible(text), is, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(POINT|POLYGON|MULTI|Z|EMPTY|\\(|\\)|,| |1|-|e|\\PC){0,20}") {
            let _ = read(&text);
            let _ = plausible(&text);
        }
    }
}
