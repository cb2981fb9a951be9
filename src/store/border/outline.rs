//! Which layers give the border of a perimeter.

use crate::{
    error::{Error, Result},
    model::{
        Clause, FieldKind, Lang, LayerDef, Level, Perimeter, PerimeterUnit, RankSet, Selection,
        TerritoryCode, Value,
    },
    query::Equals,
    store::At,
    text,
};
use std::sync::Arc;

/// The border of one perimeter, or what several have in common, by the layers that give it: not
/// yet read.
#[derive(Debug, Clone)]
pub struct Outline {
    /// Names the territories and the state of each layer: part of cache keys and entity tags.
    pub key: String,
    /// The border is the union of each list; a feature is cut by one after the other.
    pub(super) perimeters: Vec<Vec<Source>>,
}

/// A layer that gives a part of a border.
#[derive(Debug, Clone)]
pub struct Source {
    /// The layer and its state.
    pub at: At,
    /// What the layer says it describes, for the metadata of what is cut with it.
    pub described_at: Option<jiff::civil::Date>,
    /// The territories it gives.
    pub territories: Vec<TerritoryCode>,
    /// The communes whose union they are, when it gives communes.
    pub(super) communes: Option<RankSet>,
    /// Position of its field of codes.
    pub(super) code: usize,
    /// Field and value that tell the level's own features from others.
    pub(super) only: Option<(usize, String)>,
}

impl Outline {
    /// The outline of a perimeter: for each territory the layer of polygons of its level, else,
    /// for one made of communes, the layer of communes.
    ///
    /// # Errors
    /// [`Error::Conflict`] when there is no such layer, saying which to harvest.
    pub fn new<'a>(
        perimeter: &Perimeter,
        layers: impl Iterator<Item = (&'a LayerDef, &'a At)> + Clone,
    ) -> Result<Self> {
        let mut sources: Vec<Source> = Vec::new();
        for unit in &perimeter.units {
            let new = source(unit, layers.clone()).ok_or_else(|| missing(unit))?;
            let same = |s: &&mut Source| {
                s.at.layer == new.at.layer && s.communes.is_some() == new.communes.is_some()
            };
            match sources.iter_mut().find(same) {
                None => sources.push(new),
                Some(known) => {
                    known.territories.extend(new.territories);
                    if let (Some(all), Some(more)) = (&mut known.communes, &new.communes) {
                        *all = all.union(more);
                    }
                }
            }
        }
        let states = sources.iter().map(|s| format!("{}/{}", s.at.layer, s.at.key()));
        let key = format!("{}<{}", perimeter.key, states.collect::<Vec<_>>().join("+"));
        Ok(Self { key, perimeters: vec![sources] })
    }

    /// What two outlines have in common.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut both = [self, other];
        both.sort_by(|a, b| a.key.cmp(&b.key));
        let [first, second] = both;
        if first.key == second.key {
            return first.clone();
        }
        let perimeters = [first.perimeters.clone(), second.perimeters.clone()].concat();
        Self { key: format!("{}&{}", first.key, second.key), perimeters }
    }

    /// The layers it comes from.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.perimeters.iter().flatten()
    }
}

fn source<'a>(
    unit: &PerimeterUnit,
    mut layers: impl Iterator<Item = (&'a LayerDef, &'a At)> + Clone,
) -> Option<Source> {
    let of = |level: Level| {
        move |(def, at): (&'a LayerDef, &'a At)| {
            // A level that is made from communes is cut at the outline of those communes: their
            // generalised borders are then the very ones of their neighbours.
            if def.territory.borders != Some(level) || def.derived().is_some() {
                return None;
            }
            let schema = &at.version.schema;
            let column = def.territory.columns.iter().find(|c| c.level == level)?;
            let only = match &def.territory.borders_where {
                Some((column, value)) => Some((schema.index(column)?, value.clone())),
                None => None,
            };
            Some((def, at, schema.index(&column.column)?, only))
        }
    };
    let own = layers.clone().find_map(of(unit.code.level));
    let (found, communes) = match (own, &unit.communes) {
        (Some(own), communes) => (own, communes.clone().filter(|_| unit.code.level == Level::Com)),
        (None, Some(communes)) => (layers.find_map(of(Level::Com))?, Some(communes.clone())),
        (None, None) => return None,
    };
    let (def, at, code, only) = found;
    Some(Source {
        at: at.clone(),
        described_at: def.described_at,
        territories: vec![unit.code.clone()],
        communes,
        code,
        only,
    })
}

fn missing(unit: &PerimeterUnit) -> Error {
    let (level, code) = (unit.code.level, &unit.code);
    let id = level.id();
    let (fr, en) = (level.plural(Lang::Fr), level.plural(Lang::En));
    if unit.communes.is_some() && level != Level::Com {
        return Error::Conflict(text!(
            "Aucune couche moissonnée ne donne la limite de {code}. Moissonnez une couche de polygones des communes (« borders = \"com\" ») ou des {fr} (« borders = \"{id}\" »).",
            "No harvested layer gives the border of {code}. Harvest a layer of polygons of communes (borders = \"com\") or of {en} (borders = \"{id}\")."
        ));
    }
    Error::Conflict(text!(
        "Aucune couche moissonnée ne donne la limite de {code}. Moissonnez une couche de polygones des {fr} (« borders = \"{id}\" »).",
        "No harvested layer gives the border of {code}. Harvest a layer of polygons of {en} (borders = \"{id}\")."
    ))
}

impl Source {
    /// The features to look among; whether each is one is for [`Source::tells`] to say.
    pub(super) fn selection(&self) -> Option<Arc<Selection>> {
        let names: Vec<String> = self.territories.iter().map(ToString::to_string).collect();
        let within = self.communes.clone();
        let clause = Clause { within: Some(within?), ..Clause::default() };
        let key = format!("{}|within", names.join("+"));
        Some(Arc::new(Selection { key, any: vec![clause] }))
    }

    /// The test that finds one territory's features by their code, where communes do not.
    pub(super) fn equals(&self, territory: &TerritoryCode) -> Equals {
        let code = territory.code.as_str();
        let kind = self.at.version.schema.fields.get(self.code).map(|f| f.kind);
        let value = match (kind, code.parse()) {
            (Some(FieldKind::Int), Ok(number)) => Value::Int(number),
            _ => Value::Text(code.to_owned()),
        };
        Equals { field: self.code, value }
    }
}
