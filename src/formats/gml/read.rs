//! Geometries of GML, from 2.1.2 to 3.2, in the order of axes that they are written in.

use crate::{
    error::{Error, Result},
    model::Element,
    text,
};
use geo::CoordsIter;
use geo_types::{
    Coord, Geometry, GeometryCollection, LineString, MultiLineString, MultiPoint, MultiPolygon,
    Point, Polygon,
};

/// How deep collections may nest.
const MAX_DEPTH: u8 = 16;

/// Most positions of a geometry: what is asked is held against it feature by feature.
const MAX_POSITIONS: usize = 50_000;

/// A geometry, with the system it names.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A geometry.
    Geometry(Option<String>, Geometry<f64>),
    /// A box: its first corner, then the other.
    Box(Option<String>, [f64; 4]),
}

/// Whether an element is a geometry that [`read`] takes.
pub fn is_geometry(name: &str) -> bool {
    matches!(
        name,
        "Point"
            | "LineString"
            | "LinearRing"
            | "Polygon"
            | "Curve"
            | "Surface"
            | "MultiPoint"
            | "MultiLineString"
            | "MultiCurve"
            | "MultiPolygon"
            | "MultiSurface"
            | "MultiGeometry"
            | "Envelope"
            | "Box"
    )
}

/// Reads a geometry or a box; heights are left out.
///
/// # Errors
/// [`Error::Invalid`] saying what is wrong with which element.
pub fn read(element: &Element) -> Result<Shape> {
    read_within(element, MAX_POSITIONS)
}

/// The same with at most so many positions.
///
/// # Errors
/// As [`read`].
pub fn read_within(element: &Element, most: usize) -> Result<Shape> {
    let srs = srs(element, 0);
    let dimension = dimension(element).unwrap_or(2);
    if matches!(element.name.as_str(), "Envelope" | "Box") {
        let corners: Vec<Coord<f64>> =
            match (element.child("lowerCorner"), element.child("upperCorner")) {
                (Some(low), Some(high)) => {
                    [positions(low, wide(low, dimension))?, positions(high, wide(high, dimension))?]
                        .concat()
                }
                _ => coordinates(element, dimension)?,
            };
        return match corners.as_slice() {
            [a, b] => Ok(Shape::Box(srs, [a.x, a.y, b.x, b.y])),
            _ => Err(wrong(element, "deux coins attendus", "two corners expected")),
        };
    }
    let found = geometry(element, dimension, 0)?;
    let positions = found.coords_count();
    if positions > most {
        return Err(wrong(
            element,
            &format!("{positions} positions, {most} au plus"),
            &format!("{positions} positions, at most {most}"),
        ));
    }
    Ok(Shape::Geometry(srs, found))
}

/// A corner has as many numbers as it shows.
fn wide(corner: &Element, otherwise: usize) -> usize {
    match corner.text.split_whitespace().count() {
        n @ 2..=4 => n,
        _ => otherwise,
    }
}

fn srs(element: &Element, depth: u8) -> Option<String> {
    if let Some(srs) = element.attribute("srsName") {
        return Some(srs.trim().to_owned());
    }
    (depth < MAX_DEPTH).then(|| element.children.iter().find_map(|c| srs(c, depth + 1)))?
}

/// How many numbers a position has where nothing nearer to it says so.
fn dimension(element: &Element) -> Option<usize> {
    let own = element.attribute("srsDimension").and_then(|n| n.parse().ok());
    own.filter(|n| (2..=4).contains(n))
}

fn geometry(element: &Element, dimension: usize, depth: u8) -> Result<Geometry<f64>> {
    if depth > MAX_DEPTH {
        return Err(wrong(element, "collections trop imbriquées", "collections nest too deep"));
    }
    let part = |child: &Element| geometry(child, dimension, depth + 1);
    Ok(match element.name.as_str() {
        "Point" => match coordinates(element, dimension)?.as_slice() {
            [one] => Point(*one).into(),
            _ => return Err(wrong(element, "une position attendue", "one position expected")),
        },
        "LineString" | "LinearRing" | "Curve" => line(element, dimension)?.into(),
        "Polygon" => polygon(element, dimension)?.into(),
        "Surface" => match patches(element, dimension)? {
            mut one if one.len() == 1 => one.remove(0).into(),
            several => MultiPolygon(several).into(),
        },
        "MultiPoint" => {
            let mut points = Vec::new();
            for point in members(element) {
                match part(point)? {
                    Geometry::Point(p) => points.push(p),
                    _ => return Err(wrong(point, "un Point attendu", "a Point expected")),
                }
            }
            MultiPoint(points).into()
        }
        "MultiLineString" | "MultiCurve" => {
            let lines = members(element).map(|l| line(l, dimension)).collect::<Result<_>>()?;
            MultiLineString(lines).into()
        }
        "MultiPolygon" | "MultiSurface" => {
            let mut all = Vec::new();
            for surface in members(element) {
                match surface.name.as_str() {
                    "Surface" => all.extend(patches(surface, dimension)?),
                    _ => all.push(polygon(surface, dimension)?),
                }
            }
            MultiPolygon(all).into()
        }
        "MultiGeometry" => Geometry::GeometryCollection(GeometryCollection(
            members(element).map(part).collect::<Result<_>>()?,
        )),
        _ => {
            return Err(wrong(
                element,
                "ce n'est pas une géométrie connue (Point, LineString, Polygon, Curve, Surface, Multi…, Envelope)",
                "it is no known geometry (Point, LineString, Polygon, Curve, Surface, Multi…, Envelope)",
            ));
        }
    })
}

/// The geometries inside of `…Member` and `…Members`.
fn members(element: &Element) -> impl Iterator<Item = &Element> {
    let holds = |c: &&Element| c.name.ends_with("Member") || c.name.ends_with("Members");
    element.children.iter().filter(holds).flat_map(|c| &c.children)
}

fn polygon(element: &Element, dimension: usize) -> Result<Polygon<f64>> {
    let side = |names: [&str; 2]| {
        let rings = element.children.iter().filter(move |c| names.contains(&c.name.as_str()));
        rings
            .flat_map(|c| &c.children)
            .map(|ring| line(ring, dimension))
            .collect::<Result<Vec<_>>>()
    };
    let mut outer = side(["exterior", "outerBoundaryIs"])?;
    match outer.len() {
        1 => Ok(Polygon::new(outer.remove(0), side(["interior", "innerBoundaryIs"])?)),
        _ => Err(wrong(element, "un contour extérieur attendu", "one exterior expected")),
    }
}

fn patches(element: &Element, dimension: usize) -> Result<Vec<Polygon<f64>>> {
    let patches =
        element.children.iter().filter(|c| matches!(c.name.as_str(), "patches" | "polygonPatches"));
    patches.flat_map(|c| &c.children).map(|patch| polygon(patch, dimension)).collect()
}

fn line(element: &Element, dimension: usize) -> Result<LineString<f64>> {
    let mut coords = Vec::new();
    match element.name.as_str() {
        "Curve" => {
            for segment in element.all("segments").flat_map(|c| &c.children) {
                if segment.name != "LineStringSegment" {
                    return Err(wrong(
                        segment,
                        "seules les lignes droites sont acceptées",
                        "straight lines only are accepted",
                    ));
                }
                let more = coordinates(segment, dimension)?;
                let again = usize::from(coords.last().is_some_and(|l| more.first() == Some(l)));
                coords.extend(more.into_iter().skip(again));
            }
        }
        "LineString" | "LinearRing" | "LineStringSegment" => {
            coords = coordinates(element, dimension)?
        }
        _ => return Err(wrong(element, "une ligne attendue", "a line expected")),
    }
    match coords.len() {
        0 | 1 => Err(wrong(element, "deux positions au moins", "two positions at least")),
        _ => Ok(LineString(coords)),
    }
}

/// The positions inside of an element, however they are written.
fn coordinates(element: &Element, dimension: usize) -> Result<Vec<Coord<f64>>> {
    let mut all = Vec::new();
    for child in &element.children {
        match child.name.as_str() {
            "posList" => all.extend(positions(child, self::dimension(child).unwrap_or(dimension))?),
            "pos" => all.extend(positions(child, wide(child, dimension))?),
            "pointProperty" | "pointRep" => {
                for point in &child.children {
                    all.extend(coordinates(point, dimension)?);
                }
            }
            "coordinates" => all.extend(tuples(child)?),
            "coord" => {
                let axis = |name: &str| child.child(name).and_then(|c| number(c.trimmed()));
                let (Some(x), Some(y)) = (axis("X"), axis("Y")) else {
                    return Err(not_numbers(child));
                };
                all.push(Coord { x, y });
            }
            _ => {}
        }
    }
    Ok(all)
}

fn positions(element: &Element, dimension: usize) -> Result<Vec<Coord<f64>>> {
    let numbers: Option<Vec<f64>> = element.text.split_whitespace().map(number).collect();
    let numbers = numbers
        .filter(|n| n.len().is_multiple_of(dimension))
        .ok_or_else(|| not_numbers(element))?;
    let position = |n: &[f64]| match n {
        [x, y, ..] => Some(Coord { x: *x, y: *y }),
        _ => None,
    };
    Ok(numbers.chunks_exact(dimension).filter_map(position).collect())
}

/// GML 2: `x,y x,y`, with separators of its own choice.
fn tuples(element: &Element) -> Result<Vec<Coord<f64>>> {
    let sign = |name: &str, usual: char| {
        element.attribute(name).and_then(|s| s.chars().next()).unwrap_or(usual)
    };
    let (decimal, between, next) = (sign("decimal", '.'), sign("cs", ','), sign("ts", ' '));
    let apart = |c: char| c == next || (next == ' ' && c.is_whitespace());
    let mut all = Vec::new();
    for tuple in element.text.split(apart).filter(|t| !t.trim().is_empty()) {
        let mut axes = tuple.split(between).map(|n| number(&n.trim().replace(decimal, ".")));
        match (axes.next().flatten(), axes.next().flatten()) {
            (Some(x), Some(y)) => all.push(Coord { x, y }),
            _ => return Err(not_numbers(element)),
        }
    }
    Ok(all)
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|n: &f64| n.is_finite())
}

fn not_numbers(element: &Element) -> Error {
    wrong(
        element,
        "des nombres attendus, deux ou trois par position",
        "numbers expected, two or three a position",
    )
}

fn wrong(element: &Element, fr: &str, en: &str) -> Error {
    let name: String = element.name.chars().take(60).collect();
    Error::Invalid(text!("GML, « {name} » : {fr}.", "GML, \"{name}\": {en}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::xml_reader;
    use proptest::prelude::*;

    fn shape(text: &str) -> Result<Shape> {
        read(&xml_reader::read(text).unwrap())
    }

    #[test]
    fn boxes_of_all_ages() {
        let sides = [1.0, 2.0, 3.0, 4.0];
        for text in [
            "<Envelope srsName='s'><lowerCorner>1 2</lowerCorner><upperCorner>3 4</upperCorner></Envelope>",
            "<Envelope srsName='s'><pos>1 2</pos><pos>3 4</pos></Envelope>",
            "<Envelope srsName='s' srsDimension='3'><lowerCorner>1 2 9</lowerCorner><upperCorner>3 4 9</upperCorner></Envelope>",
            "<Box srsName='s'><coordinates>1,2 3,4</coordinates></Box>",
            "<Box srsName='s'><coordinates decimal=',' cs=';' ts='/'>1,0;2/3;4,0</coordinates></Box>",
            "<Box srsName='s'><coord><X>1</X><Y>2</Y></coord><coord><X>3</X><Y>4</Y></coord></Box>",
        ] {
            assert_eq!(shape(text).unwrap(), Shape::Box(Some("s".into()), sides), "{text}");
        }
    }

    #[test]
    fn curves_surfaces_and_heights() {
        let curve = "<Curve><segments><LineStringSegment><posList srsDimension='3'>0 0 9 1 1 9</posList></LineStringSegment><LineStringSegment><posList>1 1 2 0</posList></LineStringSegment></segments></Curve>";
        let Shape::Geometry(None, Geometry::LineString(line)) = shape(curve).unwrap() else {
            panic!()
        };
        assert_eq!(line.0.len(), 3);
        let surface = "<MultiSurface><surfaceMembers><Surface><patches><PolygonPatch><exterior><LinearRing><posList>0 0 1 0 1 1 0 0</posList></LinearRing></exterior></PolygonPatch></patches></Surface></surfaceMembers></MultiSurface>";
        assert!(
            matches!(shape(surface).unwrap(), Shape::Geometry(None, Geometry::MultiPolygon(m)) if m.0.len() == 1)
        );
        for bad in [
            "<Point><pos>1</pos></Point>",
            "<Point><pos>a b</pos></Point>",
            "<Point><pos>1 NaN</pos></Point>",
            "<Point/>",
            "<Polygon/>",
            "<LineString><posList>1 2</posList></LineString>",
            "<Curve><segments><Arc><posList>1 2 3 4 5 6</posList></Arc></segments></Curve>",
            "<Solid/>",
            "<Box><coordinates>1,2</coordinates></Box>",
        ] {
            assert!(matches!(shape(bad), Err(Error::Invalid(_))), "{bad}");
        }
        let line = |n: usize| {
            format!("<LineString><posList>{}</posList></LineString>", "0 0 1 1 ".repeat(n))
        };
        assert!(shape(&line(25_000)).is_ok());
        assert!(
            matches!(shape(&line(25_001)), Err(Error::Invalid(said)) if said.en.contains("50002 positions, at most 50000"))
        );
        assert!(is_geometry("Point") && !is_geometry("Literal"));
    }

    proptest! {
        #[test]
        fn any_tree_is_read_or_refused(names in prop::collection::vec(prop::sample::select(vec!["Point", "pos", "posList", "Polygon", "exterior", "LinearRing", "MultiGeometry", "geometryMember", "coordinates"]), 1..8), text in "[0-9 .,a-]{0,20}") {
            let inner = Element { text, ..Element::default() };
            let tree = names.into_iter().fold(inner, |inner, name| Element { name: name.into(), children: vec![inner], ..Element::default() });
            let _ = read(&tree);
        }
    }
}
