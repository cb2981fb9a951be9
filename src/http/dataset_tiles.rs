//! Tiles of several layers at once (OGC 20-057, dataset tilesets and collections selection):
//! each an MVT layer of its own in the same tile.

use super::{
    Answer, archives, filter,
    links::{Link, media, rel},
    negotiate,
    params::name,
    reply::Document,
    tiles as tile_answers,
    tilesets::{extent, grid_links, known_grid, tile_layers},
    visit::Visit,
};
use crate::{
    catalog::Layer,
    error::{Error, Result},
    model::{BBox, Grid, TileId},
    query::Filter,
    text,
    tiles::{Part, Tiles, tilejson_together},
};
use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// Most layers in one tile.
pub const MOST: usize = 50;
/// Parameters of a tile.
pub const KNOWN: [&str; 10] = [
    name::COLLECTIONS,
    name::TERRITORY,
    name::TERRITOIRE,
    name::MODE,
    name::VINTAGE,
    name::FILTER,
    name::FILTER_LANG,
    name::FILTER_CRS,
    name::DATETIME,
    name::F,
];

/// `GET /tiles`
pub async fn list(visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    visit.format()?;
    let set = Set::read(&visit)?;
    let tag = visit.tag(&["dataset tilesets", &set.state()?]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let mut tilesets = Vec::new();
    for grid in Grid::all() {
        let mut tileset = set.describe(&visit, grid).await?;
        tileset["links"] = json!(set.links(&visit, grid));
        tilesets.push(tileset);
    }
    if visit.scope.is_none() {
        let archives = visit.site.app.archives.iter();
        tilesets.extend(archives.map(|archive| archives::listed(&visit, archive)));
    }
    let value = json!({ "links": visit.own_links(media::JSON), "tilesets": tilesets });
    let title = text!("Tuiles de toutes les couches", "Tiles of all layers");
    visit.present(&tag, media::JSON, visit.say(&title), &value).await
}

/// `GET /tiles/{tms}`
pub async fn one(Path(tms): Path<String>, visit: Visit) -> Answer {
    visit.params.check(&[name::COLLECTIONS, name::F], &[])?;
    visit.format()?;
    let grid = known_grid(&tms)?;
    let set = Set::read(&visit)?;
    let tag = visit.tag(&["dataset tileset", &tms, &set.state()?]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let mut value = set.describe(&visit, grid).await?;
    let layers: Result<Vec<_>> = set.layers.iter().map(|l| tile_layers(l, grid)).collect();
    value["layers"] = json!(layers?.concat());
    let mut links = visit.own_links(media::JSON);
    links.extend(set.links(&visit, grid).into_iter().skip(1));
    value["links"] = json!(links);
    visit.present(&tag, media::JSON, &tms, &value).await
}

/// `GET /tilejson.json`
pub async fn tilejson(visit: Visit) -> Answer {
    let [filter, lang, crs, when] = filter::PARAMETERS;
    visit.params.check(&[name::COLLECTIONS, name::F, filter, lang, crs, when], &[])?;
    let set = Set::read(&visit)?;
    for layer in &set.layers {
        filter::read(&visit, layer)?;
    }
    let tag = visit.tag(&["dataset tilejson", &set.state()?]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let mut layers = Vec::new();
    for layer in &set.layers {
        let layer = visit.described(layer).await?;
        let title = visit.titled(&layer.def.title);
        layers.push((layer, title));
    }
    let template = set.with_names(visit.url("tiles/{z}/{x}/{y}.mvt"));
    let template = filter::repeated(&visit, template);
    let title = visit.titled(&visit.site.app.settings.server.title);
    let value = tilejson_together(&layers, &template, &title)?;
    visit.send(&tag, Document::json(media::JSON, &value)).await
}

/// `GET /tiles/{tms}/{z}/{row}/{col}`
pub async fn ogc(
    Path((tms, z, row, col)): Path<(String, String, String, String)>,
    visit: Visit,
) -> Answer {
    let grid = known_grid(&tms)?;
    answer(tile_answers::address(grid, &z, &col, &row)?, &visit).await
}

/// `GET /tiles/{z}/{x}/{y}.mvt`
pub async fn xyz(Path((z, x, y)): Path<(String, String, String)>, visit: Visit) -> Answer {
    let row = tile_answers::row_of_xyz(&y)?;
    answer(tile_answers::address(Grid::WEB_MERCATOR, &z, &x, row)?, &visit).await
}

async fn answer(tile: TileId, visit: &Visit) -> Answer {
    visit.params.check(&KNOWN, &[])?;
    let form = tile_answers::Form::read(visit)?;
    let set = Set::read(visit)?;
    let asked = visit.asked_territory()?;
    let selection = visit.selection(asked.as_ref());
    let outline = visit.outline(asked.as_ref())?;
    let outline = outline.as_ref();
    let part = |layer: &Arc<Layer>| {
        let expression = filter::read(visit, layer)?;
        let filter = Filter { selection: selection.clone(), expression, ..Filter::default() };
        Ok(Part { layer: layer.clone(), filter })
    };
    let parts = set.layers.iter().map(part).collect::<Result<Vec<_>>>()?;
    let tag = Tiles::etag_together(&parts, tile, outline)?;
    let etag = form.quoted(&tag);
    let mut response = if negotiate::none_match(visit.header(header::IF_NONE_MATCH), &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let tiles = &visit.site.app.tiles;
        let drawn = tiles.together(&parts, tile, outline).await?;
        form.filled(tile, drawn.as_deref())?
    };
    let cache = tile_answers::stable(set.layers.iter().map(|layer| &**layer));
    tile_answers::dress(&mut response, etag, cache, visit.notice(asked.as_deref()));
    Ok(response)
}

/// Some layers, in the order of their ids.
struct Set {
    layers: Vec<Arc<Layer>>,
    /// Whether `collections` named them.
    chosen: bool,
}

impl Set {
    /// The layers that `collections` names, each once; all of them without it.
    fn read(visit: &Visit) -> Result<Self> {
        let snapshot = visit.snapshot();
        let Some(list) = visit.params.get(name::COLLECTIONS) else {
            let layers: Vec<Arc<Layer>> = snapshot.served().cloned().collect();
            return Self::bounded(layers, false);
        };
        let mut layers = BTreeMap::new();
        for id in list.split(',') {
            let layer = visit.layer(id.trim()).map_err(|e| match e {
                // A parameter is at fault, not the address.
                Error::NotFound(text) => Error::Invalid(text),
                other => other,
            })?;
            layer.at()?;
            layers.insert(layer.def.id.clone(), layer);
        }
        Self::bounded(layers.into_values().collect(), true)
    }

    fn bounded(layers: Vec<Arc<Layer>>, chosen: bool) -> Result<Self> {
        let count = layers.len();
        if count > MOST {
            return Err(Error::Invalid(text!(
                "Une tuile réunit au plus {MOST} couches ({count} ici). Choisissez-les : collections=a,b.",
                "A tile holds at most {MOST} layers ({count} here). Choose them: collections=a,b."
            )));
        }
        Ok(Self { layers, chosen })
    }

    /// What changes when one of them does.
    fn state(&self) -> Result<String> {
        let mut state = String::new();
        for layer in &self.layers {
            state.push_str(layer.def.id.as_str());
            state.push('@');
            state.push_str(&layer.at()?.key());
            state.push(' ');
        }
        Ok(state)
    }

    /// An address that names the layers chosen.
    fn with_names(&self, mut url: String) -> String {
        if self.chosen {
            let names: Vec<&str> = self.layers.iter().map(|l| l.def.id.as_str()).collect();
            url.push_str("?collections=");
            url.push_str(&names.join(","));
        }
        url
    }

    async fn describe(&self, visit: &Visit, grid: Grid) -> Result<Value> {
        let (mut bbox, mut zooms) = (None::<BBox>, None::<(u8, u8)>);
        let mut mentions: Vec<&str> = Vec::new();
        for layer in &self.layers {
            let described = visit.described(layer).await?;
            let version = &described.at()?.version;
            for part in version.bbox.iter().flat_map(BBox::parts) {
                bbox.get_or_insert(part).merge(&part);
            }
            let (min, max) = zooms.unwrap_or((version.min_zoom, version.max_zoom));
            zooms = Some((min.min(version.min_zoom), max.max(version.max_zoom)));
            if !mentions.contains(&layer.def.attribution.as_str()) {
                mentions.push(&layer.def.attribution);
            }
        }
        let title = visit.titled(&visit.site.app.settings.server.title);
        Ok(extent(grid, title, &mentions.join(" ; "), bbox, zooms.unwrap_or((0, 0))))
    }

    fn links(&self, visit: &Visit, grid: Grid) -> Vec<Link> {
        let mut links = grid_links(visit, grid, |rest| self.with_names(visit.url(rest)));
        for layer in &self.layers {
            let collection = visit.url(&format!("collections/{}", layer.def.id));
            links.push(
                Link::new(rel::GEODATA, media::JSON, collection)
                    .titled(visit.say(&layer.def.title)),
            );
        }
        links
    }
}
