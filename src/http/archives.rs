//! Archives of tiles at the addresses of layers: their tiles, tilesets, TileJSON, and what there is
//! to say of them. They have no features, and no territory to be selected by (DESIGN §4): they are
//! in no list of collections, and not found within a scope.

use super::{
    Answer,
    collections::CRS84,
    links::{Link, media, rel},
    negotiate::{self, Format},
    pages,
    params::name,
    reply::{self, Document},
    tiles::{self, Form, IMMUTABLE},
    tilesets::{self, document, limits, tileset_links, xyz_template},
    visit::Visit,
};
use crate::{
    error::{Error, Result},
    model::{Grid, Text, TileId, tile_grid::Definition},
    text,
    tiles::archives::{Archive, Opened, VectorLayer},
};
use axum::{
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde_json::{Map, Value, json};

/// The grid of archives: PMTiles and MBTiles know no other.
const GRID: Grid = Grid::WEB_MERCATOR;

/// Parameters that would select features, which is refused in words of its own.
const SELECTING: [&str; 8] = [
    name::TERRITORY,
    name::TERRITOIRE,
    name::MODE,
    name::VINTAGE,
    name::FILTER,
    name::FILTER_LANG,
    name::FILTER_CRS,
    name::DATETIME,
];

impl Visit {
    /// The archive of an id in the path, if it is one.
    ///
    /// # Errors
    /// [`Error::NotFound`] within a scope.
    pub fn archive(&self, id: &str) -> Result<Option<&Archive>> {
        let Some(archive) = self.site.app.archives.get(id) else { return Ok(None) };
        if self.scope.is_some() {
            return Err(Error::NotFound(text!(
                "« {id} » est une archive de tuiles, faite ailleurs : elle ne peut pas être limitée à un territoire. Elle est servie entière, à l'adresse sans territoire.",
                "\"{id}\" is an archive of tiles, made elsewhere: it cannot be limited to a territory. It is served whole, at the address without one."
            )));
        }
        Ok(Some(archive))
    }
}

/// Checks the grid of an address.
///
/// # Errors
/// [`Error::NotFound`] for one that is not served, or not of archives.
pub fn known_grid(archive: &Archive, tms: &str) -> Result<()> {
    if tilesets::known_grid(tms)? == GRID {
        return Ok(());
    }
    let (id, own) = (&archive.def.id, GRID.definition().id);
    Err(Error::NotFound(text!(
        "« {id} » est une archive de tuiles, faite ailleurs : elle n'a que la grille {own}.",
        "\"{id}\" is an archive of tiles, made elsewhere: it has the grid {own} only."
    )))
}

/// Why an archive has none of the things of layers.
pub fn no_features(id: &str) -> Error {
    Error::NotFound(text!(
        "« {id} » est une archive de tuiles : elle n'a ni entités, ni versions, ni chiffres, ni exports. Ses tuiles : /collections/{id}/tiles.",
        "\"{id}\" is an archive of tiles: it has no features, versions, figures or exports. Its tiles: /collections/{id}/tiles."
    ))
}

/// Answers the address of a tile.
pub async fn tile(archive: &Archive, tile: TileId, visit: &Visit) -> Answer {
    if let Some(name) = SELECTING.into_iter().find(|name| visit.params.get(name).is_some()) {
        let id = &archive.def.id;
        return Err(Error::Invalid(text!(
            "Paramètre « {name} » : « {id} » est une archive de tuiles, faite ailleurs, dont rien ne peut être choisi.",
            "Parameter \"{name}\": \"{id}\" is an archive of tiles, made elsewhere, of which nothing can be selected."
        ))
        .into());
    }
    known_grid(archive, tile.grid.definition().id)?;
    let form = Form::read(visit)?;
    let opened = archive.opened().await?;
    let versioned = visit.params.get(name::V);
    let elsewhere = || Ok(reply::redirect(&visit.address(&[name::V], &[]), "public, max-age=60"));
    if versioned.is_some_and(|version| version != &*opened.state) {
        return elsewhere();
    }
    let etag = form.quoted(&Archive::etag(&opened, tile));
    let (mut response, etag) = if negotiate::none_match(visit.header(header::IF_NONE_MATCH), &etag)
    {
        (StatusCode::NOT_MODIFIED.into_response(), etag)
    } else {
        let answered = visit.site.app.archives.tile(archive, tile).await?;
        // Replaced between the two: the name in the address is of the other file.
        if versioned.is_some_and(|version| version != &*answered.opened.state) {
            return elsewhere();
        }
        let etag = form.quoted(&Archive::etag(&answered.opened, tile));
        (form.filled(tile, answered.tile.as_deref())?, etag)
    };
    let cache = match versioned {
        Some(_) => IMMUTABLE,
        None => tiles::kept_for(archive.def.max_age, false),
    };
    tiles::dress(&mut response, etag, cache, None);
    Ok(response)
}

/// `GET /collections/{id}`
pub async fn collection(archive: &Archive, visit: &Visit) -> Answer {
    let format = visit.format()?;
    let opened = archive.opened().await?;
    let tag = visit.tag(&["archive", &opened.state]).within(archive.def.max_age);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    if format == Format::Html {
        let page = pages::archive::page(visit, archive, &opened);
        return visit.send(&tag, Document::html(page)).await;
    }
    let def = &archive.def;
    let mut links = visit.own_links(media::JSON);
    links.extend(about_links(visit, archive));
    let value = json!({
        "id": def.id.as_str(),
        "title": visit.titled(&def.title),
        "description": description(visit, archive, &opened),
        "dataType": "vector",
        "crs": [GRID.definition().crs],
        "attribution": archive.attribution(&opened),
        "license": def.licence.id,
        "providers": [{ "name": def.producer, "contact": def.contact, "roles": ["producer"] }],
        "dates": {
            "described": def.described_at.map(|d| d.to_string()),
            "published": def.published_at.map(|d| d.to_string()),
        },
        "version": &*opened.state,
        "extent": { "spatial": { "bbox": [opened.bounds().to_array()], "crs": CRS84 } },
        "links": links,
    });
    visit.send(&tag, Document::json(media::JSON, &value)).await
}

/// What it is, in the operator's words, else its own.
pub fn description(visit: &Visit, archive: &Archive, opened: &Opened) -> String {
    match visit.say(&archive.def.description) {
        "" => opened.text("description").unwrap_or_default(),
        words => words.to_owned(),
    }
}

/// The style it is shown in.
pub fn style(visit: &Visit, archive: &Archive) -> String {
    visit.site.styles.named(archive.def.style.as_ref(), &archive.def.id)
}

fn about_links(visit: &Visit, archive: &Archive) -> Vec<Link> {
    let def = &archive.def;
    let url = |rest: &str| visit.url(&format!("collections/{}{rest}", def.id));
    let style = visit.url(&format!("styles/{}", style(visit, archive)));
    let mut links = vec![
        Link::new(rel::TILESETS, media::JSON, url("/tiles")),
        Link::new("tilejson", media::JSON, url("/tilejson.json")),
        Link::new("stylesheet", media::STYLE, style),
    ];
    if let Some(licence) = &def.licence.url {
        links.push(Link::new("license", media::HTML, licence).titled(&def.licence.title));
    }
    if let Some(page) = &def.page {
        links.push(Link::new("via", media::HTML, page).titled(&def.producer));
    }
    links
}

/// `GET /collections/{id}/tiles`
pub async fn list(archive: &Archive, visit: &Visit) -> Answer {
    let opened = archive.opened().await?;
    let tag = visit.tag(&["tilesets", &opened.state]).within(archive.def.max_age);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let mut tileset = tileset(visit, archive, &opened);
    tileset["links"] = json!(tileset_links(visit, archive.def.id.as_str(), GRID));
    let value = json!({ "links": visit.own_links(media::JSON), "tilesets": [tileset] });
    let words = text!("Tuiles", "Tiles");
    let title = format!("{} — {}", visit.say(&archive.def.title), visit.say(&words));
    visit.present(&tag, media::JSON, &title, &value).await
}

/// `GET /collections/{id}/tiles/{tms}`
pub async fn one(archive: &Archive, visit: &Visit) -> Answer {
    let opened = archive.opened().await?;
    let tag = visit.tag(&["tileset", &opened.state]).within(archive.def.max_age);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let mut value = tileset(visit, archive, &opened);
    value["layers"] = opened.layers().iter().map(tile_layer).collect();
    let mut links = visit.own_links(media::JSON);
    links.extend(tileset_links(visit, archive.def.id.as_str(), GRID).into_iter().skip(1));
    value["links"] = json!(links);
    let title = format!("{} — {}", visit.say(&archive.def.title), GRID.definition().id);
    visit.present(&tag, media::JSON, &title, &value).await
}

fn tileset(visit: &Visit, archive: &Archive, opened: &Opened) -> Value {
    let title = visit.titled(&archive.def.title);
    let attribution = archive.attribution(opened);
    document(GRID, title, &attribution, Some(opened.bounds()), opened.zooms())
}

fn tile_layer(layer: &VectorLayer) -> Value {
    let mut properties = Map::new();
    for (name, kind) in &layer.fields {
        let kind = match kind.to_ascii_lowercase().as_str() {
            "number" => json!({ "type": "number" }),
            "boolean" => json!({ "type": "boolean" }),
            _ => json!({ "type": "string" }),
        };
        properties.insert(name.clone(), kind);
    }
    let mut value = json!({
        "id": layer.id,
        "dataType": "vector",
        "minTileMatrix": layer.zooms.0.to_string(),
        "maxTileMatrix": layer.zooms.1.to_string(),
        "propertiesSchema": { "type": "object", "properties": properties },
    });
    let dimensions = ["Point", "LineString", "Polygon"];
    let of = |kind: &String| dimensions.iter().position(|known| known == kind);
    if let Some(dimension) = layer.geometry.as_ref().and_then(of) {
        value["geometryDimension"] = dimension.into();
    }
    value
}

/// An archive as the list of all tilesets names it; what is in it is told at its own address.
pub fn listed(visit: &Visit, archive: &Archive) -> Value {
    let Definition { id, uri, crs, deepest, .. } = GRID.definition();
    json!({
        "title": visit.titled(&archive.def.title),
        "dataType": "vector",
        "crs": crs,
        "tileMatrixSetId": id,
        "tileMatrixSetURI": uri,
        // It is not opened for a list: any tile may hold something.
        "tileMatrixSetLimits": limits(GRID, None, (0, *deepest)),
        "links": tileset_links(visit, archive.def.id.as_str(), GRID),
    })
}

/// `GET /collections/{id}/tilejson.json`
pub async fn tilejson(archive: &Archive, visit: &Visit) -> Answer {
    let opened = archive.opened().await?;
    let tag = visit.tag(&["tilejson", &opened.state]).within(archive.def.max_age);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let template = xyz_template(visit, archive.def.id.as_str());
    let (title, words) = (visit.titled(&archive.def.title), description(visit, archive, &opened));
    let value = opened.tilejson(archive, &template, &title, &words);
    visit.send(&tag, Document::json(media::JSON, &value)).await
}

/// What can be read of an archive beside its tiles, for people.
pub fn kind_words() -> Text {
    text!(
        "Tuiles faites ailleurs, servies telles quelles : pas d'entités, pas de territoires.",
        "Tiles made elsewhere, served as they are: no features, no territories."
    )
}
