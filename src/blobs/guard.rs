//! What may be asked on the web at all: public addresses over `http` and `https`, and what the
//! operator allows of private networks. An address may come from a catalogue, and any server may
//! redirect: neither may reach what only this machine can (SSRF). Names are judged by the very
//! addresses that are then connected to, so that a name that changes in between changes nothing.

use crate::config::Allowed;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{
    Response, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header,
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, OnceLock},
};

/// Judges addresses.
#[derive(Debug, Clone)]
pub struct Guard(Arc<[Allowed]>);

/// No address of a name may be asked.
#[derive(Debug, thiserror::Error)]
#[error("inside a private network")]
pub struct Inside;

impl Guard {
    /// A guard that lets through what is public and what is allowed.
    pub fn new(allow: &[Allowed]) -> Self {
        Self(allow.into())
    }

    /// Whether an address may be asked as far as it shows by itself: a host that is a number has to
    /// be admitted; names are judged when they are resolved.
    pub fn passes(&self, url: &Url) -> bool {
        let host = host(url);
        host.parse::<IpAddr>().map_or(true, |address| self.admits(host, address))
    }

    /// The same of a name that is resolved for it: all its addresses have to be admitted. `None`: it
    /// has none, as seen from here.
    pub async fn passes_resolved(&self, url: &Url) -> Option<bool> {
        let name = host(url);
        if self.names(name) || name.parse::<IpAddr>().is_ok() {
            return Some(self.passes(url));
        }
        let found = tokio::net::lookup_host((name, 0)).await.ok()?;
        let all: Vec<SocketAddr> = found.collect();
        Some(all.iter().all(|a| self.admits(name, a.ip())))
    }

    fn names(&self, host: &str) -> bool {
        self.0.iter().any(|allowed| allowed.names(host))
    }

    fn admits(&self, host: &str, address: IpAddr) -> bool {
        is_public(address) || self.names(host) || self.0.iter().any(|a| a.contains(address))
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let host = name.as_str();
            let mut found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            found.retain(|a| guard.admits(host, a.ip()));
            if found.is_empty() {
                return Err(Inside.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether the environment names a proxy before an address (`HTTPS_PROXY`, `HTTP_PROXY`,
/// `ALL_PROXY`, `NO_PROXY`); never before the machine itself.
pub fn goes_by_proxy(url: &Url) -> bool {
    static PROXIES: OnceLock<Matcher> = OnceLock::new();
    let host = host(url);
    if host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
        return false;
    }
    let uri = url.as_str().parse::<hyper::Uri>();
    uri.is_ok_and(|uri| PROXIES.get_or_init(Matcher::from_env).intercept(&uri).is_some())
}

/// An address's host, without the brackets of IPv6.
pub fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default().trim_matches(['[', ']'])
}

/// Where an answer leads, when it is a redirect: an address on the web, or nowhere (`Err`).
/// Credentials of an address hold for its origin, and for no other.
#[allow(clippy::result_unit_err, reason = "there is nothing to say of an address off the web")]
pub fn leads(from: &Url, response: &Response) -> Option<Result<Url, ()>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let bytes = response.headers().get(header::LOCATION)?.as_bytes();
    let place = match std::str::from_utf8(bytes) {
        Ok(place) => place.to_owned(),
        Err(_) => bytes.iter().map(|b| char::from(*b)).collect(),
    };
    let next = from.join(&place).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
    Some(next.map(|next| with_credentials(from, next)).ok_or(()))
}

fn with_credentials(from: &Url, mut next: Url) -> Url {
    if next.origin() == from.origin() {
        let _ = next.set_username(from.username());
        let _ = next.set_password(from.password());
    }
    next
}

/// Whether an address is anybody's on the internet: of the registries of special addresses (RFC
/// 6890 and after) nothing is, whatever it is dressed in.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !match (a, b) {
        (0 | 10 | 127, _) | (224.., _) => true,
        (100, 64..=127) | (169, 254) | (172, 16..=31) | (192, 168) | (198, 18 | 19) => true,
        (192, 0) => matches!(c, 0 | 2),
        (192, 88) => c == 99,
        (198, 51) => c == 100,
        (203, 0) => c == 113,
        _ => false,
    }
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let bits = address.to_bits();
    let v4 = |shift: u32| Ipv4Addr::from_bits((bits >> shift) as u32);
    match (a, b) {
        _ if address.to_ipv4_mapped().is_some() => is_public_v4(v4(0)),
        (0x64, 0xff9b) if bits >> 32 == 0x0064_ff9b << 64 => is_public_v4(v4(0)), // NAT64
        (0x2002, _) => is_public_v4(v4(80)),                                      // 6to4
        (0x2001, 0..0x200) | (0x2001, 0xdb8) => false, // Teredo, ORCHID, documentation
        (0x3fff, 0..0x1000) => false,                  // documentation
        _ => a & 0xe000 == 0x2000,                     // global unicast
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allow: &[&str]) -> Guard {
        let allow: Vec<Allowed> = allow.iter().map(|a| a.parse().unwrap()).collect();
        Guard::new(&allow)
    }

    fn refused(allow: &[&str], url: &str) -> bool {
        !guard(allow).passes(&url.parse().unwrap())
    }

    #[test]
    fn what_is_inside_is_refused_in_whatever_dress() {
        for inside in [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            // the same, as browsers and curl read them
            "127.1",
            "0x7f.1",
            "2130706433",
            "0251.0376.0251.0376",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[::127.0.0.1]",
            "[fe80::1]",
            "[fc00::1]",
            "[fd12:3456::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[64:ff9b::10.0.0.1]",
            "[64:ff9b:1::1]",
            "[2002:7f00:1::]",
            "[2001::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "[100::1]",
            "[5f00::1]",
        ] {
            assert!(refused(&[], &format!("http://{inside}/x")), "{inside}");
        }
    }

    #[test]
    fn what_is_public_or_allowed_passes() {
        for public in [
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "[2606:4700::1111]",
            "[2a01:cb00::1]",
            "[64:ff9b::1.1.1.1]",
            "[2002:101:101::]",
            "[::ffff:1.1.1.1]",
            "sig.example.fr",
        ] {
            assert!(!refused(&[], &format!("https://{public}/x")), "{public}");
        }
        assert!(!refused(&["10.0.0.0/8"], "http://10.9.9.9/"));
        assert!(!refused(&["127.0.0.1"], "http://[::ffff:127.0.0.1]/"));
        assert!(refused(&["10.0.0.0/8"], "http://192.168.0.1/"));
        assert!(refused(&["sig.example.fr"], "http://127.0.0.1/"));
    }

    #[tokio::test]
    async fn a_name_is_judged_by_what_it_leads_to() {
        let asked = |allow: &[&str]| {
            let allow: Vec<Allowed> = allow.iter().map(|a| a.parse().unwrap()).collect();
            Guard::new(&allow).resolve("localhost".parse().unwrap())
        };
        let refused = asked(&[]).await.err().unwrap();
        assert!(refused.downcast_ref::<Inside>().is_some(), "{refused}");
        assert!(asked(&["localhost"]).await.unwrap().count() > 0);
        assert!(asked(&["127.0.0.0/8"]).await.unwrap().all(|a| a.ip().is_ipv4()));
    }
}
