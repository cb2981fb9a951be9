//! Cells of a dBASE table and the values they spell.

use crate::{
    formats::{
        encoding::{self, Charset},
        types,
    },
    model::{FieldKind, Value},
};

/// One column's description.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: Vec<u8>,
    pub(super) kind: u8,
    pub(super) width: usize,
    pub(super) decimals: u8,
}

impl Column {
    /// The field's kind.
    pub(super) fn field_kind(&self) -> FieldKind {
        match self.kind {
            b'N' | b'F' if self.decimals == 0 => FieldKind::Int,
            b'N' | b'F' | b'O' | b'B' | b'Y' => FieldKind::Float,
            b'I' | b'+' => FieldKind::Int,
            b'L' => FieldKind::Bool,
            b'D' => FieldKind::Date,
            _ => FieldKind::Text,
        }
    }
}

/// What made a value doubtful.
pub(super) enum Doubt {
    None,
    Malformed(u64),
    Overflow,
}

/// The value of a cell.
pub(super) fn value(column: &Column, raw: &[u8], charset: Charset) -> (Value, Doubt) {
    let sure = |value| (value, Doubt::None);
    match column.kind {
        b'I' | b'+' if raw.len() == 4 => sure(match raw {
            [a, b, c, d] => Value::Int(i32::from_le_bytes([*a, *b, *c, *d]).into()),
            _ => Value::Null,
        }),
        b'O' | b'B' if raw.len() == 8 => sure(
            raw.try_into()
                .map(f64::from_le_bytes)
                .ok()
                .filter(|f: &f64| f.is_finite())
                .map_or(Value::Null, Value::Float),
        ),
        b'N' | b'F' => number(raw),
        b'L' => sure(match raw.first() {
            Some(b'T' | b't' | b'Y' | b'y') => Value::Bool(true),
            Some(b'F' | b'f' | b'N' | b'n') => Value::Bool(false),
            _ => Value::Null,
        }),
        b'D' => sure(date(raw)),
        _ => words(raw, charset),
    }
}

fn words(raw: &[u8], charset: Charset) -> (Value, Doubt) {
    // Padded with spaces, by some tools with NULs; what is behind a NUL is left-over memory.
    let raw = raw.split(|b| *b == 0).next().unwrap_or_default();
    let end = raw.iter().rposition(|b| *b != b' ').map_or(0, |i| i + 1);
    let mut raw = raw.get(..end).unwrap_or_default();
    if raw.is_empty() {
        return (Value::Null, Doubt::None);
    }
    if charset == encoding::UTF_8
        && let Err(e) = std::str::from_utf8(raw)
        && e.error_len().is_none()
    {
        // A character cut by the width of the column.
        raw = raw.get(..e.valid_up_to()).unwrap_or_default();
    }
    let (s, malformed) = charset.decode(raw);
    let doubt = if malformed > 0 { Doubt::Malformed(malformed) } else { Doubt::None };
    (Value::Text(types::nfc(s)), doubt)
}

fn number(raw: &[u8]) -> (Value, Doubt) {
    let text = String::from_utf8_lossy(raw);
    let text = text.trim_matches(|c: char| c == ' ' || c == '\0');
    if text.is_empty() {
        return (Value::Null, Doubt::None);
    }
    if text.bytes().all(|b| b == b'*') {
        return (Value::Null, Doubt::Overflow);
    }
    let bare = text.strip_prefix('+').unwrap_or(text);
    let value = if let Ok(i) = bare.parse::<i64>() {
        Value::Int(i)
    } else if bare.trim_start_matches('-').bytes().all(|b| b.is_ascii_digit()) {
        // More digits than 64 bits hold: text loses none.
        Value::Text(text.to_owned())
    } else {
        match bare.replacen(',', ".", 1).parse::<f64>() {
            Ok(f) if f.is_finite() => Value::Float(f),
            _ => Value::Text(text.to_owned()),
        }
    };
    (value, Doubt::None)
}

fn date(raw: &[u8]) -> Value {
    let text = String::from_utf8_lossy(raw);
    let text = text.trim_matches(|c: char| c == ' ' || c == '\0');
    if text.is_empty() || text.bytes().all(|b| b == b'0') {
        return Value::Null;
    }
    let part = |range: std::ops::Range<usize>| text.get(range).and_then(|s| s.parse().ok());
    let civil = (text.len() == 8)
        .then(|| Some((part(0..4)?, part(4..6)?, part(6..8)?)))
        .flatten()
        .and_then(|(y, m, d): (i16, i16, i16)| {
            jiff::civil::Date::new(y, m.try_into().ok()?, d.try_into().ok()?).ok()
        });
    civil.map_or_else(|| Value::Text(text.to_owned()), Value::Date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells() {
        assert_eq!(number(b"   12 ").0, Value::Int(12));
        assert_eq!(number(b"  1,5").0, Value::Float(1.5));
        assert_eq!(number(b"-1.50").0, Value::Float(-1.5));
        assert_eq!(number(b"     ").0, Value::Null);
        assert!(matches!(number(b"*****"), (Value::Null, Doubt::Overflow)));
        let long = "123456789012345678901";
        assert_eq!(number(long.as_bytes()).0, Value::Text(long.into()));
        assert_eq!(number(b"nan").0, Value::Text("nan".into()));
        assert_eq!(date(b"20240229"), Value::Date(jiff::civil::date(2024, 2, 29)));
        assert_eq!(date(b"00000000"), Value::Null);
        assert_eq!(date(b"20231301"), Value::Text("20231301".into()));
        assert_eq!(words(b"caf\xc3", encoding::UTF_8).0, Value::Text("caf".into()));
        assert_eq!(words(b"a\0junk", encoding::UTF_8).0, Value::Text("a".into()));
        assert_eq!(words(b" a  ", encoding::UTF_8).0, Value::Text(" a".into()));
    }
}
