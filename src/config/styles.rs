//! The folder of MapLibre style documents: read once at start so that a broken one is refused
//! then, not when a map first asks for it.

use super::{document::Document, files};
use crate::{model::Text, text};
use std::{collections::BTreeSet, path::Path};

/// The ids of the styles of a folder, and what is wrong with any of them.
pub(super) fn check(folder: &Path, problems: &mut Vec<Text>) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let paths = match files::list(folder, "json") {
        Ok(paths) => paths,
        Err(why) => {
            problems.push(why);
            return ids;
        }
    };
    for path in paths {
        let Some(id) = path.file_stem().and_then(|s| s.to_str()) else { continue };
        if let Err(why) = files::read(&path).and_then(|text| style(&files::shown(&path), text)) {
            problems.push(why);
        }
        // A broken style still counts as there: one problem is said once.
        ids.insert(id.to_owned());
    }
    ids
}

/// A style is a JSON object with a list of layers (MapLibre Style Specification, root).
fn style(shown: &str, json: String) -> Result<(), Text> {
    let at = |line: usize, what: Text| {
        let doc = Document::new(shown, String::new());
        doc.report(line, what);
        doc.into_problems().into_iter().next().unwrap_or_default()
    };
    let value: serde_json::Value = serde_json::from_str(&json).map_err(|e| {
        let detail = e.to_string();
        at(e.line().max(1), text!("JSON mal formé : {detail}", "malformed JSON: {detail}"))
    })?;
    if value.get("layers").is_some_and(serde_json::Value::is_array) {
        return Ok(());
    }
    let what = text!(
        "ce n'est pas un style MapLibre : il manque « layers »",
        "this is no MapLibre style: \"layers\" is missing"
    );
    Err(at(1, what))
}
