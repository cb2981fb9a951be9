//! Pages of 1,000 features and whole-layer export as GeoJSON, in features per second over
//! `ogr2ogr` from the same GeoPackage, with equal decimals.

use crate::{
    report::Report,
    site::{Site, best, has_ogr2ogr, ogr2ogr},
};
use socle::{
    catalog::{Catalog, Layer},
    config::Settings,
    formats::geojson::FeatureWriter,
    items::{Form, Items, PageQuery, System, View},
    query::{Filter, Scan, Start},
    store::{Store, embedded::EmbeddedStore},
};
use std::{ops::ControlFlow, sync::Arc};

/// Opens the site's layer as the server does.
pub async fn open(site: &Site) -> (Arc<dyn Store>, Arc<Layer>) {
    open_layer(site, site.layer).await
}

/// Opens a layer of the site as the server does.
pub async fn open_layer(site: &Site, layer: &str) -> (Arc<dyn Store>, Arc<Layer>) {
    let settings = Settings::load(&site.path("socle.toml")).expect("settings");
    let store: Arc<dyn Store> =
        Arc::new(EmbeddedStore::open(&settings.store.path).expect("a store"));
    let catalog = Catalog::open(settings.layers, store.clone()).await.expect("a catalogue");
    let layer = catalog.snapshot().layer(layer).expect("the layer").clone();
    (store, layer)
}

/// Measures.
pub fn run(site: &Site, report: &mut Report) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (store, layer) = runtime.block_on(open(site));
    let items = Items::new(store.clone());
    let pages = site.count / 1_000;
    let paged = best(3, || {
        for page in 0..pages {
            let start = Start::Ordinal(page * 1_000);
            let query = PageQuery {
                filter: Filter::default(),
                start,
                limit: 1_000,
                system: System::default(),
                view: View::default(),
                form: Form::default(),
            };
            let page = runtime.block_on(items.page(&layer, query)).expect("a page");
            assert_eq!(page.returned, 1_000);
        }
    });
    let ours_page = pages as f64 * 1_000.0 / paged;
    let exported = best(3, || {
        let at = layer.at().expect("a version");
        let mut writer = FeatureWriter::new(&at.version.schema);
        let mut chunk = Vec::with_capacity(1 << 17);
        let sink = Box::new(move |row: &socle::store::Row<'_>| {
            writer.write(row.id, row.values, row.wkb, &mut chunk);
            if chunk.len() > 1 << 16 {
                std::hint::black_box(&chunk);
                chunk.clear();
            }
            ControlFlow::Continue(())
        });
        let scan = Scan { filter: Filter::default(), start: Start::Ordinal(0), limit: None };
        runtime.block_on(store.scan(at, scan, sink)).expect("a scan");
    });
    let ours_export = site.count as f64 / exported;
    if !has_ogr2ogr() {
        report.figure("page-1000-geojson", ours_page, None, "features/s");
        report.figure("export-geojson", ours_export, None, "features/s");
        return report.left_out("page and export over ogr2ogr", "ogr2ogr is not installed");
    }
    let gpkg = site.gpkg();
    let gpkg = gpkg.to_str().expect("UTF-8");
    let out = site.path("out.geojson");
    let seconds = best(2, || {
        let _ = std::fs::remove_file(&out);
        ogr2ogr(
            &[
                "-f",
                "GeoJSON",
                out.to_str().expect("UTF-8"),
                gpkg,
                "-lco",
                "COORDINATE_PRECISION=9",
            ],
            1,
        );
    });
    let theirs = site.count as f64 / seconds;
    report.row(
        "page-1000-geojson-over-ogr2ogr",
        ours_page / theirs,
        Some(">= 20"),
        ours_page,
        theirs,
        "features/s",
    );
    report.row(
        "export-geojson-over-ogr2ogr",
        ours_export / theirs,
        Some(">= 8"),
        ours_export,
        theirs,
        "features/s",
    );
}
