//! The API definition for people: each operation with its parameters, what it answers, and how to
//! try it. Made from the definition itself, so that the two cannot differ; works without scripts.

use super::{address, fact};
use crate::{
    catalog::Snapshot,
    http::{links::media, params::encode, visit::Visit},
};
use maud::{Markup, html};
use serde_json::Value;

/// Parameters, by their keys among the components, that an example is given besides those without
/// which there is no answer.
const TRIED: [&str; 7] =
    ["limit", "territories-limit", "by", "level", "collections", "columns", "q"];

/// Values that are shown at once; more are folded.
const SHOWN: usize = 12;

/// `/api` as a page; `definition` is the one without the literal paths of layers.
pub fn page(visit: &Visit, definition: &Value, snapshot: &Snapshot) -> String {
    let document = Document { visit, definition };
    let tags = definition["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    let content = html! {
        h1 { "API" }
        p.lead {
            (visit.words(
                "Tout ce que ce service répond, adresse par adresse : ouvrez-en une pour ses paramètres, ses réponses et un exemple à essayer.",
                "All that this service answers, address by address: open one for its parameters, its answers and an example to try."
            ))
        }
        ul.links {
            li { a href=(visit.url("api?f=json")) type=(media::OPENAPI) { "OpenAPI 3.0 (JSON)" } }
            li { a href=(visit.url("conformance?f=html")) { (visit.words("Normes suivies", "Standards followed")) } }
            @for tag in tags {
                li { a href=(format!("#{}", text(tag, "name"))) { (text(tag, "x-displayName")) } }
            }
        }
        @for tag in tags {
            @let name = text(tag, "name");
            section aria-labelledby=(name) {
                h2 #(name) { (text(tag, "x-displayName")) }
                p { (text(tag, "description")) }
                @for operation in document.operations().filter(|o| o.tag() == name) { (document.operation(&operation)) }
                @if name == "Features" { (layers(visit, snapshot)) }
            }
        }
    };
    visit.html("API", &content)
}

/// Layers have literal addresses in the definition for programs; people find them here.
fn layers(visit: &Visit, snapshot: &Snapshot) -> Markup {
    html! {
        h3 { (visit.words("Les couches", "The layers")) }
        p {
            (visit.words(
                "Les champs d'une couche sont aussi des paramètres de ses entités ; sa page les liste.",
                "The fields of a layer are parameters of its features as well; its page lists them."
            ))
        }
        ul.columns {
            @for layer in snapshot.served() {
                li { a href=(visit.url(&format!("collections/{}?f=html", layer.def.id))) { (visit.say(&layer.def.title)) } }
            }
        }
    }
}

/// An operation of the definition.
struct Operation<'a> {
    method: &'static str,
    path: &'a str,
    value: &'a Value,
}

impl Operation<'_> {
    fn tag(&self) -> &str {
        self.value.pointer("/tags/0").and_then(Value::as_str).unwrap_or_default()
    }
}

/// A parameter of an operation, what it refers to in place of the reference.
struct Parameter<'a> {
    /// Its key among the components; its name where it is the operation's own.
    key: &'a str,
    value: &'a Value,
}

struct Document<'a> {
    visit: &'a Visit,
    definition: &'a Value,
}

impl<'a> Document<'a> {
    fn operations(&self) -> impl Iterator<Item = Operation<'a>> + use<'a> {
        let paths = self.definition["paths"].as_object().into_iter().flatten();
        paths.flat_map(|(path, item)| {
            ["get", "post"].into_iter().filter_map(move |method| {
                Some(Operation { method, path, value: item.get(method)? })
            })
        })
    }

    /// What a value is, or what it refers to.
    fn meant(&self, value: &'a Value) -> &'a Value {
        let to = value.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
        to.and_then(|pointer| self.definition.pointer(pointer)).unwrap_or(value)
    }

    fn parameters(&self, operation: &Operation<'a>) -> Vec<Parameter<'a>> {
        let all = operation.value["parameters"].as_array().into_iter().flatten();
        all.map(|given| {
            let value = self.meant(given);
            let key = given.get("$ref").and_then(Value::as_str).and_then(|r| r.rsplit('/').next());
            Parameter { key: key.unwrap_or_else(|| text(value, "name")), value }
        })
        .collect()
    }

    fn operation(&self, operation: &Operation<'a>) -> Markup {
        let (visit, value) = (self.visit, operation.value);
        let parameters = self.parameters(operation);
        let summary = text(value, "summary");
        let method = operation.method.to_uppercase();
        html! {
            details.operation id=(text(value, "operationId")) {
                summary {
                    span.tag { (method) } " "
                    code { (operation.path) } " "
                    span { (summary) }
                }
                @if !parameters.is_empty() {
                    h3 { (visit.words("Paramètres", "Parameters")) }
                    dl.metadata { @for parameter in &parameters { (self.parameter(parameter)) } }
                }
                @if let Some(bodies) = value.pointer("/requestBody/content").and_then(Value::as_object) {
                    h3 { (visit.words("Corps de la requête", "Body of the request")) }
                    p { @for (i, media) in bodies.keys().enumerate() { @if i > 0 { ", " } code { (media) } } }
                }
                h3 { (visit.words("Réponses", "Answers")) }
                dl.metadata {
                    @for (status, answer) in value["responses"].as_object().into_iter().flatten() {
                        (self.answer(status, self.meant(answer)))
                    }
                }
                @if let Some(url) = self.example(operation, &parameters) { (self.tried(operation, summary, &url)) }
            }
        }
    }

    fn parameter(&self, parameter: &Parameter<'_>) -> Markup {
        let (visit, value) = (self.visit, parameter.value);
        let place = match text(value, "in") {
            "path" => visit.words("dans le chemin", "in the path"),
            _ => visit.words("dans l'adresse, après « ? »", "in the address, after \"?\""),
        };
        let required = value["required"] == true;
        let values = values(&value["schema"]);
        html! {
            div {
                dt { code { (text(value, "name")) } }
                dd {
                    @let about = text(value, "description");
                    @if !about.is_empty() { div { (about) } }
                    div.muted {
                        (place) " · " (self.kind(&value["schema"]))
                        @if let Some(values) = values.as_ref().filter(|v| v.len() <= SHOWN) {
                            (visit.words(" : ", ": ")) (values.join(", "))
                        }
                        @if let Some(default) = value.pointer("/schema/default") {
                            " · " (visit.words("par défaut", "by default")) " " (plain(default))
                        }
                        @if required { " · " strong { (visit.words("obligatoire", "required")) } }
                        @if let Some(values) = values.as_ref().filter(|v| v.len() > SHOWN) {
                            details {
                                summary { (values.len()) " " (visit.words("valeurs", "values")) }
                                (values.join(", "))
                            }
                        }
                    }
                    @if let Some(example) = value.get("example") {
                        div { (visit.words("Exemple : ", "Example: ")) code { (plain(example)) } }
                    }
                }
            }
        }
    }

    /// The type of a parameter, for people.
    fn kind(&self, schema: &Value) -> String {
        let visit = self.visit;
        let list = text(schema, "type") == "array";
        let one = if list { &schema["items"] } else { schema };
        let (one_word, several) = match (text(one, "type"), text(one, "format")) {
            ("integer", _) => {
                (visit.words("entier", "integer"), visit.words("entiers", "integers"))
            }
            ("number", _) => (visit.words("nombre", "number"), visit.words("nombres", "numbers")),
            ("boolean", _) => (visit.words("vrai ou faux", "true or false"), ""),
            (_, "uri") => (visit.words("adresse (URI)", "URI"), "URI"),
            (_, "date") => (visit.words("date", "date"), ""),
            (_, "date-time") => (visit.words("date et heure", "date and time"), ""),
            _ => (visit.words("texte", "text"), visit.words("textes", "texts")),
        };
        let mut words = match list {
            true => format!(
                "{} {several}",
                visit.words("liste, séparée par des virgules, de", "list, separated by commas, of")
            ),
            false => one_word.to_owned(),
        };
        let number = |key: &str| schema.get(key).and_then(Value::as_u64);
        match (number("minimum"), number("maximum")) {
            (Some(least), Some(most)) => {
                words.push_str(&format!(", {least} {} {most}", visit.words("à", "to")));
            }
            (Some(least), None) => {
                words.push_str(&format!(", {} {least}", visit.words("au moins", "at least")));
            }
            _ => {}
        }
        words
    }

    fn answer(&self, status: &str, answer: &Value) -> Markup {
        let types = answer.get("content").and_then(Value::as_object);
        let label = match status {
            "default" => self.visit.words("sinon", "otherwise"),
            status => status,
        };
        fact(
            label,
            &html! {
                div { (text(answer, "description")) }
                @if let Some(types) = types {
                    div { @for (i, media) in types.keys().enumerate() { @if i > 0 { ", " } code { (media) } } }
                }
            },
        )
    }

    /// An address that answers; `None` where some part of it is unknown.
    fn example(&self, operation: &Operation<'_>, parameters: &[Parameter<'_>]) -> Option<String> {
        let mut path = operation.path.to_owned();
        let mut query = Vec::new();
        for parameter in parameters {
            let name = text(parameter.value, "name");
            let example = parameter.value.get("example").map(|e| encode(&plain(e)));
            if text(parameter.value, "in") == "path" {
                path = path.replace(&format!("{{{name}}}"), &example?);
            } else if parameter.value["required"] == true {
                query.push(format!("{}={}", encode(name), example?));
            } else if TRIED.contains(&parameter.key) {
                query.extend(example.map(|e| format!("{}={e}", encode(name))));
            }
        }
        let mut url = self.visit.url(path.trim_start_matches('/'));
        if !query.is_empty() {
            url.push('?');
            url.push_str(&query.join("&"));
        }
        Some(url)
    }

    fn tried(&self, operation: &Operation<'_>, summary: &str, url: &str) -> Markup {
        let visit = self.visit;
        let say = visit.words("Essayer", "Try it");
        let curl = match operation.method {
            "post" => {
                format!("curl -H 'Content-Type: text/csv' --data-binary @table.csv '{url}'")
            }
            _ => format!("curl '{url}'"),
        };
        html! {
            h3 { (visit.words("Exemple", "Example")) }
            ul.urls { (address(visit, "curl", &curl)) }
            @if operation.method == "get" {
                p { a.button href=(url) aria-label=(format!("{say} : {summary}")) { (say) } }
            }
        }
    }
}

/// The values that a parameter may have, where they are listed.
fn values(schema: &Value) -> Option<Vec<String>> {
    schema.get("enum").and_then(Value::as_array).map(|values| values.iter().map(plain).collect())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A value as it stands in an address, not encoded.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
