//! `socle harvest`: fetch now, publish what changed, print the report.

use super::{alerts, jobs, out, progress::Shown};
use crate::{
    config::Settings,
    error::{Error, Result},
    jobs::{Done, Options, Run},
    model::{Lang, LayerId},
    text,
};
use std::{process::ExitCode, sync::Arc};

/// Arguments of `socle harvest`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  socle harvest\n  socle harvest communes cantons --force\n  socle harvest --dry-run"
)]
pub(super) struct Args {
    /// Layers to harvest; all when none is named.
    layers: Vec<String>,
    /// Load even when the source did not change, publish even when the delivery looks wrong.
    #[arg(long)]
    force: bool,
    /// Read, check and report, but publish nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let lang = out::lang();
    let jobs = jobs(settings)?;
    let names: Vec<LayerId> = args
        .layers
        .iter()
        .map(|n| {
            n.parse().map_err(|_| {
                Error::Invalid(text!(
                    "Nom de couche illisible : « {n} ».",
                    "Not a layer name: \"{n}\"."
                ))
            })
        })
        .collect::<Result<_>>()?;
    let options = Options { force: args.force, dry_run: args.dry_run };
    let runs =
        jobs.harvest(&names, options, Arc::new(Shown::new(lang)), |run| print(run, lang)).await?;
    if !options.dry_run {
        alerts::tell(settings, &jobs).await;
    }
    let failed = runs.iter().any(|r| !r.outcome.as_ref().is_ok_and(Done::is_well));
    Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn print(run: &Run, lang: Lang) {
    let (id, seconds) = (&run.layer, run.took.as_secs_f64());
    match &run.outcome {
        Ok(Done::Unchanged(at)) => {
            let version = &at.version.id;
            let words = text!(
                "= {id} : source inchangée, version {version} ({seconds:.1} s)",
                "= {id}: source unchanged, version {version} ({seconds:.1} s)"
            );
            out::line(words.get(lang));
        }
        Ok(Done::SetAside { at, version }) => {
            let in_force = &at.version.id;
            let words = text!(
                "= {id} : la source est la version {version}, d'où l'on est revenu ; {in_force} reste en place, --force relit la source ({seconds:.1} s)",
                "= {id}: the source is version {version}, rolled back; {in_force} stays in force, --force reads the source again ({seconds:.1} s)"
            );
            out::line(words.get(lang));
        }
        Ok(Done::Published(v)) => {
            let (version, count) = (&v.id, v.count);
            let words = text!(
                "✓ {id} : version {version} publiée, {count} entités ({seconds:.1} s)",
                "✓ {id}: version {version} published, {count} features ({seconds:.1} s)"
            );
            out::line(words.get(lang));
            out::report(&v.report, lang);
        }
        Ok(Done::Held(held)) => {
            let words = text!(
                "✗ {id} : livraison retenue ({seconds:.1} s)",
                "✗ {id}: delivery held ({seconds:.1} s)"
            );
            out::line(words.get(lang));
            out::held(&run.layer, held, lang);
        }
        Ok(Done::Checked { version: v, reasons }) => {
            let count = v.count;
            let words = text!(
                "✓ {id} : {count} entités seraient publiées ({seconds:.1} s)",
                "✓ {id}: {count} features would be published ({seconds:.1} s)"
            );
            out::line(words.get(lang));
            out::reasons(reasons, lang);
            out::report(&v.report, lang);
        }
        Err(e) => {
            let words = out::words(e);
            let text = text!("✗ {id} : {fr}", "✗ {id}: {en}", fr = words.fr, en = words.en);
            out::line(text.get(lang));
        }
    }
}
