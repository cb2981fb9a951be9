//! An upgrade keeps everything: what an earlier program wrote (`tests/data`) is opened as it is,
//! with its versions, counts, checksums, attachments and history; what a later program wrote is
//! refused, and not touched.

use crate::support::{Site, StoreKind, postgres, root, said, tool};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn data(name: &str) -> PathBuf {
    root().join("tests/data/2c9064c").join(name)
}

/// A configuration with the layers of that program.
fn layers(site: &Site) {
    for entry in fs::read_dir(data("layers")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), site.path("layers").join(entry.file_name())).unwrap();
    }
}

/// The embedded store that it wrote.
fn files() -> Site {
    let site = Site::of(StoreKind::Embedded);
    layers(&site);
    let archive = data("store.tar.gz");
    let to = site.path("");
    tool("tar", &["-xzf", archive.to_str().unwrap(), "-C", to.to_str().unwrap()]);
    site
}

/// The database that it wrote, and the name it has here.
fn database(server: &postgres::Postgres) -> (Site, String) {
    let name = server.database();
    let dump = fs::File::open(data("postgis.sql.gz")).unwrap();
    let mut unpacked = Command::new("gunzip")
        .arg("-c")
        .stdin(dump)
        .stdout(Stdio::piped())
        .spawn()
        .expect("gunzip runs");
    let restored = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &server.url(&name)])
        .stdin(unpacked.stdout.take().unwrap())
        .stdout(Stdio::null())
        .output()
        .expect("psql runs");
    assert!(unpacked.wait().unwrap().success() && restored.status.success(), "{}", said(&restored));
    let site = Site::over(&server.url(&name), "");
    layers(&site);
    (site, name)
}

/// Lines of `migrate-store`: mark, layer, version, count, checksum.
fn copies(text: &str) -> Vec<Vec<String>> {
    let mut lines: Vec<Vec<String>> = text
        .lines()
        .filter(|line| line.contains("20261124T"))
        .map(|line| line.replace("* ", "*").split_whitespace().take(4).map(str::to_owned).collect())
        .collect();
    lines.sort();
    lines
}

/// Everything that was published is there, as it was; and goes on from there.
fn whole(site: &Site) {
    let check = site.run(&["check"]);
    assert!(check.status.success(), "{}", said(&check));
    // Read row by row and compared with the checksums of the program that wrote it.
    let other = Site::of(StoreKind::Embedded);
    layers(&other);
    let copied = site.run(&["migrate-store", "--to", &other.config()]);
    assert!(copied.status.success(), "{}", said(&copied));
    let expected = copies(&fs::read_to_string(data("copied.txt")).unwrap());
    assert_eq!(expected.len(), 3);
    assert_eq!(copies(&said(&copied)), expected);
    for site in [site, &other] {
        let web = site.serve();
        let matched = |path: &str| {
            let page = web.json(path);
            (page["numberMatched"].as_u64(), page["features"].as_array().unwrap().len())
        };
        assert_eq!(matched("/collections/communes/items?limit=1000"), (Some(70), 70));
        assert_eq!(matched("/collections/mairies/items?limit=1000"), (Some(95), 95));
        let of = |layer: &str, territory: &str| {
            matched(&format!("/collections/{layer}/items?limit=1000&territory={territory}")).0
        };
        assert_eq!(of("mairies", "epci:200093201"), Some(95));
        assert_eq!(of("mairies", "com:59350"), Some(1));
        assert_eq!(of("mairies", "dep:62"), Some(0));
        let tile = web.get("/collections/communes/tiles/10/520/344.mvt");
        assert!(tile.status == 200 && tile.body.len() > 500, "{}", tile.status);
    }
    // The later version is kept: one step away.
    let versions = said(&site.run(&["versions", "communes"]));
    assert!(versions.contains("* 20261124T100007Z") && versions.contains("  20261124T100009Z"));
    let forward = site.run(&["rollback", "communes", "20261124T100009Z-78b673bb"]);
    assert!(forward.status.success(), "{}", said(&forward));
    let web = site.serve();
    let page = web.json("/collections/communes/items?limit=1000&territory=epci:200093201");
    assert_eq!(page["numberMatched"], 95);
    assert!(page["features"][0]["properties"]["population"].is_number());
}

#[test]
fn files_of_an_earlier_program_are_opened_with_all_they_hold() {
    whole(&files());
}

#[test]
fn a_database_of_an_earlier_program_is_migrated_in_place_with_all_it_holds() {
    let Some(server) = postgres::shared() else { return };
    let (site, name) = database(server);
    whole(&site);
    let known = fs::read_dir(root().join("src/store/postgis/migrations")).unwrap().count();
    let applied = server.sql(&name, "SELECT max(number) FROM socle_store.migrations");
    assert_eq!(applied, known.to_string(), "all migrations ran");
}

/// Every file below a folder with its bytes.
fn snapshot(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(snapshot(&path));
        } else if path.file_name().is_some_and(|n| n != "lock") {
            all.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

fn refused(site: &Site) {
    for args in [&["layers"][..], &["check"], &["harvest"], &["rollback", "communes"]] {
        let output = site.run(args);
        let text = said(&output);
        assert!(!output.status.success() && text.contains("99"), "{args:?}: {text}");
        assert!(text.contains("Mettez Socle à jour"), "{args:?}: {text}");
    }
}

#[test]
fn files_of_a_later_program_are_refused_and_stay_as_they_are() {
    let site = files();
    let mut raised = 0;
    for (path, bytes) in snapshot(&site.path("store")) {
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let Ok(mut value) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
        if value.get("format").is_some() {
            value["format"] = 99.into();
            fs::write(&path, value.to_string()).unwrap();
            raised += 1;
        }
    }
    assert!(raised > 0, "no file names its format");
    let before = snapshot(&site.path("store"));
    refused(&site);
    assert_eq!(snapshot(&site.path("store")), before);
}

#[test]
fn a_database_of_a_later_program_is_refused_and_stays_as_it_is() {
    let Some(server) = postgres::shared() else { return };
    let (site, name) = database(server);
    server.sql(&name, "INSERT INTO socle_store.migrations (number) VALUES (99)");
    let state = "SELECT md5(string_agg(l::text, '|' ORDER BY l::text)) FROM socle_store.layers l";
    let tables = "SELECT count(*) FROM pg_class";
    let before = (server.sql(&name, state), server.sql(&name, tables));
    refused(&site);
    assert_eq!((server.sql(&name, state), server.sql(&name, tables)), before);
}
