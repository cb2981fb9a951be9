//! The styles of layers that bring no document: coloured by theme, category and class, with names,
//! symbols and a legend; held against MapLibre's own validator, drawn by MapLibre in a browser and
//! by QGIS.

use crate::{
    kit, qgis,
    support::{Server, Site, finish, node_package, over_postgis, root, said, tool},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

/// Everything that `[style]` can ask, over every kind of geometry.
const LAYERS: [(&str, &str); 8] = [
    ("surfaces", ""),
    (
        "classes",
        "label = \"nom\"\n[style]\ntheme = \"limites\"\nlabels = true\n[style.classes]\n\
         field = \"population\"\nmethod = \"quantile\"\n[tiles]\nborders = true\nmax_zoom = 10\n\
         [fields.population]\ntitle = \"Habitants\"\ntitle_en = \"Inhabitants\"\nunit = \"{hab}\"",
    ),
    ("lieux", "[style]\ntheme = \"commerces\""),
    (
        "categories",
        "label = \"nom\"\n[style]\ntheme = \"equipements\"\ntitle = \"Département\"\nlabels = true\n\
         labels_from = 7\n[style.categories]\nfield = \"dep\"\nvalues = [{ value = \"59\", title = \"Nord\" }, \
         { value = \"62\", title = \"Pas-de-Calais\", color = \"#123456\" }]",
    ),
    (
        "ouverts",
        "[style]\ntheme = \"programmes\"\n[style.categories]\nfield = \"ouvert\"\n\
         values = [{ value = true, title = \"ouvert\", title_en = \"open\" }]",
    ),
    (
        "chemins",
        "label = \"nom\"\n[style]\ntheme = \"transport\"\nlabels = true\nlabels_from = 7\n[style.classes]\n\
         field = \"population\"\nbreaks = [500, 2500.5]\nramp = \"violet-orange\"",
    ),
    (
        "rangs",
        "[style]\ntheme = \"environnement\"\n[style.categories]\nfield = \"rang\"\n\
         values = [{ value = 0 }, { value = 1 }]",
    ),
    (
        "melange",
        "label = \"nom\"\n[style]\nlabels = true\nlabels_from = 7\n[style.classes]\nfield = \"population\"\n\
         method = \"quantile\"\nn = 4\nramp = \"bleu-rouge\"",
    ),
];

/// The communes of the demo, each as a feature of one kind; every seventh has no population.
fn features(kind: impl Fn(usize) -> &'static str) -> String {
    let text = fs::read_to_string(root().join("config/demo/data/communes.geojson")).unwrap();
    let communes: Value = serde_json::from_str(&text).unwrap();
    let features =
        communes["features"].as_array().unwrap().iter().enumerate().map(|(i, commune)| {
            let (told, shape) = (&commune["properties"], &commune["geometry"]);
            let ring = match shape["type"].as_str() {
                Some("Polygon") => &shape["coordinates"][0],
                _ => &shape["coordinates"][0][0],
            };
            let geometry = match kind(i) {
                "point" => json!({ "type": "Point", "coordinates": ring[0] }),
                "line" => {
                    json!({ "type": "LineString", "coordinates": ring })
                }
                _ => shape.clone(),
            };
            let population = (i % 7 > 0).then(|| told["population"].clone());
            json!({ "type": "Feature", "geometry": geometry, "properties": {
            "code": told["code"], "nom": told["nom"], "dep": told["dep"], "population": population,
            "ouvert": i % 3 == 0, "rang": i % 4,
        } })
        });
    json!({ "type": "FeatureCollection", "features": features.collect::<Vec<_>>() }).to_string()
}

/// All layers, harvested, with the seven themes' shapes of data behind them.
fn site() -> Site {
    let site = Site::new();
    let write = |name: &str, text: String| fs::write(site.path(name), text).unwrap();
    write("polygons.geojson", features(|_| "polygon"));
    write("points.geojson", features(|_| "point"));
    write("lines.geojson", features(|_| "line"));
    write("mixed.geojson", features(|i| ["polygon", "point", "line"][i % 3]));
    for (id, style) in LAYERS {
        let source = match id {
            "surfaces" | "classes" => "polygons",
            "chemins" => "lines",
            "melange" => "mixed",
            _ => "points",
        };
        let more = format!("key = \"code\"\n{style}\n[source]\npath = \"../{source}.geojson\"");
        site.layer(id, &more);
    }
    site.harvest();
    site
}

fn items(legend: &Value) -> Vec<&str> {
    legend["items"].as_array().unwrap().iter().map(|i| i["fr"].as_str().unwrap()).collect()
}

fn classes_hold_as_many_features_each() {
    let site = site();
    let server = site.serve();
    let style = server.json("/styles/classes");
    let legend = &style["metadata"]["socle:legend"];
    assert_eq!(
        (&legend["fr"], &legend["en"]),
        (&json!("Habitants (hab)"), &json!("Inhabitants (hab)"))
    );
    assert_eq!(items(legend).len(), 6, "five classes and those without a number: {legend}");
    assert_eq!(items(legend)[5], "sans valeur");
    // What the style draws is what a filter finds: a fifth of the numbers each.
    let count = |filter: String| -> f64 {
        let path = format!("/collections/classes/items?resultType=hits&filter={filter}");
        server.json(&path.replace(' ', "%20").replace('<', "%3C").replace('>', "%3E"))["numberMatched"]
            .as_f64()
            .unwrap()
    };
    let all = count("population IS NOT NULL".into());
    let mut seen = 0.0;
    for layer in style["layers"].as_array().unwrap().iter().filter(|l| l["type"] == "fill") {
        let filter = &layer["filter"];
        if filter[0] == "!has" {
            continue;
        }
        let tests = if filter[0] == "all" {
            &filter.as_array().unwrap()[1..]
        } else {
            std::slice::from_ref(filter)
        };
        let said: Vec<String> = tests
            .iter()
            .map(|t| format!("population {} {}", t[0].as_str().unwrap(), t[2]))
            .collect();
        let found = count(said.join(" AND "));
        assert!((0.17..0.23).contains(&(found / all)), "{said:?}: {found} of {all}");
        seen += found;
    }
    assert_eq!(seen, all, "each number is in one class");

    // The same everywhere: in a scope, which shows a part, in the legend of its own, on the page.
    let unnamed = server.json("/styles/classes?labels=false");
    let names = |style: &Value| style.to_string().matches("text-field").count();
    assert_eq!((names(&style), names(&unnamed)), (1, 0));
    assert_eq!(server.get("/styles/classes?labels=non").status, 400);
    let scoped = server.json("/t/dep-59/styles/classes");
    assert_eq!(scoped["layers"], style["layers"]);
    assert_eq!(&server.json("/styles/classes/legend")["legend"], legend);
    let page = server.send("GET", "/styles/classes/legend", &[("Accept", "text/html")]).text();
    let words = items(legend)[1];
    assert!(page.contains("Habitants (hab)") && page.contains(words), "{page}");
    let page = server.send("GET", "/collections/classes?f=html", &[]).text();
    // Without the browser's part the page has no map, nor its legend.
    assert!(page.contains(words) || !page.contains("id=\"map\""), "{page}");
    // And in QGIS's own style.
    let definition = server.get("/collections/classes/layer.qlr").text();
    assert!(definition.contains(words), "{definition}");
    assert!(definition.contains("&quot;population&quot; &gt;=") && definition.contains("labeling"));
    assert_eq!(server.get("/styles/nulle/legend").status, 404);
}

fn other_classes_are_another_version() {
    let site = Site::new();
    fs::write(site.path("a.geojson"), features(|_| "point")).unwrap();
    let declare = |style: &str| {
        let more = format!(
            "key = \"code\"\n[style.classes]\nfield = \"population\"\n{style}\n[source]\npath = \"../a.geojson\""
        );
        site.layer("a", &more);
    };
    let versions = |server: &Server| {
        server.json("/collections/a/versions")["versions"].as_array().unwrap().len()
    };
    let classes = |server: &Server| items(&server.json("/styles/a/legend")["legend"]).len();
    declare("method = \"quantile\"\nn = 3");
    site.harvest();
    declare("method = \"quantile\"\nn = 4");
    {
        // Asked for, but not decided yet: all alike.
        let server = site.serve();
        assert_eq!((classes(&server), versions(&server)), (1, 1));
    }
    site.harvest();
    declare("method = \"quantile\"\nn = 4\nramp = \"gris\"");
    site.harvest();
    {
        let server = site.serve();
        assert_eq!((classes(&server), versions(&server)), (5, 2), "colours alone make none");
    }
    // Who asks for what is not there is told, and what is published stays.
    for (style, word) in [
        ("[style.classes]\nfield = \"habitants\"\nmethod = \"equal\"", "habitants"),
        ("[style.classes]\nfield = \"nom\"\nmethod = \"equal\"", "nom"),
        ("[style.categories]\nfield = \"nom\"\nvalues = [{ value = 3 }]", "nom"),
    ] {
        site.layer("a", &format!("key = \"code\"\n{style}\n[source]\npath = \"../a.geojson\""));
        let output = site.run(&["harvest", "--force"]);
        let text = said(&output);
        assert!(
            !output.status.success() && text.contains("[style]") && text.contains(word),
            "{text}"
        );
        assert_eq!(versions(&site.serve()), 2);
    }
}

over_both!(classes_hold_as_many_features_each, other_classes_are_another_version);

/// Writes the style of every layer into a folder.
fn save(server: &Server, folder: &Path) -> BTreeMap<&'static str, Value> {
    let styles = LAYERS.iter().map(|(id, _)| {
        let style = server.json(&format!("/styles/{id}"));
        fs::write(folder.join(format!("{id}.json")), style.to_string()).unwrap();
        (*id, style)
    });
    styles.collect()
}

/// A package of the pages' own, which `make web` installs; says so without it.
fn web_package(name: &str) -> Option<PathBuf> {
    let folder = root().join("web/node_modules").join(name);
    if !folder.exists() {
        println!("skipped: {name} is not in web/node_modules (make web)");
        return None;
    }
    Some(folder)
}

/// What MapLibre drew in a browser of each job; nothing where there is no browser.
pub fn in_browser(jobs: &Value, dir: &Path) -> Option<Vec<Value>> {
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".into());
    if !Path::new(&chromium).exists() {
        println!("skipped: Chromium is not installed");
        return None;
    }
    let modules = node_package("playwright-core")?.parent()?.to_path_buf();
    node_package("pmtiles")?;
    let maplibre = web_package("maplibre-gl")?;
    let file = dir.join("jobs.json");
    fs::write(&file, jobs.to_string()).unwrap();
    let script = root().join("tests/browser/map.mjs");
    let paths = [&script, &maplibre, &modules, &file].map(|path| path.to_str().unwrap());
    Some(serde_json::from_str(&tool("node", &paths)).unwrap())
}

#[test]
fn every_style_is_drawn_by_its_clients() {
    let site = site();
    let server = site.serve();
    let dir = tempfile::tempdir().unwrap();
    let keep = std::env::var("SOCLE_PICTURES").map_or(dir.path().to_path_buf(), PathBuf::from);
    let styles = save(&server, dir.path());
    by_validator(dir.path());
    let point =
        server.json("/collections/lieux/items?limit=1")["features"][0]["geometry"]["coordinates"]
            .clone();
    let [x, y] = [0, 1].map(|i| point[i].as_f64().unwrap());
    by_maplibre(&styles, [x - 0.01, y - 0.006, x + 0.01, y + 0.006], dir.path(), &keep);
    by_qgis(&server, &keep);
    by_kit(&server, &styles, dir.path(), &keep);
}

/// `@maplibre/maplibre-gl-style-spec`, and what QGIS converts.
fn by_validator(folder: &Path) {
    if web_package("@maplibre/maplibre-gl-style-spec").is_none() {
        return;
    }
    let script = root().join("web/check-styles.mjs");
    let checked = finish(Command::new("node").arg(script).arg(folder));
    assert!(checked.status.success(), "{}", said(&checked));
    // It would say so.
    fs::write(
        folder.join("bad.json"),
        r#"{"version":8,"sources":{},"layers":[{"id":"a","type":"fil"}]}"#,
    )
    .unwrap();
    let refused = finish(Command::new("node").arg(root().join("web/check-styles.mjs")).arg(folder));
    assert!(!refused.status.success() && said(&refused).contains("bad.json"));
}

/// MapLibre in a browser: every colour of the legend is seen, names are written without any font
/// from a server, symbols come from the sprite.
fn by_maplibre(styles: &BTreeMap<&str, Value>, near: [f64; 4], dir: &Path, keep: &Path) {
    // Between Bapaume and Cambrai, where three départements meet, and close to one point.
    let job = |id: &str, name: &str, bounds: [f64; 4]| {
        let png = keep.join(format!("maplibre-{name}.png"));
        json!({ "style": styles[id], "bounds": bounds, "png": png })
    };
    let around = [2.85, 49.97, 3.27, 50.24];
    let mut jobs: Vec<Value> = styles.keys().map(|id| job(id, id, around)).collect();
    jobs.push(job("lieux", "symbole", near));
    let Some(mut drawn) = in_browser(&json!(jobs), dir) else { return };
    let close = drawn.pop().unwrap();
    assert!(close["rendered"]["lieux-symbol"].as_u64().unwrap() > 0, "{close}");
    let asked = |drawn: &Value, word: &str| {
        let all = drawn["elsewhere"].as_array().unwrap();
        all.iter().filter(|url| url.as_str().unwrap().contains(word)).count()
    };
    assert!(asked(&close, "/sprites/socle.png") > 0, "{close}");
    for ((id, style), drawn) in styles.iter().zip(&drawn) {
        assert_eq!(drawn["errors"], json!([]), "{id}");
        let layers = style["layers"].as_array().unwrap();
        for item in style["metadata"]["socle:legend"]["items"].as_array().unwrap() {
            let colour = &item["fill"];
            let of = |l: &&Value| {
                ["fill-color", "line-color", "circle-color"]
                    .iter()
                    .any(|c| l["paint"][c] == *colour)
            };
            let seen =
                layers.iter().filter(of).map(|l| &drawn["rendered"][l["id"].as_str().unwrap()]);
            let seen: u64 = seen.map(|n| n.as_u64().unwrap()).sum();
            assert!(seen > 0, "{id}: nothing of {item}");
        }
        let named = layers.iter().any(|l| l["layout"].get("text-field").is_some());
        let written = drawn["written"].as_u64().unwrap();
        assert_eq!(written > 500, named, "{id}: {written} pixels of names");
        assert_eq!(asked(drawn, "font") + asked(drawn, "glyph"), 0, "{drawn}");
        let sprite = style.get("sprite").is_some();
        assert_eq!(asked(drawn, "/sprites/") > 0, sprite, "{id}: {drawn}");
    }
}

/// QGIS converts every style without a warning and draws it.
fn by_qgis(server: &Server, keep: &Path) {
    if !qgis::found() {
        return;
    }
    for (id, _) in LAYERS {
        let png = keep.join(format!("qgis-{id}.png"));
        let drawn = qgis::draw(server, "", id, &png);
        assert!(drawn["drawn"].as_u64().unwrap() > 2_000, "{id}: {drawn}");
        assert!(drawn["colours"].as_u64().unwrap() > 20, "{id}: {drawn}");
    }
}

/// The same layers as files: the kit opens in QGIS with the same colours.
fn by_kit(server: &Server, styles: &BTreeMap<&str, Value>, dir: &Path, keep: &Path) {
    if !qgis::found() {
        return;
    }
    // One at a time: they lie over each other.
    for id in ["classes", "categories", "chemins"] {
        let folder = dir.join(format!("kit-{id}"));
        kit::unpack(server, &format!("/kit.zip?collections={id}&crs=EPSG:3857"), &folder);
        let png = keep.join(format!("kit-{id}.png"));
        let project = folder.join("projet.qgz");
        let opened = qgis::run("project.py", &[project.to_str().unwrap(), png.to_str().unwrap()]);
        assert_eq!((&opened["bad"], &opened["said"]), (&json!(0), &json!([])), "{id}: {opened}");
        assert_eq!(opened["layers"][0]["renderer"], "RuleRenderer", "{id}: {opened}");
        assert_eq!(opened["layers"][0]["labels"], true, "{id}");
        let project = fs::read(&project).unwrap();
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(project)).unwrap();
        let mut text = String::new();
        archive.by_name("projet.qgs").unwrap().read_to_string(&mut text).unwrap();
        for item in styles[id]["metadata"]["socle:legend"]["items"].as_array().unwrap() {
            let label = format!("label=\"{}\"", item["fr"].as_str().unwrap());
            assert!(text.contains(&label), "{id}: {label}");
        }
    }
}

#[test]
fn symbols_are_served_at_both_sizes() {
    let server = crate::support::demo_server();
    for (suffix, side) in [("", 20), ("@2x", 40)] {
        let index = server.json(&format!("/t/dep-59/sprites/socle{suffix}.json"));
        assert_eq!(index["commerces"]["height"], side);
        let png = server.get(&format!("/sprites/socle{suffix}.png"));
        assert_eq!(png.header("content-type"), Some("image/png"));
        // Width and height of the header (ISO 15948).
        let number = |at: usize| u32::from_be_bytes(png.body[at..at + 4].try_into().unwrap());
        assert_eq!((number(16), number(20)), (5 * side, side));
        let tag = png.header("etag").unwrap().to_owned();
        let path = format!("/sprites/socle{suffix}.png");
        assert_eq!(server.send("GET", &path, &[("If-None-Match", &tag)]).status, 304);
    }
    let unknown = server.get("/sprites/autre.png");
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("socle@2x.json"), "{}", unknown.text());
}

#[test]
fn a_published_table_says_where_its_classes_end() {
    over_postgis(|| {
        let site = Site::new();
        let main = fs::read_to_string(site.path("socle.toml")).unwrap();
        let table = "\n[[tables]]\ntable = \"lieux\"\n[tables.style.classes]\nfield = \"n\"\n";
        fs::write(site.path("socle.toml"), format!("{main}{table}method = \"quantile\"\n"))
            .unwrap();
        let text = said(&site.run(&["check"]));
        assert!(text.contains("breaks") && text.contains("socle.toml:"), "{text}");
    });
}
