//! OGC API Features: a server of our own making that can be told to lose things, and Socle itself.

use super::{demo, features, gdal, harvested, layer, refused, same, with_ids};
use crate::support::{
    Site, demo_server, has, said,
    upstream::{Asked, Reply, Upstream},
};
use serde_json::{Value, json};
use std::{sync::Mutex, time::Instant};

/// How a made-up service misbehaves.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    Good,
    LosesARow,
    RepeatsARow,
    Circle,
    FailsOnce,
}

fn service(habit: Habit) -> Upstream {
    let all = with_ids();
    let failed = Mutex::new(false);
    Upstream::start(move |asked: &Asked| {
        let start = asked.number("offset").unwrap_or(0);
        let limit = asked.number("limit").unwrap_or(10);
        if habit == Habit::FailsOnce
            && start > 0
            && !std::mem::replace(&mut *failed.lock().unwrap(), true)
        {
            return Reply::Status(503, "Retry-After: 1\r\n".into(), vec![]);
        }
        let mut page: Vec<Value> = all.iter().skip(start).take(limit).cloned().collect();
        match habit {
            Habit::LosesARow if start > 0 => page.truncate(page.len().saturating_sub(1)),
            Habit::RepeatsARow if start > 0 => page[0] = all[0].clone(),
            _ => {}
        }
        let mut links = vec![];
        if start + limit < all.len() {
            let next = if habit == Habit::Circle { 0 } else { start + limit };
            let href = format!("{}?offset={next}&limit={limit}", asked.path);
            links.push(json!({ "rel": "next", "type": "application/geo+json", "href": href }));
        }
        let body = json!({ "type": "FeatureCollection", "numberMatched": all.len(), "features": page,
                           "links": links, "timeStamp": format!("{:?}", Instant::now()) });
        Reply::Ok("application/geo+json", body.to_string().into_bytes())
    })
}

pub(super) fn source(url: &str) -> String {
    format!("[source.ogc_features]\nurl = \"{url}\"\npage = 1000")
}

#[test]
fn a_collection_comes_whole_page_by_page_and_is_then_unchanged() {
    let upstream = service(Habit::FailsOnce);
    let site = Site::new();
    layer(&site, &source(&format!("{}/collections/communes", upstream.base)));
    site.harvest();
    let server = site.serve();
    same(&harvested(&server), &demo().1);
    let report = server.json("/collections/communes/versions");
    assert!(report.to_string().contains("/collections/communes/items"), "{report}");
    let asked = upstream.asked();
    // Four pages, one of them twice.
    assert_eq!(asked.len(), 5);
    assert!(asked.iter().all(|a| a.path == "/collections/communes/items"));
    assert!(asked[0].head.contains("application/geo+json"));
    let again = said(&site.run(&["harvest", "communes"]));
    assert!(again.contains("source inchangée"), "{again}");
}

#[test]
fn pages_that_lose_or_repeat_features_are_refused() {
    for (habit, words) in [
        (Habit::LosesARow, "la source annonce 3782 entités et en a donné"),
        (Habit::RepeatsARow, "est sur deux pages"),
        (Habit::Circle, "tournent en rond"),
    ] {
        let site = Site::new();
        let good = service(Habit::Good);
        layer(&site, &source(&format!("{}/collections/communes", good.base)));
        site.harvest();
        let before = site.run(&["versions", "communes"]).stdout;
        let bad = service(habit);
        layer(&site, &source(&format!("{}/collections/communes", bad.base)));
        if habit == Habit::Circle {
            // Ids repeat before the circle closes.
            refused(&site, "est sur deux pages");
        } else {
            refused(&site, words);
        }
        assert_eq!(site.run(&["versions", "communes"]).stdout, before);
    }
}

#[test]
fn socle_harvests_socle_in_degrees_and_in_lambert() {
    let demo_server = demo_server();
    let url = format!("{}collections/communes", demo_server.base);
    let site = Site::new();
    layer(&site, &source(&url));
    site.harvest();
    let server = site.serve();
    same(&harvested(&server), &demo().1);
    if has("ogr2ogr") {
        same(&harvested(&server), &gdal(&format!("OAPIF:{url}"), "communes", &[]));
    }
    let filtered = format!("{}\nfilter = \"dep = '59'\"", source(&url));
    layer(&site, &filtered);
    let output = site.run(&["harvest", "communes", "--force"]);
    assert!(said(&output).contains("647 entités"), "{}", said(&output));
    layer(&site, &format!("[source]\ncrs = \"EPSG:2154\"\n{}", source(&url)));
    let output = site.run(&["harvest", "communes", "--force"]);
    assert!(output.status.success(), "{}", said(&output));
    drop(server);
    let there = harvested(&site.serve());
    assert_eq!(features(&there).len(), 3_782);
    for (code, (_, places)) in super::told(&there, &[]) {
        let in_degrees = |p: &[i64; 2]| (1_000_000..5_000_000).contains(&p[0]);
        assert!(places.iter().all(in_degrees), "{code} is back in degrees");
    }
}
