//! What is to be added to a table, as it was asked for.

use crate::{
    catalog::{Layer, Snapshot},
    error::{Error, Result},
    model::{GeometryKind, Level},
    territory::Add,
    text,
};
use std::sync::Arc;

/// Most columns to add.
const MOST: usize = 50;

/// What is to be added.
#[derive(Default)]
pub struct Wanted {
    /// What follows from the commune.
    pub(super) communal: Vec<Add>,
    /// The levels that only a place tells.
    pub(super) levels: Vec<Level>,
    /// Properties of layers, by place.
    pub(super) properties: Vec<Property>,
}

/// A property of a layer.
pub(super) struct Property {
    /// The name of the column: as it was asked for.
    pub(super) title: String,
    pub(super) layer: Arc<Layer>,
    pub(super) field: usize,
}

impl Wanted {
    /// Reads wishes: `epci` (the code of a level), `epci:nom` (its name), `layer:property`.
    ///
    /// # Errors
    /// [`Error::Invalid`], saying what is possible.
    pub fn read(wishes: &[String], snapshot: Option<&Snapshot>) -> Result<Self> {
        let mut wanted = Self::default();
        if wishes.len() > MOST {
            return Err(Error::Invalid(text!(
                "{MOST} colonnes à ajouter au plus.",
                "At most {MOST} columns to add."
            )));
        }
        for wish in wishes.iter().map(|wish| wish.trim()).filter(|wish| !wish.is_empty()) {
            let (head, rest) = wish.split_once(':').map_or((wish, None), |(h, r)| (h, Some(r)));
            let level = head.parse::<Level>().ok().filter(|level| *level != Level::Fr);
            match (level, rest) {
                (Some(Level::Com), None | Some("nom" | "name")) => {}
                (Some(level), None) if level.is_communal() => {
                    wanted.communal.push(Add::Code(level))
                }
                (Some(level), Some("nom" | "name")) if level.is_communal() => {
                    wanted.communal.push(Add::Name(level));
                }
                (Some(level), None) => wanted.levels.push(level),
                (_, Some(property)) => {
                    wanted.properties.push(property_of(wish, head, property, snapshot)?);
                }
                (None, None) => return Err(unknown(wish)),
            }
        }
        Ok(wanted)
    }

    /// Whether a place is needed for it.
    pub(super) fn needs_places(&self) -> bool {
        !self.levels.is_empty() || !self.properties.is_empty()
    }
}

fn unknown(wish: &str) -> Error {
    let levels = Level::every().into_iter().filter(|level| *level != Level::Fr);
    let levels = levels.map(Level::id).collect::<Vec<_>>().join(", ");
    let wish: String = wish.chars().take(80).collect();
    Error::Invalid(text!(
        "« add » : « {wish} ». Possibles : un niveau ({levels}), « niveau:nom », ou « couche:propriété ».",
        "\"add\": \"{wish}\". Possible: a level ({levels}), \"level:name\", or \"layer:property\"."
    ))
}

fn property_of(
    wish: &str,
    layer: &str,
    property: &str,
    snapshot: Option<&Snapshot>,
) -> Result<Property> {
    let layer = snapshot.ok_or_else(|| unknown(wish))?.layer(layer);
    let layer = layer.map_err(|error| match error {
        Error::NotFound(text) => Error::Invalid(text),
        other => other,
    })?;
    let (id, schema) = (&layer.def.id, &layer.at()?.version.schema);
    if !matches!(
        schema.geometry,
        GeometryKind::Polygon | GeometryKind::MultiPolygon | GeometryKind::Geometry
    ) {
        return Err(Error::Invalid(text!(
            "La couche « {id} » n'a pas de surfaces : rien ne dit dans laquelle est un point.",
            "Layer \"{id}\" has no areas: nothing tells which one a point is in."
        )));
    }
    let field = schema.index(property).ok_or_else(|| {
        let known: Vec<&str> = schema.fields.iter().map(|f| f.name.as_str()).collect();
        let (known, shown) = (known.join(", "), property.chars().take(80).collect::<String>());
        Error::Invalid(text!(
            "Couche « {id} » : propriété inconnue « {shown} ». Propriétés : {known}.",
            "Layer \"{id}\": unknown property \"{shown}\". Properties: {known}."
        ))
    })?;
    Ok(Property { title: wish.to_owned(), layer: layer.clone(), field })
}
