//! GML: features written as WFS clients of all ages read them (3.2, 3.1.1, 2.1.2), and geometries
//! read back, as filters and harvested services hold them.

mod names;
mod read;
mod write;

pub use names::{decode, encode, feature_id, feature_of};
pub use read::{Shape, is_geometry, read, read_within};
pub use write::{FeatureWriter, Gml, Part, property_type};

/// The prefix of our own elements.
pub const PREFIX: &str = "socle";
/// The namespace of our own elements.
pub const SPACE: &str = "urn:x-socle:features";
