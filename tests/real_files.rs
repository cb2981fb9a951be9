//! All real files of the shared data, harvested: each gives the features it holds, attached to the
//! communes of 2025. Writes what it found, with times and memory, to `real-files.md` in the target
//! folder. `make real-files` runs it: it takes minutes.

use crate::support::{Site, has, said, shared};
use std::{
    fmt::Write,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

/// A file, what it is read as, and how many rows it has and keeps.
struct Case {
    id: &'static str,
    file: &'static str,
    /// More of `[source]`, then other tables.
    toml: &'static str,
    read: u64,
    kept: u64,
}

const fn case(
    id: &'static str,
    file: &'static str,
    toml: &'static str,
    read: u64,
    kept: u64,
) -> Case {
    Case { id, file, toml, read, kept }
}

const COM: &str = "[territory]\nlevel = \"com\"\ncolumn = \"insee_com\"";
const COM_GEO: &str =
    "[territory]\nlevel = \"com\"\ncolumn = \"insee_com\"\ngeometry = \"centroid\"";
const QPV: &str = "[territory]\n[[territory.columns]]\nlevel = \"com\"\ncolumn = \"insee_com\"\n[[territory.columns]]\nlevel = \"qpv\"\ncolumn = \"code_qp\"";

/// The borders come first: the others are attached by them.
#[rustfmt::skip] // a table: one line per file
const CASES: &[Case] = &[
    case("communes-2025", "communes-2025.fgb.gz", "[territory]\nlevel = \"com\"\ncolumn = \"code\"\nborders = \"com\"\nborders_where = { column = \"type\", value = \"COM\" }", 37_395, 37_395),
    case("communes-2018", "communes-2018.geojson.gz", "[territory]\nlevel = \"com\"\ncolumn = \"code\"", 35_357, 35_357),
    case("cantons-2025", "cantons-2025-lambert93-cp1252.zip", "[territory]\nlevel = \"canton\"\ncolumn = \"code\"", 1_988, 1_988),
    case("mairies-2025", "mairies-2025-latin1-semicolon.csv.gz", "[territory]\nlevel = \"com\"\ncolumn = \"code_insee\"", 35_611, 35_609),
    case("qpv-2024", "qpv-2024/qpv2024.geojson.gz", QPV, 1_584, 1_584),
    case("qpv-2015", "qpv-2015-occitanie/qp.geojson", "[territory]\nlevel = \"com\"\ncolumn = \"code_commune\"", 105, 105),
    case("acv", "anct-programmes-geo/acv_geom.geojson", "", 232, 232),
    case("acv2", "anct-programmes-geo/acv2_geom.geojson", "", 45, 45),
    case("ami", "anct-programmes-geo/ami_geom.geojson", "", 61, 61),
    case("amm", "anct-programmes-geo/amm_geom.geojson", "", 200, 200),
    case("cde", "anct-programmes-geo/cde_geom.geojson", "", 91, 91),
    case("citeduc", "anct-programmes-geo/citeduc_geom.geojson", "", 189, 189),
    case("fabp", "anct-programmes-geo/fabp_geom.geojson", "", 19, 19),
    case("fabt", "anct-programmes-geo/fabt_geom.geojson", "", 342, 342),
    case("frla", "anct-programmes-geo/frla_geom.geojson", "", 70, 70),
    case("fs", "anct-programmes-geo/fs_geom.geojson", "", 2_519, 2_519),
    case("manuprox", "anct-programmes-geo/manuprox_geom.geojson", "", 98, 98),
    case("pao", "anct-programmes-geo/pao_geom.geojson", "", 99, 99),
    case("pvd", "anct-programmes-geo/pvd_geom.geojson", "", 1_645, 1_645),
    case("ti", "anct-programmes-geo/ti_geom.geojson.gz", "", 183, 183),
    case("va", "anct-programmes-geo/va_geom.geojson", "", 2_498, 2_498),
    case("acv-cog2023", "anct-programmes-geo/acv-cog2023.gpkg", "member = \"laureat\"", 242, 242),
    case("anct-acv-pvd-ort", "anct-acv-pvd-ort/anct_programmes.json", "[territory]\nlevel = \"com\"\ncolumn = \"key\"\ngeometry = \"centroid\"", 2_390, 2_390),
    case("france-services-2024", "france-services-2024/liste-fs-20240801.csv", COM, 2_845, 2_845),
    case("france-services-2021", "france-services-2021/france_services.geojson", COM, 908, 908),
    case("iris", "iris-idf/iris_idf.geojson.gz", COM, 5_264, 5_264),
    case("bpe", "bpe-communes-2024/bpe_communes.json.gz", "[territory]\nlevel = \"com\"\ncolumn = \"key\"\ngeometry = \"centroid\"", 21_690, 21_690),
    case("paris-commerces", "paris-commerces-2020/commerces.geojson", "", 2_503, 2_503),
    case("osm-supermarches", "osm-shops-paris-2014/supermarches.geojson", "", 598, 598),
    case("osm-fleuristes", "osm-shops-paris-2014/fleuristes.geojson", "", 191, 191),
    case("osm-kiosques", "osm-shops-paris-2014/kiosques.geojson", "", 191, 191),
    case("osm-bijoutiers", "osm-shops-paris-2014/bijoutiers.geojson", "", 80, 80),
    case("cog-communes", "cog-insee-2024/communes.csv.gz", "[territory]\nlevel = \"com\"\ncolumn = \"COM\"\ngeometry = \"centroid\"", 37_544, 37_544),
    case("cog-mouvements", "cog-insee-2024/mouvements-communes.csv.gz", "", 13_284, 13_284),
    case("cog-departements", "cog-insee-2024/departements.csv", "[territory]\nlevel = \"dep\"\ncolumn = \"DEP\"", 101, 101),
    case("cog-regions", "cog-insee-2024/regions.csv", "[territory]\nlevel = \"reg\"\ncolumn = \"REG\"", 18, 18),
    case("cog-arrondissements", "cog-insee-2024/arrondissements.csv", "[territory]\nlevel = \"arr\"\ncolumn = \"ARR\"", 333, 333),
    case("cogugaison", "cogugaison-passage/passage_annee_a_annee.csv.gz", "", 11_576, 11_576),
    case("zrr-2022", "zrr-2022/zrr_2022.csv", COM_GEO, 34_965, 34_965),
    case("qpv-mauvaise-geometrie", "messy/anct_qpv_mauvaise_geometrie_communes.geojson", QPV, 692, 692),
    case("asp-communes", "messy/asp_ref_insee_com_v4.csv.gz", "[territory]\nlevel = \"com\"\ncolumn = \"code_com_insee\"", 77_204, 77_204),
    case("qp2015-indicateurs", "messy/qp2015_occitanie_indicateurs_bom.csv", "", 105, 105),
    case("fs-windows1252", "derives-messy/france_services_windows1252_pointvirgule.csv", COM, 2_845, 2_845),
    case("qpv93-cc49", "derives-messy/qpv93_cc49.gpkg", QPV, 0, 0),
    case("qpv93-l93", "derives-messy/qpv93_l93.shp", QPV, 0, 0),
    case("qpv971-rgaf09", "derives-messy/qpv971_rgaf09.shp", QPV, 0, 0),
    case("qpv974-rgr92", "derives-messy/qpv974_rgr92.shp", QPV, 0, 0),
    case("ne-countries", "cql2/ne110m4cql2.gpkg", "member = \"ne_110m_admin_0_countries\"", 177, 177),
    // Ten of its cells start with a quote that ends before they do.
    case("cql2-predicates", "cql2/predicates.tsv", "", 173, 163),
];

/// The figures of a run's line of counts.
fn counts(said: &str) -> Option<[u64; 6]> {
    let line = said.lines().find(|line| line.trim_start().starts_with("lues "))?;
    let numbers: Vec<u64> = line.split(['·', ' ']).filter_map(|w| w.parse().ok()).collect();
    numbers.try_into().ok()
}

/// Harvests one layer; what was said, seconds, and the most memory held, MiB, where GNU time tells.
fn harvest(site: &Site, id: &str, timed: bool) -> (String, f64, Option<u64>) {
    let config = site.config();
    let program = env!("CARGO_BIN_EXE_socle");
    let mut command = match timed {
        true => {
            let mut command = Command::new("/usr/bin/time");
            command.args(["-f", "peak %M", "timeout", "900", program]);
            command
        }
        false => {
            let mut command = Command::new("timeout");
            command.args(["900", program]);
            command
        }
    };
    command.args(["harvest", id, "--config", &config]).env("LC_ALL", "fr_FR.UTF-8");
    let started = Instant::now();
    let output = command.stdin(Stdio::null()).output().expect("socle runs");
    let seconds = started.elapsed().as_secs_f64();
    let text = said(&output);
    let peak = text.lines().find_map(|l| l.strip_prefix("peak ")?.trim().parse::<u64>().ok());
    assert!(output.status.success(), "{id}: {text}");
    (text, seconds, peak.map(|kib| kib >> 10))
}

#[test]
fn all_real_files_harvest() {
    if std::env::var_os("SOCLE_REAL_FILES").is_none() {
        println!("skipped: real files are read by `make real-files`");
        return;
    }
    if CASES.iter().any(|case| shared(case.file).is_none()) {
        return;
    }
    let timed = Path::new("/usr/bin/time").exists() && has("timeout");
    let site = Site::new();
    for case in CASES {
        let path = fs::canonicalize(shared(case.file).unwrap()).unwrap();
        let (source, rest) = case.toml.split_at(case.toml.find('[').unwrap_or(case.toml.len()));
        let rest = format!("[source]\npath = {path:?}\n{source}\n{rest}");
        site.layer(case.id, &rest);
    }
    let mut table = String::from(
        "| file | rows | kept | refused | repaired | carried | unattached | s | MiB |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    let mut wrong = Vec::new();
    for case in CASES {
        let (text, seconds, peak) = harvest(&site, case.id, timed);
        let Some([read, kept, refused, repaired, carried, lost]) = counts(&text) else {
            panic!("{}: {text}", case.id)
        };
        let peak = peak.map_or("–".to_owned(), |mib| mib.to_string());
        let name = match case.toml.strip_prefix("member = \"") {
            Some(member) => format!("{} ({})", case.file, member.trim_end_matches('"')),
            None => case.file.to_owned(),
        };
        let _ = writeln!(
            table,
            "| {name} | {read} | {kept} | {refused} | {repaired} | {carried} | {lost} | {seconds:.1} | {peak} |"
        );
        // Derived files are as many as their makers left: at least some, and all of them kept.
        let right = match case.read {
            0 => read > 0 && kept == read,
            _ => (read, kept) == (case.read, case.kept),
        };
        if !right {
            wrong.push(format!("{}: {read} read, {kept} kept\n{text}", case.id));
        }
        match case.id {
            // What these real files are known for is noticed.
            "qpv-mauvaise-geometrie" => assert!(
                text.contains("le contour d'une commune entière"),
                "geometry that contradicts codes: {text}"
            ),
            "fs-windows1252" | "asp-communes" => {
                assert!(text.contains("avaient perdu leur zéro initial"), "{text}");
            }
            "zrr-2022" => assert!(text.contains("ont pris le centre"), "{text}"),
            _ => {}
        }
    }
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("real-files.md");
    fs::write(&place, &table).unwrap();
    println!("{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
