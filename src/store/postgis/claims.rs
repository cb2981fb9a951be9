//! The right to write a layer: a row with a token and an end, renewed while the work goes on.
//! Nothing of a session is used, so that it holds behind a pooler; a replica that dies gives it
//! back when the row's time is over. Every write checks the token inside its transaction.

use super::{
    Inner,
    link::{Failed, Param, Ran},
    names::Names,
};
use crate::{
    error::{Error, Result},
    model::LayerId,
    store::Claim,
    text,
};
use std::{sync::Arc, time::Duration};
use tokio::{runtime::RuntimeFlavor, task::JoinHandle};
use tokio_postgres::types::Type;

/// How long giving a claim back may take at most.
const GIVE_BACK: Duration = Duration::from_secs(2);

/// What a [`Claim`] holds; dropping it gives the claim back.
struct Guard {
    inner: Arc<Inner>,
    layer: LayerId,
    token: String,
    renewal: JoinHandle<()>,
    runtime: tokio::runtime::Handle,
}

/// Takes the claim of a layer; `None` when another has it.
pub(super) async fn take(inner: &Arc<Inner>, layer: &LayerId) -> Result<Option<Claim>> {
    let ready = inner.ready().await?;
    let mut link = inner.write_link().await?;
    let token = super::random_name();
    let sql = ready.names.sql(
        "INSERT INTO {s}claims AS c (layer, token, holder, expires)
         VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4))
         ON CONFLICT (layer) DO UPDATE
         SET token = excluded.token, holder = excluded.holder, expires = excluded.expires
         WHERE c.expires < clock_timestamp()",
    );
    let (name, seconds) = (layer.as_str(), inner.settings.lease.as_secs_f64());
    let params: [Param<'_>; 4] = [
        (&name, Type::TEXT),
        (&token, Type::TEXT),
        (&inner.reader, Type::TEXT),
        (&seconds, Type::FLOAT8),
    ];
    let taken = link.run(&sql, &params).await.map_err(|e| e.meaning("claiming a layer"))?;
    drop(link);
    if taken == 0 {
        return Ok(None);
    }
    let renewal = tokio::spawn(renew(inner.clone(), layer.clone(), token.clone()));
    let runtime = tokio::runtime::Handle::current();
    let guard = Guard { inner: inner.clone(), layer: layer.clone(), token, renewal, runtime };
    let claim = Claim { layer: layer.clone(), guard: Box::new(guard) };
    super::prune::sweep(inner, &claim).await?;
    Ok(Some(claim))
}

fn guard(claim: &Claim) -> Result<&Guard> {
    claim.guard.downcast_ref().ok_or_else(|| Error::broken("a claim of another store"))
}

/// Makes sure, inside a transaction, that nobody else took the claim, and that nobody does until the
/// end. A claim whose time ran out while its holder was kept from renewing it, on a machine that
/// stood still, is its holder's as long as nobody else asked for it.
pub(super) async fn assure(link: &mut super::link::Link, names: &Names, claim: &Claim) -> Ran<()> {
    let guard = guard(claim)?;
    let sql = names.sql(
        "UPDATE {s}claims SET expires = clock_timestamp() + make_interval(secs => $3)
         WHERE layer = $1 AND token = $2",
    );
    let (layer, seconds) = (claim.layer.as_str(), guard.inner.settings.lease.as_secs_f64());
    let params: [Param<'_>; 3] =
        [(&layer, Type::TEXT), (&guard.token, Type::TEXT), (&seconds, Type::FLOAT8)];
    if link.run(&sql, &params).await? > 0 {
        return Ok(());
    }
    Err(Failed::Known(Error::Conflict(text!(
        "Un autre processus a pris la couche « {layer} » entre-temps.",
        "Another process has taken the layer \"{layer}\" meanwhile."
    ))))
}

/// Puts the end off, again and again.
async fn renew(inner: Arc<Inner>, layer: LayerId, token: String) {
    let lease = inner.settings.lease;
    loop {
        tokio::time::sleep(lease / 4).await;
        if let Err(e) = renew_once(&inner, &layer, &token).await {
            tracing::warn!(layer = %layer, cause = e.chain(), "a claim was not renewed");
        }
    }
}

async fn renew_once(inner: &Arc<Inner>, layer: &LayerId, token: &str) -> Result<()> {
    let ready = inner.ready().await?;
    let mut link = inner.write_link().await?;
    let sql = ready.names.sql(
        "UPDATE {s}claims SET expires = clock_timestamp() + make_interval(secs => $3)
         WHERE layer = $1 AND token = $2",
    );
    let (layer, seconds) = (layer.as_str(), inner.settings.lease.as_secs_f64());
    let params: [Param<'_>; 3] =
        [(&layer, Type::TEXT), (&token, Type::TEXT), (&seconds, Type::FLOAT8)];
    link.run(&sql, &params).await.map(drop).map_err(|e| e.meaning("renewing a claim"))
}

async fn give_back(inner: &Arc<Inner>, layer: &LayerId, token: &str) -> Result<()> {
    let ready = inner.ready().await?;
    let mut link = inner.write_link().await?;
    let sql = ready.names.sql("DELETE FROM {s}claims WHERE layer = $1 AND token = $2");
    let layer = layer.as_str();
    let params: [Param<'_>; 2] = [(&layer, Type::TEXT), (&token, Type::TEXT)];
    link.run(&sql, &params).await.map(drop).map_err(|e| e.meaning("giving a claim back"))
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.renewal.abort();
        let (inner, layer, token) = (self.inner.clone(), self.layer.clone(), self.token.clone());
        let work = async move {
            let given = tokio::time::timeout(GIVE_BACK, give_back(&inner, &layer, &token)).await;
            if !matches!(given, Ok(Ok(()))) {
                tracing::warn!(layer = %layer, "a claim is left to run out");
            }
        };
        // Whoever drops a claim may take it again at once, or end: it is given back before that.
        match tokio::runtime::Handle::try_current() {
            Err(_) => self.runtime.block_on(work),
            Ok(here) if here.runtime_flavor() == RuntimeFlavor::MultiThread => {
                tokio::task::block_in_place(|| here.block_on(work));
            }
            Ok(here) => drop(here.spawn(work)),
        }
    }
}
