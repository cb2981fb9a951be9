//! `socle migrate-store`: all versions to the store of another configuration, such as from files
//! to PostGIS.

use super::{out, progress::Shown, restore::report, store};
use crate::{
    config::Settings,
    error::Result,
    import::Workdir,
    jobs::backup,
    model::{LayerId, Progress},
    store::{copy::Copied, spool::Spill},
    text,
};
use std::{path::PathBuf, process::ExitCode};

/// Arguments of `socle migrate-store`.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  socle migrate-store --config config/socle.toml --to config/postgis.toml"
)]
pub(super) struct Args {
    /// The configuration whose store receives the versions.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Publish what arrives also where something else is published.
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let lang = out::lang();
    let other = Settings::load(&args.to)?;
    let (from, to, shown) = (store(settings)?, store(&other)?, Shown::new(lang));
    let (mut layers, mut versions, mut features) = (0, 0, 0);
    let seen = |id: &LayerId, copied: &[Copied]| {
        layers += 1;
        versions += copied.len();
        features += copied.iter().map(|c| c.count).sum::<u64>();
        report(id, copied, lang);
    };
    let work = Workdir::create(&settings.harvest.cache)?;
    let spill = Spill::into(work.path());
    let moved = backup::transfer(&from, &to, args.force, &spill, &shown, seen).await;
    shown.finish();
    moved?;
    let words = text!(
        "{layers} couches, {versions} versions, {features} entités : comptes et sommes de contrôle identiques des deux côtés.",
        "{layers} layers, {versions} versions, {features} features: counts and checksums the same on both sides."
    );
    out::line(words.get(lang));
    Ok(ExitCode::SUCCESS)
}
