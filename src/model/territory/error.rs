//! Why a text is refused, in words that say what is allowed.

use super::Level;
use crate::model::{Lang, Text};
use crate::text;
use std::fmt;

/// Why a text is no territory code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerritoryError {
    /// There is no level of that name.
    Level {
        /// What was written.
        given: String,
    },
    /// The code does not have the form of its level's codes.
    Code {
        /// The level.
        level: Level,
        /// The code that was written.
        given: String,
    },
    /// It is not of the form `level:code`.
    Form {
        /// What was written.
        given: String,
    },
}

/// What was written, short enough for a message.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let mut short: String = text.chars().take(MOST).map(printable).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short
}

/// Control characters would break logs and headers.
fn printable(c: char) -> char {
    if c.is_control() { '\u{fffd}' } else { c }
}

impl TerritoryError {
    /// The refusal of a text that is not of the form `level:code`.
    pub fn form(text: &str) -> Self {
        Self::Form { given: shown(text) }
    }

    /// The message for people: what was wrong and what is allowed.
    pub fn text(&self) -> Text {
        match self {
            Self::Level { given } => {
                let levels = Level::ids();
                text!(
                    "« {given} » : niveau de territoire inconnu. Niveaux : {levels}.",
                    "\"{given}\": unknown territory level. Levels: {levels}."
                )
            }
            Self::Code { level, given } => {
                let (fr, en) = (level.label(Lang::Fr), level.label(Lang::En));
                let Text { fr: form, en: form_en } = level.code_form();
                text!(
                    "« {given} » n'a pas la forme d'un code du niveau {level} ({fr}) : {form}.",
                    "\"{given}\" does not have the form of a code of level {level} ({en}): {form_en}."
                )
            }
            Self::Form { given } => text!(
                "« {given} » n'est pas un territoire. Attendu : niveau:code, comme dep:59.",
                "\"{given}\" is not a territory. Expected: level:code, such as dep:59."
            ),
        }
    }
}

impl fmt::Display for TerritoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().fmt(f)
    }
}

impl std::error::Error for TerritoryError {}
