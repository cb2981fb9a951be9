//! GML as features come in it (Simple Features profile of GML 3.2, 3.1 and 2), which is also what a
//! WFS answers: the members of a collection, each property an element. What is nested is named with
//! dots; references to other elements are kept as they are written and not followed.

use super::{
    gml::{self, Shape},
    markup::{Declared, MarkupReader, Raw, Source},
    refused,
    types::nfc,
    xml_stream::{Piece, XmlStream},
};
use crate::{
    error::{Error, Result},
    model::{Element, SourceDef, SourceLimits, Text},
    text,
};
use std::{collections::BTreeSet, path::Path};

/// The instance namespace of XML Schema.
const XSI: &str = "nil";
/// How deep properties may nest.
const MAX_DEPTH: u8 = 8;

/// Opens a file. `member`: the type of features, when there are several. Uses the source's
/// `encoding`.
pub(super) fn open(
    path: &Path,
    member: Option<&str>,
    source: &SourceDef,
    limits: &SourceLimits,
) -> Result<MarkupReader<Members>> {
    let member = member.map(|name| name.rsplit_once(':').map_or(name, |(_, bare)| bare));
    MarkupReader::open(|shapes| Members::open(path, member, source, shapes), limits)
}

/// The members of a collection, one after the other.
pub(super) struct Members {
    xml: XmlStream,
    /// The type that is wanted, where there are others.
    only: Option<String>,
    /// Types met.
    kinds: BTreeSet<String>,
    root: String,
    /// The system of the collection.
    srs: Option<String>,
    /// Whether geometries are read.
    shapes: bool,
    /// Properties of geometry beyond the first.
    others: BTreeSet<String>,
    /// Properties that a schema in the file says are words.
    words: BTreeSet<String>,
}

impl Members {
    fn open(path: &Path, only: Option<&str>, source: &SourceDef, shapes: bool) -> Result<Self> {
        Ok(Self {
            xml: XmlStream::open(path, source.encoding.as_deref())?,
            only: only.map(str::to_owned),
            kinds: BTreeSet::new(),
            root: String::new(),
            srs: None,
            shapes,
            others: BTreeSet::new(),
            words: BTreeSet::new(),
        })
    }
}

/// What is taken whole: features, the extent of the collection, a schema before them (deliveries of
/// a WFS have it there), and what a service says instead.
fn wanted(element: &Element, around: &[String]) -> bool {
    match around.last().map(String::as_str) {
        None => element.name.ends_with("ExceptionReport"),
        Some(parent) => {
            let member = ["member", "members", "featureMember", "featureMembers"].contains(&parent);
            element.name == "boundedBy"
                || is_schema(element)
                || member && !element.name.ends_with("FeatureCollection")
        }
    }
}

fn is_schema(element: &Element) -> bool {
    element.name == "schema" && element.space == "http://www.w3.org/2001/XMLSchema"
}

/// The elements of a schema that are of text, by type or by a restriction of it.
fn words(element: &Element, depth: u8, found: &mut BTreeSet<String>) {
    let of_text = |kind: Option<&str>| {
        let local = kind.map(|kind| kind.rsplit(':').next().unwrap_or(kind));
        matches!(local, Some("string" | "normalizedString" | "token"))
    };
    for child in &element.children {
        let simple = child.child("simpleType").and_then(|simple| simple.child("restriction"));
        let base = simple.and_then(|restriction| restriction.attribute("base"));
        if child.name == "element"
            && let Some(name) = child.attribute("name")
            && (of_text(child.attribute("type")) || of_text(base))
        {
            found.insert(gml::decode(name));
        }
        if depth < MAX_DEPTH {
            words(child, depth + 1, found);
        }
    }
}

impl Source for Members {
    fn next(&mut self) -> Result<Option<Raw>> {
        loop {
            let element = match self.xml.next(wanted)? {
                Piece::Open(element) => {
                    if self.root.is_empty() {
                        self.root = element.name;
                    }
                    continue;
                }
                Piece::Close => continue,
                Piece::End => return Ok(None),
                Piece::Whole(element) => element,
            };
            if element.name.ends_with("ExceptionReport") {
                return Err(exception(&element));
            }
            if element.name == "boundedBy" {
                self.srs = self.srs.take().or_else(|| srs_of(&element, 0));
                continue;
            }
            if is_schema(&element) {
                words(&element, 0, &mut self.words);
                continue;
            }
            let kind = gml::decode(&element.name);
            let skipped = self.only.as_ref().is_some_and(|only| *only != kind);
            self.kinds.insert(kind);
            if !skipped {
                return Ok(Some(self.feature(element)));
            }
        }
    }

    /// Which types there are, and whether it is GML at all, is known at the end only.
    fn settle(&self) -> Result<Option<&'static str>> {
        let list = self.kinds.iter().take(20).cloned().collect::<Vec<_>>().join(", ");
        match (&self.only, self.kinds.len()) {
            (None, 0) if !self.root.ends_with("FeatureCollection") => {
                let root: String = self.root.chars().take(60).collect();
                Err(refused(text!(
                    "ce XML n'est ni du GML ni du KML (racine « {root} »)",
                    "this XML is neither GML nor KML (root \"{root}\")"
                )))
            }
            (None, 0 | 1) => Ok(None),
            (None, _) => Err(refused(text!(
                "le fichier contient plusieurs types d'entités : choisir avec « member » parmi {list}",
                "the file holds several types of features: choose one with \"member\" among {list}"
            ))),
            (Some(wanted), _) if self.kinds.contains(wanted) => Ok(None),
            (Some(wanted), _) => Err(refused(text!(
                "le fichier n'a pas d'entités « {wanted} » ; il contient : {list}",
                "the file has no features \"{wanted}\"; it holds: {list}"
            ))),
        }
    }

    fn declared(&self, name: &str) -> Option<Declared> {
        self.words.contains(name).then_some(Declared::Text)
    }

    fn notes(&self) -> Vec<Text> {
        let mut notes = self.xml.notes();
        if !self.others.is_empty() {
            let names = self.others.iter().cloned().collect::<Vec<_>>().join(", ");
            notes.push(text!(
                "autres géométries non gardées : {names}",
                "other geometries not kept: {names}"
            ));
        }
        notes
    }

    fn position(&self) -> u64 {
        self.xml.position()
    }
}

impl Members {
    fn feature(&mut self, element: Element) -> Raw {
        let mut raw = Raw::default();
        if let Some(id) = element.attribute("id") {
            raw.cells.push(("gml_id".into(), id.to_owned()));
        } else if let Some(fid) = element.attribute("fid") {
            raw.cells.push(("fid".into(), fid.to_owned()));
        }
        let mut own = None;
        for property in &element.children {
            if property.name == "boundedBy" {
                own = own.or_else(|| srs_of(property, 0));
                continue;
            }
            match property.children.iter().find(|c| geometry_like(c)) {
                None => flatten(&gml::decode(&property.name), property, 0, &mut raw.cells),
                Some(_) if raw.shape.is_some() => {
                    self.others.insert(gml::decode(&property.name));
                }
                Some(shape) => {
                    raw.srs = srs_of(shape, 0);
                    raw.shape = Some(self.shape(shape));
                }
            }
        }
        if raw.shape.is_some() {
            raw.srs = raw.srs.or(own).or_else(|| self.srs.clone());
        }
        raw
    }

    fn shape(&self, element: &Element) -> std::result::Result<geo_types::Geometry<f64>, Text> {
        if !self.shapes {
            return Ok(geo_types::Point::new(0.0, 0.0).into());
        }
        match gml::read_within(element, usize::MAX) {
            Ok(Shape::Geometry(_, geometry)) => Ok(geometry),
            Ok(Shape::Box(..)) => {
                Err(text!("une emprise n'est pas une géométrie", "a box is no geometry"))
            }
            Err(Error::Invalid(text) | Error::Refused(text)) => Err(text),
            Err(other) => {
                let what = other.to_string();
                Err(Text::new(what.clone(), what))
            }
        }
    }
}

/// Whether an element is a geometry of GML, readable or not.
fn geometry_like(element: &Element) -> bool {
    gml::is_geometry(&element.name)
        || element.space.contains("opengis.net/gml")
            && [
                "Composite",
                "Orientable",
                "Polyhedral",
                "Triangulated",
                "Tin",
                "Solid",
                "MultiSolid",
            ]
            .iter()
            .any(|start| element.name.starts_with(start))
}

/// The system that a geometry names, or something in it.
fn srs_of(element: &Element, depth: u8) -> Option<String> {
    if let Some(srs) = element.attribute("srsName") {
        return Some(srs.trim().to_owned());
    }
    let inner = || element.children.iter().find_map(|c| srs_of(c, depth + 1));
    (depth < MAX_DEPTH).then(inner)?
}

/// A property as cells: its text, or what is inside by name.
fn flatten(name: &str, element: &Element, depth: u8, cells: &mut Vec<(String, String)>) {
    let text = element.trimmed();
    if !text.is_empty() {
        cells.push((nfc(name.to_owned()), text.to_owned()));
    } else if element.children.is_empty() && element.attribute(XSI) != Some("true") {
        // A reference says what it refers to.
        if let Some(href) = element.attribute("href") {
            cells.push((nfc(name.to_owned()), href.to_owned()));
        }
    }
    if depth < MAX_DEPTH {
        for child in &element.children {
            flatten(&format!("{name}.{}", gml::decode(&child.name)), child, depth + 1, cells);
        }
    }
}

/// What a service says in place of features.
fn exception(report: &Element) -> Error {
    fn words(element: &Element, out: &mut String) {
        out.push(' ');
        out.push_str(element.trimmed());
        element.children.iter().for_each(|child| words(child, out));
    }
    let mut said = String::new();
    words(report, &mut said);
    let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let said: String = said.chars().take(200).collect();
    refused(text!(
        "la source a répondu une exception de service OGC : {said}",
        "the source answered an OGC service exception: {said}"
    ))
}
