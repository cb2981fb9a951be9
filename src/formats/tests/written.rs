//! What the exports write is read back the same; cut or with a byte turned over it is refused, or
//! its rows are, and nothing panics.

use super::*;
use crate::{
    formats::{
        wkb,
        write::{Head, Kind, Options, Place, Row, System, Target},
    },
    model::{GeometryKind, Schema, ValueRef},
};
use geo_types::{Geometry, LineString, MultiPolygon, Point, Polygon};
use proptest::prelude::*;
use std::io::Write;
use std::sync::{Arc, Mutex};

/// What a writer hands over.
#[derive(Clone, Default)]
struct Out(Arc<Mutex<Vec<u8>>>);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn ring(x: f64, y: f64, side: f64) -> LineString<f64> {
    LineString::from(vec![(x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)])
}

fn shapes() -> Vec<Option<Geometry<f64>>> {
    let mut hole = ring(2.4, 48.4, 0.1);
    hole.0.reverse();
    let area = Polygon::new(ring(2.0, 48.0, 1.0), vec![hole]);
    let two = MultiPolygon(vec![area.clone(), Polygon::new(ring(5.0, 45.0, 0.5), vec![])]);
    vec![
        Some(Point::new(2.5, 48.5).into()),
        Some(ring(1.0, 47.0, 0.5).into()),
        Some(area.into()),
        Some(two.into()),
        None,
    ]
}

fn bytes(id: &str) -> Vec<u8> {
    let field = |name: &str, kind| Field { name: name.into(), kind };
    let fields = vec![
        field("code", FieldKind::Text),
        field("effectif", FieldKind::Int),
        field("part", FieldKind::Float),
        field("actif", FieldKind::Bool),
        field("jour", FieldKind::Date),
        field("instant", FieldKind::DateTime),
        field("détail", FieldKind::Json),
    ];
    let wkt = "GEOGCS[\"WGS 84\",DATUM[\"WGS_1984\",SPHEROID[\"WGS 84\",6378137,298.257223563]],PRIMEM[\"Greenwich\",0],UNIT[\"degree\",0.0174532925199433],AUTHORITY[\"EPSG\",\"4326\"]]";
    let head = Head {
        name: "zones".into(),
        title: "Zones".into(),
        description: String::new(),
        schema: Schema { fields, geometry: GeometryKind::Geometry },
        system: System {
            code: 4326,
            geographic: true,
            wkt,
            esri: wkt,
            projjson: "{\"type\":\"GeographicCRS\",\"name\":\"WGS 84\",\"id\":{\"authority\":\"EPSG\",\"code\":4326}}",
        },
        label: None,
        facts: Vec::new(),
        style: None,
        project: None,
        said: Vec::new(),
    };
    let dir = tempfile::tempdir().unwrap();
    let out = Out::default();
    let target = Target { out: Box::new(out.clone()), scratch: dir.path().to_owned() };
    let options = Options { place: Place::Wkt, ..Options::default() };
    let mut writer = Kind::of(id).unwrap().open(target, options).unwrap();
    writer.begin(&head).unwrap();
    for (i, shape) in shapes().iter().enumerate() {
        use ValueRef as V;
        let values = match i {
            1 => vec![V::Text("75056"), V::Null, V::Null, V::Null, V::Null, V::Null, V::Null],
            _ => vec![
                V::Text("01001"),
                V::Int(9_007_199_254_740_993),
                V::Float(0.25),
                V::Bool(i == 0),
                V::Text("2024-02-29"),
                V::Text("2024-02-29T12:30:15Z"),
                V::Json("{\"a\":[1,\"é\"]}"),
            ],
        };
        let shape = shape.as_ref().map(|shape| {
            let mut out = Vec::new();
            wkb::write(shape, &mut out);
            out
        });
        let id = format!("f{i}");
        writer.row(&Row { id: &id, values: &values, wkb: shape.as_deref() }).unwrap();
    }
    writer.end().unwrap();
    writer.finish().unwrap();
    out.0.lock().unwrap().clone()
}

/// The rows of a file by what tells them apart: their geometry.
fn rows(whole: &Whole) -> Vec<(Option<Geometry<f64>>, Vec<Value>)> {
    let kinds: Vec<FieldKind> = whole.fields.iter().map(|f| f.kind).collect();
    let row = |r: &Record| {
        let values = (0..kinds.len())
            .map(|i| super::super::cast(r.values.get(i).cloned().unwrap_or_default(), kinds[i]));
        (r.geometry.clone(), values.collect())
    };
    whole.records.iter().map(row).collect()
}

#[test]
fn exports_are_read_back_as_they_were() {
    for (id, name) in [
        ("fgb", "a.fgb"),
        ("parquet", "a.parquet"),
        ("ndjson", "a.ndjson"),
        ("geojsonseq", "a.geojsons"),
        ("gpkg", "a.gpkg"),
        ("xlsx", "a.xlsx"),
        ("kml", "a.kml"),
    ] {
        // A workbook has a sheet of words beside.
        let source = SourceDef { member: (id == "xlsx").then(|| "zones".into()), ..source() };
        let whole = read_bytes(name, &bytes(id), &source).unwrap_or_else(|e| panic!("{id}: {e:?}"));
        assert_eq!((whole.records.len(), whole.refused.len()), (5, 0), "{id}: {:?}", whole.refused);
        let found = rows(&whole);
        for shape in shapes() {
            let of = |wanted: &Option<Geometry<f64>>| {
                let same = |(g, _): &&(Option<Geometry<f64>>, Vec<Value>)| match (g, wanted) {
                    // KML has no multiple kinds of their own.
                    (Some(a), Some(b)) => geo::Relate::relate(a, b).is_equal_topo(),
                    (a, b) => a.is_none() && b.is_none(),
                };
                found.iter().find(same).map(|(_, values)| values.clone())
            };
            let values =
                of(&shape).unwrap_or_else(|| panic!("{id}: {shape:?} not among {found:?}"));
            let value = |name: &str| {
                let at = whole.fields.iter().position(|f| f.name == name);
                at.map(|at| values[at].clone()).unwrap_or_else(|| panic!("{id}: no {name}"))
            };
            if matches!(shape, Some(Geometry::LineString(_))) {
                assert_eq!(value("code"), Value::Text("75056".into()), "{id}");
                assert!(value("effectif").is_null() && value("jour").is_null(), "{id}");
                continue;
            }
            assert_eq!(value("code"), Value::Text("01001".into()), "{id}");
            assert_eq!(value("part"), Value::Float(0.25), "{id}");
            // JSON has no dates: what it says of one stays the text it is.
            let json = matches!(id, "ndjson" | "geojsonseq");
            let day = match json {
                true => Value::Text("2024-02-29".into()),
                false => Value::Date(jiff::civil::date(2024, 2, 29)),
            };
            assert_eq!(value("jour"), day, "{id}");
            // A spreadsheet's numbers are doubles.
            if id != "xlsx" {
                assert_eq!(value("effectif"), Value::Int(9_007_199_254_740_993), "{id}");
                let at: jiff::Timestamp = "2024-02-29T12:30:15Z".parse().unwrap();
                let instant = match json {
                    true => Value::Text("2024-02-29T12:30:15Z".into()),
                    false => Value::DateTime(at),
                };
                assert_eq!(value("instant"), instant, "{id}");
            }
            assert!(matches!(value("actif"), Value::Bool(_)), "{id}: {:?}", value("actif"));
        }
    }
}

/// Every way to read these bytes ends; what is given is counted.
fn survives(name: &str, bytes: &[u8]) {
    match read_bytes(name, bytes, &source()) {
        Ok(whole) => assert!(whole.records.len() <= 1000),
        Err(Error::Refused(_) | Error::Invalid(_)) => {}
        Err(other) => panic!("{name}: {other:?}"),
    }
}

#[test]
fn cut_files_are_refused_wherever_they_are_cut() {
    for (id, name) in
        [("fgb", "a.fgb"), ("parquet", "a.parquet"), ("kml", "a.kml"), ("xlsx", "a.xlsx")]
    {
        let whole = bytes(id);
        for i in 1..60 {
            let cut = whole.len() * i / 60;
            let got = read_bytes(name, &whole[..cut], &source());
            assert!(got.is_err(), "{id} cut at {cut} of {}", whole.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn bytes_turned_over_do_no_harm(
        which in 0usize..4,
        turns in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        thread_local! {
            static FILES: Vec<(&'static str, Vec<u8>)> = vec![
                ("a.fgb", bytes("fgb")), ("a.parquet", bytes("parquet")),
                ("a.kml", bytes("kml")), ("a.ndjson", bytes("ndjson")),
            ];
        }
        let (name, mut file) = FILES.with(|files| files[which].clone());
        for (at, byte) in turns {
            let at = at.index(file.len());
            file[at] = byte;
        }
        survives(name, &file);
    }
}
