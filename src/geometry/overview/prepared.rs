//! The geometry of a layer gathered batch by batch, then given band by band: what a load holds of it
//! is the grid's form, once, and no band at all.

use super::{
    Banded, Less, Weighed, band_zooms,
    grid::{MAX_GRID_ZOOM, Shapes},
    points::{self, Place, Points, Spot},
    sparse_zooms,
};
use geo_types::Geometry;
use std::{collections::BTreeMap, ops::Range};

/// Takes the geometry of a layer's features, in order.
#[derive(Debug)]
pub struct Gathering {
    finest: u8,
    found: Found,
}

#[derive(Debug)]
enum Found {
    /// Single points, as long as there is nothing else.
    Points(Vec<Place>),
    Shapes(Shapes),
}

impl Gathering {
    /// Of a layer of `count` features whose deepest zoom is `max_zoom`.
    pub fn new(count: usize, max_zoom: u8) -> Self {
        let found = Found::Points(Vec::with_capacity(count));
        Self { finest: max_zoom.min(MAX_GRID_ZOOM), found }
    }

    /// Takes the geometries of features (CRS84 degrees) that follow each other; `first` is the
    /// ordinal of the first.
    pub fn add(&mut self, first: usize, geometries: &[Option<&Geometry<f64>>]) {
        if let Found::Points(places) = &mut self.found {
            if let Some(more) = points::places(first, geometries, self.finest) {
                places.extend(more);
                return;
            }
            self.found = Found::Shapes(Shapes::of_points(std::mem::take(places)));
        }
        if let Found::Shapes(shapes) = &mut self.found {
            shapes.extend(first, geometries, self.finest);
        }
    }

    /// The bands for some zooms; see [`super::build_less`].
    pub fn prepare(self, min_zoom: u8, max_zoom: u8, less: Less<'_>) -> Prepared {
        let shapes = match self.found {
            Found::Points(places) => {
                let zooms = sparse_zooms(min_zoom, max_zoom);
                let from = less.from.map(<[u8]>::to_vec);
                return Prepared(Bands::Points(Points::new(places, zooms, from)));
            }
            Found::Shapes(shapes) => shapes,
        };
        Weighed::of(shapes, self.finest).prepare(min_zoom, max_zoom, less)
    }

    /// Its lines and polygons, each vertex weighed.
    pub fn weighed(self) -> Weighed {
        let shapes = match self.found {
            Found::Points(places) => Shapes::of_points(places),
            Found::Shapes(shapes) => shapes,
        };
        Weighed::of(shapes, self.finest)
    }
}

impl Weighed {
    /// As [`Gathering::prepare`].
    pub fn prepare(self, min_zoom: u8, max_zoom: u8, less: Less<'_>) -> Prepared {
        let (usual, zooms) = (BTreeMap::new(), band_zooms(min_zoom, max_zoom));
        Prepared(Bands::Shapes(self.banded(&zooms, less.detail.unwrap_or(&usual))))
    }
}

/// The bands of a layer, to be written.
#[derive(Debug)]
pub struct Prepared(Bands);

#[derive(Debug)]
enum Bands {
    Points(Points),
    Shapes(Banded),
}

impl Prepared {
    /// Features with geometry.
    pub fn len(&self) -> usize {
        match &self.0 {
            Bands::Points(points) => points.spots().len(),
            Bands::Shapes(shapes) => shapes.ranked.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ordinals of some positions ([`super::Overviews::order`]).
    pub fn order(&self, positions: Range<usize>) -> Vec<u32> {
        match &self.0 {
            Bands::Points(points) => {
                let spots = points.spots().get(positions).unwrap_or_default();
                spots.iter().map(|spot| spot.ordinal).collect()
            }
            Bands::Shapes(shapes) => shapes.order(positions),
        }
    }

    /// The bounds of a position ([`super::Overviews::bounds`]).
    pub fn bounds(&self, position: usize) -> Option<[i32; 4]> {
        match &self.0 {
            Bands::Points(points) => {
                points.spots().get(position).map(|Spot { at: [x, y], .. }| [*x, *y, *x, *y])
            }
            Bands::Shapes(shapes) => shapes.bounds(position),
        }
    }

    /// The zooms of the bands, from coarse to fine.
    pub fn zooms(&self) -> Vec<u8> {
        match &self.0 {
            Bands::Points(points) => points.zooms().to_vec(),
            Bands::Shapes(shapes) => shapes.bands.iter().map(|(zoom, ..)| *zoom).collect(),
        }
    }

    /// Appends the encoded geometries of some positions in a band, and where each ends among them.
    pub fn write(
        &self,
        band: usize,
        positions: Range<usize>,
        bytes: &mut Vec<u8>,
        ends: &mut Vec<u64>,
    ) {
        match &self.0 {
            Bands::Points(points) => points.write(band, positions, bytes, ends),
            Bands::Shapes(shapes) => shapes.write(band, positions, bytes, ends),
        }
    }
}
