//! Services give their features page by page: each page is asked for politely, asked for again
//! where that may help, and bounded; all of them become one delivery, a GeoJSON file, or nothing.

use super::{
    Fetch, Harvester,
    body::{Limits, receive},
    failed, file,
    guard::host,
    http::{check_head, refused_status},
    kept_as, xml,
};
use crate::{
    blobs::Draft,
    error::{Error, Result},
    model::{Fault, Harvested, Progress, Silent, SourceDef, Text},
    text,
};
use jiff::Timestamp;
use reqwest::{
    StatusCode, Url,
    header::{self, HeaderMap, HeaderValue},
};
use rustc_hash::FxHashSet;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::{
    hash::{DefaultHasher, Hasher},
    path::PathBuf,
    time::Duration,
};

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

/// A delivery under way.
pub(super) struct Delivery<'a> {
    part: Draft,
    hasher: Sha256,
    bytes: u64,
    count: u64,
    /// Ids met on earlier pages, hashed.
    seen: FxHashSet<u64>,
    progress: &'a dyn Progress,
}

/// The id of a feature, and nothing else of it.
#[derive(Deserialize)]
struct Id<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

impl<'a> Delivery<'a> {
    /// Begins a delivery; `crs` names an EPSG code when coordinates are not degrees.
    pub(super) async fn begin(
        harvester: &Harvester,
        source: &SourceDef,
        crs: Option<&str>,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let part = harvester.blobs.begin(source.max_bytes)?;
        progress.stage(Text::new("Téléchargement", "Download"), None);
        let (hasher, seen) = (Sha256::new(), FxHashSet::default());
        let mut delivery = Self { part, hasher, bytes: 0, count: 0, seen, progress };
        let code = crs.and_then(|c| c.strip_prefix("EPSG:"));
        let crs = code.map(|code| {
            format!(
                "\"crs\":{{\"type\":\"name\",\"properties\":{{\"name\":\"urn:ogc:def:crs:EPSG::{code}\"}}}},"
            )
        });
        let crs = crs.unwrap_or_default();
        delivery.write(&format!("{{\"type\":\"FeatureCollection\",{crs}\"features\":[")).await?;
        Ok(delivery)
    }

    /// How many features it has.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Adds a page of features as they were written.
    ///
    /// # Errors
    /// [`Fault::Cut`] when a feature was on an earlier page: then others are on none.
    pub(super) async fn add(&mut self, features: &[&str]) -> Result<()> {
        let mut ids = Vec::with_capacity(features.len());
        for raw in features {
            let comma = if self.count == 0 { "\n" } else { ",\n" };
            self.write(comma).await?;
            self.write(raw).await?;
            self.count += 1;
            let id = serde_json::from_str::<Id>(raw).ok().and_then(|f| f.id);
            if let Some(id) = id.filter(|id| id.get() != "null") {
                let mut hasher = DefaultHasher::new();
                hasher.write(id.get().as_bytes());
                ids.push((hasher.finish(), id));
            }
        }
        if let Some((_, id)) = ids.iter().find(|(hash, _)| self.seen.contains(hash)) {
            let id: String = id.get().chars().take(80).collect();
            return Err(failed(
                Fault::Cut,
                text!(
                    "l'entité {id} est sur deux pages, et d'autres peut-être sur aucune : trier les pages par une propriété (sort)",
                    "feature {id} is on two pages, and others perhaps on none: sort pages by a property (sort)"
                ),
            ));
        }
        self.seen.extend(ids.into_iter().map(|(hash, _)| hash));
        self.progress.advance(self.bytes);
        Ok(())
    }

    /// Checks that what the service counted has come.
    pub(super) fn check_count(&self, before: Option<u64>, after: Option<u64>) -> Result<()> {
        let (Some(first), Some(last)) = (before, after.or(before)) else { return Ok(()) };
        let came = self.count;
        if first != last {
            return Err(failed(
                Fault::Cut,
                text!(
                    "la source a changé pendant qu'on la lisait page par page : {first} entités, puis {last}",
                    "the source changed while it was read page by page: {first} features, then {last}"
                ),
            ));
        }
        if came != last {
            return Err(failed(
                Fault::Cut,
                text!(
                    "la source annonce {last} entités et en a donné {came}",
                    "the source announces {last} features and gave {came}"
                ),
            ));
        }
        Ok(())
    }

    /// Closes the delivery. `origin` is where it came from, `name` what to call the file.
    pub(super) async fn finish(
        mut self,
        origin: String,
        name: String,
        previous: Option<&Harvested>,
    ) -> Result<Fetch> {
        self.write("\n]}\n").await?;
        let sha256 = file::hex(&self.hasher.finalize());
        let key = kept_as(&sha256).ok_or_else(|| Error::broken("a checksum is no name"))?;
        let path: PathBuf = self.part.keep_here(&key).await?;
        let now = Timestamp::now();
        let found = Harvested {
            path,
            name,
            origin,
            status: Some(StatusCode::OK.as_u16()),
            bytes: self.bytes,
            sha256,
            etag: None,
            modified: None,
            fetched_at: now,
            checked_at: now,
            dataset: None,
            withdrawn: None,
        };
        let same = previous.filter(|p| p.sha256 == found.sha256 && p.origin == found.origin);
        Ok(match same {
            Some(p) => Fetch::Unchanged(Harvested { fetched_at: p.fetched_at, ..found }),
            None => Fetch::New(found),
        })
    }

    async fn write(&mut self, text: &str) -> Result<()> {
        self.bytes += text.len() as u64;
        self.hasher.update(text);
        self.part.write(text.as_bytes()).await
    }
}
