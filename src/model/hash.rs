//! A hash of text that never changes.

/// FNV-1a, 64 bits: the same in every release and on every machine, which ids handed out and
/// files on disk need.
pub fn stable_hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_fnv_1a() {
        // The vectors of the algorithm's authors.
        assert_eq!(super::stable_hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(super::stable_hash("foobar"), 0x8594_4171_f739_67e8);
    }
}
