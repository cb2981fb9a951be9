//! What may be asked at all: public addresses over `http` and `https`, and what the operator
//! allows of private networks. A source's address may come from a catalogue, and any source may
//! redirect: neither may reach what only this machine can (SSRF). Names are judged by the very
//! addresses that are then connected to, so that a name that changes in between changes nothing.

use super::failed;
use crate::{
    config::Allowed,
    error::{Error, Result},
    model::Fault,
    text,
};
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

/// Judges addresses.
#[derive(Debug, Clone)]
pub(super) struct Guard(Arc<[Allowed]>);

/// No address of a name may be asked.
#[derive(Debug, thiserror::Error)]
#[error("inside a private network")]
pub(super) struct Inside;

impl Guard {
    /// A guard that lets through what is public and what is allowed.
    pub(super) fn new(allow: &[Allowed]) -> Self {
        Self(allow.into())
    }

    /// Refuses an address whose host is a number that may not be asked; names are judged when they
    /// are resolved.
    pub(super) fn check(&self, url: &Url) -> Result<()> {
        let host = host(url);
        match host.parse::<IpAddr>() {
            Ok(address) if !self.admits(host, address) => Err(inside(host)),
            _ => Ok(()),
        }
    }

    /// Refuses a name that somebody else is going to resolve: the proxy. All its addresses as seen
    /// from here must be admitted; without any, only who is allowed by name is.
    pub(super) async fn check_for_proxy(&self, url: &Url, unresolved: bool) -> Result<()> {
        let name = host(url);
        if self.names(name) || name.parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        match tokio::net::lookup_host((name, 0)).await {
            Ok(found) => {
                let all: Vec<SocketAddr> = found.collect();
                if all.iter().all(|a| self.admits(name, a.ip())) {
                    Ok(())
                } else {
                    Err(inside(name))
                }
            }
            Err(_) if unresolved && name.contains('.') => Ok(()),
            Err(_) => Err(failed(
                Fault::Forbidden,
                text!(
                    "{name} ne se résout pas ici, et n'est donc pas vérifiable avant de passer par le mandataire : le nommer dans « allow », ou « proxy_resolves = true » dans [harvest] si le mandataire refuse les réseaux privés",
                    "{name} cannot be resolved here, so it cannot be checked before the proxy is asked: name it in \"allow\", or set \"proxy_resolves = true\" in [harvest] if the proxy refuses private networks"
                ),
            )),
        }
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

/// An address's host, without the brackets of IPv6.
pub(super) fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default().trim_matches(['[', ']'])
}

/// The refusal of a host that lies inside.
pub(super) fn inside(host: &str) -> Error {
    failed(
        Fault::Forbidden,
        text!(
            "{host} est une adresse privée ou réservée : la permettre par « allow » dans [harvest] si c'est voulu",
            "{host} is a private or reserved address: permit it with \"allow\" in [harvest] if that is meant"
        ),
    )
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

    fn refused(allow: &[&str], url: &str) -> bool {
        let allow: Vec<Allowed> = allow.iter().map(|a| a.parse().unwrap()).collect();
        Guard::new(&allow).check(&url.parse().unwrap()).is_err()
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

    #[tokio::test]
    async fn what_a_proxy_would_resolve_is_checked_first() {
        let asked = async |allow: &[&str], unresolved: bool, url: &str| {
            let allow: Vec<Allowed> = allow.iter().map(|a| a.parse().unwrap()).collect();
            let url: Url = url.parse().unwrap();
            Guard::new(&allow).check_for_proxy(&url, unresolved).await.is_ok()
        };
        assert!(!asked(&[], true, "http://localhost/").await);
        assert!(asked(&["localhost"], false, "http://localhost/").await);
        assert!(!asked(&[], false, "http://no-such-name.invalid/").await);
        assert!(asked(&[], true, "http://no-such-name.invalid/").await);
        assert!(!asked(&[], true, "http://intranet/").await, "a bare name is of our own network");
        assert!(asked(&["*.invalid"], false, "http://no-such-name.invalid/").await);
    }
}
