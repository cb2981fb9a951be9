//! Shapefile (ESRI, July 1998) and its dBASE table: four files and more for each layer, made in the
//! scratch folder because widths and sizes are known at the end only.
//!
//! The format's limits are kept by doing what people do by hand, and saying so: names of ten
//! plain characters, texts of 254 bytes, one kind of geometry a file, two gigabytes a file.

use super::{Head, Names, Row, Spool, io as fault, names};
use crate::{
    error::Result,
    formats::{geojson::write_float, wkb},
    model::{FieldKind, GeometryKind, ValueRef},
};
use geo_types::{Coord, Geometry, LineString, Polygon};
use std::{
    fs::File,
    io::{BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Bytes of a text.
const TEXT: usize = 254;
/// Most bytes of a `.shp` or `.dbf`: what most programs still read.
const LIMIT: u64 = i32::MAX as u64;

/// A finished file of a set.
pub(super) struct Made {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its name in the archive.
    pub(super) name: String,
}

/// The files of one layer.
pub(super) struct Shapefiles {
    scratch: PathBuf,
    head: Head,
    fields: Vec<Column>,
    parts: Vec<Part>,
    made: Vec<Made>,
    taken: Names,
    limit: u64,
}

/// A field, as the table has it.
struct Column {
    name: String,
    kind: FieldKind,
    /// Texts cut to [`TEXT`] bytes.
    cut: u64,
}

/// What a file holds; also the order in which files are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    None,
    Point,
    MultiPoint,
    Line,
    Area,
}

impl Shape {
    fn of(kind: GeometryKind) -> Option<Self> {
        Some(match kind {
            GeometryKind::None => Self::None,
            GeometryKind::Point => Self::Point,
            GeometryKind::MultiPoint => Self::MultiPoint,
            GeometryKind::LineString | GeometryKind::MultiLineString => Self::Line,
            GeometryKind::Polygon | GeometryKind::MultiPolygon => Self::Area,
            GeometryKind::Geometry => return None,
        })
    }

    /// The code of its records.
    fn code(self) -> i32 {
        match self {
            Self::None => 0,
            Self::Point => 1,
            Self::Line => 3,
            Self::Area => 5,
            Self::MultiPoint => 8,
        }
    }

    /// The end of a file's name, where a layer takes several.
    fn suffix(self) -> &'static str {
        match self {
            Self::None => "_sans_geometrie",
            Self::Point | Self::MultiPoint => "_points",
            Self::Line => "_lignes",
            Self::Area => "_surfaces",
        }
    }
}

/// One set of files, being written.
struct Part {
    shape: Shape,
    name: String,
    shp: Option<Shp>,
    /// Values as the table spells them: a byte for the length, then the text; 255 for null.
    values: Spool,
    rows: u64,
    widths: Vec<(usize, usize)>,
}

struct Shp {
    path: PathBuf,
    out: BufWriter<File>,
    index: Spool,
    /// Bytes written, the header's hundred included.
    size: u64,
    extent: Option<[f64; 4]>,
}

impl Shapefiles {
    /// Begins the files of a layer.
    pub(super) fn new(scratch: &Path, head: &Head) -> Self {
        let mut taken = Names::default();
        let column = |f: &crate::model::Field| Column {
            name: taken.within(&names::ascii(&f.name), 10),
            kind: f.kind,
            cut: 0,
        };
        let fields = head.schema.fields.iter().map(column).collect();
        Self {
            scratch: scratch.to_owned(),
            head: head.clone(),
            fields,
            parts: Vec::new(),
            made: Vec::new(),
            taken: Names::default(),
            limit: LIMIT,
        }
    }

    #[cfg(test)]
    pub(super) fn limited(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// Adds a row: once, or once for each kind of geometry where a collection has several.
    pub(super) fn row(&mut self, row: &Row<'_>) -> Result<()> {
        let geometry = row.wkb.map(wkb::read).transpose().map_err(super::broken)?;
        let Some(shape) = Shape::of(self.head.schema.geometry) else {
            let mut split = split(geometry);
            if split.is_empty() {
                return self.add(Shape::None, row, None);
            }
            for (shape, geometry) in split.drain(..) {
                self.add(shape, row, Some(&geometry))?;
            }
            return Ok(());
        };
        self.add(shape, row, geometry.as_ref())
    }

    fn add(&mut self, shape: Shape, row: &Row<'_>, geometry: Option<&Geometry<f64>>) -> Result<()> {
        let mut record = Vec::new();
        let bounds = match geometry {
            Some(geometry) if shape != Shape::None => shape_of(shape, geometry, &mut record),
            _ => None,
        };
        if record.is_empty() {
            record.extend_from_slice(&0i32.to_le_bytes()); // a null shape
        }
        let (values, widths) = self.values(row);
        let at = match self.parts.iter().rposition(|part| part.shape == shape) {
            Some(at) if self.fits(at, record.len() as u64, &widths) => at,
            _ => self.begin(shape)?,
        };
        let Some(part) = self.parts.get_mut(at) else { return Ok(()) };
        part.values.push(&values)?;
        part.rows += 1;
        for (mine, theirs) in part.widths.iter_mut().zip(&widths) {
            *mine = (mine.0.max(theirs.0), mine.1.max(theirs.1));
        }
        match &mut part.shp {
            Some(shp) => shp.record(part.rows, &record, bounds),
            None => Ok(()),
        }
    }

    /// Whether a record still fits into a part's files.
    fn fits(&self, at: usize, record: u64, widths: &[(usize, usize)]) -> bool {
        let Some(part) = self.parts.get(at) else { return false };
        let shp = part.shp.as_ref().map_or(0, |shp| shp.size + 8 + record);
        let row: usize =
            part.widths.iter().zip(widths).map(|(a, b)| total(a.0.max(b.0), a.1.max(b.1))).sum();
        let dbf = 33 + 32 * self.fields.len() as u64 + (part.rows + 1) * (1 + row as u64);
        shp <= self.limit && dbf <= self.limit
    }

    fn begin(&mut self, shape: Shape) -> Result<usize> {
        let mixed = self.head.schema.geometry == GeometryKind::Geometry;
        let stem = if mixed { shape.suffix() } else { "" };
        let name = self.taken.free(&format!("{}{stem}", self.head.name));
        let shp = match shape {
            Shape::None => None,
            _ => Some(Shp::create(&self.scratch, &name)?),
        };
        let widths = vec![(0, 0); self.fields.len()];
        let values = Spool::new(&self.scratch);
        self.parts.push(Part { shape, name, shp, values, rows: 0, widths });
        Ok(self.parts.len() - 1)
    }

    /// A row's values as the table spells them, and the digits before and after the point of each
    /// (for texts: bytes, none).
    fn values(&mut self, row: &Row<'_>) -> (Vec<u8>, Vec<(usize, usize)>) {
        let mut out = Vec::with_capacity(64);
        let mut widths = Vec::with_capacity(self.fields.len());
        for (i, column) in self.fields.iter_mut().enumerate() {
            let value = row.values.get(i).copied().unwrap_or(ValueRef::Null);
            let text = match value {
                ValueRef::Null => None,
                ValueRef::Float(f) if !f.is_finite() => None,
                value => Some(spelled(value, column)),
            };
            let Some(text) = text else {
                out.push(255);
                widths.push((0, 0));
                continue;
            };
            let whole = text.len().min(TEXT);
            out.push(u8::try_from(whole).unwrap_or(254));
            out.extend(text.as_bytes().iter().take(whole));
            widths.push(match (column.kind, text.find('.')) {
                (FieldKind::Float, Some(point)) => (point, whole - point - 1),
                _ => (whole, 0),
            });
        }
        (out, widths)
    }

    /// Completes all files; gives them with the notes for the reader.
    pub(super) fn finish(mut self) -> Result<(Vec<Made>, Vec<String>)> {
        if self.parts.is_empty() {
            // A layer without rows is a set of files all the same.
            let shape = Shape::of(self.head.schema.geometry).unwrap_or(Shape::None);
            self.begin(shape)?;
        }
        for part in std::mem::take(&mut self.parts) {
            self.complete(part)?;
        }
        let notes = self.notes();
        Ok((self.made, notes))
    }

    fn complete(&mut self, mut part: Part) -> Result<()> {
        let name = part.name.clone();
        if let Some(shp) = part.shp.take() {
            let shx = self.place(&name, "shx");
            let shp_path = shp.finish(part.shape, &shx)?;
            self.made.push(Made { path: shp_path, name: format!("{name}.shp") });
            self.made.push(Made { path: shx, name: format!("{name}.shx") });
            let prj = self.place(&name, "prj");
            std::fs::write(&prj, self.head.system.esri).map_err(fault)?;
            self.made.push(Made { path: prj, name: format!("{name}.prj") });
        }
        let dbf = self.place(&name, "dbf");
        self.table(&dbf, &mut part)?;
        self.made.push(Made { path: dbf, name: format!("{name}.dbf") });
        let cpg = self.place(&name, "cpg");
        std::fs::write(&cpg, "UTF-8").map_err(fault)?;
        self.made.push(Made { path: cpg, name: format!("{name}.cpg") });
        Ok(())
    }

    fn place(&self, name: &str, extension: &str) -> PathBuf {
        self.scratch.join(format!("{name}.{extension}"))
    }

    /// The dBASE table (level 3).
    fn table(&self, path: &Path, part: &mut Part) -> Result<()> {
        let columns: Vec<Field> = self
            .fields
            .iter()
            .zip(&part.widths)
            .map(|(column, widths)| Field::new(column, *widths))
            .collect();
        let mut out = BufWriter::with_capacity(1 << 16, File::create(path).map_err(fault)?);
        out.write_all(&table_header(&columns, part.rows)).map_err(fault)?;
        part.values.seal()?;
        let mut values = part.values.reader()?;
        let mut text = [0u8; 255];
        for _ in 0..part.rows {
            out.write_all(b" ").map_err(fault)?;
            for column in &columns {
                let mut length = [0u8];
                values.read_exact(&mut length).map_err(fault)?;
                let length = usize::from(length[0]);
                let text = match length {
                    255 => &mut [][..],
                    n => text.get_mut(..n).unwrap_or_default(),
                };
                values.read_exact(text).map_err(fault)?;
                column.write(text, length == 255, &mut out).map_err(fault)?;
            }
        }
        out.write_all(&[0x1a]).map_err(fault)?;
        out.flush().map_err(fault)
    }

    /// What the format could not hold as it was.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for (column, field) in self.fields.iter().zip(&self.head.schema.fields) {
            if column.name != field.name {
                notes.push(format!("champ {} : {}", column.name, field.name));
            }
            if column.kind == FieldKind::DateTime {
                notes.push(format!("champ {} : instants en texte (RFC 3339)", column.name));
            }
            if column.cut > 0 {
                let (name, n) = (&column.name, column.cut);
                notes.push(format!("champ {name} : {n} textes coupés à {TEXT} octets"));
            }
        }
        let sets = self.made.iter().filter(|m| m.name.ends_with(".dbf")).count();
        if sets > 1 {
            notes.push(format!(
                "la couche occupe {sets} fichiers : un par type de géométrie, 2 Go au plus chacun"
            ));
        }
        notes
    }
}

/// A value's text in the table.
fn spelled(value: ValueRef<'_>, column: &mut Column) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Bool(b) => if b { "T" } else { "F" }.to_owned(),
        ValueRef::Int(i) => i.to_string(),
        ValueRef::Float(f) => {
            let plain = f.to_string();
            if plain.len() <= 24 {
                return if plain.contains('.') { plain } else { format!("{plain}.0") };
            }
            let mut digits = Vec::new();
            write_float(f, &mut digits);
            String::from_utf8(digits).unwrap_or_default()
        }
        ValueRef::Text(text) if column.kind == FieldKind::Date => {
            text.chars().filter(char::is_ascii_digit).take(8).collect()
        }
        ValueRef::Text(text) | ValueRef::Json(text) => {
            let fits = names::cut(text, TEXT);
            column.cut += u64::from(fits.len() < text.len());
            fits.to_owned()
        }
    }
}

/// Bytes of a number or text.
fn total(whole: usize, decimals: usize) -> usize {
    if decimals == 0 { whole } else { whole + 1 + decimals }
}

/// A field of the table, its width settled.
struct Field {
    name: String,
    kind: u8,
    width: usize,
    decimals: usize,
}

impl Field {
    fn new(column: &Column, (whole, decimals): (usize, usize)) -> Self {
        let (kind, width, decimals) = match column.kind {
            FieldKind::Bool => (b'L', 1, 0),
            FieldKind::Date => (b'D', 8, 0),
            // Nine digits and less would be read as 32 bits: either is right.
            FieldKind::Int => (b'N', whole.clamp(1, 20), 0),
            FieldKind::Float => {
                let decimals = decimals.clamp(1, 15);
                (b'N', total(whole.max(1), decimals).min(TEXT), decimals)
            }
            _ => (b'C', whole.clamp(1, TEXT), 0),
        };
        Self { name: column.name.clone(), kind, width, decimals }
    }

    fn write(&self, text: &[u8], null: bool, out: &mut impl Write) -> std::io::Result<()> {
        let blank: u8 = if self.kind == b'L' && null { b'?' } else { b' ' };
        let text = text.get(..self.width.min(text.len())).unwrap_or_default();
        let spaces = vec![blank; self.width - text.len()];
        if self.kind == b'N' {
            out.write_all(&spaces)?;
            out.write_all(text)
        } else {
            out.write_all(text)?;
            out.write_all(&spaces)
        }
    }
}

fn table_header(columns: &[Field], rows: u64) -> Vec<u8> {
    let size = 33 + 32 * columns.len();
    let record = 1 + columns.iter().map(|c| c.width).sum::<usize>();
    let today = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now());
    let [year, month, day] = [today.year() - 1900, today.month().into(), today.day().into()]
        .map(|n| u8::try_from(n).unwrap_or(0));
    let mut out = vec![3, year, month, day];
    out.extend_from_slice(&u32::try_from(rows).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&u16::try_from(size).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(&u16::try_from(record).unwrap_or(u16::MAX).to_le_bytes());
    out.resize(32, 0);
    for column in columns {
        let start = out.len();
        out.extend(column.name.bytes().take(10));
        out.resize(start + 11, 0);
        out.push(column.kind);
        out.resize(start + 16, 0);
        out.push(u8::try_from(column.width).unwrap_or(254));
        out.push(u8::try_from(column.decimals).unwrap_or(0));
        out.resize(start + 32, 0);
    }
    out.push(0x0d);
    out
}

impl Shp {
    fn create(scratch: &Path, name: &str) -> Result<Self> {
        let path = scratch.join(format!("{name}.shp"));
        let mut out = BufWriter::with_capacity(1 << 16, File::create(&path).map_err(fault)?);
        out.write_all(&[0; 100]).map_err(fault)?;
        Ok(Self { path, out, index: Spool::new(scratch), size: 100, extent: None })
    }

    fn record(&mut self, number: u64, record: &[u8], bounds: Option<[f64; 4]>) -> Result<()> {
        // Sizes and offsets are counted in 16-bit words.
        let words = |bytes: u64| i32::try_from(bytes / 2).unwrap_or(i32::MAX).to_be_bytes();
        let length = words(record.len() as u64);
        self.index.push(&words(self.size))?;
        self.index.push(&length)?;
        let number = i32::try_from(number).unwrap_or(i32::MAX).to_be_bytes();
        for bytes in [&number[..], &length, record] {
            self.out.write_all(bytes).map_err(fault)?;
        }
        self.size += 8 + record.len() as u64;
        if let Some(b) = bounds {
            let e = self.extent.unwrap_or(b);
            self.extent = Some([e[0].min(b[0]), e[1].min(b[1]), e[2].max(b[2]), e[3].max(b[3])]);
        }
        Ok(())
    }

    /// Completes both headers; gives the path of the `.shp`.
    fn finish(mut self, shape: Shape, shx: &Path) -> Result<PathBuf> {
        self.index.seal()?;
        let header = |size: u64| {
            let mut out = Vec::with_capacity(100);
            out.extend_from_slice(&9994i32.to_be_bytes());
            out.resize(24, 0);
            out.extend_from_slice(&i32::try_from(size / 2).unwrap_or(i32::MAX).to_be_bytes());
            out.extend_from_slice(&1000i32.to_le_bytes());
            out.extend_from_slice(&shape.code().to_le_bytes());
            for v in self.extent.unwrap_or_default() {
                out.extend_from_slice(&v.to_le_bytes());
            }
            out.resize(100, 0);
            out
        };
        let (shp_header, shx_header) = (header(self.size), header(100 + self.index.len()));
        let mut file = self.out.into_inner().map_err(|e| fault(e.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(fault)?;
        file.write_all(&shp_header).map_err(fault)?;
        let mut out = BufWriter::new(File::create(shx).map_err(fault)?);
        out.write_all(&shx_header).map_err(fault)?;
        self.index.copy(&mut out)?;
        out.flush().map_err(fault)?;
        Ok(self.path)
    }
}

/// A geometry's parts by the kind of file that holds them.
fn split(geometry: Option<Geometry<f64>>) -> Vec<(Shape, Geometry<f64>)> {
    let (mut points, mut lines, mut areas) = (Vec::new(), Vec::new(), Vec::new());
    let mut left: Vec<Geometry<f64>> = geometry.into_iter().collect();
    left.reverse();
    while let Some(next) = left.pop() {
        match next {
            Geometry::Point(p) => points.push(p),
            Geometry::MultiPoint(m) => points.extend(m.0),
            Geometry::LineString(l) => lines.push(l),
            Geometry::MultiLineString(m) => lines.extend(m.0),
            Geometry::Polygon(p) => areas.push(p),
            Geometry::MultiPolygon(m) => areas.extend(m.0),
            Geometry::GeometryCollection(c) => left.extend(c.0.into_iter().rev()),
            // The stores keep none of the other types.
            _ => {}
        }
    }
    let mut out = Vec::new();
    if !points.is_empty() {
        out.push((Shape::MultiPoint, Geometry::MultiPoint(points.into())));
    }
    if !lines.is_empty() {
        out.push((Shape::Line, Geometry::MultiLineString(geo_types::MultiLineString(lines))));
    }
    if !areas.is_empty() {
        out.push((Shape::Area, Geometry::MultiPolygon(geo_types::MultiPolygon(areas))));
    }
    out
}

/// A record's content; gives the bounds, or nothing for what is empty or no such shape.
fn shape_of(shape: Shape, geometry: &Geometry<f64>, out: &mut Vec<u8>) -> Option<[f64; 4]> {
    let points: Vec<Vec<Coord<f64>>> = match geometry {
        Geometry::Point(p) => vec![vec![p.0]],
        Geometry::MultiPoint(m) => vec![m.0.iter().map(|p| p.0).collect()],
        Geometry::LineString(l) => vec![l.0.clone()],
        Geometry::MultiLineString(m) => m.0.iter().map(|l| l.0.clone()).collect(),
        Geometry::Polygon(p) => rings(p).collect(),
        Geometry::MultiPolygon(m) => m.0.iter().flat_map(rings).collect(),
        _ => return None,
    };
    let all = points.iter().flatten();
    let start = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    let bounds = all
        .clone()
        .fold(start, |b, c| [b[0].min(c.x), b[1].min(c.y), b[2].max(c.x), b[3].max(c.y)]);
    let first = *all.clone().next()?;
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX).to_le_bytes();
    let position = |c: &Coord<f64>, out: &mut Vec<u8>| {
        out.extend_from_slice(&c.x.to_le_bytes());
        out.extend_from_slice(&c.y.to_le_bytes());
    };
    out.extend_from_slice(&shape.code().to_le_bytes());
    if shape == Shape::Point {
        position(&first, out);
        return Some(bounds);
    }
    bounds.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
    if shape != Shape::MultiPoint {
        out.extend_from_slice(&count(points.len()));
    }
    out.extend_from_slice(&count(all.clone().count()));
    if shape != Shape::MultiPoint {
        let mut at = 0;
        for part in &points {
            out.extend_from_slice(&count(at));
            at += part.len();
        }
    }
    all.for_each(|c| position(c, out));
    Some(bounds)
}

/// The rings of an area: outer ones clockwise, holes the other way.
fn rings(p: &Polygon<f64>) -> impl Iterator<Item = Vec<Coord<f64>>> + '_ {
    let turned = |ring: &LineString<f64>, clockwise: bool| {
        let mut ring = ring.0.clone();
        if (twice_area(&ring) < 0.0) != clockwise {
            ring.reverse();
        }
        ring
    };
    let outer = std::iter::once(turned(p.exterior(), true)).filter(|r| !r.is_empty());
    outer.chain(p.interiors().iter().map(move |r| turned(r, false)))
}

/// Twice the signed area, negative for clockwise rings; from the first corner, so that large
/// coordinates lose nothing.
fn twice_area(ring: &[Coord<f64>]) -> f64 {
    let Some(o) = ring.first() else { return 0.0 };
    ring.windows(2)
        .filter_map(|w| match w {
            [a, b] => Some((a.x - o.x) * (b.y - o.y) - (b.x - o.x) * (a.y - o.y)),
            _ => None,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        formats::write::System,
        model::{Field as ModelField, Schema},
    };

    fn head(geometry: GeometryKind, fields: &[(&str, FieldKind)]) -> Head {
        let field =
            |(name, kind): &(&str, FieldKind)| ModelField { name: (*name).into(), kind: *kind };
        Head {
            name: "essai".into(),
            title: "Essai".into(),
            description: String::new(),
            schema: Schema { fields: fields.iter().map(field).collect(), geometry },
            system: System { code: 4326, geographic: true, wkt: "", esri: "", projjson: "null" },
            label: None,
            said: Vec::new(),
            facts: Vec::new(),
            style: None,
            project: None,
        }
    }

    fn bytes(g: Geometry<f64>) -> Vec<u8> {
        let mut out = Vec::new();
        wkb::write(&g, &mut out);
        out
    }

    #[test]
    fn a_layer_too_large_for_a_file_takes_several_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let head = head(GeometryKind::Point, &[("code", FieldKind::Text)]);
        let mut set = Shapefiles::new(dir.path(), &head).limited(2_000);
        let point = bytes(geo_types::point!(x: 1.0, y: 2.0).into());
        for i in 0..150 {
            let code = format!("{i:05}");
            let row = Row { id: &code, values: &[ValueRef::Text(&code)], wkb: Some(&point) };
            set.row(&row).unwrap();
        }
        let (made, notes) = set.finish().unwrap();
        let tables: Vec<&Made> = made.iter().filter(|m| m.name.ends_with(".dbf")).collect();
        assert_eq!(tables.len(), 3, "28 bytes a point, 2,000 a file");
        let mut rows = 0;
        for made in &made {
            let bytes = std::fs::read(&made.path).unwrap();
            assert!(bytes.len() <= 2_000, "{}", made.name);
            if made.name.ends_with(".dbf") {
                rows += u32::from_le_bytes(bytes[4..8].try_into().unwrap());
            }
        }
        assert_eq!(rows, 150);
        assert!(notes.iter().any(|n| n.contains("3 fichiers")), "{notes:?}");
    }

    #[test]
    fn long_texts_are_cut_between_characters_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let head = head(GeometryKind::None, &[("texte très long", FieldKind::Text)]);
        let mut set = Shapefiles::new(dir.path(), &head);
        let long = "é".repeat(200);
        set.row(&Row { id: "1", values: &[ValueRef::Text(&long)], wkb: None }).unwrap();
        let (made, notes) = set.finish().unwrap();
        let table = made.iter().find(|m| m.name == "essai.dbf").unwrap();
        let text = std::fs::read(&table.path).unwrap();
        assert!(text.windows(254).any(|w| w == "é".repeat(127).as_bytes()));
        assert_eq!(
            notes,
            [
                "champ texte_tres : texte très long",
                "champ texte_tres : 1 textes coupés à 254 octets"
            ]
        );
    }
}
