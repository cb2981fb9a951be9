//! Deliveries that wait for a person: which rules hold them, what is said of them everywhere, how
//! they are published after all, and that what is in force stays in force meanwhile.

use crate::support::{Site, said};
use std::fs;

over_both!(
    a_held_delivery_waits_says_why_and_is_published_by_hand,
    a_delivery_that_its_producer_takes_back_waits_no_more,
    each_rule_holds_what_it_is_for,
    rules_are_the_layers_own,
    what_waits_is_judged_by_the_rules_as_they_are_now,
    what_was_rolled_back_is_not_published_again,
);

/// `n` points around Lille, each with more text after its code.
fn table(n: u32, columns: &str, rest: impl Fn(u32) -> String) -> String {
    let row = |i: u32| {
        let (lon, lat) = (3.0 + f64::from(i % 10) * 0.05, 50.0 + f64::from(i / 10) * 0.05);
        format!("{i};{lon};{lat};{}\n", rest(i))
    };
    format!("id;lon;lat;{columns}\n{}", (1..=n).map(row).collect::<String>())
}

fn plain(n: u32) -> String {
    table(n, "nom", |i| format!("Lieu {i}"))
}

fn site(hold: &str) -> Site {
    let site = Site::new();
    fs::write(site.path("points.csv"), plain(40)).unwrap();
    rules(&site, hold);
    site.harvest();
    site
}

fn rules(site: &Site, hold: &str) {
    site.layer(
        "points",
        &format!(
            "key = \"id\"\nlabel = \"nom\"\n[hold]\n{hold}\n[source]\npath = \"../points.csv\""
        ),
    );
}

/// Delivers, expects it to be held with these words, and what was published to stay.
fn held(site: &Site, delivery: &str, words: &[&str]) -> String {
    let layers = said(&site.run(&["layers"]));
    fs::write(site.path("points.csv"), delivery).unwrap();
    let output = site.run(&["harvest", "points"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for word in words.iter().chain(&["retenue"]) {
        assert!(text.contains(word), "« {word} » not in: {text}");
    }
    assert_eq!(said(&site.run(&["layers"])), layers);
    text
}

fn published(site: &Site, delivery: &str) {
    fs::write(site.path("points.csv"), delivery).unwrap();
    let output = site.run(&["harvest", "points"]);
    assert!(output.status.success(), "{}", said(&output));
}

fn a_held_delivery_waits_says_why_and_is_published_by_hand() {
    let site = site("");
    let text =
        held(&site, &plain(8), &["de 40 à 8", "socle publish points --held", "32 supprimées"]);
    // The same again is not loaded again, and still waits.
    assert!(said(&site.run(&["harvest", "points"])).contains("de 40 à 8"), "{text}");
    let versions = said(&site.run(&["versions", "points"]));
    assert!(versions.contains("* 2") && versions.contains("! 2") && versions.contains("de 40 à 8"));
    let check = site.run(&["check"]);
    assert!(check.status.success(), "{}", said(&check));

    let server = site.serve();
    let list = server.json("/collections/points/versions");
    assert_eq!(list["versions"].as_array().unwrap().len(), 1);
    assert_eq!(list["held"]["count"], 8);
    let rules: Vec<&str> = list["held"]["hold"]["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["rule"].as_str().unwrap())
        .collect();
    assert_eq!(rules[0], "fewer-rows");
    let changes = &list["held"]["hold"]["changes"];
    assert_eq!((&changes["removed"], &changes["added"]), (&32.into(), &0.into()));
    let id = list["held"]["id"].as_str().unwrap().to_owned();
    let path = format!("/collections/points/versions/{id}/report");
    let report = server.json(&path);
    assert_eq!(report["report"]["comparison"]["rowsBefore"], 40);
    assert_eq!(report["report"]["comparison"]["rowsAfter"], 8);
    assert!(report["held"]["reasons"][0]["text"].as_str().unwrap().contains("40"));
    for (language, words) in [("fr", "n'est pas publiée"), ("en", "is not published")] {
        let accept = [("Accept", "text/html"), ("Accept-Language", language)];
        let page = server.send("GET", &path, &accept).text().replace("&#39;", "'");
        assert!(page.contains(words) && page.contains("40 → 8"), "{page}");
        let page = server.send("GET", "/collections/points/versions", &accept).text();
        assert!(page.contains(&id), "{page}");
    }
    assert_eq!(server.json("/collections/points/items?limit=1")["numberMatched"], 40);

    let output = site.run(&["publish", "points", "--held"]);
    assert!(output.status.success(), "{}", said(&output));
    let seen = server.until(std::time::Duration::from_secs(10), |s| {
        s.json("/collections/points/items?limit=1")["numberMatched"] == 8
    });
    assert!(seen);
    let list = server.json("/collections/points/versions");
    assert!(list["held"].is_null() && list["versions"][0]["id"] == *id);
    assert!(server.json(&path)["held"].is_null());
    // It counts as a publication like any other: the source is unchanged, the way back is open.
    assert!(said(&site.run(&["versions", "points"])).contains("+0 −32 ~0"));
    assert!(site.harvest().contains("source inchangée"));
    assert!(site.run(&["rollback", "points"]).status.success());
    assert!(said(&site.run(&["layers"])).contains(" 40  "));
    let nothing = site.run(&["publish", "points", "--held"]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(said(&nothing).contains("n'est retenue"));
}

fn a_delivery_that_its_producer_takes_back_waits_no_more() {
    let site = site("");
    held(&site, &plain(8), &["de 40 à 8"]);
    published(&site, &plain(40));
    assert!(!said(&site.run(&["versions", "points"])).contains('!'));
    // A good delivery takes the place of one that waits.
    held(&site, &plain(9), &["de 40 à 9"]);
    published(&site, &plain(39));
    let versions = said(&site.run(&["versions", "points"]));
    assert!(!versions.contains('!') && versions.lines().count() == 2, "{versions}");
    // Whoever insists gets what waits.
    held(&site, &plain(7), &["de 39 à 7"]);
    assert!(site.run(&["harvest", "points", "--force"]).status.success());
    let versions = said(&site.run(&["versions", "points"]));
    assert!(!versions.contains('!') && said(&site.run(&["layers"])).contains(" 7  "), "{versions}");
}

fn each_rule_holds_what_it_is_for() {
    let site = site("removed = 30\nchanged = 60");
    held(&site, &table(40, "autre", |i| format!("Lieu {i}")), &["colonnes perdues : « nom »"]);
    held(&site, &table(40, "nom", |i| i.to_string()), &["devenues des nombres : « nom »"]);
    let moved = plain(40).replace(";3", ";-4");
    held(&site, &moved, &["emprise", "100 %"]);
    let broken = table(40, "nom", |i| if i > 30 { "x;y;z".into() } else { format!("Lieu {i}") });
    held(&site, &broken, &["25 % de ses lignes sont refusées"]);
    let others = table(40, "nom", |i| format!("Nouveau lieu {i}"));
    held(&site, &others, &["100 % des entités en place sont modifiées"]);
    let renumbered = plain(40).replace("\n1", "\n90").replace("\n2", "\n80");
    held(&site, &renumbered, &["55 % des entités en place n'y sont plus"]);
    let shapes = r#"{"type":"FeatureCollection","features":[{"type":"Feature",
        "properties":{"id":1,"nom":"Lieu 1"},"geometry":{"type":"Polygon",
        "coordinates":[[[3,50],[3.5,50],[3.5,50.2],[3,50.2],[3,50]]]}}]}"#;
    held(&site, shapes, &["géométrie : POLYGON, POINT jusqu'ici"]);
    // A dry run says the same, and holds nothing.
    let before = said(&site.run(&["versions", "points"]));
    fs::write(site.path("points.csv"), plain(6)).unwrap();
    let text = said(&site.run(&["harvest", "points", "--dry-run"]));
    assert!(text.contains("retenue : elle passerait de 40 à 6"), "{text}");
    assert_eq!(said(&site.run(&["versions", "points"])), before);
    // None of all that is in the way of a good one.
    published(&site, &plain(38));
}

fn rules_are_the_layers_own() {
    let lenient = site("fewer_rows = 90\nlost_columns = false\nmoved_extent = 100\nrefused = 100");
    published(&lenient, &table(5, "autre", |i| i.to_string()));
    let strict = site("fewer_rows = 2");
    published(&strict, &plain(40).replace("Lieu 3", "Endroit 3"));
    held(&strict, &plain(39), &["−2.5 %", "permis : 2 %"]);
    strict.layer("points", "[hold]\nfewer_row = 2\n[source]\npath = \"../points.csv\"");
    let output = strict.run(&["harvest"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("fewer_rows"), "{}", said(&output));
}

/// The version of the line with this mark.
fn marked(site: &Site, mark: &str) -> String {
    let versions = said(&site.run(&["versions", "points"]));
    let line = versions.lines().find(|l| l.trim_start().starts_with(mark));
    line.and_then(|l| l.split_whitespace().nth(1)).unwrap_or_else(|| panic!("{versions}")).into()
}

fn what_waits_is_judged_by_the_rules_as_they_are_now() {
    let site = site("");
    held(&site, &plain(8), &["de 40 à 8", "permis : 50 %"]);
    let waits = marked(&site, "!");
    rules(&site, "fewer_rows = 60\nremoved = 70\nmoved_extent = 100");
    let text = said(&site.run(&["harvest"]));
    assert!(text.contains("permis : 60 %") && text.contains("permis : 70 %"), "{text}");
    assert!(!text.contains("emprise") && marked(&site, "!") == waits, "{text}");
    rules(&site, "fewer_rows = 90\nmoved_extent = 100");
    let before = said(&site.run(&["harvest", "--dry-run"]));
    assert!(before.contains("seraient publiées") && marked(&site, "!") == waits, "{before}");
    site.harvest();
    // It is not loaded again.
    assert_eq!(marked(&site, "*"), waits);
    assert!(said(&site.run(&["versions", "points"])).contains("+0 −32 ~0"));

    // What it was set against is no longer in force: it is set against what is.
    rules(&site, "");
    held(&site, &plain(2), &["de 8 à 2"]);
    assert!(site.run(&["rollback", "points"]).status.success());
    held(&site, &plain(2), &["de 40 à 2"]);
}

fn what_was_rolled_back_is_not_published_again() {
    let site = site("");
    let first = marked(&site, "*");
    published(&site, &plain(39));
    let second = marked(&site, "*");
    assert!(site.run(&["rollback", "points"]).status.success());
    for _ in 0..2 {
        let text = site.harvest();
        assert!(text.contains("d'où l'on est revenu") && text.contains(&second), "{text}");
        assert_eq!(marked(&site, "*"), first);
    }
    let server = site.serve();
    let run = &server.json("/harvest")["layers"][0]["runs"][0];
    assert_eq!((&run["outcome"], &run["version"]), (&"unchanged".into(), &first.into()));
    drop(server);
    // Something new is published, and so is whatever somebody insists on.
    published(&site, &plain(38));
    assert!(site.run(&["rollback", "points"]).status.success());
    assert!(site.run(&["harvest", "--force"]).status.success());
    assert!(said(&site.run(&["layers"])).contains(" 38  "));
}

#[test]
fn what_a_rule_by_key_cannot_judge_is_not_published() {
    let site = site("removed = 5");
    let first = marked(&site, "*");
    let rows = site.path(&format!("store/layers/points/versions/{first}.gpkg"));
    let (aside, whole) = (site.path("aside.gpkg"), fs::read(&rows).unwrap());
    // A disk that fails, where the rows of the version in force are.
    fs::rename(&rows, &aside).unwrap();
    fs::write(&rows, &whole[..whole.len() / 8]).unwrap();
    fs::write(site.path("points.csv"), plain(30)).unwrap();
    let output = site.run(&["harvest", "points"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("« removed »") && text.contains("n'est pas publiée"), "{text}");
    assert_eq!(marked(&site, "*"), first);
    fs::rename(&aside, &rows).unwrap();
    held(&site, &plain(30), &["25 % des entités en place n'y sont plus"]);
}
