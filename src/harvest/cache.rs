//! The folder of fetched sources, named by their SHA-256. A download is a `.part` file that its
//! writer holds locked; whole and synced, it is renamed. The lock tells the files of dead runs
//! from those of living ones, in any process and container that shares the folder: a process
//! number could not.

use crate::error::{Error, Result};
use std::{
    fs::{self, File, OpenOptions},
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};
use tokio::io::AsyncWriteExt;

/// Fetched files younger than this are never pruned: their import may be under way.
const GRACE: Duration = Duration::from_secs(3600);

/// Where locks are not to be had (some network folders), a file untouched for so long is dead:
/// no fetch may last longer.
const DEAD: Duration = Duration::from_secs(2 * 86_400);

/// The folder.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Makes the folder if need be and removes what dead runs left in it.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let cache = Self { folder: folder.to_path_buf() };
        for path in cache.files()? {
            if path.extension().is_some_and(|e| e == "part") {
                remove_if_dead(&path);
            }
        }
        Ok(cache)
    }

    /// The file with this checksum and size, if it is held.
    pub(super) fn get(&self, sha256: &str, bytes: u64) -> Option<PathBuf> {
        let path = self.folder.join(is_sha256(sha256).then_some(sha256)?);
        let found = fs::metadata(&path).ok()?;
        (found.is_file() && found.len() == bytes).then_some(path)
    }

    /// Begins a file.
    pub(super) fn begin(&self) -> Result<Partial> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        // A name may be taken by a process of another container, or be cleaned away between its
        // creation and its lock: the next one will do.
        for _ in 0..100 {
            let n = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = self.folder.join(format!("{}-{n}.part", std::process::id()));
            let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => file,
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(Error::io(&path, e)),
            };
            // Without locks the age of the file decides.
            let _ = file.lock();
            if path.exists() {
                return Ok(Partial {
                    path: Temporary(path),
                    file: tokio::fs::File::from_std(file),
                });
            }
        }
        Err(Error::broken("no free name for a download"))
    }

    /// Removes whole files that are neither in `keep` nor young.
    pub(super) fn prune(&self, keep: &[String]) -> Result<usize> {
        let mut removed = 0;
        for path in self.files()? {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let kept = !is_sha256(name) || keep.iter().any(|k| k == name);
            if !kept && older_than(&path, GRACE) && fs::remove_file(&path).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        let io = |e| Error::io(&self.folder, e);
        let entries = fs::read_dir(&self.folder).map_err(io)?;
        entries.map(|e| e.map(|e| e.path()).map_err(io)).collect()
    }
}

/// A download under way; removed when dropped.
pub(super) struct Partial {
    path: Temporary,
    file: tokio::fs::File,
}

impl Partial {
    /// Adds bytes.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).await.map_err(|e| Error::io(&self.path.0, e))
    }

    /// Syncs the file and gives it its name.
    pub(super) async fn keep(mut self, sha256: &str) -> Result<PathBuf> {
        self.file.flush().await.map_err(|e| Error::io(&self.path.0, e))?;
        let file = self.file.into_std().await;
        let (mut from, name) = (self.path, sha256.to_owned());
        let kept = tokio::task::spawn_blocking(move || {
            let to = from.0.with_file_name(name);
            file.sync_all()
                .and_then(|()| fs::rename(&from.0, &to))
                .and_then(|()| sync_folder(&to))
                .map_err(|e| Error::io(&from.0, e))?;
            from.0.clear();
            Ok(to)
        });
        kept.await.map_err(|e| Error::fault("keeping a download", e))?
    }
}

/// A path that is removed when dropped. Emptied once renamed: the name may be another's by then.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// A rename is durable once the folder is (POSIX); elsewhere folders cannot be opened.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Removes a partial file that no living run holds.
fn remove_if_dead(path: &Path) {
    let Ok(file) = File::open(path) else { return };
    let dead = match file.try_lock() {
        Ok(()) => true,
        Err(fs::TryLockError::WouldBlock) => false,
        Err(fs::TryLockError::Error(_)) => older_than(path, DEAD),
    };
    if dead {
        // Removed while locked: a writer that was about to lock it sees that it is gone.
        let _ = fs::remove_file(path);
    }
}

fn older_than(path: &Path, age: Duration) -> bool {
    let modified = fs::metadata(path).and_then(|m| m.modified());
    modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|d| d > age))
}

fn is_sha256(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn what_dead_runs_left_goes_and_what_runs_stays() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("999999-0.part"), "dead").unwrap();
        fs::write(folder.path().join("notes.txt"), "not ours").unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        assert_eq!(names(folder.path()), ["notes.txt"]);
        let mut running = cache.begin().unwrap();
        running.write(b"abc").await.unwrap();
        Cache::open(folder.path()).unwrap();
        assert_eq!(names(folder.path()).len(), 2, "a locked file is left alone");
        drop(running);
        assert_eq!(names(folder.path()), ["notes.txt"], "a dropped download leaves nothing");
    }

    #[tokio::test]
    async fn whole_files_are_found_by_checksum_and_pruned_when_old_and_unused() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        for sha in [&a, &b] {
            let mut part = cache.begin().unwrap();
            part.write(b"xyz").await.unwrap();
            part.keep(sha).await.unwrap();
        }
        assert!(cache.get(&a, 3).is_some());
        assert!(cache.get(&a, 4).is_none(), "another size is another file");
        assert!(cache.get("../../etc/passwd", 3).is_none());
        assert_eq!(cache.prune(&[]).unwrap(), 0, "young files stay");
        for sha in [&a, &b] {
            let file = OpenOptions::new().write(true).open(folder.path().join(sha)).unwrap();
            file.set_modified(SystemTime::now() - 2 * GRACE).unwrap();
        }
        assert_eq!(cache.prune(std::slice::from_ref(&a)).unwrap(), 1);
        assert_eq!(names(folder.path()), [a]);
    }
}
