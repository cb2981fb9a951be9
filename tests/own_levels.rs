//! Levels that the configuration adds, used wherever a level is: filters, scopes, figures, tables,
//! files, search, pages; and what is refused at start.

use crate::support::{Server, Site, demo_layers, root, said, socle};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs};

over_both!(a_table_of_communes_is_a_level_everywhere, a_layer_of_polygons_is_a_level_everywhere);

/// Communes of the demo by code, with their names.
fn communes() -> BTreeMap<String, String> {
    let text = fs::read(root().join("config/demo/data/communes.geojson")).unwrap();
    let all: Value = serde_json::from_slice(&text).unwrap();
    let of = |f: &Value, key: &str| f["properties"][key].as_str().unwrap().to_owned();
    let features = all["features"].as_array().unwrap().iter();
    features.map(|f| (of(f, "code"), of(f, "nom"))).collect()
}

/// The basin of a commune: those of the Nord by the hundred of their number, the Pas-de-Calais
/// whole, the others in none.
fn basin(code: &str) -> Option<(&str, String)> {
    match code.get(..3)? {
        "592" | "593" => Some(("b59mid", "Bassin du milieu".into())),
        "590" | "591" | "594" | "595" | "596" => {
            Some((code.get(..3)?, format!("Bassin n° {}", code.get(..3)?)))
        }
        three if three.starts_with("62") => Some(("62", "Bassin d'Artois".into())),
        _ => None,
    }
}

fn members() -> BTreeMap<String, Vec<String>> {
    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for code in communes().into_keys() {
        if let Some((basin, _)) = basin(&code) {
            members.entry(basin.to_owned()).or_default().push(code);
        }
    }
    members
}

/// A site with the demo's layers and a level made of a table of communes.
fn site() -> Site {
    let site = Site::new();
    demo_layers(&site);
    let mut table = "Code commune;Libellé;BV;Nom du bassin\n".to_owned();
    for (code, name) in communes() {
        let (basin, title) = basin(&code).unwrap_or_default();
        table.push_str(&format!("{code};{name};{basin};{title}\n"));
    }
    // An old code of a commune that the table has too, under the same basin; one of no commune.
    table.push_str("59355;Lomme;b59mid;\n99999;Nulle part;b59mid;\n");
    // As a spreadsheet of old saves it.
    let (bytes, _, _) = encoding_rs::WINDOWS_1252.encode(&table);
    fs::write(site.path("bassins.csv"), bytes).unwrap();
    configure(
        &site,
        "[[levels]]\nid = \"bassin\"\ntitle = \"bassin de vie\"\n\
        title_en = \"living area\"\ntitle_plural = \"bassins de vie\"\nmembers = \"bassins.csv\"\n\
        code = \"BV\"\nname = \"Nom du bassin\"\n",
    );
    site
}

/// Adds to the configuration, and has levels derived.
fn configure(site: &Site, more: &str) {
    let text = fs::read_to_string(site.with_levels()).unwrap();
    fs::write(site.path("socle.toml"), format!("{text}\n{more}")).unwrap();
}

fn hits(server: &Server, path: &str) -> u64 {
    let answer = server.json(path);
    answer["numberMatched"].as_u64().unwrap_or_else(|| panic!("{path}: {answer}"))
}

fn ids(answer: &Value) -> Vec<String> {
    let features = answer["features"].as_array().unwrap_or_else(|| panic!("{answer}")).iter();
    features.map(|f| f["id"].as_str().unwrap().to_owned()).collect()
}

fn a_table_of_communes_is_a_level_everywhere() {
    let site = site();
    let text = site.harvest();
    assert!(text.contains("✓ territoires-bassin"), "{text}");
    let checked = said(&site.run(&["check"]));
    for words in ["bassin : 7 territoires", "59355 → 59350", "99999 (l. "] {
        assert!(checked.contains(words), "« {words} » not in: {checked}");
    }
    let members = members();
    let server = site.serve();

    filters_and_scopes(&server, &members);
    names_and_pages(&server, &members);
    figures_and_tables(&server, &members);
    files(&site, &server, &members);

    // Derived like the levels of the COG.
    let layer = server.json("/collections/territoires-bassin/items?limit=100");
    assert_eq!(ids(&layer).len(), members.len());
    assert_eq!(server.json("/collections/territoires-bassin")["title"], "bassins de vie");
    let across = hits(&server, "/t/bassin-62/collections/territoires-dep/items");
    assert_eq!(across, 1);

    // Another table of the same names is another selection: no tag or file of the one before.
    let path = "/t/bassin-62/collections/communes/items?limit=1";
    let before = server.get(path).header("etag").unwrap().to_owned();
    drop(server);
    let text = fs::read(site.path("bassins.csv")).unwrap();
    let text = encoding_rs::WINDOWS_1252.decode(&text).0.replace(";62;", ";62b;");
    fs::write(site.path("bassins.csv"), text.replacen(";62b;", ";62;", 1)).unwrap();
    let server = site.serve();
    assert_ne!(server.get(path).header("etag").unwrap(), before);
    assert_eq!(hits(&server, path), 1);
    assert_eq!(server.get("/t/bassin-593/").status, 400);
}

type Members = BTreeMap<String, Vec<String>>;

fn filters_and_scopes(server: &Server, members: &Members) {
    for (code, list) in members {
        let path = format!("/collections/communes/items?territory=bassin:{code}");
        assert_eq!(hits(server, &format!("{path}&resultType=hits")), list.len() as u64, "{code}");
    }
    let mut artois = ids(&server.json("/t/bassin-62/collections/communes/items?limit=10000"));
    artois.sort();
    assert_eq!(artois, members["62"]);
    let concerns = hits(server, "/t/bassin-594/collections/cantons/items");
    let within = hits(server, "/t/bassin-594-within/collections/cantons/items");
    let clip = hits(server, "/t/bassin-594-clip/collections/cantons/items");
    assert!(within < concerns && clip <= concerns && clip > 0, "{within} {concerns} {clip}");
    let union = hits(server, "/t/bassin-594+bassin-595/collections/communes/items");
    assert_eq!(union as usize, members["594"].len() + members["595"].len());
    let both = hits(server, "/t/dep-59/collections/communes/items?territory=bassin:62");
    assert_eq!(both, 0, "they meet as sets of communes");
    assert_eq!(server.get("/t/bassin-594/collections/communes/tiles/9/260/171.mvt").status, 200);
}

/// Names, search, one territory, its page and landing page.
fn names_and_pages(server: &Server, members: &Members) {
    let list = server.json("/territories?level=bassin");
    let found: Vec<&str> = list["territories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["code"].as_str().unwrap())
        .collect();
    assert_eq!(found, members.keys().map(String::as_str).collect::<Vec<_>>());
    assert!(list["levels"].as_array().unwrap().contains(&json!("bassin")));
    let found = server.json("/territories?q=bassin%20d%27artois");
    assert_eq!(found["territories"][0]["id"], "bassin:62", "{found}");
    let one = server.json("/territories/bassin-b59mid");
    assert_eq!(one["name"], "Bassin du milieu");
    assert_eq!(one["members"].as_array().unwrap().len(), members["b59mid"].len());
    assert_eq!(one["parents"][0]["id"], "dep:59");
    assert!(one["areaKm2"].as_f64().unwrap() > 100.0 && !one["geometry"].is_null());
    let lille = server.json("/territories/com-59350");
    let parents = lille["parents"].as_array().unwrap();
    assert!(parents.iter().any(|p| p["id"] == "bassin:b59mid"), "{lille}");
    let page = server.page("/territories/bassin-62").text();
    assert!(page.contains("Bassin d'Artois") && page.contains("bassin de vie"), "{page}");
    let home = server.page("/t/bassin-62/");
    assert!(home.status == 200 && home.text().contains("Bassin d"), "{}", home.text());
    assert_eq!(server.json("/t/bassin-62/")["territory"], "bassin:62");
}

fn figures_and_tables(server: &Server, members: &Members) {
    let stats = server.json("/collections/communes/stats?by=bassin&metric=count,sum:population");
    let rows = stats["rows"].as_array().unwrap();
    assert_eq!(rows.len(), members.len());
    for row in rows {
        let code = row["code"].as_str().unwrap();
        assert_eq!(row["count"], members[code].len(), "{row}");
        assert_eq!(row["name"], server.json(&format!("/territories/bassin-{code}"))["name"]);
    }
    let outside = communes().len() - members.values().map(Vec::len).sum::<usize>();
    assert_eq!(stats["outside"]["features"], outside);
    let map = server.json("/collections/communes/stats?by=bassin&f=geojson");
    let drawn = map["features"].as_array().unwrap().iter().filter(|f| !f["geometry"].is_null());
    assert_eq!(drawn.count(), members.len());
    let table = server.get("/t/bassin-594/table?level=com&collections=mairies&f=csv").text();
    assert!(
        table.lines().count() == members["594"].len() + 1 && table.contains("bassin"),
        "{table}"
    );
    let table = server.json("/table?level=bassin&collections=communes&show=count");
    assert_eq!(table["rows"].as_array().unwrap().len(), members.len(), "{table}");
}

fn files(site: &Site, server: &Server, members: &Members) {
    let file = server.get("/t/bassin-62/collections/communes/export?f=geojson").json();
    assert_eq!(ids(&file).len(), members["62"].len());
    let out = site.path("bassin.geojson");
    let cut = ["cut", "communes", "--territory", "bassin:62", "--format", "geojson", "-o"];
    let cut = site.run(&[&cut[..], &[out.to_str().unwrap()]].concat());
    assert!(cut.status.success(), "{}", said(&cut));
    let file: Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
    assert_eq!(ids(&file).len(), members["62"].len());
}

fn a_layer_of_polygons_is_a_level_everywhere() {
    let site = Site::new();
    demo_layers(&site);
    let square = |id: &str, name: &str, west: f64, south: f64| {
        let (east, north) = (west + 0.5, south + 0.3);
        let ring = [[west, south], [east, south], [east, north], [west, north], [west, south]];
        json!({ "type": "Feature", "properties": { "id": id, "nom": name },
            "geometry": { "type": "Polygon", "coordinates": [ring] } })
    };
    let all = json!({ "type": "FeatureCollection", "features": [
        square("P1", "Parc de la Scarpe", 3.0, 50.3), square("P2", "Parc des caps", 1.6, 50.6)] });
    fs::write(site.path("parcs.geojson"), all.to_string()).unwrap();
    site.layer("parcs", "key = \"id\"\n[source]\npath = \"../parcs.geojson\"");
    configure(
        &site,
        "[[levels]]\nid = \"parc\"\ntitle = \"parc naturel\"\n\
        title_plural = \"parcs naturels\"\nlayer = \"parcs\"\ncode = \"id\"\nname = \"nom\"\n",
    );
    let text = site.harvest();
    assert!(!text.contains("territoires-parc"), "{text}");
    let server = site.serve();

    // Town halls are in a park by where they are, whatever their commune.
    let inside = ids(&server.json("/collections/mairies/items?territory=parc:P1&limit=1000"));
    let mut boxed = server.json("/collections/mairies/items?bbox=3.0,50.3,3.5,50.6&limit=1000");
    // A box lets those without a place through.
    let placed = boxed["features"].as_array_mut().unwrap();
    placed.retain(|f| !f["geometry"].is_null());
    let mut boxed = ids(&boxed);
    boxed.sort();
    let mut sorted = inside.clone();
    sorted.sort();
    assert!(!inside.is_empty());
    assert_eq!(sorted, boxed);
    assert_eq!(hits(&server, "/t/parc-P1/collections/mairies/items"), inside.len() as u64);
    assert_eq!(hits(&server, "/t/parc-P1/collections/parcs/items"), 1);
    let cut = server.json("/t/parc-P1-clip/collections/cantons/items?limit=100");
    let shares = cut["features"].as_array().unwrap().iter();
    let shares: Vec<f64> =
        shares.map(|f| f["properties"]["socle_part"].as_f64().unwrap()).collect();
    assert!(shares.iter().any(|s| *s < 1.0) && shares.iter().all(|s| *s > 0.0));
    // Made of no communes: their sets cannot be compared.
    assert_eq!(server.get("/t/parc-P1-within/collections/mairies/items").status, 409);

    let list = server.json("/territories?level=parc");
    assert_eq!(list["territories"][1]["name"], "Parc des caps", "{list}");
    let found = server.json("/territories?q=scarpe&level=parc");
    assert_eq!(found["territories"][0]["id"], "parc:P1", "{found}");
    let one = server.json("/territories/parc-P1");
    assert_eq!(
        (&one["name"], &one["bbox"]),
        (&json!("Parc de la Scarpe"), &json!([3.0, 50.3, 3.5, 50.6]))
    );
    let page = server.page("/territories/parc-P1").text();
    assert!(page.contains("Parc de la Scarpe") && page.contains("parc naturel"), "{page}");
    let stats = server.json("/collections/mairies/stats?by=parc");
    let rows = stats["rows"].as_array().unwrap();
    assert_eq!(
        (&rows[0]["name"], &rows[0]["count"]),
        (&json!("Parc de la Scarpe"), &json!(inside.len()))
    );
    let file = server.get("/t/parc-P1/collections/mairies/export?f=geojson").json();
    assert_eq!(ids(&file).len(), inside.len());
    let table = server.json("/table?level=parc&collections=mairies&show=count");
    assert_eq!(table["rows"].as_array().unwrap().len(), 2, "{table}");
}

/// Everything wrong at once, each with its line and what is allowed.
#[test]
fn wrong_levels_are_refused_at_start_with_their_lines() {
    let site = Site::new();
    site.layer("parcs", "[source]\npath = \"../parcs.geojson\"");
    let lines = fs::read_to_string(site.path("socle.toml")).unwrap().lines().count();
    let level = |id: &str, rest: &str| {
        format!("[[levels]]\nid = \"{id}\"\ntitle = \"t\"\ncode = \"c\"\n{rest}\n")
    };
    let wrong = [
        (level("dep", "layer = \"parcs\""), 2, "que Socle connaît déjà (com, epci"),
        (level("PNR", "layer = \"parcs\""), 2, "lettres de a à z"),
        (level("within", "layer = \"parcs\""), 2, "within"),
        (level("parka", "layer = \"parc\""), 5, "vouliez-vous dire « parcs »"),
        (level("parkb", "layers = \"parcs\""), 5, "vouliez-vous dire « layer »"),
        (level("parkc", "layer = \"parcs\"\nmembers = \"m.csv\""), 6, "l'un ou l'autre"),
        (level("parkd", "members = \"m.csv\""), 5, "introuvable"),
        (
            "[[levels]]\nid = \"parke\"\ntitle = \"t\"\nlayer = \"parcs\"\n".into(),
            1,
            "il manque « code »",
        ),
    ];
    let config = site.config();
    let before = fs::read_to_string(&config).unwrap();
    let (mut text, mut expected) = (before.clone(), Vec::new());
    for (toml, line, words) in &wrong {
        let at = text.lines().count() + line;
        expected.push((at, words));
        text.push_str(toml);
    }
    assert!(lines < expected[0].0);
    fs::write(&config, text).unwrap();
    let output = socle(&["layers", "--config", &config]);
    let told = said(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    for (line, words) in expected {
        let told_there = |l: &str| l.contains(&format!("socle.toml:{line} :")) && l.contains(words);
        assert!(told.lines().any(told_there), "line {line} « {words} » not in:\n{told}");
    }
    // A commune in two territories; a code of another form; a column that is not there.
    for (table, code, words) in [
        (
            "insee;c\n59350;A\n59009;B\n59350;B\n",
            "c",
            "m.csv:4 : la commune 59350 est déjà dans A (ligne 2)",
        ),
        ("insee;c\n59350;A-1\n", "c", "m.csv:2 : « A-1 » n'a pas la forme"),
        ("insee;c\n59350;A\n", "d", "Colonnes : insee, c"),
        ("x;c\n59350;A\n", "c", "aucune colonne de codes de commune"),
        ("insee;c\n;A\n", "c", "aucune ligne"),
    ] {
        fs::write(site.path("m.csv"), table).unwrap();
        let toml = format!(
            "[[levels]]\nid = \"parkf\"\ntitle = \"t\"\nmembers = \"m.csv\"\ncode = \"{code}\"\n"
        );
        fs::write(&config, format!("{before}{toml}")).unwrap();
        let output = socle(&["check", "--config", &config]);
        let told = said(&output);
        assert!(
            output.status.code() == Some(2) && told.contains(words),
            "« {words} » not in: {told}"
        );
    }
}
