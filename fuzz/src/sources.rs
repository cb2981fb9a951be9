//! Files that are harvested, read as an import reads them.

use super::service;
use socle::{
    formats::{
        Next, Reader, cast,
        csv::CsvReader,
        encoding,
        geojson_reader::GeoJsonReader,
        geopackage::GeoPackageReader,
        open_within,
        shapefile::{Files, ShapefileReader},
        types,
    },
    import::{Borders, Importer, Job},
    model::{CsvOptions, Harvested, Silent, SourceDef, SourceLimits, SourceLocation},
    territory::Reference,
};
use std::{path::Path, time::Duration};

/// Most bytes that an archive may hold: little, so that memory says something.
const UNPACKED: u64 = 8 << 20;

/// What a source may hold.
fn limits() -> SourceLimits {
    SourceLimits { max_unpacked: UNPACKED, ..SourceLimits::default() }
}

/// A source without options.
fn source() -> SourceDef {
    SourceDef {
        location: SourceLocation::Http("https://example.fr/data".into()),
        format: None,
        crs: None,
        encoding: None,
        member: None,
        csv: CsvOptions::default(),
        max_bytes: 1 << 24,
        timeout: Duration::from_secs(1),
    }
}

/// All rows of a file; each value, cast, has its field's kind.
fn drain(mut reader: impl Reader) {
    let (mut rows, mut position) = (Vec::new(), 0);
    loop {
        match reader.next() {
            Ok(Next::Record(record)) => rows.push(record),
            Ok(Next::Refused(_)) => {}
            Ok(Next::End) => break,
            Err(_) => return,
        }
        assert!(reader.position() >= position, "position goes back");
        position = reader.position();
    }
    assert!(matches!(reader.next(), Ok(Next::End)), "the end is the end");
    for row in rows {
        for (value, field) in row.values.into_iter().zip(reader.fields()) {
            let kind = types::kind_of(&cast(value, field.kind));
            assert!(kind.is_none_or(|kind| kind == field.kind), "{field:?}");
        }
    }
    let _ = (reader.crs(), reader.notes(), reader.expected());
}

/// GeoJSON.
pub fn geojson(bytes: &[u8]) {
    let (_folder, path) = on_disk(bytes);
    if let Ok(reader) = GeoJsonReader::open(&path, &source()) {
        drain(reader);
    }
}

/// CSV. The first byte chooses among options.
pub fn csv(bytes: &[u8]) {
    let Some((choice, file)) = bytes.split_first() else { return };
    let (folder, path) = on_disk(file);
    let mut source = source();
    match choice % 8 {
        1 => source.encoding = Some("windows-1252".into()),
        2 => source.encoding = Some("utf-16le".into()),
        3 => source.csv.separator = Some(';'),
        4 => source.csv.header = Some(false),
        5 => (source.csv.x, source.csv.y) = (Some("a".into()), Some("b".into())),
        6 => source.csv.decimal = Some(','),
        7 => source.csv.text = vec!["a".into()],
        _ => {}
    }
    let _ = encoding::detect(&path);
    let decoded = encoding::decode(file, None);
    assert!(decoded.text.len() <= file.len() * 4);
    if let Ok(reader) = CsvReader::open(&path, &source, &limits()) {
        drain(reader);
    }
    drop(folder);
}

/// The files of a Shapefile, one behind the other: each is preceded by its length in four bytes.
pub fn shapefile(mut bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    for extension in ["dbf", "shp", "shx", "prj", "cpg"] {
        let Some((length, rest)) = bytes.split_first_chunk::<4>() else { break };
        let (file, rest) = rest.split_at(rest.len().min(u32::from_le_bytes(*length) as usize));
        std::fs::write(folder.path().join("a").with_extension(extension), file).expect("a file");
        bytes = rest;
    }
    let files = Files::beside(&folder.path().join("a.shp"));
    if let Ok(reader) = ShapefileReader::open(&files, &source()) {
        drain(reader);
    }
}

/// A GeoPackage.
pub fn geopackage(bytes: &[u8]) {
    let (folder, path) = on_disk(bytes);
    if let Ok(reader) = GeoPackageReader::open(&path, None, &source()) {
        drain(reader);
    }
    drop(folder);
}

/// An archive, or whatever else a portal gives.
pub fn archive(bytes: &[u8]) {
    let (folder, path) = on_disk(bytes);
    let opened = open_within(&path, "données.zip", &source(), folder.path(), &limits());
    if let Ok(reader) = opened {
        drain(Boxed(reader));
    }
    let kept = std::fs::read_dir(folder.path()).expect("the folder").flatten();
    let kept: u64 = kept.filter_map(|entry| entry.metadata().ok()).map(|m| m.len()).sum();
    // A workbook is written out as text beside what was unpacked.
    assert!(kept <= 2 * UNPACKED + bytes.len() as u64 + (1 << 20), "{kept} bytes unpacked");
    let around = folder.path().parent().expect("a parent");
    assert!(!around.join("hors-du-dossier").exists(), "a path leads out of the folder");
}

/// What a service or a catalogue answers: capabilities and pages of a WFS, records of a CSW, DCAT.
pub fn answers(bytes: &[u8]) {
    socle::harvest::any_answer(bytes);
}

/// A file of any kind, from its bytes to features with their territories.
pub fn import(bytes: &[u8]) {
    let (folder, path) = on_disk(bytes);
    let def = service::lieux();
    let source = harvested(&path, bytes);
    let importer = Importer::new(Reference::builtin(), limits());
    let job = Job {
        def: &def,
        source: &source,
        borders: &Borders::default(),
        workdir: folder.path(),
        progress: &Silent,
    };
    if let Ok(new) = importer.import(&job) {
        assert_eq!(new.version.count, new.features.len() as u64);
        assert_eq!(new.reach.degree.len(), new.features.len());
    }
}

fn harvested(path: &Path, bytes: &[u8]) -> Harvested {
    let time = "2026-11-24T06:03:12Z".parse().expect("a time");
    Harvested {
        path: path.to_owned(),
        name: "données".into(),
        origin: "https://example.fr/données".into(),
        status: Some(200),
        bytes: bytes.len() as u64,
        sha256: "ab".repeat(32),
        etag: None,
        modified: None,
        fetched_at: time,
        checked_at: time,
        dataset: None,
        withdrawn: None,
    }
}

/// Bytes as a file, in a folder that goes with its owner.
fn on_disk(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fetched");
    std::fs::write(&path, bytes).expect("a file");
    (folder, path)
}

/// A reader of a kind that is known at run time only.
struct Boxed(Box<dyn Reader>);

impl Reader for Boxed {
    fn next(&mut self) -> socle::error::Result<Next> {
        self.0.next()
    }
    fn fields(&self) -> &[socle::model::Field] {
        self.0.fields()
    }
    fn crs(&self) -> Option<&str> {
        self.0.crs()
    }
    fn notes(&self) -> Vec<socle::model::Text> {
        self.0.notes()
    }
    fn position(&self) -> u64 {
        self.0.position()
    }
}
