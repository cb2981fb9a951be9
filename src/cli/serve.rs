//! `socle serve`: the server, until it is told to stop.

use super::{out, store};
use crate::{
    app::{App, Looked},
    config::Settings,
    error::{Error, Result},
    http,
    jobs::Scheduler,
    model::{LayerDef, Progress, Silent},
    territory::Reference,
    text,
};
use std::{
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};

/// Arguments of `socle serve`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  socle serve\n  socle serve --listen 0.0.0.0:8080 --config /etc/socle/socle.toml"
)]
pub(super) struct Args {
    /// Where to listen, instead of the configured address.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Harvest what has a schedule at once, not only when its time comes.
    #[arg(long)]
    now: bool,
}

pub(super) async fn run(mut settings: Settings, args: Args) -> Result<ExitCode> {
    if let Some(listen) = args.listen {
        settings.server.listen = listen;
    }
    let listen = settings.server.listen;
    let listener = http::listen(listen).await?;
    let address = listener.local_addr().map_err(|e| Error::fault("listening", e))?;
    let store = store(&settings)?;
    let app = Arc::new(App::new(settings, store).await?);
    let words = text!("Socle écoute sur http://{address}/", "Socle listens on http://{address}/");
    out::line(words.get(out::lang()));
    tell_of_reference(&app);
    tell_of_strangers(&app);
    keep_small_zooms(&app);
    follow_tables(&app);
    harvest_on_schedule(&app, args.now);
    reload_on_hangup(&app);
    http::serve(app, listener, told_to_stop()).await?;
    Ok(ExitCode::SUCCESS)
}

/// Says that this program brings another table of the COG than the one before it, which stays in
/// force until it is told otherwise.
fn tell_of_reference(app: &App) {
    let (world, own) = (app.world(), Reference::builtin());
    let state = &world.snapshot.reference;
    let table = state.current.as_deref().and_then(|id| state.table(id));
    if let Some(table) = table.filter(|table| table.compiled && table.id != own.id()) {
        tracing::info!(
            in_force = table.id,
            brought = own.id(),
            "an earlier program's table of the COG is in force; \"socle cog preview builtin\" shows what this program's would change, \"socle cog apply builtin\" puts it in force"
        );
    }
}

/// Names the fields that layer files speak of and layers do not have.
fn tell_of_strangers(app: &App) {
    for layer in app.world().snapshot.served() {
        let schema = layer.current.iter().map(|at| &at.version.schema);
        for name in schema.flat_map(|schema| layer.def.strangers(schema)) {
            tracing::warn!(layer = %layer.def.id, field = name, "the layer has no such field");
        }
    }
}

/// Keeps the small zooms of what is published, as long as the server runs. Not in the first
/// moments of a version: whoever asks for it then goes first, and a version may be followed at
/// once by others.
fn keep_small_zooms(app: &Arc<App>) {
    const QUIET: Duration = Duration::from_secs(5);
    if app.settings.tiles.kept_bytes == 0 {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        let mut seen = None;
        loop {
            let snapshot = app.catalog.snapshot();
            tokio::time::sleep(QUIET).await;
            let same = Arc::ptr_eq(&snapshot, &app.catalog.snapshot());
            if same && seen.as_ref().is_none_or(|seen| !Arc::ptr_eq(seen, &snapshot)) {
                app.keep_small_zooms().await;
                seen = Some(snapshot);
            }
        }
    });
}

/// Keeps the attachments of published tables up with their edits, as long as the server runs.
/// Those of a table that changes all the time take at most a fifth of a core.
fn follow_tables(app: &Arc<App>) {
    if !app.settings.layers.iter().any(LayerDef::is_live) {
        return;
    }
    let jobs = super::jobs_over(
        &app.settings,
        app.blobs.clone(),
        app.store.clone(),
        app.world().reference.clone(),
    );
    tokio::spawn(async move {
        let progress: Arc<dyn Progress> = Arc::new(Silent);
        loop {
            let begun = Instant::now();
            // What keeps single tables from being attached is in the log already.
            if let Err(e) = jobs.attach_tables(&progress).await {
                tracing::debug!(cause = e.chain(), "tables are not attached");
            }
            tokio::time::sleep(begun.elapsed() * 4 + Duration::from_millis(200)).await;
        }
    });
}

/// Harvests on schedule, and what is asked for between, as long as the server runs.
fn harvest_on_schedule(app: &Arc<App>, now: bool) {
    let settings = &app.settings;
    if !settings.harvest.schedule {
        return;
    }
    let reference = app.world().reference.clone();
    let jobs = super::jobs_over(settings, app.blobs.clone(), app.store.clone(), reference);
    let jobs = Arc::new(jobs);
    let (inbox, workers) = (app.harvests.clone(), settings.harvest.workers);
    let (cog, follower) = (settings.cog.clone(), jobs.clone());
    tokio::spawn(app.alerts.clone().run(jobs.ended.clone()));
    tokio::spawn(async move { follower.follow_reference(&cog, now).await });
    tokio::spawn(Scheduler { jobs, inbox, workers }.run(now));
}

/// `SIGHUP` has the form of published tables looked at again.
fn reload_on_hangup(app: &Arc<App>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    let app = app.clone();
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match app.reload().await {
                Ok(tables) => tables.iter().for_each(tell),
                Err(e) => tracing::error!(cause = e.chain(), "tables were not looked at again"),
            }
        }
    });
}

/// Writes to the log what became of a table.
fn tell(table: &Looked) {
    let Looked { layer, added, removed, .. } = table;
    match (&table.version, &table.refused) {
        (Some(version), _) => {
            tracing::info!(%layer, %version, changed = table.changed, ?added, ?removed, "looked at again");
        }
        (None, Some(why)) => tracing::warn!(%layer, "not served: {}", why.en),
        (None, None) => tracing::warn!(%layer, "not served: nobody could look at it yet"),
    }
}

/// Ready when the process is asked to stop: SIGTERM from a supervisor, Ctrl-C at a desk.
async fn told_to_stop() {
    let ctrl_c = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = ctrl_c => {}
            _ = terminate.recv() => {}
        },
        // Without a handler the signal itself ends the process.
        Err(_) => drop(ctrl_c.await),
    }
}
