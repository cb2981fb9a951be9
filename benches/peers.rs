//! Socle over PostGIS beside what others run over the same database: raw `ST_AsMVT` through
//! pgbench, tipg, pygeoapi (features only), and martin where its binary is on the path. Same tables, same tiles, same
//! number of clients, same request headers; over HTTP for all but pgbench, which only has the
//! tile made and not sent.
//!
//! *Cold*: no server keeps tiles (the database's own buffers are warm). *Warm*: each as it comes,
//! asked before. Times are medians by tile, geometric means over the tiles. Run by
//! `make bench-peers`, which also installs tipg and pygeoapi.

use crate::{
    client::{Client, Server, free_port, request},
    cold, paging, points,
    postgis::{self, postgres},
    report::Report,
    site::{self, Site},
    versus::{Alone, Bands},
};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Clients at once. Each has tiles of its own, so that no request rides on another's.
const CLIENTS: usize = 4;
/// Rounds over the tiles, at most.
const ROUNDS: usize = 9;
/// Seconds that one server is asked for, at most, beyond the first round.
const PATIENCE: f64 = 12.0;
/// Rows of the pages that are compared, and how many pages.
const PAGE: usize = 1_000;
const PAGES: usize = 12;

/// Both layers; `pages`: their pages of features only.
pub fn run(report: &mut Report, pages: bool) {
    let Some(server) = postgres::shared() else {
        return report.left_out("peers", "PostgreSQL with PostGIS is not installed");
    };
    for (site, bands) in [(site::national(), cold::TILES), (points::site(), points::TILES)] {
        println!("peers: {}", site.name);
        let (url, _) = postgis::database(&site, server);
        for layer in ["communes", site.layer] {
            site.socle_with("postgis.toml", &["harvest", layer]);
        }
        let database = url.rsplit('/').next().expect("a name").to_owned();
        let columns = publish(&site, server, &database);
        let place =
            Place { site: &site, server, url: &url, database: &database, columns: &columns };
        if !pages {
            place.tiles(bands, report);
        }
        place.pages(report);
    }
}

/// A layer in a database that all of them serve.
struct Place<'a> {
    site: &'a Site,
    server: &'a postgres::Postgres,
    url: &'a str,
    database: &'a str,
    /// Columns of the table, for SQL.
    columns: &'a str,
}

impl Place<'_> {
    /// Points reach further, so that symbols are not cut.
    fn buffer(&self) -> u16 {
        if self.site.layer == "communes" { 64 } else { 256 }
    }

    fn tiles(&self, bands: &Bands, report: &mut Report) {
        let (site, url) = (self.site, self.url);
        let mut peers = Vec::new();
        let raw = Alone::raw(site.layer, self.columns, self.buffer());
        match pgbench(site, self.server, self.database, &raw, bands) {
            Some(times) => peers.push(("raw", times.clone(), times)),
            None => {
                report.left_out(&format!("peers-{}-raw", site.layer), "pgbench is not installed")
            }
        }
        match tipg(url, self.buffer()) {
            Some(tipg) => {
                let path = format!("/collections/public.{}/tiles/WebMercatorQuad/{{}}", site.layer);
                // It keeps no tiles: warm and cold are the same.
                match ask(&tipg, &path, bands) {
                    Ok(times) => peers.push(("tipg", times.clone(), times)),
                    Err(why) => report.left_out(&format!("peers-{}-over-tipg", site.layer), &why),
                }
            }
            None => report.left_out(&format!("peers-{}-tipg", site.layer), "tipg is not installed"),
        }
        match (martin(url, false), martin(url, true)) {
            (Some(cold), Some(warm)) => {
                let path = format!("/{}/{{}}", site.layer);
                let times = ask(&cold, &path, bands).and_then(|cold| {
                    ask(&warm, &path, bands)?;
                    Ok((cold, ask(&warm, &path, bands)?))
                });
                match times {
                    Ok((cold, warm)) => peers.push(("martin", cold, warm)),
                    Err(why) => report.left_out(&format!("peers-{}-over-martin", site.layer), &why),
                }
            }
            _ => report
                .left_out(&format!("peers-{}-martin", site.layer), "martin is not on the PATH"),
        }
        let path = format!("/collections/{}/tiles/{{}}.mvt", site.layer);
        let cold = ask(&socle(site, 0), &path, bands).expect("Socle answers");
        let warm = socle(site, 4096);
        ask(&warm, &path, bands).expect("Socle answers");
        let kept = ask(&warm, &path, bands).expect("Socle answers");
        for (name, theirs_cold, theirs_warm) in &peers {
            compare(site, name, "cold", &cold, theirs_cold, report);
            compare(site, name, "warm", &kept, theirs_warm, report);
        }
    }

    fn pages(&self, report: &mut Report) {
        let layer = self.site.layer;
        // A column of texts that all have.
        let code = self.columns.split(", ").find(|name| name.starts_with("code")).unwrap_or("code");
        let ours = socle(self.site, 4096);
        let pages = format!("/collections/{layer}/items?f=json&limit={PAGE}&offset=");
        let own = paging::Dialect {
            items: format!("/collections/{layer}/items"),
            lang: "&filter-lang=cql2-text&f=json",
            hits: "resultType=hits",
        };
        let (rate, times) = (paged(&ours, &pages), paging::measure(&ours, &own, code));
        match tipg(self.url, self.buffer()) {
            Some(tipg) => {
                let items = format!("/collections/public.{layer}/items");
                let theirs = paged(&tipg, &format!("{items}?f=geojson&limit={PAGE}&offset="));
                let name = format!("peers-{layer}-page-1000-over-tipg");
                report.row(&name, rate / theirs, Some(">= 20"), rate, theirs, "features/s");
                let lang = "&filter-lang=cql2-text&f=geojson";
                let dialect = paging::Dialect { items, lang, hits: "limit=1" };
                let theirs = paging::measure(&tipg, &dialect, code);
                paging::compare(layer, "tipg", &times, &theirs, report);
            }
            None => {
                report.left_out(&format!("peers-{layer}-pages-over-tipg"), "tipg is not installed");
                report.figure(&format!("peers-{layer}-page-1000"), rate, None, "features/s");
            }
        }
        match paging::pygeoapi(self.url, layer, &self.site.path("")) {
            Some(pygeoapi) => {
                let dialect = paging::Dialect {
                    items: format!("/collections/{layer}/items"),
                    lang: "&filter-lang=cql-text&f=json",
                    hits: "resulttype=hits",
                };
                let theirs = paging::measure(&pygeoapi, &dialect, code);
                paging::compare(layer, "pygeoapi", &times, &theirs, report);
            }
            None => {
                report.left_out(&format!("peers-{layer}-pygeoapi"), "pygeoapi does not start");
            }
        }
    }
}

/// The layer as a table that others publish, with key and index; its columns.
pub fn publish(site: &Site, server: &postgres::Postgres, database: &str) -> String {
    let layer = site.layer;
    let names = format!(
        "SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position)
         FROM information_schema.columns
         WHERE table_schema = 'socle' AND table_name = '{layer}' AND column_name NOT IN ('geom', 'fid', 'id')"
    );
    let columns = server.sql(database, &names);
    server.sql(
        database,
        &format!(
            "CREATE TABLE public.{layer} AS SELECT row_number() OVER () AS gid, {columns}, geom FROM socle.{layer};
             ALTER TABLE public.{layer} ADD PRIMARY KEY (gid);
             CREATE INDEX ON public.{layer} USING gist (geom); ANALYZE public.{layer}"
        ),
    );
    columns
}

/// Milliseconds by tile, in the order of the bands; bytes.
#[derive(Clone)]
struct Times(Vec<(u8, f64)>);

impl Times {
    /// Geometric mean over the tiles of some zooms.
    fn mean(&self, wanted: impl Fn(u8) -> bool) -> f64 {
        let logs: Vec<f64> =
            self.0.iter().filter(|(z, _)| wanted(*z)).map(|(_, ms)| ms.ln()).collect();
        (logs.iter().sum::<f64>() / logs.len() as f64).exp()
    }
}

fn compare(site: &Site, peer: &str, how: &str, ours: &Times, theirs: &Times, report: &mut Report) {
    let layer = site.layer;
    let mut row = |what: &str, wanted: &dyn Fn(u8) -> bool, target: Option<&str>| {
        let (a, b) = (ours.mean(wanted), theirs.mean(wanted));
        report.row(&format!("peers-{layer}-{how}-over-{peer}{what}"), b / a, target, a, b, "ms");
    };
    let raw = peer == "raw" && how == "cold";
    row("", &|_| true, raw.then_some(">= 4"));
    row("-z8-and-below", &|z| z <= 8, raw.then_some(">= 8"));
    row("-z9-and-above", &|z| z > 8, None);
}

fn tiles(bands: &Bands) -> Vec<(u8, String)> {
    let tiles = bands.iter().flat_map(|(z, list)| list.iter().map(move |t| (*z, t)));
    tiles.map(|(z, (x, y))| (z, format!("{z}/{x}/{y}"))).collect()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Asks a server for all tiles, [`CLIENTS`] at once, several rounds; says at which tile it broke.
fn ask(server: &Server, path: &str, bands: &Bands) -> Result<Times, String> {
    let tiles = tiles(bands);
    let started = Instant::now();
    let found: Vec<Result<Vec<(usize, f64)>, String>> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|c| {
                let mine: Vec<_> = tiles.iter().enumerate().skip(c).step_by(CLIENTS).collect();
                scope.spawn(move || {
                    let mut client = Client::new(&server.address);
                    let mut times = vec![Vec::new(); mine.len()];
                    for round in 0..=ROUNDS {
                        for ((_, (_, tile)), times) in mine.iter().zip(&mut times) {
                            let start = Instant::now();
                            let asked = request(&path.replace("{}", tile), "");
                            let answer = client
                                .try_ask(asked.as_bytes())
                                .map_err(|e| format!("it broke at tile {tile}: {e}"))?;
                            if ![200, 204].contains(&answer.status()) {
                                return Err(format!("{} at tile {tile}", answer.status()));
                            }
                            // The first round opens connections and prepares statements.
                            if round > 0 {
                                times.push(start.elapsed().as_secs_f64() * 1e3);
                            }
                        }
                        if round > 0 && started.elapsed().as_secs_f64() > PATIENCE {
                            break;
                        }
                    }
                    let medians = times.into_iter().map(median);
                    Ok(mine.iter().map(|(at, _)| *at).zip(medians).collect())
                })
            })
            .collect();
        clients.into_iter().map(|c| c.join().expect("a client")).collect()
    });
    let found: Result<Vec<_>, _> = found.into_iter().collect();
    let mut found = found?.concat();
    found.sort_by_key(|(at, _)| *at);
    Ok(Times(tiles.iter().zip(found).map(|((z, _), (_, ms))| (*z, ms)).collect()))
}

/// Features per second of pages of a layer, one client, pages apart.
fn paged(server: &Server, path: &str) -> f64 {
    let mut client = Client::new(&server.address);
    let mut times = Vec::new();
    for page in 0..=PAGES {
        let start = Instant::now();
        let answer = client.ask(request(&format!("{path}{}", page * 2 * PAGE), "").as_bytes());
        assert_eq!(answer.status(), 200, "{}", answer.head);
        assert!(answer.body > PAGE, "a page of {} bytes", answer.body);
        if page > 0 {
            times.push(start.elapsed().as_secs_f64());
        }
    }
    PAGE as f64 / median(times)
}

/// Socle with room for that many MiB of tiles.
fn socle(site: &Site, cache: usize) -> Server {
    let text = fs::read_to_string(site.path("postgis.toml")).expect("postgis.toml");
    let settings = format!("cache{cache}.toml");
    fs::write(site.path(&settings), format!("{text}[tiles]\ncache_mb = {cache}\n"))
        .expect("a file");
    Server::start(site.command(&settings, &["serve", "--listen", "127.0.0.1:0"]))
}

/// tipg with two workers, from the folder in `TIPG_BIN`; it may put all features into a tile, as
/// the others do.
fn tipg(url: &str, buffer: u16) -> Option<Server> {
    let bin = PathBuf::from(std::env::var_os("TIPG_BIN")?);
    let port = free_port();
    let mut command = Command::new(bin.join("uvicorn"));
    command
        .args(["tipg.main:app", "--host", "127.0.0.1", "--workers", "2", "--log-level", "error"])
        .args(["--port", &port.to_string()])
        // Seconds spent on one tile are no reason to hang up, nor to be taken for dead.
        .args(["--timeout-keep-alive", "300", "--timeout-worker-healthcheck", "300"])
        .env("DATABASE_URL", url)
        .env("TIPG_DB_SCHEMAS", "[\"public\"]")
        .env("TIPG_TILE_BUFFER", buffer.to_string())
        .env("TIPG_MAX_FEATURES_PER_TILE", "10000000");
    let server = Server::start_at(command, port)?;
    // It answers before it has read the catalogue.
    let started = Instant::now();
    while Client::new(&server.address).ask(request("/healthz", "").as_bytes()).status() != 200 {
        if started.elapsed() > Duration::from_secs(30) {
            return None;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Some(server)
}

/// martin, with or without its cache.
fn martin(url: &str, cache: bool) -> Option<Server> {
    let found = Command::new("martin").arg("--version").stdout(Stdio::null()).status();
    if !found.is_ok_and(|s| s.success()) {
        return None;
    }
    let port = free_port();
    let mut command = Command::new("martin");
    command.args(["--listen-addresses", &format!("127.0.0.1:{port}"), "--workers", "2"]);
    command.args(["--cache-size", if cache { "4096" } else { "0" }]).arg(url);
    Server::start_at(command, port)
}

/// Raw `ST_AsMVT`, prepared, by pgbench: one script per tile, all equally likely.
fn pgbench(
    site: &Site,
    server: &postgres::Postgres,
    database: &str,
    raw: &str,
    bands: &Bands,
) -> Option<Times> {
    let tiles = tiles(bands);
    let dir = site.path("pgbench");
    fs::create_dir_all(&dir).expect("a folder");
    let mut command = Command::new("pgbench");
    // The tile is made, and its length sent: a copy in hexadecimal would be pgbench's cost.
    let sql = raw.replacen("SELECT ST_AsMVT(t,", "SELECT length(ST_AsMVT(t,", 1);
    let sql = sql.replacen("'mvt') FROM", "'mvt')) FROM", 1);
    for (i, (_, tile)) in tiles.iter().enumerate() {
        let numbers: Vec<&str> = tile.split('/').collect();
        let names = ["z", "x", "y"];
        let mut script: String =
            names.iter().zip(&numbers).map(|(n, v)| format!("\\set {n} {v}\n")).collect();
        let mut sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
        for (i, name) in names.iter().enumerate() {
            sql = sql.replace(&format!("${}", i + 1), &format!(":{name}::int"));
        }
        script.push_str(&sql);
        script.push_str(";\n");
        let path = dir.join(format!("{i}.sql"));
        fs::write(&path, script).expect("a script");
        command.arg("-f").arg(path);
    }
    let each = (tiles.len() * ROUNDS).div_ceil(CLIENTS);
    command
        .args(["-n", "-M", "prepared", "-h", "127.0.0.1", "-U", postgres::USER])
        .args(["-p", &server.port.to_string(), "-c", &CLIENTS.to_string(), "-j", "2"])
        .args(["-t", &each.to_string(), "--random-seed=20261124", "--log", database])
        .current_dir(&dir)
        .stdout(Stdio::null());
    if !command.status().ok()?.success() {
        return None;
    }
    let mut times = vec![Vec::new(); tiles.len()];
    for log in fs::read_dir(&dir).expect("logs").filter_map(|e| Some(e.ok()?.path())) {
        if log.extension().is_some_and(|e| e == "sql") {
            continue;
        }
        for line in fs::read_to_string(log).expect("a log").lines() {
            // client, transaction, microseconds, script, …
            let cells: Vec<&str> = line.split(' ').collect();
            let (Some(us), Some(script)) = (cells.get(2), cells.get(3)) else { continue };
            if let (Ok(us), Ok(script)) = (us.parse::<f64>(), script.parse::<usize>()) {
                times[script].push(us / 1e3);
            }
        }
    }
    Some(Times(tiles.iter().zip(times).map(|((z, _), t)| (*z, median(t))).collect()))
}
