//! `socle backup`: all versions in a folder, while the server goes on.

use super::{out, progress::Shown, store};
use crate::{
    config::Settings,
    error::Result,
    jobs::backup::{self, Options},
    model::Progress,
    text,
};
use std::{path::PathBuf, process::ExitCode};

/// Arguments of `socle backup`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  socle backup /backup/socle-$(date +%F)\n  cd /backup/socle-2026-11-24 && sha256sum --quiet --check SHA256SUMS"
)]
pub(super) struct Args {
    /// The folder to make; it must not exist.
    dest: PathBuf,
    /// Copy the embedded store's files even where hard links would do.
    #[arg(long)]
    copy: bool,
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let lang = out::lang();
    let (store, shown) = (store(settings)?, Shown::new(lang));
    let options = Options { copies: args.copy };
    let made = backup::write(&settings.store, &store, &args.dest, options, &shown).await;
    shown.finish();
    let made = made?;
    for (id, layer) in &made.layers {
        let (n, current) = (layer.versions.len(), &layer.current);
        let words = text!(
            "✓ {id} : {n} versions, {current} publiée",
            "✓ {id}: {n} versions, {current} published"
        );
        out::line(words.get(lang));
    }
    let (files, mb) = (made.files, made.bytes as f64 / f64::from(1 << 20));
    let words = text!(
        "Sauvegarde complète : {files} fichiers, {mb:.1} Mio, chacun avec son SHA-256.",
        "Backup complete: {files} files, {mb:.1} MiB, each with its SHA-256."
    );
    out::line(words.get(lang));
    Ok(ExitCode::SUCCESS)
}
