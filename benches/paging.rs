//! Pages of features beside tipg and pygeoapi, over the same table of the same PostGIS: a page of
//! 1,000 features, one within a box, one behind a filter, one 30,000 features deep, and the number
//! that a filter matches. One client; medians of requests that differ from each other.

use crate::{
    client::{Client, Server, free_port, request},
    report::Report,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

/// Features on a page.
const PAGE: usize = 1_000;
/// Requests of each kind, besides the first.
const TIMES: usize = 8;

/// A kind of request.
struct Ask {
    name: &'static str,
    /// The query, `{n}` being another number each time.
    query: String,
    /// Whether features are asked for.
    page: bool,
}

/// How a server spells filters and counts.
pub struct Dialect {
    /// Address of the layer's features, without query.
    pub items: String,
    /// What it wants beside a filter.
    pub lang: &'static str,
    /// What asks for the number alone.
    pub hits: &'static str,
}

/// The kinds of requests; `code` is a column of texts.
fn asks(dialect: &Dialect, code: &str) -> [Ask; 5] {
    let limit = format!("limit={PAGE}");
    let filter = format!("filter={code}%20%3E%3D%20%27{{n}}%27{}", dialect.lang);
    let ask = |name, query: String, page| Ask { name, query, page };
    [
        ask("near-page-1000", format!("{limit}&offset={{n}}000"), true),
        ask("bbox-page", format!("{limit}&bbox=1.{{n}},46,4.{{n}},50"), true),
        ask("filtered-page", format!("{limit}&{filter}"), true),
        ask("deep-page-30000", format!("{limit}&offset=3000{{n}}"), true),
        ask("count", format!("{}&{filter}", dialect.hits), false),
    ]
}

/// Median milliseconds of each kind; `None` where the server refuses it.
pub fn measure(server: &Server, dialect: &Dialect, code: &str) -> Vec<(&'static str, Option<f64>)> {
    let one = |ask: &Ask| {
        let mut client = Client::new(&server.address);
        let mut times = Vec::new();
        for n in 0..=TIMES {
            let path = format!("{}?{}", dialect.items, ask.query.replace("{n}", &n.to_string()));
            let start = Instant::now();
            let answer = client.try_ask(request(&path, "").as_bytes()).ok()?;
            if answer.status() != 200 || (ask.page && answer.body < PAGE * 50) {
                println!("  {path}: {}, {} bytes", answer.status(), answer.body);
                return None;
            }
            if n > 0 {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied()
    };
    asks(dialect, code).iter().map(|ask| (ask.name, one(ask))).collect()
}

/// Rows of Socle over one of the others.
pub fn compare(
    layer: &str,
    peer: &str,
    ours: &[(&'static str, Option<f64>)],
    theirs: &[(&'static str, Option<f64>)],
    report: &mut Report,
) {
    for ((name, ours), (_, theirs)) in ours.iter().zip(theirs) {
        let row = format!("peers-{layer}-{name}-over-{peer}");
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => {
                report.row(&row, theirs / ours, None, *ours, *theirs, "ms");
            }
            _ => report.left_out(&row, "one of them does not answer it"),
        }
    }
}

/// pygeoapi with two workers over a table, from the folder in `TIPG_BIN`; its settings lie in
/// `folder`.
pub fn pygeoapi(url: &str, layer: &str, folder: &Path) -> Option<Server> {
    let bin = PathBuf::from(std::env::var_os("TIPG_BIN")?);
    if !bin.join("pygeoapi").exists() {
        return None;
    }
    let port = free_port();
    let rest = url.split_once("://")?.1;
    let (login, place) = rest.split_once('@')?;
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (host, database) = place.split_once('/')?;
    let (host, db_port) = host.split_once(':')?;
    let database = database.split('?').next()?;
    let settings = folder.join("pygeoapi.yml");
    let text = format!(
        "server:
  bind: {{host: 127.0.0.1, port: {port}}}
  url: http://127.0.0.1:{port}
  mimetype: application/json; charset=UTF-8
  encoding: utf-8
  languages: [en-US]
  limits: {{default_items: {PAGE}, max_items: 10000}}
  map: {{url: 'http://127.0.0.1/', attribution: none}}
logging: {{level: ERROR}}
metadata:
  identification: {{title: t, description: d, keywords: [k], keywords_type: theme, terms_of_service: none, url: 'http://127.0.0.1'}}
  license: {{name: l, url: 'http://127.0.0.1'}}
  provider: {{name: p, url: 'http://127.0.0.1'}}
  contact: {{name: c}}
resources:
  {layer}:
    type: collection
    title: {layer}
    description: {layer}
    keywords: [k]
    extents:
      spatial: {{bbox: [-180, -90, 180, 90], crs: 'http://www.opengis.net/def/crs/OGC/1.3/CRS84'}}
    providers:
      - type: feature
        name: PostgreSQL
        data: {{host: {host}, port: {db_port}, dbname: {database}, user: {user}, password: '{password}', search_path: [public]}}
        id_field: gid
        table: {layer}
        geom_field: geom
"
    );
    fs::write(&settings, text).ok()?;
    let openapi = folder.join("pygeoapi-openapi.yml");
    let made = Command::new(bin.join("pygeoapi"))
        .args(["openapi", "generate"])
        .arg(&settings)
        .arg("--output-file")
        .arg(&openapi)
        .env("PYGEOAPI_CONFIG", &settings)
        .output()
        .ok()?;
    if !made.status.success() {
        return None;
    }
    let mut command = Command::new(bin.join("uvicorn"));
    command
        .args(["pygeoapi.starlette_app:APP", "--host", "127.0.0.1", "--workers", "2"])
        .args(["--log-level", "error", "--port", &port.to_string()])
        .env("PYGEOAPI_CONFIG", &settings)
        .env("PYGEOAPI_OPENAPI", &openapi);
    let server = Server::start_at(command, port)?;
    // It answers before its workers are up.
    let started = Instant::now();
    let path = format!("/collections/{layer}/items?f=json&limit=1");
    loop {
        let answer = Client::new(&server.address).try_ask(request(&path, "").as_bytes());
        if answer.is_ok_and(|a| a.status() == 200) {
            return Some(server);
        }
        if started.elapsed().as_secs() > 30 {
            return None;
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
}
