//! A DCAT catalogue, in JSON-LD or RDF/XML. Both become the same nodes; names are taken without
//! their vocabularies, which catalogues abbreviate as they like.

use super::{Offer, Way, offers::way};
use crate::model::Element;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// RDF/XML as JSON-LD has it.
pub(super) fn json(tree: &Element) -> Value {
    let nodes: Vec<Value> = tree.children.iter().map(node).collect();
    json!({ "@graph": nodes })
}

fn node(element: &Element) -> Value {
    let mut out = Map::new();
    out.insert("@type".into(), element.name.as_str().into());
    if let Some(id) = element.attribute("about").or(element.attribute("nodeID")) {
        out.insert("@id".into(), id.into());
    }
    for property in &element.children {
        let reference = property.attribute("resource").or(property.attribute("nodeID"));
        let mut values: Vec<Value> = match reference {
            Some(id) => vec![json!({ "@id": id })],
            None if property.children.is_empty() => vec![property.trimmed().into()],
            None => property.children.iter().map(node).collect(),
        };
        let all = out.entry(property.name.clone()).or_insert_with(|| Value::Array(Vec::new()));
        if let Some(all) = all.as_array_mut() {
            all.append(&mut values);
        }
    }
    Value::Object(out)
}

/// All nodes by their ids, and the datasets among them.
struct Graph<'a> {
    by_id: HashMap<&'a str, &'a Map<String, Value>>,
    datasets: Vec<&'a Map<String, Value>>,
}

/// The datasets of a catalogue.
pub(super) fn offers(value: &Value) -> Vec<Offer> {
    let mut graph = Graph { by_id: HashMap::new(), datasets: Vec::new() };
    graph.collect(value, 0);
    graph.datasets.iter().map(|dataset| graph.offer(dataset)).collect()
}

/// The end of a name: `dct:title`, `http://purl.org/dc/terms/title` and `title` are one.
fn local(name: &str) -> &str {
    name.rsplit([':', '/', '#']).next().unwrap_or(name)
}

impl<'a> Graph<'a> {
    fn collect(&mut self, value: &'a Value, depth: usize) {
        match value {
            Value::Array(all) => all.iter().for_each(|v| self.collect(v, depth)),
            Value::Object(node) if depth < 32 => {
                // A mention of a node is not the node.
                if let Some(id) = node.get("@id").and_then(Value::as_str).filter(|_| node.len() > 1)
                {
                    self.by_id.insert(id, node);
                }
                if is_a(node, "Dataset") {
                    self.datasets.push(node);
                }
                node.iter()
                    .filter(|(name, _)| *name != "@context")
                    .for_each(|(_, v)| self.collect(v, depth + 1));
            }
            _ => {}
        }
    }

    fn values(&self, node: &'a Map<String, Value>, name: &str) -> Vec<&'a Value> {
        let found = node.iter().find(|(key, _)| local(key) == name).map(|(_, v)| v);
        match found {
            Some(Value::Array(all)) => all.iter().collect(),
            Some(one) => vec![one],
            None => Vec::new(),
        }
    }

    /// A value as text: itself, its `@value`, French first, or the name of the node it mentions.
    fn text(&self, node: &'a Map<String, Value>, name: &str) -> Option<String> {
        let mut values = self.values(node, name);
        values.sort_by_key(|v| v.get("@language").and_then(Value::as_str) != Some("fr"));
        let found = values.into_iter().find_map(|value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Object(inner) => {
                let plain = inner.get("@value").and_then(Value::as_str).map(str::to_owned);
                plain.or_else(|| {
                    let id = inner.get("@id").and_then(Value::as_str);
                    let there = id.and_then(|id| self.by_id.get(id)).copied().unwrap_or(inner);
                    let named = ["name", "fn", "prefLabel", "title", "label"];
                    let flat =
                        |name: &&str| self.values(there, name).first().and_then(|v| plain_text(v));
                    named.iter().find_map(flat).or(id.map(str::to_owned))
                })
            }
            _ => None,
        });
        found.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty())
    }

    fn offer(&self, dataset: &'a Map<String, Value>) -> Offer {
        let distributions = self.values(dataset, "distribution").into_iter().filter_map(|value| {
            let id = value.get("@id").and_then(Value::as_str);
            id.and_then(|id| self.by_id.get(id).copied()).or(value.as_object())
        });
        Offer {
            title: self.text(dataset, "title").unwrap_or_default(),
            producer: self.text(dataset, "publisher").or_else(|| self.text(dataset, "creator")),
            licence: self.text(dataset, "license").or_else(|| self.text(dataset, "rights")),
            page: self.text(dataset, "landingPage"),
            ways: distributions.filter_map(|d| self.way(d)).collect(),
        }
    }

    fn way(&self, distribution: &'a Map<String, Value>) -> Option<Way> {
        let url = self
            .text(distribution, "downloadURL")
            .or_else(|| self.text(distribution, "accessURL"))?;
        let format =
            self.text(distribution, "format").or_else(|| self.text(distribution, "mediaType"));
        let format = format.map(|f| local(&f).to_owned()).unwrap_or_default();
        let title = self.text(distribution, "title").unwrap_or_default();
        Some(way(
            &title,
            &format,
            &url,
            Some(&title).filter(|t| !t.contains(' ')).map(String::as_str),
        ))
    }
}

fn plain_text(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value.get("@value").and_then(Value::as_str)).map(str::to_owned)
}

fn is_a(node: &Map<String, Value>, kind: &str) -> bool {
    let types = node.get("@type").or_else(|| node.get("type"));
    match types {
        Some(Value::String(name)) => local(name) == kind,
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).any(|n| local(n) == kind),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harvest::xml;

    const RDF: &str = r#"<rdf:RDF xmlns:rdf="r" xmlns:dcat="d" xmlns:dct="t" xmlns:foaf="f">
<dcat:Catalog rdf:about="c"><dcat:dataset><dcat:Dataset rdf:about="a"><dct:title xml:lang="fr">Communes</dct:title>
<dct:publisher><foaf:Organization><foaf:name>IGN</foaf:name></foaf:Organization></dct:publisher>
<dct:license rdf:resource="https://x.fr/lo"/><dcat:distribution rdf:resource="d1"/></dcat:Dataset></dcat:dataset></dcat:Catalog>
<dcat:Distribution rdf:about="d1"><dct:title>communes</dct:title><dcat:accessURL rdf:resource="https://x.fr/wfs?request=GetCapabilities"/><dct:format>WFS</dct:format></dcat:Distribution>
</rdf:RDF>"#;

    #[test]
    fn both_spellings_give_the_same_offers() {
        let of_xml = offers(&json(&xml::tree(RDF.as_bytes()).unwrap()));
        let of_json = offers(&serde_json::json!({
            "@context": { "dct": "t" },
            "@graph": [
                { "@id": "a", "@type": ["dcat:Dataset"], "dct:title": [{ "@value": "Towns", "@language": "en" }, { "@value": "Communes", "@language": "fr" }],
                  "dct:publisher": { "@type": "foaf:Organization", "foaf:name": "IGN" }, "dct:license": { "@id": "https://x.fr/lo" },
                  "dcat:distribution": { "@id": "d1" } },
                { "@id": "d1", "@type": "dcat:Distribution", "dct:title": "communes", "dct:format": "WFS",
                  "dcat:accessURL": { "@id": "https://x.fr/wfs?request=GetCapabilities" } },
            ],
        }));
        assert_eq!(of_xml, of_json);
        let [offer] = of_xml.as_slice() else { panic!("{of_xml:?}") };
        assert_eq!((offer.title.as_str(), offer.producer.as_deref()), ("Communes", Some("IGN")));
        assert_eq!(offer.licence.as_deref(), Some("https://x.fr/lo"));
        let source = offer.ways[0].source.as_deref().unwrap();
        assert_eq!(source, "[source.wfs]\nurl = \"https://x.fr/wfs\"\ntype = \"communes\"\n");
    }
}
