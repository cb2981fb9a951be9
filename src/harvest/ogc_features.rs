//! A collection of an OGC API Features service (OGC 17-069): followed from `next` to `next`, in
//! degrees or, by Part 2, in the CRS that the layer file names. What the service counts is what
//! must have come.

use super::{
    Fetch, Harvester,
    delivery::Delivery,
    failed,
    guard::host,
    headers,
    http::resolve,
    pages::{Asking, Features, GEOJSON, Link, Page},
    redact::redact,
    services::{asked_crs, pairs, with_query},
};
use crate::{
    error::{Error, Result},
    model::{Fault, Harvested, Progress, ServiceSource, SourceDef},
    text,
};
use reqwest::{Url, header::HeaderName};
use std::collections::HashSet;

/// Fetches a collection.
pub(super) async fn fetch(
    service: &ServiceSource,
    source: &SourceDef,
    harvester: &Harvester,
    previous: Option<&Harvested>,
    progress: &dyn Progress,
) -> Result<Fetch> {
    let items = items(service, &resolve(&service.url)?);
    let _turn = harvester.hosts.turn(host(&items)).await;
    let crs = asked_crs(source);
    let mut at = first(service, &items, crs);
    let mut asking = Asking::new(harvester, GEOJSON, source.max_bytes);
    let mut delivery = Delivery::geojson(harvester, source, crs, progress).await?;
    let mut met = HashSet::new();
    let mut matched = None;
    loop {
        met.insert(at.clone());
        let page = asking.page(&at).await?;
        check_crs(&page, crs)?;
        let found: Features = page.json()?;
        let features: Vec<&str> = found.features.iter().map(|f| f.get()).collect();
        delivery.add(&features).await?;
        let now = found.matched();
        matched = matched.or(now);
        match next(&page.url, &found.links)? {
            Some(next) if met.contains(&next) => return Err(circle(host(&at))),
            Some(next) => at = next,
            None => {
                delivery.check_count(matched, now)?;
                break;
            }
        }
    }
    let name = items.path_segments().and_then(|mut all| all.nth_back(1)).unwrap_or("items");
    let name = format!("{name}.geojson");
    delivery.finish(shown(service), name, previous).await
}

/// The place for people and provenance: the items that are asked for, without secrets.
pub(super) fn shown(service: &ServiceSource) -> String {
    let (place, query) = match service.url.split_once('?') {
        Some((place, query)) => (place, format!("?{query}")),
        None => (service.url.as_str(), String::new()),
    };
    let mut out = items_path(place, service.layer.as_deref()) + &query;
    if let Some(filter) = &service.filter {
        out.push(if query.is_empty() { '?' } else { '&' });
        out.push_str(&pairs(&[("filter", filter)]));
    }
    redact(&out)
}

/// `…/collections/{id}/items`, whether the service, the collection or its items were named.
fn items_path(place: &str, layer: Option<&str>) -> String {
    let place = place.trim_end_matches('/');
    let bare = place.strip_suffix("/items").unwrap_or(place);
    match layer {
        None => format!("{bare}/items"),
        Some(layer) => {
            let root = bare.strip_suffix("/collections").unwrap_or(bare);
            format!("{root}/collections/{layer}/items")
        }
    }
}

fn items(service: &ServiceSource, url: &Url) -> Url {
    let mut items = url.clone();
    items.set_path(&items_path(url.path(), service.layer.as_deref()));
    items
}

fn first(service: &ServiceSource, items: &Url, crs: Option<&str>) -> Url {
    let page = service.page.to_string();
    let crs = crs.and_then(|c| c.strip_prefix("EPSG:"));
    let crs = crs.map(|code| format!("http://www.opengis.net/def/crs/EPSG/0/{code}"));
    let mut more = vec![("limit", page.as_str())];
    if let Some(filter) = &service.filter {
        more.extend([("filter", filter.as_str()), ("filter-lang", "cql2-text")]);
    }
    if let Some(sort) = &service.sort {
        more.push(("sortby", sort));
    }
    if let Some(crs) = &crs {
        more.push(("crs", crs));
    }
    with_query(items, &more)
}

/// Part 2 says in which CRS an answer is; silence means degrees.
fn check_crs(page: &Page, asked: Option<&str>) -> Result<()> {
    let Some(code) = asked.and_then(|c| c.strip_prefix("EPSG:")) else { return Ok(()) };
    let said = headers::text(&page.headers, HeaderName::from_static("content-crs"));
    let said = said.unwrap_or_default();
    if said.trim_matches(['<', '>', ' ']).rsplit(['/', ':']).next() == Some(code) {
        return Ok(());
    }
    let host = host(&page.url);
    Err(failed(
        Fault::Refused,
        text!(
            "{host} ne répond pas en EPSG:{code} (Content-Crs) : ôter « crs » de la source pour la lire en degrés",
            "{host} does not answer in EPSG:{code} (Content-Crs): leave \"crs\" out of the source to read it in degrees"
        ),
    ))
}

/// The page after, of the same media type where there are several.
fn next(from: &Url, links: &[Link]) -> Result<Option<Url>> {
    let json = |link: &&Link| link.kind.as_deref().is_none_or(|kind| kind.contains("json"));
    let mut all = links.iter().filter(|link| link.rel == "next");
    let Some(link) = all.clone().find(json).or_else(|| all.next()) else { return Ok(None) };
    let next = from.join(&link.href).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
    next.map(Some).ok_or_else(|| {
        let host = host(from);
        failed(
            Fault::Forbidden,
            text!(
                "{host} donne une page suivante qui n'est pas une adresse http",
                "{host} gives a next page that is no http address"
            ),
        )
    })
}

fn circle(host: &str) -> Error {
    failed(
        Fault::Redirects,
        text!("les pages de {host} tournent en rond", "the pages of {host} go in a circle"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServiceKind;

    fn service(url: &str, layer: Option<&str>) -> ServiceSource {
        ServiceSource {
            kind: ServiceKind::OgcFeatures,
            url: url.into(),
            layer: layer.map(str::to_owned),
            filter: Some("dep = '59'".into()),
            sort: None,
            version: None,
            page: 500,
        }
    }

    #[test]
    fn the_service_the_collection_or_its_items_may_be_named() {
        let cases = [
            ("https://x.fr/api/collections/communes", None),
            ("https://x.fr/api/collections/communes/items", None),
            ("https://x.fr/api/collections/communes/", None),
            ("https://x.fr/api", Some("communes")),
            ("https://x.fr/api/collections", Some("communes")),
        ];
        let place = "https://x.fr/api/collections/communes/items";
        for (url, layer) in cases {
            let service = service(url, layer);
            assert_eq!(items(&service, &url.parse().unwrap()).as_str(), place, "{url}");
            assert_eq!(shown(&service), format!("{place}?filter=dep+%3D+%2759%27"));
        }
        let keyed = service("https://x.fr/collections/a?apikey=${KEY}", None);
        assert_eq!(
            shown(&keyed),
            "https://x.fr/collections/a/items?apikey=${KEY}&filter=dep+%3D+%2759%27"
        );
        let items: Url = "https://x.fr/collections/a/items?k=1".parse().unwrap();
        assert_eq!(
            first(&keyed, &items, Some("EPSG:2154")).as_str(),
            "https://x.fr/collections/a/items?k=1&limit=500&filter=dep+%3D+%2759%27&filter-lang=cql2-text&crs=http%3A%2F%2Fwww.opengis.net%2Fdef%2Fcrs%2FEPSG%2F0%2F2154"
        );
    }

    #[test]
    fn the_next_page_stays_on_the_web() {
        let from: Url = "https://x.fr/items?limit=1".parse().unwrap();
        let link = |rel: &str, kind: Option<&str>, href: &str| Link {
            rel: rel.into(),
            kind: kind.map(str::to_owned),
            href: href.into(),
        };
        let html = link("next", Some("text/html"), "/items?f=html");
        let json = link("next", Some("application/geo+json"), "?offset=1");
        let found = next(&from, &[html, json]).unwrap().unwrap();
        assert_eq!(found.as_str(), "https://x.fr/items?offset=1");
        assert!(next(&from, &[link("self", None, "/")]).unwrap().is_none());
        assert!(next(&from, &[link("next", None, "file:///etc/passwd")]).is_err());
    }
}
