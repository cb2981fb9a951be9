//! CSV as French desktops open it: UTF-8 with a byte order mark, `;` between fields, lines ended
//! by CR LF (RFC 4180 but for the separator). Another separator, a decimal comma and no mark on
//! request.
//!
//! Text that a spreadsheet would run as a formula (it begins with `=`, `+`, `-`, `@`, a tab or a
//! carriage return, and is no number) gets an apostrophe before it. Text that looks like a number
//! (`01001`) is quoted, so that readers who care keep it as text.

use super::{Head, Options, Place, Row, Target, Writer, io, no_layer, one_layer_only, place};
use crate::{
    error::Result,
    formats::geojson::{write_float, write_int},
    model::ValueRef,
};
use std::io::Write;

const CHUNK: usize = 1 << 16;

pub(super) fn open(target: Target, options: Options) -> Result<Box<dyn Writer>> {
    Ok(Box::new(Csv { out: target.out, options, layer: None, chunk: Vec::with_capacity(CHUNK) }))
}

struct Csv {
    out: Box<dyn Write + Send>,
    options: Options,
    layer: Option<Layer>,
    chunk: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Layer {
    fields: usize,
    /// Columns of the place, and whether they are degrees.
    place: Place,
    geographic: bool,
}

impl Csv {
    fn separate(&mut self, first: bool) {
        if !first {
            self.chunk.push(self.options.separator);
        }
    }

    fn place(&mut self, row: &Row<'_>, layer: Layer) -> Result<()> {
        let mut words = String::new();
        let mut first = layer.fields == 0;
        match (layer.place, row.wkb) {
            (Place::None, _) => {}
            (Place::Wkt, wkb) => {
                self.separate(first);
                if let Some(wkb) = wkb {
                    place::wkt(wkb, layer.geographic, &mut words)?;
                    quoted(&words, &mut self.chunk);
                }
            }
            (Place::Point, wkb) => {
                let point = wkb.map(place::point).transpose()?.flatten();
                for value in [point.map(|p| p.x), point.map(|p| p.y)] {
                    self.separate(first);
                    first = false;
                    if let Some(value) = value {
                        words.clear();
                        place::number(value, layer.geographic, &mut words);
                        self.decimal(words.as_bytes());
                    }
                }
            }
        }
        Ok(())
    }

    /// A number's text, with the decimal mark asked for.
    fn decimal(&mut self, digits: &[u8]) {
        let comma = self.options.decimal_comma && digits.contains(&b'.');
        let quote: &[u8] = if comma && self.options.separator == b',' { b"\"" } else { b"" };
        self.chunk.extend_from_slice(quote);
        self.chunk.extend(digits.iter().map(|b| if comma && *b == b'.' { b',' } else { *b }));
        self.chunk.extend_from_slice(quote);
    }

    fn value(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => {}
            ValueRef::Bool(true) => self.chunk.extend_from_slice(b"true"),
            ValueRef::Bool(false) => self.chunk.extend_from_slice(b"false"),
            ValueRef::Int(i) => write_int(i, &mut self.chunk),
            ValueRef::Float(f) if !f.is_finite() => {}
            ValueRef::Float(f) => {
                let mut digits = Vec::with_capacity(24);
                write_float(f, &mut digits);
                self.decimal(&digits);
            }
            ValueRef::Text(text) => cell(text, &mut self.chunk),
            ValueRef::Json(json) => quoted(json, &mut self.chunk),
        }
    }
}

impl Writer for Csv {
    fn begin(&mut self, head: &Head) -> Result<()> {
        if self.layer.is_some() {
            return Err(one_layer_only());
        }
        if self.options.bom {
            self.chunk.extend_from_slice("\u{feff}".as_bytes());
        }
        let extra = self.options.place.columns(head);
        let names = head.schema.fields.iter().map(|f| f.name.as_str()).chain(extra.iter().copied());
        for (i, name) in names.enumerate() {
            self.separate(i == 0);
            cell(name, &mut self.chunk);
        }
        self.chunk.extend_from_slice(b"\r\n");
        self.layer = Some(Layer {
            fields: head.schema.fields.len(),
            place: if extra.is_empty() { Place::None } else { self.options.place },
            geographic: head.system.geographic,
        });
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        let layer = self.layer.ok_or_else(no_layer)?;
        for i in 0..layer.fields {
            self.separate(i == 0);
            self.value(row.values.get(i).copied().unwrap_or(ValueRef::Null));
        }
        self.place(row, layer)?;
        self.chunk.extend_from_slice(b"\r\n");
        if self.chunk.len() >= CHUNK {
            self.out.write_all(&self.chunk).map_err(io)?;
            self.chunk.clear();
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.out.write_all(&self.chunk).map_err(io)?;
        self.chunk.clear();
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.out.flush().map_err(io)
    }
}

/// Whether text reads as a number: it is no formula, and would lose its zeros.
fn numeric(text: &str) -> bool {
    text.replace(',', ".").parse::<f64>().is_ok()
}

fn cell(text: &str, out: &mut Vec<u8>) {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !numeric(text);
    let special = |b: u8| matches!(b, b';' | b'"' | b'\n' | b'\r' | b',' | b'\t');
    let edges = text.starts_with(' ') || text.ends_with(' ');
    // An empty text is not a missing value.
    let quote = formula || edges || text.is_empty() || text.bytes().any(special);
    if formula {
        quoted(&format!("'{text}"), out);
    } else if quote || (text.starts_with(|c: char| c.is_ascii_digit()) && numeric(text)) {
        quoted(text, out);
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

fn quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for b in text.bytes() {
        if b == b'"' {
            out.push(b'"');
        }
        out.push(b);
    }
    out.push(b'"');
}
