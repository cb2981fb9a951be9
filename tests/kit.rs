//! The kit of a territory, unpacked and opened in QGIS as its user would.

use crate::{
    qgis,
    support::{Server, demo_server, has, over_postgis, tool},
};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// Fetches a kit and unpacks it; the name it came under.
pub fn unpack(server: &Server, path: &str, into: &Path) -> String {
    let answer = server.get(path);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/zip"));
    let name = answer.header("content-disposition").unwrap().to_owned();
    zip::ZipArchive::new(std::io::Cursor::new(answer.body)).unwrap().extract(into).unwrap();
    name
}

fn layer<'a>(project: &'a Value, name: &str) -> &'a Value {
    let layers = project["layers"].as_array().unwrap();
    layers.iter().find(|l| l["name"] == name).unwrap_or_else(|| panic!("{name}: {project}"))
}

#[test]
fn a_kit_opens_in_qgis_with_every_layer_drawn_and_named() {
    let server = demo_server();
    let dir = tempfile::tempdir().unwrap();
    let name = unpack(&server, "/t/dep-59/kit.zip", dir.path());
    assert!(name.contains("socle_cantons-communes-mairies_dep-59_"), "{name}");
    assert!(name.contains(".kit.zip"), "{name}");
    let words = fs::read_to_string(dir.path().join("LISEZMOI.txt")).unwrap();
    for word in ["projet.qgz", "Licence :", "Mention à reprendre :", "Nord (dep:59)"] {
        assert!(words.contains(word), "{word}: {words}");
    }
    if has("ogrinfo") {
        let data = dir.path().join("donnees.gpkg");
        let text = tool("ogrinfo", &["-ro", "-so", "-al", data.to_str().unwrap()]);
        assert_eq!(
            text.matches("Layer name: ").count() - text.matches("Layer name: layer_styles").count(),
            3,
            "{text}"
        );
        assert!(text.contains("Feature Count: 647"), "{text}");
    }
    if !qgis::found() {
        return;
    }
    let picture = dir.path().join("kit.png");
    let project = dir.path().join("projet.qgz");
    let opened = qgis::run("project.py", &[project.to_str().unwrap(), picture.to_str().unwrap()]);
    assert_eq!(opened["ok"], true, "{opened}");
    assert_eq!(opened["bad"], 0, "{opened}");
    assert_eq!(opened["said"], json!([]), "no warning");
    assert_eq!(opened["crs"], "EPSG:2154");
    assert_eq!(opened["layers"].as_array().unwrap().len(), 3, "{opened}");
    assert!(opened["title"].as_str().unwrap().starts_with("Nord (dep:59)"), "{opened}");
    let communes = layer(&opened, "Communes");
    assert_eq!(communes["valid"], true);
    assert_eq!(communes["features"], 647);
    assert_eq!(communes["crs"], "EPSG:2154");
    assert_eq!(communes["renderer"], "RuleRenderer");
    assert_eq!(communes["labels"], true);
    assert!(opened["colours"].as_u64().unwrap() > 8, "drawn: {opened}");
    // Points above polygons: drawn the other way round, no town hall would be seen.
    assert_eq!(opened["layers"][0]["name"], "Mairies", "{opened}");
}

#[test]
fn the_live_project_and_the_layer_definition_read_the_service() {
    if !qgis::found() {
        return;
    }
    let server = demo_server();
    let dir = tempfile::tempdir().unwrap();
    unpack(&server, "/t/epci-200093201/kit.zip?collections=communes,mairies", dir.path());
    let project = dir.path().join("projet-en-direct.qgz");
    let opened = qgis::run("project.py", &[project.to_str().unwrap()]);
    assert_eq!((&opened["ok"], &opened["bad"]), (&json!(true), &json!(0)), "{opened}");
    let live = |id: &str| {
        let hits = format!("/t/epci-200093201/collections/{id}/items?resultType=hits");
        server.json(&hits)["numberMatched"].clone()
    };
    let communes = layer(&opened, "Communes");
    assert_eq!((&communes["valid"], &communes["provider"]), (&json!(true), &json!("OAPIF")));
    assert_eq!(communes["features"], live("communes"));
    assert_eq!(communes["renderer"], "RuleRenderer");

    let answer = server.get("/t/epci-200093201/collections/communes/layer.qlr");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let name = answer.header("content-disposition").unwrap();
    assert!(name.contains("socle_communes_epci-200093201.qlr"), "{name}");
    let file = dir.path().join("communes.qlr");
    fs::write(&file, &answer.body).unwrap();
    let dropped = qgis::run("project.py", &[file.to_str().unwrap()]);
    assert_eq!(dropped["ok"], true, "{dropped}");
    assert_eq!(layer(&dropped, "Communes")["features"], live("communes"));
    assert_eq!(dropped["groups"], json!([]), "{dropped}");
}

#[test]
fn a_kit_takes_a_system_and_layers_and_refuses_the_rest() {
    let server = demo_server();
    for (path, status, word) in [
        ("/kit.zip?f=csv", 400, "export?f=csv"),
        ("/kit.zip?collections=rues", 404, "rues"),
        ("/kit.zip?crs=EPSG:9999", 400, "EPSG"),
        ("/kit.zip?colections=communes", 400, "collections"),
        ("/t/dep-59/collections/rues/layer.qlr", 404, "rues"),
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.text().contains(word), "{path}: {}", answer.text());
    }
    let estimate = server.json("/t/dep-59/export/estimate?f=kit&collections=mairies");
    assert!(estimate["rows"].as_u64().unwrap() > 600, "{estimate}");
}

#[test]
fn a_kit_over_postgis() {
    over_postgis(a_kit_opens_in_qgis_with_every_layer_drawn_and_named);
}
