//! More tiles asked for than can be drawn: those that are kept are answered as before, the others
//! wait a while or are turned away, and memory stays within its bounds.

use crate::support::{Server, Site, demo_layers};
use std::{
    collections::BTreeMap,
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

over_both!(a_flood_of_cold_tiles_leaves_the_kept_ones_and_their_memory_alone);

/// What opens the metrics.
const VARIABLE: &str = "SOCLE_TEST_SATURATION_TOKEN";
const TOKEN: &str = "a-secret-for-the-flood";
/// Who asks at once: more than are drawn and wait.
const CLIENTS: usize = 16;
/// How long the flood lasts, at least and at most.
const FLOOD: Duration = Duration::from_secs(3);
const LONGEST: Duration = Duration::from_secs(90);

/// What people look at, of all layers and zooms.
const USEFUL: [&str; 8] = [
    "/collections/communes/tiles/7/64/43.mvt",
    "/collections/communes/tiles/8/129/86.mvt",
    "/collections/communes/tiles/9/259/172.mvt",
    "/collections/cantons/tiles/7/64/43.mvt",
    "/collections/cantons/tiles/8/130/86.mvt",
    "/collections/mairies/tiles/8/129/86.mvt",
    "/t/dep-59/collections/communes/tiles/9/260/172.mvt",
    "/t/dep-62/collections/mairies/tiles/9/259/172.mvt",
];

/// The sum of a metric over its labels.
fn metric(server: &Server, name: &str) -> f64 {
    let text = server.get(&format!("/metrics?key={TOKEN}")).text();
    let of = |line: &str| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with([' ', '{']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok()).flatten()
    };
    text.lines().filter_map(of).sum()
}

/// Half of the times are below.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// How one client of the flood fared: statuses, and how long drawn tiles and refusals took.
#[derive(Default)]
struct Fared {
    statuses: BTreeMap<u16, usize>,
    drawn: Vec<Duration>,
    refused: Vec<Duration>,
}

/// How all of them fared.
fn together(clients: Vec<Fared>) -> Fared {
    let mut all = Fared::default();
    for one in clients {
        for (status, n) in one.statuses {
            *all.statuses.entry(status).or_default() += n;
        }
        all.drawn.extend(one.drawn);
        all.refused.extend(one.refused);
    }
    all
}

fn a_flood_of_cold_tiles_leaves_the_kept_ones_and_their_memory_alone() {
    let site = Site::new();
    demo_layers(&site);
    site.harvest();
    let main = fs::read_to_string(site.path("socle.toml")).unwrap();
    let main = main.replace("[server]\n", &format!("[server]\nadmin_token_env = \"{VARIABLE}\"\n"));
    let tiles = "[tiles]\nrenderers = 1\nwaiting = 4\ncache_mb = 4\n";
    fs::write(site.path("socle.toml"), format!("{main}{tiles}")).unwrap();
    let mut serve = site.serve_command(&[]);
    serve.env(VARIABLE, TOKEN);
    let server = Server::of(serve);
    for path in USEFUL {
        assert_eq!(server.get(path).status, 200, "{path}");
    }

    let (over, next) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (drawn, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (kept, fared): (Vec<Duration>, Vec<Fared>) = std::thread::scope(|scope| {
        let flood = || {
            let mut fared = Fared::default();
            while !over.load(Ordering::Relaxed) {
                // A filter nobody else asks for: drawn anew, and kept for nobody's good.
                let n = next.fetch_add(1, Ordering::Relaxed);
                let path =
                    format!("/collections/communes/tiles/7/64/43.mvt?filter=population%3E{n}");
                let started = Instant::now();
                let answer = server.get(&path);
                let took = started.elapsed();
                *fared.statuses.entry(answer.status).or_default() += 1;
                match answer.status {
                    200 => {
                        drawn.fetch_add(1, Ordering::Relaxed);
                        fared.drawn.push(took);
                    }
                    503 => {
                        let after = answer.header("retry-after").and_then(|s| s.parse().ok());
                        assert!(after.is_some_and(|s: u64| s >= 1), "{:?}", answer.headers);
                        refused.fetch_add(1, Ordering::Relaxed);
                        fared.refused.push(took);
                    }
                    other => panic!("{other}: {}", answer.text()),
                }
            }
            fared
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(flood)).collect();
        let both = || [&drawn, &refused].iter().all(|n| n.load(Ordering::Relaxed) > 5);
        let kept = std::panic::catch_unwind(|| ask(&server, &both));
        over.store(true, Ordering::Relaxed);
        let fared = clients.into_iter().map(|client| client.join().unwrap()).collect();
        (kept.unwrap(), fared)
    });

    let all = together(fared);
    assert!(all.drawn.len() > 5 && all.refused.len() > 5, "{:?}", all.statuses);
    // Kept tiles pass by the queue: whoever waits for a renderer waits for others' tiles too.
    let [kept_took, drawn, refused] = [kept, all.drawn, all.refused].map(median);
    println!("kept {kept_took:?}, drawn {drawn:?}, refused {refused:?}; {:?}", all.statuses);

    // The figure is brought up to date now and then.
    assert!(server.until(LONGEST, |s| metric(s, "socle_tile_cache_bytes") > 0.0));
    // Nothing that was useful had to be drawn again.
    let misses = metric(&server, "socle_tile_cache_misses_total");
    for path in USEFUL {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    assert_eq!(metric(&server, "socle_tile_cache_misses_total"), misses);
}

/// Asks for the useful tiles again and again, for as long as the flood lasts and until it has been
/// felt; how long each took.
fn ask(server: &Server, felt: &dyn Fn() -> bool) -> Vec<Duration> {
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < FLOOD || (!felt() && begun.elapsed() < LONGEST) {
        for path in USEFUL {
            let started = Instant::now();
            let answer = server.get(path);
            times.push(started.elapsed());
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        }
        let bytes = metric(server, "socle_tile_cache_bytes");
        assert!(bytes <= f64::from(4 << 20), "{bytes}");
    }
    times
}
