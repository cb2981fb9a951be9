//! What operators are told of sources, and what was told so far.

use super::{Fault, LayerId, ShapeChange, Text, VersionId};
use crate::text;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What happened. The closed list that log, feed, webhooks and mail share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertKind {
    /// The source fails, again and again or for long.
    Failing,
    /// A version of another form was published.
    Changed,
    /// A delivery waits for a person.
    Held,
    /// All is well again after one of these.
    Well,
}

impl AlertKind {
    /// Its name in JSON, logs and feeds.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Changed => "changed",
            Self::Held => "held",
            Self::Well => "well",
        }
    }

    /// Its name for people.
    pub fn words(self) -> Text {
        match self {
            Self::Failing => text!("source en panne", "source failing"),
            Self::Changed => text!("forme changée", "form changed"),
            Self::Held => text!("livraison retenue", "delivery held"),
            Self::Well => text!("rétablie", "well again"),
        }
    }
}

/// When a source that fails is worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertRules {
    /// After so many failed tries in a row…
    pub tries: u32,
    /// …or so long after the first of them, whichever comes first.
    pub patience: SignedDuration,
}

impl Default for AlertRules {
    fn default() -> Self {
        Self { tries: 3, patience: SignedDuration::from_hours(24) }
    }
}

/// One event of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Its name, for ever and for everybody: `layer.kind.what`, in letters, digits, `.`, `-` and `_`.
    pub id: String,
    /// The layer.
    pub layer: LayerId,
    /// What happened.
    pub kind: AlertKind,
    /// When.
    pub at: Timestamp,
    /// The first of the failures.
    pub since: Option<Timestamp>,
    /// Failures in a row.
    pub tries: Option<u32>,
    /// How the source failed last.
    pub fault: Option<Fault>,
    /// The version that was published, or is held.
    pub version: Option<VersionId>,
    /// What changed of its form.
    pub shape: Option<ShapeChange>,
    /// In words, without the layer's name.
    pub text: Text,
    /// Whether it is still so.
    pub stands: bool,
}

/// What was told of which events, and who tells at this moment: shared by all that use a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Raised by one with each change; whoever read an older one may not write.
    pub serial: u64,
    /// Who tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,
    /// By the event's id.
    pub events: BTreeMap<String, ToldEvent>,
}

/// The right to tell, for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Whose it is.
    pub holder: String,
    /// Until when, unless it is given back or renewed.
    pub until: Timestamp,
}

/// How far an event was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldEvent {
    /// When it happened.
    pub at: Timestamp,
    /// By the name of the way.
    pub ways: BTreeMap<String, Delivery>,
}

/// What became of one event on one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried again; `None`: it arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Timestamp>,
}
