//! Who tells of what, when: one process at a time, over whatever store they share.

use super::{Alerts, Way, words};
use crate::{
    error::{Error, Result},
    model::{Alert, AlertKind, Delivery, Text, Told, ToldEvent, Turn},
};
use jiff::{SignedDuration, Timestamp};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

/// How often a server looks for what is to be told, at least: other processes harvest too, and
/// time alone makes a failing source worth telling.
const LOOK: Duration = Duration::from_secs(20);

/// How long a server waits after a round: what happens meanwhile is told together.
const PAUSE: Duration = Duration::from_secs(2);

/// How long a turn lasts without being renewed: longer than any way takes for one send.
const LEASE: SignedDuration = SignedDuration::from_secs(60);

/// What is over is not told any more after so long.
const RECENT: SignedDuration = SignedDuration::from_hours(24);

/// What was told of events that nothing tells of any more is forgotten after so long.
const FORGET: SignedDuration = SignedDuration::from_hours(24 * 30);

/// First wait after a send that failed; it doubles, up to [`LONGEST_WAIT`].
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(60);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// All that was due was told, or put off because it did not arrive.
    Done,
    /// Another process tells at this moment.
    Elsewhere,
}

/// A way, and the events that are due on it.
struct Due<'a> {
    way: &'a Way,
    alerts: Vec<&'a Alert>,
}

impl Alerts {
    /// Tells what there is to tell, as long as it is run. `ended` is rung after each run of a layer.
    pub async fn run(self: Arc<Self>, ended: Arc<Notify>) {
        loop {
            if let Err(e) = self.round().await {
                tracing::warn!(cause = e.chain(), "alerts are not told");
            }
            tokio::time::sleep(PAUSE).await;
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = ended.notified() => {}
            }
        }
    }

    /// Tells what is due now, each event once on each way.
    ///
    /// # Errors
    /// What the store fails with. A way that fails is in the log, and is tried again later.
    pub async fn round(&self) -> Result<Round> {
        match self.take_turn().await {
            Err(Error::Conflict(_)) => Ok(Round::Elsewhere),
            ended => ended,
        }
    }

    async fn take_turn(&self) -> Result<Round> {
        let mut told = self.store.told().await?;
        let (all, now) = (self.all().await?, Timestamp::now());
        let due = self.due(&all, &told, now);
        if due.is_empty() {
            return Ok(Round::Done);
        }
        let other = told.turn.as_ref().filter(|turn| turn.holder != self.holder);
        if other.is_some_and(|turn| turn.until > now) {
            return Ok(Round::Elsewhere);
        }
        self.write(&mut told, true).await?;
        for Due { way, alerts } in due {
            let parts: Vec<&[&Alert]> = match way {
                Way::Webhook(_) => alerts.chunks(1).collect(),
                Way::Log | Way::Mail(_) => vec![&alerts],
            };
            for part in parts {
                let sent = self.send(way, part).await;
                note(&mut told, way, part, sent.is_ok());
                self.write(&mut told, true).await?;
                if let Err(why) = sent {
                    let shown = way.shown();
                    tracing::warn!(way = shown.en, "an alert did not arrive: {}", why.en);
                    break; // the others would wait for the same
                }
            }
        }
        let forget = |event: &ToldEvent| now.duration_since(event.at) > FORGET;
        told.events.retain(|id, event| !forget(event) || all.iter().any(|a| a.id == *id));
        self.write(&mut told, false).await?;
        Ok(Round::Done)
    }

    /// What is to be told now, way by way.
    fn due<'a>(&'a self, all: &'a [Alert], told: &Told, now: Timestamp) -> Vec<Due<'a>> {
        let worth = |alert: &Alert| alert.stands || now.duration_since(alert.at) <= RECENT;
        let mut due = Vec::new();
        for way in &self.ways {
            let name = way.name();
            let untold =
                |alert: &Alert| match told.events.get(&alert.id).and_then(|e| e.ways.get(&name)) {
                    None => true,
                    Some(Delivery { again, .. }) => again.is_some_and(|again| again <= now),
                };
            let alerts: Vec<&Alert> = all.iter().filter(|a| worth(a) && untold(a)).collect();
            if !alerts.is_empty() {
                due.push(Due { way, alerts });
            }
        }
        due
    }

    async fn send(&self, way: &Way, alerts: &[&Alert]) -> Result<(), Text> {
        let lang = self.settings.lang;
        let sent = match way {
            Way::Log => {
                alerts.iter().for_each(|alert| log(alert));
                Ok(())
            }
            Way::Webhook(webhook) => match alerts.first() {
                Some(alert) => {
                    let title = self.title(&alert.layer);
                    webhook.send(&words::json(&self.service, &title, alert, lang)).await
                }
                None => Ok(()),
            },
            Way::Mail(mail) => {
                let titles: Vec<Text> = alerts.iter().map(|a| self.title(&a.layer)).collect();
                let told: Vec<(&Alert, &Text)> = alerts.iter().copied().zip(&titles).collect();
                mail.send(&words::letter(&self.service, &told, lang)).await
            }
        };
        let outcome = if sent.is_ok() { "told" } else { "failed" };
        let labels = [("way", way.kind()), ("outcome", outcome)];
        metrics::counter!("socle_alerts_total", &labels).increment(1);
        sent
    }

    /// Writes what was told, with the turn renewed or given back.
    async fn write(&self, told: &mut Told, turn: bool) -> Result<()> {
        told.serial += 1;
        let until = Timestamp::now().saturating_add(LEASE).unwrap_or(Timestamp::MAX);
        told.turn = turn.then(|| Turn { holder: self.holder.clone(), until });
        self.store.set_told(told.clone()).await
    }
}

/// Notes what became of events on a way.
fn note(told: &mut Told, way: &Way, alerts: &[&Alert], arrived: bool) {
    let (now, name) = (Timestamp::now(), way.name());
    for alert in alerts {
        let event = told.events.entry(alert.id.clone());
        let event = event.or_insert_with(|| ToldEvent { at: alert.at, ways: Default::default() });
        let delivery = event.ways.entry(name.clone()).or_insert(Delivery { tries: 0, again: None });
        delivery.tries = delivery.tries.saturating_add(1);
        delivery.again = (!arrived).then(|| again(delivery.tries, now));
    }
}

/// When what did not arrive is tried again: later after each try.
fn again(tries: u32, now: Timestamp) -> Timestamp {
    let wait = FIRST_WAIT * 2_i32.saturating_pow(tries.saturating_sub(1).min(10));
    now.saturating_add(wait.min(LONGEST_WAIT)).unwrap_or(now)
}

/// The structured line of an event.
fn log(alert: &Alert) {
    let Alert { id, layer, kind, tries, .. } = alert;
    let (alert_kind, fault) = (kind.name(), alert.fault.map(|fault| fault.name()));
    let since = alert.since.map(|at| at.to_string());
    let version = alert.version.as_ref().map(|version| version.to_string());
    let words = &alert.text.en;
    if *kind == AlertKind::Well {
        tracing::info!(alert = alert_kind, id, %layer, "alert: {words}");
    } else {
        tracing::warn!(alert = alert_kind, id, %layer, fault, tries, since, version, "alert: {words}");
    }
}
