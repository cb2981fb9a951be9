//! The store in a PostgreSQL database with PostGIS: for national layers and many replicas, with
//! exactly the behaviour of the embedded one. Versions are tables loaded aside and never edited;
//! the schema is made and migrated by the program; views show the current versions to analysts.
//!
//! Features stay rows with PostGIS geometry; what tiles need is kept beside as the same prepared
//! bytes as in the embedded store, and drawn in the same way. Nothing relies on a session, so
//! that a pooler in transaction mode may stand in front.

mod beside;
mod changes;
mod claims;
mod column;
mod connect;
mod contract;
mod copy;
mod fault;
mod filter;
mod filtered;
mod health;
mod held;
mod inner;
mod link;
mod live;
mod load;
mod migrate;
mod names;
mod open;
mod prune;
mod pulse;
mod reach;
mod read;
mod reference;
mod rows;
mod runs;
mod sorted;
mod tiles;
mod tls;
mod told;
mod views;
mod write;

use super::{At, quota::Meter};
use crate::{
    config::PostgisSettings,
    error::{Error, Result},
    model::{LayerId, VersionId},
    text,
};
use connect::{Address, Connections};
#[doc(hidden)] // for `fuzz/`
pub use filter::statement;
use inner::Inner;
use pulse::Pulse;
use std::sync::{Arc, Mutex, Once, PoisonError};
use tokio::sync::OnceCell;
use tokio_postgres::types::Type;

/// The store over a database.
pub struct PostgisStore {
    inner: Arc<Inner>,
}

impl PostgisStore {
    /// A store over the database that the settings name. Connects to nothing yet: a database
    /// that is away is found out by the first question, and by each until it is back.
    ///
    /// # Errors
    /// [`Error::Invalid`] when an address is missing or is none.
    pub fn open(settings: &PostgisSettings) -> Result<Self> {
        let address = Address::parse(&settings.url.read()?, settings)?;
        let listen = match &settings.listen_url {
            Some(url) => Some(Address::parse(&url.read()?, settings)?),
            None => (!settings.pgbouncer).then(|| address.clone()),
        };
        let replica = match &settings.read_url {
            Some(url) => Some(Connections::new(Address::parse(&url.read()?, settings)?, settings)?),
            None => None,
        };
        let inner = Inner {
            primary: Connections::new(address, settings)?,
            replica,
            listen,
            watched: Once::new(),
            settings: settings.clone(),
            ready: OnceCell::new(),
            granted: OnceCell::new(),
            pulse: Pulse::default(),
            meter: Meter::new(settings.quota),
            reader: random_name(),
            open: Mutex::default(),
            held: Mutex::default(),
            described: Mutex::default(),
            tables: live::Tables::new(&settings.tables),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether every version of a layer has its tables, with as many rows as it says; gives their
    /// number. For `socle check`.
    ///
    /// # Errors
    /// [`Error::Fault`] naming the version that does not agree with itself.
    pub async fn check_layer(&self, layer: &LayerId) -> Result<usize> {
        let ready = self.inner.ready().await?;
        let versions = self.inner.described_versions(layer).await?;
        let mut link = self.inner.primary.link().await?;
        for (serial, version) in &versions {
            let table = ready.names.features(*serial);
            let sql = format!("SELECT count(*) FROM {table}");
            let count: i64 = load::first(&mut link, &sql, &[])
                .await
                .map_err(|e| e.meaning("checking a version"))?;
            if count.unsigned_abs() != version.count {
                return Err(Error::broken(format!(
                    "{layer}: version {} has {count} rows of {}",
                    version.id, version.count
                )));
            }
        }
        Ok(versions.len())
    }
}

/// 32 hexadecimal digits that no other process has.
fn random_name() -> String {
    let mut bytes = [0u8; 16];
    let random = rustls::crypto::ring::default_provider().secure_random;
    if random.fill(&mut bytes).is_err() {
        // No source of randomness: the process and the time are nearly as good.
        let now = jiff::Timestamp::now().as_nanosecond().to_le_bytes();
        bytes.copy_from_slice(&now);
        bytes[12..].copy_from_slice(&std::process::id().to_le_bytes());
    }
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn no_version(version: &VersionId) -> Error {
    Error::NotFound(text!(
        "La version {version} n'existe pas.",
        "Version {version} does not exist."
    ))
}

fn gone(at: &At) -> Error {
    let (layer, version) = (&at.layer, &at.version.id);
    Error::Gone {
        text: text!(
            "La version {version} de « {layer} » n'est plus conservée.",
            "Version {version} of \"{layer}\" is no longer kept."
        ),
        follow: Some(format!("collections/{layer}/items")),
    }
}

impl Drop for PostgisStore {
    fn drop(&mut self) {
        // What this process holds is let go of at once rather than when it runs out.
        let held =
            std::mem::take(&mut *self.inner.held.lock().unwrap_or_else(PoisonError::into_inner));
        let (false, Ok(runtime)) = (held.is_empty(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let inner = self.inner.clone();
        inner.open.lock().unwrap_or_else(PoisonError::into_inner).clear();
        runtime.spawn(async move {
            let Some(ready) = inner.ready.get() else { return };
            let Ok(mut link) = inner.write_link().await else { return };
            let sql = ready.names.sql("DELETE FROM {s}holds WHERE reader = $1");
            let _ = link.run(&sql, &[(&inner.reader, Type::TEXT)]).await;
        });
    }
}
