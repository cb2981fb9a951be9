//! Changes of stored WKB without a geometry in between: coordinates mapped where they lie, bounds,
//! a single geometry as a multi one. For what the stores keep: little endian, 2D, ISO.

use super::{Broken, Cursor, Header, Kind, MAX_DEPTH};
use geo_types::Coord;

/// Why coordinates could not be mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmapped<E> {
    /// The bytes are not such a geometry.
    Broken(Broken),
    /// The mapping failed for a coordinate.
    Failed(E),
}

impl<E> From<Broken> for Unmapped<E> {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// Maps every coordinate of a 2D little-endian geometry where it lies. Empty points (NaN) stay as
/// they are.
///
/// # Errors
/// [`Unmapped`]; the bytes are then half mapped and must be dropped.
pub fn map_in_place<E>(
    wkb: &mut [u8],
    mut f: impl FnMut(Coord<f64>) -> Result<Coord<f64>, E>,
) -> Result<(), Unmapped<E>> {
    let mut walk = Walk { bytes: wkb, at: 0 };
    walk.geometry(0, &mut f)
}

struct Walk<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Walk<'_> {
    fn u32(&mut self) -> Result<u32, Broken> {
        let four = self.bytes.get(self.at..).and_then(|b| b.first_chunk::<4>());
        let four = *four.ok_or(Broken::Truncated)?;
        self.at += 4;
        Ok(u32::from_le_bytes(four))
    }

    fn geometry<E>(
        &mut self,
        depth: u8,
        f: &mut impl FnMut(Coord<f64>) -> Result<Coord<f64>, E>,
    ) -> Result<(), Unmapped<E>> {
        match self.bytes.get(self.at) {
            Some(1) => self.at += 1,
            Some(other) => return Err(Broken::ByteOrder(*other).into()),
            None => return Err(Broken::Truncated.into()),
        }
        let code = self.u32()?;
        match code {
            1 => self.coordinates(1, f),
            2 => {
                let n = self.u32()?;
                self.coordinates(n, f)
            }
            3 => {
                for _ in 0..self.u32()? {
                    let n = self.u32()?;
                    self.coordinates(n, f)?;
                }
                Ok(())
            }
            4..=7 if depth >= MAX_DEPTH => Err(Broken::TooDeep.into()),
            4..=7 => {
                for _ in 0..self.u32()? {
                    self.geometry(depth + 1, f)?;
                }
                Ok(())
            }
            other => Err(Broken::Type(other).into()),
        }
    }

    fn coordinates<E>(
        &mut self,
        n: u32,
        f: &mut impl FnMut(Coord<f64>) -> Result<Coord<f64>, E>,
    ) -> Result<(), Unmapped<E>> {
        let end = (n as usize).checked_mul(16).and_then(|size| size.checked_add(self.at));
        let range =
            end.and_then(|end| self.bytes.get_mut(self.at..end)).ok_or(Broken::Truncated)?;
        self.at += range.len();
        let (positions, _) = range.as_chunks_mut::<16>();
        for position in positions {
            let (x, y) = position.split_at_mut(8);
            let number = |b: &[u8]| b.first_chunk().map_or(f64::NAN, |b| f64::from_le_bytes(*b));
            let c = Coord { x: number(x), y: number(y) };
            if c.x.is_nan() && c.y.is_nan() {
                continue;
            }
            let mapped = f(c).map_err(Unmapped::Failed)?;
            x.copy_from_slice(&mapped.x.to_le_bytes());
            y.copy_from_slice(&mapped.y.to_le_bytes());
        }
        Ok(())
    }
}

/// `[min x, min y, max x, max y]`; `None` for an empty geometry.
pub fn bounds(wkb: &[u8]) -> Result<Option<[f64; 4]>, Broken> {
    let mut b = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    let mut cursor = Cursor::new(wkb);
    let header = cursor.header()?;
    grow(&mut cursor, &header, 0, &mut b)?;
    Ok((b[0] <= b[2]).then_some(b))
}

fn grow(c: &mut Cursor<'_>, h: &Header, depth: u8, b: &mut [f64; 4]) -> Result<(), Broken> {
    let mut add = |p: Coord<f64>| {
        *b = [b[0].min(p.x), b[1].min(p.y), b[2].max(p.x), b[3].max(p.y)];
    };
    match h.kind {
        Kind::Point => c.point(h)?.into_iter().for_each(add),
        Kind::LineString => c.line(h)?.for_each(add),
        Kind::Polygon => {
            for _ in 0..c.rings(h)? {
                c.line(h)?.for_each(&mut add);
            }
        }
        _ if depth >= MAX_DEPTH => return Err(Broken::TooDeep),
        _ => {
            for _ in 0..c.parts(h)? {
                let part = c.part(h)?;
                grow(c, &part, depth + 1, b)?;
            }
        }
    }
    Ok(())
}

/// Puts a single geometry into a multi one of its kind; what is multi already stays as it is.
pub fn promote(wkb: &mut Vec<u8>) {
    let Some([1, code @ 1..=3, 0, 0, 0]) = wkb.first_chunk::<5>().copied() else { return };
    wkb.splice(0..0, [1, code + 3, 0, 0, 0, 1, 0, 0, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::wkb;
    use geo_types::{Geometry, line_string, point, polygon};

    fn bytes(g: &Geometry<f64>) -> Vec<u8> {
        let mut out = Vec::new();
        wkb::write(g, &mut out);
        out
    }

    #[test]
    fn coordinates_are_mapped_where_they_lie() {
        let area = polygon![(x: 0.0, y: 0.0), (x: 4.0, y: 0.0), (x: 4.0, y: 4.0)];
        let all = vec![
            area.into(),
            point!(x: -1.0, y: 2.0).into(),
            line_string![(x: 9.0, y: 9.0), (x: 1.0, y: 1.0)].into(),
        ];
        let g = Geometry::GeometryCollection(geo_types::GeometryCollection(all));
        let mut wkb = bytes(&g);
        assert_eq!(bounds(&wkb).unwrap(), Some([-1.0, 0.0, 9.0, 9.0]));
        map_in_place(&mut wkb, |c| Ok::<_, ()>(Coord { x: c.x + 10.0, y: -c.y })).unwrap();
        assert_eq!(bounds(&wkb).unwrap(), Some([9.0, -9.0, 19.0, 0.0]));
        let failed = map_in_place(&mut wkb, |_| Err("no"));
        assert_eq!(failed, Err(Unmapped::Failed("no")));
        wkb.truncate(20);
        assert_eq!(map_in_place(&mut wkb, Ok::<_, ()>), Err(Unmapped::Broken(Broken::Truncated)));
    }

    #[test]
    fn single_geometries_become_multi_ones() {
        let mut wkb = bytes(&point!(x: 1.0, y: 2.0).into());
        promote(&mut wkb);
        assert!(matches!(wkb::read(&wkb).unwrap(), Geometry::MultiPoint(m) if m.0.len() == 1));
        let before = wkb.clone();
        promote(&mut wkb);
        assert_eq!(wkb, before);
    }
}
