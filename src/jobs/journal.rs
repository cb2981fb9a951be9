//! What became of runs: told to the journal, the log and the metrics alike.

use super::{Done, Jobs};
use crate::{
    error::{Error, Result},
    model::{Comparison, Fault, LayerDef, Outcome, RunRecord, Text, Trigger},
    store::Claim,
    text,
};
use jiff::{SignedDuration, Timestamp};
use std::{sync::PoisonError, time::Duration};

/// Longest wait before a retry, whatever was doubled and whatever the source asks for.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);

/// What began a run, and which try it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Why {
    pub(super) trigger: Trigger,
    pub(super) attempt: u8,
}

impl Why {
    /// Somebody ran a command.
    pub(super) const COMMAND: Self = Self { trigger: Trigger::Command, attempt: 1 };
}

impl Jobs {
    /// Writes a run into the journal. A journal that cannot be written stops nothing.
    pub(super) async fn note_run(
        &self,
        def: &LayerDef,
        claim: &Claim,
        why: Why,
        started: Timestamp,
        done: &Result<Done>,
    ) {
        let took = Timestamp::now().duration_since(started);
        let (trigger, attempt) = (why.trigger, why.attempt);
        let last = self.last_run(def).await;
        let outcome = outcome(def, started, attempt, done).after(last.as_ref(), started);
        tell(def, &outcome, took);
        if let Outcome::Failed { fault: Fault::Gone, text, .. } = &outcome
            && let Err(e) = self.mark_gone(def, claim, text).await
        {
            tracing::warn!(layer = %def.id, "the source is gone, and it was not noted: {}", e.chain());
        }
        if let Ok(Done::SetAside { version, .. }) = done {
            tracing::info!(layer = %def.id, %version, "the source holds what was rolled back");
        }
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(0);
        let layer = def.id.clone();
        let run = RunRecord { layer, started, took_ms, trigger, attempt, outcome };
        let noted = self.store.note_runs(claim, vec![run.clone()]).await;
        let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        match noted {
            Ok(()) => drop(unwritten.remove(&def.id)),
            Err(e) => {
                tracing::warn!(layer = %def.id, "the journal was not written: {}", e.chain());
                // What is due next follows from it all the same.
                unwritten.insert(def.id.clone(), run);
            }
        }
        drop(unwritten);
        self.ended.notify_one();
    }

    /// The run of a layer before this one, as far as it is known.
    async fn last_run(&self, def: &LayerDef) -> Option<RunRecord> {
        let noted = self.store.runs(1).await.ok().and_then(|mut runs| runs.remove(&def.id)?.pop());
        let unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        noted.into_iter().chain(unwritten.get(&def.id).cloned()).max_by_key(|run| run.started)
    }
}

/// The structured line of a run, and its figures.
fn tell(def: &LayerDef, outcome: &Outcome, took: SignedDuration) {
    let (layer, name, seconds) = (&def.id, outcome.name(), took.as_secs_f64());
    let labels = [("layer", layer.to_string()), ("outcome", name.to_owned())];
    metrics::counter!("socle_harvest_runs_total", &labels).increment(1);
    metrics::gauge!("socle_harvest_last_run_timestamp_seconds", &labels)
        .set(Timestamp::now().as_second() as f64);
    match outcome {
        Outcome::Published { version, count, .. } => {
            tracing::info!(%layer, outcome = name, %version, count, seconds, "harvested");
        }
        Outcome::Unchanged { version } => {
            tracing::info!(%layer, outcome = name, %version, seconds, "harvested");
        }
        Outcome::Held { version, text } => {
            tracing::warn!(%layer, outcome = name, %version, seconds, "harvested: {}", text.en);
        }
        Outcome::Failed { fault, text, retry_at, .. } => {
            let (fault, retry) = (fault.name(), retry_at.map(|at| at.to_string()));
            tracing::warn!(%layer, outcome = name, fault, retry, seconds, "harvested: {}", text.en);
        }
    }
}

/// What the journal keeps of how a run ended.
fn outcome(def: &LayerDef, started: Timestamp, attempt: u8, done: &Result<Done>) -> Outcome {
    match done {
        Ok(Done::Unchanged(at) | Done::SetAside { at, .. }) => {
            Outcome::Unchanged { version: at.version.id.clone() }
        }
        Ok(Done::Published(v) | Done::Checked { version: v, .. }) => {
            let shape = v.report.comparison.as_ref().and_then(Comparison::shape);
            Outcome::Published { version: v.id.clone(), count: v.count, shape: shape.map(Box::new) }
        }
        Ok(Done::Held(held)) => {
            Outcome::Held { version: held.version.id.clone(), text: held.hold.sentence() }
        }
        Err(error) => {
            let fault = fault(error);
            let asked = match error {
                Error::Source(failure) => failure.retry_at,
                _ => None,
            };
            let now = Timestamp::now();
            let schedule = def.schedule.as_ref();
            let schedule = schedule.filter(|s| fault.may_pass() && attempt <= s.retries);
            let retry_at = schedule.and_then(|s| {
                let at = retry_at(s.backoff, attempt, asked, now)?;
                let due = |after| s.next(&def.id, after);
                before_due(at, asked, due(started), due(now), now)
            });
            Outcome::Failed { fault, text: words(error), retry_at, tries: 0, since: None }
        }
    }
}

/// Twice as long after each try; not before the source asks for, and within a day.
pub(super) fn retry_at(
    backoff: Duration,
    attempt: u8,
    asked: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let doubled = backoff.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    let wait = SignedDuration::try_from(doubled).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
    let own = now.checked_add(wait).ok()?;
    let latest = now.checked_add(LONGEST_WAIT).ok()?;
    Some(own.max(asked.unwrap_or(own)).min(latest))
}

/// A retry, unless its layer is due before it: then that is when it is asked again, with all its
/// tries before it. `due` is the first due time after the run began, `next` the first one to come.
fn before_due(
    at: Timestamp,
    asked: Option<Timestamp>,
    due: Option<Timestamp>,
    next: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let Some(next) = next.filter(|next| *next <= at) else { return Some(at) };
    match asked {
        // The source's word goes before ours.
        Some(asked) if asked > next => Some(at),
        // A time that passed during the run would have it begin again at once.
        _ if due.is_some_and(|due| due <= now) => Some(next),
        _ => None,
    }
}

fn fault(error: &Error) -> Fault {
    match error {
        Error::Source(failure) => failure.fault,
        Error::Full(_) => Fault::Full,
        Error::Unavailable(_) | Error::Busy { .. } | Error::Conflict(_) => Fault::Store,
        Error::Fault { .. } => Fault::Internal,
        Error::Invalid(_) | Error::NotFound(_) | Error::Gone { .. } | Error::Refused(_) => {
            Fault::Refused
        }
    }
}

/// The sentence of an error, for a page that anybody may read.
fn words(error: &Error) -> Text {
    match error {
        Error::Invalid(text)
        | Error::NotFound(text)
        | Error::Conflict(text)
        | Error::Unavailable(text)
        | Error::Refused(text)
        | Error::Full(text)
        | Error::Gone { text, .. } => text.clone(),
        Error::Source(failure) => failure.text.clone(),
        Error::Busy { .. } => text!("occupé", "busy"),
        Error::Fault { .. } => {
            tracing::error!(cause = error.chain(), "a harvest failed by our fault");
            text!(
                "erreur interne, consignée dans le journal du serveur",
                "internal error, in the server's log"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LayerId, Schedule};

    #[test]
    fn waits_double_and_heed_the_source() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let after = |attempt, asked: Option<&str>| {
            let asked = asked.map(|at| at.parse().unwrap());
            retry_at(Duration::from_secs(60), attempt, asked, now).unwrap().to_string()
        };
        assert_eq!(after(1, None), "2026-01-01T00:01:00Z");
        assert_eq!(after(2, None), "2026-01-01T00:02:00Z");
        assert_eq!(after(4, None), "2026-01-01T00:08:00Z");
        assert_eq!(after(200, None), "2026-01-02T00:00:00Z");
        assert_eq!(after(1, Some("2026-01-01T00:30:00Z")), "2026-01-01T00:30:00Z");
        assert_eq!(after(1, Some("2025-01-01T00:30:00Z")), "2026-01-01T00:01:00Z");
        assert_eq!(after(1, Some("2065-01-01T00:30:00Z")), "2026-01-02T00:00:00Z");
    }

    #[test]
    fn no_retry_comes_later_than_the_next_due_time_unless_the_source_asks_for_it() {
        let backoff = Duration::from_secs(8 * 3600);
        let schedule =
            Schedule { cron: "0 * * * *".into(), jitter: Duration::ZERO, retries: 3, backoff };
        let layer: LayerId = "points".parse().unwrap();
        let retry = |started: &str, now: &str, asked: Option<&str>| {
            let (started, now) = (started.parse().unwrap(), now.parse().unwrap());
            let asked = asked.map(|at| at.parse().unwrap());
            let at = retry_at(schedule.backoff, 1, asked, now)?;
            let due = |after| schedule.next(&layer, after);
            before_due(at, asked, due(started), due(now), now).map(|at| at.to_string())
        };
        let (began, ended) = ("2026-01-01T00:10:00Z", "2026-01-01T00:11:00Z");
        // The due time at 1:00 comes first, and is a run of its own.
        assert_eq!(retry(began, ended, None), None);
        assert_eq!(retry(began, ended, Some("2026-01-01T00:40:00Z")), None);
        let late = Some("2026-01-01T09:30:00Z");
        assert_eq!(retry(began, ended, late), late.map(str::to_owned));
        // It passed during the run: the one after it.
        let next = Some("2026-01-01T02:00:00Z".to_owned());
        assert_eq!(retry(began, "2026-01-01T01:05:00Z", None), next);
        let soon = Schedule { backoff: Duration::from_secs(60), ..schedule.clone() };
        let at = |now: &str| now.parse::<Timestamp>().unwrap();
        let own = retry_at(soon.backoff, 1, None, at(ended)).unwrap();
        let due = soon.next(&layer, at(ended));
        assert_eq!(before_due(own, None, due, due, at(ended)), Some(at("2026-01-01T00:12:00Z")));
    }
}
