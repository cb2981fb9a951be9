//! What every request passes through, in order: an id, the limits, the scope taken off the path,
//! the time limit, then on the way out the problem document, CORS, security headers, the access
//! line and the figures. Handlers set none of these.

use super::{
    Site,
    access_log::Line,
    forwarded::{self, Forwarded},
    negotiate::{self, Format},
    params,
    problem::{self, Asked, Failure},
    reply, router,
    scope::{self, Scope},
    tiles,
    visit::{Entry, Visit},
};
use crate::{error::Error, model::push_hex, text};
use axum::{
    Router,
    extract::{FromRequestParts, Request},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, uri::PathAndQuery,
    },
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tower::ServiceExt;

/// Methods of every resource.
pub const METHODS: &str = "GET, HEAD, OPTIONS";
/// `X-Request-Id`.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// How old territory codes were understood: `59355 -> com:59350`, comma-separated, ASCII.
pub const TERRITORY_NOTICE: HeaderName = HeaderName::from_static("socle-territory-notice");
/// Headers a script of another origin may read.
const EXPOSED: &str = "Content-Crs, ETag, Link, OGC-NumberMatched, OGC-NumberReturned, \
     Content-Disposition, Retry-After, Socle-Border-Missing, Socle-Conflicts, Socle-Stale, \
     Socle-Territory-Notice, Socle-Verdicts, Socle-Vintage, X-Request-Id";
/// Seconds since the store last confirmed that what is served is the latest.
///
/// Not `Warning: 110`, which RFC 9111 (§5.5) withdrew; not `Age`, with which every cache would
/// hold the answer expired on arrival and ask again at once, when there is least to give.
const STALE: HeaderName = HeaderName::from_static("socle-stale");
/// How long caches keep what is stale: little, so that what comes after is soon everywhere.
const STALE_CACHE: &str = "public, max-age=5";

/// The client's address, put into a request's extensions by the server.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The service behind the socket: what surrounds the routes, and the routes.
pub struct Front {
    site: Arc<Site>,
    routes: Router,
    /// Whether it is the public one.
    public: bool,
}

impl Front {
    /// Around these routes.
    pub fn new(site: Arc<Site>, routes: Router) -> Self {
        Self { site, routes, public: true }
    }

    /// Around routes that are not for the public: nothing else is answered.
    pub fn inner(site: Arc<Site>, routes: Router) -> Self {
        Self { site, routes, public: false }
    }

    /// The parts behind it.
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// Notes that the server is about to end: `/health/ready` says so from now on.
    pub fn leave(&self) {
        self.site.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether the server is about to end.
    pub fn leaving(&self) -> bool {
        self.site.leaving.load(Ordering::Relaxed)
    }
}

/// What is needed of a request after handlers consumed it. Cheap: header values and addresses
/// are counted references.
struct Kept {
    id: String,
    method: Method,
    uri: Uri,
    accept: Option<HeaderValue>,
    language: Option<HeaderValue>,
    host: Option<HeaderValue>,
    peer: Option<IpAddr>,
}

impl Front {
    /// Answers a request. Never fails: failures are answers.
    pub async fn answer(&self, request: Request) -> Response {
        let started = Instant::now();
        let site = &self.site;
        let headers = request.headers();
        let kept = Kept {
            id: next_id(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            accept: headers.get(header::ACCEPT).cloned(),
            language: headers.get(header::ACCEPT_LANGUAGE).cloned(),
            host: headers.get(header::HOST).cloned(),
            peer: request.extensions().get().map(|Peer(address)| address.ip()),
        };
        let told = told(site, headers, &kept);
        let mut entered = Entered::default();
        entered.entry.told = told.base.as_deref().map(Arc::from);
        let mut route = None;
        let mut response = match enter(site, request, &kept, told.prefix.as_deref(), &mut entered) {
            Ok(request) => self.work(request, entered.path(&kept), &mut route).await,
            Err(response) => *response,
        };
        if let Some(failure) = problem::pending(&mut response) {
            response = problem::finish(site, &failure, &asked(site, &kept, &entered));
        }
        leave(site, &kept, &entered, &mut response);
        let route = route.or_else(|| router::position(entered.path(&kept)));
        site.meters.record(route, response.status(), started.elapsed());
        if let Some(log) = &site.log {
            log.write(Line {
                at: SystemTime::now(),
                id: kept.id,
                method: kept.method,
                uri: kept.uri,
                status: response.status().as_u16(),
                bytes: axum::body::HttpBody::size_hint(response.body()).exact(),
                micros: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
                peer: told.client.or(kept.peer),
                route: route.and_then(|i| router::path::ALL.get(i).copied()),
            });
        }
        response
    }

    /// Routes and handler, within the time limit; a panic is a fault of ours like any other.
    async fn work(&self, request: Request, path: &str, route: &mut Option<usize>) -> Response {
        let work = AssertUnwindSafe(self.handle(request, path, route)).catch_unwind();
        match tokio::time::timeout(self.site.app.settings.server.request_timeout, work).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => Failure::Domain(Error::broken("a handler panicked")).into_response(),
            Err(_) => Failure::Timeout.into_response(),
        }
    }
}

impl Front {
    /// A tile at once, anything else by the router. `path` is the request's own; its route is told
    /// where it is known without a look at all of them.
    async fn handle(&self, request: Request, path: &str, route: &mut Option<usize>) -> Response {
        if self.public
            && request.method() == Method::GET
            && let Some((id, tile, known)) = tiles::plain(path)
        {
            *route = router::path::ALL.iter().position(|template| *template == known);
            let (mut parts, _) = request.into_parts();
            return match Visit::from_request_parts(&mut parts, &self.site).await {
                Ok(visit) => tiles::answer(id, tile, &visit).await.into_response(),
                Err(failure) => failure.into_response(),
            };
        }
        self.routes.clone().oneshot(request).map(|Ok(response)| response).await
    }
}

/// What entering found out.
#[derive(Default)]
struct Entered {
    entry: Entry,
    /// The path below root and scope, when it differs from the one received.
    path: Option<String>,
}

impl Entered {
    fn path<'a>(&'a self, kept: &'a Kept) -> &'a str {
        self.path.as_deref().unwrap_or_else(|| kept.uri.path())
    }
}

/// Checks the address and takes the public prefix, the scope and a trailing slash off it.
fn enter(
    site: &Site,
    mut request: Request,
    kept: &Kept,
    prefix: Option<&str>,
    entered: &mut Entered,
) -> Result<Request, Box<Response>> {
    let fail = |failure: Failure| Box::new(failure.into_response());
    let max = site.app.settings.server.max_url;
    if request.uri().path_and_query().is_some_and(|p| p.as_str().len() > max) {
        return Err(fail(Failure::TooLong(max)));
    }
    if !kept.host.as_ref().is_none_or(|h| plain_host(h.as_bytes())) {
        return Err(fail(Failure::Domain(Error::Invalid(text!(
            "En-tête « Host » illisible.",
            "Unreadable \"Host\" header."
        )))));
    }
    let path = request.uri().path();
    let mut rest = path;
    let prefix = site.prefix.as_deref().or(prefix);
    if let Some(bare) = prefix.map(|p| p.trim_end_matches('/')) {
        rest = match path.strip_prefix(bare) {
            Some("") => "/",
            Some(below) if below.starts_with('/') => below,
            _ => path,
        };
    }
    if rest.len() > 1 {
        rest = rest.strip_suffix('/').unwrap_or(rest);
    }
    if kept.method == Method::OPTIONS {
        return Err(Box::new(options(router::methods(rest))));
    }
    let mut query = kept.uri.query().map(Cow::Borrowed);
    if let Some(scoped) = rest.strip_prefix("/t/") {
        let (segment, below) = scoped.find('/').map_or((scoped, "/"), |at| scoped.split_at(at));
        let scope = enter_scope(site, segment, &mut query, entered).map_err(|e| fail(e.into()))?;
        rest = below;
        if (scope.is_carried() || scope.vintage.is_some() && query.as_deref() != kept.uri.query())
            && wants_page(kept)
        {
            let query = query.map(|q| format!("?{q}")).unwrap_or_default();
            let base = site.base(entered.entry.told.as_deref(), text_of(kept.host.as_ref()));
            let to = format!("{base}t/{}{rest}{query}", scope.canonical());
            return Err(Box::new(reply::redirect(&to, "public, max-age=300")));
        }
        entered.entry.scope = Some(scope);
    }
    if rest.len() != path.len() {
        let rest = rest.to_owned();
        let rewritten = match query {
            Some(query) => format!("{rest}?{query}"),
            None => rest.clone(),
        };
        let target: PathAndQuery = rewritten.parse().map_err(|_| fail(Failure::NoRoute))?;
        *request.uri_mut() = Uri::from(target);
        entered.path = Some(rest);
    }
    if entered.entry.scope.is_some() || entered.entry.told.is_some() {
        request.extensions_mut().insert(entered.entry.clone());
    }
    Ok(request)
}

/// Understands a scope's segment. Territories that are no more are taken as they were in the year of
/// `vintage`, which is then taken off the query: links within the scope say it by the scope itself.
fn enter_scope(
    site: &Site,
    segment: &str,
    query: &mut Option<Cow<'_, str>>,
    entered: &mut Entered,
) -> Result<Arc<Scope>, Error> {
    // `+` is a plus sign in a path, not a space.
    let segment = params::decode(&segment.replace('+', "%2B"))?;
    let world = site.app.world();
    let reference = world.reference.clone();
    entered.entry.world = Some(world);
    let scope = site.scopes.path(&reference, &segment);
    if let (Err(Error::Gone { .. }), Some(year)) = (&scope, year_alone(query.as_deref()))
        && let Some(then) = scope::as_of(&segment, year)
    {
        let rest = query.take().map(|q| without(&q, params::name::VINTAGE));
        *query = rest.filter(|q| !q.is_empty()).map(Cow::Owned);
        return site.scopes.path(&reference, &then);
    }
    scope
}

/// The year of a `vintage` that is said of the scope: beside a `territory` it is said of that.
fn year_alone(query: Option<&str>) -> Option<u16> {
    use params::name::{TERRITOIRE, TERRITORY, VINTAGE};
    let params = params::Params::parse(query).ok()?;
    let other = [TERRITORY, TERRITOIRE].iter().any(|name| params.get(name).is_some());
    if other { None } else { params.number(VINTAGE).ok()??.try_into().ok() }
}

/// A raw query without one parameter.
fn without(query: &str, name: &str) -> String {
    let kept = query.split('&').filter(|pair| pair.split('=').next() != Some(name));
    kept.collect::<Vec<_>>().join("&")
}

/// A host and port and nothing else: it is repeated in links.
pub fn plain_host(bytes: &[u8]) -> bool {
    let plain =
        |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']' | b'_');
    !bytes.is_empty() && bytes.len() <= 255 && bytes.iter().all(plain)
}

fn text_of(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|v| v.to_str().ok())
}

fn wants_page(kept: &Kept) -> bool {
    let explicit =
        kept.uri.query().unwrap_or_default().split('&').find_map(|p| p.strip_prefix("f="));
    match explicit {
        Some(f) => f == "html",
        None => negotiate::format(text_of(kept.accept.as_ref())) == Some(Format::Html),
    }
}

fn options(methods: &'static str) -> Response {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    let allowed =
        "Accept, Accept-Language, Authorization, Content-Type, If-None-Match, X-Requested-With";
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// What a trusted proxy says of the request.
fn told(site: &Site, headers: &HeaderMap, kept: &Kept) -> Forwarded {
    let trusted = &site.app.settings.server.trusted_proxies;
    if trusted.is_empty() {
        return Forwarded::default();
    }
    let host = text_of(kept.host.as_ref()).filter(|h| plain_host(h.as_bytes()));
    Forwarded::read(headers, kept.peer, trusted, host)
}

fn base(site: &Site, kept: &Kept, entered: &Entered) -> String {
    let host = text_of(kept.host.as_ref()).filter(|h| plain_host(h.as_bytes()));
    site.base(entered.entry.told.as_deref(), host)
}

fn asked<'a>(site: &Site, kept: &'a Kept, entered: &'a Entered) -> Asked<'a> {
    let base = base(site, kept, entered);
    let root = match &entered.entry.scope {
        Some(scope) => format!("{base}t/{}/", scope.written),
        None => base.clone(),
    };
    Asked {
        id: &kept.id,
        accept: text_of(kept.accept.as_ref()),
        language: text_of(kept.language.as_ref()),
        query: kept.uri.query(),
        path: entered.path(kept),
        base,
        root,
    }
}

/// The headers of every answer.
fn leave(site: &Site, kept: &Kept, entered: &Entered, response: &mut Response) {
    let html = is_html(response.headers());
    let success = response.status().is_success();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(&kept.id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(notice) = entered.entry.scope.as_ref().and_then(|s| s.notice.as_ref())
        && let Ok(notice) = HeaderValue::from_str(notice)
    {
        headers.insert(TERRITORY_NOTICE, notice);
    }
    if html {
        let base = base(site, kept, entered);
        if let Ok(policy) = HeaderValue::from_str(&content_policy(&base)) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        let referrer = HeaderValue::from_static("strict-origin-when-cross-origin");
        headers.insert(header::REFERRER_POLICY, referrer);
    }
    if !success && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    let server = &site.app.settings.server;
    // Tiles hold no addresses.
    let tile = || headers.get(header::CONTENT_TYPE).is_some_and(|t| t == super::links::media::MVT);
    if !server.trusted_proxies.is_empty() && server.public_url.is_none() && !tile() {
        headers.append(header::VARY, HeaderValue::from_static(forwarded::VARY));
    }
    if let Some(silent) = site.app.catalog.stale() {
        mark_stale(headers, silent);
    }
}

/// Marks an answer that caches may keep as one that the store did not confirm. What never
/// changes (`immutable`) is never stale.
fn mark_stale(headers: &mut HeaderMap, silent: Duration) {
    let kept = headers.get(header::CACHE_CONTROL).and_then(|v| v.to_str().ok());
    if kept.is_some_and(|c| c.contains("max-age") && !c.contains("immutable")) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(STALE_CACHE));
        headers.insert(STALE, HeaderValue::from(silent.as_secs()));
    }
}

fn is_html(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"text/html"))
}

/// Only what comes from the service itself; MapLibre's worker is a blob.
fn content_policy(base: &str) -> String {
    let origin = base
        .split_once("://")
        .map(|(scheme, rest)| {
            let host = rest.split('/').next().unwrap_or_default();
            format!("{scheme}://{host}")
        })
        .unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self' {origin}; style-src 'self' {origin}; \
         img-src 'self' data: blob: {origin}; font-src 'self' {origin}; connect-src 'self' {origin}; \
         worker-src 'self' blob:; child-src blob:; form-action 'self' {origin}; base-uri 'none'"
    )
}

/// 24 hexadecimal digits: 8 drawn for the process, 16 scrambled from a counter.
fn next_id() -> String {
    use std::{hash::BuildHasher, hash::Hasher, sync::OnceLock};
    static DRAWN: OnceLock<u64> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let drawn = *DRAWN.get_or_init(|| {
        let mut hasher = std::hash::RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        hasher.finish()
    });
    // splitmix64 is a bijection: no two counters give one id.
    let mut z = drawn
        .wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    let mut id = String::with_capacity(24);
    push_hex(drawn >> 32, 8, &mut id);
    push_hex(z, 16, &mut id);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_24_hexadecimal_digits_and_differ() {
        let (first, second) = (next_id(), next_id());
        assert_ne!(first, second);
        assert_eq!(first[..8], second[..8]);
        assert!(first.len() == 24 && first.bytes().all(|b| b.is_ascii_hexdigit()), "{first}");
    }
}
