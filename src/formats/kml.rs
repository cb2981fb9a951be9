//! KML (OGC 12-007r2), read: every placemark, whatever folder it is in. Coordinates are longitude
//! and latitude by definition; heights are dropped, styles are not data. Network links are not
//! followed, and the notes say so.

use super::{
    markup::{Declared, MarkupReader, Raw, Source},
    xml_stream::{Piece, XmlStream},
};
use crate::{
    error::Result,
    model::{Element, SourceDef, SourceLimits, Text},
    text,
};
use geo_types::{
    Coord, Geometry, GeometryCollection, LineString, MultiLineString, MultiPoint, MultiPolygon,
    Point, Polygon,
};
use rustc_hash::FxHashMap;
use std::path::Path;

/// How deep geometries may nest.
const MAX_DEPTH: u8 = 16;

/// Opens a file. Uses the source's `encoding`.
pub(super) fn open(
    path: &Path,
    source: &SourceDef,
    limits: &SourceLimits,
) -> Result<MarkupReader<Placemarks>> {
    MarkupReader::open(|shapes| Placemarks::open(path, source, shapes), limits)
}

/// The placemarks of a file, one after the other.
pub(super) struct Placemarks {
    xml: XmlStream,
    /// Folders and documents at hand, with their names.
    open: Vec<(String, Option<String>)>,
    /// The first of them, and whether there are others.
    first: Option<String>,
    several: bool,
    /// Whether geometries are read.
    shapes: bool,
    links: u64,
    /// What schemas say of fields by their names.
    declared: FxHashMap<String, Declared>,
}

impl Placemarks {
    fn open(path: &Path, source: &SourceDef, shapes: bool) -> Result<Self> {
        let xml = XmlStream::open(path, source.encoding.as_deref())?;
        Ok(Self {
            xml,
            open: Vec::new(),
            first: None,
            several: false,
            shapes,
            links: 0,
            declared: FxHashMap::default(),
        })
    }

    /// The folders around, outermost first.
    fn folder(&self) -> String {
        let folders = self.open.iter().filter(|(kind, _)| kind == "Folder");
        folders.filter_map(|(_, name)| name.as_deref()).collect::<Vec<_>>().join(" / ")
    }
}

/// What is taken whole: placemarks, schemas, and the names of what they are in.
fn wanted(element: &Element, around: &[String]) -> bool {
    let in_folder = around.last().is_some_and(|e| e == "Folder");
    match element.name.as_str() {
        "Placemark" | "NetworkLink" | "Schema" => true,
        "name" => in_folder,
        _ => false,
    }
}

impl Source for Placemarks {
    fn next(&mut self) -> Result<Option<Raw>> {
        loop {
            match self.xml.next(wanted)? {
                Piece::Open(element) => self.open.push((element.name, None)),
                Piece::Close => drop(self.open.pop()),
                Piece::End => return Ok(None),
                Piece::Whole(element) if element.name == "Placemark" => {
                    let mut raw = placemark(&element, self.shapes);
                    let folder = self.folder();
                    self.several |= self.first.as_ref().is_some_and(|first| *first != folder);
                    self.first.get_or_insert_with(|| folder.clone());
                    raw.cells.push(("folder".into(), folder));
                    return Ok(Some(raw));
                }
                Piece::Whole(element) if element.name == "NetworkLink" => self.links += 1,
                Piece::Whole(schema) if schema.name == "Schema" => {
                    self.declared.extend(schema.children.iter().filter_map(declared));
                }
                Piece::Whole(name) => {
                    if let Some((_, place)) = self.open.last_mut() {
                        *place = Some(name.trimmed().to_owned());
                    }
                }
            }
        }
    }

    fn settle(&self) -> Result<Option<&'static str>> {
        // What one folder holds needs no word about the folder.
        Ok((!self.several).then_some("folder"))
    }

    fn declared(&self, name: &str) -> Option<Declared> {
        self.declared.get(name).copied()
    }

    fn notes(&self) -> Vec<Text> {
        let mut notes = self.xml.notes();
        let links = self.links;
        if links > 0 {
            notes.push(text!(
                "liens réseau (NetworkLink) non suivis : {links}",
                "network links (NetworkLink) not followed: {links}"
            ));
        }
        notes
    }

    fn position(&self) -> u64 {
        self.xml.position()
    }
}

/// What a field of a schema is declared as.
fn declared(field: &Element) -> Option<(String, Declared)> {
    let kind = match field.attribute("type")? {
        "string" => Declared::Text,
        "bool" => Declared::Bool,
        _ => return None,
    };
    Some((field.attribute("name")?.to_owned(), kind))
}

fn placemark(element: &Element, shapes: bool) -> Raw {
    let mut raw = Raw::default();
    let mut cell = |name: &str, text: &str| {
        if !text.trim().is_empty() {
            raw.cells.push((name.to_owned(), text.trim().to_owned()));
        }
    };
    if let Some(id) = element.attribute("id") {
        cell("id", id);
    }
    for child in &element.children {
        match child.name.as_str() {
            "name" | "description" | "address" | "phoneNumber" => cell(&child.name, &child.text),
            "TimeStamp" => child.all("when").for_each(|when| cell("timestamp", &when.text)),
            "TimeSpan" => {
                child.children.iter().for_each(|end| cell(&end.name, &end.text));
            }
            "ExtendedData" => extended(child, &mut cell),
            _ => {}
        }
    }
    let shape = element.children.iter().find(|c| shapes && is_geometry(&c.name));
    raw.shape = shape.and_then(|shape| geometry(shape, 0).transpose());
    raw
}

/// `Data`, `SchemaData`, or elements of another namespace.
fn extended(element: &Element, cell: &mut impl FnMut(&str, &str)) {
    for child in &element.children {
        match (child.name.as_str(), child.attribute("name")) {
            ("Data", Some(name)) => {
                child.all("value").for_each(|value| cell(name, &value.text));
            }
            ("SchemaData", _) => {
                for data in child.children.iter().filter(|c| c.name.starts_with("Simple")) {
                    if let Some(name) = data.attribute("name") {
                        cell(name, &data.text);
                    }
                }
            }
            (name, _) if child.children.is_empty() => cell(name, &child.text),
            _ => {}
        }
    }
}

fn is_geometry(name: &str) -> bool {
    matches!(
        name,
        "Point"
            | "LineString"
            | "LinearRing"
            | "Polygon"
            | "MultiGeometry"
            | "Track"
            | "MultiTrack"
            | "Model"
    )
}

/// A geometry; none when it is empty.
fn geometry(element: &Element, depth: u8) -> std::result::Result<Option<Geometry<f64>>, Text> {
    if depth > MAX_DEPTH {
        return Err(text!("géométries trop imbriquées", "geometries nest too deep"));
    }
    Ok(match element.name.as_str() {
        "Point" => coordinates(element)?.first().map(|c| Point(*c).into()),
        "LineString" | "LinearRing" => line(coordinates(element)?),
        "Track" => {
            let coords: Vec<Coord<f64>> =
                element.all("coord").map(|c| track(&c.text)).collect::<Result<_, _>>()?;
            line(coords)
        }
        "Polygon" => polygon(element)?.map(Geometry::from),
        "MultiGeometry" | "MultiTrack" => {
            let parts = element.children.iter().filter(|c| is_geometry(&c.name));
            let parts: Vec<Option<Geometry<f64>>> =
                parts.map(|part| geometry(part, depth + 1)).collect::<Result<_, _>>()?;
            multi(parts.into_iter().flatten().collect())
        }
        other => {
            return Err(text!("géométrie « {other} » non lue", "geometry \"{other}\" is not read"));
        }
    })
}

fn line(coords: Vec<Coord<f64>>) -> Option<Geometry<f64>> {
    (!coords.is_empty()).then(|| LineString(coords).into())
}

fn polygon(element: &Element) -> std::result::Result<Option<Polygon<f64>>, Text> {
    let rings = |name: &'static str| {
        let sides = element.all(name).flat_map(|side| side.all("LinearRing"));
        sides.map(|ring| coordinates(ring).map(LineString)).collect::<Result<Vec<_>, _>>()
    };
    let mut outer = rings("outerBoundaryIs")?;
    if outer.len() > 1 {
        return Err(text!("polygone à plusieurs contours", "polygon with several outlines"));
    }
    Ok(outer.pop().filter(|ring| !ring.0.is_empty()).map(|outer| {
        let inner = rings("innerBoundaryIs").unwrap_or_default();
        Polygon::new(outer, inner)
    }))
}

/// Parts of one kind make a geometry of that kind.
fn multi(parts: Vec<Geometry<f64>>) -> Option<Geometry<f64>> {
    let (mut points, mut lines, mut polygons) = (Vec::new(), Vec::new(), Vec::new());
    for part in &parts {
        match part {
            Geometry::Point(p) => points.push(*p),
            Geometry::LineString(l) => lines.push(l.clone()),
            Geometry::Polygon(p) => polygons.push(p.clone()),
            _ => {}
        }
    }
    let all = parts.len();
    if all == 0 {
        None
    } else if points.len() == all {
        Some(MultiPoint(points).into())
    } else if lines.len() == all {
        Some(MultiLineString(lines).into())
    } else if polygons.len() == all {
        Some(MultiPolygon(polygons).into())
    } else {
        Some(Geometry::GeometryCollection(GeometryCollection(parts)))
    }
}

/// `lon,lat[,height]` tuples apart by white space; some write a space behind the commas too.
fn coordinates(element: &Element) -> std::result::Result<Vec<Coord<f64>>, Text> {
    let text = element.child("coordinates").map_or("", |c| c.text.as_str());
    let mut all = Vec::new();
    let mut tuple = String::new();
    for word in text.split_whitespace() {
        let joined = tuple.ends_with(',') || word.starts_with(',');
        if !tuple.is_empty() && !joined {
            all.push(position(&tuple)?);
            tuple.clear();
        }
        tuple.push_str(word);
    }
    if !tuple.is_empty() {
        all.push(position(&tuple)?);
    }
    Ok(all)
}

fn position(tuple: &str) -> std::result::Result<Coord<f64>, Text> {
    numbers(tuple, tuple.split(','))
}

fn track(text: &str) -> std::result::Result<Coord<f64>, Text> {
    numbers(text, text.split_whitespace())
}

fn numbers<'a>(
    text: &str,
    mut parts: impl Iterator<Item = &'a str>,
) -> std::result::Result<Coord<f64>, Text> {
    let mut number = || parts.next()?.trim().parse().ok().filter(|n: &f64| n.is_finite());
    match (number(), number()) {
        (Some(x), Some(y)) => Ok(Coord { x, y }),
        _ => {
            let text: String = text.chars().take(60).collect();
            Err(text!("coordonnées illisibles : « {text} »", "unreadable coordinates: \"{text}\""))
        }
    }
}
