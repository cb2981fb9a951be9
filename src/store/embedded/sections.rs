//! The container that sidecar files share: a magic word, a table of named sections, the sections.
//! Read by position, so that a tile or a page touches only the bytes it needs.

use crate::error::{Error, Result};
use std::{
    fs::File,
    io::{BufWriter, Seek, SeekFrom, Write},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const MAGIC: &[u8; 8] = b"SOCLE\x00\x01\n";
/// Bytes of one entry of the table: tag, offset, length.
const ENTRY: usize = 24;

/// Bytes of a hole written at once.
const HOLE: usize = 1 << 16;

/// A section's name.
pub(super) type Tag = u64;

/// Writes sections one after the other; the table goes at the end of the file, its place in the
/// last 16 bytes.
pub(super) struct Writer {
    out: BufWriter<File>,
    path: PathBuf,
    at: u64,
    table: Vec<(Tag, u64, u64)>,
}

impl Writer {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = File::create_new(path).map_err(|e| Error::io(path, e))?;
        let mut writer = Self {
            out: BufWriter::with_capacity(1 << 20, file),
            path: path.to_owned(),
            at: 0,
            table: Vec::new(),
        };
        writer.put(MAGIC)?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.at += bytes.len() as u64;
        self.out.write_all(bytes).map_err(|e| Error::io(&self.path, e))
    }

    /// Adds a section.
    pub(super) fn section(&mut self, tag: Tag, bytes: &[u8]) -> Result<()> {
        self.table.push((tag, self.at, bytes.len() as u64));
        self.put(bytes)
    }

    /// Adds a section of little-endian `u32`.
    pub(super) fn u32s(&mut self, tag: Tag, values: impl IntoIterator<Item = u32>) -> Result<()> {
        let from = self.at;
        for value in values {
            self.put(&value.to_le_bytes())?;
        }
        self.table.push((tag, from, self.at - from));
        Ok(())
    }

    /// Adds a section of little-endian `u64`.
    pub(super) fn u64s(&mut self, tag: Tag, values: impl IntoIterator<Item = u64>) -> Result<()> {
        let from = self.at;
        for value in values {
            self.put(&value.to_le_bytes())?;
        }
        self.table.push((tag, from, self.at - from));
        Ok(())
    }

    /// Adds a section of `length` bytes that is filled while those behind it are written.
    pub(super) fn hole(&mut self, tag: Tag, length: u64) -> Result<Hole> {
        let file = self.out.get_ref().try_clone().map_err(|e| Error::io(&self.path, e))?;
        let hole = Hole { file, at: self.at, end: self.at + length, waiting: Vec::new() };
        self.table.push((tag, self.at, length));
        self.at += length;
        self.out.seek(SeekFrom::Start(self.at)).map_err(|e| Error::io(&self.path, e))?;
        Ok(hole)
    }

    /// Begins a section whose bytes come by [`Writer::more`].
    pub(super) fn begin(&mut self, tag: Tag) {
        self.table.push((tag, self.at, 0));
    }

    /// Adds bytes to the section begun last.
    pub(super) fn more(&mut self, bytes: &[u8]) -> Result<()> {
        self.put(bytes)?;
        if let Some((_, _, length)) = self.table.last_mut() {
            *length += bytes.len() as u64;
        }
        Ok(())
    }

    /// Fills a hole on.
    pub(super) fn fill(
        &self,
        hole: &mut Hole,
        values: impl IntoIterator<Item = u64>,
    ) -> Result<()> {
        hole.waiting.extend(values.into_iter().flat_map(u64::to_le_bytes));
        if hole.waiting.len() >= HOLE {
            hole.flush().map_err(|e| Error::io(&self.path, e))?;
        }
        Ok(())
    }

    /// Ends a hole, which must be full.
    pub(super) fn filled(&self, mut hole: Hole) -> Result<()> {
        hole.flush().map_err(|e| Error::io(&self.path, e))?;
        match hole.at == hole.end {
            true => Ok(()),
            false => Err(Error::broken(format!("{}: a section not filled", self.path.display()))),
        }
    }

    /// Writes the table and flushes.
    pub(super) fn finish(mut self) -> Result<()> {
        let place = self.at;
        let table = std::mem::take(&mut self.table);
        for (tag, at, len) in &table {
            for v in [*tag, *at, *len] {
                self.put(&v.to_le_bytes())?;
            }
        }
        self.put(&(table.len() as u64).to_le_bytes())?;
        self.put(&place.to_le_bytes())?;
        self.out.flush().map_err(|e| Error::io(&self.path, e))
    }
}

/// A section that is filled while those behind it are written.
pub(super) struct Hole {
    file: File,
    /// Where what is waiting goes.
    at: u64,
    end: u64,
    waiting: Vec<u8>,
}

impl Hole {
    fn flush(&mut self) -> std::io::Result<()> {
        self.file.write_all_at(&self.waiting, self.at)?;
        self.at += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }
}

/// An open sidecar. The file stays locked (shared) as long as it is open, so that no process
/// removes what it belongs to.
#[derive(Debug)]
pub(super) struct Sections {
    file: File,
    path: PathBuf,
    table: Vec<(Tag, u64, u64)>,
}

impl Sections {
    /// Opens a file; `None` when it is not there.
    pub(super) fn open(path: &Path) -> Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(path, e)),
        };
        file.lock_shared().map_err(|e| Error::io(path, e))?;
        let length = file.metadata().map_err(|e| Error::io(path, e))?.len();
        let mut sections = Self { file, path: path.to_owned(), table: Vec::new() };
        let damaged = || Error::broken(format!("{}: damaged", path.display()));
        let tail_at = length.checked_sub(16).ok_or_else(damaged)?;
        let tail = sections.exact(tail_at..length)?;
        let (count, place) = (le64(&tail, 0), le64(&tail, 1));
        let span = count.checked_mul(ENTRY as u64).and_then(|b| place.checked_add(b));
        if span != Some(tail_at) || sections.exact(0..8)? != MAGIC {
            return Err(damaged());
        }
        let table = sections.exact(place..tail_at)?;
        for i in 0..count as usize {
            let entry = (le64(&table, i * 3), le64(&table, i * 3 + 1), le64(&table, i * 3 + 2));
            if entry.1.checked_add(entry.2).is_none_or(|end| end > place) {
                return Err(damaged());
            }
            sections.table.push(entry);
        }
        Ok(Some(sections))
    }

    fn exact(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.file.read_exact_at(&mut bytes, range.start).map_err(|e| Error::io(&self.path, e))?;
        Ok(bytes)
    }

    fn find(&self, tag: Tag) -> Result<(u64, u64)> {
        let found = self.table.iter().find(|(t, _, _)| *t == tag);
        found
            .map(|(_, at, len)| (*at, *len))
            .ok_or_else(|| Error::broken(format!("{}: no section {tag:#x}", self.path.display())))
    }

    /// Length of a section in bytes; 0 when it is not there.
    pub(super) fn len(&self, tag: Tag) -> u64 {
        self.find(tag).map_or(0, |(_, len)| len)
    }

    /// Bytes of a part of a section.
    pub(super) fn read(&self, tag: Tag, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.append(tag, range, &mut bytes)?;
        Ok(bytes)
    }

    /// Appends a part of a section to `out`.
    pub(super) fn append(&self, tag: Tag, range: Range<u64>, out: &mut Vec<u8>) -> Result<()> {
        let (at, len) = self.find(tag)?;
        if range.start > range.end || range.end > len {
            let path = self.path.display();
            return Err(Error::broken(format!(
                "{path}: section {tag:#x} is shorter than {range:?}"
            )));
        }
        let from = out.len();
        out.resize(from + (range.end - range.start) as usize, 0);
        self.file
            .read_exact_at(&mut out[from..], at + range.start)
            .map_err(|e| Error::io(&self.path, e))
    }

    /// A whole section.
    pub(super) fn all(&self, tag: Tag) -> Result<Vec<u8>> {
        let (_, len) = self.find(tag)?;
        self.read(tag, 0..len)
    }

    /// Elements `range` of a section of `u32`.
    pub(super) fn u32s(&self, tag: Tag, range: Range<u64>) -> Result<Vec<u32>> {
        let bytes = self.read(tag, range.start * 4..range.end * 4)?;
        Ok(bytes.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect())
    }

    /// Elements `range` of a section of `u64`.
    pub(super) fn u64s(&self, tag: Tag, range: Range<u64>) -> Result<Vec<u64>> {
        let bytes = self.read(tag, range.start * 8..range.end * 8)?;
        Ok((0..bytes.len() / 8).map(|i| le64(&bytes, i)).collect())
    }

    /// Where the file is, for messages in the log.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn le64(bytes: &[u8], index: usize) -> u64 {
    let mut b = [0; 8];
    b.copy_from_slice(&bytes[index * 8..index * 8 + 8]);
    u64::from_le_bytes(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_come_back_and_damage_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.idx");
        let mut w = Writer::create(&path).unwrap();
        w.section(1, b"hello").unwrap();
        w.u32s(2, [7, 8, 9]).unwrap();
        w.u64s(3, []).unwrap();
        let mut hole = w.hole(4, 16).unwrap();
        w.begin(5);
        w.more(b"be").unwrap();
        w.fill(&mut hole, [70_000]).unwrap();
        w.more(b"hind").unwrap();
        w.fill(&mut hole, [80_000]).unwrap();
        w.filled(hole).unwrap();
        let unfilled = w.hole(6, 0).unwrap();
        w.filled(unfilled).unwrap();
        w.finish().unwrap();
        let s = Sections::open(&path).unwrap().unwrap();
        assert_eq!(s.read(1, 1..4).unwrap(), b"ell");
        assert_eq!(s.u32s(2, 1..3).unwrap(), [8, 9]);
        assert_eq!(s.len(3), 0);
        assert_eq!(s.u64s(4, 0..2).unwrap(), [70_000, 80_000]);
        assert_eq!(s.all(5).unwrap(), b"behind");
        assert!(s.read(1, 0..6).is_err());
        assert!(s.read(9, 0..0).is_err());
        drop(s);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(Sections::open(&path).is_err(), "cut at {cut}");
        }
        assert!(Sections::open(&dir.path().join("absent")).unwrap().is_none());
    }
}
