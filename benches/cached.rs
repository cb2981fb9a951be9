//! Cached tiles and `304` over a bare axum handler that answers the same 10 kB with the same
//! headers: throughput, server CPU per request, p99 at a fixed arrival rate. Each server is a
//! process of its own; the load comes from this one.

use crate::{
    client::{Client, Server, request},
    report::Report,
    site::Site,
};
use std::{
    process::Command,
    time::{Duration, Instant},
};

/// Connections under load.
const CONNECTIONS: usize = 8;
/// Seconds of load per round.
const SECONDS: f64 = 2.0;
/// Rounds, alternating, of which the best counts.
const ROUNDS: usize = 5;

/// The bare server: the least an axum handler can do for the same answer.
pub fn bare(port: u16) {
    use axum::{
        Router,
        http::{HeaderMap, StatusCode, header},
        response::IntoResponse,
        routing::get,
    };
    let body =
        std::env::var("BARE_BODY").ok().and_then(|p| std::fs::read(p).ok()).unwrap_or_default();
    let body = bytes::Bytes::from(body);
    let headers: Vec<(String, String)> = std::env::var("BARE_HEADERS")
        .ok()
        .and_then(|h| serde_json::from_str(&h).ok())
        .unwrap_or_default();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) =
            (header::HeaderName::from_bytes(name.as_bytes()), header::HeaderValue::from_str(&value))
        {
            map.insert(name, value);
        }
    }
    let answer = move |request: HeaderMap| {
        let (map, body) = (map.clone(), body.clone());
        async move {
            if request.contains_key(header::IF_NONE_MATCH) {
                return (StatusCode::NOT_MODIFIED, map).into_response();
            }
            (StatusCode::OK, map, body).into_response()
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        println!("http://{}/", listener.local_addr().expect("an address"));
        let router = Router::new().route("/{*path}", get(answer));
        let service = hyper_util::service::TowerToHyperService::new(router);
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let _ = stream.set_nodelay(true);
            let service = service.clone();
            tokio::spawn(async move {
                let io = hyper_util::rt::TokioIo::new(stream);
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
            });
        }
    });
}

/// What a round measured.
#[derive(Clone, Copy)]
struct Load {
    per_second: f64,
    cpu_us: f64,
}

fn load(server: &Server, request: &str) -> Load {
    let before = server.cpu();
    let start = Instant::now();
    let count: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::new(&server.address);
                    let mut n = 0u64;
                    while start.elapsed().as_secs_f64() < SECONDS {
                        client.ask(request.as_bytes());
                        n += 1;
                    }
                    n
                })
            })
            .collect();
        workers.into_iter().map(|w| w.join().expect("a worker")).sum()
    });
    let seconds = start.elapsed().as_secs_f64();
    Load {
        per_second: count as f64 / seconds,
        cpu_us: (server.cpu() - before) * 1e6 / count as f64,
    }
}

/// p99 latency in microseconds at a fixed arrival rate, measured from the due time.
fn p99(server: &Server, request: &str, rate: f64) -> f64 {
    let start = Instant::now();
    let mut late: Vec<f64> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..CONNECTIONS)
            .map(|i| {
                scope.spawn(move || {
                    let mut client = Client::new(&server.address);
                    let mut late = Vec::new();
                    let step = CONNECTIONS as f64 / rate;
                    let mut due = i as f64 / rate;
                    while due < SECONDS {
                        let now = start.elapsed().as_secs_f64();
                        if due > now {
                            std::thread::sleep(Duration::from_secs_f64(due - now));
                        }
                        client.ask(request.as_bytes());
                        late.push((start.elapsed().as_secs_f64() - due) * 1e6);
                        due += step;
                    }
                    late
                })
            })
            .collect();
        workers.into_iter().flat_map(|w| w.join().expect("a worker")).collect()
    });
    late.sort_by(f64::total_cmp);
    late[(late.len() * 99 / 100).min(late.len() - 1)]
}

/// Measures.
pub fn run(site: &Site, report: &mut Report) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_socle"));
    command
        .arg("serve")
        .arg("--config")
        .arg(site.measured_config())
        .args(["--listen", "127.0.0.1:0"]);
    let ours = Server::start(command);
    // The committed tile nearest to 10 kB gzipped.
    let tiles =
        ["12/2081/1373", "11/1040/686", "10/520/344", "9/260/171", "11/1037/704", "10/518/352"];
    let mut client = Client::new(&ours.address);
    let path = tiles
        .iter()
        .map(|t| format!("/collections/communes/tiles/{t}.mvt"))
        .min_by_key(|p| client.ask(request(p, "").as_bytes()).body.abs_diff(10_000))
        .expect("a tile");
    let answer = client.ask(request(&path, "").as_bytes());
    let (head, size) = (answer.head, answer.body);
    println!("request headers: {:?}; tile {path}, {size} bytes gzipped", request(&path, ""));
    let headers: Vec<(String, String)> = head
        .lines()
        .skip(1)
        .filter_map(|l| l.split_once(": "))
        .filter(|(n, _)| !["date", "content-length"].contains(&n.to_ascii_lowercase().as_str()))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    let etag =
        headers.iter().find(|(n, _)| n.eq_ignore_ascii_case("etag")).expect("an ETag").1.clone();
    let body = site.path("body");
    std::fs::write(&body, vec![b'x'; size]).expect("a body");
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command
        .args(["--bare", "0"])
        .env("BARE_BODY", &body)
        .env("BARE_HEADERS", serde_json::to_string(&headers).expect("JSON"));
    let bare = Server::start(command);
    let cases = [
        ("cached-tile", request(&path, "")),
        ("cached-304", request(&path, &format!("If-None-Match: {etag}\r\n"))),
    ];
    for (name, request) in cases {
        let (mut a, mut b) = (
            Load { per_second: 0.0, cpu_us: f64::MAX },
            Load { per_second: 0.0, cpu_us: f64::MAX },
        );
        for _ in 0..ROUNDS {
            for (server, seen) in [(&ours, &mut a), (&bare, &mut b)] {
                let round = load(server, &request);
                seen.per_second = seen.per_second.max(round.per_second);
                seen.cpu_us = seen.cpu_us.min(round.cpu_us);
            }
        }
        report.row(
            &format!("{name}-throughput"),
            a.per_second / b.per_second,
            Some(">= 0.90"),
            a.per_second,
            b.per_second,
            "requests/s",
        );
        report.row(
            &format!("{name}-cpu"),
            a.cpu_us / b.cpu_us,
            Some("<= 1.3"),
            a.cpu_us,
            b.cpu_us,
            "µs/request",
        );
        let rate = b.per_second * 0.3;
        let (mut ours_p99, mut bare_p99) = (f64::MAX, f64::MAX);
        for _ in 0..ROUNDS {
            ours_p99 = ours_p99.min(p99(&ours, &request, rate));
            bare_p99 = bare_p99.min(p99(&bare, &request, rate));
        }
        report.row(
            &format!("{name}-p99"),
            ours_p99 / bare_p99,
            Some("<= 2"),
            ours_p99,
            bare_p99,
            "µs",
        );
    }
}
