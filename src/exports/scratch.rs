//! A folder for what an export writes meanwhile; it goes with its owner, and those of dead runs go
//! with the next.

use crate::error::{Error, Result};
use std::{
    fs::{self, File},
    hash::{BuildHasher, Hasher},
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// Locked by the process that works in the folder.
const LOCK: &str = ".lock";
/// How the names of these folders begin.
const NAME: &str = ".socle-export-";

/// The folder of one export.
pub(super) struct Scratch {
    path: PathBuf,
    inside: PathBuf,
    _lock: File,
}

impl Scratch {
    /// A new one in a folder, which is made when it is not there; those there that nobody holds
    /// are removed.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        sweep(folder)?;
        Self::beside(folder)
    }

    /// A new one in a folder that is somebody else's.
    pub(super) fn beside(folder: &Path) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{}{number}", ours()));
        let inside = path.join("files");
        let make = || -> std::io::Result<File> {
            fs::create_dir(&path)?;
            let lock = File::create(path.join(LOCK))?;
            lock.lock()?;
            fs::create_dir(&inside)?;
            Ok(lock)
        };
        let lock = make().map_err(|e| Error::io(&path, e))?;
        Ok(Self { path, inside, _lock: lock })
    }

    /// Where to write.
    pub(super) fn files(&self) -> &Path {
        &self.inside
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is by the next run.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// How the names of this process's folders begin: process numbers come again, in containers always
/// the same.
fn ours() -> &'static str {
    static OURS: OnceLock<String> = OnceLock::new();
    OURS.get_or_init(|| {
        let drawn = std::hash::RandomState::new().build_hasher().finish();
        format!("{NAME}{drawn:016x}-")
    })
}

/// Removes the folders of dead processes. Those of this one go with their owners.
fn sweep(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let Ok(path) = entry.map(|e| e.path()) else { continue };
        let name = path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
        if !name.starts_with(NAME) || name.starts_with(ours()) {
            continue;
        }
        // A new folder may not be locked yet.
        let old = path
            .metadata()
            .and_then(|m| m.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > std::time::Duration::from_secs(10)));
        let free = File::open(path.join(LOCK)).map_or(true, |lock| lock.try_lock().is_ok());
        if old && free {
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_its_owner_and_dead_ones_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Scratch::new(folder.path()).unwrap();
        let [dead, new] = ["1-0", "2-0"].map(|n| folder.path().join(format!("{NAME}{n}")));
        for path in [&dead, &new] {
            fs::create_dir(path).unwrap();
            fs::write(path.join(LOCK), "").unwrap();
        }
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
        File::open(&dead).unwrap().set_modified(long_ago).unwrap();
        let other = Scratch::new(folder.path()).unwrap();
        assert!(kept.files().exists() && other.files().exists());
        assert!(!dead.exists() && new.exists());
        drop((kept, other));
        fs::remove_dir_all(&new).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
