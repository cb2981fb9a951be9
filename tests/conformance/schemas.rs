//! The schemas of OGC and W3C, as Maven Central has them (`make conformance` and `make test` unpack
//! them), given in the place of the hosts that documents name: nothing of a test leaves the machine.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

/// Hosts, and the folder that their documents are in.
const HOSTS: [(&str, &str); 2] = [("schemas.opengis.net", "ogc"), ("www.w3.org", "w3c")];

/// Where they are; says so where they are not.
pub fn folder() -> Option<PathBuf> {
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../ets/schemas");
    let found = env::var_os("SOCLE_SCHEMAS").map_or(made, PathBuf::from);
    if found.join("ogc/wfs/2.0/wfs.xsd").exists() {
        return Some(found);
    }
    println!("skipped: the schemas of OGC are not at hand (make conformance)");
    None
}

/// Java's options for a proxy that gives them.
pub fn proxy() -> [String; 2] {
    static PORT: LazyLock<u16> = LazyLock::new(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || answer(&stream));
            }
        });
        port
    });
    ["-Dhttp.proxyHost=127.0.0.1".to_owned(), format!("-Dhttp.proxyPort={}", *PORT)]
}

fn answer(mut stream: &TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut head = BufReader::new(stream).lines().map_while(Result::ok);
    let first = head.next().unwrap_or_default();
    head.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
    let url = first.split(' ').nth(1).unwrap_or_default();
    let (head, body) = match document(url) {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", Vec::new()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {head}\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    // Who asked may have left.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

fn document(url: &str) -> Option<Vec<u8>> {
    let (host, path) = url.split_once("://")?.1.split_once('/')?;
    let (_, part) = HOSTS.iter().find(|(known, _)| *known == host)?;
    let plain = !path.split('/').any(|step| step == "..");
    fs::read(folder()?.join(part).join(path)).ok().filter(|_| plain)
}
