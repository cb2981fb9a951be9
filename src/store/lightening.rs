//! What tiles of lines and polygons leave out so that none weighs more than it may: first details
//! of geometry, then fields, then the smallest zooms. Never a feature. Decided once, when a version
//! is loaded, by the tiles as they would be.

use super::{Spool, thinning::gathered};
use crate::{
    error::{Error, Result},
    formats::mvt,
    geometry::overview::{DETAIL, Seen, Weighed, spread},
    model::{BBox, Drawing, Feature, Field, Grid, Version},
};
use geo::{BoundingRect, CoordsIter};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

/// By how much the least triangle grows from one attempt to the next.
const STEP: u32 = 4;
/// The largest that is tried: 32 units of 4096 along a side, four pixels of 512.
const COARSEST: u32 = DETAIL * STEP * STEP;
/// What a tile holds beside features: version, extent, lengths.
const FRAME: usize = 64;
/// What a feature holds beside its tags and its geometry: its id, its kind, lengths.
const FEATURE: usize = 23;
/// What a tag takes beside its value: two indices.
const TAG: usize = 4;
/// What a vertex takes at most where zooms are judged without being drawn.
const VERTEX: usize = 6;
/// Tiles of a feature at most where zooms are judged without being drawn.
const MOST_TILES: usize = 4096;

/// The rule that a layer's tiles are drawn by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Most bytes of a tile before compression.
    pub budget: u32,
    /// How far tiles look beyond their sides, in 1/4096 of a tile.
    pub buffer: u16,
    /// Fields that stay, whatever tiles weigh.
    pub keep: Vec<String>,
}

/// Completes what is decided of a version's tiles so that those of all zooms but the deepest keep
/// within the budget, which may raise the version's first zoom. Gives the lines and polygons as they were
/// weighed for that, if any tile had to be looked at.
///
/// # Errors
/// [`Error::Fault`] when the features, or what was prepared of them, cannot be read.
pub fn plan(
    features: &Spool<Feature>,
    version: &mut Version,
    drawing: &mut Drawing,
    rule: &Rule,
) -> Result<Option<Weighed>> {
    let (min, max) = (version.min_zoom, version.max_zoom);
    if version.schema.geometry.dimension() == Some(0) || min >= max {
        return Ok(None);
    }
    let load = Load::of(features, version)?;
    let Some(deepest) = load.deepest_heavy(min..max, rule)? else { return Ok(None) };
    let weighed = gathered(features, max)?.weighed();
    let order = weighed.order();
    let plan = Plan { load, rule, fields: &version.schema.fields, order, weighed };
    for zoom in (min..=deepest).rev() {
        let before = drawing.clone();
        if !plan.fit(zoom, drawing)? {
            *drawing = Drawing { asked_min_zoom: Some(min), ..before };
            version.min_zoom = zoom + 1;
            break;
        }
    }
    let less = !drawing.detail.is_empty() || !drawing.dropped.is_empty();
    if less || drawing.asked_min_zoom.is_some() {
        drawing.budget = Some(rule.budget);
    }
    Ok(Some(plan.weighed))
}

/// What features weigh beside their geometry.
struct Load<'a> {
    features: &'a Spool<Feature>,
    /// By feature, at most.
    most: Vec<u32>,
    /// Bytes of all names of fields.
    names: usize,
    /// Whether tiles carry the features' own ids, for want of a key.
    ids: bool,
}

impl<'a> Load<'a> {
    fn of(features: &'a Spool<Feature>, version: &Version) -> Result<Load<'a>> {
        let ids = version.key.is_none();
        let most = |feature: &Feature| {
            let mut tags = Vec::new();
            mvt::encode_tags(0, &feature.values, &mut tags);
            let id = if ids { feature.id.len() + TAG } else { 0 };
            let bytes = FEATURE + tags.len() + TAG * feature.values.len() + id;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Ok(Load {
            features,
            most: features.map(most)?,
            names: version.schema.fields.iter().map(|f| f.name.len() + 6).sum(),
            ids,
        })
    }

    /// The deepest of some zooms whose tiles may weigh too much: at the next, no tile would even if
    /// every feature was whole in each tile that its box meets.
    fn deepest_heavy(&self, zooms: std::ops::Range<u8>, rule: &Rule) -> Result<Option<u8>> {
        let around = |feature: &Feature| {
            let geometry = feature.geometry.as_ref()?;
            let rect = geometry.bounding_rect()?;
            let (min, max) = (rect.min(), rect.max());
            let around = BBox { west: min.x, south: min.y, east: max.x, north: max.y };
            Some((around, (VERTEX * geometry.coords_count()) as u64))
        };
        let mut boxes: Vec<(BBox, u64)> = Vec::with_capacity(self.features.len());
        self.features.each(|first, batch| {
            let most = self.most.get(first..).unwrap_or_default();
            let found = batch.par_iter().zip(most).filter_map(|(feature, most)| {
                let (around, vertices) = around(feature)?;
                Some((around, u64::from(*most) + vertices))
            });
            boxes.par_extend(found);
            Ok(())
        })?;
        let heavy = |zoom: &u8| {
            Grid::all().any(|grid| heaviest(&boxes, grid, *zoom, rule.buffer) > rule.budget.into())
        };
        // A tile holds what the tiles of deeper zooms within it hold.
        let zooms: Vec<u8> = zooms.collect();
        Ok(zooms.partition_point(heavy).checked_sub(1).and_then(|i| zooms.get(i).copied()))
    }

    /// What a tile weighs, and what each field takes of it, with those fields that are not hidden.
    fn weigh(&self, seen: &[(u32, u32)], hidden: &[bool]) -> Result<Weight> {
        let mut weight = Weight { all: FRAME + self.names, by_field: vec![0; hidden.len()] };
        let mut values: FxHashSet<Vec<u8>> = FxHashSet::default();
        let ordinals: Vec<u32> = seen.iter().map(|(ordinal, _)| *ordinal).collect();
        let mut tag = Vec::new();
        self.features.visit(&ordinals, |feature| {
            let shown = feature.values.iter().zip(hidden).zip(&mut weight.by_field);
            for ((value, _), taken) in shown.filter(|((_, hidden), _)| !**hidden) {
                tag.clear();
                mvt::encode_tags(0, std::slice::from_ref(value), &mut tag);
                if tag.is_empty() {
                    continue;
                }
                *taken += TAG;
                if !values.contains(&tag) {
                    *taken += tag.len();
                    values.insert(tag.clone());
                }
            }
            weight.all += FEATURE + if self.ids { TAG + feature.id.len() + 4 } else { 0 };
            Ok(())
        })?;
        weight.all += seen.iter().map(|(_, geometry)| *geometry as usize).sum::<usize>();
        weight.all += weight.by_field.iter().sum::<usize>();
        Ok(weight)
    }
}

/// What a tile weighs.
#[derive(Debug, Default)]
struct Weight {
    all: usize,
    /// What each field takes of it.
    by_field: Vec<usize>,
}

/// Bytes of the heaviest tile at the zoom of a grid that is as wide as `level`, at most.
fn heaviest(boxes: &[(BBox, u64)], grid: Grid, level: u8, buffer: u16) -> u64 {
    let Some(z) = level.checked_sub(grid.ahead()) else { return 0 };
    let buffer = f64::from(buffer) / 4096.0;
    let range = |low: f64, high: f64, side: u32| {
        let tile = |v: f64| v.floor().clamp(0.0, f64::from(side) - 1.0) as u32;
        tile(low * f64::from(side) - buffer)..=tile(high * f64::from(side) + buffer)
    };
    let mut tiles: FxHashMap<(u32, u32), u64> = FxHashMap::default();
    for (around, bytes) in boxes {
        let [west, north] = grid.share(around.west, around.north);
        let [east, south] = grid.share(around.east, around.south);
        let (columns, rows) =
            (range(west, east, grid.columns(z)), range(north, south, grid.rows(z)));
        if columns.clone().count() * rows.clone().count() > MOST_TILES {
            return u64::MAX;
        }
        for y in rows {
            for x in columns.clone() {
                *tiles.entry((x, y)).or_default() += bytes;
            }
        }
    }
    tiles.into_values().max().unwrap_or_default()
}

/// A version's tiles as they would be.
struct Plan<'a> {
    load: Load<'a>,
    rule: &'a Rule,
    fields: &'a [Field],
    /// Ordinals in the order of bands.
    order: Vec<u32>,
    weighed: Weighed,
}

impl Plan<'_> {
    /// Takes away what must go for the tiles of a zoom, whose deeper ones have been seen to.
    /// `false`: they stay too heavy.
    fn fit(&self, zoom: u8, drawing: &mut Drawing) -> Result<bool> {
        let budget = self.rule.budget as usize;
        let mut detail = drawing.detail.values().max().copied().unwrap_or(DETAIL);
        let mut tiles = self.heavy(zoom, detail)?;
        let mut worst = self.worst(&tiles, zoom, drawing)?;
        while worst.all > budget && detail < COARSEST {
            detail *= STEP;
            tiles = self.heavy(zoom, detail)?;
            worst = self.worst(&tiles, zoom, drawing)?;
        }
        if detail > DETAIL {
            drawing.detail.insert(zoom, detail);
        }
        while worst.all > budget {
            let heaviest = self.fields.iter().zip(&worst.by_field);
            let heaviest =
                heaviest.filter(|(f, bytes)| **bytes > 0 && !self.rule.keep.contains(&f.name));
            let Some((field, _)) = heaviest.max_by_key(|(_, bytes)| **bytes) else {
                return Ok(false);
            };
            drawing.from.insert(field.name.clone(), zoom + 1);
            drawing.dropped.push(field.name.clone());
            worst = self.worst(&tiles, zoom, drawing)?;
        }
        Ok(true)
    }

    /// The tiles of a zoom, in all grids, that may weigh too much: ordinals and bytes of geometry.
    fn heavy(&self, zoom: u8, detail: u32) -> Result<Vec<Vec<(u32, u32)>>> {
        let band = self.weighed.band(zoom, detail);
        let mut heavy = Vec::new();
        for grid in Grid::all() {
            let tiles = spread(&band, grid, self.rule.buffer);
            let tiles = tiles.map_err(|e| Error::fault("weighing tiles", e))?;
            for seen in tiles.into_values() {
                let of = |seen: &Seen| {
                    let ordinal = self.order.get(seen.position as usize).copied();
                    (ordinal.unwrap_or(u32::MAX), seen.bytes)
                };
                let seen: Vec<(u32, u32)> = seen.iter().map(of).collect();
                let own = |ordinal: u32| self.load.most.get(ordinal as usize).copied();
                let most = seen.iter().map(|(ordinal, bytes)| {
                    u64::from(*bytes) + u64::from(own(*ordinal).unwrap_or_default())
                });
                if most.sum::<u64>() + (FRAME + self.load.names) as u64 > self.rule.budget.into() {
                    heavy.push(seen);
                }
            }
        }
        Ok(heavy)
    }

    /// The weight of the heaviest of some tiles.
    fn worst(&self, tiles: &[Vec<(u32, u32)>], zoom: u8, drawing: &Drawing) -> Result<Weight> {
        let hidden: Vec<bool> = self.fields.iter().map(|f| !drawing.shows(&f.name, zoom)).collect();
        let weights = tiles.par_iter().map(|seen| self.load.weigh(seen, &hidden));
        let weights = weights.collect::<Result<Vec<_>>>()?;
        Ok(weights.into_iter().max_by_key(|weight| weight.all).unwrap_or_default())
    }
}
