//! GetCapabilities of WFS 1.1.0 and 1.0.0, for clients that are older than 2.0.

use super::{
    capabilities::{SPATIAL, licences, systems},
    fail::Result,
    output,
    version::Version,
};
use crate::{
    catalog::Layer,
    http::{feed::xml, reply::Document, visit::Visit},
    items::gml::{PREFIX, SPACE, encode},
    model::GeometryKind,
};
use std::{fmt::Write, sync::Arc};

const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// The document of a version.
pub async fn document(visit: &Visit, version: Version) -> Result<Document> {
    let mut out = String::with_capacity(16 * 1024);
    match version {
        Version::V10 => head_10(visit, &mut out),
        _ => head_11(visit, &mut out),
    }
    for layer in visit.snapshot().served() {
        feature_type(visit, layer, version, &mut out).await?;
    }
    out.push_str("</FeatureTypeList>\n");
    match version {
        Version::V10 => filters_10(&mut out),
        _ => filters_11(&mut out),
    }
    out.push_str("</WFS_Capabilities>\n");
    Ok(Document::new("text/xml", out))
}

fn head_11(visit: &Visit, out: &mut String) {
    let server = &visit.site.app.settings.server;
    let (title, url) = (xml(&visit.titled(&server.title)), xml(&visit.url("wfs")));
    let _ = write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<WFS_Capabilities xmlns=\"http://www.opengis.net/wfs\" xmlns:wfs=\"http://www.opengis.net/wfs\" xmlns:ows=\"http://www.opengis.net/ows\" xmlns:ogc=\"http://www.opengis.net/ogc\" xmlns:gml=\"http://www.opengis.net/gml\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" xmlns:xsi=\"{XSI}\" xmlns:{PREFIX}=\"{SPACE}\" xsi:schemaLocation=\"http://www.opengis.net/wfs http://schemas.opengis.net/wfs/1.1.0/wfs.xsd\" version=\"1.1.0\">\n<ows:ServiceIdentification><ows:Title>{title}</ows:Title><ows:Abstract>{}</ows:Abstract><ows:Keywords><ows:Keyword>WFS</ows:Keyword></ows:Keywords><ows:ServiceType>WFS</ows:ServiceType><ows:ServiceTypeVersion>1.1.0</ows:ServiceTypeVersion><ows:Fees>NONE</ows:Fees><ows:AccessConstraints>{}</ows:AccessConstraints></ows:ServiceIdentification>\n<ows:ServiceProvider><ows:ProviderName>{}</ows:ProviderName><ows:ServiceContact/></ows:ServiceProvider>\n<ows:OperationsMetadata>\n",
        xml(visit.say(&server.description)),
        xml(&licences(visit)),
        xml(visit.say(&server.title)),
    );
    let parameter = |name: &str, values: &[&str]| {
        let values: String =
            values.iter().map(|v| format!("<ows:Value>{}</ows:Value>", xml(v))).collect();
        format!("<ows:Parameter name=\"{name}\">{values}</ows:Parameter>")
    };
    let operation = |name: &str, parameters: String| {
        format!(
            "<ows:Operation name=\"{name}\"><ows:DCP><ows:HTTP><ows:Get xlink:href=\"{url}\"/><ows:Post xlink:href=\"{url}\"/></ows:HTTP></ows:DCP>{parameters}</ows:Operation>\n"
        )
    };
    let formats = parameter("outputFormat", &output::names(Version::V11));
    out.push_str(&operation(
        "GetCapabilities",
        parameter("AcceptVersions", &["1.1.0", "1.0.0"])
            + &parameter("AcceptFormats", &["text/xml"]),
    ));
    out.push_str(&operation(
        "DescribeFeatureType",
        parameter("outputFormat", &["text/xml; subtype=gml/3.1.1"]),
    ));
    out.push_str(&operation(
        "GetFeature",
        parameter("resultType", &["results", "hits"]) + &formats,
    ));
    out.push_str("</ows:OperationsMetadata>\n<FeatureTypeList><Operations><Operation>Query</Operation></Operations>\n");
}

fn head_10(visit: &Visit, out: &mut String) {
    let server = &visit.site.app.settings.server;
    // What has only a list of parameters gets them behind `?`, as its clients expect.
    let (title, url) = (xml(&visit.titled(&server.title)), xml(&visit.url("wfs")));
    let dcp = format!(
        "<DCPType><HTTP><Get onlineResource=\"{url}?\"/></HTTP></DCPType><DCPType><HTTP><Post onlineResource=\"{url}\"/></HTTP></DCPType>"
    );
    let _ = write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<WFS_Capabilities xmlns=\"http://www.opengis.net/wfs\" xmlns:ogc=\"http://www.opengis.net/ogc\" xmlns:xsi=\"{XSI}\" xmlns:{PREFIX}=\"{SPACE}\" xsi:schemaLocation=\"http://www.opengis.net/wfs http://schemas.opengis.net/wfs/1.0.0/WFS-capabilities.xsd\" version=\"1.0.0\">\n<Service><Name>WFS</Name><Title>{title}</Title><Abstract>{}</Abstract><OnlineResource>{url}</OnlineResource><Fees>NONE</Fees><AccessConstraints>{}</AccessConstraints></Service>\n<Capability><Request><GetCapabilities>{dcp}</GetCapabilities><DescribeFeatureType><SchemaDescriptionLanguage><XMLSCHEMA/></SchemaDescriptionLanguage>{dcp}</DescribeFeatureType><GetFeature><ResultFormat><GML2/></ResultFormat>{dcp}</GetFeature></Request></Capability>\n<FeatureTypeList><Operations><Query/></Operations>\n",
        xml(visit.say(&server.description)),
        xml(&licences(visit)),
    );
}

async fn feature_type(
    visit: &Visit,
    layer: &Layer,
    version: Version,
    out: &mut String,
) -> Result<()> {
    let shown = visit.described(&Arc::new(layer.clone())).await?;
    let (def, at) = (&shown.def, &shown.at()?.version);
    let _ = write!(
        out,
        "<FeatureType><Name>{PREFIX}:{}</Name><Title>{}</Title><Abstract>{}</Abstract>",
        encode(def.id.as_str()),
        xml(&visit.titled(&def.title)),
        xml(visit.say(&def.description)),
    );
    let b = at.bbox;
    if version == Version::V10 {
        let _ = write!(out, "<Keywords>{}</Keywords><SRS>EPSG:4326</SRS>", xml(&def.producer));
        if let Some(b) = b {
            let _ = write!(
                out,
                "<LatLongBoundingBox minx=\"{}\" miny=\"{}\" maxx=\"{}\" maxy=\"{}\"/>",
                b.west, b.south, b.east, b.north
            );
        }
    } else {
        let _ = write!(
            out,
            "<ows:Keywords><ows:Keyword>{}</ows:Keyword></ows:Keywords>",
            xml(&def.producer)
        );
        if at.schema.geometry == GeometryKind::None {
            out.push_str("<NoSRS/>");
        } else {
            for (i, urn) in systems(b.as_ref()).iter().enumerate() {
                let element = if i == 0 { "DefaultSRS" } else { "OtherSRS" };
                let _ = write!(out, "<{element}>{urn}</{element}>");
            }
        }
        // Its schema asks for a box, those without geometry lie anywhere.
        let b = b.unwrap_or(crate::model::BBox::WORLD);
        let _ = write!(
            out,
            "<ows:WGS84BoundingBox><ows:LowerCorner>{} {}</ows:LowerCorner><ows:UpperCorner>{} {}</ows:UpperCorner></ows:WGS84BoundingBox>",
            b.west, b.south, b.east, b.north
        );
    }
    out.push_str("</FeatureType>\n");
    Ok(())
}

fn filters_11(out: &mut String) {
    let spatial: String =
        SPATIAL.iter().map(|n| format!("<ogc:SpatialOperator name=\"{n}\"/>")).collect();
    let comparisons: String = [
        "EqualTo",
        "NotEqualTo",
        "LessThan",
        "GreaterThan",
        "LessThanEqualTo",
        "GreaterThanEqualTo",
        "Like",
        "Between",
        "NullCheck",
    ]
    .map(|n| format!("<ogc:ComparisonOperator>{n}</ogc:ComparisonOperator>"))
    .concat();
    let _ = writeln!(
        out,
        "<ogc:Filter_Capabilities><ogc:Spatial_Capabilities><ogc:GeometryOperands><ogc:GeometryOperand>gml:Envelope</ogc:GeometryOperand><ogc:GeometryOperand>gml:Point</ogc:GeometryOperand><ogc:GeometryOperand>gml:LineString</ogc:GeometryOperand><ogc:GeometryOperand>gml:Polygon</ogc:GeometryOperand></ogc:GeometryOperands><ogc:SpatialOperators>{spatial}</ogc:SpatialOperators></ogc:Spatial_Capabilities><ogc:Scalar_Capabilities><ogc:LogicalOperators/><ogc:ComparisonOperators>{comparisons}</ogc:ComparisonOperators><ogc:ArithmeticOperators><ogc:SimpleArithmetic/></ogc:ArithmeticOperators></ogc:Scalar_Capabilities><ogc:Id_Capabilities><ogc:EID/><ogc:FID/></ogc:Id_Capabilities></ogc:Filter_Capabilities>"
    );
}

fn filters_10(out: &mut String) {
    out.push_str("<ogc:Filter_Capabilities><ogc:Spatial_Capabilities><ogc:Spatial_Operators><ogc:BBOX/><ogc:Equals/><ogc:Disjoint/><ogc:Intersect/><ogc:Touches/><ogc:Crosses/><ogc:Within/><ogc:Contains/><ogc:Overlaps/></ogc:Spatial_Operators></ogc:Spatial_Capabilities><ogc:Scalar_Capabilities><ogc:Logical_Operators/><ogc:Comparison_Operators><ogc:Simple_Comparisons/><ogc:Like/><ogc:Between/><ogc:NullCheck/></ogc:Comparison_Operators><ogc:Arithmetic_Operators><ogc:Simple_Arithmetic/></ogc:Arithmetic_Operators></ogc:Scalar_Capabilities></ogc:Filter_Capabilities>\n");
}
