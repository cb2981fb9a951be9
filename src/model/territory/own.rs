//! Levels that the operator's configuration adds to those of the COG: bassins de vie, parks, SCoT.
//!
//! Which levels there are is settled once, when the configuration is read, and is then as fixed as
//! the levels that the program knows by itself: a level is a word, not a thing to carry around.

use super::Level;
use crate::model::{LayerId, Text};
use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, PoisonError, RwLock},
};

/// Longest id of a level.
const MOST: usize = 16;

/// What the configuration says of a level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelWords {
    /// Its id, `[a-z]+`.
    pub id: String,
    /// What one is called.
    pub title: Text,
    /// What several are called.
    pub plural: Text,
    /// Whether its territories are made of whole communes.
    pub communal: bool,
}

/// A level of the configuration. Two are the same when their ids are.
#[derive(Clone, Copy)]
pub struct OwnLevel(&'static LevelWords);

static OWN: RwLock<Vec<OwnLevel>> = RwLock::new(Vec::new());

impl OwnLevel {
    /// What is said of it.
    pub fn words(self) -> &'static LevelWords {
        self.0
    }

    pub(super) fn find(id: &str) -> Option<Self> {
        let own = OWN.read().unwrap_or_else(PoisonError::into_inner);
        own.iter().copied().find(|level| level.0.id == id)
    }

    pub(super) fn all() -> Vec<Self> {
        OWN.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a level known, in place of the one of that id.
    pub(super) fn add(words: LevelWords) -> Self {
        let mut own = OWN.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = own.iter().find(|level| *level.0 == words) {
            return *same;
        }
        // A few words that live as long as the program.
        let level = Self(Box::leak(Box::new(words)));
        own.retain(|other| *other != level);
        own.push(level);
        own.sort();
        level
    }

    /// Whether a text may be the id of a level: lower-case letters, and no word that scopes and
    /// levels use already.
    pub(super) fn admits(id: &str) -> bool {
        let letters = !id.is_empty() && id.bytes().all(|b| b.is_ascii_lowercase());
        let taken = ["within", "clip"].contains(&id) || Level::ALL.iter().any(|l| l.id() == id);
        letters && id.len() <= MOST && !taken
    }
}

impl PartialEq for OwnLevel {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for OwnLevel {}

impl Hash for OwnLevel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl Ord for OwnLevel {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.id.cmp(&other.0.id)
    }
}

impl PartialOrd for OwnLevel {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for OwnLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.id)
    }
}

/// What a configured level is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum LevelSource {
    /// The features of a layer of polygons.
    Layer(LayerId),
    /// A table of member communes.
    Table(LevelTable),
}

/// A level of the configuration with what it is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct LevelDef {
    /// The level.
    pub level: Level,
    /// Its source.
    pub source: LevelSource,
}

/// A table of member communes: one row for each commune, with the territory it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelTable {
    /// The file, as messages name it.
    pub file: String,
    /// Its text: delimited, with a header.
    pub text: Arc<str>,
    /// The column of commune codes; recognised by its usual names when not given.
    pub commune: Option<String>,
    /// The column of the territories' codes.
    pub code: String,
    /// The column of their names; their codes serve without it.
    pub name: Option<String>,
}
