//! Tests of the readers through [`super::open`], as import uses them.

mod archives;
mod csv_files;
mod geojson_files;
mod geopackages;
mod markups;
mod shapefiles;
mod shared;
mod tables;
mod written;

use super::{Next, open};
use crate::{
    error::{Error, Result},
    model::{
        CsvOptions, Field, FieldKind, Record, Refusal, SourceDef, SourceLimits, SourceLocation,
        Value,
    },
};
use std::path::Path;

/// A source without options.
fn source() -> SourceDef {
    SourceDef {
        location: SourceLocation::Http("https://example.fr/data".into()),
        format: None,
        crs: None,
        encoding: None,
        member: None,
        csv: CsvOptions::default(),
        max_bytes: 1 << 27,
        timeout: std::time::Duration::from_secs(1),
    }
}

/// All that a reader gave.
#[derive(Debug)]
struct Whole {
    records: Vec<Record>,
    refused: Vec<Refusal>,
    fields: Vec<Field>,
    crs: Option<String>,
    notes: String,
    expected: Option<u64>,
}

impl Whole {
    fn names(&self) -> Vec<&str> {
        self.fields.iter().map(|f| f.name.as_str()).collect()
    }

    fn kind(&self, name: &str) -> FieldKind {
        self.fields.iter().find(|f| f.name == name).expect(name).kind
    }

    fn value(&self, row: usize, name: &str) -> Value {
        let at = self.fields.iter().position(|f| f.name == name).expect(name);
        self.records[row].values.get(at).cloned().unwrap_or_default()
    }
}

fn read_path(path: &Path, name: &str, source: &SourceDef) -> Result<Whole> {
    let dir = tempfile::tempdir().unwrap();
    let mut reader = open(path, name, source, dir.path())?;
    let mut whole = Whole {
        records: Vec::new(),
        refused: Vec::new(),
        fields: Vec::new(),
        crs: reader.crs().map(str::to_owned),
        notes: String::new(),
        expected: reader.expected(),
    };
    let mut position = 0;
    loop {
        match reader.next()? {
            Next::Record(r) => whole.records.push(r),
            Next::Refused(r) => whole.refused.push(r),
            Next::End => break,
        }
        assert!(reader.position() >= position, "position goes back");
        position = reader.position();
    }
    assert!(matches!(reader.next()?, Next::End), "the end is the end");
    whole.fields = reader.fields().to_vec();
    whole.notes = reader.notes().iter().map(|n| format!("{}\n", n.fr)).collect();
    // Each value, cast, has its field's kind.
    for record in &whole.records {
        for (value, field) in record.values.iter().zip(&whole.fields) {
            let cast = super::cast(value.clone(), field.kind);
            assert!(
                super::types::kind_of(&cast).is_none_or(|k| k == field.kind),
                "{field:?}: {value:?}"
            );
        }
    }
    Ok(whole)
}

fn read_bytes(name: &str, bytes: &[u8], source: &SourceDef) -> Result<Whole> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fetched");
    std::fs::write(&path, bytes).unwrap();
    read_path(&path, name, source)
}

/// The French words of a refusal of the whole file.
fn refusal(result: Result<Whole>) -> String {
    match result {
        Err(Error::Refused(text) | Error::Invalid(text)) => text.fr,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn what_is_no_data_is_said() {
    let of = |bytes: &[u8]| refusal(read_bytes("data.geojson", bytes, &source()));
    let html = b"\n<!DOCTYPE html>\n<html><body>404</body></html>";
    assert!(of(html).contains("page HTML"));
    assert!(of("\u{feff}<html>".as_bytes()).contains("page HTML"));
    assert!(of(b"<?xml version=\"1.0\"?><ServiceException/>").contains("ni du GML ni du KML"));
    assert!(of(b"").contains("vide"));
    assert!(of(b" \n ").contains("vide"));
    assert!(of(b"%PDF-1.7").contains("PDF"));
    for mapinfo in [
        "!table\n!version 300\n",
        "Version 300\nCharset \"WindowsLatin1\"\nColumns 1\n  a Char(5)\nData\n",
    ] {
        assert!(of(mapinfo.as_bytes()).contains("ogr2ogr"), "{mapinfo}");
    }
    assert!(of(b"fgb\x03fgb\x00").contains("FlatGeobuf tronqué"));
    assert!(of(b"PAR1").contains("Parquet tronqué"));
    assert!(of(&[0xd0, 0xcf, 0x11, 0xe0, 0, 0]).contains("XLS"));
    assert!(of(&[1, 2, 0, 3]).contains("non reconnu"));
    assert!(of(b"Service unavailable").contains("non reconnu"));
    assert!(of(b"[1,2]").contains("FeatureCollection"));
    assert!(of(b"{\"a\":1}").contains("FeatureCollection"));
    // An HTML page is one even when the source is declared to be CSV and named so.
    let csv = SourceDef { format: Some(crate::model::Format::Csv), ..source() };
    assert!(refusal(read_bytes("a.csv", html, &csv)).contains("page HTML"));
}

#[test]
fn names_that_lie_are_noted_and_declarations_that_lie_refused() {
    let csv = b"code;lon;lat\n01001;4,9;46,1\n";
    let whole = read_bytes("data.geojson", csv, &source()).unwrap();
    assert_eq!(whole.records.len(), 1);
    assert!(whole.notes.contains("c'est du CSV"), "{}", whole.notes);
    let geojson = b"{\"type\":\"FeatureCollection\",\"features\":[]}";
    let whole = read_bytes("data.csv", geojson, &source()).unwrap();
    assert!(whole.notes.contains("c'est du GeoJSON"));
    assert_eq!(read_bytes("export?f=json", geojson, &source()).unwrap().notes, "");
    let declared = SourceDef { format: Some(crate::model::Format::Csv), ..source() };
    assert!(refusal(read_bytes("data.csv", geojson, &declared)).contains("déclarée en CSV"));
}
