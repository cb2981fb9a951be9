//! What the colours of a map mean: beside the map of a layer, and as a page of its own.

use super::{paragraphs, trail};
use crate::{http::visit::Visit, model::Text};
use maud::{Markup, html};
use serde_json::Value;

/// `/styles/{id}/legend`
pub fn page(visit: &Visit, title: &str, found: &Value) -> String {
    let styles = visit.url("styles?f=html");
    let none = Text::new(
        "Ce style ne dit rien de ses couleurs.",
        "This style says nothing of its colours.",
    );
    let content = html! {
        (trail(visit, &[(visit.root(), visit.words("Accueil", "Home").into()), (styles, "Styles".into())]))
        h1 { (title) }
        @if found.is_null() { (paragraphs(visit, &none)) } @else { (legend(visit, Some(found))) }
    };
    visit.html(title, &content)
}

/// The legend of a style, when it has one: its `socle:legend` (see `styles/README.md`).
pub fn legend(visit: &Visit, found: Option<&Value>) -> Markup {
    let Some(legend) = found else { return html! {} };
    let say = |value: &Value| {
        let said = value.get(visit.lang().tag()).or_else(|| value.get("fr"));
        said.and_then(Value::as_str).map(str::to_owned)
    };
    let items = legend.get("items").and_then(Value::as_array);
    html! {
        div.legend {
            @if let Some(title) = say(legend) { strong { (title) } }
            ul {
                @for (item, label) in items.into_iter().flatten().filter_map(|i| Some((i, say(i)?))) {
                    li { (sample(item)) (label) }
                }
            }
        }
    }
}

/// A colour as the map shows it. Its attributes are those of the drawing: a style would need a
/// looser policy.
fn sample(item: &Value) -> Markup {
    let colour = item.get("fill").and_then(Value::as_str);
    let shape = item.get("shape").and_then(Value::as_str);
    html! {
        svg.(shape.unwrap_or("fill")) width="16" height="16" aria-hidden="true" {
            @match shape {
                Some("point") => { circle cx="8" cy="8" r="6" fill=[colour] {} }
                Some("line") => { rect y="6" width="16" height="4" fill=[colour] {} }
                _ => { rect width="16" height="16" fill=[colour] {} }
            }
        }
    }
}
