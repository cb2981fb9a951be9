//! What the statement depends on.

use super::*;
use crate::store::filter_hostile::{NAMES, Values, expressions, harmless, hostile, schema};
use proptest::prelude::*;

/// A table of the hostile schema.
struct Table(crate::model::Schema);

impl Target for Table {
    fn field(&self, index: usize) -> Option<(Column, FieldKind, String)> {
        let kind = self.0.fields.get(index)?.kind;
        let column = match kind {
            FieldKind::Date => Column::Date,
            FieldKind::Int => Column::Int,
            FieldKind::Float => Column::Float,
            _ => Column::Text,
        };
        Some((column, kind, format!("c{index}")))
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

fn lowered(names: &[&str], values: &Values) -> Vec<String> {
    let (table, of) = (Table(schema(names)), Names::new("socle"));
    let text = |e: &crate::query::cql2::Expression| {
        lower(&e.root, &of, &table, &mut Conditions::default()).unwrap()
    };
    expressions(names, values).iter().map(text).collect()
}

proptest! {
    #[test]
    fn the_statement_depends_on_no_value_and_no_name(values in hostile()) {
        let plain = lowered(&["a", "b", "c", "d", "e", "f"], &harmless());
        prop_assert_eq!(lowered(&NAMES, &values), plain);
    }
}
