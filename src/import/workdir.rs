//! A folder for what an import unpacks, removed when it is done; those of dead runs are removed
//! by the next.

use crate::error::{Error, Result};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// Locked by the process that works in the folder.
const LOCK: &str = "lock";

/// The folder of one import.
pub struct Workdir {
    path: PathBuf,
    _lock: File,
}

impl Workdir {
    /// Makes a folder under `<cache>/work`, and removes the folders there that nobody holds.
    pub fn create(cache: &Path) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let all = cache.join("work");
        fs::create_dir_all(&all).map_err(|e| Error::io(&all, e))?;
        sweep(&all)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = all.join(format!("{}-{number}", std::process::id()));
        let make = || -> std::io::Result<File> {
            fs::create_dir_all(&path)?;
            let lock = File::create(path.join(LOCK))?;
            lock.lock()?;
            Ok(lock)
        };
        let lock = make().map_err(|e| Error::io(&path, e))?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        // What cannot be removed now is by the next run.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn sweep(all: &Path) -> Result<()> {
    for entry in fs::read_dir(all).map_err(|e| Error::io(all, e))? {
        let path = entry.map_err(|e| Error::io(all, e))?.path();
        let dead = match File::open(path.join(LOCK)) {
            Ok(lock) => lock.try_lock().is_ok(),
            // A folder without a lock is being made this instant, or its maker died in between.
            Err(_) => path.metadata().and_then(|m| m.modified()).is_ok_and(|at| {
                at.elapsed().is_ok_and(|age| age > std::time::Duration::from_secs(60))
            }),
        };
        if dead {
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
        let cache = tempfile::tempdir().unwrap();
        let kept = Workdir::create(cache.path()).unwrap();
        let dead = cache.path().join("work/1-0");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        let other = Workdir::create(cache.path()).unwrap();
        assert!(kept.path().exists() && other.path().exists() && !dead.exists());
        let gone = other.path().to_owned();
        drop(other);
        assert!(!gone.exists());
    }
}
