//! CQL2 JSON to a tree and back.

use super::{
    ast::{Kind, Node, Op},
    error::{self, shown, whole},
};
use crate::{error::Result, text};
use geo_types::{
    Coord, Geometry, GeometryCollection, LineString, MultiLineString, MultiPoint, MultiPolygon,
    Point, Polygon,
};
use serde_json::{Map, Value, json};

/// Reads JSON that the scan has passed.
pub(super) fn parse(filter: &str) -> Result<Node> {
    let value: Value = serde_json::from_str(filter).map_err(|e| {
        let (line, column) = (e.line(), e.column());
        whole(text!(
            "JSON illisible, ligne {line}, colonne {column}. Pour un filtre en texte, demandez filter-lang=cql2-text.",
            "unreadable JSON, line {line}, column {column}. For a filter in text, ask for filter-lang=cql2-text."
        ))
    })?;
    node(&value)
}

fn wrong(value: &Value, fr: &str, en: &str) -> crate::error::Error {
    let part = shown(&value.to_string());
    whole(text!("« {part} » : {fr}.", "\"{part}\": {en}."))
}

fn node(value: &Value) -> Result<Node> {
    let kind = match value {
        Value::Bool(b) => Kind::Bool(*b),
        Value::String(s) => Kind::Text(s.clone()),
        Value::Array(items) => Kind::Array(items.iter().map(node).collect::<Result<_>>()?),
        Value::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(i), _) => Kind::Int(i),
            (None, Some(f)) if f.is_finite() => Kind::Float(f),
            _ => return Err(wrong(value, "nombre trop grand", "number too large")),
        },
        Value::Null => {
            return Err(wrong(
                value,
                "« null » n'est pas une valeur ; utilisez isNull",
                "null is no value; use isNull",
            ));
        }
        Value::Object(object) => return of_object(value, object),
    };
    Ok(Node::new(kind))
}

fn of_object(value: &Value, object: &Map<String, Value>) -> Result<Node> {
    if let Some(op) = object.get("op") {
        return call(value, op, object.get("args"));
    }
    if object.contains_key("type") && object.contains_key("coordinates")
        || object.contains_key("geometries")
    {
        return Ok(Node::new(Kind::Geometry(geometry(value)?)));
    }
    let known = ["property", "date", "timestamp", "interval", "bbox"];
    let Some((name, inner)) = known.iter().find_map(|k| Some((*k, object.get(*k)?))) else {
        return Err(wrong(
            value,
            "objet inconnu ; possibles : op et args, property, date, timestamp, interval, bbox, une géométrie GeoJSON",
            "unknown object; possible: op and args, property, date, timestamp, interval, bbox, a GeoJSON geometry",
        ));
    };
    match (name, inner) {
        ("property", Value::String(name)) => Ok(Node::new(Kind::Property(name.clone()))),
        ("date", Value::String(t)) => super::moment_literal(None, t, true).map(Node::new),
        ("timestamp", Value::String(t)) => super::moment_literal(None, t, false).map(Node::new),
        ("interval", Value::Array(ends)) => match ends.as_slice() {
            [from, to] => {
                Ok(Node::new(Kind::Interval(Box::new([interval_end(from)?, interval_end(to)?]))))
            }
            _ => Err(wrong(value, "un intervalle a deux bornes", "an interval has two ends")),
        },
        ("bbox", Value::Array(sides)) => {
            let numbers: Option<Vec<f64>> = sides.iter().map(Value::as_f64).collect();
            let numbers =
                numbers.ok_or_else(|| wrong(value, "nombres attendus", "numbers expected"))?;
            super::sides(None, &numbers).map(Node::new)
        }
        _ => Err(wrong(
            value,
            &format!("« {name} » n'a pas la forme attendue"),
            &format!("\"{name}\" does not have the expected form"),
        )),
    }
}

fn interval_end(value: &Value) -> Result<Node> {
    if let Value::String(written) = value {
        return super::interval_end(None, written);
    }
    let end = node(value)?;
    match end.kind {
        Kind::Date(_) | Kind::Timestamp(_) | Kind::Property(_) => Ok(end),
        _ => Err(wrong(
            value,
            "une borne d'intervalle est une date, un instant, un champ ou \"..\"",
            "an end of an interval is a date, a timestamp, a property or \"..\"",
        )),
    }
}

fn call(value: &Value, op: &Value, args: Option<&Value>) -> Result<Node> {
    let name = op.as_str().unwrap_or_default();
    let Some(op) = Op::named(name) else {
        let asked = shown(name);
        let known = error::list(name, super::ast::NAMES.iter().map(|(n, _)| *n));
        return Err(whole(text!(
            "opérateur inconnu « {asked} ». Opérateurs : {known}.",
            "unknown operator \"{asked}\". Operators: {known}."
        )));
    };
    let Some(Value::Array(args)) = args else {
        return Err(wrong(value, "« args » doit être une liste", "\"args\" must be a list"));
    };
    super::arity(None, op, args.len())?;
    let mut nodes = args.iter().map(node).collect::<Result<Vec<_>>>()?;
    if op == Op::Not
        && let Some(Kind::Call(Op::Not, inner)) = nodes.first_mut().map(|n| &mut n.kind)
        && let Some(inner) = inner.pop()
    {
        return Ok(inner); // as in text: twice not is nothing
    }
    Ok(Node::new(Kind::Call(op, nodes)))
}

fn geometry(value: &Value) -> Result<Geometry<f64>> {
    let bad = || wrong(value, "géométrie GeoJSON illisible", "unreadable GeoJSON geometry");
    let kind = value.get("type").and_then(Value::as_str).ok_or_else(bad)?;
    if kind == "GeometryCollection" {
        let parts = value.get("geometries").and_then(Value::as_array).ok_or_else(bad)?;
        let parts = parts.iter().map(geometry).collect::<Result<Vec<_>>>()?;
        if parts.is_empty() {
            return Err(bad());
        }
        return Ok(Geometry::GeometryCollection(GeometryCollection(parts)));
    }
    let c = value.get("coordinates").ok_or_else(bad)?;
    let read: Option<Geometry<f64>> = match kind {
        "Point" => position(c).map(|p| Point(p).into()),
        "LineString" => line(c, 2).map(Into::into),
        "Polygon" => polygon(c).map(Into::into),
        "MultiPoint" => all(c, |c| position(c).map(Point)).map(|p| MultiPoint(p).into()),
        "MultiLineString" => all(c, |c| line(c, 2)).map(|l| MultiLineString(l).into()),
        "MultiPolygon" => all(c, polygon).map(|p| MultiPolygon(p).into()),
        _ => None,
    };
    read.ok_or_else(bad)
}

fn all<T>(value: &Value, one: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    let items = value.as_array()?;
    let read: Vec<T> = items.iter().map(one).collect::<Option<_>>()?;
    (!read.is_empty()).then_some(read)
}

fn position(value: &Value) -> Option<Coord<f64>> {
    match value.as_array()?.as_slice() {
        [x, y] | [x, y, _] => Some(Coord { x: x.as_f64()?, y: y.as_f64()? }),
        _ => None,
    }
}

fn line(value: &Value, least: usize) -> Option<LineString<f64>> {
    all(value, position).filter(|l| l.len() >= least).map(LineString)
}

fn polygon(value: &Value) -> Option<Polygon<f64>> {
    let mut rings = all(value, |c| line(c, 4).filter(LineString::is_closed))?;
    let outer = rings.remove(0);
    Some(Polygon::new(outer, rings))
}

/// A tree as JSON.
pub(super) fn write(node: &Node) -> Value {
    let list = |nodes: &[Node]| Value::Array(nodes.iter().map(write).collect());
    match &node.kind {
        Kind::Bool(b) => json!(b),
        Kind::Int(i) => json!(i),
        Kind::Float(f) => json!(f),
        Kind::Text(s) => json!(s),
        Kind::Date(d) => json!({ "date": d.to_string() }),
        Kind::Timestamp(t) => json!({ "timestamp": t.to_string() }),
        Kind::Open => json!(".."),
        Kind::Interval(ends) => json!({ "interval": list(ends.as_slice()) }),
        Kind::Property(name) => json!({ "property": name }),
        Kind::Geometry(g) => write_geometry(g),
        Kind::Box(sides) => json!({ "bbox": sides }),
        Kind::Array(items) => list(items),
        Kind::Call(op, args) => json!({ "op": op.name(), "args": list(args) }),
    }
}

fn write_geometry(geometry: &Geometry<f64>) -> Value {
    let position = |c: &Coord<f64>| json!([c.x, c.y]);
    let line = |l: &LineString<f64>| Value::Array(l.0.iter().map(position).collect());
    let polygon = |p: &Polygon<f64>| {
        let rings = std::iter::once(p.exterior()).chain(p.interiors());
        Value::Array(rings.map(line).collect())
    };
    let (kind, coordinates) = match geometry {
        Geometry::Point(p) => ("Point", position(&p.0)),
        Geometry::LineString(l) => ("LineString", line(l)),
        Geometry::Polygon(p) => ("Polygon", polygon(p)),
        Geometry::MultiPoint(m) => {
            ("MultiPoint", Value::Array(m.0.iter().map(|p| position(&p.0)).collect()))
        }
        Geometry::MultiLineString(m) => {
            ("MultiLineString", Value::Array(m.0.iter().map(line).collect()))
        }
        Geometry::MultiPolygon(m) => {
            ("MultiPolygon", Value::Array(m.0.iter().map(polygon).collect()))
        }
        Geometry::GeometryCollection(c) => {
            let parts: Vec<Value> = c.0.iter().map(write_geometry).collect();
            return json!({ "type": "GeometryCollection", "geometries": parts });
        }
        // No filter makes the others.
        other => return json!({ "type": "Unknown", "coordinates": format!("{other:?}") }),
    };
    json!({ "type": kind, "coordinates": coordinates })
}
