//! The territory reference in force, as the store says.

use crate::{
    error::{Error, Result},
    model::{LevelDef, ReferenceState, ReferenceTable},
    store::Store,
    territory::Reference,
    text,
};
use jiff::Timestamp;
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
    // Levels of the configuration are made of the communes of the table.
    let bytes = kept(store, state, id).await?;
    Ok(Arc::new(Reference::from_bytes(&bytes)?).with_levels(levels)?.0)
}

/// The bytes of a table in the store, as they were when they came there.
///
/// # Errors
/// [`Error::Refused`] when they are not there, or others.
pub async fn kept(store: &dyn Store, state: &ReferenceState, id: &str) -> Result<Vec<u8>> {
    let damaged = || {
        Error::Refused(text!(
            "La table du COG {id} n'est pas dans le magasin, ou n'y est plus telle qu'elle a été chargée : chargez-la à nouveau, ou revenez en arrière (« socle cog undo »).",
            "The COG table {id} is not in the store, or no longer what was loaded: load it again, or go back (\"socle cog undo\")."
        ))
    };
    let bytes = store.reference_table(id).await?.ok_or_else(damaged)?;
    match state.table(id) {
        Some(kept) if kept.sha256 == checksum(&bytes) => Ok(bytes),
        _ => Err(damaged()),
    }
}

/// The state with a table in force that the store keeps. Where nothing was attached yet that is the
/// program's own from now on, also for the programs after this one: the ranks in a reach index mean
/// something under the table that it was made with only.
///
/// # Errors
/// What the store fails with.
pub async fn pinned(store: &dyn Store) -> Result<ReferenceState> {
    loop {
        let mut state = store.reference().await?;
        if state.current.is_some() {
            return Ok(state);
        }
        // What a later program wrote is refused here, and stays as it is.
        store.current().await?;
        let own = name_own(&mut state);
        state.serial += 1;
        match store.set_reference(state.clone(), own).await {
            Ok(()) => return Ok(state),
            // Another program was quicker: what it named counts.
            Err(Error::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Names the program's own table where a state means it without a name, and keeps it when the state
/// leads to it. Gives what is to be written of it: also when it is there, it may be damaged.
pub fn name_own(state: &mut ReferenceState) -> Option<(String, Vec<u8>)> {
    let (own, bytes) = (Reference::builtin(), Reference::builtin_bytes());
    let mut leads = false;
    for id in state.before.iter_mut().chain([&mut state.current]) {
        leads |= id.get_or_insert_with(|| own.id().to_owned()) == own.id();
    }
    let sha256 = checksum(bytes);
    match state.table(own.id()) {
        // Made from files that say the same.
        Some(kept) if kept.sha256 != sha256 => return None,
        Some(_) => {}
        None if !leads => return None,
        None => {
            let now = Timestamp::now();
            let table = ReferenceTable {
                id: own.id().to_owned(),
                vintage: own.vintage(),
                source: own.source().to_owned(),
                communes: own.commune_count(),
                sha256,
                loaded_at: now,
                applied_at: Some(now),
                compiled: true,
            };
            state.tables.insert(0, table);
        }
    }
    Some((own.id().to_owned(), bytes.to_vec()))
}

/// Checksum of a table's bytes, hexadecimal.
pub fn checksum(bytes: &[u8]) -> String {
    super::hex(&Sha256::digest(bytes), 64)
}
