//! Numbers of JSON text: any number with its type, and coordinates, fast.

use super::scan::{Fail, Scan, Scanner};
use crate::{
    model::{RefusalReason, Value},
    text,
};

/// Powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

impl Scanner<'_> {
    /// A number with its type: an integer stays one. What neither a 64-bit integer nor a finite
    /// double can hold stays text, digit for digit.
    pub(super) fn number(&mut self) -> Scan<Value> {
        let start = self.pos;
        let (end, integer) = self.number_end()?;
        let raw = self.text.get(start..end).unwrap_or_default();
        self.pos = end;
        let number = if integer {
            raw.parse().ok().map(Value::Int)
        } else {
            raw.parse().ok().filter(|f: &f64| f.is_finite()).map(Value::Float)
        };
        Ok(number.unwrap_or_else(|| Value::Text(raw.to_owned())))
    }

    /// Where the number that starts here ends, and whether it is written as an integer.
    fn number_end(&self) -> Scan<(usize, bool)> {
        let digits = |mut i: usize| {
            while self.bytes.get(i).is_some_and(u8::is_ascii_digit) {
                i += 1;
            }
            i
        };
        let first = self.pos + usize::from(self.peek() == Some(b'-'));
        let mut end = digits(first);
        let mut integer = true;
        if end == first || (end > first + 1 && self.bytes.get(first) == Some(&b'0')) {
            return Err(Fail::Syntax { at: end });
        }
        if self.bytes.get(end) == Some(&b'.') {
            integer = false;
            let after = digits(end + 1);
            if after == end + 1 {
                return Err(Fail::Syntax { at: after });
            }
            end = after;
        }
        if let Some(b'e' | b'E') = self.bytes.get(end) {
            integer = false;
            let sign = usize::from(matches!(self.bytes.get(end + 1), Some(b'+' | b'-')));
            let after = digits(end + 1 + sign);
            if after == end + 1 + sign {
                return Err(Fail::Syntax { at: after });
            }
            end = after;
        }
        Ok((end, integer))
    }

    /// A coordinate. Up to 15 or 16 digits it is one exact integer divided by one exact power of
    /// ten, which IEEE 754 rounds correctly (Clinger's fast path); else the standard library
    /// reads it.
    #[inline]
    pub(super) fn coordinate(&mut self) -> Scan<f64> {
        let bytes = self.bytes;
        let negative = self.peek() == Some(b'-');
        let first = self.pos + usize::from(negative);
        let mut i = first;
        let mut mantissa: u64 = 0;
        while let Some(d) = digit(bytes, i) {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(d);
            i += 1;
        }
        let whole = i - first;
        let mut fraction = 0;
        if bytes.get(i) == Some(&b'.') {
            let point = i;
            i += 1;
            while let Some(d) = digit(bytes, i) {
                mantissa = mantissa.wrapping_mul(10).wrapping_add(d);
                i += 1;
            }
            fraction = i - point - 1;
            if fraction == 0 {
                return Err(self.not_a_number());
            }
        }
        if whole == 0 || (whole > 1 && bytes.get(first) == Some(&b'0')) {
            return Err(self.not_a_number());
        }
        let plain = !matches!(bytes.get(i), Some(b'e' | b'E'));
        // Below 20 digits the mantissa cannot have wrapped.
        if plain
            && whole + fraction < 20
            && mantissa <= 1 << 53
            && let Some(power) = EXACT_POWERS.get(fraction)
        {
            self.pos = i;
            let v = mantissa as f64 / power;
            return Ok(if negative { -v } else { v });
        }
        self.slow_coordinate()
    }

    #[cold]
    fn slow_coordinate(&mut self) -> Scan<f64> {
        let (end, _) = self.number_end()?;
        let raw = self.text.get(self.pos..end).unwrap_or_default();
        match raw.parse::<f64>() {
            Ok(v) if v.is_finite() => {
                self.pos = end;
                Ok(v)
            }
            _ => Err(self.not_a_number()),
        }
    }

    #[cold]
    fn not_a_number(&self) -> Fail {
        self.odd(
            RefusalReason::BadCoordinate,
            text!("une coordonnée n'est pas un nombre fini", "a coordinate is not a finite number"),
        )
    }
}

#[inline]
fn digit(bytes: &[u8], i: usize) -> Option<u64> {
    match bytes.get(i) {
        Some(b @ b'0'..=b'9') => Some(u64::from(b - b'0')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn coordinate(s: &str) -> Option<f64> {
        let mut scan = Scanner::at(s, 0);
        scan.coordinate().ok().filter(|_| scan.pos == s.len())
    }

    #[test]
    fn coordinates_are_rounded_as_the_standard_library_does() {
        for s in [
            "0",
            "-0",
            "2.1",
            "-1.5e3",
            "5.123456789012345",
            "6859718.002095",
            "1E-7",
            "123456789012345678901234567890.5",
            "0.00000000000000000000000001",
            "9007199254740993",
            "48.869406190197715",
            "1e22",
            "-61.5833333333333333333333",
        ] {
            let expected = s.parse::<f64>().unwrap();
            assert_eq!(coordinate(s).map(f64::to_bits), Some(expected.to_bits()), "{s}");
        }
        for s in ["", "-", "01", "1.", ".5", "+1", "1e", "NaN", "null", "\"1\"", "1e999"] {
            assert_eq!(coordinate(s), None, "{s}");
        }
    }

    #[test]
    fn numbers_keep_their_type() {
        let read = |s| Scanner::at(s, 0).value().ok();
        assert_eq!(read("12"), Some(Value::Int(12)));
        assert_eq!(read("12.0"), Some(Value::Float(12.0)));
        assert_eq!(read("1e2"), Some(Value::Float(100.0)));
        let long = "12345678901234567890";
        assert_eq!(read(long), Some(Value::Text(long.into())));
        assert_eq!(read("1e999"), Some(Value::Text("1e999".into())));
        assert_eq!(read("nul"), None);
        assert_eq!(read("01"), None);
    }

    proptest! {
        #[test]
        fn any_double_reads_back(f in any::<f64>().prop_filter("finite", |f| f.is_finite())) {
            let s = format!("{f}");
            prop_assert_eq!(coordinate(&s).map(f64::to_bits), Some(f.to_bits()));
        }

        #[test]
        fn any_decimal_reads_as_std(s in "-?(0|[1-9][0-9]{0,8})\\.[0-9]{1,17}") {
            let expected = s.parse::<f64>().unwrap();
            prop_assert_eq!(coordinate(&s).map(f64::to_bits), Some(expected.to_bits()));
        }
    }
}
