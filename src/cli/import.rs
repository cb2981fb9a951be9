//! `socle import`: a local file becomes a new version of a declared layer.

use super::{alerts, jobs, out, progress::Shown};
use crate::{
    config::Settings,
    error::{Error, Result},
    jobs::{Done, Options},
    model::LayerId,
    text,
};
use std::{path::PathBuf, process::ExitCode, sync::Arc};

/// Arguments of `socle import`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  socle import communes-2018.geojson.gz --layer communes")]
pub(super) struct Args {
    /// The file.
    file: PathBuf,
    /// The layer it becomes a version of.
    #[arg(long)]
    layer: String,
    /// Publish even when the delivery looks wrong.
    #[arg(long)]
    force: bool,
    /// Read, check and report, but publish nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let lang = out::lang();
    let name = &args.layer;
    let layer: LayerId = name.parse().map_err(|_| {
        Error::Invalid(text!(
            "Nom de couche illisible : « {name} ».",
            "Not a layer name: \"{name}\"."
        ))
    })?;
    let options = Options { force: args.force, dry_run: args.dry_run };
    let jobs = jobs(settings)?;
    let done = jobs.import(&layer, args.file, options, Arc::new(Shown::new(lang))).await;
    if !options.dry_run {
        alerts::tell(settings, &jobs).await;
    }
    let done = done?;
    if let Done::Held(held) = &done {
        let words = text!("{layer} : livraison retenue", "{layer}: delivery held");
        out::line(words.get(lang));
        out::held(&layer, held, lang);
        return Ok(ExitCode::from(1));
    }
    if let Done::Checked { reasons, .. } = &done {
        out::reasons(reasons, lang);
    }
    if let Done::Published(v) | Done::Checked { version: v, .. } = done {
        let (version, count) = (&v.id, v.count);
        let words = text!(
            "{layer} : version {version}, {count} entités",
            "{layer}: version {version}, {count} features"
        );
        out::line(words.get(lang));
        out::report(&v.report, lang);
    }
    Ok(ExitCode::SUCCESS)
}
