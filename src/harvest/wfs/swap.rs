//! Which way round a service writes degrees. By GeoJSON it is longitude first; by EPSG:4326 and
//! WFS it is latitude first, and services differ, in GML too, whatever the name of the system says. The first coordinates that tell decide: they
//! lie where the service says that the type lies, in one order only.

use super::super::failed;
use crate::{
    error::{Error, Result},
    model::Fault,
    text,
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// How far outside its box a feature may lie, degrees: boxes are rounded and forgotten.
const SLACK: f64 = 1.0;

/// The order of a delivery's axes, once it is known.
pub(super) struct Order {
    bbox: Option<[f64; 4]>,
    latitude_first: Option<bool>,
}

impl Order {
    /// For features that lie in a box; without one nothing tells.
    pub(super) fn new(bbox: Option<[f64; 4]>) -> Self {
        Self { bbox: bbox.filter(|b| tells(*b)), latitude_first: None }
    }

    /// Whether latitude comes first, as these positions or earlier ones show; `None` as long as
    /// none does. Once known it holds: a feature out of place is no reason to turn it.
    pub(super) fn latitude_first(
        &mut self,
        mut positions: impl Iterator<Item = (f64, f64)>,
    ) -> Option<bool> {
        let [west, south, east, north] = self.bbox?;
        let within = |n: f64, low: f64, high: f64| n >= low - SLACK && n <= high + SLACK;
        let inside = |x: f64, y: f64| within(x, west, east) && within(y, south, north);
        let told = |(a, b)| match (inside(a, b), inside(b, a)) {
            (true, false) => Some(false),
            (false, true) => Some(true),
            _ => None,
        };
        self.latitude_first = self.latitude_first.or_else(|| positions.find_map(told));
        self.latitude_first
    }

    /// GeoJSON features turned round, when they have to be.
    pub(super) fn of(&mut self, features: &[&str]) -> Result<Option<Vec<String>>> {
        let known = self.latitude_first.is_some() || self.bbox.is_none();
        let mut positions = Vec::new();
        for raw in features.iter().filter(|_| !known) {
            let feature = parse(raw)?;
            positions.extend(feature.get("geometry").and_then(first_position));
        }
        if self.latitude_first(positions.into_iter()) != Some(true) {
            return Ok(None);
        }
        features.iter().map(|raw| turned(raw)).collect::<Result<_>>().map(Some)
    }
}

/// A box tells the two orders apart when it does not meet itself turned round.
fn tells([west, south, east, north]: [f64; 4]) -> bool {
    east + SLACK < south - SLACK || north + SLACK < west - SLACK
}

/// A feature with its coordinates turned round, and the rest as it was written.
fn turned(raw: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Feature<'a> {
        #[serde(borrow, default)]
        geometry: Option<&'a RawValue>,
    }
    let feature: Feature = serde_json::from_str(raw).map_err(|_| unreadable())?;
    let Some(text) = feature.geometry.map(RawValue::get) else { return Ok(raw.to_owned()) };
    let mut geometry = parse(text)?;
    turn_geometry(&mut geometry);
    // It is borrowed from the feature: where it begins there is known.
    let start = (text.as_ptr() as usize).saturating_sub(raw.as_ptr() as usize);
    let before = raw.get(..start).unwrap_or_default();
    let after = raw.get(start + text.len()..).unwrap_or_default();
    Ok(format!("{before}{geometry}{after}"))
}

fn parse(raw: &str) -> Result<Value> {
    serde_json::from_str(raw).map_err(|_| unreadable())
}

fn unreadable() -> Error {
    failed(Fault::Page, text!("une entité est illisible", "a feature cannot be read"))
}

fn first_position(geometry: &Value) -> Option<(f64, f64)> {
    let mut at = geometry.get("coordinates").or_else(|| geometry.get("geometries"))?;
    loop {
        if let Some(inner) = at.get("coordinates") {
            at = inner;
            continue;
        }
        let first = at.get(0)?;
        match (first.as_f64(), at.get(1).and_then(Value::as_f64)) {
            (Some(a), Some(b)) => return Some((a, b)),
            _ => at = first,
        }
    }
}

fn turn_geometry(geometry: &mut Value) {
    if let Some(coordinates) = geometry.get_mut("coordinates") {
        turn(coordinates);
    }
    for inner in geometry.get_mut("geometries").and_then(Value::as_array_mut).into_iter().flatten()
    {
        turn_geometry(inner);
    }
}

fn turn(coordinates: &mut Value) {
    let Some(all) = coordinates.as_array_mut() else { return };
    if all.len() >= 2 && all.iter().all(Value::is_number) {
        all.swap(0, 1);
    } else {
        all.iter_mut().for_each(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRANCE: [f64; 4] = [-5.0, 41.0, 10.0, 51.0];

    fn point(a: f64, b: f64) -> String {
        format!(
            "{{\"n\":1.50,\"geometry\":{{\"type\":\"Point\",\"coordinates\":[{a},{b}]}},\"b\":[1,2]}}"
        )
    }

    #[test]
    fn what_lies_in_the_box_stays_and_the_rest_is_turned() {
        let mut order = Order::new(Some(FRANCE));
        assert_eq!(order.of(&["{\"geometry\":null}"]).unwrap(), None);
        assert_eq!(order.of(&[&point(3.5, 50.25)]).unwrap(), None);
        assert_eq!(order.of(&[&point(50.25, 3.5)]).unwrap(), None);
        let mut order = Order::new(Some(FRANCE));
        let turned = order.of(&[&point(50.25, 3.5)]).unwrap().unwrap();
        assert!(turned[0].starts_with("{\"n\":1.50,\"geometry\":"), "{}", turned[0]);
        assert!(turned[0].contains("[3.5,50.25]"), "{}", turned[0]);
        assert!(turned[0].ends_with("},\"b\":[1,2]}"), "{}", turned[0]);
        let polygon = "{\"geometry\":{\"type\":\"GeometryCollection\",\"geometries\":[{\"type\":\"Polygon\",\"coordinates\":[[[50.0,3.0],[51.0,3.0],[50.0,4.0],[50.0,3.0]]]}]}}";
        let mut order = Order::new(Some(FRANCE));
        let turned = order.of(&[polygon]).unwrap().unwrap();
        assert!(turned[0].contains("[[[3.0,50.0],[3.0,51.0]"), "{}", turned[0]);
    }

    #[test]
    fn a_box_that_does_not_tell_turns_nothing() {
        for bbox in [None, Some([-180.0, -90.0, 180.0, 90.0]), Some([40.0, 38.0, 45.0, 43.0])] {
            assert_eq!(Order::new(bbox).of(&[&point(50.25, 3.5)]).unwrap(), None);
            assert_eq!(Order::new(bbox).latitude_first([(50.25, 3.5)].into_iter()), None);
        }
    }
}
