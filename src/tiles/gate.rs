//! Bounds the renderings at once, those that wait, and how long they wait.

use crate::error::{Error, Result};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// When a client that was turned away may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The door of the renderers.
pub(super) struct Gate {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
    wait: Duration,
}

impl Gate {
    pub(super) fn new(places: usize, most_waiting: usize, wait: Duration) -> Self {
        let places = Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)));
        Self { places, waiting: AtomicUsize::new(0), most_waiting, wait }
    }

    /// A place, kept until the permit is dropped.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many wait already, or after the longest wait.
    pub(super) async fn enter(&self) -> Result<OwnedSemaphorePermit> {
        let busy = || Error::Busy { retry_after: RETRY_AFTER };
        if let Ok(permit) = self.places.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _waiter = Waiter::new(&self.waiting, self.most_waiting).ok_or_else(busy)?;
        match tokio::time::timeout(self.wait, self.places.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }
}

/// Counts itself among those that wait, also when its request is given up.
struct Waiter<'a>(&'a AtomicUsize);

impl<'a> Waiter<'a> {
    fn new(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        let waiter = (count.fetch_add(1, Ordering::Relaxed) < most, Self(count));
        waiter.0.then_some(waiter.1)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
