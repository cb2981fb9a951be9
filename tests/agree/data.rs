//! The data that the roads are compared on, as GeoJSON with an `id` each, made by GDAL from the
//! shared data or from the demo's; and a site that harvests it.

use crate::support::{self, root, shared, tool};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A layer that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Layer {
    pub id: &'static str,
    /// The level that its ids are codes of.
    pub level: Option<&'static str>,
    /// 0 for points, 1 for lines, 2 for polygons.
    pub dimension: u8,
}

/// A configuration over the data.
pub struct Site {
    pub site: support::Site,
    pub layers: Vec<Layer>,
    /// Every level that something of the data is a territory of.
    pub levels: Vec<&'static str>,
}

impl Site {
    pub fn file(&self, layer: &str) -> PathBuf {
        self.site.path(&format!("{layer}.geojson"))
    }
}

/// Two départements with an EPCI across them, the Grand Paris' north with Paris, Corse, overseas.
const DEPARTMENTS: [&str; 9] = ["59", "62", "93", "75", "2A", "971", "973", "974", "976"];

fn like(column: &str, prefix: &str) -> String {
    let one = |dep: &&str| format!("{column} LIKE '{prefix}{dep}%'");
    DEPARTMENTS.iter().map(one).collect::<Vec<_>>().join(" OR ")
}

/// Features that GDAL reads of a source, in longitude and latitude.
fn read(folder: &Path, source: &str, condition: &str, more: &[&str]) -> Vec<Value> {
    let out = folder.join("read.geojson");
    let _ = fs::remove_file(&out);
    let mut args = vec!["-f", "GeoJSON", "-t_srs", "EPSG:4326", "-skipfailures"];
    args.extend(more);
    args.extend([out.to_str().unwrap(), source]);
    if !condition.is_empty() {
        args.extend(["-where", condition]);
    }
    tool("ogr2ogr", &args);
    let bytes = fs::read(&out).unwrap();
    let mut all: Value = serde_json::from_str(&String::from_utf8_lossy(&bytes)).unwrap();
    let list = all["features"].as_array_mut().unwrap();
    list.drain(..).filter(|f| !f["geometry"].is_null()).collect()
}

/// Writes features with an id each; other properties are left out, but those named.
fn write(site: &support::Site, layer: &str, features: &[Value], id: &str, keep: &[&str]) {
    let one = |(number, feature): (usize, &Value)| {
        let own = &feature["properties"];
        let key = match id {
            "" => json!(format!("{layer}{number}")),
            column => own[column].clone(),
        };
        let mut properties = json!({ "id": key });
        for name in keep {
            properties[*name] = own[*name].clone();
        }
        json!({ "type": "Feature", "properties": properties, "geometry": feature["geometry"] })
    };
    let features: Vec<Value> = features.iter().enumerate().map(one).collect();
    let all = json!({ "type": "FeatureCollection", "features": features });
    fs::write(site.path(&format!("{layer}.geojson")), all.to_string()).unwrap();
}

/// Where the data comes from.
struct Source {
    communes: String,
    cantons: String,
    halls: Option<String>,
    parts: bool,
    neighbourhoods: Option<String>,
}

fn source() -> Source {
    let path = |name: &str| shared(name).map(|p| p.to_str().unwrap().to_owned());
    let names = ["communes-2025.fgb.gz", "cantons-2025-lambert93-cp1252.zip"];
    let rest = ["mairies-2025-latin1-semicolon.csv.gz", "qpv-2024/qpv2024.geojson.gz"];
    match (path(names[0]), path(names[1]), path(rest[0]), path(rest[1])) {
        (Some(communes), Some(cantons), Some(halls), Some(qpv)) => Source {
            communes: format!("/vsigzip/{communes}"),
            cantons: format!("/vsizip/{cantons}"),
            halls: Some(format!("/vsigzip/{halls}")),
            parts: true,
            neighbourhoods: Some(format!("/vsigzip/{qpv}")),
        },
        _ => {
            let demo = |name: &str| root().join("config/demo/data").join(name);
            let text = |name: &str| demo(name).to_str().unwrap().to_owned();
            Source {
                communes: text("communes.geojson"),
                cantons: format!("/vsizip/{}", text("cantons.zip")),
                halls: None,
                parts: false,
                neighbourhoods: None,
            }
        }
    }
}

/// Declares a layer of polygons of a level, or (without one) of what is attached by location.
fn declare(site: &support::Site, layer: &Layer, borders: bool) {
    let id = layer.id;
    let mut text = format!("key = \"id\"\n[source]\npath = \"../{id}.geojson\"\n");
    if let Some(level) = layer.level {
        text.push_str(&format!("[territory]\nlevel = \"{level}\"\ncolumn = \"id\"\n"));
        if borders {
            text.push_str(&format!("borders = \"{level}\"\n"));
        }
    }
    site.layer(id, &text);
}

const COMMUNES: Layer = Layer { id: "communes", level: Some("com"), dimension: 2 };
const CANTONS: Layer = Layer { id: "cantons", level: Some("canton"), dimension: 2 };
const QPV: Layer = Layer { id: "qpv", level: Some("qpv"), dimension: 2 };
const HALLS: Layer = Layer { id: "halls", level: None, dimension: 0 };
const ROADS: Layer = Layer { id: "roads", level: None, dimension: 1 };
/// Parts of communes: layer (and level), type in the source.
const PARTS: [(Layer, &str); 3] = [
    (Layer { id: "arm", level: Some("arm"), dimension: 2 }, "ARM"),
    (Layer { id: "comd", level: Some("comd"), dimension: 2 }, "COMD"),
    (Layer { id: "coma", level: Some("coma"), dimension: 2 }, "COMA"),
];

/// Makes, declares and harvests everything.
pub fn site() -> Site {
    let (site, source) = (support::Site::new(), source());
    let folder = site.dir.path().to_owned();
    let (mut layers, mut levels) = (vec![COMMUNES, CANTONS, HALLS, ROADS], vec![]);
    let whole = match source.parts {
        true => format!("type = 'COM' AND ({})", like("dep", "")),
        false => like("code", ""),
    };
    let communes = read(&folder, &source.communes, &whole, &[]);
    write(&site, "communes", &communes, "code", &["epci"]);
    write(&site, "cantons", &read(&folder, &source.cantons, &like("code", ""), &[]), "code", &[]);
    let place = ["-oo", "X_POSSIBLE_NAMES=X", "-oo", "Y_POSSIBLE_NAMES=Y", "-s_srs", "EPSG:4326"];
    let halls = match &source.halls {
        Some(halls) => read(&folder, halls, &like("code_insee", ""), &place),
        None => middles(&communes),
    };
    write(&site, "halls", &halls, "", &[]);
    write(&site, "roads", &roads(&halls), "", &[]);
    if let Some(qpv) = &source.neighbourhoods {
        let deps = like("code_qp", "QN0").replace("QN09", "QN9");
        write(&site, "qpv", &read(&folder, qpv, &deps, &[]), "code_qp", &[]);
        layers.push(QPV);
        levels.push("qpv");
    }
    for (layer, kind) in PARTS.iter().filter(|_| source.parts) {
        let of = format!("type = '{kind}' AND ({})", like("code", ""));
        let parts = read(&folder, &source.communes, &of, &[]);
        write(&site, layer.id, &parts, "code", &[]);
        declare(&site, layer, true);
        levels.push(layer.id);
    }
    for layer in &layers {
        declare(&site, layer, layer.dimension == 2);
    }
    levels.extend(["com", "epci", "ept", "arr", "dep", "reg", "fr", "canton", "pays"]);
    basins(&site, &communes);
    site.harvest();
    Site { site, layers, levels }
}

/// A place in or near each commune: the mean of its first outline.
fn middles(communes: &[Value]) -> Vec<Value> {
    let middle = |f: &Value| {
        let mut ring = &f["geometry"]["coordinates"][0];
        while ring[0][0].is_array() {
            ring = &ring[0];
        }
        let ring = ring.as_array().unwrap();
        let mean =
            |i: usize| ring.iter().filter_map(|p| p[i].as_f64()).sum::<f64>() / ring.len() as f64;
        json!({ "properties": {},
            "geometry": { "type": "Point", "coordinates": [mean(0), mean(1)] } })
    };
    communes.iter().map(middle).collect()
}

/// Lines from one town hall to the next of the list, where that is not far.
fn roads(halls: &[Value]) -> Vec<Value> {
    let place = |f: &Value| {
        let at = &f["geometry"]["coordinates"];
        (at[0].as_f64().unwrap_or_default(), at[1].as_f64().unwrap_or_default())
    };
    let pairs = halls.chunks_exact(2).filter_map(|pair| {
        let (a, b) = (place(&pair[0]), place(&pair[1]));
        let near = a != b && (a.0 - b.0).abs() < 0.4 && (a.1 - b.1).abs() < 0.4;
        near.then(|| {
            json!({ "properties": {}, "geometry": {
            "type": "LineString", "coordinates": [[a.0, a.1], [b.0, b.1]] } })
        })
    });
    pairs.collect()
}

/// A level of the configuration: the communes by the first three characters of their EPCI's end.
fn basins(site: &support::Site, communes: &[Value]) {
    let mut table = "insee,pays\n".to_owned();
    for commune in communes {
        let own = &commune["properties"];
        if let (Some(code), Some(epci)) = (own["code"].as_str(), own["epci"].as_str()) {
            table.push_str(&format!("{code},P{}\n", &epci[6..]));
        }
    }
    fs::write(site.path("pays.csv"), table).unwrap();
    let text = fs::read_to_string(site.with_levels()).unwrap();
    let level =
        "[[levels]]\nid = \"pays\"\ntitle = \"pays\"\nmembers = \"pays.csv\"\ncode = \"pays\"\n";
    fs::write(site.path("socle.toml"), format!("{text}\n{level}")).unwrap();
}
