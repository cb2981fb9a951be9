//! From a checked filter to a condition of PostgreSQL, for versions and for published tables. The
//! text depends on the filter's form; values are bound. Texts compare by code point, letters fold
//! by the table that all stores share, numbers are calculated in doubles.

mod probe;
mod words;

#[cfg(test)]
mod tests;

pub use probe::statement;

use super::{column::Column, live::Conditions, names::Names};
use crate::{
    error::{Error, Result},
    formats::wkb,
    model::{BBox, FieldKind, Relation, Selection, Value},
    query::cql2::{Arithmetic, ArrayRelation, Class, Comparison, Expr, List, Scalar, Shape},
    store::{filter_chain, filter_list},
    text,
};
use geo::BoundingRect;
use tokio_postgres::types::Type;
use words::{NUL, Words, letters};

/// JSON of which [`NUL`] stands for each U+0000 that is written by an escape; `x` is the JSON.
const WITHOUT_NUL: &str = r"regexp_replace(x, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\uffff', 'g')";

/// A table as conditions see it.
pub(super) trait Target {
    /// A field's column and the expression of its value.
    fn field(&self, index: usize) -> Option<(Column, FieldKind, String)>;

    /// The geometry in CRS84; null where there is none.
    fn geometry(&self, names: &Names) -> Option<String>;

    /// A cheap condition that the geometry meets a box, which holds wherever it does; `None`
    /// where it surely does not.
    fn meets(&self, names: &Names, bounds: &BBox, to: &mut Conditions) -> Option<String>;

    /// The condition that the feature concerns a territory.
    ///
    /// # Errors
    /// When the table has no attachments yet.
    fn territory(
        &self,
        names: &Names,
        selection: &Selection,
        to: &mut Conditions,
    ) -> Result<String>;
}

/// The condition of a filter, its values bound to `to`.
pub(super) fn lower(
    expr: &Expr,
    names: &Names,
    target: &dyn Target,
    to: &mut Conditions,
) -> Result<String> {
    Lowering { names, target, to }.condition(expr)
}

struct Lowering<'a> {
    names: &'a Names,
    target: &'a dyn Target,
    to: &'a mut Conditions,
}

impl Lowering<'_> {
    fn bind(
        &mut self,
        value: impl tokio_postgres::types::ToSql + Sync + Send + 'static,
        kind: Type,
    ) -> String {
        let next = self.to.next();
        self.to.bind(value, kind);
        format!("${next}")
    }

    fn condition(&mut self, expr: &Expr) -> Result<String> {
        Ok(match expr {
            Expr::Constant(Some(true)) => "true".to_owned(),
            Expr::Constant(Some(false)) => "false".to_owned(),
            Expr::Constant(None) => "NULL::boolean".to_owned(),
            Expr::And(all) => filter_chain::joined(all, " AND ", &mut |e| self.condition(e))?,
            Expr::Or(any) => filter_chain::joined(any, " OR ", &mut |e| self.condition(e))?,
            Expr::Not(inner) => format!("(NOT {})", self.condition(inner)?),
            Expr::Compare(c, a, b) => self.comparison(*c, a, b)?,
            Expr::Like(value, pattern) => {
                let wanted = letters(std::iter::once(pattern.to_sql().as_str()));
                let value = self.words(value, Some(&wanted))?;
                let written = pattern.to_sql().replace('\0', NUL);
                let pattern = self.bind(written, Type::TEXT);
                format!("({} LIKE {pattern} ESCAPE '\\')", value.into_text())
            }
            Expr::In(value, list) => self.among(value, list)?,
            Expr::IsNull(Scalar::Field { index, .. }) => {
                format!("({} IS NULL)", self.field(*index)?.2)
            }
            Expr::IsNull(value) => match value.class() {
                Class::Text => format!("({} IS NULL)", self.words(value, None)?.into_sql()),
                _ => format!("({} IS NULL)", self.scalar(value)?),
            },
            Expr::NoGeometry => match self.target.geometry(self.names) {
                None => "true".to_owned(),
                Some(geometry) => format!("({geometry} IS NULL)"),
            },
            Expr::Spatial(relation, a, b) => self.spatial(*relation, a, b)?,
            Expr::Array(relation, a, b) => self.array(*relation, a, b)?,
            Expr::Territory(t) => self.target.territory(self.names, &t.0, self.to)?,
        })
    }

    fn comparison(&mut self, c: Comparison, a: &Scalar, b: &Scalar) -> Result<String> {
        let sign = c.sign();
        if a.class() == Class::Text {
            // Where only sameness counts, letters that the literal does not hold need no folding.
            let same = matches!(c, Comparison::Eq | Comparison::Ne);
            let wanted = match b {
                Scalar::Value(Value::Text(t)) if same => Some(letters(std::iter::once(t.as_str()))),
                _ => None,
            };
            let left = self.words(a, wanted.as_ref())?;
            let right = self.words(b, None)?;
            return Ok(match left.is_text() && right.is_text() {
                true => format!("({} {sign} {})", left.into_sql(), right.into_sql()),
                false => format!("({} {sign} {})", left.into_bytes(), right.into_bytes()),
            });
        }
        let float = a.class() == Class::Float || b.class() == Class::Float;
        let (a, b) = (self.number(a, float)?, self.number(b, float)?);
        Ok(format!("({a} {sign} {b})"))
    }

    fn among(&mut self, value: &Scalar, list: &[Scalar]) -> Result<String> {
        if value.class() != Class::Text {
            let float = list.iter().chain([value]).any(|s| s.class() == Class::Float);
            let value = self.number(value, float)?;
            let list = list.iter().map(|s| self.number(s, float)).collect::<Result<Vec<_>>>()?;
            return Ok(format!("({value} IN ({}))", list.join(", ")));
        }
        let texts: Option<Vec<&str>> = list
            .iter()
            .map(|s| match s {
                Scalar::Value(Value::Text(t)) => Some(t.as_str()),
                _ => None,
            })
            .collect();
        let wanted = texts.map(|t| letters(t.into_iter()));
        let value = self.words(value, wanted.as_ref())?;
        let list = list.iter().map(|s| self.words(s, None));
        let list = list.collect::<Result<Vec<_>>>()?;
        let plain = value.is_text() && list.iter().all(Words::is_text);
        let sql = if plain { Words::into_sql } else { Words::into_bytes };
        let list: Vec<String> = list.into_iter().map(sql).collect();
        Ok(format!("({} IN ({}))", sql(value), list.join(", ")))
    }

    fn field(&self, index: usize) -> Result<(Column, FieldKind, String)> {
        self.target.field(index).ok_or_else(|| Error::broken("a filter names no field"))
    }

    fn number(&mut self, scalar: &Scalar, float: bool) -> Result<String> {
        let text = self.scalar(scalar)?;
        Ok(match float && scalar.class() == Class::Int {
            true => format!("({text})::float8"),
            false => text,
        })
    }

    /// A value that is no text.
    fn scalar(&mut self, scalar: &Scalar) -> Result<String> {
        Ok(match scalar {
            Scalar::Field { index, kind } => {
                let (column, _, sql) = self.field(*index)?;
                let early = matches!(kind, FieldKind::Date | FieldKind::DateTime)
                    && !matches!(column, Column::Date | Column::Time);
                if early {
                    return Err(Error::Invalid(text!(
                        "Filtre : un champ de dates antérieures à l'an -4712 ne se compare pas dans ce magasin.",
                        "Filter: a property of dates before the year -4712 cannot be compared in this store."
                    )));
                }
                sql
            }
            Scalar::Value(value) => self.literal(value),
            Scalar::Arithmetic(a, sides) => {
                let [x, y] = sides.as_ref();
                let (x, y) = (self.number(x, true)?, self.number(y, true)?);
                calculation(*a, &x, &y)
            }
            Scalar::Instant { last, date } => {
                let date = self.scalar(date)?;
                let more =
                    if *last { " + interval '1 day' - interval '1 microsecond'" } else { "" };
                format!("((({date})::timestamp{more}) AT TIME ZONE 'UTC')")
            }
            Scalar::Folded(..) => return Err(Error::broken("a text is compared as a number")),
        })
    }

    fn literal(&mut self, value: &Value) -> String {
        match value {
            Value::Bool(b) => self.bind(*b, Type::BOOL),
            Value::Int(i) => self.bind(*i, Type::INT8),
            Value::Float(f) => self.bind(*f, Type::FLOAT8),
            Value::Date(d) => self.bind(super::column::date_bound(*d), Type::DATE),
            Value::DateTime(t) => self.bind(super::column::time_bound(*t), Type::TIMESTAMPTZ),
            Value::Text(t) | Value::Json(t) => self.bind(t.replace('\0', NUL), Type::TEXT),
            Value::Null => "NULL".to_owned(),
        }
    }

    fn spatial(&mut self, relation: Relation, a: &Shape, b: &Shape) -> Result<String> {
        let g = &self.names.gis;
        let function = match relation {
            Relation::Intersects => "ST_Intersects",
            Relation::Equals => "ST_Equals",
            Relation::Touches => "ST_Touches",
            Relation::Crosses => "ST_Crosses",
            Relation::Within => "ST_Within",
            Relation::Contains => "ST_Contains",
            Relation::Overlaps => "ST_Overlaps",
        };
        let Some(field) = self.target.geometry(self.names) else {
            return Ok("NULL::boolean".to_owned());
        };
        // Relations but the first are not defined for collections.
        let field = match relation {
            Relation::Intersects => field,
            _ => format!(
                "CASE WHEN {g}GeometryType({field}) <> 'GEOMETRYCOLLECTION' THEN {field} END"
            ),
        };
        let mut sides = Vec::new();
        for shape in [a, b] {
            sides.push(match shape {
                Shape::Field => field.clone(),
                Shape::Literal(geometry) => {
                    let mut bytes = Vec::new();
                    wkb::write(geometry, &mut bytes);
                    let bound = self.bind(bytes, Type::BYTEA);
                    format!("{g}ST_GeomFromWKB({bound}, 4326)")
                }
            });
        }
        let test = format!("{g}{function}({})", sides.join(", "));
        let (Shape::Field, Shape::Literal(other)) = (a, b) else { return Ok(test) };
        let Some(r) = other.bounding_rect() else { return Ok(test) };
        let bounds = BBox { west: r.min().x, south: r.min().y, east: r.max().x, north: r.max().y };
        Ok(match self.target.meets(self.names, &bounds, self.to) {
            Some(meets) => format!("({meets} AND {test})"),
            None => format!("(CASE WHEN {field} IS NOT NULL THEN false END)"),
        })
    }

    fn array(&mut self, relation: ArrayRelation, a: &List, b: &List) -> Result<String> {
        let mut sides = Vec::new();
        for list in [a, b] {
            sides.push(match list {
                List::Field(index) => {
                    let (column, _, sql) = self.field(*index)?;
                    let text = match column {
                        Column::Bytes => Words::Bytes(sql).into_text(),
                        _ => format!("({sql})::text"),
                    };
                    // No jsonb holds U+0000: another character stands for it.
                    format!(
                        "(SELECT CASE WHEN strpos(x, '\\u0000') = 0 THEN x ELSE {WITHOUT_NUL} END::jsonb
                          FROM (SELECT {text} AS x OFFSET 0) AS v)"
                    )
                }
                List::Literal(values) => {
                    let stood = |value: &Value| match value {
                        Value::Text(t) => Value::Text(t.replace('\0', NUL)),
                        other => other.clone(),
                    };
                    let values: Vec<Value> = values.iter().map(stood).collect();
                    format!("{}::jsonb", self.bind(filter_list::json(&values), Type::TEXT))
                }
            });
        }
        // Lists are sets of their items, each the same as another or not: `@>` looks inside them.
        let all = |of: &str, among: &str| {
            format!(
                "NOT EXISTS (SELECT 1 FROM jsonb_array_elements({of}) AS x WHERE NOT EXISTS
                 (SELECT 1 FROM jsonb_array_elements({among}) AS y WHERE x = y))"
            )
        };
        let test = match relation {
            ArrayRelation::Equals => format!("{} AND {}", all("a", "b"), all("b", "a")),
            ArrayRelation::Contains => all("b", "a"),
            ArrayRelation::ContainedBy => all("a", "b"),
            ArrayRelation::Overlaps => {
                "EXISTS (SELECT 1 FROM jsonb_array_elements(a) AS x, jsonb_array_elements(b) AS y WHERE x = y)".to_owned()
            }
        };
        Ok(format!(
            "(SELECT CASE WHEN jsonb_typeof(a) = 'array' AND jsonb_typeof(b) = 'array' THEN {test} END
              FROM (SELECT {} AS a, {} AS b OFFSET 0) AS v)",
            sides.first().map_or("NULL", String::as_str),
            sides.get(1).map_or("NULL", String::as_str)
        ))
    }
}

/// A calculation in doubles; null where it has no result.
fn calculation(a: Arithmetic, x: &str, y: &str) -> String {
    let of =
        |result: &str| format!("(SELECT {result} FROM (SELECT {x} AS x, {y} AS y OFFSET 0) AS v)");
    match a {
        Arithmetic::Add => format!("({x} + {y})"),
        Arithmetic::Sub => format!("({x} - {y})"),
        Arithmetic::Mul => format!("({x} * {y})"),
        Arithmetic::Div => format!("({x} / NULLIF({y}, 0))"),
        Arithmetic::IntDiv => format!("trunc({x} / NULLIF({y}, 0))"),
        Arithmetic::Mod => of("x - y * trunc(x / NULLIF(y, 0))"),
        Arithmetic::Pow => {
            of("CASE WHEN NOT (x = 0 AND y < 0 OR x < 0 AND y <> trunc(y)) THEN power(x, y) END")
        }
    }
}
