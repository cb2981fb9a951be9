//! The whole service over two small layers, in this process: what addresses, headers and bodies ask
//! of it. One per thread, made when first needed and removed with the thread.

use super::{filters, text};
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode, header},
};
use socle::{
    app::{App, reference},
    blobs::Blobs,
    config::Settings,
    geometry::crs::Crs,
    harvest::Harvester,
    http::{self, Span, params::Params},
    import::Importer,
    items::{Frame, System, View, read_xml},
    jobs::{Done, Jobs, Options},
    model::{FieldKind, LayerDef, Schema, Silent, VersionId},
    query::{self, Cursor, Filter, Scan, Sort, Start, cql2::Expression},
    store::{At, RowSink, Store, embedded::EmbeddedStore},
};
use std::{fmt::Write, ops::ControlFlow, path::Path, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// Most bytes of an answer that are looked at.
const LOOKED_AT: usize = 64 << 20;

const MAIN: &str = "territories.derived = []
[server]
title = \"Essai\"
access_log = false
[store]
path = \"store\"
";

const COMMUNES: &str = "id = \"communes\"
title = \"Communes\"
producer = \"Essai\"
licence = \"lov2\"
key = \"code\"
[source]
path = \"../communes.geojson\"
[territory]
level = \"com\"
column = \"code\"
borders = \"com\"
";

const LIEUX: &str = "id = \"lieux\"
title = \"Lieux\"
producer = \"Essai\"
licence = \"lov2\"
[source]
path = \"../lieux.gpkg\"
[territory]
level = \"com\"
column = \"code\"
[time]
column = \"jour\"
";

/// Communes that are drawn as squares.
const CODES: [&str; 4] = ["59350", "59512", "59599", "62041"];

struct Site {
    store: Arc<dyn Store>,
    lieux: At,
    def: LayerDef,
    router: Router,
    runtime: Runtime,
    _folder: TempDir,
}

thread_local! {
    static SITE: Site = Site::new();
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        write(folder.path());
        let settings = Settings::load(&folder.path().join("socle.toml")).expect("settings");
        let store = EmbeddedStore::open(&settings.store.path).expect("a store");
        let store: Arc<dyn Store> = Arc::new(store);
        let app = runtime.block_on(async {
            harvest(&settings, store.clone()).await;
            App::new(settings, store.clone()).await.expect("an application")
        });
        let snapshot = app.catalog.snapshot();
        let layer = snapshot.layer("lieux").expect("a layer");
        let (lieux, def) = (layer.at().expect("a version").clone(), layer.def.clone());
        assert_eq!(lieux.version.schema, filters::fields(), "the layer is the one filters are on");
        let router = http::router(Arc::new(app));
        Self { store, lieux, def, router, runtime, _folder: folder }
    }
}

fn write(folder: &Path) {
    let mut communes = String::new();
    for (code, at) in CODES.iter().zip(0..) {
        let (x, y) = (3.0 + f64::from(at % 2) * 0.1, 50.6 + f64::from(at / 2) * 0.1);
        let (east, north) = (x + 0.1, y + 0.1);
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(
            communes,
            r#"{comma}{{"type":"Feature","properties":{{"code":"{code}","nom":"C{at}","n":{at}}},"geometry":{{"type":"Polygon","coordinates":[[[{x},{y}],[{east},{y}],[{east},{north}],[{x},{north}],[{x},{y}]]]}}}}"#
        );
    }
    let communes = format!(r#"{{"type":"FeatureCollection","features":[{communes}]}}"#);
    std::fs::create_dir(folder.join("layers")).expect("layers/");
    for (name, bytes) in [
        ("socle.toml", MAIN.as_bytes()),
        ("layers/communes.toml", COMMUNES.as_bytes()),
        ("layers/lieux.toml", LIEUX.as_bytes()),
        ("communes.geojson", communes.as_bytes()),
        ("lieux.gpkg", include_bytes!("lieux.gpkg")),
    ] {
        std::fs::write(folder.join(name), bytes).expect(name);
    }
}

async fn harvest(settings: &Settings, store: Arc<dyn Store>) {
    let blobs = Blobs::open(&settings.blobs).expect("blobs");
    let reference = reference(settings).expect("a reference");
    let jobs = Jobs {
        layers: settings.layers.clone(),
        harvest: Harvester::new(settings.harvest.clone(), blobs),
        store,
        importer: Importer::new(reference, settings.harvest.limits).into(),
        troubles: Default::default(),
        unwritten: Default::default(),
        ended: Default::default(),
    };
    let runs = jobs.harvest(&[], Options::default(), Arc::new(Silent), |_| {}).await;
    for run in runs.expect("a harvest") {
        assert!(matches!(run.outcome, Ok(Done::Published(_))), "{run:?}");
    }
}

/// The schema of the layer that filters are tried on.
pub fn schema() -> Schema {
    filters::fields()
}

/// The layer that filters are tried on, as a file declares it.
pub fn lieux() -> LayerDef {
    SITE.with(|site| site.def.clone())
}

/// Selects features by a filter: SQLite has to take its statement.
pub fn select(expression: Expression) {
    use socle::error::Error;
    let filter = Filter { expression: Some(Arc::new(expression)), ..Filter::default() };
    let scan = Scan { filter, start: Start::Offset(0), limit: None };
    let found = SITE.with(|site| {
        let sink: RowSink = Box::new(|_| ControlFlow::Continue(()));
        site.runtime.block_on(site.store.scan(&site.lieux, scan, sink))
    });
    // A statement that is wrong is a fault; one that takes too much is refused.
    assert!(!matches!(found, Err(Error::Fault { .. })), "{found:?}");
}

/// Values of parameters, each by itself: boxes, times, systems, limits, cursors, orders, typed
/// values; and a whole query.
pub fn parameters(bytes: &[u8]) {
    let Some(value) = text(bytes) else { return };
    if let Ok(sides) = query::parse_bbox(value) {
        assert!(sides.south <= sides.north && sides.west.abs() <= 180.0, "{sides:?}");
    }
    let _ = query::bbox_numbers(value);
    let _ = query::parse_limit(value);
    let _ = Span::parse(value);
    let _ = Params::parse(Some(value));
    let _ = value.parse::<VersionId>();
    if let Ok(cursor) = Cursor::parse(value) {
        assert_eq!(Cursor::parse(&cursor.to_text()).expect("a cursor"), cursor);
    }
    let schema = schema();
    let _ = Sort::parse(value, &schema).map(|sort| sort.key());
    let _ = View::fields(value, &schema);
    for kind in
        [FieldKind::Bool, FieldKind::Int, FieldKind::Float, FieldKind::Date, FieldKind::DateTime]
    {
        let _ = query::typed_value("champ", kind, value);
    }
    // A system on the first line, a box on the second.
    let (system, sides) = value.split_once('\n').unwrap_or((value, "1,2,3,4"));
    let _ = Frame::parse(Some(system));
    if let Ok(system) = System::read("crs", system, None) {
        let _ = system.bbox(sides);
        let _ = system.with_x_first().bbox(sides);
    }
    if let (Ok(crs), Ok(numbers)) = (Crs::parse(system), query::bbox_numbers(sides)) {
        let _ = crs.envelope_to_crs84(numbers);
        let at = geo_types::Coord { x: numbers[0], y: numbers[1] };
        let _ = crs.point_to_crs84(at).map(|at| crs.point_from_crs84(at));
    }
}

/// A page of features: a parameter on each line.
pub fn items(bytes: &[u8]) {
    let Some(lines) = text(bytes) else { return };
    let mut target = "/collections/lieux/items?".to_owned();
    for (name, value) in lines.lines().filter_map(|line| line.split_once('=')) {
        target.push_str(&format!("&{}={}", escaped(name), escaped(value)));
    }
    send(Request::get(target), Body::empty());
}

/// A WFS request: a query string, a filter for a layer behind `F`, else a document.
pub fn wfs(bytes: &[u8]) {
    let Some(written) = text(bytes) else { return };
    if let Some(filter) = written.strip_prefix('F') {
        let filter = escaped(filter);
        let target = format!("/wfs?request=GetFeature&typenames=lieux&filter={filter}");
        send(Request::get(target), Body::empty());
    } else if written.trim_start().starts_with('<') {
        send(Request::post("/wfs"), Body::from(written.to_owned()));
    } else {
        send(Request::get(format!("/t/dep-59/wfs?{written}")), Body::empty());
    }
}

/// Any request, as it stands on the wire.
pub fn requests(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |b| *b == 0);
    let (Some(head), body) = (parts.next().and_then(text), parts.next().unwrap_or_default()) else {
        return;
    };
    let mut lines = head.lines();
    let Some((method, target)) = lines.next().and_then(|line| line.split_once(' ')) else { return };
    // Exports go on after their answer, and their files stay a day.
    let lasting = ["export", "kit.zip"].iter().any(|word| target.contains(word));
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return };
    if lasting && !target.contains("estimate") {
        return;
    }
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        request = request.header(name, value.trim());
    }
    send(request, Body::from(body.to_vec()));
}

/// A value as addresses carry it.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// Sends a request; what comes back is an answer, whole, and none of them a fault of ours.
fn send(request: axum::http::request::Builder, body: Body) {
    let Ok(request) = request.body(body) else { return };
    let shown = format!("{} {}", request.method(), request.uri());
    SITE.with(|site| {
        site.runtime.block_on(async {
            let answer = site.router.clone().oneshot(request).await;
            let answer = answer.expect("an answer");
            let status = answer.status();
            let media = answer.headers().get(header::CONTENT_TYPE);
            let media = media.and_then(|m| m.to_str().ok()).unwrap_or_default().to_owned();
            let encoded = answer.headers().contains_key(header::CONTENT_ENCODING);
            assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{shown}");
            let body = tokio::time::timeout(
                Duration::from_secs(20),
                to_bytes(answer.into_body(), LOOKED_AT),
            );
            let body = body.await.expect("in time").expect("whole");
            if encoded || body.is_empty() {
                return;
            }
            if media.contains("json") && !media.contains("seq") && !media.contains("ndjson") {
                let read = serde_json::from_slice::<serde_json::Value>(&body);
                assert!(read.is_ok(), "{shown}: {media}: {read:?}");
            }
            // Documents of thousands of elements are no requests, which is what the reader is for.
            if media.contains("xml") && !media.contains("html") && body.len() < 200_000 {
                let read = text(&body).map(read_xml);
                assert!(matches!(read, Some(Ok(_))), "{shown}: {read:?}");
            }
        });
    });
}
