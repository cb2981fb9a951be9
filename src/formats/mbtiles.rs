//! MBTiles 1.3 (github.com/mapbox/mbtiles-spec) with vector tiles. Every tile is kept once: `tiles`,
//! the table of the specification, is a view, as tippecanoe and Mapbox make it.

use super::tile_archive::{About, ArchiveWriter, repeats};
use crate::{
    error::{Error, Result},
    model::{BBox, TileId},
};
use rusqlite::{Connection, params};
use rustc_hash::FxHashMap;
use serde_json::{Map, Value};
use std::path::Path;

/// Tiles between two commits: SQLite keeps little of what is not written yet.
const COMMIT: u64 = 5_000;

const TABLES: &str = "
CREATE TABLE metadata (name TEXT NOT NULL, value TEXT NOT NULL);
CREATE TABLE map (zoom_level INTEGER NOT NULL, tile_column INTEGER NOT NULL,
  tile_row INTEGER NOT NULL, tile_id INTEGER NOT NULL);
CREATE TABLE images (tile_id INTEGER PRIMARY KEY, tile_data BLOB NOT NULL);
CREATE VIEW tiles AS
  SELECT map.zoom_level AS zoom_level, map.tile_column AS tile_column, map.tile_row AS tile_row,
    images.tile_data AS tile_data
  FROM map JOIN images ON images.tile_id = map.tile_id;";

/// Begins an archive.
pub(super) fn create(path: &Path, about: &About) -> Result<Box<dyn ArchiveWriter>> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(path, e)),
        _ => {}
    }
    let db = Connection::open(path).map_err(sql)?;
    // Nobody reads it before it is whole, and what is not whole is thrown away: no journal. The
    // application's number is MBTiles' own, by which `file` knows it.
    db.execute_batch(
        "PRAGMA application_id=1297105496; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;
         PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-8192;",
    )
    .map_err(sql)?;
    db.execute_batch(TABLES).map_err(sql)?;
    db.execute_batch("BEGIN").map_err(sql)?;
    let archive = Archive { db, kept: FxHashMap::default(), next: 1, added: 0 };
    archive.describe(about)?;
    Ok(Box::new(archive))
}

struct Archive {
    db: Connection,
    /// The images that may come again.
    kept: FxHashMap<u128, i64>,
    /// The next image's number.
    next: i64,
    added: u64,
}

impl Archive {
    fn describe(&self, about: &About) -> Result<()> {
        let (lon, lat, zoom) = about.center;
        self.say("format", "pbf")?;
        self.say("minzoom", &about.min_zoom.to_string())?;
        self.say("maxzoom", &about.max_zoom.to_string())?;
        self.say("center", &format!("{lon},{lat},{zoom}"))?;
        // Texts are rows of their own; the rest belongs into one, `json`.
        let mut json = Map::new();
        for (name, value) in &about.members {
            match value {
                Value::String(text) => self.say(name, text)?,
                other => drop(json.insert(name.clone(), other.clone())),
            }
        }
        self.say("json", &Value::Object(json).to_string())
    }

    fn say(&self, name: &str, value: &str) -> Result<()> {
        let said = self.db.execute("INSERT INTO metadata VALUES (?1, ?2)", params![name, value]);
        said.map(drop).map_err(sql)
    }

    /// The number of an image, which is written when it is new.
    fn image(&mut self, gzip: &[u8]) -> Result<i64> {
        let key = repeats(gzip);
        if let Some(known) = key.and_then(|key| self.kept.get(&key)) {
            return Ok(*known);
        }
        let id = self.next;
        self.next += 1;
        self.db
            .prepare_cached("INSERT INTO images VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute(params![id, gzip]))
            .map_err(sql)?;
        if let Some(key) = key {
            self.kept.insert(key, id);
        }
        Ok(id)
    }
}

impl ArchiveWriter for Archive {
    fn add(&mut self, tile: TileId, gzip: &[u8]) -> Result<()> {
        let id = self.image(gzip)?;
        // Rows are counted from the south.
        let row = (1u32 << tile.z) - 1 - tile.y;
        self.db
            .prepare_cached("INSERT INTO map VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut insert| insert.execute(params![tile.z, tile.x, row, id]))
            .map_err(sql)?;
        self.added += 1;
        if self.added.is_multiple_of(COMMIT) {
            self.db.execute_batch("COMMIT; BEGIN").map_err(sql)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>, bounds: BBox) -> Result<()> {
        let BBox { west, south, east, north } = bounds;
        self.say("bounds", &format!("{west},{south},{east},{north}"))?;
        self.db
            .execute_batch(
                "COMMIT; CREATE UNIQUE INDEX map_index ON map (zoom_level, tile_column, tile_row);
                 CREATE UNIQUE INDEX name ON metadata (name);",
            )
            .map_err(sql)?;
        self.db.close().map_err(|(_, e)| sql(e))
    }
}

/// What SQLite fails with; a full disk is said as what it is.
fn sql(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => Error::disk_full(),
        _ => Error::fault("MBTiles", error),
    }
}
