//! Rows in a file are the rows that were written, read in any way.

use super::*;
use crate::model::{Feature, Value};
use geo_types::{Geometry, MultiPolygon, line_string, point, polygon};
use proptest::prelude::*;

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        ".{0,40}".prop_map(Value::Text),
        (0..10_000u32).prop_map(|n| Value::Json(format!("[{n}]"))),
        (-9999..=9999i16, 1..=12i8, 1..=28i8)
            .prop_map(|(y, m, d)| Value::Date(jiff::civil::date(y, m, d))),
        (-377_705_023_201..=253_402_207_200i64, 0..1_000_000_000i32).prop_map(|(s, n)| {
            let n = if s < 0 { -n } else { n };
            Value::DateTime(jiff::Timestamp::new(s, n).unwrap())
        }),
    ]
}

fn geometry() -> impl Strategy<Value = Option<Geometry<f64>>> {
    let place = (-180.0..180.0f64, -90.0..90.0f64);
    (0..5u8, place).prop_map(|(kind, (x, y))| match kind {
        0 => None,
        1 => Some(point!(x: x, y: y).into()),
        2 => Some(line_string![(x: x, y: y), (x: 1.0, y: 2.0)].into()),
        3 => Some(polygon![(x: x, y: y), (x: 1.0, y: 2.0), (x: 3.0, y: 4.0)].into()),
        _ => Some(MultiPolygon(vec![polygon![(x: x, y: y), (x: 5.0, y: 6.0)]]).into()),
    })
}

fn features() -> impl Strategy<Value = Vec<Feature>> {
    let row = (".{0,12}", any::<u64>(), proptest::collection::vec(value(), 0..6), geometry());
    let row =
        row.prop_map(|(id, mvt_id, values, geometry)| Feature { id, mvt_id, values, geometry });
    proptest::collection::vec(row, 0..300)
}

fn written(features: &[Feature], most: usize, batch: usize) -> Spool<Feature> {
    let folder = tempfile::tempdir().unwrap();
    let mut spooling = Spooling::new(&Spill::into(&folder.path().join("made")).beyond(most));
    for rows in features.chunks(batch) {
        spooling.extend(rows.to_vec()).unwrap();
    }
    assert_eq!(spooling.len(), features.len());
    if let Some(last) = features.last() {
        let id = spooling.show(features.len() - 1, |f| f.id.clone()).unwrap();
        assert_eq!(id, last.id);
    }
    assert!(spooling.show(features.len(), |_| ()).is_err());
    let made = std::fs::read_dir(folder.path().join("made"));
    assert_eq!(made.map_or(0, Iterator::count), 0, "the file has no name");
    spooling.finish().unwrap()
}

/// Everything of a feature, floats by their bits.
fn shown(feature: &Feature) -> String {
    let mut bytes = Vec::new();
    feature.write(&mut bytes);
    format!("{feature:?} {bytes:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn rows_come_back_in_order_and_by_rank(
        features in features(), most in 0..20_000usize, batch in 1..80usize,
        ranks in proptest::collection::vec(any::<prop::sample::Index>(), 0..50),
    ) {
        let all: Vec<String> = features.iter().map(shown).collect();
        let spool = written(&features, most, batch);
        prop_assert_eq!(spool.len(), features.len());
        let mut seen = Vec::new();
        spool.each(|first, rows| {
            assert_eq!(first, seen.len());
            seen.extend(rows.iter().map(shown));
            Ok(())
        }).unwrap();
        prop_assert_eq!(&seen, &all);
        prop_assert_eq!(&spool.map(shown).unwrap(), &all);
        if !all.is_empty() {
            let ranks: Vec<u32> = ranks.iter().map(|i| i.index(all.len()) as u32).collect();
            let wanted: Vec<&String> = ranks.iter().map(|r| &all[*r as usize]).collect();
            let picked = spool.pick(&ranks, shown).unwrap();
            prop_assert_eq!(picked.iter().collect::<Vec<_>>(), wanted.clone());
            let mut visited = Vec::new();
            spool.visit(&ranks, |row| {
                visited.push(shown(row));
                Ok(())
            }).unwrap();
            prop_assert_eq!(visited.iter().collect::<Vec<_>>(), wanted);
        }
        prop_assert!(spool.pick(&[all.len() as u32], shown).is_err());
        let mut drained = Vec::new();
        spool.drain(|rows| {
            drained.extend(rows.iter().map(shown));
            Ok(())
        }).unwrap();
        prop_assert_eq!(drained, all);
    }
}

#[test]
fn damage_is_seen() {
    let feature = Feature {
        id: "59350".into(),
        mvt_id: 7,
        values: vec![Value::Text("Lille".into()), Value::Date(jiff::civil::date(2026, 1, 2))],
        geometry: Some(point!(x: 3.0, y: 50.6).into()),
    };
    let mut bytes = Vec::new();
    feature.write(&mut bytes);
    let geometry = 21;
    for cut in 0..bytes.len() {
        // Without any byte of its geometry a row is whole.
        let whole = cut == bytes.len() - geometry;
        assert_eq!(Feature::read(&bytes[..cut]).is_some(), whole, "cut at {cut}");
    }
    assert!(Feature::read(&bytes).is_some());
}

#[test]
fn few_rows_stay_in_memory_and_many_do_not() {
    let row = |i: u64| Feature {
        id: i.to_string(),
        mvt_id: i,
        values: vec![Value::Int(1)],
        geometry: None,
    };
    let rows: Vec<Feature> = (0..10_000).map(row).collect();
    assert!(!written(&rows[..10], 100_000, 5).is_filed());
    let filed = written(&rows, 100_000, 5_000);
    assert!(filed.is_filed());
    let mut batches = Vec::new();
    let all = filed.each(|first, rows| {
        batches.push((first, rows.len()));
        Ok(())
    });
    all.unwrap();
    assert_eq!(batches, [(0, 4096), (4096, 4096), (8192, 1808)]);
}
