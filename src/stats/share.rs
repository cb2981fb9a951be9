//! How values are shared out where a feature lies on several territories: whole to the one that
//! has most of it, or in proportion to what each has.

use crate::{
    error::{Error, Result},
    formats::wkb,
    geometry::{
        area,
        overlap::{BorderIndex, Overlap},
    },
};
use geo_types::Geometry;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

/// What becomes of a feature's values where it concerns several territories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// The territory that has most of the feature gets all.
    Main,
    /// Each gets its share of the area (of lines: of the length).
    Area,
    /// Each gets all: rows add up to more than the whole.
    None,
}

impl Sharing {
    /// All, as `share` spells them.
    pub const ALL: [Sharing; 3] = [Sharing::Main, Sharing::Area, Sharing::None];

    /// Its name in `share`.
    pub fn id(self) -> &'static str {
        match self {
            Sharing::Main => "main",
            Sharing::Area => "area",
            Sharing::None => "none",
        }
    }
}

/// A feature to share out.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) ordinal: u32,
    /// Its geometry as WKB, if it has one.
    pub(super) wkb: Option<Vec<u8>>,
    /// The polygons it is attached to, by their numbers, ascending.
    pub(super) places: Vec<u32>,
}

/// The polygons of the places, each with its number.
pub(super) type Polygons = Vec<(u32, Vec<u8>)>;

/// The share that each place has of each feature, by ordinal and place.
pub(super) type Shares = FxHashMap<u32, Vec<(u32, f64)>>;

/// Measures how much of each feature lies on each of its places. Where `whole`, what lies on none
/// of them is left over; else the shares of a feature add up to 1. Features that are no lines or
/// polygons count by the areas of their places, those of one place wholly on it.
pub(super) fn measure(shapes: &[Shape], polygons: &Polygons, whole: bool) -> Result<Shares> {
    let read = |(place, bytes): &(u32, Vec<u8>)| -> Result<(u32, Geometry<f64>)> {
        let geometry = wkb::read(bytes).map_err(|e| Error::fault("border geometry", e))?;
        Ok((*place, geometry))
    };
    let polygons: Vec<(u32, Geometry<f64>)> =
        polygons.par_iter().map(read).collect::<Result<_>>()?;
    let mut areas: FxHashMap<u32, f64> = FxHashMap::default();
    for (place, geometry) in &polygons {
        *areas.entry(*place).or_default() += area::area_m2(geometry);
    }
    let index = BorderIndex::new(polygons);
    let one = |shape: &Shape| -> Result<(u32, Vec<(u32, f64)>)> {
        Ok((shape.ordinal, shares(shape, &index, &areas, whole)?))
    };
    shapes.par_iter().map(one).collect()
}

fn shares(
    shape: &Shape,
    index: &BorderIndex,
    areas: &FxHashMap<u32, f64>,
    whole: bool,
) -> Result<Vec<(u32, f64)>> {
    let mut parts: Vec<(u32, f64)> = Vec::new();
    let mut size = 0.0;
    if let Some(bytes) = &shape.wkb {
        let geometry = wkb::read(bytes).map_err(|e| Error::fault("stored geometry", e))?;
        let (area, length) = (area::area_m2(&geometry), area::length_m(&geometry));
        size = if area > 0.0 { area } else { length };
        for share in index.overlaps(&geometry) {
            let measured = match share.overlap {
                Overlap::AreaM2(m) if area > 0.0 => m,
                Overlap::LengthM(m) if area <= 0.0 => m,
                _ => continue,
            };
            if shape.places.binary_search(&share.payload).is_ok() {
                parts.push((share.payload, measured));
            }
        }
    }
    let sum: f64 = parts.iter().map(|(_, m)| m).sum();
    if sum > 0.0 {
        let whole = if whole { size.max(sum) } else { sum };
        parts.iter_mut().for_each(|(_, m)| *m /= whole);
        return Ok(parts);
    }
    // A point, or nothing drawn at all: known by its code alone.
    let of = |place: &u32| areas.get(place).copied().unwrap_or_default();
    let sum: f64 = shape.places.iter().map(of).sum();
    let equal = 1.0 / (shape.places.len().max(1) as f64);
    let part = |place: &u32| (*place, if sum > 0.0 { of(place) / sum } else { equal });
    Ok(shape.places.iter().map(part).collect())
}
