//! Harvests on schedule, run by a server: what is due, by whom, and what was asked for between.
//!
//! Nothing is planned in memory: what is due follows from the journal, so that a restart forgets
//! nothing and repeats nothing, and any number of replicas agree. The one that gets a layer's claim
//! looks again whether it is still due before it begins.

use super::{Jobs, Run, journal::Why};
use crate::{
    error::{Error, Result},
    model::{LayerDef, LayerId, Outcome, Progress, RunRecord, Silent, Trigger},
    store::At,
    text,
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, Semaphore};

/// How often what is due is looked at, at least: another replica may have run it.
const LOOK: Duration = Duration::from_secs(20);

/// How soon after a round that found something due the next one may be.
const SOON: Duration = Duration::from_millis(500);

/// When a layer is due, and why then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub trigger: Trigger,
    /// Which try it will be.
    pub attempt: u8,
}

/// Layers that somebody asks this server to harvest now.
#[derive(Debug, Default)]
pub struct Inbox {
    asked: Mutex<BTreeSet<LayerId>>,
    rung: Notify,
    open: AtomicBool,
}

impl Inbox {
    /// Asks for a layer. Asked twice before it begins, it runs once.
    ///
    /// # Errors
    /// [`Error::Conflict`] when this server does not harvest.
    pub fn ask(&self, layer: LayerId) -> Result<()> {
        if !self.open.load(Ordering::Relaxed) {
            return Err(Error::Conflict(text!(
                "Ce serveur ne moissonne pas (schedule = false dans [harvest]).",
                "This server does not harvest (schedule = false in [harvest])."
            )));
        }
        self.put_back(layer);
        self.rung.notify_one();
        Ok(())
    }

    /// Keeps what was asked for, for the next look.
    fn put_back(&self, layer: LayerId) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(layer);
    }

    fn take(&self) -> BTreeSet<LayerId> {
        std::mem::take(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// When a layer is due after what became of it last; `None` without a schedule.
pub fn due(def: &LayerDef, last: Option<&RunRecord>, current: Option<&At>) -> Option<Due> {
    let schedule = def.schedule.as_ref()?;
    if let Some(RunRecord {
        outcome: Outcome::Failed { retry_at: Some(at), .. }, attempt, ..
    }) = last
    {
        let attempt = attempt.saturating_add(1);
        return Some(Due { at: *at, trigger: Trigger::Retry, attempt });
    }
    // Versions from before there was a journal count as well.
    let checked = current.map(|at| at.version.source.checked_at);
    let at = match last.map(|run| run.started).max(checked) {
        Some(since) => schedule.next(&def.id, since)?,
        None => Timestamp::UNIX_EPOCH, // never harvested: at once
    };
    Some(Due { at, trigger: Trigger::Schedule, attempt: 1 })
}

impl Jobs {
    /// What is due of every layer with a schedule. Runs that the journal would not take count too:
    /// or their sources would be asked again at once, for ever.
    async fn dues(&self) -> Result<BTreeMap<LayerId, Due>> {
        let runs = self.store.runs(1).await?;
        let current = self.store.current().await?;
        let unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |def: &LayerDef| {
            let noted = runs.get(&def.id).and_then(|runs| runs.first());
            let last = noted.into_iter().chain(unwritten.get(&def.id)).max_by_key(|r| r.started);
            Some((def.id.clone(), due(def, last, current.get(&def.id))?))
        };
        Ok(self.layers.iter().filter_map(one).collect())
    }

    /// Runs a layer that is due, unless another process does or did; `None` then.
    async fn run_due(&self, def: &LayerDef, asked: bool) -> Result<Option<Run>> {
        let Some(claim) = self.store.claim(&def.id).await? else { return Ok(None) };
        self.importer.follow(&*self.store).await?;
        let started = Timestamp::now();
        let why = match (asked, self.dues().await?.get(&def.id)) {
            (true, _) => Why { trigger: Trigger::Webhook, attempt: 1 },
            (false, Some(due)) if due.at <= started => {
                Why { trigger: due.trigger, attempt: due.attempt }
            }
            (false, _) => return Ok(None),
        };
        let progress: Arc<dyn Progress> = Arc::new(Silent);
        let outcome = self.claimed(def, &claim, None, super::Options::default(), &progress).await;
        self.note_run(def, &claim, why, started, &outcome).await;
        drop(claim);
        // Whatever came of it: what followed from the publication before may have failed.
        self.follow_up().await;
        if let Ok(super::Done::Published(_)) = &outcome {
            self.prune_sources().await;
        }
        let took = Timestamp::now().duration_since(started).unsigned_abs();
        Ok(Some(Run { layer: def.id.clone(), outcome, took }))
    }
}

/// Harvests on schedule, as long as it is run.
pub struct Scheduler {
    /// What runs.
    pub jobs: Arc<Jobs>,
    /// What is asked for between.
    pub inbox: Arc<Inbox>,
    /// How many layers at once.
    pub workers: usize,
}

impl Scheduler {
    /// Runs what is due, for ever. With `now` every layer with a schedule runs once at once.
    pub async fn run(self, now: bool) {
        self.inbox.open.store(true, Ordering::Relaxed);
        if now {
            for def in self.jobs.layers.iter().filter(|def| def.schedule.is_some()) {
                let _ = self.inbox.ask(def.id.clone());
            }
        }
        if self.jobs.layers.iter().any(|def| def.schedule.is_some()) {
            // A server that died between a publication and what follows from it left that to do.
            let jobs = self.jobs.clone();
            tokio::spawn(async move { jobs.follow_up().await });
        }
        let busy: Arc<Mutex<BTreeSet<LayerId>>> = Arc::default();
        let turns = Arc::new(Semaphore::new(self.workers));
        loop {
            let wait = match self.round(&busy, &turns).await {
                Ok(wait) => wait,
                Err(e) => {
                    tracing::warn!("what is due is not known: {}", e.chain());
                    LOOK
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.inbox.rung.notified() => tokio::time::sleep(SOON).await,
            }
        }
    }

    /// Begins what is due and not under way here. Gives how long to wait for the next look.
    async fn round(
        &self,
        busy: &Arc<Mutex<BTreeSet<LayerId>>>,
        turns: &Arc<Semaphore>,
    ) -> Result<Duration> {
        let dues = self.jobs.dues().await?;
        let asked = self.inbox.take();
        let now = Timestamp::now();
        let mut wait = LOOK;
        for def in &self.jobs.layers {
            let wanted = asked.contains(&def.id);
            match dues.get(&def.id) {
                _ if wanted => {}
                None => continue,
                Some(due) if due.at > now => {
                    let left = due.at.duration_since(now).unsigned_abs();
                    wait = wait.min(left.max(SOON));
                    continue;
                }
                Some(_) => {}
            }
            let begun = busy.lock().unwrap_or_else(PoisonError::into_inner).insert(def.id.clone());
            if begun {
                self.begin(def.clone(), wanted, busy.clone(), turns.clone());
            } else if wanted {
                // It is under way: what was asked for comes after it.
                self.inbox.put_back(def.id.clone());
                wait = wait.min(SOON);
            }
        }
        Ok(wait)
    }

    fn begin(
        &self,
        def: LayerDef,
        asked: bool,
        busy: Arc<Mutex<BTreeSet<LayerId>>>,
        turns: Arc<Semaphore>,
    ) {
        let (jobs, inbox) = (self.jobs.clone(), self.inbox.clone());
        tokio::spawn(async move {
            let under_way = UnderWay { busy, layer: def.id.clone() };
            let turn = turns.acquire_owned().await;
            let done = jobs.run_due(&def, asked).await;
            drop(turn);
            drop(under_way);
            match done {
                Ok(None) if asked => {
                    // Another process is at it: what was asked for comes after it.
                    tokio::time::sleep(SOON).await;
                    let _ = inbox.ask(def.id.clone());
                }
                // Another process is at it, or was: the next look will tell.
                Ok(None) => {}
                Ok(Some(_)) => inbox.rung.notify_one(),
                Err(e) => {
                    tracing::warn!(layer = %def.id, "not harvested: {}", e.chain());
                    if asked {
                        // The next look begins it again.
                        inbox.put_back(def.id.clone());
                    }
                }
            }
        });
    }
}

/// A layer that is being harvested here, until this is dropped: also by a run that panics.
struct UnderWay {
    busy: Arc<Mutex<BTreeSet<LayerId>>>,
    layer: LayerId,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.layer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_is_asked_where_nobody_harvests() {
        let inbox = Inbox::default();
        let layer: LayerId = "communes".parse().unwrap();
        assert!(matches!(inbox.ask(layer.clone()), Err(Error::Conflict(_))));
        inbox.open.store(true, Ordering::Relaxed);
        inbox.ask(layer.clone()).unwrap();
        inbox.ask(layer.clone()).unwrap();
        inbox.rung.notified().await;
        assert_eq!(inbox.take(), BTreeSet::from([layer]));
        assert!(inbox.take().is_empty());
    }
}
