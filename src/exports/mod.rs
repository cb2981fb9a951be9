//! Exports: layers, selected for a territory, become a file in a format and a system of one's
//! choice.
//!
//! An [`Order`] says what is wanted, checked. A small one is sent as it is made ([`Exports::stream`]);
//! a large one is worked on aside ([`Exports::place`]), once for all who ask the same, and its result
//! kept with the [`crate::blobs`] for a time, under a name made of the layers' states and of the
//! order in normal form: a new version is another order.
//!
//! Every row takes one road: the store's scan, [`passage`] (cut, then projected), the format's
//! writer. Rows are read in batches, so that a slow client holds no connection of the store, and an
//! order is given up between two rows.

mod about;
mod job;
mod legal;
mod order;
mod passage;
mod place;
mod results;
mod run;
mod scratch;
mod stream;

use crate::formats::write::layer_definition;
pub use crate::formats::write::{ALL as FORMATS, Kind, Options, Place};
pub use job::Status;
pub use legal::legal_crs;
use order::no_layer;
pub use order::{Extent, Order, Part};
pub use place::Ticket;
pub use results::Ready;
pub use run::Watch;

use crate::{
    blobs::Blobs,
    config::ExportSettings,
    error::{Error, Result},
    model::Progress,
    store::{Store, border::Borders},
    text,
};
use async_trait::async_trait;
use job::Job;
use results::Results;
use scratch::Scratch;
use std::{
    collections::BTreeMap,
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::Semaphore;

/// Rows whose bytes are measured for an estimate.
const SAMPLE: u64 = 200;

/// What an export will be, about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Features, exactly where that is cheap to know.
    pub rows: u64,
    /// Whether `rows` is exact; at most so many otherwise.
    pub exact: bool,
    /// Bytes.
    pub bytes: u64,
    /// Whether it is sent at once.
    pub at_once: bool,
}

/// The service; cheap to clone.
#[derive(Clone)]
pub struct Exports(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    borders: Arc<Borders>,
    results: Results,
    settings: ExportSettings,
    /// Folder of MapLibre style documents.
    styles: PathBuf,
    /// Orders that this process knows of, by name.
    jobs: Mutex<BTreeMap<String, Arc<Job>>>,
    workers: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

impl Exports {
    /// Over a store and the shared files.
    pub fn new(
        store: Arc<dyn Store>,
        borders: Arc<Borders>,
        blobs: Blobs,
        settings: ExportSettings,
        styles: PathBuf,
    ) -> Self {
        let workers = Arc::new(Semaphore::new(settings.workers.max(1)));
        let streams = Arc::new(Semaphore::new(settings.streams.max(1)));
        let results = Results::new(blobs, settings.keep, settings.most);
        let jobs = Mutex::default();
        Self(Arc::new(Inner { store, borders, results, settings, styles, jobs, workers, streams }))
    }

    /// How large an export will be.
    pub async fn estimate(&self, order: &Order) -> Result<Estimate> {
        let (mut rows, mut exact) = (0, true);
        for part in &order.parts {
            match self.count(part).await? {
                Some(n) => rows += n,
                None => (rows, exact) = (rows + part.layer.at()?.version.count, false),
            }
        }
        let few = rows.min(SAMPLE);
        let [empty, sample] = [self.measure(order, 0).await?, self.measure(order, few).await?];
        let each = sample.bytes.saturating_sub(empty.bytes) as f64 / sample.rows.max(1) as f64;
        let bytes = empty.bytes + (each * rows as f64) as u64;
        let at_once = bytes <= self.0.settings.stream;
        Ok(Estimate { rows, exact, bytes, at_once })
    }

    async fn count(&self, part: &Part) -> Result<Option<u64>> {
        let (at, filter) = (part.layer.at()?, &part.filter);
        match &part.outline {
            None => self.0.store.count(at, filter).await,
            Some(outline) if filter.is_territory_alone() => {
                let selection = filter.selection.as_ref();
                let shares = self.0.borders.shares(at, selection, outline).await?;
                Ok(Some(shares.kept))
            }
            Some(_) => Ok(None),
        }
    }

    /// What the first rows of each layer take.
    async fn measure(&self, order: &Order, rows: u64) -> Result<run::Written> {
        let scratch = Scratch::new(&self.0.settings.path)?;
        let watch = Arc::new(Watch::default());
        let whole = run::Run::new(&self.0, order, scratch.files(), &watch);
        let job = run::Run { most: u64::MAX, rows: Some(rows), ..whole };
        job.write(Box::new(std::io::sink()), &mut run::Still).await
    }

    /// The first layer of an order as a QGIS layer definition (`.qlr`) that reads it from the
    /// order's service.
    ///
    /// # Errors
    /// [`Error::Unavailable`] before its first harvest; [`Error::Invalid`] without a layer.
    pub fn layer_definition(&self, order: &Order) -> Result<String> {
        let Some(part) = order.parts.first() else { return Err(no_layer()) };
        Ok(layer_definition(&about::head(order, part, None, &self.0.styles)?))
    }

    /// Writes an export into a local file, whole or not at all.
    ///
    /// # Errors
    /// Those of the order's layers; [`Error::Full`] when the disk is.
    pub async fn write(
        &self,
        order: &Order,
        path: &Path,
        progress: &dyn Progress,
    ) -> Result<run::Written> {
        let estimate = self.estimate(order).await?;
        progress.stage(text!("Écriture", "Writing"), Some(estimate.rows));
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Beside its place: what is renamed there was on the same disk.
        let scratch = Scratch::beside(folder)?;
        let aside = scratch.files().join("result");
        let file = File::create(&aside).map_err(|e| Error::io(&aside, e))?;
        let watch = Arc::new(Watch::default());
        let bounded = run::Run::new(&self.0, order, scratch.files(), &watch);
        let job = run::Run { most: u64::MAX, ..bounded };
        let out = Box::new(BufWriter::with_capacity(1 << 18, file));
        let written = job.write(out, &mut Told(progress)).await?;
        std::fs::rename(&aside, path).map_err(|e| Error::io(path, e))?;
        progress.finish();
        Ok(written)
    }
}

/// A person is told how far it is.
struct Told<'a>(&'a dyn Progress);

#[async_trait]
impl run::Flow for Told<'_> {
    async fn go(&mut self, watch: &Watch) -> Result<()> {
        self.0.advance(watch.rows());
        Ok(())
    }
}

/// Too many exports at once.
fn busy(seconds: u64) -> Error {
    Error::Busy { retry_after: Duration::from_secs(seconds) }
}
