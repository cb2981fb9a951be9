//! Exports: a layer or several, selected for a territory, as a file. Small ones are sent as they
//! are made; larger ones are orders (`202`) whose progress and file have addresses of their own.

use super::{
    Answer,
    access::TERRITORY_NOTICE,
    filter,
    items::{self, Wanted},
    links::{Link, media},
    negotiate::{self, Format},
    orders, pages,
    params::name,
    range,
    reply::{self, Document},
    stats,
    visit::Visit,
};
use crate::{
    catalog::{Layer, Outline},
    error::{Error, Result},
    exports::{Estimate, Extent, FORMATS, Kind, Options, Order, Part, Place, legal_crs},
    model::{BBox, LayerId},
    query::Filter,
    stats::CsvForm,
    text,
};
use axum::{
    body::Body,
    extract::Path,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::sync::Arc;

/// Parameters of an export, besides the layer's own properties.
pub const KNOWN: [&str; 16] = [
    name::F,
    name::CRS,
    name::BBOX,
    name::TERRITORY,
    name::TERRITOIRE,
    name::MODE,
    name::VINTAGE,
    name::FILTER,
    name::FILTER_LANG,
    name::FILTER_CRS,
    name::DATETIME,
    stats::DECIMAL,
    stats::SEPARATOR,
    stats::BOM,
    GEOMETRY,
    name::COLLECTIONS,
];
/// The format of kits.
const KIT: &str = "kit";
/// How tables show where a feature lies.
pub(super) const GEOMETRY: &str = "geometry";

/// An order and what its answer says beside.
struct Asked {
    order: Order,
    notice: Option<String>,
}

/// `GET /collections/{id}/export`
pub async fn of_layer(Path(id): Path<String>, method: Method, visit: Visit) -> Answer {
    let layers = vec![visit.layer(&id)?];
    if wants_choice(&visit) {
        return choice(&visit, &layers).await;
    }
    if let Some(tidy) = tidied(&visit) {
        return Ok(tidy);
    }
    answer(&visit, &method, one(&visit, layers)?).await
}

/// `GET /export`
pub async fn of_layers(method: Method, visit: Visit) -> Answer {
    let layers = named(&visit)?;
    if wants_choice(&visit) {
        return choice(&visit, &layers).await;
    }
    if let Some(tidy) = tidied(&visit) {
        return Ok(tidy);
    }
    answer(&visit, &method, several(&visit, layers, asked_format(&visit))?).await
}

/// `GET /kit.zip`: the kit of the territory, with all layers or those named.
pub async fn kit(method: Method, visit: Visit) -> Answer {
    if let Some(other) = visit.params.get(name::F).filter(|f| *f != KIT) {
        Order::kind(other)?;
        return Err(Error::Invalid(text!(
            "Le kit a un seul format. Pour un autre : …/export?f={other}.",
            "The kit has one format. For another: …/export?f={other}."
        ))
        .into());
    }
    if visit.params.get(name::FILTER).is_some() {
        return Err(Error::Invalid(text!(
            "Le kit se passe de filtre : ses couches en direct ne le suivraient pas. Pour des entités filtrées : …/export?f=gpkg&filter=….",
            "The kit takes no filter: its live layers would not follow it. For filtered features: …/export?f=gpkg&filter=…."
        ))
        .into());
    }
    answer(&visit, &method, several(&visit, named(&visit)?, KIT)?).await
}

/// `GET /collections/{id}/layer.qlr`: the layer within the scope, to drop into QGIS.
pub async fn layer_definition(Path(id): Path<String>, visit: Visit) -> Answer {
    visit.params.check(&[], &[])?;
    let order = several(&visit, vec![visit.layer(&id)?], KIT)?.order;
    let tag = visit.tag(&["qlr", &order.id()?]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let text = visit.site.app.exports.layer_definition(&order)?;
    let scope = order.extent.as_ref().map(|e| format!("_{}", e.slug)).unwrap_or_default();
    let name = disposition(&format!("socle_{id}{scope}.qlr"));
    let document = Document::new(media::QLR, text).with(header::CONTENT_DISPOSITION, name);
    visit.send(&tag, document).await
}

/// `GET /collections/{id}/export/estimate`
pub async fn estimate_layer(Path(id): Path<String>, visit: Visit) -> Answer {
    let layers = vec![visit.layer(&id)?];
    estimated(&visit, one(&visit, layers)?).await
}

/// `GET /export/estimate`
pub async fn estimate_layers(visit: Visit) -> Answer {
    let layers = named(&visit)?;
    estimated(&visit, several(&visit, layers, asked_format(&visit))?).await
}

/// The format named by `f`, or the one that holds the most.
fn asked_format(visit: &Visit) -> &str {
    visit.params.get(name::F).unwrap_or("gpkg")
}

/// Without a format there is a choice to make.
fn wants_choice(visit: &Visit) -> bool {
    matches!(visit.params.get(name::F), None | Some("json" | "html"))
}

/// A browser sends the fields of a form that were left empty as well: it is shown the address
/// without them. From a program an empty `territory=` is a mistake, and stays one.
fn tidied(visit: &Visit) -> Option<Response> {
    let accept = visit.header(header::ACCEPT);
    let empty: Vec<&str> =
        visit.params.iter().filter(|(_, value)| value.is_empty()).map(|(name, _)| name).collect();
    let browser = negotiate::format(accept) == Some(Format::Html);
    (browser && !empty.is_empty())
        .then(|| reply::redirect(&visit.address(&empty, &[]), "public, max-age=60"))
}

/// The layers named in `collections`; all that have a version when it is not given.
fn named(visit: &Visit) -> Result<Vec<Arc<Layer>>> {
    let snapshot = visit.snapshot();
    let layers: Vec<Arc<Layer>> = match visit.params.get(name::COLLECTIONS) {
        None => snapshot.served().cloned().collect(),
        Some(list) => {
            let mut ids: Vec<&str> = list.split(',').map(str::trim).collect();
            Order::check_layers(ids.iter().filter(|id| !id.is_empty()).count())?;
            let mut seen = std::collections::BTreeSet::new();
            ids.retain(|id| seen.insert(*id));
            ids.into_iter().map(|id| snapshot.layer(id).cloned()).collect::<Result<_>>()?
        }
    };
    Order::check_layers(layers.len())?;
    Ok(layers)
}

/// The order of one layer: its properties may be filtered by.
fn one(visit: &Visit, layers: Vec<Arc<Layer>>) -> Result<Asked> {
    let asked = visit.asked_territory()?;
    let outline = visit.outline(asked.as_ref())?;
    let mut parts = Vec::new();
    for layer in layers {
        let at = layer.at()?;
        let fields: Vec<&str> = at.version.schema.fields.iter().map(|f| f.name.as_str()).collect();
        visit.params.check(&KNOWN, &fields)?;
        let wanted = Wanted { known: &KNOWN, asked: asked.as_ref() };
        let filter = items::selected(visit, &layer, &wanted)?;
        parts.push(Part { layer, filter, outline: outline.clone() });
    }
    order(visit, parts, asked_format(visit))
}

/// The order of several layers: what selects is what they have in common.
fn several(visit: &Visit, layers: Vec<Arc<Layer>>, format: &str) -> Result<Asked> {
    visit.params.check(&KNOWN, &[])?;
    let asked = visit.asked_territory()?;
    let bbox = visit.params.get(name::BBOX).map(crate::query::parse_bbox).transpose()?;
    let selection = visit.selection(asked.as_ref());
    let outline = visit.outline(asked.as_ref())?;
    let part = |layer: Arc<Layer>| {
        let expression = filter::read(visit, &layer)?;
        let filter = Filter { bbox, selection: selection.clone(), expression, ..Filter::default() };
        Ok(Part { layer, filter, outline: outline.clone() })
    };
    let parts = layers.into_iter().map(part).collect::<Result<_>>()?;
    order(visit, parts, format)
}

fn order(visit: &Visit, parts: Vec<Part>, format: &str) -> Result<Asked> {
    order_in(visit, parts, Order::kind(format)?, visit.params.get(name::CRS))
}

fn order_in(
    visit: &Visit,
    parts: Vec<Part>,
    kind: &'static Kind,
    crs: Option<&str>,
) -> Result<Asked> {
    let asked = visit.asked_territory()?;
    let scopes: Vec<_> = visit.scope.iter().chain(&asked).collect();
    let reference = visit.reference();
    let crs = match Order::crs(kind, crs)? {
        Some(crs) => crs,
        None => {
            // What is inside both is inside the last.
            let inner = scopes.last();
            let codes: Vec<_> =
                inner.iter().flat_map(|s| &s.resolved).map(|r| r.code.clone()).collect();
            let mut extent = BBox::EMPTY;
            for part in &parts {
                extent.merge(&part.layer.at()?.version.bbox.unwrap_or(BBox::EMPTY));
            }
            legal_crs(reference, &codes, Some(&extent).filter(|e| !e.is_empty()))
        }
    };
    let words = |s: &Arc<super::scope::Scope>| visit.site.scope_title(s);
    let extent = (!scopes.is_empty()).then(|| {
        let join = |all: Vec<String>, with: &str| all.join(with);
        Extent {
            slug: join(scopes.iter().map(|s| s.canonical()).collect(), "_"),
            words: crate::model::Text::new(
                join(scopes.iter().map(|s| words(s).fr).collect(), " ; "),
                join(scopes.iter().map(|s| words(s).en).collect(), "; "),
            ),
        }
    });
    let notice = visit.notice(asked.as_deref());
    let (options, vintage) = (options(visit)?, reference.vintage());
    let service = Some(visit.root());
    Ok(Asked { order: Order { parts, kind, crs, options, extent, vintage, service }, notice })
}

/// What is asked of tables: separator, byte order mark and decimal mark of CSV, place of features.
pub(super) fn options(visit: &Visit) -> Result<Options> {
    let CsvForm { separator, bom, comma: decimal_comma } = stats::csv_form(visit)?;
    let place = match visit.params.get(GEOMETRY) {
        None | Some("none") => Place::None,
        Some("wkt") => Place::Wkt,
        Some("point" | "lonlat") => Place::Point,
        Some(other) => {
            let shown: String = other.chars().take(40).collect();
            return Err(Error::Invalid(text!(
                "Paramètre « {GEOMETRY} » : « {shown} ». Valeurs possibles : none, wkt, point.",
                "Parameter \"{GEOMETRY}\": \"{shown}\". Possible values: none, wkt, point."
            )));
        }
    };
    Ok(Options { decimal_comma, place, separator, bom })
}

/// Some layers as one file, sent as it is made: what other roads than exports ask of them. `crs` is
/// the system, in one of its spellings.
pub async fn whole(
    visit: &Visit,
    parts: Vec<(Arc<Layer>, Filter, Option<Outline>)>,
    kind: &'static Kind,
    crs: Option<&str>,
) -> Answer {
    let part = |(layer, filter, outline)| Part { layer, filter, outline };
    let asked = order_in(visit, parts.into_iter().map(part).collect(), kind, crs)?;
    sent(visit, asked.order).await
}

/// The file, or where it will be.
async fn answer(visit: &Visit, method: &Method, asked: Asked) -> Answer {
    let Asked { order, notice } = asked;
    let exports = &visit.site.app.exports;
    let id = order.id()?;
    let etag = format!("\"{id}\"");
    if negotiate::none_match(visit.header(header::IF_NONE_MATCH), &etag) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        file_headers(&mut response, &etag);
        return Ok(response);
    }
    let mut response = if let Some(ready) = exports.ready(&id).await? {
        range::file(visit, method, &ready).await?
    } else if *method == Method::HEAD {
        attachment(Body::empty(), order.media(), &order.file_name())
    } else {
        let estimate = exports.estimate(&order).await?;
        if estimate.at_once {
            sent(visit, order).await?
        } else {
            placed(visit, order, estimate).await?
        }
    };
    // What is sent as it is made says when it was: it is the same file, not the same bytes.
    let kept = response.headers().contains_key(header::ACCEPT_RANGES);
    if matches!(response.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
        let etag = if kept { etag } else { format!("W/{etag}") };
        file_headers(&mut response, &etag);
    }
    if let Some(notice) = notice.and_then(|n| HeaderValue::from_str(&n).ok()) {
        response.headers_mut().insert(TERRITORY_NOTICE, notice);
    }
    Ok(response)
}

/// Sends a small export as it is made. The first piece decides: what fails before it is a problem
/// like any other, what fails behind it ends the connection unfinished.
async fn sent(visit: &Visit, order: Order) -> Answer {
    let (media, name) = (order.media(), order.file_name());
    let mut pieces = visit.site.app.exports.stream(order).await?;
    let first = match pieces.recv().await {
        Some(first) => first?,
        None => return Err(Error::broken("an export without an end").into()),
    };
    let rest = futures_util::stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.recv().await?;
        if let Err(error) = &piece {
            tracing::error!(cause = error.chain(), "an export ends unfinished");
        }
        Some((piece, pieces))
    });
    let all = futures_util::stream::iter([Ok(first)]).chain(rest);
    Ok(attachment(Body::from_stream(all), media, &name))
}

/// Places an order: `202`, and where to follow it.
async fn placed(visit: &Visit, order: Order, estimate: Estimate) -> Answer {
    let ticket = visit.site.app.exports.place(order, estimate.rows).await?;
    let location = visit.url(&format!("exports/{}", ticket.id));
    let mut response = orders::standing(visit, &ticket.id, &ticket.status).await?;
    *response.status_mut() = StatusCode::ACCEPTED;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&location) {
        headers.insert(header::LOCATION, value);
    }
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    Ok(response)
}

/// What an export will be, about.
async fn estimated(visit: &Visit, asked: Asked) -> Answer {
    let Asked { order, notice } = asked;
    let id = order.id()?;
    let tag = visit.tag(&["estimate", &id]);
    let mut value = json!({});
    let Estimate { rows, exact, bytes, at_once } = visit.site.app.exports.estimate(&order).await?;
    value["rows"] = rows.into();
    value["rowsExact"] = exact.into();
    value["bytes"] = bytes.into();
    value["mode"] = if at_once { "stream" } else { "order" }.into();
    value["file"] = order.file_name().into();
    value["type"] = order.media().into();
    value["crs"] = order.crs.uri().unwrap_or_default().into();
    let mut document = Document::json(media::JSON, &value);
    if let Some(notice) = notice {
        document = document.with(TERRITORY_NOTICE, notice);
    }
    visit.send(&tag, document).await
}

/// What may be chosen: formats, as JSON or as a page.
async fn choice(visit: &Visit, layers: &[Arc<Layer>]) -> Answer {
    visit.params.check(&KNOWN, &[])?;
    let format = visit.format()?;
    let ids: Vec<LayerId> = layers.iter().map(|l| l.def.id.clone()).collect();
    let tag = visit.tag(&["choice", &format!("{ids:?}")]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    if format == Format::Html {
        return visit.send(&tag, Document::html(pages::export::choice(visit, layers))).await;
    }
    let formats: Vec<Value> = FORMATS
        .iter()
        .map(|kind| {
            let href = visit.address(&[], &[(name::F, kind.id)]);
            json!({
                "f": kind.id, "title": kind.title, "extension": kind.extension,
                "links": [Link::new("enclosure", kind.media, href)],
            })
        })
        .collect();
    let value = json!({
        "collections": ids.iter().map(LayerId::as_str).collect::<Vec<_>>(),
        "formats": formats,
        "links": visit.own_links(media::JSON),
    });
    visit.send(&tag, Document::json(media::JSON, &value)).await
}

/// A file to be kept under its name.
pub fn attachment(body: Body, media: &str, name: &str) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(media) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    if let Ok(value) = HeaderValue::from_str(&disposition(name)) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// What keeps a file under its name.
fn disposition(name: &str) -> String {
    // RFC 6266: plain for old clients, UTF-8 for all others.
    let plain: String =
        name.chars().map(|c| if c.is_ascii_graphic() && c != '"' { c } else { '_' }).collect();
    let utf8 = super::params::encode(name).replace(',', "%2C").replace(':', "%3A");
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{utf8}")
}

/// The headers of a file that may be asked for again.
pub fn file_headers(response: &mut Response, etag: &str) {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, value);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=10"));
}
