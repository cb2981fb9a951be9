//! Answers a query with a page of features. Knows limits, cursors and counts; knows no URL and
//! no media type: `http` adds links and headers around what it gives.

mod cut;
mod frame;
mod system;
mod view;

pub use frame::Frame;
pub use system::System;
pub use view::View;

use crate::{
    catalog::Layer,
    error::{Error, Result},
    formats::geojson,
    model::{BBox, Schema, Selection, ValueRef},
    query::{Cursor, Filter, Scan, Start},
    store::{At, RowSink, ScanEnd, Store, border::Borders},
};
use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
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
}

/// A page of features, its GeoJSON already written.
#[derive(Debug)]
pub struct Page {
    /// The features, comma-separated GeoJSON `Feature` objects without the enclosing brackets.
    pub features: Vec<u8>,
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
}

impl Items {
    /// Over a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { borders: Arc::new(Borders::new(store.clone())), store }
    }

    /// The same with borders that others use as well.
    #[must_use]
    pub fn sharing(self, borders: Arc<Borders>) -> Self {
        Self { borders, ..self }
    }

    /// One page as GeoJSON.
    pub async fn page(&self, layer: &Layer, query: PageQuery) -> Result<Page> {
        let at = layer.at()?;
        let written = Arc::new(Mutex::new(Written::with_capacity(256 * 1024)));
        let (schema, own) = (&at.version.schema, at.version.schema.fields.len());
        let writer = FeatureWriter::showing(schema, query.system, query.view.clone(), own);
        let sink = collect(writer, written.clone());
        let known = self.store.count(at, &query.filter).await?;
        let filter = query.filter.clone();
        let scan = Scan { filter: query.filter, start: query.start, limit: Some(query.limit) };
        let end = self.viewed(at, scan, &query.view, sink).await?;
        let features = Written::take(&written)?;
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
        Ok(Page { features, returned: end.returned, matched, next })
    }

    /// Shows rows in the order of a view, without their geometry where it leaves that out.
    async fn viewed(&self, at: &At, scan: Scan, view: &View, sink: RowSink) -> Result<ScanEnd> {
        match (&view.sort, view.no_geometry) {
            (Some(sort), no_geometry) => {
                self.store.scan_sorted(at, scan, sort.clone(), !no_geometry, sink).await
            }
            (None, true) => self.store.scan_values(at, scan, sink).await,
            (None, false) => self.store.scan(at, scan, sink).await,
        }
    }

    /// One feature as a GeoJSON `Feature` object; `None` when the layer has no such id.
    pub async fn feature(
        &self,
        layer: &Layer,
        id: &str,
        system: System,
    ) -> Result<Option<Vec<u8>>> {
        let at = layer.at()?;
        let written = Arc::new(Mutex::new(Written::default()));
        let writer = FeatureWriter::new(&at.version.schema, system);
        let found = self.store.feature(at, id, collect(writer, written.clone())).await?;
        let bytes = Written::take(&written)?;
        Ok(found.then_some(bytes))
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

    /// Counts the matches by going through them, unless that takes more than [`COUNTING`].
    async fn counted(&self, layer: &Layer, filter: Filter) -> Result<Option<u64>> {
        let (begun, counted) = (Instant::now(), Arc::new(Mutex::new(Some(0u64))));
        let count = counted.clone();
        let sink: RowSink = Box::new(move |_| {
            let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
            *count = count.filter(|_| begun.elapsed() < COUNTING).map(|n| n + 1);
            if count.is_some() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let scan = Scan { filter, start: Start::Ordinal(0), limit: None };
        self.store.scan(layer.at()?, scan, sink).await?;
        let count = *counted.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(count)
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

/// What a sink has written, and why it stopped if it had to.
#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    fault: Option<Error>,
}

impl Written {
    fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), fault: None }
    }

    fn take(written: &Mutex<Self>) -> Result<Vec<u8>> {
        std::mem::take(&mut *written.lock().unwrap_or_else(PoisonError::into_inner)).into_bytes()
    }

    /// The bytes; a geometry that cannot be shown fails, it is never a hole in the answer.
    fn into_bytes(self) -> Result<Vec<u8>> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(self.bytes),
        }
    }

    /// Writes a feature, with a comma before it where it is not the first.
    fn add(
        &mut self,
        writer: &mut FeatureWriter,
        id: &str,
        values: &[ValueRef<'_>],
        wkb: Option<&[u8]>,
    ) -> ControlFlow<()> {
        if !self.bytes.is_empty() {
            self.bytes.extend_from_slice(b",\n");
        }
        match writer.write(id, values, wkb, &mut self.bytes) {
            Ok(()) => ControlFlow::Continue(()),
            Err(fault) => {
                self.fault = Some(fault);
                ControlFlow::Break(())
            }
        }
    }
}

/// Writes features as GeoJSON in a system.
struct FeatureWriter {
    inner: geojson::FeatureWriter,
    system: System,
    scratch: Vec<u8>,
    view: View,
    /// Fields of the layer itself; what stands behind them is always shown.
    own: usize,
}

impl FeatureWriter {
    fn new(schema: &Schema, system: System) -> Self {
        Self::showing(schema, system, View::default(), schema.fields.len())
    }

    fn showing(schema: &Schema, system: System, view: View, own: usize) -> Self {
        let inner = geojson::FeatureWriter::new(&view.schema(schema, own));
        let inner = match system.decimals() {
            Some(decimals) => inner.with_decimals(decimals),
            None => inner,
        };
        Self { inner, system, scratch: Vec::new(), view, own }
    }

    fn write(
        &mut self,
        id: &str,
        values: &[ValueRef<'_>],
        wkb: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let wkb = wkb.filter(|_| !self.view.no_geometry);
        let shown = wkb.map(|wkb| self.system.show(wkb, &mut self.scratch)).transpose()?;
        let picked = self.view.values(values, self.own);
        let values = picked.as_deref().unwrap_or(values);
        self.inner
            .try_write(id, values, shown, out)
            .map_err(|broken| Error::fault("a stored geometry cannot be read", broken))
    }
}

/// A sink that writes rows one after the other, with commas between them.
fn collect(mut writer: FeatureWriter, written: Arc<Mutex<Written>>) -> RowSink {
    Box::new(move |row| {
        let mut out = written.lock().unwrap_or_else(PoisonError::into_inner);
        out.add(&mut writer, row.id, row.values, row.wkb)
    })
}
