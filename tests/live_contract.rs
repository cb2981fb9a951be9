//! Published tables under the contract that all layers keep: the same features, put into a table
//! as its owner would have them, are read back by the same cases with the same answers.

use crate::{
    store_contract::{ODD_FIELDS, OF_TABLES, Place, keep_all, layer},
    support::postgres::{self, Postgres},
};
use async_trait::async_trait;
use geo_types::Geometry;
use jiff::Timestamp;
use socle::{
    config::{PostgisSettings, Settings, StoreKind},
    error::Result,
    model::{
        BBox, Changes, ChangesHead, Feature, FieldKind, Grid, Harvested, LayerId, Selection,
        TileId, Value, Version, VersionId,
    },
    query::{Filter, Scan},
    store::{
        At, Claim, NewVersion, Reach, RowSink, ScanEnd, Store, TileFeatures, postgis::PostgisStore,
    },
};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// The layers of the cases and their fields, which leaves their key out.
const LAYERS: &[(&str, &[&str])] = &[
    ("points", &["n", "livraison"]),
    ("formes", &[]),
    ("valeurs", &["b", "i", "f", "t", "d", "h", "j", "nul"]),
    ("ids", &[]),
    ("table", &["n"]),
    ("vide", &["n"]),
    ("cle", &["code", "n"]),
];

/// A database and what publishes its tables.
pub struct Tables {
    server: &'static Postgres,
    database: String,
    config: PathBuf,
}

impl Tables {
    pub fn new(server: &'static Postgres, dir: &Path) -> Self {
        let database = server.database();
        std::fs::write(dir.join("url"), server.url(&database)).unwrap();
        let odd: Vec<String> = (0..ODD_FIELDS.len()).map(|i| name(i, ODD_FIELDS[i].0)).collect();
        let odd: Vec<&str> = odd.iter().map(String::as_str).collect();
        let mut text = "[store]\nkind = \"postgis\"\nurl_file = \"url\"\n".to_owned();
        for (id, fields) in LAYERS.iter().copied().chain([("bizarre", &odd[..])]) {
            text.push_str(&format!(
                "[[tables]]\ntable = \"essai.{id}\"\nproperties = {fields:?}\n"
            ));
        }
        std::fs::create_dir(dir.join("layers")).unwrap();
        let config = dir.join("socle.toml");
        std::fs::write(&config, text).unwrap();
        server.sql(&database, "CREATE SCHEMA essai");
        Self { server, database, config }
    }

    pub fn settings(&self) -> PostgisSettings {
        match Settings::load(&self.config).unwrap().store.kind {
            StoreKind::Postgis(settings) => *settings,
            StoreKind::Embedded => panic!("not a database"),
        }
    }

    fn sql(&self, sql: &str) {
        self.server.sql(&self.database, sql);
    }

    /// Makes a table of a version, its rows in the order of an enumeration of their ids.
    fn make(&self, id: &LayerId, new: &NewVersion) {
        let table = format!("essai.\"{id}\"");
        let features = new.features.map(Feature::clone).unwrap();
        let labels: Vec<String> = features.iter().map(|f| literal(&f.id)).collect();
        let key = match features.iter().all(|f| f.id.len() < 64) {
            true => {
                self.sql(&format!(
                    "CREATE TYPE essai.\"cle de {id}\" AS ENUM ({})",
                    labels.join(", ")
                ));
                format!("essai.\"cle de {id}\"")
            }
            false => "text".to_owned(),
        };
        let fields = &new.version.schema.fields;
        let columns = fields
            .iter()
            .enumerate()
            .map(|(i, f)| format!("{} {}", quoted(&name(i, &f.name)), sql_type(f.kind)));
        let columns: Vec<String> = columns.collect();
        let columns: String = columns.iter().map(|c| format!(", {c}")).collect();
        let spatial = features.iter().any(|f| f.geometry.is_some());
        let geometry = if spatial { ", \"la géométrie\" geometry(Geometry, 4326)" } else { "" };
        self.sql(&format!(
            "CREATE TABLE {table} (\"la clé\" {key} PRIMARY KEY{columns}{geometry})"
        ));
        for some in features.chunks(200) {
            let rows: Vec<String> = some.iter().map(|f| row(f, fields.len(), spatial)).collect();
            self.sql(&format!("INSERT INTO {table} VALUES {}", rows.join(", ")));
        }
        if spatial {
            self.sql(&format!("CREATE INDEX ON {table} USING gist (\"la géométrie\")"));
        }
    }
}

/// A name that a database can hold: some, of at most 63 bytes.
fn name(i: usize, name: &str) -> String {
    match name.len() {
        0 => "(vide)".to_owned(),
        1..=63 => name.to_owned(),
        _ => format!("{} {i}", name.chars().take(50).collect::<String>()),
    }
}

/// A text that a database can hold.
pub fn storable(text: &str) -> String {
    text.replace('\0', "␀")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", storable(text).replace('\'', "''"))
}

fn sql_type(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Bool => "boolean",
        FieldKind::Int => "bigint",
        FieldKind::Float => "double precision",
        FieldKind::Date => "date",
        FieldKind::DateTime => "timestamptz",
        FieldKind::Json => "json",
        FieldKind::Text => "text",
    }
}

fn row(feature: &Feature, fields: usize, spatial: bool) -> String {
    let mut cells = vec![literal(&feature.id)];
    for i in 0..fields {
        cells.push(match feature.values.get(i).unwrap_or(&Value::Null) {
            Value::Null => "NULL".into(),
            Value::Bool(b) => b.to_string(),
            Value::Int(n) => format!("'{n}'"),
            Value::Float(f) => format!("'{f:e}'"),
            Value::Text(s) | Value::Json(s) => literal(s),
            Value::Date(d) => format!("'{d}'"),
            Value::DateTime(t) => format!("'{t}'"),
        });
    }
    if spatial {
        cells.push(
            feature.geometry.as_ref().map_or("NULL".into(), |g| format!("'SRID=4326;{}'", wkt(g))),
        );
    }
    format!("({})", cells.join(", "))
}

/// Well-known text of the geometries of the cases.
fn wkt(geometry: &Geometry<f64>) -> String {
    let line = |line: &geo_types::LineString<f64>| -> String {
        let points: Vec<String> = line.coords().map(|c| format!("{} {}", c.x, c.y)).collect();
        format!("({})", points.join(", "))
    };
    match geometry {
        Geometry::Point(p) => format!("POINT({} {})", p.x(), p.y()),
        Geometry::Polygon(p) => {
            let rings: Vec<String> =
                std::iter::once(p.exterior()).chain(p.interiors()).map(line).collect();
            format!("POLYGON({})", rings.join(", "))
        }
        other => panic!("no case has {other:?}"),
    }
}

/// A store whose layers are tables: loading makes the table, publishing attaches its rows.
pub struct LiveStore {
    inner: Arc<PostgisStore>,
    tables: Arc<Tables>,
    reaches: Mutex<HashMap<LayerId, Reach>>,
}

impl LiveStore {
    pub fn new(inner: Arc<PostgisStore>, tables: Arc<Tables>) -> Self {
        Self { inner, tables, reaches: Mutex::default() }
    }
}

#[async_trait]
impl Store for LiveStore {
    async fn load(&self, claim: &Claim, new: NewVersion) -> Result<()> {
        self.tables.make(&claim.layer, &new);
        let ids = new.features.map(|f| f.id.clone()).unwrap();
        self.reaches.lock().unwrap().insert(claim.layer.clone(), Reach { ids, ..new.reach });
        self.inner.reload().await
    }
    async fn publish(&self, claim: &Claim, _: &VersionId, reach: &str) -> Result<()> {
        let at = self.inner.current().await?.remove(&claim.layer).unwrap();
        let made = self.reaches.lock().unwrap().remove(&claim.layer).unwrap();
        self.inner.load_reach(claim, &at.version.id, made).await?;
        self.inner.publish(claim, &at.version.id, reach).await
    }
    async fn current(&self) -> Result<BTreeMap<LayerId, At>> {
        self.inner.current().await
    }
    async fn generation(&self) -> Result<u64> {
        self.inner.generation().await
    }
    async fn state(&self, layer: &LayerId, key: &str) -> Result<Option<At>> {
        self.inner.state(layer, key).await
    }
    async fn versions(&self, layer: &LayerId) -> Result<Vec<Version>> {
        self.inner.versions(layer).await
    }
    async fn scan(&self, at: &At, scan: Scan, sink: RowSink) -> Result<ScanEnd> {
        self.inner.scan(at, scan, sink).await
    }
    async fn scan_values(&self, at: &At, scan: Scan, sink: RowSink) -> Result<ScanEnd> {
        self.inner.scan_values(at, scan, sink).await
    }
    async fn reach(&self, at: &At) -> Result<Reach> {
        self.inner.reach(at).await
    }
    async fn feature(&self, at: &At, id: &str, sink: RowSink) -> Result<bool> {
        self.inner.feature(at, id, sink).await
    }
    async fn count(&self, at: &At, filter: &Filter) -> Result<Option<u64>> {
        self.inner.count(at, filter).await
    }
    async fn extent(&self, at: &At, selection: &Selection) -> Result<Option<BBox>> {
        self.inner.extent(at, selection).await
    }
    async fn tile_where(
        &self,
        at: &At,
        tile: TileId,
        buffer: u16,
        filter: &Filter,
    ) -> Result<Option<TileFeatures>> {
        self.inner.tile_where(at, tile, buffer, filter).await
    }
    async fn claim(&self, layer: &LayerId) -> Result<Option<Claim>> {
        self.inner.claim(layer).await
    }
    async fn load_reach(&self, claim: &Claim, version: &VersionId, reach: Reach) -> Result<()> {
        self.inner.load_reach(claim, version, reach).await
    }
    async fn prune(&self, claim: &Claim, keep: usize) -> Result<usize> {
        self.inner.prune(claim, keep).await
    }
    async fn touch(&self, claim: &Claim, seen: &Harvested) -> Result<()> {
        self.inner.touch(claim, seen).await
    }
    async fn history(&self, layer: &LayerId) -> Result<Vec<ChangesHead>> {
        self.inner.history(layer).await
    }
    async fn changes(&self, layer: &LayerId, at: Timestamp) -> Result<Option<Changes>> {
        self.inner.changes(layer, at).await
    }
}

#[test]
fn published_tables_keep_the_contract() {
    let Some(server) = postgres::shared() else { return };
    keep_all(OF_TABLES, || Place::live(server));
}

/// Whether the square of a code is on a tile itself.
fn on(tile: TileId, code: u32) -> bool {
    let (west, south) = (2.0 + f64::from(code % 20) * 0.05, 49.5 + f64::from(code / 20) * 0.05);
    let b = tile.bounds();
    west < b.east && west + 0.05 > b.west && south < b.north && south + 0.05 > b.south
}

#[test]
fn tiles_of_a_table_show_what_those_of_a_version_show() {
    use crate::store_contract::{put, squares};
    let Some(server) = postgres::shared() else { return };
    let (place, reference) = (Place::live(server), Place::embedded());
    let (store, other) = (place.open(), reference.open());
    let id = layer("cle");
    let at = place.wait(put(&store, &id, squares(None)));
    let expected = reference.wait(put(&other, &id, squares(None)));
    // The codes shown: features too small to be drawn may go from another zoom on, for a version's
    // geometry is prepared from its deepest zoom.
    let codes = |tile: Option<TileFeatures>| -> Vec<u32> {
        let Some(tile) = tile else { return Vec::new() };
        let code = |f: &socle::store::TileFeature| -> Option<u32> {
            let text = String::from_utf8_lossy(&tile.bytes[f.tags.clone()]).into_owned();
            let digits = text.split('c').nth(1)?.chars().take_while(char::is_ascii_digit);
            digits.collect::<String>().parse().ok()
        };
        let mut codes: Vec<u32> = tile.features.iter().filter_map(code).collect();
        codes.retain(|code| code % 7 != 0);
        codes.sort_unstable();
        codes
    };
    let mut shown = 0;
    let mercator = [
        (0, 0, 0),
        (5, 16, 10),
        (8, 129, 86),
        (9, 259, 172),
        (12, 2074, 1380),
        (14, 8300, 5530),
        (9, 0, 0),
    ]
    .map(|(z, x, y)| TileId::new(z, x, y).unwrap());
    let grid = Grid::of("WorldCRS84Quad").unwrap();
    let crs84 = [(4, 16, 3), (8, 259, 56), (11, 2074, 455), (9, 0, 0)]
        .map(|(z, x, y)| TileId::within(grid, z, x, y).unwrap());
    for tile in mercator.into_iter().chain(crs84) {
        for wanted in [
            None,
            Some(crate::store_contract::meets(&[1])),
            Some(crate::store_contract::meets(&[599])),
        ] {
            let one = place.wait(store.tile(&at, tile, 64, wanted.as_deref())).unwrap();
            let two = reference.wait(other.tile(&expected, tile, 64, wanted.as_deref())).unwrap();
            let (one, two) = (codes(one), codes(two));
            // Below a unit of the grid, which squares are left depends on how they were snapped.
            match tile.z {
                0 => assert_eq!(one.is_empty(), two.is_empty()),
                _ => {
                    // A table's are looked for in a larger box; what it adds is off the tile.
                    assert!(two.iter().all(|code| one.contains(code)), "{tile:?}");
                    let more = one.iter().filter(|code| !two.contains(code));
                    assert!(more.clone().all(|code| !on(tile, *code)), "{tile:?}: {more:?}");
                }
            }
            shown += one.len();
        }
    }
    assert!(shown > 400, "{shown} features in all tiles");
}
