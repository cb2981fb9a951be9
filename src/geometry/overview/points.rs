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

/// Bytes of an encoded point: kind, corner, size, one move.
const BYTES: usize = 14;

/// The overviews of a layer of single points; `None` when it holds anything else.
///
/// `from`: the first band that shows each, by ordinal.
pub(super) fn build(
    geometries: &[Option<&Geometry<f64>>],
    zooms: &[u8],
    from: Option<&[u8]>,
) -> Option<Overviews> {
    let single = |g: &Option<&Geometry<f64>>| matches!(g, None | Some(Geometry::Point(_)));
    if !geometries.par_iter().all(single) {
        return None;
    }
    let finest = zooms.last().copied().unwrap_or_default();
    // Rank on the curve, ordinal, position: sorted as the general way sorts its shapes.
    let mut ranked: Vec<(u32, u32, [i32; 2])> = geometries
        .par_iter()
        .enumerate()
        .filter_map(|(i, geometry)| {
            let (Some(Geometry::Point(p)), Ok(ordinal)) = (geometry, u32::try_from(i)) else {
                return None;
            };
            let (x, y) = grid::project(p.x(), p.y(), finest);
            Some((hilbert::rank([x, y, x, y], finest), ordinal, [x, y]))
        })
        .collect();
    ranked.par_sort_unstable();
    let bands = zooms
        .par_iter()
        .map(|zoom| {
            let shift = u32::from(finest - zoom);
            let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
            let mut offsets = Vec::with_capacity(ranked.len() + 1);
            offsets.push(0);
            let mut bytes = Vec::with_capacity(ranked.len() * BYTES);
            for (_, ordinal, position) in &ranked {
                let first = from.and_then(|from| from.get(*ordinal as usize));
                if first.is_none_or(|first| first <= zoom) {
                    let path = [position.map(|v| (v + half) >> shift)];
                    encode(Kind::Points, std::iter::once(path.as_slice()), &mut bytes);
                }
                offsets.push(bytes.len() as u64);
            }
            Band { zoom: *zoom, offsets, bytes }
        })
        .collect();
    Some(Overviews {
        order: ranked.iter().map(|(_, ordinal, _)| *ordinal).collect(),
        bounds: ranked.iter().map(|(_, _, [x, y])| [*x, *y, *x, *y]).collect(),
        bands,
    })
}
