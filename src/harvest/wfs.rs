//! A feature type of a WFS 2.0 or 1.1, as GeoJSON: its capabilities tell what it speaks, `hits` how
//! many features there are, and pages follow by `startIndex` where the version pages. Which way
//! round a service writes degrees is seen from where it says that the type lies.

mod capabilities;
mod swap;

use super::{
    Fetch, Harvester, failed,
    guard::host,
    http::resolve,
    pages::{Asking, Delivery, Features},
    redact::redact,
    services::{asked_crs, pairs, with_query},
    xml,
};
use crate::{
    error::{Error, Result},
    model::{Fault, Harvested, Progress, ServiceSource, SourceDef},
    text,
};
use capabilities::{Capabilities, FeatureType};
use reqwest::Url;
use swap::Order;

/// What a WFS is asked with: it looks at `outputFormat`.
const ANY: &str = "*/*";

/// Fetches a feature type.
pub(super) async fn fetch(
    service: &ServiceSource,
    source: &SourceDef,
    harvester: &Harvester,
    previous: Option<&Harvested>,
    progress: &dyn Progress,
) -> Result<Fetch> {
    let place = resolve(&service.url)?;
    let _turn = harvester.hosts.turn(host(&place)).await;
    let mut asking = Asking::new(harvester, ANY, source.max_bytes);
    let version = service.version.as_deref().unwrap_or("2.0.0");
    let asked = [("service", "WFS"), ("request", "GetCapabilities"), ("version", version)];
    let page = asking.page(&with_query(&place, &asked)).await?;
    let known = capabilities::read(&page.body, service.layer.as_deref())?;
    let crs = asked_crs(source);
    let kind = Type::new(service, place, &known, crs)?;
    let before = kind.hits(&mut asking).await?;
    let mut delivery = Delivery::begin(harvester, source, crs, progress).await?;
    kind.pages(&mut asking, &mut delivery, before).await?;
    let after = kind.hits(&mut asking).await?;
    delivery.check_count(before, after)?;
    let name = known.kind.name.rsplit(':').next().unwrap_or("features");
    delivery.finish(shown(service), format!("{name}.geojson"), previous).await
}

/// The feature types that capabilities list: name and title.
pub(super) fn types(body: &[u8]) -> Result<Vec<(String, String)>> {
    capabilities::types(body)
}

/// The place for people and provenance: the request, without secrets.
pub(super) fn shown(service: &ServiceSource) -> String {
    let mut more = vec![("service", "WFS"), ("request", "GetFeature")];
    if let Some(layer) = &service.layer {
        more.push(("typeNames", layer));
    }
    more.extend(filter(service));
    let join = if service.url.contains('?') { '&' } else { '?' };
    redact(&format!("{}{join}{}", service.url.trim_end_matches(['?', '&']), pairs(&more)))
}

/// FES filters are XML; everything else is CQL, which GeoServer and its like take.
fn filter(service: &ServiceSource) -> Option<(&'static str, &str)> {
    let filter = service.filter.as_deref()?;
    let xml = filter.trim_start().starts_with('<');
    Some((if xml { "filter" } else { "cql_filter" }, filter))
}

/// A feature type under request.
struct Type<'a> {
    service: &'a ServiceSource,
    place: Url,
    version: &'a str,
    kind: &'a FeatureType,
    format: &'a str,
    crs: String,
    /// Whether coordinates are degrees, which services write either way round.
    degrees: bool,
}

impl<'a> Type<'a> {
    fn new(
        service: &'a ServiceSource,
        place: Url,
        known: &'a Capabilities,
        crs: Option<&str>,
    ) -> Result<Self> {
        let (version, kind) = (known.version.as_str(), &known.kind);
        let format = known.geojson().ok_or_else(|| no_geojson(host(&place), &known.formats))?;
        let code = crs.and_then(|crs| crs.strip_prefix("EPSG:"));
        let crs = match code {
            Some(code) => format!("urn:ogc:def:crs:EPSG::{code}"),
            None => kind.degrees().unwrap_or("EPSG:4326").to_owned(),
        };
        Ok(Self { service, place, version, kind, format, crs, degrees: code.is_none() })
    }

    fn request(&self, more: &[(&str, &str)]) -> Url {
        let types = if self.pages_are_known() { "typeNames" } else { "typeName" };
        let mut all = vec![
            ("service", "WFS"),
            ("version", self.version),
            ("request", "GetFeature"),
            (types, self.kind.name.as_str()),
        ];
        all.extend(filter(self.service));
        all.extend(more);
        with_query(&self.place, &all)
    }

    /// Pages came with version 2.
    fn pages_are_known(&self) -> bool {
        self.version.starts_with("2.")
    }

    /// How many features there are, when the service says.
    async fn hits(&self, asking: &mut Asking<'_>) -> Result<Option<u64>> {
        let page = match asking.page(&self.request(&[("resultType", "hits")])).await {
            // Before pages there was no need to count, and some will not.
            Err(Error::Source(e)) if e.fault == Fault::Status && !self.pages_are_known() => {
                return Ok(None);
            }
            page => page?,
        };
        let mut hits = None;
        let read = xml::walk(&page.body, |element| {
            let n = element.attribute("numberMatched").or(element.attribute("numberOfFeatures"));
            hits = n.and_then(|n| n.parse().ok()).or(hits);
        });
        read.map(|()| hits)
    }

    async fn pages(
        &self,
        asking: &mut Asking<'_>,
        delivery: &mut Delivery<'_>,
        hits: Option<u64>,
    ) -> Result<()> {
        let size = self.service.page.to_string();
        let mut order = Order::new(self.kind.bbox.filter(|_| self.degrees));
        loop {
            let start = delivery.count().to_string();
            let mut more = vec![("outputFormat", self.format), ("srsName", self.crs.as_str())];
            if let Some(sort) = &self.service.sort {
                more.push(("sortBy", sort));
            }
            if self.pages_are_known() {
                more.extend([("startIndex", start.as_str()), ("count", size.as_str())]);
            }
            let page = asking.page(&self.request(&more)).await?;
            let found: Features = page.json()?;
            let came = found.features.len() as u64;
            let features: Vec<&str> = found.features.iter().map(|f| f.get()).collect();
            match order.of(&features)? {
                None => delivery.add(&features).await?,
                Some(turned) => {
                    let turned: Vec<&str> = turned.iter().map(String::as_str).collect();
                    delivery.add(&turned).await?;
                }
            }
            let all = hits.is_some_and(|hits| delivery.count() >= hits);
            // Without a count, a page that is not full is the last.
            let last = hits.is_none() && came < u64::from(self.service.page);
            if !self.pages_are_known() || came == 0 || all || last {
                return Ok(());
            }
        }
    }
}

fn no_geojson(host: &str, formats: &[String]) -> Error {
    let list = formats.iter().take(12).map(String::as_str).collect::<Vec<_>>().join(", ");
    failed(
        Fault::Refused,
        text!(
            "{host} n'offre pas le GeoJSON, seule sortie d'un WFS qui soit lue page par page (formats : {list})",
            "{host} does not offer GeoJSON, the only output of a WFS that is read page by page (formats: {list})"
        ),
    )
}
