//! GeoJSON (RFC 7946), read: a FeatureCollection, a lone Feature or geometry, or features one
//! behind the other (GeoJSON text sequences, RFC 8142, and newline-delimited files). The `crs`
//! member of the 2008 specification is understood.
//!
//! The file is read as a stream, features one at a time. Coordinates beyond two dimensions are
//! dropped, and the notes say so.

mod crs;
mod document;
mod feature;
mod geometry;
mod number;
mod scan;
mod sequence;
mod window;

use super::{Next, Reader, refused, types::FieldSet};
use crate::{
    error::{Error, Result},
    model::{Field, Record, Refusal, SourceDef, Text},
    text,
};
use document::Top;
use feature::Met;
use geo_types::Geometry;
pub(super) use scan::compact;
use scan::{Fail, Scanner};
pub use sequence::SequenceReader;
pub(super) use sequence::is_sequence;
use std::path::Path;
use window::{ROOM, Window, between};

/// Reads one GeoJSON file.
pub struct GeoJsonReader {
    window: Window,
    state: State,
    /// Features met so far.
    number: u64,
    fields: FieldSet,
    crs: Option<String>,
    met: Met,
    notes: Vec<Text>,
}

/// Where reading stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the array `features`, before an element or the end.
    Features { first: bool },
    /// Before a feature at the top level.
    Sequence,
    /// Before a geometry that is the whole document.
    Geometry,
    /// Nothing is left.
    Done,
}

impl GeoJsonReader {
    /// Opens a file. Uses the source's `encoding` and `crs`.
    pub fn open(path: &Path, source: &SourceDef) -> Result<Self> {
        Self::through(path, source.encoding.as_deref(), source.crs.is_some(), ROOM)
    }

    /// The same through a window of so many bytes.
    fn through(
        path: &Path,
        encoding: Option<&str>,
        crs_declared: bool,
        room: usize,
    ) -> Result<Self> {
        let mut notes = Vec::new();
        let charset = document::charset(path, encoding, &mut notes)?;
        let mut reader = Self {
            window: Window::open(path, charset, room)?,
            state: State::Done,
            number: 0,
            fields: FieldSet::default(),
            crs: None,
            met: Met::default(),
            notes,
        };
        let mut top = reader.find_features()?;
        if reader.state == (State::Features { first: true }) && top.crs.is_none() {
            let head = reader.window.text().get(..reader.window.pos).unwrap_or_default();
            top.crs = document::crs_behind(path, charset, room, head)?;
        }
        reader.take_crs(top.crs, crs_declared)?;
        Ok(reader)
    }

    /// Goes through the top level up to the features.
    fn find_features(&mut self) -> Result<Top> {
        if self.window.next(between)? == Some(b'[') {
            return Err(refused(text!(
                "un tableau JSON n'est pas du GeoJSON : il faut une FeatureCollection",
                "a JSON array is not GeoJSON: a FeatureCollection is needed"
            )));
        }
        let top = loop {
            let mut top = Top::default();
            match top.walk(&mut self.window.scan()) {
                Ok(()) => break top,
                Err(fail) if self.window.ended() => return Err(self.broken(fail)),
                Err(_) => self.window.more()?,
            }
        };
        match (top.features_at, top.kind.as_deref()) {
            (Some(at), Some("FeatureCollection") | None) => {
                self.state = State::Features { first: true };
                self.window.pos = at + 1;
            }
            (_, Some("Feature")) => self.state = State::Sequence,
            (
                None,
                Some(
                    "Point" | "MultiPoint" | "LineString" | "MultiLineString" | "Polygon"
                    | "MultiPolygon" | "GeometryCollection",
                ),
            ) => self.state = State::Geometry,
            (_, kind) => return Err(not_geojson(kind)),
        }
        Ok(top)
    }

    fn take_crs(&mut self, raw: Option<String>, declared: bool) -> Result<()> {
        match raw.map(|raw| crs::named(&raw)) {
            None | Some(crs::Named::Default) => {}
            Some(crs::Named::Epsg(code)) => self.crs = Some(code),
            Some(crs::Named::Unknown(name)) if declared => self.notes.push(text!(
                "membre « crs » non reconnu ({name}) : le CRS déclaré est utilisé",
                "unknown \"crs\" member ({name}): the declared CRS is used"
            )),
            Some(crs::Named::Unknown(name)) => {
                return Err(refused(text!(
                    "le fichier annonce un CRS non reconnu ({name}) : déclarer « crs » pour cette source",
                    "the file names an unknown CRS ({name}): declare \"crs\" for this source"
                )));
            }
        }
        Ok(())
    }

    /// The element of `features` that comes next, or its end.
    fn next_in_array(&mut self, first: bool) -> Result<Next> {
        match self.window.next(blank)? {
            Some(b']') => {
                self.window.pos += 1;
                return self.finish();
            }
            Some(b',') if !first => {
                self.window.pos += 1;
                self.window.next(blank)?;
            }
            _ if first => {}
            _ => return Err(self.broken(Fail::Syntax { at: self.window.pos })),
        }
        self.state = State::Features { first: false };
        self.read_feature()
    }

    /// The feature at the top level that comes next, or the end.
    fn next_in_sequence(&mut self) -> Result<Next> {
        match self.window.next(between)? {
            None => {
                self.state = State::Done;
                Ok(Next::End)
            }
            Some(b'{') => self.read_feature(),
            Some(_) => Err(self.broken(Fail::Syntax { at: self.window.pos })),
        }
    }

    fn read_feature(&mut self) -> Result<Next> {
        self.number += 1;
        self.window.whole()?;
        let mut scan = self.window.scan();
        match feature::feature(&mut scan, &mut self.fields, &mut self.met) {
            Ok(row) => {
                self.window.pos = scan.pos;
                Ok(Next::Record(Record {
                    line: self.number,
                    values: row.values,
                    geometry: row.geometry,
                }))
            }
            Err(fail @ Fail::Syntax { .. }) => Err(self.broken(fail)),
            Err(Fail::Content(content)) => {
                // Well-formed JSON that is no feature can be stepped over.
                scan.pos = self.window.pos;
                if let Err(fail) = scan.skip() {
                    return Err(self.broken(fail));
                }
                self.window.pos = scan.pos;
                Ok(Next::Refused(Refusal {
                    line: self.number,
                    column: None,
                    value: content.value,
                    reason: content.reason,
                    text: content.text,
                }))
            }
        }
    }

    fn read_geometry(&mut self) -> Result<Next> {
        self.number = 1;
        self.window.whole()?;
        let mut scan = self.window.scan();
        let read = geometry::geometry(&mut scan, 0);
        let (end, saw_z) = (scan.pos, scan.saw_z);
        match read {
            Ok(read) => {
                self.window.pos = end;
                self.only_space_left()?;
                self.state = State::Done;
                self.met.with_z += u64::from(saw_z);
                let geometry = match read {
                    geometry::Read::Some(g) => Some(g),
                    _ => None,
                };
                Ok(Next::Record(Record { line: 1, values: Vec::new(), geometry }))
            }
            Err(Fail::Content(content)) => Err(refused(content.text)),
            Err(fail) => Err(self.broken(fail)),
        }
    }

    /// Behind the features: the rest of the collection must be whole.
    fn finish(&mut self) -> Result<Next> {
        let rest = loop {
            let mut rest = Top::default();
            let mut scan = self.window.scan();
            match rest.rest(&mut scan) {
                Ok(()) => {
                    self.window.pos = scan.pos;
                    break rest;
                }
                Err(fail) if self.window.ended() => return Err(self.broken(fail)),
                Err(_) => self.window.more()?,
            }
        };
        if rest.features_at.is_some() {
            return Err(refused(text!(
                "le membre « features » apparaît deux fois",
                "the member \"features\" appears twice"
            )));
        }
        if let Some(kind) = rest.kind.as_deref()
            && kind != "FeatureCollection"
        {
            return Err(not_geojson(Some(kind)));
        }
        self.only_space_left()?;
        self.state = State::Done;
        Ok(Next::End)
    }

    fn only_space_left(&mut self) -> Result<()> {
        match self.window.next(blank)? {
            None => Ok(()),
            Some(_) => Err(self.broken(Fail::Syntax { at: self.window.pos })),
        }
    }

    /// The refusal of a file whose JSON is broken.
    fn broken(&self, fail: Fail) -> Error {
        let most = self.window.text().len();
        let (at, detail) = match fail {
            Fail::Syntax { at } => (at.min(most), None),
            Fail::Content(content) => (self.window.pos, Some(content.text)),
        };
        let cut = at >= most;
        let (at, line) = self.window.place(at);
        let n = self.number;
        if let Some(detail) = detail {
            return refused(detail);
        }
        if cut {
            return refused(text!(
                "GeoJSON tronqué : le fichier s'arrête dans l'entité {n} (ligne {line}, octet {at})",
                "truncated GeoJSON: the file stops within feature {n} (line {line}, byte {at})"
            ));
        }
        refused(text!(
            "JSON mal formé à l'entité {n} (ligne {line}, octet {at})",
            "malformed JSON at feature {n} (line {line}, byte {at})"
        ))
    }
}

/// White space of JSON.
fn blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// The names of the members of the object that a text starts with, as far as the text goes.
pub(super) fn members(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut scan = Scanner::at(text, 0);
    // What is cut ends the names.
    let _ = scan.object(|scan, name| {
        names.push(name.into_owned());
        scan.skip().map(drop)
    });
    names
}

/// A geometry alone, as a column of a table holds it; none when it is empty.
pub(super) fn geometry_of(text: &str) -> std::result::Result<Option<Geometry<f64>>, Text> {
    let broken = || text!("géométrie GeoJSON illisible", "unreadable GeoJSON geometry");
    let mut scan = Scanner::at(text, 0);
    scan.ws();
    let found = match geometry::geometry(&mut scan, 0) {
        Ok(geometry::Read::Some(found)) => Some(found),
        Ok(_) => None,
        Err(Fail::Content(content)) => return Err(content.text),
        Err(Fail::Syntax { .. }) => return Err(broken()),
    };
    scan.ws();
    match scan.peek() {
        None => Ok(found),
        Some(_) => Err(broken()),
    }
}

fn not_geojson(kind: Option<&str>) -> Error {
    let Some(kind) = kind else {
        return refused(text!(
            "ce JSON n'est pas du GeoJSON : pas de « type » à sa racine",
            "this JSON is not GeoJSON: no \"type\" at its root"
        ));
    };
    let kind: String = kind.chars().take(60).collect();
    refused(text!(
        "ce JSON n'est pas du GeoJSON (« type » : {kind})",
        "this JSON is not GeoJSON (\"type\": {kind})"
    ))
}

impl Reader for GeoJsonReader {
    fn next(&mut self) -> Result<Next> {
        match self.state {
            State::Features { first } => self.next_in_array(first),
            State::Sequence => self.next_in_sequence(),
            State::Geometry => self.read_geometry(),
            State::Done => Ok(Next::End),
        }
    }

    fn fields(&self) -> &[Field] {
        self.fields.fields()
    }

    fn crs(&self) -> Option<&str> {
        self.crs.as_deref()
    }

    fn notes(&self) -> Vec<Text> {
        let mut notes = self.notes.clone();
        notes.extend(self.window.note());
        notes.extend(self.met.notes());
        notes
    }

    fn position(&self) -> u64 {
        self.window.position()
    }
}
