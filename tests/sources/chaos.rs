//! Sources that do everything wrong: each run ends in time with a named outcome, and what is
//! published stays what it was.

use super::{layer, with_ids};
use crate::support::{
    Site, said,
    upstream::{Asked, Reply, Upstream},
};
use serde_json::{Value, json};
use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// What the source does now.
type Now = Arc<Mutex<Reply>>;

fn upstream(first: Reply) -> (Upstream, Now) {
    let now: Now = Arc::new(Mutex::new(first));
    let told = now.clone();
    (Upstream::start(move |_: &Asked| told.lock().unwrap().clone()), now)
}

fn collection(features: &[Value]) -> Vec<u8> {
    json!({ "type": "FeatureCollection", "features": features }).to_string().into_bytes()
}

fn status(status: u16, headers: &str) -> Reply {
    Reply::Status(status, headers.into(), b"x".to_vec())
}

fn moved(to: &str) -> Reply {
    status(302, &format!("Location: {to}\r\n"))
}

/// A gzip stream that breaks off in the middle of rubbish.
fn garbage() -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    bytes.extend((0_u32..4096).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8));
    bytes
}

/// What goes wrong, the words that say so, and the name of it in the journal.
fn wrongs(some: &[Value]) -> Vec<(Reply, &'static str, &'static str)> {
    let good = collection(some);
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", good.len() + 500);
    let short = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        good.len() - 500
    );
    let with = |head: &str| [head.as_bytes(), good.as_slice()].concat();
    let fewer = collection(&some[..some.len() / 5]);
    let renamed: Vec<Value> = some
        .iter()
        .map(|f| json!({ "type": "Feature", "geometry": f["geometry"], "properties": { "code": f["properties"]["code"], "libelle": f["properties"]["nom"] } }))
        .collect();
    vec![
        (Reply::Hang(vec![]), "ne répond pas depuis", "stalled"),
        (Reply::Hang(long.clone().into_bytes()), "n'envoie plus rien", "stalled"),
        (Reply::Slow(good.clone()), "n'a pas été récupérée en", "timeout"),
        (Reply::Raw(with(&long)), "coupée", "cut"),
        (Reply::Raw(with(&short)), "", "refused"),
        (Reply::Raw(b"\x16\x03\x01garbage".to_vec()), "injoignable", "unreachable"),
        (status(429, "Retry-After: 3600\r\n"), "a répondu 429", "busy"),
        (status(500, ""), "a répondu 500", "failing"),
        (status(403, ""), "a répondu 403", "status"),
        (Reply::Ok("text/html", b"<!DOCTYPE html><p>Maintenance".to_vec()), "page HTML", "page"),
        (Reply::Ok("application/json", b"<html>Maintenance".to_vec()), "page HTML", "page"),
        (Reply::Ok("application/json", vec![]), "sans contenu", "empty"),
        (Reply::Status(200, "Content-Encoding: gzip\r\n".into(), garbage()), "", "refused"),
        (Reply::Status(200, "Content-Encoding: br\r\n".into(), garbage()), "compressé", "status"),
        (Reply::Ok("application/json", fewer), "retenue", "held"),
        (Reply::Ok("application/json", collection(&renamed)), "retenue", "held"),
        (moved("http://169.254.169.254/latest/meta-data/"), "privée ou réservée", "forbidden"),
        (moved("http://[fd00::1]/"), "privée ou réservée", "forbidden"),
        (moved("file:///etc/passwd"), "ni http ni https", "forbidden"),
        (moved("/again"), "redirige plus de", "redirects"),
    ]
}

#[test]
fn a_source_may_do_anything_and_what_is_published_stays() {
    let some: Vec<Value> = with_ids().into_iter().take(200).collect();
    let (upstream, now) = upstream(Reply::Ok("application/json", collection(&some)));
    let site = Site::new();
    let config = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), config.replace("[harvest]", "[harvest]\nstall_s = 2")).unwrap();
    layer(&site, &format!("[source]\nurl = \"{}/communes.geojson\"\ntimeout_s = 6", upstream.base));
    site.harvest();
    let server = site.serve();
    let published = server.json("/collections/communes/items?limit=1000");
    for (reply, words, name) in wrongs(&some) {
        let shown: String = format!("{reply:?}").chars().take(120).collect();
        *now.lock().unwrap() = reply;
        let started = Instant::now();
        let output = site.run(&["harvest", "communes"]);
        let text = said(&output);
        assert!(started.elapsed() < Duration::from_secs(20), "{shown}: in time");
        assert_eq!(output.status.code(), Some(1), "{shown}: {text}");
        assert!(text.contains(words), "{shown}: « {words} » not in: {text}");
        let run = server.json("/harvest")["layers"][0]["runs"][0].clone();
        let outcome = if run["outcome"] == "held" { &run["outcome"] } else { &run["fault"] };
        assert_eq!(outcome, name, "{shown}: {run}");
        let still = server.json("/collections/communes/items?limit=1000");
        assert_eq!(still["features"], published["features"], "{shown}");
    }
    // Once it behaves again all is well.
    *now.lock().unwrap() = Reply::Ok("application/json", collection(&some));
    let text = said(&site.run(&["harvest", "communes"]));
    assert!(text.contains("source inchangée"), "{text}");
}

#[test]
fn a_service_may_do_anything_as_well() {
    let some: Vec<Value> = with_ids().into_iter().take(100).collect();
    let page = |features: &[Value], more: Value| {
        let mut page =
            json!({ "type": "FeatureCollection", "features": features, "numberMatched": 100 });
        page["links"] = more;
        Reply::json(&page)
    };
    let next = |href: &str| json!([{ "rel": "next", "href": href }]);
    let (upstream, now) = upstream(page(&some, json!([])));
    let site = Site::new();
    let config = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), config.replace("[harvest]", "[harvest]\nstall_s = 1")).unwrap();
    let url = format!("{}/collections/communes", upstream.base);
    layer(&site, &format!("[source]\ntimeout_s = 8\n[source.ogc_features]\nurl = \"{url}\""));
    site.harvest();
    let before = site.run(&["versions", "communes"]).stdout;
    let wrongs = [
        (Reply::Hang(vec![]), "ne répond pas depuis"),
        (status(500, ""), "a répondu 500"),
        (status(429, "Retry-After: 3600\r\n"), "a répondu 429"),
        (Reply::Ok("text/html", b"<html>".to_vec()), "page HTML"),
        (Reply::Ok("application/json", garbage()), "n'a pas répondu le JSON attendu"),
        (Reply::Status(200, "Content-Encoding: gzip\r\n".into(), garbage()), "compressé"),
        (
            Reply::Ok("application/json", b"{\"type\":\"FeatureCollection\"}".to_vec()),
            "JSON attendu",
        ),
        (page(&some[..20], json!([])), "annonce 100 entités et en a donné 20"),
        (page(&some, next("http://10.0.0.1/items")), "privée ou réservée"),
        (page(&some, next("file:///etc/passwd")), "pas une adresse http"),
        (page(&some, next(&format!("{url}/items?limit=1000"))), "tournent en rond"),
    ];
    for (reply, words) in wrongs {
        let shown: String = format!("{reply:?}").chars().take(120).collect();
        *now.lock().unwrap() = reply;
        let started = Instant::now();
        let text = said(&site.run(&["harvest", "communes"]));
        assert!(started.elapsed() < Duration::from_secs(20), "{shown}: in time");
        assert!(text.contains(words), "{shown}: « {words} » not in: {text}");
        assert_eq!(site.run(&["versions", "communes"]).stdout, before, "{shown}");
    }
    let mut zip = std::io::Cursor::new(Vec::new());
    zip.write_all(b"PK\x03\x04").unwrap();
    *now.lock().unwrap() = Reply::Ok("application/zip", zip.into_inner());
    let text = said(&site.run(&["harvest", "communes"]));
    assert!(text.contains("JSON attendu"), "{text}");
}
