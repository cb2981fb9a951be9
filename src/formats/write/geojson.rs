//! GeoJSON (RFC 7946): a feature collection, a text sequence (RFC 8142), or one feature a line.
//! The format knows no system but CRS84: files have no other. A page of features may, where a
//! header of its answer says so (OGC API Features part 2).

use super::{Head, Options, Row, Target, Writer, broken, io, no_layer, one_layer_only};
use crate::{
    error::Result,
    formats::geojson::{FeatureWriter, METRE_DECIMALS, write_string},
};
use std::io::Write;

/// Bytes gathered before they are handed on.
const CHUNK: usize = 1 << 16;

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Collection,
    Sequence,
    Lines,
}

pub(super) fn collection(target: Target, _: Options) -> Result<Box<dyn Writer>> {
    Ok(open(target, Form::Collection))
}

pub(super) fn sequence(target: Target, _: Options) -> Result<Box<dyn Writer>> {
    Ok(open(target, Form::Sequence))
}

pub(super) fn lines(target: Target, _: Options) -> Result<Box<dyn Writer>> {
    Ok(open(target, Form::Lines))
}

fn open(target: Target, form: Form) -> Box<dyn Writer> {
    let chunk = Vec::with_capacity(CHUNK + CHUNK / 4);
    Box::new(GeoJson { out: target.out, form, features: None, chunk, rows: 0 })
}

struct GeoJson {
    out: Box<dyn Write + Send>,
    form: Form,
    features: Option<FeatureWriter>,
    chunk: Vec<u8>,
    rows: u64,
}

impl GeoJson {
    fn flush(&mut self) -> Result<()> {
        self.out.write_all(&self.chunk).map_err(io)?;
        self.chunk.clear();
        Ok(())
    }
}

impl Writer for GeoJson {
    fn begin(&mut self, head: &Head) -> Result<()> {
        if self.features.is_some() {
            return Err(one_layer_only());
        }
        let features = FeatureWriter::new(&head.schema);
        self.features = Some(match head.system.geographic {
            true => features,
            false => features.with_decimals(METRE_DECIMALS),
        });
        if self.form == Form::Collection {
            let out = &mut self.chunk;
            out.extend_from_slice(b"{\"type\":\"FeatureCollection\",\"name\":");
            write_string(&head.name, out);
            out.extend_from_slice(b",\"title\":");
            write_string(&head.title, out);
            out.extend_from_slice(b",\"metadata\":");
            out.extend_from_slice(head.metadata().to_string().as_bytes());
            out.extend_from_slice(b",\"features\":[\n");
        }
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        let features = self.features.as_mut().ok_or_else(no_layer)?;
        match self.form {
            Form::Collection if self.rows > 0 => self.chunk.extend_from_slice(b",\n"),
            // RFC 8142 §2.2: a record separator before each text.
            Form::Sequence => self.chunk.push(0x1e),
            _ => {}
        }
        features.try_write(row.id, row.values, row.wkb, &mut self.chunk).map_err(broken)?;
        if self.form != Form::Collection {
            self.chunk.push(b'\n');
        }
        self.rows += 1;
        if self.chunk.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<()> {
        if self.form == Form::Collection {
            self.chunk.extend_from_slice(b"\n]}\n");
        }
        self.flush()
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.out.flush().map_err(io)
    }
}
