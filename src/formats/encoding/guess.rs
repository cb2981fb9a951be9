//! What bytes without a mark show of their encoding.

use encoding_rs::Encoding;

/// How many pairs of bytes are looked at for UTF-16.
const PAIRS: usize = 2048;

/// The UTF-16 that the first bytes of a text are in, without its mark: in text of Europe nearly
/// every other byte is zero, and the bytes between never are.
pub(crate) fn utf16(head: &[u8]) -> Option<&'static Encoding> {
    let (mut first, mut second, mut pairs) = (0, 0, 0);
    for pair in head.chunks_exact(2).take(PAIRS) {
        pairs += 1;
        first += usize::from(pair.first() == Some(&0));
        second += usize::from(pair.last() == Some(&0));
    }
    let nearly_all = |zeros: usize| pairs >= 2 && zeros * 4 >= pairs * 3;
    match (first, second) {
        (0, zeros) if nearly_all(zeros) => Some(encoding_rs::UTF_16LE),
        (zeros, 0) if nearly_all(zeros) => Some(encoding_rs::UTF_16BE),
        _ => None,
    }
}

/// Validity of UTF-8 over chunks. A sequence cut at the very end counts as valid: the file is
/// truncated rather than in another encoding.
#[derive(Debug, Default)]
pub(crate) struct Utf8Check {
    carry: Vec<u8>,
    /// Whether anything but ASCII was seen.
    pub(crate) beyond_ascii: bool,
    /// Whether something invalid was seen.
    pub(crate) bad: bool,
}

impl Utf8Check {
    /// Looks at the next bytes; `false` once it is known not to be UTF-8.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> bool {
        if self.bad || chunk.is_empty() {
            return !self.bad;
        }
        if !self.carry.is_empty() {
            // At most three bytes are carried: the sequence ends within the next three.
            let mut head = std::mem::take(&mut self.carry);
            let split = chunk.len().min(3);
            let (now, rest) = chunk.split_at(split);
            head.extend_from_slice(now);
            return self.check(&head) && self.push(rest);
        }
        self.check(chunk)
    }

    fn check(&mut self, bytes: &[u8]) -> bool {
        self.beyond_ascii |= !bytes.is_ascii();
        match std::str::from_utf8(bytes) {
            Ok(_) => true,
            Err(e) if e.error_len().is_none() => {
                self.carry = bytes.get(e.valid_up_to()..).unwrap_or_default().to_vec();
                true
            }
            Err(_) => {
                self.bad = true;
                false
            }
        }
    }
}

/// Tells ISO-8859-15 (Latin-9) from Windows-1252, chunk by chunk: where the one has `œ` and `€` the
/// other has `½` and `¤`. A `½` within a word, or before `u`, and a `¤` behind a figure are none.
#[derive(Debug, Default)]
pub(super) struct Latin9 {
    /// The two bytes before.
    before: [u8; 2],
    shown: bool,
    /// A byte that ISO-8859-15 has for a control character, and Windows-1252 for a sign.
    against: bool,
}

impl Latin9 {
    /// Looks at the next bytes; `false` once it is known not to be ISO-8859-15.
    pub(super) fn push(&mut self, chunk: &[u8]) -> bool {
        for byte in chunk {
            let [a, b] = self.before;
            let oe = matches!(b, 0xbc | 0xbd) && (is_letter(a) || matches!(byte, b'u' | b'U'));
            let spaced = matches!(b, b' ' | 0xa0) && a.is_ascii_digit();
            let euro = *byte == 0xa4 && (b.is_ascii_digit() || spaced);
            self.shown |= oe || euro;
            self.against |= matches!(byte, 0x80..=0x9f);
            self.before = [b, *byte];
        }
        !self.against
    }

    /// Whether it is.
    pub(super) fn is_shown(&self) -> bool {
        self.shown && !self.against
    }
}

/// A letter of both.
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte >= 0xc0 && !matches!(byte, 0xd7 | 0xf7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_prices_show_latin_9() {
        let shown = |bytes: &[u8]| {
            let mut latin9 = Latin9::default();
            let (first, rest) = bytes.split_at(bytes.len() / 2);
            let _ = latin9.push(first) && latin9.push(rest);
            latin9.is_shown()
        };
        for word in ["cœur", "Sacré-Cœur", "bœuf", "œuvre", "ŒUVRES", "12 €", "1,50€", "3\u{a0}€"]
        {
            let (bytes, _, missing) = encoding_rs::ISO_8859_15.encode(word);
            assert_eq!((missing, shown(&bytes)), (false, true), "{word}");
        }
        for word in ["2½", "½ tarif", "1½ h", "¼", "¤", "été", "cœur", "12 €", "l’été"]
        {
            let (bytes, ..) = encoding_rs::WINDOWS_1252.encode(word);
            assert!(!shown(&bytes), "{word}");
        }
        assert!(!shown(b"c\xbdur, l\x92\xe9t\xe9"), "a sign that Latin-9 has not");
    }

    #[test]
    fn utf_16_shows_by_its_zeros() {
        let pairs = |text: &str, le: bool| {
            let units = text.encode_utf16();
            units.flat_map(|u| if le { u.to_le_bytes() } else { u.to_be_bytes() }).collect()
        };
        for le in [true, false] {
            let bytes: Vec<u8> = pairs("nom;prix\nL’œuvre;12 €\n", le);
            let wanted = if le { encoding_rs::UTF_16LE } else { encoding_rs::UTF_16BE };
            assert_eq!(utf16(&bytes), Some(wanted));
        }
        for none in
            [&b"nom;prix\n"[..], b"", b"a\0", b"\0\0\0\0\0\0", b"\x03\x7d\x01\x02\0\0\0\0a\0a\0"]
        {
            assert_eq!(utf16(none), None, "{none:?}");
        }
    }
}
