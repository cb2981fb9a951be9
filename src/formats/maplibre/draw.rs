//! The style layers of a layer: insides below outlines below points below symbols below names.

use super::{Part, colours, parts, theme};
use crate::model::{Drawing, GeometryKind, LayerDef, Theme, Version};
use serde_json::{Value, json};

/// Least room between features for their names to begin, CSS pixels.
const ROOM: f64 = 60.0;
/// Latest zoom at which names begin.
const LAST: f64 = 16.0;

/// Fonts of names, by the names they have on machines: one is on most. MapLibre takes any other where
/// none is; QGIS knows the first alone.
const FONTS: [&str; 3] = ["Open Sans", "Arial", "DejaVu Sans"];
/// First zoom with the symbols of points.
const SYMBOLS: u8 = 13;

/// What is drawn of a layer.
struct Sketch<'a> {
    def: &'a LayerDef,
    version: &'a Version,
    theme: Theme,
    parts: Vec<Part>,
}

/// The style layers of a layer, from the bottom up; `symbols`: points bear that of the theme.
pub(super) fn layers(def: &LayerDef, version: &Version, symbols: bool) -> Vec<Value> {
    let sketch = Sketch { def, version, theme: theme(def), parts: parts(def, version) };
    let kind = version.schema.geometry;
    let mut layers = match kind.dimension() {
        _ if kind == GeometryKind::None => return Vec::new(),
        Some(0) => sketch.circles(None),
        Some(1) => sketch.lines(None),
        Some(_) => [sketch.fills(None), vec![sketch.borders(None)]].concat(),
        None => [
            sketch.fills(Some("Polygon")),
            vec![sketch.borders(Some("Polygon"))],
            sketch.lines(Some("LineString")),
            sketch.circles(Some("Point")),
        ]
        .concat(),
    };
    layers.extend(symbols.then(|| sketch.symbols()));
    layers.extend(sketch.names());
    layers
}

impl Sketch<'_> {
    /// A style layer over one of the layers of the tiles, for features of one geometry.
    fn over(&self, suffix: &str, kind: &str, source_layer: &str, filter: Option<Value>) -> Value {
        let id = self.def.id.as_str();
        let mut layer = json!({
            "id": format!("{id}{suffix}"),
            "type": kind,
            "source": id,
            "source-layer": source_layer,
        });
        if let Some(filter) = filter {
            layer["filter"] = filter;
        }
        layer
    }

    /// One style layer per part, the first of the legend on top.
    fn each(
        &self,
        suffix: &str,
        kind: &str,
        geometry: Option<&str>,
        paint: impl Fn(&Part) -> Value,
    ) -> Vec<Value> {
        let one = |(i, part): (usize, &Part)| {
            let number = if self.parts.len() > 1 { format!("-{}", i + 1) } else { String::new() };
            let filter = both(geometry, part.filter.clone());
            let id = format!("{suffix}{number}");
            let mut layer = self.over(&id, kind, self.def.id.as_str(), filter);
            layer["paint"] = paint(part);
            layer
        };
        self.parts.iter().enumerate().rev().map(one).collect()
    }

    fn is_divided(&self) -> bool {
        self.parts.len() > 1
    }

    fn fills(&self, geometry: Option<&str>) -> Vec<Value> {
        // Borders are seen through; colours that say something are nearly what the legend shows.
        let opacity = match (self.is_divided(), self.theme) {
            (true, _) => 0.85,
            (false, Theme::Limites) => 0.08,
            (false, _) => 0.3,
        };
        let paint = |part: &Part| json!({ "fill-color": part.colour, "fill-opacity": opacity });
        self.each("-fill", "fill", geometry, paint)
    }

    fn borders(&self, geometry: Option<&str>) -> Value {
        let alone = self.version.drawing.as_ref().is_some_and(|d| d.borders);
        let borders = Drawing::borders_of(self.def.id.as_str());
        let source_layer = if alone { &borders } else { self.def.id.as_str() };
        let filter = both(geometry.filter(|_| !alone), None);
        let mut layer = self.over("-border", "line", source_layer, filter);
        let edge = if self.is_divided() { "#4a5560" } else { colours::of_theme(self.theme).edge };
        layer["metadata"] = json!({ "socle:title": "limites" });
        layer["layout"] = json!({ "line-join": "round" });
        // Thin when far: thousands of borders would hide what they enclose.
        layer["paint"] = json!({ "line-color": edge, "line-width": over_zoom(&[(4, 0.1), (7, 0.3), (10, 1.0), (14, 1.5)]) });
        layer
    }

    fn lines(&self, geometry: Option<&str>) -> Vec<Value> {
        let width = over_zoom(&[(6, 0.7), (10, 1.5), (14, 3.0)]);
        let mut lines = self.each(
            "-line",
            "line",
            geometry,
            |part| json!({ "line-color": part.colour, "line-width": width }),
        );
        for line in &mut lines {
            line["layout"] = json!({ "line-cap": "round", "line-join": "round" });
        }
        lines
    }

    fn circles(&self, geometry: Option<&str>) -> Vec<Value> {
        let radius = over_zoom(&[(5, 2.5), (9, 3.5), (12, 5.0), (14, 8.0)]);
        let stroke = over_zoom(&[(6, 0.2), (9, 0.8), (13, 1.5)]);
        self.each("-circle", "circle", geometry, |part| {
            json!({
                "circle-color": part.colour,
                "circle-radius": radius,
                "circle-stroke-color": "#ffffff",
                "circle-stroke-width": stroke,
            })
        })
    }

    /// The symbol of the theme, on discs that are large enough for it.
    fn symbols(&self) -> Value {
        let mut layer = self.over("-symbol", "symbol", self.def.id.as_str(), None);
        layer["minzoom"] = SYMBOLS.into();
        layer["layout"] =
            json!({ "icon-image": self.theme.id(), "icon-size": 0.6, "icon-allow-overlap": true });
        layer
    }

    /// What the features are called.
    fn names(&self) -> Option<Value> {
        let field = self.def.label.as_deref().filter(|_| self.def.symbols.labels)?;
        self.version.schema.index(field)?;
        let id = self.def.id.as_str();
        let apart = self.version.drawing.as_ref().is_some_and(|d| d.labels);
        let source_layer = if apart { Drawing::labels_of(id) } else { id.to_owned() };
        let mut layer = self.over("-label", "symbol", &source_layer, None);
        layer["minzoom"] = self.first_names().into();
        let mut layout = json!({ "text-field": ["get", field], "text-font": FONTS, "text-size": 12, "text-max-width": 8 });
        match self.version.schema.geometry.dimension() {
            Some(0) => {
                layout["text-anchor"] = "top".into();
                layout["text-offset"] = json!([0, 0.8]);
            }
            Some(1) => layout["symbol-placement"] = "line".into(),
            _ => {}
        }
        layer["layout"] = layout;
        layer["paint"] = json!({
            "text-color": "#1f2933",
            "text-halo-color": "#ffffff",
            "text-halo-width": 1.5,
        });
        Some(layer)
    }

    /// The first zoom with names: as the file says, else where features are on average so far from
    /// each other that names have room.
    fn first_names(&self) -> u8 {
        let version = self.version;
        let told = self.def.symbols.labels_from;
        let room = || {
            let b = version.bbox.filter(|b| !b.crosses_antimeridian())?;
            let degrees = ((b.east - b.west) * (b.north - b.south) / version.count as f64).sqrt();
            // A tile of 512 pixels spans the circle at zoom 0.
            let zoom = (ROOM * 360.0 / 512.0 / degrees).log2().ceil();
            zoom.is_finite().then(|| zoom.clamp(0.0, LAST) as u8)
        };
        told.or_else(room).unwrap_or(LAST as u8).max(version.min_zoom)
    }
}

/// A curve over the zoom.
fn over_zoom(stops: &[(u8, f64)]) -> Value {
    let mut curve = vec![json!("interpolate"), json!(["linear"]), json!(["zoom"])];
    for (zoom, value) in stops {
        curve.extend([json!(zoom), json!(value)]);
    }
    Value::Array(curve)
}

/// Both conditions, where there are two.
fn both(geometry: Option<&str>, filter: Option<Value>) -> Option<Value> {
    let geometry = geometry.map(|kind| json!(["==", "$type", kind]));
    match (geometry, filter) {
        (Some(geometry), Some(filter)) => Some(json!(["all", geometry, filter])),
        (one, other) => one.or(other),
    }
}

/// Plain drawing of an MVT layer of a source of which nothing is known but, perhaps, its dimension.
/// `id` begins the ids of the style's layers.
pub fn plain(id: &str, source: &str, source_layer: &str, dimension: Option<u8>) -> Vec<Value> {
    let colours = colours::of_theme(Theme::Divers);
    let of = |suffix: &str, kind: &str, paint: Value| json!({ "id": format!("{id}{suffix}"), "type": kind, "source": source, "source-layer": source_layer, "paint": paint });
    let only = |mut layer: Value, geometry: &str| {
        layer["filter"] = json!(["==", "$type", geometry]);
        layer
    };
    let fill = of("-fill", "fill", json!({ "fill-color": colours.main, "fill-opacity": 0.3 }));
    let width = over_zoom(&[(4, 0.1), (7, 0.3), (10, 1.0)]);
    let border = of("-border", "line", json!({ "line-color": colours.edge, "line-width": width }));
    let line = of("-line", "line", json!({ "line-color": colours.edge, "line-width": 2 }));
    let circle = of(
        "-circle",
        "circle",
        json!({ "circle-color": colours.main, "circle-radius": 4, "circle-stroke-color": "#ffffff", "circle-stroke-width": 1 }),
    );
    match dimension {
        Some(0) => vec![circle],
        Some(1) => vec![line],
        Some(_) => vec![fill, border],
        None => vec![
            only(fill, "Polygon"),
            only(border, "Polygon"),
            only(line, "LineString"),
            only(circle, "Point"),
        ],
    }
}
