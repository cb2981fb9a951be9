//! Lists inside JSON fields, compared as sets.

use crate::{model::Value, query::cql2::ArrayRelation};
use serde_json::Value as Json;

/// Literal values as a JSON list.
pub(super) fn json(values: &[Value]) -> String {
    let one = |value: &Value| match value {
        Value::Bool(b) => Json::from(*b),
        Value::Int(i) => Json::from(*i),
        Value::Float(f) => Json::from(*f),
        Value::Text(s) | Value::Json(s) => Json::from(s.as_str()),
        Value::Date(d) => Json::from(d.to_string()),
        Value::DateTime(t) => Json::from(t.to_string()),
        Value::Null => Json::Null,
    };
    Json::Array(values.iter().map(one).collect()).to_string()
}

/// Whether the relation holds of two JSON texts; `None` where one of them is no list.
pub(super) fn holds(relation: ArrayRelation, a: &str, b: &str) -> Option<bool> {
    let list = |text: &str| match serde_json::from_str(text) {
        Ok(Json::Array(items)) => Some(items),
        _ => None,
    };
    let (a, b): (Vec<Json>, Vec<Json>) = (list(a)?, list(b)?);
    let all = |some: &[Json], of: &[Json]| some.iter().all(|x| of.iter().any(|y| same(x, y)));
    Some(match relation {
        ArrayRelation::Equals => all(&a, &b) && all(&b, &a),
        ArrayRelation::Contains => all(&b, &a),
        ArrayRelation::ContainedBy => all(&a, &b),
        ArrayRelation::Overlaps => a.iter().any(|x| b.iter().any(|y| same(x, y))),
    })
}

/// 1 and 1.0 are one number, inside of lists and objects as well.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(x, y)| same(x, y))
        }
        (Json::Object(a), Json::Object(b)) => {
            let held = |(k, x): (&String, &Json)| b.get(k).is_some_and(|y| same(x, y));
            a.len() == b.len() && a.iter().all(held)
        }
        (Json::Number(x), Json::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        _ => a == b,
    }
}
