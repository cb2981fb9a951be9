//! Properties as a tile needs them, encoded once when a version is loaded.
//!
//! ```text
//! tags    = { key length value }      for each property that is not null
//! key     = varint: index of the property's name in the store's list of keys
//! length  = varint: bytes of value
//! value   = the body of an MVT Value message
//! ```
//!
//! What clients make of numbers decides their form: QGIS (3.22) cuts integers to 32 bits, and
//! JavaScript holds them exactly up to 2^53. So integers within 32 bits are integers, those up to
//! 2^53 doubles, and those beyond their decimal text.

use super::{
    CorruptTags,
    wire::{self, BYTES, FIXED64, Payload, VARINT},
};
use crate::model::{Value, ValueRef};

/// The largest integer that every double up to it represents exactly.
const EXACT: u64 = 1 << 53;

/// Appends the tags of a feature's values; the property at position `i` has key index
/// `first_key + i`. Nulls and numbers that are not finite have no tag.
pub fn encode_tags(first_key: u32, values: &[Value], out: &mut Vec<u8>) {
    for (key, value) in (first_key..).zip(values) {
        match value {
            Value::Null => {}
            Value::Bool(b) => push_tag(key, ValueRef::Bool(*b), out),
            Value::Int(i) => push_tag(key, ValueRef::Int(*i), out),
            Value::Float(f) => push_tag(key, ValueRef::Float(*f), out),
            Value::Text(s) => push_tag(key, ValueRef::Text(s), out),
            Value::Date(d) => push_tag(key, ValueRef::Text(&d.to_string()), out),
            Value::DateTime(t) => push_tag(key, ValueRef::Text(&t.to_string()), out),
            Value::Json(s) => push_tag(key, ValueRef::Json(s), out),
        }
    }
}

/// Appends one tag, nothing for a null.
pub fn push_tag(key: u32, value: ValueRef<'_>, out: &mut Vec<u8>) {
    match value {
        ValueRef::Null => {}
        ValueRef::Bool(b) => push_small(key, &[wire::key(7, VARINT), u8::from(b)], out),
        ValueRef::Int(i) => push_int(key, i, out),
        ValueRef::Float(f) if f.is_finite() => push_double(key, f, out),
        ValueRef::Float(_) => {}
        ValueRef::Text(s) | ValueRef::Json(s) => push_text(key, s, out),
    }
}

/// The values that tags hold, by key index; null where there is no tag. `count` keys at most.
pub fn decode_tags(mut tags: &[u8], count: usize) -> Result<Vec<ValueRef<'_>>, CorruptTags> {
    let mut values = vec![ValueRef::Null; count];
    while !tags.is_empty() {
        let key = wire::take_varint(&mut tags).ok_or(CorruptTags)?;
        let mut value = wire::take_bytes(&mut tags).ok_or(CorruptTags)?;
        let field = wire::take_field(&mut value).ok_or(CorruptTags)?;
        let read = match field {
            (1, Payload::Bytes(text)) => {
                ValueRef::Text(std::str::from_utf8(text).map_err(|_| CorruptTags)?)
            }
            (3, Payload::Fixed64(bytes)) => ValueRef::Float(f64::from_le_bytes(bytes)),
            (5, Payload::Varint(word)) => {
                ValueRef::Int(i64::try_from(word).map_err(|_| CorruptTags)?)
            }
            (6, Payload::Varint(word)) => {
                ValueRef::Int((word >> 1).cast_signed() ^ -((word & 1).cast_signed()))
            }
            (7, Payload::Varint(word)) => ValueRef::Bool(word != 0),
            _ => return Err(CorruptTags),
        };
        // The id of a feature without a key comes after the schema's own.
        if let Some(place) = usize::try_from(key).ok().and_then(|key| values.get_mut(key)) {
            *place = read;
        }
    }
    Ok(values)
}

fn push_int(key: u32, i: i64, out: &mut Vec<u8>) {
    if let Ok(small) = i32::try_from(i) {
        let (field, word) = match u32::try_from(small) {
            Ok(unsigned) => (5, u64::from(unsigned)),
            Err(_) => (6, u64::from(super::zigzag(small))),
        };
        let mut value = Vec::with_capacity(6);
        value.push(wire::key(field, VARINT));
        wire::push_varint(&mut value, word);
        push_small(key, &value, out);
    } else if i.unsigned_abs() <= EXACT {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
        push_double(key, i as f64, out);
    } else {
        push_text(key, &i.to_string(), out);
    }
}

fn push_double(key: u32, f: f64, out: &mut Vec<u8>) {
    let mut value = [wire::key(3, FIXED64); 9];
    value[1..].copy_from_slice(&f.to_le_bytes());
    push_small(key, &value, out);
}

fn push_text(key: u32, text: &str, out: &mut Vec<u8>) {
    let len = text.len() as u64;
    wire::push_varint(out, key.into());
    wire::push_varint(out, 1 + wire::varint_len(len) as u64 + len);
    out.push(wire::key(1, BYTES));
    wire::push_varint(out, len);
    out.extend_from_slice(text.as_bytes());
}

fn push_small(key: u32, value: &[u8], out: &mut Vec<u8>) {
    wire::push_varint(out, key.into());
    wire::push_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tags_are_read_back(
            int in any::<i32>(), float in -1e300f64..1e300, text in ".*", truth in any::<bool>(),
        ) {
            let values = [
                Value::Int(int.into()), Value::Null, Value::Float(float), Value::Text(text.clone()),
                Value::Bool(truth),
            ];
            let mut tags = Vec::new();
            encode_tags(0, &values, &mut tags);
            let read = decode_tags(&tags, 5).unwrap();
            let text = ValueRef::Text(&text);
            let wanted =
                [ValueRef::Int(int.into()), ValueRef::Null, ValueRef::Float(float), text, ValueRef::Bool(truth)];
            prop_assert_eq!(read, wanted);
        }

        #[test]
        fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode_tags(&bytes, 3);
        }
    }
}
