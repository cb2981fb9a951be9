//! `socle serve`: the server, until it is told to stop.

use super::{out, store};
use crate::{
    app::App,
    config::Settings,
    error::{Error, Result},
    http, text,
};
use std::{net::SocketAddr, process::ExitCode, sync::Arc};
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
    http::serve(app, listener, told_to_stop()).await?;
    Ok(ExitCode::SUCCESS)
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
