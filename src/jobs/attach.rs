//! Attachments brought up to date: reach indexes whose inputs moved are made again aside and put in
//! force. Of a published table only the rows that were touched are attached again, where they are
//! known.

use super::{Jobs, Run, blocking};
use crate::{
    error::{Error, Result},
    import::Borders,
    model::{LayerDef, LayerId, Progress, live::reach_basis},
    store::{At, Claim, Reach},
    text,
};
use std::{
    sync::{Arc, PoisonError},
    time::Instant,
};

impl Jobs {
    /// Attaches again the published tables that were edited since they last were, or whose
    /// borders moved. Gives those that could not be.
    pub async fn attach_tables(&self, progress: &Arc<dyn Progress>) -> Result<Vec<Run>> {
        let bound = |def: &&LayerDef| {
            def.is_live() && (def.territory.by_location || !def.territory.columns.is_empty())
        };
        self.attach(&self.layers.iter().filter(bound).collect::<Vec<_>>(), progress).await
    }

    /// Gives the layers that could not be attached: the attachments they had stay in force.
    pub(super) async fn attach(
        &self,
        layers: &[&LayerDef],
        progress: &Arc<dyn Progress>,
    ) -> Result<Vec<Run>> {
        let reference = self.importer.see(&*self.store).await?;
        let borders = Arc::new(self.borders().await?);
        let mut current = self.store.current().await?;
        // One layer's trouble keeps no other from being attached.
        let mut troubles = Vec::new();
        for def in layers {
            let started = Instant::now();
            let Some(at) = current.remove(&def.id) else { continue };
            let done = async {
                // A layer whose columns no longer fit its declaration is not attached, and says so.
                let wanted = |at: &At| self.importer.reach_id(at, def, &borders);
                if wanted(&at).is_ok_and(|wanted| wanted == at.reach) {
                    return Ok(true);
                }
                let Some(claim) = self.store.claim(&def.id).await? else { return Ok(true) };
                // Under another reference the borders mean something else: the next run begins anew.
                if !Arc::ptr_eq(&reference, &self.importer.follow(&*self.store).await?) {
                    return Ok(false);
                }
                // Another process may have done it since.
                let mut current = self.store.current().await?;
                let Some(at) = current.remove(&def.id) else { return Ok(true) };
                if wanted(&at).is_ok_and(|wanted| wanted == at.reach) {
                    return Ok(true);
                }
                let id = &def.id;
                progress.stage(text!("Rattachement de {id}", "Attaching {id}"), None);
                let done = self.attach_one(def, &claim, &at, &borders).await;
                progress.finish();
                done.map(|()| true)
            };
            let done = done.await;
            match self.note_trouble(&def.id, done) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => troubles.push(Run {
                    layer: def.id.clone(),
                    outcome: Err(error),
                    took: started.elapsed(),
                }),
            }
        }
        Ok(troubles)
    }

    /// Says a layer's trouble in the log, once for as long as it stays the same, and in a gauge
    /// until it is over.
    fn note_trouble<T>(&self, layer: &LayerId, done: Result<T>) -> Result<T> {
        metrics::gauge!("socle_attachment_failed", "layer" => layer.to_string())
            .set(if done.is_err() { 1.0 } else { 0.0 });
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match &done {
            Ok(_) => drop(troubles.remove(layer)),
            // They pass.
            Err(Error::Busy { .. } | Error::Unavailable(_)) => {}
            Err(error) => {
                let cause = error.chain();
                if troubles.get(layer) != Some(&cause) {
                    tracing::warn!(%layer, cause, "a layer is not attached");
                    troubles.insert(layer.clone(), cause);
                }
            }
        }
        done
    }

    async fn attach_one(
        &self,
        def: &LayerDef,
        claim: &Claim,
        at: &At,
        borders: &Arc<Borders>,
    ) -> Result<()> {
        if at.version.live.is_some() {
            if self.amend(def, claim, at, borders).await? {
                return Ok(());
            }
            self.store.mark(claim, at).await?;
        }
        let reach = self.make_reach(def, at, borders).await?;
        let (id, rows) = (reach.id.clone(), reach.ids.len());
        self.store.load_reach(claim, &at.version.id, reach).await?;
        self.store.publish(claim, &at.version.id, &id).await?;
        self.store.prune(claim, def.keep_versions).await?;
        attached(def, rows);
        Ok(())
    }

    /// Attaches only the rows that were touched; `false` when all have to be.
    async fn amend(
        &self,
        def: &LayerDef,
        claim: &Claim,
        at: &At,
        borders: &Arc<Borders>,
    ) -> Result<bool> {
        let wanted = self.importer.reach_id(at, def, borders)?;
        if at.reach.is_empty() || reach_basis(&wanted) != reach_basis(&at.reach) {
            return Ok(false);
        }
        let touched = match self.store.touched(at).await {
            Ok(Some(touched)) => touched,
            Ok(None) => return Ok(false),
            // Making all does not need what could not be read.
            Err(error @ Error::Fault { .. }) => {
                tracing::warn!(layer = %def.id, cause = error.chain(), "all rows are attached again");
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let touched = Arc::new(touched);
        let made = {
            let (store, importer, borders) =
                (self.store.clone(), self.importer.clone(), borders.clone());
            let (def, at, touched) = (def.clone(), at.clone(), touched.clone());
            blocking(move || importer.reach_of_some(&store, &at, &def, &borders, &touched)).await
        };
        // What keeps some from being attached keeps all: making all says what it is.
        let Ok(Some(reach)) = made else { return Ok(false) };
        let rows = reach.ids.len();
        self.store.amend_reach(claim, at, Arc::unwrap_or_clone(touched), reach).await?;
        attached(def, rows);
        Ok(true)
    }

    pub(super) async fn make_reach(
        &self,
        def: &LayerDef,
        at: &At,
        borders: &Arc<Borders>,
    ) -> Result<Reach> {
        let (store, importer, borders) =
            (self.store.clone(), self.importer.clone(), borders.clone());
        let (def, at) = (def.clone(), at.clone());
        blocking(move || importer.reach(&store, &at, &def, &borders)).await
    }
}

/// Counts the rows of a published table that were attached.
fn attached(def: &LayerDef, rows: usize) {
    if def.is_live() {
        metrics::counter!("socle_table_rows_attached_total", "layer" => def.id.to_string())
            .increment(rows as u64);
        tracing::debug!(layer = %def.id, rows, "rows of a table attached");
    }
}
