//! One export from its first row to its last byte.

use super::{
    Inner, about,
    order::{Order, Part},
    passage::Passage,
};
use crate::{
    error::{Error, Result},
    formats::write::{Row, Target, Writer},
    model::ValueRef,
    query::{Scan, Start},
    store::{
        RowSink, Store,
        border::{Border, Borders},
    },
    text,
};
use async_trait::async_trait;
use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::Notify;

/// Rows read at a time.
const BATCH: u64 = 5_000;

/// How far an export is, and whether it shall go on.
#[derive(Debug, Default)]
pub struct Watch {
    rows: AtomicU64,
    bytes: AtomicU64,
    given_up: AtomicBool,
    told: Notify,
}

impl Watch {
    /// Rows written.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes handed on.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Asks for the end.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    /// Ready once the end was asked for.
    pub(super) async fn gave_up(&self) {
        let told = self.told.notified();
        // Notified from here on: what was asked before this line is seen by the next.
        if !self.is_given_up() {
            told.await;
        }
    }

    /// Whether the end was asked for.
    pub fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }
}

/// What happens between two batches: bytes are sent, people are told.
#[async_trait]
pub(super) trait Flow: Send {
    /// Goes on, or fails: the export then ends.
    async fn go(&mut self, watch: &Watch) -> Result<()>;
}

/// Nothing happens.
pub(super) struct Still;

#[async_trait]
impl Flow for Still {
    async fn go(&mut self, _watch: &Watch) -> Result<()> {
        Ok(())
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Features.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

/// An export about to be written.
pub(super) struct Run<'a> {
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) borders: &'a Arc<Borders>,
    pub(super) order: &'a Order,
    /// Folder of styles.
    pub(super) styles: &'a Path,
    pub(super) scratch: &'a Path,
    pub(super) watch: &'a Arc<Watch>,
    /// Most bytes.
    pub(super) most: u64,
    /// Rows of each layer, for a sample; `None`: all.
    pub(super) rows: Option<u64>,
}

impl<'a> Run<'a> {
    /// One that may take all the room there is for exports.
    pub(super) fn new(
        inner: &'a Inner,
        order: &'a Order,
        scratch: &'a Path,
        watch: &'a Arc<Watch>,
    ) -> Self {
        let Inner { store, borders, styles, settings, .. } = inner;
        Self { store, borders, order, styles, scratch, watch, most: settings.most, rows: None }
    }

    /// Writes it; `flow` is asked between two batches.
    ///
    /// # Errors
    /// The store's; [`Error::Full`] on a full disk or beyond the most bytes; [`Error::Conflict`]
    /// when it was given up.
    pub(super) async fn write(
        &self,
        out: Box<dyn Write + Send>,
        flow: &mut dyn Flow,
    ) -> Result<Written> {
        let written = self.through(out, flow).await;
        if self.watch.is_given_up() {
            return Err(given_up());
        }
        if written.is_err() && self.watch.bytes() > self.most {
            let mb = self.most >> 20;
            return Err(Error::Full(text!(
                "L'export dépasse la place réservée aux exports ({mb} Mio, max_mb de [exports]). Réduisez-le : moins de couches, un territoire plus petit.",
                "The export needs more than the room kept for exports ({mb} MiB, max_mb of [exports]). Ask for less: fewer layers, a smaller territory."
            )));
        }
        written
    }

    async fn through(&self, out: Box<dyn Write + Send>, flow: &mut dyn Flow) -> Result<Written> {
        let counted = Counted { out, watch: self.watch.clone(), most: self.most };
        let target = Target { out: Box::new(counted), scratch: self.scratch.to_owned() };
        let (kind, options) = (self.order.kind, self.order.options);
        let mut writer = match self.order.is_archive() {
            true => kind.archive(target, options),
            false => kind.open(target, options)?,
        };
        for part in &self.order.parts {
            let border = match &part.outline {
                None => None,
                Some(outline) => Some(self.borders.border(outline, None).await?),
            };
            writer.begin(&about::head(self.order, part, border.as_deref(), self.styles)?)?;
            writer = self.rows(part, border, writer, flow).await?;
            writer = aside(move || writer.end().map(|()| writer)).await?;
            flow.go(self.watch).await?;
        }
        // What waited for the end (indexes, archives) takes its time: not on a thread that serves.
        aside(move || writer.finish()).await?;
        flow.go(self.watch).await?;
        Ok(Written { rows: self.watch.rows(), bytes: self.watch.bytes() })
    }

    /// Shows a layer's rows to the writer, and gives it back.
    async fn rows(
        &self,
        part: &Part,
        border: Option<Arc<Border>>,
        writer: Box<dyn Writer>,
        flow: &mut dyn Flow,
    ) -> Result<Box<dyn Writer>> {
        let at = part.layer.at()?;
        let passage = Passage::new(&about::schema(part)?, &self.order.crs);
        let passage = match border {
            None => passage,
            Some(border) => passage.cutting(border, part.filter.bbox),
        };
        let stage = Stage { writer, passage, fault: None };
        let stage = Arc::new(Mutex::new(Some(stage)));
        let mut left = self.rows.unwrap_or(u64::MAX);
        let mut start = Start::Ordinal(0);
        while left > 0 {
            // A live layer has no ranks to go on from: it is read in one go.
            let limit = if at.version.live.is_some() { left } else { left.min(BATCH) };
            let limit = (limit < u64::MAX).then_some(limit);
            let scan = Scan { filter: part.filter.clone(), start, limit };
            let end = self.store.scan(at, scan, self.sink(&stage)).await?;
            let fault = stage
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_mut()
                .and_then(|stage| stage.fault.take());
            if let Some(fault) = fault {
                return Err(fault);
            }
            if self.watch.is_given_up() {
                return Err(given_up());
            }
            flow.go(self.watch).await?;
            left = left.saturating_sub(end.returned);
            match end.next {
                Some(next) => start = Start::Ordinal(next),
                None => break,
            }
        }
        let stage = stage.lock().unwrap_or_else(PoisonError::into_inner).take();
        stage.map(|stage| stage.writer).ok_or_else(|| Error::broken("an export lost its writer"))
    }

    fn sink(&self, stage: &Arc<Mutex<Option<Stage>>>) -> RowSink {
        let (stage, watch) = (stage.clone(), self.watch.clone());
        Box::new(move |row| {
            let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(stage) = stage.as_mut().filter(|_| !watch.is_given_up()) else {
                return ControlFlow::Break(());
            };
            match stage.show(row) {
                Ok(shown) => {
                    watch.rows.fetch_add(u64::from(shown), Ordering::Relaxed);
                    ControlFlow::Continue(())
                }
                Err(fault) => {
                    stage.fault = Some(fault);
                    ControlFlow::Break(())
                }
            }
        })
    }
}

/// What a scan's rows pass.
struct Stage {
    writer: Box<dyn Writer>,
    passage: Passage,
    fault: Option<Error>,
}

impl Stage {
    /// Writes a row; `false` when a cut left nothing of it.
    fn show(&mut self, row: &crate::store::Row<'_>) -> Result<bool> {
        let Some(left) = self.passage.cut(row.wkb)? else { return Ok(false) };
        let wkb = left.wkb.as_deref().or(row.wkb);
        let wkb = wkb.map(|wkb| self.passage.pass(wkb)).transpose()?;
        match left.share {
            None => self.writer.row(&Row { id: row.id, values: row.values, wkb })?,
            Some(share) => {
                let values = [row.values, &[ValueRef::Float(share)]].concat();
                self.writer.row(&Row { id: row.id, values: &values, wkb })?;
            }
        }
        Ok(true)
    }
}

/// It was given up: nothing of it is left.
pub(super) fn given_up() -> Error {
    Error::Conflict(text!("L'export a été annulé.", "The export was cancelled."))
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::fault("an export stopped", e))?
}

/// Counts bytes on their way, and ends an export that grows beyond its bounds or is given up.
struct Counted {
    out: Box<dyn Write + Send>,
    watch: Arc<Watch>,
    most: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.watch.is_given_up() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let n = self.out.write(bytes)?;
        let all = self.watch.bytes.fetch_add(n as u64, Ordering::Relaxed) + n as u64;
        if all > self.most {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
