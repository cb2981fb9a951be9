//! Coordinate reference systems asked for by clients (OGC API Features part 2): positions agree
//! with PROJ's own `cs2cs`, boxes find what they hold, and what is not there is refused.

use crate::support::{Server, Site, has};
use std::{
    collections::BTreeSet,
    io::Write as _,
    process::{Command, Stdio},
};

over_both!(
    positions_are_those_of_proj_in_every_system,
    boxes_in_other_systems_find_what_they_hold,
    pages_features_and_cut_features_say_their_system,
    what_no_system_is_is_refused,
);

const URI: &str = "http://www.opengis.net/def/crs/";

/// Where a system makes sense: a grid of degrees, west, south, east, north.
const PLACES: [(&str, [f64; 4]); 6] = [
    ("metropole", [-5.0, 41.4, 9.5, 51.0]),
    ("antilles", [-63.0, 14.4, -60.8, 18.1]),
    ("guyane", [-54.5, 2.2, -51.7, 5.7]),
    ("reunion", [55.2, -21.4, 55.8, -20.9]),
    ("mayotte", [45.0, -13.0, 45.3, -12.6]),
    ("saint-pierre", [-56.4, 46.8, -56.1, 47.1]),
];

/// The place where a system is used; all of them for those of the whole world.
fn place(uri: &str) -> Option<&'static str> {
    match uri.rsplit('/').next().unwrap() {
        "5490" => Some("antilles"),
        "2972" => Some("guyane"),
        "2975" => Some("reunion"),
        "4471" => Some("mayotte"),
        "4467" => Some("saint-pierre"),
        "CRS84" | "4326" | "3857" => None,
        _ => Some("metropole"),
    }
}

/// Grids of points over France and overseas.
fn grids() -> Vec<(String, f64, f64)> {
    let mut points = Vec::new();
    for (name, [west, south, east, north]) in PLACES {
        for i in 0..8u32 {
            for j in 0..8u32 {
                let (x, y) = (f64::from(i) / 7.0, f64::from(j) / 7.0);
                // As the file spells them: what is compared is what was read.
                let lon = format!("{:.7}", west + x * (east - west)).parse().unwrap();
                let lat = format!("{:.7}", south + y * (north - south)).parse().unwrap();
                points.push((format!("{name}-{i}-{j}"), lon, lat));
            }
        }
    }
    points
}

fn site() -> (Site, Server) {
    let site = Site::new();
    let rows = grids().into_iter().map(|(id, lon, lat)| format!("{id},{lon},{lat}\n"));
    let text: String = std::iter::once("id,lon,lat\n".to_owned()).chain(rows).collect();
    std::fs::write(site.path("points.csv"), text).unwrap();
    site.layer("points", "key = \"id\"\n[source]\npath = \"../points.csv\"");
    site.harvest();
    let server = site.serve();
    (site, server)
}

/// Points in another system, by `cs2cs`, in the authority's order of axes.
fn by_proj(points: &[(String, f64, f64)], uri: &str) -> Vec<[f64; 2]> {
    let code = uri.rsplit('/').next().unwrap();
    let to = if code == "CRS84" { "OGC:CRS84".to_owned() } else { format!("EPSG:{code}") };
    let mut child = Command::new("cs2cs")
        .args(["-f", "%.10f", "OGC:CRS84", &to])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = points.iter().map(|(_, lon, lat)| format!("{lon} {lat}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let out = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    out.lines()
        .map(|line| {
            let mut numbers = line.split_whitespace().map(|n| n.parse().unwrap());
            [numbers.next().unwrap(), numbers.next().unwrap()]
        })
        .collect()
}

fn uris(server: &Server) -> Vec<String> {
    let list = server.json("/collections/points")["crs"].clone();
    list.as_array().unwrap().iter().map(|u| u.as_str().unwrap().to_owned()).collect()
}

/// The points that a system is tried with.
fn points_of(uri: &str) -> Vec<(String, f64, f64)> {
    let mut points = grids();
    points.retain(|p| place(uri).is_none_or(|place| p.0.starts_with(&format!("{place}-"))));
    points
}

fn positions_are_those_of_proj_in_every_system() {
    if !has("cs2cs") {
        return;
    }
    let (_site, server) = site();
    let uris = uris(&server);
    assert_eq!(uris.len(), 18, "{uris:?}");
    assert_eq!(uris[0], format!("{URI}OGC/1.3/CRS84"));
    let mut worst = 0.0f64;
    for uri in &uris {
        let points = points_of(uri);
        let expected = by_proj(&points, uri);
        let [west, south, east, north] = match place(uri) {
            Some(name) => PLACES.iter().find(|p| p.0 == name).unwrap().1,
            None => [-180.0, -90.0, 180.0, 90.0],
        };
        let path = format!(
            "/collections/points/items?limit=1000&bbox={west},{south},{east},{north}&crs={uri}"
        );
        let page = server.get(&path);
        assert_eq!(page.header("content-crs"), Some(format!("<{uri}>").as_str()));
        let page = page.json();
        let features = page["features"].as_array().unwrap();
        assert_eq!(features.len(), points.len());
        for ((id, ..), expected) in points.iter().zip(expected) {
            let feature = features.iter().find(|f| f["id"] == id.as_str()).unwrap();
            let at = feature["geometry"]["coordinates"].as_array().unwrap();
            let at = [at[0].as_f64().unwrap(), at[1].as_f64().unwrap()];
            let unit =
                if uri.ends_with("CRS84") || uri.ends_with("/4326") { 111_320.0 } else { 1.0 };
            let off = (at[0] - expected[0]).hypot(at[1] - expected[1]) * unit;
            assert!(off <= 0.001, "{uri} {id}: {at:?}, PROJ {expected:?}");
            worst = worst.max(off);
        }
    }
    println!("positions in {} systems: {:.3} mm from PROJ at worst", uris.len(), worst * 1000.0);
}

fn boxes_in_other_systems_find_what_they_hold() {
    if !has("cs2cs") {
        return;
    }
    let (_site, server) = site();
    for uri in uris(&server) {
        let points = points_of(&uri);
        let shown = by_proj(&points, &uri);
        // Around the middle of the place: from the third to the sixth row and column.
        let inner = |id: &str| {
            let mut numbers = id.rsplit('-').take(2).map(|n| n.parse::<u32>().unwrap());
            numbers.all(|n| (2..=5).contains(&n)) && id.starts_with(place(&uri).unwrap_or("metro"))
        };
        let within = points.iter().zip(&shown).filter(|(p, _)| inner(&p.0)).map(|(_, at)| at);
        let mut bounds = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
        for [x, y] in within {
            bounds = [bounds[0].min(*x), bounds[1].min(*y), bounds[2].max(*x), bounds[3].max(*y)];
        }
        let inside = points.iter().zip(&shown).filter(|(_, [x, y])| {
            *x >= bounds[0] && *x <= bounds[2] && *y >= bounds[1] && *y <= bounds[3]
        });
        let expected: BTreeSet<&str> = inside.map(|(p, _)| p.0.as_str()).collect();
        let [x0, y0, x1, y1] = bounds;
        let path =
            format!("/collections/points/items?limit=1000&bbox={x0},{y0},{x1},{y1}&bbox-crs={uri}");
        let page = server.json(&path);
        let found = page["features"].as_array().unwrap().iter();
        let found: BTreeSet<&str> = found.map(|f| f["id"].as_str().unwrap()).collect();
        assert!(expected.len() >= 16, "{uri}: {expected:?}");
        assert!(found.is_superset(&expected), "{uri}: {found:?}, expected {expected:?}");
        // The grid is coarse: the slivers of the envelope hold none of its other points.
        assert_eq!(found.len(), expected.len(), "{uri}: {found:?}");
    }
}

fn pages_features_and_cut_features_say_their_system() {
    let (_site, server) = site();
    let lambert = format!("{URI}EPSG/0/2154");
    let content = format!("<{lambert}>");
    let one = server.get(&format!("/collections/points/items/metropole-3-3?crs={lambert}"));
    assert_eq!(one.header("content-crs"), Some(content.as_str()));
    let east = one.json()["geometry"]["coordinates"][0].as_f64().unwrap();
    assert!((550_000.0..570_000.0).contains(&east), "{east}");
    // Short spellings are understood, and a page goes on in its system.
    let page = server.get("/collections/points/items?limit=5&crs=EPSG:2154");
    assert_eq!(page.header("content-crs"), Some(content.as_str()));
    let next = page.json()["links"].as_array().unwrap().clone();
    let next =
        next.iter().find(|l| l["rel"] == "next").unwrap()["href"].as_str().unwrap().to_owned();
    assert!(next.contains("crs=EPSG"), "{next}");
    let path = format!("/{}", next.strip_prefix(&server.base).unwrap());
    assert_eq!(server.get(&path).header("content-crs"), Some(content.as_str()));
    // Without one it is that of the store; axes are those of the authority.
    let plain = server.get("/collections/points/items/metropole-0-0");
    assert_eq!(plain.header("content-crs"), Some(format!("<{URI}OGC/1.3/CRS84>").as_str()));
    let plain = plain.json()["geometry"]["coordinates"].clone();
    let swapped =
        server.json(&format!("/collections/points/items/metropole-0-0?crs={URI}EPSG/0/4326"));
    let swapped = swapped["geometry"]["coordinates"].clone();
    assert_eq!((&plain[0], &plain[1]), (&swapped[1], &swapped[0]));
    let storage = server.json("/collections/points")["storageCrs"].clone();
    assert_eq!(storage, format!("{URI}OGC/1.3/CRS84"));
    // Two systems are two answers.
    let tag = |crs: &str| {
        let path = format!("/collections/points/items?crs={URI}{crs}");
        server.get(&path).header("etag").unwrap().to_owned()
    };
    assert_ne!(tag("EPSG/0/2154"), tag("EPSG/0/3857"));
    // A page for people shows degrees whatever is asked for.
    let html = server.get("/collections/points/items?f=html&crs=EPSG:2154");
    assert_eq!(html.header("content-crs"), Some(format!("<{URI}OGC/1.3/CRS84>").as_str()));
}

fn what_no_system_is_is_refused() {
    let (_site, server) = site();
    for query in [
        "crs=http://www.opengis.net/def/crs/0/unsupported",
        "crs=",
        "crs=EPSG:27572",
        "bbox=1,2,3,4&bbox-crs=http://www.opengis.net/def/crs/0/unsupported",
        "bbox-crs=EPSG:9",
    ] {
        let answer = server.get(&format!("/collections/points/items?{query}"));
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        assert!(answer.text().contains("2154"), "{query}: {}", answer.text());
    }
    for query in [
        "bbox=600000,6700000,500000,6800000&bbox-crs=EPSG:2154",
        "bbox=1e9,1e9,2e9,2e9&bbox-crs=EPSG:2154",
        "bbox=600000,6700000,700000&bbox-crs=EPSG:2154",
        "bbox=3,50,4,95&bbox-crs=EPSG:4326",
    ] {
        let answer = server.get(&format!("/collections/points/items?{query}"));
        if query.ends_with("4326") {
            // Latitude first: 3 to 4 degrees north, 50 to 95 degrees east.
            assert_eq!((answer.status, &answer.json()["numberMatched"]), (200, &0.into()));
        } else {
            assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        }
    }
    let answer = server.get("/collections/points/items/metropole-0-0?crs=EPSG:9");
    assert_eq!(answer.status, 400);
    // A layer of the mainland has no coordinates in the system of La Réunion.
    let site = Site::new();
    std::fs::write(site.path("points.csv"), "id,lon,lat\na,3.06,50.63\n").unwrap();
    site.layer("points", "key = \"id\"\n[source]\npath = \"../points.csv\"");
    site.harvest();
    let server = site.serve();
    let listed = uris(&server);
    assert!(listed.contains(&format!("{URI}EPSG/0/2154")), "{listed:?}");
    assert!(!listed.contains(&format!("{URI}EPSG/0/2975")), "{listed:?}");
    for query in ["crs=EPSG:2975", "bbox=0,0,1,1&bbox-crs=EPSG:2975"] {
        let answer = server.get(&format!("/collections/points/items?{query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert!(!answer.text().contains(", 2975"), "{query}: {}", answer.text());
    }
}
