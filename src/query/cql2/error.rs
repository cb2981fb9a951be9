//! What is wrong with a filter, said with its place.

use super::ast::Node;
use crate::{error::Error, model::Text};

/// Characters of a filter that a message repeats at most.
const SHOWN: usize = 60;

/// A message about a place in the text, in characters from 1.
pub(super) fn at(place: usize, text: Text) -> Error {
    Error::Invalid(Text::new(
        format!("Filtre, caractère {place} : {}", text.fr),
        format!("Filter, character {place}: {}", text.en),
    ))
}

/// A message about a part of a filter: its place in a text; in JSON, what it says.
pub(super) fn of(node: &Node, text: Text) -> Error {
    match node.at {
        Some(place) => at(place, text),
        None => {
            let part = shown(&super::write::to_text(node));
            Error::Invalid(Text::new(
                format!("Filtre, dans « {part} » : {}", text.fr),
                format!("Filter, in \"{part}\": {}", text.en),
            ))
        }
    }
}

/// A message about the whole.
pub(super) fn whole(text: Text) -> Error {
    Error::Invalid(Text::new(format!("Filtre : {}", text.fr), format!("Filter: {}", text.en)))
}

/// What a message repeats of something that was asked.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Some words in a row, as a message lists them; the nearest to what was asked first when there
/// are many.
pub(super) fn list<'a>(asked: &str, known: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 40;
    let mut known: Vec<&str> = known.collect();
    if known.len() > MOST {
        let far = |name: &str| -strsim::jaro_winkler(&name.to_lowercase(), &asked.to_lowercase());
        known.sort_by(|a, b| far(a).total_cmp(&far(b)));
        let more = known.len() - MOST;
        known.truncate(MOST);
        return format!("{}… (+{more})", known.join(", "));
    }
    known.join(", ")
}
