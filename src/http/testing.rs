//! A service over a small store in memory, to exercise routes without a socket.

use crate::{
    app::App,
    catalog::Snapshot,
    config::{
        BlobSettings, ExportSettings, HarvestSettings, ServerSettings, Settings, StoreKind,
        StoreSettings, TileServiceSettings,
    },
    error::{Error, Result},
    model::{
        BBox, Field, FieldKind, GeometryKind, Harvested, LayerDef, LayerId, Licence, Report,
        Schema, SourceDef, SourceLocation, Text, TileId, TileOptions, Value, ValueRef, Version,
        VersionId,
    },
    query::{Filter, Scan, Start},
    store::{At, Claim, NewVersion, Reach, Row, RowSink, ScanEnd, Store, TileFeatures},
    territory::{Carry, Reference},
};
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, header},
};
use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tower::ServiceExt;

/// How a store misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    Hanging,
    Broken,
    Panicking,
}

struct Feature {
    id: String,
    commune: &'static str,
    values: Vec<Value>,
}

/// Two layers: communes and mairies; a third is declared and never harvested.
pub struct Memory {
    /// Generation; also in the name of the versions, so that a publication can be played.
    pub generation: AtomicU64,
    /// Tiles asked for.
    pub tiles: Mutex<Vec<TileId>>,
    pub mood: Mood,
    /// Does not even tell its generation, as a database that is away.
    pub silent: AtomicBool,
}

const COMMUNES: [(&str, &str, i64); 5] = [
    ("59350", "Lille", 236_710),
    ("59512", "Roubaix", 98_828),
    ("59599", "Tourcoing", 98_656),
    ("62041", "Arras", 41_694),
    ("62160", "Boulogne-sur-Mer", 40_910),
];

fn features() -> Vec<Feature> {
    let values = |code: &str, name: &str, people| {
        vec![Value::Text(code.into()), Value::Text(name.into()), Value::Int(people), Value::Null]
    };
    let list = COMMUNES.iter();
    list.map(|(code, name, people)| Feature {
        id: (*code).to_owned(),
        commune: code,
        values: values(code, name, *people),
    })
    .collect()
}

impl Memory {
    pub fn new(mood: Mood) -> Arc<Self> {
        let (generation, silent) = (AtomicU64::new(1), AtomicBool::new(false));
        Arc::new(Self { generation, tiles: Mutex::default(), mood, silent })
    }

    async fn mind(&self) -> Result<()> {
        match self.mood {
            Mood::Well => Ok(()),
            Mood::Hanging => std::future::pending().await,
            Mood::Broken => Err(Error::broken("SELECT * FROM secret at /var/lib/store")),
            Mood::Panicking => panic!("a panic that a test asked for"),
        }
    }

    fn at(&self, layer: &LayerId) -> At {
        let stamp = format!("2026112{}T060312Z-3f9a01c2", self.generation.load(Ordering::Relaxed));
        let time = "2026-11-24T06:03:12Z".parse().unwrap();
        let version = Version {
            id: stamp.parse::<VersionId>().unwrap(),
            source: Harvested {
                path: "/var/lib/secret/communes.geojson".into(),
                name: "communes.geojson".into(),
                origin: "communes.geojson".into(),
                status: None,
                bytes: 1234,
                sha256: "ab".repeat(32),
                etag: None,
                modified: Some(time),
                fetched_at: time,
                checked_at: time,
                dataset: None,
                withdrawn: None,
            },
            options_hash: "0".into(),
            schema: schema(),
            count: COMMUNES.len() as u64,
            bbox: Some(BBox { west: 1.6, south: 50.2, east: 3.3, north: 50.8 }),
            key: Some("code".into()),
            max_zoom: 12,
            min_zoom: 0,
            report: Report { read: 5, kept: 5, ..Report::default() },
            temporal: None,
            thinning: None,
            drawing: None,
            classes: None,
            live: None,
        };
        At { layer: layer.clone(), version: Arc::new(version), reach: "a1b2".into() }
    }
}

fn schema() -> Schema {
    let field = |name: &str, kind| Field { name: name.into(), kind };
    Schema {
        fields: vec![
            field("code", FieldKind::Text),
            field("nom", FieldKind::Text),
            field("population", FieldKind::Int),
            field("été \"LINE_NUMB-SEG\"", FieldKind::Float),
        ],
        geometry: GeometryKind::Point,
    }
}

/// Little-endian WKB of a point.
fn wkb() -> Vec<u8> {
    let mut out = vec![1, 1, 0, 0, 0];
    out.extend_from_slice(&3.06f64.to_le_bytes());
    out.extend_from_slice(&50.63f64.to_le_bytes());
    out
}

fn matches(feature: &Feature, filter: &Filter) -> bool {
    let equal = filter.equals.iter().all(|e| feature.values.get(e.field) == Some(&e.value));
    let boxed = filter.bbox.is_none_or(|b| {
        let at = BBox { west: 3.06, south: 50.63, east: 3.06, north: 50.63 };
        b.parts().iter().any(|p| p.meets(&at))
    });
    let rank = match Reference::builtin().carry(feature.commune) {
        Carry::Current(rank) | Carry::Carried(rank) => Some(rank),
        Carry::Shared(_) | Carry::Unknown => None,
    };
    let selected = filter.selection.as_ref().is_none_or(|s| {
        s.any.iter().any(|clause| {
            let holds = |set: &Option<crate::model::RankSet>| {
                set.as_ref().is_none_or(|set| rank.is_some_and(|r| set.contains(r)))
            };
            holds(&clause.meets) && holds(&clause.within) && clause.others.is_empty()
        })
    });
    equal && boxed && selected
}

fn show(ordinal: u64, feature: &Feature, sink: &mut RowSink) -> ControlFlow<()> {
    let wkb = wkb();
    let values: Vec<ValueRef<'_>> = feature
        .values
        .iter()
        .map(|v| match v {
            Value::Text(t) => ValueRef::Text(t),
            Value::Int(i) => ValueRef::Int(*i),
            _ => ValueRef::Null,
        })
        .collect();
    sink(&Row { ordinal, id: &feature.id, values: &values, wkb: Some(&wkb) })
}

#[async_trait::async_trait]
impl Store for Memory {
    async fn current(&self) -> Result<BTreeMap<LayerId, At>> {
        let ids = ["communes", "mairies"].map(|id| id.parse::<LayerId>().unwrap());
        Ok(ids.into_iter().map(|id| (id.clone(), self.at(&id))).collect())
    }
    async fn generation(&self) -> Result<u64> {
        if self.silent.load(Ordering::Relaxed) {
            return Err(Error::Unavailable(crate::text!("absente", "away")));
        }
        Ok(self.generation.load(Ordering::Relaxed))
    }
    async fn versions(&self, layer: &LayerId) -> Result<Vec<Version>> {
        Ok(vec![self.at(layer).version.as_ref().clone()])
    }
    async fn scan(&self, _at: &At, scan: Scan, mut sink: RowSink) -> Result<ScanEnd> {
        self.mind().await?;
        let features = features();
        let all = features.iter().zip(0u64..).filter(|(f, _)| matches(f, &scan.filter));
        let mut matching: Vec<_> = match scan.start {
            Start::Ordinal(from) => all.filter(|(_, o)| *o >= from).collect(),
            Start::Offset(skip) => all.skip(skip as usize).collect(),
        };
        let limit = scan.limit.map_or(usize::MAX, |l| l as usize);
        let next = matching.get(limit).map(|(_, o)| *o);
        matching.truncate(limit);
        for (feature, ordinal) in &matching {
            let _ = show(*ordinal, feature, &mut sink);
        }
        Ok(ScanEnd { returned: matching.len() as u64, next })
    }
    async fn reach(&self, at: &At) -> Result<Reach> {
        let reference = Reference::builtin();
        let mut communes = vec![Vec::new(); reference.commune_count() as usize];
        let mut degree = Vec::new();
        for (feature, ordinal) in features().iter().zip(0u32..) {
            let rank = match reference.carry(feature.commune) {
                Carry::Current(rank) | Carry::Carried(rank) => Some(rank),
                Carry::Shared(_) | Carry::Unknown => None,
            };
            degree.push(u32::from(rank.is_some()));
            if let Some(rank) = rank {
                communes[rank as usize].push(ordinal);
            }
        }
        Ok(Reach { id: at.reach.clone(), communes, degree, ..Reach::default() })
    }
    async fn feature(&self, _at: &At, id: &str, mut sink: RowSink) -> Result<bool> {
        self.mind().await?;
        let features = features();
        let found = features.iter().zip(0u64..).find(|(f, _)| f.id == id);
        Ok(found.map(|(feature, ordinal)| show(ordinal, feature, &mut sink)).is_some())
    }
    async fn count(&self, _at: &At, filter: &Filter) -> Result<Option<u64>> {
        Ok(Some(features().iter().filter(|f| matches(f, filter)).count() as u64))
    }
    async fn tile_where(
        &self,
        _at: &At,
        tile: TileId,
        _buffer: u16,
        _filter: &Filter,
    ) -> Result<Option<TileFeatures>> {
        self.tiles.lock().unwrap().push(tile);
        Ok(None)
    }
    async fn claim(&self, _layer: &LayerId) -> Result<Option<Claim>> {
        Ok(None)
    }
    async fn load(&self, _claim: &Claim, _new: NewVersion) -> Result<()> {
        Ok(())
    }
    async fn load_reach(&self, _c: &Claim, _v: &VersionId, _reach: Reach) -> Result<()> {
        Ok(())
    }
    async fn publish(&self, _claim: &Claim, _version: &VersionId, _reach: &str) -> Result<()> {
        Ok(())
    }
    async fn prune(&self, _claim: &Claim, _keep: usize) -> Result<usize> {
        Ok(0)
    }
    async fn extent(
        &self,
        _: &At,
        _: &crate::model::Selection,
    ) -> Result<Option<crate::model::BBox>> {
        Ok(None)
    }

    async fn state(&self, _layer: &LayerId, _key: &str) -> Result<Option<At>> {
        Ok(None)
    }

    async fn touch(&self, _claim: &Claim, _seen: &crate::model::Harvested) -> Result<()> {
        Ok(())
    }
}

fn layer(id: &str, title: &str) -> LayerDef {
    LayerDef {
        id: id.parse().unwrap(),
        title: Text::new(title, format!("{title} (en)")),
        description: Text::same("Une <couche> & ses \"données\"."),
        producer: "IGN".into(),
        contact: Some("sig@example.fr".into()),
        licence: Licence { id: "lov2".into(), title: "Licence Ouverte 2.0".into(), url: None },
        attribution: "IGN 2025".into(),
        described_at: Some("2025-01-01".parse().unwrap()),
        published_at: None,
        page: None,
        key: Some("code".into()),
        label: Some("nom".into()),
        fields: Default::default(),
        source: SourceDef {
            location: SourceLocation::File("x.geojson".into()),
            format: None,
            crs: None,
            encoding: None,
            member: None,
            csv: Default::default(),
            max_bytes: 1,
            timeout: Duration::from_secs(1),
        },
        territory: Default::default(),
        time: None,
        tiles: TileOptions { min_zoom: 0, max_zoom: 12, ..TileOptions::default() },
        style: (id == "mairies").then(|| "points".into()),
        symbols: crate::model::Symbols::default(),
        max_age: (id == "mairies").then_some(Duration::from_secs(3600)),
        keep_versions: 3,
        hold: crate::model::HoldRules::default(),
        rows: None,
        schedule: None,
    }
}

pub fn settings() -> Settings {
    Settings {
        server: ServerSettings {
            listen: "127.0.0.1:8080".parse().unwrap(),
            admin_listen: None,
            admin_token: None,
            public_url: None,
            trusted_proxies: Vec::new(),
            title: Text::new("Référentiels", "Reference layers"),
            description: Text::new("Les couches.", "The layers."),
            max_connections: 16,
            request_timeout: Duration::from_secs(20),
            max_url: 32 * 1024,
            max_body: 1 << 20,
            max_table: 64 << 20,
            drain: Duration::from_secs(2),
            linger: Duration::from_millis(400),
            access_log: false,
        },
        store: StoreSettings { path: "store".into(), kind: StoreKind::Embedded, quota: None },
        tiles: TileServiceSettings {
            cache_bytes: 1 << 20,
            renderers: 2,
            waiting: 8,
            wait: Duration::from_secs(1),
            kept_zoom: 6,
            kept_bytes: 0,
        },
        harvest: HarvestSettings::default_in(std::path::Path::new("")),
        alerts: crate::config::AlertSettings::default(),
        blobs: BlobSettings { path: "blobs".into(), s3: None },
        exports: ExportSettings::default_in(&std::env::temp_dir().join("socle-http-tests")),
        styles: "no-such-folder".into(),
        levels: Vec::new(),
        cog: crate::config::CogSettings::default(),
        archives: Vec::new(),
        layers: vec![
            layer("communes", "Communes"),
            layer("mairies", "Mairies"),
            layer("zones", "Zones"),
        ],
    }
}

/// A service under test.
pub struct Site {
    pub app: Arc<App>,
    pub store: Arc<Memory>,
    pub router: Router,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Got {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }
    /// The address of the first link of a relation.
    pub fn link(&self, rel: &str) -> Option<String> {
        let json = self.json();
        let links = json["links"].as_array()?;
        let link = links.iter().find(|l| l["rel"] == rel)?;
        Some(link["href"].as_str()?.to_owned())
    }
}

impl Site {
    pub async fn new() -> Self {
        Self::with(settings(), Mood::Well).await
    }

    pub async fn with(settings: Settings, mood: Mood) -> Self {
        let store = Memory::new(mood);
        let app = Arc::new(App::new(settings, store.clone()).await.unwrap());
        Self { router: super::router(app.clone()), app, store }
    }

    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Got {
        let mut request = Request::builder().method(method).uri(target);
        if !headers.iter().any(|(n, _)| *n == "host") {
            request = request.header(header::HOST, "example.org:8080");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Got { status: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, target: &str) -> Got {
        self.send("GET", target, &[]).await
    }

    /// Plays a publication.
    pub async fn publish(&self) -> Arc<Snapshot> {
        self.store.generation.fetch_add(1, Ordering::Relaxed);
        self.app.refresh().await.unwrap();
        self.app.catalog.snapshot()
    }
}

/// Whether the territory table is there; says so when a test must do without.
pub fn has_reference(test: &str) -> bool {
    let has = Reference::builtin().commune_count() > 0;
    if !has {
        println!("{test}: skipped, no territory table is compiled in");
    }
    has
}
