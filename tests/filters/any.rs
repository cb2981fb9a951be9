//! Any filter on the fields of the features that both stores are asked about.

use super::WORDS;
use proptest::{prelude::*, sample::select, strategy::BoxedStrategy};

/// Filters of every kind, and of several.
pub fn filter() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![texts(), numbers(), moments(), places(), others()];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} AND {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} OR {b})")),
            inner.prop_map(|a| format!("NOT ({a})")),
        ]
    })
}

fn word() -> impl Strategy<Value = String> {
    select(WORDS.to_vec())
        .prop_map(|w| format!("'{}'", w.replace('\\', "\\\\").replace('\'', "''")))
}

/// A field of text, folded or not.
fn folded() -> impl Strategy<Value = String> {
    let fold = select(vec!["", "CASEI", "ACCENTI", "CASEI(ACCENTI"]);
    let field = select(vec!["t", "\"u\"\"'; DROP TABLE x --\""]);
    (fold, field).prop_map(|(fold, field)| match fold {
        "" => field.to_owned(),
        fold => format!("{fold}({field}{}", ")".repeat(1 + fold.matches('(').count())),
    })
}

fn compare() -> impl Strategy<Value = &'static str> {
    select(vec!["=", "<>", "<", "<=", ">", ">="])
}

fn texts() -> BoxedStrategy<String> {
    let plain = vec!["%", "_", "a%", "%e%", "__", "\\\\%", "O''%", "%É%", "50 \\%", ""];
    let bare = vec!["o%", "_uf", "É", "s%T-_t%"];
    prop_oneof![
        (folded(), compare(), word()).prop_map(|(a, c, b)| format!("{a} {c} {b}")),
        (folded(), compare(), folded()).prop_map(|(a, c, b)| format!("{a} {c} {b}")),
        (folded(), prop::collection::vec(word(), 1..4))
            .prop_map(|(a, l)| format!("{a} IN ({})", l.join(", "))),
        (folded(), select(plain)).prop_map(|(a, p)| format!("{a} LIKE '{p}'")),
        (folded(), select(bare)).prop_map(|(a, p)| format!("{a} LIKE ACCENTI(CASEI('{p}'))")),
    ]
    .boxed()
}

/// A number or a calculation.
fn number() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("i".to_owned()),
        Just("f".to_owned()),
        (-600..600i32).prop_map(|n| n.to_string()),
        (-400..400i32).prop_map(|n| format!("{:?}", f64::from(n) / 8.0)),
    ];
    leaf.prop_recursive(2, 4, 2, |inner| {
        (inner.clone(), select(vec!["+", "-", "*", "/", "DIV", "%"]), inner)
            .prop_map(|(a, op, b)| format!("({a} {op} {b})"))
    })
}

fn numbers() -> BoxedStrategy<String> {
    prop_oneof![
        (number(), compare(), number()).prop_map(|(a, c, b)| format!("{a} {c} {b}")),
        (number(), number(), number()).prop_map(|(a, b, c)| format!("{a} NOT BETWEEN {b} AND {c}")),
        (number(), number(), number()).prop_map(|(a, b, c)| format!("{a} IN ({b}, {c})")),
    ]
    .boxed()
}

fn moment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("d".to_owned()),
        Just("m".to_owned()),
        (1..29u8).prop_map(|d| format!("DATE('2020-01-{d:02}')")),
        (1..29u8, 0..24u8).prop_map(|(d, h)| format!("TIMESTAMP('2020-01-{d:02}T{h:02}:00:00Z')")),
    ]
}

fn span() -> impl Strategy<Value = String> {
    prop_oneof![
        moment(),
        (1..29u8).prop_map(|d| format!("INTERVAL('2020-01-{d:02}', '..')")),
        (1..15u8, 15..29u8)
            .prop_map(|(a, b)| format!("INTERVAL('2020-01-{a:02}', '2020-01-{b:02}')")),
        Just("INTERVAL(d, m)".to_owned()),
    ]
}

fn moments() -> BoxedStrategy<String> {
    let relations = vec![
        "AFTER",
        "BEFORE",
        "CONTAINS",
        "DISJOINT",
        "DURING",
        "EQUALS",
        "FINISHEDBY",
        "FINISHES",
        "INTERSECTS",
        "MEETS",
        "METBY",
        "OVERLAPPEDBY",
        "OVERLAPS",
        "STARTEDBY",
        "STARTS",
    ];
    prop_oneof![
        (moment(), compare(), moment()).prop_map(|(a, c, b)| format!("{a} {c} {b}")),
        (moment(), prop::collection::vec(moment(), 1..4))
            .prop_map(|(a, l)| format!("{a} IN ({})", l.join(", "))),
        (select(relations), span(), span()).prop_map(|(op, a, b)| format!("T_{op}({a}, {b})")),
    ]
    .boxed()
}

fn places() -> BoxedStrategy<String> {
    let relations = vec![
        "INTERSECTS",
        "DISJOINT",
        "EQUALS",
        "TOUCHES",
        "CROSSES",
        "WITHIN",
        "CONTAINS",
        "OVERLAPS",
    ];
    let shape = (0..4u8, 0..10i32, 40..50i32, 1..6i32).prop_map(|(kind, x, y, s)| {
        let (far, up) = (x + s, y + s);
        match kind {
            0 => format!("POINT({x} {y})"),
            1 => format!("BBOX({x},{y},{far},{up})"),
            2 => format!("LINESTRING({x} {y}, {far} {})", y + 1),
            _ => format!("POLYGON(({x} {y}, {far} {y}, {x} {up}, {x} {y}))"),
        }
    });
    (select(relations), shape, any::<bool>())
        .prop_map(|(op, shape, first)| match first {
            true => format!("S_{op}(geom, {shape})"),
            false => format!("S_{op}({shape}, geom)"),
        })
        .boxed()
}

fn others() -> BoxedStrategy<String> {
    let lists = vec!["('a')", "(1, 2)", "('a', 'b', 2)", "(TRUE)", "j"];
    let rest = vec![
        "b",
        "NOT b",
        "b = FALSE",
        "b <> TRUE",
        "t IS NULL",
        "j IS NOT NULL",
        "geom IS NULL",
        "i + f IS NULL",
        "TERRITORY('x')",
        "TRUE",
        // Lists whose values are of several classes.
        "'true' IN (b, t)",
        "'false' NOT IN (t, b)",
        "'2020-01-05' IN (d, t)",
        "'2020-01-05' IN (m, d)",
        "3 IN (i, f)",
        "i IN (3, f, 2.5)",
    ];
    prop_oneof![
        (select(vec!["EQUALS", "CONTAINS", "CONTAINEDBY", "OVERLAPS"]), select(lists))
            .prop_map(|(op, list)| format!("A_{op}(j, {list})")),
        select(rest).prop_map(str::to_owned),
    ]
    .boxed()
}
