//! Orders: exports too large to be sent at once. One computation for all who ask the same, here
//! and on every replica that shares the files; bounded in number; given up when asked;
//! the result kept.

use super::{
    Exports, Inner, busy,
    job::{Job, State, Status},
    order::Order,
    results::{Beat, Ready, Taken},
    run::{Run, Still, given_up},
    scratch::Scratch,
};
use crate::{
    blobs::Reader,
    error::{Error, Result},
    text,
};
use std::{
    fs::OpenOptions,
    io::BufWriter,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// How often replicas are told of the progress.
const BEAT: Duration = Duration::from_secs(1);
/// When a client that was turned away may try again, seconds.
const RETRY: u64 = 30;
/// How often old results are looked for.
const SWEEP: Duration = Duration::from_secs(600);

/// An order, placed or found.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// Its name.
    pub id: String,
    /// Where it stands.
    pub status: Status,
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
        // Not within the request: it may be given up while the shared files are asked, and the job
        // would keep its place for nothing.
        let taking = tokio::spawn(self.clone().take(id.clone(), order, job.clone()));
        taking.await.unwrap_or_else(|e| {
            self.0.drop_job(&id, &job);
            Err(Error::fault("an export stopped", e))
        })
    }

    /// Takes an order for this replica and begins the work, unless another one has it or it is
    /// finished: then the job is dropped.
    async fn take(self, id: String, order: Order, job: Arc<Job>) -> Result<Ticket> {
        let taken = self.0.results.take(&id, &job.beat()).await;
        if matches!(taken, Ok(Taken::Ours)) {
            let status = job.status();
            tokio::spawn(work(self.0.clone(), id.clone(), order, job));
            return Ok(Ticket { id, status });
        }
        self.0.drop_job(&id, &job);
        let status = match taken? {
            Taken::Done(ready) => Status::Done(ready),
            // Another replica was faster.
            Taken::Ours | Taken::Theirs => self.standing(&id).await?.unwrap_or(Status::Waiting),
        };
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

impl Inner {
    /// Forgets a job. Another one may go by the order's name by now.
    fn drop_job(&self, id: &str, job: &Arc<Job>) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.get(id).is_some_and(|held| Arc::ptr_eq(held, job)) {
            jobs.remove(id);
        }
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
    let outcome = end(&inner, &id, &job, done).await;
    let seconds = begun.elapsed().as_secs_f64();
    metrics::counter!("socle_exports_total", "format" => order.kind.id, "outcome" => outcome)
        .increment(1);
    tracing::info!(order = id, outcome, seconds, rows = job.watch.rows(), "export");
}

/// Says how the work ended, and leaves the order. What another replica has by now is its own; what
/// somebody gave up goes.
async fn end(inner: &Inner, id: &str, job: &Arc<Job>, done: Result<Ready>) -> &'static str {
    let (outcome, state) = match done {
        // Where it stands is for the other replica to say.
        _ if job.is_lost() => ("taken_over", None),
        done if job.watch.is_given_up() => {
            inner.results.withdraw(id, &job.who, done.as_ref().ok()).await;
            ("cancelled", Some(State::Cancelled(Instant::now())))
        }
        Ok(ready) => ("done", Some(State::Done(ready))),
        Err(error) => {
            tracing::error!(order = id, cause = error.chain(), "an export failed");
            ("failed", Some(State::Failed(Arc::new(error), Instant::now())))
        }
    };
    inner.results.leave(id, &job.who).await;
    match state {
        Some(state) => job.set(state),
        None => inner.drop_job(id, job),
    }
    outcome
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
    // A replica that slept meanwhile hears only here that the order is another's.
    assure(inner, id, job).await?;
    let bytes = inner.results.keep(draft, id).await?;
    assure(inner, id, job).await?;
    inner.results.tell(id, order, written.rows, bytes).await
}

/// Fails when the work was given up, or another replica has the order by now.
async fn assure(inner: &Inner, id: &str, job: &Job) -> Result<()> {
    if !inner.results.is_held(id, &job.who).await? {
        job.lose();
    }
    if job.watch.is_given_up() { Err(given_up()) } else { Ok(()) }
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
                job.lose();
                return;
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
    /// The result of an order, once it is finished.
    async fn finished(exports: &Exports, id: &str) -> Ready {
        loop {
            match exports.status(id).await.unwrap() {
                Status::Done(ready) => return ready,
                Status::Waiting | Status::Running { .. } => {}
                other => panic!("{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// An order that fell silent and was taken over: the work that lost it, and the heir's result.
    async fn taken_over(dir: &Path) -> (Exports, Arc<Job>, Exports, Ready) {
        let (first, heir) = (exports(dir), exports(dir));
        let (id, job) = (order().id().unwrap(), Arc::new(Job::new(0)));
        first.0.jobs.lock().unwrap().insert(id.clone(), job.clone());
        let silent = Beat { at: jiff::Timestamp::UNIX_EPOCH, ..job.beat() };
        assert_eq!(first.0.results.take(&id, &silent).await.unwrap(), Taken::Ours);
        heir.place(order(), 0).await.unwrap();
        let ready = finished(&heir, &id).await;
        (first, job, heir, ready)
    }

    #[tokio::test]
    async fn a_work_that_was_taken_over_leaves_the_heirs_result_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (first, job, heir, ready) = taken_over(dir.path()).await;
        let id = &ready.id;
        // It wakes and goes on: it replaces neither the file nor what it is.
        assert!(write(&first.0, id, &order(), &job).await.is_err());
        assert!(job.is_lost());
        assert_eq!(heir.ready(id).await.unwrap(), Some(ready.clone()));
        // Also when it hears of it only with its own result in hand.
        assert_eq!(end(&first.0, id, &job, Ok(ready.clone())).await, "taken_over");
        assert_eq!(heir.ready(id).await.unwrap(), Some(ready.clone()));
        assert!(heir.read(id, None).await.unwrap().is_some());
        // Nothing of its own stands before the heir's result.
        assert!(first.job(id).is_none());
        assert!(matches!(first.status(id).await, Ok(Status::Done(held)) if held == ready));
    }

    #[tokio::test]
    async fn a_heart_that_beats_again_hears_of_the_takeover() {
        let dir = tempfile::tempdir().unwrap();
        let (first, job, heir, ready) = taken_over(dir.path()).await;
        tell(&first.0, &ready.id, &job, &Notify::new()).await;
        assert!(job.is_lost() && job.watch.is_given_up());
        assert_eq!(end(&first.0, &ready.id, &job, Ok(ready.clone())).await, "taken_over");
        assert_eq!(heir.ready(&ready.id).await.unwrap(), Some(ready));
    }

    #[tokio::test]
    async fn what_was_given_up_at_the_last_moment_is_removed_but_not_what_others_made() {
        let dir = tempfile::tempdir().unwrap();
        let exports = exports(dir.path());
        let id = exports.place(order(), 0).await.unwrap().id;
        let ready = finished(&exports, &id).await;
        let job = Arc::new(Job::new(0));
        job.watch.give_up();
        // It came to nothing itself, or to another result than the one that is kept.
        let other = Ready { made_at: jiff::Timestamp::UNIX_EPOCH, ..ready.clone() };
        for done in [Err(given_up()), Ok(other)] {
            assert_eq!(end(&exports.0, &id, &job, done).await, "cancelled");
            assert_eq!(exports.ready(&id).await.unwrap(), Some(ready.clone()));
        }
        // Somebody else is at it.
        let next = Job::new(0).beat();
        assert!(exports.0.results.beat(&id, &next).await.unwrap());
        assert_eq!(end(&exports.0, &id, &job, Ok(ready.clone())).await, "cancelled");
        assert_eq!(exports.ready(&id).await.unwrap(), Some(ready.clone()));
        exports.0.results.leave(&id, &next.who).await;
        assert_eq!(end(&exports.0, &id, &job, Ok(ready)).await, "cancelled");
        assert!(exports.ready(&id).await.unwrap().is_none());
        assert!(exports.read(&id, None).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn an_order_whose_client_leaves_while_it_is_placed_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let exports = exports(dir.path());
        let id = order().id().unwrap();
        let mut placing = Box::pin(exports.place(order(), 0));
        let placed = std::future::poll_fn(|context| {
            assert!(placing.as_mut().poll(context).is_pending(), "it waits for the shared files");
            match exports.job(&id) {
                Some(_) => std::task::Poll::Ready(()),
                None => std::task::Poll::Pending,
            }
        });
        placed.await;
        drop(placing);
        // It does not wait for ever.
        let made = tokio::time::timeout(Duration::from_secs(60), finished(&exports, &id)).await;
        assert_eq!(made.unwrap().id, id);
    }
}
