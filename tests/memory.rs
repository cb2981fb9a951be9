//! What a load holds does not grow with what it loads: rows too many to be held go to a file, and
//! the version is the same.

use crate::support::{Site, root, said};
use jiff::Timestamp;
use socle::{
    config::Settings,
    import::{Borders, Importer, Job},
    model::{Harvested, LayerDef, Silent, SourceLimits},
    store::{NewVersion, Store, embedded::EmbeddedStore, spool::Spill},
    territory::Reference,
};
use std::{
    collections::BTreeMap, fmt::Write as _, fs, io::Write as _, path::Path, process::Command,
    sync::Arc,
};

over_both![memory_does_not_grow_with_rows];

/// The demo's layers as they are, and as they show what a load does besides.
fn cases() -> Vec<LayerDef> {
    let demo = Settings::load(&root().join("config/demo/socle.toml")).unwrap().layers;
    let of = |id: &str| LayerDef::clone(demo.iter().find(|def| def.id.as_str() == id).unwrap());
    // Tiles too heavy: lines and polygons are lightened, points thinned.
    let (mut light, mut thin) = (of("communes"), of("mairies"));
    light.tiles.budget_kb = Some(20);
    thin.tiles.budget_kb = Some(20);
    // Without a key ids are made of content.
    thin.key = None;
    let mut territories: Vec<LayerDef> =
        demo.iter().filter(|def| def.derived().is_none()).cloned().collect();
    territories.extend([light, thin]);
    territories
}

fn source(def: &LayerDef) -> Harvested {
    let name = match def.id.as_str() {
        "communes" => "communes.geojson",
        "mairies" => "mairies.csv",
        _ => "cantons.zip",
    };
    let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    Harvested {
        path: root().join("config/demo/data").join(name),
        name: name.into(),
        origin: name.into(),
        status: None,
        bytes: 1,
        sha256: "3f9a01c2".repeat(8),
        etag: None,
        modified: None,
        fetched_at: at,
        checked_at: at,
        dataset: None,
        withdrawn: None,
    }
}

fn import(def: &LayerDef, held: usize, folder: &Path) -> NewVersion {
    let importer = Importer::new(Reference::builtin(), SourceLimits::default()).holding(held);
    let (source, borders) = (source(def), Borders::default());
    let workdir = folder.join("work");
    fs::create_dir_all(&workdir).unwrap();
    let job = Job { def, source: &source, borders: &borders, workdir: &workdir, progress: &Silent };
    let mut new = importer.import(&job).unwrap();
    new.version.id = "20260102T030405Z-3f9a01c2".parse().unwrap();
    new.reach.id = "r".into();
    let rows =
        fs::read_dir(&workdir).unwrap().filter_map(|e| e.ok()?.file_name().into_string().ok());
    assert!(!rows.into_iter().any(|name| name.starts_with("rows")), "files of rows have no name");
    new
}

/// Every file of a version, as a store writes it.
fn files(def: &LayerDef, new: NewVersion, folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(folder).unwrap());
    runtime.block_on(async {
        let claim = store.claim(&def.id).await.unwrap().unwrap();
        store.load(&claim, new).await.unwrap();
    });
    let versions = folder.join("layers").join(def.id.as_str()).join("versions");
    let names = fs::read_dir(versions).unwrap().map(|entry| entry.unwrap().path());
    names
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())
        })
        .collect()
}

#[test]
fn rows_in_a_file_make_the_same_version() {
    for def in cases() {
        let folder = tempfile::tempdir().unwrap();
        let held = import(&def, Spill::MOST, folder.path());
        let filed = import(&def, 0, folder.path());
        assert!(!held.features.is_filed() && filed.features.is_filed(), "{}", def.id);
        let said = |new: &NewVersion| serde_json::to_string(&new.version).unwrap();
        assert_eq!(said(&held), said(&filed));
        assert!(held.reach == filed.reach, "{}", def.id);
        if def.tiles.budget_kb.is_some() {
            let less = held.version.thinning.is_some() || held.version.drawing.is_some();
            assert!(less, "{}: the budget is met without leaving anything out", def.id);
        }
        let held = files(&def, held, &folder.path().join("held"));
        let filed = files(&def, filed, &folder.path().join("filed"));
        assert_eq!(held.len(), 4, "rows, index, attachments and description");
        let names: Vec<_> = held.keys().collect();
        assert_eq!(names, filed.keys().collect::<Vec<_>>());
        for (name, bytes) in &held {
            assert!(*bytes == filed[name], "{}: {name} differs", def.id);
        }
    }
}

/// A table of places, a kilobyte a row and all of them different.
fn table(path: &Path, rows: u32) {
    let mut out = std::io::BufWriter::new(fs::File::create(path).unwrap());
    writeln!(out, "code;nom;commune;longitude;latitude;texte").unwrap();
    let mut words = String::new();
    for i in 0..rows {
        words.clear();
        (0..80u32).for_each(|k| _ = write!(words, "{:010x} ", i.wrapping_mul(2_654_435_761) ^ k));
        let (x, y) = (f64::from(i % 997) / 250.0 + 0.5, f64::from(i % 613) / 200.0 + 46.0);
        let commune = ["59350", "80021", "02408", "60057"][i as usize % 4];
        writeln!(out, "{i:08};Lieu {i};{commune};{x:.6};{y:.6};{words}").unwrap();
    }
    out.flush().unwrap();
}

/// The most memory that a harvest of so many rows held, KiB.
fn peak(rows: u32) -> u64 {
    let site = Site::new();
    site.layer(
        "lieux",
        "key = \"code\"\n[source]\npath = \"../lieux.csv\"\n[source.csv]\ntext = [\"code\"]\n\
         [territory]\nlevel = \"com\"\ncolumn = \"commune\"\n",
    );
    table(&site.path("lieux.csv"), rows);
    let config = site.config();
    let program = env!("CARGO_BIN_EXE_socle");
    let mut command = Command::new("/usr/bin/time");
    command.args(["-f", "peak %M", program, "harvest", "--config", &config]);
    let output = command.env("LC_ALL", "fr_FR.UTF-8").output().unwrap();
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains(&rows.to_string()), "{rows} rows: {text}");
    let peak = text.lines().find_map(|line| line.strip_prefix("peak ")?.trim().parse().ok());
    peak.expect("what it held")
}

fn memory_does_not_grow_with_rows() {
    if !Path::new("/usr/bin/time").exists() {
        println!("skipped: GNU time is not installed");
        return;
    }
    let long = std::env::var_os("SOCLE_LONG").is_some();
    let few = if long { 80_000 } else { 12_000 };
    let (one, four) = (peak(few), peak(4 * few));
    println!("{few} rows: {one} KiB, four times as many: {four} KiB");
    // Rows are held up to a limit, which the smaller table may not reach.
    let room = Spill::MOST as u64 >> 10;
    let most = one + one * 2 / 5 + if long { 0 } else { room };
    assert!(four <= most, "{four} KiB for four times the rows of {one} KiB");
}
