//! What a database's failures mean to the domain. Nothing of SQL, names or values reaches people;
//! the cause goes to the log.

use crate::{error::Error, text};
use deadpool_postgres::{PoolError, TimeoutType};
use std::time::Duration;
use tokio_postgres::error::{Error as Database, SqlState};

/// After how long to try again when there was no room.
const AGAIN: Duration = Duration::from_secs(1);

/// The database is out of reach.
pub(super) fn unreachable() -> Error {
    Error::Unavailable(text!(
        "La base de données ne répond pas pour l'instant.",
        "The database does not answer for the moment."
    ))
}

/// A statement took longer than it may.
pub(super) fn too_slow() -> Error {
    Error::Unavailable(text!(
        "La base de données n'a pas répondu dans le temps permis.",
        "The database did not answer within the time allowed."
    ))
}

/// Whether the error is of the connection, not of what was asked on it.
pub(super) fn is_lost(e: &Database) -> bool {
    if e.is_closed() {
        return true;
    }
    match e.code() {
        Some(code) => {
            *code == SqlState::ADMIN_SHUTDOWN
                || *code == SqlState::CRASH_SHUTDOWN
                || *code == SqlState::CANNOT_CONNECT_NOW
                || code.code().starts_with("08")
        }
        // No answer of the server: sockets, TLS.
        None => {
            let mut cause = std::error::Error::source(e);
            while let Some(c) = cause {
                if c.is::<std::io::Error>() {
                    return true;
                }
                cause = c.source();
            }
            false
        }
    }
}

/// Whether a table is not there (any more).
pub(super) fn is_gone(e: &Database) -> bool {
    e.code() == Some(&SqlState::UNDEFINED_TABLE)
}

/// Whether the role or the server lets nothing be written.
pub(super) fn is_read_only(e: &Database) -> bool {
    e.code().is_some_and(|c| {
        *c == SqlState::READ_ONLY_SQL_TRANSACTION || *c == SqlState::INSUFFICIENT_PRIVILEGE
    })
}

/// The meaning of a failed statement; `what` says to the log what was being done.
pub(super) fn of(what: &str, e: Database) -> Error {
    if let Some(refusal) = super::tls::refusal(&e) {
        tracing::error!(what, cause = chain(&e), "the database's certificate is refused");
        return Error::Unavailable(refusal);
    }
    if is_lost(&e) {
        tracing::debug!(what, cause = chain(&e), "the database is out of reach");
        return unreachable();
    }
    let Some(code) = e.code() else { return Error::fault(what, e) };
    let busy = [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::TOO_MANY_CONNECTIONS,
    ];
    if busy.contains(code) {
        tracing::warn!(what, cause = chain(&e), "the database is busy");
        return Error::Busy { retry_after: AGAIN };
    }
    if *code == SqlState::QUERY_CANCELED {
        tracing::warn!(what, cause = chain(&e), "a statement was cut");
        return too_slow();
    }
    if *code == SqlState::DISK_FULL {
        tracing::error!(what, cause = chain(&e), "the database's disk is full");
        return Error::Unavailable(text!(
            "Le disque de la base de données est plein : rien de publié n'a changé.",
            "The database's disk is full: nothing published has changed."
        ));
    }
    // Wrong password, no such database, role or right: a person has to look.
    let refused = code.code().starts_with("28")
        || *code == SqlState::INVALID_CATALOG_NAME
        || *code == SqlState::READ_ONLY_SQL_TRANSACTION
        || *code == SqlState::INSUFFICIENT_PRIVILEGE;
    if refused {
        tracing::error!(what, cause = chain(&e), "the database refuses");
        return Error::Unavailable(text!(
            "La base de données refuse l'opération ; le journal dit pourquoi.",
            "The database refuses the operation; the log says why."
        ));
    }
    Error::fault(what, e)
}

/// The meaning of not getting a connection.
pub(super) fn of_pool(e: PoolError) -> Error {
    match e {
        PoolError::Timeout(TimeoutType::Wait) => Error::Busy { retry_after: AGAIN },
        PoolError::Backend(e) => match of("connecting to the database", e) {
            // Whatever it is, it is not the request's fault, and it may pass.
            Error::Fault { what, source } => {
                let cause = Error::Fault { what, source }.chain();
                tracing::warn!(cause, "no connection to the database");
                unreachable()
            }
            other => other,
        },
        other => {
            tracing::debug!(cause = %other, "no connection to the database");
            unreachable()
        }
    }
}

/// The whole chain of causes. The driver's messages name hosts and roles, never passwords.
pub(super) fn chain(e: &Database) -> String {
    let mut line = e.to_string();
    let mut cause = std::error::Error::source(e);
    while let Some(c) = cause {
        line.push_str(": ");
        line.push_str(&c.to_string());
        cause = c.source();
    }
    line
}
