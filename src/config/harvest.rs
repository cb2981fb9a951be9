//! `[harvest]`: how sources are fetched.

use super::{network::Allowed, relative, table::Table};
use crate::{
    model::{SourceLimits, Text},
    text,
};
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
    /// What one source may hold at most.
    pub limits: SourceLimits,
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
    /// For how many days a layer is still served after its source was first found missing; `None`:
    /// as long as nobody removes it. Default 30.
    pub withdraw_after_days: Option<u32>,
}

pub(super) const KEYS: &[&str] = &[
    "cache",
    "user_agent",
    "max_unpacked_mb",
    "max_ratio",
    "max_entries",
    "max_rows",
    "max_columns",
    "max_vertices",
    "max_total_vertices",
    "max_value_kb",
    "max_values_mb",
    "stall_s",
    "schedule",
    "workers",
    "allow",
    "ca_file",
    "proxy_resolves",
    "withdraw_after_days",
];

impl HarvestSettings {
    /// The defaults, for a configuration in `base`.
    pub fn default_in(base: &Path) -> Self {
        Self {
            cache: base.join("data/sources"),
            user_agent: concat!("socle/", env!("CARGO_PKG_VERSION")).into(),
            limits: SourceLimits::default(),
            schedule: true,
            workers: 2,
            stall: Duration::from_secs(30),
            allow: Vec::new(),
            ca_file: None,
            proxy_resolves: false,
            withdraw_after_days: Some(30),
        }
    }

    /// Reads the table; what is wrong is reported to its document and left at its default.
    pub(super) fn read(table: &Table<'_>, base: &Path) -> Self {
        let d = Self::default_in(base);
        Self {
            cache: relative(table, "cache", base).unwrap_or(d.cache),
            user_agent: table.parsed("user_agent", user_agent).unwrap_or(d.user_agent),
            limits: limits(table),
            schedule: table.boolean("schedule").unwrap_or(d.schedule),
            workers: table
                .integer("workers", 1..=64)
                .and_then(|n| n.try_into().ok())
                .unwrap_or(d.workers),
            stall: table.seconds("stall_s", 0.1..=3600.0).unwrap_or(d.stall),
            allow: table.all_parsed("allow"),
            ca_file: relative(table, "ca_file", base),
            proxy_resolves: table.boolean("proxy_resolves").unwrap_or(d.proxy_resolves),
            withdraw_after_days: match table.integer("withdraw_after_days", 0..=3650) {
                Some(0) => None,
                Some(days) => days.try_into().ok(),
                None => d.withdraw_after_days,
            },
        }
    }
}

/// What one source may hold at most; each is left at its default where the table does not say.
fn limits(table: &Table<'_>) -> SourceLimits {
    let d = SourceLimits::default();
    let mib = |key, default| table.integer(key, 1..=1 << 24).map_or(default, |n| n << 20);
    let count = |key, default| table.integer(key, 1..=1 << 40).unwrap_or(default);
    let columns = table.integer("max_columns", 1..=60_000);
    SourceLimits {
        max_unpacked: mib("max_unpacked_mb", d.max_unpacked),
        max_ratio: table.integer("max_ratio", 10..=1032).unwrap_or(d.max_ratio),
        max_entries: table.integer("max_entries", 1..=1_000_000).unwrap_or(d.max_entries),
        // Rows are counted with 32 bits.
        max_rows: table.integer("max_rows", 1..=u64::from(u32::MAX)).unwrap_or(d.max_rows),
        max_columns: columns.and_then(|n| n.try_into().ok()).unwrap_or(d.max_columns),
        max_vertices: count("max_vertices", d.max_vertices),
        max_total_vertices: count("max_total_vertices", d.max_total_vertices),
        max_value: table.integer("max_value_kb", 1..=1 << 20).map_or(d.max_value, |n| n << 10),
        max_values: mib("max_values_mb", d.max_values),
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
