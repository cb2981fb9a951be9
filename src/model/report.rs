//! What a harvest found.

use super::{Comparison, Text};
use serde::{Deserialize, Serialize};

/// How many refusals and carried codes a report lists in full; beyond, only counts grow.
pub const MAX_LISTED: usize = 1000;

/// Why a row was refused. The closed list that reports and filters share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalReason {
    /// The row cannot be parsed (wrong number of columns, broken quoting, bad JSON).
    BrokenRow,
    /// A coordinate is missing, not a number or outside the CRS.
    BadCoordinate,
    /// The geometry is invalid and could not be repaired with its area and type kept.
    InvalidGeometry,
    /// It does not follow the schema that its layer names.
    Schema,
    /// A value or a geometry is larger than a source may bring.
    TooLarge,
    /// The declared key is null.
    MissingKey,
    /// The declared key appears twice.
    DuplicateKey,
}

/// One refused row: where, what and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// 1-based line or feature number in the source.
    pub line: u64,
    /// The column at fault, when one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The value at fault, cut to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The class of reason.
    pub reason: RefusalReason,
    /// The reason in words.
    pub text: Text,
}

/// An old commune code carried to the current one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The code in the source.
    pub from: String,
    /// The code it became.
    pub to: String,
    /// How many rows bear it.
    pub rows: u64,
}

/// The vintage of a column of commune codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vintage {
    /// What the layer file declares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<u16>,
    /// The year whose communes the codes were carried from.
    pub used: u16,
    /// The first of the years that explain the codes as well.
    pub first: u16,
    /// The last of them.
    pub last: u16,
    /// Distinct codes that were communes in these years.
    pub matched: u64,
    /// Distinct codes that were communes in some year.
    pub communes: u64,
}

/// Rows of different old communes that meet on one commune of today with different values:
/// nothing was merged, summed or picked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The commune of today.
    pub commune: String,
    /// The codes in the source.
    pub codes: Vec<String>,
}

/// The report of one harvest or upload. Counts are exact; lists stop at [`MAX_LISTED`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Rows read from the source.
    pub read: u64,
    /// Rows kept.
    pub kept: u64,
    /// Rows refused.
    pub refused: u64,
    /// Geometries repaired.
    pub repaired: u64,
    /// Rows whose commune code was carried to the current vintage.
    pub carried: u64,
    /// Rows attached to no territory.
    pub unattached: u64,
    /// Rows without geometry.
    pub without_geometry: u64,
    /// Rows identical to an earlier one (they got `-2`, `-3`… after their id).
    pub identical: u64,
    /// The refusals, in source order.
    pub refusals: Vec<Refusal>,
    /// The codes carried.
    pub carried_codes: Vec<Carried>,
    /// The vintage of the commune codes, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vintage: Option<Vintage>,
    /// Codes that exist in both vintages while their territory grew, shrank or is another.
    #[serde(default)]
    pub redefined_codes: Vec<Carried>,
    /// Codes whose territory lies in several communes today, which only a location tells apart;
    /// `to` lists them.
    #[serde(default)]
    pub undecidable_codes: Vec<Carried>,
    /// Communes on which rows of several old ones meet with different values.
    #[serde(default)]
    pub conflicts: Vec<Conflict>,
    /// Codes that name no known territory, with how many rows bear each.
    pub unknown_codes: Vec<Carried>,
    /// What moved since the version that was in force when it was read; `None` for a first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// What was detected or done that a person should know (encoding, separator, CRS, repairs,
    /// attachment by location, overlaps discarded…).
    pub notes: Vec<Text>,
}

impl Report {
    /// Counts a refusal and lists it while there is room.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.refused += 1;
        if self.refusals.len() < MAX_LISTED {
            self.refusals.push(refusal);
        }
    }
}
