//! What a version's tiles leave out or add, decided when it was loaded.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How tiles are drawn where that is not simply all fields and all geometry: the same in every
/// store and in archives. Zooms are those of `WebMercatorQuad`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Drawing {
    /// Most bytes of a tile before compression, where keeping within them took something away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<u32>,
    /// The first zoom that the layer asks for, where only later ones keep within the budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_min_zoom: Option<u8>,
    /// By zoom, the least triangle that a vertex of lines and polygons spans, in square units of
    /// 1/4096 of a tile, where it is more than usual.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub detail: BTreeMap<u8, u32>,
    /// By field, the first zoom whose tiles carry it; other fields are in all.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub from: BTreeMap<String, u8>,
    /// Of those, the fields that the budget took away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<String>,
    /// Whether tiles carry a layer of points to put labels on, one for each polygon.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub labels: bool,
    /// Whether tiles carry a layer of the borders of polygons, each once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub borders: bool,
}

/// What a layer of a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The features.
    Features,
    /// Points to put their labels on.
    Labels,
    /// Their borders.
    Borders,
}

impl Drawing {
    /// Names of a border's properties: the keys of the polygons on its two sides.
    pub const SIDES: [&str; 2] = ["right", "left"];

    /// The layers that tiles of a layer carry, in their order.
    pub fn layers(layer: &str, drawing: Option<&Self>) -> Vec<(String, Part)> {
        let mut all = vec![(layer.to_owned(), Part::Features)];
        if drawing.is_some_and(|d| d.labels) {
            all.push((Self::labels_of(layer), Part::Labels));
        }
        if drawing.is_some_and(|d| d.borders) {
            all.push((Self::borders_of(layer), Part::Borders));
        }
        all
    }

    /// The name of a layer's labels among the layers of a tile. No layer's id holds a dot.
    pub fn labels_of(layer: &str) -> String {
        format!("{layer}.labels")
    }

    /// The name of a layer's borders among the layers of a tile.
    pub fn borders_of(layer: &str) -> String {
        format!("{layer}.borders")
    }

    /// Whether tiles of a zoom carry a field.
    pub fn shows(&self, field: &str, zoom: u8) -> bool {
        self.from.get(field).is_none_or(|first| *first <= zoom)
    }
}
