//! The table of contents: every address and the handler that answers it.
//!
//! Everything is also served under `/t/{scope}/`, which [`super::access`] takes off the path
//! before it gets here.

use super::{
    Site, access, admin, alerts, assets, changes, collections, dataset_tiles, exports, feed,
    filter, harvest, health, history, items, landing, openapi, orders, problem::Failure, resolve,
    schema, stats, styles, table, territories, tiles, tilesets, versions, wfs,
};
use crate::app::App;
use axum::{
    Router,
    extract::Request,
    routing::{get, post},
};
use std::sync::{Arc, LazyLock};

/// Addresses, as the router, the API definition, the metrics and 404 answers know them.
pub mod path {
    /// Landing page.
    pub const LANDING: &str = "/";
    /// Conformance declaration.
    pub const CONFORMANCE: &str = "/conformance";
    /// Functions of filters.
    pub const FUNCTIONS: &str = "/functions";
    /// API definition.
    pub const API: &str = "/api";
    /// Layers.
    pub const COLLECTIONS: &str = "/collections";
    /// One layer.
    pub const COLLECTION: &str = "/collections/{id}";
    /// Its features.
    pub const ITEMS: &str = "/collections/{id}/items";
    /// One feature.
    pub const ITEM: &str = "/collections/{id}/items/{fid}";
    /// What may be filtered by.
    pub const QUERYABLES: &str = "/collections/{id}/queryables";
    /// Fields.
    pub const SCHEMA: &str = "/collections/{id}/schema";
    /// What its features may be sorted by.
    pub const SORTABLES: &str = "/collections/{id}/sortables";
    /// Figures by territory.
    pub const STATS: &str = "/collections/{id}/stats";
    /// Tilesets of a layer.
    pub const TILESETS: &str = "/collections/{id}/tiles";
    /// One tileset.
    pub const TILESET: &str = "/collections/{id}/tiles/{tms}";
    /// A tile in OGC order: matrix, row, column.
    pub const TILE: &str = "/collections/{id}/tiles/{tms}/{z}/{row}/{col}";
    /// A tile in XYZ order; `{y}` ends in `.mvt` or `.pbf`.
    pub const TILE_XYZ: &str = "/collections/{id}/tiles/{z}/{x}/{y}";
    /// TileJSON.
    pub const TILEJSON: &str = "/collections/{id}/tilejson.json";
    /// Tilesets of several layers.
    pub const DATASET_TILESETS: &str = "/tiles";
    /// One of them.
    pub const DATASET_TILESET: &str = "/tiles/{tms}";
    /// A tile of several layers in OGC order.
    pub const DATASET_TILE: &str = "/tiles/{tms}/{z}/{row}/{col}";
    /// The same in XYZ order.
    pub const DATASET_TILE_XYZ: &str = "/tiles/{z}/{x}/{y}";
    /// TileJSON of several layers.
    pub const DATASET_TILEJSON: &str = "/tilejson.json";
    /// Versions of a layer.
    pub const VERSIONS: &str = "/collections/{id}/versions";
    /// What changed in a layer since a version or a moment.
    pub const CHANGES: &str = "/collections/{id}/changes";
    /// Report of a version.
    pub const REPORT: &str = "/collections/{id}/versions/{v}/report";
    /// A layer as a file.
    pub const EXPORT: &str = "/collections/{id}/export";
    /// How large that will be.
    pub const EXPORT_ESTIMATE: &str = "/collections/{id}/export/estimate";
    /// Several layers as a file.
    pub const EXPORT_ALL: &str = "/export";
    /// How large that will be.
    pub const EXPORT_ALL_ESTIMATE: &str = "/export/estimate";
    /// The kit of a territory.
    pub const KIT: &str = "/kit.zip";
    /// A layer to drop into QGIS.
    pub const LAYER_DEFINITION: &str = "/collections/{id}/layer.qlr";
    /// An order.
    pub const ORDER: &str = "/exports/{order}";
    /// Its file.
    pub const ORDER_FILE: &str = "/exports/{order}/file";
    /// Tile grids.
    pub const GRIDS: &str = "/tileMatrixSets";
    /// One grid.
    pub const GRID: &str = "/tileMatrixSets/{tms}";
    /// Styles.
    pub const STYLES: &str = "/styles";
    /// One style.
    pub const STYLE: &str = "/styles/{id}";
    /// What the colours of a style mean.
    pub const STYLE_LEGEND: &str = "/styles/{id}/legend";
    /// Symbols of styles.
    pub const SPRITE: &str = "/sprites/{file}";
    /// Territories and their search.
    pub const TERRITORIES: &str = "/territories";
    /// A table put on today's territories. Before the address of one territory, which it fits too.
    pub const RESOLVE: &str = "/territories/resolve";
    /// One territory.
    pub const TERRITORY: &str = "/territories/{code}";
    /// One row per territory, one column per layer.
    pub const TABLE: &str = "/table";
    /// What changed, publication after publication.
    pub const FEED: &str = "/feed.atom";
    /// What became of it, and what it was made from.
    pub const HISTORY: &str = "/territories/{code}/history";
    /// WFS, for older tools.
    pub const WFS: &str = "/wfs";
    /// Whether the process answers.
    pub const LIVE: &str = "/health/live";
    /// Whether it can serve.
    pub const READY: &str = "/health/ready";
    /// Figures of the process, for whoever runs it.
    pub const METRICS: &str = "/metrics";
    /// Published tables looked at again, likewise.
    pub const RELOAD: &str = "/admin/reload";
    /// The journal of harvests.
    pub const HARVEST: &str = "/harvest";
    /// What happened to sources, as a feed.
    pub const ALERTS: &str = "/harvest.atom";
    /// A layer harvested now, for whoever runs the service.
    pub const HARVEST_NOW: &str = "/admin/harvest/{id}";
    /// Kinds of problems.
    pub const PROBLEM: &str = "/problems/{kind}";
    /// Scripts and styles of pages.
    pub const ASSET: &str = "/assets/{file}";

    /// All of them.
    pub const ALL: [&str; 55] = [
        LANDING,
        CONFORMANCE,
        FUNCTIONS,
        API,
        COLLECTIONS,
        COLLECTION,
        ITEMS,
        ITEM,
        QUERYABLES,
        SCHEMA,
        SORTABLES,
        STATS,
        TILESETS,
        TILESET,
        TILE,
        TILE_XYZ,
        TILEJSON,
        DATASET_TILESETS,
        DATASET_TILESET,
        DATASET_TILE,
        DATASET_TILE_XYZ,
        DATASET_TILEJSON,
        VERSIONS,
        CHANGES,
        REPORT,
        EXPORT,
        EXPORT_ESTIMATE,
        EXPORT_ALL,
        EXPORT_ALL_ESTIMATE,
        KIT,
        LAYER_DEFINITION,
        ORDER,
        ORDER_FILE,
        GRIDS,
        GRID,
        STYLES,
        STYLE,
        STYLE_LEGEND,
        SPRITE,
        TERRITORIES,
        RESOLVE,
        TERRITORY,
        TABLE,
        FEED,
        HISTORY,
        WFS,
        LIVE,
        READY,
        METRICS,
        RELOAD,
        HARVEST,
        ALERTS,
        HARVEST_NOW,
        PROBLEM,
        ASSET,
    ];
}

/// The whole service over an application's parts.
pub fn front(app: Arc<App>) -> Arc<access::Front> {
    let site = Arc::new(Site::new(app));
    Arc::new(access::Front::new(site.clone(), routes().with_state(site)))
}

/// What only whoever runs the service may reach, over the same parts as the public front.
pub fn inner_front(front: &access::Front) -> Arc<access::Front> {
    let site = front.site().clone();
    Arc::new(access::Front::inner(site.clone(), admin::routes().with_state(site)))
}

/// Methods of the resource at a path.
pub fn methods(path: &str) -> &'static str {
    match position(path).and_then(|at| path::ALL.get(at).copied()) {
        Some(path::RELOAD | path::HARVEST_NOW) => "POST, OPTIONS",
        Some(path::RESOLVE | path::WFS) => "GET, HEAD, POST, OPTIONS",
        _ => access::METHODS,
    }
}

/// The same as a router, for tests and for programs that put it into a larger one.
pub fn router(app: Arc<App>) -> Router {
    let front = front(app);
    Router::new().fallback(move |request: Request| {
        let front = front.clone();
        async move { front.answer(request).await }
    })
}

fn routes() -> Router<Arc<Site>> {
    Router::new()
        // What there is
        .route(path::LANDING, get(landing::landing))
        .route(path::CONFORMANCE, get(landing::conformance))
        .route(path::API, get(openapi::api))
        .route(path::FUNCTIONS, get(filter::functions))
        // Features
        .route(path::COLLECTIONS, get(collections::all))
        .route(path::COLLECTION, get(collections::one))
        .route(path::ITEMS, get(items::page))
        .route(path::ITEM, get(items::feature))
        .route(path::QUERYABLES, get(schema::queryables))
        .route(path::SCHEMA, get(schema::schema))
        .route(path::SORTABLES, get(schema::sortables))
        .route(path::STATS, get(stats::stats))
        // Tiles
        .route(path::TILESETS, get(tilesets::list))
        .route(path::TILESET, get(tilesets::one))
        .route(path::TILE, get(tiles::ogc))
        .route(path::TILE_XYZ, get(tiles::xyz))
        .route(path::TILEJSON, get(tilesets::tilejson))
        .route(path::DATASET_TILESETS, get(dataset_tiles::list))
        .route(path::DATASET_TILESET, get(dataset_tiles::one))
        .route(path::DATASET_TILE, get(dataset_tiles::ogc))
        .route(path::DATASET_TILE_XYZ, get(dataset_tiles::xyz))
        .route(path::DATASET_TILEJSON, get(dataset_tiles::tilejson))
        .route(path::GRIDS, get(tilesets::grids))
        .route(path::GRID, get(tilesets::grid))
        .route(path::STYLES, get(styles::list))
        .route(path::STYLE, get(styles::one))
        .route(path::STYLE_LEGEND, get(styles::legend))
        .route(path::SPRITE, get(styles::sprite))
        // Territories
        .route(path::TERRITORIES, get(territories::search))
        .route(path::RESOLVE, get(resolve::form).post(resolve::resolve))
        .route(path::TERRITORY, get(territories::one))
        .route(path::TABLE, get(table::table))
        .route(path::HISTORY, get(history::history))
        // Where data comes from
        .route(path::FEED, get(feed::feed))
        .route(path::VERSIONS, get(versions::list))
        .route(path::CHANGES, get(changes::changes))
        .route(path::REPORT, get(versions::report))
        // Older tools
        .route(path::WFS, get(wfs::get).post(wfs::post))
        // Files
        .route(path::EXPORT, get(exports::of_layer))
        .route(path::EXPORT_ESTIMATE, get(exports::estimate_layer))
        .route(path::EXPORT_ALL, get(exports::of_layers))
        .route(path::EXPORT_ALL_ESTIMATE, get(exports::estimate_layers))
        .route(path::KIT, get(exports::kit))
        .route(path::LAYER_DEFINITION, get(exports::layer_definition))
        .route(path::ORDER, get(orders::status).delete(orders::cancel).post(orders::cancel_by_form))
        .route(path::ORDER_FILE, get(orders::file))
        // The service itself
        .route(path::LIVE, get(health::live))
        .route(path::READY, get(health::ready))
        .route(path::METRICS, get(admin::public_metrics))
        .route(path::RELOAD, post(admin::public_reload))
        .route(path::HARVEST, get(harvest::journal))
        .route(path::ALERTS, get(alerts::feed))
        .route(path::HARVEST_NOW, post(admin::public_harvest))
        .route(path::PROBLEM, get(landing::problem))
        .route(path::ASSET, get(assets::asset))
        .fallback(async || Failure::NoRoute)
}

/// Most segments of an address, the empty one before the first slash included.
const DEPTH: usize = 8;

/// An address's position and segments.
type Placed = (usize, Vec<&'static str>);

/// All addresses by their number of segments: what a request is compared with.
static BY_DEPTH: LazyLock<[Vec<Placed>; DEPTH + 1]> = LazyLock::new(|| {
    let mut table: [Vec<_>; DEPTH + 1] = Default::default();
    for (position, template) in path::ALL.iter().enumerate() {
        let segments: Vec<&str> = template.split('/').collect();
        if let Some(row) = table.get_mut(segments.len()) {
            row.push((position, segments));
        }
    }
    table
});

/// The position in [`path::ALL`] of the address a path belongs to.
pub fn position(path: &str) -> Option<usize> {
    let mut segments = [""; DEPTH];
    let mut depth = 0;
    // Byte by byte: paths are short, and this runs at every request.
    let mut start = 0;
    for (at, byte) in path.bytes().chain(std::iter::once(b'/')).enumerate() {
        if byte == b'/' {
            *segments.get_mut(depth)? = path.get(start..at)?;
            depth += 1;
            start = at + 1;
        }
    }
    let segments = segments.get(..depth)?;
    let fits = |template: &[&str]| {
        template.iter().zip(segments).all(|(ours, theirs)| {
            if ours.starts_with('{') { !theirs.is_empty() } else { ours == theirs }
        })
    };
    BY_DEPTH.get(depth)?.iter().find(|(_, template)| fits(template)).map(|(at, _)| *at)
}

/// Addresses near one that does not exist, without leading slash, nearest first; templates with
/// the names given. At most three.
pub fn near(path: &str) -> Vec<String> {
    let asked: Vec<&str> = path.trim_matches('/').split('/').take(8).collect();
    let mut scored: Vec<(f64, String)> = path::ALL
        .iter()
        .filter(|t| {
            !matches!(
                **t,
                path::PROBLEM | path::ASSET | path::METRICS | path::RELOAD | path::HARVEST_NOW
            )
        })
        .map(|template| {
            let mut score = 0.0;
            let mut built = Vec::new();
            let segments: Vec<&str> = template.trim_matches('/').split('/').collect();
            for (i, segment) in segments.iter().enumerate() {
                match asked.get(i) {
                    Some(theirs) if segment.starts_with('{') => {
                        score += 1.0;
                        built.push((*theirs).to_owned());
                    }
                    Some(theirs) => {
                        score += strsim::jaro_winkler(segment, theirs);
                        built.push((*segment).to_owned());
                    }
                    None => built.push((*segment).to_owned()),
                }
            }
            (score / segments.len().max(asked.len()) as f64, built.join("/"))
        })
        .filter(|(score, built)| *score > 0.7 && !built.contains('{'))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().take(3).map(|(_, built)| built).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_its_own_route() {
        for (i, template) in path::ALL.iter().enumerate() {
            let concrete = template.replace(['{', '}'], "x");
            assert_eq!(position(&concrete), Some(i), "{template}");
        }
        assert_eq!(position("/collections//items"), None);
        assert_eq!(position("/nowhere"), None);
    }

    #[test]
    fn near_addresses_are_offered() {
        assert_eq!(near("/collection").first().map(String::as_str), Some("collections"));
        assert!(near("/collections/communes/item").contains(&"collections/communes/items".into()));
        assert!(near("/wp-login.php").is_empty());
    }
}
