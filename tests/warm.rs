//! `socle warm` and the small zooms that are kept, from outside.

use crate::support::{Site, demo_layers, gunzip, said};
use std::{fs, path::Path, time::Duration};

over_both!(kept_zooms_are_served_as_if_they_were_drawn, a_server_keeps_what_is_published);

/// The files kept.
fn kept(site: &Site) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => walk(&path, found),
                path => found.push(path.display().to_string()),
            }
        }
    }
    let mut found = Vec::new();
    walk(&site.path("data/blobs/tiles"), &mut found);
    found
}

fn with_tiles(site: &Site, tiles: &str) {
    let text = fs::read_to_string(site.config()).unwrap();
    let text = text.split("\n[tiles]").next().unwrap().to_owned();
    fs::write(site.config(), format!("{text}\n[tiles]\n{tiles}\n")).unwrap();
}

fn kept_zooms_are_served_as_if_they_were_drawn() {
    let site = Site::new();
    demo_layers(&site);
    with_tiles(&site, "kept_mb = 64");
    site.harvest();
    let warmed = site.run(&["warm", "communes", "--max-zoom", "7"]);
    assert!(warmed.status.success(), "{}", said(&warmed));
    assert!(said(&warmed).contains("jusqu'au zoom 7"), "{}", said(&warmed));
    assert!(said(&site.run(&["warm", "communes"])).contains("déjà"));
    assert_eq!(kept(&site).len(), 1, "{:?}", kept(&site));
    let unknown = site.run(&["warm", "rues"]);
    assert!(!unknown.status.success() && said(&unknown).contains("communes"));

    let server = site.serve();
    with_tiles(&site, "kept_mb = 0");
    let drawing = site.serve();
    assert_eq!(site.run(&["warm"]).status.code(), Some(2));
    let mut shown = 0;
    for (z, x, y) in
        [(0, 0, 0), (3, 4, 2), (5, 16, 10), (6, 32, 21), (7, 64, 43), (7, 65, 43), (7, 60, 40)]
    {
        let path = format!("/collections/communes/tiles/{z}/{x}/{y}.mvt");
        let of = |server: &crate::support::Server| {
            server.send("GET", &path, &[("Accept-Encoding", "gzip")])
        };
        let (ours, theirs) = (of(&server), of(&drawing));
        assert_eq!((ours.status, ours.header("etag")), (theirs.status, theirs.header("etag")));
        assert!(ours.body == theirs.body, "{path}");
        if ours.status == 200 {
            shown += 1;
            assert!(!gunzip(&ours.body).is_empty());
        }
        // What is selected is never what is kept.
        let scoped = |server: &crate::support::Server| server.get(&format!("/t/dep-59{path}")).body;
        assert!(scoped(&server) == scoped(&drawing), "{path}");
    }
    assert!(shown >= 5);
}

fn a_server_keeps_what_is_published() {
    let site = Site::new();
    demo_layers(&site);
    with_tiles(&site, "kept_mb = 64");
    site.harvest();
    let server = site.serve();
    let all = server.until(Duration::from_secs(60), |_| kept(&site).len() == 3);
    assert!(all, "{:?}", kept(&site));
    let before = kept(&site);
    // A new version has a file of its own.
    let text = fs::read_to_string(site.path("layers/mairies.toml")).unwrap();
    fs::write(site.path("layers/mairies.toml"), text.replace("max_zoom = 14", "max_zoom = 13"))
        .unwrap();
    let again = site.run(&["harvest", "mairies", "--force"]);
    assert!(again.status.success(), "{}", said(&again));
    let more = server.until(Duration::from_secs(60), |_| kept(&site).len() > before.len());
    assert!(more, "{:?}", kept(&site));
}
