//! GDAL, unmodified, as a client: it lists, counts, pages and decodes what the demo serves.

use crate::support::{demo_server, finish, has, python, tool};
use std::{collections::BTreeMap, process::Command};

/// `ogrinfo -so` of a service, as layer → (count, extent line, fields).
fn layers(url: &str) -> BTreeMap<String, Seen> {
    let text = tool("ogrinfo", &["-ro", "-so", "-al", &format!("OAPIF:{url}")]);
    let mut layers = BTreeMap::new();
    for part in text.split("\nLayer name: ").skip(1) {
        let name = part.lines().next().unwrap().trim().to_owned();
        let line = |start: &str| {
            part.lines().find_map(|l| l.strip_prefix(start)).unwrap_or_default().trim().to_owned()
        };
        let count = line("Feature Count:").parse().unwrap_or(0);
        layers.insert(name, Seen { count, extent: line("Extent:"), text: part.to_owned() });
    }
    layers
}

struct Seen {
    count: u64,
    extent: String,
    text: String,
}

#[test]
pub fn ogrinfo_lists_the_three_layers_with_counts_extents_and_types() {
    if !has("ogrinfo") {
        return;
    }
    let server = demo_server();
    let seen = layers(&server.base);
    let names: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(names, ["cantons", "communes", "mairies"]);
    let communes = &seen["communes"];
    assert_eq!(communes.count, 3_782);
    // Hauts-de-France, in degrees.
    assert!(communes.extent.starts_with("(1.3"), "{}", communes.extent);
    for field in ["code: String", "nom: String", "population: Integer"] {
        assert!(communes.text.contains(field), "{field} not in: {}", communes.text);
    }
    let zip = format!("/vsizip/{}/config/demo/data/cantons.zip", crate::support::root().display());
    let cantons = tool("ogrinfo", &["-ro", "-so", "-al", &zip]);
    let expected = cantons.lines().find_map(|l| l.strip_prefix("Feature Count: ")).unwrap();
    assert_eq!(seen["cantons"].count.to_string(), expected);
}

#[test]
pub fn the_scope_of_the_nord_holds_its_647_communes() {
    if !has("ogrinfo") {
        return;
    }
    let server = demo_server();
    let seen = layers(&format!("{}t/dep-59", server.base));
    assert_eq!(seen["communes"].count, 647);
    assert_eq!(
        seen["mairies"].count,
        server.json("/t/dep-59/collections/mairies/items?limit=1")["numberMatched"]
            .as_u64()
            .unwrap()
    );
}

#[test]
pub fn paging_yields_every_commune_once() {
    if !has("ogr2ogr") {
        return;
    }
    let server = demo_server();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("communes.csv");
    let source = format!("OAPIF:{}collections/communes", server.base);
    tool("ogr2ogr", &["-f", "CSV", out.to_str().unwrap(), &source, "-oo", "PAGE_SIZE=500"]);
    let text = std::fs::read_to_string(&out).unwrap();
    let mut rows = text.lines();
    let header: Vec<&str> = rows.next().unwrap().split(',').collect();
    let code = header.iter().position(|h| *h == "code").unwrap();
    let mut codes: Vec<&str> = rows.map(|r| r.split(',').nth(code).unwrap()).collect();
    assert_eq!(codes.len(), 3_782);
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), 3_782);
}

#[test]
pub fn ogrinfo_reads_a_tile_with_geometry_in_its_place() {
    if !has("ogrinfo") {
        return;
    }
    let server = demo_server();
    // The tile of Lille at zoom 10, in XYZ order.
    let url = format!("MVT:{}collections/communes/tiles/10/520/344.pbf", server.base);
    let text = tool("ogrinfo", &["-ro", "-al", &url]);
    assert!(text.contains("Layer name: communes"), "{text}");
    let lille = text.split("OGRFeature").find(|f| f.contains("(String) = 59350")).unwrap();
    let wkt = lille.lines().find(|l| l.contains("POLYGON")).unwrap();
    // Web mercator metres around Lille: 3.06° E, 50.63° N.
    let first: Vec<f64> =
        wkt.split(['(', ')', ',', ' ']).filter_map(|v| v.parse().ok()).take(2).collect();
    assert!((first[0] - 340_000.0).abs() < 15_000.0, "{first:?}");
    assert!((first[1] - 6_555_000.0).abs() < 25_000.0, "{first:?}");
}

/// What GDAL can say in CQL it leaves to the server; Debian's 3.6 and the newest.
#[test]
pub fn gdals_conditions_are_answered_by_the_server() {
    if !has("ogrinfo") {
        return;
    }
    let server = demo_server();
    let source = format!("OAPIF:{}", server.base);
    let conditions = [
        "population > 10000 AND nom LIKE 'L%'",
        "nom ILIKE 'lil%'",
        "population IS NOT NULL AND NOT (dep = '59')",
        "nom IN ('Lille', 'Lens')",
    ];
    for condition in conditions {
        let filter = socle::http::params::encode(condition);
        let page = server.json(&format!("/collections/communes/items?limit=1&filter={filter}"));
        let expected = page["numberMatched"].as_u64().unwrap();
        let seen = tool("ogrinfo", &["-ro", "-q", "-al", "-where", condition, &source, "communes"]);
        let features = seen.matches("OGRFeature(communes)").count() as u64;
        assert!(expected > 0 && features == expected, "{condition}: {features}, {expected}");
    }
    // 3.6 asked for them by `filter`, rather than read all and choose.
    let mut ogrinfo = Command::new("ogrinfo");
    ogrinfo.args(["-ro", "-q", "-al", "-where", conditions[0], &source, "communes"]);
    let said = finish(ogrinfo.env("CPL_CURL_VERBOSE", "YES"));
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("filter=") && said.contains("filter-lang=cql-text"), "{said}");
    assert!(!said.contains("ERROR"), "{said}");
    let Some(python) = python("pyogrio") else { return };
    let script = "
import sys
from pyogrio.raw import read
print(len(read(sys.argv[1], layer='communes', where=sys.argv[2], CRS='EPSG:2154')[2]))
";
    let seen = tool(&python, &["-c", script, &source, conditions[1]]);
    assert_eq!(seen.trim(), "2");
}

/// The newest GDAL asks for the system and the box it wants; ours of Debian takes what it gets.
#[test]
pub fn the_newest_gdal_reads_lambert_93() {
    let Some(python) = python("pyogrio") else { return };
    if !has("ogr2ogr") {
        return;
    }
    let server = demo_server();
    let script = "
import struct, sys
from pyogrio.raw import read
meta, _, shapes, fields = read(sys.argv[1], layer='mairies', bbox=(690000, 7040000, 720000, 7070000),
                               **({'CRS': 'EPSG:2154'} if sys.argv[2] == 'crs' else {}))
print(meta['crs'])
ids = fields[list(meta['fields']).index('id')]
for id, shape in sorted(zip(ids, shapes)):
    order = '<' if shape[0] == 1 else '>'
    print(id, *('%.3f' % n for n in struct.unpack(order + 'dd', shape[5:21])))
";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mairies.gpkg");
    let source = format!("OAPIF:{}collections/mairies", server.base);
    let (from, to) = ("EPSG:4326", "EPSG:2154");
    tool("ogr2ogr", &["-s_srs", from, "-t_srs", to, file.to_str().unwrap(), &source]);
    let expected = tool(&python, &["-c", script, file.to_str().unwrap(), "file"]);
    let seen = tool(&python, &["-c", script, &format!("OAPIF:{}", server.base), "crs"]);
    assert!(seen.starts_with("EPSG:2154\n"), "{seen}");
    assert!(seen.lines().count() > 50, "{seen}");
    let numbers = |text: &str| -> Vec<(String, f64, f64)> {
        let rows = text.lines().skip(1).map(|row| row.split(' ').collect::<Vec<_>>());
        rows.map(|r| (r[0].to_owned(), r[1].parse().unwrap(), r[2].parse().unwrap())).collect()
    };
    let (seen, expected) = (numbers(&seen), numbers(&expected));
    assert_eq!(seen.len(), expected.len());
    for (seen, expected) in seen.iter().zip(&expected) {
        let off = (seen.1 - expected.1).hypot(seen.2 - expected.2);
        assert!(seen.0 == expected.0 && off < 0.002, "{seen:?}, {expected:?}");
    }
}

/// The newest GDAL finds its own way from the collection to its tiles (driver OGCAPI), and reads
/// them: those in degrees, which it prefers, and in web mercator at zoom 2, where it looks for them
/// around the middle of the world (it takes the collection's degrees for metres).
#[test]
pub fn the_newest_gdal_reads_tiles_by_ogc_api() {
    let Some(python) = python("pyogrio") else { return };
    let server = demo_server();
    let script = "
import sys
from pyogrio.raw import read
grid = {'TILEMATRIXSET': sys.argv[3]} if len(sys.argv) > 3 else {}
box = (330000, 6540000, 360000, 6570000) if grid else (3, 50.6, 3.1, 50.7)
meta, _, shapes, fields = read(sys.argv[1], layer=sys.argv[2], bbox=box, API='TILES', **grid)
print(meta['crs'].replace('\\n', ''), len(shapes), sep='|')
print(*fields[list(meta['fields']).index('code')])
";
    let source = format!("OGCAPI:{}collections/communes", server.base);
    let mercator = ["EPSG:3857", "Zoom level 2", "WebMercatorQuad"];
    for [system, level, grid] in [mercator, ["CRS84", "Zoom level 9", ""]] {
        let mut arguments = vec!["-c", script, &source, level];
        arguments.extend((!grid.is_empty()).then_some(grid));
        let seen = tool(&python, &arguments);
        let mut lines = seen.lines();
        let (found, count) = lines.next().unwrap().rsplit_once('|').unwrap();
        let codes: Vec<&str> = lines.next().unwrap().split(' ').collect();
        assert!(found.contains(system) && count.parse() == Ok(codes.len()), "{seen}");
        assert!(codes.contains(&"59350"), "Lille: {seen}");
    }
}

#[test]
fn a_version_is_a_plain_geopackage_of_one_layer_that_reading_does_not_touch() {
    if !has("ogrinfo") {
        return;
    }
    let folder = crate::support::demo().join("store/layers/communes/versions");
    let file = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "gpkg"))
        .unwrap();
    let before = std::fs::read(&file).unwrap();
    let listed = tool("ogrinfo", &["-ro", file.to_str().unwrap()]);
    let layers: Vec<&str> =
        listed.lines().filter(|l| l.starts_with("1: ") || l.starts_with("2: ")).collect();
    assert_eq!(layers.len(), 1, "{listed}");
    let all = tool(
        "ogrinfo",
        &["-ro", "-so", "-al", "-spat", "3", "50.6", "3.1", "50.7", file.to_str().unwrap()],
    );
    assert!(all.contains("Feature Count: "), "{all}");
    assert!(before == std::fs::read(&file).unwrap(), "the file changed");
    assert!(std::fs::metadata(&file).unwrap().permissions().readonly());
}
