//! Instants and intervals inside conditions: relations of time become comparisons of their ends.

use super::Checker;
use crate::{
    error::Result,
    model::Value,
    query::cql2::{
        ast::{Comparison, Kind, Node, Temporal},
        error,
        expr::{self, Class, Expr, Scalar},
        moment,
    },
    text,
};

/// The ends of an instant or interval; `None` where it is open.
struct Span {
    from: Option<Scalar>,
    to: Option<Scalar>,
}

impl Checker<'_> {
    pub(super) fn temporal(&self, relation: Temporal, a: &Node, b: &Node) -> Result<Expr> {
        use Comparison as C;
        let (first, second) = (self.span(a)?, self.span(b)?);
        let days = first.is_days() && second.is_days();
        let (one, two) = if days { (first, second) } else { (first.instants(), second.instants()) };
        // Open ends lie before and after everything; two of the same side are equal.
        let s = |c| ends(c, &one.from, &two.from, (-1, -1));
        let e = |c| ends(c, &one.to, &two.to, (1, 1));
        let se = |c| ends(c, &one.from, &two.to, (-1, 1));
        let es = |c| ends(c, &one.to, &two.from, (1, -1));
        Ok(match relation {
            Temporal::After => se(C::Gt),
            Temporal::Before => es(C::Lt),
            Temporal::Contains => expr::and([s(C::Lt), e(C::Gt)]),
            Temporal::Disjoint => expr::or([es(C::Lt), se(C::Gt)]),
            Temporal::During => expr::and([s(C::Gt), e(C::Lt)]),
            Temporal::Equals => expr::and([s(C::Eq), e(C::Eq)]),
            Temporal::FinishedBy => expr::and([s(C::Lt), e(C::Eq)]),
            Temporal::Finishes => expr::and([s(C::Gt), e(C::Eq)]),
            Temporal::Intersects => expr::and([se(C::Le), es(C::Ge)]),
            Temporal::Meets => es(C::Eq),
            Temporal::MetBy => se(C::Eq),
            Temporal::OverlappedBy => expr::and([s(C::Gt), se(C::Lt), e(C::Gt)]),
            Temporal::Overlaps => expr::and([s(C::Lt), es(C::Gt), e(C::Lt)]),
            Temporal::StartedBy => expr::and([s(C::Eq), e(C::Gt)]),
            Temporal::Starts => expr::and([s(C::Eq), e(C::Lt)]),
        })
    }

    fn span(&self, node: &Node) -> Result<Span> {
        if let Kind::Interval(sides) = &node.kind {
            let [from, to] = sides.as_ref();
            return Ok(Span { from: self.end(from)?, to: self.end(to)? });
        }
        let moment = self.end(node)?;
        Ok(Span { from: moment.clone(), to: moment })
    }

    fn end(&self, node: &Node) -> Result<Option<Scalar>> {
        let side = match &node.kind {
            Kind::Open => return Ok(None),
            Kind::Text(written) => moment_value(written).map(Scalar::Value),
            _ => Some(self.scalar(node)?),
        };
        side.filter(|s| matches!(s.class(), Class::Date | Class::Instant)).map(Some).ok_or_else(|| {
            error::of(
                node,
                text!(
                    "une date ou un instant est attendu : un champ, DATE('2025-01-31'), TIMESTAMP('2025-01-31T12:00:00Z'), INTERVAL(…).",
                    "a date or instant is expected: a property, DATE('2025-01-31'), TIMESTAMP('2025-01-31T12:00:00Z'), INTERVAL(…)."
                ),
            )
        })
    }
}

impl Span {
    fn is_days(&self) -> bool {
        let day = |end: &Option<Scalar>| end.as_ref().is_none_or(|s| s.class() == Class::Date);
        day(&self.from) && day(&self.to)
    }

    fn instants(self) -> Self {
        Self { from: self.from.map(|s| instant(s, false)), to: self.to.map(|s| instant(s, true)) }
    }
}

/// A comparison of two ends; where one is open, its side of all time (−1 or 1) decides.
fn ends(c: Comparison, a: &Option<Scalar>, b: &Option<Scalar>, open: (i8, i8)) -> Expr {
    match (a, b) {
        (Some(a), Some(b)) => expr::compare(c, a.clone(), b.clone()),
        (None, Some(_)) => Expr::Constant(Some(c.holds(open.0.cmp(&0)))),
        (Some(_), None) => Expr::Constant(Some(c.holds(0.cmp(&open.1)))),
        (None, None) => Expr::Constant(Some(c.holds(open.0.cmp(&open.1)))),
    }
}

/// A date as an instant; an instant as it is.
pub(super) fn instant(side: Scalar, last: bool) -> Scalar {
    match side {
        Scalar::Value(Value::Date(d)) => {
            let next = if last { d.tomorrow().unwrap_or(d) } else { d };
            let midnight = jiff::tz::TimeZone::UTC.to_timestamp(next.at(0, 0, 0, 0));
            let before = jiff::SignedDuration::from_micros(if last { -1 } else { 0 });
            match midnight.and_then(|t| t.checked_add(before)) {
                Ok(t) => Scalar::Value(Value::DateTime(t)),
                // Past the last instant that is counted.
                Err(_) => Scalar::Value(Value::DateTime(jiff::Timestamp::MAX)),
            }
        }
        other if other.class() == Class::Date => Scalar::Instant { last, date: Box::new(other) },
        other => other,
    }
}

/// A date or an instant written as a plain text.
pub(super) fn moment_value(written: &str) -> Option<Value> {
    moment::date(written)
        .map(Value::Date)
        .or_else(|| moment::timestamp(written).map(Value::DateTime))
}
