//! MapLibre style documents: the operator's files, with `socle://collections/{id}` sources turned
//! into absolute tile addresses of the service (or scope) asked for, and one drawn from `[style]` of
//! the layer file for layers without a document.

use super::{
    Answer,
    links::{Link, media},
    negotiate::Format,
    pages,
    params::name,
    problem::Failure,
    reply::{Document, Tag},
    tilesets::xyz_template,
    visit::Visit,
};
use crate::{
    catalog::{Layer, Snapshot},
    error::Error,
    model::{LayerDef, LayerId},
    text,
    tiles::{
        archives::{Archive, Opened},
        maplibre::{self, Around, Sprite},
    },
};
use axum::extract::Path;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::Path as FilePath,
    sync::{Arc, LazyLock},
    time::Duration,
};

/// Sources of style files that stand for a layer of this service.
const PLACEHOLDER: &str = "socle://collections/";
/// The name of the sprite.
const SPRITE: &str = "socle";
/// How long symbols may be kept.
const SPRITE_AGE: Duration = Duration::from_secs(86_400);
/// Where a style keeps its legend.
const LEGEND: &str = "/metadata/socle:legend";

/// The operator's style documents, by file name without `.json`.
#[derive(Default)]
pub struct Styles(BTreeMap<String, Value>);

impl Styles {
    /// Reads a folder. The configuration refused unreadable styles at start; one that became so
    /// since is left out and logged.
    pub fn read(folder: &FilePath) -> Self {
        let mut styles = BTreeMap::new();
        let Ok(entries) = std::fs::read_dir(folder) else { return Self(styles) };
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_json = path.extension().is_some_and(|e| e == "json");
            let Some(id) = path.file_stem().and_then(|s| s.to_str()).filter(|_| is_json) else {
                continue;
            };
            let read = std::fs::read(&path).map_err(|e| e.to_string());
            match read.and_then(|b| serde_json::from_slice(&b).map_err(|e| e.to_string())) {
                Ok(style) => {
                    styles.insert(id.to_owned(), style);
                }
                Err(error) => tracing::warn!(style = id, error, "style left out"),
            }
        }
        Self(styles)
    }

    /// The id of a layer's style: its declared one when there is such a file, else its own.
    pub fn of(&self, def: &LayerDef) -> Option<String> {
        Some(self.named(def.style.as_ref(), &def.id))
    }

    /// The declared style where there is such a file, else that of an id.
    pub fn named(&self, declared: Option<&String>, id: &LayerId) -> String {
        let declared = declared.filter(|id| self.0.contains_key(*id));
        declared.cloned().unwrap_or_else(|| id.to_string())
    }

    /// What the style of a layer says of its colours to people: its `socle:legend` (see
    /// `styles/README.md`).
    pub fn legend(&self, layer: &Layer) -> Option<Value> {
        let document = self.of(&layer.def).and_then(|id| self.0.get(&id));
        match document {
            Some(style) => style.pointer(LEGEND).cloned(),
            None => Some(maplibre::legend(&layer.def, &layer.current.as_ref()?.version)),
        }
    }
}

/// `GET /styles`
pub async fn list(visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    visit.format()?;
    let snapshot = visit.snapshot();
    let tag = visit.tag(&["styles", &visit.site.state(&snapshot)]);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    for layer in snapshot.served() {
        ids.insert(layer.def.id.to_string(), visit.say(&layer.def.title).to_owned());
    }
    if visit.scope.is_none() {
        for archive in visit.site.app.archives.iter() {
            ids.insert(archive.def.id.to_string(), visit.say(&archive.def.title).to_owned());
        }
    }
    for (id, style) in &visit.site.styles.0 {
        let title = style.get("name").and_then(Value::as_str).unwrap_or(id);
        ids.insert(id.clone(), title.to_owned());
    }
    let styles: Vec<Value> = ids
        .iter()
        .map(|(id, title)| {
            let url = visit.url(&format!("styles/{id}"));
            json!({ "id": id, "title": title, "links": [Link::new("stylesheet", media::STYLE, url)] })
        })
        .collect();
    let value = json!({ "links": visit.own_links(media::JSON), "styles": styles });
    visit.present(&tag, media::JSON, "Styles", &value).await
}

/// `GET /styles/{id}`
pub async fn one(Path(id): Path<String>, visit: Visit) -> Answer {
    visit.params.check(&[name::F, name::LABELS], &[])?;
    // Old clients refuse a style that writes without fonts from a server.
    let written = visit.params.flag(name::LABELS)?.unwrap_or(true);
    let id = id.strip_suffix(".json").unwrap_or(&id);
    let asked = Asked::find(&visit, id).await?;
    let tag = asked.tag(&visit, "style");
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let mut style = asked.style(&visit)?;
    if !written && let Some(layers) = style.get_mut("layers").and_then(Value::as_array_mut) {
        layers.retain(|layer| layer.pointer("/layout/text-field").is_none());
    }
    // Plain JSON for QGIS and browsers: both judge the type loosely, proxies compress it.
    visit.send(&tag, Document::json(media::JSON, &style)).await
}

/// `GET /styles/{id}/legend`
pub async fn legend(Path(id): Path<String>, visit: Visit) -> Answer {
    visit.params.check(&[name::F], &[])?;
    let format = visit.format()?;
    let asked = Asked::find(&visit, &id).await?;
    let tag = asked.tag(&visit, "legend");
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let style = asked.style(&visit)?;
    let title = style.get("name").and_then(Value::as_str).unwrap_or(&id);
    let legend = style.pointer(LEGEND).cloned().unwrap_or_default();
    let document = match format {
        Format::Html => Document::html(pages::legend::page(&visit, title, &legend)),
        Format::Json => Document::json(media::JSON, &json!({ "title": title, "legend": legend })),
    };
    visit.send(&tag, document).await
}

/// The symbols of themes, at one and at two pixels to a CSS pixel; made when first asked for.
static SPRITES: LazyLock<[Result<Sprite, Error>; 2]> = LazyLock::new(|| [1, 2].map(Sprite::drawn));

/// `GET /sprites/{file}`: `socle.json`, `socle.png`, `socle@2x.json`, `socle@2x.png`.
pub async fn sprite(Path(file): Path<String>, visit: Visit) -> Answer {
    visit.params.check(&[], &[])?;
    let rest = file.strip_prefix(SPRITE);
    let found = match rest {
        Some(".json" | ".png") => SPRITES.first(),
        Some("@2x.json" | "@2x.png") => SPRITES.last(),
        _ => None,
    };
    let Some(sprite) = found else {
        return Err(Error::NotFound(text!(
            "Il n'y a qu'un jeu de symboles : {SPRITE}.json, {SPRITE}.png, {SPRITE}@2x.json et {SPRITE}@2x.png.",
            "There is one set of symbols: {SPRITE}.json, {SPRITE}.png, {SPRITE}@2x.json and {SPRITE}@2x.png."
        ))
        .into());
    };
    let sprite = sprite.as_ref().map_err(|e| Error::broken(e.chain()))?;
    // They change with the program alone.
    let tag = visit.tag(&["sprite", &file, env!("CARGO_PKG_VERSION")]).within(Some(SPRITE_AGE));
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    let document = match file.ends_with(".png") {
        true => Document::new(media::PNG, sprite.png.clone()),
        false => Document::json(media::JSON, &sprite.index),
    };
    visit.send(&tag, document).await
}

/// What an id of a style stands for.
enum Asked<'a> {
    /// A document of the operator's.
    Document(&'a Value),
    /// A layer, drawn as its file asks.
    Layer(Arc<Layer>),
    /// An archive, as it stands.
    Archive(&'a Archive, Arc<Opened>),
}

impl<'a> Asked<'a> {
    async fn find(visit: &'a Visit, id: &str) -> Result<Self, Failure> {
        if let Some(style) = visit.site.styles.0.get(id) {
            return Ok(Self::Document(style));
        }
        if let Some(archive) = visit.archive(id).ok().flatten() {
            return Ok(Self::Archive(archive, archive.opened().await?));
        }
        visit.layer(id).map(Self::Layer).map_err(|_| {
            let shown: String = id.chars().take(80).collect();
            Error::NotFound(text!("Style inconnu : « {shown} ».", "Unknown style: \"{shown}\"."))
                .into()
        })
    }

    fn tag(&self, visit: &Visit, what: &str) -> Tag {
        match self {
            Self::Archive(archive, opened) => {
                visit.tag(&[what, &opened.state]).within(archive.def.max_age)
            }
            _ => visit.tag(&[what, &visit.site.state(&visit.snapshot())]),
        }
    }

    fn style(&self, visit: &Visit) -> Result<Value, Error> {
        match self {
            Self::Document(style) => {
                let mut style = (*style).clone();
                place(visit, &visit.snapshot(), &mut style);
                Ok(style)
            }
            Self::Layer(layer) => drawn(visit, layer),
            Self::Archive(archive, opened) => Ok(of_archive(archive, opened, visit)),
        }
    }
}

/// Turns placeholders into addresses.
fn place(visit: &Visit, snapshot: &Snapshot, style: &mut Value) {
    let Some(sources) = style.get_mut("sources").and_then(Value::as_object_mut) else { return };
    for source in sources.values_mut() {
        let named = |v: &Value| v.as_str()?.strip_prefix(PLACEHOLDER).map(str::to_owned);
        let in_tiles = source.get("tiles").and_then(|t| t.get(0)).and_then(named);
        let Some(id) = source.get("url").and_then(named).or(in_tiles) else { continue };
        // `socle://collections/communes` and `socle://collections/communes/tiles` say the same.
        let id = id.split('/').next().unwrap_or_default();
        let layer = snapshot.layer(id).ok();
        let kept = source.as_object_mut().map(std::mem::take).unwrap_or_default();
        let mut placed = vector_source(visit, id, layer.map(AsRef::as_ref));
        for (key, value) in kept {
            if key != "url" && key != "tiles" {
                placed[key] = value;
            }
        }
        *source = placed;
    }
}

fn vector_source(visit: &Visit, id: &str, layer: Option<&Layer>) -> Value {
    let mut source = json!({ "type": "vector", "tiles": [xyz_template(visit, id)] });
    let Some(layer) = layer else { return source };
    source["attribution"] = layer.def.attribution.clone().into();
    if let Some(at) = &layer.current {
        source["minzoom"] = at.version.min_zoom.into();
        source["maxzoom"] = at.version.max_zoom.into();
        if let Some(b) = at.version.bbox.filter(|b| !b.crosses_antimeridian()) {
            source["bounds"] = json!(b.to_array());
        }
    }
    source
}

/// The style of a layer that has no document of its own.
fn drawn(visit: &Visit, layer: &Layer) -> Result<Value, Error> {
    let def = &layer.def;
    let around = Around {
        name: &visit.titled(&def.title),
        source: vector_source(visit, def.id.as_str(), Some(layer)),
        sprite: Some(format!("{}sprites/{SPRITE}", visit.base())),
    };
    Ok(maplibre::style(def, &layer.at()?.version, around))
}

/// A plain style for an archive: every MVT layer that it names.
fn of_archive(archive: &Archive, opened: &Opened, visit: &Visit) -> Value {
    let id = archive.def.id.as_str();
    let (min, max) = opened.zooms();
    let dimension = |kind: &str| match kind {
        "Point" => 0,
        "LineString" => 1,
        _ => 2,
    };
    let layers = opened.layers();
    let drawn = layers.iter().map(|layer| {
        let kind = layer.geometry.as_deref().map(dimension);
        (kind, maplibre::plain(&layer.id, id, &layer.id, kind))
    });
    // Points above lines above areas, in the order of the archive.
    let mut drawn: Vec<_> = drawn.collect();
    drawn.sort_by_key(|(kind, _)| std::cmp::Reverse(*kind));
    let drawn: Vec<Value> = drawn.into_iter().flat_map(|(_, layers)| layers).collect();
    json!({
        "version": 8,
        "name": visit.titled(&archive.def.title),
        "sources": { id: {
            "type": "vector",
            "tiles": [xyz_template(visit, id)],
            "attribution": archive.attribution(opened),
            "minzoom": min,
            "maxzoom": max,
            "bounds": opened.bounds().to_array(),
        } },
        "layers": drawn,
    })
}
