//! The territories a cut is made at.

use super::{RankSet, TerritoryCode};

/// One territory or several (their union), whose border cuts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Perimeter {
    /// Normal form: the territories sorted, as `dep:59+dep:62`.
    pub key: String,
    /// The territories, sorted, each once.
    pub units: Vec<PerimeterUnit>,
}

/// A territory of a [`Perimeter`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PerimeterUnit {
    /// Level and code.
    pub code: TerritoryCode,
    /// Its communes, when it is made of whole ones: their union is its shape.
    pub communes: Option<RankSet>,
}
