//! The API definition for people: its operations.

use crate::http::{links::media, visit::Visit};
use maud::html;
use serde_json::Value;

/// `/api` as a page.
pub fn page(visit: &Visit, definition: &Value) -> String {
    let title = "API";
    let paths = definition.get("paths").and_then(Value::as_object);
    let text = |value: &Value, key: &str| {
        value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let root = visit.root();
    let root = root.trim_end_matches('/');
    let content = html! {
        h1 { (title) }
        p { a href=(visit.url("api?f=json")) type=(media::OPENAPI) { "OpenAPI 3.0 (JSON)" } }
        div.table tabindex="0" role="region" aria-label=(title) {
            table {
                thead { tr { th scope="col" { (visit.words("Adresse", "Address")) } th scope="col" { (visit.words("Ce qu'elle donne", "What it gives")) } } }
                tbody {
                    @for (path, item) in paths.into_iter().flatten() {
                        @let operation = item.get("get").unwrap_or(&Value::Null);
                        tr {
                            th scope="row" {
                                @if path.contains('{') { code { (path) } }
                                @else { a href=(format!("{root}{path}")) { code { (path) } } }
                            }
                            td { (text(operation, "summary")) }
                        }
                    }
                }
            }
        }
    };
    visit.html(title, &content)
}
