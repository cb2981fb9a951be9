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
mod pinched;
mod points;
mod prepared;
mod simplify;
mod spread;
mod thin;
mod untangle;

pub use encode::{Corrupt, Encoded, FirstMove, Kind, Paths, encode};
pub use grid::{MAX_GRID_ZOOM, project};
pub use prepared::{Gathering, Prepared};
pub use spread::{Seen, spread};
pub use thin::{Place, Room, Thinned, thin};

pub use bands::DETAIL;
use bands::{Source, Threshold};
use geo_types::Geometry;
use grid::Shapes;
use std::{collections::BTreeMap, ops::Range};
use untangle::{Bends, untangle};

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

/// The bands of a range of zooms, from coarse to fine: one for each, the finest at `max_zoom` (at
/// most [`MAX_GRID_ZOOM`]). A tile drawn from the band of the next zoom would show details that
/// its own pixels do not.
pub fn band_zooms(min_zoom: u8, max_zoom: u8) -> Vec<u8> {
    let finest = max_zoom.min(MAX_GRID_ZOOM);
    (min_zoom.min(finest)..=finest).collect()
}

/// The bands of points, which have no details: one per two zooms.
fn sparse_zooms(min_zoom: u8, max_zoom: u8) -> Vec<u8> {
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
    build_less(geometries, min_zoom, max_zoom, Less::default())
}

/// What the coarser bands leave out beside what cannot be seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Less<'a> {
    /// The zoom of the first band that shows each single point ([`Thinned::from`]).
    pub from: Option<&'a [u8]>,
    /// By zoom, the least triangle of a vertex of lines and polygons, where it is not [`DETAIL`].
    pub detail: Option<&'a BTreeMap<u8, u32>>,
}

/// [`build`], with less in the coarser bands.
pub fn build_less(
    geometries: &[Option<&Geometry<f64>>],
    min_zoom: u8,
    max_zoom: u8,
    less: Less<'_>,
) -> Overviews {
    let finest = max_zoom.min(MAX_GRID_ZOOM);
    if let Some(places) = points::places(0, geometries, finest) {
        let from = less.from.map(<[u8]>::to_vec);
        return points::Points::new(places, sparse_zooms(min_zoom, max_zoom), from).overviews();
    }
    let usual = BTreeMap::new();
    Weighed::new(geometries, max_zoom)
        .overviews(&band_zooms(min_zoom, max_zoom), less.detail.unwrap_or(&usual))
}

/// Lines and polygons of a layer, each vertex weighed: bands of any zoom are taken from it.
pub struct Weighed {
    shapes: Shapes,
    /// By vertex.
    weights: Vec<f32>,
    /// By vertex, the first one at its place.
    first: Vec<u32>,
    /// The shapes along the Hilbert curve.
    ranked: Vec<u32>,
    /// The finest zoom.
    finest: u8,
}

impl Weighed {
    /// Weighs the vertices of a layer whose deepest zoom is `max_zoom`.
    pub fn new(geometries: &[Option<&Geometry<f64>>], max_zoom: u8) -> Self {
        let finest = max_zoom.min(MAX_GRID_ZOOM);
        Self::of(Shapes::of(geometries, finest), finest)
    }

    fn of(shapes: Shapes, finest: u8) -> Self {
        let topology = arcs::find(&shapes);
        let weights = simplify::weigh(&shapes, &topology);
        let first = topology.first;
        let ranked = hilbert::order(&shapes, finest);
        Self { shapes, weights, first, ranked, finest }
    }

    /// The features with geometry: their ordinals, in the order of bands.
    pub fn order(&self) -> Vec<u32> {
        self.ranked.iter().map(|s| self.shapes.shapes[*s as usize].ordinal).collect()
    }

    /// The band of a zoom with another least triangle than usual, to be weighed: a few borders may
    /// cross in it, which takes some bytes more to put right.
    pub fn band(&self, zoom: u8, detail: u32) -> Band {
        let threshold = Threshold::of(zoom.min(self.finest), self.finest, Some(detail));
        let Self { shapes, weights, .. } = self;
        Source { shapes, weights, bends: &Bends::default(), threshold }.band(zoom, &self.ranked)
    }

    /// The bands of those zooms, from coarse to fine; `detail` as [`Less::detail`].
    pub fn overviews(self, zooms: &[u8], detail: &BTreeMap<u8, u32>) -> Overviews {
        let banded = self.banded(zooms, detail);
        Overviews {
            order: banded.order(0..banded.ranked.len()),
            bounds: (0..banded.ranked.len()).filter_map(|at| banded.bounds(at)).collect(),
            bands: (0..banded.bands.len()).map(|band| banded.band(band)).collect(),
        }
    }

    /// The same, to be given piece by piece.
    fn banded(self, zooms: &[u8], detail: &BTreeMap<u8, u32>) -> Banded {
        let Self { shapes, mut weights, first, ranked, finest } = self;
        let threshold = |z: &u8| Threshold::of(*z, finest, detail.get(z).copied());
        let thresholds: Vec<Threshold> = zooms.iter().map(threshold).collect();
        let bends = untangle(&shapes, &first, &mut weights, &thresholds);
        let bands = zooms.iter().zip(thresholds).zip(bends);
        let bands = bands.map(|((zoom, threshold), bends)| (*zoom, threshold, bends)).collect();
        Banded { shapes, weights, ranked, bands }
    }
}

/// Lines and polygons whose bands are made piece by piece: together they may be as large as the
/// features.
#[derive(Debug)]
struct Banded {
    shapes: Shapes,
    /// By vertex.
    weights: Vec<f32>,
    /// The shapes along the Hilbert curve.
    ranked: Vec<u32>,
    /// From coarse to fine.
    bands: Vec<(u8, Threshold, Bends)>,
}

impl Banded {
    fn source(&self, band: usize) -> Source<'_> {
        let (_, threshold, bends) = &self.bands[band];
        Source { shapes: &self.shapes, weights: &self.weights, bends, threshold: *threshold }
    }

    fn band(&self, band: usize) -> Band {
        self.source(band).band(self.bands[band].0, &self.ranked)
    }

    fn order(&self, positions: Range<usize>) -> Vec<u32> {
        let ranked = self.ranked.get(positions).unwrap_or_default();
        ranked.iter().map(|s| self.shapes.shapes[*s as usize].ordinal).collect()
    }

    fn bounds(&self, position: usize) -> Option<[i32; 4]> {
        self.ranked.get(position).map(|s| self.shapes.shapes[*s as usize].bounds)
    }

    fn write(
        &self,
        band: usize,
        positions: Range<usize>,
        bytes: &mut Vec<u8>,
        ends: &mut Vec<u64>,
    ) {
        let ranked = self.ranked.get(positions).unwrap_or_default();
        self.source(band).write(ranked, bytes, ends);
    }
}

#[cfg(test)]
pub(crate) mod tests;
