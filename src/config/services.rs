//! `[source.datagouv]`, `[source.ogc_features]`, `[source.wfs]` and `[source.arcgis]` of a layer
//! file: sources that are more than an address.

use super::{
    secrets::{environment, expand},
    server::web_address,
    table::Table,
};
use crate::{
    model::{DatagouvSource, ServiceKind, ServiceSource, SourceLocation, Text, Wanted},
    text,
};

/// The kinds, by the key that names them.
pub(super) const KINDS: &[&str] = &["datagouv", "ogc_features", "wfs", "arcgis"];

const PORTAL: &str = "https://www.data.gouv.fr/";
const DATAGOUV_KEYS: &[&str] =
    &["dataset", "resource", "organization", "tags", "schema", "title", "latest", "portal"];
const OGC_KEYS: &[&str] = &["url", "collection", "filter", "sort", "page"];
const WFS_KEYS: &[&str] = &["url", "type", "filter", "sort", "page", "version"];
const ARCGIS_KEYS: &[&str] = &["url", "layer", "filter", "sort", "page"];

/// Reads the table that `kind` names.
pub(super) fn read(table: &Table<'_>, kind: &str) -> Option<SourceLocation> {
    match kind {
        "datagouv" => datagouv(&table.table(kind, DATAGOUV_KEYS)?),
        "ogc_features" => {
            service(&table.table(kind, OGC_KEYS)?, ServiceKind::OgcFeatures, "collection")
        }
        "wfs" => service(&table.table(kind, WFS_KEYS)?, ServiceKind::Wfs, "type"),
        _ => service(&table.table(kind, ARCGIS_KEYS)?, ServiceKind::Arcgis, "layer"),
    }
}

fn service(table: &Table<'_>, kind: ServiceKind, layer: &str) -> Option<SourceLocation> {
    if !table.has("url") {
        table.missing("url");
    }
    let page = table.integer("page", 1..=100_000).and_then(|n| n.try_into().ok());
    let source = ServiceSource {
        kind,
        layer: table.parsed(layer, name),
        filter: table.string("filter"),
        sort: table.string("sort"),
        version: table.parsed("version", version),
        page: page.unwrap_or(1000),
        url: address(table, "url")?,
    };
    Some(SourceLocation::Service(Box::new(source)))
}

/// An address with its `${NAME}`: values are read when fetching.
pub(super) fn address(table: &Table<'_>, key: &str) -> Option<String> {
    table.parsed(key, |template| {
        web_address(&expand(template, environment)?)?;
        Ok(template.to_owned())
    })
}

fn datagouv(table: &Table<'_>) -> Option<SourceLocation> {
    let source = DatagouvSource {
        wanted: wanted(table)?,
        portal: if table.has("portal") { address(table, "portal")? } else { PORTAL.to_owned() },
        title: table.string("title"),
        latest: table.boolean("latest").unwrap_or(false),
    };
    Some(SourceLocation::Datagouv(Box::new(source)))
}

fn wanted(table: &Table<'_>) -> Option<Wanted> {
    let (dataset, resource) = (table.parsed("dataset", id), table.parsed("resource", id));
    let organization = table.parsed("organization", id);
    let tags = table.strings("tags").unwrap_or_default();
    let schema = table.string("schema");
    let search = ["organization", "tags", "schema"].iter().any(|key| table.has(key));
    match (table.has("dataset"), table.has("resource"), search) {
        (true, false, false) => dataset.map(Wanted::Dataset),
        (false, true, false) => resource.map(Wanted::Resource),
        (false, false, true) => Some(Wanted::Search { organization, tags, schema }),
        (false, false, false) => {
            table.missing("dataset");
            None
        }
        (_, has_resource, _) => {
            let what = text!(
                "un jeu, une ressource ou une recherche : l'un des trois",
                "a dataset, a resource or a search: one of the three"
            );
            table.report(if has_resource { "resource" } else { "dataset" }, what);
            None
        }
    }
}

/// The id or slug of something on a portal; people also paste the address of its page.
fn id(words: &str) -> Result<String, Text> {
    let place = words.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let last = place.rsplit('/').next().unwrap_or_default();
    let id = if place.contains("://") { last } else { words };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if id.is_empty() || id.starts_with('.') || !id.bytes().all(plain) {
        return Err(text!(
            "attendu un identifiant ou le nom court (slug) qui termine l'adresse de la page",
            "expected an id or the short name (slug) that ends the page's address"
        ));
    }
    Ok(id.to_owned())
}

/// The name of a collection, type or layer: nothing that leads elsewhere in an address.
fn name(words: &str) -> Result<String, Text> {
    if words.contains(['/', '?', '#', '\\']) || words == ".." {
        return Err(text!("attendu un nom, pas une adresse", "expected a name, not an address"));
    }
    Ok(words.to_owned())
}

fn version(words: &str) -> Result<String, Text> {
    match words {
        "2.0.0" | "2.0.2" | "1.1.0" => Ok(words.to_owned()),
        _ => Err(text!("attendu 2.0.0 ou 1.1.0", "expected 2.0.0 or 1.1.0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_a_dataset_names_it_too() {
        let page = "https://www.data.gouv.fr/fr/datasets/communes-2025/#/resources";
        assert_eq!(id(page).unwrap(), "communes-2025");
        assert_eq!(id("communes-2025").unwrap(), "communes-2025");
        for bad in ["a/b", "", "..", "a b", "https://x.fr/é"] {
            assert!(id(bad).is_err(), "{bad}");
        }
    }
}
