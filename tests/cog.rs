//! The territory reference as something with versions: loaded, looked at, put in force under a
//! running server, undone.

use crate::support::{Server, Site, StoreKind, postgres, said, store_kind};
use socle::{
    model::{Level, TerritoryCode},
    store::{Store, embedded::EmbeddedStore},
    territory::Reference,
};
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
    time::Duration,
};

over_both!(
    a_new_cog_flips_with_what_is_attached_under_it,
    a_broken_delivery_changes_nothing,
    a_new_vintage_is_fetched_and_waits,
    a_damaged_table_is_told_mended_and_left,
    a_program_with_another_table_reads_what_was_attached_under_the_one_before,
);

/// INSEE's list of communes as the compiled table has them, of the year after; lines changed or
/// dropped by `edit`.
fn v_commune(edit: impl Fn(&str, String) -> Option<String>) -> String {
    let reference = Reference::builtin();
    let mut text = String::from("TYPECOM,COM,REG,DEP,ARR,LIBELLE,COMPARENT\n");
    let parent = |code: &TerritoryCode, level: Level| {
        let parents = reference.get(code).map(|t| t.parents).unwrap_or_default();
        let found = parents.into_iter().find(|p| p.level == level);
        found.map(|p| p.code.to_string()).unwrap_or_default()
    };
    for code in (0..reference.commune_count()).filter_map(|rank| reference.commune(rank)) {
        let [reg, dep, arr] =
            [Level::Reg, Level::Dep, Level::Arr].map(|level| parent(&code, level));
        if reg.starts_with("97") || reg.starts_with("98") {
            continue;
        }
        let name = reference.name(&code);
        let own = code.code.as_str();
        text.extend(edit(own, format!("COM,{own},{reg},{dep},{arr},\"{name}\",\n")));
        for part in reference.members(&code) {
            let (kind, part_code) = (part.level.id().to_uppercase(), part.code.as_str());
            let name = reference.name(&part);
            text.push_str(&format!("{kind},{part_code},,,,\"{name}\",{own}\n"));
        }
    }
    text
}

fn matched(server: &Server, path: &str) -> u64 {
    server.json(path)["numberMatched"].as_u64().unwrap()
}

fn run(site: &Site, args: &[&str]) -> String {
    let output = site.run(args);
    assert!(output.status.success(), "{args:?}: {}", said(&output));
    said(&output)
}

fn site() -> Site {
    let site = Site::new();
    fs::write(site.path("zones.csv"), "id;insee\na;62041\nb;62042\nc;59350\n").unwrap();
    site.layer("zones", "key = \"id\"\n[territory]\nlevel = \"com\"\ncolumn = \"insee\"\n[source]\npath = \"../zones.csv\"");
    site.harvest();
    site
}

pub fn a_new_cog_flips_with_what_is_attached_under_it() {
    let site = site();
    let server = site.serve();
    let (arras, other) =
        ("/t/com-62041/collections/zones/items", "/t/com-62042/collections/zones/items");
    assert_eq!((matched(&server, arras), matched(&server, other)), (1, 1));
    let tag = server.get(arras).header("etag").unwrap().to_owned();

    // 62041 takes 62042 in.
    let mut text = v_commune(|code, line| (code != "62042").then_some(line));
    text.push_str("COMD,62042,,,,\"Ancienne\",62041\n");
    let file = site.path("v_commune_2027.csv");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    assert!(run(&site, &["cog", "load", file]).contains("cog-2027-"));
    assert!(run(&site, &["cog", "load", file]).contains("déjà chargée"));
    let seen = run(&site, &["cog", "preview"]);
    assert!(seen.contains("Fusionnées (1) : 62041 Arras ← 62042"), "{seen}");
    assert!(seen.contains("zones : 1 entités sur 3 changent"), "{seen}");
    assert_eq!(
        (matched(&server, arras), matched(&server, other)),
        (1, 1),
        "loading changes nothing"
    );

    assert!(run(&site, &["cog", "apply"]).contains("est en vigueur"));
    let flipped = |server: &Server| server.json("/territories")["vintage"] == 2027;
    assert!(server.until(Duration::from_secs(3), flipped), "the server did not follow");
    assert_eq!((matched(&server, arras), matched(&server, other)), (2, 2));
    let old = server.get(other);
    assert_eq!(old.header("socle-territory-notice"), Some("com-62042 -> com:62041"));
    assert_eq!(server.send("GET", arras, &[("If-None-Match", &tag)]).status, 200);
    assert_eq!(server.json("/territories/com-62041/history")["vintage"], 2027);
    assert!(run(&site, &["cog", "list"]).contains("* cog-2027-"));
    // What is loaded from now on is attached under it, and what starts from now on knows it.
    fs::write(site.path("zones.csv"), "id;insee\na;62041\nb;62042\nc;59350\nd;62042\n").unwrap();
    site.harvest();
    assert!(server.until(Duration::from_secs(3), |s| matched(s, arras) == 3));
    let second = site.serve();
    assert_eq!(matched(&second, arras), 3);
    drop(second);
    // It is in force already.
    assert_eq!(site.run(&["cog", "apply"]).status.code(), Some(1));

    // It travels with the layers.
    let backup = site.path("backup");
    run(&site, &["backup", backup.to_str().unwrap()]);
    let elsewhere = Site::new();
    fs::copy(site.path("layers/zones.toml"), elsewhere.path("layers/zones.toml")).unwrap();
    fs::write(elsewhere.path("zones.csv"), "id;insee\n").unwrap();
    run(&elsewhere, &["restore", backup.to_str().unwrap()]);
    assert!(run(&elsewhere, &["cog", "list"]).contains("* cog-2027-"));
    assert_eq!(matched(&elsewhere.serve(), arras), 3);
    // Beside layers that stay, attached under another table, it does not.
    let beside = Site::new();
    fs::copy(site.path("zones.csv"), beside.path("zones.csv")).unwrap();
    fs::copy(site.path("layers/zones.toml"), beside.path("layers/others.toml")).unwrap();
    let text = fs::read_to_string(beside.path("layers/others.toml")).unwrap();
    fs::write(beside.path("layers/others.toml"), text.replace("\"zones\"", "\"others\"")).unwrap();
    beside.harvest();
    let refused = beside.run(&["restore", backup.to_str().unwrap(), "--force"]);
    assert!(
        refused.status.code() == Some(1) && said(&refused).contains("(others) selon cog-"),
        "{}",
        said(&refused)
    );
    assert!(!run(&beside, &["cog", "list"]).contains("cog-2027-"));

    run(&site, &["cog", "undo"]);
    let back = |server: &Server| server.json("/territories")["vintage"] != 2027;
    assert!(server.until(Duration::from_secs(3), back), "the server did not go back");
    assert_eq!((matched(&server, arras), matched(&server, other)), (1, 2));
    assert_eq!(site.run(&["cog", "undo"]).status.code(), Some(1));
    assert_eq!(server.json("/t/com-62041/collections/zones/items")["numberMatched"], 1);
}

pub fn a_broken_delivery_changes_nothing() {
    let site = site();
    let spoiled = v_commune(|code, line| match code {
        "62041" => Some(line.replace(",62,", ",00,")),
        _ => Some(line),
    });
    fs::write(site.path("v_commune_2027.csv"), spoiled).unwrap();
    let file = site.path("v_commune_2027.csv");
    let output = site.run(&["cog", "load", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("com:62041 : département « 00 » inconnu"), "{}", said(&output));
    let listed = run(&site, &["cog", "list"]);
    assert!(listed.starts_with("* ") && listed.lines().count() == 1, "{listed}");
    for args in [["cog", "preview"], ["cog", "apply"], ["cog", "undo"]] {
        assert_eq!(site.run(&args).status.code(), Some(1), "{args:?}");
    }
    assert_eq!(site.run(&["cog", "load", "missing.csv"]).status.code(), Some(2));
}

fn http_answer(status: &str, body: &[u8]) -> Vec<u8> {
    let n = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {n}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// A source of `cog.zip` and what it answers.
fn upstream(status: &str, body: &[u8]) -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/cog.zip", listener.local_addr().unwrap());
    let answer = Arc::new(Mutex::new(http_answer(status, body)));
    let shown = answer.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let answer = shown.lock().unwrap().clone();
            let _ = stream.write_all(&answer);
        }
    });
    (url, answer)
}

pub fn a_new_vintage_is_fetched_and_waits() {
    let site = site();
    assert_eq!(site.run(&["cog", "load"]).status.code(), Some(2), "nothing says from where");
    let settings = fs::read_to_string(site.path("socle.toml")).unwrap();
    let (url, answer) = upstream("404 Not Found", b"");
    let cog = format!(
        "[[cog.sources]]\nurl = \"{url}\"\n[cog.schedule]\ncron = \"@monthly\"\nbackoff_s = 1\nretries = 20\n"
    );
    fs::write(site.path("socle.toml"), format!("{settings}{cog}")).unwrap();
    let refused = site.run(&["cog", "load"]);
    assert!(!refused.status.success() && said(&refused).contains("404"), "{}", said(&refused));

    let server = Server::of(site.serve_command(&["--now"]));
    let waiting = |server: &Server| {
        server.json("/harvest?f=json")["reference"]["waiting"].as_array().unwrap().clone()
    };
    assert!(waiting(&server).is_empty());
    // It is asked for again after a failure, and what is inside the archive counts.
    let text = v_commune(|code, line| (code != "62042").then_some(line));
    let text = text + "COMD,62042,,,,\"Ancienne\",62041\n";
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("cog/v_commune_2027.csv", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(text.as_bytes()).unwrap();
    *answer.lock().unwrap() = http_answer("200 OK", &zip.finish().unwrap().into_inner());
    assert!(server.until(Duration::from_secs(30), |s| !waiting(s).is_empty()));
    let id = waiting(&server)[0]["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("cog-2027-"), "{id}");
    let page = server.send("GET", "/harvest", &[("Accept", "text/html")]).text();
    assert!(page.contains(&id) && page.contains("socle cog apply"), "{page}");
    assert_ne!(server.json("/territories")["vintage"], 2027, "it waits");
    assert!(run(&site, &["cog", "load"]).contains("déjà chargée"));

    run(&site, &["cog", "apply"]);
    assert!(server.until(Duration::from_secs(3), |s| s.json("/territories")["vintage"] == 2027));
    assert!(waiting(&server).is_empty(), "it is in force");
}

/// Runs SQL over the site's store.
fn sql(site: &Site, sql: &str) -> String {
    let url = fs::read_to_string(site.path("database")).unwrap();
    let database = url.rsplit('/').next().unwrap().trim();
    postgres::shared().unwrap().sql(database, sql)
}

/// What the store says of the reference.
fn state(site: &Site) -> serde_json::Value {
    let text = match store_kind() {
        StoreKind::Embedded => fs::read_to_string(site.path("store/reference/state.json")).unwrap(),
        StoreKind::Postgis => sql(site, "SELECT state FROM socle_store.reference"),
    };
    serde_json::from_str(&text).unwrap()
}

/// Leaves the store as a program leaves it that has the table in force compiled in, and knows no
/// other.
fn as_of_another_program(site: &Site) {
    let mut state = state(site);
    let current = state["current"].as_str().unwrap().to_owned();
    state["before"] = serde_json::json!([]);
    let tables = state["tables"].as_array_mut().unwrap();
    tables.retain(|table| table["id"] == *current);
    tables[0]["compiled"] = true.into();
    match store_kind() {
        StoreKind::Embedded => {
            let folder = site.path("store/reference");
            fs::write(folder.join("state.json"), state.to_string()).unwrap();
            fs::remove_file(folder.join(format!("{}.cog", Reference::builtin().id()))).unwrap();
        }
        StoreKind::Postgis => {
            let text = state.to_string().replace('\'', "''");
            sql(site, &format!("UPDATE socle_store.reference SET state = '{text}'"));
            sql(site, &format!("DELETE FROM socle_store.reference_tables WHERE id <> '{current}'"));
        }
    }
}

pub fn a_program_with_another_table_reads_what_was_attached_under_the_one_before() {
    let site = site();
    // The first attachment has kept the program's own table, whole.
    let (own, kept) = (Reference::builtin(), state(&site));
    assert_eq!((kept["current"].as_str(), kept["serial"].as_u64()), (Some(own.id()), Some(1)));
    assert_eq!(
        (&kept["tables"][0]["id"], &kept["tables"][0]["compiled"]),
        (&own.id().into(), &true.into())
    );
    assert!(run(&site, &["check"]).contains(&format!("✓ {}", own.id())));
    // It is the program's own in lists, and nothing that was loaded.
    assert_eq!(run(&site, &["cog", "list"]).lines().count(), 1);
    assert_eq!(site.run(&["cog", "apply", "builtin"]).status.code(), Some(1));

    // Marseille comes after Arras in the order of ranks: a table without 62042 gives it another.
    fs::write(site.path("zones.csv"), "id;insee\na;62041\nb;62042\nc;59350\nd;13055\n").unwrap();
    site.harvest();
    let mut text = v_commune(|code, line| (code != "62042").then_some(line));
    text.push_str("COMD,62042,,,,\"Ancienne\",62041\n");
    let file = site.path("v_commune_2027.csv");
    fs::write(&file, text).unwrap();
    run(&site, &["cog", "load", file.to_str().unwrap()]);
    run(&site, &["cog", "apply"]);
    as_of_another_program(&site);
    let before = state(&site);

    let items = |code: &str| format!("/t/com-{code}/collections/zones/items");
    let counts =
        |server: &Server| ["62041", "59350", "13055"].map(|code| matched(server, &items(code)));
    let server = site.serve();
    assert_eq!(counts(&server), [2, 1, 1]);
    assert_eq!(server.json("/territories")["vintage"], 2027);
    let listed = run(&site, &["cog", "list"]);
    assert!(listed.contains("celle d'un programme précédent"), "{listed}");
    assert_eq!(
        listed.lines().filter(|line| line.starts_with("* cog-2027-")).count(),
        1,
        "{listed}"
    );
    assert_eq!(state(&site), before, "serving and listing change nothing");
    // What is loaded from now on is attached under it as well.
    fs::write(site.path("zones.csv"), "id;insee\na;62041\nb;62042\nc;59350\nd;13055\ne;13055\n")
        .unwrap();
    site.harvest();
    assert!(
        server.until(Duration::from_secs(3), |s| counts(s) == [2, 1, 2]),
        "{:?}",
        counts(&server)
    );
    // No table was loaded from files: the new program's is taken by name.
    assert_eq!(site.run(&["cog", "apply"]).status.code(), Some(1));
    assert!(
        run(&site, &["cog", "preview", "builtin"]).contains("zones : 1 entités sur 5 changent")
    );
    run(&site, &["cog", "apply", "builtin"]);
    assert!(
        server.until(Duration::from_secs(3), |s| counts(s) == [1, 1, 2]),
        "{:?}",
        counts(&server)
    );
    run(&site, &["check"]);
    run(&site, &["cog", "undo"]);
    assert!(
        server.until(Duration::from_secs(3), |s| counts(s) == [2, 1, 2]),
        "{:?}",
        counts(&server)
    );
}

/// Spoils the bytes of every table that was loaded.
fn spoil(site: &Site) {
    match store_kind() {
        StoreKind::Embedded => {
            let folder = site.path("store").join("reference");
            let tables = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            for table in tables.filter(|path| path.extension().is_some_and(|e| e == "cog")) {
                fs::write(table, "spoiled").unwrap();
            }
        }
        StoreKind::Postgis => {
            sql(site, "UPDATE socle_store.reference_tables SET bytes = '\\x00'");
        }
    }
}

pub fn a_damaged_table_is_told_mended_and_left() {
    let site = site();
    let mut text = v_commune(|code, line| (code != "62042").then_some(line));
    text.push_str("COMD,62042,,,,\"Ancienne\",62041\n");
    let file = site.path("v_commune_2027.csv");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    run(&site, &["cog", "load", file]);
    assert!(run(&site, &["check"]).contains("✓ cog-2027-"));
    run(&site, &["cog", "apply"]);
    spoil(&site);
    let check = site.run(&["check"]);
    assert!(
        check.status.code() == Some(1) && said(&check).contains("✗ cog-2027-"),
        "{}",
        said(&check)
    );
    // Loaded again, over what was in force before it, its bytes are what they were.
    let loaded = run(&site, &["cog", "load", file]);
    assert!(loaded.contains("réécrite") && loaded.contains("a servi de base"), "{loaded}");
    run(&site, &["check"]);
    let server = site.serve();
    assert_eq!(matched(&server, "/t/com-62041/collections/zones/items"), 2);
    // And damaged it can be left.
    spoil(&site);
    run(&site, &["cog", "undo"]);
    let back = |server: &Server| matched(server, "/t/com-62041/collections/zones/items") == 1;
    assert!(server.until(Duration::from_secs(3), back));
    // Codes are carried to the table in force, as the server does.
    fs::write(site.path("old.csv"), "insee\n62042\n").unwrap();
    let carry = |site: &Site| run(site, &["carry", site.path("old.csv").to_str().unwrap()]);
    assert!(carry(&site).contains("unchanged"));
    run(&site, &["cog", "load", file]);
    run(&site, &["cog", "apply"]);
    assert!(carry(&site).contains("62041"), "{}", carry(&site));
}

/// A layer on its way for the first time is attached under the table that is in force when it
/// began: a table that came into force meanwhile would read its index by other ranks.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_comes_into_force_behind_the_claims_of_all_layers() {
    let site = site();
    site.layer("later", "key = \"id\"\n[source]\npath = \"../zones.csv\"");
    let mut text = v_commune(|code, line| (code != "62042").then_some(line));
    text.push_str("COMD,62042,,,,\"Ancienne\",62041\n");
    fs::write(site.path("v_commune_2027.csv"), text).unwrap();
    run(&site, &["cog", "load", site.path("v_commune_2027.csv").to_str().unwrap()]);
    let store = EmbeddedStore::open(&site.path("store")).unwrap();
    let claim = store.claim(&"later".parse().unwrap()).await.unwrap().unwrap();
    let refused = site.run(&["cog", "apply"]);
    assert!(
        refused.status.code() == Some(1) && said(&refused).contains("« later »"),
        "{}",
        said(&refused)
    );
    drop(claim);
    run(&site, &["cog", "apply"]);
}
