//! A filter that was checked against a layer: what stores lower from. Fields are positions in the
//! schema, sides of a comparison are of one class, geometry is CRS84, territories are selections.
//! Two filters that say the same in another order or spelling are one.

use super::{
    arithmetic,
    ast::{Arithmetic, ArrayRelation, Comparison},
    fold::Fold,
    pattern::Pattern,
};
use crate::{
    error::Result,
    model::{FieldKind, Relation, Selection, Value},
};
use geo_types::Geometry;
use std::{fmt, sync::Arc};

/// A condition: true, false or unknown of a feature (three-valued logic, as SQL has it).
#[derive(Debug, Clone)]
pub enum Expr {
    /// The same of every feature; `None` is unknown.
    Constant(Option<bool>),
    /// All hold.
    And(Vec<Expr>),
    /// Any holds.
    Or(Vec<Expr>),
    /// It does not hold; unknown stays unknown. Only over the conditions below but comparisons.
    Not(Box<Expr>),
    /// Two values of one class, compared; texts by code point.
    Compare(Comparison, Scalar, Scalar),
    /// A text is like a pattern.
    Like(Scalar, Pattern),
    /// A value is one of several of its class.
    In(Scalar, Vec<Scalar>),
    /// There is no value.
    IsNull(Scalar),
    /// There is no geometry.
    NoGeometry,
    /// Two geometries lie so to each other.
    Spatial(Relation, Shape, Shape),
    /// Two lists lie so to each other; unknown where one is no list.
    Array(ArrayRelation, List, List),
    /// The feature concerns the territory; never unknown.
    Territory(Territory),
}

/// A value of a feature, or the same for all.
#[derive(Debug, Clone)]
pub enum Scalar {
    /// A field.
    Field {
        /// Position in the schema.
        index: usize,
        /// Its kind.
        kind: FieldKind,
    },
    /// A literal, never null, never JSON.
    Value(Value),
    /// Calculation in doubles; unknown where it has no result (division by zero).
    Arithmetic(Arithmetic, Box<[Scalar; 2]>),
    /// A text without regard to something.
    Folded(Fold, Box<Scalar>),
    /// The first instant (UTC) of a date, or its last microsecond.
    Instant {
        /// The last one.
        last: bool,
        /// A date.
        date: Box<Scalar>,
    },
}

/// What can be compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Class {
    Bool,
    Int,
    Float,
    Text,
    Date,
    Instant,
    Json,
}

/// A geometry.
#[derive(Debug, Clone)]
pub enum Shape {
    /// The feature's.
    Field,
    /// A literal, CRS84, valid; no collection.
    Literal(Arc<Geometry<f64>>),
}

/// A list.
#[derive(Debug, Clone)]
pub enum List {
    /// A field of JSON.
    Field(usize),
    /// Texts, numbers and booleans.
    Literal(Vec<Value>),
}

/// A territory that was asked for.
#[derive(Clone)]
pub struct Territory(pub Arc<Selection>);

impl fmt::Debug for Territory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.key)
    }
}

impl Scalar {
    /// What it can be compared with.
    pub fn class(&self) -> Class {
        match self {
            Self::Field { kind, .. } => match kind {
                FieldKind::Bool => Class::Bool,
                FieldKind::Int => Class::Int,
                FieldKind::Float => Class::Float,
                FieldKind::Text => Class::Text,
                FieldKind::Date => Class::Date,
                FieldKind::DateTime => Class::Instant,
                FieldKind::Json => Class::Json,
            },
            Self::Value(value) => match value {
                Value::Bool(_) => Class::Bool,
                Value::Int(_) => Class::Int,
                Value::Float(_) => Class::Float,
                Value::Date(_) => Class::Date,
                Value::DateTime(_) => Class::Instant,
                Value::Text(_) | Value::Null | Value::Json(_) => Class::Text,
            },
            Self::Arithmetic(..) => Class::Float,
            Self::Folded(..) => Class::Text,
            Self::Instant { .. } => Class::Instant,
        }
    }
}

/// A checked filter with its name.
#[derive(Debug, Clone)]
pub struct Expression {
    /// What must hold.
    pub root: Expr,
    written: String,
    key: String,
    weight: u64,
    territory: bool,
}

impl Expression {
    pub(super) fn new(root: Expr, written: String) -> Self {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = fmt::Write::write_fmt(&mut text, format_args!("{root:?}"));
        let mut seen = Seen::default();
        seen.look(&root);
        Self { root, written, key: key(&text), weight: seen.weight, territory: seen.territory }
    }

    /// Its normal form: equal for two filters that mean the same but for order and spelling.
    /// Short whatever the filter's length.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The filter as it was asked for, in CQL2 text, with the CRS of its geometries where that is
    /// not CRS84.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// How much work it is to judge one feature, about, in steps.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// Whether it asks for a territory.
    pub fn asks_territory(&self) -> bool {
        self.territory
    }
}

fn key(text: &str) -> String {
    let digest = <sha2::Sha256 as sha2::Digest>::digest(text.as_bytes());
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

#[derive(Default)]
struct Seen {
    weight: u64,
    territory: bool,
}

impl Seen {
    fn look(&mut self, expr: &Expr) {
        self.weight += 1;
        match expr {
            Expr::And(all) | Expr::Or(all) => all.iter().for_each(|e| self.look(e)),
            Expr::Not(inner) => self.look(inner),
            Expr::Compare(_, a, b) => {
                self.scalar(a);
                self.scalar(b);
            }
            Expr::Like(value, _) => {
                self.weight += 4;
                self.scalar(value);
            }
            Expr::IsNull(value) => self.scalar(value),
            Expr::In(value, list) => {
                self.scalar(value);
                let moving = list.iter().filter(|s| !matches!(s, Scalar::Value(_)));
                moving.for_each(|s| self.scalar(s));
            }
            Expr::Spatial(_, a, b) => {
                for shape in [a, b] {
                    self.weight += match shape {
                        Shape::Field => 20,
                        Shape::Literal(g) => {
                            use geo::CoordsIter;
                            g.coords_count() as u64
                        }
                    };
                }
            }
            Expr::Array(..) => self.weight += 10,
            Expr::Territory(_) => self.territory = true,
            Expr::Constant(_) | Expr::NoGeometry => {}
        }
    }

    fn scalar(&mut self, scalar: &Scalar) {
        self.weight += 1;
        match scalar {
            Scalar::Field { .. } | Scalar::Value(_) => {}
            Scalar::Arithmetic(_, sides) => sides.iter().for_each(|s| self.scalar(s)),
            Scalar::Folded(_, inner) => {
                self.weight += 4;
                self.scalar(inner);
            }
            Scalar::Instant { date, .. } => self.scalar(date),
        }
    }
}

// -- The one form of each meaning

/// All of several conditions.
pub(super) fn and(all: impl IntoIterator<Item = Expr>) -> Expr {
    chain(all, true)
}

/// Any of several conditions.
pub(super) fn or(any: impl IntoIterator<Item = Expr>) -> Expr {
    chain(any, false)
}

fn chain(parts: impl IntoIterator<Item = Expr>, all: bool) -> Expr {
    let mut kept: Vec<(String, Expr)> = Vec::new();
    let mut waiting: Vec<Expr> = parts.into_iter().collect();
    waiting.reverse();
    while let Some(part) = waiting.pop() {
        match part {
            Expr::And(inner) if all => waiting.extend(inner),
            Expr::Or(inner) if !all => waiting.extend(inner),
            Expr::Constant(Some(b)) if b == all => {}
            Expr::Constant(Some(_)) => return Expr::Constant(Some(!all)),
            other => kept.push((format!("{other:?}"), other)),
        }
    }
    kept.sort_by(|a, b| a.0.cmp(&b.0));
    kept.dedup_by(|a, b| a.0 == b.0);
    let mut kept: Vec<Expr> = kept.into_iter().map(|(_, e)| e).collect();
    match (kept.len(), kept.pop()) {
        (_, None) => Expr::Constant(Some(all)),
        (1, Some(one)) => one,
        (_, Some(last)) => {
            kept.push(last);
            if all { Expr::And(kept) } else { Expr::Or(kept) }
        }
    }
}

/// The opposite of a condition; unknown where it is.
pub(super) fn not(expr: Expr) -> Expr {
    match expr {
        Expr::Constant(known) => Expr::Constant(known.map(|b| !b)),
        Expr::And(all) => or(all.into_iter().map(not)),
        Expr::Or(any) => and(any.into_iter().map(not)),
        Expr::Not(inner) => *inner,
        Expr::Compare(c, a, b) => Expr::Compare(c.negated(), a, b),
        other => Expr::Not(Box::new(other)),
    }
}

/// A comparison of two values of one class: a literal stands to the right.
pub(super) fn compare(c: Comparison, left: Scalar, right: Scalar) -> Expr {
    if let (Scalar::Value(a), Scalar::Value(b)) = (&left, &right) {
        return Expr::Constant(order(a, b).map(|o| c.holds(o)));
    }
    let turned = match (&left, &right) {
        (Scalar::Value(_), _) => true,
        (_, Scalar::Value(_)) => false,
        _ => format!("{left:?}") > format!("{right:?}"),
    };
    if turned { Expr::Compare(c.turned(), right, left) } else { Expr::Compare(c, left, right) }
}

/// A value among several of its class.
pub(super) fn within(value: Scalar, list: Vec<Scalar>) -> Expr {
    if list.len() == 1 || matches!(value, Scalar::Value(_)) {
        let each = list.into_iter().map(|one| compare(Comparison::Eq, value.clone(), one));
        return or(each.collect::<Vec<_>>());
    }
    let mut named: Vec<(String, Scalar)> =
        list.into_iter().map(|s| (format!("{s:?}"), s)).collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named.dedup_by(|a, b| a.0 == b.0);
    Expr::In(value, named.into_iter().map(|(_, s)| s).collect())
}

fn order(a: &Value, b: &Value) -> Option<std::cmp::Ordering> {
    #[expect(clippy::cast_precision_loss, reason = "compared with a double")]
    let float = |v: &Value| match v {
        Value::Int(i) => Some(*i as f64),
        Value::Float(f) => Some(*f),
        _ => None,
    };
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
        (Value::DateTime(a), Value::DateTime(b)) => Some(a.cmp(b)),
        (a, b) => float(a)?.partial_cmp(&float(b)?),
    }
}

/// A calculation; of two literals, its result.
pub(super) fn calculate(a: Arithmetic, left: Scalar, right: Scalar) -> Result<Option<Scalar>> {
    #[expect(clippy::cast_precision_loss, reason = "calculations are in doubles")]
    let float = |s: &Scalar| match s {
        Scalar::Value(Value::Int(i)) => Some(*i as f64),
        Scalar::Value(Value::Float(f)) => Some(*f),
        _ => None,
    };
    if let (Some(x), Some(y)) = (float(&left), float(&right)) {
        let result = arithmetic::calculate(a, x, y).map_err(|_| arithmetic::overflow())?;
        return Ok(result.map(|r| Scalar::Value(Value::Float(r))));
    }
    Ok(Some(Scalar::Arithmetic(a, Box::new([left, right]))))
}
