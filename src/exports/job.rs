//! The work on one order, as the process that does it knows it.

use super::{
    results::{self, Beat, Ready},
    run::Watch,
};
use crate::error::Error;
use jiff::Timestamp;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Orders that ended otherwise than well are remembered for so long.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Where an order stands.
#[derive(Debug, Clone)]
pub enum Status {
    /// It waits for its turn.
    Waiting,
    /// It is being written.
    Running {
        /// Features written.
        rows: u64,
        /// Of about so many.
        of: u64,
        /// Bytes written.
        bytes: u64,
    },
    /// It is finished.
    Done(Ready),
    /// It could not be finished.
    Failed(Arc<Error>),
    /// It was given up.
    Cancelled,
}

/// An order that this process works on, or has.
pub(super) struct Job {
    /// Names this work on it.
    pub(super) who: String,
    pub(super) watch: Arc<Watch>,
    of: AtomicU64,
    lost: AtomicBool,
    state: Mutex<State>,
}

/// How far the work came.
#[derive(Clone)]
pub(super) enum State {
    Waiting,
    Running,
    Done(Ready),
    Failed(Arc<Error>, Instant),
    Cancelled(Instant),
}

impl Job {
    /// One that waits. `of`: features the order has, about.
    pub(super) fn new(of: u64) -> Self {
        let (of, state) = (AtomicU64::new(of), Mutex::new(State::Waiting));
        Self { who: results::name(), watch: Arc::default(), of, lost: AtomicBool::default(), state }
    }

    /// How far it came.
    pub(super) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It came so far.
    pub(super) fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Ends the work because another replica has the order by now: what is kept under its name is
    /// that one's, not what somebody wanted gone.
    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.watch.give_up();
    }

    /// Whether another replica has the order.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// How far it is, for the other replicas.
    pub(super) fn beat(&self) -> Beat {
        Beat {
            who: self.who.clone(),
            rows: self.watch.rows(),
            of: self.of.load(Ordering::Relaxed),
            bytes: self.watch.bytes(),
            at: Timestamp::now(),
        }
    }

    /// Whether it is not over yet.
    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.state(), State::Waiting | State::Running)
    }

    /// Whether it may be forgotten: what is finished is among the results.
    pub(super) fn is_past(&self) -> bool {
        match self.state() {
            State::Waiting | State::Running => false,
            State::Done(_) => true,
            State::Failed(_, at) | State::Cancelled(at) => at.elapsed() > REMEMBERED,
        }
    }

    /// Where it stands, for people.
    pub(super) fn status(&self) -> Status {
        match self.state() {
            State::Waiting => Status::Waiting,
            State::Running => Status::Running {
                rows: self.watch.rows(),
                of: self.of.load(Ordering::Relaxed),
                bytes: self.watch.bytes(),
            },
            State::Done(ready) => Status::Done(ready),
            State::Failed(error, _) => Status::Failed(error),
            State::Cancelled(_) => Status::Cancelled,
        }
    }
}
