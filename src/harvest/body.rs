//! The bytes of an answer, from the network to a draft: counted, hashed, limited in size and in
//! silence, and refused when they are a page instead of data.

use super::{failed, file::hex};
use crate::{
    blobs::Draft,
    error::{Error, Result},
    model::{Fault, Progress, Text},
    text,
};
use futures_util::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use std::{pin::pin, time::Duration};

/// How many first bytes tell a page from data.
const HEAD: usize = 512;

/// What bounds an answer.
pub(super) struct Limits {
    /// Most bytes.
    pub(super) max_bytes: u64,
    /// Longest silence.
    pub(super) stall: Duration,
    /// `Content-Length`.
    pub(super) announced: Option<u64>,
}

/// What was received.
pub(super) struct Received {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// Where bytes go: a file under way, or memory for a page of a service.
pub(super) trait Sink {
    /// Takes the next bytes.
    fn take(&mut self, bytes: &[u8]) -> impl Future<Output = Result<()>> + Send;
}

impl Sink for Draft {
    async fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.write(bytes).await
    }
}

impl Sink for Vec<u8> {
    async fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// Writes an answer's bytes to where they go.
pub(super) async fn receive<B: AsRef<[u8]>>(
    stream: impl Stream<Item = reqwest::Result<B>>,
    part: &mut impl Sink,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<Received> {
    check_size(limits.announced.unwrap_or(0), limits.max_bytes)?;
    progress.stage(Text::new("Téléchargement", "Download"), limits.announced);
    let mut stream = pin!(stream);
    let mut hasher = Sha256::new();
    let mut head: Vec<u8> = Vec::with_capacity(HEAD);
    let mut bytes: u64 = 0;
    loop {
        let next = tokio::time::timeout(limits.stall, stream.next()).await;
        let chunk = match next.map_err(|_| stalled(bytes, limits.stall))? {
            Some(Ok(chunk)) => chunk,
            Some(Err(_)) => return Err(cut(bytes, limits.announced)),
            None => break,
        };
        let chunk = chunk.as_ref();
        bytes += chunk.len() as u64;
        check_size(bytes, limits.max_bytes)?;
        head.extend(chunk.iter().take(HEAD - head.len()));
        hasher.update(chunk);
        part.take(chunk).await?;
        progress.advance(bytes);
    }
    if limits.announced.is_some_and(|n| n != bytes) {
        return Err(cut(bytes, limits.announced));
    }
    refuse_page(&head)?;
    Ok(Received { bytes, sha256: hex(&hasher.finalize()) })
}

fn check_size(bytes: u64, max_bytes: u64) -> Result<()> {
    if bytes <= max_bytes {
        return Ok(());
    }
    let limit = max_bytes >> 20;
    Err(failed(
        Fault::TooLarge,
        text!("la source dépasse {limit} Mio (max_mb)", "the source is above {limit} MiB (max_mb)"),
    ))
}

fn stalled(bytes: u64, stall: Duration) -> Error {
    let stall = stall.as_secs_f64();
    failed(
        Fault::Stalled,
        text!(
            "la source n'envoie plus rien depuis {stall} s, après {bytes} octets (stall_s)",
            "the source has sent nothing for {stall} s, after {bytes} bytes (stall_s)"
        ),
    )
}

fn cut(bytes: u64, announced: Option<u64>) -> Error {
    let words = match announced {
        Some(total) => text!(
            "la réponse de la source est coupée : {bytes} octets sur {total}",
            "the source's answer is cut: {bytes} bytes of {total}"
        ),
        None => text!(
            "la réponse de la source est coupée après {bytes} octets",
            "the source's answer is cut after {bytes} bytes"
        ),
    };
    failed(Fault::Cut, words)
}

/// Refuses what servers say with status 200 when they mean something else: nothing, a web page
/// (a portal's login or maintenance), or an OGC service's exception.
fn refuse_page(head: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let begins_with = |tag: &str| {
        text.strip_prefix(tag).is_some_and(|rest| rest.starts_with([' ', '>', '\n', '\r', '\t']))
    };
    if head.is_empty() {
        return Err(failed(
            Fault::Empty,
            text!(
                "la source a répondu sans contenu (200)",
                "the source answered without content (200)"
            ),
        ));
    }
    if begins_with("<!doctype html") || begins_with("<html") {
        return Err(page());
    }
    if text.starts_with('<') && text.contains("exceptionreport") {
        return Err(failed(
            Fault::Page,
            text!(
                "la source a répondu une exception de service OGC (200)",
                "the source answered an OGC service exception (200)"
            ),
        ));
    }
    Ok(())
}

/// The refusal of a web page.
pub(super) fn page() -> Error {
    failed(
        Fault::Page,
        text!("la source a répondu une page HTML (200)", "the source answered an HTML page (200)"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_told_from_data() {
        for page in [
            "<!DOCTYPE html><html>",
            "\u{feff}\n <!doctype HTML PUBLIC>",
            "<html lang=\"fr\">",
            "<HTML>",
            "",
            "<?xml version=\"1.0\"?><ows:ExceptionReport version=\"2.0.0\">",
        ] {
            assert!(refuse_page(page.as_bytes()).is_err(), "{page}");
        }
        for data in ["{\"type\":\"FeatureCollection\"", "<htmlish/>", "a;b\n<html>;1", "PK\u{3}"] {
            assert!(refuse_page(data.as_bytes()).is_ok(), "{data}");
        }
        assert!(refuse_page(&[0xff, 0xfe, 0x80]).is_ok());
    }
}
