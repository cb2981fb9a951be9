//! The ready configuration, `config/france`: it is whole, it starts with nothing to reach and says
//! why each layer is not there, and what is reachable is harvested and bound to its territories.

mod given;
mod portal;

use crate::support::{Server, Site, root, said};
use given::{Extent, Given};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};
use toml::Table;

/// The layer files as they are, by id.
fn layers() -> BTreeMap<String, Table> {
    let files = fs::read_dir(root().join("config/france/layers")).expect("layers");
    let read = files.map(|file| {
        let path = file.expect("a file").path();
        let text = fs::read_to_string(&path).expect("text");
        let table: Table = toml::from_str(&text).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        let id = table["id"].as_str().expect("an id").to_owned();
        assert_eq!(path.file_stem().and_then(|stem| stem.to_str()), Some(id.as_str()));
        (id, table)
    });
    read.collect()
}

/// The configuration in a folder of its own; the addresses of the n-th layer are asked for at `base(n)`.
fn site(base: impl Fn(usize) -> String, schedule: bool) -> Site {
    let dir = tempfile::tempdir().expect("a folder");
    let from = root().join("config/france");
    let main = fs::read_to_string(from.join("socle.toml")).expect("socle.toml");
    let styles = format!("styles = {:?}", root().join("styles"));
    let changes = [
        ("styles = \"../../styles\"", styles.as_str()),
        ("[server]\n", "[server]\nadmin_listen = \"off\"\n"),
        ("../../data/france", "data"),
        ("[harvest]\n", "[harvest]\nallow = [\"127.0.0.0/8\"]\n"),
    ];
    let main = changes.iter().fold(main, |main, (old, new)| {
        assert!(main.contains(old), "{old}");
        main.replace(old, new)
    });
    let main = main.replace("# workers = 2", &format!("workers = 32\nschedule = {schedule}"));
    fs::write(dir.path().join("socle.toml"), main).expect("socle.toml");
    fs::create_dir(dir.path().join("layers")).expect("layers");
    for (n, id) in layers().keys().enumerate() {
        let base = base(n);
        let text = fs::read_to_string(from.join(format!("layers/{id}.toml"))).expect("a layer");
        let text = text
            .replace("url = \"https://", &format!("url = \"{base}/"))
            .replace("[source.datagouv]\n", &format!("[source.datagouv]\nportal = \"{base}/\"\n"));
        fs::write(dir.path().join(format!("layers/{id}.toml")), text).expect("a layer");
    }
    Site { dir }
}

/// Fails unless text stands at a place of a table.
fn tells(layer: &Table, id: &str, key: &str) {
    let text = layer.get(key).and_then(toml::Value::as_str);
    assert!(text.is_some_and(|text| !text.trim().is_empty()), "{id}: {key}");
}

#[test]
fn every_layer_says_what_it_is_and_when_it_is_fetched() {
    let layers = layers();
    assert!(layers.len() >= 25, "{}", layers.len());
    let mut moments = BTreeSet::new();
    for (id, layer) in &layers {
        let words = [
            "title",
            "title_en",
            "description",
            "description_en",
            "producer",
            "contact",
            "attribution",
        ];
        words.iter().for_each(|key| tells(layer, id, key));
        tells(layer, id, "licence");
        let schedule = layer["schedule"].as_table().unwrap_or_else(|| panic!("{id}: schedule"));
        tells(schedule, id, "cron");
        assert!(schedule["jitter_s"].as_integer() >= Some(600), "{id}");
        assert!(moments.insert(schedule["cron"].to_string()), "{id}: all at once");
        assert!(
            layer["hold"].as_table().is_some_and(|hold| hold.contains_key("fewer_rows")),
            "{id}"
        );
        let territory = layer["territory"].as_table().unwrap_or_else(|| panic!("{id}: territory"));
        let bound = ["column", "columns", "by_location"];
        assert!(bound.iter().any(|key| territory.contains_key(*key)), "{id}");
        for (name, field) in layer["fields"].as_table().unwrap_or_else(|| panic!("{id}: fields")) {
            let field = field.as_table().unwrap_or_else(|| panic!("{id}: {name}"));
            ["title", "title_en"].iter().for_each(|key| tells(field, id, key));
        }
    }
    // As a whole it is right, and nothing is to be said about any of it.
    let site = site(|_| "https://127.0.0.1:1".to_owned(), false);
    let output = site.run(&["check"]);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    let good = |line: &&str| line.starts_with("Configuration : ") || line.starts_with("✓ ");
    assert!(text.lines().filter(|line| !line.is_empty()).all(|line| good(&line)), "{text}");
    // The levels joined from the communes are layers, too.
    assert_eq!(text.matches("✓ ").count(), layers.len() + 5, "{text}");
}

/// The journal's entry of each layer.
fn journal(server: &Server) -> BTreeMap<String, Value> {
    let told = server.json("/harvest")["layers"].take();
    let entries = told.as_array().expect("layers").iter();
    entries.map(|entry| (entry["id"].as_str().expect("an id").to_owned(), entry.clone())).collect()
}

#[test]
fn with_nothing_to_reach_it_serves_and_explains() {
    // Nobody listens at this port. Hosts of their own: one host is asked by two layers at once only.
    let site = site(|n| format!("http://127.0.0.{}:1", n + 1), true);
    let server = site.serve();
    let layers = layers();
    let tried = |server: &Server| {
        journal(server)
            .values()
            .all(|entry| entry["runs"].as_array().is_some_and(|r| !r.is_empty()))
    };
    assert!(server.until(Duration::from_secs(20), tried), "{:?}", journal(&server));
    let told = journal(&server);
    assert_eq!(told.keys().collect::<Vec<_>>(), layers.keys().collect::<Vec<_>>());
    for (id, entry) in &told {
        let run = &entry["runs"][0];
        assert_eq!(
            (&run["outcome"], &run["fault"]),
            (&"failed".into(), &"unreachable".into()),
            "{id}"
        );
        let text = run["text"].as_str().expect("words");
        assert!(text.contains("127.0.0.") && text.contains("injoignable"), "{id}: {text}");
        assert!(
            run["retryAt"].is_string() && entry["schedule"]["cron"].is_string(),
            "{id}: {entry}"
        );
    }
    let page = server.page("/harvest").text();
    for layer in layers.values() {
        let title = layer["title"].as_str().expect("a title").replace('\'', "&#39;");
        let plain = layer["title"].as_str().expect("a title");
        assert!(page.contains(&title) || page.contains(plain), "{plain}");
    }
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.get("/territories/dep-59").status, 200);
    assert_eq!(server.json("/collections")["collections"].as_array().map(Vec::len), Some(0));
}

/// The report of the version in force.
fn report(server: &Server, id: &str) -> Value {
    let versions = server.json(&format!("/collections/{id}/versions"));
    let version = versions["versions"][0]["id"].as_str().unwrap_or_else(|| panic!("{versions}"));
    server.json(&format!("/collections/{id}/versions/{version}/report"))["report"].take()
}

/// Harvests what is given, and checks that all of it is there and bound, and the rest explained.
fn harvested(given: Given) -> (Site, Server) {
    let rows = given.rows.clone();
    let upstream = portal::open(given.shelf);
    let site = site(|_| upstream.base.clone(), false);
    let output = site.run(&["harvest"]);
    let text = said(&output);
    // Some sources do not answer: that is said, and ends with 1.
    assert_eq!(output.status.code(), Some(1), "{text}");
    let server = site.serve();
    for (id, entry) in journal(&server) {
        let run = &entry["runs"][0];
        let Some(rows) = rows.get(id.as_str()) else {
            assert_eq!(run["outcome"], "failed", "{id}: {run}");
            let text = run["text"].as_str().expect("words");
            // A file is not there, or a service does not have it and says what it has.
            let told = text.contains("a répondu 404") || text.contains("ADMINEXPRESS");
            assert!(told, "{id}: {text}");
            continue;
        };
        assert_eq!(run["outcome"], "published", "{id}: {run}");
        let report = report(&server, &id);
        let counts = [&report["read"], &report["kept"]].map(Value::as_u64);
        assert_eq!(counts, [Some(*rows as u64); 2], "{id}: {report}");
        assert_eq!(
            (&report["refused"], &report["unattached"]),
            (&0.into(), &0.into()),
            "{id}: {report}"
        );
        assert_eq!(report["unknown_codes"].as_array().map(Vec::len), Some(0), "{id}: {report}");
    }
    (site, server)
}

/// How many features of a layer concern a place.
fn hits(server: &Server, place: &str, id: &str) -> u64 {
    let page = server.json(&format!("/t/{place}/collections/{id}/items?limit=1"));
    page["numberMatched"].as_u64().unwrap_or_else(|| panic!("{page}"))
}

#[test]
fn what_is_reachable_is_harvested_and_bound() {
    let (_site, server) = harvested(Given::new(&layers(), Extent::Region));
    // Rows that bear a code lie where their commune does.
    for id in ["action-coeur-de-ville", "france-ruralites-revitalisation", "annuaire-mairies"] {
        let page = server.json(&format!("/t/reg-32/collections/{id}/items?limit=10000"));
        let features = page["features"].as_array().expect("features");
        assert!(!features.is_empty() && features.iter().all(|f| !f["geometry"].is_null()), "{id}");
    }
    assert!(hits(&server, "dep-59", "france-services") > 0);
    // The levels are joined from the communes.
    for (level, count) in [("territoires-dep", 5), ("territoires-reg", 1), ("territoires-arr", 26)]
    {
        assert_eq!(hits(&server, "fr", level), count, "{level}");
    }
    let told = server.json("/collections/petites-villes-de-demain");
    assert_eq!(told["license"], "lov2");
    assert!(told.to_string().contains("data.gouv.fr/datasets/programme-petites-villes-de-demain"));
    // Another harvest asks for nothing that did not move.
    let again = said(&_site.run(&["harvest", "communes", "petites-villes-de-demain"]));
    assert_eq!(again.matches("source inchangée").count(), 2, "{again}");
}

/// The communes that features of a layer are attached to, by their key.
fn communes_of(server: &Server, id: &str, key: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let rows = server.json(&format!("/collections/{id}/stats?by=com"));
    for row in rows["rows"].as_array().expect("rows").iter().filter(|row| row["count"] != 0) {
        let code = row["code"].as_str().unwrap_or_else(|| panic!("{row}"));
        let page = server.json(&format!("/t/com-{code}/collections/{id}/items?limit=1000"));
        for feature in page["features"].as_array().expect("features") {
            let key = feature["properties"][key].as_str().expect("a key").to_owned();
            found.entry(key).or_default().insert(code.to_owned());
        }
    }
    found
}

/// Of the whole country: minutes, so that `make real-files` runs it.
#[test]
fn nationwide_neighbourhoods_lie_where_their_codes_say() {
    if std::env::var_os("SOCLE_REAL_FILES").is_none() {
        println!("skipped: the whole country is harvested by `make real-files`");
        return;
    }
    let given = Given::new(&layers(), Extent::Nation);
    if !given.rows.contains_key("qpv") || given.rows["communes"] < 30_000 {
        println!("skipped: the shared data or GDAL is absent");
        return;
    }
    let drawn = given.communes();
    let (site, server) = harvested(given);
    let mut coded = communes_of(&server, "qpv", "code_qp");
    drop(server);
    // Those of overseas collectivities lie where no commune is drawn: only their codes tell.
    coded.retain(|_, communes| !communes.is_disjoint(&drawn));
    // The same neighbourhoods by their outlines alone.
    let path = site.path("layers/qpv.toml");
    let text = fs::read_to_string(&path).expect("the layer");
    let bound = "[[territory.columns]]\nlevel = \"com\"\ncolumn = \"insee_com\"\n";
    assert!(text.contains(bound));
    fs::write(&path, text.replace(bound, "")).expect("the layer");
    let output = site.run(&["harvest", "qpv", "--force"]);
    assert!(output.status.success(), "{}", said(&output));
    let placed = communes_of(&site.serve(), "qpv", "code_qp");
    let same = coded.iter().filter(|(code, communes)| placed.get(*code) == Some(communes)).count();
    println!(
        "{same} of {} neighbourhoods lie in the communes of their codes, and no other",
        coded.len()
    );
    for (code, communes) in
        coded.iter().filter(|(code, communes)| placed.get(*code) != Some(communes))
    {
        println!("{code}: {communes:?} by code, {:?} by place", placed.get(code));
    }
    assert!(same * 100 >= coded.len() * 95, "{same} of {}", coded.len());
}
