//! The file that rows too many to be held are in, and where each lies.

use super::{Kept, ROWS, no_row};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::{
    fs::{self, File},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// Bytes written at once.
const BLOCK: usize = 1 << 20;
/// Bytes of a batch that is read, at most, unless one row is larger.
const BATCH: u64 = 4 << 20;
/// Rows of one task.
const TASK: usize = 256;

/// A file being written.
#[derive(Debug)]
pub(super) struct Filing {
    filed: Filed,
    /// What is not in the file yet, and the place where it goes.
    waiting: Vec<u8>,
    written: u64,
}

impl Filing {
    /// An empty one. Its name goes at once: nobody else sees it, and it ends with the program.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("rows-{}-{number}", std::process::id()));
        let make = || -> std::io::Result<File> {
            fs::create_dir_all(folder)?;
            let file = File::options().read(true).write(true).create_new(true).open(&path)?;
            fs::remove_file(&path)?;
            Ok(file)
        };
        let file = make().map_err(|e| Error::io(&path, e))?;
        let filed = Filed { file, path, places: Places::default() };
        Ok(Self { filed, waiting: Vec::new(), written: 0 })
    }

    pub(super) fn len(&self) -> usize {
        self.filed.len()
    }

    pub(super) fn add<T: Kept>(&mut self, rows: &[T]) -> Result<()> {
        let written = rows.par_chunks(TASK).map(|rows| {
            let (mut bytes, mut sizes) = (Vec::new(), Vec::with_capacity(rows.len()));
            for row in rows {
                let from = bytes.len();
                row.write(&mut bytes);
                sizes.push(bytes.len() - from);
            }
            (bytes, sizes)
        });
        for (bytes, sizes) in written.collect::<Vec<_>>() {
            sizes.into_iter().try_for_each(|size| self.filed.places.push(size))?;
            self.waiting.extend_from_slice(&bytes);
            if self.waiting.len() >= BLOCK {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let Filed { file, path, .. } = &self.filed;
        file.write_all_at(&self.waiting, self.written).map_err(|e| Error::io(path, e))?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// A row that was added, whether it is in the file yet or not.
    pub(super) fn get<T: Kept>(&self, rank: usize) -> Result<T> {
        let place = self.filed.places.of(rank).ok_or_else(|| no_row(rank))?;
        match place.start.checked_sub(self.written) {
            None => self.filed.read(place),
            Some(start) => {
                let end = place.end.saturating_sub(self.written);
                let bytes = self.waiting.get(start as usize..end as usize);
                self.filed.decode(bytes.unwrap_or_default())
            }
        }
    }

    pub(super) fn finish(mut self) -> Result<Filed> {
        self.flush()?;
        self.filed.places.ends.shrink_to_fit();
        Ok(self.filed)
    }
}

/// A file of rows, whole.
#[derive(Debug)]
pub(super) struct Filed {
    file: File,
    /// The name that it had, for messages in the log.
    path: PathBuf,
    places: Places,
}

impl Filed {
    pub(super) fn len(&self) -> usize {
        self.places.ends.len()
    }

    fn bytes(&self, place: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; (place.end - place.start) as usize];
        self.file.read_exact_at(&mut bytes, place.start).map_err(|e| Error::io(&self.path, e))?;
        Ok(bytes)
    }

    fn decode<T: Kept>(&self, bytes: &[u8]) -> Result<T> {
        T::read(bytes).ok_or_else(|| Error::broken(format!("{}: damaged", self.path.display())))
    }

    fn read<T: Kept>(&self, place: Range<u64>) -> Result<T> {
        self.decode(&self.bytes(place)?)
    }

    /// Reads all rows, batch by batch.
    pub(super) fn each<T: Kept>(
        &self,
        mut take: impl FnMut(usize, Vec<T>) -> Result<()>,
    ) -> Result<()> {
        let mut first = 0;
        while let Some(places) = self.places.batch(first) {
            let (Some(from), Some(to)) = (places.first(), places.last()) else { break };
            let (from, bytes) = (from.start, self.bytes(from.start..to.end)?);
            let row = |place: &Range<u64>| {
                let place = (place.start - from) as usize..(place.end - from) as usize;
                self.decode(bytes.get(place).unwrap_or_default())
            };
            let rows = places.par_iter().with_min_len(TASK / 4).map(row);
            let rows = rows.collect::<Result<Vec<T>>>()?;
            drop(bytes);
            take(first, rows)?;
            first += places.len();
        }
        Ok(())
    }

    /// What some rows give; read in the order they lie in, given in the order asked for.
    pub(super) fn pick<T: Kept, R: Send>(
        &self,
        ranks: &[u32],
        give: impl Fn(T) -> R + Sync,
    ) -> Result<Vec<R>> {
        let mut wanted: Vec<(u32, usize)> = ranks.iter().copied().zip(0..).collect();
        wanted.sort_unstable();
        let one = |(rank, at): &(u32, usize)| {
            let rank = *rank as usize;
            let place = self.places.of(rank).ok_or_else(|| no_row(rank))?;
            Ok((*at, give(self.read(place)?)))
        };
        let found = wanted.par_iter().with_min_len(TASK / 4).map(one);
        let mut found = found.collect::<Result<Vec<(usize, R)>>>()?;
        found.sort_unstable_by_key(|(at, _)| *at);
        Ok(found.into_iter().map(|(_, given)| given).collect())
    }
}

/// Where rows lie: four bytes each, counted from marks that come before they overflow.
#[derive(Debug, Default)]
struct Places {
    /// Where each row ends, from the last mark at or before it.
    ends: Vec<u32>,
    marks: Vec<Mark>,
    /// Where the last row ends.
    end: u64,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    /// The first row that is counted from it.
    rank: usize,
    at: u64,
}

impl Places {
    fn push(&mut self, size: usize) -> Result<()> {
        let from = |at: u64| u32::try_from(self.end + size as u64 - at).ok();
        let end = match self.marks.last().and_then(|mark| from(mark.at)) {
            Some(end) => end,
            None => {
                let (rank, at) = (self.ends.len(), self.end);
                let end = from(at).ok_or_else(|| Error::broken("a row above 4 GiB"))?;
                self.marks.push(Mark { rank, at });
                end
            }
        };
        self.ends.push(end);
        self.end += size as u64;
        Ok(())
    }

    fn of(&self, rank: usize) -> Option<Range<u64>> {
        let end = u64::from(*self.ends.get(rank)?);
        let mark = self.marks.partition_point(|m| m.rank <= rank).checked_sub(1)?;
        let mark = self.marks.get(mark)?;
        let start = match rank.checked_sub(1).filter(|before| *before >= mark.rank) {
            Some(before) => u64::from(*self.ends.get(before)?),
            None => 0,
        };
        Some(mark.at + start..mark.at + end)
    }

    /// The places of the batch that begins with a row; `None` behind the last.
    fn batch(&self, first: usize) -> Option<Vec<Range<u64>>> {
        let from = self.of(first)?.start;
        let ranks = first..self.ends.len().min(first + ROWS);
        let places = ranks.map_while(|rank| self.of(rank));
        let near = |place: &Range<u64>| place.start == from || place.end - from <= BATCH;
        Some(places.take_while(near).collect())
    }
}
