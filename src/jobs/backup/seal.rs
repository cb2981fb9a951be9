//! A backup's folder: written aside, and given its manifest and checksums.

use super::{FORMAT, Layer, MANIFEST, Manifest, SUMS};
use crate::{
    error::{Error, Result},
    model::Progress,
    store::{
        Store,
        embedded::{self, EmbeddedStore},
    },
    text,
};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The folder to write in, empty, and the lock that keeps others out of it. What an earlier run
/// left when it was killed is removed.
pub(super) fn aside(to: &Path) -> Result<(PathBuf, File)> {
    let name = to.file_name().ok_or_else(|| {
        Error::Invalid(text!(
            "Donnez le nom d'un dossier pour la sauvegarde.",
            "Give the name of a folder for the backup."
        ))
    })?;
    let mut partial = name.to_owned();
    partial.push(".partial");
    let aside = to.with_file_name(partial);
    fs::create_dir_all(&aside).map_err(|e| Error::io(&aside, e))?;
    let held = File::open(&aside).map_err(|e| Error::io(&aside, e))?;
    match held.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Error::Conflict(text!(
                "Une autre sauvegarde s'écrit au même endroit.",
                "Another backup is being written to the same place."
            )));
        }
        Err(TryLockError::Error(e)) => return Err(Error::io(&aside, e)),
    }
    for entry in fs::read_dir(&aside).map_err(|e| Error::io(&aside, e))? {
        let path = entry.map_err(|e| Error::io(&aside, e))?.path();
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|e| Error::io(&path, e))?;
    }
    Ok((aside, held))
}

/// What a writer needs and a backup does not.
pub(super) fn tidy(layer: &Path) -> Result<()> {
    match fs::remove_file(layer.join("lock")) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(layer, e)),
        _ => Ok(()),
    }
}

/// Adds manifest and checksums to a store that is whole.
pub(super) async fn seal(folder: &Path, progress: &dyn Progress) -> Result<Manifest> {
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(folder)?);
    let mut layers = BTreeMap::new();
    for (id, at) in store.current().await? {
        let versions = store.versions(&id).await?;
        let versions = versions.iter().map(|v| (v.id.to_string(), v.count)).collect();
        let held = store.held(&id).await?.map(|held| held.version.id.to_string());
        layers.insert(id, Layer { current: at.key(), versions, held });
    }
    let files = files(folder)?;
    progress.stage(text!("Sommes de contrôle", "Checksums"), None);
    let (mut sums, mut bytes) = (String::new(), 0);
    for name in &files {
        let (sum, length) = sum(&folder.join(name))?;
        bytes += length;
        sums.push_str(&format!("{sum}  {name}\n"));
    }
    let manifest = Manifest {
        backup_format: FORMAT,
        store_format: embedded::FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: Timestamp::now(),
        files: files.len() as u64,
        bytes,
        layers,
    };
    let text = serde_json::to_vec_pretty(&manifest).map_err(|e| Error::fault("manifest", e))?;
    put(&folder.join(MANIFEST), &text)?;
    let (sum, _) = sum(&folder.join(MANIFEST))?;
    sums.push_str(&format!("{sum}  {MANIFEST}\n"));
    put(&folder.join(SUMS), sums.as_bytes())?;
    sync(folder)?;
    sync(&folder.join("layers"))?;
    Ok(manifest)
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = File::create_new(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|e| Error::io(path, e))
}

pub(super) fn sync(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io(folder, e))
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Names of all files below a folder, relative to it, sorted; links are none.
pub(super) fn files(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(below) = folders.pop() {
        let here = folder.join(&below);
        for entry in fs::read_dir(&here).map_err(|e| Error::io(&here, e))? {
            let entry = entry.map_err(|e| Error::io(&here, e))?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| damaged("a name that is not UTF-8"))?;
            let name = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            match entry.file_type().map_err(|e| Error::io(&here, e))? {
                t if t.is_dir() => folders.push(name),
                t if t.is_file() => found.push(name),
                _ => return Err(damaged(&name)),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// SHA-256 of a file, hexadecimal, and its length.
pub(super) fn sum(path: &Path) -> Result<(String, u64)> {
    let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
    let (mut hash, mut length) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).map_err(|e| Error::io(path, e))?;
        let Some(part) = buffer.get(..n).filter(|p| !p.is_empty()) else { break };
        hash.update(part);
        length += n as u64;
    }
    Ok((hash.finalize().iter().map(|b| format!("{b:02x}")).collect(), length))
}

pub(super) fn damaged(what: &str) -> Error {
    let what: String = what.chars().take(200).collect();
    Error::Refused(text!(
        "La sauvegarde est endommagée ({what}) : rien n'a été restauré.",
        "The backup is damaged ({what}): nothing was restored."
    ))
}
