//! The territory reference in force, as the store says.

use crate::{
    error::{Error, Result},
    model::{LevelDef, ReferenceState},
    store::Store,
    territory::Reference,
    text,
};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The reference that a state names, with the levels of the configuration: `known` when it is that
/// one already.
///
/// # Errors
/// [`Error::Refused`] when the table is not there, or not what was loaded; [`Error::Invalid`] when a
/// level of the configuration cannot be made of it.
pub async fn in_force(
    store: &dyn Store,
    state: &ReferenceState,
    known: &Arc<Reference>,
    levels: &[LevelDef],
) -> Result<Arc<Reference>> {
    table(store, state, state.current.as_deref(), known, levels).await
}

/// A table by its id; `None` is the one compiled in.
///
/// # Errors
/// As [`in_force`].
pub async fn table(
    store: &dyn Store,
    state: &ReferenceState,
    id: Option<&str>,
    known: &Arc<Reference>,
    levels: &[LevelDef],
) -> Result<Arc<Reference>> {
    let builtin = Reference::builtin();
    if known.id() == id.unwrap_or(builtin.id()) {
        return Ok(known.clone());
    }
    let Some(id) = id.filter(|id| *id != builtin.id()) else {
        return Ok(builtin.with_levels(levels)?.0);
    };
    let damaged = || {
        Error::Refused(text!(
            "La table du COG {id} n'est pas dans le magasin, ou n'y est plus telle qu'elle a été chargée : chargez-la à nouveau, ou revenez en arrière (« socle cog undo »).",
            "The COG table {id} is not in the store, or no longer what was loaded: load it again, or go back (\"socle cog undo\")."
        ))
    };
    let bytes = store.reference_table(id).await?.ok_or_else(damaged)?;
    let sum = super::hex(&Sha256::digest(&bytes), 64);
    if state.table(id).is_none_or(|kept| kept.sha256 != sum) {
        return Err(damaged());
    }
    // Levels of the configuration are made of the communes of the table.
    Ok(Arc::new(Reference::from_bytes(&bytes)?).with_levels(levels)?.0)
}
