//! What each row's geometry passes between the store and a writer: it is cut at a territory's
//! border where that is asked for, then takes the form that the layer declares and the system that
//! was asked for.

use crate::{
    error::{Error, Result},
    formats::wkb::{self, Unmapped},
    geometry::crs::Crs,
    model::{BBox, GeometryKind, Schema},
    store::border::{Border, Cut, Shares},
    text,
};
use std::sync::Arc;

/// The passage of one layer's rows.
pub(super) struct Passage {
    /// The system, where it is not that of the store.
    crs: Option<Crs>,
    /// Whether single geometries become multi ones.
    multi: bool,
    /// The border to cut at, and the box that what is left must meet.
    border: Option<(Arc<Border>, Option<BBox>)>,
    wkb: Vec<u8>,
}

/// What a cut leaves of a row.
#[derive(Default)]
pub(super) struct Left {
    /// The geometry, where it is another one.
    pub(super) wkb: Option<Vec<u8>>,
    /// The share that is left, where rows are cut.
    pub(super) share: Option<f64>,
}

impl Passage {
    pub(super) fn new(schema: &Schema, crs: &Crs) -> Self {
        use GeometryKind as K;
        let kind = schema.geometry;
        let multi = matches!(kind, K::MultiPoint | K::MultiLineString | K::MultiPolygon);
        let crs = (!crs.is_crs84()).then(|| crs.clone());
        Self { crs, multi, border: None, wkb: Vec::new() }
    }

    /// The same, cutting first.
    pub(super) fn cutting(self, border: Arc<Border>, bbox: Option<BBox>) -> Self {
        Self { border: Some((border, bbox)), ..self }
    }

    /// What is left of a row with that geometry; `None` when the row is left out. A row without
    /// geometry is whole.
    pub(super) fn cut(&self, stored: Option<&[u8]>) -> Result<Option<Left>> {
        let Some((border, bbox)) = &self.border else { return Ok(Some(Left::default())) };
        let whole = Left { wkb: None, share: Some(1.0) };
        let Some(stored) = stored else { return Ok(Some(whole)) };
        Ok(match border.cut(stored)? {
            Cut::Inside => Some(whole),
            Cut::Outside => None,
            Cut::Part { wkb, share } => {
                let outside = match (bbox, Shares::bounds(&wkb)?) {
                    (Some(asked), Some(left)) => !asked.parts().iter().any(|p| p.meets(&left)),
                    _ => false,
                };
                (!outside).then_some(Left { wkb: Some(wkb), share: Some(share) })
            }
        })
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
