//! Tiles and those who read them: our reader on Mapbox's fixtures, and every tile of the demo, as
//! `socle bake` writes it, read by the decoders of others.

mod national;

use crate::{
    bake,
    support::{has, installed, node_package, root, tool},
};
use serde_json::Value;
use socle::formats::mvt::{self, DecodedLayer, DecodedValue};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Valid fixtures that our reader refuses all the same: their coordinates leave 32 bits, or a command
/// announces more points than its bytes can hold.
const OVERFLOWING: [&str; 3] = ["049", "050", "057"];

#[test]
fn the_reader_takes_mapboxs_fixtures_for_what_they_are() {
    let Some(module) = node_package("@mapbox/mvt-fixtures") else { return };
    let mut count = (0, 0);
    for entry in fs::read_dir(module.join("fixtures")).unwrap() {
        let folder = entry.unwrap().path();
        let number = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let json = |name: &str| -> Value {
            serde_json::from_str(&fs::read_to_string(folder.join(name)).unwrap()).unwrap()
        };
        let info = json("info.json");
        let found = mvt::read(&fs::read(folder.join("tile.mvt")).unwrap());
        let valid = info["validity"]["v2"] == true;
        if !valid {
            // What decoders may put up with, ours may refuse or not; it must not take the rest.
            let recoverable = info["validity"]["error"] == "recoverable";
            assert!(found.is_err() || recoverable, "{number} is read: {}", info["description"]);
            count.0 += 1;
        } else if OVERFLOWING.contains(&number.as_str()) {
            assert!(found.is_err(), "{number}");
        } else if version_1(&json("tile.json")) {
            assert!(found.is_err(), "{number} is of version 1");
        } else {
            let found = found.unwrap_or_else(|e| panic!("{number} is refused: {e}"));
            same(&number, &found, &json("tile.json"));
            count.1 += 1;
        }
    }
    assert!(count.0 >= 20 && count.1 >= 30, "{count:?}");
}

/// The layers of a fixture; the empty tile names none.
fn layers(tile: &Value) -> &[Value] {
    tile["layers"].as_array().map_or(&[], Vec::as_slice)
}

fn version_1(tile: &Value) -> bool {
    layers(tile).iter().any(|l| l["version"] == 1)
}

/// Compares a decoded tile with what its fixture says it holds.
fn same(number: &str, found: &[DecodedLayer], wanted: &Value) {
    let layers = layers(wanted);
    assert_eq!(found.len(), layers.len(), "{number}");
    for (found, wanted) in found.iter().zip(layers) {
        assert_eq!(found.name, wanted["name"].as_str().unwrap(), "{number}");
        let extent = wanted["extent"].as_u64().unwrap_or(4096);
        assert_eq!(u64::from(found.extent), extent, "{number}");
        let keys: Vec<&str> =
            wanted["keys"].as_array().unwrap().iter().map(|k| k.as_str().unwrap()).collect();
        assert_eq!(found.keys, keys, "{number}");
        for (found, wanted) in found.values.iter().zip(wanted["values"].as_array().unwrap()) {
            let wanted = wanted.as_object().unwrap().values().next().unwrap();
            let equal = match found {
                // One of them writes a number where it means its text.
                DecodedValue::Text(text) => {
                    let number = wanted.as_i64().is_some_and(|n| text.parse() == Ok(n));
                    wanted == text.as_str() || number
                }
                DecodedValue::Bool(yes) => *wanted == *yes,
                DecodedValue::Double(v) => (wanted.as_f64().unwrap() - v).abs() < 1e-6,
                // Beyond 2^53 the fixtures' own JSON is rounded.
                DecodedValue::Int(v) => *v as f64 == wanted.as_f64().unwrap(),
                DecodedValue::Uint(v) => *v as f64 == wanted.as_f64().unwrap(),
            };
            assert!(equal, "{number}: {found:?} for {wanted}");
        }
        let features = wanted["features"].as_array().unwrap();
        let features: Vec<&Value> = features.iter().filter(|f| f["type"] != 0).collect();
        assert_eq!(found.features.len(), features.len(), "{number}");
        for (found, wanted) in found.features.iter().zip(features) {
            assert_eq!(found.id, wanted["id"].as_u64(), "{number}");
            let tags: Vec<u64> =
                found.tags.iter().flat_map(|(k, v)| [u64::from(*k), u64::from(*v)]).collect();
            let list = wanted["tags"].as_array().cloned().unwrap_or_default();
            let list: Vec<u64> = list.iter().filter_map(Value::as_u64).collect();
            assert_eq!(tags, list, "{number}");
        }
    }
}

/// The features of each layer of each zoom, over all tiles.
type Counts = BTreeMap<(u8, String), usize>;

#[test]
fn every_tile_of_the_demo_is_what_others_expect() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("demo.mbtiles");
    bake::baked(&["mairies", "communes", "cantons", "--max-zoom", "10"], &file);
    let counts = by_all(&file, dir.path());
    // Three layers, of which town halls begin late.
    assert!(counts.len() >= 24, "{counts:?}");
}

/// Holds every tile of an archive against what readers expect, ours and others; what the tiles hold.
fn by_all(file: &Path, dir: &Path) -> Counts {
    let tiles = dir.join("tiles");
    let mut counts = Counts::new();
    for ((z, x, y), bytes) in bake::tiles(file) {
        let layers = mvt::read(&bytes).unwrap_or_else(|e| panic!("{z}/{x}/{y}: {e}"));
        assert!(!layers.is_empty(), "{z}/{x}/{y}");
        for layer in &layers {
            sound(layer, &format!("{z}/{x}/{y} {}", layer.name));
            *counts.entry((z, layer.name.clone())).or_default() += layer.features.len();
        }
        let folder = tiles.join(format!("{z}/{x}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{y}.mvt")), &bytes).unwrap();
    }
    by_vector_tile(&tiles, &counts);
    by_gdal(&tiles, &counts);
    by_tippecanoe(file, &counts);
    counts
}

/// What clients rely on beyond what the reader refuses.
fn sound(layer: &DecodedLayer, place: &str) {
    assert!(!layer.features.is_empty(), "{place}: an empty layer");
    let ids: BTreeSet<u64> = layer.features.iter().filter_map(|f| f.id).collect();
    assert_eq!(ids.len(), layer.features.len(), "{place}: ids repeat or are missing");
    // JavaScript's numbers hold them.
    assert!(ids.last().is_none_or(|id| *id < 1 << 53), "{place}: an id beyond 2^53");
    let keys: BTreeSet<&String> = layer.keys.iter().collect();
    assert_eq!(keys.len(), layer.keys.len(), "{place}: keys repeat");
    let values: BTreeSet<String> = layer.values.iter().map(|v| format!("{v:?}")).collect();
    assert_eq!(values.len(), layer.values.len(), "{place}: values repeat");
    for value in &layer.values {
        // QGIS cuts integers to 32 bits.
        let short = match value {
            DecodedValue::Int(v) => i32::try_from(*v).is_ok(),
            DecodedValue::Uint(v) => i32::try_from(*v).is_ok(),
            _ => true,
        };
        assert!(short, "{place}: {value:?}");
    }
}

/// `@mapbox/vector-tile`, which map clients read with.
fn by_vector_tile(tiles: &Path, counts: &Counts) {
    let Some(module) = node_package("@mapbox/vector-tile") else { return };
    let script = root().join("tests/decoders/vector-tile.mjs");
    let modules = module.parent().and_then(Path::parent).unwrap();
    let [script, modules, tiles] = [&script, modules, tiles].map(|path| path.to_str().unwrap());
    let said = tool("node", &[script, modules, tiles]);
    let found: Vec<(u8, String, usize)> = serde_json::from_str(&said).unwrap();
    let found: Counts = found.into_iter().map(|(z, name, n)| ((z, name), n)).collect();
    assert_eq!(&found, counts);
}

/// GDAL, which joins the tiles of a zoom.
fn by_gdal(tiles: &Path, counts: &Counts) {
    if !has("ogrinfo") {
        return;
    }
    // Layers may begin at a later zoom than the first of these.
    for z in [5u8, 7, 8, 10].into_iter().filter(|z| counts.keys().any(|(zoom, _)| zoom == z)) {
        let source = format!("MVT:{}", tiles.join(z.to_string()).display());
        let arguments =
            ["-ro", "-so", "-al", "-oo", "CLIP=NO", "-oo", "TILE_EXTENSION=mvt", &source];
        let said = tool("ogrinfo", &arguments);
        for ((_, name), count) in counts.iter().filter(|((zoom, _), _)| *zoom == z) {
            let part = said.split("\nLayer name: ").find(|p| p.lines().next() == Some(name));
            let part = part.unwrap_or_else(|| panic!("{name} not in: {said}"));
            assert!(part.contains(&format!("Feature Count: {count}\n")), "{count}: {part}");
        }
    }
}

/// Tippecanoe's own decoder.
fn by_tippecanoe(file: &Path, counts: &Counts) {
    let Some(decode) = installed("tippecanoe-decode") else { return };
    for z in ["5", "7", "8", "10"] {
        let file = file.to_str().unwrap();
        let said = tool(&decode, &["-c", "-z", z, "-Z", z, file]);
        let found = said.lines().filter(|l| l.contains("\"type\": \"Feature\"")).count();
        let wanted: usize =
            counts.iter().filter(|((zoom, _), _)| zoom.to_string() == z).map(|(_, n)| n).sum();
        assert_eq!(found, wanted, "z{z}");
    }
}
