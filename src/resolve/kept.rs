//! Polygons kept between tables, for a while: reading the communes of a country takes longer than
//! asking them where a thousand addresses are.

use super::Resolver;
use crate::{
    catalog::{Layer, Snapshot},
    error::{Error, Result},
    formats::wkb,
    geometry::overlap::BorderIndex,
    import::Borders,
    model::ValueRef,
    query::{Filter, Scan, Start},
    store::{At, Row, Store},
    territory::Reference,
};
use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long what nobody asks for is kept.
const IDLE: Duration = Duration::from_secs(600);
/// Layers kept, beside the borders.
const LAYERS: usize = 4;

/// A layer's areas with one of its properties.
pub(super) struct Areas {
    /// Their payload is the position in `values`.
    pub(super) index: BorderIndex,
    pub(super) values: Vec<String>,
}

/// The borders of one state of the layers.
type BordersAt = (String, Arc<Borders>);
/// The areas of one state of a layer and one of its properties, by the name of both.
type AreasAt = (String, Arc<Areas>);

/// What is kept.
#[derive(Default)]
pub(super) struct Kept {
    borders: Mutex<Option<BordersAt>>,
    areas: Mutex<Vec<AreasAt>>,
    uses: AtomicU64,
}

fn lock<T>(held: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    /// The border layers of a snapshot.
    pub(super) fn borders(
        &self,
        snapshot: &Snapshot,
        reference: &Reference,
        store: &Arc<dyn Store>,
    ) -> Result<Arc<Borders>> {
        let mut kept = lock(&self.borders);
        // Polygons are kept by the ranks of the reference.
        let state = format!("{} {}", snapshot.generation, reference.id());
        if let Some((kept, borders)) = &*kept
            && *kept == state
        {
            return Ok(borders.clone());
        }
        let layers = snapshot.served().filter_map(|l| Some((&l.def, l.current.clone()?)));
        let borders = Arc::new(Borders::new(layers, store)?);
        *kept = Some((state, borders.clone()));
        Ok(borders)
    }

    /// The areas of a layer with a property. Never called on a thread of the runtime itself.
    pub(super) fn areas(
        &self,
        layer: &Layer,
        field: usize,
        store: &Arc<dyn Store>,
    ) -> Result<Arc<Areas>> {
        let at = layer.at()?;
        let key = format!("{}/{}/{field}", layer.def.id, at.key());
        // Held while reading: two tables that want the same layer read it once.
        let mut kept = lock(&self.areas);
        if let Some((_, areas)) = kept.iter().find(|(name, _)| *name == key) {
            return Ok(areas.clone());
        }
        let areas = Arc::new(read(at, field, store)?);
        if kept.len() >= LAYERS {
            kept.remove(0);
        }
        kept.push((key, areas.clone()));
        Ok(areas)
    }

    /// Lets go of everything when nobody asks again for a while.
    pub(super) fn forget_later(&self, resolver: &Arc<Resolver>) {
        let seen = self.uses.fetch_add(1, Ordering::Relaxed) + 1;
        if lock(&self.borders).is_none() && lock(&self.areas).is_empty() {
            return;
        }
        let resolver = Arc::downgrade(resolver);
        tokio::spawn(async move {
            tokio::time::sleep(IDLE).await;
            let Some(resolver) = resolver.upgrade() else { return };
            if resolver.kept.uses.load(Ordering::Relaxed) == seen {
                *lock(&resolver.kept.borders) = None;
                lock(&resolver.kept.areas).clear();
            }
        });
    }
}

fn read(at: &At, field: usize, store: &Arc<dyn Store>) -> Result<Areas> {
    type Rows = Vec<(String, Vec<u8>)>;
    let rows: Arc<Mutex<Rows>> = Arc::default();
    let out = rows.clone();
    let sink = Box::new(move |row: &Row<'_>| {
        if let Some(wkb) = row.wkb {
            lock(&out).push((words(row.values.get(field)), wkb.to_vec()));
        }
        ControlFlow::Continue(())
    });
    let scan = Scan { filter: Filter::default(), start: Start::Ordinal(0), limit: None };
    tokio::runtime::Handle::current().block_on(store.scan(at, scan, sink))?;
    let rows = std::mem::take(&mut *lock(&rows));
    let (mut polygons, mut values) = (Vec::with_capacity(rows.len()), Vec::new());
    for (payload, (value, bytes)) in (0u32..).zip(rows) {
        let geometry = wkb::read(&bytes).map_err(|e| Error::fault("a layer's geometry", e))?;
        polygons.push((payload, geometry));
        values.push(value);
    }
    Ok(Areas { index: BorderIndex::new(polygons), values })
}

/// A property's value as text.
fn words(value: Option<&ValueRef<'_>>) -> String {
    match value {
        None | Some(ValueRef::Null) => String::new(),
        Some(ValueRef::Bool(b)) => b.to_string(),
        Some(ValueRef::Int(i)) => i.to_string(),
        Some(ValueRef::Float(f)) => f.to_string(),
        Some(ValueRef::Text(text) | ValueRef::Json(text)) => (*text).to_owned(),
    }
}
