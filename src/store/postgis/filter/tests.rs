//! What the statement depends on.

use super::statement;
use crate::store::filter_hostile::{NAMES, Values, expressions, harmless, hostile, schema};
use proptest::prelude::*;

fn lowered(names: &[&str], values: &Values) -> Vec<String> {
    let schema = schema(names);
    expressions(names, values).iter().map(|e| statement(e, &schema).unwrap()).collect()
}

proptest! {
    #[test]
    fn the_statement_depends_on_no_value_and_no_name(values in hostile()) {
        let plain = lowered(&["a", "b", "c", "d", "e", "f"], &harmless());
        prop_assert_eq!(lowered(&NAMES, &values), plain);
    }
}
