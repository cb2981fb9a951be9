//! A DCAT catalogue, in JSON-LD or RDF/XML, as data.gouv.fr, GeoNetwork and CKAN write them. Both
//! become the same nodes; names are taken without their vocabularies, which catalogues abbreviate
//! as they like. That is no processor of RDF: contexts that rename terms are not followed.

use super::{Offer, Way, offers::way};
use crate::model::Element;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// How deep nodes may nest.
const MAX_DEPTH: usize = 32;

/// A page of a catalogue.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Datasets {
    /// Its datasets.
    pub(super) offers: Vec<Offer>,
    /// How many the catalogue has in all (hydra:totalItems).
    pub(super) total: Option<u64>,
    /// The address of the page after (hydra:next).
    pub(super) next: Option<String>,
}

/// RDF/XML as JSON-LD has it.
pub(super) fn json(tree: &Element) -> Value {
    let nodes: Vec<Value> = tree.children.iter().map(node).collect();
    json!({ "@graph": nodes })
}

fn node(element: &Element) -> Value {
    let mut out = Map::new();
    // Written in the long form, a node says what it is by a property.
    if element.name != "Description" {
        out.insert("@type".into(), element.name.as_str().into());
    }
    if let Some(id) = element.attribute("about").or(element.attribute("nodeID")) {
        out.insert("@id".into(), id.into());
    }
    for property in &element.children {
        let reference = property.attribute("resource").or(property.attribute("nodeID"));
        let mut values: Vec<Value> = match (reference, property.attribute("lang")) {
            (Some(id), _) => vec![json!({ "@id": id })],
            (None, _) if !property.children.is_empty() => {
                property.children.iter().map(node).collect()
            }
            (None, None) => vec![property.trimmed().into()],
            (None, Some(lang)) => {
                vec![json!({ "@value": property.trimmed(), "@language": lang })]
            }
        };
        let all = out.entry(property.name.clone()).or_insert_with(|| Value::Array(Vec::new()));
        if let Some(all) = all.as_array_mut() {
            all.append(&mut values);
        }
    }
    Value::Object(out)
}

/// All nodes by their ids, and the datasets among them.
#[derive(Default)]
struct Graph<'a> {
    by_id: HashMap<&'a str, &'a Map<String, Value>>,
    datasets: Vec<&'a Map<String, Value>>,
    /// Views of a catalogue that is written page by page.
    views: Vec<&'a Map<String, Value>>,
    total: Option<u64>,
}

/// The datasets of a catalogue, or of a page of it.
pub(super) fn read(value: &Value) -> Datasets {
    let mut graph = Graph::default();
    graph.collect(value, 0);
    let next = |view: &&Map<String, Value>| {
        graph.address(view, "next").or_else(|| graph.address(view, "nextPage"))
    };
    Datasets {
        offers: graph.datasets.iter().map(|dataset| graph.offer(dataset)).collect(),
        total: graph.total,
        next: graph.views.iter().find_map(next),
    }
}

/// The end of a name: `dct:title`, `http://purl.org/dc/terms/title` and `title` are one.
fn local(name: &str) -> &str {
    name.rsplit([':', '/', '#']).next().unwrap_or(name)
}

impl<'a> Graph<'a> {
    fn collect(&mut self, value: &'a Value, depth: usize) {
        match value {
            Value::Array(all) => all.iter().for_each(|v| self.collect(v, depth)),
            Value::Object(node) if depth < MAX_DEPTH => {
                // A node may be mentioned elsewhere: the most that is said of it is the node.
                if let Some(id) = node.get("@id").and_then(Value::as_str) {
                    let known = self.by_id.entry(id).or_insert(node);
                    if known.len() < node.len() {
                        *known = node;
                    }
                }
                if is_a(node, "Dataset") && node.keys().any(|key| local(key) == "title") {
                    self.datasets.push(node);
                }
                let number = |value: &Value| value.as_u64().or_else(|| plain(value)?.parse().ok());
                for (name, inner) in node.iter().filter(|(name, _)| *name != "@context") {
                    match local(name) {
                        "next" | "nextPage" => self.views.push(node),
                        "totalItems" => {
                            let first = inner.as_array().and_then(|all| all.first());
                            self.total = number(first.unwrap_or(inner)).or(self.total);
                        }
                        _ => {}
                    }
                    self.collect(inner, depth + 1);
                }
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

    /// The node that a value is, or mentions.
    fn node(&self, value: &'a Value) -> Option<&'a Map<String, Value>> {
        let inner = value.as_object()?;
        let id = inner.get("@id").and_then(Value::as_str);
        Some(id.and_then(|id| self.by_id.get(id)).copied().unwrap_or(inner))
    }

    /// A value as text: itself, its `@value`, French first, or the name of the node it mentions.
    fn text(&self, node: &'a Map<String, Value>, name: &str) -> Option<String> {
        let mut values = self.values(node, name);
        values.sort_by_key(|v| v.get("@language").and_then(Value::as_str) != Some("fr"));
        let named = |value: &'a Value| {
            let names = ["name", "fn", "prefLabel", "title", "label"];
            let there = self.node(value)?;
            names.iter().find_map(|name| self.values(there, name).into_iter().find_map(plain))
        };
        let mentioned = |value: &Value| value.get("@id").and_then(Value::as_str).map(str::to_owned);
        let found = values
            .into_iter()
            .find_map(|value| plain(value).or_else(|| named(value)).or_else(|| mentioned(value)));
        found.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty())
    }

    /// A value as an address: that of the node it mentions, or its text.
    fn address(&self, node: &'a Map<String, Value>, name: &str) -> Option<String> {
        let one = |value: &Value| {
            let id = value.get("@id").and_then(Value::as_str).map(str::to_owned);
            id.or_else(|| plain(value))
        };
        let found = self.values(node, name).into_iter().find_map(one);
        found.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty())
    }

    fn offer(&self, dataset: &'a Map<String, Value>) -> Offer {
        let distributions = self.values(dataset, "distribution").into_iter();
        let distributions = distributions.filter_map(|value| self.node(value));
        let of_ways = distributions.clone().find_map(|d| self.licence(d));
        Offer {
            title: self.text(dataset, "title").unwrap_or_default(),
            producer: self.text(dataset, "publisher").or_else(|| self.text(dataset, "creator")),
            licence: self.licence(dataset).or(of_ways),
            page: self.address(dataset, "landingPage"),
            ways: distributions.filter_map(|d| self.way(d)).collect(),
        }
    }

    fn licence(&self, node: &'a Map<String, Value>) -> Option<String> {
        self.text(node, "license").or_else(|| self.text(node, "rights"))
    }

    fn way(&self, distribution: &'a Map<String, Value>) -> Option<Way> {
        let services = self.values(distribution, "accessService").into_iter();
        let service = services.filter_map(|value| self.node(value)).next();
        let url = ["downloadURL", "accessURL"]
            .iter()
            .find_map(|name| self.address(distribution, name))
            .or_else(|| self.address(service?, "endpointURL"))?;
        let format = ["format", "mediaType"]
            .iter()
            .find_map(|name| self.text(distribution, name))
            .or_else(|| self.address(service?, "conformsTo"));
        let format = format.map(|f| local(f.trim_end_matches('/')).to_owned()).unwrap_or_default();
        let title = self.text(distribution, "title").unwrap_or_default();
        Some(way(&title, &format, &url, Some(title.as_str())))
    }
}

/// A literal's words.
fn plain(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value.get("@value").and_then(Value::as_str)).map(str::to_owned)
}

fn is_a(node: &Map<String, Value>, kind: &str) -> bool {
    let is = |value: &Value| {
        let name = value.as_str().or_else(|| value.get("@id").and_then(Value::as_str));
        name.is_some_and(|name| local(name) == kind)
    };
    ["@type", "type"].iter().filter_map(|key| node.get(*key)).any(|types| match types {
        Value::Array(all) => all.iter().any(is),
        one => is(one),
    })
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
        let of_xml = read(&json(&xml::tree(RDF.as_bytes()).unwrap())).offers;
        let of_json = read(&serde_json::json!({
            "@context": { "dct": "t" },
            "@graph": [
                { "@id": "a", "@type": ["dcat:Dataset"], "dct:title": [{ "@value": "Towns", "@language": "en" }, { "@value": "Communes", "@language": "fr" }],
                  "dct:publisher": { "@type": "foaf:Organization", "foaf:name": "IGN" }, "dct:license": { "@id": "https://x.fr/lo" },
                  "dcat:distribution": { "@id": "d1" } },
                { "@id": "d1", "@type": "dcat:Distribution", "dct:title": "communes", "dct:format": "WFS",
                  "dcat:accessURL": { "@id": "https://x.fr/wfs?request=GetCapabilities" } },
            ],
        }))
        .offers;
        assert_eq!(of_xml, of_json);
        let [offer] = of_xml.as_slice() else { panic!("{of_xml:?}") };
        assert_eq!((offer.title.as_str(), offer.producer.as_deref()), ("Communes", Some("IGN")));
        assert_eq!(offer.licence.as_deref(), Some("https://x.fr/lo"));
        let source = offer.ways[0].source.as_deref().unwrap();
        assert_eq!(source, "[source.wfs]\nurl = \"https://x.fr/wfs\"\ntype = \"communes\"\n");
    }

    /// As rdflib writes it for data.gouv.fr: every node in the long form, pages by Hydra.
    const LONG: &str = r#"<rdf:RDF xmlns:rdf="r" xmlns:dcat="d" xmlns:dct="t" xmlns:foaf="f" xmlns:hydra="h">
<rdf:Description rdf:about="https://x.fr/catalog.rdf?page=1"><rdf:type rdf:resource="http://www.w3.org/ns/hydra/core#PartialCollectionView"/><hydra:next rdf:resource="https://x.fr/catalog.rdf?page=2"/></rdf:Description>
<rdf:Description rdf:about="https://x.fr/catalog"><rdf:type rdf:resource="http://www.w3.org/ns/dcat#Catalog"/><hydra:totalItems rdf:datatype="i">12</hydra:totalItems><dcat:dataset rdf:resource="https://x.fr/a"/></rdf:Description>
<rdf:Description rdf:about="https://x.fr/a"><rdf:type rdf:resource="http://www.w3.org/ns/dcat#Dataset"/><dct:title xml:lang="en">Towns</dct:title><dct:title xml:lang="fr">Communes</dct:title><dct:publisher rdf:nodeID="n1"/><dcat:distribution rdf:resource="https://x.fr/r/1"/><dcat:landingPage rdf:resource="https://x.fr/page"/></rdf:Description>
<rdf:Description rdf:nodeID="n1"><rdf:type rdf:resource="http://xmlns.com/foaf/0.1/Organization"/><foaf:name>IGN</foaf:name></rdf:Description>
<rdf:Description rdf:about="https://x.fr/r/1"><rdf:type rdf:resource="http://www.w3.org/ns/dcat#Distribution"/><dct:title>adm:communes</dct:title><dct:license>Licence Ouverte 2.0</dct:license><dcat:accessService rdf:resource="https://x.fr/s"/></rdf:Description>
<rdf:Description rdf:about="https://x.fr/s"><rdf:type rdf:resource="http://www.w3.org/ns/dcat#DataService"/><dcat:endpointURL rdf:resource="https://x.fr/ows"/><dct:conformsTo rdf:resource="http://www.opengeospatial.org/standards/wfs"/></rdf:Description>
</rdf:RDF>"#;

    #[test]
    fn the_long_form_says_as_much_and_where_it_goes_on() {
        let found = read(&json(&xml::tree(LONG.as_bytes()).unwrap()));
        assert_eq!(found.next.as_deref(), Some("https://x.fr/catalog.rdf?page=2"));
        assert_eq!(found.total, Some(12));
        let [offer] = found.offers.as_slice() else { panic!("{found:?}") };
        assert_eq!((offer.title.as_str(), offer.producer.as_deref()), ("Communes", Some("IGN")));
        assert_eq!(offer.licence.as_deref(), Some("Licence Ouverte 2.0"));
        assert_eq!(offer.page.as_deref(), Some("https://x.fr/page"));
        let source = "[source.wfs]\nurl = \"https://x.fr/ows\"\ntype = \"adm:communes\"\n";
        assert_eq!(offer.ways[0].source.as_deref(), Some(source));
        // A mention, even with what it is, is not the node.
        let mention = serde_json::json!({ "@graph": [
            { "@id": "a", "@type": "Dataset", "title": "T", "distribution": { "@id": "d", "@type": "Distribution" } },
            { "@id": "d", "@type": "Distribution", "downloadURL": "https://x.fr/a.csv", "format": "CSV" },
            { "@id": "a", "@type": "Dataset" },
        ], "hydra:view": { "@id": "v", "hydra:next": "https://x.fr/?page=2" }, "hydra:totalItems": 3 });
        let found = read(&mention);
        assert_eq!((found.total, found.next.as_deref()), (Some(3), Some("https://x.fr/?page=2")));
        assert_eq!(found.offers.len(), 1);
        assert_eq!(found.offers[0].ways[0].url, "https://x.fr/a.csv");
    }
}
