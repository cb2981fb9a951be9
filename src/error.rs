//! The domain's few failures. Below `http` nothing knows a status code; `http/problem.rs` is the
//! one place that turns these into problem documents, and `main` into exit codes.

use crate::{
    model::{SourceFailure, Spent, Text},
    text,
};
use std::{path::Path, sync::Arc, time::Duration};

/// What can go wrong. Sentences in [`Text`] are shown to people: they say what was wrong, where,
/// and what is allowed, and hold no SQL, no path of the machine and no secret. The detail of a
/// [`Error::Fault`] goes to the log only.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request or the configuration is wrong (400, exit 2).
    #[error("{0}")]
    Invalid(Text),
    /// What was asked for does not exist (404).
    #[error("{0}")]
    NotFound(Text),
    /// It existed and is gone (410); `follow` is a path where to go on, if there is one.
    #[error("{text}")]
    Gone {
        /// What is gone and why.
        text: Text,
        /// Where to start again, relative to the service root.
        follow: Option<String>,
    },
    /// It cannot be answered in the present state (409).
    #[error("{0}")]
    Conflict(Text),
    /// Too much at once; try again later (503 + `Retry-After`).
    #[error("busy")]
    Busy {
        /// When trying again makes sense.
        retry_after: Duration,
    },
    /// A part that the answer needs is out of reach (503 + `Retry-After`).
    #[error("{0}")]
    Unavailable(Text),
    /// A source or a file cannot be taken as it is; nothing published was touched (exit 1).
    #[error("{0}")]
    Refused(Text),
    /// A source failed in a way that has a name; nothing published was touched (exit 1).
    #[error("{}", .0.text)]
    Source(Box<SourceFailure>),
    /// There is no room left for our files (507, exit 1).
    #[error("{0}")]
    Full(Text),
    /// Ours or the machine's fault (500). The text is for the log.
    #[error("{what}")]
    Fault {
        /// What was being done, for the log.
        what: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

/// The result of nearly everything.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<Spent> for Error {
    fn from(spent: Spent) -> Self {
        match spent {
            Spent::Memory(most) => {
                let most = most >> 20;
                Self::Invalid(text!(
                    "Table trop grande : lue, complétée et écrite, elle prendrait plus de {most} Mio de mémoire. Coupez-la en plusieurs, ôtez-en des colonnes ou demandez-en moins (« add »).",
                    "Table too large: read, completed and written, it would take more than {most} MiB of memory. Cut it into several, leave columns out of it or ask for fewer (\"add\")."
                ))
            }
            Spent::Time => Self::Unavailable(text!(
                "La table n'a pas pu être traitée à temps : coupez-la en plusieurs, ou utilisez « socle carry ».",
                "The table could not be worked through in time: cut it into several, or use \"socle carry\"."
            )),
        }
    }
}

impl Error {
    /// A fault with its cause.
    pub fn fault(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Fault { what: what.into(), source: Some(source.into()) }
    }

    /// A fault without an underlying cause.
    pub fn broken(what: impl Into<String>) -> Self {
        Self::Fault { what: what.into(), source: None }
    }

    /// An input/output fault on one of our own files; a full disk is said as what it is.
    pub fn io(path: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        if matches!(source.kind(), StorageFull | QuotaExceeded) {
            return Self::disk_full();
        }
        Self::fault(format!("{}", path.display()), source)
    }

    /// There is no room left for our files.
    pub fn disk_full() -> Self {
        Self::Full(text!(
            "Le disque est plein : rien de publié n'a changé. Faites de la place, puis réessayez.",
            "The disk is full: nothing published has changed. Make room, then try again."
        ))
    }

    /// The error of a computation that several requests joined, for one of them.
    pub fn shared(error: Arc<Self>) -> Self {
        Arc::try_unwrap(error).unwrap_or_else(|error| error.again())
    }

    /// The same once more, for another who waited for the same work. The cause of a fault becomes
    /// words.
    pub fn again(&self) -> Self {
        match self {
            Self::Invalid(text) => Self::Invalid(text.clone()),
            Self::NotFound(text) => Self::NotFound(text.clone()),
            Self::Gone { text, follow } => {
                Self::Gone { text: text.clone(), follow: follow.clone() }
            }
            Self::Conflict(text) => Self::Conflict(text.clone()),
            Self::Busy { retry_after } => Self::Busy { retry_after: *retry_after },
            Self::Unavailable(text) => Self::Unavailable(text.clone()),
            Self::Refused(text) => Self::Refused(text.clone()),
            Self::Source(failure) => Self::Source(failure.clone()),
            Self::Full(text) => Self::Full(text.clone()),
            Self::Fault { .. } => Self::broken(self.chain()),
        }
    }

    /// The whole chain of causes in one line, for logs.
    pub fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(c) = cause {
            line.push_str(": ");
            line.push_str(&c.to_string());
            cause = c.source();
        }
        line
    }
}
