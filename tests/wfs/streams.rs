//! Large answers: sent as they are read, in little memory, and no longer than someone listens.

use super::{V2, attribute, get, ids};
use crate::support::{Server, demo_server};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

over_both!(large_answers_take_little_memory_and_end_with_their_reader);

/// All communes, eight times over.
fn large() -> String {
    let layers = "(communes)".repeat(8);
    format!("/wfs?{V2}GetFeature&typeNames={layers}&count=100000")
}

/// The most memory the server ever held, kB.
fn most_memory(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What the server worked so far, in ticks of the processor.
fn work(server: &Server) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let after = stat.rsplit(')').next().unwrap();
    let numbers: Vec<&str> = after.split_whitespace().collect();
    numbers[11].parse::<u64>().unwrap() + numbers[12].parse::<u64>().unwrap()
}

fn large_answers_take_little_memory_and_end_with_their_reader() {
    let server = demo_server();
    let one = get(&server, &format!("/wfs?{V2}GetFeature&typeNames=communes&count=100000"));
    assert_eq!(one.header("transfer-encoding"), Some("chunked"), "sent as it is read");
    let one = one.text();
    assert_eq!(attribute(&one, "numberMatched").as_deref(), Some("3782"));
    assert_eq!(attribute(&one, "numberReturned"), Some(ids(&one).len().to_string()));
    let small = get(&server, &format!("/wfs?{V2}GetFeature&typeNames=communes&count=3"));
    assert_eq!(small.header("content-length"), Some(small.body.len().to_string().as_str()));
    let (before, began) = (most_memory(&server), work(&server));
    let all = get(&server, &large());
    let took = work(&server) - began;
    let text = all.text();
    assert_eq!(text.matches(" numberReturned=\"3782\"").count(), 8);
    assert_eq!(attribute(&text, "numberReturned").as_deref(), Some("30256"));
    assert!(text.trim_end().ends_with("</wfs:FeatureCollection>"));
    let (size, more) = (text.len() as u64 / 1024, most_memory(&server) - before);
    assert!(size > 30_000 && more < size / 2, "{size} kB took {more} kB more");
    // Who leaves behind the first bytes is not worked for.
    let began = work(&server);
    let mut stream = TcpStream::connect(&server.address).unwrap();
    write!(stream, "GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", large(), server.address).unwrap();
    stream.read_exact(&mut [0; 4096]).unwrap();
    drop(stream);
    let mut last = work(&server);
    let quiet = server.until(Duration::from_secs(60), |server| {
        std::thread::sleep(Duration::from_millis(500));
        let now = work(server);
        now - std::mem::replace(&mut last, now) < 5
    });
    let left = work(&server) - began;
    assert!(quiet && left < took / 2, "{left} of {took} ticks for nobody");
}
