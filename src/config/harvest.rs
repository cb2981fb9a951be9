//! `[harvest]`: how sources are fetched.

use super::{network::Allowed, relative, table::Table};
use crate::{model::Text, text};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// `[harvest]`.
#[derive(Debug, Clone)]
pub struct HarvestSettings {
    /// Folder where imports unpack. Default `data/sources` beside the configuration.
    pub cache: PathBuf,
    /// `User-Agent`, with a contact. Default `socle/<version>`, with `public_url` where it is set.
    pub user_agent: String,
    /// Most bytes a source may hold when unpacked. Default 4 GiB.
    pub max_unpacked: u64,
    /// Whether a server harvests on schedule. Default true; false for replicas that only serve.
    pub schedule: bool,
    /// How many layers a server harvests at once. Default 2.
    pub workers: usize,
    /// Longest silence of a source before a fetch is given up. Default 30 s.
    pub stall: Duration,
    /// Places of private networks that sources may lie at. None by default.
    pub allow: Vec<Allowed>,
    /// PEM file of authorities that certificates may come from, besides those of the machine.
    pub ca_file: Option<PathBuf>,
    /// Whether names that only the proxy can resolve may be asked for. Default false: what cannot
    /// be resolved here cannot be checked here.
    pub proxy_resolves: bool,
}

pub(super) const KEYS: &[&str] = &[
    "cache",
    "user_agent",
    "max_unpacked_mb",
    "stall_s",
    "schedule",
    "workers",
    "allow",
    "ca_file",
    "proxy_resolves",
];

impl HarvestSettings {
    /// The defaults, for a configuration in `base`.
    pub fn default_in(base: &Path) -> Self {
        Self {
            cache: base.join("data/sources"),
            user_agent: concat!("socle/", env!("CARGO_PKG_VERSION")).into(),
            max_unpacked: 4096 << 20,
            schedule: true,
            workers: 2,
            stall: Duration::from_secs(30),
            allow: Vec::new(),
            ca_file: None,
            proxy_resolves: false,
        }
    }

    /// Reads the table; what is wrong is reported to its document and left at its default.
    pub(super) fn read(table: &Table<'_>, base: &Path) -> Self {
        let d = Self::default_in(base);
        Self {
            cache: relative(table, "cache", base).unwrap_or(d.cache),
            user_agent: table.parsed("user_agent", user_agent).unwrap_or(d.user_agent),
            max_unpacked: table
                .integer("max_unpacked_mb", 1..=1 << 24)
                .map_or(d.max_unpacked, |n| n << 20),
            schedule: table.boolean("schedule").unwrap_or(d.schedule),
            workers: table
                .integer("workers", 1..=64)
                .and_then(|n| n.try_into().ok())
                .unwrap_or(d.workers),
            stall: table.seconds("stall_s", 0.1..=3600.0).unwrap_or(d.stall),
            allow: table.all_parsed("allow"),
            ca_file: relative(table, "ca_file", base),
            proxy_resolves: table.boolean("proxy_resolves").unwrap_or(d.proxy_resolves),
        }
    }
}

fn user_agent(words: &str) -> Result<String, Text> {
    let visible = |b: u8| b == b' ' || b.is_ascii_graphic();
    if words.len() > 200 || !words.bytes().all(visible) {
        return Err(text!(
            "au plus 200 caractères ASCII visibles (c'est un en-tête HTTP)",
            "at most 200 visible ASCII characters (it is an HTTP header)"
        ));
    }
    Ok(words.to_owned())
}
