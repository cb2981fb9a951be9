//! A delivery set against the version in force: what moved, what the layer's rules say of it, and
//! why it was held when they hold it.

use super::{BBox, ChangesHead, FieldKind, GeometryKind, Text, Version, VersionId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The rules of a layer, in hundredths: beyond them a delivery is held for a person to look at. At
/// 100 a rule holds nothing. A first delivery is never held: it takes nobody's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRules {
    /// By how much the number of features may fall.
    pub fewer_rows: u8,
    /// How much of the extent in force may be left uncovered.
    pub moved_extent: u8,
    /// How many of the rows read may be refused, where that is more than last time.
    pub refused: u8,
    /// How many of the features in force may be gone, by their key.
    pub removed: u8,
    /// How many of the features in force may have other values or another geometry, by their key.
    pub changed: u8,
    /// Whether a column that is lost, text that became numbers, or geometry of another kind hold.
    pub lost_columns: bool,
}

impl HoldRules {
    /// Whether a rule takes features compared by key.
    pub fn by_key(&self) -> bool {
        self.removed < 100 || self.changed < 100
    }
}

impl Default for HoldRules {
    fn default() -> Self {
        Self {
            fewer_rows: 50,
            moved_extent: 50,
            refused: 20,
            removed: 100,
            changed: 100,
            lost_columns: true,
        }
    }
}

/// Which rule held a delivery. The closed list that reports, alerts and filters share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldRule {
    /// Fewer features than the rule allows.
    FewerRows,
    /// Columns that are no longer there.
    LostColumn,
    /// Text that became numbers: codes lose their zeros so.
    RetypedColumn,
    /// Geometry of another kind, or none any more.
    OtherGeometry,
    /// The extent left the place it was at.
    MovedExtent,
    /// Too many refused rows.
    Refused,
    /// Too many features gone.
    Removed,
    /// Too many features that are others under the same key.
    Changed,
}

/// One reason: the rule, and what it found in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldReason {
    /// The rule.
    pub rule: HoldRule,
    /// What it found, with the figures.
    pub text: Text,
}

/// A column whose type is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retyped {
    /// The column.
    pub column: String,
    /// Its type in force.
    pub from: FieldKind,
    /// Its type in the delivery.
    pub to: FieldKind,
}

/// A delivery set against a version. What takes a reading of all rows (features by key) is not in
/// it: see [`Hold::changes`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The version it is set against.
    pub base: VersionId,
    /// Features in force.
    pub rows_before: u64,
    /// Features delivered.
    pub rows_after: u64,
    /// Share of the rows that were refused in force, 0–1.
    pub refused_before: f64,
    /// Share of the rows that are refused now, 0–1.
    pub refused_after: f64,
    /// Columns that are new, in the order of the delivery.
    pub columns_added: Vec<String>,
    /// Columns that are no longer there, in the order in force.
    pub columns_lost: Vec<String>,
    /// Columns of another type.
    pub columns_retyped: Vec<Retyped>,
    /// The geometry in force.
    pub geometry_before: GeometryKind,
    /// The geometry delivered.
    pub geometry_after: GeometryKind,
    /// The extent in force, degrees.
    pub extent_before: Option<BBox>,
    /// The extent delivered, degrees.
    pub extent_after: Option<BBox>,
    /// Share of the extent in force (with a margin around both) that the new one covers, 0–1; where
    /// both have one.
    pub extent_kept: Option<f64>,
}

/// Why a delivery waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Since when.
    pub at: Timestamp,
    /// Every rule that holds it; never empty.
    pub reasons: Vec<HoldReason>,
    /// What publishing it would add, change and remove, by key; `None` where that could not be told.
    pub changes: Option<ChangesHead>,
}

/// A version that was loaded and waits for a person.
#[derive(Debug, Clone)]
pub struct Held {
    /// The version.
    pub version: Version,
    /// Why it waits.
    pub hold: Hold,
}

impl Hold {
    /// The reasons in one sentence.
    pub fn sentence(&self) -> Text {
        let join = |of: fn(&Text) -> &str| {
            self.reasons.iter().map(|r| of(&r.text)).collect::<Vec<_>>().join(" ; ")
        };
        Text::new(join(|t| &t.fr), join(|t| &t.en))
    }
}
