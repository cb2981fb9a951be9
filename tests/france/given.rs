//! What the sources of the configuration for France hold in these tests: real files where they are
//! beside the project, in the form their producers publish them, else the demo's.

use super::portal::{Held, Shelf};
use crate::support::{has, root, shared, tool};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Cursor, Read, Write},
};
use toml::Table;

/// Communes, and all that lies in them, of the whole country or of the demo's region.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Region,
    Nation,
}

/// What is given: where it lies, and how many rows each layer is to keep of it.
#[derive(Default)]
pub struct Given {
    pub shelf: Shelf,
    pub rows: BTreeMap<&'static str, usize>,
}

impl Given {
    /// All that can be given to the layers.
    pub fn new(layers: &BTreeMap<String, Table>, extent: Extent) -> Self {
        let mut given = Self::default();
        given.borders(layers, extent);
        given.town_halls(layers);
        given.neighbourhoods();
        given.desks(layers);
        for (layer, id, name, file) in PROGRAMMES {
            given.table(layers, layer, ',', &programme(id, *name, file));
        }
        given.classification(layers, extent);
        given
    }

    /// The codes of the communes that are drawn.
    pub fn communes(&self) -> BTreeSet<String> {
        let all =
            self.shelf.types.get("ADMINEXPRESS-COG-CARTO.LATEST:commune").into_iter().flatten();
        let code = |f: &Value| f["properties"]["code_insee"].as_str().map(str::to_owned);
        all.filter_map(code).collect()
    }

    /// Lays a file where the layer looks for it.
    fn file(
        &mut self,
        layers: &BTreeMap<String, Table>,
        layer: &'static str,
        bytes: Vec<u8>,
        rows: usize,
    ) {
        let source = &layers[layer]["source"];
        match source.get("url").and_then(toml::Value::as_str) {
            Some(url) => {
                let place = url.trim_start_matches("https://").split('?').next();
                self.shelf.files.insert(place.expect("an address").to_owned(), bytes);
            }
            None => {
                let id = source["datagouv"]["resource"].as_str().expect("a resource").to_owned();
                let held = Held { id, name: format!("{layer}.csv"), format: "csv", bytes };
                self.shelf.datasets.insert(format!("jeu-{layer}"), vec![held]);
            }
        }
        self.rows.insert(layer, rows);
    }

    fn table(
        &mut self,
        layers: &BTreeMap<String, Table>,
        layer: &'static str,
        separator: char,
        rows: &[Vec<String>],
    ) {
        let mut writer = csv::WriterBuilder::new();
        let mut writer = writer.delimiter(separator as u8).from_writer(Vec::new());
        rows.iter().for_each(|row| writer.write_record(row).expect("a row"));
        let bytes = writer.into_inner().expect("a table");
        self.file(layers, layer, bytes, rows.len() - 1);
    }

    fn kind(
        &mut self,
        layers: &BTreeMap<String, Table>,
        layer: &'static str,
        features: Vec<Value>,
    ) {
        let name = layers[layer]["source"]["wfs"]["type"].as_str().expect("a type").to_owned();
        self.rows.insert(layer, features.len());
        self.shelf.types.insert(name, features);
    }

    fn borders(&mut self, layers: &BTreeMap<String, Table>, extent: Extent) {
        let nation = (extent == Extent::Nation && has("ogr2ogr"))
            .then(|| {
                Some((
                    shared("communes-2025.fgb.gz")?,
                    shared("cantons-2025-lambert93-cp1252.zip")?,
                ))
            })
            .flatten();
        let Some((communes, cantons)) = nation else {
            let demo = root().join("config/demo/data");
            let text = fs::read(demo.join("communes.geojson")).expect("the demo");
            self.kind(layers, "communes", features(&text).into_iter().map(as_ign).collect());
            if has("ogr2ogr") {
                let place = format!("/vsizip/{}", demo.join("cantons.zip").display());
                self.kind(
                    layers,
                    "cantons",
                    converted(&place, "").into_iter().map(as_ign).collect(),
                );
            }
            return;
        };
        let units = format!("/vsigzip/{}", communes.display());
        for (layer, kind) in
            [("communes", "type = 'COM'"), ("arrondissements-municipaux", "type = 'ARM'")]
        {
            let all = converted(&units, kind).into_iter().map(as_ign).collect();
            self.kind(layers, layer, all);
        }
        let cantons = converted(&format!("/vsizip/{}", cantons.display()), "");
        self.kind(layers, "cantons", cantons.into_iter().map(as_ign).collect());
        let mut parts = converted(&units, "type IN ('COMD', 'COMA')");
        for part in &mut parts {
            let delegated = part["properties"]["type"] == "COMD";
            let kind = if delegated { "commune-deleguee" } else { "commune-associee" };
            part["properties"]["type"] = kind.into();
        }
        let rows = parts.len();
        self.file(layers, "communes-associees-deleguees", gzipped(&collection(parts)), rows);
    }

    /// The demo's town halls, as both of their sources have them.
    fn town_halls(&mut self, layers: &BTreeMap<String, Table>) {
        let bytes = fs::read(root().join("config/demo/data/mairies.csv")).expect("the demo");
        let (text, _, _) = encoding_rs::WINDOWS_1252.decode(&bytes);
        let mut reader = csv::ReaderBuilder::new();
        let mut reader = reader.delimiter(b';').from_reader(text.as_bytes());
        let rows: Vec<BTreeMap<String, String>> =
            reader.deserialize().map(|row| row.expect("a row")).collect();
        let degrees =
            |row: &BTreeMap<String, String>, name: &str| row[name].replace(',', ".").parse::<f64>();
        let points = rows.iter().filter_map(|row| {
            let place = [degrees(row, "longitude").ok()?, degrees(row, "latitude").ok()?];
            Some(json!({
                "type": "Feature", "geometry": { "type": "Point", "coordinates": place },
                "properties": { "commune": row["code_insee"], "nom": row["commune"], "type": "mairie" },
            }))
        });
        let points: Vec<Value> = points.collect();
        let count = points.len();
        self.file(layers, "mairies", gzipped(&collection(points)), count);
        let mut directory =
            vec![words(&["id", "nom", "code_insee_commune", "adresse", "telephone"])];
        directory.extend(rows.iter().enumerate().map(|(i, row)| {
            let address = json!([{ "numero_voie": row["adresse"] }]).to_string();
            let telephone = json!([{ "valeur": row["telephone"] }]).to_string();
            let name = format!("Mairie - {}", row["commune"]);
            words(&[&format!("mairie-{i}"), &name, &row["code_insee"], &address, &telephone])
        }));
        self.table(layers, "annuaire-mairies", ';', &directory);
    }

    /// The archives of the dataset of neighbourhoods, one of which is the right one.
    fn neighbourhoods(&mut self) {
        let Some(path) = shared("qpv-2024/qpv2024.geojson.gz") else { return };
        let text = crate::support::gunzip(&fs::read(path).expect("the file"));
        let count = features(&text).len();
        let archive = zipped(&[
            ("GEOJSON/QP2024_France_Hexagonale_LB93.geojson", b"{}"),
            ("GEOJSON/QP2024_France_Hexagonale_Outre_Mer_WGS84.geojson", &text),
        ]);
        let held = |id: &str, name: &str, format, bytes| Held {
            id: id.into(),
            name: name.into(),
            format,
            bytes,
        };
        let files = vec![
            held("liste", "listeqp2024-cog2024.csv", "csv", b"code_qp\n".to_vec()),
            held("shp", "qpv-2024-shp.zip", "zip", b"no archive".to_vec()),
            held("geojson", "qpv-2024-geojson.zip", "zip", archive),
            held("gpkg", "qpv-2024-gpkg.zip", "zip", b"no archive".to_vec()),
        ];
        self.shelf
            .datasets
            .insert("quartiers-prioritaires-de-la-politique-de-la-ville-qpv".into(), files);
        self.rows.insert("qpv", count);
    }

    /// France services; of the demo its first town halls stand for them.
    fn desks(&mut self, layers: &BTreeMap<String, Table>) {
        if let Some(path) = shared("france-services-2024/liste-fs-20240801.csv") {
            let bytes = fs::read(path).expect("the file");
            let rows = csv::Reader::from_reader(bytes.as_slice()).records().count();
            return self.file(layers, "france-services", bytes, rows);
        }
        let halls = demo_communes().into_iter().take(50).enumerate().map(|(i, (code, name))| {
            words(&[&i.to_string(), &format!("France services {name}"), &code, "50.6", "3.06"])
        });
        let mut rows = vec![words(&["id_fs", "lib_fs", "insee_com", "latitude", "longitude"])];
        rows.extend(halls);
        self.table(layers, "france-services", ',', &rows);
    }

    /// There is no file of FRR beside the project: the codes are those of ZRR, in FRR's form.
    fn classification(&mut self, layers: &BTreeMap<String, Table>, extent: Extent) {
        let region = ["02", "59", "60", "62", "80"];
        let wanted = |code: &str| extent == Extent::Nation || region.contains(&&code[..2]);
        let codes: Vec<(String, String)> = match shared("zrr-2022/zrr_2022.csv") {
            Some(path) => {
                let mut reader = csv::Reader::from_path(path).expect("the file");
                reader.deserialize().map(|row| row.expect("a row")).collect()
            }
            None => demo_communes().into_iter().map(|(code, _)| (code, "NC".into())).collect(),
        };
        let mut rows = vec![words(&["codgeo", "libgeo", "codefrr"])];
        rows.extend(
            codes
                .iter()
                .filter(|(code, _)| wanted(code))
                .map(|(code, state)| words(&[code, "", if state == "NC" { "-9999" } else { "4" }])),
        );
        self.table(layers, "france-ruralites-revitalisation", ';', &rows);
    }
}

/// A layer of a programme, its columns of ids and names, and the file that its rows come from.
type Programme = (&'static str, &'static str, Option<&'static str>, &'static str);

const PROGRAMMES: &[Programme] = &[
    ("action-coeur-de-ville", "id_acv", Some("lib_acv"), "acv"),
    ("action-coeur-de-ville-entrees", "id_acv2", None, "acv2"),
    ("petites-villes-de-demain", "id_pvd", None, "pvd"),
    ("villages-avenir", "id_va", None, "va"),
    ("cites-educatives", "id_cite", Some("lib_cite"), "citeduc"),
    ("cites-emploi", "id_cde", Some("lib_cde"), "cde"),
    ("fabriques-de-territoire", "id_fabt", None, "fabt"),
    ("manufactures-de-proximite", "id_manup", None, "manuprox"),
    ("restructuration-locaux-activite", "id_frla", None, "frla"),
];

/// The table by commune that a programme publishes, out of a layer made of it, whose features list
/// their communes: `Nom (code); Nom (code)`. Without the file, some of the demo's communes.
fn programme(id: &str, name: Option<&str>, file: &str) -> Vec<Vec<String>> {
    let mut header = vec!["insee_com", "lib_com", id];
    header.extend(name);
    let mut rows = vec![words(&header)];
    let Some(path) = shared(&format!("anct-programmes-geo/{file}_geom.geojson")) else {
        let some = demo_communes().into_iter().step_by(97);
        rows.extend(some.map(|(code, label)| {
            let mut row = words(&[&code, &label, &format!("{file}-{code}")]);
            row.extend(name.map(|_| label));
            row
        }));
        return rows;
    };
    for feature in features(&fs::read(path).expect("the file")) {
        let text = |name: &str| feature["properties"][name].as_str().unwrap_or_default().to_owned();
        for part in text("liste_geo").split("; ").filter(|part| !part.is_empty()) {
            let (label, code) =
                part.trim_end_matches(')').rsplit_once(" (").expect("a name and a code");
            let mut row = words(&[code, label, &text("id_territoire")]);
            row.extend(name.map(|_| text("lib_territoire")));
            rows.push(row);
        }
    }
    rows
}

fn words(all: &[&str]) -> Vec<String> {
    all.iter().map(|word| (*word).to_owned()).collect()
}

/// Codes and names of the demo's communes.
fn demo_communes() -> Vec<(String, String)> {
    let text = fs::read(root().join("config/demo/data/communes.geojson")).expect("the demo");
    let text_of = |f: &Value, name: &str| f["properties"][name].as_str().expect("text").to_owned();
    features(&text).iter().map(|f| (text_of(f, "code"), text_of(f, "nom"))).collect()
}

/// A unit as the Géoplateforme names its fields.
fn as_ign(mut feature: Value) -> Value {
    let old = feature["properties"].take();
    let code = &old["code"];
    feature["id"] = format!("unite.{}", code.as_str().expect("a code")).into();
    feature["properties"] = json!({
        "cleabs": code, "code_insee": code, "nom_officiel": old["nom"], "population": old["population"],
        "code_insee_du_departement": old["dep"], "codes_siren_des_epci": old["epci"],
    });
    feature
}

/// The features of a source that GDAL reads, in degrees; those that a condition lets through.
fn converted(source: &str, condition: &str) -> Vec<Value> {
    let all = ["-f", "GeoJSON", "-t_srs", "EPSG:4326", "/vsistdout/", source];
    let some = if condition.is_empty() { vec![] } else { vec!["-where", condition] };
    features(tool("ogr2ogr", &[&all[..], &some].concat()).as_bytes())
}

fn features(text: &[u8]) -> Vec<Value> {
    let mut collection: Value = serde_json::from_slice(text).expect("GeoJSON");
    match collection["features"].take() {
        Value::Array(features) => features,
        other => panic!("features: {other}"),
    }
}

fn collection(features: Vec<Value>) -> Vec<u8> {
    json!({ "type": "FeatureCollection", "features": features }).to_string().into_bytes()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzEncoder::new(bytes, flate2::Compression::fast())
        .read_to_end(&mut out)
        .expect("gzip");
    out
}

fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).expect("an entry");
        archive.write_all(bytes).expect("its bytes");
    }
    archive.finish().expect("an archive").into_inner()
}
