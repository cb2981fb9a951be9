//! Cold tiles of both stores beside PostGIS alone: raw `ST_AsMVT` (geometry transformed and cut
//! on the fly) and the baseline **B** of the design, `ST_AsMVT` on stored, simplified, indexed
//! web-mercator geometry. In process, one connection, prepared statements, plain bytes on all
//! sides; geometric means over the committed tiles of each zoom.

use crate::{
    items,
    report::Report,
    site::{Site, best_within},
};
use socle::{
    catalog::{Catalog, Layer},
    config::{Settings, StoreKind},
    model::{GeometryKind, TileId},
    store::{Store, postgis::PostgisStore},
    tiles::render,
};
use std::{collections::BTreeMap, path::Path, sync::Arc};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Statement};

/// Metres of a pixel (1/256 of a tile) at zoom 0.
const PIXEL: f64 = 156_543.033_928;
/// Seconds spent on one tile by one side, at most, unless one drawing takes longer.
const PATIENCE: f64 = 1.0;

/// Tiles per zoom.
pub type Bands = [(u8, &'static [(u32, u32)])];

/// Opens the site's layer over PostGIS as the server does.
async fn open(site: &Site) -> (Arc<dyn Store>, Arc<Layer>) {
    open_layer(&site.path("postgis.toml"), site.layer).await
}

/// A layer over PostGIS by a configuration.
pub async fn open_layer(config: &Path, layer: &str) -> (Arc<dyn Store>, Arc<Layer>) {
    let settings = Settings::load(config).expect("settings");
    let StoreKind::Postgis(database) = &settings.store.kind else { panic!("not PostGIS") };
    let store: Arc<dyn Store> = Arc::new(PostgisStore::open(database).expect("a store"));
    let catalog = Catalog::open(settings.layers, store.clone()).await.expect("a catalogue");
    let layer = catalog.snapshot().layer(layer).expect("the layer").clone();
    (store, layer)
}

/// A store with its layer.
pub struct Side {
    pub store: Arc<dyn Store>,
    pub layer: Arc<Layer>,
    pub buffer: u16,
}

impl Side {
    /// Bytes of a tile, read and drawn.
    pub fn draw(&self, runtime: &Runtime, id: TileId) -> usize {
        let at = self.layer.at().expect("a version");
        let found = runtime.block_on(self.store.tile(at, id, self.buffer, None)).expect("a tile");
        let drawn = found.map(|f| render(&f, id, at.layer.as_str(), self.buffer).expect("MVT"));
        drawn.flatten().map_or(0, |t| t.len())
    }

    fn read(&self, runtime: &Runtime, id: TileId) {
        let at = self.layer.at().expect("a version");
        let _ = runtime.block_on(self.store.tile(at, id, self.buffer, None));
    }
}

/// PostGIS alone.
pub struct Alone {
    client: Client,
    /// All columns of the layer, under their own names.
    columns: String,
    layer: &'static str,
    points: bool,
    buffer: u16,
}

impl Alone {
    /// The statement of raw `ST_AsMVT`; `$1`, `$2`, `$3` are z, x, y.
    pub fn raw(layer: &str, columns: &str, buffer: u16) -> String {
        format!(
            "SELECT ST_AsMVT(t, '{layer}', 4096, 'mvt') FROM (
               SELECT {columns}, ST_AsMVTGeom(ST_Transform(geom, 3857), ST_TileEnvelope($1, $2, $3), 4096, {buffer}) AS mvt
               FROM socle.{layer}
               WHERE geom && ST_Transform(ST_TileEnvelope($1, $2, $3, margin => {buffer}.0/4096), 4326)) t
             WHERE mvt IS NOT NULL"
        )
    }

    /// Makes the table of **B** for a zoom, and its statement. Points are the same at all zooms.
    fn baseline(&self, runtime: &Runtime, z: u8) -> Statement {
        let (layer, columns, buffer) = (self.layer, &self.columns, self.buffer);
        let (table, geometry) = if self.points {
            (format!("public.b_{layer}"), "ST_Transform(geom, 3857)".to_owned())
        } else {
            let tolerance = PIXEL / f64::from(1u32 << z);
            let table = format!("public.b_{layer}_{z}");
            let simple =
                format!("ST_SimplifyPreserveTopology(ST_Transform(geom, 3857), {tolerance})");
            (table, simple)
        };
        let make = format!(
            "CREATE TABLE IF NOT EXISTS {table} AS SELECT {columns}, {geometry} AS geom
               FROM socle.{layer} ORDER BY ST_Transform(geom, 3857);
             CREATE INDEX IF NOT EXISTS b_{layer}_{z}_geom ON {table} USING gist (geom); ANALYZE {table};"
        );
        if !self.points || z == 6 {
            runtime.block_on(self.client.batch_execute(&make)).expect("the baseline's table");
        }
        let sql = format!(
            "SELECT ST_AsMVT(t, '{layer}', 4096, 'mvt') FROM (
               SELECT {columns}, ST_AsMVTGeom(geom, ST_TileEnvelope($1, $2, $3), 4096, {buffer}) AS mvt
               FROM {table} WHERE geom && ST_TileEnvelope($1, $2, $3, margin => {buffer}.0/4096)) t
             WHERE mvt IS NOT NULL"
        );
        runtime.block_on(self.client.prepare(&sql)).expect("B")
    }

    fn draw(&self, runtime: &Runtime, statement: &Statement, id: TileId) -> usize {
        let (z, x, y) = (i32::from(id.z), id.x as i32, id.y as i32);
        let row = runtime.block_on(self.client.query_one(statement, &[&z, &x, &y]));
        row.expect("a tile").get::<_, &[u8]>(0).len()
    }
}

/// Logarithms of seconds, summed, by what they are the time of.
#[derive(Default)]
struct Sums(BTreeMap<&'static str, f64>);

impl Sums {
    fn add(&mut self, what: &'static str, seconds: f64) {
        *self.0.entry(what).or_default() += seconds.ln();
    }

    /// Geometric mean in milliseconds.
    fn ms(&self, what: &str, tiles: f64) -> f64 {
        (self.0.get(what).copied().unwrap_or_default() / tiles).exp() * 1e3
    }
}

/// Measures the layer of a site whose `postgis.toml` names the database at `url`, loaded, and
/// whose files are loaded too.
pub fn run(site: &Site, url: &str, bands: &Bands, report: &mut Report) {
    let runtime = Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let (store, layer) = runtime.block_on(open(site));
    let (files, filed) = runtime.block_on(items::open(site));
    let schema = &layer.at().expect("a version").version.schema;
    let points = matches!(schema.geometry, GeometryKind::Point | GeometryKind::MultiPoint);
    let buffer = if points { 256 } else { 64 };
    let columns: Vec<String> = schema.fields.iter().map(|f| format!("\"{}\"", f.name)).collect();
    let (client, connection) =
        runtime.block_on(tokio_postgres::connect(url, tokio_postgres::NoTls)).expect("connects");
    runtime.spawn(connection);
    let alone = Alone { client, columns: columns.join(", "), layer: site.layer, points, buffer };
    let raw = Alone::raw(site.layer, &alone.columns, buffer);
    let raw = runtime.block_on(alone.client.prepare(&raw)).expect("raw");
    let ours = Side { store, layer, buffer };
    let embedded = Side { store: files, layer: filed, buffer };
    // The communes' rows have the names they always had.
    let of = if site.layer == "communes" { String::new() } else { format!("{}-", site.layer) };
    let (mut all, mut low, mut counts) = (Sums::default(), Sums::default(), (0.0, 0.0));
    for (z, list) in bands {
        let baseline = alone.baseline(&runtime, *z);
        let mut sums = Sums::default();
        let (mut o_bytes, mut b_bytes) = (0, 0);
        for (x, y) in *list {
            let id = TileId::new(*z, *x, *y).expect("a tile");
            o_bytes += ours.draw(&runtime, id);
            b_bytes += alone.draw(&runtime, &baseline, id);
            alone.draw(&runtime, &raw, id);
            let time = |work: &dyn Fn()| best_within(9, PATIENCE, work);
            let seconds = [
                ("ours", time(&|| _ = ours.draw(&runtime, id))),
                ("B", time(&|| _ = alone.draw(&runtime, &baseline, id))),
                ("embedded", time(&|| _ = embedded.draw(&runtime, id))),
                ("read", time(&|| ours.read(&runtime, id))),
                ("raw", best_within(3, PATIENCE, || _ = alone.draw(&runtime, &raw, id))),
            ];
            for (what, seconds) in seconds {
                sums.add(what, seconds);
                all.add(what, seconds);
                if *z <= 8 {
                    low.add(what, seconds);
                }
            }
        }
        let n = list.len() as f64;
        counts = (counts.0 + n, counts.1 + if *z <= 8 { n } else { 0.0 });
        let mut ratio = |name: String, theirs: &str, ours: &str, target: Option<&str>| {
            let (ours, theirs) = (sums.ms(ours, n), sums.ms(theirs, n));
            report.row(&name, theirs / ours, target, ours, theirs, "ms");
        };
        ratio(format!("{of}cold-tile-z{z}-over-B"), "B", "embedded", Some(">= 8"));
        ratio(format!("postgis-{of}cold-tile-z{z}-over-B"), "B", "ours", Some(">= 1.2"));
        ratio(format!("postgis-{of}cold-tile-z{z}-over-raw"), "raw", "ours", None);
        report.figure(&format!("postgis-{of}cold-tile-z{z}-read"), sums.ms("read", n), None, "ms");
        report.row(
            &format!("postgis-{of}cold-tile-z{z}-bytes"),
            o_bytes as f64 / f64::from(b_bytes as u32),
            None,
            o_bytes as f64 / n,
            b_bytes as f64 / n,
            "bytes",
        );
    }
    let mut ratio = |name: &str, sums: &Sums, n: f64, target: &str| {
        let (o, r) = (sums.ms("ours", n), sums.ms("raw", n));
        report.row(&format!("postgis-{of}{name}"), r / o, Some(target), o, r, "ms");
    };
    ratio("cold-tile-over-raw", &all, counts.0, ">= 4");
    ratio("cold-tile-low-over-raw", &low, counts.1, ">= 8");
}
