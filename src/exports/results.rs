//! Finished exports among the shared files, and what replicas tell each other of those under way:
//! `exports/<order>/file`, `…/about` (what the file is; written last), `…/state` (who works on it,
//! how far), `…/stop` (somebody gave it up).

use super::order::Order;
use crate::{
    blobs::{Blobs, Draft, Key, Reader},
    error::{Error, Result},
};
use bytes::Bytes;
use futures_util::Stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{ops::Range, time::Duration};

/// Bytes of a description.
const SMALL: u64 = 64 << 10;
/// A replica that says nothing of its work for so long has stopped.
const SILENCE: Duration = Duration::from_secs(15);

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Beat {
    pub(super) rows: u64,
    pub(super) of: u64,
    pub(super) bytes: u64,
    pub(super) at: Timestamp,
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

    /// Keeps a finished file.
    pub(super) async fn keep(
        &self,
        draft: Draft,
        id: &str,
        order: &Order,
        rows: u64,
    ) -> Result<Ready> {
        let stat = draft.keep(&key(id, "file")?).await?;
        let made_at = Timestamp::now();
        let keep = jiff::SignedDuration::try_from(self.keep).unwrap_or(jiff::SignedDuration::MAX);
        let ready = Ready {
            id: id.to_owned(),
            name: order.file_name(),
            media: order.media().to_owned(),
            bytes: stat.bytes,
            rows,
            made_at,
            until: made_at.checked_add(keep).unwrap_or(Timestamp::MAX),
        };
        self.put(id, "about", &ready).await?;
        self.forget(id, "state").await;
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

    /// Takes an order for this replica: `false` when another one has it. Where several try at once,
    /// one has it; what a replica that fell silent had is free again.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the shared files are out of reach.
    pub(super) async fn take(&self, id: &str, beat: &Beat) -> Result<bool> {
        if !self.put_new(id, "state", beat).await? {
            if self.heard(id).await?.is_some() {
                return Ok(false);
            }
            self.forget(id, "state").await;
            if !self.put_new(id, "state", beat).await? {
                return Ok(false);
            }
        }
        self.forget(id, "stop").await;
        Ok(true)
    }

    /// Tells the other replicas how far it is.
    pub(super) async fn beat(&self, id: &str, beat: &Beat) -> Result<()> {
        self.put(id, "state", beat).await
    }

    /// How far another replica is that is still at it.
    pub(super) async fn heard(&self, id: &str) -> Result<Option<Beat>> {
        let beat: Option<Beat> = self.get(id, "state").await?;
        let silence = jiff::SignedDuration::try_from(SILENCE).unwrap_or_default();
        Ok(beat.filter(|b| Timestamp::now().duration_since(b.at) < silence))
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
        self.blobs.put(&key(id, name)?, text(value)?, SMALL).await.map(drop)
    }

    /// Puts what is not there yet; `false` when it is.
    async fn put_new(&self, id: &str, name: &str, value: &impl Serialize) -> Result<bool> {
        let put = self.blobs.put_new(&key(id, name)?, text(value)?, SMALL).await?;
        Ok(put.is_some())
    }

    async fn get<T: DeserializeOwned>(&self, id: &str, name: &str) -> Result<Option<T>> {
        let Some(reader) = self.blobs.read(&key(id, name)?, None).await? else { return Ok(None) };
        // One of another release of the program is as if it were not there.
        Ok(serde_json::from_slice(&reader.bytes().await?).ok())
    }
}

/// A value as a stream of one piece of JSON.
fn text<V: Serialize>(value: &V) -> Result<impl Stream<Item = Result<Bytes>> + use<V>> {
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
