//! The border layers: where attachment by location finds the polygons of a level.

use crate::{
    error::{Error, Result},
    formats::wkb,
    geometry::overlap::BorderIndex,
    model::{Code, LayerDef, LayerId, Level, TerritoryCode, ValueRef},
    query::{Filter, Scan, Start},
    store::{At, Store},
    territory::{Carry, Reference},
};
use geo_types::Geometry;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::runtime::Handle;

/// The polygons of one level, read from their layer when first needed.
pub struct Border {
    /// The level.
    pub level: Level,
    at: At,
    /// Field of the codes.
    code: usize,
    /// Field and value that tell the level's own features from others in the layer.
    only: Option<(usize, String)>,
    store: Arc<dyn Store>,
    runtime: Handle,
    loaded: Mutex<Option<Arc<Loaded>>>,
}

/// The polygons of a layer of communes, each with the rank of its commune.
pub struct Communes {
    pub(super) polygons: Vec<(u32, Geometry<f64>)>,
}

/// Polygons ready to be asked.
pub struct Loaded {
    /// Where they are.
    pub index: BorderIndex,
    /// Territory of each payload of the index; for communes the payload is the rank itself.
    pub codes: Vec<TerritoryCode>,
}

/// A border as it is stored: code and WKB.
type Polygon = (String, Vec<u8>);

/// All border layers in force.
#[derive(Default)]
pub struct Borders {
    /// Those that attach by location.
    list: Vec<Border>,
    /// Those of levels made of communes, which attach nothing but have polygons to give.
    made: Vec<Border>,
}

impl Borders {
    /// The border layers among the given layers, each with its current version. Communal levels
    /// other than communes need none: they are made of communes. Called on the runtime, which
    /// the later reading needs.
    pub fn new<'a>(
        layers: impl IntoIterator<Item = (&'a LayerDef, At)>,
        store: &Arc<dyn Store>,
    ) -> Result<Self> {
        let (mut list, mut made) = (Vec::new(), Vec::new());
        for (def, at) in layers {
            let Some(level) = def.territory.borders else { continue };
            let schema = &at.version.schema;
            let column = def.territory.columns.iter().find(|c| c.level == level);
            let Some(code) = column.and_then(|c| schema.index(&c.column)) else { continue };
            let only = match &def.territory.borders_where {
                Some((column, value)) => schema.index(column).map(|i| (i, value.clone())),
                None => None,
            };
            // Rows are read whatever the reach index in force: border layers are attached to each
            // other, and the index that one had is gone once it has another.
            let at = match at.version.live {
                None => At { reach: String::new(), ..at },
                Some(_) => at,
            };
            let (store, runtime, loaded) = (store.clone(), Handle::current(), Mutex::default());
            let of_communes = level.is_communal() && level != Level::Com;
            let place = if of_communes { &mut made } else { &mut list };
            place.push(Border { level, at, code, only, store, runtime, loaded });
        }
        Ok(Self { list, made })
    }

    /// The border that a layer of communes is.
    pub(super) fn communes(&self, layer: &LayerId) -> Option<&Border> {
        self.list.iter().find(|b| b.level == Level::Com && b.at.layer == *layer)
    }

    /// The border of a level, when a layer gives it.
    pub fn of(&self, level: Level) -> Option<&Border> {
        self.list.iter().find(|border| border.level == level)
    }

    /// The layer that draws a level, whatever the level.
    pub(super) fn drawing(&self, level: Level) -> Option<&Border> {
        self.list.iter().chain(&self.made).find(|border| border.level == level)
    }

    /// The borders that serve a layer: all but its own.
    pub(super) fn serving<'a>(&'a self, layer: &'a LayerId) -> impl Iterator<Item = &'a Border> {
        self.list.iter().filter(move |b| b.at.layer != *layer)
    }
}

impl Border {
    /// The state of the layer.
    pub(super) fn at(&self) -> &At {
        &self.at
    }

    /// The polygons of communes, read each time. Never called on a thread of the runtime itself.
    pub(super) fn communes(&self, reference: &Reference) -> Result<Communes> {
        let mut polygons = Vec::new();
        for (code, bytes) in self.rows()? {
            if let Carry::Current(rank) | Carry::Carried(rank) = reference.carry(&code) {
                polygons.push((rank, polygon(&bytes)?));
            }
        }
        Ok(Communes { polygons })
    }

    /// The polygons of some territories, read each time. Never called on a thread of the runtime
    /// itself.
    pub(super) fn polygons(
        &self,
        reference: &Reference,
        wanted: &BTreeSet<TerritoryCode>,
    ) -> Result<BTreeMap<TerritoryCode, Geometry<f64>>> {
        let mut found = BTreeMap::new();
        for (text, bytes) in self.rows()? {
            let code = match self.level {
                Level::Com => match reference.carry(&text) {
                    Carry::Current(rank) | Carry::Carried(rank) => reference.commune(rank),
                    _ => None,
                },
                level => Code::new(level, &text).ok().map(|code| TerritoryCode { level, code }),
            };
            if let Some(code) = code.filter(|code| wanted.contains(code)) {
                found.insert(code, polygon(&bytes)?);
            }
        }
        Ok(found)
    }

    /// What the polygons come from, for reach indexes' names.
    pub(super) fn key(&self) -> String {
        format!("{}={}/{}", self.level, self.at.layer, self.at.version.id)
    }

    /// The polygons; read on first use, once however many threads ask. Never called on a thread
    /// of the runtime itself.
    pub fn load(&self, reference: &Reference) -> Result<Arc<Loaded>> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &*loaded {
            return Ok(loaded.clone());
        }
        let fresh = Arc::new(self.read(reference)?);
        *loaded = Some(fresh.clone());
        Ok(fresh)
    }

    /// Codes and geometries as they are stored.
    fn rows(&self) -> Result<Vec<Polygon>> {
        let rows: Arc<Mutex<Vec<Polygon>>> = Arc::default();
        let (out, code, only) = (rows.clone(), self.code, self.only.clone());
        let sink = Box::new(move |row: &crate::store::Row<'_>| {
            let text = |i: usize| match row.values.get(i) {
                Some(ValueRef::Text(s)) => Some(s.trim().to_owned()),
                Some(ValueRef::Int(n)) => Some(n.to_string()),
                _ => None,
            };
            let wanted = only.as_ref().is_none_or(|(i, v)| text(*i).as_deref() == Some(v));
            if let (true, Some(code), Some(wkb)) = (wanted, text(code), row.wkb) {
                let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
                out.push((code, wkb.to_vec()));
            }
            ControlFlow::Continue(())
        });
        let scan = Scan { filter: Filter::default(), start: Start::Ordinal(0), limit: None };
        self.runtime.block_on(self.store.scan(&self.at, scan, sink))?;
        let rows = std::mem::take(&mut *rows.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(rows)
    }

    fn read(&self, reference: &Reference) -> Result<Loaded> {
        if self.level == Level::Com {
            let polygons = self.communes(reference)?.polygons;
            return Ok(Loaded { index: BorderIndex::new(polygons), codes: Vec::new() });
        }
        let (mut polygons, mut codes) = (Vec::new(), Vec::new());
        for (code, bytes) in self.rows()? {
            let Ok(code) = Code::new(self.level, &code) else { continue };
            polygons.push((codes.len() as u32, polygon(&bytes)?));
            codes.push(TerritoryCode { level: self.level, code });
        }
        Ok(Loaded { index: BorderIndex::new(polygons), codes })
    }
}

fn polygon(bytes: &[u8]) -> Result<Geometry<f64>> {
    wkb::read(bytes).map_err(|e| Error::fault("border geometry", e))
}
