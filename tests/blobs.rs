//! Shared files behave alike in a folder and in object storage: one list of cases for both. The
//! object storage is moto's S3 server, over HTTP.

use crate::support::{Server, Site, finish, said};
use futures_util::{StreamExt, stream};
use socle::{
    blobs::{Blobs, Key, Stat, Sweep},
    config::{BlobSettings, S3Settings},
    error::{Error, Result},
};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// An S3 server of its own, gone with the test.
pub struct Moto {
    child: Child,
    pub endpoint: String,
}

impl Moto {
    /// Starts it with a bucket `socle`; says so and gives `None` where it is not installed.
    pub fn start() -> Option<Self> {
        let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../tools/bin/moto_server");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut places = std::env::split_paths(&path).map(|p| p.join("moto_server"));
        let Some(program) = tools.exists().then_some(tools).or_else(|| places.find(|p| p.exists()))
        else {
            println!("skipped: moto_server is not installed");
            return None;
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto starts");
        let moto = Self { child, endpoint: format!("http://127.0.0.1:{port}") };
        let started = Instant::now();
        while !moto.make_bucket(port) {
            assert!(started.elapsed() < Duration::from_secs(60), "moto does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(moto)
    }

    fn make_bucket(&self, port: u16) -> bool {
        put(port, "/socle", b"")
    }

    /// Puts an object into the bucket, in the place of an older one.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        let port = self.endpoint.rsplit(':').next().and_then(|p| p.parse().ok()).expect("a port");
        assert!(put(port, &format!("/socle/{key}"), bytes), "moto takes {key}");
    }

    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// moto believes any signature.
fn put(port: u16, path: &str, bytes: &[u8]) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {}\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request, \
         SignedHeaders=host, Signature=x\r\nConnection: close\r\n\r\n",
        bytes.len()
    );
    let mut answer = String::new();
    let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(bytes));
    sent.and_then(|()| stream.read_to_string(&mut answer)).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Credentials are read from the environment, which a test cannot change for itself: it runs
/// itself again with them.
const ENDPOINT: &str = "SOCLE_TEST_S3";

pub fn credentials(command: &mut Command) -> &mut Command {
    command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "s3cret")
}

fn again(test: &str, endpoint: &str) {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.args(["--exact", test, "--nocapture"]).env(ENDPOINT, endpoint);
    let output = finish(credentials(&mut command));
    let text = said(&output);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn in_storage(dir: &Path, prefix: &str, endpoint: &str) -> Blobs {
    let s3 = S3Settings {
        bucket: "socle".into(),
        prefix: prefix.into(),
        endpoint: Some(endpoint.into()),
        region: None,
    };
    Blobs::open(&BlobSettings { path: dir.to_path_buf(), s3: Some(s3) }).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

#[test]
fn shared_files_in_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let open = |n: usize| {
        let path = dir.path().join(n.to_string());
        Blobs::open(&BlobSettings { path, s3: None }).unwrap()
    };
    runtime().block_on(cases(&open));
}

#[test]
fn shared_files_in_object_storage() {
    if let Ok(endpoint) = std::env::var(ENDPOINT) {
        let dir = tempfile::tempdir().unwrap();
        // A folder of its own each time: what is found came from the storage.
        let opened = AtomicUsize::new(0);
        let open = |n: usize| {
            let local = opened.fetch_add(1, Ordering::Relaxed);
            let path = dir.path().join(local.to_string());
            in_storage(&path, &format!("test/{n}"), &endpoint)
        };
        runtime().block_on(cases(&open));
        runtime().block_on(in_parts(&open(9)));
        return;
    }
    let Some(moto) = Moto::start() else { return };
    again("blobs::shared_files_in_object_storage", &moto.endpoint);
}

fn key(name: &str) -> Key {
    name.parse().unwrap()
}

fn pieces(all: &[&'static str]) -> impl futures_util::Stream<Item = Result<bytes::Bytes>> + use<> {
    stream::iter(
        all.iter().map(|p| Ok(bytes::Bytes::from_static(p.as_bytes()))).collect::<Vec<_>>(),
    )
}

async fn content(blobs: &Blobs, name: &str) -> Option<String> {
    let reader = blobs.read(&key(name), None).await.unwrap()?;
    Some(String::from_utf8(reader.bytes().await.unwrap()).unwrap())
}

async fn names(blobs: &Blobs, prefix: &str) -> Vec<String> {
    blobs.list(prefix).await.unwrap().iter().map(|s| s.key.to_string()).collect()
}

/// Every case, each in a place of its own; `open` opens a place, as another replica would.
async fn cases(open: &(dyn Fn(usize) -> Blobs + Sync)) {
    put_read_replace_delete(open).await;
    ranges(&open(1)).await;
    one_of_many_wins(open).await;
    listed_by_whole_segments(&open(3)).await;
    nothing_half(&open(4)).await;
    local_files(open).await;
}

async fn put_read_replace_delete(open: &(dyn Fn(usize) -> Blobs + Sync)) {
    let (one, other) = (open(0), open(0));
    assert_eq!(one.stat(&key("a/b")).await.unwrap(), None);
    assert!(one.read(&key("a/b"), None).await.unwrap().is_none());
    assert!(one.local(&key("a/b")).await.unwrap().is_none());
    one.delete(&key("a/b")).await.unwrap();
    let put = one.put(&key("a/b"), pieces(&["ab", "", "cd"]), 4).await.unwrap();
    assert_eq!((put.bytes, put.key.as_str()), (4, "a/b"));
    assert_eq!(other.stat(&key("a/b")).await.unwrap().unwrap(), put);
    assert_eq!(content(&other, "a/b").await.unwrap(), "abcd");
    one.put(&key("a/b"), pieces(&["xyz"]), 4).await.unwrap();
    assert_eq!(content(&other, "a/b").await.unwrap(), "xyz");
    other.put(&key("a/empty"), pieces(&[]), 4).await.unwrap();
    assert_eq!(content(&one, "a/empty").await.unwrap(), "");
    other.delete(&key("a/b")).await.unwrap();
    assert_eq!(content(&one, "a/b").await, None);
}

async fn ranges(blobs: &Blobs) {
    blobs.put(&key("ten"), pieces(&["0123456789"]), 10).await.unwrap();
    for (range, seen, text) in [
        (0..10, 0..10, "0123456789"),
        (0..1, 0..1, "0"),
        (3..7, 3..7, "3456"),
        (8..100, 8..10, "89"),
        (10..20, 10..10, ""),
        (50..60, 10..10, ""),
    ] {
        let reader = blobs.read(&key("ten"), Some(range.clone())).await.unwrap().unwrap();
        assert_eq!((reader.bytes, reader.range.clone()), (10, seen), "{range:?}");
        assert_eq!(reader.bytes().await.unwrap(), text.as_bytes(), "{range:?}");
    }
}

async fn one_of_many_wins(open: &(dyn Fn(usize) -> Blobs + Sync)) {
    let texts = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let runs = texts.map(|text| {
        let blobs = open(2);
        async move { (text, blobs.put_new(&key("once"), pieces(&[text]), 9).await.unwrap()) }
    });
    let done = futures_util::future::join_all(runs).await;
    let winners: Vec<_> = done.iter().filter(|(_, put)| put.is_some()).collect();
    assert_eq!(winners.len(), 1, "{done:?}");
    assert_eq!(content(&open(2), "once").await.unwrap(), winners[0].0);
}

async fn listed_by_whole_segments(blobs: &Blobs) {
    for name in ["s/a", "s/a.txt", "s/b/c", "sx/y", "z"] {
        blobs.put(&key(name), pieces(&["."]), 9).await.unwrap();
    }
    assert_eq!(names(blobs, "s").await, ["s/a", "s/a.txt", "s/b/c"]);
    assert_eq!(names(blobs, "s/").await, names(blobs, "s").await);
    assert_eq!(names(blobs, "s/b").await, ["s/b/c"]);
    assert_eq!(names(blobs, "").await.len(), 5);
    assert!(names(blobs, "absent").await.is_empty());
    let keep = |stat: &Stat| stat.key.as_str() == "s/a";
    let sweep = Sweep { grace: Duration::ZERO, keep: &keep, max_bytes: 0 };
    // Storage tells times in whole seconds: what was put in this one may seem to be of the next.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(blobs.sweep("s", &sweep).await.unwrap(), 2);
    let young = Sweep { grace: Duration::from_secs(3600), ..sweep };
    assert_eq!(blobs.sweep("", &young).await.unwrap(), 0);
    assert_eq!(names(blobs, "").await, ["s/a", "sx/y", "z"]);
}

async fn nothing_half(blobs: &Blobs) {
    let broken = stream::iter([Ok(bytes::Bytes::from_static(b"half")), Err(Error::broken("cut"))]);
    assert!(blobs.put(&key("half"), broken, 100).await.is_err());
    let refused = blobs.put(&key("large"), pieces(&["12345"]), 4).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    let mut dropped = blobs.begin(9).unwrap();
    dropped.write(b"x").await.unwrap();
    drop(dropped);
    assert!(names(blobs, "").await.is_empty());
}

async fn local_files(open: &(dyn Fn(usize) -> Blobs + Sync)) {
    let (one, other) = (open(5), open(5));
    let mut draft = one.begin(9).unwrap();
    draft.write(b"bytes").await.unwrap();
    let here = draft.keep_here(&key("sources/x")).await.unwrap();
    assert_eq!(fs::read(&here).unwrap(), b"bytes");
    assert_eq!(one.local(&key("sources/x")).await.unwrap().unwrap(), here);
    let there = other.local(&key("sources/x")).await.unwrap().unwrap();
    assert_eq!(fs::read(&there).unwrap(), b"bytes");
    // Asked for again, it is the same file.
    assert_eq!(other.local(&key("sources/x")).await.unwrap().unwrap(), there);
    other.delete(&key("sources/x")).await.unwrap();
    assert!(!there.exists());
    assert!(one.local(&key("sources/x")).await.unwrap().is_none());
}

/// Files too large for one request arrive in parts, whole, and never replace what must stay.
async fn in_parts(blobs: &Blobs) {
    let piece = bytes::Bytes::from((0..1 << 20).map(|i: u32| (i % 251) as u8).collect::<Vec<_>>());
    let large = |n: usize| stream::iter(std::iter::repeat_n(piece.clone(), n).map(Ok));
    let put = blobs.put(&key("large"), large(35), 35 << 20).await.unwrap();
    assert_eq!(put.bytes, 35 << 20);
    let mut reader = blobs.read(&key("large"), Some(17 << 20..19 << 20)).await.unwrap().unwrap();
    let mut seen = Vec::new();
    while let Some(part) = reader.pieces.next().await {
        seen.extend_from_slice(&part.unwrap());
    }
    assert_eq!(seen, [&piece[..], &piece[..]].concat());
    assert!(blobs.put_new(&key("large"), large(20), 35 << 20).await.unwrap().is_none());
    assert_eq!(blobs.stat(&key("large")).await.unwrap().unwrap().bytes, 35 << 20);
}

#[test]
fn storage_that_is_gone_is_unavailable_never_absent() {
    if let Ok(endpoint) = std::env::var(ENDPOINT) {
        let dir = tempfile::tempdir().unwrap();
        let blobs = in_storage(dir.path(), "", &endpoint);
        let asked = runtime().block_on(blobs.stat(&key("a")));
        assert!(matches!(asked, Err(Error::Unavailable(_))), "{asked:?}");
        return;
    }
    // Nothing listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    again(
        "blobs::storage_that_is_gone_is_unavailable_never_absent",
        &format!("http://127.0.0.1:{port}"),
    );
}

/// A source that answers once with bytes, and then only that they did not change.
fn source(asked: Arc<AtomicUsize>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !request.windows(4).any(|w| w == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
                    _ => break,
                }
            }
            let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
            let body = "id;nom;lon;lat\n1;a;3.06;50.63\n2;b;3.1;50.6\n";
            let head = if text.contains("if-none-match: \"v1\"") {
                "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\nConnection: close\r\n\r\n".to_owned()
            } else {
                asked.fetch_add(1, Ordering::SeqCst);
                let length = body.len();
                format!(
                    "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Type: text/csv\r\n\
                     Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                )
            };
            let _ = stream.write_all(head.as_bytes());
        }
    });
    format!("http://{address}/points.csv")
}

/// What one machine fetched, another has from the storage: the source sends it once.
#[test]
fn replicas_share_what_they_fetch_through_object_storage() {
    let Some(mut moto) = Moto::start() else { return };
    let asked = Arc::new(AtomicUsize::new(0));
    let layer = format!("key = \"id\"\n[source]\nurl = \"{}\"", source(asked.clone()));
    let endpoint = moto.endpoint.clone();
    let site = Site::new();
    site.layer("points", &layer);
    let blobs = |local: &str| {
        let text = fs::read_to_string(site.path("socle.toml")).unwrap();
        let text = text.split("[blobs]").next().unwrap();
        let blobs = format!(
            "[blobs]\npath = {local:?}\ns3 = \"s3://socle/x\"\nendpoint = \"{endpoint}\"\n"
        );
        fs::write(site.path("socle.toml"), format!("{text}{blobs}")).unwrap();
    };
    let run = |args: &[&str]| {
        let config = site.config();
        let mut command = crate::support::command(&[args, &["--config", &config]].concat());
        finish(credentials(&mut command))
    };
    blobs("one");
    let first = run(&["harvest"]);
    assert!(first.status.success(), "{}", said(&first));
    assert!(!said(&first).contains("s3cret"));
    blobs("two");
    let second = run(&["harvest"]);
    assert!(second.status.success(), "{}", said(&second));
    assert_eq!(asked.load(Ordering::SeqCst), 1, "{}", said(&second));
    let copy: Vec<PathBuf> = walk(&site.path("two"));
    assert_eq!(copy.len(), 1, "{copy:?}");
    // Without the storage, what is published is served; a harvest says what is wrong.
    moto.stop();
    blobs("three");
    let failed = run(&["harvest"]);
    assert!(!failed.status.success());
    let text = said(&failed);
    assert!(text.contains("stockage d'objets"), "{text}");
    // The log names the place for the operator; what people are told does not.
    let told: Vec<&str> = text.lines().filter(|l| !l.trim_start().starts_with("WARN")).collect();
    assert!(!text.contains("s3cret") && !told.concat().contains(&endpoint), "{text}");
    let mut serve =
        crate::support::command(&["serve", "--listen", "127.0.0.1:0", "--config", &site.config()]);
    credentials(&mut serve);
    let server = Server::of(serve);
    assert_eq!(server.json("/collections/points/items")["features"].as_array().unwrap().len(), 2);
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}
