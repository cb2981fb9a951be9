//! A GeoJSON document around its features: its text and its top level.

use super::{
    scan::{Fail, Scanner},
    window::{Window, between},
};
use crate::{
    error::{Error, Result},
    formats::encoding::{self, Charset, Detected, Why},
    model::Text,
};
use std::{fs::File, io::Read, path::Path};

/// The encoding of the file. JSON is UTF-8; when a file is not, saying so and reading it as what it
/// seems to be serves people better than a refusal.
pub(super) fn charset(
    path: &Path,
    declared: Option<&str>,
    notes: &mut Vec<Text>,
) -> Result<Charset> {
    let found = match (declared, encoding::detect(path)?) {
        (_, found @ Detected { why: Why::Bom, .. }) => return Ok(found.charset),
        (Some(label), _) => Detected { charset: Charset::from_option(label)?, why: Why::Declared },
        (None, found) => found,
    };
    if !matches!(found.why, Why::Ascii | Why::Valid) {
        notes.extend(found.note());
    }
    Ok(found.charset)
}

/// The member `crs` of a collection that stands behind its features. Nothing is looked for where the
/// file has no such word beyond `head`, the text up to the features; a break in the features is met
/// again when they are read, which says where it is.
pub(super) fn crs_behind(
    path: &Path,
    charset: Charset,
    room: usize,
    head: &str,
) -> Result<Option<String>> {
    let word = b"\"crs\"";
    let before = memchr::memmem::find_iter(head.as_bytes(), word).count();
    let wide = matches!(charset, Charset::Whatwg(e) if !e.is_ascii_compatible());
    if !wide && occurrences(path, word)? <= before {
        return Ok(None);
    }
    let mut window = Window::open(path, charset, room)?;
    loop {
        let mut top = Top::default();
        window.next(between)?;
        match top.walk(&mut window.scan()) {
            Ok(()) => {
                let Some(at) = top.features_at else { return Ok(None) };
                window.pos = at + 1;
                break;
            }
            Err(_) if window.ended() => return Ok(None),
            Err(_) => window.more()?,
        }
    }
    let separator = |byte: u8| between(byte) || byte == b',';
    while window.next(separator)?.is_some_and(|byte| byte != b']') {
        window.whole()?;
        let mut scan = window.scan();
        if scan.skip().is_err() {
            return Ok(None);
        }
        window.pos = scan.pos;
    }
    window.pos += 1;
    loop {
        let mut rest = Top::default();
        match rest.rest(&mut window.scan()) {
            Ok(()) => return Ok(rest.crs),
            Err(_) if window.ended() => return Ok(rest.crs),
            Err(_) => window.more()?,
        }
    }
}

/// How often a word of ASCII occurs in a file.
fn occurrences(path: &Path, word: &[u8]) -> Result<usize> {
    let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
    let finder = memchr::memmem::Finder::new(word);
    let mut buffer = vec![0; 1 << 17];
    let (mut held, mut found) = (0, 0);
    loop {
        let room = buffer.get_mut(held..).unwrap_or_default();
        let n = file.read(room).map_err(|e| Error::io(path, e))?;
        if n == 0 {
            return Ok(found);
        }
        let filled = held + n;
        let chunk = buffer.get(..filled).unwrap_or_default();
        found += finder.find_iter(chunk).count();
        // A word may go on in what comes next; a whole one is not met again.
        held = filled.min(word.len() - 1);
        buffer.copy_within(filled - held..filled, 0);
    }
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
    /// Walks a document up to its features, or the whole of one that has none.
    pub(super) fn walk(&mut self, scan: &mut Scanner<'_>) -> Result<(), Fail> {
        scan.need(b'{')?;
        if scan.eat(b'}') {
            return Ok(());
        }
        loop {
            self.member(scan)?;
            if self.features_at == Some(scan.pos) {
                return Ok(());
            }
            if !scan.eat(b',') {
                return scan.need(b'}');
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
