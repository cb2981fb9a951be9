//! Blobs in a folder: one file each, under its key. The folder may be on a network file system
//! that replicas share.

use super::{Key, Reader, Stat, draft::Whole, found};
use crate::error::{Error, Result};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use std::{
    fs::{self, File},
    io::{ErrorKind, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Bytes of a piece that is read.
const PIECE: usize = 128 << 10;

/// The folder.
#[derive(Debug)]
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    /// Where a blob is, or would be.
    pub(super) fn place(&self, key: &Key) -> PathBuf {
        self.0.join(key.as_str())
    }

    /// Gives a whole draft its name. `None` when `only_new` and it is taken.
    pub(super) fn take_in(
        &self,
        mut from: Whole,
        key: &Key,
        only_new: bool,
    ) -> Result<Option<Stat>> {
        let to = self.place(key);
        let parent = to.parent().unwrap_or(&self.0).to_path_buf();
        let io = |e| Error::io(&to, e);
        make(&parent)?;
        if only_new {
            // A link, unlike a rename, refuses a name that is taken.
            match fs::hard_link(&from.path.0, &to) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(None),
                Err(e) => return Err(io(e)),
            }
        } else {
            fs::rename(&from.path.0, &to).map_err(io)?;
            from.path.0.clear();
        }
        sync(&parent)?;
        self.stat(key)
    }

    /// What a blob is; `None` when it is not there.
    pub(super) fn stat(&self, key: &Key) -> Result<Option<Stat>> {
        let path = self.place(key);
        let metadata = match fs::metadata(&path) {
            Ok(m) => m,
            Err(e) if absent(&e) => return Ok(None),
            Err(e) => return Err(Error::io(&path, e)),
        };
        if !metadata.is_file() {
            return Ok(None);
        }
        let modified = metadata.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
        let modified = modified.unwrap_or(Timestamp::UNIX_EPOCH);
        Ok(Some(Stat { key: key.clone(), bytes: metadata.len(), modified }))
    }

    /// Opens a blob, or a range of it.
    pub(super) async fn read(
        &self,
        key: &Key,
        range: Option<Range<u64>>,
    ) -> Result<Option<Reader>> {
        let path = self.place(key);
        let mut file = match tokio::fs::File::open(&path).await {
            Ok(file) => file,
            Err(e) if absent(&e) => return Ok(None),
            Err(e) => return Err(Error::io(&path, e)),
        };
        // The size of what was opened: the name may be another's by now.
        let metadata = file.metadata().await.map_err(|e| Error::io(&path, e))?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let bytes = metadata.len();
        let range = found(range, bytes);
        file.seek(SeekFrom::Start(range.start)).await.map_err(|e| Error::io(&path, e))?;
        let left = range.end - range.start;
        let pieces = stream::try_unfold((file, left, path), |(mut file, left, path)| async move {
            if left == 0 {
                return Ok(None);
            }
            let mut piece = vec![0; left.min(PIECE as u64) as usize];
            let n = file.read(&mut piece).await.map_err(|e| Error::io(&path, e))?;
            if n == 0 {
                return Err(Error::broken(format!("{} is shorter than it was", path.display())));
            }
            piece.truncate(n);
            Ok(Some((Bytes::from(piece), (file, left - n as u64, path))))
        });
        Ok(Some(Reader { bytes, range, pieces: pieces.boxed() }))
    }

    /// All blobs whose key begins with these whole segments, by key.
    pub(super) fn list(&self, prefix: &str) -> Result<Vec<Stat>> {
        let mut all = Vec::new();
        let mut folders = vec![prefix.trim_matches('/').to_owned()];
        while let Some(below) = folders.pop() {
            let here = self.0.join(&below);
            let entries = match fs::read_dir(&here) {
                Ok(entries) => entries,
                Err(e) if absent(&e) => continue,
                Err(e) => return Err(Error::io(&here, e)),
            };
            for entry in entries {
                let entry = entry.map_err(|e| Error::io(&here, e))?;
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                let name =
                    if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
                // What is not a key is not ours: hidden files, other people's notes.
                let Ok(key) = name.parse::<Key>() else { continue };
                match entry.file_type() {
                    Ok(t) if t.is_dir() => folders.push(name),
                    // Removed meanwhile: not there.
                    _ => all.extend(self.stat(&key)?),
                }
            }
        }
        all.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(all)
    }

    /// Removes a blob; whether it was there.
    pub(super) fn delete(&self, key: &Key) -> Result<bool> {
        let path = self.place(key);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(e) if absent(&e) => Ok(false),
            Err(e) => Err(Error::io(&path, e)),
        }
    }
}

/// Makes a folder and those above it.
pub(super) fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))
}

fn absent(e: &std::io::Error) -> bool {
    matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// A name is durable once its folder is (POSIX); elsewhere folders cannot be opened.
fn sync(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io(folder, e))?;
    }
    Ok(())
}
