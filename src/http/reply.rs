//! Answers: entity tags, `304` before any work, one compression, caching and `Vary`. Handlers say
//! what a representation depends on; headers are written here only.

use super::{Answer, links::media, negotiate, parts::Parts, visit::Visit};
use crate::{
    error::Error,
    model::{Lang, LayerDef},
};
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use std::{io::Write, time::Duration};

/// Bodies below this are sent as they are: a gzip header and a packet weigh as much.
const WORTH_COMPRESSING: usize = 1024;
/// Above this, compressing would hold up the other requests of a worker thread.
const COMPRESS_ASIDE: usize = 64 * 1024;
/// Documents follow a publication within this many seconds.
const DOCUMENT_AGE: u64 = 10;
/// And those of a live layer an edit.
const LIVE_AGE: u64 = 5;

/// The tag of a representation, without quotes and encoding: what the bytes depend on; with how
/// long they may be kept.
#[derive(Debug, Clone)]
pub struct Tag {
    digest: String,
    /// Seconds.
    max_age: u64,
}

impl Tag {
    /// The tag of what one layer answers: it is kept as long as the layer says.
    pub fn of(mut self, layer: &LayerDef) -> Self {
        let usual = if layer.is_live() { LIVE_AGE } else { DOCUMENT_AGE };
        self.max_age = usual;
        self.within(layer.max_age)
    }

    /// The tag of what is kept for so long, where somebody says so.
    pub fn within(mut self, max_age: Option<Duration>) -> Self {
        self.max_age = max_age.map_or(self.max_age, |age| age.as_secs());
        self
    }
}

/// A finished body.
pub struct Document {
    /// Media type.
    pub media: &'static str,
    /// Its body.
    pub content: Content,
    /// Further headers.
    pub headers: Vec<(HeaderName, String)>,
}

/// The body of a document.
pub enum Content {
    /// In memory.
    Bytes(Vec<u8>),
    /// Read as it is sent.
    Parts(Parts),
    /// In memory, and kept for the next ones.
    Kept(Kept),
}

/// Bytes that answer many requests, compressed once.
#[derive(Debug, Clone)]
pub struct Kept {
    plain: Bytes,
    gzip: Bytes,
}

impl Kept {
    /// Compresses.
    ///
    /// # Errors
    /// [`Error::Fault`] when that fails.
    pub async fn new(bytes: Vec<u8>) -> Result<Self, Error> {
        let plain = Bytes::from(bytes);
        let gzip = compress(plain.clone()).await?.into();
        Ok(Self { plain, gzip })
    }

    /// What both forms weigh, bytes.
    pub fn weight(&self) -> usize {
        self.plain.len() + self.gzip.len()
    }
}

impl From<Parts> for Content {
    fn from(parts: Parts) -> Self {
        // Most are small.
        parts.into_memory().map_or_else(Self::Parts, Self::Bytes)
    }
}

impl Document {
    /// Bytes of a media type.
    pub fn new(media: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { media, content: Content::Bytes(bytes.into()), headers: Vec::new() }
    }

    /// What is read as it is sent, of a media type.
    pub fn of(media: &'static str, parts: impl Into<Parts>) -> Self {
        Self { media, content: parts.into().into(), headers: Vec::new() }
    }

    /// What is kept, of a media type.
    pub fn kept(media: &'static str, kept: Kept) -> Self {
        Self { media, content: Content::Kept(kept), headers: Vec::new() }
    }

    /// A JSON value.
    pub fn json(media: &'static str, value: &serde_json::Value) -> Self {
        Self::new(media, value.to_string())
    }

    /// A page.
    pub fn html(page: String) -> Self {
        Self::new(media::HTML, page)
    }

    /// With one more header; a value that no header may hold is left out.
    pub fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Visit {
    /// The tag of a negotiated document: `parts` name the state of the data; language, format,
    /// root, query and the program's own state are added. The query counts in normal form.
    pub fn tag(&self, parts: &[&str]) -> Tag {
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        };
        add(&self.site.stamp);
        add(self.reference().id());
        add(&self.reference().levels_key());
        add(&self.root());
        add(self.path());
        add(self.lang().tag());
        add(self.format().map_or("", |f| f.id()));
        let mut query: Vec<(&str, &str)> =
            self.params.iter().filter(|(n, _)| !super::params::SECRETS.contains(n)).collect();
        query.sort_unstable();
        for (name, value) in query {
            add(name);
            add(value);
        }
        // A border that moved makes other documents; one that is nowhere is refused by handlers.
        if let Ok(Some(outline)) = self.outline(None) {
            add(&outline.key);
        }
        parts.iter().copied().for_each(&mut add);
        let digest = hash.finalize();
        let digest = digest.iter().take(12).map(|b| format!("{b:02x}")).collect();
        Tag { digest, max_age: DOCUMENT_AGE }
    }

    /// `304` when the client holds this representation already.
    pub fn unchanged(&self, tag: &Tag) -> Option<Response> {
        let quoted = self.quoted(tag);
        negotiate::none_match(self.header(header::IF_NONE_MATCH), &quoted).then(|| {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            self.document_headers(&mut response, tag);
            response
        })
    }

    /// Sends a document, compressed when that is accepted and worth it.
    pub async fn send(&self, tag: &Tag, document: Document) -> Answer {
        let Document { media, content, headers } = document;
        let worth = match &content {
            Content::Bytes(bytes) => bytes.len() >= WORTH_COMPRESSING,
            Content::Parts(_) | Content::Kept(_) => true,
        };
        let gzip = self.gzip() && worth;
        let body = match content {
            Content::Bytes(bytes) if gzip => Body::from(compress(bytes.into()).await?),
            Content::Kept(kept) => Body::from(if gzip { kept.gzip } else { kept.plain }),
            Content::Bytes(bytes) => Body::from(bytes),
            Content::Parts(parts) => parts.into_body(gzip),
        };
        let mut response = Response::new(body);
        let content = match media {
            media::HTML => "text/html; charset=utf-8",
            other => other,
        };
        let out = response.headers_mut();
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
        if gzip {
            out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        out.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(self.lang().tag()));
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                out.append(name, value);
            }
        }
        self.document_headers(&mut response, tag);
        Ok(response)
    }

    /// The quoted tag; distinct per encoding. Weak when sent: a page carries the time it was
    /// made at.
    fn quoted(&self, tag: &Tag) -> String {
        format!("\"{}{}\"", tag.digest, if self.gzip() { "-gz" } else { "" })
    }

    fn document_headers(&self, response: &mut Response, tag: &Tag) {
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&format!("W/{}", self.quoted(tag))) {
            headers.insert(header::ETAG, value);
        }
        headers.insert(header::CACHE_CONTROL, for_so_long(tag.max_age, ""));
        headers.insert(
            header::VARY,
            HeaderValue::from_static("Accept, Accept-Language, Accept-Encoding"),
        );
    }
}

/// What says that an answer may be kept for so many seconds, and `more`.
pub fn for_so_long(seconds: u64, more: &str) -> HeaderValue {
    let said = format!("public, max-age={seconds}{more}");
    // Digits and words: a header may hold them.
    HeaderValue::from_str(&said).unwrap_or(const { HeaderValue::from_static("no-cache") })
}

/// Gzip at the fast level; large bodies on a thread made for it.
async fn compress(bytes: Bytes) -> Result<Vec<u8>, Error> {
    let aside = bytes.len() > COMPRESS_ASIDE;
    let work = move || -> std::io::Result<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), Compression::fast());
        encoder.write_all(&bytes)?;
        encoder.finish()
    };
    if !aside {
        return work().map_err(|e| Error::fault("compressing", e));
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::fault("compressing", e))?.map_err(|e| Error::fault("compressing", e))
}

/// A temporary redirect that shared caches drop quickly.
pub fn redirect(to: &str, cache: &'static str) -> Response {
    let mut response = StatusCode::FOUND.into_response();
    if let Ok(value) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

/// A number with the thousands separator of a language, for pages.
pub fn number(value: u64, lang: Lang) -> String {
    let digits = value.to_string();
    let separator = match lang {
        Lang::Fr => '\u{202f}',
        Lang::En => ',',
    };
    let mut out = String::with_capacity(digits.len() * 2);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(separator);
        }
        out.push(digit);
    }
    out
}
