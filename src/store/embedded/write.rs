//! Claims, loads, publications and removals. The order of the steps is what survives `kill -9`:
//! files of a version are moved in before its description, the description before the pointer.

use super::{
    gpkg,
    layout::{Current, LayerDir, install, names, remove, sync_folder_of, write_atomic},
    reach, sidecar,
};
use crate::{
    error::{Error, Result},
    model::{Harvested, Hold, LayerId, VersionId},
    store::{Claim, NewVersion, Reach, thinning},
    text,
};
use rusqlite::{Connection, OpenFlags};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::Path,
    sync::{Mutex, PoisonError},
};

/// Takes the writer's lock of a layer and sweeps what a dead writer left.
pub(super) fn claim(dir: &LayerDir, layer: LayerId) -> Result<Option<Claim>> {
    fs::create_dir_all(dir.versions()).map_err(|e| Error::io(dir.path(), e))?;
    let path = dir.lock();
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = file.map_err(|e| Error::io(&path, e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(e)) => return Err(Error::io(&path, e)),
    }
    dir.sweep()?;
    Ok(Some(Claim { layer, guard: Box::new(file) }))
}

/// Writes all files of a version aside, then moves them in, the description last.
pub(super) fn load(dir: &LayerDir, layer: &LayerId, mut new: NewVersion) -> Result<()> {
    let aside = dir.aside();
    fs::create_dir_all(&aside).map_err(|e| Error::io(&aside, e))?;
    let id = new.version.id.clone();
    let description = gpkg::describe(&new, layer.as_str());
    // First, so that it is out of the way of what takes more.
    let reach_file = aside.join("rows.reach");
    let attached = std::mem::take(&mut new.reach);
    reach::write(&reach_file, &attached)?;
    let reach_id = attached.id.clone();
    drop(attached);
    let (rows, index) = (aside.join("rows.gpkg"), aside.join("rows.idx"));
    let weighed = new.weighed.take();
    // Rows on one core, overviews on the other; of rows too many to be held, one index at a time.
    let turn = Mutex::new(());
    let (written, indexed) = std::thread::scope(|scope| {
        let first = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = scope.spawn(|| gpkg::write(&rows, &description, &new, &turn));
        let indexed = thinning::overviews(&new, weighed)
            .and_then(|overviews| sidecar::write(&index, &new, overviews));
        drop(first);
        let written = writer.join().unwrap_or_else(|_| Err(Error::broken("the writer stopped")));
        (written, indexed)
    });
    written?;
    indexed?;
    quick_check(&rows)?;
    install(&rows, &dir.file(&id, "gpkg"))?;
    install(&index, &dir.file(&id, "idx"))?;
    install(&reach_file, &dir.reach(&id, &reach_id))?;
    sync_folder_of(&dir.file(&id, "gpkg"))?;
    let text = serde_json::to_vec(&description).map_err(|e| Error::fault("description", e))?;
    write_atomic(&dir.file(&id, "json"), &text)?;
    fs::remove_dir_all(&aside).map_err(|e| Error::io(&aside, e))
}

/// Opens the finished file as a reader would and counts on SQLite to see damage.
pub(super) fn quick_check(path: &Path) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let check = || -> rusqlite::Result<i64> {
        let db = Connection::open_with_flags(path, flags)?;
        db.query_row("SELECT count(*) FROM gpkg_contents", [], |row| row.get(0))
    };
    match check() {
        Ok(1) => Ok(()),
        Ok(n) => Err(Error::broken(format!("{}: {n} tables, 1 expected", path.display()))),
        Err(e) => Err(Error::fault(format!("{}", path.display()), e)),
    }
}

/// Adds a reach index to a version.
pub(super) fn load_reach(dir: &LayerDir, version: &VersionId, reach: &Reach) -> Result<()> {
    if dir.describe(version)?.is_none() {
        return Err(no_version(version));
    }
    let place = dir.reach(version, &reach.id);
    if place.exists() {
        return Ok(()); // its name is a hash of what it was made from
    }
    let aside = dir.aside();
    fs::create_dir_all(&aside).map_err(|e| Error::io(&aside, e))?;
    let file = aside.join("rows.reach");
    reach::write(&file, reach)?;
    install(&file, &place)?;
    sync_folder_of(&place)
}

fn no_version(version: &VersionId) -> Error {
    Error::NotFound(text!(
        "La version {version} n'existe pas.",
        "Version {version} does not exist."
    ))
}

/// Notes that a version is history, so that no sweep takes it for what a dead writer left.
pub(super) fn keep(dir: &LayerDir, version: &VersionId) -> Result<()> {
    if dir.describe(version)?.is_none() {
        return Err(no_version(version));
    }
    write_atomic(&dir.file(version, "published"), b"")
}

/// Marks a version as one that waits, in the place of the one that waited before.
pub(super) fn hold(dir: &LayerDir, version: &VersionId, hold: &Hold) -> Result<()> {
    if dir.describe(version)?.is_none() {
        return Err(no_version(version));
    }
    let text = serde_json::to_vec(hold).map_err(|e| Error::fault("why a version waits", e))?;
    write_atomic(&dir.file(version, "held"), &text)?;
    release(dir, Some(version))
}

/// Removes the versions that wait, but for one.
pub(super) fn release(dir: &LayerDir, but: Option<&VersionId>) -> Result<()> {
    for id in dir.version_ids()? {
        if Some(&id) != but && dir.is_held(&id) {
            // Without its mark the next sweep takes what stays, if somebody reads it.
            remove(&dir.file(&id, "held"))?;
            remove_version(dir, &id)?;
        }
    }
    Ok(())
}

/// Moves the pointer.
pub(super) fn publish(dir: &LayerDir, version: &VersionId, reach: &str) -> Result<()> {
    let described = dir.describe(version)?;
    let (Some(described), true) = (described, dir.reach(version, reach).exists()) else {
        return Err(no_version(version));
    };
    write_atomic(&dir.file(version, "published"), b"")?;
    // A new reach index of the version in force does not forget when the source was last seen.
    let seen = dir.read_current()?.filter(|c| c.version == *version).map(|c| c.source);
    let source = seen.unwrap_or(described.version.source);
    point(dir, &Current { version: version.clone(), reach: reach.to_owned(), source })?;
    remove(&dir.file(version, "held"))
}

/// Notes a check that found nothing new.
pub(super) fn touch(dir: &LayerDir, seen: Harvested) -> Result<()> {
    match dir.read_current()? {
        Some(current) => point(dir, &Current { source: seen, ..current }),
        None => Ok(()),
    }
}

fn point(dir: &LayerDir, current: &Current) -> Result<()> {
    let text = serde_json::to_vec(current).map_err(|e| Error::fault("current", e))?;
    write_atomic(&dir.current(), &text)
}

/// Removes what is beyond the `keep` newest and not held by any reader.
pub(super) fn prune(dir: &LayerDir, keep: usize) -> Result<usize> {
    let Some(current) = dir.read_current()? else { return Ok(0) };
    let mut old = dir.version_ids()?;
    old.retain(|id| *id != current.version && !dir.is_held(id));
    old.truncate(old.len().saturating_sub(keep));
    let mut removed = 0;
    for id in &old {
        removed += usize::from(remove_version(dir, id)?);
    }
    // Reach indexes of the current version that are no longer in force.
    let in_force = format!("{}.{}.reach", current.version, current.reach);
    for name in names(&dir.versions())? {
        let of_current = name.starts_with(current.version.as_str()) && name.ends_with(".reach");
        if of_current && name != in_force {
            let path = dir.versions().join(&name);
            if unread(&path)? {
                remove(&path)?;
            }
        }
    }
    Ok(removed)
}

/// Removes a version unless someone reads it. The description goes first: a reader that opens
/// the files after this finds no description and gives up.
fn remove_version(dir: &LayerDir, id: &VersionId) -> Result<bool> {
    let files: Vec<String> = names(&dir.versions())?
        .into_iter()
        .filter(|n| n.split('.').next() == Some(id.as_str()))
        .collect();
    let index = dir.file(id, "idx");
    let Ok(file) = File::open(&index) else {
        return remove(&dir.file(id, "json")).map(|()| false);
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(e)) => return Err(Error::io(&index, e)),
    }
    remove(&dir.file(id, "json"))?;
    for name in files {
        remove(&dir.versions().join(name))?;
    }
    Ok(true)
}

/// Whether no process holds the file.
fn unread(path: &Path) -> Result<bool> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(Error::io(path, e)),
    }
}
