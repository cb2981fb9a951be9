//! Where things are on disk, and how a file becomes visible: written aside, synced, renamed.
//!
//! ```text
//! <root>/layers/<layer>/lock                        the writer's lock (flock)
//!                       current                     which version and reach index are in force
//!                       aside/                      what a writer is building; dead after a crash
//!                       versions/<v>.gpkg           features, R-tree, metadata
//!                                <v>.idx            overviews, tags, ids
//!                                <v>.<r>.reach      reach index
//!                                <v>.json           description; exists only when the rest does
//!                                <v>.published      it was current at least once
//!                                <v>.held           it waits for a person, and why; until it is published
//!                       runs.json                   the journal of harvests
//!                       changes/<ms>.list, .json     what a publication changed (see changes.rs)
//! ```

use crate::{
    error::{Error, Result},
    model::{Harvested, Hold, LayerId, Version, VersionId},
    text,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

/// The `current` file: the one pointer that publishing moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Current {
    /// The version in force.
    pub version: VersionId,
    /// The reach index in force.
    pub reach: String,
    /// The source as it was last seen: its dates and validators move while its bytes do not.
    pub source: Harvested,
}

/// The `<v>.json` file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Description {
    /// Raised when the files' layout changes; a reader refuses what it does not know.
    pub format: u32,
    /// The version.
    pub version: Version,
    /// Name of the feature table.
    pub table: String,
    /// Name of its integer primary key (ordinal + 1).
    pub fid: String,
    /// Name of its geometry column; empty without geometry.
    pub geom: String,
    /// Names of the columns of the schema's fields: the field's own name unless SQLite would
    /// take two for one (they are case-insensitive there).
    pub columns: Vec<String>,
}

/// The layout this program writes; it reads this one and every older one.
pub const FORMAT: u32 = 1;

/// Paths of one layer.
#[derive(Debug, Clone)]
pub(super) struct LayerDir(PathBuf);

impl LayerDir {
    pub(super) fn new(root: &Path, layer: &LayerId) -> Self {
        Self(root.join("layers").join(layer.as_str()))
    }
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
    pub(super) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }
    pub(super) fn current(&self) -> PathBuf {
        self.0.join("current")
    }
    pub(super) fn aside(&self) -> PathBuf {
        self.0.join("aside")
    }
    pub(super) fn versions(&self) -> PathBuf {
        self.0.join("versions")
    }
    pub(super) fn runs(&self) -> PathBuf {
        self.0.join("runs.json")
    }
    pub(super) fn changes(&self) -> PathBuf {
        self.0.join("changes")
    }
    pub(super) fn file(&self, version: &VersionId, extension: &str) -> PathBuf {
        self.versions().join(format!("{version}.{extension}"))
    }
    pub(super) fn reach(&self, version: &VersionId, reach: &str) -> PathBuf {
        self.file(version, &format!("{reach}.reach"))
    }

    /// The `current` pointer; `None` before the first publication.
    pub(super) fn read_current(&self) -> Result<Option<Current>> {
        read_json(&self.current())
    }

    /// A version's description; `None` when the version is not there.
    pub(super) fn describe(&self, version: &VersionId) -> Result<Option<Description>> {
        let path = self.file(version, "json");
        let found: Option<Description> = read_json(&path)?;
        match found {
            Some(d) if d.format > FORMAT => {
                tracing::error!(file = %path.display(), format = d.format, "a newer store");
                Err(newer(d.format))
            }
            other => Ok(other),
        }
    }

    /// The versions that are whole, oldest first.
    pub(super) fn version_ids(&self) -> Result<Vec<VersionId>> {
        let mut ids = Vec::new();
        for name in names(&self.versions())? {
            if let Some(id) = name.strip_suffix(".json").and_then(|n| n.parse().ok()) {
                ids.push(id);
            }
        }
        ids.sort();
        Ok(ids)
    }

    /// Whether a version waits for a person.
    pub(super) fn is_held(&self, version: &VersionId) -> bool {
        self.file(version, "held").exists() && !self.file(version, "published").exists()
    }

    /// Why the version waits; `None` when it does not.
    pub(super) fn hold(&self, version: &VersionId) -> Result<Option<Hold>> {
        if !self.is_held(version) {
            return Ok(None);
        }
        read_json(&self.file(version, "held"))
    }

    /// Removes what a dead writer left: everything aside, files of versions that never became
    /// whole, whole versions that were neither published nor held. Only under the writer's lock.
    pub(super) fn sweep(&self) -> Result<()> {
        let aside = self.aside();
        if aside.exists() {
            fs::remove_dir_all(&aside).map_err(|e| Error::io(&aside, e))?;
        }
        let current = self.read_current()?.map(|c| c.version);
        let names = names(&self.versions())?;
        let whole = |v: &str| names.iter().any(|n| n.strip_suffix(".json") == Some(v));
        let kept = |v: &str| {
            let marked = |mark| names.iter().any(|n| n.strip_suffix(mark) == Some(v));
            marked(".published") || marked(".held")
        };
        for name in &names {
            let version = name.split('.').next().unwrap_or_default();
            let in_force = current.as_ref().is_some_and(|c| c.as_str() == version);
            if in_force || (whole(version) && kept(version)) {
                continue;
            }
            remove(&self.versions().join(name))?;
        }
        Ok(())
    }
}

/// The store was written by a newer program.
fn newer(format: u32) -> Error {
    Error::Refused(text!(
        "Le magasin est au format {format} ; ce programme lit jusqu'au {FORMAT}. Mettez Socle à jour, ou restaurez une sauvegarde d'avant.",
        "The store has format {format}; this program reads up to {FORMAT}. Update Socle, or restore an older backup."
    ))
}

/// Bytes of all files below a folder. What goes away meanwhile counts for nothing.
pub(super) fn bytes(folder: &Path) -> Result<u64> {
    let mut all = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for name in names(&folder)? {
            let path = folder.join(name);
            match fs::symlink_metadata(&path) {
                Ok(m) if m.is_dir() => folders.push(path),
                Ok(m) => all += m.len(),
                Err(_) => {}
            }
        }
    }
    Ok(all)
}

/// File names in a folder; none when the folder is not there.
pub(super) fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(folder, e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| Error::io(folder, e))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Removes a file; fine when it is not there.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, e)),
        _ => Ok(()),
    }
}

pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io(path, e)),
    };
    let value = serde_json::from_slice(&bytes)
        .map_err(|e| Error::fault(format!("{}", path.display()), e))?;
    Ok(Some(value))
}

/// Writes a small file so that it is seen whole or not at all, even after a power cut.
pub(super) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let aside = path.with_extension("tmp");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    write().map_err(|e| Error::io(path, e))?;
    sync_folder_of(path)
}

/// Makes renames into the folder of `path` durable.
pub(super) fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io(folder, e))
}

/// Makes a finished file durable and read-only, then moves it to its place.
pub(super) fn install(aside: &Path, place: &Path) -> Result<()> {
    let move_in = || -> std::io::Result<()> {
        let file = File::open(aside)?;
        let mut permissions = file.metadata()?.permissions();
        permissions.set_readonly(true);
        file.sync_all()?;
        fs::set_permissions(aside, permissions)?;
        fs::rename(aside, place)
    };
    move_in().map_err(|e| Error::io(place, e))
}
