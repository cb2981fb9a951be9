//! What [`Guard`] refuses, in words; and what it asks first of names that a proxy resolves.

use super::failed;
pub(super) use crate::blobs::{Guard, Inside, host};
use crate::{
    error::{Error, Result},
    model::Fault,
    text,
};
use reqwest::Url;

/// Refuses an address whose host is a number that may not be asked; names are judged when they
/// are resolved.
pub(super) fn check(guard: &Guard, url: &Url) -> Result<()> {
    if guard.passes(url) { Ok(()) } else { Err(inside(host(url))) }
}

/// Refuses a name that somebody else is going to resolve: the proxy. All its addresses as seen
/// from here must be admitted; without any, only who is allowed by name is.
pub(super) async fn check_for_proxy(guard: &Guard, url: &Url, unresolved: bool) -> Result<()> {
    let name = host(url);
    match guard.passes_resolved(url).await {
        Some(true) => Ok(()),
        Some(false) => Err(inside(name)),
        None if unresolved && name.contains('.') => Ok(()),
        None => Err(failed(
            Fault::Forbidden,
            text!(
                "{name} ne se résout pas ici, et n'est donc pas vérifiable avant de passer par le mandataire : le nommer dans « allow », ou « proxy_resolves = true » dans [harvest] si le mandataire refuse les réseaux privés",
                "{name} cannot be resolved here, so it cannot be checked before the proxy is asked: name it in \"allow\", or set \"proxy_resolves = true\" in [harvest] if the proxy refuses private networks"
            ),
        )),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Allowed;

    #[tokio::test]
    async fn what_a_proxy_would_resolve_is_checked_first() {
        let asked = async |allow: &[&str], unresolved: bool, url: &str| {
            let allow: Vec<Allowed> = allow.iter().map(|a| a.parse().unwrap()).collect();
            let url: Url = url.parse().unwrap();
            check_for_proxy(&Guard::new(&allow), &url, unresolved).await.is_ok()
        };
        assert!(!asked(&[], true, "http://localhost/").await);
        assert!(asked(&["localhost"], false, "http://localhost/").await);
        assert!(!asked(&[], false, "http://no-such-name.invalid/").await);
        assert!(asked(&[], true, "http://no-such-name.invalid/").await);
        assert!(!asked(&[], true, "http://intranet/").await, "a bare name is of our own network");
        assert!(asked(&["*.invalid"], false, "http://no-such-name.invalid/").await);
    }
}
