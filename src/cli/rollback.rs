//! `socle rollback`: an older version becomes current again.

use super::{jobs, out, versions::known};
use crate::{
    config::Settings,
    error::{Error, Result},
    text,
};
use std::process::ExitCode;

/// Arguments of `socle rollback`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  socle rollback communes\n  socle rollback communes 20261124T060312Z-3f9a01c2"
)]
pub(super) struct Args {
    /// The layer.
    layer: String,
    /// The version; the one before the current when none is named.
    version: Option<String>,
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let layer = known(settings, &args.layer)?;
    let to =
        args.version.as_deref().map(str::parse).transpose().map_err(|_| {
            Error::Invalid(text!("Nom de version illisible.", "Not a version name."))
        })?;
    let version = jobs(settings)?.rollback(&layer, to).await?;
    let words = text!(
        "{layer} : la version {version} est de nouveau publiée.",
        "{layer}: version {version} is published again."
    );
    out::line(words.get(out::lang()));
    Ok(ExitCode::SUCCESS)
}
