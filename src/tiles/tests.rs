use super::*;
use crate::{
    geometry::overview,
    model::{
        BBox, Field, FieldKind, GeometryKind, Harvested, LayerDef, LayerId, Licence, Report,
        Schema, SourceDef, SourceLocation, TerritoryBinding, Text, TileOptions, Version, VersionId,
    },
    query::{Filter, Scan, cql2},
    store::{Claim, NewVersion, Reach, RowSink, ScanEnd, TileFeature, TileFeatures},
    text,
};
use async_trait::async_trait;
use futures_util::FutureExt;
use std::{
    collections::BTreeMap,
    io::Read,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// Answers tiles only: one square per request, whose attribute is the selection it was asked
/// with, so that an answer tells for whom it was made.
#[derive(Default)]
struct Squares {
    asked: AtomicUsize,
    failing: AtomicBool,
    /// Requests wait for a permit of this, when there is one.
    hold: Option<tokio::sync::Semaphore>,
}

fn not_here<T>() -> Result<T> {
    Err(Error::broken("a store of tiles only"))
}

#[async_trait]
impl Store for Squares {
    async fn tile_where(
        &self,
        _at: &At,
        tile: TileId,
        _buffer: u16,
        filter: &Filter,
    ) -> Result<Option<TileFeatures>> {
        let selection = filter.selection.as_deref();
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(hold) = &self.hold {
            hold.acquire().await.unwrap().forget();
        }
        if self.failing.load(Ordering::SeqCst) {
            return Err(Error::Unavailable(text!("panne", "down")));
        }
        if tile.x == 0 {
            return Ok(None);
        }
        let [x, y] = [tile.x, tile.y].map(|c| c.cast_signed() * 4096);
        let ring = [[x, y], [x + 100, y], [x + 100, y + 100]];
        let mut bytes = Vec::new();
        overview::encode(overview::Kind::Polygons, std::iter::once(&ring[..]), &mut bytes);
        let geometry = 0..bytes.len();
        let name = selection.map_or("none", |s| s.key.as_str());
        crate::formats::mvt::push_tag(0, crate::model::ValueRef::Text(name), &mut bytes);
        let tags = geometry.end..bytes.len();
        let keys = Arc::new(["for".to_owned()]);
        let features = vec![TileFeature { id: 1, geometry, tags }];
        Ok(Some(TileFeatures { band: tile.z, keys, features, bytes }))
    }

    async fn current(&self) -> Result<BTreeMap<LayerId, At>> {
        not_here()
    }
    async fn generation(&self) -> Result<u64> {
        not_here()
    }
    async fn versions(&self, _: &LayerId) -> Result<Vec<Version>> {
        not_here()
    }
    async fn scan(&self, _: &At, _: Scan, _: RowSink) -> Result<ScanEnd> {
        not_here()
    }
    async fn feature(&self, _: &At, _: &str, _: RowSink) -> Result<bool> {
        not_here()
    }
    async fn count(&self, _: &At, _: &Filter) -> Result<Option<u64>> {
        not_here()
    }
    async fn claim(&self, _: &LayerId) -> Result<Option<Claim>> {
        not_here()
    }
    async fn load(&self, _: &Claim, _: NewVersion) -> Result<()> {
        not_here()
    }
    async fn load_reach(&self, _: &Claim, _: &VersionId, _: Reach) -> Result<()> {
        not_here()
    }
    async fn publish(&self, _: &Claim, _: &VersionId, _: &str) -> Result<()> {
        not_here()
    }
    async fn prune(&self, _: &Claim, _: usize) -> Result<usize> {
        not_here()
    }
    async fn extent(
        &self,
        _: &At,
        _: &crate::model::Selection,
    ) -> Result<Option<crate::model::BBox>> {
        Ok(None)
    }

    async fn state(&self, _: &LayerId, _: &str) -> Result<Option<At>> {
        Ok(None)
    }

    async fn touch(&self, _: &Claim, _: &crate::model::Harvested) -> Result<()> {
        not_here()
    }
}

fn definition() -> LayerDef {
    LayerDef {
        id: "communes".parse().unwrap(),
        title: Text::same("Communes"),
        description: text!("Les communes", "Communes"),
        producer: "IGN".into(),
        contact: None,
        licence: Licence { id: "lov2".into(), title: "Licence Ouverte 2.0".into(), url: None },
        attribution: "© IGN".into(),
        described_at: Some(jiff::civil::date(2018, 1, 1)),
        published_at: None,
        page: None,
        key: Some("code".into()),
        label: Some("nom".into()),
        fields: Default::default(),
        source: SourceDef {
            location: SourceLocation::File("communes.geojson".into()),
            format: None,
            crs: None,
            encoding: None,
            member: None,
            csv: Default::default(),
            max_bytes: 1,
            timeout: Duration::from_secs(1),
        },
        territory: TerritoryBinding::default(),
        time: None,
        tiles: TileOptions { min_zoom: 4, max_zoom: 14, ..TileOptions::default() },
        style: None,
        symbols: crate::model::Symbols::default(),
        max_age: None,
        keep_versions: 3,
        hold: crate::model::HoldRules::default(),
        rows: None,
        schedule: None,
    }
}

fn layer(id: &str, reach: &str) -> Layer {
    let second = jiff::Timestamp::UNIX_EPOCH;
    let version = Version {
        id: id.parse().unwrap(),
        source: Harvested {
            path: "communes.geojson".into(),
            name: "communes.geojson".into(),
            origin: "communes.geojson".into(),
            status: None,
            bytes: 1,
            sha256: String::new(),
            etag: None,
            modified: None,
            fetched_at: second,
            checked_at: second,
            dataset: None,
            withdrawn: None,
        },
        options_hash: String::new(),
        schema: Schema {
            fields: vec![
                Field { name: "code".into(), kind: FieldKind::Text },
                Field { name: "population".into(), kind: FieldKind::Int },
                Field { name: "littoral".into(), kind: FieldKind::Bool },
            ],
            geometry: GeometryKind::MultiPolygon,
        },
        count: 1,
        bbox: Some(BBox { west: -5.0, south: 42.0, east: 9.5, north: 51.1 }),
        key: Some("code".into()),
        max_zoom: 14,
        min_zoom: 4,
        report: Report::default(),
        temporal: None,
        thinning: None,
        drawing: None,
        classes: None,
        live: None,
    };
    let def = definition();
    let current =
        Some(At { layer: def.id.clone(), version: Arc::new(version), reach: reach.to_owned() });
    Layer { def, current, known: true, refused: None, withdrawn: None }
}

fn france() -> Layer {
    layer("20261124T060312Z-3f9a01c2", "r1")
}

fn service(store: Arc<Squares>, renderers: usize, waiting: usize, wait: Duration) -> Tiles {
    Tiles::new(store, TileSettings { cache_bytes: 1 << 20, renderers, waiting, wait })
}

fn roomy(store: &Arc<Squares>) -> Tiles {
    service(store.clone(), 4, 100, Duration::from_secs(5))
}

fn selection(key: &str) -> Arc<Selection> {
    Arc::new(Selection { key: key.into(), any: Vec::new() })
}

/// Paris.
const TILE: TileId = TileId::mercator(8, 129, 88);

/// For whom a tile was made.
fn made_for(tile: &Option<Arc<Tile>>) -> String {
    let tile = tile.as_ref().unwrap();
    let mut unzipped = Vec::new();
    flate2::read::GzDecoder::new(&tile.gzip[..]).read_to_end(&mut unzipped).unwrap();
    assert_eq!(unzipped, tile.plain);
    let layers = crate::formats::mvt::read(&tile.plain).unwrap();
    assert_eq!(layers[0].name, "communes");
    match &layers[0].values[0] {
        crate::formats::mvt::DecodedValue::Text(name) => name.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_for_one_tile_are_drawn_once() {
    let store =
        Arc::new(Squares { hold: Some(tokio::sync::Semaphore::new(0)), ..Squares::default() });
    let tiles = Arc::new(roomy(&store));
    let requests: Vec<_> = (0..50)
        .map(|_| {
            let tiles = tiles.clone();
            tokio::spawn(async move { tiles.tile(&france(), TILE, None).await.unwrap() })
        })
        .collect();
    while store.asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    store.hold.as_ref().unwrap().add_permits(50);
    for request in requests {
        assert_eq!(made_for(&request.await.unwrap()), "none");
    }
    assert_eq!(store.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_failure_is_told_to_all_and_kept_for_nobody() {
    let store = Arc::new(Squares::default());
    let tiles = roomy(&store);
    store.failing.store(true, Ordering::SeqCst);
    let layer = france();
    let (a, b) = tokio::join!(tiles.tile(&layer, TILE, None), tiles.tile(&layer, TILE, None));
    for result in [a, b] {
        assert!(matches!(result, Err(Error::Unavailable(_))));
    }
    store.failing.store(false, Ordering::SeqCst);
    assert_eq!(made_for(&tiles.tile(&layer, TILE, None).await.unwrap()), "none");
}

#[tokio::test]
async fn a_territory_never_gets_the_tile_of_another() {
    let store = Arc::new(Squares::default());
    let tiles = roomy(&store);
    let layer = france();
    let (nord, calais) = (selection("dep:59"), selection("dep:62"));
    for _ in 0..2 {
        for (asked, expected) in
            [(Some(&nord), "dep:59"), (None, "none"), (Some(&calais), "dep:62")]
        {
            let tile = tiles.tile(&layer, TILE, asked).await.unwrap();
            assert_eq!(made_for(&tile), expected);
        }
    }
    assert_eq!(store.asked.load(Ordering::SeqCst), 3, "the second round comes from the cache");
    // The empty filter is a filter: its tile is not that of everyone.
    assert_eq!(made_for(&tiles.tile(&layer, TILE, Some(&selection(""))).await.unwrap()), "");
}

#[tokio::test]
async fn another_version_or_reach_is_another_tile() {
    let store = Arc::new(Squares::default());
    let tiles = roomy(&store);
    let states = [
        ("20261124T060312Z-3f9a01c2", "r1"),
        ("20261124T060312Z-3f9a01c2", "r2"),
        ("20261125T060312Z-00000000", "r1"),
    ];
    let mut tags = std::collections::BTreeSet::new();
    for (version, reach) in states {
        let layer = layer(version, reach);
        tiles.tile(&layer, TILE, None).await.unwrap();
        let at = layer.at().unwrap();
        for selection in [None, Some(selection("")), Some(selection("dep:59"))] {
            for tile in [TILE, TileId { y: 89, ..TILE }, TileId { z: 9, ..TILE }] {
                let tag = Tiles::etag(at, tile, selection.as_ref());
                assert_eq!(tag, Tiles::etag(at, tile, selection.as_ref()));
                assert_eq!(tag.len(), 32);
                tags.insert(tag);
            }
        }
    }
    assert_eq!(store.asked.load(Ordering::SeqCst), 3);
    assert_eq!(tags.len(), 27);
}

#[tokio::test]
async fn empty_tiles_are_kept_and_outside_nothing_is_asked() {
    let store = Arc::new(Squares::default());
    let tiles = roomy(&store);
    let layer = france();
    for tile in [
        TileId::mercator(3, 4, 2),
        TileId::mercator(8, 10, 88),
        TileId::mercator(14, 0, 0),
        TileId::mercator(8, 129, 200),
    ] {
        assert!(tiles.tile(&layer, tile, None).await.unwrap().is_none());
    }
    assert_eq!(store.asked.load(Ordering::SeqCst), 0);
    let mut wide = france();
    let at = wide.current.as_mut().unwrap();
    Arc::get_mut(&mut at.version).unwrap().bbox =
        Some(BBox { west: 170.0, east: -170.0, ..BBox::WORLD });
    for _ in 0..3 {
        let tile = TileId::mercator(6, 0, 30);
        assert!(tiles.tile(&wide, tile, None).await.unwrap().is_none());
    }
    assert_eq!(store.asked.load(Ordering::SeqCst), 1, "beyond the antimeridian, once");
    assert!(tiles.tile(&wide, TileId::mercator(6, 32, 30), None).await.unwrap().is_none());
    assert_eq!(store.asked.load(Ordering::SeqCst), 1);
    let none = Layer { current: None, ..france() };
    assert!(matches!(tiles.tile(&none, TILE, None).await, Err(Error::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_at_once_are_turned_away() {
    let store =
        Arc::new(Squares { hold: Some(tokio::sync::Semaphore::new(0)), ..Squares::default() });
    let tiles = Arc::new(service(store.clone(), 1, 1, Duration::from_secs(30)));
    let ask = |y| {
        let tiles = tiles.clone();
        tokio::spawn(async move { tiles.tile(&france(), TileId { y, ..TILE }, None).await })
    };
    let first = ask(88);
    while store.asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    // One waits; of two more at least one is turned away at once.
    let (second, third) = (ask(89), ask(90));
    let (turned, waiting) = match futures_util::future::select(second, third).await {
        futures_util::future::Either::Left((turned, waiting))
        | futures_util::future::Either::Right((turned, waiting)) => (turned, waiting),
    };
    let Err(Error::Busy { retry_after }) = turned.unwrap() else { panic!("not turned away") };
    assert!(retry_after >= Duration::from_secs(1));
    store.hold.as_ref().unwrap().add_permits(10);
    assert!(first.await.unwrap().unwrap().is_some());
    assert!(waiting.await.unwrap().unwrap().is_some());
}

#[tokio::test]
async fn tiles_that_are_kept_do_not_wait_for_those_being_drawn() {
    let hold = tokio::sync::Semaphore::new(1);
    let store = Arc::new(Squares { hold: Some(hold), ..Squares::default() });
    let tiles = Arc::new(service(store.clone(), 1, 1, Duration::from_secs(30)));
    let layer = france();
    assert!(tiles.tile(&layer, TILE, None).await.unwrap().is_some());
    // The one renderer is taken, the one place to wait too.
    let ask = |y| {
        let tiles = tiles.clone();
        tokio::spawn(async move { tiles.tile(&france(), TileId { y, ..TILE }, None).await })
    };
    let drawing = [ask(89), ask(90)];
    let turned = loop {
        match tiles.tile(&layer, TileId { y: 91, ..TILE }, None).now_or_never() {
            Some(Err(Error::Busy { .. })) => break true,
            Some(_) => break false,
            None => tokio::task::yield_now().await,
        }
    };
    assert!(turned);
    for _ in 0..1_000 {
        let kept = tiles.tile(&layer, TILE, None).now_or_never();
        assert!(kept.expect("at once").unwrap().is_some());
    }
    store.hold.as_ref().unwrap().add_permits(10);
    for drawn in drawing {
        assert!(drawn.await.unwrap().unwrap().is_some());
    }
}

#[tokio::test]
async fn a_flood_of_tiles_and_filters_stays_within_the_cache() {
    let room = 64 << 10;
    let settings = TileSettings {
        cache_bytes: room,
        renderers: 4,
        waiting: 100,
        wait: Duration::from_secs(5),
    };
    let tiles = Tiles::new(Arc::new(Squares::default()), settings);
    let layer = france();
    // What people look at: asked again and again while the flood goes on.
    let useful: Vec<TileId> =
        (126..130).flat_map(|x| (86..91).map(move |y| TileId::mercator(8, x, y))).collect();
    for i in 0..400u32 {
        let selection = selection(&format!("com:{i:05}"));
        tiles.tile(&layer, TILE, Some(&selection)).await.unwrap();
        let tree = cql2::parse(cql2::Dialect::Text, &format!("population > {i}")).unwrap();
        let expression = cql2::check(&tree, &layer.at().unwrap().version.schema, &Plain).unwrap();
        let filter = Filter { expression: Some(Arc::new(expression)), ..Filter::default() };
        tiles.tile_where(&layer, TILE, &filter, None).await.unwrap();
        for tile in &useful {
            tiles.tile(&layer, *tile, None).await.unwrap();
        }
        if i % 100 == 99 {
            for cache in [&tiles.cache, &tiles.filtered] {
                cache.run_pending_tasks().await;
            }
            assert!(tiles.cached_bytes() <= room, "{}", tiles.cached_bytes());
        }
    }
    let filter = Filter::default();
    for tile in &useful {
        let lookup = Lookup::new(layer.at().unwrap(), *tile, &filter, None);
        assert!(tiles.cache.get(&lookup).await.is_some(), "{tile:?} was pushed out");
    }
}

#[tokio::test]
async fn no_one_waits_longer_than_allowed() {
    let store =
        Arc::new(Squares { hold: Some(tokio::sync::Semaphore::new(0)), ..Squares::default() });
    let tiles = service(store.clone(), 1, 10, Duration::from_millis(10));
    let layer = france();
    let first = tiles.tile(&layer, TILE, None);
    let second = async {
        let result = tiles.tile(&layer, TileId { y: 89, ..TILE }, None).await;
        store.hold.as_ref().unwrap().add_permits(10);
        result
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.unwrap().is_some());
    assert!(matches!(second, Err(Error::Busy { .. })));
    // Whoever was turned away may come again.
    assert!(tiles.tile(&layer, TileId { y: 89, ..TILE }, None).await.unwrap().is_some());
}

#[tokio::test]
async fn the_cache_is_weighed_in_bytes() {
    let store = Arc::new(Squares::default());
    let tiles = roomy(&store);
    let layer = france();
    let tile = tiles.tile(&layer, TILE, None).await.unwrap().unwrap();
    tiles.cache.run_pending_tasks().await;
    let bytes = (tile.plain.len() + tile.gzip.len()) as u64;
    assert!(tiles.cached_bytes() > bytes && tiles.cached_bytes() < bytes + 1000);
    // A cache of nothing still answers.
    let none = Tiles::new(
        store.clone(),
        TileSettings { cache_bytes: 0, renderers: 1, waiting: 1, wait: Duration::from_secs(1) },
    );
    for _ in 0..2 {
        assert!(none.tile(&layer, TILE, None).await.unwrap().is_some());
    }
}

#[test]
fn tilejson_says_what_a_client_needs() {
    let layer = france();
    let template = "https://sig.example.fr/socle/collections/communes/tiles/{z}/{x}/{y}.mvt";
    let json = tilejson(&layer, layer.at().unwrap(), template, "Communes — Nord");
    assert_eq!(
        json,
        serde_json::json!({
            "tilejson": "3.0.0",
            "tiles": [template],
            "scheme": "xyz",
            "name": "Communes — Nord",
            "description": "Les communes",
            "version": "20261124.60312.0",
            "attribution": "© IGN (état au 2018-01-01)",
            "bounds": [-5.0, 42.0, 9.5, 51.1],
            "center": [2.25, 46.55, 5],
            "minzoom": 4,
            "maxzoom": 14,
            "vector_layers": [{
                "id": "communes",
                "description": "Communes — Nord",
                "fields": { "code": "String", "population": "Number", "littoral": "Boolean" },
                "minzoom": 4,
                "maxzoom": 14
            }],
            "socle": { "version": "20261124T060312Z-3f9a01c2", "key": "code", "label": "nom" }
        })
    );
}

struct Plain;

impl cql2::Context for Plain {
    fn territory(&self, _: &str, _: crate::model::Mode) -> Result<Arc<crate::model::Selection>> {
        Err(Error::broken("no territory here"))
    }
    fn place(&self, g: geo_types::Geometry<f64>) -> Result<geo_types::Geometry<f64>> {
        Ok(g)
    }
    fn place_box(&self, _: [f64; 4]) -> Result<geo_types::Geometry<f64>> {
        Err(Error::broken("no box here"))
    }
}

#[tokio::test]
async fn any_number_of_filters_leaves_the_tiles_without_one_where_they_are() {
    let tiles = roomy(&Arc::new(Squares::default()));
    let layer = Arc::new(france());
    let parts =
        |filter: &Filter| [0, 1].map(|_| Part { layer: layer.clone(), filter: filter.clone() });
    assert!(tiles.together(&parts(&Filter::default()), TILE, None).await.unwrap().is_some());
    let schema = &layer.at().unwrap().version.schema;
    for i in 0..50 {
        let tree = cql2::parse(cql2::Dialect::Text, &format!("population > {i}")).unwrap();
        let expression = Some(Arc::new(cql2::check(&tree, schema, &Plain).unwrap()));
        let filter = Filter { expression, ..Filter::default() };
        assert!(tiles.together(&parts(&filter), TILE, None).await.unwrap().is_some());
    }
    for cache in [&tiles.together, &tiles.together_filtered] {
        cache.run_pending_tasks().await;
    }
    assert_eq!(tiles.together.entry_count(), 1);
    assert_eq!(tiles.together_filtered.entry_count(), 50);
}

/// Another process over the same shared files.
fn replica(store: &Arc<Squares>, folder: &std::path::Path, bytes: u64) -> Tiles {
    let settings = crate::config::BlobSettings { path: folder.to_path_buf(), s3: None };
    let blobs = Blobs::open(&settings).unwrap();
    roomy(store).keeping(blobs, KeptSettings { zoom: 6, bytes })
}

/// Tiles of France at a zoom.
fn over_france(z: u8) -> Vec<TileId> {
    let side = 1u32 << z;
    let all = (0..side).flat_map(|x| (0..side).map(move |y| TileId::mercator(z, x, y)));
    all.filter(|tile| meets(france().at().unwrap(), *tile, BUFFER)).collect()
}

#[tokio::test]
async fn kept_tiles_are_those_that_are_drawn_and_are_drawn_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Squares::default());
    let (first, layer) = (replica(&store, dir.path(), 1 << 20), france());
    let filled = first.keep(&layer, None, &crate::model::Silent).await.unwrap();
    assert_eq!((filled.zoom, filled.known), (Some(6), false));
    let drawn = store.asked.load(Ordering::SeqCst);
    // Another one, and one more time: there already.
    let second = replica(&store, dir.path(), 1 << 20);
    let again = second.keep(&layer, None, &crate::model::Silent).await.unwrap();
    assert_eq!((again.zoom, again.known, again.bytes), (Some(6), true, filled.bytes));
    let mut shown = 0;
    for tile in (4..=6).flat_map(over_france) {
        let (kept, fresh) = (
            second.tile(&layer, tile, None).await.unwrap(),
            roomy(&store).tile(&layer, tile, None).await.unwrap(),
        );
        let bytes =
            |tile: &Option<Arc<Tile>>| tile.as_ref().map(|t| (t.plain.clone(), t.gzip.clone()));
        assert_eq!(bytes(&kept), bytes(&fresh), "{tile:?}: one entity tag, two contents");
        shown += u64::from(kept.is_some());
    }
    assert_eq!(shown, filled.tiles);
    let own = (4..=6).map(|z| over_france(z).len()).sum::<usize>();
    assert_eq!(store.asked.load(Ordering::SeqCst), drawn + own, "only the fresh ones were drawn");
    // Deeper ones, those of a territory and those of another version are drawn.
    let lyon = TileId::mercator(7, 65, 45);
    second.tile(&layer, lyon, None).await.unwrap();
    let nord = selection("dep:59");
    let paris = TILE.ancestor(6);
    assert_eq!(made_for(&second.tile(&layer, paris, Some(&nord)).await.unwrap()), "dep:59");
    let next = self::layer("20261125T060312Z-00000000", "r1");
    second.tile(&next, paris, None).await.unwrap();
    assert_eq!(store.asked.load(Ordering::SeqCst), drawn + own + 3);
    // The way tiles are made is in the name as well.
    let mut other = france();
    other.def.tiles.buffer = Some(8);
    second.tile(&other, TileId::mercator(6, 33, 22), None).await.unwrap();
    assert!(!second.keep(&other, None, &crate::model::Silent).await.unwrap().known);
}

#[tokio::test]
async fn what_is_kept_is_bounded_and_swept() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Squares::default());
    let layer = france();
    let nothing = replica(&store, dir.path(), 0);
    assert_eq!(nothing.keep(&layer, None, &crate::model::Silent).await.unwrap().zoom, None);
    // Room for some zooms only: whole ones.
    let little = replica(&store, dir.path(), 24_000);
    let filled = little.keep(&layer, Some(10), &crate::model::Silent).await.unwrap();
    let zoom = filled.zoom.unwrap();
    assert!((4..10).contains(&zoom) && filled.bytes <= 24_000, "{filled:?}");
    let before = store.asked.load(Ordering::SeqCst);
    for tile in over_france(zoom) {
        little.tile(&layer, tile, None).await.unwrap();
    }
    assert_eq!(store.asked.load(Ordering::SeqCst), before);
    // Deeper on demand, in the place of what there was.
    let more = replica(&store, dir.path(), 1 << 20);
    let deeper = more.keep(&layer, Some(zoom + 1), &crate::model::Silent).await.unwrap();
    assert_eq!((deeper.zoom, deeper.known), (Some(zoom + 1), false));
    let files = || {
        let mut all = Vec::new();
        let mut folders = vec![dir.path().join("tiles")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path())
                } else {
                    all.push(entry.path())
                }
            }
        }
        all
    };
    assert_eq!(files().len(), 1, "{:?}", files());
    // What is current stays; the rest goes once nobody may be about to read it.
    assert_eq!(more.sweep_kept([&layer]).await.unwrap(), 0);
    let next = self::layer("20261125T060312Z-00000000", "r1");
    assert_eq!(more.sweep_kept([&next]).await.unwrap(), 0, "too young");
    let old = std::time::SystemTime::now() - Duration::from_secs(3600);
    let file = std::fs::File::options().write(true).open(&files()[0]).unwrap();
    file.set_modified(old).unwrap();
    assert_eq!(more.sweep_kept([&layer]).await.unwrap(), 0);
    assert_eq!(more.sweep_kept([&next]).await.unwrap(), 1);
    assert!(files().is_empty());
}

#[tokio::test]
async fn kept_tiles_that_cannot_be_read_are_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Squares::default());
    let layer = france();
    let first = replica(&store, dir.path(), 1 << 20);
    first.keep(&layer, None, &crate::model::Silent).await.unwrap();
    let folder = std::fs::read_dir(dir.path().join("tiles/communes")).unwrap().next().unwrap();
    let file = folder.unwrap().path().join("6.pmtiles");
    let whole = std::fs::read(&file).unwrap();
    let paris = TILE.ancestor(6);
    for bytes in [&b"no archive"[..], &whole[..whole.len() / 2], &[]] {
        std::fs::write(&file, bytes).unwrap();
        let tile = replica(&store, dir.path(), 1 << 20).tile(&layer, paris, None).await.unwrap();
        assert_eq!(made_for(&tile), "none");
    }
}
