//! `/wfs`: WFS 2.0.0, 1.1.0 and 1.0.0 (OGC 09-025r2, 04-094, 02-058) for the tools that speak nothing
//! newer, over the same query model, the same services and the same scopes as all other roads.
//!
//! Reading order: [`kvp`] (what is asked, however it came), [`query`] (understood for a layer),
//! [`feature`] and [`values`] (answered, a [`window`] of it), [`collection`] (what is around
//! features), [`capabilities`] and [`describe`] (what there is), [`fail`] (what went wrong).

mod capabilities;
mod capabilities_old;
mod collection;
mod describe;
mod fail;
mod feature;
mod filter;
mod kvp;
mod output;
mod query;
mod stored;
mod values;
mod version;
mod window;

use super::{
    params::{Params, name},
    visit::Visit,
};
use crate::{
    catalog::Layer,
    error::Error,
    items::{XML_BYTES as MAX_BYTES, gml},
    text,
};
use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};
use fail::{Fail, Result};
use kvp::{Asked, Kvp};
use std::sync::Arc;
use version::Version;

/// The media type of documents that are no features.
const XML: &str = "application/xml";

/// `GET /wfs`
pub async fn get(visit: Visit) -> Response {
    let mut kvp = Kvp::of(&visit.params);
    // The bare address, pasted into a browser, shows what there is.
    if kvp.is_empty() {
        kvp = Kvp::of(&Params::of(&[("service", "WFS"), ("request", "GetCapabilities")]));
    }
    let version = version_of(&kvp).unwrap_or(Version::V20);
    let answer = match Asked::of(kvp) {
        Ok(asked) => answer(&visit, asked, "").await,
        Err(fail) => Err(fail),
    };
    answer.unwrap_or_else(|fail| fail.report(&visit, version))
}

/// `POST /wfs`: a document, or a form with what an address would hold.
pub async fn post(visit: Visit, body: Body) -> Response {
    let (asked, text) = match read(&visit, body).await {
        Ok(read) => read,
        Err(fail) => return fail.report(&visit, Version::V20),
    };
    let version = version_of(&asked.kvp).unwrap_or(Version::V20);
    let answer = answer(&visit, asked, &text).await;
    let mut response = answer.unwrap_or_else(|fail| fail.report(&visit, version));
    // What a body asked for is not what the address alone gives.
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.remove(header::ETAG);
    response
}

async fn read(visit: &Visit, body: Body) -> Result<(Asked, String)> {
    let form = visit
        .header(header::CONTENT_TYPE)
        .is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
    let declared = visit.header(header::CONTENT_LENGTH).and_then(|n| n.parse().ok());
    let held = visit.site.bodies.read(body, declared).await?;
    let text = String::from_utf8(held.bytes).map_err(|_| {
        let text = text!("Le document n'est pas en UTF-8.", "The document is not in UTF-8.");
        Fail::new("OperationParsingFailed", "request", Error::Invalid(text))
    })?;
    if form && text.len() > MAX_BYTES {
        let size = text.len();
        let said = text!(
            "Formulaire de {size} octets, {MAX_BYTES} au plus.",
            "A form of {size} bytes, at most {MAX_BYTES}."
        );
        return Err(Fail::new("OperationParsingFailed", "request", Error::Invalid(said)));
    }
    let asked = match form {
        true => Asked::of(Kvp::of(&Params::parse(Some(text.trim()))?))?,
        false => Asked::parse(&text)?,
    };
    Ok((asked, text))
}

/// The version that a request names.
fn version_of(kvp: &Kvp) -> Option<Version> {
    kvp.get("VERSION").and_then(Version::of)
}

/// `body` is what stands for the address where there is one.
async fn answer(visit: &Visit, asked: Asked, body: &str) -> Result<Response> {
    let kvp = &asked.kvp;
    // Whatever is answered is of the scope: selected, or cut at its border.
    visit.outline(None)?;
    refuse_strangers(&Kvp::of(&visit.params))?;
    refuse_strangers(kvp)?;
    let request = kvp.get("REQUEST").ok_or_else(|| Fail::missing("request"))?.to_owned();
    let by_body = !body.is_empty();
    match kvp.get("SERVICE") {
        Some(service) if service.eq_ignore_ascii_case("WFS") => {}
        // Documents often leave it to their namespace.
        None if by_body || !request.eq_ignore_ascii_case("GetCapabilities") => {}
        None => return Err(Fail::missing("service")),
        Some(other) => {
            let shown: String = other.chars().take(40).collect();
            return Err(Fail::invalid(
                "service",
                text!("« {shown} » : ce service est WFS.", "\"{shown}\": this service is WFS."),
            ));
        }
    }
    if request.eq_ignore_ascii_case("GetCapabilities") {
        let version = negotiated(kvp)?;
        let state = visit.site.state(&visit.snapshot());
        let tag = visit.tag(&["wfs", version.number(), &state, body]);
        if let Some(unchanged) = visit.unchanged(&tag) {
            return Ok(unchanged);
        }
        let document = match version {
            Version::V20 => capabilities::document(visit, kvp.get("SECTIONS")).await?,
            old => capabilities_old::document(visit, old).await?,
        };
        return Ok(visit.send(&tag, document).await?);
    }
    let version = match kvp.get("VERSION") {
        None => Version::V20,
        Some(number) => {
            Version::of(number).ok_or_else(|| unknown_version(number, "InvalidParameterValue"))?
        }
    };
    let document = match (request.to_ascii_lowercase().as_str(), version) {
        ("describefeaturetype", _) => {
            let state = visit.site.state(&visit.snapshot());
            let tag = visit.tag(&["wfs", version.number(), &state, body]);
            if let Some(unchanged) = visit.unchanged(&tag) {
                return Ok(unchanged);
            }
            let document = describe::answer(visit, &asked, version).await?;
            return Ok(visit.send(&tag, document).await?);
        }
        ("getfeature", _) => return feature::features(visit, &asked, version, body).await,
        ("getpropertyvalue", Version::V20) => return values::answer(visit, &asked, body).await,
        ("liststoredqueries", Version::V20) => stored::list(visit),
        ("describestoredqueries", Version::V20) => stored::describe(visit, &asked)?,
        _ => return Err(unknown_operation(&request)),
    };
    let state = visit.site.state(&visit.snapshot());
    let tag = visit.tag(&["wfs", version.number(), &state, body]);
    Ok(visit.send(&tag, document).await?)
}

/// Parameters of other roads that select: left aside without a word they would give more than was
/// asked for.
fn refuse_strangers(kvp: &Kvp) -> Result<()> {
    let refused = |name: &str, text| Fail::new("OptionNotSupported", name, Error::Invalid(text));
    for name in [name::TERRITORY, name::TERRITOIRE, name::MODE, name::VINTAGE] {
        if kvp.has(&name.to_ascii_uppercase()) {
            return Err(refused(
                name,
                text!(
                    "Un territoire se donne dans l'adresse : /t/dep-59/wfs (aussi dep-59-within et dep-59-clip).",
                    "A territory is given in the address: /t/dep-59/wfs (also dep-59-within and dep-59-clip)."
                ),
            ));
        }
    }
    for name in ["CQL_FILTER", "FILTER-LANG", "FILTER_LANGUAGE"] {
        if kvp.get(name).is_some_and(|value| !value.starts_with("urn:ogc:def:query")) {
            return Err(refused(
                name,
                text!(
                    "Ce service prend les filtres en FES (FILTER=<Filter>…), pas en CQL ; en CQL2 : /collections/…/items?filter=….",
                    "This service takes filters in FES (FILTER=<Filter>…), not in CQL; in CQL2: /collections/…/items?filter=…."
                ),
            ));
        }
    }
    Ok(())
}

fn unknown_operation(request: &str) -> Fail {
    let known = "GetCapabilities, DescribeFeatureType, GetFeature, GetPropertyValue, ListStoredQueries, DescribeStoredQueries";
    let other = [
        "Transaction",
        "LockFeature",
        "GetFeatureWithLock",
        "CreateStoredQuery",
        "DropStoredQuery",
        "GetGmlObject",
    ];
    let shown: String = request.chars().take(40).collect();
    let text = text!(
        "Opération « {shown} » : ce service ne l'a pas. Opérations : {known}.",
        "Operation \"{shown}\": this service does not have it. Operations: {known}."
    );
    match other.iter().any(|o| o.eq_ignore_ascii_case(request)) {
        true => Fail::new("OperationNotSupported", request, Error::Invalid(text)),
        false => Fail::invalid("request", text),
    }
}

fn unknown_version(number: &str, code: &'static str) -> Fail {
    let shown: String = number.chars().take(40).collect();
    let known = Version::ALL.map(Version::number).join(", ");
    let text = text!(
        "Version « {shown} » inconnue. Versions : {known}.",
        "Unknown version \"{shown}\". Versions: {known}."
    );
    Fail::new(code, "version", Error::Invalid(text))
}

/// The version of the capabilities: the first of those accepted that there is, else by the rule of
/// old clients (the one asked for, or the next lower, or the lowest).
fn negotiated(kvp: &Kvp) -> Result<Version> {
    if let Some(accepted) = kvp.get("ACCEPTVERSIONS") {
        let known = |number: &str| Version::ALL.into_iter().find(|v| v.number() == number.trim());
        let found = accepted.split(',').find_map(known);
        return found.ok_or_else(|| unknown_version(accepted, "VersionNegotiationFailed"));
    }
    let Some(number) = kvp.get("VERSION") else { return Ok(Version::V20) };
    let parts = |number: &str| -> Vec<u32> {
        number.trim().split('.').map(|p| p.parse().unwrap_or(u32::MAX)).collect()
    };
    let asked = parts(number);
    let lower = Version::ALL.into_iter().find(|v| parts(v.number()) <= asked);
    Ok(Version::of(number).or(lower).unwrap_or(Version::V10))
}

/// The layers that a list names, by their names in XML or their ids.
fn layers_named(visit: &Visit, names: &str) -> Result<Vec<Arc<Layer>>> {
    names.split(',').map(|name| layer_named(visit, name)).collect()
}

fn layer_named(visit: &Visit, name: &str) -> Result<Arc<Layer>> {
    let name = name.trim();
    let inner = name.strip_prefix("schema-element(").and_then(|n| n.strip_suffix(')'));
    let local = inner.unwrap_or(name).rsplit(':').next().unwrap_or(name);
    let snapshot = visit.snapshot();
    let layer = snapshot.layer(&gml::decode(local)).or_else(|_| snapshot.layer(local));
    let layer = layer.map_err(|e| match e {
        Error::NotFound(text) => Fail::invalid("typeNames", text),
        other => other.into(),
    })?;
    layer.at()?;
    Ok(layer.clone())
}
