//! Harvest of the national communes, GeoJSON → current with reach index and overviews, over
//! `ogr2ogr` GeoJSON → GeoPackage of the same file.

use crate::{
    report::Report,
    site::{Site, best, has_ogr2ogr, ogr2ogr},
};

/// Measures.
pub fn run(site: &Site, report: &mut Report) {
    // Each run waits for the next second, so that two versions never share a name: that wait is
    // not the harvest's, and is slept away before the clock starts.
    let ours = best(3, || {
        site.socle(&["harvest", "communes", "--force"]);
    });
    // EPCI, EPT, arrondissements, départements and régions of all of France, by joining communes.
    let levels = site.levels_config();
    let with = best(2, || site.socle_with(levels, &["harvest", "communes", "--force"]));
    report.figure("derive-levels", with - ours, None, "s");
    if !has_ogr2ogr() {
        report.figure("harvest-communes", ours, None, "s");
        return report.left_out("harvest-communes-over-ogr2ogr", "ogr2ogr is not installed");
    }
    let out = site.path("ogr.gpkg");
    let theirs = crate::site::best(3, || {
        let _ = std::fs::remove_file(&out);
        ogr2ogr(
            &["-f", "GPKG", out.to_str().expect("UTF-8"), site.source.to_str().expect("UTF-8")],
            1,
        );
    });
    report.row("harvest-communes-over-ogr2ogr", ours / theirs, Some("<= 1.0"), ours, theirs, "s");
}
