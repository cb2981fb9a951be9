//! Access lines: one JSON object per request on stderr, written by a thread of its own behind a
//! bounded channel. A request never waits for it: when the channel is full the line is dropped
//! and the next one written says how many were.

use axum::http::{Method, Uri};
use serde::Serialize;
use std::{
    borrow::Cow,
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
    /// Request id.
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
    let mut text = Vec::with_capacity(64 * 1024);
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
            let _ = out.write_all(&text);
            text.clear();
        }
        if ended {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// A line as JSON writes it, in this order.
#[derive(Serialize)]
struct Written<'a> {
    time: jiff::Timestamp,
    kind: &'static str,
    request_id: &'a str,
    method: &'a str,
    target: Cow<'a, str>,
    status: u16,
    ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines_dropped: Option<u64>,
}

fn render(line: &Line, dropped: u64, out: &mut Vec<u8>) {
    let written = Written {
        time: jiff::Timestamp::try_from(line.at).unwrap_or_default(),
        kind: "access",
        request_id: &line.id,
        method: line.method.as_str(),
        target: redact(&line.uri),
        status: line.status,
        ms: line.micros as f64 / 1000.0,
        bytes: line.bytes,
        peer: line.peer,
        route: line.route,
        lines_dropped: (dropped > 0).then_some(dropped),
    };
    // Plain values written into memory: it cannot fail.
    if serde_json::to_writer(&mut *out, &written).is_ok() {
        out.push(b'\n');
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
            peer: None,
            route: Some("/"),
        };
        let mut out = Vec::new();
        render(&line, dropped, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn credentials_never_reach_the_log() {
        for target in ["/x?key=s3cret&limit=1", "/x?limit=1&Token=s3cret", "/x?k%65y=s3cret"] {
            let text = line(target, 0).to_string();
            assert!(!text.contains("s3cret"), "{text}");
        }
        let plain = line("/x?limit=1", 0);
        assert_eq!(plain["target"], "/x?limit=1");
        assert_eq!(plain["time"], "1970-01-01T00:00:00Z");
        assert_eq!(plain["ms"], 1.5);
    }

    #[test]
    fn dropped_lines_are_counted() {
        assert_eq!(line("/", 7)["lines_dropped"], 7);
        assert!(line("/", 0).get("lines_dropped").is_none());
    }
}
