//! Layers of single points, of which there may be millions: nothing to generalise, no border to
//! share, so the bands are written straight from the positions, without the paths, the weights
//! and the topology that lines and polygons need.

use super::{
    Band, Overviews,
    encode::{Kind, encode},
    grid, hilbert,
};
use geo_types::Geometry;
use rayon::prelude::*;
use std::ops::Range;

/// Bytes of an encoded point at most: kind, corner, size, one move.
const BYTES: usize = 16;

/// A point on the finest grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Where it lies along the Hilbert curve.
    rank: u32,
    pub(super) ordinal: u32,
    pub(super) at: [i32; 2],
}

impl Place {
    pub(super) fn of(ordinal: u32, point: geo_types::Point<f64>, finest: u8) -> Self {
        let (x, y) = grid::project(point.x(), point.y(), finest);
        Self { rank: hilbert::rank([x, y, x, y], finest), ordinal, at: [x, y] }
    }
}

/// A point that lies in order: its position says where it lies along the curve.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub(super) ordinal: u32,
    pub(super) at: [i32; 2],
}

/// The bands of a layer of points, made as they are asked for.
#[derive(Debug, Clone)]
pub(super) struct Points {
    /// Along the curve.
    spots: Vec<Spot>,
    zooms: Vec<u8>,
    /// The first band that shows each, by ordinal; all do where it is not said.
    from: Option<Vec<u8>>,
}

impl Points {
    /// Places in any order.
    pub(super) fn new(mut places: Vec<Place>, zooms: Vec<u8>, from: Option<Vec<u8>>) -> Self {
        // Sorted as the general way sorts its shapes.
        places.par_sort_unstable();
        // Where they are: the memory that this gives back is the load's while it writes.
        let spot = |Place { ordinal, at, .. }| Spot { ordinal, at };
        Self { spots: places.into_iter().map(spot).collect(), zooms, from }
    }

    pub(super) fn zooms(&self) -> &[u8] {
        &self.zooms
    }

    pub(super) fn spots(&self) -> &[Spot] {
        &self.spots
    }

    /// Appends the encoded points of some positions, and where each ends among them.
    pub(super) fn write(
        &self,
        band: usize,
        positions: Range<usize>,
        bytes: &mut Vec<u8>,
        ends: &mut Vec<u64>,
    ) {
        let finest = self.zooms.last().copied().unwrap_or_default();
        let zoom = self.zooms.get(band).copied().unwrap_or(finest);
        let shift = u32::from(finest - zoom);
        let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
        let start = bytes.len();
        bytes.reserve(positions.len() * BYTES);
        for spot in self.spots.get(positions).unwrap_or_default() {
            let first = self.from.as_ref().and_then(|from| from.get(spot.ordinal as usize));
            if first.is_none_or(|first| *first <= zoom) {
                let path = [spot.at.map(|v| (v + half) >> shift)];
                encode(Kind::Points, std::iter::once(path.as_slice()), bytes);
            }
            ends.push((bytes.len() - start) as u64);
        }
    }

    /// All of it at once.
    pub(super) fn overviews(&self) -> Overviews {
        let band = |(i, zoom): (usize, &u8)| {
            let (mut bytes, mut offsets) = (Vec::new(), vec![0]);
            self.write(i, 0..self.spots.len(), &mut bytes, &mut offsets);
            Band { zoom: *zoom, offsets, bytes }
        };
        Overviews {
            order: self.spots.iter().map(|spot| spot.ordinal).collect(),
            bounds: self.spots.iter().map(|Spot { at: [x, y], .. }| [*x, *y, *x, *y]).collect(),
            bands: self.zooms.par_iter().enumerate().map(|(i, z)| band((i, z))).collect(),
        }
    }
}

/// The single points of some features; `None` when there is anything else.
pub(super) fn places(
    first: usize,
    geometries: &[Option<&Geometry<f64>>],
    finest: u8,
) -> Option<Vec<Place>> {
    let single = |g: &Option<&Geometry<f64>>| matches!(g, None | Some(Geometry::Point(_)));
    if !geometries.par_iter().with_min_len(512).all(single) {
        return None;
    }
    let place = |(i, geometry): (usize, &Option<&Geometry<f64>>)| match geometry {
        Some(Geometry::Point(p)) => Some(Place::of(u32::try_from(first + i).ok()?, *p, finest)),
        _ => None,
    };
    Some(geometries.par_iter().enumerate().with_min_len(512).filter_map(place).collect())
}
