//! Files that replicas share: fetched sources, results of exports, archives. In a folder, or in
//! S3-compatible object storage; the same behaviour over both.
//!
//! What enters is bytes under a [`Key`], written aside as a [`Draft`], whole and durable before it
//! has its name: no reader ever sees half of a blob. What leaves is a stream ([`Blobs::read`]) or,
//! for what must be a file (SQLite, archives), a local path ([`Blobs::local`]). It knows nothing of
//! what the bytes mean. Nothing here is the only copy of anything: what may be removed is said by
//! its owner, prefix by prefix ([`Blobs::sweep`]). Beside them, [`Ranged`] reads parts of a file that
//! others keep, and [`Guard`] says what may be asked on the web, by it and by harvests.
//!
//! | prefix | what | owner |
//! |---|---|---|
//! | `sources/<sha256>` | fetched sources | `harvest` |
//! | `tiles/<layer>/<version>-…/<zoom>.pmtiles` | tiles of small zooms | `tiles` |

mod draft;
mod folder;
mod guard;
mod key;
mod ranged;
mod s3;
#[cfg(test)]
mod tests;

pub use draft::Draft;
pub use guard::{Guard, Inside, goes_by_proxy, host, leads};
pub use key::Key;
pub use ranged::{Manners, Ranged, Sight};

use crate::{
    config::BlobSettings,
    error::{Error, Result},
};
use bytes::Bytes;
use draft::Whole;
use folder::Folder;
use futures_util::{Stream, StreamExt, stream::BoxStream};
use jiff::Timestamp;
use s3::Bucket;
use std::{ops::Range, path::PathBuf, pin::pin, sync::Arc, time::Duration};

/// Folder of drafts, in the local folder. No key begins with a dot.
const DRAFTS: &str = ".parts";
/// Folder of local copies of what is in object storage.
const COPIES: &str = ".copies";

/// The shared files; cheap to clone.
#[derive(Debug, Clone)]
pub struct Blobs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The local folder: the blobs themselves, or drafts and copies only.
    root: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Folder(Folder),
    Bucket { bucket: Bucket, copies: Folder },
}

/// What is known of a blob without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Its name.
    pub key: Key,
    /// Its size.
    pub bytes: u64,
    /// When it was put.
    pub modified: Timestamp,
}

/// A blob, or a range of it, being read.
pub struct Reader {
    /// Size of the whole blob.
    pub bytes: u64,
    /// Which of its bytes follow: what was asked for, as far as it exists.
    pub range: Range<u64>,
    /// The bytes, in order. An error ends them: they are then not whole.
    pub pieces: BoxStream<'static, Result<Bytes>>,
}

impl Reader {
    /// All bytes at once, for what is known to be small.
    ///
    /// # Errors
    /// Those of the stream.
    pub async fn bytes(mut self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(piece) = self.pieces.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all)
    }
}

/// What may go of a prefix; see [`Blobs::sweep`].
pub struct Sweep<'a> {
    /// Blobs younger than this stay, whatever else is said: somebody may be reading them.
    pub grace: Duration,
    /// Blobs for which this holds stay, whatever their age.
    pub keep: &'a (dyn Fn(&Stat) -> bool + Sync),
    /// Bytes that blobs neither young nor kept may take together: the newest stay. 0: none does.
    pub max_bytes: u64,
}

impl Blobs {
    /// Opens what the settings name. Folders are made when something is put; the service of object
    /// storage need not answer yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] when object storage cannot be used as the settings and the environment
    /// describe it.
    pub fn open(settings: &BlobSettings) -> Result<Self> {
        let root = settings.path.clone();
        let place = match &settings.s3 {
            None => Place::Folder(Folder(root.clone())),
            Some(s3) => {
                Place::Bucket { bucket: Bucket::open(s3)?, copies: Folder(root.join(COPIES)) }
            }
        };
        Ok(Self(Arc::new(Inner { root, place })))
    }

    /// Begins a blob of at most `max_bytes`. What dead runs left of theirs is removed.
    ///
    /// # Errors
    /// A fault of the local folder.
    pub fn begin(&self, max_bytes: u64) -> Result<Draft> {
        let drafts = self.0.root.join(DRAFTS);
        folder::make(&drafts)?;
        draft::sweep(&drafts)?;
        Draft::begin(&drafts, max_bytes, self.clone())
    }

    /// Puts a stream, of at most `max_bytes`, in place of what bears the name.
    ///
    /// # Errors
    /// Those of the stream; those of [`Draft::write`] and [`Draft::keep`].
    pub async fn put(
        &self,
        key: &Key,
        stream: impl Stream<Item = Result<Bytes>> + Send,
        max_bytes: u64,
    ) -> Result<Stat> {
        self.draft_of(stream, max_bytes).await?.keep(key).await
    }

    /// Puts a stream unless there is a blob of that name; `None` when there is.
    ///
    /// # Errors
    /// As [`Blobs::put`].
    pub async fn put_new(
        &self,
        key: &Key,
        stream: impl Stream<Item = Result<Bytes>> + Send,
        max_bytes: u64,
    ) -> Result<Option<Stat>> {
        self.draft_of(stream, max_bytes).await?.keep_new(key).await
    }

    async fn draft_of(
        &self,
        stream: impl Stream<Item = Result<Bytes>> + Send,
        max_bytes: u64,
    ) -> Result<Draft> {
        let mut draft = self.begin(max_bytes)?;
        let mut stream = pin!(stream);
        while let Some(piece) = stream.next().await {
            draft.write(&piece?).await?;
        }
        Ok(draft)
    }

    /// What a blob is; `None` when it is not there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when object storage is out of reach; a fault of the folder.
    pub async fn stat(&self, key: &Key) -> Result<Option<Stat>> {
        match &self.0.place {
            Place::Folder(folder) => folder.stat(key),
            Place::Bucket { bucket, .. } => bucket.stat(key).await,
        }
    }

    /// Opens a blob, or those of its bytes that are in `range`; `None` when it is not there. What
    /// was opened is read to its end even when the blob is removed meanwhile (in a folder) or is
    /// an error then (in object storage).
    ///
    /// # Errors
    /// As [`Blobs::stat`].
    pub async fn read(&self, key: &Key, range: Option<Range<u64>>) -> Result<Option<Reader>> {
        match &self.0.place {
            Place::Folder(folder) => folder.read(key, range).await,
            Place::Bucket { bucket, .. } => bucket.read(key, range).await,
        }
    }

    /// A blob as a local file, whole; `None` when it is not there. From object storage it is copied
    /// once: to be asked only of keys whose bytes never change, such as those that hold a checksum.
    /// The file must not be written to.
    ///
    /// # Errors
    /// As [`Blobs::stat`]; [`Error::Refused`] when the disk is full.
    pub async fn local(&self, key: &Key) -> Result<Option<PathBuf>> {
        let Some(stat) = self.stat(key).await? else { return Ok(None) };
        let copies = match &self.0.place {
            Place::Folder(folder) => return Ok(Some(folder.place(key))),
            Place::Bucket { copies, .. } => copies,
        };
        let held = copies.stat(key)?.is_some_and(|copy| copy.bytes == stat.bytes);
        if !held {
            let Some(mut reader) = self.read(key, None).await? else { return Ok(None) };
            let mut draft = self.begin(stat.bytes)?;
            while let Some(piece) = reader.pieces.next().await {
                draft.write(&piece?).await?;
            }
            self.name(draft.whole().await?, key, false).await?;
        }
        Ok(Some(copies.place(key)))
    }

    /// All blobs whose key begins with these whole segments (`""`: all), by key.
    ///
    /// # Errors
    /// As [`Blobs::stat`].
    pub async fn list(&self, prefix: &str) -> Result<Vec<Stat>> {
        match &self.0.place {
            Place::Folder(folder) => folder.list(prefix),
            Place::Bucket { bucket, .. } => bucket.list(prefix).await,
        }
    }

    /// Removes a blob, if it is there.
    ///
    /// # Errors
    /// As [`Blobs::stat`].
    pub async fn delete(&self, key: &Key) -> Result<()> {
        match &self.0.place {
            Place::Folder(folder) => folder.delete(key).map(|_| ()),
            Place::Bucket { bucket, copies } => {
                bucket.delete(key).await?;
                copies.delete(key).map(|_| ())
            }
        }
    }

    /// Removes what may go of a prefix, oldest first, and local copies of what is there no longer.
    /// Gives the number of blobs removed.
    ///
    /// # Errors
    /// As [`Blobs::stat`].
    pub async fn sweep(&self, prefix: &str, sweep: &Sweep<'_>) -> Result<usize> {
        let now = Timestamp::now();
        let young = |stat: &Stat| now.duration_since(stat.modified) < grace(sweep.grace);
        let mut all = self.list(prefix).await?;
        all.retain(|stat| !young(stat) && !(sweep.keep)(stat));
        all.sort_by_key(|stat| std::cmp::Reverse(stat.modified));
        let (mut held, mut removed) = (0, 0);
        for stat in &all {
            held += stat.bytes;
            if held > sweep.max_bytes {
                self.delete(&stat.key).await?;
                removed += 1;
            }
        }
        if let Place::Bucket { bucket, copies } = &self.0.place {
            for copy in copies.list(prefix)? {
                if !young(&copy) && bucket.stat(&copy.key).await?.is_none() {
                    copies.delete(&copy.key)?;
                }
            }
        }
        Ok(removed)
    }

    async fn take_in(&self, whole: Whole, key: &Key, only_new: bool) -> Result<Option<Stat>> {
        match &self.0.place {
            Place::Folder(_) => self.name(whole, key, only_new).await,
            Place::Bucket { bucket, .. } => bucket.take_in(&whole, key, only_new).await,
        }
    }

    async fn take_in_here(&self, whole: Whole, key: &Key) -> Result<PathBuf> {
        if let Place::Bucket { bucket, .. } = &self.0.place {
            bucket.take_in(&whole, key, false).await?;
        }
        self.name(whole, key, false).await?;
        Ok(self.folder().place(key))
    }

    /// Gives a draft its name in the local folder.
    async fn name(&self, whole: Whole, key: &Key, only_new: bool) -> Result<Option<Stat>> {
        let (blobs, key) = (self.clone(), key.clone());
        let named =
            tokio::task::spawn_blocking(move || blobs.folder().take_in(whole, &key, only_new));
        named.await.map_err(|e| Error::fault("keeping a shared file", e))?
    }

    /// Where blobs, or copies of them, are local files.
    fn folder(&self) -> &Folder {
        match &self.0.place {
            Place::Folder(folder) => folder,
            Place::Bucket { copies, .. } => copies,
        }
    }
}

fn grace(age: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(age).unwrap_or(jiff::SignedDuration::MAX)
}

/// The part of a range that exists.
fn found(range: Option<Range<u64>>, bytes: u64) -> Range<u64> {
    let range = range.unwrap_or(0..bytes);
    let end = range.end.min(bytes);
    range.start.min(end)..end
}
