//! Looks at a backup before anything is restored from it.

use super::{
    FORMAT, MANIFEST, Manifest, SUMS,
    seal::{damaged, files, sum},
};
use crate::{
    error::{Error, Result},
    model::Progress,
    store::embedded,
    text,
};
use serde::Deserialize;
use std::{collections::BTreeMap, fs, path::Path};

/// Looks at a backup: is it one, can this program read it, is every file what it was.
///
/// # Errors
/// [`Error::Refused`] when it is not, is newer, or is damaged.
pub fn check(folder: &Path, progress: &dyn Progress) -> Result<Manifest> {
    let text = fs::read(folder.join(MANIFEST)).map_err(|_| {
        Error::Refused(text!(
            "Ce dossier n'est pas une sauvegarde de Socle : il n'a pas de {MANIFEST}.",
            "This folder is no backup of Socle: it has no {MANIFEST}."
        ))
    })?;
    newer(&text)?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|_| damaged(MANIFEST))?;
    progress.stage(text!("Vérification de la sauvegarde", "Checking the backup"), None);
    let sums = fs::read_to_string(folder.join(SUMS)).map_err(|_| damaged(SUMS))?;
    let mut listed: BTreeMap<&str, &str> = BTreeMap::new();
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").ok_or_else(|| damaged(SUMS))?;
        listed.insert(name, sum);
    }
    let mut found = files(folder)?;
    found.retain(|name| name != SUMS);
    if let Some(name) = listed.keys().find(|n| !found.iter().any(|f| f == **n)) {
        return Err(damaged(name));
    }
    for name in &found {
        let expected = listed.get(name.as_str()).ok_or_else(|| damaged(name))?;
        if sum(&folder.join(name))?.0 != *expected {
            return Err(damaged(name));
        }
    }
    if manifest.files + 1 != found.len() as u64 {
        return Err(damaged(MANIFEST));
    }
    Ok(manifest)
}

/// Refuses what a newer program wrote, whose manifest may hold anything but its formats.
fn newer(manifest: &[u8]) -> Result<()> {
    #[derive(Deserialize)]
    struct Formats {
        backup_format: u32,
        store_format: u32,
        program: String,
    }
    let formats: Formats = serde_json::from_slice(manifest).map_err(|_| damaged(MANIFEST))?;
    if formats.backup_format <= FORMAT && formats.store_format <= embedded::FORMAT {
        return Ok(());
    }
    let program: String = formats.program.chars().take(40).collect();
    Err(Error::Refused(text!(
        "Cette sauvegarde a été écrite par Socle {program}, plus récent : mettez Socle à jour pour la restaurer.",
        "This backup was written by Socle {program}, which is newer: update Socle to restore it."
    )))
}
