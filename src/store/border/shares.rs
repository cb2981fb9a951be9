//! What a border leaves of each feature of a layer.

use super::read::{Border, Cut};
use crate::{
    error::{Error, Result},
    formats::{mvt, wkb},
    model::{BBox, Field, FieldKind, GeometryKind, Schema, Selection},
    query::{Filter, Scan, Start},
    store::{At, Row, RowSink, Store},
};
use geo::BoundingRect;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

/// Features cut at once, all cores at work.
const STEP: usize = 1024;

/// The name of the property that says which share of a feature is left.
const PART: &str = "socle_part";

/// What is left of the features of one state of a layer. Those that are wholly inside, most of
/// them, are not listed.
#[derive(Debug, Default)]
pub struct Shares {
    /// Features of which something is left.
    pub kept: u64,
    /// Features of which nothing is left.
    pub left_out: u64,
    /// Extent of what is left, degrees; `None` without geometry.
    pub extent: Option<BBox>,
    /// Ids of those left out.
    outside: FxHashSet<Box<str>>,
    /// Shares of those cut.
    parts: FxHashMap<Box<str>, f64>,
    /// The same by MVT id; nothing left is 0.
    by_mvt_id: FxHashMap<u64, f64>,
}

impl Shares {
    /// The share that is left of a feature, 0 to 1; `None` when nothing is. A feature without
    /// geometry is whole: there is nothing to cut.
    pub fn of(&self, id: &str) -> Option<f64> {
        match self.parts.get(id) {
            Some(share) => Some(*share),
            None if self.outside.contains(id) => None,
            None => Some(1.0),
        }
    }

    /// Whether the border cuts the feature.
    pub fn is_cut(&self, id: &str) -> bool {
        self.parts.contains_key(id)
    }

    /// The box of what a cut left, degrees; `None` when it is empty.
    ///
    /// # Errors
    /// [`Error::Fault`] when the bytes are no geometry.
    pub fn bounds(wkb: &[u8]) -> Result<Option<BBox>> {
        bounds(wkb)
    }

    /// Features that the border cuts.
    pub fn cut(&self) -> u64 {
        self.parts.len() as u64
    }

    /// The same as [`Shares::of`] by the id that tiles know.
    pub(super) fn of_mvt_id(&self, id: u64) -> Option<f64> {
        match self.by_mvt_id.get(&id) {
            Some(share) => Some(*share).filter(|s| *s > 0.0),
            None => Some(1.0),
        }
    }

    /// Whether the border cuts the feature with that MVT id.
    pub(super) fn crosses(&self, id: u64) -> bool {
        self.by_mvt_id.get(&id).is_some_and(|share| *share > 0.0)
    }

    /// Bytes it takes, about.
    pub(super) fn weight(&self) -> usize {
        let ids = self.outside.iter().chain(self.parts.keys());
        ids.map(|id| id.len() + 64).sum::<usize>() + 256
    }

    fn add(&mut self, one: One) {
        match one.share {
            Some(share) => {
                self.kept += 1;
                if let Some(b) = one.bounds {
                    self.extent.get_or_insert(BBox::EMPTY).merge(&b);
                }
                if one.cut {
                    // Never quite nothing, or tiles would take it for that.
                    let share = share.max(f64::MIN_POSITIVE);
                    self.by_mvt_id.insert(mvt::feature_id(&one.id), share);
                    self.parts.insert(one.id, share);
                }
            }
            None => {
                self.left_out += 1;
                self.by_mvt_id.insert(mvt::feature_id(&one.id), 0.0);
                self.outside.insert(one.id);
            }
        }
    }
}

/// The name of the property that holds the share: [`PART`], with a number where the layer has a
/// field of that name already.
pub fn part_field(schema: &Schema) -> String {
    let taken = |name: &str| schema.index(name).is_some();
    if !taken(PART) {
        return PART.to_owned();
    }
    let numbered = (2..).map(|n| format!("{PART}_{n}"));
    numbered.into_iter().find(|name| !taken(name)).unwrap_or_default()
}

/// The schema of a layer's features once cut: with the field of their shares, and a geometry that
/// may have several parts.
pub fn cut_schema(schema: &Schema) -> Schema {
    let mut schema = schema.clone();
    let field = Field { name: part_field(&schema), kind: FieldKind::Float };
    schema.fields.push(field);
    schema.geometry = match schema.geometry {
        GeometryKind::Polygon => GeometryKind::MultiPolygon,
        GeometryKind::LineString => GeometryKind::MultiLineString,
        kind => kind,
    };
    schema
}

/// One feature judged.
struct One {
    id: Box<str>,
    share: Option<f64>,
    cut: bool,
    bounds: Option<BBox>,
}

/// Rows waiting to be cut, and what came of those before.
struct Work {
    border: Arc<Border>,
    waiting: Vec<(Box<str>, Option<Vec<u8>>)>,
    shares: Shares,
    fault: Option<Error>,
}

impl Work {
    fn judge(&mut self) {
        let border = &self.border;
        let judged: Result<Vec<One>> = std::mem::take(&mut self.waiting)
            .into_par_iter()
            .map(|(id, wkb)| judge(border, id, wkb.as_deref()))
            .collect();
        match judged {
            Ok(judged) => judged.into_iter().for_each(|one| self.shares.add(one)),
            Err(e) => self.fault = Some(e),
        }
    }
}

fn judge(border: &Border, id: Box<str>, bytes: Option<&[u8]>) -> Result<One> {
    let Some(bytes) = bytes else {
        return Ok(One { id, share: Some(1.0), cut: false, bounds: None });
    };
    Ok(match border.cut(bytes)? {
        Cut::Outside => One { id, share: None, cut: true, bounds: None },
        Cut::Inside => One { id, share: Some(1.0), cut: false, bounds: bounds(bytes)? },
        Cut::Part { wkb, share } => {
            One { id, share: Some(share), cut: true, bounds: bounds(&wkb)? }
        }
    })
}

/// The box of a geometry, degrees.
pub(super) fn bounds(bytes: &[u8]) -> Result<Option<BBox>> {
    let geometry = wkb::read(bytes).map_err(|e| Error::fault("a cut geometry", e))?;
    Ok(geometry.bounding_rect().map(|r| BBox {
        west: r.min().x,
        south: r.min().y,
        east: r.max().x,
        north: r.max().y,
    }))
}

/// Goes through the features that a selection lets through.
pub(super) async fn work(
    store: &Arc<dyn Store>,
    at: &At,
    selection: Option<&Arc<Selection>>,
    border: Arc<Border>,
) -> Result<Shares> {
    let work = Work { border, waiting: Vec::new(), shares: Shares::default(), fault: None };
    let work = Arc::new(Mutex::new(work));
    let inner = work.clone();
    let sink: RowSink = Box::new(move |row: &Row<'_>| {
        let mut work = inner.lock().unwrap_or_else(PoisonError::into_inner);
        work.waiting.push((row.id.into(), row.wkb.map(<[u8]>::to_vec)));
        if work.waiting.len() >= STEP {
            work.judge();
        }
        if work.fault.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let filter = Filter { selection: selection.cloned(), ..Filter::default() };
    store.scan(at, Scan { filter, start: Start::Ordinal(0), limit: None }, sink).await?;
    super::blocking(move || {
        let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
        work.judge();
        match work.fault.take() {
            Some(fault) => Err(fault),
            None => Ok(std::mem::take(&mut work.shares)),
        }
    })
    .await?
}
