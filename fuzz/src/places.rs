//! Geometries and tiles as bytes.

use geo::CoordsIter;
use geo_types::{Coord, Geometry, MultiPolygon, Polygon, Rect};
use socle::{
    formats::{geojson, mvt, wkb},
    geometry::{
        area,
        clip::{Clipper, Space},
        generalise::generalise,
        overlap::{BorderIndex, NoiseRule},
        overview, validity,
    },
};

/// Vertices of geometries that are calculated with: time is bounded by the limits of imports, not
/// here.
const VERTICES: usize = 2_000;

/// WKB, read in all the ways there are.
pub fn wkb(bytes: &[u8]) {
    let mut out = Vec::new();
    let written = geojson::write_geometry(bytes, 9, &mut out);
    if written.is_ok() {
        let read = serde_json::from_slice::<serde_json::Value>(&out);
        assert!(read.is_ok(), "{}", String::from_utf8_lossy(&out));
    }
    let _ = wkb::bounds(bytes);
    let mut moved = bytes.to_vec();
    let _ = wkb::map_in_place(&mut moved, |c: Coord<f64>| Ok::<_, ()>(Coord { x: c.y, y: c.x }));
    let mut promoted = bytes.to_vec();
    wkb::promote(&mut promoted);
    let Ok(geometry) = wkb::read(bytes) else { return };
    let mut again = Vec::new();
    wkb::write(&geometry, &mut again);
    // A ring that begins with no number is never closed: it gains a vertex each time.
    if geometry.coords_iter().any(|c| c.x.is_nan() || c.y.is_nan()) {
        return;
    }
    let mut twice = Vec::new();
    wkb::write(&wkb::read(&again).expect("what was written is read"), &mut twice);
    assert_eq!(again, twice);
    let _ = wkb::bounds(&again).expect("what was written has bounds");
}

/// What an import does with a geometry before anything is known to be right with it.
pub fn geometry(bytes: &[u8]) {
    let Ok(geometry) = wkb::read(bytes) else { return };
    if geometry.coords_count() > VERTICES {
        return;
    }
    let found = validity::check(&geometry);
    let mended = match found {
        Ok(()) => Some(geometry),
        Err(_) => validity::repair(geometry),
    };
    let Some(mut valid) = mended else { return };
    let found = validity::check(&valid);
    assert!(found.is_ok(), "what was mended is valid: {found:?} {valid:?}");
    validity::normalise(&mut valid);
    let size = area::area_m2(&valid);
    assert!(size.is_finite() && area::length_m(&valid).is_finite());
    for zoom in [0, 9, 24] {
        let _ = generalise(&valid, zoom);
    }
    let _ = overview::build(&[Some(&valid), None, Some(&valid)], 0, 14);
    border(&valid);
}

/// A geometry against a border and as one.
fn border(geometry: &Geometry<f64>) {
    let square = Rect::new((-10.0, 40.0), (10.0, 60.0)).to_polygon();
    let cut = |border: Polygon<f64>, geometry: &Geometry<f64>| {
        let _ = Clipper::new(MultiPolygon(vec![border]), Space::Degrees).cut(geometry);
    };
    cut(square.clone(), geometry);
    let index = BorderIndex::new([(1, square.clone().into()), (2, geometry.clone())]);
    let _ = index.attach(geometry, &NoiseRule::default());
    let _ = index.nearest(geometry, 100.0);
    if let Geometry::Polygon(polygon) = geometry {
        cut(polygon.clone(), &square.into());
    }
}

/// A vector tile, and the attributes in it.
pub fn mvt(bytes: &[u8]) {
    if let Ok(layers) = mvt::read(bytes) {
        for layer in &layers {
            for feature in &layer.features {
                let _ = layer.properties(feature).count();
            }
        }
    }
    let _ = mvt::decode_tags(bytes, 4);
    if let Ok(encoded) = overview::Encoded::read(bytes) {
        let (mut paths, mut path) = (encoded.paths(), Vec::new());
        while let Ok(true) = paths.next_into(&mut path) {}
        let _ = encoded.first_move();
    }
}
