//! Process start → first tile, and idle memory, with 100 layers.

use crate::report::Report;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Measures.
pub fn run(report: &mut Report) {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir(dir.path().join("layers")).expect("layers/");
    let config = dir.path().join("socle.toml");
    fs::write(&config, "[server]\nadmin_listen = \"off\"\n[store]\npath = \"store\"\n[harvest]\ncache = \"cache\"\n").expect("socle.toml");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo/data/communes.geojson");
    for i in 0..100 {
        let layer = format!(
            "id = \"c{i}\"\ntitle = \"Communes {i}\"\nproducer = \"IGN\"\nlicence = \"lov2\"\nkey = \"code\"\n\
             [source]\npath = {source:?}\n[territory]\nlevel = \"com\"\ncolumn = \"code\"\nby_location = false\n[tiles]\nmax_zoom = 12\n"
        );
        fs::write(dir.path().join(format!("layers/c{i}.toml")), layer).expect("a layer");
    }
    let socle = env!("CARGO_BIN_EXE_socle");
    let done = Command::new(socle)
        .args(["harvest", "--config"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(done.is_ok_and(|s| s.success()), "harvest of 100 layers");
    let mut fastest = f64::MAX;
    let mut memory = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        let mut child = Command::new(socle)
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("socle serve");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout"))
            .read_line(&mut line)
            .expect("an address");
        let address = line
            .split_whitespace()
            .last()
            .expect("an address")
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let mut stream = TcpStream::connect(&address).expect("connects");
        let request = "GET /collections/c42/tiles/10/520/344.mvt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("asks");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..60]));
        fastest = fastest.min(start.elapsed().as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_millis(1500));
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("status");
        let rss = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("VmRSS");
        let kib: f64 = rss.trim().trim_end_matches(" kB").parse().expect("kB");
        memory = memory.min(kib / 1024.0);
        let _ = child.kill();
        let _ = child.wait();
    }
    report.figure("start-to-first-tile-100-layers", fastest, Some("<= 250"), "ms");
    report.figure("start-idle-memory-100-layers", memory, Some("<= 64"), "MiB");
}
