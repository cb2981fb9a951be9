//! A source on the web, as a test wants it to be: it answers each request as a function says, and
//! remembers what it was asked.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The path, without its query.
    pub path: String,
    /// The query, decoded, names in lower case.
    pub query: BTreeMap<String, String>,
    /// The head as it came.
    pub head: String,
    /// The body, of what is sent with its length.
    pub body: Vec<u8>,
}

impl Asked {
    /// A parameter; empty without it.
    pub fn get(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// A header; empty without it.
    pub fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value.trim())
    }

    /// A parameter as a number.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.query.get(name)?.parse().ok()
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Status 200, a media type and a body.
    Ok(&'static str, Vec<u8>),
    /// A status, more headers (each with its line end) and a body.
    Status(u16, String, Vec<u8>),
    /// These bytes, then the connection is closed.
    Raw(Vec<u8>),
    /// These bytes, then silence.
    Hang(Vec<u8>),
    /// Status 200, one kilobyte a second.
    Slow(Vec<u8>),
}

impl Reply {
    /// A JSON document.
    pub fn json(value: &serde_json::Value) -> Self {
        Self::Ok("application/json", value.to_string().into_bytes())
    }
}

/// A running source.
pub struct Upstream {
    /// `http://127.0.0.1:port`.
    pub base: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Upstream {
    /// Starts one, which answers until the test process ends.
    pub fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (log, answer) = (asked.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (log.clone(), answer.clone());
                std::thread::spawn(move || serve(stream, &log, &*answer));
            }
        });
        Self { base, asked }
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("a log").clone()
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> Reply) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let Some(target) = head.split(' ').nth(1) else { return };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = pairs.map(|(n, v)| (decode(n).to_lowercase(), decode(v))).collect();
    let mut asked = Asked { path: decode(path), query, head: head.clone(), body: Vec::new() };
    if let Ok(length) = asked.header("content-length").parse() {
        asked.body = vec![0; length];
        if stream.read_exact(&mut asked.body).is_err() {
            return;
        }
    }
    let reply = answer(&asked);
    log.lock().expect("a log").push(asked);
    let whole = |status: u16, headers: &str, body: &[u8]| {
        let n = body.len();
        let head = format!(
            "HTTP/1.1 {status} X\r\n{headers}Content-Length: {n}\r\nConnection: close\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    };
    // Who asked may have gone: that is its right.
    let _ = match reply {
        Reply::Ok(kind, body) => {
            stream.write_all(&whole(200, &format!("Content-Type: {kind}\r\n"), &body))
        }
        Reply::Status(status, headers, body) => stream.write_all(&whole(status, &headers, &body)),
        Reply::Raw(bytes) => stream.write_all(&bytes),
        Reply::Hang(bytes) => {
            let _ = stream.write_all(&bytes);
            std::thread::sleep(Duration::from_secs(120));
            Ok(())
        }
        Reply::Slow(body) => {
            let bytes = whole(200, "", &body);
            bytes.chunks(1024).try_for_each(|chunk| {
                std::thread::sleep(Duration::from_secs(1));
                stream.write_all(chunk)
            })
        }
    };
}

fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|h| std::str::from_utf8(h).ok());
        let byte = hex.filter(|_| first == b'%').and_then(|h| u8::from_str_radix(h, 16).ok());
        out.push(byte.unwrap_or(if first == b'+' { b' ' } else { first }));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&out).into_owned()
}
