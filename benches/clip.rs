//! The national communes cut at the border of every département, over `ogr2ogr -clipsrc` from the
//! GeoPackage of the same version, which has a spatial index as well. Ours is the whole answer:
//! border dissolved from its communes, features selected, cut and written as GeoJSON, nothing kept
//! from one département to the next. The yardstick is measured on a few and taken for all: it
//! takes seconds for each.

use crate::{
    items::open,
    report::Report,
    site::{Site, best, has_ogr2ogr, ogr2ogr},
};
use socle::{
    catalog::Outline,
    formats::geojson,
    items::{Form, Items, PageQuery, System, View},
    model::{Level, Mode, TerritoryCode},
    query::{Filter, Start},
    store::border::Borders,
    territory::Reference,
};
use std::sync::Arc;

/// Départements the yardstick is measured on: of the plain, of a coast, of mountains.
const MEASURED: [&str; 3] = ["59", "29", "38"];

/// Measures.
pub fn run(site: &Site, report: &mut Report) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (store, layer) = runtime.block_on(open(site));
    let (reference, at) = (Reference::builtin(), layer.at().expect("a version").clone());
    let codes = (1..=95).map(|n| format!("{n:02}")).chain(["2A".into(), "2B".into()]);
    let all: Vec<TerritoryCode> =
        codes.filter_map(|c| TerritoryCode::new(Level::Dep, &c).ok()).collect();
    let outline = |code: &TerritoryCode| -> Outline {
        let perimeter = reference.perimeter(std::slice::from_ref(code)).expect("a perimeter");
        Outline::new(&perimeter, std::iter::once((&layer.def, &at))).expect("an outline")
    };
    let (mut cut, mut features) = (0u32, 0);
    let ours = best(3, || {
        (cut, features) = (0, 0);
        for code in &all {
            let items = Items::new(store.clone());
            let selection = reference.select(std::slice::from_ref(code), Mode::Concerns);
            let selection = Some(Arc::new(selection.expect("a selection")));
            let filter = Filter { selection, ..Filter::default() };
            let query = PageQuery {
                filter,
                start: Start::Offset(0),
                limit: 10_000,
                system: System::default(),
                view: View::default(),
                form: Form::default(),
            };
            // A layer of one region has no border for the others.
            let Ok(page) = runtime.block_on(items.cut_page(&layer, query, &outline(code))) else {
                continue;
            };
            cut += 1;
            features += page.returned;
        }
    }) / f64::from(cut.max(1));
    println!("clip: {cut} départements, {features} features");
    let dissolved = best(3, || {
        for code in &all {
            let borders = Borders::new(store.clone());
            let _ = std::hint::black_box(runtime.block_on(borders.border(&outline(code), None)));
        }
    }) / f64::from(cut.max(1));
    report.figure("dissolve-departement", dissolved * 1e3, None, "ms");
    if !has_ogr2ogr() {
        report.figure("clip-departement", ours * 1e3, None, "ms");
        return report.left_out("clip-departement-over-ogr2ogr", "ogr2ogr is not installed");
    }
    let borders = Borders::new(store.clone());
    let (mut theirs, mut measured) = (0.0, 0u32);
    for code in MEASURED.iter().filter_map(|c| TerritoryCode::new(Level::Dep, c).ok()) {
        let Ok(border) = runtime.block_on(borders.border(&outline(&code), None)) else { continue };
        let mut wkb = Vec::new();
        for shape in border.shapes() {
            socle::formats::wkb::write(&shape.clone().into(), &mut wkb);
        }
        let mut text = br#"{"type":"Feature","properties":{},"geometry":"#.to_vec();
        geojson::write_geometry(&wkb, 9, &mut text).expect("a geometry");
        text.push(b'}');
        let (shape, out) = (site.path("border.geojson"), site.path("clipped.gpkg"));
        std::fs::write(&shape, text).expect("a file");
        let paths = [&out, &site.gpkg(), &shape].map(|p| p.to_str().expect("UTF-8").to_owned());
        theirs += best(1, || {
            let _ = std::fs::remove_file(&out);
            ogr2ogr(&["-f", "GPKG", &paths[0], &paths[1], "-clipsrc", &paths[2]], 1);
        });
        measured += 1;
    }
    let theirs = theirs / f64::from(measured.max(1));
    report.row("clip-departement-over-ogr2ogr", theirs / ours, Some(">= 15"), ours, theirs, "s");
}
