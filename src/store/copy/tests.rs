//! Tests of copies, and an empty description others test with.

use super::{
    rows::{add, value},
    *,
};
use crate::{
    model::{FieldKind, Harvested, Report, Schema, Value, ValueRef},
    store::Row,
};
use sha2::{Digest, Sha256};

/// A description with nothing in it.
pub(in crate::store) fn version(id: &str) -> Version {
    let when = "2026-01-01T00:00:00Z".parse().unwrap();
    Version {
        id: id.parse().unwrap(),
        source: Harvested {
            path: Default::default(),
            name: "essai.csv".into(),
            origin: "essai.csv".into(),
            status: None,
            bytes: 0,
            sha256: String::new(),
            etag: None,
            modified: None,
            fetched_at: when,
            checked_at: when,
            dataset: None,
            withdrawn: None,
        },
        options_hash: String::new(),
        schema: Schema::default(),
        count: 0,
        bbox: None,
        key: None,
        max_zoom: 12,
        min_zoom: 0,
        report: Report::default(),
        temporal: None,
        thinning: None,
        drawing: None,
        classes: None,
        live: None,
    }
}

fn sum(rows: &[Row<'_>]) -> String {
    let mut hash = Sha256::new();
    rows.iter().for_each(|r| add(&mut hash, r));
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn no_two_tables_have_one_checksum() {
    fn row<'a>(id: &'a str, values: &'a [ValueRef<'a>]) -> Row<'a> {
        Row { ordinal: 0, id, values, wkb: None }
    }
    let text = |s| [ValueRef::Text(s)];
    let (a, b, ab, none) = (text("a"), text("b"), text("ab"), text(""));
    let json = [ValueRef::Json("a")];
    let sums = [
        sum(&[]),
        sum(&[row("a", &[])]),
        sum(&[row("", &a)]),
        sum(&[row("a", &b)]),
        sum(&[row("a", &none)]),
        sum(&[row("", &ab)]),
        sum(&[row("", &json)]),
        sum(&[row("a", &[]), row("b", &[])]),
        sum(&[row("b", &[]), row("a", &[])]),
        sum(&[row("", &[ValueRef::Null])]),
        sum(&[row("", &[ValueRef::Int(0)])]),
        sum(&[row("", &[ValueRef::Float(0.0)])]),
        sum(&[row("", &[ValueRef::Float(-0.0)])]),
        sum(&[Row { ordinal: 0, id: "", values: &[], wkb: Some(b"") }]),
    ];
    let distinct: std::collections::HashSet<&String> = sums.iter().collect();
    assert_eq!(distinct.len(), sums.len());
}

#[test]
fn values_are_what_they_were() {
    let date = value(ValueRef::Text("1900-02-28"), FieldKind::Date).unwrap();
    assert_eq!(date, Value::Date(jiff::civil::date(1900, 2, 28)));
    let instant = value(ValueRef::Text("1969-12-31T23:59:59.999Z"), FieldKind::DateTime);
    assert!(matches!(instant.unwrap(), Value::DateTime(t) if t.as_millisecond() == -1));
    assert!(value(ValueRef::Text("hier"), FieldKind::Date).is_err());
    assert_eq!(value(ValueRef::Null, FieldKind::Int).unwrap(), Value::Null);
    let text = value(ValueRef::Text("1900-02-28"), FieldKind::Text).unwrap();
    assert_eq!(text, Value::Text("1900-02-28".into()));
}
