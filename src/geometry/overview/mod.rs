//! Overviews: geometry generalised for bands of zooms, each shared border once.
//!
//! A layer of polygons is a coverage: two neighbours share the very vertices of their border.
//! Generalising each polygon by itself would tear them apart, so it is the *vertices* that are
//! weighed here, once for the whole layer ([`arcs`], [`simplify`]), and every band keeps those
//! that weigh enough. Neighbours see the same weights, hence keep the same vertices, and rounding
//! to a band's grid moves equal vertices equally.
//!
//! Geometry only: no features, no properties, no tiles. What a tile does with an encoded
//! geometry is the business of the tile room.

mod arcs;
mod bands;
mod encode;
mod grid;
mod hilbert;
mod necks;
mod points;
mod simplify;
mod thin;

pub use encode::{Corrupt, Encoded, FirstMove, Kind, Paths, encode};
pub use grid::{MAX_GRID_ZOOM, project};
pub use thin::{Room, Thinned, thin};

use bands::{Encoder, Threshold};
use geo_types::Geometry;
use grid::Shapes;
use rayon::prelude::*;

/// Units of one tile along each axis: the extent of MVT tiles, at a band's own zoom.
pub const EXTENT: u32 = 4096;

/// The prepared geometry of a version.
#[derive(Debug, Clone, Default)]
pub struct Overviews {
    /// Features with geometry in Hilbert order: position → ordinal in source order.
    pub order: Vec<u32>,
    /// Bounds of each position on the finest band's grid: `[min x, min y, max x, max y]`.
    pub bounds: Vec<[i32; 4]>,
    /// From coarse to fine.
    pub bands: Vec<Band>,
}

/// Geometry for the zooms up to `zoom` (down to the band before).
#[derive(Debug, Clone, Default)]
pub struct Band {
    /// The deepest zoom it serves at full precision; coordinates are integers on the world grid
    /// of `4096·2^zoom` units, x east, y south.
    pub zoom: u8,
    /// `offsets[p]..offsets[p + 1]` is the encoded geometry of position `p` ([`Encoded`] says
    /// how); empty when the feature is too small for the band.
    pub offsets: Vec<u64>,
    /// Encoded geometries, end to end.
    pub bytes: Vec<u8>,
}

impl Band {
    /// The encoded geometry of a position; empty when the band does not show it.
    pub fn geometry(&self, position: usize) -> &[u8] {
        let at = |i: usize| self.offsets.get(i).and_then(|o| usize::try_from(*o).ok());
        match (at(position), position.checked_add(1).and_then(at)) {
            (Some(start), Some(end)) => self.bytes.get(start..end).unwrap_or_default(),
            _ => &[],
        }
    }
}

impl Overviews {
    /// The band that tiles of `zoom` are drawn from: the coarsest that is fine enough, else the
    /// finest. `None` when there is no band at all.
    pub fn band(&self, zoom: u8) -> Option<&Band> {
        self.bands.iter().find(|b| b.zoom >= zoom).or(self.bands.last())
    }
}

/// The bands of a range of zooms, from coarse to fine: one per two zooms, the finest at
/// `max_zoom` (at most [`MAX_GRID_ZOOM`]).
pub fn band_zooms(min_zoom: u8, max_zoom: u8) -> Vec<u8> {
    let mut zoom = max_zoom.min(MAX_GRID_ZOOM);
    let mut zooms = vec![zoom];
    while zoom > min_zoom.saturating_add(1) {
        zoom = zoom.saturating_sub(2);
        zooms.push(zoom);
    }
    zooms.reverse();
    zooms
}

/// Prepares the geometry of a layer's features (CRS84 degrees, by ordinal) for the tiles of
/// `min_zoom` to `max_zoom`, all cores at work.
///
/// - Polygons keep their neighbourhood: a border is generalised once for both sides, a polygon
///   too small for a band leaves no hole behind it.
/// - The largest ring of a feature stays as long as its area on the band's grid is not nil;
///   islets and holes go when they are smaller than what a band shows of a line.
/// - Points are kept in all bands, but for what [`thin`] leaves out.
/// - A collection counts with its parts of the highest dimension: an MVT feature has one type.
///
/// At most 2³² vertices in all.
pub fn build(geometries: &[Option<&Geometry<f64>>], min_zoom: u8, max_zoom: u8) -> Overviews {
    build_from(geometries, min_zoom, max_zoom, None)
}

/// [`build`], with the zoom of the first band that shows each single point ([`Thinned::from`]).
pub fn build_from(
    geometries: &[Option<&Geometry<f64>>],
    min_zoom: u8,
    max_zoom: u8,
    from: Option<&[u8]>,
) -> Overviews {
    let zooms = band_zooms(min_zoom, max_zoom);
    if let Some(overviews) = points::build(geometries, &zooms, from) {
        return overviews;
    }
    of_shapes(geometries, &zooms)
}

/// [`build`] for geometry of any kind.
fn of_shapes(geometries: &[Option<&Geometry<f64>>], zooms: &[u8]) -> Overviews {
    let finest = zooms.last().copied().unwrap_or_default();
    let shapes = Shapes::of(geometries, finest);
    let topology = arcs::find(&shapes);
    let weights = simplify::weigh(&shapes, &topology);
    drop(topology);

    let ranked = hilbert::order(&shapes, finest);
    let thresholds: Vec<Threshold> = zooms.iter().map(|z| Threshold::of(*z, finest)).collect();
    let chunks: Vec<Encoder> = ranked
        .par_chunks(512)
        .map(|chunk| {
            let mut encoder = Encoder::new(&shapes, &weights, &thresholds);
            chunk.iter().for_each(|shape| encoder.push(*shape));
            encoder
        })
        .collect();
    let bands = zooms.iter().enumerate().map(|(i, zoom)| join(*zoom, i, &chunks)).collect();
    let shape = |s: &u32| &shapes.shapes[*s as usize];
    Overviews {
        order: ranked.iter().map(|s| shape(s).ordinal).collect(),
        bounds: ranked.iter().map(|s| shape(s).bounds).collect(),
        bands,
    }
}

/// Puts the chunks' shares of a band end to end.
fn join(zoom: u8, band: usize, chunks: &[Encoder<'_>]) -> Band {
    let size = chunks.iter().map(|c| c.bands[band].bytes.len()).sum();
    let mut bytes: Vec<u8> = Vec::with_capacity(size);
    let mut offsets = vec![0];
    for chunk in chunks {
        let share = &chunk.bands[band];
        let base = bytes.len() as u64;
        offsets.extend(share.ends.iter().map(|end| base + *end as u64));
        bytes.extend_from_slice(&share.bytes);
    }
    Band { zoom, offsets, bytes }
}

#[cfg(test)]
pub(crate) mod tests;
