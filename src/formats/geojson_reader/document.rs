//! A GeoJSON document around its features: its text and its top level.

use super::scan::{Fail, Scanner};
use crate::{error::Result, formats::encoding, model::Text};

/// The text of the file. JSON is UTF-8; when a file is not, saying so and reading it as
/// Windows-1252 serves people better than a refusal.
pub(super) fn decode(
    bytes: Vec<u8>,
    declared: Option<&str>,
    notes: &mut Vec<Text>,
) -> Result<String> {
    let charset = match (declared, encoding_rs::Encoding::for_bom(&bytes)) {
        (_, Some((found, _))) => encoding::Charset::Whatwg(found),
        (Some(label), None) => {
            let charset = encoding::Charset::from_option(label)?;
            let found = encoding::Detected { charset, why: encoding::Why::Declared };
            notes.extend(found.note());
            charset
        }
        (None, None) => encoding::UTF_8,
    };
    if charset != encoding::UTF_8 {
        return Ok(charset.decode(&bytes).0);
    }
    let mut text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) if e.utf8_error().error_len().is_none() => {
            // Cut within a character: what is before it shows where the file stops.
            let valid = e.utf8_error().valid_up_to();
            let mut bytes = e.into_bytes();
            bytes.truncate(valid);
            encoding::into_text(bytes)
        }
        Err(e) => {
            let charset = encoding::WINDOWS_1252;
            notes.extend(encoding::Detected { charset, why: encoding::Why::Fallback }.note());
            charset.decode(e.as_bytes()).0
        }
    };
    if text.starts_with('\u{feff}') {
        // Kept in place (removing it would move the whole text), read as white space.
        text.replace_range(..'\u{feff}'.len_utf8(), "   ");
    }
    Ok(text)
}

/// What the top level of a document says around its features.
#[derive(Debug, Default)]
pub(super) struct Top {
    pub(super) kind: Option<String>,
    pub(super) crs: Option<String>,
    /// Offset of the `[` of `features`.
    pub(super) features_at: Option<usize>,
}

impl Top {
    /// Walks a whole document, or only up to its features when no `crs` can hide behind them.
    pub(super) fn walk(&mut self, scan: &mut Scanner<'_>) -> Result<(), Fail> {
        scan.need(b'{')?;
        if scan.eat(b'}') {
            return Ok(());
        }
        loop {
            self.member(scan)?;
            if self.features_at == Some(scan.pos) {
                let done = self.crs.is_some() || !scan.mentions("\"crs\"");
                // A break in the features is met again when reading, which says where it is.
                if done || scan.skip().is_err() {
                    return Ok(());
                }
            }
            if !scan.eat(b',') {
                let whole = scan.eat(b'}') || self.features_at.is_some();
                return if whole { Ok(()) } else { Err(scan.broken()) };
            }
        }
    }

    /// Walks the members behind the features and the closing brace.
    pub(super) fn rest(&mut self, scan: &mut Scanner<'_>) -> Result<(), Fail> {
        while scan.eat(b',') {
            self.member(scan)?;
            if self.features_at == Some(scan.pos) {
                return Ok(());
            }
        }
        scan.need(b'}')
    }

    /// Reads one member; stays before the value of `features`.
    fn member(&mut self, scan: &mut Scanner<'_>) -> Result<(), Fail> {
        scan.ws();
        let key = scan.string()?;
        scan.need(b':')?;
        scan.ws();
        match key.as_ref() {
            "features" if scan.peek() == Some(b'[') && self.features_at.is_none() => {
                self.features_at = Some(scan.pos)
            }
            "type" if scan.peek() == Some(b'"') => self.kind = Some(scan.string()?.into_owned()),
            "crs" => self.crs = Some(scan.skip()?.to_owned()),
            _ => {
                scan.skip()?;
            }
        }
        Ok(())
    }
}
