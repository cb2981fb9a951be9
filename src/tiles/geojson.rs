//! A tile as GeoJSON, to look into it: what was drawn, decoded, each vertex back on its degrees.

use super::Tile;
use crate::{
    error::Result,
    formats::mvt::{DecodedFeature, DecodedValue, GeometryType, read},
    model::TileId,
};
use serde_json::{Map, Value, json};

impl Tile {
    /// Its features as a GeoJSON feature collection (CRS84). A feature's `layer` names the layer it
    /// was drawn in; its id is the number that the tile gives it.
    ///
    /// # Errors
    /// [`crate::error::Error::Refused`] when the tile is none.
    pub fn geojson(&self, id: TileId) -> Result<Vec<u8>> {
        let mut features = Vec::new();
        for layer in read(&self.plain)? {
            let grid = Grid { tile: id, extent: f64::from(layer.extent.max(1)) };
            for feature in &layer.features {
                let properties: Map<String, Value> = layer
                    .properties(feature)
                    .map(|(name, value)| (name.to_owned(), plain(value)))
                    .collect();
                let mut shown = json!({
                    "type": "Feature",
                    "layer": layer.name,
                    "properties": properties,
                    "geometry": grid.geometry(feature),
                });
                if let Some(number) = feature.id {
                    shown["id"] = number.into();
                }
                features.push(shown);
            }
        }
        Ok(collection(features))
    }
}

/// The tile that holds nothing.
pub fn nothing() -> Vec<u8> {
    collection(Vec::new())
}

fn collection(features: Vec<Value>) -> Vec<u8> {
    json!({ "type": "FeatureCollection", "features": features }).to_string().into_bytes()
}

fn plain(value: &DecodedValue) -> Value {
    match value {
        DecodedValue::Text(text) => text.as_str().into(),
        DecodedValue::Double(number) => (*number).into(),
        DecodedValue::Int(number) => (*number).into(),
        DecodedValue::Uint(number) => (*number).into(),
        DecodedValue::Bool(yes) => (*yes).into(),
    }
}

/// A tile's own units on the ground.
struct Grid {
    tile: TileId,
    extent: f64,
}

impl Grid {
    fn position(&self, [x, y]: [i32; 2]) -> Value {
        let TileId { grid, z, .. } = self.tile;
        let x = (f64::from(self.tile.x) + f64::from(x) / self.extent) / f64::from(grid.columns(z));
        let y = (f64::from(self.tile.y) + f64::from(y) / self.extent) / f64::from(grid.rows(z));
        let short = |degrees: f64| (degrees * 1e9).round() / 1e9;
        json!(grid.position([x, y]).map(short))
    }

    fn path(&self, path: &[[i32; 2]], closed: bool) -> Vec<Value> {
        let again = path.first().filter(|_| closed);
        path.iter().chain(again).map(|p| self.position(*p)).collect()
    }

    fn geometry(&self, feature: &DecodedFeature) -> Value {
        let of = |kind: &str, mut parts: Vec<Value>| match parts.len() {
            1 => json!({ "type": kind, "coordinates": parts.swap_remove(0) }),
            _ => json!({ "type": format!("Multi{kind}"), "coordinates": parts }),
        };
        match feature.kind {
            GeometryType::Point => {
                of("Point", feature.paths.iter().flat_map(|p| self.path(p, false)).collect())
            }
            GeometryType::Line => {
                let lines = feature.paths.iter().map(|p| self.path(p, false).into());
                of("LineString", lines.collect())
            }
            GeometryType::Polygon => {
                let mut polygons: Vec<Vec<Value>> = Vec::new();
                for ring in &feature.paths {
                    // On the ground exteriors turn the other way: RFC 7946 wants them so.
                    let mut shown = self.path(ring, true);
                    shown.reverse();
                    match polygons.last_mut() {
                        Some(last) if area(ring) < 0 => last.push(shown.into()),
                        _ => polygons.push(vec![shown.into()]),
                    }
                }
                of("Polygon", polygons.into_iter().map(Value::from).collect())
            }
        }
    }
}

/// Twice the area of a ring in the tile's units, positive for exteriors.
fn area(ring: &[[i32; 2]]) -> i64 {
    let next = ring.iter().cycle().skip(1);
    ring.iter()
        .zip(next)
        .map(|(a, b)| i64::from(a[0]) * i64::from(b[1]) - i64::from(b[0]) * i64::from(a[1]))
        .sum()
}
