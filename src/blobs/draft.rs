//! A blob under way: a local file that its writer holds locked until it is whole. The lock tells
//! the files of dead runs from those of living ones, in any process and container that shares the
//! folder: a process number could not.

use super::{Blobs, Key, Stat};
use crate::{
    error::{Error, Result},
    text,
};
use std::{
    fs::{self, File, OpenOptions},
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};
use tokio::io::AsyncWriteExt;

/// Where locks are not to be had (some network folders), a file untouched for so long is dead:
/// nothing may take longer to write.
const DEAD: Duration = Duration::from_secs(2 * 86_400);

/// A blob under way; removed when dropped.
pub struct Draft {
    path: Temporary,
    file: tokio::fs::File,
    bytes: u64,
    limit: u64,
    blobs: Blobs,
}

impl Draft {
    /// Begins a file in a folder that exists.
    pub(super) fn begin(folder: &Path, limit: u64, blobs: Blobs) -> Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        // A name may be taken by a process of another container, or be cleaned away between its
        // creation and its lock: the next one will do.
        for _ in 0..100 {
            let n = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{}-{n}.part", std::process::id()));
            let file = match OpenOptions::new().read(true).write(true).create_new(true).open(&path)
            {
                Ok(file) => file,
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(Error::io(&path, e)),
            };
            // Without locks the age of the file decides.
            let _ = file.lock();
            if path.exists() {
                let file = tokio::fs::File::from_std(file);
                return Ok(Self { path: Temporary(path), file, bytes: 0, limit, blobs });
            }
        }
        Err(Error::broken("no free name for a shared file"))
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// [`Error::Refused`] beyond the size it was begun with, or when the disk is full.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.limit {
            return Err(too_large(self.limit));
        }
        self.file.write_all(bytes).await.map_err(|e| Error::io(&self.path.0, e))
    }

    /// The file itself, for what writes by path (SQLite, archives): it must be written in place,
    /// and closed before the blob is kept.
    pub fn path(&self) -> &Path {
        &self.path.0
    }

    /// Makes it a blob, replacing the one of that name. Whole or not at all, and durable.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when object storage is out of reach; [`Error::Refused`] when it is
    /// too large or the disk is full.
    pub async fn keep(self, key: &Key) -> Result<Stat> {
        let blobs = self.blobs.clone();
        blobs.take_in(self.whole().await?, key, false).await?.ok_or_else(|| lost(key))
    }

    /// Makes it a blob unless there is one of that name: `None`, and nothing changed, when there
    /// is. Where several writers race, one wins.
    ///
    /// # Errors
    /// As [`Draft::keep`].
    pub async fn keep_new(self, key: &Key) -> Result<Option<Stat>> {
        let blobs = self.blobs.clone();
        blobs.take_in(self.whole().await?, key, true).await
    }

    /// [`Draft::keep`], for what is read here next: gives the local file, as [`Blobs::local`].
    ///
    /// # Errors
    /// As [`Draft::keep`].
    pub async fn keep_here(self, key: &Key) -> Result<PathBuf> {
        let blobs = self.blobs.clone();
        blobs.take_in_here(self.whole().await?, key).await
    }

    /// Flushed, within its size and on disk.
    pub(super) async fn whole(mut self) -> Result<Whole> {
        self.file.flush().await.map_err(|e| Error::io(&self.path.0, e))?;
        let (path, limit) = (self.path, self.limit);
        let file = self.file.into_std().await;
        let synced = tokio::task::spawn_blocking(move || {
            file.sync_all().map_err(|e| Error::io(&path.0, e))?;
            let bytes = file.metadata().map_err(|e| Error::io(&path.0, e))?.len();
            if bytes > limit {
                return Err(too_large(limit));
            }
            Ok(Whole { path, bytes, _held: file })
        });
        synced.await.map_err(|e| Error::fault("keeping a shared file", e))?
    }
}

/// A draft that is whole: a local file, not yet a blob.
pub(super) struct Whole {
    pub(super) path: Temporary,
    pub(super) bytes: u64,
    /// Its lock, until it has its name.
    _held: File,
}

/// A path that is removed when dropped. Emptied once renamed: the name may be another's by then.
pub(super) struct Temporary(pub(super) PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.0);
        }
    }
}

fn too_large(limit: u64) -> Error {
    let mb = limit >> 20;
    Error::Refused(text!(
        "Le fichier dépasse la taille permise de {mb} Mio.",
        "The file is above the {mb} MiB allowed."
    ))
}

fn lost(key: &Key) -> Error {
    Error::broken(format!("{key} was not replaced"))
}

/// Removes the files of a folder of drafts that no living run holds.
pub(super) fn sweep(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        let Ok(file) = File::open(&path) else { continue };
        let dead = match file.try_lock() {
            Ok(()) => true,
            Err(fs::TryLockError::WouldBlock) => false,
            Err(fs::TryLockError::Error(_)) => older_than(&path, DEAD),
        };
        if dead {
            // Removed while locked: a writer that was about to lock it sees that it is gone.
            let _ = fs::remove_file(path);
        }
    }
    Ok(())
}

fn older_than(path: &Path, age: Duration) -> bool {
    let modified = fs::metadata(path).and_then(|m| m.modified());
    modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|d| d > age))
}
