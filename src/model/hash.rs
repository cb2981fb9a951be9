//! A hash of text that never changes.

/// FNV-1a, 64 bits: the same in every release and on every machine, which ids handed out and
/// files on disk need.
pub fn stable_hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Appends the last `digits` hexadecimal digits of a value, without the machinery of `format!`:
/// this runs several times at every request.
pub fn push_hex(value: u64, digits: u32, out: &mut String) {
    for place in (0..digits).rev() {
        let digit = (value >> (4 * place)) as u32 & 15;
        out.push(char::from_digit(digit, 16).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_fnv_1a() {
        // The vectors of the algorithm's authors.
        assert_eq!(super::stable_hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(super::stable_hash("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn digits_are_those_of_format() {
        for value in [0, 7, 0x00ab_0000_0000_cdef, u64::MAX] {
            let mut text = String::new();
            super::push_hex(value, 16, &mut text);
            super::push_hex(value, 3, &mut text);
            assert_eq!(text, format!("{value:016x}{:03x}", value & 0xfff));
        }
    }
}
