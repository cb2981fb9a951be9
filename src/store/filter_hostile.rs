//! Filters with values and names that try to become SQL, for the tests of both lowerings.

use crate::{
    error::Result,
    model::{Field, FieldKind, GeometryKind, Mode, Schema, Selection},
    query::cql2::{self, Context, Dialect, Expression},
};
use geo_types::{Geometry, Rect};
use proptest::prelude::*;
use std::sync::Arc;

/// Names that fields of layers might have.
pub(super) const NAMES: [&str; 6] =
    ["nom", "x\"; DROP TABLE f; --", "a'b", "$1", "?2", "é \\ \u{202e}\"\""];

/// Kinds of the fields.
const KINDS: [FieldKind; 6] = [
    FieldKind::Text,
    FieldKind::Text,
    FieldKind::Int,
    FieldKind::Float,
    FieldKind::Date,
    FieldKind::Json,
];

/// Forms of filters: `{t}` and `{u}` are texts, `{n}` a whole number, `{x}` a longitude; fields
/// are named by their number.
const FORMS: [&str; 14] = [
    "{0} = {t}",
    "{1} < {t} OR {0} >= {u}",
    "{0} LIKE {t}",
    "CASEI({1}) LIKE ACCENTI(CASEI({t}))",
    "{0} IN ({t}, {u})",
    "ACCENTI({0}) IN ({t}, {u}) AND NOT {1} = {u}",
    "CASEI(ACCENTI({1})) <> {t}",
    "{2} > {n} AND {2} + {n} <> {3}",
    "{2} NOT BETWEEN {n} AND {2} * {n}",
    "S_INTERSECTS(geom, POINT({x} 3)) OR S_WITHIN(geom, BBOX(-179, -80, {x}, 80))",
    "A_CONTAINS({5}, ({t}, {u})) OR A_OVERLAPS({5}, ({n}, {t}))",
    "TERRITORY({t}) AND {1} IS NOT NULL",
    "T_DURING({4}, INTERVAL('2020-01-01', '..')) OR CASEI({0}) = {t}",
    "{0} = {1} AND ACCENTI({0}) > {t}",
];

/// A schema whose fields have these names.
pub(super) fn schema(names: &[&str]) -> Schema {
    let fields = names.iter().zip(KINDS);
    let fields = fields.map(|(name, kind)| Field { name: (*name).to_owned(), kind }).collect();
    Schema { fields, geometry: GeometryKind::Geometry }
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

/// Values for the places of a form.
#[derive(Debug, Clone)]
pub(super) struct Values {
    texts: [String; 2],
    number: i64,
    longitude: f64,
}

/// Values that mean no harm.
pub(super) fn harmless() -> Values {
    Values { texts: ["a1".into(), "a2".into()], number: 7, longitude: 0.5 }
}

/// Values that do.
pub(super) fn hostile() -> impl Strategy<Value = Values> {
    let known = prop::sample::select(vec![
        "'; DROP TABLE f1; --",
        "\\'; DELETE FROM layers; --",
        "$1",
        "?1",
        "$q$x$q$",
        "' OR '1'='1",
        "\" OR \"\"=\"",
        "/* */",
        "%' ESCAPE '",
        "E'\\x27'",
        "\u{ff07} OR 1=1",
    ]);
    let text = prop_oneof![known.prop_map(str::to_owned), "[^\\x00]{0,24}"];
    (text, any::<i64>(), -170.0..170.0f64).prop_map(|(text, number, longitude)| Values {
        texts: [format!("{text}1"), format!("{text}2")],
        number,
        longitude,
    })
}

/// Every form with these values, over fields of these names.
pub(super) fn expressions(names: &[&str], values: &Values) -> Vec<Expression> {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    let schema = schema(names);
    let one = |form: &&str| {
        // What stands between braces is filled once: a value may hold braces of its own.
        let mut pieces = form.split('{');
        let mut filled = pieces.next().unwrap().to_owned();
        for piece in pieces {
            let (place, rest) = piece.split_once('}').unwrap();
            filled.push_str(&match place {
                "t" => quoted(&values.texts[0]),
                "u" => quoted(&values.texts[1]),
                "n" => values.number.to_string(),
                "x" => format!("{:?}", values.longitude),
                field => {
                    let name = names[field.parse::<usize>().unwrap()];
                    format!("\"{}\"", name.replace('"', "\"\""))
                }
            });
            filled.push_str(rest);
        }
        let tree = cql2::parse(Dialect::Text, &filled).unwrap_or_else(|e| panic!("{filled}: {e}"));
        cql2::check(&tree, &schema, &Plain).unwrap_or_else(|e| panic!("{filled}: {e}"))
    };
    FORMS.iter().map(one).collect()
}
