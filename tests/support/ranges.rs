//! A plain HTTP server that gives files of a folder whole or by ranges, as nginx and object storage
//! do; it can be told to misbehave.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::UNIX_EPOCH,
};

/// How the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Ranges with an entity tag.
    Well,
    /// The whole file, whatever part is asked for.
    Whole,
    /// Another part than the one asked for.
    Shifted,
    /// `500`.
    Broken,
    /// A redirect to the same file elsewhere on this server.
    Elsewhere,
}

/// The server, gone with the test.
pub struct Ranges {
    /// `http://127.0.0.1:port/`.
    pub base: String,
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    manner: Mutex<Manner>,
    requests: AtomicUsize,
    over: AtomicBool,
}

impl Ranges {
    /// Serves a folder.
    pub fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared {
            folder: folder.to_path_buf(),
            manner: Mutex::new(Manner::Well),
            requests: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        });
        let of_server = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if of_server.over.load(Ordering::Relaxed) {
                    break;
                }
                let (Ok(stream), shared) = (stream, of_server.clone()) else { continue };
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Self { base: format!("http://{address}/"), address, shared }
    }

    pub fn behave(&self, manner: Manner) {
        *self.shared.manner.lock().expect("a manner") = manner;
    }

    /// Requests so far.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Ranges {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut out = stream.try_clone().ok()?;
        let mut lines = BufReader::new(stream).lines();
        loop {
            let request = lines.next()?.ok()?;
            let path = request.split(' ').nth(1)?.split('?').next()?.to_owned();
            let only_head = request.starts_with("HEAD ");
            let mut range = None;
            loop {
                let line = lines.next()?.ok()?;
                if line.is_empty() {
                    break;
                }
                let (name, value) = line.split_once(':')?;
                if name.eq_ignore_ascii_case("range") {
                    let (first, last) = value.trim().strip_prefix("bytes=")?.split_once('-')?;
                    range = Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?));
                }
            }
            self.requests.fetch_add(1, Ordering::Relaxed);
            self.answer(&path, range, only_head, &mut out).ok()?;
        }
    }

    fn answer(
        &self,
        path: &str,
        range: Option<(u64, u64)>,
        only_head: bool,
        out: &mut TcpStream,
    ) -> std::io::Result<()> {
        let manner = *self.manner.lock().expect("a manner");
        let head = |status: &str, more: &str, length: u64| {
            // Open to pages of any origin, as buckets that maps read from are.
            let open = "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: ETag, Content-Range\r\n";
            format!("HTTP/1.1 {status}\r\n{open}{more}Content-Length: {length}\r\n\r\n")
        };
        let name = path.trim_start_matches('/').trim_start_matches("elsewhere/");
        let Ok(mut file) = fs::File::open(self.folder.join(name)) else {
            return out.write_all(head("404 Not Found", "", 0).as_bytes());
        };
        let metadata = file.metadata()?;
        let size = metadata.len();
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let tag = format!("ETag: \"{size:x}-{:x}\"\r\n", modified.as_nanos());
        match (manner, range) {
            (Manner::Broken, _) => {
                out.write_all(head("500 Internal Server Error", "", 0).as_bytes())
            }
            (Manner::Elsewhere, _) if !path.starts_with("/elsewhere/") => {
                let to = format!("Location: /elsewhere/{name}\r\n");
                out.write_all(head("302 Found", &to, 0).as_bytes())
            }
            (Manner::Whole, _) | (_, None) => {
                let more = format!("{tag}Accept-Ranges: bytes\r\n");
                out.write_all(head("200 OK", &more, size).as_bytes())?;
                if only_head {
                    return Ok(());
                }
                std::io::copy(&mut file, out).map(drop)
            }
            (_, Some((first, _))) if first >= size => {
                let range = format!("Content-Range: bytes */{size}\r\n");
                out.write_all(head("416 Range Not Satisfiable", &range, 0).as_bytes())
            }
            (manner, Some((first, last))) => {
                let last = last.min(size - 1);
                let length = last - first + 1;
                let shift = u64::from(manner == Manner::Shifted);
                let (from, to) = (first + shift, last + shift);
                let more = format!("{tag}Content-Range: bytes {from}-{to}/{size}\r\n");
                out.write_all(head("206 Partial Content", &more, length).as_bytes())?;
                file.seek(SeekFrom::Start(first))?;
                std::io::copy(&mut file.take(length), out).map(drop)
            }
        }
    }
}
