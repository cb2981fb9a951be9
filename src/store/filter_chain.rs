//! Chains of conditions as the text of a database.

use crate::{
    error::{Error, Result},
    query::cql2::Expr,
};

/// Parts joined in halves: a long chain stays a shallow tree.
///
/// # Errors
/// Those of `one`, which writes a part.
pub(super) fn joined(
    parts: &[Expr],
    joint: &str,
    one: &mut dyn FnMut(&Expr) -> Result<String>,
) -> Result<String> {
    match parts {
        // The normal form holds no such chain.
        [] => Err(Error::broken("a chain of no conditions")),
        [only] => one(only),
        many => {
            let (a, b) = many.split_at(many.len() / 2);
            Ok(format!("({}{joint}{})", joined(a, joint, one)?, joined(b, joint, one)?))
        }
    }
}
