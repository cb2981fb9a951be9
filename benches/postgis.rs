//! The PostGIS store: load over `ogr2ogr` to PostGIS, cold tiles over raw `ST_AsMVT` (geometry
//! transformed and cut on the fly) and over the baseline **B** of the design: `ST_AsMVT` on
//! stored, simplified, indexed web-mercator geometry. One connection, prepared statements, plain
//! bytes on all sides.

use crate::{
    cold::TILES,
    report::Report,
    site::{Site, best, has_ogr2ogr, ogr2ogr},
};
use socle::{
    catalog::Catalog,
    config::{Settings, StoreKind},
    model::TileId,
    store::{Store, postgis::PostgisStore},
    tiles::render,
};
use std::{fs, sync::Arc};

#[path = "../tests/support/postgres.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod postgres;

/// Metres of a pixel (1/256 of a tile) at zoom 0.
const PIXEL: f64 = 156_543.033_928;

/// Measures.
pub fn run(site: &Site, report: &mut Report) {
    let Some(server) = postgres::shared() else {
        return report.left_out("postgis", "PostgreSQL with PostGIS is not installed");
    };
    let database = server.database();
    let url = server.url(&database);
    fs::write(site.path("url"), &url).expect("an address");
    let config = "[server]\nadmin_listen = \"off\"\n[store]\nkind = \"postgis\"\nurl_file = \"url\"\nstatement_timeout_s = 600\n[harvest]\ncache = \"cache\"\n";
    fs::write(site.path("postgis.toml"), config).expect("postgis.toml");
    let ours = best(3, || site.socle_with("postgis.toml", &["harvest", "--force"]));
    if has_ogr2ogr() {
        let target = format!(
            "PG:host=127.0.0.1 port={} user={} dbname={database}",
            server.port,
            postgres::USER
        );
        let source = site.source.to_str().expect("UTF-8").to_owned();
        let theirs = best(3, || {
            let args = [
                "-f",
                "PostgreSQL",
                &target,
                &source,
                "-nln",
                "ogr",
                "-overwrite",
                "--config",
                "PG_USE_COPY",
                "YES",
                "-nlt",
                "PROMOTE_TO_MULTI",
            ];
            ogr2ogr(&args, 1);
        });
        report.row("postgis-load-over-ogr2ogr", ours / theirs, Some("<= 1.0"), ours, theirs, "s");
    } else {
        report.figure("postgis-load", ours, None, "s");
    }
    tiles(site, server, &database, report);
}

#[allow(clippy::too_many_lines, reason = "one measurement, told from beginning to end")]
fn tiles(site: &Site, server: &postgres::Postgres, database: &str, report: &mut Report) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let settings = Settings::load(&site.path("postgis.toml")).expect("settings");
    let StoreKind::Postgis(database_settings) = &settings.store.kind else { return };
    let _inside = runtime.enter();
    let store: Arc<dyn Store> = Arc::new(PostgisStore::open(database_settings).expect("a store"));
    let catalog = runtime.block_on(Catalog::open(settings.layers, store.clone()));
    let layer =
        catalog.expect("a catalogue").snapshot().layer("communes").expect("communes").clone();
    let at = layer.at().expect("a version").clone();
    let (client, connection) = runtime
        .block_on(tokio_postgres::connect(&server.url(database), tokio_postgres::NoTls))
        .expect("connects");
    runtime.spawn(connection);
    // All columns of the layer, under their own names.
    let columns: Vec<String> =
        at.version.schema.fields.iter().map(|f| format!("\"{}\"", f.name)).collect();
    let columns = columns.join(", ");
    let raw_sql = format!(
        "SELECT ST_AsMVT(t, 'communes', 4096, 'mvt') FROM (
           SELECT {columns}, ST_AsMVTGeom(ST_Transform(geom, 3857), ST_TileEnvelope($1, $2, $3), 4096, 64) AS mvt
           FROM socle.communes
           WHERE geom && ST_Transform(ST_TileEnvelope($1, $2, $3, margin => 64.0/4096), 4326)) t
         WHERE mvt IS NOT NULL"
    );
    let raw = runtime.block_on(client.prepare(&raw_sql)).expect("raw");
    let (mut raw_log, mut ours_log, mut n) = (0.0, 0.0, 0.0);
    let (mut raw_low, mut ours_low, mut low) = (0.0, 0.0, 0.0);
    for (z, list) in TILES {
        let table = format!("public.b{z}");
        let tolerance = PIXEL / f64::from(1u32 << z);
        runtime
            .block_on(client.batch_execute(&format!(
                "DROP TABLE IF EXISTS {table};
                 CREATE TABLE {table} AS SELECT {columns},
                   ST_SimplifyPreserveTopology(ST_Transform(geom, 3857), {tolerance}) AS geom
                   FROM socle.communes ORDER BY ST_Transform(geom, 3857);
                 CREATE INDEX ON {table} USING gist (geom); ANALYZE {table};"
            )))
            .expect("the baseline's table");
        let b_sql = format!(
            "SELECT ST_AsMVT(t, 'communes', 4096, 'mvt') FROM (
               SELECT {columns}, ST_AsMVTGeom(geom, ST_TileEnvelope($1, $2, $3), 4096, 64) AS mvt
               FROM {table} WHERE geom && ST_TileEnvelope($1, $2, $3, margin => 64.0/4096)) t
             WHERE mvt IS NOT NULL"
        );
        let b = runtime.block_on(client.prepare(&b_sql)).expect("B");
        let theirs = |statement: &tokio_postgres::Statement, id: TileId| {
            let (z, x, y) = (i32::from(id.z), id.x as i32, id.y as i32);
            let row = runtime.block_on(client.query_one(statement, &[&z, &x, &y])).expect("a tile");
            row.get::<_, &[u8]>(0).len()
        };
        let ours = |id: TileId| {
            let features = runtime.block_on(store.tile(&at, id, 64, None)).expect("a tile");
            features
                .map_or(0, |f| render(&f, id, "communes", 64).expect("MVT").map_or(0, |t| t.len()))
        };
        let (mut o, mut bb, mut r, mut read) = (0.0, 0.0, 0.0, 0.0);
        let (mut o_bytes, mut b_bytes) = (0, 0);
        for (x, y) in *list {
            let id = TileId::new(*z, *x, *y).expect("a tile");
            o_bytes += ours(id);
            b_bytes += theirs(&b, id);
            theirs(&raw, id);
            o += best(9, || {
                ours(id);
            })
            .ln();
            read += best(9, || {
                let _ = runtime.block_on(store.tile(&at, id, 64, None));
            })
            .ln();
            bb += best(9, || {
                theirs(&b, id);
            })
            .ln();
            r += best(3, || {
                theirs(&raw, id);
            })
            .ln();
        }
        let len = list.len() as f64;
        (raw_log, ours_log, n) = (raw_log + r, ours_log + o, n + len);
        if *z <= 8 {
            (raw_low, ours_low, low) = (raw_low + r, ours_low + o, low + len);
        }
        let ms = |sum: f64| (sum / len).exp() * 1e3;
        report.row(
            &format!("postgis-cold-tile-z{z}-over-B"),
            ms(bb) / ms(o),
            Some(">= 1.2"),
            ms(o),
            ms(bb),
            "ms",
        );
        report.row(
            &format!("postgis-cold-tile-z{z}-over-raw"),
            ms(r) / ms(o),
            None,
            ms(o),
            ms(r),
            "ms",
        );
        report.figure(&format!("postgis-cold-tile-z{z}-read"), ms(read), None, "ms");
        report.row(
            &format!("postgis-cold-tile-z{z}-bytes"),
            o_bytes as f64 / f64::from(b_bytes as u32),
            None,
            o_bytes as f64 / len,
            b_bytes as f64 / len,
            "bytes",
        );
    }
    let mean = |sum: f64, n: f64| (sum / n).exp() * 1e3;
    let (o, r) = (mean(ours_log, n), mean(raw_log, n));
    report.row("postgis-cold-tile-over-raw", r / o, Some(">= 4"), o, r, "ms");
    let (o, r) = (mean(ours_low, low), mean(raw_low, low));
    report.row("postgis-cold-tile-low-over-raw", r / o, Some(">= 8"), o, r, "ms");
}
