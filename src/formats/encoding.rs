//! Text encodings: which one a file is in, and its text as UTF-8. Nothing is guessed in silence:
//! [`Detected::note`] says what was found and why.

mod guess;

use crate::{
    error::{Error, Result},
    model::Text,
    text,
};
use encoding_rs::Encoding;
use guess::Latin9;
pub(crate) use guess::{Utf8Check, utf16};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// A text encoding: one of the WHATWG's, or one of the two DOS code pages that old French
/// Shapefiles still bring and the WHATWG leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// One of the WHATWG Encoding Standard.
    Whatwg(&'static Encoding),
    /// DOS "multilingual" code page 850.
    Cp850,
    /// The original IBM PC code page 437.
    Cp437,
}

/// UTF-8.
pub const UTF_8: Charset = Charset::Whatwg(encoding_rs::UTF_8);
/// Windows-1252, what "ANSI", "Latin-1" and "ISO-8859-1" mean in files made in France.
pub const WINDOWS_1252: Charset = Charset::Whatwg(encoding_rs::WINDOWS_1252);
/// Latin-9: Latin-1 with `€`, `Œ` and `œ`.
pub const ISO_8859_15: Charset = Charset::Whatwg(encoding_rs::ISO_8859_15);

/// Upper halves of the DOS code pages.
const CP850: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

impl Charset {
    /// The charset of a label: a WHATWG label (`utf-8`, `latin1`…), or one as `.cpg` files and
    /// GIS tools write them (`1252`, `ANSI 1252`, `88591`, `65001`, `CP850`…).
    pub fn from_label(label: &str) -> Option<Self> {
        let label = label.trim_matches(|c: char| c.is_whitespace() || c == '\0' || c == '\u{feff}');
        let short = label.to_ascii_lowercase();
        let short = short.strip_prefix("ansi").unwrap_or(&short);
        let short = short.trim_start_matches([' ', '_', '-']);
        let number = short
            .strip_prefix("windows-")
            .or_else(|| short.strip_prefix("cp"))
            .or_else(|| short.strip_prefix("ibm"))
            .unwrap_or(short)
            .trim_start_matches(['-', '_', ' ']);
        match number {
            "" if label.eq_ignore_ascii_case("ansi") => return Some(WINDOWS_1252),
            "850" => return Some(Self::Cp850),
            "437" => return Some(Self::Cp437),
            "65001" | "utf8" | "utf_8" => return Some(UTF_8),
            "88591" | "8859-1" | "8859_1" | "iso88591" | "iso 8859-1" => return Some(WINDOWS_1252),
            "885915" | "8859-15" | "8859_15" => {
                return Some(ISO_8859_15);
            }
            _ => {}
        }
        let windows = number.parse::<u16>().is_ok().then(|| format!("windows-{number}"));
        let found = Encoding::for_label(label.as_bytes())
            .or_else(|| windows.and_then(|w| Encoding::for_label(w.as_bytes())))?;
        // The WHATWG maps dangerous encodings to "replacement", which would read as one U+FFFD.
        (found != encoding_rs::REPLACEMENT).then_some(Self::Whatwg(found))
    }

    /// The charset a user's option names, or a clear refusal.
    pub fn from_option(label: &str) -> Result<Self> {
        let shown: String = label.chars().take(60).collect();
        Self::from_label(label).ok_or_else(|| {
            Error::Invalid(text!(
                "encodage inconnu : « {shown} » (par exemple utf-8, windows-1252, iso-8859-15, cp850)",
                "unknown encoding: \"{shown}\" (for instance utf-8, windows-1252, iso-8859-15, cp850)"
            ))
        })
    }

    /// Whether text in it may have bytes that are zero.
    pub(crate) fn is_wide(self) -> bool {
        matches!(self, Self::Whatwg(e) if e == encoding_rs::UTF_16LE || e == encoding_rs::UTF_16BE)
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whatwg(e) if e == encoding_rs::WINDOWS_1252 => "Windows-1252",
            Self::Whatwg(e) => e.name(),
            Self::Cp850 => "CP850",
            Self::Cp437 => "CP437",
        }
    }

    /// Bytes as text; the count of byte sequences that mean nothing in this charset (each
    /// becomes U+FFFD).
    pub fn decode(self, bytes: &[u8]) -> (String, u64) {
        let mut out = Vec::new();
        let mut decoder = Decoder::new(self);
        decoder.push(bytes, true, &mut out);
        (into_text(out), decoder.malformed)
    }
}

/// What was found about a file's encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detected {
    /// The charset.
    pub charset: Charset,
    /// How it is known.
    pub why: Why,
}

/// How an encoding is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The configuration says so.
    Declared,
    /// A byte order mark.
    Bom,
    /// The file names it.
    Named,
    /// Only ASCII: nothing to decide.
    Ascii,
    /// All of it is valid UTF-8.
    Valid,
    /// Every other byte is zero: UTF-16 without its mark.
    Zeros,
    /// It is not valid UTF-8, and has `œ` or `€` where ISO-8859-15 has them.
    Letters,
    /// It is not valid UTF-8; Windows-1252 is by far the most usual else.
    Fallback,
}

impl Detected {
    /// The sentence for the report; `None` when there was nothing to decide.
    pub fn note(&self) -> Option<Text> {
        let name = self.charset.name();
        Some(match self.why {
            Why::Ascii => return None,
            Why::Declared => text!("encodage {name} (déclaré)", "encoding {name} (declared)"),
            Why::Bom => text!(
                "encodage {name} (marque d'ordre des octets)",
                "encoding {name} (byte order mark)"
            ),
            Why::Named => text!(
                "encodage {name} (annoncé par le fichier)",
                "encoding {name} (named by the file)"
            ),
            Why::Valid => text!(
                "encodage {name} (détecté : tout le fichier est valide)",
                "encoding {name} (detected: the whole file is valid)"
            ),
            Why::Zeros => text!(
                "encodage {name} (détecté : un octet sur deux est nul)",
                "encoding {name} (detected: every other byte is zero)"
            ),
            Why::Letters => text!(
                "encodage {name} (supposé : le fichier n'est pas de l'UTF-8 valide, et a des « œ » ou « € » là où Windows-1252 aurait « ½ » ou « ¤ »)",
                "encoding {name} (assumed: the file is not valid UTF-8, and has \"œ\" or \"€\" where Windows-1252 would have \"½\" or \"¤\")"
            ),
            Why::Fallback => text!(
                "encodage {name} (supposé : le fichier n'est pas de l'UTF-8 valide)",
                "encoding {name} (assumed: the file is not valid UTF-8)"
            ),
        })
    }
}

/// The encoding of a file: a byte order mark, else UTF-16 when it shows, else UTF-8 when all of it is
/// valid, else Windows-1252 or ISO-8859-15. Reads the whole file, in constant memory.
pub fn detect(path: &Path) -> Result<Detected> {
    let mut check = Utf8Check::default();
    let mut marked = None;
    let mut first = true;
    chunks(path, |chunk| {
        if first {
            marked = at_first(chunk);
        }
        first = false;
        marked.is_none() && check.push(chunk)
    })?;
    if let Some(found) = marked {
        return Ok(found);
    }
    if !check.bad {
        return Ok(Detected { charset: UTF_8, why: verdict(&check) });
    }
    let mut latin9 = Latin9::default();
    chunks(path, |chunk| latin9.push(chunk))?;
    Ok(no_utf8(&latin9))
}

/// What the first bytes tell alone.
fn at_first(head: &[u8]) -> Option<Detected> {
    let whatwg = |encoding, why| Detected { charset: Charset::Whatwg(encoding), why };
    match Encoding::for_bom(head) {
        Some((encoding, _)) => Some(whatwg(encoding, Why::Bom)),
        None => utf16(head).map(|encoding| whatwg(encoding, Why::Zeros)),
    }
}

fn verdict(check: &Utf8Check) -> Why {
    if check.beyond_ascii { Why::Valid } else { Why::Ascii }
}

fn no_utf8(latin9: &Latin9) -> Detected {
    match latin9.is_shown() {
        true => Detected { charset: ISO_8859_15, why: Why::Letters },
        false => Detected { charset: WINDOWS_1252, why: Why::Fallback },
    }
}

/// The encoding of bytes that are known to be no UTF-8.
fn other_than_utf8(bytes: &[u8]) -> Detected {
    let mut latin9 = Latin9::default();
    latin9.push(bytes);
    no_utf8(&latin9)
}

/// Goes through a file until `more` has seen enough.
fn chunks(path: &Path, mut more: impl FnMut(&[u8]) -> bool) -> Result<()> {
    let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut buffer = vec![0u8; 1 << 17];
    loop {
        let n = file.read(&mut buffer).map_err(|e| Error::io(path, e))?;
        if n == 0 || !more(buffer.get(..n).unwrap_or_default()) {
            return Ok(());
        }
    }
}

/// Bytes as text.
#[derive(Debug)]
pub struct Decoded {
    /// The text.
    pub text: String,
    /// What it was in.
    pub charset: Charset,
    /// What there is to say of it.
    pub notes: Vec<Text>,
}

/// The text of bytes, in the encoding they are in (as [`detect`] finds it) unless one is declared.
pub fn decode(bytes: &[u8], declared: Option<Charset>) -> Decoded {
    let found = match declared {
        Some(charset) => Detected { charset, why: Why::Declared },
        None => at_first(bytes).unwrap_or_else(|| {
            let mut check = Utf8Check::default();
            match check.push(bytes) {
                true => Detected { charset: UTF_8, why: verdict(&check) },
                false => other_than_utf8(bytes),
            }
        }),
    };
    let mut decoder = Decoder::new(found.charset);
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 8);
    decoder.push(bytes, true, &mut out);
    let note = found.note().filter(|_| found.charset != UTF_8);
    let notes = note.into_iter().chain(decoder.note()).collect();
    Decoded { text: into_text(out), charset: found.charset, notes }
}

/// Decodes chunk by chunk into UTF-8.
pub(crate) struct Decoder {
    charset: Charset,
    inner: Option<encoding_rs::Decoder>,
    table: Vec<char>,
    /// Byte sequences that meant nothing so far.
    pub(crate) malformed: u64,
}

impl Decoder {
    pub(crate) fn new(charset: Charset) -> Self {
        let (inner, table) = match charset {
            Charset::Whatwg(e) => (Some(e.new_decoder_with_bom_removal()), Vec::new()),
            Charset::Cp850 => (None, CP850.chars().collect()),
            Charset::Cp437 => (None, CP437.chars().collect()),
        };
        Self { charset, inner, table, malformed: 0 }
    }

    /// Appends the text of `bytes` to `out`.
    pub(crate) fn push(&mut self, bytes: &[u8], last: bool, out: &mut Vec<u8>) {
        let Some(decoder) = &mut self.inner else {
            let mut utf8 = [0u8; 4];
            for b in bytes {
                let c = if b.is_ascii() {
                    char::from(*b)
                } else {
                    self.table.get(usize::from(*b & 0x7f)).copied().unwrap_or('\u{fffd}')
                };
                out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
            }
            return;
        };
        let mut rest = bytes;
        let mut piece = [0u8; 1 << 13];
        loop {
            let (result, read, written, had_errors) =
                decoder.decode_to_utf8(rest, &mut piece, last);
            let got = piece.get(..written).unwrap_or_default();
            if had_errors {
                let marks = memchr::memmem::find_iter(got, "\u{fffd}").count() as u64;
                self.malformed += marks.max(1);
            }
            out.extend_from_slice(got);
            rest = rest.get(read..).unwrap_or_default();
            if result == encoding_rs::CoderResult::InputEmpty {
                return;
            }
        }
    }

    /// The note to leave when something could not be decoded.
    pub(crate) fn note(&self) -> Option<Text> {
        let (n, name) = (self.malformed, self.charset.name());
        (n > 0).then(|| {
            text!(
                "{n} suites d'octets illisibles en {name}, remplacées par « \u{fffd} »",
                "{n} byte sequences unreadable as {name}, replaced by \"\u{fffd}\""
            )
        })
    }
}

/// A file read as UTF-8 text, chunk by chunk.
pub(crate) struct TextSource {
    file: File,
    raw: Vec<u8>,
    /// The decoder, also for its count of malformed sequences.
    pub(crate) decoder: Decoder,
    /// Raw bytes read so far.
    pub(crate) taken: u64,
    ended: bool,
}

impl TextSource {
    pub(crate) fn open(path: &Path, charset: Charset) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let decoder = Decoder::new(charset);
        Ok(Self { file, raw: vec![0; 1 << 16], decoder, taken: 0, ended: false })
    }

    /// Appends more text to `out`; `false` when there is no more.
    pub(crate) fn fill(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let n = self.file.read(&mut self.raw)?;
        self.taken += n as u64;
        self.ended = n == 0;
        self.decoder.push(self.raw.get(..n).unwrap_or_default(), self.ended, out);
        Ok(true)
    }
}

/// Decoded bytes as a string; they are UTF-8 by construction.
pub(crate) fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut f = tempfile::NamedTempFile::new().unwrap();
        f.write_all(bytes).unwrap();
        f
    }

    #[test]
    fn labels_as_cpg_files_write_them() {
        for (label, name) in [
            ("UTF-8", "UTF-8"),
            ("65001", "UTF-8"),
            ("utf8\r\n", "UTF-8"),
            ("1252", "Windows-1252"),
            ("CP1252", "Windows-1252"),
            ("ANSI 1252", "Windows-1252"),
            ("ISO-8859-1", "Windows-1252"),
            ("ISO 8859-1", "Windows-1252"),
            ("88591", "Windows-1252"),
            ("LATIN1", "Windows-1252"),
            ("iso-8859-15", "ISO-8859-15"),
            ("cp850", "CP850"),
            ("IBM437", "CP437"),
        ] {
            assert_eq!(Charset::from_label(label).map(Charset::name), Some(name), "{label}");
        }
        assert_eq!(Charset::from_label("klingon"), None);
        assert_eq!(Charset::from_label("hz-gb-2312"), None);
    }

    #[test]
    fn dos_code_pages_hold_128_characters() {
        assert_eq!(CP850.chars().count(), 128);
        assert_eq!(CP437.chars().count(), 128);
        assert_eq!(Charset::Cp850.decode(b"Cr\x82py-en-Valois \x80 \x85").0, "Crépy-en-Valois Ç à");
        assert_eq!(Charset::Cp850.decode(&[0xb5, 0xd0, 0xe1, 0xff]).0, "Áðß\u{a0}");
        assert_eq!(Charset::Cp437.decode(&[0xe1, 0xfb]).0, "ß√");
    }

    #[test]
    fn detection() {
        let latin = file(b"nom;c\xe9l\xe8bre");
        assert_eq!(detect(latin.path()).unwrap().charset, WINDOWS_1252);
        let utf8 = file("nom;célèbre".as_bytes());
        assert_eq!(detect(utf8.path()).unwrap(), Detected { charset: UTF_8, why: Why::Valid });
        let utf16 = file(b"\xff\xfea\x00");
        assert_eq!(detect(utf16.path()).unwrap().charset.name(), "UTF-16LE");
        let unmarked = file(b"\0n\0o\0m\0;\0\xe9");
        assert_eq!(detect(unmarked.path()).unwrap().charset.name(), "UTF-16BE");
        let latin9 = file(b"nom;prix\nSacr\xe9-C\xbdur;12 \xa4");
        let found = detect(latin9.path()).unwrap();
        assert_eq!(found, Detected { charset: ISO_8859_15, why: Why::Letters });
        assert_eq!(decode(b"c\xbdur \xe0 12 \xa4", None).text, "cœur à 12 €");
        assert_eq!(decode(b"2\xbd", None).text, "2½");
        assert_eq!(detect(file(b"a,b").path()).unwrap().why, Why::Ascii);
        // Cut in the middle of an é: truncated UTF-8, not Windows-1252.
        assert_eq!(detect(file(b"\xc3\xa9t\xc3").path()).unwrap().charset, UTF_8);
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(bytes in prop::collection::vec(any::<u8>(), 0..64), cut in 0usize..64) {
            let cut = cut.min(bytes.len());
            let mut check = Utf8Check::default();
            let _ = check.push(&bytes[..cut]) && check.push(&bytes[cut..]);
            let whole = match std::str::from_utf8(&bytes) {
                Ok(_) => false,
                Err(e) => e.error_len().is_some(),
            };
            prop_assert_eq!(check.bad, whole);
            let mut out = Vec::new();
            let mut d = Decoder::new(UTF_8);
            d.push(&bytes[..cut], false, &mut out);
            d.push(&bytes[cut..], true, &mut out);
            prop_assert!(std::str::from_utf8(&out).is_ok());
        }
    }
}
