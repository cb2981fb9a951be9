//! A CSW 2.0.2 catalogue (OGC 07-006): its records in ISO 19139 where its capabilities list that
//! schema, else in Dublin Core, as GeoNetwork, pycsw and the like write them.

use super::{Discovery, Offer, iso, offers::way, wanted};
use crate::{
    error::{Error, Result},
    harvest::{pages::Asking, services::with_query, xml},
    model::{Element, Fault},
};
use reqwest::Url;

/// Records asked for at once.
const PAGE: usize = 50;

/// Most pages that are looked through for words in titles.
const MOST_PAGES: usize = 200;

const DUBLIN_CORE: &str = "http://www.opengis.net/cat/csw/2.0.2";
const ISO: &str = "http://www.isotc211.org/2005/gmd";

/// Asks for records page by page until `most` of them have `words` in their titles.
pub(super) async fn ask(
    asking: &mut Asking<'_>,
    url: &Url,
    words: &str,
    most: usize,
) -> Result<Discovery> {
    let schema = schema(asking, url).await?;
    let mut found = Discovery { kind: "CSW", offers: Vec::new(), total: None };
    let quoted = words.replace('\'', "''");
    let filter = format!("csw:AnyText like '%{quoted}%'");
    let size = PAGE.to_string();
    let mut start = 1_usize;
    for _ in 0..MOST_PAGES {
        let at = start.to_string();
        let mut asked = vec![
            ("service", "CSW"),
            ("version", "2.0.2"),
            ("request", "GetRecords"),
            ("typeNames", "csw:Record"),
            ("elementSetName", "full"),
            ("resultType", "results"),
            ("outputSchema", schema),
            ("startPosition", at.as_str()),
            ("maxRecords", size.as_str()),
        ];
        if !words.is_empty() {
            asked.extend([
                ("constraintLanguage", "CQL_TEXT"),
                ("constraint_language_version", "1.1.0"),
                ("constraint", filter.as_str()),
            ]);
        }
        let page = asking.page(&with_query(url, &asked)).await?;
        let Some(Records { offers, total, next }) = read(&page.body)? else {
            return Err(super::unknown(url));
        };
        found.total = total;
        found.offers.extend(offers.into_iter().filter(|offer| wanted(offer, words)));
        match next.filter(|next| *next > start && found.offers.len() <= most) {
            Some(next) => start = next,
            None => break,
        }
    }
    Ok(found)
}

/// The schema to ask records in. A catalogue that does not say has Dublin Core at least.
async fn schema(asking: &mut Asking<'_>, url: &Url) -> Result<&'static str> {
    let asked = [("service", "CSW"), ("version", "2.0.2"), ("request", "GetCapabilities")];
    let page = match asking.page(&with_query(url, &asked)).await {
        Err(Error::Source(e)) if e.fault == Fault::Status => return Ok(DUBLIN_CORE),
        page => page?,
    };
    let mut iso = false;
    xml::walk(&page.body, |element| iso |= element.name() == "Value" && element.text == ISO)?;
    Ok(if iso { ISO } else { DUBLIN_CORE })
}

/// A page of records.
pub(super) struct Records {
    offers: Vec<Offer>,
    /// How many there are in all.
    total: Option<u64>,
    /// Where the next page begins.
    next: Option<usize>,
}

/// Reads an answer to `GetRecords`; `None` when it is none.
pub(super) fn read(body: &[u8]) -> Result<Option<Records>> {
    let tree = xml::tree(body)?;
    let Some(results) = tree.child("SearchResults") else { return Ok(None) };
    let number = |name: &str| results.attribute(name).and_then(|n| n.parse::<usize>().ok());
    let offers = results.children.iter().filter_map(|record| match record.name.as_str() {
        "Record" => Some(offer(record)),
        "MD_Metadata" => Some(iso::offer(record)),
        _ => None,
    });
    Ok(Some(Records {
        offers: offers.collect(),
        total: number("numberOfRecordsMatched").map(|n| n as u64),
        next: number("nextRecord"),
    }))
}

/// A record in Dublin Core.
fn offer(record: &Element) -> Offer {
    let text = |name: &str| {
        let found = record.child(name).map(|e| e.trimmed().to_owned());
        found.filter(|t| !t.is_empty())
    };
    let addresses = record.all("URI").chain(record.all("references"));
    let ways = addresses.filter(|e| e.trimmed().starts_with("http")).map(|e| {
        let protocol = e.attribute("protocol").or(e.attribute("scheme")).unwrap_or_default();
        let name = e.attribute("description").or(e.attribute("name")).unwrap_or_default();
        way(name, protocol, e.trimmed(), e.attribute("name"))
    });
    Offer {
        title: text("title").unwrap_or_default(),
        producer: text("creator").or_else(|| text("publisher")),
        licence: text("rights"),
        page: None,
        ways: ways.collect(),
    }
}
