//! Whole layers as files, from the store to the disk by the road that `socle cut` and the server
//! take, in features per second over `ogr2ogr` from the same GeoPackage; the kit of a département;
//! and the memory of a whole program that writes a small part of a layer and all of it.

use crate::{
    items::open,
    report::Report,
    site::{Cost, Site, best, cost, has_ogr2ogr, ogr2ogr},
};
use socle::{
    blobs::Blobs,
    config::Settings,
    exports::{Exports, Options, Order, Part},
    geometry::crs::Crs,
    model::Silent,
    query::Filter,
    store::border::Borders,
};
use std::sync::Arc;

/// Measures.
pub fn run(site: &Site, report: &mut Report) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (store, layer) = runtime.block_on(open(site));
    let settings = Settings::load(&site.path("socle.toml")).expect("settings");
    let blobs = Blobs::open(&settings.blobs).expect("shared files");
    let borders = Arc::new(Borders::new(store.clone()));
    let exports = Exports::new(store, borders, blobs, settings.exports, settings.styles);
    for (id, driver, options, target) in [
        ("geojson", "GeoJSON", &["-lco", "COORDINATE_PRECISION=9"][..], ">= 8"),
        ("fgb", "FlatGeobuf", &[], ">= 1.5"),
        ("gpkg", "GPKG", &[], "-"),
    ] {
        let name = format!("export-{id}-file-over-ogr2ogr");
        let order = Order {
            parts: vec![Part { layer: layer.clone(), filter: Filter::default(), outline: None }],
            kind: Order::kind(id).expect("a format"),
            crs: Crs::crs84(),
            options: Options::default(),
            extent: None,
            vintage: 0,
            service: None,
        };
        let out = site.path(&format!("ours.{id}"));
        let ours = best(3, || {
            let written = exports.write(&order, &out, &Silent);
            let written = runtime.block_on(written).expect("an export");
            assert_eq!(written.rows, site.count);
        });
        let ours = site.count as f64 / ours;
        if !has_ogr2ogr() {
            report.left_out(&name, "ogr2ogr is not installed");
            continue;
        }
        let (from, to) = (site.gpkg(), site.path(&format!("theirs.{id}")));
        let [from, to] = [&from, &to].map(|p| p.to_str().expect("UTF-8").to_owned());
        let theirs = best(2, || {
            let _ = std::fs::remove_file(&to);
            ogr2ogr(&[&["-f", driver, to.as_str(), from.as_str()], options].concat(), 1);
        });
        let theirs = site.count as f64 / theirs;
        let target = (target != "-").then_some(target);
        report.row(&name, ours / theirs, target, ours, theirs, "features/s");
    }
    let part = cut(site, "gpkg", &["--territory", "dep:59"]);
    let kit = cut(site, "kit", &["--territory", "dep:59"]);
    report.figure("kit-departement", kit.seconds, None, "s");
    report.figure("kit-departement-memory", kit.peak_mib, None, "MiB");
    for format in ["gpkg", "geojson", "fgb"] {
        let whole = cut(site, format, &[]).peak_mib;
        let name = format!("export-{format}-memory-whole-over-departement");
        report.row(&name, whole / part.peak_mib, None, whole, part.peak_mib, "MiB");
    }
}

/// What `socle cut` takes, from its start to its end.
fn cut(site: &Site, format: &str, more: &[&str]) -> Cost {
    let out = site.path(&format!("cut.{format}"));
    let _ = std::fs::remove_file(&out);
    let out = out.to_str().expect("UTF-8").to_owned();
    let args = [&["cut", "communes", "--format", format, "-o", &out], more].concat();
    cost(site.command("socle.toml", &args))
}
