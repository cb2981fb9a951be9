//! Sources in the systems that French files are in: Shapefiles with the `.prj` that GDAL writes in
//! ESRI's words, GeoPackages and tables lie where PROJ has them, to the millimetre; what the file
//! says wrongly, or not at all, is found out and told.

use crate::support::{Server, Site, finish, has, said};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

const METRO: [f64; 4] = [-4.5, 42.6, 8.0, 50.9];
const CORSICA: [f64; 4] = [8.6, 41.5, 9.5, 42.9];
const ANTILLES: [f64; 4] = [-61.7, 15.9, -61.1, 16.4];
const GUYANE: [f64; 4] = [-54.3, 2.3, -51.8, 5.6];
const REUNION: [f64; 4] = [55.3, -21.3, 55.8, -20.9];
const MAYOTTE: [f64; 4] = [45.05, -12.95, 45.25, -12.7];
const SPM: [f64; 4] = [-56.4, 46.8, -56.1, 47.1];

/// The systems of the design, those before them, and where each is used (west, south, east, north).
const SYSTEMS: [(u32, [f64; 4]); 29] = [
    (2154, METRO),
    (3942, METRO),
    (3943, METRO),
    (3944, METRO),
    (3945, METRO),
    (3946, METRO),
    (3947, METRO),
    (3948, METRO),
    (3949, METRO),
    (3950, METRO),
    (5490, ANTILLES),
    (2972, GUYANE),
    (2975, REUNION),
    (4471, MAYOTTE),
    (4467, SPM),
    (4559, ANTILLES),
    (32620, ANTILLES),
    (32622, GUYANE),
    (32740, REUNION),
    (32738, MAYOTTE),
    (3857, METRO),
    (27561, METRO),
    (27562, METRO),
    (27563, METRO),
    (27564, CORSICA),
    (27571, METRO),
    (27572, METRO),
    (27573, METRO),
    (27574, CORSICA),
];

/// A position by its row.
type Places = BTreeMap<String, [f64; 2]>;

/// Places in degrees: a corner of each quarter, and the middle.
fn places([west, south, east, north]: [f64; 4]) -> Places {
    let at = |u: f64, v: f64| [west + u * (east - west), south + v * (north - south)];
    let all = [at(0.3, 0.1), at(0.8, 0.3), at(0.5, 0.5), at(0.2, 0.6), at(0.5, 0.9)];
    (1..).zip(all).map(|(i, at)| (format!("p{i}"), at)).collect()
}

/// The same in another system, by `cs2cs`.
fn by_proj(from: &str, to: &str, places: &Places) -> Places {
    let mut child = Command::new("cs2cs")
        .args(["-f", "%.10f", from, to])
        .env("PROJ_NETWORK", "OFF")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = places.values().map(|[x, y]| format!("{x:.10} {y:.10}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let out = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let read = |line: &str| {
        let mut numbers = line.split_whitespace().map(|n| n.parse().unwrap());
        [numbers.next().unwrap(), numbers.next().unwrap()]
    };
    places.keys().cloned().zip(out.lines().map(read)).collect()
}

/// Files of the systems: `s<code>.shp` of triangles whose first corner is the place,
/// `points.gpkg` with a table of points `g<code>` for each, `c<code>.csv`. Gives what is written,
/// to the tenth of a millimetre, as `cs2cs` has it in degrees.
fn write(folder: &Path) -> Option<BTreeMap<u32, Places>> {
    const PYTHON: &str = "
import json, sys
from osgeo import gdal, ogr, osr
gdal.UseExceptions(); ogr.UseExceptions(); osr.UseExceptions()
folder = sys.argv[1]
systems = json.load(open(folder + '/systems.json'))
gpkg = ogr.GetDriverByName('GPKG').CreateDataSource(folder + '/points.gpkg')
gpkg.StartTransaction()
for code, places in systems.items():
    srs = osr.SpatialReference()
    srs.ImportFromEPSG(int(code))
    shapes = ogr.GetDriverByName('ESRI Shapefile').CreateDataSource(f'{folder}/s{code}.shp')
    polygons = shapes.CreateLayer(f's{code}', srs, ogr.wkbPolygon)
    points = gpkg.CreateLayer(f'g{code}', srs, ogr.wkbPoint)
    for layer, wkt in ((polygons, 'POLYGON (({x} {y}, {x} {n}, {e} {y}, {x} {y}))'), (points, 'POINT ({x} {y})')):
        layer.CreateField(ogr.FieldDefn('id', ogr.OFTString))
        for name, (x, y) in places.items():
            feature = ogr.Feature(layer.GetLayerDefn())
            feature.SetField('id', name)
            text = wkt.format(x=repr(x), y=repr(y), e=repr(x + 500), n=repr(y + 500))
            feature.SetGeometry(ogr.CreateGeometryFromWkt(text))
            layer.CreateFeature(feature)
    shapes = None
gpkg.CommitTransaction()
";
    if !has("cs2cs") || !has("/usr/bin/python3") {
        return None;
    }
    let (mut written, mut expected) = (BTreeMap::new(), BTreeMap::new());
    for (code, area) in SYSTEMS {
        let epsg = format!("EPSG:{code}");
        let mut there = by_proj("OGC:CRS84", &epsg, &places(area));
        let tenth = |n: f64| (n * 1e4).round() / 1e4;
        there.values_mut().for_each(|at| *at = at.map(tenth));
        let mut text = "id;x;y\n".to_owned();
        for (id, [x, y]) in &there {
            writeln!(text, "{id};{x:.4};{y:.4}").unwrap();
        }
        fs::write(folder.join(format!("c{code}.csv")), text).unwrap();
        expected.insert(code, by_proj(&epsg, "OGC:CRS84", &there));
        written.insert(code, there);
    }
    fs::write(folder.join("systems.json"), serde_json::to_string(&written).unwrap()).unwrap();
    let made = finish(Command::new("/usr/bin/python3").args(["-c", PYTHON]).arg(folder));
    if !made.status.success() {
        println!("skipped: GDAL for Python writes no files: {}", said(&made));
        return None;
    }
    Some(expected)
}

/// A layer that is read from a file.
fn layer(site: &Site, id: &str, source: &str) {
    site.layer(id, &format!("key = \"id\"\n[tiles]\nmax_zoom = 2\n[source]\n{source}"));
}

/// How far the features of a layer lie from where they should, metres: of each the nearest of its
/// positions.
fn off(server: &Server, layer: &str, expected: &Places) -> f64 {
    let page = server.json(&format!("/collections/{layer}/items"));
    let features = page["features"].as_array().unwrap();
    assert_eq!(features.len(), expected.len(), "{layer}");
    let mut worst = 0.0_f64;
    for feature in features {
        let [lon, lat] = expected[feature["properties"]["id"].as_str().unwrap()];
        let mut all = Vec::new();
        positions(&feature["geometry"]["coordinates"], &mut all);
        let metres = |[x, y]: &[f64; 2]| {
            let east = (x - lon) * 111_320.0 * lat.to_radians().cos();
            east.hypot((y - lat) * 111_320.0)
        };
        worst = worst.max(all.iter().map(metres).fold(f64::INFINITY, f64::min));
    }
    worst
}

fn positions(coordinates: &Value, out: &mut Vec<[f64; 2]>) {
    let all = coordinates.as_array().unwrap();
    match (all[0].as_f64(), all.get(1).and_then(Value::as_f64)) {
        (Some(x), Some(y)) => out.push([x, y]),
        _ => all.iter().for_each(|inner| positions(inner, out)),
    }
}

#[test]
fn sources_in_every_system_lie_where_proj_has_them() {
    let site = Site::new();
    let Some(expected) = write(site.dir.path()) else { return };
    for (code, _) in SYSTEMS {
        layer(&site, &format!("s{code}"), &format!("path = \"../s{code}.shp\""));
        let member = format!("path = \"../points.gpkg\"\nmember = \"g{code}\"");
        layer(&site, &format!("g{code}"), &member);
        let named = format!("path = \"../c{code}.csv\"\ncrs = \"EPSG:{code}\"");
        layer(&site, &format!("c{code}"), &format!("{named}\n[source.csv]\nx = \"x\"\ny = \"y\""));
    }
    let text = site.harvest();
    assert!(!text.contains("semble"), "{text}");
    let server = site.serve();
    let mut worst = 0.0_f64;
    for (code, places) in &expected {
        for kind in ["s", "g", "c"] {
            let id = format!("{kind}{code}");
            let off = off(&server, &id, places);
            assert!(off <= 0.001, "{id}: {off} m from PROJ");
            worst = worst.max(off);
        }
    }
    println!("{} systems: {:.3} mm from PROJ at worst", SYSTEMS.len(), worst * 1000.0);
    // The grid of the IGN knows the NTF better than three translations do; what that is worth.
    let places = places(METRO);
    let ntf = by_proj("OGC:CRS84", "EPSG:27572", &places);
    let by_grid = by_proj("EPSG:27572", "EPSG:4171", &ntf);
    let metres = |id: &String| {
        let ([lat, lon], [x, y]) = (by_grid[id], places[id]);
        ((x - lon) * 111_320.0 * lat.to_radians().cos()).hypot((y - lat) * 111_320.0)
    };
    let worst = places.keys().map(metres).fold(0.0, f64::max);
    println!("Lambert II étendu: {worst:.1} m from the grid at worst");
    assert!(worst < 5.0, "{worst} m");
}

/// A Shapefile of another name, with the `.prj` of a system or without one.
fn copy(folder: &Path, code: u32, prj: Option<&str>, name: &str) {
    for part in ["shp", "shx", "dbf"] {
        let to = folder.join(format!("{name}.{part}"));
        fs::copy(folder.join(format!("s{code}.{part}")), to).unwrap();
    }
    if let Some(text) = prj {
        fs::write(folder.join(format!("{name}.prj")), text).unwrap();
    }
}

#[test]
fn a_system_that_is_not_named_is_found_where_only_one_can_be() {
    let site = Site::new();
    let folder = site.dir.path();
    let Some(expected) = write(folder) else { return };
    let found = [2154, 3942, 3946, 3950, 2972, 2975, 4471, 4467, 27571, 27572, 27573, 27574];
    for code in found {
        let name = format!("n{code}");
        copy(folder, code, None, &name);
        layer(&site, &name, &format!("path = \"../{name}.shp\""));
        let text = said(&site.run(&["harvest", &name]));
        assert!(text.contains(&format!("(EPSG:{code}), le seul")), "{code}: {text}");
    }
    // In Lambert II étendu these would lie in the Charente.
    copy(folder, 5490, None, "several");
    layer(&site, "several", "path = \"../several.shp\"");
    let text = said(&site.run(&["harvest", "several"]));
    assert!(text.contains("plusieurs conviennent : EPSG:27572, EPSG:5490"), "{text}");
    let server = site.serve();
    for code in found {
        let off = off(&server, &format!("n{code}"), &expected[&code]);
        assert!(off <= 0.001, "{code}: {off} m");
    }
}

#[test]
fn a_system_that_is_named_wrongly_is_told_and_can_be_put_right() {
    let site = Site::new();
    let folder = site.dir.path();
    let Some(expected) = write(folder) else { return };
    let prj = |code: u32| fs::read_to_string(folder.join(format!("s{code}.prj"))).unwrap();
    let degrees = "GEOGCS[\"GCS_WGS_1984\",DATUM[\"D_WGS_1984\",SPHEROID[\"WGS_1984\",6378137.0,298.257223563]],PRIMEM[\"Greenwich\",0.0],UNIT[\"Degree\",0.0174532925199433]]";
    let cases = [
        (2154, prj(27572)),
        (27572, prj(2154)),
        (27573, prj(27572)),
        (3947, prj(2154)),
        (5490, prj(2972)),
        (2975, prj(4471)),
        (2154, degrees.to_owned()),
    ];
    for (i, (code, wrong)) in cases.iter().enumerate() {
        let name = format!("w{i}");
        copy(folder, *code, Some(wrong), &name);
        let source = format!("path = \"../{name}.shp\"");
        layer(&site, &name, &source);
        let text = said(&site.run(&["harvest", &name]));
        let told = text.contains("le système annoncé semble faux");
        assert!(told && text.contains(&format!("EPSG:{code}")), "{i} {code}: {text}");
        layer(&site, &name, &format!("{source}\ncrs = \"EPSG:{code}\""));
        let text = said(&site.run(&["harvest", &name, "--force"]));
        assert!(text.contains("annonce un autre système de coordonnées"), "{i} {code}: {text}");
        assert!(!text.contains("semble faux"), "{i} {code}: {text}");
    }
    let server = site.serve();
    for (i, (code, _)) in cases.iter().enumerate() {
        let off = off(&server, &format!("w{i}"), &expected[code]);
        assert!(off <= 0.001, "{code}: {off} m");
    }
}

/// A point at 3.25° E, 50.5° N as a WFS writes it.
const GML: &str = "<w:FeatureCollection xmlns:w='http://www.opengis.net/wfs/2.0' xmlns:g='http://www.opengis.net/gml/3.2'><w:member><lieu><id>p1</id><geom><g:Point srsName='urn:ogc:def:crs:EPSG::4326'><g:pos>50.5 3.25</g:pos></g:Point></geom></lieu></w:member></w:FeatureCollection>";

#[test]
fn latitude_first_is_read_so_within_an_archive_too_and_is_no_mistake() {
    let site = Site::new();
    let mut zip = zip::ZipWriter::new(fs::File::create(site.path("lieux.zip")).unwrap());
    zip.start_file("lieux.gml", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(GML.as_bytes()).unwrap();
    zip.finish().unwrap();
    fs::write(site.path("lieux.gml"), GML).unwrap();
    for kind in ["zip", "gml"] {
        layer(&site, kind, &format!("path = \"../lieux.{kind}\""));
    }
    let text = site.harvest();
    assert!(!text.contains("inversées"), "{text}");
    let server = site.serve();
    let place = BTreeMap::from([("p1".to_owned(), [3.25, 50.5])]);
    for kind in ["zip", "gml"] {
        assert!(off(&server, kind, &place) < 0.001, "{kind}");
    }
}
