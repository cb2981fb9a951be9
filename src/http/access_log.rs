//! Access lines: one JSON object per request on stderr, written by a thread of its own behind a
//! bounded channel. A request never waits for it: when the channel is full the line is dropped
//! and the next one written says how many were.

use axum::http::{Method, Uri};
use std::{
    borrow::Cow,
    fmt::Write as _,
    io::Write,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    time::{Duration, SystemTime},
};

/// Lines that may wait for the writer.
const WAITING: usize = 16_384;
/// Between two looks at the channel.
const PAUSE: Duration = Duration::from_millis(20);

/// One request.
pub struct Line {
    /// When it was answered.
    pub at: SystemTime,
    /// Request id, one of our own.
    pub id: String,
    /// Method.
    pub method: Method,
    /// Address as received; credentials are redacted when it is written.
    pub uri: Uri,
    /// Status answered.
    pub status: u16,
    /// Bytes of the body, when known.
    pub bytes: Option<u64>,
    /// Time taken, microseconds.
    pub micros: u64,
    /// The client (or the proxy before us).
    pub peer: Option<IpAddr>,
    /// The route, when the address has one.
    pub route: Option<&'static str>,
}

/// The door to the writer.
pub struct AccessLog {
    lines: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
}

impl AccessLog {
    /// Starts the writer over stderr.
    pub fn to_stderr() -> Self {
        Self::over(std::io::stderr())
    }

    fn over(out: impl Write + Send + 'static) -> Self {
        let (lines, waiting) = sync_channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = dropped.clone();
        let started = std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write_all(&waiting, out, &counted));
        if let Err(error) = started {
            tracing::error!(%error, "no access lines: their thread cannot start");
        }
        Self { lines, dropped }
    }

    /// Hands a line over; never blocks.
    pub fn write(&self, line: Line) {
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes what has gathered, then sleeps: a writer that slept on the channel would be woken by
/// a system call in the middle of nearly every request.
fn write_all(lines: &Receiver<Line>, mut out: impl Write, dropped: &AtomicU64) {
    let mut text = String::with_capacity(64 * 1024);
    loop {
        let ended = loop {
            match lines.try_recv() {
                Ok(line) => render(&line, dropped.swap(0, Ordering::Relaxed), &mut text),
                Err(TryRecvError::Empty) => break false,
                Err(TryRecvError::Disconnected) => break true,
            }
        };
        if !text.is_empty() {
            // A closed stderr is no reason to stop serving.
            let _ = out.write_all(text.as_bytes());
            text.clear();
        }
        if ended {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Appends a line as JSON. Piece by piece, for every request pays for it: a serializer goes through
/// each name and value for what must be escaped, and of all these only the address may hold any.
fn render(line: &Line, dropped: u64, out: &mut String) {
    let time = jiff::Timestamp::try_from(line.at).unwrap_or_default();
    let Line { id, method, status, micros, .. } = line;
    // Into memory: none of this can fail.
    let _ = write!(
        out,
        r#"{{"time":"{time}","kind":"access","request_id":"{id}","method":"{method}","target":"#
    );
    quote(&redact(&line.uri), out);
    let (ms, thousandths) = (micros / 1000, micros % 1000);
    let _ = write!(out, r#","status":{status},"ms":{ms}.{thousandths:03}"#);
    if let Some(bytes) = line.bytes {
        let _ = write!(out, r#","bytes":{bytes}"#);
    }
    if let Some(peer) = line.peer {
        let _ = write!(out, r#","peer":"{peer}""#);
    }
    if let Some(route) = line.route {
        let _ = write!(out, r#","route":"{route}""#);
    }
    if dropped > 0 {
        let _ = write!(out, r#","lines_dropped":{dropped}"#);
    }
    out.push_str("}\n");
}

/// Appends a JSON string; few addresses hold anything that has to be escaped.
fn quote(text: &str, out: &mut String) {
    let plain = |b: u8| b >= b' ' && b != b'"' && b != b'\\';
    if text.bytes().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

/// The address without the values of credentials, however their names are written.
fn redact(uri: &Uri) -> Cow<'_, str> {
    let Some(query) = uri.query() else { return Cow::Borrowed(uri.path()) };
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            let plain = super::params::decode(name).unwrap_or_default().to_ascii_lowercase();
            if super::params::SECRETS.contains(&plain.as_str()) {
                format!("{name}=***")
            } else {
                pair.to_owned()
            }
        })
        .collect();
    Cow::Owned(format!("{}?{}", uri.path(), pairs.join("&")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(target: &str, dropped: u64) -> serde_json::Value {
        let line = Line {
            at: SystemTime::UNIX_EPOCH,
            id: "ab".into(),
            method: Method::GET,
            uri: target.parse().unwrap(),
            status: 200,
            bytes: Some(3),
            micros: 1500,
            peer: Some(std::net::Ipv6Addr::LOCALHOST.into()),
            route: Some("/{id}"),
        };
        let mut out = String::new();
        render(&line, dropped, &mut out);
        serde_json::from_str(&out).unwrap()
    }

    #[test]
    fn credentials_never_reach_the_log() {
        for target in ["/x?key=s3cret&limit=1", "/x?limit=1&Token=s3cret", "/x?k%65y=s3cret"] {
            let text = line(target, 0).to_string();
            assert!(!text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn a_line_is_json_whatever_is_asked_for() {
        let plain = line("/x?limit=1", 0);
        let wanted = serde_json::json!({
            "time": "1970-01-01T00:00:00Z", "kind": "access", "request_id": "ab", "method": "GET",
            "target": "/x?limit=1", "status": 200, "ms": 1.5, "bytes": 3, "peer": "::1", "route": "/{id}",
        });
        assert_eq!(plain, wanted);
        // What an address may hold of what JSON may not.
        for target in ["/\"a\"", "/é"] {
            assert_eq!(line(target, 0)["target"], target);
        }
        for text in ["\\", "\u{1}\n", "a\"\u{7f}é\u{2028}"] {
            let mut out = String::new();
            quote(text, &mut out);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn dropped_lines_are_counted() {
        assert_eq!(line("/", 7)["lines_dropped"], 7);
        assert!(line("/", 0).get("lines_dropped").is_none());
    }
}
