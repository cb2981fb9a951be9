//! Networks, as `trusted_proxies` names them, and the places inside them that sources may lie at.

use crate::{model::Text, text};
use std::{net::IpAddr, str::FromStr};

/// An address and how many of its first bits count (CIDR); an address alone is itself only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address is of this network. An IPv4 address in IPv6 clothes is that address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let shared = match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => return false,
        };
        shared >= u32::from(self.bits)
    }
}

impl FromStr for Network {
    type Err = Text;

    fn from_str(words: &str) -> Result<Self, Text> {
        let refused = || {
            let words = super::document::clip(words);
            text!(
                "« {words} » n'est ni une adresse ni un réseau, comme 10.0.0.0/8 ou ::1",
                "\"{words}\" is neither an address nor a network such as 10.0.0.0/8 or ::1"
            )
        };
        let (address, bits) = match words.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (words, None),
        };
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|n| *n <= width).ok_or_else(refused)?,
            None => width,
        };
        Ok(Self { address, bits })
    }
}

/// A place that sources may be asked at although it lies in a private network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// Any address of a network.
    Network(Network),
    /// A host by its name, in lower case, wherever it lies.
    Host(String),
    /// All hosts below a domain (`*.example.fr`).
    Below(String),
}

impl Allowed {
    /// Whether it names a host.
    pub fn names(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        match self {
            Self::Network(_) => false,
            Self::Host(name) => host == *name,
            Self::Below(domain) => {
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
        }
    }

    /// Whether it holds an address.
    pub fn contains(&self, address: IpAddr) -> bool {
        matches!(self, Self::Network(network) if network.contains(address))
    }
}

impl FromStr for Allowed {
    type Err = Text;

    fn from_str(words: &str) -> Result<Self, Text> {
        if let Ok(network) = words.parse() {
            return Ok(Self::Network(network));
        }
        let lower = words.to_ascii_lowercase();
        let (below, name) = match lower.strip_prefix("*.") {
            Some(domain) => (true, domain),
            None => (false, lower.as_str()),
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        // What looks like an address and is none is a slip, not a name.
        let named = name.bytes().any(|b| b.is_ascii_alphabetic());
        if !named || name.len() > 253 || !name.bytes().all(plain) {
            let words = super::document::clip(words);
            return Err(text!(
                "« {words} » n'est ni un réseau, ni un nom d'hôte, comme 10.0.0.0/8, sig.exemple.fr ou *.exemple.fr",
                "\"{words}\" is neither a network nor the name of a host such as 10.0.0.0/8, sig.example.fr or *.example.fr"
            ));
        }
        let name = name.to_owned();
        Ok(if below { Self::Below(name) } else { Self::Host(name) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses() {
        let holds = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse().unwrap())
        };
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("127.0.0.1", "127.0.0.1") && !holds("127.0.0.1", "127.0.0.2"));
        assert!(holds("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1") && !holds("2001:db8::/32", "2001:db9::1"));
        assert!(holds("0.0.0.0/0", "192.0.2.1") && !holds("0.0.0.0/0", "::1"));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::1/129", "nginx", "10.0.0.0/-1", "10.0.0.0/"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn places_are_named_by_network_or_host() {
        let names = |allowed: &str, host: &str| allowed.parse::<Allowed>().unwrap().names(host);
        assert!(names("SIG.example.fr", "sig.Example.fr.") && !names("sig.example.fr", "fr"));
        assert!(names("*.example.fr", "a.b.example.fr") && !names("*.example.fr", "example.fr"));
        assert!(!names("*.example.fr", "badexample.fr") && !names("10.0.0.0/8", "10.0.0.1"));
        let network: Allowed = "10.0.0.0/8".parse().unwrap();
        assert!(network.contains("10.1.2.3".parse().unwrap()));
        for bad in ["", "*", "10.0.0.0/33", "http://x.fr", "a b", "::1/200", "1.2.3"] {
            assert!(bad.parse::<Allowed>().is_err(), "{bad}");
        }
    }
}
