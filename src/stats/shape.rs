//! The shape of a territory, from its border: geometry, box, area, centre.

use super::{Stats, aside};
use crate::{
    error::{Error, Result},
    formats::{geojson, wkb},
    geometry::area,
    model::BBox,
    store::border::Border,
};
use geo::{BoundingRect, Centroid};
use geo_types::Geometry;
use std::sync::Arc;

/// What a territory looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// GeoJSON geometry, a `MultiPolygon`.
    pub geometry: String,
    /// Its box, degrees.
    pub bbox: BBox,
    /// Its area on the ellipsoid, km².
    pub area_km2: f64,
    /// Its centroid in degrees, longitude and latitude; it may lie outside.
    pub centroid: [f64; 2],
    /// How many of its communes have no polygon: what is here is not all of it.
    pub missing: u64,
}

impl Stats {
    /// The shape of what a border encloses; `None` when that is nothing.
    ///
    /// # Errors
    /// [`Error::Fault`] when a geometry cannot be written.
    pub async fn shape(&self, border: Arc<Border>) -> Result<Option<Shape>> {
        aside(move || of(&border)).await
    }
}

fn of(border: &Border) -> Result<Option<Shape>> {
    let Some(polygons) = border.shapes().next() else { return Ok(None) };
    let geometry = Geometry::MultiPolygon(polygons.clone());
    let (Some(rect), Some(centre)) = (geometry.bounding_rect(), geometry.centroid()) else {
        return Ok(None);
    };
    let (mut bytes, mut text) = (Vec::new(), Vec::new());
    wkb::write(&geometry, &mut bytes);
    geojson::write_geometry(&bytes, geojson::DECIMALS, &mut text)
        .map_err(|e| Error::fault("writing a border", e))?;
    let geometry_text = String::from_utf8(text).map_err(|e| Error::fault("writing a border", e))?;
    Ok(Some(Shape {
        geometry: geometry_text,
        bbox: BBox {
            west: rect.min().x,
            south: rect.min().y,
            east: rect.max().x,
            north: rect.max().y,
        },
        area_km2: area::area_m2(&geometry) / 1e6,
        centroid: [centre.x(), centre.y()],
        missing: border.missing,
    }))
}
