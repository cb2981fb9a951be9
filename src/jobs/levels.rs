//! Levels that are made from the layer of communes, anew with each version of it.

use super::{Done, Jobs, Run, blocking};
use crate::{
    error::Result,
    import::{self, Borders, Communes, Workdir},
    model::{Harvested, LayerDef, Progress, Version},
    store::{At, Claim},
    text,
};
use std::{collections::BTreeMap, sync::Arc, time::Instant};

impl Jobs {
    /// Brings every derived level up to the communes and the reference in force. Gives those that
    /// changed or failed; one that another program is making is left to it.
    pub(super) async fn levels(&self, progress: &Arc<dyn Progress>) -> Result<Vec<Run>> {
        let derived: Vec<&LayerDef> =
            self.layers.iter().filter(|def| def.derived().is_some()).collect();
        if derived.is_empty() {
            return Ok(Vec::new());
        }
        let borders = Arc::new(self.borders().await?);
        // The levels of one layer of communes are made from one reading of it.
        let mut read: BTreeMap<String, Arc<Communes>> = BTreeMap::new();
        let mut runs = Vec::new();
        for def in derived {
            let Some(source) = self.importer.level_source(def, &borders) else { continue };
            let started = Instant::now();
            let outcome = self.level(def, source, &borders, &mut read, progress).await;
            progress.finish();
            if let Some(outcome) = outcome.transpose() {
                runs.push(Run { layer: def.id.clone(), outcome, took: started.elapsed() });
            }
        }
        Ok(runs)
    }

    /// One level; `None` when there is nothing to do.
    async fn level(
        &self,
        def: &LayerDef,
        source: Harvested,
        borders: &Arc<Borders>,
        read: &mut BTreeMap<String, Arc<Communes>>,
        progress: &Arc<dyn Progress>,
    ) -> Result<Option<Done>> {
        if self.level_stands(def, &source, None).await? {
            return Ok(None);
        }
        let reference = self.importer.reference();
        let Some(claim) = self.store.claim(&def.id).await? else { return Ok(None) };
        // Under another reference the borders mean something else: the next run begins anew.
        if !Arc::ptr_eq(&reference, &self.importer.follow(&*self.store).await?) {
            return Ok(None);
        }
        // Another program may have made it while this one waited for the claim.
        if self.level_stands(def, &source, Some(&claim)).await? {
            return Ok(None);
        }
        let id = &def.id;
        progress.stage(text!("Réunion des communes : {id}", "Joining communes: {id}"), None);
        let communes = match read.get(&source.origin) {
            Some(communes) => communes.clone(),
            None => {
                let (importer, borders, made) =
                    (self.importer.clone(), borders.clone(), def.clone());
                let communes = blocking(move || importer.level_communes(&made, &borders)).await?;
                read.insert(source.origin.clone(), communes.clone());
                communes
            }
        };
        self.wait_for_a_free_name(id).await?;
        let (importer, made, shown) = (self.importer.clone(), def.clone(), progress.clone());
        let work = Workdir::create(&self.harvest.settings.cache)?;
        let folder = work.path().to_owned();
        let level = move || importer.level(&made, &source, &communes, &folder, &*shown);
        let new = blocking(level).await?;
        let current = self.store.current().await?.remove(id);
        // What had territories and has none any more says so; what never had any is no layer.
        if new.version.count == 0 && current.is_none() {
            tracing::debug!(layer = %id, "no commune of the layer is in a territory of this level");
            return Ok(None);
        }
        let version = Box::new(new.version.clone());
        let reach = new.reach.id.clone();
        self.store.load(&claim, new).await?;
        let next = At {
            layer: id.clone(),
            version: Arc::new(Version::clone(&version)),
            reach: reach.clone(),
        };
        self.note_changes(def, &claim, current.as_ref(), &next).await;
        self.store.publish(&claim, &version.id, &reach).await?;
        self.store.prune(&claim, def.keep_versions).await?;
        Ok(Some(Done::Published(version)))
    }

    /// Whether a level is what it would be made to be. With a claim, and when the communes were
    /// checked since, notes that (*vérifié le*).
    async fn level_stands(
        &self,
        def: &LayerDef,
        source: &Harvested,
        claim: Option<&Claim>,
    ) -> Result<bool> {
        let Some(at) = self.store.current().await?.remove(&def.id) else { return Ok(false) };
        let (has, version) = (&at.version.source, &at.version);
        let same = has.sha256 == source.sha256 && version.options_hash == import::options_hash(def);
        if !same {
            return Ok(false);
        }
        if has.checked_at < source.checked_at {
            match claim {
                // Is asked again with a claim, and then noted.
                None => return Ok(false),
                Some(claim) => {
                    self.store.touch(claim, source).await?;
                    self.tidy(def, claim).await;
                }
            }
        }
        Ok(true)
    }
}
