//! QGIS's own documents: projects (`.qgs`, inside a `.qgz`), layer definitions to drag and drop
//! (`.qlr`) and styles (`.qml`, as GeoPackage's `layer_styles` holds them). Written for QGIS 3.22
//! and newer: elements that QGIS fills in by itself are left out.

mod draw;
mod expression;
mod symbology;

pub use symbology::Symbology;

use super::xml::Xml;
use crate::model::{GeometryKind, stable_hash};

/// The version whose format is written.
const VERSION: &str = "3.22.0";

/// A project: groups of layers on one map.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its title.
    pub title: String,
    /// What it is, in a paragraph.
    pub summary: String,
    /// EPSG code of the map.
    pub crs: u32,
    /// What the map shows first, in the CRS of the map: x and y of the lower left corner, x and y
    /// of the upper right one.
    pub extent: Option<[f64; 4]>,
    /// Groups from the top to the bottom.
    pub groups: Vec<Group>,
}

/// Some layers under one title.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its title.
    pub title: String,
    /// Layers from the top to the bottom.
    pub layers: Vec<Layer>,
}

/// A layer of a project.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Unique in the project; see [`layer_id`].
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its description.
    pub summary: String,
    /// Licence in words.
    pub licence: String,
    /// The mention that must be shown.
    pub attribution: String,
    /// Where its features are.
    pub source: Source,
    /// What they are.
    pub geometry: GeometryKind,
    /// EPSG code; `None`: CRS84.
    pub crs: Option<u32>,
    /// How they are drawn; empty: as QGIS likes.
    pub symbology: Symbology,
    /// Whether it is shown at first.
    pub shown: bool,
}

/// Where the features of a layer are.
#[derive(Debug, Clone)]
pub enum Source {
    /// A table of a GeoPackage beside the project.
    GeoPackage {
        /// Name of the file.
        file: String,
        /// Name of the table.
        table: String,
    },
    /// A collection of an OGC API Features service.
    Features {
        /// Landing page.
        url: String,
        /// Collection.
        collection: String,
    },
}

impl Source {
    fn provider(&self) -> &'static str {
        match self {
            Self::GeoPackage { .. } => "ogr",
            Self::Features { .. } => "OAPIF",
        }
    }

    fn uri(&self, crs: Option<u32>) -> String {
        match self {
            Self::GeoPackage { file, table } => format!("./{file}|layername={table}"),
            Self::Features { url, collection } => {
                // As QgsDataSourceUri quotes its values.
                let value = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
                let crs = crs.map_or("OGC:CRS84".into(), |n| format!("EPSG:{n}"));
                format!(
                    " pagingEnabled='true' restrictToRequestBBOX='1' srsname='{crs}' typename='{}' url='{}'",
                    value(collection),
                    value(url)
                )
            }
        }
    }
}

/// An id for a layer, the same for the same `seed` (its address, say), in the form QGIS makes: a
/// name and a UUID. QGIS takes shorter ids for broken ones and does not draw their layers.
pub fn layer_id(name: &str, seed: &str) -> String {
    let hash = format!("{:016x}{:016x}", stable_hash(seed), stable_hash(name));
    let mut id = name.to_owned();
    for (part, digits) in hash.as_bytes().chunks(4).enumerate() {
        if matches!(part, 0 | 2 | 3 | 4 | 5) {
            id.push('_');
        }
        id.extend(digits.iter().map(|&digit| char::from(digit)));
    }
    id
}

/// The text of a `.qgs` file.
pub fn project(project: &Project) -> String {
    let mut xml = Xml::starting("<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n");
    xml.open("qgis", &[("version", VERSION), ("projectname", &project.title)]);
    xml.text("title", &project.title);
    xml.open("projectCrs", &[]);
    crs(&mut xml, Some(project.crs));
    xml.close();
    tree(&mut xml, &project.groups);
    canvas(&mut xml, project);
    xml.open("projectlayers", &[]);
    for layer in project.groups.iter().flat_map(|g| &g.layers) {
        maplayer(&mut xml, layer);
    }
    xml.close();
    xml.open("properties", &[]);
    xml.open("Paths", &[]).text_with("Absolute", &[("type", "bool")], "false").close();
    xml.open("SpatialRefSys", &[]);
    xml.text_with("ProjectionsEnabled", &[("type", "int")], "1").close();
    xml.close();
    xml.open("projectMetadata", &[]);
    xml.text("title", &project.title).text("abstract", &project.summary).text("language", "FRE");
    xml.close();
    xml.finish()
}

/// The text of a `.qlr` file: layers to drop into any project.
pub fn layer_definition(groups: &[Group]) -> String {
    let mut xml = Xml::starting("<!DOCTYPE qgis-layer-definition>\n");
    xml.open("qlr", &[]);
    tree(&mut xml, groups);
    xml.open("maplayers", &[]);
    for layer in groups.iter().flat_map(|g| &g.layers) {
        maplayer(&mut xml, layer);
    }
    xml.finish()
}

/// The text of a `.qml` file: how a layer of that kind is drawn.
pub fn style(symbology: &Symbology, geometry: GeometryKind) -> String {
    let mut xml = Xml::starting("<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n");
    xml.open("qgis", &[("version", VERSION), ("styleCategories", "Symbology|Labeling")]);
    draw::renderer(&mut xml, symbology, geometry);
    draw::labels(&mut xml, symbology, geometry);
    xml.text("layerGeometryType", &geometry.dimension().map_or("4".into(), |d| d.to_string()));
    xml.finish()
}

fn crs(xml: &mut Xml, code: Option<u32>) {
    let authority = code.map_or("OGC:CRS84".into(), |n| format!("EPSG:{n}"));
    // QGIS goes by `authid`, but only where `srsid` (a row of its own database) looks like one.
    xml.open("spatialrefsys", &[]).text("srsid", "1").text("authid", &authority).close();
}

fn tree(xml: &mut Xml, groups: &[Group]) {
    xml.open("layer-tree-group", &[("name", ""), ("expanded", "1"), ("checked", "Qt::Checked")]);
    for group in groups {
        // A group without a title would be one more click: its layers stand alone.
        if !group.title.is_empty() {
            let attributes =
                [("name", group.title.as_str()), ("expanded", "1"), ("checked", "Qt::Checked")];
            xml.open("layer-tree-group", &attributes);
        }
        for layer in &group.layers {
            let shown = if layer.shown { "Qt::Checked" } else { "Qt::Unchecked" };
            xml.empty(
                "layer-tree-layer",
                &[
                    ("id", &layer.id),
                    ("name", &layer.title),
                    ("providerKey", layer.source.provider()),
                    ("source", &layer.source.uri(layer.crs)),
                    ("checked", shown),
                    ("expanded", "0"),
                ],
            );
        }
        if !group.title.is_empty() {
            xml.close();
        }
    }
    xml.close();
}

fn canvas(xml: &mut Xml, project: &Project) {
    let Some([x0, y0, x1, y1]) = project.extent else { return };
    xml.open("mapcanvas", &[("name", "theMapCanvas"), ("annotationsVisible", "1")]);
    xml.text("units", "meters");
    extent(xml, "extent", [x0, y0, x1, y1]);
    xml.text("rotation", "0");
    xml.open("destinationsrs", &[]);
    crs(xml, Some(project.crs));
    xml.close().close();
}

fn extent(xml: &mut Xml, name: &'static str, corners: [f64; 4]) {
    xml.open(name, &[]);
    for (name, value) in ["xmin", "ymin", "xmax", "ymax"].iter().zip(corners) {
        xml.text(name, &value.to_string());
    }
    xml.close();
}

fn maplayer(xml: &mut Xml, layer: &Layer) {
    let geometry = match layer.geometry.dimension() {
        Some(0) => "Point",
        Some(1) => "Line",
        Some(_) => "Polygon",
        None if layer.geometry == GeometryKind::None => "No geometry",
        None => "Unknown geometry",
    };
    let labels = if layer.symbology.labels.is_some() { "1" } else { "0" };
    xml.open("maplayer", &[("type", "vector"), ("geometry", geometry), ("labelsEnabled", labels)]);
    xml.text("id", &layer.id);
    xml.text("datasource", &layer.source.uri(layer.crs));
    xml.text("layername", &layer.title);
    xml.text("title", &layer.title).text("abstract", &layer.summary);
    xml.text("attribution", &layer.attribution);
    xml.open("srs", &[]);
    crs(xml, layer.crs);
    xml.close();
    xml.open("resourceMetadata", &[]);
    xml.text("language", "FRE").text("type", "dataset");
    xml.text("title", &layer.title).text("abstract", &layer.summary);
    xml.text("license", &layer.licence).text("rights", &layer.attribution);
    xml.close();
    xml.text_with("provider", &[("encoding", "UTF-8")], layer.source.provider());
    draw::renderer(xml, &layer.symbology, layer.geometry);
    draw::labels(xml, &layer.symbology, layer.geometry);
    xml.close();
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn layer(source: Source) -> Layer {
        let style = json!({ "layers": [{ "id": "c", "type": "fill", "source-layer": "communes",
            "filter": ["<", ["get", "population"], 500], "paint": { "fill-color": "#edf3ea" } }] });
        let geometry = GeometryKind::MultiPolygon;
        Layer {
            id: layer_id("communes", "seed"),
            title: "Communes <l'Haÿ & co>".into(),
            summary: String::new(),
            licence: "Licence Ouverte 2.0".into(),
            attribution: "IGN".into(),
            source,
            geometry,
            crs: Some(2154),
            symbology: Symbology::of_style(&style, "communes", geometry),
            shown: true,
        }
    }

    fn group(source: Source) -> Group {
        Group { title: "Référence".into(), layers: vec![layer(source)] }
    }

    #[test]
    fn a_project_names_its_layers_once_in_the_tree_and_once_among_the_layers() {
        let source = Source::GeoPackage { file: "kit.gpkg".into(), table: "communes".into() };
        let text = project(&Project {
            title: "Nord".into(),
            summary: String::new(),
            crs: 2154,
            extent: Some([650_000.0, 6_980_000.0, 790_000.0, 7_120_000.0]),
            groups: vec![group(source)],
        });
        let id = layer_id("communes", "seed");
        assert!(id.len() > 40 && id.starts_with("communes_"), "{id}");
        assert_eq!(text.matches(&id).count(), 2);
        assert_eq!(text.matches("./kit.gpkg|layername=communes").count(), 2);
        assert!(text.contains("Communes &lt;l'Haÿ &amp; co&gt;"));
        assert!(text.contains("filter=\"(&quot;population&quot; &lt; 500)\""));
    }

    #[test]
    fn an_address_cannot_leave_its_quotes() {
        let source =
            Source::Features { url: "http://h/?a='b".into(), collection: "co\\mm'unes".into() };
        let text = layer_definition(&[group(source)]);
        assert!(text.contains("url='http://h/?a=\\'b'"), "{text}");
        assert!(text.contains("typename='co\\\\mm\\'unes'"));
        assert!(text.contains("providerKey=\"OAPIF\""));
    }

    #[test]
    fn a_style_stands_alone() {
        let source = Source::GeoPackage { file: "a.gpkg".into(), table: "t".into() };
        let layer = layer(source);
        let text = style(&layer.symbology, layer.geometry);
        assert!(text.contains("RuleRenderer") && text.contains("<layerGeometryType>2<"));
    }
}
