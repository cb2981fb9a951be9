//! A local file as a source. It is read where it lies, never copied or locked: what others do to
//! it meanwhile is noticed instead ([`check_unmoved`]).

use super::Fetch;
use crate::{
    error::{Error, Result},
    model::{Harvested, Progress, SourceDef, Text},
    text,
};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::{fs::Metadata, io::ErrorKind, path::Path};
use tokio::io::AsyncReadExt;

const CHUNK: usize = 1 << 20;

/// Checks a file and computes its checksum.
pub(super) async fn fetch(
    path: &Path,
    source: &SourceDef,
    previous: Option<&Harvested>,
    progress: &dyn Progress,
) -> Result<Fetch> {
    let before = tokio::fs::metadata(path).await.map_err(|e| unreadable(path, &e))?;
    check_kind(path, &before, source.max_bytes)?;
    progress.stage(Text::new("Lecture du fichier", "Reading the file"), Some(before.len()));
    let sha256 = checksum(path, source.max_bytes, progress).await?;
    let after = tokio::fs::metadata(path).await.map_err(|e| unreadable(path, &e))?;
    if stamp(&before) != stamp(&after) {
        return Err(moved(&name(path)));
    }
    let now = Timestamp::now();
    let found = Harvested {
        path: path.to_path_buf(),
        name: name(path),
        origin: name(path),
        status: None,
        bytes: after.len(),
        sha256,
        etag: None,
        modified: stamp(&after).1,
        fetched_at: now,
        checked_at: now,
        dataset: None,
        withdrawn: None,
    };
    Ok(match previous.filter(|p| p.sha256 == found.sha256 && p.origin == found.origin) {
        Some(p) => Fetch::Unchanged(Harvested { fetched_at: p.fetched_at, ..found }),
        None => Fetch::New(found),
    })
}

/// A file's name without its folder.
pub(super) fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.chars().filter(|c| !c.is_control()).collect()
}

/// See [`super::check_unmoved`].
pub(super) fn check_unmoved(harvested: &Harvested) -> Result<()> {
    let found = std::fs::metadata(&harvested.path).map_err(|_| moved(&harvested.name))?;
    let (bytes, modified) = stamp(&found);
    let local = harvested.status.is_none();
    if bytes != harvested.bytes || (local && modified != harvested.modified) {
        return Err(moved(&harvested.name));
    }
    Ok(())
}

async fn checksum(path: &Path, max_bytes: u64, progress: &dyn Progress) -> Result<String> {
    let mut file = tokio::fs::File::open(path).await.map_err(|e| unreadable(path, &e))?;
    file.set_max_buf_size(CHUNK);
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut done: u64 = 0;
    loop {
        let n = file.read(&mut chunk).await.map_err(|e| unreadable(path, &e))?;
        if n == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(chunk.get(..n).unwrap_or_default());
        done += n as u64;
        if done > max_bytes {
            return Err(too_large(path, max_bytes));
        }
        progress.advance(done);
    }
}

/// Only regular files: a folder has no bytes, a pipe or a device may never end.
fn check_kind(path: &Path, found: &Metadata, max_bytes: u64) -> Result<()> {
    let shown = path.display();
    if found.is_dir() {
        return Err(Error::Refused(text!(
            "« {shown} » est un dossier, pas un fichier",
            "\"{shown}\" is a folder, not a file"
        )));
    }
    if !found.is_file() {
        return Err(Error::Refused(text!(
            "« {shown} » n'est pas un fichier ordinaire",
            "\"{shown}\" is not a regular file"
        )));
    }
    if found.len() == 0 {
        return Err(Error::Refused(text!("« {shown} » est vide", "\"{shown}\" is empty")));
    }
    if found.len() > max_bytes {
        return Err(too_large(path, max_bytes));
    }
    Ok(())
}

fn too_large(path: &Path, max_bytes: u64) -> Error {
    let (shown, limit) = (path.display(), max_bytes >> 20);
    Error::Refused(text!(
        "« {shown} » dépasse {limit} Mio (max_mb)",
        "\"{shown}\" is above {limit} MiB (max_mb)"
    ))
}

fn moved(name: &str) -> Error {
    Error::Refused(text!(
        "« {name} » a changé pendant sa lecture",
        "\"{name}\" changed while it was read"
    ))
}

/// Files that a person must look at are refused by their path as configured.
fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let shown = path.display();
    Error::Refused(match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            text!("fichier introuvable : « {shown} »", "file not found: \"{shown}\"")
        }
        ErrorKind::PermissionDenied => {
            text!("lecture non permise : « {shown} »", "reading is not permitted: \"{shown}\"")
        }
        kind => text!("« {shown} » est illisible ({kind})", "\"{shown}\" is unreadable ({kind})"),
    })
}

/// Size and modification time.
fn stamp(found: &Metadata) -> (u64, Option<Timestamp>) {
    let modified = found.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
    (found.len(), modified)
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, b| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{b:02x}");
        out
    })
}
