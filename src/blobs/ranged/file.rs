//! A file of this machine. It is opened once and read by position: a file put in its place by
//! renaming is another, and what is written into it in place shows in its size or its time.

use super::absent;
use crate::error::{Error, Result};
use bytes::Bytes;
use std::{
    fs::{File, Metadata},
    io::{Read, Seek, SeekFrom},
    ops::Range,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::UNIX_EPOCH,
};

/// The open file and its state when it was opened.
#[derive(Debug, Clone)]
pub(super) struct Held(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Its position belongs to whoever reads.
    file: Mutex<File>,
    stamp: Stamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: u128,
    /// Which file it is, where the system numbers them.
    number: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let number = 0;
        Self { bytes: metadata.len(), modified: modified.map_or(0, |d| d.as_nanos()), number }
    }
}

impl Held {
    pub(super) async fn open(path: PathBuf) -> Result<Self> {
        blocking(move || {
            let opened = File::open(&path).and_then(|file| Ok((file.metadata()?, file)));
            let (metadata, file) = opened.map_err(|cause| {
                tracing::warn!(path = %path.display(), %cause, "archive of tiles");
                absent()
            })?;
            if !metadata.is_file() {
                return Err(absent());
            }
            let (file, stamp) = (Mutex::new(file), Stamp::of(&metadata));
            Ok(Self(Arc::new(Inner { file, stamp })))
        })
        .await
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.stamp.bytes
    }

    pub(super) fn state(&self) -> String {
        let Stamp { bytes, modified, number } = self.0.stamp;
        format!("{bytes}-{modified}-{number}")
    }

    /// The bytes of a range within the file; `None` when it was written to meanwhile.
    pub(super) async fn read(&self, range: Range<u64>) -> Result<Option<Bytes>> {
        let held = self.0.clone();
        blocking(move || {
            let mut file = held.file.lock().unwrap_or_else(PoisonError::into_inner);
            let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
            let read = file.seek(SeekFrom::Start(range.start)).and_then(|_| {
                file.read_exact(&mut bytes)?;
                file.metadata()
            });
            match read {
                Ok(metadata) if Stamp::of(&metadata) == held.stamp => Ok(Some(bytes.into())),
                // Shorter than it was, or of another time.
                Ok(_) => Ok(None),
                Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
                Err(e) => Err(Error::fault("reading an archive of tiles", e)),
            }
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::fault("reading an archive of tiles", e))?
}
