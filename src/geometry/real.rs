//! Real layers for the tests of this room, when they are at hand beside the project.

use flate2::read::GzDecoder;
use geo_types::{Coord, Geometry, LineString, MultiPolygon, Point, Polygon};
use serde::Deserialize;
use std::{fs::File, io::Read as _, path::PathBuf};

#[derive(Deserialize)]
struct Collection {
    features: Vec<Feature>,
}

/// One feature.
#[derive(Deserialize)]
pub(super) struct Feature {
    pub(super) properties: serde_json::Map<String, serde_json::Value>,
    #[serde(rename = "geometry")]
    shape: Shape,
}

type Ring = Vec<[f64; 2]>;

#[derive(Deserialize)]
#[serde(tag = "type", content = "coordinates")]
enum Shape {
    Point([f64; 2]),
    Polygon(Vec<Ring>),
    MultiPolygon(Vec<Vec<Ring>>),
}

impl Feature {
    pub(super) fn text(&self, name: &str) -> &str {
        self.properties.get(name).and_then(|v| v.as_str()).unwrap_or_default()
    }

    pub(super) fn geometry(&self) -> Geometry<f64> {
        match &self.shape {
            Shape::Point(p) => Point::from(*p).into(),
            Shape::Polygon(rings) => polygon(rings).into(),
            Shape::MultiPolygon(parts) => {
                MultiPolygon(parts.iter().map(|p| polygon(p)).collect()).into()
            }
        }
    }
}

fn polygon(rings: &[Ring]) -> Polygon<f64> {
    let ring = |r: &Ring| LineString(r.iter().map(|&c| Coord::from(c)).collect());
    let mut rings = rings.iter().map(ring);
    let shell = rings.next().unwrap_or_else(|| LineString(Vec::new()));
    Polygon::new(shell, rings.collect())
}

/// A file of the shared data, or `None` with a printed line that names the test.
pub(super) fn path(test: &str, name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    let above = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    let found = [path, above].into_iter().find(|p| p.exists());
    if found.is_none() {
        println!("{test}: skipped, {name} is not at hand");
    }
    found
}

/// Processor time of this thread in seconds, for the figures that tests print: unlike the wall
/// clock it does not depend on what else runs. 0 where the kernel does not tell.
pub(super) fn cpu() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// The features of a gzipped GeoJSON file of the shared data.
pub(super) fn features(test: &str, name: &str) -> Option<Vec<Feature>> {
    let path = path(test, name)?;
    let mut text = Vec::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_end(&mut text).unwrap();
    Some(parse(&text))
}

/// The features of a GeoJSON text.
pub(super) fn parse(text: &[u8]) -> Vec<Feature> {
    serde_json::from_slice::<Collection>(text).unwrap().features
}
