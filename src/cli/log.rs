//! The program's log, on standard error: what a server does as JSON, one object a line like access
//! lines; what goes wrong in a command as plain lines.

use std::io::{IsTerminal, stderr};
use tracing_subscriber::{EnvFilter, fmt};

/// Which lines are written, in the words of `tracing-subscriber`: `warn`, `socle=debug,warn`…
const VARIABLE: &str = "SOCLE_LOG";

/// Begins the log of a server or of a command. Only the first call of a process counts.
pub(super) fn begin(serving: bool) {
    let default = if serving { "warn,socle=info" } else { "warn" };
    let asked = std::env::var(VARIABLE).ok().filter(|words| !words.trim().is_empty());
    let filter = asked.as_deref().map(EnvFilter::try_new).and_then(Result::ok);
    let unreadable = asked.is_some() && filter.is_none();
    let filter = filter.unwrap_or_else(|| EnvFilter::new(default));
    let lines = fmt().with_env_filter(filter).with_writer(stderr);
    let begun = match serving {
        true => lines.json().flatten_event(true).with_current_span(false).try_init(),
        false => {
            lines.with_ansi(stderr().is_terminal()).without_time().with_target(false).try_init()
        }
    };
    if begun.is_ok() && unreadable {
        tracing::warn!("{VARIABLE} cannot be understood: the default stays");
    }
}
