//! Backups: an embedded store in a folder of its own, with a manifest and the checksum of every
//! file. Written aside and renamed when it is whole; looked at file by file before anything is
//! restored from it. What is restored goes through the same verified copy as a move from one
//! store to another.

use crate::{
    config::{StoreKind, StoreSettings},
    error::{Error, Result},
    model::{LayerId, Progress},
    store::{
        Store,
        copy::{self, Copied},
        embedded::{self, EmbeddedStore},
    },
    text,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The manifest's name in the folder.
const MANIFEST: &str = "manifest.json";
/// The list of checksums, as `sha256sum --check` reads it; the manifest is in it.
const SUMS: &str = "SHA256SUMS";
/// What this program writes; it reads this one and every older one.
const FORMAT: u32 = 1;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Raised when a backup's own layout changes.
    pub backup_format: u32,
    /// Format of the store in it.
    pub store_format: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// When.
    pub made_at: Timestamp,
    /// Files of the store.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What each layer shows, and its history.
    pub layers: BTreeMap<LayerId, Layer>,
}

/// A layer of a backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// The state that is shown: `version.reach`.
    pub current: String,
    /// Features of each version, oldest first.
    pub versions: Vec<(String, u64)>,
}

/// How to write a backup.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Copy files where links would do.
    pub copies: bool,
}

/// Writes a backup of a store, which goes on serving and being written.
///
/// # Errors
/// [`Error::Refused`] when there is something at `to`, when there is nothing to back up, or when
/// the disk is full; [`Error::Conflict`] when another program writes the same backup.
pub async fn write(
    settings: &StoreSettings,
    store: &Arc<dyn Store>,
    to: &Path,
    options: Options,
    progress: &dyn Progress,
) -> Result<Manifest> {
    if to.symlink_metadata().is_ok() {
        return Err(Error::Refused(text!(
            "La destination existe déjà : une sauvegarde n'en remplace pas une autre.",
            "The destination exists already: a backup does not replace another."
        )));
    }
    if store.current().await?.is_empty() {
        return Err(Error::Refused(text!(
            "Le magasin est vide : rien à sauvegarder.",
            "The store is empty: nothing to back up."
        )));
    }
    let (aside, _held) = aside(to)?;
    match &settings.kind {
        StoreKind::Embedded => {
            progress.stage(text!("Copie des fichiers", "Copying files"), None);
            EmbeddedStore::open(&settings.path)?.snapshot(&aside, options.copies).await?;
        }
        StoreKind::Postgis(_) => {
            let copied: Arc<dyn Store> = Arc::new(EmbeddedStore::open(&aside)?);
            for layer in store.current().await?.into_keys() {
                copy::layer(store, &copied, &layer, progress).await?;
                tidy(&aside.join("layers").join(layer.as_str()))?;
            }
            copy::reference(store, &copied).await?;
        }
    }
    let manifest = seal(&aside, progress).await?;
    fs::rename(&aside, to).map_err(|e| Error::io(to, e))?;
    sync(parent(to))?;
    Ok(manifest)
}

/// The folder to write in, empty, and the lock that keeps others out of it. What an earlier run
/// left when it was killed is removed.
fn aside(to: &Path) -> Result<(PathBuf, File)> {
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
fn tidy(layer: &Path) -> Result<()> {
    match fs::remove_file(layer.join("lock")) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(layer, e)),
        _ => Ok(()),
    }
}

/// Adds manifest and checksums to a store that is whole.
async fn seal(folder: &Path, progress: &dyn Progress) -> Result<Manifest> {
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(folder)?);
    let mut layers = BTreeMap::new();
    for (id, at) in store.current().await? {
        let versions = store.versions(&id).await?;
        let versions = versions.iter().map(|v| (v.id.to_string(), v.count)).collect();
        layers.insert(id, Layer { current: at.key(), versions });
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

fn sync(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io(folder, e))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Names of all files below a folder, relative to it, sorted; links are none.
fn files(folder: &Path) -> Result<Vec<String>> {
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
fn sum(path: &Path) -> Result<(String, u64)> {
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

fn damaged(what: &str) -> Error {
    let what: String = what.chars().take(200).collect();
    Error::Refused(text!(
        "La sauvegarde est endommagée ({what}) : rien n'a été restauré.",
        "The backup is damaged ({what}): nothing was restored."
    ))
}

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

/// Brings a checked backup into a store; see [`transfer`].
///
/// # Errors
/// Those of [`check`] and of [`transfer`].
pub async fn restore(
    folder: &Path,
    to: &Arc<dyn Store>,
    force: bool,
    progress: &dyn Progress,
    seen: impl FnMut(&LayerId, &[Copied]),
) -> Result<Manifest> {
    let manifest = check(folder, progress)?;
    let from: Arc<dyn Store> = Arc::new(EmbeddedStore::open(folder)?);
    transfer(&from, to, force, progress, seen).await?;
    Ok(manifest)
}

/// Copies every layer of a store to another, each appearing in one step; `seen` is told of each.
///
/// # Errors
/// [`Error::Refused`], before anything is written, when a layer is published there in another
/// state and `force` is not given; what [`copy::layer`] refuses.
pub async fn transfer(
    from: &Arc<dyn Store>,
    to: &Arc<dyn Store>,
    force: bool,
    progress: &dyn Progress,
    mut seen: impl FnMut(&LayerId, &[Copied]),
) -> Result<()> {
    let (all, there) = (from.current().await?, to.current().await?);
    let other: Vec<&str> = all
        .iter()
        .filter(|(id, at)| there.get(*id).is_some_and(|t| t.key() != at.key()))
        .map(|(id, _)| id.as_str())
        .collect();
    if !force && !other.is_empty() {
        let list = other.join(", ");
        return Err(Error::Refused(text!(
            "Déjà publié dans un autre état : {list}. Rien n'a été touché ; --force y publie ce qui est restauré (les versions en place restent, « socle rollback » y revient).",
            "Already published in another state: {list}. Nothing was touched; --force publishes what is restored there (versions in place stay, \"socle rollback\" goes back)."
        )));
    }
    for id in all.keys() {
        let copied = copy::layer(from, to, id, progress).await?;
        progress.finish();
        seen(id, &copied);
    }
    copy::reference(from, to).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Silent;

    /// A backup of nothing: enough for what a manifest is checked for.
    fn sealed() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("layers/a/versions")).unwrap();
        fs::write(dir.path().join("layers/a/versions/x.bin"), b"bytes").unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(seal(dir.path(), &Silent)).unwrap();
        dir
    }

    fn refused(dir: &tempfile::TempDir) -> String {
        match check(dir.path(), &Silent) {
            Err(Error::Refused(text)) => text.en,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn any_change_is_seen() {
        let dir = sealed();
        assert_eq!(check(dir.path(), &Silent).unwrap().files, 1);
        let file = dir.path().join("layers/a/versions/x.bin");
        fs::write(&file, b"bytez").unwrap();
        assert!(refused(&dir).contains("x.bin"));
        fs::remove_file(&file).unwrap();
        assert!(refused(&dir).contains("x.bin"));
        fs::write(&file, b"bytes").unwrap();
        check(dir.path(), &Silent).unwrap();
        fs::write(dir.path().join("layers/a/current"), b"more").unwrap();
        assert!(refused(&dir).contains("current"));
        fs::remove_file(dir.path().join("layers/a/current")).unwrap();
        for name in [MANIFEST, SUMS] {
            let path = dir.path().join(name);
            let whole = fs::read(&path).unwrap();
            for at in [0, whole.len() / 2, whole.len() - 2] {
                let mut bytes = whole.clone();
                bytes[at] ^= 1;
                fs::write(&path, &bytes).unwrap();
                assert!(refused(&dir).contains("damaged") || name == MANIFEST);
            }
            fs::write(&path, &whole[..whole.len() / 2]).unwrap();
            refused(&dir);
            fs::remove_file(&path).unwrap();
            refused(&dir);
            fs::write(&path, &whole).unwrap();
        }
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("layers/a/lien")).unwrap();
        assert!(refused(&dir).contains("lien"));
    }

    #[test]
    fn a_newer_one_is_told_apart_from_a_damaged_one() {
        let dir = sealed();
        let path = dir.path().join(MANIFEST);
        let mut value: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        value["store_format"] = 99.into();
        value["program"] = "9.9.9".into();
        value["layers"] = "in a form of its own".into();
        fs::write(&path, value.to_string()).unwrap();
        assert!(refused(&dir).contains("9.9.9"));
    }

    #[test]
    fn a_second_writer_stays_out() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("b");
        let first = aside(&to).unwrap();
        assert!(matches!(aside(&to), Err(Error::Conflict(_))));
        fs::write(first.0.join("left"), b"x").unwrap();
        drop(first);
        let (again, _held) = aside(&to).unwrap();
        assert_eq!(fs::read_dir(again).unwrap().count(), 0);
        assert!(matches!(aside(Path::new("/")), Err(Error::Invalid(_))));
    }
}
