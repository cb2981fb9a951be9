//! `socle harvest` on real files and on wrong ones: what is published, what is said, and that
//! nothing published is ever lost.

use crate::support::{Site, demo_layers, said, shared};
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    time::Duration,
};

const SQUARE: &str = r#"{"type":"FeatureCollection","features":[
 {"type":"Feature","properties":{"code":"59350","n":1},"geometry":{"type":"Polygon","coordinates":[[[3,50],[3.1,50],[3.1,50.1],[3,50.1],[3,50]]]}},
 {"type":"Feature","properties":{"code":"59512","n":2},"geometry":{"type":"Polygon","coordinates":[[[3.1,50],[3.2,50],[3.2,50.1],[3.1,50.1],[3.1,50]]]}}]}"#;

const BOUND: &str = "key = \"code\"\n[territory]\nlevel = \"com\"\ncolumn = \"code\"";

/// A site with one published layer of two features.
fn published() -> Site {
    let site = Site::new();
    fs::write(site.path("zones.geojson"), SQUARE).unwrap();
    site.layer("zones", &format!("{BOUND}\n[source]\npath = \"../zones.geojson\""));
    site.harvest();
    site
}

/// Harvests again, expects a failure that says `words`, and the published version to be there.
fn refused(site: &Site, words: &[&str]) {
    let before = said(&site.run(&["versions", "zones"]));
    let output = site.run(&["harvest", "zones"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for word in words {
        assert!(text.contains(word), "« {word} » not in: {text}");
    }
    assert_eq!(said(&site.run(&["versions", "zones"])), before);
    assert!(said(&site.run(&["layers"])).contains(" 2  "));
}

#[test]
pub fn the_demo_is_harvested_whole_and_an_unchanged_source_makes_no_version() {
    let site = Site::new();
    demo_layers(&site);
    let first = site.harvest();
    assert!(first.contains("3782 entités"), "{first}");
    let versions = said(&site.run(&["versions", "communes"]));
    let second = site.harvest();
    assert_eq!(second.matches("source inchangée").count(), 3, "{second}");
    assert_eq!(said(&site.run(&["versions", "communes"])), versions);
    let check = site.run(&["check"]);
    assert!(check.status.success(), "{}", said(&check));
}

#[test]
pub fn a_truncated_geojson_is_refused_and_the_last_version_stays() {
    let site = published();
    fs::write(site.path("zones.geojson"), &SQUARE[..SQUARE.len() - 40]).unwrap();
    refused(&site, &["zones"]);
}

#[test]
pub fn a_delivery_that_lost_most_of_its_rows_is_held() {
    let site = Site::new();
    let row = |i: u32| format!("{i};3,{i};50,{i}\r\n");
    let table = |n: u32| format!("id;lon;lat\r\n{}", (1..=n).map(row).collect::<String>());
    fs::write(site.path("points.csv"), table(20)).unwrap();
    site.layer("points", "key = \"id\"\n[source]\npath = \"../points.csv\"");
    site.harvest();
    fs::write(site.path("points.csv"), table(4)).unwrap();
    let output = site.run(&["harvest"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("retenue"), "{text}");
    assert!(said(&site.run(&["layers"])).contains(" 20  "));
    assert!(site.run(&["harvest", "--force"]).status.success());
    assert!(said(&site.run(&["layers"])).contains(" 4  "));
    // And back: the version before is one command away.
    assert!(site.run(&["rollback", "points"]).status.success());
    assert!(said(&site.run(&["layers"])).contains(" 20  "));
}

#[test]
pub fn a_broken_csv_line_is_refused_with_its_number_and_the_rest_kept() {
    let site = Site::new();
    let text = "nom;lon;lat\r\nA;3,1;50,1\r\nB;3,2\r\nC;trois;50,2\r\n\"D\r\nd\";3,4;50,4\r\nE;3,5;50,5;9\r\n";
    fs::write(site.path("points.csv"), text).unwrap();
    site.layer("points", "[source]\npath = \"../points.csv\"");
    let text = site.harvest();
    assert!(text.contains("lues 5 · gardées 2 · refusées 3"), "{text}");
    for line in ["ligne 3", "ligne 4", "ligne 7"] {
        assert!(text.contains(line), "{line} not in: {text}");
    }
    // Where none is kept there is no report to look into: the failure says the first reason.
    fs::write(site.path("points.csv"), "nom;lon;lat\r\nA ; B;3,1;50,1\r\nC ; D;3,2;50,2\r\n")
        .unwrap();
    let output = site.run(&["harvest"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("2 lues, 2 refusées. Ligne 2 : "), "{text}");
}

/// What is published stays attached as it was, and whoever harvests anything learns that it is.
#[test]
pub fn a_layer_that_cannot_be_attached_is_said_and_keeps_no_other_from_it() {
    let site = Site::new();
    let text = "id,insee,lon,lat\n1,59350,3.05,50.63\n2,62041,2.77,50.29\n";
    fs::write(site.path("lieux.csv"), text).unwrap();
    let layer = |column: &str| {
        format!(
            "key = \"id\"\n[source]\npath = \"../lieux.csv\"\n[territory]\nlevel = \"com\"\ncolumn = \"{column}\""
        )
    };
    site.layer("lieux", &layer("insee"));
    site.layer("autres", &layer("insee"));
    site.harvest();
    site.layer("lieux", &layer("commune"));
    let output = site.run(&["harvest", "autres"]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("= autres") && said.contains("✗ lieux"), "{said}");
    assert!(said.contains("commune"), "the column is named: {said}");
    site.layer("lieux", &layer("insee"));
    assert!(site.run(&["harvest", "autres"]).status.success());
    let server = site.serve();
    let nord = server.json("/t/dep-59/collections/lieux/items");
    assert_eq!(nord["numberMatched"], 1);
}

#[test]
fn a_shapefile_without_its_table_is_refused() {
    let site = published();
    let zip = site.path("zones.zip");
    let mut out = zip::ZipWriter::new(fs::File::create(&zip).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    out.start_file("zones.shp", options).unwrap();
    out.write_all(&[0; 100]).unwrap();
    out.start_file("zones.shx", options).unwrap();
    out.write_all(&[0; 100]).unwrap();
    out.finish().unwrap();
    site.layer("zones", &format!("{BOUND}\n[source]\npath = \"../zones.zip\""));
    refused(&site, &[".dbf"]);
}

#[test]
fn a_zip_bomb_is_refused_before_it_fills_the_disk() {
    let site = published();
    let zip = site.path("zones.zip");
    let mut out = zip::ZipWriter::new(fs::File::create(&zip).unwrap());
    out.start_file("zones.geojson", zip::write::SimpleFileOptions::default()).unwrap();
    let zeros = vec![b' '; 1 << 20];
    for _ in 0..600 {
        out.write_all(&zeros).unwrap();
    }
    out.finish().unwrap();
    site.layer("zones", &format!("{BOUND}\n[source]\npath = \"../zones.zip\""));
    refused(&site, &["zones"]);
    assert!(size_of(site.dir.path()) < 50 << 20);
}

fn size_of(folder: &Path) -> u64 {
    fs::read_dir(folder)
        .unwrap()
        .map(|e| {
            let path = e.unwrap().path();
            if path.is_dir() { size_of(&path) } else { path.metadata().map_or(0, |m| m.len()) }
        })
        .sum()
}

/// Answers every connection with these bytes, then with silence for `silence`.
fn upstream(answer: &'static [u8], silence: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(answer);
                std::thread::sleep(silence);
            });
        }
    });
    format!("http://{address}/zones.geojson")
}

#[test]
fn a_source_that_hangs_is_given_up_in_time() {
    let site = published();
    let url = upstream(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{\"type\"",
        Duration::from_secs(60),
    );
    site.layer("zones", &format!("{BOUND}\n[source]\nurl = \"{url}\"\ntimeout_s = 2"));
    refused(&site, &["2 s"]);
}

#[test]
fn a_page_instead_of_data_is_recognised() {
    let site = published();
    let page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 42\r\n\r\n<!DOCTYPE html><html><body>oups</body></ht";
    let url = upstream(page, Duration::ZERO);
    site.layer("zones", &format!("{BOUND}\n[source]\nurl = \"{url}\""));
    refused(&site, &["HTML"]);
}

#[test]
fn a_wrong_configuration_is_refused_with_file_line_and_the_nearest_key() {
    let site = published();
    site.layer("zones", "titre = \"x\"\n[source]\npath = \"../zones.geojson\"");
    let output = site.run(&["harvest"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for word in ["zones.toml", "titre", "title"] {
        assert!(text.contains(word), "« {word} » not in: {text}");
    }
    let output = crate::support::socle(&["layers", "--config", "/nulle/part/socle.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("/nulle/part/socle.toml"));
}

#[test]
pub fn communes_of_2018_are_carried_to_the_current_ones() {
    let Some(file) = shared("communes-2018.geojson.gz") else { return };
    let site = Site::new();
    let source = format!("[source]\npath = {file:?}");
    site.layer(
        "communes",
        &format!("{BOUND}\nborders = \"com\"\n[tiles]\nmax_zoom = 12\n{source}"),
    );
    let text = site.harvest();
    assert!(text.contains("35357 entités"), "{text}");
    assert!(text.contains("reportées 493 · non rattachées 0"), "{text}");
    let server = site.serve();
    let nord = server.json("/t/dep-59/collections/communes/items?limit=1");
    assert_eq!(nord["numberMatched"], 648);
}
