//! Finished exports among the shared files, and what replicas tell each other of those under way:
//! `exports/<order>/file`, `…/about` (what the file is; written last), `…/state` (who works on it,
//! how far), `…/stop` (somebody gave it up), `…/after-<who>` (who took it over from one that fell
//! silent).

use super::order::Order;
use crate::{
    blobs::{Blobs, Draft, Key, Reader},
    error::{Error, Result},
};
use bytes::Bytes;
use futures_util::Stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    ops::Range,
    time::Duration,
};

/// Bytes of a description.
const SMALL: u64 = 64 << 10;
/// A replica that says nothing of its work for so long has stopped.
const SILENCE: Duration = Duration::from_secs(15);
/// How many may have died one after the other while they took an order over.
const HEIRS: usize = 8;

/// A finished export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The order's name, and the file's entity tag.
    pub id: String,
    /// Name of the file.
    pub name: String,
    /// Media type.
    pub media: String,
    /// Its size.
    pub bytes: u64,
    /// Features.
    pub rows: u64,
    /// When it was finished.
    pub made_at: Timestamp,
    /// When it goes.
    pub until: Timestamp,
}

/// How far an order is, as the replica that works on it says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Beat {
    /// Names the work, among all that was ever begun on the order.
    #[serde(default)]
    pub(super) who: String,
    pub(super) rows: u64,
    pub(super) of: u64,
    pub(super) bytes: u64,
    pub(super) at: Timestamp,
}

impl Beat {
    /// Whether whoever says so still works on it.
    fn is_heard(&self) -> bool {
        let silence = jiff::SignedDuration::try_from(SILENCE).unwrap_or_default();
        Timestamp::now().duration_since(self.at) < silence
    }
}

/// A name for a work that no other has.
pub(super) fn name() -> String {
    let half = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", half(), half())
}

/// What came of taking an order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is this replica's to work on.
    Ours,
    /// Another one has it.
    Theirs,
    /// It was finished meanwhile.
    Done(Ready),
}

/// The shared files of exports.
pub(super) struct Results {
    blobs: Blobs,
    keep: Duration,
    most: u64,
}

impl Results {
    pub(super) fn new(blobs: Blobs, keep: Duration, most: u64) -> Self {
        Self { blobs, keep, most }
    }

    /// A file to write a result into.
    pub(super) fn begin(&self) -> Result<Draft> {
        self.blobs.begin(self.most)
    }

    /// Keeps a finished file; gives its size. It is a result once [`Results::tell`] says so.
    pub(super) async fn keep(&self, draft: Draft, id: &str) -> Result<u64> {
        Ok(draft.keep(&key(id, "file")?).await?.bytes)
    }

    /// Tells what a file is that was kept.
    pub(super) async fn tell(
        &self,
        id: &str,
        order: &Order,
        rows: u64,
        bytes: u64,
    ) -> Result<Ready> {
        let made_at = Timestamp::now();
        let keep = jiff::SignedDuration::try_from(self.keep).unwrap_or(jiff::SignedDuration::MAX);
        let ready = Ready {
            id: id.to_owned(),
            name: order.file_name(),
            media: order.media().to_owned(),
            bytes,
            rows,
            made_at,
            until: made_at.checked_add(keep).unwrap_or(Timestamp::MAX),
        };
        self.put(id, "about", &ready).await?;
        Ok(ready)
    }

    /// A finished export that is still kept.
    pub(super) async fn ready(&self, id: &str) -> Result<Option<Ready>> {
        let ready: Option<Ready> = self.get(id, "about").await?;
        let Some(ready) = ready.filter(|r| r.until > Timestamp::now()) else { return Ok(None) };
        let there = self.blobs.stat(&key(id, "file")?).await?;
        Ok(there.filter(|s| s.bytes == ready.bytes).map(|_| ready))
    }

    /// Opens a finished file, or a range of it.
    pub(super) async fn read(&self, id: &str, range: Option<Range<u64>>) -> Result<Option<Reader>> {
        self.blobs.read(&key(id, "file")?, range).await
    }

    /// Takes an order for this replica. Where several try at once, one has it; what a replica that
    /// fell silent had is free again, for one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the shared files are out of reach.
    pub(super) async fn take(&self, id: &str, beat: &Beat) -> Result<Taken> {
        let ours = match self.put_new(id, "state", beat).await? {
            true => true,
            false => match self.state(id).await? {
                Some(held) if held.is_heard() => false,
                Some(silent) => self.succeed(id, silent, beat).await?,
                // Forgotten just now: finished, or given up.
                None => self.put_new(id, "state", beat).await?,
            },
        };
        // Finished between the last look at it and now: whoever was, forgot its state only after.
        if let Some(ready) = self.ready(id).await? {
            if ours {
                self.leave(id, &beat.who).await;
            }
            return Ok(Taken::Done(ready));
        }
        if !ours {
            return Ok(Taken::Theirs);
        }
        self.forget(id, "stop").await;
        Ok(Taken::Ours)
    }

    /// Takes an order over from a work that fell silent; `false` when another one did. Each work
    /// has one heir, for good: files that say so are left to age.
    async fn succeed(&self, id: &str, silent: Beat, beat: &Beat) -> Result<bool> {
        let mut who = silent.who;
        for _ in 0..HEIRS {
            if self.put_new(id, &after(&who), beat).await? {
                self.put(id, "state", beat).await?;
                return Ok(true);
            }
            let heir: Option<Beat> = self.get(id, &after(&who)).await?;
            // An heir tells of its progress where all do; one that is silent there too never came
            // so far, or is gone as well.
            let heard = self.state(id).await?.is_some_and(|s| s.is_heard());
            match heir.filter(|heir| !heard && !heir.is_heard()) {
                Some(silent) => who = silent.who,
                None => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Tells the other replicas how far it is; `false` when one of them took the order over, this
    /// one having been silent for too long.
    pub(super) async fn beat(&self, id: &str, beat: &Beat) -> Result<bool> {
        if self.has_heir(id, &beat.who).await? {
            return Ok(false);
        }
        self.put(id, "state", beat).await?;
        Ok(true)
    }

    /// Whether a work was taken over from.
    async fn has_heir(&self, id: &str, who: &str) -> Result<bool> {
        Ok(self.blobs.stat(&key(id, &after(who))?).await?.is_some())
    }

    /// Whether an order is still a work's: nobody took it over, or took what it had left.
    pub(super) async fn is_held(&self, id: &str, who: &str) -> Result<bool> {
        if self.has_heir(id, who).await? {
            return Ok(false);
        }
        match self.state(id).await? {
            // One that was taken over from may say one last word before it hears of that.
            Some(held) if held.who != who => self.has_heir(id, &held.who).await,
            _ => Ok(true),
        }
    }

    /// Says no more of a work, unless another one goes by the order's name by now. What cannot be
    /// read may be that one's: a work that says nothing is soon taken for gone anyway.
    pub(super) async fn leave(&self, id: &str, who: &str) {
        match self.state(id).await {
            Ok(Some(held)) if held.who == who => self.forget(id, "state").await,
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(cause = error.chain(), "an export's state stays for now");
            }
        }
    }

    /// Removes what a work that was given up left: its result, `told` if it came so far, or a file
    /// that nothing tells of. What is another work's stays.
    pub(super) async fn withdraw(&self, id: &str, who: &str, told: Option<&Ready>) {
        let about = self.get::<Ready>(id, "about").await;
        let is_own = matches!(&about, Ok(about) if about.as_ref() == told);
        if is_own && matches!(self.is_held(id, who).await, Ok(true)) {
            self.forget(id, "about").await;
            self.forget(id, "file").await;
        }
    }

    /// How far another replica is that is still at it.
    pub(super) async fn heard(&self, id: &str) -> Result<Option<Beat>> {
        Ok(self.state(id).await?.filter(Beat::is_heard))
    }

    /// What was said last of the work on an order. Words of another release of the program are
    /// those of nobody, long silent.
    async fn state(&self, id: &str) -> Result<Option<Beat>> {
        let text = self.text(id, "state").await?;
        Ok(text.map(|text| serde_json::from_slice(&text).unwrap_or_default()))
    }

    /// Asks the replica that works on an order to give it up.
    pub(super) async fn stop(&self, id: &str) -> Result<()> {
        self.put(id, "stop", &Timestamp::now()).await
    }

    /// Whether somebody asked.
    pub(super) async fn is_stopped(&self, id: &str) -> bool {
        matches!(self.get::<Timestamp>(id, "stop").await, Ok(Some(_)))
    }

    /// Removes all of an order.
    pub(super) async fn remove(&self, id: &str) {
        for name in ["about", "file", "state", "stop"] {
            self.forget(id, name).await;
        }
    }

    /// Removes one file of an order; what cannot be removed now goes with age.
    pub(super) async fn forget(&self, id: &str, name: &str) {
        if let Ok(key) = key(id, name)
            && let Err(error) = self.blobs.delete(&key).await
        {
            tracing::debug!(cause = error.chain(), "an export's file stays for now");
        }
    }

    /// Removes what is too old, then the oldest of what takes too much room.
    pub(super) async fn sweep(&self) -> Result<()> {
        let mut all = self.blobs.list("exports").await?;
        all.sort_by_key(|stat| std::cmp::Reverse(stat.modified));
        let keep = jiff::SignedDuration::try_from(self.keep).unwrap_or(jiff::SignedDuration::MAX);
        let (now, mut held) = (Timestamp::now(), 0u64);
        for stat in all {
            held = held.saturating_add(stat.bytes);
            if now.duration_since(stat.modified) > keep || held > self.most {
                self.blobs.delete(&stat.key).await?;
            }
        }
        Ok(())
    }

    async fn put(&self, id: &str, name: &str, value: &impl Serialize) -> Result<()> {
        self.blobs.put(&key(id, name)?, written(value)?, SMALL).await.map(drop)
    }

    /// Puts what is not there yet; `false` when it is.
    async fn put_new(&self, id: &str, name: &str, value: &impl Serialize) -> Result<bool> {
        let put = self.blobs.put_new(&key(id, name)?, written(value)?, SMALL).await?;
        Ok(put.is_some())
    }

    async fn get<T: DeserializeOwned>(&self, id: &str, name: &str) -> Result<Option<T>> {
        // One of another release of the program is as if it were not there.
        Ok(self.text(id, name).await?.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    async fn text(&self, id: &str, name: &str) -> Result<Option<Vec<u8>>> {
        match self.blobs.read(&key(id, name)?, None).await? {
            Some(reader) => reader.bytes().await.map(Some),
            None => Ok(None),
        }
    }
}

/// The file that names the heir of a work.
fn after(who: &str) -> String {
    format!("after-{who}")
}

/// A value as a stream of one piece of JSON.
fn written<V: Serialize>(value: &V) -> Result<impl Stream<Item = Result<Bytes>> + use<V>> {
    let text = serde_json::to_vec(value).map_err(|e| Error::fault("an export's state", e))?;
    Ok(futures_util::stream::iter([Ok(Bytes::from(text))]))
}

/// The key of an order's file. Names of orders are hexadecimal digits; anything else has none.
fn key(id: &str, name: &str) -> Result<Key> {
    let plain = !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
    if !plain {
        return Err(super::place::unknown());
    }
    format!("exports/{id}/{name}").parse().map_err(|_| Error::broken("a key of an export"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BlobSettings;
    use std::sync::Arc;

    const ID: &str = "0a1b";

    fn results(dir: &std::path::Path) -> Arc<Results> {
        let blobs = Blobs::open(&BlobSettings { path: dir.to_path_buf(), s3: None }).unwrap();
        Arc::new(Results::new(blobs, Duration::from_secs(3600), 1 << 20))
    }

    fn beat(at: Timestamp) -> Beat {
        Beat { who: name(), at, ..Beat::default() }
    }

    fn silent() -> Beat {
        beat(Timestamp::now() - 2 * SILENCE)
    }

    /// Many take at once, each with a replica's own view of the files.
    async fn takers(dir: &std::path::Path) -> usize {
        let gate = Arc::new(tokio::sync::Barrier::new(8));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (results, gate) = (results(dir), gate.clone());
                tokio::spawn(async move {
                    gate.wait().await;
                    results.take(ID, &beat(Timestamp::now())).await.unwrap() == Taken::Ours
                })
            })
            .collect();
        let mut ours = 0;
        for task in tasks {
            ours += usize::from(task.await.unwrap());
        }
        ours
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn one_of_many_takes_what_a_dead_replica_had() {
        for round in 0..40 {
            let dir = tempfile::tempdir().unwrap();
            let files = results(dir.path());
            if round % 2 == 0 {
                files.put(ID, "state", &silent()).await.unwrap();
            }
            assert_eq!(takers(dir.path()).await, 1, "round {round}");
            // It is heard of: nobody else takes it.
            assert_eq!(takers(dir.path()).await, 0, "round {round}");
        }
    }

    #[tokio::test]
    async fn a_replica_that_dies_while_it_takes_over_is_followed_too() {
        let dir = tempfile::tempdir().unwrap();
        let files = results(dir.path());
        let (first, second) = (silent(), silent());
        files.put(ID, "state", &first).await.unwrap();
        files.put(ID, &after(&first.who), &second).await.unwrap();
        let third = beat(Timestamp::now());
        assert_eq!(files.take(ID, &third).await.unwrap(), Taken::Ours);
        // Those before it hear of that when they come back, and leave its state alone.
        assert!(!files.beat(ID, &first).await.unwrap());
        assert!(!files.beat(ID, &second).await.unwrap());
        files.leave(ID, &first.who).await;
        assert_eq!(files.heard(ID).await.unwrap(), Some(third.clone()));
        assert!(files.beat(ID, &third).await.unwrap());
        files.leave(ID, &third.who).await;
        assert_eq!(files.heard(ID).await.unwrap(), None);
    }

    #[tokio::test]
    async fn words_of_another_release_are_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let files = results(dir.path());
        files.put(ID, "state", &serde_json::json!({ "other": 1 })).await.unwrap();
        assert_eq!(takers(dir.path()).await, 1);
    }

    #[tokio::test]
    async fn what_was_finished_between_a_look_and_taking_it_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let files = results(dir.path());
        assert_eq!(files.ready(ID).await.unwrap(), None);
        // Now the other replica ends: the file, what it is, its state gone.
        files.put(ID, "file", &"abc").await.unwrap();
        let now = Timestamp::now();
        let ready = Ready {
            id: ID.to_owned(),
            name: "a.csv".to_owned(),
            media: "text/csv".to_owned(),
            bytes: 5,
            rows: 1,
            made_at: now,
            until: now + SILENCE,
        };
        files.put(ID, "about", &ready).await.unwrap();
        assert_eq!(files.take(ID, &beat(now)).await.unwrap(), Taken::Done(ready));
        assert_eq!(files.heard(ID).await.unwrap(), None);
    }
    #[tokio::test]
    async fn a_state_that_cannot_be_read_is_left_to_whose_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let files = results(dir.path());
        let (own, other) = (beat(Timestamp::now()), beat(Timestamp::now()));
        files.put(ID, "state", &other).await.unwrap();
        let state = dir.path().join("exports").join(ID).join("state");
        assert!(state.is_file());
        // A name that leads to itself: it fails to be read, not to be removed.
        let aside = state.with_file_name("aside");
        std::fs::rename(&state, &aside).unwrap();
        std::os::unix::fs::symlink("state", &state).unwrap();
        assert!(files.state(ID).await.is_err());
        files.leave(ID, &own.who).await;
        assert!(state.symlink_metadata().is_ok(), "what cannot be read stays");
        std::fs::rename(&aside, &state).unwrap();
        assert_eq!(files.heard(ID).await.unwrap(), Some(other));
    }

    #[tokio::test]
    async fn an_order_is_held_until_another_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let files = results(dir.path());
        let (first, heir) = (silent(), beat(Timestamp::now()));
        let held = async |b: &Beat| files.is_held(ID, &b.who).await.unwrap();
        assert_eq!(files.take(ID, &first).await.unwrap(), Taken::Ours);
        assert!(held(&first).await);
        assert_eq!(files.take(ID, &heir).await.unwrap(), Taken::Ours);
        assert!(!held(&first).await && held(&heir).await);
        // The first had been about to say a word, and says it now: the heir's it stays.
        files.put(ID, "state", &first).await.unwrap();
        assert!(!held(&first).await && held(&heir).await);
        // Left, and taken anew.
        files.leave(ID, &first.who).await;
        let next = beat(Timestamp::now());
        assert_eq!(files.take(ID, &next).await.unwrap(), Taken::Ours);
        assert!(!held(&heir).await && held(&next).await);
    }
}
