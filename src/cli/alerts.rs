//! `socle alerts`: which sources fail, changed or are held, and whether who is told can be reached.

use super::{out, store};
use crate::{
    alerts::{Alerts, Round},
    config::Settings,
    error::Result,
    jobs::Jobs,
    text,
};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// How long a command waits for another process that is telling, and how often it looks.
const WAIT: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(250);

/// Arguments of `socle alerts`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  socle alerts\n  socle alerts --test")]
pub(super) struct Args {
    /// Send a trial to every webhook and by mail.
    #[arg(long)]
    test: bool,
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let alerts = Alerts::new(settings, store(settings)?);
    if args.test {
        return Ok(trial(&alerts).await);
    }
    let lang = out::lang();
    let standing: Vec<_> = alerts.all().await?.into_iter().filter(|a| a.stands).collect();
    if standing.is_empty() {
        out::line(text!("Rien à signaler.", "Nothing to tell.").get(lang));
    }
    for alert in &standing {
        let (layer, kind, told) = (&alert.layer, alert.kind.words(), &alert.text);
        let (kind_fr, kind_en, fr, en) = (kind.fr, kind.en, &told.fr, &told.en);
        let words = text!("✗ {layer} : {kind_fr} — {fr}", "✗ {layer}: {kind_en} — {en}");
        out::line(words.get(lang));
    }
    Ok(if standing.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

async fn trial(alerts: &Alerts) -> ExitCode {
    let lang = out::lang();
    if !alerts.has_addresses() {
        let words = text!(
            "Aucune adresse : ni [[alerts.webhooks]] ni [alerts.mail] dans la configuration.",
            "No address: neither [[alerts.webhooks]] nor [alerts.mail] in the configuration."
        );
        out::line(words.get(lang));
        return ExitCode::from(1);
    }
    let mut code = ExitCode::SUCCESS;
    for trial in alerts.trial().await {
        let way = trial.way.get(lang);
        match trial.outcome {
            Ok(()) => out::line(&format!("✓ {way}")),
            Err(why) => {
                code = ExitCode::from(1);
                out::line(&format!("✗ {way} : {}", why.get(lang)));
            }
        }
    }
    code
}

/// Tells what a command's runs gave rise to: there may be no server to do it. What does not arrive
/// is in the log and left to whoever runs next; a command does not fail by it.
pub(super) async fn tell(settings: &Settings, jobs: &Jobs) {
    let alerts = Alerts::new(settings, jobs.store.clone());
    let begun = Instant::now();
    loop {
        match alerts.round().await {
            Ok(Round::Elsewhere) if begun.elapsed() < WAIT => tokio::time::sleep(LOOK).await,
            Ok(_) => return,
            Err(e) => return tracing::warn!(cause = e.chain(), "alerts are not told"),
        }
    }
}
