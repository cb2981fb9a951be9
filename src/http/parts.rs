//! Bodies made of parts, sent one after the other at the pace of who receives them: bytes in memory,
//! what waits aside, and what is read as it is sent.

use crate::{
    error::{Error, Result},
    items::{Flow, Spool},
};
use axum::body::Body;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use std::{collections::VecDeque, io::Write};

/// Bytes read at a time.
const PIECE: usize = 256 * 1024;

/// A part of a body.
pub enum Part {
    /// In memory.
    Bytes(Vec<u8>),
    /// Aside.
    Spool(Spool),
    /// Read as it is sent.
    Flow(Box<Flow>),
}

impl From<Vec<u8>> for Part {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        Self::Bytes(text.into())
    }
}

impl From<Spool> for Part {
    fn from(spool: Spool) -> Self {
        spool.into_memory().map_or_else(Self::Spool, Self::Bytes)
    }
}

impl From<Flow> for Part {
    fn from(flow: Flow) -> Self {
        flow.into_memory().map_or_else(Self::Flow, Self::Bytes)
    }
}

/// The parts of a body.
#[derive(Default)]
pub struct Parts(VecDeque<Part>);

impl<P: Into<Part>> FromIterator<P> for Parts {
    fn from_iter<I: IntoIterator<Item = P>>(parts: I) -> Self {
        Self(parts.into_iter().map(Into::into).collect())
    }
}

impl From<Spool> for Parts {
    fn from(spool: Spool) -> Self {
        Self::from_iter([spool])
    }
}

impl Parts {
    /// Adds one at the end.
    pub fn push(&mut self, part: impl Into<Part>) {
        self.0.push_back(part.into());
    }

    /// All of it, where it is in memory.
    ///
    /// # Errors
    /// Itself, where it is not.
    pub fn into_memory(mut self) -> Result<Vec<u8>, Self> {
        let bytes = |part: &Part| matches!(part, Part::Bytes(_));
        if !self.0.iter().all(bytes) {
            return Err(self);
        }
        let mut all = Vec::new();
        for part in self.0.drain(..) {
            match part {
                // Most are one large part and little around it.
                Part::Bytes(bytes) if all.is_empty() => all = bytes,
                Part::Bytes(bytes) => all.extend(bytes),
                Part::Spool(_) | Part::Flow(_) => {}
            }
        }
        Ok(all)
    }

    /// The body of an answer, compressed on its way where that is wanted.
    pub fn into_body(self, gzip: bool) -> Body {
        let room = || GzEncoder::new(Vec::with_capacity(PIECE / 4), Compression::fast());
        let reading = Reading { of: self, at: 0, gzip: gzip.then(room), ended: false };
        Body::from_stream(futures_util::stream::unfold(Some(reading), |reading| async move {
            match reading?.piece().await {
                Ok((piece, _)) if piece.is_empty() => None,
                Ok((piece, rest)) => Some((Ok(Bytes::from(piece)), Some(rest))),
                Err(error) => {
                    // The connection ends unfinished: the page must not seem whole.
                    tracing::error!(cause = error.chain(), "a page ends unfinished");
                    Some((Err(error), None))
                }
            }
        }))
    }
}

/// A body being sent.
struct Reading {
    of: Parts,
    /// What was read of a first part that waits aside.
    at: u64,
    gzip: Option<GzEncoder<Vec<u8>>>,
    ended: bool,
}

impl Reading {
    /// The next piece and what is left; an empty one at the end.
    async fn piece(mut self) -> Result<(Vec<u8>, Self)> {
        loop {
            let piece;
            (piece, self) = self.plain().await?;
            let Some(mut encoder) = self.gzip.take() else { return Ok((piece, self)) };
            if piece.is_empty() && std::mem::replace(&mut self.ended, true) {
                return Ok((Vec::new(), self));
            }
            let (encoder, piece) = aside(move || {
                let fault = |e| Error::fault("compressing", e);
                match piece.is_empty() {
                    true => encoder.try_finish().map_err(fault)?,
                    false => encoder.write_all(&piece).map_err(fault)?,
                }
                let compressed = std::mem::take(encoder.get_mut());
                Ok((encoder, compressed))
            })
            .await?;
            self.gzip = Some(encoder);
            if !piece.is_empty() || self.ended {
                return Ok((piece, self));
            }
        }
    }

    /// The next bytes before they are compressed; empty at the end.
    async fn plain(mut self) -> Result<(Vec<u8>, Self)> {
        while let Some(part) = self.of.0.front_mut() {
            match part {
                Part::Bytes(bytes) => {
                    let bytes = std::mem::take(bytes);
                    self.of.0.pop_front();
                    if !bytes.is_empty() {
                        return Ok((bytes, self));
                    }
                }
                Part::Flow(flow) => match flow.piece().await? {
                    Some(piece) => return Ok((piece, self)),
                    None => drop(self.of.0.pop_front()),
                },
                Part::Spool(spool) if self.at == spool.len() => {
                    self.at = 0;
                    self.of.0.pop_front();
                }
                Part::Spool(_) => return aside(move || self.spooled()).await,
            }
        }
        Ok((Vec::new(), self))
    }

    /// The next bytes of a part that waits aside.
    fn spooled(mut self) -> Result<(Vec<u8>, Self)> {
        let mut piece = Vec::new();
        if let Some(Part::Spool(spool)) = self.of.0.front_mut() {
            let left = spool.len() - self.at;
            let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            spool.read(self.at, size, &mut piece)?;
            self.at += size as u64;
        }
        Ok((piece, self))
    }
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::fault("sending a page", e))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn sent(memory: usize, bytes: usize, gzip: bool) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let spool = |shift: usize| {
            let mut spool = Spool::holding(dir.path(), memory);
            let all: Vec<u8> = (shift..shift + bytes).map(|i| (i * i % 251) as u8).collect();
            all.chunks(10_000).for_each(|chunk| spool.push(chunk).unwrap());
            spool.seal().unwrap();
            spool
        };
        let mut body = Parts::default();
        body.push(b"before".to_vec());
        body.push(spool(0));
        body.push(String::new());
        body.push("between".to_owned());
        body.push(spool(7));
        body.push(b"after".to_vec());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let sent = runtime.block_on(axum::body::to_bytes(body.into_body(gzip), usize::MAX));
        let sent = sent.unwrap().to_vec();
        if !gzip {
            return sent;
        }
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&sent[..]).read_to_end(&mut plain).unwrap();
        plain
    }

    #[test]
    fn all_of_it_is_sent_whether_in_memory_or_not() {
        for bytes in [0, 1, PIECE, 2 * PIECE + 3] {
            let whole = sent(usize::MAX, bytes, false);
            assert!(whole.starts_with(b"before") && whole.ends_with(b"after"));
            assert_eq!(whole.len(), 2 * bytes + 18);
            assert!(sent(1000, bytes, false) == whole && sent(1000, bytes, true) == whole);
        }
        let in_memory = Parts::from_iter([b"a".to_vec(), b"b".to_vec()]).into_memory();
        assert_eq!(in_memory.map_err(drop).unwrap(), b"ab");
    }
}
