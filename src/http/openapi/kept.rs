//! Definitions already written, as bytes, within a bound: scopes and hosts make new ones.

use super::examples;
use crate::{
    catalog::Snapshot,
    error::{Error, Result},
    http::reply::Kept,
};
use metrics::counter;
use moka::{future, sync};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that kept definitions may weigh.
const MOST: u64 = 64 << 20;
/// States and languages whose literal paths are kept.
const STATES: u64 = 4;

/// Definitions already written, by state, root, language and format.
pub struct Definitions {
    kept: future::Cache<String, Kept>,
    /// The literal paths of layers, by state and language: the same below every root.
    layers: sync::Cache<String, Arc<str>>,
    /// The state of the layers looked at last.
    state: Mutex<Option<(Arc<Snapshot>, Arc<str>)>>,
}

impl Default for Definitions {
    fn default() -> Self {
        let weigh = |key: &String, kept: &Kept| {
            u32::try_from(key.len() + kept.weight()).unwrap_or(u32::MAX)
        };
        Self {
            kept: future::Cache::builder().max_capacity(MOST).weigher(weigh).build(),
            layers: sync::Cache::new(STATES),
            state: Mutex::default(),
        }
    }
}

impl Definitions {
    /// The definition of a key, written when it is not there: once, however many ask.
    ///
    /// # Errors
    /// [`Error::Fault`] when it cannot be compressed.
    pub(super) async fn get(
        &self,
        key: String,
        write: impl Future<Output = String>,
    ) -> Result<Kept> {
        let made = async {
            counter!("socle_api_definitions_written_total").increment(1);
            Kept::new(write.await.into_bytes()).await
        };
        let kept = self.kept.try_get_with(key, made).await;
        kept.map_err(Error::shared)
    }

    /// Names what the definition is made from, once for a snapshot.
    pub(super) fn state(&self, snapshot: &Arc<Snapshot>) -> Arc<str> {
        let mut last = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((seen, state)) if Arc::ptr_eq(seen, snapshot) => state.clone(),
            _ => {
                let state: Arc<str> = state(snapshot).into();
                *last = Some((snapshot.clone(), state.clone()));
                state
            }
        }
    }

    /// The literal paths of layers, likewise.
    pub(super) fn layers(&self, key: String, write: impl FnOnce() -> String) -> Arc<str> {
        self.layers.get_with(key, || write().into())
    }
}

/// Names what the definition is made from: which layers are served, their fields, and the version
/// that its examples come from. What else shapes it is in the stamp of the site.
fn state(snapshot: &Snapshot) -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &str| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    };
    for layer in snapshot.served() {
        add(layer.def.id.as_str());
        if let Some(at) = &layer.current {
            for field in &at.version.schema.fields {
                add(&field.name);
                add(&format!("{:?}", field.kind));
            }
            // Titles of fields may come from the comments of a table.
            for (name, words) in at.version.live.iter().flat_map(|live| &live.fields) {
                add(name);
                add(words);
            }
        }
    }
    if let Some(at) = examples::layer(snapshot).and_then(|layer| layer.current.as_ref()) {
        add(&at.key());
    }
    hash.finalize().iter().take(12).map(|b| format!("{b:02x}")).collect()
}
