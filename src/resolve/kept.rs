//! Polygons kept between tables, for a while: reading the communes of a country takes longer than
//! asking them where a thousand addresses are.

use super::Resolver;
use crate::{
    catalog::{Layer, Snapshot},
    error::{Error, Result},
    formats::wkb,
    geometry::overlap::BorderIndex,
    import::Borders,
    model::{Budget, ValueRef},
    query::{Filter, Scan, Start},
    store::{At, Row, Store},
    territory::Reference,
};
use std::{
    ops::ControlFlow,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long what nobody asks for is kept.
const IDLE: Duration = Duration::from_secs(600);
/// Layers kept, beside the borders.
const LAYERS: usize = 4;
/// How long one waits for another's reading between two looks at the clock.
const LOOK: Duration = Duration::from_millis(100);
/// Rows read between two looks at the clock.
const ROWS: usize = 1024;

/// A layer's areas with one of its properties.
pub(super) struct Areas {
    /// Their payload is the position in `values`.
    pub(super) index: BorderIndex,
    pub(super) values: Vec<String>,
}

/// What is kept.
#[derive(Default)]
pub(super) struct Kept {
    /// The borders of one state of the layers.
    borders: Shelf<Borders>,
    /// The areas of one state of a layer and one of its properties.
    areas: Shelf<Areas>,
    uses: AtomicU64,
}

/// A few things by name. Who asks for one that is not there makes it; who asks meanwhile waits for
/// it. The lock is never held while anything is made.
struct Shelf<T> {
    /// Oldest first; without a thing while it is made.
    kept: Mutex<Vec<(String, Option<Arc<T>>)>>,
    ready: Condvar,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { kept: Mutex::default(), ready: Condvar::new() }
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes room again when making a thing failed, or ended in a panic.
struct Making<'a, T> {
    shelf: &'a Shelf<T>,
    name: &'a str,
}

impl<T> Drop for Making<'_, T> {
    fn drop(&mut self) {
        lock(&self.shelf.kept).retain(|(name, thing)| name != self.name || thing.is_some());
        self.shelf.ready.notify_all();
    }
}

impl<T> Shelf<T> {
    /// The thing of a name, made when it is not there; at most `most` are kept. Never called on a
    /// thread of the runtime itself.
    fn get(
        &self,
        name: &str,
        most: usize,
        budget: &Budget,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        let mut kept = lock(&self.kept);
        loop {
            match kept.iter().find(|(known, _)| known == name) {
                Some((_, Some(thing))) => return Ok(thing.clone()),
                Some((_, None)) => {
                    budget.look()?;
                    let waited = self.ready.wait_timeout(kept, LOOK);
                    kept = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => break,
            }
        }
        kept.push((name.to_owned(), None));
        drop(kept);
        let making = Making { shelf: self, name };
        let made = Arc::new(make()?);
        let mut kept = lock(&self.kept);
        if let Some((_, thing)) = kept.iter_mut().find(|(known, _)| known == name) {
            *thing = Some(made.clone());
        }
        let mut excess = kept.len().saturating_sub(most);
        kept.retain(|(known, thing)| {
            let goes = excess > 0 && known != name && thing.is_some();
            excess -= usize::from(goes);
            !goes
        });
        drop(kept);
        drop(making);
        Ok(made)
    }

    /// Lets go of all that is made.
    fn clear(&self) {
        lock(&self.kept).retain(|(_, thing)| thing.is_none());
    }
}

impl Kept {
    /// The border layers of a snapshot.
    pub(super) fn borders(
        &self,
        snapshot: &Snapshot,
        reference: &Reference,
        store: &Arc<dyn Store>,
        budget: &Budget,
    ) -> Result<Arc<Borders>> {
        // Polygons are kept by the ranks of the reference.
        let state = format!("{} {}", snapshot.generation, reference.id());
        self.borders.get(&state, 1, budget, || {
            let layers = snapshot.served().filter_map(|l| Some((&l.def, l.current.clone()?)));
            Borders::new(layers, store)
        })
    }

    /// The areas of a layer with a property. Never called on a thread of the runtime itself.
    pub(super) fn areas(
        &self,
        layer: &Layer,
        field: usize,
        store: &Arc<dyn Store>,
        budget: &Arc<Budget>,
    ) -> Result<Arc<Areas>> {
        let at = layer.at()?;
        let name = format!("{}/{}/{field}", layer.def.id, at.key());
        self.areas.get(&name, LAYERS, budget, || read(at, field, store, budget))
    }

    /// Lets go of everything when nobody asks again for a while.
    pub(super) fn forget_later(&self, resolver: &Arc<Resolver>) {
        let seen = self.uses.fetch_add(1, Ordering::Relaxed) + 1;
        if lock(&self.borders.kept).is_empty() && lock(&self.areas.kept).is_empty() {
            return;
        }
        let resolver = Arc::downgrade(resolver);
        tokio::spawn(async move {
            tokio::time::sleep(IDLE).await;
            let Some(resolver) = resolver.upgrade() else { return };
            if resolver.kept.uses.load(Ordering::Relaxed) == seen {
                resolver.kept.borders.clear();
                resolver.kept.areas.clear();
            }
        });
    }
}

fn read(at: &At, field: usize, store: &Arc<dyn Store>, budget: &Arc<Budget>) -> Result<Areas> {
    type Rows = Vec<(String, Vec<u8>)>;
    let rows: Arc<Mutex<Rows>> = Arc::default();
    let (out, waits) = (rows.clone(), budget.clone());
    let sink = Box::new(move |row: &Row<'_>| {
        if let Some(wkb) = row.wkb {
            let mut out = lock(&out);
            if out.len().is_multiple_of(ROWS) && waits.look().is_err() {
                return ControlFlow::Break(());
            }
            out.push((words(row.values.get(field)), wkb.to_vec()));
        }
        ControlFlow::Continue(())
    });
    let scan = Scan { filter: Filter::default(), start: Start::Ordinal(0), limit: None };
    tokio::runtime::Handle::current().block_on(store.scan(at, scan, sink))?;
    budget.look()?;
    let rows = std::mem::take(&mut *lock(&rows));
    let (mut polygons, mut values) = (Vec::with_capacity(rows.len()), Vec::new());
    for (payload, (value, bytes)) in (0u32..).zip(rows) {
        budget.step()?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn each_thing_is_made_once_while_others_go_on() {
        let (shelf, made) = (Shelf::<String>::default(), AtomicU64::new(0));
        let budget = Budget::default();
        let get = |name: &str| {
            let make = || {
                made.fetch_add(1, Ordering::Relaxed);
                // What is being made keeps nobody from another thing.
                shelf.get("other", 2, &budget, || Ok("other".into()))?;
                thread::sleep(Duration::from_millis(20));
                Ok(name.to_owned())
            };
            shelf.get(name, 2, &budget, make)
        };
        let get = &get;
        thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(move || get("one"))).collect();
            for one in all {
                assert_eq!(*one.join().unwrap().unwrap(), "one");
            }
        });
        assert_eq!(made.load(Ordering::Relaxed), 1);
        // No more than so many, the newest; what failed leaves its place.
        get("two").unwrap();
        assert_eq!(lock(&shelf.kept).len(), 2);
        let failed = shelf.get("bad", 2, &budget, || Err(Error::broken("no")));
        assert!(failed.is_err() && shelf.get("bad", 2, &budget, || Ok(String::new())).is_ok());
        shelf.clear();
        assert!(lock(&shelf.kept).is_empty());
    }

    #[test]
    fn who_waits_for_another_waits_no_longer_than_there_is_time() {
        let shelf = Shelf::<String>::default();
        let late = Budget::new(None, Some(std::time::Instant::now()));
        let made = shelf.get("one", 2, &Budget::default(), || {
            let other = shelf.get("one", 2, &late, || Ok("twice".into()));
            assert!(matches!(other, Err(Error::Unavailable(_))));
            Ok("once".into())
        });
        assert_eq!(*made.unwrap(), "once");
    }
}
