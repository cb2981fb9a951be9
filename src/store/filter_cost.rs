//! What judging a filter may cost, the same for every store.

use crate::{
    error::{Error, Result},
    query::cql2::Expression,
    text,
};
use std::{
    sync::{
        Condvar, LazyLock, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Most time a store looks for what a filter lets through.
pub(super) const TIME: Duration = Duration::from_secs(5);
/// Most time a store looks for the order of a version's features, which is kept thereafter.
pub(super) const SORTING: Duration = Duration::from_secs(15);
/// Most requests that wait at the same time for what a filter lets through or for an order, with
/// those that find it: a few maps at once. Each holds a thread that tiles need as well.
const MOST_WAITING: usize = 128;
/// Most steps, features times the filter's weight, that are worth beginning.
const STEPS: u64 = 20_000_000_000;

/// Places for the filters that this process judges itself: half of the processors, so that the
/// other half goes on with tiles and pages whatever is asked.
static TURNS: LazyLock<Turns> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Turns::new((processors / 2).max(1))
});

static QUEUE: Queue = Queue::new(MOST_WAITING);

/// Requests that wait.
struct Queue {
    most: usize,
    inside: AtomicUsize,
}

/// A place in the queue; given up when it is dropped.
pub(super) struct Waiting<'a>(&'a Queue);

impl Queue {
    const fn new(most: usize) -> Self {
        Self { most, inside: AtomicUsize::new(0) }
    }

    fn enter(&self) -> Result<Waiting<'_>> {
        let entered = Waiting(self);
        match self.inside.fetch_add(1, Ordering::AcqRel) < self.most {
            true => Ok(entered),
            false => Err(Error::Busy { retry_after: TIME }),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Places, taken in turns.
struct Turns {
    free: Mutex<usize>,
    given_back: Condvar,
}

/// A place; given back when it is dropped.
pub(super) struct Turn<'a>(&'a Turns);

impl Turns {
    fn new(places: usize) -> Self {
        Self { free: Mutex::new(places), given_back: Condvar::new() }
    }

    fn take(&self, patience: Duration) -> Result<Turn<'_>> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.given_back.wait_timeout_while(free, patience, |free| *free == 0);
        let (mut free, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() && *free == 0 {
            return Err(Error::Busy { retry_after: patience });
        }
        *free -= 1;
        Ok(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.given_back.notify_one();
    }
}

/// A place among those that wait for a filter or an order, to be held until it is found.
///
/// # Errors
/// [`Error::Busy`] when [`MOST_WAITING`] wait already.
pub(super) fn wait() -> Result<Waiting<'static>> {
    QUEUE.enter()
}

/// Waits, on a thread that may, for a place to judge a filter in this process.
///
/// # Errors
/// [`Error::Busy`] when there is none in [`TIME`].
pub(super) fn turn() -> Result<Turn<'static>> {
    TURNS.take(TIME)
}

/// Refuses what would surely take too long.
pub(super) fn admit(expression: &Expression, features: u64) -> Result<()> {
    match expression.weight().saturating_mul(features) <= STEPS {
        true => Ok(()),
        false => Err(too_slow()),
    }
}

/// The filter took, or would take, longer than it may.
pub(super) fn too_slow() -> Error {
    Error::Invalid(text!(
        "Filtre trop coûteux pour cette couche (plus de 5 s). Donnez une géométrie moins détaillée ou une boîte BBOX, une liste IN plutôt que des OR, moins de calculs ; ou prenez un territoire par « territory » au lieu de sa géométrie.",
        "Filter too costly for this layer (over 5 s). Give a less detailed geometry or a BBOX, an IN list rather than ORs, fewer calculations; or take a territory by \"territory\" instead of its geometry."
    ))
}

/// The order took longer to find than it may.
pub(super) fn too_slow_to_sort() -> Error {
    Error::Invalid(text!(
        "Tri trop long pour cette couche (plus de 15 s). Triez par moins de champs, par un nombre ou une date plutôt qu'un texte, ou prenez les entités dans l'ordre de leur source (sans « sortby »).",
        "Sorting this layer takes too long (over 15 s). Sort by fewer properties, by a number or a date rather than a text, or take the features in the order of their source (without \"sortby\")."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::cql2::{Context, Dialect, check, parse};
    use std::sync::Arc;

    struct Plain;

    impl Context for Plain {
        fn territory(
            &self,
            _: &str,
            _: crate::model::Mode,
        ) -> Result<Arc<crate::model::Selection>> {
            Err(Error::broken("no territory here"))
        }
        fn place(&self, g: geo_types::Geometry<f64>) -> Result<geo_types::Geometry<f64>> {
            Ok(g)
        }
        fn place_box(&self, _: [f64; 4]) -> Result<geo_types::Geometry<f64>> {
            Err(Error::broken("no box here"))
        }
    }

    #[test]
    fn no_more_wait_than_there_is_room_for() {
        let queue = Queue::new(2);
        let first = queue.enter().unwrap();
        let _second = queue.enter().unwrap();
        for _ in 0..3 {
            assert!(matches!(queue.enter(), Err(Error::Busy { .. })));
        }
        drop(first);
        let _third = queue.enter().unwrap();
        assert!(queue.enter().is_err());
    }

    #[test]
    fn places_are_taken_in_turns() {
        let turns = Turns::new(1);
        let first = turns.take(TIME).unwrap();
        let none = turns.take(Duration::from_millis(5));
        assert!(matches!(none, Err(Error::Busy { .. })));
        std::thread::scope(|scope| {
            let second = scope.spawn(|| turns.take(Duration::from_secs(60)).map(|_| ()));
            drop(first);
            assert!(second.join().unwrap().is_ok());
        });
        assert!(turns.take(TIME).is_ok());
    }

    #[test]
    fn a_large_geometry_on_a_large_layer_is_refused_before_any_work() {
        let schema = crate::model::Schema {
            fields: Vec::new(),
            geometry: crate::model::GeometryKind::Point,
        };
        let line: Vec<String> = (0..1_500).map(|i| format!("{} 1", i % 90)).collect();
        let text = format!("S_INTERSECTS(geom, LINESTRING({}))", line.join(","));
        let tree = parse(Dialect::Text, &text).unwrap();
        let filter = check(&tree, &schema, &Plain).unwrap();
        assert!(admit(&filter, 1_500_000).is_ok());
        let Err(Error::Invalid(said)) = admit(&filter, 15_000_000) else { panic!() };
        assert!(said.fr.contains("BBOX") && said.en.contains("territory"));
    }
}
