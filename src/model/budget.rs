//! What the work on one table may take: memory, counted as it is held, and time.

use super::Cell;
use std::{
    mem::size_of,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Instant,
};

/// What a row takes besides its cells, bytes: what is found out about it, and its note.
const ROW: usize = 512;
/// What a text takes besides its bytes.
const TEXT: usize = 16;
/// Steps between two looks at the clock.
const STEP: usize = 1024;

/// What is left of the memory and the time for one table. Shared by those who work on it: what one
/// takes the others lack. A small file may describe a large table, so each part of it is taken
/// before it is made.
#[derive(Debug)]
pub struct Budget {
    most: usize,
    left: AtomicUsize,
    until: Option<Instant>,
    steps: AtomicUsize,
    given_up: AtomicBool,
}

/// A budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// The table takes more than this, bytes.
    Memory(usize),
    /// The time is up, or nobody waits any more.
    Time,
}

impl Default for Budget {
    /// Without bounds.
    fn default() -> Self {
        Self::new(None, None)
    }
}

impl Budget {
    /// At most `memory` bytes until `until`; without bounds where there is none.
    pub fn new(memory: Option<usize>, until: Option<Instant>) -> Self {
        let most = memory.unwrap_or(usize::MAX);
        Self {
            most,
            left: AtomicUsize::new(most),
            until,
            steps: AtomicUsize::new(0),
            given_up: AtomicBool::new(false),
        }
    }

    /// Takes memory.
    ///
    /// # Errors
    /// [`Spent::Memory`] when so much is not left.
    pub fn take(&self, bytes: usize) -> Result<(), Spent> {
        if self.most == usize::MAX {
            return Ok(());
        }
        let less = |left: usize| left.checked_sub(bytes);
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.map(drop).map_err(|_| Spent::Memory(self.most))
    }

    /// Takes `count` cells that hold so many bytes of text, and now and then looks at the clock.
    ///
    /// # Errors
    /// [`Spent`]
    pub fn cells(&self, count: usize, text: usize) -> Result<(), Spent> {
        self.take(count.saturating_mul(size_of::<Cell>()).saturating_add(text))?;
        self.step()
    }

    /// Takes a row of so many cells, its texts included.
    ///
    /// # Errors
    /// [`Spent`]
    pub fn row(&self, cells: usize, text: usize) -> Result<(), Spent> {
        self.cells(cells, text.saturating_add(ROW))
    }

    /// Looks at the clock once in many times that it is called.
    ///
    /// # Errors
    /// [`Spent::Time`]
    pub fn step(&self) -> Result<(), Spent> {
        match self.steps.fetch_add(1, Ordering::Relaxed).is_multiple_of(STEP) {
            true => self.look(),
            false => Ok(()),
        }
    }

    /// Looks at the clock.
    ///
    /// # Errors
    /// [`Spent::Time`] when the time is up, or nobody waits any more.
    pub fn look(&self) -> Result<(), Spent> {
        let late = self.until.is_some_and(|until| Instant::now() >= until);
        if late || self.given_up.load(Ordering::Relaxed) { Err(Spent::Time) } else { Ok(()) }
    }

    /// Nobody waits any more: the work ends when it next looks at the clock.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// What a text of so many bytes takes, beside its cell.
    pub fn text(bytes: usize) -> usize {
        if bytes == 0 { 0 } else { bytes + TEXT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_gone_for_all() {
        let budget = Budget::new(Some(2 * ROW), None);
        assert_eq!(budget.row(1, 0), Ok(()));
        assert_eq!(budget.row(1, 0), Err(Spent::Memory(2 * ROW)));
        assert_eq!(budget.cells(usize::MAX, 1), Err(Spent::Memory(2 * ROW)));
        assert_eq!(Budget::default().cells(usize::MAX, usize::MAX), Ok(()));
    }

    #[test]
    fn time_is_up_at_the_moment_and_when_nobody_waits() {
        assert_eq!(Budget::new(None, Some(Instant::now())).look(), Err(Spent::Time));
        let budget = Budget::default();
        assert_eq!(budget.look(), Ok(()));
        budget.give_up();
        let ended = (0..=STEP).find_map(|_| budget.step().err());
        assert_eq!(ended, Some(Spent::Time));
    }
}
