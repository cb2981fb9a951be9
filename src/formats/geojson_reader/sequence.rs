//! GeoJSON features one a line (newline-delimited), or each behind a record separator (RFC 8142):
//! read as a stream. A line that cannot be read is refused alone; a feature may go on over several
//! lines.

use super::{
    feature::{self, Met},
    scan::{Fail, Scanner},
};
use crate::{
    error::{Error, Result},
    formats::{
        Next, Reader,
        encoding::{self, Charset, TextSource},
        quoted, refused,
        types::FieldSet,
    },
    model::{Field, Record, Refusal, RefusalReason, SourceDef, Text},
    text,
};
use std::path::{Path, PathBuf};

/// Most bytes of one feature.
const MAX_FEATURE: usize = 64 << 20;

/// Whether the start of a JSON text is that of features one behind the other: a record separator,
/// or a whole feature with another behind it.
pub(in crate::formats) fn is_sequence(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches(['\u{feff}', ' ', '\n', '\r', '\t']);
    if text.starts_with('\u{1e}') {
        return true;
    }
    let mut scan = Scanner::at(text, 0);
    if scan.peek() != Some(b'{') || scan.skip().is_err() {
        return false;
    }
    scan.ws();
    matches!(scan.peek(), Some(b'{' | 0x1e))
}

/// Reads such a file.
pub struct SequenceReader {
    source: TextSource,
    path: PathBuf,
    buffer: Vec<u8>,
    /// Where the next feature begins in the buffer, and its line.
    start: usize,
    line: u64,
    ended: bool,
    fields: FieldSet,
    met: Met,
    notes: Vec<Text>,
}

impl SequenceReader {
    /// Opens a file. Uses the source's `encoding`.
    pub fn open(path: &Path, source: &SourceDef) -> Result<Self> {
        let detected = match &source.encoding {
            Some(label) => encoding::Detected {
                charset: Charset::from_option(label)?,
                why: encoding::Why::Declared,
            },
            None => encoding::detect(path)?,
        };
        let utf8 = detected.charset == encoding::UTF_8;
        let notes = detected.note().filter(|_| !utf8).into_iter().collect();
        let source = TextSource::open(path, detected.charset)?;
        Ok(Self {
            source,
            path: path.to_owned(),
            buffer: Vec::new(),
            start: 0,
            line: 1,
            ended: false,
            fields: FieldSet::default(),
            met: Met::default(),
            notes,
        })
    }

    /// Reads on until there is a whole line, or more of it than there was.
    fn fill(&mut self) -> Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let held = self.buffer.len();
        while !self.ended && (self.buffer.len() <= 2 * held || self.buffer.len() == held) {
            let more = self.source.fill(&mut self.buffer);
            self.ended = !more.map_err(|e| Error::io(&self.path, e))?;
        }
        if held > MAX_FEATURE {
            let (line, most) = (self.line, MAX_FEATURE >> 20);
            return Err(refused(text!(
                "ligne {line} : une entité de plus de {most} Mio",
                "line {line}: a feature of more than {most} MiB"
            )));
        }
        Ok(())
    }

    /// Steps over what stands between features.
    fn step(&mut self) -> Result<bool> {
        loop {
            let rest = self.buffer.get(self.start..).unwrap_or_default();
            let between = |b: &&u8| matches!(**b, 0x1e | b' ' | b'\n' | b'\r' | b'\t');
            let blanks = rest.iter().take_while(between).count();
            self.line +=
                memchr::memchr_iter(b'\n', rest.get(..blanks).unwrap_or_default()).count() as u64;
            self.start += blanks;
            if self.start < self.buffer.len() {
                return Ok(true);
            }
            if self.ended {
                return Ok(false);
            }
            self.fill()?;
        }
    }

    /// Where the line at hand ends, when it is all there.
    fn end_of_line(&self) -> Option<usize> {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let end = memchr::memchr2(b'\n', 0x1e, rest).map(|at| self.start + at);
        end.or(self.ended.then_some(self.buffer.len()))
    }

    fn refuse(&self, line: u64, content: super::scan::Content) -> Next {
        let super::scan::Content { reason, value, text } = content;
        Next::Refused(Refusal { line, column: None, value, reason, text })
    }

    /// The feature that begins here, within its line or else in what is held; `None` when more has
    /// to be read first.
    fn feature(&mut self) -> Option<Next> {
        let end = self.end_of_line()?;
        let last = self.ended && end == self.buffer.len();
        self.feature_in(end, last).or_else(|| self.feature_in(self.buffer.len(), self.ended))
    }

    /// The same in what is held up to `end`; `last`: nothing comes behind it.
    fn feature_in(&mut self, end: usize, last: bool) -> Option<Next> {
        let line = self.line;
        // The decoder gives whole characters only.
        let whole = std::str::from_utf8(self.buffer.get(self.start..end)?).ok()?;
        let mut scan = Scanner::at(whole, 0);
        let read = feature::feature(&mut scan, &mut self.fields, &mut self.met);
        let (end, next) = match read {
            Ok(row) => {
                let record = Record { line, values: row.values, geometry: row.geometry };
                (scan.pos, Next::Record(record))
            }
            Err(Fail::Content(content)) => {
                scan.pos = 0;
                match scan.skip() {
                    Ok(_) => (scan.pos, self.refuse(line, *content)),
                    Err(_) if !last => return None,
                    Err(_) => self.broken()?,
                }
            }
            Err(Fail::Syntax { at }) if at >= whole.len() => return None,
            Err(Fail::Syntax { .. }) => self.broken()?,
        };
        let taken = self.buffer.get(self.start..self.start + end).unwrap_or_default();
        self.line += memchr::memchr_iter(b'\n', taken).count() as u64;
        self.start += end;
        Some(next)
    }

    /// The line at hand is no JSON: it is stepped over. Its length, and what to say of it.
    fn broken(&self) -> Option<(usize, Next)> {
        let end = self.end_of_line()?;
        let bytes = self.buffer.get(self.start..end).unwrap_or_default();
        let shown = String::from_utf8_lossy(bytes.get(..bytes.len().min(800)).unwrap_or_default());
        let content = super::scan::Content {
            reason: RefusalReason::BrokenRow,
            value: quoted(shown.trim()),
            text: text!("ligne qui n'est pas du JSON", "line that is not JSON"),
        };
        Some((bytes.len(), self.refuse(self.line, content)))
    }
}

impl Reader for SequenceReader {
    fn next(&mut self) -> Result<Next> {
        if !self.step()? {
            return Ok(Next::End);
        }
        loop {
            // A line is tried once it is whole: most features are one.
            if self.end_of_line().is_some()
                && let Some(next) = self.feature()
            {
                return Ok(next);
            }
            if self.ended {
                // Nothing more comes: what is left is cut.
                let line = self.line;
                self.start = self.buffer.len();
                return Err(refused(text!(
                    "GeoJSON tronqué : le fichier s'arrête dans l'entité de la ligne {line}",
                    "truncated GeoJSON: the file stops within the feature of line {line}"
                )));
            }
            self.fill()?;
        }
    }

    fn fields(&self) -> &[Field] {
        self.fields.fields()
    }

    fn crs(&self) -> Option<&str> {
        None
    }

    fn notes(&self) -> Vec<Text> {
        let mut notes = self.notes.clone();
        notes.extend(self.source.decoder.note());
        notes.extend(self.met.notes());
        notes
    }

    fn position(&self) -> u64 {
        self.source.taken
    }
}
