//! Sentences for people, in French and in English.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A language the program speaks. French comes first: it is the default everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// French (default).
    #[default]
    Fr,
    /// English, when the client asks for it.
    En,
}

impl Lang {
    /// The BCP 47 tag, as in `Content-Language`.
    pub fn tag(self) -> &'static str {
        match self {
            Lang::Fr => "fr",
            Lang::En => "en",
        }
    }
}

/// One message in both languages. Errors and reports carry it; the edge picks the language.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Text {
    /// The French sentence.
    pub fr: String,
    /// The English sentence.
    pub en: String,
}

impl Text {
    /// A message from its two wordings.
    pub fn new(fr: impl Into<String>, en: impl Into<String>) -> Self {
        Self { fr: fr.into(), en: en.into() }
    }

    /// The same words in both languages (names, data, figures).
    pub fn same(words: impl Into<String>) -> Self {
        let fr = words.into();
        Self { en: fr.clone(), fr }
    }

    /// The wording in `lang`.
    pub fn get(&self, lang: Lang) -> &str {
        match lang {
            Lang::Fr => &self.fr,
            Lang::En => &self.en,
        }
    }
}

/// French: what reaches a log or a terminal without a negotiated language.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fr)
    }
}

/// Builds a [`Text`] from a French and an English format string that share their arguments:
/// `text!("couche {id} inconnue", "unknown layer {id}")`, or with one argument per language:
/// `text!("… {fr}", "… {en}", fr = cause.fr, en = cause.en)`.
#[macro_export]
macro_rules! text {
    ($fr:literal, $en:literal $(,)?) => {
        $crate::model::Text::new(format!($fr), format!($en))
    };
    ($fr:literal, $en:literal, fr = $f:expr, en = $e:expr $(,)?) => {
        $crate::model::Text::new(format!($fr, fr = $f), format!($en, en = $e))
    };
}
