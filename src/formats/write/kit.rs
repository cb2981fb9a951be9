//! The kit of a territory: an archive that holds one GeoPackage of all layers, QGIS projects that
//! open it and that read the same layers from the service, and LISEZMOI.txt. Unpack, double-click.

use super::{
    Head, Options, Row, Target, Writer,
    archive::{entry, fault},
    broken, io, no_layer, readme,
};
use crate::{
    error::Result,
    formats::{geopackage, qgis, wkb},
};
use std::{
    fs::File,
    io::{BufWriter, Cursor, Write},
    path::PathBuf,
};
use zip::ZipWriter;

/// The GeoPackage's name in the archive: projects name it.
const DATA: &str = "donnees.gpkg";
/// The project over the GeoPackage.
const PROJECT: &str = "projet.qgz";
/// The project over the service.
const LIVE: &str = "projet-en-direct.qgz";

/// Begins a kit.
pub(super) fn open(target: Target, options: Options) -> Result<Box<dyn Writer>> {
    let path = target.scratch.join(DATA);
    let file = File::create(&path).map_err(io)?;
    let data = Target {
        out: Box::new(BufWriter::with_capacity(1 << 18, file)),
        scratch: target.scratch.clone(),
    };
    let data = geopackage::write::open(data, options)?;
    Ok(Box::new(Kit { data, path, out: target.out, layers: Vec::new(), extent: None }))
}

struct Kit {
    data: Box<dyn Writer>,
    path: PathBuf,
    out: Box<dyn Write + Send>,
    layers: Vec<Head>,
    /// Of all layers, in their system.
    extent: Option<[f64; 4]>,
}

impl Writer for Kit {
    fn begin(&mut self, head: &Head) -> Result<()> {
        self.layers.push(head.clone());
        self.data.begin(head)
    }

    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        if self.layers.is_empty() {
            return Err(no_layer());
        }
        if let Some(b) = row.wkb.map(wkb::bounds).transpose().map_err(broken)?.flatten() {
            let e = self.extent.unwrap_or(b);
            self.extent = Some([e[0].min(b[0]), e[1].min(b[1]), e[2].max(b[2]), e[3].max(b[3])]);
        }
        self.data.row(row)
    }

    fn end(&mut self) -> Result<()> {
        self.data.end()
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let Self { data, path, out, layers, extent } = *self;
        data.finish()?;
        let mut zip = ZipWriter::new_stream(out);
        let start =
            |zip: &mut ZipWriter<_>, name: &str| zip.start_file(name, entry(name)).map_err(fault);
        start(&mut zip, DATA)?;
        std::io::copy(&mut File::open(&path).map_err(io)?, &mut zip).map_err(io)?;
        std::fs::remove_file(&path).map_err(io)?;
        start(&mut zip, PROJECT)?;
        zip.write_all(&packed(&project(&layers, extent, false))?).map_err(io)?;
        let live = layers.iter().any(|head| service(head).is_some());
        if live {
            start(&mut zip, LIVE)?;
            zip.write_all(&packed(&project(&layers, extent, true))?).map_err(io)?;
        }
        start(&mut zip, "LISEZMOI.txt")?;
        zip.write_all(words(&layers, live).as_bytes()).map_err(io)?;
        zip.finish().map_err(fault)?.into_inner().flush().map_err(io)
    }
}

/// A `.qgz`: an archive of one project.
fn packed(project: &str) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("projet.qgs", entry("projet.qgs").large_file(false)).map_err(fault)?;
    zip.write_all(project.as_bytes()).map_err(io)?;
    Ok(zip.finish().map_err(fault)?.into_inner())
}

/// The text of a project: over the GeoPackage, or over the service.
fn project(layers: &[Head], extent: Option<[f64; 4]>, live: bool) -> String {
    let territory = layers.iter().flat_map(|l| &l.facts).find(|f| f.key == "territory");
    let title = territory.map_or_else(|| "Socle".to_owned(), |f| f.value.clone());
    let crs = layers.first().map_or(4326, |l| l.system.code);
    qgis::project(&qgis::Project {
        title,
        summary: layers.iter().map(|l| l.title.as_str()).collect::<Vec<_>>().join(", "),
        crs,
        extent: extent.map(margin),
        groups: groups(layers, live),
    })
}

fn service(head: &Head) -> Option<&str> {
    head.project.as_ref()?.service.as_deref()
}

fn is_border(head: &Head) -> bool {
    head.project.as_ref().is_some_and(|p| p.is_border)
}

/// Some room around what is shown.
fn margin([x0, y0, x1, y1]: [f64; 4]) -> [f64; 4] {
    let (dx, dy) = ((x1 - x0) * 0.04, (y1 - y0) * 0.04);
    [x0 - dx, y0 - dy, x1 + dx, y1 + dy]
}

/// Layers by group, so that what is small lies above what would hide it: points, lines, polygons,
/// and the territories' own borders at the bottom.
fn groups(layers: &[Head], live: bool) -> Vec<qgis::Group> {
    let mut sorted: Vec<&Head> = layers.iter().collect();
    sorted.sort_by_key(|l| (is_border(l), l.schema.geometry.dimension().unwrap_or(3)));
    let mut groups: Vec<qgis::Group> = Vec::new();
    for head in sorted {
        let group = head.project.as_ref().map_or("", |p| p.group.as_str());
        let title = if is_border(head) { "Territoires" } else { group };
        let layer = layer(head, live);
        match groups.iter_mut().find(|g| g.title == title) {
            Some(group) => group.layers.push(layer),
            None => groups.push(qgis::Group { title: title.to_owned(), layers: vec![layer] }),
        }
    }
    groups
}

/// A layer as projects and layer definitions have it.
fn layer(head: &Head, live: bool) -> qgis::Layer {
    let fact = |key: &str| {
        head.facts.iter().find(|f| f.key == key).map(|f| f.value.clone()).unwrap_or_default()
    };
    let (source, crs) = match (service(head), live) {
        (Some(url), true) => {
            let source =
                qgis::Source::Features { url: url.to_owned(), collection: head.name.clone() };
            (source, None)
        }
        _ => {
            let source =
                qgis::Source::GeoPackage { file: DATA.to_owned(), table: head.name.clone() };
            (source, Some(head.system.code))
        }
    };
    let label = head.label.and_then(|i| head.schema.fields.get(i)).map(|f| f.name.as_str());
    let symbology = head.project.as_ref().map(|p| p.symbology.clone());
    qgis::Layer {
        id: qgis::layer_id(&head.name, &format!("{source:?}")),
        title: head.title.clone(),
        summary: head.description.clone(),
        licence: fact("licence"),
        attribution: fact("attribution"),
        source,
        geometry: head.schema.geometry,
        crs,
        symbology: symbology.unwrap_or_default().named_by(label),
        shown: true,
    }
}

/// The text of a `.qlr`: one layer of the service, to drop into any project.
pub fn layer_definition(head: &Head) -> String {
    let layer = layer(head, true);
    qgis::layer_definition(&[qgis::Group { title: String::new(), layers: vec![layer] }])
}

/// LISEZMOI.txt.
fn words(layers: &[Head], live: bool) -> String {
    let mut text = String::from("\u{feff}Contenu\r\n=======\r\n\r\n");
    text.push_str(&format!(
        "{DATA} : toutes les couches, dans un seul fichier GeoPackage.\r\n\
         {PROJECT} : projet QGIS (3.22 ou plus récent) qui ouvre ce fichier. Gardez les deux ensemble.\r\n"
    ));
    if live {
        text.push_str(&format!(
            "{LIVE} : le même projet, branché sur le service : toujours à jour, en ligne.\r\n"
        ));
    }
    text.push_str("\r\n");
    for head in layers {
        text.push_str(&readme::text(head, &[]));
    }
    text
}
