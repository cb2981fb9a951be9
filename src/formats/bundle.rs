//! Zips of small text files, taken apart in memory: what is published in several files together.

use super::{archive::unreadable, refused};
use crate::{error::Result, text};
use std::io::{Cursor, Read};
use zip::ZipArchive;

/// Most entries looked at.
const MOST: usize = 1_000;

/// Whether bytes are a zip.
pub fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// The files of a zip whose names end with one of `endings` (in small letters), with their names
/// without folders; at most `max` bytes of them in all.
///
/// # Errors
/// [`crate::error::Error::Refused`] when it is damaged, too large, or holds none of them.
pub fn members(bytes: &[u8], endings: &[&str], max: u64) -> Result<Vec<(String, Vec<u8>)>> {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(unreadable)?;
    if zip.len() > MOST {
        let n = zip.len();
        return Err(refused(text!(
            "archive zip de {n} fichiers ; {MOST} au plus",
            "zip archive of {n} files; {MOST} at most"
        )));
    }
    let (mut found, mut left) = (Vec::new(), max);
    for at in 0..zip.len() {
        let entry = zip.by_index(at).map_err(unreadable)?;
        let name = entry.name().map_err(unreadable)?;
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
        let lower = name.to_lowercase();
        if !entry.is_file() || !endings.iter().any(|end| lower.ends_with(end)) {
            continue;
        }
        let mut bytes = Vec::new();
        // What the archive says of sizes is not believed.
        entry.take(left + 1).read_to_end(&mut bytes).map_err(|_| {
            refused(text!(
                "« {name} » est tronqué ou corrompu dans l'archive",
                "\"{name}\" is truncated or corrupt in the archive"
            ))
        })?;
        let given = bytes.len() as u64;
        left = left.checked_sub(given).ok_or_else(|| {
            let mb = max >> 20;
            refused(text!(
                "l'archive dépasse {mb} Mo une fois dépliée",
                "the archive holds more than {mb} MB once unpacked"
            ))
        })?;
        found.push((name, bytes));
    }
    if found.is_empty() {
        let list = endings.join(", ");
        return Err(refused(text!(
            "l'archive ne contient aucun fichier {list}",
            "the archive holds no {list} file"
        )));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::{ZipWriter, write::SimpleFileOptions};

    fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn the_wanted_files_come_out_and_no_more_than_may() {
        let zip = packed(&[
            ("cog/v_commune_2027.CSV", b"a,b\n"),
            ("../lisezmoi.txt", b"x"),
            ("cog/communes.json", b"[]"),
        ]);
        let found = members(&zip, &[".csv", ".json"], 100).unwrap();
        let found: Vec<(&str, &[u8])> = found.iter().map(|(n, b)| (&**n, &**b)).collect();
        assert_eq!(found, [("v_commune_2027.CSV", &b"a,b\n"[..]), ("communes.json", b"[]")]);
        assert!(members(&zip, &[".csv", ".json"], 5).is_err());
        assert!(members(&zip, &[".xml"], 100).is_err());
        assert!(members(&zip[..zip.len() / 2], &[".csv"], 100).is_err());
        let bomb = packed(&[("a.csv", &vec![b'0'; 1 << 22])]);
        assert!(members(&bomb, &[".csv"], 1 << 20).is_err());
    }
}
