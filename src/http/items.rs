//! Features: pages of them and one alone, as GeoJSON, as tables and as files. Written as bytes
//! around what the service gives; no tree of JSON values in between.

pub mod form;

use super::{
    Answer,
    access::TERRITORY_NOTICE,
    exports, filter,
    links::{Link, media},
    negotiate::Format,
    pages,
    params::{self, name},
    parts::{Part, Parts},
    reply::Document,
    scope::Scope,
    stats,
    visit::Visit,
};
use crate::{
    catalog::{Layer, Outline},
    error::{Error, Result},
    items::{Form, PageQuery, Spool, System, View},
    model::{BBox, Schema, Text, tile_id::MAX_ZOOM},
    query::{Cursor, DEFAULT_LIMIT, Equals, Filter, Sort, Start, parse_limit, typed_value},
    text,
};
use axum::{
    extract::Path,
    http::{HeaderName, header},
};
use form::Asked;
use std::sync::Arc;

/// Parameters of `…/items`, besides the layer's own properties.
pub const KNOWN: [&str; 24] = [
    name::BBOX,
    name::BBOX_CRS,
    name::CRS,
    name::CURSOR,
    name::DATETIME,
    name::F,
    name::FILTER,
    name::FILTER_CRS,
    name::FILTER_LANG,
    name::LIMIT,
    name::OFFSET,
    name::PROPERTIES,
    name::SKIP_GEOMETRY,
    name::SORTBY,
    name::TERRITORY,
    name::TERRITOIRE,
    name::MODE,
    name::VINTAGE,
    name::ZOOM_LEVEL,
    RESULT_TYPE,
    exports::GEOMETRY,
    stats::BOM,
    stats::DECIMAL,
    stats::SEPARATOR,
];
/// Those of tables: elsewhere a property of such a name may be filtered by.
const OF_TABLES: [&str; 4] = [exports::GEOMETRY, stats::BOM, stats::DECIMAL, stats::SEPARATOR];
const RESULT_TYPE: &str = "resultType";
/// The zoom that geometry of an example is generalised for: a few points.
const EXAMPLE_ZOOM: u8 = 8;
/// Rows of a table in a page, when no limit is asked for.
const TABLE_LIMIT: u64 = 50;

/// How many features match in all.
pub(super) const NUMBER_MATCHED: HeaderName = HeaderName::from_static("ogc-numbermatched");
/// How many features an answer holds.
pub(super) const NUMBER_RETURNED: HeaderName = HeaderName::from_static("ogc-numberreturned");
/// How many communes the border to cut at lacks, since no layer has their polygons.
const BORDER_MISSING: HeaderName = HeaderName::from_static("socle-border-missing");
const CONTENT_CRS_NAME: HeaderName = HeaderName::from_static("content-crs");

/// A page request, understood.
pub struct Request {
    /// For the service.
    pub query: PageQuery,
    /// The system of the answer.
    pub system: System,
    /// Territories of the `territory` parameter.
    pub asked: Option<Arc<Scope>>,
    /// The border to cut at.
    pub outline: Option<Outline>,
    /// Only the number of matches.
    pub hits: bool,
}

/// `GET /collections/{id}/items`
pub async fn page(Path(id): Path<String>, visit: Visit) -> Answer {
    let form = Asked::read(&visit)?;
    let cursor = visit.params.get(name::CURSOR).map(Cursor::parse).transpose()?;
    let layer = as_of(&visit, visit.layer(&id)?, cursor.as_ref()).await?;
    let at = layer.at()?;
    let request = read(&visit, &layer, form, cursor.as_ref())?;
    let (state, key) = (at.key(), request.query.filter.key());
    let border = request.outline.as_ref().map_or("", |o| o.key.as_str());
    let tag = visit
        .tag(&["items", form.id(), &state, &key, border, &request.query.limit.to_string()])
        .of(&layer.def);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let (limit, start) = (request.query.limit, request.query.start);
    let items = &visit.site.app.items;
    let page = match (request.hits, &request.outline) {
        (true, outline) => items.hits(&layer, request.query, outline.as_ref()).await?,
        (false, None) => items.page(&layer, request.query).await?,
        (false, Some(outline)) => items.cut_page(&layer, request.query, outline).await?,
    };
    let around = Around { returned: page.returned, matched: page.matched, next: page.next };
    let links = page_links(&visit, &id, form, &around, (start, limit));
    let mut document = match form {
        Asked::Document(Format::Json) => {
            Document::of(media::GEOJSON, geojson(page.body, &around, &links))
        }
        Asked::Document(Format::Html) => {
            let features = page.body.into_bytes()?;
            Document::html(pages::items::page(&visit, &layer, &features, &around, &links)?)
        }
        Asked::File(kind) => {
            let file = format!("attachment; filename=\"socle_{id}.{}\"", kind.extension);
            Document::of(kind.media, page.body).with(header::CONTENT_DISPOSITION, file)
        }
    };
    if let Some(matched) = around.matched {
        document = document.with(NUMBER_MATCHED, matched.to_string());
    }
    document = document
        .with(NUMBER_RETURNED, around.returned.to_string())
        .with(CONTENT_CRS_NAME, format!("<{}>", request.system.uri()))
        .with(header::LINK, links.iter().map(Link::header).collect::<Vec<_>>().join(", "));
    if let Some(outline) = &request.outline {
        let border = visit.site.app.borders.border(outline, None).await?;
        if border.missing > 0 {
            document = document.with(BORDER_MISSING, border.missing.to_string());
        }
    }
    if let Some(notice) = visit.notice(request.asked.as_deref()) {
        document = document.with(TERRITORY_NOTICE, notice);
    }
    visit.send(&tag, document).await
}

/// `GET /collections/{id}/items/{fid}`
pub async fn feature(Path((id, fid)): Path<(String, String)>, visit: Visit) -> Answer {
    visit.params.check(&[name::F, name::CRS], &[])?;
    let format = visit.format()?;
    let layer = visit.layer(&id)?;
    let system = system(&visit, format == Format::Html, layer.at()?.version.bbox.as_ref())?;
    let tag = visit.tag(&["feature", &layer.at()?.key()]).of(&layer.def);
    // `*` asks whether there is one at all: that takes the look-up below.
    let any = visit.header(header::IF_NONE_MATCH).is_some_and(|h| h.contains('*'));
    if !any && let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let selection = visit.selection(None);
    let items = &visit.site.app.items;
    let found = match visit.outline(None)? {
        None => items.feature_within(&layer, &fid, selection, system.clone()).await?,
        Some(outline) => {
            items.cut_feature(&layer, &fid, selection, &outline, system.clone()).await?
        }
    };
    let Some(mut bytes) = found else {
        let shown: String = fid.chars().take(80).collect();
        let outside = match visit.scope_title() {
            None => Text::default(),
            Some(t) => Text::new(format!(" ({})", t.fr), format!(" ({})", t.en)),
        };
        return Err(Error::NotFound(Text::new(
            format!("La couche « {id} »{} n'a pas d'entité « {shown} ».", outside.fr),
            format!("Layer \"{id}\"{} has no feature \"{shown}\".", outside.en),
        ))
        .into());
    };
    if any && let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let mut links = visit.own_links(media::GEOJSON);
    let collection = visit.url(&format!("collections/{id}"));
    links
        .push(Link::new("collection", media::JSON, collection).titled(visit.say(&layer.def.title)));
    let document = match format {
        Format::Json => {
            // The service gives `{…}`: the links go in before its last brace.
            if bytes.last() == Some(&b'}') {
                bytes.pop();
                bytes.extend_from_slice(b",\"links\":");
                bytes.extend_from_slice(&json_bytes(&links));
                bytes.push(b'}');
            }
            Document::new(media::GEOJSON, bytes)
        }
        Format::Html => Document::html(pages::items::feature(&visit, &layer, &fid, &bytes)?),
    };
    let document = document
        .with(CONTENT_CRS_NAME, format!("<{}>", system.uri()))
        .with(header::LINK, links.iter().map(Link::header).collect::<Vec<_>>().join(", "));
    visit.send(&tag, document).await
}

/// The first feature of a layer within the scope, as one sees it from afar: an example.
pub async fn first(visit: &Visit, layer: &Layer) -> Result<Option<serde_json::Value>> {
    let filter = Filter { selection: visit.selection(None), ..Filter::default() };
    let query = PageQuery {
        filter,
        start: Start::Offset(0),
        limit: 1,
        system: System::default(),
        view: View { zoom: Some(EXAMPLE_ZOOM), ..View::default() },
        form: Form::Features,
    };
    let page = visit.site.app.items.page(layer, query).await?;
    Ok(serde_json::from_slice(&page.body.into_bytes()?).ok())
}

/// Reads all parameters of a page request.
fn read(visit: &Visit, layer: &Layer, form: Asked, cursor: Option<&Cursor>) -> Result<Request> {
    let at = layer.at()?;
    let schema = &at.version.schema;
    let fields: Vec<&str> = schema.fields.iter().map(|f| f.name.as_str()).collect();
    let known: Vec<&str> = KNOWN
        .into_iter()
        .filter(|name| form.is_table() || !OF_TABLES.contains(name) || !fields.contains(name))
        .collect();
    visit.params.check(&known, &fields)?;
    let extent = at.version.bbox.as_ref();
    let system = system(visit, form.is_page(), extent)?;
    let hits = match visit.params.get(RESULT_TYPE) {
        None | Some("results") => false,
        Some("hits") => true,
        Some(other) => {
            let shown: String = other.chars().take(40).collect();
            return Err(Error::Invalid(text!(
                "Paramètre « resultType » : « {shown} ». Valeurs possibles : results, hits.",
                "Parameter \"resultType\": \"{shown}\". Possible values: results, hits."
            )));
        }
    };
    let default = if form.is_page() { TABLE_LIMIT } else { DEFAULT_LIMIT };
    let limit = visit.params.get(name::LIMIT).map_or(Ok(default), parse_limit)?;
    let asked = visit.asked_territory()?;
    let filter = selected(visit, layer, &Wanted { known: &known, asked: asked.as_ref() })?;
    let start = start(visit, cursor)?;
    let outline = visit.outline(asked.as_ref())?;
    let mut view = view(visit, schema)?;
    // Tables for people show none.
    view.no_geometry |= form.is_page();
    if cursor.is_some_and(|cursor| cursor.sort != view.sort_key()) {
        return Err(Error::Invalid(text!(
            "« cursor » suit un autre « sortby » : gardez celui de la première page.",
            "\"cursor\" follows another \"sortby\": keep that of the first page."
        )));
    }
    let query = PageQuery {
        filter,
        start,
        limit,
        system: system.clone(),
        view,
        form: form.form(visit, known.len() == KNOWN.len())?,
    };
    Ok(Request { query, system, asked, outline, hits })
}

/// What is shown of the features, and in which order.
fn view(visit: &Visit, schema: &Schema) -> Result<View> {
    let sort = visit.params.get(name::SORTBY).map(|s| Sort::parse(s, schema)).transpose()?;
    let fields = visit.params.get(name::PROPERTIES).map(|p| View::fields(p, schema)).transpose()?;
    let no_geometry = visit.params.flag(name::SKIP_GEOMETRY)?.unwrap_or_default();
    let zoom = visit.params.number(name::ZOOM_LEVEL)?.map(|zoom| match u8::try_from(zoom) {
        Ok(zoom) if zoom <= MAX_ZOOM => Ok(zoom),
        _ => Err(Error::Invalid(text!(
            "Paramètre « zoom-level » : {zoom} ; de 0 à {MAX_ZOOM}.",
            "Parameter \"zoom-level\": {zoom}; from 0 to {MAX_ZOOM}."
        ))),
    });
    Ok(View { sort: sort.map(Arc::new), fields, no_geometry, zoom: zoom.transpose()? })
}

/// What a filter is read with.
pub struct Wanted<'a> {
    /// Parameters of the resource: properties of these names cannot be filtered by.
    pub known: &'a [&'a str],
    /// The `territory` parameter.
    pub asked: Option<&'a Arc<Scope>>,
}

/// Which features a request selects: box, territory, properties, CQL2 filter.
pub fn selected(visit: &Visit, layer: &Layer, wanted: &Wanted<'_>) -> Result<Filter> {
    let schema = &layer.at()?.version.schema;
    let mut found = Filter {
        bbox: visit.params.get(name::BBOX).map(|b| bbox(visit, b)).transpose()?,
        selection: visit.selection(wanted.asked),
        equals: Vec::new(),
        expression: filter::read(visit, layer)?,
    };
    for (field, position) in schema.fields.iter().zip(0..) {
        let name = field.name.as_str();
        if wanted.known.contains(&name) || params::SECRETS.contains(&name) {
            continue; // the parameter of that name wins, as the API definition says
        }
        if let Some(value) = visit.params.get(&field.name) {
            let value = typed_value(&field.name, field.kind, value)?;
            found.equals.push(Equals { field: position, value });
        }
    }
    Ok(found)
}

/// Where the page starts.
fn start(visit: &Visit, cursor: Option<&Cursor>) -> Result<Start> {
    let offset = visit.params.number(name::OFFSET)?;
    match (cursor, offset) {
        (None, offset) => Ok(Start::Offset(offset.unwrap_or(0))),
        (Some(cursor), None) => Ok(Start::Ordinal(cursor.ordinal)),
        (Some(_), Some(_)) => Err(Error::Invalid(text!(
            "« cursor » et « offset » ne vont pas ensemble.",
            "\"cursor\" and \"offset\" do not go together."
        ))),
    }
}

/// The layer in the state the cursor was made in: paging goes on in the version it began in, as
/// long as that is kept.
async fn as_of(visit: &Visit, layer: Arc<Layer>, cursor: Option<&Cursor>) -> Result<Arc<Layer>> {
    let Some(cursor) = cursor else { return Ok(layer) };
    if cursor.state == layer.at()?.key() {
        return Ok(layer);
    }
    if let Some(layer) = visit.site.app.items.as_of(&layer, &cursor.state).await? {
        return Ok(Arc::new(layer));
    }
    let again = visit.address(&[name::CURSOR], &[]);
    let follow = again.strip_prefix(&visit.root()).map(str::to_owned);
    let text = text!(
        "La couche a été mise à jour pendant le parcours : cette page n'existe plus. Reprenez depuis le début.",
        "The layer was updated while you were paging: this page is gone. Start again."
    );
    Err(Error::Gone { text, follow })
}

/// The system asked for by `crs`. Pages for people show degrees.
fn system(visit: &Visit, page: bool, extent: Option<&BBox>) -> Result<System> {
    let read = |name| visit.params.get(name).map(|crs| System::read(name, crs, extent));
    let asked = read(name::CRS).transpose()?;
    // A wrong one is wrong without a box as well.
    read(name::BBOX_CRS).transpose()?;
    Ok(asked.filter(|_| !page).unwrap_or_default())
}

/// The box asked for, in the system of `bbox-crs`.
fn bbox(visit: &Visit, value: &str) -> Result<BBox> {
    let crs = visit.params.get(name::BBOX_CRS);
    let system = crs.map(|crs| System::read(name::BBOX_CRS, crs, None));
    system.transpose()?.unwrap_or_default().bbox(value)
}

/// What stands around the features of a page.
pub struct Around {
    /// How many there are.
    pub returned: u64,
    /// How many match in all, where that is known.
    pub matched: Option<u64>,
    next: Option<Cursor>,
}

fn page_links(
    visit: &Visit,
    id: &str,
    form: Asked,
    page: &Around,
    (start, limit): (Start, u64),
) -> Vec<Link> {
    let mut links = form.links(visit);
    let (limit_text, kind) = (limit.to_string(), form.media());
    // Who asked by `Accept` may follow links without it.
    let named = matches!(form, Asked::File(_)).then_some((name::F, form.id()));
    if let Some(next) = &page.next {
        let cursor = next.to_text();
        let with = [(name::LIMIT, limit_text.as_str()), (name::CURSOR, cursor.as_str())];
        let with: Vec<_> = named.into_iter().chain(with).collect();
        links.push(Link::new("next", kind, visit.address(&[name::OFFSET], &with)));
    }
    if let Start::Offset(offset) = start
        && offset > 0
    {
        let before = offset.saturating_sub(limit).to_string();
        let with = [(name::LIMIT, limit_text.as_str()), (name::OFFSET, before.as_str())];
        let with: Vec<_> = named.into_iter().chain(with).collect();
        links.push(Link::new("prev", kind, visit.address(&[], &with)));
    }
    links.push(Link::new("collection", media::JSON, visit.url(&format!("collections/{id}"))));
    links
}

/// The `FeatureCollection` around the features' bytes.
fn geojson(features: Spool, page: &Around, links: &[Link]) -> Parts {
    let mut out = Vec::with_capacity(2048);
    out.extend_from_slice(b"{\"type\":\"FeatureCollection\",\"timeStamp\":\"");
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    out.extend_from_slice(now.as_bytes());
    out.extend_from_slice(b"\",");
    if let Some(matched) = page.matched {
        out.extend_from_slice(format!("\"numberMatched\":{matched},").as_bytes());
    }
    out.extend_from_slice(format!("\"numberReturned\":{},\"links\":", page.returned).as_bytes());
    out.extend_from_slice(&json_bytes(links));
    out.extend_from_slice(b",\"features\":[\n");
    Parts::from_iter([Part::from(out), features.into(), b"\n]}".to_vec().into()])
}

fn json_bytes(links: &[Link]) -> Vec<u8> {
    // Serializing plain strings cannot fail; an empty list is a safe reading of "cannot".
    serde_json::to_vec(links).unwrap_or_else(|_| b"[]".to_vec())
}
