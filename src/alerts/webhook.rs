//! A webhook: one event as JSON to an address of the operator's own, which may lie in a private
//! network. It is not led elsewhere: redirects are not followed, and what it answers is not read.

use super::{authorities, unusable_authorities};
use crate::{
    config::{
        WebhookSettings,
        secrets::{environment, expand},
    },
    model::Text,
    text,
};
use reqwest::{
    Certificate, Client, Url,
    header::{CONTENT_TYPE, HeaderValue},
    redirect::Policy,
};
use serde_json::Value;
use std::{net::IpAddr, path::PathBuf, time::Duration};

/// How long one may take, connecting included.
const LIMIT: Duration = Duration::from_secs(15);

/// An address that is told.
#[derive(Debug)]
pub(super) struct Webhook {
    pub(super) settings: WebhookSettings,
    agent: String,
    ca_file: Option<PathBuf>,
}

impl Webhook {
    pub(super) fn new(settings: WebhookSettings, agent: &str, ca_file: Option<PathBuf>) -> Self {
        Self { settings, agent: agent.to_owned(), ca_file }
    }

    /// The host, which is all that messages show of an address.
    pub(super) fn host(&self) -> String {
        let url = self.url().ok();
        url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Sends one document.
    ///
    /// # Errors
    /// Why it did not arrive, without address or secret.
    pub(super) async fn send(&self, body: &Value) -> Result<(), Text> {
        let url = self.url()?;
        let client = self.client(&url)?;
        let mut request =
            client.post(url).header(CONTENT_TYPE, "application/json").body(body.to_string());
        if let Some(header) = &self.settings.header {
            let value = header.value.read().map_err(|e| Text::same(e.to_string()))?;
            let mut value = HeaderValue::from_str(&value).map_err(|_| {
                text!(
                    "le secret contient des caractères qu'un en-tête ne porte pas",
                    "the secret holds characters that a header cannot bear"
                )
            })?;
            value.set_sensitive(true);
            request = request.header(header.name.as_str(), value);
        }
        let answer = request.send().await.map_err(|e| unreachable(&e))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(text!("il a répondu {status}", "it answered {status}"))
    }

    fn url(&self) -> Result<Url, Text> {
        let expanded = expand(&self.settings.url, environment)?;
        Url::parse(&expanded).map_err(|_| text!("adresse illisible", "not an address"))
    }

    fn client(&self, url: &Url) -> Result<Client, Text> {
        // The first caller of the process installs it; later ones find it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(&self.agent)
            .timeout(LIMIT)
            .redirect(Policy::none())
            .referer(false);
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        if host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
            builder = builder.no_proxy();
        }
        if let Some(pem) = authorities(self.ca_file.as_deref())? {
            let all = Certificate::from_pem_bundle(&pem).map_err(|_| unusable_authorities())?;
            builder = builder.tls_certs_merge(all);
        }
        builder.build().map_err(|e| unreachable(&e))
    }
}

/// Says what failed, without the address.
fn unreachable(error: &reqwest::Error) -> Text {
    if error.is_timeout() {
        let limit = LIMIT.as_secs();
        return text!("pas de réponse en {limit} s", "no answer within {limit} s");
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    // Only reqwest's own error shows the address; a cause below it does not.
    match std::ptr::addr_eq(cause, error) {
        true => text!("injoignable", "unreachable"),
        false => text!("injoignable ({cause})", "unreachable ({cause})"),
    }
}
