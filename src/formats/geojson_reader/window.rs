//! The part of a JSON text that is at hand: read on when what comes next is not whole, and let go of
//! behind what was read, so that a file of any size takes the memory of its largest feature.

use super::scan::Scanner;
use crate::{
    error::{Error, Result},
    formats::{
        encoding::{Charset, TextSource},
        refused,
    },
    text,
};
use std::path::{Path, PathBuf};

/// Bytes of text at hand, at least.
pub(super) const ROOM: usize = 1 << 20;
/// Bytes of which a refusal shows at most the value that was found.
const SHOWN: usize = 256;
/// Most bytes of text at hand: the largest feature.
const MOST: usize = 256 << 20;

/// A text, seen through a window.
pub(super) struct Window {
    source: TextSource,
    path: PathBuf,
    room: usize,
    text: String,
    /// Where what comes next begins in the text at hand.
    pub(super) pos: usize,
    /// Bytes, and line ends, of the text let go of.
    passed: u64,
    lines: u64,
    ended: bool,
}

/// What stands between features: white space, and the separator of RFC 8142.
pub(super) fn between(byte: u8) -> bool {
    matches!(byte, 0x1e | b' ' | b'\n' | b'\r' | b'\t')
}

impl Window {
    /// Opens a file at its start.
    pub(super) fn open(path: &Path, charset: Charset, room: usize) -> Result<Self> {
        let source = TextSource::open(path, charset)?;
        let (path, text) = (path.to_owned(), String::new());
        Ok(Self { source, path, room, text, pos: 0, passed: 0, lines: 0, ended: false })
    }

    /// A scanner before what comes next, of the text at hand.
    pub(super) fn scan(&self) -> Scanner<'_> {
        Scanner::at(&self.text, self.pos)
    }

    /// The text at hand.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the text at hand goes to the end.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Bytes of text before what comes next.
    pub(super) fn position(&self) -> u64 {
        self.passed + self.pos as u64
    }

    /// The offset in the whole text, and the line, of a place in the text at hand.
    pub(super) fn place(&self, at: usize) -> (u64, u64) {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        let lines = memchr::memchr_iter(b'\n', before).count() as u64;
        (self.passed + at as u64, self.lines + lines + 1)
    }

    /// How many byte sequences meant nothing, in words.
    pub(super) fn note(&self) -> Option<crate::model::Text> {
        self.source.decoder.note()
    }

    /// Lets go of what was read and reads on: twice as much of what comes next as there was.
    pub(super) fn more(&mut self) -> Result<()> {
        let gone = self.text.as_bytes().get(..self.pos).unwrap_or_default();
        self.lines += memchr::memchr_iter(b'\n', gone).count() as u64;
        self.passed += self.pos as u64;
        self.text.drain(..self.pos);
        self.pos = 0;
        if self.text.len() > MOST {
            let (line, most) = (self.lines + 1, MOST >> 20);
            return Err(refused(text!(
                "ligne {line} : une entité de plus de {most} Mio",
                "line {line}: a feature of more than {most} MiB"
            )));
        }
        let wanted = (2 * self.text.len()).max(self.room);
        let mut bytes = std::mem::take(&mut self.text).into_bytes();
        while !self.ended && bytes.len() < wanted {
            let more = self.source.fill(&mut bytes);
            self.ended = !more.map_err(|e| Error::io(&self.path, e))?;
        }
        self.text = crate::formats::encoding::into_text(bytes);
        Ok(())
    }

    /// The next byte that `skip` does not step over; `None` at the end.
    pub(super) fn next(&mut self, skip: fn(u8) -> bool) -> Result<Option<u8>> {
        loop {
            let rest = self.text.as_bytes().get(self.pos..).unwrap_or_default();
            let blanks = rest.iter().take_while(|byte| skip(**byte)).count();
            let found = rest.get(blanks).copied();
            self.pos += blanks;
            if found.is_some() || self.ended {
                return Ok(found);
            }
            self.more()?;
        }
    }

    /// Makes sure that the value that comes next is whole, or that the text ends within it.
    pub(super) fn whole(&mut self) -> Result<()> {
        while !self.ended && !self.has_value() {
            self.more()?;
        }
        Ok(())
    }

    /// Whether the text at hand holds all of the value that comes next.
    fn has_value(&self) -> bool {
        let rest = self.text.as_bytes().get(self.pos..).unwrap_or_default();
        if rest.first() == Some(&b'{') {
            return end_of_object(rest);
        }
        // What stands in the place of a feature: whole when something stands behind it, and enough
        // of it to be shown.
        let mut scan = self.scan();
        rest.len() >= SHOWN && scan.skip().is_ok() && scan.peek().is_some()
    }
}

/// Whether the object that the bytes begin with ends within them. Only braces and strings count:
/// coordinates, which are most of a file, are stepped over at the speed of memory.
fn end_of_object(bytes: &[u8]) -> bool {
    let (mut depth, mut at) = (0usize, 0);
    while let Some(found) = memchr::memchr3(b'"', b'{', b'}', bytes.get(at..).unwrap_or_default()) {
        at += found + 1;
        match bytes.get(at - 1) {
            Some(b'{') => depth += 1,
            Some(b'}') if depth <= 1 => return true,
            Some(b'}') => depth -= 1,
            _ => match end_of_string(bytes, at) {
                Some(end) => at = end,
                None => return false,
            },
        }
    }
    false
}

/// Behind the string whose first character stands at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        match bytes.get(at) {
            Some(b'"') => return Some(at + 1),
            _ => at += 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Next, Reader, geojson_reader::GeoJsonReader};
    use proptest::prelude::*;
    use std::io::Write;

    const COLLECTION: &str = r#" {"type": "FeatureCollection", "name": "é \" }",
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::2154"}},
        "features": [
        {"type": "Feature", "properties": {"a": "x}\\", "b": 12.25, "c": [1, {"d": null}]},
         "geometry": {"type": "Point", "coordinates": [652000, 6862000]}} , 12, null,
        {"type": "Feature", "geometry": null, "properties": {"crs": "é", "b": 1e3, "e": true}}
        ], "bbox": [1, 2, 3, 4]}
        "#;
    const BEHIND: &str = r#"{"features": [{"type": "Feature", "geometry": null,
        "properties": {"a": 1}}], "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": "EPSG:3857"}}}"#;
    const SEQUENCE: &str = r#"{"type":"Feature","properties":{"a":1},"geometry":null}
        {"type":"Feature","properties":{"a":2},"geometry":{"type":"Point","coordinates":[3,50]}}"#;
    const GEOMETRY: &str = r#"{"type":"MultiPoint","coordinates":[[3,50],[4, 51, 7]]}   "#;

    /// All that a reader says of a text, through a window of so many bytes.
    fn told(text: &[u8], room: usize) -> String {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        let mut reader = match GeoJsonReader::through(file.path(), None, false, room) {
            Ok(reader) => reader,
            Err(error) => return format!("{error:?}"),
        };
        let mut out = String::new();
        loop {
            match reader.next() {
                Ok(Next::End) => break,
                Ok(Next::Record(record)) => out += &format!("{record:?}\n"),
                Ok(Next::Refused(refusal)) => out += &format!("{refusal:?}\n"),
                Err(error) => {
                    out += &format!("{error:?}\n");
                    break;
                }
            }
        }
        format!("{out}{:?} {:?} {:?}", reader.fields(), reader.crs(), reader.notes())
    }

    #[test]
    fn what_is_whole_is_read_whatever_the_window() {
        for (text, crs) in [(COLLECTION, Some("EPSG:2154")), (BEHIND, Some("EPSG:3857"))] {
            let all = told(text.as_bytes(), 1);
            assert!(all.contains(&format!("{crs:?}")), "{all}");
        }
        assert!(told(SEQUENCE.as_bytes(), 1).contains("Int(2)"));
        let broken = told(BEHIND.replace(": 1}", ": 1").as_bytes(), 7);
        assert!(broken.contains("malformed JSON at feature 1 (line 2"), "{broken}");
    }

    proptest! {
        #[test]
        fn the_window_changes_nothing(
            which in 0usize..4,
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            cut in any::<prop::sample::Index>(),
            room in 1usize..40,
        ) {
            let mut text = [COLLECTION, BEHIND, SEQUENCE, GEOMETRY][which].as_bytes().to_vec();
            for (at, byte) in &edits {
                let at = at.index(text.len());
                text[at] = *byte;
            }
            // Half of them whole.
            if cut.index(2) == 0 {
                text.truncate(cut.index(text.len()));
            }
            prop_assert_eq!(told(&text, room), told(&text, ROOM));
        }
    }
}
