//! Small exports, sent as they are made.

use super::{
    Exports, busy,
    order::Order,
    run::{Flow, Run, Watch, given_up},
    scratch::Scratch,
};
use crate::error::Result;
use async_trait::async_trait;
use bytes::Bytes;
use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::mpsc;

/// Pieces that wait for the client.
const AHEAD: usize = 4;
/// How long a place is waited for.
const WAIT: Duration = Duration::from_secs(3);

impl Exports {
    /// The bytes of an export, as they are made. An error after the first piece ends the file
    /// unfinished: the connection must not end as if it were whole. Dropping the receiver gives
    /// the export up.
    ///
    /// # Errors
    /// [`crate::error::Error::Busy`] when too many are sent at once.
    pub async fn stream(&self, order: Order) -> Result<mpsc::Receiver<Result<Bytes>>> {
        let place = tokio::time::timeout(WAIT, self.0.streams.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(busy(5)) };
        let scratch = Scratch::new(&self.0.settings.path)?;
        let (sender, receiver) = mpsc::channel(AHEAD);
        let inner = self.0.clone();
        tokio::spawn(async move {
            let _place = place;
            let watch = Arc::new(Watch::default());
            let pipe = Pipe::default();
            let run = Run::new(&inner, &order, scratch.files(), &watch);
            let out = Box::new(pipe.clone());
            let mut sent = Sent { pipe, sender: sender.clone() };
            if let Err(error) = run.write(out, &mut sent).await
                && !sender.is_closed()
            {
                let _ = sender.send(Err(error)).await;
            }
        });
        Ok(receiver)
    }
}

/// What was made is sent, at the pace of who receives it.
struct Sent {
    pipe: Pipe,
    sender: mpsc::Sender<Result<Bytes>>,
}

#[async_trait]
impl Flow for Sent {
    async fn go(&mut self, watch: &Watch) -> Result<()> {
        let piece = self.pipe.take();
        let sent = piece.is_empty() || self.sender.send(Ok(piece)).await.is_ok();
        if !sent || self.sender.is_closed() {
            watch.give_up();
            return Err(given_up());
        }
        Ok(())
    }
}

/// What was made and not sent yet.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Pipe {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
