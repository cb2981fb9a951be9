//! What of a layer tiles leave out or add: as its file says, then as its budget has it.

use super::budget;
use crate::{
    error::{Error, Result},
    geometry::overview::Weighed,
    model::{Drawing, Feature, LayerDef, Schema, Version},
    store::{
        Spool,
        lightening::{self, Rule},
    },
    text,
};

/// How far tiles look where the layer does not say, in 1/4096 of a tile.
const BUFFER: u16 = 64;

/// Decides how a version's tiles are drawn, and says so. Gives its lines and polygons weighed, where that
/// took weighing them.
///
/// # Errors
/// [`Error::Refused`] when the layer's file names a field that is not there.
pub(super) fn plan(
    def: &LayerDef,
    features: &Spool<Feature>,
    version: &mut Version,
) -> Result<Option<Weighed>> {
    let options = &def.tiles;
    known(&version.schema, options.from.keys().chain(&options.keep))?;
    let polygons = version.schema.geometry.dimension() == Some(2);
    let mut drawing = Drawing {
        from: options.from.clone(),
        labels: options.labels && polygons,
        borders: options.borders && polygons,
        ..Drawing::default()
    };
    // The id, the name and what colours depend on: without them a tile's features can neither be
    // joined, nor named, nor drawn.
    let colours = def.symbols.division.as_ref().map(|division| division.field());
    let own = [def.key.as_deref(), def.label.as_deref(), colours].into_iter().flatten();
    let keep = options.keep.iter().map(String::as_str).chain(own).map(str::to_owned).collect();
    let buffer = options.buffer.unwrap_or(BUFFER);
    let rule = Rule { budget: budget(def), buffer, keep };
    let weighed = lightening::plan(features, version, &mut drawing, &rule)?;
    tell(&drawing, version);
    version.drawing = (drawing != Drawing::default()).then(|| Box::new(drawing));
    Ok(weighed)
}

/// Refuses names of fields that are not there.
fn known<'a>(schema: &Schema, names: impl Iterator<Item = &'a String>) -> Result<()> {
    for name in names {
        if schema.index(name).is_none() {
            let all: Vec<&str> = schema.fields.iter().map(|f| f.name.as_str()).collect();
            let all = all.join(", ");
            return Err(Error::Refused(text!(
                "[tiles] nomme le champ « {name} », que la source n'a pas. Ses champs : {all}.",
                "[tiles] names the field \"{name}\", which the source does not have. Its fields: {all}."
            )));
        }
    }
    Ok(())
}

/// What the budget took away, for the report.
fn tell(drawing: &Drawing, version: &mut Version) {
    let Some(budget) = drawing.budget else { return };
    let kb = budget / 1000;
    let notes = &mut version.report.notes;
    if let Some(zoom) = drawing.detail.keys().next_back() {
        notes.push(text!(
            "Contours simplifiés davantage jusqu'au zoom {zoom}, pour qu'aucune tuile ne dépasse {kb} ko.",
            "Outlines simplified further up to zoom {zoom}, so that no tile exceeds {kb} kB."
        ));
    }
    for field in &drawing.dropped {
        let from = drawing.from.get(field).copied().unwrap_or_default();
        notes.push(text!(
            "Champ « {field} » absent des tuiles avant le zoom {from}, pour qu'aucune ne dépasse {kb} ko.",
            "Field \"{field}\" left out of tiles before zoom {from}, so that none exceeds {kb} kB."
        ));
    }
    if let Some(asked) = drawing.asked_min_zoom {
        let first = version.min_zoom;
        notes.push(text!(
            "Tuiles à partir du zoom {first} au lieu de {asked} : plus tôt, elles dépasseraient {kb} ko sans perdre d'entités.",
            "Tiles from zoom {first} on instead of {asked}: earlier ones would exceed {kb} kB unless features were left out."
        ));
    }
}
