//! `[tiles]`: the tile cache and the renderers.

use super::table::Table;
use std::time::Duration;

/// `[tiles]`.
#[derive(Debug, Clone)]
pub struct TileServiceSettings {
    /// Bytes of the tile cache. Default 256 MiB.
    pub cache_bytes: u64,
    /// Renderings at once; default: twice the cores.
    pub renderers: usize,
    /// Renderings that may wait. Default 256.
    pub waiting: usize,
    /// Longest wait for a renderer. Default 5 s.
    pub wait: Duration,
    /// Deepest zoom of the tiles that are kept in the shared files. Default 6.
    pub kept_zoom: u8,
    /// Most bytes of them, of all layers together; 0, the default: none is kept.
    pub kept_bytes: u64,
}

pub(super) const KEYS: &[&str] =
    &["cache_mb", "renderers", "waiting", "wait_s", "kept_zoom", "kept_mb"];

impl Default for TileServiceSettings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            cache_bytes: 256 << 20,
            renderers: 2 * cores,
            waiting: 256,
            wait: Duration::from_secs(5),
            kept_zoom: 6,
            kept_bytes: 0,
        }
    }
}

impl TileServiceSettings {
    /// Reads the table; what is wrong is reported to its document and left at its default.
    pub(super) fn read(table: &Table<'_>) -> Self {
        let d = Self::default();
        let size = |key, range, default: usize| {
            table.integer(key, range).and_then(|n| n.try_into().ok()).unwrap_or(default)
        };
        Self {
            cache_bytes: table.integer("cache_mb", 0..=1 << 20).map_or(d.cache_bytes, |n| n << 20),
            renderers: size("renderers", 1..=1024, d.renderers),
            waiting: size("waiting", 0..=100_000, d.waiting),
            wait: table.seconds("wait_s", 0.0..=600.0).unwrap_or(d.wait),
            kept_zoom: table
                .integer("kept_zoom", 0..=10)
                .and_then(|z| z.try_into().ok())
                .unwrap_or(d.kept_zoom),
            kept_bytes: table.integer("kept_mb", 0..=1 << 20).map_or(d.kept_bytes, |n| n << 20),
        }
    }
}
