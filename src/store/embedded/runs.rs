//! The journal of a layer's harvests: one small file, replaced whole.

use super::layout::{LayerDir, read_json, write_atomic};
use crate::{
    error::{Error, Result},
    model::RunRecord,
    store::KEPT_RUNS,
};

/// Adds runs, and forgets those beyond the newest that are kept.
pub(super) fn note(dir: &LayerDir, runs: Vec<RunRecord>) -> Result<()> {
    // What a later program wrote stays as it is: this refuses it.
    if let Some(current) = dir.read_current()? {
        dir.describe(&current.version)?;
    }
    let mut all = read(dir).unwrap_or_else(|e| {
        // It begins anew; what cannot be read stays for whoever wants to look at it.
        let (path, aside) = (dir.runs(), dir.runs().with_extension("unreadable"));
        tracing::warn!(file = %path.display(), "a journal that cannot be read is set aside: {}", e.chain());
        if let Err(e) = std::fs::rename(&path, &aside) {
            tracing::warn!(file = %path.display(), "it stays where it is: {e}");
        }
        Vec::new()
    });
    all.retain(|known| runs.iter().all(|run| run.started != known.started));
    all.splice(0..0, runs);
    all.sort_by_key(|run| std::cmp::Reverse(run.started));
    all.truncate(KEPT_RUNS);
    let text = serde_json::to_vec(&all).map_err(|e| Error::fault("the journal", e))?;
    write_atomic(&dir.runs(), &text)
}

/// The runs, newest first; none, with a warning, when the journal cannot be read: one layer's
/// journal is in nobody else's way.
pub(super) fn told(dir: &LayerDir) -> Vec<RunRecord> {
    read(dir).unwrap_or_else(|e| {
        tracing::warn!(file = %dir.runs().display(), "a journal cannot be read: {}", e.chain());
        Vec::new()
    })
}

/// The runs, newest first.
fn read(dir: &LayerDir) -> Result<Vec<RunRecord>> {
    Ok(read_json(&dir.runs())?.unwrap_or_default())
}
