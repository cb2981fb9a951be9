//! GDAL, QGIS and OWSLib, unmodified.

use super::{enc, items};
use crate::support::{command, demo, demo_server, finish, has, python, tool};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
};

/// A server whose access log is read.
struct Logged {
    child: std::process::Child,
    base: String,
    log: tempfile::NamedTempFile,
}

impl Logged {
    fn start() -> Self {
        use std::io::BufRead;
        let log = tempfile::NamedTempFile::new().unwrap();
        let config = demo().join("socle.toml");
        let mut serve =
            command(&["serve", "--config", config.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
        let mut child = serve.stdout(Stdio::piped()).stderr(log.reopen().unwrap()).spawn().unwrap();
        let line =
            std::io::BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        let base = line.split_whitespace().last().unwrap().to_owned();
        Self { child, base, log }
    }

    /// The targets asked for since the last look, decoded.
    fn targets(&self) -> String {
        std::thread::sleep(std::time::Duration::from_millis(300));
        let text = fs::read_to_string(self.log.path()).unwrap();
        let targets = text.lines().filter_map(|l| l.split("\"target\":\"").nth(1));
        let targets: Vec<String> = targets
            .filter_map(|t| t.split("\",\"").next())
            .map(|t| socle::http::params::decode(t).unwrap())
            .collect();
        targets.join("\n")
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn gdal_reads_every_layer_and_leaves_its_conditions_to_the_server() {
    if !has("ogrinfo") {
        return;
    }
    let server = Logged::start();
    let counts = |source: &str| -> Vec<(String, String)> {
        let seen = tool("ogrinfo", &["-ro", "-so", "-al", source]);
        let layers = seen.split("Layer name: ").skip(1).map(|part| {
            let count = part.split("Feature Count: ").nth(1).unwrap();
            (part.lines().next().unwrap().to_owned(), count.lines().next().unwrap().to_owned())
        });
        layers.collect()
    };
    let name = |n: &str, c: &str| (format!("socle:{n}"), c.to_owned());
    let whole = [name("cantons", "154"), name("communes", "3782"), name("mairies", "3777")];
    let source = format!("WFS:{}wfs", server.base);
    assert_eq!(counts(&source), whole);
    let scoped = counts(&format!("WFS:{}t/dep-59/wfs", server.base));
    assert_eq!(scoped[1], name("communes", "647"));
    let seen = tool(
        "ogrinfo",
        &[
            "-ro",
            "-q",
            &source,
            "socle:communes",
            "-where",
            "population > 100000",
            "-spat",
            "2",
            "50",
            "4",
            "51",
        ],
    );
    assert!(
        seen.contains("nom (String) = Lille") && !seen.contains("nom (String) = Amiens"),
        "{seen}"
    );
    let asked = server.targets();
    assert!(
        asked.contains(
            "<PropertyIsGreaterThan><ValueReference>population</ValueReference><Literal>100000"
        ),
        "{asked}"
    );
    assert!(asked.contains("<BBOX>") && asked.contains("STARTINDEX=0&COUNT="), "{asked}");
    let Some(python) = python("pyogrio") else { return };
    let script = "
import sys
from pyogrio.raw import read
from pyogrio import list_layers
print(sorted(list_layers(sys.argv[1])[:, 0].tolist()))
print(len(read(sys.argv[1], layer='socle:communes')[2]), len(read(sys.argv[1], layer='socle:communes', where=\"nom LIKE 'Li%' AND population > 1000\")[2]))
";
    let newest = tool(&python, &["-c", script, &source]);
    let expected = format!("{}\n3782 ", "['socle:cantons', 'socle:communes', 'socle:mairies']");
    assert!(newest.starts_with(&expected), "{newest}");
    let filter = enc("nom LIKE 'Li%' AND population > 1000");
    let url = format!("{}collections/communes/items?limit=1&filter={filter}", server.base);
    let matched = tool("curl", &["-s", &url]);
    let matched: Value = serde_json::from_str(&matched).unwrap();
    assert_eq!(newest.trim().rsplit(' ').next().unwrap(), matched["numberMatched"].to_string());
}

#[test]
fn qgis_adds_layers_in_every_version_and_system() {
    if !crate::qgis::found() {
        return;
    }
    let server = Logged::start();
    let lille = ["3.0", "50.6", "3.1", "50.7"];
    let filter = enc("S_INTERSECTS(geometry,BBOX(3.0,50.6,3.1,50.7))");
    let url = format!("{}collections/communes/items?limit=1000&filter={filter}", server.base);
    let expected: Value = serde_json::from_str(&tool("curl", &["-s", &url])).unwrap();
    let codes = expected["features"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap());
    let codes: BTreeSet<&str> = codes.collect();
    for (version, crs, scope, count) in [
        ("2.0.0", "EPSG:4326", "", 3_782),
        ("2.0.0", "EPSG:2154", "", 3_782),
        ("2.0.0", "EPSG:3857", "t/dep-59/", 647),
        ("1.1.0", "EPSG:4326", "", 3_782),
        ("1.0.0", "EPSG:4326", "", 3_782),
    ] {
        let url = format!("{}{scope}wfs", server.base);
        let seen = crate::qgis::run(
            "wfs.py",
            &[&[url.as_str(), "socle:communes", version, crs], lille.as_slice()].concat(),
        );
        let what = format!("{version} {crs}: {seen}");
        assert_eq!(seen["count"], count, "{what}");
        assert_eq!(seen["features"], count, "{what}");
        assert_eq!(
            (&seen["distinct"], &seen["empty"]),
            (&seen["features"], &Value::from(0)),
            "{what}"
        );
        assert_eq!(seen["crs"], crs, "{what}");
        assert_eq!(seen["lille"], serde_json::json!([3.05, 50.63]), "{what}");
        assert_eq!(seen["fields"]["population"], "xsd:long", "{what}");
        let inside: BTreeSet<&str> =
            seen["inside"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
        // A box turned into another system is a little larger.
        assert!(inside.is_superset(&codes) && inside.len() < codes.len() + 5, "{what}");
        let nord =
            serde_json::json!(["Dunkerque", "Lille", "Roubaix", "Tourcoing", "Villeneuve-d'Ascq"]);
        let filtered = seen["filtered"].as_array().unwrap();
        assert!(nord.as_array().unwrap().iter().all(|n| filtered.contains(n)), "{what}");
    }
    let asked = server.targets();
    assert!(asked.contains("STARTINDEX=1000&COUNT=1000"), "pages: {asked:.3000}");
    assert!(asked.contains("BBOX=") && asked.contains("PropertyIsGreaterThan"), "{asked:.3000}");
}

#[test]
fn owslib_reads_every_version() {
    let Some(python) = python("owslib") else { return };
    let server = demo_server();
    let script = "
import sys
from owslib.wfs import WebFeatureService
for version in ('1.0.0', '1.1.0', '2.0.0'):
    wfs = WebFeatureService(sys.argv[1], version=version)
    assert 'socle:communes' in wfs.contents, wfs.contents
    schema = wfs.get_schema('socle:communes')
    assert schema['properties']['population'] == 'long' and schema['geometry'].endswith('MultiPolygon'), schema
    two = wfs.getfeature(typename=['socle:communes'], maxfeatures=2).read()
    box = (3.0, 50.6, 3.1, 50.7)
    crs = 'EPSG:4326' if version == '1.0.0' else 'urn:ogc:def:crs:EPSG::4326'
    inside = wfs.getfeature(typename=['socle:communes'], bbox=box + (crs,)).read()
    print(version, two.count(b'<socle:communes '), inside.count(b'<socle:communes '))
";
    let url = format!("{}wfs", server.base);
    let output = finish(Command::new(&python).args(["-c", script, &url]));
    let said = String::from_utf8_lossy(&output.stderr);
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = items(
        &server,
        &format!("filter={}", enc("S_INTERSECTS(geometry,BBOX(3.0,50.6,3.1,50.7))")),
    )
    .len();
    assert_eq!(
        seen,
        ["1.0.0", "1.1.0", "2.0.0"].map(|v| format!("{v} 2 {expected}\n")).concat(),
        "{said}"
    );
}
