//! Filters beside the SQL that means the same, written by hand and asked of a plain table, and
//! lists beside what they must find: an error that both stores share shows here.

use super::{FIELDS, expression, features, found, table};
use crate::{
    store_contract::{Place, feature, layer, put, version},
    support::postgres,
};
use socle::{
    model::{FieldKind, Value},
    query::Filter,
    store::{At, Store},
};
use std::sync::Arc;

/// Filters, each with a condition that is true, false and unknown where it is.
const PAIRS: [(&str, &str); 24] = [
    ("t = 'a'", "t = 'a'"),
    ("t < 'b'", "t COLLATE \"C\" < 'b'"),
    ("t IN ('a', 'A', 'ß')", "t IN ('a', 'A', 'ß')"),
    ("t LIKE '%e%'", "t LIKE '%e%'"),
    ("t IS NULL", "t IS NULL"),
    ("i > 0", "i > 0"),
    ("i + f > 100", "i + f > 100"),
    ("i % 7 = -3", "i % 7 = -3"),
    ("i / 0 = 1", "NULL::boolean"),
    ("i BETWEEN -100 AND 100", "i BETWEEN -100 AND 100"),
    ("i IN (3, f, -2)", "i IN (3, f, -2)"),
    ("b", "b"),
    ("'true' IN (b, t)", "(b OR t = 'true')"),
    ("'2020-01-05' IN (d, t)", "(d = '2020-01-05' OR t = '2020-01-05')"),
    (
        "d BETWEEN DATE('2020-01-05') AND DATE('2020-01-10')",
        "d BETWEEN '2020-01-05' AND '2020-01-10'",
    ),
    (
        "d IN (DATE('2020-01-05'), TIMESTAMP('2020-01-06T00:00:00Z'))",
        "d IN ('2020-01-05', '2020-01-06')",
    ),
    (
        "m IN (TIMESTAMP('2020-01-05T03:00:00Z'), DATE('2020-01-06'))",
        "m IN ('2020-01-05T03:00:00Z', '2020-01-06T00:00:00Z')",
    ),
    ("T_AFTER(m, DATE('2020-01-10'))", "m >= '2020-01-11T00:00:00Z'"),
    (
        "T_DURING(d, INTERVAL('2020-01-05', '2020-01-10'))",
        "(d > '2020-01-05' AND d < '2020-01-10')",
    ),
    ("S_INTERSECTS(geom, BBOX(2,42,5,46))", "ST_Intersects(geom, ST_MakeEnvelope(2,42,5,46,4326))"),
    ("S_DISJOINT(geom, BBOX(2,42,5,46))", "ST_Disjoint(geom, ST_MakeEnvelope(2,42,5,46,4326))"),
    ("S_WITHIN(geom, BBOX(0,40,6,46))", "ST_Within(geom, ST_MakeEnvelope(0,40,6,46,4326))"),
    ("S_TOUCHES(geom, BBOX(3,43,6,46))", "ST_Touches(geom, ST_MakeEnvelope(3,43,6,46,4326))"),
    ("geom IS NULL", "geom IS NULL"),
];

fn stores(
    places: &[Place],
    fields: &[(&str, FieldKind)],
    features: &[socle::model::Feature],
) -> Vec<(Arc<dyn Store>, At)> {
    let one = |place: &Place| {
        let store = place.open();
        let at = place.wait(put(&store, &layer("essai"), version(1, fields, features.to_vec())));
        (store, at)
    };
    places.iter().map(one).collect()
}

/// What each store finds by a filter.
fn both(places: &[Place], stores: &[(Arc<dyn Store>, At)], filter: &str) -> [Vec<u64>; 2] {
    [0, 1].map(|i| {
        let (store, at) = &stores[i];
        let asked = Filter { expression: Some(expression(at, filter)), ..Filter::default() };
        places[i]
            .wait(found(store, at, asked))
            .unwrap_or_else(|e| panic!("{filter}: {}", e.chain()))
    })
}

#[test]
fn filters_find_what_the_same_in_sql_does() {
    let Some(server) = postgres::shared() else { return };
    let mut features = features(11);
    for value in features.iter_mut().flat_map(|f| &mut f.values) {
        if matches!(value, Value::Text(t) if t.contains('\0')) {
            *value = Value::Text("a".into()); // no text of a table holds it
        }
    }
    let database = server.database();
    server.sql(&database, &table(&features));
    let places = [Place::embedded(), Place::postgis(&server.url(&server.database()), false)];
    let stores = stores(&places, &FIELDS, &features);
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (i, (filter, sql)) in PAIRS.iter().enumerate() {
        let (other, other_sql) = PAIRS[(i * 7 + 3) % PAIRS.len()];
        let mut pair = |a: String, b: String| pairs.push((a, b));
        pair((*filter).to_owned(), (*sql).to_owned());
        pair(format!("NOT ({filter})"), format!("NOT ({sql})"));
        pair(format!("NOT ({filter} AND {other})"), format!("NOT ({sql} AND {other_sql})"));
        pair(format!("{filter} OR NOT ({other})"), format!("{sql} OR NOT ({other_sql})"));
    }
    let asked: Vec<String> = pairs
        .iter()
        .map(|(_, sql)| {
            format!(
                "SELECT coalesce(string_agg(substr(id, 2), ',' ORDER BY substr(id, 2)::int), '-') FROM gestion.essai WHERE {sql};"
            )
        })
        .collect();
    let answers = server.sql(&database, &format!("SET timezone = 'UTC'; {}", asked.concat()));
    let answers: Vec<&str> = answers.lines().filter(|l| *l != "SET").collect();
    assert_eq!(answers.len(), pairs.len());
    let mut some = 0;
    for ((filter, sql), expected) in pairs.iter().zip(answers) {
        for found in both(&places, &stores, filter) {
            let found: Vec<String> = found.iter().map(u64::to_string).collect();
            let found = if found.is_empty() { "-".to_owned() } else { found.join(",") };
            assert_eq!(found, expected, "{filter} / {sql}");
        }
        some += usize::from(expected != "-");
    }
    assert!(some > pairs.len() / 2);
}

#[test]
fn lists_are_sets_of_whole_items() {
    let Some(server) = postgres::shared() else { return };
    let rows = [
        (Some("[1,2]"), Some("[2,1.0]")),
        (Some("[[1,2]]"), Some("[[1]]")),
        (Some(r#"["a\u0000b"]"#), Some(r#"["a\u0000b","x"]"#)),
        (Some(r#"["a"]"#), Some(r#""a""#)),
        (Some("[]"), Some("[]")),
        (None, Some("[1]")),
        (Some(r#"[{"n":1}]"#), Some(r#"[{"n":1,"m":2}]"#)),
        (Some(r#"["\\u0000"]"#), Some(r#"["\u0000"]"#)),
        (Some("[[1],2]"), Some("[2,[1.0]]")),
    ];
    let json = |text: &Option<&str>| text.map_or(Value::Null, |t| Value::Json(t.into()));
    let features: Vec<_> = rows
        .iter()
        .enumerate()
        .map(|(n, (j, k))| feature(&format!("e{n}"), vec![json(j), json(k)], None))
        .collect();
    let places = [Place::embedded(), Place::postgis(&server.url(&server.database()), false)];
    let stores = stores(&places, &[("j", FieldKind::Json), ("k", FieldKind::Json)], &features);
    for (filter, expected) in [
        ("A_EQUALS(j, k)", &[0, 4, 8][..]),
        ("A_CONTAINS(j, k)", &[0, 4, 8]),
        ("A_CONTAINEDBY(j, k)", &[0, 2, 4, 8]),
        ("A_OVERLAPS(j, k)", &[0, 2, 8]),
        ("NOT A_OVERLAPS(j, k)", &[1, 4, 6, 7]),
        ("A_CONTAINS(j, ('a\0b'))", &[2]),
        ("A_CONTAINS(k, ('\0'))", &[7]),
        ("A_CONTAINS(j, ('\\\\u0000'))", &[7]),
        ("A_CONTAINS(k, ('a'))", &[]),
        ("A_CONTAINEDBY(j, ('a', 2, 1, 3))", &[0, 3, 4]),
    ] {
        for found in both(&places, &stores, filter) {
            assert_eq!(found, expected, "{filter}");
        }
    }
}
