//! The pipelines: harvest → import → publish, one layer after the other, and what follows from
//! them. Each layer fails alone; a failure leaves what is published untouched.

mod attach;
pub mod backup;
mod cog;
mod hold;
mod journal;
mod levels;
mod redraw;
mod reference;
mod schedule;
mod withdrawal;

use crate::{
    error::{Error, Result},
    harvest::{self, Fetch, Harvester},
    import::{self, Borders, Importer, Job, State, Workdir},
    model::{
        Changes, DerivedSource, Harvested, Held, HoldReason, LayerDef, LayerId, Level, Progress,
        RunRecord, SourceLocation, Version, VersionId,
    },
    store::{At, Claim, Reach, Store},
    text,
};
use hold::Seen;
use journal::Why;
pub use reference::{Loaded, Preview};
pub use schedule::{Due, Inbox, Scheduler, due};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tokio::sync::Notify;

/// Runs harvests.
pub struct Jobs {
    /// All declared layers.
    pub layers: Vec<LayerDef>,
    /// Fetches sources.
    pub harvest: Harvester,
    /// Where versions go.
    pub store: Arc<dyn Store>,
    /// Reads, checks and attaches under the territory reference in force.
    pub importer: Arc<Importer>,
    /// What keeps layers from being attached, as the log was told of it.
    pub troubles: Mutex<BTreeMap<LayerId, String>>,
    /// The last runs of layers whose journal could not be written.
    pub unwritten: Mutex<BTreeMap<LayerId, RunRecord>>,
    /// Rung after each run that the journal was told of.
    pub ended: Arc<Notify>,
}

/// How to harvest.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Load even when the source did not change, publish even when the delivery looks wrong.
    pub force: bool,
    /// Read, check and report; publish nothing.
    pub dry_run: bool,
}

/// What a layer's run did.
#[derive(Debug)]
pub enum Done {
    /// The source is what is already published.
    Unchanged(At),
    /// The source holds a version that somebody went back from: what is in force stays.
    SetAside {
        /// What is in force.
        at: At,
        /// What the source holds.
        version: VersionId,
    },
    /// A new version is in force.
    Published(Box<Version>),
    /// The delivery waits for a person; what was in force stays in force.
    Held(Box<Held>),
    /// A dry run: what would have been published, or why it would have been held.
    Checked {
        /// What was read.
        version: Box<Version>,
        /// Every rule that would hold it, as far as a dry run can tell (not by key).
        reasons: Vec<HoldReason>,
    },
}

impl Done {
    /// Whether all is well: a delivery that waits is not.
    pub fn is_well(&self) -> bool {
        !matches!(self, Done::Held(_))
    }
}

/// The run of one layer.
#[derive(Debug)]
pub struct Run {
    /// The layer.
    pub layer: LayerId,
    /// What it did, or why it did not.
    pub outcome: Result<Done>,
    /// How long it took.
    pub took: std::time::Duration,
}

impl Jobs {
    /// Harvests the named layers (all when none is named) and brings derived levels and reach
    /// indexes up to date. `seen` is called after each layer.
    pub async fn harvest(
        &self,
        names: &[LayerId],
        options: Options,
        progress: Arc<dyn Progress>,
        mut seen: impl FnMut(&Run),
    ) -> Result<Vec<Run>> {
        let mut due = self.named(names)?;
        // Border layers first: the others are attached by them.
        due.sort_by_key(|def| match def.territory.borders {
            Some(Level::Com) => 0,
            Some(_) => 1,
            None => 2,
        });
        let mut runs = Vec::with_capacity(due.len());
        for def in due {
            let started = std::time::Instant::now();
            let outcome = self.one(&def, None, options, &progress).await;
            progress.finish();
            let run = Run { layer: def.id.clone(), outcome, took: started.elapsed() };
            seen(&run);
            runs.push(run);
        }
        if !options.dry_run {
            let derived = self.derive(&progress).await;
            self.prune_sources().await;
            for run in derived? {
                // What failed before it came to that has said why.
                if runs.iter().any(|r| r.layer == run.layer && r.outcome.is_err()) {
                    continue;
                }
                seen(&run);
                runs.push(run);
            }
        }
        Ok(runs)
    }

    /// Loads a file that is already here as a new version of a layer.
    pub async fn import(
        &self,
        layer: &LayerId,
        file: PathBuf,
        options: Options,
        progress: Arc<dyn Progress>,
    ) -> Result<Done> {
        let mut def = self.named(std::slice::from_ref(layer))?.remove(0);
        def.source.location = SourceLocation::File(file);
        let fetched = self.harvest.fetch(&def, None, true, &*progress).await?;
        let (Fetch::Unchanged(file) | Fetch::New(file)) = fetched;
        let done = self.one(&def, Some(file), options, &progress).await;
        progress.finish();
        if done.is_ok() && !options.dry_run {
            let derived =
                |id: &LayerId| self.layers.iter().any(|d| d.id == *id && d.derived().is_some());
            for run in self.derive(&progress).await? {
                // Another layer's attachment is not this one's matter; the log has it.
                if run.layer == *layer || derived(&run.layer) {
                    run.outcome?;
                }
            }
        }
        done
    }

    /// Makes an older version current again: the one named, else the newest before the current.
    pub async fn rollback(&self, layer: &LayerId, to: Option<VersionId>) -> Result<VersionId> {
        let def = self.named(std::slice::from_ref(layer))?.remove(0);
        let claim = self.claim(layer).await?;
        let at = self.store.current().await?.remove(layer).ok_or_else(|| nothing(layer))?;
        let versions = self.store.versions(layer).await?;
        let wanted = match to {
            Some(id) => versions.into_iter().find(|v| v.id == id).ok_or_else(|| {
                Error::NotFound(text!(
                    "La version {id} de « {layer} » n'existe pas.",
                    "Version {id} of \"{layer}\" does not exist."
                ))
            })?,
            None => versions.into_iter().rfind(|v| v.id < at.version.id).ok_or_else(|| {
                Error::NotFound(text!(
                    "« {layer} » n'a pas de version antérieure à {fr}.",
                    "\"{layer}\" has no version before {en}.",
                    fr = at.version.id,
                    en = at.version.id
                ))
            })?,
        };
        let id = wanted.id.clone();
        self.bring_back(&def, &claim, &at, wanted).await?;
        drop(claim);
        self.follow_up().await;
        Ok(id)
    }

    fn named(&self, names: &[LayerId]) -> Result<Vec<LayerDef>> {
        if names.is_empty() {
            let harvested = |def: &&LayerDef| !def.is_live() && def.derived().is_none();
            return Ok(self.layers.iter().filter(harvested).cloned().collect());
        }
        let find = |id: &LayerId| {
            self.layers.iter().find(|def| def.id == *id).cloned().ok_or_else(|| {
                let known: Vec<&str> = self.layers.iter().map(|d| d.id.as_str()).collect();
                let known = known.join(", ");
                Error::Invalid(text!(
                    "Couche inconnue : « {id} ». Couches déclarées : {known}.",
                    "Unknown layer: \"{id}\". Layers declared: {known}."
                ))
            })
        };
        if let Some(id) = names.iter().find(|id| find(id).is_ok_and(|def| def.is_live())) {
            return Err(Error::Invalid(text!(
                "« {id} » est une table publiée telle quelle : elle n'a ni source ni version à charger.",
                "\"{id}\" is a table published as it is: it has no source and no version to load."
            )));
        }
        for def in names.iter().filter_map(|id| find(id).ok()) {
            if let Some(DerivedSource { from, .. }) = def.derived() {
                let id = &def.id;
                return Err(Error::Invalid(text!(
                    "« {id} » est faite à partir de « {from} » et la suit : c'est « {from} » qui se moissonne.",
                    "\"{id}\" is made from \"{from}\" and follows it: \"{from}\" is the one to harvest."
                )));
            }
        }
        names.iter().map(find).collect()
    }

    /// Holds a layer, whatever reference is in force.
    async fn hold(&self, layer: &LayerId) -> Result<Claim> {
        self.store.claim(layer).await?.ok_or_else(|| {
            Error::Conflict(text!(
                "Un autre processus charge déjà « {layer} ».",
                "Another process is already loading \"{layer}\"."
            ))
        })
    }

    /// Holds a layer that is to be attached under the reference in force.
    async fn claim(&self, layer: &LayerId) -> Result<Claim> {
        let claim = self.hold(layer).await?;
        self.importer.follow(&*self.store).await?;
        Ok(claim)
    }

    /// One layer, from its source (or the file given) to publication.
    async fn one(
        &self,
        def: &LayerDef,
        file: Option<Harvested>,
        options: Options,
        progress: &Arc<dyn Progress>,
    ) -> Result<Done> {
        let claim = self.claim(&def.id).await?;
        let started = jiff::Timestamp::now();
        let done = self.claimed(def, &claim, file, options, progress).await;
        if !options.dry_run {
            self.note_run(def, &claim, Why::COMMAND, started, &done).await;
        }
        done
    }

    /// The same behind its claim.
    async fn claimed(
        &self,
        def: &LayerDef,
        claim: &Claim,
        file: Option<Harvested>,
        options: Options,
        progress: &Arc<dyn Progress>,
    ) -> Result<Done> {
        let mut current = self.store.current().await?.remove(&def.id);
        let gone = current.as_mut().and_then(withdrawal::forget);
        let held = self.store.held(&def.id).await?;
        let seen = match file {
            Some(file) => Seen::New(file),
            None => {
                let seen = self.seen(def, current.as_ref(), held, options, progress).await?;
                if let (Some(at), true, false) = (&current, gone.is_some(), options.dry_run) {
                    // It is there again.
                    self.store.touch(claim, &at.version.source).await?;
                }
                seen
            }
        };
        let source = match seen {
            Seen::New(source) => source,
            // The producer took it back: nothing waits any more.
            Seen::InForce(source, at) => {
                if !options.dry_run {
                    self.store.touch(claim, &source).await?;
                    // Also what a process that was killed behind its publication left.
                    self.tidy(def, claim).await;
                }
                return Ok(Done::Unchanged(at));
            }
            Seen::Held(source, held) => match &current {
                Some(at) => return self.judge_again(def, claim, at, *held, options).await,
                None => source,
            },
            Seen::SetAside(at, version) => return Ok(Done::SetAside { at, version }),
        };
        self.wait_for_a_free_name(&def.id).await?;
        let mut new = self.read(def, source.clone(), progress).await?;
        harvest::check_unmoved(&source)?;
        let found = current.as_ref().map(|at| import::compare(&at.version, &new.version));
        new.version.report.comparison = found.clone();
        let version = Box::new(new.version.clone());
        if options.dry_run {
            let rules = found.filter(|_| !options.force);
            let reasons = rules.map(|found| import::judge(&def.hold, &found, None));
            return Ok(Done::Checked { version, reasons: reasons.unwrap_or_default() });
        }
        progress.stage(text!("Chargement", "Loading"), None);
        let reach = new.reach.id.clone();
        self.store.load(claim, new).await?;
        let next = At {
            layer: def.id.clone(),
            version: Arc::new(Version::clone(&version)),
            reach: reach.clone(),
        };
        let changes = self.changes(def, current.as_ref(), &next).await;
        let changes = match changes {
            Err(e) if found.is_some() && def.hold.by_key() && !options.force => {
                return Err(hold::unjudged(def, &e));
            }
            told => told.inspect_err(|e| untold(def, e)).ok(),
        };
        if let (Some(found), false) = (&found, options.force)
            && let Some(held) =
                self.hold_back(def, claim, &version, found, changes.as_ref()).await?
        {
            return Ok(Done::Held(Box::new(held)));
        }
        progress.stage(text!("Publication", "Publishing"), None);
        self.note(def, claim, changes).await;
        self.store.publish(claim, &version.id, &reach).await?;
        progress.stage(text!("Nettoyage", "Tidying up"), None);
        self.tidy(def, claim).await;
        Ok(Done::Published(version))
    }

    /// Keeps what publishing a state is about to change.
    async fn note_changes(&self, def: &LayerDef, claim: &Claim, base: Option<&At>, next: &At) {
        let changes = self.changes(def, base, next).await;
        self.note(def, claim, changes.inspect_err(|e| untold(def, e)).ok()).await;
    }

    /// What publishing a state changes. History is worth less than the publication: when it cannot
    /// be told the log says so, and the publication goes on, unless a rule is to judge by it.
    async fn changes(&self, def: &LayerDef, base: Option<&At>, next: &At) -> Result<Changes> {
        let borders = Arc::new(self.borders().await?);
        let base = match base {
            None => None,
            Some(at) => Some(State { at, reach: self.index(def, at, &borders).await? }),
        };
        let next = State { at: next, reach: self.store.reach(next).await? };
        self.importer.changes(&self.store, def, base, next).await
    }

    async fn note(&self, def: &LayerDef, claim: &Claim, changes: Option<Changes>) {
        let Some(changes) = changes else { return };
        if let Err(e) = self.store.load_changes(claim, changes).await {
            untold(def, &e);
        }
    }

    /// The reach index of a state under the reference in force: the one it has, unless that was
    /// made under another.
    async fn index(&self, def: &LayerDef, at: &At, borders: &Arc<Borders>) -> Result<Reach> {
        match self.importer.reach_id(at, def, borders) {
            Ok(wanted) if wanted != at.reach => self.make_reach(def, at, borders).await,
            _ => self.store.reach(at).await,
        }
    }

    /// Version names tell seconds: two loads of one layer within one wait for the next.
    async fn wait_for_a_free_name(&self, layer: &LayerId) -> Result<()> {
        let newest = self.store.versions(layer).await?.pop().map(|v| v.id);
        let newest = newest.max(self.store.held(layer).await?.map(|held| held.version.id));
        let newest = newest.map(|id| id.to_string());
        let stamp = || VersionId::new(jiff::Timestamp::now(), "0").to_string();
        let second = |name: &str| name.split('-').next().map(str::to_owned);
        while newest.as_deref().and_then(second) == second(&stamp()) {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        Ok(())
    }

    async fn read(
        &self,
        def: &LayerDef,
        source: Harvested,
        progress: &Arc<dyn Progress>,
    ) -> Result<crate::store::NewVersion> {
        let borders = self.borders().await?;
        let (mut def, importer, progress) = (def.clone(), self.importer.clone(), progress.clone());
        def.complete(source.dataset.as_deref());
        let workdir = Workdir::create(&self.harvest.settings.cache)?;
        blocking(move || {
            importer.import(&Job {
                def: &def,
                source: &source,
                borders: &borders,
                workdir: workdir.path(),
                progress: &*progress,
            })
        })
        .await
    }

    /// The border layers as they stand.
    async fn borders(&self) -> Result<Borders> {
        let mut current: BTreeMap<LayerId, At> = self.store.current().await?;
        let layers = self.layers.iter().filter_map(|def| Some((def, current.remove(&def.id)?)));
        Borders::new(layers, &self.store)
    }

    /// Makes anew the derived levels, the layers whose rows take the geometry of territories and the
    /// reach indexes whose inputs moved, and puts each in force. Gives those that changed or failed, and the layers that could not be attached.
    async fn derive(&self, progress: &Arc<dyn Progress>) -> Result<Vec<Run>> {
        let mut runs = self.levels(progress).await?;
        runs.extend(self.redraw(progress).await?);
        let harvested: Vec<_> = self.layers.iter().filter(|def| !def.is_live()).collect();
        runs.extend(self.attach(&harvested, progress).await?);
        runs.extend(self.attach_tables(progress).await?);
        Ok(runs)
    }

    /// Fetched files that no version in force came from are removed.
    async fn prune_sources(&self) {
        let Ok(current) = self.store.current().await else { return };
        let mut keep: Vec<String> =
            current.values().map(|at| at.version.source.sha256.clone()).collect();
        for def in &self.layers {
            match self.store.held(&def.id).await {
                Ok(held) => keep.extend(held.map(|held| held.version.source.sha256)),
                Err(_) => return,
            }
        }
        if let Err(e) = self.harvest.prune(&keep).await {
            tracing::warn!("fetched sources not pruned: {}", e.chain());
        }
    }
}

fn untold(def: &LayerDef, error: &Error) {
    tracing::warn!(layer = %def.id, "what changed could not be noted: {}", error.chain());
}

fn nothing(layer: &LayerId) -> Error {
    Error::NotFound(text!(
        "« {layer} » n'a encore aucune version.",
        "\"{layer}\" has no version yet."
    ))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::fault("an import task stopped", e))?
}
