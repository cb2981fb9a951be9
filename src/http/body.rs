//! Bodies of requests: read whole within the configured limit, and the forms among them.
//!
//! What all requests together hold is bounded too: a body takes its share of a common allowance as
//! it comes in, and is turned away with `503` when that is spent.

use super::problem::Failure;
use crate::{
    error::{Error, Result},
    text,
};
use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use std::{sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bodies of the largest size that may be held at once.
const LARGEST_AT_ONCE: usize = 6;
/// What the allowance is counted in, bytes.
const UNIT: usize = 64 * 1024;
/// Parts of a form.
const PARTS: usize = 64;
/// Most bytes of a field that is no table.
const FIELD: usize = 4096;

/// The allowance of bodies held at once.
pub struct Allowance {
    /// Most bytes of one body.
    pub limit: usize,
    units: Arc<Semaphore>,
}

/// A body that was read; its share of the allowance is given back when it is dropped.
pub struct Held {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its share of the allowance.
    pub share: Option<OwnedSemaphorePermit>,
}

impl Allowance {
    /// For bodies of `limit` bytes at most.
    pub fn new(limit: usize) -> Self {
        let units = LARGEST_AT_ONCE * (limit / UNIT + 1);
        Self { limit, units: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))) }
    }

    /// Reads a body. `declared` is its `Content-Length`, when it has one.
    ///
    /// # Errors
    /// [`Failure::TooLarge`]; [`Error::Busy`] when too much is held already; [`Error::Invalid`] when
    /// the body breaks off.
    pub async fn read(&self, body: Body, declared: Option<u64>) -> Result<Held, Failure> {
        if declared.is_some_and(|bytes| bytes > self.limit as u64) {
            return Err(Failure::TooLarge(self.limit));
        }
        let mut held = Held { bytes: Vec::new(), share: None };
        let mut units = 0;
        let mut stream = body.into_data_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|_| {
                Error::Invalid(text!(
                    "Le corps de la demande s'est interrompu.",
                    "The body of the request broke off."
                ))
            })?;
            if held.bytes.len() + chunk.len() > self.limit {
                return Err(Failure::TooLarge(self.limit));
            }
            held.bytes.extend_from_slice(&chunk);
            while units * UNIT < held.bytes.len() {
                let unit = self.units.clone().try_acquire_owned();
                let unit = unit.map_err(|_| Error::Busy { retry_after: Duration::from_secs(5) })?;
                units += 1;
                match &mut held.share {
                    Some(share) => share.merge(unit),
                    none => *none = Some(unit),
                }
            }
        }
        Ok(held)
    }
}

/// A form with files, as a page sends it.
#[derive(Default)]
pub struct Form {
    /// Its fields, in order; empty ones left out.
    pub fields: Vec<(String, String)>,
    /// The table: a file, else a text pasted.
    pub table: Option<Vec<u8>>,
}

impl Form {
    /// Reads `multipart/form-data` (RFC 7578). The table is in the part `file`, or `table` when
    /// nobody chose a file.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is none.
    pub async fn read(bytes: Vec<u8>, content_type: &str) -> Result<Self> {
        let broken = |_| {
            Error::Invalid(text!(
                "Formulaire illisible : « multipart/form-data » attendu, avec son « boundary ».",
                "Unreadable form: \"multipart/form-data\" is expected, with its \"boundary\"."
            ))
        };
        let boundary = multer::parse_boundary(content_type).map_err(broken)?;
        let whole = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes))]);
        let mut parts = multer::Multipart::new(whole, boundary);
        let (mut form, mut pasted, mut count) = (Self::default(), None, 0);
        while let Some(part) = parts.next_field().await.map_err(broken)? {
            count += 1;
            let name = part.name().unwrap_or_default().to_owned();
            let content = part.bytes().await.map_err(broken)?;
            match name.as_str() {
                "file" if !content.is_empty() => form.table = Some(content.into()),
                "table" if !content.trim_ascii().is_empty() => pasted = Some(content.into()),
                "file" | "table" => {}
                _ if content.len() > FIELD || count > PARTS => {
                    return Err(Error::Invalid(text!(
                        "Formulaire : champ trop long, ou champs trop nombreux.",
                        "Form: a field is too long, or fields are too many."
                    )));
                }
                _ => {
                    let value = String::from_utf8_lossy(&content).trim().to_owned();
                    if !value.is_empty() {
                        form.fields.push((name, value));
                    }
                }
            }
        }
        form.table = form.table.or(pasted);
        Ok(form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8], content_type: &str) -> Result<Form> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(Form::read(bytes.to_vec(), content_type))
    }

    #[test]
    fn forms_are_read_as_browsers_send_them() {
        let part = |name: &str, more: &str, content: &str| {
            format!(
                "--xyz\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{content}\r\n"
            )
        };
        let typed = "multipart/form-data; boundary=xyz";
        let no_file = part("file", "; filename=\"\"\r\nContent-Type: application/octet-stream", "");
        let body = [
            part("add", "", "epci"),
            part("code", "", ""),
            no_file,
            part("table", "", "code\n59350"),
            "--xyz--\r\n".into(),
        ]
        .concat();
        let form = read(body.as_bytes(), typed).unwrap();
        assert_eq!(form.fields, [("add".to_owned(), "epci".to_owned())]);
        assert_eq!(form.table.as_deref(), Some(&b"code\n59350"[..]));
        let file = part("file", "; filename=\"a.csv\"", "code\r\n62041\r\n");
        let body = [part("table", "", "x"), file, "--xyz--\r\n".into()].concat();
        assert_eq!(
            read(body.as_bytes(), typed).unwrap().table.as_deref(),
            Some(&b"code\r\n62041\r\n"[..])
        );
        assert!(read(b"--xyz\r\n", typed).is_err());
        assert!(read(body.as_bytes(), "multipart/form-data").is_err());
    }

    #[test]
    fn bodies_have_a_limit_each_and_together() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let allowance = Allowance::new(UNIT);
            let of = |n: usize| Body::from(vec![b'a'; n]);
            assert!(matches!(allowance.read(of(UNIT + 1), None).await, Err(Failure::TooLarge(_))));
            assert!(matches!(
                allowance.read(of(1), Some(1 << 40)).await,
                Err(Failure::TooLarge(_))
            ));
            let mut kept = Vec::new();
            while let Ok(held) = allowance.read(of(UNIT), None).await {
                kept.push(held);
                assert!(kept.len() < 100);
            }
            assert_eq!(kept.len(), LARGEST_AT_ONCE * 2);
            drop(kept);
            assert!(allowance.read(of(UNIT), None).await.is_ok());
        });
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_form_or_refused(body in "(--x|\r\n|Content-Disposition: form-data; name=\"a\"|[a-z:;= ]|\\PC){0,30}") {
            let _ = read(body.as_bytes(), "multipart/form-data; boundary=x");
        }
    }
}
