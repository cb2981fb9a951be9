//! A MapLibre style as QGIS draws it: one rule per drawn layer and class, in the same order, with
//! labels where the style has them. The web map and the desktop then look alike, legend included.

use super::expression::{branch, expression, field};
use crate::model::{Drawing, GeometryKind};
use serde_json::Value;

/// Zoom at which curves over the zoom have their value taken: a département on a screen.
const ZOOM: f64 = 10.0;
/// Millimetres of a CSS pixel, which is 1/96 inch.
const PIXEL: f64 = 25.4 / 96.0;
/// Scale denominator of zoom 0 with tiles of 512 pixels.
const SCALE_0: f64 = 279_541_132.014;

/// How a layer is drawn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Symbology {
    /// From the bottom to the top.
    pub(super) rules: Vec<Rule>,
    /// Text on the features.
    pub(super) labels: Option<Labels>,
}

/// Some of the features, drawn one way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    /// What the legend says.
    pub label: String,
    /// QGIS expression; empty: all.
    pub filter: String,
    /// Scale denominators, 1:n; 0: no limit.
    pub scales: (f64, f64),
    /// The look.
    pub look: Look,
}

/// A symbol of one layer. Lengths in millimetres, colours as `r,g,b,a`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Look {
    /// The inside of polygons.
    Fill { colour: String, outline: Option<String> },
    /// Lines, and the borders of polygons.
    Line { colour: String, width: Size, dashes: Option<String> },
    /// Discs.
    Circle { colour: String, size: Size, stroke: String, stroke_width: f64 },
}

/// A length, of all or by feature.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Size {
    /// Millimetres.
    pub fixed: f64,
    /// QGIS expression of the millimetres of a feature.
    pub by_feature: Option<String>,
}

/// Text on features.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Labels {
    /// Field name or expression.
    pub text: String,
    /// Whether `text` is an expression.
    pub is_expression: bool,
    /// Points.
    pub size: f64,
    /// Colour.
    pub colour: String,
    /// Colour of the halo and its width in millimetres.
    pub halo: Option<(String, f64)>,
    /// Smallest and largest scale, as in [`Rule`].
    pub scales: (f64, f64),
}

impl Symbology {
    /// What a style says of the tiles' layer `source_layer`, whose features are of `kind`.
    /// `legend` gives words to colours, as `socle:legend` of `styles/README.md` does.
    pub fn of_style(style: &Value, source_layer: &str, kind: GeometryKind) -> Self {
        let mut symbology = Self::default();
        let legend = style.pointer("/metadata/socle:legend/items").and_then(Value::as_array);
        let words = Words(legend.map(Vec::as_slice).unwrap_or_default());
        for layer in style.get("layers").and_then(Value::as_array).into_iter().flatten() {
            if !is_of(layer, source_layer) {
                continue;
            }
            if layer.pointer("/layout/visibility").and_then(Value::as_str) == Some("none") {
                continue;
            }
            if layer.get("type").and_then(Value::as_str) == Some("symbol") {
                symbology.labels = labels(layer).or(symbology.labels);
            } else {
                symbology.rules.extend(rules(layer, kind, &words));
            }
        }
        symbology
    }

    /// Whether there is nothing to draw: QGIS then chooses.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// Whether a style layer draws the features, or what tiles carry of them apart: the points of their
/// names, their borders.
fn is_of(layer: &Value, source_layer: &str) -> bool {
    let drawn = |key: &str| layer.get(key).and_then(Value::as_str).unwrap_or_default();
    let of = drawn("source-layer");
    of == source_layer
        || (drawn("type") == "symbol" && of == Drawing::labels_of(source_layer))
        || (drawn("type") == "line" && of == Drawing::borders_of(source_layer))
}

/// What the legend calls a colour.
struct Words<'a>(&'a [Value]);

impl Words<'_> {
    fn of(&self, css: &str) -> Option<String> {
        let item = self.0.iter().find(|i| i.get("fill").and_then(Value::as_str) == Some(css))?;
        Some(item.get("fr")?.as_str()?.to_owned())
    }
}

/// A colour of the style, with the part of the features that has it.
struct Class {
    css: String,
    filter: Option<String>,
}

fn rules(layer: &Value, kind: GeometryKind, words: &Words<'_>) -> Vec<Rule> {
    let paint = |name: &str| layer.pointer(&format!("/paint/{name}"));
    let drawn = layer.get("type").and_then(Value::as_str).unwrap_or_default();
    let opacity = |name: &str| number(paint(name)).unwrap_or(1.0);
    let base = match layer.get("filter") {
        None => String::new(),
        Some(filter) if filter.get(1).and_then(Value::as_str) == Some("$type") => String::new(),
        Some(filter) => match expression(filter) {
            Some(filter) => filter,
            // A part that cannot be told from the rest is left out rather than drawn on all.
            None => return Vec::new(),
        },
    };
    let look = |css: &str| -> Option<Look> {
        Some(match (drawn, kind.dimension()) {
            ("fill", Some(2)) => Look::Fill {
                colour: colour(css, opacity("fill-opacity"))?,
                outline: paint("fill-outline-color")
                    .and_then(Value::as_str)
                    .and_then(|c| colour(c, 1.0)),
            },
            ("line", Some(1 | 2)) => Look::Line {
                colour: colour(css, opacity("line-opacity"))?,
                width: size(paint("line-width"), 1.0, 1.0),
                dashes: dashes(paint("line-dasharray"), number(paint("line-width")).unwrap_or(1.0)),
            },
            ("circle", Some(0)) => Look::Circle {
                colour: colour(css, opacity("circle-opacity"))?,
                size: size(paint("circle-radius"), 5.0, 2.0),
                stroke: paint("circle-stroke-color")
                    .and_then(Value::as_str)
                    .and_then(|c| colour(c, 1.0))
                    .unwrap_or_else(|| "0,0,0,0".into()),
                stroke_width: number(paint("circle-stroke-width")).unwrap_or(0.0) * PIXEL,
            },
            _ => return None,
        })
    };
    let title = layer.pointer("/metadata/socle:title").or_else(|| layer.get("id"));
    let title = title.and_then(Value::as_str).unwrap_or_default();
    classes(paint(&format!("{drawn}-color")))
        .into_iter()
        .filter_map(|class| {
            let filter = match (base.is_empty(), class.filter) {
                (_, None) => base.clone(),
                (true, Some(filter)) => filter,
                (false, Some(filter)) => format!("{base} AND {filter}"),
            };
            Some(Rule {
                label: words.of(&class.css).unwrap_or_else(|| {
                    if filter.is_empty() { title.to_owned() } else { filter.clone() }
                }),
                filter,
                scales: scales(layer),
                look: look(&class.css)?,
            })
        })
        .collect()
}

/// The colours of a paint value, each with whom it is for.
fn classes(value: Option<&Value>) -> Vec<Class> {
    let all = |css: &str| vec![Class { css: css.to_owned(), filter: None }];
    match value {
        None => all("#000000"),
        Some(Value::String(css)) => all(css),
        Some(Value::Array(parts)) => split(parts).unwrap_or_default(),
        Some(_) => Vec::new(),
    }
}

/// Classes of `step`, `match` and `case`; a curve over the zoom has one colour.
fn split(parts: &[Value]) -> Option<Vec<Class>> {
    let css = |v: &Value| v.as_str().map(str::to_owned);
    let of = |v: &Value, filter: String| Some(Class { css: css(v)?, filter: Some(filter) });
    let (head, rest) = parts.split_first()?;
    match head.as_str()? {
        "step" => {
            let (input, rest) = rest.split_first()?;
            let (first, pairs) = rest.split_first()?;
            let input = expression(input)?;
            let from: Option<Vec<f64>> =
                pairs.chunks_exact(2).map(|p| p.first()?.as_f64()).collect();
            let from = from?;
            let mut classes = vec![of(first, format!("({input} < {})", from.first()?))?];
            for (i, pair) in pairs.chunks_exact(2).enumerate() {
                let low = from.get(i)?;
                let filter = match from.get(i + 1) {
                    Some(high) => format!("({input} >= {low} AND {input} < {high})"),
                    None => format!("({input} >= {low})"),
                };
                classes.push(of(pair.get(1)?, filter)?);
            }
            Some(classes)
        }
        "match" => {
            let (input, rest) = rest.split_first()?;
            let (otherwise, pairs) = rest.split_last()?;
            let input = expression(input)?;
            let mut classes = Vec::new();
            for pair in pairs.chunks_exact(2) {
                classes.push(of(pair.get(1)?, branch(&input, pair.first()?)?)?);
            }
            let others = |c: &Class| Some(format!("NOT {}", c.filter.as_ref()?));
            let none: Option<Vec<String>> = classes.iter().map(others).collect();
            let none = format!("({input} IS NULL OR ({}))", none?.join(" AND "));
            classes.push(of(otherwise, none)?);
            Some(classes)
        }
        "case" => {
            let (otherwise, pairs) = rest.split_last()?;
            let (mut classes, mut before) = (Vec::new(), Vec::new());
            for pair in pairs.chunks_exact(2) {
                let test = expression(pair.first()?)?;
                let mut filter: Vec<String> = before.clone();
                filter.push(test.clone());
                classes.push(of(pair.get(1)?, format!("({})", filter.join(" AND ")))?);
                before.push(format!("coalesce(NOT {test}, TRUE)"));
            }
            classes.push(of(otherwise, format!("({})", before.join(" AND ")))?);
            Some(classes)
        }
        "interpolate" => {
            let middle = parts.get(3..)?.chunks_exact(2).nth((parts.len() - 3) / 4)?;
            Some(vec![Class { css: css(middle.get(1)?)?, filter: None }])
        }
        _ => None,
    }
}

fn labels(layer: &Value) -> Option<Labels> {
    let text = layer.pointer("/layout/text-field")?;
    let (text, is_expression) = match text {
        Value::String(template) => {
            let name = template.strip_prefix('{')?.strip_suffix('}')?;
            (name.to_owned(), false)
        }
        Value::Array(parts) if parts.first()? == "get" => {
            (parts.get(1)?.as_str()?.to_owned(), false)
        }
        other => (expression(other)?, true),
    };
    let paint = |name: &str| layer.pointer(&format!("/paint/{name}")).and_then(Value::as_str);
    let width = number(layer.pointer("/paint/text-halo-width")).unwrap_or(0.0) * PIXEL;
    let halo = paint("text-halo-color").and_then(|c| colour(c, 1.0)).filter(|_| width > 0.0);
    Some(Labels {
        text,
        is_expression,
        size: number(layer.pointer("/layout/text-size")).unwrap_or(16.0) * 0.75,
        colour: paint("text-color")
            .and_then(|c| colour(c, 1.0))
            .unwrap_or_else(|| "0,0,0,255".into()),
        halo: halo.map(|colour| (colour, width)),
        scales: scales(layer),
    })
}

/// Scale denominators between which a layer shows: (largest denominator, smallest).
fn scales(layer: &Value) -> (f64, f64) {
    let at = |name: &str| layer.get(name).and_then(Value::as_f64);
    let scale = |zoom: Option<f64>| zoom.map_or(0.0, |z| (SCALE_0 / z.exp2()).round());
    (scale(at("minzoom").filter(|z| *z > 0.0)), scale(at("maxzoom").filter(|z| *z < 24.0)))
}

/// A number, or the value at [`ZOOM`] of a curve over the zoom.
fn number(value: Option<&Value>) -> Option<f64> {
    match value? {
        Value::Number(n) => n.as_f64(),
        Value::Array(parts) => over_zoom(parts),
        _ => None,
    }
}

fn over_zoom(parts: &[Value]) -> Option<f64> {
    let zoom = |v: &Value| v.get(0).and_then(Value::as_str) == Some("zoom");
    let (stops, first) = match parts.first()?.as_str()? {
        "interpolate" if zoom(parts.get(2)?) => (parts.get(3..)?, None),
        "step" if zoom(parts.get(1)?) => (parts.get(3..)?, number(parts.get(2))),
        _ => return None,
    };
    let mut below: Option<(f64, f64)> = first.map(|y| (f64::NEG_INFINITY, y));
    for pair in stops.chunks_exact(2) {
        let (x, y) = (pair.first()?.as_f64()?, number(pair.get(1))?);
        if x > ZOOM {
            return Some(match below {
                Some((x0, y0)) if first.is_none() => y0 + (y - y0) * (ZOOM - x0) / (x - x0),
                Some((_, y0)) => y0,
                None => y,
            });
        }
        below = Some((x, y));
    }
    below.map(|(_, y)| y)
}

/// A length in pixels, times `factor`, in millimetres.
fn size(value: Option<&Value>, default: f64, factor: f64) -> Size {
    let scale = PIXEL * factor;
    let by_feature = match (value, number(value)) {
        (Some(curve @ Value::Array(_)), None) => {
            expression(curve).map(|e| format!("{e} * {scale:.4}"))
        }
        _ => None,
    };
    Size { fixed: number(value).unwrap_or(default) * scale, by_feature }
}

/// A dash pattern, in widths, as millimetres.
fn dashes(value: Option<&Value>, width: f64) -> Option<String> {
    let parts = match value?.as_array()?.as_slice() {
        [Value::String(head), list] if head == "literal" => list.as_array()?,
        _ => value?.as_array()?,
    };
    let parts: Option<Vec<String>> =
        parts.iter().map(|p| Some(format!("{:.3}", p.as_f64()? * width * PIXEL))).collect();
    parts.filter(|p| p.len() >= 2).map(|p| p.join(";"))
}

/// A CSS colour (`#rgb`, `#rrggbb`, `#rrggbbaa`, `rgb()`, `rgba()`, a few names) as `r,g,b,a`.
pub(super) fn colour(css: &str, opacity: f64) -> Option<String> {
    let css = css.trim();
    let (rgb, alpha) = match css {
        "white" => ([255, 255, 255], 1.0),
        "black" => ([0, 0, 0], 1.0),
        "transparent" => ([0, 0, 0], 0.0),
        _ if css.starts_with('#') => hex(css.get(1..)?)?,
        _ => functional(css)?,
    };
    let alpha = (alpha * opacity.clamp(0.0, 1.0) * 255.0).round();
    Some(format!("{},{},{},{alpha}", rgb[0], rgb[1], rgb[2]))
}

fn hex(digits: &str) -> Option<([u8; 3], f64)> {
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let long = match digits.len() {
        3 | 4 => digits.chars().flat_map(|c| [c, c]).collect(),
        6 | 8 => digits.to_owned(),
        _ => return None,
    };
    let byte = |i: usize| u8::from_str_radix(long.get(i..i + 2)?, 16).ok();
    let alpha = if long.len() == 8 { f64::from(byte(6)?) / 255.0 } else { 1.0 };
    Some(([byte(0)?, byte(2)?, byte(4)?], alpha))
}

fn functional(css: &str) -> Option<([u8; 3], f64)> {
    let inside = css.strip_prefix("rgba(").or_else(|| css.strip_prefix("rgb("))?;
    let inside = inside.strip_suffix(')')?;
    let parts: Option<Vec<f64>> =
        inside.split([',', ' ', '/']).filter(|p| !p.is_empty()).map(|p| p.parse().ok()).collect();
    let parts = parts?;
    let byte = |i: usize| parts.get(i).map(|n| n.clamp(0.0, 255.0).round() as u8);
    Some(([byte(0)?, byte(1)?, byte(2)?], parts.get(3).copied().unwrap_or(1.0)))
}

impl Symbology {
    /// The same, with the features named by `name` from close by when nothing else is written.
    #[must_use]
    pub fn named_by(mut self, name: Option<&str>) -> Self {
        if let (None, Some(name)) = (&self.labels, name) {
            self.labels = Some(Labels {
                text: field(name),
                is_expression: true,
                size: 8.0,
                colour: "40,40,40,255".into(),
                halo: Some(("255,255,255,230".into(), 0.7)),
                scales: (150_000.0, 0.0),
            });
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn colours_of_css_are_read() {
        assert_eq!(colour("#e6eaec", 1.0).unwrap(), "230,234,236,255");
        assert_eq!(colour("#f00", 0.5).unwrap(), "255,0,0,128");
        assert_eq!(colour("rgba(1, 2, 3, 0.5)", 1.0).unwrap(), "1,2,3,128");
        assert_eq!(colour("#ééé", 1.0), None);
        assert_eq!(colour("url(x)", 1.0), None);
    }

    #[test]
    fn curves_over_the_zoom_are_read_at_one_zoom() {
        let curve = json!(["interpolate", ["linear"], ["zoom"], 6, 0.0, 14, 8.0]);
        assert_eq!(number(Some(&curve)), Some(4.0));
        let steps = json!(["step", ["zoom"], 1, 8, 2, 12, 3]);
        assert_eq!(number(Some(&steps)), Some(2.0));
        assert_eq!(number(Some(&json!(["interpolate", ["linear"], ["zoom"], 12, 5]))), Some(5.0));
    }

    #[test]
    fn classes_become_rules_with_the_words_of_the_legend() {
        let style = json!({
            "metadata": { "socle:legend": { "items": [{ "fill": "#111111", "fr": "petites" }] } },
            "layers": [
                { "type": "background" },
                { "id": "c", "type": "fill", "source-layer": "communes", "paint": {
                    "fill-color": ["step", ["get", "pop"], "#111111", 500, "#222222", 2000, "#333333"] } },
                { "id": "b", "type": "line", "source-layer": "communes", "minzoom": 9,
                  "filter": ["==", "dep", "59"], "paint": { "line-color": "#000" } },
                { "id": "other", "type": "fill", "source-layer": "cantons", "paint": {} },
                { "id": "t", "type": "symbol", "source-layer": "communes",
                  "layout": { "text-field": "{nom}", "text-size": 12 } }
            ]
        });
        let s = Symbology::of_style(&style, "communes", GeometryKind::MultiPolygon);
        let filters: Vec<&str> = s.rules.iter().map(|r| r.filter.as_str()).collect();
        assert_eq!(
            filters,
            [
                "(\"pop\" < 500)",
                "(\"pop\" >= 500 AND \"pop\" < 2000)",
                "(\"pop\" >= 2000)",
                "(\"dep\" = '59')"
            ]
        );
        assert_eq!(s.rules[0].label, "petites");
        assert_eq!(s.rules[3].scales, (545_979.0, 0.0));
        let labels = s.labels.unwrap();
        assert_eq!((labels.text.as_str(), labels.size), ("nom", 9.0));
        // Discs are no way to draw polygons.
        assert!(Symbology::of_style(&style, "cantons", GeometryKind::Point).is_empty());
    }

    #[test]
    fn what_matches_no_value_is_drawn_with_the_rest() {
        let style = json!({ "layers": [{ "id": "m", "type": "circle", "source-layer": "m", "paint": {
            "circle-color": ["match", ["get", "t"], "a", "#ff0000", "#000000"],
            "circle-radius": ["interpolate", ["linear"], ["get", "n"], 0, 2, 10, 8] } }] });
        let s = Symbology::of_style(&style, "m", GeometryKind::Point);
        assert_eq!(s.rules[1].filter, "(\"t\" IS NULL OR (NOT (\"t\" = 'a')))");
        let Look::Circle { size, .. } = &s.rules[0].look else { panic!() };
        assert!(size.by_feature.as_ref().unwrap().contains("\"n\""));
    }
}
