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

use super::wire::{self, BYTES, FIXED64, VARINT};
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
