//! KML 2.2 (OGC 07-147r2): a folder per layer, values as typed extended data.

use super::{Head, Options, Row, Target, Writer, broken, io, no_layer, place::number};
use crate::{
    error::Result,
    formats::{
        geojson::{write_float, write_int},
        wkb::{Broken, Cursor, Header, Kind},
        xml::escaped,
    },
    model::{FieldKind, ValueRef},
};
use std::io::Write;

const CHUNK: usize = 1 << 16;
const START: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<kml xmlns=\"http://www.opengis.net/kml/2.2\">\n<Document>\n";

pub(super) fn open(target: Target, _: Options) -> Result<Box<dyn Writer>> {
    Ok(Box::new(Kml { out: target.out, layer: None, chunk: START.into() }))
}

struct Kml {
    out: Box<dyn Write + Send>,
    layer: Option<Layer>,
    chunk: String,
}

struct Layer {
    /// The element that begins the extended data.
    schema_data: String,
    /// The element that begins each field's value.
    fields: Vec<String>,
    label: Option<usize>,
}

impl Kml {
    fn flush(&mut self) -> Result<()> {
        self.out.write_all(self.chunk.as_bytes()).map_err(io)?;
        self.chunk.clear();
        Ok(())
    }
}

impl Writer for Kml {
    fn begin(&mut self, head: &Head) -> Result<()> {
        let out = &mut self.chunk;
        // The schema's name becomes the layer's in other programs.
        let id = escaped(&head.name);
        out.push_str(&format!("<Schema name=\"{id}\" id=\"{id}\">\n"));
        for field in &head.schema.fields {
            let name = escaped(&field.name);
            out.push_str(&format!(
                "<SimpleField name=\"{name}\" type=\"{}\"/>\n",
                kind(field.kind)
            ));
        }
        out.push_str("</Schema>\n<Folder><name>");
        escape(&head.name, out);
        out.push_str("</name><description>");
        escape(&format!("{}\n", head.title), out);
        for fact in &head.facts {
            escape(&format!("{} : {}\n", fact.label, fact.value), out);
        }
        out.push_str("</description>\n");
        let field = |f: &crate::model::Field| format!("<SimpleData name=\"{}\">", escaped(&f.name));
        self.layer = Some(Layer {
            schema_data: format!("<ExtendedData><SchemaData schemaUrl=\"#{id}\">"),
            fields: head.schema.fields.iter().map(field).collect(),
            label: head.label,
        });
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        let layer = self.layer.as_ref().ok_or_else(no_layer)?;
        let out = &mut self.chunk;
        out.push_str("<Placemark>");
        if let Some(ValueRef::Text(label)) = layer.label.and_then(|i| row.values.get(i)) {
            out.push_str("<name>");
            escape(label, out);
            out.push_str("</name>");
        }
        out.push_str(&layer.schema_data);
        for (field, value) in layer.fields.iter().zip(row.values) {
            if !matches!(value, ValueRef::Null) {
                out.push_str(field);
                text(*value, out);
                out.push_str("</SimpleData>");
            }
        }
        out.push_str("</SchemaData></ExtendedData>");
        if let Some(wkb) = row.wkb {
            let mut cursor = Cursor::new(wkb);
            let header = cursor.header().map_err(broken)?;
            geometry(&mut cursor, &header, 0, out).map_err(broken)?;
        }
        out.push_str("</Placemark>\n");
        if self.chunk.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<()> {
        self.chunk.push_str("</Folder>\n");
        self.layer = None;
        self.flush()
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.chunk.push_str("</Document>\n</kml>\n");
        self.flush()?;
        self.out.flush().map_err(io)
    }
}

fn kind(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Bool => "bool",
        FieldKind::Float => "double",
        // KML's own integers have 32 bits.
        FieldKind::Int => "int64",
        _ => "string",
    }
}

fn text(value: ValueRef<'_>, out: &mut String) {
    let mut digits = Vec::new();
    match value {
        ValueRef::Null => {}
        ValueRef::Bool(b) => out.push_str(if b { "1" } else { "0" }),
        ValueRef::Int(i) => write_int(i, &mut digits),
        ValueRef::Float(f) => write_float(f, &mut digits),
        ValueRef::Text(s) | ValueRef::Json(s) => escape(s, out),
    }
    out.extend(digits.iter().map(|b| char::from(*b)));
}

fn escape(text: &str, out: &mut String) {
    out.push_str(&escaped(text));
}

fn geometry(c: &mut Cursor<'_>, h: &Header, depth: u8, out: &mut String) -> Result<(), Broken> {
    match h.kind {
        Kind::Point => {
            if let Some(p) = c.point(h)? {
                out.push_str("<Point>");
                coordinates(std::iter::once(p), out);
                out.push_str("</Point>");
            }
        }
        Kind::LineString => {
            out.push_str("<LineString>");
            coordinates(c.line(h)?, out);
            out.push_str("</LineString>");
        }
        Kind::Polygon => {
            out.push_str("<Polygon>");
            for i in 0..c.rings(h)? {
                let side = if i == 0 { "outerBoundaryIs" } else { "innerBoundaryIs" };
                out.push_str(&format!("<{side}><LinearRing>"));
                coordinates(c.line(h)?, out);
                out.push_str(&format!("</LinearRing></{side}>"));
            }
            out.push_str("</Polygon>");
        }
        _ if depth >= 32 => return Err(Broken::TooDeep),
        _ => {
            out.push_str("<MultiGeometry>");
            for _ in 0..c.parts(h)? {
                let part = c.part(h)?;
                geometry(c, &part, depth + 1, out)?;
            }
            out.push_str("</MultiGeometry>");
        }
    }
    Ok(())
}

fn coordinates(all: impl Iterator<Item = geo_types::Coord<f64>>, out: &mut String) {
    out.push_str("<coordinates>");
    for (i, p) in all.enumerate() {
        if i > 0 {
            out.push(' ');
        }
        number(p.x, true, out);
        out.push(',');
        number(p.y, true, out);
    }
    out.push_str("</coordinates>");
}
