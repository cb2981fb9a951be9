//! `[store]`: where versions live, in files or in PostGIS.

use super::{document::hint, relative, secrets, table::Table};
use crate::{
    error::{Error, Result},
    model::{LayerDef, Text},
    text,
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// `[store]`.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Folder of the embedded store. Default `data/store` beside the configuration.
    pub path: PathBuf,
    /// Which store it is. Default: embedded.
    pub kind: StoreKind,
    /// Bytes the store may take, if it is held to a number.
    pub quota: Option<u64>,
}

/// Which store.
#[derive(Debug, Clone)]
pub enum StoreKind {
    /// Files in a folder.
    Embedded,
    /// Tables of a PostgreSQL database with PostGIS.
    Postgis(Box<PostgisSettings>),
}

/// How to reach and use the database.
#[derive(Debug, Clone)]
pub struct PostgisSettings {
    /// Where its address is: never the address itself, which may hold a password.
    pub url: Secret,
    /// Address of a read-only replica that serves reads, if there is one.
    pub read_url: Option<Secret>,
    /// Address to listen for publications on, when `url` goes through a pooler.
    pub listen_url: Option<Secret>,
    /// Schema of the views; internal tables live in `<schema>_store`. Default `socle`.
    pub schema: String,
    /// File of the authorities that certificates are checked against, with `sslmode=verify-full`;
    /// `None`: the machine's.
    pub ca_file: Option<PathBuf>,
    /// Role that loads; granted all on both schemas, when named.
    pub load_role: Option<String>,
    /// Role that only reads; granted what reading takes, when named.
    pub read_role: Option<String>,
    /// Connections at once, per address. Default 8.
    pub pool: usize,
    /// How long a request waits for a connection. Default 0.9 s.
    pub wait: Duration,
    /// How long a server may be silent before it is taken to be away; `None`: 1 s, and 3 s behind
    /// a pooler.
    pub silence: Option<Duration>,
    /// How long a statement of a request may run. Default 10 s.
    pub statement: Duration,
    /// How long an unused connection is kept. Default 300 s.
    pub idle: Duration,
    /// How long claims and holds outlive a replica that died. Default 20 s.
    pub lease: Duration,
    /// Whether a pooler in transaction mode stands in front: then nothing of a session is used.
    pub pgbouncer: bool,
    /// Bytes the store's tables may take, if they are held to a number.
    pub quota: Option<u64>,
    /// The tables of the database that are published as they are (`[[tables]]`).
    pub tables: Vec<LayerDef>,
}

/// Where a secret is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// An environment variable.
    Variable(String),
    /// A file, whose first line counts (Docker and systemd credentials).
    File(PathBuf),
}

impl Secret {
    /// Reads it.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the variable or file that is missing or empty, never a value.
    pub fn read(&self) -> Result<String> {
        match self {
            Self::Variable(name) => secrets::environment(name).ok_or_else(|| {
                Error::Invalid(text!(
                    "la variable d'environnement {name} n'est pas définie",
                    "the environment variable {name} is not set"
                ))
            }),
            Self::File(path) => {
                let words = std::fs::read_to_string(path).unwrap_or_default();
                let line = words.lines().next().map(str::trim).filter(|l| !l.is_empty());
                line.map(str::to_owned).ok_or_else(|| {
                    let name = super::files::shown(path);
                    Error::Invalid(text!(
                        "{name} : fichier absent, illisible ou vide",
                        "{name}: file missing, unreadable or empty"
                    ))
                })
            }
        }
    }
}

pub(super) const KEYS: &[&str] = &[
    "kind",
    "path",
    "quota_mb",
    "url_env",
    "url_file",
    "read_url_env",
    "listen_url_env",
    "ca_file",
    "schema",
    "load_role",
    "read_role",
    "pool_size",
    "pool_wait_s",
    "silence_s",
    "statement_timeout_s",
    "idle_timeout_s",
    "lease_s",
    "pgbouncer",
];

/// Fewest connections with which tables can be published.
const PUBLISHING: usize = 2;

const KINDS: &[&str] = &["embedded", "postgis"];

impl StoreSettings {
    /// The defaults, for a configuration in `base`.
    pub(super) fn default_in(base: &Path) -> Self {
        Self { path: base.join("data/store"), kind: StoreKind::Embedded, quota: None }
    }

    /// Reads the table; what is wrong is reported to its document and left at its default.
    /// `publishes`: whether tables of the database are published (`[[tables]]`).
    pub(super) fn read(table: &Table<'_>, base: &Path, publishes: bool) -> Self {
        let default = Self::default_in(base);
        let postgis = table.parsed("kind", kind).unwrap_or(false);
        let quota = table.integer("quota_mb", 1..=1 << 30).map(|mb| mb << 20);
        let settings = PostgisSettings { quota, ..PostgisSettings::read(table, base) };
        // With one, what rows hold could never be noted: it is read with a connection, and written
        // with another at the same time.
        if publishes && settings.pool < PUBLISHING {
            table.report(
                "pool_size",
                text!(
                    "doit valoir au moins {PUBLISHING} pour publier des tables ([[tables]]) : rattacher leurs lignes aux territoires prend deux connexions à la fois",
                    "must be at least {PUBLISHING} to publish tables ([[tables]]): attaching their rows to territories takes two connections at once"
                ),
            );
        }
        let kind = if postgis { StoreKind::Postgis(settings.into()) } else { StoreKind::Embedded };
        Self { path: relative(table, "path", base).unwrap_or(default.path), kind, quota }
    }
}

impl PostgisSettings {
    /// The defaults, with the address in a variable.
    pub fn at(variable: &str) -> Self {
        Self {
            url: Secret::Variable(variable.to_owned()),
            read_url: None,
            listen_url: None,
            ca_file: None,
            schema: "socle".to_owned(),
            load_role: None,
            read_role: None,
            pool: 8,
            wait: Duration::from_millis(900),
            silence: None,
            statement: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            lease: Duration::from_secs(20),
            pgbouncer: false,
            quota: None,
            tables: Vec::new(),
        }
    }

    fn read(table: &Table<'_>, base: &Path) -> Self {
        let d = Self::at("SOCLE_DATABASE_URL");
        let named = |key| table.parsed(key, variable).map(Secret::Variable);
        let file = relative(table, "url_file", base).map(Secret::File);
        if file.is_some() && table.has("url_env") {
            table.report(
                "url_file",
                text!("ne va pas avec « url_env »", "does not go with \"url_env\""),
            );
        }
        let seconds = |key, range, default| table.seconds(key, range).unwrap_or(default);
        let pool = table.integer("pool_size", 1..=1000).and_then(|n| n.try_into().ok());
        Self {
            url: named("url_env").or(file).unwrap_or(d.url),
            read_url: named("read_url_env"),
            listen_url: named("listen_url_env"),
            ca_file: relative(table, "ca_file", base),
            schema: table.parsed("schema", schema).unwrap_or(d.schema),
            load_role: table.string("load_role"),
            read_role: table.string("read_role"),
            pool: pool.unwrap_or(d.pool),
            wait: seconds("pool_wait_s", 0.01..=60.0, d.wait),
            silence: table.seconds("silence_s", 0.1..=60.0),
            statement: seconds("statement_timeout_s", 0.1..=3600.0, d.statement),
            idle: seconds("idle_timeout_s", 1.0..=86_400.0, d.idle),
            lease: seconds("lease_s", 1.0..=3600.0, d.lease),
            pgbouncer: table.boolean("pgbouncer").unwrap_or(d.pgbouncer),
            quota: None,
            tables: Vec::new(),
        }
    }
}

fn kind(words: &str) -> Result<bool, Text> {
    match words {
        "embedded" => Ok(false),
        "postgis" => Ok(true),
        other => {
            let Text { fr, en } = hint(other, KINDS);
            Err(text!("magasin inconnu ; {fr}", "unknown store; {en}"))
        }
    }
}

/// The name of a variable. A value put here by mistake is not repeated: it may be a secret.
pub(super) fn variable(words: &str) -> Result<String, Text> {
    if secrets::is_name(words) {
        return Ok(words.to_owned());
    }
    Err(text!(
        "attendu le nom d'une variable d'environnement ; la valeur elle-même n'a pas sa place ici",
        "expected the name of an environment variable; the value itself has no place here"
    ))
}

/// A schema's name, kept to what needs no quoting and leaves room for `_store`.
fn schema(words: &str) -> Result<String, Text> {
    let head = words.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    let body = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if head && words.len() <= 40 && words.bytes().all(body) && !words.starts_with("pg_") {
        return Ok(words.to_owned());
    }
    Err(text!(
        "attendu un nom de schéma : a-z, 0-9 et _, au plus 40 caractères, pas « pg_ » au début",
        "expected the name of a schema: a-z, 0-9 and _, at most 40 characters, not \"pg_\" first"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_addresses_stay_out() {
        assert_eq!(schema("socle_2").unwrap(), "socle_2");
        for bad in ["", "Socle", "pg_x", "a-b", "a\"b", "1a", &"a".repeat(41)] {
            assert!(schema(bad).is_err(), "{bad}");
        }
        assert!(variable("SOCLE_DATABASE_URL").is_ok());
        let refused = variable("postgres://u:s3cret@h/db").unwrap_err();
        assert!(!refused.en.contains("s3cret") && !refused.fr.contains("s3cret"));
        assert!(kind("postgis").unwrap() && !kind("embedded").unwrap());
        assert!(kind("postgres").unwrap_err().en.contains("postgis"));
    }

    #[test]
    fn a_secret_that_is_missing_is_named() {
        let missing = Secret::Variable("SOCLE_TEST_NO_SUCH_VARIABLE".into()).read().unwrap_err();
        assert!(missing.to_string().contains("SOCLE_TEST_NO_SUCH_VARIABLE"));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("url");
        assert!(Secret::File(file.clone()).read().is_err());
        std::fs::write(&file, "postgres://h/db\n").unwrap();
        assert_eq!(Secret::File(file).read().unwrap(), "postgres://h/db");
    }
}
