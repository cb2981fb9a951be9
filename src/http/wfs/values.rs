//! GetPropertyValue.

use super::{
    Asked, XML,
    collection::spaces,
    fail::{Fail, Result},
    feature::{one_query_only, run, states},
    filter::property,
    output::Output,
    query,
    version::Version,
    window::{Window, around, numbers},
};
use crate::{
    http::{parts::Parts, reply::Document, visit::Visit},
    items::{Form, Members, gml::Part},
    text,
};
use axum::response::Response;

/// GetPropertyValue.
pub async fn answer(visit: &Visit, asked: &Asked, body: &str) -> Result<Response> {
    let (kvp, version) = (&asked.kvp, Version::V20);
    if !kvp.has("VALUEREFERENCE") {
        return Err(Fail::missing("valueReference"));
    }
    let Some(reference) = kvp.get("VALUEREFERENCE") else {
        let text = text!("valueReference est vide.", "valueReference is empty.");
        return Err(Fail::invalid("valueReference", text));
    };
    let window = Window::read(kvp, version, Output::Gml)?;
    let mut queries = query::read_all(visit, &asked.queries, version, Output::Gml)?;
    let (Some(mut query), true) = (queries.pop(), queries.is_empty()) else {
        return Err(one_query_only());
    };
    let schema = &query.layer.at()?.version.schema;
    let last = reference.rsplit('/').next().unwrap_or(reference);
    let part = if last == "@gml:id" || last == "@id" {
        query.view.fields = Some(Vec::new());
        query.view.no_geometry = true;
        Part::Id
    } else {
        let name = property(schema, reference);
        match schema.index(&name) {
            Some(position) => {
                query.view.fields = Some(vec![position]);
                query.view.no_geometry = true;
                Part::Value
            }
            None if name == schema.geometry_name() => Part::Geometry,
            None => return Err(query::unknown("valueReference", reference, schema)),
        }
    };
    let tag = visit
        .tag(&["wfs", "values", body, &states(std::slice::from_ref(&query))?.concat()])
        .of(&query.layer.def);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let form = Form::Members(Members { gml: version.gml(), part, srs: query.srs.clone() });
    let found = [run(visit, query, form, &window).await?];
    let links = around(visit, asked, &window, &found);
    let [found] = found;
    let before = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<wfs:ValueCollection{}{}>\n",
        spaces(visit, version),
        numbers(found.matched, found.returned, links)
    );
    let mut parts = Parts::from_iter([before]);
    parts.push(found.body);
    parts.push("</wfs:ValueCollection>\n".to_owned());
    Ok(visit.send(&tag, Document::of(XML, parts)).await?)
}
