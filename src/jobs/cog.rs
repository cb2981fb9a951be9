//! New vintages of the territory reference, fetched from where the configuration says. They are
//! kept and told of; a person looks at them and puts them in force.

use super::{Jobs, Loaded, journal::retry_at};
use crate::{
    config::CogSettings,
    error::{Error, Result},
    harvest::{Fetch, shown},
    import::{CogFile, cog_files},
    model::{Harvested, LayerId, Silent},
    text,
};
use jiff::Timestamp;
use std::time::Duration;

/// What stands for a layer where due times are put off.
const NAME: &str = "cog";

impl Jobs {
    /// Fetches the sources of the reference and makes a table of them, which changes nothing yet;
    /// `None` when none of them moved since `seen`, which is brought up to date.
    ///
    /// # Errors
    /// As [`crate::harvest::Harvester::fetch`] and [`Jobs::load_reference`].
    pub async fn fetch_reference(
        &self,
        cog: &CogSettings,
        seen: &mut Vec<Harvested>,
    ) -> Result<Option<Loaded>> {
        let (mut now, mut files, mut moved) = (Vec::new(), Vec::new(), false);
        for (at, source) in cog.sources.iter().enumerate() {
            let place = shown(&source.location);
            let fetched = self.harvest.fetch_source(source, seen.get(at), false, &Silent).await;
            let fetched = fetched.map_err(|e| named(e, &place))?;
            moved |= matches!(fetched, Fetch::New(_));
            let (Fetch::New(file) | Fetch::Unchanged(file)) = fetched;
            files.extend(read(&file, &place).await?);
            now.push(file);
        }
        if !moved {
            return Ok(None);
        }
        let loaded = self.load_reference(files, cog.vintage).await?;
        *seen = now;
        Ok(Some(loaded))
    }

    /// Looks for new vintages on schedule, for ever, and with `now` at once. Any number of replicas
    /// may: what they make is the same table, kept once.
    pub async fn follow_reference(&self, cog: &CogSettings, now: bool) {
        let (Some(schedule), Ok(name)) = (&cog.schedule, NAME.parse::<LayerId>()) else { return };
        let (mut seen, mut attempt) = (Vec::new(), 1u8);
        let started = Timestamp::now();
        let mut next = if now { Some(started) } else { schedule.next(&name, started) };
        while let Some(due) = next {
            let wait = due.duration_since(Timestamp::now());
            tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
            let looked = self.fetch_reference(cog, &mut seen).await;
            let ended = Timestamp::now();
            next = schedule.next(&name, ended);
            match looked {
                Ok(loaded) => {
                    tell(loaded.as_ref());
                    attempt = 1;
                }
                Err(e) => {
                    tracing::warn!(
                        cause = e.chain(),
                        "no new table of the COG: its sources or what they hold failed"
                    );
                    let asked = match &e {
                        Error::Source(failure) => failure.retry_at,
                        _ => None,
                    };
                    // Each due time has all its tries before it.
                    let retry = (attempt <= schedule.retries)
                        .then(|| retry_at(schedule.backoff, attempt, asked, ended))
                        .flatten()
                        .filter(|retry| next.is_none_or(|due| *retry < due));
                    attempt = if retry.is_some() { attempt.saturating_add(1) } else { 1 };
                    next = retry.or(next);
                }
            }
        }
    }
}

/// Writes to the log what came of a look.
fn tell(loaded: Option<&Loaded>) {
    match loaded {
        Some(Loaded { table, already: false, .. }) => tracing::warn!(
            table = table.id,
            communes = table.communes,
            "a new table of the COG waits: \"socle cog preview\" shows what it changes, \"socle cog apply\" puts it in force"
        ),
        Some(Loaded { table, .. }) => tracing::info!(table = table.id, "the COG is known already"),
        None => tracing::info!("the sources of the COG did not move"),
    }
}

/// What a fetched file holds, under the name it has at its source.
async fn read(file: &Harvested, place: &str) -> Result<Vec<CogFile>> {
    let bytes = tokio::fs::read(&file.path).await.map_err(|e| Error::io(&file.path, e))?;
    let name = file.name.clone();
    super::blocking(move || cog_files(name, bytes)).await.map_err(|e| named(e, place))
}

/// An error with the source it is of.
fn named(error: Error, place: &str) -> Error {
    match error {
        Error::Refused(t) => {
            Error::Refused(text!("{place} : {fr}", "{place}: {en}", fr = t.fr, en = t.en))
        }
        Error::Source(mut failure) => {
            let t = &failure.text;
            failure.text = text!("{place} : {fr}", "{place}: {en}", fr = t.fr, en = t.en);
            Error::Source(failure)
        }
        other => other,
    }
}
