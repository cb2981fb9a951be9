//! Figures of the national communes by EPCI, computed anew, in milliseconds.

use crate::{
    items,
    report::Report,
    site::{Site, best},
};
use socle::{
    catalog::Catalog,
    config::Settings,
    model::Level,
    query::Filter,
    stats::{FiguresQuery, Stats, parse_metrics},
    territory::Reference,
};

/// Measures. Each run has a service of its own: nothing is kept from the one before.
pub fn run(site: &Site, report: &mut Report) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (store, layer) = runtime.block_on(items::open(site));
    let settings = Settings::load(&site.path("socle.toml")).expect("settings");
    let catalog =
        runtime.block_on(Catalog::open(settings.layers, store.clone())).expect("a catalogue");
    let reference = Reference::builtin();
    let schema = &layer.at().expect("a version").version.schema;
    let number = schema
        .fields
        .iter()
        .find(|f| matches!(f.kind, socle::model::FieldKind::Int | socle::model::FieldKind::Float));
    let values = match number {
        Some(field) => format!("count,sum:{},distinct:nom", field.name),
        None => "count,distinct:nom".to_owned(),
    };
    for (name, metrics) in [("stats-epci-count", "count"), ("stats-epci-values", values.as_str())] {
        let seconds = best(5, || {
            let stats = Stats::new(store.clone());
            let query = FiguresQuery {
                by: Level::Epci,
                metrics: parse_metrics(metrics, schema).expect("measures"),
                filter: Filter::default(),
                outline: None,
                share: None,
            };
            let figures = runtime
                .block_on(stats.figures(&catalog.snapshot(), &layer, &reference, query))
                .expect("figures");
            assert_eq!(figures.total_distinct, site.count);
        });
        report.figure(name, seconds * 1e3, Some("<= 50"), "ms");
    }
}
