//! dBASE tables (`.dbf`), the attributes of a Shapefile. Own code: the crates at hand decide the
//! encoding by themselves and trust lengths that the file declares.

use super::cells::{Column, Doubt, value};
use crate::{
    error::{Error, Result},
    formats::{
        encoding::{self, Charset, Utf8Check},
        refused, types,
    },
    model::{FieldKind, Text, Value},
    text,
};
use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// A dBASE table being read.
pub(super) struct Dbf {
    path: PathBuf,
    input: BufReader<File>,
    columns: Vec<Column>,
    record: Vec<u8>,
    /// Records, deleted ones included.
    pub(super) count: u64,
    read: u64,
    charset: Charset,
    malformed: u64,
    overflowed: u64,
    /// What was detected.
    pub(super) notes: Vec<Text>,
}

/// A record: deleted, or its values.
pub(super) enum Entry {
    Deleted,
    Values(Vec<Value>),
}

struct Header {
    count: u64,
    start: u64,
    width: usize,
    language: u8,
    columns: Vec<Column>,
}

impl Dbf {
    /// Opens a table. `declared`: the encoding of the configuration; `cpg`: the content of the
    /// `.cpg` file beside it.
    pub(super) fn open(path: &Path, declared: Option<&str>, cpg: Option<&str>) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let length = file.metadata().map_err(|e| Error::io(path, e))?.len();
        let mut input = BufReader::with_capacity(1 << 16, file);
        let header = header(&mut input, length).map_err(|e| broken(path, e))??;
        let mut dbf = Self {
            path: path.to_owned(),
            input,
            columns: header.columns,
            record: vec![0; header.width],
            count: header.count,
            read: 0,
            charset: encoding::UTF_8,
            malformed: 0,
            overflowed: 0,
            notes: Vec::new(),
        };
        dbf.charset = dbf.choose_charset(declared, cpg, header.language, header.start)?;
        dbf.input.seek(SeekFrom::Start(header.start)).map_err(|e| Error::io(path, e))?;
        Ok(dbf)
    }

    /// Names and declared kinds of the columns.
    pub(super) fn columns(&mut self) -> Vec<(String, FieldKind)> {
        let charset = self.charset;
        let names: Vec<String> = self.columns.iter().map(|c| charset.decode(&c.name).0).collect();
        let (names, notes) = types::column_names(names.iter().map(String::as_str));
        self.notes.extend(notes);
        let kinds = self.columns.iter().map(Column::field_kind);
        names.into_iter().zip(kinds).collect()
    }

    /// The next record; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Entry>> {
        if self.read >= self.count {
            return Ok(None);
        }
        self.read += 1;
        self.input.read_exact(&mut self.record).map_err(|e| broken(&self.path, e))?;
        if self.record.first() == Some(&b'*') {
            return Ok(Some(Entry::Deleted));
        }
        let mut at = 1;
        let mut values = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let raw = self.record.get(at..at + column.width).unwrap_or_default();
            at += column.width;
            let (value, doubt) = value(column, raw, self.charset);
            match doubt {
                Doubt::None => {}
                Doubt::Malformed(n) => self.malformed += n,
                Doubt::Overflow => self.overflowed += 1,
            }
            values.push(value);
        }
        Ok(Some(Entry::Values(values)))
    }

    /// What was met while reading.
    pub(super) fn found(&self) -> Vec<Text> {
        let mut notes = self.notes.clone();
        let (n, name, stars) = (self.malformed, self.charset.name(), self.overflowed);
        if n > 0 {
            notes.push(text!(
                "{n} suites d'octets illisibles en {name}, remplacées par « \u{fffd} »",
                "{n} byte sequences unreadable as {name}, replaced by \"\u{fffd}\""
            ));
        }
        if stars > 0 {
            notes.push(text!(
                "valeurs numériques trop larges pour leur colonne (« *** »), lues comme nulles : {stars}",
                "numbers too wide for their column (\"***\"), read as null: {stars}"
            ));
        }
        if self.columns.iter().any(|c| matches!(c.kind, b'M' | b'G' | b'P')) {
            notes.push(text!(
                "colonnes mémo : seul le numéro de bloc est lu, pas le fichier .dbt",
                "memo columns: only the block number is read, not the .dbt file"
            ));
        }
        notes
    }

    /// The encoding: declared, else `.cpg`, else the header's language byte, else what the bytes
    /// are. UTF-8 that the language byte contradicts is believed: the byte is a default of
    /// many tools, and Windows-1252 text is valid UTF-8 only by a miracle.
    fn choose_charset(
        &mut self,
        declared: Option<&str>,
        cpg: Option<&str>,
        language: u8,
        start: u64,
    ) -> Result<Charset> {
        if let Some(label) = declared {
            let charset = Charset::from_option(label)?;
            let why = encoding::Why::Declared;
            self.notes.extend(encoding::Detected { charset, why }.note());
            return Ok(charset);
        }
        let found = self.looks_like(start)?;
        let named = cpg.and_then(Charset::from_label);
        if let (Some(cpg), None) = (cpg, named) {
            let cpg: String = cpg.trim().chars().take(40).collect();
            self.notes.push(text!(
                "encodage du fichier .cpg non reconnu : « {cpg} »",
                "encoding of the .cpg file not recognised: \"{cpg}\""
            ));
        }
        let by_language = language_charset(language);
        let (charset, note) = match (named, by_language, found) {
            (Some(c), _, Found::Other) if c == encoding::UTF_8 => (
                encoding::WINDOWS_1252,
                text!(
                    "encodage Windows-1252 (supposé : le .cpg annonce UTF-8, ce que le fichier n'est pas)",
                    "encoding Windows-1252 (assumed: the .cpg says UTF-8, which the file is not)"
                ),
            ),
            (Some(c), _, _) => {
                let name = c.name();
                (c, text!("encodage {name} (fichier .cpg)", "encoding {name} (.cpg file)"))
            }
            (None, _, Found::Ascii) => return Ok(by_language.unwrap_or(encoding::UTF_8)),
            (None, Some(c), Found::Utf8) if c != encoding::UTF_8 => (
                encoding::UTF_8,
                text!(
                    "encodage UTF-8 (détecté, contre l'en-tête du .dbf)",
                    "encoding UTF-8 (detected, against the .dbf header)"
                ),
            ),
            (None, Some(c), _) => {
                let name = c.name();
                (
                    c,
                    text!(
                        "encodage {name} (en-tête du .dbf, sans .cpg)",
                        "encoding {name} (.dbf header, no .cpg)"
                    ),
                )
            }
            (None, None, Found::Utf8) => (
                encoding::UTF_8,
                text!("encodage UTF-8 (détecté, sans .cpg)", "encoding UTF-8 (detected, no .cpg)"),
            ),
            (None, None, Found::Other) => (
                encoding::WINDOWS_1252,
                text!(
                    "encodage Windows-1252 (supposé : ni .cpg ni UTF-8 valide)",
                    "encoding Windows-1252 (assumed: neither .cpg nor valid UTF-8)"
                ),
            ),
        };
        self.notes.push(note);
        Ok(charset)
    }

    /// What the text cells are, over the whole table.
    fn looks_like(&mut self, start: u64) -> Result<Found> {
        let path = self.path.clone();
        self.input.seek(SeekFrom::Start(start)).map_err(|e| Error::io(&path, e))?;
        let mut beyond_ascii = false;
        for column in &self.columns {
            match is_utf8(&column.name) {
                Some(beyond) => beyond_ascii |= beyond,
                None => return Ok(Found::Other),
            }
        }
        for _ in 0..self.count {
            self.input.read_exact(&mut self.record).map_err(|e| broken(&path, e))?;
            if self.record.is_ascii() {
                continue;
            }
            let mut at = 1;
            for column in &self.columns {
                let raw = self.record.get(at..at + column.width).unwrap_or_default();
                at += column.width;
                if column.kind == b'C' {
                    match is_utf8(raw) {
                        Some(beyond) => beyond_ascii |= beyond,
                        None => return Ok(Found::Other),
                    }
                }
            }
        }
        Ok(if beyond_ascii { Found::Utf8 } else { Found::Ascii })
    }
}

/// What the text of a table looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Ascii,
    Utf8,
    Other,
}

/// Whether a cell is UTF-8 beyond ASCII; `None`: it is not UTF-8. A character cut by the width
/// of the cell is forgiven.
fn is_utf8(raw: &[u8]) -> Option<bool> {
    let mut check = Utf8Check::default();
    let mut end = raw.len();
    while end > 0 && matches!(raw.get(end - 1), Some(b' ' | 0)) {
        end -= 1;
    }
    check.push(raw.get(..end).unwrap_or_default()).then_some(check.beyond_ascii)
}

fn broken(path: &Path, e: std::io::Error) -> Error {
    if e.kind() == ErrorKind::UnexpectedEof {
        return truncated();
    }
    Error::io(path, e)
}

fn truncated() -> Error {
    refused(text!(
        "fichier .dbf tronqué : il est plus court que ce qu'annonce son en-tête",
        "truncated .dbf file: it is shorter than its header says"
    ))
}

fn header(input: &mut impl Read, length: u64) -> std::io::Result<Result<Header>> {
    let mut head = [0u8; 32];
    input.read_exact(&mut head)?;
    let u16_at = |i: usize| u16::from(head[i]) | u16::from(head[i + 1]) << 8;
    let count = u64::from(u32::from(u16_at(4)) | u32::from(u16_at(6)) << 16);
    let (start, width) = (u64::from(u16_at(8)), usize::from(u16_at(10)));
    let mut columns = Vec::new();
    let mut total = 1;
    let mut at = 32u64;
    loop {
        let mut raw = [0u8; 32];
        input.read_exact(&mut raw[..1])?;
        if raw[0] == 0x0d || raw[0] == 0 || at + 32 > start {
            break;
        }
        input.read_exact(&mut raw[1..])?;
        at += 32;
        let name = raw[..11].split(|b| *b == 0).next().unwrap_or_default().to_vec();
        let column = Column {
            name,
            kind: raw[11].to_ascii_uppercase(),
            width: raw[16].into(),
            decimals: raw[17],
        };
        total += column.width;
        columns.push(column);
    }
    if columns.is_empty() || total > width || start < 33 {
        return Ok(Err(refused(text!(
            "fichier .dbf illisible : son en-tête est incohérent",
            "unreadable .dbf file: its header is inconsistent"
        ))));
    }
    if start + count * width as u64 > length {
        return Ok(Err(truncated()));
    }
    Ok(Ok(Header { count, start, width, language: head[29], columns }))
}

/// The language driver byte of the header, where it names an encoding used in France.
fn language_charset(language: u8) -> Option<Charset> {
    Some(match language {
        0x01 | 0x09 | 0x0b | 0x0d | 0x0f | 0x11 | 0x15 | 0x18 | 0x19 | 0x1b => Charset::Cp437,
        0x02 | 0x08 | 0x0a | 0x0e | 0x10 | 0x12 | 0x14 | 0x16 | 0x1a | 0x1d | 0x25 | 0x37 => {
            Charset::Cp850
        }
        0x03 | 0x57..=0x59 => encoding::WINDOWS_1252,
        _ => return None,
    })
}
