//! What was told of alerts, beside the layers: `alerts/told.json`, replaced whole.

use super::layout::{read_json, write_atomic};
use crate::{
    error::{Error, Result},
    model::Told,
    store::told_meanwhile,
};
use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
};

fn file(root: &Path) -> PathBuf {
    root.join("alerts").join("told.json")
}

/// The state; the default before anything was told.
pub(super) fn read(root: &Path) -> Result<Told> {
    Ok(read_json(&file(root))?.unwrap_or_default())
}

/// Replaces the state. One writer at a time; who read an older one is refused.
pub(super) fn set(root: &Path, told: &Told) -> Result<()> {
    let folder = root.join("alerts");
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    let lock = folder.join("lock");
    let held = OpenOptions::new().create(true).append(true).open(&lock);
    let held = held.map_err(|e| Error::io(&lock, e))?;
    held.lock().map_err(|e| Error::io(&lock, e))?;
    if read(root)?.serial + 1 != told.serial {
        return Err(told_meanwhile());
    }
    write(root, told)
}

/// Copies the state into another folder.
pub(super) fn snapshot(from: &Path, to: &Path) -> Result<()> {
    let told = read(from)?;
    if told.serial == 0 {
        return Ok(());
    }
    let folder = to.join("alerts");
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    write(to, &told)
}

fn write(root: &Path, told: &Told) -> Result<()> {
    let text = serde_json::to_vec(told).map_err(|e| Error::fault("what was told", e))?;
    write_atomic(&file(root), &text)
}
