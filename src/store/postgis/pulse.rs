//! How publications of other replicas are heard: LISTEN on a connection of its own, which comes
//! back by itself, and a look at the generation twice a second as a net under it.

use super::Inner;
use futures_util::{StreamExt, stream::poll_fn};
use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;
use tokio_postgres::AsyncMessage;

/// For how long what was seen is taken for what is.
const FRESH: Duration = Duration::from_millis(400);

/// The generation as last seen.
#[derive(Default)]
pub(super) struct Pulse {
    generation: AtomicI64,
    at: Mutex<Option<Instant>>,
    changed: Notify,
}

impl Pulse {
    /// Notes a generation read or heard.
    pub(super) fn saw(&self, generation: i64) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if self.generation.fetch_max(generation, Ordering::AcqRel) < generation {
            self.changed.notify_waiters();
        }
    }

    /// The generation, when it was seen just now.
    pub(super) fn fresh(&self) -> Option<i64> {
        let at = *self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = at.is_some_and(|at| at.elapsed() < FRESH);
        fresh.then(|| self.generation.load(Ordering::Acquire))
    }

    /// Sets it back: another database may be behind the same address (a restored backup).
    pub(super) fn read(&self, generation: i64) {
        if generation < self.generation.load(Ordering::Acquire) {
            self.generation.store(generation, Ordering::Release);
        }
        self.saw(generation);
    }

    /// Ready when the generation moves.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Listens until the store is gone.
pub(super) async fn listen(inner: Weak<Inner>) {
    let mut pause = Duration::from_millis(100);
    loop {
        let Some(strong) = inner.upgrade() else { return };
        let Some(address) = strong.listen.clone() else { return };
        let channel = strong.settings.schema.clone() + "_store";
        drop(strong);
        match address.config.connect(address.tls.clone()).await {
            Ok((client, mut connection)) => {
                let messages = poll_fn(move |context| connection.poll_message(context));
                let heard = hear(&inner, messages);
                let sql = format!("LISTEN {}", super::names::quoted(&channel));
                // Both at once: the connection only moves while it is heard.
                let work = async {
                    if client.batch_execute(&sql).await.is_err() {
                        return;
                    }
                    std::future::pending::<()>().await;
                };
                tokio::select! { () = heard => {} () = work => {} }
                pause = Duration::from_millis(100);
            }
            Err(e) => {
                tracing::debug!(cause = super::fault::chain(&e), "not listening");
                pause = (pause * 2).min(Duration::from_secs(2));
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Hears until the connection ends or the store is gone.
async fn hear<E>(
    inner: &Weak<Inner>,
    messages: impl futures_util::Stream<Item = Result<AsyncMessage, E>>,
) {
    let mut messages = std::pin::pin!(messages);
    loop {
        let next = tokio::time::timeout(Duration::from_secs(5), messages.next()).await;
        let Some(inner) = inner.upgrade() else { return };
        match next {
            Err(_) => {} // nothing for a while: only looked whether the store is still there
            Ok(Some(Ok(AsyncMessage::Notification(n)))) => {
                if n.payload() == "edit" {
                    inner.tables.wake();
                }
                if let Ok(generation) = n.payload().parse() {
                    inner.pulse.saw(generation);
                }
            }
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(_)) | None) => return,
        }
    }
}

/// Renews what this process holds, and closes idle connections, until the store is gone.
pub(super) async fn upkeep(inner: Weak<Inner>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(inner) = inner.upgrade() else { return };
        if let Err(e) = Inner::renew_holds(&inner, true).await {
            tracing::debug!(cause = e.chain(), "holds were not renewed");
        }
        inner.close_idle();
    }
}

/// Keeps a task from outliving the store it works for.
pub(super) fn spawn(inner: &Arc<Inner>) {
    tokio::spawn(listen(Arc::downgrade(inner)));
    tokio::spawn(upkeep(Arc::downgrade(inner), inner.settings.lease / 4));
}
