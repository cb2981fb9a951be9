//! What each row's geometry passes between the store and a writer: it takes the form that the
//! layer declares and the system that was asked for.
//!
//! A cut at a territory's border belongs first here, before the projection: it may leave nothing
//! (the row is then left out and counted) and gives the share that is left.

use crate::{
    error::{Error, Result},
    formats::wkb::{self, Unmapped},
    geometry::crs::Crs,
    model::GeometryKind,
    text,
};

/// The passage of one layer's rows.
pub(super) struct Passage {
    /// The system, where it is not that of the store.
    crs: Option<Crs>,
    /// Whether single geometries become multi ones.
    multi: bool,
    wkb: Vec<u8>,
}

impl Passage {
    pub(super) fn new(kind: GeometryKind, crs: &Crs) -> Self {
        use GeometryKind as K;
        let multi = matches!(kind, K::MultiPoint | K::MultiLineString | K::MultiPolygon);
        let crs = (!crs.is_crs84()).then(|| crs.clone());
        Self { crs, multi, wkb: Vec::new() }
    }

    /// A geometry (2D little-endian WKB in CRS84) as the file holds it.
    pub(super) fn pass<'a>(&'a mut self, stored: &'a [u8]) -> Result<&'a [u8]> {
        let single = self.multi && matches!(stored, [1, 1..=3, 0, 0, 0, ..]);
        if self.crs.is_none() && !single {
            return Ok(stored);
        }
        self.wkb.clear();
        self.wkb.extend_from_slice(stored);
        if single {
            wkb::promote(&mut self.wkb);
        }
        if let Some(crs) = &self.crs {
            let mapped = wkb::map_in_place(&mut self.wkb, |c| crs.point_from_crs84(c));
            mapped.map_err(|e| match e {
                Unmapped::Broken(e) => Error::fault("a stored geometry cannot be read", e),
                Unmapped::Failed(outside) => {
                    let (x, y, name) = (outside.at.x, outside.at.y, crs.name());
                    Error::Conflict(text!(
                        "Une entité en ({x}, {y}) n'a pas de coordonnées dans {name} : choisissez un autre système (crs) ou un territoire.",
                        "A feature at ({x}, {y}) has no coordinates in {name}: choose another system (crs) or a territory."
                    ))
                }
            })?;
        }
        Ok(&self.wkb)
    }
}
