//! Deliveries that wait for a person: what a source was last seen to hold, which rules hold a
//! delivery, and how one is published after all.

use super::{Done, Jobs, Options, journal::Why, nothing};
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
    /// What already waits, set against what is still in force.
    Held(Harvested, Box<Held>),
    /// A version newer than the one in force: somebody went back from it.
    SetAside(At, VersionId),
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
        let (Fetch::Unchanged(source) | Fetch::New(source)) = fetched;
        if options.force {
            return Ok(Seen::New(source));
        }
        // Other options read other things from the same bytes: then they are read anew.
        let hash = import::reading_hash(def, &self.borders().await?);
        let same = |version: &Version| {
            let has = &version.source;
            version.options_hash == hash
                && has.sha256 == source.sha256
                && has.origin == source.origin
        };
        let Some(at) = current else { return Ok(Seen::New(source)) };
        if let Some(held) = held.filter(|held| same(&held.version)) {
            // What it was judged against is no longer there: it is read and judged anew.
            let base = held.version.report.comparison.as_ref().map(|found| &found.base);
            let stands = base == Some(&at.version.id);
            return Ok(if stands { Seen::Held(source, held.into()) } else { Seen::New(source) });
        }
        if same(&at.version) {
            // It may not be what was asked for conditionally.
            let fetched_at = at.version.source.fetched_at;
            return Ok(Seen::InForce(Harvested { fetched_at, ..source }, at.clone()));
        }
        let newer = self.store.versions(&def.id).await?.into_iter().rev();
        let mut newer = newer.take_while(|version| version.id > at.version.id);
        Ok(match newer.find(same) {
            Some(version) => Seen::SetAside(at.clone(), version.id),
            None => Seen::New(source),
        })
    }

    /// Judges what waits by the rules as they are now, and publishes it when none holds it.
    pub(super) async fn judge_again(
        &self,
        def: &LayerDef,
        claim: &Claim,
        current: &At,
        held: Held,
        options: Options,
    ) -> Result<Done> {
        let Some(found) = held.version.report.comparison.clone() else {
            return Ok(Done::Held(held.into()));
        };
        let mut changes = held.hold.changes.clone();
        if changes.is_none() && def.hold.by_key() {
            let next = self.attached(def, claim, held.version.clone()).await?;
            let told = self.changes(def, Some(current), &next).await;
            changes = Some(told.map_err(|e| unjudged(def, &e))?.head);
        }
        let reasons = import::judge(&def.hold, &found, changes.as_ref());
        if options.dry_run && reasons.is_empty() {
            return Ok(Done::Checked { version: held.version.into(), reasons });
        }
        if reasons.is_empty() {
            let version = Box::new(held.version.clone());
            self.bring_back(def, claim, current, held.version).await?;
            self.tidy(def, claim).await;
            return Ok(Done::Published(version));
        }
        let hold = Hold { reasons, changes, ..held.hold.clone() };
        if hold != held.hold && !options.dry_run {
            self.store.hold(claim, &held.version.id, hold.clone()).await?;
        }
        Ok(Done::Held(Held { hold, ..held }.into()))
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
        let (claim, started) = (self.claim(layer).await?, jiff::Timestamp::now());
        let held = self.store.held(layer).await?.ok_or_else(|| nothing_held(layer))?;
        let current = self.store.current().await?.remove(layer).ok_or_else(|| nothing(layer))?;
        let version = Box::new(held.version.clone());
        let id = version.id.clone();
        self.bring_back(&def, &claim, &current, held.version).await?;
        self.tidy(&def, &claim).await;
        self.note_run(&def, &claim, Why::COMMAND, started, &Ok(Done::Published(version))).await;
        drop(claim);
        self.follow_up().await;
        Ok(id)
    }

    /// Attaches a version that is kept under the reference in force, aside.
    async fn attached(&self, def: &LayerDef, claim: &Claim, version: Version) -> Result<At> {
        let mut at = At { layer: def.id.clone(), version: version.into(), reach: String::new() };
        let borders = Arc::new(self.borders().await?);
        let reach = self.make_reach(def, &at, &borders).await?;
        at.reach.clone_from(&reach.id);
        self.store.load_reach(claim, &at.version.id, reach).await?;
        Ok(at)
    }

    /// Removes what a publication leaves behind. It is published: what is left to do fails nothing.
    pub(super) async fn tidy(&self, def: &LayerDef, claim: &Claim) {
        let tidied = async {
            self.store.release(claim).await?;
            self.store.prune(claim, def.keep_versions).await
        };
        if let Err(e) = tidied.await {
            tracing::warn!(layer = %def.id, "old versions not removed: {}", e.chain());
        }
    }

    /// Makes a version that is kept current, attached under the reference in force.
    pub(super) async fn bring_back(
        &self,
        def: &LayerDef,
        claim: &Claim,
        current: &At,
        version: Version,
    ) -> Result<()> {
        let next = self.attached(def, claim, version).await?;
        if next.version.id != current.version.id {
            self.note_changes(def, claim, Some(current), &next).await;
        }
        self.store.publish(claim, &next.version.id, &next.reach).await
    }

    /// What is made from layers follows them. What fails is in the log, and is done by the next
    /// one: what was published before it stays published.
    pub(super) async fn follow_up(&self) {
        let progress: Arc<dyn Progress> = Arc::new(Silent);
        match self.derive(&progress).await {
            Ok(runs) => {
                for run in runs {
                    if let Err(e) = run.outcome {
                        tracing::warn!(layer = %run.layer, "not derived: {}", e.chain());
                    }
                }
            }
            Err(e) => tracing::warn!("what is made from layers does not follow: {}", e.chain()),
        }
    }
}

/// A delivery that a rule by key has to judge, when what it changes cannot be told.
pub(super) fn unjudged(def: &LayerDef, error: &Error) -> Error {
    tracing::warn!(layer = %def.id, "what a delivery changes cannot be told: {}", error.chain());
    Error::Unavailable(text!(
        "ce que la livraison change n'a pu être établi : les règles « removed » et « changed » de [hold] ne peuvent la juger, elle n'est pas publiée",
        "what the delivery changes could not be told: the rules \"removed\" and \"changed\" of [hold] cannot judge it, it is not published"
    ))
}

fn nothing_held(layer: &LayerId) -> Error {
    Error::NotFound(text!(
        "Aucune livraison de « {layer} » n'est retenue.",
        "No delivery of \"{layer}\" is held."
    ))
}
