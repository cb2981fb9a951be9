//! Process start → first tile, and idle memory, with 100 layers.

use crate::{
    client::{Client, Server},
    report::Report,
};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Harvests so many layers of the demo's communes into a folder; its settings.
fn layers(dir: &Path, count: usize, source: &Path) -> PathBuf {
    fs::create_dir(dir.join("layers")).expect("layers/");
    let config = dir.join("socle.toml");
    fs::write(&config, "territories.derived = []\n[server]\nadmin_listen = \"off\"\n[store]\npath = \"store\"\n[harvest]\ncache = \"cache\"\n").expect("socle.toml");
    for i in 0..count {
        let layer = format!(
            "id = \"c{i}\"\ntitle = \"Communes {i}\"\nproducer = \"IGN\"\nlicence = \"lov2\"\nkey = \"code\"\n\
             [source]\npath = {source:?}\n[territory]\nlevel = \"com\"\ncolumn = \"code\"\nby_location = false\n[tiles]\nmax_zoom = 12\n"
        );
        fs::write(dir.join(format!("layers/c{i}.toml")), layer).expect("a layer");
    }
    let done = Command::new(env!("CARGO_BIN_EXE_socle"))
        .args(["harvest", "--config"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(done.is_ok_and(|s| s.success()), "harvest of {count} layers");
    config
}

/// The API definition with 500 layers of one feature.
fn definition(report: &mut Report) {
    let dir = tempfile::tempdir().expect("a folder");
    let source = dir.path().join("one.geojson");
    let one = r#"{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"code":"59350","nom":"Lille","dep":"59","epci":"200093201","population":236710,"superficie":35.12,"vote":"2026-03-15","actif":true,"note":null,"rang":1},"geometry":{"type":"Point","coordinates":[3.06,50.63]}}]}"#;
    fs::write(&source, one).expect("a source");
    let config = layers(dir.path(), 500, &source);
    let mut command = Command::new(env!("CARGO_BIN_EXE_socle"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(config);
    let server = Server::start(command);
    let ask = |headers: &str| {
        let mut client = Client::new(&server.address);
        let start = Instant::now();
        let request = format!("GET /api HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n");
        let answer = client.ask(request.as_bytes());
        assert_eq!(answer.status(), 200, "{}", answer.head);
        (start.elapsed().as_secs_f64() * 1e3, answer.body)
    };
    let median = |headers: &str| {
        let mut times: Vec<f64> = (0..21).map(|_| ask(headers).0).collect();
        times.sort_by(f64::total_cmp);
        times[10]
    };
    let (first, bytes) = ask("");
    report.figure("definition-500-layers-written", first, None, "ms");
    report.figure("definition-500-layers", median(""), Some("<= 20"), "ms");
    let gzip = "Accept-Encoding: gzip\r\n";
    report.figure("definition-500-layers-gzipped", median(gzip), Some("<= 20"), "ms");
    report.figure("definition-500-layers-bytes", bytes as f64 / 1e3, None, "kB");
    report.figure("definition-500-layers-gzipped-bytes", ask(gzip).1 as f64 / 1e3, None, "kB");
}

/// Measures.
pub fn run(report: &mut Report) {
    definition(report);
    let dir = tempfile::tempdir().expect("a folder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo/data/communes.geojson");
    let config = layers(dir.path(), 100, &source);
    let socle = env!("CARGO_BIN_EXE_socle");
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
