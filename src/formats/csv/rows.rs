//! Cuts delimited text into rows and cells (RFC 4180), keeping true line numbers.
//!
//! Not the `csv` crate: it forgives broken quoting, and a quote left open then swallows every
//! row to the end of the file without a word. Here such a row is refused by its line, and
//! reading goes on at the next line.

use crate::{formats::encoding::TextSource, model::Text, text};
use std::io;

/// Longest row, in bytes of UTF-8: beyond, a quote was left open.
const MAX_ROW: usize = 8 << 20;

/// Bytes that may be looked through in vain for closing quotes, in a whole file: what keeps a
/// hostile file, each line of which opens a quote, from taking hours.
const MAX_VAIN: usize = 1 << 30;

/// One row's cells, unquoted.
#[derive(Debug, Default, Clone)]
pub(super) struct Row {
    /// 1-based line where it starts.
    pub(super) line: u64,
    text: String,
    ends: Vec<usize>,
}

impl Row {
    /// Number of cells.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// A cell's text; empty beyond the last one.
    pub(super) fn cell(&self, at: usize) -> &str {
        let start = match at.checked_sub(1) {
            None => 0,
            Some(before) => self.ends.get(before).copied().unwrap_or(usize::MAX),
        };
        self.ends.get(at).and_then(|end| self.text.get(start..*end)).unwrap_or_default()
    }

    /// All cells.
    pub(super) fn cells(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|i| self.cell(i))
    }

    /// Whether no cell holds anything.
    pub(super) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Cut {
    /// A row.
    Row(Row),
    /// Broken quoting in the row that starts at this line.
    Broken {
        line: u64,
        /// The start of that line.
        value: String,
        text: Text,
    },
    /// The quoting is so broken that reading on makes no sense.
    Lost { line: u64 },
    /// The end.
    End,
}

/// How many bytes a row takes, or why there is none.
enum Outcome {
    Row {
        taken: usize,
        lines: u64,
    },
    /// The text ends before the row does; more may come.
    More,
    Open,
    Garbage,
}

/// Rows of a text source.
pub(super) struct Rows {
    source: TextSource,
    separator: u8,
    buffer: Vec<u8>,
    start: usize,
    line: u64,
    ended: bool,
    vain: usize,
}

impl Rows {
    pub(super) fn new(source: TextSource, separator: u8) -> Self {
        Self { source, separator, buffer: Vec::new(), start: 0, line: 1, ended: false, vain: 0 }
    }

    /// The source, for its notes and its position.
    pub(super) fn source(&self) -> &TextSource {
        &self.source
    }

    /// The next row that is not an empty line.
    pub(super) fn next(&mut self) -> io::Result<Cut> {
        loop {
            let rest = self.buffer.get(self.start..).unwrap_or_default();
            if rest.is_empty() && self.ended {
                return Ok(Cut::End);
            }
            let mut cells = Cells::default();
            match cut(rest, self.separator, self.ended, &mut cells) {
                Outcome::Row { taken, lines } => {
                    let line = self.line;
                    self.start += taken;
                    self.line += lines;
                    let row = cells.into_row(line);
                    if row.len() > 1 || !row.cell(0).is_empty() {
                        return Ok(Cut::Row(row));
                    }
                }
                Outcome::More if rest.len() < MAX_ROW => self.fill()?,
                Outcome::More | Outcome::Open => {
                    self.vain += rest.len();
                    if self.vain > MAX_VAIN {
                        return Ok(Cut::Lost { line: self.line });
                    }
                    return Ok(self.broken(text!(
                        "guillemet ouvert et jamais refermé",
                        "quote opened and never closed"
                    )));
                }
                Outcome::Garbage => {
                    return Ok(self.broken(text!(
                        "texte derrière un guillemet fermant",
                        "text behind a closing quote"
                    )));
                }
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        // A row that does not fit doubles what is looked at: long rows cost no more than short ones.
        let wanted = 2 * self.buffer.len();
        loop {
            self.ended = !self.source.fill(&mut self.buffer)?;
            if self.ended || self.buffer.len() >= wanted {
                break;
            }
        }
        Ok(())
    }

    /// Steps over one physical line.
    fn broken(&mut self, text: Text) -> Cut {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let value = String::from_utf8_lossy(rest.get(..end.min(800)).unwrap_or_default());
        let value = value.chars().take(200).collect();
        let line = self.line;
        self.start += end + terminator(rest.get(end..).unwrap_or_default());
        self.line += 1;
        Cut::Broken { line, value, text }
    }
}

/// Cells under way, as bytes.
#[derive(Default)]
struct Cells {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Cells {
    fn end(&mut self) {
        self.ends.push(self.text.len());
    }

    fn into_row(self, line: u64) -> Row {
        Row { line, text: crate::formats::encoding::into_text(self.text), ends: self.ends }
    }
}

/// Length of the line terminator that starts here.
fn terminator(bytes: &[u8]) -> usize {
    match bytes {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => 0,
    }
}

/// Lines ended within these bytes: `\n`, `\r\n` or a lone `\r`.
fn lines_in(bytes: &[u8]) -> u64 {
    let mut lines = memchr::memchr_iter(b'\n', bytes).count();
    for at in memchr::memchr_iter(b'\r', bytes) {
        lines += usize::from(bytes.get(at + 1) != Some(&b'\n'));
    }
    lines as u64
}

/// Cuts one row off `bytes`.
fn cut(bytes: &[u8], separator: u8, ended: bool, cells: &mut Cells) -> Outcome {
    let mut at = 0;
    loop {
        let quoted = bytes.get(at) == Some(&b'"');
        let stop = if quoted {
            match quoted_cell(bytes, at + 1, ended, &mut cells.text) {
                Ok(end) => end,
                Err(outcome) => return outcome,
            }
        } else {
            let rest = bytes.get(at..).unwrap_or_default();
            let end = match memchr::memchr3(separator, b'\n', b'\r', rest) {
                Some(end) => end,
                None if ended => rest.len(),
                None => return Outcome::More,
            };
            cells.text.extend_from_slice(rest.get(..end).unwrap_or_default());
            at + end
        };
        match bytes.get(stop) {
            Some(b) if *b == separator => {
                cells.end();
                at = stop + 1;
            }
            Some(b'\r') if stop + 1 == bytes.len() && !ended => return Outcome::More,
            Some(b'\n' | b'\r') | None => {
                cells.end();
                let taken = stop + terminator(bytes.get(stop..).unwrap_or_default());
                return Outcome::Row {
                    taken,
                    lines: lines_in(bytes.get(..taken).unwrap_or_default()),
                };
            }
            Some(_) => return Outcome::Garbage,
        }
    }
}

/// Unquotes a cell whose text starts at `at`; gives where it stops behind the closing quote.
fn quoted_cell(
    bytes: &[u8],
    mut at: usize,
    ended: bool,
    text: &mut Vec<u8>,
) -> Result<usize, Outcome> {
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(quote) = memchr::memchr(b'"', rest) else {
            return Err(if ended { Outcome::Open } else { Outcome::More });
        };
        text.extend_from_slice(rest.get(..quote).unwrap_or_default());
        match rest.get(quote + 1) {
            Some(b'"') => {
                text.push(b'"');
                at += quote + 2;
            }
            None if !ended => return Err(Outcome::More),
            // Blanks between a closing quote and the separator mean nothing.
            _ => {
                let behind = rest.get(quote + 1..).unwrap_or_default();
                let blanks = behind.iter().take_while(|b| **b == b' ').count();
                if blanks == behind.len() && !ended {
                    return Err(Outcome::More);
                }
                return Ok(at + quote + 1 + blanks);
            }
        }
    }
}

/// The rows at the start of a text, for detection: at most `most` of them, broken ones left out.
pub(super) fn sample(head: &str, separator: u8, whole: bool, most: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut rest = head.as_bytes();
    while rows.len() < most && !rest.is_empty() {
        let mut cells = Cells::default();
        match cut(rest, separator, whole, &mut cells) {
            Outcome::Row { taken, .. } => {
                rest = rest.get(taken..).unwrap_or_default();
                let row = cells.into_row(0);
                if !row.is_blank() {
                    rows.push(row);
                }
            }
            Outcome::More => break,
            Outcome::Open | Outcome::Garbage => {
                let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |i| i + 1);
                rest = rest.get(end..).unwrap_or_default();
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::encoding::UTF_8;
    use proptest::prelude::*;
    use std::io::Write;

    fn rows(text: &[u8]) -> Vec<Result<(u64, Vec<String>), u64>> {
        let mut f = tempfile::NamedTempFile::new().unwrap();
        f.write_all(text).unwrap();
        let mut rows = Rows::new(TextSource::open(f.path(), UTF_8).unwrap(), b';');
        let mut out = Vec::new();
        loop {
            match rows.next().unwrap() {
                Cut::Row(r) => out.push(Ok((r.line, r.cells().map(str::to_owned).collect()))),
                Cut::Broken { line, .. } | Cut::Lost { line } => out.push(Err(line)),
                Cut::End => return out,
            }
        }
    }

    fn row(line: u64, cells: &[&str]) -> Result<(u64, Vec<String>), u64> {
        Ok((line, cells.iter().map(|c| (*c).to_owned()).collect()))
    }

    #[test]
    fn quotes_line_breaks_and_terminators() {
        assert_eq!(
            rows(b"a;b\r\n\"x\r\ny\"\"z\";2\r\n\r\n;\nc;\"d\" "),
            [
                row(1, &["a", "b"]),
                row(2, &["x\r\ny\"z", "2"]),
                row(5, &["", ""]),
                row(6, &["c", "d"]),
            ]
        );
        assert_eq!(rows(b"a\rb\r"), [row(1, &["a"]), row(2, &["b"])]);
        assert_eq!(rows(b"5\" pipe;x"), [row(1, &["5\" pipe", "x"])]);
    }

    #[test]
    fn a_quote_left_open_costs_its_own_row_only() {
        assert_eq!(
            rows(b"a;b\n1;\"open\n2;x\n3;\"y\"\n4;z\n"),
            [
                row(1, &["a", "b"]),
                Err(2),
                row(3, &["2", "x"]),
                row(4, &["3", "y"]),
                row(5, &["4", "z"])
            ]
        );
        assert_eq!(rows(b"1;\"x\n2;y\n"), [Err(1), row(2, &["2", "y"])]);
        assert_eq!(rows(b"\"a\"b;c\n"), [Err(1)]);
    }

    #[test]
    fn rows_longer_than_a_chunk() {
        let long = "x".repeat(200_000);
        let text = format!("a;b\n\"{long}\n{long}\";2\n3;4\n");
        let got = rows(text.as_bytes());
        assert_eq!(got.len(), 3);
        assert_eq!(got[2], row(4, &["3", "4"]));
    }

    proptest! {
        #[test]
        fn any_text_is_cut_without_losing_lines(text in "[ab;\"\r\n é]{0,60}") {
            let got = rows(text.as_bytes());
            let lines = lines_in(text.as_bytes()) + 1;
            let mut last = 0;
            for r in got {
                let line = match r { Ok((l, _)) | Err(l) => l };
                prop_assert!(line > last && line <= lines);
                last = line;
            }
        }

        #[test]
        fn agrees_with_the_csv_crate_on_sound_files(
            cells in prop::collection::vec(prop::collection::vec("[a\";\n é]{0,5}", 2..=2), 1..6)
        ) {
            let mut w = ::csv::WriterBuilder::new().delimiter(b';').from_writer(Vec::new());
            for r in &cells { w.write_record(r).unwrap(); }
            let text = w.into_inner().unwrap();
            let got: Vec<Vec<String>> = rows(&text).into_iter().map(|r| r.unwrap().1).collect();
            prop_assert_eq!(got, cells);
        }
    }
}
