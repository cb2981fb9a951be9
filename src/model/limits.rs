//! How much of the machine a source may take.

use super::SourceDef;

/// Bounds of what is read from one source, whatever its format. Those of a row refuse the row,
/// the others the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceLimits {
    /// Most bytes that an archive may hold once unpacked.
    pub max_unpacked: u64,
    /// Most bytes that one packed byte may give.
    pub max_ratio: u64,
    /// Most entries of an archive.
    pub max_entries: u64,
    /// Most rows.
    pub max_rows: u64,
    /// Most columns.
    pub max_columns: usize,
    /// Most vertices of one feature.
    pub max_vertices: u64,
    /// Most vertices of all features together.
    pub max_total_vertices: u64,
    /// Most bytes of one value.
    pub max_value: u64,
    /// Most bytes of all values together.
    pub max_values: u64,
}

impl Default for SourceLimits {
    fn default() -> Self {
        Self {
            max_unpacked: 4096 << 20,
            // Deflate tops out at 1,032; real data, even a `.dbf` padded with spaces, stays far
            // below this.
            max_ratio: 250,
            max_entries: 10_000,
            max_rows: 10_000_000,
            max_columns: 4096,
            max_vertices: 5_000_000,
            max_total_vertices: 200_000_000,
            max_value: 1 << 20,
            max_values: 8192 << 20,
        }
    }
}

impl SourceLimits {
    /// The defaults, with eight times what may be fetched once unpacked: text packs five to ten
    /// times smaller.
    pub fn of(source: &SourceDef) -> Self {
        Self { max_unpacked: source.max_bytes.saturating_mul(8), ..Self::default() }
    }
}
