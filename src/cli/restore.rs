//! `socle restore`: what a backup holds comes back, layer by layer.

use super::{out, progress::Shown, store};
use crate::{
    config::Settings,
    error::Result,
    import::Workdir,
    jobs::backup,
    model::{Lang, LayerId, Progress},
    store::{copy::Copied, spool::Spill},
    text,
};
use std::{path::PathBuf, process::ExitCode};

/// Arguments of `socle restore`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  socle restore /backup/socle-2026-11-24")]
pub(super) struct Args {
    /// The backup's folder.
    source: PathBuf,
    /// Publish what is restored also where something else is published.
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let lang = out::lang();
    let (store, shown) = (store(settings)?, Shown::new(lang));
    let seen = |id: &LayerId, copied: &[Copied]| report(id, copied, lang);
    let work = Workdir::create(&settings.harvest.cache)?;
    let spill = Spill::into(work.path());
    let restored = backup::restore(&args.source, &store, args.force, &spill, &shown, seen).await;
    shown.finish();
    let made = restored?;
    let (n, at, program) = (made.layers.len(), made.made_at, &made.program);
    let words = text!(
        "{n} couches restaurées et vérifiées, de la sauvegarde du {at} (Socle {program}).",
        "{n} layers restored and verified, from the backup of {at} (Socle {program})."
    );
    out::line(words.get(lang));
    Ok(ExitCode::SUCCESS)
}

/// What arrived of a layer: its versions, their counts and checksums.
pub(super) fn report(id: &LayerId, copied: &[Copied], lang: Lang) {
    for c in copied {
        let (version, count) = (&c.id, c.count);
        let mark = match (c.current, c.held) {
            (true, _) => '*',
            (false, true) => '!',
            (false, false) => ' ',
        };
        let sum: String = c.checksum.chars().take(16).collect();
        let words = match c.already {
            false => text!("copiée et vérifiée", "copied and verified"),
            true => text!("déjà là, identique", "already there, the same"),
        };
        out::line(&format!("{mark} {id} {version}  {count:>9}  {sum}  {}", words.get(lang)));
    }
}
