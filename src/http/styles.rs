//! MapLibre style documents: the operator's files, with `socle://collections/{id}` sources turned
//! into absolute tile addresses of the service (or scope) asked for, and a plain style drawn by
//! geometry kind for layers without one. Only what QGIS's converter also reads.

use super::{
    Answer,
    links::{Link, media},
    params::name,
    reply::Document,
    tilesets::xyz_template,
    visit::Visit,
};
use crate::{
    catalog::{Layer, Snapshot},
    error::Error,
    model::{GeometryKind, LayerDef, LayerId},
    text,
    tiles::archives::Archive,
};
use axum::extract::Path;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path as FilePath};

/// Sources of style files that stand for a layer of this service.
const PLACEHOLDER: &str = "socle://collections/";

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

    /// What a style says of its colours to people: its `socle:legend` (see `styles/README.md`).
    pub fn legend(&self, id: &str) -> Option<&Value> {
        self.0.get(id)?.get("metadata")?.get("socle:legend")
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
    visit.params.check(&[name::F], &[])?;
    let snapshot = visit.snapshot();
    let tag = visit.tag(&["style", &visit.site.state(&snapshot)]);
    let id = id.strip_suffix(".json").unwrap_or(&id);
    let own = !visit.site.styles.0.contains_key(id);
    if let Some(archive) = visit.archive(id).ok().flatten().filter(|_| own) {
        return of_archive(archive, &visit).await;
    }
    let style = if let Some(style) = visit.site.styles.0.get(id) {
        let mut style = style.clone();
        place(&visit, &snapshot, &mut style);
        style
    } else if let Ok(layer) = snapshot.layer(id) {
        drawn(&visit, layer)?
    } else {
        let shown: String = id.chars().take(80).collect();
        return Err(Error::NotFound(text!(
            "Style inconnu : « {shown} ».",
            "Unknown style: \"{shown}\"."
        ))
        .into());
    };
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
    // Plain JSON for QGIS and browsers: both judge the type loosely, proxies compress it.
    visit.send(&tag, Document::json(media::JSON, &style)).await
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

/// A plain style for a layer that has none.
fn drawn(visit: &Visit, layer: &Layer) -> Result<Value, Error> {
    let id = layer.def.id.as_str();
    let kind = layer.at()?.version.schema.geometry;
    let layers = match kind {
        GeometryKind::None => Vec::new(),
        kind => plain(id, id, id, kind.dimension()),
    };
    Ok(json!({
        "version": 8,
        "name": visit.titled(&layer.def.title),
        "sources": { id: vector_source(visit, id, Some(layer)) },
        "layers": layers,
    }))
}

/// A plain style for an archive: every MVT layer that it names.
async fn of_archive(archive: &Archive, visit: &Visit) -> Answer {
    let opened = archive.opened().await?;
    let tag = visit.tag(&["style", &opened.state]).within(archive.def.max_age);
    if let Some(unchanged) = visit.unchanged(&tag) {
        return Ok(unchanged);
    }
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
        (kind, plain(&layer.id, id, &layer.id, kind))
    });
    // Points above lines above areas, in the order of the archive.
    let mut drawn: Vec<_> = drawn.collect();
    drawn.sort_by_key(|(kind, _)| std::cmp::Reverse(*kind));
    let drawn: Vec<Value> = drawn.into_iter().flat_map(|(_, layers)| layers).collect();
    let style = json!({
        "version": 8,
        "name": visit.titled(&archive.def.title),
        "sources": { id: {
            "type": "vector",
            "tiles": [xyz_template(visit, id)],
            "attribution": archive.attribution(&opened),
            "minzoom": min,
            "maxzoom": max,
            "bounds": opened.bounds().to_array(),
        } },
        "layers": drawn,
    });
    visit.send(&tag, Document::json(media::JSON, &style)).await
}

/// Plain drawing of an MVT layer of a source, by its dimension where that is known. `id` begins the
/// ids of the style's layers.
fn plain(id: &str, source: &str, source_layer: &str, dimension: Option<u8>) -> Vec<Value> {
    let of = |suffix: &str, kind: &str, paint: Value| json!({ "id": format!("{id}{suffix}"), "type": kind, "source": source, "source-layer": source_layer, "paint": paint });
    let only = |mut layer: Value, geometry: &str| {
        layer["filter"] = json!(["==", "$type", geometry]);
        layer
    };
    let fill = of("-fill", "fill", json!({ "fill-color": "#3b6fb6", "fill-opacity": 0.25 }));
    // Thin when far: thousands of borders would hide what they enclose.
    let width = json!(["interpolate", ["linear"], ["zoom"], 4, 0.1, 7, 0.3, 10, 1]);
    let border = of("-border", "line", json!({ "line-color": "#1f4e8c", "line-width": width }));
    let line = of("-line", "line", json!({ "line-color": "#1f4e8c", "line-width": 2 }));
    let circle = of(
        "-circle",
        "circle",
        json!({ "circle-color": "#b5473c", "circle-radius": 4, "circle-stroke-color": "#ffffff", "circle-stroke-width": 1 }),
    );
    match dimension {
        Some(0) => vec![circle],
        Some(1) => vec![line],
        Some(_) => vec![fill, border],
        None => vec![
            only(fill, "Polygon"),
            only(border, "Polygon"),
            only(line, "LineString"),
            only(circle, "Point"),
        ],
    }
}
