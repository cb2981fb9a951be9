//! Rows on their way into a store, gone through again and again: in memory while they are few, in a
//! file beyond, so that what a load holds does not grow with what it loads. The file has no name: it
//! is gone with the program, however that ends.
//!
//! Rows are written once, in order, then read in order ([`Spool::each`]) or by rank
//! ([`Spool::pick`]); those of a file are decoded in batches, on all cores.

mod file;
mod form;
#[cfg(test)]
mod tests;

pub use form::{Kept, read_geometry, read_values, weight, write_geometry, write_values};

use crate::error::{Error, Result};
use file::{Filed, Filing};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Rows of a batch at most.
const ROWS: usize = 4096;

/// Rows read together that are wanted one by one.
const PICKED: usize = 1024;

/// Where rows go that are too many to be held, and when.
#[derive(Debug, Clone)]
pub struct Spill {
    folder: PathBuf,
    most: usize,
}

impl Spill {
    /// Bytes of rows held in memory before they go to a file, by estimate.
    pub const MOST: usize = 64 << 20;

    /// Into a folder, which may be made when it is needed.
    pub fn into(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), most: Self::MOST }
    }

    /// The same beyond so many bytes.
    pub fn beyond(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// The same for rows made of others: at once, where these are too many already.
    pub fn like<T: Kept>(&self, rows: &Spool<T>) -> Self {
        let most = if rows.is_filed() { 0 } else { self.most };
        Self { folder: self.folder.clone(), most }
    }
}

/// Writes rows, in order.
#[derive(Debug)]
pub struct Spooling<T> {
    spill: Spill,
    held: Vec<T>,
    /// Estimated bytes of what is held.
    bytes: usize,
    filing: Option<Filing>,
}

impl<T: Kept> Spooling<T> {
    /// Nothing yet.
    pub fn new(spill: &Spill) -> Self {
        Self { spill: spill.clone(), held: Vec::new(), bytes: 0, filing: None }
    }

    /// Rows written so far.
    pub fn len(&self) -> usize {
        self.filing.as_ref().map_or(self.held.len(), Filing::len)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds rows.
    ///
    /// # Errors
    /// [`Error::Full`] when the disk is, or what else a file fails with.
    pub fn extend(&mut self, rows: Vec<T>) -> Result<()> {
        if let Some(filing) = &mut self.filing {
            return filing.add(&rows);
        }
        self.bytes += rows.iter().map(Kept::weight).sum::<usize>();
        match self.held.is_empty() {
            true => self.held = rows,
            false => self.held.extend(rows),
        }
        if self.bytes > self.spill.most {
            let mut filing = Filing::new(&self.spill.folder)?;
            for rows in std::mem::take(&mut self.held).chunks(ROWS) {
                filing.add(rows)?;
            }
            self.filing = Some(filing);
        }
        Ok(())
    }

    /// Shows a row that was written.
    ///
    /// # Errors
    /// [`Error::Fault`] when there is none of that rank, or the file cannot be read.
    pub fn show<R>(&self, rank: usize, see: impl FnOnce(&T) -> R) -> Result<R> {
        match &self.filing {
            Some(filing) => Ok(see(&filing.get(rank)?)),
            None => self.held.get(rank).map(see).ok_or_else(|| no_row(rank)),
        }
    }

    /// All of them, to be read.
    ///
    /// # Errors
    /// As [`Spooling::extend`].
    pub fn finish(mut self) -> Result<Spool<T>> {
        Ok(Spool(match self.filing {
            Some(filing) => Rows::Filed(filing.finish()?),
            None => {
                self.held.shrink_to_fit();
                Rows::Held(self.held)
            }
        }))
    }
}

fn no_row(rank: usize) -> Error {
    Error::broken(format!("no row {rank} among those kept aside"))
}

/// Rows in order, to be read as often as needed.
#[derive(Debug)]
pub struct Spool<T>(Rows<T>);

#[derive(Debug)]
enum Rows<T> {
    Held(Vec<T>),
    Filed(Filed),
}

impl<T> Default for Spool<T> {
    fn default() -> Self {
        Self(Rows::Held(Vec::new()))
    }
}

impl<T> From<Vec<T>> for Spool<T> {
    fn from(rows: Vec<T>) -> Self {
        Self(Rows::Held(rows))
    }
}

impl<T: Kept> Spool<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Rows::Held(rows) => rows.len(),
            Rows::Filed(file) => file.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether they are too many to be held: who goes through them then takes care of its own
    /// memory as well.
    pub fn is_filed(&self) -> bool {
        matches!(self.0, Rows::Filed(_))
    }

    /// Shows all rows in order, a batch at a time, with the rank of its first.
    ///
    /// # Errors
    /// What `see` fails with, and a fault when the file cannot be read.
    pub fn each(&self, mut see: impl FnMut(usize, &[T]) -> Result<()>) -> Result<()> {
        match &self.0 {
            Rows::Held(rows) => {
                let batches = rows.chunks(ROWS).enumerate();
                batches.into_iter().try_for_each(|(i, batch)| see(i * ROWS, batch))
            }
            Rows::Filed(file) => file.each(|first, batch| see(first, &batch)),
        }
    }

    /// Gives all rows away in order, a batch at a time.
    ///
    /// # Errors
    /// As [`Spool::each`].
    pub fn drain(self, mut take: impl FnMut(Vec<T>) -> Result<()>) -> Result<()> {
        match self.0 {
            Rows::Held(rows) => {
                let mut rows = rows.into_iter();
                loop {
                    let batch: Vec<T> = rows.by_ref().take(ROWS).collect();
                    if batch.is_empty() {
                        return Ok(());
                    }
                    take(batch)?;
                }
            }
            Rows::Filed(file) => file.each(|_, batch| take(batch)),
        }
    }

    /// What each row gives, in order; on all cores.
    ///
    /// # Errors
    /// A fault when the file cannot be read.
    pub fn map<R: Send>(&self, give: impl Fn(&T) -> R + Sync) -> Result<Vec<R>> {
        let mut all = Vec::with_capacity(self.len());
        self.each(|_, batch| {
            all.par_extend(batch.par_iter().map(&give));
            Ok(())
        })?;
        Ok(all)
    }

    /// What the rows of those ranks give, in the order of the ranks; on all cores. Whoever wants
    /// many asks for some thousands at a time.
    ///
    /// # Errors
    /// A fault when there is no such row, or the file cannot be read.
    pub fn pick<R: Send>(&self, ranks: &[u32], give: impl Fn(&T) -> R + Sync) -> Result<Vec<R>> {
        match &self.0 {
            Rows::Held(rows) => ranks
                .par_iter()
                .map(|rank| (*rank as usize, rows.get(*rank as usize)))
                .map(|(rank, row)| row.map(&give).ok_or_else(|| no_row(rank)))
                .collect(),
            Rows::Filed(file) => file.pick(ranks, |row| give(&row)),
        }
    }

    /// Shows the rows of those ranks, one after the other.
    ///
    /// # Errors
    /// As [`Spool::pick`], and what `see` fails with.
    pub fn visit(&self, ranks: &[u32], mut see: impl FnMut(&T) -> Result<()>) -> Result<()> {
        match &self.0 {
            Rows::Held(rows) => ranks.iter().try_for_each(|rank| {
                let rank = *rank as usize;
                see(rows.get(rank).ok_or_else(|| no_row(rank))?)
            }),
            Rows::Filed(file) => ranks.chunks(PICKED).try_for_each(|ranks| {
                let rows: Vec<T> = file.pick(ranks, |row| row)?;
                rows.iter().try_for_each(&mut see)
            }),
        }
    }
}
