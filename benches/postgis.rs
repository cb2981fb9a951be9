//! The PostGIS store: load over `ogr2ogr` to PostGIS, then cold tiles beside PostGIS alone
//! ([`crate::versus`]).

use crate::{
    cold::TILES,
    report::Report,
    site::{Site, best, has_ogr2ogr, ogr2ogr},
    versus,
};
use std::fs;

#[path = "../tests/support/finish.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod finish;
#[path = "../tests/support/postgres.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
pub mod postgres;

/// A new database of the private server, named by the site's `postgis.toml`; its address and what
/// GDAL calls it.
pub fn database(site: &Site, server: &postgres::Postgres) -> (String, String) {
    let database = server.database();
    let url = server.url(&database);
    fs::write(site.path("url"), &url).expect("an address");
    let config = "[server]\nadmin_listen = \"off\"\n[store]\nkind = \"postgis\"\nurl_file = \"url\"\nstatement_timeout_s = 600\n[harvest]\ncache = \"cache\"\n";
    fs::write(site.path("postgis.toml"), config).expect("postgis.toml");
    let (port, user) = (server.port, postgres::USER);
    (url, format!("PG:host=127.0.0.1 port={port} user={user} dbname={database}"))
}

/// How `ogr2ogr` loads fastest into PostGIS.
pub fn into_postgis<'a>(target: &'a str, source: &'a str, table: &'a str) -> Vec<&'a str> {
    let copy = ["-f", "PostgreSQL", target, source, "-nln", table, "-overwrite"];
    copy.into_iter().chain(["--config", "PG_USE_COPY", "YES"]).collect()
}

/// Measures.
pub fn run(site: &Site, report: &mut Report) {
    let Some(server) = postgres::shared() else {
        return report.left_out("postgis", "PostgreSQL with PostGIS is not installed");
    };
    let (url, target) = database(site, server);
    let ours = best(3, || site.socle_with("postgis.toml", &["harvest", "--force"]));
    if has_ogr2ogr() {
        let source = site.source.to_str().expect("UTF-8").to_owned();
        let mut args = into_postgis(&target, &source, "ogr");
        args.extend(["-nlt", "PROMOTE_TO_MULTI"]);
        let theirs = ogr2ogr(&args, 3);
        report.row("postgis-load-over-ogr2ogr", ours / theirs, Some("<= 1.0"), ours, theirs, "s");
    } else {
        report.figure("postgis-load", ours, None, "s");
    }
    versus::run(site, &url, TILES, report);
}
