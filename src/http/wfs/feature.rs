//! GetFeature and GetPropertyValue.

use super::{
    Asked,
    fail::{Fail, Result},
    filter::property,
    kvp::Kvp,
    output::Output,
    query::{self, Query},
    stored,
    version::Version,
};
use crate::{
    error::Error,
    exports::{Kind, Options},
    http::{
        exports,
        feed::xml,
        items::{NUMBER_MATCHED, NUMBER_RETURNED},
        links::{Link, media},
        reply::Document,
        spooled::Spooled,
        visit::Visit,
    },
    items::{
        Form, Members, Page, PageQuery, Spool,
        gml::{PREFIX, Part, SPACE, feature_of},
    },
    query::Start,
    text,
};
use axum::{http::header, response::Response};
use std::fmt::Write;

/// Features of an answer when no number is asked for (`CountDefault`).
pub const USUAL: u64 = 1_000;
/// Most features of an answer.
pub const MOST: u64 = 100_000;

/// What of the whole is asked for.
struct Window {
    start: u64,
    count: u64,
    hits: bool,
    /// Whether a number was asked for, or goes without saying.
    bounded: bool,
}

impl Window {
    fn read(kvp: &Kvp, version: Version, output: Output) -> Result<Self> {
        let hits = match kvp.get("RESULTTYPE") {
            None => false,
            Some(r) if r.eq_ignore_ascii_case("results") => false,
            Some(r) if r.eq_ignore_ascii_case("hits") => true,
            Some(other) => {
                let shown: String = other.chars().take(40).collect();
                return Err(Fail::invalid(
                    "resultType",
                    text!("« {shown} » : results ou hits.", "\"{shown}\": results or hits."),
                ));
            }
        };
        let count = kvp.number(&["COUNT", "MAXFEATURES"])?;
        let start = kvp.number(&["STARTINDEX"])?.unwrap_or(0);
        // Old clients know of no pages, and a file says nothing of those behind it: nothing is kept
        // from them without a word.
        let paged = version == Version::V20 && matches!(output, Output::Gml | Output::Json);
        let bounded = count.is_some() || paged;
        let usual = if bounded { USUAL } else { MOST };
        Ok(Self { start, count: count.unwrap_or(usual).min(MOST), hits, bounded })
    }
}

/// The features of one query, and how they stand among all.
struct Found {
    page: Page,
    /// Whether there are more.
    more: bool,
}

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
        let members = Members { gml: version.gml(), part: Part::Feature, srs: query.srs.clone() };
        let form = form.clone().unwrap_or(Form::Members(members));
        let now = Window { count: left, ..window };
        let found = run(visit, query, form, &now).await?;
        left -= found.page.returned.min(left);
        all.push(found);
    }
    if !window.bounded && all.iter().any(|f| f.more) {
        return Err(too_many());
    }
    let document = match output {
        Output::Page(kind) => page(visit, asked, kind, &window, all)?,
        Output::Json => Document::spooled(media::GEOJSON, json(visit, asked, &window, all)?),
        _ => Document::spooled(version.media(), collection(visit, asked, version, &window, all)?),
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
    let mut document = Document::spooled(kind.media, found.page.body)
        .with(header::CONTENT_DISPOSITION, name)
        .with(NUMBER_RETURNED, found.page.returned.to_string());
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

fn one_query_only() -> Fail {
    let text = text!(
        "Plusieurs requêtes à la fois ne vont ni avec startIndex ni avec ce format : une à la fois.",
        "Several queries at once go neither with startIndex nor with this format: one at a time."
    );
    Fail::new("OptionNotSupported", "typeNames", Error::Invalid(text))
}

fn too_many() -> Fail {
    let text = text!(
        "Plus de {MOST} entités : donnez count (maxFeatures), un BBOX ou un filtre, ou passez au GML de WFS 2.0 et à ses pages.",
        "More than {MOST} features: give count (maxFeatures), a BBOX or a filter, or use the GML of WFS 2.0 and its pages."
    );
    Fail::new("OperationProcessingFailed", "maxFeatures", Error::Conflict(text))
}

/// What the answer to some queries depends on.
fn states(queries: &[Query]) -> Result<Vec<String>> {
    let mut states = Vec::new();
    for query in queries {
        let border = query.outline.as_ref().map_or("", |o| o.key.as_str());
        let at = query.layer.at()?;
        states.push(format!("{} {} {} {border}", query.layer.def.id, at.key(), query.filter.key()));
    }
    Ok(states)
}

/// Answers one query.
async fn run(visit: &Visit, query: Query, form: Form, window: &Window) -> Result<Found> {
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
            Page { matched, ..items.hits(&layer, page, outline).await? }
        }
        (None, false) if limit == 0 => items.hits(&layer, page, outline).await?,
        (None, false) => match outline {
            None => items.page(&layer, page).await?,
            Some(outline) => items.cut_page(&layer, page, outline).await?,
        },
    };
    let after = window.start.saturating_add(page.returned);
    let more = page.next.is_some() || page.matched.is_some_and(|matched| after < matched);
    Ok(Found { page, more })
}

/// The addresses of the next page and of the one before.
fn around(
    visit: &Visit,
    asked: &Asked,
    window: &Window,
    found: &[Found],
) -> (Option<String>, Option<String>) {
    let [one] = found else { return (None, None) };
    let most = visit.site.app.settings.server.max_url;
    let root = visit.url("wfs");
    let address = |start: u64, count: u64| {
        let with = [
            ("STARTINDEX", Some(start.to_string())),
            ("COUNT", Some(count.to_string())),
            ("MAXFEATURES", None),
            ("RESULTTYPE", None),
            ("SERVICE", Some("WFS".to_owned())),
        ];
        // One too long to be asked is none.
        Some(asked.kvp.address(&root, &with)).filter(|url| url.len() <= most)
    };
    let count = if window.hits && window.count == 0 { USUAL } else { window.count };
    let after =
        if window.hits { window.start } else { window.start.saturating_add(one.page.returned) };
    // A page of nothing is the last one, whatever was counted.
    let on = window.hits || one.page.returned > 0;
    let next = (one.more && on && window.count > 0).then(|| address(after, count)).flatten();
    let before = window.start.saturating_sub(count);
    let previous = (window.start > 0 && !window.hits && count > 0)
        .then(|| address(before, count.min(window.start)))
        .flatten();
    (next, previous)
}

/// The number of all that match, when it is known.
fn matched(found: &[Found]) -> Option<u64> {
    found.iter().map(|f| f.page.matched).sum()
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The declarations of a document's root.
fn spaces(visit: &Visit, version: Version) -> String {
    let describe = format!(
        "{}?SERVICE=WFS&VERSION={}&REQUEST=DescribeFeatureType",
        visit.url("wfs"),
        version.number()
    );
    format!(
        " xmlns:wfs=\"{wfs}\" xmlns:gml=\"{gml}\" xmlns:{PREFIX}=\"{SPACE}\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"{SPACE} {describe} {wfs} {schema} {gml} {gml_schema}\"",
        wfs = version.space(),
        gml = version.gml_space(),
        schema = version.schema(),
        gml_schema = version.gml_schema(),
        describe = xml(&describe),
    )
}

/// The numbers and addresses of a collection's root, those of WFS 2.0.
fn numbers(
    matched: Option<u64>,
    returned: u64,
    (next, previous): (Option<String>, Option<String>),
) -> String {
    let matched = matched.map_or("unknown".to_owned(), |n| n.to_string());
    let mut out = format!(
        " timeStamp=\"{}\" numberMatched=\"{matched}\" numberReturned=\"{returned}\"",
        now()
    );
    for (name, url) in [("next", next), ("previous", previous)] {
        if let Some(url) = url {
            let _ = write!(out, " {name}=\"{}\"", xml(&url));
        }
    }
    out
}

/// A collection of GML around the features.
fn collection(
    visit: &Visit,
    asked: &Asked,
    version: Version,
    window: &Window,
    found: Vec<Found>,
) -> Result<Spooled> {
    let returned: u64 = found.iter().map(|f| f.page.returned).sum();
    let links = around(visit, asked, window, &found);
    let spaces = spaces(visit, version);
    let mut before =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<wfs:FeatureCollection".to_owned();
    before.push_str(&spaces);
    match version {
        Version::V20 => before.push_str(&numbers(matched(&found), returned, links)),
        // Old clients read how many match where they asked for it.
        Version::V11 => {
            let number = if window.hits { matched(&found).unwrap_or(0) } else { returned };
            let _ = write!(before, " timeStamp=\"{}\" numberOfFeatures=\"{number}\"", now());
        }
        Version::V10 => {}
    }
    before.push_str(">\n");
    if version == Version::V10 {
        // Its schema asks for an extent.
        before.push_str("<gml:boundedBy><gml:null>unknown</gml:null></gml:boundedBy>\n");
    }
    let after = "</wfs:FeatureCollection>\n".to_owned();
    let several = version == Version::V20 && found.len() > 1;
    joined(found, before, after, |f| {
        let head = several.then(|| {
            let numbers = numbers(f.page.matched, f.page.returned, (None, None));
            format!("<wfs:member><wfs:FeatureCollection{numbers}>\n")
        });
        head.map(|head| (head, "</wfs:FeatureCollection></wfs:member>\n".to_owned()))
    })
}

/// The features of all queries, one after the other.
fn joined(
    mut found: Vec<Found>,
    mut before: String,
    after: String,
    around: impl Fn(&Found) -> Option<(String, String)>,
) -> Result<Spooled> {
    if found.len() == 1
        && let Some(one) = found.pop()
    {
        return Ok(Spooled { before: before.into(), spool: one.page.body, after: after.into() });
    }
    let mut inner = Vec::new();
    for one in found {
        let (head, tail) = around(&one).unwrap_or_default();
        inner.extend_from_slice(head.as_bytes());
        inner.extend(one.page.body.into_bytes()?);
        inner.extend_from_slice(tail.as_bytes());
    }
    let spool = Spool::new(std::path::Path::new(""));
    before.push_str(&String::from_utf8_lossy(&inner));
    Ok(Spooled { before: before.into(), spool, after: after.into() })
}

/// A collection of GeoJSON around the features.
fn json(visit: &Visit, asked: &Asked, window: &Window, found: Vec<Found>) -> Result<Spooled> {
    let returned: u64 = found.iter().map(|f| f.page.returned).sum();
    let (next, previous) = around(visit, asked, window, &found);
    let mut head = serde_json::json!({
        "timeStamp": now(),
        "numberReturned": returned,
    });
    if let Some(matched) = matched(&found) {
        head["numberMatched"] = matched.into();
        head["totalFeatures"] = matched.into();
    }
    // GeoJSON is in degrees; where another system was asked for, it says so as old clients read it.
    if let Some(srs) = asked.kvp.get("SRSNAME") {
        head["crs"] = serde_json::json!({ "type": "name", "properties": { "name": srs } });
    }
    let link = |rel: &str, href: Option<String>| {
        href.map(|href| serde_json::json!({ "rel": rel, "type": media::GEOJSON, "href": href }))
    };
    let links: Vec<_> =
        [link("next", next), link("previous", previous)].into_iter().flatten().collect();
    head["links"] = links.into();
    let head = head.to_string();
    let head = head.trim_start_matches('{').trim_end_matches('}');
    let before = format!("{{\"type\":\"FeatureCollection\",{head},\"features\":[\n");
    // A comma stands before the features of a query where there are some before them.
    let any = std::cell::Cell::new(false);
    joined(found, before, "\n]}\n".to_owned(), |f| {
        let some = f.page.returned > 0;
        let comma = some && any.replace(any.get() || some);
        Some((if comma { ",\n".to_owned() } else { String::new() }, String::new()))
    })
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
            part: Part::Feature,
            srs: query.srs.clone(),
        }),
        _ => return Err(one_query_only()),
    };
    let window = Window { start: 0, count: 1, hits: false, bounded: true };
    let found = run(visit, Query { ids: Some(vec![own]), ..query }, form, &window).await?;
    let bytes = found.page.body.into_bytes()?;
    if found.page.returned == 0 {
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
        spaces(visit, version)
    ))
}

/// GetPropertyValue.
pub async fn values(visit: &Visit, asked: &Asked, body: &str) -> Result<Response> {
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
        numbers(found.page.matched, found.page.returned, links)
    );
    let after = b"</wfs:ValueCollection>\n".to_vec();
    let spooled = Spooled { before: before.into(), spool: found.page.body, after };
    Ok(visit.send(&tag, Document::spooled(super::XML, spooled)).await?)
}
