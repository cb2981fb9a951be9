//! What became of harvests: how sources fail, by name, and the journal of runs.

use super::{LayerId, ShapeChange, Text, VersionId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How a source, or what it delivered, failed. The closed list that the journal, alerts and metrics
/// share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// No connection: the name, the host or its certificate.
    Unreachable,
    /// An address that must not be asked: its scheme, or a host inside a private network.
    Forbidden,
    /// It fell silent.
    Stalled,
    /// It took longer than it may.
    Timeout,
    /// It said that it is too busy, or that it was asked too often (429, 503).
    Busy,
    /// It failed by itself (5xx).
    Failing,
    /// It is not there any more (404, 410).
    Gone,
    /// It refused (another 4xx), or answered what nobody asked for.
    Status,
    /// Its answer is shorter or longer than announced.
    Cut,
    /// A page, or an exception of a service, instead of data.
    Page,
    /// Nothing at all.
    Empty,
    /// More than the limits allow.
    TooLarge,
    /// It redirects without end.
    Redirects,
    /// What came cannot be read, or none of it may be published.
    Refused,
    /// There is no room left for our files.
    Full,
    /// The store was out of reach.
    Store,
    /// Ours: the log has more.
    Internal,
}

impl Fault {
    /// Its name in JSON, metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Forbidden => "forbidden",
            Self::Stalled => "stalled",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::Failing => "failing",
            Self::Gone => "gone",
            Self::Status => "status",
            Self::Cut => "cut",
            Self::Page => "page",
            Self::Empty => "empty",
            Self::TooLarge => "too-large",
            Self::Redirects => "redirects",
            Self::Refused => "refused",
            Self::Full => "full",
            Self::Store => "store",
            Self::Internal => "internal",
        }
    }

    /// Whether asking again soon may help: what a person has to settle first does not change by it.
    pub fn may_pass(self) -> bool {
        matches!(
            self,
            Self::Unreachable
                | Self::Stalled
                | Self::Timeout
                | Self::Busy
                | Self::Failing
                | Self::Cut
                | Self::Page
                | Self::Empty
                | Self::Full
                | Self::Store
        )
    }
}

/// A source that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFailure {
    /// How.
    pub fault: Fault,
    /// In words, without addresses or secrets.
    pub text: Text,
    /// When it asks to be asked again.
    pub retry_at: Option<Timestamp>,
}

/// What began a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// Its time came.
    Schedule,
    /// A run before it failed.
    Retry,
    /// Somebody asked the server for it.
    Webhook,
    /// A command.
    Command,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// A new version is in force.
    Published {
        /// The version.
        version: VersionId,
        /// Its features.
        count: u64,
        /// What it changed of the layer's form.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shape: Option<Box<ShapeChange>>,
    },
    /// The source holds what is in force.
    Unchanged {
        /// The version.
        version: VersionId,
    },
    /// A delivery waits for a person.
    Held {
        /// It.
        version: VersionId,
        /// Why.
        text: Text,
    },
    /// Nothing came of it.
    Failed {
        /// How.
        fault: Fault,
        /// In words.
        text: Text,
        /// When it is tried again before the next due time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
        /// Failures in a row with this one; 0 in journals from before they were counted.
        #[serde(default)]
        tries: u32,
        /// When the first of them began.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
    },
}

impl Outcome {
    /// Its name in JSON, metrics and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Published { .. } => "published",
            Self::Unchanged { .. } => "unchanged",
            Self::Held { .. } => "held",
            Self::Failed { .. } => "failed",
        }
    }

    /// The outcome of a run that began at a moment, which knows of the failures before it: the
    /// journal forgets old runs, and they count all the same.
    pub fn after(mut self, last: Option<&RunRecord>, started: Timestamp) -> Self {
        if let Self::Failed { tries, since, .. } = &mut self {
            (*tries, *since) = (1, Some(started));
            if let Some(RunRecord {
                started: before,
                outcome: Self::Failed { tries: others, since: first, .. },
                ..
            }) = last
            {
                (*tries, *since) = (others.max(&1) + 1, Some(first.unwrap_or(*before)));
            }
        }
        self
    }
}

/// One run of one layer, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The layer.
    pub layer: LayerId,
    /// When it began.
    pub started: Timestamp,
    /// How long it took, ms.
    pub took_ms: u64,
    /// What began it.
    pub trigger: Trigger,
    /// 1 for the first try, 2 for the first retry…
    pub attempt: u8,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl RunRecord {
    /// When it ended.
    pub fn ended(&self) -> Timestamp {
        let took = SignedDuration::from_millis(i64::try_from(self.took_ms).unwrap_or(i64::MAX));
        self.started.saturating_add(took).unwrap_or(Timestamp::MAX)
    }
}
