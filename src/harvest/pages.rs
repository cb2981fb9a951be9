//! Services give their features page by page: each page is asked for politely, asked for again
//! where that may help, and bounded. What becomes of them is [`super::delivery`]'s matter.

use super::{
    Harvester,
    body::{Limits, receive},
    failed,
    guard::host,
    http::{check_head, refused_status},
    xml,
};
use crate::{
    error::{Error, Result},
    model::{Fault, Silent},
    text,
};
use jiff::Timestamp;
use reqwest::{
    StatusCode, Url,
    header::{self, HeaderMap, HeaderValue},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// Most bytes of one page: it is held in memory.
const MAX_PAGE: u64 = 256 << 20;

/// How often a page is asked for.
const TRIES: u32 = 3;

/// Silence before the first new try, doubled for the next.
const BACKOFF: Duration = Duration::from_millis(500);

/// A service that asks for more patience than this is left to the next run.
const PATIENCE: Duration = Duration::from_secs(60);

/// What GeoJSON is asked for with.
pub(super) const GEOJSON: &str = "application/geo+json, application/json;q=0.9, */*;q=0.1";

/// Asks one service, page by page.
pub(super) struct Asking<'a> {
    harvester: &'a Harvester,
    headers: HeaderMap,
    /// Bytes that may still be received.
    left: u64,
}

/// One answer, whole.
pub(super) struct Page {
    /// Its bytes.
    pub(super) body: Vec<u8>,
    /// Where it came from, redirects followed.
    pub(super) url: Url,
    /// Its headers.
    pub(super) headers: HeaderMap,
}

impl<'a> Asking<'a> {
    /// For one delivery of at most `max_bytes`.
    pub(super) fn new(harvester: &'a Harvester, accept: &'static str, max_bytes: u64) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        // Twice: pages say more than the features that are kept of them.
        Self { harvester, headers, left: max_bytes.saturating_mul(2) }
    }

    /// A page; asked for again when what went wrong may pass.
    pub(super) async fn page(&mut self, url: &Url) -> Result<Page> {
        let mut pause = BACKOFF;
        for _ in 1..TRIES {
            match self.page_once(url).await {
                Err(Error::Source(e)) if e.fault.may_pass() && e.fault != Fault::Page => {
                    let wanted = e.retry_at.map(|at| at.duration_since(Timestamp::now()));
                    let wanted = wanted.and_then(|d| Duration::try_from(d).ok()).unwrap_or(pause);
                    if wanted > PATIENCE {
                        return Err(Error::Source(e));
                    }
                    tracing::debug!("a page failed and is asked for again: {}", e.text.en);
                    tokio::time::sleep(wanted.max(pause)).await;
                    pause *= 2;
                }
                done => return done,
            }
        }
        self.page_once(url).await
    }

    async fn page_once(&mut self, url: &Url) -> Result<Page> {
        let Harvester { settings, web, .. } = self.harvester;
        let response = web.ask(url, &self.headers, settings).await?;
        if response.status() != StatusCode::OK {
            return Err(refused_status(&response, Timestamp::now()));
        }
        check_head(&response)?;
        let (url, headers) = (response.url().clone(), response.headers().clone());
        let limits = Limits {
            max_bytes: self.left.min(MAX_PAGE),
            stall: settings.stall,
            announced: response.content_length(),
        };
        let mut body = Vec::new();
        let received = receive(response.bytes_stream(), &mut body, &limits, &Silent).await;
        self.left = self.left.saturating_sub(body.len() as u64);
        received.map_err(|refusal| said(&url, &body).unwrap_or(refusal))?;
        Ok(Page { body, url, headers })
    }
}

/// What a service says, with status 200, that it will not do.
pub(super) fn said(url: &Url, body: &[u8]) -> Option<Error> {
    let start = body.iter().find(|b| !b.is_ascii_whitespace());
    let words = (start == Some(&b'<')).then(|| xml::exception(body)).flatten()?;
    let host = host(url);
    Some(failed(
        Fault::Status,
        text!("{host} a refusé la demande : {words}", "{host} refused the request: {words}"),
    ))
}

impl Page {
    /// The page as JSON of a known form.
    pub(super) fn json<'p, T: Deserialize<'p>>(&'p self) -> Result<T> {
        let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        serde_json::from_slice(body).map_err(|e| self.not_json(&e))
    }

    fn not_json(&self, error: &serde_json::Error) -> Error {
        let host = self.url.host_str().unwrap_or("?");
        let (line, column) = (error.line(), error.column());
        failed(
            Fault::Page,
            text!(
                "{host} n'a pas répondu le JSON attendu (ligne {line}, colonne {column})",
                "{host} did not answer the JSON expected (line {line}, column {column})"
            ),
        )
    }
}

/// A page of GeoJSON features, each as it was written.
#[derive(Debug, Deserialize)]
pub(super) struct Features<'a> {
    /// The features.
    #[serde(borrow)]
    pub(super) features: Vec<&'a RawValue>,
    /// Where to go on, among others.
    #[serde(default)]
    pub(super) links: Vec<Link>,
    /// How many there are in all; services also say "unknown".
    #[serde(rename = "numberMatched", default)]
    matched: serde_json::Value,
}

/// A link of a page.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    /// What it leads to.
    #[serde(default)]
    pub(super) rel: String,
    /// Its media type.
    #[serde(rename = "type", default)]
    pub(super) kind: Option<String>,
    /// Its address.
    #[serde(default)]
    pub(super) href: String,
}

impl Features<'_> {
    /// How many features the service says there are.
    pub(super) fn matched(&self) -> Option<u64> {
        self.matched.as_u64().or_else(|| self.matched.as_str().and_then(|n| n.parse().ok()))
    }
}
