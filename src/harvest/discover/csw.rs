//! A CSW 2.0.2 catalogue: its records in Dublin Core, as GeoNetwork and the like write them.

use super::{Discovery, Offer, offers::way};
use crate::{
    error::Result,
    harvest::{pages::Asking, services::with_query, xml},
    model::Element,
};
use reqwest::Url;

/// Records asked for at once.
const PAGE: usize = 50;

/// Asks for records page by page, `most` of them.
pub(super) async fn ask(
    asking: &mut Asking<'_>,
    url: &Url,
    words: &str,
    most: usize,
) -> Result<Discovery> {
    let mut found = Discovery { kind: "CSW", offers: Vec::new(), total: None };
    let quoted = words.replace('\'', "''");
    let filter = format!("AnyText like '%{quoted}%'");
    let size = PAGE.to_string();
    let mut start = 1_usize;
    while found.offers.len() < most {
        let at = start.to_string();
        let mut asked = vec![
            ("service", "CSW"),
            ("version", "2.0.2"),
            ("request", "GetRecords"),
            ("typeNames", "csw:Record"),
            ("elementSetName", "full"),
            ("resultType", "results"),
            ("outputSchema", "http://www.opengis.net/cat/csw/2.0.2"),
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
        let tree = xml::tree(&page.body)?;
        let Some(results) = tree.child("SearchResults") else { return Err(super::unknown(url)) };
        let number = |name: &str| results.attribute(name).and_then(|n| n.parse::<usize>().ok());
        found.total = number("numberOfRecordsMatched").map(|n| n as u64);
        found.offers.extend(results.all("Record").map(offer));
        match number("nextRecord").filter(|next| *next > start) {
            Some(next) => start = next,
            None => break,
        }
    }
    Ok(found)
}

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
