//! Bakes layers into an archive of tiles (PMTiles, MBTiles): the tiles that are served, all zooms,
//! several layers in each, cut to a territory on demand.
//!
//! Two passes. The first reads every feature once and notes which tiles may show something
//! ([`cover`]) and which values there are ([`tally`]); the second draws those tiles, on all cores,
//! and writes them in order. What is in memory is a few tiles being drawn, and some bytes for each
//! tile of the archive; it does not grow with features, nor with the area between them.

mod aside;
mod cover;
mod survey;
mod tally;

use super::{MAX_LATITUDE, Part, buffer, render_as, tilejson, tilejson_together};
use crate::{
    error::{Error, Result},
    formats::tile_archive::{About, ArchiveKind},
    model::{BBox, Progress, Text, TileId},
    store::{
        At, Store,
        border::{Borders, Outline},
    },
    text,
};
use aside::Aside;
use flate2::{Compression, write::GzEncoder};
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value, json};
use std::{io::Write, ops::RangeInclusive, path::Path, sync::Arc};
use survey::{Survey, survey};

/// How hard gzip works: an archive is written once and read for long.
const GZIP_LEVEL: u32 = 6;
/// Tiles being drawn at once, for each core: drawing and reading alternate.
const AHEAD: usize = 2;

/// What to bake.
pub struct Order {
    /// The layers, in the order of their ids, none twice, and what is selected of each.
    pub parts: Vec<Part>,
    /// The border they are cut at.
    pub outline: Option<Outline>,
    /// The zooms.
    pub zooms: RangeInclusive<u8>,
    /// What the archive is called.
    pub name: String,
    /// What joins the archive's description of itself: territory, vintage.
    pub extra: Map<String, Value>,
}

impl Order {
    /// Checks the zooms asked for against those the layers have, and fills in what is not asked.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are no such zooms; [`Error::Unavailable`] when a layer has no
    /// version yet.
    pub fn zooms(parts: &[Part], min: Option<u8>, max: Option<u8>) -> Result<RangeInclusive<u8>> {
        let (mut first, mut last) = (u8::MAX, 0);
        for part in parts {
            let version = &part.layer.at()?.version;
            (first, last) = (first.min(version.min_zoom), last.max(version.max_zoom));
        }
        let (min, max) = (min.unwrap_or(first).max(first), max.unwrap_or(last));
        if max > last || min > max {
            return Err(Error::Invalid(text!(
                "Zooms {min} à {max} : les tuiles de ces couches vont du zoom {first} au zoom {last} ; au-delà, les clients agrandissent celles-ci.",
                "Zooms {min} to {max}: the tiles of these layers go from zoom {first} to zoom {last}; beyond, clients magnify those."
            )));
        }
        Ok(min..=max)
    }
}

/// The tiles of a zoom in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Zoom {
    /// The zoom.
    pub z: u8,
    /// Tiles that show something.
    pub tiles: u64,
    /// Their bytes, gzipped, each counted as often as it is there.
    pub bytes: u64,
    /// The largest before compression, bytes.
    pub largest: u64,
}

/// What was baked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Baked {
    /// By zoom; those without any tile are left out.
    pub zooms: Vec<Zoom>,
    /// Features that were drawn.
    pub features: u64,
    /// Size of the archive, bytes.
    pub bytes: u64,
}

/// Bakes an archive; the file appears at `path` once it is whole, in the place of an older one.
///
/// # Errors
/// [`Error::Conflict`] when there is nothing to show, when another run writes the file, or as
/// [`Borders::tile`]; [`Error::Full`] on a full disk; whatever the store fails with. No file is
/// then there that was not before.
pub async fn bake(
    store: &Arc<dyn Store>,
    borders: &Arc<Borders>,
    order: &Order,
    path: &Path,
    progress: &dyn Progress,
) -> Result<Baked> {
    let kind = ArchiveKind::of(path)?;
    let aside = Aside::begin(path)?;
    let survey = survey(store, order, progress).await?;
    let mut writer = kind.create(aside.path(), &about(order, &survey)?)?;
    progress.stage(text!("Tuiles", "Tiles"), Some(survey.cover.len()));
    let width = AHEAD * std::thread::available_parallelism().map_or(1, usize::from);
    let drawing = survey.cover.tiles().map(|tile| draw(store, borders, order, tile));
    let mut drawing = stream::iter(drawing).buffered(width);
    let (mut baked, mut shown) = (Baked::default(), BBox::EMPTY);
    let mut done = 0;
    while let Some(drawn) = drawing.next().await {
        if let Some(Drawn { tile, plain, gzip }) = drawn? {
            writer.add(tile, &gzip)?;
            baked.add(tile, plain, gzip.len() as u64);
            if tile.z == *order.zooms.end() {
                shown.merge(&tile.bounds());
            }
        }
        done += 1;
        progress.advance(done);
    }
    drop(drawing);
    if baked.zooms.is_empty() {
        return Err(Error::Conflict(text!(
            "Rien à montrer : aucune entité choisie n'apparaît à ces zooms. Aucun fichier n'a été écrit.",
            "Nothing to show: no selected feature appears at these zooms. No file was written."
        )));
    }
    writer.finish(within(survey.extent, shown))?;
    baked.bytes = aside.keep()?;
    baked.features = survey.features;
    progress.finish();
    Ok(baked)
}

impl Baked {
    fn add(&mut self, tile: TileId, plain: u64, gzip: u64) {
        if self.zooms.last().is_none_or(|zoom| zoom.z != tile.z) {
            self.zooms.push(Zoom { z: tile.z, ..Zoom::default() });
        }
        if let Some(zoom) = self.zooms.last_mut() {
            zoom.tiles += 1;
            zoom.bytes += gzip;
            zoom.largest = zoom.largest.max(plain);
        }
    }
}

/// A tile ready to be written.
struct Drawn {
    tile: TileId,
    /// Bytes before compression.
    plain: u64,
    gzip: Vec<u8>,
}

/// Draws one tile of all layers; `None` when it is empty.
async fn draw(
    store: &Arc<dyn Store>,
    borders: &Arc<Borders>,
    order: &Order,
    tile: TileId,
) -> Result<Option<Drawn>> {
    let mut seen = Vec::with_capacity(order.parts.len());
    for Part { layer, filter } in &order.parts {
        let at = layer.at()?;
        if tile.z < at.version.min_zoom {
            continue;
        }
        let buffer = buffer(layer, at);
        let features = match &order.outline {
            None => store.tile_where(at, tile, buffer, filter).await?,
            Some(outline) => Box::pin(borders.tile(at, tile, buffer, filter, outline)).await?,
        };
        seen.extend(features.map(|features| (at.clone(), buffer, features)));
    }
    let drawing = tokio::task::spawn_blocking(move || {
        let mut plain = Vec::new();
        for (At { layer, version, .. }, buffer, features) in seen {
            let drawing = version.drawing.as_deref();
            let key = version.key.as_deref();
            let drawn = render_as(&features, tile, layer.as_str(), buffer, drawing, key)?;
            plain.extend(drawn.unwrap_or_default());
        }
        if plain.is_empty() {
            return Ok(None);
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
        let gzip = encoder.write_all(&plain).and_then(|()| encoder.finish());
        let gzip = gzip.map_err(|source| Error::fault("compressing a tile", source))?;
        Ok(Some(Drawn { tile, plain: plain.len() as u64, gzip }))
    });
    drawing.await.map_err(|source| Error::fault("drawing a tile", source))?
}

/// What the archive says of itself: the layers' TileJSON, but for what only a server has.
fn about(order: &Order, survey: &Survey) -> Result<About> {
    let (min_zoom, max_zoom) = (*order.zooms.start(), *order.zooms.end());
    let mut json = match order.parts.as_slice() {
        [only] => tilejson(&only.layer, only.layer.at()?, "", &only.layer.def.title.fr),
        several => {
            let titled = |p: &Part| (p.layer.clone(), p.layer.def.title.fr.clone());
            let layers: Vec<_> = several.iter().map(titled).collect();
            tilejson_together(&layers, "", &order.name)?
        }
    };
    for layer in json["vector_layers"].as_array_mut().into_iter().flatten() {
        let first = layer["minzoom"].as_u64().unwrap_or_default();
        layer["minzoom"] = first.max(min_zoom.into()).into();
        layer["maxzoom"] = max_zoom.into();
    }
    let mut members = Map::new();
    for name in ["description", "attribution", "version", "vector_layers", "socle"] {
        let value = json[name].take();
        if !value.is_null() {
            members.insert(name.to_owned(), value);
        }
    }
    members.insert("name".to_owned(), order.name.clone().into());
    members.insert("type".to_owned(), "overlay".into());
    members.insert("generator".to_owned(), generator().into());
    let count = survey.tilestats.len();
    let stats = json!({ "layerCount": count, "layers": survey.tilestats });
    members.insert("tilestats".to_owned(), stats);
    if let Some(socle) = members.get_mut("socle").and_then(Value::as_object_mut) {
        socle.extend(order.extra.clone());
    }
    let BBox { west, south, east, north } = within(survey.extent, BBox::WORLD);
    // A zoom at which the whole is about two tiles wide.
    let wide = (720.0 / (east - west).max(0.001)).log2().floor();
    let zoom = wide.clamp(f64::from(min_zoom), f64::from(max_zoom)) as u8;
    let center = (f64::midpoint(west, east), f64::midpoint(south, north), zoom);
    Ok(About { min_zoom, max_zoom, center, members })
}

fn generator() -> String {
    format!("socle {}", env!("CARGO_PKG_VERSION"))
}

/// What two boxes have in common, within the grid; the grid where there is nothing.
fn within(a: BBox, b: BBox) -> BBox {
    let both = BBox {
        west: a.west.max(b.west).max(-180.0),
        south: a.south.max(b.south).max(-MAX_LATITUDE),
        east: a.east.min(b.east).min(180.0),
        north: a.north.min(b.north).min(MAX_LATITUDE),
    };
    match both.west <= both.east && both.south <= both.north {
        true => both,
        false => BBox { south: -MAX_LATITUDE, north: MAX_LATITUDE, ..BBox::WORLD },
    }
}

impl Baked {
    /// What was written, for a person: a line for each zoom, then the whole.
    pub fn lines(&self, file: &str) -> Vec<Text> {
        let kib = |bytes: u64| bytes.div_ceil(1024);
        let zoom = |zoom: &Zoom| {
            let Zoom { z, tiles, bytes, largest } = *zoom;
            let (bytes, largest) = (kib(bytes), kib(largest));
            text!(
                "  z{z:<2} {tiles:>8} tuiles {bytes:>9} Kio, la plus lourde {largest} Kio avant compression",
                "  z{z:<2} {tiles:>8} tiles {bytes:>9} KiB, the largest {largest} KiB before compression"
            )
        };
        let mut lines: Vec<Text> = self.zooms.iter().map(zoom).collect();
        let tiles: u64 = self.zooms.iter().map(|z| z.tiles).sum();
        let (features, mb) = (self.features, self.bytes as f64 / f64::from(1 << 20));
        lines.push(text!(
            "✓ {file} : {features} entités, {tiles} tuiles, {mb:.1} Mio",
            "✓ {file}: {features} features, {tiles} tiles, {mb:.1} MiB"
        ));
        lines
    }
}
