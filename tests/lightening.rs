//! Layers of polygons whose tiles would weigh too much: small zooms lose details, then fields, then
//! themselves; never a polygon, and never the border between two.

use crate::support::{Server, Site, gunzip, said};
use socle::formats::mvt::{self, DecodedLayer};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
};

over_both!(tiles_of_polygons_keep_their_budget);

/// Cells along each side.
const SIDE: usize = 30;
/// Steps of the border between two corners.
const STEPS: usize = 12;
/// Degrees of a cell.
const CELL: f64 = 0.05;
const BUDGET: usize = 40 * 1024;

/// Where a corner lies, away from its place but on the outline.
fn corner(i: usize, j: usize) -> [f64; 2] {
    let off = |n: usize, inside: bool| if inside { (n % 7) as f64 * 0.002 } else { 0.0 };
    let inner = |n: usize| n > 0 && n < SIDE;
    [
        4.0 + i as f64 * CELL + off(i * 31 + j * 17, inner(i)),
        46.0 + j as f64 * CELL + off(i * 13 + j * 29, inner(j)),
    ]
}

/// The border from a corner to the next, its end left out; straight along the outline.
fn border(a: [usize; 2], b: [usize; 2]) -> Vec<[f64; 2]> {
    let turned = a > b;
    let (from, to) = if turned { (b, a) } else { (a, b) };
    let along = |n: usize| from[n] == to[n] && (from[n] == 0 || from[n] == SIDE);
    let ([ax, ay], [bx, by]) = (corner(from[0], from[1]), corner(to[0], to[1]));
    let mut line: Vec<[f64; 2]> = (0..=STEPS)
        .map(|step| {
            let t = step as f64 / STEPS as f64;
            // Straight at both ends, so that borders that meet do not cross.
            let straight = along(0) || along(1) || !(3..=STEPS - 3).contains(&step);
            let bend = ((step * 5 + from[0] * 3 + from[1]) % 4) as f64 * 0.0015;
            let bend = if straight { 0.0 } else { bend };
            let (across, down) = if from[0] == to[0] { (bend, 0.0) } else { (0.0, bend) };
            [ax + t * (bx - ax) + across, ay + t * (by - ay) + down]
        })
        .collect();
    if turned {
        line.reverse();
    }
    line.pop();
    line
}

fn site(tiles: &str) -> Site {
    let site = Site::new();
    let mut text = String::from("{\"type\":\"FeatureCollection\",\"features\":[");
    for n in 0..SIDE * SIDE {
        let (i, j) = (n % SIDE, n / SIDE);
        let corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]];
        let next = corners.iter().cycle().skip(1);
        let mut ring: Vec<[f64; 2]> =
            corners.iter().zip(next).flat_map(|(a, b)| border(*a, *b)).collect();
        ring.push(ring[0]);
        let comma = if n == 0 { "" } else { "," };
        write!(
            text,
            "{comma}{{\"type\":\"Feature\",\"properties\":{{\"code\":\"c{n:04}\",\"nom\":\"Cellule {n}\",\
             \"long\":\"Une description de la cellule {n}, différente de toutes les autres, assez longue pour peser dans les tuiles\",\
             \"genre\":\"g{}\"}},\"geometry\":{{\"type\":\"Polygon\",\"coordinates\":[{ring:?}]}}}}",
            n % 3
        )
        .unwrap();
    }
    text.push_str("]}");
    fs::write(site.path("cellules.geojson"), text).unwrap();
    site.layer(
        "cellules",
        &format!(
            "key = \"code\"\nlabel = \"nom\"\n[source]\npath = \"../cellules.geojson\"\n[tiles]\nmax_zoom = 11\n{tiles}"
        ),
    );
    site
}

/// The tiles of a zoom over the cells: their layers, by column and row, and the largest.
fn zoom(server: &Server, grid: &str, z: u8) -> (BTreeMap<(u32, u32), DecodedLayer>, usize) {
    let list = server.json(&format!("/collections/cellules/tiles/{grid}"));
    let limits = list["tileMatrixSetLimits"].as_array().unwrap();
    let matrix = z.to_string();
    let limit = limits.iter().find(|l| l["tileMatrix"] == matrix).unwrap();
    let of = |name: &str| u32::try_from(limit[name].as_u64().unwrap()).unwrap();
    let (mut tiles, mut largest) = (BTreeMap::new(), 0);
    for row in of("minTileRow")..=of("maxTileRow") {
        for col in of("minTileCol")..=of("maxTileCol") {
            let path = format!("/collections/cellules/tiles/{grid}/{z}/{row}/{col}");
            let answer = server.send("GET", &path, &[("accept-encoding", "gzip")]);
            assert!(matches!(answer.status, 200 | 204), "{path}: {}", answer.status);
            if answer.status == 200 {
                let bytes = gunzip(&answer.body);
                largest = largest.max(bytes.len());
                tiles.insert((col, row), mvt::read(&bytes).unwrap().remove(0));
            }
        }
    }
    (tiles, largest)
}

fn codes(tiles: &BTreeMap<(u32, u32), DecodedLayer>) -> BTreeSet<u64> {
    tiles.values().flat_map(|l| &l.features).filter_map(|f| f.id).collect()
}

fn tiles_of_polygons_keep_their_budget() {
    let site = site("budget_kb = 40");
    let report = site.harvest();
    assert!(report.contains("simplifiés") && report.contains("« long »"), "{report}");
    let server = site.serve();
    let json = server.json("/collections/cellules/tilejson.json");
    let drawing = &json["socle"]["drawing"];
    assert_eq!(drawing["budget"], BUDGET);
    let first = u8::try_from(json["minzoom"].as_u64().unwrap()).unwrap();
    // All cells fit into one tile of zoom 7; with their keys alone they are too many for it.
    assert!((3..=9).contains(&first), "{json}");
    assert_eq!(drawing["asked_min_zoom"], 0);
    let below = server.get(&format!("/collections/cellules/tiles/{}/0/0.mvt", first - 1));
    assert_eq!(below.status, 204);
    let from: BTreeMap<String, u8> = serde_json::from_value(drawing["from"].clone()).unwrap();
    assert!(from.contains_key("long") && !from.contains_key("code") && !from.contains_key("nom"));

    for z in first..=11 {
        let (tiles, largest) = zoom(&server, "WebMercatorQuad", z);
        assert_eq!(codes(&tiles).len(), SIDE * SIDE, "z{z}: a polygon is missing");
        assert!(largest <= BUDGET || z == 11, "z{z}: {largest}");
        for layer in tiles.values() {
            for (field, first) in &from {
                assert_eq!(layer.keys.contains(field), z >= *first, "z{z}: {field}");
            }
            shared(layer, z);
        }
        if z < 11 {
            let (tiles, largest) = zoom(&server, "WorldCRS84Quad", z.max(1) - 1);
            assert_eq!(codes(&tiles).len(), SIDE * SIDE, "z{z}: a polygon is missing");
            assert!(largest <= BUDGET, "WorldCRS84Quad z{z}: {largest}");
        }
    }
    // Nothing is lost elsewhere.
    let items = server.json("/collections/cellules/items?limit=10");
    assert!(items["features"][0]["properties"]["long"].is_string());
    assert_eq!(
        server.json("/collections/cellules/items?resultType=hits")["numberMatched"],
        SIDE * SIDE
    );
}

/// Every border inside the tile is that of two polygons, but on the outline of all.
fn shared(layer: &DecodedLayer, z: u8) {
    let mut edges: BTreeMap<([i32; 2], [i32; 2]), u32> = BTreeMap::new();
    for ring in layer.features.iter().flat_map(|f| &f.paths) {
        for (a, b) in ring.iter().zip(ring.iter().cycle().skip(1)) {
            *edges.entry((*a.min(b), *a.max(b))).or_default() += 1;
        }
    }
    let inside = |v: &[i32; 2]| v.iter().all(|c| (0..4096).contains(c));
    for ((a, b), times) in edges.iter().filter(|((a, b), _)| inside(a) && inside(b)) {
        // The outline is straight along parallels and meridians.
        let outline = a[0] == b[0] || a[1] == b[1];
        assert!(*times == 2 || (*times == 1 && outline), "z{z}: {a:?} {b:?} {times}");
    }
}

#[test]
fn what_has_room_is_left_alone_and_wrong_fields_are_refused() {
    let all = site(
        "budget_kb = 0\nlabels = true\nborders = true\nfields = [{ name = \"long\", from = 8 }]",
    );
    let report = all.harvest();
    assert!(!report.contains("simplifiés"), "{report}");
    let server = all.serve();
    let json = server.json("/collections/cellules/tilejson.json");
    assert_eq!(
        (&json["minzoom"], &json["socle"]["drawing"]["budget"]),
        (&0.into(), &serde_json::Value::Null)
    );
    let ids: Vec<&str> = json["vector_layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["cellules", "cellules.labels", "cellules.borders"]);
    let layers = |z: u8, x: u32, y: u32| {
        mvt::read(&server.get(&format!("/collections/cellules/tiles/{z}/{x}/{y}.mvt")).body)
            .unwrap()
    };
    // Over the middle of the cells.
    let (seven, eight) = (layers(7, 65, 45), layers(8, 131, 90));
    let names: Vec<&str> = seven.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ids);
    assert!(
        !seven[0].keys.contains(&"long".to_owned()) && eight[0].keys.contains(&"long".to_owned())
    );
    assert!(!seven[1].keys.contains(&"long".to_owned()));
    assert_eq!(
        seven[2].keys.iter().collect::<BTreeSet<_>>(),
        ["left".to_owned(), "right".to_owned()].iter().collect()
    );
    let tileset = server.json("/collections/cellules/tiles/WebMercatorQuad");
    let listed: Vec<&str> =
        tileset["layers"].as_array().unwrap().iter().map(|l| l["id"].as_str().unwrap()).collect();
    assert_eq!(listed, ids);

    let wrong = site("keep = [\"population\"]");
    let output = wrong.run(&["harvest"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("« population »") && said(&output).contains("genre"),
        "{}",
        said(&output)
    );
    let wrong = site("fields = [{ name = \"long\" }]");
    let output = wrong.run(&["harvest"]);
    assert!(!output.status.success() && said(&output).contains("from"), "{}", said(&output));
}
