//! Well-known binary (ISO 13249-3, OGC 06-103r4 §8.2): how geometries are kept in the store.
//!
//! [`write()`] makes 2D little-endian ISO WKB. [`read`] takes both byte orders, ISO and EWKB
//! dimension flags and an EWKB SRID; Z and M are dropped. [`Cursor`] walks bytes in place for
//! those who only need to look at the coordinates. Curves, surfaces and TINs are not taken.

mod in_place;

pub use in_place::{Unmapped, bounds, map_in_place, promote};

use geo_types::{
    Coord, Geometry, GeometryCollection, LineString, MultiLineString, MultiPoint, MultiPolygon,
    Point, Polygon,
};

/// How deep collections may nest before the bytes are refused.
const MAX_DEPTH: u8 = 32;

/// Why bytes are not a geometry we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The bytes end before the geometry does, or a count promises more than there is.
    #[error("WKB ends too early")]
    Truncated,
    /// The byte order mark is neither 0 nor 1.
    #[error("WKB byte order {0} is neither 0 nor 1")]
    ByteOrder(u8),
    /// A geometry type we do not take (curves, surfaces…), or a part that its parent cannot hold.
    #[error("WKB geometry type {0} is not taken here")]
    Type(u32),
    /// Collections nest too deep.
    #[error("WKB collections nest deeper than {MAX_DEPTH}")]
    TooDeep,
    /// A coordinate is infinite or not a number where a number must be written.
    #[error("WKB holds a coordinate that is not a finite number")]
    NotFinite,
}

/// The seven types of simple features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One position.
    Point,
    /// A polyline.
    LineString,
    /// Rings, the outer one first.
    Polygon,
    /// Points.
    MultiPoint,
    /// Lines.
    MultiLineString,
    /// Polygons.
    MultiPolygon,
    /// Anything.
    GeometryCollection,
}

impl Kind {
    fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            1 => Self::Point,
            2 => Self::LineString,
            3 => Self::Polygon,
            4 => Self::MultiPoint,
            5 => Self::MultiLineString,
            6 => Self::MultiPolygon,
            7 => Self::GeometryCollection,
            _ => return None,
        })
    }

    /// Its WKB type code, 1 to 7.
    pub fn code(self) -> u32 {
        self as u32 + 1
    }

    /// The type its parts must have; `None`: it has no typed parts.
    pub fn part(self) -> Option<Self> {
        match self {
            Self::MultiPoint => Some(Self::Point),
            Self::MultiLineString => Some(Self::LineString),
            Self::MultiPolygon => Some(Self::Polygon),
            _ => None,
        }
    }
}

/// What stands before a geometry's counts and coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The type.
    pub kind: Kind,
    /// Whether numbers are little endian.
    little: bool,
    /// Doubles per position, 2 to 4.
    doubles: usize,
}

/// Walks WKB in place. Every step is checked against the bytes that are left: hostile counts
/// cannot make a caller reserve more than a small multiple of the input.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// At the start of a geometry.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (head, rest) = self.bytes.split_first_chunk::<N>().ok_or(Broken::Truncated)?;
        self.bytes = rest;
        Ok(*head)
    }

    fn u32(&mut self, little: bool) -> Result<u32, Broken> {
        let b = self.take::<4>()?;
        Ok(if little { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) })
    }

    /// Reads a geometry's header (byte order, type, EWKB SRID, which is dropped).
    pub fn header(&mut self) -> Result<Header, Broken> {
        let little = match self.take::<1>()? {
            [0] => false,
            [1] => true,
            [other] => return Err(Broken::ByteOrder(other)),
        };
        let code = self.u32(little)?;
        let (ewkb_z, ewkb_m, srid) =
            (code & 0x8000_0000 != 0, code & 0x4000_0000 != 0, code & 0x2000_0000 != 0);
        let plain = code & 0x0fff_ffff;
        if srid {
            self.take::<4>()?;
        }
        let kind = Kind::from_code(plain % 1000).ok_or(Broken::Type(code))?;
        let (iso_z, iso_m) = match plain / 1000 {
            0 => (false, false),
            1 => (true, false),
            2 => (false, true),
            3 => (true, true),
            _ => return Err(Broken::Type(code)),
        };
        let doubles = 2 + usize::from(ewkb_z || iso_z) + usize::from(ewkb_m || iso_m);
        Ok(Header { kind, little, doubles })
    }

    /// The number of parts of a multi-geometry or collection, each with a header of its own.
    pub fn parts(&mut self, header: &Header) -> Result<usize, Broken> {
        self.count(header, 9)
    }

    /// The number of rings of a polygon, each a [`Cursor::line`].
    pub fn rings(&mut self, header: &Header) -> Result<usize, Broken> {
        self.count(header, 4)
    }

    fn count(&mut self, header: &Header, least: usize) -> Result<usize, Broken> {
        let n = self.u32(header.little)? as usize;
        match n.checked_mul(least) {
            Some(bytes) if bytes <= self.bytes.len() => Ok(n),
            _ => Err(Broken::Truncated),
        }
    }

    /// The positions of a line or ring.
    pub fn line(&mut self, header: &Header) -> Result<Positions<'a>, Broken> {
        let n = self.u32(header.little)? as usize;
        self.positions(header, n)
    }

    /// The position of a point; `None` when it is empty (both coordinates NaN).
    pub fn point(&mut self, header: &Header) -> Result<Option<Coord<f64>>, Broken> {
        let c = self.positions(header, 1)?.next().ok_or(Broken::Truncated)?;
        Ok((!(c.x.is_nan() && c.y.is_nan())).then_some(c))
    }

    fn positions(&mut self, header: &Header, n: usize) -> Result<Positions<'a>, Broken> {
        let stride = 8 * header.doubles;
        let size = n.checked_mul(stride).ok_or(Broken::Truncated)?;
        let (head, rest) = self.bytes.split_at_checked(size).ok_or(Broken::Truncated)?;
        self.bytes = rest;
        Ok(Positions { chunks: head.chunks_exact(stride), little: header.little })
    }

    /// Reads a part's header and checks that its parent may hold it.
    pub fn part(&mut self, parent: &Header) -> Result<Header, Broken> {
        let header = self.header()?;
        match parent.kind.part() {
            Some(kind) if kind != header.kind => Err(Broken::Type(header.kind.code())),
            _ => Ok(header),
        }
    }
}

/// Positions of a line or ring, Z and M skipped.
#[derive(Debug, Clone)]
pub struct Positions<'a> {
    chunks: std::slice::ChunksExact<'a, u8>,
    little: bool,
}

impl Iterator for Positions<'_> {
    type Item = Coord<f64>;

    #[inline]
    fn next(&mut self) -> Option<Coord<f64>> {
        let chunk = self.chunks.next()?;
        let (x, rest) = chunk.split_first_chunk::<8>()?;
        let y = rest.first_chunk::<8>()?;
        Some(if self.little {
            Coord { x: f64::from_le_bytes(*x), y: f64::from_le_bytes(*y) }
        } else {
            Coord { x: f64::from_be_bytes(*x), y: f64::from_be_bytes(*y) }
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.chunks.size_hint()
    }
}

impl ExactSizeIterator for Positions<'_> {}

/// Reads one geometry; bytes after it are not looked at (as GDAL does). Unclosed rings come out
/// closed (`geo_types` knows no others), an empty point as an empty multipoint, and an empty
/// part of a multipoint is left out.
pub fn read(bytes: &[u8]) -> Result<Geometry<f64>, Broken> {
    let mut cursor = Cursor::new(bytes);
    let header = cursor.header()?;
    read_body(&mut cursor, &header, 0)
}

fn read_body(c: &mut Cursor<'_>, h: &Header, depth: u8) -> Result<Geometry<f64>, Broken> {
    Ok(match h.kind {
        Kind::Point => match c.point(h)? {
            Some(p) => Geometry::Point(Point(p)),
            None => Geometry::MultiPoint(MultiPoint(Vec::new())),
        },
        Kind::LineString => Geometry::LineString(LineString(c.line(h)?.collect())),
        Kind::Polygon => Geometry::Polygon(read_polygon(c, h)?),
        Kind::MultiPoint => {
            let points = read_parts(c, h, |c, part| Ok(c.point(part)?.map(Point)))?;
            Geometry::MultiPoint(MultiPoint(points.into_iter().flatten().collect()))
        }
        Kind::MultiLineString => {
            let line = |c: &mut Cursor<'_>, part: &Header| Ok(LineString(c.line(part)?.collect()));
            Geometry::MultiLineString(MultiLineString(read_parts(c, h, line)?))
        }
        Kind::MultiPolygon => Geometry::MultiPolygon(MultiPolygon(read_parts(c, h, read_polygon)?)),
        Kind::GeometryCollection => {
            if depth >= MAX_DEPTH {
                return Err(Broken::TooDeep);
            }
            let parts = read_parts(c, h, |c, part| read_body(c, part, depth + 1))?;
            Geometry::GeometryCollection(GeometryCollection(parts))
        }
    })
}

fn read_parts<T>(
    c: &mut Cursor<'_>,
    h: &Header,
    mut one: impl FnMut(&mut Cursor<'_>, &Header) -> Result<T, Broken>,
) -> Result<Vec<T>, Broken> {
    let n = c.parts(h)?;
    let mut parts = Vec::with_capacity(n);
    for _ in 0..n {
        let part = c.part(h)?;
        parts.push(one(c, &part)?);
    }
    Ok(parts)
}

fn read_polygon(c: &mut Cursor<'_>, h: &Header) -> Result<Polygon<f64>, Broken> {
    let n = c.rings(h)?;
    let mut rings = Vec::with_capacity(n);
    for _ in 0..n {
        rings.push(LineString(c.line(h)?.collect()));
    }
    let mut rings = rings.into_iter();
    let shell = rings.next().unwrap_or_else(|| LineString(Vec::new()));
    Ok(Polygon::new(shell, rings.collect()))
}

/// Appends a geometry as 2D little-endian ISO WKB. `Line`, `Rect` and `Triangle` are written as
/// the line or polygon they are; a polygon without outer ring as an empty polygon.
pub fn write(geometry: &Geometry<f64>, out: &mut Vec<u8>) {
    match geometry {
        Geometry::Point(p) => write_point(p, out),
        Geometry::Line(l) => write_line(&[l.start, l.end], out),
        Geometry::LineString(l) => write_line(&l.0, out),
        Geometry::Polygon(p) => write_polygon(p, out),
        Geometry::Rect(r) => write_polygon(&r.to_polygon(), out),
        Geometry::Triangle(t) => write_polygon(&t.to_polygon(), out),
        Geometry::MultiPoint(m) => {
            start(Kind::MultiPoint, out);
            length(m.0.len(), out);
            m.0.iter().for_each(|p| write_point(p, out));
        }
        Geometry::MultiLineString(m) => {
            start(Kind::MultiLineString, out);
            length(m.0.len(), out);
            m.0.iter().for_each(|l| write_line(&l.0, out));
        }
        Geometry::MultiPolygon(m) => {
            start(Kind::MultiPolygon, out);
            length(m.0.len(), out);
            m.0.iter().for_each(|p| write_polygon(p, out));
        }
        Geometry::GeometryCollection(c) => {
            start(Kind::GeometryCollection, out);
            length(c.0.len(), out);
            c.0.iter().for_each(|g| write(g, out));
        }
    }
}

fn start(kind: Kind, out: &mut Vec<u8>) {
    out.push(1);
    out.extend_from_slice(&kind.code().to_le_bytes());
}

/// Counts are 32 bits in WKB; 2^32 positions would be 64 GiB and never get here.
fn length(n: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
}

fn coords(coords: &[Coord<f64>], out: &mut Vec<u8>) {
    out.reserve(16 * coords.len());
    for c in coords {
        let mut pair = [0; 16];
        pair[..8].copy_from_slice(&c.x.to_le_bytes());
        pair[8..].copy_from_slice(&c.y.to_le_bytes());
        out.extend_from_slice(&pair);
    }
}

fn write_point(point: &Point<f64>, out: &mut Vec<u8>) {
    start(Kind::Point, out);
    coords(&[point.0], out);
}

fn write_line(line: &[Coord<f64>], out: &mut Vec<u8>) {
    start(Kind::LineString, out);
    length(line.len(), out);
    coords(line, out);
}

fn write_polygon(polygon: &Polygon<f64>, out: &mut Vec<u8>) {
    start(Kind::Polygon, out);
    if polygon.exterior().0.is_empty() {
        return length(0, out);
    }
    length(1 + polygon.interiors().len(), out);
    for ring in std::iter::once(polygon.exterior()).chain(polygon.interiors()) {
        length(ring.0.len(), out);
        coords(&ring.0, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use geo_types::{line_string, point, polygon};
    use proptest::prelude::*;

    fn round(g: &Geometry<f64>) -> Geometry<f64> {
        let mut bytes = Vec::new();
        write(g, &mut bytes);
        read(&bytes).unwrap()
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn known_bytes() {
        let mut bytes = Vec::new();
        write(&point!(x: 2.0, y: 4.0).into(), &mut bytes);
        assert_eq!(bytes, hex("010100000000000000000000400000000000001040"));
        // Big endian, from PostGIS.
        let big = hex("000000000140000000000000004010000000000000");
        assert_eq!(read(&big).unwrap(), point!(x: 2.0, y: 4.0).into());
    }

    #[test]
    fn z_m_and_srid_are_dropped() {
        let p: Geometry<f64> = point!(x: 1.0, y: 2.0).into();
        let xyz = "000000000000F03F00000000000000400000000000000840";
        let xyzm = "000000000000F03F000000000000004000000000000008400000000000001040";
        assert_eq!(read(&hex(&format!("01E9030000{xyz}"))).unwrap(), p); // ISO Z
        assert_eq!(read(&hex(&format!("01D1070000{xyz}"))).unwrap(), p); // ISO M
        assert_eq!(read(&hex(&format!("01B90B0000{xyzm}"))).unwrap(), p); // ISO ZM
        assert_eq!(read(&hex(&format!("0101000080{xyz}"))).unwrap(), p); // EWKB Z
        assert_eq!(read(&hex(&format!("01010000E06A080000{xyzm}"))).unwrap(), p); // EWKB ZM, SRID
    }

    #[test]
    fn hostile_bytes_are_refused_without_reserving() {
        // 4 thousand million points, rings and parts announced, none there.
        for code in 2..=7u8 {
            let bytes = [1, code, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
            assert_eq!(read(&bytes), Err(Broken::Truncated));
        }
        assert_eq!(read(&[]), Err(Broken::Truncated));
        assert_eq!(read(&[7, 0, 0, 0, 0]), Err(Broken::ByteOrder(7)));
        assert_eq!(read(&[1, 8, 0, 0, 0]), Err(Broken::Type(8))); // CircularString
        assert_eq!(read(&[1, 0xa1, 0x0f, 0, 0]), Err(Broken::Type(4001)));
        // A line inside a multipolygon.
        let mut bytes = vec![1, 6, 0, 0, 0, 1, 0, 0, 0];
        write(&line_string![(x: 0.0, y: 0.0), (x: 1.0, y: 1.0)].into(), &mut bytes);
        assert_eq!(read(&bytes), Err(Broken::Type(2)));
        let nested: Vec<u8> = [1, 7, 0, 0, 0, 1, 0, 0, 0].repeat(10_000);
        assert_eq!(read(&nested), Err(Broken::TooDeep));
    }

    #[test]
    fn empty_geometries() {
        let nan = f64::NAN.to_le_bytes();
        let mut bytes = vec![1, 1, 0, 0, 0];
        bytes.extend(nan);
        bytes.extend(nan);
        assert_eq!(read(&bytes).unwrap(), MultiPoint::<f64>(vec![]).into());
        let empty: Geometry<f64> = Polygon::new(LineString(vec![]), vec![]).into();
        assert_eq!(round(&empty), empty);
        let none = Geometry::GeometryCollection(GeometryCollection(vec![]));
        assert_eq!(round(&none), none);
    }

    fn coord() -> impl Strategy<Value = Coord<f64>> {
        (-1e7..1e7, -90.0..90.0).prop_map(|(x, y)| Coord { x, y })
    }

    fn line() -> impl Strategy<Value = LineString<f64>> {
        prop::collection::vec(coord(), 0..8).prop_map(LineString)
    }

    fn area() -> impl Strategy<Value = Polygon<f64>> {
        (prop::collection::vec(coord(), 1..8), prop::collection::vec(line(), 0..3))
            .prop_map(|(shell, holes)| Polygon::new(LineString(shell), holes))
    }

    /// Any geometry that WKB can hold.
    fn geometry() -> impl Strategy<Value = Geometry<f64>> {
        let simple = prop_oneof![
            coord().prop_map(|c| Geometry::Point(Point(c))),
            line().prop_map(Geometry::LineString),
            area().prop_map(Geometry::Polygon),
            prop::collection::vec(coord(), 0..5)
                .prop_map(|v| Geometry::MultiPoint(MultiPoint(v.into_iter().map(Point).collect()))),
            prop::collection::vec(line(), 0..3)
                .prop_map(|v| Geometry::MultiLineString(MultiLineString(v))),
            prop::collection::vec(area(), 0..3)
                .prop_map(|v| Geometry::MultiPolygon(MultiPolygon(v))),
        ];
        simple.prop_recursive(3, 12, 4, |inner| {
            prop::collection::vec(inner, 0..4)
                .prop_map(|v| Geometry::GeometryCollection(GeometryCollection(v)))
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(g in geometry()) {
            prop_assert_eq!(round(&g), g);
        }

        #[test]
        fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn a_flipped_byte_never_panics(g in geometry(), at in any::<prop::sample::Index>(), to: u8) {
            let mut bytes = Vec::new();
            write(&g, &mut bytes);
            let i = at.index(bytes.len());
            bytes[i] = to;
            let _ = read(&bytes);
            let _ = read(&bytes[..i]);
        }
    }

    #[test]
    fn rect_and_triangle_become_polygons() {
        let rect = geo_types::Rect::new((0.0, 0.0), (1.0, 1.0));
        assert!(matches!(round(&rect.into()), Geometry::Polygon(_)));
        let shape = polygon![(x: 0.0, y: 0.0), (x: 1.0, y: 0.0), (x: 0.0, y: 1.0)];
        assert_eq!(round(&shape.clone().into()), shape.into());
    }
}
