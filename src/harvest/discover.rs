//! What there is at an address: the datasets of a catalogue (DCAT, CSW, data.gouv.fr) or the layers of
//! a service (OGC API Features, WFS, ArcGIS), each with what a layer file needs to harvest it.

mod csw;
mod dcat;
mod iso;
mod offers;
mod portal;

use super::{
    Harvester, failed,
    guard::host,
    http::resolve,
    pages::{Asking, Page},
    services::with_query,
    wfs, xml,
};
use crate::{
    error::{Error, Result},
    model::Fault,
    text,
};
use dcat::Datasets;
use reqwest::Url;
use serde_json::Value;
use std::collections::HashSet;

/// Most bytes of a catalogue.
const MAX_BYTES: u64 = 64 << 20;

/// Catalogues answer in what they are asked for first.
const ACCEPT: &str = "application/json, application/ld+json;q=0.9, application/rdf+xml;q=0.8, application/xml;q=0.7, */*;q=0.1";

/// A dataset that can be harvested.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offer {
    /// Its title.
    pub title: String,
    /// Who produces it.
    pub producer: Option<String>,
    /// Its licence, as it is called there.
    pub licence: Option<String>,
    /// Its page.
    pub page: Option<String>,
    /// Its files and services.
    pub ways: Vec<Way>,
}

/// A file or a service of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// What it is, as it is called there.
    pub name: String,
    /// Its format or protocol, as it is called there; empty when nothing is said.
    pub format: String,
    /// Its address.
    pub url: String,
    /// The `[source]` of a layer file; `None` when it is of no kind that is read.
    pub source: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// What answers at the address.
    pub kind: &'static str,
    /// What it offers.
    pub offers: Vec<Offer>,
    /// How many it has in all, where that is more.
    pub total: Option<u64>,
}

impl Harvester {
    /// Looks what there is at an address; `words` narrow it down, `most` bounds it.
    ///
    /// # Errors
    /// [`Error::Source`] when the address fails, or nothing known answers there.
    pub async fn discover(&self, address: &str, words: &str, most: usize) -> Result<Discovery> {
        let url = resolve(address)?;
        let _turn = self.hosts.turn(host(&url)).await;
        let mut asking = Asking::new(self, ACCEPT, MAX_BYTES);
        let mut found = match portal::of(&url) {
            Some(dataset) => portal::ask(&mut asking, &dataset).await?,
            None => look(&mut asking, url, words, most).await?,
        };
        found.offers.retain(|offer| wanted(offer, words));
        if found.offers.len() > most {
            found.total = found.total.max(Some(found.offers.len() as u64));
            found.offers.truncate(most);
        }
        Ok(found)
    }
}

/// Whether a dataset has these words in its title.
fn wanted(offer: &Offer, words: &str) -> bool {
    offer.title.to_lowercase().contains(&words.to_lowercase())
}

async fn look(asking: &mut Asking<'_>, url: Url, words: &str, most: usize) -> Result<Discovery> {
    let query = url.query().unwrap_or_default().to_ascii_lowercase();
    let path = url.path().to_ascii_lowercase();
    if query.contains("service=csw") || path.trim_end_matches('/').ends_with("csw") {
        return csw::ask(asking, &url, words, most).await;
    }
    if query.contains("service=wfs") || path.trim_end_matches('/').ends_with("wfs") {
        let asked = [("service", "WFS"), ("request", "GetCapabilities")];
        let page = asking.page(&with_query(&url, &asked)).await?;
        return offers::wfs(&url, &wfs::types(&page.body)?);
    }
    if path.contains("/rest/services") {
        let page = asking.page(&with_query(&url, &[("f", "json")])).await?;
        return offers::arcgis(&page.url, &page.json()?);
    }
    let page = asking.page(&url).await?;
    let start = page.body.iter().find(|b| !b.is_ascii_whitespace() && b.is_ascii());
    match start {
        Some(b'{' | b'[') => json(asking, page, words, most).await,
        Some(b'<') => of_xml(asking, page, words, most).await,
        _ => Err(unknown(&page.url)),
    }
}

async fn json(asking: &mut Asking<'_>, page: Page, words: &str, most: usize) -> Result<Discovery> {
    let value: Value = page.json()?;
    if let Some(found) = offers::collections(&page.url, &value) {
        return Ok(found);
    }
    // The landing page of an OGC API says where its collections are.
    let data = offers::link(&value, "data").and_then(|href| page.url.join(&href).ok());
    if let Some(data) = data.filter(|u| *u != page.url && matches!(u.scheme(), "http" | "https")) {
        let page = asking.page(&data).await?;
        let value: Value = page.json()?;
        return offers::collections(&page.url, &value).ok_or_else(|| unknown(&page.url));
    }
    if value.get("layers").is_some() && value.get("currentVersion").is_some() {
        return offers::arcgis(&page.url, &value);
    }
    datasets(asking, page, words, most).await
}

async fn of_xml(
    asking: &mut Asking<'_>,
    page: Page,
    words: &str,
    most: usize,
) -> Result<Discovery> {
    let mut root = String::new();
    xml::walk(&page.body, |element| element.name().clone_into(&mut root))?;
    match root.as_str() {
        "RDF" => datasets(asking, page, words, most).await,
        "WFS_Capabilities" => offers::wfs(&page.url, &wfs::types(&page.body)?),
        _ => Err(unknown(&page.url)),
    }
}

/// The datasets of a catalogue, from page to page until `most` of them have `words` in their titles.
async fn datasets(
    asking: &mut Asking<'_>,
    mut page: Page,
    words: &str,
    most: usize,
) -> Result<Discovery> {
    let mut all = found("DCAT", Vec::new());
    let mut met = HashSet::from([page.url.clone()]);
    let mut some = false;
    loop {
        let Datasets { offers, total, next } = dataset_page(&page)?;
        some |= !offers.is_empty();
        all.offers.extend(offers.into_iter().filter(|offer| wanted(offer, words)));
        all.total = total.or(all.total);
        let next = next.and_then(|href| page.url.join(&href).ok());
        let next = next.filter(|u| matches!(u.scheme(), "http" | "https"));
        match next.filter(|next| all.offers.len() <= most && met.insert(next.clone())) {
            Some(next) => page = asking.page(&next).await?,
            None if some => return Ok(all),
            None => return Err(unknown(&page.url)),
        }
    }
}

fn dataset_page(page: &Page) -> Result<Datasets> {
    let start = page.body.iter().find(|b| !b.is_ascii_whitespace() && b.is_ascii());
    match start {
        Some(b'<') => Ok(dcat::read(&dcat::json(&xml::tree(&page.body)?))),
        _ => Ok(dcat::read(&page.json()?)),
    }
}

/// What strangers answer, read as if it had come: for `fuzz/`.
pub(super) fn any_answer(body: &[u8]) {
    let _ = xml::tree(body).map(|tree| dcat::read(&dcat::json(&tree)));
    let _ = serde_json::from_slice(body).map(|value: Value| dcat::read(&value));
    let _ = csw::read(body);
    let place = Url::parse("http://localhost/");
    let value: Option<Value> = serde_json::from_slice(body).ok();
    if let (Ok(place), Some(value)) = (place, value) {
        let _ = (offers::collections(&place, &value), offers::arcgis(&place, &value));
    }
}

fn found(kind: &'static str, offers: Vec<Offer>) -> Discovery {
    Discovery { kind, offers, total: None }
}

fn unknown(url: &Url) -> Error {
    let host = host(url);
    failed(
        Fault::Page,
        text!(
            "rien de connu ne répond à cette adresse de {host} : ni catalogue DCAT (JSON-LD, RDF/XML) ou CSW, ni OGC API, WFS, ArcGIS ou data.gouv.fr",
            "nothing known answers at this address of {host}: no DCAT (JSON-LD, RDF/XML) or CSW catalogue, no OGC API, WFS, ArcGIS or data.gouv.fr"
        ),
    )
}
