//! WFS in its three versions, seen from outside: the same features as OGC API gives, whatever the
//! version, the spelling of systems and filters, the store and the scope; and the clients it is for.

mod answers;
mod clients;
mod filters;
mod refusals;
mod schemas;
mod scopes;
mod streams;

use crate::support::{Answer, Server};
use serde_json::Value;
use std::collections::BTreeSet;

const V2: &str = "service=WFS&version=2.0.0&request=";

fn get(server: &Server, path: &str) -> Answer {
    server.send("GET", path, &[])
}

fn text(server: &Server, query: &str) -> String {
    let answer = get(server, &format!("/wfs?{query}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    answer.text()
}

fn enc(text: &str) -> String {
    socle::http::params::encode(text)
}

/// An attribute of a document's root, or of the first element that has it.
fn attribute(text: &str, name: &str) -> Option<String> {
    let after = text.split(&format!(" {name}=\"")).nth(1)?;
    Some(after.split('"').next()?.replace("&amp;", "&"))
}

/// The ids of features of GML, in order.
fn ids(text: &str) -> Vec<String> {
    let id = |part: &str| part.split('"').next().unwrap().rsplit('.').next().unwrap().to_owned();
    let name = if text.contains(" fid=\"") { " fid=\"" } else { "<socle:" };
    if name == " fid=\"" {
        return text.split(name).skip(1).map(id).collect();
    }
    // Geometries have ids too: those of features stand right behind the member.
    text.split("ember><socle:").skip(1).map(|p| id(p.split("gml:id=\"").nth(1).unwrap())).collect()
}

fn items(server: &Server, query: &str) -> BTreeSet<String> {
    let page = server.json(&format!("/collections/communes/items?limit=10000&{query}"));
    let id = |f: &Value| f["id"].as_str().unwrap().to_owned();
    page["features"].as_array().unwrap().iter().map(id).collect()
}
