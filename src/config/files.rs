//! Reading the operator's files, with messages that name them as the operator did.

use crate::{model::Text, text};
use std::{
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

/// No configuration or style file is larger; a mistaken path to data must not fill the memory.
const MAX_BYTES: u64 = 8 << 20;

/// A path for messages: as given, without control characters.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string().chars().filter(|c| !c.is_control()).collect()
}

/// The text of a file.
///
/// # Errors
/// Says which file and why: absent, not permitted, too large, not UTF-8 (with the line).
pub(super) fn read(path: &Path) -> Result<String, Text> {
    let name = shown(path);
    String::from_utf8(bytes(path)?).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(valid).filter(|b| **b == b'\n').count();
        text!("{name}:{line} : ce n'est pas de l'UTF-8", "{name}:{line}: not UTF-8")
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>, Text> {
    let name = shown(path);
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        return Err(unreadable(&name, &error));
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(text!("{name} : fichier de plus de 8 Mio", "{name}: file above 8 MiB"));
    }
    Ok(bytes)
}

/// The text of a table, in UTF-8 or else in Windows-1252.
///
/// # Errors
/// As [`read`], but for the encoding.
pub(super) fn read_any(path: &Path) -> Result<String, Text> {
    let bytes = bytes(path)?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(other) => encoding_rs::WINDOWS_1252.decode(other.as_bytes()).0.into_owned(),
    })
}

/// The files of a folder with an extension, sorted by name; hidden ones left out.
///
/// # Errors
/// Says which folder and why.
pub(super) fn list(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Text> {
    let name = shown(folder);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| unreadable(&name, &e))? {
        let path = entry.map_err(|e| unreadable(&name, &e))?.path();
        let hidden = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|e| e == extension) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn unreadable(name: &str, error: &std::io::Error) -> Text {
    match error.kind() {
        ErrorKind::NotFound => text!("{name} : introuvable", "{name}: not found"),
        ErrorKind::PermissionDenied => {
            text!("{name} : lecture non permise", "{name}: reading is not permitted")
        }
        ErrorKind::IsADirectory => {
            text!("{name} : c'est un dossier, pas un fichier", "{name}: a folder, not a file")
        }
        ErrorKind::NotADirectory => {
            text!("{name} : ce n'est pas un dossier", "{name}: not a folder")
        }
        kind => text!("{name} : illisible ({kind})", "{name}: unreadable ({kind})"),
    }
}
