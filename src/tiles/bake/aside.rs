//! A file under way beside its place: whole there, or not at all.

use crate::{
    error::{Error, Result},
    text,
};
use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The file of a run; removed when dropped before it was kept. It has a name of its own beside the
/// archive, so that what a killed run left is overwritten by the next, and a lock, so that a
/// living one is not.
pub(super) struct Aside {
    place: PathBuf,
    path: PathBuf,
    lock: PathBuf,
    held: File,
}

impl Aside {
    /// Begins the file that shall be at `place`.
    ///
    /// # Errors
    /// [`Error::Conflict`] while another run writes it; [`Error::Invalid`] when its folder is not
    /// there.
    pub(super) fn begin(place: &Path) -> Result<Self> {
        let folder = place.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        if !folder.is_dir() || name.is_empty() {
            let shown = place.display();
            return Err(Error::Invalid(text!(
                "Fichier à écrire : « {shown} ». Ce dossier n'existe pas.",
                "File to write: \"{shown}\". There is no such folder."
            )));
        }
        let (path, lock) =
            (folder.join(format!(".{name}.part")), folder.join(format!(".{name}.lock")));
        loop {
            let held = File::create(&lock).map_err(|e| Error::io(&lock, e))?;
            match held.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Conflict(text!(
                        "« {name} » est déjà en cours d'écriture par un autre programme.",
                        "\"{name}\" is being written by another program."
                    )));
                }
                // Removed by the run before between its opening and its locking: it locks nothing.
                Ok(()) if !is_at(&held, &lock) => {}
                // Where locks are not to be had, only one person writes a file at a time.
                Ok(()) | Err(TryLockError::Error(_)) => {
                    return Ok(Self { place: place.to_owned(), path, lock, held });
                }
            }
        }
    }

    /// Where to write.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it in its place, durably, and gives its size.
    ///
    /// # Errors
    /// [`Error::Full`] on a full disk, [`Error::Fault`] when it cannot be put there.
    pub(super) fn keep(self) -> Result<u64> {
        let (path, place) = (&self.path, &self.place);
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        file.sync_all().map_err(|e| Error::io(path, e))?;
        let bytes = file.metadata().map_err(|e| Error::io(path, e))?.len();
        fs::rename(path, place).map_err(|e| Error::io(place, e))?;
        if let Some(folder) = place.parent().filter(|p| !p.as_os_str().is_empty()) {
            File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io(folder, e))?;
        }
        Ok(bytes)
    }
}

/// Whether an open file is the one at a path.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.lock);
        let _ = self.held.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_in_its_place_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("a.pmtiles");
        fs::write(&place, "old").unwrap();
        let given_up = Aside::begin(&place).unwrap();
        fs::write(given_up.path(), "half").unwrap();
        assert!(matches!(Aside::begin(&place), Err(Error::Conflict(_))));
        drop(given_up);
        assert_eq!(fs::read_to_string(&place).unwrap(), "old");

        let aside = Aside::begin(&place).unwrap();
        fs::write(aside.path(), "whole").unwrap();
        assert_eq!(aside.keep().unwrap(), 5);
        assert_eq!(fs::read_to_string(&place).unwrap(), "whole");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let nowhere = dir.path().join("none/a.pmtiles");
        assert!(matches!(Aside::begin(&nowhere), Err(Error::Invalid(_))));
    }

    #[test]
    fn a_lock_that_was_removed_locks_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let lock = dir.path().join(".a.lock");
        let held = File::create(&lock).unwrap();
        assert!(is_at(&held, &lock));
        fs::remove_file(&lock).unwrap();
        assert!(!is_at(&held, &lock));
        File::create(&lock).unwrap();
        assert!(!is_at(&held, &lock));
    }
}
