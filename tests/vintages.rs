//! Old codes on today's territories, seen from outside: what harvests report, what `socle carry`
//! writes, and where things outside every commune go.

use crate::support::{Site, said, shared, socle};
use socle::territory::Reference;
use std::fs;

over_both!(codes_of_a_year_select_what_is_there_today);

pub fn codes_of_a_year_select_what_is_there_today() {
    let reference = Reference::builtin();
    let gone = reference.dissolved(&"epci:200012060".parse().unwrap()).unwrap();
    let member = reference.commune(gone.today.iter().next().unwrap()).unwrap().code.to_string();
    let site = Site::new();
    let rows =
        format!("id;insee;qp\na;93066;\nb;85084;\nc;85165;\nd;59350;QP059001\ne;{member};\n");
    fs::write(site.path("lieux.csv"), rows).unwrap();
    site.layer("lieux", "key = \"id\"\n[[territory.columns]]\nlevel = \"com\"\ncolumn = \"insee\"\n[[territory.columns]]\nlevel = \"qpv\"\ncolumn = \"qp\"\n[source]\npath = \"../lieux.csv\"");
    site.harvest();
    let server = site.serve();
    let items = "/collections/lieux/items";
    let ids = |query: &str| -> String {
        let answer = server.get(&format!("{items}?{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let value = answer.json();
        let features = value["features"].as_array().unwrap().clone();
        assert_eq!(value["numberMatched"], features.len());
        features.iter().map(|f| f["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ids("territory=com:93059&vintage=2018"), "a");
    assert_eq!(ids("territory=com:85084"), "b");
    assert_eq!(ids("territory=com:85084&vintage=2018"), "b c");
    assert_eq!(ids("territory=85084,59350&vintage=2018&territory-mode=within"), "b c d");
    assert_eq!(ids("territory=epci:200012060&vintage=2019"), "e");
    assert_eq!(ids("territory=qpv:QP059001&vintage=2020"), "d");
    let told = server.get(&format!("{items}?territory=com:93059&vintage=2018"));
    assert_eq!(told.header("socle-territory-notice"), Some("com:93059@2018 -> com:93066"));
    for (query, status) in [
        ("territory=epci:200012060", 410),
        ("territory=epci:200012060&vintage=2021", 410),
        ("territory=qpv:QP059001", 410),
        ("territory=epci:200093201&vintage=2018", 400),
        ("territory=com:59355&vintage=2018", 400),
        ("territory=com:59350&vintage=1900", 400),
        ("territory=com:59350&vintage=hier", 400),
        ("vintage=2018", 400),
    ] {
        let answer = server.get(&format!("{items}?{query}"));
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
    }
    // The same everywhere a territory is asked for.
    let stats = server.json("/collections/lieux/stats?by=com&territory=com:85084&vintage=2018");
    assert_eq!(stats["rows"].as_array().unwrap().len(), 3, "{stats}");
    let export = server.get("/collections/lieux/export?f=csv&territory=com:85084&vintage=2018");
    assert_eq!(export.text().trim().lines().count(), 3, "{}", export.text());
    let one =
        server.get("/table?level=com&collections=lieux&territory=com:93059&vintage=2018&f=json");
    assert_eq!(one.status, 200, "{}", one.text());
}

fn note(site: &Site, layer: &str) -> String {
    let output = site.run(&["harvest", layer, "--force"]);
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

#[test]
pub fn an_old_table_is_dated_by_its_codes_and_says_what_changed() {
    let site = Site::new();
    let table = "insee_com;statut\n93059;C\n93066;NC\n60455;C\n60694;C\n14712;NC\n59350;C\n08227;C\n1001;C\n";
    fs::write(site.path("zones.csv"), table).unwrap();
    let bound = "[territory]\nlevel = \"com\"\ncolumn = \"insee_com\"";
    site.layer("zones", &format!("{bound}\nvintage = 2026\n[source]\npath = \"../zones.csv\""));
    let text = note(&site, "zones");
    for words in [
        "60455 → 60694",
        "93059 → 93066",
        "~ 93066 → 93066",
        "~ 14712 → 14712",
        "≠ 08227 → 08203, 08454",
        "⚡ 93066 ← 93059, 93066",
        "Millésime déclaré 2026",
        "zéro initial",
    ] {
        assert!(text.contains(words), "« {words} » not in: {text}");
    }
    assert!(!text.contains("⚡ 60694"), "equal values are no conflict: {text}");
}

#[test]
pub fn what_lies_at_sea_goes_to_the_nearest_commune_within_reach() {
    let site = Site::new();
    let square = r#"{"type":"FeatureCollection","features":[
 {"type":"Feature","properties":{"code":"59183"},"geometry":{"type":"Polygon","coordinates":[[[2.3,51],[2.4,51],[2.4,51.05],[2.3,51.05],[2.3,51]]]}}]}"#;
    fs::write(site.path("communes.geojson"), square).unwrap();
    site.layer("communes", "key = \"code\"\n[territory]\nlevel = \"com\"\ncolumn = \"code\"\nborders = \"com\"\n[source]\npath = \"../communes.geojson\"");
    // 550 m off the coast, then 11 km.
    fs::write(site.path("buoys.csv"), "id;lon;lat\na;2.35;51.055\nb;2.35;51.15\n").unwrap();
    site.layer(
        "near",
        "key = \"id\"\n[territory]\nnearest = 1000\n[source]\npath = \"../buoys.csv\"",
    );
    site.layer("none", "key = \"id\"\n[source]\npath = \"../buoys.csv\"");
    let borders = note(&site, "communes");
    assert!(borders.contains("Communes sans polygone"), "{borders}");
    let near = note(&site, "near");
    assert!(
        near.contains("1 lignes hors de toute commune") && near.contains("non rattachées 1"),
        "{near}"
    );
    assert!(note(&site, "none").contains("non rattachées 2"));
}

#[test]
pub fn a_column_of_commune_codes_that_nobody_bound_is_hinted_at() {
    let site = Site::new();
    let codes =
        ["59350", "59009", "59183", "62041", "80021", "75056", "13055", "69123", "2A004", "97411"];
    let rows: String = codes.iter().enumerate().map(|(i, c)| format!("{i};{c}\n")).collect();
    fs::write(site.path("t.csv"), format!("id;commune\n{rows}")).unwrap();
    site.layer("t", "key = \"id\"\n[source]\npath = \"../t.csv\"");
    let text = note(&site, "t");
    assert!(text.contains("« commune »") && text.contains("[territory]"), "{text}");
}

#[test]
pub fn a_table_is_carried_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("old.csv"), folder.path().join("new.csv"));
    // Windows-1252, as Excel writes it.
    fs::write(&from, b"Code INSEE;Libell\xe9\r\n60455;La Neuville-Garnier\r\n1001;x\r\n").unwrap();
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    let output = socle(&["carry", from, "-o", to, "--parents", "dep,reg"]);
    assert!(output.status.success(), "{}", said(&output));
    let text = fs::read_to_string(to).unwrap();
    // What Excel wrote, Excel reads: it knows UTF-8 by its mark.
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    assert_eq!(
        lines.next(),
        Some(
            "Code INSEE;Libellé;socle_com;socle_com_nom;socle_dep;socle_reg;socle_verdict;socle_candidats;socle_conflit;socle_note"
        )
    );
    assert!(lines.next().unwrap().contains(";60694;Les Hauts-Talican;60;32;carried;"), "{text}");
    assert!(lines.next().unwrap().contains(";01001;"), "{text}");
    assert_eq!(socle(&["carry", from, "--column", "nope"]).status.code(), Some(2));
    assert_eq!(socle(&["carry", from, "--parents", "lune"]).status.code(), Some(2));
    assert_eq!(socle(&["carry", "missing.csv"]).status.code(), Some(2));
}

#[test]
pub fn zrr_2022_lists_its_conflicting_communes() {
    let Some(path) = shared("zrr-2022/zrr_2022.csv") else {
        println!("skipped zrr_2022_lists_its_conflicting_communes: no zrr-2022");
        return;
    };
    // The zones of 2022 are told by the communes of 2021: all its 34,965 codes are of that year.
    let output = socle(&["carry", path.to_str().unwrap(), "-o", "/dev/null"]);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains(" : 2021 (") && text.contains("Conflit sur com:"), "{text}");
    assert!(!text.contains("unknown"), "{text}");
}
