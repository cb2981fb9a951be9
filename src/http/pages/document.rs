//! Any JSON document as a page: indented, its addresses as links. For the resources that tools
//! read and people seldom do.

use crate::http::visit::Visit;
use maud::{Markup, html};
use serde_json::Value;

/// The page of a document.
pub fn page(visit: &Visit, title: &str, value: &Value) -> String {
    let content = html! {
        h1 { (title) }
        p { a href=(visit.address(&["f"], &[("f", "json")])) { "JSON" } }
        pre tabindex="0" aria-label=(title) { code { (tree(value, 0)) } }
    };
    visit.html(title, &content)
}

fn tree(value: &Value, depth: usize) -> Markup {
    let indent = |n: usize| "  ".repeat(n);
    html! {
        @match value {
            Value::Object(members) if !members.is_empty() => {
                "{\n"
                @for (i, (name, value)) in members.iter().enumerate() {
                    (indent(depth + 1)) (Value::String(name.clone()).to_string()) ": " (tree(value, depth + 1))
                    @if i + 1 < members.len() { "," } "\n"
                }
                (indent(depth)) "}"
            }
            Value::Array(items) if !items.is_empty() => {
                "[\n"
                @for (i, value) in items.iter().enumerate() {
                    (indent(depth + 1)) (tree(value, depth + 1))
                    @if i + 1 < items.len() { "," } "\n"
                }
                (indent(depth)) "]"
            }
            Value::String(text) if is_address(text) => {
                "\"" a href=(text) { (text) } "\""
            }
            other => (other.to_string()),
        }
    }
}

/// Addresses that name things rather than lead to them.
const NAMES: [&str; 2] = ["http://www.opengis.net/", "https://json-schema.org/"];

/// An address to follow: no template, and no name that only looks like one.
fn is_address(text: &str) -> bool {
    let web = text.starts_with("http://") || text.starts_with("https://");
    web && !text.contains('{') && !NAMES.iter().any(|name| text.starts_with(name))
}
