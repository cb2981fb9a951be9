//! How two geometries lie to each other.

/// A topological relation of two geometries in the plane (OGC 06-103r4, by the DE-9IM).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relation {
    /// They share a point.
    Intersects,
    /// They hold the same points.
    Equals,
    /// They share points of their borders only.
    Touches,
    /// They cross: what they share is inside both and of a lower dimension.
    Crosses,
    /// The first lies in the second.
    Within,
    /// The second lies in the first.
    Contains,
    /// They share a part of their own dimension, and each has more.
    Overlaps,
}

impl Relation {
    /// The same relation told from the other side.
    pub fn turned(self) -> Self {
        match self {
            Self::Within => Self::Contains,
            Self::Contains => Self::Within,
            other => other,
        }
    }
}
