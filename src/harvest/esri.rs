//! Features of ArcGIS's own JSON as GeoJSON: what older servers answer with. Attributes pass as
//! they were written; rings, which ArcGIS keeps in one list, are put back into polygons by their
//! direction (clockwise: outer) and by what they lie in.

use super::failed;
use crate::{
    error::{Error, Result},
    model::Fault,
    text,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

type Point = Vec<f64>;
type Line = Vec<Point>;

#[derive(Deserialize)]
struct Feature<'a> {
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
    #[serde(default)]
    geometry: Option<Geometry>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Geometry {
    x: Value,
    y: Value,
    points: Option<Line>,
    paths: Option<Vec<Line>>,
    rings: Option<Vec<Line>>,
    curve_paths: Option<Value>,
    curve_rings: Option<Value>,
}

/// One feature as GeoJSON; `id` names the attribute that is its id.
///
/// # Errors
/// [`Fault::Refused`] for curves and for what is no feature.
pub(super) fn feature(raw: &str, id: &str) -> Result<String> {
    let feature: Feature = serde_json::from_str(raw).map_err(|_| not_esri())?;
    let geometry = match feature.geometry {
        Some(geometry) => geometry.geojson()?,
        None => Value::Null,
    };
    let attributes = feature.attributes.map_or("{}", RawValue::get);
    let all: Value = serde_json::from_str(attributes).map_err(|_| not_esri())?;
    let id = all.get(id).filter(|v| !v.is_null());
    let id = id.map(|id| format!("\"id\":{id},")).unwrap_or_default();
    Ok(format!("{{\"type\":\"Feature\",{id}\"geometry\":{geometry},\"properties\":{attributes}}}"))
}

impl Geometry {
    fn geojson(self) -> Result<Value> {
        if self.curve_paths.is_some() || self.curve_rings.is_some() {
            return Err(failed(
                Fault::Refused,
                text!(
                    "le service ArcGIS donne des courbes, qui ne sont pas lues",
                    "the ArcGIS service gives curves, which are not read"
                ),
            ));
        }
        if let Some(points) = self.points {
            return Ok(json!({ "type": "MultiPoint", "coordinates": points }));
        }
        if let Some(paths) = self.paths {
            return Ok(one_or_many("LineString", paths));
        }
        if let Some(rings) = self.rings {
            return Ok(one_or_many("Polygon", polygons(rings)));
        }
        // An empty point is written as `"NaN"`, or with nulls.
        Ok(match (self.x.as_f64(), self.y.as_f64()) {
            (Some(x), Some(y)) => json!({ "type": "Point", "coordinates": [x, y] }),
            _ => Value::Null,
        })
    }
}

fn one_or_many<T: serde::Serialize>(kind: &str, mut parts: Vec<T>) -> Value {
    match parts.len() {
        0 => Value::Null,
        1 => json!({ "type": kind, "coordinates": parts.remove(0) }),
        _ => json!({ "type": format!("Multi{kind}"), "coordinates": parts }),
    }
}

/// Rings as polygons: each outer ring with the holes that lie in it.
fn polygons(rings: Vec<Line>) -> Vec<Vec<Line>> {
    let rings: Vec<Line> = rings.into_iter().filter(|ring| ring.len() > 3).collect();
    let any_outer = rings.iter().any(|ring| area(ring) < 0.0);
    let (outer, holes): (Vec<Line>, Vec<Line>) =
        rings.into_iter().partition(|ring| !any_outer || area(ring) < 0.0);
    let mut polygons: Vec<Vec<Line>> = outer.into_iter().map(|ring| vec![ring]).collect();
    for hole in holes {
        let around = polygons
            .iter()
            .enumerate()
            .filter_map(|(at, polygon)| Some((at, polygon.first()?)))
            .filter(|(_, ring)| lies_in(&hole, ring))
            .min_by(|(_, a), (_, b)| area(a).abs().total_cmp(&area(b).abs()))
            .map(|(at, _)| at);
        match around.and_then(|at| polygons.get_mut(at)) {
            Some(polygon) => polygon.push(hole),
            // In nothing: a ring drawn the wrong way round.
            None => polygons.push(vec![hole]),
        }
    }
    polygons
}

/// Signed area: negative when clockwise.
fn area(ring: &[Point]) -> f64 {
    let pairs = ring.iter().zip(ring.iter().cycle().skip(1));
    let twice: f64 = pairs.map(|(a, b)| at(a, 0) * at(b, 1) - at(b, 0) * at(a, 1)).sum();
    twice / 2.0
}

/// Whether most of a ring's corners lie in another: those on its border tell nothing.
fn lies_in(hole: &[Point], ring: &[Point]) -> bool {
    let inside = hole.iter().filter(|p| contains(ring, p)).count();
    2 * inside > hole.len()
}

fn contains(ring: &[Point], point: &Point) -> bool {
    let (x, y) = (at(point, 0), at(point, 1));
    let mut inside = false;
    for (a, b) in ring.iter().zip(ring.iter().cycle().skip(1)) {
        let crosses = (at(a, 1) > y) != (at(b, 1) > y);
        let slope = (at(b, 0) - at(a, 0)) / (at(b, 1) - at(a, 1));
        if crosses && x < slope * (y - at(a, 1)) + at(a, 0) {
            inside = !inside;
        }
    }
    inside
}

fn at(point: &Point, axis: usize) -> f64 {
    point.get(axis).copied().unwrap_or(f64::NAN)
}

fn not_esri() -> Error {
    failed(
        Fault::Refused,
        text!(
            "le service ArcGIS a répondu une entité illisible",
            "the ArcGIS service answered a feature that cannot be read"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(esri: &str) -> Value {
        let raw = format!("{{\"attributes\":{{\"OBJECTID\":7,\"n\":1.50}},\"geometry\":{esri}}}");
        let made = feature(&raw, "OBJECTID").unwrap();
        assert!(made.contains("\"properties\":{\"OBJECTID\":7,\"n\":1.50}"), "{made}");
        let made: Value = serde_json::from_str(&made).unwrap();
        assert_eq!(made["id"], 7);
        made["geometry"].clone()
    }

    #[test]
    fn points_and_lines_keep_their_coordinates() {
        let point = json!({ "type": "Point", "coordinates": [3.5, 50.0] });
        assert_eq!(geometry("{\"x\":3.5,\"y\":50.0}"), point);
        assert_eq!(geometry("{\"x\":\"NaN\",\"y\":\"NaN\"}"), Value::Null);
        assert_eq!(geometry("null"), Value::Null);
        assert_eq!(geometry("{\"points\":[[1,2],[3,4]]}")["type"], "MultiPoint");
        assert_eq!(geometry("{\"paths\":[[[1,2],[3,4]]]}")["type"], "LineString");
        assert_eq!(
            geometry("{\"paths\":[[[1,2],[3,4]],[[5,6],[7,8]]]}")["type"],
            "MultiLineString"
        );
        assert!(feature("{\"geometry\":{\"curveRings\":[]}}", "i").is_err());
        assert!(feature("\"x\"", "i").is_err());
    }

    #[test]
    fn holes_go_to_the_smallest_ring_around_them() {
        let square = |x: f64, side: f64, clockwise: bool| {
            let mut ring = vec![[x, x], [x, x + side], [x + side, x + side], [x + side, x], [x, x]];
            if !clockwise {
                ring.reverse();
            }
            json!(ring)
        };
        // An island in a lake of a big polygon, with a pond of its own; and one far away.
        let rings = json!([
            square(0.0, 100.0, true),
            square(10.0, 50.0, false),
            square(20.0, 30.0, true),
            square(25.0, 5.0, false),
            square(200.0, 5.0, true),
        ]);
        let made = geometry(&json!({ "rings": rings }).to_string());
        assert_eq!(made["type"], "MultiPolygon");
        let polygons = made["coordinates"].as_array().unwrap();
        let sizes: Vec<usize> = polygons.iter().map(|p| p.as_array().unwrap().len()).collect();
        assert_eq!(sizes, [2, 2, 1]);
        assert_eq!(made["coordinates"][1][1][0], json!([25.0, 25.0]));
        let alone = geometry(&json!({ "rings": [square(0.0, 1.0, false)] }).to_string());
        assert_eq!(alone["type"], "Polygon");
    }
}
