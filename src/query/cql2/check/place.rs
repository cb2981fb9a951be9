//! Geometries, lists and territories inside conditions.

use super::Checker;
use crate::{
    error::Result,
    model::{FieldKind, GeometryKind, Mode, Relation, Value},
    query::cql2::{
        ast::{ArrayRelation, Kind, Node},
        error,
        expr::{self, Expr, List, Scalar, Shape, Territory},
    },
    text,
};
use geo_types::Geometry;
use std::sync::Arc;

/// Most pairs of parts of geometries in a filter that are compared with each other.
pub const MOST_PAIRS: usize = 2_000;

impl Checker<'_> {
    pub(super) fn is_geometry(&self, node: &Node) -> bool {
        let Kind::Property(name) = &node.kind else { return false };
        self.schema.geometry != GeometryKind::None
            && self.schema.index(name).is_none()
            && (*name == self.schema.geometry_name()
                || ["geom", "geometry", "the_geom"].contains(&name.as_str()))
    }

    pub(super) fn spatial(&self, relation: Relation, a: &Node, b: &Node) -> Result<Expr> {
        let (left, right) = (self.shapes(a)?, self.shapes(b)?);
        let mut any = Vec::new();
        let pairs = left.len().saturating_mul(right.len());
        if pairs > MOST_PAIRS {
            return Err(error::of(
                b,
                text!(
                    "{pairs} paires de géométries à comparer, au plus {MOST_PAIRS} ; donnez moins de parties.",
                    "{pairs} pairs of geometries to compare, at most {MOST_PAIRS}; give fewer parts."
                ),
            ));
        }
        if relation != Relation::Intersects && (left.len() > 1 || right.len() > 1) {
            return Err(error::of(
                if left.len() > 1 { a } else { b },
                text!(
                    "une GEOMETRYCOLLECTION ne s'emploie qu'avec S_INTERSECTS et S_DISJOINT.",
                    "a GEOMETRYCOLLECTION is of use with S_INTERSECTS and S_DISJOINT only."
                ),
            ));
        }
        for one in &left {
            for other in &right {
                any.push(match (one, other) {
                    (Shape::Literal(_), Shape::Field) => {
                        Expr::Spatial(relation.turned(), other.clone(), one.clone())
                    }
                    _ => Expr::Spatial(relation, one.clone(), other.clone()),
                });
            }
        }
        Ok(expr::or(any))
    }

    /// A geometry; of a collection, its parts.
    pub(super) fn shapes(&self, node: &Node) -> Result<Vec<Shape>> {
        if self.is_geometry(node) {
            return Ok(vec![Shape::Field]);
        }
        let mut waiting = match &node.kind {
            Kind::Geometry(g) => vec![g.clone()],
            Kind::Box(sides) => {
                let place = self.context.place_box(*sides).map_err(|e| located(node, e))?;
                return Ok(vec![Shape::Literal(Arc::new(place))]);
            }
            Kind::Property(name) => {
                self.field(node, name)?;
                return Err(error::of(
                    node,
                    text!("« {name} » n'est pas une géométrie.", "\"{name}\" is not a geometry."),
                ));
            }
            _ => {
                return Err(error::of(
                    node,
                    text!(
                        "une géométrie est attendue : le champ, BBOX(…), POINT(…)…",
                        "a geometry is expected: the property, BBOX(…), POINT(…)…"
                    ),
                ));
            }
        };
        let mut shapes = Vec::new();
        while let Some(geometry) = waiting.pop() {
            match geometry {
                Geometry::GeometryCollection(parts) => waiting.extend(parts.0),
                one => {
                    let place = self.context.place(one).map_err(|e| located(node, e))?;
                    shapes.push(Shape::Literal(Arc::new(place)));
                }
            }
        }
        Ok(shapes)
    }

    pub(super) fn array(&self, relation: ArrayRelation, a: &Node, b: &Node) -> Result<Expr> {
        let (left, right) = (self.list(a)?, self.list(b)?);
        Ok(match (left, right) {
            (left @ List::Literal(_), right @ List::Field(_)) => {
                let turned = match relation {
                    ArrayRelation::Contains => ArrayRelation::ContainedBy,
                    ArrayRelation::ContainedBy => ArrayRelation::Contains,
                    other => other,
                };
                Expr::Array(turned, right, left)
            }
            (left, right) => Expr::Array(relation, left, right),
        })
    }

    pub(super) fn list(&self, node: &Node) -> Result<List> {
        let one = |node: &Node| match self.value(node)? {
            Some(Scalar::Value(
                value @ (Value::Text(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_)),
            )) => Ok(value),
            Some(Scalar::Value(Value::Date(d))) => Ok(Value::Text(d.to_string())),
            Some(Scalar::Value(Value::DateTime(t))) => Ok(Value::Text(t.to_string())),
            _ => Err(error::of(
                node,
                text!(
                    "une liste ne contient ici que des textes, des nombres et des booléens.",
                    "a list holds texts, numbers and booleans only here."
                ),
            )),
        };
        match &node.kind {
            Kind::Array(items) => {
                let mut values = items.iter().map(one).collect::<Result<Vec<_>>>()?;
                values.sort_by_key(|v| format!("{v:?}"));
                values.dedup();
                Ok(List::Literal(values))
            }
            Kind::Property(name) => match self.field(node, name)? {
                Scalar::Field { index, kind: FieldKind::Json } => Ok(List::Field(index)),
                _ => Err(error::of(
                    node,
                    text!("« {name} » ne contient pas de listes.", "\"{name}\" holds no lists."),
                )),
            },
            _ => Ok(List::Literal(vec![one(node)?])),
        }
    }

    pub(super) fn territory(&self, codes: &Node, mode: Option<&Node>) -> Result<Expr> {
        let literal = |node: &Node| match &node.kind {
            Kind::Text(written) => Ok(written.clone()),
            _ => Err(error::of(
                node,
                text!(
                    "TERRITORY demande un texte : TERRITORY('dep:59').",
                    "TERRITORY needs a text: TERRITORY('dep:59')."
                ),
            )),
        };
        let written = literal(codes)?;
        let mode = match mode {
            None => Mode::Concerns,
            Some(node) => match literal(node)?.as_str() {
                "concerns" => Mode::Concerns,
                "within" => Mode::Within,
                _ => {
                    return Err(error::of(
                        node,
                        text!(
                            "« concerns » ou « within » attendu ; le découpage se demande par territory-mode=clip.",
                            "\"concerns\" or \"within\" expected; cutting is asked for by territory-mode=clip."
                        ),
                    ));
                }
            },
        };
        let selection = self.context.territory(&written, mode).map_err(|e| located(codes, e))?;
        Ok(Expr::Territory(Territory(selection)))
    }
}

/// An error found elsewhere, at its place in the filter.
fn located(node: &Node, e: crate::error::Error) -> crate::error::Error {
    match e {
        crate::error::Error::Invalid(text) => error::of(node, text),
        other => other,
    }
}
