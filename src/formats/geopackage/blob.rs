//! Geometry blobs of a GeoPackage (OGC 12-128r18 §2.1.3): a header, then ISO WKB.

use crate::{
    model::{RefusalReason, Text},
    text,
};
use geo_types::{
    Coord, Geometry, GeometryCollection, LineString, MultiLineString, MultiPoint, MultiPolygon,
    Point, Polygon,
};

/// Deepest nesting of collections.
const MAX_DEPTH: u8 = 16;

/// What a blob holds.
#[derive(Debug, PartialEq)]
pub(in crate::formats) enum Blob {
    /// An empty geometry.
    Empty,
    /// A geometry; `z`: it had Z or M values, dropped.
    Some { geometry: Geometry<f64>, z: bool },
}

/// Why a blob gives no geometry.
#[derive(Debug, PartialEq)]
pub(in crate::formats) struct BadBlob {
    pub(in crate::formats) reason: RefusalReason,
    pub(in crate::formats) text: Text,
}

/// Reads a blob: its geometry and the SRS id of its header.
pub(super) fn read(blob: &[u8]) -> Result<(Blob, i32), BadBlob> {
    let broken = || BadBlob {
        reason: RefusalReason::BrokenRow,
        text: text!("géométrie GeoPackage illisible", "unreadable GeoPackage geometry"),
    };
    let [b'G', b'P', _version, flags, a, b, c, d, rest @ ..] = blob else { return Err(broken()) };
    let srs = [*a, *b, *c, *d];
    let srs = if flags & 1 == 1 { i32::from_le_bytes(srs) } else { i32::from_be_bytes(srs) };
    if flags & 0x20 != 0 {
        return Err(BadBlob {
            reason: RefusalReason::InvalidGeometry,
            text: text!(
                "géométrie GeoPackage étendue, non prise en charge",
                "extended GeoPackage geometry, not supported"
            ),
        });
    }
    let envelope = match (flags >> 1) & 0x07 {
        0 => 0,
        1 => 32,
        2 | 3 => 48,
        4 => 64,
        _ => return Err(broken()),
    };
    let bytes = rest.get(envelope..).ok_or_else(broken)?;
    if flags & 0x10 != 0 {
        return Ok((Blob::Empty, srs));
    }
    Ok((wkb(bytes)?, srs))
}

/// Reads ISO or extended WKB.
pub(in crate::formats) fn wkb(bytes: &[u8]) -> Result<Blob, BadBlob> {
    let broken = || BadBlob {
        reason: RefusalReason::BrokenRow,
        text: text!("géométrie WKB illisible", "unreadable WKB geometry"),
    };
    let mut wkb = Wkb { bytes, dropped: false };
    let geometry = match wkb.geometry(0) {
        Ok(geometry) => geometry,
        Err(Fail::Broken) => return Err(broken()),
        Err(Fail::Kind(kind)) => {
            return Err(BadBlob {
                reason: RefusalReason::InvalidGeometry,
                text: text!(
                    "type de géométrie WKB non pris en charge : {kind} (courbe ou surface)",
                    "unsupported WKB geometry type: {kind} (curve or surface)"
                ),
            });
        }
        Err(Fail::NotFinite) => {
            return Err(BadBlob {
                reason: RefusalReason::BadCoordinate,
                text: text!(
                    "une coordonnée n'est pas un nombre fini",
                    "a coordinate is not a finite number"
                ),
            });
        }
    };
    let z = wkb.dropped;
    Ok(geometry.map_or(Blob::Empty, |geometry| Blob::Some { geometry, z }))
}

#[derive(Debug)]
enum Fail {
    Broken,
    Kind(u32),
    NotFinite,
}

/// A cursor over well-known binary.
struct Wkb<'a> {
    bytes: &'a [u8],
    dropped: bool,
}

/// Byte order and numbers per position of one geometry.
#[derive(Clone, Copy)]
struct Layout {
    little: bool,
    width: usize,
}

impl Wkb<'_> {
    fn byte(&mut self) -> Result<u8, Fail> {
        let (first, rest) = self.bytes.split_first().ok_or(Fail::Broken)?;
        self.bytes = rest;
        Ok(*first)
    }

    fn u32(&mut self, little: bool) -> Result<u32, Fail> {
        let (head, rest) = self.bytes.split_first_chunk().ok_or(Fail::Broken)?;
        self.bytes = rest;
        Ok(if little { u32::from_le_bytes(*head) } else { u32::from_be_bytes(*head) })
    }

    fn f64(&mut self, little: bool) -> Result<f64, Fail> {
        let (head, rest) = self.bytes.split_first_chunk().ok_or(Fail::Broken)?;
        self.bytes = rest;
        Ok(if little { f64::from_le_bytes(*head) } else { f64::from_be_bytes(*head) })
    }

    /// A count of things of at least `size` bytes each: no more than what is left can hold.
    fn count(&mut self, little: bool, size: usize) -> Result<usize, Fail> {
        let n = self.u32(little)? as usize;
        if n > self.bytes.len() / size { Err(Fail::Broken) } else { Ok(n) }
    }

    fn position(&mut self, layout: Layout) -> Result<Coord<f64>, Fail> {
        let at = Coord { x: self.f64(layout.little)?, y: self.f64(layout.little)? };
        for _ in 2..layout.width {
            self.f64(layout.little)?;
        }
        Ok(at)
    }

    fn positions(&mut self, layout: Layout) -> Result<Vec<Coord<f64>>, Fail> {
        let n = self.count(layout.little, layout.width * 8)?;
        let mut all = Vec::with_capacity(n);
        for _ in 0..n {
            let at = self.position(layout)?;
            if !at.x.is_finite() || !at.y.is_finite() {
                return Err(Fail::NotFinite);
            }
            all.push(at);
        }
        Ok(all)
    }

    /// Byte order and type: the base type (1–7) and the layout. ISO writes Z as +1000 and M as
    /// +2000; PostGIS as high bits, with an SRID that may follow.
    fn head(&mut self) -> Result<(u32, Layout), Fail> {
        let little = match self.byte()? {
            0 => false,
            1 => true,
            _ => return Err(Fail::Broken),
        };
        let raw = self.u32(little)?;
        let mut width =
            2 + usize::from(raw & 0x8000_0000 != 0) + usize::from(raw & 0x4000_0000 != 0);
        if raw & 0x2000_0000 != 0 {
            self.u32(little)?;
        }
        let iso = raw & 0x1fff_ffff;
        width += match iso / 1000 {
            0 => 0,
            1 | 2 => 1,
            3 => 2,
            _ => return Err(Fail::Kind(iso)),
        };
        self.dropped |= width > 2;
        Ok((iso % 1000, Layout { little, width }))
    }

    fn geometry(&mut self, depth: u8) -> Result<Option<Geometry<f64>>, Fail> {
        let (kind, layout) = self.head()?;
        if depth > MAX_DEPTH {
            return Err(Fail::Broken);
        }
        Ok(match kind {
            1 => self.point(layout)?.map(Into::into),
            2 => filled(self.positions(layout)?).map(|c| LineString(c).into()),
            3 => self.polygon(layout)?.map(Into::into),
            4 => filled(self.members(layout, 1, Self::point)?).map(|m| MultiPoint(m).into()),
            5 => {
                filled(self.members(layout, 2, |w, l| Ok(filled(w.positions(l)?).map(LineString)))?)
                    .map(|m| MultiLineString(m).into())
            }
            6 => filled(self.members(layout, 3, Self::polygon)?).map(|m| MultiPolygon(m).into()),
            7 => {
                let n = self.count(layout.little, 9)?;
                let mut parts = Vec::new();
                for _ in 0..n {
                    parts.extend(self.geometry(depth + 1)?);
                }
                filled(parts).map(|p| Geometry::GeometryCollection(GeometryCollection::new_from(p)))
            }
            other => return Err(Fail::Kind(other)),
        })
    }

    /// The members of a multi-geometry, all of one type; empty ones left out.
    fn members<T>(
        &mut self,
        layout: Layout,
        wanted: u32,
        read: impl Fn(&mut Self, Layout) -> Result<Option<T>, Fail>,
    ) -> Result<Vec<T>, Fail> {
        let n = self.count(layout.little, 9)?;
        let mut all = Vec::new();
        for _ in 0..n {
            let (kind, layout) = self.head()?;
            if kind != wanted {
                return Err(if kind > 7 { Fail::Kind(kind) } else { Fail::Broken });
            }
            all.extend(read(self, layout)?);
        }
        Ok(all)
    }

    /// A point; both coordinates NaN mean an empty one.
    fn point(&mut self, layout: Layout) -> Result<Option<Point<f64>>, Fail> {
        let at = self.position(layout)?;
        if at.x.is_nan() && at.y.is_nan() {
            return Ok(None);
        }
        if !at.x.is_finite() || !at.y.is_finite() {
            return Err(Fail::NotFinite);
        }
        Ok(Some(Point(at)))
    }

    fn polygon(&mut self, layout: Layout) -> Result<Option<Polygon<f64>>, Fail> {
        let n = self.count(layout.little, 4)?;
        let mut rings = Vec::new();
        for _ in 0..n {
            rings.push(LineString(self.positions(layout)?));
        }
        let mut rings = rings.into_iter();
        Ok(rings
            .next()
            .filter(|r| !r.0.is_empty())
            .map(|outer| Polygon::new(outer, rings.filter(|r| !r.0.is_empty()).collect())))
    }
}

fn filled<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(s: &str) -> Vec<u8> {
        let s: String = s.split_whitespace().collect();
        (0..s.len()).step_by(2).map(|i| u8::from_str_radix(&s[i..i + 2], 16).unwrap()).collect()
    }

    const ONE: &str = "000000000000f03f";
    const TWO: &str = "0000000000000040";

    #[test]
    fn headers_and_envelopes() {
        let point: Geometry<f64> = Point::new(1.0, 2.0).into();
        for (flags, envelope) in [("01", 0), ("03", 32), ("05", 48), ("07", 48), ("09", 64)] {
            let zeros = "00".repeat(envelope);
            let blob = hex(&format!("4750 00 {flags} 6a080000 {zeros} 01 01000000 {ONE}{TWO}"));
            let expected = (Blob::Some { geometry: point.clone(), z: false }, 2154);
            assert_eq!(read(&blob).unwrap(), expected, "{flags}");
        }
        assert_eq!(read(&hex("4750 00 11 00000000")).unwrap().0, Blob::Empty);
        assert!(read(&hex("4750 00 0b 00000000")).is_err());
        assert!(read(&hex("4750 00 21 00000000")).is_err());
        assert!(read(&hex("4750")).is_err());
        let big = hex("4750 00 00 0000086a 00 00000001 3ff0000000000000 4000000000000000");
        assert_eq!(read(&big).unwrap(), (Blob::Some { geometry: point, z: false }, 2154));
    }

    #[test]
    fn dimensions_and_kinds() {
        let of = |wkb: &str| read(&hex(&format!("4750 00 01 00000000 {wkb}")));
        let point: Geometry<f64> = Point::new(1.0, 2.0).into();
        let flat = Blob::Some { geometry: point, z: true };
        assert_eq!(of(&format!("01 e9030000 {ONE}{TWO}{ONE}")).unwrap().0, flat);
        assert_eq!(of(&format!("01 b90b0000 {ONE}{TWO}{ONE}{ONE}")).unwrap().0, flat);
        assert_eq!(of(&format!("01 01000080 {ONE}{TWO}{ONE}")).unwrap().0, flat);
        let nan = "000000000000f87f";
        assert_eq!(of(&format!("01 01000000 {nan}{nan}")).unwrap().0, Blob::Empty);
        assert_eq!(
            of(&format!("01 01000000 {nan}{ONE}")).unwrap_err().reason,
            RefusalReason::BadCoordinate
        );
        assert_eq!(of("01 08000000 00000000").unwrap_err().reason, RefusalReason::InvalidGeometry);
        assert_eq!(of("01 07000000 00000000").unwrap().0, Blob::Empty);
        // A count that the blob cannot hold must not be believed.
        assert_eq!(of("01 02000000 ffffffff").unwrap_err().reason, RefusalReason::BrokenRow);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = read(&bytes);
            let mut framed = hex("4750 00 01 00000000 01");
            framed.extend(bytes);
            let _ = read(&framed);
        }

        #[test]
        fn nesting_ends(depth in 0usize..200) {
            let mut wkb = hex("4750 00 01 00000000");
            for _ in 0..depth {
                wkb.extend(hex("01 07000000 01000000"));
            }
            wkb.extend(hex(&format!("01 01000000 {ONE}{TWO}")));
            prop_assert_eq!(read(&wkb).is_ok(), depth <= usize::from(MAX_DEPTH));
        }
    }
}
