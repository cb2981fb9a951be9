//! Reads MBTiles 1.3 (github.com/mapbox/mbtiles-spec) with vector tiles. The file comes from
//! strangers: it is opened read-only, its views run under a time limit, and every size is bounded
//! before anything is read.

use super::{
    geopackage::stranger,
    pmtiles_reader::damaged,
    tile_archive::{About, Described, MAX_METADATA, MAX_PACKED},
};
use crate::{
    error::{Error, Result},
    model::{BBox, TileId, tile_id::MAX_ZOOM},
    text,
};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Map, Value};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Most rows of metadata.
const MAX_ROWS: usize = 1000;
/// How long one question may take: a view may hide anything.
const PATIENCE: Duration = Duration::from_secs(5);
/// SQLite's steps between two looks at the clock.
const STEPS: i32 = 1000;

/// An open archive.
pub struct MbtilesReader(Connection);

impl MbtilesReader {
    /// Opens a file that nobody writes to.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is none.
    pub fn open(path: &Path) -> Result<Self> {
        let absolute = std::path::absolute(path).map_err(|e| Error::io(path, e))?;
        let db = stranger(&absolute).map_err(sql)?;
        Ok(Self(db))
    }

    /// What the archive says of itself.
    ///
    /// # Errors
    /// [`Error::Refused`] when it holds other tiles than MVT, or cannot be read.
    pub fn described(&mut self) -> Result<Described> {
        self.in_time()?;
        let rows = self.metadata()?;
        let text = |name: &str| rows.get(name).and_then(Value::as_str);
        if text("format").is_some_and(|format| format != "pbf") {
            return Err(Error::Refused(text!(
                "Cette archive ne contient pas de tuiles vectorielles (MVT).",
                "This archive does not hold vector tiles (MVT)."
            )));
        }
        let numbers = |name: &str| -> Vec<f64> {
            let list = text(name).unwrap_or_default().split(',');
            list.filter_map(|n| n.trim().parse().ok()).filter(|n: &f64| n.is_finite()).collect()
        };
        let zoom = |name: &str| text(name).and_then(|z| z.trim().parse::<u8>().ok());
        let (min_zoom, max_zoom) = match (zoom("minzoom"), zoom("maxzoom")) {
            (Some(min), Some(max)) => (min, max),
            // Both are optional.
            _ => self.zooms()?,
        };
        if min_zoom > max_zoom || max_zoom > MAX_ZOOM {
            return Err(damaged("zooms"));
        }
        let bounds = match *numbers("bounds") {
            [west, south, east, north] => BBox { west, south, east, north },
            _ => BBox::WORLD,
        };
        let center = match *numbers("center") {
            [lon, lat, zoom] if (0.0..=f64::from(MAX_ZOOM)).contains(&zoom) => {
                (lon, lat, zoom as u8)
            }
            _ => ((bounds.west + bounds.east) / 2.0, (bounds.south + bounds.north) / 2.0, min_zoom),
        };
        let mut members = rows.clone();
        // `vector_layers` and `tilestats` are in a row of their own, as JSON.
        if let Some(Value::String(json)) = members.remove("json") {
            let more: Map<String, Value> =
                serde_json::from_str(&json).map_err(|_| damaged("metadata"))?;
            members.extend(more);
        }
        Ok(Described { about: About { min_zoom, max_zoom, center, members }, bounds })
    }

    /// The rows of the metadata.
    fn metadata(&self) -> Result<Map<String, Value>> {
        let mut rows = Map::new();
        let mut bytes = 0;
        let mut all = self
            .0
            .prepare("SELECT name, value FROM metadata WHERE length(value) <= ?1 LIMIT ?2")
            .map_err(sql)?;
        let mut all = all.query(params![MAX_METADATA as i64, MAX_ROWS as i64]).map_err(sql)?;
        while let Some(row) = all.next().map_err(sql)? {
            let name = row.get_ref(0).ok().and_then(|v| v.as_str().ok().map(str::to_owned));
            let Some(name) = name.filter(|name| name.len() <= 200) else { continue };
            // Some writers store numbers as numbers.
            let value = match row.get_ref(1).map_err(sql)? {
                rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                rusqlite::types::ValueRef::Integer(n) => n.to_string(),
                rusqlite::types::ValueRef::Real(n) => n.to_string(),
                _ => continue,
            };
            bytes += value.len();
            if bytes > MAX_METADATA {
                return Err(damaged("metadata"));
            }
            rows.insert(name, value.into());
        }
        Ok(rows)
    }

    fn zooms(&self) -> Result<(u8, u8)> {
        let found: (Option<u8>, Option<u8>) = self
            .0
            .query_row("SELECT min(zoom_level), max(zoom_level) FROM tiles", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .map_err(sql)?;
        match found {
            (Some(min), Some(max)) => Ok((min, max)),
            _ => Err(damaged("no tile")),
        }
    }

    /// A tile as it is stored, gzipped or not; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is too large or cannot be read.
    pub fn tile(&mut self, tile: TileId) -> Result<Option<Vec<u8>>> {
        self.in_time()?;
        // Rows are counted from the south.
        let row = (1u32 << tile.z) - 1 - tile.y;
        let found = self
            .0
            .prepare_cached(
                "SELECT CASE WHEN length(tile_data) <= ?4 THEN tile_data END FROM tiles
                 WHERE zoom_level = ?1 AND tile_column = ?2 AND tile_row = ?3 LIMIT 1",
            )
            .and_then(|mut one| {
                let place = params![tile.z, tile.x, row, MAX_PACKED as i64];
                one.query_row(place, |row| row.get::<_, Option<Vec<u8>>>(0)).optional()
            })
            .map_err(sql)?;
        match found {
            None => Ok(None),
            Some(Some(bytes)) => Ok(Some(bytes)),
            Some(None) => Err(damaged("size")),
        }
    }

    /// Starts the clock of a question.
    fn in_time(&mut self) -> Result<()> {
        let ends = Instant::now() + PATIENCE;
        self.0.progress_handler(STEPS, Some(move || Instant::now() > ends)).map_err(sql)
    }
}

/// What SQLite says stays in the log.
fn sql(error: rusqlite::Error) -> Error {
    tracing::warn!(cause = %error, "MBTiles");
    damaged("MBTiles")
}

#[cfg(test)]
mod tests;
