//! Which territory reference is in force, as a store keeps it: versions of the COG loaded from
//! files, which of them counts, and what its coming into force changed.

use super::{LayerId, VersionId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a store keeps of the reference. The default is the table compiled into the program, which
/// is kept here like any other before anything is attached under it: the next program brings another.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReferenceState {
    /// Raised by each change: who writes names the one it read.
    pub serial: u64,
    /// The table in force; `None`: nothing was attached yet, and the one compiled in counts.
    pub current: Option<String>,
    /// What was in force before it, newest last: where undoing leads.
    pub before: Vec<Option<String>>,
    /// The tables kept, in the order they were loaded.
    pub tables: Vec<ReferenceTable>,
    /// The reach indexes that came into force with the table: until each is published by itself,
    /// it counts instead of the one it was made for.
    pub flips: Vec<Flip>,
}

impl ReferenceState {
    /// The tables that were loaded after the one in force and never put in force.
    pub fn waiting(&self) -> impl Iterator<Item = &ReferenceTable> {
        let current = self.current.as_deref().and_then(|id| self.table(id));
        let since = current.and_then(|table| table.applied_at);
        self.tables.iter().filter(move |table| {
            let newer = since.is_none_or(|since| table.loaded_at > since);
            newer && !table.compiled && table.applied_at.is_none()
        })
    }
}

/// A table of the COG that was loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReferenceTable {
    /// Its id (`cog-2027-1f09c3aa`).
    pub id: String,
    /// Its vintage.
    pub vintage: u16,
    /// What it was made from.
    pub source: String,
    /// Its communes.
    pub communes: u32,
    /// Checksum of its bytes, hexadecimal.
    pub sha256: String,
    /// When it was loaded.
    pub loaded_at: Timestamp,
    /// When it last came into force.
    pub applied_at: Option<Timestamp>,
    /// Whether a program brought it, this one or one before, rather than files.
    #[serde(default)]
    pub compiled: bool,
}

/// A layer's reach index that comes into force with a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flip {
    /// The layer.
    pub layer: LayerId,
    /// Its version.
    pub version: VersionId,
    /// The index in force before.
    pub from: String,
    /// The index under the table.
    pub to: String,
}

impl ReferenceState {
    /// A table that is kept.
    pub fn table(&self, id: &str) -> Option<&ReferenceTable> {
        self.tables.iter().find(|table| table.id == id)
    }

    /// The reach index that counts for a layer whose own pointer says `reach`.
    pub fn reach<'a>(&'a self, layer: &LayerId, version: &VersionId, reach: &'a str) -> &'a str {
        let flip = self
            .flips
            .iter()
            .find(|flip| flip.layer == *layer && flip.version == *version && flip.from == reach);
        flip.map_or(reach, |flip| &flip.to)
    }
}
