//! What changed, publication after publication: differences kept by both stores, the feed of a
//! territory, what concerns it.

use crate::support::{Server, Site, StoreKind, said, store_kind, tool};
use serde_json::{Value, json};
use std::collections::BTreeMap;

over_both!(
    differences_are_counted_and_survive_the_versions_they_were_made_from,
    a_territory_sees_what_moved_into_it_and_out_of_it,
    stores_made_before_go_on,
    a_zero_says_which_zero_it_is,
    long_feeds_have_pages,
    a_copy_of_the_store_keeps_its_history,
    a_copy_of_a_layer_follows_it_by_its_changes,
);

/// A place with a code of its commune.
fn place(id: &str, name: &str, commune: &str, lon: f64) -> Value {
    json!({
        "type": "Feature",
        "properties": { "id": id, "nom": name, "insee": commune },
        "geometry": { "type": "Point", "coordinates": [lon, 50.5] },
    })
}

fn write(site: &Site, features: &[Value]) {
    let all = json!({ "type": "FeatureCollection", "features": features });
    std::fs::write(site.path("lieux.geojson"), all.to_string()).unwrap();
}

const LAYER: &str = "key = \"id\"\nlabel = \"nom\"\nkeep_versions = 0\n[source]\npath = \"../lieux.geojson\"\nformat = \"geojson\"\n[territory]\nlevel = \"com\"\ncolumn = \"insee\"";

/// Two publications: of five places one comes, one changes its name, one moves from the Nord to the
/// Pas-de-Calais, one goes.
fn edited() -> Site {
    let site = Site::new();
    site.layer("lieux", LAYER);
    write(
        &site,
        &[
            place("a", "Reste", "59350", 3.0),
            place("b", "Avant <&>", "59350", 3.1),
            place("c", "Déménage", "59009", 3.2),
            place("d", "Part", "62041", 2.8),
        ],
    );
    site.harvest();
    write(
        &site,
        &[
            place("b", "Après <&>", "59350", 3.1),
            place("a", "Reste", "59350", 3.0),
            place("c", "Déménage", "62041", 2.9),
            place("e", "Arrive", "02691", 3.3),
        ],
    );
    site.harvest();
    site
}

/// The entries of a feed: title and content, read by an XML parser of another maker, which also
/// checks what RFC 4287 requires.
fn entries(server: &Server, path: &str) -> Vec<(String, String)> {
    let answer = server.send("GET", path, &[("Accept-Language", "fr")]);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    assert!(answer.header("content-type").unwrap().starts_with("application/atom+xml"));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("feed.atom");
    std::fs::write(&file, &answer.body).unwrap();
    let script = r#"
import json, sys
import xml.etree.ElementTree as T
A = "{http://www.w3.org/2005/Atom}"
feed = T.parse(sys.argv[1]).getroot()
assert feed.tag == A + "feed"
def required(e, feed):
    for name in ("id", "title", "updated"):
        assert len(e.findall(A + name)) == 1, (e.tag, name)
    assert e.find(A + "author") is not None and e.find(A + "author").find(A + "name").text
required(feed, True)
assert [l.get("rel") for l in feed.findall(A + "link")].count("self") == 1
ids = set()
out = []
for entry in feed.findall(A + "entry"):
    required(entry, False)
    assert entry.find(A + "id").text not in ids
    ids.add(entry.find(A + "id").text)
    assert any(l.get("rel") == "alternate" for l in entry.findall(A + "link"))
    content = entry.find(A + "content")
    assert content.get("type") == "html"
    out.append([entry.find(A + "title").text, content.text])
print(json.dumps(out))
"#;
    let said = tool("/usr/bin/python3", &["-c", script, file.to_str().unwrap()]);
    serde_json::from_str(&said).unwrap()
}

fn differences_are_counted_and_survive_the_versions_they_were_made_from() {
    let site = edited();
    let listed = said(&site.run(&["versions", "lieux"]));
    // An old version goes once nobody reads it, which over PostGIS a lease may delay.
    let lines = listed.lines().count();
    assert!(lines == 1 || (lines == 2 && store_kind() == StoreKind::Postgis), "{listed}");
    assert!(listed.lines().last().unwrap().contains("+1 −1 ~2"), "{listed}");
    let server = site.serve();
    let all = entries(&server, "/feed.atom");
    let titles: Vec<&str> = all.iter().map(|e| e.0.as_str()).collect();
    assert_eq!(
        titles,
        [
            "lieux — 1 ajoutée, 2 modifiées, 1 supprimée",
            "lieux — première publication (4 entités en tout)"
        ]
    );
    let content = &all[0].1;
    assert!(content.contains("/collections/lieux/items/e?f=html\">Arrive</a>"), "{content}");
    assert!(content.contains("Après &lt;&amp;&gt;"), "{content}");
    // What is gone has a name and no address.
    assert!(content.contains("<li>Part (d)</li>"), "{content}");
    drop(server);
    // The same source once more is no publication; going back is one.
    site.harvest();
    site.layer("lieux", &LAYER.replace("keep_versions = 0", "keep_versions = 3"));
    write(
        &site,
        &[
            place("a", "Reste", "59350", 3.0),
            place("b", "Avant <&>", "59350", 3.1),
            place("e", "Arrive", "02691", 3.3),
        ],
    );
    site.harvest();
    let back = site.run(&["rollback", "lieux"]);
    assert!(back.status.success(), "{}", said(&back));
    let server = site.serve();
    let titles: Vec<String> = entries(&server, "/feed.atom").into_iter().map(|e| e.0).collect();
    assert_eq!(titles[0], "lieux — 1 ajoutée, 1 modifiée", "{titles:?}");
    assert_eq!(titles[1], "lieux — 1 modifiée, 1 supprimée", "{titles:?}");
    assert_eq!(titles.len(), 4);
    // Every page says where its feed is.
    let page = server.page("/t/dep-59/collections/lieux");
    assert!(page.text().contains("/t/dep-59/feed.atom\""));
    let tag = server.get("/feed.atom").header("etag").unwrap().to_owned();
    let again = server.send(
        "GET",
        "/feed.atom",
        &[("Accept", "application/json"), ("If-None-Match", &tag)],
    );
    assert_eq!(again.status, 304);
}

fn a_territory_sees_what_moved_into_it_and_out_of_it() {
    let site = edited();
    let server = site.serve();
    let first = |path: &str| entries(&server, path).first().map(|e| e.0.clone());
    assert_eq!(first("/t/dep-59/feed.atom").unwrap(), "lieux — 1 modifiée, 1 supprimée");
    assert_eq!(first("/t/dep-62/feed.atom").unwrap(), "lieux — 1 ajoutée, 1 supprimée");
    assert_eq!(first("/t/dep-02/feed.atom").unwrap(), "lieux — 1 ajoutée");
    assert_eq!(
        first("/t/reg-32/feed.atom").unwrap(),
        "lieux — 1 ajoutée, 2 modifiées, 1 supprimée"
    );
    assert_eq!(first("/t/dep-59+dep-62/feed.atom").unwrap(), "lieux — 2 modifiées, 1 supprimée");
    assert_eq!(first("/t/dep-13/feed.atom"), None);
    assert_eq!(server.get("/feed.atom?page=9").status, 404);
    assert_eq!(server.get("/feed.atom?page=x").status, 400);
}

/// A store written by a program that kept no differences opens, serves and begins to keep them.
fn stores_made_before_go_on() {
    let site = Site::new();
    site.layer("lieux", LAYER);
    write(&site, &[place("a", "Reste", "59350", 3.0)]);
    site.harvest();
    match store_kind() {
        StoreKind::Embedded => {
            std::fs::remove_dir_all(site.path("store/layers/lieux/changes")).unwrap();
        }
        StoreKind::Postgis => {
            let url = std::fs::read_to_string(site.path("database")).unwrap();
            // As that program left it: without what later migrations made.
            let sql = "SET search_path TO socle_store;
                DROP TABLE changes, live_touched, reference, reference_tables, runs, told;
                ALTER TABLE live DROP COLUMN key;
                ALTER TABLE versions DROP COLUMN held;
                ALTER TABLE live_edits DROP COLUMN keys, DROP COLUMN touched, DROP COLUMN key;
                ALTER TABLE live_reaches DROP COLUMN vintage, DROP COLUMN prints;
                DELETE FROM migrations WHERE number >= 4";
            let args = ["-q", "-d", url.trim(), "-v", "ON_ERROR_STOP=1", "-c", sql];
            tool("psql", &args);
        }
    }
    assert!(said(&site.run(&["versions", "lieux"])).contains('–'));
    let server = site.serve();
    assert!(entries(&server, "/feed.atom").is_empty());
    drop(server);
    write(&site, &[place("a", "Reste", "59350", 3.0), place("b", "Neuf", "59350", 3.0)]);
    site.harvest();
    let server = site.serve();
    let titles: Vec<String> = entries(&server, "/feed.atom").into_iter().map(|e| e.0).collect();
    assert_eq!(titles, ["lieux — 1 ajoutée"]);
}

fn a_zero_says_which_zero_it_is() {
    let site = edited();
    site.layer("jamais", "[source]\npath = \"../absent.geojson\"\nformat = \"geojson\"");
    let server = site.serve();
    let standing = |scope: &str, id: &str| {
        let landing = server.json(&format!("/t/{scope}/"));
        let layers = landing["layers"].as_array().unwrap().clone();
        layers.into_iter().find(|l| l["id"] == id).unwrap()
    };
    let nord = standing("dep-59", "lieux");
    assert_eq!((&nord["count"], &nord["standing"]), (&json!(2), &json!("present")));
    assert_eq!(nord["lastChange"]["removed"], 1);
    assert_eq!(nord["producer"], "Essai");
    let oise = standing("dep-60", "lieux");
    assert_eq!((&oise["count"], &oise["standing"]), (&json!(0), &json!("none")));
    let bouches = standing("dep-13", "lieux");
    assert_eq!((&bouches["count"], &bouches["standing"]), (&json!(0), &json!("not-covered")));
    let never = standing("dep-59", "jamais");
    assert_eq!((&never["count"], &never["standing"]), (&Value::Null, &json!("unavailable")));
    assert!(never["why"].as_str().unwrap().contains("moissonnée"));
    let page = server.page("/t/dep-13/").text();
    assert!(page.contains("Hors de la couverture"), "{page}");
}

fn long_feeds_have_pages() {
    let site = Site::new();
    // Fifty-one layers, published once each.
    for n in 0..51 {
        site.layer(&format!("lieux{n}"), &LAYER.replace("title", "titre"));
    }
    write(&site, &[place("a", "Reste", "59350", 3.0)]);
    site.harvest();
    let server = site.serve();
    assert_eq!(entries(&server, "/feed.atom").len(), 50);
    assert_eq!(entries(&server, "/feed.atom?page=2").len(), 1);
    let text = server.get("/feed.atom").text();
    assert!(text.contains("rel=\"next\"") && text.contains("feed.atom?page=2"), "{text}");
    assert!(server.get("/feed.atom?page=2").text().contains("rel=\"previous\""));
}

fn a_copy_of_the_store_keeps_its_history() {
    let site = edited();
    let backup = site.path("copie");
    let done = site.run(&["backup", backup.to_str().unwrap()]);
    assert!(done.status.success(), "{}", said(&done));
    let other = Site::new();
    other.layer("lieux", LAYER);
    let done = other.run(&["restore", backup.to_str().unwrap()]);
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&other.run(&["versions", "lieux"])).contains("+1 −1 ~2"));
    let server = other.serve();
    assert_eq!(entries(&server, "/t/dep-59/feed.atom").len(), 2);
}

/// Features by id, as pages of `items` or of `changes` give them.
fn by_id(server: &Server, path: &str) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let page = server.json(&path);
        for feature in page["features"].as_array().unwrap() {
            let id = feature["id"].as_str().unwrap().to_owned();
            assert!(all.insert(id, feature.clone()).is_none(), "{path}: {feature}");
        }
        let links = page["links"].as_array().unwrap();
        let link = links.iter().find(|l| l["rel"] == "next");
        let of =
            |l: &Value| l["href"].as_str().unwrap().replace(server.base.trim_end_matches('/'), "");
        next = link.map(of);
    }
    all
}

fn version(server: &Server) -> String {
    let versions = server.json("/collections/lieux/versions");
    let mut versions = versions["versions"].as_array().unwrap().iter();
    versions.find(|v| v["current"] == true).unwrap()["id"].as_str().unwrap().to_owned()
}

fn a_copy_of_a_layer_follows_it_by_its_changes() {
    let site = Site::new();
    let kept = LAYER.replace("keep_versions = 0", "keep_versions = 2");
    site.layer("lieux", &format!("{kept}\n[hold]\nfewer_rows = 100\nmoved_extent = 100"));
    let deliveries = [
        // Stays, changes twice, moves out of the Nord and back, goes and comes back, goes.
        [
            ("a", "Reste", "59350"),
            ("b", "1", "59350"),
            ("c", "", "59009"),
            ("d", "", "62041"),
            ("e", "", "59350"),
        ],
        [
            ("a", "Reste", "59350"),
            ("b", "2", "59350"),
            ("c", "", "62041"),
            ("f", "", "59350"),
            ("e", "", "59350"),
        ],
        // One that came and goes again leaves no trace; one moves into the Nord.
        [
            ("a", "Reste", "59350"),
            ("b", "3", "59350"),
            ("c", "", "62041"),
            ("d", "autre", "62041"),
            ("g", "", "59009"),
        ],
        [
            ("a", "Reste", "59350"),
            ("b", "3", "59350"),
            ("h", "", "62041"),
            ("d", "autre", "59350"),
            ("g", "", "59009"),
        ],
    ];
    let deliver = |places: &[(&str, &str, &str)]| {
        write(
            &site,
            &places.iter().map(|(id, name, at)| place(id, name, at, 3.0)).collect::<Vec<_>>(),
        );
        site.harvest();
    };
    let scopes = ["", "/t/dep-59", "/t/dep-62+com-59009"];
    let mut copies = Vec::new();
    for places in &deliveries {
        deliver(places);
        let server = site.serve();
        let of = |scope: &&str| by_id(&server, &format!("{scope}/collections/lieux/items"));
        copies.push((version(&server), scopes.iter().map(of).collect::<Vec<_>>()));
    }
    let server = site.serve();
    let (_, now) = copies.last().unwrap();
    for (since, kept) in &copies {
        for ((scope, copy), now) in scopes.iter().zip(kept).zip(now) {
            let mut copy = copy.clone();
            let path = format!("{scope}/collections/lieux/changes?since={since}&limit=2");
            for (id, mut feature) in by_id(&server, &path) {
                let kind = feature["properties"].as_object_mut().unwrap().remove("socle_change");
                match kind.unwrap().as_str().unwrap() {
                    "added" => assert!(copy.insert(id, feature).is_none(), "{path}"),
                    "changed" => assert!(copy.insert(id, feature).is_some(), "{path}"),
                    "removed" => assert!(copy.remove(&id).is_some(), "{path}"),
                    other => panic!("{other}"),
                }
            }
            assert_eq!(&copy, now, "{path}");
        }
    }
    what_changes_say(&server, &copies[0].0);
    every_version_but_the_current_one_says_what_came_after(&server);
}

/// The list of versions leads to the changes since each, for programs and for people.
fn every_version_but_the_current_one_says_what_came_after(server: &Server) {
    let list = server.json("/collections/lieux/versions");
    let page = server.page("/collections/lieux/versions").text();
    let versions = list["versions"].as_array().unwrap();
    assert!(versions.len() > 1, "{list}");
    for version in versions {
        let links = version["links"].as_array().unwrap();
        let link = links.iter().find(|link| link["rel"] == "related");
        assert_eq!(link.is_none(), version["current"] == true, "{version}");
        let Some(link) = link else { continue };
        let path = link["href"].as_str().unwrap().replace(server.base.trim_end_matches('/'), "");
        assert_eq!(server.json(&path)["since"], version["id"]);
        assert!(page.contains(&path), "{path}");
    }
}

/// Counts, other ways to say since when, and what cannot be answered.
fn what_changes_say(server: &Server, first: &str) {
    let all = server.json(&format!("/collections/lieux/changes?since={first}"));
    let counts = |key: &str| all[key].as_u64().unwrap();
    assert_eq!((counts("added"), counts("changed"), counts("removed")), (2, 2, 2), "{all}");
    assert_eq!(all["since"], first);
    assert_eq!(all["version"], version(server));
    // By day and by moment, and what cannot be answered.
    let status = |query: &str| server.get(&format!("/collections/lieux/changes{query}")).status;
    let none = server.json("/collections/lieux/changes?since=2999-01-01");
    assert_eq!((none["numberMatched"].as_u64(), none["since"] == version(server)), (Some(0), true));
    assert_eq!(status("?since=2001-01-01T00:00:00Z"), 410, "before there was anything");
    assert_eq!(status("?since=20010101T000000Z-00000000"), 404);
    assert_eq!(status(""), 400);
    assert_eq!(status("?since=hier%20soir"), 400);
    assert_eq!(status(&format!("?since={first}&until={first}")), 410);
    assert_eq!(status(&format!("?since={first}&territory=dep:59&territory-mode=clip")), 400);
    assert!(
        server.page(&format!("/collections/lieux/changes?since={first}")).text().contains("<html")
    );
    // Unknown, it is gone: the layer is to be loaded again, and the answer says from where.
    let gone = server.get("/collections/lieux/changes?since=2001-01-01");
    assert!(gone.text().contains("collections/lieux/items"), "{}", gone.text());
}
