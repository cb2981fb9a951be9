//! The journal of a layer's harvests: one small file, replaced whole.

use super::layout::{LayerDir, read_json, write_atomic};
use crate::{
    error::{Error, Result},
    model::RunRecord,
    store::KEPT_RUNS,
};

/// Adds a run, and forgets those beyond the newest that are kept.
pub(super) fn note(dir: &LayerDir, run: RunRecord) -> Result<()> {
    // What a later program wrote stays as it is: this refuses it.
    if let Some(current) = dir.read_current()? {
        dir.describe(&current.version)?;
    }
    let mut all = read(dir)?;
    all.insert(0, run);
    all.truncate(KEPT_RUNS);
    let text = serde_json::to_vec(&all).map_err(|e| Error::fault("the journal", e))?;
    write_atomic(&dir.runs(), &text)
}

/// The runs, newest first.
pub(super) fn read(dir: &LayerDir) -> Result<Vec<RunRecord>> {
    Ok(read_json(&dir.runs())?.unwrap_or_default())
}
