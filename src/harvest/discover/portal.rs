//! A dataset's page on data.gouv.fr, or a portal like it: its API tells what the page shows.

use super::{Discovery, Offer, Way, found, offers::quoted};
use crate::{error::Result, harvest::pages::Asking};
use reqwest::Url;
use serde_json::Value;

/// The address of the API for a dataset's page; `None` when it is no such page.
pub(super) fn of(url: &Url) -> Option<Url> {
    let host = url.host_str()?;
    let of_data_gouv = host == "data.gouv.fr" || host.ends_with(".data.gouv.fr");
    let segments: Vec<&str> = url.path_segments()?.filter(|s| !s.is_empty()).collect();
    let at = segments.iter().position(|s| *s == "datasets")?;
    let api = segments.first() == Some(&"api");
    let slug = segments.get(at + 1)?;
    if !(of_data_gouv || api) || *slug == "r" {
        return None;
    }
    let mut asked = url.clone();
    asked.set_query(None);
    asked.set_fragment(None);
    asked.set_path(&format!("/api/1/datasets/{slug}/"));
    Some(asked)
}

/// The files of a dataset.
pub(super) async fn ask(asking: &mut Asking<'_>, url: &Url) -> Result<Discovery> {
    let page = asking.page(url).await?;
    let value: Value = page.json()?;
    let text = |at: &Value| at.as_str().map(str::to_owned);
    let portal = url.origin().ascii_serialization();
    let portal = match url.host_str() {
        Some("www.data.gouv.fr" | "data.gouv.fr") => String::new(),
        _ => format!("portal = {}\n", quoted(&portal)),
    };
    let files = value["resources"].as_array().cloned().unwrap_or_default();
    let ways = files.iter().filter_map(|file| {
        let (id, address) = (file["id"].as_str()?, file["url"].as_str()?);
        let format = file["format"].as_str().unwrap_or_default();
        let title = file["title"].as_str().unwrap_or_default();
        let source = format!("[source.datagouv]\n{portal}resource = {}\n", quoted(id));
        let (name, format) = (title.to_owned(), format.to_owned());
        Some(Way { name, format, url: address.to_owned(), source: Some(source) })
    });
    let offer = Offer {
        title: text(&value["title"]).unwrap_or_default(),
        producer: text(&value["organization"]["name"]),
        licence: text(&value["license"]),
        page: text(&value["page"]),
        ways: ways.collect(),
    };
    Ok(found("data.gouv.fr", vec![offer]))
}
