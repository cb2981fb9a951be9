//! Bodies that wait aside until they are sent: whole in memory while they are small, else read piece
//! by piece, at the pace of who receives them.

use crate::{
    error::{Error, Result},
    items::Spool,
};
use axum::body::Body;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

/// Bytes read at a time.
const PIECE: usize = 256 * 1024;

/// What is in memory around what waits aside.
pub struct Spooled {
    /// What comes before.
    pub before: Vec<u8>,
    /// What waits.
    pub spool: Spool,
    /// What comes behind.
    pub after: Vec<u8>,
}

impl From<Spool> for Spooled {
    fn from(spool: Spool) -> Self {
        Self { before: Vec::new(), spool, after: Vec::new() }
    }
}

impl Spooled {
    /// All of it, where it is in memory.
    ///
    /// # Errors
    /// Itself, where it is not.
    pub fn into_memory(self) -> Result<Vec<u8>, Self> {
        let Self { before, spool, after } = self;
        match spool.into_memory() {
            Ok(bytes) if before.is_empty() && after.is_empty() => Ok(bytes),
            Ok(bytes) => Ok([before, bytes, after].concat()),
            Err(spool) => Err(Self { before, spool, after }),
        }
    }

    /// The body of an answer, compressed on its way where that is wanted.
    pub fn into_body(self, gzip: bool) -> Body {
        let room = || GzEncoder::new(Vec::with_capacity(PIECE / 4), Compression::fast());
        let reading = Reading { of: self, at: 0, gzip: gzip.then(room), ended: false };
        Body::from_stream(futures_util::stream::unfold(Some(reading), |reading| async move {
            let reading = reading?;
            let read = tokio::task::spawn_blocking(move || reading.piece()).await;
            match read.map_err(|e| Error::fault("sending a page", e)).and_then(|read| read) {
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
    of: Spooled,
    at: u64,
    gzip: Option<GzEncoder<Vec<u8>>>,
    ended: bool,
}

impl Reading {
    /// The next piece and what is left; an empty one at the end.
    fn piece(mut self) -> Result<(Vec<u8>, Self)> {
        loop {
            let piece = self.plain()?;
            let Some(encoder) = &mut self.gzip else { return Ok((piece, self)) };
            let fault = |e| Error::fault("compressing", e);
            if piece.is_empty() {
                if std::mem::replace(&mut self.ended, true) {
                    return Ok((Vec::new(), self));
                }
                encoder.try_finish().map_err(fault)?;
                return Ok((std::mem::take(encoder.get_mut()), self));
            }
            encoder.write_all(&piece).map_err(fault)?;
            if !encoder.get_ref().is_empty() {
                return Ok((std::mem::take(encoder.get_mut()), self));
            }
        }
    }

    fn plain(&mut self) -> Result<Vec<u8>> {
        let before = std::mem::take(&mut self.of.before);
        if !before.is_empty() {
            return Ok(before);
        }
        let left = self.of.spool.len() - self.at;
        if left == 0 {
            return Ok(std::mem::take(&mut self.of.after));
        }
        let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let mut piece = Vec::new();
        self.of.spool.read(self.at, size, &mut piece)?;
        self.at += size as u64;
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn sent(memory: usize, bytes: usize, gzip: bool) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::holding(dir.path(), memory);
        let all: Vec<u8> = (0..bytes).map(|i| (i * i % 251) as u8).collect();
        all.chunks(10_000).for_each(|chunk| spool.push(chunk).unwrap());
        spool.seal().unwrap();
        let body = Spooled { before: b"before".to_vec(), spool, after: b"after".to_vec() };
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
            assert_eq!(whole.len(), bytes + 11);
            assert!(sent(1000, bytes, false) == whole && sent(1000, bytes, true) == whole);
        }
    }
}
