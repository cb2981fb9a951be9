//! The few pieces of Protocol Buffers that MVT is made of.

/// Varint.
pub(super) const VARINT: u32 = 0;
/// Eight bytes, little endian.
pub(super) const FIXED64: u32 = 1;
/// A length and as many bytes.
pub(super) const BYTES: u32 = 2;
/// Four bytes, little endian.
pub(super) const FIXED32: u32 = 5;

/// The varint before a field.
pub(super) const fn key(field: u32, wire: u32) -> u8 {
    assert!(field < 16);
    (field << 3 | wire) as u8
}

/// Appends a varint.
#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
pub(super) fn push_varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// Bytes of a varint.
pub(super) fn varint_len(v: u64) -> usize {
    (64 - (v | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends a field of bytes.
pub(super) fn push_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    out.push(key(field, BYTES));
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes a varint off the front; `None` when it is cut or longer than 64 bits.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if shift == 63 && *byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Takes a length and as many bytes off the front.
pub(super) fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_varint(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

/// The contents of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Payload<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(&'a [u8]),
}

/// Takes a field off the front: its number and contents.
pub(super) fn take_field<'a>(bytes: &mut &'a [u8]) -> Option<(u32, Payload<'a>)> {
    let key = u32::try_from(take_varint(bytes)?).ok()?;
    let payload = match key & 7 {
        VARINT => Payload::Varint(take_varint(bytes)?),
        BYTES => Payload::Bytes(take_bytes(bytes)?),
        FIXED64 => {
            let (taken, rest) = bytes.split_first_chunk::<8>()?;
            *bytes = rest;
            Payload::Fixed64(*taken)
        }
        FIXED32 => {
            let (taken, rest) = bytes.split_first_chunk::<4>()?;
            *bytes = rest;
            Payload::Fixed32(*taken)
        }
        _ => return None,
    };
    (key >> 3 > 0).then_some((key >> 3, payload))
}
