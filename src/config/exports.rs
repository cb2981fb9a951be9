//! `[exports]`: how much exports may take, of the machine and of its disk.

use super::{relative, table::Table};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// `[exports]`.
#[derive(Debug, Clone)]
pub struct ExportSettings {
    /// Folder of what is being written. Default `data/exports` beside the configuration.
    pub path: PathBuf,
    /// Most bytes that are sent at once, by estimate; larger exports are orders, followed by
    /// their progress. Default 16 MiB.
    pub stream: u64,
    /// Most bytes of an export, and of all results kept. Default 10 GiB.
    pub most: u64,
    /// Orders worked on at once. Default: half the cores.
    pub workers: usize,
    /// Orders that may wait. Default 32.
    pub waiting: usize,
    /// Exports sent at once. Default 16.
    pub streams: usize,
    /// How long results are kept. Default a day.
    pub keep: Duration,
}

pub(super) const KEYS: &[&str] =
    &["path", "stream_mb", "max_mb", "workers", "waiting", "streams", "keep_s"];

impl ExportSettings {
    /// The defaults, for a configuration in `base`.
    pub fn default_in(base: &Path) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            path: base.join("data/exports"),
            stream: 16 << 20,
            most: 10 << 30,
            workers: (cores / 2).max(1),
            waiting: 32,
            streams: 16,
            keep: Duration::from_secs(86_400),
        }
    }

    /// Reads the table; what is wrong is reported to its document and left at its default.
    pub(super) fn read(table: &Table<'_>, base: &Path) -> Self {
        let d = Self::default_in(base);
        let size = |key, range, default: usize| {
            table.integer(key, range).and_then(|n| n.try_into().ok()).unwrap_or(default)
        };
        let bytes = |key, default| table.integer(key, 0..=1 << 24).map_or(default, |mb| mb << 20);
        Self {
            path: relative(table, "path", base).unwrap_or(d.path),
            stream: bytes("stream_mb", d.stream),
            most: bytes("max_mb", d.most),
            workers: size("workers", 1..=256, d.workers),
            waiting: size("waiting", 0..=10_000, d.waiting),
            streams: size("streams", 1..=10_000, d.streams),
            keep: table.seconds("keep_s", 1.0..=31_536_000.0).unwrap_or(d.keep),
        }
    }
}
