//! Licences, by the short ids of data.gouv.fr, or spelled out.

use super::{
    document::{clip, hint},
    server::web_address,
    table::Table,
};
use crate::{
    model::{Licence, Text},
    text,
};

/// A licence of data.gouv.fr's list: its id there, its title, and the address of its text.
struct Known(&'static str, &'static str, Option<&'static str>);

const KNOWN: &[Known] = &[
    Known(
        "lov2",
        "Licence Ouverte 2.0",
        Some("https://www.etalab.gouv.fr/licence-ouverte-open-licence"),
    ),
    Known(
        "fr-lo",
        "Licence Ouverte 1.0",
        Some("https://www.etalab.gouv.fr/licence-ouverte-open-licence"),
    ),
    Known(
        "odc-odbl",
        "Open Database License (ODbL) 1.0",
        Some("https://opendatacommons.org/licenses/odbl/1-0/"),
    ),
    Known(
        "odc-by",
        "Open Data Commons Attribution License 1.0",
        Some("https://opendatacommons.org/licenses/by/1-0/"),
    ),
    Known(
        "odc-pddl",
        "Open Data Commons Public Domain Dedication and License 1.0",
        Some("https://opendatacommons.org/licenses/pddl/1-0/"),
    ),
    Known(
        "cc-by",
        "Creative Commons Attribution 4.0",
        Some("https://creativecommons.org/licenses/by/4.0/"),
    ),
    Known(
        "cc-by-sa",
        "Creative Commons Attribution Share-Alike 4.0",
        Some("https://creativecommons.org/licenses/by-sa/4.0/"),
    ),
    Known(
        "cc-zero",
        "Creative Commons CC0 1.0",
        Some("https://creativecommons.org/publicdomain/zero/1.0/"),
    ),
    Known("other-at", "Autre licence avec attribution", None),
    Known("other-open", "Autre licence ouverte", None),
    Known("other-pd", "Autre licence du domaine public", None),
    Known("notspecified", "Licence non précisée", None),
];

/// Other names people give to the same licences (SPDX ids among them).
const ALIASES: &[(&str, &str)] = &[
    ("etalab-2.0", "lov2"),
    ("odbl", "odc-odbl"),
    ("odbl-1.0", "odc-odbl"),
    ("odc-by-1.0", "odc-by"),
    ("pddl-1.0", "odc-pddl"),
    ("cc-by-4.0", "cc-by"),
    ("cc-by-sa-4.0", "cc-by-sa"),
    ("cc0", "cc-zero"),
    ("cc0-1.0", "cc-zero"),
];

/// Reads `licence`: a known id, or a table `{ title, url, id }`.
pub(super) fn read(table: &Table<'_>) -> Option<Licence> {
    if !table.is_table("licence") {
        return table.parsed("licence", by_id);
    }
    let inner = table.table("licence", &["id", "title", "url"])?;
    let url = inner.parsed("url", |u| web_address(u).map(String::from));
    let id = inner.string("id").unwrap_or_else(|| "other".into());
    let title = inner.string("title");
    if !inner.has("title") {
        inner.missing("title");
    }
    Some(Licence { id, title: title?, url })
}

/// A licence by the id that a portal gives it; one that is not known is called by its id.
pub fn licence(id: &str) -> Licence {
    by_id(id).unwrap_or_else(|_| Licence { id: id.into(), title: id.into(), url: None })
}

/// The id of a licence by its id, another name of it, its title or the address of its text.
pub fn licence_named(words: &str) -> Option<&'static str> {
    let lower = words.trim().to_lowercase();
    let alias = ALIASES.iter().find(|(name, _)| *name == lower).map(|(_, id)| *id);
    let place = |url: &str| url.trim_end_matches('/') == words.trim().trim_end_matches('/');
    let is = |known: &&Known| {
        let Known(id, title, url) = known;
        *id == lower || title.to_lowercase() == lower || url.is_some_and(place)
    };
    alias.or_else(|| KNOWN.iter().find(is).map(|known| known.0))
}

fn by_id(words: &str) -> Result<Licence, Text> {
    let lower = words.to_lowercase();
    let id = ALIASES.iter().find(|(a, _)| *a == lower).map_or(lower.as_str(), |(_, id)| id);
    if let Some(Known(id, title, url)) = KNOWN.iter().find(|k| k.0 == id) {
        return Ok(Licence {
            id: (*id).into(),
            title: (*title).into(),
            url: url.map(str::to_owned),
        });
    }
    let words = clip(words);
    let ids: Vec<&str> = KNOWN.iter().map(|k| k.0).collect();
    let Text { fr, en } = hint(&words, &ids);
    Err(text!(
        "licence inconnue « {words} » ; {fr} Sinon : {{ title = \"…\", url = \"…\" }}",
        "unknown licence \"{words}\"; {en} Otherwise: {{ title = \"…\", url = \"…\" }}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_lead_to_the_ids_of_data_gouv() {
        for (alias, id) in ALIASES {
            assert_eq!(by_id(alias).unwrap().id, *id);
        }
        assert_eq!(by_id("LOV2").unwrap().title, "Licence Ouverte 2.0");
        assert!(by_id("lov3").unwrap_err().en.contains("\"lov2\""));
        assert!(by_id("MIT").unwrap_err().en.contains("cc-zero"));
    }
}
