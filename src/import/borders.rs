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
use std::{
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

/// Polygons ready to be asked.
pub(super) struct Loaded {
    pub(super) index: BorderIndex,
    /// Territory of each payload of the index; for communes the payload is the rank itself.
    pub(super) codes: Vec<TerritoryCode>,
}

/// A border as it is stored: code and WKB.
type Polygon = (String, Vec<u8>);

/// All border layers in force.
#[derive(Default)]
pub struct Borders {
    list: Vec<Border>,
}

impl Borders {
    /// The border layers among the given layers, each with its current version. Communal levels
    /// other than communes need none: they are made of communes. Called on the runtime, which
    /// the later reading needs.
    pub fn new<'a>(
        layers: impl IntoIterator<Item = (&'a LayerDef, At)>,
        store: &Arc<dyn Store>,
    ) -> Result<Self> {
        let mut list = Vec::new();
        for (def, at) in layers {
            let Some(level) = def.territory.borders else { continue };
            if level.is_communal() && level != Level::Com {
                continue;
            }
            let schema = &at.version.schema;
            let column = def.territory.columns.iter().find(|c| c.level == level);
            let Some(code) = column.and_then(|c| schema.index(&c.column)) else { continue };
            let only = match &def.territory.borders_where {
                Some((column, value)) => schema.index(column).map(|i| (i, value.clone())),
                None => None,
            };
            let (store, runtime, loaded) = (store.clone(), Handle::current(), Mutex::default());
            list.push(Border { level, at, code, only, store, runtime, loaded });
        }
        Ok(Self { list })
    }

    /// The borders that serve a layer: all but its own.
    pub(super) fn serving<'a>(&'a self, layer: &'a LayerId) -> impl Iterator<Item = &'a Border> {
        self.list.iter().filter(move |b| b.at.layer != *layer)
    }
}

impl Border {
    /// What the polygons come from, for reach indexes' names.
    pub(super) fn key(&self) -> String {
        format!("{}={}/{}", self.level, self.at.layer, self.at.version.id)
    }

    /// The polygons; read on first use, once however many threads ask. Never called on a thread
    /// of the runtime itself.
    pub(super) fn load(&self, reference: &Reference) -> Result<Arc<Loaded>> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &*loaded {
            return Ok(loaded.clone());
        }
        let fresh = Arc::new(self.read(reference)?);
        *loaded = Some(fresh.clone());
        Ok(fresh)
    }

    fn read(&self, reference: &Reference) -> Result<Loaded> {
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
        let mut polygons = Vec::with_capacity(rows.len());
        let mut codes = Vec::new();
        for (code, bytes) in rows {
            let geometry = wkb::read(&bytes).map_err(|e| Error::fault("border geometry", e))?;
            let payload = if self.level == Level::Com {
                match reference.carry(&code) {
                    Carry::Current(rank) | Carry::Carried(rank) => rank,
                    Carry::Shared(_) | Carry::Unknown => continue,
                }
            } else {
                let Ok(code) = Code::new(self.level, &code) else { continue };
                codes.push(TerritoryCode { level: self.level, code });
                codes.len() as u32 - 1
            };
            polygons.push((payload, geometry));
        }
        Ok(Loaded { index: BorderIndex::new(polygons), codes })
    }
}
