//! What the kinds of services share: addresses with parameters, the CRS that may be asked for.

use super::{Fetch, Harvester, arcgis, ogc_features, wfs};
use crate::{
    error::Result,
    model::{Harvested, Progress, ServiceKind, ServiceSource, SourceDef},
};
use reqwest::Url;

/// Fetches all pages of a service as one file.
pub(super) async fn fetch(
    service: &ServiceSource,
    source: &SourceDef,
    harvester: &Harvester,
    previous: Option<&Harvested>,
    progress: &dyn Progress,
) -> Result<Fetch> {
    match service.kind {
        ServiceKind::OgcFeatures => {
            ogc_features::fetch(service, source, harvester, previous, progress).await
        }
        ServiceKind::Wfs => wfs::fetch(service, source, harvester, previous, progress).await,
        ServiceKind::Arcgis => arcgis::fetch(service, source, harvester, previous, progress).await,
    }
}

/// The place of a service for people and provenance.
pub(super) fn shown(service: &ServiceSource) -> String {
    match service.kind {
        ServiceKind::OgcFeatures => ogc_features::shown(service),
        ServiceKind::Wfs => wfs::shown(service),
        ServiceKind::Arcgis => arcgis::shown(service),
    }
}

/// The CRS to ask a service for: the source's, unless its coordinates are degrees. Those are what
/// services give anyway, and their order of axes is what they least agree on.
pub(super) fn asked_crs(source: &SourceDef) -> Option<&str> {
    let crs = source.crs.as_deref()?;
    let code: u32 = crs.strip_prefix("EPSG:")?.parse().ok()?;
    // WGS 84, RGF93 and v2b, ETRS89, and those of overseas: RRAF91, RGAF09, RGFG95, RGR92, RGM04,
    // RGSPM06.
    let degrees = [4326, 4979, 4171, 9777, 9782, 4258, 4558, 5489, 4624, 4627, 4470, 4463];
    (!degrees.contains(&code)).then_some(crs)
}

/// An address with more parameters; those it has of the same name, in whatever case, give way.
pub(super) fn with_query(url: &Url, more: &[(&str, &str)]) -> Url {
    let named = |name: &str| more.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let kept: Vec<(String, String)> =
        url.query_pairs().into_owned().filter(|(name, _)| !named(name)).collect();
    let mut url = url.clone();
    url.query_pairs_mut().clear().extend_pairs(kept).extend_pairs(more);
    url
}

/// Parameters as they stand behind the `?` of an address.
pub(super) fn pairs(pairs: &[(&str, &str)]) -> String {
    let any = Url::parse("http://localhost/").ok();
    let query = any.and_then(|any| with_query(&any, pairs).query().map(str::to_owned));
    query.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_replace_those_of_their_name() {
        let url: Url = "https://x.fr/wfs?MAP=a&Request=GetCapabilities&key=1".parse().unwrap();
        let asked = with_query(&url, &[("request", "GetFeature"), ("typeNames", "a:b")]);
        assert_eq!(
            asked.as_str(),
            "https://x.fr/wfs?MAP=a&key=1&request=GetFeature&typeNames=a%3Ab"
        );
    }
}
