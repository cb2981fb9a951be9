//! What is asked, as pairs of names and values, however it came: in the address, as a form, as XML.
//! Names are in capitals. From pairs alone the address of the next page is written again.

use super::fail::{Fail, Result};
use crate::{
    error::Error,
    http::params::{Params, SECRETS, encode},
    items::read_xml,
    model::Element,
    text,
};

/// What belongs to one query of several.
const OF_QUERY: [&str; 9] = [
    "TYPENAMES",
    "TYPENAME",
    "SRSNAME",
    "PROPERTYNAME",
    "FILTER",
    "BBOX",
    "SORTBY",
    "RESOURCEID",
    "FEATUREID",
];

/// Most queries of a request: each is read, and answered, for itself.
pub const MOST_QUERIES: usize = 20;

/// A request asks too much at once.
pub fn too_many_queries(found: usize) -> Fail {
    let text = text!(
        "{found} requêtes à la fois, {MOST_QUERIES} au plus.",
        "{found} queries at once, at most {MOST_QUERIES}."
    );
    Fail::new("OperationProcessingFailed", "typeNames", Error::Invalid(text))
}

/// Names, in capitals, and values.
#[derive(Debug, Clone, Default)]
pub struct Kvp(Vec<(String, String)>);

impl Kvp {
    /// Of an address or a form.
    pub fn of(params: &Params) -> Self {
        let pairs = params.iter().filter(|(n, _)| !SECRETS.contains(n));
        Self(pairs.map(|(n, v)| (n.to_ascii_uppercase(), v.to_owned())).collect())
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A value, when it is there and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(n, v)| n == name && !v.trim().is_empty());
        found.map(|(_, v)| v.trim())
    }

    /// The first of several names that there is.
    pub fn any(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    /// Whether a name is there, even without a value.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }

    /// A whole number, not negative.
    pub fn number(&self, names: &[&str]) -> Result<Option<u64>> {
        let Some((name, value)) = names.iter().find_map(|n| Some((*n, self.get(n)?))) else {
            return Ok(None);
        };
        let digits = value.bytes().all(|b| b.is_ascii_digit());
        match value.parse() {
            Ok(n) if digits => Ok(Some(n)),
            Err(_) if digits => Ok(Some(u64::MAX)),
            _ => {
                let shown: String = value.chars().take(60).collect();
                Err(Fail::invalid(
                    name,
                    text!(
                        "« {shown} » n'est pas un entier positif ou nul.",
                        "\"{shown}\" is not a non-negative whole number."
                    ),
                ))
            }
        }
    }

    /// What of it is about the answer alone: what selects is left out.
    pub fn bare(&self) -> Self {
        Self(self.0.iter().filter(|(n, _)| n == "SRSNAME").cloned().collect())
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(n, _)| n != name);
        self.0.push((name.to_owned(), value.into()));
    }

    /// The query string with other values, those without one left out.
    pub fn address(&self, root: &str, with: &[(&str, Option<String>)]) -> String {
        let kept = self.0.iter().filter(|(n, _)| with.iter().all(|(w, _)| w != n));
        let kept = kept.map(|(n, v)| (n.as_str(), v.as_str()));
        let with = with.iter().filter_map(|(n, v)| Some((*n, v.as_deref()?)));
        let pairs: Vec<String> =
            kept.chain(with).map(|(n, v)| format!("{}={}", encode(n), encode(v))).collect();
        format!("{root}?{}", pairs.join("&"))
    }

    /// The queries it is made of: lists in parentheses are one query each.
    pub fn queries(&self) -> Result<Vec<Self>> {
        let mut count = 1;
        let mut lists: Vec<(&str, Vec<&str>)> = Vec::new();
        for name in OF_QUERY {
            if let Some(value) = self.get(name).filter(|v| v.starts_with('(') && v.ends_with(')')) {
                let inner = value.get(1..value.len() - 1).unwrap_or_default();
                let list: Vec<&str> = inner.split(")(").collect();
                // What is common to them is copied for each.
                if list.len() > MOST_QUERIES {
                    return Err(too_many_queries(list.len()));
                }
                count = count.max(list.len());
                lists.push((name, list));
            }
        }
        if let Some((name, list)) = lists.iter().find(|(_, list)| list.len() != count) {
            let found = list.len();
            return Err(Fail::invalid(
                name,
                text!(
                    "{found} listes entre parenthèses, il en faut {count}.",
                    "{found} lists in parentheses, {count} needed."
                ),
            ));
        }
        let one = |i: usize| {
            let mut query = self.clone();
            for (name, list) in &lists {
                query.set(name, *list.get(i).unwrap_or(&""));
            }
            query
        };
        Ok((0..count).map(one).collect())
    }
}

/// What is asked: what is common, and the queries.
#[derive(Debug, Clone)]
pub struct Asked {
    /// All of it, when there is one query.
    pub kvp: Kvp,
    /// Each query with what is common.
    pub queries: Vec<Kvp>,
}

impl Asked {
    /// Of pairs.
    pub fn of(kvp: Kvp) -> Result<Self> {
        let queries = kvp.queries()?;
        Ok(Self { kvp, queries })
    }

    /// Of a document.
    ///
    /// # Errors
    /// `OperationParsingFailed`.
    pub fn parse(document: &str) -> Result<Self> {
        let parsing = |e| Fail::new("OperationParsingFailed", "request", e);
        let root = read_xml(document).map_err(parsing)?;
        let mut kvp = Kvp::default();
        kvp.set("REQUEST", root.name.clone());
        for (name, value) in &root.attributes {
            if !name.eq_ignore_ascii_case("schemaLocation") {
                kvp.set(&name.to_ascii_uppercase(), value.clone());
            }
        }
        let list = |element: &Element, name: &str| {
            element.all(name).map(|e| e.trimmed().to_owned()).collect::<Vec<_>>().join(",")
        };
        for (element, inner, name) in
            [("AcceptVersions", "Version", "ACCEPTVERSIONS"), ("Sections", "Section", "SECTIONS")]
        {
            if let Some(all) = root.child(element) {
                kvp.set(name, list(all, inner));
            }
        }
        for (element, name) in [("TypeName", "TYPENAME"), ("StoredQueryId", "STOREDQUERY_ID")] {
            if root.child(element).is_some() {
                kvp.set(name, list(&root, element));
            }
        }
        let queries = root.children.iter().filter(|c| c.name.ends_with("Query")).count();
        if queries > MOST_QUERIES {
            return Err(too_many_queries(queries));
        }
        let mut queries = Vec::new();
        for child in &root.children {
            match child.name.as_str() {
                "Query" => queries.push(of_query(&kvp, child)),
                "StoredQuery" => queries.push(of_stored(&kvp, child)),
                _ => {}
            }
        }
        match queries.as_slice() {
            [] => queries.push(kvp.clone()),
            [one] => kvp = one.clone(),
            _ => {}
        }
        Ok(Self { kvp, queries })
    }
}

fn of_query(common: &Kvp, query: &Element) -> Kvp {
    let mut kvp = common.clone();
    for (name, value) in &query.attributes {
        // An xs:list: names apart by space are a join.
        let value = match name.as_str() {
            "typeNames" | "typeName" => value.split_whitespace().collect::<Vec<_>>().join(","),
            _ => value.clone(),
        };
        kvp.set(&name.to_ascii_uppercase(), value);
    }
    let names: Vec<&str> = query.all("PropertyName").map(Element::trimmed).collect();
    if !names.is_empty() {
        kvp.set("PROPERTYNAME", names.join(","));
    }
    if let Some(filter) = query.child("Filter") {
        kvp.set("FILTER", filter.to_xml());
    }
    if let Some(sort) = query.child("SortBy") {
        let one = |p: &Element| {
            let name = p.child("ValueReference").or_else(|| p.child("PropertyName"));
            let order = p.child("SortOrder").map_or("ASC", Element::trimmed);
            format!("{} {order}", name.map_or("", Element::trimmed))
        };
        let all: Vec<String> = sort.all("SortProperty").map(one).collect();
        kvp.set("SORTBY", all.join(","));
    }
    kvp
}

fn of_stored(common: &Kvp, query: &Element) -> Kvp {
    let mut kvp = common.clone();
    kvp.set("STOREDQUERY_ID", query.attribute("id").unwrap_or_default());
    for parameter in query.all("Parameter") {
        let name = parameter.attribute("name").unwrap_or_default();
        kvp.set(&name.to_ascii_uppercase(), parameter.trimmed());
    }
    kvp
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn documents_say_what_addresses_say() {
        let document = "<wfs:GetFeature service='WFS' version='2.0.0' count='5' xmlns:wfs='http://www.opengis.net/wfs/2.0' xmlns:fes='http://www.opengis.net/fes/2.0'><wfs:Query typeNames='socle:communes' srsName='EPSG:2154'><wfs:PropertyName>nom</wfs:PropertyName><wfs:PropertyName>code</wfs:PropertyName><fes:Filter><fes:ResourceId rid='communes.1'/></fes:Filter><fes:SortBy><fes:SortProperty><fes:ValueReference>nom</fes:ValueReference><fes:SortOrder>DESC</fes:SortOrder></fes:SortProperty></fes:SortBy></wfs:Query></wfs:GetFeature>";
        let asked = Asked::parse(document).unwrap();
        let get = |name| asked.kvp.get(name).unwrap().to_owned();
        assert_eq!(get("REQUEST"), "GetFeature");
        assert_eq!(get("COUNT"), "5");
        assert_eq!(get("TYPENAMES"), "socle:communes");
        assert_eq!(get("PROPERTYNAME"), "nom,code");
        assert_eq!(get("SORTBY"), "nom DESC");
        assert!(read_xml(&get("FILTER")).is_ok());
        let again =
            asked.kvp.address("http://a/wfs", &[("COUNT", Some("7".into())), ("SRSNAME", None)]);
        let params = Params::parse(again.split_once('?').map(|(_, q)| q)).unwrap();
        let again = Kvp::of(&params);
        assert_eq!(again.get("FILTER"), asked.kvp.get("FILTER"));
        assert_eq!((again.get("COUNT"), again.get("SRSNAME")), (Some("7"), None));
    }

    #[test]
    fn lists_in_parentheses_are_queries() {
        let kvp = |query: &str| Kvp::of(&Params::parse(Some(query)).unwrap());
        let queries = kvp("typenames=(a)(b)&FILTER=(x)(y)&count=1").queries().unwrap();
        assert_eq!(queries.len(), 2);
        assert_eq!((queries[1].get("TYPENAMES"), queries[1].get("FILTER")), (Some("b"), Some("y")));
        assert_eq!(queries[1].get("COUNT"), Some("1"));
        assert!(kvp("typenames=(a)(b)&filter=(x)").queries().is_err());
        assert_eq!(kvp("typenames=a").queries().unwrap().len(), 1);
        let several = |n: usize| format!("typenames={}", "(a)".repeat(n));
        assert_eq!(kvp(&several(20)).queries().unwrap().len(), 20);
        assert!(kvp(&several(21)).queries().is_err());
        let document =
            |n: usize| format!("<GetFeature>{}</GetFeature>", "<Query typeNames='a'/>".repeat(n));
        assert_eq!(Asked::parse(&document(20)).unwrap().queries.len(), 20);
        assert!(Asked::parse(&document(21)).is_err());
        assert!(kvp("key=secret").is_empty() && !kvp("key=secret&a=").is_empty());
    }

    proptest! {
        #[test]
        fn any_document_is_read_or_refused(text in "\\PC{0,80}") {
            let _ = Asked::parse(&text);
        }
    }
}
