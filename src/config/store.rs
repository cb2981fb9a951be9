//! `[store]`: where versions live.

use super::{relative, table::Table};
use std::path::{Path, PathBuf};

/// `[store]`.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Folder of the embedded store. Default `data/store` beside the configuration.
    pub path: PathBuf,
}

pub(super) const KEYS: &[&str] = &["path"];

impl StoreSettings {
    /// The defaults, for a configuration in `base`.
    pub(super) fn default_in(base: &Path) -> Self {
        Self { path: base.join("data/store") }
    }

    /// Reads the table; what is wrong is reported to its document and left at its default.
    pub(super) fn read(table: &Table<'_>, base: &Path) -> Self {
        let default = Self::default_in(base);
        Self { path: relative(table, "path", base).unwrap_or(default.path) }
    }
}
