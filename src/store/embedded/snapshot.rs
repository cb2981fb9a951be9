//! Whole versions as files: what a backup takes, and what a copy to another store needs besides
//! rows. Files of a version never change once they are there, so a link to them is a copy.

use super::{
    layout::{LayerDir, names, sync_folder_of, write_atomic},
    reach::ReachFile,
    sidecar::Sidecar,
};
use crate::{
    error::{Error, Result},
    model::VersionId,
    store::Beside,
    text,
};
use rusqlite::{Connection, OpenFlags};
use std::{
    fs::{self, File},
    path::Path,
};

/// How often a layer whose current version leaves while it is read is begun again.
const TRIES: usize = 5;

/// Puts a layer as it stands into another folder, with what is held of it and its journal; of one
/// without current version there is the journal alone.
pub(super) fn layer(from: &LayerDir, to: &LayerDir, copies: bool) -> Result<()> {
    for _ in 0..TRIES {
        let Some(current) = from.read_current()? else { return journal(from, to, copies) };
        fs::create_dir_all(to.versions()).map_err(|e| Error::io(to.path(), e))?;
        for id in from.version_ids()? {
            let kept = from.file(&id, "published").exists() || from.is_held(&id);
            if (kept || id == current.version) && !version(from, to, &id, copies)? {
                forget(to, &id)?; // removed while it was read
            }
        }
        history(from, to, copies)?;
        journal(from, to, copies)?;
        // The pointer that was read first: what it names is here, or a newer one is read.
        if to.reach(&current.version, &current.reach).exists()
            && to.file(&current.version, "json").exists()
        {
            let text = serde_json::to_vec(&current).map_err(|e| Error::fault("current", e))?;
            write_atomic(&to.current(), &text)?;
            sync_folder_of(&to.file(&current.version, "json"))?;
            return sync_folder_of(to.path());
        }
        fs::remove_dir_all(to.path()).map_err(|e| Error::io(to.path(), e))?;
    }
    Err(Error::Refused(text!(
        "Une couche change de version plus vite qu'elle ne se copie : réessayez.",
        "A layer changes its version faster than it is copied: try again."
    )))
}

/// Links the journal, which is replaced whole.
fn journal(from: &LayerDir, to: &LayerDir, copies: bool) -> Result<()> {
    if !from.runs().exists() {
        return Ok(());
    }
    fs::create_dir_all(to.path()).map_err(|e| Error::io(to.path(), e))?;
    place(&from.runs(), &to.runs(), copies)?;
    sync_folder_of(&to.runs())
}

/// Links what publications changed; `.json` last, which says that the rest is there.
fn history(from: &LayerDir, to: &LayerDir, copies: bool) -> Result<()> {
    let all = names(&from.changes())?;
    if !all.is_empty() {
        fs::create_dir_all(to.changes()).map_err(|e| Error::io(to.path(), e))?;
    }
    let (heads, lists): (Vec<_>, Vec<_>) = all.iter().partition(|n| n.ends_with(".json"));
    for name in lists.into_iter().chain(heads).filter(|n| !n.ends_with(".tmp")) {
        place(&from.changes().join(name), &to.changes().join(name), copies)?;
    }
    Ok(())
}

/// Links the files of a version, held meanwhile; `false` when it is no longer there.
fn version(from: &LayerDir, to: &LayerDir, id: &VersionId, copies: bool) -> Result<bool> {
    let Some((_held, _)) = held(from, id)? else { return Ok(false) };
    for name in names(&from.versions())? {
        // A reach index may leave before its version; the one in force is looked for above.
        if name.split('.').next() == Some(id.as_str()) && !name.ends_with(".tmp") {
            place(&from.versions().join(&name), &to.versions().join(&name), copies)?;
        }
    }
    Ok(true)
}

/// Links or copies one file; fine when it is not there.
fn place(from: &Path, to: &Path, copies: bool) -> Result<()> {
    if !copies && fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    match fs::copy(from, to) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !from.exists() => return Ok(()),
        other => other.map_err(|e| Error::io(to, e))?,
    };
    File::open(to).and_then(|f| f.sync_all()).map_err(|e| Error::io(to, e))
}

/// Takes back what was linked of a version.
fn forget(to: &LayerDir, id: &VersionId) -> Result<()> {
    for name in names(&to.versions())? {
        if name.split('.').next() == Some(id.as_str()) {
            super::layout::remove(&to.versions().join(name))?;
        }
    }
    Ok(())
}

/// A version's sidecar behind its shared lock, and its description, read behind it: as long as
/// the sidecar is open nothing of the version is removed.
fn held(dir: &LayerDir, id: &VersionId) -> Result<Option<(Sidecar, super::Description)>> {
    let Some(description) = dir.describe(id)? else { return Ok(None) };
    let v = &description.version;
    let Some(sidecar) = Sidecar::open(&dir.file(id, "idx"), &v.schema, v.key.as_deref())? else {
        return Ok(None);
    };
    Ok(dir.describe(id)?.map(|d| (sidecar, d)))
}

/// What rows do not show of a version.
pub(super) fn beside(dir: &LayerDir, id: &VersionId) -> Result<Option<Beside>> {
    let Some((sidecar, description)) = held(dir, id)? else { return Ok(None) };
    let mut reaches = Vec::new();
    for name in names(&dir.versions())? {
        let reach = name.strip_prefix(id.as_str()).and_then(|n| n.strip_prefix('.'));
        let Some(reach) = reach.and_then(|n| n.strip_suffix(".reach")) else { continue };
        if let Some(file) = ReachFile::open(&dir.reach(id, reach))? {
            reaches.push(file.whole(reach)?);
        }
    }
    let file = dir.file(id, "gpkg");
    let words = || -> rusqlite::Result<(String, String)> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(&file, flags)?.query_row(
            "SELECT identifier, description FROM gpkg_contents WHERE table_name = ?",
            [&description.table],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    };
    let (title, provenance) =
        words().map_err(|e| Error::fault(format!("{}", file.display()), e))?;
    Ok(Some(Beside { title, provenance, mvt_ids: sidecar.mvt_ids()?, reaches }))
}
