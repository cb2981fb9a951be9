//! `[schedule]` of a layer file: when a server harvests it.

use super::table::Table;
use crate::{model::Schedule, text};
use std::time::Duration;

pub(super) const KEYS: &[&str] = &["cron", "jitter_s", "retries", "backoff_s"];

/// Reads the table; `None` when it names no time.
pub(super) fn read(table: &Table<'_>) -> Option<Schedule> {
    if !table.has("cron") {
        table.missing("cron");
    }
    let cron = table.parsed("cron", |words| match Schedule::check(words) {
        Ok(()) => Ok(words.to_owned()),
        Err(why) => Err(text!(
            "attendu une expression cron à cinq champs, comme \"30 3 * * *\" (minute, heure, jour, mois, jour de semaine) ou @daily ({why})",
            "expected a cron expression of five fields such as \"30 3 * * *\" (minute, hour, day, month, weekday) or @daily ({why})"
        )),
    });
    let jitter = table.seconds("jitter_s", 0.0..=86_400.0);
    let backoff = table.seconds("backoff_s", 1.0..=86_400.0);
    let retries = table.integer("retries", 0..=20).and_then(|n| u8::try_from(n).ok());
    Some(Schedule {
        cron: cron?,
        jitter: jitter.unwrap_or(Duration::from_secs(300)),
        retries: retries.unwrap_or(3),
        backoff: backoff.unwrap_or(Duration::from_secs(300)),
    })
}
