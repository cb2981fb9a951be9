//! What a filter becomes without a database to ask: for tests and fuzzing.

use super::{Column, Conditions, FieldKind, Names, Target, lower};
use crate::{
    error::Result,
    model::{BBox, Schema, Selection},
    query::cql2::Expression,
};
use tokio_postgres::types::Type;

/// A version's table with the fields of a schema.
struct Table<'a>(&'a Schema);

impl Target for Table<'_> {
    fn field(&self, index: usize) -> Option<(Column, FieldKind, String)> {
        let kind = self.0.fields.get(index)?.kind;
        Some((Column::of(kind), kind, format!("c{index}")))
    }

    fn geometry(&self, _: &Names) -> Option<String> {
        Some("geom".to_owned())
    }

    fn meets(&self, _: &Names, bounds: &BBox, to: &mut Conditions) -> Option<String> {
        let next = to.next();
        to.bind_box(bounds);
        Some(format!("meets(${next})"))
    }

    fn territory(&self, _: &Names, _: &Selection, to: &mut Conditions) -> Result<String> {
        let next = to.next();
        to.bind(Vec::<i64>::new(), Type::INT8_ARRAY);
        Ok(format!("(fid = ANY(${next}))"))
    }
}

/// The condition of a filter on a table with the fields of a schema.
///
/// # Errors
/// As with a database: what cannot be said in its language.
pub fn statement(expression: &Expression, schema: &Schema) -> Result<String> {
    lower(&expression.root, &Names::new("socle"), &Table(schema), &mut Conditions::default())
}
