//! GetCapabilities of WFS 2.0.0.

use super::{
    XML,
    fail::Result,
    output,
    version::Version,
    window::{MOST, USUAL},
};
use crate::{
    catalog::Layer,
    http::{feed::xml, reply::Document, visit::Visit},
    items::{
        System,
        gml::{PREFIX, SPACE, encode},
    },
    model::{BBox, GeometryKind, Lang},
};
use std::fmt::Write;

/// What is true of the service, by the names of the standard.
const CONSTRAINTS: [(&str, bool); 17] = [
    ("ImplementsSimpleWFS", true),
    ("ImplementsBasicWFS", true),
    ("ImplementsTransactionalWFS", false),
    ("ImplementsLockingWFS", false),
    ("KVPEncoding", true),
    ("XMLEncoding", true),
    ("SOAPEncoding", false),
    ("ImplementsInheritance", false),
    ("ImplementsRemoteResolve", false),
    ("ImplementsResultPaging", true),
    ("ImplementsStandardJoins", false),
    ("ImplementsSpatialJoins", false),
    ("ImplementsTemporalJoins", false),
    ("ImplementsFeatureVersioning", false),
    ("ManageStoredQueries", false),
    ("PagingIsTransactionSafe", false),
    ("QueryExpressions", true),
];

/// The same of its filters.
const FILTERS: [(&str, bool); 14] = [
    ("ImplementsQuery", true),
    ("ImplementsAdHocQuery", true),
    ("ImplementsFunctions", false),
    ("ImplementsResourceId", true),
    ("ImplementsMinStandardFilter", true),
    ("ImplementsStandardFilter", true),
    ("ImplementsMinSpatialFilter", true),
    ("ImplementsSpatialFilter", true),
    ("ImplementsMinTemporalFilter", true),
    ("ImplementsTemporalFilter", true),
    ("ImplementsVersionNav", false),
    ("ImplementsSorting", true),
    ("ImplementsMinimumXPath", true),
    ("ImplementsExtendedOperators", false),
];

/// Operators of comparison.
const COMPARISONS: [&str; 10] = [
    "PropertyIsEqualTo",
    "PropertyIsNotEqualTo",
    "PropertyIsLessThan",
    "PropertyIsGreaterThan",
    "PropertyIsLessThanOrEqualTo",
    "PropertyIsGreaterThanOrEqualTo",
    "PropertyIsLike",
    "PropertyIsNull",
    "PropertyIsNil",
    "PropertyIsBetween",
];
const GEOMETRIES: [&str; 8] = [
    "Envelope",
    "Point",
    "MultiPoint",
    "LineString",
    "Curve",
    "MultiCurve",
    "Polygon",
    "MultiSurface",
];
/// Operators of place.
pub const SPATIAL: [&str; 9] = [
    "BBOX",
    "Equals",
    "Disjoint",
    "Intersects",
    "Touches",
    "Crosses",
    "Within",
    "Contains",
    "Overlaps",
];
const TEMPORAL: [&str; 13] = [
    "After",
    "Before",
    "Begins",
    "BegunBy",
    "TContains",
    "During",
    "EndedBy",
    "Ends",
    "TEquals",
    "Meets",
    "MetBy",
    "TOverlaps",
    "OverlappedBy",
];

/// The document; of the sections named, when some are.
pub async fn document(visit: &Visit, sections: Option<&str>) -> Result<Document> {
    let named = |name: &str| {
        sections.is_none_or(|s| {
            s.split(',').any(|s| s.trim() == name || s.trim().eq_ignore_ascii_case("all"))
        })
    };
    let mut out = String::with_capacity(32 * 1024);
    let _ = write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<wfs:WFS_Capabilities xmlns:wfs=\"http://www.opengis.net/wfs/2.0\" xmlns:ows=\"http://www.opengis.net/ows/1.1\" xmlns:fes=\"http://www.opengis.net/fes/2.0\" xmlns:gml=\"http://www.opengis.net/gml/3.2\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:{PREFIX}=\"{SPACE}\" xsi:schemaLocation=\"http://www.opengis.net/wfs/2.0 http://schemas.opengis.net/wfs/2.0/wfs.xsd\" version=\"2.0.0\">\n"
    );
    if named("ServiceIdentification") {
        identification(visit, &mut out);
    }
    if named("ServiceProvider") {
        provider(visit, &mut out);
    }
    if named("OperationsMetadata") {
        operations(visit, &mut out);
    }
    if named("FeatureTypeList") {
        out.push_str("<wfs:FeatureTypeList>\n");
        for layer in visit.snapshot().served() {
            feature_type(visit, layer, &mut out).await?;
        }
        out.push_str("</wfs:FeatureTypeList>\n");
    }
    if named("Filter_Capabilities") {
        filters(&mut out);
    }
    out.push_str("</wfs:WFS_Capabilities>\n");
    Ok(Document::new(XML, out))
}

/// The licences of the layers, each once.
pub fn licences(visit: &Visit) -> String {
    let mut all: Vec<String> = visit
        .snapshot()
        .served()
        .map(|l| l.def.licence.title.clone())
        .filter(|t| !t.is_empty())
        .collect();
    all.sort_unstable();
    all.dedup();
    if all.is_empty() { "NONE".to_owned() } else { all.join("; ") }
}

fn identification(visit: &Visit, out: &mut String) {
    let server = &visit.site.app.settings.server;
    let _ = write!(
        out,
        "<ows:ServiceIdentification><ows:Title>{}</ows:Title><ows:Abstract>{}</ows:Abstract><ows:Keywords><ows:Keyword>infoFeatureAccessService</ows:Keyword><ows:Keyword>WFS</ows:Keyword><ows:Keyword>territoires</ows:Keyword></ows:Keywords><ows:ServiceType codeSpace=\"OGC\">WFS</ows:ServiceType>",
        xml(&visit.titled(&server.title)),
        xml(visit.say(&server.description)),
    );
    for version in Version::ALL {
        let _ =
            write!(out, "<ows:ServiceTypeVersion>{}</ows:ServiceTypeVersion>", version.number());
    }
    let _ = writeln!(
        out,
        "<ows:Fees>NONE</ows:Fees><ows:AccessConstraints>{}</ows:AccessConstraints></ows:ServiceIdentification>",
        xml(&licences(visit))
    );
}

fn provider(visit: &Visit, out: &mut String) {
    let title = xml(visit.say(&visit.site.app.settings.server.title));
    let _ = writeln!(
        out,
        "<ows:ServiceProvider><ows:ProviderName>{title}</ows:ProviderName><ows:ProviderSite xlink:href=\"{}\"/><ows:ServiceContact/></ows:ServiceProvider>",
        xml(&visit.root())
    );
}

fn parameter(name: &str, values: &[&str], out: &mut String) {
    let _ = write!(out, "<ows:Parameter name=\"{name}\"><ows:AllowedValues>");
    for value in values {
        let _ = write!(out, "<ows:Value>{}</ows:Value>", xml(value));
    }
    out.push_str("</ows:AllowedValues></ows:Parameter>");
}

fn operation(url: &str, name: &str, parameters: &[(&str, &[&str])], out: &mut String) {
    let _ = write!(
        out,
        "<ows:Operation name=\"{name}\"><ows:DCP><ows:HTTP><ows:Get xlink:href=\"{url}\"/><ows:Post xlink:href=\"{url}\"/></ows:HTTP></ows:DCP>"
    );
    for (name, values) in parameters {
        parameter(name, values, out);
    }
    out.push_str("</ows:Operation>\n");
}

fn operations(visit: &Visit, out: &mut String) {
    let url = xml(&visit.url("wfs"));
    let numbers = Version::ALL.map(Version::number);
    let formats = output::names(Version::V20);
    let schemas = ["application/gml+xml; version=3.2"];
    let sections = [
        "ServiceIdentification",
        "ServiceProvider",
        "OperationsMetadata",
        "FeatureTypeList",
        "Filter_Capabilities",
    ];
    let (results, resolve) = (["results", "hits"], ["none", "local"]);
    out.push_str("<ows:OperationsMetadata>\n");
    operation(
        &url,
        "GetCapabilities",
        &[
            ("AcceptVersions", &numbers),
            ("AcceptFormats", &[XML, "text/xml"]),
            ("Sections", &sections),
        ],
        out,
    );
    operation(&url, "DescribeFeatureType", &[("outputFormat", &schemas)], out);
    let of_features: &[(&str, &[&str])] =
        &[("resultType", &results), ("outputFormat", &formats), ("resolve", &resolve)];
    operation(&url, "GetFeature", of_features, out);
    operation(&url, "GetPropertyValue", &[("resolve", &resolve), ("outputFormat", &schemas)], out);
    operation(&url, "ListStoredQueries", &[], out);
    operation(&url, "DescribeStoredQueries", &[], out);
    parameter("version", &numbers, out);
    for (name, is) in CONSTRAINTS {
        if name == "QueryExpressions" {
            let _ = writeln!(
                out,
                "<ows:Constraint name=\"{name}\"><ows:AllowedValues><ows:Value>wfs:Query</ows:Value><ows:Value>wfs:StoredQuery</ows:Value></ows:AllowedValues></ows:Constraint>"
            );
        } else {
            constraint("ows", name, if is { "TRUE" } else { "FALSE" }, out);
        }
    }
    constraint("ows", "CountDefault", &USUAL.to_string(), out);
    let _ = writeln!(
        out,
        "<ows:Constraint name=\"CountMaximum\"><ows:NoValues/><ows:DefaultValue>{MOST}</ows:DefaultValue></ows:Constraint>"
    );
    inspire(visit, out);
    out.push_str("</ows:OperationsMetadata>\n");
}

fn constraint(prefix: &str, name: &str, value: &str, out: &mut String) {
    let _ = writeln!(
        out,
        "<{prefix}:Constraint name=\"{name}\"><ows:NoValues/><ows:DefaultValue>{value}</ows:DefaultValue></{prefix}:Constraint>"
    );
}

/// What INSPIRE asks of a download service: where its description is, and its languages.
fn inspire(visit: &Visit, out: &mut String) {
    let lang = match visit.lang() {
        Lang::Fr => "fre",
        Lang::En => "eng",
    };
    let _ = write!(
        out,
        "<ows:ExtendedCapabilities><inspire_dls:ExtendedCapabilities xmlns:inspire_dls=\"http://inspire.ec.europa.eu/schemas/inspire_dls/1.0\" xmlns:inspire_common=\"http://inspire.ec.europa.eu/schemas/common/1.0\"><inspire_common:MetadataUrl><inspire_common:URL>{}</inspire_common:URL><inspire_common:MediaType>application/json</inspire_common:MediaType></inspire_common:MetadataUrl><inspire_common:SupportedLanguages><inspire_common:DefaultLanguage><inspire_common:Language>fre</inspire_common:Language></inspire_common:DefaultLanguage><inspire_common:SupportedLanguage><inspire_common:Language>eng</inspire_common:Language></inspire_common:SupportedLanguage></inspire_common:SupportedLanguages><inspire_common:ResponseLanguage><inspire_common:Language>{lang}</inspire_common:Language></inspire_common:ResponseLanguage>",
        xml(&visit.url("collections")),
    );
    for layer in visit.snapshot().served() {
        let url = xml(&visit.url(&format!("collections/{}", layer.def.id)));
        let _ = write!(
            out,
            "<inspire_dls:SpatialDataSetIdentifier><inspire_common:Code>{}</inspire_common:Code><inspire_common:Namespace>{url}</inspire_common:Namespace></inspire_dls:SpatialDataSetIdentifier>",
            layer.def.id
        );
    }
    out.push_str("</inspire_dls:ExtendedCapabilities></ows:ExtendedCapabilities>\n");
}

/// The systems of a layer as URNs, that of the version first.
pub fn systems(extent: Option<&BBox>) -> Vec<String> {
    let mut all = vec![Version::V20.usual_srs().to_owned()];
    for uri in System::uris(extent) {
        let urn = match uri.rsplit_once("/EPSG/0/") {
            Some((_, code)) => format!("urn:ogc:def:crs:EPSG::{code}"),
            None => "urn:ogc:def:crs:OGC:1.3:CRS84".to_owned(),
        };
        if !all.contains(&urn) {
            all.push(urn);
        }
    }
    // What is met most often comes first.
    all.sort_by_key(|urn| {
        let usual =
            [Version::V20.usual_srs(), "urn:ogc:def:crs:EPSG::3857", "urn:ogc:def:crs:EPSG::2154"];
        usual.iter().position(|u| u == urn).unwrap_or(usual.len())
    });
    all
}

async fn feature_type(visit: &Visit, layer: &Layer, out: &mut String) -> Result<()> {
    let shown = visit.described(&std::sync::Arc::new(layer.clone())).await?;
    let (def, version) = (&shown.def, &shown.at()?.version);
    let name = encode(def.id.as_str());
    let description = match def.attribution.as_str() {
        "" => visit.say(&def.description).to_owned(),
        attribution => format!("{}\n{attribution}", visit.say(&def.description)),
    };
    let _ = write!(
        out,
        "<wfs:FeatureType><wfs:Name>{PREFIX}:{name}</wfs:Name><wfs:Title>{}</wfs:Title><wfs:Abstract>{}</wfs:Abstract><ows:Keywords><ows:Keyword>{}</ows:Keyword></ows:Keywords>",
        xml(&visit.titled(&def.title)),
        xml(description.trim()),
        xml(&def.producer),
    );
    if version.schema.geometry == GeometryKind::None {
        out.push_str("<wfs:NoCRS/>");
    } else {
        for (i, urn) in systems(version.bbox.as_ref()).iter().enumerate() {
            let element = if i == 0 { "DefaultCRS" } else { "OtherCRS" };
            let _ = write!(out, "<wfs:{element}>{urn}</wfs:{element}>");
        }
    }
    out.push_str("<wfs:OutputFormats>");
    for format in output::names(Version::V20) {
        let _ = write!(out, "<wfs:Format>{format}</wfs:Format>");
    }
    out.push_str("</wfs:OutputFormats>");
    if let Some(b) = version.bbox {
        let _ = write!(
            out,
            "<ows:WGS84BoundingBox><ows:LowerCorner>{} {}</ows:LowerCorner><ows:UpperCorner>{} {}</ows:UpperCorner></ows:WGS84BoundingBox>",
            b.west, b.south, b.east, b.north
        );
    }
    let _ = writeln!(
        out,
        "<wfs:MetadataURL xlink:href=\"{}\"/></wfs:FeatureType>",
        xml(&visit.url(&format!("collections/{}", def.id)))
    );
    Ok(())
}

fn filters(out: &mut String) {
    out.push_str("<fes:Filter_Capabilities><fes:Conformance>\n");
    for (name, is) in FILTERS {
        constraint("fes", name, if is { "TRUE" } else { "FALSE" }, out);
    }
    out.push_str("</fes:Conformance><fes:Id_Capabilities><fes:ResourceIdentifier name=\"fes:ResourceId\"/></fes:Id_Capabilities><fes:Scalar_Capabilities><fes:LogicalOperators/><fes:ComparisonOperators>");
    for name in COMPARISONS {
        let _ = write!(out, "<fes:ComparisonOperator name=\"{name}\"/>");
    }
    out.push_str("</fes:ComparisonOperators></fes:Scalar_Capabilities><fes:Spatial_Capabilities><fes:GeometryOperands>");
    for name in GEOMETRIES {
        let _ = write!(out, "<fes:GeometryOperand name=\"gml:{name}\"/>");
    }
    out.push_str("</fes:GeometryOperands><fes:SpatialOperators>");
    for name in SPATIAL {
        let _ = write!(out, "<fes:SpatialOperator name=\"{name}\"/>");
    }
    out.push_str("</fes:SpatialOperators></fes:Spatial_Capabilities><fes:Temporal_Capabilities><fes:TemporalOperands><fes:TemporalOperand name=\"gml:TimeInstant\"/><fes:TemporalOperand name=\"gml:TimePeriod\"/></fes:TemporalOperands><fes:TemporalOperators>");
    for name in TEMPORAL {
        let _ = write!(out, "<fes:TemporalOperator name=\"{name}\"/>");
    }
    let _ = writeln!(
        out,
        "</fes:TemporalOperators></fes:Temporal_Capabilities></fes:Filter_Capabilities>"
    );
}
