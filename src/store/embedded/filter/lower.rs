//! From a checked filter to a condition of SQLite.

use super::super::gpkg::quoted;
use crate::{
    error::{Error, Result},
    formats::wkb,
    model::{Relation, Selection, Value},
    query::cql2::{Class, Expr, List, Scalar, Shape},
    store::{filter_chain, filter_list},
};
use geo::BoundingRect;
use geo_types::Geometry;
use roaring::RoaringBitmap;
use rusqlite::types::Value as Sql;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// The names of a version's table, as its description has them.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    pub(super) table: &'a str,
    pub(super) fid: &'a str,
    /// Empty without geometry.
    pub(super) geom: &'a str,
    pub(super) columns: &'a [String],
}

/// The text so far is in the caller's hands; here are the values it binds.
pub(super) struct Lowering<'a, S> {
    d: Table<'a>,
    select: &'a S,
    pub(super) params: Vec<Sql>,
}

impl<'a, S: Fn(&Selection) -> Result<RoaringBitmap>> Lowering<'a, S> {
    pub(super) fn new(d: Table<'a>, select: &'a S) -> Self {
        Self { d, select, params: Vec::new() }
    }

    fn bind(&mut self, value: Sql) -> String {
        self.params.push(value);
        format!("?{}", self.params.len())
    }

    /// A condition, between parentheses.
    pub(super) fn condition(&mut self, expr: &Expr) -> Result<String> {
        Ok(match expr {
            Expr::Constant(Some(true)) => "(1)".to_owned(),
            Expr::Constant(Some(false)) => "(0)".to_owned(),
            Expr::Constant(None) => "(NULL)".to_owned(),
            Expr::And(all) => filter_chain::joined(all, " AND ", &mut |e| self.condition(e))?,
            Expr::Or(any) => filter_chain::joined(any, " OR ", &mut |e| self.condition(e))?,
            Expr::Not(inner) => format!("(NOT {})", self.condition(inner)?),
            Expr::Compare(c, a, b) => {
                let (a, b) = self.sides(a, b)?;
                format!("({a} {} {b})", c.sign())
            }
            Expr::Like(value, pattern) => {
                let value = self.scalar(value)?;
                let pattern = self.bind(Sql::Text(pattern.to_sql()));
                format!("socle_like({value}, {pattern})")
            }
            Expr::In(value, list) => {
                let float = list.iter().chain([value]).any(|s| s.class() == Class::Float);
                let value = self.as_class(value, float)?;
                let list = list.iter().map(|s| self.as_class(s, float));
                let list = list.collect::<Result<Vec<_>>>()?.join(", ");
                format!("({value} IN ({list}))")
            }
            Expr::IsNull(Scalar::Field { index, .. }) => {
                format!("({} IS NULL)", self.column(*index)?)
            }
            Expr::IsNull(value) => format!("({} IS NULL)", self.scalar(value)?),
            Expr::NoGeometry => match self.d.geom.is_empty() {
                true => "(1)".to_owned(),
                false => format!("({} IS NULL)", quoted(self.d.geom)),
            },
            Expr::Spatial(relation, a, b) => self.spatial(*relation, a, b)?,
            Expr::Array(relation, a, b) => {
                let (a, b) = (self.list(a)?, self.list(b)?);
                format!("socle_array({}, {a}, {b})", *relation as u8)
            }
            Expr::Territory(territory) => {
                let mut bytes = Vec::new();
                (self.select)(&territory.0)?
                    .serialize_into(&mut bytes)
                    .map_err(|e| Error::fault("serialising a selection", e))?;
                let set = self.bind(Sql::Blob(bytes));
                format!("socle_has({set}, {})", quoted(self.d.fid))
            }
        })
    }

    /// Two sides of a comparison; whole numbers beside others become doubles.
    fn sides(&mut self, a: &Scalar, b: &Scalar) -> Result<(String, String)> {
        let float = a.class() == Class::Float || b.class() == Class::Float;
        Ok((self.as_class(a, float)?, self.as_class(b, float)?))
    }

    fn as_class(&mut self, scalar: &Scalar, float: bool) -> Result<String> {
        let text = self.scalar(scalar)?;
        Ok(match float && scalar.class() == Class::Int {
            true => format!("CAST({text} AS REAL)"),
            false => text,
        })
    }

    fn column(&self, index: usize) -> Result<String> {
        let name = self.d.columns.get(index);
        name.map(|n| quoted(n)).ok_or_else(|| Error::broken("a filter names no field"))
    }

    fn scalar(&mut self, scalar: &Scalar) -> Result<String> {
        Ok(match scalar {
            Scalar::Field { index, .. } => {
                let column = self.column(*index)?;
                match scalar.class() {
                    Class::Date => format!("socle_day({column})"),
                    Class::Instant => format!("socle_micros({column})"),
                    _ => column,
                }
            }
            Scalar::Value(value) => {
                let value = match value {
                    Value::Null => Sql::Null,
                    Value::Bool(b) => Sql::Integer(i64::from(*b)),
                    Value::Int(i) => Sql::Integer(*i),
                    Value::Float(f) => Sql::Real(*f),
                    Value::Text(s) | Value::Json(s) => Sql::Text(s.clone()),
                    Value::Date(d) => Sql::Integer(super::functions::day(*d)),
                    Value::DateTime(t) => Sql::Integer(t.as_microsecond()),
                };
                self.bind(value)
            }
            Scalar::Arithmetic(a, sides) => {
                let [x, y] = sides.as_ref();
                let (x, y) = (self.scalar(x)?, self.scalar(y)?);
                format!("socle_calculate({}, {x}, {y})", *a as u8)
            }
            Scalar::Folded(fold, inner) => {
                let flags = u8::from(fold.case) + 2 * u8::from(fold.accents);
                format!("socle_fold({flags}, {})", self.scalar(inner)?)
            }
            Scalar::Instant { last, date } => {
                let more = if *last { DAY - 1 } else { 0 };
                format!("({} * {DAY} + {more})", self.scalar(date)?)
            }
        })
    }

    fn spatial(&mut self, relation: Relation, a: &Shape, b: &Shape) -> Result<String> {
        let (one, two) = (self.shape(a), self.shape(b));
        let test = format!("socle_relates({}, {one}, {two})", relation as u8);
        let (Shape::Field, Shape::Literal(other)) = (a, b) else { return Ok(test) };
        let Some(bounds) = other.bounding_rect() else { return Ok(test) };
        // What lies apart needs no look at its geometry.
        let d = self.d;
        let [w, s, e, n] = [bounds.min().x, bounds.min().y, bounds.max().x, bounds.max().y]
            .map(|side| self.bind(Sql::Real(side)));
        let (fid, geom) = (quoted(d.fid), quoted(d.geom));
        let rtree = quoted(&format!("rtree_{}_{}", d.table, d.geom));
        Ok(format!(
            "(CASE WHEN {fid} IN (SELECT id FROM {rtree} WHERE minx <= {e} AND maxx >= {w}
              AND miny <= {n} AND maxy >= {s}) THEN {test} WHEN {geom} IS NULL THEN NULL ELSE 0 END)"
        ))
    }

    fn shape(&mut self, shape: &Shape) -> String {
        match shape {
            Shape::Field if self.d.geom.is_empty() => "NULL".to_owned(),
            Shape::Field => quoted(self.d.geom),
            Shape::Literal(geometry) => self.bind(Sql::Blob(written(geometry))),
        }
    }

    fn list(&mut self, list: &List) -> Result<String> {
        match list {
            List::Field(index) => self.column(*index),
            List::Literal(values) => {
                let text = filter_list::json(values);
                Ok(self.bind(Sql::Text(text)))
            }
        }
    }
}

/// A literal as a stored geometry is: behind a header of the same length.
fn written(geometry: &Geometry<f64>) -> Vec<u8> {
    let mut bytes = vec![0; super::super::gpkg::BLOB_HEADER];
    wkb::write(geometry, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::filter_hostile::{NAMES, Values, expressions, harmless, hostile};
    use proptest::prelude::*;

    const PLAIN: [&str; 6] = ["c0", "c1", "c2", "c3", "c4", "c5"];

    fn lowered(names: &[&str], values: &Values) -> Vec<String> {
        let columns: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let table = Table { table: "t\"t", fid: "fid", geom: "geom", columns: &columns };
        let select = |_: &Selection| Ok(RoaringBitmap::new());
        let lower = |e: &crate::query::cql2::Expression| {
            let mut lowering = Lowering::new(table, &select);
            lowering.condition(&e.root).unwrap()
        };
        expressions(names, values).iter().map(lower).collect()
    }

    proptest! {
        #[test]
        fn the_statement_does_not_depend_on_values(values in hostile()) {
            prop_assert_eq!(lowered(&PLAIN, &values), lowered(&PLAIN, &harmless()));
        }
    }

    #[test]
    fn names_enter_it_quoted_and_nothing_else_of_them() {
        for (mut text, named) in
            lowered(&PLAIN, &harmless()).into_iter().zip(lowered(&NAMES, &harmless()))
        {
            for (plain, name) in PLAIN.iter().zip(NAMES) {
                text = text.replace(&quoted(plain), &quoted(name));
            }
            assert_eq!(text, named);
        }
    }
}
