//! GetFeature.

use super::{
    Asked, collection,
    fail::{Fail, Result},
    kvp::Kvp,
    output::Output,
    query::{self, Query},
    stored,
    version::Version,
    window::{Found, Window, around, matched, too_many},
};
use crate::{
    error::Error,
    exports::{Kind, Options},
    http::{
        exports,
        items::{NUMBER_MATCHED, NUMBER_RETURNED},
        links::{Link, media},
        parts::{Part, Parts},
        reply::Document,
        visit::Visit,
    },
    items::{
        Form, Members, PageQuery,
        gml::{self, feature_of},
    },
    query::Start,
    text,
};
use axum::{http::header, response::Response};

/// GetFeature.
pub async fn features(
    visit: &Visit,
    asked: &Asked,
    version: Version,
    body: &str,
) -> Result<Response> {
    let kvp = &asked.kvp;
    let output = Output::read(kvp.get("OUTPUTFORMAT"), version)?;
    if let Some(name) = kvp.any(&["STOREDQUERY_ID", "STOREDQUERYID"]) {
        return by_id(visit, kvp, name, version, output).await;
    }
    let window = Window::read(kvp, version, output)?;
    if window.hits && matches!(output, Output::Page(_) | Output::File(_)) {
        let text = text!(
            "Ce format donne des entités : resultType=hits se demande en GML ou en GeoJSON.",
            "This format gives features: resultType=hits is asked in GML or GeoJSON."
        );
        return Err(Fail::new("OptionNotSupported", "resultType", Error::Invalid(text)));
    }
    let queries = query::read_all(visit, &asked.queries, version, output)?;
    let tag = visit.tag(&["wfs", version.number(), body, &states(&queries)?.join("\n")]);
    let tag = match queries.as_slice() {
        [one] => tag.of(&one.layer.def),
        _ => tag,
    };
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let form = match output {
        Output::File(kind) => return file(visit, kind, queries, &window).await,
        Output::Page(kind) => Some(Form::File(kind, Options::default())),
        Output::Json => Some(Form::Features),
        Output::Gml => None,
    };
    if queries.len() > 1 && (window.start > 0 || matches!(output, Output::Page(_))) {
        return Err(one_query_only());
    }
    let mut all = Vec::new();
    let mut left = window.count;
    for query in queries {
        let members =
            Members { gml: version.gml(), part: gml::Part::Feature, srs: query.srs.clone() };
        let form = form.clone().unwrap_or(Form::Members(members));
        let now = Window { count: left, ..window };
        let found = run(visit, query, form, &now).await?;
        left -= found.returned.min(left);
        all.push(found);
    }
    if !window.bounded && !window.hits && all.iter().any(|f| f.more) {
        return Err(too_many());
    }
    let document = match output {
        Output::Page(kind) => page(visit, asked, kind, &window, all)?,
        Output::Json => Document::of(media::GEOJSON, collection::json(visit, asked, &window, all)),
        _ => Document::of(version.media(), collection::gml(visit, asked, version, &window, all)),
    };
    Ok(visit.send(&tag, document).await?)
}

/// A page as a file. What a collection says in its root is said in headers, as on items.
fn page(
    visit: &Visit,
    asked: &Asked,
    kind: &'static Kind,
    window: &Window,
    mut all: Vec<Found>,
) -> Result<Document> {
    let (next, previous) = around(visit, asked, window, &all);
    let matched = matched(&all);
    let found = all.pop().ok_or_else(one_query_only)?;
    let name = format!("attachment; filename=\"socle.{}\"", kind.extension);
    let mut document = Document::of(kind.media, Parts::from_iter([found.body]))
        .with(header::CONTENT_DISPOSITION, name)
        .with(NUMBER_RETURNED, found.returned.to_string());
    if let Some(matched) = matched {
        document = document.with(NUMBER_MATCHED, matched.to_string());
    }
    let link = |rel: &'static str, href: Option<String>| {
        href.map(|href| Link::new(rel, kind.media, href).header())
    };
    let links: Vec<String> =
        [link("next", next), link("previous", previous)].into_iter().flatten().collect();
    Ok(match links.is_empty() {
        true => document,
        false => document.with(header::LINK, links.join(", ")),
    })
}

/// Several queries do not go together here.
pub fn one_query_only() -> Fail {
    let text = text!(
        "Plusieurs requêtes à la fois ne vont ni avec startIndex ni avec ce format : une à la fois.",
        "Several queries at once go neither with startIndex nor with this format: one at a time."
    );
    Fail::new("OptionNotSupported", "typeNames", Error::Invalid(text))
}

/// What the answer to some queries depends on.
pub fn states(queries: &[Query]) -> Result<Vec<String>> {
    let mut states = Vec::new();
    for query in queries {
        let border = query.outline.as_ref().map_or("", |o| o.key.as_str());
        let at = query.layer.at()?;
        states.push(format!("{} {} {} {border}", query.layer.def.id, at.key(), query.filter.key()));
    }
    Ok(states)
}

/// Answers one query.
pub async fn run(visit: &Visit, query: Query, form: Form, window: &Window) -> Result<Found> {
    let items = &visit.site.app.items;
    let Query { layer, filter, ids, outline, view, system, .. } = query;
    let start = Start::Offset(window.start);
    let limit = window.count;
    let page = PageQuery { filter, start, limit, system, view, form };
    let outline = outline.as_ref();
    let page = match (ids, window.hits) {
        (Some(ids), hits) => {
            let limit = if hits { 0 } else { limit };
            items.listed(&layer, &ids, PageQuery { limit, ..page }, outline).await?
        }
        (None, true) => {
            let matched = items.count_all(&layer, &page.filter, outline).await?;
            items.empty(&layer, page, outline.is_some(), matched).await?
        }
        (None, false) if limit == 0 => items.hits(&layer, page, outline).await?,
        (None, false) => match (items.flow(&layer, &page, outline).await?, outline) {
            (Some(flow), _) => {
                let (matched, returned) = (flow.matched, flow.returned);
                let more = window.start.saturating_add(returned) < matched;
                return Ok(Found { body: flow.into(), returned, matched: Some(matched), more });
            }
            (None, None) => items.page(&layer, page).await?,
            (None, Some(outline)) => items.cut_page(&layer, page, outline).await?,
        },
    };
    let (returned, matched) = (page.returned, page.matched);
    let after = window.start.saturating_add(returned);
    let more = page.next.is_some() || matched.is_some_and(|matched| after < matched);
    Ok(Found { body: page.body.into(), returned, matched, more })
}

/// All features as a file, as exports write it.
async fn file(
    visit: &Visit,
    kind: &'static Kind,
    queries: Vec<Query>,
    window: &Window,
) -> Result<Response> {
    if window.bounded {
        let text = text!(
            "Ce format donne toutes les entités du filtre : sans count ni maxFeatures.",
            "This format gives all features of the filter: without count and maxFeatures."
        );
        return Err(Fail::new("OptionNotSupported", "count", Error::Invalid(text)));
    }
    let shown =
        queries.iter().any(|q| q.view.fields.is_some() || q.view.sort.is_some() || q.ids.is_some());
    if window.start > 0 || shown {
        let text = text!(
            "Ce format donne toutes les entités du filtre : sans startIndex, sortBy, propertyName ni resourceId.",
            "This format gives all features of the filter: without startIndex, sortBy, propertyName and resourceId."
        );
        return Err(Fail::new("OptionNotSupported", "outputFormat", Error::Invalid(text)));
    }
    let srs = queries.first().map(|q| q.srs.clone());
    let parts = queries.into_iter().map(|q| (q.layer, q.filter, q.outline)).collect();
    Ok(exports::whole(visit, parts, kind, srs.as_deref()).await?)
}

/// The stored query by id: the feature itself.
async fn by_id(
    visit: &Visit,
    kvp: &Kvp,
    name: &str,
    version: Version,
    output: Output,
) -> Result<Response> {
    if !stored::is_by_id(name) || version != Version::V20 {
        return Err(stored::unknown(name));
    }
    let id = kvp.get("ID").ok_or_else(|| Fail::missing("ID"))?;
    let none = || {
        let shown: String = id.chars().take(80).collect();
        let text = text!("Aucune entité « {shown} ».", "No feature \"{shown}\".");
        Fail::new("NotFound", "ID", Error::NotFound(text))
    };
    let (layer, own) = feature_of(id).ok_or_else(none)?;
    let layer = visit.snapshot().layer(&layer).cloned().map_err(|_| none())?;
    let query = query::read(visit, &kvp.bare(), layer, version, output)?;
    let tag = visit
        .tag(&["wfs", "id", &states(std::slice::from_ref(&query))?.concat()])
        .of(&query.layer.def);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let form = match output {
        Output::Json => Form::Features,
        Output::Gml => Form::Members(Members {
            gml: version.gml(),
            part: gml::Part::Feature,
            srs: query.srs.clone(),
        }),
        _ => return Err(one_query_only()),
    };
    let window = Window { start: 0, count: 1, hits: false, bounded: true };
    let found = run(visit, Query { ids: Some(vec![own]), ..query }, form, &window).await?;
    let Part::Bytes(bytes) = found.body else {
        return Err(Error::broken("one feature waits aside").into());
    };
    if found.returned == 0 {
        return Err(none());
    }
    let document = match output {
        Output::Json => Document::new(media::GEOJSON, bytes),
        _ => Document::new(version.media(), root(visit, version, &bytes).ok_or_else(none)?),
    };
    Ok(visit.send(&tag, document).await?)
}

/// A member alone as a document.
fn root(visit: &Visit, version: Version, member: &[u8]) -> Option<String> {
    let member = std::str::from_utf8(member).ok()?.trim_end();
    let feature = member.strip_prefix("<wfs:member>")?.strip_suffix("</wfs:member>")?;
    let (name, rest) = feature.split_once(' ')?;
    Some(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{name}{} {rest}\n",
        collection::spaces(visit, version)
    ))
}
