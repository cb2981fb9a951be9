//! Layers whose rows take the geometry of territories follow the layers that draw these: their
//! source is read again when one of those is published, or comes to be.

use super::{Jobs, Options, Run};
use crate::{
    error::Result,
    import,
    model::{LayerDef, Progress},
    store::At,
};
use std::{sync::Arc, time::Instant};

impl Jobs {
    /// Reads them again where what draws their territories moved. Gives those that it read or
    /// failed to; one that another program is loading is left to it.
    pub(super) async fn redraw(&self, progress: &Arc<dyn Progress>) -> Result<Vec<Run>> {
        let takes = |def: &&LayerDef| {
            !def.territory.geometry.is_none() && !def.is_live() && def.derived().is_none()
        };
        let layers: Vec<&LayerDef> = self.layers.iter().filter(takes).collect();
        let mut runs = Vec::new();
        if layers.is_empty() {
            return Ok(runs);
        }
        for def in layers {
            let Some(claim) = self.store.claim(&def.id).await? else { continue };
            self.importer.follow(&*self.store).await?;
            let Some(at) = self.store.current().await?.remove(&def.id) else { continue };
            if !self.outdrawn(def, &at).await? {
                continue;
            }
            let started = Instant::now();
            let outcome = self.claimed(def, &claim, None, Options::default(), progress).await;
            progress.finish();
            drop(claim);
            runs.push(Run { layer: def.id.clone(), outcome, took: started.elapsed() });
        }
        Ok(runs)
    }

    /// Whether what draws a layer's territories moved since it was read. What somebody went back to
    /// stays as it is.
    async fn outdrawn(&self, def: &LayerDef, at: &At) -> Result<bool> {
        let borders = self.borders().await?;
        if at.version.options_hash == import::reading_hash(def, &borders) {
            return Ok(false);
        }
        let newest = self.store.versions(&def.id).await?.pop();
        Ok(newest.is_none_or(|newest| newest.id <= at.version.id))
    }
}
