//! Pages given piece by piece, as they are read: how many features there will be is known before
//! the first of them, the memory they take is that of a piece, and between two pieces nothing is
//! held, whoever receives them and however slowly. Who stops asking stops the reading.

use super::{
    Form, Items, PageQuery, View, collect,
    cut::{PageWork, cutting},
    paper::Paper,
    viewed,
};
use crate::{
    catalog::{Layer, Outline},
    error::{Error, Result},
    query::{Filter, Scan, Start},
    store::{At, RowSink, Store},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Rows of the first piece: it is soon there.
const FIRST: u64 = 64;
/// Most rows of a piece.
const MOST: u64 = 5_000;
/// Bytes that a piece shall have, about.
const PIECE: u64 = 512 << 10;

/// A page being read.
pub struct Flow {
    /// How many match in all.
    pub matched: u64,
    /// How many the page has.
    pub returned: u64,
    /// Where it is read from; what was read of it waits in `ready`.
    source: Source,
    ready: Option<Vec<u8>>,
    start: Option<Start>,
    /// Features still to come.
    left: u64,
    /// Rows of the next piece.
    rows: u64,
}

struct Source {
    store: Arc<dyn Store>,
    at: At,
    filter: Filter,
    view: View,
    work: Work,
}

/// What is done with rows.
enum Work {
    Whole(Arc<Mutex<Option<Paper>>>),
    Cut(Arc<Mutex<Option<PageWork>>>),
}

impl Items {
    /// The page as a flow, its first piece read; `None` where the number of matches is not soon
    /// known, where rows may change while they are read (live layers), and for files.
    ///
    /// # Errors
    /// As [`Items::page`] and [`Items::cut_page`].
    pub async fn flow(
        &self,
        layer: &Layer,
        query: &PageQuery,
        outline: Option<&Outline>,
    ) -> Result<Option<Flow>> {
        let at = layer.at()?;
        if at.version.live.is_some() || matches!(query.form, Form::File(..)) {
            return Ok(None);
        }
        let matched = match outline {
            None => self.store.count(at, &query.filter).await?,
            Some(outline) => self.cut_count(layer, &query.filter, outline).await?,
        };
        let Some(matched) = matched else { return Ok(None) };
        let skip = match query.start {
            Start::Offset(skip) => skip,
            Start::Ordinal(_) => return Ok(None),
        };
        let returned = matched.saturating_sub(skip).min(query.limit);
        let mut view = query.view.clone();
        let (work, start) = match outline {
            None => {
                let paper = self.paper(layer, &at.version.schema, query)?;
                (Work::Whole(Arc::new(Mutex::new(Some(paper)))), query.start)
            }
            Some(outline) => {
                // What is cut is looked at whether it is shown or not.
                view.no_geometry = false;
                let knife = self.knife(layer, &query.filter, outline).await?;
                let paper = self.paper(layer, &knife.schema, query)?;
                let work = PageWork::new(paper, knife, skip, returned);
                (Work::Cut(Arc::new(Mutex::new(Some(work)))), Start::Ordinal(0))
            }
        };
        let (store, filter) = (self.store.clone(), query.filter.clone());
        let source = Source { store, at: at.clone(), filter, view, work };
        let (start, left) = (Some(start), returned);
        let mut flow = Flow { matched, returned, source, ready: None, start, left, rows: FIRST };
        flow.ready = flow.read().await?;
        Ok(Some(flow))
    }
}

impl Flow {
    /// All of it, where it is one piece.
    ///
    /// # Errors
    /// Itself, where there is more to read.
    pub fn into_memory(mut self) -> Result<Vec<u8>, Box<Self>> {
        if self.left > 0 { Err(Box::new(self)) } else { Ok(self.ready.take().unwrap_or_default()) }
    }

    /// The next piece; `None` behind the last one.
    ///
    /// # Errors
    /// As [`Items::page`]; a fault when there are fewer features than were counted.
    pub async fn piece(&mut self) -> Result<Option<Vec<u8>>> {
        match self.ready.take() {
            Some(ready) => Ok(Some(ready)),
            None => self.read().await,
        }
    }

    async fn read(&mut self) -> Result<Option<Vec<u8>>> {
        let Source { store, at, filter, view, work } = &self.source;
        while let (Some(start), true) = (self.start, self.left > 0) {
            // Some rows are left out where they are cut.
            let most = if matches!(work, Work::Whole(_)) { self.left } else { u64::MAX };
            let limit = Some(self.rows.min(most));
            let scan = Scan { filter: filter.clone(), start, limit };
            let end = viewed(store, at, scan, view, work.sink()).await?;
            self.start = end.next.map(Start::Ordinal);
            let (piece, came) = work.take(end.returned)?;
            self.left = self.left.saturating_sub(came);
            self.rows = paced(self.rows, piece.len() as u64);
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        match self.left {
            0 => Ok(None),
            left => Err(Error::broken(format!("{left} features of a page are not there"))),
        }
    }
}

/// The rows of the piece behind one with so many rows and bytes.
fn paced(rows: u64, bytes: u64) -> u64 {
    let wanted = rows.saturating_mul(PIECE) / bytes.max(1);
    wanted.clamp(rows / 4, rows.saturating_mul(8)).clamp(1, MOST)
}

impl Work {
    fn sink(&self) -> RowSink {
        match self {
            Self::Whole(paper) => collect(paper.clone()),
            Self::Cut(work) => cutting(work.clone()),
        }
    }

    /// What was written since the last look, and of how many features; `rows` were shown.
    fn take(&self, rows: u64) -> Result<(Vec<u8>, u64)> {
        let lost = || Error::broken("a page lost its paper");
        match self {
            Self::Whole(paper) => {
                let piece = held(paper).as_mut().ok_or_else(lost)?.take()?;
                Ok((piece, rows))
            }
            Self::Cut(work) => {
                let mut work = held(work);
                let work = work.as_mut().ok_or_else(lost)?;
                let piece = work.paper.take()?;
                let came = std::mem::take(&mut work.came);
                Ok((piece, came))
            }
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_grow_and_shrink_to_their_size() {
        assert_eq!(paced(FIRST, 0), 512);
        assert_eq!(paced(1_000, PIECE), 1_000);
        assert_eq!(paced(1_000, PIECE * 100), 250);
        assert_eq!(paced(1, PIECE * 100), 1);
        assert_eq!(paced(MOST, 1), MOST);
    }
}
