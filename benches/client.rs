//! A server in a process of its own, and a client that keeps its connection: no more HTTP than
//! the measurements need.

use std::{
    io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A server under measurement; killed when done.
pub struct Server {
    child: Child,
    pub address: String,
}

impl Server {
    /// Starts one that prints its address.
    pub fn start(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout"))
            .read_line(&mut line)
            .expect("an address");
        let url = line.split_whitespace().last().expect("an address");
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { child, address }
    }

    /// Starts one that was given a port; `None` when it does not answer within half a minute.
    pub fn start_at(mut command: Command, port: u16) -> Option<Self> {
        use std::os::unix::process::CommandExt;
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("starts");
        let server = Self { child, address: format!("127.0.0.1:{port}") };
        let started = Instant::now();
        while TcpStream::connect(&server.address).is_err() {
            if started.elapsed() > Duration::from_secs(30) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(server)
    }

    /// Seconds of CPU used so far.
    pub fn cpu(&self) -> f64 {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("stat");
        let fields: Vec<&str> =
            stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        let ticks: f64 = [11, 12].iter().filter_map(|i| fields[*i].parse::<f64>().ok()).sum();
        ticks / 100.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has workers takes them along when it is asked to end.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        for _ in 0..30 {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A free port of this machine.
pub fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    free.local_addr().expect("an address").port()
}

/// One keep-alive connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer.
pub struct Answer {
    /// Status line and headers.
    pub head: String,
    /// Bytes of the body, as sent.
    pub body: usize,
}

impl Answer {
    /// The status.
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0)
    }
}

impl Client {
    pub fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("connects");
        stream.set_nodelay(true).expect("nodelay");
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a limit");
        Self { stream, buffer: vec![0; 64 * 1024] }
    }

    /// Sends a request and reads the whole answer.
    pub fn ask(&mut self, request: &[u8]) -> Answer {
        self.try_ask(request).expect("an answer")
    }

    /// The same, of a server that may break.
    pub fn try_ask(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request)?;
        let mut have = 0;
        loop {
            have += self.read(have)?;
            let Some(end) = self.buffer[..have].windows(4).position(|w| w == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
            let lower = head.to_ascii_lowercase();
            let header = |name: &str| lower.lines().find_map(|l| l.strip_prefix(name));
            let empty = [" 304", " 204"].iter().any(|s| head[..14].contains(s));
            let body = if header("transfer-encoding: chunked").is_some() && !empty {
                self.chunks(end + 4, have)?
            } else {
                let length = header("content-length: ").and_then(|l| l.trim().parse().ok());
                let body = if empty { 0 } else { length.unwrap_or(0) };
                while have < end + 4 + body {
                    have += self.read(have)?;
                }
                body
            };
            return Ok(Answer { head, body });
        }
    }

    /// Reads what there is behind the `have` first bytes.
    fn read(&mut self, have: usize) -> Result<usize> {
        if have == self.buffer.len() {
            self.buffer.resize(have * 2, 0);
        }
        match self.stream.read(&mut self.buffer[have..])? {
            0 => Err(Error::new(ErrorKind::UnexpectedEof, "the server hung up")),
            read => Ok(read),
        }
    }

    /// Reads a chunked body that begins at `start`.
    fn chunks(&mut self, start: usize, mut have: usize) -> Result<usize> {
        let (mut at, mut body) = (start, 0);
        loop {
            let line = self.buffer[at..have].windows(2).position(|w| w == b"\r\n");
            let Some(line) = line else {
                have += self.read(have)?;
                continue;
            };
            let size = std::str::from_utf8(&self.buffer[at..at + line]).expect("a size");
            let size = usize::from_str_radix(size.trim(), 16).expect("a size");
            let next = at + line + 2 + size + 2;
            while have < next {
                have += self.read(have)?;
            }
            if size == 0 {
                return Ok(body);
            }
            (at, body) = (next, body + size);
        }
    }
}

/// A `GET` as every server here gets it.
pub fn request(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n{more}\r\n")
}
