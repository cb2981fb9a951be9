//! From an address to a pool of connections: the URL with libpq's `sslmode`, TLS by rustls,
//! limits. The address may hold a password: it is in no message.

use super::{fault, health::Health, tls};
use crate::{
    config::PostgisSettings,
    error::{Error, Result},
    text,
};
use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolConfig, QueueMode, RecyclingMethod,
    Runtime, Timeouts,
};
use std::{str::FromStr, sync::Arc, time::Duration};
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

/// A connection older than this is replaced, so that statements prepared for versions long gone
/// do not pile up on it.
const MAX_AGE: Duration = Duration::from_secs(1800);

/// How values become text on a connection, whatever the server, the database or the role say: ids
/// are text, and triggers write them alike (`announce_edit`).
const WRITTEN: &str = "SET \"TimeZone\" = 'UTC'; SET \"DateStyle\" = 'ISO, MDY'";
/// The same of what a pooler in transaction mode does not keep to its client.
const WRITTEN_ALONE: &str =
    "SET \"IntervalStyle\" = 'postgres'; SET extra_float_digits = 1; SET bytea_output = 'hex'";

/// Where to connect, checked.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
}

/// Connections to one address.
#[derive(Clone)]
pub(super) struct Connections {
    pool: Pool,
    pub(super) address: Address,
    wait: Duration,
    /// How long a statement of a request may run.
    pub(super) statement: Duration,
    /// Whether a pooler in transaction mode stands in front.
    pub(super) pooled: bool,
    /// Whether the server answers, as far as is known.
    pub(super) health: Arc<Health>,
}

impl Address {
    /// Reads a PostgreSQL URL or key-value string.
    pub(super) fn parse(words: &str, settings: &PostgisSettings) -> Result<Self> {
        let refused = || {
            Error::Invalid(text!(
                "L'adresse de la base n'est pas de la forme postgres://rôle:mot-de-passe@hôte:port/base?sslmode=…",
                "The database's address is not of the form postgres://role:password@host:port/database?sslmode=…"
            ))
        };
        let (words, mode) = tls::take_mode(words);
        let mut config = Config::from_str(&words).map_err(|_| refused())?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(refused());
        }
        config.ssl_mode(mode.driver());
        if config.get_application_name().is_none() {
            config.application_name("socle");
        }
        config.connect_timeout(settings.wait);
        config.keepalives_idle(Duration::from_secs(30));
        config.tcp_user_timeout(Duration::from_secs(20));
        Ok(Self { config, tls: tls::connector(&mode.with_settings(settings))? })
    }
}

impl Connections {
    /// A pool over an address; connects to nothing yet.
    pub(super) fn new(address: Address, settings: &PostgisSettings) -> Result<Self> {
        let manager = Manager::from_config(
            address.config.clone(),
            address.tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let config = PoolConfig {
            max_size: settings.pool,
            timeouts: Timeouts {
                wait: Some(settings.wait),
                create: Some(settings.wait),
                recycle: Some(settings.wait),
            },
            // The connection used last is the warmest; the others may go idle and leave.
            queue_mode: QueueMode::Lifo,
        };
        let written = match settings.pgbouncer {
            true => WRITTEN.to_owned(),
            false => format!("{WRITTEN}; {WRITTEN_ALONE}"),
        };
        let pool = Pool::builder(manager)
            .config(config)
            .runtime(Runtime::Tokio1)
            // Not as an option of the connection: poolers turn connections with options away.
            .post_create(Hook::async_fn(move |object, _| {
                let written = written.clone();
                Box::pin(
                    async move { object.batch_execute(&written).await.map_err(HookError::Backend) },
                )
            }))
            .pre_recycle(Hook::sync_fn(|_, metrics| {
                if metrics.age() > MAX_AGE {
                    return Err(HookError::message("too old"));
                }
                Ok(())
            }))
            .build()
            .map_err(|e| Error::fault("the database's pool", e))?;
        let (wait, statement) = (settings.wait, settings.statement);
        let health = Arc::default();
        Ok(Self { pool, address, wait, statement, pooled: settings.pgbouncer, health })
    }

    /// A connection, within the wait; none from a server that is known to be silent, for a request
    /// that waits for it is a request that hangs.
    pub(super) async fn get(&self) -> Result<Object> {
        let started = std::time::Instant::now();
        // Waiting and connecting together take no longer than the wait.
        let got = tokio::select! {
            biased;
            () = self.health.falls_silent() => return Err(fault::unreachable()),
            got = tokio::time::timeout(self.wait, self.pool.get()) => got,
        };
        metrics::histogram!("socle_database_wait_seconds").record(started.elapsed());
        match got {
            Ok(Ok(object)) => Ok(object),
            Ok(Err(e)) => Err(fault::of_pool(e)),
            Err(_) if self.pool.status().waiting > 0 => {
                Err(Error::Busy { retry_after: Duration::from_secs(1) })
            }
            Err(_) => Err(fault::unreachable()),
        }
    }

    /// How long a request waits for a connection.
    pub(super) fn wait(&self) -> Duration {
        self.wait
    }

    /// Closes connections that nobody used for `idle`.
    pub(super) fn close_idle(&self, idle: Duration) {
        self.pool.retain(|_, metrics| metrics.last_used() < idle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_never_repeated() {
        let settings = PostgisSettings::at("X");
        let ok = |s: &str| Address::parse(s, &settings);
        assert!(ok("postgres://socle:s3cret@db.example.fr:5432/socle?sslmode=verify-full").is_ok());
        assert!(ok("host=/run/postgresql dbname=socle user=socle").is_ok());
        for bad in ["", "s3cret", "http://u:s3cret@h/", "postgres://u:s3cret@h:port/x"] {
            let Err(e) = ok(bad) else { panic!("{bad} is taken") };
            assert!(!e.chain().contains("s3cret"), "{}", e.chain());
        }
    }
}
