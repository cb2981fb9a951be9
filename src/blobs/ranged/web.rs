//! A file at an `http` or `https` address (RFC 9110 §14). Every answer says what it is a part of:
//! one whose validator or size is not that of the first look is of another file. Secrets of the
//! address stay in the request: messages name the host at most.

use super::{
    super::guard::{Guard, goes_by_proxy, host, leads},
    Manners, Sight,
};
use crate::{
    config::{Allowed, secrets},
    error::{Error, Result},
    text,
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use reqwest::{Client, Response, StatusCode, Url, header, redirect};
use std::{ops::Range, sync::Arc, time::Duration};

/// Redirects followed; storage behind a portal uses one or two.
const MAX_REDIRECTS: usize = 5;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take, its bytes included.
const ANSWER: Duration = Duration::from_secs(20);

/// A client for what the operator names: no `Referer`, which would hand the key of one host to the
/// next, and redirects left to us, each judged. Straight, when a guard resolves its names, else over
/// the proxies of the environment.
///
/// # Errors
/// [`Error::Fault`] when the machine cannot do TLS.
fn client(guard: Option<&Guard>, user_agent: &str) -> Result<Client> {
    // The first caller of the process installs it; later ones find it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let build = |roots: bool| {
        let mut builder = Client::builder()
            .user_agent(user_agent)
            .connect_timeout(CONNECT)
            .redirect(redirect::Policy::none())
            .referer(false);
        if let Some(guard) = guard {
            builder = builder.no_proxy().dns_resolver(Arc::new(guard.clone()));
        }
        if !roots {
            builder = builder.tls_certs_only([]);
        }
        builder.build()
    };
    // A machine without root certificates can still fetch over http; https is then refused by
    // the handshake.
    build(true).or_else(|_| build(false)).map_err(|e| Error::fault("building the HTTP client", e))
}

/// The address.
#[derive(Debug)]
pub(super) struct Address {
    url: Url,
    straight: Client,
    /// Where the environment names a proxy.
    proxied: Option<Client>,
    /// Judges where redirects lead.
    elsewhere: Guard,
}

/// What an answer says it is a part of.
struct Whole {
    bytes: u64,
    state: String,
}

impl Address {
    pub(super) fn new(template: &str, web: Manners<'_>) -> Result<Self> {
        let full = secrets::expand(template, secrets::environment).map_err(Error::Invalid)?;
        let url = Url::parse(&full).map_err(|_| {
            Error::Invalid(text!(
                "l'adresse de l'archive n'est ni http ni https",
                "the archive's address is neither http nor https"
            ))
        })?;
        // The operator named this very host: it may be anywhere.
        let own = host(&url).parse::<Allowed>().ok();
        let allow: Vec<Allowed> = web.allow.iter().cloned().chain(own).collect();
        let straight = client(Some(&Guard::new(&allow)), web.user_agent)?;
        let proxied = goes_by_proxy(&url).then(|| client(None, web.user_agent)).transpose()?;
        Ok(Self { url, straight, proxied, elsewhere: Guard::new(web.allow) })
    }

    /// One byte tells what there is; `HEAD` is refused to addresses that are signed for `GET`.
    pub(super) async fn look(&self) -> Result<Sight> {
        let response = self.ask(0..1).await?;
        let Whole { bytes, state } = self.whole(&response, &(0..1))?;
        Ok(Sight { bytes, state, file: None })
    }

    pub(super) async fn read(&self, sight: &Sight, range: Range<u64>) -> Result<Option<Bytes>> {
        let response = self.ask(range.clone()).await?;
        // Shorter than it was.
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(None);
        }
        let whole = self.whole(&response, &range)?;
        if whole.state != sight.state || whole.bytes != sight.bytes {
            return Ok(None);
        }
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let mut bytes = BytesMut::new();
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece.map_err(|e| self.unreachable(&e))?);
            if bytes.len() > length {
                break;
            }
        }
        match bytes.len() == length {
            true => Ok(Some(bytes.freeze())),
            false => Err(self.odd(text!(
                "ne donne pas les octets demandés",
                "does not give the bytes asked for"
            ))),
        }
    }

    /// Asks for a range; redirects are followed as far as sources may be asked ([`Guard`]).
    async fn ask(&self, range: Range<u64>) -> Result<Response> {
        let bytes = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        let mut at = self.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let by_proxy = self.proxied.as_ref().filter(|_| goes_by_proxy(&at));
            let request = by_proxy
                .unwrap_or(&self.straight)
                .get(at.clone())
                .timeout(ANSWER)
                .header(header::RANGE, bytes.as_str())
                // Positions are those of the file itself.
                .header(header::ACCEPT_ENCODING, "identity");
            let response = request.send().await.map_err(|e| self.unreachable(&e))?;
            let Some(next) = leads(&at, &response) else { return Ok(response) };
            at = next.map_err(|()| self.led_inside())?;
            // A name is resolved here too: behind a proxy nobody else of ours does it.
            if !self.is_own(&at) && self.elsewhere.passes_resolved(&at).await != Some(true) {
                return Err(self.led_inside());
            }
        }
        Err(self.odd(text!(
            "redirige plus de {MAX_REDIRECTS} fois",
            "redirects more than {MAX_REDIRECTS} times"
        )))
    }

    /// Whether an address is of the server that the operator named, or of its usual ports.
    fn is_own(&self, at: &Url) -> bool {
        let same = at.port_or_known_default() == self.url.port_or_known_default();
        host(at) == host(&self.url) && (same || at.port().is_none())
    }

    fn led_inside(&self) -> Error {
        self.odd(text!(
            "redirige vers une adresse privée, réservée ou hors du web (« allow » de [harvest])",
            "redirects to an address that is private, reserved or off the web (\"allow\" of [harvest])"
        ))
    }

    /// Checks that an answer is the part asked for, and tells of what.
    fn whole(&self, response: &Response, asked: &Range<u64>) -> Result<Whole> {
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::OK => {
                return Err(self.odd(text!(
                    "ne sert pas de parties de fichiers (Range)",
                    "does not serve parts of files (Range)"
                )));
            }
            status => {
                let status = status.as_u16();
                return Err(self.odd(text!("a répondu {status}", "answered {status}")));
            }
        }
        let text = |name| response.headers().get(name).and_then(|v| v.to_str().ok());
        let total = text(header::CONTENT_RANGE).and_then(|given| part(given, asked));
        let Some(bytes) = total else {
            return Err(self.odd(text!(
                "donne une autre partie du fichier que celle demandée",
                "gives another part of the file than was asked for"
            )));
        };
        let coded =
            text(header::CONTENT_ENCODING).is_some_and(|c| !c.eq_ignore_ascii_case("identity"));
        if coded {
            return Err(
                self.odd(text!("compresse des parties de fichiers", "compresses parts of files"))
            );
        }
        let validator = text(header::ETAG).or(text(header::LAST_MODIFIED)).unwrap_or_default();
        Ok(Whole { bytes, state: format!("{bytes}-{validator}") })
    }

    fn odd(&self, crate::model::Text { fr, en }: crate::model::Text) -> Error {
        let host = self.url.host_str().unwrap_or_default();
        tracing::warn!(host, what = en, "archive of tiles");
        Error::Unavailable(text!(
            "L'archive de tuiles ne peut pas être lue : {host} {fr}.",
            "The archive of tiles cannot be read: {host} {en}."
        ))
    }

    /// Says what failed without the address.
    fn unreachable(&self, error: &reqwest::Error) -> Error {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        // Only reqwest's own error shows the address; a cause below it does not.
        if !std::ptr::addr_eq(cause, error) {
            tracing::warn!(host = self.url.host_str(), %cause, "archive of tiles");
        }
        let host = self.url.host_str().unwrap_or_default();
        Error::Unavailable(text!(
            "L'archive de tuiles est hors d'atteinte : {host} ne répond pas.",
            "The archive of tiles is out of reach: {host} does not answer."
        ))
    }
}

/// The size of the whole, when `bytes 0-0/123` is the part that was asked for.
fn part(given: &str, asked: &Range<u64>) -> Option<u64> {
    let (range, total) = given.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let total: u64 = total.parse().ok()?;
    (first == asked.start && last.checked_add(1)? == asked.end && asked.end <= total)
        .then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    #[test]
    fn only_the_part_that_was_asked_for_is_taken() {
        assert_eq!(part("bytes 0-0/123", &(0..1)), Some(123));
        assert_eq!(part("bytes 10-19/20", &(10..20)), Some(20));
        for wrong in [
            "bytes 0-1/123",
            "bytes 0-0/*",
            "bytes */123",
            "items 0-0/1",
            "bytes 0-0/0",
            "bytes 1-0/9",
            "bytes 0-18446744073709551615/1",
            "",
        ] {
            assert_eq!(part(wrong, &(0..1)), None, "{wrong}");
        }
    }

    /// A server on this machine: `/a` redirects where it is told, all else is a byte of ten.
    async fn server(leads_to: &'static str) -> (u16, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let given = Arc::new(AtomicUsize::new(0));
        let count = given.clone();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut head = vec![0; 1024];
                let read = socket.read(&mut head).await.unwrap();
                let first = String::from_utf8_lossy(&head[..read]).into_owned();
                let place = leads_to.replace("{port}", &port.to_string());
                let answer = if first.starts_with("GET /a ") {
                    format!("302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n")
                } else {
                    count.fetch_add(1, Ordering::SeqCst);
                    "206 Partial Content\r\nContent-Range: bytes 0-0/10\r\nContent-Length: 1\r\n\r\nx".into()
                };
                let whole =
                    format!("HTTP/1.1 {}", answer.replacen("\r\n", "\r\nConnection: close\r\n", 1));
                socket.write_all(whole.as_bytes()).await.unwrap();
            }
        });
        (port, given)
    }

    #[tokio::test]
    async fn redirects_lead_where_sources_may_be_asked() {
        let look = async |leads_to: &'static str, allow: &[&str]| {
            let (port, given) = server(leads_to).await;
            let allow: Vec<Allowed> = allow.iter().map(|a| a.parse().unwrap()).collect();
            let manners = Manners { user_agent: "essai", allow: &allow };
            // The operator named this host: it may be asked, wherever it lies.
            let address = Address::new(&format!("http://localhost:{port}/a"), manners).unwrap();
            let seen = address.look().await.map(|sight| sight.bytes).ok();
            (seen, given.load(Ordering::SeqCst))
        };
        assert_eq!(look("http://localhost:{port}/b", &[]).await, (Some(10), 1));
        assert_eq!(look("/b", &[]).await, (Some(10), 1));
        let inside = "http://127.0.0.1:{port}/b";
        assert_eq!(look(inside, &[]).await, (None, 0));
        assert_eq!(look(inside, &["127.0.0.0/8"]).await, (Some(10), 1));
        assert_eq!(look("http://169.254.169.254/latest", &[]).await, (None, 0));
        assert_eq!(look("http://no-such-name.invalid/", &[]).await, (None, 0));
        assert_eq!(look("file:///etc/passwd", &[]).await, (None, 0));
        assert_eq!(look("http://localhost:1/", &[]).await, (None, 0), "another service of it");
        assert_eq!(look("/a", &[]).await, (None, 0), "in a circle");
    }
}
