//! Orders: exports too large to be sent at once. One computation for all who ask the same, here
//! and on every replica that shares the files; bounded in number; given up when asked;
//! the result kept.

use super::{
    Exports, Inner, busy,
    order::Order,
    results::{self, Beat, Ready, Taken},
    run::{Run, Still, Watch, given_up},
    scratch::Scratch,
};
use crate::{
    blobs::Reader,
    error::{Error, Result},
    text,
};
use jiff::Timestamp;
use std::{
    fs::OpenOptions,
    io::BufWriter,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// How often replicas are told of the progress.
const BEAT: Duration = Duration::from_secs(1);
/// When a client that was turned away may try again, seconds.
const RETRY: u64 = 30;
/// How often old results are looked for.
const SWEEP: Duration = Duration::from_secs(600);
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

/// An order, placed or found.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// Its name.
    pub id: String,
    /// Where it stands.
    pub status: Status,
}

/// An order that this process works on, or has.
pub(super) struct Job {
    /// Names this work on it.
    who: String,
    watch: Arc<Watch>,
    of: AtomicU64,
    state: Mutex<State>,
}

#[derive(Clone)]
enum State {
    Waiting,
    Running,
    Done(Ready),
    Failed(Arc<Error>, Instant),
    Cancelled(Instant),
}

impl Job {
    fn new(of: u64) -> Self {
        let (of, state) = (AtomicU64::new(of), Mutex::new(State::Waiting));
        Self { who: results::name(), watch: Arc::default(), of, state }
    }

    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// How far it is, for the other replicas.
    fn beat(&self) -> Beat {
        Beat {
            who: self.who.clone(),
            rows: self.watch.rows(),
            of: self.of.load(Ordering::Relaxed),
            bytes: self.watch.bytes(),
            at: Timestamp::now(),
        }
    }

    fn is_under_way(&self) -> bool {
        matches!(self.state(), State::Waiting | State::Running)
    }

    /// Whether it may be forgotten: what is finished is among the results.
    fn is_past(&self) -> bool {
        match self.state() {
            State::Waiting | State::Running => false,
            State::Done(_) => true,
            State::Failed(_, at) | State::Cancelled(at) => at.elapsed() > REMEMBERED,
        }
    }

    fn status(&self) -> Status {
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

impl Exports {
    /// Places an order, or joins the one that asks the same. `of`: features it has, about.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many wait.
    pub async fn place(&self, order: Order, of: u64) -> Result<Ticket> {
        let id = order.id()?;
        if let Some(status) = self.standing(&id).await? {
            return Ok(Ticket { id, status });
        }
        self.sweep_sometimes();
        let job = {
            let mut jobs = self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            jobs.retain(|_, job| !job.is_past());
            // Somebody else may have placed it meanwhile.
            if let Some(job) = jobs.get(&id).filter(|job| job.is_under_way()) {
                return Ok(Ticket { id, status: job.status() });
            }
            let under_way = jobs.values().filter(|job| job.is_under_way()).count();
            if under_way >= self.0.settings.workers + self.0.settings.waiting {
                return Err(busy(RETRY));
            }
            let job = Arc::new(Job::new(of));
            jobs.insert(id.clone(), job.clone());
            job
        };
        match self.0.results.take(&id, &job.beat()).await {
            Ok(Taken::Ours) => {}
            Ok(Taken::Done(ready)) => {
                self.drop_job(&id);
                return Ok(Ticket { id, status: Status::Done(ready) });
            }
            // Another replica was faster.
            Ok(Taken::Theirs) => {
                self.drop_job(&id);
                let status = self.standing(&id).await?.unwrap_or(Status::Waiting);
                return Ok(Ticket { id, status });
            }
            Err(error) => {
                self.drop_job(&id);
                return Err(error);
            }
        }
        let status = job.status();
        tokio::spawn(work(self.0.clone(), id.clone(), order, job));
        Ok(Ticket { id, status })
    }

    /// What there is of an order already: under way, here or elsewhere, or finished.
    async fn standing(&self, id: &str) -> Result<Option<Status>> {
        if let Some(job) = self.job(id).filter(|job| job.is_under_way()) {
            return Ok(Some(job.status()));
        }
        if let Some(ready) = self.0.results.ready(id).await? {
            return Ok(Some(Status::Done(ready)));
        }
        let heard = self.0.results.heard(id).await?;
        Ok(heard.map(|Beat { rows, of, bytes, .. }| Status::Running { rows, of, bytes }))
    }

    fn job(&self, id: &str) -> Option<Arc<Job>> {
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn drop_job(&self, id: &str) {
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// A finished export that is still kept.
    pub async fn ready(&self, id: &str) -> Result<Option<Ready>> {
        self.0.results.ready(id).await
    }

    /// Where an order stands.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none of that name (any more).
    pub async fn status(&self, id: &str) -> Result<Status> {
        if let Some(status) = self.standing(id).await? {
            return Ok(status);
        }
        let job = self.job(id).filter(|job| !matches!(job.state(), State::Done(_)));
        job.map(|job| job.status()).ok_or_else(unknown)
    }

    /// Gives an order up, or removes its result.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none of that name (any more).
    pub async fn cancel(&self, id: &str) -> Result<()> {
        if let Some(job) = self.job(id).filter(|job| job.is_under_way()) {
            job.watch.give_up();
            job.set(State::Cancelled(Instant::now()));
            // The other replicas are not to wait for it.
            self.0.results.leave(id, &job.who).await;
            return Ok(());
        }
        if self.0.results.ready(id).await?.is_some() {
            self.0.results.remove(id).await;
            return Ok(());
        }
        if self.0.results.heard(id).await?.is_some() {
            return self.0.results.stop(id).await;
        }
        Err(unknown())
    }

    /// Opens a finished file, or a range of it.
    pub async fn read(&self, id: &str, range: Option<Range<u64>>) -> Result<Option<Reader>> {
        self.0.results.read(id, range).await
    }

    fn sweep_sometimes(&self) {
        static LAST: Mutex<Option<Instant>> = Mutex::new(None);
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|at| at.elapsed() < SWEEP.min(self.0.settings.keep)) {
            return;
        }
        *last = Some(Instant::now());
        drop(last);
        let inner = self.0.clone();
        tokio::spawn(async move {
            if let Err(error) = inner.results.sweep().await {
                tracing::warn!(cause = error.chain(), "old exports are not removed");
            }
        });
    }
}

/// No order of that name.
pub(super) fn unknown() -> Error {
    Error::NotFound(text!(
        "Cet export n'existe pas ou n'existe plus : demandez-le de nouveau.",
        "There is no such export (any more): ask for it again."
    ))
}

/// Works on an order until it is finished, fails or is given up.
async fn work(inner: Arc<Inner>, id: String, order: Order, job: Arc<Job>) {
    let begun = Instant::now();
    let over = Notify::new();
    let done = async {
        let done = in_turn(&inner, &id, &order, &job).await;
        over.notify_one();
        done
    };
    let (done, ()) = tokio::join!(done, tell(&inner, &id, &job, &over));
    inner.results.leave(&id, &job.who).await;
    let seconds = begun.elapsed().as_secs_f64();
    let outcome = match &done {
        Ok(_) => "done",
        Err(_) if job.watch.is_given_up() => "cancelled",
        Err(_) => "failed",
    };
    metrics::counter!("socle_exports_total", "format" => order.kind.id, "outcome" => outcome)
        .increment(1);
    tracing::info!(order = id, outcome, seconds, rows = job.watch.rows(), "export");
    job.set(match done {
        Ok(ready) if job.watch.is_given_up() => {
            inner.results.remove(&ready.id).await;
            State::Cancelled(Instant::now())
        }
        Ok(ready) => State::Done(ready),
        Err(_) if job.watch.is_given_up() => State::Cancelled(Instant::now()),
        Err(error) => {
            tracing::error!(order = id, cause = error.chain(), "an export failed");
            State::Failed(Arc::new(error), Instant::now())
        }
    });
}

/// Waits for its turn, then writes.
async fn in_turn(inner: &Arc<Inner>, id: &str, order: &Order, job: &Arc<Job>) -> Result<Ready> {
    let place = tokio::select! {
        biased;
        () = job.watch.gave_up() => return Err(given_up()),
        place = inner.workers.clone().acquire_owned() => place,
    };
    let _place = place.map_err(|_| given_up())?;
    job.set(State::Running);
    write(inner, id, order, job).await
}

async fn write(inner: &Arc<Inner>, id: &str, order: &Order, job: &Arc<Job>) -> Result<Ready> {
    inner.results.sweep().await?;
    let scratch = Scratch::new(&inner.settings.path)?;
    let draft = inner.results.begin()?;
    let path = draft.path();
    let file = OpenOptions::new().write(true).open(path).map_err(|e| Error::io(path, e))?;
    let run = Run::new(inner, order, scratch.files(), &job.watch);
    let out = Box::new(BufWriter::with_capacity(1 << 18, file));
    let mut still = Still;
    let written = run.write(out, &mut still).await?;
    inner.results.keep(draft, id, order, written.rows).await
}

/// Tells the other replicas of the progress until the work is over. It is given up when one of them
/// asks for the end, or has taken it over; nothing more is told then.
async fn tell(inner: &Inner, id: &str, job: &Job, over: &Notify) {
    let work = over.notified();
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            () = &mut work => return,
            () = tokio::time::sleep(BEAT) => {}
        }
        if job.watch.is_given_up() {
            return;
        }
        match inner.results.beat(id, &job.beat()).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(order = id, "another replica took an export over");
                job.watch.give_up();
            }
            Err(error) => {
                tracing::debug!(cause = error.chain(), "an export's progress is not told");
            }
        }
        if inner.results.is_stopped(id).await {
            job.watch.give_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        blobs::Blobs,
        config::{BlobSettings, ExportSettings},
        formats::write::Options,
        geometry::crs::Crs,
        store::{border::Borders, embedded::EmbeddedStore},
    };
    use std::path::Path;

    fn exports(dir: &Path) -> Exports {
        let store: Arc<dyn crate::store::Store> = Arc::new(EmbeddedStore::open(dir).unwrap());
        let borders = Arc::new(Borders::new(store.clone()));
        let blobs = BlobSettings { path: dir.join("blobs"), s3: None };
        let settings = ExportSettings { workers: 1, ..ExportSettings::default_in(dir) };
        Exports::new(store, borders, Blobs::open(&blobs).unwrap(), settings, dir.to_owned())
    }

    fn order() -> Order {
        Order {
            parts: Vec::new(),
            kind: Order::kind("csv").unwrap(),
            crs: Crs::crs84(),
            options: Options::default(),
            extent: None,
            vintage: 2025,
            service: None,
        }
    }

    #[tokio::test]
    async fn a_waiting_order_that_is_given_up_is_silent_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let exports = exports(dir.path());
        let others = self::exports(dir.path());
        let turn = exports.0.workers.clone().acquire_owned().await.unwrap();
        let id = exports.place(order(), 0).await.unwrap().id;
        assert!(matches!(others.status(&id).await, Ok(Status::Running { .. })));
        exports.cancel(&id).await.unwrap();
        assert!(matches!(exports.status(&id).await, Ok(Status::Cancelled)));
        // Its turn never comes, yet nobody waits for it: here, elsewhere, however often its heart
        // would have beaten since.
        for _ in 0..2 {
            assert!(matches!(others.status(&id).await, Err(Error::NotFound(_))));
            tokio::time::sleep(BEAT + BEAT / 4).await;
        }
        assert_eq!(exports.0.workers.available_permits(), 0);
        drop(turn);
        // Asked for again, it is made.
        others.place(order(), 0).await.unwrap();
        while !matches!(others.status(&id).await.unwrap(), Status::Failed(_) | Status::Done(_)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
