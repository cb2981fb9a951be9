//! How two geometries lie to each other, by the DE-9IM, in the plane of degrees.

use crate::model::Relation;
use geo::{BoundingRect, CoordsIter, Intersects, Relate};
use geo_types::{Geometry, Rect};

/// Products of coordinates up to here are compared one by one; beyond, through an index.
const FEW: usize = 4_096;

/// A geometry that many others are compared with.
pub struct Other {
    shape: Geometry<f64>,
    bounds: Option<Rect<f64>>,
    coords: usize,
}

impl Other {
    /// Makes it ready.
    pub fn new(shape: Geometry<f64>) -> Self {
        Self { bounds: shape.bounding_rect(), coords: shape.coords_count(), shape }
    }
}

/// Whether the relation holds of a geometry and another, in this order. `None` where it is not
/// defined: for collections there is [`Relation::Intersects`] only.
pub fn holds(relation: Relation, shape: &Geometry<f64>, other: &Other) -> Option<bool> {
    let collection = |g: &Geometry<f64>| matches!(g, Geometry::GeometryCollection(_));
    if relation != Relation::Intersects && (collection(shape) || collection(&other.shape)) {
        return None;
    }
    let apart = match (shape.bounding_rect(), &other.bounds) {
        (Some(a), Some(b)) => !a.intersects(b),
        _ => true,
    };
    if apart {
        return Some(false);
    }
    if relation == Relation::Intersects
        && (collection(shape) || shape.coords_count().saturating_mul(other.coords) <= FEW)
    {
        return Some(shape.intersects(&other.shape));
    }
    let matrix = shape.relate(&other.shape);
    Some(match relation {
        Relation::Intersects => matrix.is_intersects(),
        Relation::Equals => matrix.is_equal_topo(),
        Relation::Touches => matrix.is_touches(),
        Relation::Crosses => matrix.is_crosses(),
        Relation::Within => matrix.is_within(),
        Relation::Contains => matrix.is_contains(),
        Relation::Overlaps => matrix.is_overlaps(),
    })
}
