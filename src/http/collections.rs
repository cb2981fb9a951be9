//! Layers as OGC collections.

use super::{
    Answer, archives,
    items::form,
    links::{Link, media, rel},
    negotiate::Format,
    pages,
    params::name,
    reply::Document,
    visit::Visit,
};
use crate::{
    catalog::Layer,
    error::Result,
    exports::FORMATS,
    items::System,
    model::{LayerDef, Version},
    query::Filter,
    text,
};
use axum::extract::Path;
use serde_json::{Value, json};

/// CRS84 (longitude, latitude), the only CRS of answers for now.
pub const CRS84: &str = "http://www.opengis.net/def/crs/OGC/1.3/CRS84";

/// `GET /collections`
pub async fn all(visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    let format = visit.format()?;
    let snapshot = visit.snapshot();
    let tag = visit.tag(&["collections", &visit.site.state(&snapshot)]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    if format == Format::Html {
        let page = pages::landing::collections(&visit, &snapshot).await?;
        return visit.send(&tag, Document::html(page)).await;
    }
    let mut collections = Vec::new();
    for layer in snapshot.served() {
        let layer = visit.described(layer).await?;
        collections.push(collection(&visit, &layer, Vec::new()).await?);
    }
    let value = json!({ "links": visit.own_links(media::JSON), "collections": collections });
    visit.send(&tag, Document::json(media::JSON, &value)).await
}

/// `GET /collections/{id}`
pub async fn one(Path(id): Path<String>, visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    if let Some(archive) = visit.archive(&id)? {
        return archives::collection(archive, &visit).await;
    }
    let format = visit.format()?;
    let layer = visit.layer(&id)?;
    let at = layer.at()?;
    let checked = at.version.source.checked_at.to_string();
    let tag = visit.tag(&["collection", &at.key(), &checked]).of(&layer.def);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let layer = visit.described(&layer).await?;
    if format == Format::Html {
        let page = pages::collection::page(&visit, &layer).await?;
        return visit.send(&tag, Document::html(page)).await;
    }
    let value = collection(&visit, &layer, visit.own_links(media::JSON)).await?;
    visit.send(&tag, Document::json(media::JSON, &value)).await
}

/// Number of features of a layer, within the scope.
pub async fn count(visit: &Visit, layer: &Layer) -> Result<Option<u64>> {
    match visit.selection(None) {
        None if layer.at()?.version.live.is_some() => {
            visit.site.app.items.count(layer, &Filter::default()).await
        }
        None => Ok(Some(layer.at()?.version.count)),
        Some(selection) => {
            let filter = Filter { selection: Some(selection), ..Filter::default() };
            let items = &visit.site.app.items;
            match visit.outline(None)? {
                None => items.count(layer, &filter).await,
                Some(outline) => items.cut_count(layer, &filter, &outline).await,
            }
        }
    }
}

/// The collection object; the same in the list and on its own but for its first links.
async fn collection(visit: &Visit, layer: &Layer, mut links: Vec<Link>) -> Result<Value> {
    let (def, version) = (&layer.def, &layer.at()?.version);
    links.extend(collection_links(visit, def, links.is_empty()));
    let mut value = json!({
        "id": def.id.as_str(),
        "title": visit.titled(&def.title),
        "description": visit.say(&def.description),
        "itemType": "feature",
        "crs": System::uris(version.bbox.as_ref()),
        "storageCrs": CRS84,
        "attribution": def.attribution,
        "license": def.licence.id,
        "providers": [{ "name": def.producer, "contact": def.contact, "roles": ["producer"] }],
        "dates": dates(def, version),
        "version": version.id.as_str(),
        "links": links,
    });
    if let Some(bbox) = version.bbox {
        value["extent"] = json!({ "spatial": { "bbox": [bbox.to_array()], "crs": CRS84 } });
    }
    if let Some(times) = &version.temporal {
        let gregorian = "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian";
        value["extent"]["temporal"] = json!({ "interval": [times], "trs": gregorian });
    }
    if let Some(count) = count(visit, layer).await? {
        value["itemCount"] = count.into();
    }
    if let Some(scope) = &visit.scope {
        value["territory"] = scope.selection.shown().into();
    }
    Ok(value)
}

/// The four dates of a layer (DESIGN §4): *état au*, *publié le*, *récupéré le*, *vérifié le*.
pub fn dates(def: &LayerDef, version: &Version) -> Value {
    json!({
        "described": def.described_at.map(|d| d.to_string()),
        "published": version.published(def),
        "fetched": version.source.fetched_at.to_string(),
        "checked": version.source.checked_at.to_string(),
    })
}

fn collection_links(visit: &Visit, def: &LayerDef, in_list: bool) -> Vec<Link> {
    let id = def.id.as_str();
    let url = |rest: &str| visit.url(&format!("collections/{id}{rest}"));
    let title = visit.say(&def.title);
    let mut links = Vec::new();
    if in_list {
        links.push(Link::new("self", media::JSON, url("")).titled(title));
        links.push(Link::new("alternate", media::HTML, url("?f=html")).titled(title));
    }
    let words = text!("Entités de la couche", "Features of the layer");
    let words = visit.say(&words);
    links.extend([
        Link::new("items", media::GEOJSON, url("/items")).titled(words),
        Link::new("items", media::HTML, url("/items?f=html")).titled(words),
        Link::new(rel::QUERYABLES, media::SCHEMA, url("/queryables")),
        Link::new("queryables", media::SCHEMA, url("/queryables")),
        Link::new(rel::SORTABLES, media::SCHEMA, url("/sortables")),
        Link::new(rel::SCHEMA, media::SCHEMA, url("/schema")),
        Link::new("describedby", media::SCHEMA, url("/schema")),
        // GDAL 3.6 compares this relation with its capital.
        Link::new("describedBy", media::SCHEMA, url("/schema")),
        Link::new(rel::TILESETS, media::JSON, url("/tiles")),
        Link::new("tilejson", media::JSON, url("/tilejson.json")),
        Link::new("version-history", media::JSON, url("/versions")),
    ]);
    links.extend(form::files().map(|kind| {
        let href = url(&format!("/items?f={}", kind.id));
        Link::new("items", kind.media, href).titled(kind.title)
    }));
    links.extend(FORMATS.iter().map(|kind| {
        let href = url(&format!("/export?f={}", kind.id));
        Link::new("enclosure", kind.media, href).titled(kind.title)
    }));
    if let Some(style) = visit.site.styles.of(def) {
        links.push(Link::new("stylesheet", media::STYLE, visit.url(&format!("styles/{style}"))));
    }
    if let Some(licence) = &def.licence.url {
        links.push(Link::new("license", media::HTML, licence).titled(&def.licence.title));
    }
    if let Some(page) = &def.page {
        links.push(Link::new("via", media::HTML, page).titled(&def.producer));
    }
    links
}
