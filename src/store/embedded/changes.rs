//! Differences as files: `changes/<ms>.list`, then `changes/<ms>.json`, which says that it is there
//! whole; `<ms>` is its time. They stay when the versions they were made from go.

use super::layout::{LayerDir, names, remove, write_atomic};
use crate::{
    error::{Error, Result},
    model::{Changes, ChangesHead, changes::published},
    store::changes::{self, KEPT},
};
use jiff::Timestamp;
use std::fs;

/// Writes one, and removes those beyond the newest that are kept.
pub(super) fn load(dir: &LayerDir, all: &Changes) -> Result<()> {
    let folder = dir.changes();
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    let name = all.head.at.as_millisecond();
    write_atomic(&folder.join(format!("{name}.list")), &changes::body(all)?)?;
    write_atomic(&folder.join(format!("{name}.json")), changes::head(all)?.as_bytes())?;
    let mut there = times(dir)?;
    there.sort_unstable();
    // What a killed process wrote and did not name, or was in the middle of.
    let found = names(&folder)?;
    for aside in found.iter().filter(|n| n.ends_with(".tmp")) {
        remove(&folder.join(aside))?;
    }
    for list in found.iter().filter_map(|n| n.strip_suffix(".list")) {
        if !list.parse().is_ok_and(|time: i64| there.contains(&time)) {
            remove(&folder.join(format!("{list}.list")))?;
        }
    }
    for old in there.iter().take(there.len().saturating_sub(KEPT)) {
        remove(&folder.join(format!("{old}.json")))?;
        remove(&folder.join(format!("{old}.list")))?;
    }
    Ok(())
}

fn times(dir: &LayerDir) -> Result<Vec<i64>> {
    let names = names(&dir.changes())?;
    Ok(names.iter().filter_map(|n| n.strip_suffix(".json")?.parse().ok()).collect())
}

/// The heads of those that came to be published, newest first.
pub(super) fn history(dir: &LayerDir) -> Result<Vec<ChangesHead>> {
    let Some(current) = dir.read_current()? else { return Ok(Vec::new()) };
    let mut heads = Vec::new();
    for time in times(dir)? {
        heads.extend(head(dir, time)?);
    }
    Ok(published(heads, &current.version))
}

fn head(dir: &LayerDir, time: i64) -> Result<Option<ChangesHead>> {
    match fs::read_to_string(dir.changes().join(format!("{time}.json"))) {
        Ok(text) => changes::read_head(&text).map(Some),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(&dir.changes(), e)),
    }
}

/// One, whole.
pub(super) fn read(dir: &LayerDir, at: Timestamp) -> Result<Option<Changes>> {
    let time = at.as_millisecond();
    let Some(head) = head(dir, time)? else { return Ok(None) };
    match fs::read(dir.changes().join(format!("{time}.list"))) {
        Ok(body) => changes::read(head, &body).map(Some),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(&dir.changes(), e)),
    }
}
