//! What the whole-program tests share: the demo harvested once, servers on free ports that stop
//! with their test, a plain HTTP client that sends exactly what it is told.

#![allow(dead_code, reason = "each group of tests uses its part")]

mod finish;
pub mod postgres;
pub mod ranges;
pub mod smtp;
pub mod upstream;

pub use finish::{Running, finish, finish_within, said};

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The project's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Real data beside the project, when it is there; says so and gives `None` otherwise.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = root().join("../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: shared data {name} is absent");
    None
}

/// Whether a program is installed; says so when it is not.
pub fn has(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let found = found.is_ok_and(|o| o.status.success());
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

/// A Python with a module: the one `make test` sets up, else the system's; says so without one.
pub fn python(module: &str) -> Option<String> {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../tools");
    let made = |python: &str| tools.join(python).display().to_string();
    let set = std::env::var("SOCLE_PYTHON").ok();
    let made = [made("bin/python"), made("pycsw/bin/python"), "python3".to_owned()];
    let candidates = set.into_iter().chain(made);
    for python in candidates {
        let found = Command::new(&python).args(["-c", &format!("import {module}")]).output();
        if found.is_ok_and(|o| o.status.success()) {
            return Some(python);
        }
    }
    println!("skipped: {module} for Python is not installed");
    None
}

/// A program of the Python environment that `make test` sets up, else of the system's; says so
/// without one.
pub fn installed(program: &str) -> Option<String> {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../tools");
    // Some have an environment of their own.
    let places = [tools.join("bin"), tools.join(program).join("bin")];
    if let Some(made) = places.iter().map(|p| p.join(program)).find(|p| p.exists()) {
        return Some(made.display().to_string());
    }
    has(program).then(|| program.to_owned())
}

/// The folder of a package for Node.js that `make test` installs; says so without it.
pub fn node_package(name: &str) -> Option<PathBuf> {
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../tools/node_modules");
    let set = std::env::var_os("SOCLE_NODE_MODULES").map(PathBuf::from);
    let found = set.into_iter().chain([made]).map(|place| place.join(name)).find(|p| p.exists());
    if found.is_none() {
        println!("skipped: {name} for Node.js is not installed");
    }
    found.filter(|_| has("node"))
}

/// Runs `socle` with French messages.
pub fn socle(args: &[&str]) -> Output {
    finish(&mut command(args))
}

/// How many times longer than a moment may take at a desk it may take where tests run: machines
/// are slow and busy there. Limits tell what waits for ever from what does not; figures are the
/// benchmarks' matter.
pub const SLACK: u32 = 5;

/// Limits of a store over a database that has much else to do, keys of `[store]`: a test that is
/// not of these limits must not meet them.
const PATIENT: [(&str, u32); 3] =
    [("pool_wait_s", 20), ("silence_s", 20), ("statement_timeout_s", 60)];

/// The program's own limits, for tests whose database goes away.
pub const QUICK: &str = "pool_wait_s = 0.9\nsilence_s = 1\nstatement_timeout_s = 10";

/// Keys of a store with those of [`PATIENT`] that it does not set.
fn patient(store: &str) -> String {
    let missing = PATIENT.iter().filter(|(key, _)| !store.contains(key));
    missing.fold(store.to_owned(), |all, (key, seconds)| format!("{all}\n{key} = {seconds}"))
}

/// `socle`, ready to run.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_socle"));
    command.args(args).env("LC_ALL", "fr_FR.UTF-8").stdin(Stdio::null());
    command
}

/// Makes an authority `<name>-ca.pem` and a certificate `<name>.pem` of it for a host, by openssl.
pub fn authority(dir: &Path, name: &str, host: &str) {
    let at = |suffix: &str| dir.join(format!("{name}{suffix}")).to_str().unwrap().to_owned();
    let subject = format!("/CN={name}");
    let new = ["req", "-newkey", "rsa:2048", "-nodes", "-subj"];
    let (ca, ca_key) = (at("-ca.pem"), at("-ca.key"));
    let own = [subject.as_str(), "-x509", "-days", "2", "-keyout", &ca_key, "-out", &ca];
    tool("openssl", &[&new[..], &own].concat());
    let common = format!("/CN={host}");
    let (request, key, certificate) = (at(".csr"), at(".key"), at(".pem"));
    tool("openssl", &[&new[..], &[&common, "-keyout", &key, "-out", &request]].concat());
    let names = at(".ext");
    fs::write(&names, format!("subjectAltName = DNS:{host}\n")).unwrap();
    let signed = ["-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial", "-days", "2", "-out"];
    let sign = ["x509", "-req", "-in", &request, "-extfile", &names];
    tool("openssl", &[&sign[..], &signed, &[certificate.as_str()]].concat());
}

/// Which store the sites of a test use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreKind {
    /// Files in the site's folder.
    #[default]
    Embedded,
    /// A database of the shared private server.
    Postgis,
}

thread_local! {
    static KIND: std::cell::Cell<StoreKind> = const { std::cell::Cell::new(StoreKind::Embedded) };
}

/// The store of the sites that this test makes.
pub fn store_kind() -> StoreKind {
    KIND.get()
}

/// Runs a whole-program test once more, over PostGIS; skipped by name where that is absent.
pub fn over_postgis(test: fn()) {
    if postgres::shared().is_some() {
        KIND.set(StoreKind::Postgis);
        test();
    }
}

/// Most tests are of the layers they declare: levels are derived for those that ask.
const NO_LEVELS: &str = "territories.derived = []\n";

/// A configuration in a folder of its own: settings, layers, store.
pub struct Site {
    pub dir: TempDir,
}

impl Site {
    /// An empty configuration; add layers with [`Site::layer`].
    pub fn new() -> Self {
        Self::with("")
    }

    /// A configuration with more keys of `[server]`, as TOML text.
    pub fn with(server: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("layers")).expect("layers/");
        let store = match store_kind() {
            StoreKind::Embedded => "path = \"store\"".to_owned(),
            StoreKind::Postgis => {
                let server = postgres::shared().expect("PostgreSQL");
                let url = server.url(&server.database());
                fs::write(dir.path().join("database"), url).expect("an address");
                // Programs that a test kills give their claims back soon.
                format!("kind = \"postgis\"\nurl_file = \"database\"\n{}", patient("lease_s = 1"))
            }
        };
        let site = Self { dir };
        site.configure(server, &store);
        site
    }

    /// An empty configuration over a store of the given kind.
    pub fn of(kind: StoreKind) -> Self {
        let before = KIND.replace(kind);
        let site = Self::new();
        KIND.set(before);
        site
    }

    /// A configuration over the database at an address, with more keys of `[store]`.
    pub fn over(url: &str, store: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("layers")).expect("layers/");
        fs::write(dir.path().join("database"), url).expect("an address");
        let site = Self { dir };
        let store = patient(store);
        site.configure("", &format!("kind = \"postgis\"\nurl_file = \"database\"\n{store}"));
        site
    }

    fn configure(&self, server: &str, store: &str) {
        let styles = root().join("styles");
        let text = format!(
            "styles = {styles:?}\n{NO_LEVELS}[server]\nadmin_listen = \"off\"\n{server}\n[store]\n{store}\n[harvest]\ncache = \"cache\"\nallow = [\"127.0.0.0/8\"]\n"
        );
        fs::write(self.path("socle.toml"), text).expect("socle.toml");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn config(&self) -> String {
        self.path("socle.toml").to_str().expect("UTF-8").to_owned()
    }

    /// Adds or replaces a layer file. `rest` is TOML after the common keys.
    pub fn layer(&self, id: &str, rest: &str) {
        let text = format!(
            "id = \"{id}\"\ntitle = \"{id}\"\nproducer = \"Essai\"\nlicence = \"lov2\"\n{rest}\n"
        );
        fs::write(self.path("layers").join(format!("{id}.toml")), text).expect("a layer file");
    }

    /// The configuration with derived levels, in a file beside the other.
    pub fn with_levels(&self) -> String {
        let text = fs::read_to_string(self.path("socle.toml")).expect("socle.toml");
        let file = self.path("levels.toml");
        fs::write(&file, text.replace(NO_LEVELS, "")).expect("levels.toml");
        file.to_str().expect("UTF-8").to_owned()
    }

    /// Runs a command on this configuration.
    pub fn run(&self, args: &[&str]) -> Output {
        let config = self.config();
        socle(&[args, &["--config", &config]].concat())
    }

    /// Harvests, and expects it to work.
    pub fn harvest(&self) -> String {
        let output = self.run(&["harvest"]);
        let text = said(&output);
        assert!(output.status.success(), "{text}");
        text
    }

    pub fn serve(&self) -> Server {
        Server::start(&self.config())
    }

    /// `socle serve` over this configuration, with more arguments, ready to run.
    pub fn serve_command(&self, more: &[&str]) -> Command {
        let config = self.config();
        let mut command = command(&["serve", "--config", &config, "--listen", "127.0.0.1:0"]);
        command.args(more);
        command
    }
}

/// The demo's layers, harvested once for all tests into a folder they only read. It lies in the
/// target folder and is made anew by each run.
pub fn demo() -> &'static Path {
    static FILES: OnceLock<PathBuf> = OnceLock::new();
    static DATABASE: OnceLock<PathBuf> = OnceLock::new();
    let (demo, name) = match store_kind() {
        StoreKind::Embedded => (&FILES, "demo"),
        StoreKind::Postgis => (&DATABASE, "demo-postgis"),
    };
    demo.get_or_init(|| {
        let site = Site::new();
        if store_kind() == StoreKind::Postgis {
            postgres::keep();
        }
        demo_layers(&site);
        site.harvest();
        let output = socle(&["harvest", "communes", "--config", &site.with_levels()]);
        assert!(output.status.success(), "{}", said(&output));
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(place.parent().expect("a parent")).expect("target/tmp");
        let made = tool(
            "cp",
            &["-a", site.dir.path().to_str().expect("UTF-8"), place.to_str().expect("UTF-8")],
        );
        assert!(made.is_empty());
        place
    })
}

/// Gives a site the three layers of the demo.
pub fn demo_layers(site: &Site) {
    let demo = root().join("config/demo");
    for name in ["communes", "cantons", "mairies"] {
        let text = fs::read_to_string(demo.join(format!("layers/{name}.toml"))).expect("layer");
        let data = demo.join("data");
        let text = text.replace("../data", data.to_str().expect("UTF-8"));
        fs::write(site.path("layers").join(format!("{name}.toml")), text).expect("layer");
    }
}

/// A server over the demo.
pub fn demo_server() -> Server {
    Server::start(demo().join("socle.toml").to_str().expect("UTF-8"))
}

/// The same with the levels derived from its communes.
pub fn demo_levels_server() -> Server {
    Server::start(demo().join("levels.toml").to_str().expect("UTF-8"))
}

/// A running `socle serve`.
pub struct Server {
    child: Child,
    /// `http://127.0.0.1:port/`.
    pub base: String,
    /// `127.0.0.1:port`.
    pub address: String,
}

impl Server {
    pub fn start(config: &str) -> Self {
        Self::of(command(&["serve", "--config", config, "--listen", "127.0.0.1:0"]))
    }

    /// Of a `socle serve` that is ready to run.
    pub fn of(mut serve: Command) -> Self {
        let mut child =
            serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("socle serve starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let line = lines.next().expect("an address").expect("UTF-8");
        let base = line.split_whitespace().last().expect("an address").to_owned();
        let address = base.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { child, base, address }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the server to end (`SIGTERM`), and waits until it has; whether it ended well.
    pub fn stop(&mut self) -> bool {
        let _ = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(20) {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// GET a path, JSON preferred.
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[("Accept", "application/json")])
    }

    /// GET as a browser does.
    pub fn page(&self, path: &str) -> Answer {
        self.send("GET", path, &[("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")])
    }

    /// One request, with exactly these headers besides `Host` and `Connection`.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        send(&self.address, method, path, headers)
    }

    /// POST a body of a media type, JSON preferred unless `headers` say otherwise.
    pub fn post(&self, path: &str, media: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let headers = [&[("Content-Type", media)], headers].concat();
        send_with(&self.address, "POST", path, &headers, body)
    }

    /// GET a path and read its JSON; the status must be 200.
    pub fn json(&self, path: &str) -> serde_json::Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Waits until `done` holds, [`SLACK`] times the given limit at most.
    pub fn until(&self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let start = Instant::now();
        while start.elapsed() < limit * SLACK {
            if done(self) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, v)| v.as_str())
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

/// Sends one request over a connection of its own.
pub fn send(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    send_with(address, method, path, headers, &[])
}

/// Sends one request with a body over a connection of its own.
pub fn send_with(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("host")) {
        request.push_str(&format!("Host: {address}\r\n"));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() && !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("content-length")) {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).expect("the request goes out");
    // Who refuses a body may close before it is all there.
    let _ = stream.write_all(body);
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    assert!(read.is_ok() || !bytes.is_empty(), "an answer: {read:?}");
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a header");
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok());
    let headers: Vec<(String, String)> = lines
        .filter_map(|l| l.split_once(": ").or_else(|| l.split_once(':')))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    let mut body = bytes[end + 4..].to_vec();
    let chunked = headers
        .iter()
        .any(|(n, v)| n.eq_ignore_ascii_case("transfer-encoding") && v.contains("chunked"));
    if chunked {
        body = dechunk(&body);
    }
    Answer { status: status.expect("a status"), headers, body }
}

fn dechunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = bytes.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).ok();
        let size = size.and_then(|s| usize::from_str_radix(s.trim(), 16).ok()).expect("a size");
        if size == 0 {
            break;
        }
        out.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 2 + size + 2..];
    }
    out
}

/// Unpacks gzip.
pub fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).expect("gzip");
    out
}

/// Runs a program of another maker; its output as text. Fails the test when it fails.
pub fn tool(program: &str, args: &[&str]) -> String {
    let output = finish(Command::new(program).args(args).env("LC_ALL", "C.UTF-8"));
    assert!(output.status.success(), "{program} {args:?}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
