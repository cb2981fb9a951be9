//! A layer of an ArcGIS FeatureServer or MapServer: asked page by page (`resultOffset`), or by
//! ranges of its object ids where it cannot page; GeoJSON where it writes it, else its own JSON,
//! rewritten. Coordinates are degrees, or in the CRS that the layer file names.

use super::{
    Fetch, Harvester,
    delivery::Delivery,
    esri, failed,
    guard::host,
    http::resolve,
    pages::{Asking, Page},
    redact::redact,
    services::{asked_crs, pairs, with_query},
};
use crate::{
    error::{Error, Result},
    model::{Fault, Harvested, Progress, ServiceSource, SourceDef},
    text,
};
use reqwest::Url;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What is asked for with: ArcGIS looks at `f` only.
const JSON: &str = "application/json, */*;q=0.1";

/// What a layer says of itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    #[serde(default)]
    name: String,
    object_id_field: Option<String>,
    #[serde(default)]
    fields: Vec<Field>,
    max_record_count: Option<u32>,
    #[serde(default)]
    supported_query_formats: String,
    #[serde(default)]
    advanced_query_capabilities: Advanced,
}

#[derive(Debug, Deserialize)]
struct Field {
    name: String,
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Advanced {
    #[serde(default)]
    supports_pagination: bool,
}

/// What an answer of a query may hold.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    count: Option<u64>,
    object_ids: Option<Vec<i64>>,
    #[serde(borrow, default)]
    features: Vec<&'a RawValue>,
}

/// ArcGIS says with status 200 that it failed.
#[derive(Debug, Deserialize)]
struct Failure {
    error: Option<Failed>,
}

#[derive(Debug, Deserialize)]
struct Failed {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

/// A layer under query.
struct Layer<'a> {
    asking: Asking<'a>,
    query: Url,
    filter: String,
    /// Its column of object ids.
    id: String,
    /// EPSG code of the coordinates asked for.
    wkid: String,
    geojson: bool,
    page: u32,
}

/// Fetches a layer.
pub(super) async fn fetch(
    service: &ServiceSource,
    source: &SourceDef,
    harvester: &Harvester,
    previous: Option<&Harvested>,
    progress: &dyn Progress,
) -> Result<Fetch> {
    let mut place = resolve(&service.url)?;
    place.set_path(&layer_path(place.path(), service.layer.as_deref()));
    let _turn = harvester.hosts.turn(host(&place)).await;
    let mut asking = Asking::new(harvester, JSON, source.max_bytes);
    let answer = asking.page(&with_query(&place, &[("f", "json")])).await?;
    let about: About = read(&answer)?;
    let crs = asked_crs(source);
    let mut layer = Layer::new(service, &place, asking, &about, crs);
    let mut delivery = Delivery::geojson(harvester, source, crs, progress).await?;
    let before = layer.count().await?;
    if about.advanced_query_capabilities.supports_pagination {
        layer.by_offset(&mut delivery, before).await?;
    } else {
        layer.by_ids(&mut delivery).await?;
    }
    let after = layer.count().await?;
    delivery.check_count(Some(before), Some(after))?;
    let usable = |c: &char| !c.is_control() && !matches!(c, '/' | '\\');
    let name: String = about.name.chars().filter(usable).take(100).collect();
    let name = if name.is_empty() { "layer".into() } else { name };
    delivery.finish(shown(service), format!("{name}.geojson"), previous).await
}

/// The place for people and provenance: the query, without secrets.
pub(super) fn shown(service: &ServiceSource) -> String {
    let (place, query) = match service.url.split_once('?') {
        Some((place, query)) => (place, format!("{query}&")),
        None => (service.url.as_str(), String::new()),
    };
    let place = layer_path(place, service.layer.as_deref());
    let filter = pairs(&[("where", service.filter.as_deref().unwrap_or("1=1"))]);
    redact(&format!("{place}/query?{query}{filter}"))
}

/// `…/FeatureServer/{n}`, whether the layer, its query or its service was named.
fn layer_path(place: &str, layer: Option<&str>) -> String {
    let place = place.trim_end_matches('/');
    let place = place.strip_suffix("/query").unwrap_or(place);
    match layer {
        Some(layer) => format!("{place}/{layer}"),
        None if place.ends_with("Server") => format!("{place}/0"),
        None => place.to_owned(),
    }
}

/// An answer as JSON, or what ArcGIS says went wrong.
fn read<'p, T: Deserialize<'p>>(page: &'p Page) -> Result<T> {
    if let Ok(Failure { error: Some(error) }) = page.json() {
        return Err(refused(host(&page.url), &error));
    }
    page.json()
}

fn refused(host: &str, error: &Failed) -> Error {
    let code = error.code;
    let message: String = error.message.chars().filter(|c| !c.is_control()).take(200).collect();
    let fault = match code {
        429 | 503 => Fault::Busy,
        500.. => Fault::Failing,
        _ => Fault::Status,
    };
    failed(
        fault,
        text!(
            "{host} a répondu l'erreur {code} : {message}",
            "{host} answered error {code}: {message}"
        ),
    )
}

impl<'a> Layer<'a> {
    fn new(
        service: &ServiceSource,
        place: &Url,
        asking: Asking<'a>,
        about: &About,
        crs: Option<&str>,
    ) -> Self {
        let mut query = place.clone();
        query.set_path(&format!("{}/query", place.path()));
        let of_ids = |f: &&Field| f.kind == "esriFieldTypeOID";
        let id = about.object_id_field.clone().filter(|id| !id.is_empty());
        let id = id.or_else(|| about.fields.iter().find(of_ids).map(|f| f.name.clone()));
        let code = crs.and_then(|crs| crs.strip_prefix("EPSG:")).unwrap_or("4326");
        Self {
            asking,
            query,
            filter: service.filter.clone().unwrap_or_else(|| "1=1".into()),
            id: service.sort.clone().or(id).unwrap_or_else(|| "OBJECTID".into()),
            wkid: code.to_owned(),
            geojson: about.supported_query_formats.to_ascii_lowercase().contains("geojson"),
            page: about.max_record_count.unwrap_or(service.page).clamp(1, service.page.max(1)),
        }
    }

    async fn ask(&mut self, filter: &str, more: &[(&str, &str)]) -> Result<Page> {
        let query = with_query(&self.query, &[&[("where", filter)], more].concat());
        self.asking.page(&query).await
    }

    async fn count(&mut self) -> Result<u64> {
        let filter = self.filter.clone();
        let page = self.ask(&filter, &[("returnCountOnly", "true"), ("f", "json")]).await?;
        let answer: Answer = read(&page)?;
        answer.count.ok_or_else(|| {
            let host = host(&page.url);
            failed(
                Fault::Page,
                text!(
                    "{host} ne dit pas combien il a d'entités",
                    "{host} does not count its features"
                ),
            )
        })
    }

    /// One page of features, into the delivery. Gives how many came.
    async fn features(
        &mut self,
        filter: &str,
        more: &[(&str, &str)],
        delivery: &mut Delivery<'_>,
    ) -> Result<u64> {
        let (wkid, id) = (self.wkid.clone(), self.id.clone());
        let common = [
            ("outFields", "*"),
            ("outSR", wkid.as_str()),
            ("returnGeometry", "true"),
            ("orderByFields", id.as_str()),
            ("f", if self.geojson { "geojson" } else { "json" }),
        ];
        let page = self.ask(filter, &[&common, more].concat()).await?;
        let answer: Answer = read(&page)?;
        let before = delivery.count();
        if self.geojson {
            let features: Vec<&str> = answer.features.iter().map(|f| f.get()).collect();
            delivery.add(&features).await?;
        } else {
            let made = answer.features.iter().map(|f| esri::feature(f.get(), &id));
            let made = made.collect::<Result<Vec<String>>>()?;
            let made: Vec<&str> = made.iter().map(String::as_str).collect();
            delivery.add(&made).await?;
        }
        Ok(delivery.count() - before)
    }

    async fn by_offset(&mut self, delivery: &mut Delivery<'_>, total: u64) -> Result<()> {
        let filter = self.filter.clone();
        let size = self.page.to_string();
        while delivery.count() < total {
            let offset = delivery.count().to_string();
            let more = [("resultOffset", offset.as_str()), ("resultRecordCount", size.as_str())];
            if self.features(&filter, &more, delivery).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Ranges of sorted ids: short addresses, whatever their number.
    async fn by_ids(&mut self, delivery: &mut Delivery<'_>) -> Result<()> {
        let (all, id) = (self.filter.clone(), self.id.clone());
        let page = self.ask(&all, &[("returnIdsOnly", "true"), ("f", "json")]).await?;
        let mut ids = read::<Answer>(&page)?.object_ids.unwrap_or_default();
        ids.sort_unstable();
        for range in ids.chunks(usize::try_from(self.page).unwrap_or(1000)) {
            let (Some(first), Some(last)) = (range.first(), range.last()) else { continue };
            let filter = format!("({all}) AND {id} >= {first} AND {id} <= {last}");
            self.features(&filter, &[], delivery).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layer_its_query_or_its_service_may_be_named() {
        let cases = [
            ("https://x.fr/rest/services/a/FeatureServer/3", None, "FeatureServer/3"),
            ("https://x.fr/rest/services/a/FeatureServer/3/query", None, "FeatureServer/3"),
            ("https://x.fr/rest/services/a/FeatureServer", None, "FeatureServer/0"),
            ("https://x.fr/rest/services/a/MapServer/", Some("7"), "MapServer/7"),
        ];
        for (url, layer, end) in cases {
            assert_eq!(layer_path(url, layer), format!("https://x.fr/rest/services/a/{end}"));
        }
    }
}
