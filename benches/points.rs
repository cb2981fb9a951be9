//! A layer of 1.5 million points scattered around real town halls, with a fixed seed: what a
//! register of establishments looks like. It is made here at each run and never committed.
//!
//! - `points`: all of them, attached to communes by location, as a register without codes is.
//! - `few`: as many as France has communes, holding all points of the deep tiles that are
//!   measured, so that the same tile is drawn from a small layer and from a large one.

use crate::{
    items,
    postgis::{self, postgres},
    report::Report,
    site::{self, Site, best, cost, has_ogr2ogr},
    versus,
};
use socle::{
    config::Settings,
    import::{Borders, Importer},
    model::{SourceLimits, TileId},
    territory::Reference,
    tiles::render,
};
use std::{
    fs,
    io::{BufWriter, Read, Write},
    path::Path,
    process::Command,
};

/// Points of the large layer.
pub const MANY: usize = 1_500_000;
/// Points of the small one, beside those of the deep tiles.
const FEW: usize = 33_000;
/// Where the random numbers start.
const SEED: u64 = 20_261_124;

/// Tiles per zoom: those of [`crate::cold::TILES`], then deeper ones over towns large and small.
pub const TILES: &[(u8, &[(u32, u32)])] = &[
    (6, &[(32, 22), (31, 22), (32, 21), (33, 23)]),
    (8, &[(130, 85), (129, 88), (132, 92), (125, 89), (131, 87), (128, 93)]),
    (10, &[(520, 344), (518, 352), (528, 366), (505, 358), (532, 355), (512, 372), (522, 350)]),
    (12, &[(2081, 1373), (2074, 1409), (2112, 1465), (2022, 1432), (2130, 1421), (2050, 1490)]),
    (14, &[(8331, 5511), (8412, 5844), (8309, 5935), (7987, 5668), (8473, 5618), (8171, 5807)]),
];

/// The measured tiles of the zooms where the size of a layer should not matter any more.
pub fn deep() -> impl Iterator<Item = TileId> {
    let deep = TILES.iter().filter(|(z, _)| *z >= 12);
    deep.flat_map(|(z, list)| list.iter().filter_map(|(x, y)| TileId::new(*z, *x, *y)))
}

/// splitmix64: the same numbers everywhere, for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 (left out) to 1.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 1.0) / (1u64 << 53) as f64
    }
}

/// A town hall: position and commune.
struct Hall {
    lon: f64,
    lat: f64,
    commune: String,
}

/// Town halls of France, else those of the demo.
fn halls() -> Vec<Hall> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = root.join("../shared/data/mairies-2025-latin1-semicolon.csv.gz");
    let mut bytes = Vec::new();
    let (x, y, name) = if shared.exists() {
        let packed = fs::File::open(&shared).expect("shared data");
        flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).expect("unpacks");
        ("X", "Y", "nom")
    } else {
        bytes = fs::read(root.join("config/demo/data/mairies.csv")).expect("the demo's data");
        ("longitude", "latitude", "commune")
    };
    let (text, _, _) = encoding_rs::WINDOWS_1252.decode(&bytes);
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_reader(text.as_bytes());
    let names = reader.headers().expect("a header").clone();
    let column = |wanted: &str| names.iter().position(|n| n == wanted);
    let (x, y) = (column(x).expect("longitudes"), column(y).expect("latitudes"));
    let name = column(name).unwrap_or(x);
    let number = |cell: &str| cell.replace(',', ".").parse::<f64>().ok();
    let rows = reader.records().filter_map(|row| {
        let row = row.ok()?;
        let (lon, lat) = (number(row.get(x)?)?, number(row.get(y)?)?);
        Some(Hall { lon, lat, commune: row.get(name)?.to_owned() })
    });
    rows.filter(|h| h.lat.abs() < 80.0).collect()
}

/// One point of the register.
struct Point<'a> {
    number: usize,
    lon: f64,
    lat: f64,
    hall: &'a Hall,
    activity: u64,
    staff: u64,
}

impl Point<'_> {
    fn write(&self, out: &mut impl Write) {
        const KINDS: [&str; 8] =
            ["Boulangerie", "Garage", "Salon", "Atelier", "Épicerie", "Cabinet", "Bar", "École"];
        let kind = KINDS[(self.activity % 8) as usize];
        let (number, commune) = (self.number, &self.hall.commune);
        writeln!(
            out,
            "{:014},\"{kind} {number} ({})\",{:02}.{:02}Z,{},{:.6},{:.6}",
            SEED * 100_000 + number as u64 * 7,
            commune.replace('"', ""),
            10 + self.activity % 86,
            self.activity % 40,
            self.staff,
            self.lon,
            self.lat
        )
        .expect("a row");
    }

    fn inside(&self, tile: TileId) -> bool {
        let b = tile.bounds();
        // The buffer of points reaches a sixteenth of a tile beyond; twice that is surely enough.
        let (dx, dy) = ((b.east - b.west) / 8.0, (b.north - b.south) / 8.0);
        (b.west - dx..=b.east + dx).contains(&self.lon)
            && (b.south - dy..=b.north + dy).contains(&self.lat)
    }
}

/// Writes both layers' sources: most of the points in few towns, spread the wider the more there
/// are, thinning outwards. Gives how many the small one holds.
fn write(dir: &Path) -> usize {
    let halls = halls();
    let mut random = Random(SEED);
    let weights: Vec<f64> =
        halls.iter().map(|_| random.unit().powf(-1.0 / 1.1).min(4_000.0)).collect();
    let all: f64 = weights.iter().sum();
    let create = |name: &str| {
        let mut out = BufWriter::new(fs::File::create(dir.join(name)).expect("a file"));
        writeln!(out, "siret,nom,activite,effectif,longitude,latitude").expect("a header");
        out
    };
    let (mut many, mut few) = (create("points.csv"), create("few.csv"));
    let (mut number, mut kept, mut due) = (0, 0, 0.0);
    let deep: Vec<TileId> = deep().collect();
    for (hall, weight) in halls.iter().zip(&weights) {
        due += weight / all * MANY as f64;
        let radius = 0.004 * (weight / all * MANY as f64).max(1.0).sqrt().min(12.0);
        while (number as f64) < due.round() {
            let (distance, angle) =
                (-radius * random.unit().ln() / 2.0, random.unit() * std::f64::consts::TAU);
            let lat = hall.lat + distance * angle.sin();
            let lon = hall.lon + distance * angle.cos() / hall.lat.to_radians().cos();
            let (activity, staff) = (random.next() >> 8, (1.0 / random.unit()) as u64);
            let point = Point { number, lon, lat, hall, activity, staff };
            point.write(&mut many);
            if number % (MANY / FEW) == 0 || deep.iter().any(|t| point.inside(*t)) {
                point.write(&mut few);
                kept += 1;
            }
            number += 1;
        }
    }
    many.flush().expect("a file");
    few.flush().expect("a file");
    kept
}

/// A site with the communes as borders, harvested, and both layers of points, declared.
pub fn site() -> Site {
    let mut site = site::national();
    let few = write(&site.path(""));
    println!("points: {MANY} around town halls, and {few} of them");
    for id in ["points", "few"] {
        let layer = format!(
            "id = \"{id}\"\ntitle = \"Établissements\"\nproducer = \"INSEE\"\nlicence = \"lov2\"\nkey = \"siret\"\nkeep_versions = 0\n\
             [source]\npath = \"../{id}.csv\"\n[source.csv]\nx = \"longitude\"\ny = \"latitude\"\ntext = [\"siret\"]\n\
             [tiles]\nmin_zoom = 5\nmax_zoom = 14\n"
        );
        fs::write(site.path(&format!("layers/{id}.toml")), layer).expect("a layer");
    }
    site.name = "1.5 M points";
    site.layer = "points";
    site.source = site.path("points.csv");
    site.count = MANY as u64;
    site
}

/// How `ogr2ogr` finds where the points are.
pub const PLACED: [&str; 4] =
    ["-oo", "X_POSSIBLE_NAMES=longitude", "-oo", "Y_POSSIBLE_NAMES=latitude"];
/// And in which reference system.
const AS_POINTS: [&str; 2] = ["-a_srs", "EPSG:4326"];

/// Measures.
pub fn run(report: &mut Report) {
    let site = site();
    loads(&site, report);
    attachment(&site, report);
    growth(&site, report);
    let Some(server) = postgres::shared() else {
        return report.left_out("postgis-points", "PostgreSQL with PostGIS is not installed");
    };
    let (url, target) = postgis::database(&site, server);
    site.socle_with("postgis.toml", &["harvest", "communes"]);
    let ours = cost(site.command("postgis.toml", &["harvest", "points"]));
    report.figure("postgis-points-load-memory", ours.peak_mib, None, "MiB");
    if has_ogr2ogr() {
        let source = site.source.to_str().expect("UTF-8");
        let mut command = Command::new("ogr2ogr");
        command
            .args(postgis::into_postgis(&target, source, "ogr_points"))
            .args(PLACED)
            .args(AS_POINTS);
        let theirs = cost(command);
        let (ours, theirs) = (ours.seconds, theirs.seconds);
        report.row("postgis-points-load-over-ogr2ogr", ours / theirs, None, ours, theirs, "s");
    }
    versus::run(&site, &url, TILES, report);
}

/// Harvest over `ogr2ogr` CSV → GeoPackage: time and memory.
fn loads(site: &Site, report: &mut Report) {
    site.socle(&["harvest", "few"]);
    let ours = cost(site.command("socle.toml", &["harvest", "points"]));
    if !has_ogr2ogr() {
        report.figure("points-harvest", ours.seconds, None, "s");
        return report.figure("points-harvest-memory", ours.peak_mib, None, "MiB");
    }
    let out = site.path("ogr-points.gpkg");
    let mut command = Command::new("ogr2ogr");
    command.args(["-f", "GPKG"]).arg(out).arg(&site.source).args(PLACED).args(AS_POINTS);
    let theirs = cost(command);
    let (a, b) = (ours.seconds, theirs.seconds);
    report.row("points-harvest-over-ogr2ogr", a / b, None, a, b, "s");
    let (a, b) = (ours.peak_mib, theirs.peak_mib);
    report.row("points-harvest-memory", a / b, None, a, b, "MiB");
}

/// The points of the version in force attached anew to all communes, by location.
fn attachment(site: &Site, report: &mut Report) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let settings = Settings::load(&site.path("socle.toml")).expect("settings");
    let (store, layer) = runtime.block_on(items::open(site));
    let at = layer.at().expect("a version").clone();
    let mut current = runtime.block_on(store.current()).expect("versions");
    let importer = Importer::new(Reference::builtin(), SourceLimits::default());
    let seconds = best(2, || {
        // The borders are read again too: their polygons are a part of the work.
        let layers = settings.layers.iter();
        let layers = layers.filter_map(|def| Some((def, current.get(&def.id)?.clone())));
        let borders = Borders::new(layers, &store).expect("borders");
        let reach = importer.reach(&store, &at, &layer.def, &borders).expect("a reach index");
        assert_eq!(reach.degree.len(), MANY);
    });
    current.clear();
    report.figure("points-attachment", seconds, Some("<= 15"), "s");
}

/// The same deep tiles from the large layer and from the small one: the same bytes.
fn growth(site: &Site, report: &mut Report) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let open = |layer| runtime.block_on(items::open_layer(site, layer));
    let sides = [open("few"), open("points")];
    let mut logs = [0.0, 0.0];
    let draw = |side: usize, id| {
        let (store, layer) = &sides[side];
        let at = layer.at().expect("a version");
        let found = runtime.block_on(store.tile(at, id, 256, None)).expect("a tile");
        found.and_then(|f| render(&f, id, "points", 256).expect("MVT")).map_or(0, |t| t.len())
    };
    let mut n = 0.0;
    for id in deep() {
        assert_eq!(draw(0, id), draw(1, id), "{id:?}");
        let mut fastest = [f64::INFINITY; 2];
        for side in (0..60).map(|i| i % 2) {
            fastest[side] = fastest[side].min(best(1, || _ = draw(side, id)));
        }
        for (log, fastest) in logs.iter_mut().zip(fastest) {
            *log += fastest.ln();
        }
        n += 1.0;
    }
    let [few, many] = logs.map(|log| (log / n).exp() * 1e3);
    report.row("points-growth-35k-to-1.5M", many / few, Some("<= 1.3"), many, few, "ms");
}
