//! Tells operators when a source fails, when what it delivers changes its form or is held, and when
//! all is well again: in the log, in a feed, by webhooks and by mail.
//!
//! What happened follows from the journal of harvests alone ([`events`]); what was told of it is
//! kept beside it, and whoever takes the turn tells the rest ([`round`]). Nothing here begins,
//! delays or judges a harvest.

mod events;
mod mail;
mod round;
#[cfg(test)]
mod tests;
mod webhook;
mod words;

pub use round::Round;

use crate::{
    config::{AlertSettings, Settings},
    error::{Error, Result},
    model::{Alert, LayerId, Text, stable_hash},
    store::{KEPT_RUNS, Store},
    text,
};
use jiff::Timestamp;
use mail::Mail;
use std::{collections::BTreeMap, path::Path, sync::Arc};
use webhook::Webhook;

/// Tells of what happens to the layers of a configuration.
pub struct Alerts {
    store: Arc<dyn Store>,
    settings: AlertSettings,
    /// The harvested layers, and what they are called.
    layers: BTreeMap<LayerId, Text>,
    service: Service,
    ways: Vec<Way>,
    /// Names this process among those that may tell.
    holder: String,
}

/// Who speaks.
#[derive(Debug, Clone)]
struct Service {
    title: Text,
    /// Ends in `/`.
    public_url: Option<String>,
}

/// A way to tell.
enum Way {
    Log,
    Webhook(Webhook),
    Mail(Mail),
}

impl Way {
    /// Its name in what was told, the same as long as the address is.
    fn name(&self) -> String {
        match self {
            Self::Log => "log".to_owned(),
            Self::Webhook(webhook) => format!("webhook-{:x}", stable_hash(&webhook.settings.url)),
            Self::Mail(_) => "mail".to_owned(),
        }
    }

    /// Its kind, in metrics.
    fn kind(&self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Webhook(_) => "webhook",
            Self::Mail(_) => "mail",
        }
    }

    /// It for people, without secrets.
    fn shown(&self) -> Text {
        match self {
            Self::Log => text!("journal du programme", "the program's log"),
            Self::Webhook(webhook) => {
                let host = webhook.host();
                text!("webhook {host}", "webhook {host}")
            }
            Self::Mail(mail) => {
                let to = mail.settings.to.iter().map(|to| to.email.to_string());
                let to = to.collect::<Vec<_>>().join(", ");
                text!("courriel à {to}", "mail to {to}")
            }
        }
    }
}

/// What became of a trial on one way.
#[derive(Debug)]
pub struct Trial {
    /// The way.
    pub way: Text,
    /// Why it did not arrive, if it did not.
    pub outcome: Result<(), Text>,
}

impl Alerts {
    /// Over the journal of a store, as the configuration says. Nothing is asked or sent yet.
    pub fn new(settings: &Settings, store: Arc<dyn Store>) -> Self {
        let harvested = settings.layers.iter().filter(|d| !d.is_live() && d.derived().is_none());
        let service = Service {
            title: settings.server.title.clone(),
            public_url: settings.server.public_url.clone(),
        };
        let alerts = settings.alerts.clone();
        let ca_file = alerts.ca_file.clone().or_else(|| settings.harvest.ca_file.clone());
        let agent = &settings.harvest.user_agent;
        let webhooks = alerts.webhooks.iter().cloned();
        let webhooks = webhooks.map(|w| Way::Webhook(Webhook::new(w, agent, ca_file.clone())));
        let mail =
            alerts.mail.clone().map(|m| Way::Mail(Mail { settings: m, ca_file: ca_file.clone() }));
        let now = Timestamp::now().as_nanosecond();
        Self {
            layers: harvested.map(|def| (def.id.clone(), def.title.clone())).collect(),
            ways: [Way::Log].into_iter().chain(webhooks).chain(mail).collect(),
            holder: format!("{}-{now:x}", std::process::id()),
            settings: alerts,
            service,
            store,
        }
    }

    /// Every event that the journal holds, oldest first.
    ///
    /// # Errors
    /// What the store fails with.
    pub async fn all(&self) -> Result<Vec<Alert>> {
        let (now, mut runs) = (Timestamp::now(), self.store.runs(KEPT_RUNS).await?);
        let mut all = Vec::new();
        for layer in self.layers.keys() {
            let runs = runs.remove(layer).unwrap_or_default();
            all.extend(events::events(layer, &runs, self.settings.rules, now));
        }
        all.sort_by_key(|alert| alert.at);
        Ok(all)
    }

    /// What a layer is called.
    pub fn title(&self, layer: &LayerId) -> Text {
        self.layers.get(layer).cloned().unwrap_or_else(|| Text::same(layer.as_str()))
    }

    /// Whether somebody is told otherwise than by the log and the feed.
    pub fn has_addresses(&self) -> bool {
        self.ways.len() > 1
    }

    /// Sends a trial to every address, which counts as no event.
    pub async fn trial(&self) -> Vec<Trial> {
        let (lang, service) = (self.settings.lang, &self.service);
        let mut trials = Vec::new();
        for way in &self.ways {
            let outcome = match way {
                Way::Log => continue,
                Way::Webhook(webhook) => webhook.send(&words::trial_json(service, lang)).await,
                Way::Mail(mail) => mail.send(&words::trial_letter(service, lang)).await,
            };
            trials.push(Trial { way: way.shown(), outcome });
        }
        trials
    }
}

/// The bytes of a file of authorities.
fn authorities(file: Option<&Path>) -> Result<Option<Vec<u8>>, Text> {
    let Some(file) = file else { return Ok(None) };
    std::fs::read(file).map(Some).map_err(|e| {
        tracing::warn!(cause = Error::io(file, e).chain(), "a file of authorities cannot be read");
        unusable_authorities()
    })
}

fn unusable_authorities() -> Text {
    text!(
        "« ca_file » : fichier illisible ou sans certificat",
        "\"ca_file\": file unreadable or without a certificate"
    )
}
