//! `socle publish`: deliveries that rules held are put in force after all.

use super::{alerts, jobs, out, versions::known};
use crate::{config::Settings, error::Result, text};
use std::process::ExitCode;

/// Arguments of `socle publish`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  socle versions communes\n  socle publish communes --held")]
pub(super) struct Args {
    /// The layers.
    #[arg(required = true)]
    layers: Vec<String>,
    /// The delivery that is held: the only one there is to publish.
    #[arg(long, required = true)]
    held: bool,
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let layers: Vec<_> =
        args.layers.iter().map(|name| known(settings, name)).collect::<Result<_>>()?;
    let jobs = jobs(settings)?;
    let mut code = ExitCode::SUCCESS;
    for layer in &layers {
        match jobs.publish_held(layer).await {
            Ok(version) => {
                let words = text!(
                    "✓ {layer} : la version {version}, retenue jusqu'ici, est publiée.",
                    "✓ {layer}: version {version}, held until now, is published."
                );
                out::line(words.get(out::lang()));
            }
            Err(e) => {
                out::error(&e, out::lang());
                code = ExitCode::from(1);
            }
        }
    }
    alerts::tell(settings, &jobs).await;
    Ok(code)
}
