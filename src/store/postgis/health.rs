//! Whether a server answers at all, asked on a connection of its own a few times a second. Requests
//! do not wait for one that is silent, and those that were waiting when it fell silent end: a
//! machine that hangs cuts no connection, and would keep them until their statements' limit.

use super::connect::Address;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::watch;
use tokio_postgres::{Client, Error as Database};

/// Between two looks.
const EVERY: Duration = Duration::from_millis(300);
/// A server that takes longer for an answer without any work answers nothing else in time either:
/// it hangs, or the network to it does.
const LOOK: Duration = Duration::from_secs(1);
/// Through a pooler an answer also waits for a connection behind it.
const POOLED_LOOK: Duration = Duration::from_secs(3);

/// What is known of a server; taken to answer until a look shows that it does not.
#[derive(Debug)]
pub(super) struct Health(watch::Sender<bool>);

impl Default for Health {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Health {
    /// Ready when a look finds no answer, or the last one found none.
    pub(super) async fn falls_silent(&self) {
        let mut seen = self.0.subscribe();
        // The sender is `self`: it outlives the wait.
        let _ = seen.wait_for(|silent| *silent).await;
    }

    fn note(&self, silent: bool) {
        self.0.send_if_modified(|before| {
            let changed = *before != silent;
            *before = silent;
            if changed && silent {
                tracing::warn!("a database server does not answer");
            } else if changed {
                tracing::info!("the database server answers again");
            }
            changed
        });
    }
}

/// How long a look may take without a setting. `pooled`: a pooler stands in front.
pub(super) fn patience(pooled: bool) -> Duration {
    if pooled { POOLED_LOOK } else { LOOK }
}

/// Looks until the store is gone; a look that takes longer than `limit` has found no answer.
pub(super) async fn watch<S>(
    health: Arc<Health>,
    address: Address,
    limit: Duration,
    store: Weak<S>,
) {
    let mut config = address.config.clone();
    // Of its own name: who counts a service's connections tells it from those that work.
    config.application_name("socle watch");
    let mut client: Option<Client> = None;
    while store.strong_count() > 0 {
        let look = look(&mut client, &config, &address);
        let answered = tokio::time::timeout(limit, look).await.unwrap_or(false);
        if !answered {
            client = None;
        }
        health.note(!answered);
        tokio::time::sleep(EVERY).await;
    }
}

/// Whether the server answers, over the connection of the last look or a new one.
async fn look(
    client: &mut Option<Client>,
    config: &tokio_postgres::Config,
    address: &Address,
) -> bool {
    if let Some(held) = client.as_ref() {
        match held.simple_query("SELECT 1").await {
            Ok(_) => return true,
            // The connection was lost, which the server may have survived.
            Err(e) if super::fault::is_lost(&e) => *client = None,
            Err(_) => return true,
        }
    }
    match config.connect(address.tls.clone()).await {
        Ok((made, connection)) => {
            tokio::spawn(connection);
            let answer = made.simple_query("SELECT 1").await;
            *client = Some(made);
            answer.is_ok()
        }
        Err(e) => refused(&e),
    }
}

/// A server that turns a connection away (wrong role, no room), or whose certificate is refused, is
/// there; requests find out why.
fn refused(e: &Database) -> bool {
    super::tls::refusal(e).is_some() || !super::fault::is_lost(e)
}
