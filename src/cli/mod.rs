//! The command line: one file per command, arguments in, report out. Reports go to standard
//! output, what happens meanwhile to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage.

mod alerts;
mod backup;
mod bake;
mod carry;
mod check;
mod cog;
mod cut;
mod discover;
mod harvest;
mod import;
mod layers;
mod log;
mod migrate_store;
mod out;
mod progress;
mod publish;
mod restore;
mod rollback;
mod serve;
mod versions;
mod warm;

use crate::{
    app::reference,
    blobs::Blobs,
    config::{Settings, StoreKind},
    error::{Error, Result},
    harvest::Harvester,
    import::Importer,
    jobs::Jobs,
    store::{Store, embedded::EmbeddedStore, postgis::PostgisStore},
    territory::Reference,
};
use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode, sync::Arc};

/// Socle: harvests territorial reference layers, keeps them versioned, serves them as vector
/// tiles and OGC API Features, filtered by territory.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:\n  socle harvest --config config/demo/socle.toml\n  socle serve --listen 127.0.0.1:8080\n  socle rollback communes"
)]
struct Cli {
    /// The configuration file.
    #[arg(long, global = true, default_value = "config/socle.toml", value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the layers over HTTP.
    Serve(serve::Args),
    /// Fetch the sources now and publish what changed; prints the report.
    Harvest(harvest::Args),
    /// List what a catalogue or a service offers, with the source each takes.
    Discover(discover::Args),
    /// Load a local file as a new version of a layer.
    Import(import::Args),
    /// Write layers, selected for a territory, into a file.
    Cut(cut::Args),
    /// Write the tiles of layers, all zooms, into a PMTiles or MBTiles file.
    Bake(bake::Args),
    /// Draw and keep the tiles of small zooms, so that no server is cold there.
    Warm(warm::Args),
    /// List the layers and what is published of each.
    Layers,
    /// List the versions kept of a layer.
    Versions(versions::Args),
    /// Publish a delivery that is held.
    Publish(publish::Args),
    /// Make an older version of a layer current again.
    Rollback(rollback::Args),
    /// Put a table of old commune codes on today's territories.
    Carry(carry::Args),
    /// The territory reference (COG): load, preview, apply, undo, list.
    Cog(cog::Args),
    /// Say which sources fail or are held, and try who is told of it.
    Alerts(alerts::Args),
    /// Check the configuration and the store.
    Check,
    /// Write a backup of all versions, while serving.
    Backup(backup::Args),
    /// Bring back what a backup holds.
    Restore(restore::Args),
    /// Copy all versions to the store of another configuration.
    MigrateStore(migrate_store::Args),
}

/// Parses the arguments and runs the command.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let lang = out::lang();
    log::begin(matches!(cli.command, Command::Serve(_)));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(cli)),
        Err(e) => Err(Error::fault("starting the runtime", e)),
    };
    match result {
        Ok(code) => code,
        Err(e) => {
            out::error(&e, lang);
            ExitCode::from(if matches!(e, Error::Invalid(_)) { 2 } else { 1 })
        }
    }
}

async fn dispatch(cli: Cli) -> Result<ExitCode> {
    // Codes need no configuration: an analyst has a file and nothing else.
    if let Command::Carry(args) = cli.command {
        return carry::run(&cli.config, args).await;
    }
    let settings = Settings::load(&cli.config)?;
    match cli.command {
        Command::Serve(args) => serve::run(settings, args).await,
        Command::Harvest(args) => harvest::run(&settings, args).await,
        Command::Discover(args) => discover::run(&settings, args).await,
        Command::Import(args) => import::run(&settings, args).await,
        Command::Cut(args) => cut::run(&settings, args).await,
        Command::Bake(args) => bake::run(&settings, args).await,
        Command::Warm(args) => warm::run(settings, args).await,
        Command::Layers => layers::run(&settings).await,
        Command::Versions(args) => versions::run(&settings, args).await,
        Command::Publish(args) => publish::run(&settings, args).await,
        Command::Rollback(args) => rollback::run(&settings, args).await,
        Command::Carry(args) => carry::run(&cli.config, args).await,
        Command::Cog(args) => cog::run(&settings, args).await,
        Command::Alerts(args) => alerts::run(&settings, args).await,
        Command::Check => check::run(&settings).await,
        Command::Backup(args) => backup::run(&settings, args).await,
        Command::Restore(args) => restore::run(&settings, args).await,
        Command::MigrateStore(args) => migrate_store::run(&settings, args).await,
    }
}

/// The store that the settings name.
fn store(settings: &Settings) -> Result<Arc<dyn Store>> {
    Ok(match &settings.store.kind {
        StoreKind::Embedded => {
            Arc::new(EmbeddedStore::open(&settings.store.path)?.with_quota(settings.store.quota))
        }
        StoreKind::Postgis(database) => Arc::new(PostgisStore::open(database)?),
    })
}

fn jobs(settings: &Settings) -> Result<Jobs> {
    let reference = reference(settings)?;
    Ok(jobs_over(settings, Blobs::open(&settings.blobs)?, store(settings)?, reference))
}

fn jobs_over(
    settings: &Settings,
    blobs: Blobs,
    store: Arc<dyn Store>,
    reference: Arc<Reference>,
) -> Jobs {
    Jobs {
        layers: settings.layers.clone(),
        harvest: Harvester::new(settings.harvest.clone(), blobs),
        store,
        importer: Importer::new(reference, settings.harvest.limits)
            .with_levels(settings.levels.clone())
            .into(),
        troubles: std::sync::Mutex::default(),
        unwritten: std::sync::Mutex::default(),
        ended: Arc::default(),
    }
}
