//! How the map of a layer is drawn, as its file asks (`[style]`): a theme, names on the features,
//! and colours by the values of a field.

use super::Text;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Most classes a field of numbers is cut into: the eye tells no more shades apart.
pub const MAX_CLASSES: usize = 9;
/// Most categories a field is drawn by.
pub const MAX_CATEGORIES: usize = 40;

/// What `[style]` of a layer file says.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Symbols {
    /// The theme; `None`: that of borders for a layer that draws a level, else the plain one.
    pub theme: Option<Theme>,
    /// Heading of the legend; empty: the field's title.
    pub title: Text,
    /// Whether features are named by the layer's `label` field.
    pub labels: bool,
    /// First zoom with names; `None`: where they have room.
    pub labels_from: Option<u8>,
    /// What colours depend on; `None`: all features look alike.
    pub division: Option<Division>,
}

/// What a layer is about, which chooses its colours and its symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// Nothing in particular.
    #[default]
    Divers,
    /// Administrative borders: to be seen through.
    Limites,
    /// Places that serve the public.
    Equipements,
    /// Territories and projects of public programmes.
    Programmes,
    /// Shops.
    Commerces,
    /// Nature, water, energy.
    Environnement,
    /// Ways and stops.
    Transport,
}

impl Theme {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Divers,
        Self::Limites,
        Self::Equipements,
        Self::Programmes,
        Self::Commerces,
        Self::Environnement,
        Self::Transport,
    ];

    /// Its name in layer files.
    pub fn id(self) -> &'static str {
        match self {
            Self::Divers => "divers",
            Self::Limites => "limites",
            Self::Equipements => "equipements",
            Self::Programmes => "programmes",
            Self::Commerces => "commerces",
            Self::Environnement => "environnement",
            Self::Transport => "transport",
        }
    }
}

/// Colours from little to much, or from one end to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ramp {
    /// Light to dark blue.
    Bleus,
    /// Light to dark green.
    Verts,
    /// Light orange to brown.
    Oranges,
    /// Light to dark violet.
    Violets,
    /// Light to dark grey.
    Gris,
    /// Blue, white in the middle, red.
    BleuRouge,
    /// Violet, white in the middle, orange.
    VioletOrange,
}

impl Ramp {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Bleus,
        Self::Verts,
        Self::Oranges,
        Self::Violets,
        Self::Gris,
        Self::BleuRouge,
        Self::VioletOrange,
    ];

    /// Its name in layer files.
    pub fn id(self) -> &'static str {
        match self {
            Self::Bleus => "bleus",
            Self::Verts => "verts",
            Self::Oranges => "oranges",
            Self::Violets => "violets",
            Self::Gris => "gris",
            Self::BleuRouge => "bleu-rouge",
            Self::VioletOrange => "violet-orange",
        }
    }
}

/// No theme or ramp has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such name")]
pub struct NoSuchName;

impl FromStr for Theme {
    type Err = NoSuchName;
    fn from_str(words: &str) -> Result<Self, NoSuchName> {
        Self::ALL.into_iter().find(|theme| theme.id() == words).ok_or(NoSuchName)
    }
}

impl FromStr for Ramp {
    type Err = NoSuchName;
    fn from_str(words: &str) -> Result<Self, NoSuchName> {
        Self::ALL.into_iter().find(|ramp| ramp.id() == words).ok_or(NoSuchName)
    }
}

/// What the colours of a layer depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Division {
    /// The value of a field, each with its colour.
    Categories(Categories),
    /// The class that a number falls into.
    Classes(Classes),
}

impl Division {
    /// The field they read: tiles carry it whatever they weigh.
    pub fn field(&self) -> &str {
        match self {
            Self::Categories(categories) => &categories.field,
            Self::Classes(classes) => &classes.field,
        }
    }
}

/// Values of a field that are drawn apart; the others share a grey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Categories {
    /// The field.
    pub field: String,
    /// The values, in the order of the legend.
    pub values: Vec<Category>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// The value.
    pub value: CategoryValue,
    /// What the legend calls it.
    pub title: Text,
    /// `#rrggbb`; `None`: one of the palette's, by its place in the list.
    pub colour: Option<String>,
}

/// A value that a field may hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CategoryValue {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A text.
    Text(String),
}

impl fmt::Display for CategoryValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(b) => b.fmt(f),
            Self::Int(i) => i.fmt(f),
            Self::Text(words) => words.fmt(f),
        }
    }
}

/// A field of numbers, cut into classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Classes {
    /// The field.
    pub field: String,
    /// Where it is cut.
    pub cut: Cut,
    /// Colours; `None`: those of the theme.
    pub ramp: Option<Ramp>,
}

/// Where a field of numbers is cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cut {
    /// At these values, ascending; a value belongs to the class above it.
    At(Vec<f64>),
    /// Into so many classes of as many features each, as far as equal values and round limits
    /// allow.
    Quantile(usize),
    /// Into so many classes as wide as each other.
    Equal(usize),
}

/// The classes of a version: decided once from its features, so that every client, scope and
/// replica draws the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassLimits {
    /// The field.
    pub field: String,
    /// How it was to be cut.
    pub cut: Cut,
    /// The limits between classes, ascending: one less than there are classes.
    pub limits: Vec<f64>,
    /// Features without a number in the field.
    pub missing: u64,
}
