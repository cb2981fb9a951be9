//! Descriptions of tiles: tilesets (OGC 17-083r4 and 20-057), TileJSON, and the one tile grid.

use super::{
    Answer,
    collections::CRS84,
    filter,
    links::{Link, media, rel},
    params::name,
    reply::Document,
    schema,
    visit::Visit,
};
use crate::{
    catalog::Layer,
    error::{Error, Result},
    model::{BBox, tile_id::MAX_ZOOM},
    text, tiles,
};
use axum::extract::Path;
use serde_json::{Map, Value, json};

/// The grid's id.
pub const GRID_ID: &str = "WebMercatorQuad";
pub(super) const GRID_URI: &str =
    "http://www.opengis.net/def/tilematrixset/OGC/1.0/WebMercatorQuad";
pub(super) const EPSG_3857: &str = "http://www.opengis.net/def/crs/EPSG/0/3857";
/// Half the width of the grid, metres.
const HALF: f64 = 20_037_508.342_789_244;
/// Scale denominator of matrix 0 (17-083r4, annex D).
const SCALE: f64 = 559_082_264.028_717_8;
/// Cell size of matrix 0, metres.
const CELL: f64 = 156_543.033_928_041;
/// Latitude at the edge of the grid.
const EDGE: f64 = 85.051_128_779_806_6;

/// Refuses grids that are not served.
pub fn known_grid(id: &str) -> Result<()> {
    if id == GRID_ID {
        return Ok(());
    }
    let shown: String = id.chars().take(60).collect();
    Err(Error::NotFound(text!(
        "Grille de tuiles inconnue : « {shown} ». Grille servie : {GRID_ID}.",
        "Unknown tile matrix set: \"{shown}\". Served: {GRID_ID}."
    )))
}

/// `GET /collections/{id}/tiles`
pub async fn list(Path(id): Path<String>, visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    visit.format()?;
    let layer = visit.layer(&id)?;
    let tag = visit.tag(&["tilesets", &layer.at()?.key()]).of(&layer.def);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let layer = visit.described(&layer).await?;
    let mut tileset = tileset(&visit, &layer)?;
    tileset["links"] = json!(tileset_links(&visit, &id));
    let value = json!({ "links": visit.own_links(media::JSON), "tilesets": [tileset] });
    let title = text!("Tuiles", "Tiles");
    let title = format!("{} — {}", visit.say(&layer.def.title), visit.say(&title));
    visit.present(&tag, media::JSON, &title, &value).await
}

/// `GET /collections/{id}/tiles/{tms}`
pub async fn one(Path((id, tms)): Path<(String, String)>, visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    visit.format()?;
    let layer = visit.layer(&id)?;
    known_grid(&tms)?;
    let tag = visit.tag(&["tileset", &layer.at()?.key()]).of(&layer.def);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let layer = visit.described(&layer).await?;
    let mut value = tileset(&visit, &layer)?;
    value["layers"] = json!([tile_layer(&layer)?]);
    let mut links = visit.own_links(media::JSON);
    links.extend(tileset_links(&visit, &id).into_iter().skip(1));
    value["links"] = json!(links);
    let title = format!("{} — {GRID_ID}", visit.say(&layer.def.title));
    visit.present(&tag, media::JSON, &title, &value).await
}

fn tileset(visit: &Visit, layer: &Layer) -> Result<Value> {
    let version = &layer.at()?.version;
    let mut value = json!({
        "title": visit.titled(&layer.def.title),
        "dataType": "vector",
        "crs": EPSG_3857,
        "tileMatrixSetId": GRID_ID,
        "tileMatrixSetURI": GRID_URI,
        "tileMatrixSetLimits": limits(version.bbox, version.min_zoom, version.max_zoom),
        "attribution": layer.def.attribution,
        "mediaTypes": [media::MVT, media::GEOJSON],
    });
    if let Some(b) = version.bbox {
        value["boundingBox"] = json!({ "lowerLeft": [b.west, b.south], "upperRight": [b.east, b.north], "crs": CRS84 });
        let centre = [(b.west + b.east) / 2.0, (b.south + b.north) / 2.0];
        value["centerPoint"] = json!({ "coordinates": centre, "crs": CRS84, "tileMatrix": version.min_zoom.to_string() });
    }
    Ok(value)
}

/// A layer as a tileset lists it.
pub(super) fn tile_layer(layer: &Layer) -> Result<Value> {
    let version = &layer.at()?.version;
    let mut properties = Map::new();
    for field in &version.schema.fields {
        properties.insert(field.name.clone(), schema::kind(field.kind));
    }
    let mut value = json!({
        "id": layer.def.id.as_str(),
        "dataType": "vector",
        "minTileMatrix": version.min_zoom.to_string(),
        "maxTileMatrix": version.max_zoom.to_string(),
        "propertiesSchema": { "type": "object", "properties": properties },
    });
    if let Some(dimension) = version.schema.geometry.dimension() {
        value["geometryDimension"] = dimension.into();
    }
    Ok(value)
}

fn tileset_links(visit: &Visit, id: &str) -> Vec<Link> {
    let url = |rest: &str| visit.url(&format!("collections/{id}/{rest}"));
    let template = format!("tiles/{GRID_ID}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}");
    vec![
        Link::new("self", media::JSON, url(&format!("tiles/{GRID_ID}"))),
        Link::new("item", media::MVT, url(&template)).template(),
        Link::new("item", media::GEOJSON, as_geojson(url(&template))).template(),
        Link::new(rel::TILING_SCHEME, media::JSON, visit.url(&format!("tileMatrixSets/{GRID_ID}"))),
        Link::new("describedby", media::JSON, url("tilejson.json")).titled("TileJSON"),
        Link::new(rel::GEODATA, media::JSON, visit.url(&format!("collections/{id}"))),
    ]
}

/// The template of the same tiles as GeoJSON.
pub(super) fn as_geojson(mut template: String) -> String {
    template.push_str(if template.contains('?') { "&f=geojson" } else { "?f=geojson" });
    template
}

/// The tiles that may hold something, for each prepared zoom.
pub(super) fn limits(bbox: Option<BBox>, min_zoom: u8, max_zoom: u8) -> Vec<Value> {
    let bbox = bbox.filter(|b| !b.is_empty()).unwrap_or(BBox::WORLD);
    let (west, east) =
        if bbox.crosses_antimeridian() { (-180.0, 180.0) } else { (bbox.west, bbox.east) };
    (min_zoom..=max_zoom.min(MAX_ZOOM))
        .map(|z| {
            let (left, right) = (column(west, z), column(east, z));
            json!({
                "tileMatrix": z.to_string(),
                "minTileRow": row(bbox.north, z),
                "maxTileRow": row(bbox.south, z),
                "minTileCol": left,
                "maxTileCol": right,
            })
        })
        .collect()
}

fn column(lon: f64, z: u8) -> u32 {
    cell((lon + 180.0) / 360.0, z)
}

fn row(lat: f64, z: u8) -> u32 {
    let lat = lat.clamp(-EDGE, EDGE).to_radians();
    cell((1.0 - lat.tan().asinh() / std::f64::consts::PI) / 2.0, z)
}

fn cell(share: f64, z: u8) -> u32 {
    let n = 1u32 << z.min(30);
    // A float cast saturates; the clamp keeps the eastern and southern edges inside.
    ((share * f64::from(n)).floor().max(0.0) as u32).min(n - 1)
}

/// `GET /collections/{id}/tilejson.json`
pub async fn tilejson(Path(id): Path<String>, visit: Visit) -> Answer {
    let [filter, lang, crs, when] = filter::PARAMETERS;
    visit.params.check(&[name::F, filter, lang, crs, when], &[])?;
    let layer = visit.layer(&id)?;
    let at = layer.at()?;
    let expression = filter::read(&visit, &layer)?;
    let filter = expression.as_ref().map_or("", |e| e.key());
    let tag = visit.tag(&["tilejson", &at.key(), filter]).of(&layer.def);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let layer = visit.described(&layer).await?;
    let title = visit.titled(&layer.def.title);
    let template = filter::repeated(&visit, xyz_template(&visit, &id));
    let value = tiles::tilejson(&layer, layer.at()?, &template, &title);
    visit.send(&tag, Document::json(media::JSON, &value)).await
}

/// The stable XYZ template of a layer within the scope.
pub fn xyz_template(visit: &Visit, id: &str) -> String {
    visit.url(&format!("collections/{id}/tiles/{{z}}/{{x}}/{{y}}.mvt"))
}

/// `GET /tileMatrixSets`
pub async fn grids(visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    let tag = visit.tag(&["grids"]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let link = Link::new("self", media::JSON, visit.url(&format!("tileMatrixSets/{GRID_ID}")));
    let value = json!({
        "links": visit.own_links(media::JSON),
        "tileMatrixSets": [{ "id": GRID_ID, "title": "Web Mercator", "uri": GRID_URI, "crs": EPSG_3857, "links": [link] }],
    });
    let title = text!("Grilles de tuiles", "Tile matrix sets");
    visit.present(&tag, media::JSON, visit.say(&title), &value).await
}

/// `GET /tileMatrixSets/{tms}`
pub async fn grid(Path(tms): Path<String>, visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    known_grid(&tms)?;
    let tag = visit.tag(&["grid"]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let matrices: Vec<Value> = (0..=MAX_ZOOM)
        .map(|z| {
            let n = 1u32 << z;
            json!({
                "id": z.to_string(),
                "scaleDenominator": SCALE / f64::from(n),
                "cellSize": CELL / f64::from(n),
                "cornerOfOrigin": "topLeft",
                "pointOfOrigin": [-HALF, HALF],
                "tileWidth": 256,
                "tileHeight": 256,
                "matrixWidth": n,
                "matrixHeight": n,
            })
        })
        .collect();
    let value = json!({
        "id": GRID_ID,
        "title": "Google Maps Compatible for the World",
        "uri": GRID_URI,
        "crs": EPSG_3857,
        "orderedAxes": ["X", "Y"],
        "wellKnownScaleSet": "http://www.opengis.net/def/wkss/OGC/1.0/GoogleMapsCompatible",
        "tileMatrices": matrices,
        "links": visit.own_links(media::JSON),
    });
    visit.present(&tag, media::JSON, GRID_ID, &value).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TileId;

    #[test]
    fn rows_and_columns_agree_with_the_tiles_own_bounds() {
        for (lon, lat) in [(2.35, 48.85), (-61.5, 16.2), (55.5, -21.1), (3.06, 50.63)] {
            for z in 0..=18 {
                let (x, y) = (column(lon, z), row(lat, z));
                let bounds = TileId::new(z, x, y).unwrap().bounds();
                assert!(bounds.west <= lon && lon <= bounds.east, "{z} {lon}");
                assert!(bounds.south <= lat && lat <= bounds.north, "{z} {lat}");
            }
        }
        assert_eq!((column(180.0, 3), row(-90.0, 3), row(90.0, 3)), (7, 7, 0));
    }
}
