//! Whether anybody still waits for work that is done on another thread.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// The work's side.
#[derive(Clone, Default)]
pub(super) struct Asked(Arc<AtomicBool>);

/// The side that waits; until it is dropped.
pub(super) struct Asking(Asked);

impl Asked {
    /// Holds that somebody waits.
    pub(super) fn asking(&self) -> Asking {
        Asking(self.clone())
    }

    /// Nobody waits any more.
    pub(super) fn is_over(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}
