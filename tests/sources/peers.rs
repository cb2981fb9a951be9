//! What pygeoapi and tipg give is what is harvested. `TIPG_BIN` is the folder of both, as for the
//! benchmarks beside them; `make long` gives it, since pygeoapi takes minutes over the demo.

use super::{demo, gdal, harvested, layer, ogc::source, same};
use crate::support::{Site, finish, has, postgres, said, send, tool};
use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A program of the peers.
fn program(name: &str) -> Option<PathBuf> {
    let folder = env::var_os("TIPG_BIN").map(PathBuf::from);
    let found = folder.map(|folder| folder.join(name)).filter(|path| path.exists());
    if found.is_none() {
        println!("skipped: {name} is not in TIPG_BIN");
    }
    found
}

/// A server in Python, stopped with its test.
struct Peer {
    child: Child,
    base: String,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Peer {
    /// Waits until a path of a server is answered with 200.
    fn start(mut command: Command, port: u16, path: &str) -> Option<Self> {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let peer = Self { child, base: format!("http://127.0.0.1:{port}") };
        let address = format!("127.0.0.1:{port}");
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(90) {
            let listens = std::net::TcpStream::connect(&address).is_ok();
            if listens
                && send(&address, "GET", path, &[("Accept", "application/json")]).status == 200
            {
                return Some(peer);
            }
            std::thread::sleep(Duration::from_millis(300));
        }
        println!("skipped: {path} is not answered");
        None
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn pygeoapi(folder: &Path) -> Option<Peer> {
    let pygeoapi = program("pygeoapi")?;
    let uvicorn = program("uvicorn")?;
    let port = free_port();
    let (file, _) = demo();
    let settings = folder.join("pygeoapi.yml");
    let text = format!(
        "server:
  bind: {{host: 127.0.0.1, port: {port}}}
  url: http://127.0.0.1:{port}
  mimetype: application/json; charset=UTF-8
  encoding: utf-8
  languages: [en-US]
  limits: {{default_items: 100, max_items: 1000}}
  map: {{url: 'http://127.0.0.1/', attribution: none}}
logging: {{level: ERROR}}
metadata:
  identification: {{title: t, description: d, keywords: [k], keywords_type: theme, terms_of_service: none, url: 'http://127.0.0.1'}}
  license: {{name: l, url: 'http://127.0.0.1'}}
  provider: {{name: p, url: 'http://127.0.0.1'}}
  contact: {{name: c}}
resources:
  communes:
    type: collection
    title: communes
    description: communes
    keywords: [k]
    extents:
      spatial: {{bbox: [-180, -90, 180, 90], crs: 'http://www.opengis.net/def/crs/OGC/1.3/CRS84'}}
    providers:
      - type: feature
        name: GeoJSON
        data: {}
        id_field: code
",
        file.display()
    );
    std::fs::write(&settings, text).unwrap();
    let openapi = folder.join("openapi.yml");
    let mut generate = Command::new(pygeoapi);
    generate.args(["openapi", "generate"]).arg(&settings).arg("--output-file").arg(&openapi);
    let made = finish(generate.env("PYGEOAPI_CONFIG", &settings));
    if !made.status.success() {
        println!("skipped: pygeoapi writes no OpenAPI: {}", said(&made));
        return None;
    }
    let mut command = Command::new(uvicorn);
    command
        .arg("pygeoapi.starlette_app:APP")
        .args(["--host", "127.0.0.1", "--log-level", "error"])
        .args(["--port", &port.to_string()])
        .env("PYGEOAPI_CONFIG", &settings)
        .env("PYGEOAPI_OPENAPI", &openapi);
    Peer::start(command, port, "/collections/communes/items?f=json&limit=1")
}

/// tipg over a table of the private PostGIS.
fn tipg() -> Option<Peer> {
    let uvicorn = program("uvicorn")?;
    if !has("ogr2ogr") {
        return None;
    }
    let postgis = postgres::shared()?;
    let database = postgis.database();
    let url = postgis.url(&database);
    let (file, _) = demo();
    let port = postgis.port;
    let target = format!("PG:host=127.0.0.1 port={port} dbname={database} user={}", postgres::USER);
    let file = file.display().to_string();
    let options = [
        "-nln",
        "communes",
        "-lco",
        "GEOMETRY_NAME=geom",
        "-lco",
        "FID=gid",
        "-nlt",
        "PROMOTE_TO_MULTI",
    ];
    let load = ["-f", "PostgreSQL", target.as_str(), file.as_str()];
    tool("ogr2ogr", &[&load[..], &options].concat());
    let port = free_port();
    let mut command = Command::new(uvicorn);
    command
        .args(["tipg.main:app", "--host", "127.0.0.1", "--log-level", "error"])
        .args(["--port", &port.to_string()])
        .env("DATABASE_URL", url)
        .env("TIPG_DB_SCHEMAS", "[\"public\"]");
    Peer::start(command, port, "/collections/public.communes/items?limit=1")
}

fn harvests(url: &str, name: &str) {
    let site = Site::new();
    layer(&site, &source(url));
    site.harvest();
    let server = site.serve();
    let ours = harvested(&server);
    same(&ours, &demo().1);
    if has("ogr2ogr") {
        same(&ours, &gdal(&format!("OAPIF:{url}"), name, &[]));
    }
}

#[test]
fn what_pygeoapi_gives_is_what_is_harvested() {
    let folder = tempfile::tempdir().unwrap();
    let Some(peer) = pygeoapi(folder.path()) else { return };
    harvests(&format!("{}/collections/communes", peer.base), "communes");
}

#[test]
fn what_tipg_gives_is_what_is_harvested() {
    let Some(peer) = tipg() else { return };
    harvests(&format!("{}/collections/public.communes", peer.base), "public.communes");
}
