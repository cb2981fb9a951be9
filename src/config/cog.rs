//! `[cog]`: where new vintages of the Code officiel géographique come from.

use super::{schedule, source, table::Table};
use crate::{
    model::{Schedule, SourceDef},
    text,
};
use std::path::Path;

/// `[cog]`.
#[derive(Debug, Clone, Default)]
pub struct CogSettings {
    /// The files of one vintage: INSEE's CSV, the JSON of `@etalab/decoupage-administratif`, or
    /// zips of them.
    pub sources: Vec<SourceDef>,
    /// The vintage, when no file names it.
    pub vintage: Option<u16>,
    /// When a server looks for a new one; `None`: when somebody says so.
    pub schedule: Option<Schedule>,
}

pub(super) const KEYS: &[&str] = &["sources", "vintage", "schedule"];
const SOURCE_KEYS: &[&str] = &["path", "url", "max_mb", "timeout_s"];

impl CogSettings {
    /// Reads the table of a configuration in `base`.
    pub(super) fn read(table: &Table<'_>, base: &Path) -> Self {
        let sources = table.tables("sources", SOURCE_KEYS);
        let sources: Vec<SourceDef> =
            sources.iter().filter_map(|one| source::read(one, base)).collect();
        let schedule = table.table("schedule", schedule::KEYS).and_then(|t| schedule::read(&t));
        if schedule.is_some() && !table.has("sources") {
            table.report(
                "schedule",
                text!(
                    "rien à chercher : il manque [[cog.sources]]",
                    "nothing to look for: [[cog.sources]] is missing"
                ),
            );
        }
        let vintage = table.integer("vintage", 1943..=2200).and_then(|n| n.try_into().ok());
        Self { sources, vintage, schedule }
    }
}
