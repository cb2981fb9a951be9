//! Real files, compared with what GDAL reads in them. Skipped by name where they are absent.

use super::*;
use geo::BoundingRect;
use std::{path::PathBuf, process::Command};

/// A real file of the shared data, or `None` with a printed line.
fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {name} (no shared data here)");
    None
}

fn read(name: &str, member: Option<&str>) -> Option<Whole> {
    let path = data(name)?;
    let mut source = SourceDef { location: SourceLocation::File(path.clone()), ..source() };
    source.member = member.map(str::to_owned);
    Some(read_path(&path, name, &source).unwrap())
}

/// What `ogrinfo -so` says of one layer.
struct Ogr {
    count: usize,
    extent: Option<[f64; 4]>,
    fields: Vec<(String, String)>,
}

fn ogrinfo(name: &str, layer: Option<&str>) -> Option<Ogr> {
    let path = data(name)?;
    let path = path.to_str().unwrap();
    let path = match name.rsplit_once('.').unwrap().1 {
        "gz" => format!("/vsigzip/{path}"),
        "zip" => format!("/vsizip/{path}"),
        _ => path.to_owned(),
    };
    let mut command = Command::new("ogrinfo");
    command.args(["-ro", "-so", "-al", &path]);
    if let Some(layer) = layer {
        command = Command::new("ogrinfo");
        command.args(["-ro", "-so", &path, layer]);
    }
    let Ok(output) = command.output() else {
        println!("skipped: comparison of {name} with ogrinfo (not installed)");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |start: &str| text.lines().find_map(|l| l.strip_prefix(start).map(str::to_owned));
    let extent = line("Extent: ").map(|l| {
        let numbers: Vec<f64> =
            l.split(['(', ')', ',', ' ']).filter_map(|w| w.parse().ok()).collect();
        numbers.try_into().unwrap()
    });
    let fields = text.lines().filter_map(|l| {
        let (name, kind) = l.split_once(": ")?;
        let kind = kind.split(['(', ' ']).next()?;
        matches!(kind, "String" | "Integer" | "Integer64" | "Real" | "Date" | "DateTime")
            .then(|| (name.to_owned(), kind.to_owned()))
    });
    Some(Ogr { count: line("Feature Count: ")?.parse().unwrap(), extent, fields: fields.collect() })
}

/// Compares counts, field names, extents, and kinds where both decide them the same way.
fn compare(name: &str, layer: Option<&str>, kinds: bool) {
    let (Some(whole), Some(ogr)) = (read(name, layer), ogrinfo(name, layer)) else { return };
    assert_eq!(whole.records.len() + whole.refused.len(), ogr.count, "{name}");
    let expected: Vec<_> = ogr.fields.iter().map(|f| f.0.as_str()).collect();
    assert_eq!(whole.names(), expected, "{name}");
    for ((field, kind), ours) in ogr.fields.iter().zip(&whole.fields) {
        let same = matches!(
            (kind.as_str(), ours.kind),
            ("String", FieldKind::Text | FieldKind::Json)
                | ("Integer" | "Integer64", FieldKind::Int | FieldKind::Bool)
                | ("Real", FieldKind::Float)
                | ("Date", FieldKind::Date | FieldKind::Text)
                | ("DateTime", FieldKind::DateTime | FieldKind::Text)
        );
        assert!(same || !kinds, "{name}: {field} is {kind} for GDAL, {:?} for us", ours.kind);
    }
    if let Some(extent) = ogr.extent {
        let mut bounds = [f64::MAX, f64::MAX, f64::MIN, f64::MIN];
        for b in whole.records.iter().filter_map(|r| r.geometry.as_ref()?.bounding_rect()) {
            bounds[0] = bounds[0].min(b.min().x);
            bounds[1] = bounds[1].min(b.min().y);
            bounds[2] = bounds[2].max(b.max().x);
            bounds[3] = bounds[3].max(b.max().y);
        }
        for (ours, theirs) in bounds.iter().zip(extent) {
            // GDAL takes a GeoPackage's extent from its R-tree, which holds single precision.
            let slack = if name.ends_with(".gpkg") { 3e-7 * theirs.abs() } else { 0.0 };
            assert!((ours - theirs).abs() < 1e-5 + slack, "{name}: {bounds:?} {extent:?}");
        }
    }
}

#[test]
fn geojson_as_gdal_reads_it() {
    for layer in [
        "acv", "acv2", "ami", "amm", "cde", "citeduc", "fabp", "fabt", "frla", "fs", "manuprox",
        "pao", "pvd", "va",
    ] {
        compare(&format!("anct-programmes-geo/{layer}_geom.geojson"), None, true);
    }
    compare("anct-programmes-geo/ti_geom.geojson.gz", None, true);
    compare("communes-2018.geojson.gz", None, true);
    compare("qpv-2024/qpv2024.geojson.gz", None, true);
    compare("qpv-2015-occitanie/qp.geojson", None, true);
    compare("iris-idf/iris_idf.geojson.gz", None, true);
    compare("messy/anct_qpv_mauvaise_geometrie_communes.geojson", None, true);
    compare("france-services-2021/france_services.geojson", None, true);
    compare("paris-commerces-2020/commerces.geojson", None, false);
}

#[test]
fn shapefiles_as_gdal_reads_them() {
    for name in ["qpv93_l93", "qpv971_rgaf09", "qpv974_rgr92"] {
        compare(&format!("derives-messy/{name}.shp"), None, true);
    }
    compare("cantons-2025-lambert93-cp1252.zip", None, true);
}

#[test]
fn geopackages_as_gdal_reads_them() {
    compare("derives-messy/qpv93_cc49.gpkg", None, true);
    compare("anct-programmes-geo/acv-cog2023.gpkg", Some("laureat"), true);
    compare("anct-programmes-geo/acv-cog2023.gpkg", Some("aav"), true);
    for table in [
        "ne_110m_admin_0_countries",
        "ne_110m_populated_places_simple",
        "ne_110m_rivers_lake_centerlines",
    ] {
        compare("cql2/ne110m4cql2.gpkg", Some(table), false);
    }
}

#[test]
fn accents_survive_every_encoding() {
    let Some(whole) = read("cantons-2025-lambert93-cp1252.zip", None) else { return };
    assert_eq!(whole.value(0, "nom"), Value::Text("Ambérieu-en-Bugey".into()));
    assert!(whole.crs.unwrap().contains("Lambert"));
    // The same neighbourhoods from GeoJSON (UTF-8) and from a Shapefile without .cpg.
    let (Some(qpv), Some(shp)) =
        (read("qpv-2024/qpv2024.geojson.gz", None), read("derives-messy/qpv974_rgr92.shp", None))
    else {
        return;
    };
    for row in 0..shp.records.len() {
        let code = shp.value(row, "code_qp");
        let other = (0..qpv.records.len()).find(|i| qpv.value(*i, "code_qp") == code).unwrap();
        assert_eq!(shp.value(row, "lib_qp"), qpv.value(other, "lib_qp"));
    }
}

#[test]
fn town_halls() {
    let Some(whole) = read("mairies-2025-latin1-semicolon.csv.gz", None) else { return };
    assert_eq!(whole.records.len() + whole.refused.len(), 35_611);
    // Two positions are written "nan": refused by line, not read as a place.
    assert_eq!(whole.refused.len(), 2);
    assert!(whole.refused.iter().all(|r| r.column.as_deref() == Some("X")));
    assert_eq!(whole.kind("X"), FieldKind::Float);
    assert_eq!(whole.kind("code_insee"), FieldKind::Text);
    assert_eq!(whole.value(0, "nom"), Value::Text("Abergement-Clémenciat".into()));
    // Line breaks inside quotes count as lines of the file.
    assert_eq!((whole.records[0].line, whole.records[1].line), (2, 4));
}

#[test]
fn messy_csv_files() {
    if let Some(a) = read("derives-messy/france_services_windows1252_pointvirgule.csv", None) {
        assert_eq!((a.records.len(), a.refused.len()), (2845, 0));
        assert_eq!(a.kind("insee_com"), FieldKind::Text);
        assert_eq!(a.value(0, "insee_com"), Value::Text("1033".into()));
        assert_eq!(a.kind("latitude"), FieldKind::Float);
        // The same rows as the clean file gives.
        if let Some(b) = read("france-services-2024/liste-fs-20240801.csv", None) {
            assert_eq!(a.names(), b.names());
            for row in 0..a.records.len() {
                assert_eq!(a.value(row, "lib_fs"), b.value(row, "lib_fs"));
                assert_eq!(a.records[row].geometry, b.records[row].geometry);
            }
        }
    }
    if let Some(whole) = read("messy/asp_ref_insee_com_v4.csv.gz", None) {
        assert_eq!((whole.records.len(), whole.refused.len()), (77_204, 0));
        assert_eq!(
            whole.names(),
            ["code_com_insee", "lib_com", "date_deb_insee", "date_fin_insee"]
        );
        assert_eq!(whole.kind("date_deb_insee"), FieldKind::Date);
        assert_eq!(whole.value(0, "code_com_insee"), Value::Text("1001".into()));
    }
    if let Some(whole) = read("messy/qp2015_occitanie_indicateurs_bom.csv", None) {
        assert_eq!(whole.names()[0], "code_qp");
        assert_eq!(whole.kind("tx_f"), FieldKind::Float);
    }
    if let Some(whole) = read("cog-insee-2024/mouvements-communes.csv.gz", None) {
        assert_eq!(whole.records.len(), 13_284);
        assert_eq!(whole.kind("COM_AV"), FieldKind::Text);
        assert_eq!(whole.kind("DATE_EFF"), FieldKind::Date);
    }
}
