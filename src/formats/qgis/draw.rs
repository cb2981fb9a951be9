//! Symbols and labels in QGIS's XML.

use super::{
    super::xml::Xml,
    symbology::{Labels, Look, Rule, Size, Symbology},
};
use crate::model::GeometryKind;

/// The `renderer-v2` element: rules, drawn in order over all features, as a web map does (rather
/// than feature by feature, where a neighbour's inside would cover one's border).
pub(super) fn renderer(xml: &mut Xml, symbology: &Symbology, geometry: GeometryKind) {
    let kind = match geometry.dimension() {
        Some(0) => "marker",
        Some(1) => "line",
        Some(_) => "fill",
        None => return,
    };
    if symbology.is_empty() {
        return;
    }
    let head = [
        ("type", "RuleRenderer"),
        ("symbollevels", "1"),
        ("enableorderby", "0"),
        ("forceraster", "0"),
    ];
    xml.open("renderer-v2", &head).open("rules", &[("key", "{socle}")]);
    for (i, rule) in symbology.rules.iter().enumerate() {
        let (key, symbol) = (format!("{{socle-{i}}}"), i.to_string());
        let mut attributes =
            vec![("key", key.as_str()), ("symbol", symbol.as_str()), ("label", &rule.label)];
        if !rule.filter.is_empty() {
            attributes.push(("filter", &rule.filter));
        }
        // QGIS's « minimum » is the denominator of the closest look.
        let (largest, smallest) = (rule.scales.0.to_string(), rule.scales.1.to_string());
        attributes.push(("scalemaxdenom", &largest));
        attributes.push(("scalemindenom", &smallest));
        xml.empty("rule", &attributes);
    }
    xml.close().open("symbols", &[]);
    for (i, rule) in symbology.rules.iter().enumerate() {
        symbol(xml, kind, i, rule);
    }
    xml.close().close();
}

fn symbol(xml: &mut Xml, kind: &str, index: usize, rule: &Rule) {
    let index = index.to_string();
    let head = [
        ("type", kind),
        ("name", &index),
        ("alpha", "1"),
        ("clip_to_extent", "1"),
        ("force_rhr", "0"),
    ];
    xml.open("symbol", &head);
    match &rule.look {
        Look::Fill { colour, outline } => {
            let style = if outline.is_some() { "solid" } else { "no" };
            let outline = outline.as_deref().unwrap_or("0,0,0,0");
            layer(
                xml,
                "SimpleFill",
                &index,
                &[
                    ("color", colour),
                    ("style", "solid"),
                    ("outline_color", outline),
                    ("outline_style", style),
                    ("outline_width", "0.1"),
                    ("outline_width_unit", "MM"),
                ],
                None,
            );
        }
        Look::Line { colour, width, dashes } => {
            let fixed = format!("{:.3}", width.fixed);
            let mut options = vec![
                ("line_color", colour.as_str()),
                ("line_width", &fixed),
                ("line_width_unit", "MM"),
                ("joinstyle", "round"),
                ("capstyle", "flat"),
            ];
            if let Some(dashes) = dashes {
                options.extend([
                    ("use_custom_dash", "1"),
                    ("customdash", dashes.as_str()),
                    ("customdash_unit", "MM"),
                ]);
            }
            layer(xml, "SimpleLine", &index, &options, property("outlineWidth", width));
        }
        Look::Circle { colour, size, stroke, stroke_width } => {
            let (fixed, stroke_width) =
                (format!("{:.3}", size.fixed), format!("{stroke_width:.3}"));
            let options = [
                ("name", "circle"),
                ("color", colour),
                ("size", &fixed),
                ("size_unit", "MM"),
                ("outline_color", stroke),
                ("outline_width", &stroke_width),
                ("outline_width_unit", "MM"),
            ];
            layer(xml, "SimpleMarker", &index, &options, property("size", size));
        }
    }
    xml.close();
}

/// A property that differs by feature.
fn property<'a>(name: &'static str, size: &'a Size) -> Option<(&'static str, &'a str)> {
    size.by_feature.as_deref().map(|expression| (name, expression))
}

fn layer(
    xml: &mut Xml,
    class: &str,
    pass: &str,
    options: &[(&str, &str)],
    by_feature: Option<(&str, &str)>,
) {
    xml.open("layer", &[("class", class), ("enabled", "1"), ("locked", "0"), ("pass", pass)]);
    xml.open("Option", &[("type", "Map")]);
    for (name, value) in options {
        xml.empty("Option", &[("type", "QString"), ("name", name), ("value", value)]);
    }
    xml.close();
    // QGIS before 3.26 writes, and some read, the older spelling too.
    for (name, value) in options {
        xml.empty("prop", &[("k", name), ("v", value)]);
    }
    if let Some((name, expression)) = by_feature {
        xml.open("data_defined_properties", &[]).open("Option", &[("type", "Map")]);
        xml.empty("Option", &[("type", "QString"), ("name", "name"), ("value", "")]);
        xml.open("Option", &[("type", "Map"), ("name", "properties")]);
        xml.open("Option", &[("type", "Map"), ("name", name)]);
        xml.empty("Option", &[("type", "bool"), ("name", "active"), ("value", "true")]);
        xml.empty("Option", &[("type", "QString"), ("name", "expression"), ("value", expression)]);
        xml.empty("Option", &[("type", "int"), ("name", "type"), ("value", "3")]);
        xml.close().close();
        xml.empty("Option", &[("type", "QString"), ("name", "type"), ("value", "collection")]);
        xml.close().close();
    }
    xml.close();
}

/// The `labeling` element, when features are named.
pub(super) fn labels(xml: &mut Xml, symbology: &Symbology, geometry: GeometryKind) {
    let Some(labels) = &symbology.labels else { return };
    xml.open("labeling", &[("type", "simple")]).open("settings", &[("calloutType", "simple")]);
    text_style(xml, labels);
    // Around points, along lines, horizontally inside polygons.
    let placement = match geometry.dimension() {
        Some(0) => "6",
        Some(1) => "2",
        _ => "1",
    };
    xml.empty("placement", &[("placement", placement), ("dist", "0.5"), ("distUnits", "MM")]);
    let (largest, smallest) = (labels.scales.0.to_string(), labels.scales.1.to_string());
    let limited = if labels.scales == (0.0, 0.0) { "0" } else { "1" };
    xml.empty(
        "rendering",
        &[
            ("scaleVisibility", limited),
            ("scaleMin", &largest),
            ("scaleMax", &smallest),
            ("obstacle", "1"),
            ("drawLabels", "1"),
        ],
    );
    xml.close().close();
}

fn text_style(xml: &mut Xml, labels: &Labels) {
    let size = labels.size.to_string();
    let attributes = [
        ("fieldName", labels.text.as_str()),
        ("isExpression", if labels.is_expression { "1" } else { "0" }),
        ("fontFamily", "Open Sans"),
        ("fontSize", &size),
        ("fontSizeUnit", "Point"),
        ("textColor", &labels.colour),
        ("textOpacity", "1"),
    ];
    xml.open("text-style", &attributes);
    if let Some((colour, width)) = &labels.halo {
        let width = format!("{width:.2}");
        xml.empty(
            "text-buffer",
            &[
                ("bufferDraw", "1"),
                ("bufferColor", colour),
                ("bufferSize", &width),
                ("bufferSizeUnits", "MM"),
                ("bufferOpacity", "1"),
            ],
        );
    }
    xml.close();
}
