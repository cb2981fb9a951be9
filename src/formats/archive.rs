//! Unpacks gzip files and zip archives that strangers made. Only the wanted member is unpacked,
//! as a stream, under a name of our own; what it gives is counted, and a bomb is refused as soon
//! as it shows. Archives within archives are refused.

use super::{refused, shapefile};
use crate::{
    error::{Error, Result},
    model::{SourceLimits, Text},
    text,
};
use std::{
    fs::File,
    io::{BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};
use zip::{ZipArchive, result::ZipError};

/// Below this the ratio does not matter: small files may be very regular.
const RATIO_FROM: u64 = 32 << 20;

/// What came out of a zip.
#[derive(Debug)]
pub enum Unpacked {
    /// One file.
    File {
        /// Where it is now.
        path: PathBuf,
        /// Its name in the archive.
        name: String,
        /// What `member` says beyond naming this file: the table of a GeoPackage.
        table: Option<String>,
    },
    /// The files of a Shapefile.
    Shapefile {
        /// Where they are now.
        files: shapefile::Files,
        /// The name of its `.shp` in the archive.
        name: String,
    },
}

/// Unpacks a gzip file to `to`.
pub fn gunzip(path: &Path, to: &Path, limits: &SourceLimits) -> Result<()> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let packed = file.metadata().map_err(|e| Error::io(path, e))?.len();
    let mut input = flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(1 << 17, file));
    let mut guard = Guard { packed, given: 0, max: limits.max_unpacked, limits };
    copy(&mut input, to, &mut guard, || {
        text!("fichier gzip tronqué ou corrompu", "truncated or corrupt gzip file")
    })
}

/// Unpacks the wanted member of a zip into `workdir`. `member`: its name in the archive, with or
/// without folders and extension; `file.gpkg:table` also names a table in it.
pub fn unzip(
    path: &Path,
    workdir: &Path,
    member: Option<&str>,
    limits: &SourceLimits,
) -> Result<Unpacked> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(unreadable)?;
    let entries = entries(&mut zip, limits)?;
    let (chosen, table) = choose(&entries, member)?;
    let name = chosen.name.clone();
    let mut unpacker = Unpacker { zip, workdir, given: 0, limits };
    if chosen.extension() != "shp" {
        let path = unpacker.unpack(chosen)?;
        return Ok(Unpacked::File { path, name, table });
    }
    let mut files = shapefile::Files::default();
    for entry in entries.iter().filter(|e| e.stem() == chosen.stem()) {
        if files.place(&entry.extension()).is_some() {
            let path = unpacker.unpack(entry)?;
            if let Some(place) = files.place(&entry.extension()) {
                *place = Some(path);
            }
        }
    }
    Ok(Unpacked::Shapefile { files, name })
}

/// An entry of a zip worth looking at.
#[derive(Debug, Clone)]
struct Entry {
    index: usize,
    name: String,
    packed: u64,
    unpacked: u64,
}

impl Entry {
    fn file_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }

    fn extension(&self) -> String {
        let extension = self.file_name().rsplit_once('.').map_or("", |(_, e)| e);
        extension.to_ascii_lowercase()
    }

    /// The name without its extension, folders included.
    fn stem(&self) -> &str {
        let cut = self.file_name().rsplit_once('.').map_or(0, |(_, e)| e.len() + 1);
        self.name.get(..self.name.len() - cut).unwrap_or_default()
    }

    /// Whether `wanted` names it: whole name, file name, or either without extension.
    fn is(&self, wanted: &str) -> bool {
        let same = |name: &str| name.to_lowercase() == wanted.to_lowercase();
        let short = self.stem().rsplit('/').next().unwrap_or_default();
        same(&self.name) || same(self.file_name()) || same(self.stem()) || same(short)
    }

    /// How surely it is data: 0 a data format, 1 perhaps, 2 not.
    fn rank(&self) -> u8 {
        match self.extension().as_str() {
            "geojson" | "csv" | "tsv" | "shp" | "gpkg" | "geojsonl" | "geojsons" | "ndjson"
            | "jsonl" | "fgb" | "parquet" | "kml" | "gml" | "xlsx" | "ods" => 0,
            "json" | "txt" | "xml" | "dat" => 1,
            _ => 2,
        }
    }
}

/// The entries of a zip, but folders and what operating systems leave; refuses hostile ones.
fn entries(zip: &mut ZipArchive<BufReader<File>>, limits: &SourceLimits) -> Result<Vec<Entry>> {
    let (count, most) = (zip.len(), limits.max_entries);
    if count as u64 > most {
        return Err(refused(text!(
            "archive zip refusée : {count} entrées, {most} au plus (max_entries)",
            "zip archive refused: {count} entries, at most {most} (max_entries)"
        )));
    }
    let mut entries = Vec::with_capacity(count);
    for index in 0..count {
        let file = zip.by_index_raw(index).map_err(unreadable)?;
        let name = file.name().map_err(unreadable)?.replace('\\', "/");
        let climbs = name.starts_with('/') || name.split('/').any(|part| part == "..");
        if climbs || file.enclosed_name().is_none() {
            let shown: String = name.chars().take(80).collect();
            return Err(refused(text!(
                "archive zip refusée : l'entrée « {shown} » sort de son dossier",
                "zip archive refused: the entry \"{shown}\" leaves its folder"
            )));
        }
        let last = name.rsplit('/').next().unwrap_or_default();
        if last.is_empty() || last.starts_with('.') || name.starts_with("__MACOSX/") {
            continue;
        }
        let (packed, unpacked) = (file.compressed_size(), file.size());
        entries.push(Entry { index, name, packed, unpacked });
    }
    Ok(entries)
}

/// The entry to read, and what `member` says beyond it.
fn choose<'a>(entries: &'a [Entry], member: Option<&str>) -> Result<(&'a Entry, Option<String>)> {
    if let Some(wanted) = member {
        let named = |wanted: &str| entries.iter().filter(|e| e.is(wanted)).min_by_key(|e| e.rank());
        if let Some(entry) = named(wanted) {
            return Ok((entry, None));
        }
        if let Some((file, table)) = wanted.split_once(':')
            && let Some(entry) = named(file)
        {
            return Ok((entry, Some(table.to_owned())));
        }
        // One GeoPackage and a name that is no file's: a table of it.
        let mut packages = entries.iter().filter(|e| e.extension() == "gpkg");
        if let (Some(only), None) = (packages.next(), packages.next()) {
            return Ok((only, Some(wanted.to_owned())));
        }
        let list = list(entries.iter());
        return Err(refused(text!(
            "l'archive n'a pas de membre « {wanted} » ; elle contient : {list}",
            "the archive has no member \"{wanted}\"; it holds: {list}"
        )));
    }
    for rank in 0..=1 {
        let candidates: Vec<&Entry> = entries.iter().filter(|e| e.rank() == rank).collect();
        match candidates.as_slice() {
            [] => {}
            [one] => return Ok((one, None)),
            _ => {
                let list = list(candidates.into_iter());
                return Err(refused(text!(
                    "l'archive contient plusieurs fichiers lisibles : choisir avec « member » parmi {list}",
                    "the archive holds several readable files: choose one with \"member\" among {list}"
                )));
            }
        }
    }
    let parts = ["dbf", "shx", "prj", "cpg"];
    if let Some(part) = entries.iter().find(|e| parts.contains(&e.extension().as_str())) {
        let name = &part.name;
        return Err(refused(text!(
            "Shapefile sans fichier .shp : l'archive ne contient que ses autres fichiers ({name})",
            "Shapefile without .shp file: the archive only holds its other files ({name})"
        )));
    }
    let packed = ["zip", "gz", "7z", "rar", "tar", "tgz", "bz2", "xz"];
    if let Some(inner) = entries.iter().find(|e| packed.contains(&e.extension().as_str())) {
        let name = &inner.name;
        return Err(refused(text!(
            "archive dans l'archive refusée : « {name} »",
            "archive within the archive refused: \"{name}\""
        )));
    }
    if entries.iter().any(|e| e.name == "[Content_Types].xml" || e.name == "mimetype") {
        return Err(refused(text!(
            "c'est un classeur ou un document (xlsx, ods, docx…) : l'exporter en CSV",
            "this is a spreadsheet or document (xlsx, ods, docx…): export it as CSV"
        )));
    }
    match entries {
        [one] => Ok((one, None)),
        _ => {
            let list = list(entries.iter());
            Err(refused(text!(
                "l'archive ne contient aucun fichier lisible ; elle contient : {list}",
                "the archive holds no readable file; it holds: {list}"
            )))
        }
    }
}

/// Names for a message, the first twenty.
fn list<'a>(entries: impl Iterator<Item = &'a Entry>) -> String {
    let mut names: Vec<&str> = entries.map(|e| e.name.as_str()).take(21).collect();
    if names.is_empty() {
        return "∅".to_owned();
    }
    if names.len() > 20 {
        names.truncate(20);
        names.push("…");
    }
    names.join(", ")
}

struct Unpacker<'a> {
    zip: ZipArchive<BufReader<File>>,
    workdir: &'a Path,
    /// Bytes given by the members before.
    given: u64,
    limits: &'a SourceLimits,
}

impl Unpacker<'_> {
    fn unpack(&mut self, entry: &Entry) -> Result<PathBuf> {
        let limits = self.limits;
        let max = limits.max_unpacked.saturating_sub(self.given);
        let mut guard = Guard { packed: entry.packed, given: 0, max, limits };
        // What the entry declares is refused before a byte is unpacked.
        guard.allow(entry.unpacked)?;
        // Our own name: nothing of the archive's decides where a file goes.
        let extension: String =
            entry.extension().chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        let to = self.workdir.join(format!("member-{}.{extension}", entry.index));
        let mut file = self.zip.by_index(entry.index).map_err(unreadable)?;
        let name = entry.name.clone();
        copy(&mut file, &to, &mut guard, || {
            text!(
                "archive zip corrompue : « {name} » ne se décompresse pas",
                "corrupt zip archive: \"{name}\" does not unpack"
            )
        })?;
        self.given += guard.given;
        Ok(to)
    }
}

/// Counts what an archive gives.
struct Guard<'a> {
    packed: u64,
    given: u64,
    /// What is left of what an archive may give.
    max: u64,
    limits: &'a SourceLimits,
}

impl Guard<'_> {
    /// Whether `given` bytes in all are still bearable.
    fn allow(&self, given: u64) -> Result<()> {
        if given > self.max {
            let max = self.limits.max_unpacked;
            return Err(refused(text!(
                "archive refusée : elle dépasse {max} octets une fois décompressée (max_unpacked_mb)",
                "archive refused: it exceeds {max} bytes once unpacked (max_unpacked_mb)"
            )));
        }
        let most = self.limits.max_ratio;
        if given > RATIO_FROM && given / most > self.packed {
            return Err(refused(text!(
                "archive refusée : plus de {most} octets par octet compressé, comme une bombe de décompression (max_ratio)",
                "archive refused: more than {most} bytes per packed byte, as a decompression bomb (max_ratio)"
            )));
        }
        Ok(())
    }
}

/// Copies a packed stream to a file under guard. `corrupt` words a stream that breaks.
fn copy(
    input: &mut impl Read,
    to: &Path,
    guard: &mut Guard<'_>,
    corrupt: impl Fn() -> Text,
) -> Result<()> {
    let file = File::create(to).map_err(|e| Error::io(to, e))?;
    let mut output = BufWriter::with_capacity(1 << 17, file);
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        // An error here comes from the stream: the file under it was just opened and read.
        let n = input.read(&mut buffer).map_err(|_| refused(corrupt()))?;
        if n == 0 {
            break;
        }
        guard.given += n as u64;
        guard.allow(guard.given)?;
        output.write_all(buffer.get(..n).unwrap_or_default()).map_err(|e| Error::io(to, e))?;
    }
    output.flush().map_err(|e| Error::io(to, e))
}

pub(super) fn unreadable(e: ZipError) -> Error {
    refused(match e {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => {
            text!("archive zip protégée par un mot de passe", "password-protected zip archive")
        }
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => text!(
            "archive zip d'un genre non pris en charge (compression autre que deflate)",
            "unsupported kind of zip archive (compression other than deflate)"
        ),
        _ => text!("archive zip tronquée ou corrompue", "truncated or corrupt zip archive"),
    })
}
