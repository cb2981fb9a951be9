//! The operations that do not depend on the layers: a table, one line each.

use super::super::{links::media, router::path};

/// An operation that does not depend on the layers.
pub(super) struct Operation {
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) fr: &'static str,
    pub(super) en: &'static str,
    /// Names of shared parameters.
    pub(super) refs: &'static [Group],
    pub(super) types: &'static [&'static str],
}

const JSON_HTML: &[&str] = &[media::JSON, media::HTML];
const SCHEMA_HTML: &[&str] = &[media::SCHEMA, media::HTML];
const GEO: &[&str] = &[media::GEOJSON, media::HTML];
/// What pages of features may be, besides [`GEO`].
pub(super) const FEATURES: &[&str] = &[
    media::GEOJSON,
    media::HTML,
    "application/geo+json-seq",
    "application/x-ndjson",
    media::FGB,
    media::CSV,
];
/// How CSV is written.
const CSV: Group = &["separator", "bom", "decimal"];
/// Names of shared parameters that go together.
type Group = &'static [&'static str];
/// Which territory, and how features are bound to it.
const TERRITORY: Group = &["territory", "territoire", "territory-mode", "vintage"];
/// Which features, whatever the road.
const FILTER: Group = &["filter", "filter-lang", "filter-crs", "datetime"];
const TILES: &[&str] = &[media::MVT, media::GEOJSON];
const TILE: &[Group] = &[TERRITORY, FILTER, &["tile-f"]];
const DATASET_TILE: &[Group] = &[&["collections"], TERRITORY, FILTER, &["tile-f"]];
/// Parameters of a page of features.
pub(super) const PAGE: &[Group] = &[
    &["limit", "bbox", "crs", "bbox-crs", "offset", "cursor"],
    TERRITORY,
    FILTER,
    &["properties", "skipGeometry", "zoom-level", "sortby", "resultType", "items-f", "geometry"],
    CSV,
];
const EXPORT: &[Group] =
    &[&["export-format"], TERRITORY, FILTER, &["export-crs", "bbox", "geometry"], CSV];
const EXPORT_ALL: &[Group] = &[
    &["export-format", "collections"],
    TERRITORY,
    FILTER,
    &["export-crs", "bbox", "geometry"],
    CSV,
];
const KIT: &[Group] = &[&["collections"], TERRITORY, &["export-crs", "bbox"]];
/// What an export may be: the formats of files, an archive, the choice of them.
const FILES: &[&str] = &[
    "application/geopackage+sqlite3",
    media::ZIP,
    media::GEOJSON,
    "application/geo+json-seq",
    "application/x-ndjson",
    media::FGB,
    media::CSV,
    media::XLSX,
    "application/vnd.apache.parquet",
    "application/vnd.google-earth.kml+xml",
    media::JSON,
    media::HTML,
];
/// What operations are grouped by.
pub(super) struct Tag {
    /// Its name, which is its title in English.
    pub(super) name: &'static str,
    /// Its title in French.
    pub(super) titre: &'static str,
    pub(super) fr: &'static str,
    pub(super) en: &'static str,
}

#[rustfmt::skip] // a table: one line per group
pub(super) const TAGS: [Tag; 6] = [
    Tag { name: "Service", titre: "Service", fr: "Ce qu'il y a, et comment va le service", en: "What there is, and how the service is" },
    Tag { name: "Features", titre: "Entités", fr: "Les entités d'une couche, leurs champs, ses versions et ses chiffres", en: "The features of a layer, their fields, its versions and figures" },
    Tag { name: "Tiles", titre: "Tuiles", fr: "Des tuiles vectorielles, pour les cartes", en: "Vector tiles, for maps" },
    Tag { name: "Styles", titre: "Styles", fr: "Comment dessiner les couches", en: "How layers are drawn" },
    Tag { name: "Exports", titre: "Exports", fr: "Des fichiers à télécharger, pour un territoire", en: "Files to download, for a territory" },
    Tag { name: "Territories", titre: "Territoires", fr: "Les territoires, leur recherche et leur histoire", en: "Territories, their search and their history" },
];

const HEALTH: &[&str] = &[media::HEALTH];

#[rustfmt::skip] // a table: one line per operation
pub(super) const OPERATIONS: [Operation; 49] = [
    Operation { path: path::LANDING, id: "getLandingPage", fr: "Page d'accueil", en: "Landing page", refs: &[&["f"]], types: JSON_HTML },
    Operation { path: path::CONFORMANCE, id: "getConformance", fr: "Classes de conformité", en: "Conformance classes", refs: &[&["f"]], types: JSON_HTML },
    Operation { path: path::API, id: "getApi", fr: "Cette définition", en: "This definition", refs: &[&["f"]], types: &[media::OPENAPI, media::HTML] },
    Operation { path: path::COLLECTIONS, id: "getCollections", fr: "Les couches", en: "The layers", refs: &[&["f"]], types: JSON_HTML },
    Operation { path: path::COLLECTION, id: "describeCollection", fr: "Une couche", en: "A layer", refs: &[&["f"]], types: JSON_HTML },
    Operation { path: path::ITEMS, id: "getFeatures", fr: "Entités d'une couche", en: "Features of a layer", refs: PAGE, types: FEATURES },
    Operation { path: path::ITEM, id: "getFeature", fr: "Une entité", en: "A feature", refs: &[&["f", "crs"]], types: GEO },
    Operation { path: path::FUNCTIONS, id: "getFunctions", fr: "Fonctions des filtres", en: "Functions of filters", refs: &[&["f"]], types: JSON_HTML },
    Operation { path: path::QUERYABLES, id: "getQueryables", fr: "Champs interrogeables", en: "Queryables", refs: &[&["f"]], types: SCHEMA_HTML },
    Operation { path: path::SORTABLES, id: "getSortables", fr: "Champs de tri", en: "Sortables", refs: &[&["f"]], types: SCHEMA_HTML },
    Operation { path: path::SCHEMA, id: "getSchema", fr: "Champs", en: "Fields", refs: &[&["f"]], types: SCHEMA_HTML },
    Operation { path: path::STATS, id: "getStats", fr: "Chiffres par territoire", en: "Figures by territory", refs: &[&["by", "metric", "share"], TERRITORY, &["bbox"], FILTER, &["sort", "stats-f"], CSV], types: &[media::JSON, media::CSV, media::GEOJSON, media::HTML] },
    Operation { path: path::TILESETS, id: "collection.vector.getTileSetsList", fr: "Jeux de tuiles", en: "Tilesets", refs: &[&["f"]], types: JSON_HTML },
    Operation { path: path::TILESET, id: "collection.vector.getTileSet", fr: "Un jeu de tuiles", en: "A tileset", refs: &[&["f"]], types: JSON_HTML },
    Operation { path: path::TILE, id: "collection.vector.getTile", fr: "Une tuile (matrice, ligne, colonne)", en: "A tile (matrix, row, column)", refs: TILE, types: TILES },
    Operation { path: path::TILE_XYZ, id: "xyz.collection.vector.getTile", fr: "Une tuile (z, x, y)", en: "A tile (z, x, y)", refs: TILE, types: TILES },
    Operation { path: path::TILEJSON, id: "getTileJson", fr: "TileJSON", en: "TileJSON", refs: &[FILTER], types: &[media::JSON] },
    Operation { path: path::DATASET_TILESETS, id: "dataset.vector.getTileSetsList", fr: "Jeux de tuiles de toutes les couches", en: "Tilesets of all layers", refs: &[&["f"]], types: JSON_HTML },
    Operation { path: path::DATASET_TILESET, id: "dataset.vector.getTileSet", fr: "Un jeu de tuiles de plusieurs couches", en: "A tileset of several layers", refs: &[&["collections", "f"]], types: JSON_HTML },
    Operation { path: path::DATASET_TILE, id: "dataset.vector.getTile", fr: "Une tuile de plusieurs couches (matrice, ligne, colonne)", en: "A tile of several layers (matrix, row, column)", refs: DATASET_TILE, types: TILES },
    Operation { path: path::DATASET_TILE_XYZ, id: "xyz.dataset.vector.getTile", fr: "Une tuile de plusieurs couches (z, x, y)", en: "A tile of several layers (z, x, y)", refs: DATASET_TILE, types: TILES },
    Operation { path: path::DATASET_TILEJSON, id: "getDatasetTileJson", fr: "TileJSON de plusieurs couches", en: "TileJSON of several layers", refs: &[&["collections"], FILTER], types: &[media::JSON] },
    Operation { path: path::VERSIONS, id: "getVersions", fr: "Versions d'une couche", en: "Versions of a layer", refs: &[&["f"]], types: JSON_HTML },
    Operation { path: path::CHANGES, id: "getChanges", fr: "Ce qui a changé dans une couche", en: "What changed in a layer", refs: &[&["since", "until", "limit", "offset", "f"], TERRITORY], types: GEO },
    Operation { path: path::REPORT, id: "getReport", fr: "Rapport d'une version", en: "Report of a version", refs: &[&["f"]], types: JSON_HTML },
    Operation { path: path::EXPORT, id: "getExport", fr: "Une couche en un fichier", en: "A layer as a file", refs: EXPORT, types: FILES },
    Operation { path: path::EXPORT_ESTIMATE, id: "estimateExport", fr: "Taille d'un export", en: "Size of an export", refs: EXPORT, types: &[media::JSON] },
    Operation { path: path::EXPORT_ALL, id: "getExportOfLayers", fr: "Plusieurs couches en un fichier", en: "Several layers as a file", refs: EXPORT_ALL, types: FILES },
    Operation { path: path::KIT, id: "getKit", fr: "Kit QGIS : toutes les couches, prêtes à ouvrir", en: "QGIS kit: all layers, ready to open", refs: KIT, types: &[media::ZIP] },
    Operation { path: path::LAYER_DEFINITION, id: "getLayerDefinition", fr: "Couche à glisser dans QGIS", en: "Layer to drop into QGIS", refs: &[], types: &[media::QLR] },
    Operation { path: path::EXPORT_ALL_ESTIMATE, id: "estimateExportOfLayers", fr: "Taille d'un export de plusieurs couches", en: "Size of an export of several layers", refs: EXPORT_ALL, types: &[media::JSON] },
    Operation { path: path::ORDER, id: "getExportOrder", fr: "Avancement d'un export (DELETE : l'annuler)", en: "Progress of an export (DELETE: cancel it)", refs: &[&["f"]], types: JSON_HTML },
    Operation { path: path::ORDER_FILE, id: "getExportFile", fr: "Fichier d'un export", en: "File of an export", refs: &[], types: FILES },
    Operation { path: path::GRIDS, id: "getTileMatrixSets", fr: "Grilles de tuiles", en: "Tile matrix sets", refs: &[&["f"]], types: JSON_HTML },
    Operation { path: path::GRID, id: "getTileMatrixSet", fr: "Une grille de tuiles", en: "A tile matrix set", refs: &[&["f"]], types: JSON_HTML },
    Operation { path: path::STYLES, id: "getStyles", fr: "Styles", en: "Styles", refs: &[&["f"]], types: JSON_HTML },
    Operation { path: path::STYLE, id: "getStyle", fr: "Un style MapLibre", en: "A MapLibre style", refs: &[&["labels"]], types: &[media::JSON] },
    Operation { path: path::STYLE_LEGEND, id: "getLegend", fr: "Légende d'un style", en: "Legend of a style", refs: &[&["f"]], types: JSON_HTML },
    Operation { path: path::SPRITE, id: "getSprite", fr: "Symboles des styles", en: "Symbols of styles", refs: &[], types: &[media::JSON, media::PNG] },
    Operation { path: path::TERRITORIES, id: "searchTerritories", fr: "Recherche de territoires", en: "Search for territories", refs: &[&["q", "level", "territories-limit", "f"]], types: JSON_HTML },
    Operation { path: path::TABLE, id: "getTable", fr: "Un tableau : une ligne par territoire, une colonne par couche", en: "A table: one row per territory, one column per layer", refs: &[&["level", "columns", "show"], TERRITORY, FILTER, &["table-f"], CSV], types: &[media::JSON, media::CSV, media::XLSX, media::HTML] },
    Operation { path: path::FEED, id: "getFeed", fr: "Ce qui a changé, publication après publication (Atom)", en: "What changed, publication after publication (Atom)", refs: &[&["page"]], types: &[media::ATOM_TYPE] },
    Operation { path: path::RESOLVE, id: "describeResolve", fr: "Porter une table sur les territoires d'aujourd'hui : le formulaire", en: "Putting a table on today's territories: the form", refs: &[&["f"]], types: JSON_HTML },
    Operation { path: path::TERRITORY, id: "getTerritory", fr: "Un territoire", en: "A territory", refs: &[&["vintage", "territory-f"]], types: &[media::JSON, media::GEOJSON, media::HTML] },
    Operation { path: path::HISTORY, id: "getTerritoryHistory", fr: "Les mouvements d'un territoire", en: "The movements of a territory", refs: &[&["f"]], types: JSON_HTML },
    Operation { path: path::HARVEST, id: "getHarvests", fr: "Le journal des moissonnages : derniers passages, prochains horaires", en: "The journal of harvests: last runs, next due times", refs: &[&["f"]], types: JSON_HTML },
    Operation { path: path::ALERTS, id: "getAlerts", fr: "Les alertes : sources en panne, formes changées, livraisons retenues (Atom)", en: "Alerts: sources that fail, forms that changed, deliveries held (Atom)", refs: &[], types: &[media::ATOM_TYPE] },
    Operation { path: path::LIVE, id: "getLive", fr: "Le programme répond", en: "The program answers", refs: &[], types: HEALTH },
    Operation { path: path::READY, id: "getReady", fr: "Le service est prêt", en: "The service is ready", refs: &[], types: HEALTH },
];
