//! Descriptions of tiles: tilesets (OGC 17-083r4 and 20-057), TileJSON, and the tile grids.

use super::{
    Answer, archives,
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
    model::{
        BBox, Drawing, FieldKind, Grid,
        drawing::Part,
        tile_grid::{Definition, MERCATOR_EDGE},
    },
    text, tiles,
};
use axum::extract::Path;
use serde_json::{Map, Value, json};

/// The grid of an id.
///
/// # Errors
/// [`Error::NotFound`], with those that are served.
pub fn known_grid(id: &str) -> Result<Grid> {
    Grid::of(id).ok_or_else(|| {
        let shown: String = id.chars().take(60).collect();
        let known = ids().collect::<Vec<_>>().join(", ");
        Error::NotFound(text!(
            "Grille de tuiles inconnue : « {shown} ». Grilles servies : {known}.",
            "Unknown tile matrix set: \"{shown}\". Served: {known}."
        ))
    })
}

/// The ids of all grids.
pub(super) fn ids() -> impl Iterator<Item = &'static str> {
    Grid::all().map(|grid| grid.definition().id)
}

/// `GET /collections/{id}/tiles`
pub async fn list(Path(id): Path<String>, visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    visit.format()?;
    if let Some(archive) = visit.archive(&id)? {
        return archives::list(archive, &visit).await;
    }
    let layer = visit.layer(&id)?;
    let tag = visit.tag(&["tilesets", &layer.at()?.key()]).of(&layer.def);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let layer = visit.described(&layer).await?;
    let described = |grid: Grid| {
        let mut tileset = tileset(&visit, &layer, grid)?;
        tileset["links"] = json!(tileset_links(&visit, &id, grid));
        Ok(tileset)
    };
    let tilesets = Grid::all().map(described).collect::<Result<Vec<_>>>()?;
    let value = json!({ "links": visit.own_links(media::JSON), "tilesets": tilesets });
    let title = text!("Tuiles", "Tiles");
    let title = format!("{} — {}", visit.say(&layer.def.title), visit.say(&title));
    visit.present(&tag, media::JSON, &title, &value).await
}

/// `GET /collections/{id}/tiles/{tms}`
pub async fn one(Path((id, tms)): Path<(String, String)>, visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    visit.format()?;
    if let Some(archive) = visit.archive(&id)? {
        archives::known_grid(archive, &tms)?;
        return archives::one(archive, &visit).await;
    }
    let layer = visit.layer(&id)?;
    let grid = known_grid(&tms)?;
    let tag = visit.tag(&["tileset", &tms, &layer.at()?.key()]).of(&layer.def);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let layer = visit.described(&layer).await?;
    let mut value = tileset(&visit, &layer, grid)?;
    value["layers"] = json!(tile_layers(&layer, grid)?);
    let mut links = visit.own_links(media::JSON);
    links.extend(tileset_links(&visit, &id, grid).into_iter().skip(1));
    value["links"] = json!(links);
    let title = format!("{} — {tms}", visit.say(&layer.def.title));
    visit.present(&tag, media::JSON, &title, &value).await
}

fn tileset(visit: &Visit, layer: &Layer, grid: Grid) -> Result<Value> {
    let version = &layer.at()?.version;
    let zooms = (version.min_zoom, version.max_zoom);
    let title = visit.titled(&layer.def.title);
    Ok(document(grid, title, &layer.def.attribution, version.bbox, zooms))
}

/// A tileset without its links.
pub(super) fn document(
    grid: Grid,
    title: String,
    attribution: &str,
    bbox: Option<BBox>,
    zooms: (u8, u8),
) -> Value {
    let mut value = extent(grid, title, attribution, bbox, zooms);
    if let Some(b) = bbox {
        let centre = [(b.west + b.east) / 2.0, (b.south + b.north) / 2.0];
        let first = grid.zooms(zooms.0, zooms.1).start().to_string();
        value["centerPoint"] = json!({ "coordinates": centre, "crs": CRS84, "tileMatrix": first });
    }
    value
}

/// What a tileset says of itself in a grid: the zooms are those of `WebMercatorQuad`.
pub(super) fn extent(
    grid: Grid,
    title: String,
    attribution: &str,
    bbox: Option<BBox>,
    zooms: (u8, u8),
) -> Value {
    let Definition { id, uri, crs, .. } = grid.definition();
    let mut value = json!({
        "title": title,
        "dataType": "vector",
        "crs": crs,
        "tileMatrixSetId": id,
        "tileMatrixSetURI": uri,
        "tileMatrixSetLimits": limits(grid, bbox, zooms),
        "attribution": attribution,
        "mediaTypes": [media::MVT, media::GEOJSON],
    });
    if let Some(b) = bbox {
        value["boundingBox"] = json!({ "lowerLeft": [b.west, b.south], "upperRight": [b.east, b.north], "crs": CRS84 });
    }
    value
}

/// A layer as a tileset lists it, with those that its tiles carry beside it.
pub(super) fn tile_layers(layer: &Layer, grid: Grid) -> Result<Vec<Value>> {
    let version = &layer.at()?.version;
    let zooms = grid.zooms(version.min_zoom, version.max_zoom);
    let mut properties = Map::new();
    for field in &version.schema.fields {
        properties.insert(field.name.clone(), schema::kind(field.kind));
    }
    let sides: Map<String, Value> =
        Drawing::SIDES.iter().map(|s| ((*s).to_owned(), schema::kind(FieldKind::Text))).collect();
    let drawing = version.drawing.as_deref();
    let listed = |(id, part): (String, Part)| {
        let (properties, dimension) = match part {
            Part::Features => (&properties, version.schema.geometry.dimension()),
            Part::Labels => (&properties, Some(0)),
            Part::Borders => (&sides, Some(1)),
        };
        let mut value = json!({
            "id": id,
            "dataType": "vector",
            "minTileMatrix": zooms.start().to_string(),
            "maxTileMatrix": zooms.end().to_string(),
            "propertiesSchema": { "type": "object", "properties": properties },
        });
        if let Some(dimension) = dimension {
            value["geometryDimension"] = dimension.into();
        }
        // Which fields and details small zooms leave out.
        if let Some(drawing) = drawing.filter(|_| part == Part::Features) {
            value["socle"] = json!({ "drawing": drawing });
        }
        value
    };
    Ok(Drawing::layers(layer.def.id.as_str(), drawing).into_iter().map(listed).collect())
}

pub(super) fn tileset_links(visit: &Visit, id: &str, grid: Grid) -> Vec<Link> {
    let url = |rest: &str| visit.url(&format!("collections/{id}/{rest}"));
    let mut links = grid_links(visit, grid, url);
    links.push(Link::new(rel::GEODATA, media::JSON, visit.url(&format!("collections/{id}"))));
    links
}

/// The links of a tileset to itself, to its tiles and to their grid; `url` gives the address of
/// what lies below the tileset's owner.
pub(super) fn grid_links(visit: &Visit, grid: Grid, url: impl Fn(&str) -> String) -> Vec<Link> {
    let id = grid.definition().id;
    let template = format!("tiles/{id}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}");
    let mut links = vec![
        Link::new("self", media::JSON, url(&format!("tiles/{id}"))),
        Link::new("item", media::MVT, url(&template)).template(),
        Link::new("item", media::GEOJSON, as_geojson(url(&template))).template(),
        Link::new(rel::TILING_SCHEME, media::JSON, visit.url(&format!("tileMatrixSets/{id}"))),
    ];
    // TileJSON knows no other grid.
    if grid == Grid::WEB_MERCATOR {
        links.push(Link::new("describedby", media::JSON, url("tilejson.json")).titled("TileJSON"));
    }
    links
}

/// The template of the same tiles as GeoJSON.
fn as_geojson(mut template: String) -> String {
    template.push_str(if template.contains('?') { "&f=geojson" } else { "?f=geojson" });
    template
}

/// The tiles that may hold something, for each prepared zoom.
pub(super) fn limits(grid: Grid, bbox: Option<BBox>, zooms: (u8, u8)) -> Vec<Value> {
    let bbox = bbox.filter(|b| !b.is_empty()).unwrap_or(BBox::WORLD);
    let (west, east) =
        if bbox.crosses_antimeridian() { (-180.0, 180.0) } else { (bbox.west, bbox.east) };
    // Beyond, all is drawn on the edge of the web-mercator square.
    let latitude = |v: f64| v.clamp(-MERCATOR_EDGE, MERCATOR_EDGE);
    grid.zooms(zooms.0, zooms.1)
        .map(|z| {
            let (left, top) = cell(grid, z, west, latitude(bbox.north));
            let (right, bottom) = cell(grid, z, east, latitude(bbox.south));
            json!({
                "tileMatrix": z.to_string(),
                "minTileRow": top,
                "maxTileRow": bottom,
                "minTileCol": left,
                "maxTileCol": right,
            })
        })
        .collect()
}

/// The column and row that hold a position.
fn cell(grid: Grid, z: u8, lon: f64, lat: f64) -> (u32, u32) {
    let [x, y] = grid.share(lon, lat);
    // A float cast saturates; the least keeps the eastern and southern edges inside.
    let of = |share: f64, n: u32| ((share * f64::from(n)).floor().max(0.0) as u32).min(n - 1);
    (of(x, grid.columns(z)), of(y, grid.rows(z)))
}

/// `GET /collections/{id}/tilejson.json`
pub async fn tilejson(Path(id): Path<String>, visit: Visit) -> Answer {
    let [filter, lang, crs, when] = filter::PARAMETERS;
    visit.params.check(&[name::F, filter, lang, crs, when], &[])?;
    if let Some(archive) = visit.archive(&id)? {
        visit.params.check(&[name::F], &[])?;
        return archives::tilejson(archive, &visit).await;
    }
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
    let known = |grid: Grid| {
        let Definition { id, title, uri, crs, .. } = grid.definition();
        let link = Link::new("self", media::JSON, visit.url(&format!("tileMatrixSets/{id}")));
        json!({ "id": id, "title": title, "uri": uri, "crs": crs, "links": [link] })
    };
    let value = json!({
        "links": visit.own_links(media::JSON),
        "tileMatrixSets": Grid::all().map(known).collect::<Vec<_>>(),
    });
    let title = text!("Grilles de tuiles", "Tile matrix sets");
    visit.present(&tag, media::JSON, visit.say(&title), &value).await
}

/// `GET /tileMatrixSets/{tms}`
pub async fn grid(Path(tms): Path<String>, visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    let grid = known_grid(&tms)?;
    let tag = visit.tag(&["grid", &tms]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let mut value = definition(grid);
    value["links"] = json!(visit.own_links(media::JSON));
    visit.present(&tag, media::JSON, &tms, &value).await
}

/// A grid as 17-083r4 writes it.
fn definition(grid: Grid) -> Value {
    let of = grid.definition();
    let matrix = |z: u8| {
        let n = f64::from(z).exp2();
        json!({
            "id": z.to_string(),
            "scaleDenominator": of.scale / n,
            "cellSize": of.cell / n,
            "cornerOfOrigin": "topLeft",
            "pointOfOrigin": of.origin,
            "tileWidth": 256,
            "tileHeight": 256,
            "matrixWidth": grid.columns(z),
            "matrixHeight": grid.rows(z),
        })
    };
    json!({
        "id": of.id,
        "title": of.title,
        "uri": of.uri,
        "crs": of.crs,
        "orderedAxes": of.axes,
        "wellKnownScaleSet": of.scale_set,
        "tileMatrices": (0..=of.deepest).map(matrix).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TileId;

    #[test]
    fn rows_and_columns_agree_with_the_tiles_own_bounds() {
        for (lon, lat) in [(2.35, 48.85), (-61.5, 16.2), (55.5, -21.1), (3.06, 50.63)] {
            for (grid, z) in Grid::all().flat_map(|grid| (0..=18).map(move |z| (grid, z))) {
                let (x, y) = cell(grid, z, lon, lat);
                let bounds = TileId::within(grid, z, x, y).unwrap().bounds();
                assert!(bounds.west <= lon && lon <= bounds.east, "{z} {lon}");
                assert!(bounds.south <= lat && lat <= bounds.north, "{z} {lat}");
            }
        }
        let crs84 = Grid::of("WorldCRS84Quad").unwrap();
        assert_eq!(cell(Grid::WEB_MERCATOR, 3, 180.0, -90.0), (7, 7));
        assert_eq!(cell(crs84, 3, 180.0, -90.0), (15, 7));
        assert_eq!(cell(crs84, 3, -180.0, 90.0), (0, 0));
    }

    /// The definitions that OGC registers, as its list of 2D tile matrix sets has them.
    #[test]
    fn definitions_are_those_of_the_register() {
        let register =
            [include_str!("tests/WebMercatorQuad.json"), include_str!("tests/WorldCRS84Quad.json")];
        for (grid, text) in Grid::all().zip(register) {
            let registered: Value = serde_json::from_str(text).unwrap();
            let ours = definition(grid);
            for member in ["id", "title", "uri", "crs", "orderedAxes", "wellKnownScaleSet"] {
                assert_eq!(ours[member], registered[member], "{member}");
            }
            let matrices = |of: &Value| of["tileMatrices"].as_array().unwrap().clone();
            let (ours, registered) = (matrices(&ours), matrices(&registered));
            assert_eq!(ours.len(), registered.len());
            for (ours, registered) in ours.iter().zip(&registered) {
                for member in ["id", "tileWidth", "tileHeight", "matrixWidth", "matrixHeight"] {
                    assert_eq!(ours[member], registered[member], "{member}");
                }
                let near = |a: &Value, b: &Value| {
                    let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
                    assert!((a / b - 1.0).abs() < 1e-11, "{a} {b}");
                };
                near(&ours["scaleDenominator"], &registered["scaleDenominator"]);
                near(&ours["cellSize"], &registered["cellSize"]);
                near(&ours["pointOfOrigin"][0], &registered["pointOfOrigin"][0]);
                near(&ours["pointOfOrigin"][1], &registered["pointOfOrigin"][1]);
            }
        }
    }
}
