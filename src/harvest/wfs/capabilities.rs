//! What a WFS says of itself: its version, the formats it writes, and one feature type.

use super::super::{failed, xml};
use crate::{
    error::Result,
    model::{Fault, Format},
    text,
};

/// What is needed of a service's capabilities.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Capabilities {
    /// The version it answers with.
    pub(super) version: String,
    /// Formats of `GetFeature`.
    pub(super) formats: Vec<String>,
    /// Whether it gives features page by page, where it says so.
    pub(super) pages: Option<bool>,
    /// How many features it gives at once, at most (`CountDefault`, before `DefaultMaxFeatures`).
    pub(super) most: Option<u64>,
    /// The feature type that is asked for.
    pub(super) kind: FeatureType,
}

/// What a service is asked to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output<'a> {
    /// GeoJSON, by the service's own name for it.
    GeoJson(&'a str),
    /// GML, by the service's own name; `None`: that of its version, which goes without saying.
    Gml(Option<&'a str>),
}

/// A feature type.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct FeatureType {
    /// Its name, with its prefix.
    pub(super) name: String,
    /// Its title.
    pub(super) title: String,
    /// The CRSs it is given in, the default first.
    pub(super) crs: Vec<String>,
    /// Where it lies, in degrees: west, south, east, north.
    pub(super) bbox: Option<[f64; 4]>,
}

/// Names under which services write GeoJSON, the surest first.
const GEOJSON: &[&str] = &[
    "application/geo+json",
    "application/json;subtype=geojson",
    "application/json",
    "geojson",
    "application/vnd.geo+json",
    "json",
];

/// What names of GML have in them, the newest version first.
const GML: &[&str] = &[
    "gml/3.2",
    "version=3.2",
    "gml32",
    "gml/3.1",
    "version=3.1",
    "gml3",
    "gml/2",
    "version=2",
    "gml",
    "text/xml",
    "application/xml",
];

impl Capabilities {
    /// What to ask for, when it is of a `wanted` format: GeoJSON before GML; `None`: it has neither.
    pub(super) fn output(&self, wanted: Option<Format>) -> Option<Output<'_>> {
        match wanted {
            None => self.geojson().or_else(|| self.gml()),
            Some(Format::Geojson) => self.geojson(),
            Some(Format::Gml) => self.gml(),
            Some(_) => None,
        }
    }

    fn geojson(&self) -> Option<Output<'_>> {
        let of = |wanted: &&str| self.formats.iter().find(|f| plain(f) == **wanted);
        GEOJSON.iter().find_map(of).map(|name| Output::GeoJson(name))
    }

    fn gml(&self) -> Option<Output<'_>> {
        if self.formats.is_empty() {
            return Some(Output::Gml(None));
        }
        let packed = |name: &str| name.contains("zip");
        let of = |part: &&str| {
            self.formats.iter().find(|f| plain(f).contains(part) && !packed(&plain(f)))
        };
        GML.iter().find_map(of).map(|name| Output::Gml(Some(name)))
    }
}

/// The name of a format as services agree on it.
fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace(' ', "")
}

impl FeatureType {
    /// Its own name for degrees: CRS84, of which no order is in doubt, before EPSG:4326.
    pub(super) fn degrees(&self) -> Option<&str> {
        let with = |end: &str| self.crs.iter().find(|crs| crs.ends_with(end)).map(String::as_str);
        with("CRS84").or_else(|| with("4326").map(|_| "EPSG:4326"))
    }
}

/// What is read on the way.
#[derive(Default)]
struct Reading {
    found: Capabilities,
    types: Vec<FeatureType>,
    one: FeatureType,
    /// Values of the parameter that is open.
    values: Vec<String>,
    /// The value of the constraint that is open.
    value: String,
    refused: bool,
}

/// All feature types: name and title.
pub(super) fn types(body: &[u8]) -> Result<Vec<(String, String)>> {
    let mut reading = Reading::default();
    xml::walk(body, |element| reading.take(element))?;
    Ok(reading.types.into_iter().map(|t| (t.name, t.title)).collect())
}

/// Reads capabilities; `wanted` names the feature type, with or without its prefix. Without one
/// the service must have a single type.
pub(super) fn read(body: &[u8], wanted: Option<&str>) -> Result<Capabilities> {
    let mut reading = Reading::default();
    xml::walk(body, |element| reading.take(element))?;
    let Reading { mut found, types, refused, .. } = reading;
    if refused {
        let words = xml::exception(body).unwrap_or_default();
        let words = text!("le service refuse : {words}", "the service refuses: {words}");
        return Err(failed(Fault::Status, words));
    }
    if found.version.is_empty() {
        return Err(failed(
            Fault::Page,
            text!(
                "la source n'a pas répondu les capacités d'un WFS",
                "the source did not answer the capabilities of a WFS"
            ),
        ));
    }
    found.kind = choose(types, wanted)?;
    Ok(found)
}

impl Reading {
    fn take(&mut self, element: &xml::Closed<'_>) {
        let root = element.path.len() == 1;
        match element.name() {
            "WFS_Capabilities" if root => {
                self.found.version = element.attribute("version").unwrap_or_default().to_owned();
            }
            "ExceptionReport" | "ServiceExceptionReport" if root => self.refused = true,
            "Value" if element.is_in("Parameter") => self.values.push(element.text.to_owned()),
            "DefaultValue" | "Value" if element.is_in("Constraint") => {
                element.text.clone_into(&mut self.value);
            }
            "Constraint" => match element.attribute("name") {
                Some("ImplementsResultPaging") => {
                    self.found.pages = Some(self.value.eq_ignore_ascii_case("true"));
                }
                Some("CountDefault" | "DefaultMaxFeatures") => {
                    self.found.most = self.value.parse().ok().filter(|most| *most > 0);
                }
                _ => {}
            },
            "Parameter" => {
                let values = std::mem::take(&mut self.values);
                let name = element.attribute("name").unwrap_or_default();
                if name.eq_ignore_ascii_case("outputFormat") {
                    self.found.formats.extend(values);
                }
            }
            "Format" if element.is_in("OutputFormats") => {
                self.found.formats.push(element.text.to_owned());
            }
            "FeatureType" => self.types.push(std::mem::take(&mut self.one)),
            _ if element.is_in("FeatureType") => self.one.take(element),
            _ => {}
        }
    }
}

impl FeatureType {
    fn take(&mut self, element: &xml::Closed<'_>) {
        let text = element.text;
        match element.name() {
            "Name" if element.parent() == "FeatureType" => self.name = text.to_owned(),
            "Title" if element.parent() == "FeatureType" => self.title = text.to_owned(),
            "DefaultCRS" | "DefaultSRS" => self.crs.insert(0, text.to_owned()),
            "OtherCRS" | "OtherSRS" | "SRS" => self.crs.push(text.to_owned()),
            corner @ ("LowerCorner" | "UpperCorner") => {
                let mut numbers = text.split([' ', ',']).filter_map(|n| n.trim().parse().ok());
                let bbox = self.bbox.get_or_insert([f64::NAN; 4]);
                if let (Some(x), Some(y)) = (numbers.next(), numbers.next()) {
                    let [west, south, east, north] = bbox;
                    let place = if corner == "LowerCorner" { (west, south) } else { (east, north) };
                    (*place.0, *place.1) = (x, y);
                }
            }
            _ => {}
        }
    }
}

fn choose(types: Vec<FeatureType>, wanted: Option<&str>) -> Result<FeatureType> {
    let names: Vec<String> = types.iter().map(|t| t.name.clone()).collect();
    let exact = wanted.is_some_and(|wanted| names.iter().any(|name| name == wanted));
    let same = |name: &str| match wanted {
        Some(wanted) if exact => name == wanted,
        Some(wanted) => name.rsplit(':').next() == Some(wanted),
        None => true,
    };
    let mut named: Vec<FeatureType> = types.into_iter().filter(|t| same(&t.name)).collect();
    if let (Some(mut one), true) = (named.pop(), named.is_empty()) {
        one.bbox = one.bbox.filter(|bbox| bbox.iter().all(|n| n.is_finite()));
        return Ok(one);
    }
    let list = names.iter().take(30).map(String::as_str).collect::<Vec<_>>().join(", ");
    let wanted = wanted.unwrap_or("?");
    Err(failed(
        Fault::Refused,
        text!(
            "« {wanted} » ne désigne pas un type du service (type) ; il offre : {list}",
            "\"{wanted}\" does not name one type of the service (type); it offers: {list}"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = r#"<?xml version="1.0"?>
<wfs:WFS_Capabilities version="2.0.0" xmlns:wfs="http://www.opengis.net/wfs/2.0" xmlns:ows="http://www.opengis.net/ows/1.1">
<ows:OperationsMetadata><ows:Operation name="GetFeature"><ows:Parameter name="resultType"><ows:AllowedValues><ows:Value>hits</ows:Value></ows:AllowedValues></ows:Parameter><ows:Parameter name="outputFormat"><ows:AllowedValues>
<ows:Value>application/gml+xml; version=3.2</ows:Value><ows:Value>application/json; subtype=geojson</ows:Value></ows:AllowedValues></ows:Parameter></ows:Operation><ows:Constraint name="ImplementsResultPaging"><ows:NoValues/><ows:DefaultValue>FALSE</ows:DefaultValue></ows:Constraint><ows:Constraint name="CountDefault"><ows:NoValues/><ows:DefaultValue>1500</ows:DefaultValue></ows:Constraint></ows:OperationsMetadata>
<wfs:FeatureTypeList><wfs:FeatureType><wfs:Name>ms:communes</wfs:Name><wfs:DefaultCRS>urn:ogc:def:crs:EPSG::2154</wfs:DefaultCRS><wfs:OtherCRS>urn:ogc:def:crs:EPSG::4326</wfs:OtherCRS><ows:WGS84BoundingBox><ows:LowerCorner>-5 41</ows:LowerCorner><ows:UpperCorner>10 51.5</ows:UpperCorner></ows:WGS84BoundingBox><wfs:MetadataURL><wfs:Name>no</wfs:Name></wfs:MetadataURL></wfs:FeatureType>
<wfs:FeatureType><wfs:Name>ms:cantons</wfs:Name></wfs:FeatureType></wfs:FeatureTypeList></wfs:WFS_Capabilities>"#;

    #[test]
    fn a_type_is_found_with_or_without_its_prefix() {
        let found = read(V2.as_bytes(), Some("communes")).unwrap();
        assert_eq!(found.version, "2.0.0");
        assert_eq!(found.output(None), Some(Output::GeoJson("application/json; subtype=geojson")));
        let gml = Some(Output::Gml(Some("application/gml+xml; version=3.2")));
        assert_eq!(found.output(Some(Format::Gml)), gml);
        assert_eq!(found.output(Some(Format::Csv)), None);
        assert_eq!((found.pages, found.most), (Some(false), Some(1500)));
        assert_eq!(found.kind.name, "ms:communes");
        assert_eq!(found.kind.bbox, Some([-5.0, 41.0, 10.0, 51.5]));
        assert_eq!(found.kind.degrees(), Some("EPSG:4326"));
        assert_eq!(read(V2.as_bytes(), Some("ms:cantons")).unwrap().kind.bbox, None);
        let refused = read(V2.as_bytes(), Some("x")).unwrap_err().to_string();
        assert!(refused.contains("ms:communes, ms:cantons"), "{refused}");
        assert!(read(V2.as_bytes(), None).is_err());
    }

    #[test]
    fn the_newest_gml_is_asked_for_where_there_is_no_geojson() {
        let gml = |names: &[&str]| {
            let formats = names.iter().map(|n| (*n).to_owned()).collect();
            let found = Capabilities { formats, ..Capabilities::default() };
            found.output(None).map(|output| match output {
                Output::Gml(name) => name.unwrap_or("-").to_owned(),
                Output::GeoJson(name) => format!("JSON {name}"),
            })
        };
        let qgis = ["text/xml; subtype=gml/2.1.2", "text/xml; subtype=gml/3.1.1"];
        assert_eq!(gml(&qgis).as_deref(), Some("text/xml; subtype=gml/3.1.1"));
        let old = ["GML2", "SHAPE-ZIP", "GML2-GZIP", "GML3"];
        assert_eq!(gml(&old).as_deref(), Some("GML3"));
        let newest = ["GML3", "gml32", "text/xml; subtype=gml/3.2", "csv"];
        assert_eq!(gml(&newest).as_deref(), Some("text/xml; subtype=gml/3.2"));
        assert_eq!(gml(&["GML3", "JSON"]).as_deref(), Some("JSON JSON"));
        assert_eq!(gml(&["text/xml"]).as_deref(), Some("text/xml"));
        assert_eq!((gml(&[]).as_deref(), gml(&["csv", "SHAPE-ZIP"])), (Some("-"), None));
    }

    #[test]
    fn older_capabilities_are_read_too() {
        let v1 = V2.replace("2.0.0", "1.1.0").replace("DefaultCRS", "DefaultSRS").replace(
            "</wfs:FeatureTypeList>",
            "</wfs:FeatureTypeList><x:OutputFormats xmlns:x='x'><x:Format>JSON</x:Format></x:OutputFormats>",
        );
        let found = read(v1.as_bytes(), Some("communes")).unwrap();
        assert_eq!((found.version.as_str(), found.kind.crs.len()), ("1.1.0", 2));
        assert!(found.formats.contains(&"JSON".into()));
        let refused = "<ServiceExceptionReport><ServiceException>No</ServiceException></ServiceExceptionReport>";
        assert!(read(refused.as_bytes(), None).unwrap_err().to_string().contains("No"));
        assert!(read(b"<html></html>", None).is_err());
    }
}
