//! Blobs in object storage that speaks S3. Requests are bounded in time and tried again a little;
//! what is out of reach then is said to be ([`Error::Unavailable`]), never absent.

use super::{Key, Reader, Stat, draft::Whole, found};
use crate::{
    config::S3Settings,
    error::{Error, Result},
    text,
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::{
    BackoffConfig, ClientOptions, Error as Failure, GetOptions, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path as ObjectPath,
};
use std::{ops::Range, path::Path, time::Duration};
use tokio::io::AsyncReadExt;

/// Files up to this size go in one request, larger ones in parts of at least this size.
const PART: u64 = 16 << 20;
/// Most parts of an upload (a limit of S3).
const MAX_PARTS: u64 = 10_000;

/// A bucket, or what is under a prefix of it.
#[derive(Debug)]
pub(super) struct Bucket {
    store: AmazonS3,
    prefix: String,
}

impl Bucket {
    /// Prepares the client; nothing is asked of the service yet.
    pub(super) fn open(settings: &S3Settings) -> Result<Self> {
        // The first caller of the process installs it; later ones find it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = ClientOptions::new()
            .with_connect_timeout(Duration::from_secs(5))
            .with_read_timeout(Duration::from_secs(30))
            .with_timeout_disabled();
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: 3,
            retry_timeout: Duration::from_secs(10),
        };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&settings.bucket)
            .with_retry(retry)
            .with_disable_tagging(true);
        if let Some(region) = &settings.region {
            builder = builder.with_region(region);
        }
        let client = match &settings.endpoint {
            // Named by the operator: without TLS when they say so.
            Some(address) => {
                builder = builder.with_endpoint(address);
                client.with_allow_http(address.starts_with("http://"))
            }
            None => client,
        };
        let store = builder.with_client_options(client).build().map_err(|e| {
            let cause = e.to_string();
            Error::Invalid(text!(
                "[blobs] : le stockage d'objets ne peut pas être utilisé ({cause})",
                "[blobs]: object storage cannot be used ({cause})"
            ))
        })?;
        Ok(Self { store, prefix: settings.prefix.clone() })
    }

    fn object(&self, key: &str) -> ObjectPath {
        match self.prefix.as_str() {
            "" => ObjectPath::from(key),
            prefix => ObjectPath::from(format!("{prefix}/{key}")),
        }
    }

    fn describe(&self, meta: &ObjectMeta) -> Option<Stat> {
        let name = meta.location.as_ref();
        let name = match self.prefix.as_str() {
            "" => name,
            prefix => name.strip_prefix(prefix)?.strip_prefix('/')?,
        };
        let modified = Timestamp::from_millisecond(meta.last_modified.timestamp_millis());
        Some(Stat {
            // What is not a key is not ours.
            key: name.parse().ok()?,
            bytes: meta.size,
            modified: modified.unwrap_or(Timestamp::UNIX_EPOCH),
        })
    }

    /// Uploads a whole draft. `None` when `only_new` and the name is taken.
    pub(super) async fn take_in(
        &self,
        from: &Whole,
        key: &Key,
        only_new: bool,
    ) -> Result<Option<Stat>> {
        let to = self.object(key.as_str());
        if from.bytes <= PART {
            let path = &from.path.0;
            let bytes = tokio::fs::read(path).await.map_err(|e| Error::io(path, e))?;
            let mode = if only_new { PutMode::Create } else { PutMode::Overwrite };
            match self.store.put_opts(&to, bytes.into(), PutOptions::from(mode)).await {
                Ok(_) => {}
                Err(Failure::AlreadyExists { .. }) if only_new => return Ok(None),
                Err(e) => return Err(out_of_reach(e)),
            }
        } else {
            // An upload in parts cannot be made conditional: of two that race past this question
            // the last wins, whole.
            if only_new && self.stat(key).await?.is_some() {
                return Ok(None);
            }
            let mut upload = self.store.put_multipart(&to).await.map_err(out_of_reach)?;
            if let Err(e) = send_parts(&mut *upload, &from.path.0, from.bytes).await {
                let _ = upload.abort().await;
                return Err(e);
            }
        }
        self.stat(key).await
    }

    /// What a blob is; `None` when it is not there.
    pub(super) async fn stat(&self, key: &Key) -> Result<Option<Stat>> {
        match self.store.head(&self.object(key.as_str())).await {
            Ok(meta) => Ok(self.describe(&meta)),
            Err(Failure::NotFound { .. }) => Ok(None),
            Err(e) => Err(out_of_reach(e)),
        }
    }

    /// Opens a blob, or a range of it.
    pub(super) async fn read(
        &self,
        key: &Key,
        range: Option<Range<u64>>,
    ) -> Result<Option<Reader>> {
        let Some(stat) = self.stat(key).await? else { return Ok(None) };
        let range = found(range, stat.bytes);
        if range.is_empty() {
            let pieces = futures_util::stream::empty().boxed();
            return Ok(Some(Reader { bytes: stat.bytes, range, pieces }));
        }
        let options = GetOptions::new().with_range(Some(range.clone()));
        let answer = match self.store.get_opts(&self.object(key.as_str()), options).await {
            Ok(answer) => answer,
            Err(Failure::NotFound { .. }) => return Ok(None),
            Err(e) => return Err(out_of_reach(e)),
        };
        let (bytes, range) = (answer.meta.size, answer.range.clone());
        let pieces = answer.into_stream().map_err(out_of_reach).boxed();
        Ok(Some(Reader { bytes, range, pieces }))
    }

    /// The size and state of any object, a blob or not; `None` when it is not there.
    pub(super) async fn see(&self, key: &str) -> Result<Option<(u64, String)>> {
        match self.store.head(&self.object(key)).await {
            Ok(meta) => Ok(Some((meta.size, state(&meta)))),
            Err(Failure::NotFound { .. }) => Ok(None),
            Err(e) => Err(out_of_reach(e)),
        }
    }

    /// A range of any object, as long as it is in that state; `None` when it no longer is.
    pub(super) async fn read_as(
        &self,
        key: &str,
        range: Range<u64>,
        bytes: u64,
        seen: &str,
    ) -> Result<Option<Bytes>> {
        let options = GetOptions::new().with_range(Some(range.clone()));
        let answer = match self.store.get_opts(&self.object(key), options).await {
            Ok(answer) => answer,
            // Gone, or shorter than it was.
            Err(Failure::NotFound { .. }) => return Ok(None),
            Err(e) => return Err(out_of_reach(e)),
        };
        let same = answer.meta.size == bytes && state(&answer.meta) == seen;
        if !same || answer.range != range {
            return Ok(None);
        }
        answer.bytes().await.map(Some).map_err(out_of_reach)
    }

    /// All blobs whose key begins with these whole segments, by key.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Stat>> {
        let below = self.object(prefix.trim_matches('/'));
        let listed: Vec<ObjectMeta> =
            self.store.list(Some(&below)).try_collect().await.map_err(out_of_reach)?;
        let mut all: Vec<Stat> = listed.iter().filter_map(|meta| self.describe(meta)).collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(all)
    }

    /// Removes a blob; whether it was there is not known of every service.
    pub(super) async fn delete(&self, key: &Key) -> Result<()> {
        match self.store.delete(&self.object(key.as_str())).await {
            Ok(()) | Err(Failure::NotFound { .. }) => Ok(()),
            Err(e) => Err(out_of_reach(e)),
        }
    }
}

/// Sends a file in parts, one after the other: memory holds one.
async fn send_parts(upload: &mut dyn MultipartUpload, path: &Path, bytes: u64) -> Result<()> {
    let io = |e| Error::io(path, e);
    let mut file = tokio::fs::File::open(path).await.map_err(io)?;
    let size = PART.max(bytes.div_ceil(MAX_PARTS));
    loop {
        let mut part = Vec::new();
        let n = (&mut file).take(size).read_to_end(&mut part).await.map_err(io)?;
        if n == 0 {
            break;
        }
        upload.put_part(PutPayload::from(Bytes::from(part))).await.map_err(out_of_reach)?;
    }
    upload.complete().await.map_err(out_of_reach)?;
    Ok(())
}

/// What names a state of an object.
fn state(meta: &ObjectMeta) -> String {
    let tag = meta.e_tag.as_deref().unwrap_or_default();
    format!("{}-{tag}-{}", meta.size, meta.last_modified.timestamp_millis())
}

fn out_of_reach(e: Failure) -> Error {
    tracing::warn!(cause = %e, "object storage");
    let refused = matches!(e, Failure::PermissionDenied { .. } | Failure::Unauthenticated { .. });
    Error::Unavailable(if refused {
        text!(
            "Le stockage d'objets refuse nos identifiants.",
            "Object storage refuses our credentials."
        )
    } else {
        text!("Le stockage d'objets est hors d'atteinte.", "Object storage is out of reach.")
    })
}
