//! A file at an `http` or `https` address (RFC 9110 §14). Every answer says what it is a part of:
//! one whose validator or size is not that of the first look is of another file. Secrets of the
//! address stay in the request: messages name the host at most.

use super::Sight;
use crate::{
    config::secrets,
    error::{Error, Result},
    text,
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use reqwest::{Client, Response, StatusCode, Url, header, redirect};
use std::{ops::Range, time::Duration};

/// Redirects followed; storage behind a portal uses one or two.
const MAX_REDIRECTS: usize = 5;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take, its bytes included.
const ANSWER: Duration = Duration::from_secs(20);

/// A client for what the operator names: bounded redirects, no `Referer`, which would hand the key
/// of one host to the next, and no proxy before the machine itself.
///
/// # Errors
/// [`Error::Fault`] when the machine cannot do TLS.
fn client(url: &Url, user_agent: &str) -> Result<Client> {
    // The first caller of the process installs it; later ones find it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let build = |roots: bool| {
        let policy = redirect::Policy::custom(|attempt| {
            if attempt.previous().len() > MAX_REDIRECTS {
                attempt.error(TooManyRedirects)
            } else {
                attempt.follow()
            }
        });
        let mut builder = Client::builder()
            .user_agent(user_agent)
            .connect_timeout(CONNECT)
            .redirect(policy)
            .referer(false);
        if is_loopback(url) {
            builder = builder.no_proxy();
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

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[derive(Debug, thiserror::Error)]
#[error("too many redirects")]
struct TooManyRedirects;

/// The address.
#[derive(Debug)]
pub(super) struct Address {
    url: Url,
    client: Client,
}

/// What an answer says it is a part of.
struct Whole {
    bytes: u64,
    state: String,
}

impl Address {
    pub(super) fn new(template: &str, user_agent: &str) -> Result<Self> {
        let full = secrets::expand(template, secrets::environment).map_err(Error::Invalid)?;
        let url = Url::parse(&full).map_err(|_| {
            Error::Invalid(text!(
                "l'adresse de l'archive n'est ni http ni https",
                "the archive's address is neither http nor https"
            ))
        })?;
        let client = client(&url, user_agent)?;
        Ok(Self { url, client })
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

    async fn ask(&self, range: Range<u64>) -> Result<Response> {
        let bytes = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        let request = self
            .client
            .get(self.url.clone())
            .timeout(ANSWER)
            .header(header::RANGE, bytes)
            // Positions are those of the file itself.
            .header(header::ACCEPT_ENCODING, "identity");
        request.send().await.map_err(|e| self.unreachable(&e))
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
}
