//! A feature type of a WFS 2.0 or 1.1, as GeoJSON or, where it has none, as GML: its capabilities
//! tell what it speaks, `hits` how many features there are, and pages follow by `startIndex` where
//! the service pages. Which way round it writes degrees is seen from where it says that the type
//! lies.

mod capabilities;
mod gml;
mod swap;

use super::{
    Fetch, Harvester,
    delivery::Delivery,
    failed,
    guard::host,
    http::resolve,
    pages::{Asking, Features, Page},
    redact::redact,
    services::{asked_crs, pairs, with_query},
    xml,
};
use crate::{
    error::{Error, Result},
    model::{Fault, Harvested, Progress, ServiceSource, SourceDef},
    text,
};
use capabilities::{Capabilities, Output};
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
    let kind = Type::new(service, source, place, &known)?;
    let before = kind.hits(&mut asking).await?;
    let (mut delivery, suffix) = match kind.output {
        Output::GeoJson(_) => {
            let crs = asked_crs(source);
            (Delivery::geojson(harvester, source, crs, progress).await?, "geojson")
        }
        Output::Gml(_) => (Delivery::begin(harvester, source, Gml::END, progress)?, "gml"),
    };
    let told = kind.pages(&mut asking, &mut delivery, before).await?;
    let after = kind.hits(&mut asking).await?;
    delivery.check_count(before.or(told), after.or(told))?;
    let name = known.kind.name.rsplit(':').next().unwrap_or("features");
    delivery.finish(shown(service), format!("{name}.{suffix}"), previous).await
}

/// The feature types that capabilities list: name and title.
pub(super) fn types(body: &[u8]) -> Result<Vec<(String, String)>> {
    capabilities::types(body)
}

/// What strangers answer, read as if it had come: for `fuzz/`.
pub(super) fn any_answer(body: &[u8]) {
    let _ = capabilities::read(body, None).map(|known| known.output(None).is_some());
    let _ = gml::Page::read(body).and_then(|page| {
        let kept = page.written(None)?;
        let again = gml::Page::read(&kept)?;
        assert_eq!(again.count, page.count, "what is kept is the page");
        page.written(Some(true))
    });
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
    known: &'a Capabilities,
    output: Output<'a>,
    /// The system to ask for; `None`: its own, which GML names.
    crs: Option<String>,
    /// Whether coordinates are degrees, which services write either way round.
    degrees: bool,
}

impl<'a> Type<'a> {
    fn new(
        service: &'a ServiceSource,
        source: &SourceDef,
        place: Url,
        known: &'a Capabilities,
    ) -> Result<Self> {
        let output = known.output(source.format);
        let output = output.ok_or_else(|| no_output(host(&place), &known.formats))?;
        let code = asked_crs(source).and_then(|crs| crs.strip_prefix("EPSG:"));
        let crs = match (code, known.kind.degrees(), output) {
            (Some(code), ..) => Some(format!("urn:ogc:def:crs:EPSG::{code}")),
            (None, Some(degrees), _) => Some(degrees.to_owned()),
            (None, None, Output::GeoJson(_)) => Some("EPSG:4326".to_owned()),
            (None, None, Output::Gml(_)) => None,
        };
        let degrees = code.is_none() && crs.is_some();
        Ok(Self { service, place, known, output, crs, degrees })
    }

    fn request(&self, more: &[(&str, &str)]) -> Url {
        let types = if self.is_second() { "typeNames" } else { "typeName" };
        let mut all = vec![
            ("service", "WFS"),
            ("version", self.known.version.as_str()),
            ("request", "GetFeature"),
            (types, self.known.kind.name.as_str()),
        ];
        all.extend(filter(self.service));
        all.extend(more);
        with_query(&self.place, &all)
    }

    fn is_second(&self) -> bool {
        self.known.version.starts_with("2.")
    }

    /// Pages came with version 2, where a service may still have none.
    fn pages_are_known(&self) -> bool {
        self.is_second() && self.known.pages != Some(false)
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
        // MapServer counts no further than what it gives at once.
        read.map(|()| hits.filter(|hits| self.known.most != Some(*hits)))
    }

    /// What the service says of the type's properties, when it does.
    async fn schema(&self, asking: &mut Asking<'_>) -> Result<Option<String>> {
        let (kind, version) = (self.known.kind.name.as_str(), self.known.version.as_str());
        let types = if self.is_second() { "typeNames" } else { "typeName" };
        let asked = [
            ("service", "WFS"),
            ("version", version),
            ("request", "DescribeFeatureType"),
            (types, kind),
        ];
        match asking.page(&with_query(&self.place, &asked)).await {
            Ok(page) => Ok(gml::schema(&page.body)),
            Err(Error::Source(e)) if matches!(e.fault, Fault::Status | Fault::Page) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The request of the page that begins behind so many features.
    fn page(&self, start: u64) -> Url {
        let (start, size) = (start.to_string(), self.service.page.to_string());
        let format = match self.output {
            Output::GeoJson(name) => Some(name),
            Output::Gml(name) => name,
        };
        let mut more = Vec::new();
        more.extend(format.map(|format| ("outputFormat", format)));
        more.extend(self.crs.as_deref().map(|crs| ("srsName", crs)));
        more.extend(self.service.sort.as_deref().map(|sort| ("sortBy", sort)));
        if self.pages_are_known() {
            more.extend([("startIndex", start.as_str()), ("count", size.as_str())]);
        }
        self.request(&more)
    }

    /// All pages; gives how many features there are, when the last of them says.
    async fn pages(
        &self,
        asking: &mut Asking<'_>,
        delivery: &mut Delivery<'_>,
        hits: Option<u64>,
    ) -> Result<Option<u64>> {
        let page = u64::from(self.service.page);
        let size = self.known.most.map_or(page, |most| most.min(page));
        let mut order = Order::new(self.known.kind.bbox.filter(|_| self.degrees));
        let mut gml = Gml::default();
        if matches!(self.output, Output::Gml(_)) {
            gml.schema = self.schema(asking).await?;
        }
        loop {
            let before = delivery.count();
            let page = asking.page(&self.page(before)).await?;
            let told = match self.output {
                Output::GeoJson(_) => add_geojson(&page, &mut order, delivery).await?,
                Output::Gml(_) => gml.add(&page, &mut order, delivery).await?,
            };
            let came = delivery.count() - before;
            if !self.pages_are_known() {
                return match self.known.most {
                    Some(most) if hits.is_none() && came >= most => {
                        Err(at_most(host(&page.url), most))
                    }
                    _ => Ok(told),
                };
            }
            let all = hits.is_some_and(|hits| delivery.count() >= hits);
            // Without a count, a page that is not full is the last.
            if came == 0 || all || hits.is_none() && came < size {
                return Ok(told);
            }
        }
    }
}

fn at_most(host: &str, most: u64) -> Error {
    failed(
        Fault::Cut,
        text!(
            "{host} donne {most} entités au plus à la fois et en a peut-être plus, sans pages pour les demander",
            "{host} gives {most} features at most at once, and perhaps has more, without pages to ask for them"
        ),
    )
}

/// Adds a page; gives how many features it says there are.
async fn add_geojson(
    page: &Page,
    order: &mut Order,
    delivery: &mut Delivery<'_>,
) -> Result<Option<u64>> {
    let found: Features = page.json()?;
    let features: Vec<&str> = found.features.iter().map(|f| f.get()).collect();
    match order.of(&features)? {
        None => delivery.add(&features).await?,
        Some(turned) => {
            let turned: Vec<&str> = turned.iter().map(String::as_str).collect();
            delivery.add(&turned).await?;
        }
    }
    Ok(found.matched())
}

/// A file of pages of GML, one behind the other in a collection of their own.
#[derive(Default)]
struct Gml {
    /// What says which properties are text.
    schema: Option<String>,
    /// The encoding of the first page, once there was one.
    encoding: Option<Option<String>>,
}

impl Gml {
    /// What closes the file.
    const END: &str = "</FeatureCollection>\n";

    /// Adds a page; gives how many features it says there are.
    async fn add(
        &mut self,
        page: &Page,
        order: &mut Order,
        delivery: &mut Delivery<'_>,
    ) -> Result<Option<u64>> {
        let read = gml::Page::read(&page.body)?;
        match &self.encoding {
            None => {
                let named = read.encoding.as_deref().map(|e| format!(" encoding=\"{e}\""));
                let named = named.unwrap_or_default();
                let start = format!("<?xml version=\"1.0\"{named}?>\n<FeatureCollection>\n");
                delivery.write(start.as_bytes()).await?;
                if let Some(schema) = self.schema.take() {
                    delivery.write(schema.as_bytes()).await?;
                }
            }
            Some(first) if *first != read.encoding => return Err(two_encodings(host(&page.url))),
            Some(_) => {}
        }
        let latitude_first = order.latitude_first(read.positions.iter().copied());
        delivery.write(&read.written(latitude_first)?).await?;
        delivery.met(read.count, &read.ids)?;
        self.encoding = Some(read.encoding);
        Ok(read.matched)
    }
}

fn two_encodings(host: &str) -> Error {
    failed(
        Fault::Page,
        text!(
            "les pages de {host} ne sont pas toutes dans le même encodage",
            "the pages of {host} are not all in one encoding"
        ),
    )
}

fn no_output(host: &str, formats: &[String]) -> Error {
    let list = formats.iter().take(12).map(String::as_str).collect::<Vec<_>>().join(", ");
    failed(
        Fault::Refused,
        text!(
            "{host} n'offre pas ce format : d'un WFS sont lus le GeoJSON et le GML (formats : {list})",
            "{host} does not offer this format: of a WFS, GeoJSON and GML are read (formats: {list})"
        ),
    )
}
