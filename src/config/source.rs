//! `[source]` of a layer file: where its data comes from and how to read it.

use super::{
    document::{clip, hint},
    relative, services,
    table::Table,
};
use crate::{
    model::{CsvOptions, Format, SourceDef, SourceLocation, Text},
    text,
};
use std::{path::Path, time::Duration};

pub(super) const KEYS: &[&str] = &[
    "path",
    "url",
    "datagouv",
    "ogc_features",
    "wfs",
    "arcgis",
    "format",
    "crs",
    "encoding",
    "member",
    "max_mb",
    "timeout_s",
    "csv",
];
pub(super) const CSV_KEYS: &[&str] =
    &["x", "y", "geometry", "separator", "decimal", "header", "text"];

const FORMATS: &[(&str, Format)] = &[
    ("geojson", Format::Geojson),
    ("csv", Format::Csv),
    ("shapefile", Format::Shapefile),
    ("geopackage", Format::Geopackage),
    ("geojsonseq", Format::Geojsonseq),
    ("flatgeobuf", Format::Flatgeobuf),
    ("parquet", Format::Parquet),
    ("kml", Format::Kml),
    ("gml", Format::Gml),
    ("json", Format::Json),
    ("xlsx", Format::Xlsx),
    ("ods", Format::Ods),
    // Other names of these.
    ("shp", Format::Shapefile),
    ("gpkg", Format::Geopackage),
    ("tsv", Format::Csv),
    ("ndjson", Format::Geojsonseq),
    ("fgb", Format::Flatgeobuf),
    ("geoparquet", Format::Parquet),
    ("kmz", Format::Kml),
];
/// How many of them are the names that are told.
const TOLD: usize = 12;

/// Reads the table of a layer file in `base`; `None` when there is no usable location.
pub(super) fn read(table: &Table<'_>, base: &Path) -> Option<SourceDef> {
    let location = location(table, base);
    let mut csv = CsvOptions::default();
    if let Some(inner) = table.table("csv", CSV_KEYS) {
        csv = csv_options(&inner);
    }
    let format = table.parsed("format", |words| {
        let lower = words.to_lowercase();
        let known = FORMATS.iter().find(|(name, _)| *name == lower);
        known.map(|(_, f)| *f).ok_or_else(|| {
            let names: Vec<&str> = FORMATS.iter().take(TOLD).map(|(n, _)| *n).collect();
            let words = clip(words);
            let Text { fr, en } = hint(&words, &names);
            text!("format inconnu « {words} » ; {fr}", "unknown format \"{words}\"; {en}")
        })
    });
    let of_tables = |f| matches!(f, Format::Csv | Format::Json | Format::Xlsx | Format::Ods);
    if table.has("csv") && format.is_some_and(|f| !of_tables(f)) {
        let what = text!(
            "ne sert qu'aux formats csv, json, xlsx et ods",
            "only serves the csv, json, xlsx and ods formats"
        );
        table.report("csv", what);
    }
    Some(SourceDef {
        format,
        crs: table.parsed("crs", crs),
        encoding: table.parsed("encoding", encoding),
        member: table.string("member"),
        csv,
        max_bytes: table.integer("max_mb", 1..=1 << 24).unwrap_or(2048) << 20,
        timeout: table.seconds("timeout_s", 0.1..=86_400.0).unwrap_or(Duration::from_secs(600)),
        location: location?,
    })
}

fn location(table: &Table<'_>, base: &Path) -> Option<SourceLocation> {
    let mut given = ["path", "url"].iter().chain(services::KINDS).filter(|key| table.has(key));
    let Some(first) = given.next() else {
        table.missing("path");
        return None;
    };
    if let Some(second) = given.next() {
        let what =
            text!("« {first} » est déjà donné : l'un ou l'autre", "\"{first}\" is given: either");
        table.report(second, what);
        return None;
    }
    match *first {
        "path" => Some(SourceLocation::File(relative(table, "path", base)?)),
        "url" => services::address(table, "url").map(SourceLocation::Http),
        kind => services::read(table, kind),
    }
}

fn csv_options(table: &Table<'_>) -> CsvOptions {
    let options = CsvOptions {
        x: table.string("x"),
        y: table.string("y"),
        separator: table.raw("separator").and_then(|words| {
            let found = separator(words);
            if found.is_none() {
                let what = text!(
                    "attendu un caractère ASCII, comme \";\", \",\", \"|\" ou \"\\t\"",
                    "expected one ASCII character such as \";\", \",\", \"|\" or \"\\t\""
                );
                table.report("separator", what);
            }
            found
        }),
        decimal: table.parsed("decimal", |words| match words {
            "." => Ok('.'),
            "," => Ok(','),
            _ => Err(text!("attendu \".\" ou \",\"", "expected \".\" or \",\"")),
        }),
        header: table.boolean("header"),
        text: table.strings("text").unwrap_or_default(),
        geometry: table.string("geometry"),
    };
    if table.has("geometry") && table.has("x") {
        let what = text!(
            "« x » et « y » sont déjà donnés : l'un ou l'autre",
            "\"x\" and \"y\" are given: either"
        );
        table.report("geometry", what);
    }
    if table.has("x") != table.has("y") {
        let what = text!("« x » et « y » vont ensemble", "\"x\" and \"y\" go together");
        table.report(if table.has("x") { "x" } else { "y" }, what);
    }
    if options.separator.is_some() && options.separator == options.decimal {
        let what = text!("est aussi le séparateur", "is the separator as well");
        table.report("decimal", what);
    }
    options
}

/// One ASCII character that can separate columns: no quote, letter, digit or line end.
fn separator(words: &str) -> Option<char> {
    let mut chars = words.chars();
    let only = chars.next().filter(|_| chars.next().is_none())?;
    let usable = only == '\t' || (only.is_ascii() && !only.is_ascii_control());
    (usable && only != '"' && !only.is_ascii_alphanumeric()).then_some(only)
}

/// `EPSG:n`, in capitals.
fn crs(words: &str) -> Result<String, Text> {
    let code = words
        .split_once(':')
        .filter(|(authority, _)| authority.eq_ignore_ascii_case("EPSG"))
        .map(|(_, code)| code.trim())
        .filter(|code| code.len() <= 6 && code.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|code| code.parse::<u32>().ok())
        .filter(|code| *code > 0);
    code.map(|code| format!("EPSG:{code}")).ok_or_else(|| {
        let words = clip(words);
        text!(
            "« {words} » n'est pas de la forme « EPSG:n », comme EPSG:2154 (Lambert-93)",
            "\"{words}\" is not of the form \"EPSG:n\" such as EPSG:2154 (Lambert-93)"
        )
    })
}

fn encoding(words: &str) -> Result<String, Text> {
    if encoding_rs::Encoding::for_label(words.as_bytes()).is_some() {
        return Ok(words.to_owned());
    }
    let words = clip(words);
    Err(text!(
        "encodage inconnu « {words} » ; par exemple : utf-8, windows-1252, iso-8859-15",
        "unknown encoding \"{words}\"; for example: utf-8, windows-1252, iso-8859-15"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crs_is_spelled_one_way() {
        assert_eq!(crs("epsg:2154").unwrap(), "EPSG:2154");
        assert_eq!(crs("EPSG: 4326").unwrap(), "EPSG:4326");
        for bad in ["2154", "Lambert93", "EPSG:", "EPSG:x", "EPSG:-1", "EPSG:0", "EPSG:99999999"] {
            assert!(crs(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_separator_is_one_character() {
        assert_eq!(separator("\t"), Some('\t'));
        assert_eq!(separator(";"), Some(';'));
        for bad in ["", "\"", ";;", "\n", "a", "é"] {
            assert_eq!(separator(bad), None, "{bad:?}");
        }
    }
}
