//! What a workbook may unpack to, looked at before anything reads it.

use super::Kind;
use crate::{
    error::{Error, Result},
    formats::{refused, sheet::few_texts},
    model::SourceLimits,
    text,
};
use std::{
    fs::File,
    io::{BufReader, Read, copy, sink},
    path::Path,
};
use zip::ZipArchive;

/// Most bytes of the texts that the cells of an XLSX share, which are held.
const MAX_SHARED: u64 = 256 << 20;
/// Below this the ratio does not matter.
const RATIO_FROM: u64 = 32 << 20;

pub(super) fn kind(path: &Path) -> Option<Kind> {
    let file = File::open(path).ok()?;
    let mut zip = ZipArchive::new(BufReader::new(file)).ok()?;
    if zip.index_for_name("xl/workbook.xml").is_some() {
        return Some(Kind::Xlsx);
    }
    let mut kind = String::new();
    let mimetype = zip.by_name("mimetype").ok()?;
    mimetype.take(200).read_to_string(&mut kind).ok()?;
    kind.starts_with("application/vnd.oasis.opendocument.spreadsheet").then_some(Kind::Ods)
}

/// Refuses a workbook that unpacks to too much, whatever it declares.
pub(super) fn weigh(path: &Path, limits: &SourceLimits) -> Result<()> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|_| unreadable())?;
    let most = limits.max_entries;
    if zip.len() as u64 > most {
        let count = zip.len();
        return Err(refused(text!(
            "classeur refusé : {count} entrées, {most} au plus (max_entries)",
            "workbook refused: {count} entries, at most {most} (max_entries)"
        )));
    }
    let mut given = 0;
    for at in 0..zip.len() {
        let mut entry = zip.by_index(at).map_err(|_| unreadable())?;
        let packed = entry.compressed_size();
        let shared =
            entry.name().is_ok_and(|name| name.to_ascii_lowercase().ends_with("sharedstrings.xml"));
        let room = limits.max_unpacked.saturating_sub(given);
        let mut part = 0;
        loop {
            let piece = copy(&mut entry.by_ref().take(1 << 20), &mut sink());
            let piece = piece.map_err(|_| unreadable())?;
            if piece == 0 {
                break;
            }
            part += piece;
            if part > room {
                let max = limits.max_unpacked;
                return Err(refused(text!(
                    "classeur refusé : il dépasse {max} octets une fois décompressé (max_unpacked_mb)",
                    "workbook refused: it exceeds {max} bytes once unpacked (max_unpacked_mb)"
                )));
            }
            if part > RATIO_FROM && part / limits.max_ratio > packed {
                let most = limits.max_ratio;
                return Err(refused(text!(
                    "classeur refusé : plus de {most} octets par octet compressé, comme une bombe de décompression (max_ratio)",
                    "workbook refused: more than {most} bytes per packed byte, as a decompression bomb (max_ratio)"
                )));
            }
        }
        if shared && part > MAX_SHARED {
            let most = MAX_SHARED >> 20;
            return Err(refused(text!(
                "classeur refusé : plus de {most} Mio de textes ; l'exporter en CSV",
                "workbook refused: more than {most} MiB of texts; export it as CSV"
            )));
        }
        drop(entry);
        if shared {
            let entry = zip.by_index(at).map_err(|_| unreadable())?;
            few_texts(entry, part).map_err(|_| unreadable())?;
        }
        given += part;
    }
    Ok(())
}

pub(super) fn unreadable() -> Error {
    refused(text!(
        "classeur tronqué, corrompu ou protégé par un mot de passe",
        "truncated, corrupt or password-protected workbook"
    ))
}
