//! Every format that is read, as GDAL writes it from one and the same source: the same features, their
//! attributes and geometries.

use crate::support::{has, python, tool};
use geo::{BoundingRect, CoordsIter};
use geo_types::Geometry;
use serde_json::json;
use socle::{
    formats::{Next, cast, open},
    geometry::crs::Crs,
    model::{CsvOptions, SourceDef, SourceLocation, Value},
};
use std::{collections::BTreeMap, fs, path::Path, time::Duration};

fn source(member: Option<&str>) -> SourceDef {
    SourceDef {
        location: SourceLocation::Http("https://example.fr/".into()),
        format: None,
        crs: None,
        encoding: None,
        member: member.map(str::to_owned),
        csv: CsvOptions::default(),
        max_bytes: 1 << 30,
        timeout: Duration::from_secs(60),
    }
}

/// A feature as text by column, and its geometry in degrees.
type Feature = (BTreeMap<String, String>, Option<Geometry<f64>>);

fn read(path: &Path, source: &SourceDef) -> Vec<Feature> {
    let work = tempfile::tempdir().unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let mut reader =
        open(path, name, source, work.path()).unwrap_or_else(|e| panic!("{name}: {e:?}"));
    let mut records = Vec::new();
    loop {
        match reader.next().unwrap_or_else(|e| panic!("{name}: {e:?}")) {
            Next::Record(record) => records.push(record),
            Next::Refused(refusal) => panic!("{name}: {refusal:?}"),
            Next::End => break,
        }
    }
    let crs = reader.crs().map_or_else(Crs::crs84, |crs| Crs::parse(crs).unwrap());
    let turned = reader.authority_axes() && crs.authority_is_lat_lon();
    let fields = reader.fields().to_vec();
    let feature = |record: socle::model::Record| {
        let cells = record.values.into_iter().zip(&fields).filter_map(|(value, field)| {
            let text = match cast(value, field.kind) {
                Value::Null => return None,
                Value::Bool(b) => u8::from(b).to_string(),
                Value::Int(n) => n.to_string(),
                Value::Float(f) => f.to_string(),
                Value::Text(s) | Value::Json(s) => s,
                Value::Date(date) => date.to_string(),
                Value::DateTime(at) => at.to_string(),
            };
            Some((field.name.to_lowercase(), text))
        });
        let shape = record.geometry.map(|mut shape| {
            if turned {
                use geo::MapCoordsInPlace;
                shape.map_coords_in_place(|c| geo_types::Coord { x: c.y, y: c.x });
            }
            crs.to_crs84(&mut shape).unwrap();
            shape
        });
        (cells.collect(), shape)
    };
    records.into_iter().map(feature).collect()
}

fn write_source(dir: &Path) -> std::path::PathBuf {
    let ring =
        |x: f64, y: f64, s: f64| json!([[x, y], [x + s, y], [x + s, y + s], [x, y + s], [x, y]]);
    let feature = |code: &str, nom: &str, n: i64, part: f64, jour: &str, shape| {
        json!({
            "type": "Feature", "geometry": shape,
            "properties": { "code": code, "nom": nom, "n": n, "part": part, "jour": jour },
        })
    };
    let hole: Vec<_> = ring(2.2, 48.2, 0.1).as_array().unwrap().iter().rev().cloned().collect();
    let features = [
        feature(
            "01001",
            "L'Abergement-Clémenciat & « co »",
            832,
            0.25,
            "2024-02-29",
            json!({ "type": "MultiPolygon", "coordinates": [[ring(2.0, 48.0, 0.5), hole], [ring(5.0, 45.0, 0.25)]] }),
        ),
        feature(
            "2A004",
            "Ajaccio <œuvre>",
            71_361,
            -1.5,
            "2023-12-31",
            json!({ "type": "MultiPolygon", "coordinates": [[ring(8.5, 41.75, 0.125)]] }),
        ),
        feature(
            "75056",
            "Paris; \"ville\"",
            2_145_906,
            105.4,
            "1999-01-01",
            json!({ "type": "MultiPolygon", "coordinates": [[ring(2.25, 48.75, 0.25)]] }),
        ),
    ];
    let text = json!({ "type": "FeatureCollection", "name": "zones", "features": features });
    let path = dir.join("zones.geojson");
    fs::write(&path, text.to_string()).unwrap();
    path
}

fn same_shape(name: &str, a: &Option<Geometry<f64>>, b: &Option<Geometry<f64>>) {
    let (Some(a), Some(b)) = (a, b) else {
        assert!(a.is_none() && b.is_none(), "{name}: {a:?} {b:?}");
        return;
    };
    assert_eq!(a.coords_count(), b.coords_count(), "{name}");
    let (a, b) = (a.bounding_rect().unwrap(), b.bounding_rect().unwrap());
    let sides = |r: geo_types::Rect<f64>| [r.min().x, r.min().y, r.max().x, r.max().y];
    for (p, q) in sides(a).into_iter().zip(sides(b)) {
        assert!((p - q).abs() < 1e-7, "{name}: {a:?} {b:?}");
    }
}

/// Compares what is read of a file with the source, attribute by attribute of those listed.
fn compare(name: &str, path: &Path, member: Option<&str>, wanted: &[Feature], shapes: bool) {
    let got = read(path, &source(member));
    assert_eq!(got.len(), wanted.len(), "{name}");
    for (cells, shape) in wanted {
        let code = &cells["code"];
        let found = got.iter().find(|(c, _)| c.get("code") == Some(code));
        let (own, own_shape) = found.unwrap_or_else(|| panic!("{name}: {code} not in {got:?}"));
        for (key, value) in cells {
            assert_eq!(own.get(key), Some(value), "{name}: {key} of {code}");
        }
        if shapes {
            same_shape(name, own_shape, shape);
        }
    }
}

#[test]
fn files_of_gdal_give_the_features_of_their_source() {
    if !has("ogr2ogr") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let from = write_source(dir.path());
    let wanted = read(&from, &source(None));
    let formats = tool("ogrinfo", &["--formats"]);
    let cases: [(&str, &str, &[&str], bool); 19] = [
        ("FlatGeobuf", "a.fgb", &[], true),
        ("FlatGeobuf", "l93.fgb", &["-t_srs", "EPSG:2154", "-lco", "SPATIAL_INDEX=NO"], true),
        ("GPKG", "a.gpkg", &["-t_srs", "EPSG:2154"], true),
        ("Parquet", "a.parquet", &["-t_srs", "EPSG:2154"], true),
        ("GeoJSONSeq", "a.geojsonl", &[], true),
        ("GeoJSONSeq", "rs.geojsons", &["-lco", "RS=YES"], true),
        ("KML", "a.kml", &[], true),
        ("LIBKML", "lib.kml", &[], true),
        ("LIBKML", "a.kmz", &[], true),
        ("GML", "gml2.gml", &["-dsco", "FORMAT=GML2"], true),
        ("GML", "gml3.gml", &["-dsco", "FORMAT=GML3"], true),
        ("GML", "gml32.gml", &["-dsco", "FORMAT=GML3.2"], true),
        ("GML", "l2e.gml", &["-dsco", "FORMAT=GML3.2", "-t_srs", "EPSG:2154"], true),
        ("GML", "short.gml", &["-dsco", "FORMAT=GML3", "-dsco", "SRSNAME_FORMAT=SHORT"], true),
        ("CSV", "wkt.csv", &["-lco", "GEOMETRY=AS_WKT", "-lco", "SEPARATOR=SEMICOLON"], true),
        ("CSV", "tab.csv", &["-lco", "GEOMETRY=AS_WKT", "-lco", "SEPARATOR=TAB"], true),
        ("XLSX", "a.xlsx", &[], false),
        ("ODS", "a.ods", &[], false),
        ("ESRI Shapefile", "a.shp", &["-t_srs", "EPSG:2154", "-lco", "ENCODING=CP1252"], true),
    ];
    for (driver, file, options, shapes) in cases {
        if !formats.contains(&format!("{driver} -")) {
            println!("skipped: GDAL has no driver {driver} here");
            continue;
        }
        let to = dir.path().join(file);
        let mut args = vec!["-f", driver, to.to_str().unwrap(), from.to_str().unwrap()];
        args.extend_from_slice(options);
        tool("ogr2ogr", &args);
        // A KMZ of LIBKML holds an index and a file for each layer.
        let member = file.ends_with(".kmz").then_some("layers/zones.kml");
        compare(file, &to, member, &wanted, shapes);
    }
}

#[test]
fn parquet_of_python_gives_the_features_of_its_source() {
    let Some(python) = python("pyarrow") else { return };
    let dir = tempfile::tempdir().unwrap();
    let from = write_source(dir.path());
    let wanted = read(&from, &source(None));
    for compression in ["snappy", "none", "zstd", "gzip"] {
        let to = dir.path().join(format!("{compression}.parquet"));
        let script = format!(
            r#"
import json, struct, datetime, pyarrow as pa, pyarrow.parquet as pq
def wkb(g):
    out = struct.pack('<BII', 1, 6, len(g['coordinates']))
    for p in g['coordinates']:
        out += struct.pack('<BII', 1, 3, len(p))
        for r in p:
            out += struct.pack('<I', len(r)) + b''.join(struct.pack('<dd', *c) for c in r)
    return out
f = json.load(open({from:?}))['features']
col = lambda k: [x['properties'][k] for x in f]
t = pa.table({{'code': col('code'), 'nom': col('nom'), 'n': col('n'), 'part': col('part'),
  'jour': pa.array([datetime.date.fromisoformat(d) for d in col('jour')]),
  'liste': pa.array([[1, 2], [], [3]]), 'ns': pa.array([1, 2, 3], pa.timestamp('ns', tz='UTC')),
  'geometry': pa.array([wkb(x['geometry']) for x in f], pa.binary())}})
geo = {{'version': '1.0.0', 'primary_column': 'geometry', 'columns': {{'geometry': {{'encoding': 'WKB', 'geometry_types': []}}}}}}
pq.write_table(t.replace_schema_metadata({{'geo': json.dumps(geo)}}), {to:?}, compression={compression:?})
"#
        );
        tool(&python, &["-c", &script]);
        compare(compression, &to, None, &wanted, true);
    }
}
