//! Coordinates as fixed-point decimals, fast and exact.

use super::write_float;
use crate::formats::wkb::{Broken, Positions};
use std::io::Write as _;

/// `00` to `99`.
static PAIRS: [[u8; 2]; 100] = {
    let mut table = [[0; 2]; 100];
    let mut i = 0;
    while i < 100 {
        table[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    table
};

/// Most bytes that the fast path writes for one number: sign, 13 digits, point, 10 digits.
const WIDEST: usize = 32;

/// Fixed-point formatting of coordinates.
///
/// The fast path scales to an integer. The product of two doubles is off by at most half a unit
/// in its last place, which below 2^40 is under 2^-13; when the fraction lies that close to one
/// half the rounding cannot be decided and the exact, slow way is taken. So the result is always
/// what `format!("{:.9}")` gives, zeros trimmed.
#[derive(Debug, Clone, Copy)]
pub(in crate::formats) struct Decimals {
    decimals: u8,
    scale: f64,
    unit: u64,
    /// What makes nine digits of the decimals.
    pad: u32,
}

impl Decimals {
    pub(in crate::formats) fn new(decimals: u8) -> Self {
        let decimals = decimals.min(9);
        let unit = 10u64.pow(u32::from(decimals));
        Self { decimals, scale: unit as f64, unit, pad: 10u32.pow(9 - u32::from(decimals)) }
    }

    pub(super) fn position(
        self,
        c: geo_types::Coord<f64>,
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        out.push(b'[');
        self.number(c.x, out)?;
        out.push(b',');
        self.number(c.y, out)?;
        out.push(b']');
        Ok(())
    }

    /// A list of positions, the bulk of every answer: written into room made beforehand.
    pub(super) fn positions(
        self,
        mut positions: Positions<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        out.push(b'[');
        while positions.len() > 0 {
            let start = out.len();
            let n = positions.len().min(128);
            out.resize(start + n * (2 * WIDEST + 4), 0);
            let room = &mut out[start..];
            let mut at = 0;
            let mut odd = None;
            for c in positions.by_ref().take(n) {
                room[at] = b'[';
                let Some(end) = self.fast(c.x, room, at + 1) else {
                    odd = Some(c);
                    break;
                };
                room[end] = b',';
                let Some(end) = self.fast(c.y, room, end + 1) else {
                    odd = Some(c);
                    break;
                };
                room[end] = b']';
                room[end + 1] = b',';
                at = end + 2;
            }
            out.truncate(start + at);
            if let Some(c) = odd {
                self.position(c, out)?;
                out.push(b',');
            }
        }
        if out.last() == Some(&b',') {
            out.pop();
        }
        out.push(b']');
        Ok(())
    }

    /// The numbers of positions one after the other, as XML has them: `between` the two of a
    /// position, a space between positions.
    pub(in crate::formats) fn list(
        self,
        mut positions: Positions<'_>,
        between: u8,
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        let first = out.len();
        while positions.len() > 0 {
            let start = out.len();
            let n = positions.len().min(128);
            out.resize(start + n * (2 * WIDEST + 2), 0);
            let room = &mut out[start..];
            let (mut at, mut odd) = (0, None);
            for c in positions.by_ref().take(n) {
                let ends = self.fast(c.x, room, at).and_then(|end| {
                    *room.get_mut(end)? = between;
                    self.fast(c.y, room, end + 1)
                });
                let Some(end) = ends else {
                    odd = Some(c);
                    break;
                };
                room[end] = b' ';
                at = end + 1;
            }
            out.truncate(start + at);
            if let Some(c) = odd {
                self.number(c.x, out)?;
                out.push(between);
                self.number(c.y, out)?;
                out.push(b' ');
            }
        }
        if out.len() > first {
            out.pop();
        }
        Ok(())
    }

    /// One number.
    pub(in crate::formats) fn number(self, v: f64, out: &mut Vec<u8>) -> Result<(), Broken> {
        let mut room = [0; WIDEST];
        match self.fast(v, &mut room, 0) {
            Some(end) => out.extend_from_slice(&room[..end]),
            None => self.slow(v, out)?,
        }
        Ok(())
    }

    /// Writes the number at `at`, where [`WIDEST`] bytes must be free, and gives its end; `None`
    /// when it is not sure.
    #[inline]
    fn fast(self, v: f64, room: &mut [u8], at: usize) -> Option<usize> {
        const LIMIT: f64 = (1u64 << 40) as f64;
        let room: &mut [u8; WIDEST] = room.get_mut(at..at + WIDEST)?.try_into().ok()?;
        let scaled = v.abs() * self.scale;
        if scaled >= LIMIT || scaled.is_nan() {
            return None;
        }
        let floor = scaled as u64;
        let fraction = scaled - floor as f64;
        if (fraction - 0.5).abs() < 0.000_2 {
            return None;
        }
        let units = floor + u64::from(fraction > 0.5);
        let (whole, part) = (units / self.unit, (units % self.unit) as u32);
        room[0] = b'-';
        let mut end = usize::from(v < 0.0 && units > 0);
        end = if whole < 1000 { small(whole as usize, room, end) } else { large(whole, room, end) };
        if part == 0 {
            return Some(at + end);
        }
        room[end] = b'.';
        // As nine digits whatever the number of decimals: what follows is zeros, and trimmed.
        let nine = (part * self.pad) as usize;
        let (head, tail) = (nine / 10_000, nine % 10_000);
        let (first, four) = (head / 10_000, head % 10_000);
        room[end + 1] = b'0' + first as u8;
        room[end + 2..end + 4].copy_from_slice(&PAIRS[four / 100]);
        room[end + 4..end + 6].copy_from_slice(&PAIRS[four % 100]);
        room[end + 6..end + 8].copy_from_slice(&PAIRS[tail / 100]);
        room[end + 8..end + 10].copy_from_slice(&PAIRS[tail % 100]);
        let mut last = end + 9;
        while room[last] == b'0' {
            last -= 1;
        }
        Some(at + last + 1)
    }

    /// The exact way, for what the fast one leaves.
    fn slow(self, v: f64, out: &mut Vec<u8>) -> Result<(), Broken> {
        if !v.is_finite() {
            return Err(Broken::NotFinite);
        }
        if v.abs() >= 1e15 {
            // No decimals are left in such a number; its digits would run to hundreds.
            write_float(v, out);
            return Ok(());
        }
        let start = out.len();
        // Cannot fail on a Vec.
        let _ = write!(out, "{v:.*}", usize::from(self.decimals));
        if self.decimals > 0 {
            while out.last() == Some(&b'0') {
                out.pop();
            }
            if out.last() == Some(&b'.') {
                out.pop();
            }
        }
        if &out[start..] == b"-0" {
            out.remove(start);
        }
        Ok(())
    }
}

/// Writes a number below 1,000.
#[inline]
fn small(n: usize, room: &mut [u8; WIDEST], mut at: usize) -> usize {
    if n >= 100 {
        room[at] = b'0' + (n / 100) as u8;
        at += 1;
    }
    if n >= 10 {
        room[at..at + 2].copy_from_slice(&PAIRS[n % 100]);
        at + 2
    } else {
        room[at] = b'0' + n as u8;
        at + 1
    }
}

/// Writes a number below 2^40.
fn large(n: u64, room: &mut [u8; WIDEST], at: usize) -> usize {
    let width = n.ilog10() as usize + 1;
    let mut rest = n;
    for i in (at..at + width).rev() {
        room[i] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    at + width
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expected(v: f64, decimals: usize) -> String {
        let mut s = format!("{v:.decimals$}");
        if decimals > 0 {
            s = s.trim_end_matches('0').trim_end_matches('.').to_owned();
        }
        if s == "-0" { "0".to_owned() } else { s }
    }

    fn number(v: f64, decimals: u8) -> String {
        let mut out = Vec::new();
        Decimals::new(decimals).number(v, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_at_the_edges() {
        for v in [
            0.0,
            -0.0,
            5e-10,
            4.999e-10,
            -1e-10,
            1e-9,
            0.5,
            0.1,
            0.3,
            179.999_999_999_9,
            999.999_999_999_9,
            1000.0,
            1099.0,
            1100.0,
            99.999_999_999_49,
            123_456_789.123,
            1e14,
            -180.0,
            90.0,
            0.000_000_000_5,
            1.000_000_000_5,
            2.5,
            0.125,
            1e-300,
            f64::MIN_POSITIVE,
            8_388_607.515_625,
        ] {
            for d in 0..=9 {
                assert_eq!(number(v, d), expected(v, usize::from(d)), "{v} with {d}");
            }
        }
        assert_eq!(number(1e300, 9), "1e+300");
        assert_eq!(number(-0.000_000_000_01, 9), "0");
    }

    proptest! {
        #[test]
        fn degrees_as_format_writes_them(v in -180.0..180.0f64, d in 0u8..=9) {
            prop_assert_eq!(number(v, d), expected(v, usize::from(d)));
        }

        #[test]
        fn short_decimals_too(n in -180_000_000_000i64..180_000_000_000, digits in 0i32..10) {
            let v = (n / 10i64.pow(digits as u32)) as f64 / 10f64.powi(9 - digits);
            prop_assert_eq!(number(v, 9), expected(v, 9));
        }

        #[test]
        fn halves_are_decided_exactly(n in 0i64..180_000_000, d in 0u8..=9) {
            let v = (n as f64 + 0.5) / 10f64.powi(i32::from(d));
            prop_assert_eq!(number(v, d), expected(v, usize::from(d)));
        }

        #[test]
        fn any_double_is_valid_json(v in any::<f64>()) {
            let mut out = Vec::new();
            match Decimals::new(9).number(v, &mut out) {
                Err(_) => prop_assert!(!v.is_finite()),
                Ok(()) => {
                    let back: f64 = serde_json::from_slice(&out).unwrap();
                    prop_assert!((back - v).abs() <= 5.1e-10_f64.max(v.abs() * 1e-15));
                }
            }
        }
    }
}
