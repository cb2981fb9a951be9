use super::*;
use crate::model::Value;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

fn tags(first_key: u32, values: &[Value]) -> Vec<u8> {
    let mut tags = Vec::new();
    encode_tags(first_key, values, &mut tags);
    tags
}

/// A point at (25, 17), as in the specification's example.
const POINT: [u8; 3] = [9, 50, 34];
/// A triangle, clockwise.
const RING: [u8; 10] = [9, 6, 12, 18, 10, 12, 24, 44, 15, 0];

fn tile(values: &[Value]) -> Vec<DecodedValue> {
    let keys: Vec<String> = (0..values.len()).map(|i| format!("k{i}")).collect();
    let tags = tags(0, values);
    let mut layer = LayerWriter::new("layer", &keys);
    layer.feature(1, 1, &POINT, &tags).unwrap();
    let layers = read(&layer.finish().unwrap()).unwrap();
    layers[0].properties(&layers[0].features[0]).map(|(_, v)| v.clone()).collect()
}

#[test]
fn values_take_the_form_clients_can_hold() {
    use DecodedValue as D;
    let date = jiff::civil::date(2024, 2, 29);
    let instant: jiff::Timestamp = "2024-02-29T12:30:00Z".parse().unwrap();
    let cases = [
        (Value::Bool(true), D::Bool(true)),
        (Value::Int(0), D::Uint(0)),
        (Value::Int(-5), D::Int(-5)),
        (Value::Int(i32::MAX.into()), D::Uint(2_147_483_647)),
        (Value::Int(i32::MIN.into()), D::Int(-2_147_483_648)),
        // QGIS 3.22 would cut these to 32 bits as integers.
        (Value::Int(2_147_483_648), D::Double(2_147_483_648.0)),
        (Value::Int(-(1 << 53)), D::Double(-9_007_199_254_740_992.0)),
        (Value::Int((1 << 53) + 1), D::Text("9007199254740993".into())),
        (Value::Int(i64::MIN), D::Text("-9223372036854775808".into())),
        (Value::Float(0.1), D::Double(0.1)),
        (Value::Text("L'Haÿ-les-Roses".into()), D::Text("L'Haÿ-les-Roses".into())),
        (Value::Text(String::new()), D::Text(String::new())),
        (Value::Date(date), D::Text("2024-02-29".into())),
        (Value::DateTime(instant), D::Text("2024-02-29T12:30:00Z".into())),
        (Value::Json("[1,2]".into()), D::Text("[1,2]".into())),
    ];
    let (given, expected): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    assert_eq!(tile(&given), expected);
    assert!(tile(&[Value::Null, Value::Float(f64::NAN), Value::Float(f64::INFINITY)]).is_empty());
}

#[test]
fn values_that_never_repeat_are_kept_and_those_that_do_written_once() {
    let keys = names(&["id", "kind"]);
    let rows: Vec<[Value; 2]> =
        (0..10_000).map(|i| [Value::Text(format!("n{i}")), Value::Int(i % 7)]).collect();
    let tags: Vec<Vec<u8>> = rows.iter().map(|row| tags(0, row)).collect();
    let mut layer = LayerWriter::new("layer", &keys);
    for (id, tags) in (1..).zip(&tags) {
        layer.feature(id, 1, &POINT, tags).unwrap();
    }
    let bytes = layer.finish().unwrap();
    let layers = read(&bytes).unwrap();
    assert_eq!(layers[0].features.len(), rows.len());
    for (i, feature) in layers[0].features.iter().enumerate() {
        let found: Vec<_> = layers[0].properties(feature).map(|(_, v)| v.clone()).collect();
        let kind = u64::try_from(i % 7).unwrap();
        assert_eq!(found, [DecodedValue::Text(format!("n{i}")), DecodedValue::Uint(kind)]);
    }
    assert_eq!(layers[0].values.len(), rows.len() + 7);
}

#[test]
fn keys_and_values_are_written_once_and_only_when_used() {
    let keys = names(&["unused", "LINE_NUMB-SEG", "ünicode \"quoted\""]);
    let text = |t: &str| Value::Text(t.into());
    let tags: Vec<Vec<u8>> =
        [("a", "b"), ("b", "a"), ("a", "a")].map(|(a, b)| tags(1, &[text(a), text(b)])).to_vec();
    let mut layer = LayerWriter::new("couche", &keys);
    layer.reserve(3, 100);
    for (id, tags) in (0..).zip(&tags) {
        layer.feature(id << 50, 3, &RING[..9], tags).unwrap();
    }
    let layers = read(&layer.finish().unwrap()).unwrap();
    let layer = &layers[0];
    assert_eq!((layer.name.as_str(), layer.extent), ("couche", 4096));
    assert_eq!(layer.keys, &keys[1..]);
    assert_eq!(layer.values, ["a", "b"].map(|t| DecodedValue::Text(t.into())));
    let ids: Vec<_> = layer.features.iter().map(|f| f.id).collect();
    assert_eq!(ids, [Some(0), Some(1 << 50), Some(2 << 50)]);
    assert_eq!(layer.features[1].tags, [(0, 1), (1, 0)]);
    assert_eq!(layer.features[0].paths, [[[3, 6], [8, 12], [20, 34]]]);
}

#[test]
fn an_empty_layer_is_nothing() {
    assert!(LayerWriter::new("layer", &[]).finish().is_none());
}

#[test]
fn tags_that_are_cut_or_name_no_key_are_refused() {
    let keys = names(&["a"]);
    let good = tags(0, &[Value::Text("long enough".into())]);
    let mut layer = LayerWriter::new("layer", &keys);
    assert!(layer.feature(0, 1, &POINT, &good[..5]).is_err());
    let unknown = tags(1, &[Value::Int(1)]);
    assert!(layer.feature(0, 1, &POINT, &unknown).is_err());
    assert!(layer.finish().is_none());
}

/// A tile around one feature body.
fn around(feature: &[u8], version: u8) -> Vec<u8> {
    let mut layer = vec![0x0a, 1, b'l'];
    wire::push_bytes(&mut layer, 2, feature);
    layer.extend([0x78, version]);
    let mut tile = Vec::new();
    wire::push_bytes(&mut tile, 3, &layer);
    tile
}

fn geometry(kind: u8, commands: &[u8]) -> Vec<u8> {
    let mut feature = vec![0x18, kind];
    wire::push_bytes(&mut feature, 4, commands);
    around(&feature, 2)
}

#[test]
fn what_departs_from_the_specification_is_refused() {
    assert!(read(&geometry(1, &POINT)).is_ok());
    assert!(read(&geometry(2, &[9, 4, 4, 18, 0, 16, 16, 0])).is_ok());
    assert!(read(&geometry(3, &RING[..9])).is_ok());
    assert!(read(&[]).unwrap().is_empty());
    let mut point = vec![0x18, 1];
    wire::push_bytes(&mut point, 4, &POINT);
    let twice = [around(&point, 2), around(&point, 2)].concat();
    let refused: [(&str, Vec<u8>); 13] = [
        ("version 1", around(&point, 1)),
        ("two layers of one name", twice),
        ("no geometry", around(&[0x18, 1], 2)),
        ("unknown type", geometry(4, &POINT)),
        ("no commands", geometry(1, &[])),
        ("a count beyond the bytes", geometry(1, &[0xf9, 0xff, 0x7f, 2, 2])),
        ("a line of one point", geometry(2, &[9, 4, 4])),
        ("a segment without length", geometry(2, &[9, 4, 4, 18, 0, 0, 16, 0])),
        ("a ring that is not closed", geometry(3, &RING[..8])),
        ("a ring without area", geometry(3, &[9, 0, 0, 18, 2, 2, 2, 2, 15])),
        ("a hole first", geometry(3, &[9, 0, 0, 18, 0, 20, 20, 0, 15])),
        ("an unused command", geometry(1, &[11, 2, 2])),
        ("a tag index out of range", around(&[&[0x12, 2, 0, 0], &point[..]].concat(), 2)),
    ];
    for (what, bytes) in refused {
        assert!(matches!(read(&bytes), Err(crate::error::Error::Refused(_))), "{what}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1_000_000i64..1_000_000).prop_map(Value::Int),
        (-1e12..1e12f64).prop_map(Value::Float),
        ".{0,12}".prop_map(Value::Text),
    ]
}

proptest! {
    #[test]
    fn properties_come_back(rows in prop::collection::vec(prop::collection::vec(any_value(), 4), 1..20)) {
        let keys = names(&["a", "b", "c", "d"]);
        let tags: Vec<Vec<u8>> = rows.iter().map(|r| tags(0, r)).collect();
        let mut layer = LayerWriter::new("layer", &keys);
        for tags in &tags {
            layer.feature(7, 1, &POINT, tags).unwrap();
        }
        let layers = read(&layer.finish().unwrap()).unwrap();
        for (row, feature) in rows.iter().zip(&layers[0].features) {
            let read: BTreeMap<&str, &DecodedValue> = layers[0].properties(feature).collect();
            for (key, value) in keys.iter().zip(row) {
                let text = match (value, read.get(key.as_str())) {
                    (Value::Null, None) => continue,
                    (_, None) => return Err(TestCaseError::fail("lost")),
                    (_, Some(DecodedValue::Text(t))) => t.clone(),
                    (_, Some(DecodedValue::Int(i))) => i.to_string(),
                    (_, Some(DecodedValue::Uint(i))) => i.to_string(),
                    (_, Some(DecodedValue::Double(f))) => f.to_string(),
                    (_, Some(DecodedValue::Bool(b))) => b.to_string(),
                };
                let expected = match value {
                    Value::Text(t) => t.clone(),
                    Value::Int(i) => i.to_string(),
                    Value::Float(f) => f.to_string(),
                    Value::Bool(b) => b.to_string(),
                    _ => String::new(),
                };
                prop_assert_eq!(text, expected);
            }
        }
    }

    #[test]
    fn hostile_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
    }

    #[test]
    fn a_damaged_tile_is_read_or_refused(at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let keys = names(&["a", "b"]);
        let tags = tags(0, &[Value::Text("text".into()), Value::Int(-3)]);
        let mut layer = LayerWriter::new("layer", &keys);
        layer.feature(1, 3, &RING[..9], &tags).unwrap();
        let mut tile = layer.finish().unwrap();
        let i = at.index(tile.len());
        tile[i] ^= 1 << bit;
        let _ = read(&tile);
        let _ = read(&tile[..i]);
    }
}
