//! Behind nginx, under a sub-path and another host name: no link leaves `public_url`.

use crate::support::{Server, Site, demo_layers, has, send};
use std::{
    collections::{BTreeSet, VecDeque},
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// nginx in the foreground, stopped with the test.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn nginx(site: &Site, port: u16, server: &Server, headers: &str) -> Nginx {
    let dir = site.path("nginx");
    fs::create_dir_all(dir.join("logs")).unwrap();
    let at = dir.to_str().unwrap();
    let upstream = &server.address;
    let text = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/logs/error.log;
         events {{ worker_connections 64; }}
         http {{ access_log off; client_body_temp_path {at}/a; proxy_temp_path {at}/b;
           fastcgi_temp_path {at}/c; uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;
           server {{ listen 127.0.0.1:{port}; server_name sig.example.fr;
             location /socle/ {{ proxy_pass http://{upstream}/; proxy_set_header Host $host; {headers} }} }} }}"
    );
    let conf = dir.join("nginx.conf");
    fs::write(&conf, text).unwrap();
    let child = Command::new("nginx")
        .args(["-p", at, "-c", conf.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let nginx = Nginx(child);
    for _ in 0..100 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return nginx;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!(
        "nginx does not listen: {}",
        fs::read_to_string(dir.join("logs/error.log")).unwrap_or_default()
    );
}

/// Addresses in a document: every `href`, `src`, `url` and tile template of JSON or HTML.
fn links(kind: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    // Sequences of features hold no links.
    if kind.contains("json") && !kind.contains("json-seq") && !kind.contains("ndjson") {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        walk(&value, &mut found);
    } else if kind.contains("html") {
        for attribute in [" href=\"", " src=\"", " action=\"", " data-style=\"", " data-copy=\""] {
            for part in text.split(attribute).skip(1) {
                let link = part.split('"').next().unwrap().replace("&amp;", "&");
                if attribute != " data-copy=\"" || link.starts_with("http") {
                    found.push(link);
                }
            }
        }
    }
    found
}

fn walk(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                match value {
                    serde_json::Value::String(s) if key == "href" || key == "url" => {
                        found.push(s.clone())
                    }
                    serde_json::Value::Array(list) if key == "tiles" => {
                        found.extend(list.iter().filter_map(|v| v.as_str()).map(str::to_owned));
                    }
                    other => walk(other, found),
                }
            }
        }
        serde_json::Value::Array(list) => list.iter().for_each(|v| walk(v, found)),
        _ => {}
    }
}

/// What may lead elsewhere: texts of licences, producers and specifications.
const ELSEWHERE: [&str; 6] = [
    "https://www.",
    "http://www.opengis.net/",
    "https://spec.openapis.org",
    "https://geojson.org",
    "https://opendatacommons.org",
    "https://json-schema.org",
];

/// A crawl: what was visited, and the links that leave the service.
struct Crawl {
    root: &'static str,
    proxy: String,
    queue: VecDeque<(String, &'static str)>,
    seen: BTreeSet<(String, &'static str)>,
    outside: BTreeSet<String>,
}

impl Crawl {
    /// Visits one address and queues what it leads to.
    fn visit(&mut self, url: &str, accept: &'static str, inner: &str) {
        let path = url.strip_prefix("http").unwrap().trim_start_matches('s');
        let path = path.strip_prefix("://sig.example.fr").unwrap();
        let headers = [("Host", "sig.example.fr"), ("Accept", accept)];
        let answer = send(&self.proxy, "GET", path, &headers);
        let status = answer.status;
        assert!(matches!(status, 200 | 204), "{url} ({accept}): {status} {}", answer.text());
        assert!(!answer.text().contains(inner), "{url} names the inner address");
        let kind = answer.header("content-type").unwrap_or_default().to_owned();
        for link in links(&kind, &answer.text()) {
            let link = filled(link.split('#').next().unwrap());
            if link.is_empty() || link.starts_with("mailto:") || link.starts_with("data:") {
                continue;
            }
            if let Some(below) = link.strip_prefix(self.root) {
                let paged = link.contains("cursor=") || link.contains("offset=");
                // Files hold no links of ours; `exports` looks into them.
                let export = link.contains("export?f=") && !link.ends_with("f=html");
                let file = export || link.ends_with("/kit.zip");
                let leaf = paged || file;
                // A form's address, which is complete only with what its user chooses.
                let accept = if link.ends_with("/table") { "text/html" } else { accept };
                if below.matches('/').count() < 8 && !leaf && self.queue.len() < 3_000 {
                    self.queue.push_back((link, accept));
                }
            } else if link != self.root.trim_end_matches('/')
                && !url.contains("/items")
                && !ELSEWHERE.iter().any(|ok| link.starts_with(ok))
            {
                // Cells of a layer may hold addresses of their own; documents may not.
                self.outside.insert(format!("{link} (in {url})"));
            }
        }
    }
}

/// A link with its template filled in.
fn filled(link: &str) -> String {
    [
        ("{z}", "10"),
        ("{x}", "520"),
        ("{y}", "344"),
        ("{tileMatrix}", "10"),
        ("{tileRow}", "344"),
        ("{tileCol}", "520"),
        ("{tileMatrixSetId}", "WebMercatorQuad"),
    ]
    .iter()
    .fold(link.to_owned(), |link, (from, to)| link.replace(from, to))
}

#[test]
pub fn a_crawl_from_the_landing_page_stays_under_public_url() {
    if !has("nginx") {
        return;
    }
    let site = Site::with("public_url = \"http://sig.example.fr/socle/\"");
    demo_layers(&site);
    site.harvest();
    let server = site.serve();
    let port = free_port();
    let _nginx = nginx(&site, port, &server, "");
    crawl("http://sig.example.fr/socle/", port, &server);
}

/// Follows links from the landing pages on; each stays below `root` and works.
fn crawl(root: &'static str, port: u16, server: &Server) {
    let mut crawl = Crawl {
        root,
        proxy: format!("127.0.0.1:{port}"),
        queue: VecDeque::new(),
        seen: BTreeSet::new(),
        outside: BTreeSet::new(),
    };
    for accept in ["application/json", "text/html"] {
        crawl.queue.push_back((root.to_owned(), accept));
        crawl.queue.push_back((format!("{root}t/dep-59/"), accept));
    }
    while let Some((url, accept)) = crawl.queue.pop_front() {
        if crawl.seen.len() < 400 && crawl.seen.insert((url.clone(), accept)) {
            crawl.visit(&url, accept, &server.address);
        }
    }
    let visited = crawl.seen.len();
    assert!(visited > 60, "only {visited} pages");
    assert!(crawl.outside.is_empty(), "{:#?}", crawl.outside);
}

#[test]
pub fn a_crawl_through_a_trusted_proxy_stays_under_the_address_it_tells() {
    if !has("nginx") {
        return;
    }
    let site = Site::with("trusted_proxies = [\"127.0.0.1\"]");
    demo_layers(&site);
    site.harvest();
    let server = site.serve();
    let port = free_port();
    // TLS would end at the proxy: here it only says that it did.
    let headers = "proxy_set_header X-Forwarded-Proto https;
             proxy_set_header X-Forwarded-Host $host;
             proxy_set_header X-Forwarded-Prefix /socle;
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";
    let _nginx = nginx(&site, port, &server, headers);
    crawl("https://sig.example.fr/socle/", port, &server);
    // What a client sends of its own does not pass the proxy.
    let spoofed = [("Host", "sig.example.fr"), ("X-Forwarded-Host", "evil.example")];
    let page = send(&format!("127.0.0.1:{port}"), "GET", "/socle/?f=json", &spoofed);
    assert_eq!(page.status, 200);
    assert!(!page.text().contains("evil.example"));
    let vary: String = page
        .headers
        .iter()
        .filter(|(n, _)| n.eq_ignore_ascii_case("vary"))
        .map(|(_, v)| v.as_str())
        .collect();
    assert!(vary.contains("X-Forwarded-Host"), "{vary}");
}

/// Two addresses of one deployment: documents, tags and `304` of one are never the other's.
#[test]
pub fn addresses_told_by_a_trusted_proxy_are_never_mixed() {
    let site = Site::with("trusted_proxies = [\"127.0.0.1\"]");
    demo_layers(&site);
    site.harvest();
    let server = site.serve();
    let ask = |host: &'static str, tag: &str| {
        let headers =
            [("X-Forwarded-Host", host), ("If-None-Match", tag), ("Accept", "application/json")];
        server.send("GET", "/collections/communes", &headers)
    };
    let (one, two) = (ask("one.example", ""), ask("two.example", ""));
    assert!(one.text().contains("http://one.example/") && !one.text().contains("two.example"));
    assert!(two.text().contains("http://two.example/") && !two.text().contains("one.example"));
    let tag = one.header("etag").unwrap();
    assert_ne!(tag, two.header("etag").unwrap());
    assert_eq!((ask("one.example", tag).status, ask("two.example", tag).status), (304, 200));
}

#[test]
pub fn forwarding_headers_of_strangers_are_nothing() {
    let site = Site::with("trusted_proxies = [\"192.0.2.0/24\"]");
    demo_layers(&site);
    site.harvest();
    let server = site.serve();
    let headers = [
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Prefix", "/evil"),
        ("Accept", "application/json"),
    ];
    let page = server.send("GET", "/collections", &headers);
    assert_eq!(page.status, 200);
    assert!(!page.text().contains("evil") && page.text().contains(&server.base));
}
