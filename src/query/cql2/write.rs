//! A tree as CQL2 text.

use super::{
    ast::{Arithmetic, Kind, Node, Op},
    token::{is_plain_name, is_reserved},
};
use geo_types::{Coord, Geometry, LineString, Polygon};
use std::fmt::Write;

/// The text of a part, every operator between parentheses.
pub(super) fn to_text(node: &Node) -> String {
    let mut out = String::new();
    write(node, &mut out);
    out
}

fn write(node: &Node, out: &mut String) {
    // Writing into a String does not fail.
    let _ = match &node.kind {
        Kind::Bool(b) => write!(out, "{}", if *b { "TRUE" } else { "FALSE" }),
        Kind::Int(i) => write!(out, "{i}"),
        Kind::Float(f) => write!(out, "{f:?}"),
        Kind::Text(s) => write!(out, "'{}'", s.replace('\\', "\\\\").replace('\'', "''")),
        Kind::Date(d) => write!(out, "DATE('{d}')"),
        Kind::Timestamp(t) => write!(out, "TIMESTAMP('{t}')"),
        Kind::Open => write!(out, "'..'"),
        Kind::Property(name) => match is_plain_name(name) && !is_reserved(name) {
            true => write!(out, "{name}"),
            false => write!(out, "\"{}\"", name.replace('"', "\"\"")),
        },
        Kind::Geometry(g) => {
            wkt(g, out);
            Ok(())
        }
        Kind::Box([a, b, c, d]) => write!(out, "BBOX({a:?}, {b:?}, {c:?}, {d:?})"),
        Kind::Interval(ends) => {
            out.push_str("INTERVAL");
            list(ends.as_slice(), out);
            Ok(())
        }
        Kind::Array(items) => {
            list(items, out);
            Ok(())
        }
        Kind::Call(op, args) => {
            call(*op, args, out);
            Ok(())
        }
    };
}

fn list(nodes: &[Node], out: &mut String) {
    out.push('(');
    for (i, node) in nodes.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write(node, out);
    }
    out.push(')');
}

fn call(op: Op, args: &[Node], out: &mut String) {
    if op.is_function() {
        out.push_str(&op.name().to_ascii_uppercase());
        return list(args, out);
    }
    let sign = match op {
        Op::And => " AND ",
        Op::Or => " OR ",
        Op::Like => " LIKE ",
        Op::In => " IN ",
        Op::Arithmetic(Arithmetic::IntDiv) => " DIV ",
        _ => "",
    };
    out.push('(');
    match (op, args) {
        (Op::Not, [inner]) => {
            out.push_str("NOT ");
            write(inner, out);
        }
        (Op::IsNull, [inner]) => {
            write(inner, out);
            out.push_str(" IS NULL");
        }
        (Op::Between, [value, low, high]) => {
            write(value, out);
            out.push_str(" BETWEEN ");
            write(low, out);
            out.push_str(" AND ");
            write(high, out);
        }
        _ => {
            for (i, arg) in args.iter().enumerate() {
                match (i, sign) {
                    (0, _) => {}
                    (_, "") => {
                        let _ = write!(out, " {} ", op.name());
                    }
                    (_, sign) => out.push_str(sign),
                }
                write(arg, out);
            }
        }
    }
    out.push(')');
}

fn wkt(geometry: &Geometry<f64>, out: &mut String) {
    let position = |c: &Coord<f64>| format!("{:?} {:?}", c.x, c.y);
    let line = |l: &LineString<f64>| {
        format!("({})", l.0.iter().map(position).collect::<Vec<_>>().join(", "))
    };
    let polygon = |p: &Polygon<f64>| {
        let rings: Vec<String> =
            std::iter::once(p.exterior()).chain(p.interiors()).map(line).collect();
        format!("({})", rings.join(", "))
    };
    let several = |parts: Vec<String>| format!("({})", parts.join(", "));
    let written = match geometry {
        Geometry::Point(p) => format!("POINT({})", position(&p.0)),
        Geometry::LineString(l) => format!("LINESTRING{}", line(l)),
        Geometry::Polygon(p) => format!("POLYGON{}", polygon(p)),
        Geometry::MultiPoint(m) => {
            let parts = m.0.iter().map(|p| format!("({})", position(&p.0))).collect();
            format!("MULTIPOINT{}", several(parts))
        }
        Geometry::MultiLineString(m) => {
            format!("MULTILINESTRING{}", several(m.0.iter().map(line).collect()))
        }
        Geometry::MultiPolygon(m) => {
            format!("MULTIPOLYGON{}", several(m.0.iter().map(polygon).collect()))
        }
        Geometry::GeometryCollection(c) => {
            out.push_str("GEOMETRYCOLLECTION(");
            for (i, part) in c.0.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                wkt(part, out);
            }
            out.push(')');
            return;
        }
        // No filter makes the others.
        other => format!("{other:?}"),
    };
    out.push_str(&written);
}
