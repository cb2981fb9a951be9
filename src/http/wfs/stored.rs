//! Stored queries: the one that the standard asks for.

use super::{
    Asked, XML,
    fail::{Fail, Result},
};
use crate::{
    http::{reply::Document, visit::Visit},
    items::gml::{PREFIX, SPACE, encode},
    text,
};

/// One feature by its id.
pub const BY_ID: &str = "urn:ogc:def:query:OGC-WFS::GetFeatureById";
/// The same in the version before.
const BY_ID_OLD: &str = "http://www.opengis.net/def/query/OGC-WFS/0/GetFeatureById";

/// Whether a name is that of the query by id.
pub fn is_by_id(name: &str) -> bool {
    name == BY_ID || name == BY_ID_OLD
}

/// There is no such query.
pub fn unknown(name: &str) -> Fail {
    let shown: String = name.chars().take(120).collect();
    Fail::invalid(
        "STOREDQUERY_ID",
        text!(
            "Requête enregistrée inconnue : « {shown} ». Il y en a une : {BY_ID}.",
            "Unknown stored query: \"{shown}\". There is one: {BY_ID}."
        ),
    )
}

/// ListStoredQueries.
pub fn list(visit: &Visit) -> Document {
    let title = visit.words("Une entité par son identifiant", "A feature by its id");
    let types: String = visit
        .snapshot()
        .served()
        .map(|l| {
            format!(
                "<wfs:ReturnFeatureType>{PREFIX}:{}</wfs:ReturnFeatureType>",
                encode(l.def.id.as_str())
            )
        })
        .collect();
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<wfs:ListStoredQueriesResponse xmlns:wfs=\"http://www.opengis.net/wfs/2.0\" xmlns:{PREFIX}=\"{SPACE}\"><wfs:StoredQuery id=\"{BY_ID}\"><wfs:Title xml:lang=\"{}\">{title}</wfs:Title>{types}</wfs:StoredQuery></wfs:ListStoredQueriesResponse>\n",
        visit.lang().tag()
    );
    Document::new(XML, body)
}

/// DescribeStoredQueries.
pub fn describe(visit: &Visit, asked: &Asked) -> Result<Document> {
    let names = asked.kvp.any(&["STOREDQUERY_ID", "STOREDQUERYID"]);
    if let Some(name) = names.unwrap_or(BY_ID).split(',').find(|name| !is_by_id(name.trim())) {
        return Err(unknown(name));
    }
    let title = visit.words("Une entité par son identifiant", "A feature by its id");
    let types: Vec<String> = visit
        .snapshot()
        .served()
        .map(|l| format!("{PREFIX}:{}", encode(l.def.id.as_str())))
        .collect();
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<wfs:DescribeStoredQueriesResponse xmlns:wfs=\"http://www.opengis.net/wfs/2.0\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" xmlns:{PREFIX}=\"{SPACE}\"><wfs:StoredQueryDescription id=\"{BY_ID}\"><wfs:Title xml:lang=\"{}\">{title}</wfs:Title><wfs:Parameter name=\"ID\" type=\"xsd:string\"/><wfs:QueryExpressionText returnFeatureTypes=\"{}\" language=\"urn:ogc:def:queryLanguage:OGC-WFS::WFS_QueryExpression\" isPrivate=\"true\"/></wfs:StoredQueryDescription></wfs:DescribeStoredQueriesResponse>\n",
        visit.lang().tag(),
        types.join(" ")
    );
    Ok(Document::new(XML, body))
}
