//! Exports, from outside: files by HTTP and by the command line, judged by GDAL; orders, their
//! progress, resumption and end; what is refused; what is left behind.

use crate::support::{
    Server, Site, command, demo_layers, demo_server, finish, has, over_postgis, python, said, send,
    tool,
};
use serde_json::Value;
use socle::http::params;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// The demo's layers in a site of its own, with these keys of `[exports]`.
fn site(exports: &str) -> Site {
    let site = Site::new();
    demo_layers(&site);
    let file = site.path("socle.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\n[exports]\n{exports}\n")).unwrap();
    site.harvest();
    site
}

fn save(server: &Server, path: &str, into: &Path) -> String {
    let answer = server.send("GET", path, &[("Accept", "*/*")]);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let disposition = answer.header("content-disposition").unwrap().to_owned();
    let name = disposition.split("filename=\"").nth(1).unwrap().split('"').next().unwrap();
    let file = into.join(name);
    fs::write(&file, &answer.body).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Everything below a folder, but for the folders themselves.
fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|e| e.unwrap().path());
    paths.flat_map(|p| if p.is_dir() { files(&p) } else { vec![p.display().to_string()] }).collect()
}

#[test]
fn every_format_holds_the_communes_of_the_nord() {
    if !has("ogrinfo") {
        return;
    }
    let server = demo_server();
    let dir = tempfile::tempdir().unwrap();
    for format in ["gpkg", "shp", "geojson", "geojsonseq", "ndjson", "fgb", "csv", "xlsx", "kml"] {
        let path = format!("/collections/communes/export?f={format}&territory=dep:59");
        let file = save(&server, &path, dir.path());
        let name = Path::new(&file).file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("socle_communes_dep-59_20"), "{name}");
        let source = if format == "shp" { format!("/vsizip/{file}") } else { file.clone() };
        let text = tool("ogrinfo", &["-ro", "-so", "-al", &source]);
        assert!(text.contains("Feature Count: 647"), "{format}: {text}");
        assert!(text.contains("code: String"), "{format}: {text}");
        let legal = match format {
            "gpkg" | "fgb" => text.contains("ID[\"EPSG\",2154]"),
            "shp" => text.contains("RGF93"),
            "geojson" | "geojsonseq" | "ndjson" | "kml" => text.contains("WGS 84"),
            _ => true,
        };
        assert!(legal, "{format}: {text}");
    }
}

#[test]
fn fields_of_the_form_left_empty_ask_for_nothing() {
    let server = demo_server();
    let page = server.page("/collections/communes/export");
    let text = page.text();
    for part in ["name=\"territory-mode\"", "value=\"EPSG:2154\"", "Lambert-93"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let sent = "/collections/communes/export?f=csv&territory=&territory-mode=&crs=";
    let tidy = server.page(sent);
    assert_eq!(tidy.status, 302, "{}", tidy.text());
    let to = tidy.header("location").unwrap();
    assert!(to.ends_with("/collections/communes/export?f=csv"), "{to}");
    // A program whose variable is empty does not get all of France in place of its territory.
    let refused = server.get("/collections/communes/export?f=csv&territory=");
    assert_eq!(refused.status, 400, "{}", refused.text());
}

#[test]
fn a_scope_exports_its_layers_into_one_geopackage_in_the_system_asked_for() {
    if !has("ogrinfo") {
        return;
    }
    let server = demo_server();
    let dir = tempfile::tempdir().unwrap();
    let path = "/t/dep-62-within/export?f=gpkg&collections=communes,mairies&crs=EPSG:3950";
    let file = save(&server, path, dir.path());
    assert!(file.contains("socle_communes-mairies_dep-62-within_"), "{file}");
    let text = tool("ogrinfo", &["-ro", "-so", "-al", &file]);
    let count = |layer: &str| -> u64 {
        let part = text.split(&format!("Layer name: {layer}\n")).nth(1).unwrap();
        part.lines().find_map(|l| l.strip_prefix("Feature Count: ")).unwrap().parse().unwrap()
    };
    for layer in ["communes", "mairies"] {
        let items = format!("/t/dep-62-within/collections/{layer}/items?resultType=hits");
        assert_eq!(count(layer), server.json(&items)["numberMatched"].as_u64().unwrap());
    }
    assert!(text.contains("ID[\"EPSG\",3950]"), "{text}");
    // Arras, as PROJ has it.
    let lon_lat =
        tool("ogr2ogr", &["-f", "GeoJSON", "/vsistdout/", &file, "mairies", "-t_srs", "EPSG:4326"]);
    let theirs: Value = serde_json::from_str(&lon_lat).unwrap();
    let ours = server.json("/t/dep-62-within/collections/mairies/items?limit=1");
    let at = |v: &Value| -> Vec<f64> {
        let c = v["features"][0]["geometry"]["coordinates"].clone();
        serde_json::from_value(c).unwrap()
    };
    for (a, b) in at(&theirs).iter().zip(at(&ours)) {
        assert!((a - b).abs() < 2e-8, "{a} {b}");
    }
    let said = tool("ogrinfo", &["-ro", "-q", &file, "-sql", "SELECT metadata FROM gpkg_metadata"]);
    for word in ["licence", "attribution", "fetched", "checked", "version", "vintage", "contenu"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let styles =
        tool("ogrinfo", &["-ro", "-q", &file, "-sql", "SELECT f_table_name FROM layer_styles"]);
    assert!(styles.contains("communes"), "{styles}");
}

#[test]
fn several_layers_of_a_simple_format_come_in_an_archive_with_a_readme() {
    let server = demo_server();
    let dir = tempfile::tempdir().unwrap();
    let file = save(
        &server,
        "/t/com-59350/export?f=csv&collections=communes,mairies&decimal=comma",
        dir.path(),
    );
    assert!(file.ends_with(".csv.zip"), "{file}");
    let mut zip = zip::ZipArchive::new(fs::File::open(&file).unwrap()).unwrap();
    let mut text = String::new();
    zip.by_name("LISEZMOI.txt").unwrap().read_to_string(&mut text).unwrap();
    for word in
        ["Licence :", "Mention à reprendre :", "État au", "Vérifié le :", "Lille (com:59350)"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    text.clear();
    zip.by_name("communes.csv").unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
}

fn follow(server: &Server, location: &str) -> Value {
    let path =
        location.split_once("/exports/").map(|(_, rest)| format!("/exports/{rest}")).unwrap();
    let mut last = Value::Null;
    let ended = server.until(Duration::from_secs(60), |server| {
        last = server.json(&path);
        !matches!(last["status"].as_str(), Some("accepted" | "running"))
    });
    assert!(ended, "{last}");
    last
}

/// A FlatGeobuf that is served as a file: the newest GDAL reads a box of it by its index, and fetches
/// those parts only.
#[test]
fn the_newest_gdal_reads_a_box_of_flatgeobuf_by_ranges() {
    let Some(python) = python("pyogrio") else { return };
    let site = site("stream_mb = 0");
    let server = site.serve();
    let placed = server.get("/collections/communes/export?f=fgb&crs=CRS84");
    let location =
        placed.header("location").unwrap_or_else(|| panic!("{}", placed.text())).to_owned();
    let done = follow(&server, &location);
    let size = done["bytes"].as_u64().unwrap();
    let script = "
import sys
from pyogrio.raw import read
_, _, _, fields = read(sys.argv[1], bbox=(3.0, 50.6, 3.1, 50.66), columns=['code'])
print(*sorted(fields[0]))
";
    let mut gdal = Command::new(&python);
    gdal.args(["-c", script, &format!("/vsicurl/{location}/file")]);
    let settings = [("CPL_CURL_VERBOSE", "YES"), ("GDAL_DISABLE_READDIR_ON_OPEN", "YES")];
    let output = finish(gdal.envs(settings));
    let curl = String::from_utf8_lossy(&output.stderr).to_lowercase();
    assert!(output.status.success(), "{curl}");
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    let filter = params::encode("S_INTERSECTS(geometry,BBOX(3.0,50.6,3.1,50.66))");
    let page = server.json(&format!("/collections/communes/items?filter={filter}"));
    let features = page["features"].as_array().unwrap();
    let mut expected: Vec<&str> = features.iter().map(|f| f["id"].as_str().unwrap()).collect();
    expected.sort_unstable();
    assert_eq!(seen.trim(), expected.join(" "));
    assert!(expected.contains(&"59350"), "{expected:?}");
    let ranges = curl.lines().filter_map(|line| line.trim().strip_prefix("range: bytes="));
    let fetched: u64 = ranges
        .filter_map(|range| {
            let (first, last) = range.split_once('-')?;
            Some(last.trim().parse::<u64>().ok()? - first.parse::<u64>().ok()? + 1)
        })
        .sum();
    println!("{} communes of a file of {size} bytes by {fetched} bytes", expected.len());
    assert!(fetched > 0 && fetched < size / 2, "{fetched} of {size}: {curl}");
}

fn orders_are_followed_kept_resumed_and_shared() {
    let site = site("stream_mb = 0");
    let server = site.serve();
    let path = "/collections/communes/export?f=geojson";
    let estimate = server.json("/collections/communes/export/estimate?f=geojson");
    assert_eq!((&estimate["rows"], &estimate["mode"]), (&3782.into(), &"order".into()));
    let placed = server.get(path);
    assert_eq!(placed.status, 202, "{}", placed.text());
    let location = placed.header("location").unwrap().to_owned();
    assert!(placed.header("retry-after").is_some());
    // The same in another order of parameters is the same order.
    let again = server.get("/collections/communes/export?crs=CRS84&f=geojson");
    assert!(again.status == 200 || again.header("location") == Some(&location));
    let done = follow(&server, &location);
    assert_eq!((&done["status"], &done["rows"]), (&"successful".into(), &3782.into()), "{done}");
    let guess = estimate["bytes"].as_f64().unwrap() / done["bytes"].as_f64().unwrap();
    assert!((0.3..3.0).contains(&guess), "estimate over size: {guess}");
    // Now the file is there at once, whole or by ranges.
    let whole = server.get(path);
    assert_eq!((whole.status, whole.header("accept-ranges")), (200, Some("bytes")));
    assert_eq!(whole.body.len() as u64, done["bytes"].as_u64().unwrap());
    let json: Value = serde_json::from_slice(&whole.body).unwrap();
    assert_eq!(json["features"].as_array().unwrap().len(), 3782);
    let etag = whole.header("etag").unwrap();
    let half = whole.body.len() / 2;
    let file = format!("/exports/{}/file", location.rsplit('/').next().unwrap());
    let range = format!("bytes={half}-");
    let rest = server.send("GET", &file, &[("Range", &range), ("If-Range", etag)]);
    assert_eq!((rest.status, rest.body.as_slice()), (206, &whole.body[half..]));
    assert!(rest.header("content-range").unwrap().ends_with(&format!("/{}", whole.body.len())));
    let other = server.send("GET", &file, &[("Range", &range), ("If-Range", "\"other\"")]);
    assert_eq!((other.status, other.body.len()), (200, whole.body.len()));
    assert_eq!(server.send("GET", &file, &[("Range", "bytes=999999999999-")]).status, 416);
    assert_eq!(server.send("GET", path, &[("If-None-Match", etag)]).status, 304);
    let head = server.send("HEAD", path, &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(whole.body.len().to_string().as_str()));
    // Removed when it is no longer wanted.
    let own = location.split_once("/exports/").map(|(_, id)| format!("/exports/{id}")).unwrap();
    assert_eq!(server.send("DELETE", &own, &[]).status, 204);
    assert_eq!(server.get(&own).status, 404);
    assert!(files(&site.path("data/blobs/exports")).is_empty());
    assert!(files(&site.path("data/exports")).is_empty());
}

#[test]
fn orders_are_followed_kept_resumed_and_shared_embedded() {
    orders_are_followed_kept_resumed_and_shared();
}

#[test]
fn orders_are_followed_kept_resumed_and_shared_postgis() {
    over_postgis(orders_are_followed_kept_resumed_and_shared);
}

#[test]
fn a_cancelled_order_leaves_nothing_and_waiting_ones_are_bounded() {
    let site = site("stream_mb = 0\nworkers = 1\nwaiting = 1");
    let server = site.serve();
    let mut placed = Vec::new();
    let mut turned_away = 0;
    // At once: one after the other, each might be done before the next is placed.
    let formats = ["gpkg", "fgb", "shp", "xlsx", "kml", "parquet", "csv", "geojson"];
    let answers: Vec<_> = std::thread::scope(|scope| {
        let order = |format: &str| server.get(&format!("/export?f={format}"));
        let asked = formats.map(|format| scope.spawn(move || order(format)));
        asked.into_iter().map(|a| a.join().unwrap()).collect()
    });
    for answer in answers {
        match answer.status {
            202 => placed.push(answer.header("location").unwrap().to_owned()),
            503 => {
                turned_away += 1;
                assert!(answer.header("retry-after").is_some());
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert!(placed.len() >= 2 && turned_away >= 1, "{} {turned_away}", placed.len());
    for location in &placed {
        let own = location.split_once("/exports/").map(|(_, id)| format!("/exports/{id}")).unwrap();
        assert_eq!(server.send("DELETE", &own, &[]).status, 204);
    }
    let left = |site: &Site| {
        let mut all = files(&site.path("data/exports"));
        all.extend(files(&site.path("data/blobs/exports")));
        all.extend(files(&site.path("data/blobs/.parts")));
        all
    };
    assert!(server.until(Duration::from_secs(20), |_| left(&site).is_empty()), "{:?}", left(&site));
    assert_eq!(server.get("/health/ready").status, 200);
}

#[test]
fn a_client_that_goes_away_half_way_leaves_nothing() {
    let site = site("");
    let server = site.serve();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let request = format!(
            "GET /collections/communes/export?f=geojson HTTP/1.1\r\nHost: {}\r\n\r\n",
            server.address
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut some = [0; 2_000];
        stream.read_exact(&mut some).unwrap();
        assert!(some.starts_with(b"HTTP/1.1 200"));
    }
    let clean = |_: &Server| files(&site.path("data/exports")).is_empty();
    assert!(
        server.until(Duration::from_secs(20), clean),
        "{:?}",
        files(&site.path("data/exports"))
    );
    assert_eq!(server.get("/collections/communes/export?f=csv").status, 200);
}

#[test]
fn more_than_the_room_kept_for_exports_is_507_and_the_server_stays_up() {
    let site = site("max_mb = 1");
    let server = site.serve();
    let answer = server.get("/collections/communes/export?f=gpkg");
    assert_eq!(answer.status, 507, "{}", answer.text());
    assert!(answer.json()["detail"].as_str().unwrap().contains("max_mb"));
    assert_eq!(server.get("/collections/communes/export?f=gpkg&territory=com:59350").status, 200);
    assert!(
        server.until(Duration::from_secs(20), |_| files(&site.path("data/exports")).is_empty())
    );
}

/// A server whose files of exports are on a disk of their own, of so many kilobytes.
fn on_a_small_disk(site: &Site, kilobytes: u32) -> Option<Server> {
    let mounted = Command::new("unshare")
        .args(["-m", "sh", "-c", "mount -t tmpfs none /mnt"])
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|s| s.success()) {
        println!("skipped: file systems cannot be mounted here");
        return None;
    }
    let disk = site.path("data");
    let disk = disk.to_str().unwrap();
    let script = format!(
        "mkdir -p '{disk}' && mount -t tmpfs -o size={kilobytes}k none '{disk}' &&
         exec '{}' serve --config '{}' --listen 127.0.0.1:0",
        env!("CARGO_BIN_EXE_socle"),
        site.config()
    );
    let mut serve = Command::new("unshare");
    serve.args(["-m", "sh", "-c", &script]).env("LC_ALL", "fr_FR.UTF-8").stdin(Stdio::null());
    Some(Server::of(serve))
}

#[test]
fn a_full_disk_is_507_leaves_nothing_and_the_server_stays_up() {
    let small = "/collections/communes/export?f=csv&territory=com:59350";
    let site = site("");
    let Some(server) = on_a_small_disk(&site, 1_500) else { return };
    let answer = server.get("/collections/communes/export?f=gpkg");
    assert_eq!(answer.status, 507, "{}", answer.text());
    assert!(answer.text().contains("Le disque est plein"), "{}", answer.text());
    // What the full disk was filled with is gone.
    assert_eq!(server.get("/collections/communes/export?f=gpkg&territory=com:59350").status, 200);
    assert_eq!(server.get(small).status, 200);
    assert_eq!(server.get("/collections/communes/items?limit=1").status, 200);
    drop(server);
    // So it is for what is ordered.
    let site = self::site("stream_mb = 0");
    let Some(server) = on_a_small_disk(&site, 1_500) else { return };
    let answer = server.get("/collections/communes/export?f=gpkg");
    assert_eq!(answer.status, 202, "{}", answer.text());
    let order = answer.header("location").unwrap().split_once("/exports/").unwrap().1.to_owned();
    let order = format!("/exports/{order}");
    let failed = |s: &Server| s.get(&order).text().contains("Le disque est plein");
    assert!(server.until(Duration::from_secs(30), failed), "{}", server.get(&order).text());
    assert_eq!(server.get(small).status, 202);
    assert_eq!(server.get("/collections/communes/items?limit=1").status, 200);
}

/// Orders that a server worked on, by its own count.
fn worked_on(server: &Server) -> u64 {
    let text = server.send("GET", "/metrics", &[("Authorization", "Bearer a-secret")]).text();
    let counts = text.lines().filter(|l| l.starts_with("socle_exports_total{"));
    counts.map(|l| l.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn replicas_asked_for_the_same_at_once_work_on_it_once() {
    let site = site("stream_mb = 0");
    let file = site.path("socle.toml");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace("[server]\n", "[server]\nadmin_token_env = \"SOCLE_TEST_TOKEN\"\n");
    fs::write(&file, text).unwrap();
    let replica = || {
        let mut serve = command(&["serve", "--config", &site.config(), "--listen", "127.0.0.1:0"]);
        serve.env("SOCLE_TEST_TOKEN", "a-secret");
        Server::of(serve)
    };
    let replicas = [replica(), replica()];
    for format in ["gpkg", "fgb", "csv", "geojson"] {
        let path = format!("/collections/communes/export?f={format}");
        let placed: Vec<String> = std::thread::scope(|scope| {
            let ask = |n: usize| {
                let (server, path) = (&replicas[n % 2], &path);
                scope.spawn(move || {
                    let answer = server.get(path);
                    assert_eq!(answer.status, 202, "{}", answer.text());
                    answer.header("location").unwrap().split_once("/exports/").unwrap().1.to_owned()
                })
            };
            let asked: Vec<_> = (0..8).map(ask).collect();
            asked.into_iter().map(|a| a.join().unwrap()).collect()
        });
        assert!(placed.iter().all(|id| *id == placed[0]), "{placed:?}");
        for server in &replicas {
            let order = format!("/exports/{}", placed[0]);
            let done = |s: &Server| s.get(&order).json()["status"] == "successful";
            assert!(server.until(Duration::from_secs(30), done), "{}", server.get(&order).text());
        }
    }
    let counts = replicas.each_ref().map(worked_on);
    assert_eq!(counts.iter().sum::<u64>(), 4, "{counts:?}");
}

#[test]
fn what_cannot_be_is_said_and_how() {
    let server = demo_server();
    let many: Vec<String> = (0..10_000).map(|i| format!("com:{i:05}")).collect();
    let many = many.join(",");
    for (path, status, word) in [
        ("/collections/communes/export?f=dwg", 400, "gpkg, shp, geojson"),
        ("/collections/communes/export?f=gpkg&crs=EPSG:27572", 400, "2154"),
        ("/collections/communes/export?f=gpkg&crs=lambert", 400, "2154"),
        ("/collections/communes/export?f=geojson&crs=EPSG:2154", 400, "CRS84"),
        ("/collections/communes/export?f=gpkg&territory=dep:59&territory-mode=cut", 400, "within"),
        ("/collections/communes/export?f=gpkg&territory=dep:00", 400, "00"),
        ("/collections/communes/export?f=gpkg&bbox=1,2", 400, "bbox"),
        ("/collections/communes/export?f=csv&decimal=;", 400, "comma"),
        ("/collections/communes/export?f=csv&geometry=wkb", 400, "wkt"),
        ("/collections/communes/export?f=gpkg&q=1", 400, "Paramètre inconnu"),
        ("/collections/nowhere/export?f=gpkg", 404, "communes"),
        ("/export?f=gpkg&collections=communes,nowhere", 404, "nowhere"),
        ("/export?f=gpkg&collections=,", 400, "collections"),
        ("/exports/0123456789abcdef", 404, "export"),
        ("/exports/..%2F..%2Fetc", 404, "export"),
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(word), "{path}: {detail}");
    }
    let path = format!("/collections/communes/export?f=gpkg&territory={many}");
    let answer = send(&server.address, "GET", &path, &[]);
    assert!(matches!(answer.status, 400 | 414), "{}", answer.status);
}

#[test]
fn properties_filter_and_choices_are_shown() {
    let server = demo_server();
    let csv = server.get("/collections/communes/export?f=csv&code=59350");
    assert_eq!(csv.text().lines().count(), 2, "{}", csv.text());
    assert!(csv.header("content-disposition").unwrap().contains("_extrait_"));
    let choice = server.json("/collections/communes/export");
    assert_eq!(choice["formats"].as_array().unwrap().len(), 11);
    let collection = server.json("/collections/communes");
    let links = collection["links"].as_array().unwrap();
    assert_eq!(links.iter().filter(|l| l["rel"] == "enclosure").count(), 11);
    for path in ["/collections/communes/export", "/t/dep-59/export", "/collections/communes"] {
        let page = server.page(path);
        assert_eq!(page.status, 200);
        assert!(page.text().contains("export?f="), "{path}");
    }
}

#[test]
fn cut_writes_a_file_whole_or_not_at_all() {
    let site = site("");
    let file = site.path("nord.gpkg");
    let name = file.to_str().unwrap();
    let output = site.run(&[
        "cut",
        "communes",
        "mairies",
        "--territory",
        "dep:59",
        "--format",
        "gpkg",
        "-o",
        name,
    ]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("RGF93 v1 / Lambert-93"), "{}", said(&output));
    if has("ogrinfo") {
        let text = tool("ogrinfo", &["-ro", "-so", "-al", name]);
        assert!(
            text.contains("Feature Count: 647") && text.contains("Layer name: mairies"),
            "{text}"
        );
    }
    let before = fs::read(&file).unwrap();
    let few = site.path("grandes.csv");
    let filter = "population > 100000 AND TERRITORY('dep:59')";
    let args = ["cut", "communes", "--filter", filter, "--format", "csv", "-o"];
    let output = site.run(&[&args[..], &[few.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", said(&output));
    let text = fs::read_to_string(&few).unwrap();
    assert!(text.contains("Lille") && text.lines().count() == 2, "{text}");
    // A code that is no longer current is said wherever it is written.
    let filter = "TERRITORY('com:59355')";
    let args = ["cut", "communes", "--filter", filter, "--format", "csv", "-o"];
    let output = site.run(&[&args[..], &[few.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("59355") && said(&output).contains("59350"));
    for (args, code, word) in [
        (&["--format", "csv", "--filter", "popul > 3"][..], 2, "population"),
        (&["--format", "dwg"][..], 2, "gpkg"),
        (&["--format", "geojson", "--crs", "2154"], 2, "CRS84"),
        (&["--format", "gpkg", "--territory-mode", "clip"], 2, "--territory"),
        (&["--format", "gpkg", "--territory", "dep:00"], 2, "00"),
    ] {
        let output = site.run(&[&["cut", "communes", "-o", name], args].concat());
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(word), "{}", said(&output));
    }
    assert!(before == fs::read(&file).unwrap());
    let hidden: Vec<_> =
        files(site.dir.path()).into_iter().filter(|f| f.contains(".socle-export")).collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}

/// Bytes of a process's memory at its highest, since it was last asked to forget.
fn peak(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

#[test]
fn memory_stays_flat_while_a_large_layer_is_exported() {
    let site = Site::new();
    let rows = 300_000;
    let mut text = String::from("code;nom;lon;lat\n");
    for i in 0..rows {
        let (x, y) = (
            (f64::from(i) * 0.618_034).fract() * 8.0 - 3.0,
            (f64::from(i) * 0.754_878).fract() * 8.0 + 43.0,
        );
        text.push_str(&format!("{i:07};Point numéro {i} du semis d'essai;{x:.6};{y:.6}\n"));
    }
    fs::write(site.path("points.csv"), text).unwrap();
    site.layer(
        "points",
        "[source]\npath = \"../points.csv\"\n[source.csv]\nx = \"lon\"\ny = \"lat\"\ntext = [\"code\"]",
    );
    site.harvest();
    let server = site.serve();
    let answer = server.get("/collections/points/items?limit=1");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let before = peak(server.pid());
    for format in ["ndjson", "csv", "fgb", "gpkg", "parquet"] {
        let placed = server.get(&format!("/collections/points/export?f={format}&crs=CRS84"));
        assert!(matches!(placed.status, 200 | 202), "{}", placed.text());
        if let Some(location) = placed.header("location") {
            let done = follow(&server, location);
            assert_eq!(done["rows"], rows, "{format}: {done}");
        }
        let grown = peak(server.pid()).saturating_sub(before);
        // Of an index, at most 160 bytes a feature; of everything else, nothing that grows.
        let most = (48 << 20) + 160 * rows as u64;
        assert!(grown < most, "{format}: {grown} bytes more");
    }
}
