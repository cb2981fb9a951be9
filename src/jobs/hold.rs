//! Deliveries that wait for a person: what a source was last seen to hold, which rules hold a
//! delivery, and how one is published after all.

use super::{Jobs, Options, nothing};
use crate::{
    error::{Error, Result},
    harvest::Fetch,
    import,
    model::{
        Changes, Comparison, Harvested, Held, Hold, LayerDef, LayerId, Progress, Silent, Version,
        VersionId,
    },
    store::{At, Claim},
    text,
};
use std::sync::Arc;

/// What a source holds.
pub(super) enum Seen {
    /// What is in force.
    InForce(Harvested, At),
    /// What already waits.
    Held(Box<Held>),
    /// Something else, or the same to be read in another way.
    New(Harvested),
}

impl Jobs {
    /// Looks at a source. What it was seen to hold last is asked for conditionally: what waits,
    /// where something does.
    pub(super) async fn seen(
        &self,
        def: &LayerDef,
        current: Option<&At>,
        held: Option<Held>,
        options: Options,
        progress: &Arc<dyn Progress>,
    ) -> Result<Seen> {
        let last = held.as_ref().map(|held| &held.version.source);
        let last = last.or(current.map(|at| &at.version.source));
        let fetched = self.harvest.fetch(def, last, options.force, &**progress).await?;
        let unchanged = matches!(fetched, Fetch::Unchanged(_));
        let (Fetch::Unchanged(source) | Fetch::New(source)) = fetched;
        if options.force {
            return Ok(Seen::New(source));
        }
        // Other options read other things from the same bytes: then they are read anew.
        let hash = import::options_hash(def);
        let same = |version: &Version| {
            let has = &version.source;
            version.options_hash == hash
                && has.sha256 == source.sha256
                && has.origin == source.origin
        };
        if let Some(held) = held {
            if same(&held.version) {
                return Ok(Seen::Held(Box::new(held)));
            }
            // Back to what is in force, though it is not what was asked for conditionally.
            if let Some(at) = current.filter(|at| same(&at.version)) {
                let fetched_at = at.version.source.fetched_at;
                return Ok(Seen::InForce(Harvested { fetched_at, ..source }, at.clone()));
            }
            return Ok(Seen::New(source));
        }
        match current.filter(|at| unchanged && at.version.options_hash == hash) {
            Some(at) => Ok(Seen::InForce(source, at.clone())),
            None => Ok(Seen::New(source)),
        }
    }

    /// Holds a loaded version when a rule of its layer says so.
    pub(super) async fn hold_back(
        &self,
        def: &LayerDef,
        claim: &Claim,
        version: &Version,
        found: &Comparison,
        changes: Option<&Changes>,
    ) -> Result<Option<Held>> {
        let changes = changes.map(|c| c.head.clone());
        let reasons = import::judge(&def.hold, found, changes.as_ref());
        if reasons.is_empty() {
            return Ok(None);
        }
        let at = jiff::Timestamp::now();
        let hold = Hold { at, reasons, changes };
        tracing::warn!(layer = %def.id, version = %version.id, "held: {}", hold.sentence().en);
        self.store.hold(claim, &version.id, hold.clone()).await?;
        Ok(Some(Held { version: version.clone(), hold }))
    }

    /// Publishes what is held of a layer. Gives the version.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing is held; [`Error::Conflict`] when another process writes
    /// the layer.
    pub async fn publish_held(&self, layer: &LayerId) -> Result<VersionId> {
        let def = self.named(std::slice::from_ref(layer))?.remove(0);
        let claim = self.claim(layer).await?;
        let held = self.store.held(layer).await?.ok_or_else(|| nothing_held(layer))?;
        let current = self.store.current().await?.remove(layer).ok_or_else(|| nothing(layer))?;
        let id = held.version.id.clone();
        self.bring_back(&def, &claim, &current, held.version).await?;
        self.store.prune(&claim, def.keep_versions).await?;
        drop(claim);
        self.follow_up().await?;
        Ok(id)
    }

    /// Makes a version that is kept current, attached under the reference in force.
    pub(super) async fn bring_back(
        &self,
        def: &LayerDef,
        claim: &Claim,
        current: &At,
        version: Version,
    ) -> Result<()> {
        let id = version.id.clone();
        let mut next = At { layer: def.id.clone(), version: version.into(), reach: String::new() };
        let borders = Arc::new(self.borders().await?);
        let reach = self.make_reach(def, &next, &borders).await?;
        let reach_id = reach.id.clone();
        self.store.load_reach(claim, &id, reach).await?;
        next.reach.clone_from(&reach_id);
        if id != current.version.id {
            self.note_changes(def, claim, Some(current), &next).await;
        }
        self.store.publish(claim, &id, &reach_id).await
    }

    /// What is made from a layer follows it.
    pub(super) async fn follow_up(&self) -> Result<()> {
        let progress: Arc<dyn Progress> = Arc::new(Silent);
        for run in self.derive(&progress).await? {
            if let Err(e) = run.outcome {
                tracing::warn!(layer = %run.layer, "not derived: {}", e.chain());
            }
        }
        Ok(())
    }
}

fn nothing_held(layer: &LayerId) -> Error {
    Error::NotFound(text!(
        "Aucune livraison de « {layer} » n'est retenue.",
        "No delivery of \"{layer}\" is held."
    ))
}
