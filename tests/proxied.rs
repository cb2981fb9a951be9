//! Behind an administration's proxy, which wants credentials and opens TLS with an authority of its
//! own: one of our own making, which answers for the sites it is asked for, and mitmproxy. Skipped by
//! name where openssl, which makes the authority, or mitmproxy is not installed.

use crate::support::{
    Running, Site, authority, command, finish, has, installed, said,
    upstream::{Reply, Upstream},
};
use rustls::{
    ServerConfig, ServerConnection, Stream,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output},
    sync::{Arc, Mutex},
};

const DATA: &str = "id;lon;lat\n1;3;50\n2;3.1;50.1\n";

/// The host whose certificate the proxy has.
const HOST: &str = "portail.invalid";

/// `agent:sesame`, as a proxy is told of it.
const LOGIN: &str = "proxy-authorization: basic ywdlbnq6c2vzyw1l";

struct Proxy {
    port: u16,
    /// The addresses it answered for.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts one with the authority `proxy` of a folder; it answers until the process ends.
    fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let chain = CertificateDer::pem_file_iter(folder.join("proxy.pem")).unwrap();
        let chain = chain.collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join("proxy.key")).unwrap();
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(ring).with_safe_default_protocol_versions();
        let tls = tls.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let (tls, asked) = (Arc::new(tls), Arc::new(Mutex::new(Vec::new())));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, log) = (tls.clone(), log.clone());
                std::thread::spawn(move || intercept(stream, tls, &log));
            }
        });
        Self { port, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// A harvest that goes by the proxy.
    fn harvest(&self, site: &Site, login: &str, more: &[(&str, &str)]) -> Output {
        let (config, port) = (site.config(), self.port);
        let mut harvest = command(&["harvest", "points", "--force", "--config", &config]);
        for name in ["https_proxy", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"]
        {
            harvest.env_remove(name);
        }
        for name in ["HTTPS_PROXY", "HTTP_PROXY"] {
            harvest.env(name, format!("http://{login}@127.0.0.1:{port}"));
        }
        finish(harvest.envs(more.iter().copied()))
    }
}

/// Serves one connection; who asks may hang up at any time.
fn intercept(mut stream: TcpStream, tls: Arc<ServerConfig>, log: &Mutex<Vec<String>>) {
    let head = head(&mut stream);
    if !head.to_lowercase().contains(LOGIN) {
        let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"proxy\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = stream.write_all(refusal.as_bytes());
        return;
    }
    let Some(target) = head.split(' ').nth(1) else { return };
    if !head.starts_with("CONNECT ") {
        return answer(&mut stream, target.to_owned(), log);
    }
    let _ = stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n");
    let Ok(mut session) = ServerConnection::new(tls) else { return };
    let mut inner = Stream::new(&mut session, &mut stream);
    let request = self::head(&mut inner);
    if let Some(path) = request.split(' ').nth(1) {
        let host = target.trim_end_matches(":443");
        answer(&mut inner, format!("https://{host}{path}"), log);
    }
}

fn head(stream: &mut impl Read) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

fn answer(stream: &mut impl Write, url: String, log: &Mutex<Vec<String>>) {
    let inside = url.ends_with("/inside");
    log.lock().unwrap().push(url);
    let answer = if inside {
        "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
    } else {
        let n = DATA.len();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: {n}\r\nConnection: close\r\n\r\n{DATA}"
        )
    };
    let _ = stream.write_all(answer.as_bytes());
    let _ = stream.flush();
}

fn configure(site: &Site, harvest: &str, url: &str) {
    let text = std::fs::read_to_string(site.config()).unwrap();
    let head = text.split("[harvest]").next().unwrap();
    let text = format!("{head}[harvest]\ncache = \"cache\"\nstall_s = 10\n{harvest}\n");
    std::fs::write(site.config(), text).unwrap();
    site.layer("points", &format!("key = \"id\"\n[source]\nurl = \"{url}\""));
}

#[test]
fn sources_are_reached_through_a_proxy_and_nothing_inside_is() {
    if !has("openssl") {
        return;
    }
    let site = Site::new();
    let folder = tempfile::tempdir().unwrap();
    authority(folder.path(), "proxy", HOST);
    let proxy = Proxy::start(folder.path());
    let ca = format!("ca_file = {:?}", folder.path().join("proxy-ca.pem"));
    let allow = format!("allow = [\"{HOST}\"]");
    let points = format!("https://{HOST}/points.csv");
    let fails = |login: &str, more: &[(&str, &str)], words: &str| {
        let output = proxy.harvest(&site, login, more);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(words), "« {words} » not in: {text}");
        assert!(!text.contains("sesame") && !text.contains("agent:"), "{text}");
    };
    // A name that only the proxy could resolve is not asked for unseen.
    configure(&site, &ca, &points);
    fails("agent:sesame", &[], "ne se résout pas ici");
    // Nor is what is inside, whoever would fetch it.
    configure(&site, &ca, "http://10.0.0.1/points.csv");
    fails("agent:sesame", &[], "privée ou réservée");
    // An authority that nobody told of is none.
    configure(&site, &allow, &points);
    fails("agent:sesame", &[], "injoignable");
    configure(&site, &format!("{allow}\n{ca}"), &points);
    fails("agent:wrong", &[], "mandataire");
    fails("agent:sesame", &[("NO_PROXY", HOST)], "injoignable");
    assert!(proxy.asked().is_empty(), "{:?}", proxy.asked());

    let output = proxy.harvest(&site, "agent:sesame", &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(proxy.asked(), [points]);
    let resolves = format!("proxy_resolves = true\n{ca}");
    configure(&site, &resolves, "http://autre.invalid/points.csv");
    fails("agent:wrong", &[], "mandataire");
    let output = proxy.harvest(&site, "agent:sesame", &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(proxy.asked().len(), 2);
    // A redirect leads inside through the proxy no more than without.
    configure(&site, &resolves, &format!("https://{HOST}/inside"));
    fails("agent:sesame", &[], "privée ou réservée");
    assert!(proxy.asked()[2..].iter().all(|url| url.ends_with("/inside")));
}

/// Where mitmproxy leaves the authority it makes itself.
const MITM_CA: &str = "mitmproxy-ca-cert.pem";

/// mitmproxy, which fetches from a source here what it is asked for of [`HOST`], and of nobody else.
fn mitmproxy(folder: &Path, source: &str) -> Option<(Running, Proxy)> {
    let program = installed("mitmdump")?;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let authority = format!("confdir={}", folder.display());
    let mapped = format!("|https://{HOST}/|{source}/");
    let mut serve = Command::new(program);
    serve.args(["--listen-host", "127.0.0.1", "--listen-port", &port.to_string()]);
    serve.args(["--proxyauth", "agent:sesame", "--map-remote", &mapped]);
    // Nobody is looked up before it is known that the source stands in.
    serve.args(["--set", &authority, "--set", "connection_strategy=lazy"]);
    let running = Running::on(port, &mut serve);
    Some((running, Proxy { port, asked: Arc::default() }))
}

#[test]
fn sources_are_reached_through_mitmproxy_and_nothing_inside_is() {
    let source = Upstream::start(|asked| match asked.path.as_str() {
        "/inside" => {
            let to = "Location: http://169.254.169.254/latest/\r\n".to_owned();
            Reply::Status(302, to, Vec::new())
        }
        _ => Reply::Ok("text/csv", DATA.into()),
    });
    let folder = tempfile::tempdir().unwrap();
    let Some((_running, proxy)) = mitmproxy(folder.path(), &source.base) else { return };
    let site = Site::new();
    let fails = |login: &str, words: &str| {
        let output = proxy.harvest(&site, login, &[]);
        let text = said(&output);
        assert!(output.status.code() == Some(1) && text.contains(words), "« {words} »: {text}");
        assert!(!text.contains("sesame") && !text.contains("agent:"), "{text}");
    };
    let allow = format!("allow = [\"{HOST}\"]");
    let points = format!("https://{HOST}/points.csv");
    configure(&site, &allow, &points);
    // Its authority is not the system's; who it lets through is known by name.
    fails("agent:sesame", "injoignable");
    let trusting = format!("{allow}\nca_file = {:?}", folder.path().join(MITM_CA));
    configure(&site, &trusting, &points);
    fails("agent:wrong", "mandataire");
    assert!(source.asked().is_empty(), "{:?}", source.asked());
    let output = proxy.harvest(&site, "agent:sesame", &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(site.serve().json("/collections/points/items")["numberMatched"], 2);
    configure(&site, &trusting, &format!("https://{HOST}/inside"));
    fails("agent:sesame", "privée ou réservée");
    let paths: Vec<String> = source.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths, ["/points.csv", "/inside"]);
}
