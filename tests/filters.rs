//! CQL2 filters from outside: the standard's own test data row by row, in text and JSON, on both
//! stores; the two stores against each other — one is PostGIS — on filters of every kind; tiles,
//! territories and boxes together; what is refused.

mod any;
mod by_hand;

use crate::{
    store_contract::{Place, feature, layer, put, version},
    support::{Server, Site, demo_server, postgres, python, shared, tool},
};
use any::filter;
use geo_types::{Geometry, LineString, Point, Polygon};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use socle::{
    error::Error,
    formats::mvt,
    items::Frame,
    model::{Clause, FieldKind, Mode, RankSet, Selection, TileId, Value},
    query::{
        Filter, Scan, Sort, Start,
        cql2::{self, Context, Dialect, Expression},
    },
    store::{At, Store},
};
use std::{
    cmp::Ordering,
    collections::BTreeSet,
    fs,
    ops::ControlFlow,
    path::Path,
    sync::{Arc, Mutex},
};

fn encode(text: &str) -> String {
    socle::http::params::encode(text)
}

fn matched(server: &Server, layer: &str, query: &str) -> i64 {
    let found = server.json(&format!("/collections/{layer}/items?limit=1&{query}"));
    found["numberMatched"].as_i64().unwrap_or_else(|| panic!("{layer} {query}: {found}"))
}

over_both!(the_standards_predicates_find_what_they_must, filters_find_what_the_files_hold,);

/// Rows of the table that are wrong about its own data, in which three names begin with « Ch »
/// (Chișinău, Chicago, Chengdu) and one with « Chis », whatever the case and the accents.
const MISCOUNTED: [(&str, i64); 3] = [
    ("ACCENTI(name) LIKE accenti('Ch%')", 3),
    ("ACCENTI(CASEI(name)) LIKE accenti(casei('Chiș%'))", 1),
    ("ACCENTI(CASEI(name)) LIKE accenti(casei('cHis%'))", 1),
];

/// The predicates in JSON as another program writes them (PyPI's cql2), where it is installed.
fn json_of_others(table: &Path) -> Vec<String> {
    let Some(python) = python("cql2") else { return Vec::new() };
    let script = "import cql2, json, sys\n\
                  for line in open(sys.argv[1], encoding='utf-8').read().split('\\n')[1:]:\n\
                  \x20   if line: print(json.dumps(cql2.Expr(line.split('\\t')[2]).to_json()))\n";
    let said = tool(&python, &["-c", script, table.to_str().unwrap()]);
    said.lines().map(str::to_owned).collect()
}

/// The predicates of the standard's test suite, beside what they must find.
fn the_standards_predicates_find_what_they_must() {
    let Some(folder) = shared("cql2") else { return };
    let site = Site::new();
    let data = folder.join("ne110m4cql2.gpkg");
    for (id, member) in [
        ("countries", "ne_110m_admin_0_countries"),
        ("places", "ne_110m_populated_places_simple"),
        ("rivers", "ne_110m_rivers_lake_centerlines"),
    ] {
        let source = format!("[source]\npath = {data:?}\nmember = \"{member}\"\n");
        site.layer(id, &source);
    }
    site.harvest();
    let server = site.serve();
    let table = fs::read_to_string(folder.join("predicates.tsv")).unwrap();
    let mut wrong = Vec::new();
    let mut rows = 0;
    let theirs = json_of_others(&folder.join("predicates.tsv"));
    for (i, line) in table.lines().skip(1).enumerate() {
        let cells: Vec<&str> = line.split('\t').collect();
        let [_, collection, predicate, expected, ..] = cells[..] else { panic!("{line}") };
        let layer = match collection {
            "ne_110m_admin_0_countries" => "countries",
            "ne_110m_populated_places_simple" => "places",
            _ => "rivers",
        };
        let right = MISCOUNTED.iter().find(|(p, _)| *p == predicate).map(|(_, right)| *right);
        let expected: i64 = right.unwrap_or_else(|| expected.parse().unwrap());
        let tree = cql2::parse(Dialect::Text, predicate).unwrap();
        let json = cql2::to_json(&tree).to_string();
        let text = format!("filter={}", encode(predicate));
        let jsons = [Some(json.as_str()), theirs.get(i).map(String::as_str)].into_iter().flatten();
        let jsons = jsons.map(|json| format!("filter-lang=cql2-json&filter={}", encode(json)));
        for query in std::iter::once(text).chain(jsons) {
            let found = matched(&server, layer, &query);
            if found != expected {
                wrong.push(format!("{predicate}: {found}, not {expected}"));
            }
        }
        rows += 1;
    }
    assert!(rows > 150, "{rows} predicates");
    assert!(theirs.is_empty() || theirs.len() == rows);
    assert!(wrong.is_empty(), "{} of {rows}: {wrong:#?}", wrong.len());
}

/// Filters on the demo: what they find was counted in its files by other tools' rules.
fn filters_find_what_the_files_hold() {
    let server = demo_server();
    let communes: serde_json::Value = serde_json::from_str(
        &fs::read_to_string(crate::support::root().join("config/demo/data/communes.geojson"))
            .unwrap(),
    )
    .unwrap();
    let all: Vec<&serde_json::Value> =
        communes["features"].as_array().unwrap().iter().map(|f| &f["properties"]).collect();
    let count = |keep: &dyn Fn(&serde_json::Value) -> bool| {
        i64::try_from(all.iter().filter(|p| keep(p)).count()).unwrap()
    };
    let name = |p: &serde_json::Value| p["nom"].as_str().unwrap().to_owned();
    let people = |p: &serde_json::Value| p["population"].as_i64().unwrap_or(-1);
    let dep = |p: &serde_json::Value, d: &str| p["dep"] == d;
    let cases: Vec<(&str, i64)> = vec![
        ("nom LIKE 'Saint-%'", count(&|p| name(p).starts_with("Saint-"))),
        ("nom ILIKE 'saint-%'", count(&|p| name(p).starts_with("Saint-"))),
        ("population > 10000 AND dep = '59'", count(&|p| people(p) > 10_000 && dep(p, "59"))),
        ("dep IN ('59', '62')", count(&|p| dep(p, "59") || dep(p, "62"))),
        ("NOT (dep = '59' OR population <= 500)", count(&|p| !dep(p, "59") && people(p) > 500)),
        ("population / 2 BETWEEN 1000 AND 1500", count(&|p| (2000..=3000).contains(&people(p)))),
        ("population % 2 = 1", count(&|p| people(p) % 2 == 1)),
        ("nom < 'B'", count(&|p| name(p).as_str() < "B")),
        ("dep <> epci", count(&|p| p["epci"].is_string())),
        ("TERRITORY('dep:62') AND NOT TERRITORY('com:62041')", count(&|p| dep(p, "62")) - 1),
    ];
    for (filter, expected) in cases {
        assert!(expected > 0, "{filter}");
        assert_eq!(
            matched(&server, "communes", &format!("filter={}", encode(filter))),
            expected,
            "{filter}"
        );
    }
    // Filter, territory and box meet.
    let filter = encode("population > 10000");
    let nord = matched(&server, "communes", &format!("filter={filter}&territory=dep:59"));
    assert_eq!(nord, count(&|p| people(p) > 10_000 && dep(p, "59")));
    let scoped =
        server.json(&format!("/t/dep-59/collections/communes/items?filter={filter}&limit=7"));
    assert_eq!(scoped["numberMatched"].as_i64(), Some(nord));
    let boxed = matched(
        &server,
        "communes",
        &format!("filter={filter}&territory=dep:59&bbox=3,50.5,3.2,50.7"),
    );
    assert!(boxed > 0 && boxed < nord);
    // Pages of a filter follow each other.
    let mut seen = BTreeSet::new();
    let mut next =
        Some(format!("{}collections/communes/items?filter={filter}&limit=9", server.base));
    while let Some(url) = next {
        let page = server.json(url.strip_prefix(server.base.trim_end_matches('/')).unwrap());
        for feature in page["features"].as_array().unwrap() {
            assert!(seen.insert(feature["id"].as_str().unwrap().to_owned()));
        }
        let links = page["links"].as_array().unwrap();
        let link = links.iter().find(|l| l["rel"] == "next");
        next = link.map(|l| l["href"].as_str().unwrap().to_owned());
    }
    assert_eq!(i64::try_from(seen.len()).unwrap(), count(&|p| people(p) > 10_000));
    let hits = server.json(&format!("/collections/communes/items?resultType=hits&filter={filter}"));
    assert_eq!(hits["numberMatched"].as_u64(), Some(seen.len() as u64));
    tiles_of(&server);
    geometry_of(&server);
    refusals_of(&server);
    elsewhere(&server);
}

/// The same filter on the other roads: files, figures, the table, tiles of several layers, cuts.
fn elsewhere(server: &Server) {
    let wanted = "population > 10000 AND TERRITORY('dep:59')";
    let filter = encode(wanted);
    let expected = matched(server, "communes", &format!("filter={filter}"));
    assert!(expected > 0);
    let export = format!("/collections/communes/export?f=csv&filter={filter}");
    let csv = server.get(&export);
    assert_eq!(csv.status, 200, "{}", csv.text());
    assert_eq!(csv.text().lines().count() as i64, expected + 1);
    assert!(csv.header("content-disposition").unwrap().contains("_extrait"));
    let estimate =
        server.json(&format!("/collections/communes/export/estimate?f=csv&filter={filter}"));
    assert_eq!((&estimate["rows"], &estimate["rowsExact"]), (&expected.into(), &true.into()));
    let kit = server.get(&format!("/kit.zip?filter={filter}"));
    assert_eq!(kit.status, 400, "{}", kit.text());

    let stats = server.json(&format!("/collections/communes/stats?by=dep&filter={filter}"));
    assert_eq!(
        stats["total_distinct"].as_i64().or(stats["total"]["distinct"].as_i64()),
        Some(expected),
        "{stats}"
    );
    let table = format!("/table?level=dep&collections=communes&show=count&filter={filter}");
    let table = server.json(&table);
    let rows = table["rows"].as_array().unwrap();
    let count = |dep: &str| rows.iter().find(|r| r["code"] == dep).unwrap()["communes"].clone();
    assert_eq!((count("59"), count("62")), (expected.into(), 0.into()));

    let place = encode("S_INTERSECTS(geometry, POINT(3.0573 50.6305))");
    let both = names(server, &format!("/tiles/8/130/86.mvt?filter={place}"));
    let alone = names(server, &format!("/collections/communes/tiles/8/130/86.mvt?filter={place}"));
    assert!(!alone.is_empty() && alone.is_subset(&both), "{alone:?} {both:?}");
    let document = server.json(&format!("/tilejson.json?collections=communes&filter={place}"));
    let template = document["tiles"][0].as_str().unwrap();
    assert!(template.ends_with(&format!("&filter={place}")), "{template}");

    // Cut at the border of a territory, what a filter lets through is what it is without.
    let cut = format!("/t/dep-62-clip/collections/communes/items?filter={}", encode("dep = '62'"));
    let cut = server.json(&cut);
    assert_eq!(cut["numberMatched"].as_i64(), Some(matched(server, "communes", "dep=62")));
    let large = format!(
        "collections/communes/items?limit=1&filter={}",
        encode("population > 30000 AND dep = '62'")
    );
    let cut = server.json(&format!("/t/dep-62-clip/{large}"));
    assert_eq!(cut["numberMatched"], server.json(&format!("/{large}"))["numberMatched"]);
    let estimate =
        format!("/t/dep-62-clip/collections/communes/export/estimate?f=csv&filter={filter}");
    assert_ne!(
        server.json(&estimate)["rows"],
        server.json("/t/dep-62-clip/collections/communes/export/estimate?f=csv")["rows"]
    );
    let tile = "/t/dep-62-clip/collections/communes/tiles/8/130/86.mvt";
    let some = names(server, &format!("{tile}?filter={}", encode("population > 30000")));
    assert!(!some.is_empty() && some.is_subset(&names(server, tile)));

    // An old code inside of a filter is understood, and the answer says how.
    let old = encode("TERRITORY('com:59355')");
    let answer = server.get(&format!("/collections/communes/items?filter={old}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("socle-territory-notice"), Some("com:59355 -> com:59350"));
    let tile = server.get(&format!("/collections/communes/tiles/8/130/86.mvt?filter={old}"));
    assert_eq!(tile.header("socle-territory-notice"), Some("com:59355 -> com:59350"));

    // A long list is answered; one that is too long says what to change.
    let list = |n: u32| {
        let all: Vec<String> = (1_000..1_000 + n).map(|i| i.to_string()).collect();
        let filter = encode(&format!("population IN ({})", all.join(",")));
        format!("/collections/communes/items?limit=1&filter={filter}")
    };
    assert_eq!(server.get(&list(3_200)).status, 200);
    let refused = server.get(&list(10_000));
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("liste plus courte"), "{}", refused.text());
}

/// The names in a tile.
fn names(server: &Server, path: &str) -> BTreeSet<String> {
    let answer = server.get(path);
    if answer.status == 204 {
        return BTreeSet::new();
    }
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let mut names = BTreeSet::new();
    for layer in mvt::read(&answer.body).unwrap() {
        for feature in &layer.features {
            for (key, value) in layer.properties(feature) {
                if key == "nom" {
                    names.insert(format!("{value:?}"));
                }
            }
        }
    }
    names
}

fn tiles_of(server: &Server) {
    let tile = "/collections/communes/tiles/8/130/86.mvt";
    let all = names(server, tile);
    let lille = names(server, &format!("{tile}?filter={}", encode("nom = 'Lille'")));
    assert!(lille.len() == 1 && lille.is_subset(&all), "{lille:?}");
    let large = names(server, &format!("{tile}?filter={}", encode("population > 30000")));
    assert!(large.len() > 1 && large.len() < all.len() && large.is_subset(&all));
    assert_eq!(names(server, &format!("{tile}?filter={}", encode("30000 < population"))), large);
    let none = names(server, &format!("{tile}?filter={}", encode("nom = 'Lille' AND dep = '62'")));
    assert!(none.is_empty());
    // With a territory, and unlike it alone.
    let pas = names(server, &format!("{tile}?territory=dep:62"));
    let both =
        names(server, &format!("{tile}?territory=dep:62&filter={}", encode("population > 30000")));
    assert_eq!(both, large.intersection(&pas).cloned().collect());
    // Two spellings share an entity tag; another filter has another.
    let tag = |f: &str| {
        let answer = server.get(&format!("{tile}?filter={}", encode(f)));
        answer.header("etag").unwrap().to_owned()
    };
    assert_eq!(tag("population > 30000"), tag("NOT population <= 30000"));
    assert_ne!(tag("population > 30000"), tag("population > 30001"));
    assert_ne!(tag("population > 30000"), server.get(tile).header("etag").unwrap());
    // TileJSON carries the filter.
    let filter = encode("nom = 'Lille'");
    let document = server.json(&format!("/collections/communes/tilejson.json?filter={filter}"));
    let template = document["tiles"][0].as_str().unwrap();
    assert!(template.ends_with(&format!("{{y}}.mvt?filter={filter}")), "{template}");
}

fn geometry_of(server: &Server) {
    let inside = |query: &str| {
        let page = server.json(&format!("/collections/communes/items?{query}"));
        let features = page["features"].as_array().unwrap().iter();
        features.map(|f| f["properties"]["nom"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let point = |x: &str, crs: &str| {
        let filter = encode(&format!("S_INTERSECTS(geometry, POINT({x}))"));
        inside(&format!("filter={filter}{crs}"))
    };
    assert_eq!(point("3.0573 50.6305", ""), ["Lille"]);
    let uri = encode("http://www.opengis.net/def/crs/EPSG/0/4326");
    assert_eq!(point("50.6305 3.0573", &format!("&filter-crs={uri}")), ["Lille"]);
    let uri = encode("http://www.opengis.net/def/crs/EPSG/0/2154");
    assert_eq!(point("704061 7059136", &format!("&filter-crs={uri}")), ["Lille"]);
}

fn refusals_of(server: &Server) {
    for (query, says) in [
        ("filter=".to_owned() + &encode("pop > 3"), "population"),
        ("filter=".to_owned() + &encode("S_INTERSECTS(geom,POINT(90 180))"), "domaine"),
        ("filter=".to_owned() + &encode("TERRITORY('epci:123456789')"), "123456789"),
        ("filter=".to_owned() + &"(".repeat(5_000), "64"),
        ("filter=".to_owned() + &encode("nom = 'a'") + "&filter-lang=sql", "cql2-text"),
        ("filter=".to_owned() + &encode("nom = 'a'") + "&filter-crs=EPSG:1", "EPSG:1"),
        ("filter-lang=cql2-text".to_owned(), "filter"),
        ("filter=".to_owned() + &encode("population > 1e300 * population ^ 90"), "1,8e308"),
    ] {
        let answer = server.get(&format!("/collections/communes/items?{query}"));
        let shown = &query[..query.len().min(80)];
        assert_eq!(answer.status, 400, "{shown}: {}", answer.text());
        assert!(answer.text().contains(says), "{shown}: {}", answer.text());
        assert!(!answer.text().contains("SELECT"), "{}", answer.text());
    }
    let list = server.json("/functions");
    let functions = list["functions"].as_array().unwrap();
    assert!(functions.iter().any(|f| f["name"] == "S_INTERSECTS"));
}

// -- The two stores against each other

const FIELDS: [(&str, FieldKind); 8] = [
    ("t", FieldKind::Text),
    ("u\"'; DROP TABLE x --", FieldKind::Text),
    ("i", FieldKind::Int),
    ("f", FieldKind::Float),
    ("b", FieldKind::Bool),
    ("d", FieldKind::Date),
    ("m", FieldKind::DateTime),
    ("j", FieldKind::Json),
];

const WORDS: [&str; 14] = [
    "",
    "a",
    "A",
    "é",
    "É",
    "e",
    "Œuf",
    "oeuf",
    "50 %",
    "a_b",
    "O'Brien",
    "\\",
    "Saint-Étienne",
    "ß",
];

/// Features with every kind of value, one in four without.
fn features(seed: u32) -> Vec<socle::model::Feature> {
    (0..120u32)
        .map(|n| {
            let r =
                |k: u32| (n.wrapping_mul(2_654_435_761).wrapping_add(k * 40_503 + seed) >> 7) % 997;
            let some = |k: u32, value: Value| if r(k) % 4 == 0 { Value::Null } else { value };
            let word = |k: u32| WORDS[r(k) as usize % WORDS.len()].to_owned();
            let day = jiff::civil::date(2020, 1, 1 + (r(5) % 28) as i8);
            let time =
                jiff::Timestamp::from_millisecond(1_577_836_800_000 + i64::from(r(6)) * 3_600_000);
            let list = ["[1,2]", "[\"a\"]", "[]", "{\"a\":1}", "[\"a\",\"b\",2]", "[true,1.0]"];
            let values = vec![
                some(0, Value::Text(word(1))),
                some(1, if n == 7 { Value::Text("a\0b".into()) } else { Value::Text(word(2)) }),
                some(2, Value::Int(i64::from(r(3)) - 500)),
                some(3, Value::Float(f64::from(r(4)) / 8.0 - 40.0)),
                some(4, Value::Bool(r(7) % 2 == 0)),
                some(5, Value::Date(day)),
                some(6, Value::DateTime(time.unwrap())),
                some(7, Value::Json(list[r(8) as usize % list.len()].into())),
            ];
            let (x, y) = (f64::from(r(9) % 12), 40.0 + f64::from(r(10) % 12));
            let square = |s: f64| {
                Geometry::from(Polygon::new(
                    LineString::from(vec![(x, y), (x + s, y), (x + s, y + s), (x, y + s), (x, y)]),
                    vec![],
                ))
            };
            let geometry = match n % 5 {
                0 => None,
                1 => Some(Point::new(x, y).into()),
                2 => Some(LineString::from(vec![(x, y), (x + 3.0, y + 2.0)]).into()),
                _ => Some(square(f64::from(1 + r(11) % 4))),
            };
            feature(&format!("e{n}"), values, geometry)
        })
        .collect()
}

/// Geometry as in CRS84; one territory, that of the first commune.
struct Around(Frame);

impl Context for Around {
    fn territory(&self, _: &str, _: Mode) -> Result<Arc<Selection>, Error> {
        let clause = Clause { meets: Some(RankSet::from_ranks([0])), ..Clause::default() };
        Ok(Arc::new(Selection { key: "x".into(), any: vec![clause] }))
    }
    fn place(&self, geometry: Geometry<f64>) -> Result<Geometry<f64>, Error> {
        self.0.place(geometry)
    }
    fn place_box(&self, sides: [f64; 4]) -> Result<Geometry<f64>, Error> {
        self.0.place_box(sides)
    }
}

fn expression(at: &At, filter: &str) -> Arc<Expression> {
    let tree = cql2::parse(Dialect::Text, filter).unwrap_or_else(|e| panic!("{filter}: {e}"));
    let around = Around(Frame::parse(None).unwrap());
    let checked = cql2::check(&tree, &at.version.schema, &around);
    Arc::new(checked.unwrap_or_else(|e| panic!("{filter}: {e}")))
}

async fn found(store: &Arc<dyn Store>, at: &At, filter: Filter) -> Result<Vec<u64>, Error> {
    let seen: Arc<Mutex<Vec<u64>>> = Arc::default();
    let out = seen.clone();
    let scan = Scan { filter: filter.clone(), start: Start::Offset(0), limit: None };
    let sink = Box::new(move |row: &socle::store::Row<'_>| {
        out.lock().unwrap().push(row.ordinal);
        ControlFlow::Continue(())
    });
    store.scan(at, scan, sink).await?;
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(store.count(at, &filter).await?, Some(seen.len() as u64));
    Ok(seen)
}

/// How two values stand to each other in an order; none is last.
fn compared(a: &Value, b: &Value, descending: bool) -> Ordering {
    let order = match (a, b) {
        (Value::Null, Value::Null) => return Ordering::Equal,
        (Value::Null, _) => return Ordering::Greater,
        (_, Value::Null) => return Ordering::Less,
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::DateTime(a), Value::DateTime(b)) => a.cmp(b),
        other => panic!("{other:?}"),
    };
    if descending { order.reverse() } else { order }
}

/// Both stores sort by every kind of value, and go on where a page ends.
fn orders_of(
    places: &[Place],
    stores: &[(Arc<dyn Store>, At)],
    features: &[socle::model::Feature],
) {
    for (field, (name, kind)) in FIELDS.iter().enumerate() {
        for descending in [false, true] {
            let sign = if descending { "-" } else { "" };
            let written = format!("{sign}{name}");
            let sort = Sort::parse(&written, &stores[0].1.version.schema);
            if *kind == FieldKind::Json {
                assert!(sort.is_err());
                continue;
            }
            let sort = Arc::new(sort.unwrap());
            let mut expected: Vec<usize> = (0..features.len()).collect();
            expected.sort_by(|a, b| {
                compared(&features[*a].values[field], &features[*b].values[field], descending)
            });
            for (place, (store, at)) in places.iter().zip(stores) {
                let mut ids = Vec::new();
                let mut start = Some(0);
                while let Some(from) = start {
                    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
                    let out = seen.clone();
                    let sink = Box::new(move |row: &socle::store::Row<'_>| {
                        out.lock().unwrap().push(row.id.to_owned());
                        ControlFlow::Continue(())
                    });
                    let filter = Filter::default();
                    let scan = Scan { filter, start: Start::Ordinal(from), limit: Some(50) };
                    let end = place.wait(store.scan_sorted(at, scan, sort.clone(), false, sink));
                    ids.extend(std::mem::take(&mut *seen.lock().unwrap()));
                    start = end.unwrap().next;
                }
                let expected: Vec<String> = expected.iter().map(|i| format!("e{i}")).collect();
                assert_eq!(ids, expected, "{written}");
            }
        }
    }
}

/// A value as SQL writes it.
fn sql(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Float(f) => format!("{f:?}"),
        Value::Text(t) | Value::Json(t) => format!("'{}'", t.replace('\'', "''")),
        Value::Date(d) => format!("'{d}'"),
        Value::DateTime(t) => format!("'{t}'"),
    }
}

/// Features as a table that a team might have.
fn table(features: &[socle::model::Feature]) -> String {
    let kinds =
        ["text", "text", "bigint", "float8", "boolean", "date", "timestamptz", "jsonb"].iter();
    let columns: Vec<String> = FIELDS
        .iter()
        .zip(kinds)
        .map(|((name, _), kind)| format!("\"{}\" {kind}", name.replace('"', "\"\"")))
        .collect();
    let mut out = format!(
        "CREATE SCHEMA gestion; CREATE TABLE gestion.essai (id text PRIMARY KEY, {}, geom geometry(Geometry, 4326));",
        columns.join(", ")
    );
    for f in features {
        let values: Vec<String> = f.values.iter().map(sql).collect();
        let mut wkb = Vec::new();
        if let Some(geometry) = &f.geometry {
            socle::formats::wkb::write(geometry, &mut wkb);
        }
        let hex: String = wkb.iter().map(|b| format!("{b:02x}")).collect();
        let place = match hex.is_empty() {
            true => "NULL".to_owned(),
            false => format!("ST_GeomFromWKB('\\x{hex}', 4326)"),
        };
        let values = values.join(", ");
        out += &format!("INSERT INTO gestion.essai VALUES ('{}', {values}, {place});", f.id);
    }
    out
}

#[test]
fn a_published_table_answers_like_a_version() {
    let Some(server) = postgres::shared() else { return };
    let mut features = features(11);
    for value in features.iter_mut().flat_map(|f| &mut f.values) {
        if matches!(value, Value::Text(t) if t.contains('\0')) {
            *value = Value::Text("a".into()); // no text of a table holds it
        }
    }
    let url = server.url(&server.database());
    server.sql(url.rsplit('/').next().unwrap(), &table(&features));
    let site = Site::over(&url, "lease_s = 1");
    let main = fs::read_to_string(site.path("socle.toml")).unwrap();
    let tables = "[[tables]]\ntable = \"gestion.essai\"\nproducer = \"SIG\"\n";
    fs::write(site.path("socle.toml"), format!("{main}\n{tables}")).unwrap();
    let live = site.serve();
    let place = Place::embedded();
    let store = place.open();
    let at = place.wait(put(&store, &layer("essai"), version(1, &FIELDS, features.clone())));
    let mut runner = TestRunner::deterministic();
    let mut asked_for = 0;
    while asked_for < 120 {
        let filter = filter().new_tree(&mut runner).unwrap().current();
        if filter.contains("TERRITORY") {
            continue; // the table has no attachment of that name
        }
        asked_for += 1;
        let asked = Filter { expression: Some(expression(&at, &filter)), ..Filter::default() };
        let found = place.wait(found(&store, &at, asked)).unwrap();
        let expected: BTreeSet<String> = found.iter().map(|o| format!("e{o}")).collect();
        let page =
            live.json(&format!("/collections/essai/items?limit=200&filter={}", encode(&filter)));
        let ids = page["features"].as_array().unwrap().iter();
        let ids: BTreeSet<String> = ids.map(|f| f["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids, expected, "{filter}");
    }
    // Its rows are sorted by every kind of value.
    for (field, (name, kind)) in
        FIELDS.iter().enumerate().filter(|(_, (_, k))| *k != FieldKind::Json)
    {
        let query = format!("sortby=-{}&limit=70", encode(name));
        let first = live.json(&format!("/collections/essai/items?{query}"));
        let rest = live.json(&format!("/collections/essai/items?{query}&offset=70"));
        let pages = [&first, &rest].map(|page| page["features"].as_array().unwrap().clone());
        let order: Vec<usize> = pages
            .concat()
            .iter()
            .map(|f| f["id"].as_str().unwrap().strip_prefix('e').unwrap().parse().unwrap())
            .collect();
        let value = |i: usize| &features[i].values[field];
        let sorted = order.windows(2).all(|w| compared(value(w[0]), value(w[1]), true).is_le());
        assert!(sorted && order.len() == features.len(), "{name} {kind:?}: {order:?}");
    }
}

#[test]
fn both_stores_answer_alike_with_three_valued_logic() {
    let Some(server) = postgres::shared() else { return };
    let places = [Place::embedded(), Place::postgis(&server.url(&server.database()), false)];
    let stores: Vec<(Arc<dyn Store>, At)> = places
        .iter()
        .map(|place| {
            let store = place.open();
            let at = place.wait(put(&store, &layer("essai"), version(1, &FIELDS, features(3))));
            (store, at)
        })
        .collect();
    let cases: u32 =
        std::env::var("PROPTEST_CASES").ok().and_then(|c| c.parse().ok()).unwrap_or(400);
    let mut runner = TestRunner::deterministic();
    let mut some = 0;
    for _ in 0..cases {
        let filter = filter().new_tree(&mut runner).unwrap().current();
        let answers: Vec<Result<Vec<u64>, String>> = places
            .iter()
            .zip(&stores)
            .map(|(place, (store, at))| {
                let expression = Some(expression(at, &filter));
                let asked = Filter { expression, ..Filter::default() };
                place.wait(found(store, at, asked)).map_err(|e| e.chain())
            })
            .collect();
        assert!(answers[0].is_ok(), "{filter}: {:?}", answers[0]);
        assert_eq!(answers[0], answers[1], "{filter}");
        some += u32::from(answers[0].as_ref().is_ok_and(|a| !a.is_empty() && a.len() < 120));
        // Not of a filter holds where neither it nor unknown does: all three make the whole.
        let of = |f: String| {
            let expression = Some(expression(&stores[0].1, &f));
            let asked = Filter { expression, ..Filter::default() };
            places[0].wait(found(&stores[0].0, &stores[0].1, asked)).unwrap()
        };
        let (yes, no) = (of(filter.clone()), of(format!("NOT ({filter})")));
        assert!(yes.iter().all(|o| !no.contains(o)), "{filter}");
    }
    assert!(some > cases / 4, "only {some} of {cases} filters told features apart");
    orders_of(&places, &stores, &features(3));
    // Tiles hold what the filter lets through, on both.
    let tile = TileId::new(3, 4, 2).unwrap();
    for filter in ["i > 0", "S_WITHIN(geom, BBOX(0,40,6,46))", "TERRITORY('x') AND b"] {
        let ids: Vec<BTreeSet<u64>> = places
            .iter()
            .zip(&stores)
            .map(|(place, (store, at))| {
                let asked =
                    Filter { expression: Some(expression(at, filter)), ..Filter::default() };
                let tile = place.wait(store.tile_where(at, tile, 64, &asked)).unwrap();
                tile.map(|t| t.features.iter().map(|f| f.id).collect()).unwrap_or_default()
            })
            .collect();
        assert!(!ids[0].is_empty(), "{filter}");
        assert_eq!(ids[0], ids[1], "{filter}");
    }
}
