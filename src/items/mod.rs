//! Answers a query with a page of features, as GeoJSON or as a file of another format. Knows limits,
//! cursors and counts; knows no URL: `http` adds links and headers around what it gives.

mod cut;
mod flow;
mod frame;
mod listed;
mod paper;
mod system;
mod valid;
mod view;

pub use crate::formats::{
    gml,
    write::Spool,
    xml_reader::{MAX_BYTES as XML_BYTES, read as read_xml},
};
pub use flow::Flow;
pub use frame::Frame;
pub use paper::{Form, Members};
pub use system::System;
pub use view::View;

use crate::{
    catalog::Layer,
    error::{Error, Result},
    model::{BBox, Schema, Selection},
    query::{Cursor, Filter, Scan, Start},
    store::{
        At, RowSink, ScanEnd, Store,
        border::{Borders, Outline, cut_schema},
    },
};
use paper::{Paper, Sheet};
use std::{
    ops::ControlFlow,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// What counting may take where it needs to look at the matches (DESIGN §4).
const COUNTING: Duration = Duration::from_millis(100);

/// A page request, checked.
#[derive(Debug, Clone)]
pub struct PageQuery {
    /// Which features.
    pub filter: Filter,
    /// Where to start.
    pub start: Start,
    /// How many, at most [`crate::query::MAX_LIMIT`].
    pub limit: u64,
    /// The system its geometries are given in.
    pub system: System,
    /// What is shown of them, and in which order.
    pub view: View,
    /// How they are written.
    pub form: Form,
}

/// A page of features, written.
#[derive(Debug)]
pub struct Page {
    /// A file, or comma-separated GeoJSON `Feature` objects without the enclosing brackets.
    pub body: Spool,
    /// How many.
    pub returned: u64,
    /// How many match in all, when that is cheap to know.
    pub matched: Option<u64>,
    /// The cursor of the next page, when there is one.
    pub next: Option<Cursor>,
}

/// The service.
pub struct Items {
    store: Arc<dyn Store>,
    borders: Arc<Borders>,
    /// Where large pages wait until they are sent.
    scratch: PathBuf,
}

impl Items {
    /// Over a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        let scratch = std::env::temp_dir();
        Self { borders: Arc::new(Borders::new(store.clone())), store, scratch }
    }

    /// The same with another folder for large pages until they are sent.
    #[must_use]
    pub fn spooling(self, scratch: PathBuf) -> Self {
        Self { scratch, ..self }
    }

    /// The same with borders that others use as well.
    #[must_use]
    pub fn sharing(self, borders: Arc<Borders>) -> Self {
        Self { borders, ..self }
    }

    /// One page.
    pub async fn page(&self, layer: &Layer, query: PageQuery) -> Result<Page> {
        let at = layer.at()?;
        let paper = Arc::new(Mutex::new(Some(self.paper(layer, &at.version.schema, &query)?)));
        let sink = collect(paper.clone());
        let known = self.store.count(at, &query.filter).await?;
        let filter = query.filter.clone();
        let scan = Scan { filter: query.filter, start: query.start, limit: Some(query.limit) };
        let end = viewed(&self.store, at, scan, &query.view, sink).await?;
        let body = finished(&paper).await?;
        let whole = end.next.is_none() && matches!(query.start, Start::Offset(0));
        let matched = match known {
            None if whole => Some(end.returned),
            None => self.counted(layer, filter).await?,
            known => known,
        };
        let next = end.next.map(|ordinal| Cursor {
            state: at.key(),
            ordinal,
            sort: query.view.sort_key(),
        });
        Ok(Page { body, returned: end.returned, matched, next })
    }

    /// The page without a feature that says how many match; cut at a border where one is given.
    ///
    /// # Errors
    /// As [`Items::count`] and [`Items::cut_count`].
    pub async fn hits(
        &self,
        layer: &Layer,
        query: PageQuery,
        outline: Option<&Outline>,
    ) -> Result<Page> {
        let matched = match outline {
            None => self.count(layer, &query.filter).await?,
            Some(outline) => self.cut_count(layer, &query.filter, outline).await?,
        };
        self.empty(layer, query, outline.is_some(), matched).await
    }

    /// The page without a feature, of so many that match.
    ///
    /// # Errors
    /// [`Error::Unavailable`] before the first harvest.
    pub async fn empty(
        &self,
        layer: &Layer,
        query: PageQuery,
        cut: bool,
        matched: Option<u64>,
    ) -> Result<Page> {
        let body = finish(self.paper(layer, &Self::schema(layer, cut)?, &query)?).await?;
        Ok(Page { body, returned: 0, matched, next: None })
    }

    fn paper(&self, layer: &Layer, schema: &Schema, query: &PageQuery) -> Result<Paper> {
        let (system, view) = (query.system.clone(), query.view.clone());
        Paper::new(Sheet { layer, schema, form: query.form.clone(), system, view }, &self.scratch)
    }

    /// One feature as a GeoJSON `Feature` object; `None` when the layer has no such id.
    pub async fn feature(
        &self,
        layer: &Layer,
        id: &str,
        system: System,
    ) -> Result<Option<Vec<u8>>> {
        let schema = &layer.at()?.version.schema;
        let sheet = Sheet { layer, schema, form: Form::Features, system, view: View::default() };
        let paper = Arc::new(Mutex::new(Some(Paper::new(sheet, &self.scratch)?)));
        let found = self.store.feature(layer.at()?, id, collect(paper.clone())).await?;
        let body = finished(&paper).await?;
        found.then(|| body.into_bytes()).transpose()
    }

    /// The layer as it was in another state, by the state's name, as long as that is kept: pages
    /// begun before a publication go on in the version they began in.
    pub async fn as_of(&self, layer: &Layer, state: &str) -> Result<Option<Layer>> {
        let at = self.store.state(&layer.def.id, state).await?;
        Ok(at.map(|at| Layer { current: Some(at), ..layer.clone() }))
    }

    /// The extent of what a territory selects, degrees.
    pub async fn extent(&self, layer: &Layer, selection: &Selection) -> Result<Option<BBox>> {
        self.store.extent(layer.at()?, selection).await
    }

    /// The exact number of matches when it is cheap to know, or counted soon enough.
    pub async fn count(&self, layer: &Layer, filter: &Filter) -> Result<Option<u64>> {
        match self.store.count(layer.at()?, filter).await? {
            None => self.counted(layer, filter.clone()).await,
            known => Ok(known),
        }
    }

    /// The exact number of matches, whatever going through them takes; the request's own time is
    /// what bounds it. Cut at a border where one is given.
    ///
    /// # Errors
    /// As [`Items::count`] and [`Items::cut_count`].
    pub async fn count_all(
        &self,
        layer: &Layer,
        filter: &Filter,
        outline: Option<&Outline>,
    ) -> Result<Option<u64>> {
        match outline {
            Some(outline) => self.cut_count_within(layer, filter, outline, Duration::MAX).await,
            None => match self.store.count(layer.at()?, filter).await? {
                None => self.counted_within(layer, filter.clone(), Duration::MAX).await,
                known => Ok(known),
            },
        }
    }

    /// The fields and geometry of features as they are shown: what a cut adds is among them.
    ///
    /// # Errors
    /// [`Error::Unavailable`] before the first harvest.
    pub fn schema(layer: &Layer, cut: bool) -> Result<Schema> {
        let own = &layer.at()?.version.schema;
        Ok(if cut { cut_schema(own) } else { own.clone() })
    }

    /// Counts the matches by going through them, unless that takes more than [`COUNTING`].
    async fn counted(&self, layer: &Layer, filter: Filter) -> Result<Option<u64>> {
        self.counted_within(layer, filter, COUNTING).await
    }

    async fn counted_within(
        &self,
        layer: &Layer,
        filter: Filter,
        time: Duration,
    ) -> Result<Option<u64>> {
        let sink: RowSink = Box::new(|_| ControlFlow::Continue(()));
        let scan = Scan { filter, start: Start::Ordinal(0), limit: None };
        // The scan itself may show nothing for long: it is given up with its future.
        let scan = self.store.scan(layer.at()?, scan, sink);
        match tokio::time::timeout(time, scan).await {
            Ok(end) => end.map(|end| Some(end.returned)),
            Err(_) => Ok(None),
        }
    }

    /// One feature as a GeoJSON `Feature` object, if a territory (when given) selects it.
    pub async fn feature_within(
        &self,
        layer: &Layer,
        id: &str,
        selection: Option<Arc<Selection>>,
        system: System,
    ) -> Result<Option<Vec<u8>>> {
        let at = layer.at()?;
        if let Some(selection) = selection
            && !self.store.selects(at, id, &selection).await?
        {
            return Ok(None);
        }
        self.feature(layer, id, system).await
    }
}

/// Shows rows in the order of a view, without their geometry where it leaves that out.
async fn viewed(
    store: &Arc<dyn Store>,
    at: &At,
    scan: Scan,
    view: &View,
    sink: RowSink,
) -> Result<ScanEnd> {
    let (_waiting, sink) = Waiting::on(sink);
    match (&view.sort, view.no_geometry) {
        (Some(sort), no_geometry) => {
            store.scan_sorted(at, scan, sort.clone(), !no_geometry, sink).await
        }
        (None, true) => store.scan_values(at, scan, sink).await,
        (None, false) => store.scan(at, scan, sink).await,
    }
}

/// A sink that writes rows one after the other.
fn collect(paper: Arc<Mutex<Option<Paper>>>) -> RowSink {
    Box::new(move |row| match paper.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        Some(paper) => paper.add(row.id, row.values, row.wkb),
        None => ControlFlow::Break(()),
    })
}

/// What was written, finished aside.
async fn finished(paper: &Mutex<Option<Paper>>) -> Result<Spool> {
    let paper = paper.lock().unwrap_or_else(PoisonError::into_inner).take();
    let paper = paper.ok_or_else(|| Error::broken("a page lost its paper"))?;
    finish(paper).await
}

async fn finish(paper: Paper) -> Result<Spool> {
    if !paper.takes_time() {
        return paper.finish();
    }
    let done = tokio::task::spawn_blocking(move || paper.finish()).await;
    done.map_err(|e| Error::fault("a page stopped", e))?
}

/// Ends a scan whose rows nobody waits for any more: the request that asked for them is gone.
struct Waiting(Arc<AtomicBool>);

impl Waiting {
    /// The sink, as long as this is kept.
    fn on(mut sink: RowSink) -> (Self, RowSink) {
        let gone = Arc::new(AtomicBool::new(false));
        let waiting = Self(gone.clone());
        let sink: RowSink = Box::new(move |row| match gone.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => sink(row),
        });
        (waiting, sink)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Row;

    #[test]
    fn who_left_is_shown_no_more_rows() {
        let seen = Arc::new(Mutex::new(0));
        let count = seen.clone();
        let (waiting, mut sink) = Waiting::on(Box::new(move |_| {
            *count.lock().unwrap() += 1;
            ControlFlow::Continue(())
        }));
        let row = Row { ordinal: 0, id: "1", values: &[], wkb: None };
        assert!(sink(&row).is_continue() && sink(&row).is_continue());
        drop(waiting);
        assert!(sink(&row).is_break());
        assert_eq!(*seen.lock().unwrap(), 2);
    }
}
