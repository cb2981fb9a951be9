//! What a proxy in front says of a request: who asked, and by which address. Believed only of a
//! peer that the operator named (`trusted_proxies`); from anyone else these headers are nothing.

use super::access::plain_host;
use crate::config::Network;
use axum::http::HeaderMap;
use std::net::IpAddr;

/// `X-Forwarded-For` and its kin; each counts with its last value, the one the nearest proxy
/// wrote: what stands before it may have come from the client.
const HOST: &str = "x-forwarded-host";
const PROTO: &str = "x-forwarded-proto";
const PREFIX: &str = "x-forwarded-prefix";
const FOR: &str = "x-forwarded-for";

/// For caches: what addresses in a document depend on, where proxies are believed.
pub const VARY: &str = "X-Forwarded-Host, X-Forwarded-Proto, X-Forwarded-Prefix";

/// What a trusted proxy said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// The client: the nearest address that is no trusted proxy.
    pub client: Option<IpAddr>,
    /// Root of the service as the client sees it, ending in `/`, where the proxy told a host.
    pub base: Option<String>,
    /// Path of that root without final slash, where the proxy told one.
    pub prefix: Option<String>,
}

impl Forwarded {
    /// Reads the headers; nothing unless `peer` is trusted. `host` is the request's own, checked.
    pub fn read(
        headers: &HeaderMap,
        peer: Option<IpAddr>,
        trusted: &[Network],
        host: Option<&str>,
    ) -> Self {
        let is_trusted = |address: IpAddr| trusted.iter().any(|n| n.contains(address));
        let Some(peer) = peer.filter(|p| is_trusted(*p)) else { return Self::default() };
        let host = last(headers, HOST).filter(|h| plain_host(h.as_bytes())).or(host);
        let proto = last(headers, PROTO).filter(|p| matches!(*p, "http" | "https"));
        let prefix = last(headers, PREFIX).and_then(prefix);
        let told = [HOST, PROTO, PREFIX].iter().any(|name| headers.contains_key(*name));
        let base = host.filter(|_| told).map(|host| {
            let (proto, prefix) = (proto.unwrap_or("http"), prefix.as_deref().unwrap_or_default());
            format!("{proto}://{host}{prefix}/")
        });
        Self { client: Some(client(headers, peer, is_trusted)), base, prefix }
    }
}

/// The last member of a header that may be a list, or be repeated.
fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim).filter(|v| !v.is_empty())
}

/// Walks the chain of proxies from the nearest outwards, as far as each is trusted: what an
/// untrusted one claims of those behind it may be made up.
fn client(headers: &HeaderMap, peer: IpAddr, is_trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    let mut nearest = peer;
    let lines: Vec<&str> =
        headers.get_all(FOR).iter().rev().map(|v| v.to_str().unwrap_or("?")).collect();
    for hop in lines.iter().flat_map(|line| line.rsplit(',')) {
        let Ok(address) = hop.trim().parse::<IpAddr>() else { return nearest };
        nearest = address.to_canonical();
        if !is_trusted(nearest) {
            return nearest;
        }
    }
    nearest
}

/// A path without final slash; nothing that a link could be bent with.
fn prefix(words: &str) -> Option<String> {
    let path = words.trim_end_matches('/');
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-');
    let segment = |s: &str| !s.is_empty() && s != "." && s != ".." && s.bytes().all(plain);
    let good = path.len() <= 200 && path.strip_prefix('/')?.split('/').all(segment);
    good.then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(peer: &str, headers: &[(&'static str, &str)]) -> Forwarded {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8", "127.0.0.1"].map(|n| n.parse().unwrap());
        Forwarded::read(&map, Some(peer.parse().unwrap()), &trusted, Some("inner:8080"))
    }

    #[test]
    fn only_trusted_peers_are_believed() {
        let all =
            [(FOR, "192.0.2.7"), (HOST, "sig.example.fr"), (PROTO, "https"), (PREFIX, "/socle/")];
        assert_eq!(read("192.0.2.1", &all), Forwarded::default());
        let seen = read("10.1.2.3", &all);
        assert_eq!(seen.base.as_deref(), Some("https://sig.example.fr/socle/"));
        assert_eq!(seen.prefix.as_deref(), Some("/socle"));
        assert_eq!(seen.client, Some("192.0.2.7".parse().unwrap()));
        let silent = read("10.1.2.3", &[]);
        assert_eq!((silent.base, silent.client), (None, Some("10.1.2.3".parse().unwrap())));
        let proto = read("10.1.2.3", &[(PROTO, "https")]);
        assert_eq!(proto.base.as_deref(), Some("https://inner:8080/"));
    }

    #[test]
    fn what_a_client_adds_before_the_proxy_is_not_taken_for_the_proxys() {
        for (chain, client) in [
            ("6.6.6.6, 192.0.2.7", "192.0.2.7"),
            ("6.6.6.6, 192.0.2.7, 10.9.9.9", "192.0.2.7"),
            ("nonsense, 10.9.9.9", "10.9.9.9"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            let seen = read("127.0.0.1", &[(FOR, chain)]);
            assert_eq!(seen.client, Some(client.parse().unwrap()), "{chain}");
        }
        let two = read("127.0.0.1", &[(FOR, "6.6.6.6"), (FOR, "192.0.2.7")]);
        assert_eq!(two.client, Some("192.0.2.7".parse().unwrap()));
        let host = read("127.0.0.1", &[(HOST, "evil.example, sig.example.fr")]);
        assert_eq!(host.base.as_deref(), Some("http://sig.example.fr/"));
        for bad in ["socle", "//evil.example", "/a/../b", "/a\"b", "/é", "/a b"] {
            assert_eq!(read("127.0.0.1", &[(PREFIX, bad)]).prefix, None, "{bad}");
        }
        for bad in ["evil.example/x", "a b", "\"<script>"] {
            let seen = read("127.0.0.1", &[(HOST, bad)]);
            assert_eq!(seen.base.as_deref(), Some("http://inner:8080/"), "{bad}");
        }
        let odd = read("127.0.0.1", &[(PROTO, "javascript")]);
        assert_eq!(odd.base.as_deref(), Some("http://inner:8080/"));
    }
}
