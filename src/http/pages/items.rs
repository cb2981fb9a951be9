//! Features as tables.

use super::trail;
use crate::{
    catalog::Layer,
    error::{Error, Result},
    http::{
        items::{Around, form},
        links::Link,
        params::encode,
        reply::number,
        visit::Visit,
    },
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value};

/// What a table needs of a feature; geometry is skipped unread.
#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    properties: Map<String, Value>,
}

/// `/collections/{id}/items`
pub fn page(
    visit: &Visit,
    layer: &Layer,
    features: &[u8],
    page: &Around,
    links: &[Link],
) -> Result<String> {
    let json = [b"[", features, b"]"].concat();
    let rows: Vec<Row> =
        serde_json::from_slice(&json).map_err(|e| Error::fault("reading features back", e))?;
    let fields = columns(layer, &rows)?;
    let id = layer.def.id.as_str();
    let title = visit.titled(&layer.def.title);
    let link = |rel: &str| links.iter().find(|l| l.rel == rel).map(|l| l.href.as_str());
    let content = html! {
        (above(visit, layer))
        h1 { (title) }
        p {
            @match page.matched {
                Some(matched) => { (number(page.returned, visit.lang())) " / " (number(matched, visit.lang())) " " (visit.words("entités", "features")) }
                None => { (number(page.returned, visit.lang())) " " (visit.words("entités sur cette page", "features on this page")) }
            }
            " · " a href=(visit.address(&["f"], &[("f", "json")])) { "GeoJSON" }
            @for kind in form::files() {
                " · " a href=(visit.address(&["f"], &[("f", kind.id)])) type=(kind.media) { (kind.title) }
            }
        }
        div.table tabindex="0" role="region" aria-label=(title) {
            table {
                thead { tr { th scope="col" { "id" } @for field in &fields { th scope="col" { (field) } } } }
                tbody {
                    @for row in &rows {
                        tr {
                            th scope="row" { a href=(feature_url(visit, id, &plain(&row.id))) { (plain(&row.id)) } }
                            @for field in &fields { (cell(row.properties.get(*field))) }
                        }
                    }
                }
            }
        }
        ul.pages {
            @if let Some(href) = link("prev") { li { a rel="prev" href=(href) { (visit.words("Page précédente", "Previous page")) } } }
            @if let Some(href) = link("next") { li { a rel="next" href=(href) { (visit.words("Page suivante", "Next page")) } } }
        }
    };
    Ok(visit.html(&title, &content))
}

/// `/collections/{id}/items/{fid}`
pub fn feature(visit: &Visit, layer: &Layer, fid: &str, json: &[u8]) -> Result<String> {
    let row: Row =
        serde_json::from_slice(json).map_err(|e| Error::fault("reading a feature back", e))?;
    let label = layer.def.label.as_ref().and_then(|l| row.properties.get(l)).map(plain);
    let title = label.filter(|l| !l.is_empty()).unwrap_or_else(|| fid.to_owned());
    let fields = columns(layer, std::slice::from_ref(&row))?;
    let content = html! {
        (above(visit, layer))
        h1 { (title) }
        p { a href=(visit.address(&["f"], &[("f", "json")])) { "GeoJSON" } }
        table.record {
            tbody {
                @for field in &fields {
                    tr { th scope="row" { (field) } (cell(row.properties.get(*field))) }
                }
            }
        }
    };
    Ok(visit.html(&title, &content))
}

/// What there is to show of features: the fields of their layer that they have, and what stands
/// behind those, such as the share that a cut leaves; of no features, all fields.
fn columns<'a>(layer: &'a Layer, rows: &'a [Row]) -> Result<Vec<&'a str>> {
    let fields = layer.at()?.version.schema.fields.iter().map(|f| f.name.as_str());
    let Some(first) = rows.first() else { return Ok(fields.collect()) };
    let own: Vec<&str> = fields.collect();
    let behind = first.properties.keys().map(String::as_str).filter(|name| !own.contains(name));
    let shown = own.iter().copied().filter(|name| first.properties.contains_key(*name));
    Ok(shown.chain(behind).collect())
}

fn above(visit: &Visit, layer: &Layer) -> Markup {
    let id = layer.def.id.as_str();
    trail(
        visit,
        &[
            (visit.root(), visit.words("Accueil", "Home").into()),
            (visit.url(&format!("collections/{id}?f=html")), visit.say(&layer.def.title).into()),
            (
                visit.url(&format!("collections/{id}/items?f=html")),
                visit.words("Entités", "Features").into(),
            ),
        ],
    )
}

fn feature_url(visit: &Visit, id: &str, fid: &str) -> String {
    visit.url(&format!("collections/{id}/items/{}?f=html", encode(fid)))
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn cell(value: Option<&Value>) -> Markup {
    match value {
        Some(Value::String(text))
            if text.starts_with("http://") || text.starts_with("https://") =>
        {
            html! { td { a href=(text) rel="nofollow noopener" { (text) } } }
        }
        Some(Value::Number(number)) => html! { td.number { (number) } },
        Some(value) => html! { td { (plain(value)) } },
        None => html! { td {} },
    }
}
