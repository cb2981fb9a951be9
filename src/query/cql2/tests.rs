use super::*;
use crate::model::{Field, FieldKind, GeometryKind, Mode, Schema, Selection, Value};
use geo_types::{Coord, Geometry, LineString, MultiPoint, Point, Polygon, Rect};
use proptest::prelude::*;
use std::sync::Arc;

fn schema() -> Schema {
    let field = |(name, kind): (&str, FieldKind)| Field { name: name.into(), kind };
    Schema {
        fields: [
            ("nom", FieldKind::Text),
            ("population", FieldKind::Int),
            ("surface", FieldKind::Float),
            ("actif", FieldKind::Bool),
            ("cree", FieldKind::Date),
            ("vu", FieldKind::DateTime),
            ("etiquettes", FieldKind::Json),
            ("LINE_NUMB-SEG", FieldKind::Text),
        ]
        .map(field)
        .into(),
        geometry: GeometryKind::Point,
    }
}

struct Plain;

impl Context for Plain {
    fn territory(&self, written: &str, _: Mode) -> Result<Arc<Selection>> {
        Ok(Arc::new(Selection { key: written.into(), any: Vec::new() }))
    }
    fn place(&self, geometry: Geometry<f64>) -> Result<Geometry<f64>> {
        Ok(geometry)
    }
    fn place_box(&self, [a, b, c, d]: [f64; 4]) -> Result<Geometry<f64>> {
        Ok(Rect::new((a, b), (c, d)).to_polygon().into())
    }
}

fn checked(text: &str) -> Result<Expression> {
    check(&parse(Dialect::Text, text)?, &schema(), &Plain)
}

fn refusal(text: &str) -> String {
    match checked(text) {
        Err(Error::Invalid(text)) => {
            assert!(text.en.starts_with("Filter"), "{}", text.en);
            text.fr
        }
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn spellings_of_one_meaning_are_one_key() {
    let same = |all: &[&str]| {
        let keys: Vec<String> = all.iter().map(|t| checked(t).unwrap().key().to_owned()).collect();
        assert!(keys.windows(2).all(|k| k[0] == k[1]), "{all:?}");
    };
    same(&[
        "nom = 'a'",
        "'a' = nom",
        "(nom='a')",
        "NOT nom <> 'a'",
        "nom IN ('a')",
        "\"nom\" = 'a'",
    ]);
    same(&["population > 5", "5 < population", "population > 2+3", "not population <= 5.0"]);
    same(&["nom = 'a' AND actif", "actif = TRUE AND nom = 'a'", "nom='a' and (actif and nom='a')"]);
    same(&["population BETWEEN 1 AND 2", "population >= 1 AND population <= 2"]);
    same(&["nom IN ('a','b')", "nom in ('b','a','a')"]);
    // Each value of a list is compared with the left side as it would be alone.
    let (day, time) = ("DATE('2024-01-01')", "TIMESTAMP('2025-01-31T00:00:00Z')");
    let each = format!("cree = {day} OR cree = {time}");
    let lists = [(day, time), (time, day)].map(|(a, b)| format!("cree IN ({a}, {b})"));
    same(&[&each, &lists[0], &lists[1]]);
    same(&["'true' IN (actif, nom)", "'true' IN (nom, actif)", "actif = TRUE OR nom = 'true'"]);
    same(&["'2024-01-01' IN (vu, cree)", "cree = '2024-01-01' OR vu = '2024-01-01'"]);
    same(&["nom ILIKE 'A%'", "CASEI(nom) LIKE casei('a%')"]);
    same(&["S_CONTAINS(POINT(1 2), geometry)", "s_within(geom, POINT (1.0 2.0))"]);
    same(&["S_DISJOINT(geom, POINT(1 2))", "NOT S_INTERSECTS(geom, POINT(1 2))"]);
    same(&["NOT (actif OR nom = 'a')", "actif <> true AND nom <> 'a'"]);
    same(&["cree > '2025-01-31'", "cree > DATE('2025-01-31')"]);
    same(&["vu > '2025-01-31T12:00:00Z'", "vu > TIMESTAMP('2025-01-31T13:00:00+01:00')"]);
    let differ = ["nom = 'a'", "nom = 'A'", "nom <> 'a'", "CASEI(nom) = 'a'", "nom LIKE 'a'"];
    let keys: std::collections::BTreeSet<String> =
        differ.iter().map(|t| checked(t).unwrap().key().to_owned()).collect();
    assert_eq!(keys.len(), differ.len());
}

#[test]
fn refusals_say_where_and_what_is_possible() {
    assert!(refusal("nom = 'a' AND pop > 3").contains("caractère 15"));
    assert!(refusal("pop > 3").contains("nom, population, surface"));
    assert!(refusal("nom = 59").contains("apostrophes"));
    assert!(refusal("population = '59'").contains("sans apostrophes"));
    assert!(refusal("nom = 'a").contains("caractère 7"));
    assert!(refusal("S_INTERSECT(geom, POINT(1 2))").contains("S_INTERSECTS"));
    assert!(refusal("cree = '31/01/2025'").contains("DATE('2025-01-31')"));
    assert!(refusal("geometry = 1").contains("S_"));
    assert!(refusal("etiquettes = 'a'").contains("A_CONTAINS"));
    assert!(refusal("2^3^2 = population").contains("parenthèses"));
    for bad in [
        "nom",
        "1",
        "nom =",
        "= 1",
        "nom = 'a' nom = 'b'",
        "(nom = 'a'",
        "nom = 'a')",
        "nom = = 1",
        "nom IN ()",
        "nom IN 'a'",
        "nom LIKE population",
        "nom IS",
        "AND",
        "NOT",
        "nom = NULL",
        "population + 'a' = 1",
        "nom = 'a' = TRUE",
        "CASEI(population) = 'a'",
        "DATE('x') = cree",
        "POINT(1) = 1",
        "S_INTERSECTS(geom)",
        "S_INTERSECTS(geom, POLYGON((0 0, 1 1, 1 0)))",
        "S_INTERSECTS(nom, POINT(1 2))",
        "T_AFTER(nom, DATE('2025-01-01'))",
        "TERRITORY(nom)",
        "A_CONTAINS(nom, ('a'))",
        "BBOX(1,2,3) = 1",
        "nom = 'a' # comment",
        "population = 1e999",
    ] {
        refusal(bad);
    }
}

#[test]
fn hostile_nesting_is_refused_on_a_small_stack() {
    let small = std::thread::Builder::new().stack_size(2 << 20);
    let done = small.spawn(|| {
        let open = |n: usize| format!("{}nom = 'a'{}", "(".repeat(n), ")".repeat(n));
        assert!(checked(&open(MAX_NESTING)).is_ok());
        assert!(refusal(&open(MAX_NESTING + 1)).contains("64"));
        assert!(refusal(&open(5_000)).contains("64"));
        assert!(refusal(&"(".repeat(16_000)).contains("64"));
        let nots = |n: usize| checked(&format!("{}nom = 'a'", "NOT ".repeat(n)));
        assert_eq!(nots(2_000).unwrap().key(), checked("nom = 'a'").unwrap().key());
        assert_eq!(nots(2_001).unwrap().key(), checked("nom <> 'a'").unwrap().key());
        refusal(&format!("population = 1{}", "+1".repeat(8_000)));
        assert!(checked(&format!("nom = 'a'{}", " OR nom = 'a'".repeat(1_000))).is_ok());
        refusal(&format!("nom = '{}'", "a".repeat(MAX_BYTES)));
        let nested = format!("{}1{}", "{\"op\":\"not\",\"args\":[".repeat(500), "]}".repeat(500));
        assert!(parse(Dialect::Json, &nested).is_err());
        let deepest = "-(".repeat(64) + "1" + &")".repeat(64);
        let _ = checked(&format!("population = {deepest}"));
        let both = "(1+1+1+1+1+1+1+1+".repeat(64) + "1" + &")".repeat(64);
        let _ = checked(&format!("population = {both}"));
    });
    done.unwrap().join().unwrap();
}

#[test]
fn what_clients_write_is_understood() {
    for text in [
        "(population = 1) AND (nom LIKE 'x%')",
        "(NOT (nom ILIKE 'a%'))",
        "((population % 2) = ( - (1)))",
        "(nom = 'L''Haÿ \\\\ x')",
        "S_INTERSECTS(geometry,BBOX(1,2,3,4)) AND (\"LINE_NUMB-SEG\" IS NOT NULL)",
        "vu > TIMESTAMP('2025-01-31T12:00:00.123Z')",
        "S_INTERSECTS(geom,MULTIPOINT(7 50, 10 51))",
        "S_INTERSECTS(geom,POINT Z (7 50 3))",
        "A_CONTAINS(etiquettes, ('a', 'b')) OR A_OVERLAPS(etiquettes, 'c')",
        "TERRITORY('dep:59') AND NOT TERRITORY('com:59350', 'within')",
        "T_DURING(INTERVAL(cree, '..'), INTERVAL('2024-01-01', '2025-01-01'))",
    ] {
        checked(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    }
    assert_eq!(
        parse(Dialect::Text, "nom = 'a\\\\b''c\\'d\\%'").unwrap(),
        Node::new(Kind::Call(
            Op::Compare(Comparison::Eq),
            vec![
                Node::new(Kind::Property("nom".into())),
                Node::new(Kind::Text("a\\b'c'd\\%".into()))
            ]
        ))
    );
}

#[test]
fn literals_are_calculated_once() {
    let key = |t: &str| checked(t).unwrap().key().to_owned();
    assert_eq!(key("1 = 1 AND nom = 'a'"), key("nom = 'a'"));
    assert_eq!(key("1 = 2 AND nom = 'a'"), key("FALSE"));
    assert_eq!(key("population = 7 DIV 2"), key("population = 3"));
    assert_eq!(key("population = -7 % 3"), key("population = -1"));
    assert!(refusal("surface > 1e308 * 10").contains("1,8e308"));
    let unknown = checked("population = 1/0").unwrap();
    assert!(matches!(unknown.root, Expr::Constant(None)));
}

fn coord() -> impl Strategy<Value = Coord<f64>> {
    (-180.0..180.0f64, -90.0..90.0f64).prop_map(|(x, y)| Coord { x, y })
}

fn geometry() -> impl Strategy<Value = Geometry<f64>> {
    let line = || prop::collection::vec(coord(), 2..5).prop_map(LineString);
    let ring = || prop::collection::vec(coord(), 3..6).prop_map(|c| Polygon::new(c.into(), vec![]));
    let simple = prop_oneof![
        coord().prop_map(|c| Geometry::from(Point(c))),
        line().prop_map(Geometry::from),
        ring().prop_map(Geometry::from),
        prop::collection::vec(coord().prop_map(Point), 1..4)
            .prop_map(|p| Geometry::from(MultiPoint(p))),
        prop::collection::vec(line(), 1..3)
            .prop_map(|l| Geometry::from(geo_types::MultiLineString(l))),
        prop::collection::vec(ring(), 1..3)
            .prop_map(|p| Geometry::from(geo_types::MultiPolygon(p))),
    ];
    simple.prop_recursive(2, 6, 3, |inner| {
        prop::collection::vec(inner, 1..3)
            .prop_map(|g| Geometry::GeometryCollection(geo_types::GeometryCollection(g)))
    })
}

fn moment() -> impl Strategy<Value = Kind> {
    prop_oneof![
        (1900i16..2100, 1i8..13, 1i8..29)
            .prop_map(|(y, m, d)| Kind::Date(jiff::civil::date(y, m, d))),
        (0i64..4_000_000_000_000_000)
            .prop_map(|t| Kind::Timestamp(jiff::Timestamp::from_microsecond(t).unwrap())),
    ]
}

/// Any tree the parsers may give; types do not matter to them.
fn tree() -> impl Strategy<Value = Node> {
    let end = || prop_oneof![moment(), Just(Kind::Open), ".{1,8}".prop_map(Kind::Property)];
    let leaf = prop_oneof![
        any::<bool>().prop_map(Kind::Bool),
        any::<i32>().prop_map(|i| Kind::Int(i.into())),
        prop::num::f64::NORMAL.prop_map(Kind::Float),
        ".{0,12}".prop_map(Kind::Text),
        ".{1,12}".prop_map(Kind::Property),
        moment(),
        (end(), end()).prop_map(|(a, b)| Kind::Interval(Box::new([Node::new(a), Node::new(b)]))),
        geometry().prop_map(Kind::Geometry),
        prop::array::uniform4(-90.0..90.0f64).prop_map(Kind::Box),
    ];
    leaf.prop_map(Node::new).prop_recursive(5, 32, 4, |inner| {
        let ops: Vec<Op> = ast::NAMES.iter().map(|(_, op)| *op).collect();
        (prop::sample::select(ops), prop::collection::vec(inner, 4)).prop_map(|(op, mut args)| {
            let (least, _) = op.arguments();
            args.truncate(least.max(2).min(if op == Op::Territory { 2 } else { least }));
            if op == Op::In {
                let list = args.pop().unwrap();
                args.push(Node::new(Kind::Array(vec![list.clone(), list])));
            }
            if op == Op::Not && matches!(args[0].kind, Kind::Call(Op::Not, _)) {
                return args.remove(0);
            }
            // A chain takes in one of its own kind that stands first.
            if matches!(op, Op::And | Op::Or)
                && let Kind::Call(inner, parts) = &mut args[0].kind
                && *inner == op
            {
                let mut all = std::mem::take(parts);
                all.extend(args.into_iter().skip(1));
                args = all;
            }
            Node::new(Kind::Call(op, args))
        })
    })
}

proptest! {
    #[test]
    fn a_tree_survives_its_text(tree in tree()) {
        let text = to_text(&tree);
        prop_assume!(text.len() <= MAX_BYTES);
        let read = parse(Dialect::Text, &text);
        prop_assert!(read.is_ok(), "{text}: {read:?}");
        prop_assert_eq!(read.unwrap(), tree, "{}", text);
    }

    #[test]
    fn a_tree_survives_its_json(tree in tree()) {
        let json = to_json(&tree).to_string();
        prop_assume!(json.len() <= MAX_BYTES);
        let read = parse(Dialect::Json, &json);
        prop_assert!(read.is_ok(), "{json}: {read:?}");
        prop_assert_eq!(read.unwrap(), tree, "{}", json);
    }

    #[test]
    fn no_text_breaks_the_reader(text in ".{0,200}") {
        let _ = parse(Dialect::Text, &text);
        let _ = parse(Dialect::Json, &text);
    }

    #[test]
    fn no_row_of_words_breaks_the_reader(words in prop::collection::vec(prop::sample::select(vec![
        "nom", "population", "geom", "(", ")", ",", "AND", "OR", "NOT", "=", "<>", "LIKE", "IN",
        "BETWEEN", "IS", "NULL", "'a'", "1", "-", "+", "*", "^", "DIV", "CASEI(", "POINT(", "1 2)",
        "BBOX(", "DATE(", "'2025-01-01'", "INTERVAL(", "'..'", "S_INTERSECTS(", "TERRITORY(", "TRUE",
        "T_AFTER(", "A_EQUALS(", "\"x\"", "cree", "etiquettes", "GEOMETRYCOLLECTION(",
    ]), 0..40)) {
        let _ = checked(&words.join(" "));
    }

    #[test]
    fn json_of_any_shape_is_read_or_refused(
        op in prop::sample::select(ast::NAMES.map(|(n, _)| n).to_vec()),
        args in prop::collection::vec(prop_oneof![
            Just(serde_json::json!(null)), Just(serde_json::json!(1)), Just(serde_json::json!("a")),
            Just(serde_json::json!({"property": "nom"})), Just(serde_json::json!({"property": 1})),
            Just(serde_json::json!([1, []])), Just(serde_json::json!({"type": "Point", "coordinates": [1]})),
            Just(serde_json::json!({"interval": ["..", "2025-01-01"]})), Just(serde_json::json!({"op": "x"})),
        ], 0..4),
    ) {
        let json = serde_json::json!({ "op": op, "args": args }).to_string();
        if let Ok(tree) = parse(Dialect::Json, &json) {
            let _ = check(&tree, &schema(), &Plain);
        }
    }

    #[test]
    fn a_filters_values_reach_its_form_as_they_are(value in ".{0,40}") {
        let text = format!("nom = '{}'", value.replace('\\', "\\\\").replace('\'', "''"));
        let found = checked(&text).unwrap();
        let Expr::Compare(Comparison::Eq, _, Scalar::Value(Value::Text(kept))) = found.root else {
            panic!("{text}");
        };
        prop_assert_eq!(kept, value);
    }
}
