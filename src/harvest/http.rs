//! An `http` or `https` address as a source: asked conditionally (RFC 9110 §13) when its last
//! bytes are at hand, bounded in redirects, size, time and silence. Secrets of the address stay
//! in the request: messages name the host at most.

use super::{
    Fetch, Harvester,
    body::{Limits, page, receive},
    failed, headers, kept_as,
    redact::redact,
};
use crate::{
    blobs::Blobs,
    config::secrets,
    error::{Error, Result},
    model::{Fault, Harvested, Progress, SourceDef, SourceFailure, Text},
    text,
};
use jiff::Timestamp;
use reqwest::{
    Response, StatusCode, Url,
    header::{self, HeaderMap, HeaderValue},
};
use std::path::PathBuf;

/// Fetches an address into the shared files.
pub(super) async fn fetch(
    address: &str,
    source: &SourceDef,
    harvester: &Harvester,
    previous: Option<&Harvested>,
    progress: &dyn Progress,
) -> Result<Fetch> {
    get(address, redact(address), source, harvester, previous, progress).await
}

/// [`fetch`] under another name than the address: one that stays when the file moves.
pub(super) async fn get(
    address: &str,
    origin: String,
    source: &SourceDef,
    harvester: &Harvester,
    previous: Option<&Harvested>,
    progress: &dyn Progress,
) -> Result<Fetch> {
    let Harvester { settings, blobs, hosts, web } = harvester;
    let url = resolve(address)?;
    // Held to the end: as long as bytes come, the host is being asked.
    let _turn = hosts.turn(url.host_str().unwrap_or_default()).await;
    let previous = previous.filter(|p| p.origin == origin);
    // Conditions only when the bytes are at hand: an answer "not modified" must give a file.
    let held = match previous {
        Some(p) => held(blobs, p).await?.map(|path| (p, path)),
        None => None,
    };
    let conditions = conditions(held.as_ref().map(|(p, _)| *p));
    let response = web.ask(&url, &conditions, settings).await?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED => return not_modified(&response, held),
        _ => return Err(refused_status(&response, Timestamp::now())),
    }
    let mut harvested = describe(&response, origin, &url)?;
    let limits = Limits {
        max_bytes: source.max_bytes,
        stall: settings.stall,
        announced: response.content_length(),
    };
    let mut part = blobs.begin(source.max_bytes)?;
    let received = receive(response.bytes_stream(), &mut part, &limits, progress).await?;
    let key = kept_as(&received.sha256).ok_or_else(|| Error::broken("a checksum is no name"))?;
    harvested.path = part.keep_here(&key).await?;
    harvested.bytes = received.bytes;
    harvested.sha256 = received.sha256;
    Ok(match previous.filter(|p| p.sha256 == harvested.sha256) {
        Some(p) => Fetch::Unchanged(Harvested { fetched_at: p.fetched_at, ..harvested }),
        None => Fetch::New(harvested),
    })
}

/// The local file of a source fetched before, by this replica or another.
pub(super) async fn held(blobs: &Blobs, source: &Harvested) -> Result<Option<PathBuf>> {
    let Some(key) = kept_as(&source.sha256) else { return Ok(None) };
    let whole = blobs.stat(&key).await?.is_some_and(|stat| stat.bytes == source.bytes);
    if whole { blobs.local(&key).await } else { Ok(None) }
}

/// The address with the values of its variables.
pub(super) fn resolve(address: &str) -> Result<Url> {
    let full = secrets::expand(address, secrets::environment).map_err(Error::Refused)?;
    let url = Url::parse(&full).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
    url.ok_or_else(|| {
        failed(
            Fault::Forbidden,
            text!(
                "l'adresse de la source n'est ni http ni https",
                "the source's address is neither http nor https"
            ),
        )
    })
}

/// What is asked with: the bytes themselves, and conditions when its last bytes are at hand.
fn conditions(held: Option<&Harvested>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // Sizes and checksums are those of the file itself.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    let etag = held.and_then(|p| p.etag.as_deref());
    let date = held.and_then(|p| p.modified).and_then(headers::http_date);
    for (name, value) in
        [(header::IF_NONE_MATCH, etag), (header::IF_MODIFIED_SINCE, date.as_deref())]
    {
        if let Some(value) = value.and_then(|v| HeaderValue::from_str(v).ok()) {
            headers.insert(name, value);
        }
    }
    headers
}

fn not_modified(response: &Response, held: Option<(&Harvested, PathBuf)>) -> Result<Fetch> {
    let Some((previous, path)) = held else {
        return Err(failed(
            Fault::Status,
            text!(
                "la source a répondu 304 à une demande sans condition",
                "the source answered 304 to a request without condition"
            ),
        ));
    };
    let (etag, modified) = validators(response);
    Ok(Fetch::Unchanged(Harvested {
        path,
        status: Some(StatusCode::NOT_MODIFIED.as_u16()),
        etag: etag.or_else(|| previous.etag.clone()),
        modified: modified.or(previous.modified),
        checked_at: Timestamp::now(),
        ..previous.clone()
    }))
}

/// `ETag` and `Last-Modified`.
fn validators(response: &Response) -> (Option<String>, Option<Timestamp>) {
    let etag = response.headers().get(header::ETAG).and_then(|v| v.to_str().ok());
    let modified = headers::text(response.headers(), header::LAST_MODIFIED);
    (etag.map(str::to_owned), modified.as_deref().and_then(headers::date))
}

/// Refuses an answer whose head says that it is a page.
fn refuse_html(response: &Response) -> Result<()> {
    let kind = headers::text(response.headers(), header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if matches!(kind.as_str(), "text/html" | "application/xhtml+xml") {
        return Err(page());
    }
    Ok(())
}

/// Refuses an answer that cannot be a page of data as it is: nothing here unpacks it.
pub(super) fn check_head(response: &Response) -> Result<()> {
    refuse_html(response)?;
    match coding(response).as_str() {
        "" | "identity" => Ok(()),
        _ => Err(unknown_coding()),
    }
}

fn coding(response: &Response) -> String {
    let coding = headers::text(response.headers(), header::CONTENT_ENCODING).unwrap_or_default();
    coding.trim().to_ascii_lowercase()
}

fn unknown_coding() -> Error {
    failed(
        Fault::Status,
        text!(
            "la source a compressé sa réponse d'une façon qui n'est pas acceptée",
            "the source compressed its answer in a way that is not accepted"
        ),
    )
}

/// What the head of an answer says of the file; refuses what is known not to be one.
fn describe(response: &Response, origin: String, asked: &Url) -> Result<Harvested> {
    refuse_html(response)?;
    let disposition = headers::text(response.headers(), header::CONTENT_DISPOSITION);
    let paths = [response.url().path(), asked.path()];
    let mut name = headers::file_name(disposition.as_deref(), &paths);
    match coding(response).as_str() {
        "" | "identity" => {}
        // Stored compressed and sent so without being asked: the bytes are a gzip file.
        "gzip" | "x-gzip" if name.ends_with(".gz") => {}
        "gzip" | "x-gzip" => name.push_str(".gz"),
        _ => return Err(unknown_coding()),
    }
    let (etag, modified) = validators(response);
    let now = Timestamp::now();
    Ok(Harvested {
        path: PathBuf::new(),
        name,
        origin,
        status: Some(response.status().as_u16()),
        bytes: 0,
        sha256: String::new(),
        etag,
        modified,
        fetched_at: now,
        checked_at: now,
        dataset: None,
        withdrawn: None,
    })
}

pub(super) fn refused_status(response: &Response, now: Timestamp) -> Error {
    let (status, host) = (response.status().as_u16(), response.url().host_str().unwrap_or("?"));
    let retry_at = headers::text(response.headers(), header::RETRY_AFTER)
        .filter(|_| matches!(status, 429 | 503))
        .and_then(|words| headers::retry_at(&words, now));
    let later = retry_at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let Text { fr, en } = match later {
        Some(at) => text!(" ; réessayer après {at}", "; try again after {at}"),
        None => Text::default(),
    };
    let fault = match status {
        429 | 503 => Fault::Busy,
        404 | 410 => Fault::Gone,
        500.. => Fault::Failing,
        _ => Fault::Status,
    };
    let text = text!("{host} a répondu {status}{fr}", "{host} answered {status}{en}");
    Error::Source(Box::new(SourceFailure { fault, text, retry_at }))
}
