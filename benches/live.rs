//! Tiles of published tables, both ways: their rows read and encoded here, as Socle does, and
//! `ST_AsMVT` over the same table in the database. Tables as teams have them: in Lambert 93, a key,
//! a spatial index, nothing prepared. In process, one connection each, prepared statements, plain
//! bytes; geometric means over the committed tiles of each zoom.

use crate::{
    points::{self, TILES},
    postgis::{self, postgres},
    report::Report,
    site::{self, Site, best_within, has_ogr2ogr, ogr2ogr},
    versus::{Side, open_layer},
};
use socle::model::TileId;
use std::fs;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Statement};

/// Seconds spent on one tile by one side, at most, unless one drawing takes longer.
const PATIENCE: f64 = 1.0;

/// Measures.
pub fn run(report: &mut Report) {
    let Some(server) = postgres::shared() else {
        return report.left_out("live", "PostgreSQL with PostGIS is not installed");
    };
    if !has_ogr2ogr() {
        return report.left_out("live", "ogr2ogr is not installed");
    }
    let (communes, site) = (site::national(), points::site());
    let (url, target) = postgis::database(&site, server);
    let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let lambert = ["-t_srs", "EPSG:2154", "-lco", "GEOMETRY_NAME=geom", "-lco", "FID=gid"];
    let source = text(&communes.source);
    let mut args = postgis::into_postgis(&target, &source, "communes");
    args.extend(lambert.iter().chain(&["-nlt", "PROMOTE_TO_MULTI"]));
    ogr2ogr(&args, 1);
    let source = text(&site.source);
    let mut args = postgis::into_postgis(&target, &source, "points");
    args.extend(lambert.iter().chain(&points::PLACED).chain(&["-s_srs", "EPSG:4326"]));
    ogr2ogr(&args, 1);
    let main = fs::read_to_string(site.path("postgis.toml")).expect("postgis.toml");
    // Low zooms too, that would be left to a harvest otherwise.
    let tables = ["communes", "points"].map(|table| {
        format!(
            "[[tables]]\ntable = \"public.{table}\"\nid = \"live-{table}\"\nallow_slow = true\n"
        )
    });
    fs::write(site.path("live.toml"), format!("{main}{}", tables.concat())).expect("live.toml");
    let runtime = Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let (client, connection) =
        runtime.block_on(tokio_postgres::connect(&url, tokio_postgres::NoTls)).expect("connects");
    runtime.spawn(connection);
    runtime.block_on(client.batch_execute("ANALYZE")).expect("statistics");
    for (table, buffer) in [("communes", 64), ("points", 256)] {
        compare(&site, &runtime, &client, table, buffer, report);
    }
}

fn compare(
    site: &Site,
    runtime: &Runtime,
    client: &Client,
    table: &str,
    buffer: u16,
    report: &mut Report,
) {
    let layer = format!("live-{table}");
    let (store, layer) = runtime.block_on(open_layer(&site.path("live.toml"), &layer));
    let schema = &layer.at().expect("a revision").version.schema;
    let columns: Vec<String> = schema.fields.iter().map(|f| format!("\"{}\"", f.name)).collect();
    let sql = format!(
        "SELECT ST_AsMVT(t, '{table}', 4096, 'mvt') FROM (
           SELECT {}, ST_AsMVTGeom(ST_Transform(geom, 3857), ST_TileEnvelope($1, $2, $3), 4096, {buffer}) AS mvt
           FROM public.{table}
           WHERE geom && ST_Transform(ST_TileEnvelope($1, $2, $3, margin => {buffer}.0/4096), 2154)) t
         WHERE mvt IS NOT NULL",
        columns.join(", ")
    );
    let statement = runtime.block_on(client.prepare(&sql)).expect("a statement");
    let ours = Side { store, layer, buffer };
    for (z, list) in TILES {
        let (mut logs, mut bytes) = ([0.0; 2], [0usize; 2]);
        for (x, y) in *list {
            let id = TileId::new(*z, *x, *y).expect("a tile");
            bytes[0] += ours.draw(runtime, id);
            bytes[1] += asked(runtime, client, &statement, id);
            logs[0] += best_within(9, PATIENCE, || _ = ours.draw(runtime, id)).ln();
            let theirs = || _ = asked(runtime, client, &statement, id);
            logs[1] += best_within(9, PATIENCE, theirs).ln();
        }
        let n = list.len() as f64;
        let [ours, theirs] = logs.map(|log| (log / n).exp() * 1e3);
        let name = format!("live-{table}-tile-z{z}-over-asmvt");
        report.row(&name, theirs / ours, Some(">= 1"), ours, theirs, "ms");
        let [ours, theirs] = bytes.map(|b| b as f64 / n);
        report.row(
            &format!("live-{table}-tile-z{z}-bytes"),
            ours / theirs,
            None,
            ours,
            theirs,
            "bytes",
        );
    }
}

/// Bytes of a tile made by the database.
fn asked(runtime: &Runtime, client: &Client, statement: &Statement, id: TileId) -> usize {
    let (z, x, y) = (i32::from(id.z), id.x as i32, id.y as i32);
    let row = runtime.block_on(client.query_one(statement, &[&z, &x, &y]));
    row.expect("a tile").get::<_, &[u8]>(0).len()
}
