//! The data that is measured: the national communes of 2018 where the shared data is there, else
//! the communes of the demo.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// Levels are derived after a harvest, and measured by themselves.
const NO_LEVELS: &str = "territories.derived = []\n";

/// A configuration with a harvested layer to measure, and those it needs.
pub struct Site {
    /// What it is.
    pub name: &'static str,
    /// The layer's id.
    pub layer: &'static str,
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
        let folder = self.path(&format!("store/layers/{}/versions", self.layer));
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

    /// The configuration with the levels that are derived from communes.
    pub fn levels_config(&self) -> &'static str {
        let text = fs::read_to_string(self.path("socle.toml")).expect("socle.toml");
        fs::write(self.path("levels.toml"), text.replace(NO_LEVELS, "")).expect("a file");
        "levels.toml"
    }

    /// Runs `socle` on this site.
    pub fn socle(&self, args: &[&str]) {
        self.socle_with("socle.toml", args);
    }

    /// Runs `socle` with another of the site's settings.
    pub fn socle_with(&self, settings: &str, args: &[&str]) {
        assert!(self.command(settings, args).status().is_ok_and(|s| s.success()), "{args:?}");
    }

    /// `socle` on this site, silent.
    pub fn command(&self, settings: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_socle"));
        command.args(args).arg("--config").arg(self.path(settings));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
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
        format!("{NO_LEVELS}[server]\nadmin_listen = \"off\"\n[store]\npath = \"store\"\n[harvest]\ncache = \"cache\"\n"),
    )
    .expect("socle.toml");
    let layer = "id = \"communes\"\ntitle = \"Communes\"\nproducer = \"IGN\"\nlicence = \"lov2\"\nkey = \"code\"\nkeep_versions = 0\n\
                 [source]\npath = \"../communes.geojson\"\n[territory]\nlevel = \"com\"\ncolumn = \"code\"\nborders = \"com\"\n\
                 [tiles]\nmax_zoom = 14\n";
    fs::write(dir.path().join("layers/communes.toml"), layer).expect("a layer");
    let mut site = Site { name, layer: "communes", count: 0, source, dir };
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

/// Seconds of the fastest of at most `times` runs that fit into a few seconds; at least one.
pub fn best_within(times: usize, seconds: f64, mut work: impl FnMut()) -> f64 {
    let (start, mut fastest) = (std::time::Instant::now(), f64::INFINITY);
    for _ in 0..times {
        fastest = fastest.min(best(1, &mut work));
        if start.elapsed().as_secs_f64() > seconds {
            break;
        }
    }
    fastest
}

/// What one run of a program took.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub seconds: f64,
    /// Most memory it held (resident).
    pub peak_mib: f64,
}

/// Runs a program to its end, looking at its memory meanwhile.
pub fn cost(mut command: Command) -> Cost {
    let start = std::time::Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0f64;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok());
        peak = peak.max(kib.unwrap_or(0.0) / 1024.0);
        if let Some(ended) = child.try_wait().expect("a child") {
            assert!(ended.success(), "{command:?}");
            return Cost { seconds: start.elapsed().as_secs_f64(), peak_mib: peak };
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
