//! `kill -9` in every phase of a harvest, over both stores: what was published is served whole, the
//! next harvest succeeds, and nothing that a dead writer left outlives it.

use crate::support::{
    Server, Site, StoreKind, command, postgres, said, store_kind,
    upstream::{Reply, Upstream},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

over_both!(a_harvest_killed_in_any_phase_leaves_what_was_and_is_made_up_for);

/// The phases, as the log names them; what a server does with the last two is in no other way seen.
const PHASES: [&str; 7] = [
    "Téléchargement",
    "Lecture",
    "Rattachement",
    "Chargement",
    "Publication",
    "Nettoyage",
    "Réunion des communes",
];

/// Kills of each store; `make long` asks for more.
fn kills() -> usize {
    std::env::var("SOCLE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(PHASES.len())
}

/// Communes that are drawn as squares, and points in them.
const CODES: [&str; 4] = ["59350", "59512", "59599", "62041"];
const POINTS: usize = 2_000;

/// What the source holds: deliveries whose attribute names them.
#[derive(Clone, Default)]
struct Source(Arc<Mutex<u64>>);

impl Source {
    fn start(site: &Site) -> Self {
        let source = Self::default();
        let held = source.clone();
        let upstream = Upstream::start(move |asked| {
            let delivery = *held.0.lock().unwrap();
            match asked.path.as_str() {
                "/communes.geojson" => Reply::json(&communes(delivery)),
                _ => Reply::Ok("text/csv", points(delivery).into_bytes()),
            }
        });
        let base = &upstream.base;
        site.layer(
            "communes",
            &format!("key = \"code\"\n[source]\nurl = \"{base}/communes.geojson\"\n[territory]\nlevel = \"com\"\ncolumn = \"code\"\nborders = \"com\""),
        );
        site.layer("points", &format!("key = \"id\"\n[source]\nurl = \"{base}/points.csv\""));
        source
    }

    fn holds(&self, delivery: u64) {
        *self.0.lock().unwrap() = delivery;
    }
}

fn communes(delivery: u64) -> Value {
    let square = |(at, code): (usize, &&str)| {
        let (x, y) = (3.0 + (at % 2) as f64 * 0.1, 50.6 + (at / 2) as f64 * 0.1);
        // The border moves with the delivery: levels and attachments are made anew.
        let (e, n) = (x + 0.1, y + 0.1 + delivery as f64 * 1e-5);
        json!({
            "type": "Feature",
            "properties": { "code": code, "livraison": delivery },
            "geometry": { "type": "Polygon", "coordinates": [[[x, y], [e, y], [e, n], [x, n], [x, y]]] },
        })
    };
    let features: Vec<Value> = CODES.iter().enumerate().map(square).collect();
    json!({ "type": "FeatureCollection", "features": features })
}

fn points(delivery: u64) -> String {
    let row = |i: usize| {
        let (lon, lat) = (3.0 + (i % 100) as f64 * 0.002, 50.6 + (i / 100) as f64 * 0.01);
        format!("{i};{delivery};{lon:.4};{lat:.4}\n")
    };
    format!("id;livraison;lon;lat\n{}", (0..POINTS).map(row).collect::<String>())
}

/// A harvest with its derived levels, whose log names the phases.
fn harvest(config: &str) -> std::process::Command {
    let mut command = command(&["harvest", "--config", config]);
    command.env("SOCLE_LOG", "socle=debug").stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// The phase that a line of the log begins.
fn phase(line: &str) -> Option<usize> {
    PHASES.iter().position(|name| line.contains(&format!("stage=\"{name}")))
}

/// How long each phase takes, one after the other.
fn measured(config: &str) -> Vec<(usize, Duration)> {
    let mut child = harvest(config).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut began: Vec<(usize, Instant)> = Vec::new();
    let mut all = String::new();
    for line in lines.map_while(Result::ok) {
        began.extend(phase(&line).map(|phase| (phase, Instant::now())));
        all.push_str(&line);
        all.push('\n');
    }
    assert!(child.wait().unwrap().success(), "{all}");
    let ends = began.iter().skip(1).map(|b| b.1).chain([Instant::now()]);
    let lasted = began.iter().zip(ends).map(|((phase, at), end)| (*phase, end - *at));
    let lasted: Vec<_> = lasted.collect();
    for (phase, name) in PHASES.iter().enumerate() {
        assert!(lasted.iter().any(|l| l.0 == phase), "{name} is not named: {all}");
    }
    lasted
}

/// Kills a harvest some time after it begins the n-th of its phases; whether it was still running.
fn kill(config: &str, nth: usize, after: Duration) -> bool {
    let mut child = harvest(config).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut seen = 0;
    for line in lines.map_while(Result::ok) {
        seen += usize::from(phase(&line).is_some());
        if seen > nth {
            std::thread::sleep(after);
            break;
        }
    }
    let running = matches!(child.try_wait(), Ok(None));
    let _ = child.kill();
    child.wait().unwrap();
    running
}

/// The delivery that a layer shows, the same on all its features.
fn shown(server: &Server, layer: &str, count: usize) -> u64 {
    let page = server.json(&format!("/collections/{layer}/items?limit=10000"));
    let features = page["features"].as_array().unwrap();
    assert_eq!(features.len(), count, "{layer}");
    let first = features[0]["properties"]["livraison"].as_u64().unwrap();
    assert!(features.iter().all(|f| f["properties"]["livraison"] == first), "a mixture of {layer}");
    first
}

fn both(server: &Server) -> [u64; 2] {
    [shown(server, "communes", CODES.len()), shown(server, "points", POINTS)]
}

fn a_harvest_killed_in_any_phase_leaves_what_was_and_is_made_up_for() {
    let site = Site::new();
    let source = Source::start(&site);
    let config = site.with_levels();
    source.holds(1);
    let first = crate::support::finish(&mut command(&["harvest", "--config", &config]));
    assert!(first.status.success(), "{}", said(&first));
    source.holds(2);
    let lasted = measured(&config);
    let (mut published, mut running) = ([2, 2], 0);
    for round in 0..kills() {
        let delivery = 3 + round as u64;
        source.holds(delivery);
        // Each kind of phase in turn, and each time it comes; somewhere within what it takes.
        let wanted = round % PHASES.len();
        let times: Vec<usize> = (0..lasted.len()).filter(|n| lasted[*n].0 == wanted).collect();
        let nth = times[(round / PHASES.len()) % times.len()];
        let after = lasted[nth].1 * u32::try_from(round * 37 % 100).unwrap() / 100;
        running += usize::from(kill(&config, nth, after));
        if store_kind() == StoreKind::Postgis {
            // What the dead one had claimed is free again after `lease_s`.
            std::thread::sleep(Duration::from_millis(1200));
        }
        let server = Server::start(&config);
        for (now, before) in both(&server).iter().zip(published) {
            assert!(
                *now == before || *now == delivery,
                "{now} after {} in round {round}",
                PHASES[wanted]
            );
        }
        let levels = server.json("/collections/territoires-dep/items");
        assert_eq!(levels["numberMatched"], 2, "{levels}");
        // The next run makes up for it, beside the server, and leaves nothing of the dead one.
        let again = crate::support::finish(&mut command(&["harvest", "--config", &config]));
        assert!(again.status.success(), "{}: {}", PHASES[wanted], said(&again));
        published = [delivery; 2];
        assert!(server.until(Duration::from_secs(3), |s| both(s) == published), "round {round}");
        drop(server);
        match store_kind() {
            StoreKind::Embedded => no_leftover_files(&site),
            StoreKind::Postgis => no_leftover_tables(&site),
        }
    }
    println!("{running} of {} harvests were killed before they ended", kills());
    assert!(running * 2 > kills(), "{running}: the kills came too late to say anything");
    let check = crate::support::finish(&mut command(&["check", "--config", &config]));
    assert!(check.status.success(), "{}", said(&check));
}

/// Every version of every layer is whole, and there are no more than are kept; nothing is aside.
fn no_leftover_files(site: &Site) {
    let layers = site.path("store/layers");
    let names = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|e| e.file_name().to_str().unwrap().to_owned()).collect()
    };
    for layer in names(&layers) {
        let folder = layers.join(&layer);
        assert!(
            names(&folder.join("aside")).is_empty(),
            "{layer}: {:?}",
            names(&folder.join("aside"))
        );
        let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in names(&folder.join("versions")) {
            let (version, rest) = name.split_once('.').unwrap();
            versions.entry(version.to_owned()).or_default().push(rest.to_owned());
        }
        // A level that no commune here belongs to has none.
        let least = usize::from(folder.join("current").exists());
        assert!((least..=least * 4).contains(&versions.len()), "{layer}: {versions:?}");
        for (version, files) in &versions {
            for part in ["gpkg", "idx", "json", "published"] {
                assert!(files.iter().any(|f| f == part), "{layer} {version}: {files:?}");
            }
            let reaches = files.iter().filter(|f| f.ends_with(".reach")).count();
            assert!(reaches >= 1 && files.len() == 4 + reaches, "{layer} {version}: {files:?}");
        }
        let rest = names(&folder);
        assert!(rest.iter().all(|name| !name.ends_with(".tmp")), "{layer}: {rest:?}");
    }
}

/// Every table of features or tiles is that of a version, every version was published and none is
/// beyond those that are kept.
fn no_leftover_tables(site: &Site) {
    let url = fs::read_to_string(site.path("database")).unwrap();
    let database = url.rsplit('/').next().unwrap().trim().to_owned();
    let ask = |sql: &str| postgres::shared().unwrap().sql(&database, sql);
    let orphans =
        ask("SELECT string_agg(tablename, ', ') FROM pg_tables WHERE schemaname = 'socle_store'
         AND tablename ~ '^[ft][0-9]+$'
         AND substr(tablename, 2)::bigint NOT IN (SELECT serial FROM socle_store.versions)");
    assert_eq!(orphans, "");
    let unpublished = ask(
        "SELECT string_agg(layer || ' ' || id, ', ') FROM socle_store.versions v WHERE NOT published
         AND serial NOT IN (SELECT version FROM socle_store.layers)",
    );
    assert_eq!(unpublished, "");
    let most =
        ask("SELECT max(n) FROM (SELECT count(*) AS n FROM socle_store.versions GROUP BY layer) c");
    assert!(most.parse::<u32>().unwrap() <= 4, "{most}");
}
