//! `[archive]` of a layer file: tiles that others made, served as they are.

use super::{
    S3Settings,
    blobs::endpoint,
    layer::Head,
    relative,
    secrets::{environment, expand},
    server::web_address,
    table::Table,
};
use crate::{
    model::{ArchiveDef, ArchivePlace, ObjectPlace, Text},
    text,
};
use std::{path::Path, time::Duration};

pub(super) const KEYS: &[&str] = &["path", "url", "endpoint", "region", "refresh_s"];
/// What only layers with features have.
const OTHERS: [&str; 9] =
    ["source", "key", "fields", "keep_versions", "hold", "schedule", "territory", "time", "tiles"];

/// How long what was seen of a local file is taken for current: looking costs nothing.
const LOCAL: Duration = Duration::from_secs(1);
/// The same of a file elsewhere, where looking is a request.
const REMOTE: Duration = Duration::from_secs(30);

/// Reads a layer file that has the table; `None` when it declares nothing usable.
pub(super) fn read(table: &Table<'_>, head: Head, base: &Path) -> Option<ArchiveDef> {
    for key in OTHERS {
        if table.has(key) {
            table.report(
                key,
                text!(
                    "ne va pas avec [archive] : une archive de tuiles n'a pas d'entités",
                    "does not go with [archive]: an archive of tiles has no features"
                ),
            );
        }
    }
    if table.is_table("style") {
        table.report(
            "style",
            text!(
                "attendu le nom d'un style : une archive de tuiles ne dit pas assez d'elle-même",
                "expected the name of a style: an archive of tiles does not say enough of itself"
            ),
        );
    }
    let inner = table.table("archive", KEYS)?;
    let place = place(&inner, base);
    let usual = match place {
        Some(ArchivePlace::File(_)) => LOCAL,
        _ => REMOTE,
    };
    let refresh = inner.seconds("refresh_s", 0.0..=86_400.0).unwrap_or(usual);
    Some(ArchiveDef {
        id: head.id?,
        title: head.title,
        description: head.description,
        producer: head.producer?,
        contact: head.contact,
        licence: head.licence?,
        attribution: head.attribution,
        described_at: head.described_at,
        published_at: head.published_at,
        page: head.page,
        label: head.label,
        style: head.style,
        max_age: head.max_age,
        place: place?,
        refresh,
    })
}

fn place(table: &Table<'_>, base: &Path) -> Option<ArchivePlace> {
    let in_storage = table.raw("url").is_some_and(|url| url.starts_with("s3://"));
    for key in ["endpoint", "region"] {
        if table.has(key) && !in_storage {
            table.report(
                key,
                text!("ne va qu'avec une adresse s3://", "only goes with an s3:// address"),
            );
        }
    }
    match (table.has("path"), table.has("url")) {
        (true, true) => {
            let what =
                text!("« path » est déjà donné : l'un ou l'autre", "\"path\" is given: either");
            table.report("url", what);
            None
        }
        (true, false) => {
            let path = relative(table, "path", base)?;
            match kind(&path.to_string_lossy()) {
                Some(_) => Some(ArchivePlace::File(path)),
                None => {
                    table.report("path", names());
                    None
                }
            }
        }
        (false, true) if in_storage => {
            let (endpoint, region) = (table.parsed("endpoint", endpoint), table.string("region"));
            let place = table.parsed("url", object)?;
            Some(ArchivePlace::S3(ObjectPlace { endpoint, region, ..place }))
        }
        // The definition keeps the text with its `${NAME}`: values are read when asking.
        (false, true) => table.parsed("url", |template| {
            let url = web_address(&expand(template, environment)?)?;
            by_ranges(url.path())?;
            Ok(ArchivePlace::Http(template.to_owned()))
        }),
        (false, false) => {
            table.missing("path");
            None
        }
    }
}

/// `pmtiles` or `mbtiles`, by the end of a name.
fn kind(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    ["pmtiles", "mbtiles"].into_iter().find(|end| lower.ends_with(&format!(".{end}")))
}

fn names() -> Text {
    text!(
        "attendu un nom en .pmtiles ou .mbtiles",
        "expected a name that ends in .pmtiles or .mbtiles"
    )
}

/// Refuses what cannot be read by ranges. Addresses without a known end are taken for PMTiles.
fn by_ranges(name: &str) -> Result<(), Text> {
    match kind(name) {
        Some("mbtiles") => Err(text!(
            "un fichier MBTiles ne se lit pas à distance : donnez-le par « path », ou faites-en un PMTiles (pmtiles convert)",
            "an MBTiles file cannot be read from afar: give it by \"path\", or make it a PMTiles (pmtiles convert)"
        )),
        _ => Ok(()),
    }
}

/// `s3://bucket/key.pmtiles`.
fn object(words: &str) -> Result<ObjectPlace, Text> {
    let S3Settings { bucket, prefix: key, .. } = S3Settings::parse(words)?;
    by_ranges(&key)?;
    match kind(&key) {
        Some(_) => Ok(ObjectPlace { bucket, key, endpoint: None, region: None }),
        None => {
            Err(text!("attendu s3://seau/…/nom.pmtiles", "expected s3://bucket/…/name.pmtiles"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_pmtiles_in_a_bucket() {
        let place = object("s3://tuiles/france/communes.pmtiles").unwrap();
        assert_eq!((&*place.bucket, &*place.key), ("tuiles", "france/communes.pmtiles"));
        for bad in ["s3://tuiles", "s3://tuiles/a.zip", "s3://tuiles/a.mbtiles", "https://x/a"] {
            assert!(object(bad).is_err(), "{bad}");
        }
        assert!(by_ranges("/a.MBTiles").unwrap_err().en.contains("PMTiles"));
        assert!(by_ranges("/download").is_ok());
    }
}
