//! Sources that behave, and sources that do not.

mod server;

use super::*;
use crate::config::BlobSettings;
use crate::model::{CsvOptions, Licence, Silent, SourceDef, TerritoryBinding, Text, TileOptions};
use server::{Reply, Source, answer};
use std::{
    path::PathBuf,
    sync::Mutex,
    time::{Duration, SystemTime},
};

const DATA: &str = "{\"type\":\"FeatureCollection\",\"features\":[]}";

fn layer(location: SourceLocation) -> LayerDef {
    LayerDef {
        id: "test".parse().unwrap(),
        title: Text::same("Test"),
        description: Text::default(),
        producer: "P".into(),
        contact: None,
        licence: Licence { id: "lov2".into(), title: "LO".into(), url: None },
        attribution: "P".into(),
        described_at: None,
        published_at: None,
        page: None,
        key: None,
        label: None,
        fields: Default::default(),
        source: SourceDef {
            location,
            format: None,
            crs: None,
            encoding: None,
            member: None,
            csv: CsvOptions::default(),
            max_bytes: 1 << 20,
            timeout: Duration::from_secs(60),
        },
        territory: TerritoryBinding::default(),
        time: None,
        tiles: TileOptions { min_zoom: 0, max_zoom: 14, ..TileOptions::default() },
        style: None,
        symbols: crate::model::Symbols::default(),
        max_age: None,
        keep_versions: 3,
        hold: crate::model::HoldRules::default(),
        rows: None,
        schedule: None,
    }
}

/// A folder of its own, with short patience.
struct Bench {
    folder: tempfile::TempDir,
    harvester: Harvester,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = HarvestSettings::default_in(folder.path());
        settings.stall = Duration::from_secs(30);
        settings.allow = vec!["127.0.0.0/8".parse().unwrap()];
        let blobs = Blobs::open(&BlobSettings::default_in(folder.path())).unwrap();
        Self { folder, harvester: Harvester::new(settings, blobs) }
    }

    /// For sources that fall silent: they are the only ones who wait for it.
    fn impatient() -> Self {
        let mut bench = Self::new();
        bench.harvester.settings.stall = Duration::from_secs(1);
        bench
    }

    async fn get(&self, url: &str, previous: Option<&Harvested>) -> Result<Fetch> {
        let def = layer(SourceLocation::Http(url.into()));
        self.harvester.fetch(&def, previous, false, &Silent).await
    }

    /// What a misbehaving source is refused for; nothing of it is left in the cache.
    async fn refusal(&self, replies: impl IntoIterator<Item = Reply>) -> String {
        let source = Source::start(replies).await;
        let refused = self.get(&source.url("/data.geojson?key=HUNTER2"), None).await;
        let text = match refused {
            Err(Error::Source(failure)) => failure.text,
            other => panic!("expected a refusal, got {other:?}"),
        };
        assert!(!format!("{text:?}").contains("HUNTER2"), "{text:?}");
        assert!(self.cached().is_empty(), "nothing is kept: {:?}", self.cached());
        text.en
    }

    /// What is kept, and what is under way.
    fn cached(&self) -> Vec<PathBuf> {
        let blobs = self.folder.path().join("data/blobs");
        let entries = [".parts", SOURCES].map(|name| std::fs::read_dir(blobs.join(name)));
        entries.into_iter().flatten().flatten().map(|e| e.unwrap().path()).collect()
    }
}

fn new(fetched: Result<Fetch>) -> Harvested {
    match fetched.unwrap() {
        Fetch::New(h) => h,
        Fetch::Unchanged(h) => panic!("expected new, got unchanged {h:?}"),
    }
}

fn unchanged(fetched: Result<Fetch>) -> Harvested {
    match fetched.unwrap() {
        Fetch::Unchanged(h) => h,
        Fetch::New(h) => panic!("expected unchanged, got new {h:?}"),
    }
}

/// As the store gives it back: paths are not kept.
fn stored(h: &Harvested) -> Harvested {
    serde_json::from_value(serde_json::to_value(h).unwrap()).unwrap()
}

#[tokio::test]
async fn a_source_is_fetched_once_then_only_checked() {
    let bench = Bench::new();
    let validators = "ETag: \"v1\"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\nContent-Type: application/json\r\n";
    let source = Source::start([
        answer("200 OK", validators, DATA),
        Reply::Close(
            "HTTP/1.1 304 Not Modified\r\nETag: \"v1b\"\r\nConnection: close\r\n\r\n".into(),
        ),
        answer("200 OK", "ETag: \"v2\"\r\n", DATA),
        answer("200 OK", "ETag: \"v3\"\r\n", "{\"type\":\"Feature\"}"),
    ])
    .await;
    let url = source.url("/a/communes.geojson?token=HUNTER2&x=1");

    let first = new(bench.get(&url, None).await);
    assert_eq!(first.name, "communes.geojson");
    assert_eq!(first.origin, source.url("/a/communes.geojson?token=***&x=1"));
    assert_eq!((first.status, first.bytes), (Some(200), DATA.len() as u64));
    assert_eq!(first.etag.as_deref(), Some("\"v1\""));
    assert_eq!(first.modified.unwrap().to_string(), "2015-10-21T07:28:00Z");
    assert_eq!(std::fs::read_to_string(&first.path).unwrap(), DATA);
    assert_eq!(first.path.file_name().unwrap().to_str().unwrap(), first.sha256);

    let same = unchanged(bench.get(&url, Some(&stored(&first))).await);
    assert_eq!((same.status, same.etag.as_deref()), (Some(304), Some("\"v1b\"")));
    assert_eq!((same.path.clone(), same.fetched_at), (first.path.clone(), first.fetched_at));
    assert!(same.checked_at >= first.checked_at);

    // Other validators, same bytes: nothing new.
    let again = unchanged(bench.get(&url, Some(&stored(&same))).await);
    assert_eq!((again.etag.as_deref(), again.fetched_at), (Some("\"v2\""), first.fetched_at));
    let other = new(bench.get(&url, Some(&stored(&again))).await);
    assert_ne!(other.sha256, first.sha256);
    assert_eq!(bench.cached().len(), 2);

    let asked = source.asked();
    assert!(asked[0].starts_with("get /a/communes.geojson?token=hunter2&x=1 http/1.1"));
    assert!(
        asked[0].contains("accept-encoding: identity") && asked[0].contains("user-agent: socle/")
    );
    assert!(!asked[0].contains("if-none-match"));
    assert!(asked[1].contains("if-none-match: \"v1\""));
    assert!(asked[1].contains("if-modified-since: wed, 21 oct 2015 07:28:00 gmt"));
}

#[tokio::test]
async fn conditions_are_sent_only_when_their_answer_is_usable() {
    let bench = Bench::new();
    let ok = || answer("200 OK", "ETag: \"v1\"\r\n", DATA);
    let source = Source::start([ok(), ok(), ok(), ok()]).await;
    let first = new(bench.get(&source.url("/a"), None).await);
    // Forced: no condition, and new whatever the bytes.
    let def = layer(SourceLocation::Http(source.url("/a")));
    new(bench.harvester.fetch(&def, Some(&first), true, &Silent).await);
    // Another address: the validators of the first mean nothing there.
    new(bench.get(&source.url("/b"), Some(&first)).await);
    // The bytes are gone: they are fetched again, and are still the same.
    std::fs::remove_file(&first.path).unwrap();
    let back = unchanged(bench.get(&source.url("/a"), Some(&stored(&first))).await);
    assert!(back.path.is_file());
    assert!(source.asked().iter().all(|head| !head.contains("if-none-match")));
}

#[tokio::test]
async fn names_come_from_the_answer_and_its_coding_is_noted() {
    let bench = Bench::new();
    let source = Source::start([
        answer("200 OK", "Content-Disposition: attachment; filename=\"a b.csv\"\r\n", "x;y"),
        answer("302 Found", "Location: /files/communes%202025.zip\r\n", ""),
        answer("200 OK", "", "PK"),
        answer("200 OK", "Content-Encoding: gzip\r\n", "\u{1f}zz"),
    ])
    .await;
    assert_eq!(new(bench.get(&source.url("/dl"), None).await).name, "a b.csv");
    assert_eq!(new(bench.get(&source.url("/r/1"), None).await).name, "communes 2025.zip");
    assert_eq!(new(bench.get(&source.url("/c.json"), None).await).name, "c.json.gz");
    assert!(!source.asked()[2].contains("referer"), "a key in the address stays with its host");
}

#[tokio::test]
async fn silent_sources_are_given_up() {
    let bench = Bench::impatient();
    let hangs = bench.refusal([Reply::Hang(String::new())]).await;
    assert_eq!(hangs, "127.0.0.1 has not answered for 1 s (stall_s)");
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"type\"";
    let stalls = bench.refusal([Reply::Hang(head.into())]).await;
    assert_eq!(stalls, "the source has sent nothing for 1 s, after 7 bytes (stall_s)");
}

#[tokio::test]
async fn a_slow_source_is_given_up_at_its_time_limit() {
    let bench = Bench::new();
    let source = Source::start([Reply::Hang(String::new())]).await;
    let mut def = layer(SourceLocation::Http(source.url("/")));
    def.source.timeout = Duration::from_millis(150);
    let refused = bench.harvester.fetch(&def, None, false, &Silent).await.unwrap_err();
    assert!(refused.to_string().contains("0.15 s (timeout_s)"), "{refused}");
    assert!(bench.cached().is_empty());
}

#[tokio::test]
async fn cut_and_lying_answers_are_refused() {
    let bench = Bench::new();
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"type\"";
    let text = bench.refusal([Reply::Close(cut.into())]).await;
    assert_eq!(text, "the source's answer is cut: 7 bytes of 100");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"type\"\r\n";
    let text = bench.refusal([Reply::Close(chunked.into())]).await;
    assert_eq!(text, "the source's answer is cut after 7 bytes");
    let nonsense = bench.refusal([Reply::Close("SSH-2.0-OpenSSH\r\n\r\n".into())]).await;
    assert!(nonsense.starts_with("127.0.0.1 cannot be reached"), "{nonsense}");
    let empty = bench.refusal([answer("200 OK", "", "")]).await;
    assert!(empty.contains("without content"), "{empty}");
}

#[tokio::test]
async fn size_is_limited_whatever_is_announced() {
    let bench = Bench::new();
    let limit = "the source is above 1 MiB (max_mb)";
    let announced = "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n{";
    assert_eq!(bench.refusal([Reply::Hang(announced.into())]).await, limit);
    // Without a length, the limit is found on the way.
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat((1 << 20) + 1));
    assert_eq!(bench.refusal([Reply::Hang(endless)]).await, limit);
}

#[tokio::test]
async fn redirects_are_bounded_and_stay_on_the_web() {
    let bench = Bench::new();
    let to = |place: &str| answer("302 Found", &format!("Location: {place}\r\n"), "");
    let endless = bench.refusal((0..9).map(|_| to("/again"))).await;
    assert_eq!(endless, "127.0.0.1 redirects more than 5 times");
    for place in ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/csv,a"] {
        let text = bench.refusal([to(place)]).await;
        assert!(text.contains("redirects to an address that is neither"), "{place}: {text}");
    }
    let nowhere = bench.refusal([answer("302 Found", "", "")]).await;
    assert_eq!(nowhere, "127.0.0.1 answered 302");
    let five =
        (0..5).map(|_| to("http://127.0.0.1:{port}/next")).chain([answer("200 OK", "", DATA)]);
    let source = Source::start(five).await;
    new(bench.get(&source.url("/"), None).await);
}

#[tokio::test]
async fn error_statuses_are_said() {
    let bench = Bench::new();
    for (status, said) in [
        ("404 Not Found", "127.0.0.1 answered 404"),
        ("500 Oops", "127.0.0.1 answered 500"),
        ("206 Partial Content", "127.0.0.1 answered 206"),
        ("429 Too Many Requests", "127.0.0.1 answered 429"),
    ] {
        assert_eq!(bench.refusal([answer(status, "", "x")]).await, said);
    }
    let date = "Retry-After: Wed, 21 Oct 2065 07:28:00 GMT\r\n";
    let later = bench.refusal([answer("503 Busy", date, "")]).await;
    assert_eq!(later, "127.0.0.1 answered 503; try again after 2065-10-21T07:28:00Z");
    let soon = bench.refusal([answer("429 Slow down", "Retry-After: 120\r\n", "")]).await;
    assert!(soon.contains("429; try again after 20"), "{soon}");
    let unasked = bench.refusal([Reply::Close("HTTP/1.1 304 N\r\n\r\n".into())]).await;
    assert!(unasked.contains("304"), "{unasked}");
}

#[tokio::test]
async fn pages_instead_of_data_are_refused() {
    let bench = Bench::new();
    let html = "Content-Type: text/html; charset=utf-8\r\n";
    let page = "the source answered an HTML page (200)";
    assert_eq!(bench.refusal([answer("200 OK", html, "anything")]).await, page);
    let disguised = "\n<!DOCTYPE html><title>Maintenance</title>";
    let json = "Content-Type: application/json\r\n";
    assert_eq!(bench.refusal([answer("200 OK", json, disguised)]).await, page);
}

#[tokio::test]
async fn what_cannot_be_reached_is_said_without_its_address() {
    let bench = Bench::new();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://user:HUNTER2@127.0.0.1:{port}/x?key=HUNTER2");
    let refused = bench.get(&url, None).await.unwrap_err();
    assert!(refused.to_string().starts_with("127.0.0.1 est injoignable ("), "{refused}");
    assert!(!format!("{refused:?}").contains("HUNTER2"));
    let missing = bench.get("http://127.0.0.1/?key=${SOCLE_NO_SUCH_VARIABLE}", None).await;
    assert!(missing.unwrap_err().to_string().contains("SOCLE_NO_SUCH_VARIABLE"));
}

#[tokio::test]
async fn variables_reach_the_source_and_nothing_else() {
    let bench = Bench::new();
    let source = Source::start([answer("200 OK", "", DATA)]).await;
    let got = new(bench.get(&source.url("/${CARGO_PKG_NAME}.json"), None).await);
    assert!(source.asked()[0].starts_with("get /socle.json "));
    assert_eq!(got.origin, source.url("/${CARGO_PKG_NAME}.json"));
}

#[tokio::test]
async fn a_local_file_is_checked_by_its_bytes() {
    let bench = Bench::new();
    let path = bench.folder.path().join("communes.geojson");
    std::fs::write(&path, DATA).unwrap();
    let def = layer(SourceLocation::File(path.clone()));
    let check = async |previous: Option<&Harvested>| {
        bench.harvester.fetch(&def, previous, false, &Silent).await
    };
    let first = new(check(None).await);
    assert_eq!((first.origin.as_str(), first.status), ("communes.geojson", None));
    assert_eq!(first.bytes, DATA.len() as u64);
    check_unmoved(&first).unwrap();
    // Touched, not changed.
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert!(check_unmoved(&first).is_err());
    let same = unchanged(check(Some(&stored(&first))).await);
    assert_eq!((same.path.as_path(), same.fetched_at), (path.as_path(), first.fetched_at));
    assert_eq!(same.modified.unwrap(), jiff::Timestamp::UNIX_EPOCH);
    std::fs::write(&path, "{}").unwrap();
    assert_ne!(new(check(Some(&same)).await).sha256, first.sha256);
    assert!(check_unmoved(&same).is_err());
}

#[tokio::test]
async fn what_is_no_file_is_refused() {
    let bench = Bench::new();
    let refused = async |name: &str| {
        let mut def = layer(SourceLocation::File(bench.folder.path().join(name)));
        def.source.max_bytes = 1 << 20;
        let error = bench.harvester.fetch(&def, None, false, &Silent).await.unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{error:?}");
        error.to_string()
    };
    assert!(refused("absent.csv").await.contains("introuvable"));
    assert!(refused("").await.contains("dossier"));
    std::fs::write(bench.folder.path().join("empty.csv"), "").unwrap();
    assert!(refused("empty.csv").await.contains("vide"));
    std::fs::write(bench.folder.path().join("big.csv"), vec![b'x'; (1 << 20) + 1]).unwrap();
    assert!(refused("big.csv").await.contains("dépasse 1 Mio"));
    #[cfg(unix)]
    {
        let _socket =
            std::os::unix::net::UnixListener::bind(bench.folder.path().join("s")).unwrap();
        assert!(refused("s").await.contains("ordinaire"));
    }
}

#[tokio::test]
async fn no_source_leads_inside() {
    let bench = Bench::new();
    let to = |place: &str| answer("302 Found", &format!("Location: {place}\r\n"), "");
    for place in
        ["http://169.254.169.254/latest/meta-data/", "http://[::1]:{port}/", "//10.0.0.1/x"]
    {
        let text = bench.refusal([to(place)]).await;
        assert!(text.contains("is a private or reserved address"), "{place}: {text}");
    }
    // Without being allowed, not even the first address is asked; a name is what it leads to.
    let mut strict = Bench::new();
    strict.harvester.settings.allow.clear();
    let source = Source::start([answer("200 OK", "", DATA)]).await;
    for url in [source.url("/"), format!("http://localhost:{}/", source.port)] {
        let Err(Error::Source(failure)) = strict.get(&url, None).await else { panic!("{url}") };
        assert_eq!(failure.fault, Fault::Forbidden);
    }
    assert!(source.asked().is_empty());
    // Allowed by name is not allowed by number.
    strict.harvester = Harvester::new(
        HarvestSettings {
            allow: vec!["localhost".parse().unwrap()],
            ..strict.harvester.settings.clone()
        },
        strict.harvester.blobs.clone(),
    );
    let named = format!("http://localhost:{}/", source.port);
    new(strict.get(&named, None).await);
    let source = Source::start([to("http://127.0.0.1:{port}/")]).await;
    let named = format!("http://localhost:{}/", source.port);
    let refused = strict.get(&named, None).await.unwrap_err();
    assert!(refused.to_string().starts_with("127.0.0.1 est une adresse privée"), "{refused}");
}

#[tokio::test]
async fn https_is_refused_when_the_source_is_not_who_it_says() {
    let bench = Bench::new();
    // Speaks first, and no TLS.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let plain = std::thread::spawn(move || {
        std::io::Write::write_all(&mut listener.accept().unwrap().0, b"HTTP/1.1 400 Plain\r\n\r\n")
    });
    let refused = bench.get(&url, None).await.unwrap_err();
    plain.join().unwrap().unwrap();
    assert!(refused.to_string().starts_with("127.0.0.1 est injoignable ("), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetches_side_by_side_share_the_cache() {
    let bench = Bench::new();
    let source = Source::start((0..6).map(|_| answer("200 OK", "", DATA))).await;
    let tasks: Vec<_> = (0..6)
        .map(|i| {
            let def = layer(SourceLocation::Http(source.url(&format!("/{i}.json"))));
            let harvester = bench.harvester.clone();
            // Spawning also shows that the future may move between threads.
            tokio::spawn(async move { harvester.fetch(&def, None, false, &Silent).await })
        })
        .collect();
    for task in tasks {
        let got = new(task.await.unwrap());
        assert_eq!(std::fs::read_to_string(&got.path).unwrap(), DATA);
    }
    assert_eq!(bench.cached().len(), 1, "the same bytes are held once");
}

#[tokio::test]
async fn a_fetch_given_up_leaves_nothing() {
    let bench = Bench::new();
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"type\"";
    let source = Source::start([Reply::Hang(half.into())]).await;
    let url = source.url("/");
    {
        let fetching = bench.get(&url, None);
        // Until its first bytes are there, then dropped, as a shutdown does.
        let written = async {
            while bench.cached().iter().all(|p| p.metadata().map_or(0, |m| m.len()) == 0) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            done = fetching => panic!("the source hangs, yet {done:?}"),
            () = written => {}
        }
    }
    assert!(bench.cached().is_empty());
}

/// Remembers what it was told.
#[derive(Default)]
struct Listening(Mutex<Vec<String>>);

impl Progress for Listening {
    fn stage(&self, name: Text, total: Option<u64>) {
        self.0.lock().unwrap().push(format!("{} {total:?}", name.en));
    }
    fn advance(&self, done: u64) {
        self.0.lock().unwrap().push(done.to_string());
    }
    fn finish(&self) {
        self.0.lock().unwrap().push("finish".into());
    }
}

#[tokio::test]
async fn progress_is_told_in_bytes() {
    let bench = Bench::new();
    let source = Source::start([answer("200 OK", "", "abcd")]).await;
    let def = layer(SourceLocation::Http(source.url("/")));
    let heard = Listening::default();
    bench.harvester.fetch(&def, None, false, &heard).await.unwrap();
    let heard = heard.0.into_inner().unwrap();
    assert_eq!(heard.first().unwrap(), "Download Some(4)");
    assert_eq!(heard[heard.len() - 2..], ["4", "finish"]);
}

#[tokio::test]
async fn only_what_nobody_needs_is_pruned() {
    let bench = Bench::new();
    assert_eq!(bench.harvester.prune(&[]).await.unwrap(), 0, "nothing there is nothing to do");
    let source = Source::start([answer("200 OK", "", "abcd"), answer("200 OK", "", "efgh")]).await;
    let kept = new(bench.get(&source.url("/a"), None).await);
    let old = new(bench.get(&source.url("/b"), None).await);
    assert_eq!(bench.harvester.prune(&[]).await.unwrap(), 0, "young files stay");
    let earlier = bench.harvester.settings.cache.join(&old.sha256);
    std::fs::create_dir_all(&bench.harvester.settings.cache).unwrap();
    std::fs::write(&earlier, "as earlier programs kept it").unwrap();
    for path in [&kept.path, &old.path, &earlier] {
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - 2 * GRACE).unwrap();
    }
    assert_eq!(bench.harvester.prune(std::slice::from_ref(&kept.sha256)).await.unwrap(), 1);
    assert_eq!(bench.cached(), [kept.path]);
    assert!(!earlier.exists());
}

#[test]
fn places_are_shown_without_folders_or_secrets() {
    let file = SourceLocation::File("/srv/secret/x.csv".into());
    assert_eq!(shown(&file), "x.csv");
    let http = SourceLocation::Http("https://u:p@x.fr/a?key=1".into());
    assert_eq!(shown(&http), "https://x.fr/a?key=***");
}
