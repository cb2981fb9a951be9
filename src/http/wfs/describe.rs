//! DescribeFeatureType: the layers as a schema of XML (GML simple features, level 0).

use super::{
    Asked, XML,
    fail::{Fail, Result},
    layers_named,
    version::Version,
};
use crate::{
    http::{feed::xml, reply::Document, visit::Visit},
    items::{
        Items,
        gml::{self, PREFIX, SPACE, encode, property_type},
    },
    model::{FieldKind, GeometryKind, Schema},
};
use std::fmt::Write;

/// The document.
pub async fn answer(visit: &Visit, asked: &Asked, version: Version) -> Result<Document> {
    let layers = match asked.kvp.any(&["TYPENAMES", "TYPENAME"]) {
        Some(names) => layers_named(visit, names)?,
        None => visit.snapshot().served().cloned().collect(),
    };
    let cut = visit.outline(None)?.is_some();
    let mut out = head(version);
    for layer in layers {
        let schema = Items::schema(&layer, cut).map_err(Fail::from)?;
        one(version, layer.def.id.as_str(), visit.say(&layer.def.title), &schema, &mut out);
    }
    out.push_str("</xsd:schema>\n");
    let media = match version {
        Version::V20 => Version::V20.media(),
        Version::V11 => Version::V11.media(),
        Version::V10 => XML,
    };
    Ok(Document::new(media, out))
}

fn head(version: Version) -> String {
    let (space, place) = (version.gml_space(), version.gml_schema());
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xsd:schema xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" xmlns:gml=\"{space}\" xmlns:{PREFIX}=\"{SPACE}\" xmlns:gmlsf=\"http://www.opengis.net/gmlsf/2.0\" targetNamespace=\"{SPACE}\" elementFormDefault=\"qualified\" version=\"1.0\">\n"
    );
    if version == Version::V20 {
        out.push_str("<xsd:annotation><xsd:appinfo source=\"http://schemas.opengis.net/gmlsfProfile/2.0/gmlsfLevels.xsd\"><gmlsf:ComplianceLevel>0</gmlsf:ComplianceLevel></xsd:appinfo></xsd:annotation>\n");
    }
    let _ = writeln!(out, "<xsd:import namespace=\"{space}\" schemaLocation=\"{place}\"/>");
    out
}

fn one(version: Version, id: &str, title: &str, schema: &Schema, out: &mut String) {
    let name = encode(id);
    let group = match version {
        Version::V20 => "gml:AbstractFeature",
        _ => "gml:_Feature",
    };
    let _ = writeln!(
        out,
        "<xsd:element name=\"{name}\" type=\"{PREFIX}:{name}Type\" substitutionGroup=\"{group}\"/>\n<xsd:complexType name=\"{name}Type\"><xsd:annotation><xsd:documentation>{}</xsd:documentation></xsd:annotation><xsd:complexContent><xsd:extension base=\"gml:AbstractFeatureType\"><xsd:sequence>",
        xml(title)
    );
    for field in &schema.fields {
        let kind = match field.kind {
            FieldKind::Bool => "boolean",
            FieldKind::Int => "long",
            FieldKind::Float => "double",
            FieldKind::Date => "date",
            FieldKind::DateTime => "dateTime",
            FieldKind::Text | FieldKind::Json => "string",
        };
        let _ = writeln!(
            out,
            "<xsd:element name=\"{}\" type=\"xsd:{kind}\" nillable=\"true\" minOccurs=\"0\"/>",
            encode(&field.name)
        );
    }
    if schema.geometry != GeometryKind::None {
        let kind = property_type(version.gml(), schema.geometry);
        let name = gml::encode(&schema.geometry_name());
        let _ = writeln!(
            out,
            "<xsd:element name=\"{name}\" type=\"{kind}\" nillable=\"true\" minOccurs=\"0\"/>"
        );
    }
    out.push_str("</xsd:sequence></xsd:extension></xsd:complexContent></xsd:complexType>\n");
}
