//! A tree against a layer's schema: every name is known, every comparison is of one class.

mod place;
mod time;
mod value;

use super::{
    ast::{Comparison, Kind, Node, Op},
    error,
    expr::{self, Class, Expr, Expression, Scalar},
    pattern::Pattern,
};
use crate::{
    error::Result,
    model::{Mode, Relation, Schema, Selection, Value},
    text,
};
use geo_types::Geometry;
pub use place::MOST_PAIRS;
use std::sync::Arc;
use value::{folded_literal, matched};

/// What a filter refers to outside of the layer.
pub trait Context {
    /// The selection of some territories, as the parameter `territory` writes them.
    ///
    /// # Errors
    /// `Invalid` naming the territory that is unknown.
    fn territory(&self, written: &str, mode: Mode) -> Result<Arc<Selection>>;

    /// A geometry of the filter's CRS and axis order in CRS84, found valid.
    ///
    /// # Errors
    /// `Invalid` when it is not valid or lies outside of the CRS.
    fn place(&self, geometry: Geometry<f64>) -> Result<Geometry<f64>>;

    /// The same for a box, given as `BBOX` gives it.
    ///
    /// # Errors
    /// As [`Context::place`].
    fn place_box(&self, sides: [f64; 4]) -> Result<Geometry<f64>>;

    /// The name of the filter's CRS, where it is not CRS84.
    fn system(&self) -> Option<String> {
        None
    }
}

/// Checks a filter against a layer.
///
/// # Errors
/// [`crate::error::Error::Invalid`] saying what does not fit, where, and what would.
pub fn check(filter: &Node, schema: &Schema, context: &dyn Context) -> Result<Expression> {
    let mut written = super::to_text(filter);
    if let Some(system) = context.system() {
        written.push_str(&format!(" ({system})"));
    }
    Ok(Expression::new(Checker { schema, context }.condition(filter)?, written))
}

struct Checker<'a> {
    schema: &'a Schema,
    context: &'a dyn Context,
}

impl Checker<'_> {
    fn condition(&self, node: &Node) -> Result<Expr> {
        let (op, args) = match &node.kind {
            Kind::Bool(b) => return Ok(Expr::Constant(Some(*b))),
            Kind::Property(_) => {
                let field = self.scalar(node)?;
                if field.class() != Class::Bool {
                    return Err(error::of(
                        node,
                        text!(
                            "un champ seul n'est une condition que s'il est vrai ou faux ; comparez-le à une valeur.",
                            "a property alone is a condition only when it is true or false; compare it with a value."
                        ),
                    ));
                }
                let yes = Scalar::Value(Value::Bool(true));
                return Ok(expr::compare(Comparison::Eq, field, yes));
            }
            Kind::Call(op, args) => (*op, args.as_slice()),
            _ => return Err(no_condition(node)),
        };
        match (op, args) {
            (Op::And, args) => {
                Ok(expr::and(args.iter().map(|a| self.condition(a)).collect::<Result<Vec<_>>>()?))
            }
            (Op::Or, args) => {
                Ok(expr::or(args.iter().map(|a| self.condition(a)).collect::<Result<Vec<_>>>()?))
            }
            (Op::Not, [inner]) => Ok(expr::not(self.condition(inner)?)),
            (Op::Compare(c), [a, b]) => self.comparison(c, a, b),
            (Op::Between, [value, low, high]) => Ok(expr::and([
                self.comparison(Comparison::Ge, value, low)?,
                self.comparison(Comparison::Le, value, high)?,
            ])),
            (Op::Like, [value, pattern]) => self.like(value, pattern),
            (Op::In, [value, list]) => self.among(value, list),
            (Op::IsNull, [value]) => self.is_null(value),
            (Op::Spatial(relation), [a, b]) => self.spatial(relation, a, b),
            (Op::Disjoint, [a, b]) => Ok(expr::not(self.spatial(Relation::Intersects, a, b)?)),
            (Op::Temporal(relation), [a, b]) => self.temporal(relation, a, b),
            (Op::Array(relation), [a, b]) => self.array(relation, a, b),
            (Op::Territory, [codes, mode @ ..]) => self.territory(codes, mode.first()),
            _ => Err(no_condition(node)),
        }
    }

    fn comparison(&self, c: Comparison, a: &Node, b: &Node) -> Result<Expr> {
        let (Some(left), Some(right)) = (self.value(a)?, self.value(b)?) else {
            return Ok(Expr::Constant(None));
        };
        let (left, right) = matched(a, left, b, right)?;
        Ok(expr::compare(c, left, right))
    }

    fn among(&self, value: &Node, list: &Node) -> Result<Expr> {
        let items = match &list.kind {
            Kind::Array(items) if !items.is_empty() => items.as_slice(),
            _ => {
                return Err(error::of(
                    list,
                    text!(
                        "liste de valeurs attendue : IN ('a', 'b').",
                        "list of values expected: IN ('a', 'b')."
                    ),
                ));
            }
        };
        let Some(left) = self.value(value)? else { return Ok(Expr::Constant(None)) };
        let mut among = Vec::with_capacity(items.len());
        let mut left_now: Option<Scalar> = None;
        for item in items {
            // A calculation without a result makes unknown what is not found among the others.
            let Some(right) = self.value(item)? else { return self.any_equal(value, items) };
            let (l, r) = matched(value, left.clone(), item, right)?;
            // A date among dates and instants is compared as one, then as the other.
            if left_now.as_ref().is_some_and(|before| before.class() != l.class()) {
                return self.any_equal(value, items);
            }
            left_now = Some(l);
            among.push(r);
        }
        Ok(expr::within(left_now.unwrap_or(left), among))
    }

    /// `IN` as what it abbreviates.
    fn any_equal(&self, value: &Node, items: &[Node]) -> Result<Expr> {
        let equal = |item| self.comparison(Comparison::Eq, value, item);
        Ok(expr::or(items.iter().map(equal).collect::<Result<Vec<_>>>()?))
    }

    fn like(&self, value: &Node, pattern: &Node) -> Result<Expr> {
        let side = self.scalar(value)?;
        if side.class() != Class::Text {
            return Err(error::of(value, text!("LIKE demande un texte.", "LIKE needs a text.")));
        }
        let (fold, written) = folded_literal(pattern).ok_or_else(|| {
            error::of(
                pattern,
                text!(
                    "le modèle de LIKE est un texte entre apostrophes.",
                    "the pattern of LIKE is a text between quotes."
                ),
            )
        })?;
        let pattern = Pattern::new(written, fold);
        if let Scalar::Value(Value::Text(text)) = &side {
            return Ok(Expr::Constant(Some(pattern.matches(text))));
        }
        Ok(Expr::Like(side, pattern))
    }

    fn is_null(&self, value: &Node) -> Result<Expr> {
        if self.is_geometry(value) {
            return Ok(Expr::NoGeometry);
        }
        if let Kind::Property(name) = &value.kind {
            return Ok(Expr::IsNull(self.field(value, name)?));
        }
        Ok(match self.value(value)? {
            None => Expr::Constant(Some(true)),
            Some(Scalar::Value(_)) => Expr::Constant(Some(false)),
            Some(other) => Expr::IsNull(other),
        })
    }
}

fn no_condition(node: &Node) -> crate::error::Error {
    error::of(
        node,
        text!(
            "une condition est attendue (champ = valeur, S_INTERSECTS(…)…).",
            "a condition is expected (property = value, S_INTERSECTS(…)…)."
        ),
    )
}
