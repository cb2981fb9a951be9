//! The server's life: listening, one task per connection, limits, draining at the end; beside it
//! the watch on the store and the listener for whoever runs it. What is answered is
//! [`super::router`]'s.

use super::{
    access::{Front, Peer},
    patience::Patience,
};
use crate::{
    app::App,
    error::{Error, Result},
    text,
};
use axum::body::Body;
use hyper::body::Incoming;
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// A client that sends its headers slower than this holds a connection for nothing.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// A publication by another process is seen within this time (DESIGN §5: a second).
const WATCH: Duration = Duration::from_millis(500);
/// Room for headers beside the longest address.
const HEADER_ROOM: usize = 32 * 1024;
/// Connections at once to the listener for whoever runs the service.
const INNER_CONNECTIONS: usize = 64;

/// Opens a listening socket; a port in use is the operator's to settle, said in words.
pub async fn listen(address: SocketAddr) -> Result<TcpListener> {
    open(address, "--listen").await
}

/// `setting` is the one that chooses the address, for the message.
async fn open(address: SocketAddr, setting: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Error::Invalid(text!(
            "L'adresse {address} est déjà utilisée par un autre programme. Choisissez-en une autre ({setting}) ou arrêtez-le.",
            "Address {address} is already used by another program. Choose another one ({setting}) or stop that program."
        )),
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::AddrNotAvailable => {
            Error::Invalid(text!(
                "Impossible d'écouter sur {address} : {error}.",
                "Cannot listen on {address}: {error}."
            ))
        }
        _ => Error::fault(format!("listening on {address}"), error),
    })
}

/// Serves until `shutdown` is ready, then goes without losing a request: says that it is leaving
/// (`/health/ready`, `Connection: close`) and still serves who comes for a moment; takes what
/// waits at the door and closes it; lets requests under way end. All within the drain time.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<()> {
    let settings = app.settings.server.clone();
    let mut beside = tokio::task::JoinSet::new();
    if let Some(secret) = &settings.admin_token {
        secret.read()?; // a token that is not there is said at start, not at its first use
    }
    if settings.admin_listen.is_some() || settings.admin_token.is_some() {
        beside.spawn(super::meters::record_all()?);
    }
    let front = super::router::front(app.clone());
    let door = |listener, front, connections| Door {
        listener,
        front,
        limit: Arc::new(Semaphore::new(connections)),
        max_url: settings.max_url,
        graceful: GracefulShutdown::new(),
    };
    if let Some(address) = settings.admin_listen {
        let listener = open(address, "server.admin_listen").await?;
        let inner = door(listener, super::router::inner_front(&front), INNER_CONNECTIONS);
        beside.spawn(async move { inner.open_until(std::future::pending()).await });
    }
    beside.spawn(watch(app));
    let door = door(listener, front.clone(), settings.max_connections);
    door.open_until(shutdown).await;
    front.leave();
    let linger = settings.linger.min(settings.drain / 3);
    let gone = async {
        door.open_until(tokio::time::sleep(linger)).await;
        let graceful = door.close();
        // Whoever came last is heard: a connection without a request yet would be cut below.
        tokio::time::sleep(linger / 4).await;
        graceful.shutdown().await;
    };
    if tokio::time::timeout(settings.drain, gone).await.is_err() {
        tracing::warn!(seconds = settings.drain.as_secs(), "requests still under way were cut");
    }
    Ok(())
}

/// Where connections come in.
struct Door {
    listener: TcpListener,
    front: Arc<Front>,
    limit: Arc<Semaphore>,
    max_url: usize,
    graceful: GracefulShutdown,
}

impl Door {
    /// Takes connections until `end` is ready.
    async fn open_until(&self, end: impl Future<Output = ()>) {
        let mut end = std::pin::pin!(end);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut end => return,
            };
            match accepted {
                Ok((stream, peer)) => self.take(stream, peer),
                Err(error) => {
                    // Out of descriptors, or a client gone before it was taken: not a reason to
                    // end.
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr) {
        let _ = stream.set_nodelay(true);
        match self.limit.clone().try_acquire_owned() {
            Ok(permit) => {
                let front = self.front.clone();
                connection(stream, peer, front, self.max_url, &self.graceful, permit);
            }
            Err(_) => {
                tokio::spawn(turn_away(stream));
            }
        }
    }

    /// Takes the connections that the system has already answered for, and closes the door right
    /// behind them: they would be reset, with what they ask.
    fn close(self) -> GracefulShutdown {
        let Self { listener, front, limit, max_url, graceful } = self;
        // The system is asked itself: the runtime may not have heard of them yet.
        let Ok(listener) = listener.into_std() else { return graceful };
        hush(&listener);
        let permits = std::iter::from_fn(|| limit.clone().try_acquire_owned().ok());
        let taken: Vec<_> = permits.map_while(|p| Some((listener.accept().ok()?, p))).collect();
        drop(listener);
        for ((stream, peer), permit) in taken {
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                connection(stream, peer, front.clone(), max_url, &graceful, permit);
            }
        }
        graceful
    }
}

/// Has the system ignore who knocks from now on, so that nobody is answered between the last look
/// at the queue and the closing of the door, and then reset with what they ask. Who is ignored
/// knocks again, and finds the door closed or the next program behind it.
fn hush(listener: &std::net::TcpListener) {
    #[cfg(target_os = "linux")]
    {
        /// `BPF_RET | BPF_K`: of each packet, so many bytes are let through.
        const RETURN: u16 = 0x06;
        let nothing = socket2::SockFilter::new(RETURN, 0, 0, 0);
        if let Err(error) = socket2::SockRef::from(listener).attach_filter(&[nothing]) {
            tracing::debug!(%error, "the listening socket takes no filter");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = listener;
}

/// Ready when the process is asked to end: `SIGINT` (Ctrl-C) or `SIGTERM`.
pub async fn signals() {
    let interrupt = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "no SIGINT");
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => tokio::select! {
                () = interrupt => {}
                _ = terminate.recv() => {}
            },
            Err(error) => {
                tracing::error!(%error, "no SIGTERM");
                interrupt.await;
            }
        }
    }
    #[cfg(not(unix))]
    interrupt.await;
}

/// Serves one connection in a task of its own.
fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    front: Arc<Front>,
    max_url: usize,
    graceful: &GracefulShutdown,
    permit: OwnedSemaphorePermit,
) {
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        let front = front.clone();
        request.extensions_mut().insert(Peer(peer));
        async move {
            let mut response = front.answer(request.map(Body::new)).await;
            if front.leaving() {
                // The client's next request goes elsewhere, rather than into a connection that
                // ends under it.
                let close = hyper::header::HeaderValue::from_static("close");
                response.headers_mut().insert(hyper::header::CONNECTION, close);
            }
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let patience = Patience::new(HEADER_TIMEOUT);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(patience.clone())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size((max_url + HEADER_ROOM).max(64 * 1024))
        .serve_connection(TokioIo::new(stream), service);
    let watched = graceful.watch(connection);
    tokio::spawn(async move {
        let _permit = permit;
        if let Err(error) = patience.over(watched).await {
            tracing::debug!(%error, "connection ended");
        }
    });
}

/// Beyond the limit a connection gets its `503` and is closed: waiting in the dark is worse.
async fn turn_away(mut stream: TcpStream) {
    const BODY: &str =
        r#"{"title":"Service saturé","status":503,"detail":"Trop de connexions en même temps."}"#;
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
         content-length: {}\r\nretry-after: 2\r\ncache-control: no-store\r\nconnection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    let write = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), write).await;
}

/// Follows publications, also those of other processes.
async fn watch(app: Arc<App>) {
    let mut failing = false;
    loop {
        // Some stores tell of a publication; looking is the net under that.
        tokio::select! {
            () = tokio::time::sleep(WATCH) => {}
            () = app.catalog.changed() => {}
        }
        match app.refresh().await {
            Ok(_) => failing = false,
            Err(error) => {
                if !failing {
                    tracing::error!(cause = error.chain(), "the store does not answer");
                }
                failing = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{Mood, Site, settings};
    use std::process::Command;
    use tokio::{io::AsyncReadExt, sync::oneshot, task::JoinHandle};

    struct Running {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        ended: JoinHandle<Result<()>>,
        site: Site,
    }

    async fn run(settings: crate::config::Settings) -> Running {
        let site = Site::with(settings, Mood::Well).await;
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        let ended = tokio::spawn(serve(site.app.clone(), listener, shutdown));
        Running { address, stop, ended, site }
    }

    async fn ask(stream: &mut TcpStream, target: &str) -> String {
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn requests_are_served_until_asked_to_stop() {
        let running = run(settings()).await;
        let mut early = TcpStream::connect(running.address).await.unwrap();
        let long = format!("/collections/communes/items?nom={}", "a".repeat(20_000));
        assert!(ask(&mut early, &long).await.starts_with("HTTP/1.1 200"));
        running.stop.send(()).unwrap();
        running.ended.await.unwrap().unwrap();
        assert!(TcpStream::connect(running.address).await.is_err());
    }

    #[tokio::test]
    async fn who_leaves_says_so_and_hears_whoever_came() {
        let running = run(settings()).await;
        let mut kept = TcpStream::connect(running.address).await.unwrap();
        let mut other = TcpStream::connect(running.address).await.unwrap();
        running.stop.send(()).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut late = TcpStream::connect(running.address).await.unwrap();
        // No request asks for the connection's end: it is the server that says so.
        for (stream, path) in [(&mut kept, "/health/ready"), (&mut other, "/health/live")] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.contains("connection: close"), "{answer}");
            assert_eq!(answer.starts_with("HTTP/1.1 503"), path.ends_with("ready"), "{answer}");
        }
        assert!(ask(&mut late, "/collections").await.starts_with("HTTP/1.1 200"));
        running.ended.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn publications_are_noticed() {
        let running = run(settings()).await;
        let before = running.site.app.catalog.snapshot().generation;
        running.site.store.generation.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        while running.site.app.catalog.snapshot().generation == before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_are_told_so() {
        let mut settings = settings();
        settings.server.max_connections = 1;
        let running = run(settings).await;
        let mut first = TcpStream::connect(running.address).await.unwrap();
        // One answer on a connection kept open: it is counted for sure.
        first.write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut buffer = [0; 64];
        assert!(first.read(&mut buffer).await.unwrap() > 0);
        let mut second = TcpStream::connect(running.address).await.unwrap();
        let mut answer = String::new();
        second.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("retry-after:"));
    }

    #[tokio::test]
    async fn a_port_in_use_is_said_in_words() {
        let taken = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = taken.local_addr().unwrap();
        let Err(Error::Invalid(text)) = listen(address).await else { panic!("taken twice") };
        assert!(text.fr.contains(&address.to_string()) && text.en.contains("already used"));
    }

    #[tokio::test]
    async fn figures_are_shown_on_their_own_listener() {
        let mut settings = settings();
        let free = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let admin = free.local_addr().unwrap();
        drop(free);
        settings.server.admin_listen = Some(admin);
        let running = run(settings).await;
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        ask(&mut stream, "/collections?key=secret").await;
        let mut stream = TcpStream::connect(admin).await.unwrap();
        let figures = ask(&mut stream, "/metrics").await;
        let line = "socle_http_requests_total{route=\"/collections\",status=\"200\"} 1";
        assert!(figures.contains(line), "{figures}");
        assert!(figures.contains("socle_http_request_seconds_bucket"));
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        assert!(ask(&mut stream, "/metrics").await.starts_with("HTTP/1.1 404"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn gdal_reads_the_layers() {
        let running = run(settings()).await;
        let sample = running.site.get("/collections/communes/items/59350").await;
        if !String::from_utf8_lossy(&sample.body).contains("\"properties\"") {
            println!("gdal_reads_the_layers: skipped, features are not written here");
            return;
        }
        let source = format!("OAPIF:http://{}", running.address);
        let output = tokio::task::spawn_blocking(move || {
            Command::new("ogrinfo").args(["-ro", "-so", "-al", &source]).output()
        });
        let Ok(output) = output.await.unwrap() else {
            println!("gdal_reads_the_layers: skipped, ogrinfo is absent");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout);
        for word in [
            "Layer name: communes",
            "Layer name: mairies",
            "Feature Count: 5",
            "population: Integer",
            "nom: String",
        ] {
            assert!(
                text.contains(word),
                "{word}: {text} {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}
