//! Bytes that wait until a file can be written: in memory while they are few, then in a file of
//! the scratch folder. The file has no name once it is open (where the system allows it): nothing
//! of it outlives the program.

use super::io as fault;
use crate::error::Result;
use std::{
    fs::{File, OpenOptions},
    hash::{BuildHasher, Hasher},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// Bytes kept in memory.
const MEMORY: usize = 1 << 20;

/// Grows at its end, then is read anywhere.
#[derive(Debug)]
pub struct Spool {
    /// What is not in the file yet.
    tail: Vec<u8>,
    /// What went before.
    file: Option<File>,
    /// Bytes in the file.
    filed: u64,
    path: std::path::PathBuf,
    /// Bytes kept in memory.
    memory: usize,
}

impl Spool {
    /// An empty one; makes no file before it must.
    pub fn new(scratch: &Path) -> Self {
        Self::holding(scratch, MEMORY)
    }

    /// The same with so many bytes in memory.
    pub fn holding(scratch: &Path, memory: usize) -> Self {
        // Drawn: processes may share the folder.
        let drawn = std::hash::RandomState::new().build_hasher().finish();
        let path = scratch.join(format!(".socle-spool-{drawn:016x}"));
        Self { tail: Vec::new(), file: None, filed: 0, path, memory }
    }

    /// Bytes in all.
    pub fn len(&self) -> u64 {
        self.filed + self.tail.len() as u64
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.grow(|tail| {
            tail.extend_from_slice(bytes);
            Ok(())
        })
    }

    /// Lets `write` add bytes at the end of what it is shown.
    pub fn grow(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        write(&mut self.tail)?;
        if self.tail.len() >= self.memory { self.spill() } else { Ok(()) }
    }

    /// All of it, where it never left memory.
    ///
    /// # Errors
    /// The spool as it was, where it did.
    pub fn into_memory(mut self) -> std::result::Result<Vec<u8>, Self> {
        if self.file.is_some() { Err(self) } else { Ok(std::mem::take(&mut self.tail)) }
    }

    /// All of it, read into memory; after [`Spool::seal`].
    pub fn into_bytes(self) -> Result<Vec<u8>> {
        self.into_memory().or_else(|mut filed| {
            let mut bytes = Vec::new();
            filed.copy(&mut bytes).map(|()| bytes)
        })
    }

    fn spill(&mut self) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let open =
                    || OpenOptions::new().read(true).write(true).create_new(true).open(&self.path);
                let file = open().or_else(|e| match (e.kind(), self.path.parent()) {
                    (io::ErrorKind::NotFound, Some(folder)) => {
                        std::fs::create_dir_all(folder).and_then(|()| open())
                    }
                    _ => Err(e),
                });
                let file = file.map_err(fault)?;
                #[cfg(unix)]
                std::fs::remove_file(&self.path).map_err(fault)?;
                none.insert(file)
            }
        };
        file.write_all(&self.tail).map_err(fault)?;
        self.filed += self.tail.len() as u64;
        self.tail.clear();
        Ok(())
    }

    /// Makes it ready to be read at any place.
    pub fn seal(&mut self) -> Result<()> {
        if self.file.is_some() { self.spill() } else { Ok(()) }
    }

    /// Reads `size` bytes from `at`; after [`Spool::seal`].
    pub fn read(&mut self, at: u64, size: usize, into: &mut Vec<u8>) -> Result<()> {
        into.clear();
        let Some(file) = &mut self.file else {
            let start = usize::try_from(at).unwrap_or(usize::MAX);
            let bytes = self.tail.get(start..).and_then(|rest| rest.get(..size));
            into.extend_from_slice(
                bytes.ok_or_else(|| fault(io::ErrorKind::UnexpectedEof.into()))?,
            );
            return Ok(());
        };
        into.resize(size, 0);
        read_at(file, at, into).map_err(fault)
    }

    /// Copies all of it; after [`Spool::seal`].
    pub fn copy(&mut self, out: &mut dyn Write) -> Result<()> {
        match &mut self.file {
            None => out.write_all(&self.tail).map_err(fault),
            Some(file) => {
                file.seek(SeekFrom::Start(0)).map_err(fault)?;
                io::copy(file, out).map_err(fault).map(drop)
            }
        }
    }

    /// A reader of all of it; after [`Spool::seal`].
    pub fn reader(&mut self) -> Result<Box<dyn Read + Send + '_>> {
        match &mut self.file {
            None => Ok(Box::new(self.tail.as_slice())),
            Some(file) => {
                file.seek(SeekFrom::Start(0)).map_err(fault)?;
                Ok(Box::new(io::BufReader::with_capacity(1 << 16, file)))
            }
        }
    }
}

#[cfg(unix)]
fn read_at(file: &File, at: u64, into: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, at)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, at: u64, into: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(into)
}

#[cfg(not(unix))]
impl Drop for Spool {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_whether_few_or_many() {
        let dir = tempfile::tempdir().unwrap();
        for chunks in [3u64, 3_000] {
            let mut spool = Spool::new(dir.path());
            for i in 0..chunks {
                spool.push(&[i as u8; 1000]).unwrap();
            }
            spool.seal().unwrap();
            assert_eq!(spool.len(), chunks * 1000);
            let mut out = Vec::new();
            spool.read(2_000, 5, &mut out).unwrap();
            assert_eq!(out, [2; 5]);
            assert!(spool.read(chunks * 1000 - 2, 5, &mut out).is_err());
            out.clear();
            spool.copy(&mut out).unwrap();
            assert_eq!(out.len() as u64, chunks * 1000);
            assert_eq!(spool.file.is_some(), chunks > 1000);
            let left = std::fs::read_dir(dir.path()).unwrap().count();
            assert_eq!(left, 0, "nothing is left behind, however the program ends");
            assert_eq!(spool.into_bytes().unwrap(), out);
        }
        let mut far = Spool::holding(&dir.path().join("made/when/needed"), 4);
        far.push(b"12345").unwrap();
        far.seal().unwrap();
        assert_eq!(far.into_memory().unwrap_err().into_bytes().unwrap(), b"12345");
    }
}
