//! What is asked for, checked; its name, and the name of the file it becomes.

use crate::{
    catalog::{Layer, Outline},
    error::{Error, Result},
    formats::write::{Kind, Options, ids},
    geometry::crs::Crs,
    model::Text,
    query::Filter,
    text,
};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Layers in one export.
const MOST_LAYERS: usize = 200;

/// One layer of an export.
#[derive(Debug, Clone)]
pub struct Part {
    /// The layer, in the state it is exported in.
    pub layer: Arc<Layer>,
    /// Which of its features.
    pub filter: Filter,
    /// The border they are cut at.
    pub outline: Option<Outline>,
}

/// The territory of an export, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// For file names: `dep-59`, `dep-59-within`.
    pub slug: String,
    /// With the mode: « Nord (dep:59), sélectionné ».
    pub words: Text,
}

/// An export, checked.
#[derive(Debug, Clone)]
pub struct Order {
    /// Its layers, in the order asked for.
    pub parts: Vec<Part>,
    /// The format.
    pub kind: &'static Kind,
    /// The system of its coordinates.
    pub crs: Crs,
    /// What was asked of the format.
    pub options: Options,
    /// The territory, if there is one.
    pub extent: Option<Extent>,
    /// Vintage of the territory reference.
    pub vintage: u16,
    /// Landing page of the service (within the scope), for files that point back to it.
    pub service: Option<String>,
}

/// Nothing to export.
pub(super) fn no_layer() -> Error {
    Error::Invalid(text!(
        "Aucune couche à exporter : nommez-en dans « collections ».",
        "No layer to export: name some in \"collections\"."
    ))
}

impl Order {
    /// The format of an id.
    ///
    /// # Errors
    /// [`Error::Invalid`], listing the formats.
    pub fn kind(id: &str) -> Result<&'static Kind> {
        Kind::of(id).ok_or_else(|| {
            let (shown, ids): (String, _) = (id.chars().take(40).collect(), ids());
            Error::Invalid(text!(
                "Format inconnu : « {shown} ». Formats : {ids}.",
                "Unknown format: \"{shown}\". Formats: {ids}."
            ))
        })
    }

    /// The system asked for, of those that files are written in; `None` when none was, and the
    /// format has a choice.
    ///
    /// # Errors
    /// [`Error::Invalid`], listing the systems; or saying that the format knows no other than CRS84.
    pub fn crs(kind: &Kind, asked: Option<&str>) -> Result<Option<Crs>> {
        let crs84 = kind.crs84.then(Crs::crs84);
        let Some(asked) = asked else { return Ok(crs84) };
        let known = Crs::parse(asked).ok().filter(|crs| crs.definition().is_some());
        let Some(crs) = known else {
            let shown: String = asked.chars().take(80).collect();
            let list = Crs::written().map(|c| c.to_string()).collect::<Vec<_>>().join(", ");
            return Err(Error::Invalid(text!(
                "Système de coordonnées non disponible : « {shown} ». Possibles : CRS84, EPSG {list}.",
                "Coordinate reference system not available: \"{shown}\". Possible: CRS84, EPSG {list}."
            )));
        };
        if kind.crs84 && !crs.is_crs84() {
            let (title, name) = (kind.title, crs.name());
            return Err(Error::Invalid(text!(
                "Le format {title} est toujours en WGS 84 (CRS84) : « {name} » n'est pas possible. Retirez « crs » ou choisissez un autre format.",
                "{title} is always in WGS 84 (CRS84): \"{name}\" is not possible. Leave \"crs\" out or choose another format."
            )));
        }
        Ok(Some(if kind.crs84 { Crs::crs84() } else { crs }))
    }

    /// The systems of coordinates a file may be asked for in: their EPSG codes and names.
    pub fn systems() -> impl Iterator<Item = (u32, String)> {
        let named = |code| Some((code, Crs::from_epsg(code)?.name().to_owned()));
        Crs::written().filter_map(named)
    }

    /// Checks what a list of layers must be.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none, or too many.
    pub fn check_layers(count: usize) -> Result<()> {
        match count {
            0 => Err(no_layer()),
            n if n > MOST_LAYERS => Err(Error::Invalid(text!(
                "{n} couches demandées : {MOST_LAYERS} au plus par export.",
                "{n} layers asked for: at most {MOST_LAYERS} in an export."
            ))),
            _ => Ok(()),
        }
    }

    /// Its name: the same for two orders that give the same file.
    pub fn id(&self) -> Result<String> {
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        };
        add(env!("CARGO_PKG_VERSION"));
        add(self.kind.id);
        add(&format!("{:?}{:?}", self.crs.epsg(), self.options));
        add(&format!("{:?}{}", self.extent.as_ref().map(|e| &e.words), self.vintage));
        if self.kind.id == "kit" {
            add(self.service.as_deref().unwrap_or_default());
        }
        for part in &self.parts {
            let at = part.layer.at()?;
            add(&at.key());
            add(&format!("{:?}", part.layer.def));
            add(&part.filter.key());
            add(part.outline.as_ref().map_or("", |o| &o.key));
        }
        Ok(hash.finalize().iter().take(12).map(|b| format!("{b:02x}")).collect())
    }

    /// Whether the file is an archive of files of the format.
    pub fn is_archive(&self) -> bool {
        self.parts.len() > 1 && !self.kind.several
    }

    /// Media type of the file.
    pub fn media(&self) -> &'static str {
        if self.is_archive() { "application/zip" } else { self.kind.media }
    }

    /// Name of the file: `socle_communes_dep-59_2026-11-24.gpkg`.
    pub fn file_name(&self) -> String {
        let mut name = "socle_".to_owned();
        match self.parts.as_slice() {
            few @ [_] | few @ [_, _] | few @ [_, _, _] => {
                let ids: Vec<&str> = few.iter().map(|p| p.layer.def.id.as_str()).collect();
                name.push_str(&ids.join("-"));
            }
            many => name.push_str(&format!("{}-couches", many.len())),
        }
        if let Some(extent) = &self.extent {
            // Twenty territories would make a name that few file systems take.
            let slug: String = extent.slug.chars().take(80).collect();
            name.push_str(&format!("_{slug}"));
        }
        let cut = |f: &Filter| f.bbox.is_some() || !f.equals.is_empty() || f.expression.is_some();
        if self.parts.iter().any(|p| cut(&p.filter)) {
            name.push_str("_extrait");
        }
        let today = jiff::Timestamp::now().strftime("%Y-%m-%d");
        let extension = match (self.is_archive(), self.kind.id) {
            (true, id) => format!("{id}.zip"),
            (false, id @ ("shp" | "kit")) => format!("{id}.zip"),
            (false, _) => self.kind.extension.to_owned(),
        };
        format!("{name}_{today}.{extension}")
    }
}
