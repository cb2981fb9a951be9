//! Asking the web: one request, its redirects followed one by one, each judged by the guard; over
//! the proxy that the environment names (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`),
//! or straight. Secrets of an address stay in the request: messages name the host at most.

use super::{
    failed,
    guard::{Guard, Inside, check, check_for_proxy, host, inside},
};
use crate::{
    blobs::{goes_by_proxy, leads},
    config::HarvestSettings,
    error::{Error, Result},
    model::Fault,
    text,
};
use reqwest::{Certificate, Client, Response, StatusCode, Url, header, redirect};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

/// Redirects followed; catalogues use one or two.
const MAX_REDIRECTS: usize = 5;

/// Connections that nobody uses are closed before servers close them.
const IDLE: Duration = Duration::from_secs(10);

/// The clients, made when first needed and shared by all copies.
#[derive(Debug, Clone, Default)]
pub(super) struct Web(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    straight: OnceLock<Client>,
    proxied: OnceLock<Client>,
}

impl Web {
    /// Asks an address and waits for the head of the answer, which is no redirect.
    ///
    /// # Errors
    /// [`Error::Source`]: unreachable, silent, forbidden, redirecting without end or off the web.
    pub(super) async fn ask(
        &self,
        url: &Url,
        headers: &header::HeaderMap,
        settings: &HarvestSettings,
    ) -> Result<Response> {
        let mut at = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.ask_once(&at, headers, settings).await?;
            match leads(&at, &response) {
                None => return Ok(response),
                Some(Ok(next)) => at = next,
                Some(Err(())) => return Err(off_the_web(host(&at))),
            }
        }
        let host = host(url);
        Err(failed(
            Fault::Redirects,
            text!(
                "{host} redirige plus de {MAX_REDIRECTS} fois",
                "{host} redirects more than {MAX_REDIRECTS} times"
            ),
        ))
    }

    async fn ask_once(
        &self,
        url: &Url,
        headers: &header::HeaderMap,
        settings: &HarvestSettings,
    ) -> Result<Response> {
        let guard = Guard::new(&settings.allow);
        check(&guard, url)?;
        let client = if goes_by_proxy(url) {
            check_for_proxy(&guard, url, settings.proxy_resolves).await?;
            client(&self.0.proxied, settings, None)?
        } else {
            client(&self.0.straight, settings, Some(guard))?
        };
        let asked = client.get(url.clone()).headers(headers.clone()).send();
        let answer = tokio::time::timeout(settings.stall, asked).await;
        let answer = answer.map_err(|_| silent(host(url), settings.stall))?;
        let answer = answer.map_err(|e| unreachable_source(host(url), &e))?;
        if answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(no_way_through());
        }
        Ok(answer)
    }
}

/// A client: straight, when a guard resolves its names, else over the proxies of the environment.
fn client<'a>(
    place: &'a OnceLock<Client>,
    settings: &HarvestSettings,
    guard: Option<Guard>,
) -> Result<&'a Client> {
    if let Some(client) = place.get() {
        return Ok(client);
    }
    let made = build(settings, guard)?;
    Ok(place.get_or_init(|| made))
}

fn build(settings: &HarvestSettings, guard: Option<Guard>) -> Result<Client> {
    // The first caller of the process installs it; later ones find it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let more = authorities(settings)?;
    let build = |roots: bool| {
        let mut builder = Client::builder()
            .user_agent(&settings.user_agent)
            .connect_timeout(settings.stall)
            .pool_idle_timeout(IDLE)
            // Followed by ourselves, each judged.
            .redirect(redirect::Policy::none())
            // A `Referer` would hand the key of one host to the next.
            .referer(false);
        if let Some(guard) = &guard {
            builder = builder.no_proxy().dns_resolver(Arc::new(guard.clone()));
        }
        builder = match roots {
            true => builder.tls_certs_merge(more.clone()),
            false => builder.tls_certs_only(more.clone()),
        };
        builder.build()
    };
    // A machine without root certificates can still fetch over http; https is then refused by
    // the handshake.
    build(true).or_else(|_| build(false)).map_err(|e| Error::fault("building the HTTP client", e))
}

/// The authorities of `ca_file`.
fn authorities(settings: &HarvestSettings) -> Result<Vec<Certificate>> {
    let Some(file) = &settings.ca_file else { return Ok(Vec::new()) };
    let read = std::fs::read(file).ok().and_then(|pem| Certificate::from_pem_bundle(&pem).ok());
    read.filter(|all| !all.is_empty()).ok_or_else(|| {
        Error::Refused(text!(
            "« ca_file » de [harvest] : fichier illisible ou sans certificat",
            "\"ca_file\" of [harvest]: file unreadable or without a certificate"
        ))
    })
}

fn silent(host: &str, stall: Duration) -> Error {
    let stall = stall.as_secs_f64();
    failed(
        Fault::Stalled,
        text!(
            "{host} ne répond pas depuis {stall} s (stall_s)",
            "{host} has not answered for {stall} s (stall_s)"
        ),
    )
}

/// Says what failed before an answer came, without the address.
fn unreachable_source(host: &str, error: &reqwest::Error) -> Error {
    let mut cause: &dyn std::error::Error = error;
    loop {
        if cause.is::<Inside>() {
            return inside(host);
        }
        // The tunnel of https says it in words only.
        if cause.to_string().ends_with("proxy authorization required") {
            return no_way_through();
        }
        let Some(deeper) = cause.source() else { break };
        cause = deeper;
    }
    // Only reqwest's own error shows the address; a cause below it does not.
    let detail =
        if std::ptr::addr_eq(cause, error) { String::new() } else { format!(" ({cause})") };
    failed(
        Fault::Unreachable,
        text!("{host} est injoignable{detail}", "{host} cannot be reached{detail}"),
    )
}

fn no_way_through() -> Error {
    failed(
        Fault::Unreachable,
        text!(
            "le mandataire (proxy) demande à s'identifier : HTTPS_PROXY=http://compte:mot-de-passe@…",
            "the proxy wants credentials: HTTPS_PROXY=http://user:password@…"
        ),
    )
}

fn off_the_web(host: &str) -> Error {
    failed(
        Fault::Forbidden,
        text!(
            "{host} redirige vers une adresse qui n'est ni http ni https",
            "{host} redirects to an address that is neither http nor https"
        ),
    )
}
