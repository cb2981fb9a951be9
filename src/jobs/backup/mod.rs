//! Backups: an embedded store in a folder of its own, with a manifest and the checksum of every
//! file. Written aside and renamed when it is whole; looked at file by file before anything is
//! restored from it. What is restored goes through the same verified copy as a move from one
//! store to another.

mod check;
mod seal;
#[cfg(test)]
mod tests;

pub use check::check;

use crate::{
    config::{StoreKind, StoreSettings},
    error::{Error, Result},
    import::Reference,
    model::{LayerId, Progress},
    store::{
        At, Store,
        copy::{self, Copied},
        embedded::EmbeddedStore,
        spool::Spill,
    },
    text,
};
use jiff::Timestamp;
use seal::{aside, parent, seal, sync, tidy};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

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
    /// The delivery that waits for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
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
            let spill = Spill::into(&aside);
            for layer in store.current().await?.into_keys() {
                copy::layer(store, &copied, &layer, &spill, progress).await?;
                tidy(&aside.join("layers").join(layer.as_str()))?;
            }
            for layer in copy::journals(store, &copied).await? {
                tidy(&aside.join("layers").join(layer.as_str()))?;
            }
            copy::told(store, &copied).await?;
            copy::reference(store, &copied).await?;
        }
    }
    let manifest = seal(&aside, progress).await?;
    fs::rename(&aside, to).map_err(|e| Error::io(to, e))?;
    sync(parent(to))?;
    Ok(manifest)
}

/// Brings a checked backup into a store; see [`transfer`].
///
/// # Errors
/// Those of [`check`] and of [`transfer`].
pub async fn restore(
    folder: &Path,
    to: &Arc<dyn Store>,
    force: bool,
    spill: &Spill,
    progress: &dyn Progress,
    seen: impl FnMut(&LayerId, &[Copied]),
) -> Result<Manifest> {
    let manifest = check(folder, progress)?;
    let from: Arc<dyn Store> = Arc::new(EmbeddedStore::open(folder)?);
    transfer(&from, to, force, spill, progress, seen).await?;
    Ok(manifest)
}

/// Copies every layer of a store to another, each appearing in one step; `seen` is told of each.
/// The table of the COG in force comes along: an empty store has it before the first layer.
///
/// # Errors
/// [`Error::Refused`], before anything is written, when a layer is published there in another
/// state and `force` is not given, or when layers that stay are attached under another table; what [`copy::layer`] refuses.
pub async fn transfer(
    from: &Arc<dyn Store>,
    to: &Arc<dyn Store>,
    force: bool,
    spill: &Spill,
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
    alike(from, to, there.values().filter(|at| !all.contains_key(&at.layer))).await?;
    if there.is_empty() {
        copy::reference(from, to).await?;
    }
    // What was told before the journal it follows from: a server there tells nobody again.
    copy::told(from, to).await?;
    for id in all.keys() {
        let copied = copy::layer(from, to, id, spill, progress).await?;
        progress.finish();
        seen(id, &copied);
    }
    copy::journals(from, to).await?;
    copy::reference(from, to).await
}

/// Refuses a reference for layers that are attached under another: they would be misread.
async fn alike(
    from: &Arc<dyn Store>,
    to: &Arc<dyn Store>,
    staying: impl Iterator<Item = &At>,
) -> Result<()> {
    let staying: Vec<&str> =
        staying.filter(|at| !at.reach.is_empty()).map(|at| at.layer.as_str()).collect();
    let own = Reference::builtin();
    let (theirs, ours) = (from.reference().await?, to.reference().await?);
    let theirs = theirs.current.as_deref().unwrap_or(own.id());
    let ours = ours.current.as_deref().unwrap_or(own.id());
    if staying.is_empty() || theirs == ours {
        return Ok(());
    }
    let list = staying.join(", ");
    Err(Error::Refused(text!(
        "Ce qui est restauré est rattaché selon {theirs}, et ce qui resterait à côté ({list}) selon {ours} : mettez la même table en vigueur des deux côtés (« socle cog apply »), ou restaurez dans un magasin vide. Rien n'a été touché.",
        "What is restored is attached under {theirs}, and what would stay beside it ({list}) under {ours}: put the same table in force on both sides (\"socle cog apply\"), or restore into an empty store. Nothing was touched."
    )))
}
