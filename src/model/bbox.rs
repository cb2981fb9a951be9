//! Boxes in degrees.

use serde::{Deserialize, Serialize};

/// A longitude/latitude box in CRS84 degrees. `west > east` means that it crosses the
/// antimeridian (RFC 7946 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BBox {
    /// Western longitude, degrees.
    pub west: f64,
    /// Southern latitude, degrees.
    pub south: f64,
    /// Eastern longitude, degrees.
    pub east: f64,
    /// Northern latitude, degrees.
    pub north: f64,
}

impl BBox {
    /// A box that contains nothing and grows with [`BBox::add`].
    pub const EMPTY: BBox = BBox {
        west: f64::INFINITY,
        south: f64::INFINITY,
        east: f64::NEG_INFINITY,
        north: f64::NEG_INFINITY,
    };
    /// The whole world.
    pub const WORLD: BBox = BBox { west: -180.0, south: -90.0, east: 180.0, north: 90.0 };

    /// Grows to hold a point.
    pub fn add(&mut self, lon: f64, lat: f64) {
        self.west = self.west.min(lon);
        self.south = self.south.min(lat);
        self.east = self.east.max(lon);
        self.north = self.north.max(lat);
    }

    /// Grows to hold another box (neither crossing the antimeridian).
    pub fn merge(&mut self, other: &BBox) {
        if !other.is_empty() {
            self.add(other.west, other.south);
            self.add(other.east, other.north);
        }
    }

    /// Whether nothing was ever added.
    pub fn is_empty(&self) -> bool {
        self.west == f64::INFINITY
    }

    /// Whether the box crosses the antimeridian.
    pub fn crosses_antimeridian(&self) -> bool {
        self.west > self.east && !self.is_empty()
    }

    /// The one or two ordinary boxes it is made of.
    pub fn parts(&self) -> Vec<BBox> {
        if self.crosses_antimeridian() {
            vec![BBox { east: 180.0, ..*self }, BBox { west: -180.0, ..*self }]
        } else {
            vec![*self]
        }
    }

    /// Whether two ordinary boxes share at least a point.
    pub fn meets(&self, other: &BBox) -> bool {
        self.west <= other.east
            && other.west <= self.east
            && self.south <= other.north
            && other.south <= self.north
    }

    /// `[west, south, east, north]`, as in GeoJSON and TileJSON.
    pub fn to_array(&self) -> [f64; 4] {
        [self.west, self.south, self.east, self.north]
    }
}
