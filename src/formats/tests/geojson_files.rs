use super::*;
use crate::model::RefusalReason;
use geo_types::Geometry;
use proptest::prelude::*;

fn read(text: &str) -> Result<Whole> {
    read_bytes("a.geojson", text.as_bytes(), &source())
}

fn collection(features: &[&str]) -> String {
    format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(","))
}

const POINT: &str =
    r#"{"type":"Feature","properties":{"n":1},"geometry":{"type":"Point","coordinates":[2.5,48]}}"#;

#[test]
fn members_come_in_any_order() {
    let whole = read(
        r#"{ "features" : [
            { "geometry" : { "coordinates" : [ [ [0,0],[1,0],[1,1],[0,0] ] ] , "type" : "Polygon" } ,
              "id" : 7 , "properties" : { "a b" : "é" } , "type" : "Feature" } ] ,
          "name" : "x" , "crs" : {"type":"name","properties":{"name":"urn:ogc:def:crs:EPSG::2154"}} ,
          "type" : "FeatureCollection" }  "#,
    )
    .unwrap();
    assert_eq!(whole.crs.as_deref(), Some("EPSG:2154"));
    assert_eq!(whole.names(), ["a b", "id"]);
    assert_eq!(whole.value(0, "id"), Value::Int(7));
    assert!(
        matches!(&whole.records[0].geometry, Some(Geometry::Polygon(p)) if p.exterior().0.len() == 4)
    );
}

#[test]
fn lone_features_geometries_and_sequences() {
    assert_eq!(read(POINT).unwrap().records.len(), 1);
    let lines = format!("{POINT}\n{POINT}\n\u{1e}{POINT}\n");
    assert_eq!(read(&lines).unwrap().records.len(), 3);
    let whole = read(r#"{"type":"Point","coordinates":[1,2]}"#).unwrap();
    assert_eq!(whole.records.len(), 1);
    assert!(whole.fields.is_empty());
    assert!(refusal(read(r#"{"type":"Topology","objects":{}}"#)).contains("Topology"));
    assert!(refusal(read(r#"{"features":[],"type":"Topology"}"#)).contains("Topology"));
    assert!(refusal(read(r#"{"type":"FeatureCollection"}"#)).contains("GeoJSON"));
    assert_eq!(read(r#"{"features":[]}"#).unwrap().records.len(), 0);
}

#[test]
fn every_truncation_is_refused() {
    let text = format!(
        r#"{{"type":"FeatureCollection","crs":null,"features":[{POINT}, {}],"bbox":[1,2,3,4]}}"#,
        POINT.replace("\"n\":1", "\"n\":\"é\\n\",\"o\":{\"a\":[null,true]}")
    );
    assert_eq!(read(&text).unwrap().records.len(), 2);
    for cut in 1..text.len() {
        let result = read_bytes("a.geojson", &text.as_bytes()[..cut], &source());
        let words = refusal(result);
        assert!(words.contains("octet") || words.contains("GeoJSON"), "{cut}: {words}");
    }
    let words = refusal(read(text.get(..text.len() - 60).unwrap()));
    assert!(words.contains("entité 2") && words.contains("ligne 1"), "{words}");
}

#[test]
fn broken_syntax_says_where() {
    let text = collection(&[POINT, "\n\n{\"type\":\"Feature\",,}", POINT]);
    let words = refusal(read(&text));
    assert!(words.contains("entité 2") && words.contains("ligne 3"), "{words}");
    assert!(refusal(read(&(collection(&[POINT]) + "x"))).contains("mal formé"));
    assert!(refusal(read(&collection(&[POINT]).replace("}]}", "}}"))).contains("mal formé"));
    assert!(refusal(read(&collection(&[&POINT.replace("2.5", "02.5")]))).contains("mal formé"));
    let twice = r#"{"type":"FeatureCollection","features":[],"features":[]}"#;
    assert!(refusal(read(twice)).contains("deux fois"));
}

#[test]
fn a_broken_feature_is_refused_and_reading_goes_on() {
    let bad = [
        (
            r#"{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":["2",48]}}"#,
            RefusalReason::BadCoordinate,
        ),
        (
            r#"{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":[2]}}"#,
            RefusalReason::BadCoordinate,
        ),
        (
            r#"{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":[2,null]}}"#,
            RefusalReason::BadCoordinate,
        ),
        (
            r#"{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":[1e400,2]}}"#,
            RefusalReason::BadCoordinate,
        ),
        (
            r#"{"type":"Feature","properties":{},"geometry":{"type":"LineString","coordinates":[1,2]}}"#,
            RefusalReason::BadCoordinate,
        ),
        (
            r#"{"type":"Feature","properties":{},"geometry":{"type":"Point"}}"#,
            RefusalReason::BadCoordinate,
        ),
        (
            r#"{"type":"Feature","properties":{},"geometry":{"type":"Curve","coordinates":[]}}"#,
            RefusalReason::InvalidGeometry,
        ),
        (
            r#"{"type":"Feature","properties":{},"geometry":"POINT(1 2)"}"#,
            RefusalReason::InvalidGeometry,
        ),
        (r#"{"type":"Feature","properties":[1],"geometry":null}"#, RefusalReason::BrokenRow),
        (
            r#"{"type":"Feature","properties":{"a":"\ud83d"},"geometry":null}"#,
            RefusalReason::BrokenRow,
        ),
        (r#"{"type":"feature"}"#, RefusalReason::BrokenRow),
        ("null", RefusalReason::BrokenRow),
        ("12", RefusalReason::BrokenRow),
    ];
    let mut features = vec![POINT];
    features.extend(bad.iter().map(|b| b.0));
    features.push(POINT);
    let whole = read(&collection(&features)).unwrap();
    assert_eq!(whole.records.len(), 2);
    assert_eq!(whole.records[1].line, features.len() as u64);
    let reasons: Vec<_> = whole.refused.iter().map(|r| r.reason).collect();
    assert_eq!(reasons, bad.iter().map(|b| b.1).collect::<Vec<_>>());
    assert_eq!(whole.refused[0].line, 2);
    assert_eq!(whole.refused[0].value.as_deref(), Some("\"2\""));
}

#[test]
fn values_keep_their_types() {
    let whole = read(&collection(&[
        r#"{"type":"Feature","geometry":null,"properties":{"i":1,"f":1,"t":"x","b":true,"j":{ "a" : [1.50, "é"] },"n":null,"e\u0301":2}}"#,
        r#"{"type":"Feature","geometry":null,"properties":{"f":2.5,"i":-3,"t":4,"late":1}}"#,
        r#"{"type":"Feature","properties":null,"geometry":null}"#,
        r#"{"type":"Feature"}"#,
    ]))
    .unwrap();
    assert_eq!(whole.names(), ["i", "f", "t", "b", "j", "n", "é", "late"]);
    assert_eq!(whole.kind("i"), FieldKind::Int);
    assert_eq!(whole.kind("f"), FieldKind::Float);
    assert_eq!(whole.kind("t"), FieldKind::Text);
    assert_eq!(whole.kind("n"), FieldKind::Text);
    assert_eq!(whole.value(0, "j"), Value::Json(r#"{"a":[1.50,"é"]}"#.into()));
    assert_eq!(whole.value(1, "i"), Value::Int(-3));
    assert_eq!(whole.records.len(), 4);
}

#[test]
fn what_is_left_out_is_noted() {
    let whole = read(&collection(&[
        r#"{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":[1,2,300]}}"#,
        r#"{"type":"Feature","properties":{"id":"a"},"id":"b","geometry":{"type":"GeometryCollection","geometries":[]}}"#,
        r#"{"type":"Feature","properties":{"x":1,"x":2},"geometry":{"type":"Point","coordinates":[]},"style":{}}"#,
    ]))
    .unwrap();
    assert_eq!(whole.refused.len(), 0);
    assert!(whole.records[0].geometry.is_some() && whole.records[1].geometry.is_none());
    assert_eq!(whole.value(1, "id"), Value::Text("a".into()));
    assert_eq!(whole.value(2, "x"), Value::Int(2));
    for words in [
        "Z ou M non gardés : 1",
        "vides lues comme absentes : 2",
        "« id » diffère",
        "répétée",
        "style",
    ] {
        assert!(whole.notes.contains(words), "{words} in {}", whole.notes);
    }
}

#[test]
fn encodings() {
    let latin: Vec<u8> = collection(&[&POINT.replace("\"n\":1", "\"n\":\"E\"")])
        .bytes()
        .map(|b| if b == b'E' { 0xe9 } else { b })
        .collect();
    let whole = read_bytes("a.geojson", &latin, &source()).unwrap();
    assert_eq!(whole.value(0, "n"), Value::Text("é".into()));
    assert!(whole.notes.contains("Windows-1252"));
    let bom = format!("\u{feff}{}", collection(&[POINT]));
    assert_eq!(read(&bom).unwrap().records.len(), 1);
    let utf16: Vec<u8> = bom.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(read_bytes("a.geojson", &utf16, &source()).unwrap().records.len(), 1);
}

#[test]
fn an_unknown_crs_needs_a_declaration() {
    let text = collection(&[POINT]).replace(
        "\"features\"",
        r#""crs":{"type":"name","properties":{"name":"IGNF:LAMB93"}},"features""#,
    );
    assert!(refusal(read(&text)).contains("IGNF:LAMB93"));
    let declared = SourceDef { crs: Some("EPSG:2154".into()), ..source() };
    let whole = read_bytes("a.json", text.as_bytes(), &declared).unwrap();
    assert!(whole.notes.contains("IGNF:LAMB93"));
}

#[test]
fn nesting_has_an_end() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let feature = format!(r#"{{"type":"Feature","properties":{{"a":{deep}}},"geometry":null}}"#);
    assert_eq!(read(&collection(&[&feature, POINT])).unwrap().refused.len(), 1);
    let open = r#"{"type":"GeometryCollection","geometries":["#;
    let geometry = format!("{}{}", open.repeat(50_000), "]}".repeat(50_000));
    let feature = format!(r#"{{"type":"Feature","properties":{{}},"geometry":{geometry}}}"#);
    assert_eq!(read(&collection(&[&feature, POINT])).unwrap().refused.len(), 1);
    // Geometry before its type, nested: looked at again once per level, not exponentially.
    let coordinates =
        format!(r#"{{"type":"Feature","geometry":{{"coordinates":{deep},"type":"Polygon"}}}}"#);
    assert_eq!(read(&collection(&[&coordinates])).unwrap().refused.len(), 1);
}

proptest! {
    #[test]
    fn damaged_bytes_never_panic(at in 0usize..400, byte in any::<u8>(), cut in 0usize..400) {
        let text = collection(&[
            POINT,
            r#"{"type":"Feature","id":"x","properties":{"j":{"k":[1,2.5e3,"\u00e9"]}},"geometry":{"type":"MultiPolygon","coordinates":[[[[0,0],[1,0],[1,1],[0,0]]]]}}"#,
        ]);
        let mut bytes = text.into_bytes();
        let len = bytes.len();
        if let Some(b) = bytes.get_mut(at % len) { *b = byte; }
        if cut < len && byte % 2 == 0 { bytes.truncate(cut); }
        let _ = read_bytes("a.geojson", &bytes, &source());
    }

    #[test]
    fn geometries_read_as_serde_json_reads_them(
        rings in prop::collection::vec(prop::collection::vec((-1e6f64..1e6, -90f64..90.0), 3..6), 1..4)
    ) {
        let closed: Vec<Vec<(f64, f64)>> = rings.into_iter().map(|mut r| { r.push(r[0]); r }).collect();
        let json = serde_json::json!({"type": "Feature", "properties": {}, "geometry":
            {"type": "Polygon", "coordinates": closed}});
        let whole = read(&json.to_string()).unwrap();
        let Some(Geometry::Polygon(p)) = &whole.records[0].geometry else { panic!("no polygon") };
        let got: Vec<Vec<(f64, f64)>> = std::iter::once(p.exterior()).chain(p.interiors())
            .map(|r| r.0.iter().map(|c| (c.x, c.y)).collect()).collect();
        prop_assert_eq!(got, closed);
    }
}
