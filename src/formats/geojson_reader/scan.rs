//! A cursor over JSON text (RFC 8259). No tree of JSON values is built: for a file that is mostly
//! coordinates, that is what makes other readers slow.

use crate::{
    model::{RefusalReason, Text, Value},
    text,
};
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// Why a value could not be read.
#[derive(Debug)]
pub(super) enum Fail {
    /// The JSON itself is broken at this byte: nothing behind it can be trusted.
    Syntax {
        /// Byte offset.
        at: usize,
    },
    /// The JSON may be well formed but does not mean what GeoJSON wants.
    Content(Box<Content>),
}

/// What is wrong with one feature.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) reason: RefusalReason,
    pub(super) value: Option<String>,
    pub(super) text: Text,
}

pub(super) type Scan<T> = Result<T, Fail>;

/// Deepest nesting kept as a JSON value: what common JSON parsers accept.
const MAX_DEPTH: usize = 120;

/// A position in JSON text.
pub(super) struct Scanner<'a> {
    pub(super) text: &'a str,
    pub(super) bytes: &'a [u8],
    /// Byte offset of what comes next.
    pub(super) pos: usize,
    /// Whether a position with more than two numbers was met.
    pub(super) saw_z: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn at(text: &'a str, pos: usize) -> Self {
        Self { text, bytes: text.as_bytes(), pos, saw_z: false }
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }

    /// Skips white space.
    #[inline]
    pub(super) fn ws(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.pos += 1;
        }
    }

    /// Takes this byte if it comes next (behind white space).
    #[inline]
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        self.ws();
        let found = self.peek() == Some(byte);
        self.pos += usize::from(found);
        found
    }

    /// Takes this byte or says that the syntax is broken.
    #[inline]
    pub(super) fn need(&mut self, byte: u8) -> Scan<()> {
        if self.eat(byte) { Ok(()) } else { Err(self.broken()) }
    }

    pub(super) fn broken(&self) -> Fail {
        Fail::Syntax { at: self.pos }
    }

    /// The value that comes next is not what GeoJSON wants there.
    pub(super) fn odd(&self, reason: RefusalReason, text: Text) -> Fail {
        if self.pos >= self.bytes.len() {
            return self.broken();
        }
        let rest = self.text.get(self.pos..).unwrap_or_default();
        let value = rest.chars().take_while(|c| !matches!(c, ',' | ']' | '}' | '\n')).take(60);
        let value: String = value.collect();
        let value = (!value.trim().is_empty()).then_some(value);
        Fail::Content(Box::new(Content { reason, value, text }))
    }

    /// Goes through an array with `item` for each element; `[` comes next.
    #[inline]
    pub(super) fn array(&mut self, mut item: impl FnMut(&mut Self) -> Scan<()>) -> Scan<()> {
        self.need(b'[')?;
        if self.eat(b']') {
            return Ok(());
        }
        loop {
            self.ws();
            item(self)?;
            if self.eat(b',') {
                continue;
            }
            return self.need(b']');
        }
    }

    /// Goes through an object with `member` for each key, standing before its value.
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Scan<()>,
    ) -> Scan<()> {
        self.need(b'{')?;
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            self.ws();
            let key = self.string()?;
            self.need(b':')?;
            self.ws();
            member(self, key)?;
            if self.eat(b',') {
                continue;
            }
            return self.need(b'}');
        }
    }

    /// A string; `"` comes next.
    pub(super) fn string(&mut self) -> Scan<Cow<'a, str>> {
        if self.peek() != Some(b'"') {
            return Err(self.broken());
        }
        let start = self.pos + 1;
        let mut end = start;
        let mut escaped = false;
        loop {
            let rest = self.bytes.get(end..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
                return Err(Fail::Syntax { at: self.bytes.len() });
            };
            end += found;
            if self.bytes.get(end) == Some(&b'"') {
                break;
            }
            escaped = true;
            end += 2;
        }
        let raw = self.text.get(start..end).unwrap_or_default();
        if !escaped {
            self.pos = end + 1;
            return Ok(Cow::Borrowed(raw));
        }
        let literal = self.text.get(self.pos..=end).unwrap_or_default();
        match serde_json::from_str::<String>(literal) {
            Ok(s) => {
                self.pos = end + 1;
                Ok(Cow::Owned(s))
            }
            Err(_) => Err(self.odd(
                RefusalReason::BrokenRow,
                text!("chaîne JSON illisible (échappement)", "unreadable JSON string (escape)"),
            )),
        }
    }

    /// A string where GeoJSON wants one.
    pub(super) fn string_value(&mut self, what: &Text) -> Scan<Cow<'a, str>> {
        if self.peek() == Some(b'"') {
            return self.string();
        }
        Err(self.odd(RefusalReason::BrokenRow, what.clone()))
    }

    /// Passes over any value, checking its syntax; gives its text.
    pub(super) fn skip(&mut self) -> Scan<&'a str> {
        self.ws();
        let rest = self.text.get(self.pos..).unwrap_or_default();
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        match stream.next() {
            Some(Ok(_)) => {
                let raw = rest.get(..stream.byte_offset()).unwrap_or_default();
                self.pos += raw.len();
                Ok(raw)
            }
            Some(Err(e)) if !e.is_eof() => {
                Err(Fail::Syntax { at: self.pos + offset_of(rest, e.line(), e.column()) })
            }
            _ => Err(Fail::Syntax { at: self.bytes.len() }),
        }
    }

    /// Any value as a property.
    pub(super) fn value(&mut self) -> Scan<Value> {
        match self.peek() {
            Some(b'"') => {
                let s = self.string()?;
                Ok(Value::Text(super::super::types::nfc(s.into_owned())))
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'[' | b'{') => {
                let start = self.pos;
                let raw = self.skip()?;
                compact(raw).map(Value::Json).ok_or_else(|| {
                    self.pos = start;
                    self.odd(
                        RefusalReason::BrokenRow,
                        text!("valeur JSON trop imbriquée", "JSON value nested too deeply"),
                    )
                })
            }
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Scan<Value> {
        let rest = self.bytes.get(self.pos..).unwrap_or_default();
        for (word, value) in
            [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))]
        {
            if rest.starts_with(word.as_bytes()) {
                self.pos += word.len();
                return Ok(value);
            }
        }
        Err(self.broken())
    }
}

/// The byte offset of a 1-based line and column as `serde_json` counts them.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start = match line.checked_sub(2) {
        None => 0,
        Some(n) => memchr::memchr_iter(b'\n', text.as_bytes()).nth(n).map_or(0, |i| i + 1),
    };
    (start + column.saturating_sub(1)).min(text.len())
}

/// JSON without the white space between its tokens; `None` when nested too deeply.
pub(in crate::formats) fn compact(raw: &str) -> Option<String> {
    let mut out = String::with_capacity(raw.len());
    let (mut depth, mut inside, mut escaped) = (0usize, false, false);
    for c in raw.chars() {
        if inside {
            inside = escaped || c != '"';
            escaped = c == '\\' && !escaped;
        } else {
            match c {
                ' ' | '\t' | '\r' | '\n' => continue,
                '"' => inside = true,
                '[' | '{' => depth += 1,
                ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > MAX_DEPTH {
                return None;
            }
        }
        out.push(c);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nested_values_lose_only_white_space_between_tokens() {
        assert_eq!(
            compact("{ \"a b\" : [ 1.10 , \"x \\\" y\" ] }").unwrap(),
            "{\"a b\":[1.10,\"x \\\" y\"]}"
        );
        assert_eq!(compact(&"[".repeat(200)), None);
    }

    proptest! {
        #[test]
        fn skipping_agrees_with_serde(s in "[\\[\\]{}\",:0-9a-e. \\\\-]{0,40}") {
            let mut scan = Scanner::at(&s, 0);
            let _ = scan.skip();
            prop_assert!(scan.pos <= s.len());
            let _ = Scanner::at(&s, 0).value();
        }
    }
}
