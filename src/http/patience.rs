//! How long a connection may take to send the head of a request. hyper arms a timer for each
//! head; on kept connections that is one at every request, put into and taken out of the
//! runtime's shared wheel. Here a connection has one clock that ticks slowly, and waiting for a
//! head is remembering a tick.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// Ticks within the limit: a head may take one of them longer, never less than the limit.
const TICKS: u32 = 4;

/// The clock of one connection.
#[derive(Clone)]
pub struct Patience {
    ticks: Arc<AtomicU32>,
    every: Duration,
    /// What hyper counts from: only differences are looked at here.
    began: Instant,
}

impl Patience {
    /// A clock for heads that may take `limit` each, and at most a quarter of it more.
    pub fn new(limit: Duration) -> Self {
        Self { ticks: Arc::default(), every: limit / TICKS, began: Instant::now() }
    }

    /// Lets time pass for the connection that this clock was given to as its timer.
    pub async fn over<F: Future>(&self, connection: F) -> F::Output {
        let mut connection = std::pin::pin!(connection);
        let first = tokio::time::Instant::now() + self.every;
        let mut clock = tokio::time::interval_at(first, self.every);
        loop {
            // A tick wakes this task, and with it the connection's wait for a head.
            tokio::select! {
                biased;
                output = &mut connection => return output,
                _ = clock.tick() => {
                    self.ticks.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

impl hyper::rt::Timer for Patience {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        let ticks = duration.div_duration_f64(self.every).ceil() as u32;
        // The tick under way is not a whole one.
        let until = self.ticks.load(Ordering::Relaxed).wrapping_add(ticks).wrapping_add(1);
        Box::pin(Wait { ticks: self.ticks.clone(), until })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.began))
    }

    fn now(&self) -> Instant {
        self.began
    }
}

/// Until a tick. It wakes nobody: the tick does.
struct Wait {
    ticks: Arc<AtomicU32>,
    until: u32,
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let left = self.until.wrapping_sub(self.ticks.load(Ordering::Relaxed)).cast_signed();
        if left > 0 { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl hyper::rt::Sleep for Wait {}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Serves one connection with a short limit; gives the client's end.
    fn serve(limit: Duration) -> (tokio::io::DuplexStream, tokio::task::JoinHandle<bool>) {
        let (client, server) = tokio::io::duplex(4096);
        let answer = hyper::service::service_fn(|_| async {
            Ok::<_, std::convert::Infallible>(hyper::Response::new(axum::body::Body::from("x")))
        });
        let patience = Patience::new(limit);
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(patience.clone())
            .header_read_timeout(limit)
            .serve_connection(hyper_util::rt::TokioIo::new(server), answer);
        (client, tokio::spawn(async move { patience.over(connection).await.is_ok() }))
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_ends_the_connection_after_the_limit() {
        let limit = Duration::from_millis(80);
        let (mut client, served) = serve(limit);
        let began = Instant::now();
        client.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        assert!(!served.await.unwrap());
        assert!(began.elapsed() >= limit);
    }

    #[tokio::test]
    async fn each_head_has_the_whole_limit() {
        let (mut client, served) = serve(Duration::from_millis(400));
        let mut answer = [0; 256];
        for _ in 0..6 {
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_millis(120)).await;
            client.write_all(b"\r\n").await.unwrap();
            let n = client.read(&mut answer).await.unwrap();
            assert!(answer[..n].starts_with(b"HTTP/1.1 200"));
        }
        drop(client);
        assert!(served.await.unwrap());
    }
}
