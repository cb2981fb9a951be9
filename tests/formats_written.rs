//! Every format that is written, opened by GDAL and pyarrow: systems, counts, types, accents,
//! long names, odd values.

use crate::support::{has, python, tool};
use socle::{
    formats::{
        wkb,
        write::{ALL, Fact, Head, Kind, Options, Place, Row, Said, Style, System, Target},
    },
    geometry::crs::Crs,
    model::{Field, FieldKind, GeometryKind, Schema, ValueRef},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// 40 characters, accents among them.
const LONG: &str = "intitulé_de_la_zone_d'étude_n°1_été_2024";

fn system(code: u32) -> System {
    let crs = Crs::from_epsg(code).unwrap();
    let d = crs.definition().unwrap();
    System {
        code: d.code,
        geographic: crs.is_geographic(),
        wkt: d.wkt,
        esri: d.esri,
        projjson: d.projjson,
    }
}

fn head(name: &str, geometry: GeometryKind, code: u32) -> Head {
    assert_eq!(LONG.chars().count(), 40);
    let fields = [
        ("code", FieldKind::Text),
        (LONG, FieldKind::Text),
        ("intitulé_de_la_zone_d'étude_n°2_été_2024", FieldKind::Int),
        ("part", FieldKind::Float),
        ("actif", FieldKind::Bool),
        ("le_jour", FieldKind::Date),
        ("à_l'instant", FieldKind::DateTime),
        ("reste", FieldKind::Json),
    ];
    let field = |(name, kind): (&str, FieldKind)| Field { name: name.to_owned(), kind };
    let fact = |key, label, value: &str| Fact { key, label, value: value.to_owned() };
    Head {
        name: name.to_owned(),
        title: "Zones d'étude".to_owned(),
        description: "Des zones, pour l'essai.".to_owned(),
        schema: Schema { fields: fields.map(field).to_vec(), geometry },
        system: system(code),
        label: Some(1),
        said: vec![Said {
            name: "part".into(),
            title: "Part de la zone".into(),
            description: Some("Unité : %".into()),
        }],
        facts: vec![
            fact("licence", "Licence", "Licence Ouverte 2.0"),
            fact("attribution", "Mention", "Essai & Cie <2024>"),
        ],
        style: Some(Style { name: "essai".into(), qml: "<qgis/>".into() }),
        project: None,
    }
}

type Values = Vec<ValueRef<'static>>;

fn rows() -> Vec<(&'static str, Values)> {
    use ValueRef as V;
    let full = |code: &'static str, words: &'static str, n: i64, part: f64| {
        vec![
            V::Text(code),
            V::Text(words),
            V::Int(n),
            V::Float(part),
            V::Bool(n % 2 == 0),
            V::Text("2024-02-29"),
            V::Text("2024-02-29T12:30:15Z"),
            V::Json(r#"{"a":[1,"é"]}"#),
        ]
    };
    vec![
        ("a", full("01001", "L'Abergement-Clémenciat; « œuvre »", 832, 0.5)),
        ("b", full("2A004", "=SOMME(A1)\n\"deux lignes\"", 9_007_199_254_740_993, -1.25e-7)),
        (
            "c",
            vec![V::Text("00012"), V::Null, V::Null, V::Null, V::Null, V::Null, V::Null, V::Null],
        ),
    ]
}

/// A square of 100 m near a place of Lambert 93 (or of degrees), as the kind of geometry asked.
fn geometry(kind: GeometryKind, i: usize, degrees: bool) -> Vec<u8> {
    use geo_types::{LineString, MultiPolygon, Point, Polygon};
    let (x, y, side) = if degrees {
        (3.0 + i as f64 * 0.01, 50.0, 0.001)
    } else {
        (700_000.0 + i as f64 * 1_000.0, 7_000_000.0, 100.0)
    };
    let ring = |x: f64, y: f64, s: f64| {
        LineString::from(vec![(x, y), (x + s, y), (x + s, y + s), (x, y + s), (x, y)])
    };
    let mut hole = ring(x + side * 0.4, y + side * 0.4, side * 0.2);
    hole.0.reverse();
    let area = Polygon::new(ring(x, y, side), vec![hole]);
    let other = Polygon::new(ring(x + 2.0 * side, y, side), vec![]);
    let shape: geo_types::Geometry<f64> = match kind {
        GeometryKind::Point => Point::new(x, y).into(),
        GeometryKind::LineString => ring(x, y, side).into(),
        GeometryKind::Geometry if i == 0 => Point::new(x, y).into(),
        GeometryKind::Geometry if i == 1 => ring(x, y, side).into(),
        _ => MultiPolygon(vec![area, other]).into(),
    };
    let mut out = Vec::new();
    wkb::write(&shape, &mut out);
    out
}

fn write(kind: &'static Kind, heads: &[Head], options: Options, into: &Path) -> PathBuf {
    let path = into.join(format!("essai.{}", kind.extension));
    let scratch = into.join("scratch");
    fs::create_dir_all(&scratch).unwrap();
    let out = Box::new(fs::File::create(&path).unwrap());
    let target = Target { out, scratch: scratch.clone() };
    let mut writer = kind.open(target, options).unwrap();
    for head in heads {
        writer.begin(head).unwrap();
        for (i, (id, values)) in rows().iter().enumerate() {
            let shape = (head.schema.geometry != GeometryKind::None && i < 2)
                .then(|| geometry(head.schema.geometry, i, head.system.geographic));
            writer.row(&Row { id, values, wkb: shape.as_deref() }).unwrap();
        }
        writer.end().unwrap();
    }
    writer.finish().unwrap();
    let left: Vec<_> = fs::read_dir(&scratch).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(left.is_empty(), "{}: left behind: {left:?}", kind.id);
    path
}

fn kind(id: &str) -> &'static Kind {
    Kind::of(id).unwrap()
}

/// A layer as GDAL reads it: GeoJSON in the file's own system.
fn read(source: &str, layer: Option<&str>, more: &[&str]) -> serde_json::Value {
    let mut args = vec!["-f", "GeoJSON", "/vsistdout/", source];
    args.extend(layer);
    args.extend_from_slice(more);
    // RFC7946=NO and a system kept as it is.
    serde_json::from_str(&tool("ogr2ogr", &args)).unwrap()
}

fn summary(source: &str) -> String {
    tool("ogrinfo", &["-ro", "-so", "-al", source])
}

#[test]
fn a_geopackage_holds_layers_metadata_styles_and_an_index() {
    if !has("ogrinfo") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let heads = [
        head("zones", GeometryKind::MultiPolygon, 2154),
        head("points", GeometryKind::Point, 4326),
        head("table", GeometryKind::None, 4326),
    ];
    let path = write(kind("gpkg"), &heads, Options::default(), dir.path());
    let source = path.to_str().unwrap();
    let text = summary(source);
    for word in
        ["Layer name: zones", "Layer name: points", "Layer name: table", "ID[\"EPSG\",2154]"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    for field in
        ["code: String", &format!("{LONG}: String"), "part: Real", "Boolean", "le_jour: Date ("]
    {
        assert!(text.contains(field), "{field}: {text}");
    }
    assert!(text.contains("à_l'instant: DateTime") && text.contains("Integer64"));
    let zones = read(source, Some("zones"), &[]);
    assert_values(&zones, LONG, true);
    let found = read(source, Some("zones"), &["-spat", "699990", "6999990", "700200", "7000200"]);
    assert_eq!(found["features"].as_array().unwrap().len(), 1, "by the index");
    let sql = |text: &str| read(source, None, &["-sql", text]);
    let said = sql("SELECT metadata FROM gpkg_metadata");
    assert_eq!(said["features"].as_array().unwrap().len(), 3);
    assert!(said.to_string().contains("Licence Ouverte 2.0"));
    let said = sql("SELECT description FROM gpkg_data_columns WHERE column_name = 'part'");
    assert_eq!(said["features"][2]["properties"]["description"], "Unité : %");
    let extensions = sql("SELECT * FROM gpkg_extensions WHERE extension_name = 'gpkg_schema'");
    assert_eq!(extensions["features"].as_array().unwrap().len(), 1);
    let styles = sql("SELECT f_table_name, styleQML, useAsDefault FROM layer_styles");
    assert_eq!(styles["features"].as_array().unwrap().len(), 2);
    let checked = sql("SELECT rtreecheck('rtree_zones_geom') AS ok");
    assert_eq!(checked["features"][0]["properties"]["ok"], "ok");
}

/// The rows, as GDAL gives them back.
fn assert_values(layer: &serde_json::Value, long: &str, times: bool) {
    let features = layer["features"].as_array().unwrap();
    assert_eq!(features.len(), 3, "{layer}");
    let by_code = |code: &str| {
        let found = features.iter().find(|f| f["properties"]["code"] == code);
        &found.unwrap_or_else(|| panic!("{code}: {layer}"))["properties"]
    };
    let first = by_code("01001");
    assert_eq!(first[long], "L'Abergement-Clémenciat; « œuvre »");
    assert_eq!(first["part"], 0.5);
    assert_eq!(by_code("2A004")["part"], -1.25e-7);
    if times {
        assert!(first["le_jour"].as_str().unwrap().starts_with("2024"), "{first}");
    }
    assert!(by_code("00012")[long].is_null());
}

#[test]
fn geojson_in_its_three_forms() {
    if !has("ogrinfo") {
        return;
    }
    for (id, driver) in
        [("geojson", "GeoJSON"), ("geojsonseq", "GeoJSONSeq"), ("ndjson", "GeoJSONSeq")]
    {
        let dir = tempfile::tempdir().unwrap();
        let heads = [head("zones", GeometryKind::MultiPolygon, 4326)];
        let path = write(kind(id), &heads, Options::default(), dir.path());
        let source = path.to_str().unwrap();
        assert!(summary(source).contains(&format!("using driver `{driver}'")), "{id}");
        assert_values(&read(source, None, &[]), LONG, true);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.starts_with('\u{1e}'), id == "geojsonseq");
        if id == "geojson" {
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json["metadata"]["licence"], "Licence Ouverte 2.0");
        }
    }
}

#[test]
fn flatgeobuf_has_an_index_that_finds() {
    if !has("ogrinfo") {
        return;
    }
    for geometry in [GeometryKind::Point, GeometryKind::MultiPolygon, GeometryKind::Geometry] {
        let dir = tempfile::tempdir().unwrap();
        let path =
            write(kind("fgb"), &[head("zones", geometry, 2154)], Options::default(), dir.path());
        let source = path.to_str().unwrap();
        let text = summary(source);
        for word in
            ["ID[\"EPSG\",2154]", "Feature Count: 3", "part: Real", "actif: Integer(Boolean)"]
        {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert_values(&read(source, None, &[]), LONG, true);
        let near = ["-spat", "699990", "6999990", "700500", "7000200"];
        let found = read(source, None, &near);
        let codes: Vec<_> = found["features"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| &f["properties"]["code"])
            .collect();
        assert_eq!(codes, ["01001"], "{geometry:?}");
    }
}

#[test]
fn flatgeobuf_of_many_is_found_box_by_box() {
    if !has("ogr2ogr") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for count in [1usize, 2, 16, 17, 257, 5_000] {
        let path = dir.path().join(format!("{count}.fgb"));
        let out = Box::new(fs::File::create(&path).unwrap());
        let target = Target { out, scratch: dir.path().to_owned() };
        let mut writer = kind("fgb").open(target, Options::default()).unwrap();
        let mut head = head("points", GeometryKind::Point, 4326);
        head.schema.fields.truncate(1);
        writer.begin(&head).unwrap();
        let at = |i: usize, k: f64| (i as f64 * k).fract() * 10.0;
        let places: Vec<(f64, f64)> =
            (0..count).map(|i| (at(i, 0.618_033_988_7), at(i, 0.754_877_666_2))).collect();
        for (i, (x, y)) in places.iter().enumerate() {
            let mut shape = Vec::new();
            wkb::write(&geo_types::Point::new(*x, *y).into(), &mut shape);
            let id = i.to_string();
            writer
                .row(&Row { id: &id, values: &[ValueRef::Text(&id)], wkb: Some(&shape) })
                .unwrap();
        }
        writer.end().unwrap();
        writer.finish().unwrap();
        let source = path.to_str().unwrap();
        let found = read(source, None, &["-spat", "2", "3", "5.5", "6.25"]);
        let inside = |(x, y): &&(f64, f64)| (2.0..=5.5).contains(x) && (3.0..=6.25).contains(y);
        assert_eq!(
            found["features"].as_array().unwrap().len(),
            places.iter().filter(inside).count()
        );
        assert_eq!(read(source, None, &[])["features"].as_array().unwrap().len(), count);
    }
}

#[test]
fn shapefiles_say_what_they_could_not_hold() {
    if !has("ogrinfo") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let heads = [
        head("zones", GeometryKind::MultiPolygon, 2154),
        head("melange", GeometryKind::Geometry, 2154),
    ];
    let path = write(kind("shp"), &heads, Options::default(), dir.path());
    let zip = format!("/vsizip/{}", path.display());
    let listed = tool("ogrinfo", &["-ro", &zip]);
    for layer in ["zones", "melange_points", "melange_lignes", "melange_sans_geometrie"] {
        assert!(listed.contains(layer), "{layer}: {listed}");
    }
    let zones = format!("{zip}/zones.shp");
    let text = summary(&zones);
    for word in ["RGF93", "Polygon", "Feature Count: 3", "code: String (5.0)", "le_jour: Date"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let layer = read(&zones, None, &[]);
    assert_values(&layer, "intitule_d", true);
    let long = &layer["features"][1]["properties"]["intitule_2"];
    assert_eq!(long.as_i64(), Some(9_007_199_254_740_993), "{layer}");
    // A hole stays a hole, and two parts two.
    let area = tool(
        "ogr2ogr",
        &[
            "-f",
            "CSV",
            "/vsistdout/",
            &zones,
            "-dialect",
            "SQLite",
            "-sql",
            "SELECT ST_Area(geometry) AS a, ST_NumGeometries(geometry) AS n FROM zones LIMIT 1",
        ],
    );
    assert!(area.contains("19600,\"2\""), "{area}");
    let mut archive = zip::ZipArchive::new(fs::File::open(&path).unwrap()).unwrap();
    let mut readme = String::new();
    std::io::Read::read_to_string(&mut archive.by_name("LISEZMOI.txt").unwrap(), &mut readme)
        .unwrap();
    for word in [
        "Licence : Licence Ouverte 2.0",
        &format!("champ intitule_d : {LONG}"),
        "champ intitule_2 : intitulé_de_la_zone_d'étude_n°2_été_2024",
        "un par type de géométrie",
    ] {
        assert!(readme.contains(word), "{word}: {readme}");
    }
    let mut cpg = String::new();
    std::io::Read::read_to_string(&mut archive.by_name("zones.cpg").unwrap(), &mut cpg).unwrap();
    assert_eq!(cpg, "UTF-8");
}

#[test]
fn csv_for_french_desktops() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { decimal_comma: true, place: Place::Point, ..Options::default() };
    let heads = [head("zones", GeometryKind::Point, 2154)];
    let path = write(kind("csv"), &heads, options, dir.path());
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with('\u{feff}'));
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(b';')
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let header = reader.headers().unwrap().clone();
    assert_eq!((&header[0], &header[1], &header[8], &header[9]), ("code", LONG, "x", "y"));
    let rows: Vec<csv::StringRecord> = reader.records().map(|r| r.unwrap()).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(&rows[0][0], "01001");
    assert_eq!((&rows[0][3], &rows[0][8], &rows[1][8]), ("0,5", "700000", "701000"));
    assert_eq!(&rows[1][1], "'=SOMME(A1)\n\"deux lignes\"");
    assert_eq!(&rows[1][2], "9007199254740993");
    assert_eq!((&rows[2][1], &rows[2][8]), ("", ""));
    let wkt = Options { place: Place::Wkt, ..Options::default() };
    let heads = [head("zones", GeometryKind::MultiPolygon, 2154)];
    let path = write(kind("csv"), &heads, wkt, dir.path());
    if has("ogr2ogr") {
        let source = path.to_str().unwrap();
        let options = ["-oo", "GEOM_POSSIBLE_NAMES=geometrie_wkt", "-oo", "AUTODETECT_TYPE=YES"];
        let layer = read(source, None, &options);
        assert_eq!(layer["features"].as_array().unwrap().len(), 3);
        assert_eq!(layer["features"][0]["geometry"]["type"], "MultiPolygon", "{layer}");
        assert_eq!(layer["features"][0]["properties"]["code"], "01001");
        assert_eq!(layer["features"][0]["properties"][LONG], "L'Abergement-Clémenciat; « œuvre »");
    }
}

#[test]
fn xlsx_keeps_codes_as_text() {
    if !has("ogrinfo") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let heads = [head("zones", GeometryKind::Point, 4326), head("table", GeometryKind::None, 4326)];
    let options = Options { place: Place::Point, ..Options::default() };
    let path = write(kind("xlsx"), &heads, options, dir.path());
    let source = path.to_str().unwrap();
    let text = summary(source);
    for word in ["Layer name: zones", "Layer name: table", "Layer name: LISEZMOI", "code: String"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(text.contains("le_jour: Date") && text.contains("part: Real"), "{text}");
    assert!(text.contains("longitude: Real") && text.contains("latitude: "), "{text}");
    assert_values(&read(source, Some("zones"), &[]), LONG, true);
}

#[test]
fn kml_of_several_layers() {
    if !has("ogrinfo") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let heads = [
        head("zones", GeometryKind::MultiPolygon, 4326),
        head("points", GeometryKind::Point, 4326),
    ];
    let path = write(kind("kml"), &heads, Options::default(), dir.path());
    let source = path.to_str().unwrap();
    let text = summary(source);
    for word in ["Layer name: zones", "Layer name: points", "Feature Count: 3", "code: String"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert_values(&read(source, Some("zones"), &[]), LONG, false);
}

#[test]
fn geoparquet_is_read_by_pyarrow() {
    let Some(python) = python("pyarrow") else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = write(
        kind("parquet"),
        &[head("zones", GeometryKind::MultiPolygon, 2154)],
        Options::default(),
        dir.path(),
    );
    let script = "
import json, sys
import pyarrow.parquet as pq
t = pq.read_table(sys.argv[1])
geo = json.loads(t.schema.metadata[b'geo'])
column = geo['columns'][geo['primary_column']]
print(json.dumps({
  'version': geo['version'], 'crs': column['crs']['id'], 'bbox': column['bbox'],
  'types': column['geometry_types'], 'socle': json.loads(t.schema.metadata[b'socle']),
  'fields': {f.name: str(f.type) for f in t.schema},
  'rows': json.loads(json.dumps(t.drop_columns(['geometry']).to_pylist(), default=str)),
  'wkb': [g and len(g) for g in t['geometry'].to_pylist()],
}))";
    let out = tool(&python, &["-c", script, path.to_str().unwrap()]);
    let seen: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(seen["version"], "1.1.0");
    assert_eq!(seen["crs"]["code"], 2154);
    assert_eq!(seen["types"], serde_json::json!(["MultiPolygon"]));
    assert_eq!(seen["bbox"][0], 700_000.0);
    assert_eq!(seen["socle"]["licence"], "Licence Ouverte 2.0");
    for (field, kind) in [
        ("code", "string"),
        ("part", "double"),
        ("actif", "bool"),
        ("le_jour", "date32[day]"),
        ("à_l'instant", "timestamp[us, tz=UTC]"),
        ("geometry", "binary"),
    ] {
        assert_eq!(seen["fields"][field], kind, "{seen}");
    }
    let rows = &seen["rows"];
    assert_eq!(rows[0]["code"], "01001");
    assert_eq!(rows[0][LONG], "L'Abergement-Clémenciat; « œuvre »");
    assert_eq!(rows[0]["le_jour"], "2024-02-29");
    assert_eq!(rows[1]["part"], -1.25e-7);
    assert!(rows[2][LONG].is_null() && seen["wkb"][2].is_null());
}

#[test]
fn layers_without_rows_are_files_all_the_same() {
    if !has("ogrinfo") {
        return;
    }
    for kind in &ALL {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(format!("vide.{}", kind.extension));
        let out = Box::new(fs::File::create(&path).unwrap());
        let target = Target { out, scratch: dir.path().to_owned() };
        let mut writer = kind.open(target, Options::default()).unwrap();
        writer.begin(&head("zones", GeometryKind::MultiPolygon, 4326)).unwrap();
        writer.end().unwrap();
        writer.finish().unwrap();
        let source = match kind.id {
            "shp" => format!("/vsizip/{}", path.display()),
            "kit" => format!("/vsizip/{}/donnees.gpkg", path.display()),
            // GDAL takes an empty file for none of its formats; this build reads no Parquet.
            "parquet" | "geojsonseq" | "ndjson" => continue,
            _ => path.to_str().unwrap().to_owned(),
        };
        // GDAL names the layer of a CSV file after the file.
        let name = if kind.id == "csv" { "vide" } else { "zones" };
        assert!(summary(&source).contains(&format!("Layer name: {name}")), "{}", kind.id);
    }
}

#[test]
fn several_layers_of_a_format_of_one_are_put_into_an_archive() {
    for id in ["geojson", "fgb", "csv", "parquet", "ndjson"] {
        let (dir, end) = (tempfile::tempdir().unwrap(), kind(id).extension);
        let path = dir.path().join("tout.zip");
        let out = Box::new(fs::File::create(&path).unwrap());
        let target = Target { out, scratch: dir.path().to_owned() };
        let mut writer = kind(id).archive(target, Options::default());
        for name in ["zones", "points"] {
            writer.begin(&head(name, GeometryKind::Point, 4326)).unwrap();
            for (id, values) in rows() {
                writer.row(&Row { id, values: &values, wkb: None }).unwrap();
            }
            writer.end().unwrap();
        }
        writer.finish().unwrap();
        let mut archive = zip::ZipArchive::new(fs::File::open(&path).unwrap()).unwrap();
        let names: Vec<String> = archive.file_names().map(|n| n.unwrap().into_owned()).collect();
        let [zones, points] = ["zones", "points"].map(|name| format!("{name}.{end}"));
        assert_eq!(names, [zones.as_str(), points.as_str(), "LISEZMOI.txt"]);
        if id == "geojson" {
            let json: serde_json::Value =
                serde_json::from_reader(archive.by_name(&points).unwrap()).unwrap();
            assert_eq!(json["features"].as_array().unwrap().len(), 3);
        }
    }
}
