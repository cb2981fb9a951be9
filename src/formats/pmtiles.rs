//! PMTiles v3 (github.com/protomaps/PMTiles, spec/v3): clustered, every tile once, gzip throughout.

use super::tile_archive::{About, ArchiveWriter, repeats};
use crate::{
    error::{Error, Result},
    model::{BBox, TileId},
};
use pmtiles::{
    CallerKey, Compression, PmTilesStreamWriter, PmTilesWriter, PmtError, TileCoord,
    TileId as Number, TileType,
};
use std::{fs::File, path::Path};

/// The place of a tile in an archive: zoom by zoom, each along a Hilbert curve.
pub fn number(tile: TileId) -> u64 {
    TileCoord::new(tile.z, tile.x, tile.y).map_or(u64::MAX, |coord| Number::from(coord).value())
}

/// The tile of a number; `None` when there is none so deep.
pub fn tile(number: u64) -> Option<TileId> {
    let coord = TileCoord::from(Number::new(number).ok()?);
    TileId::new(coord.z(), coord.x(), coord.y())
}

/// Begins an archive.
pub(super) fn create(path: &Path, about: &About) -> Result<Box<dyn ArchiveWriter>> {
    let file = File::create(path).map_err(|e| Error::io(path, e))?;
    let metadata = serde_json::to_string(&about.members);
    let (lon, lat, zoom) = about.center;
    let writer = PmTilesWriter::new(TileType::Mvt)
        .precompressed(Compression::Gzip)
        .dedup_by_key::<u128>()
        .min_zoom(about.min_zoom)
        .max_zoom(about.max_zoom)
        .center(lon, lat)
        .center_zoom(zoom)
        .metadata(metadata.map_err(|e| Error::fault("metadata of a PMTiles archive", e))?)
        .create(file)
        .map_err(fault)?;
    Ok(Box::new(Archive(writer)))
}

struct Archive(PmTilesStreamWriter<File, CallerKey<u128>>);

impl ArchiveWriter for Archive {
    fn add(&mut self, tile: TileId, gzip: &[u8]) -> Result<()> {
        let coord = TileCoord::new(tile.z, tile.x, tile.y).map_err(fault)?;
        self.0.add_tile(coord, gzip, repeats(gzip)).map_err(fault)
    }

    fn finish(mut self: Box<Self>, bounds: BBox) -> Result<()> {
        self.0.set_bounds(bounds.west, bounds.south, bounds.east, bounds.north);
        self.0.finalize().map_err(fault)
    }
}

fn fault(error: PmtError) -> Error {
    match error {
        PmtError::Reading(error) => Error::io(Path::new("PMTiles"), error),
        error => Error::fault("PMTiles", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_specification() {
        // The examples of the specification, section "Tile ID".
        let of = |z, x, y| number(TileId::mercator(z, x, y));
        assert_eq!([of(0, 0, 0), of(1, 0, 0), of(1, 0, 1), of(1, 1, 1)], [0, 1, 2, 3]);
        assert_eq!([of(1, 1, 0), of(2, 0, 0), of(12, 3423, 1763)], [4, 5, 19_078_479]);
        for n in [0, 1, 4, 5, 19_078_479, u64::from(u32::MAX)] {
            assert_eq!(tile(n).map(number), Some(n));
        }
        assert_eq!(tile(u64::MAX), None);
    }
}
