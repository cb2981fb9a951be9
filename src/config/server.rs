//! `[server]`: where it listens, what it is called, and its limits.

use super::{
    Network,
    document::clip,
    store::{Secret, variable},
    table::Table,
};
use crate::{model::Text, text};
// The client's URL type is the WHATWG parser that browsers follow: no second one is needed.
use reqwest::Url;
use std::{net::SocketAddr, time::Duration};

/// `[server]`.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Where to listen; port 0 lets the system choose. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Where `/metrics` and `/admin` answer (port 0 is not allowed; `None`: nowhere).
    /// Default `127.0.0.1:8081`.
    pub admin_listen: Option<SocketAddr>,
    /// Where the token is that opens `/metrics` and `/admin` on the public address as well;
    /// `None`: they are not there.
    pub admin_token: Option<Secret>,
    /// The address clients see, ending in `/`; `None`: taken from the request's `Host`.
    pub public_url: Option<String>,
    /// Proxies whose `X-Forwarded-*` headers are believed. Default: none.
    pub trusted_proxies: Vec<Network>,
    /// Title of the service.
    pub title: Text,
    /// Description of the service.
    pub description: Text,
    /// Connections at once; beyond, `503`. Default 1024.
    pub max_connections: usize,
    /// Time a request may take. Default 30 s.
    pub request_timeout: Duration,
    /// Bytes of a request target (path and query), at least 16 KiB. Default 64 KiB.
    pub max_url: usize,
    /// Bytes of the body of a request, at least 64 KiB. Default 32 MiB.
    pub max_body: usize,
    /// Bytes of memory that a table sent may take, read, completed and written, at least 1 MiB.
    /// Default 512 MiB.
    pub max_table: usize,
    /// How long a shutdown waits for requests under way. Default 10 s.
    pub drain: Duration,
    /// How long a server told to end still serves who comes, a third of `drain` at most: a balancer
    /// that was told to send no more goes on for a moment. Default 0.4 s.
    pub linger: Duration,
    /// Whether to write an access line per request. Default true.
    pub access_log: bool,
}

pub(super) const KEYS: &[&str] = &[
    "listen",
    "admin_listen",
    "admin_token_env",
    "public_url",
    "trusted_proxies",
    "title",
    "title_en",
    "description",
    "description_en",
    "max_connections",
    "request_timeout_s",
    "max_url",
    "max_body",
    "max_table",
    "drain_s",
    "linger_s",
    "access_log",
];

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: Some(SocketAddr::from(([127, 0, 0, 1], 8081))),
            admin_token: None,
            public_url: None,
            trusted_proxies: Vec::new(),
            title: Text::same("Socle"),
            description: Text::new(
                "Couches territoriales de référence, filtrées par territoire.",
                "Territorial reference layers, filtered by territory.",
            ),
            max_connections: 1024,
            request_timeout: Duration::from_secs(30),
            max_url: 64 * 1024,
            max_body: 32 << 20,
            max_table: 512 << 20,
            drain: Duration::from_secs(10),
            linger: Duration::from_millis(400),
            access_log: true,
        }
    }
}

impl ServerSettings {
    /// Reads the table; what is wrong is reported to its document and left at its default.
    pub(super) fn read(table: &Table<'_>) -> Self {
        let d = Self::default();
        let size = |key, range, default: usize| {
            table.integer(key, range).and_then(|n| n.try_into().ok()).unwrap_or(default)
        };
        Self {
            listen: table.parsed("listen", address).unwrap_or(d.listen),
            admin_listen: table.parsed("admin_listen", admin_address).unwrap_or(d.admin_listen),
            admin_token: table.parsed("admin_token_env", variable).map(Secret::Variable),
            public_url: table.parsed("public_url", public_url),
            trusted_proxies: table.all_parsed("trusted_proxies"),
            title: bilingual(table, "title", "title_en", d.title),
            description: bilingual(table, "description", "description_en", d.description),
            max_connections: size("max_connections", 1..=1_000_000, d.max_connections),
            request_timeout: table
                .seconds("request_timeout_s", 0.1..=3600.0)
                .unwrap_or(d.request_timeout),
            max_url: size("max_url", 16_384..=1_048_576, d.max_url),
            max_body: size("max_body", 65_536..=1_073_741_824, d.max_body),
            max_table: size("max_table", 1_048_576..=1_099_511_627_776, d.max_table),
            drain: table.seconds("drain_s", 0.0..=3600.0).unwrap_or(d.drain),
            linger: table.seconds("linger_s", 0.0..=600.0).unwrap_or(d.linger),
            access_log: table.boolean("access_log").unwrap_or(d.access_log),
        }
    }
}

/// A text and its English wording, which is the French one where none is given.
pub(super) fn bilingual(table: &Table<'_>, fr: &str, en: &str, default: Text) -> Text {
    let english = table.string(en);
    match table.string(fr) {
        Some(fr) => Text { en: english.unwrap_or_else(|| fr.clone()), fr },
        None => Text { en: english.unwrap_or(default.en), fr: default.fr },
    }
}

fn address(words: &str) -> Result<SocketAddr, Text> {
    words.parse().map_err(|_| {
        let words = clip(words);
        text!(
            "« {words} » n'est pas une adresse « IP:port », comme 127.0.0.1:8080 ou [::]:8080",
            "\"{words}\" is not an address \"IP:port\" such as 127.0.0.1:8080 or [::]:8080"
        )
    })
}

fn admin_address(words: &str) -> Result<Option<SocketAddr>, Text> {
    if words == "off" {
        return Ok(None);
    }
    let address = address(words)
        .map_err(|Text { fr, en }| text!("{fr} ; « off » pour aucune", "{en}; \"off\" for none"))?;
    if address.port() == 0 {
        return Err(text!(
            "le port 0 laisserait l'administration à une adresse inconnue",
            "port 0 would leave administration at an unknown address"
        ));
    }
    Ok(Some(address))
}

fn public_url(words: &str) -> Result<String, Text> {
    let mut url = web_address(words)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(text!(
            "l'adresse publique ne porte ni « ? » ni « # »",
            "the public address bears neither \"?\" nor \"#\""
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(text!(
            "l'adresse publique ne porte pas d'identifiants",
            "the public address bears no credentials"
        ));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url.into())
}

/// An `http` or `https` address with a host. The message does not repeat the address: it may
/// hold a secret.
pub(super) fn web_address(words: &str) -> Result<Url, Text> {
    let refused = || {
        text!(
            "attendu une adresse http:// ou https:// avec un nom d'hôte",
            "expected an http:// or https:// address with a host name"
        )
    };
    let url = Url::parse(words).map_err(|_| refused())?;
    // `https:host` and `https:/host` parse, but nobody writes them on purpose.
    let slashes = words.split_once(':').is_some_and(|(_, rest)| rest.starts_with("//"));
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !slashes {
        return Err(refused());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_address_is_normalised() {
        let ok = |s: &str| public_url(s).unwrap();
        assert_eq!(ok("https://sig.example.fr/socle"), "https://sig.example.fr/socle/");
        assert_eq!(ok("HTTPS://SIG.example.fr:443"), "https://sig.example.fr/");
        assert_eq!(ok("http://127.0.0.1:8080/a/"), "http://127.0.0.1:8080/a/");
        for bad in [
            "sig.example.fr",
            "ftp://sig.example.fr/",
            "https:sig.example.fr",
            "https://",
            "https://x/?a=1",
            "https://x/?",
            "https://x/#a",
            "https://u:p@x/",
            "javascript:alert(1)",
        ] {
            assert!(public_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_admin_listener_can_be_turned_off_but_not_left_to_chance() {
        assert_eq!(admin_address("off").unwrap(), None);
        assert!(admin_address("127.0.0.1:0").is_err());
        assert!(admin_address("127.0.0.1:9000").unwrap().is_some());
        assert!(address("localhost").is_err());
        assert!(address("[::]:80").is_ok());
    }
}
