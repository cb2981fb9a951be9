//! Examples of the API definition: taken from a layer that is served, so that they can be tried.

use crate::{
    catalog::{Layer, Snapshot},
    http::{collections::CRS84, items, tilesets, visit::Visit},
    model::{Field, FieldKind, Grid},
    query::is_sortable,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// What looking for a feature may take: without one there are fewer examples.
const PATIENCE: Duration = Duration::from_millis(500);

/// The layer that examples come from: the first whose versions stay, else the first.
pub(super) fn layer(snapshot: &Snapshot) -> Option<&Arc<Layer>> {
    let placed = |layer: &&Arc<Layer>| {
        let at = layer.current.as_ref();
        at.is_some_and(|at| at.version.bbox.is_some() && at.version.live.is_none())
    };
    snapshot.served().find(placed).or_else(|| snapshot.served().next())
}

/// What examples are made of; nothing: there are none.
#[derive(Default)]
pub(super) struct Sample {
    layer: Option<Arc<Layer>>,
    /// Its first feature.
    feature: Option<Value>,
    /// A tile with some of it: zoom, row, column.
    tile: Option<[u64; 3]>,
    /// Layers of a table or a file.
    several: Vec<String>,
    /// A territory of the scope, or one that everybody knows.
    territory: String,
    vintage: u16,
}

impl Sample {
    /// From the layers as they stand, and one look into the store.
    pub(super) async fn of(visit: &Visit, snapshot: &Snapshot) -> Self {
        let layer = layer(snapshot).cloned();
        // A cut takes its time, and is done once somebody wants it.
        let whole = visit.scope.as_ref().is_none_or(|scope| scope.clip.is_none());
        let feature = match layer.as_ref().filter(|_| whole) {
            Some(layer) => tokio::time::timeout(PATIENCE, items::first(visit, layer)).await,
            None => Ok(Ok(None)),
        };
        let scope = visit.scope.as_ref().and_then(|scope| scope.resolved.first());
        let shown = |layer: &&Arc<Layer>| layer.current.is_some();
        Self {
            feature: feature.ok().and_then(Result::ok).flatten(),
            tile: layer.as_deref().and_then(tile),
            several: snapshot
                .served()
                .filter(shown)
                .take(2)
                .map(|l| l.def.id.to_string())
                .collect(),
            territory: scope.map_or_else(|| "dep:59".to_owned(), |r| r.code.to_string()),
            vintage: visit.reference().vintage(),
            layer,
        }
    }

    /// The id of the layer.
    pub(super) fn id(&self) -> Option<&str> {
        self.layer.as_ref().map(|layer| layer.def.id.as_str())
    }

    /// An example of a shared parameter, by its key among the components.
    pub(super) fn parameter(&self, key: &str) -> Option<Value> {
        Some(match key {
            "limit" => json!(10),
            "bbox" => json!(self.bbox()?),
            "datetime" => json!("2025-01-01/.."),
            "crs" => json!("http://www.opengis.net/def/crs/EPSG/0/2154"),
            "bbox-crs" | "filter-crs" => json!(CRS84),
            "offset" => json!(20),
            "territory" | "territoire" => json!([self.territory]),
            "territory-mode" => json!("within"),
            "filter" => json!(self.filter()?),
            "filter-lang" => json!("cql2-text"),
            "resultType" => json!("hits"),
            "f" | "stats-f" | "territory-f" | "table-f" => json!("json"),
            "items-f" => json!("csv"),
            "tile-f" => json!("geojson"),
            "export-format" => json!("gpkg"),
            "export-crs" => json!("EPSG:2154"),
            "decimal" | "separator" => json!("comma"),
            "bom" => json!(false),
            "geometry" => json!("wkt"),
            "collections" | "columns" if !self.several.is_empty() => json!(self.several),
            "show" => json!("count"),
            "since" => json!(self.layer.as_ref()?.at().ok()?.version.id.as_str()),
            "page" => json!(1),
            "by" | "level" => json!("epci"),
            "metric" => json!("count"),
            "share" => json!("main"),
            "sort" => json!("-count"),
            "q" => json!("Lille"),
            "vintage" => json!(self.vintage),
            "territories-limit" => json!(5),
            "properties" => json!(self.names(|_| true).take(2).collect::<Vec<_>>()),
            "skipGeometry" => json!(true),
            "zoom-level" => json!(8),
            "sortby" => json!([format!("-{}", self.sortable()?)]),
            _ => return None,
        })
    }

    /// An example of a variable of a path.
    pub(super) fn variable(&self, name: &str) -> Option<Value> {
        let at = self.layer.as_ref()?.current.as_ref()?;
        let [z, row, col] = self.tile.unwrap_or_default();
        Some(match name {
            "collectionId" | "styleId" => json!(self.id()?),
            "featureId" => self.feature.as_ref()?.get("id")?.clone(),
            "file" => json!("socle.json"),
            "tileMatrixSetId" => json!(Grid::WEB_MERCATOR.definition().id),
            "z" => json!(z),
            "tileMatrix" => json!(z.to_string()),
            "tileRow" | "y" => json!(row),
            "tileCol" | "x" => json!(col),
            "territory" => json!(self.territory.replace(':', "-")),
            "version" => json!(at.version.id.as_str()),
            _ => return None,
        })
    }

    /// An example of a feature.
    pub(super) fn feature(&self) -> Option<&Value> {
        self.feature.as_ref()
    }

    /// An example of a page of features.
    pub(super) fn features(&self) -> Option<Value> {
        Some(json!({
            "type": "FeatureCollection",
            "numberReturned": 1,
            "features": [self.feature.as_ref()?],
        }))
    }

    /// A box in the middle of the layer.
    fn bbox(&self) -> Option<[f64; 4]> {
        let b = self.layer.as_ref()?.current.as_ref()?.version.bbox?;
        let (x, y) = ((b.west + b.east) / 2.0, (b.south + b.north) / 2.0);
        let (w, h) = ((b.east - b.west) / 20.0, (b.north - b.south) / 20.0);
        let round = |n: f64| (n * 100.0).round() / 100.0;
        // Never narrower than what is rounded away.
        let (w, h) = (w.max(0.01), h.max(0.01));
        Some([round(x - w), round(y - h), round(x + w), round(y + h)])
    }

    /// Fields whose names may stand in a list.
    fn names(&self, wanted: impl Fn(&Field) -> bool) -> impl Iterator<Item = &str> {
        let at = self.layer.as_ref().and_then(|layer| layer.current.as_ref());
        let fields = at.into_iter().flat_map(|at| &at.version.schema.fields);
        fields.filter(move |f| wanted(f) && !f.name.contains(',')).map(|f| f.name.as_str())
    }

    fn sortable(&self) -> Option<&str> {
        let number = |f: &Field| matches!(f.kind, FieldKind::Int | FieldKind::Float);
        self.names(number).next().or_else(|| self.names(is_sortable).next())
    }

    /// A filter that finds the feature, by the field that names it or the first text it has.
    fn filter(&self) -> Option<String> {
        let properties = self.feature.as_ref()?.get("properties")?.as_object()?;
        let label = self.layer.as_ref()?.def.label.as_deref();
        let label = label.and_then(|name| properties.get_key_value(name));
        let text = |(_, value): &(&String, &Value)| value.is_string();
        let (name, value) = label.filter(text).or_else(|| properties.iter().find(text))?;
        let quoted = |text: &str, mark: &str| text.replace(mark, &mark.repeat(2));
        Some(format!("\"{}\" = '{}'", quoted(name, "\""), quoted(value.as_str()?, "'")))
    }
}

/// The tile in the middle of a layer, at a zoom where it has some.
fn tile(layer: &Layer) -> Option<[u64; 3]> {
    let version = &layer.current.as_ref()?.version;
    let z = 9u8.clamp(version.min_zoom, version.max_zoom);
    let limits = tilesets::limits(Grid::WEB_MERCATOR, Some(version.bbox?), (z, z));
    let limits = limits.first()?;
    let middle = |least: &str, most: &str| {
        Some(u64::midpoint(limits.get(least)?.as_u64()?, limits.get(most)?.as_u64()?))
    };
    Some([u64::from(z), middle("minTileRow", "maxTileRow")?, middle("minTileCol", "maxTileCol")?])
}
