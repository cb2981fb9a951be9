//! The API definition and the schemas of layers as other programs read them: judged by validators
//! that nobody here wrote (PyPI), large where there are many layers, made once.

use crate::support::{Server, Site, command, demo_server, finish, has, python, root, said, tool};
use std::{
    fs,
    time::{Duration, Instant},
};

over_both!(fields_bear_titles_units_and_roles, features_without_a_key_bear_their_ids_in_tables);

/// Layers of the large configuration.
const LAYERS: usize = 500;
/// What opens the metrics.
const VARIABLE: &str = "SOCLE_TEST_DEFINITION_TOKEN";
const TOKEN: &str = "ouvre-toi";

/// Runs a script of `tests/definition/`.
fn judged(python: &str, script: &str, arguments: &[&str]) -> String {
    let script = root().join("tests/definition").join(script);
    let script = script.to_str().expect("UTF-8");
    tool(python, &[&[script], arguments].concat())
}

#[test]
fn the_definition_is_valid_and_so_are_its_examples() {
    let Some(python) = python("openapi_spec_validator") else { return };
    let server = demo_server();
    for below in ["", "t/dep-59/", "t/dep-59-clip/"] {
        for lang in ["fr", "en"] {
            let said = judged(
                &python,
                "openapi.py",
                &[&format!("{}{below}api?f=json", server.base), lang],
            );
            println!("/{below} ({lang}): {}", said.trim());
            let examples: u32 =
                said.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap();
            assert!(examples >= 60, "{said}");
        }
    }
}

#[test]
fn schemas_are_to_the_letter_and_features_are_what_they_say() {
    let Some(python) = python("openapi_spec_validator") else { return };
    let server = demo_server();
    for below in ["", "t/dep-59/"] {
        for layer in ["communes", "cantons", "mairies"] {
            let url = format!("{}{below}collections/{layer}", server.base);
            let judged = judged(&python, "schema.py", &[&url]);
            assert!(judged.trim().parse::<u32>().is_ok_and(|n| n > 30), "{url}: {judged}");
        }
    }
}

#[test]
fn the_examples_lead_to_answers() {
    let server = demo_server();
    let page = server.page("/api").text();
    let tried: Vec<String> = page
        .split("class=\"button\" href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&"))
        .collect();
    assert!(tried.len() >= 40, "{}", tried.len());
    for url in tried {
        let path = url.strip_prefix(server.base.trim_end_matches('/')).unwrap();
        let answer = server.get(path);
        assert!([200, 202, 204].contains(&answer.status), "{path}: {}", answer.text());
    }
}

/// The page is the definition in words: nothing from elsewhere, in both languages.
#[test]
fn the_page_says_what_the_definition_says() {
    let server = demo_server();
    let definition = server.json("/api");
    let literal = ["cantons", "communes", "mairies"].map(|id| format!("/collections/{id}/items"));
    for (lang, words) in
        [("fr", ["Paramètres", "Réponses", "Essayer"]), ("en", ["Parameters", "Answers", "Try it"])]
    {
        let headers = [("Accept", "text/html"), ("Accept-Language", lang)];
        let page = server.send("GET", "/api", &headers).text();
        let paths = definition["paths"].as_object().unwrap();
        for (path, item) in paths.iter().filter(|(path, _)| !literal.contains(path)) {
            assert!(page.contains(&format!("<code>{path}</code>")), "{lang}: {path}");
            for operation in item.as_object().unwrap().values() {
                let id = operation["operationId"].as_str().unwrap();
                assert!(
                    page.contains(&format!("<details class=\"operation\" id=\"{id}\">")),
                    "{id}"
                );
            }
        }
        for (key, parameter) in definition["components"]["parameters"].as_object().unwrap() {
            let name = parameter["name"].as_str().unwrap();
            assert!(page.contains(&format!("<dt><code>{name}</code></dt>")), "{lang}: {key}");
        }
        assert!(words.iter().all(|word| page.contains(word)), "{lang}");
        for part in page.split(['"', '\'']).filter(|part| part.starts_with("http")) {
            let ours =
                part.starts_with(&server.base) || part.starts_with("http://www.opengis.net/");
            assert!(ours, "{part}");
        }
    }
}

/// One point with a dozen fields.
fn text() -> String {
    let fields: Vec<String> = (0..12).map(|i| format!("\"champ_{i}\":{i}")).collect();
    let (fields, place) = (fields.join(","), "{\"type\":\"Point\",\"coordinates\":[3,50]}");
    format!(
        "{{\"type\":\"FeatureCollection\",\"features\":[{{\"type\":\"Feature\",\"properties\":{{\"code\":\"1\",{fields}}},\"geometry\":{place}}}]}}"
    )
}

/// A configuration of many layers.
fn many() -> Site {
    let site = Site::with(&format!("admin_token_env = \"{VARIABLE}\""));
    fs::write(site.path("points.geojson"), text()).unwrap();
    for i in 0..LAYERS {
        let rest = "key = \"code\"\n[source]\npath = \"../points.geojson\"\n[territory]\nby_location = false\n\
                    [fields.champ_1]\ntitle = \"Le premier champ\"\nunit = \"km2\"";
        site.layer(&format!("couche-{i}"), rest);
    }
    // Each waits for the disk most of the time.
    let names: Vec<String> = (0..LAYERS).map(|i| format!("couche-{i}")).collect();
    std::thread::scope(|scope| {
        for part in names.chunks(LAYERS / 4) {
            let part: Vec<&str> = part.iter().map(String::as_str).collect();
            let site = &site;
            scope.spawn(move || harvest(site, &part));
        }
    });
    site
}

fn harvest(site: &Site, layers: &[&str]) {
    let config = site.config();
    let mut command = command(&[&["harvest", "--config", &config], layers].concat());
    let output = finish(command.env(VARIABLE, TOKEN));
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn many_layers_are_defined_once_and_sent_as_bytes() {
    let site = many();
    let mut serve = site.serve_command(&[]);
    serve.env(VARIABLE, TOKEN);
    let server = Server::of(serve);
    let timed = |headers: &[(&str, &str)]| {
        let start = Instant::now();
        let answer = server.send("GET", "/api", headers);
        assert_eq!(answer.status, 200);
        (start.elapsed().as_secs_f64() * 1e3, answer)
    };
    let (first, answer) = timed(&[]);
    let literal = |id: &str| format!("/collections/{id}/items");
    let definition = answer.json();
    for i in [0, LAYERS - 1] {
        let parameters = &definition["paths"][literal(&format!("couche-{i}"))]["get"]["parameters"];
        let field = parameters.as_array().unwrap().iter().find(|p| p["name"] == "champ_1").unwrap();
        assert_eq!(field["description"], "Le premier champ");
    }
    let mut plain: Vec<f64> = (0..9).map(|_| timed(&[]).0).collect();
    let mut gzip: Vec<f64> = (0..9).map(|_| timed(&[("Accept-Encoding", "gzip")]).0).collect();
    plain.sort_by(f64::total_cmp);
    gzip.sort_by(f64::total_cmp);
    println!(
        "{LAYERS} layers: {} bytes, written in {first:.1} ms, then {:.2} ms, gzipped {:.2} ms",
        answer.body.len(),
        plain[4],
        gzip[4]
    );
    let (_, page) = timed(&[("Accept", "text/html")]);
    assert!(page.text().contains("couche-499"));
    assert_eq!(written(&server), 2, "one definition, one page");
    // Another language is another definition; another way to ask for the same is not.
    timed(&[("Accept-Language", "en")]);
    server.get("/api?f=json");
    assert_eq!(written(&server), 3);
    // Neither is a layer published anew that looks the same.
    fs::write(site.path("points.geojson"), format!("{}\n", text())).unwrap();
    harvest(&site, &["couche-7"]);
    let path = "/collections/couche-7/versions";
    let two = server.until(Duration::from_secs(5), |server| {
        server.json(path)["versions"].as_array().is_some_and(|all| all.len() == 2)
    });
    assert!(two, "{}", server.json(path));
    server.get("/api");
    assert_eq!(written(&server), 3);
}

/// How many definitions a server has written.
fn written(server: &Server) -> u64 {
    let text = server.get(&format!("/metrics?key={TOKEN}")).text();
    let line = text.lines().find(|l| l.starts_with("socle_api_definitions_written_total"));
    line.and_then(|l| l.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

const ROWS: &str = "id,nom,debut,fin,\"LINE_NUMB-SEG\",lon,lat
7,Lille,2024-01-01,2024-06-30,1.5,3.06,50.63
8,Roubaix,2024-05-01,,2.5,3.17,50.69
";

const FIELDS: &str = "[source]
path = \"../rows.csv\"
[time]
start = \"debut\"
end = \"fin\"
[fields.nom]
title = \"Nom usuel\"
title_en = \"Usual name\"
description = \"Tel que le territoire se nomme.\"
definition = \"https://schema.org/name\"
[fields.\"LINE_NUMB-SEG\"]
title = \"Densité\"
unit = \"{hab}/km2\"
[fields.debut]
unit = \"https://qudt.org/vocab/unit/DAY\"
unit_lang = \"QUDT\"
[fields.absent]
title = \"Absent\"
";

fn fields_bear_titles_units_and_roles() {
    let site = Site::new();
    fs::write(site.path("rows.csv"), ROWS).unwrap();
    site.layer("lieux", &format!("key = \"id\"\n{FIELDS}"));
    let report = site.harvest();
    assert!(report.contains("n'a pas : absent"), "{report}");
    let server = site.serve();
    for what in ["schema", "queryables", "sortables"] {
        let document = server.json(&format!("/collections/lieux/{what}"));
        let fields = &document["properties"];
        assert_eq!(fields["nom"]["title"], "Nom usuel", "{what}");
        assert_eq!(fields["nom"]["x-ogc-definition"], "https://schema.org/name");
        let dense = &fields["LINE_NUMB-SEG"];
        assert_eq!((&dense["title"], &dense["type"]), (&"Densité".into(), &"number".into()));
        assert_eq!(dense["x-ogc-unit"], "{hab}/km2");
        assert_eq!(dense["x-ogc-unitLang"], "UCUM");
        assert_eq!(fields["debut"]["x-ogc-unit"], "https://qudt.org/vocab/unit/DAY");
        assert_eq!(fields["debut"]["x-ogc-unitLang"], "QUDT");
        let roles = ["id", "debut", "fin"].map(|name| fields[name]["x-ogc-role"].clone());
        assert_eq!(roles, ["id", "primary-interval-start", "primary-interval-end"]);
        assert!(fields["nom"].get("x-ogc-role").is_none() && fields.get("absent").is_none());
        let places =
            ["id", "nom", "LINE_NUMB-SEG"].map(|n| fields[n]["x-ogc-propertySeq"].as_u64());
        assert!(places.is_sorted() && places[0] != places[1], "{places:?}");
    }
    let english = [("Accept-Language", "en"), ("Accept", "application/schema+json")];
    let english = server.send("GET", "/collections/lieux/schema", &english).json();
    assert_eq!(english["properties"]["nom"]["title"], "Usual name");
    assert_eq!(english["properties"]["LINE_NUMB-SEG"]["title"], "Densité");
    let page = server.page("/collections/lieux").text();
    for words in ["Nom usuel", "Tel que le territoire se nomme.", "hab/km²", ">DAY<"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    // One column that says when is an instant.
    let time = "[time]\ncolumn = \"debut\"";
    site.layer("jours", &format!("key = \"nom\"\n[source]\npath = \"../rows.csv\"\n{time}"));
    site.harvest();
    drop(server);
    let server = site.serve();
    let fields = server.json("/collections/jours/schema")["properties"].clone();
    assert_eq!(fields["debut"]["x-ogc-role"], "primary-instant");
    assert!(fields["fin"].get("x-ogc-role").is_none());
}

/// The layer file goes before what the comment of a column says.
#[test]
fn fields_of_tables_are_said_by_comments_and_by_the_configuration() {
    let more = "[tables.fields.note]\ntitle = \"Note\"\nunit = \"1\"\n[tables.fields.vue]\ntitle = \"Vue le\"";
    let tables = format!("{}{more}", crate::tables::MAIRIES_LAYER);
    let Some(place) = crate::tables::Place::new(crate::tables::MAIRIES, &tables) else { return };
    let server = place.site.serve();
    let fields = server.json("/collections/mairies/schema")["properties"].clone();
    assert_eq!(fields["note"]["x-ogc-unit"], "1");
    assert_eq!(fields["vue"]["title"], "Vue le");
    assert_eq!(fields["vue"]["description"], "En temps universel.");
}

fn features_without_a_key_bear_their_ids_in_tables() {
    let site = Site::new();
    fs::write(site.path("rows.csv"), ROWS).unwrap();
    site.layer("anonymes", "[source]\npath = \"../rows.csv\"");
    site.layer("nommes", "key = \"id\"\n[source]\npath = \"../rows.csv\"");
    site.harvest();
    let server = site.serve();
    let rows = |path: &str| -> Vec<Vec<String>> {
        let text = server.get(&format!("{path}&bom=false&separator=comma")).text();
        text.lines().map(|row| row.split(',').map(str::to_owned).collect()).collect()
    };
    let found = server.json("/collections/anonymes/items");
    let ids = found["features"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap());
    // A field is called `id` already.
    let table = rows("/collections/anonymes/items?f=csv");
    assert_eq!((table[0][0].as_str(), table[0][1].as_str()), ("id_", "id"));
    let column: Vec<&str> = table[1..].iter().map(|row| row[0].as_str()).collect();
    assert_eq!(column, ids.collect::<Vec<_>>());
    let named = rows("/collections/anonymes/items?f=csv&properties=nom&sortby=-nom");
    assert_eq!((named[0].join(","), named[1][1].as_str()), ("id_,nom".into(), "Roubaix"));
    assert_eq!(rows("/collections/nommes/items?f=csv")[0][0], "id");
    if has("ogrinfo") {
        let url = |layer: &str| {
            format!("/vsicurl_streaming/{}collections/{layer}/items?f=fgb", server.base)
        };
        let seen = tool("ogrinfo", &["-ro", "-al", "-q", &url("anonymes")]);
        assert!(seen.contains(&format!("id_ (String) = {}", column[0])), "{seen}");
        let seen = tool("ogrinfo", &["-ro", "-al", "-q", &url("nommes")]);
        assert!(!seen.contains("id_") && seen.contains("id (Integer64) = 7"), "{seen}");
    }
}
