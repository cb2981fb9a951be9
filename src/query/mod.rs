//! The one query model: what items, tiles, exports and statistics all ask of a store. Each API
//! only parses into it; each store only lowers from it. No HTTP, no SQL, no parsing of URLs here
//! beyond the values' own syntax.

pub mod cql2;
mod cursor;
pub mod fes;
mod params;
mod sort;

pub use cursor::Cursor;
pub use params::{bbox_numbers, parse_bbox, parse_limit, typed_value};
pub use sort::{Sort, SortKey, is_sortable};

use crate::model::{BBox, Selection, Value};
use std::sync::Arc;

/// Default number of features on a page (DESIGN §4).
pub const DEFAULT_LIMIT: u64 = 1_000;
/// Most features on a page (DESIGN §4).
pub const MAX_LIMIT: u64 = 10_000;

/// Which features.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Features whose bounding box meets this one (degrees); features without geometry match.
    pub bbox: Option<BBox>,
    /// Features that a territory selects.
    pub selection: Option<Arc<Selection>>,
    /// Properties that equal a value, all of them.
    pub equals: Vec<Equals>,
    /// A CQL2 filter, checked against the version's schema.
    pub expression: Option<Arc<cql2::Expression>>,
}

/// One `property = value` test; `field` is the position in the version's schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Equals {
    /// Position of the field.
    pub field: usize,
    /// The value, of the field's kind.
    pub value: Value,
}

impl Filter {
    /// Whether it lets everything through.
    pub fn is_empty(&self) -> bool {
        self.bbox.is_none()
            && self.selection.is_none()
            && self.equals.is_empty()
            && self.expression.is_none()
    }

    /// Whether a territory is all that it asks for, if that.
    pub fn is_territory_alone(&self) -> bool {
        Self { selection: None, ..self.clone() }.is_empty()
    }

    /// Its normal form: equal for two filters that mean the same, whatever the order in which
    /// they were written. Part of ETags and cursors.
    pub fn key(&self) -> String {
        use std::fmt::Write;
        let mut key = String::new();
        if let Some(b) = &self.bbox {
            let _ = write!(key, "b{},{},{},{};", b.west, b.south, b.east, b.north);
        }
        if let Some(s) = &self.selection {
            let _ = write!(key, "t{};", s.key);
        }
        let mut equals: Vec<String> =
            self.equals.iter().map(|e| format!("p{}={:?};", e.field, e.value)).collect();
        equals.sort();
        key.extend(equals);
        if let Some(e) = &self.expression {
            let _ = write!(key, "f{};", e.key());
        }
        key
    }
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the first match whose ordinal (0-based rank in source order) is at least this.
    Ordinal(u64),
    /// After skipping this many matches.
    Offset(u64),
}

/// Which features, from where, how many: a scan goes in source order.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Which features.
    pub filter: Filter,
    /// Where to start.
    pub start: Start,
    /// How many at most; `None`: all.
    pub limit: Option<u64>,
}
