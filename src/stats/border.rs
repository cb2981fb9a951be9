//! The layer that draws a level's territories: their polygons, their names, their keys.

use super::share::Polygons;
use crate::{
    catalog::Snapshot,
    error::{Error, Result},
    model::{Code, Lang, Level, TerritoryCode, ValueRef},
    query::{Filter, Scan, Start},
    store::{At, Row, Store},
    territory::{Carry, Reference, Unit},
    text,
};
use rustc_hash::FxHashMap;
use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

/// A layer whose features are the territories of a level, at one state.
#[derive(Debug, Clone)]
pub struct Border {
    /// The level.
    pub level: Level,
    /// The state.
    pub at: At,
    /// Field of the codes.
    pub(super) code: usize,
    /// Field of the names.
    label: Option<usize>,
    /// Field and value that tell the level's own features from others in the layer.
    only: Option<(usize, String)>,
}

impl Border {
    /// The layer that draws a level, if one is declared and served.
    pub fn of(snapshot: &Snapshot, level: Level) -> Option<Self> {
        snapshot.served().find_map(|layer| {
            let binding = &layer.def.territory;
            let at = layer.current.clone().filter(|_| binding.borders == Some(level))?;
            let schema = &at.version.schema;
            let column = binding.columns.iter().find(|c| c.level == level)?;
            let code = schema.index(&column.column)?;
            let label = layer.def.label.as_ref().and_then(|l| schema.index(l));
            let only = match &binding.borders_where {
                Some((column, value)) => Some((schema.index(column)?, value.clone())),
                None => None,
            };
            Some(Self { level, at, code, label, only })
        })
    }

    /// The refusal of an answer that needs the layer.
    pub fn missing(level: Level) -> Error {
        let (fr, en) = (level.plural(Lang::Fr), level.plural(Lang::En));
        Error::Conflict(text!(
            "Il faut les limites du niveau « {level} » ({fr}), et aucune couche servie ne les porte. Déclarez une couche avec « borders = \"{level}\" », puis moissonnez-la.",
            "The borders of level \"{level}\" ({en}) are needed, and no layer that is served has them. Declare a layer with borders = \"{level}\", then harvest it."
        ))
    }

    /// Names the state, for keys of what is made from it.
    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.at.layer, self.at.key())
    }

    /// The names of the territories by code, where the layer says which field holds them.
    pub(super) async fn names(&self, store: &Arc<dyn Store>) -> Result<FxHashMap<String, String>> {
        let names: Arc<Mutex<FxHashMap<String, String>>> = Arc::default();
        let Some(label) = self.label else { return Ok(FxHashMap::default()) };
        let (out, border) = (names.clone(), self.clone());
        let sink = Box::new(move |row: &Row<'_>| {
            if let (Some(code), Some(name)) = (border.code_of(row.values), plain(row.values, label))
            {
                out.lock().unwrap_or_else(PoisonError::into_inner).insert(code, name);
            }
            ControlFlow::Continue(())
        });
        store.scan_values(&self.at, whole(), sink).await?;
        Ok(std::mem::take(&mut *names.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// The territories of the level, in the order of their codes.
    pub(super) async fn units(&self, store: &Arc<dyn Store>) -> Result<Vec<Unit>> {
        let units: Arc<Mutex<Vec<Unit>>> = Arc::default();
        let (out, border) = (units.clone(), self.clone());
        let sink = Box::new(move |row: &Row<'_>| {
            let code = border.code_of(row.values);
            let code = code.and_then(|code| TerritoryCode::new(border.level, &code).ok());
            if let Some(code) = code {
                let name = border.label.and_then(|label| plain(row.values, label));
                let name = name.unwrap_or_else(|| code.code.to_string());
                out.lock().unwrap_or_else(PoisonError::into_inner).push(Unit { code, name });
            }
            ControlFlow::Continue(())
        });
        store.scan_values(&self.at, whole(), sink).await?;
        let mut units = std::mem::take(&mut *units.lock().unwrap_or_else(PoisonError::into_inner));
        units.sort_by(|a, b| a.code.cmp(&b.code));
        units.dedup_by(|b, a| a.code == b.code);
        Ok(units)
    }

    /// The code of one of its rows; `None` for rows of other levels.
    pub(super) fn code_of(&self, values: &[ValueRef<'_>]) -> Option<String> {
        let ours = self.only.as_ref().is_none_or(|(i, v)| plain(values, *i).as_ref() == Some(v));
        plain(values, self.code).filter(|_| ours)
    }

    /// The polygons of some territories, each under the number that `place` gives it.
    pub(super) async fn polygons(
        &self,
        store: &Arc<dyn Store>,
        place: impl Fn(&str) -> Option<u32> + Send + 'static,
    ) -> Result<Polygons> {
        let polygons: Arc<Mutex<Polygons>> = Arc::default();
        let (out, border) = (polygons.clone(), self.clone());
        let sink = Box::new(move |row: &Row<'_>| {
            let place = border.code_of(row.values).and_then(|code| place(&code));
            if let (Some(place), Some(wkb)) = (place, row.wkb) {
                let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
                out.push((place, wkb.to_vec()));
            }
            ControlFlow::Continue(())
        });
        store.scan(&self.at, whole(), sink).await?;
        Ok(std::mem::take(&mut *polygons.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// The territory that a code of the layer names today; communes are carried.
    pub(super) fn territory(&self, reference: &Reference, code: &str) -> Option<TerritoryCode> {
        if self.level == Level::Com {
            return match reference.carry(code) {
                Carry::Current(rank) | Carry::Carried(rank) => reference.commune(rank),
                Carry::Shared(_) | Carry::Unknown => None,
            };
        }
        let code = Code::new(self.level, code).ok()?;
        Some(TerritoryCode { level: self.level, code })
    }
}

/// All rows.
pub(super) fn whole() -> Scan {
    Scan { filter: Filter::default(), start: Start::Ordinal(0), limit: None }
}

/// The text of a code or a name.
fn plain(values: &[ValueRef<'_>], field: usize) -> Option<String> {
    match values.get(field) {
        Some(ValueRef::Text(s)) if !s.trim().is_empty() => Some(s.trim().to_owned()),
        Some(ValueRef::Int(n)) => Some(n.to_string()),
        _ => None,
    }
}
