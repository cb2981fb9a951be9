//! What every store promises: one list of cases, one expected answer, all stores. The database's
//! store is judged twice, face to face and through PgBouncer in transaction mode.

use crate::{
    live_contract::{LiveStore, Tables, storable},
    support::postgres::{self, PgBouncer, Postgres},
};
use geo_types::{Geometry, LineString, Point, Polygon, polygon};
use jiff::Timestamp;
use roaring::RoaringBitmap;
use socle::{
    config::{PostgisSettings, Secret},
    error::Error,
    model::{
        BBox, Change, ChangeKind, Changes, ChangesHead, Clause, Delivery, Fault, Feature, Field,
        FieldKind, GeometryKind, Grid, Harvested, Hold, HoldReason, HoldRule, LayerId, Outcome,
        RankSet, Report, RunRecord, Schema, Selection, Text, TileId, Told, ToldEvent, Trigger,
        Turn, Value, ValueRef, Version, VersionId,
    },
    query::{Equals, Filter, Scan, Start},
    store::{
        At, Claim, NewVersion, Reach, Store, TileFeatures,
        embedded::EmbeddedStore,
        postgis::PostgisStore,
        spool::{Spill, Spooling},
    },
};
use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Where stores are opened: each call gives another process's view of the same place.
pub struct Place {
    dir: TempDir,
    /// Settings of the database; `None`: files in the folder.
    database: Option<PostgisSettings>,
    /// What makes tables of the layers, where they are to be published tables.
    tables: Option<Arc<Tables>>,
    runtime: Runtime,
}

impl Place {
    pub fn embedded() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        Self { dir: tempfile::tempdir().unwrap(), database: None, tables: None, runtime }
    }

    /// Layers that are tables of a new database, published as they are.
    pub fn live(server: &'static Postgres) -> Self {
        let mut place = Self::embedded();
        let tables = Tables::new(server, place.dir.path());
        place.database = Some(tables.settings());
        place.tables = Some(Arc::new(tables));
        place
    }

    /// A text as the store may hold it.
    fn held(&self, text: &str) -> String {
        if self.tables.is_some() { storable(text) } else { text.to_owned() }
    }

    /// An ordinal: the rank in source order, of published tables among the matches.
    fn ordinal(&self, rank: u64, among_matches: u64) -> u64 {
        if self.tables.is_some() { among_matches } else { rank }
    }

    /// A new database behind the given address.
    pub fn postgis(url: &str, pooled: bool) -> Self {
        let mut place = Self::embedded();
        let file = place.dir.path().join("url");
        std::fs::write(&file, url).unwrap();
        let settings = PostgisSettings {
            url: Secret::File(file),
            pgbouncer: pooled,
            // Tests of several stores open many connections on a busy machine.
            wait: Duration::from_secs(20),
            ..PostgisSettings::at("SOCLE_TEST_UNUSED")
        };
        place.database = Some(settings);
        place
    }

    pub fn with(mut self, change: impl FnOnce(&mut PostgisSettings)) -> Self {
        if let Some(settings) = &mut self.database {
            change(settings);
        }
        self
    }

    pub fn open(&self) -> Arc<dyn Store> {
        match &self.database {
            None => Arc::new(EmbeddedStore::open(&self.dir.path().join("store")).unwrap()),
            Some(settings) => {
                let store = Arc::new(PostgisStore::open(settings).unwrap());
                match &self.tables {
                    Some(tables) => Arc::new(LiveStore::new(store, tables.clone())),
                    None => store,
                }
            }
        }
    }

    /// Waits for an answer, as the program's own runtime does.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

pub fn layer(id: &str) -> LayerId {
    id.parse().unwrap()
}

pub fn harvested() -> Harvested {
    Harvested {
        path: PathBuf::new(),
        name: "essai.geojson".into(),
        origin: "https://example.org/essai.geojson".into(),
        status: Some(200),
        bytes: 12,
        sha256: "3f9a01c2".repeat(8),
        etag: None,
        modified: None,
        fetched_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        checked_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        dataset: None,
        withdrawn: None,
    }
}

/// A version of features whose ids are given; its reach index attaches feature `i` to commune
/// `i % 4`, feature 0 also to commune 3, and features 1 and 2 to a quartier.
pub fn version(number: u32, fields: &[(&str, FieldKind)], features: Vec<Feature>) -> NewVersion {
    let id: VersionId = format!("20260101T0000{number:02}Z-3f9a01c2").parse().unwrap();
    let mut bbox = BBox::EMPTY;
    let mut kind = GeometryKind::None;
    for geometry in features.iter().filter_map(|f| f.geometry.as_ref()) {
        use geo::{BoundingRect, CoordsIter};
        let _ = geometry.bounding_rect();
        geometry.coords_iter().for_each(|c| bbox.add(c.x, c.y));
        kind = kind.widen(GeometryKind::of(geometry));
    }
    let n = features.len();
    let mut communes = vec![Vec::new(); 600];
    let mut degree = vec![1; n];
    for i in 0..n {
        communes[i % 4].push(i as u32);
    }
    if n > 0 {
        communes[3].push(0);
        communes[3].sort_unstable();
        degree[0] = 2;
    }
    let quarter = (1..3u32).filter(|i| (*i as usize) < n).collect::<RoaringBitmap>();
    NewVersion {
        version: Version {
            id,
            source: harvested(),
            options_hash: "0".into(),
            schema: Schema {
                fields: fields
                    .iter()
                    .map(|(name, kind)| Field { name: (*name).to_owned(), kind: *kind })
                    .collect(),
                geometry: kind,
            },
            count: n as u64,
            bbox: (!bbox.is_empty()).then_some(bbox),
            key: None,
            max_zoom: 12,
            min_zoom: 0,
            report: Report::default(),
            temporal: None,
            thinning: None,
            drawing: None,
            classes: None,
            live: None,
        },
        features: features.into(),
        reach: Reach {
            ids: Vec::new(),
            vintage: None,
            id: format!("r{number}"),
            communes,
            degree,
            others: BTreeMap::from([("qpv:QN05901M".to_owned(), quarter)]),
        },
        weighed: None,
        title: "Essai d'une couche".into(),
        provenance: "Producteur — Licence Ouverte".into(),
    }
}

pub fn feature(id: &str, values: Vec<Value>, geometry: Option<Geometry<f64>>) -> Feature {
    let mvt_id = id.bytes().fold(7u64, |h, b| (h * 31 + u64::from(b)) & ((1 << 53) - 1));
    Feature { id: id.to_owned(), mvt_id, values, geometry }
}

pub fn point(x: f64, y: f64) -> Option<Geometry<f64>> {
    Some(Point::new(x, y).into())
}

/// `n` points along a line, with their number.
pub fn points(number: u32, n: u32) -> NewVersion {
    let features = (0..n).map(|i| {
        let values = vec![Value::Int(i64::from(i)), Value::Text(format!("v{number}"))];
        feature(&format!("p{i}"), values, point(2.0 + f64::from(i) * 0.001, 48.0))
    });
    version(number, &[("n", FieldKind::Int), ("livraison", FieldKind::Text)], features.collect())
}

/// Loads and publishes.
pub async fn put(store: &Arc<dyn Store>, id: &LayerId, new: NewVersion) -> At {
    let claim = claim(store, id).await;
    let (version, reach) = (new.version.id.clone(), new.reach.id.clone());
    store.load(&claim, new).await.unwrap();
    store.publish(&claim, &version, &reach).await.unwrap();
    drop(claim);
    current(store, id).await
}

/// The claim on a layer. A program that another test is starting holds every open file for an
/// instant, locks included: the claim may be free a little later.
pub async fn claim(store: &Arc<dyn Store>, id: &LayerId) -> Claim {
    for _ in 0..100 {
        if let Some(claim) = store.claim(id).await.unwrap() {
            return claim;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the claim is free");
}

pub async fn current(store: &Arc<dyn Store>, id: &LayerId) -> At {
    store.current().await.unwrap().remove(id).expect("a current version")
}

/// A row, owned.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub ordinal: u64,
    pub id: String,
    pub values: Vec<String>,
    pub wkb: Option<Vec<u8>>,
}

pub async fn rows(store: &Arc<dyn Store>, at: &At, scan: Scan) -> (Vec<Seen>, Option<u64>) {
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let out = seen.clone();
    let sink = Box::new(move |row: &socle::store::Row<'_>| {
        out.lock().unwrap().push(Seen {
            ordinal: row.ordinal,
            id: row.id.to_owned(),
            values: row.values.iter().map(shown).collect(),
            wkb: row.wkb.map(<[u8]>::to_vec),
        });
        ControlFlow::Continue(())
    });
    let end = store.scan(at, scan, sink).await.unwrap();
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(end.returned, seen.len() as u64);
    (seen, end.next)
}

fn shown(value: &ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "null".into(),
        ValueRef::Bool(b) => format!("bool {b}"),
        ValueRef::Int(i) => format!("int {i}"),
        ValueRef::Float(f) => format!("float {f}"),
        ValueRef::Text(s) => format!("text {s}"),
        ValueRef::Json(s) => format!("json {s}"),
    }
}

pub fn all() -> Scan {
    Scan { filter: Filter::default(), start: Start::Ordinal(0), limit: None }
}

fn scan(filter: Filter, start: Start, limit: u64) -> Scan {
    Scan { filter, start, limit: Some(limit) }
}

async fn ordinals(store: &Arc<dyn Store>, at: &At, filter: Filter) -> Vec<u64> {
    let some = Scan { filter, start: Start::Ordinal(0), limit: None };
    let found = rows(store, at, some).await.0;
    if at.version.live.is_none() {
        return found.iter().map(|r| r.ordinal).collect();
    }
    // Those of a published table are ranks among the matches: here it is among all rows.
    let whole = rows(store, at, all()).await.0;
    let rank = |row: &Seen| whole.iter().position(|other| other.id == row.id).unwrap() as u64;
    assert!(found.iter().map(|r| r.ordinal).eq(0..found.len() as u64));
    found.iter().map(rank).collect()
}

/// The numbers of points.
fn numbers(rows: &[Seen]) -> Vec<u64> {
    rows.iter().map(|row| row.id[1..].parse().unwrap()).collect()
}

fn selection(key: &str, clause: Clause) -> Arc<Selection> {
    Arc::new(Selection { key: key.into(), any: vec![clause] })
}

pub fn meets(ranks: &[u32]) -> Arc<Selection> {
    let clause =
        Clause { meets: Some(RankSet::from_ranks(ranks.iter().copied())), ..Clause::default() };
    selection(&format!("m{ranks:?}"), clause)
}

fn within(ranks: &[u32]) -> Arc<Selection> {
    let clause =
        Clause { within: Some(RankSet::from_ranks(ranks.iter().copied())), ..Clause::default() };
    selection(&format!("w{ranks:?}"), clause)
}

fn selected(selection: &Arc<Selection>) -> Filter {
    Filter { selection: Some(selection.clone()), ..Filter::default() }
}

fn bbox(west: f64, south: f64, east: f64, north: f64) -> Filter {
    Filter { bbox: Some(BBox { west, south, east, north }), ..Filter::default() }
}

fn equals(field: usize, value: Value) -> Filter {
    Filter { equals: vec![Equals { field, value }], ..Filter::default() }
}

/// No ordinal.
const NONE: [u64; 0] = [];

pub type Case = (&'static str, fn(&Place));

/// The contract.
const CASES: &[Case] = &[
    ("nothing is visible before it is published", nothing_before_publishing),
    ("values come back as they went in, under any name", values_come_back),
    ("a layer of multi-geometries holds nothing else", multi_geometries),
    ("pages follow each other without gap or repeat", pages),
    ("boxes are met by geometry, and by its absence", boxes),
    ("properties equal bound values", properties),
    ("a territory selects the same everywhere", territories),
    ("features are found by their id", ids),
    ("tiles are those of the prepared overviews", tiles),
    ("rows that went by a file are stored as those that were held", by_a_file),
    ("versions roll back, states stay as long as they are kept", states),
    ("old versions leave, those that are read stay", pruning),
    ("a reach index flips alone", reach_flips),
    ("a claim is one writer's", claims),
    ("what a dead writer left is swept", sweeping),
    ("a held version waits, out of sight, until it is published", holding),
    ("the journal keeps the newest runs of each layer", journal),
    ("who read what was told before somebody else changed it does not write", told),
    ("a check is noted without a new version", touching),
    ("layers without geometry, and without features", bare_layers),
    ("a sink that has enough stops the scan", stopping),
    ("what rows do not show is given back, and history is kept", besides),
    ("values are read without geometry, indexes whole", values_and_indexes),
    ("differences stay when versions go, and only what was published counts", differences),
];

/// The part of it that a published table keeps as well: all that reads.
pub const OF_TABLES: &[Case] = &[
    ("values come back as they went in, under any name", values_come_back),
    ("pages follow each other without gap or repeat", pages),
    ("boxes are met by geometry, and by its absence", boxes),
    ("properties equal bound values", properties),
    ("a territory selects the same everywhere", territories),
    ("features are found by their id", ids),
    ("layers without geometry, and without features", bare_layers),
    ("a sink that has enough stops the scan", stopping),
    ("values are read without geometry, indexes whole", values_and_indexes),
];

fn keep(place: impl Fn() -> Place) {
    keep_all(CASES, place);
}

pub fn keep_all(cases: &[Case], place: impl Fn() -> Place) {
    let mut broken = Vec::new();
    for (name, case) in cases {
        let place = place();
        let kept = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&place)));
        if kept.is_err() {
            broken.push(*name);
        }
    }
    assert!(broken.is_empty(), "the contract is broken: {broken:#?}");
}

#[test]
fn the_embedded_store_keeps_the_contract() {
    keep(Place::embedded);
}

#[test]
fn a_scan_that_nobody_waits_for_stops() {
    use std::sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    };
    let place = Place::embedded();
    let (store, id) = (place.open(), layer("points"));
    place.wait(async {
        let at = put(&store, &id, points(1, 3_000)).await;
        let (begun, first) = tokio::sync::oneshot::channel();
        let (left, leaving) = mpsc::channel();
        // Its last owner but this one is the sink, which goes with the scan.
        let shown = Arc::new(AtomicUsize::new(0));
        let (count, mut begun) = (shown.clone(), Some(begun));
        let sink = Box::new(move |_: &socle::store::Row<'_>| {
            count.fetch_add(1, Ordering::SeqCst);
            if let Some(begun) = begun.take() {
                begun.send(()).unwrap();
                leaving.recv().unwrap();
            }
            ControlFlow::Continue(())
        });
        {
            let scan = store.scan(&at, all(), sink);
            tokio::select! {
                end = scan => panic!("{end:?}"),
                begun = first => begun.unwrap(),
            }
        }
        left.send(()).unwrap();
        while Arc::strong_count(&shown) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let shown = shown.load(Ordering::SeqCst);
        assert!(shown < 1_000, "{shown} rows were shown to nobody");
    });
}

#[test]
fn the_postgis_store_keeps_the_contract() {
    let Some(server) = postgres::shared() else { return };
    keep(|| Place::postgis(&server.url(&server.database()), false));
}

#[test]
fn the_postgis_store_keeps_the_contract_behind_pgbouncer() {
    let Some(server) = postgres::shared() else { return };
    let Some(pooler) = PgBouncer::start(server) else { return };
    keep(|| Place::postgis(&pooler.url(&server.database()), true));
}

fn nothing_before_publishing(place: &Place) {
    let (store, id) = (place.open(), layer("points"));
    place.wait(async {
        assert!(store.current().await.unwrap().is_empty());
        assert!(store.versions(&id).await.unwrap().is_empty());
        let before = store.generation().await.unwrap();
        assert_eq!(store.generation().await.unwrap(), before);
        let claim = claim(&store, &id).await;
        let new = points(1, 10);
        let version = new.version.clone();
        store.load(&claim, new).await.unwrap();
        assert!(store.current().await.unwrap().is_empty());
        assert_eq!(store.versions(&id).await.unwrap(), std::slice::from_ref(&version));
        let unknown = store.publish(&claim, &version.id, "nope").await;
        assert!(matches!(unknown, Err(Error::NotFound(_))), "{unknown:?}");
        let other: VersionId = "20250101T000000Z-0".parse().unwrap();
        let unknown = store.publish(&claim, &other, "r1").await;
        assert!(matches!(unknown, Err(Error::NotFound(_))), "{unknown:?}");
        assert!(store.current().await.unwrap().is_empty());
        store.publish(&claim, &version.id, "r1").await.unwrap();
        let at = current(&store, &id).await;
        assert_eq!((&*at.version, at.reach.as_str()), (&version, "r1"));
        // Another process sees the same.
        let other = place.open();
        assert_eq!(current(&other, &id).await.key(), at.key());
        let moved = async {
            while store.generation().await.unwrap() == before {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), moved).await.unwrap();
    });
}

/// Names that a database could trip over.
pub const ODD_FIELDS: &[(&str, FieldKind)] = &[
    ("LINE_NUMB-SEG", FieldKind::Int),
    ("select \"nom\"; drop table x --", FieldKind::Text),
    ("fid", FieldKind::Float),
    ("geom", FieldKind::Bool),
    ("NOM", FieldKind::Text),
    ("nom", FieldKind::Text),
    ("début", FieldKind::Date),
    ("à l'heure", FieldKind::DateTime),
    ("détail", FieldKind::Json),
    ("", FieldKind::Text),
    ("un nom beaucoup trop long pour être celui d'une colonne de base de données", FieldKind::Text),
    (
        "un nom beaucoup trop long pour être celui d'une colonne de base de données 2",
        FieldKind::Text,
    ),
];

/// Values of every kind, at their limits.
fn odd_features() -> Vec<Feature> {
    let time = |s: &str| Value::DateTime(s.parse::<Timestamp>().unwrap());
    let text = |s: &str| Value::Text(s.to_owned());
    let full = vec![
        Value::Int(i64::MIN),
        text("L'Haÿ-les-Roses \\ $1 '' \" %I"),
        Value::Float(-0.1),
        Value::Bool(true),
        text("A"),
        text("a\0b"),
        Value::Date("1900-02-28".parse().unwrap()),
        time("1969-12-31T23:59:59.9996Z"),
        Value::Json("{\"a\":[1,2.50]}".into()),
        text(""),
        text("x"),
        text("y"),
    ];
    let early = vec![
        Value::Int(7),
        Value::Null,
        Value::Float(1e300),
        Value::Bool(false),
        Value::Null,
        text("é"),
        Value::Date("9999-12-31".parse().unwrap()),
        time("2026-05-06T07:08:09.5Z"),
        Value::Null,
        Value::Null,
        Value::Null,
        text("z"),
    ];
    vec![
        feature("un", full, point(2.0, 48.0)),
        feature("deux ; trois", early, None),
        feature("rien", vec![], point(3.0, 49.0)),
    ]
}

fn values_come_back(place: &Place) {
    let (store, id) = (place.open(), layer("bizarre"));
    place.wait(async {
        let at = put(&store, &id, version(1, ODD_FIELDS, odd_features())).await;
        let (seen, next) = rows(&store, &at, all()).await;
        assert_eq!(next, None);
        assert_eq!(
            seen[0].values,
            [
                "int -9223372036854775808",
                "text L'Haÿ-les-Roses \\ $1 '' \" %I",
                "float -0.1",
                "bool true",
                "text A",
                &*format!("text {}", place.held("a\0b")),
                "text 1900-02-28",
                "text 1969-12-31T23:59:59.999Z",
                "json {\"a\":[1,2.50]}",
                "text ",
                "text x",
                "text y"
            ]
        );
        assert_eq!(seen[1].values[6..8], ["text 9999-12-31", "text 2026-05-06T07:08:09.500Z"]);
        assert_eq!(seen[1].values[2], "float 1e300".replace("1e300", &1e300f64.to_string()));
        assert_eq!(seen[2].values, ["null"; 12]);
        let point =
            [1u8, 1, 0, 0, 0].into_iter().chain(2f64.to_le_bytes()).chain(48f64.to_le_bytes());
        assert_eq!(seen[0].wkb.as_deref(), Some(&*point.collect::<Vec<u8>>()));
        assert_eq!(seen[1].wkb, None);
        assert_eq!(
            seen.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(),
            ["un", "deux ; trois", "rien"]
        );
    });
}

fn multi_geometries(place: &Place) {
    let store = place.open();
    place.wait(async {
        // Single geometries of a layer of multi-geometries are multi-geometries of one.
        let square =
            polygon![(x: 0.0, y: 0.0), (x: 1.0, y: 0.0), (x: 1.0, y: 1.0), (x: 0.0, y: 0.0)];
        let both = geo_types::MultiPolygon(vec![square.clone(), square.clone()]);
        let features = vec![
            feature("a", vec![], Some(square.into())),
            feature("b", vec![], Some(both.into())),
        ];
        let at = put(&store, &layer("multi"), version(1, &[], features)).await;
        let (seen, _) = rows(&store, &at, all()).await;
        assert!(seen.iter().all(|r| r.wkb.as_ref().unwrap()[1] == 6));
    });
}

fn pages(place: &Place) {
    let (store, id) = (place.open(), layer("points"));
    place.wait(async {
        let at = put(&store, &id, points(1, 25)).await;
        let page = |start, limit| scan(Filter::default(), start, limit);
        let mut seen = Vec::new();
        let mut start = Some(0);
        while let Some(from) = start {
            let (page, next) = rows(&store, &at, page(Start::Ordinal(from), 10)).await;
            seen.extend(page.iter().map(|r| r.ordinal));
            start = next;
        }
        assert_eq!(seen, (0..25).collect::<Vec<_>>());
        // A full last page has no next; past the end there is nothing.
        assert_eq!(rows(&store, &at, page(Start::Ordinal(15), 10)).await.1, None);
        assert_eq!(rows(&store, &at, page(Start::Offset(15), 10)).await.1, None);
        for past in [
            Start::Ordinal(25),
            Start::Offset(25),
            Start::Offset(u64::MAX),
            Start::Ordinal(u64::MAX),
        ] {
            assert!(rows(&store, &at, page(past, 10)).await.0.is_empty(), "{past:?}");
        }
        // Under a filter: commune 1 has features 1, 5, 9, 13, 17, 21.
        let commune = meets(&[1]);
        let page = |start, limit| scan(selected(&commune), start, limit);
        let (first, next) = rows(&store, &at, page(Start::Ordinal(0), 4)).await;
        assert_eq!(numbers(&first), [1, 5, 9, 13]);
        assert_eq!(next, Some(place.ordinal(17, 4)));
        let (rest, next) = rows(&store, &at, page(Start::Ordinal(next.unwrap()), 4)).await;
        assert_eq!(numbers(&rest), [17, 21]);
        assert_eq!(next, None);
        let (offset, next) = rows(&store, &at, page(Start::Offset(2), 2)).await;
        assert_eq!(numbers(&offset), [9, 13]);
        assert_eq!(next, Some(place.ordinal(17, 4)));
        assert!(rows(&store, &at, page(Start::Offset(6), 2)).await.0.is_empty());
        // With a property as well, offsets count matches.
        let both =
            Filter { equals: equals(1, Value::Text("v1".into())).equals, ..selected(&commune) };
        let (offset, next) = rows(&store, &at, scan(both, Start::Offset(3), 2)).await;
        assert_eq!(numbers(&offset), [13, 17]);
        assert_eq!(next, Some(place.ordinal(21, 5)));
    });
}

fn boxes(place: &Place) {
    let (store, id) = (place.open(), layer("formes"));
    let triangle =
        polygon![(x: 0.0, y: 0.0), (x: 10.0, y: 0.0), (x: 0.0, y: 10.0), (x: 0.0, y: 0.0)];
    let ring = Polygon::new(
        LineString::from(vec![(20., 0.), (30., 0.), (30., 10.), (20., 10.), (20., 0.)]),
        vec![LineString::from(vec![(22., 2.), (22., 8.), (28., 8.), (28., 2.), (22., 2.)])],
    );
    let features = vec![
        feature("triangle", vec![], Some(triangle.into())),
        feature("anneau", vec![], Some(ring.into())),
        feature("sans", vec![], None),
        feature("est", vec![], Some(polygon![(x: 179.0, y: -17.0), (x: 180.0, y: -17.0), (x: 180.0, y: -16.0), (x: 179.0, y: -17.0)].into())),
        feature("ouest", vec![], Some(polygon![(x: -180.0, y: -17.0), (x: -179.0, y: -17.0), (x: -180.0, y: -16.0), (x: -180.0, y: -17.0)].into())),
    ];
    place.wait(async {
        let at = put(&store, &id, version(1, &[], features)).await;
        let found = |w, s, e, n| ordinals(&store, &at, bbox(w, s, e, n));
        assert_eq!(found(-1.0, -1.0, 11.0, 11.0).await, [0, 2]);
        // Its box is met, the triangle is not; its slanted side is touched; a corner is touched.
        assert_eq!(found(8.0, 8.0, 9.0, 9.0).await, [2]);
        assert_eq!(found(5.0, 5.0, 6.0, 6.0).await, [0, 2]);
        assert_eq!(found(10.0, -5.0, 15.0, 0.0).await, [0, 2]);
        // Inside the hole; on its border.
        assert_eq!(found(24.0, 4.0, 25.0, 5.0).await, [2]);
        assert_eq!(found(24.0, 4.0, 28.0, 5.0).await, [1, 2]);
        // A box that is a point, and one that is a line.
        assert_eq!(found(1.0, 1.0, 1.0, 1.0).await, [0, 2]);
        assert_eq!(found(9.0, 9.0, 9.0, 9.0).await, [2]);
        assert_eq!(found(-5.0, 3.0, 5.0, 3.0).await, [0, 2]);
        // Across the antimeridian.
        assert_eq!(found(170.0, -20.0, -170.0, -10.0).await, [2, 3, 4]);
        assert_eq!(found(50.0, 50.0, 51.0, 51.0).await, [2]);
        assert_eq!(store.count(&at, &bbox(170.0, -20.0, -170.0, -10.0)).await.unwrap(), Some(3));
        // With a territory: commune 0 has features 0 and 4.
        let both = Filter { selection: Some(meets(&[0])), ..bbox(-180.0, -90.0, 180.0, 90.0) };
        assert_eq!(ordinals(&store, &at, both.clone()).await, [0, 4]);
        assert_eq!(store.count(&at, &both).await.unwrap(), Some(2));
        let page =
            rows(&store, &at, scan(bbox(-180.0, -90.0, 180.0, 90.0), Start::Offset(1), 2)).await;
        assert_eq!(page.0.iter().map(|r| r.ordinal).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(page.1, Some(3));
    });
}

fn properties(place: &Place) {
    let (store, id) = (place.open(), layer("valeurs"));
    let fields = [
        ("b", FieldKind::Bool),
        ("i", FieldKind::Int),
        ("f", FieldKind::Float),
        ("t", FieldKind::Text),
        ("d", FieldKind::Date),
        ("h", FieldKind::DateTime),
        ("j", FieldKind::Json),
        ("nul", FieldKind::Text),
    ];
    let values = |n: i64| {
        vec![
            Value::Bool(n % 2 == 0),
            Value::Int(n),
            Value::Float(n as f64 / 2.0),
            Value::Text(if n == 1 { "É'x".into() } else { "e".into() }),
            Value::Date(format!("2026-01-0{}", n + 1).parse().unwrap()),
            Value::DateTime(format!("2026-01-01T00:00:0{n}.25Z").parse().unwrap()),
            Value::Json(format!("[{n}]")),
            Value::Text(format!("a\0{n}")),
        ]
    };
    let mut features: Vec<_> =
        (0..4).map(|n| feature(&format!("{n}"), values(n), point(2.0, 48.0))).collect();
    features.push(feature("null", vec![Value::Null; 8], None));
    place.wait(async {
        let at = put(&store, &id, version(1, &fields, features)).await;
        let found = |field, value| ordinals(&store, &at, equals(field, value));
        assert_eq!(found(0, Value::Bool(true)).await, [0, 2]);
        assert_eq!(found(1, Value::Int(3)).await, [3]);
        assert_eq!(found(2, Value::Float(0.5)).await, [1]);
        assert_eq!(found(3, Value::Text("É'x".into())).await, [1]);
        assert_eq!(found(3, Value::Text("É'x' OR 1=1 --".into())).await, NONE);
        assert_eq!(found(3, Value::Text("e\0".into())).await, NONE);
        assert_eq!(found(4, Value::Date("2026-01-03".parse().unwrap())).await, [2]);
        let at_time = |s: &str| Value::DateTime(s.parse().unwrap());
        assert_eq!(found(5, at_time("2026-01-01T00:00:02.25Z")).await, [2]);
        assert_eq!(found(5, at_time("2026-01-01T01:00:02.25+01:00")).await, [2]);
        assert_eq!(found(5, at_time("2026-01-01T00:00:02.250001Z")).await, NONE);
        assert_eq!(found(6, Value::Text("[1]".into())).await, [1]);
        assert_eq!(found(7, Value::Text(place.held("a\u{0}2"))).await, [2]);
        let two = Filter {
            equals: vec![
                Equals { field: 0, value: Value::Bool(true) },
                Equals { field: 3, value: Value::Text("e".into()) },
            ],
            ..Filter::default()
        };
        assert_eq!(ordinals(&store, &at, two.clone()).await, [0, 2]);
        // A table is counted when that is done soon enough.
        let counted = store.count(&at, &two).await.unwrap();
        assert!(counted.is_none_or(|n| n == 2 && place.tables.is_some()), "{counted:?}");
        let page = rows(&store, &at, scan(two, Start::Ordinal(0), 1)).await;
        assert_eq!(page.1, Some(place.ordinal(2, 1)));
    });
}

fn territories(place: &Place) {
    let (store, id) = (place.open(), layer("points"));
    place.wait(async {
        let at = put(&store, &id, points(1, 10)).await;
        let found = |s: &Arc<Selection>| ordinals(&store, &at, selected(s));
        // Feature 0 is attached to communes 0 and 3.
        assert_eq!(found(&meets(&[0])).await, [0, 4, 8]);
        assert_eq!(found(&meets(&[3])).await, [0, 3, 7]);
        assert_eq!(found(&within(&[3])).await, [3, 7]);
        assert_eq!(found(&within(&[0, 3])).await, [0, 3, 4, 7, 8]);
        assert_eq!(found(&meets(&[599])).await, NONE);
        assert_eq!(found(&meets(&[5_000_000])).await, NONE);
        let quarter = selection(
            "q",
            Clause { others: vec!["qpv:QN05901M".parse().unwrap()], ..Clause::default() },
        );
        assert_eq!(found(&quarter).await, [1, 2]);
        let unknown = selection(
            "u",
            Clause { others: vec!["qpv:QN07502M".parse().unwrap()], ..Clause::default() },
        );
        assert_eq!(found(&unknown).await, NONE);
        let mixed = Arc::new(Selection {
            key: "mixed".into(),
            any: vec![
                Clause {
                    meets: Some(RankSet::from_ranks([1])),
                    others: vec!["qpv:QN05901M".parse().unwrap()],
                    ..Clause::default()
                },
                Clause { within: Some(RankSet::from_ranks([2])), ..Clause::default() },
            ],
        });
        assert_eq!(found(&mixed).await, [1, 2, 6]);
        let nothing = Arc::new(Selection { key: "nothing".into(), any: vec![] });
        assert_eq!(found(&nothing).await, NONE);
        assert_eq!(store.count(&at, &selected(&mixed)).await.unwrap(), Some(3));
        assert_eq!(store.count(&at, &Filter::default()).await.unwrap(), Some(10));
        let extent = store.extent(&at, &mixed).await.unwrap().unwrap().to_array();
        assert_eq!(extent, [2.001, 48.0, 2.006, 48.0]);
        assert_eq!(store.extent(&at, &mixed).await.unwrap().unwrap().to_array(), extent);
        assert_eq!(store.extent(&at, &nothing).await.unwrap(), None);
    });
}

fn ids(place: &Place) {
    let (store, id) = (place.open(), layer("ids"));
    let long = "é".repeat(5_000);
    let names = ["59350", "a/b c", "'; DROP TABLE x; --", "%I", long.as_str()];
    let features = names.iter().map(|n| feature(n, vec![], point(2.0, 48.0))).collect();
    place.wait(async {
        let at = put(&store, &id, version(1, &[], features)).await;
        for (ordinal, name) in names.iter().enumerate() {
            let seen = Arc::new(Mutex::new(None));
            let out = seen.clone();
            let sink = Box::new(move |row: &socle::store::Row<'_>| {
                *out.lock().unwrap() = Some((row.ordinal, row.id.to_owned()));
                ControlFlow::Continue(())
            });
            assert!(store.feature(&at, name, sink).await.unwrap(), "{name}");
            let ordinal = place.ordinal(ordinal as u64, 0);
            assert_eq!(seen.lock().unwrap().clone(), Some((ordinal, (*name).to_owned())));
        }
        for absent in ["", "5935", "59350 ", "59350\0", "a/b"] {
            let sink = Box::new(|_: &socle::store::Row<'_>| ControlFlow::Continue(()));
            assert!(!store.feature(&at, absent, sink).await.unwrap(), "{absent:?}");
        }
    });
}

/// A tile's band, keys, and features as id, geometry and tags.
type Drawn = (u8, Vec<String>, Vec<(u64, Vec<u8>, Vec<u8>)>);

/// What a tile holds, apart from how its bytes are laid out.
fn contents(tile: Option<&TileFeatures>) -> Option<Drawn> {
    tile.map(|t| {
        let features = t.features.iter().map(|f| {
            (f.id, t.bytes[f.geometry.clone()].to_vec(), t.bytes[f.tags.clone()].to_vec())
        });
        (t.band, t.keys.to_vec(), features.collect())
    })
}

/// Squares in a grid over Nord, some without geometry, of very different sizes.
pub fn squares(key: Option<&str>) -> NewVersion {
    let features = (0..400u32).map(|i| {
        let (x, y) = (2.0 + f64::from(i % 20) * 0.05, 49.5 + f64::from(i / 20) * 0.05);
        let side = if i % 7 == 0 { 0.000_01 } else { 0.05 };
        let square = polygon![(x: x, y: y), (x: x + side, y: y), (x: x + side, y: y + side), (x: x, y: y + side), (x: x, y: y)];
        let geometry = (i % 11 != 0).then(|| square.into());
        let values = vec![Value::Text(format!("c{i}")), Value::Int(i64::from(i) * 1000)];
        feature(&format!("c{i}"), values, geometry)
    });
    let fields = [("code", FieldKind::Text), ("n", FieldKind::Int)];
    let mut new = version(1, &fields, features.collect());
    new.version.key = key.map(str::to_owned);
    new
}

fn tiles(place: &Place) {
    let (store, reference) = (place.open(), Place::embedded());
    let other = reference.open();
    let mercator = [
        (0, 0, 0),
        (5, 16, 10),
        (8, 129, 86),
        (9, 259, 172),
        (12, 2074, 1380),
        (14, 8300, 5530),
        (18, 132_500, 88_400),
        (9, 0, 0),
    ]
    .map(|(z, x, y)| TileId::new(z, x, y).unwrap());
    // The same places: 2° to 3° E, around 50° N.
    let grid = Grid::of("WorldCRS84Quad").unwrap();
    let crs84 =
        [(0, 1, 0), (4, 16, 3), (8, 259, 56), (11, 2074, 455), (17, 132_500, 29_127), (9, 0, 0)]
            .map(|(z, x, y)| TileId::within(grid, z, x, y).unwrap());
    let filters = [None, Some(meets(&[1])), Some(within(&[0, 1])), Some(meets(&[599]))];
    for (name, key) in [("cle", Some("code")), ("sans", None)] {
        let id = layer(name);
        let expected = reference.wait(put(&other, &id, squares(key)));
        let at = place.wait(put(&store, &id, squares(key)));
        let mut shown = 0;
        for tile in mercator.into_iter().chain(crs84) {
            for (filter, buffer) in filters.iter().zip([64, 0, 256, 64]) {
                let one = place.wait(store.tile(&at, tile, buffer, filter.as_deref())).unwrap();
                let two = reference.wait(other.tile(&expected, tile, buffer, filter.as_deref()));
                let two = two.unwrap();
                assert_eq!(contents(one.as_ref()), contents(two.as_ref()), "{tile:?}");
                shown += one.map_or(0, |t| t.features.len());
            }
        }
        assert!(shown > 400, "{shown} features in all tiles");
    }
}

/// The same version, its rows in a file.
fn filed(new: NewVersion) -> NewVersion {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = Spooling::new(&Spill::into(folder.path()).beyond(0));
    rows.extend(new.features.map(Feature::clone).unwrap()).unwrap();
    let features = rows.finish().unwrap();
    assert!(features.is_filed());
    NewVersion { features, ..new }
}

fn by_a_file(place: &Place) {
    let store = place.open();
    // More points than are read at once; polygons, some without geometry.
    for (kind, make) in [
        ("points", (|| points(1, 9_000)) as fn() -> NewVersion),
        ("carres", || squares(None)),
        ("bizarres", || version(1, ODD_FIELDS, odd_features())),
    ] {
        let ids = [kind.to_owned(), format!("{kind}-fichier")].map(|id| layer(&id));
        place.wait(async {
            let held = put(&store, &ids[0], make()).await;
            let by_file = put(&store, &ids[1], filed(make())).await;
            let all = (rows(&store, &held, all()).await, rows(&store, &by_file, all()).await);
            assert_eq!(all.0, all.1, "{kind}");
            for (z, x, y) in [(0, 0, 0), (5, 16, 10), (8, 129, 86), (12, 2074, 1380)] {
                let tile = TileId::new(z, x, y).unwrap();
                let one = store.tile(&held, tile, 64, None).await.unwrap();
                let two = store.tile(&by_file, tile, 64, None).await.unwrap();
                assert_eq!(contents(one.as_ref()), contents(two.as_ref()), "{kind} {tile:?}");
            }
            let beside = |at: At| {
                let store = store.clone();
                async move { store.beside(&at.layer, &at.version.id).await.unwrap() }
            };
            assert_eq!(beside(held).await, beside(by_file).await, "{kind}");
        });
    }
}

fn states(place: &Place) {
    let (store, id) = (place.open(), layer("points"));
    place.wait(async {
        let one = put(&store, &id, points(1, 10)).await;
        let two = put(&store, &id, points(2, 12)).await;
        assert_eq!(two.version.count, 12);
        let kept: Vec<_> = store.versions(&id).await.unwrap().into_iter().map(|v| v.id).collect();
        assert_eq!(kept, [one.version.id.clone(), two.version.id.clone()]);
        // The old one is still read by its name.
        let again = store.state(&id, &one.key()).await.unwrap().unwrap();
        assert_eq!(again.key(), one.key());
        assert_eq!(rows(&store, &again, all()).await.0.len(), 10);
        for unknown in [
            "",
            "x",
            "x.y",
            "20260101T000001Z-3f9a01c2.zzz",
            "a/../b.r1",
            "20260101T000001Z-3f9a01c2.r1/x",
            "\0.\0",
        ] {
            assert!(store.state(&id, unknown).await.unwrap().is_none(), "{unknown:?}");
        }
        assert!(store.state(&layer("autre"), &one.key()).await.unwrap().is_none());
        let claim = claim(&store, &id).await;
        store.publish(&claim, &one.version.id, &one.reach).await.unwrap();
        assert_eq!(current(&store, &id).await.key(), one.key());
        assert_eq!(rows(&store, &current(&store, &id).await, all()).await.0.len(), 10);
    });
}

fn pruning(place: &Place) {
    let (writer, reader, id) = (place.open(), place.open(), layer("points"));
    place.wait(async {
        put(&writer, &id, points(1, 10)).await;
        let old = current(&reader, &id).await;
        assert_eq!(rows(&reader, &old, all()).await.0.len(), 10);
        for number in 2..5 {
            put(&writer, &id, points(number, 10)).await;
        }
        let claim = claim(&writer, &id).await;
        // The reader has the first one open, as its catalogue still says.
        assert_eq!(writer.prune(&claim, 1).await.unwrap(), 1);
        let kept = |s: Vec<Version>| {
            s.into_iter().map(|v| v.id.to_string()[13..15].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(kept(writer.versions(&id).await.unwrap()), ["01", "03", "04"]);
        assert_eq!(rows(&reader, &old, all()).await.0.len(), 10);
        // It looks again: then nobody holds it.
        assert_eq!(current(&reader, &id).await.version.id.to_string()[13..15], *"04");
        let removed = async {
            while writer.prune(&claim, 1).await.unwrap() == 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), removed).await.unwrap();
        assert_eq!(kept(writer.versions(&id).await.unwrap()), ["03", "04"]);
        assert!(reader.state(&id, &old.key()).await.unwrap().is_none());
        let gone = reader.tile(&old, TileId::new(5, 16, 11).unwrap(), 64, None).await;
        assert!(matches!(gone, Err(Error::Gone { .. })), "{gone:?}");
        let gone = reader.count(&old, &selected(&meets(&[1]))).await;
        assert!(matches!(gone, Err(Error::Gone { .. })), "{gone:?}");
        assert_eq!(writer.prune(&claim, 0).await.unwrap(), 1);
        assert_eq!(writer.prune(&claim, 0).await.unwrap(), 0);
        assert_eq!(rows(&writer, &current(&writer, &id).await, all()).await.0.len(), 10);
    });
}

fn reach_flips(place: &Place) {
    let (store, id) = (place.open(), layer("points"));
    place.wait(async {
        let at = put(&store, &id, points(1, 10)).await;
        let claim = claim(&store, &id).await;
        let mut seen = harvested();
        seen.checked_at = "2026-06-01T00:00:00Z".parse().unwrap();
        store.touch(&claim, &seen).await.unwrap();
        let reach = Reach {
            ids: Vec::new(),
            vintage: None,
            id: "autre".into(),
            communes: vec![vec![9], vec![]],
            degree: vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            others: BTreeMap::new(),
        };
        store.load_reach(&claim, &at.version.id, reach.clone()).await.unwrap();
        store.load_reach(&claim, &at.version.id, reach.clone()).await.unwrap();
        assert_eq!(current(&store, &id).await.key(), at.key());
        assert_eq!(ordinals(&store, &at, selected(&meets(&[0]))).await, [0, 4, 8]);
        store.publish(&claim, &at.version.id, "autre").await.unwrap();
        let now = current(&store, &id).await;
        assert_eq!((now.reach.as_str(), &now.version.id), ("autre", &at.version.id));
        // The new index of the same version does not forget the last check.
        assert_eq!(now.version.source.checked_at, seen.checked_at);
        assert_eq!(ordinals(&store, &now, selected(&meets(&[0]))).await, [9]);
        assert_eq!(ordinals(&store, &now, selected(&within(&[0]))).await, [9]);
        // The one before may stay for those that have not followed yet, no older one does.
        assert_eq!(store.prune(&claim, 0).await.unwrap(), 0);
        let reach = Reach { id: "tiers".into(), ..reach };
        store.load_reach(&claim, &at.version.id, reach).await.unwrap();
        store.publish(&claim, &at.version.id, "tiers").await.unwrap();
        let now = current(&store, &id).await;
        assert_eq!(store.prune(&claim, 0).await.unwrap(), 0);
        assert!(store.state(&id, &at.key()).await.unwrap().is_none());
        assert!(store.state(&id, &now.key()).await.unwrap().is_some());
        let nobody: VersionId = "20250101T000000Z-0".parse().unwrap();
        let lost =
            store.load_reach(&claim, &nobody, Reach { id: "x".into(), ..Reach::default() }).await;
        assert!(lost.is_err());
    });
}

fn claims(place: &Place) {
    let stores: Vec<_> = (0..10).map(|_| place.open()).collect();
    let id = layer("points");
    place.wait(async {
        let held: Arc<Mutex<Vec<Claim>>> = Arc::default();
        let tries: Vec<_> = stores
            .iter()
            .map(|store| {
                let (store, id, held) = (store.clone(), id.clone(), held.clone());
                tokio::spawn(async move {
                    if let Some(claim) = store.claim(&id).await.unwrap() {
                        held.lock().unwrap().push(claim);
                    }
                })
            })
            .collect();
        for one in tries {
            one.await.unwrap();
        }
        assert_eq!(held.lock().unwrap().len(), 1, "ten replicas, one claim");
        assert!(stores[3].claim(&id).await.unwrap().is_none());
        // Another layer is another claim.
        let other = stores[3].claim(&layer("autre")).await.unwrap();
        assert!(other.is_some());
        let claim = held.lock().unwrap().pop();
        drop(claim);
        let again = stores[7].claim(&id).await.unwrap();
        assert!(again.is_some(), "a claim given back is free at once");
    });
}

fn sweeping(place: &Place) {
    let (store, id) = (place.open(), layer("points"));
    place.wait(async {
        put(&store, &id, points(1, 10)).await;
        let first = claim(&store, &id).await;
        store.load(&first, points(2, 10)).await.unwrap();
        assert_eq!(store.versions(&id).await.unwrap().len(), 2);
        drop(first); // never published
        let second = claim(&store, &id).await;
        assert_eq!(store.versions(&id).await.unwrap().len(), 1);
        // The same name can be loaded again.
        store.load(&second, points(2, 11)).await.unwrap();
        let loaded: VersionId = "20260101T000002Z-3f9a01c2".parse().unwrap();
        store.publish(&second, &loaded, "r2").await.unwrap();
        assert_eq!(rows(&store, &current(&store, &id).await, all()).await.0.len(), 11);
    });
}

fn hold(why: &str) -> Hold {
    let text = Text::new(why, why);
    let reasons = vec![HoldReason { rule: HoldRule::FewerRows, text }];
    Hold { at: "2026-01-02T03:04:05Z".parse().unwrap(), reasons, changes: None }
}

fn holding(place: &Place) {
    let (store, id) = (place.open(), layer("points"));
    place.wait(async {
        let at = put(&store, &id, points(1, 10)).await;
        let number =
            |n: u32| -> VersionId { format!("20260101T0000{n:02}Z-3f9a01c2").parse().unwrap() };
        let ids = async |store: &Arc<dyn Store>| -> Vec<VersionId> {
            store.versions(&id).await.unwrap().into_iter().map(|v| v.id).collect()
        };
        let writer = claim(&store, &id).await;
        assert!(store.hold(&writer, &number(2), hold("absente")).await.is_err());
        store.load(&writer, points(2, 4)).await.unwrap();
        store.hold(&writer, &number(2), hold("l'une \"x\"")).await.unwrap();
        drop(writer);
        // It outlives the process, sweeps and prunes, and nobody takes it for history.
        let other = place.open();
        let writer = claim(&other, &id).await;
        other.prune(&writer, 0).await.unwrap();
        let held = other.held(&id).await.unwrap().unwrap();
        assert_eq!((held.version.id, held.hold), (number(2), hold("l'une \"x\"")));
        assert_eq!(held.version.count, 4);
        assert_eq!(ids(&other).await, [number(1)]);
        assert_eq!(current(&other, &id).await.key(), at.key());
        // A later one takes its place.
        other.load(&writer, points(3, 5)).await.unwrap();
        other.hold(&writer, &number(3), hold("l'autre")).await.unwrap();
        assert_eq!(other.held(&id).await.unwrap().unwrap().version.id, number(3));
        drop(writer);
        let writer = claim(&store, &id).await;
        // The name of the first is free again.
        store.load(&writer, points(2, 6)).await.unwrap();
        store.publish(&writer, &number(3), "r3").await.unwrap();
        assert!(store.held(&id).await.unwrap().is_none());
        assert_eq!(rows(&store, &current(&store, &id).await, all()).await.0.len(), 5);
        // Published: it is history like any other, and nothing of it is held.
        store.publish(&writer, &number(2), "r2").await.unwrap();
        assert_eq!(ids(&store).await, [number(1), number(2), number(3)]);
        store.load(&writer, points(4, 7)).await.unwrap();
        store.hold(&writer, &number(4), hold("une")).await.unwrap();
        store.release(&writer).await.unwrap();
        assert!(store.held(&id).await.unwrap().is_none());
        assert_eq!(ids(&store).await, [number(1), number(2), number(3)]);
    });
}

fn journal(place: &Place) {
    let (store, id, other) = (place.open(), layer("points"), layer("autre"));
    place.wait(async {
        assert!(store.runs(5).await.unwrap().is_empty());
        let run = |layer: &LayerId, second: i64| RunRecord {
            layer: layer.clone(),
            started: Timestamp::from_second(1_800_000_000 + second).unwrap(),
            took_ms: 1234,
            trigger: Trigger::Retry,
            attempt: 2,
            outcome: Outcome::Failed {
                fault: Fault::Busy,
                text: Text::new("l'hôte \"x\" dort", "the host sleeps"),
                retry_at: Some(Timestamp::from_second(1_900_000_000).unwrap()),
                tries: 2,
                since: Some(Timestamp::from_second(1_700_000_000).unwrap()),
            },
        };
        // Before anything is published.
        let writer = claim(&store, &id).await;
        for second in 0..60 {
            store.note_runs(&writer, vec![run(&id, second)]).await.unwrap();
        }
        let second = claim(&store, &other).await;
        store.note_runs(&second, vec![run(&other, 7)]).await.unwrap();
        let seen = place.open().runs(2).await.unwrap();
        assert_eq!(seen[&id], [run(&id, 59), run(&id, 58)]);
        assert_eq!(seen[&other], [run(&other, 7)]);
        // Older ones that come later, as from a backup, take their places.
        store.note_runs(&second, vec![run(&other, 3), run(&other, 9)]).await.unwrap();
        store.note_runs(&second, vec![run(&other, 3)]).await.unwrap();
        let all = store.runs(usize::MAX).await.unwrap();
        assert_eq!(all[&other], [run(&other, 9), run(&other, 7), run(&other, 3)]);
        assert_eq!(all[&id].len(), socle::store::KEPT_RUNS);
        assert!(store.current().await.unwrap().is_empty());
    });
}

fn told(place: &Place) {
    let store = place.open();
    place.wait(async {
        let first = store.told().await.unwrap();
        assert_eq!(first, Told::default());
        let delivery = Delivery { tries: 1, again: Some(Timestamp::UNIX_EPOCH) };
        let event =
            ToldEvent { at: Timestamp::UNIX_EPOCH, ways: [("mail".to_owned(), delivery)].into() };
        let turn = Some(Turn { holder: "l'un".into(), until: Timestamp::UNIX_EPOCH });
        let events = [("points.failing.1".to_owned(), event)].into();
        let one = Told { serial: 1, turn, events };
        store.set_told(one.clone()).await.unwrap();
        assert_eq!(place.open().told().await.unwrap(), one);
        for late in [one.clone(), Told { serial: 3, ..one.clone() }] {
            let refused = store.set_told(late).await;
            assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
        }
        let two = Told { serial: 2, turn: None, ..one };
        store.set_told(two.clone()).await.unwrap();
        assert_eq!(store.told().await.unwrap(), two);
    });
}

fn touching(place: &Place) {
    let (store, id) = (place.open(), layer("points"));
    place.wait(async {
        let at = put(&store, &id, points(1, 3)).await;
        let before = store.generation().await.unwrap();
        let mut seen = harvested();
        seen.checked_at = "2026-06-01T00:00:00Z".parse().unwrap();
        seen.etag = Some("\"x'y\"".into());
        let claim = claim(&store, &id).await;
        store.touch(&claim, &seen).await.unwrap();
        let now = current(&store, &id).await;
        assert_eq!(now.key(), at.key());
        assert_eq!(now.version.source, seen);
        let moved = async {
            while store.generation().await.unwrap() == before {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), moved).await.unwrap();
    });
}

fn bare_layers(place: &Place) {
    let store = place.open();
    place.wait(async {
        let table =
            vec![feature("a", vec![Value::Int(1)], None), feature("b", vec![Value::Int(2)], None)];
        let at = put(&store, &layer("table"), version(1, &[("n", FieldKind::Int)], table)).await;
        assert_eq!(ordinals(&store, &at, bbox(0.0, 0.0, 1.0, 1.0)).await, [0, 1]);
        assert_eq!(ordinals(&store, &at, selected(&meets(&[1]))).await, [1]);
        assert!(store.tile(&at, TileId::new(0, 0, 0).unwrap(), 64, None).await.unwrap().is_none());
        assert_eq!(store.extent(&at, &meets(&[0, 1])).await.unwrap(), None);
        let at = put(&store, &layer("vide"), version(1, &[("n", FieldKind::Int)], vec![])).await;
        assert_eq!(ordinals(&store, &at, Filter::default()).await, NONE);
        assert_eq!(ordinals(&store, &at, selected(&meets(&[0]))).await, NONE);
        assert_eq!(ordinals(&store, &at, bbox(0.0, 0.0, 1.0, 1.0)).await, NONE);
        assert!(store.tile(&at, TileId::new(0, 0, 0).unwrap(), 64, None).await.unwrap().is_none());
    });
}

fn stopping(place: &Place) {
    let (store, id) = (place.open(), layer("points"));
    place.wait(async {
        let at = put(&store, &id, points(1, 5_000)).await;
        for filter in [Filter::default(), selected(&meets(&[0, 1, 2])), bbox(0.0, 0.0, 90.0, 90.0)]
        {
            let seen = Arc::new(Mutex::new(0));
            let out = seen.clone();
            let sink = Box::new(move |_: &socle::store::Row<'_>| {
                *out.lock().unwrap() += 1;
                if *out.lock().unwrap() == 7 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            let scan = Scan { filter, start: Start::Ordinal(0), limit: None };
            let end = store.scan(&at, scan, sink).await.unwrap();
            assert_eq!((end.returned, end.next, *seen.lock().unwrap()), (7, None, 7));
        }
        // The store goes on as before.
        assert_eq!(rows(&store, &at, all()).await.0.len(), 5_000);
    });
}

fn besides(place: &Place) {
    let (store, id) = (place.open(), layer("carres"));
    place.wait(async {
        let (mut one, mut two) = (squares(Some("code")), squares(None));
        one.version.id = "20260101T000001Z-3f9a01c2".parse().unwrap();
        two.version.id = "20260101T000002Z-3f9a01c2".parse().unwrap();
        let ids: Vec<u64> = one.features.map(|f| f.mvt_id).unwrap();
        let bare: Vec<bool> = one.features.map(|f| f.geometry.is_none()).unwrap();
        let (title, provenance) = (one.title.clone(), one.provenance.clone());
        let reach = one.reach.clone();
        let first = one.version.clone();
        let other = Reach { id: "a".into(), communes: vec![vec![3, 7]], ..reach.clone() };
        let writer = claim(&store, &id).await;
        assert!(store.beside(&id, &first.id).await.unwrap().is_none());
        assert!(matches!(store.keep(&writer, &first.id).await, Err(Error::NotFound(_))));
        store.load(&writer, one).await.unwrap();
        store.load_reach(&writer, &first.id, other.clone()).await.unwrap();
        let beside = store.beside(&id, &first.id).await.unwrap().unwrap();
        // Features that no tile shows have no id there: without geometry, or far too small.
        let shown = |i: usize, id: u64| id == ids[i] && !bare[i];
        let given = || beside.mvt_ids.iter().copied().enumerate();
        assert_eq!(beside.mvt_ids.len(), ids.len());
        assert!(given().all(|(i, id)| id == 0 || shown(i, id)), "{:?}", beside.mvt_ids);
        assert!(given().filter(|(i, id)| shown(*i, *id)).count() > 300);
        assert_eq!((&beside.title, &beside.provenance), (&title, &provenance));
        assert_eq!(beside.reaches, [other, reach]);
        // Rows are read without naming an index.
        let nameless =
            At { layer: id.clone(), version: Arc::new(first.clone()), reach: String::new() };
        assert_eq!(rows(&store, &nameless, all()).await.0.len(), 400);
        // Kept, it survives the sweep though it never was current.
        store.keep(&writer, &first.id).await.unwrap();
        let last = two.version.id.clone();
        store.load(&writer, two).await.unwrap();
        drop(writer);
        let writer = claim(&store, &id).await;
        let kept: Vec<_> = store.versions(&id).await.unwrap().into_iter().map(|v| v.id).collect();
        assert_eq!(kept, std::slice::from_ref(&first.id));
        assert!(store.beside(&id, &last).await.unwrap().is_none());
        assert!(store.current().await.unwrap().is_empty());
        store.publish(&writer, &first.id, "a").await.unwrap();
        assert_eq!(
            ordinals(&store, &current(&store, &id).await, selected(&meets(&[0]))).await,
            [3, 7]
        );
    });
}

fn values_and_indexes(place: &Place) {
    let (store, id) = (place.open(), layer("points"));
    place.wait(async {
        let new = points(1, 40);
        let reach = new.reach.clone();
        let at = put(&store, &id, new).await;
        if at.version.live.is_none() {
            assert_eq!(store.reach(&at).await.unwrap(), reach);
        }
        for filter in [Filter::default(), selected(&within(&[0, 1])), bbox(2.0, 47.0, 2.02, 49.0)] {
            let (whole, _) =
                rows(&store, &at, scan(filter.clone(), Start::Ordinal(0), 1_000)).await;
            let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
            let out = seen.clone();
            let sink = Box::new(move |row: &socle::store::Row<'_>| {
                let (ordinal, id) = (row.ordinal, row.id.to_owned());
                let values = row.values.iter().map(shown).collect();
                out.lock().unwrap().push(Seen { ordinal, id, values, wkb: None });
                ControlFlow::Continue(())
            });
            let scan = Scan { filter, start: Start::Ordinal(0), limit: None };
            store.scan_values(&at, scan, sink).await.unwrap();
            let bare = |row: Seen| Seen { wkb: None, ..row };
            let whole: Vec<Seen> = whole.into_iter().map(bare).collect();
            assert_eq!(*seen.lock().unwrap(), whole);
        }
        // What an index selects in memory is what a scan shows.
        let all = store.reach(&at).await.unwrap();
        for wanted in [meets(&[0, 3]), within(&[0, 3]), meets(&[599])] {
            let found = all.select(&wanted).unwrap();
            let mut found: Vec<u64> = match at.version.live {
                None => found.iter().map(u64::from).collect(),
                // A table's index names rows by their id.
                Some(_) => {
                    found.iter().map(|o| all.ids[o as usize][1..].parse().unwrap()).collect()
                }
            };
            found.sort_unstable();
            assert_eq!(ordinals(&store, &at, selected(&wanted)).await, found);
        }
    });
}

fn differences(place: &Place) {
    let (store, id) = (place.open(), layer("points"));
    place.wait(async {
        let changes = |second: u32, base: Option<u32>, version: u32| {
            let name = |n: u32| format!("20260101T0000{n:02}Z-3f9a01c2").parse().unwrap();
            let list = vec![Change {
                kind: ChangeKind::Changed,
                id: format!("é\"{second}"),
                label: Some("Lille".into()),
                geometry: true,
                values: false,
                place: Default::default(),
                before: None,
            }];
            Changes {
                head: ChangesHead {
                    at: format!("2026-01-01T00:00:{second:02}.125Z").parse().unwrap(),
                    version: name(version),
                    base: base.map(name),
                    added: 0,
                    changed: 1,
                    removed: 0,
                    listed: 1,
                },
                communes: vec!["59350".into()],
                others: vec!["qpv:QN05901M".parse().unwrap()],
                list,
            }
        };
        assert!(store.history(&id).await.unwrap().is_empty());
        let writer = claim(&store, &id).await;
        for (number, base) in [(1, None), (2, Some(1))] {
            store.load(&writer, points(number, 5)).await.unwrap();
            store.load_changes(&writer, changes(number, base, number)).await.unwrap();
            let version = points(number, 5).version.id;
            store.publish(&writer, &version, &format!("r{number}")).await.unwrap();
        }
        // This one is written, and its writer dies before it publishes.
        store.load(&writer, points(3, 5)).await.unwrap();
        store.load_changes(&writer, changes(3, Some(2), 3)).await.unwrap();
        drop(writer);
        let writer = claim(&store, &id).await;
        assert_eq!(store.prune(&writer, 0).await.unwrap(), 1);
        let other = place.open();
        let history = other.history(&id).await.unwrap();
        assert_eq!(history, [changes(2, Some(1), 2).head, changes(1, None, 1).head]);
        for head in history {
            let whole = other.changes(&id, head.at).await.unwrap().unwrap();
            assert_eq!(whole.head, head);
            assert_eq!(whole.list[0].id, format!("é\"{}", head.at.strftime("%-S")));
            assert_eq!(whole.communes, ["59350"]);
        }
        let never = "2026-01-01T00:00:09Z".parse().unwrap();
        assert!(other.changes(&id, never).await.unwrap().is_none());
        assert!(other.history(&layer("autre")).await.unwrap().is_empty());
        // A hundred are kept.
        for n in 0..110i64 {
            let mut next = changes(1, Some(2), 3);
            next.head.at = Timestamp::from_second(1_800_000_000 + n).unwrap();
            next.head.base = Some("20250101T000000Z-00000000".parse().unwrap());
            store.load_changes(&writer, next).await.unwrap();
        }
        assert_eq!(store.history(&id).await.unwrap().len(), 1);
    });
}
