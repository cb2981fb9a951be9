//! Style documents of MapLibre for layers that bring none: drawn by geometry, by theme and by the
//! values of a field, with names and a legend, as `[style]` of the layer file asks.
//!
//! Only what the converters of QGIS 3.22 and newer also read: fills, lines, circles and symbols,
//! one style layer per colour, filters of the older kind. A legend lists the same colours.

pub mod colours;
mod draw;
mod legend;
mod sprite;

pub use draw::plain;
pub use sprite::Sprite;

use crate::model::{ClassLimits, Classes, Cut, Division, LayerDef, Text, Theme, Version};
use serde_json::{Value, json};

/// What a style document says besides how the layer is drawn.
#[derive(Debug, Default)]
pub struct Around<'a> {
    /// The document's name.
    pub name: &'a str,
    /// Its vector source, which is named like the layer.
    pub source: Value,
    /// Where the [`Sprite`] is, without suffix; `None`: symbols are left out.
    pub sprite: Option<String>,
}

/// The style document of a layer.
pub fn style(def: &LayerDef, version: &Version, around: Around<'_>) -> Value {
    let theme = theme(def);
    let points = version.schema.geometry.dimension() == Some(0);
    let sprite = around.sprite.filter(|_| points && sprite::has(theme));
    let mut style = json!({
        "version": 8,
        "name": around.name,
        "metadata": { "socle:theme": theme.id(), "socle:legend": legend(def, version) },
        "sources": { def.id.as_str(): around.source },
        "layers": draw::layers(def, version, sprite.is_some()),
    });
    if let Some(sprite) = sprite {
        style["sprite"] = sprite.into();
    }
    style
}

/// What colours mean, as `socle:legend` of `styles/README.md`.
pub fn legend(def: &LayerDef, version: &Version) -> Value {
    legend::of(def, version)
}

/// The theme a layer is drawn in.
fn theme(def: &LayerDef) -> Theme {
    let borders = def.territory.borders.map(|_| Theme::Limites);
    def.symbols.theme.or(borders).unwrap_or_default()
}

/// Features that look alike: their colour, which they are, and what the legend calls them.
struct Part {
    colour: String,
    /// A filter of the older kind; `None`: all features.
    filter: Option<Value>,
    words: Text,
}

/// The parts of a layer, in the order of its legend.
fn parts(def: &LayerDef, version: &Version) -> Vec<Part> {
    let main = colours::of_theme(theme(def)).main;
    match &def.symbols.division {
        Some(Division::Categories(categories)) => legend::categories(categories),
        Some(Division::Classes(classes)) => match limits(classes, version.classes.as_deref()) {
            Some(limits) => {
                let ramp = classes.ramp.unwrap_or_else(|| colours::of_theme(theme(def)).ramp);
                let mut parts = legend::classes(&classes.field, limits, ramp);
                let complete = version.classes.as_ref().is_some_and(|c| c.missing == 0);
                if complete && !matches!(classes.cut, Cut::At(_)) {
                    parts.pop();
                }
                parts
            }
            // Loaded before the layer file asked for classes.
            None => legend::whole(def, main),
        },
        None => legend::whole(def, main),
    }
}

/// Where a version's field is cut: as the file says, else as was decided when it was loaded.
fn limits<'a>(classes: &'a Classes, decided: Option<&'a ClassLimits>) -> Option<&'a [f64]> {
    match &classes.cut {
        Cut::At(limits) => Some(limits),
        cut => {
            let same = |d: &&ClassLimits| d.field == classes.field && d.cut == *cut;
            decided.filter(same).map(|d| d.limits.as_slice())
        }
    }
}

#[cfg(test)]
mod tests;
