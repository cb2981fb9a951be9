//! Mapbox Vector Tile 2.1, written by hand into bytes and read strictly back.
//!
//! Writing is split where the work is: properties become `Value` messages once, when a version is
//! loaded ([`tags`]); a tile only gathers and deduplicates those bytes ([`LayerWriter`]). Geometry
//! comes as finished commands: what they draw is the business of those who make them.
//!
//! Reading ([`read`]) accepts what the specification allows and nothing else, from any source.

mod read;
mod tags;
mod wire;
mod write;

pub use read::{DecodedFeature, DecodedLayer, DecodedValue, GeometryType, read};
pub use tags::{decode_tags, encode_tags, push_tag};
pub use write::{CorruptTags, LayerWriter, push_varint, zigzag};

/// The MVT id of a feature whose id is `text`: a hash of 53 bits, what JavaScript counts exactly,
/// and the same in every release (FNV-1a). Never 0.
pub fn feature_id(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash & ((1 << 53) - 1)).max(1)
}

/// Units along each axis of a tile.
pub const EXTENT: u32 = 4096;

#[cfg(test)]
mod tests;
