//! The data that is measured: the national communes of 2018 where the shared data is there, else
//! the communes of the demo.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// A configuration with one harvested layer, `communes`.
pub struct Site {
    /// What it is.
    pub name: &'static str,
    /// Features.
    pub count: u64,
    /// The source, plain GeoJSON.
    pub source: PathBuf,
    dir: TempDir,
}

impl Site {
    /// A path in the site's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The GeoPackage of the current version.
    pub fn gpkg(&self) -> PathBuf {
        let folder = self.path("store/layers/communes/versions");
        fs::read_dir(folder)
            .expect("versions")
            .map(|e| e.expect("a file").path())
            .find(|p| p.extension().is_some_and(|e| e == "gpkg"))
            .expect("a GeoPackage")
    }

    /// The configuration with metrics on, at a free port.
    pub fn measured_config(&self) -> PathBuf {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("an address");
        let text = fs::read_to_string(self.path("socle.toml")).expect("socle.toml");
        let path = self.path("measured.toml");
        fs::write(&path, text.replace("\"off\"", &format!("\"{address}\""))).expect("a file");
        path
    }

    /// Runs `socle` on this site.
    pub fn socle(&self, args: &[&str]) {
        self.socle_with("socle.toml", args);
    }

    /// Runs `socle` with another of the site's settings.
    pub fn socle_with(&self, settings: &str, args: &[&str]) {
        let status = Command::new(env!("CARGO_BIN_EXE_socle"))
            .args(args)
            .arg("--config")
            .arg(self.path(settings))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("socle runs");
        assert!(status.success(), "socle {args:?}");
    }
}

/// Unpacks, declares and harvests the layer.
pub fn national() -> Site {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().expect("a folder");
    let shared = root.join("../shared/data/communes-2018.geojson.gz");
    let source = dir.path().join("communes.geojson");
    let name = if shared.exists() {
        let packed = fs::File::open(&shared).expect("shared data");
        let mut plain = flate2::read::GzDecoder::new(packed);
        std::io::copy(&mut plain, &mut fs::File::create(&source).expect("a file"))
            .expect("unpacks");
        "communes of 2018, all of France"
    } else {
        fs::copy(root.join("config/demo/data/communes.geojson"), &source).expect("the demo's data");
        "communes of Hauts-de-France (shared data absent)"
    };
    fs::create_dir(dir.path().join("layers")).expect("layers/");
    fs::write(
        dir.path().join("socle.toml"),
        "[server]\nadmin_listen = \"off\"\n[store]\npath = \"store\"\n[harvest]\ncache = \"cache\"\n",
    )
    .expect("socle.toml");
    let layer = "id = \"communes\"\ntitle = \"Communes\"\nproducer = \"IGN\"\nlicence = \"lov2\"\nkey = \"code\"\nkeep_versions = 0\n\
                 [source]\npath = \"../communes.geojson\"\n[territory]\nlevel = \"com\"\ncolumn = \"code\"\nborders = \"com\"\n\
                 [tiles]\nmax_zoom = 14\n";
    fs::write(dir.path().join("layers/communes.toml"), layer).expect("a layer");
    let mut site = Site { name, count: 0, source, dir };
    site.socle(&["harvest"]);
    let index = site.path("store/layers/communes/current");
    let current: serde_json::Value =
        serde_json::from_slice(&fs::read(index).expect("current")).expect("JSON");
    let id = current["version"].as_str().expect("a version");
    let described = site.path(&format!("store/layers/communes/versions/{id}.json"));
    let version: serde_json::Value =
        serde_json::from_slice(&fs::read(described).expect("a description")).expect("JSON");
    site.count = version["version"]["count"].as_u64().expect("a count");
    site
}

/// Whether `ogr2ogr` is there.
pub fn has_ogr2ogr() -> bool {
    Command::new("ogr2ogr").arg("--version").stdout(Stdio::null()).status().is_ok()
}

/// Seconds that `ogr2ogr` takes, the best of `times`.
pub fn ogr2ogr(args: &[&str], times: usize) -> f64 {
    best(times, || {
        let status = Command::new("ogr2ogr").args(args).stdout(Stdio::null()).status();
        assert!(status.is_ok_and(|s| s.success()), "ogr2ogr {args:?}");
    })
}

/// Seconds of the fastest of `times` runs.
pub fn best(times: usize, mut work: impl FnMut()) -> f64 {
    (0..times)
        .map(|_| {
            let start = std::time::Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}
