//! What databases and operators do to a server, and what its clients notice: a database killed
//! under load, slow or short of connections; replicas and a version flipped by one; many claims
//! on one layer; restarts while requests come in. Skipped by name where PostgreSQL is absent.

use crate::{
    crash::{delivery, shown},
    postgis::block,
    proxy::free_port,
    store_contract::{Place, layer},
    support::{Answer, QUICK, SLACK, Server, Site, command, has, postgres, said, send},
};
use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// A tile that is asked for beforehand, and then again and again.
const TILE: &str = "/collections/points/tiles/8/129/88.mvt";
const ITEMS: &str = "/collections/points/items?limit=10";

/// A site with one harvested layer of points, over a new database of a server.
fn points(server: &postgres::Postgres, store: &str) -> (Site, String) {
    let database = server.database();
    let site = Site::over(&server.url(&database), &format!("lease_s = 1\n{store}"));
    declare(&site);
    site.harvest();
    (site, database)
}

fn declare(site: &Site) {
    site.layer("points", "key = \"id\"\n[source]\npath = \"../points.csv\"");
    delivery(site, 1);
}

/// A tile that nobody asked for before.
fn uncached(n: u32) -> String {
    format!("/collections/points/tiles/14/{}/{}.mvt", 8283 + n % 45, 5656 + n / 45 % 39)
}

/// What clients got: kind of request and status, and how often.
type Tally = BTreeMap<(&'static str, u16), u32>;

/// Clients that ask until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Tally>>,
}

impl Load {
    /// `ask` makes the request number `n` of a client and says what came of it.
    fn start(
        clients: u32,
        ask: impl Fn(u32) -> (&'static str, u16) + Clone + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |client: u32| {
            let (stop, ask) = (stop.clone(), ask.clone());
            std::thread::spawn(move || {
                let mut tally = Tally::new();
                let mut n = client;
                while !stop.load(Ordering::Relaxed) {
                    *tally.entry(ask(n)).or_insert(0) += 1;
                    n += clients + 1;
                    std::thread::sleep(Duration::from_millis(3));
                }
                tally
            })
        };
        let clients = (0..clients).map(client).collect();
        Self { stop, clients }
    }

    fn end(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::new();
        for client in self.clients {
            for (key, n) in client.join().expect("a client") {
                *all.entry(key).or_insert(0) += n;
            }
        }
        all
    }
}

/// A refusal that says when to come again, given in time.
fn refused(ask: impl FnOnce() -> Answer) {
    let started = Instant::now();
    let answer = ask();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    assert!(started.elapsed() < Duration::from_secs(1) * SLACK, "{:?}", started.elapsed());
}

#[test]
fn a_database_killed_under_load_leaves_stale_tiles_and_comes_back_by_itself() {
    let Some(server) = postgres::Postgres::start() else {
        println!("skipped: PostgreSQL with PostGIS is not installed");
        return;
    };
    let (site, _) = points(&server, QUICK);
    let web = site.serve();
    let fresh = web.get(TILE);
    assert_eq!((fresh.status, fresh.header("socle-stale")), (200, None));
    let address = web.address.clone();
    let load = Load::start(8, move |n| {
        let (kind, path) = match n % 3 {
            0 => ("cached", TILE.to_owned()),
            1 => ("items", format!("{ITEMS}&offset={}", n % 5000)),
            _ => ("uncached", uncached(n)),
        };
        let started = Instant::now();
        let answer = send(&address, "GET", &path, &[]);
        assert!(started.elapsed() < Duration::from_secs(5) * SLACK, "{path} hangs");
        assert!(answer.status != 503 || answer.header("retry-after").is_some());
        (kind, answer.status)
    });
    std::thread::sleep(Duration::from_millis(500));
    server.kill();
    let marked = web.until(Duration::from_secs(2), |s| s.get(TILE).header("socle-stale").is_some());
    assert!(marked, "cached tiles are not marked");
    away(&web, &fresh);
    server.restart();
    let back = web.until(Duration::from_secs(2), |s| {
        s.get(ITEMS).status == 200
            && s.get("/health/ready").status == 200
            && s.get(TILE).header("socle-stale").is_none()
    });
    std::thread::sleep(Duration::from_millis(300));
    let all = load.end();
    assert!(back, "not recovered: {all:?}");
    for ((kind, status), n) in &all {
        match *kind {
            "cached" => assert_eq!(*status, 200, "{n} cached tiles: {all:?}"),
            _ => assert!([200, 204, 503].contains(status), "{n} {kind}: {all:?}"),
        }
    }
    assert!(all.keys().any(|(_, status)| *status == 503), "{all:?}");
}

#[test]
fn a_database_that_hangs_makes_no_request_hang() {
    if !has("pgrep") {
        return;
    }
    let Some(server) = postgres::Postgres::start() else {
        println!("skipped: PostgreSQL with PostGIS is not installed");
        return;
    };
    let (site, _) = points(&server, QUICK);
    let web = site.serve();
    let fresh = web.get(TILE);
    assert_eq!((fresh.status, web.get(ITEMS).status), (200, 200));
    server.freeze(true);
    let marked = web.until(Duration::from_secs(3), |s| s.get(TILE).header("socle-stale").is_some());
    if marked {
        away(&web, &fresh);
    }
    server.freeze(false);
    assert!(marked, "cached tiles are not marked");
    let back = web.until(Duration::from_secs(2), |s| {
        s.get(ITEMS).status == 200 && s.get(TILE).header("socle-stale").is_none()
    });
    assert!(back, "not recovered");
}

#[test]
fn requests_under_way_end_soon_when_the_database_freezes() {
    let Some(server) = postgres::Postgres::start() else {
        println!("skipped: PostgreSQL with PostGIS is not installed");
        return;
    };
    // Far more than the connections, and far longer than the test: only the silence ends them.
    let (site, _) = points(
        &server,
        "statement_timeout_s = 600\npool_size = 4\npool_wait_s = 20\nsilence_s = 1",
    );
    let web = site.serve();
    let fresh = web.get(TILE);
    assert_eq!((fresh.status, web.get(ITEMS).status), (200, 200));
    server.freeze(true);
    let started = Instant::now();
    let waiting: Vec<_> = (0..24)
        .map(|n| {
            let address = web.address.clone();
            let path = match n % 2 {
                0 => uncached(n),
                _ => format!("/collections/points/items?limit={}", 20 + n),
            };
            std::thread::spawn(move || send(&address, "GET", &path, &[]))
        })
        .collect();
    let answers: Vec<Answer> = waiting.into_iter().map(|w| w.join().unwrap()).collect();
    let took = started.elapsed();
    let cached = web.get(TILE);
    server.freeze(false);
    for answer in answers {
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.header("retry-after").is_some());
    }
    assert!(took < Duration::from_secs(2) * SLACK, "{took:?}");
    assert_eq!((cached.status, cached.body), (200, fresh.body));
    let back = web.until(Duration::from_secs(2), |s| {
        s.get(ITEMS).status == 200 && s.get(&uncached(1)).status == 200
    });
    assert!(back, "not recovered");
}

/// What a server without its database answers.
fn away(web: &Server, fresh: &Answer) {
    let stale = web.get(TILE);
    assert_eq!((stale.status, &stale.body), (200, &fresh.body));
    assert_eq!(stale.header("cache-control"), Some("public, max-age=5"));
    assert_eq!(stale.header("etag"), fresh.header("etag"));
    let same = web.send("GET", TILE, &[("If-None-Match", fresh.header("etag").unwrap())]);
    assert_eq!(same.status, 304);
    assert!(same.header("socle-stale").is_some());
    refused(|| web.get(&uncached(1750)));
    refused(|| web.get("/collections/points/items?limit=7"));
    let started = Instant::now();
    let ready = web.get("/health/ready");
    assert_eq!((ready.status, ready.json()["output"].as_str()), (503, Some("store")));
    assert!(started.elapsed() < Duration::from_secs(1) * SLACK);
    assert_eq!(web.get("/health/live").status, 200);
    // The catalogue is the last one that was seen.
    let collection = web.json("/collections/points");
    assert_eq!(collection["id"], "points");
}

#[test]
fn a_slow_query_is_cut_at_its_limit_and_its_connection_serves_on() {
    let Some(server) = postgres::shared() else { return };
    let (site, database) = points(server, "statement_timeout_s = 0.5\npool_size = 1");
    let web = site.serve();
    assert_eq!(web.get(ITEMS).status, 200);
    let backends = "SELECT string_agg(pid::text, ',' ORDER BY pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'socle'
                    AND query NOT LIKE 'LISTEN%'";
    let before = server.sql(&database, backends);
    let locked = block(server, &database, 9.0);
    refused(|| web.get("/collections/points/items?limit=20"));
    let left = "SELECT count(*) FROM pg_locks WHERE NOT granted
                AND relation = 'socle_store.f1'::regclass";
    let gone = web.until(Duration::from_secs(1), |_| server.sql(&database, left) == "0");
    assert!(gone, "the query still waits on the server");
    locked.join().unwrap();
    assert!(web.until(Duration::from_secs(2), |s| s.get(ITEMS).status == 200));
    assert_eq!(server.sql(&database, backends), before, "the same connection");
}

#[test]
fn an_exhausted_pool_lets_wait_a_moment_and_then_says_when_to_come_again() {
    let Some(server) = postgres::shared() else { return };
    let (site, database) = points(server, "pool_size = 2\npool_wait_s = 0.3");
    let web = site.serve();
    assert_eq!((web.get(TILE).status, web.get(ITEMS).status), (200, 200));
    let locked = block(server, &database, 6.0);
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted
                   AND relation = 'socle_store.f1'::regclass";
    let held: Vec<_> = (0..2)
        .map(|n| {
            let address = web.address.clone();
            let path = format!("/collections/points/items?limit={}", 20 + n);
            std::thread::spawn(move || {
                // The watch on the store may have the connection just now.
                let ask = || send(&address, "GET", &path, &[]).status;
                (0..5).map(|_| ask()).find(|s| *s == 200)
            })
        })
        .collect();
    let full = web.until(Duration::from_secs(2), |_| server.sql(&database, waiting) == "2");
    assert!(full, "two queries wait for the lock");
    refused(|| web.get("/collections/points/items?limit=30"));
    refused(|| web.get(&uncached(7)));
    assert_eq!(web.get(TILE).status, 200);
    locked.join().unwrap();
    for held in held {
        assert_eq!(held.join().unwrap(), Some(200), "those who had a connection were served");
    }
    assert!(web.until(Duration::from_secs(2), |s| s.get(&uncached(7)).status == 200));
}

#[test]
fn two_replicas_never_mix_versions_and_one_follows_the_other_within_a_second() {
    let Some(server) = postgres::shared() else { return };
    let (site, database) = points(server, "");
    let (one, two) = (site.serve(), site.serve());
    assert_eq!((shown(&one), shown(&two)), (1, 1));
    // Same tag, same bytes, whichever replica answers; `shown` looks at each page of features.
    let bytes: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
    let addresses = [one.address.clone(), two.address.clone()];
    let load = Load::start(3, move |n| {
        let at = addresses.get(n as usize % 2).unwrap();
        let tile = send(at, "GET", TILE, &[]);
        let tag = tile.header("etag").unwrap().to_owned();
        let mut bytes = bytes.lock().unwrap_or_else(|e| e.into_inner());
        let known = bytes.entry(tag).or_insert_with(|| tile.body.clone());
        assert!(*known == tile.body, "one tag, two tiles");
        ("tile", tile.status)
    });
    for round in 2..5 {
        if round > 2 {
            let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                       WHERE datname = current_database() AND query LIKE 'LISTEN%'";
            server.sql(&database, cut);
        }
        delivery(&site, round);
        site.harvest();
        for replica in [&one, &two] {
            let follows = |s: &Server| shown(s) == u64::from(round);
            assert!(replica.until(Duration::from_secs(1), follows), "round {round}");
        }
    }
    let all = load.end();
    assert_eq!(all.keys().collect::<Vec<_>>(), [&("tile", 200)], "{all:?}");
}

#[test]
fn ten_claimants_on_one_layer_do_it_once() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database();
    let url = server.url(&database);
    // Ten replicas ask at the same moment: one has it, as often as they try.
    let place = Place::postgis(&url, false);
    let stores: Vec<_> = (0..10).map(|_| place.open()).collect();
    place.wait(async {
        for _ in 0..5 {
            let tries = stores.iter().map(|store| {
                let store = store.clone();
                tokio::spawn(async move { store.claim(&layer("points")).await.unwrap() })
            });
            let mut held = Vec::new();
            for claim in tries.collect::<Vec<_>>() {
                held.extend(claim.await.unwrap());
            }
            assert_eq!(held.len(), 1);
        }
    });
    // Ten programs harvest at the same moment: the layer is loaded once.
    let site = Site::over(&url, "lease_s = 5");
    declare(&site);
    let children: Vec<Child> = (0..10)
        .map(|_| {
            let mut harvest = command(&["harvest", "--config", &site.config()]);
            harvest.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut done = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        match output.status.code() {
            Some(0) => done += 1,
            _ => assert!(said(&output).contains("charge déjà"), "{}", said(&output)),
        }
    }
    assert!(done >= 1);
    let loaded = "SELECT count(*) || ' ' || coalesce(max(serial), 0) FROM socle_store.versions";
    assert_eq!(server.sql(&database, loaded), "1 1");
}

/// nginx in front of several servers, with its master, which reloads.
struct Balancer {
    child: Child,
    dir: std::path::PathBuf,
    port: u16,
}

impl Balancer {
    fn start(site: &Site, servers: &[&Server]) -> Self {
        let dir = site.path("balancer");
        fs::create_dir_all(&dir).unwrap();
        let port = free_port();
        configure(&dir, port, servers);
        let child = Command::new("nginx")
            .args(["-p", dir.to_str().unwrap(), "-c", dir.join("conf").to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let balancer = Self { child, dir, port };
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return balancer;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("nginx: {}", fs::read_to_string(balancer.dir.join("log")).unwrap_or_default());
    }

    /// Sends to these servers from now on.
    fn to(&self, servers: &[&Server]) {
        configure(&self.dir, self.port, servers);
        let _ = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status();
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn configure(dir: &std::path::Path, port: u16, servers: &[&Server]) {
    let at = dir.display();
    let servers: String = servers.iter().map(|s| format!("server {};", s.address)).collect();
    let text = format!(
        "daemon off; worker_processes 1; pid {at}/pid; error_log {at}/log;
         events {{ worker_connections 256; }}
         http {{ access_log off; client_body_temp_path {at}/a; proxy_temp_path {at}/b;
           fastcgi_temp_path {at}/c; uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;
           upstream socle {{ {servers} keepalive 8; }}
           server {{ listen 127.0.0.1:{port};
             location / {{ proxy_pass http://socle; proxy_next_upstream off;
               proxy_http_version 1.1; proxy_set_header Connection \"\";
               proxy_buffers 64 16k; proxy_max_temp_file_size 0; }} }} }}"
    );
    fs::write(dir.join("conf"), text).unwrap();
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

#[test]
fn a_rolling_restart_behind_nginx_loses_no_request() {
    let Some(server) = postgres::shared() else { return };
    if !has("nginx") {
        return;
    }
    let (site, _) = points(server, "");
    let (mut one, mut two) = (site.serve(), site.serve());
    let balancer = Balancer::start(&site, &[&one, &two]);
    let address = format!("127.0.0.1:{}", balancer.port);
    let load = Load::start(6, move |n| {
        let path = match n % 3 {
            0 => TILE.to_owned(),
            1 => "/collections/points/items?limit=1000".to_owned(),
            _ => uncached(n),
        };
        ("any", send(&address, "GET", &path, &[]).status)
    });
    std::thread::sleep(Duration::from_millis(300));
    balancer.to(&[&two]);
    assert!(one.stop(), "ended well");
    one = site.serve();
    balancer.to(&[&one]);
    assert!(two.stop(), "ended well");
    two = site.serve();
    balancer.to(&[&one, &two]);
    std::thread::sleep(Duration::from_millis(300));
    let all = load.end();
    let log = fs::read_to_string(balancer.dir.join("log")).unwrap_or_default();
    assert!(all.keys().all(|(_, status)| [200, 204].contains(status)), "{all:?} {log}");
    assert!(all.values().sum::<u32>() > 50, "{all:?}");
}

/// One request on a connection kept open: the status, and whether the server ends it here.
/// `None`: the connection ended without an answer.
fn keep(stream: &mut TcpStream, path: &str) -> Option<(u16, bool)> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    let mut part = [0; 16 * 1024];
    loop {
        let n = stream.read(&mut part).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(part.get(..n)?);
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(bytes.get(..end)?).to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|l| l.lines().next()?.trim().parse::<usize>().ok());
        if bytes.len() >= end + 4 + length.unwrap_or(0) {
            let status = head.split(' ').nth(1)?.parse().ok()?;
            return Some((status, head.contains("connection: close")));
        }
    }
}

/// A client of a server that is about to end: asks on connections kept open or new ones until
/// the door is closed; how many answers it got, and the requests that got none.
fn until_closed(address: &str, keeps: bool) -> (u32, Vec<String>) {
    let (mut answers, mut lost) = (0, Vec::new());
    while let Ok(mut stream) = TcpStream::connect(address) {
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        loop {
            let path = if answers % 4 == 0 { "/collections/points/items?limit=3000" } else { TILE };
            match keep(&mut stream, path) {
                Some((200, last)) => {
                    answers += 1;
                    if last || !keeps {
                        break;
                    }
                }
                other => {
                    lost.push(format!("{path}: {other:?}"));
                    break;
                }
            }
        }
    }
    (answers, lost)
}

#[test]
fn a_server_told_to_end_under_load_loses_no_accepted_request() {
    let site = Site::new();
    declare(&site);
    site.harvest();
    let mut web = site.serve();
    let clients: Vec<_> = (0..8)
        .map(|n| {
            let address = web.address.clone();
            std::thread::spawn(move || until_closed(&address, n % 2 == 0))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    assert!(web.stop(), "ended well");
    let mut answers = 0;
    for client in clients {
        let (got, lost) = client.join().unwrap();
        assert!(lost.is_empty(), "{lost:?}");
        answers += got;
    }
    assert!(answers > 20, "{answers}");
    assert!(TcpStream::connect(&web.address).is_err());
}
